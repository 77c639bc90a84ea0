//! One SIP endpoint with its socket, and one RTP socket for all its calls: the far end's port tells whose packet it is.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clock::Time;
use mio::net::UdpSocket;
use sip::message::{Message, Method};
use sip::{Command, Endpoint, Event, Input, Invite, LegId, Output, Peer, Target, Transport, sdp};

use super::voice::{PACKET, PACKET_OCTETS, Stream, Voices};

/// Datagrams taken in one go from one socket.
const BATCH: usize = 512;
/// Largest UDP payload.
const DATAGRAM_MAX: usize = 65_535;
/// Bounds of the endpoint: several times what the traffic lets happen.
const DIALOGS_MAX: usize = 2_000;
const TRANSACTIONS_MAX: usize = 8_000;

/// What the calls of a line sent and heard.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sound {
    pub sent: u64,
    pub heard: u64,
    /// Calls that were up, and those of them that heard something.
    pub calls: u64,
    pub calls_heard: u64,
}

/// See the module.
pub struct Line {
    pub endpoint: Endpoint,
    /// Where the endpoint is.
    pub address: SocketAddr,
    pub sip: UdpSocket,
    centre: SocketAddr,
    rtp: UdpSocket,
    media: SocketAddr,
    streams: BTreeMap<LegId, Stream>,
    by_port: BTreeMap<u16, LegId>,
    sound: Sound,
    buffer: Vec<u8>,
}

impl Line {
    /// Binds both sockets beside the centre.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn open(name: &str, centre: SocketAddr, seed: [u8; 32]) -> io::Result<Line> {
        let any = SocketAddr::new(centre.ip(), 0);
        let (sip, rtp) = (UdpSocket::bind(any)?, UdpSocket::bind(any)?);
        let (address, media) = (sip.local_addr()?, rtp.local_addr()?);
        let config = config(name, address, centre.ip());
        Ok(Line {
            endpoint: Endpoint::new(Arc::new(config), seed),
            address,
            sip,
            centre,
            rtp,
            media,
            streams: BTreeMap::new(),
            by_port: BTreeMap::new(),
            sound: Sound::default(),
            buffer: vec![0; DATAGRAM_MAX],
        })
    }

    /// Dials a number of the centre.
    pub fn dial(&mut self, now: Time, number: &str, from: &str, ulaw: bool) -> LegId {
        let leg = self.endpoint.new_leg();
        let sdp = sdp::offer(&self.local(leg, ulaw));
        let invite = Invite {
            leg,
            target: Target::Uri(format!("sip:{number}@{}", self.centre).into()),
            from_display: None,
            from_user: from.to_owned(),
            private: false,
            sdp,
            headers: Vec::new(),
        };
        self.command(now, Command::Invite(invite));
        leg
    }

    /// Tells the endpoint what is wanted of a leg.
    pub fn command(&mut self, now: Time, command: Command) {
        self.endpoint.handle(now, Input::Command(command));
    }

    pub fn hang_up(&mut self, now: Time, leg: LegId) {
        self.command(now, Command::Hangup { leg, reason: None });
    }

    /// The centre's answer to [`Line::dial`]: speech begins. False when it cannot be understood.
    pub fn answered(
        &mut self,
        now: Time,
        leg: LegId,
        answer: &[u8],
        voice: usize,
        ssrc: u32,
    ) -> bool {
        match sdp::accept(answer, &self.local(leg, false)) {
            Ok(agreed) => {
                self.begin(leg, Stream::new(now, agreed, voice, ssrc));
                true
            }
            Err(_) => false,
        }
    }

    /// Answers a call of the centre: speech begins. False when its offer cannot be understood.
    pub fn answer(&mut self, now: Time, leg: LegId, offer: &[u8], voice: usize, ssrc: u32) -> bool {
        let Ok((sdp, agreed)) = sdp::answer(offer, &self.local(leg, false)) else {
            return false;
        };
        self.begin(leg, Stream::new(now, agreed, voice, ssrc));
        let headers = Vec::new();
        self.command(now, Command::Answer { leg, sdp, headers });
        true
    }

    /// Answers a changed offer in a call, such as hold.
    pub fn reoffered(&mut self, now: Time, leg: LegId, offer: Option<&[u8]>) {
        let answer = offer.and_then(|offer| sdp::answer(offer, &self.local(leg, false)).ok());
        match (answer, self.streams.get_mut(&leg)) {
            (Some((sdp, agreed)), Some(stream)) => {
                self.by_port.remove(&stream.remote().port());
                self.by_port.insert(agreed.remote.port(), leg);
                stream.update(agreed);
                self.command(now, Command::AcceptReoffer { leg, sdp });
            }
            _ => self.command(now, Command::RejectReoffer { leg, status: 488 }),
        }
    }

    /// Presses a key in a call that is up.
    pub fn press(&mut self, leg: LegId, key: char) {
        if let Some(stream) = self.streams.get_mut(&leg) {
            stream.press(key);
        }
    }

    /// The call is over.
    pub fn silence(&mut self, leg: LegId) {
        if let Some(stream) = self.streams.remove(&leg) {
            self.by_port.remove(&stream.remote().port());
            self.sound.sent += stream.sent;
            self.sound.heard += stream.heard;
            self.sound.calls += 1;
            self.sound.calls_heard += u64::from(stream.heard > 0);
        }
    }

    /// What was sent and heard in calls that are over.
    pub fn sound(&self) -> Sound {
        self.sound
    }

    pub fn is_silent(&self) -> bool {
        self.streams.is_empty()
    }

    /// Takes what has come for the endpoint; answers to REGISTER, which is none of its business, go to `registered`.
    /// True when there may be more.
    pub fn receive(&mut self, now: Time, mut registered: impl FnMut(&Message)) -> bool {
        for _ in 0..BATCH {
            let (length, remote) = match self.sip.recv_from(&mut self.buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                // An ICMP error of an earlier datagram: the endpoint's own timers tell.
                Err(_) => continue,
            };
            let peer = Peer {
                transport: Transport::Udp,
                remote,
                flow: None,
            };
            let bytes = Bytes::copy_from_slice(&self.buffer[..length]);
            let input = match Message::parse(bytes.clone()) {
                Ok(message) if is_register_answer(&message) => {
                    registered(&message);
                    continue;
                }
                Ok(message) => Input::Message { peer, message },
                Err(_) => Input::Malformed { peer, bytes },
            };
            self.endpoint.handle(now, input);
        }
        true
    }

    /// Hears what has come and says what is due.
    pub fn speak(&mut self, now: Time, voices: &Voices) {
        for _ in 0..BATCH {
            match self.rtp.recv_from(&mut self.buffer) {
                Ok((_, from)) => {
                    let leg = self.by_port.get(&from.port());
                    if let Some(stream) = leg.and_then(|leg| self.streams.get_mut(leg)) {
                        stream.heard += 1;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => {}
            }
        }
        let mut packet = [0; PACKET_OCTETS];
        for stream in self.streams.values_mut() {
            if let Some(length) = stream.speak(now, voices, &mut packet) {
                // What the system does not take is lost, as on any network.
                let _ = self.rtp.send_to(&packet[..length], stream.remote());
            }
        }
    }

    /// The endpoint's next event; what it sends goes out on the way.
    pub fn poll_event(&mut self) -> Option<Event> {
        loop {
            match self.endpoint.poll_output()? {
                Output::Transmit { peer, bytes } => self.send(peer.remote, &bytes),
                Output::Event(event) => return Some(event),
                // Its calls go to address literals, by UDP.
                Output::Edge(_) => {}
            }
        }
    }

    /// Sends a datagram; what gets lost is sent again by its timers.
    pub fn send(&self, to: SocketAddr, bytes: &[u8]) {
        let _ = self.sip.send_to(bytes, to);
    }

    fn begin(&mut self, leg: LegId, stream: Stream) {
        self.by_port.insert(stream.remote().port(), leg);
        self.streams.insert(leg, stream);
    }

    fn local(&self, leg: LegId, ulaw: bool) -> sdp::Local<'static> {
        const ULAW_FIRST: [sdp::Codec; 2] = [sdp::Codec::Pcmu, sdp::Codec::Pcma];
        const ALAW_FIRST: [sdp::Codec; 2] = [sdp::Codec::Pcma, sdp::Codec::Pcmu];
        sdp::Local {
            address: self.media.ip(),
            port: self.media.port(),
            session_id: leg.0,
            version: 1,
            codecs: if ulaw { &ULAW_FIRST } else { &ALAW_FIRST },
            telephone_event: true,
            ptime: PACKET,
            direction: sdp::Direction::SendRecv,
            security: Default::default(),
        }
    }
}

fn is_register_answer(message: &Message) -> bool {
    !message.is_request()
        && message
            .cseq()
            .is_ok_and(|(_, method)| method == Method::Register)
}

/// A telephone's configuration: it takes calls from the centre and knows nobody else.
fn config(name: &str, address: SocketAddr, centre: IpAddr) -> sip::Config {
    sip::Config {
        realm: address.ip().to_string(),
        digest: Vec::new(),
        listeners: sip::Listener::udp(address),
        users: Arc::default(),
        trunks: vec![sip::Trunk {
            name: "centre".into(),
            addresses: vec![centre.into()],
            max_calls: DIALOGS_MAX,
            ..sip::Trunk::default()
        }],
        expires_min: Duration::from_secs(60),
        expires_max: Duration::from_secs(3600),
        nonce_lifetime: Duration::from_secs(60),
        max_transactions: TRANSACTIONS_MAX,
        max_dialogs: DIALOGS_MAX,
        max_bindings_per_user: 1,
        max_message: DATAGRAM_MAX,
        t1: Duration::from_millis(500),
        t2: Duration::from_secs(4),
        t4: Duration::from_secs(5),
        product: format!("cordboard demo traffic ({name})"),
        dialogs: sip::DialogRules::default(),
        silent_to_scanners: true,
        phones: sip::PhoneRules::default(),
    }
}
