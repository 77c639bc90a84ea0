//! Whether the users' phones live: OPTIONS to each of them in turn, at a rate that has a bound (RFC 3261 section 11).
//!
//! One timer serves all of them, and nothing is kept of a phone that answers. The turn takes the configured interval where the bound allows that; each step
//! is early or late by chance, so that phones that were switched on together are not asked together. Any final answer is a sign of life, refusals too:
//! what matters is that an INVITE would arrive. Silence is the end of timer F: over UDP the question has been sent eleven times by then.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use clock::Time;

use super::hops::{Seeker, Sought};
use super::layer::Purpose;
use super::leg::in_dialog;
use super::timers::TimerId;
use super::{ALLOW, Alarm, Endpoint};
use crate::api::{Event, Peer};
use crate::dialog::{self, Dialog};
use crate::message::{HeaderName, Message, Method, escape_user};

/// Shortest step of the turn: at most 200 users are asked in a second, some percent of what one core does beside its calls.
const STEP_MIN: Duration = Duration::from_millis(5);
/// A step in thousandths of its length.
const JITTER: (u32, u32) = (500, 1500);
/// Questions that are open at a time: as many as the rate allows until timer F ends them.
const OPEN_MAX: usize = 8192;

/// Whose phones are asked, and how often.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PhoneRules {
    /// Each phone is asked once in this time; `None` asks nobody.
    pub options: Option<Duration>,
    /// Phones at fixed addresses, by user. Those that register are asked where they are registered.
    pub fixed: Arc<BTreeMap<Arc<str>, Arc<str>>>,
}

/// What is known of the phones.
#[derive(Debug, Default)]
pub struct Phones {
    timer: Option<TimerId>,
    /// Who was asked last.
    turn: Option<Arc<str>>,
    /// The interval that the timer was set by.
    interval: Option<Duration>,
    /// Phones that are asked at the moment, and silent ones: by user and URI.
    known: BTreeMap<(Arc<str>, Arc<str>), Standing>,
    /// Which phone each open question is for.
    open: BTreeMap<u32, (Arc<str>, Arc<str>)>,
    asked: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    asked: bool,
    silent: bool,
}

impl Phones {
    /// Whether this phone was silent when it was asked last.
    pub fn is_silent(&self, user: &str, uri: &str) -> bool {
        // Silent ones are few, and most of the time there are none.
        !self.known.is_empty()
            && self
                .known
                .get(&(user.into(), uri.into()))
                .is_some_and(|standing| standing.silent)
    }

    fn has_silent(&self, user: &Arc<str>) -> bool {
        self.of(user).any(|(_, standing)| standing.silent)
    }

    fn of<'a>(&'a self, user: &'a Arc<str>) -> impl Iterator<Item = (&'a Arc<str>, &'a Standing)> {
        self.known
            .range((user.clone(), "".into())..)
            .take_while(move |((of, _), _)| of == user)
            .map(|((_, uri), standing)| (uri, standing))
    }
}

impl Endpoint {
    /// Begins to ask, asks at another pace, or ceases to.
    pub(super) fn configure_phones(&mut self, now: Time) {
        let interval = self.layer.config.phones.options;
        if self.phones.interval == interval {
            return;
        }
        self.phones.interval = interval;
        if let Some(timer) = self.phones.timer.take() {
            self.layer.timers.cancel(timer);
        }
        match interval {
            Some(interval) => self.next_step(now, interval),
            // Nobody would ever find out that they are back.
            None => self.forgive(),
        }
    }

    fn forgive(&mut self) {
        let known = std::mem::take(&mut self.phones.known);
        self.phones.open.clear();
        let silent = known.into_iter().filter(|(_, standing)| standing.silent);
        for ((user, _), _) in silent {
            self.tell_phone(&user);
        }
    }

    fn next_step(&mut self, now: Time, interval: Duration) {
        let users = self.registrar.users() + self.layer.config.phones.fixed.len();
        let step = interval / u32::try_from(users.max(1)).unwrap_or(u32::MAX);
        let step = step.max(STEP_MIN) * self.layer.keys.between(JITTER.0, JITTER.1) / 1000;
        let timer = self
            .layer
            .timers
            .set(now + step, "phone health", Alarm::Phones);
        self.phones.timer = Some(timer);
    }

    /// The next in turn is asked.
    pub(super) fn phone_alarm(&mut self, now: Time) {
        self.phones.timer = None;
        let Some(interval) = self.phones.interval else {
            return;
        };
        self.next_step(now, interval);
        let after = self.phones.turn.take();
        let next = self.phone_after(after.as_ref()).or_else(|| {
            after.as_ref()?;
            self.phone_after(None)
        });
        if let Some(user) = next {
            self.phones.turn = Some(user.clone());
            self.ask_phones(now, &user);
        }
    }

    fn phone_after(&self, user: Option<&Arc<str>>) -> Option<Arc<str>> {
        let from = user.map_or(Bound::Unbounded, |user| Bound::Excluded(user.clone()));
        let range = (from, Bound::Unbounded);
        let fixed = &self.layer.config.phones.fixed;
        let fixed = fixed.range(range.clone()).next().map(|(user, _)| user);
        let registered = self.registrar.user_in(range);
        fixed.into_iter().chain(registered).min().cloned()
    }

    /// Asks every phone of a user, at its fixed address or where it is registered.
    pub(super) fn ask_phones(&mut self, now: Time, user: &Arc<str>) {
        if let Some(uri) = self.layer.config.phones.fixed.get(user).cloned() {
            let seeker = Seeker::Phone(user.clone());
            return match self.seek(now, &uri, seeker) {
                Sought::Hops(hops) if !hops.is_empty() => {
                    let peer = self.toward(&hops[0]);
                    self.ask_phone(now, user, uri, peer, Vec::new());
                }
                Sought::Asked => {}
                Sought::Hops(_) | Sought::Nowhere => self.phone_said(user.clone(), uri, false),
            };
        }
        let bindings: Vec<_> = self.registrar.of(user).to_vec();
        // What is no longer registered is nobody's.
        let is_bound = |uri: &str| bindings.iter().any(|binding| binding.uri == *uri);
        self.phones
            .known
            .retain(|(of, uri), standing| of != user || standing.asked || is_bound(uri));
        for binding in bindings {
            let peer = match binding.path.first() {
                Some(_) => binding.peer,
                None => dialog::direct_hop(&binding.uri, binding.peer, true),
            };
            self.ask_phone(now, user, binding.uri.into(), peer, binding.path);
        }
    }

    fn ask_phone(
        &mut self,
        now: Time,
        user: &Arc<str>,
        uri: Arc<str>,
        peer: Peer,
        routes: Vec<String>,
    ) {
        let phone = (user.clone(), uri);
        let asked = self.phones.known.get(&phone).is_some_and(|one| one.asked);
        if asked || self.phones.open.len() >= OPEN_MAX || self.layer.is_full() {
            return;
        }
        let realm = &self.layer.config.realm;
        let tag = self.layer.keys.tag();
        let question = Dialog {
            local: format!("<sip:cordboard@{realm}>;tag={tag}"),
            remote: format!("<sip:{}@{realm}>", escape_user(user)),
            call_id: self.layer.keys.call_id(),
            local_tag: tag,
            remote_tag: String::new(),
            target: phone.1.to_string(),
            routes,
            local_cseq: 1,
            remote_cseq: None,
            rseq: 0,
            peer,
            we_called: true,
            natted: true,
            secure: false,
            account: None,
        };
        let (branch, builder) = in_dialog(&mut self.layer, &question, &Method::Options, 1);
        let bytes = builder
            .header(HeaderName::Contact, self.layer.local.contact(&peer))
            .header(HeaderName::Allow, ALLOW)
            .header(HeaderName::Accept, "application/sdp")
            .finish();
        self.phones.asked = self.phones.asked.wrapping_add(1);
        let number = self.phones.asked;
        self.phones.open.insert(number, phone.clone());
        self.phones.known.entry(phone).or_default().asked = true;
        let purpose = Purpose::Phone(number);
        self.layer
            .request(now, peer, &branch, &Method::Options, bytes, purpose);
    }

    /// What came of a question; `None`: nothing.
    pub(super) fn phone_response(&mut self, number: u32, message: Option<&Message>) {
        let status = message.and_then(Message::status);
        if status.is_some_and(|status| status < 200) {
            return;
        }
        let Some((user, uri)) = self.phones.open.remove(&number) else {
            return;
        };
        // A proxy in front says one of these of a phone that it cannot reach (RFC 3261 section 16.7, RFC 5626 section 11.1).
        let alive = status.is_some_and(|status| !matches!(status, 408 | 430 | 503));
        self.phone_said(user, uri, alive);
    }

    fn phone_said(&mut self, user: Arc<str>, uri: Arc<str>, alive: bool) {
        let phone = (user.clone(), uri);
        let was_silent = self
            .phones
            .known
            .remove(&phone)
            .is_some_and(|one| one.silent);
        if !alive {
            let silent = Standing {
                asked: false,
                silent: true,
            };
            self.phones.known.insert(phone, silent);
        }
        match alive {
            true => self.layer.emit(Event::PhoneLives { user: user.clone() }),
            false if !was_silent => self.layer.count("phone_silent"),
            false => {}
        }
        if was_silent == alive {
            self.tell_phone(&user);
        }
    }

    /// One of a user's phones has fallen silent or is back.
    fn tell_phone(&mut self, user: &Arc<str>) {
        if self.layer.config.phones.fixed.contains_key(user) {
            let reachable = !self.phones.has_silent(user);
            let user = user.clone();
            return self.layer.emit(Event::FixedPhone { user, reachable });
        }
        self.tell_registration(user);
    }

    /// Whether a user has a phone that is not known to be silent.
    pub(super) fn is_reachable(&self, user: &Arc<str>) -> bool {
        let mut bindings = self.registrar.of(user).iter();
        match self.phones.has_silent(user) {
            true => bindings.any(|binding| !self.phones.is_silent(user, &binding.uri)),
            false => bindings.next().is_some(),
        }
    }

    /// A phone that was silent has registered: it may have lost its network, or its router the way to it. It is asked out of turn.
    pub(super) fn ask_silent(&mut self, now: Time, user: &Arc<str>) {
        if self.phones.interval.is_some() && self.phones.has_silent(user) {
            self.ask_phones(now, user);
        }
    }
}
