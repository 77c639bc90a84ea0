//! Answering from the desk: the agent's telephone rings, and is told to answer. It does so itself, by its own rules; we only ask.

use std::sync::Arc;

use clock::Time;
use sip::LegId;

use crate::Engine;
use crate::api::Refusal;
use crate::contact::Stage;

type Name = Arc<str>;

impl Engine {
    /// Tells the telephone that a contact rings to answer. `contact.answered` says that it did.
    ///
    /// # Errors
    /// Nothing rings, it is not theirs, or the telephone cannot be told.
    pub(crate) fn pick_up(
        &mut self,
        now: Time,
        number: acd::ContactId,
        by: &Name,
    ) -> Result<(), Refusal> {
        let (leg, agent) = self.ringing_phone(number)?;
        // Who placed the call may not open a colleague's microphone.
        let agents = &self.config.agents;
        let placed = self
            .contacts
            .get(&number)
            .and_then(|contact| contact.by.as_ref());
        if agents.contains_key(by) && *by != agent && placed == Some(by) {
            return Err(Refusal::Conflict(format!("it is {agent} who is called")));
        }
        if !self.sip.takes_pick_up(leg) {
            return Err(Refusal::Conflict(
                "the telephone has not said that it can be told to answer (Allow-Events: talk): answer it there".into(),
            ));
        }
        self.tell_sip(now, sip::Command::PickUp { leg });
        Ok(())
    }

    /// The telephone that a contact rings, and whose it is.
    fn ringing_phone(&self, number: acd::ContactId) -> Result<(LegId, Name), Refusal> {
        match self.contacts.get(&number).map(|contact| &contact.stage) {
            Some(Stage::Ringing(offer)) => {
                let leg = offer
                    .leg
                    .ok_or_else(|| Refusal::Conflict("the telephone does not ring yet".into()))?;
                Ok((leg, offer.agent.clone()))
            }
            Some(Stage::Direct { agent, leg, .. }) => Ok((*leg, agent.clone())),
            Some(_) => Err(Refusal::Conflict(
                "no telephone rings for the contact".into(),
            )),
            None => Err(Refusal::NotFound("the contact is over".into())),
        }
    }
}
