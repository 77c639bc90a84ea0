//! What the simulated people say: speech-like sound made once, sent as G.711 in RTP every 20 ms, and RFC 4733 keys in between.

use std::collections::VecDeque;
use std::f64::consts::TAU;
use std::net::SocketAddr;
use std::time::Duration;

use clock::Time;
use media::rtp::{Fixed, HEADER};
use sip::sdp::{Codec, Negotiated};

/// Time between packets, and samples in one.
pub const PACKET: Duration = Duration::from_millis(20);
const SAMPLES: usize = 160;
/// Octets of the largest packet.
pub const PACKET_OCTETS: usize = HEADER + SAMPLES;
/// A sender this late begins anew in place of catching up.
const LATE: Duration = Duration::from_millis(200);
/// Packets of a key while it is down (120 ms), and the repeated last one (RFC 4733 section 2.5.1.4).
const DOWN: u16 = 6;
const ENDS: u16 = 3;
/// Keys that may wait.
const KEYS_MAX: usize = 16;
/// Pitches of the voices in hertz: callers and agents by turns.
const PITCHES: [f64; 8] = [108.0, 196.0, 126.0, 221.0, 142.0, 178.0, 99.0, 208.0];
/// A voice repeats after so many packets (5 s): half of it speech, the other half the other one's turn.
const LOOP: usize = 250;

/// Every voice in both laws.
pub struct Voices {
    ulaw: Vec<Vec<u8>>,
    alaw: Vec<Vec<u8>>,
}

impl Voices {
    pub fn make() -> Self {
        let samples: Vec<Vec<i16>> = (0..PITCHES.len()).map(speech).collect();
        let coded = |law| {
            samples
                .iter()
                .map(|voice| media::tone::encode(law, voice))
                .collect()
        };
        Voices {
            ulaw: coded(media::g711::Law::Mu),
            alaw: coded(media::g711::Law::A),
        }
    }

    fn packet(&self, codec: Codec, voice: usize, at: usize) -> &[u8] {
        let voices = match codec {
            Codec::Pcmu => &self.ulaw,
            // Those telephones offer G.711 alone.
            Codec::Pcma | Codec::G722 | Codec::Opus => &self.alaw,
        };
        let from = at % LOOP * SAMPLES;
        &voices[voice % PITCHES.len()][from..from + SAMPLES]
    }
}

/// A buzz of a few harmonics in syllables: enough for an ear, a level meter and a speech detector.
fn speech(voice: usize) -> Vec<i16> {
    let rate = f64::from(media::g711::RATE);
    let turn = if voice.is_multiple_of(2) {
        0
    } else {
        LOOP * SAMPLES / 2
    };
    (0..LOOP * SAMPLES)
        .map(|n| {
            let at = (n + turn) % (LOOP * SAMPLES);
            if at >= LOOP * SAMPLES / 2 {
                return 0;
            }
            let seconds = at as f64 / rate;
            let syllable =
                (TAU * 2.0 * seconds).sin().abs() * (1.0 + (TAU * 0.7 * seconds).sin()) / 2.0;
            let pitch = PITCHES[voice] * (1.0 + 0.04 * (TAU * 1.3 * seconds).sin());
            let harmonics = [(1.0, 1.0), (2.0, 0.6), (4.0, 0.5), (7.0, 0.3), (11.0, 0.15)];
            let sound: f64 = harmonics
                .iter()
                .map(|(harmonic, level)| (TAU * pitch * harmonic * seconds).sin() * level)
                .sum();
            (sound * syllable * 3_500.0) as i16
        })
        .collect()
}

/// A key going out.
struct Press {
    event: u8,
    began: u32,
    sent: u16,
}

/// One direction of one call's speech, and how much of the other has come.
pub struct Stream {
    agreed: Negotiated,
    voice: usize,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    next: Time,
    spoken: usize,
    waiting: VecDeque<u8>,
    press: Option<Press>,
    pub sent: u64,
    pub heard: u64,
}

impl Stream {
    pub fn new(now: Time, agreed: Negotiated, voice: usize, ssrc: u32) -> Self {
        Stream {
            agreed,
            voice,
            ssrc,
            sequence: ssrc as u16,
            timestamp: ssrc.rotate_left(7),
            // Not everybody in the same millisecond.
            next: now + Duration::from_millis(u64::from(ssrc % 20)),
            spoken: 0,
            waiting: VecDeque::new(),
            press: None,
            sent: 0,
            heard: 0,
        }
    }

    pub fn remote(&self) -> SocketAddr {
        self.agreed.remote
    }

    /// A new agreement on the same call, e.g. hold.
    pub fn update(&mut self, agreed: Negotiated) {
        self.agreed = agreed;
    }

    /// Presses a key after those that wait.
    pub fn press(&mut self, key: char) {
        let event = "0123456789*#".find(key);
        if let Some(event) = event.filter(|_| self.waiting.len() < KEYS_MAX) {
            self.waiting.push_back(event as u8);
        }
    }

    /// Writes the packet that is due, and gives its length.
    pub fn speak(
        &mut self,
        now: Time,
        voices: &Voices,
        packet: &mut [u8; PACKET_OCTETS],
    ) -> Option<usize> {
        if now < self.next {
            return None;
        }
        if now.since(self.next) > LATE {
            let missed = (now.since(self.next).as_millis() / PACKET.as_millis()) as u32;
            self.timestamp = self
                .timestamp
                .wrapping_add(missed.wrapping_mul(SAMPLES as u32));
            self.next += PACKET * missed;
        }
        self.next += PACKET;
        let length = self
            .agreed
            .direction
            .sends()
            .then(|| self.fill(voices, packet));
        self.timestamp = self.timestamp.wrapping_add(SAMPLES as u32);
        self.spoken += 1;
        if length.is_some() {
            self.sequence = self.sequence.wrapping_add(1);
            self.sent += 1;
        }
        length
    }

    fn fill(&mut self, voices: &Voices, packet: &mut [u8; PACKET_OCTETS]) -> usize {
        if self.press.is_none() {
            self.press = self.waiting.pop_front().map(|event| Press {
                event,
                began: self.timestamp,
                sent: 0,
            });
        }
        if let (Some(press), Some(payload_type)) = (&mut self.press, self.agreed.telephone_event) {
            let header = Fixed {
                marker: press.sent == 0,
                payload_type,
                sequence: self.sequence,
                timestamp: press.began,
                ssrc: self.ssrc,
            };
            press.sent += 1;
            let end = press.sent > DOWN;
            let [high, low] = (press.sent.min(DOWN) * SAMPLES as u16).to_be_bytes();
            packet[..HEADER].copy_from_slice(&header.octets());
            packet[HEADER..HEADER + 4].copy_from_slice(&[
                press.event,
                u8::from(end) << 7 | 10,
                high,
                low,
            ]);
            if press.sent == DOWN + ENDS {
                self.press = None;
            }
            return HEADER + 4;
        }
        let header = Fixed {
            marker: self.spoken == 0,
            payload_type: self.agreed.payload_type,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
        };
        packet[..HEADER].copy_from_slice(&header.octets());
        packet[HEADER..].copy_from_slice(voices.packet(self.agreed.codec, self.voice, self.spoken));
        PACKET_OCTETS
    }
}
