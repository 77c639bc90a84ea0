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
        Some("trunk" | "route") => TRUNKS,
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
            None,
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
        if let Err(message) = put(root.get_mut(), &over.path, value) {
            diagnostics.push(source.diagnostic(Severity::Error, &span, message, None));
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

/// Puts a value at a path; in a list of tables the next word names the element by `name`, `id` or `number`.
fn put<'i>(
    table: &mut DeTable<'i>,
    path: &'i [String],
    value: Spanned<DeValue<'i>>,
) -> Result<(), String> {
    let Some((first, rest)) = path.split_first() else {
        return Err("an empty key".to_owned());
    };
    let key = || Spanned::new(value.span(), std::borrow::Cow::Borrowed(first.as_str()));
    if rest.is_empty() {
        table.remove(first.as_str());
        table.insert(key(), value);
        return Ok(());
    }
    if !table.contains_key(first.as_str()) {
        table.insert(
            key(),
            Spanned::new(value.span(), DeValue::Table(DeTable::new())),
        );
    }
    match table.get_mut(first.as_str()).map(Spanned::get_mut) {
        Some(DeValue::Table(inner)) => put(inner, rest, value),
        Some(DeValue::Array(items)) => {
            let Some((which, rest)) = rest.split_first() else {
                return Err(format!("`{first}` is a list"));
            };
            match element(items, which) {
                Some(item) if !rest.is_empty() => put(item, rest, value),
                Some(_) => Err(format!(
                    "`{first}.{which}` is a table: name one of its keys"
                )),
                None => Err(format!("there is no {first} `{which}`")),
            }
        }
        _ => Err(format!("`{first}` is no table")),
    }
}

fn element<'a, 'i>(items: &'a mut DeArray<'i>, which: &str) -> Option<&'a mut DeTable<'i>> {
    items.iter_mut().find_map(|item| match item.get_mut() {
        DeValue::Table(table) => {
            let names = ["name", "id", "number"];
            let hit = names.iter().any(|key| {
                table
                    .get(*key)
                    .and_then(|value| value.get_ref().as_str())
                    .is_some_and(|name| name == which)
            });
            hit.then_some(table)
        }
        _ => None,
    })
}
