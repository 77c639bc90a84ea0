//! What one queued call costs the endpoint: a caller's INVITE, ACK and BYE, and an agent's leg with INVITE, ACK and BYE,
//! 2000 calls a second of virtual time, so that the tables are as full as they would be.
//!
//! `cargo run --release -p sip --example call_speed`
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clock::Time;
use sip::message::Message;
use sip::{
    Command, Config, Endpoint, Event, Input, Invite, LegId, Output, Peer, Target, Transport, Trunk,
};

const CALLS: u32 = 150_000;
const CALLS_A_SECOND: u32 = 2000;
/// Short batches, the second half of them judged, so that some were not interrupted on a busy machine and the tables are full.
const BATCH: u32 = 50;
/// Share of a call's 400 µs that signalling may take.
const BUDGET_MICROS: f64 = 120.0;
const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n";

struct Bench {
    endpoint: Endpoint,
    now: Time,
    peer: Peer,
    /// Of the present batch.
    spent: Duration,
    sent: Vec<Bytes>,
    leg: LegId,
}

impl Bench {
    fn receive(&mut self, text: &str) {
        let datagram = Bytes::copy_from_slice(text.as_bytes());
        let start = Instant::now();
        let message = Message::parse(datagram).expect("well-formed");
        self.endpoint.handle(
            self.now,
            Input::Message {
                peer: self.peer,
                message,
            },
        );
        self.drain();
        self.spent += start.elapsed();
    }

    fn command(&mut self, command: Command) {
        let start = Instant::now();
        self.endpoint.handle(self.now, Input::Command(command));
        self.drain();
        self.spent += start.elapsed();
    }

    fn drain(&mut self) {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Transmit { bytes, .. } => self.sent.push(bytes),
                Output::Event(Event::Incoming(call)) => self.leg = call.leg,
                Output::Event(_) | Output::Edge(_) => {}
            }
        }
    }

    fn pass(&mut self, until: Time) {
        let start = Instant::now();
        while let Some((at, _)) = self.endpoint.poll_timeout().filter(|(at, _)| *at <= until) {
            self.endpoint.handle_timeout(at);
            self.drain();
        }
        self.now = until;
        self.spent += start.elapsed();
    }

    fn last(&mut self) -> Message {
        Message::parse(self.sent.pop().expect("something was sent")).expect("well-formed")
    }
}

fn request(method: &str, n: u32, cseq: u32, to_tag: &str, body: &str) -> String {
    let content = if body.is_empty() {
        ""
    } else {
        "Content-Type: application/sdp\r\n"
    };
    format!(
        "{method} sip:2000@127.0.0.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:6000;branch=z9hG4bK-{n}-{cseq}-{method};rport\r\nMax-Forwards: 70\r\nFrom: \"Caller\" <sip:+86138{n:08}@127.0.0.1>;tag=f{n}\r\nTo: <sip:2000@127.0.0.1>{to_tag}\r\nCall-ID: call-{n}@127.0.0.1\r\nCSeq: {cseq} {method}\r\nContact: <sip:caller@127.0.0.1:6000>\r\nUser-Agent: bench\r\n{content}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn answer(request: &Message, status: &str, body: &str) -> String {
    let mut text = format!("SIP/2.0 {status}\r\n");
    for (name, value) in request.lines() {
        match name {
            "Via" | "From" | "Call-ID" | "CSeq" => write!(text, "{name}: {value}\r\n").unwrap(),
            "To" if value.contains(";tag=") => write!(text, "To: {value}\r\n").unwrap(),
            "To" => write!(text, "To: {value};tag=a1\r\n").unwrap(),
            _ => {}
        }
    }
    let content = if body.is_empty() {
        ""
    } else {
        "Content-Type: application/sdp\r\n"
    };
    write!(
        text,
        "Contact: <sip:a0001@127.0.0.1:6000>\r\n{content}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    text
}

fn main() {
    let remote: SocketAddr = "127.0.0.1:6000".parse().unwrap();
    let ours: SocketAddr = "127.0.0.1:5060".parse().unwrap();
    let trunk = Trunk {
        name: "loopback".into(),
        addresses: vec![remote.ip().into()],
        max_calls: 20_000,
        ..Trunk::default()
    };
    let config = Config {
        realm: "cordboard".into(),
        digest: vec![sip::Algorithm::Md5],
        listeners: sip::Listener::pair(ours),
        users: Arc::new(HashMap::new()),
        trunks: vec![trunk],
        expires_min: Duration::from_secs(60),
        expires_max: Duration::from_secs(3600),
        nonce_lifetime: Duration::from_secs(300),
        max_transactions: 320_000,
        max_dialogs: 40_000,
        max_bindings_per_user: 10,
        max_message: 65_535,
        t1: Duration::from_millis(500),
        t2: Duration::from_secs(4),
        t4: Duration::from_secs(5),
        product: "Cordboard".into(),
        dialogs: sip::DialogRules::default(),
        silent_to_scanners: true,
        phones: sip::PhoneRules::default(),
    };
    let mut bench = Bench {
        endpoint: Endpoint::new(Arc::new(config), [3; 32]),
        now: Time::from_secs(1),
        peer: Peer {
            transport: Transport::Udp,
            remote,
            flow: None,
        },
        spent: Duration::ZERO,
        sent: Vec::new(),
        leg: LegId(0),
    };
    let mut batches = Vec::new();
    for n in 0..CALLS {
        call(&mut bench, n);
        let next = bench.now + Duration::from_secs(1) / CALLS_A_SECOND;
        bench.pass(next);
        if n % BATCH == BATCH - 1 {
            batches.push(std::mem::take(&mut bench.spent).as_secs_f64() * 1e6 / f64::from(BATCH));
        }
    }
    let mut late = batches.split_off(batches.len() / 2);
    late.sort_by(f64::total_cmp);
    let counts = bench.endpoint.counts();
    println!(
        "{:.1} µs a call in the best tenth of the batches, {:.1} µs in the median one",
        late[late.len() / 10],
        late[late.len() / 2]
    );
    println!("budget {BUDGET_MICROS} µs; held at the end: {counts:?}");
    println!("resident {}", resident());
}

fn call(bench: &mut Bench, n: u32) {
    bench.sent.clear();
    bench.receive(&request("INVITE", n, 1, "", SDP));
    let caller = bench.leg;
    bench.command(Command::Answer {
        leg: caller,
        sdp: Bytes::from_static(SDP.as_bytes()),
        headers: Vec::new(),
    });
    let tag = bench.last().to().unwrap().tag().unwrap().to_owned();
    let tag = format!(";tag={tag}");
    bench.receive(&request("ACK", n, 1, &tag, ""));
    let agent = bench.endpoint.new_leg();
    bench.command(Command::Invite(Invite {
        leg: agent,
        target: Target::Uri("sip:a0001@127.0.0.1:6000".into()),
        from_display: None,
        from_user: "13800138000".into(),
        private: false,
        sdp: Bytes::from_static(SDP.as_bytes()),
        headers: Vec::new(),
    }));
    let invite = bench.last();
    bench.receive(&answer(&invite, "100 Trying", ""));
    bench.receive(&answer(&invite, "180 Ringing", ""));
    bench.receive(&answer(&invite, "200 OK", SDP));
    bench.receive(&request("BYE", n, 2, &tag, ""));
    bench.command(Command::Hangup {
        leg: agent,
        reason: None,
    });
    let bye = bench.last();
    bench.receive(&answer(&bye, "200 OK", ""));
}

fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap_or("unknown")
        .to_owned()
}
