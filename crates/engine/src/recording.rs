//! Recording: which contact is recorded when, and whose voice is on which side. What is heard goes from the media plane to the recorder past the engine.
//!
//! A contact has one recording at most, made of pieces. A piece lasts while its customer talks with an agent under a rule that records, through holds
//! and from one agent to the next; what comes between is in none: queues, flows (and with them every secret that a flow asks for), pauses.
//! While somebody holds, nobody hears the other, and neither does the recording: it goes on with silence.

use std::collections::BTreeMap;
use std::sync::Arc;

use clock::Time;
use media::{RecordingId, Side, Tap};
use sip::LegId;

use crate::Engine;
use crate::api::{Output, Oversight, Recorded, RecordingStep, Refusal};
use crate::contact::{Ask, Contact, Stage, Talk};
use crate::event::{Direction, EventKind};
use crate::legs::stream;

type Name = Arc<str>;

/// Which contacts of a queue are recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecordRule {
    #[default]
    Never,
    /// From when somebody asks for it.
    OnDemand,
    /// So many of a hundred from the beginning on; the others on demand.
    Always { percent: u8 },
}

/// What a contact knows of its recording.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    /// How many pieces have begun.
    pieces: u32,
    /// The legs that are heard, while a piece lasts.
    on: Option<BTreeMap<LegId, Side>>,
    /// Somebody has asked for it.
    wanted: bool,
    /// Somebody has asked for a pause in the talk with this agent.
    paused: Option<Name>,
    /// The caller has been told.
    announced: bool,
    /// What the caller has said to it in a flow.
    pub(crate) consent: Option<bool>,
}

impl Engine {
    /// Brings the recording of a contact up to where the contact is.
    pub(crate) fn record(&mut self, now: Time, number: acd::ContactId, by: Option<&Name>) {
        let Some(contact) = self.contacts.get(&number) else {
            return;
        };
        let wanted = self.to_record(number, contact);
        let before = contact.recording.on.clone();
        if wanted == before {
            return;
        }
        if before.is_none() {
            self.begin_piece(now, number);
        }
        let piece = self.piece_of(number);
        let none = BTreeMap::new();
        let (old, new) = (
            before.as_ref().unwrap_or(&none),
            wanted.as_ref().unwrap_or(&none),
        );
        for leg in old.keys().filter(|leg| old.get(leg) != new.get(leg)) {
            self.tap(*leg, None);
        }
        for (leg, side) in new.iter().filter(|(leg, side)| old.get(leg) != Some(side)) {
            let (recording, side) = (RecordingId(number.0), *side);
            self.tap(
                *leg,
                Some(Tap {
                    recording,
                    piece,
                    side,
                }),
            );
        }
        let (was, is) = (before.is_some(), wanted.is_some());
        if let Some(contact) = self.contacts.get_mut(&number) {
            contact.recording.on = wanted;
        }
        if was && !is {
            self.tell_recorder(now, number, RecordingStep::Rest);
        }
        if was != is {
            self.note_recording(now, number, by);
        }
    }

    fn piece_of(&self, number: acd::ContactId) -> u32 {
        let contact = self.contacts.get(&number);
        contact.map_or(0, |contact| contact.recording.pieces)
    }

    fn tap(&mut self, leg: LegId, tap: Option<Tap>) {
        let stream = stream(leg);
        self.media(leg, media::Command::Tap { stream, tap });
    }

    fn tell_recorder(&mut self, at: Time, number: acd::ContactId, step: RecordingStep) {
        let recording = RecordingId(number.0);
        self.journal.put(Output::Recording {
            at,
            recording,
            step,
        });
    }

    fn begin_piece(&mut self, now: Time, number: acd::ContactId) {
        let Some(contact) = self.contacts.get_mut(&number) else {
            return;
        };
        contact.recording.pieces += 1;
        let (queue, agent) = match &contact.stage {
            Stage::Talking(talk) => (talk.queue.clone(), Some(talk.agent.clone())),
            _ => (None, None),
        };
        let step = RecordingStep::Piece {
            piece: contact.recording.pieces,
            contact: contact.id.clone(),
            person: contact.person.clone(),
            queue,
            agent,
        };
        self.tell_recorder(now, number, step);
    }

    /// The legs to be heard of a contact; `None`: it is not to be recorded now.
    fn to_record(
        &self,
        number: acd::ContactId,
        contact: &Contact,
    ) -> Option<BTreeMap<LegId, Side>> {
        let Stage::Talking(talk) = &contact.stage else {
            return None;
        };
        let recording = &contact.recording;
        let paused = recording.paused.as_ref() == Some(&talk.agent);
        if paused || recording.consent == Some(false) {
            return None;
        }
        let records = match self.rule_of(contact, talk) {
            RecordRule::Never => false,
            RecordRule::OnDemand => recording.wanted,
            RecordRule::Always { percent } => recording.wanted || is_sampled(number, percent),
        };
        if !records {
            return None;
        }
        // Neither hears the other: the agent's room, and what a colleague is asked, are nobody's business.
        if talk.hold.is_some() || talk.consult.is_some() {
            return Some(BTreeMap::new());
        }
        let customer = match contact.agent_leg(talk) == contact.caller {
            true => talk.leg,
            false => contact.caller,
        };
        // Whoever the customer hears is on the other side; who whispers to the agent is on none.
        let parties = contact.parties().into_iter();
        let heard = parties.chain(contact.speaking(Oversight::Barge));
        let side = |leg: LegId| match leg == customer {
            true => Side::Customer,
            false => Side::Agent,
        };
        Some(heard.map(|leg| (leg, side(leg))).collect())
    }

    /// The queue's whose work it is; of calls outside queues the centre's.
    fn rule_of(&self, contact: &Contact, talk: &Talk) -> RecordRule {
        if contact.consults_for.is_some() || contact.direction == Direction::Internal {
            return RecordRule::Never;
        }
        match &talk.queue {
            Some(queue) => {
                let queue = self.config.queues.get(queue);
                queue.map_or(RecordRule::Never, |queue| queue.record)
            }
            None => self.config.record_calls,
        }
    }

    /// A contact is over, and with it its recording.
    pub(crate) fn end_recording(
        &mut self,
        now: Time,
        number: acd::ContactId,
        contact: &mut Contact,
    ) {
        for leg in contact.recording.on.take().unwrap_or_default().into_keys() {
            self.tap(leg, None);
        }
        if contact.recording.pieces > 0 {
            let pop = contact.look_up.pop();
            let customers = pop.map(|pop| pop.customers.iter().map(|one| one.id.clone()));
            let customers = customers.map(Iterator::collect).unwrap_or_default();
            self.tell_recorder(now, number, RecordingStep::End { customers });
        }
    }

    fn note_recording(&mut self, now: Time, number: acd::ContactId, by: Option<&Name>) {
        let Some(contact) = self.contacts.get(&number) else {
            return;
        };
        let agent = match &contact.stage {
            Stage::Talking(talk) => Some(talk.agent.clone()),
            _ => None,
        };
        let paused = agent.is_some() && contact.recording.paused == agent;
        let state = match (contact.recording.on.is_some(), paused) {
            (true, _) => "on",
            (false, true) => "paused",
            (false, false) => "off",
        };
        let kind = EventKind::ContactRecording {
            contact: contact.id.clone(),
            agent,
            state: state.into(),
            by: by.cloned(),
        };
        self.note(now, number, kind);
    }
}

// --- the caller is told

impl Engine {
    /// Says to a caller, once and before the queue, that what follows may be recorded. Gives the wish back where there is nothing to be said.
    pub(crate) fn announce_recording(&mut self, number: acd::ContactId, ask: Ask) -> Option<Ask> {
        let queue = self.config.queues.get(&ask.queue);
        let records = queue.filter(|queue| queue.record != RecordRule::Never);
        let prompt = records.and_then(|queue| queue.record_announcement.clone());
        let up = self.caller_is_up(number);
        let Some((contact, prompt)) = self.contacts.get_mut(&number).zip(prompt) else {
            return Some(ask);
        };
        // Whoever a flow has asked knows; a colleague who consults is not recorded.
        let knows = contact.recording.announced || contact.recording.consent.is_some();
        if knows || contact.consults_for.is_some() || !up {
            return Some(ask);
        }
        contact.recording.announced = true;
        let (caller, lang) = (contact.caller, contact.lang);
        let item = media::Item::Prompt { lang, name: prompt };
        let play = self.play(caller, vec![item], false);
        if let Some(contact) = self.contacts.get_mut(&number) {
            contact.stage = Stage::Announcing { ask, play };
        }
        None
    }

    /// The caller has heard it.
    pub(crate) fn announced_recording(&mut self, now: Time, number: acd::ContactId) {
        let Some(contact) = self.contacts.get_mut(&number) else {
            return;
        };
        if let Stage::Announcing { ask, .. } = &contact.stage {
            let ask = ask.clone();
            self.queue_up(now, number, ask);
        }
    }
}

// --- on demand

impl Engine {
    pub(crate) fn pause_recording(
        &mut self,
        now: Time,
        number: acd::ContactId,
        by: &Name,
    ) -> Result<(), Refusal> {
        let agent = self.talk_of(number)?.agent.clone();
        let Some(contact) = self.contacts.get_mut(&number) else {
            return Ok(());
        };
        if contact.recording.on.is_none() {
            return Err(Refusal::Conflict(
                "the contact is not being recorded".into(),
            ));
        }
        contact.recording.paused = Some(agent);
        self.record(now, number, Some(by));
        Ok(())
    }

    /// Goes on after a pause, or begins where the rule leaves that to whoever asks.
    pub(crate) fn resume_recording(
        &mut self,
        now: Time,
        number: acd::ContactId,
        by: &Name,
    ) -> Result<(), Refusal> {
        let talk = self.talk_of(number)?;
        let Some(contact) = self.contacts.get(&number) else {
            return Ok(());
        };
        let conflict = |why: &str| Err(Refusal::Conflict(why.to_owned()));
        if contact.recording.on.is_some() {
            return conflict("the contact is being recorded");
        }
        if contact.recording.consent == Some(false) {
            return conflict("the caller does not want to be recorded");
        }
        if self.rule_of(contact, talk) == RecordRule::Never {
            return conflict("calls like this one are never recorded here");
        }
        if let Some(contact) = self.contacts.get_mut(&number) {
            contact.recording.paused = None;
            contact.recording.wanted = true;
        }
        self.record(now, number, Some(by));
        Ok(())
    }

    /// A recording is on disk, or could not be brought there.
    pub(crate) fn recorded(&mut self, now: Time, recorded: Recorded) {
        let Recorded {
            contact,
            person,
            outcome,
        } = recorded;
        let kind = match outcome {
            Ok(saved) => EventKind::RecordingSaved {
                contact,
                queue: saved.queue,
                agents: saved.agents,
                began: saved.began,
                length_ms: saved.length_ms,
                bytes: saved.bytes,
                checksum: saved.checksum,
                complete: saved.reason.is_none(),
                reason: saved.reason,
            },
            Err(reason) => EventKind::RecordingFailed { contact, reason },
        };
        self.journal.event(now, Some(&person), kind);
    }
}

/// Whether a contact is one of the share that is recorded: by its number, so that a replay agrees.
fn is_sampled(number: acd::ContactId, percent: u8) -> bool {
    let mixed = number.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 33) % 100 < u64::from(percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_share() {
        for percent in [0, 1, 30, 99, 100] {
            let sampled = (1..=10_000).filter(|n| is_sampled(acd::ContactId(7 << 40 | n), percent));
            let share = sampled.count() as f64 / 100.0;
            assert!(
                (share - f64::from(percent)).abs() < 1.0,
                "{share} of {percent}"
            );
        }
    }
}
