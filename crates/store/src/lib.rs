//! The embedded database and the event log: what must survive.
//!
//! * [`DataDir`]: the directory of one node, held by one process.
//! * [`log`]: append-only segments of checksummed records, written by one thread that commits in groups; [`snapshots`] beside them.
//! * [`seal`]: what is personal in a record is encrypted under a key per person; erasing a person is destroying that key.
//! * [`recordings`]: what was said, a sealed file each.
//! * [`Store`]: customers, credentials, sessions and closed contacts in redb.
//!
//! Knows nothing of events' meaning: a record is a kind, a number, a time and JSON. Reads no wall clock: times come in with the records.
//! The form on disk is described byte by byte in `docs/log-format.md`.

pub mod api;
mod data_dir;
mod db;
mod error;
pub mod log;
pub mod recordings;
pub mod seal;
pub mod snapshots;
pub mod tables;

pub use api::{Committed, Personal, Record, RecordKind};
pub use data_dir::DataDir;
pub use error::{Damage, StoreError};
pub use log::{
    Log, LogFull, LogHandle, LogReader, LogWriter, OnDamage, Opened, Options, Records, Trouble,
};
pub use recordings::{Begun, Ended, Playback, Recording};
pub use snapshots::Snapshots;
pub use tables::{
    ClosedContact, ContactFilter, Credentials, Erased, LOCKED_MS, Page, PinTry, Session, Store,
    WRONG_MAX,
};
