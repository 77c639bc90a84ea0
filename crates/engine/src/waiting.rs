//! The queue: entering it, waiting with music and announcements, being turned away.

use clock::Time;

use crate::Engine;
use crate::contact::{Ask, LookUp, Stage, Visit};
use crate::event::{EventKind, Exit};
use crate::timers::Kind;

impl Engine {
    /// Into the queue: at once, or as soon as the caller has been told of recording, and it is known who calls.
    pub(crate) fn ask_for_queue(&mut self, now: Time, number: acd::ContactId, ask: Ask) {
        let Some(ask) = self.announce_recording(number, ask) else {
            return;
        };
        self.queue_up(now, number, ask);
    }

    /// At once, or as soon as it is known who calls.
    pub(crate) fn queue_up(&mut self, now: Time, number: acd::ContactId, ask: Ask) {
        let Some(contact) = self.contacts.get_mut(&number) else {
            return;
        };
        if let LookUp::Pending { late: false, .. } = contact.look_up {
            contact.stage = Stage::Identifying(ask);
        } else {
            self.enqueue(now, number, ask);
        }
    }

    /// Begins a visit.
    pub(crate) fn enqueue(&mut self, now: Time, number: acd::ContactId, ask: Ask) {
        let Some(contact) = self.contacts.get_mut(&number) else {
            return;
        };
        contact.visits += 1;
        let visit = Visit {
            queue: ask.queue.clone(),
            number: contact.visits,
            since: now,
        };
        contact.visit = Some(visit);
        contact.last_queue = Some(ask.queue.clone());
        contact.stage = Stage::Waiting;
        contact.playing = None;
        contact.speech = None;
        let (id, visit, class) = (contact.id.clone(), contact.visits, contact.class.clone());
        self.timers.clear(number, Kind::Ivr);
        let enqueue = acd::Enqueue {
            contact: number,
            queue: ask.queue.clone(),
            skills: ask.skills.clone(),
            preferred: ask.preferred.clone(),
            wanted: ask.wanted.clone(),
            priority: ask.priority,
            class,
            since: None,
        };
        let open = self.config.queues.get(&ask.queue);
        let open = open.is_none_or(|queue| queue.is_open(now));
        if open {
            self.tell_acd(now, acd::Input::Enqueue(enqueue));
        }
        // Reserved in the same step: it was first.
        let position = self.acd.position(number);
        let kind = EventKind::ContactQueued {
            contact: id,
            queue: ask.queue.clone(),
            visit,
            skills: ask.skills.clone(),
            priority: ask.priority,
            position: position.unwrap_or(1),
        };
        self.note(now, number, kind);
        if let Some(contact) = self.contacts.get_mut(&number) {
            contact.ask = ask.clone();
        }
        if !open {
            return self.refused(now, number, &ask.queue, false);
        }
        if position.is_some() {
            self.music(number);
            self.announce(now, number);
        }
    }

    /// Music to a caller who has been answered.
    pub(crate) fn music(&mut self, number: acd::ContactId) {
        let Some(contact) = self.contacts.get(&number) else {
            return;
        };
        let caller = contact.caller;
        let music = contact
            .visit
            .as_ref()
            .and_then(|visit| self.config.queues.get(&visit.queue))
            .map(|queue| queue.music.clone());
        if self.caller_is_up(number)
            && let Some(name) = music
        {
            self.set_source(caller, media::Source::Music { name });
        }
    }

    pub(crate) fn caller_is_up(&self, number: acd::ContactId) -> bool {
        use crate::contact::LegState;
        self.contacts
            .get(&number)
            .and_then(|contact| self.legs.get(&contact.caller))
            .is_some_and(|leg| matches!(leg.state, LegState::Answering | LegState::Up))
    }

    /// "You are number N", on entry and then as often as the queue says. A layer over the music: it blocks nothing.
    pub(crate) fn announce(&mut self, now: Time, number: acd::ContactId) {
        let Some(contact) = self.contacts.get(&number) else {
            return;
        };
        if !matches!(contact.stage, Stage::Waiting) || !self.caller_is_up(number) {
            return;
        }
        let Some(every) = contact
            .visit
            .as_ref()
            .and_then(|visit| self.config.queues.get(&visit.queue))
            .and_then(|queue| queue.announce_every)
        else {
            return;
        };
        let (caller, lang) = (contact.caller, contact.lang);
        if let Some(position) = self.acd.position(number) {
            let items = vec![
                media::Item::Prompt {
                    lang,
                    name: "queue/position_before".into(),
                },
                media::Item::Number {
                    lang,
                    value: position.into(),
                },
                media::Item::Prompt {
                    lang,
                    name: "queue/position_after".into(),
                },
            ];
            self.play(caller, items, false);
        }
        self.timers.set(number, Kind::Announce, now + every);
    }

    /// The contact is turned away: unknown queue, full, or closed.
    pub(crate) fn refused(
        &mut self,
        now: Time,
        number: acd::ContactId,
        queue: &std::sync::Arc<str>,
        known: bool,
    ) {
        // A queue that was removed serves those it has and is closed to others.
        let full = known && self.config.queues.contains_key(queue);
        let Some(target) = self.end_overflown_visit(now, number, queue, Exit::Rejected) else {
            return;
        };
        if let Some(target) = target
            && self.overflow_to(now, number, queue, &target)
        {
            return;
        }
        let (cause, word) = if full {
            ("queue_full", "full")
        } else {
            ("queue_closed", "closed")
        };
        if let Some(contact) = self.contacts.get_mut(&number) {
            contact.refused = Some(cause);
        }
        if !self.return_to_flow(now, number, word) {
            self.turn_away(now, number, 486, "Queue full");
            self.close(now, number, cause);
        }
    }
}
