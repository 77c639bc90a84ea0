//! Passing a caller on, without a word: to an agent's extension, a queue, a flow, or outside. The contact stays one, and nobody is lost on the way.
//!
//! A queue or a flow takes the caller at once. A telephone rings first, with music for the caller: the agent who passes on stays until it
//! answers when the telephone asked (REFER), else until it rings. If it does not answer, the caller goes back to the agent, or, when that one
//! is gone, to the front of the queue that it came from.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clock::Time;
use sip::{Cause, LegId};

use crate::Engine;
use crate::api::{Refusal, Route};
use crate::contact::{Ask, Hold, Holder, LookUp, Stage, Talk, Toward, Transfer};
use crate::event::EventKind;
use crate::hold::book_talk;
use crate::journal::millis;
use crate::offer::SIGN_OF_LIFE;
use crate::outbound::{Barred, Destination, Outside};
use crate::timers::Kind;
use crate::verbs::LastWork;

type Name = Arc<str>;

/// How long an extension rings for a caller who is passed on: music is patient, callers less so.
const TRANSFER_RING: Duration = Duration::from_secs(30);
/// Credit in seconds of a caller whose transfer failed: before everybody who waits.
pub(crate) const FAILED_TRANSFER_CREDIT: i32 = 3_600;

/// Why a caller cannot be passed on: as SIP says it, and in words.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: u16,
    detail: String,
}

impl Failure {
    pub(crate) fn new(status: u16, detail: impl Into<String>) -> Self {
        Failure {
            status,
            detail: detail.into(),
        }
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Refusal {
        match failure.status {
            403 | 404 => Refusal::Invalid(failure.detail),
            _ => Refusal::Conflict(failure.detail),
        }
    }
}

// --- the beginning

impl Engine {
    /// Where a transfer leads, if it may and can begin.
    ///
    /// # Errors
    /// Unknown, busy, full, or not now.
    pub(crate) fn transfer_route(
        &self,
        number: acd::ContactId,
        leg: LegId,
        to: &str,
    ) -> Result<Destination, Failure> {
        let nowhere = || Failure::new(404, format!("{to} leads to no agent, queue or flow"));
        let Some(contact) = self.contacts.get(&number) else {
            return Err(Failure::new(481, "the contact is over"));
        };
        let Stage::Talking(talk) = &contact.stage else {
            return Err(Failure::new(480, "no agent has the contact"));
        };
        if talk.leg != leg && (talk.queue.is_some() || contact.by.is_none()) {
            let detail = "only the agent who serves a queue's contact can pass it on";
            return Err(Failure::new(403, detail));
        }
        if talk.transfer.is_some() {
            return Err(Failure::new(491, "the contact is being passed on already"));
        }
        if talk.consult.is_some() {
            let detail = "the agent consults: complete the transfer, or resume first";
            return Err(Failure::new(491, detail));
        }
        let asks = match talk.leg == leg {
            true => &talk.agent,
            false => contact.by.as_ref().unwrap_or(&talk.agent),
        };
        let destination = self.target(to, asks)?;
        match &destination {
            Destination::Outside(_) => {}
            Destination::Inside(Route::Agent(agent)) => {
                if *agent == talk.agent || contact.by.as_ref() == Some(agent) {
                    return Err(Failure::new(486, format!("{agent} has the contact")));
                }
                self.extension_is_free(agent)
                    .map_err(|status| Failure::new(status, format!("{agent} is not free")))?;
            }
            Destination::Inside(Route::Queue(queue)) => {
                let bound = self.config.acd.queues.iter().find(|set| set.name == *queue);
                if bound.is_none_or(|set| self.acd.waiting(queue) >= set.max_waiting) {
                    return Err(Failure::new(486, format!("queue {queue} takes no more")));
                }
            }
            Destination::Inside(Route::Flow(_)) => {}
            Destination::Inside(Route::Echo | Route::Tone { .. }) => return Err(nowhere()),
        }
        Ok(destination)
    }

    /// What `1002`, `agent:1002`, `queue:sales`, `flow:main` or a dialled number means. Class of service: the agent's who asks.
    fn target(&self, to: &str, asks: &Name) -> Result<Destination, Failure> {
        let named = self.named(to).map(Destination::Inside);
        let dialled = || self.destination(to, &self.classes_of_agent(asks));
        named.map_or_else(dialled, Ok).map_err(|barred| {
            let detail = match barred {
                Barred::Unknown => format!("{to} leads to no agent, queue or flow"),
                Barred::Class => format!("{asks} may not call {to}"),
            };
            Failure::new(barred.status(), detail)
        })
    }

    pub(crate) fn named(&self, to: &str) -> Option<Route> {
        let (kind, name) = to.split_once(':').unwrap_or(("", to));
        let name: Name = name.trim().into();
        match kind {
            "agent" => self
                .config
                .agents
                .contains_key(&name)
                .then_some(Route::Agent(name)),
            "queue" => self
                .config
                .queues
                .contains_key(&name)
                .then_some(Route::Queue(name)),
            "flow" => self.config.flows.get(&name).map(|_| Route::Flow(name)),
            _ => None,
        }
    }

    /// Passes the caller of a talk on. `referred`: a telephone asked by REFER, and what its Referred-By says.
    ///
    /// # Errors
    /// No port is free.
    pub(crate) fn transfer(
        &mut self,
        now: Time,
        number: acd::ContactId,
        leg: LegId,
        destination: Destination,
        referred: Option<Option<Name>>,
    ) -> Result<(), Failure> {
        if self.confers(number) {
            let detail = "a conference is not passed on: hang up to leave it to the others";
            return Err(Failure::new(491, detail));
        }
        self.face(number, leg)
            .map_err(|_| Failure::new(480, "no agent has the contact"))?;
        let route = match destination {
            Destination::Inside(route) => route,
            Destination::Outside(outside) => {
                return self.transfer_outside(now, number, &outside, referred);
            }
        };
        match route {
            Route::Agent(agent) => {
                self.transfer_to_agent(now, number, agent, referred)?;
            }
            Route::Queue(queue) => {
                let to = format!("queue:{queue}").into();
                self.pass_on(now, number, "to_queue", to, referred);
                self.begin_visit(now, number, queue, 0);
            }
            Route::Flow(flow) => {
                let to = format!("flow:{flow}").into();
                self.pass_on(now, number, "blind", to, referred);
                if let Some(caller) = self.contacts.get(&number).map(|contact| contact.caller) {
                    self.set_source(caller, media::Source::Silence);
                }
                self.enter_flow(now, number, &flow);
                self.begin_flow(now, number);
            }
            Route::Echo | Route::Tone { .. } => {}
        }
        Ok(())
    }

    /// The caller leaves the agent for a queue or a flow: that one's part is over.
    fn pass_on(
        &mut self,
        now: Time,
        number: acd::ContactId,
        kind: &str,
        to: Name,
        referred: Option<Option<Name>>,
    ) {
        let Ok(talk) = self.talk_of(number) else {
            return;
        };
        let (leg, from) = (talk.leg, talk.agent.clone());
        if referred.is_some() {
            self.tell_sip(now, sip::Command::ReferProgress { leg, status: 200 });
        }
        self.note_transferred(now, number, kind, from, to, referred.flatten());
        if let Some(hold) = self.leave_talk(now, number).and_then(|talk| talk.hold) {
            self.end_hold(now, number, &hold);
        }
    }

    fn transfer_to_agent(
        &mut self,
        now: Time,
        number: acd::ContactId,
        to: Name,
        referred: Option<Option<Name>>,
    ) -> Result<(), Failure> {
        let occupy = acd::Input::Occupy {
            agent: to.clone(),
            call: number,
        };
        self.tell_acd(now, occupy);
        let Some(leg) = self.place(now, number, &to) else {
            self.vacate(now, number, to);
            return Err(Failure::new(503, "no RTP port is free"));
        };
        self.timers.set(number, Kind::Sign, now + SIGN_OF_LIFE);
        self.ring_for_transfer(now, number, Toward::Agent(to), leg, referred);
        Ok(())
    }

    fn transfer_outside(
        &mut self,
        now: Time,
        number: acd::ContactId,
        outside: &Outside,
        referred: Option<Option<Name>>,
    ) -> Result<(), Failure> {
        let Some(leg) = self.place_outside(now, number, outside) else {
            return Err(Failure::new(503, "no RTP port is free"));
        };
        let to = Toward::Outside(outside.class.clone());
        self.ring_for_transfer(now, number, to, leg, referred);
        Ok(())
    }

    /// Music for the caller while the other telephone rings.
    fn ring_for_transfer(
        &mut self,
        now: Time,
        number: acd::ContactId,
        to: Toward,
        leg: LegId,
        referred: Option<Option<Name>>,
    ) {
        let Some(Stage::Talking(talk)) = self
            .contacts
            .get_mut(&number)
            .map(|contact| &mut contact.stage)
        else {
            return;
        };
        let from = talk.agent.clone();
        talk.transfer = Some(Transfer {
            to,
            leg,
            since: now,
            from: from.clone(),
            queue: talk.queue.clone(),
            referred: referred.is_some(),
            referred_by: referred.flatten(),
        });
        self.timers.set(number, Kind::Direct, now + TRANSFER_RING);
        self.set_hold(now, number, Holder::Transfer, true, from);
    }
}

// --- while the other extension rings

impl Engine {
    /// The transfer of a contact that rings.
    fn transfer_of(&self, number: acd::ContactId) -> Option<&Transfer> {
        match &self.contacts.get(&number)?.stage {
            Stage::Talking(talk) => talk.transfer.as_ref(),
            Stage::Transferring { transfer, .. } => Some(transfer),
            _ => None,
        }
    }

    pub(crate) fn is_transfer_leg(&self, number: acd::ContactId, leg: LegId) -> bool {
        self.transfer_of(number)
            .is_some_and(|transfer| transfer.leg == leg)
    }

    /// The other telephone rings: a desk's agent is let go, a telephone that asked is told.
    pub(crate) fn transfer_rings(&mut self, now: Time, number: acd::ContactId, leg: LegId) {
        let Some(Stage::Talking(talk)) = self.contacts.get(&number).map(|contact| &contact.stage)
        else {
            return;
        };
        let Some(transfer) = talk
            .transfer
            .as_ref()
            .filter(|transfer| transfer.leg == leg)
        else {
            return;
        };
        if transfer.referred {
            let leg = talk.leg;
            self.tell_sip(now, sip::Command::ReferProgress { leg, status: 180 });
        } else {
            self.let_go(now, number);
        }
    }

    /// The agent who passes on is done, though the other one has not answered.
    pub(crate) fn let_go(&mut self, now: Time, number: acd::ContactId) {
        let Some(mut talk) = self.leave_talk(now, number) else {
            return;
        };
        let Some(transfer) = talk.transfer.take() else {
            return;
        };
        let to = transfer.to.name();
        let (from, referred_by) = (transfer.from.clone(), transfer.referred_by.clone());
        let hold = talk.hold.take().unwrap_or(Hold {
            by: [Holder::Transfer].into(),
            since: now,
        });
        if let Some(contact) = self.contacts.get_mut(&number) {
            contact.stage = Stage::Transferring { transfer, hold };
        }
        self.note_transferred(now, number, "blind", from, to, referred_by);
    }

    /// One of a transfer's two telephones is gone; true if that is dealt with.
    pub(crate) fn transfer_leg_gone(
        &mut self,
        now: Time,
        number: acd::ContactId,
        leg: LegId,
        cause: &Cause,
    ) -> bool {
        if self.is_transfer_leg(number, leg) {
            self.transfer_failed(now, number, crate::direct::status_of(cause));
            return true;
        }
        let Some(Stage::Talking(talk)) = self.contacts.get(&number).map(|contact| &contact.stage)
        else {
            return false;
        };
        let leaves = talk.leg == leg && talk.transfer.is_some();
        if leaves {
            self.let_go(now, number);
        }
        leaves
    }

    /// It has rung long enough; true if it was a transfer that rang.
    pub(crate) fn transfer_unanswered(&mut self, now: Time, number: acd::ContactId) -> bool {
        let Some(leg) = self.transfer_of(number).map(|transfer| transfer.leg) else {
            return false;
        };
        self.end_leg(now, leg, None);
        self.transfer_failed(now, number, 480);
        true
    }

    /// The other telephone has not even said that it tries.
    pub(crate) fn transfer_without_sign(&mut self, now: Time, number: acd::ContactId) {
        let leg = self.transfer_of(number).map(|transfer| transfer.leg);
        let inviting = |leg: &LegId| {
            self.legs
                .get(leg)
                .is_some_and(|leg| leg.state == crate::contact::LegState::Inviting)
        };
        if leg.as_ref().is_some_and(inviting) {
            self.transfer_unanswered(now, number);
        }
    }
}

// --- its end

impl Engine {
    /// The other telephone has answered.
    pub(crate) fn transfer_answered(
        &mut self,
        now: Time,
        number: acd::ContactId,
        leg: LegId,
        fits: bool,
    ) {
        if !fits {
            self.end_leg(now, leg, Some("SIP;cause=488;text=\"Not Acceptable Here\""));
            return self.transfer_failed(now, number, 488);
        }
        self.timers.clear(number, Kind::Direct);
        self.timers.clear(number, Kind::Sign);
        if let Some(Stage::Talking(talk)) = self.contacts.get(&number).map(|contact| &contact.stage)
        {
            let leg = talk.leg;
            self.tell_sip(now, sip::Command::ReferProgress { leg, status: 200 });
            self.let_go(now, number);
        }
        let Some(contact) = self.contacts.get_mut(&number) else {
            return;
        };
        let (transfer, hold) = match std::mem::replace(&mut contact.stage, Stage::Ivr) {
            Stage::Transferring { transfer, hold } => (transfer, hold),
            other => {
                contact.stage = other;
                return;
            }
        };
        self.end_hold(now, number, &hold);
        let rang_ms = millis(now - transfer.since);
        match transfer.to {
            Toward::Agent(agent) => {
                self.take_over(now, number, agent, leg, transfer.queue, rang_ms);
            }
            Toward::Outside(_) => self.talk_outside(now, number, leg),
        }
    }

    /// The caller talks with somebody outside, and no agent is there any more.
    pub(crate) fn talk_outside(&mut self, now: Time, number: acd::ContactId, leg: LegId) {
        let Some(contact) = self.contacts.get_mut(&number) else {
            return;
        };
        contact.stage = Stage::Outside {
            leg,
            since: now,
            answered: true,
        };
        self.connect(number);
    }

    /// The agent on `leg` has the contact now, as work of the queue that it came from.
    pub(crate) fn take_over(
        &mut self,
        now: Time,
        number: acd::ContactId,
        agent: Name,
        leg: LegId,
        queue: Option<Name>,
        rang_ms: u64,
    ) {
        let known = self.is_connected(number, &agent);
        if let Some(queue) = queue.clone().filter(|_| !known) {
            let take = acd::Input::Take {
                contact: number,
                agent: agent.clone(),
                queue,
            };
            self.tell_acd(now, take);
        }
        let queue = queue.filter(|_| self.is_connected(number, &agent));
        // Work that a queue's consultation began is counted with that.
        let of_queue = queue.clone().filter(|_| !known);
        let group = self.group_of(&agent);
        let Some(contact) = self.contacts.get_mut(&number) else {
            return;
        };
        contact.stage = Stage::Talking(Talk::new(agent.clone(), leg, queue.clone(), now));
        contact.answered_agent = Some(agent.clone());
        let caller = contact.caller;
        let kind = EventKind::ContactAnswered {
            contact: contact.id.clone(),
            queue: of_queue,
            visit: contact.visits,
            agent,
            group,
            wait_ms: 0,
            rang_ms,
            transferred: true,
        };
        self.note(now, number, kind);
        self.begin_talk(now, number, caller, leg);
    }

    /// The other extension did not take the caller, who goes back.
    fn transfer_failed(&mut self, now: Time, number: acd::ContactId, status: u16) {
        self.timers.clear(number, Kind::Direct);
        self.timers.clear(number, Kind::Sign);
        let Some(contact) = self.contacts.get_mut(&number) else {
            return;
        };
        if let Stage::Talking(talk) = &mut contact.stage {
            let Some(transfer) = talk.transfer.take() else {
                return;
            };
            let leg = talk.leg;
            self.free_target(now, number, &transfer);
            self.note_failed(now, number, &transfer, status, "agent");
            self.set_hold(now, number, Holder::Transfer, false, transfer.from);
            return self.tell_sip(now, sip::Command::ReferProgress { leg, status });
        }
        match std::mem::replace(&mut contact.stage, Stage::Ivr) {
            Stage::Transferring { transfer, hold } => {
                self.end_hold(now, number, &hold);
                self.free_target(now, number, &transfer);
                self.send_back(now, number, &transfer, status);
            }
            other => contact.stage = other,
        }
    }

    /// Nobody is there to take the caller back: the front of the queue, the flow, or an end with its reason.
    fn send_back(&mut self, now: Time, number: acd::ContactId, transfer: &Transfer, status: u16) {
        let known = |queue: &Name| self.config.queues.contains_key(queue);
        if let Some(queue) = transfer.queue.clone().filter(known) {
            self.note_failed(now, number, transfer, status, "queue");
            return self.begin_visit(now, number, queue, FAILED_TRANSFER_CREDIT);
        }
        let flow = self
            .contacts
            .get(&number)
            .is_some_and(|contact| contact.session.is_some());
        let back = if flow { "flow" } else { "closed" };
        self.note_failed(now, number, transfer, status, back);
        if !self.return_to_flow(now, number, "failed") {
            self.close(now, number, "transfer_failed");
        }
    }

    /// The contact ends while the other extension rings.
    pub(crate) fn give_up_transfer(
        &mut self,
        now: Time,
        number: acd::ContactId,
        transfer: &Transfer,
    ) {
        self.end_leg(now, transfer.leg, None);
        self.free_target(now, number, transfer);
    }

    fn free_target(&mut self, now: Time, number: acd::ContactId, transfer: &Transfer) {
        if let Toward::Agent(agent) = &transfer.to {
            self.vacate(now, number, agent.clone());
        }
    }
}

// --- small steps

impl Engine {
    /// The agent of a talk is done with a contact that goes on: what was said is booked, wrap-up begins, the leg ends.
    /// A hold that lasts is the caller's to keep, and its end to be told.
    pub(crate) fn leave_talk(&mut self, now: Time, number: acd::ContactId) -> Option<Talk> {
        let contact = self.contacts.get_mut(&number)?;
        let talk = match std::mem::replace(&mut contact.stage, Stage::Ivr) {
            Stage::Talking(talk) => talk,
            other => {
                contact.stage = other;
                return None;
            }
        };
        book_talk(contact, &talk, now);
        let work = LastWork::new(number, contact);
        let agent = talk.agent.clone();
        self.record(now, number, None);
        match talk.queue {
            Some(_) => {
                self.last_work.insert(agent.clone(), work);
                let finished = acd::Input::Finished {
                    contact: number,
                    agent: agent.clone(),
                    wrap_up: true,
                };
                self.tell_acd(now, finished);
                let apart = acd::Input::KeepApart {
                    contact: number,
                    agent,
                };
                self.tell_acd(now, apart);
            }
            None => self.vacate(now, number, agent),
        }
        self.end_leg(now, talk.leg, None);
        Some(talk)
    }

    /// A hold that outlived its talk is over.
    pub(crate) fn end_hold(&mut self, now: Time, number: acd::ContactId, hold: &Hold) {
        let Some(contact) = self.contacts.get_mut(&number) else {
            return;
        };
        let held_ms = millis(now - hold.since);
        contact.hold_ms += held_ms;
        let kind = EventKind::ContactResumed {
            contact: contact.id.clone(),
            agent: None,
            by: "transfer".into(),
            held_ms,
        };
        self.note(now, number, kind);
    }

    /// A visit of an answered caller, who may never have been looked up.
    pub(crate) fn begin_visit(
        &mut self,
        now: Time,
        number: acd::ContactId,
        queue: Name,
        priority: i32,
    ) {
        let Some(contact) = self.contacts.get(&number) else {
            return;
        };
        if matches!(contact.look_up, LookUp::Pending { .. }) {
            self.look_up(now, number);
        }
        let ask = Ask {
            queue,
            skills: BTreeMap::new(),
            priority,
            ..Ask::default()
        };
        self.ask_for_queue(now, number, ask);
    }

    pub(crate) fn vacate(&mut self, now: Time, call: acd::ContactId, agent: Name) {
        self.tell_acd(now, acd::Input::Vacate { agent, call });
    }

    fn note_transferred(
        &mut self,
        now: Time,
        number: acd::ContactId,
        kind: &str,
        from: Name,
        to: Name,
        referred_by: Option<Name>,
    ) {
        let Some(contact) = self.contacts.get(&number) else {
            return;
        };
        let kind = EventKind::ContactTransferred {
            contact: contact.id.clone(),
            kind: kind.into(),
            from: Some(from),
            to,
            consult: None,
            referred_by,
        };
        self.note(now, number, kind);
    }

    fn note_failed(
        &mut self,
        now: Time,
        number: acd::ContactId,
        transfer: &Transfer,
        status: u16,
        back: &str,
    ) {
        let Some(contact) = self.contacts.get(&number) else {
            return;
        };
        let kind = EventKind::ContactTransferFailed {
            contact: contact.id.clone(),
            from: transfer.from.clone(),
            to: transfer.to.name(),
            status,
            back: back.into(),
        };
        self.note(now, number, kind);
    }
}
