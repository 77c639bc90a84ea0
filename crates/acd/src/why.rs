//! Questions about this moment: why a contact waits, and why an agent is idle. Worked out when somebody asks.

use crate::acd::{Acd, Place};
use crate::agent::Kind;
use crate::api::{Absence, ContactId, Idle, Name, Passed, State, Waiting};
use crate::index::{EXAMPLES_MAX, Lacking};

impl Acd {
    /// Why this contact waits; `None` when it does not.
    pub fn why_waiting(&self, contact: ContactId) -> Option<Waiting> {
        let record = self.contacts.get(&contact)?;
        if record.place != Place::Waiting {
            return None;
        }
        let mut apart = Lacking::default();
        for (agent, one) in (0u32..).zip(&self.agents) {
            if one.apart_from(contact, self.now) && self.index.satisfies(agent, record.profile) {
                apart.count += 1;
                if apart.examples.len() < EXAMPLES_MAX {
                    apart.examples.push(agent);
                }
            }
        }
        let held = record.hold.zip(record.asked.wanted.clone());
        Some(Waiting {
            queue: self.queues[record.queue as usize].config.name.clone(),
            position: self.position(contact)?,
            step: record.step,
            next_step: record.next_step,
            skills: self.required(contact),
            held_for: held.map(|(hold, agent)| (agent, hold.until)),
            detached: record.detached.is_some(),
            excluded: self.excluded(record.profile, &apart),
            overtaken_by: self.overtaken_by(contact),
        })
    }

    /// Why this agent has nothing of what waits; `None` for one who is not known.
    pub fn why_idle(&self, agent: &str) -> Option<Idle> {
        let number = self.number(agent)?;
        let record = &self.agents[number as usize];
        let mut passed: Vec<Passed> = Vec::new();
        let mut waiting = 0;
        for (contact, other) in &self.contacts {
            if other.place == Place::Waiting {
                waiting += 1;
                note(&mut passed, self.passed_over(number, *contact), *contact);
            }
        }
        passed.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.reason.cmp(&b.reason)));
        let state = record.shown().cloned().unwrap_or(State::LoggedOut);
        Some(Idle {
            idle_since: record.idle_since().filter(|_| state == State::Ready),
            state,
            resting_until: record.resting_until(),
            waiting,
            passed,
        })
    }

    fn passed_over(&self, agent: u32, contact: ContactId) -> &Name {
        let words = &self.words;
        let Some(record) = self.contacts.get(&contact) else {
            return &words.state;
        };
        match self.index.lacks_skill(agent, record.profile) {
            Some(true) => return &words.skill,
            Some(false) => return &words.level,
            None => {}
        }
        if record.detached.is_some() {
            &words.detached
        } else if record.hold.is_some() && self.wanted(record) != Some(agent) {
            &words.wanted
        } else if self.agents[agent as usize].kind() != Kind::Ready {
            &words.state
        } else {
            &words.back_off
        }
    }

    /// Why nobody could serve a contact that came into this queue now without a wish of its own.
    pub fn absence_in(&self, queue: &str) -> Option<Absence> {
        let number = self.queue_numbers.get(queue)?;
        self.absence(self.queues[*number as usize].profile)
    }

    /// How many agents are staffed for this queue's own requirement: on duty, those in conversation included.
    pub fn staffed(&self, queue: &str) -> usize {
        let Some(number) = self.queue_numbers.get(queue) else {
            return 0;
        };
        let profile = self.queues[*number as usize].profile;
        let counts = &self.index.profile(profile).by_kind;
        let absent = [Kind::LoggedOut, Kind::NotReady, Kind::Unreachable];
        let absent: u32 = absent.iter().map(|kind| counts[*kind as usize]).sum();
        (counts.iter().sum::<u32>() - absent) as usize
    }
}

fn note(passed: &mut Vec<Passed>, reason: &Name, contact: ContactId) {
    let at = passed.iter().position(|one| one.reason == *reason);
    let at = at.unwrap_or_else(|| {
        passed.push(Passed {
            reason: reason.clone(),
            count: 0,
            examples: Vec::new(),
        });
        passed.len() - 1
    });
    let one = &mut passed[at];
    one.count += 1;
    if one.examples.len() < EXAMPLES_MAX {
        one.examples.push(contact);
    }
}
