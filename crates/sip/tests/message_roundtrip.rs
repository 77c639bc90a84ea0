//! `parse(write(m)) = m`, however it is written and however it is cut.
#![allow(clippy::unwrap_used)]

mod model;
mod torture_cases;

use bytes::Bytes;
use model::{MessageModel, message};
use proptest::prelude::*;
use proptest::sample::select;
use sip::framing::{Frame, StreamFramer};
use sip::message::{Builder, HeaderName, Message};

/// The same message written anew, line by line.
fn rewritten(message: &Message) -> Bytes {
    let mut builder = match message.method() {
        Some(method) => Builder::request(method, message.request_uri_raw()),
        None => Builder::response(message.status().unwrap(), message.reason()),
    };
    for (name, value) in message.lines() {
        builder = match HeaderName::of(name.as_bytes()) {
            HeaderName::ContentType | HeaderName::ContentLength => continue,
            HeaderName::Other => builder.raw_header(name, value),
            known => builder.header(known, value),
        };
    }
    let content_type = message.header(HeaderName::ContentType).unwrap_or_default();
    builder.body(content_type, &message.body()).finish()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_again(model in message()) {
        let message = Message::parse(model.write()).unwrap();
        message.check().unwrap();
        prop_assert_eq!(&MessageModel::read(&message), &model);
        let again = Message::parse(rewritten(&message)).unwrap();
        prop_assert_eq!(MessageModel::read(&again), model);
    }

    /// Section 7.3: names in any case and compact, folds, white space around the colon, values on one line or on several.
    #[test]
    fn disguises_change_nothing(model in message(), disguise in prop::collection::vec(any::<u8>(), 1..64)) {
        let message = Message::parse(model.write_disguised(&disguise)).unwrap();
        message.check().unwrap();
        prop_assert_eq!(MessageModel::read(&message).in_any_case(), model.in_any_case());
    }
}

#[test]
fn good_torture_messages_survive_rewriting() {
    for case in torture_cases::cases()
        .iter()
        .filter(|case| case.parser == "good")
    {
        let message = Message::parse(case.bytes.clone()).unwrap();
        let again = Message::parse(rewritten(&message)).unwrap();
        // Neither a NUL in a quoted string nor an empty value is ever written by us.
        let lines = |message: &Message| -> Vec<String> {
            let mut lines: Vec<String> = message
                .lines()
                .filter(|(name, _)| HeaderName::of(name.as_bytes()) != HeaderName::ContentLength)
                .map(|(name, value)| match HeaderName::of(name.as_bytes()) {
                    HeaderName::Other => format!("{name}: {value}"),
                    known => format!("{known}: {value}"),
                })
                .map(|line| line.replace('\0', " "))
                .collect();
            lines.sort();
            lines
        };
        assert_eq!(lines(&message), lines(&again), "{}", case.name);
        assert_eq!(message.body(), again.body(), "{}", case.name);
    }
}

// --- streams

/// What may stand in a stream.
#[derive(Clone, Debug)]
enum Piece {
    Message(MessageModel, Vec<u8>),
    /// Framed well and malformed: the stream goes on behind it.
    Malformed,
    Ping,
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let one = prop_oneof![
        4 => (message(), prop::collection::vec(any::<u8>(), 1..16)).prop_map(|(model, disguise)| Piece::Message(model, disguise)),
        1 => Just(Piece::Malformed),
        2 => Just(Piece::Ping),
    ];
    prop::collection::vec(one, 1..8)
}

const MALFORMED: &str = "OPTIONS sip:h SIP/2.0\r\nVia: SIP/2.0/TCP h\r\nl: 2\r\n\r\nxx";

/// A few words of what came out of a stream.
fn said(frame: &Frame) -> String {
    match frame {
        Frame::Message(message) => format!("{:?}", MessageModel::read(message).in_any_case()),
        Frame::Malformed(bytes, error) => format!("{error}, {} bytes", bytes.len()),
        Frame::Ping => "ping".to_owned(),
        Frame::Pong => "pong".to_owned(),
    }
}

/// Everything that a stream gives which comes in pieces of these lengths.
fn cut(stream: &[u8], cuts: &[usize]) -> Vec<String> {
    let mut framer = StreamFramer::accepted(65_535);
    let mut found = Vec::new();
    let mut rest = stream;
    for length in cuts.iter().cycle() {
        let (piece, behind) = rest.split_at((*length).min(rest.len()));
        framer.push(piece);
        while let Some(frame) = framer.poll().unwrap() {
            found.push(said(&frame));
        }
        rest = behind;
        if rest.is_empty() {
            break;
        }
    }
    assert_eq!(framer.pending(), 0);
    found
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn any_cuts_give_the_same_messages(pieces in pieces(), cuts in prop::collection::vec(1usize..300, 1..40)) {
        let (mut stream, mut wanted) = (Vec::new(), Vec::new());
        for piece in &pieces {
            match piece {
                Piece::Message(model, disguise) => {
                    stream.extend_from_slice(&model.write_disguised(disguise));
                    wanted.push(format!("{:?}", model.clone().in_any_case()));
                }
                Piece::Malformed => {
                    stream.extend_from_slice(MALFORMED.as_bytes());
                    wanted.push(format!("missing From, {} bytes", MALFORMED.len()));
                }
                Piece::Ping => {
                    stream.extend_from_slice(b"\r\n\r\n");
                    wanted.push("ping".to_owned());
                }
            }
        }
        prop_assert_eq!(&cut(&stream, &[1]), &wanted, "byte by byte");
        prop_assert_eq!(&cut(&stream, &cuts), &wanted);
        prop_assert_eq!(&cut(&stream, &[stream.len()]), &wanted, "at once");
    }

    /// Whatever Content-Length says: a message, or an end of the stream, and never more held than the bound and one piece.
    #[test]
    fn any_content_length(length in select(vec!["0", "00", "5", "+5", "-1", "0x5", "5 5", "5;5", "", "99999", "4294967295", "4294967296", "18446744073709551616", "٥"]), twice: bool) {
        const MAX: usize = 4_096;
        let second = if twice { format!("l: {length}\r\n") } else { String::new() };
        let head = format!("OPTIONS sip:h SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: {length}\r\n{second}\r\n");
        let mut framer = StreamFramer::accepted(MAX);
        framer.push(head.as_bytes());
        framer.push(b"hello");
        let usable = !twice && matches!(length, "0" | "00" | "5");
        match framer.poll() {
            Ok(Some(Frame::Message(message))) => prop_assert_eq!(message.body().len(), length.parse::<usize>().unwrap()),
            Ok(other) => prop_assert!(false, "{:?}", other),
            Err(error) => {
                prop_assert!(!usable);
                let number = length.bytes().all(|byte| byte.is_ascii_digit()) && length.parse::<u32>().is_ok();
                let huge = !twice && number;
                prop_assert_eq!(error.status(), if huge { 513 } else { 400 });
                for _ in 0..100 {
                    framer.push(&[b'x'; 1_000]);
                    prop_assert!(matches!(framer.poll(), Ok(None)));
                }
                prop_assert!(framer.pending() <= MAX + 1_000);
            }
        }
    }
}
