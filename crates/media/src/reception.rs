//! What was received of a stream: loss and jitter (RFC 3550 appendices A.1, A.3 and A.8).

use clock::Time;

use crate::g711::RATE;
use crate::rtcp::Block;

/// A forward jump of the sequence larger than this is a new start, not loss (RFC 3550 appendix A.1).
pub const MAX_DROPOUT: i16 = 3000;
/// A step back further than this is a new start, not a late packet. RFC 3550 says 100; jitter of seconds does occur.
pub const MAX_MISORDER: i16 = 500;

/// Follows one sender's packets; a new SSRC or sequence starts a new count on top of the old one.
#[derive(Clone, Debug)]
pub struct Reception {
    /// Clock of the timestamps.
    rate: u32,
    ssrc: Option<u32>,
    /// Extended sequence numbers of the present run: first, highest; and packets received in it.
    first: u64,
    highest: u64,
    received: u64,
    /// Loss of earlier runs.
    lost_before: u64,
    /// Packets expected and received at the report before, in this run.
    reported: (u64, u64),
    transit: Option<u32>,
    /// Scaled by 16, in samples.
    jitter: u32,
}

/// How a packet stands to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// First of a sender or after a jump.
    Fresh,
    Newer,
    /// Late or twice.
    Older,
}

impl Default for Reception {
    fn default() -> Self {
        Reception {
            rate: RATE,
            ssrc: None,
            first: 0,
            highest: 0,
            received: 0,
            lost_before: 0,
            reported: (0, 0),
            transit: None,
            jitter: 0,
        }
    }
}

impl Reception {
    /// The clock of the timestamps from now on.
    pub fn set_rate(&mut self, rate: u32) {
        if self.rate != rate {
            self.jitter = (u64::from(self.jitter) * u64::from(rate) / u64::from(self.rate)) as u32;
            (self.rate, self.transit) = (rate, None);
        }
    }

    /// Counts a packet. `timestamp` is given for audio only: RFC 4733 events repeat theirs and say nothing on jitter.
    pub fn count(&mut self, now: Time, ssrc: u32, sequence: u16, timestamp: Option<u32>) -> Order {
        let step = sequence.wrapping_sub(self.highest as u16) as i16;
        let order = if self.ssrc != Some(ssrc) || !(-MAX_MISORDER..=MAX_DROPOUT).contains(&step) {
            self.restart(ssrc, sequence);
            Order::Fresh
        } else if step > 0 {
            self.highest += step as u64;
            Order::Newer
        } else {
            self.first = self
                .first
                .min(self.highest - u64::from(step.unsigned_abs()));
            Order::Older
        };
        self.received += 1;
        if let Some(timestamp) = timestamp {
            self.measure(now, timestamp);
        }
        order
    }

    fn restart(&mut self, ssrc: u32, sequence: u16) {
        self.lost_before = self.lost();
        self.ssrc = Some(ssrc);
        self.first = (1 << 16) | u64::from(sequence); // room for late packets before the first
        self.highest = self.first;
        self.received = 0;
        self.reported = (0, 0);
        self.transit = None;
    }

    fn measure(&mut self, now: Time, timestamp: u32) {
        let arrival = (u128::from(now.as_nanos()) * u128::from(self.rate) / 1_000_000_000) as u32;
        let transit = arrival.wrapping_sub(timestamp);
        if let Some(before) = self.transit.replace(transit) {
            let difference = (transit.wrapping_sub(before) as i32)
                .unsigned_abs()
                .min(self.rate * 10); // a jump of a clock is not jitter
            self.jitter = self.jitter + difference - ((self.jitter + 8) >> 4);
        }
    }

    /// Packets that never came; duplicates may hide some, as in RFC 3550.
    pub fn lost(&self) -> u64 {
        self.lost_before + self.expected().saturating_sub(self.received)
    }

    fn expected(&self) -> u64 {
        if self.received == 0 {
            0
        } else {
            self.highest - self.first + 1
        }
    }

    /// Whose packets these are.
    pub fn ssrc(&self) -> Option<u32> {
        self.ssrc
    }

    /// The block of a report on the present run, and a new interval for the next one's fraction (RFC 3550 appendix A.3).
    pub fn block(&mut self) -> Option<Block> {
        let ssrc = self.ssrc?;
        let (expected, received) = (self.expected(), self.received);
        let (expected_before, received_before) = self.reported;
        self.reported = (expected, received);
        let expected_now = expected.saturating_sub(expected_before);
        let lost_now = expected_now.saturating_sub(received - received_before);
        let lost = expected as i64 - received as i64;
        Some(Block {
            ssrc,
            fraction_lost: ((lost_now << 8) / expected_now.max(1)).min(255) as u8,
            lost: lost.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32,
            highest: (self.highest - (1 << 16)) as u32,
            jitter: self.jitter >> 4,
            ..Block::default()
        })
    }

    /// Interarrival jitter in milliseconds.
    pub fn jitter_ms(&self) -> f32 {
        self.in_ms(self.jitter >> 4)
    }

    /// Ticks of the clock as milliseconds.
    pub fn in_ms(&self, ticks: u32) -> f32 {
        ticks as f32 * 1000.0 / self.rate as f32
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn feed(reception: &mut Reception, sequences: impl IntoIterator<Item = u16>) {
        for sequence in sequences {
            reception.count(Time::ZERO, 1, sequence, None);
        }
    }

    #[test]
    fn gaps_are_lost_and_late_packets_fill_them() {
        let mut reception = Reception::default();
        feed(&mut reception, [65_533, 65_534, 1, 2]);
        assert_eq!(reception.lost(), 2, "65535 and 0");
        feed(&mut reception, [0]);
        assert_eq!(reception.lost(), 1);
        feed(&mut reception, [65_532]);
        assert_eq!(reception.lost(), 1, "one before the first moves the start");
    }

    #[test]
    fn a_new_sender_or_a_jump_starts_again() {
        let mut reception = Reception::default();
        feed(&mut reception, [10, 12]);
        assert_eq!(reception.count(Time::ZERO, 2, 40_000, None), Order::Fresh);
        assert_eq!(reception.count(Time::ZERO, 2, 50_000, None), Order::Fresh);
        assert_eq!(reception.count(Time::ZERO, 2, 50_001, None), Order::Newer);
        assert_eq!(reception.count(Time::ZERO, 2, 50_000, None), Order::Older);
        assert_eq!(reception.lost(), 1);
    }

    #[test]
    fn a_reports_fraction_is_of_its_interval_and_its_loss_of_the_whole_run() {
        let mut reception = Reception::default();
        assert_eq!(reception.block(), None);
        feed(&mut reception, [65_534, 65_535, 2, 3]);
        let block = reception.block().unwrap();
        assert_eq!((block.fraction_lost, block.lost), ((256 * 2 / 6) as u8, 2));
        feed(&mut reception, [4, 5, 5]);
        let block = reception.block().unwrap();
        assert_eq!((block.fraction_lost, block.lost), (0, 1), "one came twice");
        assert_eq!(
            block.highest,
            (1 << 16) + 5,
            "the sequence has gone round once"
        );
        assert_eq!(reception.block().unwrap().fraction_lost, 0, "nothing came");
    }

    #[test]
    fn jitter_is_that_of_the_rfc() {
        let mut steady = Reception::default();
        let mut shaky = Reception::default();
        for n in 0..500u32 {
            let at = Time::ZERO + Duration::from_millis(u64::from(n) * 20);
            steady.count(at, 1, n as u16, Some(n * 160));
            let late = at + Duration::from_millis(u64::from(n % 2) * 8);
            shaky.count(late, 1, n as u16, Some(n * 160));
        }
        assert_eq!(steady.jitter_ms(), 0.0);
        assert!(
            (shaky.jitter_ms() - 8.0).abs() < 0.6,
            "{}",
            shaky.jitter_ms()
        );
    }
}
