//! What is played to codecs that are encoded with a state (G.722, Opus): encoded packet by packet when the first listener comes to it, and sent to all
//! who come after as it is.
//!
//! The decoder at the other end follows the encoder's state. A piece begins in silence, where all states are alike; music that goes round does not: it has
//! one encoder that goes on, and a packet of it serves all who hear it at that moment.
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

/// Packets of music that are kept: twenty minutes of 20 ms.
const MAX_ROUND: usize = 60_000;
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
    endless: bool,
    fec: bool,
    dtx: bool,
}

#[derive(Debug)]
struct Track {
    clip: Arc<Clip>,
    endless: bool,
    encoder: Encoder,
    packets: Vec<Packet>,
}

#[derive(Clone, Debug)]
enum Packet {
    NotYet,
    /// Nothing need be sent for its time (DTX).
    Nothing,
    Octets(Box<[u8]>),
    /// Good for this packet since the epoch alone.
    Once(u64, Box<[u8]>),
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
        let number = position / samples.max(1) as u64;
        let track = self.track(clip, true, format, samples)?;
        let packets = track.packets.len() as u64;
        track.round(number, (number % packets) as usize, samples)
    }

    fn packet(
        &mut self,
        clip: &Arc<Clip>,
        number: usize,
        format: &Format,
        samples: usize,
    ) -> Option<&[u8]> {
        self.track(clip, false, format, samples)?
            .packet(number, samples)
    }

    fn track(
        &mut self,
        clip: &Arc<Clip>,
        endless: bool,
        format: &Format,
        samples: usize,
    ) -> Option<&mut Track> {
        let key = Key {
            clip: Arc::as_ptr(clip).addr(),
            codec: format.codec,
            milliseconds: samples as u32 * 1000 / RATE,
            endless,
            fec: format.wishes.fec,
            dtx: format.wishes.dtx,
        };
        if !self.tracks.contains_key(&key) {
            self.forget_unused();
            let encoder = Encoder::new(format.codec, RATE, format.wishes)?;
            let packets = match endless {
                true => round(clip.samples(), samples.max(1)),
                false => clip.samples().div_ceil(samples.max(1)),
            };
            let track = Track {
                clip: clip.clone(),
                endless,
                encoder,
                packets: vec![Packet::NotYet; packets],
            };
            self.tracks.insert(key, track);
        }
        self.tracks.get_mut(&key)
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
        self.tracks
            .retain(|_, track| Arc::strong_count(&track.clip) > 1);
    }
}

/// Packets until music stands at its beginning and at that of a packet again; where that is too long, what is left at its end is cut off.
fn round(length: usize, samples: usize) -> usize {
    let (mut a, mut b) = (length.max(1), samples);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    match length.max(1) / a {
        packets if packets <= MAX_ROUND => packets,
        _ => (length / samples).max(1),
    }
}

impl Track {
    fn packet(&mut self, number: usize, samples: usize) -> Option<&[u8]> {
        if matches!(self.packets.get(number)?, Packet::NotYet) {
            self.packets[number] = match self.encode(number, samples) {
                Some(octets) => Packet::Octets(octets),
                None => Packet::Nothing,
            };
        }
        self.packets[number].octets()
    }

    /// A packet of music by its number since the epoch.
    fn round(&mut self, at: u64, number: usize, samples: usize) -> Option<&[u8]> {
        let known = match self.packets.get(number)? {
            Packet::NotYet => false,
            Packet::Once(then, _) => *then == at,
            Packet::Nothing | Packet::Octets(_) => false,
        };
        if !known {
            self.packets[number] = match self.encode(number, samples) {
                Some(octets) => Packet::Once(at, octets),
                None => Packet::Once(at, Box::default()), // nothing
            };
        }
        self.packets[number].octets()
    }

    fn encode(&mut self, number: usize, samples: usize) -> Option<Box<[u8]>> {
        let octets = self.clip.octets(Law::A);
        // Music goes round, and round again where its length is no whole number of packets.
        let from = match self.endless {
            true => number * samples % octets.len().max(1),
            false => (number * samples).min(octets.len()),
        };
        let again = if self.endless { octets } else { &[] };
        let mut sound = [0; MAX_PAYLOAD];
        let all = octets[from..].iter().chain(again.iter().cycle());
        for (sample, octet) in sound.iter_mut().zip(all.take(samples)) {
            *sample = g711::decode(Law::A, *octet);
        }
        let mut payload = [0; MAX_PAYLOAD];
        let sound = &sound[..samples.min(MAX_PAYLOAD)];
        let length = self.encoder.encode(sound, &mut payload)?;
        Some(payload[..length].into())
    }
}

impl Packet {
    fn octets(&self) -> Option<&[u8]> {
        match self {
            Packet::Octets(octets) => Some(octets),
            Packet::Once(_, octets) => Some(&**octets).filter(|octets| !octets.is_empty()),
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

    fn sine(length: u32) -> Arc<Clip> {
        let samples: Vec<i16> = (0..length)
            .map(|n| {
                ((f64::from(n) * 700.0 / 8000.0 * std::f64::consts::TAU).sin() * 9000.0) as i16
            })
            .collect();
        Arc::new(Clip::new(&samples))
    }

    #[test]
    fn each_packet_is_encoded_once_and_sounds() {
        for codec in [Codec::G722, Codec::Opus]
            .into_iter()
            .filter(|codec| codec.is_built())
        {
            let (clip, music, format) = (sine(8_100), sine(8_000), format(codec));
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
            assert!(
                tone::purity(&heard[800..7_800], 700.0, 8_000) > 0.98,
                "{codec:?}"
            );
            assert!(
                encodings
                    .step(&Step::Clip(&clip, 51 * 160), &format, 160)
                    .is_none()
            );
            for (number, known) in first.into_iter().enumerate() {
                let again = encodings.step(&Step::Clip(&clip, number * 160), &format, 160);
                assert_eq!(again.unwrap().as_ptr(), known, "the very same octets");
            }
            let at = |position: u64| 50 * 160 * 1_000 + position;
            let mut heard = Vec::new();
            let mut decoder = Decoder::new(codec, 8_000).unwrap();
            for n in 0..150 {
                let payload = encodings
                    .endless(&music, at(n * 160), &format, 160)
                    .unwrap();
                decoder.decode(payload, &mut heard);
            }
            let seams = tone::purity(&heard[4_000..20_000], 700.0, 8_000);
            assert!(seams > 0.95, "{codec:?}: {seams} over two seams");
            let one = encodings
                .endless(&music, at(0), &format, 160)
                .unwrap()
                .as_ptr();
            let other = encodings
                .endless(&music, at(120), &format, 160)
                .unwrap()
                .as_ptr();
            assert_eq!(
                one, other,
                "whoever hears it within a packet's time hears the same"
            );
            assert_eq!(encodings.tracks.len(), 2, "as a piece, and as music");
        }
    }

    #[test]
    fn pieces_that_are_gone_are_forgotten() {
        let format = format(Codec::G722);
        let (kept, gone) = (sine(8_100), sine(8_100));
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
