//! Media threads: each owns a [`media::Plane`], its UDP sockets and an epoll, and moves packets between them.
//!
//! A socket is bound once and serves one stream after the other; the plane's strict source check keeps their packets apart.
//! The wait is level-triggered epoll (one `recvfrom` a packet: nothing is read twice to find a socket empty, and no socket starves another)
//! and a timer descriptor, because `epoll_wait` rounds to milliseconds. On the path of a packet nothing is allocated.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ::clock::Time;
use crossbeam_channel::{Receiver, Sender, TrySendError};
use media::tap::Block;
use media::{Command, Counters, Event, Plane, PlaneConfig, Port, PortMap, Prompts, Rejected, Said};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use socket2::{Domain, Protocol, Socket, Type};

use crate::browsers::{Browsers, Received, Todo};
use crate::dtls::certificate;
use crate::fatal;

/// Commands waiting for one thread; the engine keeps what doesn't fit. A thread drains its channel at every wake-up, so that a full one means a thread that hangs.
const COMMANDS: usize = 16_384;
/// Ports bound by one grant, each with the one after it.
const GRANT: usize = 256;
/// Pairs of ephemeral ports that may be tried; a range bounds itself.
const MAX_EPHEMERAL: u32 = 16_384;
/// Readiness taken from the kernel at once; deadlines are looked at between.
const READY: usize = 256;
/// A datagram that fills this is no RTP packet: nothing above an Ethernet frame is sent by a telephone.
const DATAGRAM: usize = 2048;
/// Events that wait for room with the engine. Beyond it only those are kept that somebody waits for, of which there is one for each stream and play.
const UNTOLD_MAX: usize = 16_384;
/// How soon such events are offered again, in milliseconds.
const TELL_AGAIN_MS: u8 = 10;
/// Expedited forwarding (RFC 4594): what networks that care want to see on voice.
const TOS_VOICE: u32 = 0xb8;

const WAKE: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;
/// The sockets that browsers share, of IPv4 and of IPv6.
const SHARED: u64 = u64::MAX - 2;
const SHARED_V6: u64 = u64::MAX - 3;
/// Marks the IPv6 socket of a port among an epoll's events.
const V6: u64 = 1 << 16;

/// What the media threads are made of.
#[derive(Clone, Debug)]
pub struct MediaConfig {
    /// The addresses that RTP sockets bind, one of each family: a port is one number on all of them.
    pub addresses: Vec<IpAddr>,
    /// First and last port; even ones are used. Both 0: ports that the kernel chooses.
    pub first: u16,
    pub last: u16,
    pub planes: usize,
    pub media_timeout: Option<Duration>,
    /// The port that all browsers of the first thread share, those of the next one have the next; 0 lets the system pick each. `None`: no browsers.
    pub browsers: Option<u16>,
}

/// The running threads. Every method may be called from any thread and none waits, except `stop`.
#[derive(Debug)]
pub struct MediaThreads {
    config: MediaConfig,
    threads: Vec<Handle>,
    /// The next port of the range to try, or the number of ephemeral ones bound.
    next: AtomicU32,
    /// The last socket could not be bound; told once.
    short: AtomicBool,
    /// Where browsers come.
    door: Option<engine::secrecy::Door>,
}

#[derive(Debug)]
struct Handle {
    work: Sender<Work>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What a thread shares with those who talk to it.
#[derive(Debug)]
struct Shared {
    wake: EventFd,
    /// A wake-up is on its way: further ones are needless.
    awake: AtomicBool,
    /// There are commands that nobody has been woken for.
    laid: AtomicBool,
    meters: Meters,
}

#[derive(Debug)]
enum Work {
    Command(Command),
    Sockets(Vec<(u16, Ends)>),
    Prompts(Arc<Prompts>),
    Said(Said),
    Stop,
}

impl MediaThreads {
    /// Starts the threads. `events` is called on them and must not wait: what it gives back is offered again soon, in order. `tapped` takes copies of
    /// packets for recordings; what it gives back is lost, and counted. `clock` gives the engine's time.
    pub fn spawn(
        config: MediaConfig,
        prompts: Arc<Prompts>,
        events: impl Fn(Event) -> Result<(), Event> + Send + Clone + 'static,
        tapped: impl Fn(Block) -> Result<(), Block> + Send + Clone + 'static,
        clock: impl Fn() -> Time + Send + Clone + 'static,
    ) -> io::Result<MediaThreads> {
        let mut threads = Vec::new();
        let mut shared_sockets = shared_sockets(&config);
        let door = shared_sockets.as_ref().map(|sockets| sockets.door.clone());
        for plane in 0..config.planes.clamp(1, usize::from(u16::MAX)) {
            let (work, inbox) = crossbeam_channel::bounded(COMMANDS);
            let wake = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
            let shared = Arc::new(Shared {
                wake,
                awake: AtomicBool::new(false),
                laid: AtomicBool::new(false),
                meters: Meters::default(),
            });
            let plane_config = PlaneConfig {
                plane: plane as u16,
                media_timeout: config.media_timeout,
                ..PlaneConfig::default()
            };
            let mut worker = Worker::new(plane_config, prompts.clone(), inbox, shared.clone())?;
            if let Some(sockets) = &mut shared_sockets
                && let Some(ends) = sockets.ends.pop_front()
            {
                let epoch = (Instant::now(), clock());
                let browsers = Browsers::new(sockets.certificate.clone(), epoch);
                worker.share(ends, browsers.map_err(io::Error::other)?)?;
            }
            let (events, tapped, clock) = (events.clone(), tapped.clone(), clock.clone());
            let thread = fatal::spawn(format!("media-{plane}"), move || {
                worker.run(&events, &tapped, &clock)
            })?;
            threads.push(Handle {
                work,
                shared,
                thread: Some(thread),
            });
        }
        let next = AtomicU32::new(if config.is_ephemeral() {
            0
        } else {
            u32::from(config.first).next_multiple_of(2)
        });
        Ok(MediaThreads {
            config,
            threads,
            next,
            short: AtomicBool::new(false),
            door,
        })
    }

    /// Where browsers come, if they may.
    pub fn door(&self) -> Option<engine::secrecy::Door> {
        self.door.clone()
    }

    pub fn planes(&self) -> usize {
        self.threads.len()
    }

    /// Hands a command to its plane; gives it back when the plane's channel is full (or there is no such plane), to be sent again later in order.
    pub fn send(&self, plane: u16, command: Command) -> Result<(), Command> {
        self.send_later(plane, command)?;
        self.wake();
        Ok(())
    }

    /// The same, for who sends more at once: the plane looks at it after [`MediaThreads::wake`] at the latest.
    pub fn send_later(&self, plane: u16, command: Command) -> Result<(), Command> {
        let Some(handle) = self.threads.get(usize::from(plane)) else {
            return Err(command);
        };
        handle
            .lay(Work::Command(command))
            .map_err(|work| match work {
                Work::Command(command) => command,
                Work::Sockets(_) | Work::Prompts(_) | Work::Said(_) | Work::Stop => {
                    unreachable!("what was put comes back")
                }
            })
    }

    /// Wakes the planes that have commands before them: once for all that one turn of the engine has caused.
    pub fn wake(&self) {
        for handle in &self.threads {
            if handle.shared.laid.swap(false, Ordering::SeqCst) {
                handle.shared.wake();
            }
        }
    }

    /// Binds up to 256 further ports for a plane, each with the one after it for RTCP, and gives their ports. Ports that somebody else has are left out; empty when the range is used up.
    pub fn grant(&self, plane: u16) -> Vec<Port> {
        let Some(handle) = self.threads.get(usize::from(plane)) else {
            return Vec::new();
        };
        let mut ports = Vec::with_capacity(GRANT);
        let mut sockets = Vec::with_capacity(2 * GRANT);
        while ports.len() < GRANT {
            match self.bind_next() {
                Ok(Some(pair)) => {
                    self.short.store(false, Ordering::Relaxed);
                    ports.push(Port {
                        plane,
                        number: pair[0].0,
                    });
                    sockets.extend(pair);
                }
                Ok(None) => break,
                Err(error) => {
                    if !self.short.swap(true, Ordering::Relaxed) {
                        tracing::warn!(%error, bound = ports.len(), "no more RTP sockets can be bound now");
                    }
                    break;
                }
            }
        }
        match handle.put(Work::Sockets(sockets)) {
            Ok(()) => ports,
            Err(_) => Vec::new(), // the thread hangs; its sockets are closed with the message
        }
    }

    /// The next free pair of ports; `None` when the range is used up.
    fn bind_next(&self) -> io::Result<Option<Pair>> {
        loop {
            let ephemeral = self.config.is_ephemeral();
            let step = if ephemeral { 1 } else { 2 };
            let number = self.next.fetch_add(step, Ordering::Relaxed);
            let end = if ephemeral {
                MAX_EPHEMERAL
            } else {
                u32::from(self.config.last) // the last one is the RTCP port of the one before it
            };
            if number >= end {
                self.next.fetch_sub(step, Ordering::Relaxed); // so that it never wraps
                return Ok(None);
            }
            let wanted = if ephemeral { 0 } else { number as u16 };
            match bind_pair(&self.config.addresses, wanted) {
                Ok(pair) => return Ok(Some(pair)),
                // Somebody has it, or the one after the one that the kernel picked, or has that in the other family.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => {
                    self.next.fetch_sub(step, Ordering::Relaxed); // a later grant tries it again
                    return Err(error);
                }
            }
        }
    }

    /// Prompts for what is played from now on.
    pub fn set_prompts(&self, prompts: &Arc<Prompts>) {
        for handle in &self.threads {
            if handle.put(Work::Prompts(prompts.clone())).is_err() {
                tracing::warn!("a media thread does not take the new prompts");
            }
        }
    }

    /// Speech for a play that comes next, by the engine's next command.
    pub fn learn(&self, said: &Said) {
        for handle in &self.threads {
            if handle.put(Work::Said(said.clone())).is_err() {
                tracing::warn!("a media thread does not take speech");
            }
        }
    }

    /// What all planes have counted, at most one wake-up old.
    pub fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        for handle in &self.threads {
            handle.shared.meters.add_to(&mut sum);
        }
        sum
    }

    /// Packets that the kernel did not take.
    pub fn send_errors(&self) -> u64 {
        self.threads
            .iter()
            .map(|handle| handle.shared.meters.send_errors.load(Ordering::Relaxed))
            .sum()
    }

    /// Sets what `/metrics` shows of RTP.
    pub fn measure(&self, shown: &mut metrics::Counters) {
        let counted = self.counters();
        shown.rtp_streams_active = i64::try_from(counted.active).unwrap_or(i64::MAX);
        (shown.rtp_packets_in, shown.rtp_packets_out) = (counted.packets_in, counted.packets_out);
        shown.rtp_lost = counted.lost;
        shown.rtp_send_errors = self.send_errors();
        shown.rtcp_packets = [counted.rtcp_in, counted.rtcp_out];
        shown.rtp_rejected = counted.rejected.by_reason().into();
        let refused = |handle: &Handle| handle.shared.meters.refused.load(Ordering::Relaxed);
        let refused = self.threads.iter().map(refused).sum();
        shown.rtp_rejected.insert("ice", refused);
    }

    /// Ends all threads, waits for them, and closes the sockets.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        for handle in &self.threads {
            let _ = handle.work.send(Work::Stop); // Err: the thread is gone already
            handle.shared.wake();
        }
        for handle in &mut self.threads {
            if let Some(thread) = handle.thread.take()
                && thread.join().is_err()
            {
                tracing::error!("a media thread had panicked");
            }
        }
    }
}

impl Drop for MediaThreads {
    fn drop(&mut self) {
        self.end();
    }
}

impl MediaConfig {
    fn is_ephemeral(&self) -> bool {
        self.first == 0 && self.last == 0
    }
}

/// The sockets of one port, by family: IPv4, IPv6.
type Ends = [Option<UdpSocket>; 2];

/// The sockets that browsers share, one port for each thread.
struct SharedSockets {
    ends: VecDeque<Ends>,
    door: engine::secrecy::Door,
    certificate: dimpl::DtlsCertificate,
}

/// Binds them. A port that somebody else has is no reason for a centre without telephones: it is told loudly, and browsers are not served.
fn shared_sockets(config: &MediaConfig) -> Option<SharedSockets> {
    let first = config.browsers?;
    let bind = |plane: usize| {
        let port = match first {
            0 => 0,
            first => first
                .checked_add(plane as u16)
                .ok_or(io::ErrorKind::AddrInUse)?,
        };
        bind_all(&config.addresses, port)
    };
    let bound: io::Result<Vec<_>> = (0..config.planes.max(1)).map(bind).collect();
    let made = certificate::make().map_err(io::Error::other);
    match bound.and_then(|bound| Ok((bound, made?))) {
        Ok((bound, certificate)) => Some(SharedSockets {
            door: engine::secrecy::Door {
                ports: bound.iter().map(|(port, _)| *port).collect(),
                fingerprint: certificate::fingerprint(&certificate.certificate),
            },
            ends: bound.into_iter().map(|(_, ends)| ends).collect(),
            certificate,
        }),
        Err(error) => {
            tracing::error!(%error, port = first, "browsers cannot be served: `rtp.browsers` cannot be bound");
            None
        }
    }
}

/// An RTP port and the one after it, for RTCP that does not share it (RFC 3550 section 11).
type Pair = [(u16, Ends); 2];

fn family(address: &SocketAddr) -> usize {
    usize::from(address.is_ipv6())
}

/// A port on every address, and the one after it.
fn bind_pair(addresses: &[IpAddr], wanted: u16) -> io::Result<Pair> {
    let rtp = bind_all(addresses, wanted)?;
    let beside = rtp.0.checked_add(1).ok_or(io::ErrorKind::AddrInUse)?;
    Ok([rtp, bind_all(addresses, beside)?])
}

/// One port on every address.
fn bind_all(addresses: &[IpAddr], wanted: u16) -> io::Result<(u16, Ends)> {
    let mut ends: Ends = [None, None];
    let mut number = wanted;
    for ip in addresses {
        let socket = bind(SocketAddr::new(*ip, number))?;
        let bound = socket.local_addr()?;
        number = bound.port();
        ends[family(&bound)] = Some(socket);
    }
    Ok((number, ends))
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    socket.set_nonblocking(true)?;
    if address.is_ipv4() {
        let _ = socket.set_tos_v4(TOS_VOICE); // a wish; calls work without it
    } else {
        socket.set_only_v6(true)?;
        let _ = socket.set_tclass_v6(TOS_VOICE);
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}

impl Handle {
    fn put(&self, work: Work) -> Result<(), Work> {
        match self.work.try_send(work) {
            Ok(()) => {
                self.shared.wake();
                Ok(())
            }
            Err(TrySendError::Full(work)) => Err(work),
            // It ends only by `stop`, after which nobody has anything to send, or with the process.
            Err(TrySendError::Disconnected(_)) => fatal::end("media", "a media thread is gone"),
        }
    }

    /// The same without a wake-up.
    fn lay(&self, work: Work) -> Result<(), Work> {
        match self.work.try_send(work) {
            Ok(()) => {
                self.shared.laid.store(true, Ordering::SeqCst);
                Ok(())
            }
            Err(TrySendError::Full(work) | TrySendError::Disconnected(work)) => {
                self.shared.wake();
                Err(work)
            }
        }
    }
}

impl Shared {
    /// One write for all commands that come before the thread looks.
    fn wake(&self) {
        if !self.awake.swap(true, Ordering::SeqCst) {
            let _ = self.wake.write(1); // Err: the counter is full, which wakes as well
        }
    }

    fn clear(&self) {
        let _ = self.wake.read(); // Err: nothing was written
        self.awake.store(false, Ordering::SeqCst);
    }
}

/// The plane's counters where other threads can read them.
#[derive(Debug, Default)]
struct Meters {
    counted: [AtomicU64; COUNTED],
    send_errors: AtomicU64,
    /// Datagrams at the shared port that were nobody's.
    refused: AtomicU64,
}

const COUNTED: usize = 14;

/// Every counter of a plane in a fixed order.
fn fields(counters: &mut Counters) -> [&mut u64; COUNTED] {
    let Counters {
        active,
        packets_in,
        packets_out,
        lost,
        rtcp_in,
        rtcp_out,
        rejected,
        missing_prompts,
        ignored_commands,
    } = counters;
    let Rejected {
        idle_port,
        unready,
        malformed,
        source,
        payload_type,
        srtp,
    } = rejected;
    [
        active,
        packets_in,
        packets_out,
        lost,
        rtcp_in,
        rtcp_out,
        missing_prompts,
        ignored_commands,
        idle_port,
        unready,
        malformed,
        source,
        payload_type,
        srtp,
    ]
}

impl Meters {
    fn publish(&self, mut counters: Counters) {
        for (shown, value) in self.counted.iter().zip(fields(&mut counters)) {
            shown.store(*value, Ordering::Relaxed);
        }
    }

    fn add_to(&self, sum: &mut Counters) {
        for (shown, value) in self.counted.iter().zip(fields(sum)) {
            *value += shown.load(Ordering::Relaxed);
        }
    }
}

/// What runs on a media thread.
struct Worker {
    plane: Plane,
    sockets: PortMap<Ends>,
    epoll: Epoll,
    timer: TimerFd,
    /// What the timer is set to.
    armed: Option<Time>,
    inbox: Receiver<Work>,
    shared: Arc<Shared>,
    /// Events that the engine had no room for.
    untold: VecDeque<Event>,
    shared_end: Option<SharedEnd>,
}

/// The shared sockets of this thread, and who comes through them.
struct SharedEnd {
    ends: Ends,
    browsers: Browsers,
}

impl Worker {
    fn new(
        config: PlaneConfig,
        prompts: Arc<Prompts>,
        inbox: Receiver<Work>,
        shared: Arc<Shared>,
    ) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let timer = TimerFd::new(
            ClockId::CLOCK_MONOTONIC,
            TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC,
        )?;
        epoll.add(&shared.wake, EpollEvent::new(EpollFlags::EPOLLIN, WAKE))?;
        // Edge-triggered: setting the timer again is all that clears it.
        epoll.add(
            timer.as_fd(),
            EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, TIMER),
        )?;
        Ok(Worker {
            plane: Plane::new(config, prompts),
            sockets: PortMap::default(),
            epoll,
            timer,
            armed: None,
            inbox,
            shared,
            untold: VecDeque::new(),
            shared_end: None,
        })
    }

    /// The sockets that browsers share are this thread's to read.
    fn share(&mut self, ends: Ends, browsers: Browsers) -> io::Result<()> {
        for (token, socket) in [SHARED, SHARED_V6].into_iter().zip(&ends) {
            if let Some(socket) = socket {
                let event = EpollEvent::new(EpollFlags::EPOLLIN, token);
                self.epoll.add(socket, event)?;
            }
        }
        self.shared_end = Some(SharedEnd { ends, browsers });
        Ok(())
    }

    fn run(
        mut self,
        events: &impl Fn(Event) -> Result<(), Event>,
        tapped: &impl Fn(Block) -> Result<(), Block>,
        clock: &impl Fn() -> Time,
    ) {
        let mut ready = [EpollEvent::empty(); READY];
        let mut datagram = [0; DATAGRAM];
        loop {
            let mut timeout = self.arm(clock);
            if !self.untold.is_empty() && timeout == EpollTimeout::NONE {
                timeout = EpollTimeout::from(TELL_AGAIN_MS);
            }
            let count = match self.epoll.wait(&mut ready, timeout) {
                Ok(count) => count,
                Err(nix::errno::Errno::EINTR) => 0,
                Err(error) => fatal::end("media", &format!("cannot wait: {error}")),
            };
            for event in &ready[..count] {
                match event.data() {
                    WAKE => self.shared.clear(),
                    TIMER => self.armed = None,
                    SHARED => self.read_shared(0, &mut datagram, clock),
                    SHARED_V6 => self.read_shared(1, &mut datagram, clock),
                    end => self.read(end, &mut datagram, clock),
                }
            }
            if !self.obey(clock) {
                return;
            }
            let now = clock();
            if let Some(end) = &mut self.shared_end
                && end.browsers.poll_timeout().is_some_and(|at| at <= now)
            {
                end.browsers.handle_timeout(now);
                self.settle(now);
            }
            if self.plane.poll_timeout().is_some_and(|(at, _)| at <= now) {
                let Worker {
                    plane,
                    sockets,
                    shared,
                    shared_end,
                    ..
                } = &mut self;
                plane.handle_timeout(now, &mut |port, to, packet| {
                    let ends = ends(sockets, shared_end.as_ref(), port);
                    send(ends, &shared.meters, to, packet)
                });
            }
            self.tell(events);
            while let Some(block) = self.plane.poll_tapped() {
                if let Err(block) = tapped(block) {
                    self.plane.lose_tapped(&block);
                }
            }
            self.shared.meters.publish(*self.plane.counters());
        }
    }

    /// Gives the engine what it has room for, in order. A lost `Closed` were a port lost, and a lost `Played` a caller in silence.
    fn tell(&mut self, events: &impl Fn(Event) -> Result<(), Event>) {
        while let Some(event) = self.untold.pop_front() {
            if let Err(event) = events(event) {
                self.untold.push_front(event);
                break;
            }
        }
        while let Some(event) = self.plane.poll_event() {
            let untold = if self.untold.is_empty() {
                events(event)
            } else {
                Err(event)
            };
            if let Err(event) = untold
                && (self.untold.len() < UNTOLD_MAX
                    || matches!(event, Event::Closed { .. } | Event::Played { .. }))
            {
                self.untold.push_back(event);
            }
        }
    }

    /// Sets the timer to the plane's next deadline; the time-out for the wait is zero where that has come already.
    fn arm(&mut self, clock: &impl Fn() -> Time) -> EpollTimeout {
        let end = self.shared_end.as_ref();
        let browsers = end.and_then(|end| end.browsers.poll_timeout());
        let plane = self.plane.poll_timeout().map(|(at, _)| at);
        let Some(at) = plane.into_iter().chain(browsers).min() else {
            return EpollTimeout::NONE;
        };
        if self.armed == Some(at) {
            return EpollTimeout::NONE;
        }
        let wait = at - clock();
        if wait.is_zero() {
            return EpollTimeout::ZERO;
        }
        let once = Expiration::OneShot(TimeSpec::from_duration(wait));
        match self.timer.set(once, TimerSetTimeFlags::empty()) {
            Ok(()) => {
                self.armed = Some(at);
                EpollTimeout::NONE
            }
            Err(_) => EpollTimeout::from(1u8), // without the timer, by the millisecond
        }
    }

    /// One datagram of a socket that has some.
    fn read(&mut self, end: u64, datagram: &mut [u8; DATAGRAM], clock: &impl Fn() -> Time) {
        let (number, family) = (end as u16, usize::from(end & V6 != 0));
        let Some(Some(socket)) = self.sockets.get(number).map(|ends| &ends[family]) else {
            return;
        };
        // An error is an ICMP message for an earlier packet, or the datagram was dropped for its checksum: the wait goes on.
        let Ok((length, source)) = socket.recv_from(datagram) else {
            return;
        };
        let packet = if length < DATAGRAM {
            &mut datagram[..length]
        } else {
            &mut [][..]
        };
        self.hand(clock(), number, source, packet);
    }

    /// A packet for the stream of a port.
    fn hand(&mut self, now: Time, number: u16, source: SocketAddr, packet: &mut [u8]) {
        let Worker {
            plane,
            sockets,
            shared,
            shared_end,
            ..
        } = self;
        plane.receive(now, number, source, packet, &mut |port, to, packet| {
            let ends = ends(sockets, shared_end.as_ref(), port);
            send(ends, &shared.meters, to, packet);
        });
    }

    /// One datagram of the port that browsers share.
    fn read_shared(
        &mut self,
        family: usize,
        datagram: &mut [u8; DATAGRAM],
        clock: &impl Fn() -> Time,
    ) {
        let Some(end) = &mut self.shared_end else {
            return;
        };
        let received = end.ends[family]
            .as_ref()
            .and_then(|socket| socket.recv_from(datagram).ok());
        let Some((length, source)) = received.filter(|(length, _)| *length < DATAGRAM) else {
            return;
        };
        let now = clock();
        match end.browsers.receive(now, source, &datagram[..length]) {
            Received::Media(number) => self.hand(now, number, source, &mut datagram[..length]),
            Received::Done => self.settle(now),
        }
    }

    /// Does what the browsers' table wants.
    fn settle(&mut self, now: Time) {
        let Worker {
            plane,
            shared,
            shared_end: Some(end),
            ..
        } = self
        else {
            return;
        };
        while let Some(todo) = end.browsers.poll_todo() {
            match todo {
                Todo::Send { to, packet } => send(Some(&end.ends), &shared.meters, to, &packet),
                Todo::Tell(command) => plane.handle(now, command),
            }
        }
        let refused = end.browsers.take_refused();
        shared.meters.refused.fetch_add(refused, Ordering::Relaxed);
    }

    /// What of a command concerns browsers.
    fn observe(&mut self, now: Time, command: &Command) {
        let Some(end) = &mut self.shared_end else {
            return;
        };
        match command {
            Command::Admit { stream, port, ice } => end.browsers.admit(now, *stream, *port, ice),
            Command::Close { stream } => end.browsers.close(*stream),
            _ => {}
        }
    }

    /// Carries out what has been asked for; false when the thread is to end.
    fn obey(&mut self, clock: &impl Fn() -> Time) -> bool {
        for _ in 0..COMMANDS {
            let Ok(work) = self.inbox.try_recv() else {
                break;
            };
            match work {
                Work::Command(command) => {
                    let now = clock();
                    self.observe(now, &command);
                    self.plane.handle(now, command);
                }
                Work::Sockets(sockets) => self.take(sockets),
                Work::Prompts(prompts) => self.plane.set_prompts(prompts),
                Work::Said(said) => self.plane.learn(said),
                Work::Stop => return false,
            }
        }
        true
    }

    fn take(&mut self, sockets: Vec<(u16, Ends)>) {
        for (number, ends) in sockets {
            for (mark, socket) in [0, V6].into_iter().zip(&ends) {
                let Some(socket) = socket else { continue };
                let event = EpollEvent::new(EpollFlags::EPOLLIN, u64::from(number) | mark);
                if let Err(error) = self.epoll.add(socket, event) {
                    tracing::warn!(%error, number, "an RTP socket cannot be watched");
                }
            }
            self.sockets.insert(number, ends);
        }
    }
}

/// The sockets that a port's packets leave by.
fn ends<'a>(
    sockets: &'a PortMap<Ends>,
    shared: Option<&'a SharedEnd>,
    port: Port,
) -> Option<&'a Ends> {
    match shared.filter(|end| end.browsers.has(port.number)) {
        Some(end) => Some(&end.ends),
        None => sockets.get(port.number),
    }
}

fn send(ends: Option<&Ends>, meters: &Meters, to: SocketAddr, packet: &[u8]) {
    let sent = ends
        .and_then(|ends| ends[family(&to)].as_ref())
        .map(|socket| socket.send_to(packet, to));
    if !matches!(sent, Some(Ok(_))) {
        meters.send_errors.fetch_add(1, Ordering::Relaxed); // full or unreachable: for media, late is lost
    }
}

#[cfg(test)]
mod tests {
    use media::{Codec, Direction, Format, Item, Lang, PlayId, Source, StreamId, rtp};

    use super::*;

    const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn threads(first: u16, last: u16) -> (MediaThreads, Receiver<Event>) {
        let (events, seen) = crossbeam_channel::unbounded();
        let config = MediaConfig {
            addresses: vec![LOCAL],
            first,
            last,
            planes: 2,
            media_timeout: None,
            browsers: None,
        };
        let mut prompts = Prompts::default();
        prompts.insert_samples(Some(Lang::En), "long", &[1000; 1600]);
        let started = Instant::now();
        let clock = move || Time::from_secs(1_000) + started.elapsed();
        let threads = MediaThreads::spawn(
            config,
            Arc::new(prompts),
            move |event| events.send(event).map_err(|unsent| unsent.0),
            Err,
            clock,
        )
        .unwrap();
        (threads, seen)
    }

    fn phone() -> UdpSocket {
        let socket = UdpSocket::bind((LOCAL, 0)).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        socket
    }

    fn begin(threads: &MediaThreads, stream: u64, port: Port, phone: &UdpSocket) {
        let stream = StreamId(stream);
        threads
            .send(
                port.plane,
                Command::Open {
                    stream,
                    port,
                    ssrc: 9,
                },
            )
            .unwrap();
        let format = Format {
            codec: Codec::Pcmu,
            payload_type: 0,
            ptime: Duration::from_millis(20),
            telephone_event: Some(101),
            event_rate: 8000,
            wishes: Default::default(),
        };
        let (remote, direction) = (phone.local_addr().unwrap(), Direction::SendReceive);
        threads
            .send(
                port.plane,
                Command::Update {
                    stream,
                    remote,
                    rtcp: media::Rtcp::Muxed,
                    behind: None,
                    format,
                    direction,
                },
            )
            .unwrap();
    }

    #[test]
    fn junk_on_an_idle_port_is_counted_while_it_comes() {
        let (threads, _seen) = threads(0, 0);
        let port = threads.grant(0)[0];
        phone()
            .send_to(b"junk", (LOCAL, port.number))
            .expect("loopback takes it");
        let mut shown = metrics::Counters::default();
        let late = Instant::now() + Duration::from_secs(10);
        while shown.rtp_rejected.get("idle_port") != Some(&1) {
            assert!(Instant::now() < late, "{:?}", shown.rtp_rejected);
            std::thread::yield_now();
            threads.measure(&mut shown);
        }
        threads.measure(&mut shown);
        assert_eq!(shown.rtp_rejected["idle_port"], 1);
    }

    fn next(seen: &Receiver<Event>) -> Event {
        seen.recv_timeout(Duration::from_secs(10)).unwrap()
    }

    #[test]
    fn two_phones_hear_each_other_and_ports_come_back() {
        let (threads, seen) = threads(0, 0);
        let ports = threads.grant(1);
        assert_eq!(ports.len(), GRANT);
        let phones = [phone(), phone()];
        begin(&threads, 1, ports[0], &phones[0]);
        begin(&threads, 2, ports[1], &phones[1]);
        threads
            .send(
                1,
                Command::Bridge {
                    a: StreamId(1),
                    b: StreamId(2),
                },
            )
            .unwrap();
        // Commands are in order on one channel, so this report says that the bridge stands.
        let items: Arc<[Item]> = [].into();
        threads
            .send(
                1,
                Command::Play {
                    stream: StreamId(1),
                    play: PlayId(1),
                    items,
                    barge_in: false,
                },
            )
            .unwrap();
        assert_eq!(
            next(&seen),
            Event::Played {
                stream: StreamId(1),
                play: PlayId(1)
            }
        );
        let packet = rtp::Fixed {
            marker: false,
            payload_type: 0,
            sequence: 1,
            timestamp: 1,
            ssrc: 3,
        }
        .packet(&[7; 160]);
        phones[0]
            .send_to(&packet, (LOCAL, ports[0].number))
            .unwrap();
        let mut heard = [0; 400];
        let (length, from) = phones[1].recv_from(&mut heard).unwrap();
        assert_eq!(
            (from.port(), &heard[12..length]),
            (ports[1].number, &[7; 160][..])
        );
        assert_eq!(
            next(&seen),
            Event::Flowing {
                stream: StreamId(1)
            }
        );
        threads
            .send(
                1,
                Command::Close {
                    stream: StreamId(1),
                },
            )
            .unwrap();
        let Event::Closed { close } = next(&seen) else {
            panic!("not closed")
        };
        assert_eq!((close.port, close.stats.packets_in), (ports[0], 1));
        threads.stop();
    }

    #[test]
    fn a_prompt_is_heard_and_its_end_is_told() {
        let (threads, seen) = threads(0, 0);
        let ports = threads.grant(0);
        let phone = phone();
        begin(&threads, 1, ports[0], &phone);
        let items: Arc<[Item]> = [Item::Prompt {
            lang: Lang::En,
            name: "long".into(),
        }]
        .into();
        let play = Command::Play {
            stream: StreamId(1),
            play: PlayId(4),
            items,
            barge_in: true,
        };
        threads.send(0, play).unwrap();
        assert_eq!(
            next(&seen),
            Event::Played {
                stream: StreamId(1),
                play: PlayId(4)
            }
        );
        let mut heard = [0; 400];
        for _ in 0..10 {
            assert_eq!(phone.recv(&mut heard).unwrap(), 172);
        }
        threads
            .send(
                0,
                Command::Source {
                    stream: StreamId(1),
                    source: Source::Tone { hertz: 1004 },
                },
            )
            .unwrap();
        assert_eq!(phone.recv(&mut heard).unwrap(), 172);
        threads.stop();
    }

    #[test]
    fn a_range_gives_its_free_even_ports_once() {
        let taken = UdpSocket::bind((LOCAL, 0)).unwrap();
        let middle = taken.local_addr().unwrap().port() & !1;
        let (first, last) = (middle - 9, middle.saturating_add(9));
        let (threads, _) = threads(first, last);
        let ports = threads.grant(0);
        assert!(!ports.is_empty() && ports.len() <= 10, "{ports:?}");
        assert!(
            ports
                .iter()
                .all(|port| port.number % 2 == 0 && (first..=last).contains(&port.number))
        );
        assert!(
            ports
                .iter()
                .all(|port| port.number != taken.local_addr().unwrap().port())
        );
        assert_eq!(
            (threads.grant(0), threads.grant(1), threads.grant(7)),
            (vec![], vec![], vec![])
        );
        threads.stop();
    }

    #[test]
    fn what_cannot_be_sent_comes_back() {
        let (threads, _) = threads(0, 0);
        assert!(
            threads
                .send(
                    9,
                    Command::Close {
                        stream: StreamId(1)
                    }
                )
                .is_err()
        );
        threads.set_prompts(&Arc::new(Prompts::default()));
        assert_eq!(threads.counters().packets_in, 0);
    }
}
