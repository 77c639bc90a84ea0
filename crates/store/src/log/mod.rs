//! The event log: append-only segments in `data_dir/log/`, one writer, any number of readers.
//!
//! [`Log::open`] finds the end (and cuts off what a crash left half-written there), [`LogWriter::spawn`] starts the thread that writes,
//! [`LogReader`] reads what is on disk. Bytes: `docs/log-format.md`.

mod frame;
mod reader;
mod segment;
mod stats;
mod writer;

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::data_dir::{DataDir, make_dir, sync_dir, write_durably};
use crate::error::{Damage, StoreError};
use crate::tables::Store;
use segment::{Cursor, Segment, Segments, look_behind, scan};

pub use reader::{LogReader, Records};
pub use stats::LogStats;
pub use writer::{LogFull, LogHandle, LogWriter, Trouble};

/// A segment that has grown to this is closed, and the next record begins a new one.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// How a log is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// The node's name; a log belongs to one.
    pub node: String,
    pub on_damage: OnDamage,
    /// See [`SEGMENT_BYTES`]; smaller in tests.
    pub segment_bytes: u64,
}

impl Options {
    pub fn new(node: impl Into<String>) -> Options {
        Options {
            node: node.into(),
            on_damage: OnDamage::Refuse,
            segment_bytes: SEGMENT_BYTES,
        }
    }
}

/// What to do where the log does not hold what was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDamage {
    /// Fail, naming file and byte.
    #[default]
    Refuse,
    /// On opening: leave the damaged file as it is and go on in a new segment. On reading: leave out the rest of that segment. Said in the
    /// log each time, and counted; somebody has decided that the rest is worth having.
    SkipSegment,
}

/// What was found on opening.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// How often this log has been opened, this time included. Durable before this is returned.
    pub boot: u64,
    /// Of the last event; 0 in a new log.
    pub last_sequence: u64,
    /// The latest time of a record, in nanoseconds; 0 in a new log. The engine's time goes on behind it.
    pub last_at: u64,
    /// Of a write that was under way when the process or the machine died, and that nobody was told of. They are kept beside the segment.
    pub truncated_bytes: u64,
    pub truncated_file: Option<PathBuf>,
    /// With [`OnDamage::SkipSegment`]: what is damaged.
    pub damaged: Vec<Damage>,
    pub segments: usize,
}

/// An opened log, before its writer has started.
#[derive(Debug)]
pub struct Log {
    /// Held as long as the log is written.
    _dir: DataDir,
    path: PathBuf,
    options: Options,
    boot: u64,
    segments: Arc<Segments>,
    /// The segment that the writer may go on with.
    current: Option<Arc<Segment>>,
    next_index: u64,
    last_sequence: u64,
    last_at: u64,
    /// So many syncs fail, as on a disk that loses its connection.
    #[cfg(test)]
    failing_syncs: u32,
}

impl Log {
    /// Opens the log below the data directory, or makes one.
    ///
    /// # Errors
    /// Damage anywhere that opening looks at (all headers, the whole last segment) but in the last write; a log of another node or of a newer version; I/O.
    pub fn open(dir: &DataDir, options: Options) -> Result<(Log, Opened), StoreError> {
        if options.node.is_empty() || options.node.len() > 255 {
            return Err(StoreError::Refused(
                "a node's name has 1 to 255 bytes".into(),
            ));
        }
        let path = dir.path().join("log");
        make_dir(&path)?;
        let mut opened = Opened::default();
        let mut log = Log {
            _dir: dir.clone(),
            path,
            options,
            boot: 0,
            segments: Arc::default(),
            current: None,
            next_index: 1,
            last_sequence: 0,
            last_at: 0,
            #[cfg(test)]
            failing_syncs: 0,
        };
        log.find_segments(&mut opened)?;
        log.boot += 1;
        log.boot = log.boot.max(read_boot(&log.path)? + 1);
        write_durably(
            &log.path.join("boot"),
            &[format!("{}\n", log.boot).as_bytes()],
        )?;
        log.segments
            .last_sequence
            .store(log.last_sequence, Ordering::Release);
        opened.boot = log.boot;
        opened.last_sequence = log.last_sequence;
        opened.last_at = log.last_at;
        opened.segments = log.segments.len();
        Ok((log, opened))
    }

    /// A reader of what is on disk, during the writing too. Readers of one log are cheap.
    pub fn reader(&self, store: &Store) -> LogReader {
        LogReader::new(
            self.segments.clone(),
            Some(store.keys().clone()),
            OnDamage::Refuse,
        )
    }

    /// Opens every segment, oldest first; only the last is read.
    fn find_segments(&mut self, opened: &mut Opened) -> Result<(), StoreError> {
        let paths = segment_paths(&self.path)?;
        for (place, path) in paths.iter().enumerate() {
            let last = place + 1 == paths.len();
            match Segment::open(path.clone()) {
                Ok(segment) => {
                    self.check_node(&segment)?;
                    self.boot = self.boot.max(segment.header.boot);
                    let segment = Arc::new(segment);
                    self.segments.push(segment.clone());
                    if last {
                        self.find_end(segment, opened)?;
                    }
                }
                Err(StoreError::Damaged(damage)) if last && self.is_unfinished(path)? => {
                    self.remove_unfinished(path, damage, opened)?
                }
                Err(StoreError::Damaged(damage))
                    if self.options.on_damage == OnDamage::SkipSegment =>
                {
                    tracing::error!(%damage, "log segment left out");
                    opened.damaged.push(damage);
                    if last {
                        self.after_last_known(path)?;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn check_node(&self, segment: &Segment) -> Result<(), StoreError> {
        if segment.header.node == self.options.node {
            return Ok(());
        }
        Err(StoreError::OtherNode {
            dir: self.path.clone(),
            found: segment.header.node.clone(),
            expected: self.options.node.clone(),
        })
    }

    /// Reads the last segment to its end, and decides what an unsound end is: a write that was under way, or damage.
    fn find_end(&mut self, segment: Arc<Segment>, opened: &mut Opened) -> Result<(), StoreError> {
        let found = scan(&mut Cursor::new(&segment, None));
        (self.next_index, self.last_sequence, self.last_at) =
            (found.next_index, found.sequence, found.at);
        let damage = match found.trouble {
            None => None,
            Some(StoreError::Damaged(damage)) => Some(damage),
            Some(error) => return Err(error),
        };
        let mut goes_on = true;
        if let Some(damage) = damage {
            let tail = read_from(&segment, found.end)?;
            let behind = look_behind(&tail, found.next_index);
            if !behind.acknowledged {
                self.cut_off(&segment, found.end, &tail, opened)?;
            } else if self.options.on_damage == OnDamage::Refuse {
                return Err(damage.into());
            } else {
                tracing::error!(%damage, "the last log segment is damaged; going on in a new one");
                opened.damaged.push(damage);
                self.next_index = behind.next_index;
                self.last_sequence = self.last_sequence.max(behind.sequence);
                self.last_at = self.last_at.max(behind.at);
                goes_on = false;
            }
        }
        if goes_on {
            segment.set_marks(found.marks);
            segment.commit(found.end, std::iter::empty());
            self.current = Some(segment);
        }
        Ok(())
    }

    /// Ends the segment behind its last sound record. The rest is kept beside it: should it be damage after all, somebody can look.
    fn cut_off(
        &self,
        segment: &Segment,
        end: u64,
        tail: &[u8],
        opened: &mut Opened,
    ) -> Result<(), StoreError> {
        opened.truncated_bytes = tail.len() as u64;
        opened.truncated_file = Some(segment.path.clone());
        tracing::warn!(file = %segment.path.display(), offset = end, bytes = tail.len(), "cut off a write that a crash left unfinished; nobody had been told of it");
        if tail.iter().any(|byte| *byte != 0) {
            write_durably(&beside(&segment.path, end), &[tail])?;
        }
        segment
            .file
            .set_len(end)
            .and_then(|()| segment.file.sync_all())
            .map_err(StoreError::io("cannot cut off the end of", &segment.path))
    }

    /// Whether a crash left this file while its first record was being written: no whole record is in it.
    fn is_unfinished(&self, path: &Path) -> Result<bool, StoreError> {
        let bytes = fs::read(path).map_err(StoreError::io("cannot read", path))?;
        Ok(!look_behind(&bytes, segment::index_of(path).unwrap_or(0)).acknowledged)
    }

    fn remove_unfinished(
        &mut self,
        path: &Path,
        damage: Damage,
        opened: &mut Opened,
    ) -> Result<(), StoreError> {
        opened.truncated_bytes = fs::metadata(path)
            .map_err(StoreError::io("cannot read", path))?
            .len();
        opened.truncated_file = Some(path.to_owned());
        tracing::warn!(%damage, "a crash left a segment unfinished; nobody had been told of it");
        let remove = || fs::rename(path, beside(path, 0)).and_then(|()| sync_dir(&self.path));
        remove().map_err(StoreError::io("cannot put aside", path))?;
        match self
            .segments
            .len()
            .checked_sub(1)
            .and_then(|place| self.segments.at(place))
        {
            Some((segment, _)) => self.find_end(segment, opened),
            None => Ok(()),
        }
    }

    /// The last segment cannot be read from its start: its records say where to go on.
    fn after_last_known(&mut self, path: &Path) -> Result<(), StoreError> {
        let bytes = fs::read(path).map_err(StoreError::io("cannot read", path))?;
        let behind = look_behind(&bytes, segment::index_of(path).unwrap_or(0));
        // Never the name of the damaged file: that one stays as it is.
        let beyond = segment::index_of(path).unwrap_or(0) + 1;
        (self.next_index, self.last_sequence, self.last_at) =
            (behind.next_index.max(beyond), behind.sequence, behind.at);
        Ok(())
    }
}

fn segment_paths(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(StoreError::io("cannot read", dir))? {
        let path = entry.map_err(StoreError::io("cannot read", dir))?.path();
        if segment::index_of(&path).is_some() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn read_boot(dir: &Path) -> Result<u64, StoreError> {
    let path = dir.join("boot");
    match fs::read_to_string(&path) {
        // Replaced in one step, so it is whole; what somebody has edited falls back on the segments' headers.
        Ok(text) => Ok(text.trim().parse().unwrap_or(0)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(StoreError::io("cannot read", &path)(error)),
    }
}

fn read_from(segment: &Segment, offset: u64) -> Result<Vec<u8>, StoreError> {
    let mut bytes = vec![0; usize::try_from(segment.committed() - offset).unwrap_or(usize::MAX)];
    segment
        .file
        .read_exact_at(&mut bytes, offset)
        .map_err(StoreError::io("cannot read", &segment.path))?;
    Ok(bytes)
}

/// Where what was cut off from a segment at `offset` is kept.
fn beside(path: &Path, offset: u64) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".torn-{offset}"));
    PathBuf::from(name)
}
