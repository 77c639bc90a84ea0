//! The contacts and agents of now, and the contacts that are over but not yet in the store's index: a fold of events.
//!
//! A snapshot of it holds nothing personal: those fields are skipped, and read again from the log's sealed parts when events are replayed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use clock::Time;
use crm::{CustomerId, Pop};
use engine::event::{AgentState, ContactId, Direction, Event, EventKind, Exit, Outcome};
use engine::identity::Signalling;
use serde::{Deserialize, Serialize};

type Name = Arc<str>;

/// Closed contacts that wait to be indexed; beyond this the oldest go (the log still has them) and that is said.
pub const CLOSED_MAX: usize = 20_000;
/// Visits kept of one contact, the newest.
const VISITS_MAX: usize = 64;

/// Where a contact is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ContactState {
    InIvr,
    Waiting,
    Offered,
    Connected,
    Closed,
}

/// One stay in a queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Visit {
    pub queue: Name,
    pub visit: u32,
    pub queued: Time,
    pub offers: u32,
    pub ended: Option<Time>,
    /// `answered`, `abandoned`, or one of the exits.
    pub exit: Option<Name>,
    pub wait_ms: Option<u64>,
}

/// A contact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contact {
    pub id: ContactId,
    pub state: ContactState,
    pub held: bool,
    pub channel: Name,
    pub direction: Direction,
    pub entry: Name,
    pub dnis: Name,
    pub customers: Vec<CustomerId>,
    pub class: Option<Name>,
    pub queue: Option<Name>,
    /// Who has it, or is offered it; who had it last once it is closed.
    pub agent: Option<Name>,
    /// The agent who placed the call.
    #[serde(default)]
    pub by: Option<Name>,
    #[serde(default)]
    pub disposition: Option<Name>,
    pub arrived: Time,
    pub answered: Option<Time>,
    pub ended: Option<Time>,
    pub outcome: Option<Outcome>,
    pub cause: Option<Name>,
    /// How each leg sounded, once the contact is closed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quality: Vec<engine::LegQuality>,
    /// `on`, `paused` or `off`; none where nothing has been recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<Name>,
    pub visits: Vec<Visit>,
    /// Sequence of the event that closed it.
    pub closed_sequence: u64,
    /// Sequence of its `contact.arrived`, whose sealed part has the number; 0 in snapshots of old.
    #[serde(default)]
    pub arrived_sequence: u64,
    /// The caller wants not to be known.
    #[serde(default)]
    pub withheld: bool,
    /// Personal, as all that follows.
    #[serde(skip)]
    pub ani: Option<String>,
    #[serde(skip)]
    pub signalling: Option<Arc<Signalling>>,
    #[serde(skip)]
    pub pop: Option<Pop>,
    #[serde(skip)]
    pub flow_data: Option<BTreeMap<String, String>>,
    /// Whose key seals what is personal.
    #[serde(skip)]
    pub person: Option<Name>,
}

/// An agent as the events show them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agent {
    pub group: Name,
    pub state: AgentState,
    pub reason: Option<Name>,
    pub contact: Option<ContactId>,
    pub queue: Option<Name>,
    pub since: Time,
    pub until: Option<Time>,
}

/// See the module's text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Board {
    sequence: u64,
    pub contacts: BTreeMap<ContactId, Contact>,
    pub agents: BTreeMap<Name, Agent>,
    /// Oldest first.
    pub closed: VecDeque<Contact>,
}

impl Board {
    /// Of the last event applied.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// A contact, open or lately closed.
    pub fn contact(&self, id: &str) -> Option<&Contact> {
        let id = ContactId(id.into());
        self.contacts
            .get(&id)
            .or_else(|| self.closed.iter().rev().find(|contact| contact.id == id))
    }

    /// Forgets closed contacts that the store's index has, up to this sequence.
    pub fn indexed(&mut self, sequence: u64) {
        while self
            .closed
            .front()
            .is_some_and(|contact| contact.closed_sequence <= sequence)
        {
            self.closed.pop_front();
        }
    }

    /// Gives a board from a snapshot the numbers again that a snapshot must not hold: `arrived` reads the event of a sequence from the log.
    ///
    /// # Errors
    /// The reader's.
    pub fn refill<E>(
        &mut self,
        arrived: impl Fn(u64) -> Result<Option<Event>, E>,
    ) -> Result<(), E> {
        for contact in self.contacts.values_mut().chain(&mut self.closed) {
            if contact.arrived_sequence == 0 || contact.person.is_some() {
                continue;
            }
            if let Some(event) = arrived(contact.arrived_sequence)?
                && let EventKind::ContactArrived {
                    contact: id,
                    ani,
                    signalling,
                    ..
                } = &event.kind
                && *id == contact.id
            {
                contact.ani.clone_from(ani);
                contact.signalling.clone_from(signalling);
                contact.person = person(&event, ani.as_ref());
            }
        }
        Ok(())
    }

    /// Applies an event; one that has been applied already changes nothing and gives `false`.
    pub fn apply(&mut self, event: &Event) -> bool {
        if event.sequence <= self.sequence {
            return false;
        }
        self.sequence = event.sequence;
        match &event.kind {
            EventKind::ContactArrived { .. } => self.arrived(event),
            EventKind::AgentState { .. } => self.agent_state(event),
            EventKind::ContactClosed { contact, .. } => {
                if let Some(mut over) = self.contacts.remove(contact) {
                    close(&mut over, event);
                    self.keep_closed(over);
                }
            }
            kind => {
                let Some(id) = contact_of(kind) else {
                    return true;
                };
                if let Some(contact) = self.contacts.get_mut(id) {
                    change(contact, event.at, kind);
                } else if let EventKind::ContactDisposition { code, .. } = kind
                    && let Some(over) = self.closed.iter_mut().rev().find(|over| over.id == *id)
                {
                    over.disposition = Some(code.clone());
                }
            }
        }
        true
    }

    fn arrived(&mut self, event: &Event) {
        let EventKind::ContactArrived {
            contact,
            channel,
            direction,
            entry,
            by,
            ani,
            dnis,
            withheld,
            signalling,
            ..
        } = &event.kind
        else {
            return;
        };
        let person = person(event, ani.as_ref());
        let fresh = Contact {
            id: contact.clone(),
            state: ContactState::InIvr,
            held: false,
            channel: channel.clone(),
            direction: *direction,
            entry: entry.clone(),
            dnis: dnis.clone(),
            customers: Vec::new(),
            class: None,
            queue: None,
            agent: by.clone(),
            by: by.clone(),
            disposition: None,
            arrived: event.at,
            answered: None,
            ended: None,
            outcome: None,
            cause: None,
            quality: Vec::new(),
            recording: None,
            visits: Vec::new(),
            closed_sequence: 0,
            arrived_sequence: event.sequence,
            withheld: *withheld,
            ani: ani.clone(),
            signalling: signalling.clone(),
            pop: None,
            flow_data: None,
            person,
        };
        self.contacts.insert(contact.clone(), fresh);
    }

    fn agent_state(&mut self, event: &Event) {
        let EventKind::AgentState {
            agent,
            group,
            state,
            reason,
            contact,
            queue,
            until,
            ..
        } = &event.kind
        else {
            return;
        };
        let row = Agent {
            group: group.clone(),
            state: *state,
            reason: reason.clone(),
            contact: contact.clone(),
            queue: queue.clone(),
            since: event.at,
            until: *until,
        };
        self.agents.insert(agent.clone(), row);
    }

    fn keep_closed(&mut self, contact: Contact) {
        if self.closed.len() >= CLOSED_MAX {
            self.closed.pop_front();
            tracing::error!(
                "too many closed contacts wait for the index; the oldest is left to the log"
            );
        }
        self.closed.push_back(contact);
    }
}

/// Whose key seals what is personal of a contact that arrived so.
fn person(arrived: &Event, ani: Option<&String>) -> Option<Name> {
    let by_number = || ani.map(|ani| format!("tel:{ani}").into());
    arrived.person.clone().or_else(by_number)
}

/// The contact that an event is about.
pub fn contact_of(kind: &EventKind) -> Option<&ContactId> {
    match kind {
        EventKind::ContactArrived { contact, .. }
        | EventKind::ContactIdentified { contact, .. }
        | EventKind::ContactQueued { contact, .. }
        | EventKind::ContactOffered { contact, .. }
        | EventKind::ContactOfferEnded { contact, .. }
        | EventKind::ContactAnswered { contact, .. }
        | EventKind::ContactHeld { contact, .. }
        | EventKind::ContactResumed { contact, .. }
        | EventKind::ContactTransferred { contact, .. }
        | EventKind::ContactTransferFailed { contact, .. }
        | EventKind::ContactJoined { contact, .. }
        | EventKind::ContactLeft { contact, .. }
        | EventKind::ContactDisposition { contact, .. }
        | EventKind::ContactRecording { contact, .. }
        | EventKind::RecordingSaved { contact, .. }
        | EventKind::RecordingFailed { contact, .. }
        | EventKind::ContactAbandoned { contact, .. }
        | EventKind::ContactLeftQueue { contact, .. }
        | EventKind::ContactClosed { contact, .. }
        | EventKind::ContactSurveyed { contact, .. }
        | EventKind::IvrStep { contact, .. } => Some(contact),
        EventKind::AgentState { contact, .. } => contact.as_ref(),
        EventKind::NodeStarted { .. }
        | EventKind::QueueChanged { .. }
        | EventKind::ConfigApplied { .. }
        | EventKind::Audit { .. } => None,
    }
}

fn change(contact: &mut Contact, at: Time, kind: &EventKind) {
    match kind {
        EventKind::ContactIdentified {
            customers, class, ..
        } => {
            contact.customers.clone_from(customers);
            contact.class.clone_from(class);
        }
        EventKind::ContactQueued { queue, visit, .. } => queued(contact, at, queue, *visit),
        EventKind::ContactOffered {
            queue,
            agent,
            pop,
            flow_data,
            ani,
            ..
        } => {
            contact.state = ContactState::Offered;
            contact.agent = Some(agent.clone());
            contact.queue = Some(queue.clone());
            contact.pop.clone_from(pop);
            contact.flow_data.clone_from(flow_data);
            if ani.is_some() {
                contact.ani.clone_from(ani);
            }
            if let Some(visit) = contact.visits.last_mut() {
                visit.offers += 1;
            }
        }
        EventKind::ContactOfferEnded { .. } => {
            contact.state = ContactState::Waiting;
            contact.agent = None;
        }
        EventKind::ContactAnswered {
            agent,
            queue,
            wait_ms,
            ..
        } => {
            contact.state = ContactState::Connected;
            contact.agent = Some(agent.clone());
            contact.answered.get_or_insert(at);
            if queue.is_some() {
                visit_ended(contact, at, "answered", *wait_ms);
            }
        }
        EventKind::ContactHeld { .. } => contact.held = true,
        EventKind::ContactResumed { .. } => contact.held = false,
        EventKind::ContactAbandoned { wait_ms, .. } => {
            visit_ended(contact, at, "abandoned", *wait_ms)
        }
        EventKind::ContactLeftQueue { exit, wait_ms, .. } => {
            visit_ended(contact, at, exit_word(*exit), *wait_ms);
            contact.state = ContactState::InIvr;
        }
        EventKind::ContactTransferred {
            from: Some(_), to, ..
        } => {
            contact.agent = None;
            if to.starts_with("flow:") {
                contact.state = ContactState::InIvr;
            }
        }
        EventKind::ContactDisposition { code, .. } => contact.disposition = Some(code.clone()),
        EventKind::ContactRecording { state, .. } => contact.recording = Some(state.clone()),
        EventKind::ContactTransferred { from: None, .. }
        | EventKind::ContactTransferFailed { .. }
        | EventKind::RecordingSaved { .. }
        | EventKind::RecordingFailed { .. }
        | EventKind::ContactJoined { .. }
        | EventKind::ContactLeft { .. }
        | EventKind::IvrStep { .. }
        | EventKind::ContactSurveyed { .. }
        | EventKind::ContactArrived { .. }
        | EventKind::ContactClosed { .. }
        | EventKind::AgentState { .. }
        | EventKind::NodeStarted { .. }
        | EventKind::QueueChanged { .. }
        | EventKind::ConfigApplied { .. }
        | EventKind::Audit { .. } => {}
    }
}

fn queued(contact: &mut Contact, at: Time, queue: &Name, number: u32) {
    contact.state = ContactState::Waiting;
    contact.queue = Some(queue.clone());
    contact.agent = None;
    if contact
        .visits
        .last()
        .is_some_and(|visit| visit.visit == number && visit.ended.is_none())
    {
        return;
    }
    if contact.visits.len() >= VISITS_MAX {
        contact.visits.remove(0);
    }
    contact.visits.push(Visit {
        queue: queue.clone(),
        visit: number,
        queued: at,
        offers: 0,
        ended: None,
        exit: None,
        wait_ms: None,
    });
}

fn visit_ended(contact: &mut Contact, at: Time, exit: &str, wait_ms: u64) {
    if let Some(visit) = contact
        .visits
        .last_mut()
        .filter(|visit| visit.ended.is_none())
    {
        visit.ended = Some(at);
        visit.exit = Some(exit.into());
        visit.wait_ms = Some(wait_ms);
    }
}

fn close(contact: &mut Contact, event: &Event) {
    let EventKind::ContactClosed {
        outcome,
        queue,
        agent,
        customers,
        cause,
        wait_ms,
        quality,
        ..
    } = &event.kind
    else {
        return;
    };
    visit_ended(contact, event.at, "system_error", *wait_ms);
    contact.state = ContactState::Closed;
    contact.held = false;
    contact.recording = None;
    contact.ended = Some(event.at);
    contact.outcome = Some(*outcome);
    contact.cause = Some(cause.clone());
    contact.quality.clone_from(quality);
    if queue.is_some() {
        contact.queue.clone_from(queue);
    }
    contact.agent.clone_from(agent);
    if !customers.is_empty() {
        contact.customers.clone_from(customers);
    }
    contact.closed_sequence = event.sequence;
}

fn exit_word(exit: Exit) -> &'static str {
    metrics::totals::EXITS[exit as usize].1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contact_of_a_snapshot_gets_its_number_from_the_log() {
        let arrived = |sequence, n: u32| Event {
            sequence,
            at: Time::from_secs(sequence),
            person: None,
            kind: EventKind::ContactArrived {
                contact: ContactId(format!("n1-1-{n}").into()),
                channel: "voice".into(),
                direction: Direction::Inbound,
                entry: "queue:support".into(),
                trunk: None,
                by: None,
                ani: Some(format!("+861380013800{n}")),
                dnis: "2000".into(),
                withheld: false,
                signalling: None,
            },
        };
        let mut board = Board::default();
        assert!(board.apply(&arrived(3, 1)) && board.apply(&arrived(4, 2)));
        let json = serde_json::to_string(&board).unwrap();
        assert!(!json.contains("138"), "nothing personal: {json}");
        let mut restored: Board = serde_json::from_str(&json).unwrap();
        // The second one's key was erased meanwhile.
        let log = |sequence| {
            let mut event = arrived(sequence, sequence as u32 - 2);
            if let EventKind::ContactArrived { ani, .. } = &mut event.kind
                && sequence == 4
            {
                *ani = None;
            }
            Ok::<_, ()>(Some(event))
        };
        restored.refill(log).unwrap();
        let first = restored.contact("n1-1-1").unwrap();
        assert_eq!(first.ani.as_deref(), Some("+8613800138001"));
        assert_eq!(first.person.as_deref(), Some("tel:+8613800138001"));
        let second = restored.contact("n1-1-2").unwrap();
        assert_eq!((&second.ani, &second.person), (&None, &None));
    }
}
