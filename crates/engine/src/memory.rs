//! What is kept for those who ask "why?" and "what was on the wire?": bounded rings, formatted only when somebody asks.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use clock::Time;

/// SIP messages kept for ladders, of all contacts together (about 5 MB).
const MESSAGES_MAX: usize = 8_192;
/// So much of a message is kept: its head tells the story.
const MESSAGE_OCTETS_MAX: usize = 2_048;
/// Contacts whose decisions are kept.
const DECIDED_MAX: usize = 4_096;
/// Decisions kept of one contact.
const DECISIONS_PER_CONTACT_MAX: usize = 16;

/// One message on the wire.
#[derive(Debug)]
struct Wire {
    at: Time,
    outbound: bool,
    peer: sip::Peer,
    bytes: Bytes,
}

type Decided = (Time, Arc<str>, acd::Decision);

/// The rings.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    wire: VecDeque<Wire>,
    decisions: HashMap<acd::ContactId, Vec<Decided>>,
    decided: VecDeque<acd::ContactId>,
}

impl Memory {
    pub(crate) fn received(&mut self, at: Time, input: &sip::Input) {
        if let sip::Input::Message { peer, message } = input {
            self.keep(Wire {
                at,
                outbound: false,
                peer: *peer,
                bytes: message.raw(),
            });
        }
    }

    pub(crate) fn sent(&mut self, at: Time, peer: sip::Peer, bytes: &Bytes) {
        self.keep(Wire {
            at,
            outbound: true,
            peer,
            bytes: bytes.clone(),
        });
    }

    fn keep(&mut self, mut wire: Wire) {
        if wire.bytes.len() > MESSAGE_OCTETS_MAX {
            wire.bytes = Bytes::copy_from_slice(&wire.bytes[..MESSAGE_OCTETS_MAX]);
        }
        if self.wire.len() >= MESSAGES_MAX {
            self.wire.pop_front();
        }
        self.wire.push_back(wire);
    }

    pub(crate) fn decided(
        &mut self,
        at: Time,
        contact: acd::ContactId,
        queue: &Arc<str>,
        decision: &acd::Decision,
    ) {
        let of_contact = self.decisions.entry(contact).or_insert_with(|| {
            self.decided.push_back(contact);
            Vec::new()
        });
        if of_contact.len() >= DECISIONS_PER_CONTACT_MAX {
            of_contact.remove(0);
        }
        of_contact.push((at, queue.clone(), decision.clone()));
        if self.decided.len() > DECIDED_MAX
            && let Some(oldest) = self.decided.pop_front()
        {
            self.decisions.remove(&oldest);
        }
    }

    pub(crate) fn why(&self, contact: acd::ContactId) -> Option<Vec<Decided>> {
        self.decisions.get(&contact).cloned()
    }

    /// The messages of all dialogs that belong to a contact, one line each: time, direction, peer, start line, Call-ID.
    /// Outgoing legs are known by the `X-Cordboard-Contact` header of their INVITE, incoming ones by `call_ids`, or by our answer's header.
    pub(crate) fn ladder(&self, contact: &str) -> Vec<String> {
        let marks =
            |text: &str| header(text, "X-Cordboard-Contact").is_some_and(|value| value == contact);
        let texts: Vec<(&Wire, std::borrow::Cow<'_, str>)> = self
            .wire
            .iter()
            .map(|wire| (wire, String::from_utf8_lossy(&wire.bytes)))
            .collect();
        let call_ids: std::collections::BTreeSet<&str> = texts
            .iter()
            .filter(|(_, text)| marks(text))
            .filter_map(|(_, text)| header(text, "Call-ID").or_else(|| header(text, "i")))
            .collect();
        texts
            .iter()
            .filter_map(|(wire, text)| {
                let call_id = header(text, "Call-ID").or_else(|| header(text, "i"))?;
                let arrow = if wire.outbound { "->" } else { "<-" };
                call_ids.contains(call_id).then(|| {
                    let start_line = text.lines().next().unwrap_or_default();
                    format!(
                        "{:.3} {arrow} {:?} {} {start_line} [{call_id}]",
                        wire.at.as_secs_f64(),
                        wire.peer.transport,
                        wire.peer.remote
                    )
                })
            })
            .collect()
    }
}

/// A header's value in a message's text: enough for showing, not for processing.
fn header<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .skip(1)
        .take_while(|line| !line.is_empty())
        .find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found
                .trim_end()
                .eq_ignore_ascii_case(name)
                .then(|| value.trim())
        })
}
