//! How a call sounds, estimated from loss, jitter and delay: the E-model (ITU-T G.107) with the codecs' figures of G.113.

use std::time::Duration;

use crate::api::Codec;

/// What hurts the sound of a stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Impairments {
    /// Packets lost, 0 to 1.
    pub loss: f64,
    pub jitter: Duration,
    pub round_trip: Option<Duration>,
    pub ptime: Duration,
}

/// G.107 with every parameter at its default: R0 - Is.
const DEFAULT_RATING: f64 = 93.2;

/// Equipment impairment and robustness to random loss (G.113 appendix I). G.711 with concealment: telephones conceal. G.107 rates a narrow band; the
/// wide-band codecs are taken as transparent in it and no better.
fn equipment(codec: Codec) -> (f64, f64) {
    match codec {
        Codec::Pcmu | Codec::Pcma => (0.0, 25.1),
        // G.113 has no figures for them in the narrow band.
        Codec::G722 | Codec::Opus => (0.0, 25.1),
    }
}

/// The transmission rating R, 0 to about 93.
pub fn rating(codec: Codec, impairments: &Impairments) -> f64 {
    let (ie, bpl) = equipment(codec);
    let loss = impairments.loss.clamp(0.0, 1.0) * 100.0;
    let effective = ie + (95.0 - ie) * loss / (loss + bpl);
    (DEFAULT_RATING - delay(impairments) - effective).max(0.0)
}

/// Idd of G.107 for the way to the far end: half the round trip, one packet's making, and a jitter buffer of twice the jitter.
fn delay(impairments: &Impairments) -> f64 {
    let way =
        impairments.round_trip.unwrap_or_default() / 2 + impairments.ptime + impairments.jitter * 2;
    let ms = way.as_secs_f64() * 1000.0;
    if ms <= 100.0 {
        return 0.0;
    }
    let x = (ms / 100.0).log2();
    25.0 * ((1.0 + x.powi(6)).powf(1.0 / 6.0) - 3.0 * (1.0 + (x / 3.0).powi(6)).powf(1.0 / 6.0)
        + 2.0)
}

/// The mean opinion score of a rating, 1 to 4.5 (G.107 annex B).
pub fn mos(rating: f64) -> f64 {
    match rating {
        r if r <= 0.0 => 1.0,
        r if r >= 100.0 => 4.5,
        // The curve dips below 1 for the smallest ratings.
        r => (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).max(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(loss: f64, jitter_ms: u64, round_trip_ms: u64) -> Impairments {
        Impairments {
            loss,
            jitter: Duration::from_millis(jitter_ms),
            round_trip: Some(Duration::from_millis(round_trip_ms)),
            ptime: Duration::from_millis(20),
        }
    }

    #[test]
    fn ratings_are_those_of_the_recommendations() {
        // Loss: 95 * Ppl / (Ppl + 25.1). Delay: figures of G.107's curve of Idd.
        let rows = [
            (with(0.0, 0, 0), 93.2, 4.41),
            (with(0.01, 0, 0), 89.56, 4.33),
            (with(0.05, 0, 0), 77.42, 3.93),
            (with(0.20, 0, 0), 51.07, 2.63),
            (with(0.0, 0, 360), 90.16, 4.34),
            (with(0.0, 0, 760), 69.13, 3.55),
            (with(1.0, 0, 0), 17.26, 1.18),
        ];
        for (impairments, r, score) in rows {
            let got = rating(Codec::Pcma, &impairments);
            assert!((got - r).abs() < 0.02, "{impairments:?}: R {got}, not {r}");
            let got = mos(got);
            assert!((got - score).abs() < 0.01, "{impairments:?}: {got}");
        }
    }

    #[test]
    fn the_scores_ends_are_those_of_annex_b() {
        assert_eq!((mos(-5.0), mos(0.0), mos(120.0)), (1.0, 1.0, 4.5));
        assert!((mos(50.0) - 2.575).abs() < 0.01);
        assert!((mos(80.0) - 4.024).abs() < 0.01);
        let all: Vec<f64> = (0..=100).map(|r| mos(f64::from(r))).collect();
        assert!(all.iter().all(|score| (1.0..=4.5).contains(score)));
    }
}
