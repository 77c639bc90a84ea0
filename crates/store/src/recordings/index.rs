//! Which recordings there are: by contact, by age, and by whom they are about.

use redb::{TableDefinition, WriteTransaction};

use super::Recording;
use crate::error::StoreError;
use crate::tables::{Store, row_error};

const RECORDINGS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("recordings");
/// `t`, when it ended (big endian), contact; and `p`, the person's hash, contact.
const LISTS: TableDefinition<'_, &[u8], ()> = TableDefinition::new("recording_lists");

pub(crate) fn make(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    transaction.open_table(RECORDINGS)?;
    transaction.open_table(LISTS)?;
    Ok(())
}

impl Store {
    pub(super) fn index_recording(&self, recording: &Recording) -> Result<(), StoreError> {
        let row = serde_json::to_vec(recording).expect("plain data with string keys");
        self.write(|transaction| {
            let mut recordings = transaction.open_table(RECORDINGS)?;
            recordings.insert(recording.contact.as_str(), row.as_slice())?;
            let mut lists = transaction.open_table(LISTS)?;
            for key in keys(recording) {
                lists.insert(key.as_slice(), ())?;
            }
            Ok(())
        })
    }

    pub(super) fn forget_recording(&self, recording: &Recording) -> Result<(), StoreError> {
        self.write(|transaction| {
            let mut recordings = transaction.open_table(RECORDINGS)?;
            recordings.remove(recording.contact.as_str())?;
            let mut lists = transaction.open_table(LISTS)?;
            for key in keys(recording) {
                lists.remove(key.as_slice())?;
            }
            Ok(())
        })
    }

    /// The recording of a contact.
    ///
    /// # Errors
    /// The database's.
    pub fn recording(&self, contact: &str) -> Result<Option<Recording>, StoreError> {
        self.read(|transaction| {
            let recordings = transaction.open_table(RECORDINGS)?;
            let row = recordings.get(contact)?;
            let parse = |row: &[u8]| {
                serde_json::from_slice(row).map_err(|error| row_error("recording", contact, error))
            };
            row.map(|row| parse(row.value())).transpose()
        })
    }

    /// Contacts whose recordings ended before this time (nanoseconds), oldest first, at most `limit`.
    ///
    /// # Errors
    /// The database's.
    pub fn recordings_before(&self, at: u64, limit: usize) -> Result<Vec<String>, StoreError> {
        let end = [b"t".as_slice(), &at.to_be_bytes()].concat();
        self.listed(b"t".as_slice(), &end, 1 + 8, limit)
    }

    pub(super) fn recordings_of(&self, person: &[u8]) -> Result<Vec<String>, StoreError> {
        let begin = [b"p".as_slice(), person].concat();
        let end = [begin.as_slice(), &[0xff]].concat(); // no contact's name begins so
        self.listed(&begin, &end, begin.len(), usize::MAX)
    }

    /// The contacts that stand behind `skip` octets of the keys between two.
    fn listed(
        &self,
        begin: &[u8],
        end: &[u8],
        skip: usize,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        self.read(|transaction| {
            let lists = transaction.open_table(LISTS)?;
            let mut found = Vec::new();
            for row in lists.range(begin..end)?.take(limit) {
                let row = row?.0;
                let contact = row.value().get(skip..).map(String::from_utf8_lossy);
                found.extend(contact.map(String::from));
            }
            Ok(found)
        })
    }
}

fn keys(recording: &Recording) -> [Vec<u8>; 2] {
    let contact = recording.contact.as_bytes();
    let person = super::unhex(&recording.person);
    [
        [b"t".as_slice(), &recording.ended.to_be_bytes(), contact].concat(),
        [b"p".as_slice(), &person, contact].concat(),
    ]
}
