//! Snapshots beside the log: what a fold of it came to at a sequence, so that a start need not read all of it.
//!
//! One file for each; written in one step; the two newest of a name are kept, so that a broken one costs a longer replay and nothing else.
//! What is personal must not be in one: it would outlive the person's key.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::data_dir::{DataDir, make_dir, sync_dir, write_durably};
use crate::error::StoreError;

const MAGIC: [u8; 8] = *b"CORDSNP\n";
const VERSION: u16 = 1;
/// Magic, version, two zero bytes, sequence, length, SHA-256.
const HEAD_BYTES: usize = 8 + 2 + 2 + 8 + 8 + 32;
/// Of one name.
const KEPT: usize = 2;

/// The snapshots of a data directory.
#[derive(Clone, Debug)]
pub struct Snapshots {
    dir: PathBuf,
}

impl Snapshots {
    pub fn open(dir: &DataDir) -> Result<Snapshots, StoreError> {
        let dir = dir.path().join("snapshots");
        make_dir(&dir)?;
        let snapshots = Snapshots { dir };
        // Of a write that the process did not live to end.
        for path in snapshots.files()? {
            if path.extension().is_some_and(|kind| kind == "tmp") {
                fs::remove_file(&path).map_err(StoreError::io("cannot remove", &path))?;
            }
        }
        Ok(snapshots)
    }

    /// Renames snapshots of later events than the log's last, to `….ahead`: the log is an older one, from a backup say, and will give those
    /// sequences to other events.
    pub fn set_aside_after(&self, last_sequence: u64) -> Result<(), StoreError> {
        for path in self.files()? {
            let sequence = path
                .file_name()
                .and_then(|name| name.to_str())
                .and_then(|name| name.strip_suffix(".snapshot")?.rsplit_once('-'))
                .and_then(|(_, sequence)| sequence.parse::<u64>().ok());
            if sequence.is_some_and(|sequence| sequence > last_sequence) {
                tracing::warn!(file = %path.display(), last_sequence, "a snapshot is newer than the log and is set aside; was the log restored from a backup?");
                fs::rename(&path, path.with_extension("ahead"))
                    .map_err(StoreError::io("cannot rename", &path))?;
            }
        }
        Ok(())
    }

    fn files(&self) -> Result<Vec<PathBuf>, StoreError> {
        let entries = fs::read_dir(&self.dir).map_err(StoreError::io("cannot read", &self.dir))?;
        entries
            .map(|entry| {
                Ok(entry
                    .map_err(StoreError::io("cannot read", &self.dir))?
                    .path())
            })
            .collect()
    }

    /// Keeps `bytes` as the state of `name` (letters, digits, `_`) after the event `sequence`. On disk when this returns.
    pub fn write_snapshot(
        &self,
        sequence: u64,
        name: &str,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        if name.is_empty()
            || name.len() > 64
            || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        {
            return Err(StoreError::Refused(format!(
                "{name:?} is no name of a snapshot"
            )));
        }
        let mut head = Vec::with_capacity(HEAD_BYTES);
        head.extend(MAGIC);
        head.extend(VERSION.to_le_bytes());
        head.extend([0, 0]);
        head.extend(sequence.to_le_bytes());
        head.extend((bytes.len() as u64).to_le_bytes());
        head.extend(digest(sequence, bytes));
        write_durably(
            &self.dir.join(format!("{name}-{sequence:020}.snapshot")),
            &[&head, bytes],
        )?;
        let all = self.of_name(name)?;
        for (_, old) in all.iter().rev().skip(KEPT) {
            fs::remove_file(old).map_err(StoreError::io("cannot remove the old snapshot", old))?;
        }
        sync_dir(&self.dir).map_err(StoreError::io("cannot sync", &self.dir))
    }

    /// The newest sound snapshot of `name` and its sequence. One that is broken is said in the log and passed over.
    pub fn latest_snapshot(&self, name: &str) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        for (sequence, path) in self.of_name(name)?.into_iter().rev() {
            let bytes = fs::read(&path).map_err(StoreError::io("cannot read", &path))?;
            match check(&bytes, sequence) {
                Ok(()) => return Ok(Some((sequence, bytes[HEAD_BYTES..].to_vec()))),
                Err(what) => tracing::error!(file = %path.display(), what, "snapshot passed over"),
            }
        }
        Ok(None)
    }

    /// Oldest first.
    fn of_name(&self, name: &str) -> Result<Vec<(u64, PathBuf)>, StoreError> {
        let mut found = Vec::new();
        for path in self.files()? {
            if let Some(sequence) = sequence_of(&path, name) {
                found.push((sequence, path));
            }
        }
        found.sort();
        Ok(found)
    }
}

fn sequence_of(path: &Path, name: &str) -> Option<u64> {
    path.file_name()?
        .to_str()?
        .strip_suffix(".snapshot")?
        .strip_prefix(name)?
        .strip_prefix('-')?
        .parse()
        .ok()
}

fn digest(sequence: u64, bytes: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update(sequence.to_le_bytes())
        .chain_update(bytes)
        .finalize()
        .into()
}

fn check(file: &[u8], sequence: u64) -> Result<(), &'static str> {
    let Some((head, bytes)) = file.split_at_checked(HEAD_BYTES) else {
        return Err("cut off");
    };
    if head[..8] != MAGIC || head[8..10] != VERSION.to_le_bytes() {
        return Err("no snapshot, or one of another version");
    }
    if head[12..20] != sequence.to_le_bytes()
        || head[20..28] != (bytes.len() as u64).to_le_bytes()
        || head[28..] != digest(sequence, bytes)
    {
        return Err("its checksum is wrong");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_sound_one_of_two() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        let snapshots = Snapshots::open(&data).unwrap();
        assert_eq!(snapshots.latest_snapshot("metrics").unwrap(), None);
        for sequence in [9, 10, 100] {
            snapshots
                .write_snapshot(sequence, "metrics", format!("at {sequence}").as_bytes())
                .unwrap();
        }
        snapshots.write_snapshot(7, "acd", b"").unwrap();
        assert_eq!(
            snapshots.latest_snapshot("metrics").unwrap(),
            Some((100, b"at 100".to_vec()))
        );
        assert_eq!(snapshots.latest_snapshot("acd").unwrap(), Some((7, vec![])));
        assert_eq!(
            fs::read_dir(dir.path().join("snapshots")).unwrap().count(),
            3
        );
        let newest = dir
            .path()
            .join("snapshots/metrics-00000000000000000100.snapshot");
        let whole = fs::read(&newest).unwrap();
        for bit in (0..whole.len() * 8).filter(|bit| !(80..96).contains(bit)) {
            let mut bent = whole.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            fs::write(&newest, &bent).unwrap();
            assert_eq!(
                snapshots.latest_snapshot("metrics").unwrap(),
                Some((10, b"at 10".to_vec())),
                "bit {bit}"
            );
        }
        assert!(snapshots.write_snapshot(1, "../x", b"").is_err());
    }

    #[test]
    fn half_written_ones_go_and_those_ahead_of_the_log_are_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        let snapshots = Snapshots::open(&data).unwrap();
        for sequence in [9, 100] {
            snapshots.write_snapshot(sequence, "fold", b"x").unwrap();
        }
        let half = dir
            .path()
            .join("snapshots/fold-00000000000000000101.snapshot.tmp");
        fs::write(&half, b"CORD").unwrap();
        let snapshots = Snapshots::open(&data).unwrap();
        assert!(!half.exists());
        snapshots.set_aside_after(99).unwrap();
        assert_eq!(
            snapshots.latest_snapshot("fold").unwrap(),
            Some((9, b"x".to_vec()))
        );
        snapshots.write_snapshot(10, "fold", b"y").unwrap();
        assert_eq!(snapshots.latest_snapshot("fold").unwrap().unwrap().0, 10);
    }
}
