//! One stream: who may send to it, what it sends, and the timeline of that.

use std::net::SocketAddr;
use std::sync::Arc;

use clock::Time;

use crate::api::{Codec, Direction, Format, PlayId, Port, Stats, StreamId};
use crate::dtmf::{self, Detector, Keypad};
use crate::g711;
use crate::latch::Latch;
use crate::pace::{TICK, TICK_SAMPLES, Tick};
use crate::playlist::{Clip, Playlist};
use crate::reception::Reception;
use crate::rtp::{self, HEADER, Header};
use crate::sender::{Relayed, Sender};

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
    packets_in: u64,
    packets_out: u64,
    pub rejected: u64,
    /// When the wheel has this stream next.
    pub due: Option<Tick>,
    /// When its media time-out is looked at next.
    pub watched: Option<Time>,
    /// Last packet, or since when one is expected.
    pub heard: Time,
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
            packets_in: 0,
            packets_out: 0,
            rejected: 0,
            due: None,
            watched: None,
            heard: now,
            starved: false,
        }
    }

    pub fn stats(&self) -> Stats {
        Stats {
            packets_in: self.packets_in,
            packets_out: self.packets_out,
            lost: self.reception.lost(),
            jitter_ms: self.reception.jitter_ms(),
            rejected: self.rejected,
        }
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
        if !is_event && header.payload_type != talk.format.payload_type {
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
        let timestamp = event.is_none().then_some(header.timestamp);
        self.reception
            .count(now, header.ssrc, header.sequence, timestamp);
        self.packets_in += 1;
        self.heard = now;
        Ok(Accepted {
            key: event.and_then(|payload| self.detector.detect(now, &header, payload)),
            what: event.map_or(Relayed::Audio(header.payload.len() as u32), |payload| {
                Relayed::Event(u32::from(payload.duration))
            }),
            codec: talk.format.codec,
            first: self.packets_in == 1,
            header,
        })
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
        };
        let begin = from.header.payload.start - HEADER;
        let octets = self
            .sender
            .relayed(now, &from.header, payload_type, from.what)
            .octets();
        packet[begin..begin + HEADER].copy_from_slice(&octets);
        self.packets_out += 1;
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
        self.packets_out += 1;
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
        self.packets_out += 1;
        send(self.port, target, &packet);
    }
}
