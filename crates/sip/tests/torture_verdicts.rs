//! RFC 4475 and RFC 5118, message by message: what the parser finds and what an endpoint answers (`tests/torture/verdicts.txt`).
#![allow(clippy::unwrap_used)]

mod torture_cases;
mod world;

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;
use sip::framing::{Frame, StreamFramer};
use sip::message::Message;
use sip::{Algorithm, Config, Credentials, Endpoint, Input, Output};
use torture_cases::{Case, cases, files};
use world::{config, peer};

/// A trunk: what it sends is judged by what it is, not by who sends it.
const TRUNK: &str = "10.0.0.1:5060";
const PASSWORD: &str = "tortured";

/// The world's configuration, and whoever registers in a torture message is a user; elsewhere nobody is, since whoever says to
/// be a user is challenged.
fn judge_of(bytes: &Bytes) -> Endpoint {
    if !bytes.starts_with(b"REGISTER") {
        return Endpoint::new(Arc::new(config()), [7; 32]);
    }
    let user = |name: &str| {
        let md5 = Some(sip::digest::ha1(name, "test", PASSWORD, Algorithm::Md5));
        (Arc::from(name), Credentials { md5, sha256: None })
    };
    let users: HashMap<Arc<str>, Credentials> =
        ["user", "j.user", "watson", "null-\0-null", "2983792873"]
            .map(user)
            .into();
    let config = Config {
        users: Arc::new(users),
        ..config()
    };
    Endpoint::new(Arc::new(config), [7; 32])
}

/// In the words of the table.
fn parser_verdict(bytes: &Bytes) -> String {
    match Message::parse(bytes.clone()) {
        Err(error) => format!("refused: {error}"),
        Ok(message) => match message.check() {
            Err(error) => format!("bad {}", error.field),
            Ok(()) => "good".to_owned(),
        },
    }
}

/// What the endpoint sends in answer to one datagram.
fn answers(endpoint: &mut Endpoint, bytes: &Bytes) -> Vec<Message> {
    let now = clock::Time::from_secs(1_000);
    let peer = peer(TRUNK);
    let input = match Message::parse(bytes.clone()) {
        Ok(message) => Input::Message { peer, message },
        Err(_) => Input::Malformed {
            peer,
            bytes: bytes.clone(),
        },
    };
    endpoint.handle(now, input);
    let mut sent = Vec::new();
    while let Some(output) = endpoint.poll_output() {
        if let Output::Transmit { bytes, .. } = output {
            sent.push(Message::parse(bytes.clone()).unwrap_or_else(|_| mended(&bytes)));
        }
    }
    sent
}

/// A 400 repeats what was wrong with its request, or leaves out what that left out: mended, so that it can be looked at.
fn mended(response: &Bytes) -> Message {
    assert_eq!(&response[..11], b"SIP/2.0 400");
    let text = String::from_utf8(response.to_vec()).unwrap();
    let mut text = text.replace("CSeq: 36893488147419103232", "CSeq: 1");
    for (name, line) in [
        ("From: ", "<sip:a@b>;tag=1"),
        ("To: ", "<sip:a@b>"),
        ("Call-ID: ", "1"),
    ] {
        if !text.contains(&format!("\r\n{name}")) {
            text = text.replacen("\r\n", &format!("\r\n{name}{line}\r\n"), 1);
        }
    }
    Message::parse(text.into()).unwrap()
}

/// The same REGISTER with the digest that was asked for, on a new branch.
fn with_digest(bytes: &Bytes, challenge: &Message) -> Bytes {
    let message = Message::parse(bytes.clone()).unwrap();
    let asked =
        sip::digest::DigestChallenge::parse(challenge.header_named("WWW-Authenticate").unwrap())
            .unwrap();
    let user = message
        .to()
        .unwrap()
        .uri
        .user()
        .map(|user| user.into_owned());
    let user = user.unwrap_or_else(|| "user".to_owned());
    let ha1 = sip::digest::ha1(&user, "test", PASSWORD, Algorithm::Md5);
    let auth = sip::digest::ClientAuth {
        challenge: &asked,
        username: &user,
        ha1: &ha1,
        method: message.method().unwrap(),
        uri: message.request_uri_raw(),
        nc: 1,
        cnonce: "0a4f113b",
    };
    let end = bytes.windows(2).position(|pair| pair == b"\r\n").unwrap() + 2;
    // We write no NUL of our own accord; a phone with such a name would escape it.
    let auth = auth.to_string().replace("null- -null", "null-\\\0-null");
    let header = format!("Authorization: {auth}\r\n");
    [&bytes[..end], header.as_bytes(), &bytes[end..]]
        .concat()
        .into()
}

/// The statuses that a message is answered with, in the words of the table.
fn endpoint_answer(bytes: &Bytes) -> String {
    let mut endpoint = judge_of(bytes);
    let mut sent = answers(&mut endpoint, bytes);
    let challenged = sent.first().and_then(Message::status) == Some(401);
    if challenged && !String::from_utf8_lossy(bytes).contains("Authorization:") {
        let again = with_digest(bytes, &sent[0]);
        sent.extend(answers(&mut endpoint, &again));
    }
    let statuses: Vec<String> = sent
        .iter()
        .map(|message| message.status().unwrap().to_string())
        .collect();
    if statuses.is_empty() {
        "-".to_owned()
    } else {
        statuses.join(" ")
    }
}

#[test]
fn the_table_has_every_message() {
    let cases = cases();
    assert_eq!(cases.len(), files());
    let of = |rfc: &str| cases.iter().filter(|case| case.rfc == rfc).count();
    assert_eq!((of("rfc4475"), of("rfc5118")), (49, 12));
}

/// Every difference at once, so that a change of the parser is seen whole.
fn differences(what: &str, found: impl Fn(&Case) -> String, wanted: impl Fn(&Case) -> String) {
    let mut text = String::new();
    for case in cases() {
        let (found, wanted) = (found(&case), wanted(&case));
        if found != wanted {
            let Case {
                rfc, section, name, ..
            } = &case;
            writeln!(text, "{rfc} {section} {name}: {wanted}, {what} {found}").unwrap();
        }
    }
    assert!(text.is_empty(), "\n{text}");
}

#[test]
fn the_parser_finds_what_the_rfc_says() {
    differences(
        "parsed",
        |case| parser_verdict(&case.bytes),
        |case| case.parser.clone(),
    );
}

#[test]
fn the_endpoint_answers_as_the_rfc_says() {
    differences(
        "answered",
        |case| endpoint_answer(&case.bytes),
        |case| case.answer.clone(),
    );
}

#[test]
fn what_a_refusal_must_say() {
    let said = |name: &str, header: &str| {
        let case = cases().into_iter().find(|case| case.name == name).unwrap();
        let mut endpoint = judge_of(&case.bytes);
        let answer = answers(&mut endpoint, &case.bytes).pop().unwrap();
        answer.header_named(header).unwrap_or("nothing").to_owned()
    };
    assert!(said("intmeth", "Allow").contains("INVITE"));
    assert!(said("mpart01", "Allow").contains("INVITE"));
    assert!(said("mismatch02", "Allow").contains("INVITE"));
    assert_eq!(
        said("bext01", "Unsupported"),
        "nothingSupportsThis, nothingSupportsThisEither"
    );
    assert_eq!(said("invut", "Accept"), "application/sdp");
    assert_eq!(
        said("insuf", "Via"),
        "SIP/2.0/UDP 192.0.2.95;branch=z9hG4bKkdj.insuf;received=10.0.0.1"
    );
    assert_eq!(said("insuf", "CSeq"), "193942 INVITE");
    assert!(said("badvers", "Via").starts_with("SIP/7.0/UDP c.example.com"));
}

/// A branch that is the bare cookie tells nothing apart (section 3.2.1): two requests are two.
#[test]
fn the_bare_cookie_is_no_transaction() {
    let case = cases()
        .into_iter()
        .find(|case| case.name == "badbranch")
        .unwrap();
    let mut endpoint = judge_of(&case.bytes);
    assert_eq!(answers(&mut endpoint, &case.bytes).len(), 1);
    let other = String::from_utf8(case.bytes.to_vec()).unwrap();
    let other = Bytes::from(other.replace("badbranch.", "another."));
    let second = answers(&mut endpoint, &other);
    assert!(second[0].call_id().starts_with("another."), "{second:?}");
}

/// The two contacts of 3.1.1.4 and the one of 3.3.14 are kept as they were sent.
#[test]
fn contacts_are_kept_as_they_were_sent() {
    let contacts = |name: &str| -> Vec<String> {
        let case = cases().into_iter().find(|case| case.name == name).unwrap();
        let mut endpoint = judge_of(&case.bytes);
        let challenge = answers(&mut endpoint, &case.bytes).remove(0);
        answers(&mut endpoint, &with_digest(&case.bytes, &challenge));
        endpoint
            .bindings()
            .map(|(_, binding)| binding.uri.to_string())
            .collect()
    };
    let mut nulls = contacts("escnull");
    nulls.sort();
    assert_eq!(
        nulls,
        ["sip:%00%00@host5.example.com", "sip:%00@host5.example.com"]
    );
    assert_eq!(
        contacts("regescrt"),
        ["sip:user@example.com?Route=%3Csip:sip.example.com%3E"]
    );
    assert_eq!(contacts("cparam01"), ["sip:+19725552222@gw1.example.net"]);
    assert_eq!(
        contacts("cparam02"),
        ["sip:+19725552222@gw1.example.net;unknownparam"]
    );
}

/// On a stream the same verdicts, except where the length is what is wrong: then the stream cannot be followed (section 18.3).
#[test]
fn a_stream_gives_the_same_verdicts() {
    for case in cases() {
        let mut framer = StreamFramer::accepted(65_535);
        framer.push(&case.bytes);
        let found = match framer.poll() {
            Ok(Some(Frame::Message(message))) => parser_verdict(&message.raw()),
            Ok(Some(Frame::Malformed(_, error))) => format!("refused: {error}"),
            Ok(frame) => format!("{frame:?}"),
            Err(error) => error.to_string(),
        };
        let wanted = match case.name.as_str() {
            // More is promised than comes.
            "clerr" => "None",
            "ncl" | "mcl01" | "inv2543" => "no usable Content-Length",
            _ => case.parser.as_str(),
        };
        assert_eq!(found, wanted, "{} {}", case.rfc, case.name);
    }
}
