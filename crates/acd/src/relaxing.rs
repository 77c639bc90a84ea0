//! What a contact requires at this moment, whom it waits for, and when that changes: steps, preferred skills, the wanted agent.

use std::collections::BTreeMap;

use clock::Time;

use crate::acd::{Acd, Place};
use crate::api::{ContactId, Name, Queue};
use crate::deadlines::Deadline;
use crate::index::Requirement;

/// What a contact asked for beside its queue; kept for when steps or the configuration change what is required.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub skills: BTreeMap<Name, u8>,
    pub preferred: BTreeMap<Name, u8>,
    /// The agent who should have it.
    pub wanted: Option<Name>,
}

/// The agent for whom alone a contact waits (the one it wanted), and until when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hold {
    pub until: Time,
}

/// Waits without its caller.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Detached {
    pub ahead: u32,
    /// `Turn` has been told.
    pub turned: bool,
}

/// How many of the queue's steps are in force for a contact that waits since then, and when the next one comes.
pub(crate) fn step_of(queue: &Queue, since: Time, now: Time) -> (u32, Option<Time>) {
    let waited = now - since;
    let reached = queue.steps.iter().take_while(|step| step.after <= waited);
    let reached = reached.count();
    let next = queue.steps.get(reached).map(|step| since + step.after);
    (reached as u32, next)
}

/// The requirement of a queue and a contact with so many steps in force: of queue and contact the higher level, each at most what the steps
/// allow. Level 0 requires nothing.
fn requirement(queue: &Queue, skills: &BTreeMap<Name, u8>, step: u32) -> BTreeMap<Name, u8> {
    let steps = queue.steps.get(..step as usize).unwrap_or(&queue.steps);
    if steps.iter().any(|step| step.anyone) {
        return BTreeMap::new();
    }
    let own = steps.iter().rev().find_map(|step| step.skills.as_ref());
    let mut both = own.unwrap_or(&queue.skills).clone();
    for (skill, level) in skills {
        let required = both.entry(skill.clone()).or_insert(0);
        *required = (*required).max(*level);
    }
    for (skill, most) in steps.iter().flat_map(|step| &step.at_most) {
        if let Some(level) = both.get_mut(skill) {
            *level = (*level).min(*most);
        }
    }
    both.retain(|_, level| *level > 0);
    both
}

fn profile_of(requirement: BTreeMap<Name, u8>) -> Requirement {
    requirement.into_iter().collect()
}

impl Acd {
    /// The profile of a queue's and a contact's skills with so many steps in force.
    pub(crate) fn profile_of(&mut self, queue: u32, skills: &BTreeMap<Name, u8>, step: u32) -> u32 {
        let queue = &self.queues[queue as usize];
        if skills.is_empty() && step == 0 {
            return self.index.acquire_again(queue.profile);
        }
        self.index
            .acquire(profile_of(requirement(&queue.config, skills, step)))
    }

    /// The profile of those who have the preferred skills too; `None` where nothing is preferred.
    fn preferred_profile(&mut self, queue: u32, asked: &Asked, step: u32) -> Option<u32> {
        if asked.preferred.is_empty() {
            return None;
        }
        let mut both = requirement(&self.queues[queue as usize].config, &asked.skills, step);
        for (skill, level) in asked.preferred.iter().filter(|(_, level)| **level > 0) {
            let level = (*level).max(both.get(skill).copied().unwrap_or(0));
            both.insert(skill.clone(), level);
        }
        Some(self.index.acquire(profile_of(both)))
    }

    /// Works out again what a contact requires; its old profiles are given back. It must be in no line.
    pub(crate) fn require(&mut self, contact: ContactId, forget_old: bool) {
        let Some(record) = self.contacts.get_mut(&contact) else {
            return;
        };
        let (queue, since) = (record.queue, record.since);
        let asked = std::mem::take(&mut record.asked);
        let old = (
            record.profile,
            record.preferred_profile,
            record.last_profile,
        );
        let next_step = record.next_step;
        let config = &self.queues[queue as usize].config;
        let (step, next) = step_of(config, since, self.now);
        let (steps, rules) = (config.steps.len() as u32, !config.empty.is_empty());
        let profile = self.profile_of(queue, &asked.skills, step);
        let preferred_profile = self.preferred_profile(queue, &asked, step);
        let last_profile = rules.then(|| self.profile_of(queue, &asked.skills, steps));
        if forget_old {
            self.index.release(old.0);
            old.1
                .into_iter()
                .for_each(|profile| self.index.release(profile));
            old.2
                .into_iter()
                .for_each(|profile| self.index.release(profile));
        }
        if let Some(at) = next_step {
            self.deadlines.cancel(at, Deadline::Step { contact });
        }
        if let Some(at) = next {
            self.deadlines.set(at, Deadline::Step { contact });
        }
        if let Some(record) = self.contacts.get_mut(&contact) {
            record.asked = asked;
            record.profile = profile;
            record.preferred_profile = preferred_profile;
            record.last_profile = last_profile;
            (record.step, record.next_step) = (step, next);
        }
        if !self.hold_stands(contact) {
            self.end_hold(contact);
        }
    }

    /// Whether the agent whom the contact waits for alone is still one to wait for.
    pub(crate) fn hold_stands(&self, contact: ContactId) -> bool {
        let Some(record) = self.contacts.get(&contact) else {
            return false;
        };
        let wanted = record.asked.wanted.as_ref();
        let wanted = wanted.and_then(|agent| self.number(agent));
        wanted.is_some_and(|agent| {
            self.agents[agent as usize].signed_in() && self.index.satisfies(agent, record.profile)
        })
    }

    /// The contact waits for everybody from now on. It must be in no line.
    pub(crate) fn end_hold(&mut self, contact: ContactId) {
        let hold = self
            .contacts
            .get_mut(&contact)
            .and_then(|record| record.hold.take());
        if let Some(Hold { until }) = hold {
            self.deadlines.cancel(until, Deadline::Patience { contact });
        }
    }

    /// Takes a waiting contact out of the lines, to be matched at the end of the step with what is true of it then.
    pub(crate) fn wait_anew(&mut self, contact: ContactId) {
        self.step_out(contact);
        if let Some(record) = self.contacts.get_mut(&contact)
            && record.place == Place::Waiting
        {
            record.place = Place::Free;
            self.free_contacts.push(contact);
        }
    }

    /// A step's time has come.
    pub(crate) fn next_step(&mut self, contact: ContactId) {
        if let Some(record) = self.contacts.get_mut(&contact) {
            record.next_step = None;
            self.wait_anew(contact);
            self.require(contact, true);
        }
    }

    /// The contact has waited long enough for its agent.
    pub(crate) fn patience_over(&mut self, contact: ContactId) {
        self.wait_anew(contact);
        self.end_hold(contact);
    }

    /// An agent is one to wait for no longer.
    pub(crate) fn release_held(&mut self, agent: &str) {
        let Some(line) = self.held.get(agent) else {
            return;
        };
        let held: Vec<ContactId> = line.iter().map(|rank| rank.contact).collect();
        for contact in held {
            self.wait_anew(contact);
            self.end_hold(contact);
        }
    }

    /// What a contact requires now.
    pub(crate) fn required(&self, contact: ContactId) -> BTreeMap<Name, u8> {
        self.contacts
            .get(&contact)
            .map_or_else(BTreeMap::new, |record| {
                let queue = &self.queues[record.queue as usize].config;
                requirement(queue, &record.asked.skills, record.step)
            })
    }
}
