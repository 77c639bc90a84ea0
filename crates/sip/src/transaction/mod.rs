//! Transactions of RFC 3261 section 17 with the Accepted states of RFC 6026, one machine a file.
//!
//! A machine knows neither messages nor the clock: it is told what happened and answers with a [`Step`].
//! The endpoint keeps the bytes to repeat, the timers and the peers, and obeys.
//!
//! Absent on purpose: any table of transactions, which is the endpoint's.

pub mod client;
pub mod client_invite;
pub mod server;
pub mod server_invite;

use std::time::Duration;

/// What all machines need to know of the world.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub t1: Duration,
    pub t2: Duration,
    pub t4: Duration,
    /// A stream: nothing is repeated and nothing need be remembered for stragglers.
    pub reliable: bool,
}

impl Times {
    /// How long a transaction lasts: 64 · T1.
    pub fn life(&self) -> Duration {
        self.t1 * 64
    }

    /// `wait` on datagrams, nothing on streams: timers D, I, J and K.
    fn straggle(&self, wait: Duration) -> Option<Duration> {
        (!self.reliable).then_some(wait)
    }
}

/// What is to happen to one of a transaction's two timers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Set {
    #[default]
    Keep,
    Clear,
    After(Duration, &'static str),
}

/// What to put on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Send {
    #[default]
    Nothing,
    /// The request, or the last response, once more.
    Repeat,
    /// The ACK of a final failure, made from it (section 17.1.1.3), or the stored one once more.
    Ack,
}

/// What a machine wants after an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    pub send: Send,
    /// The event is news to the transaction user.
    pub pass: bool,
    /// The repeating timer: A, E or G.
    pub repeat: Set,
    /// The lasting timer: B, D, F, H, I, J, K, L or M.
    pub last: Set,
    /// The transaction is over and its table entry goes.
    pub over: bool,
    /// It is over because no response, or no ACK, came.
    pub timed_out: bool,
}

impl Step {
    const NOTHING: Step =
        Step { send: Send::Nothing, pass: false, repeat: Set::Keep, last: Set::Keep, over: false, timed_out: false };
    const OVER: Step = Step { over: true, ..Step::NOTHING };
    const TIMED_OUT: Step = Step { over: true, timed_out: true, ..Step::NOTHING };

    /// A final step that waits for stragglers, or, on a stream, is over at once.
    fn linger(self, wait: Option<Duration>, name: &'static str) -> Step {
        match wait {
            Some(wait) => Step { repeat: Set::Clear, last: Set::After(wait, name), ..self },
            None => Step { repeat: Set::Clear, last: Set::Clear, over: true, ..self },
        }
    }
}

/// Which of a transaction's two timers fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fired {
    Repeat,
    Last,
}
