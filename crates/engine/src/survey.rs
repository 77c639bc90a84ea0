//! Surveys: when the agent has hung up, a flow goes on with the caller. The IVR outlives the agent.

use std::collections::BTreeMap;

use clock::Time;

use crate::Engine;
use crate::contact::{LegState, Stage, Surveyed};
use crate::dialogue::{facts, lang_in_flow};
use crate::event::EventKind;

impl Engine {
    /// The agent has hung up. True when the caller stays, in the flow that was to ask afterwards.
    pub(crate) fn begin_survey(&mut self, now: Time, number: acd::ContactId) -> bool {
        let Some(contact) = self.contacts.get_mut(&number) else {
            return false;
        };
        let Stage::Talking(talk) = &contact.stage else {
            return false;
        };
        let up = self
            .legs
            .get(&contact.caller)
            .is_some_and(|leg| leg.state == LegState::Up);
        // Asked about an agent, and once; a caller on the way to somebody else is not at the end.
        if talk.queue.is_none() || talk.transfer.is_some() || talk.consult.is_some() || !up {
            return false;
        }
        let Some(flow) = contact.survey.take() else {
            return false;
        };
        let known = ivr::Facts {
            ani: contact.number_in_flow(&self.config),
            dnis: contact.dnis.to_string(),
            lang: Some(lang_in_flow(contact.lang)),
            customer: contact.look_up.pop().map(facts),
        };
        let Some(session) = ivr::Session::new(&self.config.flows, &flow, known) else {
            return false;
        };
        contact.goal |= contact
            .session
            .as_ref()
            .is_some_and(|session| session.goal());
        contact.session = Some(Box::new(session));
        (contact.asked, contact.playing) = (None, None);
        contact.surveyed = Some(Surveyed {
            flow,
            agent: talk.agent.clone(),
            queue: talk.queue.clone(),
        });
        let caller = contact.caller;
        let hold = self.leave_talk(now, number).and_then(|talk| talk.hold);
        if let Some(hold) = hold {
            self.end_hold(now, number, &hold);
        }
        self.set_source(caller, media::Source::Silence);
        self.begin_flow(now, number);
        true
    }

    /// What the flow returned. A flow that is no survey has told nobody anything.
    pub(crate) fn survey_answered(
        &mut self,
        now: Time,
        number: acd::ContactId,
        answers: BTreeMap<String, ivr::Value>,
    ) {
        let Some(contact) = self.contacts.get(&number) else {
            return;
        };
        let Some(Surveyed { flow, agent, queue }) = contact.surveyed.clone() else {
            return;
        };
        let kind = EventKind::ContactSurveyed {
            contact: contact.id.clone(),
            flow,
            agent,
            queue,
            answers,
        };
        self.note(now, number, kind);
    }
}
