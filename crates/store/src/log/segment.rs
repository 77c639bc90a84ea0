//! A segment: one file of the log, what may be read of it, and where to begin reading.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::frame::{Bad, Frame, GROUP, Header, kind_of};
use crate::api::RecordKind;
use crate::error::{Damage, StoreError};

/// One entry of the sparse index per this many bytes of a segment: a seek then reads at most this much in vain.
const MARK_EVERY_BYTES: u64 = 64 * 1024;
/// Read ahead when going through a segment.
const READ_BYTES: usize = 256 * 1024;

/// A header's length is a `u16`.
const HEADER_BYTES_MAX: usize = u16::MAX as usize;

/// Where a record begins, and the last event before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub before: u64,
    pub offset: u64,
}

#[derive(Debug)]
pub(super) struct Segment {
    pub path: PathBuf,
    pub header: Header,
    pub begin: u64,
    pub file: File,
    /// Up to here it is on disk; readers go no further.
    committed: AtomicU64,
    /// Of a closed segment made when it is first needed: opening a year of log must not read it.
    marks: Mutex<Option<Vec<Mark>>>,
}

/// The segments of a log, oldest first; shared by the writer and all readers. A log without a record has none.
#[derive(Debug, Default)]
pub(super) struct Segments {
    list: RwLock<Vec<Arc<Segment>>>,
    /// Of the last event on disk.
    pub last_sequence: AtomicU64,
}

/// The name of the segment that begins with this record.
pub(super) fn file_name(first_index: u64) -> String {
    format!("{first_index:020}.log")
}

/// The index in a segment's name.
pub(super) fn index_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?.strip_suffix(".log")?;
    (name.len() == 20).then(|| name.parse().ok()).flatten()
}

impl Segment {
    /// A segment whose header has been written, with nothing to read in it yet.
    pub(super) fn new(path: PathBuf, header: Header, begin: u64, file: File) -> Segment {
        let marks = vec![Mark {
            before: header.before,
            offset: begin,
        }];
        Segment {
            path,
            header,
            begin,
            file,
            committed: AtomicU64::new(begin),
            marks: Mutex::new(Some(marks)),
        }
    }

    /// A segment that is on disk.
    pub(super) fn open(path: PathBuf) -> Result<Segment, StoreError> {
        let file = File::options()
            .read(true)
            .write(true)
            .open(&path)
            .or_else(|_| File::open(&path))
            .map_err(StoreError::io("cannot open", &path))?;
        let length = file
            .metadata()
            .map_err(StoreError::io("cannot read", &path))?
            .len();
        let mut start =
            vec![0; HEADER_BYTES_MAX.min(usize::try_from(length).unwrap_or(HEADER_BYTES_MAX))];
        file.read_exact_at(&mut start, 0)
            .map_err(StoreError::io("cannot read", &path))?;
        let damage = |what: &str| Damage {
            file: path.clone(),
            offset: 0,
            what: what.to_owned(),
        };
        let (header, begin) = Header::decode(&start).map_err(|bad| match bad {
            Bad::Short => StoreError::from(damage("the header is cut off")),
            Bad::Damaged(what) => damage(what).into(),
            Bad::Newer(what) => StoreError::Newer {
                file: path.clone(),
                what,
            },
        })?;
        if index_of(&path) != Some(header.first_index) {
            return Err(damage("the header is that of another segment").into());
        }
        Ok(Segment {
            path,
            header,
            begin: begin as u64,
            file,
            committed: AtomicU64::new(length),
            marks: Mutex::new(None),
        })
    }

    pub(super) fn committed(&self) -> u64 {
        self.committed.load(Ordering::Acquire)
    }

    /// Lets readers see up to `end`. `marks` are those of the new records.
    pub(super) fn commit(&self, end: u64, new: impl Iterator<Item = Mark>) {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let marks = marks.get_or_insert_with(|| {
            vec![Mark {
                before: self.header.before,
                offset: self.begin,
            }]
        });
        for mark in new {
            push_mark(marks, mark);
        }
        self.committed.store(end, Ordering::Release);
    }

    pub(super) fn set_marks(&self, marks: Vec<Mark>) {
        *self.marks.lock().unwrap_or_else(PoisonError::into_inner) = Some(marks);
    }

    /// The last known place of which everything before belongs to events before or at `sequence`.
    pub(super) fn seek(&self, sequence: u64, index_end: Option<u64>) -> Mark {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        // A damaged segment gives the marks up to the damage; who reads on meets it.
        let marks = marks.get_or_insert_with(|| scan(&mut Cursor::new(self, index_end)).marks);
        let after = marks.partition_point(|mark| mark.before < sequence);
        marks.get(after.saturating_sub(1)).copied().unwrap_or(Mark {
            before: self.header.before,
            offset: self.begin,
        })
    }

    pub(super) fn damage(&self, offset: u64, what: impl Into<String>) -> Damage {
        Damage {
            file: self.path.clone(),
            offset,
            what: what.into(),
        }
    }
}

impl Segments {
    pub(super) fn push(&self, segment: Arc<Segment>) {
        self.list
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(segment);
    }

    /// Takes back a segment into which nothing was committed.
    pub(super) fn pop(&self, segment: &Arc<Segment>) {
        let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
        if list.last().is_some_and(|last| Arc::ptr_eq(last, segment)) {
            list.pop();
        }
    }

    /// The segment at this place in the list, and the index at which its successor takes over.
    pub(super) fn at(&self, place: usize) -> Option<(Arc<Segment>, Option<u64>)> {
        let list = self.list.read().unwrap_or_else(PoisonError::into_inner);
        Some((
            list.get(place)?.clone(),
            list.get(place + 1).map(|next| next.header.first_index),
        ))
    }

    /// The place of the segment in which to look for what comes after the event `sequence`. When a segment ends with that event, other records may
    /// follow it there; the next event does not.
    pub(super) fn place_after(&self, sequence: u64, events_only: bool) -> usize {
        let list = self.list.read().unwrap_or_else(PoisonError::into_inner);
        list.partition_point(|segment| {
            segment.header.before < sequence || (events_only && segment.header.before == sequence)
        })
        .saturating_sub(1)
    }

    pub(super) fn len(&self) -> usize {
        self.list
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }
}

pub(super) fn push_mark(marks: &mut Vec<Mark>, mark: Mark) {
    if marks
        .last()
        .is_none_or(|last| mark.offset >= last.offset + MARK_EVERY_BYTES)
    {
        marks.push(mark);
    }
}

/// Where a cursor stands, kept while the segment is not borrowed.
#[derive(Default)]
pub(super) struct Place {
    pub offset: u64,
    /// Of the next record, when it is known.
    pub index: Option<u64>,
    buffer: Vec<u8>,
    buffer_at: u64,
}

impl Place {
    pub(super) fn of(mark: Mark) -> Place {
        Place {
            offset: mark.offset,
            ..Place::default()
        }
    }
}

/// Goes through the records of a segment, checking each and that none is missing.
pub(super) struct Cursor<'s> {
    segment: &'s Segment,
    /// Of the next record.
    pub offset: u64,
    /// Of the next record, when it is known.
    index: Option<u64>,
    /// Where the next segment takes over. What lies behind that here was never acknowledged (a write that failed and went there instead).
    index_end: Option<u64>,
    buffer: Vec<u8>,
    buffer_at: u64,
}

impl<'s> Cursor<'s> {
    pub(super) fn new(segment: &'s Segment, index_end: Option<u64>) -> Cursor<'s> {
        Cursor {
            segment,
            offset: segment.begin,
            index: Some(segment.header.first_index),
            index_end,
            buffer: Vec::new(),
            buffer_at: 0,
        }
    }

    /// A cursor at a place that a mark or an earlier cursor gave.
    pub(super) fn resume(segment: &'s Segment, index_end: Option<u64>, place: Place) -> Cursor<'s> {
        let index = if place.offset == segment.begin {
            Some(segment.header.first_index)
        } else {
            place.index
        };
        Cursor {
            segment,
            offset: place.offset,
            index,
            index_end,
            buffer: place.buffer,
            buffer_at: place.buffer_at,
        }
    }

    pub(super) fn into_place(self) -> Place {
        Place {
            offset: self.offset,
            index: self.index,
            buffer: self.buffer,
            buffer_at: self.buffer_at,
        }
    }

    /// The next record and its offset; `None` at the end of what is committed.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Frame<'_>)>, StoreError> {
        let end = self.segment.committed();
        if self.index_end.is_some() && self.index == self.index_end {
            return Ok(None);
        }
        if self.offset >= end {
            return match (self.index_end, self.index) {
                (Some(last), Some(index)) if index < last => Err(self
                    .segment
                    .damage(self.offset, format!("it ends before record {index}"))
                    .into()),
                _ => Ok(None),
            };
        }
        self.have(8, end)?;
        let length = Frame::length(self.bytes()).map_err(|bad| self.bad(bad))?;
        self.have(length, end)?;
        let (offset, expected) = (self.offset, self.index);
        // Split borrows: the frame borrows the buffer only.
        let bytes =
            &self.buffer[usize::try_from(offset - self.buffer_at).expect("within the buffer")..];
        let (frame, length) = match Frame::decode(bytes) {
            Ok(decoded) => decoded,
            Err(bad) => return Err(bad_at(self.segment, offset, bad)),
        };
        if expected.is_some_and(|index| index != frame.index) {
            return Err(self
                .segment
                .damage(
                    offset,
                    format!(
                        "record {} where {} is due",
                        frame.index,
                        expected.unwrap_or_default()
                    ),
                )
                .into());
        }
        if self.index_end.is_some_and(|end| frame.index >= end) {
            self.index = self.index_end;
            return Ok(None);
        }
        self.offset += length as u64;
        self.index = Some(frame.index + 1);
        Ok(Some((offset, frame)))
    }

    fn bytes(&self) -> &[u8] {
        &self.buffer[usize::try_from(self.offset - self.buffer_at).expect("within the buffer")..]
    }

    /// Makes sure that the buffer holds `count` bytes from the offset on, or all that there are.
    fn have(&mut self, count: usize, end: u64) -> Result<(), StoreError> {
        let buffer_end = self.buffer_at + self.buffer.len() as u64;
        if self.offset >= self.buffer_at && self.offset + count as u64 <= buffer_end.min(end) {
            return Ok(());
        }
        let wanted = usize::try_from(end - self.offset)
            .unwrap_or(usize::MAX)
            .min(count.max(READ_BYTES));
        self.buffer.resize(wanted, 0);
        self.buffer_at = self.offset;
        self.segment
            .file
            .read_exact_at(&mut self.buffer, self.offset)
            .map_err(StoreError::io("cannot read", &self.segment.path))
    }

    fn bad(&self, bad: Bad) -> StoreError {
        bad_at(self.segment, self.offset, bad)
    }
}

fn bad_at(segment: &Segment, offset: u64, bad: Bad) -> StoreError {
    match bad {
        Bad::Short => segment.damage(offset, "the record is cut off").into(),
        Bad::Damaged(what) => segment.damage(offset, what).into(),
        Bad::Newer(what) => StoreError::Newer {
            file: segment.path.clone(),
            what,
        },
    }
}

/// What a walk through a segment has found.
#[derive(Debug)]
pub(super) struct Scan {
    pub marks: Vec<Mark>,
    /// Behind the last sound record.
    pub end: u64,
    pub next_index: u64,
    pub sequence: u64,
    pub at: u64,
    /// What ended the walk too early.
    pub trouble: Option<StoreError>,
}

pub(super) fn scan(cursor: &mut Cursor<'_>) -> Scan {
    let header = &cursor.segment.header;
    let mut scan = Scan {
        marks: Vec::new(),
        end: cursor.offset,
        next_index: header.first_index,
        sequence: header.before,
        at: header.before_at,
        trouble: None,
    };
    loop {
        match cursor.next() {
            Ok(None) => break,
            Err(error) => {
                scan.trouble = Some(error);
                break;
            }
            Ok(Some((offset, frame))) => {
                push_mark(
                    &mut scan.marks,
                    Mark {
                        before: scan.sequence,
                        offset,
                    },
                );
                if kind_of(frame.kind) == Some(RecordKind::Event) {
                    scan.sequence = frame.sequence;
                }
                scan.at = scan.at.max(frame.at);
                scan.next_index = frame.index + 1;
            }
        }
        scan.end = cursor.offset;
    }
    scan
}

/// What is sound behind a damaged place of a segment, found by trying every byte.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Behind {
    /// A whole group begins behind the damage: what is damaged was acknowledged once, since groups go to disk one after the other.
    pub acknowledged: bool,
    pub next_index: u64,
    pub sequence: u64,
    pub at: u64,
}

pub(super) fn look_behind(bytes: &[u8], next_index: u64) -> Behind {
    let mut behind = Behind::default();
    let mut offset = 1;
    while offset < bytes.len() {
        // A record of the past (bytes that a customer's text could imitate) or of the far future is none.
        match Frame::decode(&bytes[offset..]) {
            Ok((frame, length))
                if frame.index >= next_index && frame.index - next_index <= bytes.len() as u64 =>
            {
                behind.acknowledged |= frame.flags & GROUP != 0;
                behind.next_index = frame.index + 1;
                behind.at = behind.at.max(frame.at);
                behind.sequence = behind.sequence.max(frame.sequence);
                offset += length;
            }
            _ => offset += 1,
        }
    }
    behind
}
