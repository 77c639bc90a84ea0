//! Writes the first of the corpus: torture messages, and what stands in the tests. `cargo run --example seeds`. What fuzzing found beside
//! them is kept minimised (`make fuzz-corpus`); the moves of `endpoint` and `engine` are all of that kind.

use std::path::Path;

fn put(target: &str, name: &str, bytes: &[u8]) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    std::fs::create_dir_all(&directory).expect("a directory");
    std::fs::write(directory.join(name), bytes).expect("a file");
}

fn main() {
    let torture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/sip/tests/torture");
    for rfc in ["rfc4475", "rfc5118"] {
        for entry in std::fs::read_dir(torture.join(rfc)).expect("the torture messages") {
            let path = entry.expect("an entry").path();
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let bytes = std::fs::read(&path).expect("a message");
            put("message", &name, &bytes);
            put("framing", &name, &[b"\x00\x07\x20\x01\x03", &bytes[..]].concat());
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let body = &bytes[end + 4..];
                if body.starts_with(b"v=0") {
                    put("sdp", &name, body);
                }
            }
        }
    }
    for (name, value) in [
        ("response", "Digest username=\"Mufasa\", realm=\"test\", nonce=\"dcd98b\", uri=\"/dir/index.html\", qop=auth, nc=00000001, cnonce=\"0a4f113b\", response=\"6629fae49393a05397450978507c4ef1\", opaque=\"5ccc\""),
        ("sha256", "Digest username=\"a\", realm=\"test\", nonce=\"n\", uri=\"sip:h\", algorithm=SHA-256, qop=auth, nc=0000000f, cnonce=\"c\", response=\"00\""),
        ("challenge", "Digest realm=\"testrealm@host.com\", qop=\"auth,auth-int\", nonce=\"dcd98b7102dd\", opaque=\"5ccc069c\", algorithm=MD5, stale=false"),
        ("other", "NoOneKnowsThisScheme opaque-data=here"),
    ] {
        put("digest", name, value.as_bytes());
    }
    for (name, body) in [
        ("relay", "\0Signal= 5\r\nDuration= 250\r\n"),
        ("relay_flash", "\0Signal=16\r\nDuration=9999999\r\n"),
        ("key", "\x01#"),
        ("key_number", "\x0111"),
        ("parameters", "\x02signal = a\r\n"),
        ("type", "\x03application/dtmf-relay"),
    ] {
        put("info", name, body.as_bytes());
    }
    descriptions();
    rtcp();
}

/// Calls as series of descriptions: see the target.
fn descriptions() {
    let sdp = |more: &str| format!("v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n{more}");
    let audio = sdp("m=audio 4000 RTP/AVP 8 0 97\r\na=rtpmap:97 telephone-event/8000\r\na=ptime:30\r\n");
    let held = sdp("m=audio 4000 RTP/AVP 8\r\na=sendonly\r\n");
    let off = sdp("m=audio 0 RTP/AVP 8\r\n");
    let video = sdp("m=video 7000 RTP/AVP 31\r\nm=audio 4000 RTP/AVP 9 8\r\nm=audio 4100 RTP/AVP 8\r\n");
    let opus = sdp("m=audio 4000 RTP/AVP 111\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 useinbandfec=1;maxptime=60\r\n");
    for (name, series) in [
        ("hold_and_back", vec![(6, &audio), (6, &held), (6, &audio)]),
        ("switched_off", vec![(6, &audio), (7, &off), (6, &off), (7, &audio)]),
        ("ours_first", vec![(7, &audio), (7, &video), (6, &video), (7, &off)]),
        ("codecs", vec![(6, &video), (7, &opus), (2, &audio), (0x46, &opus)]),
    ] {
        let parts: Vec<Vec<u8>> = series
            .into_iter()
            .map(|(kind, sdp)| [&[kind], sdp.as_bytes()].concat())
            .collect();
        put("descriptions", name, &parts.join(&0xff));
    }
}

fn rtcp() {
    use media::rtcp::{Block, MAX_OCTETS, Report, Sent, write};
    let block = Block {
        ssrc: 7,
        fraction_lost: 12,
        lost: -3,
        highest: 70_000,
        jitter: 40,
        last_report: 0x1234_5678,
        delay: 65_536,
    };
    let sent = Sent {
        ntp: 1 << 40,
        timestamp: 99,
        packets: 5,
        octets: 800,
    };
    for (name, sent, block, bye) in [
        ("sender", Some(sent), Some(block), false),
        ("receiver", None, Some(block), false),
        ("empty", None, None, false),
        ("goodbye", Some(sent), None, true),
    ] {
        let mut buffer = [0; MAX_OCTETS];
        let report = Report {
            ssrc: 9,
            sent,
            block,
            bye,
        };
        let length = write(&report, &mut buffer);
        put("rtcp", name, &[&[0, 0, 0, 7], &buffer[..length]].concat());
    }
}
