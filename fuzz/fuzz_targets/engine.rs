//! The whole engine in virtual time, under phones, strangers, the desk and media in any order, with the shift's invariants after each.
#![no_main]

#[path = "grammar.rs"]
#[allow(dead_code)]
mod grammar;

use std::net::SocketAddr;
use std::time::Duration;

use arbitrary::Arbitrary;
use engine::Input;
use grammar::{Sent, peer};
use libfuzzer_sys::fuzz_target;
use sim::centre::{TestAgent, centre, one_agent};
use sim::invariants::Invariants;
use sim::phone::Manner;
use sim::world::World;
use sip::message::Message;

#[derive(Arbitrary, Debug)]
enum Move {
    Dial { caller: bool, number: u8 },
    HangUp { phone: u8 },
    Hold { phone: u8, direction: u8 },
    Manner { manner: u8 },
    Stranger(Sent),
    Agent { what: u8 },
    EndContact { which: u8 },
    Media { stream: u8, what: u8 },
    Lose { percent: u8 },
    Pass { millis: u16 },
    PassLong { seconds: u8 },
}

/// Most moves of one input: each costs a walk over the whole world.
const MOVES_MAX: usize = 32;
const NUMBERS: [&str; 8] = ["2000", "2001", "1000", "1001", "9196", "9197", "*11", "nothing"];

struct Scene {
    world: World,
    invariants: Invariants,
    config: engine::Config,
    phones: [SocketAddr; 3],
}

fn scene() -> Scene {
    let agents: Vec<TestAgent> = one_agent();
    let config = centre(&agents);
    let mut world = World::new(config.clone(), 1);
    let answers = |after, talks| Manner::Answers {
        after: Duration::from_millis(after),
        talks: Some(Duration::from_secs(talks)),
    };
    let phones = [
        world.phone("caller", "10.0.1.1:5060", answers(0, 60)),
        world.phone("other", "10.0.1.2:5060", answers(0, 60)),
        world.phone("agent", "10.0.2.1:5060", answers(500, 20)),
    ];
    Scene { world, invariants: Invariants::default(), config, phones }
}

impl Scene {
    fn pass(&mut self, by: Duration) {
        let until = self.world.now + by;
        let (invariants, config) = (&mut self.invariants, &self.config);
        self.world.run_with(until, |world| invariants.check(world, config));
    }

    fn step(&mut self, step: Move) {
        let now = self.world.now;
        let phone = |n: u8| self.phones[usize::from(n) % self.phones.len()];
        match step {
            Move::Dial { caller, number } => {
                let from = self.phones[usize::from(caller)];
                if self.world.phones[&from].open() < 3 {
                    let number = NUMBERS[usize::from(number) % NUMBERS.len()];
                    self.world.dial(from, number, "13800138000");
                }
            }
            Move::HangUp { phone: n } => self.world.with_phone(phone(n), |phone| phone.hang_up_all(now)),
            Move::Hold { phone: n, direction } => self.world.with_phone(phone(n), |phone| {
                use sip::sdp::Direction::{Inactive, RecvOnly, SendOnly, SendRecv};
                if let Some(leg) = phone.up() {
                    let direction = [SendRecv, SendOnly, Inactive, RecvOnly][usize::from(direction) % 4];
                    phone.reoffer(now, leg, direction);
                }
            }),
            Move::Manner { manner } => {
                let manner = match manner % 5 {
                    0 => Manner::LetsRing,
                    1 => Manner::Dead,
                    2 => Manner::BrokenSdp,
                    3 => Manner::Redirects,
                    _ => Manner::Answers { after: Duration::from_millis(100), talks: Some(Duration::from_secs(3)) },
                };
                self.world.with_phone(self.phones[2], |phone| phone.manner = manner);
            }
            Move::Stranger(sent) => {
                let (peer, bytes) = (peer(sent.from), sent.bytes());
                self.world.give(Input::Sip(match Message::parse(bytes.clone()) {
                    Ok(message) => sip::Input::Message { peer, message },
                    Err(_) => sip::Input::Malformed { peer, bytes },
                }));
            }
            Move::Agent { what } => self.agent(what),
            Move::EndContact { which } => {
                let contact = engine::ContactId(format!("n-1-{}", which % 8).into());
                let command = engine::Command::Hangup { by: "1900".into(), contact };
                self.world.give(Input::Command { token: engine::Token(1), command });
            }
            Move::Media { stream, what } => self.media(stream, what),
            Move::Lose { percent } => self.world.network.loss_percent = u64::from(percent % 30),
            Move::Pass { millis } => self.pass(Duration::from_millis(u64::from(millis % 5_000))),
            Move::PassLong { seconds } => self.pass(Duration::from_secs(u64::from(seconds))),
        }
        self.invariants.check(&self.world, &self.config);
    }

    fn agent(&mut self, what: u8) {
        let agent: std::sync::Arc<str> = "1001".into();
        let availability = match what % 4 {
            0 => acd::Availability::Ready,
            1 => acd::Availability::NotReady { reason: "break".into() },
            2 => acd::Availability::LoggedOut,
            _ => {
                let command = engine::Command::EndWrapUp { by: agent.clone(), agent };
                return self.world.give(Input::Command { token: engine::Token(1), command });
            }
        };
        let command = engine::Command::SetAgentState { by: agent.clone(), agent, availability };
        self.world.give(Input::Command { token: engine::Token(1), command });
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

    fn go_home(&mut self) {
        let now = self.world.now;
        self.world.network.loss_percent = 0;
        for phone in self.phones {
            self.world.with_phone(phone, |phone| {
                if phone.manner == Manner::Dead {
                    phone.manner = Manner::LetsRing;
                }
                phone.hang_up_all(now);
            });
        }
        self.pass(Duration::from_secs(900));
    }
}

fuzz_target!(|moves: Vec<Move>| {
    let mut scene = scene();
    for step in moves.into_iter().take(MOVES_MAX) {
        scene.step(step);
    }
    scene.go_home();
});
