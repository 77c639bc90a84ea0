//! A telephone with a script: its SIP is a `sip::Endpoint` of its own, its person is a few numbers.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clock::Time;
use sip::{Command, Endpoint, Event, Input, Invite, LegId, Output, Target, sdp};

/// How the person at the phone takes the next call that rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Picks up after this long, hangs up after talking this long (never, if `None`).
    Answers {
        after: Duration,
        talks: Option<Duration>,
    },
    /// Lets it ring.
    LetsRing,
    /// 486.
    Busy,
    /// 603.
    Declines,
    /// 302 elsewhere.
    Redirects,
    /// The phone is off: packets vanish.
    Dead,
    /// Answers with codecs that we have not got.
    BrokenSdp,
}

/// A deed that the script has planned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    PickUp(LegId),
    HangUp(LegId),
}

/// A phone.
pub struct Phone {
    pub name: String,
    pub address: SocketAddr,
    pub manner: Manner,
    endpoint: Endpoint,
    offers: HashMap<LegId, Bytes>,
    /// Legs and whether they are up.
    legs: std::collections::BTreeMap<LegId, bool>,
    plans: std::collections::BTreeSet<(Time, Deed)>,
    engine: SocketAddr,
    /// Final causes of legs, for assertions.
    pub ended: Vec<String>,
    /// How many calls were up at some time.
    pub answered: u32,
    /// What came of REFERs: the leg, and the status of the response or the NOTIFY; the last one with a full stop.
    pub referred: Vec<String>,
    /// Hangs up as soon as a REFER is accepted.
    pub hasty: bool,
}

/// A phone's SIP configuration: trusts whatever calls it.
fn config(name: &str, address: SocketAddr, engine: SocketAddr) -> sip::Config {
    sip::Config {
        realm: "phone".into(),
        digest: vec![],
        listeners: sip::Listener::udp(address),
        users: Arc::new(HashMap::new()),
        trunks: vec![sip::Trunk {
            name: "engine".into(),
            addresses: vec![engine.ip().into()],
            max_calls: 100,
            ..sip::Trunk::default()
        }],
        expires_min: Duration::from_secs(60),
        expires_max: Duration::from_secs(3600),
        nonce_lifetime: Duration::from_secs(60),
        max_transactions: 1000,
        max_dialogs: 1000,
        max_bindings_per_user: 1,
        max_message: 65_535,
        t1: Duration::from_millis(500),
        t2: Duration::from_secs(4),
        t4: Duration::from_secs(5),
        product: format!("sim/{name}"),
        dialogs: sip::DialogRules::default(),
        silent_to_scanners: true,
        phones: sip::PhoneRules::default(),
    }
}

impl Phone {
    pub fn new(
        name: &str,
        address: SocketAddr,
        engine: SocketAddr,
        manner: Manner,
        seed: u64,
    ) -> Self {
        let mut bytes = [0u8; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        Phone {
            name: name.to_owned(),
            address,
            manner,
            endpoint: Endpoint::new(Arc::new(config(name, address, engine)), bytes),
            offers: HashMap::new(),
            legs: Default::default(),
            plans: Default::default(),
            engine,
            ended: Vec::new(),
            answered: 0,
            referred: Vec::new(),
            hasty: false,
        }
    }

    fn local<'a>(&self, leg: LegId, codecs: &'a [sdp::Codec]) -> sdp::Local<'a> {
        sdp::Local {
            address: self.address.ip(),
            port: 4000 + 2 * (leg.0 % 10_000) as u16,
            session_id: leg.0,
            version: 1,
            codecs,
            telephone_event: true,
            ptime: Duration::from_millis(20),
            direction: sdp::Direction::SendRecv,
            security: Default::default(),
        }
    }

    /// Dials a number of the engine.
    pub fn dial(&mut self, now: Time, number: &str, from: &str) -> LegId {
        self.dial_with(now, number, from, vec![])
    }

    /// Dials a number of the engine, with these headers.
    pub fn dial_with(
        &mut self,
        now: Time,
        number: &str,
        from: &str,
        headers: Vec<(String, String)>,
    ) -> LegId {
        let leg = self.endpoint.new_leg();
        let sdp = sdp::offer(&self.local(leg, &[sdp::Codec::Pcma, sdp::Codec::Pcmu]));
        self.legs.insert(leg, false);
        let invite = Invite {
            leg,
            target: Target::Uri(format!("sip:{number}@{}", self.engine).into()),
            from_display: None,
            from_user: from.to_owned(),
            private: false,
            sdp,
            headers,
        };
        self.endpoint
            .handle(now, Input::Command(Command::Invite(invite)));
        leg
    }

    /// Asks the engine to call somebody else (RFC 3515).
    pub fn refer(&mut self, now: Time, leg: LegId, to: &str, headers: Vec<(String, String)>) {
        let to = to.to_owned();
        self.endpoint
            .handle(now, Input::Command(Command::Refer { leg, to, headers }));
    }

    /// The dialog of a leg as a Replaces names it to the engine: Call-ID, the engine's tag, ours.
    pub fn dialog(&self, leg: LegId) -> Option<sip::DialogName> {
        self.endpoint.dialog(leg)
    }

    /// Hangs up now.
    pub fn hang_up(&mut self, now: Time, leg: LegId) {
        self.endpoint
            .handle(now, Input::Command(Command::Hangup { leg, reason: None }));
    }

    /// Hangs up at a time, if the call still stands then.
    pub fn plan_hang_up(&mut self, at: Time, leg: LegId) {
        self.plans.insert((at, Deed::HangUp(leg)));
    }

    /// Hangs up whatever stands.
    pub fn hang_up_all(&mut self, now: Time) {
        let legs: Vec<LegId> = self.legs.keys().copied().collect();
        for leg in legs {
            self.hang_up(now, leg);
        }
    }

    /// Offers new media: hold (`SendOnly`) or resume (`SendRecv`).
    pub fn reoffer(&mut self, now: Time, leg: LegId, direction: sdp::Direction) {
        let mut local = self.local(leg, &[sdp::Codec::Pcma]);
        local.direction = direction;
        local.version = 2;
        self.reoffer_with(now, leg, sdp::offer(&local));
    }

    /// Offers new media in these words.
    pub fn reoffer_with(&mut self, now: Time, leg: LegId, sdp: Bytes) {
        self.endpoint
            .handle(now, Input::Command(Command::Reinvite { leg, sdp }));
    }

    /// The leg that is up, if there is just one.
    pub fn up(&self) -> Option<LegId> {
        self.legs.iter().find(|(_, up)| **up).map(|(leg, _)| *leg)
    }

    pub fn receive(&mut self, now: Time, from: SocketAddr, datagram: Bytes) {
        if self.manner == Manner::Dead {
            return;
        }
        let peer = sip::Peer {
            transport: sip::Transport::Udp,
            remote: from,
            flow: None,
        };
        let input = match sip::message::Message::parse(datagram.clone()) {
            Ok(message) => Input::Message { peer, message },
            Err(_) => Input::Malformed {
                peer,
                bytes: datagram,
            },
        };
        self.endpoint.handle(now, input);
    }

    pub fn timeout(&self) -> Option<Time> {
        let deed = self.plans.first().map(|(at, _)| *at);
        let endpoint = self.endpoint.poll_timeout().map(|(at, _)| at);
        [deed, endpoint].into_iter().flatten().min()
    }

    pub fn handle_timeout(&mut self, now: Time) {
        if self
            .endpoint
            .poll_timeout()
            .is_some_and(|(at, _)| at <= now)
        {
            self.endpoint.handle_timeout(now);
        }
        while let Some((_, deed)) = self.plans.first().filter(|(at, _)| *at <= now).cloned() {
            self.plans.pop_first();
            match deed {
                Deed::PickUp(leg) => self.pick_up(now, leg),
                Deed::HangUp(leg) => self.hang_up(now, leg),
            }
        }
    }

    fn pick_up(&mut self, now: Time, leg: LegId) {
        let Some(offer) = self.offers.remove(&leg) else {
            return;
        };
        let broken = self.manner == Manner::BrokenSdp;
        let Ok((answer, _)) = sdp::answer(
            &offer,
            &self.local(leg, &[sdp::Codec::Pcma, sdp::Codec::Pcmu]),
        ) else {
            return;
        };
        let sdp = if broken {
            Bytes::from_static(b"v=0\r\nnonsense")
        } else {
            answer
        };
        self.legs.insert(leg, true);
        self.answered += 1;
        self.endpoint.handle(
            now,
            Input::Command(Command::Answer {
                leg,
                sdp,
                headers: vec![],
            }),
        );
        if let Manner::Answers {
            talks: Some(talks), ..
        } = self.manner
        {
            self.plan_hang_up(now + talks, leg);
        }
    }

    /// What goes onto the wire.
    pub fn poll_transmit(&mut self, now: Time) -> Option<(SocketAddr, Bytes)> {
        loop {
            match self.endpoint.poll_output()? {
                Output::Transmit { peer, bytes } => {
                    if self.manner != Manner::Dead {
                        return Some((peer.remote, bytes));
                    }
                }
                Output::Event(event) => self.event(now, event),
                // The simulated network has no names and no connections.
                Output::Edge(_) => {}
            }
        }
    }

    fn event(&mut self, now: Time, event: Event) {
        match event {
            Event::Incoming(incoming) => self.incoming(now, incoming),
            Event::Answered { leg, .. } => {
                self.legs.insert(leg, true);
                self.answered += 1;
            }
            Event::Reoffered {
                leg,
                sdp: Some(offer),
            } => {
                if let Ok((sdp, _)) = sdp::answer(
                    &offer,
                    &self.local(leg, &[sdp::Codec::Pcma, sdp::Codec::Pcmu]),
                ) {
                    self.endpoint
                        .handle(now, Input::Command(Command::AcceptReoffer { leg, sdp }));
                }
            }
            Event::ReferAnswered { leg, status } => {
                self.referred.push(format!("{} {status}", leg.0));
                // A hasty phone leaves as soon as the transfer is accepted.
                if self.hasty && status < 300 {
                    self.hang_up(now, leg);
                }
            }
            Event::ReferNotified { leg, status, last } => {
                self.referred
                    .push(format!("{} {status}{}", leg.0, if last { "." } else { "" }));
            }
            Event::Gone { leg, cause, .. } => {
                self.legs.remove(&leg);
                self.offers.remove(&leg);
                self.ended.push(format!("{cause:?}"));
            }
            _ => {}
        }
    }

    fn incoming(&mut self, now: Time, incoming: sip::Incoming) {
        let leg = incoming.leg;
        let reject = |status| Command::Reject {
            leg,
            status,
            reason: None,
            headers: vec![],
        };
        self.legs.insert(leg, false);
        if let Some(offer) = incoming.sdp {
            self.offers.insert(leg, offer);
        }
        let command = match self.manner {
            Manner::Answers { after, .. } => {
                self.plans.insert((now + after, Deed::PickUp(leg)));
                Command::Ring {
                    leg,
                    status: 180,
                    sdp: None,
                    headers: vec![],
                }
            }
            Manner::BrokenSdp => {
                self.plans
                    .insert((now + Duration::from_millis(200), Deed::PickUp(leg)));
                Command::Ring {
                    leg,
                    status: 180,
                    sdp: None,
                    headers: vec![],
                }
            }
            Manner::LetsRing | Manner::Dead => Command::Ring {
                leg,
                status: 180,
                sdp: None,
                headers: vec![],
            },
            Manner::Busy => reject(486),
            Manner::Declines => reject(603),
            Manner::Redirects => {
                let headers = vec![(
                    "Contact".to_owned(),
                    "<sip:0900123456@203.0.113.9>".to_owned(),
                )];
                Command::Reject {
                    leg,
                    status: 302,
                    reason: None,
                    headers,
                }
            }
        };
        self.endpoint.handle(now, Input::Command(command));
    }

    /// Legs that are not over.
    pub fn open(&self) -> usize {
        self.legs.len()
    }
}
