//! Two legs that talk: the bridge, hold and resume, and dead media.

use bytes::Bytes;
use clock::Time;
use sip::LegId;
use sip::sdp;

use crate::Engine;
use crate::contact::{Hold, Stage};
use crate::event::{AgentState, EventKind};
use crate::journal::millis;
use crate::legs::stream;

impl Engine {
    /// Connects two streams of one plane; music and prompts give way.
    pub(crate) fn bridge(&mut self, a: LegId, b: LegId) {
        self.media(
            a,
            media::Command::Bridge {
                a: stream(a),
                b: stream(b),
            },
        );
    }

    /// A re-INVITE or UPDATE: new media, hold, resume.
    pub(crate) fn reoffered(&mut self, now: Time, leg: LegId, sdp: Option<Bytes>) {
        let Some(record) = self.legs.get_mut(&leg) else {
            return;
        };
        record.awaits_answer = sdp.is_none();
        record.offer = sdp;
        if let Err(status) = self.prepare_answer(leg) {
            return self.tell_sip(now, sip::Command::RejectReoffer { leg, status });
        }
        let Some(record) = self.legs.get(&leg) else {
            return;
        };
        let held = is_held(record);
        let (answer, number, awaits) = (record.local.clone(), record.contact, record.awaits_answer);
        if let Some(sdp) = answer {
            self.tell_sip(now, sip::Command::AcceptReoffer { leg, sdp });
        }
        if let Some(number) = number
            && !awaits
        {
            self.hold_changed(now, number, leg, held);
        }
    }

    pub(crate) fn hold_changed(
        &mut self,
        now: Time,
        number: acd::ContactId,
        leg: LegId,
        held: bool,
    ) {
        let Some(contact) = self.contacts.get_mut(&number) else {
            return;
        };
        let (caller, id) = (contact.caller, contact.id.clone());
        let Stage::Talking(talk) = &mut contact.stage else {
            return;
        };
        let (agent, other, queue) = (
            talk.agent.clone(),
            if leg == caller { talk.leg } else { caller },
            talk.queue.clone(),
        );
        let by: std::sync::Arc<str> = if leg == caller {
            "caller".into()
        } else {
            agent.clone()
        };
        match (held, talk.hold.clone()) {
            (true, None) => {
                talk.hold = Some(Hold {
                    by: leg,
                    since: now,
                });
                self.note(
                    now,
                    number,
                    EventKind::ContactHeld {
                        contact: id,
                        agent: Some(agent.clone()),
                        by,
                    },
                );
                self.agent_hold(now, number, agent, queue.clone(), AgentState::Held);
                let name = queue
                    .and_then(|queue| self.config.queues.get(&queue))
                    .map_or_else(|| "default".into(), |queue| queue.music.clone());
                self.set_source(leg, media::Source::Silence);
                self.set_source(other, media::Source::Music { name });
            }
            (false, Some(hold)) if hold.by == leg => {
                talk.hold = None;
                let held_ms = millis(now - hold.since);
                contact.hold_ms += held_ms;
                self.note(
                    now,
                    number,
                    EventKind::ContactResumed {
                        contact: id,
                        agent: Some(agent.clone()),
                        by,
                        held_ms,
                    },
                );
                self.agent_hold(now, number, agent, queue, AgentState::Connected);
                self.bridge(caller, if leg == caller { other } else { leg });
            }
            _ => {}
        }
    }

    /// Only work items of the distributor have hold as a state of the agent.
    fn agent_hold(
        &mut self,
        now: Time,
        number: acd::ContactId,
        agent: std::sync::Arc<str>,
        queue: Option<std::sync::Arc<str>>,
        state: AgentState,
    ) {
        if queue.is_some() {
            self.note_agent(now, agent, state, None, Some(number), queue, None);
        }
    }

    /// No packet for the media time-out: a call that is dead though nobody said so.
    pub(crate) fn starved(&mut self, now: Time, leg: LegId) {
        let Some(number) = self.legs.get(&leg).and_then(|leg| leg.contact) else {
            return;
        };
        if let Some(Stage::Talking(talk)) = self.contacts.get(&number).map(|contact| &contact.stage)
            && talk.hold.is_none()
        {
            self.close(now, number, "media_timeout");
        }
    }
}

/// The far end wants to hear nothing from us: a hold (RFC 3264 section 8.4), directions seen from us.
pub(crate) fn is_held(leg: &crate::contact::Leg) -> bool {
    leg.negotiated.as_ref().is_some_and(|media| {
        matches!(
            media.direction,
            sdp::Direction::RecvOnly | sdp::Direction::Inactive
        )
    })
}
