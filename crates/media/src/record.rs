//! A recording: packets of both sides go in as they came, stereo samples in step with the clock come out.
//!
//! Each sender's packets are placed by their own timestamps, so that jitter moves nothing; where its timeline lies on ours, the quickest of its
//! first packets says. A gap (loss, DTX, hold, a pause of the sender) is silence. Whoever talks on the same side is mixed.
//! A recording is made of pieces: what comes between two of them, or before the first, is in none.
//!
//! Samples come out when nothing can come before them any more: `LATEST` after their time.

use std::collections::VecDeque;
use std::time::Duration;

use clock::Time;

use crate::api::{Codec, StreamId};
use crate::flac::Pair;
use crate::g711::RATE;
use crate::reception::MAX_MISORDER;
use crate::tap::{Heard, Side};
use crate::voice::Decoder;

/// How long a packet waits for those before it.
const HOLD: Duration = Duration::from_millis(200);
/// A packet that comes later than this after its time is left out.
const LATEST: Duration = Duration::from_millis(600);
/// How long after its end a piece waits for packets that came before it: they come here in blocks.
const GRACE: Duration = Duration::from_millis(400);
/// A timeline that is off by more, in samples, is another one: the sender paused, or set its clock anew.
const JUMP: i64 = 4_000;
/// Clocks of telephones drift apart from ours. So often the quickest packet is looked at again, and a timeline moved when it is off by so many samples.
const DRIFT_EVERY: Duration = Duration::from_secs(10);
const DRIFT_MAX: i64 = 320;
/// Streams on one piece: two, and those of a conference and its supervisors.
const TRACKS_MAX: usize = 16;
/// Packets that wait on one track: [`HOLD`] of 10 ms each, and a burst.
const WAITING_MAX: usize = 256;

/// One uninterrupted part of a recording.
#[derive(Debug)]
pub struct Piece {
    began: Time,
    ended: Option<Time>,
    tracks: Vec<Track>,
    /// Left and right from `done` on.
    window: VecDeque<Pair>,
    /// Samples that have come out.
    done: u64,
    /// Packets that came too late, or could not be decoded.
    missed: u64,
}

impl Piece {
    pub fn new(began: Time) -> Self {
        Piece {
            began,
            ended: None,
            tracks: Vec::new(),
            window: VecDeque::new(),
            done: 0,
            missed: 0,
        }
    }

    /// Nothing that comes later is in it.
    pub fn end(&mut self, at: Time) {
        self.ended.get_or_insert(at);
    }

    /// Packets that should be in it and are not.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// Takes a packet.
    pub fn take(&mut self, heard: &Heard, payload: &[u8]) {
        if heard.at < self.began || self.ended.is_some_and(|end| heard.at > end) {
            return; // of the time between pieces
        }
        let side = heard.tap.side;
        let same = |track: &Track| track.stream == heard.stream && track.side == side;
        let place = match self.tracks.iter().position(same) {
            Some(place) => place,
            None if self.tracks.len() >= TRACKS_MAX => {
                self.missed += 1;
                return;
            }
            None => {
                self.tracks.push(Track::new(heard.stream, side));
                self.tracks.len() - 1
            }
        };
        let arrived = samples(heard.at - self.began);
        let Piece {
            tracks,
            window,
            done,
            missed,
            ..
        } = self;
        let mut mix = Mix {
            window,
            done: *done,
            missed,
        };
        tracks[place].take(heard, arrived, payload, &mut mix);
    }

    /// Appends the samples whose time is over at `now` to `out`. True: it has ended, and nothing more comes.
    pub fn drain(&mut self, now: Time, out: &mut Vec<Pair>) -> bool {
        let over = self.ended.is_some_and(|end| now >= end + GRACE);
        let Piece {
            tracks,
            window,
            done,
            missed,
            ..
        } = self;
        let mut mix = Mix {
            window,
            done: *done,
            missed,
        };
        for track in tracks {
            track.release(now, over, &mut mix);
        }
        let elapsed = |until: Time| samples(until - self.began) as u64;
        let until = match self.ended {
            Some(end) if over => elapsed(end).max(self.done + self.window.len() as u64),
            Some(end) => elapsed(end.min(now - LATEST)),
            None => elapsed(now - LATEST),
        };
        let count = until.saturating_sub(self.done);
        let known = (count as usize).min(self.window.len());
        out.extend(self.window.drain(..known));
        out.extend(std::iter::repeat_n([0; 2], count as usize - known));
        self.done += count;
        over
    }
}

fn samples(time: Duration) -> i64 {
    (time.as_nanos() * u128::from(RATE) / 1_000_000_000) as i64
}

/// Where decoded samples go.
struct Mix<'a> {
    window: &'a mut VecDeque<Pair>,
    done: u64,
    missed: &'a mut u64,
}

impl Mix<'_> {
    /// Adds samples at a place of the piece; what has come out already cannot be changed.
    fn add(&mut self, side: Side, at: i64, samples: &[i16]) {
        let late = (self.done as i64 - at).clamp(0, samples.len() as i64) as usize;
        if late > 0 && at >= 0 {
            *self.missed += 1;
        }
        let samples = &samples[late..];
        if samples.is_empty() {
            return;
        }
        let begin = (at + late as i64 - self.done as i64) as usize;
        if self.window.len() < begin + samples.len() {
            self.window.resize(begin + samples.len(), [0; 2]);
        }
        for (pair, sample) in self.window.range_mut(begin..).zip(samples) {
            let channel = &mut pair[side as usize];
            *channel = channel.saturating_add(*sample);
        }
    }
}

/// One stream's part of a piece.
#[derive(Debug)]
struct Track {
    stream: StreamId,
    side: Side,
    run: Option<Run>,
    /// By time, oldest first.
    waiting: VecDeque<Packet>,
    /// What is before this has been written: nothing is mixed with itself.
    written: i64,
    scratch: Vec<i16>,
}

/// Packets of one sender whose timestamps belong together.
#[derive(Debug)]
struct Run {
    ssrc: u32,
    codec: Codec,
    decoder: Option<Decoder>,
    newest: u16,
    newest_timestamp: u32,
    /// The same in ticks since the run's first packet.
    newest_ticks: i64,
    /// Of what has been decoded last.
    decoded: Option<i64>,
    /// Least distance between a packet's arrival and its own time, in samples: how long the quickest was under way.
    least: i64,
    /// Where the run's first tick is in the piece, once that has been settled.
    offset: Option<i64>,
    /// Since when, and the least distance since then.
    watch: (Time, i64),
}

#[derive(Debug)]
struct Packet {
    at: Time,
    ticks: i64,
    payload: Box<[u8]>,
}

impl Track {
    fn new(stream: StreamId, side: Side) -> Self {
        Track {
            stream,
            side,
            run: None,
            waiting: VecDeque::new(),
            written: i64::MIN,
            scratch: Vec::new(),
        }
    }

    fn take(&mut self, heard: &Heard, arrived: i64, payload: &[u8], mix: &mut Mix<'_>) {
        let known = self.run.as_mut().and_then(|run| run.place(heard, arrived));
        let ticks = match known {
            Some(ticks) => ticks,
            None => {
                // Another sender, or another timeline: what waits is of the one before.
                self.release(Time::NEVER, true, mix);
                self.run = Some(Run::new(heard, arrived));
                0
            }
        };
        let before = self
            .waiting
            .iter()
            .rposition(|packet| packet.ticks <= ticks);
        let twice = before.is_some_and(|before| self.waiting[before].ticks == ticks);
        let passed = self.run.as_ref().and_then(|run| run.decoded);
        if twice || passed.is_some_and(|passed| ticks <= passed) {
            *mix.missed += u64::from(!twice);
            return;
        }
        if self.waiting.len() >= WAITING_MAX {
            *mix.missed += 1;
            return;
        }
        let packet = Packet {
            at: heard.at,
            ticks,
            payload: payload.into(),
        };
        self.waiting
            .insert(before.map_or(0, |before| before + 1), packet);
    }

    /// Decodes what has waited long enough, or all.
    fn release(&mut self, now: Time, all: bool, mix: &mut Mix<'_>) {
        let Some(run) = &mut self.run else { return };
        while let Some(packet) = self
            .waiting
            .pop_front_if(|packet| all || packet.at + HOLD <= now)
        {
            let offset = *run.offset.get_or_insert(run.least);
            run.decoded = Some(packet.ticks);
            let at = offset + in_samples(packet.ticks, run.codec);
            let Some(decoder) = &mut run.decoder else {
                *mix.missed += 1;
                continue;
            };
            self.scratch.clear();
            decoder.decode(&packet.payload, &mut self.scratch);
            let twice = self
                .written
                .saturating_sub(at)
                .clamp(0, self.scratch.len() as i64);
            mix.add(self.side, at + twice, &self.scratch[twice as usize..]);
            self.written = self.written.max(at + self.scratch.len() as i64);
        }
    }
}

impl Run {
    fn new(heard: &Heard, arrived: i64) -> Self {
        Run {
            ssrc: heard.ssrc,
            codec: heard.codec,
            decoder: Decoder::new(heard.codec, RATE),
            newest: heard.sequence,
            newest_timestamp: heard.timestamp,
            newest_ticks: 0,
            decoded: None,
            least: arrived,
            offset: None,
            watch: (heard.at, i64::MAX),
        }
    }

    /// Where in the run a packet is, in ticks; `None`: it is not of this run.
    fn place(&mut self, heard: &Heard, arrived: i64) -> Option<i64> {
        if self.ssrc != heard.ssrc || self.codec != heard.codec {
            return None;
        }
        let step = heard.sequence.wrapping_sub(self.newest) as i16;
        let ticks = heard.timestamp.wrapping_sub(self.newest_timestamp) as i32;
        let ticks = self.newest_ticks + i64::from(ticks);
        let under_way = arrived - in_samples(ticks, self.codec);
        let off = under_way - self.offset.unwrap_or(self.least);
        if off.abs() > JUMP || step < -MAX_MISORDER {
            return None;
        }
        if step > 0 {
            (self.newest, self.newest_timestamp) = (heard.sequence, heard.timestamp);
            self.newest_ticks = ticks;
        }
        self.least = self.least.min(under_way);
        self.follow(heard.at, under_way);
        Some(ticks)
    }

    /// Moves the timeline when the sender's clock has drifted away from ours.
    fn follow(&mut self, at: Time, under_way: i64) {
        self.watch.1 = self.watch.1.min(under_way);
        if at < self.watch.0 + DRIFT_EVERY {
            return;
        }
        let (_, least) = std::mem::replace(&mut self.watch, (at, i64::MAX));
        if let Some(offset) = self.offset
            && (least - offset).abs() > DRIFT_MAX
        {
            self.offset = Some(least);
        }
    }
}

fn in_samples(ticks: i64, codec: Codec) -> i64 {
    ticks * i64::from(RATE) / i64::from(codec.clock_rate())
}
