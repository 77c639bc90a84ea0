//! The core's time: an integer that is passed in.
//!
//! [`Time`] counts nanoseconds since the Unix epoch, but it is not a wall clock: the edge reads the wall
//! once at start and from then on adds the monotonic clock, so that time never goes back, durations are exact,
//! and times of different runs of one node can still be compared. The edge starts a run at
//! `max(wall clock, last time in the log + 1)`.
//!
//! Absent on purpose: any way to read a clock. Only `server/src/clock.rs` does that.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

/// A moment of the engine's time, in nanoseconds since the Unix epoch (see the crate's text).
///
/// ```
/// use clock::Time;
/// use std::time::Duration;
/// let start = Time::from_nanos(1_000);
/// assert_eq!((start + Duration::from_nanos(5)) - start, Duration::from_nanos(5));
/// assert_eq!(start - Time::from_nanos(2_000), Duration::ZERO, "subtraction saturates");
/// ```
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct Time(u64);

impl Time {
    /// The Unix epoch; virtual worlds usually begin here.
    pub const ZERO: Time = Time(0);
    /// Later than every other time: a deadline that never comes.
    pub const NEVER: Time = Time(u64::MAX);

    /// A time from nanoseconds since the Unix epoch.
    pub const fn from_nanos(nanos: u64) -> Self {
        Time(nanos)
    }

    /// A time from whole seconds since the Unix epoch.
    pub const fn from_secs(seconds: u64) -> Self {
        Time(seconds * 1_000_000_000)
    }

    /// Nanoseconds since the Unix epoch.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Milliseconds since the Unix epoch, rounded down.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Seconds since the Unix epoch, with a fraction.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub const fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Time;
    /// Saturates at [`Time::NEVER`].
    fn add(self, after: Duration) -> Time {
        Time(
            self.0
                .saturating_add(u64::try_from(after.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}

impl AddAssign<Duration> for Time {
    fn add_assign(&mut self, after: Duration) {
        *self = *self + after;
    }
}

impl Sub for Time {
    type Output = Duration;
    fn sub(self, earlier: Time) -> Duration {
        self.since(earlier)
    }
}

impl Sub<Duration> for Time {
    type Output = Time;
    /// Saturates at [`Time::ZERO`].
    fn sub(self, before: Duration) -> Time {
        Time(
            self.0
                .saturating_sub(u64::try_from(before.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6}s", self.as_secs_f64())
    }
}
