//! SIP over connections: the keeper owns the table of them, whatever carries them (TCP, TLS, WebSocket); each has one task of its own.
//!
//! A connection is a flow with a name ([`FlowId`]) that is never used twice. Everything is bounded: connections, those of one source, what may
//! wait to be written on one, what may wait for the keeper. A peer that does not read is cut off, and where connections run out, those go
//! first on which no message has ever come.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use metrics::Counters;
use sip::{FlowId, Peer, Transport};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::connection::{Connection, Origin};
use super::door::Door;
use crate::clock::Clock;
use crate::fatal::Vital;
use crate::tls;

/// Connections at most, and fewer where the system allows few files.
const CONNECTIONS_MAX: usize = 10_000;
/// Of the files that the process may open, one in so many may be a connection: RTP, the log and HTTP need theirs.
const FILES_SHARE: u64 = 4;
/// Connections of one source address at most (IPv6: of one /64 network, which is what one subscriber has): a branch office behind one NAT.
const PER_SOURCE_MAX: usize = 4_096;
/// Connections that may wait to be accepted, as far as the kernel allows: a burst of phones after a power cut.
const BACKLOG: i32 = 4_096;
/// Messages that may wait to be written on one connection.
const WRITE_QUEUE: usize = 256;
/// Messages of the engine that may wait for the keeper.
const KEEPER_QUEUE: usize = 16_384;
/// Domains and aliases that are remembered for addresses; beyond it, certificates must be good for the address, and connections are opened anew.
const REMEMBERED_MAX: usize = 4_096;

/// A hand on the connections, cheap to clone.
#[derive(Clone)]
pub struct Connections {
    orders: mpsc::Sender<Order>,
}

/// What the keeper is told.
pub(super) enum Order {
    Send {
        peer: Peer,
        bytes: Bytes,
    },
    Domain {
        remote: SocketAddr,
        name: Arc<str>,
    },
    Alias {
        flow: FlowId,
        remote: SocketAddr,
    },
    /// Somebody has connected to us.
    Accepted {
        transport: Transport,
        remote: SocketAddr,
        origin: Origin,
    },
    Gone {
        flow: FlowId,
    },
}

impl Connections {
    /// Sends a message; never waits. False when it could not be queued.
    pub fn send(&self, peer: Peer, bytes: Bytes) -> bool {
        self.orders.try_send(Order::Send { peer, bytes }).is_ok()
    }

    /// [`sip::Edge::Domain`]; before the message that it is about.
    pub fn domain(&self, remote: SocketAddr, name: Arc<str>) {
        let _ = self.orders.try_send(Order::Domain { remote, name });
    }

    /// [`sip::Edge::Alias`].
    pub fn alias(&self, flow: FlowId, remote: SocketAddr) {
        let _ = self.orders.try_send(Order::Alias { flow, remote });
    }

    /// A WebSocket that HTTP has accepted. It is closed where there is no room.
    pub async fn upgraded(
        &self,
        transport: Transport,
        remote: SocketAddr,
        socket: axum::extract::ws::WebSocket,
    ) {
        let origin = Origin::WebSocket(Box::new(socket));
        let _ = self
            .orders
            .send(Order::Accepted {
                transport,
                remote,
                origin,
            })
            .await;
    }
}

/// Starts accepting and keeping. `files` is how many the process may have open.
pub fn spawn(
    listeners: Vec<(Transport, TcpListener)>,
    tls: tls::Current,
    door: Door,
    clock: Clock,
    files: u64,
    counters: Arc<Mutex<Counters>>,
) -> Connections {
    let (orders, taken) = mpsc::channel(KEEPER_QUEUE);
    for (transport, listener) in listeners {
        let (orders, tls) = (orders.clone(), tls.clone());
        tokio::spawn(async move {
            let _vital = Vital("sip accept");
            accept(transport, listener, tls, orders).await;
        });
    }
    let keeper = Keeper {
        door,
        clock,
        tls,
        orders: orders.clone(),
        flows: BTreeMap::new(),
        by_remote: HashMap::new(),
        by_source: HashMap::new(),
        domains: HashMap::new(),
        last_flow: 0,
        counters,
        connections_max: usize::try_from(files / FILES_SHARE)
            .unwrap_or(CONNECTIONS_MAX)
            .min(CONNECTIONS_MAX),
    };
    tokio::spawn(async move {
        let _vital = Vital("sip connections");
        keeper.run(taken).await;
    });
    Connections { orders }
}

async fn accept(
    transport: Transport,
    listener: TcpListener,
    tls: tls::Current,
    orders: mpsc::Sender<Order>,
) {
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                prepare(&stream);
                let origin = match (transport, tls.get().server) {
                    (Transport::Tls, Some(config)) => Origin::Tls(stream, config),
                    (Transport::Tls, None) => continue, // closed: the certificate is gone
                    _ => Origin::Tcp(stream),
                };
                let order = Order::Accepted {
                    transport,
                    remote,
                    origin,
                };
                if orders.send(order).await.is_err() {
                    return;
                }
            }
            // Out of files: those that are open go on, and their ends make room.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Small messages leave at once; the kernel finds out about peers that are gone without a word, within two minutes.
pub(super) fn prepare(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let alive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(15))
        .with_retries(4);
    let _ = socket2::SockRef::from(stream).set_tcp_keepalive(&alive);
}

struct Flow {
    transport: Transport,
    remote: SocketAddr,
    writer: mpsc::Sender<Bytes>,
    /// A whole message has come.
    proven: Arc<AtomicBool>,
    task: Option<AbortHandle>,
}

struct Keeper {
    door: Door,
    clock: Clock,
    tls: tls::Current,
    orders: mpsc::Sender<Order>,
    /// In the order of their age.
    flows: BTreeMap<FlowId, Flow>,
    by_remote: HashMap<(Transport, SocketAddr), FlowId>,
    by_source: HashMap<IpAddr, usize>,
    /// What a certificate must be good for at an address.
    domains: HashMap<SocketAddr, Arc<str>>,
    last_flow: u64,
    counters: Arc<Mutex<Counters>>,
    connections_max: usize,
}

impl Keeper {
    async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        while let Some(order) = orders.recv().await {
            match order {
                Order::Send { peer, bytes } => self.send(peer, bytes),
                Order::Domain { remote, name } => self.domain(remote, name),
                Order::Alias { flow, remote } => self.alias(flow, remote),
                Order::Accepted {
                    transport,
                    remote,
                    origin,
                } => {
                    if self.make_room(remote.ip()) {
                        self.begin(transport, remote, origin, None);
                    }
                }
                Order::Gone { flow } => self.gone(flow),
            }
        }
    }

    /// Room for one more of this source; false when there is none, and it is closed.
    fn make_room(&mut self, ip: IpAddr) -> bool {
        let source = sip::subscriber(ip);
        let of_source = self.by_source.get(&source).copied().unwrap_or_default();
        if of_source >= PER_SOURCE_MAX {
            return self.evict(Some(source));
        }
        self.flows.len() < self.connections_max || self.evict(None)
    }

    /// Ends the oldest connection (of this source) that has never said anything whole.
    fn evict(&mut self, source: Option<IpAddr>) -> bool {
        let silent = self.flows.iter().find(|(_, flow)| {
            let concerned = source.is_none_or(|source| sip::subscriber(flow.remote.ip()) == source);
            concerned && !flow.proven.load(Ordering::Relaxed)
        });
        let Some(flow) = silent.map(|(flow, _)| *flow) else {
            return false;
        };
        self.gone(flow);
        true
    }

    fn begin(
        &mut self,
        transport: Transport,
        remote: SocketAddr,
        origin: Origin,
        first: Option<Bytes>,
    ) {
        self.last_flow += 1;
        let flow = FlowId(self.last_flow);
        let (writer, waiting) = mpsc::channel(WRITE_QUEUE);
        if let Some(bytes) = first {
            let _ = writer.try_send(bytes);
        }
        let proven: Arc<AtomicBool> = Arc::default();
        let peer = Peer {
            transport,
            remote,
            flow: Some(flow),
        };
        let connection = Connection {
            peer,
            door: self.door.clone(),
            clock: self.clock,
            answers: writer.clone(),
            proven: proven.clone(),
        };
        self.flows.insert(
            flow,
            Flow {
                transport,
                remote,
                writer,
                proven,
                task: None,
            },
        );
        self.by_remote.insert((transport, remote), flow);
        self.counted(transport, |open| open + 1);
        *self
            .by_source
            .entry(sip::subscriber(remote.ip()))
            .or_default() += 1;
        let orders = self.orders.clone();
        let task = tokio::spawn(async move {
            connection.run(origin, waiting).await;
            let _ = orders.send(Order::Gone { flow }).await;
        });
        if let Some(open) = self.flows.get_mut(&flow) {
            open.task = Some(task.abort_handle());
        }
    }

    fn send(&mut self, peer: Peer, bytes: Bytes) {
        let known = (peer.transport, peer.remote);
        let flow = peer.flow.or_else(|| self.by_remote.get(&known).copied());
        if let Some((flow, open)) = flow.and_then(|flow| Some((flow, self.flows.get(&flow)?))) {
            if open.writer.try_send(bytes).is_err() {
                self.gone(flow);
            }
            return;
        }
        // Only browsers open WebSockets.
        let lost = peer.flow.is_some() || matches!(peer.transport, Transport::Ws | Transport::Wss);
        if lost || !(self.flows.len() < self.connections_max || self.evict(None)) {
            return self.unreachable(peer);
        }
        self.open(peer, bytes);
    }

    fn open(&mut self, peer: Peer, bytes: Bytes) {
        let origin = if peer.transport == Transport::Tls {
            let Some(config) = self.tls.get().client else {
                return self.unreachable(peer);
            };
            let name = self.domains.get(&peer.remote).cloned();
            Origin::OpenTls(config, name)
        } else {
            Origin::Open
        };
        self.begin(peer.transport, peer.remote, origin, Some(bytes));
    }

    fn domain(&mut self, remote: SocketAddr, name: Arc<str>) {
        let known = self.domains.get(&remote);
        if known == Some(&name) {
            return;
        }
        // A connection whose certificate was verified for another domain, or for the address alone, does not serve this one.
        self.by_remote.remove(&(Transport::Tls, remote));
        if known.is_some() || self.domains.len() < REMEMBERED_MAX {
            self.domains.insert(remote, name);
        }
    }

    fn alias(&mut self, flow: FlowId, remote: SocketAddr) {
        let Some(open) = self.flows.get(&flow) else {
            return;
        };
        let aliases = self.by_remote.len().saturating_sub(self.flows.len());
        if aliases < REMEMBERED_MAX {
            self.by_remote.insert((open.transport, remote), flow);
        }
    }

    fn gone(&mut self, flow: FlowId) {
        let Some(closed) = self.flows.remove(&flow) else {
            return;
        };
        if let Some(task) = closed.task {
            task.abort();
        }
        self.counted(closed.transport, |open| open.saturating_sub(1));
        let source = sip::subscriber(closed.remote.ip());
        if let Some(count) = self.by_source.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.by_source.remove(&source);
            }
        }
        self.door.sources().closed(flow);
        let known = (closed.transport, closed.remote);
        if self.by_remote.get(&known) == Some(&flow) {
            self.by_remote.remove(&known);
        }
        if self.by_remote.len() > self.flows.len() {
            self.by_remote.retain(|_, other| *other != flow);
        }
        self.door
            .sip(self.clock.now(), sip::Input::FlowClosed { flow }, false);
    }

    /// How many of a transport are open, for `/metrics`.
    fn counted(&self, transport: Transport, change: impl Fn(u64) -> u64) {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let open = counters.sip_connections.entry(label(transport));
        let open = open.or_default();
        *open = change(*open);
    }

    fn unreachable(&self, peer: Peer) {
        self.door
            .sip(self.clock.now(), sip::Input::Unreachable { peer }, false);
    }
}

/// As the metric calls it; datagrams have no connections.
fn label(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
        Transport::Tls => "tls",
        Transport::Ws => "ws",
        Transport::Wss => "wss",
    }
}

/// Binds a listener.
///
/// # Errors
/// When the address cannot be bound.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // IPv4 has a socket of its own.
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}
