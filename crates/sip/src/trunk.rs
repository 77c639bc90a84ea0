//! Carriers and PBXes: whose requests are believed, and where calls to the outside go.
//!
//! Absent on purpose: who may call out, and how a number is written for which trunk. That is class of service, and the engine's.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// A carrier or PBX: a trusted source, and a way to the outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trunk {
    pub name: Arc<str>,
    /// Requests from here are the trunk's.
    pub addresses: Vec<Net>,
    /// Host names, in lower case: the addresses that they have at present are the trunk's as well.
    pub hosts: Vec<Arc<str>>,
    /// Its requests come over TLS with a certificate that is good for this name, wherever they come from; then the addresses do not count.
    pub certificate: Option<Arc<str>>,
    /// Whether it is believed, and told who calls.
    pub trust: Trust,
    /// Calls at once, both directions together.
    pub max_calls: usize,
    /// New calls in one second, both directions together; 0 is no bound.
    pub calls_per_second: u32,
    /// Where calls to the outside go; a trunk without it only calls in.
    pub carrier: Option<Carrier>,
}

/// Whether a trunk is in our trust domain (RFC 3324).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// What it asserts of a caller is believed, and it is told of ours, those among them who want not to be known to others.
    #[default]
    Full,
    /// Its assertions are ignored, and it learns nothing of who wants not to be known.
    None,
}

impl Trunk {
    /// Whether a request is the trunk's that came from this address, over a connection whose verified certificate is good for these names.
    pub fn is_source(&self, source: IpAddr, names: &[Arc<str>]) -> bool {
        match &self.certificate {
            Some(wanted) => names.iter().any(|name| name.eq_ignore_ascii_case(wanted)),
            None => self.addresses.iter().any(|net| net.contains(source)),
        }
    }
}

/// Where a trunk's calls to the outside go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carrier {
    /// Host, and port where there is one, of Request-URI, To and From.
    pub domain: String,
    /// SIP URI that requests are sent to; its parameters say how.
    pub next_hop: String,
    /// Who we are there, where it asks.
    pub account: Option<Account>,
    /// Keeps a registration there for so long each time; `None` does not register.
    pub register: Option<Duration>,
    /// Asks with OPTIONS whether it lives, this often; `None` learns it from calls alone.
    pub options: Option<Duration>,
}

/// Our account at a carrier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    pub username: String,
    pub password: Secret,
    /// The one realm whose challenges get the password: anybody else's would be a way to steal it (ES2021-05).
    pub realm: String,
}

/// A password; never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// How a trunk stands; told whenever one of these changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrunkState {
    pub trunk: Arc<str>,
    /// Whether calls are sent there before others; a trunk that only calls in is up.
    pub up: bool,
    /// `None` when it does not register.
    pub registered: Option<bool>,
    pub calls: usize,
}

/// Addresses that begin with the same bits: a network, or one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Net {
    address: IpAddr,
    prefix: u8,
}

impl Net {
    /// `None` when the prefix is longer than the address, or names a host inside the network (`10.0.0.1/8`): a slip of the pen.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Net> {
        let address = address.to_canonical();
        let (bits, width) = bits(address);
        let inside = (u32::from(prefix) < width).then(|| bits << (128 - width + u32::from(prefix)));
        (u32::from(prefix) <= width && inside.unwrap_or(0) == 0).then_some(Net { address, prefix })
    }

    /// Whether this address is in the network; an IPv4 address that was mapped into IPv6 is that IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let ((ours, width), (theirs, other)) = (bits(self.address), bits(address.to_canonical()));
        // A shift by the whole width would overflow: a prefix of 0 holds every address of its family.
        let differing = (ours ^ theirs).checked_shr(width - u32::from(self.prefix));
        width == other && differing.unwrap_or(0) == 0
    }

    /// Whether some address is in both.
    pub fn overlaps(&self, other: &Net) -> bool {
        self.contains(other.address) && self.prefix <= other.prefix
            || other.contains(self.address) && other.prefix <= self.prefix
    }
}

/// The address as a number, and how many bits wide it is.
fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u32::from(address).into(), 32),
        IpAddr::V6(address) => (address.into(), 128),
    }
}

impl From<IpAddr> for Net {
    fn from(address: IpAddr) -> Net {
        let address = address.to_canonical();
        let prefix = if address.is_ipv4() { 32 } else { 128 };
        Net { address, prefix }
    }
}

impl std::fmt::Display for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.address)?;
        match (self.address, self.prefix) {
            (IpAddr::V4(_), 32) | (IpAddr::V6(_), 128) => Ok(()),
            (_, prefix) => write!(f, "/{prefix}"),
        }
    }
}

impl std::str::FromStr for Net {
    type Err = String;

    /// `192.0.2.1`, `192.0.2.0/24`, `2001:db8::/32`.
    fn from_str(text: &str) -> Result<Net, String> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let wrong = || format!("`{text}` is no address and no network");
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let Some(prefix) = prefix else {
            return Ok(address.into());
        };
        let prefix: u8 = prefix.parse().map_err(|_| wrong())?;
        Net::new(address, prefix)
            .ok_or_else(|| format!("`{text}` is no network: bits behind the prefix are set"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Result<Net, String> {
        text.parse()
    }

    #[test]
    fn networks_hold_what_begins_with_their_bits() {
        let holds = |text: &str, address: &str| {
            net(text).is_ok_and(|net| net.contains(address.parse().expect("an address")))
        };
        assert!(holds("192.0.2.1", "192.0.2.1") && !holds("192.0.2.1", "192.0.2.2"));
        assert!(holds("192.0.2.0/24", "192.0.2.255") && !holds("192.0.2.0/24", "192.0.3.0"));
        assert!(holds("0.0.0.0/0", "203.0.113.9") && !holds("0.0.0.0/0", "2001:db8::1"));
        assert!(holds("::/0", "2001:db8::1") && !holds("::/0", "203.0.113.9"));
        assert!(
            holds("2001:db8::/32", "2001:db8:ffff::1") && !holds("2001:db8::/32", "2001:db9::1")
        );
        assert!(
            holds("192.0.2.0/24", "::ffff:192.0.2.7"),
            "a mapped address is the IPv4 address"
        );
        assert!(holds("128.0.0.0/1", "255.1.1.1") && !holds("128.0.0.0/1", "127.0.0.1"));
    }

    #[test]
    fn slips_of_the_pen_are_no_networks() {
        for text in [
            "192.0.2.1/24",
            "192.0.2.0/33",
            "2001:db8::1/64",
            "::/129",
            "carrier.example",
            "/8",
            "1.2.3.4/",
        ] {
            assert!(net(text).is_err(), "{text}");
        }
        assert_eq!(
            net("192.0.2.0/24").map(|net| net.to_string()).as_deref(),
            Ok("192.0.2.0/24")
        );
        assert_eq!(net("::1").map(|net| net.to_string()).as_deref(), Ok("::1"));
    }
}
