//! The ladder tests' world: an endpoint in virtual time, phones whose every move is in the script, and the ladder as text.
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::HashMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clock::Time;
use sip::info::Key;
use sip::message::Message;
use sip::{
    Algorithm, Command, Config, Credentials, Edge, Endpoint, Event, Input, Invite, LegId, Output,
    Peer, Target, Transport, Trunk,
};

pub const SDP: &str = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
const PLACES: [(&str, &str); 8] = [
    ("198.51.100.1:5060", "first"),
    ("198.51.100.2:5060", "second"),
    ("10.0.0.1:5060", "caller"),
    ("192.168.1.10:5060", "phone"),
    ("192.168.1.11:5060", "phone2"),
    ("203.0.113.9:5060", "stranger"),
    ("10.0.0.2:5060", "far"),
    ("10.0.0.3:5060", "tcp"),
];

pub struct World {
    pub endpoint: Endpoint,
    pub config: Config,
    pub now: Time,
    lines: String,
    pub sent: Vec<(Peer, Message)>,
    pub events: Vec<Event>,
    /// Headers that the ladder shows beside the usual ones.
    pub shown: Vec<&'static str>,
    /// The ladder shows each timer that fires.
    pub timed: bool,
}

pub fn config() -> Config {
    let mut users: HashMap<Arc<str>, Credentials> = HashMap::new();
    for user in ["1001", "1002"] {
        let ha1 = |algorithm| {
            Some(sip::digest::ha1(
                user,
                "test",
                &format!("demo-{user}"),
                algorithm,
            ))
        };
        users.insert(
            user.into(),
            Credentials {
                md5: ha1(Algorithm::Md5),
                sha256: ha1(Algorithm::Sha256),
            },
        );
    }
    Config {
        realm: "test".into(),
        digest: vec![Algorithm::Md5],
        listeners: sip::Listener::pair("10.9.9.9:5060".parse().unwrap()),
        users: Arc::new(users),
        trunks: vec![Trunk {
            name: "carrier".into(),
            addresses: vec![
                "10.0.0.1".parse().unwrap(),
                "10.0.0.2".parse().unwrap(),
                "10.0.0.3".parse().unwrap(),
            ],
            certificate: None,
            max_calls: 10,
            ..Trunk::default()
        }],
        expires_min: Duration::from_secs(60),
        expires_max: Duration::from_secs(3600),
        nonce_lifetime: Duration::from_secs(300),
        max_transactions: 1000,
        max_dialogs: 100,
        max_bindings_per_user: 3,
        max_message: 65_535,
        t1: Duration::from_millis(500),
        t2: Duration::from_secs(4),
        t4: Duration::from_secs(5),
        product: "Cordboard".into(),
        dialogs: sip::DialogRules::default(),
        silent_to_scanners: true,
        phones: sip::PhoneRules::default(),
    }
}

pub fn peer(address: &str) -> Peer {
    let remote: SocketAddr = address.parse().unwrap();
    if address.starts_with("10.0.0.3") {
        return Peer {
            transport: Transport::Tcp,
            remote,
            flow: Some(sip::FlowId(3)),
        };
    }
    Peer {
        transport: Transport::Udp,
        remote,
        flow: None,
    }
}

fn place(peer: &Peer) -> String {
    let remote = peer.remote.to_string();
    PLACES
        .iter()
        .find(|(address, _)| *address == remote)
        .map_or(remote, |(_, name)| (*name).to_owned())
}

fn summary(message: &Message, shown: &[&str]) -> String {
    let (number, method) = message.cseq().unwrap();
    let mut text = match message.status() {
        Some(status) => format!("{status} {} ({number} {method})", message.reason()),
        None => format!(
            "{} {} ({number})",
            message.method().unwrap(),
            message.request_uri_raw()
        ),
    };
    for name in [
        "Retry-After",
        "Min-Expires",
        "Allow",
        "Unsupported",
        "Reason",
    ] {
        let shown = name != "Allow" || matches!(message.status(), Some(405 | 501));
        if let Some(value) = message.header_named(name).filter(|_| shown) {
            write!(text, " {name}: {value}").unwrap();
        }
    }
    for name in shown {
        for (_, value) in message
            .lines()
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
        {
            write!(text, " {name}: {value}").unwrap();
        }
    }
    if message.status() == Some(200) && method.as_str() == "REGISTER" {
        for (_, value) in message.lines().filter(|(name, _)| *name == "Contact") {
            write!(text, " {value}").unwrap();
        }
    }
    if message.status() == Some(401) {
        text.push_str(
            if message
                .header_named("WWW-Authenticate")
                .unwrap()
                .contains("stale=true")
            {
                " stale"
            } else {
                ""
            },
        );
    }
    if message.is_content("application/sdp") {
        text.push_str(" +sdp");
    }
    text
}

fn event_text(event: &Event) -> Option<String> {
    Some(match event {
        Event::Incoming(call) => {
            let Caller {
                user,
                display,
                anonymous,
            } = &call.caller;
            format!(
                "Incoming {:?} {:?} dialled {} from {user} {display:?} anonymous {anonymous} sdp {}",
                call.leg,
                call.identity,
                call.dialled,
                call.sdp.is_some()
            )
        }
        Event::Ringing { leg, status, sdp } => {
            format!("Ringing {leg:?} {status} sdp {}", sdp.is_some())
        }
        Event::Answered { leg, sdp, .. } => format!("Answered {leg:?} sdp {}", sdp.is_some()),
        Event::Confirmed { leg, sdp } => format!("Confirmed {leg:?} sdp {}", sdp.is_some()),
        Event::Reoffered { leg, sdp } => format!("Reoffered {leg:?} sdp {}", sdp.is_some()),
        Event::ReofferAccepted { leg, sdp } => {
            format!("ReofferAccepted {leg:?} sdp {}", sdp.is_some())
        }
        Event::Digit { leg, pressed } => format!(
            "Digit {leg:?} {} {} ms",
            pressed.digit,
            pressed.duration.as_millis()
        ),
        Event::EarlyAnswer { leg, .. } => format!("EarlyAnswer {leg:?}"),
        Event::Gone { leg, cause, reason } => {
            let reason = reason
                .as_ref()
                .map_or(String::new(), |reason| format!(" because {reason}"));
            format!("Gone {{ leg: {leg:?}, cause: {cause:?} }}{reason}")
        }
        Event::Traffic { .. } | Event::TrunkCall { .. } | Event::Placed { .. } => return None,
        Event::Trunk(state) if state.up && state.registered.is_none() => return None,
        Event::Trunk(state) => format!(
            "Trunk {} {} registered {:?} calls {}",
            state.trunk,
            if state.up { "up" } else { "down" },
            state.registered,
            state.calls
        ),
        other => format!("{other:?}"),
    })
}

fn edge_text(edge: &Edge) -> String {
    match edge {
        Edge::Resolve(question) => format!("Resolve {:?} {}", question.kind, question.name),
        Edge::Domain { remote, name } => format!("Domain {remote} {name}"),
        Edge::Alias { flow, remote } => format!("Alias {flow:?} {remote}"),
        Edge::Host(host) => format!("Host {} {:?} {:?}", host.name, host.addresses, host.state),
    }
}

use sip::Caller;

impl World {
    pub fn new() -> World {
        World::with(config())
    }

    pub fn with(config: Config) -> World {
        let endpoint = Endpoint::new(Arc::new(config.clone()), [7; 32]);
        World {
            endpoint,
            config,
            now: Time::from_secs(1_000),
            lines: String::new(),
            sent: Vec::new(),
            events: Vec::new(),
            shown: Vec::new(),
            timed: false,
        }
    }

    fn line(&mut self, text: &str) {
        let at = (self.now - Time::from_secs(1_000)).as_secs_f64();
        writeln!(self.lines, "{at:08.3} {text}").unwrap();
    }

    /// A message from the wire.
    pub fn receive(&mut self, from: &str, text: &str) {
        self.receive_at(peer(from), text);
    }

    /// The same by another transport.
    pub fn receive_at(&mut self, from: Peer, text: &str) {
        let message = Message::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap();
        self.line(&format!(
            "{} -> {}",
            place(&from),
            summary(&message, &self.shown)
        ));
        self.endpoint.handle(
            self.now,
            Input::Message {
                peer: from,
                message,
            },
        );
        self.drain();
    }

    pub fn input(&mut self, what: &str, input: Input) {
        self.line(what);
        self.endpoint.handle(self.now, input);
        self.drain();
    }

    pub fn command(&mut self, command: Command) {
        let text = format!("{command:?}");
        let name = text.split([' ', '(']).next().unwrap().to_owned();
        self.line(&format!("engine: {name}"));
        self.endpoint.handle(self.now, Input::Command(command));
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Transmit { peer, bytes } => {
                    let message = match Message::parse(bytes.clone()) {
                        Ok(message) => message,
                        // A refusal repeats what was wrong with its request.
                        Err(error) => {
                            assert!(bytes.starts_with(b"SIP/2.0 400"), "{error}: {bytes:?}");
                            self.line(&format!("    {} <- 400, {error}", place(&peer)));
                            continue;
                        }
                    };
                    self.line(&format!(
                        "    {} <- {}",
                        place(&peer),
                        summary(&message, &self.shown)
                    ));
                    self.sent.push((peer, message));
                }
                Output::Event(event) => {
                    if let Some(text) = event_text(&event) {
                        self.line(&format!("    event: {text}"));
                    }
                    self.events.push(event);
                }
                Output::Edge(edge) => self.line(&format!("    edge: {}", edge_text(&edge))),
            }
        }
    }

    /// Lets time pass, every timer at its moment.
    pub fn pass(&mut self, seconds: f64) {
        let until = self.now + Duration::from_secs_f64(seconds);
        while let Some((at, name)) = self.endpoint.poll_timeout() {
            if at > until {
                break;
            }
            self.fire(at, name);
        }
        self.now = until;
    }

    fn fire(&mut self, at: Time, name: &str) {
        self.now = at;
        if self.timed {
            self.line(&format!("  {name}"));
        }
        self.endpoint.handle_timeout(at);
        self.drain();
    }

    /// Lets all time pass: at the end nothing is left.
    pub fn end(&mut self) -> String {
        let mut guard = 0;
        while let Some((at, name)) = self.endpoint.poll_timeout() {
            self.fire(at.max(self.now), name);
            guard += 1;
            assert!(guard < 10_000, "timers without end");
        }
        assert_eq!(
            self.endpoint.counts(),
            sip::Counts::default(),
            "something is left"
        );
        std::mem::take(&mut self.lines)
    }

    /// The ladder so far, of a world that goes on for ever (a registration that is kept).
    pub fn text(&mut self) -> String {
        std::mem::take(&mut self.lines)
    }

    /// Puts lines into the ladder that were taken out of it.
    pub fn note(&mut self, lines: &str) {
        self.lines.push_str(lines);
    }

    /// Forgets what was so far: the scene is set.
    pub fn forget(&mut self) {
        self.lines.clear();
        self.sent.clear();
        self.events.clear();
    }

    /// The last message sent to a place.
    pub fn last(&self, to: &str) -> &Message {
        let to = peer(to).remote;
        &self
            .sent
            .iter()
            .rev()
            .find(|(peer, _)| peer.remote == to)
            .expect("nothing sent there")
            .1
    }

    /// The last request of this method sent to a place.
    pub fn last_request(&self, to: &str, method: &str) -> Message {
        let to = peer(to).remote;
        let wanted = |message: &Message| {
            message
                .method()
                .is_some_and(|found| found.as_str() == method)
        };
        self.sent
            .iter()
            .rev()
            .find(|(peer, message)| peer.remote == to && wanted(message))
            .expect("no such request")
            .1
            .clone()
    }

    /// The leg of the last [`Event::Incoming`].
    pub fn leg(&self) -> LegId {
        let found = self.events.iter().rev().find_map(|event| match event {
            Event::Incoming(call) => Some(call.leg),
            _ => None,
        });
        found.expect("no call came")
    }

    pub fn answer(&mut self) {
        self.answer_leg(self.leg());
    }

    pub fn answer_leg(&mut self, leg: LegId) {
        self.command(Command::Answer {
            leg,
            sdp: SDP.into(),
            headers: vec![],
        });
    }

    /// Keys by INFO.
    pub fn digits(&mut self, leg: LegId, digits: &str) {
        let duration = Duration::from_millis(160);
        let pressed = digits.chars().map(|digit| Key { digit, duration });
        let pressed = pressed.collect();
        self.command(Command::Digits { leg, pressed });
    }

    pub fn hangup(&mut self, leg: LegId) {
        self.command(Command::Hangup { leg, reason: None });
    }

    /// Calls a fixed address.
    pub fn call(&mut self, uri: &str) -> LegId {
        self.call_target(Target::Uri(uri.into()))
    }

    pub fn call_target(&mut self, target: Target) -> LegId {
        let leg = self.endpoint.new_leg();
        self.command(Command::Invite(Invite {
            leg,
            target,
            from_display: Some("Queue \"support\"".into()),
            from_user: "2000".into(),
            private: false,
            sdp: SDP.into(),
            headers: vec![("X-Test".into(), "1".into())],
        }));
        leg
    }
}

/// One side of one dialog, as a phone keeps it.
pub struct Phone {
    pub address: &'static str,
    pub user: String,
    pub target: String,
    pub call_id: String,
    pub tag: String,
    pub to_tag: String,
    pub cseq: u32,
    pub branch: String,
    branches: u32,
    /// From and To of requests in a dialog that the other side made.
    ends: Option<(String, String)>,
}

impl Phone {
    pub fn new(address: &'static str, user: &str, target: &str) -> Phone {
        Phone {
            address,
            user: user.into(),
            target: target.into(),
            call_id: format!("call-{user}"),
            tag: format!("tag-{user}"),
            to_tag: String::new(),
            cseq: 0,
            branch: String::new(),
            branches: 0,
            ends: None,
        }
    }

    /// The called side of a dialog that our INVITE makes.
    pub fn called(address: &'static str, invite: &Message, tag: &str) -> Phone {
        let mut phone = Phone::new(address, tag, "sip:cordboard@10.9.9.9:5060");
        phone.call_id = invite.call_id().to_owned();
        phone.cseq = 100;
        phone.ends = Some((
            format!("{};tag={tag}", invite.to_raw()),
            invite.from_raw().to_owned(),
        ));
        phone
    }

    /// A request with the next CSeq and a new branch.
    pub fn request(&mut self, method: &str, headers: &str, body: &str) -> String {
        self.cseq += 1;
        self.branches += 1;
        self.branch = format!("z9hG4bK-{}-{}", self.user, self.branches);
        self.same(method, headers, body)
    }

    /// A request with the CSeq and branch of the last: a CANCEL, the ACK of a failure, a repetition.
    pub fn same(&self, method: &str, headers: &str, body: &str) -> String {
        let Phone {
            address,
            user,
            target,
            call_id,
            tag,
            to_tag,
            cseq,
            branch,
            ..
        } = self;
        let ends = match &self.ends {
            Some((from, to)) => format!("From: {from}\r\nTo: {to}\r\n"),
            None => {
                let to_tag = if to_tag.is_empty() {
                    String::new()
                } else {
                    format!(";tag={to_tag}")
                };
                let to = if method == "REGISTER" {
                    format!("sip:{user}@test")
                } else {
                    target.clone()
                };
                format!("From: <sip:{user}@test>;tag={tag}\r\nTo: <{to}>{to_tag}\r\n")
            }
        };
        let transport = if address.starts_with("10.0.0.3") {
            "TCP"
        } else {
            "UDP"
        };
        let contact = if headers.contains("Contact:") || method == "REGISTER" || method == "CANCEL"
        {
            String::new()
        } else {
            format!("Contact: <sip:{user}@{address}>\r\n")
        };
        let content = if body.is_empty() || headers.contains("Content-Type") {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/{transport} {address};branch={branch};rport\r\nMax-Forwards: 70\r\n{ends}Call-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n{contact}{headers}{content}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    pub fn invite(&mut self) -> String {
        self.request("INVITE", "", SDP)
    }

    /// The ACK of a 2xx: its own branch, the INVITE's CSeq.
    pub fn ack(&mut self) -> String {
        self.cseq = self.cseq.saturating_sub(1);
        self.request("ACK", "", "")
    }

    /// Learns the To tag.
    pub fn learn(&mut self, response: &Message) {
        self.to_tag = response
            .to()
            .ok()
            .and_then(|to| to.tag())
            .unwrap_or_default()
            .to_owned();
    }

    /// As `text` with the digest that the challenge wants.
    pub fn authorized(
        &mut self,
        challenge: &Message,
        method: &str,
        password: &str,
        nc: u32,
        headers: &str,
        body: &str,
    ) -> String {
        let challenge = sip::digest::DigestChallenge::parse(
            challenge.header_named("WWW-Authenticate").unwrap(),
        )
        .unwrap();
        let method_ = sip::message::Method::parse(method).unwrap();
        let ha1 = sip::digest::ha1(&self.user, "test", password, challenge.algorithm);
        let auth = sip::digest::ClientAuth {
            challenge: &challenge,
            username: &self.user,
            ha1: &ha1,
            method: &method_,
            uri: &self.target,
            nc,
            cnonce: "0a4f113b",
        };
        self.request(method, &format!("{headers}Authorization: {auth}\r\n"), body)
    }
}

/// A response to a request of the endpoint.
pub fn respond(request: &Message, status: &str, tag: &str, contact: &str, sdp: bool) -> String {
    let mut text = format!("SIP/2.0 {status}\r\n");
    for (name, value) in request.lines() {
        match name {
            "Via" | "From" | "Call-ID" | "CSeq" => write!(text, "{name}: {value}\r\n").unwrap(),
            "To" if tag.is_empty() || value.contains(";tag=") => {
                write!(text, "To: {value}\r\n").unwrap()
            }
            "To" => write!(text, "To: {value};tag={tag}\r\n").unwrap(),
            _ => {}
        }
    }
    if !contact.is_empty() {
        write!(text, "Contact: <{contact}>\r\n").unwrap();
    }
    let body = if sdp { SDP } else { "" };
    if sdp {
        text.push_str("Content-Type: application/sdp\r\n");
    }
    write!(text, "Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    text
}

/// A call from the trunk, answered and confirmed.
pub fn call_up(world: &mut World) -> Phone {
    let mut caller = Phone::new("10.0.0.1:5060", "alice", "sip:1000@10.9.9.9");
    let invite = caller.invite();
    world.receive(caller.address, &invite);
    world.answer();
    caller.learn(&world.last(caller.address).clone());
    let ack = caller.ack();
    world.receive(caller.address, &ack);
    caller
}

/// A call to the far side, answered; the phone there.
pub fn far_up(world: &mut World) -> (LegId, Phone) {
    let leg = world.call("sip:agent@10.0.0.2:5060");
    let invite = world.last("10.0.0.2:5060").clone();
    world.receive(
        "10.0.0.2:5060",
        &respond(&invite, "200 OK", "far", "sip:agent@10.0.0.2:5060", true),
    );
    (leg, Phone::called("10.0.0.2:5060", &invite, "far"))
}
