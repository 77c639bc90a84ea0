//! The clock: the only file that reads one.
//!
//! The wall clock is read once, at start; from then on the monotonic clock is added to it. Time therefore never goes back, a duration never comes
//! from two wall-clock stamps, and a run begins after everything that the log already holds.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ::clock::Time;

/// A running clock. Copies agree with each other.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Time,
    started: Instant,
}

impl Clock {
    /// Starts at the wall clock's time, or right after `after` (the log's last time) when the wall clock is behind it.
    pub fn start(after: Time) -> Self {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        let wall = Time::ZERO + wall;
        Clock {
            origin: wall.max(after + Duration::from_nanos(1)),
            started: Instant::now(),
        }
    }

    /// The engine's time now.
    pub fn now(&self) -> Time {
        self.origin + self.started.elapsed()
    }

    /// How far the engine's time ran ahead of the wall clock at start; zero unless the wall clock was set back since the last run.
    pub fn ahead(&self) -> Duration {
        let wall = Time::ZERO
            + SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or(Duration::ZERO);
        self.now() - wall
    }

    /// The moment of the monotonic clock at which `time` comes.
    pub fn instant(&self, time: Time) -> Instant {
        self.started + time.since(self.origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_begins_after_the_log() {
        let future = Time::from_secs(40_000_000_000 / 4);
        let clock = Clock::start(future);
        assert!(clock.now() > future);
        assert!(clock.ahead() > Duration::ZERO);
    }

    #[test]
    fn time_does_not_go_back() {
        let clock = Clock::start(Time::ZERO);
        let first = clock.now();
        assert!(clock.now() >= first);
        assert!(clock.instant(first) <= Instant::now());
    }
}
