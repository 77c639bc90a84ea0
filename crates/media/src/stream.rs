//! One stream: who may send to it, what it sends, and the timeline of that.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clock::Time;

use crate::api::{Codec, Direction, Far, Format, PlayId, Port, Stats, StreamId};
use crate::control::{Control, Own};
use crate::dtmf::{self, Detector, Keypad, PacketTime};
use crate::encoded::Encodings;
use crate::g711::{self, Law};
use crate::inband;
use crate::latch::Latch;
use crate::mixer::{Ears, Voice};
use crate::pace::{TICK, TICK_SAMPLES, Tick};
use crate::playlist::{Clip, Playlist};
use crate::quality::{self, Impairments};
use crate::reception::Reception;
use crate::rtcp;
use crate::rtp::{self, HEADER, Header};
use crate::sender::{Relayed, Sender};
use crate::tap::Tap;
use crate::transcode::{self, Fit, Transcoder};
use crate::voice::{self, Encoder, MAX_PAYLOAD};

/// Without a packet for so long a key heard in sound is no longer pressed: some telephones send no silence. Longer than what networks lose at once.
const LET_GO: Duration = Duration::from_millis(100);
/// Music of so many samples is encoded once for all. A tone is a shorter loop: where its rounds meet would be heard.
const ONE_FOR_ALL: usize = 2 * g711::RATE as usize;
/// The payload type of comfort noise at 8000 Hz (RFC 3551 section 6), which some send without having agreed on it.
const COMFORT_NOISE: u8 = 13;
/// Octets of the longest packet that we make.
const MAX_PACKET: usize = HEADER + MAX_PAYLOAD;

#[derive(Debug)]
pub struct Stream {
    pub id: StreamId,
    pub port: Port,
    pub talk: Option<Talk>,
    pub feed: Feed,
    pub play: Option<Play>,
    pub keypad: Keypad,
    pub sender: Sender,
    /// Keys that are played as sound to a far end without events.
    pub tones: Option<Playlist>,
    detector: Detector,
    /// Listens for keys in the sound of a far end without events.
    ear: Option<Box<inband::Detector>>,
    reception: Reception,
    pub control: Control,
    pub tap: Option<Tap>,
    /// From the bridged peer's codec to ours, where it has another.
    transcoder: Option<Box<Transcoder>>,
    /// For what we play, where our codec is not G.711.
    encoder: Option<Box<Encoder>>,
    /// How many hear this one in a mix, and what they hear.
    pub hearers: u32,
    pub voice: Option<Box<Voice>>,
    packets_in: u64,
    packets_out: u64,
    /// Of payload.
    octets_out: u64,
    pub rejected: u64,
    /// When the wheel has this stream next.
    pub due: Option<Tick>,
    /// When its media time-out is looked at next.
    pub watched: Option<Time>,
    /// Last packet, or since when one is expected.
    pub heard: Time,
    /// The far end has said that silence begins (RFC 3389): no packet is expected until there is something to hear.
    quiet: bool,
    pub starved: bool,
    /// The far end is a browser, and where ICE has found it.
    pub browser: bool,
    pub found: Option<SocketAddr>,
}

/// What SDP negotiated.
#[derive(Debug)]
pub struct Talk {
    pub latch: Latch,
    pub format: Format,
    pub direction: Direction,
}

/// What a stream sends when nothing is played over it.
#[derive(Debug)]
pub enum Feed {
    Silence,
    Echo,
    /// Music or a tone: a clip in a loop, positioned by time.
    Endless(Arc<Clip>),
    Bridge {
        peer: StreamId,
        place: u32,
    },
    /// Others, mixed.
    Mix(Box<Ears>),
}

#[derive(Debug)]
pub struct Play {
    pub id: PlayId,
    pub list: Playlist,
    pub barge_in: bool,
}

/// Why a packet is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    Unready,
    Malformed,
    Rtcp,
    Source,
    PayloadType,
}

/// A packet that is the stream's.
#[derive(Debug)]
pub struct Accepted {
    pub header: Header,
    pub what: Relayed,
    pub codec: Codec,
    /// Clock of its events.
    pub event_rate: u16,
    /// The first packet of the stream.
    pub first: bool,
    /// A key press that begins with this packet.
    pub key: Option<char>,
}

/// What a tick did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emitted {
    /// There is nothing to send: the stream leaves the wheel.
    Nothing,
    /// Goes on at the next packet time; the play that has come to its end, if one has.
    Ongoing(Option<PlayId>),
    /// The play has come to its end and nothing follows it.
    Ended(PlayId),
    /// It hears a mix: [`Stream::send_samples`] sends that. The play that has come to its end, if one has.
    Mix(Option<PlayId>),
}

impl Direction {
    pub(crate) fn sends(self) -> bool {
        matches!(self, Direction::SendReceive | Direction::SendOnly)
    }

    pub(crate) fn receives(self) -> bool {
        matches!(self, Direction::SendReceive | Direction::ReceiveOnly)
    }
}

impl Talk {
    /// Packet time in ticks of the wheel, 10 to 60 ms.
    pub fn ticks(&self) -> u64 {
        let ticks = (self.format.ptime.as_millis() as u64 / TICK.as_millis() as u64).clamp(2, 12);
        match (self.format.codec, ticks) {
            // Frames of Opus that are shorter than what is asked for (RFC 6716 section 2.1.4).
            (Codec::Opus, 2..4) => 2,
            (Codec::Opus, 4..8) => 4,
            (Codec::Opus, 8..12) => 8,
            (_, ticks) => ticks,
        }
    }

    fn milliseconds(&self) -> u32 {
        (self.ticks() * TICK.as_millis() as u64) as u32
    }

    /// Packet time by the clock of the stream.
    fn clock_ticks(&self) -> u32 {
        self.milliseconds() * self.format.codec.clock_rate() / 1000
    }

    /// Where packets go, if the direction allows any and SDP gave an address that can be sent to.
    fn target(&self) -> Option<SocketAddr> {
        let target = self.latch.target();
        (self.direction.sends() && target.port() != 0 && !target.ip().is_unspecified())
            .then_some(target)
    }
}

impl Stream {
    pub fn new(now: Time, id: StreamId, port: Port, ssrc: u32) -> Self {
        Stream {
            id,
            port,
            talk: None,
            feed: Feed::Silence,
            play: None,
            keypad: Keypad::default(),
            sender: Sender::new(ssrc),
            tones: None,
            detector: Detector::default(),
            ear: None,
            reception: Reception::default(),
            control: Control::new(),
            tap: None,
            transcoder: None,
            encoder: None,
            hearers: 0,
            voice: None,
            packets_in: 0,
            packets_out: 0,
            octets_out: 0,
            rejected: 0,
            due: None,
            watched: None,
            heard: now,
            quiet: false,
            starved: false,
            browser: false,
            found: None,
        }
    }

    /// The source of a browser: before it is found there is none.
    pub fn found_or_nowhere(&self) -> Latch {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        Latch::locked(self.found.unwrap_or(nowhere))
    }

    pub fn stats(&self) -> Stats {
        let (lost, jitter_ms) = (self.reception.lost(), self.reception.jitter_ms());
        let far = self.control.far().map(|block| {
            let lost = u64::try_from(block.lost).unwrap_or(0);
            let jitter_ms = self.reception.in_ms(block.jitter);
            Far {
                lost,
                jitter_ms,
                mos: self.mos(lost, self.packets_out, jitter_ms),
            }
        });
        Stats {
            packets_in: self.packets_in,
            packets_out: self.packets_out,
            lost,
            jitter_ms,
            rejected: self.rejected,
            mos: (self.packets_in > 0).then(|| self.mos(lost, self.packets_in + lost, jitter_ms)),
            round_trip_ms: self
                .control
                .round_trip()
                .map(|round_trip| round_trip.as_secs_f32() * 1000.0),
            far,
        }
    }

    /// The score of a stream that lost so many of `sent` packets on the way between the far end and us.
    fn mos(&self, lost: u64, sent: u64, jitter_ms: f32) -> f32 {
        let Some(talk) = &self.talk else { return 1.0 };
        let impairments = Impairments {
            loss: lost as f64 / sent.max(1) as f64,
            jitter: Duration::from_secs_f32(jitter_ms / 1000.0),
            round_trip: self.control.round_trip(),
            ptime: talk.format.ptime,
        };
        quality::mos(quality::rating(talk.format.codec, &impairments)) as f32
    }

    /// What SDP has agreed on, at first or anew.
    pub fn agree(&mut self, latch: Latch, format: Format, direction: Direction) {
        if self.talk.as_ref().is_none_or(|talk| talk.format != format) {
            self.sender.cut();
            (self.transcoder, self.encoder) = (None, None);
        }
        self.sender.set_rate(format.codec.clock_rate());
        self.reception.set_rate(format.codec.clock_rate());
        self.talk = Some(Talk {
            latch,
            format,
            direction,
        });
    }

    /// Whether packets should be coming.
    pub fn expects(&self) -> bool {
        let receives = |talk: &Talk| talk.direction.receives();
        !self.quiet && self.talk.as_ref().is_some_and(receives)
    }

    /// Whether the wheel must come by.
    pub fn is_paced(&self) -> bool {
        self.talk.is_some()
            && (self.play.is_some()
                || self.keypad.is_busy()
                || self.tones.is_some()
                || matches!(self.feed, Feed::Endless(_) | Feed::Mix(_)))
    }

    /// Whether a packet from there may be the stream's at all. What is not is told apart before any work is done for it.
    pub fn may_send(&self, source: SocketAddr, former: Option<SocketAddr>) -> bool {
        self.talk.as_ref().is_some_and(|talk| {
            let mut latch = talk.latch;
            latch.accept(source, former) || self.control.accepts(source, talk.latch.target())
        })
    }

    /// Checks a packet and counts it. `former` is the peer of the port's previous stream.
    pub fn admit(
        &mut self,
        now: Time,
        source: SocketAddr,
        former: Option<SocketAddr>,
        packet: &[u8],
    ) -> Result<Accepted, Refusal> {
        let talk = self.talk.as_mut().ok_or(Refusal::Unready)?;
        if rtp::is_rtcp(packet) {
            return Err(Refusal::Rtcp);
        }
        let header = rtp::parse(packet).ok_or(Refusal::Malformed)?;
        let is_event = talk.format.telephone_event == Some(header.payload_type);
        let is_audio = header.payload_type == talk.format.payload_type;
        let is_noise = !is_event && !is_audio && header.payload_type == COMFORT_NOISE;
        if !is_event && !is_audio && !is_noise {
            let known = source == talk.latch.negotiated() || source == talk.latch.target();
            return Err(if known {
                Refusal::PayloadType
            } else {
                Refusal::Source
            });
        }
        if !talk.latch.accept(source, former) {
            return Err(Refusal::Source);
        }
        let event = if is_event {
            Some(dtmf::Payload::parse(&packet[header.payload.clone()]).ok_or(Refusal::Malformed)?)
        } else {
            None
        };
        let timestamp = is_audio.then_some(header.timestamp);
        self.reception
            .count(now, header.ssrc, header.sequence, timestamp);
        self.packets_in += 1;
        if let Some(ear) = self
            .ear
            .as_mut()
            .filter(|_| now.since(self.heard) >= LET_GO)
        {
            ear.pause();
        }
        self.heard = now;
        self.quiet = is_noise;
        Ok(Accepted {
            key: match event {
                Some(payload) => self.detector.detect(now, &header, payload),
                None => listen(&mut self.ear, &talk.format, &packet[header.payload.clone()]),
            },
            what: match event {
                Some(payload) => Relayed::Event(u32::from(payload.duration)),
                None if is_noise => Relayed::Noise,
                None => Relayed::Audio(voice::ticks(
                    talk.format.codec,
                    &packet[header.payload.clone()],
                )),
            },
            codec: talk.format.codec,
            event_rate: talk.format.event_rate,
            first: self.packets_in == 1,
            header,
        })
    }

    /// Decodes an accepted packet for those who hear it in a mix. A far end that may not speak is not heard, whatever it sends.
    pub fn overhear(&mut self, now: Time, accepted: &Accepted, packet: &[u8]) {
        let receives = |talk: &Talk| talk.direction.receives();
        let audible =
            matches!(accepted.what, Relayed::Audio(_)) && self.talk.as_ref().is_some_and(receives);
        if self.hearers == 0 || !audible {
            return;
        }
        let serves = |voice: &Voice| voice.is_of(accepted.codec);
        if !self.voice.as_deref().is_some_and(serves) {
            self.voice = Voice::new(accepted.codec).map(Box::new);
        }
        if let Some(voice) = &mut self.voice {
            let payload = &packet[accepted.header.payload.clone()];
            voice.take(now, &accepted.header, payload);
        }
    }

    /// Takes in a report that came on the port of RTCP, or on that of RTP where both share it.
    pub fn admit_rtcp(
        &mut self,
        now: Time,
        source: SocketAddr,
        beside: bool,
        packet: &[u8],
    ) -> Result<(), Refusal> {
        let talk = self.talk.as_ref().ok_or(Refusal::Unready)?;
        if !self.control.accepts(source, talk.latch.target()) {
            return Err(Refusal::Source);
        }
        let report = rtcp::read(packet, self.sender.ssrc()).ok_or(Refusal::Malformed)?;
        // Once packets have come, only their sender is believed.
        if self
            .reception
            .ssrc()
            .is_some_and(|ssrc| ssrc != report.ssrc)
        {
            return Err(Refusal::Source);
        }
        self.control.hear(now, beside.then_some(source), &report);
        self.heard = now; // who reports is alive, even with nothing to say
        Ok(())
    }

    /// Sends the report that is due, with a goodbye when the stream ends.
    pub fn report(&mut self, now: Time, bye: bool, send: &mut impl FnMut(Port, SocketAddr, &[u8])) {
        if !bye && self.control.is_idle(self.packets_out) {
            self.keep_alive(now, send);
        }
        let Some(talk) = &self.talk else { return };
        let target = self.control.target(talk.latch.target());
        if bye && !self.control.has_spoken(self.packets_out) {
            return;
        }
        let own = Own {
            ssrc: self.sender.ssrc(),
            packets: self.packets_out,
            octets: self.octets_out,
            timestamp: self.sender.timestamp_at(now),
            block: self.reception.block(),
        };
        let mut buffer = [0; rtcp::MAX_OCTETS];
        let length = self.control.write(now, own, bye, &mut buffer);
        if target.port() == 0 || target.ip().is_unspecified() {
            return; // on hold by `c=0.0.0.0`, from the beginning: where it is has not been said; the next report is due all the same
        }
        let port = match self.control.is_muxed() {
            true => self.port,
            false => self.port.beside(),
        };
        send(port, target, &buffer[..length]);
    }

    /// A packet of silence where nothing has been sent since the report before, so that no address translator forgets the way and no far end
    /// takes us for dead (RFC 6263).
    fn keep_alive(&mut self, now: Time, send: &mut impl FnMut(Port, SocketAddr, &[u8])) {
        let Some(talk) = &self.talk else { return };
        if talk.target().is_none() {
            return;
        }
        let samples = (talk.ticks() * TICK_SAMPLES) as usize;
        let law = talk.format.codec.law().unwrap_or(Law::A);
        let mut packet = [g711::silence(law); MAX_PACKET];
        self.sender.cut();
        self.send_audio(Tick::at(now), &mut packet[..HEADER + samples], send);
        self.sender.cut();
    }

    fn count_out(&mut self, payload: usize) {
        self.packets_out += 1;
        self.octets_out += payload as u64;
    }

    /// Sends a packet of the bridged peer (or our own, for echo) on, rewritten in place: our header goes right before the payload,
    /// so that foreign sources and extensions fall away.
    pub fn relay(
        &mut self,
        now: Time,
        from: &Accepted,
        packet: &mut [u8],
        send: &mut impl FnMut(Port, SocketAddr, &[u8]),
    ) {
        let Some(talk) = &self.talk else { return };
        let Some(target) = talk.target() else { return };
        if self.play.is_some()
            || self.keypad.is_busy()
            || self.tones.is_some()
            || from.header.payload.is_empty()
        {
            return;
        }
        let (mut what, mut payload_type) = (from.what, talk.format.payload_type);
        match from.what {
            Relayed::Audio(_) if transcode::is_needed(from.codec, talk.format.codec) => {
                return self.transcode(now, from, packet, target, send);
            }
            Relayed::Audio(_) => {
                if let (Some(theirs), Some(ours)) = (from.codec.law(), talk.format.codec.law()) {
                    g711::transcode(theirs, ours, &mut packet[from.header.payload.clone()]);
                }
            }
            Relayed::Event(duration) => match talk.format.telephone_event {
                Some(events) => {
                    payload_type = events;
                    let ours = u64::from(talk.format.event_rate);
                    let scaled = u64::from(duration) * ours / u64::from(from.event_rate);
                    let scaled = scaled.min(u64::from(u16::MAX)) as u16;
                    let at = from.header.payload.start + 2;
                    packet[at..at + 2].copy_from_slice(&scaled.to_be_bytes());
                    what = Relayed::Event(u32::from(scaled));
                }
                None => return self.sender.skipped(&from.header),
            },
            Relayed::Noise => return self.sender.skipped(&from.header),
        }
        let begin = from.header.payload.start - HEADER;
        let octets = self
            .sender
            .relayed(now, &from.header, payload_type, what)
            .octets();
        packet[begin..begin + HEADER].copy_from_slice(&octets);
        self.count_out(from.header.payload.len());
        send(self.port, target, &packet[begin..from.header.payload.end]);
    }

    /// Sends a packet of the bridged peer on in our codec and packet time.
    fn transcode(
        &mut self,
        now: Time,
        from: &Accepted,
        packet: &[u8],
        target: SocketAddr,
        send: &mut impl FnMut(Port, SocketAddr, &[u8]),
    ) {
        let Some(talk) = &self.talk else { return };
        let (format, milliseconds, ticks) = (talk.format, talk.milliseconds(), talk.clock_ticks());
        let mut transcoder = match self.transcoder.take() {
            Some(transcoder) if transcoder.is_between(from.codec, &format) => transcoder,
            Some(_) | None => match Transcoder::new(from.codec, format) {
                Some(transcoder) => Box::new(transcoder),
                None => return,
            },
        };
        let fit = transcoder.take(now, &from.header, &packet[from.header.payload.clone()]);
        if fit == Fit::Begins {
            self.sender.cut();
        }
        let mut payload = [0; MAX_PAYLOAD];
        while let Some(length) = transcoder.next(milliseconds as usize, &mut payload) {
            let Some(length) = length else {
                self.sender.pass(ticks);
                continue;
            };
            let mut packet = [0; MAX_PACKET];
            let header = self.sender.paced(now, format.payload_type, ticks);
            packet[..HEADER].copy_from_slice(&header.octets());
            packet[HEADER..HEADER + length].copy_from_slice(&payload[..length]);
            self.count_out(length);
            send(self.port, target, &packet[..HEADER + length]);
        }
        self.transcoder = Some(transcoder);
    }

    /// Sends what is due at `tick`.
    pub fn emit(
        &mut self,
        tick: Tick,
        encodings: &mut Encodings,
        send: &mut impl FnMut(Port, SocketAddr, &[u8]),
    ) -> Emitted {
        let Some(talk) = &self.talk else {
            return Emitted::Nothing;
        };
        let samples = (talk.ticks() * TICK_SAMPLES) as usize;
        let (format, shared) = (talk.format, talk.format.codec.law().is_none());
        let law = format.codec.law().unwrap_or(Law::A);
        if self.keypad.is_busy() {
            self.emit_key(tick, send);
            return Emitted::Ongoing(None);
        }
        let mut packet = [0; MAX_PACKET];
        let payload = &mut packet[HEADER..HEADER + samples];
        if let Some(tones) = &mut self.tones {
            if tones.fill(law, payload) {
                self.send_audio(tick, &mut packet[..HEADER + samples], send);
                return Emitted::Ongoing(None);
            }
            self.tones = None;
            self.sender.cut();
        }
        let mut ended = None;
        if let Some(play) = &mut self.play {
            if shared && let Some(step) = play.list.step(samples) {
                let payload = encodings.step(&step, &format, samples);
                self.send_payload(tick, payload, send);
                return Emitted::Ongoing(None);
            }
            if !shared && play.list.fill(law, payload) {
                self.send_audio(tick, &mut packet[..HEADER + samples], send);
                return Emitted::Ongoing(None);
            }
            ended = Some(play.id);
            self.play = None;
            self.sender.cut();
        }
        match (&self.feed, ended) {
            (Feed::Endless(clip), ended) if shared && clip.samples() >= ONE_FOR_ALL => {
                let clip = clip.clone();
                let payload = encodings.endless(&clip, tick.samples(), &format, samples);
                self.send_payload(tick, payload, send);
                Emitted::Ongoing(ended)
            }
            (Feed::Endless(clip), ended) => {
                clip.fill_endless(law, tick.samples(), payload);
                self.send_audio(tick, &mut packet[..HEADER + samples], send);
                Emitted::Ongoing(ended)
            }
            (Feed::Mix(_), ended) => Emitted::Mix(ended),
            (Feed::Silence | Feed::Echo | Feed::Bridge { .. }, Some(ended)) => {
                Emitted::Ended(ended)
            }
            (Feed::Silence | Feed::Echo | Feed::Bridge { .. }, None) => Emitted::Nothing,
        }
    }

    /// While the direction forbids sending, time goes on and nothing leaves.
    fn send_audio(
        &mut self,
        tick: Tick,
        packet: &mut [u8],
        send: &mut impl FnMut(Port, SocketAddr, &[u8]),
    ) {
        let Some(talk) = &self.talk else { return };
        let (format, ticks) = (talk.format, talk.clock_ticks());
        let Some(target) = talk.target() else {
            return self.sender.cut();
        };
        let mut length = packet.len();
        if format.codec.law().is_none() {
            let Some(encoded) = self.encode(format, &mut packet[HEADER..]) else {
                return self.sender.pass(ticks);
            };
            length = HEADER + encoded;
        }
        let header = self.sender.paced(tick.time(), format.payload_type, ticks);
        packet[..HEADER].copy_from_slice(&header.octets());
        self.count_out(length - HEADER);
        send(self.port, target, &packet[..length]);
    }

    /// Sends a payload that is there already; time without one passes (DTX).
    fn send_payload(
        &mut self,
        tick: Tick,
        payload: Option<&[u8]>,
        send: &mut impl FnMut(Port, SocketAddr, &[u8]),
    ) {
        let Some(talk) = &self.talk else { return };
        let (format, ticks) = (talk.format, talk.clock_ticks());
        let Some(target) = talk.target() else {
            return self.sender.cut();
        };
        let Some(payload) = payload else {
            return self.sender.pass(ticks);
        };
        let length = payload.len().min(MAX_PAYLOAD);
        let mut packet = [0; MAX_PACKET];
        let header = self.sender.paced(tick.time(), format.payload_type, ticks);
        packet[..HEADER].copy_from_slice(&header.octets());
        packet[HEADER..HEADER + length].copy_from_slice(&payload[..length]);
        self.count_out(length);
        send(self.port, target, &packet[..HEADER + length]);
    }

    /// A-law, which what we play is kept in, to our codec, in place; the length, unless nothing is to be sent.
    fn encode(&mut self, format: Format, audio: &mut [u8]) -> Option<usize> {
        let mut samples = [0; MAX_PAYLOAD];
        for (sample, octet) in samples.iter_mut().zip(&*audio) {
            *sample = g711::decode(Law::A, *octet);
        }
        let mut payload = [0; MAX_PAYLOAD];
        let length = self.encode_samples(format, &samples[..audio.len()], &mut payload)?;
        audio.get_mut(..length)?.copy_from_slice(&payload[..length]);
        Some(length)
    }

    /// Samples at 8 kHz to our codec; the length, unless nothing is to be sent.
    fn encode_samples(
        &mut self,
        format: Format,
        samples: &[i16],
        payload: &mut [u8; MAX_PAYLOAD],
    ) -> Option<usize> {
        if self.encoder.is_none() {
            self.encoder = Encoder::new(format.codec, g711::RATE, format.wishes).map(Box::new);
        }
        self.encoder.as_mut()?.encode(samples, payload)
    }

    /// Samples at 8 kHz that a packet of ours holds.
    pub fn packet_samples(&self) -> usize {
        let ticks = self.talk.as_ref().map_or(0, Talk::ticks);
        (ticks * TICK_SAMPLES) as usize
    }

    /// Sends a packet of these samples at 8 kHz.
    pub fn send_samples(
        &mut self,
        tick: Tick,
        samples: &[i16],
        send: &mut impl FnMut(Port, SocketAddr, &[u8]),
    ) {
        let Some(talk) = &self.talk else { return };
        let (format, ticks) = (talk.format, talk.clock_ticks());
        let Some(target) = talk.target() else {
            return self.sender.cut();
        };
        let mut payload = [0; MAX_PAYLOAD];
        let Some(length) = self.encode_samples(format, samples, &mut payload) else {
            return self.sender.pass(ticks);
        };
        let mut packet = [0; MAX_PACKET];
        let header = self.sender.paced(tick.time(), format.payload_type, ticks);
        packet[..HEADER].copy_from_slice(&header.octets());
        packet[HEADER..HEADER + length].copy_from_slice(&payload[..length]);
        self.count_out(length);
        send(self.port, target, &packet[..HEADER + length]);
    }

    fn emit_key(&mut self, tick: Tick, send: &mut impl FnMut(Port, SocketAddr, &[u8])) {
        let Some(talk) = &self.talk else { return };
        let time = PacketTime::new(
            talk.milliseconds(),
            talk.format.event_rate.into(),
            talk.format.codec.clock_rate(),
        );
        let (Some(payload_type), target) = (talk.format.telephone_event, talk.target()) else {
            self.keypad = Keypad::default(); // a re-INVITE took the events away
            return;
        };
        let Some((header, payload)) =
            self.keypad
                .tick(tick.time(), time, payload_type, &mut self.sender)
        else {
            return;
        };
        let Some(target) = target else { return };
        let mut packet = [0; HEADER + dtmf::Payload::OCTETS];
        packet[..HEADER].copy_from_slice(&header.octets());
        packet[HEADER..].copy_from_slice(&payload.octets());
        self.count_out(dtmf::Payload::OCTETS);
        send(self.port, target, &packet);
    }
}

/// A key in the sound of a packet. Only where no events were agreed on, and only G.711 carries tones that well.
fn listen(
    ear: &mut Option<Box<inband::Detector>>,
    format: &Format,
    payload: &[u8],
) -> Option<char> {
    let law = format
        .codec
        .law()
        .filter(|_| format.telephone_event.is_none())?;
    ear.get_or_insert_with(|| Box::new(inband::Detector::new()))
        .hear(payload.iter().map(|octet| g711::decode(law, *octet)))
}
