//! Events for tests, in the order in which an engine would tell them.

use std::collections::BTreeMap;
use std::sync::Arc;

use clock::Time;
use engine::event::{AgentState, ContactId, Direction, Event, EventKind, Exit, Outcome, Stage};
use metrics::Fold;

pub fn contact(n: u64) -> ContactId {
    ContactId(format!("n1-1-{n}").into())
}

/// Feeds a fold and keeps the sequence.
pub struct Feed {
    pub fold: Fold,
    pub events: Vec<Event>,
    sequence: u64,
}

#[allow(dead_code)]
impl Feed {
    pub fn new(zone: jiff::tz::TimeZone) -> Feed {
        Feed {
            fold: Fold::new(zone),
            events: Vec::new(),
            sequence: 0,
        }
    }

    pub fn tell(&mut self, at: Time, kind: EventKind) {
        self.sequence += 1;
        let event = Event {
            sequence: self.sequence,
            at,
            person: None,
            kind,
        };
        assert!(self.fold.apply(&event));
        self.events.push(event);
    }

    pub fn arrived(&mut self, at: Time, n: u64) {
        let kind = EventKind::ContactArrived {
            contact: contact(n),
            channel: "voice".into(),
            direction: Direction::Inbound,
            entry: "queue:support".into(),
            trunk: None,
            by: None,
            ani: None,
            dnis: "2000".into(),
            withheld: false,
            signalling: None,
        };
        self.tell(at, kind);
    }

    pub fn queued(&mut self, at: Time, n: u64, queue: &str, visit: u32) {
        let kind = EventKind::ContactQueued {
            contact: contact(n),
            queue: queue.into(),
            visit,
            skills: BTreeMap::new(),
            priority: 0,
            position: 1,
        };
        self.tell(at, kind);
    }

    pub fn answered(&mut self, at: Time, n: u64, queue: &str, agent: &str, wait_ms: u64) {
        let kind = EventKind::ContactAnswered {
            contact: contact(n),
            queue: Some(queue.into()),
            visit: 1,
            agent: agent.into(),
            group: "all".into(),
            wait_ms,
            rang_ms: 0,
            transferred: false,
        };
        self.tell(at, kind);
    }

    pub fn abandoned(&mut self, at: Time, n: u64, queue: &str, wait_ms: u64, short: bool) {
        let kind = EventKind::ContactAbandoned {
            contact: contact(n),
            queue: Some(queue.into()),
            visit: 1,
            stage: Stage::Queue,
            wait_ms,
            short,
        };
        self.tell(at, kind);
    }

    pub fn left(&mut self, at: Time, n: u64, queue: &str, wait_ms: u64, exit: Exit) {
        self.tell(
            at,
            EventKind::ContactLeftQueue {
                contact: contact(n),
                queue: queue.into(),
                visit: 1,
                exit,
                wait_ms,
            },
        );
    }

    pub fn offer_ended(&mut self, at: Time, n: u64, agent: &str, reason: acd::OfferEnd) {
        let kind = EventKind::ContactOfferEnded {
            contact: contact(n),
            queue: "support".into(),
            visit: 1,
            offer: 1,
            agent: agent.into(),
            group: "all".into(),
            reason,
            rang_ms: 20_000,
            requeued: true,
        };
        self.tell(at, kind);
    }

    pub fn closed(&mut self, at: Time, n: u64, outcome: Outcome, entered_ivr: bool) {
        let kind = EventKind::ContactClosed {
            contact: contact(n),
            outcome,
            direction: Direction::Inbound,
            queue: None,
            agent: None,
            entered_ivr,
            goal: outcome == Outcome::SelfServed,
            wait_ms: 0,
            talk_ms: 0,
            hold_ms: 0,
            duration_ms: 0,
            customers: Vec::new(),
            cause: "caller_bye".into(),
            cause_detail: None,
            quality: Vec::new(),
        };
        self.tell(at, kind);
    }

    pub fn agent(
        &mut self,
        at: Time,
        agent: &str,
        was: AgentState,
        was_ms: u64,
        state: AgentState,
        queue: Option<&str>,
    ) {
        let kind = EventKind::AgentState {
            agent: agent.into(),
            group: "all".into(),
            state,
            reason: None,
            contact: None,
            queue: queue.map(Arc::from),
            until: None,
            was,
            was_ms,
        };
        self.tell(at, kind);
    }
}
