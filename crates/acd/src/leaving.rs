//! Contacts that wait no longer, and those that wait without their caller: longest wait, empty queues, callbacks.

use crate::acd::{Acd, Place};
use crate::agent::Kind;
use crate::api::{Absence, ContactId, Left, Output};
use crate::deadlines::Deadline;
use crate::line::Rank;
use crate::relaxing::Detached;

impl Acd {
    /// The longest wait is over: at once, or when the offer that rings comes to nothing.
    pub(crate) fn max_wait_over(&mut self, contact: ContactId) {
        let Some(record) = self.contacts.get_mut(&contact) else {
            return;
        };
        record.expires = None;
        if record.detached.is_some() {
            return;
        }
        match record.place {
            Place::Waiting | Place::Free => self.leave_queue(contact, Left::MaxWait),
            Place::Offered { .. } => record.expired = true,
        }
    }

    pub(crate) fn leave_queue(&mut self, contact: ContactId, why: Left) {
        if let Some(record) = self.contacts.get(&contact) {
            let queue = self.queues[record.queue as usize].config.name.clone();
            self.outputs.push_back(Output::Left {
                contact,
                queue,
                why,
            });
            self.forget(contact);
        }
    }

    /// Whoever waits for nobody in a queue that does not want that leaves it. After the matching.
    pub(crate) fn leave_empty(&mut self) {
        let fresh = std::mem::take(&mut self.fresh);
        let staff_changed = std::mem::take(&mut self.staff_changed);
        if !self.any_rules {
            return;
        }
        let mut ranks: Vec<Rank> = if staff_changed {
            self.waiting.iter().collect()
        } else {
            let records = fresh
                .iter()
                .filter_map(|contact| self.contacts.get(contact));
            records.map(|record| record.rank).collect()
        };
        ranks.sort_unstable();
        for rank in ranks {
            if let Some(absence) = self.absent(rank.contact) {
                self.leave_queue(rank.contact, absence.into());
            }
        }
    }

    /// The cause for which a waiting contact leaves, by its queue's rules.
    fn absent(&self, contact: ContactId) -> Option<Absence> {
        let record = self.contacts.get(&contact)?;
        if record.place != Place::Waiting || record.detached.is_some() {
            return None;
        }
        let absence = self.absence(record.last_profile?)?;
        let rules = &self.queues[record.queue as usize].config.empty;
        rules.contains(&absence).then_some(absence)
    }

    /// Why nobody can serve a profile.
    pub(crate) fn absence(&self, profile: u32) -> Option<Absence> {
        let counts = &self.index.profile(profile).by_kind;
        let here: u32 = [
            Kind::Ready,
            Kind::Resting,
            Kind::Reserved,
            Kind::Connected,
            Kind::WrapUp,
            Kind::Occupied,
        ]
        .into_iter()
        .map(|kind| counts[kind as usize])
        .sum();
        let (pausing, all) = (counts[Kind::NotReady as usize], counts.iter().sum::<u32>());
        match (all, here, pausing) {
            (0, ..) => Some(Absence::NoSkill),
            (_, 1.., _) => None,
            (_, 0, 1..) => Some(Absence::AllOnBreak),
            (_, 0, 0) => Some(Absence::NobodyLoggedIn),
        }
    }
}

// --- callbacks

impl Acd {
    /// The contact keeps its place, and is offered to nobody until it is attached again.
    pub(crate) fn detach(&mut self, contact: ContactId, ahead: u32) {
        let Some(record) = self.contacts.get(&contact) else {
            return;
        };
        if record.place != Place::Waiting {
            return;
        }
        self.step_out(contact);
        self.end_hold(contact);
        if let Some(record) = self.contacts.get_mut(&contact) {
            record.detached = Some(Detached {
                ahead,
                turned: false,
            });
        }
        self.detached.insert(contact);
        self.wait(contact);
    }

    pub(crate) fn attach(&mut self, contact: ContactId) {
        if !self.detached.contains(&contact) {
            return;
        }
        self.step_out(contact);
        self.detached.remove(&contact);
        if let Some(record) = self.contacts.get_mut(&contact) {
            record.detached = None;
            record.place = Place::Free;
            // Called back, it waits as long as it takes.
            if let Some(at) = record.expires.take() {
                self.deadlines.cancel(at, Deadline::MaxWait { contact });
            }
            self.free_contacts.push(contact);
        }
    }

    /// Tells whose turn has come. After the matching.
    pub(crate) fn tell_turns(&mut self) {
        if self.detached.is_empty() {
            return;
        }
        let turned: Vec<ContactId> = self
            .detached
            .iter()
            .copied()
            .filter(|contact| self.has_turn(*contact))
            .collect();
        for contact in turned {
            let Some(record) = self.contacts.get_mut(&contact) else {
                continue;
            };
            if let Some(detached) = &mut record.detached {
                detached.turned = true;
            }
            let queue = self.queues[record.queue as usize].config.name.clone();
            self.outputs.push_back(Output::Turn { contact, queue });
        }
    }

    fn has_turn(&self, contact: ContactId) -> bool {
        let Some(record) = self.contacts.get(&contact) else {
            return false;
        };
        let Some(Detached {
            ahead,
            turned: false,
        }) = record.detached
        else {
            return false;
        };
        let before = self.queues[record.queue as usize].line.before(record.rank);
        before.is_some_and(|before| before as u64 <= u64::from(ahead))
            || self.best_agent(contact).is_some()
    }
}
