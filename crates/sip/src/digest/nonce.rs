//! Nonces that need no memory until they are used, and the memory of their use.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use clock::Time;
use sha2::{Digest as _, Sha256};

use super::{hex, same};
use crate::source::subscriber;

/// Most nonces whose counts are remembered. At the bound the ones that expire first are forgotten, and a forgotten nonce
/// is stale from then on, so that forgetting never opens a replay.
pub const MAX_NONCES: usize = 65_536;

/// Hex digits of a nonce's time and serial number.
const STAMP_DIGITS: usize = 32;
/// Bytes of the keyed hash that are shown; 16 are 128 bits.
const MAC_BYTES: usize = 16;

/// What a nonce is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonceVerdict {
    /// Ours, in time, and this count is new.
    Fresh,
    /// Ours, but too old (or forgotten): challenge again with `stale=true`.
    Stale,
    /// Ours, but this count was there before.
    Replayed,
    /// Not ours, or made for somebody else's address: who brings it has not heard our challenge.
    Foreign,
}

/// Makes nonces and judges them. A nonce is its time, a serial number, and a keyed hash of both and of the address it is sent to: nothing is
/// remembered for a challenge that is never answered. For a nonce that is used, the highest `nc` is remembered until it expires.
#[derive(Debug)]
pub struct NonceBook {
    secret: [u8; 32],
    lifetime: Duration,
    capacity: usize,
    serial: u64,
    /// Highest count seen, in the order of the nonces' making.
    counts: BTreeMap<Stamp, u32>,
    /// Nonces made before this are stale whatever their age, since their counts may be forgotten.
    forgotten: Option<Stamp>,
}

/// When a nonce was made, and which of that moment: unique in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Stamp {
    made: Time,
    serial: u64,
}

impl NonceBook {
    /// A book with a secret that must be random and of this run: after a restart all old nonces are foreign.
    pub fn new(secret: [u8; 32], lifetime: Duration) -> Self {
        NonceBook::with_capacity(secret, lifetime, MAX_NONCES)
    }

    /// As [`NonceBook::new`], remembering at most `capacity` used nonces (at least one).
    pub fn with_capacity(secret: [u8; 32], lifetime: Duration, capacity: usize) -> Self {
        NonceBook {
            secret,
            lifetime,
            capacity: capacity.max(1),
            serial: 0,
            counts: BTreeMap::new(),
            forgotten: None,
        }
    }

    /// A changed configuration; counts stay.
    pub fn set_lifetime(&mut self, lifetime: Duration) {
        self.lifetime = lifetime;
    }

    /// A new nonce for this address, unique in this run.
    pub fn issue(&mut self, now: Time, source: IpAddr) -> String {
        self.serial += 1;
        let stamp = Stamp {
            made: now,
            serial: self.serial,
        };
        let mut nonce = stamp.to_string();
        nonce.push_str(&self.mac(&nonce, source));
        nonce
    }

    /// Judges a nonce without counting its use: is a password worth checking at all?
    pub fn peek(&self, nonce: &str, nc: u32, now: Time, source: IpAddr) -> NonceVerdict {
        match self.open(nonce, source) {
            None => NonceVerdict::Foreign,
            Some(stamp) => self.judge(stamp, nc, now),
        }
    }

    /// Judges a nonce and remembers the count when it is fresh. Call it only when the response has been verified: else
    /// a stranger could use up someone's counts.
    pub fn redeem(&mut self, nonce: &str, nc: u32, now: Time, source: IpAddr) -> NonceVerdict {
        let Some(stamp) = self.open(nonce, source) else {
            return NonceVerdict::Foreign;
        };
        let verdict = self.judge(stamp, nc, now);
        if verdict == NonceVerdict::Fresh {
            self.make_room(stamp, now);
            self.counts.insert(stamp, nc);
        }
        verdict
    }

    /// How many used nonces are remembered.
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// True when none is remembered.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    fn judge(&self, stamp: Stamp, nc: u32, now: Time) -> NonceVerdict {
        if stamp.made > now || now.since(stamp.made) > self.lifetime {
            return NonceVerdict::Stale;
        }
        match self.counts.get(&stamp) {
            Some(highest) if nc <= *highest => NonceVerdict::Replayed,
            Some(_) => NonceVerdict::Fresh,
            None if self.forgotten.is_some_and(|limit| stamp <= limit) => NonceVerdict::Stale,
            // RFC 7616 section 3.4: the first request counts 1.
            None if nc == 0 => NonceVerdict::Replayed,
            None => NonceVerdict::Fresh,
        }
    }

    /// Forgets what has expired, and the oldest when there is still no room. Amortised constant: each entry goes once.
    fn make_room(&mut self, stamp: Stamp, now: Time) {
        while let Some((&oldest, _)) = self.counts.first_key_value() {
            let expired = now.since(oldest.made) > self.lifetime;
            let full = self.counts.len() >= self.capacity && !self.counts.contains_key(&stamp);
            if !expired && !full {
                break;
            }
            self.counts.remove(&oldest);
            self.forgotten = self.forgotten.max(Some(oldest));
        }
    }

    /// The stamp of a nonce that we made for this address.
    fn open(&self, nonce: &str, source: IpAddr) -> Option<Stamp> {
        let (stamp, mac) = (nonce.get(..STAMP_DIGITS)?, nonce.get(STAMP_DIGITS..)?);
        if !same(mac, &self.mac(stamp, source)) {
            return None;
        }
        let made = u64::from_str_radix(stamp.get(..16)?, 16).ok()?;
        let serial = u64::from_str_radix(stamp.get(16..)?, 16).ok()?;
        Some(Stamp {
            made: Time::from_nanos(made),
            serial,
        })
    }

    /// HMAC-SHA-256 (RFC 2104) of the stamp and the address, cut to 128 bits.
    fn mac(&self, text: &str, source: IpAddr) -> String {
        const BLOCK: usize = 64;
        let pad = |byte: u8| {
            let mut block = [byte; BLOCK];
            for (slot, key) in block.iter_mut().zip(self.secret) {
                *slot ^= key;
            }
            block
        };
        let inner = Sha256::new()
            .chain_update(pad(0x36))
            .chain_update(text.as_bytes())
            .chain_update(bits_of(source))
            .finalize();
        let outer = Sha256::new()
            .chain_update(pad(0x5c))
            .chain_update(inner)
            .finalize();
        hex(&outer[..MAC_BYTES])
    }
}

/// One subscriber's phone may take another address of its network between challenge and answer.
fn bits_of(source: IpAddr) -> [u8; 16] {
    match subscriber(source) {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(network) => network.octets(),
    }
}

impl std::fmt::Display for Stamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}{:016x}", self.made.as_nanos(), self.serial)
    }
}
