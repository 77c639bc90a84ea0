//! Via (RFC 3261 section 20.42, RFC 3581).

use std::net::{IpAddr, SocketAddr};

use super::FieldError;
use super::address::Params;
use super::text::{find, is_space, is_token, split_once, trim};
use super::uri::{Host, host_port};
use crate::api::Transport;

/// Port of SIP over UDP and TCP where none is written (RFC 3261 section 19.1.2).
pub const DEFAULT_PORT: u16 = 5060;
/// Port of SIP over TLS where none is written.
pub const DEFAULT_TLS_PORT: u16 = 5061;
/// What a branch starts with since RFC 3261 (section 8.1.1.7).
pub const BRANCH_COOKIE: &str = "z9hG4bK";

/// One Via value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via<'a> {
    /// The version as written: `2.0`, or what a sender of another one wants to see again in its 505.
    pub version: &'a str,
    /// The transport as written, e.g. `UDP`; see [`Via::transport`].
    pub transport_text: &'a str,
    pub host: Host<'a>,
    pub port: Option<u16>,
    /// Host and port as written.
    pub(super) sent_by: &'a str,
    pub params: Params<'a>,
}

impl<'a> Via<'a> {
    /// Reads one value: `SIP/2.0/UDP host:port;branch=…`, white space allowed around every separator.
    ///
    /// # Errors
    /// [`FieldError`] when it is none.
    pub fn parse(text: &'a str) -> Result<Via<'a>, FieldError> {
        let bad = |what| FieldError { field: "Via", what };
        let text = trim(text);
        let (version, rest) = match text.strip_prefix("SIP/2.0/") {
            Some(rest) => ("2.0", rest),
            None => spaced_protocol(text)?,
        };
        let rest = trim(rest);
        let end = rest.bytes().position(is_space).ok_or(bad("no sent-by"))?;
        let (transport_text, rest) = (&rest[..end], trim(&rest[end..]));
        if !is_token(transport_text.as_bytes()) {
            return Err(bad("transport"));
        }
        let end = find(rest, b';').unwrap_or(rest.len());
        let written = trim(&rest[..end]);
        let (host, port) = sent_by(written).ok_or(bad("sent-by"))?;
        Ok(Via {
            version,
            transport_text,
            host,
            port,
            sent_by: written,
            params: Params::parse(&rest[end..], "Via")?,
        })
    }

    /// The transport, when it is one that we know.
    pub fn transport(&self) -> Option<Transport> {
        const NAMES: [(&str, Transport); 5] = [
            ("UDP", Transport::Udp),
            ("TCP", Transport::Tcp),
            ("TLS", Transport::Tls),
            ("WS", Transport::Ws),
            ("WSS", Transport::Wss),
        ];
        NAMES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(self.transport_text))
            .map(|entry| entry.1)
    }

    /// The `branch` parameter.
    pub fn branch(&self) -> Option<&'a str> {
        self.params
            .get("branch")
            .filter(|branch| !branch.is_empty())
    }

    /// True when the branch names a transaction by itself (RFC 3261 section 17.2.3); the bare cookie names none (RFC 4475 section 3.2.1).
    pub fn has_cookie(&self) -> bool {
        self.branch()
            .filter(|branch| branch.len() > BRANCH_COOKIE.len())
            .and_then(|branch| branch.get(..BRANCH_COOKIE.len()))
            .is_some_and(|head| head.eq_ignore_ascii_case(BRANCH_COOKIE))
    }

    /// The `received` parameter.
    pub fn received(&self) -> Option<IpAddr> {
        let text = self.params.get("received")?;
        text.strip_prefix('[')
            .and_then(|inner| inner.strip_suffix(']'))
            .unwrap_or(text)
            .parse()
            .ok()
    }

    /// The `rport` parameter: `Some(None)` when the sender asks for it (RFC 3581), `Some(Some(port))` when it is filled in.
    pub fn rport(&self) -> Option<Option<u16>> {
        self.params.get("rport").map(|port| port.parse().ok())
    }

    /// Where a response goes that is sent over UDP to a request from `source` (RFC 3261 section 18.2.2, RFC 3581 section 4):
    /// `maddr` is not honoured, since it lets a stranger choose whom we send to.
    pub fn response_address(&self, source: SocketAddr) -> SocketAddr {
        match self.rport() {
            Some(_) => source,
            None => SocketAddr::new(source.ip(), self.port.unwrap_or(DEFAULT_PORT)),
        }
    }

    /// The same sender and branch, hence the same transaction (section 17.2.3).
    pub fn same_sent_by(&self, other: &Via<'_>) -> bool {
        self.host.equivalent(&other.host)
            && self.port.unwrap_or(DEFAULT_PORT) == other.port.unwrap_or(DEFAULT_PORT)
    }
}

/// The protocol in another case, of another version, or with white space in it: the version, and what follows.
fn spaced_protocol(text: &str) -> Result<(&str, &str), FieldError> {
    let bad = |what| FieldError { field: "Via", what };
    let (protocol, rest) = split_once(text, b'/').ok_or(bad("no protocol"))?;
    let (version, rest) = split_once(rest, b'/').ok_or(bad("no version"))?;
    let version = trim(version);
    if !trim(protocol).eq_ignore_ascii_case("SIP") || !is_token(version.as_bytes()) {
        return Err(bad("not SIP"));
    }
    Ok((version, rest))
}

/// `host [COLON port]`, where the colon may have white space around it.
fn sent_by(text: &str) -> Option<(Host<'_>, Option<u16>)> {
    if !text.bytes().any(is_space) {
        return host_port(text);
    }
    let colon = text.rfind(':')?;
    let (host, port) = (trim(&text[..colon]), trim(&text[colon + 1..]));
    Some((Host::parse(host)?, Some(port.parse().ok()?)))
}
