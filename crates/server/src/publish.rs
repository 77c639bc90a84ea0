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
use store::{LogReader, RecordKind, Snapshots, Store};
use web::{Board, Hub};

use crate::commands::Awaited;
use crate::fatal;
use crate::recovery::Recovery;

/// News that may wait. The journal waits beyond it, and with it the engine: nothing is lost, new calls are refused.
const NEWS_MAX: usize = 8_192;
/// A snapshot is written after so many events at the latest: it bounds the replay of a restart.
const SNAPSHOT_EVENTS: u64 = 250_000;

/// Events replayed between two turns of the index.
const REPLAY_BATCH: usize = 2_000;

/// Names of the snapshots.
const FOLD: &str = "fold";
const BOARD: &str = "board";
const RECOVERY: &str = "recovery";

/// What this thread hears.
#[derive(Debug)]
pub enum News {
    /// From the journal: taken by the log, on their way to the disk or there.
    Written {
        events: Vec<Event>,
        replies: Vec<Reply>,
    },
    /// From the log: on disk up to this event.
    Committed { sequence: u64 },
    /// Keep the state of the folds now, and say when that is done.
    Snapshot(Sender<()>),
    /// Everything before this is done; end.
    Stop,
}

/// The newest snapshots of all folds, brought up to date from the log. Contacts that were closed meanwhile go into the store's index on the way.
///
/// # Errors
/// When the log cannot be read, holds an event that this version does not know, or the index cannot be written.
pub fn restore(
    node: &str,
    snapshots: &Snapshots,
    log: &LogReader,
    store: &Store,
    zone: &jiff::tz::TimeZone,
) -> anyhow::Result<(Board, Fold, Recovery)> {
    snapshots.set_aside_after(log.last_sequence())?;
    let latest = |name| {
        snapshots
            .latest_snapshot(name)
            .ok()
            .flatten()
            .map(|(_, bytes)| bytes)
    };
    let fold = latest(FOLD)
        .and_then(|bytes| Fold::from_snapshot(&bytes, zone.clone()).ok())
        .unwrap_or_else(|| Fold::new(zone.clone()));
    let mut board: Board = latest(BOARD)
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    let mut recovery: Recovery = latest(RECOVERY)
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    board.refill(|sequence| event_at(log, sequence))?;
    // Each fold passes over what it knows already.
    let after = fold
        .sequence()
        .min(board.sequence())
        .min(recovery.sequence());
    // A hub that nobody hears: the same fold as in a run.
    let hub = Hub::new(node.into(), board, fold, Box::new(|_| {}), Box::new(|_| {}));
    let mut batch = Vec::with_capacity(REPLAY_BATCH);
    for record in log.iterate_after(after) {
        let record = record?;
        if record.kind == RecordKind::Event {
            let personal = record.personal.as_ref().map(|personal| &*personal.json);
            let event = Event::from_record(&record.json, personal).map_err(|error| {
                anyhow::anyhow!("event {} of the log: {error}", record.sequence)
            })?;
            recovery.apply(&event);
            batch.push(event);
        }
        if batch.len() == REPLAY_BATCH {
            hub.publish(&batch);
            web::index_closed(&hub, store)?;
            batch.clear();
        }
    }
    hub.publish(&batch);
    web::index_closed(&hub, store)?;
    let (board, fold) = hub.snapshot();
    Ok((board, fold, recovery))
}

/// One event, with what is personal where its key still exists.
fn event_at(log: &LogReader, sequence: u64) -> anyhow::Result<Option<Event>> {
    let Some(record) = log.read(sequence.saturating_sub(1), 1)?.pop() else {
        return Ok(None);
    };
    let personal = record.personal.as_ref().map(|personal| &*personal.json);
    Ok(Some(Event::from_record(&record.json, personal)?))
}

/// The lock, whoever panicked with it.
pub fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
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

/// Starts the thread; it ends at [`News::Stop`].
///
/// # Errors
/// When the system gives no thread.
pub fn spawn(
    receiver: Receiver<News>,
    hub: Arc<Hub>,
    recovery: Recovery,
    snapshots: Snapshots,
    awaited: Awaited,
) -> io::Result<JoinHandle<()>> {
    let committed = recovery.sequence();
    let publisher = Publisher {
        hub,
        recovery,
        snapshots,
        awaited,
        pending: VecDeque::new(),
        replies: VecDeque::new(),
        committed,
        kept: committed,
    };
    fatal::spawn("publish", move || publisher.run(&receiver))
}

struct Publisher {
    hub: Arc<Hub>,
    recovery: Recovery,
    snapshots: Snapshots,
    awaited: Awaited,
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
                    self.publish();
                }
                News::Committed { sequence } => {
                    self.committed = self.committed.max(sequence);
                    self.publish();
                }
                News::Snapshot(done) => {
                    self.keep();
                    let _ = done.send(());
                }
                News::Stop => return,
            }
            while let Some(reply) = self
                .replies
                .pop_front_if(|reply| reply.after <= self.committed)
            {
                self.awaited.answer(reply);
            }
            if self.committed >= self.kept + SNAPSHOT_EVENTS {
                self.keep();
            }
        }
    }

    /// What is on disk. What the log had to leave out (`Trouble`) never came here: a restart would not know it either.
    fn publish(&mut self) {
        let ready = self
            .pending
            .partition_point(|event| event.sequence <= self.committed);
        if ready == 0 {
            return;
        }
        let events: Vec<Event> = self.pending.drain(..ready).collect();
        for event in &events {
            self.recovery.apply(event);
        }
        self.hub.publish(&events);
    }

    fn keep(&mut self) {
        self.kept = self.committed;
        if let Err(error) = self.write_snapshots() {
            tracing::error!(%error, "no snapshot was written; a restart will read more of the log");
        }
    }

    fn write_snapshots(&self) -> anyhow::Result<()> {
        // Copied under the hub's lock, written outside it.
        let (board, fold) = self.hub.snapshot();
        self.snapshots
            .write_snapshot(board.sequence(), BOARD, &serde_json::to_vec(&board)?)?;
        self.snapshots
            .write_snapshot(fold.sequence(), FOLD, &serde_json::to_vec(&fold)?)?;
        self.snapshots.write_snapshot(
            self.recovery.sequence(),
            RECOVERY,
            &serde_json::to_vec(&self.recovery)?,
        )?;
        Ok(())
    }
}
