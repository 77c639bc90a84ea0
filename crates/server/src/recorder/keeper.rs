//! The thread that waits for the disk: what is done is synced and indexed, then told; what is too old is removed.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use ::clock::Time;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use engine::api::AuditNote;
use engine::{ContactId, Input, Recorded, SavedRecording};
use media::flac;
use media::g711::RATE;
use store::{Recording, Store};

use super::writer::Done;
use super::{Shared, word};
use crate::clock::Clock;
use crate::edge::door::Door;
use crate::fatal;
use crate::publish::lock;

/// Between two looks for what is too old.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Recordings removed by one look: a shortened time must not fill the log at once.
const SWEPT_MAX: usize = 1_000;
/// Who removes old recordings, in the audit.
const RETENTION: &str = "retention";

pub(super) struct Keeper {
    store: Store,
    door: Door,
    clock: Clock,
    shared: Arc<Shared>,
}

impl Keeper {
    pub(super) fn new(store: Store, door: Door, clock: Clock, shared: Arc<Shared>) -> Self {
        Keeper {
            store,
            door,
            clock,
            shared,
        }
    }

    pub(super) fn spawn(self, finished: Receiver<Done>) -> io::Result<JoinHandle<()>> {
        fatal::spawn("recordings", move || self.run(&finished))
    }

    fn run(self, finished: &Receiver<Done>) {
        let mut swept = Time::ZERO;
        loop {
            let now = self.clock.now();
            if now >= swept + SWEEP_EVERY {
                swept = now;
                self.sweep(now);
            }
            match finished.recv_timeout(SWEEP_EVERY) {
                Ok(done) => self.keep(done),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// What the last run was recording when it ended.
    pub(super) fn recover(&self) {
        let header = |samples| flac::header(samples).to_vec();
        match self.store.recover_recordings(RATE, header) {
            Ok(recovered) => {
                for recording in recovered {
                    tracing::warn!(contact = %recording.contact, length_ms = recording.length_ms, "a recording was cut short by the end of the last run");
                    let contact = ContactId(recording.contact.as_str().into());
                    // Nothing personal is in the event: it needs no person.
                    self.tell(contact, "".into(), Ok(&recording));
                }
            }
            Err(error) => self.shared.trouble(&error),
        }
    }

    fn keep(&self, done: Done) {
        let Done {
            contact,
            person,
            file,
        } = done;
        let (closed, ended) = match file {
            Ok(file) => file,
            Err(reason) => return self.tell(contact, person, Err(reason)),
        };
        match self.store.keep_recording(*closed, &ended) {
            Ok(Some(recording)) => self.tell(contact, person, Ok(&recording)),
            Ok(None) => tracing::info!(%contact, "a recording is gone with its person"),
            Err(error) => {
                self.shared.trouble(&error);
                self.shared.failed(word(&error));
                self.tell(contact, person, Err(word(&error)));
            }
        }
    }

    fn tell(
        &self,
        contact: ContactId,
        person: Arc<str>,
        outcome: Result<&Recording, &'static str>,
    ) {
        if let Ok(recording) = outcome {
            self.shared.saved.fetch_add(1, Ordering::Relaxed);
            self.shared
                .bytes
                .fetch_add(recording.bytes, Ordering::Relaxed);
        }
        let outcome = outcome.map(saved).map_err(Into::into);
        let recorded = Recorded {
            contact,
            person,
            outcome,
        };
        self.door.send(self.clock.now(), Input::Recorded(recorded));
    }

    /// Removes what has been kept long enough; the audit says so.
    fn sweep(&self, now: Time) {
        let Some(keep) = *lock(&self.shared.keep) else {
            return;
        };
        let before = (now - keep).as_nanos();
        let removed = self.store.recordings_before(before, SWEPT_MAX);
        let removed = removed.and_then(|old| {
            for contact in old {
                self.store.delete_recording(&contact)?;
                let note = AuditNote {
                    by: RETENTION.into(),
                    action: "recording_removed".into(),
                    subject: contact.into(),
                    detail: None,
                };
                self.door.send(now, Input::Audit(note));
            }
            Ok(())
        });
        if let Err(error) = removed {
            tracing::error!(%error, "old recordings cannot be removed");
        }
    }
}

fn saved(recording: &Recording) -> SavedRecording {
    SavedRecording {
        queue: recording.queue.as_deref().map(Into::into),
        agents: recording
            .agents
            .iter()
            .map(|id| id.as_str().into())
            .collect(),
        began: Time::from_nanos(recording.began),
        length_ms: recording.length_ms,
        bytes: recording.bytes,
        checksum: recording.checksum.as_str().into(),
        reason: recording.reason.as_deref().map(Into::into),
    }
}
