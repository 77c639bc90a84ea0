//! A bare telephone: SIP as text and RTP as octets over sockets of its own, for what no well-behaved phone would send and for what must be
//! measured to the packet. It reads with code of its own, so that it and the engine cannot be wrong together.

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use media::g711::Law;

use crate::centre::{Centre, PATIENCE};

/// The pace of G.711 in 20 ms packets.
pub const PTIME: Duration = Duration::from_millis(20);
const SAMPLES: usize = 160;
pub const PCMU: u8 = 0;
pub const PCMA: u8 = 8;
pub const EVENT: u8 = 101;

/// One SIP message as it came.
#[derive(Clone, Debug)]
pub struct Message {
    pub text: String,
    pub from: SocketAddr,
}

impl Message {
    pub fn status(&self) -> Option<u16> {
        self.text.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    pub fn method(&self) -> &str {
        if self.status().is_some() {
            return "";
        }
        self.text.split(' ').next().unwrap_or_default()
    }

    /// All values of a header, in order.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        let head = self.text.split("\r\n\r\n").next().unwrap_or_default();
        head.lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .filter(|(found, _)| found.trim().eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    }

    /// The first value of a header, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers(name).first().copied().unwrap_or_default()
    }

    /// The method in CSeq.
    pub fn of(&self) -> &str {
        self.header("CSeq").split(' ').nth(1).unwrap_or_default()
    }

    pub fn body(&self) -> &str {
        self.text
            .split_once("\r\n\r\n")
            .map_or("", |(_, body)| body)
    }

    /// Where the SDP in it wants RTP.
    pub fn media(&self) -> SocketAddr {
        let line = |start: &str| {
            self.body()
                .lines()
                .find_map(|line| line.strip_prefix(start).map(str::to_owned))
                .unwrap_or_else(|| panic!("no {start} in {}", self.text))
        };
        let port = line("m=audio ");
        let port = port.split(' ').next().expect("a port").to_owned();
        format!("{}:{port}", line("c=IN IP4 "))
            .parse()
            .expect("an address")
    }

    /// The address in Contact.
    pub fn contact(&self) -> String {
        let value = self.header("Contact");
        let value = value.split_once('<').map_or(value, |(_, rest)| rest);
        value.split('>').next().unwrap_or_default().to_owned()
    }
}

/// A UDP socket that speaks SIP.
pub struct Line {
    pub socket: UdpSocket,
    put_back: VecDeque<Message>,
}

impl Line {
    pub fn new() -> Line {
        Line::on("127.0.0.1:0")
    }

    /// At an address of another kind.
    pub fn on(address: &str) -> Line {
        Line {
            socket: UdpSocket::bind(address).expect("a port"),
            put_back: VecDeque::new(),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("an address")
    }

    pub fn send(&self, to: SocketAddr, bytes: impl AsRef<[u8]>) {
        self.socket.send_to(bytes.as_ref(), to).expect("it is sent");
    }

    /// The next message, if it comes in time.
    pub fn receive_within(&mut self, patience: Duration) -> Option<Message> {
        if let Some(message) = self.put_back.pop_front() {
            return Some(message);
        }
        let mut buffer = [0u8; 65_536];
        self.socket
            .set_read_timeout(Some(patience.max(Duration::from_millis(1))))
            .expect("a time-out");
        let (length, from) = self.socket.recv_from(&mut buffer).ok()?;
        Some(Message {
            text: String::from_utf8_lossy(&buffer[..length]).into_owned(),
            from,
        })
    }

    /// The next message that is wanted; others wait for their turn.
    pub fn wait(&mut self, what: &str, wanted: impl Fn(&Message) -> bool) -> Message {
        let until = Instant::now() + PATIENCE / 3;
        let mut others = VecDeque::new();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let message = self
                .receive_within(left)
                .unwrap_or_else(|| panic!("no {what}, but {others:#?}"));
            if wanted(&message) {
                others.append(&mut self.put_back);
                self.put_back = others;
                return message;
            }
            others.push_back(message);
        }
    }

    /// The final response to the last request of this method; provisional ones before it are forgotten.
    pub fn answer(&mut self, method: &str) -> Message {
        let answer = self.wait(&format!("final response to {method}"), |message| {
            message.status().is_some_and(|status| status >= 200) && message.of() == method
        });
        self.put_back.retain(|message| message.of() != method);
        answer
    }

    /// The next request of this method; what else has come waits.
    pub fn request(&mut self, method: &str) -> Message {
        self.wait(method, |message| message.method() == method)
    }

    /// Everything that is there now, without waiting.
    pub fn drain(&mut self) -> Vec<Message> {
        let mut all: Vec<Message> = self.put_back.drain(..).collect();
        while let Some(message) = self.receive_within(Duration::from_millis(1)) {
            all.push(message);
        }
        all
    }

    /// Answers a request.
    pub fn reply(&self, request: &Message, status: &str, tag: &str, more: &str, sdp: &str) {
        let mut text = format!("SIP/2.0 {status}\r\n");
        for via in request.headers("Via") {
            text += &format!("Via: {via}\r\n");
        }
        let to = request.header("To");
        let tag = if to.contains("tag=") || status.starts_with("100") {
            String::new()
        } else {
            format!(";tag={tag}")
        };
        text += &format!(
            "From: {}\r\nTo: {to}{tag}\r\nCall-ID: {}\r\nCSeq: {}\r\nContact: <sip:phone@{}>\r\n{more}",
            request.header("From"),
            request.header("Call-ID"),
            request.header("CSeq"),
            self.address()
        );
        self.send(request.from, text + &with_body(sdp));
    }
}

/// The end of a message: length, type where there is a body, and the body.
pub fn with_body(sdp: &str) -> String {
    let kind = if sdp.is_empty() {
        ""
    } else {
        "Content-Type: application/sdp\r\n"
    };
    format!("{kind}Content-Length: {}\r\n\r\n{sdp}", sdp.len())
}

/// SDP of a phone that takes these payload types.
pub fn sdp(at: SocketAddr, payload_types: &[u8]) -> String {
    let list: Vec<String> = payload_types.iter().map(u8::to_string).collect();
    let mut text = format!(
        "v=0\r\no=- 1 1 IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=audio {1} RTP/AVP {2}\r\n",
        at.ip(),
        at.port(),
        list.join(" ")
    );
    if payload_types.contains(&EVENT) {
        text += "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n";
    }
    text + "a=ptime:20\r\n"
}

/// One RTP packet as it came.
#[derive(Clone, Debug)]
pub struct Packet {
    pub at: Instant,
    pub from: SocketAddr,
    pub marker: bool,
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    pub payload: Vec<u8>,
}

/// An RTP socket: sends a tone of its own at the pace of 20 ms and keeps every packet that comes.
pub struct Rtp {
    pub socket: UdpSocket,
    pub remote: Option<SocketAddr>,
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    pub heard: Vec<Packet>,
    spoken: usize,
}

impl Rtp {
    pub fn new(ssrc: u32) -> Rtp {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.set_nonblocking(true).expect("non-blocking");
        Rtp {
            socket,
            remote: None,
            payload_type: PCMA,
            sequence: 65_500,
            timestamp: 0xffff_f000,
            ssrc,
            heard: Vec::new(),
            spoken: 0,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("an address")
    }

    fn law(&self) -> Law {
        if self.payload_type == PCMU {
            Law::Mu
        } else {
            Law::A
        }
    }

    /// Sends a packet with these contents, whatever they are.
    pub fn send(&mut self, payload_type: u8, marker: bool, timestamp: u32, payload: &[u8]) {
        let mut packet = vec![0x80, (u8::from(marker) << 7) | payload_type];
        packet.extend(self.sequence.to_be_bytes());
        packet.extend(timestamp.to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        packet.extend(payload);
        self.sequence = self.sequence.wrapping_add(1);
        if let Some(remote) = self.remote {
            let _ = self.socket.send_to(&packet, remote);
        }
    }

    /// One packet of a sine.
    pub fn speak(&mut self, hertz: f64) {
        let samples: Vec<i16> = (0..SAMPLES)
            .map(|n| {
                let t = (self.spoken + n) as f64 / 8000.0;
                ((t * hertz * std::f64::consts::TAU).sin() * 8000.0) as i16
            })
            .collect();
        self.spoken += SAMPLES;
        let payload = media::tone::encode(self.law(), &samples);
        let (payload_type, timestamp) = (self.payload_type, self.timestamp);
        self.send(payload_type, false, timestamp, &payload);
        self.timestamp = self.timestamp.wrapping_add(SAMPLES as u32);
    }

    /// Presses a key as RFC 4733 has it: `packets` at the pace of 20 ms, the last of them three times with the end bit.
    /// `lost` are left out, by their place.
    pub fn press(&mut self, event: u8, packets: u16, lost: &[u16]) {
        let start = self.timestamp;
        let mut next = Instant::now();
        for n in 1..=packets + 2 {
            let end = n >= packets;
            let duration = n.min(packets) * SAMPLES as u16;
            let [high, low] = duration.to_be_bytes();
            if lost.contains(&n) {
                self.sequence = self.sequence.wrapping_add(1);
            } else {
                let payload = [event, (u8::from(end) << 7) | 10, high, low];
                self.send(EVENT, n == 1, start, &payload);
            }
            next += PTIME;
            if n < packets {
                self.listen_until(next);
            }
        }
        self.timestamp = start.wrapping_add(u32::from(packets) * SAMPLES as u32);
    }

    /// Presses a key as its two tones sound (ITU-T Q.23), for packets at the pace of 20 ms.
    pub fn press_by_sound(&mut self, low: f64, high: f64, packets: usize) {
        let mut next = Instant::now();
        for packet in 0..packets {
            let samples: Vec<i16> = (packet * SAMPLES..(packet + 1) * SAMPLES)
                .map(|n| {
                    let turns = n as f64 / 8000.0 * std::f64::consts::TAU;
                    ((turns * low).sin() * 7000.0 + (turns * high).sin() * 8000.0) as i16
                })
                .collect();
            let payload = media::tone::encode(self.law(), &samples);
            let (payload_type, timestamp) = (self.payload_type, self.timestamp);
            self.send(payload_type, false, timestamp, &payload);
            self.timestamp = timestamp.wrapping_add(SAMPLES as u32);
            next += PTIME;
            self.listen_until(next);
        }
    }

    /// Takes what has come.
    pub fn listen(&mut self) {
        let mut buffer = [0u8; 2048];
        while let Ok((length, from)) = self.socket.recv_from(&mut buffer) {
            let octets = &buffer[..length];
            assert!(length >= 12 && octets[0] == 0x80, "not RTP: {octets:?}");
            let word = |at: usize| {
                u32::from_be_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]])
            };
            self.heard.push(Packet {
                at: Instant::now(),
                from,
                marker: octets[1] & 0x80 != 0,
                payload_type: octets[1] & 0x7f,
                sequence: u16::from_be_bytes([octets[2], octets[3]]),
                timestamp: word(4),
                ssrc: word(8),
                payload: octets[12..].to_vec(),
            });
        }
    }

    fn listen_until(&mut self, until: Instant) {
        while Instant::now() < until {
            self.listen();
            std::thread::sleep(Duration::from_millis(1));
        }
        self.listen();
    }

    /// The samples of the last `packets` audio packets.
    pub fn samples(&self, packets: usize) -> Vec<i16> {
        let audio: Vec<&Packet> = self
            .heard
            .iter()
            .filter(|packet| packet.payload_type != EVENT)
            .collect();
        audio[audio.len().saturating_sub(packets)..]
            .iter()
            .flat_map(|packet| {
                let law = if packet.payload_type == PCMU {
                    Law::Mu
                } else {
                    Law::A
                };
                media::tone::decode(law, &packet.payload)
            })
            .collect()
    }

    /// How much of the last 200 ms is this tone: 1 is all of it.
    pub fn purity(&self, hertz: f64) -> f64 {
        let samples = self.samples(10);
        if samples.len() < 10 * SAMPLES {
            return 0.0;
        }
        media::tone::purity(&samples, hertz, 8000)
    }

    /// Panics unless everything heard is one stream: from where we send to, one SSRC, each sequence number one more than the last.
    pub fn assert_one_stream(&self) {
        assert!(
            self.heard
                .iter()
                .all(|packet| Some(packet.from) == self.remote),
            "RTP from another address than the one in SDP"
        );
        for pair in self.heard.windows(2) {
            assert_eq!(pair[0].ssrc, pair[1].ssrc, "the SSRC changed");
            assert_eq!(
                pair[0].sequence.wrapping_add(1),
                pair[1].sequence,
                "a gap in the sequence"
            );
            let step = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
            assert!(
                pair[1].payload_type == EVENT || (step > 0 && step < 8000 * 60),
                "the time stamp went by {step}"
            );
        }
    }
}

/// Lets several RTP ends speak and listen, each at its frequency (0 is silent), until `enough` says so; panics with `what` when it never does.
pub fn converse(what: &str, ends: &mut [(&mut Rtp, f64)], enough: impl Fn(&[&Rtp]) -> bool) {
    let start = Instant::now();
    let mut next = start;
    loop {
        for (end, hertz) in ends.iter_mut() {
            if *hertz > 0.0 {
                end.speak(*hertz);
            }
        }
        next += PTIME;
        for (end, _) in ends.iter_mut() {
            end.listen();
        }
        while Instant::now() < next {
            std::thread::sleep(Duration::from_millis(2));
            for (end, _) in ends.iter_mut() {
                end.listen();
            }
        }
        let seen: Vec<&Rtp> = ends.iter().map(|(end, _)| &**end).collect();
        if enough(&seen) {
            return;
        }
        assert!(
            start.elapsed() < PATIENCE / 2,
            "{what}: never; heard {:?} packets",
            seen.iter().map(|end| end.heard.len()).collect::<Vec<_>>()
        );
    }
}

/// A caller.
pub struct Caller {
    pub line: Line,
    pub rtp: Rtp,
    pub centre: SocketAddr,
    pub from: String,
    pub codecs: Vec<u8>,
    pub call_id: String,
    pub branch: String,
    pub to: String,
    pub target: String,
    pub cseq: u32,
    /// A header of its own, with its line's end.
    pub more: String,
}

impl Caller {
    pub fn new(centre: &Centre) -> Caller {
        let line = Line::new();
        let port = line.address().port();
        Caller {
            rtp: Rtp::new(0x0ca1_1e00 | u32::from(port)),
            centre: centre.sip().parse().expect("an address"),
            from: format!("<sip:13800138000@127.0.0.1:{port}>;tag=c{port}"),
            codecs: vec![PCMA, PCMU, EVENT],
            call_id: format!("raw-{port}"),
            branch: String::new(),
            to: String::new(),
            target: String::new(),
            cseq: 0,
            more: String::new(),
            line,
        }
    }

    /// A request in or out of the dialog, under a new branch and CSeq.
    pub fn text(&mut self, method: &str, sdp: &str) -> String {
        self.cseq += 1;
        self.branch = format!("z9hG4bK{}{}{method}", self.call_id, self.cseq);
        self.text_again(method, self.cseq, sdp)
    }

    /// The same with the branch as it is: CANCEL, and the ACK of a refusal.
    pub fn text_again(&self, method: &str, cseq: u32, sdp: &str) -> String {
        format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {us};branch={branch};rport\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: {call}\r\n\
             CSeq: {cseq} {method}\r\nMax-Forwards: 70\r\nContact: <sip:13800138000@{us}>\r\n{more}{body}",
            target = self.target,
            us = self.line.address(),
            branch = self.branch,
            from = self.from,
            to = self.to,
            call = self.call_id,
            more = self.more,
            body = with_body(sdp)
        )
    }

    pub fn send(&self, text: impl AsRef<[u8]>) {
        self.line.send(self.centre, text);
    }

    /// The INVITE to a number, not yet sent. `sdp` empty: the 200 shall carry the offer.
    pub fn invite(&mut self, number: &str, sdp: &str) -> String {
        self.target = format!("sip:{number}@{}", self.centre);
        self.to = format!("<{}>", self.target);
        self.text("INVITE", sdp)
    }

    pub fn dial(&mut self, number: &str) {
        let sdp = sdp(self.rtp.address(), &self.codecs);
        let text = self.invite(number, &sdp);
        self.send(text);
    }

    /// Waits for the 200 and ACKs it; RTP goes where it says.
    pub fn answered(&mut self) -> Message {
        let answer = self.line.answer("INVITE");
        assert_eq!(answer.status(), Some(200), "{}", answer.text);
        self.take(&answer);
        self.ack("");
        answer
    }

    /// Enters the dialog of a 200.
    pub fn take(&mut self, answer: &Message) {
        self.to = answer.header("To").to_owned();
        self.target = answer.contact();
        self.rtp.remote = Some(answer.media());
        self.rtp.payload_type = answer
            .body()
            .lines()
            .find_map(|line| {
                line.strip_prefix("m=audio ")?
                    .split(' ')
                    .nth(2)?
                    .parse()
                    .ok()
            })
            .expect("a payload type");
    }

    pub fn ack(&mut self, sdp: &str) {
        let before = self.branch.clone();
        self.branch = format!("{before}ack");
        let text = self.text_again("ACK", self.cseq, sdp);
        self.branch = before;
        self.send(text);
    }

    /// Waits for the final response of a refusal and ACKs it.
    pub fn refused(&mut self) -> Message {
        let answer = self.line.answer("INVITE");
        assert!(answer.status() >= Some(300), "{}", answer.text);
        self.to = answer.header("To").to_owned();
        self.send(self.text_again("ACK", self.cseq, ""));
        answer
    }

    pub fn cancel(&mut self) {
        self.send(self.text_again("CANCEL", self.cseq, ""));
    }

    pub fn hang_up(&mut self) {
        let bye = self.text("BYE", "");
        self.send(bye);
        assert_eq!(self.line.answer("BYE").status(), Some(200));
    }

    /// Waits for the far end's BYE and answers it.
    pub fn hung_up(&mut self) {
        let bye = self.line.request("BYE");
        self.line.reply(&bye, "200 OK", "", "", "");
    }
}

/// An agent's telephone at a fixed address.
pub struct Phone {
    pub line: Line,
    pub rtp: Rtp,
    pub codecs: Vec<u8>,
    pub invite: Option<Message>,
    tag: String,
    calls: u32,
}

impl Phone {
    pub fn new() -> Phone {
        let line = Line::new();
        let port = line.address().port();
        Phone {
            rtp: Rtp::new(0x0a6e_0000 | u32::from(port)),
            codecs: vec![PCMA, PCMU, EVENT],
            invite: None,
            tag: String::new(),
            calls: 0,
            line,
        }
    }

    pub fn port(&self) -> u16 {
        self.line.address().port()
    }

    /// Waits for an INVITE; repetitions of one that is known are passed over.
    pub fn called(&mut self) -> Message {
        let known = self
            .invite
            .as_ref()
            .map(|invite| invite.header("Call-ID").to_owned());
        let invite = self.line.wait("INVITE", |message| {
            message.method() == "INVITE" && Some(message.header("Call-ID")) != known.as_deref()
        });
        self.calls += 1;
        self.tag = format!("p{}x{}", self.port(), self.calls);
        self.invite = Some(invite.clone());
        invite
    }

    pub fn reply(&self, status: &str, more: &str, sdp: &str) {
        let invite = self.invite.as_ref().expect("a call");
        self.line.reply(invite, status, &self.tag, more, sdp);
    }

    pub fn ring(&mut self) {
        self.called();
        self.reply("180 Ringing", "", "");
    }

    /// 200 with our answer; waits for the ACK. RTP goes where the offer says.
    pub fn answer(&mut self) {
        self.pick_up();
        self.line.request("ACK");
    }

    /// 200 with our answer, no more.
    pub fn pick_up(&mut self) {
        let offer = self.invite.clone().expect("a call");
        self.rtp.remote = Some(offer.media());
        self.rtp.payload_type = self.codecs[0];
        let sdp = sdp(self.rtp.address(), &self.codecs);
        self.reply("200 OK", "", &sdp);
    }

    /// Refuses with this status; waits for the ACK.
    pub fn refuse(&mut self, status: &str, more: &str) {
        self.reply(status, more, "");
        self.line.request("ACK");
    }

    /// Waits for BYE and answers it.
    pub fn hung_up(&mut self) {
        let bye = self.line.request("BYE");
        self.line.reply(&bye, "200 OK", "", "", "");
    }

    /// Waits for CANCEL, answers it and the INVITE.
    pub fn cancelled(&mut self) {
        let cancel = self.line.request("CANCEL");
        self.line.reply(&cancel, "200 OK", &self.tag, "", "");
        self.reply("487 Request Terminated", "", "");
        self.line.request("ACK");
    }

    /// Our BYE.
    pub fn hang_up(&mut self) {
        self.send("BYE", 7, "");
        assert_eq!(self.line.answer("BYE").status(), Some(200));
    }

    /// A request of ours in the call; `more` are headers with their lines' ends.
    pub fn send(&self, method: &str, cseq: u32, more: &str) {
        let invite = self.invite.as_ref().expect("a call");
        let text = format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/UDP {us};branch=z9hG4bK{}{method}{cseq};rport\r\nFrom: {};tag={}\r\nTo: {}\r\nCall-ID: {}\r\n\
             CSeq: {cseq} {method}\r\nMax-Forwards: 70\r\nContact: <sip:phone@{us}>\r\n{more}{}",
            invite.contact(),
            self.tag,
            invite.header("To"),
            self.tag,
            invite.header("From"),
            invite.header("Call-ID"),
            with_body(""),
            us = self.line.address(),
        );
        self.line.send(invite.from, text);
    }
}

/// An `agents.toml` of agents at fixed addresses, ready at once, and the supervisor 1900.
pub fn fixed_agents(agents: &[(&str, u16, &str)]) -> String {
    let mut text = crate::centre::agents();
    let supervisor = text.split_off(text.rfind("[[agent]]").expect("the supervisor is last"));
    let mut text = supervisor;
    for (id, port, skills) in agents {
        text += &format!(
            "[[agent]]\nid = \"{id}\"\nname = \"Agent {id}\"\nauto_ready = true\nwrap_up = \"0s\"\nskills = {{ {skills} }}\n\
             contact = \"sip:{id}@127.0.0.1:{port}\"\n"
        );
    }
    text
}
