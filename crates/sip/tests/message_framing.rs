//! Messages come out of a stream whole, whatever the pieces.

use bytes::Bytes;
use proptest::prelude::*;
use sip::framing::{Frame, FrameError, StreamFramer};
use sip::message::{Message, best_effort_response};

fn message(number: usize, body: &str) -> String {
    format!(
        "OPTIONS sip:h SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK{number}\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: {number}\r\nCSeq: 1 OPTIONS\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn drain(framer: &mut StreamFramer) -> Result<Vec<String>, FrameError> {
    let mut names = Vec::new();
    while let Some(frame) = framer.poll()? {
        names.push(match frame {
            Frame::Message(message) => format!("{} {}", message.call_id(), message.body().len()),
            Frame::Malformed(_, error) => error.to_string(),
            Frame::Ping => "ping".to_owned(),
            Frame::Pong => "pong".to_owned(),
        });
    }
    Ok(names)
}

#[test]
fn two_in_one_piece_and_a_ping_between() {
    let mut framer = StreamFramer::accepted(4096);
    framer.push(format!("{}\r\n\r\n{}", message(1, "hello"), message(2, "")).as_bytes());
    assert_eq!(drain(&mut framer).unwrap(), ["1 5", "ping", "2 0"]);
    assert_eq!(framer.pending(), 0);
}

#[test]
fn a_ping_in_halves() {
    let mut framer = StreamFramer::accepted(4096);
    framer.push(b"\r\n");
    assert!(drain(&mut framer).unwrap().is_empty());
    framer.push(b"\r");
    assert!(drain(&mut framer).unwrap().is_empty());
    framer.push(b"\n");
    assert_eq!(drain(&mut framer).unwrap(), ["ping"]);
}

#[test]
fn a_pong_on_a_connection_that_we_opened() {
    let mut framer = StreamFramer::opened(4096);
    framer.push(b"\r\n");
    assert_eq!(drain(&mut framer).unwrap(), ["pong"]);
    framer.push(format!("\r\n{}", message(1, "")).as_bytes());
    assert_eq!(drain(&mut framer).unwrap(), ["pong", "1 0"]);
}

#[test]
fn a_malformed_message_does_not_end_the_stream() {
    let mut framer = StreamFramer::accepted(4096);
    framer.push(message(1, "x").replace("Call-ID: 1\r\n", "").as_bytes());
    framer.push(message(2, "").as_bytes());
    assert_eq!(drain(&mut framer).unwrap(), ["missing Call-ID", "2 0"]);
}

#[test]
fn too_large_is_said_before_the_body_comes() {
    let mut framer = StreamFramer::accepted(1000);
    framer.push(
        message(1, "")
            .replace("Content-Length: 0", "Content-Length: 5000")
            .as_bytes(),
    );
    let error = framer.poll().unwrap_err();
    assert_eq!(error.status(), 513);
    let answer = best_effort_response(
        error.head(),
        "192.0.2.1:5".parse().unwrap(),
        513,
        "Message Too Large",
    )
    .unwrap();
    assert_eq!(Message::parse(answer).unwrap().status(), Some(513));
    framer.push(message(2, "").as_bytes());
    assert!(
        matches!(framer.poll(), Ok(None)),
        "a failed stream stays silent"
    );
}

#[test]
fn a_head_without_an_end_is_bounded() {
    let mut framer = StreamFramer::accepted(1000);
    framer.push(b"OPTIONS sip:h SIP/2.0\r\nX: ");
    framer.push(&[b'x'; 2000]);
    assert!(matches!(framer.poll(), Err(FrameError::TooLarge { head }) if head.len() == 1000));
    assert!(framer.pending() <= 2000);
}

#[test]
fn without_content_length_the_stream_cannot_be_followed() {
    for broken in ["", "Content-Length: x\r\n", "Content-Length: 1\r\nl: 2\r\n"] {
        let mut framer = StreamFramer::accepted(4096);
        framer.push(
            message(1, "")
                .replace("Content-Length: 0\r\n", broken)
                .as_bytes(),
        );
        assert_eq!(framer.poll().unwrap_err().status(), 400, "{broken}");
    }
}

proptest! {
    #[test]
    fn pieces_of_any_size(cuts in prop::collection::vec(1usize..200, 1..60), bodies in prop::collection::vec("[a-z\\r\\n]{0,40}", 1..6)) {
        let stream: String = bodies.iter().enumerate().map(|(number, body)| message(number, body) + "\r\n\r\n").collect();
        let expected: Vec<String> = bodies.iter().enumerate().flat_map(|(number, body)| [format!("{number} {}", body.len()), "ping".to_owned()]).collect();
        let mut framer = StreamFramer::accepted(4096);
        let mut found = Vec::new();
        let mut rest = stream.as_bytes();
        for cut in cuts.iter().cycle() {
            let (piece, behind) = rest.split_at((*cut).min(rest.len()));
            framer.push(piece);
            found.extend(drain(&mut framer).unwrap());
            rest = behind;
            if rest.is_empty() { break }
        }
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn no_bytes_panic(pieces in prop::collection::vec(prop::collection::vec(prop::sample::select(&b"\r\n :SIP/2.0aContent-Length: 5\xff"[..]), 0..40), 0..40), opened: bool) {
        let mut framer = if opened { StreamFramer::opened(200) } else { StreamFramer::accepted(200) };
        for piece in pieces {
            framer.push(&piece);
            let _ = drain(&mut framer);
            prop_assert!(framer.pending() <= 200 + 40);
        }
    }

    #[test]
    fn a_stream_and_datagrams_give_the_same_messages(body in "[a-z]{0,40}") {
        let text = message(1, &body);
        let mut framer = StreamFramer::accepted(4096);
        framer.push(text.as_bytes());
        let Ok(Some(Frame::Message(streamed))) = framer.poll() else { panic!("a message") };
        let datagram = Message::parse(Bytes::from(text)).unwrap();
        prop_assert_eq!(streamed.as_bytes(), datagram.as_bytes());
    }
}
