//! Customers' PINs, and who has tried too often. A try counts as wrong before it is looked at, so that many at a time are no way round.

use redb::{ReadableTable, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::{Store, row_error};
use crate::error::StoreError;

const PINS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("pins");

/// Wrong PINs in a row, over all calls, after which nobody may try.
pub const WRONG_MAX: u32 = 5;
/// For so long: five tries in a quarter of an hour find one PIN of ten thousand in three weeks, and its owner is told long before.
pub const LOCKED_MS: u64 = 15 * 60 * 1_000;

#[derive(Serialize, Deserialize)]
struct Row {
    hash: String,
    #[serde(default)]
    wrong: u32,
    #[serde(default)]
    locked_until_ms: u64,
}

/// What a try may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinTry {
    /// Compare with this, and say so when it is right ([`Store::pin_was_right`]).
    Compare(String),
    /// There is no PIN.
    None,
    Locked,
}

pub(super) fn make(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    transaction.open_table(PINS)?;
    Ok(())
}

pub(super) fn remove(transaction: &WriteTransaction, customer: &str) -> Result<(), redb::Error> {
    transaction.open_table(PINS)?.remove(customer)?;
    Ok(())
}

impl Store {
    /// Gives a customer a PIN, as its hash, or takes it away. A lock ends with it.
    pub fn set_pin(&self, customer: &str, hash: Option<&str>) -> Result<(), StoreError> {
        self.write(|transaction| match hash {
            None => remove(transaction, customer),
            Some(hash) => {
                let row = Row {
                    hash: hash.to_owned(),
                    wrong: 0,
                    locked_until_ms: 0,
                };
                put(transaction, customer, &row)
            }
        })
    }

    /// Counts a try as wrong and gives what to compare it with.
    pub fn try_pin(&self, customer: &str, now_ms: u64) -> Result<PinTry, StoreError> {
        self.write(|transaction| {
            let Some(mut row) = row(transaction, customer)? else {
                return Ok(PinTry::None);
            };
            if now_ms < row.locked_until_ms {
                return Ok(PinTry::Locked);
            }
            row.wrong += 1;
            if row.wrong >= WRONG_MAX {
                row.wrong = 0;
                row.locked_until_ms = now_ms + LOCKED_MS;
            }
            put(transaction, customer, &row)?;
            Ok(PinTry::Compare(row.hash))
        })
    }

    /// The try was right: nothing is held against the customer.
    pub fn pin_was_right(&self, customer: &str) -> Result<(), StoreError> {
        self.write(|transaction| {
            let Some(mut row) = row(transaction, customer)? else {
                return Ok(());
            };
            (row.wrong, row.locked_until_ms) = (0, 0);
            put(transaction, customer, &row)
        })
    }
}

fn row(transaction: &WriteTransaction, customer: &str) -> Result<Option<Row>, redb::Error> {
    let table = transaction.open_table(PINS)?;
    let found = table.get(customer)?;
    found
        .map(|row| {
            serde_json::from_slice(row.value()).map_err(|error| row_error("pin", customer, error))
        })
        .transpose()
}

fn put(transaction: &WriteTransaction, customer: &str, row: &Row) -> Result<(), redb::Error> {
    let row = serde_json::to_vec(row).map_err(|error| row_error("pin", customer, error))?;
    transaction
        .open_table(PINS)?
        .insert(customer, row.as_slice())?;
    Ok(())
}
