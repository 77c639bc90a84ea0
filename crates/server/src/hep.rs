//! SIP to a HOMER collector: HEP version 3, one packet a message, from a thread of its own.
//!
//! A collector that is slow or away costs packets, which are counted, and never a call.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender};
use engine::api::Captured;
use sip::Transport;

use crate::fatal;

/// Messages on their way to the collector: a second of a busy centre.
const QUEUE_MAX: usize = 16_384;
/// Largest packet: what UDP carries; a longer message is cut.
const PACKET_MAX: usize = 65_000;

/// Where to, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub server: SocketAddr,
    /// Number of this capture agent.
    pub id: u32,
    pub password: Option<String>,
}

/// The way to the collector.
#[derive(Debug)]
pub struct Hep {
    queue: Sender<Captured>,
    dropped: Arc<AtomicU64>,
    sent: Arc<AtomicU64>,
}

impl Hep {
    /// Opens the socket and starts the thread. `local` is where we listen: our side of every message.
    ///
    /// # Errors
    /// When the system gives no socket or no thread.
    pub fn start(settings: Settings, local: SocketAddr) -> io::Result<Hep> {
        let any: IpAddr = match settings.server {
            SocketAddr::V4(_) => [0, 0, 0, 0].into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect(settings.server)?;
        socket.set_nonblocking(true)?;
        let (queue, messages) = crossbeam_channel::bounded(QUEUE_MAX);
        let (dropped, sent) = <(Arc<AtomicU64>, Arc<AtomicU64>)>::default();
        let counts = (sent.clone(), dropped.clone());
        fatal::spawn("hep", move || {
            deliver(&socket, &messages, &settings, local, &counts)
        })?;
        Ok(Hep {
            queue,
            dropped,
            sent,
        })
    }

    /// Hands one message over; left out when the queue is full.
    pub fn tell(&self, captured: Captured) {
        if self.queue.try_send(captured).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Packets sent and left out since the start.
    pub fn counts(&self) -> [u64; 2] {
        [&self.sent, &self.dropped].map(|count| count.load(Ordering::Relaxed))
    }
}

fn deliver(
    socket: &UdpSocket,
    messages: &Receiver<Captured>,
    settings: &Settings,
    local: SocketAddr,
    (sent, dropped): &(Arc<AtomicU64>, Arc<AtomicU64>),
) {
    while let Ok(captured) = messages.recv() {
        let packet = packet(&captured, settings, local);
        let count = if socket.send(&packet).is_ok() {
            sent
        } else {
            dropped
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Address families as HEP writes them: those of Linux.
const FAMILY_V4: u8 = 2;
const FAMILY_V6: u8 = 10;
/// IP protocol numbers.
const UDP: u8 = 17;
const TCP: u8 = 6;
/// HEP's number of SIP.
const SIP: u8 = 1;

/// One packet (HEP/EEP specification, revision 36): `HEP3`, the whole length, then chunks.
fn packet(captured: &Captured, settings: &Settings, local: SocketAddr) -> Vec<u8> {
    let remote = captured.peer.remote;
    let (from, to) = if captured.outbound {
        (local, remote)
    } else {
        (remote, local)
    };
    let mut out = b"HEP3\0\0".to_vec();
    match (from.ip().to_canonical(), to.ip().to_canonical()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            chunk(&mut out, 0x0001, &[FAMILY_V4]);
            chunk(&mut out, 0x0003, &from.octets());
            chunk(&mut out, 0x0004, &to.octets());
        }
        (from, to) => {
            chunk(&mut out, 0x0001, &[FAMILY_V6]);
            chunk(&mut out, 0x0005, &v6(from).octets());
            chunk(&mut out, 0x0006, &v6(to).octets());
        }
    }
    let protocol = match captured.peer.transport {
        Transport::Udp => UDP,
        Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => TCP,
    };
    chunk(&mut out, 0x0002, &[protocol]);
    chunk(&mut out, 0x0007, &from.port().to_be_bytes());
    chunk(&mut out, 0x0008, &to.port().to_be_bytes());
    let micros = captured.at.as_nanos() / 1_000;
    let seconds = (micros / 1_000_000) as u32;
    chunk(&mut out, 0x0009, &seconds.to_be_bytes());
    chunk(
        &mut out,
        0x000a,
        &((micros % 1_000_000) as u32).to_be_bytes(),
    );
    chunk(&mut out, 0x000b, &[SIP]);
    chunk(&mut out, 0x000c, &settings.id.to_be_bytes());
    if let Some(password) = &settings.password {
        chunk(&mut out, 0x000e, password.as_bytes());
    }
    if let Some(contact) = &captured.contact {
        chunk(&mut out, 0x0011, contact.0.as_bytes());
    }
    let room = PACKET_MAX.saturating_sub(out.len());
    let payload = &captured.bytes[..captured.bytes.len().min(room)];
    chunk(&mut out, 0x000f, payload);
    let length = out.len() as u16;
    out[4..6].copy_from_slice(&length.to_be_bytes());
    out
}

fn v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// Vendor 0 (the generic chunks), type, length with this head, value.
fn chunk(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = value.len() as u16 + 6;
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_octet_for_octet() {
        let captured = Captured {
            at: ::clock::Time::from_nanos(1_500_000_123_000),
            outbound: true,
            peer: sip::Peer {
                transport: Transport::Udp,
                remote: ([10, 0, 0, 1], 5060).into(),
                flow: None,
            },
            bytes: "BYE".into(),
            contact: Some(engine::ContactId("n-1-1".into())),
        };
        let settings = Settings {
            server: ([127, 0, 0, 1], 9060).into(),
            id: 2001,
            password: Some("pw".into()),
        };
        let packet = packet(&captured, &settings, ([10, 9, 9, 9], 5080).into());
        let mut hex = String::new();
        for byte in &packet {
            hex.push_str(&format!("{byte:02x}"));
        }
        let chunks = [
            "48455033 0079",
            "0000 0001 0007 02",
            "0000 0003 000a 0a090909",
            "0000 0004 000a 0a000001",
            "0000 0002 0007 11",
            "0000 0007 0008 13d8",
            "0000 0008 0008 13c4",
            "0000 0009 000a 000005dc",
            "0000 000a 000a 0000007b",
            "0000 000b 0007 01",
            "0000 000c 000a 000007d1",
            "0000 000e 0008 7077",
            "0000 0011 000b 6e2d312d31",
            "0000 000f 0009 425945",
        ];
        assert_eq!(hex, chunks.concat().replace(' ', ""));
        assert_eq!(packet.len(), 0x79);
    }
}
