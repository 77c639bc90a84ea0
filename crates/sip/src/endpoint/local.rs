//! Our own addresses as they stand in messages, written once a configuration.

use std::fmt::{self, Display};
use std::net::{Ipv4Addr, SocketAddr};

use crate::api::{Config, Transport};

/// User part of our Contact: some phones refuse a Contact without one.
const CONTACT_USER: &str = "cordboard";

/// Where others find us.
pub struct Local {
    udp: SocketAddr,
    stream: SocketAddr,
}

impl Local {
    pub fn new(config: &Config) -> Local {
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 5060));
        let any = config.udp.or(config.tcp).unwrap_or(nowhere);
        Local {
            udp: config.udp.unwrap_or(any),
            stream: config.tcp.unwrap_or(any),
        }
    }

    fn address(&self, transport: Transport) -> SocketAddr {
        match transport {
            Transport::Udp => self.udp,
            Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => self.stream,
        }
    }

    /// The value of our Contact towards a peer of this transport.
    pub fn contact(&self, transport: Transport) -> impl Display + use<> {
        Contact {
            address: self.address(transport),
            transport,
        }
    }

    /// The value of our Via.
    pub fn via<'a>(&self, transport: Transport, branch: &'a str) -> impl Display + use<'a> {
        Sent {
            address: self.address(transport),
            transport,
            branch,
        }
    }
}

struct Contact {
    address: SocketAddr,
    transport: Transport,
}

impl Display for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parameter = match self.transport {
            Transport::Udp => "",
            Transport::Tcp => ";transport=tcp",
            Transport::Tls => ";transport=tls",
            Transport::Ws | Transport::Wss => ";transport=ws",
        };
        write!(f, "<sip:{CONTACT_USER}@{}{parameter}>", self.address)
    }
}

struct Sent<'a> {
    address: SocketAddr,
    transport: Transport,
    branch: &'a str,
}

impl Display for Sent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = match self.transport {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
            Transport::Ws => "WS",
            Transport::Wss => "WSS",
        };
        write!(
            f,
            "SIP/2.0/{transport} {};branch={};rport",
            self.address, self.branch
        )
    }
}
