//! SIP over WebSocket (RFC 7118): what a browser's SIP stack does, by a WebSocket client that nobody here wrote.

use std::net::TcpStream;

use sip::message::{Builder, HeaderName, Message, Method};
use tungstenite::client::IntoClientRequest;
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{WebSocket, http};

use crate::api::Client;
use crate::centre::Centre;
use crate::sipp::Sipp;

pub type Socket = WebSocket<MaybeTlsStream<TcpStream>>;

pub fn open(
    centre: &Centre,
    headers: &[(&'static str, &str)],
) -> Result<Socket, tungstenite::Error> {
    let url = format!("{}/sip", centre.http().replace("http://", "ws://"));
    let mut request = url.into_client_request()?;
    for (name, value) in headers {
        let value = http::HeaderValue::from_str(value).expect("a value");
        request.headers_mut().insert(*name, value);
    }
    tungstenite::connect(request).map(|(socket, response)| {
        assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "sip");
        socket
    })
}

/// The next SIP message; one frame is one message.
fn next(socket: &mut Socket) -> Message {
    loop {
        let frame = socket.read().expect("it stays open");
        if frame.is_text() || frame.is_binary() {
            return Message::parse(frame.into_data()).expect("a whole message");
        }
    }
}

fn send(socket: &mut Socket, bytes: bytes::Bytes) {
    let text = String::from_utf8(bytes.to_vec()).expect("text");
    socket
        .send(tungstenite::Message::text(text))
        .expect("it is sent");
}

fn register(authorization: Option<String>, cseq: u32) -> bytes::Bytes {
    let builder = Builder::request(&Method::Register, "sip:cordboard")
        .header(HeaderName::Via, format!("SIP/2.0/WS df7jal23ls0d.invalid;branch=z9hG4bKws{cseq}"))
        .header(HeaderName::MaxForwards, 70)
        .header(HeaderName::From, "<sip:1001@cordboard>;tag=ws")
        .header(HeaderName::To, "<sip:1001@cordboard>")
        .header(HeaderName::CallId, "ws-registration")
        .header(HeaderName::CSeq, format!("{cseq} REGISTER"))
        .header(
            HeaderName::Contact,
            "<sip:1001@df7jal23ls0d.invalid;transport=ws>;reg-id=1;+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>\";expires=300",
        )
        .header(HeaderName::Supported, "path, outbound, gruu");
    match authorization {
        Some(authorization) => builder.header(HeaderName::Authorization, authorization),
        None => builder,
    }
    .finish()
}

#[test]
fn a_browser_registers_over_websocket_and_is_called_on_its_connection() {
    let centre = Centre::start();
    let client = Client::sign_in_any(&centre);
    let mut phone = open(&centre, &[("Sec-WebSocket-Protocol", "sip")]).expect("it opens");
    // CRLF keep-alive (section 6).
    phone
        .send(tungstenite::Message::text("\r\n\r\n"))
        .expect("it is sent");
    assert_eq!(phone.read().expect("a pong").into_data(), "\r\n".as_bytes());
    send(&mut phone, register(None, 1));
    let challenged = next(&mut phone);
    assert_eq!(challenged.status(), Some(401));
    let challenge = challenged
        .header_named("WWW-Authenticate")
        .expect("a challenge");
    let challenge = sip::digest::DigestChallenge::parse(challenge).expect("a challenge");
    let ha1 = sip::digest::ha1("1001", "cordboard", "demo-1001", challenge.algorithm);
    let authorization = sip::digest::ClientAuth {
        challenge: &challenge,
        username: "1001",
        ha1: &ha1,
        method: &Method::Register,
        uri: "sip:cordboard",
        nc: 1,
        cnonce: "0a4f113b",
    };
    send(&mut phone, register(Some(authorization.to_string()), 2));
    assert_eq!(next(&mut phone).status(), Some(200));
    client.wait_agent("1001", "ready");
    let caller = Sipp::start(&centre, "caller_cancels", "2000", &["-d", "3000"]);
    let invite = next(&mut phone);
    assert_eq!(invite.method(), Some(&Method::Invite));
    assert_eq!(
        invite.request_uri_raw(),
        "sip:1001@df7jal23ls0d.invalid;transport=ws"
    );
    let via = invite.header_named("Via").expect("a Via");
    assert!(via.starts_with("SIP/2.0/WS "), "{via}");
    let contact = invite.header_named("Contact").expect("a Contact");
    assert!(contact.contains(";transport=ws"), "{contact}");
    let busy = Builder::response_to(&invite, 486, "Busy Here", Some("browser")).finish();
    send(&mut phone, busy);
    assert_eq!(next(&mut phone).method(), Some(&Method::Ack));
    drop(caller);
    // The browser is gone, and so is its registration.
    drop(phone);
    client.wait_event("agent.state", |event| {
        event["data"]["agent"] == "1001" && event["data"]["state"] != "ready"
    });
}

#[test]
fn only_sip_and_only_our_own_pages_may_open_it() {
    let centre = Centre::start();
    let status = |headers: &[(&'static str, &str)]| match open(&centre, headers) {
        Ok(_) => 101,
        Err(tungstenite::Error::Http(response)) => response.status().as_u16(),
        Err(error) => panic!("{error}"),
    };
    let own = centre.http();
    assert_eq!(
        status(&[("Sec-WebSocket-Protocol", "sip"), ("Origin", &own)]),
        101
    );
    assert_eq!(
        status(&[
            ("Sec-WebSocket-Protocol", "sip"),
            ("Origin", "https://evil.example")
        ]),
        403
    );
    assert_eq!(status(&[("Sec-WebSocket-Protocol", "chat")]), 400);
}
