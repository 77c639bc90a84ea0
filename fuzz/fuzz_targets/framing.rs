//! A stream in pieces of any size gives what it gives at once, and holds no more than its bound.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sip::framing::{Frame, StreamFramer};

#[derive(Arbitrary, Debug)]
struct Stream<'a> {
    opened: bool,
    cuts: [u8; 4],
    bytes: &'a [u8],
}

const MAX: usize = 2_048;

fn framer(opened: bool) -> StreamFramer {
    if opened {
        StreamFramer::opened(MAX)
    } else {
        StreamFramer::accepted(MAX)
    }
}

/// Messages and faults that come out; keep-alives are told apart by how CRLFs arrive, so they are left out.
fn read(stream: &Stream<'_>, cuts: &[usize]) -> Vec<Vec<u8>> {
    let mut framer = framer(stream.opened);
    let mut found = Vec::new();
    let mut rest = stream.bytes;
    for &cut in cuts.iter().cycle() {
        let (piece, behind) = rest.split_at(cut.clamp(1, rest.len().max(1)).min(rest.len()));
        framer.push(piece);
        loop {
            match framer.poll() {
                Ok(Some(Frame::Message(message))) => found.push(message.as_bytes().to_vec()),
                Ok(Some(Frame::Malformed(bytes, _))) => found.push(bytes.to_vec()),
                Ok(Some(Frame::Ping | Frame::Pong)) => {}
                Ok(None) => break,
                Err(error) => {
                    found.push(format!("{}", error.status()).into_bytes());
                    return found;
                }
            }
        }
        assert!(framer.pending() <= MAX + piece.len());
        rest = behind;
        if rest.is_empty() {
            break;
        }
    }
    found
}

fuzz_target!(|stream: Stream<'_>| {
    let at_once = read(&stream, &[usize::MAX]);
    let cuts = stream.cuts.map(|cut| usize::from(cut) + 1);
    assert_eq!(read(&stream, &cuts), at_once);
    assert_eq!(read(&stream, &[1]), at_once);
});
