//! What a session says: plays with their tokens, and how they end.

use std::sync::Arc;

use clock::Time;

use super::{Go, PLAY_LOST, Session, Then, Wait};
use crate::api::{Lang, Output, PlayToken, Prompt};
use crate::expr::Scope;
use crate::flow::{Branch, Say, Speech, StateId};

/// Between one language and the next.
const PAUSE_MS: u32 = 300;

impl Session {
    pub(super) fn say(&mut self, now: Time, speech: &Speech, next: StateId) -> Go {
        if speech.barge_in && !self.ahead.is_empty() {
            // The caller knows the way and keys ahead: nothing is said meanwhile.
            return self.follow(Branch::Next, Some(next));
        }
        let Some(play) = self.play(&[&speech.items], speech.every_language, speech.barge_in) else {
            return Go::Fault;
        };
        self.wait = Wait::Saying {
            play,
            until: now + PLAY_LOST,
            then: Then::Next {
                to: next,
                barge_in: speech.barge_in,
            },
        };
        Go::Stay
    }

    pub(super) fn hang_up_with(&mut self, now: Time, speech: &Speech) -> Go {
        self.hang_up_saying(now, &speech.items, speech.every_language)
    }

    /// Says something of the flow's defaults and hangs up.
    pub(super) fn hang_up_after(&mut self, now: Time, items: &[Say]) -> Go {
        self.hang_up_saying(now, items, false)
    }

    fn hang_up_saying(&mut self, now: Time, items: &[Say], every_language: bool) -> Go {
        self.ahead.clear();
        match self.play(&[items], every_language, false) {
            Some(play) => {
                self.wait = Wait::Saying {
                    play,
                    until: now + PLAY_LOST,
                    then: Then::Hangup,
                };
                Go::Stay
            }
            None => self.hang_up(),
        }
    }

    /// Says `parts` one after the other; `None` when an expression in them fails.
    pub(super) fn play(
        &mut self,
        parts: &[&[Say]],
        every_language: bool,
        barge_in: bool,
    ) -> Option<PlayToken> {
        let mut prompts =
            Vec::with_capacity(parts.iter().map(|part| part.len()).sum::<usize>() * 2 + 1);
        if every_language {
            // In the file's order, so that every caller hears the own language at a known place.
            for (number, language) in self.here.flow.languages.iter().enumerate() {
                if number > 0 {
                    prompts.push(Prompt::Silence { ms: PAUSE_MS });
                }
                render(parts, *language, &self.scope, &mut prompts)?;
            }
        } else {
            render(parts, self.language, &self.scope, &mut prompts)?;
        }
        self.plays = self.plays.wrapping_add(1);
        let token = PlayToken(self.plays);
        self.outputs.push_back(Output::Play {
            token,
            prompts,
            barge_in,
        });
        Some(token)
    }

    /// Prompts for later, in the present language.
    pub(super) fn rendered(&self, items: &[Say]) -> Option<Vec<Prompt>> {
        let mut prompts = Vec::with_capacity(items.len());
        render(&[items], self.language, &self.scope, &mut prompts)?;
        Some(prompts)
    }

    pub(super) fn played(&mut self, now: Time, ended: PlayToken) {
        match &mut self.wait {
            Wait::Saying { play, then, .. } if *play == ended => {
                let go = match *then {
                    Then::Next { to, .. } => self.follow(Branch::Next, Some(to)),
                    Then::Go { to } => Go::To(to),
                    Then::Hangup => self.hang_up(),
                };
                self.run(now, go);
            }
            Wait::Keys {
                playing: Some(play),
                ..
            } if *play == ended => {
                let go = self.prompt_ended(now);
                self.run(now, go);
            }
            Wait::LookUp { playing, .. } if playing.is_some_and(|(play, _)| play == ended) => {
                *playing = None;
            }
            Wait::Saying { .. }
            | Wait::Keys { .. }
            | Wait::LookUp { .. }
            | Wait::Start
            | Wait::Customer { .. }
            | Wait::Away
            | Wait::Over => {}
        }
    }
}

fn render(
    parts: &[&[Say]],
    language: Lang,
    scope: &Arc<Scope>,
    prompts: &mut Vec<Prompt>,
) -> Option<()> {
    for item in parts.iter().copied().flatten() {
        prompts.push(match item {
            Say::File { name, lang } => Prompt::File {
                lang: lang.unwrap_or(language),
                name: name.clone(),
            },
            Say::Text(texts) => Prompt::Text {
                lang: language,
                text: texts.get(&language)?.render(scope).ok()?,
            },
            Say::Spoken { kind, text } => Prompt::Spoken {
                lang: language,
                what: kind.read(&text.render(scope).ok()?)?,
            },
            Say::Silence { ms } => Prompt::Silence { ms: *ms },
            Say::Agent => Prompt::Agent { lang: language },
        });
    }
    Some(())
}
