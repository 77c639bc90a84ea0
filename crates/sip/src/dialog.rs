//! A dialog of RFC 3261 section 12: what both sides agreed to put into every request of a call.
//!
//! Absent on purpose: what the call is doing, which is the endpoint's leg.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::api::{Peer, Transport};
use crate::message::{DEFAULT_PORT, DEFAULT_TLS_PORT, Scheme, Uri};

/// One dialog, seen from our side.
#[derive(Clone, Debug)]
pub struct Dialog {
    pub call_id: String,
    pub local_tag: String,
    /// Empty until the other side has given one.
    pub remote_tag: String,
    /// Our From in requests, with the tag.
    pub local: String,
    /// Our To in requests, with the tag when known.
    pub remote: String,
    /// The other side's Contact: the Request-URI of our requests.
    pub target: String,
    /// The route set, first hop first, each with its angle brackets.
    pub routes: Vec<String>,
    pub local_cseq: u32,
    pub remote_cseq: Option<u32>,
    /// RSeq of the last provisional that we have acknowledged (RFC 3262 section 4); 0 before.
    pub rseq: u32,
    /// Where our requests go.
    pub peer: Peer,
    /// We sent the INVITE, so the Call-ID is ours (section 14.1 cares).
    pub we_called: bool,
    /// The other side may be behind NAT: a Contact whose host is not its source address is not believed as an address.
    pub natted: bool,
    /// The call is to be secure on every hop: a `sips:` URI made it, so our Contact is one (sections 8.1.1.8 and 12.1.1).
    pub secure: bool,
    /// The trunk that we called through: its account may answer challenges of its next hop to our requests. Never set where we were called.
    pub account: Option<Arc<str>>,
}

/// How the CSeq of a request in a dialog stands to those before it (section 12.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    InOrder,
    /// Lower than, or the same as, one that came before: 500.
    OutOfOrder,
}

impl Dialog {
    /// Judges and remembers the CSeq of a request.
    pub fn sequence(&mut self, cseq: u32) -> Order {
        match self.remote_cseq {
            Some(last) if cseq <= last => Order::OutOfOrder,
            _ => {
                self.remote_cseq = Some(cseq);
                Order::InOrder
            }
        }
    }

    pub fn next_cseq(&mut self) -> u32 {
        self.local_cseq = self.local_cseq.wrapping_add(1) & 0x7fff_ffff;
        self.local_cseq
    }

    /// Takes a new remote target (sections 12.1.2 and 12.2.2), and where that leads.
    pub fn refresh(&mut self, contact: &str) {
        if self.target != contact {
            self.target.clear();
            self.target.push_str(contact);
        }
        self.peer = self.next_hop(self.peer);
    }

    /// Where requests go: the first route, else the target; by the way the other side came when that leads nowhere.
    pub fn next_hop(&self, source: Peer) -> Peer {
        if source.flow.is_some() {
            return source;
        }
        match self.routes.first() {
            Some(route) => address(uri_of(route)).map_or(source, |(transport, remote)| Peer {
                transport,
                remote,
                flow: None,
            }),
            None => direct_hop(&self.target, source, self.natted),
        }
    }

    /// The URI that leads to the next hop where that has a host name, which only the DNS knows. A phone behind NAT is found where it
    /// was heard from, and who came by a connection on that.
    pub fn named_hop(&self) -> Option<&str> {
        if self.peer.flow.is_some() {
            return None;
        }
        let uri = match self.routes.first() {
            Some(route) => uri_of(route),
            None if self.natted => return None,
            None => &self.target,
        };
        let parsed = Uri::parse(uri).ok()?;
        let is_sip = matches!(parsed.scheme, Scheme::Sip | Scheme::Sips);
        (is_sip && parsed.host.ip().is_none()).then_some(uri)
    }

    /// Request-URI and Route values of a request (section 12.2.1.1; the first route tells loose from strict).
    pub fn request_target(&self) -> (&str, Vec<&str>) {
        let Some(first) = self.routes.first() else {
            return (&self.target, Vec::new());
        };
        if is_loose(first) {
            return (
                &self.target,
                self.routes.iter().map(String::as_str).collect(),
            );
        }
        (
            uri_of(first),
            self.routes[1..].iter().map(String::as_str).collect(),
        )
    }

    /// A strict first route moves the target to the end of the routes: its value there.
    pub fn strict_tail(&self) -> Option<String> {
        self.routes
            .first()
            .filter(|first| !is_loose(first))
            .map(|_| format!("<{}>", self.target))
    }
}

/// Where a Contact leads without routes. `source` is where its owner was heard from.
pub fn direct_hop(contact: &str, source: Peer, natted: bool) -> Peer {
    if source.flow.is_some() {
        return source;
    }
    match address(contact) {
        Some((_, remote)) if natted && remote.ip() != source.remote.ip() => source,
        Some((transport, remote)) => Peer {
            transport,
            remote,
            flow: None,
        },
        None => source,
    }
}

fn is_loose(route: &str) -> bool {
    uri_of(route).split(';').skip(1).any(|parameter| {
        parameter
            .split('=')
            .next()
            .is_some_and(|name| name.trim().eq_ignore_ascii_case("lr"))
    })
}

/// The URI inside angle brackets, or the whole.
pub fn uri_of(value: &str) -> &str {
    match value.find('<') {
        Some(start) => {
            let rest = &value[start + 1..];
            &rest[..rest.find('>').unwrap_or(rest.len())]
        }
        None => value.trim(),
    }
}

/// Whether a URI wants every hop to be secure.
pub fn is_secure(uri: &str) -> bool {
    uri.split_once(':')
        .is_some_and(|(scheme, _)| scheme.trim().eq_ignore_ascii_case("sips"))
}

/// Transport and address of a SIP URI whose host is an address literal.
pub fn address(uri: &str) -> Option<(Transport, SocketAddr)> {
    let uri = Uri::parse(uri).ok()?;
    let secure = match uri.scheme {
        Scheme::Sip => false,
        Scheme::Sips => true,
        Scheme::Tel | Scheme::Other(_) => return None,
    };
    let named = uri
        .param("transport")
        .unwrap_or(if secure { "tls" } else { "udp" });
    let transport = match (named.to_ascii_lowercase().as_str(), secure) {
        ("tcp", false) => Transport::Tcp,
        ("ws", false) => Transport::Ws,
        ("ws" | "wss", _) => Transport::Wss,
        ("tls", _) | (_, true) => Transport::Tls,
        (_, false) => Transport::Udp,
    };
    let port = if matches!(transport, Transport::Tls | Transport::Wss) {
        DEFAULT_TLS_PORT
    } else {
        DEFAULT_PORT
    };
    Some((
        transport,
        SocketAddr::new(uri.host.ip()?, uri.port.unwrap_or(port)),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_literals_only() {
        let at = |uri| address(uri).map(|(transport, remote)| format!("{transport:?} {remote}"));
        assert_eq!(
            at("sip:a0001@127.0.0.1:7000").as_deref(),
            Some("Udp 127.0.0.1:7000")
        );
        assert_eq!(
            at("sip:10.0.0.1;transport=TCP").as_deref(),
            Some("Tcp 10.0.0.1:5060")
        );
        assert_eq!(
            at("sips:x@[2001:db8::1]").as_deref(),
            Some("Tls [2001:db8::1]:5061")
        );
        assert_eq!(at("sip:x@[::1]:5070;lr").as_deref(), Some("Udp [::1]:5070"));
        assert_eq!(at("sip:x@example.com"), None);
        assert_eq!(at("tel:+8613800138000"), None);
    }

    #[test]
    fn a_lower_or_equal_cseq_is_out_of_order() {
        let peer = Peer {
            transport: Transport::Udp,
            remote: ([127, 0, 0, 1], 5060).into(),
            flow: None,
        };
        let mut dialog = Dialog {
            call_id: String::new(),
            local_tag: String::new(),
            remote_tag: String::new(),
            local: String::new(),
            remote: String::new(),
            target: "sip:t@10.0.0.9:5060".into(),
            routes: vec!["<sip:strict@10.0.0.2>".into(), "<sip:10.0.0.3;lr>".into()],
            local_cseq: 1,
            remote_cseq: None,
            rseq: 0,
            peer,
            we_called: false,
            natted: false,
            secure: false,
            account: None,
        };
        assert_eq!(dialog.sequence(7), Order::InOrder);
        assert_eq!(dialog.sequence(7), Order::OutOfOrder);
        assert_eq!(dialog.sequence(6), Order::OutOfOrder);
        assert_eq!(dialog.sequence(9), Order::InOrder);
        assert_eq!(
            dialog.request_target(),
            ("sip:strict@10.0.0.2", vec!["<sip:10.0.0.3;lr>"])
        );
        assert_eq!(
            dialog.strict_tail().as_deref(),
            Some("<sip:t@10.0.0.9:5060>")
        );
        assert_eq!(dialog.next_hop(peer).remote.to_string(), "10.0.0.2:5060");
    }
}
