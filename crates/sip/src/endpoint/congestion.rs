//! Requests that are too large for a datagram (RFC 3261 section 18.1.1): by TCP where that can be, else as a datagram after all.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use clock::Time;

use super::layer::Layer;
use super::local::via_word;
use crate::api::{Peer, Transport};
use crate::dialog::uri_of;
use crate::message::{HeaderName, Message, Uri};

/// A request above this goes by a transport that minds congestion, as the path's MTU is not known: 1500 less 200.
const DATAGRAM_MAX: usize = 1300;
/// Peers that are remembered to have no TCP.
const REMEMBERED_MAX: usize = 4096;
/// For so long: a phone that is replaced behind its address is found out within this.
const REMEMBERED_FOR: Duration = Duration::from_secs(600);

/// A request as it was before it was to go by TCP.
#[derive(Debug)]
pub(super) struct Datagram {
    pub peer: Peer,
    pub request: Bytes,
}

/// Who has refused TCP of late.
#[derive(Debug, Default)]
pub(super) struct DatagramsOnly {
    peers: BTreeMap<SocketAddr, Time>,
}

impl DatagramsOnly {
    pub(super) fn learn(&mut self, now: Time, remote: SocketAddr) {
        if self.peers.len() >= REMEMBERED_MAX {
            self.peers.retain(|_, until| *until > now);
        }
        if self.peers.len() < REMEMBERED_MAX {
            self.peers.insert(remote, now + REMEMBERED_FOR);
        }
    }

    fn has(&self, now: Time, remote: &SocketAddr) -> bool {
        self.peers.get(remote).is_some_and(|until| *until > now)
    }
}

impl Layer {
    /// How a request goes: as it is, or by TCP with what it was.
    pub(super) fn by_size(
        &self,
        now: Time,
        peer: Peer,
        request: Bytes,
    ) -> (Peer, Bytes, Option<Box<Datagram>>) {
        if peer.transport != Transport::Udp
            || request.len() <= DATAGRAM_MAX
            || !self.local.listens(Transport::Tcp, peer.remote.ip())
            || self.datagrams_only.has(now, &peer.remote)
            || !may_connect(&request, &peer)
        {
            return (peer, request, None);
        }
        let by_tcp = Peer {
            transport: Transport::Tcp,
            ..peer
        };
        match self.with_via_of(&by_tcp, &request) {
            Some(rewritten) => (
                by_tcp,
                rewritten,
                Some(Box::new(Datagram { peer, request })),
            ),
            None => (peer, request, None),
        }
    }

    /// The request with transport and sent-by of its topmost Via as this peer needs them.
    fn with_via_of(&self, peer: &Peer, request: &Bytes) -> Option<Bytes> {
        const START: &[u8] = b"\r\nVia: SIP/2.0/";
        let start = memchr::memmem::find(request, START)? + START.len();
        let end = start + memchr::memchr(b';', &request[start..])?;
        let sent_by = format!("{} {}", via_word(peer.transport), self.local.address(peer));
        Some(
            [&request[..start], sent_by.as_bytes(), &request[end..]]
                .concat()
                .into(),
        )
    }
}

/// Whether a connection may be tried: not where the URI says UDP, and not to the outside of somebody's NAT, which takes none.
fn may_connect(request: &Bytes, peer: &Peer) -> bool {
    let Ok(message) = Message::parse(request.clone()) else {
        return false;
    };
    let route = message.values(HeaderName::Route).next();
    let hop = route.map_or(message.request_uri_raw(), uri_of);
    let Ok(uri) = Uri::parse(hop) else {
        return false;
    };
    let says_udp = uri
        .param("transport")
        .is_some_and(|transport| transport.eq_ignore_ascii_case("udp"));
    let behind_nat = uri
        .host
        .ip()
        .is_some_and(|ip| ip.to_canonical() != peer.remote.ip().to_canonical());
    !says_udp && !behind_nat
}
