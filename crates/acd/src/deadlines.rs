//! Every deadline of the distributor, in one ordered set.

use std::collections::BTreeSet;

use clock::Time;

use crate::api::ContactId;

/// What falls due. Together due, they are taken in this order, and within a kind by agent: agents' numbers follow their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deadline {
    /// The agent did not answer: RONA.
    Ring {
        agent: u32,
    },
    WrapUp {
        agent: u32,
    },
    /// The agent may be offered this contact again.
    BackOff {
        agent: u32,
        contact: ContactId,
    },
    /// The agent may be offered anything again.
    Rest {
        agent: u32,
    },
    /// A fixed phone that failed is tried again.
    Retry {
        agent: u32,
    },
    /// The requirement relaxes.
    Step {
        contact: ContactId,
    },
    /// It has waited for its agent long enough.
    Patience {
        contact: ContactId,
    },
    MaxWait {
        contact: ContactId,
    },
}

impl Deadline {
    fn name(self) -> &'static str {
        match self {
            Deadline::Ring { .. } => "ring",
            Deadline::WrapUp { .. } => "wrap_up",
            Deadline::BackOff { .. } => "back_off",
            Deadline::Rest { .. } => "rest",
            Deadline::Retry { .. } => "retry",
            Deadline::Step { .. } => "step",
            Deadline::Patience { .. } => "patience",
            Deadline::MaxWait { .. } => "max_wait",
        }
    }
}

/// Bounded by the agents, each of whom has at most one of each kind and [`crate::agent::PAIRS_MAX`] back-offs, and by the contacts, each with at most three.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    due: BTreeSet<(Time, Deadline)>,
}

impl Deadlines {
    pub fn set(&mut self, at: Time, deadline: Deadline) {
        self.due.insert((at, deadline));
    }

    pub fn cancel(&mut self, at: Time, deadline: Deadline) {
        self.due.remove(&(at, deadline));
    }

    /// Takes the earliest that is due at `now`.
    pub fn take_due(&mut self, now: Time) -> Option<Deadline> {
        if self.due.first()?.0 > now {
            return None;
        }
        self.due.pop_first().map(|(_, deadline)| deadline)
    }

    pub fn next(&self) -> Option<(Time, &'static str)> {
        self.due
            .first()
            .map(|(at, deadline)| (*at, deadline.name()))
    }

    pub fn clear(&mut self) {
        self.due.clear();
    }
}
