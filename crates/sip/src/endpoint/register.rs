//! REGISTER on the wire: read it, let the registrar judge it, tell the phone and the engine (section 10.3).

use std::sync::Arc;

use clock::Time;

use super::keys::Key;
use super::{Alarm, Endpoint};
use crate::api::{Event, Identity, Peer, Registration};
use crate::message::{HeaderName, Message, Scheme};
use crate::registrar::{Change, Refusal, Register, Wish, Wishes};

impl Endpoint {
    /// A REGISTER whose digest was right, its transaction open.
    pub(super) fn register(
        &mut self,
        now: Time,
        peer: Peer,
        message: &Message,
        key: Key,
        identity: &Identity,
    ) {
        let Identity::User(user) = identity else {
            return;
        };
        let tag = self.layer.keys.tag();
        let to = message.to().ok().map(|to| to.uri);
        // Section 10.3: an address of record is a SIP or SIPS URI.
        if !to.is_some_and(|uri| matches!(uri.scheme, Scheme::Sip | Scheme::Sips)) {
            return self.layer.answer(now, key, 400, Some(&tag));
        }
        let aor = to.and_then(|uri| uri.user());
        if aor.as_deref() != Some(user) {
            self.layer.count("forbidden");
            return self.layer.answer(now, key, 403, Some(&tag));
        }
        let Some(register) = read(message, peer) else {
            return self.layer.answer(now, key, 400, Some(&tag));
        };
        let config = self.layer.config.clone();
        match self.registrar.register(now, user, register, &config) {
            Ok(change) => {
                self.registered(now, key, &tag, user);
                self.watch_expiry(user);
                if change != Change::None {
                    self.tell_registration(user);
                    self.ask_silent(now, user);
                }
            }
            Err(Refusal::TooBrief(seconds)) => {
                let least = |builder: crate::message::Builder, _: &Message| {
                    builder.header(HeaderName::MinExpires, seconds)
                };
                self.layer.respond(now, key, 423, None, Some(&tag), least);
            }
            Err(Refusal::OutOfOrder) => {
                self.layer.count("cseq_order");
                self.layer.answer(now, key, 500, Some(&tag));
            }
            Err(Refusal::TooMany) => self.layer.answer(now, key, 403, Some(&tag)),
        }
    }

    /// 200 with every binding and the seconds it has left.
    fn registered(&mut self, now: Time, key: Key, tag: &str, user: &str) {
        let bindings = self.registrar.of(user);
        self.layer
            .respond(now, key, 200, None, Some(tag), |mut builder, request| {
                for binding in bindings {
                    // Rounded up: a phone that asked for 60 s is told 60, not 59.
                    let left = (binding.expires.since(now).as_millis()).div_ceil(1000);
                    builder = builder.header(
                        HeaderName::Contact,
                        format_args!("<{}>;expires={left}", binding.uri),
                    );
                }
                builder.copy(request, HeaderName::Path)
            });
    }

    /// After any change from outside a REGISTER: the timer and the engine learn it.
    pub(super) fn bindings_changed(&mut self, user: &Arc<str>) {
        self.watch_expiry(user);
        self.tell_registration(user);
    }

    fn watch_expiry(&mut self, user: &Arc<str>) {
        if let Some(timer) = self.expiries.remove(user) {
            self.layer.timers.cancel(timer);
        }
        if let Some(at) = self.registrar.next_expiry(user) {
            let timer =
                self.layer
                    .timers
                    .set(at, "registration expiry", Alarm::Binding(user.clone()));
            self.expiries.insert(user.clone(), timer);
        }
    }

    pub(super) fn tell_registration(&mut self, user: &Arc<str>) {
        let contacts = self.registrar.of(user).len() as u32;
        let registration = Registration {
            user: user.clone(),
            reachable: self.is_reachable(user),
            contacts,
        };
        self.layer.emit(Event::Registration(registration));
    }
}

/// Proxies of one Path, and its octets: more would make each call to the phone too large for a datagram, and fill our memory with what nobody needs.
const PATH_MAX: usize = 8;
const PATH_OCTETS_MAX: usize = 1024;

/// What a REGISTER asks for; `None` when it is malformed (400).
fn read(message: &Message, peer: Peer) -> Option<Register> {
    let (cseq, _) = message.cseq().ok()?;
    let expires = message.expires();
    let wishes = if message.is_wildcard_contact() {
        // Section 10.2.2: only with Expires: 0, and alone.
        if expires != Some(0) || message.headers(HeaderName::Contact).count() > 1 {
            return None;
        }
        Wishes::RemoveAll
    } else {
        let mut wishes = Vec::new();
        for contact in message.contacts() {
            let contact = contact.ok()?;
            wishes.push(Wish {
                uri: contact.uri_text.to_owned(),
                q: contact.q(),
                expires: contact.expires(),
                instance: contact
                    .params
                    .get("+sip.instance")
                    .map(|text| text.trim_matches('"').to_owned()),
                reg_id: contact
                    .params
                    .get("reg-id")
                    .and_then(|text| text.parse().ok()),
            });
        }
        if wishes.is_empty() {
            Wishes::Fetch
        } else {
            Wishes::Set(wishes)
        }
    };
    let path: Vec<String> = message
        .values(HeaderName::Path)
        .map(str::to_owned)
        .collect();
    if path.len() > PATH_MAX || path.iter().map(String::len).sum::<usize>() > PATH_OCTETS_MAX {
        return None;
    }
    Some(Register {
        call_id: message.call_id().to_owned(),
        cseq,
        peer,
        path,
        wishes,
        expires,
    })
}
