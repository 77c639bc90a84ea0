//! Plain sums over a span of time: what the definitions are functions of. All durations are in milliseconds.

use acd::OfferEnd;
use engine::event::{AgentState, Direction, Exit, Outcome};
use serde::{Deserialize, Serialize};

/// Every agent state, in the order of their metrics.
pub const STATES: [(AgentState, &str); 9] = [
    (AgentState::LoggedOut, "logged_out"),
    (AgentState::NotReady, "not_ready"),
    (AgentState::Unreachable, "unreachable"),
    (AgentState::Ready, "ready"),
    (AgentState::Reserved, "reserved"),
    (AgentState::Connected, "connected"),
    (AgentState::Held, "held"),
    (AgentState::WrapUp, "wrap_up"),
    (AgentState::Occupied, "occupied"),
];

/// Every way a visit ends that is neither answer nor abandonment.
pub const EXITS: [(Exit, &str); 6] = [
    (Exit::Overflowed, "overflowed"),
    (Exit::Voicemail, "voicemail"),
    (Exit::LeftByChoice, "left_by_choice"),
    (Exit::Rejected, "rejected"),
    (Exit::NoAgent, "no_agent"),
    (Exit::SystemError, "system_error"),
];

/// Every outcome of a contact.
pub const OUTCOMES: [(Outcome, &str); 12] = [
    (Outcome::Answered, "answered"),
    (Outcome::AbandonedInIvr, "abandoned_in_ivr"),
    (Outcome::AbandonedInQueue, "abandoned_in_queue"),
    (Outcome::AbandonedInRing, "abandoned_in_ring"),
    (Outcome::Overflowed, "overflowed"),
    (Outcome::CallbackRequested, "callback_requested"),
    (Outcome::Voicemail, "voicemail"),
    (Outcome::SelfServed, "self_served"),
    (Outcome::RejectedClosed, "rejected_closed"),
    (Outcome::RejectedFull, "rejected_full"),
    (Outcome::NoAgent, "no_agent"),
    (Outcome::SystemError, "system_error"),
];

/// Every direction.
pub const DIRECTIONS: [(Direction, &str); 3] = [
    (Direction::Inbound, "inbound"),
    (Direction::Outbound, "outbound"),
    (Direction::Internal, "internal"),
];

/// Every way an offer ends without an answer.
pub const OFFER_ENDS: [(OfferEnd, &str); 10] = [
    (OfferEnd::RingTimeout, "ring_timeout"),
    (OfferEnd::Busy, "busy"),
    (OfferEnd::Declined, "declined"),
    (OfferEnd::Redirected, "redirected"),
    (OfferEnd::Unreachable, "unreachable"),
    (OfferEnd::NotRegistered, "not_registered"),
    (OfferEnd::Failed, "failed"),
    (OfferEnd::CallerGone, "caller_gone"),
    (OfferEnd::Moved, "moved"),
    (OfferEnd::Withdrawn, "withdrawn"),
];

/// The word for a state in metrics, JSON and events.
pub fn state_name(state: AgentState) -> &'static str {
    STATES[state as usize].1
}

/// Work done on contacts: handled is contacts answered, the rest what it took.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Handling {
    pub handled: u64,
    pub talk_ms: u64,
    pub hold_ms: u64,
    pub wrap_up_ms: u64,
    pub transferred_blind: u64,
    pub transferred_consult: u64,
    pub transferred_to_queue: u64,
}

impl Handling {
    /// Transfers of every kind.
    pub fn transferred(&self) -> u64 {
        self.transferred_blind + self.transferred_consult + self.transferred_to_queue
    }

    fn add(&mut self, other: &Handling) {
        self.handled += other.handled;
        self.talk_ms += other.talk_ms;
        self.hold_ms += other.hold_ms;
        self.wrap_up_ms += other.wrap_up_ms;
        self.transferred_blind += other.transferred_blind;
        self.transferred_consult += other.transferred_consult;
        self.transferred_to_queue += other.transferred_to_queue;
    }
}

/// Visits to one queue. A visit is booked as offered when it begins and as one exit when it ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct QueueTotals {
    pub offered: u64,
    pub answered: u64,
    /// Answered after at most the queue's target.
    pub answered_within: u64,
    /// Sum of the waits of answered visits.
    pub answered_wait_ms: u64,
    /// In queue or in ring, shorts included.
    pub abandoned: u64,
    /// Abandoned before `short_abandon`.
    pub abandoned_short: u64,
    /// Abandoned after at most the target.
    pub abandoned_within: u64,
    /// Other exits, in the order of [`EXITS`].
    pub left: [u64; 6],
    /// Exits other than answers, after more than the target.
    pub unanswered_late: u64,
    /// Sum of the waits of all visits that ended.
    pub exit_wait_ms: u64,
    pub handling: Handling,
}

impl QueueTotals {
    /// Every visit that ended.
    pub fn exits(&self) -> u64 {
        self.answered + self.abandoned + self.left.iter().sum::<u64>()
    }

    /// Adds another span's sums.
    pub fn add(&mut self, other: &QueueTotals) {
        self.offered += other.offered;
        self.answered += other.answered;
        self.answered_within += other.answered_within;
        self.answered_wait_ms += other.answered_wait_ms;
        self.abandoned += other.abandoned;
        self.abandoned_short += other.abandoned_short;
        self.abandoned_within += other.abandoned_within;
        for (sum, more) in self.left.iter_mut().zip(other.left) {
            *sum += more;
        }
        self.unanswered_late += other.unanswered_late;
        self.exit_wait_ms += other.exit_wait_ms;
        self.handling.add(&other.handling);
    }
}

/// Wall-clock milliseconds in each state, in the order of [`STATES`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StateMs(pub [u64; 9]);

impl StateMs {
    /// Milliseconds in this state.
    pub fn of(&self, state: AgentState) -> u64 {
        self.0[state as usize]
    }

    /// Books more time in this state.
    pub fn book(&mut self, state: AgentState, ms: u64) {
        self.0[state as usize] += ms;
    }
}

/// Offers made to agents, by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OfferTotals {
    pub answered: u64,
    /// In the order of [`OFFER_ENDS`].
    pub ended: [u64; 10],
}

impl OfferTotals {
    /// Offers that the agent could have answered: one that the caller ended by hanging up, that was moved elsewhere
    /// or withdrawn by a supervisor blames nobody.
    pub fn blamable(&self) -> u64 {
        let nobody = [OfferEnd::CallerGone, OfferEnd::Moved, OfferEnd::Withdrawn];
        let ended: u64 = OFFER_ENDS
            .iter()
            .filter(|(end, _)| !nobody.contains(end))
            .map(|(end, _)| self.ended[*end as usize])
            .sum();
        self.answered + ended
    }
}

/// What an agent, or a group of agents, did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentTotals {
    pub state_ms: StateMs,
    pub offers: OfferTotals,
    pub handling: Handling,
}

impl AgentTotals {
    /// Talk, hold and wrap-up: what `state_ms` says, split exactly at the span's borders.
    pub fn working_ms(&self) -> u64 {
        self.talking_ms() + self.state_ms.of(AgentState::WrapUp)
    }

    /// Talk and hold.
    pub fn talking_ms(&self) -> u64 {
        self.state_ms.of(AgentState::Connected) + self.state_ms.of(AgentState::Held)
    }

    /// Adds another span's, or another agent's, sums.
    pub fn add(&mut self, other: &AgentTotals) {
        for (sum, more) in self.state_ms.0.iter_mut().zip(other.state_ms.0) {
            *sum += more;
        }
        self.offers.answered += other.offers.answered;
        for (sum, more) in self.offers.ended.iter_mut().zip(other.offers.ended) {
            *sum += more;
        }
        self.handling.add(&other.handling);
    }
}

/// Contacts of the whole centre.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CentreTotals {
    /// Closed contacts, by direction and outcome, in the order of [`DIRECTIONS`] and [`OUTCOMES`].
    pub closed: [[u64; 12]; 3],
    /// Closed contacts that had entered the IVR.
    pub ivr_entered: u64,
    /// Of them: closed inside the IVR with its goal met.
    pub self_served: u64,
}

impl CentreTotals {
    /// Adds another span's sums.
    pub fn add(&mut self, other: &CentreTotals) {
        for (sum, more) in self
            .closed
            .iter_mut()
            .flatten()
            .zip(other.closed.iter().flatten())
        {
            *sum += more;
        }
        self.ivr_entered += other.ivr_entered;
        self.self_served += other.self_served;
    }
}

/// Sums that can be added, for a series of spans.
pub trait Sum: Default + Clone {
    /// Adds another span's sums.
    fn sum(&mut self, other: &Self);
}

impl Sum for QueueTotals {
    fn sum(&mut self, other: &Self) {
        self.add(other);
    }
}

impl Sum for AgentTotals {
    fn sum(&mut self, other: &Self) {
        self.add(other);
    }
}

impl Sum for CentreTotals {
    fn sum(&mut self, other: &Self) {
        self.add(other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_in_the_order_of_their_enums_and_use_the_words_of_the_events() {
        fn check<T: Copy + Serialize>(table: &[(T, &str)], index: impl Fn(T) -> usize) {
            for (place, (value, name)) in table.iter().enumerate() {
                assert_eq!(index(*value), place, "{name}");
                assert_eq!(serde_json::to_value(value).unwrap(), *name);
            }
        }
        check(&STATES, |s| s as usize);
        check(&EXITS, |s| s as usize);
        check(&OUTCOMES, |s| s as usize);
        check(&DIRECTIONS, |s| s as usize);
        check(&OFFER_ENDS, |s| s as usize);
    }
}
