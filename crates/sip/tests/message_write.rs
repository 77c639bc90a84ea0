//! What is written can be read again, and nothing that is put in can break out of its line.

use std::net::SocketAddr;

use bytes::Bytes;
use proptest::prelude::*;
use sip::message::{
    Builder, HeaderName, Host, Message, Method, NameAddr, Uri, best_effort_response, quoted,
};

const INVITE: &str = "INVITE sip:1000@192.0.2.10 SIP/2.0\r\n\
    Via: SIP/2.0/UDP 10.0.0.7:5062;branch=z9hG4bK1;rport;received=6.6.6.6, SIP/2.0/TCP b.example.com;branch=z9hG4bK0\r\n\
    Via: SIP/2.0/UDP c.example.com;branch=z9hG4bKx\r\n\
    From: \"M\u{fc}ller\" <sip:a@example.com>;tag=1\r\n\
    To: <sip:1000@example.com>\r\n\
    Call-ID: abc@10.0.0.7\r\n\
    CSeq: 7 INVITE\r\n\
    Record-Route: <sip:p1;lr>\r\n\
    Record-Route: <sip:p2;lr>\r\n\
    Content-Length: 0\r\n\r\n";

fn source() -> SocketAddr {
    "198.51.100.7:40000".parse().expect("an address")
}

#[test]
fn a_response_copies_what_it_must() {
    let request = Message::parse(INVITE.into()).unwrap();
    let response = Builder::response_to(&request, 180, "Ringing", Some("us"))
        .copy(&request, HeaderName::RecordRoute)
        .header(HeaderName::Contact, "<sip:192.0.2.10:5060>")
        .finish();
    expect_test::expect![[r#"
        SIP/2.0 180 Ringing
        Via: SIP/2.0/UDP 10.0.0.7:5062;branch=z9hG4bK1;rport;received=6.6.6.6, SIP/2.0/TCP b.example.com;branch=z9hG4bK0
        Via: SIP/2.0/UDP c.example.com;branch=z9hG4bKx
        From: "Müller" <sip:a@example.com>;tag=1
        To: <sip:1000@example.com>;tag=us
        Call-ID: abc@10.0.0.7
        CSeq: 7 INVITE
        Record-Route: <sip:p1;lr>
        Record-Route: <sip:p2;lr>
        Contact: <sip:192.0.2.10:5060>
        Content-Length: 0

    "#]]
    .assert_eq(&String::from_utf8_lossy(&response).replace("\r\n", "\n"));
}

#[test]
fn the_top_via_tells_the_sender_where_it_was_seen() {
    let request = Message::parse(INVITE.into()).unwrap();
    let response =
        Message::parse(Builder::response_via(&request, 100, "Trying", None, source()).finish())
            .unwrap();
    let via = response.top_via().unwrap();
    assert_eq!(
        (via.received(), via.rport()),
        (Some(source().ip()), Some(Some(40_000))),
        "a forged received is replaced"
    );
    assert_eq!(via.response_address(source()), source());
    assert_eq!(response.vias().count(), 3);
    assert_eq!(response.to().unwrap().tag(), None);

    let plain = INVITE.replace(";rport;received=6.6.6.6", "");
    let request = Message::parse(plain.into()).unwrap();
    assert_eq!(
        request.top_via().unwrap().response_address(source()),
        "198.51.100.7:5062".parse().unwrap()
    );
    let same = Builder::response_via(
        &request,
        100,
        "Trying",
        None,
        "10.0.0.7:5062".parse().unwrap(),
    )
    .finish();
    assert_eq!(
        Message::parse(same).unwrap().top_via().unwrap().received(),
        None
    );
}

#[test]
fn an_existing_to_tag_stays() {
    let request = Message::parse(
        INVITE
            .replace(
                "<sip:1000@example.com>",
                "<sip:1000@example.com>;TAG=theirs",
            )
            .into(),
    )
    .unwrap();
    let response =
        Message::parse(Builder::response_to(&request, 200, "OK", Some("us")).finish()).unwrap();
    assert_eq!(response.to().unwrap().tag(), Some("theirs"));
}

#[test]
fn headers_after_the_body_still_stand_before_it() {
    let bytes = Builder::response(200, "OK")
        .body("text/plain", b"old")
        .body("application/sdp", b"v=0\r\n")
        .raw_header("X-Last", "1")
        .finish();
    assert!(
        bytes.ends_with(b"X-Last: 1\r\nContent-Length: 5\r\n\r\nv=0\r\n"),
        "{bytes:?}"
    );
}

#[test]
fn nothing_breaks_out_of_its_line() {
    let evil = "a\r\nX-Evil: 1\r\n\r\nbody\0";
    let bytes = Builder::request(&Method::Invite, format_args!("sip:{evil}@h"))
        .header(HeaderName::Via, "SIP/2.0/UDP h;branch=z9hG4bK1")
        .header(HeaderName::From, format_args!("<sip:a@b>;tag={evil}"))
        .header(HeaderName::To, "<sip:c@d>")
        .header(HeaderName::CallId, evil)
        .header(HeaderName::CSeq, "1 INVITE")
        .raw_header("X-Ok", evil)
        .raw_header("X-Bad\r\nX-Evil", "1")
        .raw_header("Content-Length", "99")
        .raw_header("l", "99")
        .body(evil, b"b")
        .finish();
    let message = Message::parse(bytes).unwrap();
    assert_eq!(message.header_named("X-Evil"), None);
    assert_eq!(message.header_named("X-Ok"), Some("a  X-Evil: 1    body"));
    assert_eq!(message.lines().count(), 8);
    assert_eq!(message.body(), "b");
    assert!(
        message
            .request_uri_raw()
            .starts_with("sip:a%0D%0AX-Evil:%201")
    );
}

#[test]
fn foreign_bytes_are_shown_as_question_marks_and_echoed_as_they_are() {
    let latin = INVITE
        .as_bytes()
        .iter()
        .copied()
        .filter(|byte| *byte != 0xc3)
        .collect::<Vec<u8>>();
    let request = Message::parse(latin.into()).unwrap();
    assert_eq!(request.from().unwrap().display().as_deref(), Some("M?ller"));
    let response = Builder::response_to(&request, 200, "OK", None).finish();
    assert!(response.windows(8).any(|window| window == b"\"M\xbcller\""));
}

#[test]
fn what_cannot_be_parsed_is_refused_where_it_can_be() {
    let bad = INVITE
        .replace("Content-Length: 0", "Content-Length: 99")
        .replace("Record-Route", "Record Route");
    assert!(Message::parse(Bytes::from(bad.clone())).is_err());
    let response =
        Message::parse(best_effort_response(bad.as_bytes(), source(), 400, "Bad Request").unwrap())
            .unwrap();
    assert_eq!(
        (
            response.status(),
            response.call_id(),
            response.cseq().unwrap()
        ),
        (Some(400), "abc@10.0.0.7", (7, Method::Invite))
    );
    assert_eq!(response.top_via().unwrap().rport(), Some(Some(40_000)));

    let twice = INVITE.replace(
        "Record-Route: <sip:p1;lr>",
        "From: <sip:other@example.com>;tag=9",
    );
    let response = Message::parse(
        best_effort_response(twice.as_bytes(), source(), 400, "Bad Request").unwrap(),
    )
    .unwrap();
    assert_eq!(response.from().unwrap().tag(), Some("1"));

    let cut = &INVITE[..INVITE.len() - 2];
    assert!(best_effort_response(cut.as_bytes(), source(), 400, "Bad Request").is_some());
    for hopeless in [
        "\r\n\r\n".to_owned(),
        "nonsense".to_owned(),
        INVITE.replace("CSeq", "X"),
        INVITE.replace("SIP/2.0/UDP 10.0.0.7", "?"),
        INVITE.replace("INVITE", "ACK"),
        bad.replacen("INVITE sip:1000@192.0.2.10 SIP/2.0", "SIP/2.0 200 OK", 1),
    ] {
        assert_eq!(
            best_effort_response(hopeless.as_bytes(), source(), 400, "Bad Request"),
            None,
            "{hopeless}"
        );
    }
}

#[test]
fn uris_compare_by_section_19_1_4() {
    let same = |left: &str, right: &str| {
        let (left, right) = (Uri::parse(left).unwrap(), Uri::parse(right).unwrap());
        assert_eq!(
            left.equivalent(&right),
            right.equivalent(&left),
            "{left} {right}"
        );
        left.equivalent(&right)
    };
    for (left, right) in [
        (
            "sip:%61lice@atlanta.com;transport=TCP",
            "sip:alice@AtLanTa.CoM;Transport=tcp",
        ),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        (
            "sip:carol@chicago.com;security=on",
            "sip:carol@chicago.com;newparam=5",
        ),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
        ("sip:a@[2001:db8::1]", "sip:a@[2001:DB8:0::1]"),
        ("tel:+1-201-555-0123", "tel:+12015550123"),
    ] {
        assert!(same(left, right), "{left} {right}");
    }
    for (left, right) in [
        (
            "SIP:ALICE@AtLanTa.CoM;Transport=udp",
            "sip:alice@AtLanTa.CoM;Transport=UDP",
        ),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        (
            "sip:bob@biloxi.com",
            "sip:bob@biloxi.com:6000;transport=tcp",
        ),
        (
            "sip:carol@chicago.com",
            "sip:carol@chicago.com?Subject=next%20meeting",
        ),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        (
            "sip:carol@chicago.com;security=on",
            "sip:carol@chicago.com;security=off",
        ),
        ("sip:a@b", "sips:a@b"),
        ("sip:a@b", "sip:b"),
    ] {
        assert!(!same(left, right), "{left} {right}");
    }
}

#[test]
fn uris_that_are_none() {
    for text in [
        "",
        "sip:",
        "sip",
        ":a@b",
        "sip:@b",
        "sip:a@",
        "sip:a@b:",
        "sip:a@b:x",
        "sip:a@b:65536",
        "sip:a b@c",
        "sip:a@[::1",
        "sip:a@::1",
        "tel:",
        "1sip:a",
        "sip:a@b<",
    ] {
        assert!(Uri::parse(text).is_err(), "{text}");
    }
    assert_eq!(
        Uri::parse("sip:a@1.2.3.4.example").unwrap().host,
        Host::Name("1.2.3.4.example")
    );
    assert_eq!(
        sip::message::escape_user("王 芳@x"),
        "%E7%8E%8B%20%E8%8A%B3%40x"
    );
}

fn token() -> impl Strategy<Value = String> {
    "[A-Za-z0-9.!%*_+`'~-]{1,12}"
}

/// A value that a header may have: no controls, no white space at its ends.
fn value() -> impl Strategy<Value = String> {
    "[!-~\u{e4}\u{738b}]([ -~\u{e4}\u{738b}]{0,40}[!-~])?"
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        method in token(), user in "[a-z0-9]{1,8}", call_id in value(), number in 0u32..=u32::MAX >> 1, tag in token(), display in "\\PC{0,12}",
        extra in prop::collection::vec((token(), value()), 0..8), body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let method = Method::parse(&method).unwrap();
        let uri = format!("sip:{user}@h");
        let mut builder = Builder::request(&method, &uri)
            .header(HeaderName::Via, "SIP/2.0/UDP h;branch=z9hG4bK1")
            .header(HeaderName::From, format_args!("{} <sip:{user}@h>;tag={tag}", quoted(&display)))
            .header(HeaderName::To, "<sip:c@d>")
            .header(HeaderName::CallId, &call_id)
            .header(HeaderName::CSeq, format_args!("{number} {method}"));
        let mut expected = Vec::new();
        for (name, value) in &extra {
            builder = builder.raw_header(&format!("X-{name}"), value);
            expected.push((format!("X-{name}"), value.clone()));
        }
        let message = Message::parse(builder.body("application/octet-stream", &body).finish()).unwrap();
        prop_assert_eq!(message.method(), Some(&method));
        prop_assert_eq!(message.request_uri_raw(), uri);
        prop_assert_eq!(message.call_id(), call_id);
        prop_assert_eq!(message.cseq().unwrap(), (number, method));
        let from = message.from().unwrap();
        prop_assert_eq!(from.tag(), Some(tag.as_str()));
        prop_assert_eq!(from.display().unwrap_or_default(), display);
        let found: Vec<_> = message.lines().filter(|line| line.0.starts_with("X-")).map(|line| (line.0.to_owned(), line.1.to_owned())).collect();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(message.body(), body);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        touch(bytes.into());
    }

    #[test]
    fn no_mutation_panics(changes in prop::collection::vec((0usize..600, prop::sample::select(&b"\r\n \t:;,<>\"\\=%@[]?/*\0\xffSA1"[..]), any::<bool>()), 1..12)) {
        let mut bytes = INVITE.as_bytes().to_vec();
        for (position, byte, insert) in changes {
            let position = position % bytes.len();
            if insert { bytes.insert(position, byte) } else { bytes[position] = byte }
        }
        touch(bytes.into());
    }

    #[test]
    fn no_address_panics(text in "[ -~\\r\\n\"<>;,:@é]{0,60}") {
        let _ = NameAddr::parse(&text, "Contact").map(|address| (address.display().is_some(), address.q(), address.expires(), address.uri.to_string()));
        let _ = sip::message::Via::parse(&text).map(|via| (via.branch().is_some(), via.has_cookie(), via.received()));
        let _ = Uri::parse(&text).map(|uri| { prop_assert_eq!(Uri::parse(&uri.to_string()).is_ok(), true); Ok(()) });
    }
}

/// Reads everything there is.
fn touch(bytes: Bytes) {
    if let Some(answer) = best_effort_response(&bytes, source(), 400, "Bad Request") {
        assert!(answer.starts_with(b"SIP/2.0 400 ") && answer.ends_with(b"\r\n\r\n"));
    }
    let Ok(message) = Message::parse(bytes) else {
        return;
    };
    assert!(message.cseq().is_ok(), "parse has checked it");
    let _ = (
        message.check(),
        message.from(),
        message.to(),
        message.expires(),
    );
    let _ = (
        message.require().count(),
        message.is_content("a/b"),
        message.is_wildcard_contact(),
    );
    for via in message.vias().flatten() {
        let _ = (
            via.rport(),
            via.received(),
            via.transport(),
            via.response_address(source()),
        );
    }
    for address in message
        .contacts()
        .chain(message.routes())
        .chain(message.record_routes())
        .flatten()
    {
        let _ = (
            address.display(),
            address.q(),
            address.uri.equivalent(&address.uri),
        );
    }
    let response = Builder::response_via(&message, 200, "OK", Some("t"), source()).finish();
    let response = Message::parse(response).expect("a response to a readable request is readable");
    assert_eq!(response.call_id(), message.call_id());
}
