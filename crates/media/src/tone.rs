//! Sine tones: exact ones to send, and a detector for tests and later for in-band DTMF.

use std::f64::consts::TAU;

use crate::g711::{self, Law, RATE};

/// Amplitude of a sine of -10 dBm0 in 16-bit samples: digital full scale is +3.17 dBm0 (ITU-T G.711).
const AMPLITUDE: f64 = 32_124.0 * 0.219_5;

/// The shortest run of samples after which a tone of `hertz` repeats exactly, at 8 kHz and -10 dBm0: 2000 for 1004 Hz.
/// Played in a loop it is phase-continuous for ever. Frequencies wrap at the sampling rate.
pub fn cycle(hertz: u32) -> Vec<i16> {
    let hertz = hertz % RATE;
    let period = RATE / gcd(RATE, hertz);
    (0..period)
        .map(|n| {
            // The phase is reduced in integers, so that the last sample is as exact as the first.
            let phase = f64::from(n) * f64::from(hertz) % f64::from(RATE) / f64::from(RATE);
            ((phase * TAU).sin() * AMPLITUDE).round() as i16
        })
        .collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Power of one frequency in `samples` by the Goertzel algorithm, as the mean square of that sine:
/// a full-scale sine at `hz` gives about 0.5, silence 0. `rate` is in samples a second.
pub fn goertzel(samples: &[i16], hz: f64, rate: u32) -> f64 {
    if samples.is_empty() {
        return 0.0;
    }
    let coefficient = 2.0 * (TAU * hz / f64::from(rate)).cos();
    let (mut before, mut last) = (0.0, 0.0);
    for sample in samples {
        let next = f64::from(*sample) / 32_768.0 + coefficient * last - before;
        (before, last) = (last, next);
    }
    let power = last * last + before * before - coefficient * last * before;
    2.0 * power / (samples.len() as f64).powi(2)
}

/// Share of the samples' power that lies at one frequency: near 1 for a clean tone of it, near 0 for anything else.
pub fn purity(samples: &[i16], hz: f64, rate: u32) -> f64 {
    let total = samples
        .iter()
        .map(|sample| (f64::from(*sample) / 32_768.0).powi(2))
        .sum::<f64>()
        / samples.len().max(1) as f64;
    if total == 0.0 {
        0.0
    } else {
        goertzel(samples, hz, rate) / total
    }
}

/// A payload as samples, for tests that listen.
pub fn decode(law: Law, payload: &[u8]) -> Vec<i16> {
    payload
        .iter()
        .map(|octet| g711::decode(law, *octet))
        .collect()
}

/// Samples as a payload, for tests that speak.
pub fn encode(law: Law, samples: &[i16]) -> Vec<u8> {
    samples
        .iter()
        .map(|sample| g711::encode(law, *sample))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_of_1004_hertz_repeats_after_2000_samples_and_is_pure() {
        let cycle = cycle(1004);
        assert_eq!(cycle.len(), 2000);
        let twice: Vec<i16> = cycle.iter().chain(&cycle).copied().collect();
        assert!(purity(&twice, 1004.0, RATE) > 0.999_9);
        assert!(purity(&twice, 1000.0, RATE) < 0.01);
        let coded = decode(Law::Mu, &encode(Law::Mu, &twice));
        assert!(purity(&coded, 1004.0, RATE) > 0.999);
        let dbm0 = 10.0 * (goertzel(&twice, 1004.0, RATE) / 0.5).log10() + 3.17;
        assert!((dbm0 + 10.0).abs() < 0.2, "{dbm0}");
    }

    #[test]
    fn silence_and_odd_frequencies_do_no_harm() {
        assert_eq!(cycle(0), [0]);
        assert_eq!(cycle(8000), [0]);
        assert_eq!(cycle(4000).len(), 2);
        assert_eq!(goertzel(&[], 1000.0, RATE), 0.0);
        assert_eq!(purity(&[0; 160], 1000.0, RATE), 0.0);
    }
}
