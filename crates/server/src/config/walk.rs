//! The check of a file's form against its schema: every unknown key, wrong type, and value out of bounds at once, with its place.
//!
//! The schema is the one published for editors (`docs/schema/`), made from the very structs that are read, so the two cannot disagree. What is wrong
//! is taken out of the tree: the rest can still be read, and its own faults told.

use std::net::IpAddr;
use std::ops::Range;

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::value::{LENGTH_FORMAT, Length};

/// Something wrong, with its place in the source.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    pub span: Range<usize>,
    pub message: String,
    pub hint: Option<String>,
}

/// Checks a table; what is wrong is reported and removed. `raw` gives the text of an override, which may be taken as a string where one is wanted.
pub fn walk(
    schema: &Json,
    table: &mut DeTable<'_>,
    raw: &dyn Fn(&Range<usize>) -> Option<String>,
) -> Vec<Fault> {
    let mut walk = Walk {
        faults: Vec::new(),
        raw,
    };
    walk.table(schema, table, 0..0, "");
    walk.faults
}

struct Walk<'a> {
    faults: Vec<Fault>,
    raw: &'a dyn Fn(&Range<usize>) -> Option<String>,
}

impl Walk<'_> {
    fn fault(&mut self, span: Range<usize>, message: String, hint: Option<String>) -> bool {
        self.faults.push(Fault {
            span,
            message,
            hint,
        });
        false
    }

    /// False when the table as a whole cannot be used.
    fn table(
        &mut self,
        schema: &Json,
        table: &mut DeTable<'_>,
        span: Range<usize>,
        path: &str,
    ) -> bool {
        let properties = schema.get("properties").and_then(Json::as_object);
        let additional = schema
            .get("additionalProperties")
            .filter(|more| more.is_object());
        let required = |key: &str| {
            schema
                .get("required")
                .and_then(Json::as_array)
                .is_some_and(|keys| keys.iter().any(|k| k == key))
        };
        let mut wrong = Vec::new();
        let mut whole = true;
        for (key, value) in table.iter_mut() {
            let name: &str = key.get_ref();
            let inner = if path.is_empty() {
                name.to_owned()
            } else {
                format!("{path}.{name}")
            };
            match properties.and_then(|known| known.get(name)).or(additional) {
                Some(of) => {
                    if !self.value(of, value, &inner) {
                        whole &= !required(name);
                        wrong.push(name.to_owned());
                    }
                }
                None => {
                    let known = properties
                        .map(|known| known.keys().map(String::as_str).collect())
                        .unwrap_or_default();
                    let hint = hint_for_key(name, known);
                    self.fault(
                        key.span(),
                        format!("unknown key `{name}`{}", within(path)),
                        Some(hint),
                    );
                    wrong.push(name.to_owned());
                }
            }
        }
        for key in wrong {
            table.remove(key.as_str());
        }
        for key in schema
            .get("required")
            .and_then(Json::as_array)
            .into_iter()
            .flatten()
            .filter_map(Json::as_str)
        {
            let told = !whole;
            if !table.contains_key(key) && !told {
                let hint = properties
                    .and_then(|known| known.get(key))
                    .and_then(meaning);
                whole = self.fault(
                    span.clone(),
                    format!("`{key}` is missing{}", within(path)),
                    hint,
                );
            }
        }
        whole
    }

    fn value(&mut self, schema: &Json, value: &mut Spanned<DeValue<'_>>, path: &str) -> bool {
        let span = value.span();
        let wanted = branches(schema);
        if value.get_ref().as_str().is_none()
            && wanted.iter().any(|branch| is_type(branch, "string"))
            && !wanted.iter().any(|branch| fits(branch, value.get_ref()))
            && let Some(text) = (self.raw)(&span)
        {
            *value.get_mut() = DeValue::String(text.into());
        }
        let Some(branch) = wanted.iter().find(|branch| fits(branch, value.get_ref())) else {
            let expected: Vec<&str> = wanted
                .iter()
                .map(|branch| type_name(branch))
                .filter(|name| *name != "null")
                .collect();
            let message = format!(
                "`{path}` must be {}, but this is {}",
                expected.join(" or "),
                kind(value.get_ref())
            );
            let hint = example(schema).or_else(|| written(branches(schema).first()?));
            return self.fault(span, message, hint.or_else(|| meaning(schema)));
        };
        match value.get_mut() {
            DeValue::String(text) => {
                let text = text.to_string();
                self.text(schema, branch, &text, span, path)
            }
            DeValue::Integer(number) => {
                let number =
                    i128::from_str_radix(&number.as_str().replace('_', ""), number.radix())
                        .unwrap_or(i128::MAX);
                self.number(schema, branch, number, span, path)
            }
            DeValue::Array(items) => {
                self.array(branch, items, path);
                true
            }
            DeValue::Table(table) => self.table(branch, table, span, path),
            DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => true,
        }
    }

    fn array(&mut self, schema: &Json, items: &mut DeArray<'_>, path: &str) {
        let Some(of) = schema.get("items") else {
            return;
        };
        let mut kept = DeArray::new();
        for mut item in std::mem::replace(items, DeArray::new()) {
            if self.value(of, &mut item, path) {
                kept.push(item);
            }
        }
        *items = kept;
    }

    fn number(
        &mut self,
        schema: &Json,
        branch: &Json,
        number: i128,
        span: Range<usize>,
        path: &str,
    ) -> bool {
        let bound = |key: &str| {
            branch
                .get(key)
                .and_then(Json::as_f64)
                .map(|bound| bound as i128)
        };
        let (low, high) = (
            bound("minimum").unwrap_or(i128::MIN),
            bound("maximum").unwrap_or(i128::MAX),
        );
        if number < low || number > high {
            let range = match (bound("minimum"), bound("maximum")) {
                (Some(low), Some(high)) => format!("{low} to {high}"),
                (Some(low), None) => format!("{low} or more"),
                (None, Some(high)) => format!("{high} or less"),
                (None, None) => String::new(),
            };
            return self.fault(
                span,
                format!("`{path}` must be {range}, but this is {number}"),
                meaning(schema),
            );
        }
        true
    }

    fn text(
        &mut self,
        schema: &Json,
        branch: &Json,
        text: &str,
        span: Range<usize>,
        path: &str,
    ) -> bool {
        let choices = choices(schema);
        if !choices.is_empty() && !choices.contains(&text) {
            let hint = near(text, &choices).map(|near| format!("did you mean \"{near}\"?"));
            let hint = hint.or_else(|| meaning(schema));
            let message = format!(
                "`{path}` must be one of {}, but this is \"{text}\"",
                quoted(&choices)
            );
            return self.fault(span, message, hint);
        }
        match branch.get("format").and_then(Json::as_str) {
            Some(LENGTH_FORMAT) => match text.parse::<Length>() {
                Ok(_) => true,
                Err(message) => self.fault(
                    span,
                    format!("`{path}`: {message}"),
                    Some("write \"20s\", \"500ms\", \"5m\" or \"1h\"".to_owned()),
                ),
            },
            Some("ip") if text.parse::<IpAddr>().is_err() => self.fault(
                span,
                format!("`{path}` must be an IP address, but this is \"{text}\""),
                Some("e.g. \"127.0.0.1\"; names are not looked up".to_owned()),
            ),
            _ => true,
        }
    }
}

/// Hints for keys that people expect and that are refused on purpose.
fn hint_for_key(name: &str, known: Vec<&str>) -> String {
    if name == "password" {
        return "plain passwords are not kept in files: `cordboard agent passwd ID` prints the lines with its hashes".to_owned();
    }
    match near(name, &known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known keys: {}", known.join(", ")),
    }
}

/// The nearest of the known words, when it is near enough to be meant.
pub fn near<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = word.to_lowercase();
    known
        .iter()
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&word, &candidate.to_lowercase()),
                *candidate,
            )
        })
        .filter(|(distance, candidate)| {
            *distance <= (candidate.chars().count().max(word.chars().count()) / 3).max(1)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn within(path: &str) -> String {
    if path.is_empty() {
        String::new()
    } else {
        format!(" in `{path}`")
    }
}

fn quoted(words: &[&str]) -> String {
    words
        .iter()
        .map(|word| format!("\"{word}\""))
        .collect::<Vec<_>>()
        .join(", ")
}

fn branches(schema: &Json) -> Vec<&Json> {
    match schema
        .get("anyOf")
        .or_else(|| schema.get("oneOf"))
        .and_then(Json::as_array)
    {
        // An optional value of several forms is a choice within a choice.
        Some(branches) => branches
            .iter()
            .flat_map(
                |branch| match branch.get("anyOf").and_then(Json::as_array) {
                    Some(inner) => inner.iter().collect(),
                    None => vec![branch],
                },
            )
            .collect(),
        None => vec![schema],
    }
}

/// The words a string may be.
fn choices(schema: &Json) -> Vec<&str> {
    branches(schema)
        .into_iter()
        .flat_map(|branch| {
            let listed = branch
                .get("enum")
                .and_then(Json::as_array)
                .into_iter()
                .flatten();
            let nested = branch
                .get("oneOf")
                .and_then(Json::as_array)
                .into_iter()
                .flatten()
                .filter_map(|one| one.get("const"));
            listed
                .chain(branch.get("const"))
                .chain(nested)
                .filter_map(Json::as_str)
        })
        .collect()
}

fn is_type(schema: &Json, wanted: &str) -> bool {
    match schema.get("type") {
        Some(Json::String(one)) => one == wanted,
        Some(Json::Array(several)) => several.iter().any(|one| one == wanted),
        _ => schema.get("const").is_some_and(Json::is_string) && wanted == "string",
    }
}

fn fits(schema: &Json, value: &DeValue<'_>) -> bool {
    if schema.get("oneOf").is_some() {
        return branches(schema).iter().any(|branch| fits(branch, value));
    }
    match value {
        DeValue::String(_) => is_type(schema, "string"),
        DeValue::Integer(_) => is_type(schema, "integer") || is_type(schema, "number"),
        DeValue::Float(_) => is_type(schema, "number"),
        DeValue::Boolean(_) => is_type(schema, "boolean"),
        DeValue::Datetime(_) => false,
        DeValue::Array(_) => is_type(schema, "array"),
        DeValue::Table(_) => is_type(schema, "object"),
    }
}

fn type_name(schema: &Json) -> &str {
    ["string", "integer", "number", "boolean", "array", "object"]
        .into_iter()
        .find(|name| is_type(schema, name))
        .map_or("null", |name| match name {
            "string" => "a string",
            "integer" => "a whole number",
            "number" => "a number",
            "boolean" => "true or false",
            "array" => "a list",
            _ => "a table",
        })
}

fn kind(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the string \"{text}\""),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the number {number}"),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// What the setting is, in the words of its documentation.
fn meaning(schema: &Json) -> Option<String> {
    let text = schema.get("description").and_then(Json::as_str)?;
    text.lines().next().map(str::to_owned)
}

/// How a value of this type is written.
fn written(schema: &Json) -> Option<String> {
    let items = || schema.get("items").map(choices).unwrap_or_default();
    match schema.get("type").and_then(Json::as_str)? {
        "array" => Some(match items().first() {
            Some(first) => format!("write [\"{first}\"]"),
            None => "write it in square brackets".to_owned(),
        }),
        "boolean" => Some("write true or false, without quotes".to_owned()),
        _ => None,
    }
}

fn example(schema: &Json) -> Option<String> {
    let examples = schema.get("examples").and_then(Json::as_array)?;
    Some(format!(
        "e.g. {}",
        examples
            .iter()
            .map(Json::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    ))
}
