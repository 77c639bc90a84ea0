//! The sockets that SIP listens on, bound before anything else is touched: a second engine on the same ports must not come far.

use std::net::{SocketAddr, UdpSocket};

use anyhow::Context as _;
use sip::{Listener, Transport};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::config::Settings;
use crate::edge::{keeper, udp};

/// How often a pair of UDP and TCP ports is tried when the system picks.
const PORT_TRIES: usize = 16;

/// What is bound.
pub struct Bound {
    pub udp: udp::Sockets,
    pub streams: Vec<(Transport, TcpListener)>,
    /// All of it, in the order of the configuration.
    pub addresses: Vec<Listener>,
}

impl Bound {
    /// The first address of a transport.
    pub fn first(&self, transport: Transport) -> Option<SocketAddr> {
        self.addresses
            .iter()
            .find(|listener| listener.transport == transport)
            .map(|listener| listener.address)
    }

    /// Every address with its transport, where there is more than one of any.
    pub fn told(&self) -> Vec<String> {
        let more = |transport| {
            let of = |listener: &&Listener| listener.transport == transport;
            self.addresses.iter().filter(of).count() > 1
        };
        if !more(Transport::Udp) {
            return Vec::new();
        }
        self.addresses
            .iter()
            .map(|listener| format!("{:?} {}", listener.transport, listener.address).to_lowercase())
            .collect()
    }
}

/// Binds UDP and TCP on the same port of every address, and TLS where there is a certificate. Port 0 is one that the system picks for the first
/// address; the others have the same.
///
/// # Errors
/// When one cannot be bound.
pub fn bind(runtime: &Runtime, settings: &Settings) -> anyhow::Result<Bound> {
    let (mut udp, mut streams, mut addresses) = (Vec::new(), Vec::new(), Vec::new());
    let (mut port, mut tls_port) = (None, None);
    for address in &settings.sip {
        let mut address = *address;
        address.set_port(port.unwrap_or(address.port()));
        let (socket, listener, bound) = pair(runtime, address)?;
        port = Some(bound.port());
        udp.push(socket);
        streams.push((Transport::Tcp, listener));
        addresses.extend(Listener::pair(bound));
        if settings.sip_tls.server.is_some() {
            let wanted = tls_port.unwrap_or(settings.sip_tls_port);
            let address = SocketAddr::new(address.ip(), wanted);
            let listener = runtime
                .block_on(keeper::bind(address))
                .with_context(|| format!("SIP over TLS {address}"))?;
            let bound = listener.local_addr()?;
            tls_port = Some(bound.port());
            streams.push((Transport::Tls, listener));
            addresses.push(Listener {
                transport: Transport::Tls,
                address: bound,
            });
        }
    }
    Ok(Bound {
        udp: udp::Sockets::new(udp)?,
        streams,
        addresses,
    })
}

fn pair(
    runtime: &Runtime,
    address: SocketAddr,
) -> anyhow::Result<(UdpSocket, TcpListener, SocketAddr)> {
    let tries = if address.port() == 0 { PORT_TRIES } else { 1 };
    let mut last = None;
    for _ in 0..tries {
        let socket = udp::bind(address).with_context(|| format!("SIP over UDP {address}"))?;
        let bound = socket.local_addr()?;
        match runtime.block_on(keeper::bind(bound)) {
            Ok(listener) => return Ok((socket, listener, bound)),
            Err(error) => {
                last = Some(anyhow::Error::from(error).context(format!("SIP over TCP {bound}")));
            }
        }
    }
    Err(last.unwrap_or_else(|| anyhow::anyhow!("no SIP port")))
}
