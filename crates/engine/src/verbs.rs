//! What desk and API do with a contact. `web` has seen to it that whoever asks may.

use std::sync::Arc;

use clock::Time;
use sip::LegId;

use crate::Engine;
use crate::api::{Answer, Refusal, Verb};
use crate::contact::{Contact, Holder, Stage};
use crate::event::{ContactId, EventKind};

type Name = Arc<str>;

/// An agent's work item that is over: one for each agent.
#[derive(Clone, Debug)]
pub(crate) struct LastWork {
    number: acd::ContactId,
    person: Name,
}

impl LastWork {
    pub(crate) fn new(number: acd::ContactId, contact: &Contact) -> Self {
        LastWork {
            number,
            person: contact.person.clone(),
        }
    }
}

impl Engine {
    pub(crate) fn verb(
        &mut self,
        now: Time,
        by: Name,
        contact: &ContactId,
        verb: Verb,
    ) -> Result<Answer, Refusal> {
        let word = verb.word();
        let oversees = matches!(verb, Verb::Oversee { .. });
        self.do_verb(now, &by, contact, verb)?;
        if !oversees && !self.config.agents.contains_key(&by) {
            self.audit(now, &by, word, &contact.0, None);
        }
        Ok(Answer::Done)
    }

    fn do_verb(
        &mut self,
        now: Time,
        by: &Name,
        contact: &ContactId,
        verb: Verb,
    ) -> Result<(), Refusal> {
        if let Verb::Disposition {
            code,
            note,
            end_wrap_up,
        } = verb
        {
            return self.dispose(now, by, contact, code, note, end_wrap_up);
        }
        let number = self.open_contact(contact)?;
        match verb {
            Verb::Answer => return self.pick_up(now, number, by),
            Verb::Oversee { how, phone } => return self.supervise(now, number, by, how, phone),
            _ => {}
        }
        let leg = self.acting_leg(number, by)?;
        match verb {
            Verb::Hold => {
                self.face(number, leg)?;
                self.hold_by_desk(now, number, by.clone())
            }
            Verb::Resume => {
                self.face(number, leg)?;
                self.resume_by_desk(now, number, by.clone())
            }
            Verb::Transfer { to } => {
                let route = self.transfer_route(number, leg, &to)?;
                self.transfer(now, number, leg, route, None)?;
                Ok(())
            }
            Verb::Consult { to } => Ok(self.consult(now, number, leg, &to)?),
            Verb::Complete => Ok(self.complete(now, number)?),
            Verb::Conference { to } => Ok(self.confer(now, number, leg, to.as_deref())?),
            Verb::Dtmf { digits } => self.press(now, number, leg, &digits),
            Verb::PauseRecording => self.pause_recording(now, number, by),
            Verb::ResumeRecording => self.resume_recording(now, number, by),
            Verb::Disposition { .. } | Verb::Answer | Verb::Oversee { .. } => Ok(()),
        }
    }

    /// What the contact was about, by its agent, or by somebody for them.
    fn dispose(
        &mut self,
        now: Time,
        by: &Name,
        contact: &ContactId,
        code: Name,
        note: Option<String>,
        end_wrap_up: bool,
    ) -> Result<(), Refusal> {
        let number = self.journal.contact_number(contact);
        let none =
            || Refusal::Conflict(format!("no agent has, or has just had, contact {contact}"));
        let number = number.ok_or_else(none)?;
        let (agent, person) = self.worked(number, by).ok_or_else(none)?;
        let kind = EventKind::ContactDisposition {
            contact: contact.clone(),
            agent: agent.clone(),
            code,
            note,
        };
        self.journal.event(now, Some(&person), kind);
        let wraps_up = matches!(self.acd.state(&agent), Some(acd::State::WrapUp { contact, .. }) if *contact == number);
        if end_wrap_up && wraps_up {
            self.tell_acd(now, acd::Input::EndWrapUp { agent });
        }
        Ok(())
    }

    /// The agent whose work a contact is, or was last, and the person whom it is about. The one who asks comes first.
    fn worked(&self, number: acd::ContactId, by: &Name) -> Option<(Name, Name)> {
        let last = |agent: &Name| {
            let work = self.last_work.get(agent)?;
            (work.number == number).then(|| (agent.clone(), work.person.clone()))
        };
        if let Some(found) = last(by) {
            return Some(found);
        }
        if let Some(contact) = self.contacts.get(&number)
            && let Stage::Talking(talk) = &contact.stage
        {
            return Some((talk.agent.clone(), contact.person.clone()));
        }
        self.last_work.keys().find_map(last)
    }

    /// Remembers whose work a contact was.
    pub(crate) fn note_work(&mut self, number: acd::ContactId, contact: &Contact, agent: &Name) {
        let work = LastWork::new(number, contact);
        self.last_work.insert(agent.clone(), work);
    }

    /// The leg on whose behalf somebody acts: of the agent who placed the call, else of the agent who has it.
    fn acting_leg(&self, number: acd::ContactId, by: &Name) -> Result<LegId, Refusal> {
        let talk = self.talk_of(number)?;
        // Of a call to the outside, the agent is the caller whoever asks.
        let placed = |contact: &&Contact| {
            contact.by.as_ref() == Some(by) || contact.by.as_ref() == Some(&talk.agent)
        };
        Ok(self
            .contacts
            .get(&number)
            .filter(placed)
            .map_or(talk.leg, |contact| contact.caller))
    }

    /// Makes the leg that acts the agent's side of its talk: whoever stays is the caller from then on.
    pub(crate) fn face(&mut self, number: acd::ContactId, leg: LegId) -> Result<(), Refusal> {
        let agents = &self.config.agents;
        let Some(contact) = self.contacts.get_mut(&number) else {
            return Err(Refusal::NotFound("the contact is over".into()));
        };
        let Stage::Talking(talk) = &mut contact.stage else {
            return Err(Refusal::Conflict("no agent has the contact".into()));
        };
        if talk.leg == leg {
            return Ok(());
        }
        let Some(by) = contact.by.clone().filter(|_| talk.queue.is_none()) else {
            return Err(Refusal::Conflict(
                "only the agent who serves a queue's contact can do that".into(),
            ));
        };
        let other = std::mem::replace(&mut talk.agent, by.clone());
        contact.by = Some(other).filter(|other| *other != by && agents.contains_key(other));
        std::mem::swap(&mut contact.caller, &mut talk.leg);
        if let Some(hold) = &mut talk.hold {
            hold.by = hold
                .by
                .iter()
                .map(|holder| match holder {
                    Holder::Caller => Holder::Phone,
                    Holder::Phone => Holder::Caller,
                    other @ (Holder::Desk | Holder::Transfer) => *other,
                })
                .collect();
        }
        Ok(())
    }
}
