//! Signatures by which a service knows that a request is ours: Standard Webhooks 1.0 (standardwebhooks.com).

use ::clock::Time;
use anyhow::{Context as _, anyhow};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// What a secret in base64 begins with.
const PREFIX: &str = "whsec_";

/// The three headers.
///
/// # Errors
/// When the secret is not what Standard Webhooks call one, or the system gives no random numbers.
pub(super) fn headers(
    secret: &str,
    id: Option<&str>,
    now: Time,
    body: &[u8],
) -> anyhow::Result<[(&'static str, String); 3]> {
    let id = id.map_or_else(self::id, |id| Ok(id.to_owned()))?;
    let timestamp = (now.as_millis() / 1_000).to_string();
    let signature = signature(secret, &id, &timestamp, body)?;
    Ok([
        ("webhook-id", id),
        ("webhook-timestamp", timestamp),
        ("webhook-signature", signature),
    ])
}

/// A name for a message that no other bears.
///
/// # Errors
/// When the system gives no random numbers.
pub(super) fn id() -> anyhow::Result<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| anyhow!("no random numbers: {error}"))?;
    Ok(format!("msg_{:032x}", u128::from_be_bytes(random)))
}

fn signature(secret: &str, id: &str, timestamp: &str, body: &[u8]) -> anyhow::Result<String> {
    let key = secret
        .strip_prefix(PREFIX)
        .with_context(|| format!("the secret does not begin with {PREFIX}"))?;
    let key = BASE64_STANDARD
        .decode(key)
        .context("the secret is no base64")?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).context("the secret")?;
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        mac.update(part);
    }
    let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    Ok(format!("v1,{signature}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    #[test]
    fn the_known_signature() {
        let signed = signature(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "1614265330",
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(
            signed.unwrap(),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
        assert!(signature("MfKQ9r8GKYqr", "a", "1", b"").is_err());
    }
}
