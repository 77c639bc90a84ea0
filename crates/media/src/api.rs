//! What goes into a plane and what comes out of it: plain data.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::g711::Law;
use crate::speech::Spoken;
use crate::srtp;
use crate::tap::Tap;

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

impl Port {
    /// The port of this one's RTCP, where that does not share it (RFC 3550 section 11).
    pub fn beside(self) -> Port {
        Port {
            number: self.number.wrapping_add(1),
            ..self
        }
    }
}

/// Audio codecs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Codec {
    Pcmu,
    Pcma,
    G722,
    Opus,
}

impl Codec {
    /// The clock of its RTP timestamps: for G.722 not its sampling rate, for a reason of old (RFC 3551 section 4.5.2).
    pub const fn clock_rate(self) -> u32 {
        match self {
            Codec::Pcmu | Codec::Pcma | Codec::G722 => 8_000,
            Codec::Opus => 48_000,
        }
    }

    /// Whether this binary has it: Opus comes by the feature of its name.
    pub const fn is_built(self) -> bool {
        match self {
            Codec::Pcmu | Codec::Pcma | Codec::G722 => true,
            Codec::Opus => cfg!(feature = "opus"),
        }
    }

    /// Which law of G.711 it is, if it is one.
    pub const fn law(self) -> Option<Law> {
        match self {
            Codec::Pcmu => Some(Law::Mu),
            Codec::Pcma => Some(Law::A),
            Codec::G722 | Codec::Opus => None,
        }
    }
}

/// What a far end wants of our Opus (RFC 7587 section 6.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// `useinbandfec`: each packet with a coarse copy of the one before.
    pub fec: bool,
    /// `usedtx`: nothing sent in silence.
    pub dtx: bool,
}

/// How a stream talks on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    pub codec: Codec,
    pub payload_type: u8,
    /// Packet time to send, 10 to 60 ms.
    pub ptime: Duration,
    /// Payload type of RFC 4733 events, when negotiated.
    pub telephone_event: Option<u8>,
    /// Their clock in Hz, usually the codec's; 48,000 at most.
    pub event_rate: u16,
    pub wishes: Wishes,
}

/// Where a far end wants its RTCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rtcp {
    /// On the ports of RTP (RFC 5761).
    Muxed,
    /// At an address of its own; it comes to the port after ours.
    Beside(SocketAddr),
}

/// How a browser is known before its first packet.
#[derive(Clone, PartialEq, Eq)]
pub struct Ice {
    /// Our short-term credentials (RFC 8445 section 5.3).
    pub ufrag: Box<str>,
    pub password: Box<str>,
    /// SHA-256 of its certificate.
    pub fingerprint: [u8; 32],
}

impl std::fmt::Debug for Ice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ice({})", self.ufrag)
    }
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
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
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
    Prompt {
        lang: Lang,
        name: Arc<str>,
    },
    /// A cardinal number spoken by the language's grammar.
    Number {
        lang: Lang,
        value: u64,
    },
    /// Digits one by one (`一` is spoken yāo in zh-CN numbers like telephone or agent numbers).
    Digits {
        lang: Lang,
        digits: Arc<str>,
    },
    /// Dates, times, money and the like.
    Spoken {
        lang: Lang,
        what: Spoken,
    },
    /// Text of which speech has been made for this plane ([`crate::Plane::learn`]) or with the prompts.
    Text {
        lang: Lang,
        text: Arc<str>,
    },
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
    /// What these streams of the same plane say, together: one row of the matrix of who hears whom. They need not hear this one, and go on with
    /// whatever they hear themselves. Pre-empts prompts, as a bridge does.
    Mix { of: Arc<[StreamId]> },
}

/// What the engine asks of a plane. Commands to a stream that is gone are ignored.
#[derive(Clone, Debug)]
pub enum Command {
    /// Begin a stream on a granted port. Until `Update` gives `remote` and a format nothing is sent and nothing accepted.
    Open {
        stream: StreamId,
        port: Port,
        ssrc: u32,
    },
    /// What SDP negotiated: the strict source of packets, where to send, format and direction.
    Update {
        stream: StreamId,
        remote: SocketAddr,
        rtcp: Rtcp,
        /// Where the signalling comes from, if that is not SDP's address: the one other host that packets may come from (symmetric RTP, RFC 4961).
        behind: Option<IpAddr>,
        format: Format,
        direction: Direction,
    },
    /// How the stream is protected from now on; `None`: not at all. It comes before the `Update` that it was agreed on with.
    Secure {
        stream: StreamId,
        keys: Option<Box<srtp::Keys>>,
    },
    /// The far end is a browser: it comes through a port that it shares with others, and nothing of the stream goes in or out before DTLS has agreed on
    /// keys (`Secure`) and ICE has found the way (`Path`), which both are the edge's. Comes before the first `Update`, and again with other credentials.
    Admit {
        stream: StreamId,
        port: Port,
        ice: Box<Ice>,
    },
    /// Where ICE has found a browser; `None`: it is lost.
    Path {
        stream: StreamId,
        remote: Option<SocketAddr>,
    },
    Source {
        stream: StreamId,
        source: Source,
    },
    /// Connect two streams of the same plane; pre-empts prompts and music on both.
    Bridge {
        a: StreamId,
        b: StreamId,
    },
    /// Play items over the stream's source, then report `Played`. A new play replaces the old one without a report of it.
    Play {
        stream: StreamId,
        play: PlayId,
        items: Arc<[Item]>,
        barge_in: bool,
    },
    /// Stop playing without a report.
    StopPlay {
        stream: StreamId,
    },
    /// Send RFC 4733 digits.
    SendDtmf {
        stream: StreamId,
        digits: Arc<str>,
    },
    /// Copy what comes in for a recording from now on, or no more. A stream has one tap at most.
    Tap {
        stream: StreamId,
        tap: Option<Tap>,
    },
    /// End the stream; its port is free again when `Closed` comes.
    Close {
        stream: StreamId,
    },
}

/// What a plane reports.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A digit pressed: once for each RFC 4733 event, at its start; it has stopped a barge-in play already.
    Dtmf {
        stream: StreamId,
        digit: char,
    },
    Played {
        stream: StreamId,
        play: PlayId,
    },
    /// First accepted packet of the stream.
    Flowing {
        stream: StreamId,
    },
    /// No packet for the media time-out while the direction says there should be some.
    Starved {
        stream: StreamId,
    },
    Closed {
        close: Close,
    },
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
    /// Packets refused: not RTP, wrong source, wrong payload type, not what the keys say.
    pub rejected: u64,
    /// How what came from there sounds: a mean opinion score by the E-model (ITU-T G.107); `None` before anything has come.
    pub mos: Option<f32>,
    /// The way there and back, by RTCP.
    pub round_trip_ms: Option<f32>,
    /// What the far end has reported of what we send.
    pub far: Option<Far>,
}

/// How our packets arrive at the far end, by its reports.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Far {
    pub lost: u64,
    pub jitter_ms: f32,
    pub mos: f32,
}

/// How a plane is set up.
#[derive(Clone, Debug)]
pub struct PlaneConfig {
    /// The plane's index, as in [`Port::plane`].
    pub plane: u16,
    /// Without a packet for this long a stream is [`Event::Starved`]; `None` never reports.
    pub media_timeout: Option<Duration>,
    /// Streams at the same time; an `Open` beyond it is answered with `Closed` at once.
    pub max_streams: usize,
}

impl Default for PlaneConfig {
    fn default() -> Self {
        PlaneConfig {
            plane: 0,
            media_timeout: Some(Duration::from_secs(30)),
            max_streams: 32_768,
        }
    }
}

/// What a plane has counted since it began; only grows, except `active`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Streams open now.
    pub active: u64,
    pub packets_in: u64,
    pub packets_out: u64,
    /// Lost packets of the streams that are closed.
    pub lost: u64,
    /// Compound packets of RTCP, both ways.
    pub rtcp_in: u64,
    pub rtcp_out: u64,
    pub rejected: Rejected,
    /// Prompts asked for that are not loaded.
    pub missing_prompts: u64,
    /// Commands that made no sense: an unknown stream, a port in use, digits without RFC 4733.
    pub ignored_commands: u64,
}

/// Packets refused, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rejected {
    /// No stream on this port.
    pub idle_port: u64,
    /// The stream has not been given a remote and a format yet.
    pub unready: u64,
    /// Not RTP version 2, or its lengths don't add up.
    pub malformed: u64,
    /// Not from the negotiated (or learned) source.
    pub source: u64,
    /// A payload type that was not negotiated.
    pub payload_type: u64,
    /// Not what the keys say: forged, damaged, under another key, or come before.
    pub srtp: u64,
}

impl Rejected {
    /// All of them with the label that `/metrics` shows.
    pub fn by_reason(&self) -> [(&'static str, u64); 6] {
        [
            ("idle_port", self.idle_port),
            ("unready", self.unready),
            ("malformed", self.malformed),
            ("source", self.source),
            ("payload_type", self.payload_type),
            ("srtp", self.srtp),
        ]
    }

    pub fn total(&self) -> u64 {
        self.by_reason().iter().map(|(_, count)| count).sum()
    }
}
