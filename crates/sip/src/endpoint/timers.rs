//! Every deadline of the endpoint in one indexed heap: set, cancel and next are exact, none is ever looked for.
//!
//! A heap with positions instead of lazy deletion: at 2000 calls/s most timers are cancelled long before they are due,
//! and dead entries would outnumber live ones. Equal deadlines fire in the order in which they were set, so that a run replays.

use clock::Time;

/// Names one set timer. A timer that has fired or was cancelled is not found again, even when its slot is reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerId {
    slot: u32,
    generation: u32,
}

/// The deadlines, each with a name and what it is for.
#[derive(Debug)]
pub struct Timers<K> {
    heap: Vec<Entry>,
    slots: Vec<Slot<K>>,
    free: Vec<u32>,
    sequence: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    at: Time,
    sequence: u64,
    slot: u32,
}

impl Entry {
    fn before(&self, other: &Entry) -> bool {
        (self.at, self.sequence) < (other.at, other.sequence)
    }
}

#[derive(Debug)]
struct Slot<K> {
    position: u32,
    /// How often the slot has been used: an id of an earlier use is void.
    generation: u32,
    name: &'static str,
    key: Option<K>,
}

impl<K> Timers<K> {
    pub fn new() -> Self {
        Timers {
            heap: Vec::new(),
            slots: Vec::new(),
            free: Vec::new(),
            sequence: 0,
        }
    }

    /// Live timers.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// The next deadline and its name, in constant time.
    pub fn next(&self) -> Option<(Time, &'static str)> {
        let first = self.heap.first()?;
        Some((first.at, self.slots[first.slot as usize].name))
    }

    pub fn set(&mut self, at: Time, name: &'static str, key: K) -> TimerId {
        self.sequence += 1;
        let position = self.heap.len();
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(Slot {
                    position: 0,
                    generation: 0,
                    name,
                    key: None,
                });
                (self.slots.len() - 1) as u32
            }
        };
        let entry = &mut self.slots[slot as usize];
        entry.position = position as u32;
        entry.generation = entry.generation.wrapping_add(1);
        (entry.name, entry.key) = (name, Some(key));
        let id = TimerId {
            slot,
            generation: entry.generation,
        };
        self.heap.push(Entry {
            at,
            sequence: self.sequence,
            slot,
        });
        self.up(position);
        id
    }

    /// Forgets a timer; one that has fired already is no fault.
    pub fn cancel(&mut self, id: TimerId) {
        let position = match self.slots.get(id.slot as usize) {
            Some(slot) if slot.generation == id.generation && slot.key.is_some() => {
                slot.position as usize
            }
            _ => return,
        };
        self.remove(position);
    }

    /// Takes the earliest timer if it is due at `now`.
    pub fn pop_due(&mut self, now: Time) -> Option<K> {
        if self.heap.first()?.at > now {
            return None;
        }
        self.remove(0)
    }

    fn remove(&mut self, position: usize) -> Option<K> {
        let entry = self.heap.swap_remove(position);
        if position < self.heap.len() {
            self.place(position);
            self.down(position);
            self.up(position);
        }
        self.free.push(entry.slot);
        self.slots[entry.slot as usize].key.take()
    }

    fn place(&mut self, position: usize) {
        let slot = self.heap[position].slot as usize;
        self.slots[slot].position = position as u32;
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.place(a);
        self.place(b);
    }

    fn up(&mut self, mut position: usize) {
        while position > 0 {
            let parent = (position - 1) / 2;
            if !self.heap[position].before(&self.heap[parent]) {
                break;
            }
            self.swap(position, parent);
            position = parent;
        }
    }

    fn down(&mut self, mut position: usize) {
        loop {
            let left = 2 * position + 1;
            let right = left + 1;
            let mut least = position;
            for child in [left, right] {
                if child < self.heap.len() && self.heap[child].before(&self.heap[least]) {
                    least = child;
                }
            }
            if least == position {
                break;
            }
            self.swap(position, least);
            position = least;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_fire_in_order_and_cancelled_ones_never() {
        let mut timers = Timers::new();
        let ids: Vec<_> = (0..1000u64)
            .map(|n| timers.set(Time::from_nanos((n * 7919) % 1000), "x", n))
            .collect();
        for (n, id) in ids.iter().enumerate() {
            if n % 3 == 0 {
                timers.cancel(*id);
                timers.cancel(*id);
            }
        }
        let mut last = Time::ZERO;
        let mut fired = 0;
        while let Some((at, _)) = timers.next() {
            assert!(at >= last, "{at:?} after {last:?}");
            last = at;
            let n = timers.pop_due(at).expect("due");
            assert_ne!(n % 3, 0);
            fired += 1;
        }
        assert_eq!(fired, 666);
        assert_eq!(timers.len(), 0);
    }

    #[test]
    fn equal_deadlines_keep_the_order_in_which_they_were_set() {
        let mut timers = Timers::new();
        for n in 0..20 {
            timers.set(Time::from_secs(1), "x", n);
        }
        let fired: Vec<_> = std::iter::from_fn(|| timers.pop_due(Time::from_secs(1))).collect();
        assert_eq!(fired, (0..20).collect::<Vec<_>>());
    }
}
