//! All of it put together: started in the order in which things need each other, stopped in the reverse.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use ::clock::Time;
use anyhow::{Context as _, bail};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use engine::{Engine, Input};
use metrics::Counters;
use sip::Transport;
use store::{Log, LogHandle, LogWriter, Store};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::clock::Clock;
use crate::config::{Compiled, Origin, Override};
use crate::control::Control;
use crate::edge::dns::Dns;
use crate::edge::door::Door;
use crate::edge::{keeper, udp, websocket};
use crate::hep::Hep;
use crate::live::{Fixed, Live};
use crate::media_thread::{MediaConfig, MediaThreads};
use crate::publish::News;
use crate::recorder::{self, Recorder};
use crate::services::Services;
use crate::{
    bindings, commands, durable, engine_thread, fatal, journal, limits, listeners, look_up,
    outside, people, prompts, publish, speech, tls, versions,
};

/// How long the log and the snapshot may take at the end.
const CLOSE_PATIENCE: Duration = Duration::from_secs(20);
/// A snapshot at the latest this often.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(300);
/// Last answers (to a BYE, say) may still want to leave after the last call is over.
const LINGER: Duration = Duration::from_millis(300);

/// A running engine.
pub struct Running {
    pub ready: Ready,
    pub live: Arc<Live>,
    draining: Arc<AtomicBool>,
    clock: Clock,
    door: Door,
    drained: Receiver<()>,
    stop: Arc<AtomicBool>,
    log: LogHandle,
    news: Sender<News>,
    threads: Threads,
    media: Arc<MediaThreads>,
    leave: tokio::sync::oneshot::Sender<()>,
    /// Until somebody waits for them.
    signals: Option<Signals>,
    web: tokio::task::JoinHandle<std::io::Result<()>>,
    runtime: tokio::runtime::Runtime,
    /// Gone with it: a command that finds the file asks us.
    _control: Option<Control>,
}

struct Threads {
    udp: Vec<JoinHandle<()>>,
    engine: JoinHandle<()>,
    journal: JoinHandle<()>,
    bindings: JoinHandle<()>,
    publisher: JoinHandle<()>,
    recording: recorder::Threads,
}

/// What the one line of JSON says.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Ready {
    pub event: &'static str,
    pub sip_udp: SocketAddr,
    pub sip_tcp: SocketAddr,
    /// With a certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sip_tls: Option<SocketAddr>,
    /// Every address of SIP with its transport, where there are more than the above.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sip: Vec<String>,
    pub http: SocketAddr,
    /// HTTP is HTTPS.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub https: bool,
    /// First and last RTP port; `null` where the system picks.
    pub rtp: Option<String>,
    pub node: String,
    pub boot: u64,
    pub data_dir: PathBuf,
    pub version: &'static str,
    pub pid: u32,
}

/// Starts everything; when this returns, everything listens.
///
/// # Errors
/// Whatever keeps it from starting: a port that is taken, a data directory that is held or damaged, prompts that cannot be read.
pub fn start(
    mut compiled: Compiled,
    origin: Origin,
    overrides: Vec<Override>,
) -> anyhow::Result<Running> {
    let files = limits::raise_open_files();
    tracing::debug!(files, "open files allowed");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(IO_THREADS)
        .thread_name("io")
        .enable_all()
        .build()?;
    // Ports first: a second engine on the same ports must not touch the data.
    let mut bound = listeners::bind(&runtime, &compiled.settings)?;
    let http_listener = runtime
        .block_on(TcpListener::bind(compiled.settings.http))
        .with_context(|| format!("HTTP {}", compiled.settings.http))?;
    let http = http_listener.local_addr()?;

    let durable = durable::open(&compiled)?;
    let clock = Clock::start(Time::from_nanos(durable.opened.last_at));
    if clock.ahead() > Duration::from_secs(1) {
        tracing::warn!(ahead = ?clock.ahead(), "the wall clock is behind the log; times run ahead of it until it has caught up");
    }
    let fixed = Fixed {
        listeners: bound.addresses.clone(),
        acd_seed: u64::from_be_bytes(random()?),
    };
    fixed.put_into(&mut compiled);

    let (door, inbox) = Door::new();
    door.sources().configure(&compiled);
    let counters = Arc::new(Mutex::new(Counters::default()));
    let keep = compiled.settings.keep_recordings;
    let (recorder, recording) = recorder::spawn(durable.store.clone(), clock, keep)?;
    let media = Arc::new(media_threads(&compiled, &door, &recorder, clock)?);
    let granted = first_ports(&media, &compiled.settings.rtp.bind)?;
    let engine = Engine::new(compiled.engine.clone(), random()?);
    let mut start = durable.recovery.start(
        durable.opened.boot,
        Time::from_nanos(durable.opened.last_at),
    );
    start.bindings = bindings::kept(&durable.store)?;
    door.sources().restored(&start.bindings);
    let last_sequence = durable.opened.last_sequence;
    if start.next_sequence != last_sequence + 1 {
        bail!(
            "the log ends with event {last_sequence}, but its fold with {}",
            start.next_sequence - 1
        );
    }
    let hub = outside::hub(&compiled, durable.board, durable.fold, &door, clock);
    let awaited = commands::Awaited::default();
    let (news, hears) = publish::channel();
    let log = log_writer(durable.log, &durable.store, news.clone(), &counters)?;
    let publisher = publish::spawn(
        hears,
        hub.clone(),
        durable.recovery,
        durable.snapshots,
        awaited.clone(),
    )?;
    let (journal, journal_thread) = journal::spawn(
        log.clone(),
        news.clone(),
        awaited.clone(),
        last_sequence,
        clock,
    )?;
    let look_ups = look_up::spawn(look_up_in(durable.store.clone()), door.clone(), clock)?;
    let speaker = speech::spawn(compiled.settings.speech.clone(), &media, &door, clock)?;
    let (kept_bindings, bindings_thread) = bindings::spawn(durable.store.clone())?;
    let (drained_tell, drained) = bounded(1);

    // Before anybody else can say anything: the run begins, and has ports.
    door.send(clock.now(), Input::Start(start));
    let recording = recording.start(door.clone())?;
    if let Some(browsers) = media.door() {
        door.send(clock.now(), Input::Door(browsers));
    }
    let ports_low = granter(media.clone(), door.clone(), clock)?;
    for (plane, ports) in (0..).zip(granted) {
        if ports.is_empty() {
            // The engine does not know this plane yet.
            let _ = ports_low.try_send(plane);
        }
        door.send(clock.now(), Input::PortsGranted(ports));
    }
    let sip_keys = tls::Current::new(compiled.settings.sip_tls.clone());
    let streams = std::mem::take(&mut bound.streams);
    let connections = runtime.block_on(async {
        let keys = sip_keys.clone();
        keeper::spawn(streams, keys, door.clone(), clock, files, counters.clone())
    });
    let dns = Dns::new(
        &compiled.settings.dns_servers,
        runtime.handle().clone(),
        door.clone(),
        clock,
    );
    let wiring = engine_thread::Wiring {
        inbox,
        clock,
        udp: bound.udp.clone(),
        connections: connections.clone(),
        dns,
        media: media.clone(),
        recorder: recorder.clone(),
        ports_low,
        journal,
        look_ups,
        services: Services::new(
            durable.store.clone(),
            runtime.handle().clone(),
            door.clone(),
            clock,
            compiled.settings.country.clone(),
        ),
        speaker: speaker.clone(),
        bindings: kept_bindings,
        sources: door.sources(),
        counters: counters.clone(),
        drained: drained_tell,
        hep: compiled
            .settings
            .hep
            .clone()
            .map(|hep| Hep::start(hep, bound.addresses.clone()))
            .transpose()?,
    };
    let engine = engine_thread::spawn(engine, wiring)?;
    let stop = Arc::new(AtomicBool::new(false));
    let udp = bound
        .udp
        .all()
        .iter()
        .map(|socket| udp::spawn(socket.clone(), door.clone(), clock, stop.clone()))
        .collect::<std::io::Result<Vec<_>>>()?;
    snapshot_now_and_then(news.clone(), stop.clone())?;

    let rtp = &compiled.settings.rtp;
    let http_keys = tls::Current::new(compiled.settings.http_tls.clone());
    let https = compiled.settings.http_tls.server.is_some();
    let ready = Ready {
        event: "ready",
        sip_udp: bound.first(Transport::Udp).unwrap_or(http),
        sip_tcp: bound.first(Transport::Tcp).unwrap_or(http),
        sip_tls: bound.first(Transport::Tls),
        sip: bound.told(),
        http,
        https,
        rtp: (rtp.first != 0).then(|| format!("{}-{}", rtp.first, rtp.last)),
        node: compiled.settings.node.to_string(),
        boot: durable.opened.boot,
        data_dir: std::path::absolute(&compiled.settings.data_dir)
            .unwrap_or_else(|_| compiled.settings.data_dir.clone()),
        version: env!("CARGO_PKG_VERSION"),
        pid: std::process::id(),
    };
    let (gateway, asks) = web::gateway();
    let settling = gateway.clone();
    commands::spawn(asks, awaited, door.clone(), clock)?;
    let draining: Arc<AtomicBool> = Arc::default();
    let live = Arc::new(Live::new(
        origin,
        overrides,
        fixed,
        Arc::new(compiled),
        door.clone(),
        clock,
    ));
    let operator: String = random::<32>()?
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let control = Control::write(&ready.data_dir, http, &operator)
        .inspect_err(|error| {
            tracing::warn!("commands on this machine will not find the engine: {error:#}")
        })
        .ok();
    let app = web::App::new(outside::web_setup(
        &live,
        &durable.store,
        &log,
        gateway,
        hub,
        counters,
        clock,
        &draining,
        &media,
        &recorder,
        &operator,
    ));
    live.tell({
        let app = app.clone();
        move |compiled| app.configure(people::accounts(compiled), people::labels(compiled))
    });
    live.tell({
        let (sip, http) = (sip_keys.clone(), http_keys.clone());
        move |compiled| {
            sip.set(compiled.settings.sip_tls.clone());
            http.set(compiled.settings.http_tls.clone());
        }
    });
    live.tell({
        let sources = door.sources();
        move |compiled| sources.configure(compiled)
    });
    keep_flows(&live.current());
    live.tell(keep_flows);
    live.tell(move |compiled| recorder.keep_for(compiled.settings.keep_recordings));
    live.tell({
        let media = media.clone();
        move |compiled| {
            speaker.configure(compiled.settings.speech.clone());
            media.set_prompts(&Arc::new(load_prompts(compiled)));
        }
    });
    let (leave, leaving) = tokio::sync::oneshot::channel::<()>();
    let more = websocket::router(connections, https);
    let tls = https.then(|| -> web::Keys { Arc::new(move || http_keys.get().server) });
    let web = runtime.spawn(web::serve(http_listener, tls, app, more, async move {
        let _ = leaving.await;
    }));
    // Before anybody is told that we run: from then on they may end us.
    let signals = runtime.block_on(async { Signals::hear() })?;
    let threads = Threads {
        udp,
        engine,
        journal: journal_thread,
        bindings: bindings_thread,
        publisher,
        recording,
    };
    // Calls that were in progress when the last run ended are closed in the log before anybody is told that we are ready.
    if !runtime.block_on(settling.is_settled()) {
        tracing::warn!("the beginning of this run is not on disk yet");
    }
    Ok(Running {
        ready,
        live,
        draining,
        clock,
        door,
        drained,
        stop,
        log,
        news,
        threads,
        media,
        leave,
        signals: Some(signals),
        web,
        runtime,
        _control: control,
    })
}

/// Threads of tokio: TCP and HTTP are little work beside signalling and media.
const IO_THREADS: usize = 2;

impl Running {
    /// Runs until it is told to stop.
    ///
    /// # Errors
    /// When a reload panicked.
    pub fn until_told(&mut self) -> anyhow::Result<()> {
        let Some(signals) = self.signals.take() else {
            return Ok(()); // told already
        };
        self.runtime
            .block_on(wait_for_stop(signals, self.live.clone()))
    }

    /// Drains and stops. True when every call could finish.
    ///
    /// # Errors
    /// When what is known could not be made durable.
    pub fn finish(self) -> anyhow::Result<bool> {
        let within = self.live.current().settings.drain;
        eprintln!(
            "draining: no new calls; those in progress have {} s (a second signal ends at once)",
            within.as_secs()
        );
        let finished = self.drain(within);
        self.stop()?;
        Ok(finished)
    }

    /// Takes no new calls and waits for those in progress, at most `within`.
    pub fn drain(&self, within: Duration) -> bool {
        self.draining.store(true, Ordering::Release);
        self.door.send(self.clock.now(), Input::Drain { within });
        // The engine ends what is left by itself at the deadline; this is for an engine that does not.
        let finished = self
            .drained
            .recv_timeout(within + Duration::from_secs(5))
            .is_ok();
        std::thread::sleep(LINGER);
        finished
    }

    /// Stops everything; what is known is on disk afterwards.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub fn stop(self) -> anyhow::Result<()> {
        self.stop.store(true, Ordering::Release);
        let Threads {
            udp,
            engine,
            journal,
            bindings,
            publisher,
            recording,
        } = self.threads;
        // What was recorded is on disk, and told to the engine, before that stops.
        recording.stop();
        self.door.stop();
        let joined = |thread: JoinHandle<()>, name: &str| {
            thread
                .join()
                .map_err(|_| anyhow::anyhow!("the {name} thread panicked"))
        };
        joined(engine, "engine")?;
        for thread in udp {
            joined(thread, "UDP")?;
        }
        joined(journal, "journal")?;
        joined(bindings, "bindings")?;
        let written = self.log.close(CLOSE_PATIENCE);
        // The last events are published before the streams end, and closed contacts are indexed before the snapshot.
        let _ = self.leave.send(());
        let served = self
            .runtime
            .block_on(async { tokio::time::timeout(CLOSE_PATIENCE, self.web).await });
        if !matches!(served, Ok(Ok(Ok(())))) {
            tracing::warn!("HTTP did not end well");
        }
        let kept = publish::snapshot(&self.news, CLOSE_PATIENCE);
        let _ = self.news.send(News::Stop);
        joined(publisher, "publisher")?;
        self.runtime.shutdown_timeout(Duration::from_secs(1));
        drop(self.media);
        if !written {
            bail!("the log could not be written to its end");
        }
        if !kept {
            tracing::warn!("no snapshot was written; the next start reads more of the log");
        }
        Ok(())
    }
}

fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow::anyhow!("the system gives no random numbers: {error}"))?;
    Ok(bytes)
}

fn media_threads(
    compiled: &Compiled,
    door: &Door,
    recorder: &Recorder,
    clock: Clock,
) -> anyhow::Result<MediaThreads> {
    let rtp = &compiled.settings.rtp;
    let planes = match rtp.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => usize::from(threads),
    };
    let config = MediaConfig {
        addresses: rtp.bind.clone(),
        first: rtp.first,
        last: if rtp.first == 0 { 0 } else { rtp.last },
        planes,
        browsers: Some(rtp.browsers),
        media_timeout: Some(compiled.engine.media_timeout).filter(|timeout| !timeout.is_zero()),
    };
    let prompts = load_prompts(compiled);
    let door = door.clone();
    let events = move |event| door.offer_media(clock.now(), event);
    Ok(MediaThreads::spawn(
        config,
        Arc::new(prompts),
        events,
        recorder.taps(),
        move || clock.now(),
    )?)
}

/// So that a version can be put back. A disk that does not take them keeps nobody from calling.
fn keep_flows(compiled: &Compiled) {
    let kept = versions::keep(&compiled.settings.data_dir, &compiled.engine.flows);
    if let Err(error) = kept {
        tracing::warn!(%error, "versions of flows are not kept");
    }
}

/// What cannot be played is told and left out: a missing prompt is silence, not a centre that does not start.
fn load_prompts(compiled: &Compiled) -> media::Prompts {
    let Some(dir) = &compiled.settings.ivr_dir else {
        return media::Prompts::default();
    };
    let (mut prompts, faults) = prompts::load(&dir.join("prompts"));
    let mut faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    if let Some(engine) = &compiled.settings.speech {
        faults.extend(speech::prepare(
            engine,
            &compiled.engine.flows,
            &mut prompts,
        ));
    }
    faults
        .iter()
        .for_each(|fault| tracing::warn!("prompt left out: {fault}"));
    prompts
}

fn log_writer(
    log: Log,
    store: &Store,
    news: Sender<News>,
    counters: &Arc<Mutex<Counters>>,
) -> anyhow::Result<LogHandle> {
    let counts = counters.clone();
    // The writer's thread is the store's: it drops this when it panics.
    let vital = fatal::Vital("log-writer");
    let on_commit = move |committed: store::Committed| {
        let _ = &vital;
        {
            let mut counts = publish::lock(&counts);
            counts.events_sequence = committed.sequence;
            counts.store_commit.observe(committed.took.as_secs_f64());
        }
        let _ = news.send(News::Committed {
            sequence: committed.sequence,
        });
    };
    let counts = counters.clone();
    let on_trouble = move |trouble: Option<&store::Trouble>| {
        publish::lock(&counts).store_failing = trouble.is_some();
        match trouble {
            Some(trouble) => tracing::error!(
                tries = trouble.tries,
                queued_bytes = trouble.queued_bytes,
                lost = trouble.lost,
                "the event log cannot be written: {}",
                trouble.message
            ),
            None => tracing::info!("the event log can be written again"),
        }
    };
    Ok(LogWriter::spawn(log, store, on_commit, on_trouble)?)
}

fn look_up_in(store: Store) -> impl Fn(&crm::Number) -> Option<crm::Pop> + Send + 'static {
    move |number| match store.pop(number) {
        Ok(pop) => Some(pop),
        Err(error) => {
            tracing::error!(%error, "a customer look-up failed");
            None
        }
    }
}

/// The ports that each plane begins with.
fn first_ports(media: &MediaThreads, bind: &[IpAddr]) -> anyhow::Result<Vec<Vec<media::Port>>> {
    let granted: Vec<_> = (0..media.planes() as u16)
        .map(|plane| media.grant(plane))
        .collect();
    if granted.iter().all(Vec::is_empty) {
        bail!(
            "no RTP port can be bound on {bind:?}: every one of rtp's range is taken, or the address is not this machine's"
        );
    }
    Ok(granted)
}

/// Binds further RTP sockets when a plane runs low. The engine asks once: where there are none now, they are tried for again.
fn granter(media: Arc<MediaThreads>, door: Door, clock: Clock) -> anyhow::Result<Sender<u16>> {
    let (sender, receiver) = bounded::<u16>(media.planes()); // one request of each is under way at most
    fatal::spawn("rtp-ports", move || {
        let mut low = BTreeSet::new();
        loop {
            let asked = if low.is_empty() {
                receiver.recv().map_err(RecvTimeoutError::from)
            } else {
                receiver.recv_timeout(GRANT_AGAIN)
            };
            match asked {
                Ok(plane) => drop(low.insert(plane)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            low.retain(|plane| {
                let ports = media.grant(*plane);
                let none = ports.is_empty();
                if !none {
                    door.send(clock.now(), Input::PortsGranted(ports));
                }
                none
            });
        }
    })?;
    Ok(sender)
}

/// Between two tries for a plane that got no ports.
const GRANT_AGAIN: Duration = Duration::from_secs(1);

fn snapshot_now_and_then(news: Sender<News>, stop: Arc<AtomicBool>) -> std::io::Result<()> {
    // A thread that only waits: a snapshot is work of the publisher's.
    std::thread::Builder::new()
        .name("snapshots".to_owned())
        .spawn(move || {
            let mut waited = Duration::ZERO;
            while !stop.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(500));
                waited += Duration::from_millis(500);
                if waited >= SNAPSHOT_EVERY {
                    waited = Duration::ZERO;
                    publish::snapshot(&news, CLOSE_PATIENCE);
                }
            }
        })?;
    Ok(())
}

/// Signals that no longer end the process by themselves; those that came before somebody waits are not lost.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn hear() -> std::io::Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }
}

/// Waits for SIGTERM or SIGINT; SIGHUP reloads the configuration. From then on a second signal ends the process.
async fn wait_for_stop(signals: Signals, live: Arc<Live>) -> anyhow::Result<()> {
    let Signals {
        mut terminate,
        mut interrupt,
        mut hang_up,
    } = signals;
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => {
                let live = live.clone();
                // Reading files may block.
                tokio::task::spawn_blocking(move || live.reload_aloud("signal")).await?.ok();
            }
        }
    }
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        eprintln!("ended at once by a second signal");
        std::process::exit(1);
    });
    Ok(())
}
