//! Reading one file: text, overrides, form, and the struct behind it.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use ivr::{Diagnostic, Severity};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::form::{Agents, Centre, Queues, Trunks};
use super::source::{Override, Source};
use super::walk;

/// The four files, by the names they have in a configuration directory.
pub const CENTRE: &str = "cordboard.toml";
pub const QUEUES: &str = "queues.toml";
pub const AGENTS: &str = "agents.toml";
pub const TRUNKS: &str = "trunks.toml";

/// The JSON Schema of each file.
pub fn schemas() -> &'static BTreeMap<&'static str, Json> {
    static SCHEMAS: OnceLock<BTreeMap<&'static str, Json>> = OnceLock::new();
    SCHEMAS.get_or_init(|| {
        BTreeMap::from([
            (CENTRE, schema::<Centre>()),
            (QUEUES, schema::<Queues>()),
            (AGENTS, schema::<Agents>()),
            (TRUNKS, schema::<Trunks>()),
        ])
    })
}

fn schema<T: JsonSchema>() -> Json {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

/// In which file an override belongs, by the first word of its path.
pub fn file_of(over: &Override) -> &'static str {
    match over.path.first().map(String::as_str) {
        Some("queue") => QUEUES,
        Some("agent") => AGENTS,
        Some("trunk" | "route" | "outbound") => TRUNKS,
        _ => CENTRE,
    }
}

/// Reads a file into its form. What is wrong is told in `diagnostics` and left out of the form.
pub fn read<T: DeserializeOwned + Default>(
    name: &str,
    source: &Source,
    diagnostics: &mut Vec<Diagnostic>,
) -> T {
    let (mut root, errors) = DeTable::parse_recoverable(source.text());
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        diagnostics.push(source.diagnostic(
            Severity::Error,
            &span,
            format!("not TOML: {}", error.message()),
            Some("a line is KEY = VALUE, texts stand in quotes (https://toml.io)".to_owned()),
        ));
    }
    for (over, padded, span) in source.overrides() {
        let parsed = DeTable::parse(padded)
            .ok()
            .and_then(|document| document.into_inner().remove("v"));
        // What is no TOML value is a string: `--set node=cb2` needs no quotes.
        let value = parsed.unwrap_or_else(|| {
            Spanned::new(span.clone(), DeValue::String(over.value.as_str().into()))
        });
        if let Err((message, hint)) = put(root.get_mut(), &over.path, value) {
            diagnostics.push(source.diagnostic(Severity::Error, &span, message, hint));
        }
    }
    let Some(schema) = schemas().get(name) else {
        return T::default();
    };
    let faults = walk::walk(schema, root.get_mut(), &|span| {
        source.override_text(span).map(str::to_owned)
    });
    diagnostics.extend(
        faults.into_iter().map(|fault| {
            source.diagnostic(Severity::Error, &fault.span, fault.message, fault.hint)
        }),
    );
    match T::deserialize(toml::de::Deserializer::from(root)) {
        Ok(form) => form,
        Err(error) => {
            let span = error.span().unwrap_or(0..0);
            diagnostics.push(source.diagnostic(
                Severity::Error,
                &span,
                error.message().to_owned(),
                None,
            ));
            T::default()
        }
    }
}

/// Lists of tables: nothing can be put into them that is not there.
const LISTS: [&str; 5] = ["agent", "queue", "trunk", "route", "outbound"];

/// Puts a value at a path; in a list of tables the next word names the element by `name`, `id` or `number`.
fn put<'i>(
    table: &mut DeTable<'i>,
    path: &'i [String],
    value: Spanned<DeValue<'i>>,
) -> Result<(), Amiss> {
    let Some((first, rest)) = path.split_first() else {
        return Err(("an empty key".to_owned(), None));
    };
    let key = || Spanned::new(value.span(), std::borrow::Cow::Borrowed(first.as_str()));
    if rest.is_empty() {
        table.remove(first.as_str());
        table.insert(key(), value);
        return Ok(());
    }
    if !table.contains_key(first.as_str()) {
        if LISTS.contains(&first.as_str()) {
            let hint = "an override changes what the files have".to_owned();
            return Err((format!("there is no {first} `{}`", rest[0]), Some(hint)));
        }
        table.insert(
            key(),
            Spanned::new(value.span(), DeValue::Table(DeTable::new())),
        );
    }
    match table.get_mut(first.as_str()).map(Spanned::get_mut) {
        Some(DeValue::Table(inner)) => put(inner, rest, value),
        Some(DeValue::Array(items)) => {
            let Some((which, rest)) = rest.split_first() else {
                return Err((format!("`{first}` is a list"), None));
            };
            match element(items, which) {
                Some(item) if !rest.is_empty() => put(item, rest, value),
                Some(_) => Err((
                    format!("`{first}.{which}` is a table"),
                    Some(format!("name one of its keys, as in {first}.{which}.KEY")),
                )),
                None => Err((
                    format!("there is no {first} `{which}`"),
                    near_in(items, which),
                )),
            }
        }
        _ => Err((
            format!("`{first}` is no table"),
            Some(format!("give it its value: {first}=…")),
        )),
    }
}

/// What is wrong with an override, and a hint.
type Amiss = (String, Option<String>);

/// The words that name the elements of a list of tables.
const NAMES: [&str; 3] = ["name", "id", "number"];

/// Names told of a list.
const NAMES_TOLD: usize = 8;

fn near_in(items: &DeArray<'_>, which: &str) -> Option<String> {
    let named = items.iter().filter_map(|item| {
        let table = item.get_ref().as_table()?;
        NAMES
            .iter()
            .find_map(|key| table.get(*key)?.get_ref().as_str())
    });
    let known: Vec<&str> = named.collect();
    Some(match walk::near(which, &known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!(
            "there are: {}",
            known
                .iter()
                .take(NAMES_TOLD)
                .copied()
                .collect::<Vec<_>>()
                .join(", ")
        ),
    })
}

fn element<'a, 'i>(items: &'a mut DeArray<'i>, which: &str) -> Option<&'a mut DeTable<'i>> {
    items.iter_mut().find_map(|item| match item.get_mut() {
        DeValue::Table(table) => {
            let hit = NAMES.iter().any(|key| {
                table
                    .get(*key)
                    .and_then(|value| value.get_ref().as_str())
                    // The environment has small letters only.
                    .is_some_and(|name| name.eq_ignore_ascii_case(which))
            });
            hit.then_some(table)
        }
        _ => None,
    })
}
