//! The outgoing side of a stream: one SSRC, one sequence, one timeline, whatever its source is.

use std::time::Duration;

use clock::Time;

use crate::g711::RATE;
use crate::reception::{MAX_DROPOUT, MAX_MISORDER};
use crate::rtp::{Fixed, Header};

/// In a second.
const NANOS: u64 = 1_000_000_000;

/// Headers for what is sent. Between talkspurts the timestamp follows the clock (RFC 3551 section 4.1); within one it follows the samples.
#[derive(Debug)]
pub struct Sender {
    ssrc: u32,
    /// Clock of the timestamps.
    rate: u32,
    sequence: u16,
    /// Timestamp of the next packet if it comes without a pause, and when that is due.
    timestamp: u32,
    due: Time,
    /// The next packet begins a talkspurt: marker bit, timestamp by the clock.
    fresh: bool,
    begun: bool,
    relay: Option<Relay>,
}

/// How the headers of a relayed sender map to ours, so that its gaps and reordering stay visible to the receiver.
#[derive(Clone, Copy, Debug)]
struct Relay {
    ssrc: u32,
    newest: u16,
    newest_timestamp: u32,
    sequence_offset: u16,
    timestamp_offset: u32,
}

/// A packet to be relayed, as far as the timeline cares.
#[derive(Clone, Copy, Debug)]
pub enum Relayed {
    /// Samples of audio in the packet.
    Audio(u32),
    /// Comfort noise (RFC 3389): it says that silence begins, which needs no packet.
    Noise,
    /// RFC 4733: the event's duration so far, in samples. Its timestamp is where it began and repeats.
    Event(u32),
}

impl Sender {
    /// The sequence and timestamp begin at values derived from the SSRC, which is random (RFC 3550 section 5.1); the sequence in the lower half, so
    /// that nobody who misses the first packets under a key takes its first wrap for no wrap (RFC 3711 section 3.3.1).
    pub fn new(ssrc: u32) -> Self {
        Sender {
            ssrc,
            rate: RATE,
            sequence: (ssrc.wrapping_mul(0x9e37_79b9) >> 17) as u16,
            timestamp: ssrc.wrapping_mul(0x85eb_ca6b),
            due: Time::ZERO,
            fresh: true,
            begun: false,
            relay: None,
        }
    }

    /// The clock of the timestamps from now on.
    pub fn set_rate(&mut self, rate: u32) {
        if self.rate != rate {
            self.rate = rate;
            self.cut();
        }
    }

    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Where the timeline is at `now`, whether or not a packet goes then (RFC 3550 section 6.4.1).
    pub fn timestamp_at(&self, now: Time) -> u32 {
        self.timestamp
            .wrapping_add(self.samples(now - self.due))
            .wrapping_sub(self.samples(self.due - now))
    }

    /// The source changes or pauses: the next packet begins a talkspurt.
    pub fn cut(&mut self) {
        self.fresh = true;
        self.relay = None;
    }

    /// The header of a packet of `samples` that we make ourselves, due at `now`.
    pub fn paced(&mut self, now: Time, payload_type: u8, samples: u32) -> Fixed {
        self.relay = None;
        let marker = self.fresh;
        if self.fresh {
            self.catch_up(now);
        }
        let header = self.fixed(marker, payload_type, self.sequence, self.timestamp);
        self.sequence = self.sequence.wrapping_add(1);
        self.advance(samples);
        header
    }

    /// Time passes of which nothing is sent (DTX).
    pub fn pass(&mut self, samples: u32) {
        self.relay = None;
        self.advance(samples);
        self.fresh = true;
    }

    /// The header of one packet of an RFC 4733 event that we make: `step` more samples of time pass with it.
    pub fn event(&mut self, now: Time, payload_type: u8, began: Option<u32>, step: u32) -> Fixed {
        self.relay = None;
        if began.is_none() {
            self.catch_up(now);
        }
        let header = self.fixed(
            began.is_none(),
            payload_type,
            self.sequence,
            began.unwrap_or(self.timestamp),
        );
        self.sequence = self.sequence.wrapping_add(1);
        self.advance(step);
        self.fresh = true; // audio after it begins anew
        header
    }

    /// The header for relaying a packet with header `from`.
    pub fn relayed(&mut self, now: Time, from: &Header, payload_type: u8, what: Relayed) -> Fixed {
        let known = self.relay.filter(|relay| {
            let step = from.sequence.wrapping_sub(relay.newest) as i16;
            relay.ssrc == from.ssrc && (-MAX_MISORDER..=MAX_DROPOUT).contains(&step)
        });
        let marker = from.marker || known.is_none();
        let mut relay = known.unwrap_or_else(|| self.anchor(now, from));
        let newer = known.is_none() || (from.sequence.wrapping_sub(relay.newest) as i16) > 0;
        let backwards = (from.timestamp.wrapping_sub(relay.newest_timestamp) as i32) < 0;
        if newer && backwards && matches!(what, Relayed::Audio(_)) {
            self.catch_up(now); // the sender's clock was set back: ours is not
            relay.timestamp_offset = self.timestamp.wrapping_sub(from.timestamp);
        }
        let sequence = from.sequence.wrapping_add(relay.sequence_offset);
        let timestamp = from.timestamp.wrapping_add(relay.timestamp_offset);
        if newer {
            relay.newest = from.sequence;
            if matches!(what, Relayed::Audio(_)) || !backwards {
                relay.newest_timestamp = from.timestamp;
            }
            self.sequence = sequence.wrapping_add(1);
            self.follow(now, timestamp, what);
        }
        self.relay = Some(relay);
        self.fixed(marker, payload_type, sequence, timestamp)
    }

    /// A packet of the relayed sender is left out: the sequence closes over it, so that it doesn't look lost.
    pub fn skipped(&mut self, from: &Header) {
        if let Some(relay) = &mut self.relay
            && relay.ssrc == from.ssrc
            && (from.sequence.wrapping_sub(relay.newest) as i16) > 0
        {
            relay.newest = from.sequence;
            relay.sequence_offset = relay.sequence_offset.wrapping_sub(1);
        }
    }

    fn anchor(&mut self, now: Time, from: &Header) -> Relay {
        self.catch_up(now);
        Relay {
            ssrc: from.ssrc,
            newest: from.sequence,
            newest_timestamp: from.timestamp,
            sequence_offset: self.sequence.wrapping_sub(from.sequence),
            timestamp_offset: self.timestamp.wrapping_sub(from.timestamp),
        }
    }

    /// After a relayed packet: where our own next one would go. Never back.
    fn follow(&mut self, now: Time, timestamp: u32, what: Relayed) {
        let samples = match what {
            Relayed::Audio(samples) | Relayed::Event(samples) => samples,
            Relayed::Noise => 0,
        };
        let next = timestamp.wrapping_add(samples);
        if (next.wrapping_sub(self.timestamp) as i32) > 0 {
            self.timestamp = next;
        }
        self.due = now
            + if matches!(what, Relayed::Audio(_)) {
                self.duration(samples)
            } else {
                Duration::ZERO
            };
        self.fresh = false;
        self.begun = true;
    }

    /// Moves the timestamp on by the time that has passed beyond what was sent.
    fn catch_up(&mut self, now: Time) {
        if self.begun && now > self.due {
            self.timestamp = self
                .timestamp
                .wrapping_add(self.samples(now.since(self.due)));
            self.due = now;
        }
        if !self.begun {
            self.due = now;
            self.begun = true;
        }
        self.fresh = false;
    }

    fn advance(&mut self, samples: u32) {
        self.timestamp = self.timestamp.wrapping_add(samples);
        self.due += self.duration(samples);
    }

    fn duration(&self, samples: u32) -> Duration {
        Duration::from_nanos(u64::from(samples) * NANOS / u64::from(self.rate))
    }

    fn samples(&self, duration: Duration) -> u32 {
        (duration.as_nanos() * u128::from(self.rate) / u128::from(NANOS)) as u32
    }

    fn fixed(&self, marker: bool, payload_type: u8, sequence: u16, timestamp: u32) -> Fixed {
        Fixed {
            marker,
            payload_type,
            sequence,
            timestamp,
            ssrc: self.ssrc,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incoming(ssrc: u32, sequence: u16, timestamp: u32) -> Header {
        Header {
            marker: false,
            payload_type: 0,
            sequence,
            timestamp,
            ssrc,
            payload: 12..172,
        }
    }

    fn ms(n: u64) -> Time {
        Time::from_secs(100) + Duration::from_millis(n)
    }

    #[test]
    fn a_pause_moves_the_timestamp_by_the_clock_and_sets_the_marker() {
        let mut sender = Sender::new(1);
        let first = sender.paced(ms(0), 0, 160);
        let second = sender.paced(ms(20), 0, 160);
        assert!(first.marker && !second.marker);
        assert_eq!(second.timestamp.wrapping_sub(first.timestamp), 160);
        sender.cut();
        let third = sender.paced(ms(1040), 0, 160);
        assert!(third.marker);
        assert_eq!(third.timestamp.wrapping_sub(second.timestamp), 160 * 51);
        assert_eq!(third.sequence, second.sequence.wrapping_add(1));
    }

    #[test]
    fn paced_then_relayed_then_another_ssrc_is_one_timeline() {
        let mut sender = Sender::new(2);
        let music = sender.paced(ms(0), 0, 160);
        let relayed = sender.relayed(ms(5), &incoming(7, 65_535, 9_000), 8, Relayed::Audio(160));
        assert_eq!(relayed.sequence, music.sequence.wrapping_add(1));
        assert_eq!(
            relayed.timestamp.wrapping_sub(music.timestamp),
            160,
            "not before the music's packet is over"
        );
        assert!(relayed.marker);
        let next = sender.relayed(ms(25), &incoming(7, 0, 9_160), 8, Relayed::Audio(160));
        assert_eq!(
            (next.sequence, next.timestamp),
            (
                relayed.sequence.wrapping_add(1),
                relayed.timestamp.wrapping_add(160)
            )
        );
        let other = sender.relayed(ms(45), &incoming(8, 500, 1), 8, Relayed::Audio(160));
        assert_eq!(other.sequence, next.sequence.wrapping_add(1));
        assert_eq!(other.timestamp, next.timestamp.wrapping_add(160));
        assert!(other.marker && other.ssrc == music.ssrc);
    }

    #[test]
    fn loss_and_reordering_stay_visible() {
        let mut sender = Sender::new(3);
        let a = sender.relayed(ms(0), &incoming(7, 10, 0), 0, Relayed::Audio(160));
        let c = sender.relayed(ms(40), &incoming(7, 12, 320), 0, Relayed::Audio(160));
        let b = sender.relayed(ms(41), &incoming(7, 11, 160), 0, Relayed::Audio(160));
        assert_eq!(c.sequence.wrapping_sub(a.sequence), 2);
        assert_eq!(b.sequence.wrapping_sub(a.sequence), 1);
        assert_eq!(b.timestamp.wrapping_sub(a.timestamp), 160);
        let d = sender.relayed(ms(60), &incoming(7, 13, 480), 0, Relayed::Audio(160));
        assert_eq!(d.sequence.wrapping_sub(a.sequence), 3);
    }

    #[test]
    fn what_is_left_out_leaves_no_gap() {
        let mut sender = Sender::new(4);
        let a = sender.relayed(ms(0), &incoming(7, 10, 0), 0, Relayed::Audio(160));
        sender.skipped(&incoming(7, 11, 160));
        let b = sender.relayed(ms(40), &incoming(7, 12, 320), 0, Relayed::Audio(160));
        assert_eq!(b.sequence.wrapping_sub(a.sequence), 1);
    }

    #[test]
    fn a_clock_set_back_does_not_set_ours_back() {
        let mut sender = Sender::new(5);
        let a = sender.relayed(ms(0), &incoming(7, 10, 1_000_000), 0, Relayed::Audio(160));
        let b = sender.relayed(ms(20), &incoming(7, 11, 160), 0, Relayed::Audio(160));
        let c = sender.relayed(ms(40), &incoming(7, 12, 320), 0, Relayed::Audio(160));
        assert_eq!(b.timestamp.wrapping_sub(a.timestamp), 160);
        assert_eq!(c.timestamp.wrapping_sub(b.timestamp), 160);
    }
}
