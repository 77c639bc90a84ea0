//! Calls to us: from the INVITE to our final response and its ACK (section 13.3).

use std::time::Duration;

use bytes::Bytes;
use clock::Time;

use super::keys::Key;
use super::leg::{Able, Hangup, Leg, LegAlarm, NO_ACK, State, reason_of, unacked};
use super::requests::sdp_of;
use super::session::Terms;
use super::{ALLOW, Alarm, Endpoint, SUPPORTED};
use crate::api::{Cause, Event, Identity, Incoming, LegId, Peer};
use crate::dialog::{Dialog, is_secure, uri_of};
use crate::identity::{self, Signalled, Source};
use crate::message::{Builder, HeaderName, Message, Method};
use crate::trunk::Trust;

/// How often an unanswered caller hears from us (section 13.3.1.1).
const MINUTE: Duration = Duration::from_secs(60);

/// Minutes until an unanswered call is given up with 408: nobody waits for two hours, and no leg lives for ever.
const MINUTES_MAX: u16 = 120;

impl Endpoint {
    /// A new call that access has let in.
    pub(super) fn incoming(
        &mut self,
        now: Time,
        peer: Peer,
        message: Message,
        key: Key,
        merge: Key,
        identity: Identity,
    ) {
        if self.legs.len() >= self.layer.config.max_dialogs {
            return self.overloaded(&message, peer, "dialogs_full");
        }
        if let Identity::Trunk(name) = &identity
            && let Err(reason) = self.has_room(now, name)
        {
            self.refuse_trunk(name, reason);
            let what = if reason == "rate" {
                "trunk_rate"
            } else {
                "trunk_full"
            };
            return self.overloaded(&message, peer, what);
        }
        let replaces = match self.replaced_by(&message) {
            Ok(replaces) => replaces,
            Err(status) => {
                self.layer.count("replaces");
                return self.layer.refuse(&message, peer, status, |builder| builder);
            }
        };
        let tag = self.layer.keys.tag();
        let natted = matches!(identity, Identity::User(_));
        let Some(dialog) = answering_dialog(&message, peer, &tag, natted) else {
            return;
        };
        let leg = self.new_leg();
        self.layer
            .open(key, &message, &Method::Invite, peer, Some(merge), Some(leg));
        self.layer.answer(now, key, 100, None);
        let trunk = match &identity {
            Identity::Trunk(name) => Some(name.clone()),
            Identity::User(_) => None,
        };
        if let Some(name) = &trunk {
            self.trunk_taken(now, name, false);
        }
        let dialog_key = self.dialog_key(&dialog.call_id, &tag);
        let mut state = Leg::new(
            dialog,
            State::Alerting {
                tx: key,
                minutes: 0,
            },
            trunk,
        );
        state.able = Able::of(&message);
        state.alarm = Some(self.layer.timers.set(
            now + MINUTE,
            "unanswered minute",
            Alarm::Leg(leg, LegAlarm::Minute),
        ));
        self.dialogs.insert(dialog_key, leg);
        self.legs.insert(leg, state);
        self.resolve_hop(now, leg);
        if let Identity::Trunk(name) = &identity {
            self.tell_trunk_named(name);
        }
        let dialled = message
            .request_uri()
            .ok()
            .and_then(|uri| uri.user())
            .unwrap_or_default()
            .into_owned();
        let source = self.source_of(&identity);
        let caller = identity::caller(&message, source);
        let signalled = Signalled::of(&message, source);
        if signalled.passed_over > 0 {
            self.layer.count("identity_header");
        }
        let call_id = message.call_id().to_owned();
        let sdp = sdp_of(&message);
        self.layer.emit(Event::Incoming(Incoming {
            leg,
            identity,
            dialled,
            caller,
            signalled,
            call_id,
            replaces,
            sdp,
            peer,
            message,
        }));
    }

    /// How far what a call says of itself is believed.
    fn source_of(&self, identity: &Identity) -> Source {
        let Identity::Trunk(name) = identity else {
            return Source::User;
        };
        let mut trunks = self.layer.config.trunks.iter();
        match trunks
            .find(|trunk| trunk.name == *name)
            .map(|trunk| trunk.trust)
        {
            Some(Trust::Full) => Source::Trusted,
            Some(Trust::None) | None => Source::Foreign,
        }
    }

    /// [`crate::Command::Ring`].
    pub(super) fn ring(
        &mut self,
        now: Time,
        id: LegId,
        status: u16,
        sdp: Option<Bytes>,
        headers: &[(String, String)],
    ) {
        let Some((tx, tag, contact)) = self.alerting(id) else {
            return;
        };
        let status = if (101..200).contains(&status) {
            status
        } else {
            180
        };
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        if let Some(sdp) = &sdp {
            leg.described = sdp.clone();
        }
        let able = leg.able;
        if self.rings_reliably(able) {
            return self.ring_reliably(now, id, status, sdp, headers);
        }
        self.layer
            .respond(now, tx, status, None, Some(&tag), |builder, request| {
                let builder = establishing(builder, request, &contact, headers);
                // An offer of ours must not be lost (RFC 3262 section 5): unreliably only an answer goes.
                match sdp.filter(|_| sdp_of(request).is_some()) {
                    Some(sdp) => builder.body("application/sdp", &sdp),
                    None => builder,
                }
            });
    }

    /// [`crate::Command::Answer`].
    pub(super) fn answer(
        &mut self,
        now: Time,
        id: LegId,
        sdp: &Bytes,
        headers: &[(String, String)],
    ) {
        let Some((tx, tag, contact)) = self.alerting(id) else {
            return;
        };
        let Some(describes) = self.may_answer(id, sdp, headers) else {
            return;
        };
        let rules = self.layer.config.dialogs;
        let mut agreed = None;
        let sent = self
            .layer
            .respond(now, tx, 200, None, Some(&tag), |builder, request| {
                let terms = Terms::answering(request, &rules);
                agreed = Some((terms, request.cseq().map_or(0, |(number, _)| number)));
                let builder = establishing(builder, request, &contact, headers)
                    .header(HeaderName::Supported, SUPPORTED);
                let builder = terms.write(builder, request);
                if describes {
                    builder.body("application/sdp", sdp)
                } else {
                    builder
                }
            });
        let (Some(sent), Some((terms, cseq)), Some(leg)) = (sent, agreed, self.legs.get_mut(&id))
        else {
            return;
        };
        if let Some(alarm) = leg.alarm.take() {
            self.layer.timers.cancel(alarm);
        }
        leg.state = State::Up;
        if describes {
            leg.described = sdp.clone();
        }
        leg.unacked = Some(unacked(&mut self.layer, now, id, cseq, true, sent));
        self.start_session(now, id, terms);
    }

    /// [`crate::Command::Reject`].
    pub(super) fn reject(
        &mut self,
        now: Time,
        id: LegId,
        status: u16,
        phrase: Option<&str>,
        headers: &[(String, String)],
    ) {
        let Some((tx, tag, _)) = self.alerting(id) else {
            return;
        };
        let status = if (300..700).contains(&status) {
            status
        } else {
            480
        };
        self.layer
            .respond(now, tx, status, phrase, Some(&tag), |builder, _| {
                with_headers(builder, headers)
            });
        self.gone(id, Cause::HungUp);
    }

    fn alerting(&self, id: LegId) -> Option<(Key, String, String)> {
        let leg = self.legs.get(&id)?;
        let State::Alerting { tx, .. } = leg.state else {
            return None;
        };
        let contact = self.layer.local.contact_in(&leg.dialog).to_string();
        Some((tx, leg.dialog.local_tag.clone(), contact))
    }

    /// A minute without an answer of ours: the caller hears the last provisional again.
    pub(super) fn minute_unanswered(&mut self, now: Time, id: LegId) {
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        let State::Alerting { tx, minutes } = &mut leg.state else {
            return;
        };
        *minutes += 1;
        let tx = *tx;
        if *minutes >= MINUTES_MAX {
            let tag = leg.dialog.local_tag.clone();
            self.layer.answer(now, tx, 408, Some(&tag));
            return self.gone(id, Cause::HungUp);
        }
        leg.alarm = Some(self.layer.timers.set(
            now + MINUTE,
            "unanswered minute",
            Alarm::Leg(id, LegAlarm::Minute),
        ));
        if !self.ring_on(now, id) {
            self.layer.repeat_provisional(now, tx);
        }
    }

    /// No ACK yet: the 2xx goes out again, T1 doubling to T2, on every transport (section 13.3.1.4).
    pub(super) fn repeat_answer(&mut self, now: Time, id: LegId) {
        let t2 = self.layer.config.t2;
        let Some(unacked) = self.legs.get_mut(&id).and_then(|leg| leg.unacked.as_mut()) else {
            return;
        };
        unacked.interval = (unacked.interval * 2).min(t2);
        let alarm = Alarm::Leg(id, LegAlarm::RepeatAnswer);
        unacked.repeat = self
            .layer
            .timers
            .set(now + unacked.interval, "2xx repeat", alarm);
        let (peer, bytes) = (unacked.peer, unacked.response.clone());
        self.layer.transmit(peer, bytes, "INVITE", "2xx");
    }

    /// 64 · T1 without an ACK: BYE, and the leg is lost, or what it was going to be anyway.
    pub(super) fn no_ack(&mut self, now: Time, id: LegId) {
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        let Some(unacked) = leg.unacked.take() else {
            return;
        };
        self.layer.timers.cancel(unacked.repeat);
        self.layer.count("no_ack");
        match unacked.hangup {
            Some(cause) => self.bye(now, id, cause.as_deref()),
            None => self.dialog_died(now, id, Some(NO_ACK)),
        }
    }

    /// The ACK of a 2xx, or a repetition of it.
    pub(super) fn acknowledged(&mut self, now: Time, id: LegId, message: &Message) {
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        let cseq = message.cseq().map_or(0, |(number, _)| number);
        if leg
            .unacked
            .as_ref()
            .is_none_or(|unacked| unacked.cseq != cseq)
        {
            return;
        }
        let Some(unacked) = leg.unacked.take() else {
            return;
        };
        self.layer.timers.cancel(unacked.repeat);
        self.layer.timers.cancel(unacked.give_up);
        if unacked.initial {
            self.layer.stop_provisionals(leg);
        }
        match unacked.hangup {
            Some(cause) => self.bye(now, id, cause.as_deref()),
            None => {
                self.layer.emit(Event::Confirmed {
                    leg: id,
                    sdp: sdp_of(message),
                });
                self.pursue_wish(now, id);
            }
        }
    }

    /// The far end's BYE (section 15.1.2). In an early dialog it is a way of cancelling.
    pub(super) fn ended_by_peer(&mut self, now: Time, key: Key, id: LegId, message: &Message) {
        self.layer.answer(now, key, 200, None);
        self.refuse_pending_offer(now, id);
        let Some(leg) = self.legs.get(&id) else {
            return;
        };
        let cause = match &leg.state {
            State::Alerting { tx, .. } => {
                let (tx, tag) = (*tx, leg.dialog.local_tag.clone());
                self.layer.answer(now, tx, 487, Some(&tag));
                Cause::Cancelled
            }
            State::Up
                if leg
                    .unacked
                    .as_ref()
                    .is_some_and(|unacked| unacked.hangup.is_some()) =>
            {
                Cause::HungUp
            }
            State::Up => Cause::Bye,
            State::Calling {
                hangup: Hangup::No, ..
            } => Cause::Bye,
            // A BYE that crosses ours: both are answered, and we were first.
            State::Closing | State::Calling { .. } => Cause::HungUp,
        };
        self.gone_because(id, cause, reason_of(message));
    }
}

/// The dialog that an INVITE makes when we answer it (section 12.1.1).
fn answering_dialog(message: &Message, peer: Peer, tag: &str, natted: bool) -> Option<Dialog> {
    let from = message.from().ok()?;
    let mut dialog = Dialog {
        call_id: message.call_id().to_owned(),
        local_tag: tag.to_owned(),
        remote_tag: from.tag().unwrap_or_default().to_owned(),
        local: format!("{};tag={tag}", message.to_raw()),
        remote: message.from_raw().to_owned(),
        target: String::new(),
        routes: message
            .values(HeaderName::RecordRoute)
            .map(str::to_owned)
            .collect(),
        local_cseq: 0,
        rseq: 0,
        remote_cseq: message.cseq().ok().map(|(number, _)| number),
        peer,
        we_called: false,
        natted,
        secure: wants_security(message),
        account: None,
    };
    dialog.refresh(uri_of(message.values(HeaderName::Contact).next()?));
    Some(dialog)
}

/// Whether the dialog of this INVITE has `sips:` Contacts (section 12.1.1).
fn wants_security(invite: &Message) -> bool {
    let route = invite.values(HeaderName::RecordRoute).next();
    let behind = route.or_else(|| invite.values(HeaderName::Contact).next());
    is_secure(invite.request_uri_raw()) || behind.is_some_and(|value| is_secure(uri_of(value)))
}

/// What a response that makes a dialog carries (section 12.1.1).
pub fn establishing(
    builder: Builder,
    request: &Message,
    contact: &str,
    headers: &[(String, String)],
) -> Builder {
    let builder = builder
        .copy(request, HeaderName::RecordRoute)
        .header(HeaderName::Contact, contact)
        .header(HeaderName::Allow, ALLOW);
    with_headers(builder, headers)
}

pub fn with_headers(mut builder: Builder, headers: &[(String, String)]) -> Builder {
    for (name, value) in headers {
        builder = builder.raw_header(name, value);
    }
    builder
}
