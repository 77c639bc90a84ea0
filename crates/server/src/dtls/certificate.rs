//! Certificates of DTLS: nobody certifies them, the signalling bears their fingerprints (RFC 8122). Ours is made at each start.

use dimpl::DtlsCertificate;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use sha2::{Digest, Sha256};

/// SHA-256 of a certificate.
pub type Fingerprint = [u8; 32];

/// Ours, for as long as the process lives: nobody can recognise us by it after the next start (RFC 8827 section 6.5).
///
/// # Errors
/// When the system has no random numbers.
pub fn make() -> Result<DtlsCertificate, rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "WebRTC");
    let certificate = params.self_signed(&key)?;
    Ok(DtlsCertificate {
        certificate: certificate.der().to_vec(),
        private_key: key.serialize_der(),
    })
}

pub fn fingerprint(certificate: &[u8]) -> Fingerprint {
    Sha256::digest(certificate).into()
}

/// A curve that ECDSA is done on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    P256,
    P384,
}

/// The key that a certificate is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey<'a> {
    pub curve: Curve,
    /// Uncompressed.
    pub point: &'a [u8],
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BITS: u8 = 0x03;
const OBJECT: u8 = 0x06;
const VERSION: u8 = 0xa0;
/// 1.2.840.10045.2.1, 1.2.840.10045.3.1.7, 1.3.132.0.34
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];

/// The key of a DER certificate (RFC 5280 section 4.1), when it is one of ECDSA. Nothing else of it counts: its fingerprint says whose it is.
pub fn public_key(der: &[u8]) -> Option<PublicKey<'_>> {
    let (certificate, _) = take(der, SEQUENCE)?;
    let (mut signed, _) = take(certificate, SEQUENCE)?;
    if let Some((_, rest)) = take(signed, VERSION) {
        signed = rest;
    }
    let (_, signed) = take(signed, INTEGER)?; // its number
    let mut rest = signed;
    for _ in ["signature", "issuer", "validity", "subject"] {
        (_, rest) = take(rest, SEQUENCE)?;
    }
    let (key, _) = take(rest, SEQUENCE)?;
    let (algorithm, key) = take(key, SEQUENCE)?;
    let (kind, algorithm) = take(algorithm, OBJECT)?;
    let (curve, _) = take(algorithm, OBJECT)?;
    let curve = match (kind, curve) {
        (EC, P256) => Curve::P256,
        (EC, P384) => Curve::P384,
        _ => return None,
    };
    let (bits, _) = take(key, BITS)?;
    let point = bits.strip_prefix(&[0])?; // no bit of the last octet is unused
    Some(PublicKey { curve, point })
}

/// The contents of the element that comes first, if it is of this kind, and what follows it.
fn take(der: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = der.split_first_chunk()?;
    if found != kind {
        return None;
    }
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => (usize::from(*rest.first()?), &rest[1..]),
        0x82 => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        _ => return None, // no certificate is that long
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_certificate_has_a_key_that_can_be_read() {
        let ours = make().expect("random numbers");
        let key = public_key(&ours.certificate).expect("a key");
        assert_eq!(
            (key.curve, key.point.len(), key.point[0]),
            (Curve::P256, 65, 4)
        );
        for length in 0..ours.certificate.len() {
            let _ = public_key(&ours.certificate[..length]);
        }
        let another = make().expect("random numbers");
        assert_ne!(
            fingerprint(&ours.certificate),
            fingerprint(&another.certificate)
        );
    }
}
