//! G.722 at 64 kbit/s (ITU-T G.722): 7 kHz in two bands of ADPCM, one octet for two samples at 16 kHz.
//!
//! Both ways also work at 8 kHz: the lower band alone is what a narrow-band codec would have, so that between G.722 and G.711 nothing is resampled.
//! After the public-domain code of Steve Underwood (SpanDSP, sippy/libg722), itself after CMU's; block numbers are the recommendation's.

const LOWER_WEIGHT: [i32; 8] = [-60, -30, 58, 172, 334, 538, 1198, 3042];
const LOWER_CODE: [u8; 16] = [0, 7, 6, 5, 4, 3, 2, 1, 7, 6, 5, 4, 3, 2, 1, 0];
const INVERSE_LOG: [i32; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834,
    2896, 2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];
const HIGHER_WEIGHT: [i32; 3] = [0, -214, 798];
const HIGHER_CODE: [u8; 4] = [2, 1, 2, 1];
const LEVELS_2: [i32; 4] = [-7408, -1616, 7408, 1616];
const LEVELS_4: [i32; 16] = [
    0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584,
    1200, 0,
];
const LEVELS_6: [i32; 64] = [
    -136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232,
    -9360, -8576, -7856, -7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776,
    -2400, -2032, -1688, -1360, -1040, -728, 24808, 21904, 19008, 16704, 14984, 13512, 12280,
    11192, 10232, 9360, 8576, 7856, 7192, 6576, 6000, 5456, 4944, 4464, 4008, 3576, 3168, 2776,
    2400, 2032, 1688, 1360, 1040, 728, 432, 136, -432, -136,
];
const DECISIONS: [i32; 30] = [
    0, 35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940,
    1023, 1121, 1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919,
];
const LOWER_NEGATIVE: [u8; 31] = [
    0, 63, 62, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11,
    10, 9, 8, 7, 6, 5, 4,
];
const LOWER_POSITIVE: [u8; 31] = [
    0, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41, 40, 39,
    38, 37, 36, 35, 34, 33, 32,
];
/// The quadrature mirror filter that splits and joins the bands (half of its symmetric impulse response).
const MIRROR: [i32; 12] = [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11];

/// Samples a second on the far side of the codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// 16 kHz: both bands.
    Wide,
    /// 8 kHz: the lower band alone.
    Narrow,
}

/// The adaptive predictor and quantiser of one band.
#[derive(Clone, Debug, Default)]
struct Band {
    prediction: i32,
    zeros: i32,
    reconstructed: [i32; 3],
    poles: [i32; 3],
    partial: [i32; 3],
    differences: [i32; 7],
    coefficients: [i32; 7],
    log_scale: i32,
    scale: i32,
}

impl Band {
    fn new(scale: i32) -> Band {
        Band {
            scale,
            ..Band::default()
        }
    }

    fn difference(&self, level: i32) -> i32 {
        (self.scale * level) >> 15
    }

    /// Blocks 3L and 3H: the quantiser's scale for the next sample.
    fn rescale(&mut self, weight: i32, log_max: i32, shift: i32) {
        self.log_scale = (((self.log_scale * 127) >> 7) + weight).clamp(0, log_max);
        let mantissa = INVERSE_LOG[(self.log_scale >> 6 & 31) as usize];
        let shift = shift - (self.log_scale >> 11);
        let scale = match shift < 0 {
            true => mantissa << -shift,
            false => mantissa >> shift,
        };
        self.scale = scale << 2;
    }

    /// Block 4: the predictor for the next sample.
    fn adapt(&mut self, difference: i32) {
        self.differences[0] = difference;
        self.reconstructed[0] = saturate(self.prediction + difference);
        self.partial[0] = saturate(self.zeros + difference);
        let poles = self.next_poles();
        let step = if difference == 0 { 0 } else { 128 };
        for i in 1..7 {
            let same = (self.differences[i] >> 15) == (difference >> 15);
            let leaked = (self.coefficients[i] * 32_640) >> 15;
            self.coefficients[i] = saturate(leaked + if same { step } else { -step });
        }
        self.differences.copy_within(0..6, 1);
        self.reconstructed.copy_within(0..2, 1);
        self.partial.copy_within(0..2, 1);
        self.poles[1..].copy_from_slice(&poles);
        let doubled = |value: i32| saturate(value + value);
        let pole = |i: usize| (self.poles[i] * doubled(self.reconstructed[i])) >> 15;
        let zero = |i: usize| (self.coefficients[i] * doubled(self.differences[i])) >> 15;
        let (poles, zeros) = (saturate(pole(1) + pole(2)), (1..7).map(zero).sum());
        self.zeros = saturate(zeros);
        self.prediction = saturate(poles + self.zeros);
    }

    /// UPPOL1 and UPPOL2.
    fn next_poles(&self) -> [i32; 2] {
        let sign = self.partial.map(|partial| partial >> 15);
        let doubled = saturate(self.poles[1] << 2);
        let toward = if sign[0] == sign[1] {
            -doubled
        } else {
            doubled
        }
        .min(32_767);
        let step = if sign[0] == sign[2] { 128 } else { -128 };
        let second =
            ((toward >> 7) + step + ((self.poles[2] * 32_512) >> 15)).clamp(-12_288, 12_288);
        let step = if sign[0] == sign[1] { 192 } else { -192 };
        let bound = saturate(15_360 - second);
        let first = saturate(step + ((self.poles[1] * 32_640) >> 15)).clamp(-bound, bound);
        [first, second]
    }
}

fn saturate(value: i32) -> i32 {
    value.clamp(i32::from(i16::MIN), i32::from(i16::MAX))
}

/// Both bands, and what the mirror filter remembers.
#[derive(Clone, Debug)]
struct Bands {
    rate: Rate,
    lower: Band,
    higher: Band,
    history: [i32; 24],
}

impl Bands {
    fn new(rate: Rate) -> Bands {
        Bands {
            rate,
            lower: Band::new(32),
            higher: Band::new(8),
            history: [0; 24],
        }
    }

    /// The lower band after a code of six bits, of which four drive the predictor.
    fn adapt_lower(&mut self, code: u8) {
        let code = usize::from(code >> 2);
        let difference = self.lower.difference(LEVELS_4[code]);
        let weight = LOWER_WEIGHT[usize::from(LOWER_CODE[code])];
        self.lower.rescale(weight, 18_432, 8);
        self.lower.adapt(difference);
    }

    /// The higher band after a code of two bits; gives the difference that it stands for.
    fn adapt_higher(&mut self, code: u8) -> i32 {
        let code = usize::from(code);
        let difference = self.higher.difference(LEVELS_2[code]);
        let weight = HIGHER_WEIGHT[usize::from(HIGHER_CODE[code])];
        self.higher.rescale(weight, 22_528, 10);
        self.higher.adapt(difference);
        difference
    }

    /// Takes two more values into the mirror filter, and gives both of its sums.
    fn mirror(&mut self, a: i32, b: i32) -> (i32, i32) {
        self.history.copy_within(2.., 0);
        (self.history[22], self.history[23]) = (a, b);
        let tap = |i: usize| {
            (
                self.history[2 * i] * MIRROR[i],
                self.history[2 * i + 1] * MIRROR[11 - i],
            )
        };
        (0..12)
            .map(tap)
            .fold((0, 0), |sum, tap| (sum.0 + tap.0, sum.1 + tap.1))
    }
}

/// Samples to octets.
#[derive(Clone, Debug)]
pub struct Encoder(Bands);

impl Encoder {
    pub fn new(rate: Rate) -> Encoder {
        Encoder(Bands::new(rate))
    }

    /// Appends one octet for each two samples (each one at 8 kHz); an odd last sample is left out.
    pub fn encode(&mut self, samples: &[i16], out: &mut Vec<u8>) {
        match self.0.rate {
            Rate::Wide => out.extend(samples.chunks_exact(2).map(|pair| {
                let (odd, even) = self.0.mirror(pair[0].into(), pair[1].into());
                self.octet((even + odd) >> 14, Some((even - odd) >> 14))
            })),
            Rate::Narrow => out.extend(
                samples
                    .iter()
                    .map(|sample| self.octet(i32::from(*sample) >> 1, None)),
            ),
        }
    }

    fn octet(&mut self, low: i32, high: Option<i32>) -> u8 {
        let error = saturate(low - self.0.lower.prediction);
        let size = if error >= 0 { error } else { -(error + 1) };
        let place = (1..30)
            .find(|&i| size < (DECISIONS[i] * self.0.lower.scale) >> 12)
            .unwrap_or(30);
        let code = match error < 0 {
            true => LOWER_NEGATIVE[place],
            false => LOWER_POSITIVE[place],
        };
        self.0.adapt_lower(code);
        // Without a higher band its bits say the least that they can.
        let higher = high.map_or(3, |high| self.higher(high));
        higher << 6 | code
    }

    fn higher(&mut self, high: i32) -> u8 {
        let error = saturate(high - self.0.higher.prediction);
        let size = if error >= 0 { error } else { -(error + 1) };
        let outer = size >= (564 * self.0.higher.scale) >> 12;
        let code = match (error < 0, outer) {
            (true, false) => 1,
            (true, true) => 0,
            (false, false) => 3,
            (false, true) => 2,
        };
        self.0.adapt_higher(code);
        code
    }
}

/// Octets to samples.
#[derive(Clone, Debug)]
pub struct Decoder(Bands);

impl Decoder {
    pub fn new(rate: Rate) -> Decoder {
        Decoder(Bands::new(rate))
    }

    /// Appends two samples for each octet (one at 8 kHz).
    pub fn decode(&mut self, octets: &[u8], out: &mut Vec<i16>) {
        const LIMIT: std::ops::RangeInclusive<i32> = -16_384..=16_383;
        for octet in octets {
            let (code, higher) = (octet & 0x3f, octet >> 6);
            let difference = self.0.lower.difference(LEVELS_6[usize::from(code)]);
            let low = self.0.lower.prediction + difference;
            let low = low.clamp(*LIMIT.start(), *LIMIT.end());
            self.0.adapt_lower(code);
            if self.0.rate == Rate::Narrow {
                out.push((low << 1) as i16);
                continue;
            }
            let before = self.0.higher.prediction;
            let high = before + self.0.adapt_higher(higher);
            let high = high.clamp(*LIMIT.start(), *LIMIT.end());
            let (second, first) = self.0.mirror(low + high, low - high);
            out.push(saturate(first >> 11) as i16);
            out.push(saturate(second >> 11) as i16);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tone;

    fn sine(hertz: f64, rate: f64, count: usize) -> Vec<i16> {
        (0..count)
            .map(|n| ((n as f64 * hertz / rate * std::f64::consts::TAU).sin() * 8000.0) as i16)
            .collect()
    }

    fn through(encode: Rate, decode: Rate, samples: &[i16]) -> Vec<i16> {
        let (mut octets, mut heard) = (Vec::new(), Vec::new());
        Encoder::new(encode).encode(samples, &mut octets);
        Decoder::new(decode).decode(&octets, &mut heard);
        heard
    }

    #[test]
    fn tones_of_both_bands_come_through() {
        for hertz in [300.0, 1004.0, 3000.0, 5000.0, 6500.0] {
            let heard = through(Rate::Wide, Rate::Wide, &sine(hertz, 16_000.0, 16_000));
            assert_eq!(heard.len(), 16_000);
            let purity = tone::purity(&heard[1_600..], hertz, 16_000);
            assert!(purity > 0.98, "{hertz} Hz: {purity}");
            let level = tone::goertzel(&heard[1_600..], hertz, 16_000);
            let sent = (8000.0f64 / 32_768.0).powi(2) / 2.0;
            assert!((level / sent - 1.0).abs() < 0.15, "{hertz} Hz: {level}");
        }
    }

    #[test]
    fn the_lower_band_alone_is_narrow_band_sound_in_each_direction() {
        for (encode, decode) in [
            (Rate::Narrow, Rate::Narrow),
            (Rate::Narrow, Rate::Wide),
            (Rate::Wide, Rate::Narrow),
        ] {
            let rate = |rate| if rate == Rate::Wide { 16_000 } else { 8_000 };
            let from = f64::from(rate(encode));
            let heard = through(encode, decode, &sine(1004.0, from, rate(encode) as usize));
            assert_eq!(heard.len(), rate(decode) as usize);
            let purity = tone::purity(&heard[1_600..], 1004.0, rate(decode));
            assert!(purity > 0.98, "{encode:?} to {decode:?}: {purity}");
        }
    }

    #[test]
    fn the_extremes_do_not_wrap_and_silence_stays_quiet() {
        let square: Vec<i16> = (0..8_000)
            .map(|n| if n / 40 % 2 == 0 { i16::MAX } else { i16::MIN })
            .collect();
        let heard = through(Rate::Wide, Rate::Wide, &square);
        let same = square[2_000..]
            .iter()
            .zip(&heard[2_022..])
            .filter(|(a, b)| (**a < 0) == (**b < 0))
            .count();
        assert!(same > 5_500, "{same} of the signs are right");
        let quiet = through(Rate::Wide, Rate::Wide, &[0; 1_600]);
        assert!(quiet.iter().all(|sample| sample.abs() < 16));
    }
}
