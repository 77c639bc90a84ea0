//! A redb file that can be taken up again after an I/O error.
//!
//! redb refuses everything after the first failed write or sync (what is on disk is then not known to it). A full disk must not need a restart
//! of the engine, so the file is closed and opened anew on the next use.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use redb::{Database, ReadTransaction, WriteTransaction};

use crate::error::StoreError;

#[derive(Debug)]
pub(crate) struct Db {
    path: PathBuf,
    cache_bytes: usize,
    database: RwLock<Option<Database>>,
    broken: AtomicBool,
}

impl Db {
    pub(crate) fn open(path: PathBuf, cache_bytes: usize) -> Result<Db, StoreError> {
        let database = create(&path, cache_bytes)?;
        Ok(Db {
            path,
            cache_bytes,
            database: RwLock::new(Some(database)),
            broken: AtomicBool::new(false),
        })
    }

    /// Runs one read-only view.
    pub(crate) fn read<T>(
        &self,
        view: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let guard = self.usable()?;
        let database = guard.as_ref().expect("usable() gives an open database");
        use redb::ReadableDatabase;
        let result = database
            .begin_read()
            .map_err(redb::Error::from)
            .and_then(|transaction| view(&transaction));
        result.map_err(|error| self.note(error))
    }

    /// Runs one transaction; it is on disk when this returns `Ok`, and has no effect otherwise.
    pub(crate) fn write<T>(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let guard = self.usable()?;
        let database = guard.as_ref().expect("usable() gives an open database");
        let result =
            database
                .begin_write()
                .map_err(redb::Error::from)
                .and_then(|mut transaction| {
                    transaction.set_quick_repair(true); // reopening after a crash: 2.0 s without, 11 ms with
                    let value = change(&transaction)?;
                    transaction.commit()?;
                    Ok(value)
                });
        result.map_err(|error| self.note(error))
    }

    fn usable(&self) -> Result<RwLockReadGuard<'_, Option<Database>>, StoreError> {
        let guard = self.database.read().unwrap_or_else(PoisonError::into_inner);
        if guard.is_some() && !self.broken.load(Ordering::Acquire) {
            return Ok(guard);
        }
        drop(guard);
        let mut guard = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if guard.is_none() || self.broken.load(Ordering::Acquire) {
            *guard = None; // gives the file's lock back
            *guard = Some(create(&self.path, self.cache_bytes)?);
            self.broken.store(false, Ordering::Release);
            tracing::warn!(path = %self.path.display(), "database opened again after an error");
        }
        drop(guard);
        let guard = self.database.read().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have broken it again meanwhile; that one is reported by the operation itself.
        if guard.is_some() {
            Ok(guard)
        } else {
            Err(StoreError::Refused(format!(
                "{} is being opened again",
                self.path.display()
            )))
        }
    }

    fn note(&self, error: redb::Error) -> StoreError {
        if matches!(error, redb::Error::Io(_) | redb::Error::PreviousIo) {
            self.broken.store(true, Ordering::Release);
        }
        StoreError::Database {
            path: self.path.clone(),
            source: Box::new(error),
        }
    }
}

fn create(path: &Path, cache_bytes: usize) -> Result<Database, StoreError> {
    use std::os::unix::fs::OpenOptionsExt;
    // redb would make the file readable by everybody.
    std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(StoreError::io("cannot open", path))?;
    let database = Database::builder().set_cache_size(cache_bytes).create(path);
    database.map_err(|error| StoreError::Database {
        path: path.to_owned(),
        source: Box::new(error.into()),
    })
}
