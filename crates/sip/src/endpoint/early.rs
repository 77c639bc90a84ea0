//! Early dialogs of a call of ours: a proxy may ring several phones, each with its own To tag (sections 12.1.2 and 13.2.2.4).
//!
//! The leg's dialog is the one last heard from; the others wait here until a 2xx decides.

use bytes::Bytes;

use super::layer::FORKS_MAX;
use super::leg::Leg;
use super::requests::sdp_of;
use super::uac::confirm;
use crate::dialog::Dialog;
use crate::message::Message;

/// What a call of ours knows before its answer, if that is more than one phone ringing.
#[derive(Debug, Default)]
pub struct Early {
    /// Other forks' dialogs; with the leg's own at most [`FORKS_MAX`].
    others: Vec<Dialog>,
    /// The dialog as our INVITE began it, where that may have to go elsewhere yet.
    initial: Option<Box<Dialog>>,
    /// The description that each fork has sent before its answer.
    described: Vec<Described>,
}

#[derive(Debug)]
struct Described {
    tag: Box<str>,
    sdp: Bytes,
    /// It came reliably, so it is the answer; else it is only where media come from.
    answer: bool,
}

impl Leg {
    /// Makes the dialog of this To tag the leg's; false if there is none.
    pub fn choose(&mut self, tag: &str) -> bool {
        if self.dialog.remote_tag == tag {
            return true;
        }
        let others = self.early.iter_mut().flat_map(|early| &mut early.others);
        for other in others {
            if other.remote_tag == tag {
                std::mem::swap(other, &mut self.dialog);
                return true;
            }
        }
        false
    }

    /// Whether a tag names an early dialog that is not the leg's present one.
    pub fn has_fork(&self, tag: &str) -> bool {
        self.early
            .as_ref()
            .is_some_and(|early| early.others.iter().any(|other| other.remote_tag == tag))
    }

    /// A response above 100 to our INVITE: its dialog is the leg's from here on. False: there are too many.
    pub fn enter(&mut self, message: &Message) -> bool {
        let Some(tag) = message.to().ok().and_then(|to| to.tag().map(str::to_owned)) else {
            return true;
        };
        if self.dialog.remote_tag.is_empty() {
            if self.elsewhere.is_some() {
                let initial = Box::new(self.dialog.clone());
                self.early.get_or_insert_default().initial = Some(initial);
            }
            confirm(&mut self.dialog, message);
            return true;
        }
        if self.choose(&tag) {
            return true;
        }
        let early = self.early.get_or_insert_default();
        if early.others.len() + 1 >= FORKS_MAX {
            return false;
        }
        let mut dialog = self.dialog.clone();
        dialog.local_cseq = message.cseq().map_or(1, |(number, _)| number);
        (dialog.remote_cseq, dialog.rseq) = (None, 0);
        confirm(&mut dialog, message);
        early
            .others
            .push(std::mem::replace(&mut self.dialog, dialog));
        true
    }

    /// The dialog as it was before any early one, to be begun anew: what another server has said of an early dialog is void.
    pub fn before_early(&mut self) -> Dialog {
        match self.early.take().and_then(|early| early.initial) {
            Some(initial) => Dialog {
                local_cseq: self.dialog.local_cseq,
                ..*initial
            },
            None => Dialog {
                remote_tag: String::new(),
                ..self.dialog.clone()
            },
        }
    }

    /// Keeps the description of a provisional; the first reliable one of a fork stays (RFC 3264: one answer to one offer).
    pub fn heard_early(&mut self, message: &Message, reliable: bool) {
        let Some(sdp) = sdp_of(message) else { return };
        let early = self.early.get_or_insert_default();
        let tag = &*self.dialog.remote_tag;
        let room = early.described.len() < FORKS_MAX;
        match early.described.iter_mut().find(|known| &*known.tag == tag) {
            Some(known) if !known.answer => (known.sdp, known.answer) = (sdp, reliable),
            None if room => early.described.push(Described {
                tag: tag.into(),
                sdp,
                answer: reliable,
            }),
            Some(_) | None => {}
        }
    }

    /// What the leg's present dialog has described before its answer.
    pub fn early_description(&self) -> Option<Bytes> {
        let early = self.early.as_ref()?;
        let known = early
            .described
            .iter()
            .find(|known| *known.tag == *self.dialog.remote_tag)?;
        Some(known.sdp.clone())
    }

    /// Whether our INVITE's offer is answered in the leg's present dialog, though the INVITE is not (RFC 3262 section 5).
    pub fn is_agreed_early(&self) -> bool {
        self.early.as_ref().is_some_and(|early| {
            early
                .described
                .iter()
                .any(|known| known.answer && *known.tag == *self.dialog.remote_tag)
        })
    }
}
