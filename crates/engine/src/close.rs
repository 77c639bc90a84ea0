//! The end of a contact: whoever ended it, every leg, agent and number is settled here and nowhere else.

use std::sync::Arc;
use std::time::Duration;

use clock::Time;
use sip::{Cause, LegId};

use crate::Engine;
use crate::contact::{Contact, LegState, Offer, Stage, Talk};
use crate::event::{EventKind, Exit, Outcome, Stage as AbandonStage};
use crate::journal::millis;

type Name = Arc<str>;

impl Engine {
    /// A leg is over.
    pub(crate) fn gone(&mut self, now: Time, leg: LegId, cause: Cause) {
        let number = self.legs.get(&leg).and_then(|leg| leg.contact);
        self.code_gone(now, leg);
        self.drop_leg(leg);
        let Some(number) = number else { return };
        let Some(contact) = self.contacts.get(&number) else {
            return;
        };
        if contact.caller == leg {
            return self.close(now, number, caller_word(&cause));
        }
        if self.supervisor_gone(now, number, leg)
            || self.conference_leg_gone(now, number, leg, &cause)
            || self.consult_leg_gone(now, number, leg)
            || self.transfer_leg_gone(now, number, leg, &cause)
        {
            return;
        }
        let Some(contact) = self.contacts.get(&number) else {
            return;
        };
        match &contact.stage {
            Stage::Ringing(offer) if offer.leg == Some(leg) => {
                let offer = offer.clone();
                self.offer_leg_gone(now, number, &offer, &cause);
            }
            Stage::Direct { leg: direct, .. } if *direct == leg => {
                self.direct_leg_gone(now, number, &cause)
            }
            Stage::Outside { leg: outside, .. } if *outside == leg => {
                self.outside_gone(now, number, &cause)
            }
            Stage::Talking(talk) if talk.leg == leg => {
                if cause == Cause::Bye && self.begin_survey(now, number) {
                    return;
                }
                self.close(
                    now,
                    number,
                    if cause == Cause::Bye {
                        "agent_bye"
                    } else {
                        "agent_lost"
                    },
                );
            }
            _ => {}
        }
    }

    /// Ends a leg from our side and forgets its part in the contact; the record stays until it is gone.
    pub(crate) fn end_leg(&mut self, now: Time, leg: LegId, reason: Option<&str>) {
        if !self.legs.contains_key(&leg) {
            return;
        }
        self.close_stream(leg);
        if let Some(record) = self.legs.get_mut(&leg) {
            if let Some(contact) = record.contact.take() {
                self.ladders.leaves(leg, contact);
            }
            record.port = None;
            record.state = LegState::Ending;
        }
        self.tell_sip(
            now,
            sip::Command::Hangup {
                leg,
                reason: reason.map(str::to_owned),
            },
        );
    }

    /// Ends a contact. `cause` is a fixed word; those that begin with `caller_` say that the caller left.
    pub(crate) fn close(&mut self, now: Time, number: acd::ContactId, cause: &'static str) {
        let Some(mut contact) = self.contacts.remove(&number) else {
            return;
        };
        self.timers.clear_all(number);
        // A survey serves the centre, not the caller.
        contact.goal |= contact.surveyed.is_none()
            && contact
                .session
                .as_ref()
                .is_some_and(|session| session.goal());
        let caller_left = cause.starts_with("caller_");
        let stage = std::mem::replace(&mut contact.stage, Stage::Greeting);
        self.end_supervisions(now, number, &mut contact);
        self.end_conference(now, number, &mut contact);
        let outcome = match stage {
            Stage::Greeting | Stage::Ivr => self.close_in_flow(now, &contact, caller_left),
            Stage::Identifying(_) | Stage::Announcing { .. } => {
                self.left_early(now, &contact, AbandonStage::Queue, caller_left)
            }
            Stage::Waiting => self.close_in_queue(now, number, &mut contact, cause, caller_left),
            Stage::Popping(offer) | Stage::Ringing(offer) => {
                self.close_in_ring(now, number, &mut contact, &offer, caller_left)
            }
            Stage::Direct { agent, leg, .. } => {
                self.end_leg(now, leg, None);
                self.tell_acd(
                    now,
                    acd::Input::Vacate {
                        agent,
                        call: number,
                    },
                );
                if caller_left {
                    self.left_early(now, &contact, AbandonStage::Ring, true)
                } else {
                    Outcome::NoAgent
                }
            }
            Stage::Outside { leg, answered, .. } => {
                self.end_leg(now, leg, None);
                match (answered, caller_left) {
                    (true, _) => Outcome::Overflowed,
                    (false, true) => self.left_early(now, &contact, AbandonStage::Ring, true),
                    (false, false) => Outcome::NoAgent,
                }
            }
            Stage::Talking(talk) => self.close_in_talk(now, number, &mut contact, talk),
            Stage::Transferring { transfer, hold } => {
                contact.hold_ms += millis(now - hold.since);
                self.give_up_transfer(now, number, &transfer);
                Outcome::Answered
            }
            Stage::Testing => Outcome::SelfServed,
            Stage::Refusing { .. } => Outcome::RejectedClosed,
        };
        // A flow that says goodbye after a queue was full has not been abandoned: the queue turned the caller away.
        let cause = match (cause, contact.refused) {
            ("flow_end", Some(refused)) if !contact.goal => refused,
            _ => cause,
        };
        let outcome = match cause {
            // Somebody spoke to this caller: what came after, in the flow or again in a queue, does not unmake that.
            _ if contact.answered_agent.is_some() => Outcome::Answered,
            "queue_full" => Outcome::RejectedFull,
            "queue_closed" => Outcome::RejectedClosed,
            "extension_failed" | "outside_failed" | "max_wait" | "no_skill"
            | "nobody_logged_in" | "all_on_break" => Outcome::NoAgent,
            "max_call" | "drain" | "no_flow" | "no_common_codec" | "supervisor" => {
                Outcome::SystemError
            }
            _ => outcome,
        };
        if let Some(agent) = contact.by.clone() {
            self.tell_acd(
                now,
                acd::Input::Vacate {
                    agent,
                    call: number,
                },
            );
        }
        // A consultation's caller is the leg of the agent who consults, and stays with that contact.
        let own = |leg: &crate::contact::Leg| leg.contact == Some(number);
        if self.legs.get(&contact.caller).is_some_and(own) {
            self.end_leg(now, contact.caller, None);
        }
        self.consult_closed(number, &contact);
        self.closed(now, number, contact, outcome, cause);
    }

    /// The contact's last event.
    pub(crate) fn note_closed(
        &mut self,
        now: Time,
        contact: Contact,
        outcome: Outcome,
        cause: Name,
        duration: Duration,
    ) {
        let kind = EventKind::ContactClosed {
            contact: contact.id,
            outcome,
            direction: contact.direction,
            queue: contact.last_queue,
            agent: contact.answered_agent,
            entered_ivr: contact.entered_ivr,
            goal: contact.goal,
            wait_ms: contact.wait_ms,
            talk_ms: contact.talk_ms,
            hold_ms: contact.hold_ms,
            duration_ms: millis(duration),
            customers: contact
                .look_up
                .pop()
                .map(|pop| {
                    pop.customers
                        .iter()
                        .map(|customer| customer.id.clone())
                        .collect()
                })
                .unwrap_or_default(),
            cause,
            cause_detail: contact.cause_detail.map(String::from),
            quality: contact.quality,
        };
        self.journal.event(now, Some(&contact.person), kind);
    }

    /// The end of a call that was in no queue yet, or in none at all.
    fn left_early(
        &mut self,
        now: Time,
        contact: &Contact,
        stage: AbandonStage,
        caller_left: bool,
    ) -> Outcome {
        if !caller_left {
            return Outcome::SystemError;
        }
        let kind = EventKind::ContactAbandoned {
            contact: contact.id.clone(),
            queue: None,
            visit: 0,
            stage,
            wait_ms: millis(now - contact.arrived),
            short: false,
        };
        self.journal.event(now, Some(&contact.person), kind);
        match stage {
            AbandonStage::Ring => Outcome::AbandonedInRing,
            AbandonStage::Queue | AbandonStage::Ivr => Outcome::AbandonedInQueue,
        }
    }

    fn close_in_flow(&mut self, now: Time, contact: &Contact, caller_left: bool) -> Outcome {
        if contact.goal {
            return Outcome::SelfServed;
        }
        if caller_left && contact.answered_agent.is_none() {
            let kind = EventKind::ContactAbandoned {
                contact: contact.id.clone(),
                queue: None,
                visit: 0,
                stage: AbandonStage::Ivr,
                wait_ms: 0,
                short: false,
            };
            self.journal.event(now, Some(&contact.person), kind);
        }
        Outcome::AbandonedInIvr
    }

    fn close_in_queue(
        &mut self,
        now: Time,
        number: acd::ContactId,
        contact: &mut Contact,
        cause: &str,
        caller_left: bool,
    ) -> Outcome {
        let why = if caller_left {
            acd::Withdrawal::CallerGone
        } else {
            acd::Withdrawal::Moved
        };
        self.tell_acd(
            now,
            acd::Input::Withdraw {
                contact: number,
                why,
            },
        );
        // A refused visit has been ended already.
        if contact.visit.is_none() {
            return if cause == "queue_full" {
                Outcome::RejectedFull
            } else {
                Outcome::RejectedClosed
            };
        }
        self.end_visit(now, contact, AbandonStage::Queue, caller_left)
    }

    fn close_in_ring(
        &mut self,
        now: Time,
        number: acd::ContactId,
        contact: &mut Contact,
        offer: &Offer,
        caller_left: bool,
    ) -> Outcome {
        let kind = EventKind::ContactOfferEnded {
            contact: contact.id.clone(),
            queue: offer.queue.clone(),
            visit: contact.visits,
            offer: offer.number,
            agent: offer.agent.clone(),
            group: self.group_of(&offer.agent),
            reason: if caller_left {
                acd::OfferEnd::CallerGone
            } else {
                acd::OfferEnd::Moved
            },
            rang_ms: millis(now - offer.reserved),
            requeued: false,
        };
        self.journal.event(now, Some(&contact.person), kind);
        let why = if caller_left {
            acd::Withdrawal::CallerGone
        } else {
            acd::Withdrawal::Moved
        };
        self.tell_acd(
            now,
            acd::Input::Withdraw {
                contact: number,
                why,
            },
        );
        if let Some(leg) = offer.leg {
            self.end_leg(now, leg, None);
        }
        self.end_visit(now, contact, AbandonStage::Ring, caller_left)
    }

    /// A visit's last event: abandoned, or broken off by us.
    fn end_visit(
        &mut self,
        now: Time,
        contact: &mut Contact,
        stage: AbandonStage,
        caller_left: bool,
    ) -> Outcome {
        let Some(visit) = contact.visit.take() else {
            return Outcome::SystemError;
        };
        let wait = now - visit.since;
        let wait_ms = millis(wait);
        contact.wait_ms += wait_ms;
        let id = contact.id.clone();
        let (kind, outcome) = if caller_left {
            let short = self
                .config
                .queues
                .get(&visit.queue)
                .is_some_and(|queue| wait < queue.short_abandon);
            let outcome = match stage {
                AbandonStage::Ring => Outcome::AbandonedInRing,
                AbandonStage::Queue | AbandonStage::Ivr => Outcome::AbandonedInQueue,
            };
            let kind = EventKind::ContactAbandoned {
                contact: id,
                queue: Some(visit.queue),
                visit: visit.number,
                stage,
                wait_ms,
                short,
            };
            (kind, outcome)
        } else {
            let kind = EventKind::ContactLeftQueue {
                contact: id,
                queue: visit.queue,
                visit: visit.number,
                // An agent who consults may think better of it.
                exit: match contact.consults_for {
                    Some(_) => Exit::LeftByChoice,
                    None => Exit::SystemError,
                },
                wait_ms,
            };
            (kind, Outcome::SystemError)
        };
        self.journal.event(now, Some(&contact.person), kind);
        outcome
    }

    fn close_in_talk(
        &mut self,
        now: Time,
        number: acd::ContactId,
        contact: &mut Contact,
        talk: Talk,
    ) -> Outcome {
        crate::hold::book_talk(contact, &talk, now);
        contact.hold_ms += talk
            .hold
            .as_ref()
            .map_or(0, |hold| millis(now - hold.since));
        if !self.consult_goes_on(&talk) {
            self.end_leg(now, talk.leg, None);
        }
        if let Some(transfer) = &talk.transfer {
            self.give_up_transfer(now, number, transfer);
        }
        let input = match talk.queue {
            Some(_) => {
                self.note_work(number, contact, &talk.agent);
                acd::Input::Finished {
                    contact: number,
                    agent: talk.agent,
                    wrap_up: true,
                }
            }
            None => acd::Input::Vacate {
                agent: talk.agent,
                call: number,
            },
        };
        self.tell_acd(now, input);
        Outcome::Answered
    }
}

fn caller_word(cause: &Cause) -> &'static str {
    match cause {
        Cause::Bye => "caller_bye",
        Cause::Cancelled => "caller_cancel",
        Cause::Lost => "caller_lost",
        Cause::HungUp
        | Cause::Rejected { .. }
        | Cause::NotRegistered
        | Cause::NoResponse
        | Cause::Unreachable => "caller_failed",
    }
}
