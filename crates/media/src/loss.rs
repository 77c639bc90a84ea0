//! Concealment of lost packets for codecs that have none of their own: the last pitch period goes on and fades (after ITU-T G.711 appendix I).

/// Pitch that is looked for: 66 to 400 Hz.
const PITCH_HERTZ: (u32, u32) = (66, 400);
/// What is kept to find a period in: twice the longest one, and what it is compared with.
const HISTORY_MS: usize = 48;
/// Compared to tell a period.
const WINDOW_MS: usize = 16;
/// Full level for this long, silent after that long.
const HOLD_MS: usize = 10;
const FADE_MS: usize = 60;
/// Where real sound comes again, both are mixed for so long.
const JOIN_MS: usize = 4;

/// The newest sound of one sender.
#[derive(Debug)]
pub struct Concealer {
    per_ms: usize,
    history: Vec<i16>,
    /// What is repeated, once something has been lost; and samples made up since then.
    period: Vec<i16>,
    made: usize,
}

impl Concealer {
    pub fn new(rate: u32) -> Self {
        let per_ms = rate as usize / 1000;
        Concealer {
            per_ms,
            history: Vec::with_capacity(2 * HISTORY_MS * per_ms),
            period: Vec::new(),
            made: 0,
        }
    }

    /// Sound that has come; after a gap its beginning is mixed with what was made up.
    pub fn heard(&mut self, samples: &mut [i16]) {
        if self.made > 0 {
            let join = (JOIN_MS * self.per_ms).min(samples.len());
            for (n, sample) in samples[..join].iter_mut().enumerate() {
                let real = i32::from(*sample) * (n as i32 + 1);
                let made = i32::from(self.next()) * (join - n - 1) as i32;
                *sample = ((real + made) / join as i32) as i16;
            }
            self.made = 0;
        }
        let keep = HISTORY_MS * self.per_ms;
        let newest = &samples[samples.len().saturating_sub(keep)..];
        let surplus = (self.history.len() + newest.len()).saturating_sub(keep);
        self.history.drain(..surplus.min(self.history.len()));
        self.history.extend_from_slice(newest);
    }

    /// Appends sound in place of what was lost.
    pub fn conceal(&mut self, samples: usize, out: &mut Vec<i16>) {
        if self.made == 0 {
            let length = self.pitch();
            let from = self.history.len() - length;
            self.period.clear();
            self.period.extend_from_slice(&self.history[from..]);
        }
        for _ in 0..samples {
            let sample = self.next();
            out.push(sample);
        }
    }

    fn next(&mut self) -> i16 {
        let at = self.made;
        self.made += 1;
        let Some(sample) = self.period.get(at % self.period.len().max(1)) else {
            return 0; // nothing was ever heard
        };
        let (hold, silent) = (HOLD_MS * self.per_ms, FADE_MS * self.per_ms);
        let level = (silent.saturating_sub(at)).min(silent - hold) as i64;
        (i64::from(*sample) * level / (silent - hold) as i64) as i16
    }

    /// Length of the newest period: where the sound resembles itself most.
    fn pitch(&self) -> usize {
        let rate = self.per_ms as u32 * 1000;
        let (shortest, longest) = (rate / PITCH_HERTZ.1, rate / PITCH_HERTZ.0);
        let window = WINDOW_MS * self.per_ms;
        let newest = self.history.len();
        let fitting = newest.saturating_sub(window).min(longest as usize);
        let resemblance = |lag: usize| {
            let now = &self.history[newest - window..];
            let then = &self.history[newest - window - lag..newest - lag];
            let product = |a: &[i16], b: &[i16]| -> f64 {
                a.iter()
                    .zip(b)
                    .map(|(a, b)| f64::from(*a) * f64::from(*b))
                    .sum()
            };
            product(now, then) / (product(then, then).sqrt() + 1.0)
        };
        (shortest as usize..=fitting)
            .map(|lag| (lag, resemblance(lag)))
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .map_or(fitting.min(newest), |(lag, _)| lag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tone;

    #[test]
    fn a_tone_goes_on_through_a_gap_and_a_long_gap_falls_silent() {
        let mut sine: Vec<i16> = (0..800)
            .map(|n| {
                ((f64::from(n) * 200.0 / 8000.0 * std::f64::consts::TAU).sin() * 9000.0) as i16
            })
            .collect();
        let mut concealer = Concealer::new(8_000);
        concealer.heard(&mut sine);
        let mut made = Vec::new();
        concealer.conceal(160, &mut made);
        assert!(tone::purity(&made, 200.0, 8_000) > 0.95);
        let step = i32::from(made[0]) - i32::from(sine[799]);
        assert!(step.abs() < 3_000, "no click: {step}");
        concealer.conceal(800, &mut made);
        assert!(made[480..].iter().all(|sample| *sample == 0));
        concealer.heard(&mut sine[..160]);
        assert_eq!(concealer.made, 0);
    }

    #[test]
    fn nothing_heard_is_silence() {
        let mut concealer = Concealer::new(16_000);
        let mut made = Vec::new();
        concealer.conceal(320, &mut made);
        assert_eq!(made, [0; 320]);
        concealer.heard(&mut [5; 3]);
        concealer.conceal(10, &mut made);
        assert_eq!(made.len(), 330);
    }
}
