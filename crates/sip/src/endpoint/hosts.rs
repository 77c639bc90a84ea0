//! Trunks that are known by a host name: whoever comes from an address that it has at present is the trunk.
//!
//! Each name is asked for when it is configured, and again when its answer ends. What the DNS says decidedly counts at once, that there is no such name
//! among it. While the DNS fails, addresses stay as they were for [`KEPT_FOR`]: a resolver that is down shall not cut off a carrier that is not.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use clock::Time;

use super::hops::{Seeker, Sought};
use super::timers::TimerId;
use super::{Alarm, Endpoint};
use crate::api::{Edge, HostNow, HostState, Output};
use crate::locate::{Answer, Kind, Question, Records};
use crate::message::Uri;
use crate::trunk::Trunk;

/// Names of all trunks together that are kept; the configuration has no more.
pub const HOSTS_MAX: usize = 256;
/// Addresses of one name that are believed.
const ADDRESSES_MAX: usize = 64;
/// How long addresses are good while nobody can say what they are now.
const KEPT_FOR: Duration = Duration::from_secs(3600);
/// When the DNS could not even be asked.
const AGAIN: Duration = Duration::from_secs(10);

/// The names, and what is known of each.
#[derive(Debug, Default)]
pub struct Hosts {
    known: BTreeMap<Arc<str>, Host>,
}

#[derive(Debug, Default)]
struct Host {
    /// In order, so that answers that only differ in theirs are the same.
    addresses: Vec<IpAddr>,
    /// When the DNS has said so.
    said: Option<Time>,
    timer: Option<TimerId>,
    told: Option<HostNow>,
}

impl Hosts {
    /// Whether this trunk has a name that leads to this address. A trunk that is known by its certificate is known by nothing else.
    pub fn lead_to(&self, trunk: &Trunk, source: IpAddr) -> bool {
        let source = source.to_canonical();
        trunk.certificate.is_none()
            && trunk.hosts.iter().any(|name| {
                let host = self.known.get(name);
                host.is_some_and(|host| host.addresses.contains(&source))
            })
    }
}

impl Endpoint {
    /// Takes on the names that the configuration has: new ones are asked for, those that are gone are forgotten.
    pub(super) fn configure_hosts(&mut self, now: Time) {
        self.look_ahead_for_phones(now);
        let config = self.layer.config.clone();
        let names = config.trunks.iter().flat_map(|trunk| &trunk.hosts);
        let wanted: BTreeSet<&Arc<str>> = names.take(HOSTS_MAX).collect();
        for (name, host) in &mut self.hosts.known {
            if let Some(timer) = host.timer.take_if(|_| !wanted.contains(name)) {
                self.layer.timers.cancel(timer);
            }
        }
        self.hosts.known.retain(|name, _| wanted.contains(name));
        for name in wanted {
            if !self.hosts.known.contains_key(name) {
                self.hosts.known.insert(name.clone(), Host::default());
                self.ask_host(now, name.clone());
            }
        }
    }

    /// Names of fixed phones are looked up before the first call to them, one URI of each.
    pub(super) fn look_ahead_for_phones(&mut self, now: Time) {
        let fixed = self.layer.config.phones.fixed.clone();
        let mut names = BTreeSet::new();
        for uri in fixed.values() {
            let parsed = Uri::parse(uri).ok();
            let name = parsed.and_then(|parsed| match parsed.host {
                crate::message::Host::Name(name) => Some(name),
                crate::message::Host::V4(_) | crate::message::Host::V6(_) => None,
            });
            let Some(name) = name else { continue };
            if names.len() >= HOSTS_MAX {
                return;
            }
            if names.insert(name) {
                self.look_ahead(now, uri);
            }
        }
    }

    /// Asks for the addresses of a name; [`Endpoint::host_found`] takes what comes of it.
    pub(super) fn ask_host(&mut self, now: Time, name: Arc<str>) {
        let question = question(&name);
        if self.ask(now, question, Seeker::Host(name.clone())) != Sought::Asked {
            self.ask_host_at(now + AGAIN, &name);
        }
    }

    fn ask_host_at(&mut self, at: Time, name: &Arc<str>) {
        let Some(host) = self.hosts.known.get_mut(name) else {
            return;
        };
        let alarm = Alarm::Host(name.clone());
        let timer = self.layer.timers.set(at, "host name of a trunk", alarm);
        if let Some(before) = host.timer.replace(timer) {
            self.layer.timers.cancel(before);
        }
    }

    /// The DNS has answered, or has not.
    pub(super) fn host_found(&mut self, now: Time, name: &Arc<str>) {
        let Some(host) = self.hosts.known.get_mut(name) else {
            return; // no longer configured
        };
        let known = self.hops.known.last(&question(name));
        let until = known.map_or(now + AGAIN, |(until, _)| until.max(now + AGAIN / 2));
        let state = match known.map(|(_, answer)| answer) {
            Some(Answer::Found {
                records: Records::Addresses(addresses),
                ..
            }) => {
                let addresses = addresses.iter().take(ADDRESSES_MAX);
                let set: BTreeSet<IpAddr> = addresses.map(IpAddr::to_canonical).collect();
                host.addresses = set.into_iter().collect();
                host.said = Some(now);
                HostState::Known
            }
            Some(Answer::Nothing { .. }) => {
                host.addresses.clear();
                HostState::Nothing
            }
            Some(Answer::Found { .. } | Answer::Failed) | None => {
                if host.said.is_none_or(|said| said + KEPT_FOR <= now) {
                    host.addresses.clear();
                }
                HostState::Failed
            }
        };
        let told = HostNow {
            name: name.clone(),
            addresses: host.addresses.clone(),
            state,
        };
        if host.told.as_ref() != Some(&told) {
            host.told = Some(told.clone());
            self.layer.out.push_back(Output::Edge(Edge::Host(told)));
        }
        self.ask_host_at(until, name);
    }
}

fn question(name: &Arc<str>) -> Question {
    Question {
        name: name.clone(),
        kind: Kind::Addresses,
    }
}
