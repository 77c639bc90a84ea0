//! How long it takes to read a usual INVITE. `cargo run --release -p sip --example parse_speed`
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip::message::{Builder, HeaderName, Message};
use sip::sdp::{Codec, Direction, Local, answer};

/// Nanoseconds per message of the parser alone, by the design.
const BUDGET_NS: f64 = 1500.0;
/// Short batches, so that the best of them was not interrupted on a busy machine.
const BATCHES: u32 = 400;
const BATCH: u32 = 500;

const INVITE: &[u8] = b"INVITE sip:1000@192.0.2.10:5060 SIP/2.0\r\n\
    Via: SIP/2.0/UDP 192.0.2.20:7070;branch=z9hG4bK-4711-1-0;rport\r\n\
    Max-Forwards: 70\r\n\
    From: \"Wang Fang\" <sip:+8613800138000@192.0.2.20:7070>;tag=4711SIPpTag001\r\n\
    To: <sip:1000@192.0.2.10:5060>\r\n\
    Call-ID: 1-4711@192.0.2.20\r\n\
    CSeq: 1 INVITE\r\n\
    Contact: <sip:+8613800138000@192.0.2.20:7070>\r\n\
    Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE\r\n\
    Content-Type: application/sdp\r\n\
    Content-Length: 155\r\n\
    \r\n\
    v=0\r\no=user1 53655765 2353687637 IN IP4 192.0.2.20\r\ns=-\r\nc=IN IP4 192.0.2.20\r\nt=0 0\r\n\
    m=audio 6000 RTP/AVP 8 0\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n";

fn measure(what: &str, mut work: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..BATCHES {
        let start = Instant::now();
        for _ in 0..BATCH {
            work();
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(BATCH));
    }
    println!("{what:<44} {best:8.0} ns");
    best
}

fn main() {
    let datagram = Bytes::from_static(INVITE);
    let message = Message::parse(datagram.clone()).expect("the message is well-formed");
    let source: SocketAddr = "192.0.2.20:7070".parse().expect("an address");
    println!("INVITE of {} bytes, best batch", datagram.len());
    let parse = measure("parse", || {
        black_box(Message::parse(black_box(datagram.clone())).is_ok());
    });
    measure("parse, then URI, Via, From, To, CSeq typed", || {
        let message = Message::parse(black_box(datagram.clone()));
        black_box(message.is_ok_and(|message| message.check().is_ok() && message.cseq().is_ok()));
    });
    measure("clone", || {
        black_box(message.clone());
    });
    measure("look up Call-ID", || {
        black_box(message.call_id());
    });
    measure("write a 200 with a Contact", || {
        let response = Builder::response_via(&message, 200, "OK", Some("tag1"), source);
        black_box(
            response
                .header(HeaderName::Contact, "<sip:192.0.2.10:5060>")
                .body("application/sdp", b"v=0")
                .finish(),
        );
    });
    let local = Local {
        address: source.ip(),
        port: 10_000,
        session_id: 1,
        version: 1,
        codecs: &Codec::ALL,
        telephone_event: true,
        ptime: Duration::from_millis(20),
        direction: Direction::SendRecv,
        security: Default::default(),
    };
    measure("answer its SDP", || {
        black_box(answer(&message.body(), &local).is_ok());
    });
    println!(
        "budget for parse {BUDGET_NS:.0} ns: {}",
        if parse <= BUDGET_NS { "kept" } else { "MISSED" }
    );
}
