//! The SIP endpoint under messages, commands and time in any order: nothing panics, every leg ends once, nothing is left.
#![no_main]

#[path = "grammar.rs"]
mod grammar;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use arbitrary::Arbitrary;
use clock::Time;
use grammar::{Sent, SDP, peer, response};
use libfuzzer_sys::fuzz_target;
use sip::message::Message;
use sip::{
    Algorithm, Command, Config, Counts, Credentials, Endpoint, Event, Input, Invite, LegId, Output,
    Target, Transport, Trunk,
};

#[derive(Arbitrary, Debug)]
enum Move {
    Receive(Sent),
    /// A response to one of the last requests of ours.
    Respond { which: u8, status: u8, tag: u8, sdp: bool, again: bool },
    Command { leg: u8, what: u8 },
    Call { to: u8, user: bool },
    Pass { millis: u16 },
    PassLong { seconds: u16 },
    Unreachable { at: u8 },
    FlowClosed,
}

/// Most moves of one input: longer ones only repeat themselves.
const MOVES_MAX: usize = 64;
/// Our last requests that are remembered to be answered.
const REQUESTS_MAX: usize = 16;

struct World {
    endpoint: Endpoint,
    now: Time,
    requests: VecDeque<(sip::Peer, Message)>,
    legs: BTreeSet<LegId>,
    gone: BTreeMap<LegId, u32>,
}

fn config() -> Config {
    let user = |name: &str| {
        let md5 = Some(sip::digest::ha1(name, "test", "secret", Algorithm::Md5));
        (Arc::from(name), Credentials { md5, sha256: None })
    };
    let users: HashMap<Arc<str>, Credentials> = ["1001", "1002"].map(user).into();
    let mut config = sim::centre::centre(&sim::centre::one_agent()).sip;
    config.users = Arc::new(users);
    config.max_transactions = 50;
    config.max_dialogs = 20;
    config.trunks = vec![Trunk {
        name: "carrier".into(),
        addresses: ["10.0.0.1", "10.0.0.2"].map(|address| address.parse().expect("an address")).to_vec(),
        max_calls: 10,
        ..Trunk::default()
    }];
    config
}

impl World {
    fn new() -> World {
        World {
            endpoint: Endpoint::new(Arc::new(config()), [7; 32]),
            now: Time::from_secs(1_000),
            requests: VecDeque::new(),
            legs: BTreeSet::new(),
            gone: BTreeMap::new(),
        }
    }

    fn handle(&mut self, input: Input) {
        self.endpoint.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Transmit { peer, bytes } => {
                    if let Ok(message) = Message::parse(bytes)
                        && message.is_request()
                    {
                        if self.requests.len() >= REQUESTS_MAX {
                            self.requests.pop_front();
                        }
                        self.requests.push_back((peer, message));
                    }
                }
                Output::Event(Event::Incoming(call)) => {
                    self.legs.insert(call.leg);
                }
                Output::Event(Event::Gone { leg, .. }) => *self.gone.entry(leg).or_default() += 1,
                _ => {}
            }
        }
    }

    fn pass(&mut self, by: Duration) {
        let until = self.now + by;
        while let Some((at, _)) = self.endpoint.poll_timeout().filter(|(at, _)| *at <= until) {
            self.now = at.max(self.now);
            self.endpoint.handle_timeout(self.now);
            self.drain();
        }
        self.now = until;
    }

    fn leg(&self, n: u8) -> LegId {
        let legs: Vec<LegId> = self.legs.iter().copied().collect();
        legs.get(usize::from(n) % legs.len().max(1)).copied().unwrap_or(LegId(u64::from(n)))
    }

    fn command(&mut self, leg: LegId, what: u8) {
        let (sdp, headers) = (bytes::Bytes::from_static(SDP.as_bytes()), Vec::new());
        let command = match what % 8 {
            0 => Command::Ring { leg, status: 180, sdp: None, headers },
            1 => Command::Ring { leg, status: 183, sdp: Some(sdp), headers },
            2 => Command::Answer { leg, sdp, headers },
            3 => Command::Reject { leg, status: 486, reason: None, headers },
            4 => Command::Reinvite { leg, sdp },
            5 => Command::AcceptReoffer { leg, sdp },
            6 => Command::RejectReoffer { leg, status: 488 },
            _ => Command::Hangup { leg, reason: Some("x\r\ny".into()) },
        };
        self.handle(Input::Command(command));
    }

    fn step(&mut self, step: Move) {
        match step {
            Move::Receive(sent) => {
                let (peer, bytes) = (peer(sent.from), sent.bytes());
                self.handle(match Message::parse(bytes.clone()) {
                    Ok(message) => Input::Message { peer, message },
                    Err(_) => Input::Malformed { peer, bytes },
                });
            }
            Move::Respond { which, status, tag, sdp, again } => {
                let Some((peer, request)) = self.requests.iter().rev().nth(usize::from(which) % REQUESTS_MAX).cloned() else {
                    return;
                };
                let bytes = response(&request, status, tag, sdp);
                for _ in 0..1 + u8::from(again) {
                    if let Ok(message) = Message::parse(bytes.clone()) {
                        self.handle(Input::Message { peer, message });
                    }
                }
            }
            Move::Command { leg, what } => self.command(self.leg(leg), what),
            Move::Call { to, user } => {
                let leg = self.endpoint.new_leg();
                self.legs.insert(leg);
                let target = if user {
                    Target::User("1001".into())
                } else {
                    Target::Uri(format!("sip:a@10.0.0.{}", 1 + to % 4).into())
                };
                self.handle(Input::Command(Command::Invite(Invite {
                    leg,
                    target,
                    from_display: None,
                    from_user: "2000".into(),
                    private: false,
                    sdp: SDP.into(),
                    headers: Vec::new(),
                })));
            }
            Move::Pass { millis } => self.pass(Duration::from_millis(u64::from(millis))),
            Move::PassLong { seconds } => self.pass(Duration::from_secs(u64::from(seconds % 400))),
            Move::Unreachable { at } => self.handle(Input::Unreachable { peer: peer(at) }),
            Move::FlowClosed => self.handle(Input::FlowClosed { flow: sip::FlowId(3) }),
        }
    }

    /// Every call is ended, all timers run out, and nothing is left.
    fn end(mut self) {
        for leg in self.legs.clone() {
            self.handle(Input::Command(Command::Hangup { leg, reason: None }));
        }
        self.pass(Duration::from_secs(100_000));
        let left = self.endpoint.counts();
        assert_eq!(left, Counts { bindings: left.bindings, timers: left.timers, ..Counts::default() });
        for (leg, times) in &self.gone {
            assert_eq!(*times, 1, "{leg:?}");
        }
        for leg in &self.legs {
            assert!(self.gone.contains_key(leg), "{leg:?} has no end");
        }
    }
}

fuzz_target!(|moves: Vec<Move>| {
    let mut world = World::new();
    assert!(matches!(peer(3).transport, Transport::Tcp));
    for step in moves.into_iter().take(MOVES_MAX) {
        world.step(step);
    }
    world.end();
});
