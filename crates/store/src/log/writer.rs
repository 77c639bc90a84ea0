//! The one thread that writes: whatever is queued goes to disk in one write and one sync.
//!
//! A disk that fails does not stop the engine. Records wait in memory, the write is tried again every second, and the state is loud
//! ([`LogHandle::trouble`]); only when memory's share is used up are new records refused, counted, and noted in the log itself afterwards.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{
    Receiver, RecvTimeoutError, SendTimeoutError, Sender, TryRecvError, TrySendError,
};

use super::frame::{BODY_BYTES_MAX, Frame, GROUP, Header};
use super::reader::associated;
use super::segment::{Mark, Segment, file_name};
use super::{Log, LogReader, LogStats, OnDamage};
use crate::api::{Committed, Record, RecordKind};
use crate::data_dir::sync_dir;
use crate::error::StoreError;
use crate::seal::Keys;
use crate::tables::Store;

/// Batches between the engine's thread and this one: two seconds of a disk that stands still under 30,000 batches a second.
pub const QUEUED_BATCHES_MAX: usize = 65_536;
/// Records that wait for a failing disk: minutes of a busy centre. More is refused, since memory is needed for calls.
pub const QUEUED_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// One write to disk. Bounds the latency of what comes behind it.
const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A group is begun no sooner than this after the last one: what comes in between shares its sync. The first record after a pause does not wait.
const GROUP_EVERY: Duration = Duration::from_millis(8);
/// Between two tries on a failing disk.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// A record in memory beyond its texts.
const RECORD_OVERHEAD_BYTES: usize = 128;

/// Records were not taken: the disk has failed for longer than memory lasted, or the writer is gone. They are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event log takes no more records")]
pub struct LogFull;

/// What is wrong with the log now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// For a person.
    pub message: String,
    /// Tries so far.
    pub tries: u64,
    /// Waiting in memory.
    pub queued_bytes: u64,
    /// Records refused since the start of the process.
    pub lost: u64,
}

/// Starts the thread; see [`LogWriter::spawn`].
pub struct LogWriter;

impl LogWriter {
    /// Starts the writer. `on_commit` is called on its thread, in order, after a group is on disk: it must be quick. `on_trouble` is called when
    /// writing begins to fail, at every further failed try, and with `None` when it works again.
    pub fn spawn(
        log: Log,
        store: &Store,
        on_commit: impl FnMut(Committed) + Send + 'static,
        on_trouble: impl FnMut(Option<&Trouble>) + Send + 'static,
    ) -> io::Result<LogHandle> {
        let (sender, receiver) = crossbeam_channel::bounded(QUEUED_BATCHES_MAX);
        let reader = log.reader(store);
        let shared = Arc::new(Shared {
            stats: LogStats::default(),
            trouble: Mutex::new(None),
            lost: Mutex::new(None),
        });
        let writer = Writer {
            keys: store.keys().clone(),
            shared: shared.clone(),
            on_commit,
            on_trouble,
            waiting: VecDeque::new(),
            flushes: Vec::new(),
            group: Group::default(),
            position: log
                .current
                .as_ref()
                .map_or(0, |segment| segment.committed()),
            suspect: false,
            tries: 0,
            log,
        };
        let thread = thread::Builder::new()
            .name("log-writer".into())
            .spawn(move || writer.run(&receiver))?;
        Ok(LogHandle {
            sender,
            shared,
            reader,
            thread: Arc::new(Mutex::new(Some(thread))),
        })
    }
}

enum Message {
    Append(Vec<Record>),
    /// Answered when everything before it is on disk.
    Flush(Sender<()>),
    Stop,
}

struct Shared {
    stats: LogStats,
    trouble: Mutex<Option<Trouble>>,
    lost: Mutex<Option<Lost>>,
}

/// What was refused and has no record of it in the log yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lost {
    records: u64,
    from: u64,
    to: u64,
    at: u64,
}

/// The way to the writer; a clone is the same way. The writer ends when the last one is dropped, or by [`LogHandle::close`].
#[derive(Clone)]
pub struct LogHandle {
    sender: Sender<Message>,
    shared: Arc<Shared>,
    reader: LogReader,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl LogHandle {
    /// Gives records to the writer, in their order; never waits. They are on disk when `on_commit` says so.
    ///
    /// # Errors
    /// [`LogFull`]: none of them was taken.
    pub fn append(&self, records: Vec<Record>) -> Result<(), LogFull> {
        if records.is_empty() {
            return Ok(());
        }
        let stats = &self.shared.stats;
        let bytes = records.iter().map(memory_of).sum::<usize>() as u64;
        if stats.queued_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes <= QUEUED_BYTES_MAX {
            match self.sender.try_send(Message::Append(records)) {
                Ok(()) => return Ok(()),
                Err(
                    TrySendError::Full(Message::Append(records))
                    | TrySendError::Disconnected(Message::Append(records)),
                ) => self.shared.lose(&records),
                Err(_) => {}
            }
        } else {
            self.shared.lose(&records);
        }
        stats.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        Err(LogFull)
    }

    /// Waits until everything appended before is on disk; false when that took longer.
    pub fn flush(&self, timeout: Duration) -> bool {
        let (done, is_done) = crossbeam_channel::bounded(1);
        let start = Instant::now();
        match self.sender.send_timeout(Message::Flush(done), timeout) {
            Ok(()) => is_done
                .recv_timeout(timeout.saturating_sub(start.elapsed()))
                .is_ok(),
            Err(SendTimeoutError::Timeout(_) | SendTimeoutError::Disconnected(_)) => false,
        }
    }

    /// Writes what is left and ends the writer; false when that did not work in time, and something is lost.
    pub fn close(&self, timeout: Duration) -> bool {
        let written = self.flush(timeout);
        let told = self.sender.send_timeout(Message::Stop, timeout).is_ok();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // A writer that hangs in the disk's driver is not waited for.
        if let (true, true, Some(thread)) = (told, written, thread) {
            let _ = thread.join();
        }
        written
    }

    /// What is wrong now; `None` when all is well. For `/readyz`.
    pub fn trouble(&self) -> Option<Trouble> {
        self.shared
            .trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub fn stats(&self) -> &LogStats {
        &self.shared.stats
    }

    /// A reader of this log.
    pub fn reader(&self) -> LogReader {
        self.reader.clone().on_damage(OnDamage::Refuse)
    }
}

impl Shared {
    fn lose(&self, records: &[Record]) {
        let before = self
            .stats
            .lost
            .fetch_add(records.len() as u64, Ordering::Relaxed);
        if before == 0 {
            tracing::error!("the event log takes no more records: some are lost from here on");
        }
        let (Some(first), Some(last)) = (records.first(), records.last()) else {
            return;
        };
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = lost.get_or_insert(Lost {
            records: 0,
            from: first.sequence,
            to: last.sequence,
            at: last.at,
        });
        sum.records += records.len() as u64;
        sum.to = sum.to.max(last.sequence);
        sum.at = sum.at.max(last.at);
    }
}

fn memory_of(record: &Record) -> usize {
    RECORD_OVERHEAD_BYTES
        + record.json.len()
        + record
            .personal
            .as_ref()
            .map_or(0, |personal| personal.person.len() + personal.json.len())
}

/// Records on their way to disk together.
#[derive(Default)]
struct Group {
    records: Vec<Record>,
    memory: usize,
    bytes: Vec<u8>,
    marks: Vec<Mark>,
    /// Whether `bytes` are those of `records`.
    encoded: bool,
    sequence: u64,
    at: u64,
}

struct Writer<C, T> {
    log: Log,
    keys: Keys,
    shared: Arc<Shared>,
    on_commit: C,
    on_trouble: T,
    waiting: VecDeque<Vec<Record>>,
    flushes: Vec<Sender<()>>,
    group: Group,
    /// End of what is on disk in the current segment.
    position: u64,
    /// A sync has failed: the kernel may have dropped what it was to write while calling it clean, so that a second sync proves nothing. What is not
    /// acknowledged goes into a new segment.
    suspect: bool,
    tries: u64,
}

impl<C: FnMut(Committed) + Send, T: FnMut(Option<&Trouble>) + Send> Writer<C, T> {
    fn run(mut self, receiver: &Receiver<Message>) {
        let mut go_on = true;
        while go_on {
            go_on = match receiver.recv() {
                Ok(message) => self.take(message) && self.take_all(receiver),
                Err(_) => false,
            };
            let begun = Instant::now();
            go_on = self.write_all(receiver, go_on);
            if go_on && let Some(rest) = GROUP_EVERY.checked_sub(begun.elapsed()) {
                // Not a receive with a deadline: that would wake this thread for each batch.
                thread::sleep(rest);
            }
        }
        self.end();
    }

    /// False when the writer is to end.
    fn take(&mut self, message: Message) -> bool {
        match message {
            Message::Append(records) => self.waiting.push_back(records),
            Message::Flush(done) => self.flushes.push(done),
            Message::Stop => return false,
        }
        true
    }

    fn take_all(&mut self, receiver: &Receiver<Message>) -> bool {
        loop {
            match receiver.try_recv() {
                Ok(message) => {
                    if !self.take(message) {
                        return false;
                    }
                }
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    /// Writes until nothing waits; with `go_on` false (the writer is to end) a failing disk gets one try. False when the writer is to end.
    fn write_all(&mut self, receiver: &Receiver<Message>, mut go_on: bool) -> bool {
        loop {
            self.fill_group();
            if self.group.records.is_empty() {
                break;
            }
            match self.commit() {
                Ok(()) => self.recover(),
                Err(error) => {
                    self.fail(&error);
                    if !go_on || !self.pause(receiver) {
                        return false;
                    }
                }
            }
            // What has come meanwhile: the channel must not fill up while there is room in memory.
            go_on &= self.take_all(receiver);
        }
        for done in self.flushes.drain(..) {
            let _ = done.try_send(()); // nobody waits any more: then nobody need be told
        }
        go_on
    }

    /// Waits for the next try; takes what comes meanwhile.
    fn pause(&mut self, receiver: &Receiver<Message>) -> bool {
        let until = Instant::now() + RETRY_EVERY;
        loop {
            match receiver.recv_deadline(until) {
                Ok(message) => {
                    if !self.take(message) {
                        return false;
                    }
                }
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    /// Moves what waits into the group, unless one is still on its way.
    fn fill_group(&mut self) {
        if !self.group.records.is_empty() {
            return;
        }
        let mut bytes = 0;
        let mut last = self.log.last_sequence;
        while bytes < GROUP_BYTES_MAX {
            let Some(batch) = self.waiting.pop_front() else {
                break;
            };
            for record in batch {
                let memory = memory_of(&record);
                self.group.memory += memory;
                if self.is_sound(&record, last) {
                    if record.kind == RecordKind::Event {
                        last = record.sequence;
                    }
                    bytes += memory;
                    self.group.records.push(record);
                }
            }
        }
        if self.waiting.is_empty() {
            self.note_loss(last);
        }
        if self.group.records.is_empty() {
            self.shared.stats.queued_bytes.fetch_sub(
                std::mem::take(&mut self.group.memory) as u64,
                Ordering::Relaxed,
            );
        }
    }

    /// A record that would make the log unreadable is a fault of the caller; it is refused, loudly.
    fn is_sound(&self, record: &Record, last: u64) -> bool {
        let repeated = record.kind == RecordKind::Event && record.sequence <= last;
        let named = record
            .personal
            .as_ref()
            .is_none_or(|personal| personal.person.len() <= usize::from(u16::MAX));
        let sound = !repeated && named && memory_of(record) < BODY_BYTES_MAX;
        if !sound {
            tracing::error!(
                sequence = record.sequence,
                last,
                bytes = memory_of(record),
                "record refused: its sequence is not after the last one's, or it is too long"
            );
            self.shared.lose(std::slice::from_ref(record));
        } else if record.kind == RecordKind::Event && record.sequence != last + 1 {
            tracing::error!(
                sequence = record.sequence,
                last,
                "events are missing in the log"
            );
        }
        sound
    }

    /// Puts into the log that records are not in it.
    fn note_loss(&mut self, sequence: u64) {
        let Some(lost) = self
            .shared
            .lost
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        else {
            return;
        };
        let json = format!(
            r#"{{"records":{},"from":{},"to":{}}}"#,
            lost.records, lost.from, lost.to
        );
        self.group.records.push(Record {
            kind: RecordKind::Lost,
            sequence,
            at: lost.at,
            json: json.into(),
            personal: None,
        });
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        let start = Instant::now();
        self.encode()?;
        self.keys.make_durable()?;
        let segment = self.segment()?;
        self.write(&segment)?;
        let group = std::mem::take(&mut self.group);
        let end = self.position + group.bytes.len() as u64;
        let base = self.position;
        segment.commit(
            end,
            group.marks.iter().map(|mark| Mark {
                offset: base + mark.offset,
                ..*mark
            }),
        );
        self.position = end;
        self.log.next_index += group.records.len() as u64;
        self.log.last_sequence = group.sequence;
        self.log.last_at = group.at;
        self.log
            .segments
            .last_sequence
            .store(group.sequence, Ordering::Release);
        let took = start.elapsed();
        self.shared
            .stats
            .committed(took, group.records.len(), group.bytes.len());
        self.shared
            .stats
            .queued_bytes
            .fetch_sub(group.memory as u64, Ordering::Relaxed);
        (self.on_commit)(Committed {
            records: Arc::new(group.records),
            sequence: group.sequence,
            took,
        });
        self.group.bytes = group.bytes;
        self.group.bytes.clear();
        Ok(())
    }

    fn encode(&mut self) -> Result<(), StoreError> {
        if self.group.encoded {
            return Ok(());
        }
        let Group {
            records,
            bytes,
            marks,
            ..
        } = &mut self.group;
        bytes.clear();
        marks.clear();
        let (mut sequence, mut at) = (self.log.last_sequence, self.log.last_at);
        for (place, record) in records.iter().enumerate() {
            let index = self.log.next_index + place as u64;
            marks.push(Mark {
                before: sequence,
                offset: bytes.len() as u64,
            });
            let flags = if place == 0 { GROUP } else { 0 };
            Frame::encode(
                bytes,
                (record.kind, flags),
                (index, record.sequence, record.at),
                &record.json,
                |out| match &record.personal {
                    Some(personal) => self.keys.seal(
                        personal,
                        &associated(record.kind as u8, index, record.sequence, record.at),
                        out,
                    ),
                    None => Ok(()),
                },
            )?;
            if record.kind == RecordKind::Event {
                sequence = record.sequence;
            }
            at = at.max(record.at);
        }
        (self.group.sequence, self.group.at, self.group.encoded) = (sequence, at, true);
        Ok(())
    }

    /// The segment to write into: the current one, or a new one when that is full or must not be trusted.
    fn segment(&mut self) -> Result<Arc<Segment>, StoreError> {
        if let Some(segment) = &self.log.current
            && !self.suspect
            && self.position < self.log.options.segment_bytes
        {
            return Ok(segment.clone());
        }
        if let Some(empty) = self
            .log
            .current
            .take_if(|segment| segment.header.first_index == self.log.next_index)
        {
            self.log.segments.pop(&empty); // nothing was ever acknowledged from it: its name is used again
        }
        let header = Header {
            first_index: self.log.next_index,
            before: self.log.last_sequence,
            before_at: self.log.last_at,
            created: self
                .group
                .records
                .first()
                .map_or(self.log.last_at, |record| record.at),
            boot: self.log.boot,
            node: self.log.options.node.clone(),
        };
        let path = self.log.path.join(file_name(header.first_index));
        let bytes = header.encode();
        // The header is on disk before any record is: a segment with a broken header is then one in which nothing was acknowledged.
        let make = || -> io::Result<File> {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&path)?;
            file.write_all_at(&bytes, 0)?;
            file.sync_all()?;
            sync_dir(&self.log.path)?;
            Ok(file)
        };
        let file = make().map_err(StoreError::io("cannot begin the log segment", &path))?;
        let segment = Arc::new(Segment::new(path, header, bytes.len() as u64, file));
        self.position = segment.begin;
        self.suspect = false;
        self.log.segments.push(segment.clone());
        self.log.current = Some(segment.clone());
        Ok(segment)
    }

    fn write(&mut self, segment: &Segment) -> Result<(), StoreError> {
        let file = &segment.file;
        file.write_all_at(&self.group.bytes, self.position)
            .map_err(StoreError::io("cannot write", &segment.path))?;
        let synced = file.sync_data();
        #[cfg(test)]
        let synced = synced.and_then(|()| match self.log.failing_syncs.checked_sub(1) {
            Some(left) => {
                self.log.failing_syncs = left;
                Err(io::Error::other("sync failed"))
            }
            None => Ok(()),
        });
        synced.map_err(|error| {
            self.suspect = true;
            StoreError::io("cannot sync", &segment.path)(error)
        })
    }

    fn fail(&mut self, error: &StoreError) {
        self.tries += 1;
        let stats = &self.shared.stats;
        stats.errors.fetch_add(1, Ordering::Relaxed);
        if self.tries == 1 {
            tracing::error!(%error, "the event log cannot be written; records wait in memory");
        }
        let trouble = Trouble {
            message: error.to_string(),
            tries: self.tries,
            queued_bytes: stats.queued_bytes.load(Ordering::Relaxed),
            lost: stats.lost.load(Ordering::Relaxed),
        };
        (self.on_trouble)(Some(&trouble));
        *self
            .shared
            .trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(trouble);
    }

    fn recover(&mut self) {
        if self.tries == 0 {
            return;
        }
        tracing::warn!(
            tries = self.tries,
            lost = self.shared.stats.lost.load(Ordering::Relaxed),
            "the event log is written again"
        );
        self.tries = 0;
        *self
            .shared
            .trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = None;
        (self.on_trouble)(None);
    }

    /// Says what could not be written when the writer ends.
    fn end(&mut self) {
        let left = self.group.records.len() + self.waiting.iter().map(Vec::len).sum::<usize>();
        if left > 0 {
            tracing::error!(
                records = left,
                "the event log ends without records that the disk did not take"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_dir::DataDir;
    use crate::log::Options;

    fn event(sequence: u64) -> Record {
        Record {
            kind: RecordKind::Event,
            sequence,
            at: sequence,
            json: "{}".into(),
            personal: None,
        }
    }

    #[test]
    fn a_failed_sync_is_repeated_in_a_new_segment() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        let store = Store::open(&data).unwrap();
        for (round, failing) in [(0, 0), (1, 1), (2, 2)] {
            let (mut log, opened) = Log::open(&data, Options::new("test")).unwrap();
            assert_eq!(
                (opened.last_sequence, opened.segments),
                (round * 3, round as usize)
            );
            log.failing_syncs = failing;
            let troubles = Arc::new(Mutex::new(Vec::new()));
            let seen = troubles.clone();
            let handle = LogWriter::spawn(
                log,
                &store,
                |_| {},
                move |trouble| {
                    seen.lock()
                        .unwrap()
                        .push(trouble.map(|trouble| trouble.tries))
                },
            )
            .unwrap();
            for sequence in 1..=3 {
                handle.append(vec![event(round * 3 + sequence)]).unwrap();
                assert!(handle.flush(Duration::from_secs(30)));
            }
            let expected: Vec<Option<u64>> = (1..=u64::from(failing))
                .map(Some)
                .chain((failing > 0).then_some(None))
                .collect();
            assert_eq!(*troubles.lock().unwrap(), expected);
            let sequences = |reader: LogReader| {
                reader
                    .iterate_after(0)
                    .map(|record| record.unwrap().sequence)
                    .collect::<Vec<_>>()
            };
            assert_eq!(
                sequences(handle.reader()),
                (1..=round * 3 + 3).collect::<Vec<_>>(),
                "what the failed sync left behind is not read twice"
            );
            assert!(handle.close(Duration::from_secs(30)));
        }
    }

    #[test]
    fn memory_is_bounded_and_what_is_refused_is_noted() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        let store = Store::open(&data).unwrap();
        let (mut log, _) = Log::open(&data, Options::new("test")).unwrap();
        log.failing_syncs = 3;
        let handle = LogWriter::spawn(log, &store, |_| {}, |_| {}).unwrap();
        let json: Arc<str> = "x".repeat(1 << 20).into();
        let mut taken = 0;
        while handle
            .append(vec![Record {
                json: json.clone(),
                ..event(taken + 1)
            }])
            .is_ok()
        {
            taken += 1;
        }
        assert_eq!(
            taken,
            QUEUED_BYTES_MAX / (memory_of(&Record { json, ..event(1) }) as u64)
        );
        for sequence in taken + 2..taken + 5 {
            assert_eq!(
                handle.append(vec![Record {
                    json: "x".repeat(1 << 20).into(),
                    ..event(sequence)
                }]),
                Err(LogFull)
            );
        }
        assert!(handle.flush(Duration::from_secs(120)));
        handle.append(vec![event(taken + 9)]).unwrap();
        assert!(handle.flush(Duration::from_secs(30)));
        let tail: Vec<Record> = handle
            .reader()
            .iterate_after(taken)
            .map(Result::unwrap)
            .collect();
        assert_eq!(tail.len(), 2);
        assert_eq!(
            (tail[0].kind, &*tail[0].json),
            (
                RecordKind::Lost,
                format!(r#"{{"records":4,"from":{},"to":{}}}"#, taken + 1, taken + 4).as_str()
            )
        );
        assert_eq!(tail[1], event(taken + 9));
        assert!(handle.trouble().is_none());
        assert!(handle.close(Duration::from_secs(30)));
    }
}
