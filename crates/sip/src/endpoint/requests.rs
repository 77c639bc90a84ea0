//! Requests from the wire: repetitions, ACK and CANCEL to their places, and what starts something new (section 8.2).

use clock::Time;

use super::keys::Key;
use super::layer::{AckMatch, Match};
use super::leg::{State, reason_of};
use super::overload::stateless_tag;
use super::session;
use super::{ALLOW, Endpoint, RETRY_AFTER, SUPPORTED};
use crate::api::{Access, Cause, Event, Identity, Peer};
use crate::message::{HeaderName, Message, Method, Scheme};

impl Endpoint {
    pub(super) fn request(&mut self, now: Time, peer: Peer, message: Message) {
        let Some(method) = message.method().cloned() else {
            return;
        };
        self.layer.emit(Event::Traffic {
            outbound: false,
            method: method.label(),
            class: "request",
        });
        if message.check().is_err() {
            self.layer.count("malformed");
            if method != Method::Ack {
                self.layer.refuse(&message, peer, 400, |builder| builder);
            }
            return;
        }
        let Ok(via) = message.top_via() else { return };
        let of = if method == Method::Ack {
            &Method::Invite
        } else {
            &method
        };
        let key = self.layer.server_key(&message, &via, of);
        if method == Method::Ack {
            return match self.layer.receive_ack(now, key) {
                AckMatch::Absorbed => {}
                AckMatch::Pass => self.ack(now, &message),
            };
        }
        if matches!(self.layer.receive(now, key), Match::Again) {
            return;
        }
        let invite_key = (method == Method::Cancel)
            .then(|| self.layer.server_key(&message, &via, &Method::Invite));
        let in_dialog = message.to().is_ok_and(|to| to.tag().is_some());
        match invite_key {
            Some(invite) => self.cancelled(now, peer, &message, key, invite),
            None if in_dialog => self.within(now, peer, message, key, &method),
            None => self.fresh(now, peer, message, key, &method),
        }
    }

    /// CANCEL: 200 and 487 to what is unanswered, 200 alone to what is answered, 481 to what is unknown (section 9.2).
    fn cancelled(&mut self, now: Time, peer: Peer, message: &Message, key: Key, invite: Key) {
        let Some((leg, unanswered)) = self.layer.invite_of(invite) else {
            self.layer.count("no_transaction");
            self.layer.refuse(message, peer, 481, |builder| builder);
            return;
        };
        let why = reason_of(message);
        let tag = leg
            .and_then(|leg| self.legs.get(&leg))
            .map(|leg| leg.dialog.local_tag.clone());
        self.layer
            .open(key, message, &Method::Cancel, peer, None, None);
        self.layer.answer(now, key, 200, tag.as_deref());
        if !unanswered {
            return;
        }
        self.layer.answer(now, invite, 487, tag.as_deref());
        let Some(id) = leg else { return };
        match self.legs.get(&id).map(|leg| &leg.state) {
            Some(State::Alerting { .. }) => self.gone_because(id, Cause::Cancelled, why),
            // The CANCEL was for a re-INVITE: the dialog goes on, the offer does not.
            Some(State::Calling { .. } | State::Up | State::Closing) => {
                self.offer_cancelled(now, id)
            }
            None => {}
        }
    }

    /// A request outside every dialog.
    fn fresh(&mut self, now: Time, peer: Peer, message: Message, key: Key, method: &Method) {
        if self.layer.is_full() {
            return self.overloaded(&message, peer, "transactions_full");
        }
        let merge = self.layer.merge_key(&message);
        if self.layer.is_merged(&merge) {
            self.layer.count("merged");
            return self.layer.refuse(&message, peer, 482, |builder| builder);
        }
        // RFC 6665 section 4.1.3: nobody is notified of what they did not subscribe to.
        if matches!(method, Method::Bye | Method::Prack | Method::Notify) {
            self.layer.count("no_dialog");
            return self.layer.refuse(&message, peer, 481, |builder| builder);
        }
        let access = match method {
            Method::Register => self.authenticate(now, &peer, &message, method),
            _ => self.access(now, &peer, &message, method),
        };
        let identity = match access {
            Access::Granted(identity) => identity,
            Access::Barred => return self.layer.count("barred"),
            Access::Challenge(_) if self.ignores(now, &peer, &message) => return,
            Access::Challenge(auth) => return self.challenge(now, peer, &message, auth),
        };
        self.aliased(&peer, &message);
        if let Some(status) = self.refusal(&message, method, &identity) {
            return self.refuse_by(now, peer, &message, method, status, key);
        }
        match method {
            Method::Invite => self.incoming(now, peer, message, key, merge, identity),
            Method::Register => {
                self.layer
                    .open(key, &message, method, peer, Some(merge), None);
                self.register(now, peer, &message, key, &identity);
            }
            _ => {
                self.layer
                    .open(key, &message, method, peer, Some(merge), None);
                self.options(now, key, None);
            }
        }
    }

    /// What speaks against a request by section 8.2, as a status.
    fn refusal(&self, message: &Message, method: &Method, identity: &Identity) -> Option<u16> {
        match method {
            Method::Invite | Method::Register | Method::Options => {}
            // Who asks for a call outside every call would be its caller and must dial it.
            Method::Refer => return Some(403),
            // We notify of nothing but a REFER in its call (RFC 6665 section 4.1.3.1).
            Method::Subscribe => return Some(489),
            Method::Other(_) => return Some(501),
            _ => return Some(405),
        }
        let uri = message.request_uri().ok()?;
        if matches!(uri.scheme, Scheme::Other(_)) {
            return Some(416);
        }
        if let (Identity::User(user), Method::Invite) = (identity, method)
            && message
                .from()
                .ok()
                .and_then(|from| from.uri.user())
                .as_deref()
                != Some(user)
        {
            return Some(403);
        }
        if super::unsupported(message).is_some() {
            return Some(420);
        }
        if method == &Method::Invite {
            return refusal_of_invite(message).or_else(|| {
                session::too_brief(message, &self.layer.config.dialogs).then_some(422)
            });
        }
        None
    }

    fn refuse_by(
        &mut self,
        now: Time,
        peer: Peer,
        message: &Message,
        method: &Method,
        status: u16,
        key: Key,
    ) {
        self.layer.count(match status {
            403 => "forbidden",
            405 | 501 => "method",
            420 => "extension",
            489 => "subscription",
            _ => "unacceptable",
        });
        // Someone we know: the refusal may be kept and repeated like any other answer.
        self.layer.open(key, message, method, peer, None, None);
        let tag = stateless_tag(message);
        let least = session::min_se(&self.layer.config.dialogs);
        self.layer.respond(
            now,
            key,
            status,
            None,
            Some(&tag),
            |builder, request| match status {
                405 | 501 => builder.header(HeaderName::Allow, ALLOW),
                415 => builder
                    .header(HeaderName::Accept, "application/sdp")
                    .header(HeaderName::AcceptEncoding, "identity"),
                420 => {
                    let unsupported = super::unsupported(request).unwrap_or_default();
                    builder.header(HeaderName::Unsupported, unsupported)
                }
                422 => builder.header(HeaderName::MinSe, least),
                489 => builder.header(HeaderName::AllowEvents, super::refer::PACKAGE),
                _ => builder,
            },
        );
    }

    pub(super) fn overloaded(&mut self, message: &Message, peer: Peer, what: &'static str) {
        self.layer.count(what);
        let wait = self.layer.keys.between(RETRY_AFTER.0, RETRY_AFTER.1);
        self.layer.refuse(message, peer, 503, |builder| {
            builder.header(HeaderName::RetryAfter, wait)
        });
    }

    /// OPTIONS in and out of dialogs (section 11.2).
    pub(super) fn options(&mut self, now: Time, key: Key, to_tag: Option<&str>) {
        let tag = to_tag.map_or_else(|| self.layer.keys.tag(), str::to_owned);
        self.layer
            .respond(now, key, 200, None, Some(&tag), |builder, _| {
                builder
                    .header(HeaderName::Allow, ALLOW)
                    .header(
                        HeaderName::Accept,
                        "application/sdp, application/dtmf-relay",
                    )
                    .header(HeaderName::AcceptEncoding, "identity")
                    .header(HeaderName::AcceptLanguage, "en, zh")
                    .header(HeaderName::Supported, SUPPORTED)
            });
    }

    /// An ACK that no transaction swallowed: of a 2xx, or of a refusal that left nothing behind.
    fn ack(&mut self, now: Time, message: &Message) {
        if let Some(id) = self.dialog_of(message) {
            return self.acknowledged(now, id, message);
        }
        let tag = message.to().ok().and_then(|to| to.tag());
        if tag != Some(&stateless_tag(message)) {
            self.layer.count("no_transaction");
        }
    }

    /// The leg whose dialog a request belongs to (section 12.2.2).
    pub(super) fn dialog_of(&self, message: &Message) -> Option<crate::api::LegId> {
        let to = message.to().ok()?;
        let from = message.from().ok()?;
        let key = self.dialog_key(message.call_id(), to.tag()?);
        let id = self.dialogs.get(&key)?;
        let leg = self.legs.get(id)?;
        let tag = from.tag().unwrap_or_default();
        (leg.dialog.remote_tag == tag || leg.has_fork(tag)).then_some(*id)
    }

    /// Refuses a request that needs no transaction to be refused.
    pub(super) fn no_dialog(&mut self, message: &Message, peer: Peer) {
        self.layer.count("no_dialog");
        self.layer.refuse(message, peer, 481, |builder| builder);
    }
}

/// What an INVITE must have (sections 8.1.1.8, 8.2.3, 16.3).
fn refusal_of_invite(message: &Message) -> Option<u16> {
    if message.max_forwards() == Ok(Some(0)) {
        // A user agent need not look, but we call on: RFC 7332 wants loops through us to end.
        return Some(483);
    }
    if !matches!(message.contacts().next(), Some(Ok(_))) {
        return Some(400);
    }
    if !takes_sdp(message) {
        return Some(406);
    }
    content_refusal(message)
}

/// Whether the answer may be SDP: without Accept it is what is meant (section 20.1).
fn takes_sdp(message: &Message) -> bool {
    let mut accepts = message.values(HeaderName::Accept).peekable();
    accepts.peek().is_none()
        || accepts.any(|range| {
            let range = range.split(';').next().unwrap_or_default().trim();
            ["application/sdp", "application/*", "*/*"]
                .iter()
                .any(|wanted| range.eq_ignore_ascii_case(wanted))
        })
}

/// Bodies that we cannot read: 415.
pub fn content_refusal(message: &Message) -> Option<u16> {
    if message
        .header(HeaderName::ContentEncoding)
        .is_some_and(|coding| !coding.eq_ignore_ascii_case("identity"))
    {
        return Some(415);
    }
    let optional = message
        .header(HeaderName::ContentDisposition)
        .is_some_and(|text| text.contains("handling=optional"));
    let foreign = !message.body().is_empty() && !message.is_content("application/sdp");
    (foreign && !optional).then_some(415)
}

/// The SDP of a message, if it has one.
pub fn sdp_of(message: &Message) -> Option<bytes::Bytes> {
    if !message.is_content("application/sdp") {
        return None;
    }
    Some(message.body()).filter(|body| !body.is_empty())
}
