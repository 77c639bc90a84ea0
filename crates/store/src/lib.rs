//! The embedded database and the event log: what must survive.
//!
//! * [`log`]: append-only segments of checksummed records, written by one thread that commits in groups; snapshots beside them.
//! * [`seal`]: what is personal in a record is encrypted under a key per person; erasing a person is destroying that key.
//! * [`customers`], [`credentials`], [`contacts`]: tables in redb.
//!
//! Knows nothing of events' meaning: a record is a kind, a number, a time and JSON.

pub mod api;

pub use api::{Committed, Personal, Record, RecordKind};
