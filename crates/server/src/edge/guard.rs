//! Strangers: how much of them is let in, and what the operator's log says of those who mean harm.
//!
//! Known are trunks, agents' fixed contacts, sources of registered phones, and connections that showed a certificate our authority signed: they have
//! the trunk's caps and the door's refusals, no more. Everybody else is a stranger. Each has two measures in a table of fixed size: what begins
//! something, and datagrams of any kind. Both are looked at before the engine, the second before a datagram is even parsed, so that a flood from one
//! address costs the others next to nothing.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use clock::Time;
use sip::message::{Message, Method};
use sip::registrar::Binding;
use sip::{FlowId, Peer, Suspect, subscriber};

use crate::config::Compiled;

/// How long a source may have been silent and make up for it at once: a whole office of phones comes back after a power cut.
const BURST: Duration = Duration::from_secs(10);
/// Datagrams a second for each new request that is allowed. A stranger is in no call as a rule; a carrier's second address, or who calls with a
/// password and without registering, has a dozen a call.
const DATAGRAMS: u32 = 40;
/// A burst of datagrams is a quarter of a second's: more would stand before the engine, where everybody waits, and fill the socket's buffer.
const DATAGRAM_BURST: Duration = Duration::from_millis(250);
/// The table: sets of a few places each, of which the one that was silent longest makes room (400 kB). Which set a source falls into nobody outside
/// can tell; and who is put out begins anew with a whole burst, so that putting honest sources out hurts none.
const SETS: usize = 4_096;
const PLACES: usize = 4;

/// Who sends how much.
pub struct Sources {
    known: RwLock<Known>,
    table: Mutex<Box<[[Measures; PLACES]]>>,
    hasher: RandomState,
}

/// What the configuration says, and who has shown a password or a certificate.
#[derive(Default)]
struct Known {
    /// New requests a second of one stranger; 0: without limit.
    rate: u32,
    trunks: Vec<sip::Trunk>,
    /// Emergency numbers, as an agent dials them.
    help: HashSet<Arc<str>>,
    /// What the trunks' host names lead to at present.
    hosts: HashMap<Arc<str>, Vec<IpAddr>>,
    /// Hosts of agents' fixed contacts.
    contacts: HashSet<IpAddr>,
    /// Where each user has registered; bounded by the registrar.
    users: HashMap<Arc<str>, Vec<IpAddr>>,
    /// How many bindings are at an address.
    registered: HashMap<IpAddr, usize>,
    /// Bounded by the keeper's connections.
    certified: BTreeSet<FlowId>,
}

/// A source's measures: the time up to which its allowance is used (generic cell rate algorithm).
#[derive(Clone, Copy, Default)]
struct Measures {
    name: u64,
    new: Time,
    all: Time,
}

impl Default for Sources {
    fn default() -> Self {
        Sources {
            known: RwLock::default(),
            table: Mutex::new(vec![[Measures::default(); PLACES]; SETS].into()),
            hasher: RandomState::new(),
        }
    }
}

impl Sources {
    /// A new configuration; measures stay.
    pub fn configure(&self, compiled: &Compiled) {
        let host = |contact: &str| sip::message::Uri::parse(contact).ok()?.host.ip();
        let agents = compiled.engine.agents.values();
        let contacts = agents
            .filter_map(|agent| host(agent.contact.as_deref()?))
            .map(subscriber)
            .collect();
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.rate = compiled.settings.source_rate;
        let rules = compiled.engine.outbound.rules.iter();
        let help = rules.filter(|rule| *rule.class == *engine::outbound::EMERGENCY);
        known.help = help.map(|rule| rule.number.clone()).collect();
        known.trunks = compiled.engine.sip.trunks.clone();
        let Known { trunks, hosts, .. } = &mut *known;
        hosts.retain(|name, _| trunks.iter().any(|trunk| trunk.hosts.contains(name)));
        known.contacts = contacts;
    }

    /// A trunk's host name has other addresses.
    pub fn resolved(&self, host: &sip::HostNow) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known
            .hosts
            .insert(host.name.clone(), host.addresses.clone());
    }

    /// Where a user's phones are from now on.
    pub fn registered(&self, user: &Arc<str>, bindings: &[Binding]) {
        let sources = |bindings: &[Binding]| -> Vec<IpAddr> {
            let remotes = bindings.iter().map(|binding| binding.peer.remote.ip());
            remotes.map(subscriber).collect()
        };
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.moved(user.clone(), sources(bindings));
    }

    /// Registrations that a restart has kept.
    pub fn restored(&self, bindings: &[(Arc<str>, Binding)]) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for (user, binding) in bindings {
            let mut sources = known.users.get(user).cloned().unwrap_or_default();
            sources.push(subscriber(binding.peer.remote.ip()));
            known.moved(user.clone(), sources);
        }
    }

    /// A connection has shown a certificate that was verified.
    pub fn certified(&self, flow: FlowId) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.certified.insert(flow);
    }

    /// A connection is gone.
    pub fn closed(&self, flow: FlowId) {
        let is_certified = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            known.certified.contains(&flow)
        };
        if is_certified {
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            known.certified.remove(&flow);
        }
    }

    /// Whether a telephone of ours dials an emergency number: nothing of that is refused. Strangers get nothing by dialling one.
    pub fn calls_for_help(&self, peer: &Peer, message: &Message) -> bool {
        if message.method() != Some(&Method::Invite) {
            return false;
        }
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if known.help.is_empty() || !known.is_phone(peer.remote.ip()) {
            return false;
        }
        let uri = message.request_uri_raw();
        let uri = sip::message::Uri::parse(uri).ok();
        let user = uri.as_ref().and_then(|uri| uri.user());
        user.is_some_and(|user| known.help.contains(&*user))
    }

    /// Whether a datagram of any kind may come in.
    pub fn admits(&self, at: Time, source: IpAddr) -> bool {
        let Some(rate) = self.rate_of(source, None) else {
            return true;
        };
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let measures = self.measures(&mut table, source);
        let rate = rate.saturating_mul(DATAGRAMS);
        takes(&mut measures.all, at, rate, DATAGRAM_BURST)
    }

    /// Whether something new may begin.
    pub fn admits_new(&self, at: Time, peer: &Peer) -> bool {
        let source = peer.remote.ip();
        let Some(rate) = self.rate_of(source, peer.flow) else {
            return true;
        };
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let measures = self.measures(&mut table, source);
        takes(&mut measures.new, at, rate, BURST)
    }

    /// A stranger's rate; none has who is known, or where there is no limit.
    fn rate_of(&self, source: IpAddr, flow: Option<FlowId>) -> Option<u32> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        (known.rate > 0 && !known.knows(source, flow)).then_some(known.rate)
    }

    fn measures<'a>(
        &self,
        table: &'a mut MutexGuard<'_, Box<[[Measures; PLACES]]>>,
        source: IpAddr,
    ) -> &'a mut Measures {
        let name = self.hasher.hash_one(subscriber(source)) | 1;
        let set = &mut table[(name >> 1) as usize % SETS];
        let place = set.iter().position(|known| known.name == name);
        let place = place.unwrap_or_else(|| {
            let oldest = (0..PLACES).min_by_key(|&place| set[place].new.max(set[place].all));
            let oldest = oldest.unwrap_or(0);
            set[oldest] = Measures {
                name,
                ..Measures::default()
            };
            oldest
        });
        &mut set[place]
    }
}

/// Takes one from an allowance of so many a second.
fn takes(used: &mut Time, at: Time, rate: u32, burst: Duration) -> bool {
    let next = (*used).max(at) + Duration::from_secs(1) / rate;
    let admitted = next.since(at) <= burst;
    if admitted {
        *used = next;
    }
    admitted
}

impl Known {
    /// An agent's telephone is there.
    fn is_phone(&self, source: IpAddr) -> bool {
        let network = subscriber(source);
        self.contacts.contains(&network) || self.registered.contains_key(&network)
    }

    fn knows(&self, source: IpAddr, flow: Option<FlowId>) -> bool {
        self.is_phone(source)
            || (self.trunks.iter()).any(|trunk| trunk.is_source(source, &[]))
            || (self.hosts.values()).any(|addresses| addresses.contains(&source.to_canonical()))
            || flow.is_some_and(|flow| self.certified.contains(&flow))
    }

    fn moved(&mut self, user: Arc<str>, now: Vec<IpAddr>) {
        for source in &now {
            *self.registered.entry(*source).or_default() += 1;
        }
        let before = if now.is_empty() {
            self.users.remove(&user)
        } else {
            self.users.insert(user, now)
        };
        for source in before.unwrap_or_default() {
            if let Some(count) = self.registered.get_mut(&source) {
                *count -= 1;
                if *count == 0 {
                    self.registered.remove(&source);
                }
            }
        }
    }
}

/// The lines that `docs/fail2ban` reads: do not change them without that. A stranger's text is last, and written so that it stays on the line.
pub fn tell(suspect: &Suspect) {
    match suspect {
        Suspect::Guesser {
            source,
            user,
            failures,
            wait,
        } => {
            let (source, seconds) = (source.to_canonical(), wait.as_secs());
            tracing::warn!(target: "cordboard::guard", "barred source={source} failures={failures} seconds={seconds} user={user:?}");
        }
        Suspect::Scanner { source, agent } => {
            let source = source.to_canonical();
            tracing::warn!(target: "cordboard::guard", "scanner source={source} agent={agent:?}");
        }
    }
}

/// Who may call in by a name, or that nobody may.
pub fn tell_host(host: &sip::HostNow) {
    let (name, addresses) = (&host.name, &host.addresses);
    match (host.state, addresses.is_empty()) {
        (sip::HostState::Known, _) => {
            tracing::info!(%name, ?addresses, "a trunk's host name: calls come in from there")
        }
        (sip::HostState::Nothing, _) | (sip::HostState::Failed, true) => {
            let why = match host.state {
                sip::HostState::Nothing => "the DNS knows no address of it",
                sip::HostState::Known | sip::HostState::Failed => "the DNS does not answer",
            };
            tracing::warn!(%name, why, "a trunk's host name does not resolve: nobody can call in by it");
        }
        (sip::HostState::Failed, false) => {
            tracing::warn!(%name, ?addresses, "the DNS does not answer: a trunk's host name keeps the addresses that it had")
        }
    }
}

#[cfg(test)]
mod tests {
    use sip::{Transport, Urgency};

    use super::super::door::{Admission, Door};
    use super::*;

    const START: Time = Time::from_secs(1_000);

    fn sources(rate: u32) -> Sources {
        let sources = Sources::default();
        let mut known = sources.known.write().unwrap();
        known.rate = rate;
        known.contacts.insert(address("192.0.2.7"));
        drop(known);
        sources
    }

    #[test]
    fn a_telephone_of_ours_that_calls_for_help_is_let_in_when_nobody_else_is() {
        let (door, mut inbox) = Door::new();
        let sources = door.sources();
        let mut known = sources.known.write().unwrap();
        known.help.insert("110".into());
        known.contacts.insert(address("192.0.2.7"));
        drop(known);
        let calls = |number: &str, source: &str, at: Time| {
            let text = format!(
                "INVITE sip:{number}@pbx SIP/2.0\r\nVia: SIP/2.0/UDP {source};branch=z9hG4bK1\r\nFrom: <sip:1001@pbx>;tag=1\r\n\
                 To: <sip:{number}@pbx>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
            );
            let message = Message::parse(text.into_bytes().into()).unwrap();
            let peer = peer(address(source), None);
            let urgency = door.urgency(&peer, &message);
            let taken = door.sip(at, sip::Input::Message { peer, message }, true);
            (urgency == Urgency::Dialog, taken == Admission::Taken)
        };
        let until = START + Duration::from_millis(900);
        for ms in 0..900 {
            calls("1000", "192.0.2.9", START + Duration::from_millis(ms));
        }
        assert_eq!(calls("1000", "192.0.2.7", until), (false, false));
        assert_eq!(calls("110", "192.0.2.7", until), (true, true));
        assert_eq!(calls("1101", "192.0.2.7", until), (false, false));
        assert_eq!(calls("110", "192.0.2.9", until), (false, false));
        let waiting = std::iter::from_fn(|| inbox.try_recv()).count();
        assert!(waiting < 900, "the rest were refused: {waiting}");
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn peer(source: IpAddr, flow: Option<u64>) -> Peer {
        Peer {
            transport: Transport::Udp,
            remote: (source, 5060).into(),
            flow: flow.map(FlowId),
        }
    }

    /// How many of so many new requests get in.
    fn new(sources: &Sources, at: Time, count: u32, source: IpAddr) -> usize {
        let peer = peer(source, None);
        (0..count).filter(|_| sources.admits_new(at, &peer)).count()
    }

    fn binding(source: IpAddr) -> Binding {
        Binding {
            uri: "sip:1001@phone".into(),
            q: 1000,
            expires: START,
            call_id: "1".into(),
            cseq: 1,
            peer: peer(source, None),
            path: Vec::new(),
            updated: 0,
            instance: None,
            reg_id: None,
        }
    }

    #[test]
    fn a_source_has_its_burst_and_then_its_rate_and_others_have_theirs() {
        let sources = sources(50);
        let flood = address("203.0.113.9");
        assert_eq!(new(&sources, START, 10_000, flood), 500);
        assert_eq!(
            new(&sources, START + Duration::from_secs(2), 10_000, flood),
            100
        );
        assert_eq!(new(&sources, START, 600, address("203.0.113.10")), 500);
        assert_eq!(new(&sources, START, 600, address("192.0.2.7")), 600);
        let all = (0..100_000).filter(|_| sources.admits(START, flood));
        assert_eq!(all.count(), 500);
        let network = |n: u16| IpAddr::V6([0x2001, 0xdb8, 0, 1, n, 0, 0, 1].into());
        let of_all: usize = (0..1_000)
            .map(|n| new(&sources, START, 1, network(n)))
            .sum();
        assert_eq!(of_all, 500, "one network is one source");
    }

    #[test]
    fn a_registered_phone_is_no_stranger_until_its_last_binding_is_gone() {
        let sources = sources(50);
        let home = address("198.51.100.4");
        sources.registered(&"1001".into(), &[binding(home)]);
        sources.restored(&[("1002".into(), binding(home))]);
        assert_eq!(new(&sources, START, 5_000, home), 5_000);
        sources.registered(&"1001".into(), &[]);
        assert_eq!(new(&sources, START, 5_000, home), 5_000);
        sources.registered(&"1002".into(), &[binding(address("198.51.100.5"))]);
        assert_eq!(new(&sources, START, 5_000, home), 500);
        let known = sources.known.read().unwrap();
        assert_eq!((known.users.len(), known.registered.len()), (1, 1));
    }

    #[test]
    fn a_verified_certificate_is_no_stranger() {
        let sources = sources(50);
        let carrier = peer(address("198.51.100.9"), Some(7));
        sources.certified(FlowId(7));
        assert!((0..5_000).all(|_| sources.admits_new(START, &carrier)));
        sources.closed(FlowId(7));
        let admitted = (0..5_000).filter(|_| sources.admits_new(START, &carrier));
        assert_eq!(admitted.count(), 500);
    }

    #[test]
    fn a_million_sources_take_no_more_room_and_harm_no_honest_one() {
        let sources = sources(50);
        let honest = address("198.51.100.4");
        for n in 0..1_000_000u32 {
            assert_eq!(new(&sources, START, 1, IpAddr::V4(n.into())), 1);
            if n % 10_000 == 0 {
                assert_eq!(new(&sources, START, 1, honest), 1);
            }
        }
        let unlimited = self::sources(0);
        assert_eq!(new(&unlimited, START, 1_000, honest), 1_000);
    }
}
