//! As `rsip` reads it.

use std::panic::catch_unwind;

use rsip::common::uri::{Param, Uri};
use rsip::headers::{Header, ToTypedHeader, UntypedHeader};
use rsip::message::{HasHeaders, HeadersExt};
use rsip::{SipMessage, headers::typed};

use crate::{Facts, NOTHING, body_form, contact_form, list, optional, refused, required, uri_form};

/// What rsip finds; a panic counts as a refusal.
pub fn facts(bytes: &[u8]) -> Facts {
    catch_unwind(|| match SipMessage::try_from(bytes) {
        Ok(message) => read(&message),
        Err(_) => refused(),
    })
    .unwrap_or_else(|_| refused())
}

fn read(message: &SipMessage) -> Facts {
    let start = match message {
        SipMessage::Request(request) => (request.method().to_string(), uri_text(request.uri())),
        SipMessage::Response(response) => (
            response.status_code().code().to_string(),
            NOTHING.to_owned(),
        ),
    };
    let via = message.via_header().and_then(|via| via.typed());
    let from = message.from_header().and_then(|from| from.typed());
    let to = message.to_header().and_then(|to| to.typed());
    let contacts = message.contact_headers();
    let length = message.headers().iter().find_map(|header| match header {
        Header::ContentLength(length) => Some(length.value().to_owned()),
        _ => None,
    });
    let expires = message
        .expires_header()
        .map(|expires| expires.seconds())
        .transpose();
    Facts::from([
        ("method or status", start.0),
        ("request-uri", start.1),
        (
            "branch",
            optional(via.as_ref().map(|via| via.branch().cloned())),
        ),
        (
            "sent-by",
            required(via.as_ref().map(|via| host_text(&via.uri))),
        ),
        (
            "from",
            required(from.as_ref().map(|from| uri_text(&from.uri))),
        ),
        (
            "from tag",
            optional(from.as_ref().map(|from| from.tag().cloned())),
        ),
        ("to", required(to.as_ref().map(|to| uri_text(&to.uri)))),
        ("to tag", optional(to.as_ref().map(|to| to.tag().cloned()))),
        (
            "call-id",
            required(message.call_id_header().map(|id| id.value().to_owned())),
        ),
        (
            "cseq",
            required(
                message
                    .cseq_header()
                    .and_then(|cseq| cseq.typed())
                    .map(|cseq| format!("{} {}", cseq.seq, cseq.method)),
            ),
        ),
        (
            "contacts",
            list(contacts.iter().map(|contact| match contact.value() {
                "*" => "*".to_owned(),
                _ => required(contact.typed().map(|contact| contact_text(&contact))),
            })),
        ),
        ("expires", optional(expires)),
        ("content-length", length.unwrap_or(NOTHING.to_owned())),
        ("body", body_form(message.body())),
    ])
}

fn contact_text(contact: &typed::Contact) -> String {
    let param = |wanted: fn(&Param) -> Option<String>| contact.params.iter().find_map(wanted);
    contact_form(
        uri_text(&contact.uri),
        param(|param| match param {
            Param::Expires(seconds) => Some(seconds.to_string()),
            _ => None,
        }),
        param(|param| match param {
            Param::Q(q) => Some(q.to_string()),
            _ => None,
        }),
    )
}

fn host_text(uri: &Uri) -> String {
    let port = uri.host_with_port.port.as_ref().map(|port| *port.value());
    uri_form(
        "",
        None,
        &uri.host_with_port.host.to_string(),
        port,
        std::iter::empty(),
    )
}

fn uri_text(uri: &Uri) -> String {
    let scheme = uri
        .scheme
        .as_ref()
        .map_or(String::new(), ToString::to_string);
    let user = uri.auth.as_ref().map(|auth| match &auth.password {
        Some(password) => format!("{}:{password}", auth.user),
        None => auth.user.clone(),
    });
    let port = uri.host_with_port.port.as_ref().map(|port| *port.value());
    let params = uri.params.iter().map(ToString::to_string);
    uri_form(
        &scheme,
        user.as_deref(),
        &uri.host_with_port.host.to_string(),
        port,
        params,
    )
}
