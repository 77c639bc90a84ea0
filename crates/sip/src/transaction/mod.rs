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
    const NOTHING: Step = Step {
        send: Send::Nothing,
        pass: false,
        repeat: Set::Keep,
        last: Set::Keep,
        over: false,
        timed_out: false,
    };
    const OVER: Step = Step {
        over: true,
        ..Step::NOTHING
    };
    const TIMED_OUT: Step = Step {
        over: true,
        timed_out: true,
        ..Step::NOTHING
    };

    /// A final step that waits for stragglers, or, on a stream, is over at once.
    fn linger(self, wait: Option<Duration>, name: &'static str) -> Step {
        match wait {
            Some(wait) => Step {
                repeat: Set::Clear,
                last: Set::After(wait, name),
                ..self
            },
            None => Step {
                repeat: Set::Clear,
                last: Set::Clear,
                over: true,
                ..self
            },
        }
    }
}

/// Which of a transaction's two timers fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fired {
    Repeat,
    Last,
}

#[cfg(test)]
mod tests {
    use super::client::Client;
    use super::client_invite::ClientInvite;
    use super::server::Server;
    use super::server_invite::ServerInvite;
    use super::*;

    const T1: Duration = Duration::from_millis(500);

    fn times(reliable: bool) -> Times {
        Times {
            t1: T1,
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            reliable,
        }
    }

    fn after(millis: u64, name: &'static str) -> Set {
        Set::After(Duration::from_millis(millis), name)
    }

    #[test]
    fn an_invite_of_ours_doubles_timer_a_and_ends_by_b() {
        let (mut machine, step) = ClientInvite::start(&times(false));
        assert_eq!(
            (step.repeat, step.last),
            (after(500, "timer A"), after(32_000, "timer B"))
        );
        assert_eq!(machine.fired(Fired::Repeat).repeat, after(1000, "timer A"));
        assert_eq!(machine.fired(Fired::Repeat).repeat, after(2000, "timer A"));
        assert!(machine.fired(Fired::Last).timed_out);
    }

    #[test]
    fn an_invite_of_ours_lingers_in_d_or_m_and_on_streams_not_in_d() {
        let (mut machine, _) = ClientInvite::start(&times(false));
        let step = machine.response(486, &times(false));
        assert_eq!(
            (step.send, step.last, step.pass),
            (Send::Ack, after(32_000, "timer D"), true)
        );
        assert_eq!(
            machine.response(486, &times(false)),
            Step {
                send: Send::Ack,
                ..Step::NOTHING
            }
        );
        assert_eq!(machine.response(200, &times(false)), Step::NOTHING);
        let (mut machine, step) = ClientInvite::start(&times(true));
        assert_eq!(step.repeat, Set::Clear);
        assert!(machine.response(486, &times(true)).over);
        let (mut machine, _) = ClientInvite::start(&times(true));
        assert_eq!(
            machine.response(200, &times(true)).last,
            after(32_000, "timer M")
        );
        assert!(machine.response(200, &times(true)).pass);
        assert!(machine.fired(Fired::Last).over);
    }

    #[test]
    fn a_request_of_ours_repeats_up_to_t2_and_lingers_in_k() {
        let (mut machine, step) = Client::start(&times(false));
        assert_eq!(
            (step.repeat, step.last),
            (after(500, "timer E"), after(32_000, "timer F"))
        );
        let waits = [1000, 2000, 4000, 4000];
        for wait in waits {
            assert_eq!(
                machine.fired(Fired::Repeat, &times(false)).repeat,
                after(wait, "timer E")
            );
        }
        assert!(machine.response(100, &times(false)).pass);
        assert_eq!(
            machine.fired(Fired::Repeat, &times(false)).repeat,
            after(4000, "timer E")
        );
        assert_eq!(
            machine.response(200, &times(false)).last,
            after(5000, "timer K")
        );
        assert_eq!(machine.response(200, &times(false)), Step::NOTHING);
        let (mut machine, _) = Client::start(&times(true));
        assert!(machine.response(200, &times(true)).over);
    }

    #[test]
    fn a_refusal_of_ours_repeats_by_g_until_ack_or_h_then_i() {
        let mut machine = ServerInvite::start();
        assert_eq!(
            machine.respond(180, &times(false)),
            Some(Step {
                send: Send::Repeat,
                ..Step::NOTHING
            })
        );
        let step = machine.respond(486, &times(false)).expect("possible");
        assert_eq!(
            (step.repeat, step.last),
            (after(500, "timer G"), after(32_000, "timer H"))
        );
        assert_eq!(machine.respond(200, &times(false)), None);
        for wait in [1000, 2000, 4000, 4000] {
            assert_eq!(
                machine.fired(Fired::Repeat, &times(false)).repeat,
                after(wait, "timer G")
            );
        }
        assert_eq!(machine.ack(&times(false)).last, after(5000, "timer I"));
        assert_eq!(machine.request_again(), Step::NOTHING);
        assert!(machine.fired(Fired::Last, &times(false)).over);
        let mut machine = ServerInvite::start();
        assert_eq!(
            machine.respond(486, &times(true)).map(|step| step.repeat),
            Some(Set::Clear)
        );
        assert!(machine.ack(&times(true)).over);
    }

    #[test]
    fn an_answer_of_ours_absorbs_repeated_invites_in_l() {
        let mut machine = ServerInvite::start();
        let step = machine.respond(200, &times(true)).expect("possible");
        assert_eq!(
            (step.send, step.last),
            (Send::Repeat, after(32_000, "timer L"))
        );
        assert_eq!(machine.request_again(), Step::NOTHING);
        assert!(machine.ack(&times(true)).pass);
        assert!(machine.fired(Fired::Last, &times(true)).over);
    }

    #[test]
    fn a_request_to_us_is_answered_once_and_the_answer_repeated_in_j() {
        let mut machine = Server::start();
        assert_eq!(machine.request_again(), Step::NOTHING);
        assert_eq!(
            machine.respond(&times(false)).map(|step| step.last),
            Some(after(32_000, "timer J"))
        );
        assert_eq!(machine.respond(&times(false)), None);
        assert_eq!(machine.request_again().send, Send::Repeat);
        assert!(machine.fired(Fired::Last).over);
        assert!(
            Server::start()
                .respond(&times(true))
                .is_some_and(|step| step.over)
        );
    }
}
