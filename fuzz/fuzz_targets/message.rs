//! One datagram: it parses or is refused, every field can be asked for, and what we write about it can be read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sip::message::{Builder, HeaderName, Message, best_effort_response};

fuzz_target!(|bytes: &[u8]| {
    let source = ([192, 0, 2, 1], 5060).into();
    if let Some(refusal) = best_effort_response(bytes, source, 400, "Bad Request") {
        assert!(refusal.starts_with(b"SIP/2.0 400 ") && refusal.ends_with(b"\r\n\r\n"));
    }
    let Ok(message) = Message::parse(bytes.to_vec().into()) else {
        return;
    };
    let (_, method) = message.cseq().expect("parse has checked it");
    assert!(message.method().is_none_or(|found| *found == method));
    let _ = (message.check(), message.max_forwards(), message.expires());
    for via in message.vias().flatten() {
        let _ = (via.branch(), via.received(), via.rport(), via.transport());
        let _ = via.response_address(source);
    }
    for name in [
        HeaderName::Contact,
        HeaderName::Route,
        HeaderName::RecordRoute,
        HeaderName::PAssertedIdentity,
        HeaderName::ReferTo,
    ] {
        for address in message.addresses(name).flatten() {
            let _ = (address.display(), address.q(), address.expires(), address.tag());
            assert!(address.uri.equivalent(&address.uri) || address.uri_text.contains('%'));
            let again = address.uri.to_string();
            assert!(sip::message::Uri::parse(&again).is_ok(), "{again}");
        }
    }
    let response = Builder::response_via(&message, 200, "OK", Some("t"), source).finish();
    let response = Message::parse(response).expect("a response to what can be read can be read");
    assert_eq!(response.call_id(), message.call_id());
    rewrite(&message);
});

/// Written anew line by line, it says the same.
fn rewrite(message: &Message) {
    let mut builder = match message.method() {
        Some(method) => Builder::request(method, message.request_uri_raw()),
        None => Builder::response(message.status().expect("one or the other"), message.reason()),
    };
    for (name, value) in message.lines() {
        builder = match HeaderName::of(name.as_bytes()) {
            HeaderName::ContentType | HeaderName::ContentLength => continue,
            HeaderName::Other => builder.raw_header(name, value),
            known => builder.header(known, value),
        };
    }
    let content_type = message.header(HeaderName::ContentType).unwrap_or_default();
    let bytes = builder.body(content_type, &message.body()).finish();
    let again = match Message::parse(bytes) {
        Ok(again) => again,
        // Escaping what we never write makes it longer, perhaps too long.
        Err(error) => {
            assert_eq!(error, sip::message::ParseError::TooLarge);
            return;
        }
    };
    assert_eq!(again.body(), message.body());
    assert_eq!(again.cseq(), message.cseq());
    assert_eq!(again.status(), message.status());
}
