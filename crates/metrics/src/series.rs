//! The same sums for ever, by day and by interval.

use std::collections::BTreeMap;
use std::time::Duration;

use clock::Time;
use serde::{Deserialize, Serialize};

use crate::totals::Sum;

/// Length of an interval. Every present time zone is a multiple of it away from UTC, so intervals never straddle midnight.
pub const INTERVAL: Duration = Duration::from_secs(15 * 60);
/// Intervals kept: eight days of them. Older ones are a replay of the log.
pub const KEPT_INTERVALS: usize = 8 * 24 * 4;
/// Days kept.
pub const KEPT_DAYS: usize = 8;

/// Start of the interval that holds this moment.
pub fn interval_start(at: Time) -> Time {
    let length = INTERVAL.as_nanos() as u64;
    Time::from_nanos(at.as_nanos() / length * length)
}

/// Where a moment is booked: the start of its interval and of its day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    pub interval: Time,
    pub day: Time,
}

/// Sums for ever, by day and by interval; spans in which nothing happened have no row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Series<T> {
    pub total: T,
    /// By start of the day in the centre's zone.
    pub days: BTreeMap<Time, T>,
    /// By start of the interval; empty for agents, of whom there are thousands.
    pub intervals: BTreeMap<Time, T>,
}

impl<T: Sum> Series<T> {
    /// Books into the total, the day and the interval.
    pub fn book(&mut self, slot: Slot, change: impl Fn(&mut T)) {
        self.book_day(slot, &change);
        change(row(&mut self.intervals, slot.interval, KEPT_INTERVALS));
    }

    /// Books into the total and the day alone.
    pub fn book_day(&mut self, slot: Slot, change: impl Fn(&mut T)) {
        change(&mut self.total);
        change(row(&mut self.days, slot.day, KEPT_DAYS));
    }

    /// The sum of the intervals that begin in `[from, to)`.
    pub fn between(&self, from: Time, to: Time) -> T {
        fold(self.intervals.range(from..to.max(from)).map(|(_, row)| row))
    }

    /// The sum of the days that begin in `[from, to)`.
    pub fn days_between(&self, from: Time, to: Time) -> T {
        fold(self.days.range(from..to.max(from)).map(|(_, row)| row))
    }
}

fn fold<'a, T: Sum + 'a>(rows: impl Iterator<Item = &'a T>) -> T {
    let mut sum = T::default();
    rows.for_each(|row| sum.sum(row));
    sum
}

/// The row of this span; the oldest goes when there are too many.
pub(crate) fn row<T: Default>(rows: &mut BTreeMap<Time, T>, start: Time, kept: usize) -> &mut T {
    if rows.len() >= kept && !rows.contains_key(&start) {
        rows.pop_first();
    }
    rows.entry(start).or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::totals::QueueTotals;

    #[test]
    fn the_oldest_interval_goes_and_the_total_stays() {
        let mut series = Series::<QueueTotals>::default();
        let many = KEPT_INTERVALS as u64 + 10;
        for n in 0..many {
            let start = Time::from_secs(n * INTERVAL.as_secs());
            series.book(
                Slot {
                    interval: start,
                    day: Time::ZERO,
                },
                |q| q.offered += 1,
            );
        }
        assert_eq!(series.intervals.len(), KEPT_INTERVALS);
        assert_eq!(series.total.offered, many);
        assert_eq!(
            series
                .between(Time::from_secs(10 * 900), Time::from_secs(12 * 900))
                .offered,
            2
        );
        assert_eq!(
            series.between(Time::from_secs(100), Time::ZERO).offered,
            0,
            "an empty span"
        );
    }
}
