//! Our own addresses as they stand in messages.

use std::fmt::{self, Display};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::api::{Config, Listener, Peer, Transport};
use crate::dialog::Dialog;

/// User part of our Contact: some phones refuse a Contact without one.
const CONTACT_USER: &str = "cordboard";

/// Where others find us.
pub struct Local {
    listeners: Vec<Listener>,
}

impl Local {
    pub fn new(config: &Config) -> Local {
        Local {
            listeners: config.listeners.clone(),
        }
    }

    /// The address that this peer is told.
    pub fn address(&self, peer: &Peer) -> SocketAddr {
        nearest(&self.listeners, peer.transport, peer.remote.ip())
            .unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 5060)))
    }

    /// Whether we can speak to an address of this family at all.
    pub fn speaks(&self, ip: IpAddr) -> bool {
        self.listeners
            .iter()
            .any(|listener| listener.address.is_ipv4() == ip.is_ipv4())
    }

    /// Whether we listen on this transport at an address of this family.
    pub fn listens(&self, transport: Transport, ip: IpAddr) -> bool {
        self.listeners.iter().any(|listener| {
            listener.transport == transport && listener.address.is_ipv4() == ip.is_ipv4()
        })
    }

    /// The value of our Contact towards this peer.
    pub fn contact(&self, peer: &Peer) -> impl Display + use<> {
        Contact {
            address: self.address(peer),
            transport: peer.transport,
            secure: false,
        }
    }

    /// The value of our Contact in this dialog. A secure one is reached where we listen for TLS, whatever its last hop was.
    pub fn contact_in(&self, dialog: &Dialog) -> impl Display + use<> {
        let mut peer = dialog.peer;
        if dialog.secure && !peer.transport.is_secure() {
            peer.transport = Transport::Tls;
        }
        Contact {
            address: self.address(&peer),
            transport: peer.transport,
            secure: dialog.secure,
        }
    }

    /// The value of our Via towards this peer.
    pub fn via<'a>(&self, peer: &Peer, branch: &'a str) -> impl Display + use<'a> {
        Sent {
            address: self.address(peer),
            transport: peer.transport,
            branch,
        }
    }
}

/// The address of ours that a far end should know, and that the edge sends from: of its family before all, then of its transport,
/// then the one that shares most of its leading bits, so that a phone in our network is given our address in that network.
pub fn nearest(listeners: &[Listener], transport: Transport, remote: IpAddr) -> Option<SocketAddr> {
    let remote = remote.to_canonical();
    let rank = |listener: &Listener| {
        let ours = listener.address.ip();
        (
            ours.is_ipv4() == remote.is_ipv4(),
            listener.transport == transport,
            // What stands behind a connection stands in for TLS and WebSocket where those do not listen.
            listener.transport.is_reliable() == transport.is_reliable(),
            ours.is_loopback() == remote.is_loopback(),
            shared_bits(ours, remote),
        )
    };
    // The first of equals: the order of the configuration.
    let mut best: Option<&Listener> = None;
    for listener in listeners {
        if best.is_none_or(|found| rank(listener) > rank(found)) {
            best = Some(listener);
        }
    }
    best.map(|listener| listener.address)
}

fn shared_bits(a: IpAddr, b: IpAddr) -> u32 {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => 0,
    }
}

struct Contact {
    address: SocketAddr,
    transport: Transport,
    secure: bool,
}

impl Display for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parameter = match self.transport {
            Transport::Udp => "",
            Transport::Tcp => ";transport=tcp",
            // Its own scheme says so (section 26.2.2).
            Transport::Tls if self.secure => "",
            Transport::Tls => ";transport=tls",
            Transport::Ws | Transport::Wss => ";transport=ws",
        };
        let scheme = if self.secure { "sips" } else { "sip" };
        write!(f, "<{scheme}:{CONTACT_USER}@{}{parameter}>", self.address)
    }
}

/// The transport's word in a Via.
pub const fn via_word(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "UDP",
        Transport::Tcp => "TCP",
        Transport::Tls => "TLS",
        Transport::Ws => "WS",
        Transport::Wss => "WSS",
    }
}

struct Sent<'a> {
    address: SocketAddr,
    transport: Transport,
    branch: &'a str,
}

impl Display for Sent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SIP/2.0/{} {};branch={};rport",
            via_word(self.transport),
            self.address,
            self.branch
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_far_end_is_told_the_address_nearest_to_it() {
        let listeners: Vec<Listener> = [
            (Transport::Udp, "127.0.0.1:5060"),
            (Transport::Udp, "10.1.0.5:5060"),
            (Transport::Udp, "[2001:db8::5]:5060"),
            (Transport::Tls, "10.1.0.5:5061"),
        ]
        .into_iter()
        .map(|(transport, address)| Listener {
            transport,
            address: address.parse().expect("an address"),
        })
        .collect();
        let told = |transport, remote: &str| {
            nearest(&listeners, transport, remote.parse().expect("an address"))
                .map(|address| address.to_string())
        };
        for (transport, remote, ours) in [
            (Transport::Udp, "127.0.0.9", "127.0.0.1:5060"),
            (Transport::Udp, "10.1.0.77", "10.1.0.5:5060"),
            (Transport::Udp, "203.0.113.9", "10.1.0.5:5060"),
            (Transport::Udp, "2001:db8::77", "[2001:db8::5]:5060"),
            (Transport::Udp, "::ffff:10.1.0.77", "10.1.0.5:5060"),
            (Transport::Tls, "203.0.113.9", "10.1.0.5:5061"),
            (Transport::Tls, "2001:db8::77", "[2001:db8::5]:5060"),
        ] {
            assert_eq!(told(transport, remote).as_deref(), Some(ours), "{remote}");
        }
        assert_eq!(
            nearest(&[], Transport::Udp, IpAddr::from([10, 0, 0, 1])),
            None
        );
    }
}
