//! A flow file becomes a [`Flow`]: keys, types, targets, prompts and expressions are checked here; paths in `check.rs`.

mod lookup;
mod proof;
mod verbs;

pub(crate) use verbs::is_telephone_number;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use minijinja::value::Value as Jinja;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::api::{Currency, Lang};
use crate::expr::{self, Expr, Fault, Text};
use crate::flow::{
    Asking, Command, Defaults, Demand, Flow, Say, Service, State, StateId, Transfers, Verb,
};
use crate::load::Surroundings;
use crate::read::{self, Sink, Table, suggest};
use crate::spoken::{self, Kind};

/// Most states of one flow; a larger one should be several.
const MAX_STATES: usize = 1_000;
/// Most things said in one go.
const MAX_ITEMS: usize = 50;
/// Longest silence in a prompt.
const MAX_SILENCE: Duration = Duration::from_secs(60);
/// Words that `[keys]` and a menu's keys understand beside state names.
const COMMANDS: [&str; 2] = ["repeat", "back"];

/// One reading of variables, for the check that they are set before.
pub(crate) struct Use {
    /// `None` in `[defaults]`.
    pub(crate) state: Option<StateId>,
    pub(crate) name: String,
    pub(crate) span: Range<usize>,
}

/// A parsed flow with what only the checks need.
pub(crate) struct Parsed {
    pub(crate) flow: Flow,
    pub(crate) uses: Vec<Use>,
    /// Whether every state has its verb and every target its state, so that paths mean something.
    pub(crate) whole: bool,
}

/// Reads one file; complaints go to `sink`, and a flow comes back even when there are some, so that paths can be checked too.
pub(crate) fn flow(
    document: &Spanned<DeTable<'_>>,
    path: &Path,
    sink: &Sink<'_>,
    surroundings: &Surroundings<'_>,
    flows: &BTreeSet<String>,
) -> Option<Parsed> {
    let mut root = Table::root(document);
    let header = root.need(
        sink,
        "flow",
        "begin with `[flow]`, `name = …` and `start = …`",
    );
    let keys = root.take("keys");
    let defaults = root.take("defaults");
    let arguments = root.take("arguments");
    let variables = root.take("variables");
    let services = root.take("services");
    let states = root.need(sink, "state", "add a `[state.NAME]` table with a verb");
    root.finish(sink, "a flow file");

    let header = sink.table("flow", header?)?;
    let states = sink.table("state", states?)?;
    let mut parser = Parser::new(sink, surroundings, flows, &states);
    let header = parser.header(header);
    parser.services = parser.services(services);
    let arguments = parser.values("arguments", arguments);
    let variables = parser.values("variables", variables);
    let defaults = parser.defaults(defaults, header.span.clone());
    let keys = keys
        .map(|value| parser.keys("keys", value))
        .unwrap_or_default();
    let states = parser.states(states, &defaults);
    let flow = Flow {
        name: header.name.as_str().into(),
        file: path.into(),
        languages: parser.languages,
        start: header.start,
        states,
        keys,
        transfers: parser.transfers,
        demand: header.demand,
        version: String::new(),
        arguments,
        variables,
        defaults,
    };
    Some(Parsed {
        flow,
        uses: parser.uses.into_inner(),
        whole: parser.whole.get(),
    })
}

/// The name that a file gives its flow.
pub(crate) fn name<'d>(document: &'d Spanned<DeTable<'_>>) -> Option<(&'d str, Range<usize>)> {
    let name = document
        .get_ref()
        .get("flow")?
        .get_ref()
        .as_table()?
        .get("name")?;
    Some((name.get_ref().as_str()?, name.span()))
}

struct Header {
    name: String,
    demand: Option<Demand>,
    start: StateId,
    span: Range<usize>,
}

struct Parser<'a> {
    sink: &'a Sink<'a>,
    surroundings: &'a Surroundings<'a>,
    flows: &'a BTreeSet<String>,
    names: BTreeMap<&'a str, StateId>,
    languages: Vec<Lang>,
    transfers: Transfers,
    services: BTreeMap<String, Arc<Service>>,
    state: Option<StateId>,
    uses: RefCell<Vec<Use>>,
    whole: Cell<bool>,
}

impl<'a> Parser<'a> {
    fn new(
        sink: &'a Sink<'a>,
        surroundings: &'a Surroundings<'a>,
        flows: &'a BTreeSet<String>,
        states: &Table<'a>,
    ) -> Self {
        let mut names = BTreeMap::new();
        for (number, (name, span, _)) in states.entries().into_iter().enumerate() {
            names.insert(name, number);
            if COMMANDS.contains(&name) {
                sink.error(
                    span,
                    format!("`{name}` is what a key can do, it cannot name a state"),
                );
            } else if number == MAX_STATES {
                let hint = Some("split it, and use `call`".to_owned());
                sink.error_with(
                    span,
                    format!("a flow has at most {MAX_STATES} states"),
                    hint,
                );
            }
        }
        Parser {
            sink,
            surroundings,
            flows,
            names,
            languages: vec![Lang::ZhCn, Lang::En],
            transfers: Transfers::Internal,
            services: BTreeMap::new(),
            state: None,
            uses: RefCell::default(),
            whole: Cell::new(true),
        }
    }

    fn header(&mut self, mut table: Table<'_>) -> Header {
        let sink = self.sink;
        let span = table.span.clone();
        let name = table
            .need(sink, "name", "numbers and other flows use it")
            .and_then(|value| sink.string("name", value))
            .unwrap_or_default()
            .to_owned();
        let start = table.need(sink, "start", "name the first state");
        let start = start.map_or(0, |value| self.target("start", value));
        if let Some(value) = table.take("languages") {
            self.languages = self.language_list(value);
        }
        if let Some(value) = table.take("transfers") {
            match sink.string("transfers", value) {
                Some("internal") | None => {}
                Some("external") => self.transfers = Transfers::External,
                Some(other) => {
                    let hint = suggest(other, ["internal", "external"]);
                    sink.error_with(
                        value.span(),
                        "`transfers` must be `internal` or `external`",
                        hint,
                    );
                }
            }
        }
        let demand = table.take("coverage").and_then(|value| self.demand(value));
        table.finish(sink, "`[flow]`");
        Header {
            name,
            demand,
            start,
            span,
        }
    }

    /// `{ states = 100, branches = 80 }`
    fn demand(&self, value: &Spanned<DeValue<'_>>) -> Option<Demand> {
        let sink = self.sink;
        let mut table = sink.table("coverage", value)?;
        let mut share = |key| {
            let share = table.take(key);
            share.and_then(|value| sink.integer(key, value, 0..101))
        };
        let (states, branches) = (share("states"), share("branches"));
        table.finish(sink, "`coverage`");
        let (line, column) = sink.place(value.span());
        Some(Demand {
            states: states.unwrap_or(0) as usize,
            branches: branches.unwrap_or(0) as usize,
            line,
            column,
        })
    }

    fn language_list(&self, value: &Spanned<DeValue<'_>>) -> Vec<Lang> {
        let mut languages = Vec::new();
        for item in self.sink.array("languages", value) {
            let Some(language) = self
                .sink
                .string("languages", item)
                .and_then(|text| self.language(text, item))
            else {
                continue;
            };
            if languages.contains(&language) {
                self.sink
                    .error(item.span(), format!("`{}` stands twice", code(language)));
            } else {
                languages.push(language);
            }
        }
        if languages.is_empty() {
            self.sink
                .error(value.span(), "a flow speaks at least one language");
            languages.push(Lang::ZhCn);
        }
        languages
    }

    fn language(&self, text: &str, value: &Spanned<DeValue<'_>>) -> Option<Lang> {
        let language = parse_language(text);
        if language.is_none() {
            let hint = suggest(text, ["zh-CN", "en"])
                .or_else(|| Some("there are `zh-CN` and `en`".to_owned()));
            self.sink.error_with(
                value.span(),
                format!("`{text}` is no language known here"),
                hint,
            );
        }
        language
    }

    /// `[arguments]` and `[variables]`: names with their first values.
    fn values(&self, key: &str, value: Option<&Spanned<DeValue<'_>>>) -> BTreeMap<Arc<str>, Jinja> {
        let Some(value) = value else {
            return BTreeMap::new();
        };
        let Some(table) = value.get_ref().as_table() else {
            self.sink.error(
                value.span(),
                format!("`{key}` must be a table of names and first values"),
            );
            return BTreeMap::new();
        };
        let mut values = BTreeMap::new();
        for (name, value) in table {
            self.variable_name(name.get_ref(), name.span());
            if let Some(constant) = self.constant(name.get_ref(), value) {
                values.insert(Arc::from(name.get_ref().as_ref()), constant);
            }
        }
        values
    }

    fn constant(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Jinja> {
        match value.get_ref() {
            DeValue::Boolean(truth) => Some(Jinja::from(*truth)),
            DeValue::Integer(_) => read::integer(value.get_ref()).map(Jinja::from),
            DeValue::Float(number) => number.as_str().parse::<f64>().ok().map(Jinja::from),
            DeValue::String(text) => Some(Jinja::from(text.as_ref())),
            DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
                self.sink.error(
                    value.span(),
                    format!("`{key}` must be a string, a number, true or false"),
                );
                None
            }
        }
    }

    fn variable_name(&self, name: &str, span: Range<usize>) {
        let letters = name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if !letters || !name.starts_with(|c: char| c.is_ascii_lowercase()) {
            let hint = Some("use small letters, digits and `_`, a letter first".to_owned());
            self.sink
                .error_with(span, format!("`{name}` cannot name a variable"), hint);
        } else if expr::RESERVED.contains(&name) || expr::BUILT_IN.contains(&name) {
            self.sink.error(
                span,
                format!("`{name}` has a meaning of its own, it cannot name a variable"),
            );
        }
    }

    fn defaults(&self, value: Option<&Spanned<DeValue<'_>>>, header: Range<usize>) -> Defaults {
        let sink = self.sink;
        let empty = DeTable::new();
        let mut table = match value.and_then(|value| sink.table("defaults", value)) {
            Some(table) => table,
            None => Table::of(&empty, header.clone()),
        };
        let no_input = self.default_speech(&mut table, "no_input", "system/no_input", &header);
        let wrong_key = self.default_speech(&mut table, "wrong_key", "system/invalid", &header);
        let goodbye = self.default_speech(&mut table, "goodbye", "system/goodbye", &header);
        let error = self.default_speech(&mut table, "error", "system/error", &header);
        let mut time = |key, otherwise| {
            table
                .take(key)
                .and_then(|value| sink.duration(key, value))
                .unwrap_or(otherwise)
        };
        let first_digit = time("first_digit", Duration::from_secs(5));
        let inter_digit = time("inter_digit", Duration::from_secs(3));
        let wait_customer = time("wait_customer", Duration::from_millis(300));
        let retries = table
            .take("retries")
            .and_then(|value| sink.integer("retries", value, 0..10))
            .unwrap_or(3);
        let barge_in = table
            .take("barge_in")
            .and_then(|value| sink.boolean("barge_in", value))
            .unwrap_or(true);
        let mut path = |key| table.take(key).map(|value| self.target(key, value));
        let on_retries = path("on_retries");
        let on_error = path("on_error");
        let on_returned = path("on_returned");
        table.finish(sink, "`[defaults]`");
        let asking = Asking {
            first_digit,
            retries: retries as u8,
            no_input,
            wrong_key,
            on_retries,
        };
        Defaults {
            asking,
            inter_digit,
            wait_customer,
            barge_in,
            goodbye,
            error,
            on_error,
            on_returned,
        }
    }

    fn default_speech(
        &self,
        table: &mut Table<'_>,
        key: &'static str,
        built_in: &str,
        header: &Range<usize>,
    ) -> Vec<Say> {
        match table.take(key) {
            Some(value) => self.speech_items(key, value),
            None => {
                self.check_prompt(built_in, None, header.clone());
                vec![Say::File {
                    name: built_in.into(),
                    lang: None,
                }]
            }
        }
    }

    /// `{ 1 = "state", "*" = "repeat" }`
    fn keys(&self, key: &str, value: &Spanned<DeValue<'_>>) -> BTreeMap<char, Command> {
        let mut keys = BTreeMap::new();
        let Some(table) = self.sink.table(key, value) else {
            return keys;
        };
        for (name, span, value) in table.entries() {
            let Some(digit) = self.digit(name, span) else {
                continue;
            };
            let Some(text) = self.sink.string(name, value) else {
                continue;
            };
            let command = match text {
                "repeat" => Command::Repeat,
                "back" => Command::Back,
                _ => Command::Go(self.target(name, value)),
            };
            keys.insert(digit, command);
        }
        keys
    }

    fn digit(&self, text: &str, span: Range<usize>) -> Option<char> {
        let mut letters = text.chars();
        let digit = letters
            .next()
            .filter(|c| is_key(*c) && letters.next().is_none());
        if digit.is_none() {
            let hint = Some("keys are `0` to `9`, `*`, `#` and `A` to `D`".to_owned());
            self.sink
                .error_with(span, format!("`{text}` is no key"), hint);
        }
        digit
    }

    fn states(&mut self, table: Table<'_>, defaults: &Defaults) -> Vec<State> {
        let mut states = Vec::new();
        for (number, (name, span, value)) in table.entries().into_iter().enumerate() {
            self.state = Some(number);
            let verb = self
                .sink
                .table(name, value)
                .map(|table| self.verb(name, table, span.clone(), defaults));
            let (goal, verb) = verb.unwrap_or((false, None));
            self.whole.set(self.whole.get() && verb.is_some());
            // A wrong one has been complained about already.
            let verb = verb.unwrap_or(Verb::Hangup { speech: None });
            states.push(State {
                name: name.into(),
                span,
                goal,
                verb,
            });
        }
        self.state = None;
        states
    }

    /// The state that a value names; 0 after a complaint.
    fn target(&self, key: &str, value: &Spanned<DeValue<'_>>) -> StateId {
        let Some(name) = self.sink.string(key, value) else {
            return 0;
        };
        match self.names.get(name) {
            Some(state) => *state,
            None => {
                let hint = suggest(name, self.names.keys().copied())
                    .or_else(|| Some(format!("write `[state.{name}]` with what it does")));
                self.sink
                    .error_with(value.span(), format!("there is no state `{name}`"), hint);
                0
            }
        }
    }

    /// One prompt or an array of them.
    fn speech_items(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Vec<Say> {
        match value.get_ref() {
            DeValue::Array(items) => {
                if items.is_empty() || items.len() > MAX_ITEMS {
                    self.sink.error(
                        value.span(),
                        format!("`{key}` needs 1 to {MAX_ITEMS} prompts"),
                    );
                }
                items
                    .iter()
                    .filter_map(|item| self.speech_item(key, item))
                    .collect()
            }
            _ => self.speech_item(key, value).into_iter().collect(),
        }
    }

    fn speech_item(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Say> {
        if let Some(name) = value.get_ref().as_str() {
            self.check_prompt(name, None, value.span());
            return Some(Say::File {
                name: name.into(),
                lang: None,
            });
        }
        let mut table = self.sink.table(key, value)?;
        let file = table.take("prompt");
        let lang = table.take("lang");
        let text = table.take("text");
        let silence = table.take("silence");
        // Who answers is not known before: `agent = true`, and only where it is said then.
        if key == "announce"
            && let Some(truth) = table
                .take("agent")
                .filter(|agent| agent.get_ref().as_bool().is_some())
        {
            table.finish(self.sink, "a prompt");
            return self.sink.boolean("agent", truth).map(|_| Say::Agent);
        }
        let spoken: Vec<_> = Kind::ALL
            .into_iter()
            .filter_map(|kind| Some((kind, table.take(kind.key())?)))
            .collect();
        let weekday = table.take("weekday");
        let currency = table.take("currency");
        table.finish(self.sink, "a prompt");
        match (file, text, spoken.as_slice(), silence) {
            (Some(file), None, [], None) => {
                let name = self.sink.string("prompt", file)?;
                let lang =
                    lang.and_then(|value| self.language(self.sink.string("lang", value)?, value));
                self.check_prompt(name, lang, file.span());
                Some(Say::File {
                    name: name.into(),
                    lang,
                })
            }
            (None, Some(text), [], None) => self.texts(text).map(Say::Text),
            (None, None, [(kind, text)], None) => {
                let kind = self.refined(*kind, weekday, currency, value);
                self.spoken(kind, text)
            }
            (None, None, [], Some(silence)) => {
                let duration = self.sink.duration("silence", silence)?.min(MAX_SILENCE);
                Some(Say::Silence {
                    ms: duration.as_millis() as u32,
                })
            }
            _ => {
                let keys = Kind::ALL.map(|kind| format!("`{}`", kind.key())).join(", ");
                let hint = Some(format!("write one of `prompt`, `text`, {keys}, `silence`"));
                self.sink
                    .error_with(value.span(), "a prompt says exactly one thing", hint);
                None
            }
        }
    }

    /// What is read out: one text for every language of the flow, or a table of languages that has them all.
    fn texts(&self, value: &Spanned<DeValue<'_>>) -> Option<BTreeMap<Lang, Arc<Text>>> {
        if value.get_ref().as_table().is_none() {
            let text = Arc::new(self.text("text", value)?);
            return Some(
                self.languages
                    .iter()
                    .map(|lang| (*lang, text.clone()))
                    .collect(),
            );
        }
        let mut texts = BTreeMap::new();
        for (name, span, value) in self.sink.table("text", value)?.entries() {
            let lang = parse_language(name).filter(|lang| self.languages.contains(lang));
            match lang {
                Some(lang) => {
                    texts.insert(lang, self.text(name, value)?.into());
                }
                None => {
                    let known: Vec<_> = self.languages.iter().map(|lang| code(*lang)).collect();
                    let hint = Some(format!("its languages are {}", known.join(", ")));
                    let message = format!("`{name}` is no language of this flow");
                    self.sink.error_with(span, message, hint);
                }
            }
        }
        for lang in self
            .languages
            .iter()
            .filter(|lang| !texts.contains_key(lang))
        {
            let hint = Some(format!("add `\"{}\" = …` to it", code(*lang)));
            let message = format!("there is no text in {}", code(*lang));
            self.sink.error_with(value.span(), message, hint);
        }
        Some(texts)
    }

    /// The kind with what stands beside it: a date may leave the day of the week out, a sum of money names its currency.
    fn refined(
        &self,
        kind: Kind,
        weekday: Option<&Spanned<DeValue<'_>>>,
        currency: Option<&Spanned<DeValue<'_>>>,
        whole: &Spanned<DeValue<'_>>,
    ) -> Kind {
        let currencies = || Currency::ALL.map(Currency::code);
        match (kind, weekday, currency) {
            (Kind::Date { .. }, Some(weekday), None) => Kind::Date {
                weekday: self.sink.boolean("weekday", weekday).unwrap_or(true),
            },
            (Kind::Money(_), None, Some(value)) => {
                let code = self.sink.string("currency", value).unwrap_or("CNY");
                if let Some(currency) = spoken::currency(code) {
                    return Kind::Money(currency);
                }
                let hint = suggest(code, currencies())
                    .or_else(|| Some(format!("there are {}", currencies().join(", "))));
                let message = format!("`{code}` is no currency that can be said");
                self.sink.error_with(value.span(), message, hint);
                kind
            }
            (Kind::Money(_), None, None) => {
                let hint = Some(format!("there are {}", currencies().join(", ")));
                self.sink
                    .error_with(whole.span(), "`money` needs a `currency`", hint);
                kind
            }
            (_, None, None) => kind,
            (_, _, _) => {
                let message = "`weekday` goes with `date`, and `currency` with `money`";
                self.sink.error_with(whole.span(), message, None);
                kind
            }
        }
    }

    /// A constant is read at once, so that it is known to be one of its kind.
    fn spoken(&self, kind: Kind, value: &Spanned<DeValue<'_>>) -> Option<Say> {
        let text = match value.get_ref() {
            DeValue::Float(number) => Text::compile(number.as_str()).ok()?,
            _ => self.text(kind.key(), value)?,
        };
        if let Some(constant) = text.constant().filter(|text| kind.read(text).is_none()) {
            let message = format!("`{constant}` is no {}", kind.key());
            self.sink
                .error_with(value.span(), message, Some(kind.form().to_owned()));
        }
        Some(Say::Spoken {
            kind,
            text: text.into(),
        })
    }

    fn check_prompt(&self, name: &str, lang: Option<Lang>, span: Range<usize>) {
        let languages = lang.map_or_else(|| self.languages.clone(), |lang| vec![lang]);
        for language in languages
            .into_iter()
            .filter(|language| !(self.surroundings.has_prompt)(*language, name))
        {
            let hint = Some(format!(
                "add `\"{name}\" = …` under `[{}]` in prompts/texts.toml, or a recording",
                code(language)
            ));
            self.sink.error_with(
                span.clone(),
                format!("there is no prompt `{name}` in {}", code(language)),
                hint,
            );
        }
    }

    /// A text with expressions in it, or a number.
    pub(crate) fn text(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Text> {
        if let Some(number) = read::integer(value.get_ref()) {
            return Text::compile(&number.to_string()).ok();
        }
        let source = self.sink.string(key, value)?;
        match Text::compile(source) {
            Ok(text) => {
                text.exprs()
                    .for_each(|expr| self.note_uses(expr, value.span()));
                Some(text)
            }
            Err(fault) => {
                self.fault(&fault, source, value.span());
                None
            }
        }
    }

    fn expr(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Expr> {
        let source = self.sink.string(key, value)?;
        match Expr::compile(source) {
            Ok(expr) => {
                self.note_uses(&expr, value.span());
                Some(expr)
            }
            Err(fault) => {
                self.fault(&fault, source, value.span());
                None
            }
        }
    }

    fn note_uses(&self, expr: &Expr, span: Range<usize>) {
        for name in expr.reads() {
            let span = self.sink.find(span.clone(), name);
            self.uses.borrow_mut().push(Use {
                state: self.state,
                name: name.clone(),
                span,
            });
        }
    }

    /// An expression's own place lies one quotation mark inside its string.
    fn fault(&self, fault: &Fault, source: &str, span: Range<usize>) {
        let plain = span.len() == source.len() + 2;
        let start = if plain {
            span.start + 1 + fault.range.start
        } else {
            span.start
        };
        self.sink.error(
            start..span.end,
            format!("in the expression: {}", fault.message),
        );
    }
}

pub(crate) fn is_key(key: char) -> bool {
    matches!(key, '0'..='9' | '*' | '#' | 'A'..='D')
}

pub(crate) fn code(language: Lang) -> &'static str {
    match language {
        Lang::ZhCn => "zh-CN",
        Lang::En => "en",
    }
}

/// `zh-CN` or `en`; a customer's record may say `zh` or `en-US`.
pub(crate) fn parse_language(text: &str) -> Option<Lang> {
    match text {
        "zh-CN" | "zh" => Some(Lang::ZhCn),
        "en" | "en-US" | "en-GB" => Some(Lang::En),
        _ => None,
    }
}
