//! INVITE with Replaces (RFC 3891): an agent goes on at another telephone. Only with calls of their own, and only after digest.

use clock::Time;
use sip::{Identity, Incoming, LegId};

use crate::Engine;
use crate::api::{Count, Output};
use crate::contact::{Holder, Leg, LegState, Stage};

impl Engine {
    /// A call that takes the place of one of ours.
    pub(crate) fn replace_leg(&mut self, now: Time, incoming: &Incoming, replaced: LegId) {
        let leg = incoming.leg;
        if let Err(status) = self.answer_replacing(now, incoming, replaced) {
            let what = "replaces";
            self.journal.put(Output::Count(Count::SipRefused { what }));
            self.drop_leg(leg);
            let reject = sip::Command::Reject {
                leg,
                status,
                reason: None,
                headers: vec![],
            };
            self.tell_sip(now, reject);
        }
    }

    fn answer_replacing(
        &mut self,
        now: Time,
        incoming: &Incoming,
        replaced: LegId,
    ) -> Result<(), u16> {
        let (number, owner) = self.owner_of(replaced).ok_or(403u16)?;
        match &incoming.identity {
            Identity::User(user) if *user == owner => {}
            Identity::User(_) | Identity::Trunk(_) => return Err(403),
        }
        self.talk_of(number).map_err(|_| 491u16)?;
        let plane = self.legs.get(&replaced).and_then(|leg| leg.port);
        let port = plane
            .and_then(|port| self.ports.take_on(port.plane))
            .ok_or(503u16)?;
        let leg = incoming.leg;
        let mut record = Leg::new(Some(port), LegState::Answering, incoming.sdp.clone());
        record.signalling = Some(incoming.peer.remote.ip());
        self.secure_incoming(&mut record, incoming);
        record.contact = Some(number);
        record.party = self.legs.get(&replaced).and_then(|leg| leg.party.clone());
        self.legs.insert(leg, record);
        self.open_stream(leg, port);
        self.prepare_answer(leg)?;
        let (sdp, id) = match (self.legs.get(&leg), self.contacts.get(&number)) {
            (Some(leg), Some(contact)) => (leg.local.clone(), contact.id.to_string()),
            _ => return Err(481),
        };
        let headers = vec![("X-Cordboard-Contact".to_owned(), id)];
        let sdp = sdp.ok_or(500u16)?;
        self.tell_sip(now, sip::Command::Answer { leg, sdp, headers });
        self.change_leg(now, number, replaced, leg);
        Ok(())
    }

    /// One telephone for another in a talk.
    fn change_leg(&mut self, now: Time, number: acd::ContactId, from: LegId, to: LegId) {
        let Some(contact) = self.contacts.get_mut(&number) else {
            return;
        };
        let Stage::Talking(talk) = &mut contact.stage else {
            return;
        };
        let consult = talk.consult;
        let holder = if contact.caller == from {
            contact.caller = to;
            Holder::Caller
        } else {
            talk.leg = to;
            Holder::Phone
        };
        let by = talk.agent.clone();
        if let Some(consult) = consult.and_then(|consult| self.contacts.get_mut(&consult)) {
            consult.caller = to;
        }
        self.end_leg(now, from, None);
        let held = self.legs.get(&to).is_some_and(crate::talk::is_held);
        self.set_hold(now, number, holder, held, by);
        self.hear(number);
        if let Some(consult) = consult {
            self.hear(consult);
        }
    }
}
