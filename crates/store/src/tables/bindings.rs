//! Where registered phones are, so that a restart finds them again.

use redb::{ReadableTable, TableDefinition, WriteTransaction};

use super::Store;
use crate::error::StoreError;

/// By user; what a row says is the writer's own (`server::bindings`).
const BINDINGS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("bindings");

pub(super) fn make(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    transaction.open_table(BINDINGS)?;
    Ok(())
}

impl Store {
    /// Replaces the bindings of these users, in one transaction; an empty row removes a user's.
    pub fn put_bindings<'a>(
        &self,
        batch: impl Iterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<(), StoreError> {
        self.write(|transaction| {
            let mut table = transaction.open_table(BINDINGS)?;
            for (user, row) in batch {
                match row.is_empty() {
                    true => table.remove(user)?,
                    false => table.insert(user, row)?,
                };
            }
            Ok(())
        })
    }

    /// Every user with bindings, by name.
    pub fn bindings(&self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.read(|transaction| {
            let table = transaction.open_table(BINDINGS)?;
            table
                .iter()?
                .map(|row| {
                    let (user, row) = row?;
                    Ok((user.value().to_owned(), row.value().to_vec()))
                })
                .collect()
        })
    }
}
