//! Where callers go who may wait in a queue no longer, or not at all: another queue, a flow, an extension, back to their flow, or out.

use std::sync::Arc;

use clock::Time;

use crate::Engine;
use crate::api::Route;
use crate::contact::Ask;
use crate::event::{EventKind, Exit};
use crate::journal::millis;
use crate::outbound::Destination;
use crate::timers::Kind;

type Name = Arc<str>;

/// Queues that one contact may overflow from: `check` finds circles, and transfers could still make one.
const OVERFLOWS_MAX: u32 = 8;

/// Why the contact ended, in one word.
fn cause(why: acd::Left) -> &'static str {
    match why {
        acd::Left::MaxWait => "max_wait",
        acd::Left::NoSkill => "no_skill",
        acd::Left::NobodyLoggedIn => "nobody_logged_in",
        acd::Left::AllOnBreak => "all_on_break",
    }
}

impl Engine {
    /// The distributor gave the contact up: it waited too long, or for nobody.
    pub(crate) fn left_queue(
        &mut self,
        now: Time,
        number: acd::ContactId,
        queue: &Name,
        why: acd::Left,
    ) {
        let Some(target) = self.end_overflown_visit(now, number, queue, Exit::NoAgent) else {
            return;
        };
        if let Some(target) = target
            && self.overflow_to(now, number, queue, &target)
        {
            return;
        }
        if !self.return_to_flow(now, number, "no_agent") {
            self.turn_away(now, number, 480, "Nobody available");
            self.close(now, number, cause(why));
        }
    }

    /// Ends the visit of a contact that its queue does not keep: as overflowed where there is a place to go, else with this exit.
    /// `None`: there was no visit.
    pub(crate) fn end_overflown_visit(
        &mut self,
        now: Time,
        number: acd::ContactId,
        queue: &Name,
        otherwise: Exit,
    ) -> Option<Option<Name>> {
        let service = self.config.queues.get(queue);
        let target = service.and_then(|service| service.overflow.clone());
        let contact = self.contacts.get_mut(&number)?;
        let visit = contact.visit.take()?;
        let target = target.filter(|_| contact.overflows < OVERFLOWS_MAX);
        contact.overflows += u32::from(target.is_some());
        let wait_ms = millis(now - visit.since);
        contact.wait_ms += wait_ms;
        let kind = EventKind::ContactLeftQueue {
            contact: contact.id.clone(),
            queue: queue.clone(),
            visit: visit.number,
            exit: target.as_ref().map_or(otherwise, |_| Exit::Overflowed),
            wait_ms,
        };
        self.timers.clear(number, Kind::Announce);
        self.note(now, number, kind);
        Some(target)
    }

    /// Sends a contact to where its queue overflows. False when there is no such place.
    pub(crate) fn overflow_to(
        &mut self,
        now: Time,
        number: acd::ContactId,
        queue: &Name,
        target: &Name,
    ) -> bool {
        let Some(contact) = self.contacts.get(&number) else {
            return false;
        };
        let (caller, classes) = (contact.caller, contact.may_call.clone());
        let destination = match self.named(target) {
            Some(route) => Destination::Inside(route),
            None => match self.destination(target, &classes) {
                Ok(destination) => destination,
                Err(_) => return false,
            },
        };
        let kind = EventKind::ContactTransferred {
            contact: contact.id.clone(),
            kind: "overflow".into(),
            from: Some(format!("queue:{queue}").into()),
            to: match &destination {
                Destination::Inside(_) => target.clone(),
                // A number outside is a person's: the log names its class.
                Destination::Outside(outside) => format!("outside:{}", outside.class).into(),
            },
            consult: None,
            referred_by: None,
        };
        self.note(now, number, kind);
        match destination {
            Destination::Outside(outside) => self.call_outside(now, number, &outside),
            Destination::Inside(Route::Agent(agent)) => self.call_extension(now, number, agent),
            Destination::Inside(Route::Queue(queue)) => {
                let ask = Ask {
                    queue,
                    ..self.last_ask(number)
                };
                self.ask_for_queue(now, number, ask);
            }
            Destination::Inside(Route::Flow(flow)) => {
                self.set_source(caller, media::Source::Silence);
                self.enter_flow(now, number, &flow);
                self.begin_flow(now, number);
            }
            Destination::Inside(Route::Echo | Route::Tone { .. }) => return false,
        }
        true
    }

    /// What the contact wanted of its last queue.
    fn last_ask(&self, number: acd::ContactId) -> Ask {
        let contact = self.contacts.get(&number);
        contact.map_or_else(Ask::default, |contact| contact.ask.clone())
    }

    /// A caller who has not been answered gets a response that says why; one who has, the BYE that follows.
    pub(crate) fn turn_away(
        &mut self,
        now: Time,
        number: acd::ContactId,
        status: u16,
        reason: &str,
    ) {
        if let Some(leg) = self.contacts.get(&number).map(|contact| contact.caller) {
            self.tell_sip(
                now,
                sip::Command::Reject {
                    leg,
                    status,
                    reason: Some(reason.into()),
                    headers: vec![],
                },
            );
        }
    }
}
