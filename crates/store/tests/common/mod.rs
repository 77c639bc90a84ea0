//! What the tests of the log share.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test binary uses a part of it, and a test fails by an unwrap"
)]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use store::{
    DataDir, Log, LogHandle, LogWriter, OnDamage, Opened, Options, Personal, Record, RecordKind,
    Store, StoreError,
};

pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn event(sequence: u64) -> Record {
    Record {
        kind: RecordKind::Event,
        sequence,
        at: 1_000 + sequence,
        json: format!(r#"{{"n":{sequence}}}"#).into(),
        personal: None,
    }
}

pub fn personal_event(sequence: u64, person: &str) -> Record {
    let personal = Personal {
        person: person.into(),
        json: format!(r#"{{"ani":"{person}"}}"#).into(),
    };
    Record {
        personal: Some(personal),
        ..event(sequence)
    }
}

pub fn input(sequence: u64, text: &str) -> Record {
    Record {
        kind: RecordKind::AcdInput,
        json: text.into(),
        ..event(sequence)
    }
}

/// A running log and all that was committed.
pub struct Running {
    pub store: Store,
    pub handle: LogHandle,
    pub opened: Opened,
    pub committed: Arc<Mutex<Vec<Record>>>,
}

pub fn options() -> Options {
    Options::new("test")
}

pub fn run_with(dir: &Path, options: Options) -> Result<Running, StoreError> {
    let data = DataDir::open(dir)?;
    let store = Store::open(&data)?;
    let (log, opened) = Log::open(&data, options)?;
    let committed: Arc<Mutex<Vec<Record>>> = Arc::default();
    let seen = committed.clone();
    let handle = LogWriter::spawn(
        log,
        &store,
        move |group| seen.lock().unwrap().extend(group.records.iter().cloned()),
        |_| {},
    )
    .unwrap();
    Ok(Running {
        store,
        handle,
        opened,
        committed,
    })
}

pub fn run(dir: &Path) -> Running {
    run_with(dir, options()).unwrap()
}

impl Running {
    pub fn write(&self, records: Vec<Record>) {
        self.handle.append(records).unwrap();
        assert!(self.handle.flush(PATIENCE));
    }

    pub fn stop(self) {
        assert!(self.handle.close(PATIENCE));
    }

    pub fn sequences(&self) -> Vec<u64> {
        self.handle
            .reader()
            .read(0, usize::MAX)
            .unwrap()
            .iter()
            .map(|record| record.sequence)
            .collect()
    }
}

pub fn skipping() -> Options {
    Options {
        on_damage: OnDamage::SkipSegment,
        ..options()
    }
}

/// The segments on disk, oldest first.
pub fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = std::fs::read_dir(dir.join("log"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "log"))
        .collect();
    paths.sort();
    paths
}
