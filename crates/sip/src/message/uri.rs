//! URIs (RFC 3261 section 19.1, RFC 3966), borrowed from the text they were read from.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::FieldError;
use super::text::{find, split_once};

/// A URI's scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme<'a> {
    Sip,
    Sips,
    Tel,
    /// Another one, as written: answered 416 in a Request-URI.
    Other(&'a str),
}

impl fmt::Display for Scheme<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scheme::Sip => "sip",
            Scheme::Sips => "sips",
            Scheme::Tel => "tel",
            Scheme::Other(name) => name,
        })
    }
}

/// A host: a name or an address literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host<'a> {
    Name(&'a str),
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

impl<'a> Host<'a> {
    /// Reads `host` of RFC 3261 section 25.1: IPv6 stands in brackets.
    pub fn parse(text: &'a str) -> Option<Host<'a>> {
        if let Some(inner) = text.strip_prefix('[') {
            return ipv6(inner.strip_suffix(']')?).map(Host::V6);
        }
        if let Some(address) = v4(text.as_bytes()) {
            return Some(Host::V4(address));
        }
        if text.is_empty() {
            return None;
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        text.bytes().all(allowed).then_some(Host::Name(text))
    }

    /// The address, when it is a literal.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Host::Name(_) => None,
            Host::V4(address) => Some(IpAddr::V4(*address)),
            Host::V6(address) => Some(IpAddr::V6(*address)),
        }
    }

    /// Same host: names in any case, addresses by value.
    pub fn equivalent(&self, other: &Host<'_>) -> bool {
        match (self, other) {
            (Host::Name(left), Host::Name(right)) => left.eq_ignore_ascii_case(right),
            (left, right) => left.ip().is_some() && left.ip() == right.ip(),
        }
    }
}

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::V4(address) => write!(f, "{address}"),
            Host::V6(address) => write!(f, "[{address}]"),
        }
    }
}

/// An IPv6 address. RFC 3261's grammar has `:::` in front of an embedded IPv4 address where `::` is meant, and both must be
/// taken (RFC 5118 section 4.10).
fn ipv6(text: &str) -> Option<Ipv6Addr> {
    text.parse().ok().or_else(|| {
        let (head, tail) = text.split_once(":::")?;
        let tail: Ipv4Addr = tail.parse().ok()?;
        format!("{head}::{tail}").parse().ok()
    })
}

/// Four numbers up to 255 without leading zeros, as the standard library reads them but in one pass.
fn v4(text: &[u8]) -> Option<Ipv4Addr> {
    let (mut octets, mut place, mut digits) = ([0u8; 4], 0, 0);
    for &byte in text {
        match byte {
            b'0'..=b'9' if digits == 0 || (digits < 3 && octets[place] > 0) => {
                octets[place] = octets[place].checked_mul(10)?.checked_add(byte - b'0')?;
                digits += 1;
            }
            b'.' if digits > 0 && place < 3 => (place, digits) = (place + 1, 0),
            _ => return None,
        }
    }
    (place == 3 && digits > 0).then(|| octets.into())
}

/// `host [":" port]`.
pub(crate) fn host_port(text: &str) -> Option<(Host<'_>, Option<u16>)> {
    let colon = match text.starts_with('[') {
        true => text
            .find(']')
            .and_then(|end| text[end..].find(':').map(|colon| end + colon)),
        false => find(text, b':'),
    };
    match colon {
        None => Some((Host::parse(text)?, None)),
        Some(colon) => {
            let port = &text[colon + 1..];
            let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
            let port = digits.then(|| port.parse().ok()).flatten()?;
            Some((Host::parse(&text[..colon])?, Some(port)))
        }
    }
}

/// A URI. For `sip` and `sips` every part is read; for `tel` the number is in `user` and the parameters are read;
/// for other schemes all after the colon is in `opaque`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uri<'a> {
    pub scheme: Scheme<'a>,
    /// As written, with its escapes; see [`Uri::user`].
    pub raw_user: Option<&'a str>,
    pub password: Option<&'a str>,
    /// An empty name for schemes without a host.
    pub host: Host<'a>,
    pub port: Option<u16>,
    /// `;name=value;…` as written, or empty.
    raw_params: &'a str,
    /// What follows `?`, or empty.
    raw_headers: &'a str,
    /// What follows the colon, as written.
    pub opaque: &'a str,
}

impl<'a> Uri<'a> {
    /// Reads a URI without angle brackets around it.
    ///
    /// ```
    /// let uri = sip::message::Uri::parse("sip:j%20doe@[2001:db8::1]:5070;transport=tcp?Subject=x")?;
    /// assert_eq!(uri.user().as_deref(), Some("j doe"));
    /// assert_eq!((uri.port, uri.param("transport")), (Some(5070), Some("tcp")));
    /// # Ok::<(), sip::message::FieldError>(())
    /// ```
    ///
    /// # Errors
    /// [`FieldError`] when it is not one (RFC 3261 section 25.1).
    pub fn parse(text: &'a str) -> Result<Uri<'a>, FieldError> {
        let bad = |what| FieldError { field: "URI", what };
        if text
            .bytes()
            .any(|byte| byte <= b' ' || matches!(byte, b'<' | b'>' | b'"' | 0x7f))
        {
            return Err(bad("a character that must be escaped"));
        }
        let (scheme, opaque) = split_once(text, b':').ok_or(bad("no scheme"))?;
        let scheme = scheme_of(scheme).ok_or(bad("bad scheme"))?;
        let mut uri = Uri {
            scheme,
            raw_user: None,
            password: None,
            host: Host::Name(""),
            port: None,
            raw_params: "",
            raw_headers: "",
            opaque,
        };
        match scheme {
            Scheme::Sip | Scheme::Sips => uri.read_sip(opaque).map_err(bad)?,
            Scheme::Tel => {
                let end = opaque.find(';').unwrap_or(opaque.len());
                if end == 0 {
                    return Err(bad("no number"));
                }
                uri.raw_user = Some(&opaque[..end]);
                uri.raw_params = &opaque[end..];
            }
            Scheme::Other(_) => {}
        }
        Ok(uri)
    }

    fn read_sip(&mut self, text: &'a str) -> Result<(), &'static str> {
        let rest = match find(text, b'@') {
            None => text,
            Some(at) => {
                let (user, password) = match split_once(&text[..at], b':') {
                    Some((user, password)) => (user, Some(password)),
                    None => (&text[..at], None),
                };
                if user.is_empty() {
                    return Err("empty user");
                }
                self.raw_user = Some(user);
                self.password = password;
                &text[at + 1..]
            }
        };
        let (rest, headers) = split_once(rest, b'?').unwrap_or((rest, ""));
        self.raw_headers = headers;
        let end = find(rest, b';').unwrap_or(rest.len());
        self.raw_params = &rest[end..];
        (self.host, self.port) = host_port(&rest[..end]).ok_or("bad host or port")?;
        Ok(())
    }

    /// The user part (of `tel`: the number) with its escapes resolved.
    pub fn user(&self) -> Option<Cow<'a, str>> {
        self.raw_user.map(unescape)
    }

    /// A parameter's value, escapes not resolved; `Some("")` when it has none.
    pub fn param(&self, name: &str) -> Option<&'a str> {
        self.params()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.unwrap_or(""))
    }

    /// Every parameter in its order.
    pub fn params(&self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> + use<'a> {
        pairs(self.raw_params, ';')
    }

    /// Every header of the URI (what follows `?`), escapes not resolved.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> + use<'a> {
        pairs(self.raw_headers, '&')
    }

    /// Loose routing (RFC 3261 section 19.1.1).
    pub fn is_loose(&self) -> bool {
        self.param("lr").is_some()
    }

    /// The same resource by RFC 3261 section 19.1.4. Not transitive, hence not `PartialEq`.
    pub fn equivalent(&self, other: &Uri<'_>) -> bool {
        match (self.scheme, other.scheme) {
            (Scheme::Sip, Scheme::Sip) | (Scheme::Sips, Scheme::Sips) => self.equivalent_sip(other),
            (Scheme::Tel, Scheme::Tel) => {
                let digits = |uri: &Uri<'_>| -> String {
                    let number = uri.raw_user.unwrap_or_default();
                    number
                        .chars()
                        .filter(|c| !matches!(c, '-' | '.' | '(' | ')'))
                        .collect()
                };
                digits(self).eq_ignore_ascii_case(&digits(other)) && params_agree(self, other)
            }
            (Scheme::Other(left), Scheme::Other(right)) => {
                left.eq_ignore_ascii_case(right) && self.opaque == other.opaque
            }
            _ => false,
        }
    }

    fn equivalent_sip(&self, other: &Uri<'_>) -> bool {
        let same_text = |left: Option<&str>, right: Option<&str>| match (left, right) {
            (None, None) => true,
            (Some(left), Some(right)) => left == right || unescape(left) == unescape(right),
            _ => false,
        };
        same_text(self.raw_user, other.raw_user)
            && same_text(self.password, other.password)
            && self.host.equivalent(&other.host)
            && self.port == other.port
            && params_agree(self, other)
            && headers_agree(self, other)
            && headers_agree(other, self)
    }
}

/// Parameters that two equal URIs have both or neither; others count only where both have them.
const SIGNIFICANT: [&str; 5] = ["user", "ttl", "method", "maddr", "transport"];

fn params_agree(left: &Uri<'_>, right: &Uri<'_>) -> bool {
    let one_way = |a: &Uri<'_>, b: &Uri<'_>| {
        a.params().all(|(name, value)| match b.param(name) {
            Some(found) => unescape(found).eq_ignore_ascii_case(&unescape(value.unwrap_or(""))),
            None => !SIGNIFICANT
                .iter()
                .any(|significant| significant.eq_ignore_ascii_case(name)),
        })
    };
    one_way(left, right) && one_way(right, left)
}

fn headers_agree(left: &Uri<'_>, right: &Uri<'_>) -> bool {
    left.headers().all(|(name, value)| {
        right.headers().any(|(key, found)| {
            unescape(name).eq_ignore_ascii_case(&unescape(key))
                && unescape(value.unwrap_or("")) == unescape(found.unwrap_or(""))
        })
    })
}

impl fmt::Display for Uri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.scheme, self.opaque)
    }
}

fn scheme_of(name: &str) -> Option<Scheme<'_>> {
    let starts = name.as_bytes().first().is_some_and(u8::is_ascii_alphabetic);
    if !starts
        || !name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
    {
        return None;
    }
    Some(if name.eq_ignore_ascii_case("sip") {
        Scheme::Sip
    } else if name.eq_ignore_ascii_case("sips") {
        Scheme::Sips
    } else if name.eq_ignore_ascii_case("tel") {
        Scheme::Tel
    } else {
        Scheme::Other(name)
    })
}

fn pairs(text: &str, separator: char) -> impl Iterator<Item = (&str, Option<&str>)> {
    text.split(separator)
        .filter(|pair| !pair.is_empty())
        .map(|pair| match pair.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (pair, None),
        })
}

/// Resolves `%41`; what is no valid escape stays, what is no UTF-8 afterwards is replaced.
pub fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digit = |offset: usize| {
            bytes
                .get(at + offset)
                .and_then(|&byte| char::from(byte).to_digit(16))
        };
        match (bytes[at], digit(1), digit(2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, _, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

/// Escapes what may not stand in the user part of a SIP URI.
pub fn escape_user(text: &str) -> Cow<'_, str> {
    let plain = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')'
            )
            || matches!(byte, b'&' | b'=' | b'+' | b'$' | b',' | b';' | b'?' | b'/')
    };
    if text.bytes().all(plain) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for byte in text.bytes() {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for nibble in [byte >> 4, byte & 15] {
                out.push(char::from(b"0123456789ABCDEF"[usize::from(nibble)]));
            }
        }
    }
    Cow::Owned(out)
}
