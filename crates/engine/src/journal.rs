//! Numbers and writes down what happens: sequence, names of contacts, agents' clocks, outputs waiting to be drained.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use clock::Time;

use crate::api::{AcdRecord, Output};
use crate::event::{AgentState, ContactId, Event, EventKind};

type Name = Arc<str>;

/// Bits of an ACD contact number that count within a boot.
const COUNTER_BITS: u32 = 40;

/// The engine's diary: everything that leaves the engine goes through it.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    node: Name,
    boot: u64,
    next_sequence: u64,
    next_contact: u64,
    agents: BTreeMap<Name, (AgentState, Time)>,
    outputs: VecDeque<Output>,
}

impl Journal {
    pub(crate) fn new(node: Name) -> Self {
        Journal {
            node,
            boot: 0,
            next_sequence: 1,
            next_contact: 1,
            agents: BTreeMap::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Begins a run.
    pub(crate) fn start(&mut self, boot: u64, next_sequence: u64) {
        self.boot = boot;
        self.next_sequence = next_sequence.max(1);
        self.next_contact = 1;
    }

    /// A fresh contact's number in the ACD and its name outside.
    pub(crate) fn new_contact(&mut self) -> (acd::ContactId, ContactId) {
        let number = acd::ContactId(self.boot << COUNTER_BITS | self.next_contact);
        self.next_contact += 1;
        (number, self.contact_name(number))
    }

    /// The name outside of a number in the ACD.
    pub(crate) fn contact_name(&self, number: acd::ContactId) -> ContactId {
        let (boot, counter) = (
            number.0 >> COUNTER_BITS,
            number.0 & ((1 << COUNTER_BITS) - 1),
        );
        ContactId(format!("{}-{boot}-{counter}", self.node).into())
    }

    /// The number in the ACD of a contact of this node.
    pub(crate) fn contact_number(&self, name: &ContactId) -> Option<acd::ContactId> {
        let mut parts = name
            .0
            .strip_prefix(&*self.node)?
            .strip_prefix('-')?
            .split('-');
        let (boot, counter) = (
            parts.next()?.parse::<u64>().ok()?,
            parts.next()?.parse::<u64>().ok()?,
        );
        Some(acd::ContactId(boot << COUNTER_BITS | counter))
    }

    pub(crate) fn put(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(crate) fn take(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Writes an event; returns its sequence.
    pub(crate) fn event(&mut self, at: Time, person: Option<&Name>, kind: EventKind) -> u64 {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.outputs.push_back(Output::Event(Event {
            sequence,
            at,
            kind,
            person: person.cloned(),
        }));
        sequence
    }

    /// Of the last event written.
    pub(crate) fn last_sequence(&self) -> u64 {
        self.next_sequence - 1
    }

    pub(crate) fn acd(&mut self, at: Time, record: AcdRecord) {
        self.outputs.push_back(Output::Acd { at, record });
    }

    /// The state that was written of an agent last.
    pub(crate) fn state_of(&self, agent: &Name) -> Option<AgentState> {
        self.agents.get(agent).map(|(state, _)| *state)
    }

    /// Moves an agent's clock to a new state; returns the old one and how long it lasted.
    pub(crate) fn turn(&mut self, now: Time, agent: &Name, state: AgentState) -> (AgentState, u64) {
        let clock = self
            .agents
            .entry(agent.clone())
            .or_insert((AgentState::LoggedOut, now));
        let was = std::mem::replace(clock, (state, now));
        (was.0, millis(now - was.1))
    }
}

/// Whole milliseconds, rounded down.
pub(crate) fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
