//! Reading what is on disk.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::frame::{Frame, kind_of};
use super::segment::{Cursor, Place, Segment, Segments, scan};
use super::{OnDamage, segment_paths};
use crate::api::{Record, RecordKind};
use crate::error::StoreError;
use crate::seal::Keys;
use crate::tables::Store;

/// Reads a log, while it is written too; sees whole groups that are on disk and nothing else.
#[derive(Clone)]
pub struct LogReader {
    segments: Arc<Segments>,
    keys: Option<Keys>,
    on_damage: OnDamage,
}

impl LogReader {
    pub(super) fn new(
        segments: Arc<Segments>,
        keys: Option<Keys>,
        on_damage: OnDamage,
    ) -> LogReader {
        LogReader {
            segments,
            keys,
            on_damage,
        }
    }

    /// Opens the log below a data directory for reading only: as it is now, whoever writes it. Without the store everything personal reads as `None`.
    pub fn open(data_dir: &Path, store: Option<&Store>) -> Result<LogReader, StoreError> {
        let segments = Segments::default();
        for path in segment_paths(&data_dir.join("log"))? {
            segments.push(Arc::new(Segment::open(path)?));
        }
        if let Some((last, _)) = segments
            .len()
            .checked_sub(1)
            .and_then(|place| segments.at(place))
        {
            // What is behind the last whole record is being written, or was when the process died.
            let found = scan(&mut Cursor::new(&last, None));
            last.set_marks(found.marks);
            last.commit(found.end, std::iter::empty());
            segments
                .last_sequence
                .store(found.sequence, Ordering::Release);
        }
        Ok(LogReader {
            segments: Arc::new(segments),
            keys: store.map(|store| store.keys().clone()),
            on_damage: OnDamage::Refuse,
        })
    }

    /// The same reader with another way to meet damage.
    pub fn on_damage(mut self, on_damage: OnDamage) -> LogReader {
        self.on_damage = on_damage;
        self
    }

    /// Of the last event on disk; 0 when there is none.
    pub fn last_sequence(&self) -> u64 {
        self.segments.last_sequence.load(Ordering::Acquire)
    }

    /// The events after `after_sequence`, at most `limit`, in order. The last one's sequence is the cursor for the next call.
    pub fn read(&self, after_sequence: u64, limit: usize) -> Result<Vec<Record>, StoreError> {
        self.records_after(after_sequence, true)
            .filter(|record| {
                record
                    .as_ref()
                    .map_or(true, |record| record.kind == RecordKind::Event)
            })
            .take(limit)
            .collect()
    }

    /// Every record, of all kinds, from the event `sequence` on.
    pub fn iterate_from(&self, sequence: u64) -> impl Iterator<Item = Result<Record, StoreError>> {
        self.iterate_after(sequence.saturating_sub(1))
            .skip_while(move |record| {
                record.as_ref().is_ok_and(|record| {
                    record.kind != RecordKind::Event && record.sequence < sequence
                })
            })
    }

    /// Every record, of all kinds, that was written after the event `sequence`: what a replay needs that has a snapshot of that sequence. 0: all.
    ///
    /// `None` is the end of what is on disk now; asking again later goes on. After an error the iteration is over.
    pub fn iterate_after(&self, sequence: u64) -> Records {
        self.records_after(sequence, false)
    }

    fn records_after(&self, sequence: u64, events_only: bool) -> Records {
        Records {
            reader: self.clone(),
            after: sequence,
            place: self.segments.place_after(sequence, events_only),
            at: None,
            over: false,
        }
    }

    fn record(
        &self,
        segment: &Segment,
        offset: u64,
        kind: RecordKind,
        frame: &Frame<'_>,
    ) -> Result<Record, StoreError> {
        let personal = match &self.keys {
            Some(keys) if !frame.sealed.is_empty() => match keys.open_sealed(
                frame.sealed,
                &associated(frame.kind, frame.index, frame.sequence, frame.at),
            ) {
                Ok(personal) => personal,
                Err(StoreError::Refused(what)) => return Err(segment.damage(offset, what).into()),
                Err(error) => return Err(error),
            },
            _ => None,
        };
        Ok(Record {
            kind,
            sequence: frame.sequence,
            at: frame.at,
            json: frame.json.into(),
            personal,
        })
    }
}

/// What binds a sealed part to its record.
pub(super) fn associated(kind: u8, index: u64, sequence: u64, at: u64) -> [u8; 28] {
    let mut out = *b"log\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    out[3] = kind;
    for (place, value) in out[4..].chunks_exact_mut(8).zip([index, sequence, at]) {
        place.copy_from_slice(&value.to_le_bytes());
    }
    out
}

/// The iterator of [`LogReader::iterate_after`].
pub struct Records {
    reader: LogReader,
    after: u64,
    /// Of the segment in the list.
    place: usize,
    at: Option<At>,
    over: bool,
}

/// A place in a segment, kept between calls.
struct At {
    segment: Arc<Segment>,
    /// Of the last event before it.
    before: u64,
    place: Place,
}

impl Iterator for Records {
    type Item = Result<Record, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let item = self.find_next().transpose();
        self.over = matches!(item, Some(Err(_)));
        item
    }
}

impl Records {
    fn find_next(&mut self) -> Result<Option<Record>, StoreError> {
        loop {
            let Some((segment, index_end)) = self.reader.segments.at(self.place) else {
                return Ok(None);
            };
            let at = match self.at.take() {
                Some(at) if Arc::ptr_eq(&at.segment, &segment) => at,
                _ => {
                    let mark = segment.seek(self.after, index_end);
                    At {
                        segment: segment.clone(),
                        before: mark.before,
                        place: Place::of(mark),
                    }
                }
            };
            let (found, at) = self.in_segment(at, index_end);
            self.at = Some(at);
            match found {
                Ok(Some(record)) => return Ok(Some(record)),
                Ok(None) if index_end.is_none() => return Ok(None),
                Ok(None) => {}
                Err(StoreError::Damaged(damage))
                    if self.reader.on_damage == OnDamage::SkipSegment && index_end.is_some() =>
                {
                    tracing::error!(%damage, "the rest of this log segment is left out");
                }
                Err(error) => return Err(error),
            }
            self.place += 1;
            self.at = None;
        }
    }

    fn in_segment(
        &self,
        at: At,
        index_end: Option<u64>,
    ) -> (Result<Option<Record>, StoreError>, At) {
        let At {
            segment,
            mut before,
            place,
        } = at;
        let mut cursor = Cursor::resume(&segment, index_end, place);
        let found = loop {
            match cursor.next() {
                Ok(None) => break Ok(None),
                Err(error) => break Err(error),
                Ok(Some((offset, frame))) => {
                    let Some(kind) = kind_of(frame.kind) else {
                        continue;
                    };
                    let was_after = before >= self.after;
                    if kind == RecordKind::Event {
                        before = frame.sequence;
                    }
                    if was_after || before > self.after {
                        break self.reader.record(&segment, offset, kind, &frame).map(Some);
                    }
                }
            }
        };
        let place = cursor.into_place();
        (
            found,
            At {
                segment,
                before,
                place,
            },
        )
    }
}
