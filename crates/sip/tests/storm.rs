//! Whatever comes, in whatever order: no panic, one Gone a leg and nothing after it, and in the end nothing is left.
#![allow(clippy::unwrap_used)]

mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clock::Time;
use proptest::prelude::*;
use sip::message::Message;
use sip::{
    Command, Counts, Edge, Endpoint, Event, FlowId, Input, Invite, LegId, Output, Peer, Target,
};
use world::{Phone, SDP, config, peer, respond};

const ADDRESSES: [&str; 4] = [
    "10.0.0.1:5060",
    "10.0.0.2:5060",
    "10.0.0.3:5060",
    "192.168.1.10:5060",
];
const METHODS: [&str; 16] = [
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "OPTIONS",
    "REGISTER",
    "INFO",
    "UPDATE",
    "PRACK",
    "REFER",
    "FOO",
    "INVITE",
    "REFER",
    "REFER",
    "NOTIFY",
    "SUBSCRIBE",
];
const STATUSES: [&str; 12] = [
    "100 Trying",
    "180 Ringing",
    "183 Progress",
    "200 OK",
    "200 OK",
    "302 Moved",
    "401 Unauthorized",
    "408 Timeout",
    "481 Gone",
    "486 Busy",
    "491 Pending",
    "503 Busy",
];

/// One move of the world; the numbers pick among what there is.
#[derive(Clone, Debug)]
enum Move {
    Request {
        phone: usize,
        method: usize,
        fresh: bool,
        sdp: bool,
    },
    Again {
        phone: usize,
    },
    Respond {
        which: usize,
        status: usize,
        tag: u8,
        sdp: bool,
    },
    Command {
        leg: usize,
        what: u8,
    },
    Call {
        to: usize,
    },
    Mutate {
        seed: u64,
    },
    Pass {
        millis: u64,
    },
    Unreachable {
        at: usize,
    },
    FlowClosed,
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        6 => (0..6usize, 0..METHODS.len(), any::<bool>(), any::<bool>())
            .prop_map(|(phone, method, fresh, sdp)| Move::Request { phone, method, fresh, sdp }),
        1 => (0..6usize).prop_map(|phone| Move::Again { phone }),
        6 => (0..8usize, 0..STATUSES.len(), 0..3u8, any::<bool>())
            .prop_map(|(which, status, tag, sdp)| Move::Respond { which, status, tag, sdp }),
        6 => (0..6usize, 0..14u8).prop_map(|(leg, what)| Move::Command { leg, what }),
        2 => (0..4usize).prop_map(|to| Move::Call { to }),
        2 => any::<u64>().prop_map(|seed| Move::Mutate { seed }),
        3 => (0..70_000u64).prop_map(|millis| Move::Pass { millis }),
        1 => (0..ADDRESSES.len()).prop_map(|at| Move::Unreachable { at }),
        1 => Just(Move::FlowClosed),
    ]
}

struct Storm {
    endpoint: Endpoint,
    now: Time,
    phones: Vec<Phone>,
    last: Vec<Option<String>>,
    requests: Vec<(Peer, Message)>,
    legs: BTreeSet<LegId>,
    gone: BTreeMap<LegId, u32>,
}

impl Storm {
    fn new() -> Storm {
        let phones: Vec<Phone> = (0..6)
            .map(|n| {
                let mut phone = Phone::new(ADDRESSES[n % 4], &format!("u{n}"), "sip:1000@10.9.9.9");
                phone.call_id = format!("storm-{n}");
                phone
            })
            .collect();
        Storm {
            endpoint: Endpoint::new(Arc::new(config()), [1; 32]),
            now: Time::from_secs(1),
            last: vec![None; phones.len()],
            phones,
            requests: Vec::new(),
            legs: BTreeSet::new(),
            gone: BTreeMap::new(),
        }
    }

    fn handle(&mut self, input: Input) {
        let malformed = matches!(input, Input::Malformed { .. });
        self.endpoint.handle(self.now, input);
        self.drain(malformed);
    }

    fn alive(&mut self, leg: LegId) {
        assert!(
            !self.gone.contains_key(&leg),
            "{leg:?} is heard of after its end"
        );
        self.legs.insert(leg);
    }

    fn drain(&mut self, malformed: bool) {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Transmit { peer, bytes } => {
                    let message = match Message::parse(bytes.clone()) {
                        Ok(message) => message,
                        // A refusal repeats what was wrong with the request.
                        Err(_) if malformed && bytes[8] >= b'4' => continue,
                        Err(error) => panic!("{error}: we write what we can read"),
                    };
                    if message.is_request() {
                        self.requests.push((peer, message));
                    } else if let Some(phone) = self
                        .phones
                        .iter_mut()
                        .find(|phone| phone.call_id == message.call_id())
                    {
                        phone.learn(&message);
                    }
                }
                // A mutation may have made a Contact a name: nobody knows it here, and nobody answers.
                Output::Edge(edge) => {
                    assert!(
                        matches!(edge, Edge::Resolve(_)),
                        "no connections here: {edge:?}"
                    )
                }
                Output::Event(Event::Incoming(call)) => self.alive(call.leg),
                Output::Event(
                    Event::Trying { leg }
                    | Event::Ringing { leg, .. }
                    | Event::Answered { leg, .. }
                    | Event::Confirmed { leg, .. }
                    | Event::EarlyAnswer { leg, .. }
                    | Event::Reoffered { leg, .. }
                    | Event::ReofferAccepted { leg, .. }
                    | Event::ReofferRejected { leg, .. }
                    | Event::Digit { leg, .. }
                    | Event::Referred { leg, .. }
                    | Event::ReferAnswered { leg, .. }
                    | Event::ReferNotified { leg, .. },
                ) => self.alive(leg),
                Output::Event(Event::Gone { leg, .. }) => {
                    self.alive(leg);
                    *self.gone.entry(leg).or_default() += 1;
                }
                Output::Event(
                    Event::Registration(_)
                    | Event::PhoneLives { .. }
                    | Event::FixedPhone { .. }
                    | Event::Placed { .. }
                    | Event::Trunk(_)
                    | Event::TrunkCall { .. }
                    | Event::TrunkRefused { .. }
                    | Event::Counted { .. }
                    | Event::Suspect(_)
                    | Event::Traffic { .. },
                ) => {}
            }
        }
    }

    fn pass(&mut self, millis: u64) {
        let until = self.now + Duration::from_millis(millis);
        while let Some((at, _)) = self.endpoint.poll_timeout().filter(|(at, _)| *at <= until) {
            self.now = at.max(self.now);
            self.endpoint.handle_timeout(self.now);
            self.drain(false);
        }
        self.now = until;
    }

    fn receive(&mut self, from: Peer, text: &[u8]) {
        let input = match Message::parse(Bytes::copy_from_slice(text)) {
            Ok(message) => Input::Message {
                peer: from,
                message,
            },
            Err(_) => Input::Malformed {
                peer: from,
                bytes: Bytes::copy_from_slice(text),
            },
        };
        self.handle(input);
    }

    fn leg(&self, n: usize) -> LegId {
        let legs: Vec<LegId> = self.legs.iter().copied().collect();
        legs.get(legs.len().saturating_sub(1 + n))
            .copied()
            .unwrap_or(LegId(999))
    }

    fn step(&mut self, step: Move) {
        match step {
            Move::Request {
                phone: n,
                method,
                fresh,
                sdp,
            } => {
                let phone = &mut self.phones[n];
                if fresh && METHODS[method] == "INVITE" {
                    phone.to_tag.clear();
                    phone.call_id.push('x');
                }
                let body = if sdp { SDP } else { "" };
                let text = match METHODS[method] {
                    "ACK" if fresh => phone.ack(),
                    name @ ("CANCEL" | "ACK") => phone.same(name, "", ""),
                    name @ "REFER" => {
                        let silent = if sdp { "" } else { "Refer-Sub: false\r\n" };
                        let to = format!("Refer-To: <sip:1002@10.9.9.9>\r\n{silent}");
                        phone.request(name, &to, "")
                    }
                    name @ ("NOTIFY" | "SUBSCRIBE") => {
                        let state = if fresh { "active" } else { "terminated" };
                        let head = format!("Event: refer\r\nSubscription-State: {state}\r\n");
                        phone.request(name, &head, "")
                    }
                    name => phone.request(name, "", body),
                };
                let from = peer(phone.address);
                self.last[n] = Some(text.clone());
                self.receive(from, text.as_bytes());
            }
            Move::Again { phone } => {
                if let Some(text) = self.last[phone].clone() {
                    self.receive(peer(self.phones[phone].address), text.as_bytes());
                }
            }
            Move::Respond {
                which,
                status,
                tag,
                sdp,
            } => {
                let Some((from, request)) = self.requests.iter().rev().nth(which).cloned() else {
                    return;
                };
                if request
                    .method()
                    .is_some_and(|method| method.as_str() != "ACK")
                {
                    let text = respond(
                        &request,
                        STATUSES[status],
                        &format!("t{tag}"),
                        "sip:x@10.0.0.2:5060",
                        sdp,
                    );
                    self.receive(from, text.as_bytes());
                }
            }
            Move::Command { leg, what } => {
                let leg = self.leg(leg);
                let (sdp, headers) = (Bytes::from_static(SDP.as_bytes()), Vec::new());
                self.handle(Input::Command(match what {
                    0 => Command::Ring {
                        leg,
                        status: 183,
                        sdp: Some(sdp),
                        headers,
                    },
                    1 | 2 => Command::Answer { leg, sdp, headers },
                    3 => Command::Reject {
                        leg,
                        status: 486,
                        reason: None,
                        headers,
                    },
                    4 => Command::Reinvite { leg, sdp },
                    5 => Command::AcceptReoffer { leg, sdp },
                    6 => Command::RejectReoffer { leg, status: 488 },
                    7 | 8 => Command::AcceptRefer { leg },
                    9 => Command::RejectRefer { leg, status: 603 },
                    10 => Command::ReferProgress { leg, status: 180 },
                    11 => Command::ReferProgress { leg, status: 200 },
                    12 => Command::Refer {
                        leg,
                        to: "<sip:1002@10.9.9.9>".into(),
                        headers,
                    },
                    _ => Command::Hangup {
                        leg,
                        reason: Some("x\r\ny".into()),
                    },
                }));
            }
            Move::Call { to } => {
                let leg = self.endpoint.new_leg();
                self.alive(leg);
                self.handle(Input::Command(Command::Invite(Invite {
                    leg,
                    target: Target::Uri(format!("sip:a@{}", ADDRESSES[to]).into()),
                    from_display: None,
                    from_user: "2000".into(),
                    private: false,
                    sdp: SDP.into(),
                    headers: Vec::new(),
                })));
            }
            Move::Mutate { seed } => {
                let Some(text) = self.last.iter().flatten().nth(seed as usize % 6) else {
                    return;
                };
                let mut bytes = text.clone().into_bytes();
                for n in 0..1 + seed % 4 {
                    let at = (seed.rotate_left(7 * n as u32) as usize) % bytes.len();
                    bytes[at] = (seed >> (8 * n)) as u8;
                }
                self.receive(peer(ADDRESSES[seed as usize % 4]), &bytes);
            }
            Move::Pass { millis } => self.pass(millis),
            Move::Unreachable { at } => self.handle(Input::Unreachable {
                peer: peer(ADDRESSES[at]),
            }),
            Move::FlowClosed => self.handle(Input::FlowClosed { flow: FlowId(3) }),
        }
    }

    /// The engine ends every call; then all timers run out.
    fn end(mut self) {
        for leg in self.legs.clone() {
            self.handle(Input::Command(Command::Hangup { leg, reason: None }));
        }
        self.pass(10_000_000);
        assert_eq!(self.endpoint.counts(), Counts::default());
        for leg in &self.legs {
            assert_eq!(self.gone.get(leg), Some(&1), "{leg:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn nothing_panics_and_nothing_is_left(moves in prop::collection::vec(moves(), 1..80)) {
        let mut storm = Storm::new();
        for step in moves {
            storm.step(step);
        }
        storm.end();
    }
}
