//! What digits must look like, the verbs `authenticate`, `message` and `survey`.

use toml::de::DeValue;

use super::Parser;
use super::verbs::{Value, integer};
use crate::digits::CheckDigit;
use crate::expr::Text;
use crate::flow::{Authenticate, Defaults, Message, Verb};
use crate::read::{Table, suggest};

/// Kinds of messages.
const KINDS: [&str; 2] = ["sms", "email"];
/// Longest pattern.
const MAX_PATTERN: usize = 200;

impl Parser<'_> {
    /// A regular expression for the whole of what is keyed; `regex-lite` takes time linear in it.
    pub(super) fn matching(&self, value: Value<'_>) -> Option<regex_lite::Regex> {
        let text = self.sink.string("matching", value)?;
        let regex = regex_lite::Regex::new(&format!("^(?:{text})$"));
        match regex {
            Ok(regex) if text.len() <= MAX_PATTERN => Some(regex),
            Ok(_) | Err(_) => {
                let hint = Some("e.g. `1[3-9][0-9]{9}` for a mobile number of China; \\ is written \\\\ between \"quotes\"".to_owned());
                self.sink.error_with(
                    value.span(),
                    format!("`{text}` is no regular expression"),
                    hint,
                );
                None
            }
        }
    }

    pub(super) fn check_digit(&self, value: Value<'_>) -> Option<CheckDigit> {
        let text = self.sink.string("check", value)?;
        let found = CheckDigit::ALL.into_iter().find(|(name, _)| *name == text);
        if found.is_none() {
            let names = CheckDigit::ALL.map(|(name, _)| name);
            let hint =
                suggest(text, names).or_else(|| Some(format!("there are: {}", names.join(", "))));
            self.sink.error_with(
                value.span(),
                format!("there is no check digit `{text}`"),
                hint,
            );
        }
        found.map(|(_, check)| check)
    }

    pub(super) fn authenticate(
        &self,
        value: Value<'_>,
        table: &mut Table<'_>,
        defaults: &Defaults,
    ) -> Option<Verb> {
        let sink = self.sink;
        let customer = self.text("authenticate", value);
        let prompt = table.need(sink, "prompt", "ask for the PIN");
        let speech = prompt.map(|value| self.speech("prompt", value, table, defaults));
        let asking = self.asking(table, defaults);
        let wrong = match table.take("wrong") {
            Some(value) => self.speech_items("wrong", value),
            None => asking.wrong_key.clone(),
        };
        let collect = self.digits("pin", table, defaults);
        let tries = integer(sink, table, "tries", 1..6);
        let next = self.next(table);
        let on_refused = self.path(
            table,
            "on_refused",
            "where a caller goes who cannot prove it, e.g. to a person",
        );
        let mut path = |key| table.take(key).map(|value| self.target(key, value));
        let (on_locked, on_failed) = (path("on_locked"), path("on_failed"));
        let mut collect = collect?;
        collect.secret = true;
        let authenticate = Authenticate {
            customer: customer?,
            collect,
            tries: tries.unwrap_or(3) as u8,
            wrong,
            next,
            on_refused,
            on_locked,
            on_failed,
        };
        Some(Verb::Authenticate {
            speech: speech?,
            asking,
            authenticate: Box::new(authenticate),
        })
    }

    pub(super) fn message(&self, value: Value<'_>, table: &mut Table<'_>) -> Option<Verb> {
        let sink = self.sink;
        let kind = sink.string("message", value)?;
        if !KINDS.contains(&kind) {
            let hint =
                suggest(kind, KINDS).or_else(|| Some("there are `sms` and `email`".to_owned()));
            sink.error_with(
                value.span(),
                format!("there is no kind of message `{kind}`"),
                hint,
            );
        }
        let to = match table.take("to") {
            Some(value) => self.text("to", value),
            None if kind == "sms" => Text::compile("{{ call.ani }}").ok(),
            None => {
                sink.error_with(
                    value.span(),
                    "`to` is missing",
                    Some("whose address is it for?".to_owned()),
                );
                None
            }
        };
        let text = table.need(
            sink,
            "text",
            "what it says, e.g. `text = { zh-CN = \"…\", en = \"…\" }`",
        );
        let texts = text
            .map(|value| self.in_each_language("text", value))
            .unwrap_or_default();
        let path = match table.take("path") {
            Some(value) => self.text("path", value),
            None => Text::compile("/messages").ok(),
        };
        let service = self.service(table);
        let next = self.next(table);
        Some(Verb::Message(Box::new(Message {
            service: service?,
            path: path?,
            kind: kind.into(),
            to: to?,
            texts,
            next,
        })))
    }

    /// A text for each language of the flow, or one for all of them.
    fn in_each_language(&self, key: &str, value: Value<'_>) -> Vec<(crate::api::Lang, Text)> {
        let DeValue::Table(_) = value.get_ref() else {
            let texts = self
                .languages
                .iter()
                .filter_map(|language| Some((*language, self.text(key, value)?)));
            return texts.collect();
        };
        let entries = self
            .sink
            .table(key, value)
            .map(|table| table.entries())
            .unwrap_or_default();
        let mut texts = Vec::new();
        for (name, span, value) in entries {
            match super::parse_language(name).filter(|language| self.languages.contains(language)) {
                Some(language) => texts.extend(self.text(name, value).map(|text| (language, text))),
                None => self
                    .sink
                    .error(span, format!("the flow does not speak `{name}`")),
            }
        }
        for language in self
            .languages
            .iter()
            .filter(|language| !texts.iter().any(|(known, _)| known == *language))
        {
            let hint = Some(format!("add `{} = \"…\"`", super::code(*language)));
            self.sink.error_with(
                value.span(),
                format!("there is no text in {}", super::code(*language)),
                hint,
            );
        }
        texts
    }

    pub(super) fn survey(&self, value: Value<'_>, table: &mut Table<'_>) -> Option<Verb> {
        let next = self.next(table);
        let flow = self.sink.string("survey", value)?;
        if !self.flows.contains(flow) {
            let hint = suggest(flow, self.flows.iter().map(String::as_str));
            self.sink
                .error_with(value.span(), format!("there is no flow `{flow}`"), hint);
        }
        Some(Verb::Survey {
            flow: flow.into(),
            next,
        })
    }
}
