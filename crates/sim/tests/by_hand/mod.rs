//! A caller written by hand, so that it says what telephones say and ours never would.

#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "the scenes of a test may panic")]

use std::net::SocketAddr;
use std::time::Duration;

use clock::Time;
use expect_test::Expect;
use sim::centre::{centre, one_agent};
use sim::phone::Manner;
use sim::world::World;
use sip::message::Message;

pub const CALLER: &str = "10.0.1.9:5060";

/// A caller from the carrier, and the world that it calls.
pub struct Scene {
    pub world: World,
    pub caller: SocketAddr,
    pub agent: SocketAddr,
    pub from: Time,
    pub after: u64,
    /// What the engine is called in the dialog, once that is known.
    to_tag: String,
    cseq: u32,
    invite: u32,
    refused: bool,
}

pub fn scene(change: impl FnOnce(&mut engine::Config)) -> Scene {
    let mut config = centre(&one_agent());
    change(&mut config);
    let mut world = World::new(config, 1);
    let agent = world.phone(
        "agent",
        "10.0.2.1:5060",
        Manner::Answers {
            after: Duration::from_millis(500),
            talks: None,
        },
    );
    let after = world.events.last().map_or(0, |event| event.sequence);
    Scene {
        from: world.now,
        after,
        world,
        caller: CALLER.parse().unwrap(),
        agent,
        to_tag: String::new(),
        cseq: 0,
        invite: 0,
        refused: false,
    }
}

/// What a telephone says of its media: these lines after the head.
pub fn sdp(version: u32, lines: &[&str]) -> String {
    let mut text = format!("v=0\r\no=x 7 {version} IN IP4 10.0.1.9\r\ns=-\r\n");
    if !lines[0].starts_with("c=") {
        text.push_str("c=IN IP4 10.0.1.9\r\n");
    }
    let (connection, media): (Vec<&str>, Vec<&str>) =
        lines.iter().partition(|line| line.starts_with("c="));
    for line in connection {
        text.push_str(&format!("{line}\r\n"));
    }
    text.push_str("t=0 0\r\n");
    for line in media {
        text.push_str(&format!("{line}\r\n"));
    }
    text
}

pub const AUDIO: &str = "m=audio 4000 RTP/AVP 8 0 101";
pub const EVENTS: &str = "a=rtpmap:101 telephone-event/8000";

impl Scene {
    pub fn send(&mut self, method: &str, cseq: u32, headers: &str, body: &str) {
        let to_tag = match self.to_tag.as_str() {
            "" => String::new(),
            tag => format!(";tag={tag}"),
        };
        let content = match body {
            "" => "",
            _ if headers.contains("Content-Type") => "",
            _ => "Content-Type: application/sdp\r\n",
        };
        // The ACK of a refusal belongs to its INVITE's transaction.
        let branch = match (method, self.refused) {
            ("ACK", true) => "INVITE",
            (method, _) => method,
        };
        let text = format!(
            "{method} sip:2000@10.0.0.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP {CALLER};branch=z9hG4bK{branch}{cseq};rport\r\nMax-Forwards: 70\r\nFrom: <sip:13800138000@10.0.1.9>;tag=x\r\nTo: <sip:2000@10.0.0.1>{to_tag}\r\nCall-ID: by-hand\r\nCSeq: {cseq} {method}\r\nContact: <sip:x@{CALLER}>\r\n{headers}{content}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.world.send_by_hand(self.caller, &text);
    }

    pub fn run(&mut self, seconds: f64) {
        self.world.run(Duration::from_secs_f64(seconds));
        let last = self
            .world
            .wire
            .iter()
            .rev()
            .find(|message| message.to == CALLER && message.start_line.starts_with("SIP/2.0"));
        let last = last.and_then(|message| Message::parse(message.bytes.clone()).ok());
        if let Some(tag) = last
            .as_ref()
            .and_then(|message| message.to().ok()?.tag().map(str::to_owned))
        {
            self.to_tag = tag;
        }
        let status = last.and_then(|message| message.status());
        self.refused = status.is_some_and(|status| status >= 300);
    }

    /// An INVITE, the first or another one; acknowledged if it is answered at once.
    pub fn invite(&mut self, headers: &str, body: &str) {
        self.cseq += 1;
        self.invite = self.cseq;
        self.send("INVITE", self.cseq, headers, body);
        self.run(0.01);
    }

    pub fn ack(&mut self, body: &str) {
        self.send("ACK", self.invite, "", body);
        self.run(0.01);
    }

    pub fn request(&mut self, method: &str, headers: &str, body: &str) {
        self.cseq += 1;
        self.send(method, self.cseq, headers, body);
        self.run(0.01);
    }

    /// Offers anew, and acknowledges the answer.
    pub fn reoffer(&mut self, version: u32, lines: &[&str]) {
        self.invite("", &sdp(version, lines));
        self.ack("");
        self.run(0.98);
    }

    /// 200 to the engine's last request.
    pub fn agree(&mut self) {
        self.agree_with("");
    }

    /// The same with a description.
    pub fn agree_with(&mut self, body: &str) {
        let last = self
            .world
            .wire
            .iter()
            .rev()
            .find(|message| message.to == CALLER && !message.start_line.starts_with("SIP/2.0"));
        let request = Message::parse(last.unwrap().bytes.clone()).unwrap();
        let mut text = String::from("SIP/2.0 200 OK\r\n");
        for (name, value) in request.lines() {
            if matches!(name, "Via" | "From" | "To" | "Call-ID" | "CSeq") {
                text.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        if !body.is_empty() {
            text.push_str("Content-Type: application/sdp\r\n");
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        self.world.send_by_hand(self.caller, &text);
        self.run(0.01);
    }

    /// A caller whom the agent serves since half a second.
    pub fn talking(mut self) -> Self {
        self.invite("", &sdp(1, &[AUDIO, EVENTS]));
        self.ack("");
        self.run(1.98);
        self.from = self.world.now;
        self.after = self.world.events.last().unwrap().sequence;
        self
    }

    /// The caller's side of the wire: each message, and what its description says.
    pub fn ladder(&self) -> String {
        let mut text = String::new();
        for message in self
            .world
            .wire
            .iter()
            .filter(|message| message.at >= self.from)
        {
            let arrow = match (message.from.as_str(), message.to.as_str()) {
                (CALLER, _) => "->",
                (_, CALLER) => "<-",
                _ => continue,
            };
            let seconds = (message.at - self.from).as_secs_f64();
            text.push_str(&format!("{seconds:<6.3} {arrow} {}", message.start_line));
            let whole = String::from_utf8_lossy(&message.bytes);
            for line in whole.split("\r\n\r\n").nth(1).unwrap_or_default().lines() {
                if let Some(origin) = line.strip_prefix("o=") {
                    let version = origin.split(' ').nth(2).unwrap();
                    text.push_str(&format!(" | v{version}"));
                }
                let direction = ["sendrecv", "sendonly", "recvonly", "inactive"]
                    .iter()
                    .any(|word| line.strip_prefix("a=") == Some(word));
                if line.starts_with("m=") || line.starts_with("c=") || direction {
                    text.push_str(&format!(" {line}"));
                }
            }
            text.push('\n');
        }
        text
    }

    pub fn story(&self) -> String {
        self.world.story(self.after)
    }

    /// What each side hears: the last source of its stream, and which way that flows.
    pub fn heard(&self) -> Vec<String> {
        let mut last: std::collections::BTreeMap<media::StreamId, (String, String)> =
            Default::default();
        for command in &self.world.commands {
            match command {
                media::Command::Source { stream, source } => {
                    last.entry(*stream).or_default().0 = format!("{source:?}");
                }
                media::Command::Bridge { a, b } => {
                    last.entry(*a).or_default().0 = format!("with {}", b.0);
                    last.entry(*b).or_default().0 = format!("with {}", a.0);
                }
                media::Command::Update {
                    stream,
                    remote,
                    format,
                    direction,
                    ..
                } => {
                    last.entry(*stream).or_default().1 =
                        format!("{:?} {direction:?} {remote}", format.codec);
                }
                media::Command::Close { stream } => {
                    last.remove(stream);
                }
                _ => {}
            }
        }
        last.iter()
            .map(|(stream, (source, way))| format!("{}: {source}, {way}", stream.0))
            .collect()
    }

    pub fn end(mut self) {
        let now = self.world.now;
        self.world
            .with_phone(self.agent, |phone| phone.hang_up_all(now));
        self.run(0.1);
        if self.world.engine.open_legs() > 0 {
            self.agree();
        }
        self.run(60.0);
        assert_eq!(self.world.engine.open_contacts(), 0);
        assert_eq!(self.world.engine.open_legs(), 0);
        assert_eq!(self.world.open_streams(), 0);
    }

    pub fn check(&self, ladder: Expect, story: Expect) {
        ladder.assert_eq(&self.ladder());
        story.assert_eq(&self.story());
    }
}

impl Scene {
    /// RSeq of the last reliable provisional.
    pub fn rseq(&self) -> String {
        let to_caller = self.world.wire.iter().rev();
        let mut to_caller = to_caller.filter(|message| message.to == CALLER);
        let provisional = to_caller.find_map(|message| {
            let message = Message::parse(message.bytes.clone()).ok()?;
            message.header_named("RSeq").map(str::to_owned)
        });
        provisional.unwrap()
    }
}
