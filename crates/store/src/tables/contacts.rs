//! Closed contacts: a fold of the log that can be searched. It can be thrown away and folded again.

use std::sync::Arc;

use crm::{CustomerId, LastContact};
use redb::{ReadTransaction, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::{META, PAGE_MAX, Page, SCANNED_ROWS_MAX, Store, row_error};
use crate::api::Personal;
use crate::error::StoreError;

const CONTACTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("contacts");
/// List (`t`: all, `c`: of a customer, `q`: of a queue, `a`: of an agent), its name, a zero byte, time (big endian), contact's id.
const LISTS: TableDefinition<'_, &[u8], ()> = TableDefinition::new("contact_lists");
const APPLIED: &str = "contacts_applied_sequence";
const FORM: u8 = 1;

/// A contact that is over.
#[derive(Clone, Debug, PartialEq)]
pub struct ClosedContact {
    /// When it was closed, in nanoseconds of the engine's time; the order of all lists.
    pub at: u64,
    pub customers: Vec<CustomerId>,
    /// What a pop shows of it; `contact` in it is the contact's id, `queue` and `agent` the lists that it is on.
    pub last: LastContact,
    /// The contact as the API gives it, without what is personal.
    pub json: Arc<str>,
    /// Sealed on disk; `None` on reading where the person has been erased.
    pub personal: Option<Personal>,
}

/// Which contacts. Empty: all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContactFilter<'a> {
    pub customer: Option<&'a str>,
    pub queue: Option<&'a str>,
    pub agent: Option<&'a str>,
    /// Closed at this time or later, and before that one (nanoseconds).
    pub from: Option<u64>,
    pub to: Option<u64>,
}

/// The open part of a row; before it a form byte and its length, behind it the JSON's length, the JSON, and the sealed part.
#[derive(Serialize, Deserialize)]
struct Open {
    at: u64,
    customers: Vec<CustomerId>,
    last: LastContact,
}

pub(super) fn make(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    transaction.open_table(CONTACTS)?;
    transaction.open_table(LISTS)?;
    Ok(())
}

impl Store {
    /// Keeps closed contacts, and up to which event of the log the fold has come, in one transaction. A contact that is there already is replaced, so a
    /// fold may begin again anywhere.
    pub fn index_contacts(
        &self,
        batch: &[ClosedContact],
        applied_sequence: u64,
    ) -> Result<(), StoreError> {
        let rows = batch
            .iter()
            .map(|contact| self.encode(contact))
            .collect::<Result<Vec<_>, _>>()?;
        self.keys().make_durable()?;
        self.write(|transaction| {
            let mut contacts = transaction.open_table(CONTACTS)?;
            let mut lists = transaction.open_table(LISTS)?;
            for (contact, row) in batch.iter().zip(&rows) {
                let id = contact.last.contact.as_str();
                let old = contacts
                    .insert(id, row.as_slice())?
                    .map(|old| parts(id, old.value()).map(|parts| parts.0))
                    .transpose()?;
                if let Some(old) = old {
                    for key in keys(old.at, &old.customers, &old.last) {
                        lists.remove(key.as_slice())?;
                    }
                }
                for key in keys(contact.at, &contact.customers, &contact.last) {
                    lists.insert(key.as_slice(), ())?;
                }
            }
            transaction
                .open_table(META)?
                .insert(APPLIED, applied_sequence)?;
            Ok(())
        })
    }

    /// The event up to which [`Self::index_contacts`] has come; 0 at first.
    pub fn contacts_applied(&self) -> Result<u64, StoreError> {
        self.read(|transaction| {
            Ok(transaction
                .open_table(META)?
                .get(APPLIED)?
                .map_or(0, |row| row.value()))
        })
    }

    pub fn contact(&self, id: &str) -> Result<Option<ClosedContact>, StoreError> {
        let row = self.read(|transaction| {
            Ok(transaction
                .open_table(CONTACTS)?
                .get(id)?
                .map(|row| row.value().to_vec()))
        })?;
        row.map(|row| self.decode(id, &row)).transpose()
    }

    /// The newest contacts of a customer, at most `count`.
    pub fn last_contacts(
        &self,
        customer: &CustomerId,
        count: usize,
    ) -> Result<Vec<LastContact>, StoreError> {
        self.read(|transaction| last(transaction, customer, count))
    }

    /// Closed contacts, newest first, behind `cursor`. A page may have fewer than `limit` items and still have one behind it.
    pub fn contacts(
        &self,
        filter: &ContactFilter<'_>,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<ClosedContact>, StoreError> {
        let limit = limit.clamp(1, PAGE_MAX);
        let cursor = cursor.map(parse_cursor).transpose()?;
        let list = match (filter.customer, filter.agent, filter.queue) {
            (Some(customer), _, _) => prefix(b'c', customer),
            (None, Some(agent), _) => prefix(b'a', agent),
            (None, None, Some(queue)) => prefix(b'q', queue),
            (None, None, None) => prefix(b't', ""),
        };
        let (rows, next) = self.read(|transaction| {
            let contacts = transaction.open_table(CONTACTS)?;
            let lists = transaction.open_table(LISTS)?;
            let from = key(&list, filter.from.unwrap_or(0), "");
            let end = match &cursor {
                Some((at, id)) => key(&list, *at, id),
                None => key(&list, filter.to.unwrap_or(u64::MAX), ""),
            };
            let mut rows = Vec::new();
            if from >= end {
                return Ok((rows, None));
            }
            let mut reached = None;
            for (scanned, row) in lists
                .range(from.as_slice()..end.as_slice())?
                .rev()
                .enumerate()
            {
                if rows.len() == limit || scanned == SCANNED_ROWS_MAX {
                    return Ok((rows, reached));
                }
                let row = row?.0;
                let (at, id) = place(row.value(), list.len())?;
                reached = Some(format!("{at:016x}{id}"));
                let Some(value) = contacts.get(id)? else {
                    continue;
                };
                let open = parts(id, value.value())?.0;
                if filter
                    .agent
                    .is_none_or(|agent| open.last.agent.as_deref() == Some(agent))
                    && filter
                        .queue
                        .is_none_or(|queue| open.last.queue.as_deref() == Some(queue))
                {
                    rows.push((id.to_owned(), value.value().to_vec()));
                }
            }
            Ok((rows, None))
        })?;
        let items = rows
            .iter()
            .map(|(id, row)| self.decode(id, row))
            .collect::<Result<_, _>>()?;
        Ok(Page { items, next })
    }

    fn encode(&self, contact: &ClosedContact) -> Result<Vec<u8>, StoreError> {
        let id = contact.last.contact.as_str();
        let open = Open {
            at: contact.at,
            customers: contact.customers.clone(),
            last: contact.last.clone(),
        };
        let open = serde_json::to_vec(&open)
            .map_err(|error| StoreError::Refused(format!("contact {id:?}: {error}")))?;
        let mut row = vec![FORM];
        for part in [open.as_slice(), contact.json.as_bytes()] {
            let length = u32::try_from(part.len())
                .map_err(|_| StoreError::Refused(format!("contact {id:?} is too long")))?;
            row.extend(length.to_le_bytes());
            row.extend(part);
        }
        if let Some(personal) = &contact.personal {
            self.keys().seal(personal, &associated(id), &mut row)?;
        }
        Ok(row)
    }

    fn decode(&self, id: &str, row: &[u8]) -> Result<ClosedContact, StoreError> {
        let read = parts(id, row).map_err(|error| StoreError::Refused(error.to_string()))?;
        let (
            Open {
                at,
                customers,
                last,
            },
            json,
            sealed,
        ) = read;
        let personal = if sealed.is_empty() {
            None
        } else {
            self.keys().open_sealed(sealed, &associated(id))?
        };
        Ok(ClosedContact {
            at,
            customers,
            last,
            json: json.into(),
            personal,
        })
    }
}

pub(super) fn last(
    transaction: &ReadTransaction,
    customer: &CustomerId,
    count: usize,
) -> Result<Vec<LastContact>, redb::Error> {
    let contacts = transaction.open_table(CONTACTS)?;
    let lists = transaction.open_table(LISTS)?;
    let list = prefix(b'c', &customer.0);
    let (from, end) = (key(&list, 0, ""), key(&list, u64::MAX, ""));
    let mut found = Vec::new();
    for row in lists
        .range(from.as_slice()..end.as_slice())?
        .rev()
        .take(count)
    {
        let row = row?.0;
        let (_, id) = place(row.value(), list.len())?;
        if let Some(value) = contacts.get(id)? {
            found.push(parts(id, value.value())?.0.last);
        }
    }
    Ok(found)
}

fn associated(id: &str) -> Vec<u8> {
    [b"contact\0", id.as_bytes()].concat()
}

fn parts<'a>(id: &str, row: &'a [u8]) -> Result<(Open, &'a str, &'a [u8]), redb::Error> {
    let split = |bytes: &'a [u8]| {
        let (length, rest) = bytes.split_first_chunk()?;
        rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
    };
    let parts = row.strip_prefix(&[FORM]).and_then(|row| {
        let (open, rest) = split(row)?;
        let (json, sealed) = split(rest)?;
        Some((open, std::str::from_utf8(json).ok()?, sealed))
    });
    let (open, json, sealed) =
        parts.ok_or_else(|| row_error("contact", id, "not a row of this version"))?;
    Ok((
        serde_json::from_slice(open).map_err(|error| row_error("contact", id, error))?,
        json,
        sealed,
    ))
}

/// The lists that a contact is on.
fn keys(at: u64, customers: &[CustomerId], last: &LastContact) -> Vec<Vec<u8>> {
    let lists = [prefix(b't', "")]
        .into_iter()
        .chain(customers.iter().map(|customer| prefix(b'c', &customer.0)))
        .chain(last.queue.as_deref().map(|queue| prefix(b'q', queue)))
        .chain(last.agent.as_deref().map(|agent| prefix(b'a', agent)));
    lists.map(|list| key(&list, at, &last.contact)).collect()
}

fn prefix(list: u8, name: &str) -> Vec<u8> {
    let mut out = vec![list];
    out.extend(name.as_bytes());
    out.push(0);
    out
}

fn key(list: &[u8], at: u64, id: &str) -> Vec<u8> {
    [list, &at.to_be_bytes(), id.as_bytes()].concat()
}

fn place(key: &[u8], list: usize) -> Result<(u64, &str), redb::Error> {
    let parts = key
        .get(list..)
        .and_then(|rest| rest.split_first_chunk())
        .and_then(|(at, id)| Some((u64::from_be_bytes(*at), std::str::from_utf8(id).ok()?)));
    parts.ok_or_else(|| row_error("contact list", "", "not a key of this version"))
}

fn parse_cursor(cursor: &str) -> Result<(u64, &str), StoreError> {
    let parts = cursor
        .split_at_checked(16)
        .and_then(|(at, id)| Some((u64::from_str_radix(at, 16).ok()?, id)));
    parts.ok_or_else(|| StoreError::Refused("not a cursor of this list".into()))
}
