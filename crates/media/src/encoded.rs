//! What is played to codecs that are encoded with a state (G.722, Opus): encoded packet by packet when the first listener comes to it, and sent to all
//! who come after as it is.
//!
//! A piece begins with a packet of its own, and its last packet is filled with silence, so that it is the same whatever is played around it. Between
//! pieces this adds less than a packet's time; time stamps have no gap.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api::{Codec, Format};
use crate::g711::{self, Law, RATE};
use crate::playlist::{Clip, Step};
use crate::voice::{Encoder, MAX_PAYLOAD};

/// Encodings that are kept: one a piece, codec and packet time; the shipped prompts in both languages in a handful of them.
const MAX_TRACKS: usize = 4_096;

/// All that one plane has encoded.
#[derive(Debug, Default)]
pub struct Encodings {
    tracks: BTreeMap<Key, Track>,
    silence: Option<Arc<Clip>>,
}

/// A piece by its place in memory, which the track keeps from being another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    clip: usize,
    codec: Codec,
    milliseconds: u32,
    fec: bool,
    dtx: bool,
}

#[derive(Debug)]
struct Track {
    clip: Arc<Clip>,
    encoder: Encoder,
    packets: Vec<Packet>,
}

#[derive(Clone, Debug)]
enum Packet {
    NotYet,
    /// Nothing need be sent for its time (DTX).
    Nothing,
    Octets(Box<[u8]>),
}

impl Encodings {
    /// The payload of a step of a play list; `None` when nothing is to be sent for its time.
    pub fn step(&mut self, step: &Step<'_>, format: &Format, samples: usize) -> Option<&[u8]> {
        match step {
            Step::Clip(clip, offset) => self.packet(clip, offset / samples.max(1), format, samples),
            Step::Silence => {
                let silence = || Arc::new(Clip::new(&[0; MAX_PAYLOAD]));
                let clip = self.silence.get_or_insert_with(silence).clone();
                self.packet(&clip, 0, format, samples)
            }
        }
    }

    /// The payload of a piece that is repeated without end, at this sample since the epoch. All who hear it hear the same packet.
    pub fn endless(
        &mut self,
        clip: &Arc<Clip>,
        position: u64,
        format: &Format,
        samples: usize,
    ) -> Option<&[u8]> {
        let packets = (clip.samples() / samples.max(1)).max(1) as u64;
        let number = position / samples.max(1) as u64 % packets;
        self.packet(clip, number as usize, format, samples)
    }

    fn packet(
        &mut self,
        clip: &Arc<Clip>,
        number: usize,
        format: &Format,
        samples: usize,
    ) -> Option<&[u8]> {
        let key = Key {
            clip: Arc::as_ptr(clip).addr(),
            codec: format.codec,
            milliseconds: samples as u32 * 1000 / RATE,
            fec: format.wishes.fec,
            dtx: format.wishes.dtx,
        };
        if !self.tracks.contains_key(&key) {
            self.forget_unused();
            let encoder = Encoder::new(format.codec, RATE, format.wishes)?;
            let track = Track {
                clip: clip.clone(),
                encoder,
                packets: vec![Packet::NotYet; clip.samples().div_ceil(samples.max(1))],
            };
            self.tracks.insert(key, track);
        }
        self.tracks.get_mut(&key)?.packet(number, samples)
    }

    /// Pieces that nobody else knows any more, once there are many.
    fn forget_unused(&mut self) {
        if self.tracks.len() >= MAX_TRACKS {
            self.purge();
        }
        if self.tracks.len() >= MAX_TRACKS {
            self.tracks.clear(); // all over again, which costs what it did at first
        }
    }

    /// Other prompts have come: what only we still hold goes.
    pub fn purge(&mut self) {
        // One hold a track: a piece in several of them is seen as used, and goes with the next change.
        self.tracks.retain(|_, track| Arc::strong_count(&track.clip) > 1);
    }
}

impl Track {
    fn packet(&mut self, number: usize, samples: usize) -> Option<&[u8]> {
        let slot = self.packets.get_mut(number)?;
        if matches!(slot, Packet::NotYet) {
            let octets = self.clip.octets(Law::A);
            let from = (number * samples).min(octets.len());
            let part = &octets[from..(from + samples).min(octets.len())];
            let mut sound = [0; MAX_PAYLOAD];
            for (sample, octet) in sound.iter_mut().zip(part) {
                *sample = g711::decode(Law::A, *octet);
            }
            let mut payload = [0; MAX_PAYLOAD];
            let length = self.encoder.encode(&sound[..samples.min(MAX_PAYLOAD)], &mut payload);
            *slot = match length {
                Some(length) => Packet::Octets(payload[..length].into()),
                None => Packet::Nothing,
            };
        }
        match slot {
            Packet::Octets(octets) => Some(octets),
            Packet::NotYet | Packet::Nothing => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::api::Wishes;
    use crate::tone;
    use crate::voice::Decoder;

    fn format(codec: Codec) -> Format {
        Format {
            codec,
            payload_type: 9,
            ptime: Duration::from_millis(20),
            telephone_event: None,
            event_rate: 8_000,
            wishes: Wishes::default(),
        }
    }

    fn sine() -> Arc<Clip> {
        let samples: Vec<i16> = (0..8_100)
            .map(|n| ((f64::from(n) * 700.0 / 8000.0 * std::f64::consts::TAU).sin() * 9000.0) as i16)
            .collect();
        Arc::new(Clip::new(&samples))
    }

    #[test]
    fn each_packet_is_encoded_once_and_sounds() {
        for codec in [Codec::G722, Codec::Opus].into_iter().filter(|codec| codec.is_built()) {
            let (clip, format) = (sine(), format(codec));
            let mut encodings = Encodings::default();
            let mut first = Vec::new();
            let mut decoder = Decoder::new(codec, 8_000).unwrap();
            let mut heard = Vec::new();
            for number in 0..51 {
                let step = Step::Clip(&clip, number * 160);
                let payload = encodings.step(&step, &format, 160).unwrap();
                decoder.decode(payload, &mut heard);
                first.push(payload.as_ptr());
            }
            assert_eq!(heard.len(), 51 * 160, "{codec:?}");
            assert!(tone::purity(&heard[800..7_800], 700.0, 8_000) > 0.98, "{codec:?}");
            assert!(encodings.step(&Step::Clip(&clip, 51 * 160), &format, 160).is_none());
            for (number, known) in first.into_iter().enumerate() {
                let again = encodings.step(&Step::Clip(&clip, number * 160), &format, 160);
                assert_eq!(again.unwrap().as_ptr(), known, "the very same octets");
            }
            let at = |position| 50 * 160 * 1_000 + position;
            let one = encodings.endless(&clip, at(0), &format, 160).unwrap().as_ptr();
            let other = encodings.endless(&clip, at(120), &format, 160).unwrap().as_ptr();
            assert_eq!(one, other, "whoever hears it within a packet's time hears the same");
            assert_eq!(encodings.tracks.len(), 1);
        }
    }

    #[test]
    fn pieces_that_are_gone_are_forgotten() {
        let format = format(Codec::G722);
        let (kept, gone) = (sine(), sine());
        let mut encodings = Encodings::default();
        for clip in [&kept, &gone] {
            encodings.step(&Step::Clip(clip, 0), &format, 160).unwrap();
        }
        drop(gone);
        encodings.purge();
        assert_eq!(encodings.tracks.len(), 1);
        encodings.step(&Step::Silence, &format, 480).unwrap();
        assert_eq!(encodings.tracks.len(), 2);
    }
}
