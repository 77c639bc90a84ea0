//! One direction of a bridge between two codecs: decoded as packets come, concealed where they don't, encoded in the packet time of the other side.

use clock::Time;

use crate::api::{Codec, Format};
use crate::jitter::Jitter;
use crate::rtp::Header;
use crate::voice::{self, Decoder, Encoder, MAX_PAYLOAD, meeting_rate};

/// The longest gap that is filled; a longer one is a pause.
const CONCEAL_MS: u32 = 100;
/// Sound that waits for a whole packet; what is more than the longest packet time and the longest packet would be a fault of ours.
const WAITING_MS: usize = 240;

/// Decoder, encoder and what lies between them.
#[derive(Debug)]
pub struct Transcoder {
    to: Format,
    jitter: Jitter,
    heard: Heard,
    encoder: Encoder,
}

/// What has been decoded.
#[derive(Debug)]
struct Heard {
    from: Codec,
    rate: u32,
    decoder: Decoder,
    /// Decoded and not yet sent.
    waiting: Vec<i16>,
    continuity: Continuity,
}

/// Where the last packet of a sender that is decoded ended.
#[derive(Debug, Default)]
pub struct Continuity {
    last: Option<Last>,
}

/// The newest packet.
#[derive(Clone, Copy, Debug)]
struct Last {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    /// How long it lasts, by its codec's clock.
    ticks: u32,
}

/// How a packet fits to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It goes on where the last one ended, with gaps filled.
    Continues,
    /// Another sender, or the end of a pause: our timeline goes by the clock.
    Begins,
    /// It came after its time, or twice.
    Late,
}

/// Whether packets of one codec must be decoded to be sent in another; between the laws of G.711 a table does.
pub fn is_needed(from: Codec, to: Codec) -> bool {
    from != to && !(from.law().is_some() && to.law().is_some())
}

impl Transcoder {
    /// `None` where there is no Opus, or it gets no memory.
    pub fn new(from: Codec, to: Format) -> Option<Transcoder> {
        let rate = meeting_rate(from, to.codec);
        Some(Transcoder {
            to,
            jitter: Jitter::default(),
            heard: Heard {
                from,
                rate,
                decoder: Decoder::new(from, rate)?,
                waiting: Vec::with_capacity(WAITING_MS * rate as usize / 1000),
                continuity: Continuity::default(),
            },
            encoder: Encoder::new(to.codec, rate, to.wishes)?,
        })
    }

    /// Whether this one serves.
    pub fn is_between(&self, from: Codec, to: &Format) -> bool {
        self.heard.from == from && self.to == *to
    }

    /// Takes a packet in, and whatever it lets go that waited for it. What begins anew tells over what is late.
    pub fn take(&mut self, now: Time, header: &Header, payload: &[u8]) -> Fit {
        let Transcoder { jitter, heard, .. } = self;
        let mut fit = Fit::Late;
        jitter.take(now, header, payload, |header, payload| {
            match heard.take(header, payload) {
                Fit::Begins => fit = Fit::Begins,
                Fit::Continues if fit == Fit::Late => fit = Fit::Continues,
                Fit::Continues | Fit::Late => {}
            }
        });
        fit
    }

    /// The next whole packet of so many milliseconds: `None` when there is none, a length of `None` when there is nothing to send for its time.
    pub fn next(
        &mut self,
        milliseconds: usize,
        payload: &mut [u8; MAX_PAYLOAD],
    ) -> Option<Option<usize>> {
        let samples = milliseconds * self.heard.rate as usize / 1000;
        let packet = self.heard.waiting.get(..samples)?;
        let length = self.encoder.encode(packet, payload);
        self.heard.waiting.drain(..samples);
        Some(length)
    }
}

impl Heard {
    fn take(&mut self, header: &Header, payload: &[u8]) -> Fit {
        let (fit, missing) = self.continuity.follow(self.from, header, payload);
        match fit {
            Fit::Late => return Fit::Late,
            Fit::Begins => self.waiting.clear(),
            Fit::Continues if missing > 0 => {
                let missing = self.samples(missing);
                self.decoder.conceal(missing, payload, &mut self.waiting);
            }
            Fit::Continues => {}
        }
        self.decoder.decode(payload, &mut self.waiting);
        let most = WAITING_MS * self.rate as usize / 1000;
        let surplus = self.waiting.len().saturating_sub(most);
        self.waiting.drain(..surplus);
        fit
    }

    fn samples(&self, ticks: u32) -> usize {
        (u64::from(ticks) * u64::from(self.rate) / u64::from(self.from.clock_rate())) as usize
    }
}

impl Continuity {
    /// How a packet of this codec fits, and ticks that are missing before it. The next one is measured by it, unless it is late.
    pub fn follow(&mut self, codec: Codec, header: &Header, payload: &[u8]) -> (Fit, u32) {
        let (fit, missing) = self.fit(codec, header);
        if fit != Fit::Late {
            self.last = Some(Last {
                ssrc: header.ssrc,
                sequence: header.sequence,
                timestamp: header.timestamp,
                ticks: voice::ticks(codec, payload),
            });
        }
        (fit, missing)
    }

    fn fit(&self, codec: Codec, header: &Header) -> (Fit, u32) {
        let Some(last) = self.last.filter(|last| last.ssrc == header.ssrc) else {
            return (Fit::Begins, 0);
        };
        let step = header.sequence.wrapping_sub(last.sequence) as i16;
        if (-crate::reception::MAX_MISORDER..=0).contains(&step) {
            return (Fit::Late, 0);
        }
        let expected = last.timestamp.wrapping_add(last.ticks);
        let missing = header.timestamp.wrapping_sub(expected) as i32;
        let longest = (CONCEAL_MS * codec.clock_rate() / 1000) as i32;
        match missing {
            0 => (Fit::Continues, 0),
            // Time without a packet is a loss only if a packet is missing; otherwise the sender was silent (DTX).
            1.. if missing <= longest && step > 1 => (Fit::Continues, missing as u32),
            _ => (Fit::Begins, 0),
        }
    }
}
