//! Where callers go in flows, how long they stay, and where they hang up: a fold of `ivr.step` and of what takes a caller out of a flow.

use std::collections::BTreeMap;
use std::sync::Arc;

use clock::Time;
use engine::event::{ContactId, Event, EventKind, Stage};

type Name = Arc<str>;

/// One state of one flow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateTotals {
    pub verb: Name,
    pub entered: u64,
    /// Callers who hung up there without having got what they called for.
    pub dropped: u64,
    pub stay_ms: u64,
    /// By which ways they came: `key 1`, `on_timeout`; a beginning is `start`.
    pub ways: BTreeMap<Name, u64>,
}

/// Apply every event once and in order, from the first of a contact on.
#[derive(Clone, Debug, Default)]
pub struct Paths {
    /// By flow and state.
    pub states: BTreeMap<(Name, Name), StateTotals>,
    /// Where the callers are who are in a flow, and since when: no more than there are calls.
    inside: BTreeMap<ContactId, ((Name, Name), Time)>,
}

impl Paths {
    pub fn apply(&mut self, event: &Event) {
        match &event.kind {
            EventKind::IvrStep {
                contact,
                flow,
                state,
                verb,
                via,
                ..
            } => {
                self.leave(contact, event.at);
                let place = (flow.clone(), state.clone());
                let totals = self.states.entry(place.clone()).or_default();
                totals.verb = verb.clone();
                totals.entered += 1;
                let way = via.clone().unwrap_or_else(|| "start".into());
                *totals.ways.entry(way).or_default() += 1;
                self.inside.insert(contact.clone(), (place, event.at));
            }
            EventKind::ContactAbandoned {
                contact,
                stage: Stage::Ivr,
                ..
            } => {
                if let Some(place) = self.leave(contact, event.at) {
                    self.states.entry(place).or_default().dropped += 1;
                }
            }
            EventKind::ContactQueued { contact, .. }
            | EventKind::ContactTransferred { contact, .. }
            | EventKind::ContactClosed { contact, .. } => drop(self.leave(contact, event.at)),
            _ => {}
        }
    }

    fn leave(&mut self, contact: &ContactId, at: Time) -> Option<(Name, Name)> {
        let (place, since) = self.inside.remove(contact)?;
        let totals = self.states.entry(place.clone()).or_default();
        totals.stay_ms += u64::try_from((at - since).as_millis()).unwrap_or(u64::MAX);
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(seconds: u64, kind: EventKind) -> Event {
        Event {
            sequence: 1,
            at: Time::from_secs(seconds),
            person: None,
            kind,
        }
    }

    fn step(contact: &str, state: &str, via: Option<&str>) -> EventKind {
        EventKind::IvrStep {
            contact: ContactId(contact.into()),
            flow: "main".into(),
            state: state.into(),
            verb: "menu".into(),
            input: None,
            via: via.map(Into::into),
        }
    }

    #[test]
    fn who_hangs_up_drops_out_where_they_were() {
        let mut paths = Paths::default();
        for (at, kind) in [
            (0, step("a", "hello", None)),
            (2, step("a", "menu", Some("next"))),
            (3, step("b", "hello", None)),
            (
                8,
                EventKind::ContactAbandoned {
                    contact: ContactId("a".into()),
                    queue: None,
                    visit: 0,
                    stage: Stage::Ivr,
                    wait_ms: 0,
                    short: false,
                },
            ),
            (9, step("b", "menu", Some("next"))),
            (10, step("b", "person", Some("key 1"))),
        ] {
            paths.apply(&event(at, kind));
        }
        let state = |name: &str| &paths.states[&("main".into(), name.into())];
        assert_eq!((state("hello").entered, state("hello").dropped), (2, 0));
        assert_eq!(state("hello").stay_ms, 8_000);
        assert_eq!((state("menu").entered, state("menu").dropped), (2, 1));
        assert_eq!(state("menu").stay_ms, 7_000);
        assert_eq!(state("person").ways, [("key 1".into(), 1)].into());
    }
}
