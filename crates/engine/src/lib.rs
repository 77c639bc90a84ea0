//! The engine: composes SIP, media, IVR, ACD and CRM into calls, legs, contacts and bridges. It knows all five and no socket.
//!
//! [`Engine`] is one value with `handle`, `handle_timeout`, `poll_output`, `poll_timeout`: one mutation, then drain the outputs.
//! Each file is one part of a contact's way: `arrive`, `dialogue` (the flow), `waiting` (the queue), `offer` (the agent's phone),
//! `direct` (extensions), `outbound` (trunks, class of service), `identity` (who calls, and who is shown it), `secrecy` (encryption), `talk` (bridge), `hold`, `verbs` (what desk and API do with a contact),
//! `transfer`, `consult`, `refer` and `replaces` (calls that move), `conference`, `supervise`, `hearing` (who hears whom), `close` (the end), `control` (commands, configuration, drain, restart).
//!
//! Absent on purpose: sockets, threads, files, clocks. A decision is data that can be logged, explained and replayed.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use clock::Time;

pub mod api;
pub mod event;

mod arrive;
mod close;
mod codes;
mod conference;
mod consult;
mod contact;
mod control;
mod dialogue;
mod digits;
mod direct;
mod early;
mod hearing;
mod hold;
pub mod identity;
pub mod inbound;
mod journal;
mod ladder;
mod legs;
mod memory;
mod offer;
pub mod outbound;
mod overflow;
mod pickup;
mod ports;
mod quality;
pub mod recording;
mod refer;
mod replaces;
pub mod secrecy;
mod speech;
mod supervise;
mod survey;
mod talk;
mod timers;
mod transfer;
mod verbs;
mod waiting;

pub use sip::TrunkState;

pub use api::{
    AcdRecord, AgentAccount, Answer, AutoAnswer, Command, Config, Count, Input, OpenContact,
    Output, Oversight, QueueService, Recorded, RecordingStep, Refusal, Reply, Route,
    SavedRecording, Start, Token, Verb,
};
pub use event::{
    AgentState, ContactId, Direction, Event, EventKind, EventRecord, Exit, LegQuality, Outcome,
    Stage,
};
pub use ladder::LadderMessage;
pub use media::Stats as StreamStats;
pub use recording::RecordRule;
pub use sip::{LegId, Peer, Transport};

use contact::{Contact, Leg};
use journal::Journal;
use ladder::Ladders;
use memory::Memory;
use ports::Ports;
use timers::{Kind, Timers};

/// The whole of signalling and routing: one owner, no locks.
pub struct Engine {
    config: Arc<Config>,
    sip: sip::Endpoint,
    acd: acd::Acd,
    journal: Journal,
    timers: Timers,
    ports: Ports,
    contacts: HashMap<acd::ContactId, Contact>,
    legs: HashMap<sip::LegId, Leg>,
    /// Offers that wait for their pop to be delivered, by the sequence of `contact.offered`.
    pops: VecDeque<(u64, acd::ContactId)>,
    audience: usize,
    next_play: u64,
    next_ask: u64,
    ssrc_seed: u32,
    secrets: secrecy::Secrets,
    door: Option<secrecy::Door>,
    draining: bool,
    /// Calls to feature codes, by their leg.
    codes: HashMap<sip::LegId, codes::CodeCall>,
    qualities: quality::Qualities,
    /// Each agent's last work item, for its disposition.
    last_work: BTreeMap<Arc<str>, verbs::LastWork>,
    /// Extensions whose telephones supervise.
    supervising: BTreeSet<Arc<str>>,
    memory: Memory,
    ladders: Ladders,
}

impl Engine {
    /// An engine that has not started: give it [`Input::Start`] first. `seed` feeds tags, branches and nonces and comes from a CSPRNG.
    pub fn new(config: Arc<Config>, seed: [u8; 32]) -> Self {
        let mut ladders = Ladders::default();
        ladders.capture(config.capture);
        Engine {
            sip: sip::Endpoint::new(Arc::new(config.sip.clone()), seed),
            acd: acd::Acd::new(),
            journal: Journal::new(config.node.clone()),
            timers: Timers::default(),
            ports: Ports::default(),
            contacts: HashMap::new(),
            legs: HashMap::new(),
            pops: VecDeque::new(),
            audience: 0,
            next_play: 1,
            next_ask: 1,
            secrets: secrecy::Secrets::new(seed),
            door: None,
            ssrc_seed: u32::from_be_bytes([seed[0], seed[1], seed[2], seed[3]]),
            draining: false,
            codes: HashMap::new(),
            qualities: quality::Qualities::default(),
            last_work: BTreeMap::new(),
            supervising: BTreeSet::new(),
            memory: Memory::default(),
            ladders,
            config,
        }
    }

    /// Something has happened. Drain [`Engine::poll_output`] before the next call.
    pub fn handle(&mut self, now: Time, input: Input) {
        // What is due comes first: an answer at the ring deadline is too late for the distributor, so it must be for us.
        if self.poll_timeout().is_some_and(|(at, _)| at <= now) {
            self.handle_timeout(now);
        }
        match input {
            Input::Sip(input) => {
                if let sip::Input::Message { peer, message } = &input {
                    self.ladders.received(now, *peer, message);
                }
                self.sip.handle(now, input);
            }
            Input::Media(event) => self.on_media(now, event),
            Input::Door(door) => self.door = Some(door),
            Input::PortsGranted(ports) => self.ports.granted(ports),
            Input::LookedUp { look_up, pop } => self.looked_up(now, acd::ContactId(look_up), pop),
            Input::Asked {
                contact,
                ask,
                answer,
            } => self.flow_answered(now, contact, ask, answer),
            Input::Spoken {
                contact,
                play,
                made,
            } => self.spoken(acd::ContactId(contact), play, made),
            Input::Delivered { sequence } => self.delivered(now, sequence),
            Input::Audience { count } => self.audience_changed(now, count),
            Input::Command { token, command } => self.command(now, token, command),
            Input::Recorded(recorded) => self.recorded(now, recorded),
            Input::Audit(note) => self.note_audit(now, note),
            Input::Configure {
                config,
                by,
                summary,
            } => self.configure(now, config, by, summary),
            Input::Drain { within } => self.drain(now, within),
            Input::Start(start) => self.start(now, start),
        }
        self.settle(now);
    }

    /// The time that [`Engine::poll_timeout`] named has come.
    pub fn handle_timeout(&mut self, now: Time) {
        if self.sip.poll_timeout().is_some_and(|(at, _)| at <= now) {
            self.sip.handle_timeout(now);
        }
        if self.acd.poll_timeout().is_some_and(|(at, _)| at <= now) {
            self.journal.acd(now, AcdRecord::Timeout);
            self.acd.handle_timeout(now);
        }
        self.settle(now);
        while let Some((number, kind)) = self.timers.due(now) {
            self.deadline(now, number, kind);
            self.settle(now);
        }
    }

    /// What the engine wants done next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.journal.take()
    }

    /// When [`Engine::handle_timeout`] wants to be called, and why.
    pub fn poll_timeout(&self) -> Option<(Time, &'static str)> {
        [
            self.sip.poll_timeout(),
            self.acd.poll_timeout(),
            self.timers.next(),
        ]
        .into_iter()
        .flatten()
        .min_by_key(|&(at, _)| at)
    }

    /// Contacts that are not closed.
    pub fn open_contacts(&self) -> usize {
        self.contacts.len() + self.qualities.closing()
    }

    /// Legs that are not gone.
    pub fn open_legs(&self) -> usize {
        self.legs.len()
    }

    /// The distributor, to look at (tests, invariants).
    pub fn acd(&self) -> &acd::Acd {
        &self.acd
    }

    /// Lets SIP and ACD have their say until nothing is left.
    fn settle(&mut self, now: Time) {
        loop {
            if let Some(output) = self.sip.poll_output() {
                self.on_sip(now, output);
            } else if let Some(output) = self.acd.poll_output() {
                self.on_acd(now, output);
            } else {
                break;
            }
        }
        while let Some(plane) = self.ports.low(self.config.agents.len()) {
            self.journal.put(Output::PortsLow { plane });
        }
        self.tell_captured();
        self.ladders.step_over();
    }

    fn tell_captured(&mut self) {
        let legs = &self.legs;
        let told = self
            .ladders
            .captured(|leg| legs.get(&leg).and_then(|leg| leg.contact));
        for (mut captured, contact) in told {
            captured.contact = contact.map(|number| self.journal.contact_name(number));
            self.journal.put(Output::Captured(captured));
        }
    }

    /// Transactions, dialogs and the like that are held at the moment.
    pub fn sip_counts(&self) -> sip::Counts {
        self.sip.counts()
    }

    /// Messages that came again, and that we sent again, since the start.
    pub fn sip_retransmissions(&self) -> [u64; 2] {
        self.sip.retransmissions()
    }

    fn on_sip(&mut self, now: Time, output: sip::Output) {
        match output {
            sip::Output::Transmit { peer, bytes } => {
                self.ladders.sent(now, peer, &bytes);
                self.journal.put(Output::Transmit { peer, bytes });
            }
            sip::Output::Event(event) => self.on_sip_event(now, event),
            sip::Output::Edge(edge) => self.journal.put(Output::Edge(edge)),
        }
    }

    fn on_sip_event(&mut self, now: Time, event: sip::Event) {
        match event {
            sip::Event::Incoming(incoming) => {
                let party = match &incoming.identity {
                    sip::Identity::User(user) => user.clone(),
                    sip::Identity::Trunk(_) => "caller".into(),
                };
                self.ladders
                    .begins(incoming.leg, &incoming.call_id, party, true);
                self.arrive(now, incoming)
            }
            sip::Event::Placed {
                leg,
                call_id,
                party,
            } => self.ladders.begins(leg, &call_id, party, false),
            sip::Event::Trying { leg } => self.lives(leg),
            sip::Event::Ringing { leg, sdp, .. } => self.rings(now, leg, sdp.as_ref()),
            sip::Event::Answered { leg, sdp, peer } => self.answered(now, leg, sdp, peer),
            sip::Event::Confirmed { leg, sdp } => self.confirmed(now, leg, sdp),
            sip::Event::Reoffered { leg, sdp } => self.reoffered(now, leg, sdp),
            sip::Event::ReofferAccepted { leg, sdp } => {
                self.reoffer_accepted(now, leg, sdp.as_ref());
            }
            sip::Event::ReofferRejected { .. } => {}
            sip::Event::Digit { leg, pressed } => self.digit_by_info(now, leg, pressed),
            sip::Event::Referred { leg, referral } => self.referred(now, leg, referral),
            // We never send one.
            sip::Event::ReferAnswered { .. } | sip::Event::ReferNotified { .. } => {}
            sip::Event::EarlyAnswer { leg, sdp } => self.early_answer(now, leg, &sdp),
            sip::Event::Gone { leg, cause, reason } => {
                if let Some(contact) = self.legs.get(&leg).and_then(|leg| leg.contact) {
                    self.ladders.leaves(leg, contact);
                }
                self.keep_reason(leg, &cause, reason);
                self.gone(now, leg, cause);
                self.ladders.gone(leg);
            }
            sip::Event::Registration(registration) => {
                self.journal.put(Output::Bindings {
                    user: registration.user.clone(),
                    bindings: self.sip.bindings_of(&registration.user).to_vec(),
                });
                // A fixed contact is called whatever registers.
                let account = self.config.agents.get(&registration.user);
                if account.is_some_and(|account| account.contact.is_none()) {
                    self.tell_acd(
                        now,
                        acd::Input::Presence {
                            agent: registration.user,
                            reachable: registration.reachable,
                        },
                    );
                }
            }
            sip::Event::PhoneLives { user } => {
                // A call that it did not answer may have said otherwise.
                if matches!(self.acd.state(&user), Some(acd::State::Unreachable)) {
                    self.phone_is(now, user, true);
                }
            }
            sip::Event::FixedPhone { user, reachable } => self.phone_is(now, user, reachable),
            sip::Event::Trunk(state) => self.journal.put(Output::Count(Count::Trunk(state))),
            sip::Event::TrunkCall { trunk, outbound } => self
                .journal
                .put(Output::Count(Count::TrunkCall { trunk, outbound })),
            sip::Event::TrunkRefused { trunk, reason } => self
                .journal
                .put(Output::Count(Count::TrunkRefused { trunk, reason })),
            sip::Event::Suspect(suspect) => self.journal.put(Output::Suspect(suspect)),
            sip::Event::Counted { what } => {
                self.journal.put(Output::Count(Count::SipRefused { what }))
            }
            sip::Event::Traffic {
                outbound,
                method,
                class,
            } => {
                self.journal.put(Output::Count(Count::SipMessage {
                    outbound,
                    method,
                    class,
                }));
            }
        }
    }

    fn phone_is(&mut self, now: Time, agent: Arc<str>, reachable: bool) {
        if self.config.agents.contains_key(&agent) {
            self.tell_acd(now, acd::Input::Presence { agent, reachable });
        }
    }

    fn on_acd(&mut self, now: Time, output: acd::Output) {
        match output {
            acd::Output::Offered {
                contact,
                queue,
                agent,
                ring,
                decision,
            } => {
                self.memory.decided(now, contact, &queue, &decision);
                self.journal.acd(
                    now,
                    AcdRecord::Decision {
                        contact,
                        queue: queue.clone(),
                        decision: *decision,
                    },
                );
                self.offered(now, contact, queue, agent, ring);
            }
            acd::Output::OfferEnded {
                contact,
                agent,
                reason,
                ..
            } => self.offer_ended(now, contact, &agent, reason),
            acd::Output::Agent { agent, state, .. } => self.agent_changed(now, agent, &state),
            acd::Output::Refused {
                contact,
                queue,
                known,
            } => self.refused(now, contact, &queue, known),
            acd::Output::Left {
                contact,
                queue,
                why,
            } => self.left_queue(now, contact, &queue, why),
            // The engine has detached no contact.
            acd::Output::Turn { .. } => {}
        }
    }

    fn on_media(&mut self, now: Time, event: media::Event) {
        match event {
            media::Event::Dtmf { stream, digit } => {
                self.digit_in_rtp(now, sip::LegId(stream.0), digit)
            }
            media::Event::Played { stream, play } => self.played(now, sip::LegId(stream.0), play),
            media::Event::Flowing { .. } => {}
            media::Event::Starved { stream } => self.starved(now, sip::LegId(stream.0)),
            media::Event::Closed { close } => {
                self.ports.put(close.port);
                self.journal.put(Output::Count(Count::Media(close.stats)));
                self.stream_closed(now, sip::LegId(close.stream.0), &close.stats);
                self.journal
                    .put(Output::Count(Count::RtpStreams { active: -1 }));
            }
        }
    }

    fn deadline(&mut self, now: Time, number: acd::ContactId, kind: Kind) {
        match kind {
            Kind::LookUp => self.look_up_late(now, number),
            Kind::Pop => self.call_agent(now, number),
            Kind::Sign => self.no_sign_of_life(now, number),
            Kind::Ivr => self.ivr_deadline(now, number),
            Kind::Speech => self.speech_late(number),
            Kind::Announce => self.announce(now, number),
            Kind::Direct => self.direct_unanswered(now, number),
            Kind::MaxCall => self.close(now, number, "max_call"),
            Kind::Code(leg) => self.code_deadline(now, leg),
            Kind::Member(leg) => self.member_unanswered(now, number, leg),
            Kind::Supervisor(leg) => self.end_supervision(now, number, leg),
            Kind::Quality => self.quality_settled(now, number),
            Kind::Drain => self.drain_over(now),
        }
    }

    /// Gives the distributor an input, and the log a copy of it.
    fn tell_acd(&mut self, now: Time, input: acd::Input) {
        self.journal.acd(now, AcdRecord::Input(input.clone()));
        self.acd.handle(now, input);
    }

    fn tell_sip(&mut self, now: Time, command: sip::Command) {
        let placed = match &command {
            sip::Command::Invite(invite) => Some((invite.leg, party(&invite.target))),
            _ => None,
        };
        self.sip.handle(now, sip::Input::Command(command));
        if let Some((leg, party)) = placed
            && let Some(call_id) = self.sip.call_id(leg)
        {
            self.ladders.begins(leg, call_id, party, false);
        }
    }

    /// Writes an event of a contact.
    fn note(&mut self, now: Time, number: acd::ContactId, kind: EventKind) -> u64 {
        let person = self.contacts.get(&number).map(|contact| &contact.person);
        self.journal.event(now, person, kind)
    }

    fn group_of(&self, agent: &str) -> Arc<str> {
        self.config
            .agents
            .get(agent)
            .map_or_else(|| "all".into(), |account| account.group.clone())
    }
}

/// Who is called, for a ladder's column.
fn party(target: &sip::Target) -> Arc<str> {
    match target {
        sip::Target::User(user) | sip::Target::Binding { user, .. } => user.clone(),
        sip::Target::Trunks(_) => "outside".into(),
        sip::Target::Uri(uri) => {
            let parsed = sip::message::Uri::parse(uri).ok();
            let user = parsed.and_then(|uri| uri.user());
            user.map_or_else(|| uri.clone(), |user| user.as_ref().into())
        }
    }
}
