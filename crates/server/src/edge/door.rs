//! The one door to the engine: a bounded channel in which calls in progress have room that new calls cannot take.
//!
//! When the door is full for new work, the edge answers 503 by itself, without a transaction: refusing must cost less than serving
//! (RFC 5390, RFC 7200). Established calls go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clock::Time;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

/// Everything that may wait for the engine thread.
pub const INBOX_MAX: usize = 32_768;
/// New work is refused beyond this: what stands in front of it is served in well under T1 (500 ms), so that waiting does not breed retransmissions.
const NEW_WORK_MAX: usize = 8_192;
/// Messages of calls in progress are dropped beyond this (and come again); the rest is for media, commands and answers from the store.
const SIP_MAX: usize = 24_576;
/// Retry-After of a refusal: at least this many seconds, and jittered so that the refused do not all come back at once.
const RETRY_AFTER_MIN: u32 = 2;
const RETRY_AFTER_SPREAD: u32 = 8;

/// One thing for the engine thread.
#[derive(Debug)]
pub enum Work {
    /// With the time at which it came in.
    Input { at: Time, input: engine::Input },
    /// Everything before this is handled; end.
    Stop,
}

/// The sending side; cheap to clone.
#[derive(Clone)]
pub struct Door {
    sender: Sender<Work>,
    turned_away: Arc<TurnedAway>,
}

/// What did not come in, since last asked.
#[derive(Debug, Default)]
pub struct TurnedAway {
    refused: AtomicU64,
    dropped: AtomicU64,
    too_large: AtomicU64,
}

impl TurnedAway {
    /// New work refused, messages dropped, and messages too large to be looked at, since the last call.
    pub fn take(&self) -> (u64, u64, u64) {
        (
            self.refused.swap(0, Ordering::Relaxed),
            self.dropped.swap(0, Ordering::Relaxed),
            self.too_large.swap(0, Ordering::Relaxed),
        )
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Taken,
    /// Answer 503 with this Retry-After, in seconds.
    Refused {
        retry_after: u32,
    },
    /// Gone; retransmission is the sender's.
    Dropped,
}

impl Door {
    /// A door and what comes through it.
    pub fn new() -> (Self, Receiver<Work>) {
        let (sender, receiver) = bounded(INBOX_MAX);
        (
            Door {
                sender,
                turned_away: Arc::default(),
            },
            receiver,
        )
    }

    /// Counts of what did not come in.
    pub fn turned_away(&self) -> Arc<TurnedAway> {
        self.turned_away.clone()
    }

    /// A SIP input. `new_work` is a request that would begin something: it is refused first.
    pub fn sip(&self, at: Time, input: sip::Input, new_work: bool) -> Admission {
        let waiting = self.sender.len();
        if new_work && waiting >= NEW_WORK_MAX {
            self.turned_away.refused.fetch_add(1, Ordering::Relaxed);
            return Admission::Refused {
                retry_after: retry_after(at),
            };
        }
        if waiting >= SIP_MAX {
            return self.dropped();
        }
        match self.sender.try_send(Work::Input {
            at,
            input: engine::Input::Sip(input),
        }) {
            Ok(()) => Admission::Taken,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.dropped(),
        }
    }

    /// Counts a message that the edge does not take for its size.
    pub fn too_large(&self) {
        self.turned_away.too_large.fetch_add(1, Ordering::Relaxed);
    }

    fn dropped(&self) -> Admission {
        self.turned_away.dropped.fetch_add(1, Ordering::Relaxed);
        Admission::Dropped
    }

    /// Anything else; waits for room. False when the engine is gone.
    pub fn send(&self, at: Time, input: engine::Input) -> bool {
        self.sender.send(Work::Input { at, input }).is_ok()
    }

    /// The same without waiting, for threads that must not: false when there is no room, and the input is counted as dropped.
    pub fn offer(&self, at: Time, input: engine::Input) -> bool {
        match self.sender.try_send(Work::Input { at, input }) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.dropped() == Admission::Taken
            }
        }
    }

    /// The same for a media event, which comes back where there is no room: to be offered again.
    pub fn offer_media(&self, at: Time, event: media::Event) -> Result<(), media::Event> {
        let input = engine::Input::Media(event);
        match self.sender.try_send(Work::Input { at, input }) {
            Err(TrySendError::Full(Work::Input {
                input: engine::Input::Media(event),
                ..
            })) => Err(event),
            // Without the engine nobody waits for it.
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Ok(()),
        }
    }

    /// Ends the engine thread after what is in front.
    pub fn stop(&self) {
        let _ = self.sender.send(Work::Stop);
    }
}

/// Jittered by the time's low digits: cheap, and different for each refusal.
fn retry_after(at: Time) -> u32 {
    let mixed = ((at.as_nanos() / 1000).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32;
    RETRY_AFTER_MIN + mixed % RETRY_AFTER_SPREAD
}
