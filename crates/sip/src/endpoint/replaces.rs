//! Which call of ours a Replaces means (RFC 3891).

use super::Endpoint;
use super::leg::State;
use crate::api::LegId;
use crate::message::{HeaderName, Message};

/// The value of a Replaces header.
struct Replaces<'a> {
    call_id: &'a str,
    to_tag: &'a str,
    from_tag: &'a str,
    early_only: bool,
}

impl<'a> Replaces<'a> {
    fn parse(text: &'a str) -> Option<Replaces<'a>> {
        let mut parts = text.split(';').map(str::trim);
        let call_id = parts.next().filter(|call_id| !call_id.is_empty())?;
        let (mut to_tag, mut from_tag, mut early_only) = (None, None, false);
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (name, value) = (name.trim(), value.trim());
            match name.to_ascii_lowercase().as_str() {
                "to-tag" => to_tag = Some(value),
                "from-tag" => from_tag = Some(value),
                "early-only" => early_only = true,
                _ => {}
            }
        }
        Some(Replaces {
            call_id,
            to_tag: to_tag?,
            from_tag: from_tag?,
            early_only,
        })
    }
}

impl Endpoint {
    /// The call that a new one shall take the place of.
    ///
    /// # Errors
    /// The status that refuses the INVITE (RFC 3891 section 3).
    pub(super) fn replaced_by(&self, message: &Message) -> Result<Option<LegId>, u16> {
        let mut values = message.headers(HeaderName::Replaces);
        let Some(text) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() {
            return Err(400);
        }
        let replaces = Replaces::parse(text).ok_or(400u16)?;
        let id = self
            .dialog_by_tags(replaces.call_id, replaces.to_tag, replaces.from_tag)
            .ok_or(481u16)?;
        match self.legs.get(&id).map(|leg| &leg.state) {
            Some(State::Up) if replaces.early_only => Err(486),
            Some(State::Up) => Ok(Some(self.outer_name(id))),
            Some(State::Closing) => Err(603),
            // An early dialog that we did not begin: 481 by the letter of section 3.
            Some(State::Alerting { .. }) | None => Err(481),
            // One that we began could be taken over by whoever may: nobody may. All telephones of whom we call ring at once, and a queue's call is
            // offered by the distributor alone.
            Some(State::Calling { .. }) => Err(403),
        }
    }

    /// The call that a Refer-To with Replaces means. The tags are named as the new call's target would see them: ours is the To tag.
    /// Telephones that name them as they see them themselves are understood as well, since both tags must fit either way.
    pub(super) fn referred_dialog(&self, text: &str) -> Option<LegId> {
        let replaces = Replaces::parse(text)?;
        let Replaces {
            call_id,
            to_tag,
            from_tag,
            ..
        } = replaces;
        self.dialog_by_tags(call_id, to_tag, from_tag)
            .or_else(|| self.dialog_by_tags(call_id, from_tag, to_tag))
            .map(|id| self.outer_name(id))
    }

    /// The name of a leg outside: one way of a call that has several bears the call's.
    fn outer_name(&self, id: LegId) -> LegId {
        self.forks.ways.get(&id).copied().unwrap_or(id)
    }

    fn dialog_by_tags(&self, call_id: &str, local: &str, remote: &str) -> Option<LegId> {
        let id = *self.dialogs.get(&self.dialog_key(call_id, local))?;
        let leg = self.legs.get(&id)?;
        (leg.dialog.remote_tag == remote).then_some(id)
    }
}
