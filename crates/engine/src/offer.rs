//! An offer: the agent is reserved, the pop goes ahead, the phone rings, and it ends well or otherwise.

use std::sync::Arc;
use std::time::Duration;

use clock::Time;
use sip::identity::ANONYMOUS;
use sip::{Cause, LegId, Target};

use crate::Engine;
use crate::api::{AutoAnswer, Config, Count, Output};
use crate::contact::{Contact, Leg, LegState, Offer, Stage, Talk};
use crate::event::{AgentState, EventKind};
use crate::journal::millis;
use crate::timers::Kind;

type Name = Arc<str>;

/// A phone that has not answered its INVITE at all by then (the fourth transmission over UDP) is dead, not slow: its agent is not blamed with a RONA.
pub(crate) const SIGN_OF_LIFE: Duration = Duration::from_secs(4);

/// What the agent's phone shows.
struct Shown {
    display: Option<String>,
    user: String,
    /// The number is withheld.
    private: bool,
}

fn shown(contact: &Contact, config: &Config) -> Shown {
    let customer = contact
        .look_up
        .pop()
        .and_then(|pop| pop.customers.first())
        .map(|customer| customer.name.clone());
    let private = contact.hides_number(config);
    let said = contact.caller_display.clone().filter(|_| !private);
    Shown {
        display: customer.or(said),
        user: contact
            .number_shown(config)
            .filter(|number| !number.is_empty())
            .unwrap_or_else(|| ANONYMOUS.to_owned()),
        private,
    }
}

/// What a call to an agent's phone is for.
pub(crate) struct Errand {
    /// What the leg is called.
    pub(crate) party: Name,
    /// Which way its sound goes, seen from us.
    pub(crate) wants: sip::sdp::Direction,
    /// It may answer by itself, where its agent has that.
    pub(crate) unasked: bool,
}

/// Asks a phone to answer by itself, in the words of its make.
fn auto_answer(how: AutoAnswer, realm: &str) -> Vec<(String, String)> {
    let call_info = || {
        let value = format!("<sip:{realm}>;answer-after=0");
        ("Call-Info".to_owned(), value)
    };
    let alert_info = || {
        // The URI would be the tone to ring with: there is none to fetch.
        let value = "<http://127.0.0.1>;info=alert-autoanswer;delay=0";
        ("Alert-Info".to_owned(), value.to_owned())
    };
    match how {
        AutoAnswer::Off => vec![],
        AutoAnswer::CallInfo => vec![call_info()],
        AutoAnswer::AlertInfo => vec![alert_info()],
        AutoAnswer::Both => vec![call_info(), alert_info()],
    }
}

impl Engine {
    /// The distributor has reserved an agent. The pop goes ahead of the call.
    pub(crate) fn offered(
        &mut self,
        now: Time,
        number: acd::ContactId,
        queue: Name,
        agent: Name,
        ring: Duration,
    ) {
        let group = self.group_of(&agent);
        let waits = |contact: &&mut Contact| matches!(contact.stage, Stage::Waiting);
        let Some(contact) = self.contacts.get_mut(&number).filter(waits) else {
            // Gone, or elsewhere, in the same step: the distributor must not keep a ghost.
            let why = acd::Withdrawal::Moved;
            return self.tell_acd(
                now,
                acd::Input::Withdraw {
                    contact: number,
                    why,
                },
            );
        };
        contact.offers += 1;
        let kind = EventKind::ContactOffered {
            contact: contact.id.clone(),
            queue: queue.clone(),
            visit: contact.visits,
            offer: contact.offers,
            agent: agent.clone(),
            group,
            ring_ms: millis(ring),
            dnis: contact.dnis.clone(),
            ani: contact.number_shown(&self.config),
            pop: contact.look_up.pop().cloned(),
            flow_data: (!contact.flow_data.is_empty()).then(|| contact.flow_data.clone()),
            withheld: contact.withheld,
            signalling: contact.signalling_shown(&self.config),
        };
        let offer_number = contact.offers;
        let sequence = self.note(now, number, kind);
        self.timers.clear(number, Kind::Announce);
        if let Some(contact) = self.contacts.get_mut(&number) {
            contact.stage = Stage::Popping(Offer {
                queue,
                agent,
                number: offer_number,
                reserved: now,
                sequence,
                leg: None,
            });
        }
        if self.audience == 0 {
            self.call_agent(now, number);
        } else {
            self.pops.push_back((sequence, number));
            self.timers
                .set(number, Kind::Pop, now + self.config.pop_patience);
        }
    }

    /// Everything up to this event has been handed to those who watch.
    pub(crate) fn delivered(&mut self, now: Time, sequence: u64) {
        while self
            .pops
            .front()
            .is_some_and(|&(waiting_for, _)| waiting_for <= sequence)
        {
            let Some((of, number)) = self.pops.pop_front() else {
                break;
            };
            if let Some(Stage::Popping(offer)) =
                self.contacts.get(&number).map(|contact| &contact.stage)
                && offer.sequence == of
            {
                let seconds = (now - offer.reserved).as_secs_f64();
                self.journal
                    .put(Output::Count(Count::ScreenPop { seconds }));
                self.call_agent(now, number);
            }
        }
    }

    pub(crate) fn audience_changed(&mut self, now: Time, count: usize) {
        self.audience = count;
        if count == 0 {
            self.delivered(now, u64::MAX);
        }
    }

    /// Rings the reserved agent's phone.
    pub(crate) fn call_agent(&mut self, now: Time, number: acd::ContactId) {
        self.timers.clear(number, Kind::Pop);
        let Some(Stage::Popping(offer)) = self.contacts.get(&number).map(|contact| &contact.stage)
        else {
            return;
        };
        let mut offer = offer.clone();
        match self.place(now, number, &offer.agent) {
            Some(leg) => {
                offer.leg = Some(leg);
                if let Some(contact) = self.contacts.get_mut(&number) {
                    contact.stage = Stage::Ringing(offer);
                }
                self.timers.set(number, Kind::Sign, now + SIGN_OF_LIFE);
                self.music(number);
            }
            None => {
                self.journal.put(Output::Count(Count::OverloadRejected {
                    reason: "rtp_ports",
                }));
                self.tell_acd(
                    now,
                    acd::Input::Offer {
                        contact: number,
                        agent: offer.agent,
                        result: acd::OfferResult::Failed,
                    },
                );
            }
        }
    }

    /// Calls an agent's phone for a contact, its stream on the caller's plane. `None`: no port is free there.
    pub(crate) fn place(
        &mut self,
        now: Time,
        number: acd::ContactId,
        agent: &Name,
    ) -> Option<LegId> {
        let contact = self.contacts.get(&number)?;
        let errand = Errand {
            party: format!("agent:{agent}").into(),
            wants: sip::sdp::Direction::SendRecv,
            // A colleague who calls does not find an open microphone: only what the distributor sends is answered unasked.
            unasked: matches!(contact.stage, Stage::Popping(_)),
        };
        self.place_for(now, number, agent, errand)
    }

    /// The same, for something else than talking to the caller.
    pub(crate) fn place_for(
        &mut self,
        now: Time,
        number: acd::ContactId,
        agent: &Name,
        errand: Errand,
    ) -> Option<LegId> {
        let contact = self.contacts.get(&number)?;
        let (caller, id) = (contact.caller, contact.id.clone());
        let shown = shown(contact, &self.config);
        let plane = self.legs.get(&caller)?.port?.plane;
        let port = self.ports.take_on(plane)?;
        let leg = self.sip.new_leg();
        let mut record = Leg::new(Some(port), LegState::Inviting, None);
        record.contact = Some(number);
        record.party = Some(errand.party);
        record.wants = errand.wants;
        self.legs.insert(leg, record);
        self.open_stream(leg, port);
        let account = self.config.agents.get(agent);
        let how = account
            .filter(|_| errand.unasked)
            .map(|account| account.auto_answer);
        let asked = auto_answer(how.unwrap_or_default(), &self.config.sip.realm);
        let target = match account.and_then(|account| account.contact.clone()) {
            Some(contact) => Target::Uri(contact),
            None => Target::User(agent.clone()),
        };
        self.heads_for(now, leg, &target);
        let Some(sdp) = self.prepare_offer(leg, caller) else {
            self.drop_leg(leg);
            return None;
        };
        let mut headers = vec![("X-Cordboard-Contact".to_owned(), id.to_string())];
        headers.extend(asked);
        self.tell_sip(
            now,
            sip::Command::Invite(sip::Invite {
                leg,
                target,
                from_display: shown.display,
                from_user: shown.user,
                private: shown.private,
                sdp,
                headers,
            }),
        );
        Some(leg)
    }

    /// A phone, or what stands before it, has our INVITE.
    pub(crate) fn lives(&mut self, leg: LegId) {
        if let Some(number) = self.legs.get(&leg).and_then(|leg| leg.contact) {
            self.timers.clear(number, Kind::Sign);
        }
    }

    /// A phone rings.
    pub(crate) fn rings(&mut self, now: Time, leg: LegId, sdp: Option<&bytes::Bytes>) {
        let Some(record) = self.legs.get_mut(&leg) else {
            return;
        };
        if record.state == LegState::Inviting {
            record.state = LegState::Ringing;
        }
        let Some(number) = record.contact else { return };
        match self.contacts.get(&number).map(|contact| &contact.stage) {
            Some(Stage::Direct { .. }) => match sdp {
                Some(sdp) => self.rings_aloud(now, leg, sdp),
                None => self.ring_caller(now, number),
            },
            Some(Stage::Outside { .. }) => self.outside_rings(now, number, leg, sdp),
            _ => {}
        }
        self.transfer_rings(now, number, leg);
    }

    /// The INVITE is as good as lost: to the next agent, long before the ring would time out.
    pub(crate) fn no_sign_of_life(&mut self, now: Time, number: acd::ContactId) {
        self.transfer_without_sign(now, number);
        let Some(Stage::Ringing(offer)) = self.contacts.get(&number).map(|contact| &contact.stage)
        else {
            return;
        };
        let silent = offer.leg.filter(|leg| {
            self.legs
                .get(leg)
                .is_some_and(|leg| leg.state == LegState::Inviting)
        });
        if silent.is_some() {
            let agent = offer.agent.clone();
            self.tell_acd(
                now,
                acd::Input::Offer {
                    contact: number,
                    agent,
                    result: acd::OfferResult::Unreachable,
                },
            );
        }
    }

    /// A phone that we called has answered.
    pub(crate) fn answered(
        &mut self,
        now: Time,
        leg: LegId,
        sdp: Option<bytes::Bytes>,
        peer: sip::Peer,
    ) {
        if let Some(leg) = self.legs.get_mut(&leg) {
            leg.signalling = Some(peer.remote.ip());
        }
        let Some(number) = self.legs.get(&leg).and_then(|leg| leg.contact) else {
            return;
        };
        let fits = self.take_answer(leg, sdp.as_ref());
        if let Some(leg) = self.legs.get_mut(&leg) {
            leg.state = LegState::Up;
        }
        match self.contacts.get(&number).map(|contact| &contact.stage) {
            Some(Stage::Ringing(offer)) if offer.leg == Some(leg) => {
                let offer = offer.clone();
                if fits {
                    self.tell_acd(
                        now,
                        acd::Input::Offer {
                            contact: number,
                            agent: offer.agent.clone(),
                            result: acd::OfferResult::Answered,
                        },
                    );
                    // The distributor has the last word: it may have given the offer up in the same moment.
                    if self.is_connected(number, &offer.agent) {
                        self.connect_offer(now, number, offer, leg);
                    } else {
                        self.end_leg(now, leg, None);
                    }
                } else {
                    self.end_leg(now, leg, Some("SIP;cause=488;text=\"Not Acceptable Here\""));
                    self.tell_acd(
                        now,
                        acd::Input::Offer {
                            contact: number,
                            agent: offer.agent,
                            result: acd::OfferResult::Failed,
                        },
                    );
                }
            }
            Some(Stage::Direct { leg: direct, .. }) if *direct == leg => {
                self.extension_answered(now, number, leg, fits)
            }
            Some(Stage::Outside { leg: outside, .. }) if *outside == leg => {
                self.outside_answered(now, number, leg, fits)
            }
            _ if self.is_transfer_leg(number, leg) => {
                self.transfer_answered(now, number, leg, fits)
            }
            _ if self.is_members_leg(number, leg) => self.member_answered(now, number, leg, fits),
            _ if self.is_supervisors_leg(number, leg) => {
                self.supervisor_answered(now, number, leg, fits)
            }
            _ => {}
        }
    }

    pub(crate) fn is_connected(&self, number: acd::ContactId, agent: &Name) -> bool {
        matches!(self.acd.state(agent), Some(acd::State::Connected { contact, .. }) if *contact == number)
    }

    fn connect_offer(&mut self, now: Time, number: acd::ContactId, offer: Offer, leg: LegId) {
        self.answer_caller(now, number);
        let group = self.group_of(&offer.agent);
        let Some(contact) = self.contacts.get_mut(&number) else {
            return;
        };
        let wait_ms = contact
            .visit
            .take()
            .map_or(0, |visit| millis(now - visit.since));
        contact.wait_ms += wait_ms;
        contact.answered_agent = Some(offer.agent.clone());
        contact.stage = Stage::Talking(Talk::new(
            offer.agent.clone(),
            leg,
            Some(offer.queue.clone()),
            now,
        ));
        let (caller, id, visit) = (contact.caller, contact.id.clone(), contact.visits);
        let agent = offer.agent.clone();
        let kind = EventKind::ContactAnswered {
            contact: id,
            queue: Some(offer.queue),
            visit,
            agent: offer.agent,
            group,
            wait_ms,
            rang_ms: millis(now - offer.reserved),
            transferred: false,
        };
        self.note(now, number, kind);
        self.begin_talk(now, number, caller, leg);
        self.announce_agent(now, number, &agent);
    }

    /// The distributor says that an offer is over and the contact waits again.
    pub(crate) fn offer_ended(
        &mut self,
        now: Time,
        number: acd::ContactId,
        agent: &Name,
        reason: acd::OfferEnd,
    ) {
        let group = self.group_of(agent);
        let Some(contact) = self.contacts.get_mut(&number) else {
            return;
        };
        let offer = match &contact.stage {
            Stage::Popping(offer) | Stage::Ringing(offer) if offer.agent == *agent => offer.clone(),
            _ => return,
        };
        contact.stage = Stage::Waiting;
        let kind = EventKind::ContactOfferEnded {
            contact: contact.id.clone(),
            queue: offer.queue,
            visit: contact.visits,
            offer: offer.number,
            agent: offer.agent,
            group,
            reason,
            rang_ms: millis(now - offer.reserved),
            requeued: true,
        };
        self.timers.clear(number, Kind::Pop);
        self.timers.clear(number, Kind::Sign);
        self.note(now, number, kind);
        if let Some(leg) = offer.leg {
            self.end_leg(now, leg, None);
        }
        self.music(number);
        if let Some(every) = self
            .config
            .queues
            .get(
                &*self.contacts[&number]
                    .last_queue
                    .clone()
                    .unwrap_or_default(),
            )
            .and_then(|queue| queue.announce_every)
        {
            self.timers.set(number, Kind::Announce, now + every);
        }
    }

    /// The agent's leg ended before it was answered.
    pub(crate) fn offer_leg_gone(
        &mut self,
        now: Time,
        number: acd::ContactId,
        offer: &Offer,
        cause: &Cause,
    ) {
        let result = match cause {
            Cause::Rejected {
                status: 480 | 486, ..
            } => acd::OfferResult::Busy,
            Cause::Rejected { status: 603, .. } => acd::OfferResult::Declined,
            Cause::Rejected {
                status: 300..=399, ..
            } => acd::OfferResult::Redirected,
            Cause::Rejected { status: 408, .. }
            | Cause::NoResponse
            | Cause::Unreachable
            | Cause::Lost => acd::OfferResult::Unreachable,
            Cause::NotRegistered => acd::OfferResult::NotRegistered,
            Cause::Rejected { .. } | Cause::Bye | Cause::Cancelled | Cause::HungUp => {
                acd::OfferResult::Failed
            }
        };
        self.tell_acd(
            now,
            acd::Input::Offer {
                contact: number,
                agent: offer.agent.clone(),
                result,
            },
        );
    }

    /// The distributor says that an agent's state has changed.
    pub(crate) fn agent_changed(&mut self, now: Time, agent: Name, state: &acd::State) {
        use acd::State;
        let (state, reason, contact, queue, until) = match state {
            State::LoggedOut => (AgentState::LoggedOut, None, None, None, None),
            State::NotReady { reason } => {
                (AgentState::NotReady, Some(reason.clone()), None, None, None)
            }
            State::Ready => (AgentState::Ready, None, None, None, None),
            State::Unreachable => (AgentState::Unreachable, None, None, None, None),
            State::Reserved {
                contact,
                queue,
                until,
            } => (
                AgentState::Reserved,
                None,
                Some(*contact),
                Some(queue.clone()),
                Some(*until),
            ),
            State::Connected { contact, queue, .. } => (
                AgentState::Connected,
                None,
                Some(*contact),
                Some(queue.clone()),
                None,
            ),
            State::WrapUp {
                contact,
                queue,
                until,
            } => (
                AgentState::WrapUp,
                None,
                Some(*contact),
                Some(queue.clone()),
                Some(*until),
            ),
            State::Occupied { call, .. } => (AgentState::Occupied, None, Some(*call), None, None),
        };
        self.note_agent(now, agent.clone(), state, reason, contact, queue, until);
        if let (AgentState::Connected, Some(number)) = (state, contact) {
            self.connected_on_hold(now, &agent, number);
        }
    }

    pub(crate) fn note_agent(
        &mut self,
        now: Time,
        agent: Name,
        state: AgentState,
        reason: Option<Name>,
        contact: Option<acd::ContactId>,
        queue: Option<Name>,
        until: Option<Time>,
    ) {
        let (was, was_ms) = self.journal.turn(now, &agent, state);
        let group = self.group_of(&agent);
        let contact = contact.map(|number| self.journal.contact_name(number));
        self.journal.event(
            now,
            None,
            EventKind::AgentState {
                agent,
                group,
                state,
                reason,
                contact,
                queue,
                until,
                was,
                was_ms,
            },
        );
    }
}
