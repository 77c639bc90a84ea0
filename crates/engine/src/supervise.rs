//! Supervision: a supervisor's telephone listens to a talk, speaks to its agent alone, speaks to all, or takes the agent's place.
//!
//! The telephone is called as a leg of the contact beside its two: no visit, no work, nothing of the agent's. Who listens is told `sendonly`: the
//! microphone is closed in the description as well as in the mix. Supervision goes with the contact wherever that is passed on, and ends with it;
//! its own end changes nothing else. Each step is an `audit` event.

use std::sync::Arc;
use std::time::Duration;

use clock::Time;
use sip::LegId;
use sip::sdp::Direction;

use crate::Engine;
use crate::api::{Oversight, Refusal};
use crate::contact::{Contact, Supervisor};
use crate::event::EventKind;
use crate::offer::Errand;
use crate::timers::Kind;

type Name = Arc<str>;

/// How long a supervisor's telephone rings.
const RING: Duration = Duration::from_secs(30);
/// Supervisors of one contact at once; more would be an audience.
const SUPERVISORS_MAX: usize = 8;

fn conflict(detail: impl Into<String>) -> Refusal {
    Refusal::Conflict(detail.into())
}

impl Oversight {
    /// Which way a supervisor's sound goes, seen from us.
    fn direction(self) -> Direction {
        match self {
            Oversight::Listen => Direction::SendOnly,
            Oversight::Whisper | Oversight::Barge | Oversight::TakeOver => Direction::SendRecv,
        }
    }
}

// --- the beginning

impl Engine {
    /// Begins to supervise a contact, by the telephone of whoever asks unless another is named, or goes on in another way.
    ///
    /// # Errors
    /// No agent has the contact, or the telephone cannot be called.
    pub(crate) fn supervise(
        &mut self,
        now: Time,
        number: acd::ContactId,
        by: &Name,
        how: Oversight,
        phone: Option<Name>,
    ) -> Result<(), Refusal> {
        let Some(contact) = self.contacts.get(&number) else {
            return Err(Refusal::NotFound("the contact is over".into()));
        };
        let id = contact.id.clone();
        let known = contact.supervisors.iter().find(|one| one.by == *by);
        match known.map(|one| (one.leg, one.up)) {
            Some((leg, true)) => self.supervise_otherwise(now, number, leg, how)?,
            Some((leg, false)) => self.wish_otherwise(number, leg, how),
            None => {
                let phone = phone.unwrap_or_else(|| by.clone());
                self.may_supervise(number, &phone)?;
                self.call_supervisor(now, number, by, phone, how)?;
            }
        }
        let agent = self.talk_of(number).ok().map(|talk| talk.agent.to_string());
        self.audit(now, by, how.word(), &id.0, agent);
        Ok(())
    }

    fn may_supervise(&self, number: acd::ContactId, phone: &Name) -> Result<(), Refusal> {
        let talk = self.talk_of(number)?;
        let Some(contact) = self.contacts.get(&number) else {
            return Err(Refusal::NotFound("the contact is over".into()));
        };
        if !self.config.agents.contains_key(phone) {
            return Err(conflict(format!("{phone} has no telephone: name another")));
        }
        if talk.agent == *phone || contact.by.as_ref() == Some(phone) {
            return Err(conflict(format!("{phone} has the contact")));
        }
        if contact.supervisors.len() >= SUPERVISORS_MAX {
            return Err(conflict("the contact has too many supervisors"));
        }
        // Supervisors are no agents of the distributor, but may be.
        let works = self.acd.state(phone).is_some() && self.extension_is_free(phone).is_err();
        if works || self.supervising.contains(phone) {
            return Err(conflict(format!("{phone} is not free")));
        }
        Ok(())
    }

    fn call_supervisor(
        &mut self,
        now: Time,
        number: acd::ContactId,
        by: &Name,
        phone: Name,
        how: Oversight,
    ) -> Result<(), Refusal> {
        let occupy = acd::Input::Occupy {
            agent: phone.clone(),
            call: number,
        };
        self.tell_acd(now, occupy);
        let errand = Errand {
            party: format!("supervisor:{phone}").into(),
            wants: how.direction(),
            // Who asked for the call need not pick it up.
            unasked: true,
        };
        let Some(leg) = self.place_for(now, number, &phone, errand) else {
            self.vacate(now, number, phone);
            return Err(conflict("no RTP port is free"));
        };
        self.timers.set(number, Kind::Supervisor(leg), now + RING);
        self.supervising.insert(phone.clone());
        let one = Supervisor {
            by: by.clone(),
            phone,
            leg,
            how,
            up: false,
        };
        if let Some(contact) = self.contacts.get_mut(&number) {
            contact.supervisors.push(one);
        }
        Ok(())
    }

    /// It still rings: what is wanted when it answers.
    fn wish_otherwise(&mut self, number: acd::ContactId, leg: LegId, how: Oversight) {
        if let Some(one) = self.supervisor(number, leg) {
            one.how = how;
        }
    }

    /// It is up: another way of supervising, and another direction of its sound.
    fn supervise_otherwise(
        &mut self,
        now: Time,
        number: acd::ContactId,
        leg: LegId,
        how: Oversight,
    ) -> Result<(), Refusal> {
        if how == Oversight::TakeOver {
            return self.take_from_agent(now, number, leg);
        }
        let before = self.is_mixed(number);
        self.wish_otherwise(number, leg, how);
        self.redirect(now, leg, how.direction());
        // Who only listens leaves the two as they are.
        match before || self.is_mixed(number) {
            true => self.hear_anew(number),
            false => self.let_supervisors_hear(number),
        }
        self.record(now, number, None);
        Ok(())
    }
}

// --- while it lasts

impl Engine {
    fn supervisor(&mut self, number: acd::ContactId, leg: LegId) -> Option<&mut Supervisor> {
        let contact = self.contacts.get_mut(&number)?;
        contact.supervisors.iter_mut().find(|one| one.leg == leg)
    }

    pub(crate) fn is_supervisors_leg(&self, number: acd::ContactId, leg: LegId) -> bool {
        let contact = self.contacts.get(&number);
        contact.is_some_and(|contact| contact.supervisors.iter().any(|one| one.leg == leg))
    }

    /// A supervisor's telephone has answered.
    pub(crate) fn supervisor_answered(
        &mut self,
        now: Time,
        number: acd::ContactId,
        leg: LegId,
        fits: bool,
    ) {
        self.timers.clear(number, Kind::Supervisor(leg));
        if !fits {
            return self.end_supervision(now, number, leg);
        }
        let Some(one) = self.supervisor(number, leg) else {
            return;
        };
        one.up = true;
        let how = one.how;
        if self.supervise_otherwise(now, number, leg, how).is_err() {
            self.end_supervision(now, number, leg);
        }
    }

    /// The supervisor has the contact from now on; its agent is done with it.
    fn take_from_agent(
        &mut self,
        now: Time,
        number: acd::ContactId,
        leg: LegId,
    ) -> Result<(), Refusal> {
        let talk = self.talk_of(number)?;
        if talk.transfer.is_some() {
            return Err(conflict("the contact is being passed on already"));
        }
        if let Some(consult) = talk.consult {
            self.close(now, consult, "consult_ended");
        }
        let agents_leg = match (self.contacts.get(&number), self.talk_of(number)) {
            (Some(contact), Ok(talk)) => contact.agent_leg(talk),
            _ => return Err(Refusal::NotFound("the contact is over".into())),
        };
        self.face(number, agents_leg)?;
        let Some(one) = self.take_supervisor(number, leg) else {
            return Err(conflict("the supervision is over"));
        };
        let talk = self.leave_talk(now, number);
        let talk = talk.ok_or_else(|| conflict("no agent has the contact"))?;
        if let Some(contact) = self.contacts.get(&number) {
            let kind = EventKind::ContactTransferred {
                contact: contact.id.clone(),
                kind: "take_over".into(),
                from: Some(talk.agent.clone()),
                to: format!("agent:{}", one.phone).into(),
                consult: None,
                referred_by: None,
            };
            self.note(now, number, kind);
        }
        if let Some(hold) = &talk.hold {
            self.end_hold(now, number, hold);
        }
        if let Some(record) = self.legs.get_mut(&leg) {
            record.party = Some(format!("agent:{}", one.phone).into());
        }
        self.redirect(now, leg, Direction::SendRecv);
        self.take_over(now, number, one.phone, leg, talk.queue, 0);
        Ok(())
    }

    fn take_supervisor(&mut self, number: acd::ContactId, leg: LegId) -> Option<Supervisor> {
        let contact = self.contacts.get_mut(&number)?;
        let at = contact.supervisors.iter().position(|one| one.leg == leg)?;
        let one = contact.supervisors.remove(at);
        self.supervising.remove(&one.phone);
        Some(one)
    }
}

// --- the end

impl Engine {
    /// A supervisor's telephone is gone, whatever it did; true if that leg was one.
    pub(crate) fn supervisor_gone(
        &mut self,
        now: Time,
        number: acd::ContactId,
        leg: LegId,
    ) -> bool {
        let Some(one) = self.take_supervisor(number, leg) else {
            return false;
        };
        self.timers.clear(number, Kind::Supervisor(leg));
        if let Some(contact) = self.contacts.get(&number) {
            let id = contact.id.clone();
            self.note_unsupervised(now, number, &id.0, &one);
        }
        // Who only listened leaves nothing behind.
        if one.up && one.how != Oversight::Listen {
            self.hear_anew(number);
        }
        self.record(now, number, None);
        true
    }

    /// It has rung long enough, or cannot be heard any more.
    pub(crate) fn end_supervision(&mut self, now: Time, number: acd::ContactId, leg: LegId) {
        if self.supervisor_gone(now, number, leg) {
            self.end_leg(now, leg, None);
        }
    }

    /// The contact is over, and so is all supervision of it.
    pub(crate) fn end_supervisions(
        &mut self,
        now: Time,
        number: acd::ContactId,
        contact: &mut Contact,
    ) {
        for one in std::mem::take(&mut contact.supervisors) {
            self.supervising.remove(&one.phone);
            self.end_leg(now, one.leg, None);
            self.note_unsupervised(now, number, &contact.id.0, &one);
        }
    }

    fn note_unsupervised(&mut self, now: Time, number: acd::ContactId, id: &str, one: &Supervisor) {
        self.vacate(now, number, one.phone.clone());
        let how = one.how.word().to_owned();
        self.audit(now, &one.by, "supervision_ended", id, Some(how));
    }

    /// Whether a leg may be silent without that meaning the contact's end; if so, it is dealt with.
    pub(crate) fn supervisor_starved(
        &mut self,
        now: Time,
        number: acd::ContactId,
        leg: LegId,
    ) -> bool {
        let is = self.is_supervisors_leg(number, leg);
        if is {
            self.end_supervision(now, number, leg);
        }
        is
    }
}
