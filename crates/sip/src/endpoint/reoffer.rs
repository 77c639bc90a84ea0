//! Changes of media in a call, from both sides, and what happens when they cross (section 14, RFC 3311).

use std::time::Duration;

use bytes::Bytes;
use clock::Time;

use super::keys::Key;
use super::layer::{Purpose, Sent};
use super::leg::{Leg, LegAlarm, NO_RESPONSE, Offer, Ours, State, in_dialog, unacked};
use super::requests::sdp_of;
use super::session::{self, Terms};
use super::{ALLOW, Alarm, Endpoint, SUPPORTED};
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
        if !matches!(leg.state, State::Closing) {
            leg.wish = Some(sdp);
            self.pursue_wish(now, id);
        }
    }

    /// Sends the offer that we wish for, if nothing is in its way (section 14.1).
    pub(super) fn pursue_wish(&mut self, now: Time, id: LegId) {
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        let (method, purpose) = match leg.state {
            State::Up => (Method::Invite, Purpose::Reinvite(id)),
            // Before the answer only UPDATE will do, and only once offer and answer are exchanged (RFC 3311 section 5.1).
            State::Calling { .. } | State::Alerting { .. }
                if leg.able.update && leg.is_agreed_before_answer() =>
            {
                (Method::Update, Purpose::Update(id))
            }
            State::Calling { .. } | State::Alerting { .. } | State::Closing => return,
        };
        if !matches!(leg.offer, Offer::Idle) || leg.unacked.is_some() {
            return;
        }
        let refresh = std::mem::take(&mut leg.refresh);
        let ours = match leg.wish.take() {
            Some(sdp) => Ours {
                sdp,
                refresh: false,
            },
            None if refresh => Ours {
                sdp: leg.described.clone(),
                refresh,
            },
            None => return,
        };
        let cseq = leg.dialog.next_cseq();
        let (branch, builder) = in_dialog(&mut self.layer, &leg.dialog, &method, cseq);
        let contact = self.layer.local.contact_in(&leg.dialog);
        let builder = builder
            .header(HeaderName::Contact, contact)
            .header(HeaderName::Allow, ALLOW)
            .header(HeaderName::Supported, SUPPORTED);
        let bytes = session::ask_again(builder, leg.session.as_ref())
            .body("application/sdp", &ours.sdp)
            .finish();
        leg.offer = Offer::Ours(ours);
        let peer = leg.dialog.peer;
        self.layer
            .request(now, peer, &branch, &method, bytes, purpose);
    }

    pub(super) fn reinvite_response(
        &mut self,
        now: Time,
        id: LegId,
        key: Key,
        sent: &Sent,
        message: &Message,
    ) {
        match message.status().unwrap_or_default() {
            ..200 => {}
            200..300 => self.reoffer_accepted(now, id, key, sent, message),
            _ => self.reoffer_refused(now, id, message),
        }
    }

    /// What came of an UPDATE with an offer of ours.
    pub(super) fn update_response(&mut self, now: Time, id: LegId, message: &Message) {
        match message.status().unwrap_or_default() {
            ..200 => {}
            200..300 => {
                self.target_refreshed(now, id, message);
                self.settle_offer(now, id, message);
            }
            _ => self.reoffer_refused(now, id, message),
        }
    }

    fn target_refreshed(&mut self, now: Time, id: LegId, message: &Message) {
        if let Some(contact) = message.values(HeaderName::Contact).next() {
            self.refresh_target(now, id, uri_of(contact));
        }
    }

    fn reoffer_accepted(&mut self, now: Time, id: LegId, key: Key, sent: &Sent, message: &Message) {
        let tag = message
            .to()
            .ok()
            .and_then(|to| to.tag())
            .unwrap_or_default();
        if self.layer.ack_again(key, tag) {
            return;
        }
        let cseq = message.cseq().map_or(0, |(number, _)| number);
        self.target_refreshed(now, id, message);
        let Some(leg) = self.legs.get_mut(&id) else {
            // We hung up meanwhile: only the ACK is owed.
            return self.stray_fork(now, key, message, false);
        };
        let (_, ack) = in_dialog(&mut self.layer, &leg.dialog, &Method::Ack, cseq);
        let ack = self.layer.signed_like(ack, &leg.dialog, &sent.request);
        self.layer.ack(key, tag, ack.finish(), leg.dialog.peer);
        if matches!(leg.state, State::Up) {
            self.settle_offer(now, id, message);
        }
    }

    /// An offer of ours is answered.
    fn settle_offer(&mut self, now: Time, id: LegId, message: &Message) {
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        if !matches!(leg.offer, Offer::Ours(_)) {
            return;
        }
        let Offer::Ours(ours) = std::mem::replace(&mut leg.offer, Offer::Idle) else {
            return;
        };
        leg.described = ours.sdp;
        if matches!(leg.state, State::Up) {
            self.session_answered(now, id, message);
        }
        self.layer.emit(Event::ReofferAccepted {
            leg: id,
            sdp: sdp_of(message),
        });
        self.pursue_wish(now, id);
    }

    fn reoffer_refused(&mut self, now: Time, id: LegId, message: &Message) {
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        if matches!(leg.state, State::Closing) {
            return;
        }
        let Offer::Ours(ours) = std::mem::replace(&mut leg.offer, Offer::Idle) else {
            return;
        };
        let (we_called, agreed) = (
            leg.dialog.we_called,
            leg.session.is_some_and(|session| session.is_agreed()),
        );
        let status = message.status().unwrap_or_default();
        match status {
            481 => self.dialog_died(now, id, None),
            408 => self.dialog_died(now, id, Some(NO_RESPONSE)),
            422 if self.lengthen(id, message) => {
                self.wish_again(id, ours);
                self.pursue_wish(now, id);
            }
            491 => {
                // Whoever called made the Call-ID; on legs that we answered it is theirs.
                let (low, high) = if we_called { GLARE_OWNER } else { GLARE_OTHER };
                let wait = GLARE_STEP * self.layer.keys.between(low, high);
                let timer = self.layer.timers.set(
                    now + wait,
                    "re-INVITE after 491",
                    Alarm::Leg(id, LegAlarm::BackOff),
                );
                if let Some(leg) = self.legs.get_mut(&id) {
                    leg.offer = Offer::BackOff { ours, timer };
                }
            }
            // Nothing was to change, and somebody lives there: that will do unless a timer is agreed.
            _ if ours.refresh => {
                if !agreed {
                    self.session_answered(now, id, message);
                }
                self.pursue_wish(now, id);
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
        if let Offer::BackOff { ours, .. } = std::mem::replace(&mut leg.offer, Offer::Idle) {
            self.wish_again(id, ours);
            self.pursue_wish(now, id);
        }
    }

    /// An offer that did not get through, to be made again unless there is a newer one.
    fn wish_again(&mut self, id: LegId, ours: Ours) {
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        if ours.refresh {
            leg.refresh = true;
        } else {
            leg.wish.get_or_insert(ours.sdp);
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
            (_, Offer::Ours(_)) => Some(491),
            (_, Offer::Theirs { .. }) => Some(500),
            // Before the answer, only once the INVITE's own offer is answered reliably (RFC 3311 section 5.2).
            (State::Calling { .. } | State::Alerting { .. }, _)
                if leg.is_agreed_before_answer() =>
            {
                None
            }
            (State::Calling { .. }, _) => Some(491),
            (State::Alerting { .. }, _) => Some(500),
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
        if let Offer::BackOff { ours, timer } = std::mem::replace(
            &mut leg.offer,
            Offer::Theirs {
                tx: key,
                invite,
                cseq,
                contact,
            },
        ) {
            self.layer.timers.cancel(timer);
            self.wish_again(id, ours);
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
    pub(super) fn accept_reoffer(&mut self, now: Time, id: LegId, sdp: &Bytes) {
        let Some((tx, invite, cseq, contact)) = self.take_theirs(id) else {
            return;
        };
        if let Some(contact) = contact {
            self.refresh_target(now, id, &contact);
        }
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        leg.described = sdp.clone();
        let up = matches!(leg.state, State::Up);
        let ours = self.layer.local.contact_in(&leg.dialog);
        let rules = self.layer.config.dialogs;
        let mut agreed = None;
        let sent = self
            .layer
            .respond(now, tx, 200, None, None, |builder, request| {
                let builder = builder
                    .copy(request, HeaderName::RecordRoute)
                    .header(HeaderName::Contact, ours)
                    .header(HeaderName::Allow, ALLOW)
                    .header(HeaderName::Supported, SUPPORTED);
                let builder = if up {
                    let terms = Terms::answering(request, &rules);
                    agreed = Some(terms);
                    terms.write(builder, request)
                } else {
                    builder
                };
                builder.body("application/sdp", sdp)
            });
        if let Some(sent) = sent.filter(|_| invite) {
            leg.unacked = Some(unacked(&mut self.layer, now, id, cseq, false, sent));
        }
        if let Some(terms) = agreed {
            self.start_session(now, id, terms);
        }
        self.pursue_wish(now, id);
        self.ring_next(now, id);
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
        self.ring_next(now, id);
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

impl Leg {
    /// Offer and answer of an unanswered INVITE are exchanged: in reliable provisionals, of ours or theirs.
    fn is_agreed_before_answer(&self) -> bool {
        match self.state {
            State::Calling { .. } => self.is_agreed_early(),
            State::Alerting { .. } => self
                .reliable
                .as_ref()
                .is_some_and(|reliable| reliable.agreed),
            State::Up | State::Closing => false,
        }
    }
}
