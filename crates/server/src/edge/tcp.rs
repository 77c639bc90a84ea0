//! SIP over TCP: a keeper task owns the table of connections; each connection has a reading and a writing task.
//!
//! A connection is a flow with a name ([`FlowId`]) that is never used twice. Everything is bounded: connections, what may wait to be written
//! on one, what may wait for the keeper. A peer that does not read is cut off.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use sip::framing::{Frame, StreamFramer};
use sip::{FlowId, Peer, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::door::{Admission, Door};
use crate::clock::Clock;
use crate::fatal::Vital;

/// Connections at most; the next one is closed as it comes.
const CONNECTIONS_MAX: usize = 10_000;
/// Messages that may wait to be written on one connection.
const WRITE_QUEUE: usize = 256;
/// Messages of the engine that may wait for the keeper.
const KEEPER_QUEUE: usize = 16_384;
/// Largest message (RFC 3261 knows no bound; ours is the configuration's `max_message`).
const MESSAGE_MAX: usize = 64 * 1024;
/// A peer that has not answered our SYN by then is not there.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// A connection on which nothing at all came for this long is closed; phones ping every two minutes at the latest (RFC 5626 section 4.4.1).
const IDLE_MAX: Duration = Duration::from_secs(2 * 3600);
/// A fresh connection must say something by then.
const FIRST_WORD: Duration = Duration::from_secs(32);
/// A single write that takes longer means that the peer does not read.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);
/// Bytes by one read.
const READ_SIZE: usize = 16 * 1024;

/// The engine thread's hand on the connections.
#[derive(Clone)]
pub struct Connections {
    orders: mpsc::Sender<Order>,
}

enum Order {
    Send {
        peer: Peer,
        bytes: Bytes,
    },
    Accepted {
        stream: TcpStream,
        remote: SocketAddr,
    },
    Opened {
        flow: FlowId,
        stream: TcpStream,
        waiting: mpsc::Receiver<Bytes>,
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
}

/// Binds the listener.
///
/// # Errors
/// When the address cannot be bound.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Starts accepting and keeping.
pub fn spawn(listener: TcpListener, door: Door, clock: Clock) -> Connections {
    let (orders, taken) = mpsc::channel(KEEPER_QUEUE);
    let accepting = accept(listener, orders.clone());
    tokio::spawn(async move {
        let _vital = Vital("sip-tcp accept");
        accepting.await;
    });
    let keeper = Keeper {
        door,
        clock,
        orders: orders.clone(),
        flows: HashMap::new(),
        by_remote: HashMap::new(),
        last_flow: 0,
    };
    tokio::spawn(async move {
        let _vital = Vital("sip-tcp keeper");
        keeper.run(taken).await;
    });
    Connections { orders }
}

async fn accept(listener: TcpListener, orders: mpsc::Sender<Order>) {
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                if orders
                    .send(Order::Accepted { stream, remote })
                    .await
                    .is_err()
                {
                    return;
                }
            }
            // Out of files: those that are open go on, and their ends make room.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

struct Flow {
    remote: SocketAddr,
    writer: mpsc::Sender<Bytes>,
}

struct Keeper {
    door: Door,
    clock: Clock,
    orders: mpsc::Sender<Order>,
    flows: HashMap<FlowId, Flow>,
    by_remote: HashMap<SocketAddr, FlowId>,
    last_flow: u64,
}

impl Keeper {
    async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        while let Some(order) = orders.recv().await {
            match order {
                Order::Send { peer, bytes } => self.send(peer, bytes),
                Order::Accepted { stream, remote } => self.accepted(stream, remote),
                Order::Opened {
                    flow,
                    stream,
                    waiting,
                } => self.opened(flow, stream, waiting),
                Order::Gone { flow } => self.gone(flow),
            }
        }
    }

    fn new_flow(&mut self, remote: SocketAddr) -> (FlowId, mpsc::Receiver<Bytes>) {
        self.last_flow += 1;
        let flow = FlowId(self.last_flow);
        let (writer, waiting) = mpsc::channel(WRITE_QUEUE);
        self.flows.insert(flow, Flow { remote, writer });
        self.by_remote.insert(remote, flow);
        (flow, waiting)
    }

    fn accepted(&mut self, stream: TcpStream, remote: SocketAddr) {
        if self.flows.len() >= CONNECTIONS_MAX {
            return; // dropped: closed
        }
        let (flow, waiting) = self.new_flow(remote);
        self.start(flow, stream, waiting, StreamFramer::accepted(MESSAGE_MAX));
    }

    fn opened(&mut self, flow: FlowId, stream: TcpStream, waiting: mpsc::Receiver<Bytes>) {
        self.start(flow, stream, waiting, StreamFramer::opened(MESSAGE_MAX));
    }

    fn start(
        &mut self,
        flow: FlowId,
        stream: TcpStream,
        waiting: mpsc::Receiver<Bytes>,
        framer: StreamFramer,
    ) {
        let Some(Flow { remote, writer }) = self.flows.get(&flow) else {
            return;
        };
        let _ = stream.set_nodelay(true);
        let (read, write) = stream.into_split();
        let peer = Peer {
            transport: Transport::Tcp,
            remote: *remote,
            flow: Some(flow),
        };
        let reader = Reader {
            peer,
            door: self.door.clone(),
            clock: self.clock,
            answers: writer.clone(),
        };
        let orders = self.orders.clone();
        tokio::spawn(async move {
            // Whichever ends first ends the connection: a reader at the peer's close, a writer at a peer that does not read.
            tokio::select! {
                () = reader.run(read, framer) => {}
                () = write_all(write, waiting) => {}
            }
            let _ = orders.send(Order::Gone { flow }).await;
        });
    }

    fn send(&mut self, peer: Peer, bytes: Bytes) {
        let flow = peer
            .flow
            .or_else(|| self.by_remote.get(&peer.remote).copied());
        match flow.and_then(|flow| self.flows.get(&flow).map(|open| (flow, open))) {
            Some((flow, open)) => {
                if open.writer.try_send(bytes).is_err() {
                    self.gone(flow);
                }
            }
            None if peer.flow.is_some() || self.flows.len() >= CONNECTIONS_MAX => {
                self.unreachable(peer)
            }
            None => self.open(peer, bytes),
        }
    }

    fn open(&mut self, peer: Peer, bytes: Bytes) {
        let (flow, waiting) = self.new_flow(peer.remote);
        if let Some(open) = self.flows.get(&flow) {
            let _ = open.writer.try_send(bytes);
        }
        let (orders, door, clock) = (self.orders.clone(), self.door.clone(), self.clock);
        tokio::spawn(async move {
            match timeout(CONNECT_PATIENCE, TcpStream::connect(peer.remote)).await {
                Ok(Ok(stream)) => {
                    let _ = orders
                        .send(Order::Opened {
                            flow,
                            stream,
                            waiting,
                        })
                        .await;
                }
                Ok(Err(_)) | Err(_) => {
                    door.sip(clock.now(), sip::Input::Unreachable { peer }, false);
                    let _ = orders.send(Order::Gone { flow }).await;
                }
            }
        });
    }

    fn gone(&mut self, flow: FlowId) {
        let Some(closed) = self.flows.remove(&flow) else {
            return;
        };
        if self.by_remote.get(&closed.remote) == Some(&flow) {
            self.by_remote.remove(&closed.remote);
        }
        self.door
            .sip(self.clock.now(), sip::Input::FlowClosed { flow }, false);
    }

    fn unreachable(&self, peer: Peer) {
        self.door
            .sip(self.clock.now(), sip::Input::Unreachable { peer }, false);
    }
}

struct Reader {
    peer: Peer,
    door: Door,
    clock: Clock,
    /// Pongs and refusals that need no engine.
    answers: mpsc::Sender<Bytes>,
}

impl Reader {
    async fn run(self, mut read: OwnedReadHalf, mut framer: StreamFramer) {
        let mut buffer = vec![0u8; READ_SIZE];
        let mut patience = FIRST_WORD;
        loop {
            let Ok(Ok(length)) = timeout(patience, read.read(&mut buffer)).await else {
                return;
            };
            if length == 0 {
                return;
            }
            patience = IDLE_MAX;
            framer.push(&buffer[..length]);
            loop {
                match framer.poll() {
                    Ok(Some(frame)) => self.frame(frame),
                    Ok(None) => break,
                    Err(error) => {
                        let input = sip::Input::Malformed {
                            peer: self.peer,
                            bytes: error.head().clone(),
                        };
                        self.door.sip(self.clock.now(), input, true);
                        // The engine's answer, if any, needs the connection a moment longer.
                        tokio::time::sleep(Duration::from_millis(200)).await;
                        return;
                    }
                }
            }
        }
    }

    fn frame(&self, frame: Frame) {
        let at = self.clock.now();
        match frame {
            Frame::Message(message) => {
                let new_work = sip::is_new_work(&message);
                let answerable = new_work.then(|| message.clone());
                if let Admission::Refused { retry_after } = self.door.sip(
                    at,
                    sip::Input::Message {
                        peer: self.peer,
                        message,
                    },
                    new_work,
                ) && let Some(response) = answerable
                    .and_then(|message| sip::overload_response(&message, &self.peer, retry_after))
                {
                    let _ = self.answers.try_send(response);
                }
            }
            Frame::Malformed(bytes, _) => {
                self.door.sip(
                    at,
                    sip::Input::Malformed {
                        peer: self.peer,
                        bytes,
                    },
                    true,
                );
            }
            Frame::Ping => {
                let _ = self.answers.try_send(Bytes::from_static(b"\r\n"));
            }
            Frame::Pong => {}
        }
    }
}

async fn write_all(mut write: OwnedWriteHalf, mut waiting: mpsc::Receiver<Bytes>) {
    while let Some(bytes) = waiting.recv().await {
        match timeout(WRITE_PATIENCE, write.write_all(&bytes)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}
