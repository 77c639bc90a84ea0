//! DTLS for browsers (RFC 5764): the engine is dimpl's, its cryptography ring's, our certificate is made at each start.
//!
//! dimpl in place of `rtc-dtls` (decision 15): it has no socket and no clock either, speaks DTLS 1.3 beside 1.2, brings nom and arrayvec with it and not
//! some forty crates, among them second versions of AES, HMAC, X.509 and ASN.1. Absent, as in it: RSA certificates.

pub mod certificate;
pub mod provider;

pub use certificate::Fingerprint;
