//! Binding requests of ICE (RFC 8489, RFC 8445), as much of them as an ICE-lite end needs: who asks, and that it knows our password.

use std::net::{IpAddr, SocketAddr};

use ring::hmac;

const MAGIC: u32 = 0x2112_a442;
const HEADER: usize = 20;
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
const ICE_CONTROLLED: u16 = 0x8029;
/// What the CRC of a fingerprint is mixed with (RFC 8489 section 14.7).
const FINGERPRINT_XOR: u32 = 0x5354_554e;
/// Octets of an attribute's head, and of the two that end a message.
const HEAD: usize = 4;
const INTEGRITY_OCTETS: usize = 20;
const FINGERPRINT_OCTETS: usize = 4;
/// Octets of the longest answer: header, an IPv6 address, integrity, fingerprint.
pub const MAX_ANSWER: usize =
    HEADER + (HEAD + 20) + (HEAD + INTEGRITY_OCTETS) + (HEAD + FINGERPRINT_OCTETS);

/// A binding request whose form is right. Whether it is authentic only the password can tell.
#[derive(Debug)]
pub struct Request<'a> {
    packet: &'a [u8],
    /// Our part of the user name: whose leg it is for (RFC 8445 section 7.2.2).
    pub ours: &'a str,
    /// It wants this pair to be the one (RFC 8445 section 7.2.1).
    pub nominates: bool,
    /// Where the integrity attribute begins.
    integrity: usize,
}

/// Whether a datagram is STUN (RFC 7983): its two leading bits are zero and the magic cookie is there.
pub fn is_stun(packet: &[u8]) -> bool {
    packet.len() >= HEADER && packet[0] < 4 && packet[4..8] == MAGIC.to_be_bytes()
}

/// Reads a binding request; `None` for everything else, and for what is not meant for an end that is controlled.
pub fn read(packet: &[u8]) -> Option<Request<'_>> {
    let length = usize::from(word(packet, 2)?);
    let whole = length % 4 == 0 && HEADER + length == packet.len();
    if !is_stun(packet) || !whole || word(packet, 0)? != BINDING_REQUEST {
        return None;
    }
    let (mut at, mut ours, mut nominates, mut integrity) = (HEADER, None, false, None);
    let mut marked = false;
    while at < packet.len() {
        let (kind, length) = (word(packet, at)?, usize::from(word(packet, at + 2)?));
        let value = packet.get(at + HEAD..at + HEAD + length)?;
        match kind {
            FINGERPRINT => {
                let crc = crc32fast::hash(&packet[..at]) ^ FINGERPRINT_XOR;
                // Section 14.7: it is the last one.
                let end = at + HEAD + FINGERPRINT_OCTETS == packet.len();
                if value != crc.to_be_bytes() || !end {
                    return None;
                }
                marked = true;
            }
            _ if integrity.is_some() => {} // nothing behind it counts (section 14.5)
            USERNAME => ours = Some(std::str::from_utf8(value).ok()?.split_once(':')?.0),
            USE_CANDIDATE => nominates = true,
            MESSAGE_INTEGRITY if length == INTEGRITY_OCTETS => integrity = Some(at),
            // Both of us controlled: a role conflict, which no browser has with an ICE-lite end.
            ICE_CONTROLLED => return None,
            _ => {}
        }
        at += HEAD + length.next_multiple_of(4);
    }
    // RFC 8445 section 7.1.1 wants it in every request.
    marked.then_some(Request {
        packet,
        ours: ours?,
        nominates,
        integrity: integrity?,
    })
}

impl Request<'_> {
    /// Whether it was made by who knows the password: the HMAC is over everything before it, with a length that ends with it (section 14.5).
    pub fn is_authentic(&self, password: &hmac::Key) -> bool {
        let (before, theirs) = self.packet.split_at(self.integrity);
        let theirs = &theirs[HEAD..HEAD + INTEGRITY_OCTETS];
        let length = (self.integrity - HEADER + HEAD + INTEGRITY_OCTETS) as u16;
        let mut context = hmac::Context::with_key(password);
        context.update(&before[..2]);
        context.update(&length.to_be_bytes());
        context.update(&before[4..]);
        subtle::ConstantTimeEq::ct_eq(context.sign().as_ref(), theirs).into()
    }

    /// The answer: where it came from. Gives its length.
    pub fn answer(
        &self,
        source: SocketAddr,
        password: &hmac::Key,
        out: &mut [u8; MAX_ANSWER],
    ) -> usize {
        let transaction = &self.packet[4..HEADER];
        let mut at = HEADER;
        out[..2].copy_from_slice(&BINDING_SUCCESS.to_be_bytes());
        out[4..HEADER].copy_from_slice(transaction);
        let mut put = |out: &mut [u8; MAX_ANSWER], kind: u16, value: &[u8]| {
            out[at..at + 2].copy_from_slice(&kind.to_be_bytes());
            out[at + 2..at + HEAD].copy_from_slice(&(value.len() as u16).to_be_bytes());
            out[at + HEAD..at + HEAD + value.len()].copy_from_slice(value);
            at += HEAD + value.len();
            at
        };
        let (mapped, octets) = mapped(source, transaction);
        let end = put(out, XOR_MAPPED_ADDRESS, &mapped[..octets]);
        set_length(out, end + HEAD + INTEGRITY_OCTETS);
        let tag = hmac::sign(password, &out[..end]);
        let end = put(out, MESSAGE_INTEGRITY, tag.as_ref());
        set_length(out, end + HEAD + FINGERPRINT_OCTETS);
        let crc = crc32fast::hash(&out[..end]) ^ FINGERPRINT_XOR;
        put(out, FINGERPRINT, &crc.to_be_bytes())
    }
}

fn set_length(out: &mut [u8; MAX_ANSWER], end: usize) {
    out[2..4].copy_from_slice(&((end - HEADER) as u16).to_be_bytes());
}

/// The value of XOR-MAPPED-ADDRESS (section 14.2), and how much of it there is.
fn mapped(source: SocketAddr, transaction: &[u8]) -> ([u8; 20], usize) {
    let mut value = [0; 20];
    let port = source.port() ^ (MAGIC >> 16) as u16;
    value[2..4].copy_from_slice(&port.to_be_bytes());
    let (family, length) = match source.ip().to_canonical() {
        IpAddr::V4(ip) => {
            value[4..8].copy_from_slice(&ip.octets());
            (1, 8)
        }
        IpAddr::V6(ip) => {
            value[4..].copy_from_slice(&ip.octets());
            (2, 20)
        }
    };
    value[1] = family;
    for (octet, mask) in value[4..length].iter_mut().zip(transaction) {
        *octet ^= mask;
    }
    (value, length)
}

fn word(packet: &[u8], at: usize) -> Option<u16> {
    let octets = packet.get(at..at + 2)?;
    Some(u16::from_be_bytes([octets[0], octets[1]]))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// RFC 5769 section 2.1: a request of a controlled end, which we make one of a controlling end by its attribute's number.
    const SAMPLE: &str = "000100582112a442b7e7a701bc34d686fa87dfae\
        802200105354554e207465737420636c69656e74\
        002400046e0001ff80290008932ff9b151263b36\
        000600096576746a3a68367659202020\
        000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2\
        80280004e57a3bcb";

    fn octets(hex: &str) -> Vec<u8> {
        let digits: Vec<char> = hex.chars().filter(|digit| !digit.is_whitespace()).collect();
        let pairs = digits.chunks(2).map(|pair| pair.iter().collect::<String>());
        pairs
            .map(|pair| u8::from_str_radix(&pair, 16).expect("hex"))
            .collect()
    }

    fn key(password: &str) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes())
    }

    /// A request as a browser makes it.
    pub fn request(user: &str, password: &str, nominates: bool) -> Vec<u8> {
        let mut packet = octets("00010000 2112a442 b7e7a701 bc34d686 fa87dfae");
        let put = |packet: &mut Vec<u8>, kind: u16, value: &[u8]| {
            packet.extend(kind.to_be_bytes());
            packet.extend((value.len() as u16).to_be_bytes());
            packet.extend(value);
            packet.resize(packet.len().next_multiple_of(4), 0);
        };
        put(&mut packet, USERNAME, user.as_bytes());
        put(&mut packet, 0x802a, &[1; 8]);
        put(&mut packet, 0x0024, &[0x6e, 0, 1, 0xff]);
        if nominates {
            put(&mut packet, USE_CANDIDATE, &[]);
        }
        let length = (packet.len() - HEADER + 24) as u16;
        packet[2..4].copy_from_slice(&length.to_be_bytes());
        let tag = hmac::sign(&key(password), &packet);
        put(&mut packet, MESSAGE_INTEGRITY, tag.as_ref());
        let length = (packet.len() - HEADER + 8) as u16;
        packet[2..4].copy_from_slice(&length.to_be_bytes());
        let crc = crc32fast::hash(&packet) ^ FINGERPRINT_XOR;
        put(&mut packet, FINGERPRINT, &crc.to_be_bytes());
        packet
    }

    #[test]
    fn the_request_of_the_rfc_is_authentic() {
        // Its role is not one that a far end of ours has; the integrity that it shows is what this is about.
        let sample = octets(SAMPLE);
        assert!(read(&sample).is_none(), "controlled, as we are");
        let request = Request {
            packet: &sample,
            ours: "evtj",
            nominates: false,
            integrity: 76,
        };
        assert!(request.is_authentic(&key("VOkJxbRl1RmTxUk/WvJxBt")));
        assert!(!request.is_authentic(&key("VOkJxbRl1RmTxUk/WvJxBu")));
    }

    #[test]
    fn a_browsers_request_is_read_and_answered_with_its_source() {
        for nominates in [false, true] {
            let packet = request("ours:theirs", "secret", nominates);
            let request = read(&packet).unwrap();
            assert_eq!((request.ours, request.nominates), ("ours", nominates));
            assert!(request.is_authentic(&key("secret")) && !request.is_authentic(&key("other")));
            let mut out = [0; MAX_ANSWER];
            for (source, octets) in [("192.0.2.1:32853", 64), ("[2001:db8::1]:5060", 76)] {
                let length = request.answer(source.parse().unwrap(), &key("secret"), &mut out);
                assert_eq!(length, octets);
                assert_eq!((&out[..2], &out[4..20]), (&[1, 1][..], &packet[4..20]));
                let crc = crc32fast::hash(&out[..length - 8]) ^ FINGERPRINT_XOR;
                assert_eq!(out[length - 4..length], crc.to_be_bytes());
            }
            let length = request.answer("192.0.2.1:32853".parse().unwrap(), &key("x"), &mut out);
            // The address of RFC 5769 section 2.2.
            assert_eq!(
                out[20..32],
                octets("00200008 0001a147 e112a643"),
                "{length}"
            );
        }
    }

    #[test]
    fn a_changed_request_is_not_authentic_and_nothing_does_harm() {
        let packet = request("ours:theirs", "secret", true);
        for bit in 0..packet.len() * 8 {
            let mut changed = packet.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let believed = read(&changed).is_some_and(|read| read.is_authentic(&key("secret")));
            assert!(!believed, "{bit}");
        }
        for length in 0..packet.len() {
            assert!(read(&packet[..length]).is_none());
        }
    }
}
