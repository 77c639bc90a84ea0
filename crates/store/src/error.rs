//! What can go wrong with what must survive.

use std::io;
use std::path::{Path, PathBuf};

/// A place on disk that does not hold what was written there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} is damaged at byte {offset}: {what}", file.display())]
pub struct Damage {
    pub file: PathBuf,
    pub offset: u64,
    pub what: String,
}

/// An error of the store, for the log, `/readyz` and a person.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the data directory {} is in use by {holder}; stop that one first, or give this one another `data_dir`", dir.display())]
    Locked { dir: PathBuf, holder: String },
    #[error("{what} {}: {source}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error(transparent)]
    Damaged(#[from] Damage),
    #[error("{} was written by a newer version of Cordboard ({what}); this one must not touch it", file.display())]
    Newer { file: PathBuf, what: String },
    #[error("the log in {} belongs to node {found:?}, and this is node {expected:?}; give it back its name or another `data_dir`", dir.display())]
    OtherNode {
        dir: PathBuf,
        found: String,
        expected: String,
    },
    #[error("database {}: {source}", path.display())]
    Database {
        path: PathBuf,
        source: Box<redb::Error>,
    },
    /// The caller's data cannot be kept.
    #[error("{0}")]
    Refused(String),
}

impl StoreError {
    pub(crate) fn io<'a>(
        what: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(io::Error) -> StoreError + 'a {
        move |source| StoreError::Io {
            what,
            path: path.to_owned(),
            source,
        }
    }
}
