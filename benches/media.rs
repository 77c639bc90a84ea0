//! What a media thread costs: bridged calls, playing, transcoding, the delay of a relayed packet, lost packets, memory.
//!
//! A media thread on real sockets of loopback is pinned to one core, the telephones (one socket for all of them) to the other; there is no signalling.
//! Prints each figure beside its budget (DESIGN section 7). `cargo bench --features opus --bench media -- [--seconds N]`.

#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clock::Time;
use media::{
    Codec, Command, Direction, Format, Item, Lang, PlayId, Port, Prompts, Rtcp, Source, StreamId,
    Wishes,
};
use server::media_thread::{MediaConfig, MediaThreads};

const PTIME: Duration = Duration::from_millis(20);
/// Parts of a packet time over which the telephones are spread.
const SLICES: usize = 20;

fn main() {
    let mut arguments = std::env::args()
        .skip_while(|argument| argument != "--seconds")
        .skip(1);
    let seconds = arguments
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(10);
    let pcmu = Some(Codec::Pcmu);
    bridged(
        100,
        [pcmu, pcmu],
        seconds,
        "budget 6 % of a core per 100 calls",
    );
    bridged(
        1000,
        [pcmu, pcmu],
        seconds,
        "budget 0 lost, delay p50 0.15 ms, 50 kB a call",
    );
    played(pcmu, seconds, "budget 3 % of a core per 100 calls");
    played(
        Some(Codec::G722),
        seconds,
        "no budget: prompts are encoded once for all",
    );
    if Codec::Opus.is_built() {
        played(
            Some(Codec::Opus),
            seconds,
            "no budget: prompts are encoded once for all",
        );
        bridged(
            20,
            [Some(Codec::Opus), pcmu],
            seconds,
            "no budget: transcoded, stated",
        );
    }
    bridged(
        20,
        [Some(Codec::G722), pcmu],
        seconds,
        "no budget: transcoded, stated",
    );
}

/// Media threads with as many streams as asked for, and the telephones' socket.
struct Load {
    threads: MediaThreads,
    phones: UdpSocket,
    ports: Vec<Port>,
    started: Instant,
    cpu: f64,
    sent: u64,
    heard: u64,
    delays: Vec<Duration>,
}

impl Load {
    fn new(streams: usize, codec: impl Fn(usize) -> Codec) -> Load {
        let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/ivr-scripts/prompts");
        let (prompts, _): (Prompts, _) = server::prompts::load(scripts.as_ref());
        let config = MediaConfig {
            addresses: vec![Ipv4Addr::LOCALHOST.into()],
            first: 0,
            last: 0,
            planes: 1,
            media_timeout: None,
            browsers: None,
        };
        let started = Instant::now();
        let clock = move || Time::from_secs(1_000) + started.elapsed();
        let threads = MediaThreads::spawn(config, Arc::new(prompts), |_| Ok(()), |_| Ok(()), clock)
            .expect("a media thread");
        pin("media-0", 0);
        pin_self(1);
        let mut ports = Vec::new();
        while ports.len() < streams {
            let granted = threads.grant(0);
            assert!(!granted.is_empty(), "the system gives no ports");
            ports.extend(granted);
        }
        ports.truncate(streams);
        let load = Load {
            threads,
            phones: socket(),
            ports,
            started,
            cpu: 0.0,
            sent: 0,
            heard: 0,
            delays: Vec::new(),
        };
        for number in 0..streams {
            load.begin(number, codec(number));
        }
        load
    }

    fn tell(&self, mut command: Command) {
        while let Err(refused) = self.threads.send(0, command) {
            command = refused;
            std::thread::yield_now();
        }
    }

    fn begin(&self, number: usize, codec: Codec) {
        let (stream, port) = (stream(number), self.ports[number]);
        self.tell(Command::Open {
            stream,
            port,
            ssrc: number as u32,
        });
        self.tell(Command::Update {
            stream,
            remote: self.phones.local_addr().expect("an address"),
            rtcp: Rtcp::Muxed,
            behind: None,
            format: Format {
                codec,
                payload_type: payload_type(codec),
                ptime: PTIME,
                telephone_event: Some(101),
                event_rate: 8_000,
                wishes: Wishes::default(),
            },
            direction: Direction::SendReceive,
        });
    }

    /// All telephones of `speaking` talk for so long; what the thread used of its core, in per cent.
    fn run(&mut self, seconds: u64, packet: impl Fn(usize) -> Option<Vec<u8>>) -> f64 {
        let mut packets: Vec<(SocketAddr, Vec<u8>)> = Vec::new();
        for (number, port) in self.ports.iter().enumerate() {
            if let Some(packet) = packet(number) {
                packets.push(((Ipv4Addr::LOCALHOST, port.number).into(), packet));
            }
        }
        let ticks: Vec<u32> = packets
            .iter()
            .map(|(_, packet)| clock_of(packet[1]))
            .collect();
        let begun = Instant::now();
        self.cpu = thread_seconds("media-0");
        let mut turn = 0u32;
        while begun.elapsed() < Duration::from_secs(seconds) {
            for slice in 0..SLICES {
                let due = begun + PTIME * turn + PTIME * slice as u32 / SLICES as u32;
                while Instant::now() < due {
                    self.listen();
                }
                for at in (slice..packets.len()).step_by(SLICES) {
                    let (to, packet) = &mut packets[at];
                    packet[2..4].copy_from_slice(&(turn as u16).to_be_bytes());
                    packet[4..8].copy_from_slice(&(turn * ticks[at]).to_be_bytes());
                    let now = self.started.elapsed().as_nanos() as u64;
                    if packet[1] == 0 {
                        packet[12..20].copy_from_slice(&now.to_be_bytes());
                    }
                    self.sent += u64::from(self.phones.send_to(packet, *to).is_ok());
                }
            }
            turn += 1;
        }
        let took = begun.elapsed().as_secs_f64();
        let used = (thread_seconds("media-0") - self.cpu) / took * 100.0;
        let end = Instant::now() + Duration::from_millis(200);
        while Instant::now() < end {
            self.listen();
        }
        used
    }

    fn listen(&mut self) {
        let mut packet = [0u8; 2048];
        while let Ok(length) = self.phones.recv(&mut packet) {
            if length < 20 || (192..224).contains(&packet[1]) {
                continue;
            }
            self.heard += 1;
            if packet[1] & 0x7f == 0
                && let Some(then) = packet[12..20].first_chunk()
            {
                let now = self.started.elapsed();
                let then = Duration::from_nanos(u64::from_be_bytes(*then));
                self.delays.push(now.saturating_sub(then));
            }
        }
    }
}

fn stream(number: usize) -> StreamId {
    StreamId(number as u64 + 1)
}

fn payload_type(codec: Codec) -> u8 {
    match codec {
        Codec::Pcmu => 0,
        Codec::Pcma => 8,
        Codec::G722 => 9,
        Codec::Opus => 111,
    }
}

/// Ticks of a packet by its payload type.
fn clock_of(payload_type: u8) -> u32 {
    if payload_type == 111 { 960 } else { 160 }
}

/// A packet of speech-like sound.
fn packet(codec: Codec, number: usize) -> Vec<u8> {
    let samples: Vec<i16> = (0..160)
        .map(|n| ((f64::from(n) * 0.35).sin() * 6_000.0) as i16)
        .collect();
    let mut payload = [0; media::voice::MAX_PAYLOAD];
    let length = media::voice::Encoder::new(codec, 8_000, Wishes::default())
        .and_then(|mut encoder| encoder.encode(&samples, &mut payload))
        .expect("sound");
    let mut packet = vec![0x80, payload_type(codec), 0, 0, 0, 0, 0, 0];
    packet.extend((number as u32).to_be_bytes());
    packet.extend(&payload[..length]);
    packet
}

/// So many calls of two telephones each, that have these codecs.
fn bridged(calls: usize, codecs: [Option<Codec>; 2], seconds: u64, budget: &str) {
    let of = |number: usize| codecs[number % 2].unwrap_or(Codec::Pcmu);
    let before = memory_kb();
    let mut load = Load::new(calls * 2, of);
    let base = memory_kb();
    for call in 0..calls {
        let (a, b) = (stream(call * 2), stream(call * 2 + 1));
        load.tell(Command::Bridge { a, b });
    }
    let used = load.run(seconds, |number| Some(packet(of(number), number)));
    let counted = load.threads.counters();
    let same = codecs[0] == codecs[1];
    let memory = (memory_kb() - if same { before } else { base }) as f64 / calls as f64;
    load.delays.sort();
    let delay = |share: usize| {
        let at = load.delays.len() * share / 1000;
        load.delays
            .get(at)
            .map_or(0.0, |delay| delay.as_secs_f64() * 1e3)
    };
    println!(
        "bridged {:?}-{:?}, {calls} calls: {used:.1} % of a core = {:.1} % per 100 calls, {} sent, {} heard, {} lost; delay p50 {:.3} ms, p99 {:.3} ms; {memory:.0} kB a call ({budget})",
        of(0),
        of(1),
        used * 100.0 / calls as f64,
        load.sent,
        load.heard,
        load.sent as i64 - load.heard as i64,
        if same { delay(500) } else { 0.0 },
        if same { delay(990) } else { 0.0 },
    );
    assert_eq!(counted.rejected.total(), 0, "{:?}", counted.rejected);
    load.threads.stop();
}

/// A hundred callers who hear prompts, begun at moments of their own, and music between.
fn played(codec: Option<Codec>, seconds: u64, budget: &str) {
    let codec = codec.unwrap_or(Codec::Pcmu);
    let calls = 100;
    let mut load = Load::new(calls, |_| codec);
    let name: Arc<str> = "music/default".into();
    let lang = Lang::En;
    let items: Vec<Item> = [
        "main/welcome",
        "main/menu",
        "main/hours",
        "main/welcome_back",
    ]
    .into_iter()
    .cycle()
    .take(40)
    .map(|name| Item::Prompt {
        lang,
        name: name.into(),
    })
    .collect();
    let items: Arc<[Item]> = items.into();
    for number in 0..calls {
        let stream = stream(number);
        let source = Source::Music { name: name.clone() };
        load.tell(Command::Source { stream, source });
        if number % 4 != 0 {
            load.tell(Command::Play {
                stream,
                play: PlayId(number as u64),
                items: items.clone(),
                barge_in: true,
            });
        }
        std::thread::sleep(Duration::from_millis(3));
    }
    let used = load.run(seconds, |_| None);
    println!(
        "played {codec:?}, {calls} calls: {used:.1} % of a core per 100 calls, {} packets heard ({budget})",
        load.heard
    );
    load.threads.stop();
}

fn socket() -> UdpSocket {
    let socket =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).expect("a socket");
    socket
        .set_recv_buffer_size(8 << 20)
        .expect("a large buffer");
    socket.set_nonblocking(true).expect("non-blocking");
    let address: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    socket.bind(&address.into()).expect("a port");
    socket.into()
}

/// The kernel's number of our thread of this name.
fn thread_id(name: &str) -> Option<String> {
    let tasks = std::fs::read_dir("/proc/self/task").ok()?;
    tasks.flatten().find_map(|task| {
        let known = std::fs::read_to_string(task.path().join("comm")).ok()?;
        (known.trim() == name).then(|| task.file_name().to_string_lossy().into_owned())
    })
}

/// Seconds of CPU, user and system, of our thread of this name.
fn thread_seconds(name: &str) -> f64 {
    let Some(id) = thread_id(name) else {
        return 0.0;
    };
    let stat = std::fs::read_to_string(format!("/proc/self/task/{id}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit(") ")
        .next()
        .unwrap_or_default()
        .split(' ')
        .collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok());
    (ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) / 100.0
}

fn memory_kb() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or(0)
}

fn pin(name: &str, core: u32) {
    for _ in 0..100 {
        if let Some(id) = thread_id(name) {
            return taskset(&id, core);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    eprintln!("there is no thread {name} to pin");
}

fn pin_self(core: u32) {
    taskset(&std::process::id().to_string(), core);
}

/// `taskset -p` moves one thread.
fn taskset(id: &str, core: u32) {
    let pinned = std::process::Command::new("taskset")
        .args(["-pc", &core.to_string(), id])
        .stdout(std::process::Stdio::null())
        .status();
    if !pinned.is_ok_and(|status| status.success()) {
        eprintln!("taskset does not run: the thread shares its core");
    }
}
