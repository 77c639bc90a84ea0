//! A naive distributor: plain vectors and full scans, written from the rules in `acd`'s crate text and from nothing else.
//!
//! It exists to be obviously right. Both distributors get the same inputs; what they offer and the states they show must be the same.
//! Absent on purpose: speed, indexes, explanations.

use std::sync::Arc;
use std::time::Duration;

use acd::{
    Absence, Agent, Availability, Choice, Config, ContactId, Enqueue, Input, Left, Name, OfferEnd,
    OfferResult, Output, Queue, State, Withdrawal,
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
    Left {
        contact: ContactId,
        queue: Name,
        why: Left,
    },
    Turn {
        contact: ContactId,
        queue: Name,
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
            Output::Left {
                contact,
                queue,
                why,
            } => Some(Told::Left {
                contact,
                queue,
                why,
            }),
            Output::Turn { contact, queue } => Some(Told::Turn { contact, queue }),
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
    worked: Duration,
    working: Option<Time>,
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
    skills: Levels,
    preferred: Levels,
    wanted: Option<Name>,
    /// Until when it waits for the wanted agent alone.
    hold: Option<Time>,
    since: Time,
    /// When its queue's steps were last looked at.
    looked: Time,
    /// Nanoseconds, credits taken off.
    start: i128,
    ringing: bool,
    expires: Option<Time>,
    expired: bool,
    /// How many may be before it when its turn is told, and whether that has been done.
    detached: Option<(u32, bool)>,
}

type Levels = std::collections::BTreeMap<Name, u8>;

#[derive(Clone, Debug)]
struct Place {
    set: Queue,
    removed: bool,
    last: Option<Name>,
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

fn has_all(person: &Person, needs: &Levels) -> bool {
    let level = |skill: &Name| person.set.skills.get(skill).copied().unwrap_or(0);
    needs.iter().all(|(skill, least)| level(skill) >= *least)
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
            } => {
                if availability == Availability::LoggedOut {
                    let waits = |waiter: &&mut Waiter| {
                        !waiter.ringing && waiter.wanted.as_ref() == Some(&agent)
                    };
                    for waiter in self.waiters.iter_mut().filter(waits) {
                        waiter.hold = None;
                    }
                }
                self.with(&agent, |person, _| {
                    if !person.removed {
                        person.asked = availability;
                    }
                });
            }
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
            Input::Detach { contact, ahead } => {
                for waiter in &mut self.waiters {
                    if waiter.contact == contact && !waiter.ringing {
                        waiter.detached = Some((ahead, false));
                        waiter.hold = None;
                    }
                }
            }
            Input::Attach { contact } => {
                for waiter in &mut self.waiters {
                    if waiter.contact == contact && waiter.detached.is_some() {
                        waiter.detached = None;
                        waiter.expires = None;
                    }
                }
            }
            Input::ExtendWrapUp { agent, by } => self.with(&agent, |person, now| {
                if let Work::WrapUp { until, .. } = &mut person.work {
                    let latest = (now + Duration::from_secs(3_600)).max(*until);
                    *until = (*until + by).min(latest);
                }
            }),
            Input::NewDay => {
                for person in &mut self.people {
                    person.worked = Duration::ZERO;
                    person.working = person.working.map(|_| self.now);
                }
            }
        }
        self.back_on_the_phone();
        self.match_all();
        self.leave_and_turn();
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
            if kind > 4 {
                self.contact_due(kind, contact);
            } else {
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
            };
            self.back_on_the_phone();
            self.tidy();
        }
        self.match_all();
        self.leave_and_turn();
        std::mem::take(&mut self.told)
    }

    /// A contact's deadline: 5 a step, 6 patience, 7 the longest wait.
    fn contact_due(&mut self, kind: u8, contact: ContactId) {
        let Some(at) = self.waiters.iter().position(|one| one.contact == contact) else {
            return;
        };
        match kind {
            5 => {
                self.waiters[at].looked = self.now;
                self.waiters[at].hold = self.waiters[at].hold.filter(|_| self.holds(at));
            }
            6 => self.waiters[at].hold = None,
            _ => {
                self.waiters[at].expires = None;
                if self.waiters[at].detached.is_some() {
                } else if self.waiters[at].ringing {
                    self.waiters[at].expired = true;
                } else {
                    self.leave(at, Left::MaxWait);
                }
            }
        }
    }

    fn leave(&mut self, at: usize, why: Left) {
        let waiter = self.waiters.remove(at);
        self.told.push(Told::Left {
            contact: waiter.contact,
            queue: waiter.queue,
            why,
        });
        self.tidy();
    }

    /// Who waits for nobody leaves, where the queue says so; then whose turn has come is told.
    fn leave_and_turn(&mut self) {
        let mut order: Vec<(i128, ContactId)> = self
            .waiters
            .iter()
            .filter(|waiter| !waiter.ringing && waiter.detached.is_none())
            .map(|waiter| (waiter.start, waiter.contact))
            .collect();
        order.sort_unstable();
        for (_, contact) in order {
            let found = self.waiters.iter().position(|one| one.contact == contact);
            let Some(at) = found else { continue };
            if let Some(why) = self.absent(&self.waiters[at]) {
                self.leave(at, why.into());
            }
        }
        let mut turns: Vec<ContactId> = self
            .waiters
            .iter()
            .filter(|waiter| waiter.detached.is_some_and(|(_, told)| !told))
            .map(|waiter| waiter.contact)
            .collect();
        turns.sort_unstable();
        for contact in turns {
            let found = self.waiters.iter().position(|one| one.contact == contact);
            let Some(at) = found else { continue };
            let waiter = self.waiters[at].clone();
            let line = self.line(&waiter.queue);
            let before = line.iter().position(|one| *one == contact).unwrap_or(0);
            let attached = Waiter {
                detached: None,
                ..waiter.clone()
            };
            let ready = self.people.iter().any(|one| self.eligible(&attached, one));
            let ahead = waiter.detached.map_or(0, |(ahead, _)| ahead);
            if before <= ahead as usize || ready {
                self.waiters[at].detached = Some((ahead, true));
                self.told.push(Told::Turn {
                    contact,
                    queue: waiter.queue,
                });
            }
        }
    }

    fn absent(&self, waiter: &Waiter) -> Option<Absence> {
        let place = self.place(&waiter.queue)?;
        let needs = Self::needs(&place.set, &waiter.skills, place.set.steps.len());
        let skilled = |person: &&Person| !person.removed && has_all(person, &needs);
        let skilled: Vec<&Person> = self.people.iter().filter(skilled).collect();
        let busy = |person: &&Person| person.work != Work::Nothing;
        let ready = |person: &&Person| person.asked == Availability::Ready && person.reachable;
        let pauses = |person: &&Person| matches!(person.asked, Availability::NotReady { .. });
        let absence = if skilled.is_empty() {
            Absence::NoSkill
        } else if skilled.iter().any(|one| busy(one) || ready(one)) {
            return None;
        } else if skilled.iter().any(pauses) {
            Absence::AllOnBreak
        } else {
            Absence::NobodyLoggedIn
        };
        place.set.empty.contains(&absence).then_some(absence)
    }

    fn place(&self, queue: &str) -> Option<&Place> {
        self.queues.iter().find(|place| &*place.set.name == queue)
    }

    /// Steps in force after so long a wait.
    fn step(set: &Queue, waited: Duration) -> usize {
        set.steps
            .iter()
            .take_while(|step| step.after <= waited)
            .count()
    }

    /// What is required with so many steps in force.
    fn needs(set: &Queue, skills: &Levels, step: usize) -> Levels {
        let mut own = set.skills.clone();
        for step in &set.steps[..step] {
            if let Some(skills) = &step.skills {
                own = skills.clone();
            }
        }
        let names: std::collections::BTreeSet<&Name> = own.keys().chain(skills.keys()).collect();
        let level = |name: &Name| {
            let level = own.get(name).max(skills.get(name)).copied().unwrap_or(0);
            let steps = set.steps[..step].iter();
            let most = steps.filter_map(|step| match step.anyone {
                true => Some(0),
                false => step.at_most.get(name).copied(),
            });
            most.min().map_or(level, |most| level.min(most))
        };
        names
            .into_iter()
            .map(|name| (name.clone(), level(name)))
            .filter(|(_, level)| *level > 0)
            .collect()
    }

    fn needs_now(&self, waiter: &Waiter) -> Levels {
        let Some(place) = self.place(&waiter.queue) else {
            return Levels::new();
        };
        let step = Self::step(&place.set, waiter.looked - waiter.since);
        Self::needs(&place.set, &waiter.skills, step)
    }

    /// Whether the wanted agent is one to wait for.
    fn holds(&self, at: usize) -> bool {
        let waiter = &self.waiters[at];
        let wanted = waiter.wanted.as_ref().and_then(|agent| self.find(agent));
        wanted.is_some_and(|person| {
            let person = &self.people[person];
            !person.removed
                && person.asked != Availability::LoggedOut
                && has_all(person, &self.needs_now(waiter))
        })
    }

    /// An agent's place among the eligible: the smallest is chosen.
    fn standing(&self, waiter: &Waiter, at: usize) -> (bool, bool, i128, Option<Time>, Name) {
        let person = &self.people[at];
        let place = self.place(&waiter.queue);
        let needs = self.needs_now(waiter);
        let mut more = needs.clone();
        for (skill, level) in &waiter.preferred {
            let most = needs.get(skill).copied().unwrap_or(0).max(*level);
            more.insert(skill.clone(), most);
        }
        more.retain(|_, level| *level > 0);
        let preferred = !waiter.preferred.is_empty() && has_all(person, &more);
        let levels = |needs: &Levels| -> i128 {
            let level =
                |skill: &Name| i128::from(person.set.skills.get(skill).copied().unwrap_or(0));
            needs.keys().map(level).sum()
        };
        let choice = match place.map_or(Choice::LongestIdle, |place| place.set.choice) {
            Choice::LongestIdle => 0,
            Choice::LeastOccupied => person.worked.as_nanos() as i128,
            Choice::MostSkilled if preferred => -levels(&more),
            Choice::MostSkilled => -levels(&needs),
            Choice::RoundRobin => {
                let before = |one: &&Person| one.set.id < person.set.id;
                let number = self.people.iter().filter(before).count() as i128;
                let last = place.and_then(|place| place.last.as_ref());
                let around = last.is_some_and(|last| person.set.id <= *last);
                number + if around { 1_000_000 } else { 0 }
            }
        };
        let wanted = waiter.wanted.as_ref() == Some(&person.set.id);
        let idle = person.idle;
        (!wanted, !preferred, choice, idle, person.set.id.clone())
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
            match person.work {
                Work::Connected { .. } | Work::WrapUp { .. } | Work::Occupied { .. } => {
                    person.working = person.working.or(Some(self.now));
                }
                Work::Nothing | Work::Reserved { .. } => {
                    if let Some(since) = person.working.take() {
                        person.worked += self.now - since;
                    }
                }
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
        for waiter in &self.waiters {
            let nobody: Name = "".into();
            let mut add = |at: Option<Time>, kind| {
                due.extend(at.map(|at| (at, kind, nobody.clone(), waiter.contact)));
            };
            add(self.next_step(waiter), 5);
            add(waiter.hold, 6);
            add(waiter.expires, 7);
        }
        due
    }

    /// When the next step of a contact's queue comes.
    fn next_step(&self, waiter: &Waiter) -> Option<Time> {
        let place = self.place(&waiter.queue)?;
        let reached = Self::step(&place.set, waiter.looked - waiter.since);
        place
            .set
            .steps
            .get(reached)
            .map(|step| waiter.since + step.after)
    }

    fn eligible(&self, waiter: &Waiter, person: &Person) -> bool {
        let able = person.work == Work::Nothing
            && person.asked == Availability::Ready
            && person.reachable
            && person.rest.is_none();
        if !able || person.removed {
            return false;
        }
        if waiter.detached.is_some()
            || (waiter.hold.is_some() && waiter.wanted.as_ref() != Some(&person.set.id))
        {
            return false;
        }
        let skilled = has_all(person, &self.needs_now(waiter));
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
                eligible.min_by_key(|at| self.standing(waiter, *at))
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
            if let Some(place) = self.queues.iter_mut().find(|one| one.set.name == queue) {
                place.last = Some(self.people[person].set.id.clone());
            }
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
            preferred,
            wanted,
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
        let hold = wanted.as_ref().map(|wanted| self.now + wanted.patience);
        self.waiters.push(Waiter {
            contact,
            queue: queue.clone(),
            skills,
            preferred,
            wanted: wanted.map(|wanted| wanted.agent),
            hold: hold.filter(|until| *until > self.now),
            since: since.unwrap_or(self.now).min(self.now),
            looked: self.now,
            start,
            ringing: false,
            expires: place.set.max_wait.map(|most| self.now + most),
            expired: false,
            detached: None,
        });
        let last = self.waiters.len() - 1;
        self.waiters[last].hold = self.waiters[last].hold.filter(|_| self.holds(last));
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
        let gone = matches!(reason, OfferEnd::CallerGone | OfferEnd::Moved);
        if gone {
            self.waiters.retain(|waiter| waiter.contact != contact);
        }
        self.told.push(Told::Ended {
            contact,
            queue,
            agent,
            reason,
        });
        if let Some(at) = self.waiters.iter().position(|one| one.contact == contact) {
            if self.waiters[at].expired {
                self.leave(at, Left::MaxWait);
            } else if reason != OfferEnd::Withdrawn || !self.holds(at) {
                self.waiters[at].hold = None;
            }
        }
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
            let old = self.place(&queue.name).and_then(|place| place.last.clone());
            self.queues.retain(|place| place.set.name != queue.name);
            self.queues.push(Place {
                set: queue.clone(),
                removed: false,
                last: old,
            });
        }
        for at in 0..self.waiters.len() {
            self.waiters[at].looked = self.now;
            self.waiters[at].hold = self.waiters[at].hold.filter(|_| self.holds(at));
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
            worked: Duration::ZERO,
            working: None,
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
