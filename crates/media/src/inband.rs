//! Keys as pairs of tones (ITU-T Q.23, Q.24): heard in the sound of telephones that send no events, and made for them.

use std::f64::consts::TAU;

use crate::g711::RATE;

const LOW: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
const HIGH: [f64; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
const KEYS: [[char; 4]; 4] = [
    ['1', '2', '3', 'A'],
    ['4', '5', '6', 'B'],
    ['7', '8', '9', 'C'],
    ['*', '0', '#', 'D'],
];

/// Samples looked at together: short enough for two of them in the 40 ms that Q.24 asks for, long enough to keep the tones apart.
const BLOCK: usize = 102;
/// Blocks in a row that must have the same key; and as many without it end it, so that a short break is none.
const SURE: u8 = 2;
/// Least mean square of each tone: -36 dBm0, a little below what Q.24 wants heard.
const FLOOR: f64 = 3e-5;
/// The tones' share of all that is heard: in speech there is more beside them.
const SHARE: f64 = 0.82;
/// A tone over the next one of its group.
const ABOVE: f64 = 6.3;
/// High over low, and low over high (twist): 8 dB and 4 dB with what lines add.
const TWIST: f64 = 6.3;
const REVERSE_TWIST: f64 = 4.0;

/// Listens to one stream at 8 kHz.
#[derive(Debug)]
pub struct Detector {
    block: [i16; BLOCK],
    filled: usize,
    /// In the newest block, and for how many blocks.
    seen: Option<char>,
    blocks: u8,
    /// The key that is held.
    held: Option<char>,
}

impl Detector {
    pub fn new() -> Self {
        Detector {
            block: [0; BLOCK],
            filled: 0,
            seen: None,
            blocks: 0,
            held: None,
        }
    }

    /// Takes samples in, and gives the key that is pressed with them, if one is: at most one a packet, as no key is that short.
    pub fn hear(&mut self, samples: impl Iterator<Item = i16>) -> Option<char> {
        let mut pressed = None;
        for sample in samples {
            self.block[self.filled] = sample;
            self.filled += 1;
            if self.filled == BLOCK {
                self.filled = 0;
                pressed = self.look().or(pressed);
            }
        }
        pressed
    }

    /// Nothing has come for a while: whatever was held is let go.
    pub fn pause(&mut self) {
        *self = Detector::new();
    }

    fn look(&mut self) -> Option<char> {
        let found = key_in(&self.block);
        self.blocks = match found == self.seen {
            true => self.blocks.saturating_add(1),
            false => 1,
        };
        self.seen = found;
        if self.blocks != SURE || self.held == found {
            return None;
        }
        self.held = found;
        found
    }
}

/// The key whose tones a block has, and little else.
fn key_in(block: &[i16; BLOCK]) -> Option<char> {
    let power = |hertz: f64| crate::tone::goertzel(block, hertz, RATE);
    let total = block
        .iter()
        .map(|sample| (f64::from(*sample) / 32_768.0).powi(2))
        .sum::<f64>()
        / BLOCK as f64;
    if total < FLOOR * 2.0 {
        return None;
    }
    let (row, low) = loudest(LOW.map(power))?;
    let (column, high) = loudest(HIGH.map(power))?;
    let twisted = high > low * TWIST || low > high * REVERSE_TWIST;
    let fits = low > FLOOR && high > FLOOR && !twisted && low + high > total * SHARE;
    fits.then(|| KEYS[row][column])
}

/// The strongest of four tones, if it stands out.
fn loudest(powers: [f64; 4]) -> Option<(usize, f64)> {
    let (place, most) = powers
        .into_iter()
        .enumerate()
        .max_by(|a, b| a.1.total_cmp(&b.1))?;
    let beside = powers.iter().enumerate().filter(|(at, _)| *at != place);
    beside
        .into_iter()
        .all(|(_, power)| most > power * ABOVE)
        .then_some((place, most))
}

/// Amplitudes of the two tones: -9 and -7 dBm0, the higher one louder as lines take more of it.
const AMPLITUDES: (f64, f64) = (32_124.0 * 0.246, 32_124.0 * 0.310);
/// A key and the pause after it, as for events.
const PRESS: usize = 800;
const PAUSE: usize = 640;

/// The sound of keys at 8 kHz; characters that are no key are left out.
pub fn sound(keys: &str) -> Vec<i16> {
    keys.chars().filter_map(tones).flat_map(one).collect()
}

fn one((low, high): (f64, f64)) -> impl Iterator<Item = i16> {
    (0..PRESS + PAUSE).map(move |n| {
        if n >= PRESS {
            return 0;
        }
        let phase = n as f64 / f64::from(RATE) * TAU;
        ((phase * low).sin() * AMPLITUDES.0 + (phase * high).sin() * AMPLITUDES.1) as i16
    })
}

fn tones(key: char) -> Option<(f64, f64)> {
    let key = key.to_ascii_uppercase();
    KEYS.iter().enumerate().find_map(|(row, keys)| {
        let column = keys.iter().position(|one| *one == key)?;
        Some((LOW[row], HIGH[column]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::g711::{self, Law};

    fn heard(samples: &[i16]) -> String {
        let mut detector = Detector::new();
        samples
            .chunks(160)
            .filter_map(|packet| detector.hear(packet.iter().copied()))
            .collect()
    }

    #[test]
    fn every_key_is_heard_once_in_each_law_at_each_level() {
        let all = "0123456789*#ABCD";
        for law in [Law::Mu, Law::A] {
            for divisor in [1, 4, 16] {
                let sound: Vec<i16> = sound(all)
                    .iter()
                    .map(|sample| g711::decode(law, g711::encode(law, sample / divisor)))
                    .collect();
                assert_eq!(heard(&sound), all, "{law:?} at 1/{divisor}");
            }
        }
    }

    #[test]
    fn a_key_held_is_one_and_the_same_key_twice_is_two() {
        let tone = |length: usize| -> Vec<i16> {
            (0..length)
                .map(|n| {
                    let phase = n as f64 / f64::from(RATE) * TAU;
                    ((phase * 770.0).sin() * 7_000.0 + (phase * 1336.0).sin() * 8_000.0) as i16
                })
                .collect()
        };
        assert_eq!(heard(&tone(8_000)), "5");
        assert_eq!(heard(&sound("55")), "55");
        // 40 ms are a key, 15 ms are none (Q.24).
        assert_eq!(heard(&[tone(320), vec![0; 800]].concat()), "5");
        assert_eq!(heard(&[tone(120), vec![0; 800]].concat()), "");
    }

    #[test]
    fn a_telephone_that_sends_no_silence_lets_a_key_go_all_the_same() {
        let key = sound("7");
        let mut detector = Detector::new();
        let press = |detector: &mut Detector| detector.hear(key[..PRESS].iter().copied());
        assert_eq!(press(&mut detector), Some('7'));
        assert_eq!(press(&mut detector), None, "held");
        detector.pause();
        assert_eq!(press(&mut detector), Some('7'));
    }

    #[test]
    fn single_tones_twisted_pairs_and_noise_are_no_keys() {
        let pair = |low: f64, a: f64, high: f64, b: f64| -> Vec<i16> {
            (0..8_000)
                .map(|n| {
                    let phase = f64::from(n) / f64::from(RATE) * TAU;
                    ((phase * low).sin() * a + (phase * high).sin() * b) as i16
                })
                .collect()
        };
        assert_eq!(heard(&pair(770.0, 9_000.0, 1336.0, 0.0)), "");
        assert_eq!(heard(&pair(770.0, 800.0, 1336.0, 9_000.0)), "", "twist");
        assert_eq!(heard(&pair(770.0, 9_000.0, 1336.0, 3_000.0)), "", "reverse");
        assert_eq!(heard(&pair(440.0, 8_000.0, 1004.0, 8_000.0)), "");
        assert_eq!(heard(&pair(740.0, 8_000.0, 1280.0, 8_000.0)), "", "4 % off");
        let mut state = 1u32;
        let noise: Vec<i16> = (0..80_000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 17) as i16
            })
            .collect();
        assert_eq!(heard(&noise), "");
    }
}
