//! Media before the answer, and what a far end says of its leg's end.

use bytes::Bytes;
use clock::Time;
use sip::{Cause, LegId};

use crate::Engine;
use crate::contact::{LegState, Stage};

impl Engine {
    /// An extension's phone describes media before it answers: the caller hears them, as there is nobody else to listen to.
    pub(crate) fn rings_aloud(&mut self, now: Time, leg: LegId, sdp: &Bytes) {
        let Some(number) = self.legs.get(&leg).and_then(|leg| leg.contact) else {
            return;
        };
        let Some(contact) = self.contacts.get(&number) else {
            return;
        };
        let caller = contact.caller;
        if !self.take_answer(leg, Some(sdp)) {
            return self.ring_caller(now, number);
        }
        self.progress(now, caller);
        self.bridge(caller, leg);
    }

    /// 183 with our description to a caller who waits for an answer: from here on there is something to hear.
    pub(crate) fn progress(&mut self, now: Time, caller: LegId) {
        let Some(leg) = self.legs.get_mut(&caller) else {
            return;
        };
        if leg.hears_early || !matches!(leg.state, LegState::Inviting | LegState::Ringing) {
            return;
        }
        (leg.hears_early, leg.state) = (true, LegState::Ringing);
        let sdp = leg.local.clone();
        self.tell_sip(
            now,
            sip::Command::Ring {
                leg: caller,
                status: 183,
                sdp,
                headers: vec![],
            },
        );
    }

    /// A caller without an offer has answered ours before the call is. One that cannot be heard need not wait for more.
    pub(crate) fn early_answer(&mut self, now: Time, leg: LegId, sdp: &Bytes) {
        if self.take_answer(leg, Some(sdp)) {
            return;
        }
        let Some(number) = self.legs.get(&leg).and_then(|leg| leg.contact) else {
            return;
        };
        self.refuse_call(now, leg, 488);
        self.close(now, number, "no_common_codec");
    }

    /// Why a leg that a contact lives by is over, in the far end's words, or by the status that refused it.
    pub(crate) fn keep_reason(&mut self, leg: LegId, cause: &Cause, reason: Option<Box<str>>) {
        let Some(number) = self.legs.get(&leg).and_then(|leg| leg.contact) else {
            return;
        };
        let Some(contact) = self.contacts.get_mut(&number) else {
            return;
        };
        let vital = contact.caller == leg
            || match &contact.stage {
                Stage::Talking(talk) => talk.leg == leg,
                Stage::Direct { leg: called, .. } | Stage::Outside { leg: called, .. } => {
                    *called == leg
                }
                Stage::Greeting
                | Stage::Ivr
                | Stage::Identifying(_)
                | Stage::Announcing { .. }
                | Stage::Waiting
                | Stage::Popping(_)
                | Stage::Ringing(_)
                | Stage::Transferring { .. }
                | Stage::Testing
                | Stage::Refusing { .. } => false,
            };
        if !vital {
            return;
        }
        contact.cause_detail = reason.or_else(|| match cause {
            Cause::Rejected { status, .. } => Some(format!("SIP;cause={status}").into()),
            Cause::NoResponse => Some("SIP;cause=408".into()),
            Cause::Bye
            | Cause::Cancelled
            | Cause::HungUp
            | Cause::NotRegistered
            | Cause::Unreachable
            | Cause::Lost => None,
        });
    }
}
