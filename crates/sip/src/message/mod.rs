//! Messages: zero-copy parse, lazily typed headers, and a builder.

use bytes::Bytes;

/// A parsed message: the datagram's bytes shared, headers as ranges, typed when asked for.
#[derive(Clone, Debug)]
pub struct Message {
    #[allow(dead_code)]
    raw: Bytes,
}
