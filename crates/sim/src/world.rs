//! The virtual world: one engine, its phones, a network that loses and delays, and a clock that jumps to the next thing that happens.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clock::Time;
use engine::{Engine, Event, Input, Output};

use crate::dice::Dice;
use crate::phone::{Manner, Phone};

/// Where the engine listens.
pub const ENGINE: &str = "10.0.0.1:5060";
/// Ports that the engine has: enough for every test.
const PORTS: u16 = 2_000;
/// Longest run of events at one moment: beyond it the world is going in circles.
const STEPS_AT_ONE_MOMENT_MAX: u32 = 100_000;

/// How the network treats datagrams.
#[derive(Clone, Copy, Debug)]
pub struct Network {
    pub loss_percent: u64,
    pub delay: Duration,
    /// Up to this much more, so that datagrams overtake each other.
    pub jitter: Duration,
}

impl Network {
    /// Nothing lost, one millisecond.
    pub const CLEAN: Network = Network {
        loss_percent: 0,
        delay: Duration::from_millis(1),
        jitter: Duration::ZERO,
    };
}

#[derive(Debug)]
enum Coming {
    Datagram {
        from: SocketAddr,
        to: SocketAddr,
        bytes: Bytes,
    },
    ToEngine(Input),
}

/// One message on the wire, for ladders.
#[derive(Clone, Debug)]
pub struct OnWire {
    pub at: Time,
    pub from: String,
    pub to: String,
    pub start_line: String,
    pub lost: bool,
    pub bytes: Bytes,
}

/// The world.
pub struct World {
    pub now: Time,
    pub engine: Engine,
    pub phones: BTreeMap<SocketAddr, Phone>,
    pub network: Network,
    /// Customers by number, as the store would answer; the answer takes `look_up_delay`.
    pub customers: BTreeMap<String, crm::Pop>,
    pub look_up_delay: Duration,
    /// How long the edge takes to make speech of a text, and whether it can; `None` never answers.
    pub speech: Option<(Duration, bool)>,
    /// False: those who watch never get anything.
    pub deliver_events: bool,
    pub events: Vec<Event>,
    pub acd_records: Vec<(Time, engine::AcdRecord)>,
    pub wire: Vec<OnWire>,
    /// Drops the next datagrams for which this says so (their start line is given): scripted loss.
    pub lose: Vec<String>,
    pub commands: Vec<media::Command>,
    /// What the recorder was told, in order.
    pub recorded: Vec<(Time, media::RecordingId, engine::RecordingStep)>,
    pub replies: Vec<engine::Reply>,
    pub drained: bool,
    coming: BTreeMap<(Time, u64), Coming>,
    next_coming: u64,
    dice: Dice,
    streams: BTreeMap<media::StreamId, media::Port>,
    engine_address: SocketAddr,
}

impl World {
    /// An engine that has just started on this configuration.
    pub fn new(config: engine::Config, seed: u64) -> Self {
        let mut bytes = [7u8; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut world = World {
            now: Time::from_secs(1_700_000_000),
            engine: Engine::new(Arc::new(config), bytes),
            phones: BTreeMap::new(),
            network: Network::CLEAN,
            customers: BTreeMap::new(),
            look_up_delay: Duration::from_millis(1),
            speech: Some((Duration::from_millis(50), true)),
            deliver_events: true,
            events: Vec::new(),
            acd_records: Vec::new(),
            wire: Vec::new(),
            lose: Vec::new(),
            commands: Vec::new(),
            recorded: Vec::new(),
            replies: Vec::new(),
            drained: false,
            coming: BTreeMap::new(),
            next_coming: 0,
            dice: Dice::new(seed),
            streams: BTreeMap::new(),
            engine_address: ENGINE.parse().expect("a literal address"),
        };
        let ports = (0..PORTS)
            .map(|index| media::Port {
                plane: 0,
                number: 10_000 + 2 * index,
            })
            .collect();
        world.engine.handle(world.now, Input::PortsGranted(ports));
        world.drain();
        world.give(Input::Start(engine::Start {
            boot: 1,
            next_sequence: 1,
            ..Default::default()
        }));
        world
    }

    /// Adds a phone.
    pub fn phone(&mut self, name: &str, address: &str, manner: Manner) -> SocketAddr {
        let address: SocketAddr = address.parse().expect("a literal address");
        let seed = self.dice.bits();
        self.phones.insert(
            address,
            Phone::new(name, address, self.engine_address, manner, seed),
        );
        address
    }

    /// A phone dials.
    pub fn dial(&mut self, from: SocketAddr, number: &str, as_user: &str) -> sip::LegId {
        let now = self.now;
        let leg = self.with_phone(from, |phone| phone.dial(now, number, as_user));
        self.flush(from);
        leg
    }

    /// Sends the engine a message that a test has written by hand; what goes back to `from` is in [`World::wire`].
    pub fn send_by_hand(&mut self, from: SocketAddr, text: &str) {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        self.transmit(from, self.engine_address, bytes);
    }

    /// An agent's phone dials. The challenge is answered by hand, as the scripted phones have no passwords; headers of its own come before.
    pub fn dial_as(
        &mut self,
        from: SocketAddr,
        number: &str,
        user: &str,
        password: &str,
        mut headers: Vec<(String, String)>,
    ) -> sip::LegId {
        self.dial(from, number, user);
        self.run(Duration::from_millis(10));
        let mut wire = self.wire.iter().rev();
        let refusal = wire.find(|wire| wire.start_line.contains(" 401 "));
        let refusal = refusal.expect("agents' phones are challenged");
        let refusal =
            sip::message::Message::parse(refusal.bytes.clone()).expect("ours is well formed");
        let line = refusal
            .header_named("WWW-Authenticate")
            .expect("a 401 has one");
        let auth = sip::digest::ClientAuth {
            challenge: &sip::digest::DigestChallenge::parse(line).expect("ours is well formed"),
            username: user,
            ha1: &sip::digest::ha1(user, "cordboard", password, sip::Algorithm::Md5),
            method: &sip::message::Method::Invite,
            uri: &format!("sip:{number}@{ENGINE}"),
            nc: 1,
            cnonce: "c",
        };
        headers.push(("Authorization".to_owned(), auth.to_string()));
        let now = self.now;
        self.with_phone(from, |phone| phone.dial_with(now, number, user, headers))
    }

    /// Does something with a phone, then lets its messages out.
    pub fn with_phone<R>(&mut self, address: SocketAddr, act: impl FnOnce(&mut Phone) -> R) -> R {
        let result = act(self
            .phones
            .get_mut(&address)
            .expect("a phone of this world"));
        self.flush(address);
        result
    }

    /// Gives the engine an input now.
    pub fn give(&mut self, input: Input) {
        self.engine.handle(self.now, input);
        self.drain();
    }

    /// Gives the engine an input later.
    pub fn give_later(&mut self, after: Duration, input: Input) {
        let at = self.now + after;
        self.push(at, Coming::ToEngine(input));
    }

    fn push(&mut self, at: Time, coming: Coming) {
        self.coming.insert((at, self.next_coming), coming);
        self.next_coming += 1;
    }

    /// Runs until this time; `after_step` sees the world after every step.
    pub fn run_with(&mut self, until: Time, mut after_step: impl FnMut(&World)) {
        let mut steps = 0;
        while let Some(at) = self.next_time().filter(|&at| at <= until) {
            steps = if at <= self.now { steps + 1 } else { 0 };
            assert!(
                steps < STEPS_AT_ONE_MOMENT_MAX,
                "the world goes in circles at {:?}: {:?}",
                self.now,
                self.engine.poll_timeout()
            );
            self.now = self.now.max(at);
            self.step();
            after_step(self);
        }
        self.now = self.now.max(until);
    }

    /// Runs for this long.
    pub fn run(&mut self, duration: Duration) {
        let until = self.now + duration;
        self.run_with(until, |_| {});
    }

    /// Runs until the condition holds, at the longest for this long; tells whether it came to hold.
    pub fn run_until(
        &mut self,
        longest: Duration,
        mut condition: impl FnMut(&World) -> bool,
    ) -> bool {
        let until = self.now + longest;
        while !condition(self) {
            let Some(at) = self.next_time().filter(|&at| at <= until) else {
                return false;
            };
            self.now = self.now.max(at);
            self.step();
        }
        true
    }

    fn next_time(&self) -> Option<Time> {
        let coming = self.coming.first_key_value().map(|((at, _), _)| *at);
        let engine = self.engine.poll_timeout().map(|(at, _)| at);
        let phones = self.phones.values().filter_map(Phone::timeout).min();
        [coming, engine, phones].into_iter().flatten().min()
    }

    /// One thing happens.
    fn step(&mut self) {
        let now = self.now;
        if self
            .coming
            .first_key_value()
            .is_some_and(|((at, _), _)| *at <= now)
        {
            let Some((_, coming)) = self.coming.pop_first() else {
                return;
            };
            match coming {
                Coming::ToEngine(input) => self.give(input),
                Coming::Datagram { from, to, bytes } if to == self.engine_address => {
                    self.engine_receives(from, bytes)
                }
                Coming::Datagram { from, to, bytes } => {
                    if self.phones.contains_key(&to) {
                        self.with_phone(to, |phone| phone.receive(now, from, bytes));
                    }
                }
            }
        } else if self.engine.poll_timeout().is_some_and(|(at, _)| at <= now) {
            self.engine.handle_timeout(now);
            self.drain();
        } else {
            let due: BTreeSet<SocketAddr> = self
                .phones
                .iter()
                .filter(|(_, phone)| phone.timeout().is_some_and(|at| at <= now))
                .map(|(address, _)| *address)
                .collect();
            if let Some(address) = due.first() {
                self.with_phone(*address, |phone| phone.handle_timeout(now));
            }
        }
    }

    fn engine_receives(&mut self, from: SocketAddr, bytes: Bytes) {
        let peer = sip::Peer {
            transport: sip::Transport::Udp,
            remote: from,
            flow: None,
        };
        let input = match sip::message::Message::parse(bytes.clone()) {
            Ok(message) => sip::Input::Message { peer, message },
            Err(_) => sip::Input::Malformed { peer, bytes },
        };
        self.give(Input::Sip(input));
    }

    /// Puts a phone's messages on the wire.
    fn flush(&mut self, address: SocketAddr) {
        let now = self.now;
        while let Some((to, bytes)) = self
            .phones
            .get_mut(&address)
            .and_then(|phone| phone.poll_transmit(now))
        {
            self.transmit(address, to, bytes);
        }
    }

    fn name_of(&self, address: SocketAddr) -> String {
        if address == self.engine_address {
            "engine".to_owned()
        } else {
            self.phones
                .get(&address)
                .map_or_else(|| address.to_string(), |phone| phone.name.clone())
        }
    }

    fn transmit(&mut self, from: SocketAddr, to: SocketAddr, bytes: Bytes) {
        let start_line = String::from_utf8_lossy(
            bytes
                .split(|&byte| byte == b'\r')
                .next()
                .unwrap_or_default(),
        )
        .into_owned();
        let names = (self.name_of(from), self.name_of(to));
        let wanted = format!("{} {}", names.0, start_line);
        let scripted = self
            .lose
            .iter()
            .position(|lose| wanted.starts_with(lose.as_str()));
        if let Some(index) = scripted {
            self.lose.remove(index);
        }
        let lost = scripted.is_some() || self.dice.percent(self.network.loss_percent);
        self.wire.push(OnWire {
            at: self.now,
            from: names.0,
            to: names.1,
            start_line,
            lost,
            bytes: bytes.clone(),
        });
        if !lost {
            let at = self.now
                + self.network.delay
                + self.dice.between(Duration::ZERO, self.network.jitter);
            self.push(at, Coming::Datagram { from, to, bytes });
        }
    }

    /// Carries out what the engine wants.
    fn drain(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Transmit { peer, bytes } => {
                    self.transmit(self.engine_address, peer.remote, bytes)
                }
                // The simulated network has no names and no connections.
                Output::Edge(_) => {}
                Output::Media { command, .. } => self.media(command),
                Output::Recording {
                    at,
                    recording,
                    step,
                } => self.recorded.push((at, recording, step)),
                Output::Event(event) => {
                    let delivered = Input::Delivered {
                        sequence: event.sequence,
                    };
                    if self.deliver_events {
                        self.push(
                            self.now + Duration::from_millis(2),
                            Coming::ToEngine(delivered),
                        );
                    }
                    self.events.push(event);
                }
                Output::Acd { at, record } => self.acd_records.push((at, record)),
                Output::LookUp { look_up, number } => {
                    let pop = number
                        .e164
                        .and_then(|number| self.customers.get(&number))
                        .cloned()
                        .unwrap_or_default();
                    self.push(
                        self.now + self.look_up_delay,
                        Coming::ToEngine(Input::LookedUp {
                            look_up,
                            pop: Some(pop),
                        }),
                    );
                }
                // There are no services here.
                Output::Ask { contact, ask, .. } => {
                    let answer = ivr::Answer::Failed;
                    self.push(
                        self.now + self.look_up_delay,
                        Coming::ToEngine(Input::Asked {
                            contact,
                            ask,
                            answer,
                        }),
                    );
                }
                Output::Speak { contact, play, .. } => {
                    if let Some((delay, made)) = self.speech {
                        let spoken = Input::Spoken {
                            contact,
                            play,
                            made,
                        };
                        self.push(self.now + delay, Coming::ToEngine(spoken));
                    }
                }
                Output::Reply(reply) => self.replies.push(reply),
                Output::Drained => self.drained = true,
                Output::Count(_)
                | Output::Bindings { .. }
                | Output::Suspect(_)
                | Output::PortsLow { .. }
                | Output::Send(_)
                | Output::Captured(_) => {}
            }
        }
    }

    /// A media plane in name: ports come back, prompts take a second.
    fn media(&mut self, command: media::Command) {
        match &command {
            media::Command::Open { stream, port, .. } => {
                self.streams.insert(*stream, *port);
            }
            media::Command::Play { stream, play, .. } => {
                let played = media::Event::Played {
                    stream: *stream,
                    play: *play,
                };
                self.push(
                    self.now + Duration::from_secs(1),
                    Coming::ToEngine(Input::Media(played)),
                );
            }
            media::Command::Close { stream } => {
                if let Some(port) = self.streams.remove(stream) {
                    let close = media::Close {
                        stream: *stream,
                        port,
                        stats: Default::default(),
                    };
                    self.push(
                        self.now + Duration::from_millis(1),
                        Coming::ToEngine(Input::Media(media::Event::Closed { close })),
                    );
                }
            }
            _ => {}
        }
        self.commands.push(command);
    }

    /// The streams that are open, oldest first.
    pub fn streams(&self) -> impl Iterator<Item = media::StreamId> + '_ {
        self.streams.keys().copied()
    }

    /// Streams that are open.
    pub fn open_streams(&self) -> usize {
        self.streams.len()
    }

    /// The messages so far as a ladder, times relative to `from`.
    pub fn ladder(&self, from: Time) -> String {
        let mut text = String::new();
        for message in self.wire.iter().filter(|message| message.at >= from) {
            let seconds = (message.at - from).as_secs_f64();
            let lost = if message.lost { "  (lost)" } else { "" };
            text.push_str(&format!(
                "{seconds:<7.3} {:>6} -> {:<6} {}{lost}\n",
                message.from, message.to, message.start_line
            ));
        }
        text
    }

    /// The events since a sequence, one a line: type, and the few fields that matter in a ladder.
    pub fn story(&self, after: u64) -> String {
        self.events
            .iter()
            .filter(|event| event.sequence > after)
            .map(|event| crate::story::line(event) + "\n")
            .collect()
    }
}
