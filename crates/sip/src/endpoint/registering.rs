//! Our registration at a carrier (RFC 3261 section 10.2): kept alive, and begun again with growing patience when it fails (RFC 5626 section 4.5).

use std::sync::Arc;
use std::time::Duration;

use clock::Time;

use super::layer::Purpose;
use super::timers::TimerId;
use super::trunks::{OutOfDialog, TrunkAlarm, Way, retry_after};
use super::{Alarm, Endpoint};
use crate::api::Peer;
use crate::dialog::uri_of;
use crate::message::{HeaderName, Message, Method, Uri, escape_user};
use crate::trunk::Carrier;

/// The first wait after a failure; each further one doubles it (RFC 5626 section 4.5: base time when all flows have failed).
const BACK_OFF: Duration = Duration::from_secs(30);
const BACK_OFF_MAX: Duration = Duration::from_secs(1800);
/// Longest registration that is asked for, whatever Min-Expires demands.
const EXPIRES_MAX: Duration = Duration::from_secs(86_400);
/// The next REGISTER leaves after a random part of the granted time, so that trunks do not all come back together (percent).
const REFRESH: (u32, u32) = (75, 90);
/// Longest that a Retry-After is believed.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// Where a registration stands.
#[derive(Debug, Default)]
pub struct Registering {
    wanted: Option<Wanted>,
    registered: bool,
    failures: u32,
    timer: Option<TimerId>,
    cseq: u32,
}

/// What is wanted.
#[derive(Debug)]
struct Wanted {
    call_id: String,
    tag: String,
    /// What is asked for: the configuration's, or Min-Expires.
    expires: Duration,
    /// The Contact that was sent last, and where to.
    contact: String,
    peer: Option<Peer>,
}

impl Registering {
    /// Whether we are registered; `None` when that is not wanted.
    pub fn state(&self) -> Option<bool> {
        self.wanted.as_ref().map(|_| self.registered)
    }
}

impl Endpoint {
    /// The carrier has changed: what was registered there ends, what is wanted begins.
    pub(super) fn begin_registering(
        &mut self,
        now: Time,
        index: u16,
        before: Option<&Carrier>,
        carrier: Option<&Carrier>,
    ) {
        if let Some(before) = before {
            self.unregister(now, index, before);
        }
        let wanted = carrier.and_then(|carrier| carrier.account.as_ref().and(carrier.register));
        let (call_id, tag) = (self.layer.keys.call_id(), self.layer.keys.tag());
        let Some((_, registering)) = self.trunks.registering(index) else {
            return;
        };
        let timer = registering.timer.take();
        let cseq = registering.cseq;
        *registering = Registering {
            wanted: wanted.map(|expires| Wanted {
                call_id,
                tag,
                expires: expires.min(EXPIRES_MAX),
                contact: String::new(),
                peer: None,
            }),
            cseq,
            ..Registering::default()
        };
        if let Some(timer) = timer {
            self.layer.timers.cancel(timer);
        }
        if wanted.is_some() {
            self.register_later(now, index, Duration::ZERO);
        }
    }

    /// Our own address may have changed: the carrier must know the new one at once.
    pub(super) fn register_if_moved(&mut self, now: Time, index: u16) {
        let sent = self
            .trunks
            .registering(index)
            .and_then(|(_, registering)| registering.wanted.as_ref())
            .and_then(|wanted| Some((wanted.peer?, wanted.contact.clone())));
        let Some((peer, before)) = sent else { return };
        let moved = self.contact_at(&user_of(&before), &peer) != before;
        if moved {
            self.register_later(now, index, Duration::ZERO);
        }
    }

    fn register_later(&mut self, now: Time, index: u16, wait: Duration) {
        let timer = self.layer.timers.set(
            now + wait,
            "trunk registration",
            Alarm::Trunk(index, TrunkAlarm::Register),
        );
        let before = self
            .trunks
            .registering(index)
            .and_then(|(_, registering)| registering.timer.replace(timer));
        if let Some(before) = before {
            self.layer.timers.cancel(before);
        }
    }

    /// Sends REGISTER.
    pub(super) fn register_now(&mut self, now: Time, index: u16) {
        let Some((carrier, way)) = self.carrier_of(now, index, TrunkAlarm::Register) else {
            return;
        };
        let peer = match way {
            Way::To(peer) => peer,
            Way::Asked => return,
            Way::Nowhere => return self.register_failed(now, index, None),
        };
        let user = carrier
            .account
            .as_ref()
            .map_or("", |account| &account.username);
        let contact = self.contact_at(&escape_user(user), &peer);
        let Some((_, registering)) = self.trunks.registering(index) else {
            return;
        };
        registering.timer = None;
        let Some(wanted) = &mut registering.wanted else {
            return;
        };
        wanted.contact = contact;
        wanted.peer = Some(peer);
        let expires = wanted.expires;
        self.send_register(now, index, &carrier, peer, expires);
    }

    fn unregister(&mut self, now: Time, index: u16, before: &Carrier) {
        let registered = self
            .trunks
            .registering(index)
            .filter(|(_, registering)| registering.registered)
            .and_then(|(_, registering)| registering.wanted.as_ref()?.peer);
        if let Some(peer) = registered {
            self.send_register(now, index, before, peer, Duration::ZERO);
        }
    }

    /// The user part is the account's: calls to it come back with that in the Request-URI.
    fn contact_at(&self, user: &str, peer: &Peer) -> String {
        let ours = self.layer.local.contact(peer).to_string();
        match ours.split_once('@') {
            Some((_, host)) => format!("<sip:{user}@{host}"),
            None => ours,
        }
    }

    fn send_register(
        &mut self,
        now: Time,
        index: u16,
        carrier: &Carrier,
        peer: Peer,
        expires: Duration,
    ) {
        let Some(account) = &carrier.account else {
            return;
        };
        let Some((name, registering)) = self.trunks.registering(index) else {
            return;
        };
        let Some(wanted) = &registering.wanted else {
            return;
        };
        registering.cseq += 1;
        let (name, contact): (Arc<str>, String) = (name.clone(), wanted.contact.clone());
        let aor = format!(
            "<sip:{}@{}>",
            escape_user(&account.username),
            carrier.domain
        );
        let from = format!("{aor};tag={}", wanted.tag);
        let (call_id, cseq) = (wanted.call_id.clone(), registering.cseq);
        let uri = format!("sip:{}", carrier.domain);
        let request = OutOfDialog {
            trunk: &name,
            method: &Method::Register,
            uri: &uri,
            from: &from,
            to: &aor,
            call_id: &call_id,
            cseq,
        };
        let (branch, builder) = request.build_with(&mut self.layer, &peer, &contact);
        let bytes = builder
            .header(HeaderName::Expires, expires.as_secs())
            .header(HeaderName::Supported, "path")
            .finish();
        let purpose = match expires.is_zero() {
            true => Purpose::Loose,
            false => Purpose::Register(index),
        };
        self.layer
            .request(now, peer, &branch, &Method::Register, bytes, purpose);
    }

    /// The count of a REGISTER or OPTIONS that goes out again.
    pub(super) fn trunk_cseq(&mut self, purpose: Purpose, cseq: u32) {
        if let Purpose::Register(index) = purpose
            && let Some((_, registering)) = self.trunks.registering(index)
        {
            registering.cseq = registering.cseq.max(cseq);
        }
    }

    /// What came of a REGISTER; `None`: nothing at all.
    pub(super) fn register_response(&mut self, now: Time, index: u16, message: Option<&Message>) {
        match message.and_then(Message::status) {
            Some(..200) => {}
            Some(200..=299) => self.registered_at(now, index, message),
            Some(423) => self.too_brief(now, index, message),
            Some(_) | None => {
                let wait = message.and_then(retry_after);
                self.register_failed(now, index, wait);
            }
        }
    }

    fn registered_at(&mut self, now: Time, index: u16, message: Option<&Message>) {
        let Some((_, registering)) = self.trunks.registering(index) else {
            return;
        };
        let Some(wanted) = &registering.wanted else {
            return;
        };
        let granted = message.and_then(|message| granted(message, &wanted.contact));
        let granted = granted
            .unwrap_or(wanted.expires)
            .max(Duration::from_secs(2));
        (registering.registered, registering.failures) = (true, 0);
        let part = self.layer.keys.between(REFRESH.0, REFRESH.1);
        self.register_later(now, index, granted * part / 100);
        self.tell_trunk(index);
    }

    /// 423: as long as they want it, at once.
    fn too_brief(&mut self, now: Time, index: u16, message: Option<&Message>) {
        let least = message
            .and_then(|message| message.header(HeaderName::MinExpires))
            .and_then(|text| text.trim().parse().ok())
            .map(Duration::from_secs);
        let Some((_, registering)) = self.trunks.registering(index) else {
            return;
        };
        let Some(wanted) = &mut registering.wanted else {
            return;
        };
        match least {
            Some(least) if least > wanted.expires && least <= EXPIRES_MAX => {
                wanted.expires = least;
                self.register_now(now, index);
            }
            Some(_) | None => self.register_failed(now, index, None),
        }
    }

    /// Again later, and later each time; half of the wait is random, so that those whom an outage has thrown out do not come back together.
    fn register_failed(&mut self, now: Time, index: u16, wait: Option<Duration>) {
        let Some((_, registering)) = self.trunks.registering(index) else {
            return;
        };
        if registering.wanted.is_none() {
            return;
        }
        let doubled = BACK_OFF * 2u32.saturating_pow(registering.failures.min(16));
        registering.failures += 1;
        registering.registered = false;
        let upper = doubled.min(BACK_OFF_MAX);
        let percent = self.layer.keys.between(50, 100);
        let back_off = upper * percent / 100;
        let asked = wait.unwrap_or_default().min(RETRY_AFTER_MAX);
        self.layer.count("trunk_register_failed");
        self.register_later(now, index, back_off.max(asked));
        self.tell_trunk(index);
    }
}

/// The user part of a Contact of ours, as written.
fn user_of(contact: &str) -> String {
    let user = contact
        .strip_prefix("<sip:")
        .and_then(|rest| rest.split_once('@'));
    user.map_or_else(String::new, |(user, _)| user.to_owned())
}

/// The time that a 200 grants our Contact.
fn granted(message: &Message, ours: &str) -> Option<Duration> {
    let ours = Uri::parse(uri_of(ours)).ok()?;
    let of_contact = message
        .contacts()
        .filter_map(Result::ok)
        .find(|contact| contact.uri.equivalent(&ours))
        .and_then(|contact| contact.expires());
    of_contact
        .or_else(|| message.expires())
        .map(|seconds| Duration::from_secs(seconds.into()))
}
