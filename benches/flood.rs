//! Floods of one kind of message from a source that is no trunk, as fast as this machine can send them: memory stays, and other sources hardly notice (issue 3).
//!
//! The flood and the honest callers share a core; so the baseline has the same flood beside it, into a socket that nobody reads.
//! `cargo bench --bench flood -- [--seconds N] [--rate HONEST_CALLS_PER_SECOND]`.

#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

mod load;

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use load::{Generator, Run, memory_mb, percentile_ms};

/// No trunk has it.
const STRANGER: &str = "127.0.0.2:0";
const AGENTS: usize = 1000;
const METHODS: [&str; 9] = [
    "REGISTER",
    "INVITE",
    "OPTIONS",
    "SUBSCRIBE",
    "BYE",
    "CANCEL",
    "ACK",
    "INFO",
    "garbage",
];
const GROWTH_MAX_MB: f64 = 64.0;
const SLOWER_MAX: f64 = 2.0;

fn main() {
    let (mut seconds, mut rate) = (10, 100);
    let mut arguments = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench");
    while let Some(argument) = arguments.next() {
        let value: u32 = arguments
            .next()
            .and_then(|value| value.parse().ok())
            .expect("a number");
        match argument.as_str() {
            "--seconds" => seconds = u64::from(value),
            "--rate" => rate = value,
            other => panic!("{other}: --seconds or --rate"),
        }
    }
    let (server, mut generator) = Generator::start(AGENTS);
    let pid = server.child.id();
    let deaf = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let into = deaf.local_addr().expect("an address");
    // Warm, then the baseline.
    generator.step(rate, 2);
    let (mut quiet, _) = beside(&mut generator, into, "OPTIONS", rate, seconds);
    let baseline = percentile_ms(&mut quiet.setup, 0.99);
    let before = memory_mb(pid, "VmRSS");
    println!(
        "honest callers: {rate} calls/s, set-up p99 {baseline:.2} ms beside a flood into nothing; {before:.0} MB"
    );
    println!(
        "budget: growth <= {GROWTH_MAX_MB} MB, p99 <= {SLOWER_MAX} x baseline, no honest call fails"
    );
    println!(
        "{:>10} {:>10} {:>8} {:>7} {:>9} {:>9} {:>7} {:>10}",
        "flood", "sent/s", "calls", "failed", "p50 ms", "p99 ms", "times", "growth MB"
    );
    for method in METHODS {
        let (mut run, sent) = beside(&mut generator, server.address, method, rate, seconds);
        let p99 = percentile_ms(&mut run.setup, 0.99);
        let growth = memory_mb(pid, "VmRSS") - before;
        let good = run.failed == 0 && p99 <= baseline * SLOWER_MAX && growth <= GROWTH_MAX_MB;
        println!(
            "{method:>10} {sent:>10.0} {:>8} {:>7} {:>9.2} {p99:>9.2} {:>7.2} {growth:>10.1} {}",
            run.started,
            run.failed,
            percentile_ms(&mut run.setup, 0.50),
            p99 / baseline,
            if good { "" } else { "MISSED" }
        );
    }
}

/// Honest calls beside a flood; how many messages a second it had.
fn beside(
    generator: &mut Generator,
    server: SocketAddr,
    method: &'static str,
    rate: u32,
    seconds: u64,
) -> (Run, f64) {
    let end: Arc<AtomicBool> = Arc::default();
    let flood = flood(server, method, end.clone());
    let run = generator.step(rate, seconds);
    end.store(true, Ordering::Relaxed);
    (run, flood.join().expect("the flood ends"))
}

fn flood(server: SocketAddr, method: &'static str, end: Arc<AtomicBool>) -> JoinHandle<f64> {
    std::thread::spawn(move || {
        let socket = UdpSocket::bind(STRANGER).expect("a port");
        socket.set_nonblocking(true).expect("non-blocking");
        let us = socket.local_addr().expect("an address");
        let (begun, mut sent, mut serial) = (Instant::now(), 0, 0);
        while !end.load(Ordering::Relaxed) {
            serial += 1;
            let message = message(server, us, method, serial);
            sent += u32::from(socket.send_to(&message, server).is_ok());
        }
        f64::from(sent) / begun.elapsed().as_secs_f64()
    })
}

/// One request of this method, never the same twice, or bytes that are none.
fn message(server: SocketAddr, us: SocketAddr, method: &str, serial: u64) -> Vec<u8> {
    if method == "garbage" {
        return format!("garbage {serial} \u{1}\r\n\r\n").into_bytes();
    }
    let in_dialog = matches!(method, "BYE" | "ACK" | "INFO");
    let tag = if in_dialog { ";tag=x" } else { "" };
    format!(
        "{method} sip:1001@{server} SIP/2.0\r\nVia: SIP/2.0/UDP {us};branch=z9hG4bKs{serial}\r\nFrom: <sip:x@{us}>;tag=s\r\n\
         To: <sip:1001@{server}>{tag}\r\nCall-ID: s{serial}\r\nCSeq: 1 {method}\r\nContact: <sip:x@{us}>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
    .into_bytes()
}
