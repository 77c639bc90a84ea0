//! Requests inside dialogs (section 12.2.2).

use clock::Time;

use super::keys::Key;
use super::leg::State;
use super::requests::{content_refusal, sdp_of};
use super::session::{self, Terms};
use super::{ALLOW, Endpoint, SUPPORTED};
use crate::api::{LegId, Peer};
use crate::dialog::Order;
use crate::message::{HeaderName, Message, Method};

impl Endpoint {
    /// A request with a To tag that is no ACK, no CANCEL and no repetition.
    pub(super) fn within(
        &mut self,
        now: Time,
        peer: Peer,
        message: Message,
        key: Key,
        method: &Method,
    ) {
        let Some(id) = self.dialog_of(&message) else {
            return self.no_dialog(&message, peer);
        };
        if self.layer.is_brimful() {
            return self.overloaded(&message, peer, "transactions_full");
        }
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        // Heard from on another connection: that is the one that works.
        if peer.flow.is_some() && leg.dialog.routes.is_empty() {
            leg.dialog.peer = peer;
        }
        if let Some(tag) = message.from().ok().and_then(|from| from.tag()) {
            // A fork speaks up: what follows is about its dialog.
            leg.choose(tag);
        }
        let cseq = message.cseq().map_or(0, |(number, _)| number);
        let order = leg.dialog.sequence(cseq);
        self.layer.open(key, &message, method, peer, None, Some(id));
        if order == Order::OutOfOrder {
            self.layer.count("cseq_order");
            return self.layer.answer(now, key, 500, None);
        }
        if method != &Method::Bye
            && let Some(unsupported) = super::unsupported(&message)
        {
            self.layer.respond(now, key, 420, None, None, |builder, _| {
                builder.header(HeaderName::Unsupported, unsupported)
            });
            return;
        }
        let refreshes = matches!(method, Method::Invite | Method::Update);
        if refreshes && session::too_brief(&message, &self.layer.config.dialogs) {
            let least = session::min_se(&self.layer.config.dialogs);
            self.layer.respond(now, key, 422, None, None, |builder, _| {
                builder.header(HeaderName::MinSe, least)
            });
            return;
        }
        match method {
            Method::Bye => self.ended_by_peer(now, key, id, &message),
            Method::Prack => self.pracked(now, id, key, &message),
            Method::Invite => self.reinvited(now, id, key, &message),
            Method::Update => self.updated(now, id, key, &message),
            Method::Info => self.informed(now, id, key, &message),
            Method::Options => self.options(now, key, None),
            Method::Refer => self.referred(now, id, key, &message),
            Method::Notify => self.notified(now, id, key, &message),
            Method::Subscribe => self.subscribed(now, id, key, &message),
            Method::Other(_) => self.not_allowed(now, key, 501),
            _ => self.not_allowed(now, key, 405),
        }
    }

    fn not_allowed(&mut self, now: Time, key: Key, status: u16) {
        self.layer
            .respond(now, key, status, None, None, |builder, _| {
                builder.header(HeaderName::Allow, ALLOW)
            });
    }

    fn reinvited(&mut self, now: Time, id: LegId, key: Key, message: &Message) {
        match content_refusal(message) {
            Some(status) => self.layer.answer(now, key, status, None),
            None => self.their_offer(now, id, key, message, true),
        }
    }

    /// UPDATE (RFC 3311): without an offer only a sign of life and a target refresh.
    fn updated(&mut self, now: Time, id: LegId, key: Key, message: &Message) {
        if let Some(status) = content_refusal(message) {
            return self.layer.answer(now, key, status, None);
        }
        if sdp_of(message).is_some() {
            return self.their_offer(now, id, key, message, false);
        }
        if let Some(contact) = message.values(HeaderName::Contact).next() {
            self.refresh_target(now, id, crate::dialog::uri_of(contact));
        }
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        let up = matches!(leg.state, State::Up);
        let contact = self.layer.local.contact_in(&leg.dialog);
        let terms = Terms::answering(message, &self.layer.config.dialogs);
        self.layer
            .respond(now, key, 200, None, None, |builder, request| {
                let builder = builder
                    .header(HeaderName::Contact, contact)
                    .header(HeaderName::Allow, ALLOW)
                    .header(HeaderName::Supported, SUPPORTED);
                if up {
                    terms.write(builder, request)
                } else {
                    builder
                }
            });
        if up {
            self.start_session(now, id, terms);
        }
    }
}
