//! A telephone that rings for us is told to answer: NOTIFY with the event package `talk`, in the early dialog of the call.
//!
//! No RFC has it. BroadSoft's access interface does, and with it the telephones of Polycom, Yealink, Grandstream, Snom and others: those that
//! take it say so by `Allow-Events: talk` in their 180. The NOTIFY belongs to no subscription (RFC 6665 would want one), so it is sent to nobody
//! who has not said so. What comes of it is seen by the 2xx to the INVITE; a refusal is counted, and the telephone rings on.

use clock::Time;

use super::Endpoint;
use super::layer::Purpose;
use super::leg::{Hangup, Leg, State, in_dialog};
use crate::api::LegId;
use crate::message::{HeaderName, Method};

/// The event package.
pub const PACKAGE: &str = "talk";

/// Rings, is wanted, and has said that it can be told.
fn can(leg: &Leg) -> bool {
    let rings = matches!(
        leg.state,
        State::Calling {
            hangup: Hangup::No,
            ..
        }
    );
    rings && leg.able.talk && !leg.dialog.remote_tag.is_empty()
}

impl Endpoint {
    /// Whether a telephone that this call rings can be told to answer, by [`crate::Command::PickUp`].
    pub fn takes_pick_up(&self, call: LegId) -> bool {
        self.who_picks_up(call).is_some()
    }

    /// Of several telephones that ring the first that can.
    pub(super) fn who_picks_up(&self, call: LegId) -> Option<LegId> {
        let ways = self.forks.ringing(call);
        let mut ways = ways.into_iter().flatten().chain([call]);
        ways.find(|leg| self.legs.get(leg).is_some_and(|leg| can(leg)))
    }

    /// [`crate::Command::PickUp`].
    pub(super) fn pick_up(&mut self, now: Time, id: LegId) {
        let Some(leg) = self.legs.get_mut(&id).filter(|leg| can(leg)) else {
            return;
        };
        let cseq = leg.dialog.next_cseq();
        let (branch, builder) = in_dialog(&mut self.layer, &leg.dialog, &Method::Notify, cseq);
        let contact = self.layer.local.contact(&leg.dialog.peer);
        let bytes = builder
            .header(HeaderName::Contact, contact)
            .header(HeaderName::Event, PACKAGE)
            .header(HeaderName::SubscriptionState, "active")
            .finish();
        let (peer, purpose) = (leg.dialog.peer, Purpose::PickUp);
        self.layer
            .request(now, peer, &branch, &Method::Notify, bytes, purpose);
    }

    /// The answer to that NOTIFY, or its absence.
    pub(super) fn pick_up_response(&mut self, status: Option<u16>) {
        if status.is_none_or(|status| status >= 300) {
            self.layer.count("pick_up_refused");
        }
    }
}
