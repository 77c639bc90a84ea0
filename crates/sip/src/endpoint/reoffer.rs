//! Changes of media in a call, from both sides, and what happens when they cross (section 14, RFC 3311).

use std::time::Duration;

use bytes::Bytes;
use clock::Time;

use super::keys::Key;
use super::layer::Purpose;
use super::leg::{LegAlarm, Offer, State, in_dialog, unacked};
use super::requests::sdp_of;
use super::{ALLOW, Alarm, Endpoint};
use crate::api::{Event, LegId};
use crate::dialog::uri_of;
use crate::message::{HeaderName, Message, Method};

/// Random wait after a 491 in steps of 10 ms (section 14.1): 2.1–4 s for whoever made the Call-ID, 0–2 s for the other.
const GLARE_STEP: Duration = Duration::from_millis(10);
const GLARE_OWNER: (u32, u32) = (210, 400);
const GLARE_OTHER: (u32, u32) = (0, 200);

/// Longest random Retry-After in seconds when their second offer comes before our answer to the first (section 14.2).
const RETRY_MAX: u32 = 10;

impl Endpoint {
    /// [`crate::Command::Reinvite`].
    pub(super) fn wish_reinvite(&mut self, now: Time, id: LegId, sdp: Bytes) {
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        if matches!(leg.state, State::Up) {
            leg.wish = Some(sdp);
            self.pursue_wish(now, id);
        }
    }

    /// Sends the offer that we wish for, if nothing is in its way (section 14.1).
    pub(super) fn pursue_wish(&mut self, now: Time, id: LegId) {
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        let free = matches!(leg.state, State::Up)
            && matches!(leg.offer, Offer::Idle)
            && leg.unacked.is_none();
        if !free {
            return;
        }
        let Some(sdp) = leg.wish.take() else { return };
        let cseq = leg.dialog.next_cseq();
        let (branch, builder) = in_dialog(&mut self.layer, &leg.dialog, &Method::Invite, cseq);
        let bytes = builder
            .header(
                HeaderName::Contact,
                self.layer.local.contact(&leg.dialog.peer),
            )
            .header(HeaderName::Allow, ALLOW)
            .body("application/sdp", &sdp)
            .finish();
        leg.offer = Offer::Ours(sdp);
        self.layer.request(
            now,
            leg.dialog.peer,
            &branch,
            &Method::Invite,
            bytes,
            Purpose::Reinvite(id),
        );
    }

    pub(super) fn reinvite_response(&mut self, now: Time, id: LegId, key: Key, message: &Message) {
        match message.status().unwrap_or_default() {
            ..200 => {}
            200..300 => self.reoffer_accepted(now, id, key, message),
            status => self.reoffer_refused(now, id, status),
        }
    }

    fn reoffer_accepted(&mut self, now: Time, id: LegId, key: Key, message: &Message) {
        let tag = message
            .to()
            .ok()
            .and_then(|to| to.tag())
            .unwrap_or_default();
        if self.layer.ack_again(key, tag) {
            return;
        }
        let cseq = message.cseq().map_or(0, |(number, _)| number);
        let Some(leg) = self.legs.get_mut(&id) else {
            // We hung up meanwhile: only the ACK is owed.
            return self.stray_fork(now, key, message, false);
        };
        if let Some(contact) = message.values(HeaderName::Contact).next() {
            leg.dialog.refresh(uri_of(contact));
        }
        let (_, ack) = in_dialog(&mut self.layer, &leg.dialog, &Method::Ack, cseq);
        self.layer.ack(key, tag, ack.finish(), leg.dialog.peer);
        if matches!(leg.state, State::Up) && matches!(leg.offer, Offer::Ours(_)) {
            leg.offer = Offer::Idle;
            self.layer.emit(Event::ReofferAccepted {
                leg: id,
                sdp: sdp_of(message),
            });
            self.pursue_wish(now, id);
        }
    }

    fn reoffer_refused(&mut self, now: Time, id: LegId, status: u16) {
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        if !matches!(leg.state, State::Up) {
            return;
        }
        let Offer::Ours(sdp) = std::mem::replace(&mut leg.offer, Offer::Idle) else {
            return;
        };
        match status {
            481 => self.dialog_died(now, id, false),
            408 => self.dialog_died(now, id, true),
            491 => {
                // Whoever called made the Call-ID; on legs that we answered it is theirs.
                let (low, high) = if leg.dialog.we_called {
                    GLARE_OWNER
                } else {
                    GLARE_OTHER
                };
                let wait = GLARE_STEP * self.layer.keys.between(low, high);
                let timer = self.layer.timers.set(
                    now + wait,
                    "re-INVITE after 491",
                    Alarm::Leg(id, LegAlarm::BackOff),
                );
                leg.offer = Offer::BackOff { sdp, timer };
            }
            _ => {
                self.layer.emit(Event::ReofferRejected { leg: id, status });
                self.pursue_wish(now, id);
            }
        }
    }

    pub(super) fn back_off_over(&mut self, now: Time, id: LegId) {
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        if let Offer::BackOff { sdp, .. } = std::mem::replace(&mut leg.offer, Offer::Idle) {
            leg.wish.get_or_insert(sdp);
            self.pursue_wish(now, id);
        }
    }

    /// A re-INVITE or UPDATE of theirs that offers, or wants an offer.
    pub(super) fn their_offer(
        &mut self,
        now: Time,
        id: LegId,
        key: Key,
        message: &Message,
        invite: bool,
    ) {
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        let busy = match (&leg.state, &leg.offer) {
            (State::Calling { .. }, _) | (_, Offer::Ours(_)) => Some(491),
            (State::Alerting { .. }, _) | (_, Offer::Theirs { .. }) => Some(500),
            // An INVITE of theirs whose 2xx has no ACK yet is still in progress (section 14.2).
            (State::Up, _) if leg.unacked.is_some() && invite => Some(500),
            (State::Up, Offer::Idle | Offer::BackOff { .. }) => None,
            (State::Closing, _) => Some(487),
        };
        if let Some(status) = busy {
            let wait = self.layer.keys.between(0, RETRY_MAX);
            self.layer
                .respond(now, key, status, None, None, |builder, _| match status {
                    500 => builder.header(HeaderName::RetryAfter, wait),
                    _ => builder,
                });
            return;
        }
        let contact = message
            .values(HeaderName::Contact)
            .next()
            .map(|contact| uri_of(contact).to_owned());
        let cseq = message.cseq().map_or(0, |(number, _)| number);
        if let Offer::BackOff { sdp, timer } = std::mem::replace(
            &mut leg.offer,
            Offer::Theirs {
                tx: key,
                invite,
                cseq,
                contact,
            },
        ) {
            self.layer.timers.cancel(timer);
            leg.wish.get_or_insert(sdp);
        }
        if invite {
            self.layer.answer(now, key, 100, None);
        }
        self.layer.emit(Event::Reoffered {
            leg: id,
            sdp: sdp_of(message),
        });
    }

    /// [`crate::Command::AcceptReoffer`].
    pub(super) fn accept_reoffer(&mut self, now: Time, id: LegId, sdp: &[u8]) {
        let Some((tx, invite, cseq, contact)) = self.take_theirs(id) else {
            return;
        };
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        if let Some(contact) = contact {
            leg.dialog.refresh(&contact);
        }
        let ours = self.layer.local.contact(&leg.dialog.peer);
        let sent = self
            .layer
            .respond(now, tx, 200, None, None, |builder, request| {
                builder
                    .copy(request, HeaderName::RecordRoute)
                    .header(HeaderName::Contact, ours)
                    .header(HeaderName::Allow, ALLOW)
                    .body("application/sdp", sdp)
            });
        if let Some(sent) = sent.filter(|_| invite) {
            leg.unacked = Some(unacked(&mut self.layer, now, id, cseq, false, sent));
        }
        self.pursue_wish(now, id);
    }

    /// [`crate::Command::RejectReoffer`].
    pub(super) fn reject_reoffer(&mut self, now: Time, id: LegId, status: u16) {
        let Some((tx, ..)) = self.take_theirs(id) else {
            return;
        };
        let status = if (400..700).contains(&status) {
            status
        } else {
            488
        };
        self.layer.answer(now, tx, status, None);
        self.pursue_wish(now, id);
    }

    fn take_theirs(&mut self, id: LegId) -> Option<(Key, bool, u32, Option<String>)> {
        let leg = self.legs.get_mut(&id)?;
        if !matches!(leg.offer, Offer::Theirs { .. }) {
            return None;
        }
        match std::mem::replace(&mut leg.offer, Offer::Idle) {
            Offer::Theirs {
                tx,
                invite,
                cseq,
                contact,
            } => Some((tx, invite, cseq, contact)),
            Offer::Idle | Offer::Ours(_) | Offer::BackOff { .. } => None,
        }
    }

    /// Their re-INVITE was cancelled, and 487 has been sent.
    pub(super) fn offer_cancelled(&mut self, now: Time, id: LegId) {
        if self.take_theirs(id).is_some() {
            self.pursue_wish(now, id);
        }
    }

    /// The call ends with an offer of theirs unanswered: 487 (section 15.1.2).
    pub(super) fn refuse_pending_offer(&mut self, now: Time, id: LegId) {
        if let Some((tx, ..)) = self.take_theirs(id) {
            self.layer.answer(now, tx, 487, None);
        }
        self.refuse_pending_refer(now, id);
    }
}
