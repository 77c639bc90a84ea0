//! A new call: let in or refused, answered by what its number leads to, and its caller looked up.

use std::sync::Arc;

use clock::Time;
use sip::{Identity, Incoming};

use crate::Engine;
use crate::api::{Count, Output, Route};
use crate::contact::{Ask, Beginning, Contact, Leg, LegState, LookUp, Stage};
use crate::event::{Direction, EventKind};
use crate::identity::Signalling;
use crate::outbound::{Barred, Destination, EMERGENCY, Outside};
use crate::timers::Kind;

type Name = Arc<str>;

/// Seconds after which a refused caller may try again: spread, so that they do not all come back at once.
const RETRY_AFTER: std::ops::Range<u64> = 4..12;

/// Where a call leads.
pub(crate) enum Lead {
    Route(Route),
    Outside(Outside),
    /// To no number that this caller may know.
    Nowhere,
}

impl Engine {
    /// RFC 3261 section 13.3: a call wants an answer.
    pub(crate) fn arrive(&mut self, now: Time, incoming: Incoming) {
        if let Err((status, headers)) = self.admit(&incoming) {
            return self.tell_sip(
                now,
                sip::Command::Reject {
                    leg: incoming.leg,
                    status,
                    reason: None,
                    headers,
                },
            );
        }
        if let Some(replaced) = incoming.replaces {
            return self.replace_leg(now, &incoming, replaced);
        }
        if let (Identity::User(agent), Some(code)) =
            (&incoming.identity, crate::codes::code(&incoming.dialled))
            && self.config.agents.contains_key(agent)
        {
            return self.feature_code(now, &incoming, agent.clone(), code);
        }
        let lead = match self.lead_of(&incoming) {
            Ok(lead) => lead,
            Err(status) => return self.refuse_call(now, incoming.leg, status),
        };
        if let Some(status) = self.forbidden(&incoming, &lead) {
            return self.refuse_call(now, incoming.leg, status);
        }
        let Some(port) = self
            .port_beside(&incoming)
            .or_else(|| self.ports.take_any(self.config.agents.len()))
            .or_else(|| {
                let help = self.is_emergency(&incoming);
                help.then(|| self.ports.take_for_help(None)).flatten()
            })
        else {
            self.journal.put(Output::Count(Count::OverloadRejected {
                reason: "rtp_ports",
            }));
            let headers = self.retry_after(incoming.leg);
            return self.tell_sip(
                now,
                sip::Command::Reject {
                    leg: incoming.leg,
                    status: 503,
                    reason: None,
                    headers,
                },
            );
        };
        let (leg, offer) = (incoming.leg, incoming.sdp.clone());
        let mut record = Leg::new(Some(port), LegState::Inviting, offer);
        record.signalling = Some(incoming.peer.remote.ip());
        self.secure_incoming(&mut record, &incoming);
        self.legs.insert(leg, record);
        self.open_stream(leg, port);
        if let Err(status) = self.prepare_answer(leg) {
            self.drop_leg(leg);
            return self.refuse_call(now, leg, status);
        }
        let number = self.make_contact(now, &incoming, &lead);
        if let Some(leg) = self.legs.get_mut(&leg) {
            leg.contact = Some(number);
        }
        self.lead(now, number, lead);
    }

    pub(crate) fn refuse_call(&mut self, now: Time, leg: sip::LegId, status: u16) {
        self.tell_sip(
            now,
            sip::Command::Reject {
                leg,
                status,
                reason: None,
                headers: vec![],
            },
        );
    }

    /// Where the dialled number leads. Only agents may call out, by their class of service; to a caller from a trunk there are this centre's numbers alone.
    fn lead_of(&mut self, incoming: &Incoming) -> Result<Lead, u16> {
        let classes = match &incoming.identity {
            Identity::User(agent) => self.classes_of_agent(agent),
            Identity::Trunk(trunk) => {
                let route = self.config.route_by(trunk, &incoming.dialled).cloned();
                return Ok(route.map_or(Lead::Nowhere, Lead::Route));
            }
        };
        match self.destination(&incoming.dialled, &classes) {
            Ok(Destination::Inside(route)) => Ok(Lead::Route(route)),
            Ok(Destination::Outside(outside)) => Ok(Lead::Outside(outside)),
            Err(Barred::Class) => {
                self.journal.put(Output::Count(Count::SipRefused {
                    what: "class_of_service",
                }));
                Err(Barred::Class.status())
            }
            Err(Barred::Unknown) => Ok(Lead::Nowhere),
        }
    }

    /// What keeps any call out: drain, and the bound on calls.
    fn admit(&mut self, incoming: &Incoming) -> Result<(), (u16, Vec<(String, String)>)> {
        let reason = if self.draining {
            "drain"
        } else if self.contacts.len() >= self.config.max_calls {
            "max_calls"
        } else {
            return Ok(());
        };
        if self.is_emergency(incoming) {
            return Ok(());
        }
        self.journal
            .put(Output::Count(Count::OverloadRejected { reason }));
        Err((503, self.retry_after(incoming.leg)))
    }

    fn retry_after(&self, leg: sip::LegId) -> Vec<(String, String)> {
        let seconds = RETRY_AFTER.start + leg.0 % (RETRY_AFTER.end - RETRY_AFTER.start);
        vec![("Retry-After".into(), seconds.to_string())]
    }

    /// What keeps this caller from this number. Callers from trunks may not dial extensions.
    fn forbidden(&self, incoming: &Incoming, lead: &Lead) -> Option<u16> {
        match (lead, &incoming.identity) {
            (Lead::Nowhere, _) if !self.config.announce_unknown => Some(404),
            (Lead::Route(Route::Agent(_)), Identity::Trunk(_)) => Some(403),
            (Lead::Route(Route::Agent(agent)), Identity::User(user)) if agent == user => Some(486),
            _ => None,
        }
    }

    fn make_contact(&mut self, now: Time, incoming: &Incoming, lead: &Lead) -> acd::ContactId {
        let (number, id) = self.journal.new_contact();
        let by_trunk = match &incoming.identity {
            Identity::Trunk(trunk) => Some(trunk),
            Identity::User(_) => None,
        };
        let country = self.config.country_of(by_trunk);
        let caller = crm::Number::parse(&incoming.caller.user, country);
        let called: Name = incoming.dialled.as_str().into();
        // The customer is the one outside, whoever called whom.
        let (ani, shown, dnis, line) = match lead {
            Lead::Outside(outside) => {
                let customer = crm::Number::parse(&outside.number, &self.config.country);
                let shown = caller.key().to_owned();
                (
                    customer,
                    shown,
                    outside.number.clone(),
                    outside.caller_id.clone(),
                )
            }
            Lead::Route(_) | Lead::Nowhere => {
                let shown = caller.key().to_owned();
                (caller, shown, called.clone(), called.clone())
            }
        };
        let (trunk, by) = match &incoming.identity {
            Identity::Trunk(trunk) => (Some(trunk.clone()), None),
            Identity::User(user) => (None, Some(user.clone())),
        };
        let direction = match (lead, &by) {
            (Lead::Outside(_), _) => Direction::Outbound,
            (Lead::Route(_) | Lead::Nowhere, Some(_)) => Direction::Internal,
            (Lead::Route(_) | Lead::Nowhere, None) => Direction::Inbound,
        };
        let may_call = self.classes_of_entry(&called);
        let contact = Contact::new(Beginning {
            id: id.clone(),
            direction,
            arrived: now,
            ani,
            dnis: line,
            by: by.clone(),
            may_call,
            caller: incoming.leg,
            caller_display: incoming.caller.display.clone(),
            withheld: incoming.caller.anonymous,
            signalling: Signalling::of(&incoming.signalled, country),
            lang: self.config.default_lang,
        });
        let hidden = contact.hides_number(&self.config);
        let (withheld, signalling) = (contact.withheld, contact.signalling.clone());
        self.contacts.insert(number, contact);
        self.timers
            .set(number, Kind::MaxCall, now + self.config.max_call);
        let kind = EventKind::ContactArrived {
            contact: id.clone(),
            channel: "voice".into(),
            direction,
            entry: entry_name(lead),
            trunk,
            by: by.clone(),
            ani: (!hidden).then_some(shown),
            dnis,
            withheld,
            signalling,
        };
        self.note(now, number, kind);
        if let (Lead::Outside(outside), Some(agent)) = (lead, &by)
            && *outside.class == *EMERGENCY
        {
            let kind = EventKind::Audit {
                by: agent.clone(),
                action: "emergency_call".into(),
                subject: outside.number.clone(),
                detail: Some(id.to_string()),
            };
            self.note(now, number, kind);
        }
        if let Some(agent) = by
            && self.config.agents.contains_key(&agent)
        {
            self.tell_acd(
                now,
                acd::Input::Occupy {
                    agent,
                    call: number,
                },
            );
        }
        number
    }

    /// Starts what the number leads to.
    fn lead(&mut self, now: Time, number: acd::ContactId, lead: Lead) {
        let route = match lead {
            Lead::Route(route) => route,
            Lead::Outside(outside) => {
                self.look_up(now, number);
                return self.call_outside(now, number, &outside);
            }
            Lead::Nowhere => return self.refuse_aloud(now, number),
        };
        match route {
            Route::Flow(flow) => {
                self.look_up(now, number);
                self.enter_flow(now, number, &flow);
            }
            Route::Queue(queue) => {
                self.look_up(now, number);
                if self
                    .config
                    .queues
                    .get(&queue)
                    .is_some_and(|queue| queue.answer_on_agent)
                {
                    self.ring_caller(now, number);
                } else {
                    self.answer_caller(now, number);
                }
                self.ask_for_queue(
                    now,
                    number,
                    Ask {
                        queue,
                        skills: Default::default(),
                        priority: 0,
                        ..Ask::default()
                    },
                );
            }
            Route::Agent(agent) => self.call_extension(now, number, agent),
            Route::Echo => self.test_call(now, number, media::Source::Echo),
            Route::Tone { hertz } => self.test_call(now, number, media::Source::Tone { hertz }),
        }
    }

    fn test_call(&mut self, now: Time, number: acd::ContactId, source: media::Source) {
        self.answer_caller(now, number);
        let Some(contact) = self.contacts.get_mut(&number) else {
            return;
        };
        contact.stage = Stage::Testing;
        let caller = contact.caller;
        self.set_source(caller, source);
    }

    /// "The number you have dialled is not in service" as early media, then 404.
    fn refuse_aloud(&mut self, now: Time, number: acd::ContactId) {
        let Some(caller) = self.contacts.get(&number).map(|contact| contact.caller) else {
            return;
        };
        // Without an offer there is nowhere to play to.
        if self
            .legs
            .get(&caller)
            .is_none_or(|leg| leg.negotiated.is_none())
        {
            self.tell_sip(
                now,
                sip::Command::Reject {
                    leg: caller,
                    status: 404,
                    reason: None,
                    headers: vec![],
                },
            );
            return self.close(now, number, "unknown_number");
        }
        let sdp = self.legs.get(&caller).and_then(|leg| leg.local.clone());
        self.tell_sip(
            now,
            sip::Command::Ring {
                leg: caller,
                status: 183,
                sdp,
                headers: vec![],
            },
        );
        let items = [media::Lang::ZhCn, media::Lang::En].map(|lang| media::Item::Prompt {
            lang,
            name: "system/not_in_service".into(),
        });
        let play = self.play(caller, items.to_vec(), false);
        if let Some(contact) = self.contacts.get_mut(&number) {
            contact.stage = Stage::Refusing { play, status: 404 };
        }
    }

    /// Asks the store who is calling; a caller without a number is nobody.
    pub(crate) fn look_up(&mut self, now: Time, number: acd::ContactId) {
        let Some(contact) = self.contacts.get_mut(&number) else {
            return;
        };
        if !contact.ani.raw.bytes().any(|byte| byte.is_ascii_digit()) {
            contact.look_up = LookUp::Done(crm::Pop::default());
            return;
        }
        let ask = contact.ani.clone();
        self.journal.put(Output::LookUp {
            look_up: number.0,
            number: ask,
        });
        self.timers
            .set(number, Kind::LookUp, now + self.config.look_up_patience);
    }

    /// The store has answered, perhaps late.
    pub(crate) fn looked_up(&mut self, now: Time, number: acd::ContactId, pop: Option<crm::Pop>) {
        self.timers.clear(number, Kind::LookUp);
        let Some(contact) = self.contacts.get_mut(&number) else {
            return;
        };
        let LookUp::Pending { since, late } = contact.look_up else {
            return;
        };
        let pop = pop.unwrap_or_default();
        contact.class = pop
            .customers
            .first()
            .map(|best| best.class.as_str())
            .filter(|class| !class.is_empty())
            .map(Into::into);
        let kind = EventKind::ContactIdentified {
            contact: contact.id.clone(),
            customers: pop
                .customers
                .iter()
                .map(|customer| customer.id.clone())
                .collect(),
            class: contact.class.clone(),
            took_ms: crate::journal::millis(now - since),
            late,
        };
        contact.look_up = LookUp::Done(pop);
        self.note(now, number, kind);
        self.tell_session_customer(now, number);
        self.identified(now, number);
    }

    /// The store is slow: the call goes on without it.
    pub(crate) fn look_up_late(&mut self, now: Time, number: acd::ContactId) {
        if let Some(contact) = self.contacts.get_mut(&number)
            && let LookUp::Pending { late, .. } = &mut contact.look_up
        {
            *late = true;
            self.identified(now, number);
        }
    }

    /// A caller who waited for the look-up goes into the queue.
    fn identified(&mut self, now: Time, number: acd::ContactId) {
        let Some(contact) = self.contacts.get_mut(&number) else {
            return;
        };
        if let Stage::Identifying(ask) = &contact.stage {
            let ask = ask.clone();
            self.enqueue(now, number, ask);
        }
    }
}

pub(crate) fn entry_name(lead: &Lead) -> Name {
    match lead {
        Lead::Route(Route::Flow(flow)) => format!("flow:{flow}").into(),
        Lead::Route(Route::Queue(queue)) => format!("queue:{queue}").into(),
        Lead::Route(Route::Agent(agent)) => format!("agent:{agent}").into(),
        Lead::Route(Route::Echo) => "echo".into(),
        Lead::Route(Route::Tone { .. }) => "tone".into(),
        Lead::Outside(outside) => format!("outside:{}", outside.class).into(),
        Lead::Nowhere => "unknown".into(),
    }
}
