//! One message as three parsers read it: `facts` are a message's parts in a form in which they can be compared.
//!
//! Absent on purpose: whether a message is *right*. That is `crates/sip/tests/torture/verdicts.txt`.

pub mod messages;
pub mod old;
pub mod ours;
pub mod stack;

use std::collections::BTreeMap;
use std::net::IpAddr;

/// What a parser found, by field. A parser that refuses the whole message has one entry, `message`.
pub type Facts = BTreeMap<&'static str, String>;

/// What is written where a parser has nothing, and where it reports a fault.
pub const NOTHING: &str = "-";
pub const FAULT: &str = "(fault)";

/// The facts of a message that is refused.
pub fn refused() -> Facts {
    Facts::from([("message", "(refused)".to_owned())])
}

/// A field that may be absent or at fault.
pub fn optional<T: ToString, E>(value: Result<Option<T>, E>) -> String {
    match value {
        Ok(Some(value)) => value.to_string(),
        Ok(None) => NOTHING.to_owned(),
        Err(_) => FAULT.to_owned(),
    }
}

/// A field that must be there.
pub fn required<T: ToString, E>(value: Result<T, E>) -> String {
    optional(value.map(Some))
}

/// `scheme:user@host:port;parameters`: host and parameters in lower case, addresses as the standard library writes them,
/// parameters sorted, since their order means nothing (RFC 3261 section 19.1.4).
pub fn uri_form(
    scheme: &str,
    user: Option<&str>,
    host: &str,
    port: Option<u16>,
    params: impl Iterator<Item = String>,
) -> String {
    let mut text = format!("{}:", scheme.to_ascii_lowercase());
    if let Some(user) = user {
        text.push_str(user);
        text.push('@');
    }
    text.push_str(&host_form(host));
    if let Some(port) = port {
        text.push_str(&format!(":{port}"));
    }
    let mut params: Vec<String> = params.map(|param| param.to_ascii_lowercase()).collect();
    params.sort();
    text + &params.concat()
}

/// A host name in lower case, an address by its value.
pub fn host_form(host: &str) -> String {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        Ok(IpAddr::V4(address)) => address.to_string(),
        Err(_) => host.to_ascii_lowercase(),
    }
}

/// A Contact: its URI and the two parameters that a registrar looks at. The reason phrase of a response is nowhere compared: it
/// is for people (RFC 3261 section 7.2), and rsip keeps none.
pub fn contact_form(uri: String, expires: Option<String>, q: Option<String>) -> String {
    let expires = expires.map_or(String::new(), |seconds| format!(" expires {seconds}"));
    let q = q.map_or(String::new(), |q| format!(" q {q}"));
    format!("{uri}{expires}{q}")
}

/// Several values of one header.
pub fn list(values: impl Iterator<Item = String>) -> String {
    let values: Vec<String> = values.collect();
    if values.is_empty() {
        return NOTHING.to_owned();
    }
    values.join(" , ")
}

/// A body is compared by its length and a sum over its bytes, so that the table stays readable.
pub fn body_form(body: &[u8]) -> String {
    let sum = body.iter().fold(0u32, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u32::from(*byte))
    });
    format!("{} bytes #{sum:08x}", body.len())
}
