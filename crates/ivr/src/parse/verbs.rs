//! The verbs: one function each, from a state's table to [`Verb`].

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeValue;

use super::Parser;
use crate::flow::{
    Asking, Collect, Command, Defaults, Returned, Speech, StateId, Transfers, VERBS, Verb, Word,
};
use crate::hours::Calendar;
use crate::read::{Sink, Table, suggest};

/// Verbs that a later version will have; named so that the message can say so.
const LATER: [&str; 5] = ["voicemail", "callback", "survey", "authenticate", "message"];
/// Most digits that a state collects.
const MAX_DIGITS: i64 = 32;
/// Levels of a skill.
const LEVELS: Range<i64> = 1..11;
/// Most texts that a caller takes along to the desk.
const MAX_DATA: usize = 20;

pub(super) type Value<'v> = &'v Spanned<DeValue<'v>>;

impl Parser<'_> {
    /// Whether the state is a goal, and its verb unless that was wrong.
    pub(super) fn verb(
        &self,
        name: &str,
        mut table: Table<'_>,
        span: Range<usize>,
        defaults: &Defaults,
    ) -> (bool, Option<Verb>) {
        let sink = self.sink;
        let goal = table
            .take("goal")
            .and_then(|value| sink.boolean("goal", value))
            .unwrap_or(false);
        let present: Vec<&'static str> = VERBS
            .into_iter()
            .filter(|verb| table.entries().iter().any(|(key, ..)| key == verb))
            .collect();
        let verb = match present.as_slice() {
            [verb] => *verb,
            [] => {
                self.no_verb(name, &table, span);
                return (goal, None);
            }
            [first, second, ..] => {
                let message = format!("state `{name}` has two verbs, `{first}` and `{second}`");
                let hint = Some("make a second state for one of them".to_owned());
                sink.error_with(table.key_span(second), message, hint);
                return (goal, None);
            }
        };
        let Some(value) = table.take(verb) else {
            return (goal, None);
        };
        let verb = match verb {
            "say" => self.say(value, &mut table, defaults),
            "menu" => self.menu(value, &mut table, defaults),
            "collect" => self.collect(value, &mut table, defaults),
            "confirm" => self.confirm(value, &mut table, defaults),
            "lookup" => self.look_up(value, &mut table, defaults),
            "authenticate" => self.authenticate(value, &mut table, defaults),
            "message" => self.message(value, &mut table),
            "survey" => self.survey(value, &mut table),
            "decide" => self.decide(value, &mut table, defaults),
            "set" => self.set(value, &mut table),
            "hours" => self.hours(value, &mut table),
            "queue" => self.queue(value, &mut table),
            "transfer" => self.transfer(value, &mut table),
            "call" => self.call(value, &mut table),
            "return" => self.return_to_caller(value),
            _ => self.hangup(value, &mut table, defaults),
        };
        table.finish(sink, &format!("state `{name}`"));
        (goal, verb)
    }

    fn no_verb(&self, name: &str, table: &Table<'_>, span: Range<usize>) {
        if let Some((later, at, _)) = table
            .entries()
            .into_iter()
            .find(|(key, ..)| LATER.contains(key))
        {
            self.sink
                .error(at, format!("the verb `{later}` does not exist yet"));
            return;
        }
        let hint = table
            .entries()
            .iter()
            .find_map(|(key, ..)| suggest(key, VERBS));
        let hint = hint.or_else(|| Some(format!("verbs: {}", VERBS.join(", "))));
        self.sink
            .error_with(span, format!("state `{name}` has no verb"), hint);
    }

    pub(super) fn next(&self, table: &mut Table<'_>) -> StateId {
        self.path(table, "next", "name the state that follows")
    }

    pub(super) fn path(&self, table: &mut Table<'_>, key: &'static str, hint: &str) -> StateId {
        table
            .need(self.sink, key, hint)
            .map_or(0, |value| self.target(key, value))
    }

    pub(super) fn speech(
        &self,
        key: &str,
        value: Value<'_>,
        table: &mut Table<'_>,
        defaults: &Defaults,
    ) -> Speech {
        let mut flag = |key, otherwise| {
            table
                .take(key)
                .and_then(|value| self.sink.boolean(key, value))
                .unwrap_or(otherwise)
        };
        let every_language = flag("every_language", false);
        let barge_in = flag("barge_in", defaults.barge_in);
        Speech {
            items: self.speech_items(key, value),
            every_language,
            barge_in,
        }
    }

    pub(super) fn asking(&self, table: &mut Table<'_>, defaults: &Defaults) -> Asking {
        let mut asking = defaults.asking.clone();
        if let Some(time) = table
            .take("first_digit")
            .and_then(|value| self.sink.duration("first_digit", value))
        {
            asking.first_digit = time;
        }
        if let Some(retries) = table
            .take("retries")
            .and_then(|value| self.sink.integer("retries", value, 0..10))
        {
            asking.retries = retries as u8;
        }
        if let Some(value) = table.take("no_input") {
            asking.no_input = self.speech_items("no_input", value);
        }
        if let Some(value) = table.take("wrong_key") {
            asking.wrong_key = self.speech_items("wrong_key", value);
        }
        if let Some(value) = table.take("on_retries") {
            asking.on_retries = Some(self.target("on_retries", value));
        }
        asking
    }

    fn say(&self, value: Value<'_>, table: &mut Table<'_>, defaults: &Defaults) -> Option<Verb> {
        let speech = self.speech("say", value, table, defaults);
        Some(Verb::Say {
            speech,
            next: self.next(table),
        })
    }

    fn menu(&self, value: Value<'_>, table: &mut Table<'_>, defaults: &Defaults) -> Option<Verb> {
        let speech = self.speech("menu", value, table, defaults);
        let asking = self.asking(table, defaults);
        let keys = table.need(self.sink, "keys", "e.g. `keys = { 1 = \"state\" }`");
        let keys: BTreeMap<char, Command> = keys
            .map(|value| self.keys("keys", value))
            .unwrap_or_default();
        Some(Verb::Menu {
            speech,
            keys,
            asking,
        })
    }

    fn collect(
        &self,
        value: Value<'_>,
        table: &mut Table<'_>,
        defaults: &Defaults,
    ) -> Option<Verb> {
        let sink = self.sink;
        let variable = sink.string("collect", value)?;
        self.variable_name(variable, value.span());
        let prompt = table.need(sink, "prompt", "say what to key in");
        let speech = prompt.map(|value| self.speech("prompt", value, table, defaults));
        let asking = self.asking(table, defaults);
        let collect = self.digits(variable, table, defaults)?;
        let next = self.next(table);
        Some(Verb::Collect {
            speech: speech?,
            collect,
            asking,
            next,
        })
    }

    /// How digits are collected, for `collect` and `authenticate`.
    pub(super) fn digits(
        &self,
        variable: &str,
        table: &mut Table<'_>,
        defaults: &Defaults,
    ) -> Option<Collect> {
        let sink = self.sink;
        let length = integer(sink, table, "length", 1..MAX_DIGITS + 1);
        let min = integer(sink, table, "min", 1..MAX_DIGITS + 1);
        let max = integer(sink, table, "max", 1..MAX_DIGITS + 1);
        if length.is_some() && (min.is_some() || max.is_some()) {
            sink.error(
                table.key_span("length"),
                "`length` stands for both `min` and `max`",
            );
        }
        let (min, max) = (length.or(min).unwrap_or(1), length.or(max).unwrap_or(20));
        if min > max {
            sink.error(
                table.key_span("min"),
                format!("`min` is {min}, but `max` is {max}"),
            );
        }
        let terminator = match table.take("terminator") {
            None => Some('#'),
            Some(value) => match sink.string("terminator", value)? {
                "none" => None,
                text => self.digit(text, value.span()),
            },
        };
        let secret = table
            .take("secret")
            .and_then(|value| sink.boolean("secret", value))
            .unwrap_or(false);
        let inter_digit = table
            .take("inter_digit")
            .and_then(|value| sink.duration("inter_digit", value));
        let matching = table
            .take("matching")
            .and_then(|value| self.matching(value));
        let check = table
            .take("check")
            .and_then(|value| self.check_digit(value));
        Some(Collect {
            variable: variable.into(),
            min: min as usize,
            max: max as usize,
            terminator,
            secret,
            inter_digit: inter_digit.unwrap_or(defaults.inter_digit),
            matching,
            check,
        })
    }

    fn confirm(
        &self,
        value: Value<'_>,
        table: &mut Table<'_>,
        defaults: &Defaults,
    ) -> Option<Verb> {
        let speech = self.speech("confirm", value, table, defaults);
        let asking = self.asking(table, defaults);
        let mut key = |name: &'static str, otherwise| match table.take(name) {
            None => Some(otherwise),
            Some(value) => self.digit(self.sink.string(name, value)?, value.span()),
        };
        let (yes_key, no_key) = (key("yes_key", '1')?, key("no_key", '2')?);
        if yes_key == no_key {
            self.sink.error(
                table.key_span("yes_key"),
                "`yes_key` and `no_key` are the same",
            );
        }
        let yes = self.path(table, "yes", "name the state after a yes");
        let no = self.path(table, "no", "name the state after a no");
        Some(Verb::Confirm {
            speech,
            yes: (yes_key, yes),
            no: (no_key, no),
            asking,
        })
    }

    fn decide(&self, value: Value<'_>, table: &mut Table<'_>, defaults: &Defaults) -> Option<Verb> {
        let mut cases = Vec::new();
        for item in self.sink.array("decide", value) {
            let Some(mut case) = self.sink.table("decide", item) else {
                continue;
            };
            let condition = case.need(self.sink, "if", "a condition, e.g. `customer.class == 'A'`");
            let target = self.next(&mut case);
            case.finish(self.sink, "a case");
            if let Some(expr) = condition.and_then(|value| self.expr("if", value)) {
                cases.push((expr, target));
            }
        }
        let otherwise = self.path(table, "otherwise", "name the state when no condition holds");
        let wait = table
            .take("wait_customer")
            .and_then(|value| self.sink.duration("wait_customer", value));
        let reads_customer = cases.iter().any(|(expr, _)| expr.reads_customer());
        if wait.is_some() && !reads_customer {
            self.sink.error(
                table.key_span("wait_customer"),
                "no condition here reads the customer",
            );
        }
        let wait_customer = reads_customer.then(|| wait.unwrap_or(defaults.wait_customer));
        Some(Verb::Decide {
            cases,
            otherwise,
            wait_customer,
        })
    }

    fn set(&self, value: Value<'_>, table: &mut Table<'_>) -> Option<Verb> {
        let next = self.next(table);
        let variables = self.sink.table("set", value)?;
        let (mut values, mut constants, mut language) = (Vec::new(), Vec::new(), None);
        for (name, span, value) in variables.entries() {
            if name == "language" {
                language = self
                    .sink
                    .string("language", value)
                    .and_then(|text| self.language(text, value));
                if language.is_some_and(|language| !self.languages.contains(&language)) {
                    self.sink.error(
                        value.span(),
                        "the flow does not speak this language: see `languages` in `[flow]`",
                    );
                }
                continue;
            }
            self.variable_name(name, span);
            let is_text = value
                .get_ref()
                .as_str()
                .is_some_and(|text| text.contains("{{") || text.contains("{%"));
            if is_text {
                values.extend(self.text(name, value).map(|text| (Arc::from(name), text)));
            } else {
                constants.extend(
                    self.constant(name, value)
                        .map(|constant| (Arc::from(name), constant)),
                );
            }
        }
        Some(Verb::Set {
            values,
            constants,
            language,
            next,
        })
    }

    fn hours(&self, value: Value<'_>, table: &mut Table<'_>) -> Option<Verb> {
        let sink = self.sink;
        let zone_value = table.need(sink, "zone", "a time zone, e.g. `Asia/Shanghai`");
        let zone = zone_value.and_then(|value| {
            let name = sink.string("zone", value)?;
            let zone = Calendar::zone(name);
            if zone.is_none() {
                let hint = suggest(
                    name,
                    [
                        "Asia/Shanghai",
                        "Asia/Hong_Kong",
                        "Asia/Singapore",
                        "Europe/London",
                        "UTC",
                    ],
                );
                sink.error_with(
                    value.span(),
                    format!("there is no time zone `{name}`"),
                    hint,
                );
            }
            zone
        });
        let mut calendar = Calendar::new(zone.unwrap_or(jiff::tz::TimeZone::UTC));
        for item in sink.array("hours", value) {
            if sink
                .string("hours", item)
                .is_some_and(|text| calendar.open(text).is_none())
            {
                let hint = Some("write `Mon-Fri 09:00-18:00` or `Sat 10:00-14:00`".to_owned());
                sink.error_with(item.span(), "these are no opening hours", hint);
            }
        }
        for item in table
            .take("holidays")
            .map(|value| sink.array("holidays", value))
            .unwrap_or_default()
        {
            if sink
                .string("holidays", item)
                .is_some_and(|text| calendar.close(text).is_none())
            {
                let hint = Some("write `2026-10-01` or `2026-10-01..2026-10-07`".to_owned());
                sink.error_with(item.span(), "this is no day", hint);
            }
        }
        let open = self.path(table, "open", "name the state for open hours");
        let closed = self.path(table, "closed", "name the state for closed hours");
        Some(Verb::Hours {
            calendar,
            open,
            closed,
        })
    }

    fn returned(&self, table: &mut Table<'_>, words: &[Word]) -> Returned {
        let mut returned = Returned::default();
        for word in words {
            if let Some(value) = table.take(word.key()) {
                returned.paths.insert(*word, self.target(word.key(), value));
            }
        }
        returned
    }

    fn queue(&self, value: Value<'_>, table: &mut Table<'_>) -> Option<Verb> {
        let sink = self.sink;
        let words = [
            Word::Full,
            Word::Closed,
            Word::NoAgent,
            Word::Failed,
            Word::Other,
        ];
        let returned = self.returned(table, &words);
        let skills = table
            .take("skills")
            .map(|value| self.skills(value))
            .unwrap_or_default();
        let priority = match table.take("priority") {
            Some(value) => self.text("priority", value),
            None => crate::expr::Text::compile("0").ok(),
        };
        let mut data = Vec::new();
        if let Some((entries, span)) = table
            .take("data")
            .and_then(|value| Some((sink.table("data", value)?.entries(), value.span())))
        {
            if entries.len() > MAX_DATA {
                sink.error(
                    span,
                    format!("a caller takes at most {MAX_DATA} texts along"),
                );
            }
            for (name, _, value) in entries {
                data.extend(self.text(name, value).map(|text| (name.to_owned(), text)));
            }
        }
        let announce = table
            .take("announce")
            .map(|value| self.speech_items("announce", value));
        let queue = sink.string("queue", value)?;
        if !self.surroundings.queues.contains(queue) {
            let hint = suggest(queue, self.surroundings.queues.iter().map(String::as_str))
                .or_else(|| Some("queues are in queues.toml".to_owned()));
            sink.error_with(value.span(), format!("there is no queue `{queue}`"), hint);
        }
        Some(Verb::Queue {
            queue: queue.into(),
            skills,
            priority: priority?,
            data,
            announce: announce.unwrap_or_default(),
            returned,
        })
    }

    fn skills(&self, value: Value<'_>) -> BTreeMap<String, u8> {
        let entries = self
            .sink
            .table("skills", value)
            .map(|table| table.entries())
            .unwrap_or_default();
        let level = |name: &str, value| {
            self.sink
                .integer(name, value, LEVELS)
                .map(|level| (name.to_owned(), level as u8))
        };
        entries
            .into_iter()
            .filter_map(|(name, _, value)| level(name, value))
            .collect()
    }

    fn transfer(&self, value: Value<'_>, table: &mut Table<'_>) -> Option<Verb> {
        let words = [Word::Busy, Word::NoAnswer, Word::Failed, Word::Other];
        let returned = self.returned(table, &words);
        let to = self.text("transfer", value)?;
        if let Some(number) = to.constant() {
            let internal = self.surroundings.numbers.contains(number);
            if !internal && self.transfers == Transfers::Internal {
                let hint = suggest(number, self.surroundings.numbers.iter().map(String::as_str))
                    .or_else(|| {
                        Some(
                            "`transfers = \"external\"` in `[flow]` allows other telephone numbers"
                                .to_owned(),
                        )
                    });
                self.sink.error_with(
                    value.span(),
                    format!("`{number}` is no number of this centre"),
                    hint,
                );
            } else if !internal && !is_telephone_number(number) {
                self.sink
                    .error(value.span(), format!("`{number}` is no telephone number"));
            }
        }
        Some(Verb::Transfer { to, returned })
    }

    fn call(&self, value: Value<'_>, table: &mut Table<'_>) -> Option<Verb> {
        let sink = self.sink;
        let next = self.next(table);
        let mut with = Vec::new();
        for (name, _, value) in table
            .take("with")
            .and_then(|value| Some(sink.table("with", value)?.entries()))
            .unwrap_or_default()
        {
            with.extend(self.text(name, value).map(|text| (Arc::from(name), text)));
        }
        let mut results = Vec::new();
        for (name, span, value) in table
            .take("results")
            .and_then(|value| Some(sink.table("results", value)?.entries()))
            .unwrap_or_default()
        {
            self.variable_name(name, span);
            results.extend(
                sink.string(name, value)
                    .map(|text| (Arc::from(name), Arc::from(text))),
            );
        }
        let flow = sink.string("call", value)?;
        if !self.flows.contains(flow) {
            let hint = suggest(flow, self.flows.iter().map(String::as_str));
            sink.error_with(value.span(), format!("there is no flow `{flow}`"), hint);
        }
        Some(Verb::Call {
            flow: flow.into(),
            with,
            results,
            next,
        })
    }

    fn return_to_caller(&self, value: Value<'_>) -> Option<Verb> {
        let mut results = Vec::new();
        for (name, span, value) in self.sink.table("return", value)?.entries() {
            self.variable_name(name, span);
            results.extend(self.text(name, value).map(|text| (Arc::from(name), text)));
        }
        Some(Verb::Return { results })
    }

    fn hangup(&self, value: Value<'_>, table: &mut Table<'_>, defaults: &Defaults) -> Option<Verb> {
        let speech = match value.get_ref() {
            DeValue::Boolean(_) => None,
            _ => Some(self.speech("hangup", value, table, defaults)),
        };
        Some(Verb::Hangup { speech })
    }
}

pub(super) fn integer(
    sink: &Sink<'_>,
    table: &mut Table<'_>,
    key: &'static str,
    range: Range<i64>,
) -> Option<i64> {
    table
        .take(key)
        .and_then(|value| sink.integer(key, value, range))
}

/// Three to fifteen digits, with or without a `+`.
pub(crate) fn is_telephone_number(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or(text);
    (3..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}
