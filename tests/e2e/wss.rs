//! Secure WebSockets on `/sip` (RFC 7118 over HTTPS), by two clients.
//!
//! JsSIP in Debian's Chromium is a SIP stack that nobody here wrote: it registers, is called and unregisters. It cannot talk here, since browsers
//! know no plain RTP. So a bare telephone of our own, over tungstenite and rustls, takes a call on its connection and talks.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};
use sip::message::{Builder, HeaderName, Message, Method};
use tungstenite::WebSocket;
use tungstenite::client::IntoClientRequest;

use crate::baresip::{Baresip, is_tone};
use crate::browser::Page;
use crate::centre::{Centre, PATIENCE, QUEUES, agents, wait_for};
use crate::raw::{PCMA, Rtp, converse, sdp};
use crate::sipp::Sipp;
use crate::tls::{Ca, Connection, shake_hands};

const CALLER: u32 = 440;
const PHONE: u32 = 1000;

fn centre(ca: &Ca) -> Centre {
    let ours = ca.pair(&["localhost"]);
    let files = [
        ("queues.toml", QUEUES),
        ("agents.toml", &agents()),
        ("certificate.pem", &ours.certificate),
        ("key.pem", &ours.key),
    ];
    let set = [
        "http.tls.certificate=certificate.pem",
        "http.tls.key=key.pem",
        // Our bare telephone is called in clear; browsers that talk are `webrtc`'s.
        "media.srtp=off",
    ];
    Centre::start_with(&files, &set)
}

fn address(centre: &Centre) -> &str {
    assert_eq!(centre.ready["https"], true, "{}", centre.ready);
    centre.ready["http"].as_str().expect("http is told")
}

/// How many secure WebSockets `/metrics` says are open.
fn open(centre: &Centre, ca: &Ca) -> f64 {
    let version = &rustls::version::TLS13;
    let mut https = shake_hands(address(centre), ca, version, None).expect("HTTPS");
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    https.write_all(request.as_bytes()).expect("it is sent");
    let mut text = String::new();
    // The end may come without a close_notify.
    let _ = https.read_to_string(&mut text);
    let line = "cordboard_sip_connections{transport=\"wss\"} ";
    let value = text.lines().find_map(|found| found.strip_prefix(line));
    let value = value.unwrap_or_else(|| panic!("no {line}: {text}"));
    value.parse().expect("a number")
}

/// A telephone of 1001 on a secure WebSocket.
struct Phone {
    socket: WebSocket<Connection>,
    rtp: Rtp,
}

impl Phone {
    fn connect(centre: &Centre, ca: &Ca) -> Phone {
        let version = &rustls::version::TLS13;
        let tls = shake_hands(address(centre), ca, version, None).expect("TLS");
        let mut request = "wss://localhost/sip".into_client_request().expect("a URL");
        let protocol = tungstenite::http::HeaderValue::from_static("sip");
        request
            .headers_mut()
            .insert("Sec-WebSocket-Protocol", protocol);
        let (socket, response) = tungstenite::client(request, tls).expect("it opens");
        assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "sip");
        let rtp = Rtp::new(0x0055_5500);
        Phone { socket, rtp }
    }

    fn send(&mut self, bytes: bytes::Bytes) {
        let text = String::from_utf8(bytes.to_vec()).expect("text");
        let message = tungstenite::Message::text(text);
        self.socket.send(message).expect("it is sent");
    }

    /// The next SIP message; one frame is one message.
    fn next(&mut self) -> Message {
        loop {
            let frame = self.socket.read().expect("it stays open");
            if frame.is_text() || frame.is_binary() {
                return Message::parse(frame.into_data()).expect("a whole message");
            }
        }
    }

    fn register(&mut self) {
        let request = |cseq: u32| {
            Builder::request(&Method::Register, "sip:cordboard")
                .header(
                    HeaderName::Via,
                    format!("SIP/2.0/WSS df7jal23ls0d.invalid;branch=z9hG4bKwss{cseq}"),
                )
                .header(HeaderName::MaxForwards, 70)
                .header(HeaderName::From, "<sip:1001@cordboard>;tag=wss")
                .header(HeaderName::To, "<sip:1001@cordboard>")
                .header(HeaderName::CallId, "wss-registration")
                .header(HeaderName::CSeq, format!("{cseq} REGISTER"))
                .header(
                    HeaderName::Contact,
                    "<sip:1001@df7jal23ls0d.invalid;transport=ws>;expires=300",
                )
        };
        self.send(request(1).finish());
        let challenged = self.next();
        assert_eq!(challenged.status(), Some(401));
        let challenge = challenged.header_named("WWW-Authenticate").expect("one");
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
        let second = request(2).header(HeaderName::Authorization, authorization);
        self.send(second.finish());
        assert_eq!(self.next().status(), Some(200));
    }

    /// Takes the call that rings; the INVITE.
    fn answer(&mut self) -> Message {
        let invite = self.next();
        assert_eq!(invite.method(), Some(&Method::Invite));
        let via = invite.header_named("Via").expect("a Via");
        assert!(via.starts_with("SIP/2.0/WSS "), "{via}");
        let contact = invite.header_named("Contact").expect("a Contact");
        assert!(contact.contains(";transport=ws"), "{contact}");
        let offer = String::from_utf8(invite.body().to_vec()).expect("SDP");
        let line = |start: &str| {
            let found = offer.lines().find_map(|line| line.strip_prefix(start));
            let found = found.and_then(|rest| rest.split(' ').next());
            found.unwrap_or_else(|| panic!("no {start} in {offer}"))
        };
        let remote = format!("{}:{}", line("c=IN IP4 "), line("m=audio "));
        self.rtp.remote = Some(remote.parse().expect("an address"));
        self.rtp.payload_type = PCMA;
        let answer = sdp(self.rtp.address(), &[PCMA]);
        let response = Builder::response_to(&invite, 200, "OK", Some("browser"))
            .header(
                HeaderName::Contact,
                "<sip:1001@df7jal23ls0d.invalid;transport=ws>",
            )
            .body("application/sdp", answer.as_bytes());
        self.send(response.finish());
        assert_eq!(self.next().method(), Some(&Method::Ack));
        invite
    }

    fn hang_up(&mut self, invite: &Message) {
        let contact = invite.header_named("Contact").expect("a Contact");
        let target = contact.trim_start_matches('<').split('>').next();
        let bye = Builder::request(&Method::Bye, target.expect("a URI"))
            .header(
                HeaderName::Via,
                "SIP/2.0/WSS df7jal23ls0d.invalid;branch=z9hG4bKwssbye",
            )
            .header(HeaderName::MaxForwards, 70)
            .header(HeaderName::From, format!("{};tag=browser", invite.to_raw()))
            .header(HeaderName::To, invite.from_raw())
            .header(HeaderName::CallId, invite.call_id())
            .header(HeaderName::CSeq, "1 BYE");
        self.send(bye.finish());
        assert_eq!(self.next().status(), Some(200));
    }
}

#[test]
fn a_telephone_on_a_secure_websocket_registers_and_talks() {
    let ca = Ca::new();
    let centre = centre(&ca);
    let mut phone = Phone::connect(&centre, &ca);
    phone.register();
    assert_eq!(open(&centre, &ca), 1.0);
    let mut caller = Baresip::start(&centre, "13800138000", None, CALLER, false);
    caller.command("dial", &format!("sip:2000@{}", centre.sip()));
    let invite = phone.answer();
    let both_hear = |ends: &[&Rtp]| {
        let heard = caller.heard();
        let last = &heard[heard.len().saturating_sub(4000)..];
        ends[0].purity(f64::from(CALLER)) > 0.8 && last.len() == 4000 && is_tone(last, PHONE)
    };
    let ends = &mut [(&mut phone.rtp, f64::from(PHONE))];
    converse("both hear each other", ends, both_hear);
    phone.hang_up(&invite);
    caller.wait("CALL_CLOSED");
    drop(phone);
    wait_for("its connection to be gone", || {
        (open(&centre, &ca) == 0.0).then_some(())
    });
}

#[test]
fn a_certificate_that_the_client_does_not_trust_opens_no_secure_websocket() {
    let ca = Ca::new();
    let centre = centre(&ca);
    let version = &rustls::version::TLS13;
    assert!(shake_hands(address(&centre), &Ca::new(), version, None).is_err());
    // Nor does plain HTTP on the port.
    let mut plain = TcpStream::connect(address(&centre)).expect("it connects");
    let upgrade = "GET /sip HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: sip\r\n\r\n";
    plain.write_all(upgrade.as_bytes()).expect("it is sent");
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1 101"), "{answer:?}");
    assert_eq!(open(&centre, &ca), 0.0);
}

/// JsSIP as one script, which `make tools` fetches and bundles.
pub fn jssip() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/target/jssip/jssip.js");
    std::fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("{path}: {error}: run `make tools` once"))
}

/// JsSIP in a page of ours, and what it has said.
struct Browser {
    page: Page,
}

impl Browser {
    fn register(centre: &Centre) -> Browser {
        let port = address(centre).rsplit(':').next().expect("a port");
        let url = format!("https://localhost:{port}");
        // The certificate is one that no browser knows.
        let mut page = Page::open_with(&url, &["--ignore-certificate-errors"]);
        page.evaluate(&jssip());
        page.evaluate(&format!(
            "window.said = []; \
             window.ua = new JsSIP.UA({{sockets: [new JsSIP.WebSocketInterface('wss://localhost:{port}/sip')], \
                uri: 'sip:1001@cordboard', password: 'demo-1001', register_expires: 300}}); \
             for (const kind of ['registered', 'unregistered', 'registrationFailed']) \
                ua.on(kind, event => said.push(kind + ' ' + event.response?.status_code)); \
             ua.on('newRTCSession', ({{originator, request, session}}) => {{ \
                said.push(originator + ' call from ' + request.from.uri.user); \
                session.on('failed', event => said.push('failed ' + event.originator + ' ' + event.cause)); \
                setTimeout(() => session.terminate({{status_code: 486, reason_phrase: 'Busy Here'}}), 200); }}); \
             ua.start(); 0"
        ));
        Browser { page }
    }

    fn says(&mut self, text: &str) {
        let wanted = json!(text);
        let mut said = Value::Null;
        let start = std::time::Instant::now();
        while !said
            .as_array()
            .is_some_and(|said: &Vec<Value>| said.contains(&wanted))
        {
            assert!(start.elapsed() < PATIENCE, "not {text:?} but {said}");
            said = self.page.evaluate("said");
        }
    }

    /// A GET of the API by the page itself, as the supervisor.
    fn api(&mut self, path: &str) -> Value {
        self.page.evaluate(&format!(
            "(async () => {{ \
                const post = {{method: 'POST', headers: {{'Content-Type': 'application/json'}}, body: '{{\"user\": \"1900\", \"password\": \"demo-1900\"}}'}}; \
                window.token ??= (await (await fetch('/api/v1/session', post)).json()).token; \
                return await (await fetch('{path}', {{headers: {{Authorization: 'Bearer ' + token}}}})).json(); }})()"
        ))
    }

    fn wait_ready(&mut self, ready: bool) {
        wait_for("1001's phone to come or go", || {
            let agent = self.api("/api/v1/agents/1001");
            ((agent["state"] == "ready") == ready).then_some(())
        });
    }
}

#[test]
fn jssip_registers_is_called_and_unregisters_over_a_secure_websocket() {
    let ca = Ca::new();
    let centre = centre(&ca);
    let mut browser = Browser::register(&centre);
    browser.says("registered 200");
    browser.wait_ready(true);
    assert_eq!(open(&centre, &ca), 1.0);
    let caller = Sipp::start(&centre, "caller_cancels", "2000", &["-d", "3000"]);
    browser.says("remote call from +8613800138000");
    browser.says("failed local Rejected");
    drop(caller);
    browser.page.evaluate("ua.unregister(); 0");
    browser.says("unregistered 200");
    browser.wait_ready(false);
    browser.page.evaluate("ua.stop(); 0");
    wait_for("its connection to be gone", || {
        (open(&centre, &ca) == 0.0).then_some(())
    });
}
