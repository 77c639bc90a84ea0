//! The headers: Authorization and WWW-Authenticate and their proxy twins.

use std::fmt::{self, Display};

use super::{expected, same, unprotected};
use crate::api::Algorithm;
use crate::message::{Method, closing_quote, find_outside, is_token, quoted, trim, unquote};

/// Most parameters of one header that are read.
const MAX_PARAMS: usize = 32;

/// Why credentials or a challenge cannot be used: treat as none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    #[error("not the Digest scheme")]
    Scheme,
    #[error("malformed parameters")]
    Syntax,
    #[error("missing {0}")]
    Missing(&'static str),
    #[error("algorithm not supported")]
    Algorithm,
    #[error("quality of protection not supported")]
    Qop,
}

/// Calls `take` with every parameter behind `Digest`, quotes and escapes off.
fn read(
    value: &str,
    mut take: impl FnMut(&str, String) -> Result<(), DigestError>,
) -> Result<(), DigestError> {
    let value = trim(value);
    let (scheme, rest) = value.split_once([' ', '\t']).ok_or(DigestError::Scheme)?;
    if !scheme.eq_ignore_ascii_case("Digest") {
        return Err(DigestError::Scheme);
    }
    let mut rest = Some(rest);
    let mut count = 0;
    while let Some(text) = rest {
        let (pair, behind) = match find_outside(text, b',') {
            Some(comma) => (&text[..comma], Some(&text[comma + 1..])),
            None => (text, None),
        };
        rest = behind;
        if trim(pair).is_empty() {
            continue;
        }
        count += 1;
        let (name, value) = pair.split_once('=').ok_or(DigestError::Syntax)?;
        let (name, value) = (trim(name), trim(value));
        if count > MAX_PARAMS || !is_token(name.as_bytes()) {
            return Err(DigestError::Syntax);
        }
        let value = match value.strip_prefix('"') {
            None => value.to_owned(),
            Some(inner) => {
                let end = closing_quote(inner)
                    .filter(|end| end + 1 == inner.len())
                    .ok_or(DigestError::Syntax)?;
                unquote(&inner[..end]).into_owned()
            }
        };
        take(name, value)?;
    }
    Ok(())
}

/// Fills a slot once: a parameter that comes twice is an error (RFC 7616 section 3.4).
fn once(slot: &mut Option<String>, value: String) -> Result<(), DigestError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(DigestError::Syntax),
    }
}

/// What an Authorization or Proxy-Authorization header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestResponse {
    pub username: String,
    pub realm: String,
    pub nonce: String,
    pub uri: String,
    pub response: String,
    pub algorithm: Algorithm,
    pub cnonce: String,
    /// As written: eight hex digits.
    pub nc_text: String,
    pub nc: u32,
    pub opaque: Option<String>,
}

impl DigestResponse {
    /// Reads a header's value.
    ///
    /// # Errors
    /// [`DigestError`] when it is not usable: another scheme, no `qop=auth`, something missing or twice.
    pub fn parse(value: &str) -> Result<DigestResponse, DigestError> {
        const NAMES: [&str; 10] = [
            "username",
            "realm",
            "nonce",
            "uri",
            "response",
            "algorithm",
            "cnonce",
            "nc",
            "opaque",
            "qop",
        ];
        let mut found: [Option<String>; 10] = Default::default();
        read(value, |name, value| {
            match NAMES
                .iter()
                .position(|known| known.eq_ignore_ascii_case(name))
            {
                Some(position) => once(&mut found[position], value),
                None => Ok(()),
            }
        })?;
        let [
            username,
            realm,
            nonce,
            uri,
            response,
            algorithm,
            cnonce,
            nc_text,
            opaque,
            qop,
        ] = found;
        match qop {
            Some(qop) if qop.eq_ignore_ascii_case("auth") => {}
            _ => return Err(DigestError::Qop),
        }
        let nc_text = nc_text.ok_or(DigestError::Missing("nc"))?;
        if nc_text.len() != 8 || !nc_text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(DigestError::Syntax);
        }
        Ok(DigestResponse {
            username: username.ok_or(DigestError::Missing("username"))?,
            realm: realm.ok_or(DigestError::Missing("realm"))?,
            nonce: nonce.ok_or(DigestError::Missing("nonce"))?,
            uri: uri.ok_or(DigestError::Missing("uri"))?,
            response: response.ok_or(DigestError::Missing("response"))?,
            algorithm: algorithm
                .map_or(Some(Algorithm::Md5), |name| Algorithm::parse(&name))
                .ok_or(DigestError::Algorithm)?,
            cnonce: cnonce.ok_or(DigestError::Missing("cnonce"))?,
            nc: u32::from_str_radix(&nc_text, 16).map_err(|_| DigestError::Syntax)?,
            nc_text,
            opaque,
        })
    }

    /// Whether `response` is right for this HA1 (hex, of [`DigestResponse::algorithm`]) and method. Constant time.
    ///
    /// Whether `uri`, `realm` and `nonce` are ours is for the caller to see.
    pub fn verify(&self, ha1: &str, method: &Method) -> bool {
        let ha1 = ha1.to_ascii_lowercase();
        let wanted = expected(
            self.algorithm,
            &ha1,
            &self.nonce,
            &self.nc_text,
            &self.cnonce,
            method.as_str(),
            &self.uri,
        );
        same(&self.response, &wanted)
    }
}

/// The value of one WWW-Authenticate or Proxy-Authenticate line; write one line an algorithm, the preferred one first (RFC 8760).
pub fn challenge(
    realm: &str,
    nonce: &str,
    opaque: &str,
    stale: bool,
    algorithm: Algorithm,
) -> String {
    format!(
        "Digest realm={}, nonce=\"{nonce}\", opaque=\"{opaque}\", algorithm={}, qop=\"auth\"{}",
        quoted(realm),
        algorithm.as_str(),
        if stale { ", stale=true" } else { "" },
    )
}

/// What a WWW-Authenticate or Proxy-Authenticate line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestChallenge {
    pub realm: String,
    pub nonce: String,
    pub opaque: Option<String>,
    pub stale: bool,
    pub algorithm: Algorithm,
    /// Whether `qop=auth` is offered; without it the answer is that of RFC 2069, which old registrars want.
    pub qop: bool,
}

impl DigestChallenge {
    /// Reads a header's value.
    ///
    /// # Errors
    /// [`DigestError`] when we cannot answer it; try the next line.
    pub fn parse(value: &str) -> Result<DigestChallenge, DigestError> {
        let (mut realm, mut nonce, mut opaque, mut algorithm, mut qop, mut stale) =
            (None, None, None, None, None, None);
        read(value, |name, value| match () {
            () if name.eq_ignore_ascii_case("realm") => once(&mut realm, value),
            () if name.eq_ignore_ascii_case("nonce") => once(&mut nonce, value),
            () if name.eq_ignore_ascii_case("opaque") => once(&mut opaque, value),
            () if name.eq_ignore_ascii_case("algorithm") => once(&mut algorithm, value),
            () if name.eq_ignore_ascii_case("qop") => once(&mut qop, value),
            () if name.eq_ignore_ascii_case("stale") => once(&mut stale, value),
            () => Ok(()),
        })?;
        let auth = |options: &String| {
            options
                .split(',')
                .any(|option| trim(option).eq_ignore_ascii_case("auth"))
        };
        if qop.as_ref().is_some_and(|options| !auth(options)) {
            return Err(DigestError::Qop);
        }
        Ok(DigestChallenge {
            qop: qop.is_some(),
            realm: realm.ok_or(DigestError::Missing("realm"))?,
            nonce: nonce.ok_or(DigestError::Missing("nonce"))?,
            opaque,
            stale: stale.is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
            algorithm: algorithm
                .map_or(Some(Algorithm::Md5), |name| Algorithm::parse(&name))
                .ok_or(DigestError::Algorithm)?,
        })
    }
}

/// The client's answer to a [`DigestChallenge`]; its `Display` is the value of Authorization or Proxy-Authorization.
#[derive(Clone, Copy, Debug)]
pub struct ClientAuth<'a> {
    pub challenge: &'a DigestChallenge,
    pub username: &'a str,
    /// Hex, of the challenge's algorithm; see [`super::ha1`].
    pub ha1: &'a str,
    pub method: &'a Method,
    /// The Request-URI as written.
    pub uri: &'a str,
    /// 1 for the first request with this nonce.
    pub nc: u32,
    /// Fresh random text of token characters.
    pub cnonce: &'a str,
}

impl Display for ClientAuth<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DigestChallenge {
            realm,
            nonce,
            opaque,
            algorithm,
            qop,
            ..
        } = self.challenge;
        let nc = format!("{:08x}", self.nc);
        if !qop {
            let response = unprotected(*algorithm, self.ha1, nonce, self.method.as_str(), self.uri);
            write!(
                f,
                "Digest username={}, realm={}, nonce={}, uri={}, response=\"{response}\", algorithm={}",
                quoted(self.username),
                quoted(realm),
                quoted(nonce),
                quoted(self.uri),
                algorithm.as_str(),
            )?;
            return match opaque {
                Some(opaque) => write!(f, ", opaque={}", quoted(opaque)),
                None => Ok(()),
            };
        }
        let response = expected(
            *algorithm,
            self.ha1,
            nonce,
            &nc,
            self.cnonce,
            self.method.as_str(),
            self.uri,
        );
        write!(
            f,
            "Digest username={}, realm={}, nonce={}, uri={}, response=\"{response}\", algorithm={}, cnonce={}, qop=auth, nc={nc}",
            quoted(self.username),
            quoted(realm),
            quoted(nonce),
            quoted(self.uri),
            algorithm.as_str(),
            quoted(self.cnonce),
        )?;
        match opaque {
            Some(opaque) => write!(f, ", opaque={}", quoted(opaque)),
            None => Ok(()),
        }
    }
}
