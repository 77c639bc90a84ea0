//! Counters of the writer, read by `/metrics` while it runs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper edges of the commit histogram in microseconds: a group on a good disk takes one to a few milliseconds.
const BUCKETS_US: [u64; 12] = [
    500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000,
    5_000_000,
];

/// See [`super::LogHandle::stats`]. All but the gauges only grow.
#[derive(Debug, Default)]
pub struct LogStats {
    pub records: AtomicU64,
    pub commits: AtomicU64,
    pub bytes: AtomicU64,
    /// Tries that failed.
    pub errors: AtomicU64,
    /// Records that were not taken; the log has a `Lost` record for them.
    pub lost: AtomicU64,
    /// Gauge: taken, and not yet on disk.
    pub queued_bytes: AtomicU64,
    commit_us: AtomicU64,
    buckets: [AtomicU64; BUCKETS_US.len()],
}

impl LogStats {
    pub(super) fn committed(&self, took: Duration, records: usize, bytes: usize) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.commit_us.fetch_add(us, Ordering::Relaxed);
        if let Some(bucket) = BUCKETS_US.iter().position(|edge| us <= *edge) {
            self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        }
        self.records.fetch_add(records as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.commits.fetch_add(1, Ordering::Relaxed);
    }

    /// For `store_commit_duration_seconds`: upper edge in seconds and the number of commits at or below it (cumulative, without +Inf).
    pub fn commit_buckets(&self) -> Vec<(f64, u64)> {
        let mut sum = 0;
        let count = |(edge, bucket): (&u64, &AtomicU64)| {
            sum += bucket.load(Ordering::Relaxed);
            (*edge as f64 / 1e6, sum)
        };
        BUCKETS_US.iter().zip(&self.buckets).map(count).collect()
    }

    /// Sum of all commits' durations.
    pub fn commit_seconds(&self) -> f64 {
        self.commit_us.load(Ordering::Relaxed) as f64 / 1e6
    }
}
