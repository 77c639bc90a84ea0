//! What a bridged call and a playing call cost on one media thread, beside the budgets of DESIGN.md section 7.
//!
//! The media thread runs on the first core, the phones on the second; RTP goes over loopback, 50 packets a second and leg.
//! Its processor time is the kernel's own account of the thread, so other work on the machine disturbs it little.
//!
//! `cargo run --release -p server --example relay_cost [calls] [seconds]`

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use media::{Codec, Command, Direction, Format, Port, Prompts, Source, StreamId, rtp};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::unistd::Pid;
use server::clock::Clock;
use server::media_thread::{MediaConfig, MediaThreads};

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PTIME: Duration = Duration::from_millis(20);
const RELAY_BUDGET: f64 = 6.0;
const PLAY_BUDGET: f64 = 3.0;
const DELAY_BUDGET_MS: f64 = 0.15;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let calls: usize = arguments.next().map_or(Ok(200), |text| text.parse())?;
    let seconds: u64 = arguments.next().map_or(Ok(5), |text| text.parse())?;
    let span = Duration::from_secs(seconds.clamp(1, 60));
    pin(0)?;
    let threads = start(calls)?;
    pin(1)?;
    relay(&threads, calls, span)?;
    play(&threads, calls, span)?;
    println!(
        "counters: {:?}, send errors: {}",
        threads.counters(),
        threads.send_errors()
    );
    threads.stop();
    Ok(())
}

fn pin(core: usize) -> Result<(), Box<dyn Error>> {
    let mut set = CpuSet::new();
    set.set(core)?;
    if let Err(error) = sched_setaffinity(Pid::from_raw(0), &set) {
        println!("not pinned to core {core}: {error}");
    }
    Ok(())
}

fn start(calls: usize) -> Result<MediaThreads, Box<dyn Error>> {
    let mut prompts = Prompts::default();
    let music: Vec<i16> = media::tone::cycle(440)
        .into_iter()
        .cycle()
        .take(80_000)
        .collect();
    prompts.insert_samples(None, "music/default", &music);
    let config = MediaConfig {
        browsers: None,
        addresses: vec![LOCAL],
        first: 0,
        last: 0,
        planes: 1,
        media_timeout: None,
    };
    let clock = Clock::start(clock::Time::ZERO);
    assert!(
        calls <= 1000,
        "at most 1000 calls: a socket each for both legs and both phones"
    );
    Ok(MediaThreads::spawn(
        config,
        Arc::new(prompts),
        |_| Ok(()),
        Err,
        move || clock.now(),
    )?)
}

/// Ports for `count` streams.
fn ports(threads: &MediaThreads, count: usize) -> Vec<Port> {
    let mut ports = Vec::new();
    while ports.len() < count {
        let more = threads.grant(0);
        assert!(!more.is_empty(), "no more sockets: raise ulimit -n");
        ports.extend(more);
    }
    ports.truncate(count);
    ports
}

fn command(threads: &MediaThreads, command: Command) {
    let mut command = command;
    while let Err(back) = threads.send(0, command) {
        command = back;
        std::thread::yield_now();
    }
}

fn open(threads: &MediaThreads, id: u64, port: Port, remote: SocketAddr) {
    let stream = StreamId(id);
    command(
        threads,
        Command::Open {
            stream,
            port,
            ssrc: id as u32,
        },
    );
    let format = Format {
        codec: Codec::Pcmu,
        payload_type: 0,
        ptime: PTIME,
        telephone_event: Some(101),
        event_rate: 8000,
        wishes: Default::default(),
    };
    command(
        threads,
        Command::Update {
            stream,
            remote,
            rtcp: media::Rtcp::Muxed,
            behind: None,
            format,
            direction: Direction::SendReceive,
        },
    );
}

/// Processor time of the media thread so far.
fn used() -> Result<Duration, Box<dyn Error>> {
    for task in std::fs::read_dir("/proc/self/task")? {
        let path = task?.path();
        if std::fs::read_to_string(path.join("comm"))?.starts_with("media-0") {
            let text = std::fs::read_to_string(path.join("schedstat"))?;
            let nanos = text
                .split(' ')
                .next()
                .ok_or("schedstat is empty")?
                .parse()?;
            return Ok(Duration::from_nanos(nanos));
        }
    }
    Err("no media thread".into())
}

fn relay(threads: &MediaThreads, calls: usize, span: Duration) -> Result<(), Box<dyn Error>> {
    let legs = calls * 2;
    let ports = ports(threads, legs);
    let epoll = Epoll::new(EpollCreateFlags::empty())?;
    let mut phones = Vec::new();
    for (leg, port) in ports.iter().enumerate() {
        let phone = UdpSocket::bind((LOCAL, 0))?;
        phone.set_nonblocking(true)?;
        phone.connect((LOCAL, port.number))?;
        epoll.add(
            phone.as_fd(),
            EpollEvent::new(EpollFlags::EPOLLIN, leg as u64),
        )?;
        open(threads, leg as u64, *port, phone.local_addr()?);
        phones.push(phone);
    }
    for call in 0..calls as u64 {
        command(
            threads,
            Command::Bridge {
                a: StreamId(call * 2),
                b: StreamId(call * 2 + 1),
            },
        );
    }
    let mut phones = Phones {
        phones,
        epoll,
        epoch: Instant::now(),
        sent: 0,
        delays: Vec::with_capacity(legs * 50 * 70),
    };
    phones.run(Duration::from_millis(500)); // the first packets lock the sources
    phones.delays.clear();
    phones.sent = 0;
    let (before, begun) = (used()?, Instant::now());
    phones.run(span);
    let (used, wall) = (used()? - before, begun.elapsed());
    report_relay(&mut phones, calls, used, wall);
    for leg in 0..legs as u64 {
        command(
            threads,
            Command::Close {
                stream: StreamId(leg),
            },
        );
    }
    Ok(())
}

struct Phones {
    phones: Vec<UdpSocket>,
    epoll: Epoll,
    epoch: Instant,
    sent: u64,
    /// In nanoseconds.
    delays: Vec<u32>,
}

impl Phones {
    /// Sends evenly spread over each packet time and listens in between, without sleeping, so that delays are the engine's and not ours.
    fn run(&mut self, span: Duration) {
        let gap = PTIME / self.phones.len() as u32;
        let begun = Instant::now();
        let mut turn = 0u32;
        while begun.elapsed() < span {
            while begun.elapsed() >= gap * turn {
                self.send(turn);
                turn += 1;
            }
            self.listen();
        }
        let patience = Instant::now() + Duration::from_millis(200);
        while (self.delays.len() as u64) < self.sent && Instant::now() < patience {
            self.listen();
        }
    }

    fn send(&mut self, turn: u32) {
        let legs = self.phones.len() as u32;
        let round = self.sent / u64::from(legs);
        let mut payload = [0xffu8; 160];
        payload[..8].copy_from_slice(&(self.epoch.elapsed().as_nanos() as u64).to_be_bytes());
        let (sequence, timestamp) = (round as u16, (round * 160) as u32);
        let fixed = rtp::Fixed {
            marker: false,
            payload_type: 0,
            sequence,
            timestamp,
            ssrc: turn % legs,
        };
        let mut packet = [0; 172];
        packet[..12].copy_from_slice(&fixed.octets());
        packet[12..].copy_from_slice(&payload);
        self.sent += u64::from(self.phones[(turn % legs) as usize].send(&packet).is_ok());
    }

    fn listen(&mut self) {
        let mut ready = [EpollEvent::empty(); 64];
        let count = self.epoll.wait(&mut ready, EpollTimeout::ZERO).unwrap_or(0);
        let mut packet = [0; 400];
        for event in &ready[..count] {
            let Ok(length) = self.phones[event.data() as usize].recv(&mut packet) else {
                continue;
            };
            if let Some(stamp) = packet[..length]
                .get(12..20)
                .and_then(|octets| octets.try_into().ok())
            {
                let delay = self.epoch.elapsed().as_nanos() as u64 - u64::from_be_bytes(stamp);
                self.delays.push(u32::try_from(delay).unwrap_or(u32::MAX));
            }
        }
    }
}

fn report_relay(phones: &mut Phones, calls: usize, used: Duration, wall: Duration) {
    phones.delays.sort_unstable();
    let received = phones.delays.len();
    let at = |share: f64| {
        phones
            .delays
            .get((received as f64 * share) as usize)
            .map_or(f64::NAN, |nanos| f64::from(*nanos) / 1e6)
    };
    let share = used.as_secs_f64() / wall.as_secs_f64() * 100.0;
    println!(
        "relay: {calls} calls, {} packets sent, {} lost, {:.0}/s",
        phones.sent,
        phones.sent - received as u64,
        received as f64 / wall.as_secs_f64()
    );
    println!(
        "  {:.2} % of a core, {:.2} us a packet",
        share,
        used.as_secs_f64() * 1e6 / received as f64
    );
    println!(
        "  {:.2} % per 100 calls (budget {RELAY_BUDGET} %)",
        share * 100.0 / calls as f64
    );
    println!(
        "  delay p50 {:.3} ms (budget {DELAY_BUDGET_MS} ms), p99 {:.3} ms, max {:.3} ms",
        at(0.5),
        at(0.99),
        at(0.999_999)
    );
}

fn play(threads: &MediaThreads, calls: usize, span: Duration) -> Result<(), Box<dyn Error>> {
    let ports = ports(threads, calls);
    let mut sinks = Vec::new();
    for (call, port) in ports.iter().enumerate() {
        let sink = UdpSocket::bind((LOCAL, 0))?;
        let id = 1_000_000 + call as u64;
        open(threads, id, *port, sink.local_addr()?);
        command(
            threads,
            Command::Source {
                stream: StreamId(id),
                source: Source::Music {
                    name: "music/default".into(),
                },
            },
        );
        sinks.push(sink);
        std::thread::sleep(Duration::from_micros(700)); // calls don't begin at once
    }
    let (before, sent, begun) = (used()?, threads.counters().packets_out, Instant::now());
    std::thread::sleep(span);
    let (used, wall) = (used()? - before, begun.elapsed());
    let packets = threads.counters().packets_out - sent;
    let share = used.as_secs_f64() / wall.as_secs_f64() * 100.0;
    println!(
        "play: {calls} calls, {packets} packets, {:.0}/s (due {})",
        packets as f64 / wall.as_secs_f64(),
        calls * 50
    );
    println!(
        "  {:.2} % of a core, {:.2} us a packet",
        share,
        used.as_secs_f64() * 1e6 / packets as f64
    );
    println!(
        "  {:.2} % per 100 calls (budget {PLAY_BUDGET} %)",
        share * 100.0 / calls as f64
    );
    Ok(())
}
