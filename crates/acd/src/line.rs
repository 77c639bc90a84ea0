//! A waiting line: contacts in the order in which they are served.

use std::collections::VecDeque;

use clock::Time;

use crate::api::ContactId;

/// A contact's place: credited start of the wait, ties by number. Smaller is served earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    /// Nanoseconds since the epoch, minus the credits; may be negative.
    start: i64,
    pub contact: ContactId,
}

impl Rank {
    /// After every contact: the head of an empty line.
    pub const LAST: Rank = Rank {
        start: i64::MAX,
        contact: ContactId(u64::MAX),
    };

    /// The place of a contact that waits `since` and has a credit of so many seconds.
    pub fn new(since: Time, credit_seconds: i64, contact: ContactId) -> Self {
        let since = i64::try_from(since.as_nanos()).unwrap_or(i64::MAX);
        Rank {
            start: since.saturating_sub(credit_seconds.saturating_mul(1_000_000_000)),
            contact,
        }
    }

    /// Whether the credited start is before a time.
    pub fn is_before(self, time: Time) -> bool {
        self.start < i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
    }
}

/// Ranks in order. A sorted ring buffer: both ends, where nearly everything happens, are O(1), a place is a binary search,
/// and what goes in or out in the middle moves the shorter side (16 bytes a contact: 5,000 waiting, at most 40 kB).
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    ranks: VecDeque<Rank>,
}

impl Line {
    pub fn insert(&mut self, rank: Rank) {
        if self.ranks.back().is_none_or(|last| *last < rank) {
            self.ranks.push_back(rank);
        } else if let Err(at) = self.ranks.binary_search(&rank) {
            self.ranks.insert(at, rank);
        }
    }

    pub fn remove(&mut self, rank: Rank) {
        if self.ranks.front() == Some(&rank) {
            self.ranks.pop_front();
        } else if let Ok(at) = self.ranks.binary_search(&rank) {
            self.ranks.remove(at);
        }
    }

    /// How many are before it; `None` when it is not in the line.
    pub fn before(&self, rank: Rank) -> Option<usize> {
        self.ranks.binary_search(&rank).ok()
    }

    /// The first, or [`Rank::LAST`].
    pub fn head(&self) -> Rank {
        self.ranks.front().copied().unwrap_or(Rank::LAST)
    }

    pub fn iter(&self) -> impl Iterator<Item = Rank> + '_ {
        self.ranks.iter().copied()
    }

    pub fn len(&self) -> usize {
        self.ranks.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ranks.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(since: u64, credit: i64, contact: u64) -> Rank {
        Rank::new(Time::from_secs(since), credit, ContactId(contact))
    }

    #[test]
    fn orders_by_credited_start_then_number() {
        let mut line = Line::default();
        for place in [
            rank(10, 0, 3),
            rank(10, 0, 2),
            rank(20, 15, 9),
            rank(1, 0, 7),
            rank(0, -100, 1),
        ] {
            line.insert(place);
            line.insert(place);
        }
        let order: Vec<u64> = line.iter().map(|place| place.contact.0).collect();
        assert_eq!(order, [7, 9, 2, 3, 1]);
        assert_eq!(line.before(rank(10, 0, 3)), Some(3));
        line.remove(rank(20, 15, 9));
        line.remove(rank(20, 15, 9));
        assert_eq!(
            (
                line.len(),
                line.before(rank(10, 0, 3)),
                line.before(rank(20, 15, 9))
            ),
            (4, Some(2), None)
        );
    }

    #[test]
    fn extreme_times_and_credits_saturate() {
        assert!(
            Rank::new(Time::ZERO, i64::MAX, ContactId(1))
                < Rank::new(Time::NEVER, i64::MIN, ContactId(1))
        );
    }
}
