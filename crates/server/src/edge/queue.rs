//! A bounded queue to one thread, which takes all that is there at once and sleeps without spinning.
//!
//! A channel that spins before it sleeps is quick where cores are idle. On a core that signalling shares with its own helpers every turn of the
//! spin is taken from them; and one lock for all that has come is cheaper than one a message.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A queue of at most `most` things: its two ends.
pub fn bounded<T>(most: usize) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            waiting: VecDeque::new(),
            asleep: false,
            for_room: 0,
            closed: false,
        }),
        came: Condvar::new(),
        room: Condvar::new(),
        length: AtomicUsize::new(0),
        most,
    });
    let receiver = Receiver {
        shared: shared.clone(),
        taken: VecDeque::new(),
    };
    (Sender { shared }, receiver)
}

struct Shared<T> {
    state: Mutex<State<T>>,
    came: Condvar,
    room: Condvar,
    /// Of what was sent and is not handled yet: what the receiver has taken in its last turn is in front of everybody else too.
    length: AtomicUsize,
    most: usize,
}

struct State<T> {
    waiting: VecDeque<T>,
    /// The receiver wants to be woken.
    asleep: bool,
    /// Senders that wait for room.
    for_room: usize,
    /// The receiver is gone.
    closed: bool,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What cannot be sent comes back.
#[derive(Debug)]
pub enum Unsent<T> {
    Full(T),
    /// Nobody receives any more.
    Closed(T),
}

/// The sending end; cheap to clone.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Sender {
            shared: self.shared.clone(),
        }
    }
}

impl<T> Sender<T> {
    /// How many things are in front of the next.
    pub fn waiting(&self) -> usize {
        self.shared.length.load(Ordering::Relaxed)
    }

    /// Sends without waiting.
    ///
    /// # Errors
    /// There is no room, or no receiver.
    pub fn try_send(&self, thing: T) -> Result<(), Unsent<T>> {
        let state = self.shared.lock();
        if state.closed {
            Err(Unsent::Closed(thing))
        } else if self.waiting() >= self.shared.most {
            Err(Unsent::Full(thing))
        } else {
            self.put(state, thing);
            Ok(())
        }
    }

    /// Sends when there is room; false when nobody receives any more.
    pub fn send(&self, thing: T) -> bool {
        let mut state = self.shared.lock();
        while !state.closed && self.waiting() >= self.shared.most {
            state.for_room += 1;
            state = self
                .shared
                .room
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.for_room -= 1;
        }
        if state.closed {
            return false;
        }
        self.put(state, thing);
        true
    }

    fn put(&self, mut state: MutexGuard<'_, State<T>>, thing: T) {
        state.waiting.push_back(thing);
        self.shared.length.fetch_add(1, Ordering::Relaxed);
        let wake = std::mem::replace(&mut state.asleep, false);
        drop(state);
        if wake {
            self.shared.came.notify_one();
        }
    }
}

/// The receiving end.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    taken: VecDeque<T>,
}

impl<T> Receiver<T> {
    /// The next thing; waits for it, at most until `until`. `None`: that time has come.
    pub fn recv(&mut self, until: Option<Instant>) -> Option<T> {
        if let Some(thing) = self.try_recv() {
            return Some(thing);
        }
        let mut state = self.shared.lock();
        while state.waiting.is_empty() {
            state.asleep = true;
            let came = &self.shared.came;
            state = match until {
                None => came.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        state.asleep = false;
                        return None;
                    }
                    let woken = came.wait_timeout(state, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        drop(state);
        self.try_recv()
    }

    /// The next thing, if there is one.
    pub fn try_recv(&mut self) -> Option<T> {
        if self.taken.is_empty() {
            let mut state = self.shared.lock();
            std::mem::swap(&mut state.waiting, &mut self.taken);
        }
        let thing = self.taken.pop_front()?;
        self.shared.length.fetch_sub(1, Ordering::Relaxed);
        if self.taken.is_empty() && self.shared.lock().for_room > 0 {
            self.shared.room.notify_all();
        }
        Some(thing)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.room.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn everything_comes_once_and_in_its_order_from_each_sender() {
        let (sender, mut receiver) = bounded(16);
        let senders: Vec<_> = (0..4)
            .map(|of| {
                let sender = sender.clone();
                std::thread::spawn(move || (0..1000).all(|n| sender.send((of, n))))
            })
            .collect();
        let mut next = [0; 4];
        for _ in 0..4000 {
            let (of, n): (usize, i32) = receiver.recv(None).unwrap();
            assert_eq!(n, std::mem::replace(&mut next[of], n + 1));
        }
        assert!(receiver.try_recv().is_none());
        assert_eq!(sender.waiting(), 0);
        assert!(senders.into_iter().all(|sender| sender.join().unwrap()));
    }

    #[test]
    fn what_has_no_room_or_no_receiver_comes_back() {
        let (sender, mut receiver) = bounded(2);
        assert!(sender.try_send(1).is_ok() && sender.try_send(2).is_ok());
        assert!(matches!(sender.try_send(3), Err(Unsent::Full(3))));
        assert_eq!(receiver.try_recv(), Some(1));
        assert!(
            sender.try_send(4).is_ok(),
            "what is taken makes room, one by one"
        );
        assert!(matches!(sender.try_send(5), Err(Unsent::Full(5))));
        let waiting = sender.clone();
        let waits = std::thread::spawn(move || waiting.send(6));
        drop(receiver);
        assert!(!waits.join().unwrap());
        assert!(matches!(sender.try_send(7), Err(Unsent::Closed(7))));
    }

    #[test]
    fn a_wait_ends_at_its_time() {
        let (_sender, mut receiver) = bounded::<()>(1);
        let until = Instant::now() + Duration::from_millis(5);
        assert_eq!(receiver.recv(Some(until)), None);
        assert!(Instant::now() >= until);
    }
}
