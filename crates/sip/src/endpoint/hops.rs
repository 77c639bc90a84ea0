//! Next hops of what we send outside dialogs: the DNS asked through the edge, and the next server where one fails (RFC 3263 section 4.3).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use clock::Time;

use super::keys::Key;
use super::leg::{Able, Hangup, LegAlarm, State};
use super::timers::TimerId;
use super::trunks::TrunkAlarm;
use super::{Alarm, Endpoint};
use crate::api::{Cause, Edge, Invite, LegId, Output, Peer, Target, Transport};
use crate::locate::{Answer, Hop, Known, Located, Question, locate};
use crate::message::{Message, Scheme, Uri};

/// The edge answers each question; should it not, nobody waits longer.
const ANSWER_WITHIN: Duration = Duration::from_secs(6);
/// A search takes this long at most, however many questions it has.
const SEARCH_WITHIN: Duration = Duration::from_secs(10);
/// Questions that are open at a time: more means that the DNS does not keep up, and then further searches fail at once.
const OPEN_MAX: usize = 512;
/// Who waits for one answer.
const SEEKERS_MAX: usize = 4096;
/// Servers that are remembered as failing.
const SHUNNED_MAX: usize = 1024;
/// A server that has failed is tried after the others this long.
const SHUN_FOR: Duration = Duration::from_secs(60);

/// Who wants to know where a URI leads. When the answer is there, [`Endpoint::found`] lets it seek again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Seeker {
    /// A call of ours that has not begun yet.
    Call(LegId),
    /// A registration or a question after health.
    Trunk(u16, TrunkAlarm),
    /// A dialog whose far end has given a name.
    Dialog(LegId),
    /// The fixed phone of a user, to be asked whether it lives.
    Phone(Arc<str>),
    /// A name by which a trunk is known.
    Host(Arc<str>),
    /// Where calls to a fixed phone will go, to be known before the first of them.
    Ahead(Arc<str>),
}

/// What came of seeking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sought {
    /// Never empty; those that failed of late stand last.
    Hops(Vec<Hop>),
    /// The DNS is asked; the seeker is told.
    Asked,
    Nowhere,
}

/// What is under way, and what is known.
#[derive(Debug, Default)]
pub(super) struct Hops {
    pub(super) known: Known,
    open: BTreeMap<Question, (TimerId, Vec<Seeker>)>,
    /// Since when each seeker has been seeking.
    since: BTreeMap<Seeker, Time>,
    /// Calls that wait for an answer.
    held: BTreeMap<LegId, Box<Invite>>,
    shunned: BTreeMap<(Transport, SocketAddr), Time>,
}

/// The servers that are left for a call, and the call.
#[derive(Debug)]
pub(super) struct Elsewhere {
    invite: Invite,
    /// In the order in which they are to be tried.
    hops: Vec<Hop>,
}

impl Elsewhere {
    pub(super) fn of(invite: &Invite, hops: &[Hop]) -> Option<Box<Elsewhere>> {
        (!hops.is_empty()).then(|| {
            Box::new(Elsewhere {
                invite: invite.clone(),
                hops: hops.to_vec(),
            })
        })
    }
}

impl Hops {
    /// Keeps a call until its way is known.
    pub(super) fn hold(&mut self, invite: &Invite) {
        self.held.insert(invite.leg, Box::new(invite.clone()));
    }

    /// Calls that wait for the DNS.
    pub(super) fn waiting(&self) -> usize {
        self.held.len()
    }

    pub(super) fn holds(&self, leg: LegId) -> bool {
        self.held.contains_key(&leg)
    }

    /// Others are tried before this server for a while.
    pub(super) fn shun(&mut self, now: Time, peer: &Peer) {
        self.shunned.retain(|_, until| *until > now);
        if self.shunned.len() < SHUNNED_MAX {
            self.shunned
                .insert((peer.transport, peer.remote), now + SHUN_FOR);
        }
    }
}

impl Endpoint {
    /// Where a URI leads, as far as that is known; else the DNS is asked on behalf of `seeker`.
    pub(super) fn seek(&mut self, now: Time, uri: &str, seeker: Seeker) -> Sought {
        let (local, keys) = (&self.layer.local, &mut self.layer.keys);
        let located = locate(
            uri,
            &self.hops.known,
            now,
            |ip| local.speaks(ip),
            &mut |most| keys.between(0, most),
        );
        let sought = match located {
            Located::Nowhere => Sought::Nowhere,
            Located::Hops(mut hops) => {
                let shunned = &self.hops.shunned;
                hops.sort_by_key(|hop| {
                    shunned
                        .get(&(hop.transport, hop.remote))
                        .is_some_and(|until| *until > now)
                });
                Sought::Hops(hops)
            }
            Located::Ask(question) => {
                let since = self.hops.since.entry(seeker.clone()).or_insert(now);
                if *since + SEARCH_WITHIN > now {
                    self.ask(now, question, seeker.clone())
                } else {
                    Sought::Nowhere
                }
            }
        };
        if sought != Sought::Asked {
            self.hops.since.remove(&seeker);
        }
        sought
    }

    /// The address that a call to this target will go to first, as far as that is known without asking: for the family of its SDP.
    pub fn heading(&self, now: Time, target: &Target) -> Option<IpAddr> {
        let uri = match target {
            Target::User(user) => return Some(self.registrar.best(user)?.peer.remote.ip()),
            Target::Binding { user, uri } => {
                let mut bindings = self.registrar.of(user).iter();
                let binding = bindings.find(|binding| binding.uri == **uri)?;
                return Some(binding.peer.remote.ip());
            }
            Target::Uri(uri) => uri,
            Target::Trunks(ways) => {
                let first = &ways.first()?.trunk;
                let mut trunks = self.layer.config.trunks.iter();
                let trunk = trunks.find(|trunk| trunk.name == *first)?;
                trunk.carrier.as_ref()?.next_hop.as_str()
            }
        };
        let local = &self.layer.local;
        let at = |at| {
            let speaks = |ip| local.speaks(ip);
            match locate(uri, &self.hops.known, at, speaks, &mut |_| 0) {
                Located::Hops(hops) => hops.first().map(|hop| hop.remote.ip()),
                Located::Ask(_) | Located::Nowhere => None,
            }
        };
        // A family outlives its addresses: what was known before will do where nothing is known now.
        at(now).or_else(|| at(Time::ZERO))
    }

    /// Whether who is called is a browser: it has come by WebSocket (RFC 7118), as nothing else does.
    pub fn is_browser(&self, target: &Target) -> bool {
        let is = |peer: &Peer| matches!(peer.transport, Transport::Ws | Transport::Wss);
        match target {
            Target::User(user) => {
                let bindings = self.registrar.of(user);
                !bindings.is_empty() && bindings.iter().all(|binding| is(&binding.peer))
            }
            Target::Binding { user, uri } => {
                let mut bindings = self.registrar.of(user).iter();
                let binding = bindings.find(|binding| binding.uri == **uri);
                binding.is_some_and(|binding| is(&binding.peer))
            }
            Target::Uri(_) | Target::Trunks(_) => false,
        }
    }

    /// Whether nobody on the way to the next hop can read what goes there: over TLS, whichever of its ways is taken. A way that only DNS knows to be
    /// one is none.
    pub fn is_private(&self, target: &Target) -> bool {
        let private = |uri: &str| {
            Uri::parse(uri).is_ok_and(|uri| {
                let transport = uri.param("transport").unwrap_or_default();
                let tls = ["tls", "wss"]
                    .iter()
                    .any(|tls| transport.eq_ignore_ascii_case(tls));
                uri.scheme == Scheme::Sips || tls
            })
        };
        match target {
            Target::User(user) => {
                let bindings = self.registrar.of(user);
                let mut peers = bindings.iter().map(|binding| binding.peer.transport);
                !bindings.is_empty() && peers.all(Transport::is_secure)
            }
            Target::Binding { user, uri } => {
                let mut bindings = self.registrar.of(user).iter();
                let binding = bindings.find(|binding| binding.uri == **uri);
                binding.is_some_and(|binding| binding.peer.transport.is_secure())
            }
            Target::Uri(uri) => private(uri),
            Target::Trunks(ways) => ways.iter().all(|way| {
                let mut trunks = self.layer.config.trunks.iter();
                let trunk = trunks.find(|trunk| trunk.name == way.trunk);
                let carrier = trunk.and_then(|trunk| trunk.carrier.as_ref());
                carrier.is_some_and(|carrier| private(&carrier.next_hop))
            }),
        }
    }

    pub(super) fn ask(&mut self, now: Time, question: Question, seeker: Seeker) -> Sought {
        if let Some((_, seekers)) = self.hops.open.get_mut(&question) {
            if seekers.len() >= SEEKERS_MAX {
                self.layer.count("dns_full");
                return Sought::Nowhere;
            }
            seekers.push(seeker);
            return Sought::Asked;
        }
        if self.hops.open.len() >= OPEN_MAX {
            self.layer.count("dns_full");
            return Sought::Nowhere;
        }
        let timer = self.layer.timers.set(
            now + ANSWER_WITHIN,
            "DNS answer",
            Alarm::Resolve(question.clone()),
        );
        self.hops
            .open
            .insert(question.clone(), (timer, vec![seeker]));
        self.layer
            .out
            .push_back(Output::Edge(Edge::Resolve(question)));
        Sought::Asked
    }

    /// [`crate::Input::Resolved`], or its absence.
    pub(super) fn resolved(&mut self, now: Time, question: Question, answer: Answer) {
        let Some((timer, seekers)) = self.hops.open.remove(&question) else {
            return;
        };
        self.layer.timers.cancel(timer);
        if answer == Answer::Failed {
            self.layer.count("dns_failed");
        }
        self.hops.known.learn(now, question, answer);
        for seeker in seekers {
            self.found(now, seeker);
        }
    }

    /// Something more is known: seek again.
    fn found(&mut self, now: Time, seeker: Seeker) {
        match seeker {
            Seeker::Call(leg) => {
                if let Some(invite) = self.hops.held.remove(&leg) {
                    self.invite(now, *invite);
                }
            }
            Seeker::Trunk(index, alarm) => self.trunk_alarm(now, index, alarm),
            Seeker::Dialog(leg) if self.legs.contains_key(&leg) => self.resolve_hop(now, leg),
            Seeker::Dialog(_) => {
                self.hops.since.remove(&seeker);
            }
            Seeker::Phone(user) => self.ask_phones(now, &user),
            Seeker::Host(name) => self.host_found(now, &name),
            Seeker::Ahead(uri) => self.look_ahead(now, &uri),
        }
    }

    /// Finds where a URI leads before anybody wants to go there: its family decides on our description (see [`Endpoint::heading`]).
    pub(super) fn look_ahead(&mut self, now: Time, uri: &Arc<str>) {
        self.seek(now, uri, Seeker::Ahead(uri.clone()));
    }

    /// The peer of a hop. What its certificate must be good for is told to the edge first.
    pub(super) fn toward(&mut self, hop: &Hop) -> Peer {
        if let Some(name) = hop.domain.clone().filter(|_| hop.transport.is_secure()) {
            let remote = hop.remote;
            self.layer
                .out
                .push_back(Output::Edge(Edge::Domain { remote, name }));
        }
        Peer {
            transport: hop.transport,
            remote: hop.remote,
            flow: None,
        }
    }

    /// The server that has our INVITE fails: it goes to the next one, as a new transaction of the same call. False when none is left,
    /// or nobody wants the call any more.
    pub(super) fn try_elsewhere(&mut self, now: Time, id: LegId) -> bool {
        let Some(leg) = self.legs.get_mut(&id) else {
            return false;
        };
        if !matches!(
            leg.state,
            State::Calling {
                hangup: Hangup::No,
                ..
            }
        ) {
            return false;
        }
        let early = !leg.dialog.remote_tag.is_empty();
        let initial = leg.before_early();
        let failed = initial.peer;
        self.hops.shun(now, &failed);
        let Some(mut elsewhere) = leg.elsewhere.take() else {
            return false;
        };
        let hop = elsewhere.hops.remove(0);
        let mut dialog = initial;
        if early {
            // Somebody has seen this one, and may meet the next by another way: it must be no merged request (section 8.2.2.2).
            dialog.next_cseq();
            leg.passed_over += 1;
            leg.able = Able::default();
        }
        if let Some(alarm) = leg.alarm.take() {
            self.layer.timers.cancel(alarm);
        }
        let last = elsewhere.hops.is_empty();
        self.layer.count("next_server");
        dialog.peer = self.toward(&hop);
        let tx = self.send_invite(now, &elsewhere.invite, &dialog);
        if let Some(leg) = self.legs.get_mut(&id) {
            leg.dialog = dialog;
            leg.state = State::Calling {
                tx,
                provisional: false,
                hangup: Hangup::No,
            };
            leg.elsewhere = (!last).then_some(elsewhere);
        }
        if !last {
            self.try_for_a_while(now, id);
        }
        true
    }

    /// The server of a call has another one behind it: it does not have all of timer B for its first answer.
    pub(super) fn try_for_a_while(&mut self, now: Time, id: LegId) {
        let patience = self.layer.config.dialogs.try_for;
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        let alarm = Alarm::Leg(id, LegAlarm::NextServer);
        let timer = self.layer.timers.set(now + patience, "next server", alarm);
        leg.alarm = Some(timer);
    }

    /// The server has not said a word: the next one is asked. Should the silent one speak up after all, the call there is ended.
    pub(super) fn server_is_silent(&mut self, now: Time, id: LegId) {
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        leg.alarm = None;
        let State::Calling {
            tx,
            provisional: false,
            hangup: Hangup::No,
        } = leg.state
        else {
            return;
        };
        if leg.elsewhere.is_none() {
            return;
        }
        // It may have been seen, by the phone that the next server leads to as well: it must be no merged request (section 8.2.2.2).
        leg.dialog.next_cseq();
        leg.passed_over += 1;
        self.layer.abandon(tx);
        self.try_elsewhere(now, id);
    }

    /// What a server says of a call that has gone elsewhere: a provisional brings it the CANCEL, an answer the BYE.
    pub(super) fn abandoned_response(&mut self, now: Time, key: Key, message: &Message) {
        match message.status().unwrap_or_default() {
            ..200 => self.layer.cancel_once(now, key),
            200..300 => {
                let to = message.to().ok();
                let tag = to.and_then(|to| to.tag()).unwrap_or_default();
                if !self.layer.ack_again(key, tag) {
                    self.stray_fork(now, key, message, true);
                }
            }
            _ => {}
        }
    }

    /// A call that waits for the DNS is not wanted any more.
    pub(super) fn unhold(&mut self, id: LegId) {
        if self.hops.held.remove(&id).is_some() {
            self.hops.since.remove(&Seeker::Call(id));
            self.never_was(id, Cause::HungUp);
        }
    }
}
