//! Digest authentication, both sides (RFC 7616, RFC 8760, RFC 3261 section 22).
//!
//! As a server only `qop=auth` is spoken: a client that sends no `qop` cannot be protected against replay. As a client we take a challenge without `qop`
//! too, since old registrars send it. `-sess` algorithms, `auth-int`
//! and user-name hashing are absent on purpose: no phone needs them.

mod credentials;
mod nonce;

use md5::Md5;
use sha2::Sha256;
use subtle::ConstantTimeEq;

pub use credentials::{ClientAuth, DigestChallenge, DigestError, DigestResponse, challenge};
pub use nonce::{MAX_NONCES, NonceBook, NonceVerdict};

use crate::api::Algorithm;

impl Algorithm {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Sha256 => "SHA-256",
        }
    }

    /// The algorithm of this name; absence means MD5.
    pub fn parse(name: &str) -> Option<Algorithm> {
        [Algorithm::Md5, Algorithm::Sha256]
            .into_iter()
            .find(|algorithm| name.eq_ignore_ascii_case(algorithm.as_str()))
    }
}

/// H of RFC 7616 over the parts joined by colons, in lower-case hex.
fn hash(algorithm: Algorithm, parts: &[&str]) -> String {
    match algorithm {
        Algorithm::Md5 => hash_with::<Md5>(parts),
        Algorithm::Sha256 => hash_with::<Sha256>(parts),
    }
}

fn hash_with<D: md5::Digest>(parts: &[&str]) -> String {
    let mut digest = D::new();
    for (position, part) in parts.iter().enumerate() {
        if position > 0 {
            digest.update(b":");
        }
        digest.update(part.as_bytes());
    }
    hex(&digest.finalize())
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// HA1, what is stored in place of a password: H(user:realm:password) in lower-case hex.
pub fn ha1(user: &str, realm: &str, password: &str, algorithm: Algorithm) -> String {
    hash(algorithm, &[user, realm, password])
}

/// What `response` must be for `qop=auth` (RFC 7616 section 3.4.1).
fn expected(
    algorithm: Algorithm,
    ha1: &str,
    nonce: &str,
    nc: &str,
    cnonce: &str,
    method: &str,
    uri: &str,
) -> String {
    let ha2 = hash(algorithm, &[method, uri]);
    hash(algorithm, &[ha1, nonce, nc, cnonce, "auth", &ha2])
}

/// What `response` is where no `qop` was offered (RFC 2069).
fn unprotected(algorithm: Algorithm, ha1: &str, nonce: &str, method: &str, uri: &str) -> String {
    let ha2 = hash(algorithm, &[method, uri]);
    hash(algorithm, &[ha1, nonce, &ha2])
}

/// Whether both texts are the same, in a time that does not tell where they differ. Case of hex digits does not matter.
fn same(left: &str, right: &str) -> bool {
    left.to_ascii_lowercase()
        .as_bytes()
        .ct_eq(right.to_ascii_lowercase().as_bytes())
        .into()
}
