//! Two legs that talk: the bridge, new media, and dead media.

use bytes::Bytes;
use clock::Time;
use sip::LegId;
use sip::sdp;

use crate::Engine;
use crate::contact::{LegState, Stage};
use crate::legs::stream;

impl Engine {
    /// Connects two streams of one plane; music and prompts give way.
    pub(crate) fn bridge(&mut self, a: LegId, b: LegId) {
        self.media(
            a,
            media::Command::Bridge {
                a: stream(a),
                b: stream(b),
            },
        );
    }

    /// Two begin to talk, each as their telephone wants it: one that has been put on hold before stays so.
    pub(crate) fn begin_talk(
        &mut self,
        now: Time,
        number: acd::ContactId,
        caller: LegId,
        other: LegId,
    ) {
        self.connect(number);
        for leg in [caller, other] {
            if self.legs.get(&leg).is_some_and(is_held) {
                self.hold_changed(now, number, leg, true);
            }
        }
        self.record(now, number, None);
    }

    /// A re-INVITE or UPDATE: new media, hold, resume.
    pub(crate) fn reoffered(&mut self, now: Time, leg: LegId, sdp: Option<Bytes>) {
        let Some(record) = self.legs.get_mut(&leg) else {
            return;
        };
        record.awaits_answer = sdp.is_none();
        let before = std::mem::replace(&mut record.offer, sdp);
        if let Err(status) = self.prepare_answer(leg) {
            if let Some(record) = self.legs.get_mut(&leg) {
                (record.offer, record.awaits_answer) = (before, false);
            }
            return self.tell_sip(now, sip::Command::RejectReoffer { leg, status });
        }
        let Some(record) = self.legs.get(&leg) else {
            return;
        };
        let held = is_held(record);
        let (answer, number, awaits) = (record.local.clone(), record.contact, record.awaits_answer);
        if let Some(sdp) = answer {
            self.tell_sip(now, sip::Command::AcceptReoffer { leg, sdp });
        }
        if let Some(number) = number
            && !awaits
        {
            self.hold_changed(now, number, leg, held);
        }
    }

    /// The far end has answered a re-INVITE or UPDATE of ours. Our description stands as it is; theirs may be a new one, and a hold.
    pub(crate) fn reoffer_accepted(&mut self, now: Time, leg: LegId, sdp: Option<&Bytes>) {
        if !self.take_answer(leg, sdp) {
            return;
        }
        if let Some(record) = self.legs.get(&leg)
            && let Some(number) = record.contact
        {
            let held = is_held(record);
            self.hold_changed(now, number, leg, held);
        }
    }

    /// No packet for the media time-out: a call that is dead though nobody said so.
    pub(crate) fn starved(&mut self, now: Time, leg: LegId) {
        let record = self.legs.get(&leg);
        // A telephone on hold by its own wish owes nobody sound, wherever its call is.
        if record.is_some_and(is_held) {
            return;
        }
        let Some(number) = record.and_then(|leg| leg.contact) else {
            return;
        };
        if self.supervisor_starved(now, number, leg) || self.member_starved(now, number, leg) {
            return;
        }
        let Some(contact) = self.contacts.get(&number) else {
            return;
        };
        // Before the answer nobody owes us sound.
        let caller =
            contact.caller == leg && self.legs.get(&leg).map(|leg| leg.state) == Some(LegState::Up);
        let cause = match &contact.stage {
            Stage::Talking(talk) if talk.hold.is_none() && talk.consult.is_none() => {
                "media_timeout"
            }
            Stage::Outside { answered: true, .. } => "media_timeout",
            // Nobody but the caller is there: one who can't be heard any more has left.
            Stage::Ivr
            | Stage::Identifying(_)
            | Stage::Announcing { .. }
            | Stage::Waiting
            | Stage::Popping(_)
            | Stage::Ringing(_)
            | Stage::Direct { .. }
            | Stage::Outside { .. }
                if caller =>
            {
                "caller_media_timeout"
            }
            // Held, about to be over, a test of one's own, or somebody who has not answered.
            _ => return,
        };
        self.close(now, number, cause);
    }
}

/// The far end wants to hear nothing from us: a hold (RFC 3264 section 8.4), directions seen from us.
pub(crate) fn is_held(leg: &crate::contact::Leg) -> bool {
    leg.negotiated.as_ref().is_some_and(|media| {
        matches!(
            media.direction,
            sdp::Direction::RecvOnly | sdp::Direction::Inactive
        )
    })
}
