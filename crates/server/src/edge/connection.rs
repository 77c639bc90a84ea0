//! One connection's task: how it begins, what comes in cut into messages, and what goes out.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::ws::{self, WebSocket};
use bytes::Bytes;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use sip::Peer;
use sip::framing::{Frame, StreamFramer};
use sip::message::Message;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::door::{Admission, Door};
use super::keeper::prepare;
use crate::clock::Clock;
use crate::tls::{self, HANDSHAKE_WITHIN};

/// Largest message (RFC 3261 knows no bound; ours is the configuration's `max_message`).
const MESSAGE_MAX: usize = 64 * 1024;
/// A peer that has not answered our SYN by then is not there.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// A connection on which nothing at all came for this long is closed; phones ping every two minutes at the latest (RFC 5626 section 4.4.1).
const IDLE_MAX: Duration = Duration::from_secs(2 * 3600);
/// A fresh connection must have brought one whole message by then, and every message must be whole that long after its first byte:
/// keep-alives alone, or a byte now and then, hold no place.
const MESSAGE_WITHIN: Duration = Duration::from_secs(32);
/// A single write that takes longer means that the peer does not read.
const WRITE_WITHIN: Duration = Duration::from_secs(10);
/// Bytes by one read, on the stack: a connection that is silent holds no buffer.
const READ_SIZE: usize = 8 * 1024;
/// How often we ping on connections of ours (RFC 5626 section 4.4.1 has 95 to 120 s for TCP).
const PING_EVERY: Duration = Duration::from_secs(100);
/// A peer that has answered pings before must answer within this (section 4.4.1).
const PONG_WITHIN: Duration = Duration::from_secs(10);
/// How often a browser is pinged: proxies on the way close what is silent for a minute.
const WEBSOCKET_PING_EVERY: Duration = Duration::from_secs(30);
/// The engine's answer to a stream that cannot be followed needs it a moment longer.
const LAST_ANSWER: Duration = Duration::from_millis(200);

const PING: &[u8] = b"\r\n\r\n";
const PONG: &[u8] = b"\r\n";

/// How a connection begins.
pub enum Origin {
    Tcp(TcpStream),
    Tls(TcpStream, Arc<ServerConfig>),
    WebSocket(Box<WebSocket>),
    /// We open it.
    Open,
    /// We open it and want this domain there, or the address where none is known.
    OpenTls(Arc<ClientConfig>, Option<Arc<str>>),
}

/// What every connection's task has.
pub(super) struct Connection {
    pub peer: Peer,
    pub door: Door,
    pub clock: Clock,
    /// Pongs and refusals that need no engine.
    pub answers: mpsc::Sender<Bytes>,
    pub proven: Arc<AtomicBool>,
}

impl Connection {
    /// From the beginning to the end. What TLS and WebSocket need is boxed, so that a plain connection's task is small.
    pub async fn run(self, origin: Origin, waiting: mpsc::Receiver<Bytes>) {
        match origin {
            Origin::Tcp(stream) => self.accepted(stream, waiting).await,
            Origin::Tls(stream, config) => {
                Box::pin(self.accepted_tls(stream, config, waiting)).await;
            }
            Origin::WebSocket(socket) => Box::pin(self.websocket(*socket, waiting)).await,
            Origin::Open => match connect(self.peer.remote).await {
                Some(stream) => drop(self.opened(stream, waiting).await),
                None => self.unreachable(),
            },
            Origin::OpenTls(config, domain) => {
                Box::pin(self.opened_tls(config, domain, waiting)).await;
            }
        }
    }

    async fn accepted_tls(
        &self,
        stream: TcpStream,
        config: Arc<ServerConfig>,
        waiting: mpsc::Receiver<Bytes>,
    ) {
        let handshake = TlsAcceptor::from(config).accept(stream);
        if let Ok(Ok(stream)) = timeout(HANDSHAKE_WITHIN, handshake).await {
            self.verified(stream.get_ref().1.peer_certificates());
            self.accepted(stream, waiting).await;
        }
    }

    async fn opened_tls(
        &self,
        config: Arc<ClientConfig>,
        domain: Option<Arc<str>>,
        waiting: mpsc::Receiver<Bytes>,
    ) {
        let remote = self.peer.remote;
        let Some(stream) = connect_tls(remote, config, domain.clone()).await else {
            return self.unreachable();
        };
        self.verified(stream.get_ref().1.peer_certificates());
        let end = self.opened(stream, waiting).await;
        // By TLS 1.3 our side of the handshake is over before the server has looked at our certificate.
        if let Some(error) = end.filter(|_| !self.is_proven()) {
            let domain = domain.as_deref().unwrap_or("its address");
            tracing::warn!(%remote, domain, %error, "a SIP server has ended TLS without a word");
        }
    }

    /// The handshake has verified these; nothing is told of who showed none.
    fn verified(&self, certificates: Option<&[rustls::pki_types::CertificateDer<'_>]>) {
        let Some(certificate) = certificates.and_then(<[_]>::first) else {
            return;
        };
        if let Some(flow) = self.peer.flow {
            let names = tls::names(certificate);
            self.door.sources().certified(flow);
            let input = sip::Input::FlowOpened { flow, names };
            self.door.sip(self.clock.now(), input, false);
        }
    }

    /// Nobody there: whoever sent to the address is told, not to this flow, of which only we know.
    fn unreachable(&self) {
        let peer = Peer {
            flow: None,
            ..self.peer
        };
        self.door
            .sip(self.clock.now(), sip::Input::Unreachable { peer }, false);
    }

    async fn accepted<S: AsyncRead + AsyncWrite>(&self, stream: S, waiting: mpsc::Receiver<Bytes>) {
        let framer = StreamFramer::accepted(MESSAGE_MAX);
        self.stream(stream, waiting, framer, None).await;
    }

    /// The error that has ended it, if it was one.
    async fn opened<S: AsyncRead + AsyncWrite>(
        &self,
        stream: S,
        waiting: mpsc::Receiver<Bytes>,
    ) -> Option<io::Error> {
        let pings = Some(Pings::default());
        let framer = StreamFramer::opened(MESSAGE_MAX);
        let end = self.stream(stream, waiting, framer, pings).await;
        if !self.is_proven() {
            // It took the connection and said nothing on it: what was sent there is lost (RFC 3261 section 18.4).
            self.unreachable();
        }
        end
    }

    /// Whichever ends first ends the connection: the reader at the peer's close, the writer at a peer that does not read.
    async fn stream<S: AsyncRead + AsyncWrite>(
        &self,
        stream: S,
        waiting: mpsc::Receiver<Bytes>,
        framer: StreamFramer,
        pings: Option<Pings>,
    ) -> Option<io::Error> {
        let (read, write) = tokio::io::split(stream);
        tokio::select! {
            end = self.read(read, framer, pings) => end.err(),
            () = write_all(write, waiting) => None,
        }
    }

    async fn read<R: AsyncRead + Unpin>(
        &self,
        mut read: R,
        mut framer: StreamFramer,
        mut pings: Option<Pings>,
    ) -> io::Result<()> {
        let begun = Instant::now();
        // When the message that is not whole yet began.
        let mut partial: Option<Instant> = pings.is_none().then_some(begun);
        let mut last = begun;
        loop {
            let end = partial.map_or(last + IDLE_MAX, |since| since + MESSAGE_WITHIN);
            let until = pings
                .as_ref()
                .map_or(end, |pings| end.min(pings.next(begun)));
            let Ok(got) = timeout_at(until, receive(&mut read, &mut framer)).await else {
                let due = pings.as_mut().filter(|_| until < end);
                if !due.is_some_and(|pings| pings.send()) {
                    return Ok(());
                }
                let _ = self.answers.try_send(Bytes::from_static(PING));
                continue;
            };
            if !got? {
                return Ok(());
            }
            last = Instant::now();
            let (mut pong, mut whole) = (false, false);
            loop {
                match framer.poll() {
                    Ok(Some(frame)) => {
                        pong |= matches!(frame, Frame::Pong);
                        whole |= matches!(frame, Frame::Message(_));
                        self.frame(frame);
                    }
                    Ok(None) => break,
                    Err(error) => {
                        self.malformed(error.head().clone());
                        tokio::time::sleep(LAST_ANSWER).await;
                        return Ok(());
                    }
                }
            }
            if let Some(pings) = pings.as_mut().filter(|_| pong) {
                pings.answered();
            }
            let waits = framer.pending() > 0 || (pings.is_none() && !self.is_proven());
            let since = partial.filter(|_| !whole).unwrap_or(last);
            partial = waits.then_some(since);
        }
    }

    fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Relaxed)
    }

    fn frame(&self, frame: Frame) {
        match frame {
            Frame::Message(message) => self.message(message),
            Frame::Malformed(bytes, _) => self.malformed(bytes),
            Frame::Ping => {
                let _ = self.answers.try_send(Bytes::from_static(PONG));
            }
            Frame::Pong => {}
        }
    }

    fn message(&self, message: Message) {
        self.proven.store(true, Ordering::Relaxed);
        let new_work = sip::is_new_work(&message);
        let answerable = new_work.then(|| message.clone());
        let peer = self.peer;
        if let Admission::Refused { retry_after } = self.door.sip(
            self.clock.now(),
            sip::Input::Message { peer, message },
            new_work,
        ) && let Some(response) =
            answerable.and_then(|message| sip::overload_response(&message, &self.peer, retry_after))
        {
            let _ = self.answers.try_send(response);
        }
    }

    fn malformed(&self, bytes: Bytes) {
        let peer = self.peer;
        let input = sip::Input::Malformed { peer, bytes };
        self.door.sip(self.clock.now(), input, true);
    }

    /// SIP over WebSocket (RFC 7118): one message is one frame of text or octets.
    async fn websocket(&self, mut socket: WebSocket, mut waiting: mpsc::Receiver<Bytes>) {
        let mut silent = 0;
        let first = Instant::now() + MESSAGE_WITHIN;
        let mut ping = tokio::time::interval(WEBSOCKET_PING_EVERY);
        ping.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let sent = tokio::select! {
                received = socket.recv() => {
                    let Some(Ok(received)) = received else { return };
                    silent = 0;
                    if !self.websocket_frame(received) {
                        return;
                    }
                    continue;
                }
                Some(bytes) = waiting.recv() => websocket_message(bytes),
                // Pings that bring nothing back: the browser is gone without a word.
                _ = ping.tick() => {
                    silent += 1;
                    if silent > 2 || (!self.is_proven() && Instant::now() > first) {
                        return;
                    }
                    ws::Message::Ping(Bytes::new())
                }
            };
            if !matches!(timeout(WRITE_WITHIN, socket.send(sent)).await, Ok(Ok(()))) {
                return;
            }
        }
    }

    /// False at the end.
    fn websocket_frame(&self, received: ws::Message) -> bool {
        let bytes = match received {
            ws::Message::Text(text) => Bytes::from(text),
            ws::Message::Binary(bytes) => bytes,
            ws::Message::Ping(_) | ws::Message::Pong(_) => return true,
            ws::Message::Close(_) => return false,
        };
        if bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
            if *bytes == *PING {
                let _ = self.answers.try_send(Bytes::from_static(PONG));
            }
            return true;
        }
        match Message::parse(bytes.clone()) {
            Ok(message) => self.message(message),
            Err(_) => self.malformed(bytes),
        }
        true
    }
}

/// As text where it is (RFC 7118 section 5 lets the receiver take either).
fn websocket_message(bytes: Bytes) -> ws::Message {
    match ws::Utf8Bytes::try_from(bytes.clone()) {
        Ok(text) => ws::Message::Text(text),
        Err(_) => ws::Message::Binary(bytes),
    }
}

/// Pings on a connection that we opened. Only a peer that has answered one is known to answer, so that nobody is cut off who does not know of them.
#[derive(Debug, Default)]
struct Pings {
    sent: Option<Instant>,
    /// Of the last ping.
    awaits: bool,
    answers: bool,
}

impl Pings {
    /// When something is to be done next.
    fn next(&self, begun: Instant) -> Instant {
        match self.sent {
            Some(sent) if self.awaits && self.answers => sent + PONG_WITHIN,
            Some(sent) => sent + PING_EVERY,
            None => begun + PING_EVERY,
        }
    }

    /// The time has come: for a ping, or for the answer to one. False when that has not come.
    fn send(&mut self) -> bool {
        if self.awaits && self.answers {
            return false;
        }
        self.sent = Some(Instant::now());
        self.awaits = true;
        true
    }

    fn answered(&mut self) {
        self.awaits = false;
        self.answers = true;
    }
}

/// Takes what has come into the framer; false at the end of the stream.
async fn receive<R: AsyncRead + Unpin>(
    read: &mut R,
    framer: &mut StreamFramer,
) -> io::Result<bool> {
    poll_fn(|context| {
        let mut scratch = [MaybeUninit::<u8>::uninit(); READ_SIZE];
        let mut buffer = ReadBuf::uninit(&mut scratch);
        Pin::new(&mut *read)
            .poll_read(context, &mut buffer)
            .map(|outcome| {
                framer.push(buffer.filled());
                outcome.map(|()| !buffer.filled().is_empty())
            })
    })
    .await
}

async fn write_all<W: AsyncWrite + Unpin>(mut write: W, mut waiting: mpsc::Receiver<Bytes>) {
    while let Some(bytes) = waiting.recv().await {
        let all = async {
            write.write_all(&bytes).await?;
            write.flush().await
        };
        if !matches!(timeout(WRITE_WITHIN, all).await, Ok(Ok(()))) {
            return;
        }
    }
}

async fn connect(remote: SocketAddr) -> Option<TcpStream> {
    let stream = timeout(CONNECT_WITHIN, TcpStream::connect(remote))
        .await
        .ok()?
        .ok()?;
    prepare(&stream);
    Some(stream)
}

async fn connect_tls(
    remote: SocketAddr,
    config: Arc<ClientConfig>,
    domain: Option<Arc<str>>,
) -> Option<tokio_rustls::client::TlsStream<TcpStream>> {
    let name = match &domain {
        Some(domain) => ServerName::try_from(domain.to_string()).ok()?,
        None => ServerName::from(remote.ip()),
    };
    let stream = connect(remote).await?;
    let handshake = TlsConnector::from(config).connect(name, stream);
    match timeout(HANDSHAKE_WITHIN, handshake).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            let domain = domain.as_deref().unwrap_or("its address");
            tracing::warn!(%remote, domain, %error, "TLS with a SIP server failed");
            None
        }
        Err(_) => None,
    }
}
