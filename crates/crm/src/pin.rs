//! A customer's PIN: kept as a slow hash, because what is behind it has only some thousand values.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};

/// Shortest and longest PIN.
pub const DIGITS: std::ops::RangeInclusive<usize> = 4..=12;
/// 8 MiB and two passes: some 15 ms of a core, and two at a time are all the memory there is for it.
const MEMORY_KIB: u32 = 8 * 1024;
const PASSES: u32 = 2;

/// Whether this can be a PIN: digits, as many as a caller keys in.
pub fn is_pin(text: &str) -> bool {
    DIGITS.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The hash as a PHC string (argon2id); `salt` comes from a CSPRNG. `None` for what is no PIN.
///
/// ```
/// let hash = crm::pin::hash("4711", &[7; 16]).unwrap();
/// assert!(crm::pin::is("4711", &hash) && !crm::pin::is("4712", &hash));
/// ```
pub fn hash(pin: &str, salt: &[u8; 16]) -> Option<String> {
    if !is_pin(pin) {
        return None;
    }
    let hash = hasher()?
        .hash_password_with_salt(pin.as_bytes(), salt)
        .ok()?;
    Some(hash.to_string())
}

/// Whether a hash is this PIN's; the comparison takes as long for a wrong one as for the right one.
pub fn is(pin: &str, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| {
        hasher().is_some_and(|hasher| hasher.verify_password(pin.as_bytes(), &hash).is_ok())
    })
}

fn hasher() -> Option<Argon2<'static>> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).ok()?;
    Some(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}
