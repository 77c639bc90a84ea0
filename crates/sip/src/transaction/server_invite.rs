//! The INVITE server transaction: RFC 3261 section 17.2.1, figure 7 as changed by RFC 6026 section 7.1.

use std::time::Duration;

use super::{Fired, Send, Set, Step, Times};

/// Where an INVITE to us stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerInvite {
    /// Unanswered: a repeated INVITE gets the last provisional.
    Proceeding,
    /// Refused: timers G (repeats on datagrams) and H, until the ACK.
    Completed { interval: Duration },
    /// The refusal was ACKed: timer I absorbs further ACKs.
    Confirmed,
    /// Answered with a 2xx, which the transaction user repeats: timer L absorbs repeated INVITEs.
    Accepted,
}

impl ServerInvite {
    /// The request has just come.
    pub fn start() -> ServerInvite {
        ServerInvite::Proceeding
    }

    /// The INVITE has come again.
    pub fn request_again(&self) -> Step {
        match self {
            ServerInvite::Proceeding | ServerInvite::Completed { .. } => Step {
                send: Send::Repeat,
                ..Step::NOTHING
            },
            ServerInvite::Confirmed | ServerInvite::Accepted => Step::NOTHING,
        }
    }

    /// The transaction user sends a response with this status; true if that is still possible.
    pub fn respond(&mut self, status: u16, times: &Times) -> Option<Step> {
        match self {
            ServerInvite::Proceeding => Some(match status {
                ..200 => Step {
                    send: Send::Repeat,
                    ..Step::NOTHING
                },
                200..300 => {
                    *self = ServerInvite::Accepted;
                    Step {
                        send: Send::Repeat,
                        last: Set::After(times.life(), "timer L"),
                        ..Step::NOTHING
                    }
                }
                _ => {
                    *self = ServerInvite::Completed { interval: times.t1 };
                    let repeat = if times.reliable {
                        Set::Clear
                    } else {
                        Set::After(times.t1, "timer G")
                    };
                    Step {
                        send: Send::Repeat,
                        repeat,
                        last: Set::After(times.life(), "timer H"),
                        ..Step::NOTHING
                    }
                }
            }),
            ServerInvite::Accepted if (200..300).contains(&status) => Some(Step {
                send: Send::Repeat,
                ..Step::NOTHING
            }),
            ServerInvite::Completed { .. } | ServerInvite::Confirmed | ServerInvite::Accepted => {
                None
            }
        }
    }

    /// An ACK with this transaction's branch has come.
    pub fn ack(&mut self, times: &Times) -> Step {
        match self {
            ServerInvite::Completed { .. } => {
                *self = ServerInvite::Confirmed;
                Step::NOTHING.linger(times.straggle(times.t4), "timer I")
            }
            // Against section 13.2.2.4, but some phones do reuse the INVITE's branch for the ACK of a 2xx.
            ServerInvite::Accepted => Step {
                pass: true,
                ..Step::NOTHING
            },
            ServerInvite::Proceeding | ServerInvite::Confirmed => Step::NOTHING,
        }
    }

    pub fn fired(&mut self, fired: Fired, times: &Times) -> Step {
        match (*self, fired) {
            (ServerInvite::Completed { interval }, Fired::Repeat) => {
                let interval = (interval * 2).min(times.t2);
                *self = ServerInvite::Completed { interval };
                Step {
                    send: Send::Repeat,
                    repeat: Set::After(interval, "timer G"),
                    ..Step::NOTHING
                }
            }
            (ServerInvite::Completed { .. }, Fired::Last) => Step::TIMED_OUT,
            (ServerInvite::Confirmed | ServerInvite::Accepted, Fired::Last) => Step::OVER,
            (ServerInvite::Proceeding, _) | (_, Fired::Repeat) => Step::NOTHING,
        }
    }
}
