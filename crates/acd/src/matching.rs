//! Matching: the first contact that has an eligible agent gets its best agent, until there is no such contact.
//!
//! At the end of a step nobody waits while an eligible agent is ready. So in the next step only the agents and contacts that it made
//! free can match, and only they are looked at.

use clock::Time;

use crate::acd::{Acd, Place};
use crate::api::{ContactId, Output};
use crate::deadlines::Deadline;
use crate::line::Rank;

/// Above so many free agents and contacts in one step (a new configuration, a mass of deadlines), one pass over all who wait is cheaper.
const FREE_FEW: usize = 8;

impl Acd {
    /// Matches what the step made free; then whoever is left waits, or is ready.
    pub(crate) fn settle(&mut self) {
        if self.free_agents.len() + self.free_contacts.len() <= FREE_FEW {
            self.match_few();
        } else {
            self.match_all();
        }
        for contact in std::mem::take(&mut self.free_contacts) {
            if self
                .contacts
                .get(&contact)
                .is_some_and(|record| record.place == Place::Free)
            {
                self.wait(contact);
            }
        }
        // Most steps free one agent or none: the vector is kept for its memory.
        let mut agents = std::mem::take(&mut self.free_agents);
        for agent in agents.drain(..) {
            if let Some(since) = self.agents[agent as usize].able() {
                self.index.add_ready(agent, since);
            }
            self.tell(agent);
        }
        self.free_agents = agents;
        self.leave_empty();
        self.tell_turns();
    }

    fn match_few(&mut self) {
        while let Some(contact) = self.first_contact() {
            let Some(agent) = self.best_agent(contact) else {
                return;
            };
            self.reserve(contact, agent);
        }
    }

    /// The first contact, in order of service, that has an eligible agent.
    fn first_contact(&self) -> Option<ContactId> {
        let returned = self.free_contacts.iter().filter_map(|contact| {
            let record = self
                .contacts
                .get(contact)
                .filter(|record| record.place == Place::Free && record.detached.is_none())?;
            self.best_agent(*contact).map(|_| record.rank)
        });
        let served = self
            .free_agents
            .iter()
            .filter_map(|agent| self.first_for(*agent));
        returned.chain(served).min().map(|rank| rank.contact)
    }

    /// The first waiting contact that this agent may be offered.
    fn first_for(&self, agent: u32) -> Option<Rank> {
        let record = &self.agents[agent as usize];
        let apart = |rank: Rank| record.apart_from(rank.contact, self.now);
        let first = self.index.first_for(agent, apart);
        if self.held.is_empty() {
            return first;
        }
        let held = self.held.get(&record.config().id);
        let held = held.and_then(|line| line.iter().find(|rank| !apart(*rank)));
        first.into_iter().chain(held).min()
    }

    fn match_all(&mut self) {
        for contact in std::mem::take(&mut self.free_contacts) {
            if self
                .contacts
                .get(&contact)
                .is_some_and(|record| record.place == Place::Free)
            {
                self.wait(contact);
            }
        }
        for agent in &self.free_agents {
            if let Some(since) = self.agents[*agent as usize].able() {
                self.index.add_ready(*agent, since);
            }
        }
        // A match takes a contact and an agent away, so that whoever was passed over has still nobody: one pass is enough.
        let waiting: Vec<Rank> = self.waiting.iter().collect();
        for rank in waiting {
            if !self.index.anyone_ready() {
                return;
            }
            if let Some(agent) = self.best_agent(rank.contact) {
                self.reserve(rank.contact, agent);
            }
        }
    }

    /// Eligible agents among those made free in this step.
    pub(crate) fn free_eligible(
        &self,
        contact: ContactId,
        profile: u32,
    ) -> impl Iterator<Item = (Time, u32)> + '_ {
        self.free_agents.iter().filter_map(move |agent| {
            let record = &self.agents[*agent as usize];
            let eligible =
                self.index.satisfies(*agent, profile) && !record.apart_from(contact, self.now);
            record
                .able()
                .filter(|_| eligible)
                .map(|since| (since, *agent))
        })
    }

    /// One step: the agent is the contact's from here on, and the offer leaves.
    pub(crate) fn reserve(&mut self, contact: ContactId, agent: u32) {
        let decision = self.explain(contact, agent);
        self.step_out(contact);
        self.overtake(contact, agent);
        let Some(record) = self.contacts.get_mut(&contact) else {
            return;
        };
        record.place = Place::Offered { agent };
        let queue = &mut self.queues[record.queue as usize];
        queue.offered += 1;
        let (name, ring) = (queue.config.name.clone(), queue.config.ring);
        let until = self.now + ring;
        let id = self.agents[agent as usize].config().id.clone();
        queue.offered_last = Some(id.clone());
        self.agents[agent as usize].reserve(contact, name.clone(), until);
        self.deadlines.set(until, Deadline::Ring { agent });
        self.outputs.push_back(Output::Offered {
            contact,
            queue: name,
            agent: id,
            ring,
            decision: Box::new(decision),
        });
        self.changed(agent);
    }
}
