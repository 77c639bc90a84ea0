//! What is on disk becomes known: numbers, boards, streams and answers, on a thread of its own behind the log.
//!
//! Events wait here until the log says that they are on disk; then every fold takes them, in order and once, and only then does anybody outside hear of them.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use engine::Event;
use engine::api::Reply;
use metrics::Fold;
use store::{Record, RecordKind, Snapshots};

use crate::fatal;
use crate::recovery::Recovery;

/// News that may wait. The journal waits beyond it, and with it the engine: nothing is lost, new calls are refused.
const NEWS_MAX: usize = 8_192;
/// A snapshot is written after so many events at the latest: it bounds the replay of a restart (about half a second).
const SNAPSHOT_EVENTS: u64 = 50_000;

/// Names of the snapshots.
const FOLD: &str = "fold";
const RECOVERY: &str = "recovery";

/// What this thread hears.
#[derive(Debug)]
pub enum News {
    /// From the journal: on their way to the disk.
    Written { events: Vec<Event>, replies: Vec<Reply> },
    /// From the log: on disk up to this event.
    Committed(store::Committed),
    /// Keep the state of the folds now, and say when that is done.
    Snapshot(Sender<()>),
}

/// The folds that a snapshot keeps.
#[derive(Debug)]
pub struct Folds {
    pub fold: Fold,
    pub recovery: Recovery,
}

impl Folds {
    /// The newest snapshot, brought up to date from the log.
    ///
    /// # Errors
    /// When the log cannot be read, or holds an event that this version does not know.
    pub fn restore(snapshots: &Snapshots, log: &store::LogReader, zone: &jiff::tz::TimeZone) -> anyhow::Result<Self> {
        let mut folds = Self::from_snapshot(snapshots, zone);
        let after = folds.fold.sequence().min(folds.recovery.sequence());
        for record in log.iterate_after(after) {
            let record = record?;
            if record.kind == RecordKind::Event {
                let event = Event::from_record(&record.json, None).map_err(|error| anyhow::anyhow!("event {} of the log: {error}", record.sequence))?;
                folds.apply(&event);
            }
        }
        Ok(folds)
    }

    fn from_snapshot(snapshots: &Snapshots, zone: &jiff::tz::TimeZone) -> Self {
        let latest = |name| snapshots.latest_snapshot(name).ok().flatten().map(|(_, bytes)| bytes);
        let fold = latest(FOLD).and_then(|bytes| Fold::from_snapshot(&bytes, zone.clone()).ok());
        let recovery = latest(RECOVERY).and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Folds { fold: fold.unwrap_or_else(|| Fold::new(zone.clone())), recovery: recovery.unwrap_or_default() }
    }

    fn apply(&mut self, event: &Event) {
        self.fold.apply(event);
        self.recovery.apply(event);
    }

    fn keep(&self, snapshots: &Snapshots) -> anyhow::Result<()> {
        snapshots.write_snapshot(self.fold.sequence(), FOLD, &serde_json::to_vec(&self.fold)?)?;
        snapshots.write_snapshot(self.recovery.sequence(), RECOVERY, &serde_json::to_vec(&self.recovery)?)?;
        Ok(())
    }
}

/// The folds as others read them.
pub type SharedFolds = Arc<Mutex<Folds>>;

/// The lock, whoever panicked with it.
pub fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whom the publisher tells, in this order, after the folds.
pub struct Audience {
    /// An event that is on disk, with its record.
    pub event: Box<dyn FnMut(&Event, &Record) + Send>,
    /// An answer whose events are on disk.
    pub reply: Box<dyn FnMut(Reply) + Send>,
}

/// Starts the thread. It ends when all senders are gone.
///
/// # Errors
/// When the system gives no thread.
pub fn spawn(receiver: Receiver<News>, folds: SharedFolds, snapshots: Snapshots, audience: Audience) -> io::Result<JoinHandle<()>> {
    let committed = lock(&folds).fold.sequence();
    let publisher = Publisher { folds, snapshots, audience, pending: VecDeque::new(), replies: VecDeque::new(), committed, kept: committed };
    fatal::spawn("publish", move || publisher.run(&receiver))
}

/// The way to the thread.
pub fn channel() -> (Sender<News>, Receiver<News>) {
    bounded(NEWS_MAX)
}

/// Asks for a snapshot and waits for it; false when it took longer.
pub fn snapshot(news: &Sender<News>, patience: Duration) -> bool {
    let (done, is_done) = bounded(1);
    news.send(News::Snapshot(done)).is_ok() && is_done.recv_timeout(patience).is_ok()
}

struct Publisher {
    folds: SharedFolds,
    snapshots: Snapshots,
    audience: Audience,
    /// Not on disk yet.
    pending: VecDeque<Event>,
    replies: VecDeque<Reply>,
    committed: u64,
    /// Of the last snapshot.
    kept: u64,
}

impl Publisher {
    fn run(mut self, receiver: &Receiver<News>) {
        while let Ok(news) = receiver.recv() {
            match news {
                News::Written { events, replies } => {
                    self.pending.extend(events);
                    self.replies.extend(replies);
                }
                News::Committed(committed) => self.committed(&committed),
                News::Snapshot(done) => {
                    self.keep();
                    let _ = done.send(());
                }
            }
            self.answer();
            if self.committed >= self.kept + SNAPSHOT_EVENTS {
                self.keep();
            }
        }
    }

    fn committed(&mut self, committed: &store::Committed) {
        self.committed = self.committed.max(committed.sequence);
        for record in committed.records.iter().filter(|record| record.kind == RecordKind::Event) {
            // What the log had to leave out (`Trouble`) is published with what came after it: the engine did act on it.
            while let Some(event) = self.pending.pop_front_if(|event| event.sequence <= record.sequence) {
                lock(&self.folds).apply(&event);
                if event.sequence == record.sequence {
                    (self.audience.event)(&event, record);
                }
            }
        }
    }

    fn answer(&mut self) {
        while let Some(reply) = self.replies.pop_front_if(|reply| reply.after <= self.committed) {
            (self.audience.reply)(reply);
        }
    }

    fn keep(&mut self) {
        let kept = lock(&self.folds).keep(&self.snapshots);
        match kept {
            Ok(()) => self.kept = self.committed,
            Err(error) => {
                tracing::error!(%error, "the snapshot was not written; a restart will read more of the log");
                self.kept = self.committed;
            }
        }
    }
}
