//! Codecs with their state: payloads to samples and back, at the rate at which both sides of a transcoding meet.

use crate::api::{Codec, Wishes};
use crate::g711::{self, Law};
use crate::g722;
use crate::libopus;
use crate::loss::Concealer;

/// Octets of a payload that we make; 60 ms of G.711 and G.722, and more than Opus takes for speech.
pub const MAX_PAYLOAD: usize = 480;
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
    concealer: Concealer,
}

#[derive(Debug)]
enum Decoding {
    G711(Law),
    G722(Box<g722::Decoder>),
    Opus(libopus::Decoder),
}

impl Decoder {
    /// A fresh decoder to 8 or 16 kHz; `None` where there is no Opus, or it gets no memory.
    pub fn new(codec: Codec, rate: u32) -> Option<Decoder> {
        let state = match codec {
            Codec::Pcmu => Decoding::G711(Law::Mu),
            Codec::Pcma => Decoding::G711(Law::A),
            Codec::G722 => Decoding::G722(Box::new(g722::Decoder::new(g722_rate(rate)))),
            Codec::Opus => Decoding::Opus(libopus::Decoder::new(rate)?),
        };
        Some(Decoder {
            state,
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
            Decoding::Opus(decoder) => return decoder.decode(payload, out),
        }
        self.concealer.heard(&mut out[begin..]);
    }

    /// Appends `samples` in place of packets that were lost; `next` is the packet after the gap, in which Opus may have left a copy of the one before.
    pub fn conceal(&mut self, samples: usize, next: &[u8], out: &mut Vec<i16>) {
        match &mut self.state {
            Decoding::Opus(decoder) => decoder.conceal(samples, next, out),
            Decoding::G711(_) | Decoding::G722(_) => self.concealer.conceal(samples, out),
        }
    }
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
    Opus(libopus::Encoder),
}

impl Encoder {
    /// A fresh encoder of samples at 8 or 16 kHz; `None` where there is no Opus, or it gets no memory.
    pub fn new(codec: Codec, rate: u32, wishes: Wishes) -> Option<Encoder> {
        let state = match codec {
            Codec::Pcmu => Encoding::G711(Law::Mu),
            Codec::Pcma => Encoding::G711(Law::A),
            Codec::G722 => Encoding::G722(
                Box::new(g722::Encoder::new(g722_rate(rate))),
                Vec::with_capacity(MAX_PAYLOAD),
            ),
            Codec::Opus => Encoding::Opus(libopus::Encoder::new(rate, wishes)?),
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
                let length = encoder.encode(samples, payload)?;
                (length > 2).then_some(length)
            }
        }
    }
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
    fn an_empty_packet_lasts_no_time_and_octets_of_others_last_a_tick_each() {
        assert_eq!(
            (ticks(Codec::Opus, &[]), ticks(Codec::G722, &[0; 160])),
            (0, 160)
        );
    }
}
