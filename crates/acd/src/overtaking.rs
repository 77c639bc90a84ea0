//! Who was overtaken, and how often: every waiting contact in order of service, with counts that cost little.

use std::collections::{BTreeMap, VecDeque};

use crate::acd::{Acd, Place};
use crate::api::{ContactId, Name};
use crate::line::Rank;

/// Contacts looked at, one by one, for a reason that is not a skill: beyond so many in one decision their counts are too low.
const LOOKED_AT_MAX: usize = 256;

/// All who wait, in order. An offer overtakes everyone before it: that is one mark on the last of them, which counts for all
/// before it too. So a mark costs nothing, and a count is the sum of the marks from a place to the end.
#[derive(Debug, Default)]
pub(crate) struct Order {
    ranks: VecDeque<Rank>,
    marks: VecDeque<u64>,
}

impl Order {
    /// Puts a contact in; returns the count from which its own begins.
    pub fn insert(&mut self, rank: Rank) -> u64 {
        if self.ranks.back().is_none_or(|last| *last < rank) {
            self.ranks.push_back(rank);
            self.marks.push_back(0);
            return 0;
        }
        match self.ranks.binary_search(&rank) {
            Ok(at) => self.sum(at),
            Err(at) => {
                let base = self.sum(at);
                self.ranks.insert(at, rank);
                self.marks.insert(at, 0);
                base
            }
        }
    }

    /// Takes a contact out; returns the count that it has reached.
    pub fn remove(&mut self, rank: Rank) -> Option<u64> {
        let at = self.ranks.binary_search(&rank).ok()?;
        let reached = self.sum(at);
        self.ranks.remove(at);
        let mark = self.marks.remove(at).unwrap_or(0);
        if let Some(before) = at.checked_sub(1) {
            self.marks[before] += mark;
        }
        Some(reached)
    }

    /// The count of a contact that is in.
    pub fn reached(&self, rank: Rank) -> Option<u64> {
        self.ranks.binary_search(&rank).ok().map(|at| self.sum(at))
    }

    /// Everyone before this place is overtaken once more.
    pub fn overtake(&mut self, rank: Rank) {
        let before = self.ranks.partition_point(|other| *other < rank);
        if let Some(last) = before.checked_sub(1) {
            self.marks[last] += 1;
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = Rank> + '_ {
        self.ranks.iter().copied()
    }

    pub fn after(&self, rank: Rank) -> impl Iterator<Item = Rank> + '_ {
        let from = self.ranks.partition_point(|other| *other <= rank);
        self.ranks.range(from..).copied()
    }

    pub fn len(&self) -> usize {
        self.ranks.len()
    }

    fn sum(&self, from: usize) -> u64 {
        self.marks.range(from..).sum()
    }
}

/// How often a contact was overtaken.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Overtaken {
    /// Where the count in [`Order`] stood when this wait began.
    pub base: u64,
    /// Of waits that are over: an offer that came to nothing ends one and begins another.
    pub before: u64,
    back_off: u32,
    wanted: u32,
    priority: u32,
}

impl Acd {
    /// The contact gets the agent: whoever was before it is overtaken.
    pub(crate) fn overtake(&mut self, contact: ContactId, agent: u32) {
        let Some(record) = self.contacts.get(&contact) else {
            return;
        };
        let (rank, since) = (record.rank, record.since);
        if self.waiting.len() == 0 {
            return;
        }
        self.waiting.overtake(rank);
        self.overtake_apart(rank, agent);
        self.overtake_held(rank, agent);
        if rank.is_before(since) {
            self.overtake_by_credit(rank, since, agent);
        }
    }

    /// Those who could have had the agent, were the two not kept apart.
    fn overtake_apart(&mut self, rank: Rank, agent: u32) {
        for (other, _) in self.agents[agent as usize].pairs() {
            if let Some(record) = self.contacts.get_mut(other)
                && record.place == Place::Waiting
                && record.rank < rank
                && self.index.satisfies(agent, record.profile)
            {
                record.overtaken.back_off += 1;
            }
        }
    }

    /// Those who could have had the agent and wait for another.
    fn overtake_held(&mut self, rank: Rank, agent: u32) {
        let held = self.held.values();
        let held = held.flat_map(|line| line.iter().take_while(|held| *held < rank));
        for held in held.take(LOOKED_AT_MAX) {
            if let Some(record) = self.contacts.get_mut(&held.contact)
                && self.index.satisfies(agent, record.profile)
            {
                record.overtaken.wanted += 1;
            }
        }
    }

    /// Those who have waited longer, and have less credit.
    fn overtake_by_credit(&mut self, rank: Rank, since: clock::Time, agent: u32) {
        let behind = self.waiting.after(rank);
        for other in behind
            .take_while(|other| other.is_before(since))
            .take(LOOKED_AT_MAX)
        {
            if let Some(record) = self.contacts.get_mut(&other.contact)
                && record.since < since
                && self.index.satisfies(agent, record.profile)
            {
                record.overtaken.priority += 1;
            }
        }
    }

    /// By whom a contact was overtaken so far: by reason.
    pub(crate) fn overtaken_by(&self, contact: ContactId) -> BTreeMap<Name, u32> {
        let Some(record) = self.contacts.get(&contact) else {
            return BTreeMap::new();
        };
        let counts = &record.overtaken;
        let here = self.waiting.reached(record.rank);
        let here = here.map_or(0, |reached| reached - counts.base);
        let special = u64::from(counts.back_off) + u64::from(counts.wanted);
        let skill = (counts.before + here).saturating_sub(special);
        let skill = u32::try_from(skill).unwrap_or(u32::MAX);
        let words = &self.words;
        [
            (&words.skill, skill),
            (&words.back_off, counts.back_off),
            (&words.wanted, counts.wanted),
            (&words.priority, counts.priority),
        ]
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(word, count)| (word.clone(), count))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clock::Time;

    fn rank(contact: u64) -> Rank {
        Rank::new(Time::from_secs(contact), 0, ContactId(contact))
    }

    /// The marks against a count by hand.
    #[test]
    fn counts_as_one_would_by_hand() {
        let mut order = Order::default();
        let mut by_hand: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
        let mut chance = 7u64;
        for _ in 0..20_000 {
            chance = chance
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let (what, place) = ((chance >> 60) % 3, (chance >> 33) % 40);
            match what {
                0 if !by_hand.contains_key(&place) => {
                    let base = order.insert(rank(place));
                    by_hand.insert(place, (base, 0));
                }
                1 => order_overtakes(&mut order, &mut by_hand, place),
                _ => {
                    let reached = order.remove(rank(place));
                    let counted = by_hand.remove(&place);
                    assert_eq!(
                        reached,
                        counted.map(|(base, count)| base + count),
                        "place {place}"
                    );
                }
            }
            assert_eq!(order.len(), by_hand.len());
        }
    }

    fn order_overtakes(order: &mut Order, by_hand: &mut BTreeMap<u64, (u64, u64)>, place: u64) {
        order.overtake(rank(place));
        for (_, count) in by_hand.range_mut(..place).map(|(_, counts)| counts) {
            *count += 1;
        }
        for (place, (base, count)) in by_hand.iter() {
            assert_eq!(order.reached(rank(*place)), Some(base + count));
        }
    }
}
