//! The recorder: what the taps of the media threads give becomes a sealed file of FLAC.
//!
//! Two threads: one places, decodes, encodes and writes (to the kernel: it waits for no disk unless that is full); one brings what is done to the disk, indexes it,
//! and removes what is too old. Whatever fails here, no call hears of it: the recording is marked, told and counted, and the state is loud.

mod keeper;
mod writer;

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use ::clock::Time;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use engine::RecordingStep;
use media::RecordingId;
use media::tap::Block;
use store::Store;

use crate::clock::Clock;
use crate::edge::door::Door;
use crate::publish::lock;
use keeper::Keeper;
use writer::Done;

/// What the engine may tell before it is heard: some for each of the most calls.
const STEPS_MAX: usize = 65_536;
/// Blocks of 64 KB at most: 16 MB, or some seconds of a full centre. Beyond it packets are lost to the recordings, and these say so.
const BLOCKS_MAX: usize = 256;
/// Recordings that are done and wait for the disk.
const DONE_MAX: usize = 65_536;

/// The other threads' end.
#[derive(Clone)]
pub struct Recorder {
    steps: Sender<Work>,
    blocks: Sender<Block>,
    shared: Arc<Shared>,
}

/// What the recorder hears from the engine.
enum Work {
    Step {
        at: Time,
        recording: RecordingId,
        step: RecordingStep,
    },
    /// End everything now.
    Stop,
}

/// What others may look at.
#[derive(Default)]
struct Shared {
    active: AtomicU64,
    saved: AtomicU64,
    bytes: AtomicU64,
    failed: Mutex<BTreeMap<&'static str, u64>>,
    trouble: Mutex<Option<String>>,
    keep: Mutex<Option<Duration>>,
}

impl Recorder {
    /// For the engine's thread.
    pub fn tell(&self, at: Time, recording: RecordingId, step: RecordingStep) {
        let work = Work::Step {
            at,
            recording,
            step,
        };
        if let Err(TrySendError::Full(_)) = self.steps.try_send(work) {
            self.shared.failed("overrun");
            tracing::error!("the recorder does not keep up: a step of a recording was lost");
        }
    }

    /// For the media threads: a block comes back where there is no room.
    pub fn taps(&self) -> impl Fn(Block) -> Result<(), Block> + Send + Clone + 'static {
        let blocks = self.blocks.clone();
        move |block| blocks.try_send(block).map_err(|unsent| unsent.into_inner())
    }

    /// What is wrong at the moment.
    pub fn trouble(&self) -> Option<String> {
        lock(&self.shared.trouble).clone()
    }

    /// Sets what `/metrics` shows of recordings.
    pub fn measure(&self, shown: &mut metrics::Counters) {
        let shared = &self.shared;
        shown.recordings_active = shared.active.load(Ordering::Relaxed);
        shown.recordings_saved = shared.saved.load(Ordering::Relaxed);
        shown.recordings_bytes = shared.bytes.load(Ordering::Relaxed);
        shown.recordings_failed = lock(&shared.failed).clone();
    }

    /// How long recordings are kept from now on; `None`: for ever.
    pub fn keep_for(&self, keep: Option<Duration>) {
        *lock(&self.shared.keep) = keep;
    }
}

impl Shared {
    fn failed(&self, reason: &'static str) {
        *lock(&self.failed).entry(reason).or_default() += 1;
    }

    /// The disk does not take what it should. Told once until it does again.
    fn trouble(&self, error: &dyn std::fmt::Display) {
        let mut trouble = lock(&self.trouble);
        if trouble.is_none() {
            tracing::error!(%error, "recordings cannot be written; calls go on without");
        }
        *trouble = Some(format!("recordings cannot be written: {error}"));
    }

    fn well(&self) {
        if lock(&self.trouble).take().is_some() {
            tracing::info!("recordings can be written again");
        }
    }
}

/// Why a recording is not whole, in a word for metrics and events.
fn word(error: &store::StoreError) -> &'static str {
    let store::StoreError::Io { source, .. } = error else {
        return "store";
    };
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "disk_full"
        }
        _ => "io",
    }
}

/// A recorder whose second thread waits for the engine's start.
pub struct Begun {
    recorder: Recorder,
    writer: JoinHandle<()>,
    finished: Receiver<Done>,
    store: Store,
    clock: Clock,
}

/// The running threads.
pub struct Threads {
    recorder: Recorder,
    writer: JoinHandle<()>,
    keeper: JoinHandle<()>,
}

/// Starts the first thread.
///
/// # Errors
/// When the system gives no thread.
pub fn spawn(store: Store, clock: Clock, keep: Option<Duration>) -> io::Result<(Recorder, Begun)> {
    let (steps, hears) = bounded(STEPS_MAX);
    let (blocks, packets) = bounded(BLOCKS_MAX);
    let (done, finished) = bounded(DONE_MAX);
    let shared = Arc::new(Shared::default());
    *lock(&shared.keep) = keep;
    let writer = writer::spawn(store.clone(), clock, shared.clone(), hears, packets, done)?;
    let recorder = Recorder {
        steps,
        blocks,
        shared,
    };
    let begun = Begun {
        recorder: recorder.clone(),
        writer,
        finished,
        store,
        clock,
    };
    Ok((recorder, begun))
}

impl Begun {
    /// The engine has its first input: what the last run left unfinished is indexed and told to it, and the second thread begins.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(self, door: Door) -> io::Result<Threads> {
        let shared = self.recorder.shared.clone();
        let keeper = Keeper::new(self.store, door, self.clock, shared);
        keeper.recover();
        Ok(Threads {
            keeper: keeper.spawn(self.finished)?,
            recorder: self.recorder,
            writer: self.writer,
        })
    }
}

impl Threads {
    /// Ends every recording and waits until all are on disk, and the engine has been told so.
    pub fn stop(self) {
        let _ = self.recorder.steps.send(Work::Stop); // Err: it is gone already
        for thread in [self.writer, self.keeper] {
            if thread.join().is_err() {
                tracing::error!("a thread of the recorder had panicked");
            }
        }
    }
}
