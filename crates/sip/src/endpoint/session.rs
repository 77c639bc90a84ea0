//! Session timers (RFC 4028): no dialog outlives its far end by more than an interval.
//!
//! Each answered leg has one: agreed with the far end where that supports it, else our own, by which we ask after it as often.
//! Where nobody says otherwise we are the refresher, so that a call does not end by a far end's forgetfulness. We refresh by UPDATE where
//! the far end allows it, else by a re-INVITE with the description as it stands.

use std::fmt;
use std::time::Duration;

use clock::Time;

use super::layer::Purpose;
use super::leg::{Leg, LegAlarm, State, in_dialog};
use super::timers::TimerId;
use super::{ALLOW, Alarm, Endpoint, SUPPORTED};
use crate::api::{DialogRules, LegId};
use crate::message::{Builder, HeaderName, Message, Method};

/// The option tag.
pub const TIMER: &str = "timer";

/// Longest interval that is believed, in seconds: what is longer is none.
const INTERVAL_MAX: u32 = 24 * 3600;

/// How long before the end the side that waits for a refresh gives up, at most (section 10).
const NOTICE: Duration = Duration::from_secs(32);

/// Why we end a dialog that nobody has refreshed.
pub const EXPIRED: &str = "SIP;cause=408;text=\"Session expired\"";

/// A leg's session timer.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    /// Seconds.
    interval: u32,
    /// The far end's Min-SE, as far as we know it; 0 when we don't.
    min_se: u32,
    we_refresh: bool,
    /// The far end knows of it.
    agreed: bool,
    until: Time,
    timer: TimerId,
}

impl Session {
    /// The far end counts on it.
    pub fn is_agreed(&self) -> bool {
        self.agreed
    }
}

/// What an exchange agrees on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    pub interval: u32,
    pub min_se: u32,
    pub we_refresh: bool,
    pub agreed: bool,
}

/// The value of Session-Expires.
struct Asked {
    interval: u32,
    /// `refresher=uac`, which is whoever sent the request; `None` leaves it to the other.
    uac: Option<bool>,
}

impl Asked {
    fn of(message: &Message) -> Option<Asked> {
        let text = message.header(HeaderName::SessionExpires)?;
        let mut parts = text.split(';').map(str::trim);
        let interval = seconds(parts.next()?)?;
        let refresher = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.trim()
                .eq_ignore_ascii_case("refresher")
                .then(|| value.trim())
        });
        let uac = match refresher {
            Some(who) if who.eq_ignore_ascii_case("uac") => Some(true),
            Some(who) if who.eq_ignore_ascii_case("uas") => Some(false),
            Some(_) | None => None,
        };
        Some(Asked { interval, uac })
    }
}

/// Session-Expires as we write it; `uac` says whether who sent the request refreshes.
struct Written {
    interval: u32,
    uac: bool,
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = if self.uac { "uac" } else { "uas" };
        write!(f, "{};refresher={who}", self.interval)
    }
}

fn seconds(text: &str) -> Option<u32> {
    let number: u32 = text.trim().parse().ok()?;
    (1..=INTERVAL_MAX).contains(&number).then_some(number)
}

fn min_se_of(message: &Message) -> u32 {
    message
        .header(HeaderName::MinSe)
        .and_then(|text| seconds(text.split(';').next()?))
        .unwrap_or(0)
}

/// Whole seconds of a setting, as headers have them.
fn whole(setting: Duration) -> u32 {
    u32::try_from(setting.as_secs()).map_or(INTERVAL_MAX, |seconds| seconds.clamp(1, INTERVAL_MAX))
}

fn supports_timer(message: &Message) -> bool {
    [HeaderName::Supported, HeaderName::Require]
        .into_iter()
        .flat_map(|name| message.values(name))
        .any(|tag| tag.eq_ignore_ascii_case(TIMER))
}

/// The interval of a request is below what we take: 422 with our Min-SE (section 9). Only who supports timers can do something with that.
pub fn too_brief(request: &Message, rules: &DialogRules) -> bool {
    Asked::of(request).is_some_and(|asked| asked.interval < whole(rules.session_expires_min))
        && supports_timer(request)
}

/// The Min-SE of our 422.
pub fn min_se(rules: &DialogRules) -> u32 {
    whole(rules.session_expires_min)
}

impl Terms {
    /// What our 2xx to this request agrees on (section 9).
    pub fn answering(request: &Message, rules: &DialogRules) -> Terms {
        let supports = supports_timer(request);
        let asked = Asked::of(request);
        let (ours, least) = (
            whole(rules.session_expires),
            whole(rules.session_expires_min),
        );
        let min_se = min_se_of(request);
        let interval = asked
            .as_ref()
            .map_or(ours, |asked| asked.interval.min(ours))
            .max(min_se)
            .max(least);
        let they_refresh = supports && asked.as_ref().and_then(|asked| asked.uac) == Some(true);
        Terms {
            interval,
            min_se,
            we_refresh: !they_refresh,
            // A proxy may have asked where the caller does not know of timers: it wants to be answered.
            agreed: supports || asked.is_some(),
        }
    }

    /// What a 2xx to a request of ours agrees on (section 7.2).
    pub fn answered(response: &Message, rules: &DialogRules, min_se: u32) -> Terms {
        match Asked::of(response) {
            Some(asked) => Terms {
                // Nobody may agree to less than was asked for as the least.
                interval: asked.interval.max(whole(rules.session_expires_min)),
                min_se,
                we_refresh: asked.uac != Some(false),
                agreed: true,
            },
            None => Terms {
                interval: whole(rules.session_expires).max(min_se),
                min_se,
                we_refresh: true,
                agreed: false,
            },
        }
    }

    /// Puts what was agreed into our 2xx.
    pub fn write(&self, builder: Builder, request: &Message) -> Builder {
        if !self.agreed {
            return builder;
        }
        let builder = builder.header(
            HeaderName::SessionExpires,
            Written {
                interval: self.interval,
                uac: !self.we_refresh,
            },
        );
        if supports_timer(request) {
            builder.header(HeaderName::Require, TIMER)
        } else {
            builder
        }
    }
}

/// What our first INVITE asks for: the far end may choose who refreshes.
pub fn ask(builder: Builder, rules: &DialogRules) -> Builder {
    let builder = builder.header(HeaderName::SessionExpires, whole(rules.session_expires));
    match whole(rules.session_expires_min) {
        // The RFC's default need not be said.
        90 => builder,
        least => builder.header(HeaderName::MinSe, least),
    }
}

/// What our requests in a dialog say of its timer.
pub fn ask_again(builder: Builder, session: Option<&Session>) -> Builder {
    let Some(session) = session.filter(|session| session.agreed) else {
        return builder;
    };
    let builder = builder.header(
        HeaderName::SessionExpires,
        Written {
            interval: session.interval,
            uac: session.we_refresh,
        },
    );
    match session.min_se {
        0 => builder,
        least => builder.header(HeaderName::MinSe, least),
    }
}

/// What a 422 asks for, when that is more than we asked and not absurd: the headers of the next try.
pub fn longer(request: &Message, response: &Message) -> Option<[(HeaderName, String); 2]> {
    let least = min_se_of(response);
    let asked = Asked::of(request).map_or(0, |asked| asked.interval);
    (least > asked).then(|| {
        [
            (HeaderName::SessionExpires, least.to_string()),
            (HeaderName::MinSe, least.to_string()),
        ]
    })
}

impl Endpoint {
    /// A 2xx has begun or refreshed a leg's session.
    pub(super) fn start_session(&mut self, now: Time, id: LegId, terms: Terms) {
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        self.layer.stop_session(leg);
        leg.refresh = false;
        let interval = Duration::from_secs(terms.interval.into());
        let until = now + interval;
        let (at, name) = if terms.we_refresh {
            (now + interval / 2, "session refresh")
        } else {
            (until - NOTICE.min(interval / 3), "session expiry")
        };
        let alarm = Alarm::Leg(id, LegAlarm::Session);
        leg.session = Some(Session {
            interval: terms.interval,
            min_se: terms.min_se,
            we_refresh: terms.we_refresh,
            agreed: terms.agreed,
            until,
            timer: self.layer.timers.set(at, name, alarm),
        });
    }

    /// The far end has answered a request of ours that refreshes, or that could have.
    pub(super) fn session_answered(&mut self, now: Time, id: LegId, response: &Message) {
        let Some(leg) = self.legs.get(&id) else {
            return;
        };
        let known = leg.session.map_or(0, |session| session.min_se);
        let terms = Terms::answered(response, &self.layer.config.dialogs, known);
        self.start_session(now, id, terms);
    }

    /// Time to refresh, or to end what nobody has refreshed.
    pub(super) fn session_due(&mut self, now: Time, id: LegId) {
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        let Some(session) = leg.session.as_mut() else {
            return;
        };
        let State::Up = leg.state else { return };
        let notice = NOTICE.min(Duration::from_secs(session.interval.into()) / 3);
        let last = session.until - notice;
        if !session.we_refresh || now >= last {
            return self.session_expired(now, id);
        }
        session.timer =
            self.layer
                .timers
                .set(last, "session expiry", Alarm::Leg(id, LegAlarm::Session));
        if leg.able.update {
            self.refresh_by_update(now, id);
        } else {
            self.refresh_by_reinvite(now, id);
        }
    }

    fn session_expired(&mut self, now: Time, id: LegId) {
        self.layer.count("session_expired");
        self.dialog_died(now, id, Some(EXPIRED));
    }

    fn refresh_by_update(&mut self, now: Time, id: LegId) {
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        let cseq = leg.dialog.next_cseq();
        let (branch, builder) = in_dialog(&mut self.layer, &leg.dialog, &Method::Update, cseq);
        let contact = self.layer.local.contact_in(&leg.dialog);
        let builder = builder
            .header(HeaderName::Contact, contact)
            .header(HeaderName::Allow, ALLOW)
            .header(HeaderName::Supported, SUPPORTED);
        let bytes = ask_again(builder, leg.session.as_ref()).finish();
        let peer = leg.dialog.peer;
        self.layer.request(
            now,
            peer,
            &branch,
            &Method::Update,
            bytes,
            Purpose::Refresh(id),
        );
    }

    /// The description as it stands, in the same version: no change of media.
    fn refresh_by_reinvite(&mut self, now: Time, id: LegId) {
        if let Some(leg) = self.legs.get_mut(&id) {
            leg.refresh = true;
            self.pursue_wish(now, id);
        }
    }

    /// What came of an UPDATE that refreshes.
    pub(super) fn refresh_response(&mut self, now: Time, id: LegId, message: &Message) {
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        if !matches!(leg.state, State::Up) {
            return;
        }
        match message.status().unwrap_or_default() {
            ..200 => {}
            200..300 => self.session_answered(now, id, message),
            408 => self.dialog_died(now, id, Some(EXPIRED)),
            481 => self.dialog_died(now, id, None),
            422 => {
                if self.lengthen(id, message) {
                    self.refresh_by_update(now, id);
                }
            }
            // Not this way.
            405 | 501 => {
                leg.able.update = false;
                self.refresh_by_reinvite(now, id);
            }
            // Somebody lives there. Whoever has agreed to a timer must still be refreshed, and the re-INVITE is the other way.
            _ if leg.session.is_some_and(|session| session.agreed) => {
                self.refresh_by_reinvite(now, id);
            }
            _ => self.session_answered(now, id, message),
        }
    }

    /// Takes the Min-SE of a 422 if it is longer than what we asked for: so no far end can keep us asking.
    pub(super) fn lengthen(&mut self, id: LegId, response: &Message) -> bool {
        let Some(session) = self.legs.get_mut(&id).and_then(|leg| leg.session.as_mut()) else {
            return false;
        };
        let least = min_se_of(response);
        let longer = least > session.interval;
        if longer {
            (session.interval, session.min_se) = (least, least);
        }
        longer
    }
}

impl super::layer::Layer {
    /// Forgets a leg's session timer.
    pub fn stop_session(&mut self, leg: &mut Leg) {
        if let Some(session) = leg.session.take() {
            self.timers.cancel(session.timer);
        }
    }
}
