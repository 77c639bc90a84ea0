//! Calls that move: REFER inside a call and the NOTIFYs that follow it (RFC 3515, RFC 4488), in both directions.
//!
//! A REFER makes a subscription of its own kind in the dialog; it is the only kind that we know. Its NOTIFYs go out one at a time, so that none
//! overtakes another, and a leg that we end waits for its last one. Whether the call is made, and to whom, is the engine's to say.

use clock::Time;

use super::Endpoint;
use super::keys::Key;
use super::layer::Purpose;
use super::leg::{State, in_dialog};
use super::uas::with_headers;
use crate::api::{Event, LegId, Referral, Replaced};
use crate::dialog::uri_of;
use crate::message::{HeaderName, Message, Method, NameAddr, Scheme};

/// The event package of REFER.
pub const PACKAGE: &str = "refer";

/// Seconds that a subscription is said to last at each NOTIFY: longer than any telephone rings. The engine ends it long before.
const EXPIRES: u32 = 180;

/// REFER on one leg.
#[derive(Debug, Default)]
pub struct Refer {
    /// Theirs, which the engine has not answered.
    asked: Option<Asked>,
    /// What we owe them after we took it.
    owed: Option<Owed>,
    /// How many of theirs we have seen: from the second on the Event says which is meant (RFC 3515 section 2.4.6).
    seen: u32,
    /// We sent one, and its last NOTIFY has not come.
    ours: bool,
    /// A hang-up that waits for the last NOTIFY, and its Reason.
    hangup: Option<Option<String>>,
}

/// A REFER without a response.
#[derive(Debug)]
struct Asked {
    tx: Key,
    cseq: u32,
    /// `Refer-Sub: false` (RFC 4488): they don't want to hear of it.
    silent: bool,
}

/// A subscription to a REFER.
#[derive(Debug)]
struct Owed {
    event: String,
    /// The status to tell next.
    next: Option<u16>,
    told: u16,
    in_flight: bool,
}

/// A hang-up must let the last NOTIFY out first: true if it is taken note of and waits for that.
pub fn ends_later(refer: &mut Option<Box<Refer>>, cause: &Option<String>) -> bool {
    let Some(refer) = refer else { return false };
    let waits = refer
        .owed
        .as_ref()
        .is_some_and(|owed| owed.in_flight && (owed.told >= 200 || owed.next >= Some(200)));
    if waits {
        refer.hangup.get_or_insert(cause.clone());
    }
    waits
}

// --- theirs

impl Endpoint {
    /// A REFER in a call.
    pub(super) fn referred(&mut self, now: Time, id: LegId, key: Key, message: &Message) {
        let referral = match self.referral(id, message) {
            Ok(referral) => referral,
            Err(status) => {
                self.layer.count("refer");
                return self.layer.answer(now, key, status, None);
            }
        };
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        let refer = leg.refer.get_or_insert_default();
        refer.seen += 1;
        refer.asked = Some(Asked {
            tx: key,
            cseq: message.cseq().map_or(0, |(number, _)| number),
            silent: message
                .header_named("Refer-Sub")
                .is_some_and(|value| value.trim().to_ascii_lowercase().starts_with("false")),
        });
        self.layer.emit(Event::Referred { leg: id, referral });
    }

    /// What a REFER asks for.
    ///
    /// # Errors
    /// The status that refuses it.
    fn referral(&self, id: LegId, message: &Message) -> Result<Referral, u16> {
        let leg = self.legs.get(&id).ok_or(481u16)?;
        let busy = leg
            .refer
            .as_ref()
            .is_some_and(|refer| refer.asked.is_some() || refer.owed.is_some());
        if busy || !matches!(leg.state, State::Up) {
            return Err(491);
        }
        // Section 2.4.2: exactly one.
        let mut targets = message.values(HeaderName::ReferTo);
        let (Some(target), None) = (targets.next(), targets.next()) else {
            return Err(400);
        };
        let target = NameAddr::parse(target, "Refer-To").map_err(|_| 400u16)?;
        if !matches!(target.uri.scheme, Scheme::Sip | Scheme::Sips | Scheme::Tel) {
            return Err(416);
        }
        let other_method = |method: &str| !method.eq_ignore_ascii_case("INVITE");
        if target.uri.param("method").is_some_and(other_method) {
            return Err(603);
        }
        let replaces = target
            .uri
            .headers()
            .find(|(name, _)| name.eq_ignore_ascii_case("Replaces"))
            .map(|(_, value)| crate::message::unescape(value.unwrap_or_default()).into_owned());
        Ok(Referral {
            to: target.uri.user().unwrap_or_default().into_owned(),
            replaces: match replaces {
                None => Replaced::Nothing,
                Some(text) => self
                    .referred_dialog(&text)
                    .map_or(Replaced::Unknown, Replaced::Leg),
            },
            referred_by: message
                .header(HeaderName::ReferredBy)
                .map(|value| uri_of(value).to_owned()),
        })
    }

    /// [`crate::Command::AcceptRefer`].
    pub(super) fn accept_refer(&mut self, now: Time, id: LegId) {
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        let contact = self.layer.local.contact_in(&leg.dialog);
        let Some(refer) = &mut leg.refer else { return };
        let Some(asked) = refer.asked.take() else {
            return;
        };
        if !asked.silent {
            let event = match refer.seen {
                ..=1 => PACKAGE.to_owned(),
                _ => format!("{PACKAGE};id={}", asked.cseq),
            };
            refer.owed = Some(Owed {
                event,
                next: Some(100),
                told: 0,
                in_flight: false,
            });
        }
        self.layer
            .respond(now, asked.tx, 202, None, None, |builder, _| {
                let builder = builder.header(HeaderName::Contact, contact);
                match asked.silent {
                    true => builder.raw_header("Refer-Sub", "false"),
                    false => builder,
                }
            });
        self.notify(now, id);
    }

    /// [`crate::Command::RejectRefer`].
    pub(super) fn reject_refer(&mut self, now: Time, id: LegId, status: u16) {
        let refer = self.legs.get_mut(&id).and_then(|leg| leg.refer.as_mut());
        if let Some(asked) = refer.and_then(|refer| refer.asked.take()) {
            self.layer.count("refer");
            let status = if (400..700).contains(&status) {
                status
            } else {
                603
            };
            self.layer.answer(now, asked.tx, status, None);
        }
    }

    /// The call ends with a REFER of theirs unanswered.
    pub(super) fn refuse_pending_refer(&mut self, now: Time, id: LegId) {
        let refer = self.legs.get_mut(&id).and_then(|leg| leg.refer.as_mut());
        if let Some(asked) = refer.and_then(|refer| refer.asked.take()) {
            self.layer.answer(now, asked.tx, 487, None);
        }
    }

    /// [`crate::Command::ReferProgress`].
    pub(super) fn refer_progress(&mut self, now: Time, id: LegId, status: u16) {
        let refer = self.legs.get_mut(&id).and_then(|leg| leg.refer.as_mut());
        let Some(owed) = refer.and_then(|refer| refer.owed.as_mut()) else {
            return;
        };
        let ended = owed.told >= 200 || owed.next >= Some(200);
        if !ended && (101..700).contains(&status) {
            owed.next = Some(status);
            self.notify(now, id);
        }
    }

    /// Tells what is to be told, unless a NOTIFY is on its way.
    fn notify(&mut self, now: Time, id: LegId) {
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        let refer = leg.refer.as_mut();
        let Some(owed) = refer.and_then(|refer| refer.owed.as_mut()) else {
            return;
        };
        if owed.in_flight || !matches!(leg.state, State::Up) {
            return;
        }
        let Some(status) = owed.next.take() else {
            return;
        };
        (owed.told, owed.in_flight) = (status, true);
        let event = owed.event.clone();
        let state = match status {
            ..200 => format!("active;expires={EXPIRES}"),
            _ => "terminated;reason=noresource".to_owned(),
        };
        let fragment = format!("SIP/2.0 {status} {}\r\n", super::reason(status));
        let cseq = leg.dialog.next_cseq();
        let (branch, builder) = in_dialog(&mut self.layer, &leg.dialog, &Method::Notify, cseq);
        let bytes = builder
            .header(
                HeaderName::Contact,
                self.layer.local.contact_in(&leg.dialog),
            )
            .header(HeaderName::Event, event)
            .header(HeaderName::SubscriptionState, state)
            .body("message/sipfrag;version=2.0", fragment.as_bytes())
            .finish();
        let purpose = Purpose::Notify(id);
        self.layer.request(
            now,
            leg.dialog.peer,
            &branch,
            &Method::Notify,
            bytes,
            purpose,
        );
    }

    /// The answer to a NOTIFY, or its absence. A refusal ends the subscription, not the call (RFC 6665 section 4.2.2).
    pub(super) fn notify_response(&mut self, now: Time, id: LegId, status: Option<u16>) {
        if status.is_some_and(|status| status < 200) {
            return;
        }
        let Some(refer) = self.legs.get_mut(&id).and_then(|leg| leg.refer.as_mut()) else {
            return;
        };
        let Some(owed) = &mut refer.owed else { return };
        owed.in_flight = false;
        let heard = status.is_some_and(|status| status < 300);
        if heard && owed.next.is_some() {
            return self.notify(now, id);
        }
        if !heard || owed.told >= 200 {
            refer.owed = None;
            if let Some(cause) = refer.hangup.take() {
                self.hangup(now, id, cause);
            }
        }
    }

    /// SUBSCRIBE in a call: to prolong or to end the subscription that a REFER made, and for nothing else.
    pub(super) fn subscribed(&mut self, now: Time, id: LegId, key: Key, message: &Message) {
        let asked = message.header(HeaderName::Event).unwrap_or_default();
        let package = asked.split(';').next().unwrap_or_default().trim();
        let expires = message.expires().unwrap_or(EXPIRES).min(EXPIRES);
        let refer = self.legs.get_mut(&id).and_then(|leg| leg.refer.as_mut());
        let owed = refer.and_then(|refer| refer.owed.as_mut());
        let Some(owed) = owed.filter(|_| package.eq_ignore_ascii_case(PACKAGE)) else {
            self.layer.count("subscription");
            self.layer.respond(now, key, 489, None, None, |builder, _| {
                builder.header(HeaderName::AllowEvents, PACKAGE)
            });
            return;
        };
        let ended = owed.told >= 200 || owed.next >= Some(200);
        if !ended {
            // To unsubscribe is to be told a last time (RFC 6665 section 4.1.2.3); what becomes of the call they will not hear.
            owed.next = Some(if expires == 0 {
                487
            } else {
                owed.told.max(100)
            });
        }
        self.layer.respond(now, key, 200, None, None, |builder, _| {
            builder.header(HeaderName::Expires, expires)
        });
        self.notify(now, id);
    }
}

// --- ours

impl Endpoint {
    /// [`crate::Command::Refer`].
    pub(super) fn send_refer(
        &mut self,
        now: Time,
        id: LegId,
        to: &str,
        headers: &[(String, String)],
    ) {
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        if !matches!(leg.state, State::Up) {
            return;
        }
        leg.refer.get_or_insert_default().ours = true;
        let cseq = leg.dialog.next_cseq();
        let (branch, builder) = in_dialog(&mut self.layer, &leg.dialog, &Method::Refer, cseq);
        let builder = builder
            .header(
                HeaderName::Contact,
                self.layer.local.contact_in(&leg.dialog),
            )
            .header(HeaderName::ReferTo, to);
        let bytes = with_headers(builder, headers).finish();
        let purpose = Purpose::Refer(id);
        self.layer.request(
            now,
            leg.dialog.peer,
            &branch,
            &Method::Refer,
            bytes,
            purpose,
        );
    }

    pub(super) fn refer_response(&mut self, now: Time, id: LegId, message: &Message) {
        let status = message.status().unwrap_or_default();
        if status < 200 {
            return;
        }
        if status >= 300
            && let Some(refer) = self.legs.get_mut(&id).and_then(|leg| leg.refer.as_mut())
        {
            refer.ours = false;
        }
        if self.legs.contains_key(&id) {
            self.layer.emit(Event::ReferAnswered { leg: id, status });
        }
        match status {
            481 => self.dialog_died(now, id, None),
            408 => self.dialog_died(now, id, Some(super::leg::NO_RESPONSE)),
            _ => {}
        }
    }

    /// No response to our REFER: as a 408 would be, but that the call may well stand.
    pub(super) fn refer_unanswered(&mut self, id: LegId) {
        if let Some(refer) = self.legs.get_mut(&id).and_then(|leg| leg.refer.as_mut()) {
            refer.ours = false;
            self.layer.emit(Event::ReferAnswered {
                leg: id,
                status: 408,
            });
        }
    }

    /// A NOTIFY in a call: of our REFER, or of nothing that we asked for (481).
    pub(super) fn notified(&mut self, now: Time, id: LegId, key: Key, message: &Message) {
        let package = message.header(HeaderName::Event).unwrap_or_default();
        let package = package.split(';').next().unwrap_or_default().trim();
        let refer = self.legs.get_mut(&id).and_then(|leg| leg.refer.as_mut());
        let ours = refer.filter(|refer| refer.ours && package.eq_ignore_ascii_case(PACKAGE));
        let Some(refer) = ours else {
            self.layer.count("notify");
            return self.layer.answer(now, key, 481, None);
        };
        let last = message
            .header(HeaderName::SubscriptionState)
            .is_some_and(|state| {
                state
                    .trim_start()
                    .to_ascii_lowercase()
                    .starts_with("terminated")
            });
        refer.ours = !last;
        self.layer.answer(now, key, 200, None);
        let status = fragment_status(&message.body()).unwrap_or(if last { 487 } else { 100 });
        self.layer.emit(Event::ReferNotified {
            leg: id,
            status,
            last,
        });
    }
}

/// The status of a message/sipfrag body (RFC 3420): `SIP/2.0 180 Ringing`.
fn fragment_status(body: &[u8]) -> Option<u16> {
    let line = body.split(|&byte| byte == b'\r' || byte == b'\n').next()?;
    let rest = line.strip_prefix(b"SIP/2.0 ")?;
    let digits = rest.get(..3)?;
    let status: u16 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (100..700).contains(&status).then_some(status)
}
