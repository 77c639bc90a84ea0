//! As `sip` reads it.

use bytes::Bytes;
use sip::message::{FieldError, HeaderName, Message, NameAddr, Scheme, Uri};

use crate::{Facts, NOTHING, body_form, contact_form, list, optional, refused, required, uri_form};

/// The message when it is well-formed in everything that is compared here.
pub fn well_formed(bytes: &[u8]) -> Option<Message> {
    let message = Message::parse(Bytes::copy_from_slice(bytes)).ok()?;
    message.check().ok()?;
    let contacts =
        message.is_wildcard_contact() || message.contacts().all(|contact| contact.is_ok());
    let vias = message.vias().all(|via| via.is_ok());
    (contacts && vias).then_some(message)
}

/// What we find.
pub fn facts(bytes: &[u8]) -> Facts {
    let Some(message) = well_formed(bytes) else {
        return refused();
    };
    let start = match (message.method(), message.status()) {
        (Some(method), _) => (
            method.to_string(),
            required(message.request_uri().map(|uri| uri_text(&uri))),
        ),
        (None, status) => (optional(Ok::<_, FieldError>(status)), NOTHING.to_owned()),
    };
    let tag = |address: Result<NameAddr<'_>, FieldError>| {
        optional(address.map(|address| address.tag().map(str::to_owned)))
    };
    let uri = |address: Result<NameAddr<'_>, FieldError>| {
        required(address.map(|address| uri_text(&address.uri)))
    };
    let contacts = if message.is_wildcard_contact() {
        "*".to_owned()
    } else {
        list(
            message
                .contacts()
                .filter_map(Result::ok)
                .map(|contact| contact_text(&contact)),
        )
    };
    Facts::from([
        ("method or status", start.0),
        ("request-uri", start.1),
        (
            "branch",
            optional(message.top_via().map(|via| via.branch().map(str::to_owned))),
        ),
        (
            "sent-by",
            required(message.top_via().map(|via| {
                uri_form(
                    "",
                    None,
                    &via.host.to_string(),
                    via.port,
                    std::iter::empty(),
                )
            })),
        ),
        ("from", uri(message.from())),
        ("from tag", tag(message.from())),
        ("to", uri(message.to())),
        ("to tag", tag(message.to())),
        ("call-id", message.call_id().to_owned()),
        (
            "cseq",
            required(
                message
                    .cseq()
                    .map(|(number, method)| format!("{number} {method}")),
            ),
        ),
        ("contacts", contacts),
        ("expires", optional(Ok::<_, FieldError>(message.expires()))),
        (
            "content-length",
            message
                .header(HeaderName::ContentLength)
                .unwrap_or(NOTHING)
                .to_owned(),
        ),
        ("body", body_form(&message.body())),
    ])
}

fn contact_text(contact: &NameAddr<'_>) -> String {
    contact_form(
        uri_text(&contact.uri),
        contact.expires().map(|seconds| seconds.to_string()),
        contact.params.get("q").map(str::to_owned),
    )
}

fn uri_text(uri: &Uri<'_>) -> String {
    match uri.scheme {
        Scheme::Sip | Scheme::Sips => {
            let user = match (uri.raw_user, uri.password) {
                (Some(user), Some(password)) => Some(format!("{user}:{password}")),
                (user, _) => user.map(str::to_owned),
            };
            let params = uri.params().map(|(name, value)| match value {
                Some(value) => format!(";{name}={value}"),
                None => format!(";{name}"),
            });
            uri_form(
                &uri.scheme.to_string(),
                user.as_deref(),
                &uri.host.to_string(),
                uri.port,
                params,
            )
        }
        Scheme::Tel | Scheme::Other(_) => format!("{}:{}", uri.scheme, uri.opaque),
    }
}
