//! Requests that began something a moment ago: their repetitions are no new work.
//!
//! A caller who hears nothing sends again (RFC 3261 section 17.1.1.2). While the first copy waits for the engine a second changes nothing; once that
//! has been taken, the engine has an answer for it, and a 503 would end a call that is being served.

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::time::Duration;

use clock::Time;
use sip::Urgency;
use sip::message::Message;

/// Requests remembered: those of four seconds at 2000 calls/s, eight repetitions' time. A forgotten one is new work again.
const REMEMBERED: usize = 8_192;
/// Timer B: nobody repeats an INVITE for longer.
const LIFETIME: Duration = Duration::from_secs(32);

/// By source and branch, each in the place that its hash names; a newer one takes it.
pub struct Repeats {
    hasher: RandomState,
    places: Box<[(u64, Time)]>,
}

impl Repeats {
    pub fn new() -> Repeats {
        Repeats {
            hasher: RandomState::new(),
            places: vec![(0, Time::ZERO); REMEMBERED].into(),
        }
    }

    /// What a request and its repetitions have in common.
    pub fn name(&self, source: SocketAddr, message: &Message) -> u64 {
        let via = message.top_via().ok();
        let branch = via.and_then(|via| via.branch());
        let method = message.method().map(|method| method.as_str());
        self.hasher.hash_one((source, branch, method))
    }

    /// How urgent a request really is that would be new work; `None` when a copy of it waits already. `head` is when the head of the queue came in.
    pub fn judge(&self, at: Time, head: Time, name: u64, urgency: Urgency) -> Option<Urgency> {
        match self.places[place(name)] {
            (known, since) if known != name || at.since(since) > LIFETIME => Some(urgency),
            (_, since) if since > head => None,
            _ => Some(Urgency::Dialog),
        }
    }

    /// It has been let in.
    pub fn note(&mut self, at: Time, name: u64) {
        self.places[place(name)] = (name, at);
    }
}

fn place(name: u64) -> usize {
    (name % REMEMBERED as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_what_waits_is_nothing_and_one_of_what_was_taken_is_no_new_work() {
        let mut repeats = Repeats::new();
        let start = Time::from_secs(100);
        let second = Duration::from_secs(1);
        let judge = |repeats: &Repeats, at, head| repeats.judge(at, head, 7, Urgency::New);
        assert_eq!(judge(&repeats, start, start), Some(Urgency::New));
        repeats.note(start + second, 7);
        assert_eq!(judge(&repeats, start + second * 2, start), None);
        let taken = start + second;
        assert_eq!(
            judge(&repeats, start + second * 2, taken),
            Some(Urgency::Dialog)
        );
        assert_eq!(
            judge(&repeats, start + second * 40, taken),
            Some(Urgency::New)
        );
        repeats.note(start + second * 2, 7 + REMEMBERED as u64);
        assert_eq!(
            judge(&repeats, start + second * 3, taken),
            Some(Urgency::New),
            "forgotten"
        );
    }
}
