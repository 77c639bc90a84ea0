//! Opus (RFC 6716) by libopus, as [`crate::voice`] uses it: mono, 8 or 16 kHz.

use opus::{Application, Channels};

use crate::api::Wishes;

/// Most samples that one packet gives: 120 ms at 16 kHz (RFC 6716 section 2.1.4).
const MAX_SAMPLES: usize = 1920;
/// What is spent on speech, in bits a second (RFC 6716 section 2.1.1: 16 to 20 for wide-band speech, and its FEC).
const BITRATE: i32 = 24_000;
/// Half of what Opus could do: the best that speech gains anything from, for half the work.
const COMPLEXITY: i32 = 5;
/// Loss that FEC is made for, in percent.
const LOSS: i32 = 5;

/// Payloads to samples.
#[derive(Debug)]
pub struct Decoder {
    state: opus::Decoder,
    rate: u32,
}

impl Decoder {
    /// `None` where libopus gets no memory.
    pub fn new(rate: u32) -> Option<Decoder> {
        let state = opus::Decoder::new(rate, Channels::Mono).ok()?;
        Some(Decoder { state, rate })
    }

    /// Appends the samples of a packet; one that cannot be read gives none.
    pub fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) {
        self.take(payload, MAX_SAMPLES, false, out);
    }

    /// Appends `samples` in place of packets that were lost; `next` is the packet after the gap, which may hold a copy of the one before.
    pub fn conceal(&mut self, samples: usize, next: &[u8], out: &mut Vec<i16>) {
        let length = self.state.get_nb_samples(next).unwrap_or(samples);
        let length = length.min(samples);
        let unit = self.rate as usize / 400; // 2.5 ms: whatever else libopus refuses
        let before = (samples - length) / unit * unit;
        if before > 0 {
            self.take(&[], before, false, out);
        }
        if length >= unit {
            self.take(next, length / unit * unit, true, out);
        }
    }

    fn take(&mut self, payload: &[u8], room: usize, from_copy: bool, out: &mut Vec<i16>) {
        let begin = out.len();
        out.resize(begin + room, 0);
        let decoded = self.state.decode(payload, &mut out[begin..], from_copy);
        out.truncate(begin + decoded.unwrap_or(0).min(room));
    }
}

/// Samples to payloads.
#[derive(Debug)]
pub struct Encoder(opus::Encoder);

impl Encoder {
    /// `None` where libopus gets no memory.
    pub fn new(rate: u32, wishes: Wishes) -> Option<Encoder> {
        Self::with(rate, wishes).ok()
    }

    fn with(rate: u32, wishes: Wishes) -> opus::Result<Encoder> {
        let mut encoder = opus::Encoder::new(rate, Channels::Mono, Application::Voip)?;
        encoder.set_bitrate(opus::Bitrate::Bits(BITRATE))?;
        encoder.set_complexity(COMPLEXITY)?;
        encoder.set_inband_fec(wishes.fec)?;
        encoder.set_packet_loss_perc(if wishes.fec { LOSS } else { 0 })?;
        encoder.set_dtx(wishes.dtx)?;
        Ok(Encoder(encoder))
    }

    /// Writes the payload of one packet; its length, 2 or less when silence goes on.
    pub fn encode(&mut self, samples: &[i16], payload: &mut [u8]) -> Option<usize> {
        self.0.encode(samples, payload).ok()
    }
}

#[cfg(test)]
mod tests {
    use crate::api::Codec;
    use crate::voice::ticks;

    #[test]
    fn the_length_of_a_packet_is_what_libopus_says() {
        for first in 0..=255u8 {
            for second in [0x01, 0x02, 0x06] {
                let packet = [first, second, 0, 0, 0, 0, 0, 0, 0];
                match opus::packet::get_nb_samples(&packet, 48_000) {
                    Ok(samples) => assert_eq!(ticks(Codec::Opus, &packet), samples as u32),
                    Err(_) => assert!(ticks(Codec::Opus, &packet) <= 5760),
                }
            }
        }
    }
}
