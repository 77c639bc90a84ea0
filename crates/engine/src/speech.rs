//! Texts that are not recorded: the edge makes speech of them, and what a flow says waits for that no longer than the configuration allows.

use std::sync::Arc;

use clock::Time;
use media::{Item, PlayId};

use crate::Engine;
use crate::api::Output;
use crate::timers::Kind;

/// What a flow says, while the edge makes speech of a text in it (deadline: `Speech`).
#[derive(Debug)]
pub(crate) struct Pending {
    play: PlayId,
    items: Vec<Item>,
    barge_in: bool,
}

impl Engine {
    /// Plays what a flow says; a text in it is made first.
    pub(crate) fn speak(
        &mut self,
        now: Time,
        number: acd::ContactId,
        items: Vec<Item>,
        barge_in: bool,
    ) -> Option<PlayId> {
        let caller = self.contacts.get(&number)?.caller;
        self.hush(number);
        let texts: Vec<(media::Lang, Arc<str>)> = items
            .iter()
            .filter_map(|item| match item {
                Item::Text { lang, text } => Some((*lang, text.clone())),
                _ => None,
            })
            .collect();
        let play = self.new_play();
        if texts.is_empty() {
            self.play_as(caller, play, items, barge_in);
            return Some(play);
        }
        let contact = self.contacts.get_mut(&number)?;
        contact.speech = Some(Pending {
            play,
            items,
            barge_in,
        });
        self.timers
            .set(number, Kind::Speech, now + self.config.speech.patience);
        self.journal.put(Output::Speak {
            contact: number.0,
            play,
            texts,
        });
        Some(play)
    }

    /// What was waited for is not to be said any more.
    pub(crate) fn hush(&mut self, number: acd::ContactId) {
        if let Some(contact) = self.contacts.get_mut(&number)
            && contact.speech.take().is_some()
        {
            self.timers.clear(number, Kind::Speech);
        }
    }

    /// The edge has made speech of the texts of a play, or cannot.
    pub(crate) fn spoken(&mut self, number: acd::ContactId, play: PlayId, made: bool) {
        let Some(contact) = self.contacts.get_mut(&number) else {
            return;
        };
        let Some(pending) = contact.speech.take_if(|pending| pending.play == play) else {
            return; // too late, or hushed
        };
        let caller = contact.caller;
        self.timers.clear(number, Kind::Speech);
        let items = match made {
            true => pending.items,
            false => self.without_texts(pending.items),
        };
        self.play_as(caller, play, items, pending.barge_in);
    }

    /// The edge takes too long.
    pub(crate) fn speech_late(&mut self, number: acd::ContactId) {
        let pending = self
            .contacts
            .get(&number)
            .and_then(|contact| contact.speech.as_ref());
        if let Some(play) = pending.map(|pending| pending.play) {
            self.spoken(number, play, false);
        }
    }

    /// The prompt that stands in for texts, once for all that stand together; without one they are left out.
    fn without_texts(&self, items: Vec<Item>) -> Vec<Item> {
        let mut replaced: Vec<Item> = Vec::with_capacity(items.len());
        for item in items {
            let Item::Text { lang, .. } = item else {
                replaced.push(item);
                continue;
            };
            let otherwise = self.config.speech.otherwise.clone();
            let stand_in = otherwise.map(|name| Item::Prompt { lang, name });
            if stand_in.is_some() && replaced.last() != stand_in.as_ref() {
                replaced.extend(stand_in);
            }
        }
        replaced
    }
}
