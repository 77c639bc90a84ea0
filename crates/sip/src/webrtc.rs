//! Browsers in descriptions: DTLS-SRTP (RFC 5763, RFC 8122), ICE (RFC 8839) and BUNDLE (RFC 9143), as an ICE-lite end answers and offers them.
//!
//! We are the passive one: the browser finds the way and shakes hands, through one port that all browsers share. Absent on purpose: candidates of
//! theirs (ICE-lite sends no checks), trickling, video, data channels.

use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use sdp_types::{Attribute, Media, Session};

/// Our end of one leg of a browser.
#[derive(Clone, Copy, Debug)]
pub struct Door<'a> {
    /// The port that all browsers share.
    pub port: u16,
    /// SHA-256 of our certificate.
    pub fingerprint: &'a [u8; 32],
    /// Short-term credentials of ICE: whose packets a newcomer's are.
    pub ufrag: &'a str,
    pub password: &'a str,
}

/// The browser's end of a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Browser {
    /// SHA-256 of its certificate.
    pub fingerprint: [u8; 32],
    /// Stands for its credentials of ICE: others mean that it begins anew (RFC 8839 section 4.4.1.1.1).
    pub credentials: u64,
}

/// Whether a media line is of a browser's profile.
pub(crate) fn is_browsers(media: &Media) -> bool {
    ["UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP"]
        .iter()
        .any(|proto| media.proto.eq_ignore_ascii_case(proto))
}

/// What of a browser's line we can go with; `None`: there is something that we need and it has not.
pub(crate) fn agree(session: &Session, media: &Media) -> Option<Browser> {
    let value = |name: &str| of_line(session, media, name);
    let setup = value("setup")?;
    // It shakes hands, we wait: the other way round is not for an end that does not know the way.
    if !matches!(setup, "actpass" | "active") || !media.has_attribute("rtcp-mux") {
        return None;
    }
    let mut hash = DefaultHasher::new();
    (value("ice-ufrag")?, value("ice-pwd")?).hash(&mut hash);
    Some(Browser {
        fingerprint: fingerprint(value("fingerprint")?)?,
        credentials: hash.finish(),
    })
}

/// Whether an offer has a line of a browser's profile.
pub fn is_offer(sdp: &[u8]) -> bool {
    memchr::memmem::find(sdp, b" UDP/TLS/RTP/SAVP").is_some()
}

/// An attribute of the media line, else of the session.
fn of_line<'a>(session: &'a Session, media: &'a Media, name: &str) -> Option<&'a str> {
    let lists: [&'a [Attribute]; 2] = [&media.attributes, &session.attributes];
    let mut found = lists
        .into_iter()
        .flatten()
        .filter(|attribute| attribute.attribute == name);
    found.find_map(|attribute| attribute.value.as_deref())
}

/// `sha-256 12:AB:…`; every browser has that (RFC 8122 section 5).
fn fingerprint(text: &str) -> Option<[u8; 32]> {
    let (hash, hex) = text.trim().split_once(' ')?;
    if !hash.eq_ignore_ascii_case("sha-256") {
        return None;
    }
    let mut octets = [0; 32];
    let mut pairs = hex.trim().split(':');
    for octet in &mut octets {
        let pair = pairs.next().filter(|pair| pair.len() == 2)?;
        *octet = u8::from_str_radix(pair, 16).ok()?;
    }
    pairs.next().is_none().then_some(octets)
}

/// What its line is called, for BUNDLE.
fn mid(media: &Media) -> Option<&str> {
    media.get_first_attribute_value("mid").flatten()
}

/// The lines of the session in our answer to these media, of which one is taken, or in our offer.
pub(crate) fn session_lines(text: &mut String, taken: Option<&Media>) {
    let mid = taken.map_or(Some("0"), mid);
    text.push_str("a=ice-lite\r\n");
    if let Some(mid) = mid {
        let _ = write!(text, "a=group:BUNDLE {mid}\r\n");
    }
}

/// The lines of our media line; `taken`: the one that it answers, where we do not offer.
pub(crate) fn media_lines(
    text: &mut String,
    door: &Door<'_>,
    address: IpAddr,
    taken: Option<&Media>,
) {
    let (mid, setup) = match taken {
        Some(media) => (mid(media), "passive"),
        None => (Some("0"), "actpass"),
    };
    if let Some(mid) = mid {
        let _ = write!(text, "a=mid:{mid}\r\n");
    }
    let hex: Vec<String> = door.fingerprint.map(|octet| format!("{octet:02X}")).into();
    let _ = write!(
        text,
        "a=msid:cordboard cordboard\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\na=fingerprint:sha-256 {hex}\r\na=setup:{setup}\r\n\
         a=candidate:1 1 udp 2130706431 {address} {port} typ host\r\na=end-of-candidates\r\n",
        ufrag = door.ufrag,
        password = door.password,
        hex = hex.join(":"),
        port = door.port,
    );
}
