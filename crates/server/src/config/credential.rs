//! What is kept of a password: argon2id for the desk, one HA1 per digest algorithm for the phone. The password itself is never kept.

use argon2::password_hash::PasswordHasher;
use md5::Md5;
use sha2::{Digest, Sha256};

/// The hashes of one password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashes {
    pub argon2: String,
    pub ha1_md5: String,
    pub ha1_sha256: String,
}

/// Hashes a password for a user in a realm.
///
/// # Errors
/// When the system gives no random salt.
pub fn hash(user: &str, realm: &str, password: &str) -> anyhow::Result<Hashes> {
    Ok(Hashes {
        argon2: argon2id(password)?,
        ha1_md5: ha1_md5(user, realm, password),
        ha1_sha256: ha1_sha256(user, realm, password),
    })
}

/// The PHC string of a password with the crate's recommended costs (19 MiB, 2 passes).
///
/// # Errors
/// When the system gives no random salt.
pub fn argon2id(password: &str) -> anyhow::Result<String> {
    let mut salt = [0u8; 16];
    getrandom::fill(&mut salt).map_err(|error| anyhow::anyhow!("no random salt: {error}"))?;
    let hash = argon2::Argon2::default()
        .hash_password_with_salt(password.as_bytes(), &salt)
        .map_err(|error| anyhow::anyhow!("argon2: {error}"))?;
    Ok(hash.to_string())
}

/// HA1 of RFC 7616 section 3.4.2 with MD5, in hex.
pub fn ha1_md5(user: &str, realm: &str, password: &str) -> String {
    hex(&Md5::digest(format!("{user}:{realm}:{password}")))
}

/// HA1 of RFC 7616 section 3.4.2 with SHA-256, in hex.
pub fn ha1_sha256(user: &str, realm: &str, password: &str) -> String {
    hex(&Sha256::digest(format!("{user}:{realm}:{password}")))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// The demo centre's password of an account.
pub fn demo_password(id: &str) -> String {
    format!("demo-{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ha1_of_rfc_7616() {
        // Section 3.9.1 gives the responses; these HA1 values lead to them.
        assert_eq!(
            ha1_md5("Mufasa", "http-auth@example.org", "Circle of Life"),
            "3d78807defe7de2157e2b0b6573a855f"
        );
        assert_eq!(
            ha1_sha256("Mufasa", "http-auth@example.org", "Circle of Life"),
            "7987c64c30e25f1b74be53f966b49b90f2808aa92faf9a00262392d7b4794232"
        );
    }

    #[test]
    fn argon2_is_salted() {
        let (one, other) = (argon2id("x").unwrap(), argon2id("x").unwrap());
        assert!(one.starts_with("$argon2id$"));
        assert_ne!(one, other);
    }
}
