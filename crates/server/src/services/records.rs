//! What the store knows, as a service would tell it.

use std::collections::BTreeMap;

use ivr::{Answer, Request, Value};
use store::{Store, StoreError};

pub(super) fn answer(
    store: &Store,
    country: &str,
    request: &Request,
) -> Result<Answer, StoreError> {
    let found = match request {
        Request::Customer { number } => customer(&pop(store, country, number)?),
        Request::History { number } => history(&pop(store, country, number)?),
        // Those have ways of their own.
        Request::Http(_) | Request::Pin { .. } => None,
    };
    Ok(match found {
        Some(body) => Answer::Reply { status: 200, body },
        None => Answer::Reply {
            status: 404,
            body: Value::Nothing,
        },
    })
}

fn pop(store: &Store, country: &str, number: &str) -> Result<crm::Pop, StoreError> {
    store.pop(&crm::Number::parse(number, country))
}

/// The best customer on a number.
fn customer(pop: &crm::Pop) -> Option<Value> {
    let best = pop.customers.first()?;
    let tags = best.tags.iter().map(|tag| Value::Text(tag.clone()));
    Some(record([
        ("id", Value::Text(best.id.0.to_string())),
        ("name", Value::Text(best.name.clone())),
        ("class", Value::Text(best.class.clone())),
        ("language", Value::Text(best.language.clone())),
        ("tags", Value::List(tags.collect())),
        ("count", Value::Number(pop.customers.len() as f64)),
    ]))
}

/// Of the last contacts, newest first, as many as a pop shows.
fn history(pop: &crm::Pop) -> Option<Value> {
    let text = |text: &Option<String>| Value::Text(text.clone().unwrap_or_default());
    let contact = |contact: &crm::LastContact| {
        record([
            ("arrived", Value::Text(contact.arrived.clone())),
            ("queue", text(&contact.queue)),
            ("agent", text(&contact.agent)),
            ("outcome", Value::Text(contact.outcome.clone())),
        ])
    };
    let last = pop.last_contacts.first()?;
    Some(record([
        ("count", Value::Number(pop.last_contacts.len() as f64)),
        ("last", contact(last)),
        (
            "contacts",
            Value::List(pop.last_contacts.iter().map(contact).collect()),
        ),
    ]))
}

fn record<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let fields = fields.map(|(name, value)| (name.to_owned(), value));
    Value::Record(BTreeMap::from(fields))
}
