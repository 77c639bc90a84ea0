//! Mixing: what several streams say, for one that hears them.
//!
//! Each stream that somebody hears so is decoded once, into a ring whose places are moments: samples since the epoch, as for endless music. Whoever
//! hears it takes, at their own packet time, what lies behind them. So nobody waits for anybody, there is no tick of a whole conference, and each
//! hearer's list of voices is one row of the matrix of who hears whom. All of it is at 8 kHz: telephones meet there.

use clock::Time;

use crate::api::{Codec, StreamId};
use crate::g711::RATE;
use crate::jitter::Jitter;
use crate::rtp::Header;
use crate::transcode::{Continuity, Fit};
use crate::voice::Decoder;

/// Voices that one stream hears at once; nobody can follow more, and the rest is left out.
pub const MAX_VOICES: usize = 32;
/// Samples that a hearer takes at once: 60 ms.
pub const MAX_SAMPLES: usize = 480;
/// Samples that a ring holds: half a second. A power of two.
const RING: usize = 4096;
const MILLISECOND: u64 = RATE as u64 / 1000;
/// How far ahead of the clock a voice is written, so that packets may be late by as much; it grows where that does not suffice, and falls back.
const DELAY: u64 = 40 * MILLISECOND;
const DELAY_STEP: u64 = 20 * MILLISECOND;
const DELAY_MAX: u64 = 160 * MILLISECOND;
/// A voice further ahead than this has a clock of its own, or came in a burst: it begins anew.
const AHEAD_MAX: u64 = 300 * MILLISECOND;
/// Packets after which it is seen whether a voice could be nearer to the clock.
const LOOK_EVERY: u32 = 250;
/// Weight of a packet in the level that is told: about a third of a second.
const SMOOTHING: f32 = 0.06;
/// The level of silence, in dBov.
const SILENCE: f32 = -96.0;

/// Samples since the epoch.
fn position(now: Time) -> u64 {
    (u128::from(now.as_nanos()) * u128::from(RATE) / 1_000_000_000) as u64
}

/// What one stream says, decoded.
#[derive(Debug)]
pub struct Voice {
    codec: Codec,
    decoder: Decoder,
    continuity: Continuity,
    /// `None` while it is at work.
    jitter: Option<Box<Jitter>>,
    /// What a packet decodes to; kept for its room.
    decoded: Vec<i16>,
    ring: Box<[i16; RING]>,
    /// Behind the newest sample.
    end: u64,
    delay: u64,
    /// Packets since it was last seen how near to the clock they come, and how near the latest of them came.
    looked: u32,
    nearest: u64,
    /// Mean power, relative to full scale squared.
    power: f32,
}

impl Voice {
    /// `None` where there is no Opus, or it gets no memory.
    pub fn new(codec: Codec) -> Option<Voice> {
        Some(Voice {
            codec,
            decoder: Decoder::new(codec, RATE)?,
            continuity: Continuity::default(),
            jitter: Some(Box::default()),
            decoded: Vec::with_capacity(2 * MAX_SAMPLES),
            ring: Box::new([0; RING]),
            end: 0,
            delay: DELAY,
            looked: 0,
            nearest: u64::MAX,
            power: 0.0,
        })
    }

    /// Whether this one serves.
    pub fn is_of(&self, codec: Codec) -> bool {
        self.codec == codec
    }

    /// Takes a packet in, and whatever it lets go that waited for it.
    pub fn take(&mut self, now: Time, header: &Header, payload: &[u8]) {
        let mut jitter = self.jitter.take().unwrap_or_default();
        jitter.take(now, header, payload, |header, payload| {
            self.take_in_order(now, header, payload);
        });
        self.jitter = Some(jitter);
    }

    fn take_in_order(&mut self, now: Time, header: &Header, payload: &[u8]) {
        let (fit, missing) = self.continuity.follow(self.codec, header, payload);
        if fit == Fit::Late {
            return;
        }
        self.decoded.clear();
        if missing > 0 {
            let rates = (u64::from(RATE), u64::from(self.codec.clock_rate()));
            let missing = (u64::from(missing) * rates.0 / rates.1) as usize;
            self.decoder.conceal(missing, payload, &mut self.decoded);
        }
        let concealed = self.decoded.len();
        self.decoder.decode(payload, &mut self.decoded);
        self.measure(concealed);
        let clock = position(now);
        let begin = self.end + concealed as u64;
        let late = begin < clock;
        if fit == Fit::Continues && !late && begin <= clock + AHEAD_MAX {
            self.look(begin - clock);
            self.write(0);
            return;
        }
        if fit == Fit::Continues && late {
            self.delay = (self.delay + DELAY_STEP).min(DELAY_MAX);
        }
        let ahead = clock + self.delay;
        let begin = match self.end {
            end if end <= clock + AHEAD_MAX => end.max(ahead),
            _ => ahead,
        };
        self.silence_until(begin);
        (self.looked, self.nearest) = (0, u64::MAX);
        self.write(concealed);
    }

    /// Whether all packets of late came much earlier than they had to: then some of the delay goes.
    fn look(&mut self, ahead: u64) {
        self.nearest = self.nearest.min(ahead);
        self.looked += 1;
        if self.looked < LOOK_EVERY {
            return;
        }
        self.delay = self.delay.saturating_sub(DELAY_STEP).max(DELAY);
        self.end -= self.nearest.saturating_sub(self.delay).min(self.end);
        (self.looked, self.nearest) = (0, u64::MAX);
    }

    fn measure(&mut self, from: usize) {
        let fresh = self.decoded.get(from..).unwrap_or_default();
        let square = |sample: &i16| {
            let sample = f32::from(*sample) / 32_768.0;
            sample * sample
        };
        let power = fresh.iter().map(square).sum::<f32>() / fresh.len().max(1) as f32;
        self.power += SMOOTHING * (power - self.power);
    }

    /// How loud it has been of late, in dBov: 0 is a square wave at full scale, -96 and less is silence (RFC 6464 counts so too, without the sign).
    pub fn level(&self) -> f32 {
        (10.0 * self.power.log10()).max(SILENCE)
    }

    fn write(&mut self, from: usize) {
        let samples = self.decoded.get(from..).unwrap_or_default();
        for sample in samples {
            self.ring[self.end as usize % RING] = *sample;
            self.end += 1;
        }
    }

    /// Nothing was said until then.
    fn silence_until(&mut self, to: u64) {
        if to < self.end || to - self.end >= RING as u64 {
            self.ring.fill(0);
        } else {
            (self.end..to).for_each(|at| self.ring[at as usize % RING] = 0);
        }
        self.end = to;
    }

    /// Adds what was said from a moment on.
    fn add_to(&self, from: u64, mix: &mut [i32]) {
        let known = self.end.saturating_sub(RING as u64)..self.end;
        for (at, sum) in (from..).zip(mix) {
            if known.contains(&at) {
                *sum += i32::from(self.ring[at as usize % RING]);
            }
        }
    }
}

/// Whom one stream hears, and how loud that may get.
#[derive(Debug, Default)]
pub struct Ears {
    /// Streams, and their places in the plane.
    pub voices: Box<[(StreamId, u32)]>,
    limiter: Limiter,
}

impl Ears {
    pub fn new(mut voices: Vec<(StreamId, u32)>) -> Self {
        voices.truncate(MAX_VOICES);
        Ears {
            voices: voices.into(),
            limiter: Limiter::default(),
        }
    }

    /// The sum of what its voices, found by `voice`, said in the time that ends at `until`.
    pub fn mix<'a>(
        &mut self,
        voice: impl Fn(&(StreamId, u32)) -> Option<&'a Voice>,
        until: Time,
        out: &mut [i16],
    ) {
        let mut sums = [0i32; MAX_SAMPLES];
        let sums = &mut sums[..out.len().min(MAX_SAMPLES)];
        let from = position(until).saturating_sub(sums.len() as u64);
        for voice in self.voices.iter().filter_map(voice) {
            voice.add_to(from, sums);
        }
        self.limiter.limit(sums, out);
    }
}

/// Keeps a sum within 16 bits by turning it down as a whole, quickly, and up again slowly: several who speak at once stay what they are, and
/// nothing wraps.
#[derive(Debug)]
struct Limiter {
    gain: f32,
}

impl Default for Limiter {
    fn default() -> Self {
        Limiter { gain: 1.0 }
    }
}

impl Limiter {
    /// Below full scale, so that codecs have room.
    const CEILING: f32 = 32_000.0;
    /// Samples over which it is turned down: 1 ms, too short for a peak to be heard clipped and long enough for no click.
    const ATTACK: usize = 8;
    /// Of what is missing to full gain, what comes back in a packet.
    const RELEASE: f32 = 0.05;

    fn limit(&mut self, sums: &[i32], out: &mut [i16]) {
        let peak = sums.iter().map(|sum| sum.unsigned_abs()).max().unwrap_or(0);
        let most = Self::CEILING / (peak as f32).max(Self::CEILING);
        let before = self.gain;
        let after = most.min(before + Self::RELEASE * (1.0 - before));
        let ramp = match after < before {
            true => Self::ATTACK,
            false => sums.len(),
        };
        for (at, (sum, out)) in sums.iter().zip(out).enumerate() {
            let way = ((at + 1) as f32 / ramp.max(1) as f32).min(1.0);
            let gain = before + way * (after - before);
            // `as` saturates.
            *out = (*sum as f32 * gain) as i16;
        }
        self.gain = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::g711::{Law, encode};
    use std::time::Duration;

    const PACKET: usize = 160;

    fn at(milliseconds: u64) -> Time {
        Time::from_secs(5) + Duration::from_millis(milliseconds)
    }

    fn header(number: u16) -> Header {
        Header {
            marker: false,
            payload_type: 8,
            sequence: number,
            timestamp: u32::from(number) * PACKET as u32,
            ssrc: 9,
            payload: 0..PACKET,
        }
    }

    /// A packet all of whose samples have this value.
    fn flat(value: i16) -> [u8; PACKET] {
        [encode(Law::A, value); PACKET]
    }

    fn heard(voice: &Voice, until: u64) -> [i16; PACKET] {
        let mut out = [0; PACKET];
        let mut ears = Ears::new(vec![(StreamId(1), 0)]);
        ears.mix(|_| Some(voice), at(until), &mut out);
        out
    }

    #[test]
    fn packets_that_are_late_by_less_than_the_delay_leave_no_gap() {
        let mut voice = Voice::new(Codec::Pcma).unwrap();
        let mut arrivals: Vec<(u64, u16)> = (0..100u16)
            .map(|number| (20 * u64::from(number) + u64::from(number * 7 % 39), number))
            .collect();
        arrivals.sort_unstable();
        let mut coming = arrivals.into_iter().peekable();
        for time in 0..1_990 {
            while let Some((_, number)) = coming.next_if(|(at, _)| *at <= time) {
                // Those that another has overtaken are lost: that is what the concealer is for.
                voice.take(at(time), &header(number), &flat(8_000));
            }
            if time >= 60 && time % 20 == 0 {
                let silent = heard(&voice, time).iter().filter(|s| **s == 0).count();
                assert_eq!(silent, 0, "at {time} ms");
            }
        }
    }

    #[test]
    fn a_voice_that_comes_later_and_later_gets_more_room_and_loses_it_again() {
        let mut voice = Voice::new(Codec::Pcma).unwrap();
        voice.take(at(0), &header(0), &flat(8_000));
        voice.take(at(20 + 90), &header(1), &flat(8_000));
        assert_eq!(voice.delay, DELAY + DELAY_STEP);
        for number in 2..600u16 {
            let late = if number < 4 { 90 } else { 0 };
            let time = 20 * u64::from(number) + late;
            voice.take(at(time), &header(number), &flat(8_000));
        }
        assert_eq!(voice.delay, DELAY);
        let ahead = voice.end - position(at(20 * 599));
        assert!(ahead <= DELAY + 2 * PACKET as u64, "{ahead} samples ahead");
    }

    #[test]
    fn silence_between_talkspurts_is_silence_and_old_words_do_not_come_again() {
        let mut voice = Voice::new(Codec::Pcma).unwrap();
        voice.take(at(0), &header(0), &flat(8_000));
        assert_eq!(heard(&voice, 60)[0], heard(&voice, 60)[159]);
        assert!(heard(&voice, 60)[0] > 7_000);
        assert_eq!(heard(&voice, 600), [0; PACKET]);
        // Half a second of the ring later it would be at the same place.
        assert_eq!(heard(&voice, 60 + 512), [0; PACKET]);
        voice.take(at(10_000), &header(500), &flat(-8_000));
        assert_eq!(heard(&voice, 10_040), [0; PACKET]);
        assert!(heard(&voice, 10_060)[0] < -7_000);
    }

    #[test]
    fn a_burst_is_not_heard_for_ever_after() {
        let mut voice = Voice::new(Codec::Pcma).unwrap();
        for number in 0..100 {
            voice.take(at(0), &header(number), &flat(8_000));
        }
        assert!(voice.end <= position(at(0)) + AHEAD_MAX + 2 * PACKET as u64);
    }

    #[test]
    fn sums_at_full_scale_keep_their_sign_and_quiet_ones_their_size() {
        let mut limiter = Limiter::default();
        let loud: Vec<i32> = (0..160)
            .map(|n| {
                if n % 2 == 0 {
                    32 * 32_767
                } else {
                    32 * -32_768
                }
            })
            .collect();
        for _ in 0..3 {
            let mut out = [0; 160];
            limiter.limit(&loud, &mut out);
            for (sum, out) in loud.iter().zip(out) {
                assert_eq!(sum.signum(), i32::from(out).signum());
                assert!(out.unsigned_abs() > 31_000, "{out}");
            }
        }
        let quiet = [1_000; 160];
        let mut out = [0; 160];
        for _ in 0..200 {
            limiter.limit(&quiet, &mut out);
        }
        assert!(out.iter().all(|out| (999..=1_000).contains(out)), "{out:?}");
    }

    #[test]
    fn the_level_is_in_decibels_below_full_scale() {
        let mut voice = Voice::new(Codec::Pcma).unwrap();
        assert_eq!(voice.level(), SILENCE);
        for number in 0..200 {
            let time = 20 * u64::from(number);
            voice.take(at(time), &header(number), &flat(3_277));
        }
        assert!((-20.5..-19.5).contains(&voice.level()), "{}", voice.level());
    }
}
