//! What must hold after every step, whatever the network and the people do (DESIGN, KPI.md).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use clock::Time;
use engine::{ContactId, Event, EventKind};

use crate::world::World;

type Name = Arc<str>;

/// Busy offers in a row after which an agent rests for a back-off.
const BUSY_IN_A_ROW: u32 = 3;
/// Bits of a contact's number that count within a boot.
const COUNTER_BITS: u32 = 40;
/// Events shown when an invariant breaks.
const LAST_EVENTS: u64 = 40;

#[derive(Debug)]
struct Waiting {
    queue: Name,
    offered: bool,
}

/// A fold of the events, kept by rules that are written down here once more, naively.
#[derive(Debug, Default)]
pub struct Invariants {
    seen: usize,
    sequence: u64,
    waiting: BTreeMap<ContactId, Waiting>,
    /// Each agent's contact by the events: offered or connected.
    has: BTreeMap<Name, ContactId>,
    open: BTreeSet<ContactId>,
    /// Pairs kept apart, until when.
    apart: BTreeMap<(Name, ContactId), Time>,
    /// Busy or failed offers in a row, and until when an agent rests after too many of them.
    busy: BTreeMap<Name, u32>,
    resting: BTreeMap<Name, Time>,
    visits: BTreeMap<Name, u64>,
    exits: BTreeMap<Name, u64>,
    visits_answered: BTreeSet<(ContactId, u32)>,
    /// Contacts answered, for counting calls once.
    pub answered: BTreeSet<ContactId>,
    pub closed: u64,
    /// Offer ends by reason.
    pub offer_ends: BTreeMap<acd::OfferEnd, u64>,
}

impl Invariants {
    /// Checks the world; panics with what is wrong.
    pub fn check(&mut self, world: &World, config: &engine::Config) {
        for event in &world.events[self.seen..] {
            self.fold(event, config);
        }
        self.seen = world.events.len();
        self.agents(world);
        self.nobody_waits_beside_a_free_agent(world, config);
        for (queue, &visits) in &self.visits {
            let waiting = self
                .waiting
                .values()
                .filter(|waiting| waiting.queue == *queue)
                .count() as u64;
            let exits = self.exits.get(queue).copied().unwrap_or(0);
            assert_eq!(
                visits,
                exits + waiting,
                "queue {queue} at {:?}: visits = exits + waiting",
                world.now
            );
        }
    }

    fn fold(&mut self, event: &Event, config: &engine::Config) {
        assert_eq!(event.sequence, self.sequence + 1, "sequences have no gap");
        self.sequence = event.sequence;
        match &event.kind {
            EventKind::ContactArrived { contact, .. } => {
                assert!(self.open.insert(contact.clone()), "{contact} arrives once")
            }
            EventKind::ContactQueued { contact, queue, .. } => {
                *self.visits.entry(queue.clone()).or_default() += 1;
                let before = self.waiting.insert(
                    contact.clone(),
                    Waiting {
                        queue: queue.clone(),
                        offered: false,
                    },
                );
                assert!(before.is_none(), "{contact} is in one queue at a time");
            }
            EventKind::ContactOffered { contact, agent, .. } => {
                assert_eq!(
                    self.has.insert(agent.clone(), contact.clone()),
                    None,
                    "agent {agent} has one contact at a time"
                );
                let waiting = self
                    .waiting
                    .get_mut(contact)
                    .unwrap_or_else(|| panic!("{contact} is offered while it waits"));
                assert!(
                    !waiting.offered,
                    "{contact} is offered to one agent at a time"
                );
                waiting.offered = true;
            }
            EventKind::ContactOfferEnded {
                contact,
                agent,
                reason,
                requeued,
                ..
            } => {
                *self.offer_ends.entry(*reason).or_default() += 1;
                assert_eq!(
                    self.has.remove(agent).as_ref(),
                    Some(contact),
                    "the offer that ended was {agent}'s"
                );
                if let Some(waiting) = self.waiting.get_mut(contact) {
                    waiting.offered = false;
                }
                self.busy_row(agent, *reason, event.at + config.acd.back_off);
                if *requeued {
                    self.apart.insert(
                        (agent.clone(), contact.clone()),
                        event.at + config.acd.back_off,
                    );
                }
            }
            EventKind::ContactAnswered {
                contact,
                queue: Some(_),
                agent,
                transferred: true,
                ..
            } => {
                assert_eq!(
                    self.has.insert(agent.clone(), contact.clone()),
                    None,
                    "agent {agent}, to whom a contact is passed on, has no other"
                );
                assert!(
                    !self.waiting.contains_key(contact),
                    "{contact} is passed on to an agent while it waits"
                );
            }
            EventKind::ContactTransferred {
                contact,
                from: Some(agent),
                ..
            } => {
                if self.has.get(agent) == Some(contact) {
                    self.has.remove(agent);
                }
                self.apart.insert(
                    (agent.clone(), contact.clone()),
                    event.at + config.acd.back_off,
                );
            }
            EventKind::ContactAnswered {
                contact,
                queue: Some(queue),
                visit,
                agent,
                ..
            } => {
                assert_eq!(
                    self.has.get(agent),
                    Some(contact),
                    "the agent who answers was offered the contact"
                );
                assert!(
                    self.visits_answered.insert((contact.clone(), *visit)),
                    "{contact} is answered once in each visit"
                );
                self.answered.insert(contact.clone());
                self.busy.remove(agent);
                self.exit(contact, queue);
            }
            EventKind::ContactAbandoned {
                contact,
                queue: Some(queue),
                ..
            }
            | EventKind::ContactLeftQueue { contact, queue, .. } => self.exit(contact, queue),
            EventKind::ContactClosed { contact, .. } => {
                assert!(self.open.remove(contact), "{contact} closes once");
                assert!(
                    !self.waiting.contains_key(contact),
                    "{contact} is closed but waits"
                );
                self.has.retain(|_, has| has != contact);
                self.apart.retain(|(_, of), _| of != contact);
                self.closed += 1;
            }
            _ => {}
        }
    }

    /// A phone that is always busy is not tried with each waiting contact in turn: after three in a row its agent rests.
    fn busy_row(&mut self, agent: &Name, reason: acd::OfferEnd, until: Time) {
        use acd::OfferEnd;
        match reason {
            OfferEnd::Busy | OfferEnd::Failed => {
                let row = self.busy.entry(agent.clone()).or_default();
                *row += 1;
                if *row >= BUSY_IN_A_ROW {
                    self.resting.insert(agent.clone(), until);
                }
            }
            OfferEnd::CallerGone | OfferEnd::Moved | OfferEnd::Withdrawn => {}
            OfferEnd::RingTimeout
            | OfferEnd::Declined
            | OfferEnd::Redirected
            | OfferEnd::Unreachable
            | OfferEnd::NotRegistered => {
                self.busy.remove(agent);
            }
        }
    }

    fn exit(&mut self, contact: &ContactId, queue: &Name) {
        assert!(
            self.waiting.remove(contact).is_some(),
            "{contact} leaves queue {queue} once"
        );
        *self.exits.entry(queue.clone()).or_default() += 1;
    }

    /// Every state that is not idle names its owner, and its deadline where it has one.
    fn agents(&self, world: &World) {
        use acd::State;
        for (agent, state) in world.engine.acd().agents() {
            match state {
                State::Reserved { until, .. } | State::WrapUp { until, .. } => {
                    assert!(
                        *until >= world.now,
                        "agent {agent}'s deadline is over: {state:?} at {:?}",
                        world.now
                    );
                }
                State::Connected { contact, .. } | State::Occupied { call: contact, .. } => {
                    let name = format!("n-1-{}", contact.0 & ((1 << COUNTER_BITS) - 1));
                    assert!(
                        self.open.contains(&ContactId(name.into())),
                        "agent {agent} is {state:?} without a contact at {:?}; what came before:\n{}",
                        world.now,
                        world.story(self.sequence.saturating_sub(LAST_EVENTS))
                    );
                }
                State::LoggedOut | State::NotReady { .. } | State::Ready | State::Unreachable => {}
            }
        }
    }

    /// Nobody waits while an agent who may have them is ready.
    fn nobody_waits_beside_a_free_agent(&self, world: &World, config: &engine::Config) {
        for (contact, waiting) in self.waiting.iter().filter(|(_, waiting)| !waiting.offered) {
            let Some(queue) = config
                .acd
                .queues
                .iter()
                .find(|queue| queue.name == waiting.queue)
            else {
                continue;
            };
            for agent in &config.acd.agents {
                let ready = matches!(world.engine.acd().state(&agent.id), Some(acd::State::Ready));
                let skilled = queue
                    .skills
                    .iter()
                    .all(|(skill, level)| agent.skills.get(skill).is_some_and(|has| has >= level));
                let resting = self
                    .resting
                    .get(&agent.id)
                    .is_some_and(|until| *until >= world.now);
                let apart = resting
                    || self
                        .apart
                        .get(&(agent.id.clone(), contact.clone()))
                        .is_some_and(|until| *until >= world.now);
                let last = world
                    .events
                    .last()
                    .map_or(0, |event| event.sequence)
                    .saturating_sub(LAST_EVENTS);
                assert!(
                    !(ready && skilled && !apart),
                    "{contact} waits at {:?} while agent {} is ready; what came before:\n{}",
                    world.now,
                    agent.id,
                    world.story(last)
                );
            }
        }
    }

    /// After the last call: nothing is left anywhere.
    pub fn nothing_left(&self, world: &World) {
        assert!(self.open.is_empty(), "contacts are open: {:?}", self.open);
        assert_eq!(world.engine.open_contacts(), 0);
        assert_eq!(world.engine.open_legs(), 0, "legs are left");
        assert_eq!(world.open_streams(), 0, "streams are left");
        for queue in world.engine.acd().queues() {
            let counts = world.engine.acd().counts(queue);
            assert_eq!(
                (counts.waiting, counts.offered, counts.connected),
                (0, 0, 0),
                "the distributor keeps ghosts in queue {queue}"
            );
        }
        for (agent, state) in world.engine.acd().agents() {
            use acd::State;
            assert!(
                matches!(
                    state,
                    State::LoggedOut | State::NotReady { .. } | State::Ready | State::Unreachable
                ),
                "agent {agent} is stuck: {state:?}"
            );
        }
    }
}
