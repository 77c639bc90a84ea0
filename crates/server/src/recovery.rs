//! What a restart must know of the run before: a fold of events, kept in a snapshot and brought up to date from the log.
//!
//! Availability is folded from `agent.state`: what an agent asked for during a contact and had not yet got is lost with the process.

use std::collections::BTreeMap;
use std::sync::Arc;

use clock::Time;
use engine::api::{OpenContact, Start};
use engine::{AgentState, ContactId, Event, EventKind};
use serde::{Deserialize, Serialize};

type Name = Arc<str>;

/// The fold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Recovery {
    sequence: u64,
    last: Time,
    open: BTreeMap<ContactId, OpenContact>,
    agents: BTreeMap<Name, Agent>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Agent {
    state: AgentState,
    since: Time,
    asked: acd::Availability,
}

impl Recovery {
    /// Of the last event applied.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Applies an event; one that is known already changes nothing.
    pub fn apply(&mut self, event: &Event) {
        if event.sequence <= self.sequence {
            return;
        }
        self.sequence = event.sequence;
        self.last = self.last.max(event.at);
        match &event.kind {
            EventKind::ContactArrived {
                contact,
                direction,
                entry,
                ..
            } => {
                let open = OpenContact {
                    contact: contact.clone(),
                    direction: *direction,
                    visit: None,
                    agent: None,
                    arrived: event.at,
                    answered: None,
                    entered_ivr: entry.starts_with("flow:"),
                    customers: Vec::new(),
                };
                self.open.insert(contact.clone(), open);
            }
            EventKind::ContactClosed { contact, .. } => {
                self.open.remove(contact);
            }
            EventKind::AgentState {
                agent,
                state,
                reason,
                ..
            } => self.agent(event.at, agent, *state, reason.as_ref()),
            other => self.contact(event.at, other),
        }
    }

    fn contact(&mut self, at: Time, kind: &EventKind) {
        match kind {
            EventKind::ContactIdentified {
                contact, customers, ..
            } => self.change(contact, |open| open.customers = customers.clone()),
            EventKind::ContactQueued {
                contact,
                queue,
                visit,
                ..
            } => self.change(contact, |open| {
                open.visit = Some((queue.clone(), *visit, at));
                open.agent = None;
            }),
            EventKind::ContactAnswered { contact, agent, .. } => self.change(contact, |open| {
                open.visit = None;
                open.agent = Some(agent.clone());
                open.answered = open.answered.or(Some(at));
            }),
            EventKind::ContactAbandoned { contact, .. }
            | EventKind::ContactLeftQueue { contact, .. } => {
                self.change(contact, |open| open.visit = None)
            }
            EventKind::IvrStep { contact, .. } => {
                self.change(contact, |open| open.entered_ivr = true)
            }
            EventKind::NodeStarted { .. }
            | EventKind::ContactArrived { .. }
            | EventKind::ContactOffered { .. }
            | EventKind::ContactOfferEnded { .. }
            | EventKind::ContactHeld { .. }
            | EventKind::ContactResumed { .. }
            | EventKind::ContactTransferred { .. }
            | EventKind::ContactTransferFailed { .. }
            | EventKind::ContactJoined { .. }
            | EventKind::ContactLeft { .. }
            | EventKind::ContactDisposition { .. }
            | EventKind::ContactSurveyed { .. }
            | EventKind::ContactRecording { .. }
            | EventKind::RecordingSaved { .. }
            | EventKind::RecordingFailed { .. }
            | EventKind::ContactClosed { .. }
            | EventKind::AgentState { .. }
            | EventKind::QueueChanged { .. }
            | EventKind::ConfigApplied { .. }
            | EventKind::Audit { .. } => {}
        }
    }

    fn change(&mut self, contact: &ContactId, change: impl FnOnce(&mut OpenContact)) {
        if let Some(open) = self.open.get_mut(contact) {
            change(open);
        }
    }

    fn agent(&mut self, at: Time, id: &Name, state: AgentState, reason: Option<&Name>) {
        // A restart logs everybody out in the log; what they had asked for stands.
        let restarted =
            state == AgentState::LoggedOut && reason.is_some_and(|reason| &**reason == "restart");
        let asked = match state {
            AgentState::LoggedOut if restarted => None,
            AgentState::LoggedOut => Some(acd::Availability::LoggedOut),
            AgentState::NotReady => Some(acd::Availability::NotReady {
                reason: reason.cloned().unwrap_or_else(|| "unknown".into()),
            }),
            AgentState::Ready | AgentState::Unreachable | AgentState::Reserved => {
                Some(acd::Availability::Ready)
            }
            AgentState::Connected
            | AgentState::Held
            | AgentState::WrapUp
            | AgentState::Occupied => None,
        };
        let agent = self.agents.entry(id.clone()).or_insert(Agent {
            state,
            since: at,
            asked: acd::Availability::LoggedOut,
        });
        (agent.state, agent.since) = (state, at);
        if let Some(asked) = asked {
            agent.asked = asked;
        }
    }

    /// What the engine begins the run `boot` with.
    pub fn start(&self, boot: u64, last: Time) -> Start {
        Start {
            boot,
            next_sequence: self.sequence + 1,
            open: self.open.values().cloned().collect(),
            last_time: self.last.max(last),
            bindings: Vec::new(),
            agents: self
                .agents
                .iter()
                .filter(|(_, agent)| agent.asked != acd::Availability::LoggedOut)
                .map(|(id, agent)| (id.clone(), agent.asked.clone()))
                .collect(),
            agent_states: self
                .agents
                .iter()
                .map(|(id, agent)| (id.clone(), agent.state, agent.since))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(recovery: &mut Recovery, seconds: u64, kind: EventKind) {
        let event = Event {
            sequence: recovery.sequence() + 1,
            at: Time::from_secs(seconds),
            kind,
            person: None,
        };
        recovery.apply(&event);
    }

    fn state(agent: &str, state: AgentState, reason: Option<&str>) -> EventKind {
        EventKind::AgentState {
            agent: agent.into(),
            group: "all".into(),
            state,
            reason: reason.map(Into::into),
            contact: None,
            queue: None,
            until: None,
            was: AgentState::LoggedOut,
            was_ms: 0,
        }
    }

    #[test]
    fn what_was_open_and_what_agents_had_asked_for() {
        let mut recovery = Recovery::default();
        let contact = |n: u32| ContactId(format!("cb1-1-{n}").into());
        for n in 1..=2 {
            let kind = EventKind::ContactArrived {
                contact: contact(n),
                channel: "voice".into(),
                direction: engine::Direction::Inbound,
                entry: "queue:support".into(),
                trunk: None,
                by: None,
                ani: None,
                dnis: "2000".into(),
                withheld: false,
                signalling: None,
            };
            apply(&mut recovery, u64::from(n), kind);
            let kind = EventKind::ContactQueued {
                contact: contact(n),
                queue: "support".into(),
                visit: 1,
                skills: BTreeMap::new(),
                priority: 0,
                position: 1,
            };
            apply(&mut recovery, u64::from(n), kind);
        }
        apply(&mut recovery, 3, state("1001", AgentState::Ready, None));
        apply(&mut recovery, 4, state("1001", AgentState::Connected, None));
        apply(
            &mut recovery,
            4,
            state("1002", AgentState::NotReady, Some("lunch")),
        );
        let kind = EventKind::ContactAnswered {
            contact: contact(1),
            queue: Some("support".into()),
            visit: 1,
            agent: "1001".into(),
            group: "all".into(),
            wait_ms: 3000,
            rang_ms: 0,
            transferred: false,
        };
        apply(&mut recovery, 4, kind);

        let restored: Recovery =
            serde_json::from_slice(&serde_json::to_vec(&recovery).unwrap()).unwrap();
        assert_eq!(restored, recovery);
        let start = restored.start(2, Time::from_secs(9));
        assert_eq!(
            (start.boot, start.next_sequence, start.last_time),
            (2, recovery.sequence() + 1, Time::from_secs(9))
        );
        assert_eq!(start.open.len(), 2);
        assert_eq!(
            (start.open[0].visit.clone(), start.open[0].answered),
            (None, Some(Time::from_secs(4)))
        );
        assert_eq!(
            start.open[1].visit,
            Some(("support".into(), 1, Time::from_secs(2)))
        );
        let lunch = acd::Availability::NotReady {
            reason: "lunch".into(),
        };
        assert_eq!(
            start.agents,
            [
                ("1001".into(), acd::Availability::Ready),
                ("1002".into(), lunch)
            ]
        );

        apply(
            &mut recovery,
            9,
            state("1001", AgentState::LoggedOut, Some("restart")),
        );
        assert_eq!(
            recovery.start(3, Time::ZERO).agents[0],
            ("1001".into(), acd::Availability::Ready),
            "a restart is nobody's wish"
        );
        apply(&mut recovery, 9, state("1001", AgentState::LoggedOut, None));
        assert_eq!(recovery.start(3, Time::ZERO).agents.len(), 1);
    }
}
