//! Signalling load on the queue path: INVITE → queue → agent's INVITE → bridge → BYE, calls of 2 s, 6,000 skilled agents.
//!
//! The centre is pinned to one core, this generator to the other. Prints calls/s, failures, INVITE→200 percentiles, CPU-seconds per 1000 calls and
//! peak memory, beside the budget. `cargo bench --bench queue_path -- [RATE…] [--seconds N] [--agents N]`.

#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What "clean" means: fewer failures than this share, and the 95th percentile below this.
const FAILURES_MAX: f64 = 0.001;
const P95_MAX: Duration = Duration::from_millis(100);
const TALK: Duration = Duration::from_secs(2);
/// Budget of the design: calls/s on one core, CPU-seconds per 1000 calls, memory.
const BUDGET: &str = "budget: >= 2000 calls/s clean, <= 0.4 CPU-s per 1000 calls, <= 64 MB + 50 kB per call in progress";

struct Options {
    rates: Vec<u32>,
    seconds: u64,
    agents: usize,
}

fn options() -> Options {
    let mut options = Options {
        rates: vec![],
        seconds: 10,
        agents: 6000,
    };
    let mut arguments = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench");
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seconds" => {
                options.seconds = arguments
                    .next()
                    .and_then(|value| value.parse().ok())
                    .expect("--seconds N")
            }
            "--agents" => {
                options.agents = arguments
                    .next()
                    .and_then(|value| value.parse().ok())
                    .expect("--agents N")
            }
            rate => options.rates.push(rate.parse().expect("a rate in calls/s")),
        }
    }
    if options.rates.is_empty() {
        options.rates = vec![250, 500, 1000, 1500, 2000, 2500];
    }
    options
}

struct Server {
    child: Child,
    address: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Seconds of CPU (user and system) used by a process so far.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit(") ")
        .next()
        .unwrap_or_default()
        .split(' ')
        .collect();
    let ticks: f64 = [11, 12]
        .iter()
        .filter_map(|&index| fields.get(index)?.parse::<f64>().ok())
        .sum();
    ticks / 100.0
}

fn memory_mb(pid: u32, field: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status
        .lines()
        .find(|line| line.starts_with(field))
        .unwrap_or_default();
    line.split_whitespace()
        .nth(1)
        .and_then(|kb| kb.parse::<f64>().ok())
        .unwrap_or(0.0)
        / 1024.0
}

fn start(agents: usize, agent_port: u16) -> Server {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let config = directory.path().join("config");
    std::fs::create_dir_all(&config).expect("a folder");
    let agents: String = (0..agents)
        .map(|index| {
            format!("[[agent]]\nid = \"a{index:05}\"\nskills = {{ support = {}, mandarin = 8 }}\nauto_ready = true\nwrap_up = \"0s\"\ncontact = \"sip:a{index:05}@127.0.0.1:{agent_port}\"\n", 1 + index % 10)
        })
        .collect();
    std::fs::write(config.join("agents.toml"), agents).expect("a file");
    let queues = "[[queue]]\nname = \"support\"\nnumber = \"2000\"\nskills = { support = 1 }\nring = \"20s\"\nanswer = \"on_agent\"\n";
    std::fs::write(config.join("queues.toml"), queues).expect("a file");
    let data = format!("data_dir={}", directory.path().join("data").display());
    let begun = Instant::now();
    let mut child = Command::new("taskset")
        .args([
            "-c",
            "0",
            env!("CARGO_BIN_EXE_cordboard"),
            "serve",
            "--config",
        ])
        .arg(&config)
        .args([
            "--set",
            &data,
            "--set",
            "sip.port=0",
            "--set",
            "http.port=0",
            "--set",
            "rtp.first=10000",
            "--set",
            "rtp.last=31999",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("stdout is piped"))
        .read_line(&mut line)
        .expect("the ready line");
    let ready: serde_json::Value = serde_json::from_str(&line).expect("the ready line is JSON");
    println!(
        "started with its agents in {:.0} ms, {:.0} MB resident",
        begun.elapsed().as_secs_f64() * 1e3,
        memory_mb(child.id(), "VmRSS")
    );
    let address = ready["sip_udp"]
        .as_str()
        .and_then(|text| text.parse().ok())
        .expect("sip_udp in the ready line");
    Server {
        child,
        address,
        _directory: directory,
    }
}

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 6000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\n";

/// T1 of RFC 3261: a request without any response is sent again after so long, at most so often.
const REPEAT: Duration = Duration::from_millis(500);
const REPEATS: u32 = 7;

/// A request that may have to be sent again.
struct Unanswered {
    at: Instant,
    number: u64,
    bye: bool,
    left: u32,
}

struct CallInProgress {
    heard: bool,
    sent: Instant,
    to: String,
    answered: bool,
}

/// One step of the load.
#[derive(Default)]
struct Run {
    started: u64,
    finished: u64,
    failed: u64,
    setup: Vec<Duration>,
}

struct Generator {
    callers: UdpSocket,
    agents: UdpSocket,
    server: SocketAddr,
    calls: HashMap<u64, CallInProgress>,
    /// Calls to hang up, in order of time.
    byes: std::collections::VecDeque<(Instant, u64)>,
    /// In order of time.
    unanswered: std::collections::VecDeque<Unanswered>,
    next: u64,
    run: Run,
}

fn header<'a>(message: &'a str, name: &str) -> &'a str {
    message
        .split("\r\n")
        .find_map(|line| {
            line.split_once(':')
                .filter(|(key, _)| key.trim_end().eq_ignore_ascii_case(name))
                .map(|(_, value)| value.trim())
        })
        .unwrap_or_default()
}

impl Generator {
    fn send(&self, socket: &UdpSocket, text: &str) {
        let _ = socket.send_to(text.as_bytes(), self.server);
    }

    fn request(&self, number: u64, method: &str, cseq: u32, to: &str, body: &str) -> String {
        let (us, server) = (self.callers.local_addr().expect("an address"), self.server);
        let content = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        format!(
            "{method} sip:2000@{server} SIP/2.0\r\nVia: SIP/2.0/UDP {us};branch=z9hG4bK-{number}-{cseq}-{method}\r\nFrom: <sip:caller@{us}>;tag=c{number}\r\nTo: {to}\r\n\
             Call-ID: {number}-bench\r\nCSeq: {cseq} {method}\r\nContact: <sip:caller@{us}>\r\nMax-Forwards: 70\r\n{content}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    fn invite(&mut self) {
        let number = self.next;
        self.next += 1;
        let to = format!("<sip:2000@{}>", self.server);
        self.send(&self.callers, &self.request(number, "INVITE", 1, &to, SDP));
        self.calls.insert(
            number,
            CallInProgress {
                heard: false,
                sent: Instant::now(),
                to,
                answered: false,
            },
        );
        self.run.started += 1;
        self.expect_answer(number, false, REPEATS);
    }

    fn expect_answer(&mut self, number: u64, bye: bool, left: u32) {
        let at = Instant::now() + REPEAT;
        self.unanswered.push_back(Unanswered {
            at,
            number,
            bye,
            left,
        });
    }

    /// Sends again what nobody has answered.
    fn repeat(&mut self, now: Instant) {
        while self.unanswered.front().is_some_and(|late| late.at <= now) {
            let Some(late) = self.unanswered.pop_front() else {
                break;
            };
            let Some(call) = self.calls.get(&late.number) else {
                continue;
            };
            if late.left == 0 || (!late.bye && call.heard) {
                continue;
            }
            let to = call.to.clone();
            let text = if late.bye {
                self.request(late.number, "BYE", 2, &to, "")
            } else {
                self.request(late.number, "INVITE", 1, &to, SDP)
            };
            self.send(&self.callers, &text);
            self.expect_answer(late.number, late.bye, late.left - 1);
        }
    }

    fn caller_receives(&mut self, message: &str) {
        let Some(number) = header(message, "Call-ID")
            .split('-')
            .next()
            .and_then(|text| text.parse::<u64>().ok())
        else {
            return;
        };
        let status: u32 = message
            .split(' ')
            .nth(1)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        let invite = header(message, "CSeq").ends_with("INVITE");
        let Some(call) = self.calls.get_mut(&number) else {
            return;
        };
        call.heard |= invite;
        match (status, invite) {
            (100..=199, _) => {}
            (200, true) => {
                call.to = header(message, "To").to_owned();
                let (first, sent, to) = (!call.answered, call.sent, call.to.clone());
                call.answered = true;
                self.send(&self.callers, &self.request(number, "ACK", 1, &to, ""));
                if first {
                    self.run.setup.push(sent.elapsed());
                    self.byes.push_back((Instant::now() + TALK, number));
                }
            }
            (200, false) => {
                self.calls.remove(&number);
                self.run.finished += 1;
            }
            _ => {
                let to = header(message, "To").to_owned();
                self.send(&self.callers, &self.request(number, "ACK", 1, &to, ""));
                self.calls.remove(&number);
                self.run.failed += 1;
            }
        }
    }

    fn agent_receives(&mut self, message: &str) {
        let method = message.split(' ').next().unwrap_or_default();
        if matches!(method, "ACK" | "SIP/2.0") {
            return;
        }
        let to = header(message, "To");
        let to = if to.contains(";tag=") {
            to.to_owned()
        } else {
            format!("{to};tag=agent")
        };
        let us = self.agents.local_addr().expect("an address");
        let answer = |status: &str, body: &str| {
            let content = if body.is_empty() {
                String::new()
            } else {
                format!("Contact: <sip:agent@{us}>\r\nContent-Type: application/sdp\r\n")
            };
            format!(
                "SIP/2.0 {status}\r\nVia: {}\r\nFrom: {}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {}\r\n{content}Content-Length: {}\r\n\r\n{body}",
                header(message, "Via"),
                header(message, "From"),
                header(message, "Call-ID"),
                header(message, "CSeq"),
                body.len()
            )
        };
        if method == "INVITE" {
            self.send(&self.agents, &answer("180 Ringing", ""));
            self.send(&self.agents, &answer("200 OK", SDP));
        } else {
            self.send(&self.agents, &answer("200 OK", ""));
        }
    }

    /// Reads everything that is there.
    fn pump(&mut self) -> bool {
        let mut buffer = [0u8; 4096];
        let mut any = false;
        for _ in 0..64 {
            let mut got = false;
            if let Ok(length) = self.callers.recv(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                self.caller_receives(&text);
                got = true;
            }
            if let Ok(length) = self.agents.recv(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                self.agent_receives(&text);
                got = true;
            }
            any |= got;
            if !got {
                break;
            }
        }
        let now = Instant::now();
        while self.byes.front().is_some_and(|(at, _)| *at <= now) {
            let Some((_, number)) = self.byes.pop_front() else {
                break;
            };
            if let Some(to) = self.calls.get(&number).map(|call| call.to.clone()) {
                self.send(&self.callers, &self.request(number, "BYE", 2, &to, ""));
                self.expect_answer(number, true, REPEATS);
            }
        }
        self.repeat(now);
        any
    }

    /// Calls at a steady rate, then the end of the last of them.
    fn step(&mut self, rate: u32, seconds: u64) -> Run {
        self.run = Run::default();
        let begun = Instant::now();
        let total = u64::from(rate) * seconds;
        while self.run.started < total {
            let due = (begun.elapsed().as_secs_f64() * f64::from(rate)) as u64;
            while self.run.started < due.min(total) {
                self.invite();
            }
            if !self.pump() {
                std::thread::sleep(Duration::from_micros(100));
            }
        }
        let end = Instant::now() + TALK + Duration::from_secs(8);
        while !self.calls.is_empty() && Instant::now() < end {
            if !self.pump() {
                std::thread::sleep(Duration::from_micros(100));
            }
        }
        self.run.failed += self.calls.len() as u64;
        self.calls.clear();
        self.byes.clear();
        self.unanswered.clear();
        std::mem::take(&mut self.run)
    }
}

fn socket() -> UdpSocket {
    let socket =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).expect("a socket");
    socket
        .set_recv_buffer_size(8 << 20)
        .expect("a large buffer");
    socket.set_nonblocking(true).expect("non-blocking");
    let address: SocketAddr = "127.0.0.1:0".parse().expect("a literal address");
    socket.bind(&address.into()).expect("a port");
    socket.into()
}

fn main() {
    let options = options();
    pin_to_the_other_core();
    let (callers, agents) = (socket(), socket());
    let server = start(
        options.agents,
        agents.local_addr().expect("an address").port(),
    );
    let pid = server.child.id();
    let mut generator = Generator {
        callers,
        agents,
        server: server.address,
        calls: HashMap::new(),
        byes: Default::default(),
        unanswered: Default::default(),
        next: 1,
        run: Run::default(),
    };
    println!(
        "{} agents, calls of {TALK:?}, {} s a step; {BUDGET}",
        options.agents, options.seconds
    );
    println!(
        "{:>8} {:>8} {:>7} {:>9} {:>9} {:>9} {:>12} {:>8} {:>8}",
        "calls/s",
        "calls",
        "failed",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "CPU-s/1000",
        "RSS MB",
        "peak MB"
    );
    let mut clean = 0;
    for &rate in &options.rates {
        let before = cpu_seconds(pid);
        let mut run = generator.step(rate, options.seconds);
        let cpu = cpu_seconds(pid) - before;
        run.setup.sort_unstable();
        let percentile = |share: f64| {
            run.setup
                .get(
                    ((run.setup.len() as f64 * share) as usize)
                        .min(run.setup.len().saturating_sub(1)),
                )
                .copied()
                .unwrap_or_default()
        };
        let failed = run.failed as f64 / run.started as f64;
        if failed < FAILURES_MAX && percentile(0.95) < P95_MAX {
            clean = clean.max(rate);
        }
        println!(
            "{rate:>8} {:>8} {:>7} {:>9.2} {:>9.2} {:>9.2} {:>12.3} {:>8.1} {:>8.1}",
            run.started,
            run.failed,
            percentile(0.50).as_secs_f64() * 1e3,
            percentile(0.95).as_secs_f64() * 1e3,
            percentile(0.99).as_secs_f64() * 1e3,
            cpu / run.started as f64 * 1000.0,
            memory_mb(pid, "VmRSS"),
            memory_mb(pid, "VmHWM"),
        );
    }
    println!("highest clean rate: {clean} calls/s; {BUDGET}");
}

/// The centre has core 0 for itself.
fn pin_to_the_other_core() {
    let pid = std::process::id().to_string();
    let pinned = Command::new("taskset")
        .args(["-pc", "1", &pid])
        .stdout(Stdio::null())
        .status();
    if !pinned.is_ok_and(|status| status.success()) {
        eprintln!("taskset does not run: centre and generator share the cores");
    }
}
