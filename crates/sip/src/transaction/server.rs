//! The non-INVITE server transaction: RFC 3261 section 17.2.2, figure 8.

use super::{Fired, Send, Step, Times};

/// Where a request to us other than INVITE and ACK stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// Unanswered: repetitions are absorbed. No provisional is ever sent to these (RFC 4320).
    Trying,
    /// Answered: timer J; repetitions get the same answer.
    Completed,
}

impl Server {
    /// The request has just come.
    pub fn start() -> Server {
        Server::Trying
    }

    /// The request has come again.
    pub fn request_again(&self) -> Step {
        match self {
            Server::Trying => Step::NOTHING,
            Server::Completed => Step {
                send: Send::Repeat,
                ..Step::NOTHING
            },
        }
    }

    /// The transaction user sends its final response, if it has not done so before.
    pub fn respond(&mut self, times: &Times) -> Option<Step> {
        match self {
            Server::Trying => {
                *self = Server::Completed;
                Some(
                    Step {
                        send: Send::Repeat,
                        ..Step::NOTHING
                    }
                    .linger(times.straggle(times.life()), "timer J"),
                )
            }
            Server::Completed => None,
        }
    }

    pub fn fired(&mut self, fired: Fired) -> Step {
        match (*self, fired) {
            (Server::Completed, Fired::Last) => Step::OVER,
            (Server::Trying, _) | (Server::Completed, Fired::Repeat) => Step::NOTHING,
        }
    }
}
