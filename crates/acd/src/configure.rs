//! A new configuration, applied as a difference: places, states and work stay.
//!
//! Agents, queues and contacts hold the truth; numbers, index and deadlines are made again from them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::acd::{Acd, Place, QueueRecord};
use crate::agent::{AgentRecord, Blame};
use crate::api::{Agent, Config, ContactId, Name, OfferEnd, Queue};
use crate::index::Index;
use crate::line::Line;

impl Acd {
    /// Applies a configuration; the one in force changes nothing. Of two agents or queues with one name the first counts.
    pub(crate) fn configure(&mut self, config: Arc<Config>) {
        if Arc::ptr_eq(&self.config, &config) || self.config == config {
            return;
        }
        self.config = config.clone();
        self.withdraw_from_removed(&config);
        self.renew_agents(&config.agents);
        self.renew_queues(&config.queues);
        self.renew_lines();
        self.staff_changed = true;
        for agent in 0..self.agents.len() as u32 {
            self.changed(agent);
        }
    }

    /// What rings at an agent who is removed goes back to its place.
    fn withdraw_from_removed(&mut self, config: &Config) {
        let keep: std::collections::BTreeSet<&Name> =
            config.agents.iter().map(|agent| &agent.id).collect();
        for number in 0..self.agents.len() as u32 {
            let record = &mut self.agents[number as usize];
            if !record.leaving() && !keep.contains(&record.config().id) {
                record.leave();
                self.end_offer(number, OfferEnd::Withdrawn, Blame::Nobody);
                self.changed(number);
            }
        }
    }

    /// Numbers the agents again, in order of their ids.
    fn renew_agents(&mut self, configured: &[Agent]) {
        let mut records: BTreeMap<Name, AgentRecord> = BTreeMap::new();
        let offers: BTreeMap<ContactId, Name> = self
            .contacts
            .iter()
            .filter_map(|(contact, record)| match record.place {
                Place::Offered { agent } => {
                    Some((*contact, self.agents[agent as usize].config().id.clone()))
                }
                Place::Waiting | Place::Free => None,
            })
            .collect();
        for record in std::mem::take(&mut self.agents)
            .into_iter()
            .filter(|record| !record.gone())
        {
            records.insert(record.config().id.clone(), record);
        }
        let mut seen = std::collections::BTreeSet::new();
        for agent in configured.iter().filter(|agent| seen.insert(&agent.id)) {
            match records.get_mut(&agent.id) {
                Some(record) if record.config() == agent && !record.leaving() => {}
                Some(record) => record.configure(agent.clone()),
                None => {
                    records.insert(agent.id.clone(), AgentRecord::new(agent.clone()));
                }
            }
        }
        self.agent_numbers = records.keys().cloned().zip(0..).collect();
        self.agents = records.into_values().collect();
        for (contact, id) in offers {
            if let (Some(record), Some(agent)) =
                (self.contacts.get_mut(&contact), self.agent_numbers.get(&id))
            {
                record.place = Place::Offered { agent: *agent };
            }
        }
        self.free_agents.clear();
        self.deadlines.clear();
        for (number, record) in (0..).zip(&self.agents) {
            for (at, deadline) in record.deadlines(number) {
                self.deadlines.set(at, deadline);
            }
        }
        self.index = Index::new(self.agents.iter().map(|record| {
            (
                (!record.leaving()).then_some(&record.config().skills),
                record.kind(),
            )
        }));
    }

    /// Numbers the queues again; one that is removed keeps its old settings until its last contact is gone.
    fn renew_queues(&mut self, configured: &[Queue]) {
        let names: Vec<Name> = self
            .queues
            .iter()
            .map(|queue| queue.config.name.clone())
            .collect();
        let mut records: BTreeMap<Name, QueueRecord> = BTreeMap::new();
        let mut offered_last: BTreeMap<Name, Name> = BTreeMap::new();
        for mut record in std::mem::take(&mut self.queues) {
            let name = &record.config.name;
            if let Some(last) = record.offered_last.clone()
                && self.queue_numbers.contains_key(name)
            {
                offered_last.insert(name.clone(), last);
            }
            record.closing = true;
            if record.line.len() + record.offered + record.connected > 0
                || self.waits_in(&names, &record.config.name)
            {
                records.insert(record.config.name.clone(), record);
            }
        }
        let mut seen = std::collections::BTreeSet::new();
        for queue in configured.iter().filter(|queue| seen.insert(&queue.name)) {
            let mut record = QueueRecord {
                config: queue.clone(),
                closing: false,
                profile: 0,
                line: Line::default(),
                offered: 0,
                connected: 0,
                offered_last: offered_last.remove(&queue.name),
            };
            if let Some(old) = records.get(&queue.name) {
                (record.offered, record.connected) = (old.offered, old.connected);
            }
            records.insert(queue.name.clone(), record);
        }
        self.queue_numbers = records.keys().cloned().zip(0..).collect();
        self.queues = records.into_values().collect();
        for record in &mut self.queues {
            record.line = Line::default();
            let requirement = record.config.skills.iter().filter(|(_, level)| **level > 0);
            record.profile = self.index.acquire(
                requirement
                    .map(|(skill, level)| (skill.clone(), *level))
                    .collect(),
            );
        }
        for record in self.contacts.values_mut() {
            // A queue stays as long as a contact is in it, so that its name has a number.
            record.queue = names
                .get(record.queue as usize)
                .and_then(|name| self.queue_numbers.get(name))
                .copied()
                .unwrap_or(0);
        }
    }

    /// Whether a contact that this step made free belongs to the queue: it is in no line yet.
    fn waits_in(&self, names: &[Name], queue: &Name) -> bool {
        self.free_contacts
            .iter()
            .filter_map(|contact| self.contacts.get(contact))
            .any(|record| names.get(record.queue as usize) == Some(queue))
    }

    /// Puts every waiting contact back into lines, with the skills that its queue requires now.
    fn renew_lines(&mut self) {
        self.any_rules = self
            .queues
            .iter()
            .any(|queue| !queue.config.empty.is_empty());
        let waiting = std::mem::take(&mut self.waiting);
        self.held.clear();
        let contacts: Vec<ContactId> = self.contacts.keys().copied().collect();
        for contact in contacts {
            let Some(record) = self.contacts.get_mut(&contact) else {
                continue;
            };
            if let (Place::Waiting, Some(reached)) = (record.place, waiting.reached(record.rank)) {
                record.overtaken.before += reached - record.overtaken.base;
            }
            let place = record.place;
            self.require(contact, false);
            self.set_deadlines(contact);
            // Requirements may have changed: everyone who waits is matched again.
            if place == Place::Waiting {
                self.wait(contact);
            }
        }
    }
}
