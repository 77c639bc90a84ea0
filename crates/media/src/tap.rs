//! Taps: what comes in on a stream is copied for a recording, as it came, with the time at which it came. Whoever records decodes it, not the
//! thread that moves packets.
//!
//! Copies leave in blocks, so that a packet costs one copy of its octets and no allocation.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use clock::Time;

use crate::api::{Codec, StreamId};
use crate::rtp::Header;

/// One recording; named by the engine, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordingId(pub u64);

/// Whose voice it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// The left channel.
    Customer,
    /// The right channel: whoever is there for the centre.
    Agent,
}

/// Where the packets of a stream are copied to. A recording is made of pieces: between them nothing is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tap {
    pub recording: RecordingId,
    pub piece: u32,
    pub side: Side,
}

/// A packet of audio that came in on a tapped stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    pub tap: Tap,
    pub stream: StreamId,
    pub at: Time,
    pub codec: Codec,
    pub ssrc: u32,
    pub sequence: u16,
    pub timestamp: u32,
    /// Its payload in the block's octets.
    pub payload: Range<usize>,
}

/// Packets of one plane, in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    pub plane: u16,
    pub packets: Vec<Heard>,
    pub octets: Vec<u8>,
    /// Packets before these that were left out, for want of room.
    pub lost: u64,
}

impl Block {
    /// The payload of one of its packets.
    pub fn payload(&self, packet: &Heard) -> &[u8] {
        self.octets.get(packet.payload.clone()).unwrap_or_default()
    }
}

/// A block leaves when it has so many octets: of G.711, what 8 recorded legs bring in a second.
const OCTETS_MAX: usize = 64 * 1024;
/// And so many packets, which may be short.
const PACKETS_MAX: usize = 1_024;
/// Or is so old: a recording is never further behind than this and what its writer takes.
const AGE_MAX: Duration = Duration::from_millis(100);
/// Blocks that nobody has taken; more are lost. A thread that moves packets takes them at each wake-up.
const WAITING_MAX: usize = 8;

/// Where a plane collects what its taps give.
#[derive(Debug, Default)]
pub struct Collector {
    plane: u16,
    block: Block,
    since: Option<Time>,
    full: VecDeque<Block>,
    lost: u64,
}

impl Collector {
    pub fn new(plane: u16) -> Self {
        Collector {
            plane,
            ..Collector::default()
        }
    }

    /// Copies a packet of audio.
    pub fn take(
        &mut self,
        now: Time,
        tap: Tap,
        stream: StreamId,
        codec: Codec,
        header: &Header,
        packet: &[u8],
    ) {
        let payload = &packet[header.payload.clone()];
        if self.since.is_none() {
            self.since = Some(now);
            self.block.packets.reserve(PACKETS_MAX);
            self.block.octets.reserve(OCTETS_MAX + payload.len());
        }
        let begin = self.block.octets.len();
        self.block.octets.extend_from_slice(payload);
        self.block.packets.push(Heard {
            tap,
            stream,
            at: now,
            codec,
            ssrc: header.ssrc,
            sequence: header.sequence,
            timestamp: header.timestamp,
            payload: begin..self.block.octets.len(),
        });
        if self.block.octets.len() >= OCTETS_MAX || self.block.packets.len() >= PACKETS_MAX {
            self.close();
        }
    }

    /// When the block that is being filled leaves at the latest.
    pub fn due(&self) -> Option<Time> {
        self.since.map(|since| since + AGE_MAX)
    }

    /// Closes the block whose time has come.
    pub fn handle_timeout(&mut self, now: Time) {
        if self.due().is_some_and(|due| due <= now) {
            self.close();
        }
    }

    fn close(&mut self) {
        self.since = None;
        let mut block = std::mem::take(&mut self.block);
        if self.full.len() >= WAITING_MAX {
            return self.lose(&block);
        }
        block.plane = self.plane;
        block.lost = std::mem::take(&mut self.lost);
        self.full.push_back(block);
    }

    /// A block that leaves.
    pub fn poll(&mut self) -> Option<Block> {
        self.full.pop_front()
    }

    /// Nobody had room for a block that has left: the next one says so.
    pub fn lose(&mut self, block: &Block) {
        self.lost += block.packets.len() as u64 + block.lost;
    }
}
