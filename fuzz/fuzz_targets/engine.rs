//! The whole engine in virtual time, under phones, strangers, desks, reloads and media in any order, with the shift's invariants
//! after each step and nothing left at the end.
#![no_main]

#[path = "grammar.rs"]
#[allow(dead_code)]
mod grammar;
mod scene;

use std::time::Duration;

use arbitrary::Arbitrary;
use engine::{Command, ContactId, Input, Verb};
use grammar::Sent;
use libfuzzer_sys::fuzz_target;
use scene::{CALLER, FIRST, SECOND, Scene};
use sim::phone::Manner;
use sip::message::Message;

#[derive(Arbitrary, Debug)]
enum Move {
    Dial { phone: u8, number: u8, headers: u8 },
    HangUp { phone: u8 },
    Reoffer { phone: u8, direction: u8 },
    Refer { phone: u8, to: u8, silent: bool, hasty: bool },
    /// An agent's phone has two calls and joins them (RFC 3891).
    ReferReplaces { phone: u8, other: u8 },
    Manner { phone: u8, manner: u8 },
    Desk { second: bool, which: u8, verb: DeskVerb },
    Agent { second: bool, what: u8 },
    EndContact { which: u8 },
    Stranger { trusted: bool, sent: Sent },
    Media { stream: u8, what: u8 },
    Network { loss: u8, delay: u8, jitter: u8 },
    Reload { which: u8 },
    /// The event log is slow: nobody is told anything.
    Deliver { on: bool },
    Customers { millis: u16 },
    Pass { millis: u16 },
    PassLong { seconds: u8 },
}

#[derive(Arbitrary, Debug)]
enum DeskVerb {
    Answer,
    Hold,
    Resume,
    Transfer { to: u8 },
    Consult { to: u8 },
    Complete,
    Dtmf { digit: u8 },
    Disposition { end: bool },
    Why,
    Ladder,
}

/// Most moves of one input: each costs a walk over the whole world.
const MOVES_MAX: usize = 32;
/// Most calls of one phone at once, and longest single wait.
const CALLS_MAX: usize = 3;
const WAIT_MAX: u64 = 100;
const NUMBERS: [&str; 12] = ["2000", "2001", "1000", "1001", "1002", "9196", "9197", "*11", "*12", "*14", "nothing", "+861065520001"];
const TARGETS: [&str; 12] = ["1001", "1002", "agent:1001", "agent:1002", "queue:support", "queue:sales", "2001", "flow:main", "+861065520001", "9196", "nowhere", ""];

fn pick<'a>(list: &[&'a str], n: u8) -> &'a str {
    list[usize::from(n) % list.len()]
}

/// What a caller may ask of a dialog: reliable provisionals and session timers of either refresher.
fn headers(n: u8) -> Vec<(String, String)> {
    let all = [
        ("Require", "100rel"),
        ("Session-Expires", "90;refresher=uac"),
        ("Session-Expires", "90;refresher=uas"),
        ("Min-SE", "120"),
        ("X-Data", "account=42"),
    ];
    let chosen = all.iter().enumerate().filter(|(at, _)| n >> at & 1 == 1);
    chosen.map(|(_, (name, value))| (name.to_string(), value.to_string())).collect()
}

fn manner(n: u8) -> Manner {
    match n % 8 {
        0 => Manner::LetsRing,
        1 => Manner::Dead,
        2 => Manner::BrokenSdp,
        3 => Manner::Redirects,
        4 => Manner::Busy,
        5 => Manner::Declines,
        6 => Manner::Answers { after: Duration::from_millis(100), talks: Some(Duration::from_secs(3)) },
        _ => Manner::Answers { after: Duration::from_millis(1), talks: None },
    }
}

impl Scene {
    fn step(&mut self, step: Move) {
        let now = self.world.now;
        match step {
            Move::Dial { phone, number, headers: asked } => self.dial(phone, number, asked),
            Move::HangUp { phone } => {
                let phone = self.phone(phone);
                self.world.with_phone(phone, |phone| phone.hang_up_all(now));
            }
            Move::Reoffer { phone, direction } => {
                use sip::sdp::Direction::{Inactive, RecvOnly, SendOnly, SendRecv};
                let direction = [SendRecv, SendOnly, Inactive, RecvOnly][usize::from(direction) % 4];
                let phone = self.phone(phone);
                self.world.with_phone(phone, |phone| {
                    if let Some(leg) = phone.up() {
                        phone.reoffer(now, leg, direction);
                    }
                });
            }
            Move::Refer { phone, to, silent, hasty } => {
                let headers = if silent { vec![("Refer-Sub".to_owned(), "false".to_owned())] } else { vec![] };
                self.refer(phone, &format!("<sip:{}@10.0.0.1>", pick(&NUMBERS, to)), headers, hasty);
            }
            Move::ReferReplaces { phone, other } => self.refer_replaces(phone, other),
            Move::Manner { phone, manner: n } => {
                let phone = self.phone(phone);
                self.world.with_phone(phone, |phone| phone.manner = manner(n));
            }
            Move::Desk { second, which, verb } => self.desk(second, which, verb),
            Move::Agent { second, what } => self.agent(second, what),
            Move::EndContact { which } => {
                let contact = contact(which);
                self.command(Command::Hangup { by: "9000".into(), contact });
            }
            Move::Stranger { trusted, sent } => self.stranger(trusted, &sent),
            Move::Media { stream, what } => self.media(stream, what),
            Move::Network { loss, delay, jitter } => {
                self.world.network = sim::world::Network {
                    loss_percent: u64::from(loss % 30),
                    delay: Duration::from_millis(u64::from(delay)),
                    jitter: Duration::from_millis(u64::from(jitter)),
                };
            }
            Move::Reload { which } => self.reload(which),
            Move::Deliver { on } => self.world.deliver_events = on,
            Move::Customers { millis } => self.world.look_up_delay = Duration::from_millis(u64::from(millis % 600)),
            Move::Pass { millis } => self.pass(Duration::from_millis(u64::from(millis % 5_000))),
            Move::PassLong { seconds } => self.pass(Duration::from_secs(u64::from(seconds).min(WAIT_MAX))),
        }
        self.check();
    }

    /// Callers and the carrier by their numbers, agents by their own.
    fn dial(&mut self, phone: u8, number: u8, asked: u8) {
        let now = self.world.now;
        let from = self.phone(phone);
        let user = match usize::from(phone) % self.phones.len() {
            FIRST => "1001",
            SECOND => "1002",
            CALLER => "13800138000",
            _ => "13800138001",
        };
        if self.world.phones[&from].open() < CALLS_MAX {
            let number = pick(&NUMBERS, number);
            self.world.with_phone(from, |phone| drop(phone.dial_with(now, number, user, headers(asked))));
        }
    }

    fn refer(&mut self, phone: u8, to: &str, headers: Vec<(String, String)>, hasty: bool) {
        let now = self.world.now;
        let phone = self.phone(phone);
        self.world.with_phone(phone, |phone| {
            if let Some(leg) = phone.up() {
                phone.hasty = hasty;
                phone.refer(now, leg, to, headers);
            }
        });
    }

    fn refer_replaces(&mut self, phone: u8, other: u8) {
        let other = &self.world.phones[&self.phone(other)];
        let Some(dialog) = other.up().and_then(|leg| other.dialog(leg)) else {
            return;
        };
        let escaped = dialog.to_string().replace('@', "%40").replace(';', "%3B").replace('=', "%3D");
        self.refer(phone, &format!("<sip:1002@10.0.0.1?Replaces={escaped}>"), vec![], false);
    }

    fn desk(&mut self, second: bool, which: u8, verb: DeskVerb) {
        let by = if second { "1002" } else { "1001" };
        let contact = contact(which);
        let verb = match verb {
            DeskVerb::Answer => Verb::Answer,
            DeskVerb::Hold => Verb::Hold,
            DeskVerb::Resume => Verb::Resume,
            DeskVerb::Transfer { to } => Verb::Transfer { to: pick(&TARGETS, to).to_owned() },
            DeskVerb::Consult { to } => Verb::Consult { to: pick(&TARGETS, to).to_owned() },
            DeskVerb::Complete => Verb::Complete,
            DeskVerb::Dtmf { digit } => Verb::Dtmf { digits: char::from(digit % 128).to_string() },
            DeskVerb::Disposition { end } => Verb::Disposition { code: "seen".into(), note: None, end_wrap_up: end },
            DeskVerb::Why => return self.command(Command::Why { contact }),
            DeskVerb::Ladder => return self.command(Command::Ladder { contact }),
        };
        self.command(Command::Contact { by: by.into(), contact, verb });
    }

    fn agent(&mut self, second: bool, what: u8) {
        let agent: std::sync::Arc<str> = if second { "1002" } else { "1001" }.into();
        let availability = match what % 4 {
            0 => acd::Availability::Ready,
            1 => acd::Availability::NotReady { reason: "break".into() },
            2 => acd::Availability::LoggedOut,
            _ => return self.command(Command::EndWrapUp { by: agent.clone(), agent }),
        };
        self.command(Command::SetAgentState { by: agent.clone(), agent, availability });
    }

    /// Hand-made messages: from nowhere, or from a place that is a trunk's and has no phone.
    fn stranger(&mut self, trusted: bool, sent: &Sent) {
        let mut peer = grammar::peer(sent.from);
        if trusted {
            peer = sip::Peer { transport: sip::Transport::Udp, remote: ([10, 0, 1, 9], 5060).into(), flow: None };
        }
        let bytes = sent.bytes();
        self.world.give(Input::Sip(match Message::parse(bytes.clone()) {
            Ok(message) => sip::Input::Message { peer, message },
            Err(_) => sip::Input::Malformed { peer, bytes },
        }));
    }

    fn media(&mut self, stream: u8, what: u8) {
        let streams: Vec<_> = self.world.streams().collect();
        let Some(&stream) = streams.get(usize::from(stream) % streams.len().max(1)) else {
            return;
        };
        let event = match what % 3 {
            0 => media::Event::Starved { stream },
            1 => media::Event::Flowing { stream },
            _ => media::Event::Dtmf { stream, digit: char::from(b"0123456789*#ABCD"[usize::from(what / 3) % 16]) },
        };
        self.world.give(Input::Media(event));
    }
}

/// One of the first contacts of the run.
fn contact(which: u8) -> ContactId {
    ContactId(format!("n-1-{}", which % 6 + 1).into())
}

fuzz_target!(|moves: Vec<Move>| {
    let mut scene = Scene::new();
    for step in moves.into_iter().take(MOVES_MAX) {
        scene.step(step);
    }
    scene.go_home();
});
