//! The SIP messages of every call, kept for those who ask what was on the wire.
//!
//! A message belongs to the leg whose Call-ID it carries; what is of no leg (REGISTER, OPTIONS, strangers) is not kept, so that no
//! flood pushes a call's ladder out. On its way a message costs a hash of its Call-ID and a shared reference; it is read only when somebody asks.
//! A call's messages stay after its end, until newer calls need the room: the call that began first is forgotten first, whole.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use clock::Time;
use memchr::memmem::Finder;
use sip::LegId;
use sip::message::Message;

use crate::api::Captured;

/// Octets kept, of all calls together: some 1,500 bridged calls. Part of the budget for the whole process at rest.
const OCTETS_MAX: usize = 16 << 20;
/// What a small message keeps busy: the buffers that messages are written into are of this size.
const OCTETS_LEAST: usize = 1_024;
/// Messages kept of one leg: a call that is put on hold for a whole day must not push all others out. Its first ones are kept.
const MESSAGES_PER_LEG_MAX: usize = 256;
/// Messages of one step whose leg is not known yet: an INVITE and the 100 go before the call is told of.
const STRAYS_MAX: usize = 8;

/// A message of a contact's ladder.
#[derive(Clone, Debug, PartialEq)]
pub struct LadderMessage {
    pub at: Time,
    pub outbound: bool,
    pub peer: sip::Peer,
    pub leg: LegId,
    /// Whose leg it is: an agent, or `caller`.
    pub party: Arc<str>,
    /// The leg called us.
    pub inbound_leg: bool,
    /// The same bytes have gone the same way before.
    pub again: bool,
    pub bytes: Bytes,
}

impl LadderMessage {
    /// The first line.
    pub fn start_line(&self) -> String {
        let end = self.bytes.iter().position(|&byte| byte == b'\r');
        String::from_utf8_lossy(&self.bytes[..end.unwrap_or(self.bytes.len())]).into_owned()
    }

    /// Method of the transaction, and status if it is a response.
    pub fn kind(&self) -> (String, Option<u16>) {
        match Message::parse(self.bytes.clone()) {
            Ok(message) => {
                let method = message.cseq().map(|(_, method)| method.to_string());
                (method.unwrap_or_default(), message.status())
            }
            Err(_) => (String::new(), None),
        }
    }

    /// One line for people: the start line, whether there is SDP, whether it came again.
    pub fn summary(&self) -> String {
        let mut text = self.start_line();
        if let Ok(message) = Message::parse(self.bytes.clone()) {
            if message.status().is_some()
                && let Ok((_, method)) = message.cseq()
            {
                text.push_str(&format!(" ({method})"));
            }
            if message.is_content("application/sdp") && !message.body().is_empty() {
                text.push_str(" +sdp");
            }
        }
        if self.again {
            text.push_str(" (again)");
        }
        text
    }

    /// The whole message, credentials masked.
    pub fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let mut out = String::with_capacity(text.len());
        let mut secret = false;
        for line in head.split("\r\n") {
            if line.starts_with([' ', '\t']) {
                if !secret {
                    out.push_str(line);
                    out.push_str("\r\n");
                }
                continue;
            }
            let name = line.split(':').next().unwrap_or_default().trim_end();
            secret = ["Authorization", "Proxy-Authorization"]
                .iter()
                .any(|header| name.eq_ignore_ascii_case(header));
            out.push_str(if secret { name } else { line });
            out.push_str(if secret { ": (masked)\r\n" } else { "\r\n" });
        }
        out.push_str("\r\n");
        out.push_str(body);
        out
    }
}

#[derive(Clone, Debug)]
struct Wire {
    /// In the order of all messages: many pass at one moment.
    number: u64,
    at: Time,
    outbound: bool,
    peer: sip::Peer,
    bytes: Bytes,
}

impl Wire {
    fn octets(&self) -> usize {
        self.bytes.len().max(OCTETS_LEAST)
    }
}

/// The messages of one leg.
#[derive(Debug)]
struct Call {
    /// Its Call-IDs: one, or one for each way that was tried.
    keys: Vec<u64>,
    party: Arc<str>,
    inbound: bool,
    /// Known here when the leg has left its contact; until then the leg knows.
    contact: Option<acd::ContactId>,
    wires: Vec<Wire>,
}

/// All legs' messages.
#[derive(Debug, Default)]
pub(crate) struct Ladders {
    legs: HashMap<u64, LegId>,
    calls: BTreeMap<LegId, Call>,
    octets: usize,
    passed: u64,
    strays: VecDeque<(u64, Wire)>,
    /// Every message of this step, when they are to be told.
    captured: Option<Vec<(u64, Wire)>>,
}

/// A Call-ID as a key. Not secret: two calls that share one would share a ladder, and nothing else.
fn key(call_id: &[u8]) -> u64 {
    let mut hash = DefaultHasher::new();
    call_id.hash(&mut hash);
    hash.finish()
}

/// Call-ID of a message that we have written: its name is written one way only.
fn call_id_of(bytes: &[u8]) -> Option<&[u8]> {
    static NAME: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\r\nCall-ID: "));
    let start = NAME.find(bytes)? + NAME.needle().len();
    let length = memchr::memchr(b'\r', &bytes[start..])?;
    Some(&bytes[start..start + length])
}

/// The keys of a call's media are kept nowhere but with its streams, and told to no collector.
fn without_keys(bytes: Bytes) -> Bytes {
    sip::sdes::masked(&bytes).map_or(bytes, Bytes::from)
}

impl Ladders {
    pub(crate) fn received(&mut self, at: Time, peer: sip::Peer, message: &Message) {
        let wire = Wire {
            number: self.next(),
            at,
            outbound: false,
            peer,
            bytes: without_keys(message.raw()),
        };
        self.pass(key(message.call_id().as_bytes()), wire);
    }

    pub(crate) fn sent(&mut self, at: Time, peer: sip::Peer, bytes: &Bytes) {
        let Some(call_id) = call_id_of(bytes) else {
            return;
        };
        let wire = Wire {
            number: self.next(),
            at,
            outbound: true,
            peer,
            bytes: without_keys(bytes.clone()),
        };
        self.pass(key(call_id), wire);
    }

    fn next(&mut self) -> u64 {
        self.passed += 1;
        self.passed
    }

    fn pass(&mut self, key: u64, wire: Wire) {
        if let Some(captured) = &mut self.captured {
            captured.push((key, wire.clone()));
        }
        match self.legs.get(&key) {
            Some(&leg) => self.keep(leg, wire),
            None if self.strays.len() < STRAYS_MAX => self.strays.push_back((key, wire)),
            None => {}
        }
    }

    fn keep(&mut self, leg: LegId, wire: Wire) {
        let Some(call) = self.calls.get_mut(&leg) else {
            return;
        };
        if call.wires.len() >= MESSAGES_PER_LEG_MAX {
            return;
        }
        self.octets += wire.octets();
        call.wires.push(wire);
        while self.octets > OCTETS_MAX
            && let Some((&oldest, _)) = self.calls.first_key_value()
        {
            self.forget(oldest);
        }
    }

    /// A leg's first message is here or about to be: what has passed of it in this step is its. A call with several ways begins several times.
    pub(crate) fn begins(&mut self, leg: LegId, call_id: &str, party: Arc<str>, inbound: bool) {
        let key = key(call_id.as_bytes());
        self.legs.insert(key, leg);
        let call = self.calls.entry(leg).or_insert_with(|| Call {
            keys: Vec::with_capacity(1),
            party,
            inbound,
            contact: None,
            wires: Vec::new(),
        });
        call.keys.push(key);
        let strays = std::mem::take(&mut self.strays);
        for (of, wire) in strays {
            if of == key {
                self.keep(leg, wire);
            }
        }
    }

    /// Whether messages are to be told as well as kept: said once, at the start.
    pub(crate) fn capture(&mut self, wanted: bool) {
        self.captured = wanted.then(Vec::new);
    }

    /// What passed in this step, each with the contact of its leg.
    pub(crate) fn captured(
        &mut self,
        present: impl Fn(LegId) -> Option<acd::ContactId>,
    ) -> Vec<(Captured, Option<acd::ContactId>)> {
        let captured = self.captured.as_mut().map(std::mem::take);
        let told = captured.unwrap_or_default().into_iter().map(|(key, wire)| {
            let leg = self.legs.get(&key).copied();
            let left = leg.and_then(|leg| self.calls.get(&leg)?.contact);
            let contact = leg.and_then(&present).or(left);
            let captured = Captured {
                at: wire.at,
                outbound: wire.outbound,
                peer: wire.peer,
                bytes: wire.bytes,
                contact: None,
            };
            (captured, contact)
        });
        told.collect()
    }

    /// The step is over: what belongs to no leg now never will.
    pub(crate) fn step_over(&mut self) {
        self.strays.clear();
    }

    /// A leg leaves its contact, but may still have something to say.
    pub(crate) fn leaves(&mut self, leg: LegId, contact: acd::ContactId) {
        if let Some(call) = self.calls.get_mut(&leg) {
            call.contact = Some(contact);
        }
    }

    /// A leg is gone. What never was part of a contact is not asked for.
    pub(crate) fn gone(&mut self, leg: LegId) {
        if self
            .calls
            .get(&leg)
            .is_some_and(|call| call.contact.is_none())
        {
            self.forget(leg);
        }
    }

    fn forget(&mut self, leg: LegId) {
        if let Some(call) = self.calls.remove(&leg) {
            self.octets -= call.wires.iter().map(Wire::octets).sum::<usize>();
            // A Call-ID that was used again is the newer leg's.
            for key in call.keys {
                if self.legs.get(&key) == Some(&leg) {
                    self.legs.remove(&key);
                }
            }
        }
    }

    /// Everything that was on the wire for a contact, in its order. `present` says which contact a leg belongs to now.
    pub(crate) fn of(
        &self,
        contact: acd::ContactId,
        present: impl Fn(LegId) -> Option<acd::ContactId>,
    ) -> Vec<LadderMessage> {
        let mut messages = Vec::new();
        for (&leg, call) in &self.calls {
            if present(leg).or(call.contact) != Some(contact) {
                continue;
            }
            for (n, wire) in call.wires.iter().enumerate() {
                let again = call.wires[..n].iter().any(|earlier| {
                    earlier.outbound == wire.outbound && earlier.bytes == wire.bytes
                });
                messages.push((
                    wire.number,
                    LadderMessage {
                        at: wire.at,
                        outbound: wire.outbound,
                        peer: wire.peer,
                        leg,
                        party: call.party.clone(),
                        inbound_leg: call.inbound,
                        again,
                        bytes: wire.bytes.clone(),
                    },
                ));
            }
        }
        messages.sort_by_key(|(number, _)| *number);
        messages.into_iter().map(|(_, message)| message).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer() -> sip::Peer {
        sip::Peer {
            transport: sip::Transport::Udp,
            remote: std::net::SocketAddr::from(([127, 0, 0, 1], 5060)),
            flow: None,
        }
    }

    fn options(call_id: usize, cseq: usize, more: &str) -> Bytes {
        Bytes::from(format!(
            "OPTIONS sip:h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: {call_id}\r\nCSeq: {cseq} OPTIONS\r\n{more}Content-Length: 0\r\n\r\n"
        ))
    }

    fn begin(ladders: &mut Ladders, number: usize) -> LegId {
        let leg = LegId(number as u64);
        ladders.begins(leg, &number.to_string(), "caller".into(), true);
        leg
    }

    const CONTACT: acd::ContactId = acd::ContactId(7);

    #[test]
    fn what_is_of_no_leg_pushes_nothing_out() {
        let mut ladders = Ladders::default();
        let leg = begin(&mut ladders, 1);
        ladders.sent(Time::ZERO, peer(), &options(1, 1, ""));
        for number in 0..100_000 {
            ladders.sent(Time::ZERO, peer(), &options(1_000 + number, 1, ""));
            ladders.step_over();
        }
        assert_eq!(ladders.of(CONTACT, |_| Some(CONTACT)).len(), 1);
        ladders.leaves(leg, CONTACT);
        ladders.gone(leg);
        assert_eq!(ladders.of(CONTACT, |_| None).len(), 1);
        assert_eq!((ladders.legs.len(), ladders.calls.len()), (1, 1));
    }

    #[test]
    fn octets_are_bounded_and_the_oldest_go_first() {
        let mut ladders = Ladders::default();
        for number in 0..40_000 {
            let leg = begin(&mut ladders, number);
            ladders.sent(Time::ZERO, peer(), &options(number, 1, ""));
            // Every other call goes on for ever.
            if number % 2 == 0 {
                ladders.leaves(leg, acd::ContactId(number as u64));
                ladders.gone(leg);
            }
            assert!(ladders.octets <= OCTETS_MAX);
        }
        let kept = OCTETS_MAX / OCTETS_LEAST;
        assert_eq!((ladders.calls.len(), ladders.legs.len()), (kept, kept));
        assert_eq!(ladders.of(acd::ContactId(2), |_| None).len(), 0);
        assert_eq!(ladders.of(acd::ContactId(39_998), |_| None).len(), 1);
        ladders.sent(Time::ZERO, peer(), &options(1, 2, ""));
        assert_eq!((ladders.calls.len(), ladders.legs.len()), (kept, kept));
    }

    #[test]
    fn one_leg_is_bounded() {
        let mut ladders = Ladders::default();
        begin(&mut ladders, 1);
        for cseq in 0..1_000 {
            ladders.sent(Time::ZERO, peer(), &options(1, cseq, ""));
        }
        let messages = ladders.of(CONTACT, |_| Some(CONTACT));
        assert_eq!(messages.len(), MESSAGES_PER_LEG_MAX);
    }

    #[test]
    fn a_call_id_that_comes_again_is_the_newer_legs() {
        let mut ladders = Ladders::default();
        begin(&mut ladders, 1);
        ladders.sent(Time::ZERO, peer(), &options(1, 1, ""));
        ladders.begins(LegId(2), "1", "caller".into(), true);
        ladders.gone(LegId(1));
        ladders.sent(Time::ZERO, peer(), &options(1, 2, ""));
        assert_eq!(
            ladders
                .of(CONTACT, |leg| (leg == LegId(2)).then_some(CONTACT))
                .len(),
            1
        );
    }

    #[test]
    fn credentials_are_masked_and_repetitions_marked() {
        let mut ladders = Ladders::default();
        begin(&mut ladders, 1);
        let secret = "authorization : Digest username=\"1001\",\r\n response=\"0123\"\r\nProxy-Authorization: Basic eA==\r\nX: 1\r\n";
        for _ in 0..2 {
            ladders.sent(Time::ZERO, peer(), &options(1, 1, secret));
        }
        let messages = ladders.of(CONTACT, |_| Some(CONTACT));
        let [first, second] = &messages[..] else {
            panic!("two messages: {messages:?}")
        };
        let text = first.text();
        assert!(!text.contains("0123") && !text.contains("eA=="), "{text}");
        assert!(
            text.contains("authorization: (masked)\r\nProxy-Authorization: (masked)\r\nX: 1\r\n"),
            "{text}"
        );
        assert_eq!(first.summary(), "OPTIONS sip:h SIP/2.0");
        assert_eq!(second.summary(), "OPTIONS sip:h SIP/2.0 (again)");
        assert_eq!(first.kind(), ("OPTIONS".to_owned(), None));
    }
}
