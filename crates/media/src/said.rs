//! Speech that was made of texts: with the prompts where the text stands in a flow, else for the moment in which it is said.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::api::Lang;
use crate::playlist::Clip;
use crate::prompts::{PromptError, decoded};

/// Texts that a plane remembers. A play follows at once and keeps what it plays, so that this need only cover what is on its way.
const MAX_LEARNT: usize = 256;

/// A text as speech, shared by all planes.
#[derive(Clone, Debug)]
pub struct Said {
    pub(crate) lang: Lang,
    pub(crate) text: Arc<str>,
    pub(crate) clip: Arc<Clip>,
}

impl Said {
    /// Decodes what a speech engine made: any file that a prompt may be.
    ///
    /// # Errors
    /// When it cannot be played.
    pub fn new(lang: Lang, text: Arc<str>, file: &[u8]) -> Result<Said, PromptError> {
        let clip = Arc::new(Clip::new(&decoded(file, "wav")?));
        Ok(Said { lang, text, clip })
    }
}

/// The newest texts of a plane.
#[derive(Debug, Default)]
pub struct Learnt {
    clips: BTreeMap<(Lang, Arc<str>), Arc<Clip>>,
    /// In the order in which they came.
    order: VecDeque<(Lang, Arc<str>)>,
}

impl Learnt {
    pub fn add(&mut self, said: Said) {
        let key = (said.lang, said.text);
        if self.clips.insert(key.clone(), said.clip).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > MAX_LEARNT
            && let Some(oldest) = self.order.pop_front()
        {
            self.clips.remove(&oldest);
        }
    }

    pub fn find(&self, lang: Lang, text: &Arc<str>) -> Option<&Arc<Clip>> {
        self.clips.get(&(lang, text.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_remembered() {
        let mut learnt = Learnt::default();
        let said = |n: usize| Said {
            lang: Lang::En,
            text: format!("text {n}").into(),
            clip: Arc::new(Clip::new(&[0; 8])),
        };
        (0..=MAX_LEARNT).for_each(|n| learnt.add(said(n)));
        assert!(learnt.find(Lang::En, &"text 0".into()).is_none());
        assert!(learnt.find(Lang::En, &"text 1".into()).is_some());
        assert!(learnt.find(Lang::ZhCn, &"text 1".into()).is_none());
        learnt.add(said(1));
        assert_eq!(
            learnt.order.len(),
            MAX_LEARNT,
            "the same again is no second"
        );
    }
}
