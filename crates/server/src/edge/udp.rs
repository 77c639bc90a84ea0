//! SIP over UDP: one blocking thread receives in batches and parses; the engine thread sends.
//!
//! `IP_RECVERR` makes the kernel keep each ICMP error with the address that it is about, so that one dead phone is
//! told as [`sip::Input::Unreachable`] and does not disturb the others on the same socket.

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use nix::errno::Errno;
use nix::sys::socket::{
    MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, recvmsg, setsockopt, sockopt,
};
use sip::message::Message;
use sip::{Peer, Transport, Urgency};

use super::door::Door;
use super::repeats::Repeats;
use super::shut::Shut;
use crate::clock::Clock;
use crate::fatal;

/// Datagrams by one system call at most.
const BATCH: usize = 32;
/// Largest UDP payload.
const DATAGRAM_MAX: usize = 65_535;
/// Larger messages are counted and not parsed: a telephone's have a few kB, and what is parsed may be kept.
const MESSAGE_MAX: usize = 16 * 1024;
/// Asked of the kernel for both directions: half a second of 2000 calls/s. The kernel gives less where `net.core.rmem_max` is less.
const SOCKET_BUFFER: usize = 8 << 20;
/// How often the receiver looks whether it should stop.
const STOP_CHECK: Duration = Duration::from_millis(200);
/// Errors taken from the queue in one go.
const ERRORS_MAX: usize = 64;
/// A send that fails by an error about somebody else is repeated this often.
const SEND_TRIES: usize = 4;

/// Binds the socket with large buffers and the error queue.
///
/// # Errors
/// When the address cannot be bound.
pub fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, Some(socket2::Protocol::UDP))?;
    // What the kernel refuses here costs datagrams under a burst, no more.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
    if address.is_ipv6() {
        // IPv4 has a socket of its own.
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.set_read_timeout(Some(STOP_CHECK))?;
    if address.is_ipv4() {
        setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?;
    } else {
        setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?;
    }
    Ok(socket.into())
}

/// Every socket that SIP is bound on, one an address; a clone is the same ones.
#[derive(Clone)]
pub struct Sockets {
    all: Arc<[Arc<UdpSocket>]>,
    /// Of each, in the same order.
    addresses: Arc<[sip::Listener]>,
}

impl Sockets {
    /// These sockets; at least one.
    ///
    /// # Errors
    /// When the system does not know where one is bound.
    pub fn new(sockets: Vec<UdpSocket>) -> io::Result<Self> {
        let addresses = sockets
            .iter()
            .map(|socket| {
                Ok(sip::Listener {
                    transport: Transport::Udp,
                    address: socket.local_addr()?,
                })
            })
            .collect::<io::Result<_>>()?;
        Ok(Sockets {
            all: sockets.into_iter().map(Arc::new).collect(),
            addresses,
        })
    }

    /// Each of them, for its receiver.
    pub fn all(&self) -> &[Arc<UdpSocket>] {
        &self.all
    }

    /// Which of them has the address that this peer knows us by; none where we have no address of its family.
    pub fn index(&self, to: SocketAddr) -> Option<usize> {
        if let [_] = &*self.all {
            return Some(0);
        }
        let nearest = sip::nearest(&self.addresses, Transport::Udp, to.ip())?;
        self.addresses
            .iter()
            .position(|listener| listener.address == nearest)
    }
}

/// Sends one message. `Err` is about this peer.
///
/// # Errors
/// When the system refuses this destination.
pub fn send(socket: &UdpSocket, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
    let mut result = Ok(());
    for _ in 0..SEND_TRIES {
        match socket.send_to(bytes, to) {
            Ok(_) => return Ok(()),
            // A pending ICMP error of an earlier datagram is told by this call, which has then sent nothing.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionRefused
                        | io::ErrorKind::HostUnreachable
                        | io::ErrorKind::NetworkUnreachable
                        | io::ErrorKind::Interrupted
                ) =>
            {
                result = Err(error);
            }
            Err(error) => return Err(error),
        }
    }
    result
}

/// Starts the receiver; it ends when `stop` is set or the engine is gone.
///
/// # Errors
/// When the thread cannot be started.
pub fn spawn(
    socket: Arc<UdpSocket>,
    door: Door,
    clock: Clock,
    stop: Arc<AtomicBool>,
) -> io::Result<JoinHandle<()>> {
    fatal::spawn("sip-udp", move || {
        let mut receiver = Receiver {
            socket,
            door,
            clock,
            repeats: Repeats::new(),
            shut: Shut::default(),
        };
        receiver.run(&stop);
    })
}

struct Receiver {
    socket: Arc<UdpSocket>,
    door: Door,
    clock: Clock,
    repeats: Repeats,
    shut: Shut,
}

impl Receiver {
    fn run(&mut self, stop: &AtomicBool) {
        let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(BATCH, None);
        let mut buffers = vec![[0u8; DATAGRAM_MAX]; BATCH];
        let socket = self.socket.clone();
        while !stop.load(Ordering::Relaxed) {
            self.shut.open(self.clock.now(), &socket);
            let mut slices: Vec<[IoSliceMut<'_>; 1]> = buffers
                .iter_mut()
                .map(|buffer| [IoSliceMut::new(buffer)])
                .collect();
            match recvmmsg(
                socket.as_raw_fd(),
                &mut headers,
                slices.iter_mut(),
                MsgFlags::MSG_WAITFORONE,
                None,
            ) {
                Ok(received) => {
                    let at = self.clock.now();
                    for datagram in received {
                        let (Some(remote), Some(bytes)) = (
                            datagram.address.as_ref().and_then(address),
                            datagram.iovs().next(),
                        ) else {
                            continue;
                        };
                        self.datagram(at, remote, bytes);
                    }
                }
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(_) => self.errors(),
            }
        }
    }

    fn datagram(&mut self, at: clock::Time, remote: SocketAddr, bytes: &[u8]) {
        if !self.door.admits(at, remote.ip()) {
            if self.shut.refused(at, remote.ip(), &self.socket) {
                self.door.shut_out();
            }
            return;
        }
        if sip::stun::is_stun(bytes) {
            return self.stun(at, remote, bytes);
        }
        // Keep-alives: CRLF or nothing (RFC 5626 section 4.4.1 has STUN for UDP, which begins with two zero bits, unlike any SIP message).
        if bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0))
            || bytes
                .first()
                .is_some_and(|byte| *byte < 0x20 && !matches!(byte, b'\r' | b'\n'))
        {
            return;
        }
        if bytes.len() > MESSAGE_MAX {
            self.door.too_large();
            return;
        }
        let peer = Peer {
            transport: Transport::Udp,
            remote,
            flow: None,
        };
        let bytes = Bytes::copy_from_slice(bytes);
        match Message::parse(bytes.clone()) {
            Ok(message) => self.message(at, peer, message),
            Err(_) => {
                let _ = self
                    .door
                    .sip(at, sip::Input::Malformed { peer, bytes }, true);
            }
        }
    }

    /// A keep-alive (RFC 5626 section 4.4.2); what is malformed is counted where malformed SIP is.
    fn stun(&self, at: clock::Time, remote: SocketAddr, bytes: &[u8]) {
        if let Some(answer) = sip::stun::answer(bytes, remote) {
            let _ = send(&self.socket, remote, &answer);
            return;
        }
        let peer = Peer {
            transport: Transport::Udp,
            remote,
            flow: None,
        };
        let bytes = Bytes::copy_from_slice(bytes);
        self.door
            .sip(at, sip::Input::Malformed { peer, bytes }, true);
    }

    fn message(&mut self, at: clock::Time, peer: Peer, message: Message) {
        let urgency = self.door.urgency(&peer, &message);
        if urgency == Urgency::Dialog {
            self.door.message(at, peer, message, urgency);
            return;
        }
        let name = self.repeats.name(peer.remote, &message);
        let Some(urgency) = self.repeats.judge(at, self.door.head(), name, urgency) else {
            return;
        };
        match self.door.message(at, peer, message, urgency) {
            // Like the ACK that will come for it, a refusal is not worth a second try.
            Some(refusal) => drop(self.socket.send_to(&refusal, peer.remote)),
            None => self.repeats.note(at, name),
        }
    }

    /// Takes what ICMP said from the error queue.
    fn errors(&mut self) {
        for _ in 0..ERRORS_MAX {
            let mut scrap = [0u8; 1];
            let mut slices = [IoSliceMut::new(&mut scrap)];
            let mut control = nix::cmsg_space!([u8; 128]);
            let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
            let Ok(message) = recvmsg::<SockaddrStorage>(
                self.socket.as_raw_fd(),
                &mut slices,
                Some(&mut control),
                flags,
            ) else {
                return;
            };
            // The address of a queued error is the destination of the datagram that caused it.
            if let Some(remote) = message.address.as_ref().and_then(address) {
                let peer = Peer {
                    transport: Transport::Udp,
                    remote,
                    flow: None,
                };
                let _ = self
                    .door
                    .sip(self.clock.now(), sip::Input::Unreachable { peer }, false);
            }
        }
    }
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    match (storage.as_sockaddr_in(), storage.as_sockaddr_in6()) {
        (Some(v4), _) => Some(SocketAddr::V4((*v4).into())),
        (_, Some(v6)) => Some(SocketAddr::V6((*v6).into())),
        (None, None) => None,
    }
}
