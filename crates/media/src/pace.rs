//! When a stream is due: a wheel of ticks, so that thousands of playing streams cost no heap and few wake-ups.

use std::time::Duration;

use clock::Time;

/// Streams are due on this grid; it divides every packet time, bounds the wake-ups to 200 a second, and delays the start of a play by at most itself.
pub const TICK: Duration = Duration::from_millis(5);
const TICK_NANOS: u64 = TICK.as_nanos() as u64;
/// Samples at 8 kHz in one tick.
pub const TICK_SAMPLES: u64 = 40;
/// Ticks ahead that the wheel can hold: more than the longest packet time (60 ms = 12 ticks).
const SLOTS: usize = 16;

/// A moment on the grid, counted from the epoch of [`Time`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tick(u64);

impl Tick {
    /// The tick that `now` lies in; it has come.
    pub fn at(now: Time) -> Tick {
        Tick(now.as_nanos() / TICK_NANOS)
    }

    /// The first tick not before `now`.
    pub fn from(now: Time) -> Tick {
        Tick(now.as_nanos().div_ceil(TICK_NANOS))
    }

    pub fn time(self) -> Time {
        Time::from_nanos(self.0.saturating_mul(TICK_NANOS))
    }

    /// Samples since the epoch: where endless sources are, in step for all who hear them.
    pub fn samples(self) -> u64 {
        self.0.wrapping_mul(TICK_SAMPLES)
    }

    pub fn after(self, ticks: u64) -> Tick {
        Tick(self.0 + ticks)
    }

    /// The first tick after `now` that is a whole number of `period` after this one.
    pub fn next_in_phase(self, now: Tick, period: u64) -> Tick {
        let periods = now.0.saturating_sub(self.0) / period + 1;
        Tick(self.0 + periods * period)
    }
}

/// Places of streams by the tick they are due at. Entries are not removed when a stream stops or moves: the owner compares
/// with the tick that the stream itself remembers, and leaves stale ones out.
#[derive(Debug)]
pub struct Wheel {
    slots: [Vec<u32>; SLOTS],
    /// Everything up to and with this tick has been taken.
    taken: Tick,
    waiting: usize,
}

impl Wheel {
    pub fn new() -> Self {
        Wheel {
            slots: Default::default(),
            taken: Tick(0),
            waiting: 0,
        }
    }

    /// Puts a place in and gives the tick it will come out at: `due`, brought into the wheel's reach (within sixteen ticks after what was
    /// taken last, which only a plane that is late by 20 ms can miss).
    pub fn insert(&mut self, due: Tick, place: u32) -> Tick {
        let due = due.0.clamp(self.taken.0 + 1, self.taken.0 + SLOTS as u64);
        self.slots[due as usize % SLOTS].push(place);
        self.waiting += 1;
        Tick(due)
    }

    /// Keeps the wheel beside the clock while nothing waits in it.
    pub fn idle_until(&mut self, tick: Tick) {
        if self.waiting == 0 && tick.0 > self.taken.0 + 1 {
            self.taken = Tick(tick.0 - 1);
        }
    }

    /// Takes all places due at or before `tick` into `due`, in order of time.
    pub fn take(&mut self, tick: Tick, due: &mut Vec<u32>) {
        let from = self.taken.0 + 1;
        if tick.0 < from {
            return;
        }
        let to = tick.0.min(self.taken.0 + SLOTS as u64);
        for number in from..=to {
            let slot = &mut self.slots[number as usize % SLOTS];
            self.waiting -= slot.len();
            due.append(slot);
        }
        self.taken = tick;
    }

    /// The next tick at which somebody may be due.
    pub fn next(&self) -> Option<Tick> {
        if self.waiting == 0 {
            return None;
        }
        (1..=SLOTS as u64)
            .map(|ahead| self.taken.after(ahead))
            .find(|tick| !self.slots[tick.0 as usize % SLOTS].is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(wheel: &mut Wheel, tick: u64) -> Vec<u32> {
        let mut due = Vec::new();
        wheel.take(Tick(tick), &mut due);
        due
    }

    #[test]
    fn places_come_out_when_due_and_once() {
        let mut wheel = Wheel::new();
        wheel.idle_until(Tick(1000));
        wheel.insert(Tick(1004), 1);
        wheel.insert(Tick(1002), 2);
        wheel.insert(Tick(1004), 3);
        assert_eq!(wheel.next(), Some(Tick(1002)));
        assert_eq!(taken(&mut wheel, 1001), []);
        assert_eq!(taken(&mut wheel, 1003), [2]);
        assert_eq!(wheel.next(), Some(Tick(1004)));
        assert_eq!(taken(&mut wheel, 1100), [1, 3], "however late");
        assert_eq!((wheel.next(), taken(&mut wheel, 1200)), (None, vec![]));
    }

    #[test]
    fn the_past_and_the_far_future_are_brought_into_reach() {
        let mut wheel = Wheel::new();
        taken(&mut wheel, 500);
        wheel.insert(Tick(3), 1);
        wheel.insert(Tick(9_000), 2);
        assert_eq!(taken(&mut wheel, 501), [1]);
        assert_eq!(taken(&mut wheel, 516), [2]);
    }

    #[test]
    fn ticks_round_as_they_say() {
        let late = Time::from_nanos(TICK_NANOS * 7 + 1);
        assert_eq!((Tick::at(late), Tick::from(late)), (Tick(7), Tick(8)));
        assert_eq!(Tick::from(Time::from_nanos(TICK_NANOS * 7)), Tick(7));
        assert_eq!(Tick(7).samples(), 280);
    }
}
