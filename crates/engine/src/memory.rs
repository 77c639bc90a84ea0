//! What is kept for those who ask "why?": a bounded ring, formatted only when somebody asks.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use clock::Time;

/// Contacts whose decisions are kept.
const DECIDED_MAX: usize = 4_096;
/// Decisions kept of one contact.
const DECISIONS_PER_CONTACT_MAX: usize = 16;

type Decided = (Time, Arc<str>, acd::Decision);

/// The ring.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    decisions: HashMap<acd::ContactId, Vec<Decided>>,
    decided: VecDeque<acd::ContactId>,
}

impl Memory {
    pub(crate) fn decided(
        &mut self,
        at: Time,
        contact: acd::ContactId,
        queue: &Arc<str>,
        decision: &acd::Decision,
    ) {
        let of_contact = self.decisions.entry(contact).or_insert_with(|| {
            self.decided.push_back(contact);
            Vec::new()
        });
        if of_contact.len() >= DECISIONS_PER_CONTACT_MAX {
            of_contact.remove(0);
        }
        of_contact.push((at, queue.clone(), decision.clone()));
        if self.decided.len() > DECIDED_MAX
            && let Some(oldest) = self.decided.pop_front()
        {
            self.decisions.remove(&oldest);
        }
    }

    pub(crate) fn why(&self, contact: acd::ContactId) -> Option<Vec<Decided>> {
        self.decisions.get(&contact).cloned()
    }
}
