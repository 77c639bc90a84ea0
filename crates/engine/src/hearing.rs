//! Who hears whom. Two who talk are bridged, their packets sent on as they come. As soon as a third takes part, or a supervisor speaks, each hears a
//! mix: a row of the matrix that is written here, and nowhere else. A supervisor who only listens is a row too, and changes nothing for the others.

use clock::Time;
use sip::LegId;
use sip::sdp;

use crate::Engine;
use crate::api::Oversight;
use crate::contact::{Contact, Holder, Stage, Supervisor, Talk};
use crate::legs::stream;

/// A leg, and whom it hears.
type Row = (LegId, Vec<LegId>);

impl Contact {
    /// The agent's leg in a talk: of a call to the outside, the caller's.
    pub(crate) fn agent_leg(&self, talk: &Talk) -> LegId {
        match self.by.as_ref() == Some(&talk.agent) {
            true => self.caller,
            false => talk.leg,
        }
    }

    /// All telephones in it, but for those of supervisors.
    fn telephones(&self) -> Vec<LegId> {
        let other = match &self.stage {
            Stage::Talking(talk) => Some(talk.leg),
            Stage::Outside { leg, answered, .. } => Some(*leg).filter(|_| *answered),
            Stage::Greeting
            | Stage::Ivr
            | Stage::Identifying(_)
            | Stage::Announcing { .. }
            | Stage::Waiting
            | Stage::Popping(_)
            | Stage::Ringing(_)
            | Stage::Direct { .. }
            | Stage::Transferring { .. }
            | Stage::Testing
            | Stage::Refusing { .. } => None,
        };
        let both = std::iter::once(self.caller).chain(other);
        both.chain(self.added()).collect()
    }

    /// Those who have been added, and are in it.
    fn added(&self) -> impl Iterator<Item = LegId> + '_ {
        let up = self.members.iter().filter(|one| one.up);
        up.map(|one| one.leg)
    }

    /// Those who talk with one another at the moment. Of two, nobody while one of them holds; of more, all but who holds.
    pub(crate) fn parties(&self) -> Vec<LegId> {
        let Stage::Talking(Talk {
            hold: Some(hold),
            leg,
            ..
        }) = &self.stage
        else {
            return self.telephones();
        };
        if self.added().next().is_none() {
            return Vec::new();
        }
        let out = |one: &LegId| {
            let by_caller = hold.by.contains(&Holder::Caller);
            let by_agent = hold.by.iter().any(|holder| *holder != Holder::Caller);
            (by_caller && *one == self.caller) || (by_agent && one == leg)
        };
        let mut parties = self.telephones();
        parties.retain(|one| !out(one));
        parties
    }

    pub(crate) fn speaking(&self, how: Oversight) -> impl Iterator<Item = LegId> + '_ {
        let speaks = move |one: &&Supervisor| one.up && one.how == how;
        self.supervisors.iter().filter(speaks).map(|one| one.leg)
    }

    /// More than two are heard.
    fn is_mixed(&self) -> bool {
        let mut speaking = self
            .speaking(Oversight::Barge)
            .chain(self.speaking(Oversight::Whisper));
        speaking.next().is_some() || self.added().next().is_some()
    }

    /// The rows of those who take part.
    fn rows(&self) -> Vec<Row> {
        let parties = self.parties();
        let (barge, whisper): (Vec<LegId>, Vec<LegId>) = (
            self.speaking(Oversight::Barge).collect(),
            self.speaking(Oversight::Whisper).collect(),
        );
        let agent = match &self.stage {
            Stage::Talking(talk) if talk.consult.is_none() => Some(self.agent_leg(talk)),
            _ => None,
        };
        let row = |leg: &LegId| {
            let others = parties.iter().filter(|other| *other != leg);
            let mut voices: Vec<LegId> = others.chain(&barge).copied().collect();
            if agent == Some(*leg) {
                voices.extend(&whisper);
            }
            (*leg, voices)
        };
        let mut rows: Vec<Row> = parties.iter().map(row).collect();
        // An agent who has the caller on hold can be spoken to all the same.
        if let Some(agent) = agent.filter(|agent| !parties.contains(agent)) {
            let voices: Vec<LegId> = barge.iter().chain(&whisper).copied().collect();
            if !voices.is_empty() {
                rows.push((agent, voices));
            }
        }
        rows
    }

    /// The rows of supervisors: everybody's voice, also of those on hold.
    fn supervisors_rows(&self) -> Vec<Row> {
        let telephones = self.telephones();
        let up = self.supervisors.iter().filter(|one| one.up);
        up.map(|one| {
            let barge = self.speaking(Oversight::Barge);
            let others = barge.filter(|other| *other != one.leg);
            let voices = telephones.iter().copied().chain(others);
            (one.leg, voices.collect())
        })
        .collect()
    }
}

impl Engine {
    /// Connects those who talk with each other; music and prompts give way.
    pub(crate) fn connect(&mut self, number: acd::ContactId) {
        let Some(contact) = self.contacts.get(&number) else {
            return;
        };
        if contact.is_mixed() {
            return self.mix(number);
        }
        if let [a, b] = contact.parties()[..] {
            self.bridge(a, b);
        }
        self.let_supervisors_hear(number);
    }

    /// Gives everybody who takes part their mix.
    pub(crate) fn mix(&mut self, number: acd::ContactId) {
        let Some(contact) = self.contacts.get(&number) else {
            return;
        };
        let rows = contact.rows();
        for (leg, voices) in rows {
            self.hear_mix(leg, &voices);
        }
        self.let_supervisors_hear(number);
    }

    pub(crate) fn let_supervisors_hear(&mut self, number: acd::ContactId) {
        let Some(contact) = self.contacts.get(&number) else {
            return;
        };
        for (leg, voices) in contact.supervisors_rows() {
            self.hear_mix(leg, &voices);
        }
    }

    /// Somebody has come, gone, or speaks to others than before.
    pub(crate) fn hear_anew(&mut self, number: acd::ContactId) {
        let Some(contact) = self.contacts.get(&number) else {
            return;
        };
        match &contact.stage {
            Stage::Talking(_) => self.hear(number),
            Stage::Outside { answered: true, .. } => self.connect(number),
            _ => self.let_supervisors_hear(number),
        }
    }

    fn hear_mix(&mut self, leg: LegId, voices: &[LegId]) {
        let of = voices.iter().copied().map(stream).collect();
        self.set_source(leg, media::Source::Mix { of });
    }

    /// Whether keys as events reach nobody else by themselves: a mix is of sound alone.
    pub(crate) fn is_mixed(&self, number: acd::ContactId) -> bool {
        let contact = self.contacts.get(&number);
        contact.is_some_and(Contact::is_mixed)
    }

    /// Asks a telephone that is up for another direction of its sound, seen from us.
    pub(crate) fn redirect(&mut self, now: Time, leg: LegId, direction: sdp::Direction) {
        let Some(record) = self.legs.get_mut(&leg) else {
            return;
        };
        if record.wants == direction {
            return;
        }
        record.wants = direction;
        let first = record.negotiated.as_ref().map(|agreed| agreed.codec);
        let (last, before) = (record.local.clone(), record.negotiated);
        let offer = |local: &sdp::Local<'_>| match &last {
            Some(last) => Ok((sdp::offer_again(last, before.as_ref(), local), ())),
            None => Ok((sdp::offer(local), ())),
        };
        if let Ok((sdp, ())) = self.describe_anew(leg, first, offer) {
            self.tell_sip(now, sip::Command::Reinvite { leg, sdp });
        }
    }
}
