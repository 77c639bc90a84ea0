//! The trunks as they are now: who is up, how many calls each has, in which order they are tried, and what the engine is told of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clock::Time;

use super::forks::is_failover;
use super::hops::{Seeker, Sought};
use super::layer::{Layer, Purpose};
use super::registering::Registering;
use super::timers::TimerId;
use super::{ALLOW, Alarm, Endpoint};
use crate::api::{Cause, Event, Invite, LegId, Peer, Target, Through};
use crate::message::{Builder, HeaderName, Message, Method};
use crate::trunk::{Carrier, TrunkState};

/// Trunks that a run may have known, those of earlier configurations among them.
const TRUNKS_MAX: usize = 1024;
/// Signs of death in a row that take a trunk down, and signs of life that bring it back: one lost packet is neither.
const DOWN_AFTER: u8 = 2;
const UP_AFTER: u8 = 2;
/// A trunk that has failed a call is tried after the others for so long, when nothing asks after its health.
const SHUN: Duration = Duration::from_secs(30);
/// Longest that a Retry-After is believed.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(600);

/// What a trunk's timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TrunkAlarm {
    /// Ask whether it lives.
    Options,
    /// Register, or register again.
    Register,
}

/// Every trunk that this run has known; a place in the list is a trunk's for good.
#[derive(Debug, Default)]
pub struct Trunks {
    all: Vec<Known>,
    /// Which trunk each call of ours by a trunk has taken, until it is gone; true once it has shown that it lives.
    placed: BTreeMap<LegId, (u16, bool)>,
}

/// Where a trunk's requests go.
pub enum Way {
    To(Peer),
    /// The DNS is asked; the alarm comes again.
    Asked,
    Nowhere,
}

/// One trunk.
#[derive(Debug)]
struct Known {
    name: Arc<str>,
    /// As configured; `None` when it is no longer, or only calls in.
    carrier: Option<Carrier>,
    health: Health,
    registering: Registering,
    /// What was last told.
    told: Option<TrunkState>,
    /// The second that is counted, and the calls in it.
    second: (u64, u32),
}

/// Whether a trunk takes calls.
#[derive(Debug, Default)]
struct Health {
    down: bool,
    /// Signs against the present state in a row.
    signs: u8,
    /// Not before then, as it said itself, or as it has failed.
    shunned_until: Option<Time>,
    cseq: u32,
    call_id: String,
    timer: Option<TimerId>,
}

impl Health {
    fn lives(&mut self) {
        if !self.down {
            self.signs = 0;
            return;
        }
        self.signs += 1;
        if self.signs >= UP_AFTER {
            (self.down, self.signs) = (false, 0);
        }
    }

    fn fails(&mut self) {
        if self.down {
            self.signs = 0;
            return;
        }
        self.signs += 1;
        if self.signs >= DOWN_AFTER {
            (self.down, self.signs) = (true, 0);
        }
    }
}

impl Trunks {
    /// No call of ours is under way by a trunk.
    pub fn is_idle(&self) -> bool {
        self.placed.is_empty()
    }

    pub fn name(&self, index: u16) -> Option<Arc<str>> {
        self.all
            .get(usize::from(index))
            .map(|known| known.name.clone())
    }

    /// The registration of a trunk, and its name.
    pub fn registering(&mut self, index: u16) -> Option<(&Arc<str>, &mut Registering)> {
        let known = self.all.get_mut(usize::from(index))?;
        Some((&known.name, &mut known.registering))
    }

    fn index_of(&self, name: &str) -> Option<u16> {
        let place = self.all.iter().position(|known| *known.name == *name)?;
        u16::try_from(place).ok()
    }
}

impl Endpoint {
    /// How every trunk stands.
    pub fn trunk_states(&self) -> Vec<TrunkState> {
        let configured = &self.layer.config.trunks;
        configured
            .iter()
            .map(|trunk| self.state_of(&trunk.name))
            .collect()
    }

    fn state_of(&self, name: &Arc<str>) -> TrunkState {
        let known = self.trunks.all.iter().find(|known| known.name == *name);
        TrunkState {
            trunk: name.clone(),
            up: known.is_none_or(|known| !known.health.down),
            registered: known.and_then(|known| known.registering.state()),
            calls: self.trunk_calls.get(name).copied().unwrap_or(0),
        }
    }

    /// Tells the engine how a trunk stands, if that is news.
    pub(super) fn tell_trunk(&mut self, index: u16) {
        let Some(name) = self.trunks.name(index) else {
            return;
        };
        let state = self.state_of(&name);
        let Some(known) = self.trunks.all.get_mut(usize::from(index)) else {
            return;
        };
        if known.told.as_ref() != Some(&state) {
            known.told = Some(state.clone());
            self.layer.emit(Event::Trunk(state));
        }
    }

    /// Takes on what the configuration says: new trunks begin, changed ones begin again, those that are gone end.
    pub(super) fn configure_trunks(&mut self, now: Time) {
        let config = self.layer.config.clone();
        for trunk in &config.trunks {
            let index = match self.trunks.index_of(&trunk.name) {
                Some(index) => index,
                None if self.trunks.all.len() < TRUNKS_MAX => {
                    self.trunks.all.push(Known {
                        name: trunk.name.clone(),
                        carrier: None,
                        health: Health::default(),
                        registering: Registering::default(),
                        told: None,
                        second: (0, 0),
                    });
                    (self.trunks.all.len() - 1) as u16
                }
                None => continue,
            };
            self.configure_trunk(now, index, trunk.carrier.as_ref());
            self.tell_trunk(index);
        }
        for place in 0..self.trunks.all.len() {
            let name = self.trunks.all[place].name.clone();
            if !config.trunks.iter().any(|trunk| trunk.name == name) {
                self.configure_trunk(now, place as u16, None);
                self.trunks.all[place].told = None;
            }
        }
    }

    fn configure_trunk(&mut self, now: Time, index: u16, carrier: Option<&Carrier>) {
        let Some(known) = self.trunks.all.get_mut(usize::from(index)) else {
            return;
        };
        let before = std::mem::replace(&mut known.carrier, carrier.cloned());
        if before.as_ref() == carrier {
            // The address that we are reached at may be another.
            return self.register_if_moved(now, index);
        }
        let account =
            |carrier: Option<&Carrier>| carrier.and_then(|carrier| carrier.account.clone());
        if account(before.as_ref()) != account(carrier) {
            let name = known.name.clone();
            self.layer.wallet.forget(&name);
        }
        let Some(known) = self.trunks.all.get_mut(usize::from(index)) else {
            return;
        };
        let health = std::mem::take(&mut known.health);
        if let Some(timer) = health.timer {
            self.layer.timers.cancel(timer);
        }
        if carrier.is_some_and(|carrier| carrier.options.is_some()) {
            self.ask_later(now, index, Duration::ZERO);
        }
        self.begin_registering(now, index, before.as_ref(), carrier);
    }

    /// The carrier of a trunk as configured, and where its requests go: known, asked for, or nowhere.
    pub(super) fn carrier_of(
        &mut self,
        now: Time,
        index: u16,
        alarm: TrunkAlarm,
    ) -> Option<(Carrier, Way)> {
        let known = self.trunks.all.get(usize::from(index))?;
        let (carrier, name) = (known.carrier.clone()?, known.name.clone());
        let way = match self.seek(now, &carrier.next_hop, Seeker::Trunk(index, alarm)) {
            Sought::Hops(hops) => {
                let ips = hops.iter().map(|hop| hop.remote.ip());
                self.layer.wallet.goes_to(&name, ips);
                match hops.first() {
                    Some(first) => Way::To(self.toward(first)),
                    None => Way::Nowhere,
                }
            }
            Sought::Asked => Way::Asked,
            Sought::Nowhere => Way::Nowhere,
        };
        Some((carrier, way))
    }

    pub(super) fn trunk_alarm(&mut self, now: Time, index: u16, alarm: TrunkAlarm) {
        match alarm {
            TrunkAlarm::Options => self.ask_health(now, index),
            TrunkAlarm::Register => self.register_now(now, index),
        }
    }

    // --- health

    fn ask_later(&mut self, now: Time, index: u16, wait: Duration) {
        let timer = self.layer.timers.set(
            now + wait,
            "trunk health",
            Alarm::Trunk(index, TrunkAlarm::Options),
        );
        if let Some(known) = self.trunks.all.get_mut(usize::from(index)) {
            known.health.timer = Some(timer);
        }
    }

    fn ask_health(&mut self, now: Time, index: u16) {
        let Some((carrier, way)) = self.carrier_of(now, index, TrunkAlarm::Options) else {
            return;
        };
        let Some(interval) = carrier.options else {
            return;
        };
        let peer = match way {
            Way::To(peer) => peer,
            Way::Asked => return,
            Way::Nowhere => {
                self.ask_later(now, index, interval);
                return self.sign(now, index, false, None);
            }
        };
        self.ask_later(now, index, interval);
        if self.layer.is_full() {
            return;
        }
        let (fresh, tag) = (self.layer.keys.call_id(), self.layer.keys.tag());
        let Some(known) = self.trunks.all.get_mut(usize::from(index)) else {
            return;
        };
        let health = &mut known.health;
        if health.call_id.is_empty() {
            health.call_id = fresh;
        }
        health.cseq += 1;
        let (call_id, cseq, name) = (health.call_id.clone(), health.cseq, known.name.clone());
        let uri = format!("sip:{}", carrier.domain);
        let from = format!("<sip:cordboard@{}>;tag={tag}", carrier.domain);
        let to = format!("<{uri}>");
        let request = OutOfDialog {
            trunk: &name,
            method: &Method::Options,
            uri: &uri,
            from: &from,
            to: &to,
            call_id: &call_id,
            cseq,
        };
        let (branch, builder) = request.build(&mut self.layer, &peer);
        let bytes = builder
            .header(HeaderName::Accept, "application/sdp")
            .finish();
        self.layer.request(
            now,
            peer,
            &branch,
            &Method::Options,
            bytes,
            Purpose::Options(index),
        );
    }

    /// Any answer is a sign of life, but one that says it cannot work; `None`: there was none.
    pub(super) fn options_response(&mut self, now: Time, index: u16, message: Option<&Message>) {
        let status = message.and_then(Message::status);
        if status.is_some_and(|status| status < 200) {
            return;
        }
        let alive = status.is_some_and(|status| !matches!(status, 408 | 503));
        let wait = message.and_then(retry_after);
        self.sign(now, index, alive, wait);
    }

    /// One more sign of life or death.
    fn sign(&mut self, now: Time, index: u16, alive: bool, wait: Option<Duration>) {
        let Some(known) = self.trunks.all.get_mut(usize::from(index)) else {
            return;
        };
        match alive {
            true => {
                known.health.lives();
                known.health.shunned_until = None;
            }
            false => {
                known.health.fails();
                let asks = known
                    .carrier
                    .as_ref()
                    .is_some_and(|carrier| carrier.options.is_some());
                // Without anybody who asks it would stay down for ever: then time alone brings it back.
                known.health.down &= asks;
                let shun = wait.or((!asks).then_some(SHUN));
                if let Some(shun) = shun {
                    known.health.shunned_until = Some(now + shun.min(RETRY_AFTER_MAX));
                }
            }
        }
        self.tell_trunk(index);
    }

    // --- calls

    /// The trunks that may take a call, in the order in which they are tried. `Err` when none has room.
    pub(super) fn trunk_order(
        &mut self,
        now: Time,
        ways: &[Through],
    ) -> Result<Vec<Through>, Cause> {
        let mut open = Vec::new();
        let mut full = false;
        for way in ways {
            let Some(index) = self.trunks.index_of(&way.trunk) else {
                continue;
            };
            let room = self.has_room(now, &way.trunk);
            match room.or(if way.urgent { Ok(()) } else { room }) {
                Ok(()) => open.push((self.standing(now, index), way.clone())),
                Err(reason) => {
                    full = true;
                    self.refuse_trunk(&way.trunk, reason);
                }
            }
        }
        if open.is_empty() {
            return Err(match full {
                true => Cause::Rejected {
                    status: 503,
                    reason: "trunks full".into(),
                    retry_after: None,
                    contact: None,
                },
                false => Cause::Unreachable,
            });
        }
        // Those that are down stand last: when all are, one may have come back.
        open.sort_by_key(|(down, way)| (*down, way.rank));
        let mut order = Vec::new();
        while !open.is_empty() {
            let first = (open[0].0, open[0].1.rank);
            let same = open
                .iter()
                .take_while(|(down, way)| (*down, way.rank) == first)
                .count();
            let weights: u32 = open[..same]
                .iter()
                .map(|(_, way)| u32::from(way.weight.max(1)))
                .sum();
            let mut at = self.layer.keys.between(1, weights);
            let mut chosen = 0;
            for (place, (_, way)) in open[..same].iter().enumerate() {
                chosen = place;
                let weight = u32::from(way.weight.max(1));
                if at <= weight {
                    break;
                }
                at -= weight;
            }
            order.push(open.remove(chosen).1);
        }
        Ok(order)
    }

    /// Whether a trunk is to be tried after others.
    fn standing(&self, now: Time, index: u16) -> bool {
        let Some(known) = self.trunks.all.get(usize::from(index)) else {
            return true;
        };
        known.health.down || known.health.shunned_until.is_some_and(|until| until > now)
    }

    /// Whether a trunk has room for one more call at once.
    pub(super) fn has_room(&self, now: Time, name: &str) -> Result<(), &'static str> {
        let trunks = &self.layer.config.trunks;
        let Some(trunk) = trunks.iter().find(|trunk| *trunk.name == *name) else {
            return Err("full");
        };
        if self.trunk_calls.get(name).copied().unwrap_or(0) >= trunk.max_calls {
            return Err("full");
        }
        let second = now.as_nanos() / 1_000_000_000;
        let known = self.trunks.all.iter().find(|known| *known.name == *name);
        let this_second = known.map_or(0, |known| match known.second {
            (at, calls) if at == second => calls,
            _ => 0,
        });
        if trunk.calls_per_second > 0 && this_second >= trunk.calls_per_second {
            return Err("rate");
        }
        Ok(())
    }

    pub(super) fn refuse_trunk(&mut self, name: &Arc<str>, reason: &'static str) {
        self.layer.emit(Event::TrunkRefused {
            trunk: name.clone(),
            reason,
        });
    }

    /// One more call of a trunk.
    pub(super) fn trunk_taken(&mut self, now: Time, name: &Arc<str>, outbound: bool) {
        self.layer.emit(Event::TrunkCall {
            trunk: name.clone(),
            outbound,
        });
        *self.trunk_calls.entry(name.clone()).or_default() += 1;
        let Some(index) = self.trunks.index_of(name) else {
            return;
        };
        let second = now.as_nanos() / 1_000_000_000;
        if let Some(known) = self.trunks.all.get_mut(usize::from(index)) {
            known.second = match known.second {
                (at, calls) if at == second => (at, calls + 1),
                _ => (second, 1),
            };
        }
    }

    /// A call of ours goes by a trunk.
    pub(super) fn take_trunk(&mut self, now: Time, invite: &Invite) {
        let Target::Trunks(ways) = &invite.target else {
            return;
        };
        let Some(way) = ways.first() else { return };
        let Some(index) = self.trunks.index_of(&way.trunk) else {
            return;
        };
        self.trunk_taken(now, &way.trunk.clone(), true);
        self.trunks.placed.insert(invite.leg, (index, false));
        self.tell_trunk(index);
    }

    /// A trunk has let a call lie.
    pub(super) fn trunk_failed(&mut self, now: Time, leg: LegId) {
        if let Some(&(index, false)) = self.trunks.placed.get(&leg) {
            self.sign(now, index, false, None);
        }
    }

    /// What becomes of a call by a trunk says something of the trunk.
    pub(super) fn trunk_hears(&mut self, now: Time, leg: LegId, event: &Event) {
        let Some((index, alive)) = self.trunks.placed.get_mut(&leg) else {
            return;
        };
        let index = *index;
        match event {
            Event::Trying { .. } | Event::Ringing { .. } | Event::Answered { .. } if !*alive => {
                *alive = true;
                self.sign(now, index, true, None);
            }
            Event::Gone { cause, .. } => {
                let (alive, cause) = (*alive, cause.clone());
                self.trunks.placed.remove(&leg);
                if let Some(name) = self.trunks.name(index) {
                    self.trunk_left(&name);
                }
                match cause {
                    Cause::NoResponse | Cause::Unreachable if !alive => {
                        self.sign(now, index, false, None)
                    }
                    Cause::Rejected {
                        status,
                        retry_after,
                        ..
                    } => {
                        let busy = status == 503 || (is_failover(status) && retry_after.is_some());
                        self.sign(now, index, !busy, retry_after);
                    }
                    _ => {}
                }
                self.tell_trunk(index);
            }
            _ => {}
        }
    }

    /// A call of a trunk is over.
    pub(super) fn trunk_left(&mut self, name: &Arc<str>) {
        if let Some(calls) = self.trunk_calls.get_mut(name) {
            *calls -= 1;
            if *calls == 0 {
                self.trunk_calls.remove(name);
            }
        }
    }

    /// After a call came or went: the number of calls is news.
    pub(super) fn tell_trunk_named(&mut self, name: &str) {
        if let Some(index) = self.trunks.index_of(name) {
            self.tell_trunk(index);
        }
    }
}

/// A request of ours outside every dialog, to a trunk.
pub struct OutOfDialog<'a> {
    pub trunk: &'a str,
    pub method: &'a Method,
    pub uri: &'a str,
    pub from: &'a str,
    pub to: &'a str,
    pub call_id: &'a str,
    pub cseq: u32,
}

impl OutOfDialog<'_> {
    /// The request up to what is its own, and the branch it carries.
    pub fn build(&self, layer: &mut Layer, peer: &Peer) -> (String, Builder) {
        let contact = layer.local.contact(peer).to_string();
        self.build_with(layer, peer, &contact)
    }

    /// The same with a Contact of its own.
    pub fn build_with(&self, layer: &mut Layer, peer: &Peer, contact: &str) -> (String, Builder) {
        let branch = layer.keys.branch();
        let credentials = layer.credentials(self.trunk, self.method, self.uri);
        let mut builder = Builder::request(self.method, self.uri)
            .header(HeaderName::Via, layer.local.via(peer, &branch))
            .header(HeaderName::MaxForwards, 70)
            .header(HeaderName::From, self.from)
            .header(HeaderName::To, self.to)
            .header(HeaderName::CallId, self.call_id)
            .header(
                HeaderName::CSeq,
                format_args!("{} {}", self.cseq, self.method),
            )
            .header(HeaderName::Contact, contact)
            .header(HeaderName::Allow, ALLOW)
            .header(HeaderName::UserAgent, &layer.config.product);
        if let Some((name, value)) = credentials {
            builder = builder.header(name, value);
        }
        (branch, builder)
    }
}

/// Retry-After in seconds (section 20.33).
pub fn retry_after(message: &Message) -> Option<Duration> {
    let text = message.header(HeaderName::RetryAfter)?;
    let digits = text.split(|c: char| !c.is_ascii_digit()).next()?;
    Some(Duration::from_secs(digits.parse::<u32>().ok()?.into()))
}
