//! What the edge may answer by itself when the engine is behind: cheap, and without any state (RFC 3261 section 8.2.7).

use std::hash::{DefaultHasher, Hasher};

use bytes::Bytes;

use super::keys::hex;
use crate::api::Peer;
use crate::message::{Builder, HeaderName, Message, Method};

/// Ends the To tag of a refusal by the edge, so that its ACK need not go any further.
const EDGE: &str = "-edge";

/// What a message is worth when not everything can be served (RFC 5390 requirement 13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// It belongs to what is in progress, or is a response: never refused.
    Dialog,
    /// It begins something that many others need: an agent's phone that shows its credentials to stay reachable, a call for help. Refused last.
    Urgent,
    /// It begins something.
    New,
}

/// How urgent a message is, by what it says itself.
pub fn urgency(message: &Message) -> Urgency {
    let fresh = match message.method() {
        Some(
            Method::Ack
            | Method::Cancel
            | Method::Bye
            | Method::Prack
            | Method::Info
            | Method::Update,
        )
        | None => false,
        Some(_) => message.to().is_ok_and(|to| to.tag().is_none()),
    };
    match message.method() {
        _ if !fresh => Urgency::Dialog,
        Some(Method::Register) if message.header(HeaderName::Authorization).is_some() => {
            Urgency::Urgent
        }
        Some(Method::Invite) if calls_for_help(message) => Urgency::Urgent,
        _ => Urgency::New,
    }
}

/// A service of RFC 5031 is dialled, or the caller says so (RFC 3261 section 20.26).
fn calls_for_help(message: &Message) -> bool {
    const SERVICE: &str = "urn:service:sos";
    let dialled = message.request_uri_raw().get(..SERVICE.len());
    dialled.is_some_and(|uri| uri.eq_ignore_ascii_case(SERVICE))
        || message
            .header_named("Priority")
            .is_some_and(|priority| priority.eq_ignore_ascii_case("emergency"))
}

/// True for a request that starts something, and that may be refused under overload. What belongs to calls in progress may not.
pub fn is_new_work(message: &Message) -> bool {
    urgency(message) != Urgency::Dialog
}

/// True for the ACK of an [`overload_response`]: nobody waits for it.
pub fn acknowledges_refusal(message: &Message) -> bool {
    message.method() == Some(&Method::Ack)
        && message
            .to()
            .ok()
            .and_then(|to| to.tag())
            .and_then(|tag| tag.strip_suffix(EDGE))
            .is_some_and(|tag| tag == stateless_tag(message))
}

/// A 503 with Retry-After (seconds) for new work, to be sent to where the Via says, or back on the connection;
/// `None` for whatever may not be refused so.
pub fn overload_response(request: &Message, peer: &Peer, retry_after: u32) -> Option<Bytes> {
    if !is_new_work(request) || request.top_via().is_err() {
        return None;
    }
    let tag = stateless_tag(request) + EDGE;
    let response =
        Builder::response_via(request, 503, "Service Unavailable", Some(&tag), peer.remote);
    Some(
        response
            .header(HeaderName::RetryAfter, retry_after)
            .finish(),
    )
}

/// The To tag of a refusal that leaves nothing behind: the same for a repetition, and known again in the ACK.
pub fn stateless_tag(message: &Message) -> String {
    let mut hash = DefaultHasher::new();
    let via = message.top_via().ok();
    hash.write(
        via.and_then(|via| via.branch())
            .unwrap_or_default()
            .as_bytes(),
    );
    hash.write_u8(0);
    hash.write(message.call_id().as_bytes());
    hex(hash.finish())
}
