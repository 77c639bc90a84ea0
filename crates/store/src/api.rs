//! The shapes that other crates share.

use std::sync::Arc;

/// What a record is; a byte in the log, so values are for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum RecordKind {
    /// An event with a sequence number of its own.
    Event = 1,
    /// An input of the distributor.
    AcdInput = 2,
    /// A decision of the distributor.
    AcdDecision = 3,
    /// Written by the log itself: `{"records":N,"from":A,"to":B}` were not taken, because the disk failed for longer than memory lasted.
    Lost = 4,
    /// Nothing happened, but the process lived: its time is what counts.
    Alive = 5,
}

/// One record on its way into the log, or out of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub kind: RecordKind,
    /// For events their own, gap-free; for others that of the last event before them.
    pub sequence: u64,
    /// Nanoseconds of the engine's time.
    pub at: u64,
    /// The JSON object without what is personal.
    pub json: Arc<str>,
    /// Sealed in the log. On reading: `None` where there was nothing, or where the person has been erased.
    pub personal: Option<Personal>,
}

/// The personal part of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Personal {
    /// Whose key seals it: `tel:+8613800138000`, `tel:<raw text>`, `customer:C1001`. Only a keyed hash of it is stored.
    pub person: Arc<str>,
    /// A JSON object, to be merged into the record's `data`.
    pub json: Arc<str>,
}

/// A group of records is on disk.
#[derive(Clone, Debug)]
pub struct Committed {
    pub records: Arc<Vec<Record>>,
    /// Of the last event on disk.
    pub sequence: u64,
    /// Writing and syncing, keys included.
    pub took: std::time::Duration,
}
