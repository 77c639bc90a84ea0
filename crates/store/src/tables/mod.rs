//! What is looked up by name: customers, credentials, sessions, bindings of phones, and closed contacts, in one redb file.
//!
//! Every change is one transaction and durable when the call returns. Calls block on the disk: not for an async task or the engine's thread.

mod bindings;
mod contacts;
mod credentials;
mod customers;
mod pins;

use std::sync::Arc;

use redb::{ReadTransaction, TableDefinition, WriteTransaction};

use crate::data_dir::DataDir;
use crate::db::Db;
use crate::error::StoreError;
use crate::seal::Keys;

pub use contacts::{ClosedContact, ContactFilter};
pub use credentials::{Credentials, SESSIONS_MAX, Session};
pub use customers::Erased;
pub use pins::{LOCKED_MS, PinTry, WRONG_MAX};

/// Pages of the database in memory beyond the kernel's own cache: the inner pages of a million customers and more.
const CACHE_BYTES: usize = 24 << 20;
/// Most items of one page of a list, whatever the caller asks for.
pub const PAGE_MAX: usize = 500;
/// Rows that one call looks at when it filters. A search that finds little comes back with a cursor instead of holding a thread.
const SCANNED_ROWS_MAX: usize = 20_000;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// The node's database. A clone is the same one.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    db: Db,
    keys: Keys,
    /// Held as long as the database is.
    dir: DataDir,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Asks for the page behind this one; `None` on the last. Opaque.
    pub next: Option<String>,
}

impl Store {
    /// Opens the database in the data directory, or makes one.
    pub fn open(dir: &DataDir) -> Result<Store, StoreError> {
        let keys = Keys::open(dir)?;
        let db = Db::open(dir.path().join("tables.redb"), CACHE_BYTES)?;
        // All tables exist from the start, so that a reader of none need not tell "empty" from "missing".
        db.write(|transaction| {
            transaction.open_table(META)?;
            customers::make(transaction)?;
            credentials::make(transaction)?;
            bindings::make(transaction)?;
            pins::make(transaction)?;
            contacts::make(transaction)?;
            crate::recordings::make(transaction)
        })?;
        Ok(Store {
            inner: Arc::new(Inner {
                db,
                keys,
                dir: dir.clone(),
            }),
        })
    }

    /// The persons' keys, for the log.
    pub fn keys(&self) -> &Keys {
        &self.inner.keys
    }

    pub(crate) fn dir(&self) -> &DataDir {
        &self.inner.dir
    }

    /// Destroys the key of a person (`tel:+8613800138000`, `customer:C1001`): what the log and the contacts hold of them reads as nothing from now on.
    /// Recordings of their calls are removed.
    pub fn erase_person(&self, person: &str) -> Result<bool, StoreError> {
        let erased = self.inner.keys.erase_person(person)?;
        self.delete_recordings_of(person)?;
        Ok(erased)
    }

    pub(crate) fn read<T>(
        &self,
        view: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        self.inner.db.read(view)
    }

    pub(crate) fn write<T>(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        self.inner.db.write(change)
    }
}

/// A row that this version cannot read is damage; the caller hears of it instead of seeing a hole.
pub(crate) fn row_error(what: &str, id: &str, error: impl std::fmt::Display) -> redb::Error {
    redb::Error::Corrupted(format!("{what} {id:?}: {error}"))
}
