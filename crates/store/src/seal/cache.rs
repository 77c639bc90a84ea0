//! The keys at hand: a bounded table that forgets what has not been used lately.
//!
//! Two halves: what is used moves to the young half; when that is full it becomes the old half, and what was old is forgotten.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

use super::Key;

pub(super) struct Cache<K> {
    young: HashMap<K, Key>,
    old: HashMap<K, Key>,
    half: usize,
}

impl<K: Hash + Eq + Clone> Cache<K> {
    pub(super) fn new(most: usize) -> Self {
        Cache {
            young: HashMap::new(),
            old: HashMap::new(),
            half: (most / 2).max(1),
        }
    }

    pub(super) fn find<Q: Hash + Eq + ?Sized>(&mut self, name: &Q) -> Option<Key>
    where
        K: Borrow<Q>,
    {
        if let Some(key) = self.young.get(name) {
            return Some(*key);
        }
        let (name, key) = self.old.remove_entry(name)?;
        self.put(name, key);
        Some(key)
    }

    pub(super) fn put(&mut self, name: K, key: Key) {
        if self.young.len() >= self.half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(name, key);
    }

    pub(super) fn remove<Q: Hash + Eq + ?Sized>(&mut self, name: &Q)
    where
        K: Borrow<Q>,
    {
        self.young.remove(name);
        self.old.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounded_and_the_used_stay() {
        let key = Key {
            person: [0; 16],
            generation: [0; 4],
            secret: [0; 32],
        };
        let mut cache: Cache<u32> = Cache::new(100);
        cache.put(0, key);
        for name in 1..1_000 {
            cache.put(name, key);
            assert!(cache.find(&0).is_some(), "used all the time");
            assert!(cache.young.len() + cache.old.len() <= 100);
        }
        assert!(cache.find(&1).is_none());
        cache.remove(&0);
        assert!(cache.find(&0).is_none());
    }
}
