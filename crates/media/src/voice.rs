//! Codecs with their state: payloads to samples and back, at the rate at which both sides of a transcoding meet.

use opus::{Application, Channels};

use crate::api::{Codec, Wishes};
use crate::g711::{self, Law};
use crate::g722;
use crate::loss::Concealer;

/// Octets of a payload that we make; 60 ms of G.711 and G.722, and more than Opus takes for speech.
pub const MAX_PAYLOAD: usize = 480;
/// Most samples that one packet gives: 120 ms of Opus at 16 kHz (RFC 6716 section 2.1.4).
const MAX_SAMPLES: usize = 1920;
/// What Opus spends on speech, in bits a second (RFC 6716 section 2.1.1: 16 to 20 for wide-band speech, and its FEC).
const OPUS_BITRATE: i32 = 24_000;
/// Half of what Opus could do: the best that speech gains anything from, for half the work.
const OPUS_COMPLEXITY: i32 = 5;
/// Loss that FEC is made for, in percent.
const OPUS_LOSS: i32 = 5;

/// The rate at which two codecs meet, so that nothing is resampled: each can be asked for it. Wide only where both are.
pub fn meeting_rate(a: Codec, b: Codec) -> u32 {
    match (a, b) {
        (Codec::G722 | Codec::Opus, Codec::G722 | Codec::Opus) => 16_000,
        (Codec::Pcmu | Codec::Pcma, _) | (_, Codec::Pcmu | Codec::Pcma) => 8_000,
    }
}

fn g722_rate(rate: u32) -> g722::Rate {
    match rate {
        16_000 => g722::Rate::Wide,
        _ => g722::Rate::Narrow,
    }
}

/// Payloads to samples.
#[derive(Debug)]
pub struct Decoder {
    state: Decoding,
    /// Of the samples.
    rate: u32,
    concealer: Concealer,
}

#[derive(Debug)]
enum Decoding {
    G711(Law),
    G722(Box<g722::Decoder>),
    Opus(opus::Decoder),
}

impl Decoder {
    /// A fresh decoder to 8 or 16 kHz; `None` where libopus gets no memory.
    pub fn new(codec: Codec, rate: u32) -> Option<Decoder> {
        let state = match codec {
            Codec::Pcmu => Decoding::G711(Law::Mu),
            Codec::Pcma => Decoding::G711(Law::A),
            Codec::G722 => Decoding::G722(Box::new(g722::Decoder::new(g722_rate(rate)))),
            Codec::Opus => Decoding::Opus(opus::Decoder::new(rate, Channels::Mono).ok()?),
        };
        Some(Decoder {
            state,
            rate,
            concealer: Concealer::new(rate),
        })
    }

    /// Appends the samples of a packet. One that Opus cannot read is as good as lost.
    pub fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) {
        let begin = out.len();
        match &mut self.state {
            Decoding::G711(law) => {
                out.extend(payload.iter().map(|octet| g711::decode(*law, *octet)));
            }
            Decoding::G722(decoder) => decoder.decode(payload, out),
            Decoding::Opus(decoder) => {
                return decode_opus(decoder, payload, MAX_SAMPLES, false, out);
            }
        }
        self.concealer.heard(&mut out[begin..]);
    }

    /// Appends `samples` in place of packets that were lost; `next` is the packet after the gap, in which Opus may have left a copy of the one before.
    pub fn conceal(&mut self, samples: usize, next: &[u8], out: &mut Vec<i16>) {
        let Decoding::Opus(decoder) = &mut self.state else {
            return self.concealer.conceal(samples, out);
        };
        let length = decoder.get_nb_samples(next).unwrap_or(samples).min(samples);
        let unit = self.rate as usize / 400; // 2.5 ms: whatever else libopus refuses
        let before = (samples - length) / unit * unit;
        if before > 0 {
            decode_opus(decoder, &[], before, false, out);
        }
        if length >= unit {
            decode_opus(decoder, next, length / unit * unit, true, out);
        }
    }
}

fn decode_opus(
    decoder: &mut opus::Decoder,
    payload: &[u8],
    room: usize,
    from_copy: bool,
    out: &mut Vec<i16>,
) {
    let begin = out.len();
    out.resize(begin + room, 0);
    let decoded = decoder.decode(payload, &mut out[begin..], from_copy);
    out.truncate(begin + decoded.unwrap_or(0).min(room));
}

/// Samples to payloads.
#[derive(Debug)]
pub struct Encoder {
    state: Encoding,
}

#[derive(Debug)]
enum Encoding {
    G711(Law),
    G722(Box<g722::Encoder>, Vec<u8>),
    Opus(opus::Encoder),
}

impl Encoder {
    /// A fresh encoder of samples at 8 or 16 kHz; `None` where libopus gets no memory.
    pub fn new(codec: Codec, rate: u32, wishes: Wishes) -> Option<Encoder> {
        let state = match codec {
            Codec::Pcmu => Encoding::G711(Law::Mu),
            Codec::Pcma => Encoding::G711(Law::A),
            Codec::G722 => Encoding::G722(
                Box::new(g722::Encoder::new(g722_rate(rate))),
                Vec::with_capacity(MAX_PAYLOAD),
            ),
            Codec::Opus => Encoding::Opus(opus_encoder(rate, wishes).ok()?),
        };
        Some(Encoder { state })
    }

    /// Writes the payload of one packet; its length. Nothing: Opus has said already that silence goes on (DTX).
    pub fn encode(&mut self, samples: &[i16], payload: &mut [u8; MAX_PAYLOAD]) -> Option<usize> {
        match &mut self.state {
            Encoding::G711(law) => {
                for (octet, sample) in payload.iter_mut().zip(samples) {
                    *octet = g711::encode(*law, *sample);
                }
                Some(samples.len().min(MAX_PAYLOAD))
            }
            Encoding::G722(encoder, octets) => {
                octets.clear();
                encoder.encode(samples, octets);
                octets.truncate(MAX_PAYLOAD);
                payload[..octets.len()].copy_from_slice(octets);
                Some(octets.len())
            }
            Encoding::Opus(encoder) => {
                // RFC 6716 section 2.1.9: a payload of one octet or two need not be sent.
                let length = encoder.encode(samples, payload).ok()?;
                (length > 2).then_some(length)
            }
        }
    }
}

fn opus_encoder(rate: u32, wishes: Wishes) -> opus::Result<opus::Encoder> {
    let mut encoder = opus::Encoder::new(rate, Channels::Mono, Application::Voip)?;
    encoder.set_bitrate(opus::Bitrate::Bits(OPUS_BITRATE))?;
    encoder.set_complexity(OPUS_COMPLEXITY)?;
    encoder.set_inband_fec(wishes.fec)?;
    encoder.set_packet_loss_perc(if wishes.fec { OPUS_LOSS } else { 0 })?;
    encoder.set_dtx(wishes.dtx)?;
    Ok(encoder)
}

/// Ticks of its clock that a payload lasts (RFC 3551, RFC 7587): one an octet, but for Opus, which says it in its first octet or two
/// (RFC 6716 section 3.1).
pub fn ticks(codec: Codec, payload: &[u8]) -> u32 {
    if codec != Codec::Opus {
        return payload.len() as u32;
    }
    let Some(toc) = payload.first() else { return 0 };
    let configuration = toc >> 3;
    let frame = match configuration {
        0..12 => [480, 960, 1920, 2880][usize::from(configuration & 3)],
        12..16 => [480, 960][usize::from(configuration & 1)],
        _ => [120, 240, 480, 960][usize::from(configuration & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(payload.get(1).copied().unwrap_or(0) & 0x3f),
    };
    (frame * frames).min(5760) // 120 ms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_an_opus_packet_is_what_libopus_says() {
        for first in 0..=255u8 {
            for second in [0x01, 0x02, 0x06] {
                let packet = [first, second, 0, 0, 0, 0, 0, 0, 0];
                let says = opus::packet::get_nb_samples(&packet, 48_000);
                match says {
                    Ok(samples) => assert_eq!(ticks(Codec::Opus, &packet), samples as u32),
                    Err(_) => assert!(ticks(Codec::Opus, &packet) <= 5760),
                }
            }
        }
        assert_eq!(
            (ticks(Codec::Opus, &[]), ticks(Codec::G722, &[0; 160])),
            (0, 160)
        );
    }
}
