//! One stream: who may send to it, what it sends, and the timeline of that.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clock::Time;

use crate::api::{Codec, Direction, Far, Format, PlayId, Port, Stats, StreamId};
use crate::control::{Control, Own};
use crate::dtmf::{self, Detector, Keypad};
use crate::g711;
use crate::latch::Latch;
use crate::pace::{TICK, TICK_SAMPLES, Tick};
use crate::playlist::{Clip, Playlist};
use crate::quality::{self, Impairments};
use crate::reception::Reception;
use crate::rtcp;
use crate::rtp::{self, HEADER, Header};
use crate::sender::{Relayed, Sender};

/// The payload type of comfort noise at 8000 Hz (RFC 3551 section 6), which some send without having agreed on it.
const COMFORT_NOISE: u8 = 13;
/// Octets of the longest packet that we make: 60 ms of G.711.
const MAX_PACKET: usize = HEADER + 480;

#[derive(Debug)]
pub struct Stream {
    pub id: StreamId,
    pub port: Port,
    pub talk: Option<Talk>,
    pub feed: Feed,
    pub play: Option<Play>,
    pub keypad: Keypad,
    pub sender: Sender,
    detector: Detector,
    reception: Reception,
    pub control: Control,
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
        (self.format.ptime.as_millis() as u64 / TICK.as_millis() as u64).clamp(2, 12)
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
            detector: Detector::default(),
            reception: Reception::default(),
            control: Control::new(),
            packets_in: 0,
            packets_out: 0,
            octets_out: 0,
            rejected: 0,
            due: None,
            watched: None,
            heard: now,
            quiet: false,
            starved: false,
        }
    }

    pub fn stats(&self) -> Stats {
        let (lost, jitter_ms) = (self.reception.lost(), self.reception.jitter_ms());
        let far = self.control.far().map(|block| {
            let lost = u64::try_from(block.lost).unwrap_or(0);
            let jitter_ms = crate::reception::in_ms(block.jitter);
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
                || matches!(self.feed, Feed::Endless(_)))
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
        self.heard = now;
        self.quiet = is_noise;
        Ok(Accepted {
            key: event.and_then(|payload| self.detector.detect(now, &header, payload)),
            what: match event {
                Some(payload) => Relayed::Event(u32::from(payload.duration)),
                None if is_noise => Relayed::Noise,
                None => Relayed::Audio(header.payload.len() as u32),
            },
            codec: talk.format.codec,
            first: self.packets_in == 1,
            header,
        })
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
        // A call that begins on hold by `c=0.0.0.0` has not said where it is.
        if target.ip().is_unspecified() || bye && !self.control.has_spoken(self.packets_out) {
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
            return; // an old way to hold: nobody listens
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
        let Some(target) = talk.target() else { return };
        let samples = (talk.ticks() * TICK_SAMPLES) as usize;
        let mut packet = [g711::silence(talk.format.codec); MAX_PACKET];
        let payload_type = talk.format.payload_type;
        self.sender.cut();
        let header = self.sender.paced(now, payload_type, samples as u32);
        packet[..HEADER].copy_from_slice(&header.octets());
        self.sender.cut();
        self.count_out(samples);
        send(self.port, target, &packet[..HEADER + samples]);
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
        if self.play.is_some() || self.keypad.is_busy() || from.header.payload.is_empty() {
            return;
        }
        let payload_type = match from.what {
            Relayed::Audio(_) => {
                g711::transcode(
                    from.codec,
                    talk.format.codec,
                    &mut packet[from.header.payload.clone()],
                );
                talk.format.payload_type
            }
            Relayed::Event(_) => match talk.format.telephone_event {
                Some(payload_type) => payload_type,
                None => return self.sender.skipped(&from.header),
            },
            Relayed::Noise => return self.sender.skipped(&from.header),
        };
        let begin = from.header.payload.start - HEADER;
        let octets = self
            .sender
            .relayed(now, &from.header, payload_type, from.what)
            .octets();
        packet[begin..begin + HEADER].copy_from_slice(&octets);
        self.count_out(from.header.payload.len());
        send(self.port, target, &packet[begin..from.header.payload.end]);
    }

    /// Sends what is due at `tick`.
    pub fn emit(&mut self, tick: Tick, send: &mut impl FnMut(Port, SocketAddr, &[u8])) -> Emitted {
        let Some(talk) = &self.talk else {
            return Emitted::Nothing;
        };
        let samples = (talk.ticks() * TICK_SAMPLES) as usize;
        let codec = talk.format.codec;
        if self.keypad.is_busy() {
            self.emit_key(tick, samples, send);
            return Emitted::Ongoing(None);
        }
        let mut packet = [0; MAX_PACKET];
        let payload = &mut packet[HEADER..HEADER + samples];
        let mut ended = None;
        if let Some(play) = &mut self.play {
            if play.list.fill(codec, payload) {
                self.send_audio(tick, &mut packet[..HEADER + samples], send);
                return Emitted::Ongoing(None);
            }
            ended = Some(play.id);
            self.play = None;
            self.sender.cut();
        }
        match (&self.feed, ended) {
            (Feed::Endless(clip), ended) => {
                clip.fill_endless(codec, tick.samples(), payload);
                self.send_audio(tick, &mut packet[..HEADER + samples], send);
                Emitted::Ongoing(ended)
            }
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
        let Some((target, payload_type)) = self
            .talk
            .as_ref()
            .and_then(|talk| Some((talk.target()?, talk.format.payload_type)))
        else {
            return self.sender.cut();
        };
        let samples = (packet.len() - HEADER) as u32;
        packet[..HEADER].copy_from_slice(
            &self
                .sender
                .paced(tick.time(), payload_type, samples)
                .octets(),
        );
        self.count_out(packet.len() - HEADER);
        send(self.port, target, packet);
    }

    fn emit_key(
        &mut self,
        tick: Tick,
        samples: usize,
        send: &mut impl FnMut(Port, SocketAddr, &[u8]),
    ) {
        let Some(talk) = &self.talk else { return };
        let (Some(payload_type), target) = (talk.format.telephone_event, talk.target()) else {
            self.keypad = Keypad::default(); // a re-INVITE took the events away
            return;
        };
        let Some((header, payload)) =
            self.keypad
                .tick(tick.time(), samples as u32, payload_type, &mut self.sender)
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
