//! From the engine's outputs to the log's records, on a thread of its own: text costs more than routing does.
//!
//! Events go two ways: their records to the log, and they themselves to the publisher, which holds them until the log says that they are on disk.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ::clock::Time;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use engine::Event;
use engine::api::{AcdRecord, Reply};
use store::{LogHandle, Personal, Record, RecordKind};

use crate::clock::Clock;
use crate::commands::Awaited;
use crate::fatal;
use crate::publish::News;

/// Batches between the engine and this thread. When it is full the engine waits, its inbox fills, and new calls are refused: the log is never
/// behind by more than this.
const BATCHES_MAX: usize = 4_096;

/// When nothing else was written for so long, a record says that the process lives. A restart ends what was left open (agents' states, contacts)
/// at the log's last record: a crash takes no more than this from anybody's time.
const ALIVE_EVERY: Duration = Duration::from_secs(30);
/// A batch is begun no sooner than this after the last one: what comes in between shares its wake-ups here, in the log and at the publisher. The first
/// entry after a pause does not wait.
const BATCH_EVERY: Duration = Duration::from_millis(1);

/// What the engine writes down, in its order.
#[derive(Debug)]
pub enum Entry {
    Event(Event),
    Acd {
        at: Time,
        record: AcdRecord,
    },
    /// To be told when everything before it is on disk.
    Reply(Reply),
}

/// The engine thread's end.
#[derive(Clone)]
pub struct Journal {
    sender: Sender<Vec<Entry>>,
}

impl Journal {
    /// Hands over a batch.
    pub fn write(&self, entries: Vec<Entry>) {
        if !entries.is_empty() {
            // The thread ends only after the engine's, or with the process.
            let _ = self.sender.send(entries);
        }
    }
}

/// Starts the thread; it ends when the last [`Journal`] is dropped. `last_sequence` is the log's.
///
/// # Errors
/// When the system gives no thread.
pub fn spawn(
    log: LogHandle,
    news: Sender<News>,
    awaited: Awaited,
    last_sequence: u64,
    clock: Clock,
) -> io::Result<(Journal, JoinHandle<()>)> {
    let (sender, receiver) = bounded(BATCHES_MAX);
    let thread = fatal::spawn("journal", move || {
        Writer {
            log,
            news,
            awaited,
            sequence: last_sequence,
            refused: None,
            clock,
        }
        .run(&receiver)
    })?;
    Ok((Journal { sender }, thread))
}

struct Writer {
    log: LogHandle,
    news: Sender<News>,
    awaited: Awaited,
    /// Of the last event.
    sequence: u64,
    /// First and last of the last events that the log did not take: on no disk, so published and acknowledged to nobody.
    refused: Option<(u64, u64)>,
    clock: Clock,
}

impl Writer {
    fn run(mut self, receiver: &Receiver<Vec<Entry>>) {
        loop {
            let mut batch = match receiver.recv_timeout(ALIVE_EVERY) {
                Ok(batch) => batch,
                Err(RecvTimeoutError::Timeout) => {
                    self.alive();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            // What has come in the meantime shares one append.
            while let Ok(more) = receiver.try_recv() {
                batch.extend(more);
            }
            let begun = Instant::now();
            self.write(batch);
            if let Some(rest) = BATCH_EVERY.checked_sub(begun.elapsed()) {
                // Not a receive with a deadline: that would wake this thread for each batch.
                std::thread::sleep(rest);
            }
        }
        // A clean stop: what is in progress has all its time.
        self.alive();
    }

    fn alive(&self) {
        let record = Record {
            kind: RecordKind::Alive,
            sequence: self.sequence,
            at: self.clock.now().as_nanos(),
            json: "{}".into(),
            personal: None,
        };
        if self.log.append(vec![record]).is_err() {
            tracing::debug!("the log took no sign of life");
        }
    }

    fn write(&mut self, batch: Vec<Entry>) {
        let mut records = Vec::with_capacity(batch.len());
        let (mut events, mut replies) = (Vec::new(), Vec::new());
        for entry in batch {
            match entry {
                Entry::Event(event) => {
                    self.sequence = event.sequence;
                    records.push(event_record(&event));
                    events.push(event);
                }
                Entry::Acd { at, record } => records.push(acd_record(self.sequence, at, &record)),
                Entry::Reply(reply) => replies.push(reply),
            }
        }
        if self.log.append(records).is_err() {
            // Counted and told by the log itself (`Trouble`), and noted in it afterwards.
            tracing::debug!("the log took no records");
            self.refuse(&events);
            events.clear();
        }
        replies.retain(|reply| {
            let lost = self
                .refused
                .is_some_and(|(first, last)| (first..=last).contains(&reply.after));
            if lost {
                self.awaited.refuse(reply);
            }
            !lost
        });
        if !(events.is_empty() && replies.is_empty()) {
            // The log may have said already that these are on disk; the publisher remembers.
            let _ = self.news.send(News::Written { events, replies });
        }
    }

    /// Sequences only rise, so that no later reply can be about an older range than the last.
    fn refuse(&mut self, events: &[Event]) {
        if let (Some(first), Some(last)) = (events.first(), events.last()) {
            let from = match self.refused {
                Some((from, to)) if to + 1 == first.sequence => from,
                Some(_) | None => first.sequence,
            };
            self.refused = Some((from, last.sequence));
        }
    }
}

fn event_record(event: &Event) -> Record {
    let record = event.record();
    let personal = record.personal.map(|(person, json)| Personal {
        person,
        json: json.into(),
    });
    Record {
        kind: RecordKind::Event,
        sequence: event.sequence,
        at: event.at.as_nanos(),
        json: record.json.into(),
        personal,
    }
}

fn acd_record(sequence: u64, at: Time, record: &AcdRecord) -> Record {
    let kind = match record {
        AcdRecord::Input(_) | AcdRecord::Timeout => RecordKind::AcdInput,
        AcdRecord::Decision { .. } => RecordKind::AcdDecision,
    };
    let json: Arc<str> = serde_json::to_string(record)
        .expect("a distributor's record is plain data with string keys")
        .into();
    Record {
        kind,
        sequence,
        at: at.as_nanos(),
        json,
        personal: None,
    }
}
