//! A naive distributor: plain vectors and full scans, written from the rules in `acd`'s crate text and from nothing else.
//!
//! It exists to be obviously right. Both distributors get the same inputs; what they offer and the states they show must be the same.
//! Absent on purpose: speed, indexes, explanations.

use std::sync::Arc;
use std::time::Duration;

use acd::{
    Agent, Availability, Config, ContactId, Enqueue, Input, Name, OfferEnd, OfferResult, Output,
    Queue, State, Withdrawal,
};
use clock::Time;

/// What the reference tells: the part of the distributor's outputs that is compared, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    Offered {
        contact: ContactId,
        queue: Name,
        agent: Name,
        ring: Duration,
    },
    Ended {
        contact: ContactId,
        queue: Name,
        agent: Name,
        reason: OfferEnd,
    },
    Refused {
        contact: ContactId,
        queue: Name,
        known: bool,
    },
}

impl Told {
    /// The same part of a real output; `None` for states, which are compared as they stand.
    pub fn of(output: &Output) -> Option<Told> {
        match output.clone() {
            Output::Offered {
                contact,
                queue,
                agent,
                ring,
                decision: _,
            } => Some(Told::Offered {
                contact,
                queue,
                agent,
                ring,
            }),
            Output::OfferEnded {
                contact,
                queue,
                agent,
                reason,
            } => Some(Told::Ended {
                contact,
                queue,
                agent,
                reason,
            }),
            Output::Refused {
                contact,
                queue,
                known,
            } => Some(Told::Refused {
                contact,
                queue,
                known,
            }),
            Output::Agent { .. } => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Work {
    Nothing,
    Reserved {
        contact: ContactId,
        queue: Name,
        until: Time,
    },
    Connected {
        contact: ContactId,
        queue: Name,
        since: Time,
    },
    WrapUp {
        contact: ContactId,
        queue: Name,
        until: Time,
    },
    Occupied {
        call: ContactId,
        since: Time,
    },
}

#[derive(Clone, Debug)]
struct Person {
    set: Agent,
    reachable: bool,
    asked: Availability,
    work: Work,
    calls: Vec<(ContactId, Time)>,
    idle: Option<Time>,
    rest: Option<Time>,
    retry: Option<Time>,
    pairs: Vec<(ContactId, Time)>,
    declined: u32,
    busy: u32,
    failed: u32,
    removed: bool,
}

#[derive(Clone, Debug)]
struct Waiter {
    contact: ContactId,
    queue: Name,
    skills: std::collections::BTreeMap<Name, u8>,
    /// Nanoseconds, credits taken off.
    start: i128,
    ringing: bool,
}

#[derive(Clone, Debug)]
struct Place {
    set: Queue,
    removed: bool,
}

/// The naive distributor.
#[derive(Clone, Debug, Default)]
pub struct Reference {
    now: Time,
    config: Arc<Config>,
    people: Vec<Person>,
    queues: Vec<Place>,
    waiters: Vec<Waiter>,
    told: Vec<Told>,
}

impl Reference {
    pub fn new() -> Self {
        Reference::default()
    }

    /// What a step tells.
    pub fn handle(&mut self, now: Time, input: Input) -> Vec<Told> {
        let mut told = self.handle_timeout(now);
        match input {
            Input::Configure { config } => self.configure(config),
            Input::Presence { agent, reachable } => self.with(&agent, |person, _| {
                person.retry = None;
                if reachable && !person.reachable {
                    person.failed = 0;
                    person.come();
                } else if !reachable {
                    person.reachable = false;
                }
            }),
            Input::Availability {
                agent,
                availability,
            } => self.with(&agent, |person, _| {
                if !person.removed {
                    person.asked = availability;
                }
            }),
            Input::Enqueue(enqueue) => self.enqueue(enqueue),
            Input::Withdraw { contact, why } => self.withdraw(contact, why),
            Input::Offer {
                contact,
                agent,
                result,
            } => self.result(contact, &agent, result),
            Input::Finished {
                contact,
                agent,
                wrap_up,
            } => self.finished(contact, &agent, wrap_up),
            Input::EndWrapUp { agent } => self.with(&agent, |person, _| {
                if matches!(person.work, Work::WrapUp { .. }) {
                    person.work = Work::Nothing;
                }
            }),
            Input::Occupy { agent, call } => {
                if let Some(at) = self.find(&agent) {
                    self.end_offer(at, OfferEnd::Withdrawn);
                }
                self.with(&agent, |person, now| {
                    if person.calls.len() < 8 && !person.calls.iter().any(|known| known.0 == call) {
                        person.calls.push((call, now));
                    }
                });
            }
            Input::Vacate { agent, call } => self.with(&agent, |person, _| {
                person.calls.retain(|known| known.0 != call);
                if matches!(person.work, Work::Occupied { call: present, .. } if present == call) {
                    person.work = Work::Nothing;
                }
            }),
            Input::Take {
                contact,
                agent,
                queue,
            } => self.take(contact, &agent, queue),
            Input::Join { agent, from, into } => self.with(&agent, |person, _| {
                let twice = person.calls.iter().any(|known| known.0 == into);
                person.calls.retain(|known| !twice || known.0 != from);
                for known in &mut person.calls {
                    known.0 = if known.0 == from { into } else { known.0 };
                }
                match &mut person.work {
                    Work::Connected { contact, .. } | Work::Occupied { call: contact, .. }
                        if *contact == from =>
                    {
                        *contact = into;
                    }
                    _ => {}
                }
            }),
            Input::KeepApart { contact, agent } => {
                let until = self.now + self.config.back_off.max(Duration::from_secs(1));
                self.with(&agent, |person, _| person.part(contact, until));
            }
        }
        self.back_on_the_phone();
        self.match_all();
        told.append(&mut self.told);
        told
    }

    /// Who has no work item but a call outside is occupied by it.
    fn back_on_the_phone(&mut self) {
        for person in &mut self.people {
            if let (Work::Nothing, false, Some(&(call, since))) =
                (&person.work, person.removed, person.calls.first())
            {
                person.work = Work::Occupied { call, since };
            }
        }
    }

    /// Takes everything due, one at a time, then matches.
    pub fn handle_timeout(&mut self, now: Time) -> Vec<Told> {
        self.now = self.now.max(now);
        while let Some((_, kind, id, contact)) =
            self.due().into_iter().filter(|due| due.0 <= self.now).min()
        {
            let Some(at) = self.find(&id) else { break };
            match kind {
                0 => self.end_offer(at, OfferEnd::RingTimeout),
                1 => self.people[at].work = Work::Nothing,
                2 => {
                    let now = self.now;
                    self.people[at]
                        .pairs
                        .retain(|(other, until)| *other != contact || *until > now);
                }
                3 => self.people[at].rest = None,
                _ => {
                    self.people[at].retry = None;
                    self.people[at].reachable = true;
                }
            }
            self.back_on_the_phone();
            self.tidy();
        }
        self.match_all();
        std::mem::take(&mut self.told)
    }

    /// The next deadline.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.due().into_iter().map(|due| due.0).min()
    }

    /// Every agent's state, by id.
    pub fn states(&self) -> Vec<(Name, State)> {
        let mut states: Vec<(Name, State)> = self
            .people
            .iter()
            .map(|person| (person.set.id.clone(), person.state()))
            .collect();
        states.sort_by(|a, b| a.0.cmp(&b.0));
        states
    }

    /// The contacts that wait in this queue, in order of service.
    pub fn line(&self, queue: &str) -> Vec<ContactId> {
        let mut line: Vec<&Waiter> = self
            .waiters
            .iter()
            .filter(|waiter| !waiter.ringing && &*waiter.queue == queue)
            .collect();
        line.sort_by_key(|waiter| (waiter.start, waiter.contact));
        line.into_iter().map(|waiter| waiter.contact).collect()
    }

    /// Every queue that still takes or serves contacts, by name.
    pub fn queues(&self) -> Vec<Name> {
        let mut names: Vec<Name> = self
            .queues
            .iter()
            .map(|place| place.set.name.clone())
            .collect();
        names.sort();
        names
    }

    /// Somebody waits while this agent could be offered the contact: never, after a step.
    pub fn neglected(&self) -> Option<(ContactId, Name)> {
        let waiting = self.waiters.iter().filter(|waiter| !waiter.ringing);
        let mut pairs =
            waiting.flat_map(|waiter| self.people.iter().map(move |person| (waiter, person)));
        pairs
            .find(|(waiter, person)| self.eligible(waiter, person))
            .map(|(waiter, person)| (waiter.contact, person.set.id.clone()))
    }
}

impl Reference {
    fn find(&self, agent: &str) -> Option<usize> {
        self.people
            .iter()
            .position(|person| &*person.set.id == agent)
    }

    fn with(&mut self, agent: &str, change: impl FnOnce(&mut Person, Time)) {
        let now = self.now;
        if let Some(at) = self.find(agent) {
            change(&mut self.people[at], now);
        }
        self.tidy();
    }

    /// Idle time follows the state; who was removed and is done goes.
    fn tidy(&mut self) {
        for person in &mut self.people {
            let could_work = person.asked == Availability::Ready && person.reachable;
            match person.work {
                Work::Reserved { .. } => {}
                Work::Nothing if could_work => person.idle = person.idle.or(Some(self.now)),
                _ => person.idle = None,
            }
        }
        self.people
            .retain(|person| !person.removed || person.work != Work::Nothing);
        let (waiters, people) = (&self.waiters, &self.people);
        self.queues.retain(|place| {
            let name = &place.set.name;
            let waits = waiters.iter().any(|waiter| waiter.queue == *name);
            let talks = people.iter().any(
                |person| matches!(&person.work, Work::Connected { queue, .. } if queue == name),
            );
            !place.removed || waits || talks
        });
    }

    fn due(&self) -> Vec<(Time, u8, Name, ContactId)> {
        let mut due = Vec::new();
        for person in &self.people {
            let id = &person.set.id;
            match person.work {
                Work::Reserved { until, .. } => due.push((until, 0, id.clone(), ContactId(0))),
                Work::WrapUp { until, .. } => due.push((until, 1, id.clone(), ContactId(0))),
                Work::Nothing | Work::Connected { .. } | Work::Occupied { .. } => {}
            }
            due.extend(
                person
                    .pairs
                    .iter()
                    .map(|(contact, until)| (*until, 2, id.clone(), *contact)),
            );
            due.extend(person.rest.map(|at| (at, 3, id.clone(), ContactId(0))));
            due.extend(person.retry.map(|at| (at, 4, id.clone(), ContactId(0))));
        }
        due
    }

    fn eligible(&self, waiter: &Waiter, person: &Person) -> bool {
        let able = person.work == Work::Nothing
            && person.asked == Availability::Ready
            && person.reachable
            && person.rest.is_none();
        if !able || person.removed {
            return false;
        }
        let Some(place) = self
            .queues
            .iter()
            .find(|place| place.set.name == waiter.queue)
        else {
            return false;
        };
        let has = |skill: &Name| person.set.skills.get(skill).copied().unwrap_or(0);
        let skilled = place
            .set
            .skills
            .iter()
            .chain(&waiter.skills)
            .all(|(skill, level)| has(skill) >= *level);
        skilled
            && !person
                .pairs
                .iter()
                .any(|(contact, until)| *contact == waiter.contact && *until > self.now)
    }

    fn match_all(&mut self) {
        self.tidy();
        loop {
            let mut order: Vec<usize> = (0..self.waiters.len())
                .filter(|at| !self.waiters[*at].ringing)
                .collect();
            order.sort_by_key(|at| (self.waiters[*at].start, self.waiters[*at].contact));
            let best = |waiter: &Waiter| {
                let eligible =
                    (0..self.people.len()).filter(|at| self.eligible(waiter, &self.people[*at]));
                eligible.min_by_key(|at| (self.people[*at].idle, self.people[*at].set.id.clone()))
            };
            let Some((waiter, person)) = order
                .into_iter()
                .find_map(|at| best(&self.waiters[at]).map(|person| (at, person)))
            else {
                return;
            };
            self.waiters[waiter].ringing = true;
            let Waiter { contact, queue, .. } = self.waiters[waiter].clone();
            let ring = self
                .queues
                .iter()
                .find(|place| place.set.name == queue)
                .map_or(Duration::ZERO, |place| place.set.ring);
            self.people[person].work = Work::Reserved {
                contact,
                queue: queue.clone(),
                until: self.now + ring,
            };
            self.told.push(Told::Offered {
                contact,
                queue,
                agent: self.people[person].set.id.clone(),
                ring,
            });
        }
    }

    fn enqueue(&mut self, enqueue: Enqueue) {
        let Enqueue {
            contact,
            queue,
            skills,
            priority,
            class,
            since,
        } = enqueue;
        if self.waiters.iter().any(|waiter| waiter.contact == contact) {
            return;
        }
        let Some(place) = self
            .queues
            .iter()
            .find(|place| place.set.name == queue)
            .cloned()
        else {
            self.told.push(Told::Refused {
                contact,
                queue,
                known: false,
            });
            return;
        };
        if place.removed {
            self.told.push(Told::Refused {
                contact,
                queue,
                known: true,
            });
            return;
        }
        let of_class = class
            .and_then(|class| place.set.class_credit.get(&class).copied())
            .unwrap_or(0);
        let credit = i128::from(priority) + i128::from(place.set.priority) + i128::from(of_class);
        let start =
            i128::from(since.unwrap_or(self.now).min(self.now).as_nanos()) - credit * 1_000_000_000;
        let waiting = self.line(&queue).len();
        self.waiters.push(Waiter {
            contact,
            queue: queue.clone(),
            skills,
            start,
            ringing: false,
        });
        self.match_all();
        if self
            .waiters
            .iter()
            .any(|waiter| waiter.contact == contact && !waiter.ringing)
            && waiting >= place.set.max_waiting
        {
            self.waiters.retain(|waiter| waiter.contact != contact);
            self.told.push(Told::Refused {
                contact,
                queue,
                known: true,
            });
        }
    }

    fn withdraw(&mut self, contact: ContactId, why: Withdrawal) {
        let reason = match why {
            Withdrawal::CallerGone => OfferEnd::CallerGone,
            Withdrawal::Moved => OfferEnd::Moved,
        };
        let rings = |person: &Person| matches!(person.work, Work::Reserved { contact: ringing, .. } if ringing == contact);
        if let Some(at) = self.people.iter().position(rings) {
            self.end_offer(at, reason);
        }
        self.waiters.retain(|waiter| waiter.contact != contact);
        self.tidy();
    }

    fn result(&mut self, contact: ContactId, agent: &str, result: OfferResult) {
        let Some(at) = self.find(agent) else { return };
        let Work::Reserved {
            contact: ringing,
            queue,
            ..
        } = self.people[at].work.clone()
        else {
            return;
        };
        if ringing != contact {
            return;
        }
        let reason = match result {
            OfferResult::Answered => {
                let person = &mut self.people[at];
                (person.declined, person.busy, person.failed) = (0, 0, 0);
                person.work = Work::Connected {
                    contact,
                    queue,
                    since: self.now,
                };
                self.waiters.retain(|waiter| waiter.contact != contact);
                self.tidy();
                return;
            }
            OfferResult::Busy => OfferEnd::Busy,
            OfferResult::Declined => OfferEnd::Declined,
            OfferResult::Redirected => OfferEnd::Redirected,
            OfferResult::Unreachable => OfferEnd::Unreachable,
            OfferResult::NotRegistered => OfferEnd::NotRegistered,
            OfferResult::Failed => OfferEnd::Failed,
        };
        self.end_offer(at, reason);
    }

    /// The table "Ends of offers".
    fn end_offer(&mut self, at: usize, reason: OfferEnd) {
        let now = self.now;
        let until = now + self.config.back_off.max(Duration::from_secs(1));
        let person = &mut self.people[at];
        let Work::Reserved { contact, queue, .. } = person.work.clone() else {
            return;
        };
        person.work = Work::Nothing;
        match reason {
            OfferEnd::RingTimeout => {
                (person.busy, person.declined) = (0, 0);
                person.stop("rona");
            }
            OfferEnd::Busy | OfferEnd::Failed => {
                (person.declined, person.failed, person.busy) = (0, 0, person.busy + 1);
                person.part(contact, until);
                if person.busy >= 3 {
                    person.rest = Some(until);
                }
            }
            OfferEnd::Declined | OfferEnd::Redirected => {
                (person.busy, person.failed, person.declined) = (0, 0, person.declined + 1);
                if person.declined == 2 {
                    person.declined = 0;
                    person.stop("declined");
                } else {
                    person.part(contact, until);
                }
            }
            OfferEnd::Unreachable | OfferEnd::NotRegistered => {
                (person.busy, person.declined) = (0, 0);
                if !person.set.fixed {
                    person.reachable = false;
                } else {
                    person.failed += 1;
                    if person.failed < 3 {
                        person.part(contact, until);
                    } else if person.reachable {
                        person.reachable = false;
                        person.retry = Some(now + Duration::from_secs(30));
                    }
                }
            }
            OfferEnd::CallerGone | OfferEnd::Moved | OfferEnd::Withdrawn => {}
        }
        let agent = person.set.id.clone();
        for waiter in self
            .waiters
            .iter_mut()
            .filter(|waiter| waiter.contact == contact)
        {
            waiter.ringing = false;
        }
        if matches!(reason, OfferEnd::CallerGone | OfferEnd::Moved) {
            self.waiters.retain(|waiter| waiter.contact != contact);
        }
        self.told.push(Told::Ended {
            contact,
            queue,
            agent,
            reason,
        });
        self.tidy();
    }

    fn finished(&mut self, contact: ContactId, agent: &str, wrap_up: bool) {
        let Some(at) = self.find(agent) else { return };
        let person = &mut self.people[at];
        let Work::Connected {
            contact: present,
            queue,
            ..
        } = person.work.clone()
        else {
            return;
        };
        if present != contact {
            return;
        }
        let of_queue = self
            .queues
            .iter()
            .find(|place| place.set.name == queue)
            .map_or(Duration::ZERO, |place| place.set.wrap_up);
        let lasts = person.set.wrap_up.unwrap_or(of_queue);
        person.work = match wrap_up && lasts > Duration::ZERO {
            true => Work::WrapUp {
                contact,
                queue,
                until: self.now + lasts,
            },
            false => Work::Nothing,
        };
        self.tidy();
    }

    fn take(&mut self, contact: ContactId, agent: &str, queue: Name) {
        let Some(at) = self.find(agent) else { return };
        if !self.queues.iter().any(|place| place.set.name == queue) {
            return;
        }
        let since = self.now;
        let person = &mut self.people[at];
        let free = match &person.work {
            Work::Nothing => true,
            Work::Occupied { call, .. } => *call == contact,
            _ => false,
        };
        if free {
            person.calls.retain(|known| known.0 != contact);
            person.work = Work::Connected {
                contact,
                queue,
                since,
            };
        }
        self.tidy();
    }

    fn configure(&mut self, config: Arc<Config>) {
        if self.config == config {
            return;
        }
        self.config = config.clone();
        let mut removed: Vec<Name> = self
            .people
            .iter()
            .map(|person| person.set.id.clone())
            .collect();
        removed.retain(|id| !config.agents.iter().any(|agent| agent.id == *id));
        removed.sort();
        for id in removed {
            let Some(at) = self.find(&id) else { continue };
            self.people[at].removed = true;
            self.people[at].asked = Availability::LoggedOut;
            self.end_offer(at, OfferEnd::Withdrawn);
            self.tidy();
        }
        for agent in &config.agents {
            match self.find(&agent.id) {
                Some(at) => self.people[at].set_again(agent.clone()),
                None => self.people.push(Person::new(agent.clone())),
            }
        }
        for place in &mut self.queues {
            place.removed = true;
        }
        for queue in &config.queues {
            self.queues.retain(|place| place.set.name != queue.name);
            self.queues.push(Place {
                set: queue.clone(),
                removed: false,
            });
        }
        self.tidy();
    }
}

impl Person {
    fn new(set: Agent) -> Self {
        let mut person = Person {
            reachable: false,
            asked: Availability::LoggedOut,
            work: Work::Nothing,
            calls: Vec::new(),
            idle: None,
            rest: None,
            retry: None,
            pairs: Vec::new(),
            declined: 0,
            busy: 0,
            failed: 0,
            removed: false,
            set,
        };
        if person.set.fixed {
            person.come();
        }
        person
    }

    fn set_again(&mut self, set: Agent) {
        let (was_fixed, was_removed) = (self.set.fixed, self.removed);
        self.set = set;
        self.removed = false;
        if !was_fixed && self.set.fixed {
            self.come();
        }
        if was_fixed && !self.set.fixed {
            self.reachable = false;
        }
        if was_removed && self.reachable {
            self.come();
        }
    }

    fn come(&mut self) {
        self.reachable = true;
        if self.set.auto_ready && !self.removed && self.asked == Availability::LoggedOut {
            self.asked = Availability::Ready;
        }
    }

    fn stop(&mut self, reason: &str) {
        if self.asked == Availability::Ready {
            self.asked = Availability::NotReady {
                reason: reason.into(),
            };
        }
    }

    fn part(&mut self, contact: ContactId, until: Time) {
        if self.pairs.len() < 16 {
            self.pairs.push((contact, until));
        } else {
            self.rest = Some(until);
        }
    }

    fn state(&self) -> State {
        match (self.work.clone(), self.asked.clone()) {
            (
                Work::Reserved {
                    contact,
                    queue,
                    until,
                },
                _,
            ) => State::Reserved {
                contact,
                queue,
                until,
            },
            (
                Work::Connected {
                    contact,
                    queue,
                    since,
                },
                _,
            ) => State::Connected {
                contact,
                queue,
                since,
            },
            (
                Work::WrapUp {
                    contact,
                    queue,
                    until,
                },
                _,
            ) => State::WrapUp {
                contact,
                queue,
                until,
            },
            (Work::Occupied { call, since }, _) => State::Occupied { call, since },
            (Work::Nothing, Availability::LoggedOut) => State::LoggedOut,
            (Work::Nothing, Availability::NotReady { reason }) => State::NotReady { reason },
            (Work::Nothing, Availability::Ready) if self.reachable => State::Ready,
            (Work::Nothing, Availability::Ready) => State::Unreachable,
        }
    }
}
