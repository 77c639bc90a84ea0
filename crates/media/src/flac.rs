//! FLAC (RFC 9639) in stereo, frame by frame: what has been made stays good whatever comes after. The stream's header is written last, by
//! whoever hands the whole out, since only then is its length known.

use flacenc::bitsink::ByteSink;
use flacenc::component::{BitRepr, StreamInfo};
use flacenc::config;
use flacenc::error::{Verified, Verify};
use flacenc::source::{Fill, FrameBuf};

use crate::g711::RATE;

/// Samples of a frame in each channel: 256 ms. Longer ones compress hardly better at this rate, and are lost whole when the process dies.
pub const BLOCK: usize = 2_048;
/// The shortest frame that the format has but for the last (section 8.2 of the RFC), and that the encoder makes.
const SHORTEST: usize = 32;
const CHANNELS: usize = 2;
const BITS: usize = 16;
/// `fLaC`, the head of one metadata block, and STREAMINFO.
pub const HEADER: usize = 4 + 4 + 34;

/// One sample of each channel: left, right.
pub type Pair = [i16; 2];

/// Samples to frames.
#[derive(Debug)]
pub struct Encoder {
    config: Verified<config::Encoder>,
    info: StreamInfo,
    buffer: FrameBuf,
    /// Interleaved; less than a frame.
    waiting: Vec<i32>,
    frames: usize,
    samples: u64,
}

/// The encoder has failed, or the recording is longer than a stream can be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("FLAC: {0}")]
pub struct Failed(String);

impl Encoder {
    /// A fresh stream.
    ///
    /// # Errors
    /// Never with the sizes above; the encoder checks them.
    pub fn new() -> Result<Encoder, Failed> {
        let failed = |error: &dyn std::fmt::Display| Failed(error.to_string());
        let mut config = config::Encoder::default();
        config.block_size = BLOCK;
        // Two people on two lines have nothing in common, and fixed predictors are as good as it needs at 8 kHz.
        config.subframe_coding.use_lpc = false;
        let config = config
            .into_verified()
            .map_err(|(_, error)| failed(&error))?;
        Ok(Encoder {
            config,
            info: StreamInfo::new(RATE as usize, CHANNELS, BITS).map_err(|error| failed(&error))?,
            buffer: FrameBuf::with_size(CHANNELS, BLOCK).map_err(|error| failed(&error))?,
            waiting: Vec::with_capacity(BLOCK * CHANNELS),
            frames: 0,
            samples: 0,
        })
    }

    /// Samples of the frames that have been made.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Takes samples, and appends the frames that they complete to `out`.
    ///
    /// # Errors
    /// The encoder's.
    pub fn encode(&mut self, samples: &[Pair], out: &mut Vec<u8>) -> Result<(), Failed> {
        for pair in samples {
            self.waiting.extend(pair.map(i32::from));
            if self.waiting.len() == BLOCK * CHANNELS {
                self.frame(out)?;
            }
        }
        Ok(())
    }

    /// The last frame, which may be short.
    ///
    /// # Errors
    /// The encoder's.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Failed> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let least = SHORTEST * CHANNELS;
        if self.waiting.len() < least {
            self.waiting.resize(least, 0);
        }
        self.frame(out)
    }

    fn frame(&mut self, out: &mut Vec<u8>) -> Result<(), Failed> {
        let failed = |error: &dyn std::fmt::Display| Failed(error.to_string());
        let filled = self.buffer.fill_interleaved(&self.waiting);
        filled.map_err(|error| failed(&error))?;
        self.samples += (self.waiting.len() / CHANNELS) as u64;
        self.waiting.clear();
        let frame =
            flacenc::encode_fixed_size_frame(&self.config, &self.buffer, self.frames, &self.info);
        let frame = frame.map_err(|error| failed(&error))?;
        self.frames += 1;
        let mut sink = ByteSink::with_capacity(frame.count_bits());
        frame.write(&mut sink).map_err(|error| failed(&error))?;
        out.extend_from_slice(sink.as_slice());
        Ok(())
    }
}

/// What stands before the frames of a stream of so many samples (section 8.2). Frame sizes and the checksum of the samples are left unknown,
/// as the format allows: each frame has its own CRC.
pub fn header(samples: u64) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(b"fLaC");
    header[4] = 0x80; // the last metadata block, of type STREAMINFO
    header[7] = 34;
    let block = (BLOCK as u16).to_be_bytes();
    header[8..10].copy_from_slice(&block);
    header[10..12].copy_from_slice(&block);
    let channels = (CHANNELS as u64 - 1) << 41;
    let bits = (BITS as u64 - 1) << 36;
    let packed = u64::from(RATE) << 44 | channels | bits | samples & ((1 << 36) - 1);
    header[18..26].copy_from_slice(&packed.to_be_bytes());
    header
}
