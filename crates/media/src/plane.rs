//! What one media thread runs: streams behind ports.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use clock::Time;

use crate::api::{
    Close, Command, Counters, Direction, Event, Format, Item, PlaneConfig, PlayId, Port, Rtcp,
    Source, Stats, StreamId,
};
use crate::dtmf::MAX_KEYS;
use crate::encoded::Encodings;
use crate::inband;
use crate::latch::Latch;
use crate::mixer::{Ears, MAX_SAMPLES};
use crate::pace::{Tick, Wheel};
use crate::playlist::{Clip, Playlist};
use crate::port_map::PortMap;
use crate::prompts::Prompts;
use crate::rtp;
use crate::said::{Learnt, Said};
use crate::sender::Relayed;
use crate::srtp::{Fault, Keys};
use crate::stream::{Accepted, Emitted, Feed, Play, Refusal, Stream, Talk};
use crate::tap::{Block, Collector};
use crate::tone;
use crate::vault::Vault;

/// Packets that a late stream sends at once to come back to its pace; of a longer delay the rest is left out.
const CATCH_UP: u32 = 3;
/// Tones kept encoded; one of another frequency is made for each use.
const MAX_TONES: usize = 16;

/// A set of streams. Packets leave through the closure that is passed in, at most one for each packet that comes and a few for each
/// deadline; the path of a packet allocates nothing.
#[derive(Debug)]
pub struct Plane {
    config: PlaneConfig,
    prompts: Arc<Prompts>,
    learnt: Learnt,
    encodings: Encodings,
    streams: Vec<Option<Stream>>,
    free: Vec<u32>,
    /// Looked up, never walked.
    places: HashMap<StreamId, u32>,
    ports: PortMap<PortUse>,
    wheel: Wheel,
    /// Media time-outs; a packet doesn't move its entry, the entry looks at the stream when its time comes.
    watch: BTreeSet<(Time, u32)>,
    /// When each stream reports next.
    reports: BTreeSet<(Time, u32)>,
    /// Goodbyes of streams that have ended, sent at the next time-out.
    goodbyes: Vec<Goodbye>,
    tones: BTreeMap<u32, Arc<Clip>>,
    events: VecDeque<Event>,
    counters: Counters,
    /// Copies for recordings.
    tapped: Collector,
    vault: Vault,
    /// Reused between time-outs.
    due: Vec<u32>,
}

/// The last report of a stream.
#[derive(Debug)]
struct Goodbye {
    at: Time,
    port: Port,
    to: SocketAddr,
    packet: Box<[u8]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct PortUse {
    place: Option<u32>,
    /// The stream whose RTCP comes here, beside the port before this one.
    control: Option<u32>,
    /// The peer of the stream before this one.
    former: Option<SocketAddr>,
}

impl Plane {
    pub fn new(config: PlaneConfig, prompts: Arc<Prompts>) -> Self {
        Plane {
            tapped: Collector::new(config.plane),
            config,
            prompts,
            learnt: Learnt::default(),
            encodings: Encodings::default(),
            streams: Vec::new(),
            free: Vec::new(),
            places: HashMap::new(),
            ports: PortMap::default(),
            wheel: Wheel::new(),
            watch: BTreeSet::new(),
            reports: BTreeSet::new(),
            goodbyes: Vec::new(),
            tones: BTreeMap::new(),
            events: VecDeque::new(),
            counters: Counters::default(),
            vault: Vault::default(),
            due: Vec::new(),
        }
    }

    /// New prompts for what is played from now on; what is playing goes on with the old ones.
    pub fn set_prompts(&mut self, prompts: Arc<Prompts>) {
        self.prompts = prompts;
        self.encodings.purge();
    }

    /// Speech that was made for a play that comes next.
    pub fn learn(&mut self, said: Said) {
        self.learnt.add(said);
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What was seen on a stream so far.
    pub fn stats(&self, stream: StreamId) -> Option<Stats> {
        let place = *self.places.get(&stream)?;
        self.streams[place as usize].as_ref().map(Stream::stats)
    }

    /// How loud a stream that is heard in a mix has been of late, in dBov.
    pub fn level(&self, stream: StreamId) -> Option<f32> {
        let place = *self.places.get(&stream)?;
        let voice = self.streams[place as usize].as_ref()?.voice.as_ref()?;
        Some(voice.level())
    }

    /// Carries a command out. Packets that it causes leave at the next [`Plane::handle_timeout`], at most 5 ms later.
    pub fn handle(&mut self, now: Time, command: Command) {
        match command {
            Command::Open { stream, port, ssrc } => self.open(now, stream, port, ssrc),
            Command::Update {
                stream,
                remote,
                rtcp,
                behind,
                format,
                direction,
            } => {
                self.update(now, stream, (remote, behind, rtcp), format, direction);
            }
            Command::Admit { stream, .. } => {
                if let Some((_, stream)) = self.at(stream) {
                    stream.browser = true;
                    let port = stream.port;
                    self.vault.lock(port);
                }
            }
            Command::Path { stream, remote } => self.set_path(now, stream, remote),
            Command::Secure { stream, keys } => self.secure(stream, keys.as_deref()),
            Command::Source { stream, source } => self.set_source(now, stream, &source),
            Command::Bridge { a, b } => self.bridge(now, a, b),
            Command::Play {
                stream,
                play,
                items,
                barge_in,
            } => self.play(now, stream, play, &items, barge_in),
            Command::StopPlay { stream } => {
                if let Some(place) = self.place(stream) {
                    stop_play(&mut self.streams, place);
                }
            }
            Command::SendDtmf { stream, digits } => self.press(now, stream, &digits),
            Command::Tap { stream, tap } => {
                if let Some((_, stream)) = self.at(stream) {
                    stream.tap = tap;
                }
            }
            Command::Close { stream } => self.close(now, stream),
        }
    }

    /// A datagram came to a port. It may be rewritten in place and sent on.
    pub fn receive(
        &mut self,
        now: Time,
        port: u16,
        source: SocketAddr,
        packet: &mut [u8],
        send: &mut impl FnMut(Port, SocketAddr, &[u8]),
    ) {
        let mut vault = std::mem::take(&mut self.vault);
        if let Some(length) = self.open_packet(&mut vault, port, source, packet) {
            let mut sealed = |port, to, packet: &[u8]| {
                vault.seal(port, packet, |packet| send(port, to, packet));
            };
            self.receive_clear(now, port, source, &mut packet[..length], &mut sealed);
        }
        self.vault = vault;
    }

    /// The length of what the keys of its port make of a packet. What comes from a wrong place is refused without work; `None`: it is counted.
    fn open_packet(
        &mut self,
        vault: &mut Vault,
        port: u16,
        source: SocketAddr,
        packet: &mut [u8],
    ) -> Option<usize> {
        let usage = self.ports.get(port).copied().unwrap_or_default();
        let place = usage.place.or(usage.control);
        let stream = place.and_then(|place| self.streams[place as usize].as_mut());
        let Some(stream) = stream.filter(|stream| stream.may_send(source, usage.former)) else {
            return Some(packet.len()); // refused further on, for what it is
        };
        match vault.open(port, packet) {
            Ok(length) => Some(length),
            Err(fault) => {
                stream.rejected += 1;
                match fault {
                    Fault::Malformed => self.counters.rejected.malformed += 1,
                    Fault::Forged | Fault::Replayed => self.counters.rejected.srtp += 1,
                }
                None
            }
        }
    }

    fn receive_clear(
        &mut self,
        now: Time,
        port: u16,
        source: SocketAddr,
        packet: &mut [u8],
        send: &mut impl FnMut(Port, SocketAddr, &[u8]),
    ) {
        let usage = self.ports.get(port).copied().unwrap_or_default();
        if let Some(place) = usage.control.filter(|_| usage.place.is_none()) {
            return self.receive_rtcp(now, place, source, true, packet);
        }
        let Some((place, stream)) = usage
            .place
            .and_then(|place| Some((place, self.streams[place as usize].as_mut()?)))
        else {
            self.counters.rejected.idle_port += 1;
            return;
        };
        let accepted = match stream.admit(now, source, usage.former, packet) {
            Ok(accepted) => accepted,
            Err(Refusal::Rtcp) => return self.receive_rtcp(now, place, source, false, packet),
            Err(refusal) => {
                stream.rejected += 1;
                return self.count_refusal(refusal);
            }
        };
        self.counters.packets_in += 1;
        stream.overhear(now, &accepted, packet);
        self.notice(now, place, &accepted);
        self.copy(now, place, &accepted, packet);
        if let Some(target) = self.route(place) {
            let mut counted = |port, to, packet: &[u8]| {
                self.counters.packets_out += 1;
                send(port, to, packet);
            };
            if let Some(target) = self.streams[target as usize].as_mut() {
                target.relay(now, &accepted, packet, &mut counted);
            }
        }
    }

    fn receive_rtcp(
        &mut self,
        now: Time,
        place: u32,
        source: SocketAddr,
        beside: bool,
        packet: &[u8],
    ) {
        let Some(stream) = self.streams[place as usize].as_mut() else {
            return;
        };
        match stream.admit_rtcp(now, source, beside, packet) {
            Ok(()) => {
                self.counters.rtcp_in += 1;
                self.revive(now, place);
            }
            Err(refusal) => {
                stream.rejected += 1;
                self.count_refusal(refusal);
            }
        }
    }

    /// Sends what is due and looks at media time-outs.
    pub fn handle_timeout(&mut self, now: Time, send: &mut impl FnMut(Port, SocketAddr, &[u8])) {
        let mut vault = std::mem::take(&mut self.vault);
        let mut sealed = |port, to, packet: &[u8]| {
            vault.seal(port, packet, |packet| send(port, to, packet));
        };
        self.send_due(now, &mut sealed);
        self.vault = vault;
    }

    fn send_due(&mut self, now: Time, send: &mut impl FnMut(Port, SocketAddr, &[u8])) {
        let tick = Tick::at(now);
        let mut due = std::mem::take(&mut self.due);
        self.wheel.take(tick, &mut due);
        for place in due.drain(..) {
            self.pace(place, tick, send);
        }
        self.due = due;
        while let Some((at, place)) = self.watch.first().copied()
            && at <= now
        {
            self.watch.pop_first();
            self.look_at(now, place);
        }
        self.report(now, send);
        self.tapped.handle_timeout(now);
    }

    /// Goodbyes, and the reports that are due.
    fn report(&mut self, now: Time, send: &mut impl FnMut(Port, SocketAddr, &[u8])) {
        let counters = &mut self.counters;
        let mut counted = |port, to, packet: &[u8]| {
            match rtp::is_rtcp(packet) {
                true => counters.rtcp_out += 1,
                false => counters.packets_out += 1, // a keep-alive
            }
            send(port, to, packet);
        };
        for goodbye in self.goodbyes.drain(..) {
            counted(goodbye.port, goodbye.to, &goodbye.packet);
        }
        while let Some((at, place)) = self.reports.first().copied()
            && at <= now
        {
            self.reports.pop_first();
            let Some(stream) = self.streams[place as usize].as_mut() else {
                continue;
            };
            stream.report(now, false, &mut counted);
            self.reports
                .extend(stream.control.due.map(|due| (due, place)));
        }
    }

    /// When [`Plane::handle_timeout`] wants to be called, and why.
    pub fn poll_timeout(&self) -> Option<(Time, &'static str)> {
        let play = self.wheel.next().map(|tick| (tick.time(), "play"));
        let watch = self.watch.first().map(|(at, _)| (*at, "media time-out"));
        let report = self.reports.first().map(|(at, _)| (*at, "report"));
        let goodbye = self.goodbyes.first().map(|goodbye| (goodbye.at, "goodbye"));
        let tapped = self.tapped.due().map(|at| (at, "recording"));
        [play, watch, report, goodbye, tapped]
            .into_iter()
            .flatten()
            .min()
    }

    /// Copies of packets for recordings; drain them after each call.
    pub fn poll_tapped(&mut self) -> Option<Block> {
        self.tapped.poll()
    }

    /// There was no room for copies: the next block says how many are missing.
    pub fn lose_tapped(&mut self, block: &Block) {
        self.tapped.lose(block);
    }

    /// What happened; drain it after each call.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn place(&mut self, stream: StreamId) -> Option<u32> {
        let place = self.places.get(&stream).copied();
        self.counters.ignored_commands += u64::from(place.is_none());
        place
    }

    fn at(&mut self, stream: StreamId) -> Option<(u32, &mut Stream)> {
        let place = self.place(stream)?;
        Some((place, self.streams[place as usize].as_mut()?))
    }

    fn open(&mut self, now: Time, id: StreamId, port: Port, ssrc: u32) {
        let in_use = self
            .ports
            .get(port.number)
            .is_some_and(|usage| usage.place.is_some());
        if in_use || self.places.contains_key(&id) {
            self.counters.ignored_commands += 1;
            return;
        }
        if self.places.len() >= self.config.max_streams {
            self.counters.ignored_commands += 1;
            self.events.push_back(Event::Closed {
                close: Close {
                    stream: id,
                    port,
                    stats: Stats::default(),
                },
            });
            return;
        }
        let stream = Some(Stream::new(now, id, port, ssrc));
        let place = match self.free.pop() {
            Some(place) => {
                self.streams[place as usize] = stream;
                place
            }
            None => {
                self.streams.push(stream);
                self.streams.len() as u32 - 1
            }
        };
        self.places.insert(id, place);
        self.usage(port).place = Some(place);
        self.usage(port.beside()).control = Some(place);
        self.counters.active += 1;
    }

    fn usage(&mut self, port: Port) -> &mut PortUse {
        self.ports.entry(port.number)
    }

    fn update(
        &mut self,
        now: Time,
        id: StreamId,
        (remote, behind, rtcp): (SocketAddr, Option<IpAddr>, Rtcp),
        format: Format,
        direction: Direction,
    ) {
        let Some((place, stream)) = self.at(id) else {
            return;
        };
        let known = stream.talk.as_ref();
        let both_ways = known.is_some_and(|talk| talk.direction == Direction::SendReceive);
        let latch = known
            .map(|talk| talk.latch)
            .filter(|latch| latch.negotiated() == remote)
            .unwrap_or_else(|| Latch::new(remote, behind));
        let latch = match stream.browser {
            true => stream.found_or_nowhere(),
            false => latch,
        };
        // After a hold, in which it may have been silent, a far end has the whole time-out again.
        if direction.receives() && !both_ways {
            stream.heard = now;
            stream.starved = false;
        }
        stream.agree(latch, format, direction);
        let ssrc = stream.sender.ssrc();
        stream.control.agreed(now, rtcp, ssrc);
        let due = stream.control.due;
        self.reports.extend(due.map(|due| (due, place)));
        self.arm(now, place);
        self.watch_over(place);
    }

    /// A browser is where ICE says, whatever its description does.
    fn set_path(&mut self, now: Time, id: StreamId, remote: Option<SocketAddr>) {
        let Some((_, stream)) = self.at(id) else {
            return;
        };
        stream.found = remote;
        let latch = stream.found_or_nowhere();
        if let Some(talk) = &mut stream.talk {
            talk.latch = latch;
        }
        stream.heard = now;
    }

    fn secure(&mut self, id: StreamId, keys: Option<&Keys>) {
        let Some(port) = self.at(id).map(|(_, stream)| stream.port) else {
            return;
        };
        match keys {
            Some(keys) => self.vault.put(port, *keys),
            None => self.vault.take(port),
        }
    }

    fn set_source(&mut self, now: Time, id: StreamId, source: &Source) {
        let feed = match source {
            Source::Silence => Feed::Silence,
            Source::Echo => Feed::Echo,
            Source::Tone { hertz } => Feed::Endless(self.tone(*hertz)),
            Source::Music { name } => match self.prompts.find_music(name).cloned() {
                Some(clip) => Feed::Endless(clip),
                None => {
                    self.counters.missing_prompts += 1;
                    Feed::Silence
                }
            },
            Source::Bridge { peer } => match self.place(*peer) {
                Some(place) => Feed::Bridge { peer: *peer, place },
                None => Feed::Silence,
            },
            Source::Mix { of } => self.ears(of),
        };
        let Some(place) = self.place(id) else { return };
        if matches!(feed, Feed::Mix(_)) {
            self.join_in(now, place);
        }
        self.put_feed(place, feed);
        if let Some(stream) = self.streams[place as usize].as_mut()
            && stream.play.is_none()
        {
            stream.sender.cut();
        }
        self.arm(now, place);
    }

    /// Those of these streams that there are.
    fn ears(&mut self, of: &[StreamId]) -> Feed {
        let voices = of.iter().filter_map(|id| Some((*id, self.place(*id)?)));
        Feed::Mix(Box::new(Ears::new(voices.collect())))
    }

    /// A stream comes into a conversation: prompts give way, and a phone that died in the queue is found out again now that somebody listens.
    fn join_in(&mut self, now: Time, place: u32) {
        if let Some(stream) = self.streams[place as usize].as_mut() {
            stream.play = None;
            stream.heard = now;
            stream.starved = false;
        }
        self.watch_over(place);
    }

    /// Gives a stream something else to send. Those whom it hears in a mix are decoded, and no longer than somebody hears them.
    fn put_feed(&mut self, place: u32, feed: Feed) {
        if let Feed::Mix(ears) = &feed {
            self.count_hearer(ears, 1);
        }
        let Some(stream) = self.streams[place as usize].as_mut() else {
            return;
        };
        if let Feed::Mix(ears) = std::mem::replace(&mut stream.feed, feed) {
            self.count_hearer(&ears, -1);
        }
    }

    fn count_hearer(&mut self, ears: &Ears, more: i32) {
        for (id, place) in &ears.voices {
            let stream = self.streams[*place as usize].as_mut();
            if let Some(stream) = stream.filter(|stream| stream.id == *id) {
                stream.hearers = stream.hearers.saturating_add_signed(more);
                if stream.hearers == 0 {
                    stream.voice = None;
                }
            }
        }
    }

    fn tone(&mut self, hertz: u32) -> Arc<Clip> {
        if let Some(clip) = self.tones.get(&hertz) {
            return clip.clone();
        }
        let clip = Arc::new(Clip::new(&tone::cycle(hertz)));
        if self.tones.len() < MAX_TONES {
            self.tones.insert(hertz, clip.clone());
        }
        clip
    }

    fn bridge(&mut self, now: Time, a: StreamId, b: StreamId) {
        let (Some(place_a), Some(place_b)) = (self.place(a), self.place(b)) else {
            return;
        };
        for (own, peer, place) in [(place_a, b, place_b), (place_b, a, place_a)] {
            self.put_feed(own, Feed::Bridge { peer, place });
            if let Some(stream) = self.streams[own as usize].as_mut() {
                stream.sender.cut();
            }
            self.join_in(now, own);
        }
    }

    fn play(&mut self, now: Time, id: StreamId, play: PlayId, items: &[Item], barge_in: bool) {
        let (list, missing) = Playlist::new(items, &self.prompts, &self.learnt);
        self.counters.missing_prompts += missing;
        if let Some((place, stream)) = self.at(id) {
            stream.play = Some(Play {
                id: play,
                list,
                barge_in,
            });
            stream.sender.cut();
            self.arm(now, place);
        }
    }

    fn press(&mut self, now: Time, id: StreamId, digits: &str) {
        let Some((place, stream)) = self.at(id) else {
            return;
        };
        let Some(talk) = &stream.talk else {
            self.counters.ignored_commands += 1;
            return;
        };
        if talk.format.telephone_event.is_some() {
            stream.keypad.press(digits);
        } else {
            let sound = inband::sound(&digits[..digits.floor_char_boundary(MAX_KEYS)]);
            match &mut stream.tones {
                Some(tones) => tones.append(&sound),
                None => {
                    stream.tones = Some(Playlist::of_samples(&sound));
                    stream.sender.cut();
                }
            }
        }
        self.arm(now, place);
    }

    fn close(&mut self, now: Time, id: StreamId) {
        let Some(place) = self.place(id) else { return };
        self.put_feed(place, Feed::Silence);
        let Some(mut stream) = self.streams[place as usize].take() else {
            return;
        };
        self.places.remove(&id);
        self.free.push(place);
        if let Some(at) = stream.watched {
            self.watch.remove(&(at, place));
        }
        if let Some(due) = stream.control.due {
            self.reports.remove(&(due, place));
        }
        *self.usage(stream.port) = PortUse {
            place: None,
            former: stream.talk.as_ref().map(|talk| talk.latch.target()),
            ..*self.usage(stream.port)
        };
        self.usage(stream.port.beside()).control = None;
        let stats = stream.stats();
        let (goodbyes, vault) = (&mut self.goodbyes, &mut self.vault);
        stream.report(now, true, &mut |port, to, packet| {
            // Sealed now: when it goes, its keys are gone.
            vault.seal(port, packet, |packet| {
                goodbyes.push(Goodbye {
                    at: now,
                    port,
                    to,
                    packet: packet.into(),
                });
            });
        });
        vault.take(stream.port);
        self.counters.active -= 1;
        self.counters.lost += stats.lost;
        self.events.push_back(Event::Closed {
            close: Close {
                stream: id,
                port: stream.port,
                stats,
            },
        });
    }

    fn count_refusal(&mut self, refusal: Refusal) {
        let rejected = &mut self.counters.rejected;
        let counter = match refusal {
            Refusal::Unready => &mut rejected.unready,
            Refusal::Malformed => &mut rejected.malformed,
            Refusal::Source => &mut rejected.source,
            Refusal::PayloadType => &mut rejected.payload_type,
            Refusal::Rtcp => return, // read elsewhere
        };
        *counter += 1;
    }

    /// What an accepted packet means besides its audio.
    fn notice(&mut self, now: Time, place: u32, accepted: &Accepted) {
        let Some(stream) = self.streams[place as usize].as_mut() else {
            return;
        };
        let id = stream.id;
        if accepted.first {
            self.events.push_back(Event::Flowing { stream: id });
        }
        if let Some(digit) = accepted.key {
            if stream.play.as_ref().is_some_and(|play| play.barge_in) {
                stop_play(&mut self.streams, place);
            }
            self.events.push_back(Event::Dtmf { stream: id, digit });
        }
        self.revive(now, place);
    }

    /// For the recording that the stream is tapped for.
    fn copy(&mut self, now: Time, place: u32, accepted: &Accepted, packet: &[u8]) {
        if let Some(stream) = &self.streams[place as usize]
            && let Some(tap) = stream.tap
            && let Relayed::Audio(_) = accepted.what
        {
            let (id, codec) = (stream.id, accepted.codec);
            self.tapped
                .take(now, tap, id, codec, &accepted.header, packet);
        }
    }

    /// Something has come: the media time-out begins anew where it was over or suspended.
    fn revive(&mut self, now: Time, place: u32) {
        if let Some(stream) = self.streams[place as usize].as_mut()
            && stream.watched.is_none()
        {
            stream.starved = false;
            stream.heard = now;
            self.watch_over(place);
        }
    }

    /// The stream that a packet received at `place` goes out on.
    fn route(&self, place: u32) -> Option<u32> {
        let stream = self.streams[place as usize].as_ref()?;
        if !stream.talk.as_ref()?.direction.receives() {
            return None;
        }
        match &stream.feed {
            Feed::Echo => Some(place),
            Feed::Bridge { peer, place } => {
                let other = self.streams[*place as usize].as_ref()?;
                let mutual = matches!(&other.feed, Feed::Bridge { peer, .. } if *peer == stream.id);
                (other.id == *peer && mutual).then_some(*place)
            }
            Feed::Silence | Feed::Endless(_) | Feed::Mix(_) => None,
        }
    }

    /// Puts a stream that has something to send into the wheel, unless it is there.
    fn arm(&mut self, now: Time, place: u32) {
        let Some(stream) = self.streams[place as usize].as_mut() else {
            return;
        };
        if stream.due.is_none() && stream.is_paced() {
            self.wheel.idle_until(Tick::at(now));
            stream.due = Some(self.wheel.insert(Tick::from(now), place));
        }
    }

    fn pace(&mut self, place: u32, tick: Tick, send: &mut impl FnMut(Port, SocketAddr, &[u8])) {
        let Some(stream) = self.streams[place as usize].as_ref() else {
            return;
        };
        let Some(mut due) = stream.due.filter(|due| *due <= tick) else {
            return;
        }; // a stale entry
        let ticks = stream.talk.as_ref().map_or(1, Talk::ticks);
        for _ in 0..CATCH_UP {
            if !self.send_next(place, due, send) {
                return;
            }
            due = due.after(ticks);
            if due > tick {
                break;
            }
        }
        let Some(stream) = self.streams[place as usize].as_mut() else {
            return;
        };
        if due <= tick {
            stream.sender.cut();
            due = due.next_in_phase(tick, ticks);
        }
        stream.due = Some(self.wheel.insert(due, place));
    }

    /// Sends the packet of a stream that is due. False: it had none, and leaves the wheel.
    fn send_next(
        &mut self,
        place: u32,
        due: Tick,
        send: &mut impl FnMut(Port, SocketAddr, &[u8]),
    ) -> bool {
        let Some(stream) = self.streams[place as usize].as_mut() else {
            return false;
        };
        let id = stream.id;
        let mut counted = |port, to, packet: &[u8]| {
            self.counters.packets_out += 1;
            send(port, to, packet);
        };
        let (goes_on, mixed, ended) = match stream.emit(due, &mut self.encodings, &mut counted) {
            Emitted::Nothing => (false, false, None),
            Emitted::Ended(play) => (false, false, Some(play)),
            Emitted::Ongoing(ended) => (true, false, ended),
            Emitted::Mix(ended) => (true, true, ended),
        };
        if !goes_on {
            stream.due = None;
        }
        if mixed {
            self.send_mix(place, due, send);
        }
        if let Some(play) = ended {
            self.events.push_back(Event::Played { stream: id, play });
        }
        goes_on
    }

    /// Sends what a stream hears of the others.
    fn send_mix(&mut self, place: u32, due: Tick, send: &mut impl FnMut(Port, SocketAddr, &[u8])) {
        let Some(stream) = self.streams[place as usize].as_mut() else {
            return;
        };
        let mut samples = [0; MAX_SAMPLES];
        let Some(samples) = samples.get_mut(..stream.packet_samples()) else {
            return;
        };
        let mut feed = std::mem::replace(&mut stream.feed, Feed::Silence);
        if let Feed::Mix(ears) = &mut feed {
            let streams = &self.streams;
            let voice = |(id, place): &(StreamId, u32)| {
                let stream = streams.get(*place as usize)?.as_ref()?;
                stream.voice.as_deref().filter(|_| stream.id == *id)
            };
            ears.mix(voice, due.time(), samples);
        }
        if let Some(stream) = self.streams[place as usize].as_mut() {
            stream.feed = feed;
            let counters = &mut self.counters;
            stream.send_samples(due, samples, &mut |port, to, packet: &[u8]| {
                counters.packets_out += 1;
                send(port, to, packet);
            });
        }
    }

    /// Watches for silence where there should be packets.
    fn watch_over(&mut self, place: u32) {
        let Some(timeout) = self.config.media_timeout else {
            return;
        };
        let Some(stream) = self.streams[place as usize].as_mut() else {
            return;
        };
        if stream.expects() && !stream.starved && stream.watched.is_none() {
            let at = stream.heard + timeout;
            stream.watched = Some(at);
            self.watch.insert((at, place));
        }
    }

    fn look_at(&mut self, now: Time, place: u32) {
        let Some(timeout) = self.config.media_timeout else {
            return;
        };
        let Some(stream) = self.streams[place as usize].as_mut() else {
            return;
        };
        stream.watched = None;
        if stream.expects() && stream.heard + timeout <= now {
            stream.starved = true;
            self.events.push_back(Event::Starved { stream: stream.id });
        } else {
            self.watch_over(place);
        }
    }
}

fn stop_play(streams: &mut [Option<Stream>], place: u32) {
    if let Some(stream) = streams[place as usize].as_mut()
        && stream.play.take().is_some()
    {
        stream.sender.cut();
    }
}
