//! Browsers at one shared port: ICE-lite finds out whose packets a newcomer's are (RFC 8445), DTLS agrees on keys with it (RFC 5764), and from then on
//! it is a stream like any other.
//!
//! A value that is told what has come and when, and says what to do: no socket, no clock. Nothing is answered but a binding request of who knows a leg's
//! password, and nobody gets at DTLS before that: a forged sender gets no certificate sent to its victim (RFC 5763 section 6.7.1). Absent on purpose:
//! checks of our own, TURN, trickling. Consent (RFC 7675) is the browser's checks: when they stay away, nothing is sent any more.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::clock::Time;
use dimpl::{Config, Dtls, DtlsCertificate, Output, SrtpProfile};
use media::srtp::{Keys, Master, Suite};
use media::{Command, Ice, Port, StreamId};
use ring::hmac;

use crate::dtls::certificate;
use crate::stun;

/// Addresses of one browser that have asked with its password: its interfaces, before and after its network changes. Further ones are not answered.
const ADDRESSES: usize = 8;
/// Without a check of the browser for so long we may not send to it any more (RFC 7675 section 5.1).
const CONSENT: Duration = Duration::from_secs(30);
/// Octets of a record of DTLS that leaves: what every path carries.
const RECORD: usize = 1_400;
/// Outputs of one step that DTLS may have: a whole flight and what comes with it.
const OUTPUTS: usize = 64;

/// All browsers' legs of one media thread.
pub struct Browsers {
    certificate: DtlsCertificate,
    config: Arc<Config>,
    /// The same moment by both clocks: DTLS has no integer for time.
    epoch: (Instant, Time),
    /// By port of the stream, which no packet comes to.
    legs: BTreeMap<u16, Leg>,
    names: HashMap<Box<str>, u16>,
    /// Who has asked with whose password.
    addresses: HashMap<SocketAddr, u16>,
    due: BTreeSet<(Time, u16)>,
    todo: VecDeque<Todo>,
    refused: u64,
}

struct Leg {
    stream: StreamId,
    ice: Ice,
    password: hmac::Key,
    dtls: Option<Dtls>,
    /// Its certificate was the one that the signalling speaks of.
    known: bool,
    addresses: Vec<SocketAddr>,
    path: Option<SocketAddr>,
    /// When it last asked over its path.
    asked: Time,
    due: Option<Time>,
    /// What DTLS wants to be called for, and when.
    retransmits: Option<Time>,
}

/// What the media thread is to do.
pub enum Todo {
    Send { to: SocketAddr, packet: Vec<u8> },
    Tell(Command),
}

/// What a datagram of the shared port was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// A packet for the stream of this port.
    Media(u16),
    /// Nothing that concerns the plane.
    Done,
}

impl Browsers {
    pub fn new(certificate: DtlsCertificate, epoch: (Instant, Time)) -> Result<Self, dimpl::Error> {
        let config = Config::builder()
            .with_crypto_provider(crate::dtls::provider::provider())
            // Who gets here has proved by ICE to be where it says: no cookie needs to.
            .use_server_cookie(false)
            .mtu(RECORD - 200)
            .build()?;
        Ok(Browsers {
            certificate,
            config: Arc::new(config),
            epoch,
            legs: BTreeMap::new(),
            names: HashMap::new(),
            addresses: HashMap::new(),
            due: BTreeSet::new(),
            todo: VecDeque::new(),
            refused: 0,
        })
    }

    /// Whether a port's packets go by the shared socket.
    pub fn has(&self, port: u16) -> bool {
        self.legs.contains_key(&port)
    }

    /// Datagrams that were of no use since the last question.
    pub fn take_refused(&mut self) -> u64 {
        std::mem::take(&mut self.refused)
    }

    /// A leg begins, or begins ICE anew under other credentials; its DTLS goes on where the certificate is the same (RFC 8842 section 5.5).
    pub fn admit(&mut self, now: Time, stream: StreamId, port: Port, ice: &Ice) {
        let number = port.number;
        if let Some(leg) = self.legs.get_mut(&number) {
            self.names.remove(&leg.ice.ufrag);
            if leg.ice.fingerprint != ice.fingerprint {
                (leg.dtls, leg.known) = (None, false);
            }
            leg.password = password(ice);
            leg.ice = ice.clone();
        } else {
            let leg = Leg {
                stream,
                ice: ice.clone(),
                password: password(ice),
                dtls: None,
                known: false,
                addresses: Vec::new(),
                path: None,
                asked: now,
                due: None,
                retransmits: None,
            };
            self.legs.insert(number, leg);
        }
        self.names.insert(ice.ufrag.clone(), number);
    }

    /// A leg is over.
    pub fn close(&mut self, stream: StreamId) {
        let mut legs = self.legs.iter();
        let Some(number) = legs.find_map(|(number, leg)| (leg.stream == stream).then_some(*number))
        else {
            return;
        };
        if let Some(leg) = self.legs.remove(&number) {
            self.names.remove(&leg.ice.ufrag);
            for address in &leg.addresses {
                self.addresses.remove(address);
            }
            if let Some(due) = leg.due {
                self.due.remove(&(due, number));
            }
        }
    }

    /// A datagram has come to the shared port. The first octet says what it is (RFC 7983).
    pub fn receive(&mut self, now: Time, source: SocketAddr, packet: &[u8]) -> Received {
        match packet.first() {
            Some(128..=191) => match self.addresses.get(&source) {
                Some(port) => return Received::Media(*port),
                None => self.refused += 1,
            },
            Some(20..=63) => self.shake_hands(now, source, packet),
            Some(0..=3) => self.check(now, source, packet),
            _ => self.refused += 1,
        }
        Received::Done
    }

    /// A binding request: answered where it knows the password.
    fn check(&mut self, now: Time, source: SocketAddr, packet: &[u8]) {
        let request = stun::read(packet);
        let known = request
            .as_ref()
            .and_then(|request| self.names.get(request.ours));
        let (Some(request), Some(&number)) = (&request, known) else {
            self.refused += 1;
            return;
        };
        let Some(leg) = self.legs.get_mut(&number) else {
            return;
        };
        if !request.is_authentic(&leg.password) {
            self.refused += 1;
            return;
        }
        let newcomer = !leg.addresses.contains(&source);
        if newcomer && leg.addresses.len() >= ADDRESSES {
            self.refused += 1;
            return;
        }
        if newcomer {
            leg.addresses.push(source);
            // An address that was another leg's: the browser has hung up there and its port is used again.
            if let Some(former) = self.addresses.insert(source, number)
                && let Some(former) = self.legs.get_mut(&former)
            {
                former.addresses.retain(|address| *address != source);
            }
        }
        let Some(leg) = self.legs.get_mut(&number) else {
            return;
        };
        let mut answer = [0; stun::MAX_ANSWER];
        let length = request.answer(source, &leg.password, &mut answer);
        self.todo.push_back(Todo::Send {
            to: source,
            packet: answer[..length].to_vec(),
        });
        // The first one will do until it has chosen: some begin DTLS before they have.
        if (request.nominates || leg.path.is_none()) && leg.path != Some(source) {
            leg.path = Some(source);
            self.todo.push_back(Todo::Tell(Command::Path {
                stream: leg.stream,
                remote: Some(source),
            }));
        }
        if leg.path == Some(source) {
            leg.asked = now;
        }
        self.reckon(number);
    }

    /// A record of DTLS, from an address that ICE has validated.
    fn shake_hands(&mut self, now: Time, source: SocketAddr, packet: &[u8]) {
        let number = self.addresses.get(&source).copied();
        let Some((number, leg)) = number.and_then(|n| Some((n, self.legs.get_mut(&n)?))) else {
            self.refused += 1;
            return;
        };
        let at = instant(self.epoch, now);
        let dtls = leg.dtls.get_or_insert_with(|| {
            Dtls::new_auto(self.config.clone(), self.certificate.clone(), at)
        });
        let fault = dtls
            .handle_timeout(at)
            .err()
            .or(dtls.handle_packet(packet).err());
        match fault {
            Some(error) => self.fail(number, &error.to_string()),
            None => self.drain(number, source),
        }
        self.reckon(number);
    }

    /// A handshake that went wrong: the browser may begin anew, or the call ends for want of sound.
    fn fail(&mut self, number: u16, why: &str) {
        tracing::info!(port = number, why, "a browser's DTLS failed");
        self.refused += 1;
        if let Some(leg) = self.legs.get_mut(&number) {
            (leg.dtls, leg.known, leg.retransmits) = (None, false, None);
        }
    }

    /// What DTLS has to say.
    fn drain(&mut self, number: u16, to: SocketAddr) {
        let Some(leg) = self.legs.get_mut(&number) else {
            return;
        };
        let Some(dtls) = &mut leg.dtls else { return };
        let mut buffer = [0; 2 * RECORD];
        let mut fault = None;
        for _ in 0..OUTPUTS {
            match dtls.poll_output(&mut buffer) {
                Output::Packet(packet) => self.todo.push_back(Todo::Send {
                    to,
                    packet: packet.to_vec(),
                }),
                Output::Timeout(at) => {
                    leg.retransmits = Some(time(self.epoch, at));
                    break;
                }
                Output::PeerCert(der) => {
                    leg.known = certificate::fingerprint(der) == leg.ice.fingerprint;
                    if !leg.known {
                        fault = Some("its certificate is not the one of the description");
                        break;
                    }
                }
                Output::KeyingMaterial(material, profile) if leg.known => {
                    match keys(&material, profile) {
                        Some(keys) => self.todo.push_back(Todo::Tell(Command::Secure {
                            stream: leg.stream,
                            keys: Some(Box::new(keys)),
                        })),
                        None => fault = Some("a profile that we do not have"),
                    }
                }
                Output::KeyingMaterial(..) => fault = Some("keys before a certificate"),
                Output::BufferTooSmall { .. } => {
                    fault = Some("a record longer than a datagram");
                    break;
                }
                // It has nothing else to say to us; the end of the call comes by SIP.
                _ => {}
            }
        }
        if let Some(why) = fault {
            self.fail(number, why);
        }
    }

    /// What is due: retransmissions, and consent that was not renewed.
    pub fn handle_timeout(&mut self, now: Time) {
        while let Some((at, number)) = self.due.first().copied()
            && at <= now
        {
            self.due.pop_first();
            let Some(leg) = self.legs.get_mut(&number) else {
                continue;
            };
            leg.due = None;
            if let (Some(path), true) = (leg.path, leg.asked + CONSENT <= now) {
                leg.path = None;
                leg.addresses.retain(|address| *address != path);
                self.addresses.remove(&path);
                self.todo.push_back(Todo::Tell(Command::Path {
                    stream: leg.stream,
                    remote: None,
                }));
            }
            if leg.retransmits.is_some_and(|at| at <= now) {
                leg.retransmits = None;
                self.retransmit(now, number);
            }
            self.reckon(number);
        }
    }

    fn retransmit(&mut self, now: Time, number: u16) {
        let at = instant(self.epoch, now);
        let Some(leg) = self.legs.get_mut(&number) else {
            return;
        };
        let (Some(dtls), Some(path)) = (&mut leg.dtls, leg.path) else {
            return;
        };
        match dtls.handle_timeout(at) {
            Ok(()) => self.drain(number, path),
            Err(error) => self.fail(number, &error.to_string()),
        }
    }

    /// When a leg wants to be looked at next.
    fn reckon(&mut self, number: u16) {
        let Some(leg) = self.legs.get_mut(&number) else {
            return;
        };
        let consent = leg.path.map(|_| leg.asked + CONSENT);
        let next = consent.into_iter().chain(leg.retransmits).min();
        if next != leg.due {
            if let Some(before) = leg.due {
                self.due.remove(&(before, number));
            }
            self.due.extend(next.map(|next| (next, number)));
            leg.due = next;
        }
    }

    pub fn poll_timeout(&self) -> Option<Time> {
        self.due.first().map(|(at, _)| *at)
    }

    pub fn poll_todo(&mut self) -> Option<Todo> {
        self.todo.pop_front()
    }
}

fn password(ice: &Ice) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, ice.password.as_bytes())
}

fn instant(epoch: (Instant, Time), now: Time) -> Instant {
    epoch.0 + (now - epoch.1)
}

fn time(epoch: (Instant, Time), at: Instant) -> Time {
    epoch.1 + at.saturating_duration_since(epoch.0)
}

/// RFC 5764 section 4.2: the client's key, the server's, and their salts in that order. We are the server.
fn keys(material: &[u8], profile: SrtpProfile) -> Option<Keys> {
    let suite = match profile {
        SrtpProfile::AES128_CM_SHA1_80 => Suite::AesCm80,
        SrtpProfile::AEAD_AES_128_GCM => Suite::Gcm128,
        SrtpProfile::AEAD_AES_256_GCM => Suite::Gcm256,
        _ => return None,
    };
    let (theirs, rest) = material.split_at_checked(suite.key())?;
    let (ours, rest) = rest.split_at_checked(suite.key())?;
    let (their_salt, our_salt) = rest.split_at_checked(suite.salt())?;
    Some(Keys {
        suite,
        ours: Master::new(&[ours, our_salt].concat()),
        theirs: Master::new(&[theirs, their_salt].concat()),
    })
}

#[cfg(test)]
#[path = "browsers_tests.rs"]
mod tests;
