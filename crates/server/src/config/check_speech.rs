//! Speech: the programme is there, and speaks the languages in which flows have texts.

use std::path::Path;

use media::Lang;

use super::check::Check;
use super::compile::Base;
use super::flows::PROMPT_EXTENSIONS;
use super::read::CENTRE;
use crate::speech::{self, Engine, Settings};

impl Check<'_> {
    /// The engine, where a flow reads a text out.
    pub(super) fn speech(
        &mut self,
        flows: &ivr::Flows,
        base: &Base<'_>,
        data_dir: &Path,
    ) -> Option<Engine> {
        let forms = self.forms;
        let form = &forms.centre.speech;
        self.stand_in(base.ivr_dir.as_deref());
        let mut languages: Vec<Lang> = speech::texts(flows)
            .into_iter()
            .map(|(lang, _)| lang)
            .collect();
        languages.dedup();
        if languages.is_empty() {
            return None;
        }
        let voices = [
            (Lang::ZhCn, &form.voices.zh_cn),
            (Lang::En, &form.voices.en),
        ];
        let settings = Settings {
            command: form.command.value.clone(),
            voices: voices
                .into_iter()
                .filter_map(|(lang, voice)| Some((lang, voice.clone()?)))
                .collect(),
            timeout: form.timeout.0,
            cache_max: u64::from(form.cache_mb) << 20,
            cache: data_dir.join("speech"),
        };
        let engine = match Engine::find(settings) {
            Ok(engine) => engine,
            Err(error) => {
                self.error(
                    CENTRE,
                    &form.command.span,
                    format!("a flow reads texts out, and the speech engine cannot be run: {error:#}"),
                    Some("install it (Debian: apt-get install espeak-ng), or name another in `speech.command`"),
                );
                return None;
            }
        };
        for lang in languages {
            let (name, voice) = match lang {
                Lang::ZhCn => ("zh-CN", &form.voices.zh_cn),
                Lang::En => ("en", &form.voices.en),
            };
            let Err(error) = engine.try_voice(lang) else {
                continue;
            };
            let voice = voice.as_deref().unwrap_or("none");
            self.error(
                CENTRE,
                &form.voices.span,
                format!("a flow reads texts out in {name}, and its voice ({voice}) cannot speak: {error:#}"),
                Some("`espeak-ng --voices` lists those of espeak-ng"),
            );
        }
        Some(engine)
    }

    /// The prompt in place of what cannot be made.
    fn stand_in(&mut self, ivr_dir: Option<&Path>) {
        let forms = self.forms;
        let Some(prompt) = &forms.centre.speech.otherwise else {
            return;
        };
        for lang in ["zh-CN", "en"] {
            let found = ivr_dir.is_some_and(|dir| {
                let file = |extension| format!("prompts/{lang}/{}.{extension}", prompt.value);
                PROMPT_EXTENSIONS
                    .iter()
                    .any(|extension| dir.join(file(extension)).is_file())
            });
            if !found {
                self.error(
                    CENTRE,
                    &prompt.span,
                    format!("there is no prompt \"{}\" in {lang}", prompt.value),
                    Some("a file name without its extension, e.g. \"system/error\""),
                );
            }
        }
    }
}
