//! Who can be reached where: the location table of RFC 3261 section 10.3.
//!
//! A binding remembers the peer that its REGISTER came from, so that phones behind NAT and on streams are reached
//! the way they came (RFC 5626's idea without its option tags).
//!
//! Absent on purpose: messages, authentication and timers. The endpoint has read and judged the request,
//! and asks [`Registrar::expire`] when [`Registrar::next_expiry`] is due.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use clock::Time;

use crate::api::{Config, FlowId, Peer, Transport};
use crate::message::Uri;

/// One address of one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The Contact URI as it was sent: the Request-URI of calls to it.
    pub uri: String,
    /// Preference in thousandths, 0–1000.
    pub q: u16,
    pub expires: Time,
    pub call_id: String,
    pub cseq: u32,
    /// Where the REGISTER came from.
    pub peer: Peer,
    /// Path of RFC 3327, nearest proxy first: the route of calls to it.
    pub path: Vec<String>,
    /// When it was last refreshed; the most recent of equals wins.
    pub updated: u64,
    /// The phone itself, wherever it is (RFC 5626 `+sip.instance`), and which of its connections.
    pub instance: Option<String>,
    pub reg_id: Option<u32>,
}

impl Binding {
    /// Whether the phone can be reached without the connection that its REGISTER came on.
    pub fn survives(&self) -> bool {
        match self.peer.transport {
            Transport::Udp => true,
            Transport::Ws | Transport::Wss => false,
            Transport::Tcp | Transport::Tls => {
                !self.path.is_empty()
                    || Uri::parse(&self.uri)
                        .ok()
                        .and_then(|uri| uri.host.ip())
                        .is_some_and(|ip| ip.to_canonical() == self.peer.remote.ip().to_canonical())
            }
        }
    }
}

/// One Contact of a REGISTER.
#[derive(Clone, Debug)]
pub struct Wish {
    pub uri: String,
    pub q: u16,
    /// Its own `expires` in seconds; else the message's.
    pub expires: Option<u32>,
    pub instance: Option<String>,
    pub reg_id: Option<u32>,
}

/// What a REGISTER asks for, read and authenticated.
#[derive(Clone, Debug)]
pub struct Register {
    pub call_id: String,
    pub cseq: u32,
    pub peer: Peer,
    pub path: Vec<String>,
    pub wishes: Wishes,
    /// The Expires header in seconds.
    pub expires: Option<u32>,
}

/// The Contacts of a REGISTER.
#[derive(Clone, Debug)]
pub enum Wishes {
    /// None: only wants to know.
    Fetch,
    /// `Contact: *` with `Expires: 0`.
    RemoveAll,
    Set(Vec<Wish>),
}

/// Why a REGISTER was refused; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 423 with this Min-Expires in seconds.
    TooBrief(u64),
    /// A CSeq not above the last one of its Call-ID: 500.
    OutOfOrder,
    /// More Contacts than a user may have: 403.
    TooMany,
}

/// What a REGISTER did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Only asked.
    None,
    /// The same addresses as before: a sign of life of a phone that calls may have failed to reach.
    Refreshed,
    /// An address came or went.
    Bindings,
}

/// The table.
#[derive(Debug, Default)]
pub struct Registrar {
    users: BTreeMap<Arc<str>, Vec<Binding>>,
    updates: u64,
}

impl Registrar {
    /// All live bindings with their users, in the users' order: what must survive a restart.
    pub fn bindings(&self) -> impl Iterator<Item = (&Arc<str>, &Binding)> {
        self.users
            .iter()
            .flat_map(|(user, bindings)| bindings.iter().map(move |binding| (user, binding)))
    }

    /// How many users have bindings.
    pub fn users(&self) -> usize {
        self.users.len()
    }

    /// The first of these users who has bindings.
    pub fn user_in(&self, range: (Bound<Arc<str>>, Bound<Arc<str>>)) -> Option<&Arc<str>> {
        self.users.range(range).next().map(|(user, _)| user)
    }

    /// The bindings of one user.
    pub fn of(&self, user: &str) -> &[Binding] {
        self.users.get(user).map_or(&[], Vec::as_slice)
    }

    /// The binding to call: highest q, most recent first.
    pub fn best(&self, user: &str) -> Option<&Binding> {
        self.of(user)
            .iter()
            .max_by_key(|binding| (binding.q, binding.updated))
    }

    /// The addresses in the order in which they are called: the highest q first, those of the same q together, most recent first.
    pub fn ranks(&self, user: &str) -> Vec<Vec<&Binding>> {
        let mut all: Vec<&Binding> = self.of(user).iter().collect();
        all.sort_by_key(|binding| std::cmp::Reverse((binding.q, binding.updated)));
        all.chunk_by(|one, other| one.q == other.q)
            .map(<[&Binding]>::to_vec)
            .collect()
    }

    /// When the user's next binding runs out.
    pub fn next_expiry(&self, user: &str) -> Option<Time> {
        self.of(user).iter().map(|binding| binding.expires).min()
    }

    /// Puts a binding back that was kept over a restart; the connection it came on did not survive that.
    pub fn restore(&mut self, user: Arc<str>, mut binding: Binding) {
        binding.peer.flow = None;
        self.updates = self.updates.max(binding.updated);
        self.users.entry(user).or_default().push(binding);
    }

    /// Does what a REGISTER asks, all of it or nothing (section 10.3, steps 6 and 7).
    pub fn register(
        &mut self,
        now: Time,
        user: &Arc<str>,
        register: Register,
        config: &Config,
    ) -> Result<Change, Refusal> {
        let before = self.of(user);
        let old = |binding: &Binding| {
            binding.call_id == register.call_id && register.cseq <= binding.cseq
        };
        let after = match &register.wishes {
            Wishes::Fetch => return Ok(Change::None),
            Wishes::RemoveAll => {
                if before.iter().any(old) {
                    return Err(Refusal::OutOfOrder);
                }
                Vec::new()
            }
            Wishes::Set(wishes) => {
                if wishes.len() > config.max_bindings_per_user {
                    return Err(Refusal::TooMany);
                }
                let mut after = before.to_vec();
                for wish in wishes {
                    self.updates += 1;
                    apply(&mut after, now, wish, &register, config, self.updates)?;
                }
                // A phone that restarts often leaves its old ports behind: the longest unheard of makes room.
                while after.len() > config.max_bindings_per_user {
                    let oldest = (0..after.len())
                        .min_by_key(|&n| after[n].updated)
                        .unwrap_or(0);
                    after.remove(oldest);
                }
                after
            }
        };
        let change = if same_addresses(self.of(user), &after) {
            Change::Refreshed
        } else {
            Change::Bindings
        };
        if after.is_empty() {
            self.users.remove(user);
        } else {
            self.users.insert(user.clone(), after);
        }
        Ok(change)
    }

    /// Forgets what has run out; true if something has.
    pub fn expire(&mut self, now: Time, user: &str) -> bool {
        self.retain(user, |binding| binding.expires > now)
    }

    /// A connection is gone and the bindings on it are too: the users that lost one.
    pub fn flow_closed(&mut self, flow: FlowId) -> Vec<Arc<str>> {
        let on_it = |binding: &Binding| binding.peer.flow == Some(flow);
        let users: Vec<_> = self
            .users
            .iter()
            .filter(|(_, all)| all.iter().any(on_it))
            .map(|(user, _)| user.clone())
            .collect();
        for user in &users {
            self.retain(user, |binding| !on_it(binding));
        }
        users
    }

    fn retain(&mut self, user: &str, keep: impl Fn(&Binding) -> bool) -> bool {
        let Some(bindings) = self.users.get_mut(user) else {
            return false;
        };
        let before = bindings.len();
        bindings.retain(keep);
        let lost = bindings.len() < before;
        if bindings.is_empty() {
            self.users.remove(user);
        }
        lost
    }
}

fn apply(
    bindings: &mut Vec<Binding>,
    now: Time,
    wish: &Wish,
    register: &Register,
    config: &Config,
    updated: u64,
) -> Result<(), Refusal> {
    let same_phone = |binding: &Binding| {
        wish.instance.is_some()
            && binding.instance == wish.instance
            && binding.reg_id == wish.reg_id
    };
    let known = bindings
        .iter()
        .position(|binding| same_address(&binding.uri, &wish.uri) || same_phone(binding));
    if let Some(n) = known
        && bindings[n].call_id == register.call_id
        && register.cseq <= bindings[n].cseq
    {
        return Err(Refusal::OutOfOrder);
    }
    let asked = wish
        .expires
        .or(register.expires)
        .map(|seconds| Duration::from_secs(seconds.into()));
    if asked == Some(Duration::ZERO) {
        if let Some(n) = known {
            bindings.remove(n);
        }
        return Ok(());
    }
    if asked.is_some_and(|asked| asked < config.expires_min) {
        return Err(Refusal::TooBrief(config.expires_min.as_secs()));
    }
    let binding = Binding {
        uri: wish.uri.clone(),
        q: wish.q,
        expires: now + asked.unwrap_or(config.expires_max).min(config.expires_max),
        call_id: register.call_id.clone(),
        cseq: register.cseq,
        peer: register.peer,
        path: register.path.clone(),
        updated,
        instance: wish.instance.clone(),
        reg_id: wish.reg_id,
    };
    match known {
        Some(n) => bindings[n] = binding,
        None => bindings.push(binding),
    }
    Ok(())
}

fn same_addresses(a: &[Binding], b: &[Binding]) -> bool {
    a.len() == b.len()
        && a.iter()
            .zip(b)
            .all(|(a, b)| a.uri == b.uri && a.peer == b.peer)
}

/// Whether two Contact URIs mean one phone (section 19.1.4).
fn same_address(a: &str, b: &str) -> bool {
    match (Uri::parse(a), Uri::parse(b)) {
        (Ok(left), Ok(right)) => left.equivalent(&right),
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refreshing_phones_are_known_again_and_others_are_not() {
        assert!(same_address(
            "sip:1001@10.0.0.1:5060;ob",
            "SIP:1001@10.0.0.1:5060;x=1"
        ));
        assert!(same_address("sip:a@Host.Example", "SIP:a@host.example"));
        assert!(!same_address(
            "sip:1001@10.0.0.1:5060",
            "sip:1001@10.0.0.1:5061"
        ));
        assert!(!same_address("sip:A@h", "sip:a@h"));
        assert!(!same_address("sip:a@h;transport=tcp", "sip:a@h"));
    }
}
