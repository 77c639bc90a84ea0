//! The non-INVITE client transaction: RFC 3261 section 17.1.2, figure 6.

use std::time::Duration;

use super::{Fired, Send, Set, Step, Times};

/// Where a request of ours other than INVITE and ACK stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// Sent, nothing heard: timers E (repeats on datagrams) and F.
    Trying { interval: Duration },
    /// A provisional has come: repeats go on every T2.
    Proceeding,
    /// A final response has come: timer K absorbs its repetitions.
    Completed,
}

impl Client {
    /// The request has just been sent.
    pub fn start(times: &Times) -> (Client, Step) {
        let repeat = if times.reliable {
            Set::Clear
        } else {
            Set::After(times.t1, "timer E")
        };
        let step = Step {
            repeat,
            last: Set::After(times.life(), "timer F"),
            ..Step::NOTHING
        };
        (Client::Trying { interval: times.t1 }, step)
    }

    /// A response with this status has come.
    pub fn response(&mut self, status: u16, times: &Times) -> Step {
        match *self {
            Client::Trying { .. } | Client::Proceeding if status < 200 => {
                *self = Client::Proceeding;
                Step {
                    pass: true,
                    ..Step::NOTHING
                }
            }
            Client::Trying { .. } | Client::Proceeding => {
                *self = Client::Completed;
                Step {
                    pass: true,
                    ..Step::NOTHING
                }
                .linger(times.straggle(times.t4), "timer K")
            }
            Client::Completed => Step::NOTHING,
        }
    }

    pub fn fired(&mut self, fired: Fired, times: &Times) -> Step {
        match (*self, fired) {
            (Client::Trying { interval }, Fired::Repeat) => {
                let interval = (interval * 2).min(times.t2);
                *self = Client::Trying { interval };
                Step {
                    send: Send::Repeat,
                    repeat: Set::After(interval, "timer E"),
                    ..Step::NOTHING
                }
            }
            (Client::Proceeding, Fired::Repeat) => Step {
                send: Send::Repeat,
                repeat: Set::After(times.t2, "timer E"),
                ..Step::NOTHING
            },
            (Client::Trying { .. } | Client::Proceeding, Fired::Last) => Step::TIMED_OUT,
            (Client::Completed, Fired::Last) => Step::OVER,
            (Client::Completed, Fired::Repeat) => Step::NOTHING,
        }
    }
}
