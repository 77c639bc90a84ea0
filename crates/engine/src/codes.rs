//! Feature codes: what an agent can say with nothing but a telephone. `*11` ready, `*12` not ready (then a reason digit), `*13` end of wrap-up,
//! `*14` log out. A call to one is no contact and occupies nobody; a short tone says that it was understood.

use std::sync::Arc;
use std::time::Duration;

use clock::Time;
use sip::{Incoming, LegId};

use crate::Engine;
use crate::api::{Count, Output};
use crate::contact::{Leg, LegState};
use crate::timers::Kind;

type Name = Arc<str>;

/// How long the tone lasts before we hang up.
const TONE: Duration = Duration::from_millis(600);
/// How long we wait for the reason digit; without one it is a break.
const REASON_PATIENCE: Duration = Duration::from_secs(5);
/// The test tone's frequency serves here too.
const TONE_HERTZ: u32 = 1004;

/// A feature code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    Ready,
    NotReady,
    EndWrapUp,
    LogOut,
}

/// A call to a feature code.
#[derive(Debug)]
pub(crate) struct CodeCall {
    agent: Name,
    /// Waits for the reason digit.
    asks: bool,
}

/// The code that was dialled, if it is one.
pub(crate) fn code(dialled: &str) -> Option<Code> {
    match dialled {
        "*11" => Some(Code::Ready),
        "*12" => Some(Code::NotReady),
        "*13" => Some(Code::EndWrapUp),
        "*14" => Some(Code::LogOut),
        _ => None,
    }
}

fn reason(digit: char) -> &'static str {
    match digit {
        '2' => "lunch",
        '3' => "meeting",
        '4' => "training",
        '5' => "paperwork",
        _ => "break",
    }
}

/// Owner of a code call's deadline: contacts count from below, legs of codes from above.
fn owner(leg: LegId) -> acd::ContactId {
    acd::ContactId(u64::MAX / 2 + leg.0)
}

impl Engine {
    /// Answers a call to a feature code and does what it says.
    pub(crate) fn feature_code(&mut self, now: Time, incoming: &Incoming, agent: Name, code: Code) {
        let leg = incoming.leg;
        let reject = |status| sip::Command::Reject {
            leg,
            status,
            reason: None,
            headers: vec![],
        };
        let Some(port) = self.ports.take_any(self.config.agents.len()) else {
            self.journal.put(Output::Count(Count::OverloadRejected {
                reason: "rtp_ports",
            }));
            return self.tell_sip(now, reject(503));
        };
        let mut record = Leg::new(Some(port), LegState::Answering, incoming.sdp.clone());
        record.signalling = Some(incoming.peer.remote.ip());
        self.secure_incoming(&mut record, incoming);
        self.legs.insert(leg, record);
        self.open_stream(leg, port);
        if let Err(status) = self.prepare_answer(leg) {
            self.drop_leg(leg);
            return self.tell_sip(now, reject(status));
        }
        if let Some(sdp) = self.legs.get(&leg).and_then(|leg| leg.local.clone()) {
            self.tell_sip(
                now,
                sip::Command::Answer {
                    leg,
                    sdp,
                    headers: vec![],
                },
            );
        }
        self.set_source(leg, media::Source::Tone { hertz: TONE_HERTZ });
        let asks = code == Code::NotReady;
        let patience = if asks { REASON_PATIENCE } else { TONE };
        self.timers.set(owner(leg), Kind::Code(leg), now + patience);
        self.codes.insert(
            leg,
            CodeCall {
                agent: agent.clone(),
                asks,
            },
        );
        match code {
            Code::Ready => self.ask_availability(now, agent, acd::Availability::Ready),
            Code::LogOut => self.ask_availability(now, agent, acd::Availability::LoggedOut),
            Code::EndWrapUp => self.tell_acd(now, acd::Input::EndWrapUp { agent }),
            Code::NotReady => {}
        }
    }

    fn ask_availability(&mut self, now: Time, agent: Name, availability: acd::Availability) {
        self.tell_acd(
            now,
            acd::Input::Availability {
                agent,
                availability,
            },
        );
    }

    /// The reason digit; true if the leg is a call to a feature code.
    pub(crate) fn code_digit(&mut self, now: Time, leg: LegId, digit: char) -> bool {
        let Some(call) = self.codes.get(&leg) else {
            return false;
        };
        if call.asks {
            self.not_ready_by_code(now, leg, digit);
            self.timers
                .set(owner(leg), Kind::Code(leg), now + Duration::ZERO);
        }
        true
    }

    fn not_ready_by_code(&mut self, now: Time, leg: LegId, digit: char) {
        let Some(call) = self.codes.get_mut(&leg).filter(|call| call.asks) else {
            return;
        };
        call.asks = false;
        let agent = call.agent.clone();
        let reason = reason(digit).into();
        self.ask_availability(now, agent, acd::Availability::NotReady { reason });
    }

    /// The tone is over, or no reason came.
    pub(crate) fn code_deadline(&mut self, now: Time, leg: LegId) {
        self.not_ready_by_code(now, leg, '1');
        self.codes.remove(&leg);
        self.end_leg(now, leg, None);
    }

    /// The agent hung up: a not-ready that was asked for holds.
    pub(crate) fn code_gone(&mut self, now: Time, leg: LegId) {
        if self.codes.contains_key(&leg) {
            self.not_ready_by_code(now, leg, '1');
            self.codes.remove(&leg);
            self.timers.clear_all(owner(leg));
        }
    }
}
