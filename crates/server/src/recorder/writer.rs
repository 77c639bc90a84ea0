//! The thread that makes the files: packets in, chunks of FLAC out.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use ::clock::Time;
use crm::CustomerId;
use crossbeam_channel::{Receiver, Sender, select};
use engine::{ContactId, RecordingStep};
use media::RecordingId;
use media::flac::{self, Pair};
use media::g711::RATE;
use media::record::Piece;
use media::tap::Block;
use store::recordings::{Closed, Writer};
use store::{Begun, Ended, Store};

use super::{Shared, Work, word};
use crate::clock::Clock;
use crate::fatal;

type Name = Arc<str>;

/// Between two looks at every recording.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A chunk is written when it has so many samples or octets: that much is lost when the process dies.
const CHUNK_SAMPLES: u64 = 2 * RATE as u64;
const CHUNK_OCTETS: usize = 32 * 1024;
/// Names that are kept of a recording's agents.
const AGENTS_MAX: usize = 16;

/// What the keeper is given.
pub(super) struct Done {
    pub contact: ContactId,
    pub person: Name,
    /// The file and what is known of it, or why there is none.
    pub file: Result<(Box<Closed>, Ended), &'static str>,
}

pub(super) fn spawn(
    store: Store,
    clock: Clock,
    shared: Arc<Shared>,
    steps: Receiver<Work>,
    blocks: Receiver<Block>,
    done: Sender<Done>,
) -> io::Result<JoinHandle<()>> {
    fatal::spawn("recorder", move || {
        let recordings = BTreeMap::new();
        Desk {
            store,
            clock,
            shared,
            done,
            recordings,
            looked: Time::ZERO,
        }
        .run(&steps, &blocks)
    })
}

struct Desk {
    store: Store,
    clock: Clock,
    shared: Arc<Shared>,
    done: Sender<Done>,
    recordings: BTreeMap<RecordingId, Running>,
    looked: Time,
}

/// A recording that goes on.
struct Running {
    contact: ContactId,
    person: Name,
    agents: Vec<Name>,
    /// Oldest first; one that has ended stays until its last packets have come.
    pieces: VecDeque<(u32, Piece)>,
    encoder: flac::Encoder,
    samples: Vec<Pair>,
    /// Frames that are not written yet, and how many samples were before them.
    frames: Vec<u8>,
    written: u64,
    /// `None` once it could not be written.
    writer: Option<Writer>,
    /// What there was of it then.
    rest: Option<Closed>,
    missing: Option<&'static str>,
    ended: Option<(Time, Vec<CustomerId>)>,
}

impl Desk {
    fn run(mut self, steps: &Receiver<Work>, blocks: &Receiver<Block>) {
        loop {
            // Without recordings there is nothing to look at.
            let look = match self.recordings.is_empty() {
                true => crossbeam_channel::never(),
                false => crossbeam_channel::after(LOOK_EVERY),
            };
            select! {
                recv(steps) -> work => match work {
                    Ok(work) => if !self.step(work) { break },
                    Err(_) => break,
                },
                recv(blocks) -> block => {
                    // A tap is told to the recorder before it is to the plane: what concerns these packets is there already.
                    while let Ok(work) = steps.try_recv() {
                        if !self.step(work) {
                            return self.end(blocks);
                        }
                    }
                    if let Ok(block) = block {
                        self.take(&block);
                    }
                }
                recv(look) -> _ => {}
            }
            let now = self.clock.now();
            if now >= self.looked + LOOK_EVERY {
                self.looked = now;
                self.look(now);
            }
        }
        self.end(blocks);
    }

    /// The process ends: what there is becomes a whole file each.
    fn end(mut self, blocks: &Receiver<Block>) {
        while let Ok(block) = blocks.try_recv() {
            self.take(&block);
        }
        let now = self.clock.now();
        for running in self.recordings.values_mut() {
            running.end(now, Vec::new());
        }
        self.look(now + Duration::from_secs(60)); // nothing more comes: every grace is over
    }

    fn step(&mut self, work: Work) -> bool {
        let Work::Step {
            at,
            recording,
            step,
        } = work
        else {
            return false;
        };
        match step {
            RecordingStep::Piece {
                piece,
                contact,
                person,
                queue,
                agent,
            } => {
                if !self.recordings.contains_key(&recording)
                    && let Some(running) = self.begin(at, contact, person, queue, agent.as_ref())
                {
                    self.recordings.insert(recording, running);
                    let count = self.recordings.len() as u64;
                    self.shared.active.store(count, Ordering::Relaxed);
                }
                if let Some(running) = self.recordings.get_mut(&recording) {
                    running.begin_piece(at, piece, agent);
                }
            }
            RecordingStep::Rest => {
                if let Some(running) = self.recordings.get_mut(&recording) {
                    running.rest(at);
                }
            }
            RecordingStep::End { customers } => {
                if let Some(running) = self.recordings.get_mut(&recording) {
                    running.end(at, customers);
                }
            }
        }
        true
    }

    /// Begins a recording. One that cannot be written goes on in name, so that its end is told.
    fn begin(
        &self,
        at: Time,
        contact: ContactId,
        person: Name,
        queue: Option<Name>,
        agent: Option<&Name>,
    ) -> Option<Running> {
        let text = |name: &Name| name.to_string();
        let begun = Begun {
            contact: contact.to_string(),
            began: at.as_nanos(),
            queue: queue.as_ref().map(text),
            agent: agent.map(text),
        };
        let encoder = match flac::Encoder::new() {
            Ok(encoder) => encoder,
            Err(error) => {
                tracing::error!(%error, "no encoder for a recording");
                self.shared.failed("codec");
                return None;
            }
        };
        let mut running = Running {
            contact,
            person: person.clone(),
            agents: Vec::new(),
            pieces: VecDeque::new(),
            encoder,
            samples: Vec::new(),
            frames: Vec::new(),
            written: 0,
            writer: None,
            rest: None,
            missing: None,
            ended: None,
        };
        match self.store.begin_recording(&begun, &person) {
            Ok(writer) => running.writer = Some(writer),
            Err(error) => running.fail(&error, &self.shared),
        }
        Some(running)
    }

    fn take(&mut self, block: &Block) {
        if block.lost > 0 {
            // Whose packets they were is not known: any that is tapped on that plane.
            tracing::error!(
                packets = block.lost,
                "the recorder does not keep up: packets are missing in recordings"
            );
            self.shared.failed("overrun");
            for running in self.recordings.values_mut() {
                running.missing.get_or_insert("overrun");
            }
        }
        for heard in &block.packets {
            let running = self.recordings.get_mut(&heard.tap.recording);
            let piece = running.and_then(|running| {
                let pieces = running.pieces.iter_mut();
                pieces.rev().find(|(piece, _)| *piece == heard.tap.piece)
            });
            if let Some((_, piece)) = piece {
                piece.take(heard, block.payload(heard));
            }
        }
    }

    /// Brings every recording up to now.
    fn look(&mut self, now: Time) {
        let Desk {
            recordings,
            shared,
            done,
            ..
        } = self;
        recordings.retain(|_, running| {
            // A fault of a codec takes one recording, not the process with its calls.
            let advanced = catch_unwind(AssertUnwindSafe(|| running.advance(now, shared)));
            let over = advanced.unwrap_or_else(|_| {
                shared.failed("codec");
                running.missing = Some("codec");
                running.give_up();
                running.pieces.clear();
                running.ended.is_some()
            });
            if over {
                let finished = running.finish(shared);
                if done.send(finished).is_err() {
                    tracing::error!("the recorder's other thread is gone");
                }
            }
            !over
        });
        shared
            .active
            .store(recordings.len() as u64, Ordering::Relaxed);
    }
}

impl Running {
    fn begin_piece(&mut self, at: Time, number: u32, agent: Option<Name>) {
        self.rest(at);
        self.pieces.push_back((number, Piece::new(at)));
        if let Some(agent) = agent.filter(|agent| !self.agents.contains(agent))
            && self.agents.len() < AGENTS_MAX
        {
            self.agents.push(agent);
        }
    }

    fn rest(&mut self, at: Time) {
        if let Some((_, piece)) = self.pieces.back_mut() {
            piece.end(at);
        }
    }

    fn end(&mut self, at: Time, customers: Vec<CustomerId>) {
        self.rest(at);
        self.ended.get_or_insert((at, customers));
    }

    /// Encodes and writes what is there. True: it is over.
    fn advance(&mut self, now: Time, shared: &Shared) -> bool {
        while let Some((_, piece)) = self.pieces.front_mut() {
            let over = piece.drain(now, &mut self.samples);
            let encoded = self.encoder.encode(&self.samples, &mut self.frames);
            self.samples.clear();
            if let Err(error) = encoded {
                tracing::error!(contact = %self.contact, %error, "a recording breaks off");
                shared.failed("codec");
                self.missing = Some("codec");
                self.give_up();
            }
            if !over {
                break;
            }
            self.pieces.pop_front();
        }
        let waiting = self.encoder.samples() - self.written;
        if waiting >= CHUNK_SAMPLES || self.frames.len() >= CHUNK_OCTETS {
            self.write(waiting, shared);
        }
        self.pieces.is_empty() && self.ended.is_some()
    }

    fn write(&mut self, samples: u64, shared: &Shared) {
        if let Some(writer) = &mut self.writer {
            match writer.append(samples as u32, &self.frames) {
                Ok(()) => shared.well(),
                Err(error) => self.fail(&error, shared),
            }
        }
        self.written += samples;
        self.frames.clear();
    }

    fn fail(&mut self, error: &store::StoreError, shared: &Shared) {
        shared.trouble(error);
        shared.failed(word(error));
        self.missing = Some(word(error));
        self.give_up();
    }

    fn give_up(&mut self) {
        if let Some(writer) = self.writer.take() {
            self.rest = Some(writer.give_up());
        }
    }

    /// The end of the file, and what is known of it.
    fn finish(&mut self, shared: &Shared) -> Done {
        let whole = self.written;
        if let Err(error) = self.encoder.finish(&mut self.frames) {
            tracing::error!(contact = %self.contact, %error, "the end of a recording is missing");
            self.missing = Some("codec");
        }
        let mut samples = self.encoder.samples();
        let mut closed = self.rest.take();
        if let Some(writer) = self.writer.take() {
            match writer.finish((samples - whole) as u32, &self.frames) {
                Ok(file) => {
                    shared.well();
                    closed = Some(file);
                }
                Err(failed) => {
                    let (error, file) = *failed;
                    self.fail(&error, shared);
                    samples = whole;
                    closed = Some(file);
                }
            }
        } else {
            samples = closed.as_ref().map_or(0, Closed::samples);
        }
        let (at, customers) = self.ended.take().unwrap_or_default();
        let ended = Ended {
            at: at.as_nanos(),
            length_ms: samples * 1000 / u64::from(RATE),
            agents: self.agents.iter().map(|agent| agent.to_string()).collect(),
            customers: customers.iter().map(|id| id.0.to_string()).collect(),
            header: flac::header(samples).to_vec(),
            reason: self.missing.map(str::to_owned),
        };
        let missing = self.missing.unwrap_or("io");
        Done {
            contact: self.contact.clone(),
            person: self.person.clone(),
            file: closed.map(|file| (Box::new(file), ended)).ok_or(missing),
        }
    }
}
