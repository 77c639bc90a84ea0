//! The one thread that owns all signalling state: inputs in, outputs acted on, never a wait but for the next of them.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use ::clock::Time;
use crossbeam_channel::Sender;
use engine::api::{Count, Output};
use engine::{Engine, Input};
use metrics::Counters;
use sip::{Peer, Transport};

use crate::bindings::Bindings;
use crate::clock::Clock;
use crate::edge;
use crate::edge::dns::Dns;
use crate::edge::door::{Inbox, Work};
use crate::edge::keeper::Connections;
use crate::edge::outgoing::Outgoing;
use crate::edge::udp;
use crate::fatal;
use crate::hep::Hep;
use crate::journal::{Entry, Journal};
use crate::look_up::LookUps;
use crate::media_thread::MediaThreads;
use crate::recorder::Recorder;
use crate::services::Services;
use crate::speech::Speaker;

/// Inputs handled before what they caused is written down: bounds the size of a batch and how late a deadline can be.
const INPUTS_PER_TURN: usize = 256;
/// Between two looks at what SIP holds.
const GAUGE_EVERY: std::time::Duration = std::time::Duration::from_secs(1);
/// Commands held back for each media thread that hangs; beyond it they are lost with its calls.
const HELD_MAX: usize = 65_536;

/// Everything the engine's outputs go to.
pub struct Wiring {
    pub inbox: Inbox,
    pub clock: Clock,
    pub udp: udp::Sockets,
    pub connections: Connections,
    pub dns: Dns,
    pub media: Arc<MediaThreads>,
    /// Planes that want more ports: binding sockets takes longer than the engine may wait.
    pub ports_low: Sender<u16>,
    pub recorder: Recorder,
    pub journal: Journal,
    pub look_ups: LookUps,
    pub services: Services,
    pub speaker: Speaker,
    pub bindings: Bindings,
    /// Learns where registered phones are.
    pub sources: Arc<edge::guard::Sources>,
    pub counters: Arc<Mutex<Counters>>,
    /// Told when a drain is over.
    pub drained: Sender<()>,
    /// Gets a copy of every SIP message.
    pub hep: Option<Hep>,
}

/// Starts the thread; it ends at [`Work::Stop`].
///
/// # Errors
/// When the system gives no thread.
pub fn spawn(engine: Engine, wiring: Wiring) -> io::Result<JoinHandle<()>> {
    // Made on its thread: it holds what stays there.
    fatal::spawn("engine", move || Turn::new(engine, wiring).run())
}

struct Turn {
    engine: Engine,
    wiring: Wiring,
    /// When the gauges were taken last, and whether something has happened since.
    gauged: Time,
    stale: bool,
    /// Never goes back, though inputs are stamped by several threads.
    now: Time,
    /// Datagrams leave together, at the end of the turn.
    outgoing: Outgoing,
    /// Destinations that datagrams could not be sent to.
    unreached: Vec<SocketAddr>,
    entries: Vec<Entry>,
    counts: Vec<Count>,
    /// Inputs that our own outputs caused at once.
    answers: VecDeque<Input>,
    /// Commands that a media thread had no room for, by plane and in their order: one that hangs does not stop the others. Empty ones are not kept.
    held: BTreeMap<u16, VecDeque<media::Command>>,
}

impl Turn {
    fn new(engine: Engine, wiring: Wiring) -> Turn {
        Turn {
            engine,
            now: wiring.clock.now(),
            gauged: Time::ZERO,
            stale: false,
            outgoing: Outgoing::new(wiring.udp.clone()),
            unreached: Vec::new(),
            wiring,
            entries: Vec::new(),
            counts: Vec::new(),
            answers: VecDeque::new(),
            held: BTreeMap::new(),
        }
    }

    fn run(mut self) {
        loop {
            let going_on = self.wait();
            self.deadlines();
            self.send();
            self.release();
            self.wiring.media.wake();
            self.write_down();
            if !going_on {
                return;
            }
        }
    }

    /// Waits for an input or a deadline, then handles what is there. False at the end.
    fn wait(&mut self) -> bool {
        let gauge = self.stale.then(|| self.gauged + GAUGE_EVERY);
        let due = self.engine.poll_timeout().map(|(at, _)| at);
        let until = [due, gauge].into_iter().flatten().min();
        let until = until.map(|at| self.wiring.clock.instant(at));
        let Some(mut next) = self.wiring.inbox.recv(until) else {
            return true;
        };
        for _ in 0..INPUTS_PER_TURN {
            match next {
                Work::Input { at, input } => {
                    self.now = self.now.max(at);
                    self.handle(input);
                }
                Work::Stop => return false,
            }
            next = match self.wiring.inbox.try_recv() {
                Some(work) => work,
                None => break,
            };
        }
        true
    }

    fn deadlines(&mut self) {
        self.now = self.now.max(self.wiring.clock.now());
        if self
            .engine
            .poll_timeout()
            .is_some_and(|(at, _)| at <= self.now)
        {
            self.engine.handle_timeout(self.now);
            self.act();
        }
    }

    fn handle(&mut self, input: Input) {
        self.engine.handle(self.now, input);
        self.act();
    }

    fn act(&mut self) {
        self.outputs();
        while let Some(answer) = self.answers.pop_front() {
            self.engine.handle(self.now, answer);
            self.outputs();
        }
    }

    fn outputs(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Transmit { peer, bytes } => self.transmit(peer, bytes),
                Output::Edge(edge) => self.edge(edge),
                Output::Media { plane, command } => self.media(plane, command),
                Output::Recording {
                    at,
                    recording,
                    step,
                } => self.wiring.recorder.tell(at, recording, step),
                Output::Event(event) => self.entries.push(Entry::Event(event)),
                Output::Acd { at, record } => self.entries.push(Entry::Acd { at, record }),
                Output::Reply(reply) => self.entries.push(Entry::Reply(reply)),
                Output::LookUp { look_up, number } => {
                    if !self.wiring.look_ups.ask(look_up, number) {
                        self.answers
                            .push_back(Input::LookedUp { look_up, pop: None });
                    }
                }
                Output::Ask {
                    contact,
                    ask,
                    request,
                    within,
                } => {
                    if !self.wiring.services.ask(contact, ask, request, within) {
                        let answer = ivr::Answer::Failed;
                        self.answers.push_back(Input::Asked {
                            contact,
                            ask,
                            answer,
                        });
                    }
                }
                Output::Send(request) => {
                    let service = request.service.clone();
                    if !self.wiring.services.send(*request) {
                        tracing::error!(%service, "a message is lost: too many wait");
                    }
                }
                Output::Speak {
                    contact,
                    play,
                    texts,
                } => {
                    if !self.wiring.speaker.ask(contact, play, texts) {
                        self.answers.push_back(Input::Spoken {
                            contact,
                            play,
                            made: false,
                        });
                    }
                }
                Output::Count(count) => self.counts.push(count),
                Output::Bindings { user, bindings } => {
                    self.wiring.sources.registered(&user, &bindings);
                    self.wiring.bindings.keep(user, bindings);
                }
                Output::Captured(captured) => {
                    if let Some(hep) = &self.wiring.hep {
                        hep.tell(captured);
                    }
                }
                Output::Suspect(suspect) => edge::guard::tell(&suspect),
                Output::PortsLow { plane } => {
                    // Full: a grant is on its way already.
                    let _ = self.wiring.ports_low.try_send(plane);
                }
                Output::Drained => {
                    let _ = self.wiring.drained.try_send(());
                }
            }
        }
    }

    fn media(&mut self, plane: u16, command: media::Command) {
        if let Some(held) = self.held.get_mut(&plane) {
            if held.len() < HELD_MAX {
                held.push_back(command);
            }
        } else if let Err(command) = self.wiring.media.send_later(plane, command) {
            self.held.insert(plane, VecDeque::from([command]));
        }
    }

    /// Tries again what was held back.
    fn release(&mut self) {
        let media = &self.wiring.media;
        self.held.retain(|plane, held| {
            while let Some(command) = held.pop_front() {
                if let Err(command) = media.send_later(*plane, command) {
                    held.push_front(command);
                    return true;
                }
            }
            false
        });
    }

    fn transmit(&mut self, peer: Peer, bytes: bytes::Bytes) {
        let sent = match peer.transport {
            Transport::Udp => {
                self.outgoing.push(peer.remote, bytes, &mut self.unreached);
                true
            }
            Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => {
                self.wiring.connections.send(peer, bytes)
            }
        };
        if !sent {
            self.answers
                .push_back(Input::Sip(sip::Input::Unreachable { peer }));
        }
    }

    fn edge(&mut self, edge: sip::Edge) {
        match edge {
            sip::Edge::Resolve(question) => {
                if !self.wiring.dns.ask(question.clone()) {
                    let answer = sip::locate::Answer::Failed;
                    self.answers
                        .push_back(Input::Sip(sip::Input::Resolved { question, answer }));
                }
            }
            sip::Edge::Domain { remote, name } => self.wiring.connections.domain(remote, name),
            sip::Edge::Alias { flow, remote } => self.wiring.connections.alias(flow, remote),
            sip::Edge::Host(host) => {
                crate::edge::guard::tell_host(&host);
                self.wiring.sources.resolved(&host);
            }
        }
    }

    /// Sends what the turn has written. Who cannot be reached is the engine's business, which may call somebody else: of those there are fewer each time.
    fn send(&mut self) {
        loop {
            self.outgoing.flush(&mut self.unreached);
            if self.unreached.is_empty() {
                return;
            }
            for remote in std::mem::take(&mut self.unreached) {
                let peer = Peer {
                    transport: Transport::Udp,
                    remote,
                    flow: None,
                };
                self.handle(Input::Sip(sip::Input::Unreachable { peer }));
            }
        }
    }

    /// What is held, for the metrics. Counting takes a walk over all registrations, so not in every turn.
    fn gauge(&mut self) {
        self.stale = self.now < self.gauged + GAUGE_EVERY;
        if self.stale {
            return;
        }
        self.gauged = self.now;
        let held = self.engine.sip_counts();
        let mut counters = self
            .wiring
            .counters
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        counters.sip_retransmissions = self.engine.sip_retransmissions();
        counters.sip_server_transactions = held.server_transactions as u64;
        counters.sip_client_transactions = held.client_transactions as u64;
        counters.sip_dialogs = held.dialogs as u64;
        counters.sip_registrations = held.bindings as u64;
        if let Some(hep) = &self.wiring.hep {
            counters.hep_packets = hep.counts();
        }
    }

    fn write_down(&mut self) {
        self.gauge();
        self.wiring.journal.write(std::mem::take(&mut self.entries));
        let counters = || {
            let counters = &self.wiring.counters;
            counters.lock().unwrap_or_else(PoisonError::into_inner)
        };
        self.wiring.inbox.count_turned_away(counters);
        if !self.counts.is_empty() {
            let mut counters = counters();
            self.counts
                .drain(..)
                .for_each(|count| counters.apply(&count));
        }
    }
}
