//! The distributor as one value: inputs in, outputs out, questions answered.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use clock::Time;

use crate::agent::{AgentRecord, Blame, Kind, Pauses};
use crate::api::{
    Availability, Config, ContactId, Enqueue, Input, Left, Name, OfferEnd, OfferResult, Output,
    Queue, State, Withdrawal, Work,
};
use crate::deadlines::{Deadline, Deadlines};
use crate::decision::Words;
use crate::index::Index;
use crate::line::{Line, Rank};
use crate::overtaking::{Order, Overtaken};
use crate::relaxing::{Asked, Detached, Hold};

/// The shortest back-off, whatever is configured: without one a phone that answers 486 at once would be rung in a loop.
const BACK_OFF_MIN: Duration = Duration::from_secs(1);
/// How long a fixed phone that failed several times is left alone before it is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// Longest after-call work that is left when it is extended: more is a break.
const WRAP_UP_LEFT_MAX: Duration = Duration::from_secs(3_600);

/// The distributor. See the crate's text for its rules.
///
/// ```
/// use acd::{Acd, Agent, Config, ContactId, Enqueue, Input, Output, Queue};
/// use clock::Time;
/// use std::{collections::BTreeMap, sync::Arc, time::Duration};
/// let skills = BTreeMap::from([("support".into(), 1)]);
/// let queue = Queue { name: "support".into(), skills: skills.clone(), ring: Duration::from_secs(20), wrap_up: Duration::ZERO,
///     max_waiting: 100, ..Queue::default() };
/// let agent = Agent { id: "1001".into(), group: "all".into(), skills, auto_ready: true, wrap_up: None, fixed: true };
/// let config = Config { seed: 1, queues: vec![queue], agents: vec![agent], back_off: Duration::from_secs(10) };
/// let mut acd = Acd::new();
/// acd.handle(Time::ZERO, Input::Configure { config: Arc::new(config) });
/// acd.handle(Time::ZERO, Input::Enqueue(Enqueue { contact: ContactId(7), queue: "support".into(), ..Enqueue::default() }));
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
    /// Every waiting contact of every queue whose caller is on the line.
    pub(crate) waiting: Order,
    /// Contacts that wait for one agent alone, by that agent.
    pub(crate) held: BTreeMap<Name, Line>,
    /// Contacts that wait without their callers.
    pub(crate) detached: BTreeSet<ContactId>,
    /// Some queue does not want contacts to wait for nobody.
    pub(crate) any_rules: bool,
    /// With such rules: contacts that began to wait in this step, and whether an agent became absent in it.
    pub(crate) fresh: Vec<ContactId>,
    pub(crate) staff_changed: bool,
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
    /// All who wait, those without their callers too.
    pub line: Line,
    pub offered: usize,
    pub connected: usize,
    /// For the round robin.
    pub offered_last: Option<Name>,
}

/// A contact that waits or rings.
#[derive(Debug)]
pub(crate) struct ContactRecord {
    pub queue: u32,
    pub asked: Asked,
    /// What is required now; the same with the preferred skills; and what is required at the last step, where the queue has rules for absence.
    pub profile: u32,
    pub preferred_profile: Option<u32>,
    pub last_profile: Option<u32>,
    pub rank: Rank,
    pub place: Place,
    /// When the wait began.
    pub since: Time,
    /// Steps in force, and when the next comes.
    pub step: u32,
    pub next_step: Option<Time>,
    pub hold: Option<Hold>,
    /// When the longest wait ends; that it has ended while an offer rings.
    pub expires: Option<Time>,
    pub expired: bool,
    pub detached: Option<Detached>,
    pub overtaken: Overtaken,
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
            waiting: Order::default(),
            held: BTreeMap::new(),
            detached: BTreeSet::new(),
            any_rules: false,
            fresh: Vec::new(),
            staff_changed: false,
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
            Input::Detach { contact, ahead } => self.detach(contact, ahead),
            Input::Attach { contact } => self.attach(contact),
            Input::ExtendWrapUp { agent, by } => self.extend_wrap_up(&agent, by),
            Input::NewDay => self.new_day(),
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
            Deadline::Step { contact } => self.next_step(contact),
            Deadline::Patience { contact } => self.patience_over(contact),
            Deadline::MaxWait { contact } => self.max_wait_over(contact),
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
        let leaves = availability == Availability::LoggedOut;
        record.ask(availability);
        if leaves {
            self.release_held(agent);
        }
        self.changed(number);
    }

    fn extend_wrap_up(&mut self, agent: &str, by: Duration) {
        let Some(number) = self.number(agent) else {
            return;
        };
        let latest = self.now + WRAP_UP_LEFT_MAX;
        let moved = self.agents[number as usize].extend_wrap_up(by, latest);
        if let Some((before, until)) = moved {
            let deadline = Deadline::WrapUp { agent: number };
            self.deadlines.cancel(before, deadline);
            self.deadlines.set(until, deadline);
            self.changed(number);
        }
    }

    fn new_day(&mut self) {
        for agent in &mut self.agents {
            agent.new_day(self.now);
        }
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
        let kind = record.kind();
        if matches!(kind, Kind::LoggedOut | Kind::NotReady | Kind::Unreachable) {
            self.staff_changed = true;
        }
        self.index.set_kind(agent, kind);
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
        let (contact, queue) = (enqueue.contact, enqueue.queue.clone());
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
        self.take_in(number, enqueue);
        // Since nobody waits while an eligible agent is ready, a contact that finds one has overtaken nobody who could have had it.
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

    /// The contact's record; it is in no line yet.
    fn take_in(&mut self, queue: u32, enqueue: Enqueue) {
        let contact = enqueue.contact;
        let config = &self.queues[queue as usize].config;
        let class_credit = enqueue
            .class
            .and_then(|class| config.class_credit.get(&class))
            .copied()
            .unwrap_or(0);
        let credit =
            i64::from(enqueue.priority) + i64::from(config.priority) + i64::from(class_credit);
        let since = enqueue.since.unwrap_or(self.now).min(self.now);
        let expires = config.max_wait.map(|most| self.now + most);
        let hold = enqueue.wanted.as_ref().map(|wanted| Hold {
            until: self.now + wanted.patience,
        });
        let record = ContactRecord {
            queue,
            asked: Asked {
                skills: enqueue.skills,
                preferred: enqueue.preferred,
                wanted: enqueue.wanted.map(|wanted| wanted.agent),
            },
            profile: 0,
            preferred_profile: None,
            last_profile: None,
            rank: Rank::new(since, credit, contact),
            place: Place::Free,
            since,
            step: 0,
            next_step: None,
            hold: hold.filter(|hold| hold.until > self.now),
            expires,
            expired: false,
            detached: None,
            overtaken: Overtaken::default(),
        };
        self.contacts.insert(contact, record);
        self.require(contact, false);
        self.set_deadlines(contact);
    }

    /// The deadlines of a contact but for its next step's.
    pub(crate) fn set_deadlines(&mut self, contact: ContactId) {
        let Some(record) = self.contacts.get(&contact) else {
            return;
        };
        if let Some(at) = record.expires {
            self.deadlines.set(at, Deadline::MaxWait { contact });
        }
        if let Some(hold) = record.hold {
            self.deadlines
                .set(hold.until, Deadline::Patience { contact });
        }
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
        let rank = record.rank;
        record.place = Place::Waiting;
        self.queues[record.queue as usize].line.insert(rank);
        if record.detached.is_some() {
            return;
        }
        record.overtaken.base = self.waiting.insert(rank);
        match (record.hold, &record.asked.wanted) {
            (Some(_), Some(agent)) => self.held.entry(agent.clone()).or_default().insert(rank),
            (None, _) | (_, None) => self.index.wait(record.profile, rank),
        }
        if self.any_rules {
            self.fresh.push(contact);
        }
    }

    /// Takes a contact out of the lines, if it is in them.
    pub(crate) fn step_out(&mut self, contact: ContactId) {
        let Some(record) = self.contacts.get_mut(&contact) else {
            return;
        };
        let rank = record.rank;
        if record.place != Place::Waiting {
            return;
        }
        self.queues[record.queue as usize].line.remove(rank);
        if record.detached.is_some() {
            return;
        }
        if let Some(reached) = self.waiting.remove(rank) {
            record.overtaken.before += reached - record.overtaken.base;
        }
        match (record.hold, &record.asked.wanted) {
            (Some(_), Some(agent)) => {
                if let Some(line) = self.held.get_mut(agent) {
                    line.remove(rank);
                    if line.is_empty() {
                        self.held.remove(agent);
                    }
                }
            }
            (None, _) | (_, None) => self.index.leave(record.profile, rank),
        }
    }

    /// The contact is no longer the distributor's.
    pub(crate) fn forget(&mut self, contact: ContactId) {
        self.step_out(contact);
        if let Some(queue) = self.drop_record(contact) {
            self.close_if_empty(queue);
        }
    }

    /// Removes the record of a contact that is in no line, with its deadlines; returns its queue.
    fn drop_record(&mut self, contact: ContactId) -> Option<u32> {
        let record = self.contacts.remove(&contact)?;
        self.index.release(record.profile);
        for profile in [record.preferred_profile, record.last_profile] {
            profile
                .into_iter()
                .for_each(|profile| self.index.release(profile));
        }
        if let Some(at) = record.next_step {
            self.deadlines.cancel(at, Deadline::Step { contact });
        }
        if let Some(at) = record.expires {
            self.deadlines.cancel(at, Deadline::MaxWait { contact });
        }
        if let Some(hold) = record.hold {
            self.deadlines
                .cancel(hold.until, Deadline::Patience { contact });
        }
        if record.detached.is_some() {
            self.detached.remove(&contact);
        }
        Some(record.queue)
    }

    /// A removed queue goes with its last contact.
    fn close_if_empty(&mut self, queue: u32) {
        let record = &self.queues[queue as usize];
        if !record.closing || record.line.len() + record.offered + record.connected > 0 {
            return;
        }
        // What this step made free is in no line, and comes back.
        let of_queue = |contact| {
            let record: Option<&ContactRecord> = self.contacts.get(contact);
            record.is_some_and(|record| record.queue == queue)
        };
        if !self.free_contacts.iter().any(of_queue) {
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
        if let Some(queue) = self.drop_record(contact) {
            self.queues[queue as usize].offered -= 1;
            self.queues[queue as usize].connected += 1;
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
            let expired = record.expired;
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
            } else if expired {
                self.leave_queue(contact, Left::MaxWait);
            } else {
                if blame != Blame::Nobody || !self.hold_stands(contact) {
                    self.end_hold(contact);
                }
                self.free_contacts.push(contact);
            }
        }
        self.changed(agent);
    }
}
