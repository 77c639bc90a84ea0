//! Keys of SRTP in descriptions: `a=crypto` (RFC 4568), and when they may be there.
//!
//! Absent on purpose: key identifiers (MKI), derivation rates, and streams that are not encrypted or not authenticated. A line that asks for one of them
//! is passed over, as the RFC wants it (section 6.3).

use sdp_types::Media;

use crate::webrtc::{Door, is_browsers};

/// The longest key with its salt, in octets.
const KEY_MAX: usize = 44;
/// The least lifetime of a key that is enough for a call without a new one: six hours of 50 packets a second.
const LIFETIME_MIN: u64 = 1 << 20;

/// A way to encrypt and to authenticate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Suite {
    AesCm80,
    AesCm32,
    Gcm128,
    Gcm256,
}

impl Suite {
    /// All that we understand.
    pub const ALL: [Suite; 4] = [Suite::Gcm256, Suite::Gcm128, Suite::AesCm80, Suite::AesCm32];
    /// What we offer, the best first. The tag of 32 bits is too easily guessed to be asked for; who has nothing better may have it.
    pub const OFFERED: [Suite; 3] = [Suite::Gcm256, Suite::Gcm128, Suite::AesCm80];

    /// As RFC 4568 section 6.2 and RFC 7714 section 14 name it.
    pub const fn name(self) -> &'static str {
        match self {
            Suite::AesCm80 => "AES_CM_128_HMAC_SHA1_80",
            Suite::AesCm32 => "AES_CM_128_HMAC_SHA1_32",
            Suite::Gcm128 => "AEAD_AES_128_GCM",
            Suite::Gcm256 => "AEAD_AES_256_GCM",
        }
    }

    /// Octets of its master key and salt.
    pub const fn octets(self) -> usize {
        match self {
            Suite::AesCm80 | Suite::AesCm32 => 30,
            Suite::Gcm128 => 28,
            Suite::Gcm256 => 44,
        }
    }

    /// What we number it with in offers: the same in each, so that an answer needs no look at what was offered.
    const fn tag(self) -> u32 {
        match self {
            Suite::Gcm256 => 1,
            Suite::Gcm128 => 2,
            Suite::AesCm80 => 3,
            Suite::AesCm32 => 4,
        }
    }

    fn parse(name: &str) -> Option<Suite> {
        // Section 9.1: suites are written in capitals; some phones don't.
        let is = |suite: &Suite| suite.name().eq_ignore_ascii_case(name);
        Suite::ALL.into_iter().find(is)
    }
}

/// A master key and its salt. Never shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key {
    suite: Suite,
    octets: [u8; KEY_MAX],
}

impl Key {
    /// From random octets, as many as the suite needs.
    pub fn new(suite: Suite, random: &[u8; KEY_MAX]) -> Key {
        let mut octets = [0; KEY_MAX];
        octets[..suite.octets()].copy_from_slice(&random[..suite.octets()]);
        Key { suite, octets }
    }

    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// Key and salt, one behind the other.
    pub fn octets(&self) -> &[u8] {
        &self.octets[..self.suite.octets()]
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", self.suite.name())
    }
}

/// What is done about encryption.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Srtp {
    /// Neither offered nor taken.
    #[default]
    Off,
    /// Taken where it is offered, and offered to who understands it (RFC 8643).
    Optional,
    /// There is no call without it.
    Required,
}

/// What our side of a session is protected with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Security<'a> {
    pub srtp: Srtp,
    /// A key for each suite that we speak; none where they would go over a hop that others can read.
    pub keys: &'a [Key],
    /// Where a browser may come; when we offer, it is one that we offer to.
    pub door: Option<Door<'a>>,
}

impl<'a> Security<'a> {
    /// The keys that we offer, in our order. When something was agreed on before, it stays.
    pub(crate) fn offered(&self, agreed: Option<&Agreed>) -> impl Iterator<Item = &'a Key> {
        let stays = agreed.map(|agreed| agreed.ours.suite);
        let keys = if self.srtp == Srtp::Off {
            &[]
        } else {
            self.keys
        };
        keys.iter().filter(move |key| match stays {
            Some(suite) => key.suite == suite,
            None => Suite::OFFERED.contains(&key.suite),
        })
    }

    fn key(&self, suite: Suite) -> Option<&'a Key> {
        self.keys.iter().find(|key| key.suite == suite)
    }
}

/// Keys that both sides have agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// The number of the line that was taken.
    pub(crate) tag: u32,
    pub ours: Key,
    pub theirs: Key,
}

/// Whether a media line is of a profile that only goes encrypted.
pub(crate) fn is_secured(media: &Media) -> bool {
    ["RTP/SAVP", "RTP/SAVPF"]
        .iter()
        .any(|proto| media.proto.eq_ignore_ascii_case(proto))
}

/// Whether a media line would be encrypted if we took it.
pub(crate) fn is_offered(media: &Media) -> bool {
    is_secured(media) || is_browsers(media) || media.has_attribute("crypto")
}

/// The first of the far end's lines that we can take, in its order (section 5.1.2); the short tag where there is nothing better.
pub(crate) fn agree(media: &Media, security: &Security<'_>) -> Option<Agreed> {
    if security.srtp == Srtp::Off {
        return None;
    }
    let agreed = || {
        let lines = media.get_attribute_values("crypto").flatten();
        lines.filter_map(|line| {
            let (tag, theirs) = read(line)?;
            let ours = *security.key(theirs.suite)?;
            Some(Agreed { tag, ours, theirs })
        })
    };
    let is_long = |agreed: &Agreed| agreed.ours.suite != Suite::AesCm32;
    agreed().find(is_long).or_else(|| agreed().next())
}

/// The line of a key that we offer.
pub(crate) fn offer(key: &Key) -> String {
    line(key.suite.tag(), key)
}

/// The line that answers the one which was taken (section 5.1.2).
pub(crate) fn answer(agreed: &Agreed) -> String {
    line(agreed.tag, &agreed.ours)
}

fn line(tag: u32, key: &Key) -> String {
    let (suite, key) = (key.suite.name(), encode(key.octets()));
    format!("a=crypto:{tag} {suite} inline:{key}\r\n")
}

/// Tag and key of a line; `None` when we cannot take it.
fn read(line: &str) -> Option<(u32, Key)> {
    let mut words = line.split_ascii_whitespace();
    let (tag, suite, key) = (words.next()?, words.next()?, words.next()?);
    let tag = tag.parse().ok().filter(|_| tag.len() <= 9)?;
    let suite = Suite::parse(suite)?;
    // What may be left out has a minus before it, and how many packets may be lost is a hint (sections 6.3.6 and 6.3.7).
    if !words.all(|parameter| parameter.starts_with('-') || parameter.starts_with("WSH=")) {
        return None;
    }
    let mut parts = key.strip_prefix("inline:")?.split('|');
    let octets = decode(parts.next()?)?;
    let lifetime = parts.next();
    // `1:4`: a key identifier, which every packet would have to bear. More keys than one need them too.
    let lives = lifetime.is_none_or(|text| lifetime_of(text).is_some_and(|n| n >= LIFETIME_MIN));
    if parts.next().is_some() || !lives || octets.len() != suite.octets() {
        return None;
    }
    let mut random = [0; KEY_MAX];
    random[..octets.len()].copy_from_slice(&octets);
    Some((tag, Key::new(suite, &random)))
}

/// Packets: `2^31`, or `1048576`.
fn lifetime_of(text: &str) -> Option<u64> {
    match text.strip_prefix("2^") {
        Some(power) => 1u64.checked_shl(power.parse().ok()?),
        None => text.parse().ok(),
    }
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 (RFC 4648 section 4).
fn encode(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len().div_ceil(3) * 4);
    for chunk in octets.chunks(3) {
        let three = [0, 1, 2].map(|at| u32::from(chunk.get(at).copied().unwrap_or(0)));
        let bits = three[0] << 16 | three[1] << 8 | three[2];
        for digit in 0..4 {
            match digit <= chunk.len() {
                true => text.push(DIGITS[(bits >> (18 - 6 * digit) & 63) as usize].into()),
                false => text.push('='),
            }
        }
    }
    text
}

/// `None` for what is no base64, or more of it than any key has. Padding may be missing: some phones leave it out.
fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    if text.len() > KEY_MAX.div_ceil(3) * 4 || text.len() % 4 == 1 {
        return None;
    }
    let mut octets = Vec::with_capacity(KEY_MAX);
    let (mut bits, mut count) = (0u32, 0);
    for digit in text.bytes() {
        let value = DIGITS.iter().position(|known| *known == digit)?;
        bits = bits << 6 | value as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            octets.push((bits >> count) as u8);
        }
    }
    Some(octets)
}

/// A message whose keys cannot be read any more, of the same length: for whoever is shown what was on the wire. `None`: it has none.
pub fn masked(message: &[u8]) -> Option<Vec<u8>> {
    let mut out: Option<Vec<u8>> = None;
    // Also in offers of capabilities (RFC 5939), and those with which ICE authenticates.
    for name in [&b"inline:"[..], b"a=ice-pwd:"] {
        for at in memchr::memmem::find_iter(message, name) {
            let key = &message[at + name.len()..];
            let length = key
                .iter()
                .take_while(|byte| !byte.is_ascii_whitespace() && !b"|;\"".contains(byte))
                .count();
            let begin = at + name.len();
            let out = out.get_or_insert_with(|| message.to_vec());
            out[begin..begin + length].fill(b'*');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const RFC: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

    #[test]
    fn lines_are_read_as_the_rfc_writes_them() {
        // Section 4.1, with its lifetime but without its key identifier.
        let line = format!("1 AES_CM_128_HMAC_SHA1_80 inline:{RFC}|2^20");
        let (tag, key) = read(&line).expect("a line");
        assert_eq!(
            (tag, key.suite(), key.octets().len()),
            (1, Suite::AesCm80, 30)
        );
        assert_eq!(encode(key.octets()), RFC);
        for good in [
            format!("17 aes_cm_128_hmac_sha1_32 inline:{RFC}"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{RFC}|1048576 WSH=64 -NEW=1"),
            format!("1 AEAD_AES_128_GCM inline:{}", encode(&[7; 28])),
            format!(
                "1 AEAD_AES_128_GCM inline:{}",
                encode(&[7; 28]).trim_end_matches('=')
            ),
            format!("1 AEAD_AES_256_GCM inline:{}", encode(&[7; 44])),
        ] {
            assert!(read(&good).is_some(), "{good}");
        }
    }

    #[test]
    fn what_we_cannot_do_is_passed_over() {
        for bad in [
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{RFC}|2^20|1:4"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{RFC}|1:4"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{RFC}|2^10"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{RFC};inline:{RFC}"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{RFC} KDR=1"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{RFC} UNENCRYPTED_SRTP"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{}", &RFC[4..]),
            format!("1 F8_128_HMAC_SHA1_80 inline:{RFC}"),
            format!("x AES_CM_128_HMAC_SHA1_80 inline:{RFC}"),
            format!("1 AES_CM_128_HMAC_SHA1_80 uri:{RFC}"),
            "1 AES_CM_128_HMAC_SHA1_80 inline:".to_owned(),
            String::new(),
        ] {
            assert!(read(&bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn base64_of_any_length_there_and_back() {
        assert_eq!(
            encode(b"fo") + &encode(b"foo") + &encode(b"foob"),
            "Zm8=Zm9vZm9vYg=="
        );
        for length in 0..=KEY_MAX {
            let octets: Vec<u8> = (0..length as u8).map(|n| n.wrapping_mul(151)).collect();
            assert_eq!(decode(&encode(&octets)).as_deref(), Some(&octets[..]));
        }
        assert_eq!((decode("Zm9v!"), decode("A")), (None, None));
        assert_eq!(decode(&"A".repeat(64)), None);
    }

    #[test]
    fn no_key_is_shown() {
        let message = format!(
            "SIP/2.0 200 OK\r\nContent-Length: 99\r\n\r\nv=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{RFC}|2^20\r\n\
             a=acap:2 crypto:1 AES_CM_128_HMAC_SHA1_32 inline:{RFC}\r\na=ice-pwd:secret\r\n"
        );
        let masked = String::from_utf8(masked(message.as_bytes()).expect("keys")).expect("text");
        assert_eq!(masked.len(), message.len());
        assert!(!masked.contains("WVNf") && !masked.contains("secret"));
        let stars = "*".repeat(RFC.len());
        assert!(masked.contains(&format!(
            "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{stars}|2^20\r\n"
        )));
        assert_eq!(super::masked(b"BYE sip:x SIP/2.0\r\n\r\n"), None);
        let key = Key::new(Suite::Gcm128, &[1; KEY_MAX]);
        assert_eq!(format!("{key:?}"), "Key(AEAD_AES_128_GCM)");
    }
}
