//! REFER from an agent's telephone: the engine makes the call itself and tells how it goes. It never sends a REFER on.
//!
//! Toll fraud: a caller, a trunk or a call to a feature code may not refer at all, and an agent no farther than a transfer by the desk leads.

use std::sync::Arc;

use clock::Time;
use sip::{LegId, Referral, Replaced};

use crate::Engine;
use crate::contact::Stage;
use crate::transfer::Failure;

type Name = Arc<str>;

impl Engine {
    /// RFC 3515: a telephone asks us to call somebody else in its place.
    pub(crate) fn referred(&mut self, now: Time, leg: LegId, referral: Referral) {
        let Some((number, agent)) = self.owner_of(leg).filter(|(number, _)| self.talks(*number))
        else {
            return self.tell_sip(now, sip::Command::RejectRefer { leg, status: 403 });
        };
        self.tell_sip(now, sip::Command::AcceptRefer { leg });
        let referred_by: Option<Name> = referral.referred_by.map(Into::into);
        let outcome = match referral.replaces {
            Replaced::Nothing => self
                .transfer_route(number, leg, &referral.to)
                .and_then(|route| self.transfer(now, number, leg, route, Some(referred_by))),
            Replaced::Leg(other) => match self.owner_of(other) {
                Some((consult, owner)) if owner == agent => {
                    self.attended(now, (number, leg), (consult, other), referred_by)
                }
                Some(_) | None => Err(Failure::new(403, "that call is somebody else's")),
            },
            Replaced::Unknown => Err(Failure::new(481, "there is no such call")),
        };
        if let Err(failure) = outcome {
            let status = failure.status;
            self.tell_sip(now, sip::Command::ReferProgress { leg, status });
        }
    }

    fn talks(&self, number: acd::ContactId) -> bool {
        self.talk_of(number).is_ok()
    }

    /// The contact that an agent's telephone is in with this leg, and the agent. A caller's leg, and a trunk's, has no owner.
    pub(crate) fn owner_of(&self, leg: LegId) -> Option<(acd::ContactId, Name)> {
        let number = self.legs.get(&leg)?.contact?;
        let contact = self.contacts.get(&number)?;
        let agent = match &contact.stage {
            // Of a call to the outside, this is the customer's.
            Stage::Talking(talk) if talk.leg == leg => {
                Some(&talk.agent).filter(|agent| contact.by.as_ref() != Some(agent))
            }
            _ if contact.caller == leg => contact.by.as_ref(),
            _ => None,
        };
        let agent = agent.filter(|agent| self.config.agents.contains_key(*agent))?;
        Some((number, agent.clone()))
    }
}
