//! Keys in a conversation: into flows, on to the other side, and from the desk.
//!
//! To a far end they go one way only, or it would hear each twice: in RTP (RFC 4733) where it has agreed to that, else by INFO where it takes
//! those, else as tones; nobody has to say which. Keys are heard, and never dialled: no key of a caller makes a leg.

use std::sync::Arc;
use std::time::Duration;

use clock::Time;
use sip::LegId;
use sip::info::Key;

use crate::Engine;
use crate::api::Refusal;
use crate::contact::Stage;
use crate::legs::stream;

/// Keys pressed at once: at 150 ms each, what a human would have patience for.
const DIGITS_MAX: usize = 32;

/// How long a key is pressed of which only the beginning is known: long enough for every gateway.
const PRESSED: Duration = Duration::from_millis(160);

impl Engine {
    /// A key in RTP. As an event it is relayed where the other side has events as well; as a tone it is in the sound that the other side hears.
    pub(crate) fn digit_in_rtp(&mut self, now: Time, leg: LegId, digit: char) {
        self.digit(now, leg, digit);
        let number = self.legs.get(&leg).and_then(|leg| leg.contact);
        let mixed = number.is_some_and(|number| self.is_mixed(number));
        if let Some(partner) = self.partner(leg)
            && self.has_events(leg)
            && (mixed || !self.has_events(partner))
        {
            let duration = PRESSED;
            self.send_keys(now, partner, &[Key { digit, duration }]);
        }
    }

    /// A key by INFO, of which the media plane knows nothing.
    pub(crate) fn digit_by_info(&mut self, now: Time, leg: LegId, pressed: Key) {
        self.digit(now, leg, pressed.digit);
        if let Some(partner) = self.partner(leg) {
            self.send_keys(now, partner, &[pressed]);
        }
    }

    /// Keys of the desk towards whom the agent on `leg` talks with: the one consulted, else the caller.
    pub(crate) fn press(
        &mut self,
        now: Time,
        number: acd::ContactId,
        leg: LegId,
        digits: &str,
    ) -> Result<(), Refusal> {
        let key = |digit: char| matches!(digit, '0'..='9' | '*' | '#' | 'A'..='D');
        if digits.is_empty() || digits.len() > DIGITS_MAX || !digits.chars().all(key) {
            return Err(Refusal::Invalid(format!(
                "digits are 1 to {DIGITS_MAX} of 0-9, *, # and A-D"
            )));
        }
        let consult = self.talk_of(number)?.consult;
        let far = consult
            .and_then(|consult| self.other_side(consult, leg))
            .or_else(|| self.other_side(number, leg))
            .ok_or_else(|| Refusal::Conflict("nobody is at the other end".into()))?
            .leg;
        let duration = PRESSED;
        let keys: Vec<Key> = digits
            .chars()
            .map(|digit| Key { digit, duration })
            .collect();
        self.send_keys(now, far, &keys);
        Ok(())
    }

    /// Sends keys to a far end the way it takes them; its stream makes tones where it has no events.
    fn send_keys(&mut self, now: Time, far: LegId, keys: &[Key]) {
        if !self.has_events(far) && self.sip.takes_info(far) {
            let pressed = keys.to_vec();
            return self.tell_sip(now, sip::Command::Digits { leg: far, pressed });
        }
        let digits: String = keys.iter().map(|key| key.digit).collect();
        self.media(
            far,
            media::Command::SendDtmf {
                stream: stream(far),
                digits: Arc::from(digits),
            },
        );
    }

    fn has_events(&self, leg: LegId) -> bool {
        let media = self.legs.get(&leg).and_then(|leg| leg.negotiated.as_ref());
        media.is_some_and(|media| media.telephone_event.is_some())
    }

    /// Who hears what this leg says at the moment; nobody while one of them holds.
    fn partner(&self, leg: LegId) -> Option<LegId> {
        let number = self.legs.get(&leg)?.contact?;
        let contact = self.contacts.get(&number)?;
        let talk = match &contact.stage {
            Stage::Talking(talk) => talk,
            // A flow's caller with somebody outside.
            Stage::Outside {
                leg: outside,
                answered: true,
                ..
            } if leg == contact.caller => return Some(*outside),
            Stage::Outside { answered: true, .. } => return Some(contact.caller),
            Stage::Greeting
            | Stage::Ivr
            | Stage::Identifying(_)
            | Stage::Announcing { .. }
            | Stage::Waiting
            | Stage::Popping(_)
            | Stage::Ringing(_)
            | Stage::Direct { .. }
            | Stage::Outside { .. }
            | Stage::Transferring { .. }
            | Stage::Testing
            | Stage::Refusing { .. } => return None,
        };
        let consulted = talk.consult.filter(|_| leg == talk.leg);
        match consulted {
            Some(consult) => Some(self.other_side(consult, leg)?.leg),
            None if talk.hold.is_some() => None,
            None => Some(self.other_side(number, leg)?.leg),
        }
    }
}
