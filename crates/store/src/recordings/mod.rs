//! Recordings: a sealed file each, and an index of those that are done.
//!
//! The file is written while people talk and is whole without the index: after a crash [`Store::recover_recordings`] indexes what was written.
//! Its key is sealed under the person's whom it is about, so that erasing the person makes it unreadable wherever a copy of it is; the file itself
//! is removed in the same step.

mod file;
mod index;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::api::Personal;
use crate::data_dir::{make_dir, sync_dir};
use crate::error::StoreError;
use crate::tables::Store;

pub(crate) use file::Key;
pub use file::{Closed, Playback, Writer};
pub(crate) use index::make;

/// Below the data directory; in it a directory a day.
const DIR: &str = "recordings";
/// A file that is being written, one that is done, and one that could not be read after a crash.
const PART: &str = "part";
const DONE: &str = "cbr";
const BROKEN: &str = "broken";

/// What a recording begins with. It stands in the open in the file: nothing personal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    pub contact: String,
    /// Nanoseconds of the engine's time.
    pub began: u64,
    pub queue: Option<String>,
    pub agent: Option<String>,
}

/// What is known of one when it ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Nanoseconds of the engine's time.
    pub at: u64,
    pub length_ms: u64,
    pub agents: Vec<String>,
    pub customers: Vec<String>,
    /// What stands before the frames when the audio is handed out.
    pub header: Vec<u8>,
    /// Why something is missing; `None`: it is whole.
    pub reason: Option<String>,
}

/// A recording that is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    pub contact: String,
    pub began: u64,
    pub ended: u64,
    pub queue: Option<String>,
    pub agents: Vec<String>,
    pub customers: Vec<String>,
    pub length_ms: u64,
    /// Of the file.
    pub bytes: u64,
    /// SHA-256 of the file, in hex.
    pub checksum: String,
    pub complete: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Below the directory of recordings.
    pub file: String,
    header: String,
    person: String,
}

impl Store {
    fn recordings_dir(&self) -> PathBuf {
        self.dir().path().join(DIR)
    }

    /// Begins the file of a recording. Its key is on disk when this returns.
    ///
    /// # Errors
    /// The disk's.
    pub fn begin_recording(&self, begun: &Begun, person: &Arc<str>) -> Result<Writer, StoreError> {
        let day = day(begun.began);
        let dir = self.recordings_dir().join(&day);
        if !dir.is_dir() {
            make_dir(&self.recordings_dir())?;
            make_dir(&dir)?;
        }
        let path = dir.join(&begun.contact).with_added_extension(PART);
        let (key, text) = Key::fresh()?;
        let mut sealed = Vec::new();
        let personal = Personal {
            person: person.clone(),
            json: text.into(),
        };
        self.keys()
            .seal(&personal, &associated(&begun.contact), &mut sealed)?;
        self.keys().make_durable()?;
        Writer::create(path, begun, sealed, &key)
    }

    /// A file that is closed becomes a recording that can be found. `None`: its person has been erased meanwhile, and it is gone.
    ///
    /// # Errors
    /// The disk's or the database's; the file stays, and the next start finds it.
    pub fn keep_recording(
        &self,
        closed: Closed,
        ended: &Ended,
    ) -> Result<Option<Recording>, StoreError> {
        let begun = &closed.begun;
        let known = self
            .keys()
            .open_sealed(&closed.sealed, &associated(&begun.contact))?;
        let Some(person) = known.map(|known| known.person) else {
            remove(&closed.path)?;
            return Ok(None);
        };
        let io = StoreError::io("cannot keep the recording", &closed.path);
        let done = closed.path.with_extension(DONE);
        let kept = closed
            .file
            .sync_all()
            .and_then(|()| fs::rename(&closed.path, &done))
            .and_then(|()| sync_dir(done.parent().unwrap_or(Path::new("."))));
        kept.map_err(io)?;
        let recording = Recording {
            contact: begun.contact.clone(),
            began: begun.began,
            ended: ended.at,
            queue: begun.queue.clone(),
            agents: ended.agents.clone(),
            customers: ended.customers.clone(),
            length_ms: ended.length_ms,
            bytes: closed.bytes,
            checksum: closed.checksum.clone(),
            complete: ended.reason.is_none(),
            reason: ended.reason.clone(),
            file: format!("{}/{}.{DONE}", day(begun.began), begun.contact),
            header: hex(&ended.header),
            person: hex(&self.keys().hash_of(&person)),
        };
        self.index_recording(&recording)?;
        Ok(Some(recording))
    }

    /// Opens a recording to be heard. `None`: there is none, or its person has been erased.
    ///
    /// # Errors
    /// The disk's, the database's, and damage.
    pub fn open_recording(&self, contact: &str) -> Result<Option<Playback>, StoreError> {
        let Some(recording) = self.recording(contact)? else {
            return Ok(None);
        };
        let path = self.recordings_dir().join(&recording.file);
        let read = file::read(&path)?;
        read.has(recording.bytes, &path)?;
        let Some(key) = self.key_of(&read)? else {
            return Ok(None);
        };
        let header = unhex(&recording.header);
        Playback::open(path, read, &key, header).map(Some)
    }

    fn key_of(&self, read: &file::Read) -> Result<Option<Key>, StoreError> {
        let associated = associated(&read.begun.contact);
        let personal = self.keys().open_sealed(&read.sealed, &associated)?;
        personal
            .map(|personal| Key::parse(&personal.json))
            .transpose()
    }

    /// Removes a recording, its file first. False: there was none.
    ///
    /// # Errors
    /// The disk's or the database's.
    pub fn delete_recording(&self, contact: &str) -> Result<bool, StoreError> {
        let Some(recording) = self.recording(contact)? else {
            return Ok(false);
        };
        remove(&self.recordings_dir().join(&recording.file))?;
        self.forget_recording(&recording)?;
        Ok(true)
    }

    /// Removes what is kept of a person's voice.
    pub(crate) fn delete_recordings_of(&self, person: &str) -> Result<(), StoreError> {
        for contact in self.recordings_of(&self.keys().hash_of(person))? {
            self.delete_recording(&contact)?;
        }
        Ok(())
    }

    /// What the last run was writing when it ended: up to the last whole chunk it becomes a recording that is not complete. `header` gives what
    /// stands before so many samples. Call it before anything is recorded.
    ///
    /// # Errors
    /// The disk's or the database's. A file that cannot be read is set aside and told.
    pub fn recover_recordings(
        &self,
        rate: u32,
        header: impl Fn(u64) -> Vec<u8>,
    ) -> Result<Vec<Recording>, StoreError> {
        let mut recovered = Vec::new();
        for path in unfinished(&self.recordings_dir())? {
            match self.recover(&path, rate, &header) {
                Ok(found) => recovered.extend(found),
                Err(error @ (StoreError::Refused(_) | StoreError::Damaged(_))) => {
                    tracing::error!(%error, "what was being recorded when the last run ended cannot be read; it is set aside");
                    let aside = path.with_extension(BROKEN);
                    fs::rename(&path, &aside).map_err(StoreError::io("cannot rename", &path))?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(recovered)
    }

    fn recover(
        &self,
        path: &Path,
        rate: u32,
        header: &impl Fn(u64) -> Vec<u8>,
    ) -> Result<Option<Recording>, StoreError> {
        let read = file::read(path)?;
        let Some(key) = self.key_of(&read)? else {
            remove(path)?; // its person has been erased
            return Ok(None);
        };
        let (closed, samples) = file::recover(path, read, &key)?;
        if samples == 0 {
            remove(path)?;
            return Ok(None);
        }
        let length_ms = samples * 1000 / u64::from(rate.max(1));
        let ended = Ended {
            at: closed.begun.began + length_ms * 1_000_000,
            length_ms,
            agents: closed.begun.agent.iter().cloned().collect(),
            customers: Vec::new(),
            header: header(samples),
            reason: Some("interrupted".to_owned()),
        };
        self.keep_recording(closed, &ended)
    }
}

/// Binds the sealed key to its place.
fn associated(contact: &str) -> Vec<u8> {
    [b"recording\0", contact.as_bytes()].concat()
}

fn day(nanos: u64) -> String {
    let time = jiff::Timestamp::from_nanosecond(nanos.into()).unwrap_or_default();
    time.strftime("%Y-%m-%d").to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.filter_map(byte).collect()
}

/// Removes a file that may be gone already.
fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::io("cannot remove", path)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Files that were being written, in their order.
fn unfinished(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let list = |dir: &Path| -> Result<Vec<PathBuf>, StoreError> {
        match fs::read_dir(dir) {
            Ok(entries) => Ok(entries.flatten().map(|entry| entry.path()).collect()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(StoreError::io("cannot read", dir)(error)),
        }
    };
    let mut found = Vec::new();
    for day in list(dir)?.iter().filter(|path| path.is_dir()) {
        let part = |path: &PathBuf| path.extension().is_some_and(|end| end == PART);
        found.extend(list(day)?.into_iter().filter(part));
    }
    found.sort_unstable();
    Ok(found)
}
