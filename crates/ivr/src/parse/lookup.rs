//! `[services]` and the verb `lookup`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::Parser;
use super::verbs::{Value, integer};
use crate::expr::Text;
use crate::flow::{
    Body, Defaults, HeaderText, HttpQuestion, LookUp, Question, Service, StateId, Verb, Wanted,
};
use crate::read::{Table, suggest};

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];
/// Patience for one try where a state says nothing.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Longest patience: a caller hears nothing new meanwhile.
const MAX_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time that an answer may serve others.
const MAX_CACHE: Duration = Duration::from_secs(3_600);
/// Most headers, fields of a body, and results.
const MAX_FIELDS: usize = 30;
/// Deepest body.
const MAX_DEPTH: usize = 4;

impl Parser<'_> {
    /// `[services.NAME]`: where look-ups may go. Scheme, host and port stand in the file, so that no caller chooses them.
    pub(super) fn services(
        &self,
        value: Option<&Spanned<DeValue<'_>>>,
    ) -> BTreeMap<String, Arc<Service>> {
        let table = value.and_then(|value| self.sink.table("services", value));
        let mut services = BTreeMap::new();
        for (name, _, value) in table.map(|table| table.entries()).unwrap_or_default() {
            let Some(mut table) = self.sink.table(name, value) else {
                continue;
            };
            let url = table.need(
                self.sink,
                "url",
                "e.g. `url = \"https://orders.example.com\"`",
            );
            let url = url.and_then(|value| self.base_url(value));
            let url_from = table
                .take("url_from")
                .and_then(|value| self.variable(value));
            let headers = table.take("headers").map(|value| self.headers(value));
            let signed_by = table
                .take("signed_by")
                .and_then(|value| self.variable(value));
            table.finish(self.sink, &format!("`[services.{name}]`"));
            let service = Service {
                name: name.into(),
                url: url.unwrap_or_default(),
                url_from,
                headers: headers.unwrap_or_default(),
                signed_by,
            };
            services.insert(name.to_owned(), Arc::new(service));
        }
        services
    }

    fn base_url(&self, value: Value<'_>) -> Option<Arc<str>> {
        let text = self.sink.string("url", value)?;
        let rest = ["http://", "https://"]
            .into_iter()
            .find_map(|scheme| text.strip_prefix(scheme));
        let host = rest.map(|rest| rest.split('/').next().unwrap_or_default());
        let plain = |c: char| c.is_ascii_graphic() && !"{}\"'<>@?#\\".contains(c);
        if host.is_none_or(str::is_empty) || !text.chars().all(plain) {
            let hint = Some("write `http://HOST:PORT` or `https://HOST`, perhaps with the beginning of the path".to_owned());
            self.sink.error_with(
                value.span(),
                format!("`{text}` is no address of a service"),
                hint,
            );
        }
        Some(text.trim_end_matches('/').into())
    }

    /// The name of an environment variable.
    fn variable(&self, value: Value<'_>) -> Option<Arc<str>> {
        let text = self.sink.string("variable", value)?;
        let letters = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        if text.is_empty() || !text.chars().all(letters) {
            let hint = Some("name the variable, not its value: secrets do not stand in flows, e.g. `ORDERS_TOKEN`".to_owned());
            self.sink
                .error_with(value.span(), "this is no environment variable", hint);
        }
        Some(text.into())
    }

    /// `{ Accept-Language = "{{ language }}", Authorization = { before = "Bearer ", env = "TOKEN" } }`
    fn headers(&self, value: Value<'_>) -> Vec<(Arc<str>, HeaderText)> {
        let entries = self
            .sink
            .table("headers", value)
            .map(|table| table.entries())
            .unwrap_or_default();
        let mut headers = Vec::new();
        for (name, span, value) in entries.into_iter().take(MAX_FIELDS) {
            // RFC 9110 section 5.6.2: a token.
            let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
            if name.is_empty() || !name.chars().all(token) {
                self.sink
                    .error(span, format!("`{name}` cannot name a header"));
                continue;
            }
            let text = match value.get_ref() {
                DeValue::Table(_) => self.secret(value),
                _ => self
                    .text(name, value)
                    .map(|text| HeaderText::Text(text.into())),
            };
            headers.extend(text.map(|text| (Arc::from(name), text)));
        }
        headers
    }

    fn secret(&self, value: Value<'_>) -> Option<HeaderText> {
        let mut table = self.sink.table("header", value)?;
        let before = table
            .take("before")
            .and_then(|value| self.sink.string("before", value));
        let variable = table.need(self.sink, "env", "the environment variable with the secret");
        table.finish(self.sink, "a header");
        Some(HeaderText::Secret {
            before: before.unwrap_or_default().into(),
            variable: self.variable(variable?)?,
        })
    }

    pub(super) fn look_up(
        &self,
        value: Value<'_>,
        table: &mut Table<'_>,
        defaults: &Defaults,
    ) -> Option<Verb> {
        let sink = self.sink;
        let speech = table
            .take("prompt")
            .map(|value| self.speech("prompt", value, table, defaults));
        let results = table
            .take("results")
            .map(|value| self.results(value))
            .unwrap_or_default();
        let timeout = self
            .bounded(table, "timeout", MAX_TIMEOUT)
            .unwrap_or(TIMEOUT);
        let retries = integer(sink, table, "retries", 0..4);
        let next = self.next(table);
        let on_failed = self.path(
            table,
            "on_failed",
            "where a call goes when there is no answer, e.g. to a person",
        );
        let path = |table: &mut Table<'_>, key: &'static str| -> Option<StateId> {
            table.take(key).map(|value| self.target(key, value))
        };
        let (on_missing, on_timeout) = (path(table, "on_missing"), path(table, "on_timeout"));
        let question = match sink.string("lookup", value)? {
            "customer" => Question::Customer(self.number(table)?),
            "history" => Question::History(self.number(table)?),
            text => Question::Http(self.http(text, value, table)?),
        };
        // What changes something is not done twice unless the flow says that it may be.
        let again = match &question {
            Question::Http(http) if http.method != "GET" => 0,
            Question::Http(_) | Question::Customer(_) | Question::History(_) => 1,
        };
        Some(Verb::LookUp(Box::new(LookUp {
            question,
            speech,
            results,
            timeout,
            retries: retries.unwrap_or(again) as u8,
            next,
            on_missing,
            on_failed,
            on_timeout,
        })))
    }

    /// Whose: the caller's, unless the state names another.
    fn number(&self, table: &mut Table<'_>) -> Option<Text> {
        match table.take("number") {
            Some(value) => self.text("number", value),
            None => Text::compile("{{ call.ani }}").ok(),
        }
    }

    fn http(&self, text: &str, value: Value<'_>, table: &mut Table<'_>) -> Option<HttpQuestion> {
        let body = table.take("body").and_then(|value| self.fields(value, 0));
        let headers = table
            .take("headers")
            .map(|value| self.headers(value))
            .unwrap_or_default();
        let cache = self.bounded(table, "cache", MAX_CACHE);
        let service = self.service(table);
        let (method, path) = match text
            .split_once(' ')
            .filter(|(word, _)| !word.starts_with('/'))
        {
            Some((word, path)) => (
                METHODS.into_iter().find(|method| *method == word),
                path.trim(),
            ),
            None => (Some(if body.is_some() { "POST" } else { "GET" }), text),
        };
        if method.is_none() || !path.starts_with('/') {
            let hint = Some("write `GET /orders/{{ number }}`, `customer` or `history`; methods: GET, POST, PUT, PATCH, DELETE".to_owned());
            self.sink.error_with(
                value.span(),
                format!("`{text}` is nothing to look up"),
                hint,
            );
            return None;
        }
        if cache.is_some() && method != Some("GET") {
            self.sink.error(
                table.key_span("cache"),
                "only the answer to a GET can serve others",
            );
        }
        if body.is_some() && method == Some("GET") {
            self.sink.error(table.key_span("body"), "a GET has no body");
        }
        let path = match Text::compile(path) {
            Ok(text) => {
                text.exprs()
                    .for_each(|expr| self.note_uses(expr, value.span()));
                text
            }
            Err(fault) => {
                self.fault(&fault, path, value.span());
                return None;
            }
        };
        let service = service?;
        let headers = service.headers.iter().cloned().chain(headers).collect();
        Some(HttpQuestion {
            service,
            method: method?,
            path,
            headers,
            body,
            cache,
        })
    }

    /// The service that a state names; the only one needs no name.
    pub(super) fn service(&self, table: &mut Table<'_>) -> Option<Arc<Service>> {
        let named = table.take("service");
        let names = || self.services.keys().map(String::as_str);
        let Some(value) = named else {
            if self.services.len() == 1 {
                return self.services.values().next().cloned();
            }
            let hint = Some(match self.services.is_empty() {
                true => "declare `[services.NAME]` with its `url`".to_owned(),
                false => format!("name one of: {}", names().collect::<Vec<_>>().join(", ")),
            });
            self.sink
                .error_with(table.span.clone(), "`service` is missing", hint);
            return None;
        };
        let name = self.sink.string("service", value)?;
        let service = self.services.get(name).cloned();
        if service.is_none() {
            let hint = suggest(name, names())
                .or_else(|| Some(format!("declare `[services.{name}]` with its `url`")));
            self.sink
                .error_with(value.span(), format!("there is no service `{name}`"), hint);
        }
        service
    }

    pub(super) fn bounded(
        &self,
        table: &mut Table<'_>,
        key: &'static str,
        longest: Duration,
    ) -> Option<Duration> {
        let value = table.take(key)?;
        let time = self.sink.duration(key, value)?;
        if time > longest || time.is_zero() {
            self.sink.error(
                value.span(),
                format!("`{key}` is at most {} s, and not zero", longest.as_secs()),
            );
        }
        Some(time)
    }

    /// A JSON object: texts, numbers, truths, and objects of them.
    pub(super) fn fields(&self, value: Value<'_>, depth: usize) -> Option<Vec<(Arc<str>, Body)>> {
        let entries = self.sink.table("body", value)?.entries();
        if entries.len() > MAX_FIELDS || depth == MAX_DEPTH {
            self.sink.error(
                value.span(),
                format!("a body has at most {MAX_FIELDS} fields, {MAX_DEPTH} deep"),
            );
            return None;
        }
        let mut fields = Vec::new();
        for (name, _, value) in entries {
            let field = match value.get_ref() {
                DeValue::Table(_) => self.fields(value, depth + 1).map(Body::Record),
                DeValue::String(_) => self.text(name, value).map(Body::Text),
                _ => self.constant(name, value).map(Body::Constant),
            };
            fields.extend(field.map(|field| (Arc::from(name), field)));
        }
        Some(fields)
    }

    /// `{ status = "order.status", days = { path = "eta.days", default = 0 } }`
    fn results(&self, value: Value<'_>) -> Vec<Wanted> {
        let entries = self
            .sink
            .table("results", value)
            .map(|table| table.entries())
            .unwrap_or_default();
        let mut results = Vec::new();
        for (name, span, value) in entries.into_iter().take(MAX_FIELDS) {
            self.variable_name(name, span);
            let mut otherwise = None;
            let path = match value.get_ref() {
                DeValue::Table(_) => {
                    let Some(mut table) = self.sink.table(name, value) else {
                        continue;
                    };
                    let path = table.need(
                        self.sink,
                        "path",
                        "where it stands in the answer, e.g. `order.status`",
                    );
                    otherwise = table
                        .take("default")
                        .and_then(|value| self.constant("default", value));
                    table.finish(self.sink, "a result");
                    path.and_then(|path| self.sink.string("path", path))
                }
                _ => self.sink.string(name, value),
            };
            let Some(path) = path else { continue };
            let path: Vec<Box<str>> = path.split('.').map(Box::from).collect();
            if path.iter().any(|part| part.is_empty()) || path.len() > MAX_DEPTH * 2 {
                let hint = Some(
                    "names of fields and numbers of elements, with dots between: `orders.0.status`"
                        .to_owned(),
                );
                self.sink
                    .error_with(value.span(), "this is no place in an answer", hint);
            }
            results.push(Wanted {
                variable: name.into(),
                path,
                otherwise,
            });
        }
        results
    }
}
