//! Conferences: more than two in one talk. An agent adds whom they consult, or has somebody called; any number may be added, and each leaves alone.
//!
//! The contact and its statistics stay one: those who are added are legs of it. When the agent leaves, one of them has the agent's place, as after a
//! transfer; when the caller leaves, it is over for all. Who holds is out of the talk, and the others go on.

use std::sync::Arc;
use std::time::Duration;

use clock::Time;
use sip::{Cause, LegId};

use crate::Engine;
use crate::api::Route;
use crate::contact::{Contact, Holder, Member, Stage, Toward};
use crate::event::EventKind;
use crate::outbound::Destination;
use crate::timers::Kind;
use crate::transfer::Failure;

type Name = Arc<str>;

/// How long somebody who is to be added rings.
const RING: Duration = Duration::from_secs(30);
/// Those who are added to one talk: with the two of it, as many as a mix can hold.
const MEMBERS_MAX: usize = 30;

// --- the beginning

impl Engine {
    /// Adds whom the agent consults, or calls somebody to be added.
    ///
    /// # Errors
    /// Nobody to be added, or not now.
    pub(crate) fn confer(
        &mut self,
        now: Time,
        number: acd::ContactId,
        leg: LegId,
        to: Option<&str>,
    ) -> Result<(), Failure> {
        let members = self
            .contacts
            .get(&number)
            .map(|contact| contact.members.len());
        if members.is_some_and(|members| members >= MEMBERS_MAX) {
            return Err(Failure::new(486, "the conference is full"));
        }
        match to {
            Some(to) => self.call_member(now, number, leg, to),
            None => self.add_consulted(now, number),
        }
    }

    fn call_member(
        &mut self,
        now: Time,
        number: acd::ContactId,
        leg: LegId,
        to: &str,
    ) -> Result<(), Failure> {
        let destination = self.transfer_route(number, leg, to)?;
        self.face(number, leg)
            .map_err(|_| Failure::new(480, "no agent has the contact"))?;
        let (party, leg) = match destination {
            Destination::Inside(Route::Agent(agent)) => {
                let occupy = acd::Input::Occupy {
                    agent: agent.clone(),
                    call: number,
                };
                self.tell_acd(now, occupy);
                let leg = self.place(now, number, &agent);
                if leg.is_none() {
                    self.vacate(now, number, agent.clone());
                }
                (Toward::Agent(agent), leg)
            }
            Destination::Outside(outside) => {
                let leg = self.place_outside(now, number, &outside);
                (Toward::Outside(outside.class.clone()), leg)
            }
            Destination::Inside(
                Route::Queue(_) | Route::Flow(_) | Route::Echo | Route::Tone { .. },
            ) => {
                let detail = "a conference is with agents and numbers: consult the queue first";
                return Err(Failure::new(404, detail));
            }
        };
        let leg = leg.ok_or_else(|| Failure::new(503, "no RTP port is free"))?;
        self.timers.set(number, Kind::Member(leg), now + RING);
        if let Some(contact) = self.contacts.get_mut(&number) {
            contact.members.push(Member {
                party,
                leg,
                queue: None,
                up: false,
            });
        }
        Ok(())
    }

    /// Whom the agent consults comes to the caller, and the consultation is a part of this contact.
    fn add_consulted(&mut self, now: Time, number: acd::ContactId) -> Result<(), Failure> {
        let none = || Failure::new(480, "the agent consults nobody");
        let talk = self.talk_of(number).map_err(|_| none())?;
        let (leg, consult, by) = (talk.leg, talk.consult.ok_or_else(none)?, talk.agent.clone());
        let answered = self.talk_of(consult).is_ok();
        let side = self
            .other_side(consult, leg)
            .filter(|_| answered)
            .ok_or_else(|| Failure::new(480, "whom the agent consults has not answered"))?;
        self.end_joined(now, (consult, leg), number, side.agent.as_ref())?;
        if let Some(far) = self.legs.get_mut(&side.leg) {
            far.contact = Some(number);
        }
        let party = match side.agent {
            Some(agent) => Toward::Agent(agent),
            None => Toward::Outside("consulted".into()),
        };
        let member = Member {
            party,
            leg: side.leg,
            queue: side.queue,
            up: true,
        };
        self.note_member(now, number, &member, Change::Joined);
        if let Some(contact) = self.contacts.get_mut(&number) {
            contact.members.push(member);
        }
        self.set_hold(now, number, Holder::Desk, false, by);
        self.hear_anew(number);
        Ok(())
    }
}

// --- while it lasts

#[derive(Clone, Copy)]
enum Change {
    Joined,
    Left,
}

impl Engine {
    fn member(&mut self, number: acd::ContactId, leg: LegId) -> Option<&mut Member> {
        let contact = self.contacts.get_mut(&number)?;
        contact.members.iter_mut().find(|one| one.leg == leg)
    }

    pub(crate) fn is_members_leg(&self, number: acd::ContactId, leg: LegId) -> bool {
        let contact = self.contacts.get(&number);
        contact.is_some_and(|contact| contact.members.iter().any(|one| one.leg == leg))
    }

    /// Somebody who was called has answered, and is in it.
    pub(crate) fn member_answered(
        &mut self,
        now: Time,
        number: acd::ContactId,
        leg: LegId,
        fits: bool,
    ) {
        self.timers.clear(number, Kind::Member(leg));
        if !fits {
            self.end_leg(now, leg, Some("SIP;cause=488;text=\"Not Acceptable Here\""));
            self.member_failed(now, number, leg, 488);
            return;
        }
        let Some(one) = self.member(number, leg) else {
            return;
        };
        one.up = true;
        let member = one.clone();
        self.note_member(now, number, &member, Change::Joined);
        self.hear_anew(number);
    }

    /// It has rung long enough.
    pub(crate) fn member_unanswered(&mut self, now: Time, number: acd::ContactId, leg: LegId) {
        self.end_leg(now, leg, None);
        self.member_failed(now, number, leg, 480);
    }

    fn member_failed(&mut self, now: Time, number: acd::ContactId, leg: LegId, status: u16) {
        let Some(member) = self.take_member(now, number, leg) else {
            return;
        };
        let (Some(contact), Ok(talk)) = (self.contacts.get(&number), self.talk_of(number)) else {
            return;
        };
        let kind = EventKind::ContactTransferFailed {
            contact: contact.id.clone(),
            from: talk.agent.clone(),
            to: member.party.name(),
            status,
            back: "agent".into(),
        };
        self.note(now, number, kind);
    }

    /// A leg of a conference is gone: one who was added, or the agent, in whose place another one comes. True if that is dealt with.
    pub(crate) fn conference_leg_gone(
        &mut self,
        now: Time,
        number: acd::ContactId,
        leg: LegId,
        cause: &Cause,
    ) -> bool {
        let Some(contact) = self.contacts.get(&number) else {
            return false;
        };
        match contact.members.iter().find(|one| one.leg == leg) {
            Some(Member { up: true, .. }) => {
                if let Some(member) = self.take_member(now, number, leg) {
                    self.note_member(now, number, &member, Change::Left);
                }
                self.hear_anew(number);
                true
            }
            Some(_) => {
                self.member_failed(now, number, leg, crate::direct::status_of(cause));
                true
            }
            None => match &contact.stage {
                Stage::Talking(talk) if talk.leg == leg => self.agent_leaves(now, number),
                Stage::Outside { leg: outside, .. } if *outside == leg => self.succeed(now, number),
                _ => false,
            },
        }
    }

    /// The agent leaves those who stay. False: nobody is there to be left but the caller.
    fn agent_leaves(&mut self, now: Time, number: acd::ContactId) -> bool {
        let stays = |contact: &Contact| contact.members.iter().any(|one| one.up);
        if !self.contacts.get(&number).is_some_and(stays) {
            return false;
        }
        let Ok(talk) = self.talk_of(number) else {
            return false;
        };
        let (consult, transfer) = (talk.consult, talk.transfer.clone());
        if let Some(consult) = consult {
            self.close(now, consult, "consult_ended");
        }
        if let Some(transfer) = transfer {
            self.give_up_transfer(now, number, &transfer);
        }
        let Some(talk) = self.leave_talk(now, number) else {
            return false;
        };
        if let Some(hold) = &talk.hold {
            self.end_hold(now, number, hold);
        }
        self.succession(now, number, Some(talk.agent), talk.queue);
        true
    }

    /// Whom a caller talked with outside has left; another one may be there.
    fn succeed(&mut self, now: Time, number: acd::ContactId) -> bool {
        let Some(contact) = self.contacts.get(&number) else {
            return false;
        };
        if !contact.members.iter().any(|one| one.up) {
            return false;
        }
        self.succession(now, number, None, None);
        true
    }

    /// One of those who stay has the contact from now on: the first agent, or else who came first.
    fn succession(
        &mut self,
        now: Time,
        number: acd::ContactId,
        from: Option<Name>,
        queue: Option<Name>,
    ) {
        let Some(contact) = self.contacts.get_mut(&number) else {
            return;
        };
        let up = |one: &Member| one.up;
        let agent = |one: &Member| one.up && matches!(one.party, Toward::Agent(_));
        let members = &contact.members;
        let Some(at) = members
            .iter()
            .position(agent)
            .or_else(|| members.iter().position(up))
        else {
            return;
        };
        let heir = contact.members.remove(at);
        let kind = EventKind::ContactTransferred {
            contact: contact.id.clone(),
            kind: "conference".into(),
            from,
            to: heir.party.name(),
            consult: None,
            referred_by: None,
        };
        self.note(now, number, kind);
        match heir.party {
            Toward::Agent(agent) => {
                let queue = heir.queue.or(queue);
                self.take_over(now, number, agent, heir.leg, queue, 0);
            }
            Toward::Outside(_) => self.talk_outside(now, number, heir.leg),
        }
    }

    /// A member who cannot be heard any more is out; true if that leg was one.
    pub(crate) fn member_starved(&mut self, now: Time, number: acd::ContactId, leg: LegId) -> bool {
        let is = self.is_members_leg(number, leg);
        if is {
            self.end_leg(now, leg, None);
            self.conference_leg_gone(now, number, leg, &Cause::Lost);
        }
        is
    }

    pub(crate) fn confers(&self, number: acd::ContactId) -> bool {
        let contact = self.contacts.get(&number);
        contact.is_some_and(|contact| !contact.members.is_empty())
    }
}

// --- the end

impl Engine {
    fn take_member(&mut self, now: Time, number: acd::ContactId, leg: LegId) -> Option<Member> {
        let contact = self.contacts.get_mut(&number)?;
        let at = contact.members.iter().position(|one| one.leg == leg)?;
        let member = contact.members.remove(at);
        self.timers.clear(number, Kind::Member(leg));
        self.free_member(now, number, &member);
        Some(member)
    }

    fn free_member(&mut self, now: Time, number: acd::ContactId, member: &Member) {
        let Toward::Agent(agent) = &member.party else {
            return;
        };
        // Who was consulted by way of a queue works on it as that queue's.
        match member.queue.is_some() && self.is_connected(number, agent) {
            true => {
                let finished = acd::Input::Finished {
                    contact: number,
                    agent: agent.clone(),
                    wrap_up: true,
                };
                self.tell_acd(now, finished);
            }
            false => self.vacate(now, number, agent.clone()),
        }
    }

    /// The contact is over for all.
    pub(crate) fn end_conference(
        &mut self,
        now: Time,
        number: acd::ContactId,
        contact: &mut Contact,
    ) {
        for member in std::mem::take(&mut contact.members) {
            self.end_leg(now, member.leg, None);
            self.free_member(now, number, &member);
        }
    }

    fn note_member(&mut self, now: Time, number: acd::ContactId, member: &Member, change: Change) {
        let Some(contact) = self.contacts.get(&number) else {
            return;
        };
        let (contact, party) = (contact.id.clone(), member.party.name());
        let kind = match change {
            Change::Joined => EventKind::ContactJoined { contact, party },
            Change::Left => EventKind::ContactLeft { contact, party },
        };
        self.note(now, number, kind);
    }
}
