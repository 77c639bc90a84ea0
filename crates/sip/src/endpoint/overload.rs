//! What the edge may answer by itself when the engine is behind: cheap, and without any state (RFC 3261 section 8.2.7).

use std::hash::{DefaultHasher, Hasher};

use bytes::Bytes;

use super::keys::hex;
use crate::api::Peer;
use crate::message::{Builder, HeaderName, Message, Method};

/// True for a request that starts something, and that may be refused under overload. What belongs to calls in progress may not.
pub fn is_new_work(message: &Message) -> bool {
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
        Some(_) => true,
    };
    fresh && message.to().is_ok_and(|to| to.tag().is_none())
}

/// A 503 with Retry-After (seconds) for new work, to be sent to where the Via says, or back on the connection;
/// `None` for whatever may not be refused so.
pub fn overload_response(request: &Message, peer: &Peer, retry_after: u32) -> Option<Bytes> {
    if !is_new_work(request) || request.top_via().is_err() {
        return None;
    }
    let tag = stateless_tag(request);
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
