//! STUN as a phone's keep-alive over UDP (RFC 5626 section 4.4.2): binding requests are told where they came from (RFC 8489).
//!
//! Absent on purpose: everything else of STUN. No state, no authentication, no attribute of a request is needed to answer it.

use std::net::{IpAddr, SocketAddr};

const MAGIC: u32 = 0x2112_A442;
const HEADER: usize = 20;
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const FINGERPRINT: u16 = 0x8028;
/// What the CRC of a fingerprint is mixed with (section 14.7).
const FINGERPRINT_XOR: u32 = 0x5354_554e;

/// Whether a datagram is STUN and no SIP: its two leading bits are zero and the magic cookie is there.
pub fn is_stun(datagram: &[u8]) -> bool {
    datagram.len() >= HEADER && datagram[0] & 0xc0 == 0 && datagram[4..8] == MAGIC.to_be_bytes()
}

/// The answer to a binding request from `source`; `None` when it is malformed, or no request.
///
/// ```
/// let mut request = [0u8; 20];
/// request[1] = 1;
/// request[4..8].copy_from_slice(&0x2112_A442u32.to_be_bytes());
/// let answer = sip::stun::answer(&request, "192.0.2.1:32853".parse()?).expect("a binding success");
/// assert_eq!(answer[..2], [1, 1]);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub fn answer(datagram: &[u8], source: SocketAddr) -> Option<Vec<u8>> {
    let word = |at: usize| {
        Some(u16::from_be_bytes([
            *datagram.get(at)?,
            *datagram.get(at + 1)?,
        ]))
    };
    let length = usize::from(word(2)?);
    let whole = length % 4 == 0 && HEADER + length == datagram.len();
    if !is_stun(datagram) || !whole || word(0)? != BINDING_REQUEST || !attributes_add_up(datagram) {
        return None;
    }
    let transaction = &datagram[4..HEADER];
    let mapped = mapped(source, transaction);
    let mut out = Vec::with_capacity(HEADER + 8 + mapped.len() + 8);
    out.extend(BINDING_SUCCESS.to_be_bytes());
    out.extend((mapped.len() as u16 + 4 + 8).to_be_bytes());
    out.extend(transaction);
    out.extend(XOR_MAPPED_ADDRESS.to_be_bytes());
    out.extend((mapped.len() as u16).to_be_bytes());
    out.extend(mapped);
    let crc = crc32(&out) ^ FINGERPRINT_XOR;
    out.extend(FINGERPRINT.to_be_bytes());
    out.extend(4u16.to_be_bytes());
    out.extend(crc.to_be_bytes());
    Some(out)
}

/// Every attribute ends within the message (section 14).
fn attributes_add_up(datagram: &[u8]) -> bool {
    let mut rest = &datagram[HEADER..];
    while let [_, _, high, low, value @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])).next_multiple_of(4);
        match value.get(length..) {
            Some(next) => rest = next,
            None => return false,
        }
    }
    rest.is_empty()
}

/// The value of XOR-MAPPED-ADDRESS (section 14.2): hidden from NATs that rewrite addresses wherever they find them.
fn mapped(source: SocketAddr, transaction: &[u8]) -> Vec<u8> {
    let ip = source.ip().to_canonical();
    let family = if ip.is_ipv4() { 1 } else { 2 };
    let port = source.port() ^ (MAGIC >> 16) as u16;
    let mut value = vec![0, family];
    value.extend(port.to_be_bytes());
    let octets = match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    value.extend(octets.iter().zip(transaction).map(|(a, b)| a ^ b));
    value
}

/// CRC-32 of ITU V.42, bit by bit: a keep-alive has few bytes.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Vec<u8> {
        let mut bytes = vec![0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42];
        bytes.extend(*b"transaction!");
        bytes.extend([0x80, 0x22, 0, 3, b'a', b'b', b'c', 0]);
        bytes
    }

    #[test]
    fn a_binding_request_is_told_its_source() {
        let answer = answer(&request(), "192.0.2.1:32853".parse().expect("an address"))
            .expect("a binding success");
        assert_eq!(answer[..4], [1, 1, 0, 20]);
        assert_eq!(answer[4..20], request()[4..20]);
        // The address of RFC 5769 section 2.2.
        assert_eq!(
            answer[20..32],
            [0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43]
        );
        assert_eq!(answer[32..36], [0x80, 0x28, 0, 4]);
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        let v6 = super::answer(
            &request(),
            "[2001:db8::1]:5060".parse().expect("an address"),
        )
        .expect("a binding success");
        assert_eq!((v6[25], v6.len()), (2, 20 + 24 + 8));
        assert_eq!(
            v6[28..32],
            [0x20 ^ 0x21, 0x01 ^ 0x12, 0x0d ^ 0xa4, 0xb8 ^ 0x42]
        );
    }

    #[test]
    fn nothing_else_is_answered() {
        let source = "192.0.2.1:1".parse().expect("an address");
        let good = request();
        for (at, value) in [(0, 1), (1, 0x11), (3, 4), (3, 9), (4, 0), (23, 200)] {
            let mut bad = good.clone();
            bad[at] = value;
            assert_eq!(answer(&bad, source), None, "{at}");
        }
        for length in 0..good.len() {
            assert_eq!(answer(&good[..length], source), None, "{length}");
        }
        assert!(!is_stun(b"OPTIONS sip:x@y SIP/2.0"));
    }
}
