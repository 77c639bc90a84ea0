//! What comes from outside the telephone: commands, configuration, drain, and the start of a run.

use std::sync::Arc;
use std::time::Duration;

use clock::Time;

use crate::Engine;
use crate::api::{
    Answer, AuditNote, Command, Config, OpenContact, Output, Refusal, Reply, Start, Token,
};
use crate::event::{AgentState, ContactId, EventKind, Exit, Outcome};
use crate::journal::millis;
use crate::timers::Kind;

type Name = Arc<str>;

/// Owner of the drain's deadline: no contact has this number.
const NOBODY: acd::ContactId = acd::ContactId(u64::MAX);

impl Engine {
    pub(crate) fn command(&mut self, now: Time, token: Token, command: Command) {
        let result = match command {
            Command::SetAgentState {
                by,
                agent,
                availability,
            } => self.set_agent_state(now, by, agent, availability),
            Command::EndWrapUp { by, agent } => self.known_agent(&agent).map(|()| {
                self.audit(now, &by, "end_wrap_up", &agent, None);
                self.tell_acd(now, acd::Input::EndWrapUp { agent });
                Answer::Done
            }),
            Command::Hangup { by, contact } => self.open_contact(&contact).map(|number| {
                self.audit(now, &by, "hangup", &contact.0, None);
                self.close(now, number, "supervisor");
                Answer::Done
            }),
            Command::Contact { by, contact, verb } => self.verb(now, by, &contact, verb),
            Command::Why { contact } => self.why(&contact),
            Command::WhyIdle { agent } => self
                .acd
                .why_idle(&agent)
                .map(|idle| Answer::WhyIdle(Box::new(idle)))
                .ok_or_else(|| Refusal::NotFound(format!("{agent} takes no contacts of queues"))),
            Command::ExtendWrapUp { by, agent, more } => self.extend_wrap_up(now, by, agent, more),
            Command::Ladder { contact } => self.ladder(&contact),
            Command::Audit(note) => {
                self.note_audit(now, note);
                Ok(Answer::Done)
            }
        };
        // The reply names the last event that the command caused, so everything that follows from it is settled first.
        self.settle(now);
        self.journal.put(Output::Reply(Reply {
            token,
            after: self.journal.last_sequence(),
            result,
        }));
    }

    /// Why a contact went where it went, and why it waits.
    fn why(&self, contact: &ContactId) -> Result<Answer, Refusal> {
        let number = self.journal.contact_number(contact);
        let decisions = number.and_then(|number| self.memory.why(number));
        let waiting = number.and_then(|number| self.acd.why_waiting(number));
        if decisions.is_none() && waiting.is_none() {
            return Err(Refusal::NotFound(format!(
                "no routing decision is remembered for contact {contact}"
            )));
        }
        Ok(Answer::Why {
            decisions: decisions.unwrap_or_default(),
            waiting: waiting.map(Box::new),
        })
    }

    fn extend_wrap_up(
        &mut self,
        now: Time,
        by: Name,
        agent: Name,
        more: Duration,
    ) -> Result<Answer, Refusal> {
        self.known_agent(&agent)?;
        if !matches!(self.acd.state(&agent), Some(acd::State::WrapUp { .. })) {
            return Err(Refusal::Conflict(format!(
                "{agent} is not in after-call work"
            )));
        }
        if by != agent {
            let detail = format!("{} s", more.as_secs());
            self.audit(now, &by, "extend_wrap_up", &agent, Some(detail));
        }
        self.tell_acd(now, acd::Input::ExtendWrapUp { agent, by: more });
        Ok(Answer::Done)
    }

    /// What was on the wire for a contact.
    fn ladder(&self, contact: &ContactId) -> Result<Answer, Refusal> {
        let present = |leg| self.legs.get(&leg).and_then(|leg| leg.contact);
        let number = self.journal.contact_number(contact);
        let messages = number.map_or_else(Vec::new, |number| self.ladders.of(number, present));
        if messages.is_empty() {
            return Err(Refusal::NotFound(format!(
                "no SIP message is remembered for contact {contact}"
            )));
        }
        Ok(Answer::Ladder(messages))
    }

    fn known_agent(&self, agent: &str) -> Result<(), Refusal> {
        if self.config.agents.contains_key(agent) {
            Ok(())
        } else {
            Err(Refusal::NotFound(format!("there is no agent {agent}")))
        }
    }

    pub(crate) fn open_contact(&self, contact: &ContactId) -> Result<acd::ContactId, Refusal> {
        self.journal
            .contact_number(contact)
            .filter(|number| self.contacts.contains_key(number))
            .ok_or_else(|| Refusal::NotFound(format!("there is no open contact {contact}")))
    }

    fn set_agent_state(
        &mut self,
        now: Time,
        by: Name,
        agent: Name,
        availability: acd::Availability,
    ) -> Result<Answer, Refusal> {
        self.known_agent(&agent)?;
        if by != agent {
            let detail = match &availability {
                acd::Availability::LoggedOut => "logged_out".to_owned(),
                acd::Availability::NotReady { reason } => format!("not_ready {reason}"),
                acd::Availability::Ready => "ready".to_owned(),
            };
            self.audit(now, &by, "agent_state", &agent, Some(detail));
        }
        self.tell_acd(
            now,
            acd::Input::Availability {
                agent,
                availability,
            },
        );
        Ok(Answer::Done)
    }

    pub(crate) fn note_audit(&mut self, now: Time, note: AuditNote) {
        let AuditNote {
            by,
            action,
            subject,
            detail,
        } = note;
        self.audit(now, &by, &action, &subject, detail);
    }

    pub(crate) fn audit(
        &mut self,
        now: Time,
        by: &Name,
        action: &str,
        subject: &str,
        detail: Option<String>,
    ) {
        self.journal.event(
            now,
            None,
            EventKind::Audit {
                by: by.clone(),
                action: action.into(),
                subject: subject.into(),
                detail,
            },
        );
    }

    /// A checked configuration takes effect in one step; places, states and calls stay.
    pub(crate) fn configure(
        &mut self,
        now: Time,
        config: Arc<Config>,
        by: Name,
        summary: Vec<String>,
    ) {
        let before = std::mem::replace(&mut self.config, config.clone());
        self.sip
            .handle(now, sip::Input::Configure(Arc::new(config.sip.clone())));
        self.tell_acd(
            now,
            acd::Input::Configure {
                config: config.acd.clone(),
            },
        );
        self.journal
            .event(now, None, EventKind::ConfigApplied { by, summary });
        for (name, queue) in &config.queues {
            match before.queues.get(name) {
                None => self.queue_changed(now, name, "added"),
                Some(old) if old != queue => self.queue_changed(now, name, "changed"),
                Some(_) => {}
            }
        }
        for (name, queue) in before
            .queues
            .iter()
            .filter(|(name, _)| !config.queues.contains_key(*name))
        {
            self.journal
                .event(now, None, queue_event(name, "removed", queue));
        }
    }

    fn queue_changed(&mut self, now: Time, name: &Name, change: &str) {
        if let Some(queue) = self.config.queues.get(name) {
            let kind = queue_event(name, change, queue);
            self.journal.event(now, None, kind);
        }
    }

    /// No new calls; calls in progress may finish.
    pub(crate) fn drain(&mut self, now: Time, within: Duration) {
        self.draining = true;
        self.timers.set(NOBODY, Kind::Drain, now + within);
        self.drained_check();
    }

    pub(crate) fn drain_over(&mut self, now: Time) {
        let mut open: Vec<acd::ContactId> = self.contacts.keys().copied().collect();
        open.sort_unstable();
        for number in open {
            self.close(now, number, "drain");
        }
        self.drained_check();
    }

    pub(crate) fn drained_check(&mut self) {
        if self.draining && self.contacts.is_empty() && self.qualities.is_empty() {
            self.journal.put(Output::Drained);
        }
    }

    /// Begins a run: what the last one left open is closed as of its last sign of life.
    pub(crate) fn start(&mut self, now: Time, start: Start) {
        self.journal.start(start.boot, start.next_sequence);
        let (node, version) = (self.config.node.clone(), self.config.version.clone());
        self.journal.event(
            now,
            None,
            EventKind::NodeStarted {
                node,
                boot: start.boot,
                version,
            },
        );
        self.sip.start(now);
        for open in start.open {
            self.close_left_open(start.last_time, open);
        }
        for (agent, state, since) in start.agent_states {
            if state != AgentState::LoggedOut {
                self.journal.turn(since, &agent, state);
                self.note_agent(
                    start.last_time,
                    agent,
                    AgentState::LoggedOut,
                    Some("restart".into()),
                    None,
                    None,
                    None,
                );
            }
        }
        let queues: Vec<Name> = self.config.queues.keys().cloned().collect();
        for queue in &queues {
            self.queue_changed(now, queue, "open");
        }
        let config = self.config.acd.clone();
        self.tell_acd(now, acd::Input::Configure { config });
        for (agent, availability) in start.agents {
            if self.config.agents.contains_key(&agent) {
                self.tell_acd(
                    now,
                    acd::Input::Availability {
                        agent,
                        availability,
                    },
                );
            }
        }
        // After availability, so that who was ready is ready as soon as the phone is known again.
        for (user, binding) in start.bindings {
            if binding.expires > now && self.config.sip.users.contains_key(&user) {
                self.sip.restore(user, binding);
            }
        }
    }

    fn close_left_open(&mut self, at: Time, open: OpenContact) {
        let mut wait_ms = 0;
        let queue = open.visit.as_ref().map(|(queue, ..)| queue.clone());
        if let (Some((queue, visit, since)), None) = (open.visit, open.answered) {
            wait_ms = millis(at - since);
            let kind = EventKind::ContactLeftQueue {
                contact: open.contact.clone(),
                queue,
                visit,
                exit: Exit::SystemError,
                wait_ms,
            };
            self.journal.event(at, None, kind);
        }
        let kind = EventKind::ContactClosed {
            contact: open.contact,
            outcome: Outcome::SystemError,
            direction: open.direction,
            queue,
            agent: open.agent,
            entered_ivr: open.entered_ivr,
            goal: false,
            wait_ms,
            talk_ms: open.answered.map_or(0, |answered| millis(at - answered)),
            hold_ms: 0,
            duration_ms: millis(at - open.arrived),
            customers: open.customers,
            cause: "restart".into(),
            cause_detail: None,
            quality: Vec::new(),
        };
        self.journal.event(at, None, kind);
    }
}

fn queue_event(name: &Name, change: &str, queue: &crate::api::QueueService) -> EventKind {
    EventKind::QueueChanged {
        queue: name.clone(),
        change: change.into(),
        target_ms: millis(queue.service_level),
        short_abandon_ms: millis(queue.short_abandon),
    }
}
