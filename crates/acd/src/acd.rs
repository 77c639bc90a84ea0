//! The distributor as one value: inputs in, outputs out, questions answered.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use clock::Time;

use crate::agent::{AgentRecord, Blame, Pauses};
use crate::api::{
    Availability, Config, ContactId, Enqueue, Input, Name, OfferEnd, OfferResult, Output, Queue,
    State, Withdrawal, Work,
};
use crate::deadlines::{Deadline, Deadlines};
use crate::decision::Words;
use crate::index::Index;
use crate::line::{Line, Rank};

/// The shortest back-off, whatever is configured: without one a phone that answers 486 at once would be rung in a loop.
const BACK_OFF_MIN: Duration = Duration::from_secs(1);
/// How long a fixed phone that failed several times is left alone before it is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// The distributor. See the crate's text for its rules.
///
/// ```
/// use acd::{Acd, Agent, Config, ContactId, Enqueue, Input, Output, Queue};
/// use clock::Time;
/// use std::{collections::BTreeMap, sync::Arc, time::Duration};
/// let skills = BTreeMap::from([("support".into(), 1)]);
/// let queue = Queue { name: "support".into(), skills: skills.clone(), ring: Duration::from_secs(20), wrap_up: Duration::ZERO,
///     priority: 0, class_credit: BTreeMap::new(), max_waiting: 100 };
/// let agent = Agent { id: "1001".into(), group: "all".into(), skills, auto_ready: true, wrap_up: None, fixed: true };
/// let config = Config { seed: 1, queues: vec![queue], agents: vec![agent], back_off: Duration::from_secs(10) };
/// let mut acd = Acd::new();
/// acd.handle(Time::ZERO, Input::Configure { config: Arc::new(config) });
/// acd.handle(Time::ZERO, Input::Enqueue(Enqueue { contact: ContactId(7), queue: "support".into(), skills: BTreeMap::new(),
///     priority: 0, class: None, since: None }));
/// let outputs: Vec<Output> = std::iter::from_fn(|| acd.poll_output()).collect();
/// assert!(outputs.iter().any(|output| matches!(output, Output::Offered { contact: ContactId(7), .. })));
/// assert_eq!(acd.poll_timeout(), Some((Time::from_secs(20), "ring")));
/// ```
#[derive(Debug)]
pub struct Acd {
    /// The latest time seen; time never goes back.
    pub(crate) now: Time,
    pub(crate) config: Arc<Config>,
    pub(crate) agents: Vec<AgentRecord>,
    pub(crate) agent_numbers: BTreeMap<Name, u32>,
    pub(crate) queues: Vec<QueueRecord>,
    pub(crate) queue_numbers: BTreeMap<Name, u32>,
    /// Contacts that wait or ring; bounded by `max_waiting` of the queues and the number of agents.
    pub(crate) contacts: BTreeMap<ContactId, ContactRecord>,
    /// Every waiting contact of every queue.
    pub(crate) waiting: Line,
    pub(crate) index: Index,
    pub(crate) deadlines: Deadlines,
    /// Agents and contacts that this step made free to be matched.
    pub(crate) free_agents: Vec<u32>,
    pub(crate) free_contacts: Vec<ContactId>,
    /// Emptied by `poll_output` before the next input; bounded by what one step changes.
    pub(crate) outputs: VecDeque<Output>,
    pub(crate) words: Words,
}

/// A queue and who is in it.
#[derive(Debug)]
pub(crate) struct QueueRecord {
    pub config: Queue,
    /// No longer configured: takes no new contacts and goes with the last one.
    pub closing: bool,
    /// The profile of the queue's own requirement.
    pub profile: u32,
    pub line: Line,
    pub offered: usize,
    pub connected: usize,
}

/// A contact that waits or rings.
#[derive(Debug)]
pub(crate) struct ContactRecord {
    pub queue: u32,
    pub profile: u32,
    pub rank: Rank,
    /// Its own required skills, for when the queue's change.
    pub skills: BTreeMap<Name, u8>,
    pub place: Place,
}

/// Where a contact is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the lines.
    Waiting,
    /// Free in this step: matched or put in the lines before it ends.
    Free,
    Offered {
        agent: u32,
    },
}

/// Contacts of a queue by where they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub waiting: usize,
    pub offered: usize,
    pub connected: usize,
}

impl Default for Acd {
    fn default() -> Self {
        Acd::new()
    }
}

// --- the four methods

impl Acd {
    /// A distributor without queues and agents; the first input configures it.
    pub fn new() -> Self {
        Acd {
            now: Time::ZERO,
            config: Arc::default(),
            agents: Vec::new(),
            agent_numbers: BTreeMap::new(),
            queues: Vec::new(),
            queue_numbers: BTreeMap::new(),
            contacts: BTreeMap::new(),
            waiting: Line::default(),
            index: Index::default(),
            deadlines: Deadlines::default(),
            free_agents: Vec::new(),
            free_contacts: Vec::new(),
            outputs: VecDeque::new(),
            words: Words::default(),
        }
    }

    /// Takes what happened. What fell due until `now` comes first. An input that does not fit the state is a race and changes nothing.
    pub fn handle(&mut self, now: Time, input: Input) {
        self.handle_timeout(now);
        match input {
            Input::Configure { config } => self.configure(config),
            Input::Presence { agent, reachable } => self.presence(&agent, reachable),
            Input::Availability {
                agent,
                availability,
            } => self.availability(&agent, availability),
            Input::Enqueue(enqueue) => self.enqueue(enqueue),
            Input::Withdraw { contact, why } => self.withdraw(contact, why),
            Input::Offer {
                contact,
                agent,
                result,
            } => self.offer_result(contact, &agent, result),
            Input::Finished {
                contact,
                agent,
                wrap_up,
            } => self.finished(contact, &agent, wrap_up),
            Input::EndWrapUp { agent } => self.end_wrap_up(&agent),
            Input::Occupy { agent, call } => self.occupy(&agent, call),
            Input::Vacate { agent, call } => self.vacate(&agent, call),
            Input::Take {
                contact,
                agent,
                queue,
            } => self.take(contact, &agent, &queue),
            Input::Join { agent, from, into } => self.join(&agent, from, into),
            Input::KeepApart { contact, agent } => self.keep_apart(contact, &agent),
        }
        self.settle();
    }

    /// Takes everything that is due: first the changes, then the matching.
    pub fn handle_timeout(&mut self, now: Time) {
        self.now = self.now.max(now);
        while let Some(deadline) = self.deadlines.take_due(self.now) {
            self.fall_due(deadline);
        }
        self.settle();
    }

    /// What is to be done or told, in order; to be drained before the next input.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call `handle_timeout`, and what for.
    pub fn poll_timeout(&self) -> Option<(Time, &'static str)> {
        self.deadlines.next()
    }
}

// --- questions

impl Acd {
    /// The contact's place among those who wait in its queue, 1 = next. `None` when it does not wait, which includes that it rings.
    /// A binary search: cheap enough to be asked at will.
    pub fn position(&self, contact: ContactId) -> Option<u32> {
        let record = self.contacts.get(&contact)?;
        let before = self.queues[record.queue as usize]
            .line
            .before(record.rank)?;
        u32::try_from(before + 1).ok()
    }

    /// How many wait in this queue; those that ring are not among them.
    pub fn waiting(&self, queue: &str) -> usize {
        self.counts(queue).waiting
    }

    /// How many contacts of this queue wait, ring and are connected.
    pub fn counts(&self, queue: &str) -> Counts {
        let Some(number) = self.queue_numbers.get(queue) else {
            return Counts::default();
        };
        let queue = &self.queues[*number as usize];
        Counts {
            waiting: queue.line.len(),
            offered: queue.offered,
            connected: queue.connected,
        }
    }

    /// The agent whom this contact rings.
    pub fn offered_to(&self, contact: ContactId) -> Option<&Name> {
        match self.contacts.get(&contact)?.place {
            Place::Offered { agent } => Some(&self.agents[agent as usize].config().id),
            Place::Waiting | Place::Free => None,
        }
    }

    /// The agent's state; `None` for one who is not known.
    pub fn state(&self, agent: &str) -> Option<&State> {
        self.agents[self.number(agent)? as usize].shown()
    }

    /// Since when the agent waits for work; kept while an offer rings.
    pub fn idle_since(&self, agent: &str) -> Option<Time> {
        self.agents[self.number(agent)? as usize].idle_since()
    }

    /// The agent's work items in progress.
    pub fn work(&self, agent: &str) -> impl Iterator<Item = Work> + '_ {
        self.number(agent)
            .into_iter()
            .flat_map(|number| self.agents[number as usize].work())
    }

    /// Every agent by id, those included who were removed and still finish their work.
    pub fn agents(&self) -> impl Iterator<Item = (&Name, &State)> + '_ {
        self.agent_numbers
            .iter()
            .filter_map(|(id, number)| Some((id, self.agents[*number as usize].shown()?)))
    }

    /// Every queue by name, those included that were removed and still serve.
    pub fn queues(&self) -> impl Iterator<Item = &Name> + '_ {
        self.queue_numbers.keys()
    }

    pub(crate) fn number(&self, agent: &str) -> Option<u32> {
        self.agent_numbers.get(agent).copied()
    }
}

// --- deadlines

impl Acd {
    fn fall_due(&mut self, deadline: Deadline) {
        match deadline {
            Deadline::Ring { agent } => self.end_offer(agent, OfferEnd::RingTimeout, Blame::Rona),
            Deadline::WrapUp { agent } => {
                self.agents[agent as usize].end_wrap_up();
                self.changed(agent);
            }
            Deadline::BackOff { agent, contact } => {
                self.agents[agent as usize].end_back_off(contact, self.now);
                self.changed(agent);
            }
            Deadline::Rest { agent } => {
                self.agents[agent as usize].end_rest();
                self.changed(agent);
            }
            Deadline::Retry { agent } => {
                self.agents[agent as usize].retry();
                self.changed(agent);
            }
        }
    }
}

// --- agents

impl Acd {
    fn presence(&mut self, agent: &str, reachable: bool) {
        let Some(number) = self.number(agent) else {
            return;
        };
        let record = &mut self.agents[number as usize];
        if let Some(at) = record.retry_at() {
            self.deadlines.cancel(at, Deadline::Retry { agent: number });
        }
        record.set_presence(reachable);
        self.changed(number);
    }

    fn availability(&mut self, agent: &str, availability: Availability) {
        let Some(number) = self.number(agent) else {
            return;
        };
        let record = &mut self.agents[number as usize];
        if record.leaving() {
            return;
        }
        record.ask(availability);
        self.changed(number);
    }

    fn end_wrap_up(&mut self, agent: &str) {
        let Some(number) = self.number(agent) else {
            return;
        };
        let Some(until) = self.agents[number as usize].wrap_up_until() else {
            return;
        };
        self.deadlines
            .cancel(until, Deadline::WrapUp { agent: number });
        self.agents[number as usize].end_wrap_up();
        self.changed(number);
    }

    fn occupy(&mut self, agent: &str, call: ContactId) {
        let Some(number) = self.number(agent) else {
            return;
        };
        if self.agents[number as usize].reserved().is_some() {
            self.end_offer(number, OfferEnd::Withdrawn, Blame::Nobody);
        }
        if self.agents[number as usize].occupy(call, self.now) {
            self.changed(number);
        }
    }

    fn vacate(&mut self, agent: &str, call: ContactId) {
        let Some(number) = self.number(agent) else {
            return;
        };
        if self.agents[number as usize].vacate(call) {
            self.changed(number);
        }
    }

    fn take(&mut self, contact: ContactId, agent: &str, queue: &str) {
        let (Some(number), Some(queue)) =
            (self.number(agent), self.queue_numbers.get(queue).copied())
        else {
            return;
        };
        let record = &mut self.queues[queue as usize];
        if self.agents[number as usize].take(contact, record.config.name.clone(), self.now) {
            record.connected += 1;
            self.changed(number);
        }
    }

    fn join(&mut self, agent: &str, from: ContactId, into: ContactId) {
        let Some(number) = self.number(agent) else {
            return;
        };
        if self.agents[number as usize].join(from, into) {
            self.changed(number);
        }
    }

    fn keep_apart(&mut self, contact: ContactId, agent: &str) {
        let Some(number) = self.number(agent) else {
            return;
        };
        let until = self.now + self.config.back_off.max(BACK_OFF_MIN);
        self.agents[number as usize].keep_apart(number, contact, until, &mut self.deadlines);
        self.changed(number);
    }

    fn finished(&mut self, contact: ContactId, agent: &str, wrap_up: bool) {
        let Some(number) = self.number(agent) else {
            return;
        };
        let record = &mut self.agents[number as usize];
        let Some((_, queue)) = record
            .connected()
            .filter(|(connected, _)| *connected == contact)
        else {
            return;
        };
        let queue = self.queue_numbers.get(queue).copied();
        let of_queue = queue.map_or(Duration::ZERO, |queue| {
            self.queues[queue as usize].config.wrap_up
        });
        let lasts = if wrap_up {
            record.config().wrap_up.unwrap_or(of_queue)
        } else {
            Duration::ZERO
        };
        let until = (lasts > Duration::ZERO).then(|| self.now + lasts);
        record.finish(until);
        if let Some(until) = until {
            self.deadlines
                .set(until, Deadline::WrapUp { agent: number });
        }
        if let Some(queue) = queue {
            self.queues[queue as usize].connected -= 1;
            self.close_if_empty(queue);
        }
        self.changed(number);
    }

    /// Takes note of an agent's change: counted, and either told or, if work can be had, put up for the matching at the end of the step.
    pub(crate) fn changed(&mut self, agent: u32) {
        let record = &mut self.agents[agent as usize];
        record.settle_idle(self.now);
        self.index.set_kind(agent, record.kind());
        if record.able().is_some() {
            if !self.free_agents.contains(&agent) {
                self.free_agents.push(agent);
            }
        } else {
            self.free_agents.retain(|other| *other != agent);
            self.index.remove_ready(agent);
            self.tell(agent);
        }
    }

    /// Tells the agent's state if it changed; an agent who was removed and is done is forgotten.
    pub(crate) fn tell(&mut self, agent: u32) {
        let record = &mut self.agents[agent as usize];
        let id = &record.config().id.clone();
        if let Some(state) = record.show() {
            let idle_since = if state == State::Ready {
                record.idle_since()
            } else {
                None
            };
            self.outputs.push_back(Output::Agent {
                agent: id.clone(),
                state,
                idle_since,
            });
        }
        if record.gone() {
            for (at, deadline) in record.deadlines(agent) {
                self.deadlines.cancel(at, deadline);
            }
            self.agent_numbers.remove(id);
        }
    }
}

// --- contacts

impl Acd {
    fn enqueue(&mut self, enqueue: Enqueue) {
        let Enqueue {
            contact,
            queue,
            skills,
            priority,
            class,
            since,
        } = enqueue;
        if self.contacts.contains_key(&contact) {
            return;
        }
        let open = self.queue_numbers.get(&queue).copied();
        let Some(number) = open.filter(|number| !self.queues[*number as usize].closing) else {
            self.outputs.push_back(Output::Refused {
                contact,
                queue,
                known: open.is_some(),
            });
            return;
        };
        let record = &self.queues[number as usize];
        let class_credit = class
            .and_then(|class| record.config.class_credit.get(&class))
            .copied()
            .unwrap_or(0);
        let credit =
            i64::from(priority) + i64::from(record.config.priority) + i64::from(class_credit);
        let rank = Rank::new(since.unwrap_or(self.now).min(self.now), credit, contact);
        let profile = self.profile_of(number, &skills);
        self.contacts.insert(
            contact,
            ContactRecord {
                queue: number,
                profile,
                rank,
                skills,
                place: Place::Free,
            },
        );
        // Since nobody waits while an eligible agent is ready, a contact that finds one has overtaken nobody.
        if let Some(agent) = self.best_agent(contact) {
            self.reserve(contact, agent);
        } else if self.queues[number as usize].line.len()
            >= self.queues[number as usize].config.max_waiting
        {
            self.forget(contact);
            self.outputs.push_back(Output::Refused {
                contact,
                queue,
                known: true,
            });
        } else {
            self.wait(contact);
        }
    }

    /// The profile of a queue's and a contact's skills: the higher level of both. Level 0 requires nothing.
    pub(crate) fn profile_of(&mut self, queue: u32, skills: &BTreeMap<Name, u8>) -> u32 {
        let queue = &self.queues[queue as usize];
        if skills.is_empty() {
            return self.index.acquire_again(queue.profile);
        }
        let mut both = queue.config.skills.clone();
        for (skill, level) in skills {
            let required = both.entry(skill.clone()).or_insert(0);
            *required = (*required).max(*level);
        }
        self.index
            .acquire(both.into_iter().filter(|(_, level)| *level > 0).collect())
    }

    fn withdraw(&mut self, contact: ContactId, why: Withdrawal) {
        let Some(record) = self.contacts.get(&contact) else {
            return;
        };
        match record.place {
            Place::Waiting | Place::Free => self.forget(contact),
            Place::Offered { agent } => {
                let reason = match why {
                    Withdrawal::CallerGone => OfferEnd::CallerGone,
                    Withdrawal::Moved => OfferEnd::Moved,
                };
                self.end_offer(agent, reason, Blame::Nobody);
            }
        }
    }

    /// Puts a contact into the lines, at the place of its rank.
    pub(crate) fn wait(&mut self, contact: ContactId) {
        let Some(record) = self.contacts.get_mut(&contact) else {
            return;
        };
        record.place = Place::Waiting;
        self.waiting.insert(record.rank);
        self.queues[record.queue as usize].line.insert(record.rank);
        self.index.wait(record.profile, record.rank);
    }

    /// Takes a contact out of the lines, if it is in them.
    pub(crate) fn step_out(&mut self, contact: ContactId) {
        let Some(record) = self.contacts.get(&contact) else {
            return;
        };
        if record.place == Place::Waiting {
            self.waiting.remove(record.rank);
            self.queues[record.queue as usize].line.remove(record.rank);
            self.index.leave(record.profile, record.rank);
        }
    }

    /// The contact is no longer the distributor's.
    fn forget(&mut self, contact: ContactId) {
        self.step_out(contact);
        let Some(record) = self.contacts.remove(&contact) else {
            return;
        };
        self.index.release(record.profile);
        self.close_if_empty(record.queue);
    }

    /// A removed queue goes with its last contact.
    fn close_if_empty(&mut self, queue: u32) {
        let record = &self.queues[queue as usize];
        if record.closing && record.line.len() + record.offered + record.connected == 0 {
            self.queue_numbers.remove(&record.config.name);
        }
    }
}

// --- offers

impl Acd {
    fn offer_result(&mut self, contact: ContactId, agent: &str, result: OfferResult) {
        let Some(number) = self.number(agent) else {
            return;
        };
        if self.agents[number as usize]
            .reserved()
            .is_none_or(|(reserved, _)| reserved != contact)
        {
            return;
        }
        match result {
            OfferResult::Answered => self.answered(contact, number),
            OfferResult::Busy => self.end_offer(number, OfferEnd::Busy, Blame::Busy),
            OfferResult::Failed => self.end_offer(number, OfferEnd::Failed, Blame::Busy),
            OfferResult::Declined => self.end_offer(number, OfferEnd::Declined, Blame::Declined),
            OfferResult::Redirected => {
                self.end_offer(number, OfferEnd::Redirected, Blame::Declined)
            }
            OfferResult::Unreachable => {
                self.end_offer(number, OfferEnd::Unreachable, Blame::Unreachable)
            }
            OfferResult::NotRegistered => {
                self.end_offer(number, OfferEnd::NotRegistered, Blame::Unreachable)
            }
        }
    }

    fn answered(&mut self, contact: ContactId, agent: u32) {
        if let Some((_, until)) = self.agents[agent as usize].reserved() {
            self.deadlines.cancel(until, Deadline::Ring { agent });
        }
        self.agents[agent as usize].connect(self.now);
        if let Some(record) = self.contacts.remove(&contact) {
            self.queues[record.queue as usize].offered -= 1;
            self.queues[record.queue as usize].connected += 1;
            self.index.release(record.profile);
        }
        self.changed(agent);
    }

    /// An offer ended without an answer: the contact is free again, in its old place, unless it is gone.
    pub(crate) fn end_offer(&mut self, agent: u32, reason: OfferEnd, blame: Blame) {
        let Some((contact, _)) = self.agents[agent as usize].reserved() else {
            return;
        };
        let pauses = Pauses {
            back_off_until: self.now + self.config.back_off.max(BACK_OFF_MIN),
            retry_at: self.now + RETRY_AFTER,
        };
        self.agents[agent as usize].release(agent, blame, pauses, &mut self.deadlines);
        if let Some(record) = self.contacts.get_mut(&contact) {
            let queue = &mut self.queues[record.queue as usize];
            queue.offered -= 1;
            record.place = Place::Free;
            let (queue, agent) = (
                queue.config.name.clone(),
                self.agents[agent as usize].config().id.clone(),
            );
            self.outputs.push_back(Output::OfferEnded {
                contact,
                queue,
                agent,
                reason,
            });
            if matches!(reason, OfferEnd::CallerGone | OfferEnd::Moved) {
                self.forget(contact);
            } else {
                self.free_contacts.push(contact);
            }
        }
        self.changed(agent);
    }
}
