//! What goes into a plane and what comes out of it: plain data.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// One RTP stream pair (both directions) of one leg; named by the engine, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u64);

/// A bound local RTP port that the edge has granted: `plane` is the index of the media thread that owns the socket, `number` the UDP port.
/// Both streams of a bridge live on one plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Port {
    pub plane: u16,
    pub number: u16,
}

/// Audio codecs; later issues add G.722 and Opus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Codec {
    Pcmu,
    Pcma,
}

/// How a stream talks on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    pub codec: Codec,
    pub payload_type: u8,
    /// Packet time to send, 10 to 60 ms.
    pub ptime: Duration,
    /// Payload type of RFC 4733 events at 8000 Hz, when negotiated.
    pub telephone_event: Option<u8>,
}

/// RFC 3264 direction seen from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    SendReceive,
    SendOnly,
    ReceiveOnly,
    Inactive,
}

/// Language of prompts and spoken numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Lang {
    #[serde(rename = "zh-CN")]
    ZhCn,
    #[serde(rename = "en")]
    En,
}

/// One element of a play list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Item {
    /// A prompt file by its name without language and extension, e.g. `welcome`: `prompts/{lang}/welcome.flac`.
    Prompt { lang: Lang, name: Arc<str> },
    /// A cardinal number spoken by the language's grammar.
    Number { lang: Lang, value: u64 },
    /// Digits one by one (`一` is spoken yāo in zh-CN numbers like telephone or agent numbers).
    Digits { lang: Lang, digits: Arc<str> },
    Silence(Duration),
}

/// Names one play request; comes back in [`Event::Played`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlayId(pub u64);

/// What a stream sends when nothing is played over it.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// Nothing at all is sent.
    Silence,
    /// Back to the sender what it sent.
    Echo,
    /// A sine of this frequency at -10 dBm0.
    Tone { hertz: u32 },
    /// Music on hold by prompt name (`music/default`), endless, in step for all its listeners.
    Music { name: Arc<str> },
    /// The other stream's packets, headers rewritten; transcoded only where the codecs differ. Set on both sides by [`Command::Bridge`].
    Bridge { peer: StreamId },
}

/// What the engine asks of a plane. Commands to a stream that is gone are ignored.
#[derive(Clone, Debug)]
pub enum Command {
    /// Begin a stream on a granted port. Until `Update` gives `remote` and a format nothing is sent and nothing accepted.
    Open { stream: StreamId, port: Port, ssrc: u32 },
    /// What SDP negotiated: the strict source of packets, where to send, format and direction.
    Update { stream: StreamId, remote: SocketAddr, format: Format, direction: Direction },
    Source { stream: StreamId, source: Source },
    /// Connect two streams of the same plane; pre-empts prompts and music on both.
    Bridge { a: StreamId, b: StreamId },
    /// Play items over the stream's source, then report `Played`. A new play replaces the old one without a report of it.
    Play { stream: StreamId, play: PlayId, items: Arc<[Item]>, barge_in: bool },
    /// Stop playing without a report.
    StopPlay { stream: StreamId },
    /// Send RFC 4733 digits.
    SendDtmf { stream: StreamId, digits: Arc<str> },
    /// End the stream; its port is free again when `Closed` comes.
    Close { stream: StreamId },
}

/// What a plane reports.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A digit pressed: once for each RFC 4733 event, at its start; it has stopped a barge-in play already.
    Dtmf { stream: StreamId, digit: char },
    Played { stream: StreamId, play: PlayId },
    /// First accepted packet of the stream.
    Flowing { stream: StreamId },
    /// No packet for the media time-out while the direction says there should be some.
    Starved { stream: StreamId },
    Closed { close: Close },
}

/// A stream is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Close {
    pub stream: StreamId,
    pub port: Port,
    pub stats: Stats,
}

/// What was seen on one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stats {
    pub packets_in: u64,
    pub packets_out: u64,
    pub lost: u64,
    /// Interarrival jitter, RFC 3550 section 6.4.1, in milliseconds.
    pub jitter_ms: f32,
    /// Packets refused: not RTP, wrong source, wrong payload type.
    pub rejected: u64,
}

/// The prompts that a plane can play, decoded and encoded once, shared by all planes. Built by [`Prompts::load`] in `prompts.rs`.
#[derive(Debug, Default)]
pub struct Prompts {
    pub(crate) clips: std::collections::BTreeMap<(Option<Lang>, Arc<str>), Clip>,
}

/// One prompt, ready to send: the same audio in every codec that needs no state.
#[derive(Debug)]
pub(crate) struct Clip {
    pub(crate) pcmu: Arc<[u8]>,
    pub(crate) pcma: Arc<[u8]>,
}
