//! Media without I/O: RTP, codecs, DTMF, prompts, tones, bridging.
//!
//! [`Plane`] is what one media thread runs: a set of streams behind bound ports. Packets go in, packets come out,
//! deadlines are polled; the same code runs on real sockets in `server` and on virtual ones in `sim`.
//!
//! Absent on purpose: sockets, threads, clocks, SIP, SDP text.

pub mod api;

pub use api::{
    Close, Codec, Command, Direction, Event, Format, Item, Lang, PlayId, Port, Prompts, Source, Stats, StreamId,
};
