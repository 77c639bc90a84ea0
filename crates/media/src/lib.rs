//! Media without I/O: RTP, codecs, DTMF, prompts, tones, bridging.
//!
//! [`Plane`] is what one media thread runs: a set of streams behind bound ports. Packets go in, packets come out,
//! deadlines are polled; the same code runs on real sockets in `server` and on virtual ones in `sim`.
//!
//! ```
//! use std::sync::Arc;
//! use clock::Time;
//! use media::{Command, Plane, PlaneConfig, Port, Prompts, StreamId};
//!
//! let mut plane = Plane::new(PlaneConfig::default(), Arc::new(Prompts::default()));
//! plane.handle(Time::ZERO, Command::Open { stream: StreamId(1), port: Port { plane: 0, number: 10_000 }, ssrc: 7 });
//! let mut out = |_port, _to, _packet: &[u8]| unreachable!("nobody is there yet");
//! plane.receive(Time::ZERO, 10_000, "192.0.2.1:5004".parse().unwrap(), &mut [0; 200], &mut out);
//! assert_eq!(plane.counters().rejected.unready, 1);
//! ```
//!
//! Absent on purpose: sockets, threads, clocks, SIP, SDP text.

pub mod api;
mod control;
mod dtmf;
mod encoded;
pub mod flac;
pub mod g711;
pub mod g722;
mod inband;
mod jitter;
mod latch;
#[cfg(feature = "opus")]
mod libopus;
#[cfg(not(feature = "opus"))]
#[path = "no_opus.rs"]
mod libopus;
mod loss;
mod mixer;
mod pace;
mod plane;
mod playlist;
mod port_map;
mod prompts;
pub mod quality;
mod reception;
pub mod record;
pub mod rtcp;
pub mod rtp;
mod said;
mod sender;
pub mod speech;
pub mod srtp;
mod srtp_cipher;
mod srtp_sources;
mod stream;
pub mod tap;
pub mod tone;
mod transcode;
mod vault;
pub mod voice;

pub use api::{
    Close, Codec, Command, Counters, Direction, Event, Far, Format, Ice, Item, Lang, PlaneConfig,
    PlayId, Port, Rejected, Rtcp, Source, Stats, StreamId, Wishes,
};
pub use plane::Plane;
pub use port_map::PortMap;
pub use prompts::{PromptError, Prompts};
pub use said::Said;
pub use tap::{RecordingId, Side, Tap};
