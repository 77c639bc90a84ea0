//! Hold and resume. Who holds may be the caller's telephone, the agent's, the desk, or a transfer that rings; several may at once,
//! and the conversation goes on when none does.

use std::collections::BTreeSet;
use std::sync::Arc;

use clock::Time;
use sip::LegId;

use crate::Engine;
use crate::api::Refusal;
use crate::contact::{Contact, Hold, Holder, Stage, Talk};
use crate::event::{AgentState, EventKind};
use crate::journal::millis;

type Name = Arc<str>;

impl Engine {
    /// A telephone has put its call on hold, or taken it back.
    pub(crate) fn hold_changed(
        &mut self,
        now: Time,
        number: acd::ContactId,
        leg: LegId,
        held: bool,
    ) {
        let Some(contact) = self.contacts.get(&number) else {
            return;
        };
        let Stage::Talking(talk) = &contact.stage else {
            return;
        };
        // Of a call to the outside, the caller is the agent.
        let outbound = contact.by.as_ref() == Some(&talk.agent);
        let by = match (leg == contact.caller) == outbound {
            true => talk.agent.clone(),
            false => "caller".into(),
        };
        if leg == contact.caller {
            self.set_hold(now, number, Holder::Caller, held, by);
        } else if leg == talk.leg {
            self.set_hold(now, number, Holder::Phone, held, by);
        }
    }

    /// The desk puts the caller on hold: music there, the agent's leg stays up.
    pub(crate) fn hold_by_desk(
        &mut self,
        now: Time,
        number: acd::ContactId,
        by: Name,
    ) -> Result<(), Refusal> {
        let talk = self.talk_of(number)?;
        if holds(talk, Holder::Desk) {
            return Err(Refusal::Conflict("the contact is on hold".into()));
        }
        self.set_hold(now, number, Holder::Desk, true, by);
        Ok(())
    }

    /// The desk takes the caller back, from a hold or from a consultation. A telephone's own hold goes on.
    pub(crate) fn resume_by_desk(
        &mut self,
        now: Time,
        number: acd::ContactId,
        by: Name,
    ) -> Result<(), Refusal> {
        let talk = self.talk_of(number)?;
        let consult = talk.consult;
        if consult.is_none() && !holds(talk, Holder::Desk) {
            let held = talk.hold.is_some();
            return Err(Refusal::Conflict(if held {
                "the hold is a telephone's own, or a transfer's: only that can end it".into()
            } else {
                "the contact is not on hold".into()
            }));
        }
        if let Some(consult) = consult {
            self.close(now, consult, "consult_ended");
        }
        self.set_hold(now, number, Holder::Desk, false, by);
        Ok(())
    }

    /// The talk of a contact that an agent has.
    pub(crate) fn talk_of(&self, number: acd::ContactId) -> Result<&Talk, Refusal> {
        match self.contacts.get(&number).map(|contact| &contact.stage) {
            Some(Stage::Talking(talk)) => Ok(talk),
            Some(_) => Err(Refusal::Conflict("no agent has the contact".into())),
            None => Err(Refusal::NotFound("the contact is over".into())),
        }
    }

    /// One of those who may hold begins or stops to.
    pub(crate) fn set_hold(
        &mut self,
        now: Time,
        number: acd::ContactId,
        holder: Holder,
        held: bool,
        by: Name,
    ) {
        let Some(contact) = self.contacts.get_mut(&number) else {
            return;
        };
        let id = contact.id.clone();
        let Stage::Talking(talk) = &mut contact.stage else {
            return;
        };
        let (agent, queue) = (talk.agent.clone(), talk.queue.clone());
        let mut hold = talk.hold.take().unwrap_or(Hold {
            by: BTreeSet::new(),
            since: now,
        });
        let (was_free, since) = (hold.by.is_empty(), hold.since);
        let changed = if held {
            hold.by.insert(holder)
        } else {
            hold.by.remove(&holder)
        };
        let is_free = hold.by.is_empty();
        if is_free {
            talk.held_ms += millis(now - since);
        } else {
            talk.hold = Some(hold);
        }
        if !changed {
            return;
        }
        match (was_free, is_free) {
            (true, false) => {
                let kind = EventKind::ContactHeld {
                    contact: id,
                    agent: Some(agent.clone()),
                    by,
                };
                self.note(now, number, kind);
                self.agent_hold(now, number, agent, queue, AgentState::Held);
            }
            (false, true) => {
                let kind = EventKind::ContactResumed {
                    contact: id,
                    agent: Some(agent.clone()),
                    by,
                    held_ms: millis(now - since),
                };
                self.note(now, number, kind);
                self.agent_hold(now, number, agent, queue, AgentState::Connected);
            }
            (true, true) | (false, false) => {}
        }
        self.hear(number);
        self.record(now, number, None);
    }

    /// Connects the two of a talk, or gives each what a hold leaves them: music to whom the other one holds.
    /// An agent who consults hears the consultation.
    pub(crate) fn hear(&mut self, number: acd::ContactId) {
        let Some(contact) = self.contacts.get(&number) else {
            return;
        };
        let Stage::Talking(talk) = &contact.stage else {
            return;
        };
        let (caller, agent, consults) = (contact.caller, talk.leg, talk.consult.is_some());
        let Some(hold) = &talk.hold else {
            return self.connect(number);
        };
        let by_caller = hold.by.contains(&Holder::Caller);
        let by_agent = hold.by.iter().any(|holder| *holder != Holder::Caller);
        let name = self.hold_music(contact);
        let source = |music: bool| match music {
            true => media::Source::Music { name: name.clone() },
            false => media::Source::Silence,
        };
        let (to_caller, to_agent) = (source(by_agent), source(by_caller));
        self.set_source(caller, to_caller);
        if !consults {
            self.set_source(agent, to_agent);
        }
        self.mix(number);
    }

    /// The music of the queue that the contact was in last.
    pub(crate) fn hold_music(&self, contact: &Contact) -> Name {
        let queue = contact.last_queue.as_ref();
        queue
            .and_then(|queue| self.config.queues.get(queue))
            .map_or_else(|| "default".into(), |queue| queue.music.clone())
    }

    /// Only work items of the distributor have hold as a state of the agent.
    fn agent_hold(
        &mut self,
        now: Time,
        number: acd::ContactId,
        agent: Name,
        queue: Option<Name>,
        state: AgentState,
    ) {
        let served = matches!(
            self.journal.state_of(&agent),
            Some(AgentState::Connected | AgentState::Held)
        );
        // A telephone that was on hold before its call began: the beginning is told first, see `connected_on_hold`.
        if queue.is_some() && served {
            self.note_agent(now, agent, state, None, Some(number), queue, None);
        }
    }

    /// The distributor has told of a connection that is a hold from its beginning on.
    pub(crate) fn connected_on_hold(&mut self, now: Time, agent: &Name, number: acd::ContactId) {
        let Ok(talk) = self.talk_of(number) else {
            return;
        };
        if talk.hold.is_some() && talk.agent == *agent {
            let queue = talk.queue.clone();
            self.agent_hold(now, number, agent.clone(), queue, AgentState::Held);
        }
    }
}

fn holds(talk: &Talk, holder: Holder) -> bool {
    talk.hold
        .as_ref()
        .is_some_and(|hold| hold.by.contains(&holder))
}

/// Books a talk that is over on its contact. A hold that still lasts is not talk; it is booked where it ends.
pub(crate) fn book_talk(contact: &mut Contact, talk: &Talk, now: Time) {
    let lasting_ms = talk
        .hold
        .as_ref()
        .map_or(0, |hold| millis(now - hold.since));
    contact.hold_ms += talk.held_ms;
    contact.talk_ms += millis(now - talk.since).saturating_sub(talk.held_ms + lasting_ms);
}
