//! HTTPS: a listener whose connections have shaken hands already, so that a slow handshake holds up nobody else.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::middleware::Next;
use axum::response::Response;
use axum::serve::{IncomingStream, Listener};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Gives the certificate in force, for each connection anew.
pub type Keys = Arc<dyn Fn() -> Option<Arc<ServerConfig>> + Send + Sync>;

/// Handshakes under way at a time; further connections wait in the kernel.
const HANDSHAKES_MAX: usize = 512;
/// A handshake that is not done by then is given up.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// Connections that are ready and not taken yet.
const READY_MAX: usize = 64;

/// See the module.
pub struct Https {
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
}

impl Https {
    pub fn new(listener: TcpListener, keys: Keys) -> io::Result<Https> {
        let address = listener.local_addr()?;
        let (tell, ready) = mpsc::channel(READY_MAX);
        tokio::spawn(accept(listener, keys, tell));
        Ok(Https { ready, address })
    }
}

async fn accept(
    listener: TcpListener,
    keys: Keys,
    tell: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    let open = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    while let Ok(permit) = open.clone().acquire_owned().await {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = tell.closed() => return,
        };
        let Ok((stream, remote)) = accepted else {
            // Out of files: those that are open go on, and their ends make room.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Some(config) = keys() else { continue };
        let tell = tell.clone();
        tokio::spawn(async move {
            let handshake = TlsAcceptor::from(config).accept(stream);
            if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_WITHIN, handshake).await {
                drop(permit);
                let _ = tell.send((stream, remote)).await;
            }
        });
    }
}

impl Listener for Https {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(ready) => ready,
            // The acceptor ends only with the listener's owner.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// Who is connected.
#[derive(Clone, Copy, Debug)]
pub struct Remote(SocketAddr);

impl Connected<IncomingStream<'_, Https>> for Remote {
    fn connect_info(stream: IncomingStream<'_, Https>) -> Self {
        Remote(*stream.remote_addr())
    }
}

/// Shows handlers the remote address as plain HTTP does.
pub async fn as_plain(mut request: Request, next: Next) -> Response {
    let remote = request.extensions().get::<ConnectInfo<Remote>>();
    if let Some(ConnectInfo(Remote(address))) = remote.copied() {
        request.extensions_mut().insert(ConnectInfo(address));
    }
    next.run(request).await
}
