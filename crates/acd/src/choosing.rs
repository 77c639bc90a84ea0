//! Who of the eligible agents gets a contact: the wanted one, then those with the preferred skills, then by the queue's choice.

use std::cmp::Reverse;
use std::time::Duration;

use clock::Time;

use crate::acd::{Acd, ContactRecord};
use crate::api::{Choice, ContactId};

/// An agent's place among the eligible; the smallest is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Standing {
    pub not_wanted: bool,
    pub not_preferred: bool,
    pub choice: ByChoice,
    pub idle_since: Time,
    pub agent: u32,
}

/// What the queue's choice looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ByChoice {
    Idle,
    Worked(Duration),
    Levels(Reverse<u32>),
    /// Behind the one who was last, and whose number is next.
    Round {
        around: bool,
        agent: u32,
    },
}

impl Acd {
    /// The eligible agent who gets a contact.
    pub(crate) fn best_agent(&self, contact: ContactId) -> Option<u32> {
        let record = self.contacts.get(&contact)?;
        if let Some(agent) = self.wanted(record)
            && self.eligible(agent, contact, record.profile)
        {
            return Some(agent);
        }
        if record.hold.is_some() {
            return None;
        }
        let choice = self.queues[record.queue as usize].config.choice;
        if choice == Choice::LongestIdle && record.preferred_profile.is_none() {
            return self.longest_idle(contact, record.profile);
        }
        self.standings(contact, record).min().map(|best| best.agent)
    }

    /// The agent whom the contact wants, whether or not it waits for them alone.
    pub(crate) fn wanted(&self, record: &ContactRecord) -> Option<u32> {
        record
            .asked
            .wanted
            .as_ref()
            .and_then(|agent| self.number(agent))
    }

    /// The ready agents are kept in this order, so that the first few are enough.
    fn longest_idle(&self, contact: ContactId, profile: u32) -> Option<u32> {
        let ready = self
            .index
            .ready(profile)
            .find(|(_, agent)| !self.agents[*agent as usize].apart_from(contact, self.now));
        let freed = self.free_eligible(contact, profile).min();
        ready.into_iter().chain(freed).min().map(|(_, agent)| agent)
    }

    fn eligible(&self, agent: u32, contact: ContactId, profile: u32) -> bool {
        let record = &self.agents[agent as usize];
        record.able().is_some()
            && self.index.satisfies(agent, profile)
            && !record.apart_from(contact, self.now)
    }

    /// Every eligible agent: a look at each who is ready, which is cheap as long as nobody waits, and short when many do.
    pub(crate) fn standings<'a>(
        &'a self,
        contact: ContactId,
        record: &'a ContactRecord,
    ) -> impl Iterator<Item = Standing> + 'a {
        let ready = self
            .index
            .ready(record.profile)
            .filter(move |(_, agent)| !self.agents[*agent as usize].apart_from(contact, self.now));
        let wanted = self.wanted(record);
        let only = wanted.filter(|_| record.hold.is_some());
        let last = self.round_at(record);
        ready
            .chain(self.free_eligible(contact, record.profile))
            .filter(move |(_, agent)| only.is_none_or(|only| only == *agent))
            .map(move |(since, agent)| self.standing(record, wanted, last, since, agent))
    }

    fn standing(
        &self,
        record: &ContactRecord,
        wanted: Option<u32>,
        last: Option<u32>,
        idle_since: Time,
        agent: u32,
    ) -> Standing {
        let preferred = record
            .preferred_profile
            .filter(|profile| self.index.satisfies(agent, *profile));
        let not_preferred = record.preferred_profile.is_some() && preferred.is_none();
        let choice = match self.queues[record.queue as usize].config.choice {
            Choice::LongestIdle => ByChoice::Idle,
            Choice::LeastOccupied => ByChoice::Worked(self.agents[agent as usize].worked()),
            Choice::MostSkilled => {
                let profile = preferred.unwrap_or(record.profile);
                ByChoice::Levels(Reverse(self.index.levels(agent, profile)))
            }
            Choice::RoundRobin => ByChoice::Round {
                around: last.is_some_and(|last| agent <= last),
                agent,
            },
        };
        Standing {
            not_wanted: wanted != Some(agent),
            not_preferred,
            choice,
            idle_since,
            agent,
        }
    }

    /// The number of the agent who was offered a contact of this queue last, or of the last one before whoever is gone.
    fn round_at(&self, record: &ContactRecord) -> Option<u32> {
        let last = self.queues[record.queue as usize].offered_last.as_ref()?;
        self.agent_numbers
            .range::<str, _>((
                std::ops::Bound::Unbounded,
                std::ops::Bound::Included(&**last),
            ))
            .next_back()
            .map(|(_, number)| *number)
    }
}
