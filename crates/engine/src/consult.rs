//! Consultation and attended transfer. Whom an agent asks is a contact of its own, linked to the first; when the transfer completes, the two
//! others are joined and the consultation has become part of the first contact.
//!
//! A desk's consultation shares the agent's one leg: it is the second contact's caller while the first one's caller hears music. A telephone's
//! has a leg of its own, and completes with a REFER that names it by Replaces. From there on both are the same.

use std::sync::Arc;

use clock::Time;
use sip::{Identity, Incoming, LegId};

use crate::Engine;
use crate::api::Route;
use crate::arrive::{Lead, entry_name};
use crate::contact::{Beginning, Contact, Holder, LookUp, Stage, Talk};
use crate::event::{Direction, EventKind, Outcome};
use crate::hold::book_talk;
use crate::journal::millis;
use crate::outbound::Destination;
use crate::timers::Kind;
use crate::transfer::{FAILED_TRANSFER_CREDIT, Failure};

type Name = Arc<str>;

/// Who is at the other end of an agent's talk.
pub(crate) struct Side {
    pub(crate) leg: LegId,
    pub(crate) agent: Option<Name>,
    pub(crate) queue: Option<Name>,
}

// --- the beginning and the end of a desk's consultation

impl Engine {
    /// Calls somebody on the agent's leg, with music for the caller.
    pub(crate) fn consult(
        &mut self,
        now: Time,
        number: acd::ContactId,
        leg: LegId,
        to: &str,
    ) -> Result<(), Failure> {
        let destination = self.transfer_route(number, leg, to)?;
        if matches!(destination, Destination::Inside(Route::Flow(_))) {
            return Err(Failure::new(404, "nobody can be consulted in a flow"));
        }
        self.face(number, leg)
            .map_err(|_| Failure::new(480, "no agent has the contact"))?;
        let Ok(talk) = self.talk_of(number) else {
            return Err(Failure::new(480, "no agent has the contact"));
        };
        let agent = talk.agent.clone();
        let consult = self.make_consult(now, number, &agent, to, &destination);
        if let Some(Stage::Talking(talk)) = self
            .contacts
            .get_mut(&number)
            .map(|contact| &mut contact.stage)
        {
            talk.consult = Some(consult);
        }
        self.set_hold(now, number, Holder::Desk, true, agent.clone());
        self.set_source(leg, media::Source::Silence);
        self.tell_acd(
            now,
            acd::Input::Occupy {
                agent,
                call: consult,
            },
        );
        match destination {
            Destination::Inside(Route::Agent(agent)) => self.call_extension(now, consult, agent),
            Destination::Inside(Route::Queue(queue)) => self.begin_visit(now, consult, queue, 0),
            Destination::Outside(outside) => self.call_outside(now, consult, &outside),
            Destination::Inside(Route::Flow(_) | Route::Echo | Route::Tone { .. }) => {}
        }
        Ok(())
    }

    fn make_consult(
        &mut self,
        now: Time,
        of: acd::ContactId,
        agent: &Name,
        to: &str,
        destination: &Destination,
    ) -> acd::ContactId {
        let (number, id) = self.journal.new_contact();
        let leg = self.talk_of(of).map_or(LegId(0), |talk| talk.leg);
        let (entry, direction, ani) = match destination {
            Destination::Inside(route) => {
                let entry = entry_name(&Lead::Route(route.clone()));
                (entry, Direction::Internal, agent)
            }
            Destination::Outside(outside) => {
                let entry = entry_name(&Lead::Outside(outside.clone()));
                (entry, Direction::Outbound, &outside.number)
            }
        };
        let ani = crm::Number::parse(ani, &self.config.country);
        let dnis: Name = to.into();
        let account = self.config.agents.get(agent);
        let mut contact = Contact::new(Beginning {
            id: id.clone(),
            direction,
            arrived: now,
            ani,
            dnis: dnis.clone(),
            by: Some(agent.clone()),
            may_call: [].into(),
            caller: leg,
            caller_display: account.map(|account| account.name.clone()),
            withheld: false,
            signalling: None,
            lang: self.config.default_lang,
        });
        contact.consults_for = Some(of);
        // A colleague is no customer.
        contact.look_up = LookUp::Done(crm::Pop::default());
        self.contacts.insert(number, contact);
        self.timers
            .set(number, Kind::MaxCall, now + self.config.max_call);
        let kind = EventKind::ContactArrived {
            contact: id,
            channel: "voice".into(),
            direction,
            entry,
            trunk: None,
            by: Some(agent.clone()),
            ani: Some(agent.to_string()),
            dnis,
            withheld: false,
            signalling: None,
        };
        self.note(now, number, kind);
        number
    }

    /// A consultation is over: its agent hears what the first contact has for them.
    pub(crate) fn consult_closed(&mut self, number: acd::ContactId, contact: &Contact) {
        let Some(of) = contact.consults_for else {
            return;
        };
        let Some(Stage::Talking(talk)) =
            self.contacts.get_mut(&of).map(|contact| &mut contact.stage)
        else {
            return;
        };
        if talk.consult == Some(number) {
            talk.consult = None;
            self.hear(of);
        }
    }

    /// The caller has gone while the agent consults: the two go on talking. False when there is no consultation.
    pub(crate) fn consult_goes_on(&mut self, talk: &Talk) -> bool {
        let Some(consult) = talk.consult else {
            return false;
        };
        let (Some(leg), Some(contact)) = (
            self.legs.get_mut(&talk.leg),
            self.contacts.get_mut(&consult),
        ) else {
            return false;
        };
        leg.contact = Some(consult);
        contact.consults_for = None;
        true
    }

    /// The agent has hung up while consulting: what they began is completed. True if that leg was so.
    pub(crate) fn consult_leg_gone(
        &mut self,
        now: Time,
        number: acd::ContactId,
        leg: LegId,
    ) -> bool {
        let consults = self
            .talk_of(number)
            .is_ok_and(|talk| talk.leg == leg && talk.consult.is_some());
        if !consults {
            return false;
        }
        let status = match self.complete(now, number) {
            Ok(()) => 200,
            Err(failure) => failure.status,
        };
        if status == 200 {
            // What rings for the caller now, rings without this agent.
            if self.talk_of(number).is_ok_and(|talk| talk.leg == leg) {
                self.let_go(now, number);
            }
            return true;
        }
        if let Ok(Some(consult)) = self.talk_of(number).map(|talk| talk.consult) {
            self.close(now, consult, "caller_bye");
        }
        // Whom the agent asked cannot take the caller, who waits on hold: back to where they came from.
        let queue = self
            .talk_of(number)
            .ok()
            .and_then(|talk| talk.queue.clone());
        let Some(queue) = queue.filter(|queue| self.config.queues.contains_key(queue)) else {
            return false;
        };
        self.note_given_up(now, number, status);
        if let Some(hold) = self.leave_talk(now, number).and_then(|talk| talk.hold) {
            self.end_hold(now, number, &hold);
        }
        self.begin_visit(now, number, queue, FAILED_TRANSFER_CREDIT);
        true
    }
}

// --- joining

impl Engine {
    /// A consultation that could not be completed for an agent who has gone.
    fn note_given_up(&mut self, now: Time, number: acd::ContactId, status: u16) {
        let (Some(contact), Ok(talk)) = (self.contacts.get(&number), self.talk_of(number)) else {
            return;
        };
        let kind = EventKind::ContactTransferFailed {
            contact: contact.id.clone(),
            from: talk.agent.clone(),
            to: "consult".into(),
            status,
            back: "queue".into(),
        };
        self.note(now, number, kind);
    }

    /// Completes a desk's consultation.
    pub(crate) fn complete(&mut self, now: Time, number: acd::ContactId) -> Result<(), Failure> {
        let none = || Failure::new(480, "the agent consults nobody");
        let talk = self.talk_of(number).map_err(|_| none())?;
        let (leg, consult) = (talk.leg, talk.consult.ok_or_else(none)?);
        self.bring_together(now, (number, leg), (consult, leg), None, false)
    }

    /// A telephone completes its own consultation: REFER on `leg` with Replaces of `other`.
    pub(crate) fn attended(
        &mut self,
        now: Time,
        first: (acd::ContactId, LegId),
        second: (acd::ContactId, LegId),
        referred_by: Option<Name>,
    ) -> Result<(), Failure> {
        if first.0 == second.0 {
            return Err(Failure::new(481, "that is the same call"));
        }
        self.bring_together(now, first, second, referred_by, true)
    }

    /// Joins whom the agent has on the two legs. One that is not answered yet is left, and the caller goes where it led.
    fn bring_together(
        &mut self,
        now: Time,
        first: (acd::ContactId, LegId),
        second: (acd::ContactId, LegId),
        referred_by: Option<Name>,
        referred: bool,
    ) -> Result<(), Failure> {
        if self.talk_of(second.0).is_err() {
            let to = self
                .contacts
                .get(&second.0)
                .map(|contact| match contact.direction {
                    Direction::Outbound => contact.ani.key().into(),
                    Direction::Inbound | Direction::Internal => contact.dnis.clone(),
                });
            let to = to.ok_or_else(|| Failure::new(481, "there is no such call"))?;
            self.close(now, second.0, "consult_ended");
            let route = self.transfer_route(first.0, first.1, &to)?;
            let referred = referred.then_some(referred_by);
            return self.transfer(now, first.0, first.1, route, referred);
        }
        // The customer's contact is the one that goes on.
        let internal = |number| {
            self.contacts
                .get(&number)
                .is_some_and(|contact| contact.direction == Direction::Internal)
        };
        let refers = referred.then_some(first.1);
        let (stays, goes) = if internal(first.0) && !internal(second.0) {
            (second, first)
        } else {
            (first, second)
        };
        self.join(now, stays, goes, referred_by, refers)
    }

    /// Who is at the other end of `leg` in a talk.
    pub(crate) fn other_side(&self, number: acd::ContactId, leg: LegId) -> Option<Side> {
        let contact = self.contacts.get(&number)?;
        let Stage::Talking(talk) = &contact.stage else {
            return None;
        };
        if talk.leg == leg {
            return Some(Side {
                leg: contact.caller,
                agent: contact.by.clone(),
                queue: None,
            });
        }
        // Whom an agent called outside is no agent.
        let agent = Some(&talk.agent).filter(|agent| contact.by.as_ref() != Some(agent));
        (contact.caller == leg).then(|| Side {
            leg: talk.leg,
            agent: agent.cloned(),
            queue: talk.queue.clone(),
        })
    }

    /// The far end of `goes` takes the agent's place in `stays`, and `goes` ends as a part of it.
    fn join(
        &mut self,
        now: Time,
        stays: (acd::ContactId, LegId),
        goes: (acd::ContactId, LegId),
        referred_by: Option<Name>,
        refers: Option<LegId>,
    ) -> Result<(), Failure> {
        let (number, leg) = stays;
        let gone = || Failure::new(481, "there is no such call");
        let side = self.other_side(goes.0, goes.1).ok_or_else(gone)?;
        let (from, queue) = self.may_join(number, leg, side.leg)?;
        if let Some(leg) = refers {
            self.tell_sip(now, sip::Command::ReferProgress { leg, status: 200 });
        }
        let consult = self.end_joined(now, goes, number, side.agent.as_ref())?;
        if let Some(hold) = self.leave_talk(now, number).and_then(|talk| talk.hold) {
            self.end_hold(now, number, &hold);
        }
        self.end_leg(now, goes.1, None);
        if let Some(far) = self.legs.get_mut(&side.leg) {
            far.contact = Some(number);
        }
        let Some(contact) = self.contacts.get(&number) else {
            return Err(gone());
        };
        let kind = EventKind::ContactTransferred {
            contact: contact.id.clone(),
            kind: "consult".into(),
            from: Some(from),
            to: match &side.agent {
                Some(agent) => format!("agent:{agent}").into(),
                None => "outside".into(),
            },
            consult: Some(consult),
            referred_by,
        };
        self.note(now, number, kind);
        match side.agent {
            Some(agent) => {
                let queue = side.queue.or(queue);
                self.take_over(now, number, agent, side.leg, queue, 0);
            }
            None => self.talk_outside(now, number, side.leg),
        }
        Ok(())
    }

    /// Makes the agent's leg its side of the contact that stays; both ends must be on one media plane.
    /// Gives the agent, and the queue that the contact is work of.
    fn may_join(
        &mut self,
        number: acd::ContactId,
        leg: LegId,
        far: LegId,
    ) -> Result<(Name, Option<Name>), Failure> {
        let gone = || Failure::new(481, "there is no such call");
        let near = self.other_side(number, leg).ok_or_else(gone)?.leg;
        let plane = |leg: &LegId| Some(self.legs.get(leg)?.port?.plane);
        if plane(&near).is_none() || plane(&near) != plane(&far) {
            return Err(Failure::new(503, "the two are on different media threads"));
        }
        if self
            .talk_of(number)
            .is_ok_and(|talk| talk.transfer.is_some())
        {
            return Err(Failure::new(491, "the contact is being passed on already"));
        }
        self.face(number, leg)
            .map_err(|_| Failure::new(403, "only the agent who serves it can pass it on"))?;
        let talk = self.talk_of(number).map_err(|_| gone())?;
        Ok((talk.agent.clone(), talk.queue.clone()))
    }

    /// The contact that becomes part of another: its agent is free of it, the one consulted works on the other now.
    pub(crate) fn end_joined(
        &mut self,
        now: Time,
        goes: (acd::ContactId, LegId),
        into: acd::ContactId,
        consulted: Option<&Name>,
    ) -> Result<crate::event::ContactId, Failure> {
        let (number, leg) = goes;
        let Some(mut contact) = self.contacts.remove(&number) else {
            return Err(Failure::new(481, "there is no such call"));
        };
        self.timers.clear_all(number);
        self.end_supervisions(now, number, &mut contact);
        self.end_conference(now, number, &mut contact);
        if let Stage::Talking(talk) = std::mem::replace(&mut contact.stage, Stage::Ivr) {
            book_talk(&mut contact, &talk, now);
            contact.hold_ms += talk
                .hold
                .as_ref()
                .map_or(0, |hold| millis(now - hold.since));
            match (talk.leg == leg, talk.queue, contact.by.clone()) {
                (true, Some(_), _) => {
                    let finished = acd::Input::Finished {
                        contact: number,
                        agent: talk.agent,
                        wrap_up: true,
                    };
                    self.tell_acd(now, finished);
                }
                (true, None, _) => self.vacate(now, number, talk.agent),
                (false, _, Some(by)) => self.vacate(now, number, by),
                (false, _, None) => {}
            }
        }
        if let Some(agent) = consulted.cloned() {
            let join = acd::Input::Join {
                agent,
                from: number,
                into,
            };
            self.tell_acd(now, join);
        }
        if let Some(Stage::Talking(talk)) = self
            .contacts
            .get_mut(&into)
            .map(|contact| &mut contact.stage)
        {
            talk.consult = None;
        }
        let id = contact.id.clone();
        self.closed(now, number, contact, Outcome::Answered, "joined");
        Ok(id)
    }

    /// A port for a second call of an agent's, on the media thread of the first, so that the two can be joined.
    pub(crate) fn port_beside(&mut self, incoming: &Incoming) -> Option<media::Port> {
        let Identity::User(agent) = &incoming.identity else {
            return None;
        };
        let number = match self.acd.state(agent)? {
            acd::State::Connected { contact, .. } => *contact,
            acd::State::Occupied { call, .. } => *call,
            _ => return None,
        };
        let caller = self.contacts.get(&number)?.caller;
        let plane = self.legs.get(&caller)?.port?.plane;
        self.ports.take_on(plane)
    }
}
