//! Closed contacts go from the board into the store's index.

use std::sync::Arc;

use store::{ClosedContact, Personal, Store, StoreError};

use crate::Hub;
use crate::board::Contact;
use crate::cloud::rfc3339;
use crate::view;

/// Contacts that one transaction takes.
const BATCH_MAX: usize = 2_000;

/// Puts closed contacts of the board into the store's index, a batch at a time, and forgets them on the board; returns how many. It blocks on the
/// disk. [`crate::serve`] does it all the time; call it during a replay too, every some thousand events.
///
/// # Errors
/// The store's; the board keeps what could not be indexed.
pub fn index_closed(hub: &Hub, store: &Store) -> Result<usize, StoreError> {
    let mut indexed = 0;
    loop {
        let batch: Vec<Contact> =
            hub.read(|state| state.board.closed.iter().take(BATCH_MAX).cloned().collect());
        let Some(last) = batch.last().map(|contact| contact.closed_sequence) else {
            return Ok(indexed);
        };
        let mut rows: Vec<ClosedContact> = Vec::with_capacity(batch.len());
        for contact in &batch {
            // One that comes from a snapshot has lost what is personal: it must not replace a row that has it.
            if contact.person.is_some() || store.contact(&contact.id.0)?.is_none() {
                rows.push(row(contact));
            }
        }
        store.index_contacts(&rows, last)?;
        hub.indexed(last);
        indexed += batch.len();
    }
}

fn row(contact: &Contact) -> ClosedContact {
    let mut form = view::contact(contact);
    let mut personal = serde_json::Map::new();
    if let Some(ani) = form.ani.take() {
        personal.insert("ani".to_owned(), ani.into());
    }
    if let Some(signalling) = form.signalling.take() {
        let json = serde_json::to_value(signalling).expect("plain data with string keys");
        personal.insert("signalling".to_owned(), json);
    }
    let by_number = || contact.ani.as_ref().map(|ani| format!("tel:{ani}").into());
    let person = contact.person.clone().or_else(by_number);
    let personal = (!personal.is_empty()).then(|| Personal {
        person: person.unwrap_or_else(|| "tel:".into()),
        json: serde_json::Value::Object(personal).to_string().into(),
    });
    let text = |name: &Option<Arc<str>>| name.as_deref().map(str::to_owned);
    ClosedContact {
        at: contact.ended.unwrap_or(contact.arrived).as_nanos(),
        customers: contact.customers.clone(),
        last: crm::LastContact {
            contact: contact.id.0.to_string(),
            arrived: rfc3339(contact.arrived),
            queue: text(&contact.queue),
            agent: text(&contact.agent),
            outcome: form.outcome.unwrap_or_default().to_owned(),
        },
        json: serde_json::to_string(&form)
            .expect("plain data with string keys")
            .into(),
        personal,
    }
}
