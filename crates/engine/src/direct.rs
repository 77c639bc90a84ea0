//! Calls to an extension: from another extension, or from a flow that transfers. They occupy the agents and make no queue visit.

use std::sync::Arc;
use std::time::Duration;

use clock::Time;
use sip::{Cause, LegId};

use crate::Engine;
use crate::contact::{LegState, Stage, Talk};
use crate::event::EventKind;
use crate::journal::millis;
use crate::timers::Kind;

type Name = Arc<str>;

/// How long an extension rings.
const EXTENSION_RING: Duration = Duration::from_secs(60);

impl Engine {
    /// Rings an extension, if its agent is free.
    pub(crate) fn call_extension(&mut self, now: Time, number: acd::ContactId, agent: Name) {
        if let Err(status) = self.extension_is_free(&agent) {
            return self.extension_failed(now, number, status);
        }
        self.tell_acd(
            now,
            acd::Input::Occupy {
                agent: agent.clone(),
                call: number,
            },
        );
        match self.place(now, number, &agent) {
            Some(leg) => {
                if let Some(contact) = self.contacts.get_mut(&number) {
                    contact.stage = Stage::Direct {
                        agent,
                        leg,
                        since: now,
                    };
                }
                self.timers.set(number, Kind::Direct, now + EXTENSION_RING);
            }
            None => {
                self.tell_acd(
                    now,
                    acd::Input::Vacate {
                        agent,
                        call: number,
                    },
                );
                self.extension_failed(now, number, 503);
            }
        }
    }

    /// Whether an extension can be rung: its agent is known and has no work.
    ///
    /// # Errors
    /// The status that says why not.
    pub(crate) fn extension_is_free(&self, agent: &str) -> Result<(), u16> {
        use acd::State;
        match self.acd.state(agent) {
            None => Err(404),
            Some(
                State::Reserved { .. }
                | State::Connected { .. }
                | State::WrapUp { .. }
                | State::Occupied { .. },
            ) => Err(486),
            Some(State::LoggedOut | State::NotReady { .. } | State::Ready | State::Unreachable) => {
                Ok(())
            }
        }
    }

    pub(crate) fn extension_answered(
        &mut self,
        now: Time,
        number: acd::ContactId,
        leg: LegId,
        fits: bool,
    ) {
        if !fits {
            self.end_leg(now, leg, None);
            return self.direct_ended(now, number, 488);
        }
        self.timers.clear(number, Kind::Direct);
        self.answer_caller(now, number);
        let Some(contact) = self.contacts.get_mut(&number) else {
            return;
        };
        let Stage::Direct { agent, since, .. } = &contact.stage else {
            return;
        };
        let (agent, rang_ms) = (agent.clone(), millis(now - *since));
        contact.stage = Stage::Talking(Talk::new(agent.clone(), leg, None, now));
        contact.answered_agent = Some(agent.clone());
        let (caller, id) = (contact.caller, contact.id.clone());
        let group = self.group_of(&agent);
        let kind = EventKind::ContactAnswered {
            contact: id,
            queue: None,
            visit: 0,
            agent,
            group,
            wait_ms: 0,
            rang_ms,
            transferred: false,
        };
        self.note(now, number, kind);
        self.begin_talk(now, number, caller, leg);
    }

    pub(crate) fn direct_unanswered(&mut self, now: Time, number: acd::ContactId) {
        if self.transfer_unanswered(now, number) {
            return;
        }
        match self.contacts.get(&number).map(|contact| &contact.stage) {
            Some(&Stage::Direct { leg, .. }) => {
                self.end_leg(now, leg, None);
                self.direct_ended(now, number, 480);
            }
            Some(&Stage::Outside { leg, .. }) => self.outside_unanswered(now, number, leg),
            _ => {}
        }
    }

    pub(crate) fn direct_leg_gone(&mut self, now: Time, number: acd::ContactId, cause: &Cause) {
        let status = status_of(cause);
        self.direct_ended(now, number, status);
    }

    /// The extension did not answer: its agent is free again.
    fn direct_ended(&mut self, now: Time, number: acd::ContactId, status: u16) {
        self.timers.clear(number, Kind::Direct);
        let Some(Stage::Direct { agent, .. }) =
            self.contacts.get(&number).map(|contact| &contact.stage)
        else {
            return;
        };
        let agent = agent.clone();
        self.tell_acd(
            now,
            acd::Input::Vacate {
                agent,
                call: number,
            },
        );
        self.extension_failed(now, number, status);
    }

    fn extension_failed(&mut self, now: Time, number: acd::ContactId, status: u16) {
        if let Some(contact) = self.contacts.get_mut(&number) {
            contact.stage = Stage::Ivr;
        }
        if self.return_to_flow(now, number, "failed") {
            return;
        }
        let Some(caller) = self.contacts.get(&number).map(|contact| contact.caller) else {
            return;
        };
        if self
            .legs
            .get(&caller)
            .is_some_and(|leg| matches!(leg.state, LegState::Inviting | LegState::Ringing))
        {
            self.tell_sip(
                now,
                sip::Command::Reject {
                    leg: caller,
                    status,
                    reason: None,
                    headers: vec![],
                },
            );
        }
        self.close(now, number, "extension_failed");
    }
}

/// What the end of an extension's leg says about it.
pub(crate) fn status_of(cause: &Cause) -> u16 {
    match cause {
        // A redirection is not followed, and nothing of it is shown.
        Cause::Rejected {
            status: 300..=399, ..
        }
        | Cause::NotRegistered
        | Cause::Unreachable
        | Cause::NoResponse => 480,
        Cause::Rejected { status, .. } => *status,
        Cause::Bye | Cause::Cancelled | Cause::HungUp | Cause::Lost => 480,
    }
}
