//! The INVITE client transaction: RFC 3261 section 17.1.1, figure 5 as changed by RFC 6026 section 7.2.

use std::time::Duration;

use super::{Fired, Send, Set, Step, Times};

/// Timer D on datagrams: at least 32 s, whatever our T1, because it waits for the other side's timer H.
const TIMER_D: Duration = Duration::from_secs(32);

/// Where an INVITE of ours stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientInvite {
    /// Sent, nothing heard: timers A (repeats on datagrams) and B.
    Calling { interval: Duration },
    /// A provisional has come. RFC 3261 sets no timer here; the leg's timer C does.
    Proceeding,
    /// A failure has come and was ACKed: timer D absorbs its repetitions.
    Completed,
    /// A 2xx has come: timer M; further 2xx go to the transaction user, who ACKs them.
    Accepted,
}

impl ClientInvite {
    /// The request has just been sent.
    pub fn start(times: &Times) -> (ClientInvite, Step) {
        let repeat = if times.reliable {
            Set::Clear
        } else {
            Set::After(times.t1, "timer A")
        };
        let step = Step {
            repeat,
            last: Set::After(times.life(), "timer B"),
            ..Step::NOTHING
        };
        (ClientInvite::Calling { interval: times.t1 }, step)
    }

    /// A response with this status has come.
    pub fn response(&mut self, status: u16, times: &Times) -> Step {
        match *self {
            ClientInvite::Calling { .. } | ClientInvite::Proceeding => match status {
                ..200 => {
                    // Timer B ends with the first provisional; a later timer on a cancelled INVITE must stay.
                    let last = if matches!(self, ClientInvite::Calling { .. }) {
                        Set::Clear
                    } else {
                        Set::Keep
                    };
                    *self = ClientInvite::Proceeding;
                    Step {
                        pass: true,
                        repeat: Set::Clear,
                        last,
                        ..Step::NOTHING
                    }
                }
                200..300 => {
                    *self = ClientInvite::Accepted;
                    let last = Set::After(times.life(), "timer M");
                    Step {
                        pass: true,
                        repeat: Set::Clear,
                        last,
                        ..Step::NOTHING
                    }
                }
                _ => {
                    *self = ClientInvite::Completed;
                    Step {
                        pass: true,
                        send: Send::Ack,
                        ..Step::NOTHING
                    }
                    .linger(times.straggle(TIMER_D), "timer D")
                }
            },
            ClientInvite::Completed if status >= 300 => Step {
                send: Send::Ack,
                ..Step::NOTHING
            },
            ClientInvite::Accepted if (200..300).contains(&status) => Step {
                pass: true,
                ..Step::NOTHING
            },
            ClientInvite::Completed | ClientInvite::Accepted => Step::NOTHING,
        }
    }

    /// Our CANCEL has been sent: without a final response within 64 · T1 the transaction is given up (section 9.1).
    pub fn cancelled(&self, times: &Times) -> Step {
        match self {
            ClientInvite::Proceeding => Step {
                last: Set::After(times.life(), "cancelled INVITE"),
                ..Step::NOTHING
            },
            ClientInvite::Calling { .. } | ClientInvite::Completed | ClientInvite::Accepted => {
                Step::NOTHING
            }
        }
    }

    pub fn fired(&mut self, fired: Fired) -> Step {
        match (*self, fired) {
            (ClientInvite::Calling { interval }, Fired::Repeat) => {
                let interval = interval * 2;
                *self = ClientInvite::Calling { interval };
                Step {
                    send: Send::Repeat,
                    repeat: Set::After(interval, "timer A"),
                    ..Step::NOTHING
                }
            }
            (ClientInvite::Calling { .. } | ClientInvite::Proceeding, Fired::Last) => {
                Step::TIMED_OUT
            }
            (ClientInvite::Completed | ClientInvite::Accepted, Fired::Last) => Step::OVER,
            (_, Fired::Repeat) => Step::NOTHING,
        }
    }
}
