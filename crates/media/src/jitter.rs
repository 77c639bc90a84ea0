//! Packets in their order, where they are decoded.
//!
//! Nothing is held where packets come in order or are lost: a far end has a buffer of its own for when they come, and each hop that waits adds to the
//! delay. But a decoder takes packets in order only, so that one which was overtaken is as good as lost. When that happens, gaps are waited for
//! from then on, as long as packets were late, and no longer once they have come in order for a while.

use std::time::Duration;

use clock::Time;

use crate::reception::{MAX_DROPOUT, MAX_MISORDER};
use crate::rtp::Header;

/// Packets that wait behind a gap; of 10 ms they are [`DEPTH_MAX`] and more.
const SLOTS: usize = 16;
/// The longest wait for what was overtaken: what comes later than this is taken for lost.
const DEPTH_MAX: Duration = Duration::from_millis(120);
/// Beside half as much again as the lateness seen, since the next may be later.
const MARGIN: Duration = Duration::from_millis(5);
/// After so long without a late packet the wait is halved.
const CALM: Duration = Duration::from_secs(10);
/// A wait shorter than this is none.
const DEPTH_MIN: Duration = Duration::from_millis(8);

/// Brings the packets of one sender into their order.
#[derive(Debug, Default)]
pub struct Jitter {
    ssrc: u32,
    /// The sequence that comes next; `None` before the first packet.
    next: Option<u16>,
    /// By sequence, modulo their number; payloads keep their room.
    slots: [Slot; SLOTS],
    held: usize,
    depth: Duration,
    /// Since when the gap before what is held is known.
    since: Time,
    /// Since when the gap was known that was passed over last.
    passed: Time,
    /// When waiting was last seen to be of use.
    useful: Time,
}

#[derive(Debug, Default)]
struct Slot {
    header: Option<Header>,
    came: Time,
    payload: Vec<u8>,
}

impl Jitter {
    /// Takes a packet in, and gives what is in order by now: its header and payload, one after the other.
    pub fn take(
        &mut self,
        now: Time,
        header: &Header,
        payload: &[u8],
        mut give: impl FnMut(&Header, &[u8]),
    ) {
        let Some(next) = self.next.filter(|_| self.ssrc == header.ssrc) else {
            return self.begin(now, header, payload, &mut give);
        };
        let step = header.sequence.wrapping_sub(next) as i16;
        if !(-MAX_MISORDER..=MAX_DROPOUT).contains(&step) {
            return self.begin(now, header, payload, &mut give);
        }
        self.calm_down(now);
        if step < 0 {
            return self.late(now);
        }
        if self.held > 0 && now.since(self.since) >= self.depth {
            self.pass_over(&mut give);
        }
        let step = header.sequence.wrapping_sub(self.next.unwrap_or(next)) as i16;
        match step {
            ..0 => self.late(now),
            0 => {
                give(header, payload);
                if self.held > 0 {
                    self.useful = now;
                }
                self.advance(header.sequence);
                self.give_held(&mut give);
            }
            _ if self.depth.is_zero() || step as usize >= SLOTS => {
                self.passed = if self.held > 0 { self.since } else { now };
                self.empty(&mut give);
                give(header, payload);
                self.advance(header.sequence);
            }
            _ => self.hold(now, header, payload),
        }
    }

    fn begin(
        &mut self,
        now: Time,
        header: &Header,
        payload: &[u8],
        give: &mut impl FnMut(&Header, &[u8]),
    ) {
        self.empty(give);
        (self.ssrc, self.useful) = (header.ssrc, now);
        give(header, payload);
        self.advance(header.sequence);
    }

    fn advance(&mut self, sequence: u16) {
        self.next = Some(sequence.wrapping_add(1));
    }

    /// Its place has been passed over, so long ago; or it comes a second time.
    fn late(&mut self, now: Time) {
        let late = now.since(self.passed); // since it could have been missed
        if late <= DEPTH_MAX {
            self.depth = self.depth.max(late + late / 2 + MARGIN).min(DEPTH_MAX);
            self.useful = now;
        }
    }

    fn calm_down(&mut self, now: Time) {
        if !self.depth.is_zero() && now.since(self.useful) >= CALM {
            let half = self.depth / 2;
            self.depth = if half < DEPTH_MIN {
                Duration::ZERO
            } else {
                half
            };
            self.useful = now;
        }
    }

    fn hold(&mut self, now: Time, header: &Header, payload: &[u8]) {
        let slot = &mut self.slots[usize::from(header.sequence) % SLOTS];
        if slot.header.is_some() {
            return; // twice
        }
        slot.payload.clear();
        slot.payload.extend_from_slice(payload);
        (slot.header, slot.came) = (Some(header.clone()), now);
        if self.held == 0 {
            self.since = now;
        }
        self.held += 1;
    }

    /// What follows without a gap.
    fn give_held(&mut self, give: &mut impl FnMut(&Header, &[u8])) {
        while let Some(next) = self.next.filter(|_| self.held > 0) {
            let slot = &mut self.slots[usize::from(next) % SLOTS];
            let Some(header) = slot.header.take() else {
                return self.since = self.known_since(); // the next gap
            };
            self.held -= 1;
            give(&header, &slot.payload);
            self.advance(next);
        }
    }

    /// When the first of what is held came.
    fn known_since(&self) -> Time {
        let held = self.slots.iter().filter(|slot| slot.header.is_some());
        held.map(|slot| slot.came).min().unwrap_or_default()
    }

    /// The gap before what is held is a loss.
    fn pass_over(&mut self, give: &mut impl FnMut(&Header, &[u8])) {
        for _ in 0..SLOTS {
            let Some(next) = self.next else { return };
            if self.slots[usize::from(next) % SLOTS].header.is_some() {
                break;
            }
            self.advance(next);
        }
        self.passed = self.since;
        self.give_held(give);
    }

    /// Gives all that is held, in order, over all gaps.
    fn empty(&mut self, give: &mut impl FnMut(&Header, &[u8])) {
        for _ in 0..SLOTS {
            let (Some(next), true) = (self.next, self.held > 0) else {
                return;
            };
            let slot = &mut self.slots[usize::from(next) % SLOTS];
            if let Some(header) = slot.header.take() {
                self.held -= 1;
                give(&header, &slot.payload);
            }
            self.advance(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(ssrc: u32, sequence: u16) -> Header {
        Header {
            marker: false,
            payload_type: 0,
            sequence,
            timestamp: u32::from(sequence) * 160,
            ssrc,
            payload: 12..13,
        }
    }

    /// Sequences in the order in which they come, each with its time in milliseconds; gives those that come out, with the time.
    fn order(jitter: &mut Jitter, coming: &[(u64, u16)]) -> Vec<(u64, u16)> {
        let mut out = Vec::new();
        for (ms, sequence) in coming {
            let now = Time::from_secs(100) + Duration::from_millis(*ms);
            jitter.take(
                now,
                &header(1, *sequence),
                &[*sequence as u8],
                |header, payload| {
                    assert_eq!(payload, [header.sequence as u8]);
                    out.push((*ms, header.sequence));
                },
            );
        }
        out
    }

    #[test]
    fn what_comes_in_order_or_is_lost_waits_for_nothing() {
        let coming = [(0, 65_534), (20, 65_535), (60, 1), (80, 2), (100, 3)];
        assert_eq!(order(&mut Jitter::default(), &coming), coming);
    }

    #[test]
    fn after_one_that_was_overtaken_gaps_are_waited_for() {
        let mut jitter = Jitter::default();
        let out = order(&mut jitter, &[(0, 1), (20, 3), (25, 2), (60, 4)]);
        assert_eq!(out, [(0, 1), (20, 3), (60, 4)], "the first one is lost");
        let out = order(
            &mut jitter,
            &[(80, 6), (84, 5), (100, 7), (120, 7), (140, 8)],
        );
        assert_eq!(out, [(84, 5), (84, 6), (100, 7), (140, 8)]);
    }

    #[test]
    fn a_gap_that_does_not_fill_is_passed_over_in_time() {
        let mut jitter = Jitter::default();
        order(&mut jitter, &[(0, 1), (20, 3), (45, 2), (60, 4)]);
        assert_eq!(jitter.depth, Duration::from_micros(42_500));
        let out = order(&mut jitter, &[(80, 6), (100, 7), (125, 8), (140, 9)]);
        assert_eq!(out, [(125, 6), (125, 7), (125, 8), (140, 9)]);
        let out = order(&mut jitter, &[(160, 11), (180, 13), (185, 10), (195, 12)]);
        assert_eq!(
            out,
            [(185, 10), (185, 11), (195, 12), (195, 13)],
            "two gaps"
        );
    }

    #[test]
    fn in_calm_the_wait_goes_and_lateness_beyond_all_bounds_makes_none() {
        let mut jitter = Jitter::default();
        order(&mut jitter, &[(0, 1), (20, 3), (45, 2)]);
        for n in 0..3_000u16 {
            order(&mut jitter, &[(60 + u64::from(n) * 20, 4 + n)]);
        }
        assert_eq!(jitter.depth, Duration::ZERO);
        order(&mut jitter, &[(90_000, 3_005), (90_500, 3_004)]);
        assert_eq!(jitter.depth, Duration::ZERO);
    }

    #[test]
    fn another_sender_begins_anew_and_what_was_held_comes_first() {
        let mut jitter = Jitter::default();
        order(&mut jitter, &[(0, 1), (20, 3), (45, 2), (60, 5)]);
        assert_eq!(jitter.held, 1);
        let mut out = Vec::new();
        let now = Time::from_secs(101);
        jitter.take(now, &header(2, 40_000), &[0], |header, _| {
            out.push((header.ssrc, header.sequence))
        });
        jitter.take(now, &header(2, 40_001), &[0], |header, _| {
            out.push((header.ssrc, header.sequence))
        });
        assert_eq!(out, [(1, 5), (2, 40_000), (2, 40_001)]);
        assert_eq!(jitter.held, 0);
    }

    #[test]
    fn whatever_comes_goes_out_at_most_once_in_order_and_nothing_stays() {
        let mut seed = 12_345u32;
        let mut random = move |below: u32| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) % below
        };
        for _ in 0..200 {
            let mut jitter = Jitter::default();
            let mut coming: Vec<(u64, u16)> = (0..400u16)
                .filter_map(|n| {
                    let (lost, late) = (random(20) == 0, u64::from(random(90)));
                    (!lost).then(|| (u64::from(n) * 20 + late, n.wrapping_add(65_300)))
                })
                .collect();
            coming.sort();
            let out = order(&mut jitter, &coming);
            let places: Vec<u16> = out.iter().map(|(_, n)| n.wrapping_sub(65_300)).collect();
            assert!(
                places.windows(2).all(|pair| pair[0] < pair[1]),
                "{places:?}"
            );
            // The first late ones teach it; then nearly all that was not lost comes through.
            assert!(
                places.len() + 40 > coming.len(),
                "{} of {}",
                places.len(),
                coming.len()
            );
            assert!(
                out.iter()
                    .all(|(at, n)| at - u64::from(n.wrapping_sub(65_300)) * 20 <= 90 + 120 + 130)
            );
            assert!(jitter.held < SLOTS);
        }
    }
}
