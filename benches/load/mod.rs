//! The load of the benchmarks: a centre of agents at fixed addresses on one core, and callers and agents on the other.

#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]
#![allow(dead_code, reason = "each benchmark uses its part")]

use std::collections::{BTreeSet, HashMap};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub const TALK: Duration = Duration::from_secs(2);

/// A running centre; killed when dropped.
pub struct Server {
    pub child: Child,
    pub address: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Seconds of CPU (user and system) used by a process so far.
pub fn cpu_seconds(pid: u32) -> f64 {
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

pub fn memory_mb(pid: u32, field: &str) -> f64 {
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

pub fn start(agents: usize, agent_port: u16) -> Server {
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
pub struct Run {
    pub started: u64,
    pub finished: u64,
    /// Refusals among them.
    pub failed: u64,
    /// INVITE to 200.
    pub setup: Vec<Duration>,
    /// INVITE to 503.
    pub refused: Vec<Duration>,
    /// Each Retry-After that was named.
    pub retry_after: BTreeSet<u32>,
    /// How long calls were begun, in seconds.
    pub seconds: f64,
    /// Most calls in progress.
    pub most: usize,
}

impl Run {
    /// Calls/s that were really begun.
    pub fn rate(&self) -> f64 {
        self.started as f64 / self.seconds
    }

    /// Calls/s that were answered.
    pub fn goodput(&self) -> f64 {
        self.setup.len() as f64 / self.seconds
    }
}

/// A percentile, in milliseconds.
pub fn percentile_ms(of: &mut [Duration], share: f64) -> f64 {
    of.sort_unstable();
    let last = of.len().saturating_sub(1);
    let at = ((of.len() as f64 * share) as usize).min(last);
    of.get(at).copied().unwrap_or_default().as_secs_f64() * 1e3
}

pub struct Generator {
    callers: UdpSocket,
    agents: UdpSocket,
    server: SocketAddr,
    /// Calls that are answered from now on stay.
    pub holding: bool,
    held: HashMap<u64, CallInProgress>,
    /// Of those held, how many the centre ended.
    pub lost: u64,
    calls: HashMap<u64, CallInProgress>,
    /// Calls to hang up, in order of time.
    byes: std::collections::VecDeque<(Instant, u64)>,
    /// In order of time.
    unanswered: std::collections::VecDeque<Unanswered>,
    next: u64,
    run: Run,
}

fn response(request: &str, status: &str, to: &str, body: &str) -> String {
    let content = if body.is_empty() {
        ""
    } else {
        "Content-Type: application/sdp\r\n"
    };
    format!(
        "SIP/2.0 {status}\r\nVia: {}\r\nFrom: {}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {}\r\n{content}Content-Length: {}\r\n\r\n{body}",
        header(request, "Via"),
        header(request, "From"),
        header(request, "Call-ID"),
        header(request, "CSeq"),
        body.len()
    )
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
    /// A centre of so many agents, and who calls it.
    pub fn start(agents: usize) -> (Server, Generator) {
        pin_to_the_other_core();
        let (callers, phones) = (socket(), socket());
        let port = phones.local_addr().expect("an address").port();
        let server = start(agents, port);
        let generator = Generator {
            callers,
            agents: phones,
            server: server.address,
            holding: false,
            held: HashMap::new(),
            lost: 0,
            calls: HashMap::new(),
            byes: Default::default(),
            unanswered: Default::default(),
            next: 1,
            run: Run::default(),
        };
        (server, generator)
    }

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
        if message.starts_with("BYE ") {
            return self.caller_is_hung_up(message);
        }
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
                    self.keep_or_end(number);
                }
            }
            (200, false) => {
                self.calls.remove(&number);
                self.run.finished += 1;
            }
            _ => {
                let sent = call.sent;
                let to = header(message, "To").to_owned();
                self.send(&self.callers, &self.request(number, "ACK", 1, &to, ""));
                self.calls.remove(&number);
                self.run.failed += 1;
                if let (503, Ok(seconds)) = (status, header(message, "Retry-After").parse()) {
                    self.run.refused.push(sent.elapsed());
                    self.run.retry_after.insert(seconds);
                }
            }
        }
    }

    fn keep_or_end(&mut self, number: u64) {
        if self.holding {
            if let Some(call) = self.calls.remove(&number) {
                self.held.insert(number, call);
            }
        } else {
            self.byes.push_back((Instant::now() + TALK, number));
        }
    }

    /// The centre ends a call: nobody asked for that.
    fn caller_is_hung_up(&mut self, message: &str) {
        let call = header(message, "Call-ID").split('-').next();
        let number: Option<u64> = call.and_then(|text| text.parse().ok());
        if number.is_some_and(|number| self.held.remove(&number).is_some()) {
            self.lost += 1;
        }
        self.send(
            &self.callers,
            &response(message, "200 OK", header(message, "To"), ""),
        );
    }

    /// Hangs up what is held; how many of them were there still.
    pub fn release(&mut self) -> u64 {
        self.run = Run::default();
        self.holding = false;
        let held: Vec<u64> = self.held.keys().copied().collect();
        for number in held {
            if let Some(call) = self.held.remove(&number) {
                self.calls.insert(number, call);
                self.byes.push_back((Instant::now(), number));
            }
        }
        self.finish();
        std::mem::take(&mut self.run).finished
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
        let contact = format!("Contact: <sip:agent@{us}>\r\n");
        let answer = |status: &str, body: &str| {
            response(message, status, &to, body).replacen(
                "Content-",
                &format!("{contact}Content-"),
                1,
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
        for _ in 0..256 {
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

    /// Calls at a steady rate, whatever becomes of them (an open loop), then the end of the last of them.
    pub fn step(&mut self, rate: u32, seconds: u64) -> Run {
        self.run = Run::default();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(seconds) {
            let due = (begun.elapsed().as_secs_f64() * f64::from(rate)) as u64;
            while self.run.started < due {
                self.invite();
            }
            self.run.most = self.run.most.max(self.calls.len());
            if !self.pump() {
                std::thread::sleep(Duration::from_micros(100));
            }
        }
        self.run.seconds = begun.elapsed().as_secs_f64();
        self.finish();
        std::mem::take(&mut self.run)
    }

    /// Waits for the end of the calls that are not held.
    fn finish(&mut self) {
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
    }

    /// Takes what comes for so long, and begins nothing.
    pub fn rest(&mut self, seconds: u64) {
        let end = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < end {
            if !self.pump() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
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
