//! Datagrams of one turn of the engine leave by as few system calls as possible.
//!
//! `sendmmsg` stops at the first datagram that it cannot send and does not say why: that one is sent alone, which tells.

use std::io::IoSlice;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;

use bytes::Bytes;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg};

use super::udp::{self, Sockets};

/// Datagrams by one system call at most. A turn that makes more sends them in several: the first shall not wait for the last.
const BATCH: usize = 32;

/// Datagrams that wait for the end of a turn.
pub struct Outgoing {
    sockets: Sockets,
    /// One a socket, in their order.
    lanes: Vec<Lane>,
}

impl Outgoing {
    pub fn new(sockets: Sockets) -> Outgoing {
        Outgoing {
            lanes: sockets.all().iter().cloned().map(Lane::new).collect(),
            sockets,
        }
    }

    /// Takes a datagram; a full batch leaves at once. Destinations that cannot be reached are put into `failed`.
    pub fn push(&mut self, to: SocketAddr, bytes: Bytes, failed: &mut Vec<SocketAddr>) {
        let lane = self.sockets.index(to);
        match lane.and_then(|lane| self.lanes.get_mut(lane)) {
            Some(lane) => lane.push(to, bytes, failed),
            None => failed.push(to),
        }
    }

    /// Sends all that waits.
    pub fn flush(&mut self, failed: &mut Vec<SocketAddr>) {
        for lane in &mut self.lanes {
            lane.flush(failed);
        }
    }
}

/// What leaves by one socket.
struct Lane {
    socket: Arc<UdpSocket>,
    waiting: Vec<(SocketAddr, Bytes)>,
    addresses: Vec<Option<SockaddrStorage>>,
    headers: MultiHeaders<SockaddrStorage>,
}

impl Lane {
    fn new(socket: Arc<UdpSocket>) -> Lane {
        Lane {
            socket,
            waiting: Vec::with_capacity(BATCH),
            addresses: Vec::with_capacity(BATCH),
            headers: MultiHeaders::preallocate(BATCH, None),
        }
    }

    fn push(&mut self, to: SocketAddr, bytes: Bytes, failed: &mut Vec<SocketAddr>) {
        self.waiting.push((to, bytes));
        self.addresses.push(Some(SockaddrStorage::from(to)));
        if self.waiting.len() >= BATCH {
            self.flush(failed);
        }
    }

    fn flush(&mut self, failed: &mut Vec<SocketAddr>) {
        let mut done = 0;
        // Every round sends at least one, or tells that it cannot be sent.
        while done < self.waiting.len() {
            let sent = if done + 1 < self.waiting.len() {
                self.send_from(done)
            } else {
                0
            };
            done += sent;
            if sent == 0 {
                let (to, bytes) = &self.waiting[done];
                if udp::send(&self.socket, *to, bytes).is_err() {
                    failed.push(*to);
                }
                done += 1;
            }
        }
        self.waiting.clear();
        self.addresses.clear();
    }

    /// How many of those that wait from `first` on the kernel has taken.
    fn send_from(&mut self, first: usize) -> usize {
        let slices: Vec<[IoSlice<'_>; 1]> = self.waiting[first..]
            .iter()
            .map(|(_, bytes)| [IoSlice::new(bytes)])
            .collect();
        let (socket, none) = (self.socket.as_raw_fd(), MsgFlags::empty());
        let addresses = &self.addresses[first..];
        sendmmsg(socket, &mut self.headers, &slices, addresses, [], none).map_or(0, Iterator::count)
    }
}
