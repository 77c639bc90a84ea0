//! What nobody should send, over UDP and TCP, and that the centre is none the worse for it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::api::{Client, get_text};
use crate::centre::{Centre, PATIENCE, wait_for};
use crate::raw::{Caller, Line, Message};
use crate::sipp::Sipp;

/// The number all callers of these tests have.
const ANI: &str = "13800138000";

/// The centre answers, and its log has no error, no caller's number, and not a line for each packet.
pub fn still_fine(centre: &Centre) {
    let (status, text) = get_text(centre, "/healthz");
    assert_eq!(status, 200, "{text}");
    let log = centre.log();
    for word in ["ERROR", "panicked", ANI] {
        assert!(!log.contains(word), "{word} in the log:\n{log}");
    }
    let lines = log.lines().count();
    assert!(lines < 100, "{lines} lines:\n{log}");
}

/// A counter of `/metrics`, all its label sets that contain `labels` added up.
pub fn metric(centre: &Centre, name: &str, labels: &str) -> f64 {
    let (_, text) = get_text(centre, "/metrics");
    text.lines()
        .filter(|line| line.starts_with(name) && line.contains(labels))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

/// Everything refused or dropped so far.
fn refused(centre: &Centre) -> f64 {
    metric(centre, "cordboard_sip_refused_total", "")
}

fn address(centre: &Centre) -> SocketAddr {
    centre.sip().parse().expect("an address")
}

/// A whole OPTIONS from `us`; `transport` as in Via.
fn options(centre: &Centre, transport: &str, us: SocketAddr, serial: u32) -> String {
    format!(
        "OPTIONS sip:{0} SIP/2.0\r\nVia: SIP/2.0/{transport} {us};branch=z9hG4bKo{1}x{serial}\r\nFrom: <sip:x@{us}>;tag=o\r\n\
         To: <sip:{0}>\r\nCall-ID: o{1}x{serial}\r\nCSeq: {serial} OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
        centre.sip(),
        us.port()
    )
}

/// The centre still answers on this line, which tells too that everything sent before has been read.
fn ping(centre: &Centre, line: &mut Line, serial: u32) {
    line.send(
        address(centre),
        options(centre, "UDP", line.address(), serial),
    );
    let cseq = format!("{serial} OPTIONS");
    let answer = line.wait("200 to OPTIONS", |message| {
        message.header("CSeq") == cseq && message.header("Call-ID").starts_with('o')
    });
    assert_eq!(answer.status(), Some(200), "{}", answer.text);
}

#[test]
fn malformed_requests_get_400_or_are_counted() {
    let centre = Centre::start();
    let good = {
        let mut caller = Caller::new(&centre);
        let sdp = crate::raw::sdp(caller.rtp.address(), &[8]);
        caller.invite("2000", &sdp)
    };
    let without = |name: &str| -> String {
        let lines: Vec<&str> = good
            .split("\r\n")
            .filter(|line| !line.starts_with(&format!("{name}:")))
            .collect();
        lines.join("\r\n")
    };
    let with = |name: &str, value: &str| -> String {
        good.split("\r\n")
            .map(|line| {
                if line.starts_with(&format!("{name}:")) {
                    format!("{name}: {value}")
                } else {
                    line.to_owned()
                }
            })
            .collect::<Vec<_>>()
            .join("\r\n")
    };
    let cut = &good[..good.len() - 30];
    let half = &good[..good.len() / 2];
    let cases: Vec<(&str, String, Option<u16>)> = vec![
        ("no From", without("From"), None),
        ("no To", without("To"), None),
        ("no Call-ID", without("Call-ID"), None),
        ("no CSeq", without("CSeq"), None),
        ("no Via", without("Via"), None),
        ("no Contact", without("Contact"), Some(400)),
        ("CSeq of another method", with("CSeq", "1 BYE"), None),
        ("CSeq without number", with("CSeq", "x INVITE"), None),
        ("CSeq beyond 32 bits", with("CSeq", "99999999999 INVITE"), None),
        ("Content-Length of letters", with("Content-Length", "abc"), Some(400)),
        ("negative Content-Length", with("Content-Length", "-1"), Some(400)),
        ("Content-Length of a galaxy", with("Content-Length", "18446744073709551616"), Some(400)),
        ("body cut off", cut.to_owned(), Some(400)),
        ("message cut off", half.to_owned(), None),
        ("two Call-IDs", good.replace("Call-ID:", "Call-ID: other\r\nCall-ID:"), Some(400)),
        ("broken From", with("From", "<sip:@@@"), Some(400)),
        ("version of tomorrow", good.replacen("SIP/2.0", "SIP/7.0", 1), Some(505)),
        ("a header without colon", good.replacen("Max-Forwards: 70", "Max-Forwards 70", 1), Some(400)),
        ("broken SDP", {
            let (head, _) = good.split_once("\r\n\r\n").expect("a body");
            let head: Vec<&str> = head.split("\r\n").filter(|line| !line.starts_with("Content-Length")).collect();
            format!("{}\r\nContent-Length: 5\r\n\r\nhello", head.join("\r\n"))
        }, Some(488)),
        ("a body of another kind", with("Content-Type", "text/html"), Some(415)),
        ("a telephone URI to nowhere", good.replacen("sip:2000", "mailto:2000", 1), Some(416)),
        ("HTTP", "GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), None),
        ("one letter", "x".to_owned(), None),
        ("a stray response", "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKnone\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: stray\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n".to_owned(), None),
    ];
    let mut control = Line::new();
    for (serial, (what, text, wanted)) in cases.into_iter().enumerate() {
        let before = refused(&centre);
        let mut line = Line::new();
        // Each from an address and call of its own, or it would be a repetition of the last.
        let mark = line.address().port().to_string();
        let text = text
            .replace("branch=z9hG4bK", &format!("branch=z9hG4bK{mark}"))
            .replace("raw-", &format!("raw{mark}-"));
        line.send(address(&centre), &text);
        ping(&centre, &mut control, serial as u32 + 1);
        let answer = line.receive_within(Duration::from_millis(if wanted.is_some() {
            5000
        } else {
            1
        }));
        let mut answer: Option<Message> = answer;
        while answer
            .as_ref()
            .is_some_and(|message| message.status() == Some(100))
        {
            answer = line.receive_within(Duration::from_secs(5));
        }
        if let Some(wanted) = wanted {
            let answer = answer.unwrap_or_else(|| panic!("{what}: silence to\n{text}"));
            assert_eq!(answer.status(), Some(wanted), "{what}: {}", answer.text);
            assert!(
                answer.text.starts_with(&format!("SIP/2.0 {wanted} "))
                    && answer.text.lines().next().expect("a line").len() > 12,
                "no reason: {}",
                answer.text
            );
        } else if answer.is_none() {
            wait_for(&format!("{what} to be counted"), || {
                (refused(&centre) > before).then_some(())
            });
        }
    }
    still_fine(&centre);
}

/// A small generator: the same mutations in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }

    /// Turns, cuts, repeats or mixes a few octets.
    fn spoil(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.roll(4) {
            if bytes.is_empty() {
                return;
            }
            let at = self.roll(bytes.len());
            match self.roll(7) {
                0 => bytes[at] = self.roll(256) as u8,
                1 => bytes[at] ^= 1 << self.roll(8),
                2 => bytes.truncate(at),
                3 => {
                    let end = (at + self.roll(40)).min(bytes.len());
                    bytes.drain(at..end);
                }
                4 => {
                    let end = (at + self.roll(40)).min(bytes.len());
                    let piece = bytes[at..end].to_vec();
                    for _ in 0..=self.roll(20) {
                        bytes.splice(at..at, piece.iter().copied());
                    }
                }
                5 => {
                    const EVIL: [&[u8]; 12] = [
                        b"\r\n",
                        b"\r\n\r\n",
                        b"\0",
                        b"\xff\xfe",
                        b"%00",
                        b"\"",
                        b"<",
                        b">;",
                        b"4294967296",
                        b"-1",
                        b";;;=,",
                        b"[::1",
                    ];
                    let word = EVIL[self.roll(EVIL.len())];
                    bytes.splice(at..at, word.iter().copied());
                }
                _ => {
                    let other = self.roll(bytes.len());
                    bytes.swap(at, other);
                }
            }
        }
    }
}

#[test]
fn thousands_of_spoilt_messages_break_nothing() {
    const SEED: u64 = 0x5eed_cafe_f00d_0001;
    const MESSAGES: u32 = 6000;
    let centre = Centre::start();
    let mut dice = Dice(SEED);
    let mut control = Line::new();
    let mut line = Line::new();
    for n in 1..=MESSAGES {
        let mut caller = text_of_a_call(&centre, line.address(), n);
        dice.spoil(&mut caller);
        caller.truncate(65_000);
        line.send(address(&centre), &caller);
        if n % 100 == 0 {
            ping(&centre, &mut control, n);
            line = Line::new(); // its answers are nobody's
        }
    }
    still_fine(&centre);
    // And a good call still goes through.
    let mut caller = Caller::new(&centre);
    caller.dial("9197");
    caller.answered();
    caller.hang_up();
    still_fine(&centre);
}

/// One of several kinds of valid message, to be spoilt.
fn text_of_a_call(centre: &Centre, us: SocketAddr, n: u32) -> Vec<u8> {
    let sdp = crate::raw::sdp("127.0.0.1:9".parse().expect("an address"), &[8, 0, 101]);
    let method = [
        "INVITE", "INVITE", "INVITE", "REGISTER", "BYE", "ACK", "CANCEL", "OPTIONS", "INFO",
        "UPDATE",
    ][n as usize % 10];
    let tag = if n.is_multiple_of(3) { ";tag=x" } else { "" };
    format!(
        "{method} sip:2000@{0} SIP/2.0\r\nVia: SIP/2.0/UDP {us};branch=z9hG4bKm{n};rport\r\nRecord-Route: <sip:{us};lr>\r\n\
         From: \"A \\\"b\\\" c\" <sip:13800138000@{us};user=phone>;tag=m{n}\r\nTo: <sip:2000@{0}>{tag}\r\nCall-ID: mutant-{n}\r\nCSeq: {n} {method}\r\n\
         Contact: <sip:13800138000@{us}>;q=0.5\r\nMax-Forwards: 70\r\nSupported: timer, 100rel\r\nP-Asserted-Identity: <tel:+8613800138000>\r\n\
         Authorization: Digest username=\"1001\", realm=\"cordboard\", nonce=\"abc\", uri=\"sip:x\", response=\"00\", algorithm=MD5, qop=auth, nc=00000001, cnonce=\"1\"\r\n\
         Content-Type: application/sdp\r\nContent-Length: {1}\r\n\r\n{sdp}",
        centre.sip(),
        sdp.len()
    )
    .into_bytes()
}

#[test]
fn the_largest_datagrams_are_refused_or_counted() {
    let centre = Centre::start();
    let mut control = Line::new();
    let (letters, zeros) = ("a".repeat(60_000), "0".repeat(60_000));
    let many = "X-Header: 1\r\n".repeat(4500);
    let spoilt = |more: &str| {
        options(
            &centre,
            "UDP",
            "127.0.0.1:9".parse().expect("an address"),
            1,
        )
        .replace("Max-Forwards: 70\r\n", more)
    };
    let cases = [
        letters.clone().into_bytes(),
        vec![0u8; 65_000],
        vec![0xff; 65_000],
        b"\r\n".repeat(32_000),
        spoilt(&format!("X-Long: {letters}\r\n")).into_bytes(),
        spoilt(&many).into_bytes(),
        spoilt(&format!("CSeq: {zeros}1 OPTIONS\r\n")).into_bytes(),
        spoilt(&format!(
            "Via: {}SIP/2.0/UDP x\r\n",
            "SIP/2.0/UDP 127.0.0.1:9,".repeat(2000)
        ))
        .into_bytes(),
        spoilt(&format!("Contact: {}<sip:a@b>\r\n", "<".repeat(50_000))).into_bytes(),
        format!("INVITE sip:{letters}@{} SIP/2.0\r\n\r\n", centre.sip()).into_bytes(),
    ];
    for (n, bytes) in cases.iter().enumerate() {
        let line = Line::new();
        line.send(address(&centre), bytes);
        ping(&centre, &mut control, n as u32 + 1);
    }
    still_fine(&centre);
}

#[test]
fn what_is_not_done_here_is_refused_by_its_status() {
    let centre = Centre::start();
    let cases: [(&str, &str, u16, &str); 9] = [
        ("OPTIONS", "", 200, "Allow"),
        ("SUBSCRIBE", "Event: presence\r\n", 489, "Allow-Events"),
        ("MESSAGE", "", 405, "Allow"),
        ("FROBNICATE", "", 501, "Allow"),
        ("INVITE", "Max-Forwards: 0\r\n", 483, ""),
        ("INVITE", "Require: gruu\r\n", 420, "Unsupported"),
        (
            "OPTIONS",
            "Require: nothing-like-that\r\n",
            420,
            "Unsupported",
        ),
        ("CANCEL", "", 481, ""),
        ("BYE", "", 481, ""),
    ];
    for (method, more, status, header) in cases {
        let mut caller = Caller::new(&centre);
        let invite = caller.invite("2000", "");
        let mut text = invite.replace("INVITE", method);
        if more.starts_with("Max-Forwards") {
            text = text.replace("Max-Forwards: 70\r\n", more);
        } else {
            text = text.replace("Content-Length", &format!("{more}Content-Length"));
        }
        caller.send(&text);
        let answer = caller.line.answer(method);
        let ok = answer.status() == Some(status) || status == 405 && answer.status() == Some(501);
        assert!(ok, "{method} {more}: {}", answer.text);
        assert!(
            header.is_empty() || !answer.header(header).is_empty(),
            "{method}: no {header} in {}",
            answer.text
        );
        assert!(answer.header("To").contains("tag="), "{}", answer.text);
    }
    // BYE in a dialog that never was.
    let mut caller = Caller::new(&centre);
    caller.invite("2000", "");
    caller.to += ";tag=nobody";
    let bye = caller.text("BYE", "");
    caller.send(bye);
    assert_eq!(caller.line.answer("BYE").status(), Some(481));
    still_fine(&centre);
}

#[test]
fn within_a_dialog_the_order_and_the_extensions_are_watched() {
    let centre = Centre::start();
    let mut caller = Caller::new(&centre);
    caller.cseq = 100;
    caller.dial("9197");
    caller.answered();
    caller.cseq = 50;
    let info = caller.text("INFO", "");
    caller.send(info);
    assert_eq!(
        caller.line.answer("INFO").status(),
        Some(500),
        "a lower CSeq"
    );
    caller.cseq = 200;
    for (method, status) in [
        ("OPTIONS", 200),
        ("INFO", 200),
        ("REFER", 400),
        ("FROBNICATE", 501),
        ("UPDATE", 200),
    ] {
        let text = caller.text(method, "");
        caller.send(text);
        let answer = caller.line.answer(method);
        assert_eq!(answer.status(), Some(status), "{method}: {}", answer.text);
    }
    caller.more = "Require: gruu\r\n".to_owned();
    let info = caller.text("INFO", "");
    caller.send(info);
    assert_eq!(caller.line.answer("INFO").status(), Some(420));
    caller.more = String::new();
    // Another's tag, and another's Call-ID, are another dialog.
    let (to, call) = (caller.to.clone(), caller.call_id.clone());
    caller.to = format!("{to}x");
    let bye = caller.text("BYE", "");
    caller.send(bye);
    assert_eq!(caller.line.answer("BYE").status(), Some(481), "a wrong tag");
    caller.to = to;
    caller.call_id = format!("{call}x");
    let bye = caller.text("BYE", "");
    caller.send(bye);
    assert_eq!(
        caller.line.answer("BYE").status(),
        Some(481),
        "a wrong Call-ID"
    );
    caller.call_id = call;
    caller.hang_up();
    still_fine(&centre);
}

/// A TCP connection that speaks SIP.
struct Stream {
    socket: TcpStream,
    read: Vec<u8>,
}

impl Stream {
    fn open(centre: &Centre) -> Stream {
        let at = centre.ready["sip_tcp"].as_str().expect("sip_tcp");
        let socket = TcpStream::connect(at).expect("it accepts");
        socket.set_nodelay(true).expect("no delay");
        socket
            .set_read_timeout(Some(PATIENCE / 3))
            .expect("a time-out");
        Stream {
            socket,
            read: Vec::new(),
        }
    }

    fn options(&self, centre: &Centre, serial: u32) -> String {
        options(
            centre,
            "TCP",
            self.socket.local_addr().expect("an address"),
            serial,
        )
    }

    fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).expect("it is written");
    }

    /// The next head; `None` when the connection is closed.
    fn next(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                let head: Vec<u8> = self.read.drain(..end + 4).collect();
                return Some(String::from_utf8_lossy(&head).into_owned());
            }
            let mut buffer = [0u8; 4096];
            match self.socket.read(&mut buffer) {
                Ok(0) => return None,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}; so far {:?}", String::from_utf8_lossy(&self.read)),
                Ok(length) => self.read.extend(&buffer[..length]),
            }
        }
    }
}

#[test]
fn tcp_in_single_octets_and_in_heaps() {
    let centre = Centre::start();
    let mut slow = Stream::open(&centre);
    for octet in slow.options(&centre, 1).into_bytes() {
        slow.send(&[octet]);
    }
    assert!(slow.next().expect("an answer").starts_with("SIP/2.0 200"));
    // Two and a half in one segment, then the rest; keep-alives between.
    let (a, b, c) = (
        slow.options(&centre, 2),
        slow.options(&centre, 3),
        slow.options(&centre, 4),
    );
    let (front, back) = c.split_at(c.len() / 2);
    slow.send(format!("{a}\r\n{b}{front}").as_bytes());
    for serial in [2, 3] {
        let answer = slow.next().expect("an answer");
        assert!(
            answer.starts_with("SIP/2.0 200") && answer.contains(&format!("{serial} OPTIONS")),
            "{answer}"
        );
    }
    slow.send(back.as_bytes());
    assert!(slow.next().expect("an answer").contains("4 OPTIONS"));
    // Malformed, but of known length: answered, and the stream goes on.
    let bad = slow
        .options(&centre, 5)
        .replace("Max-Forwards: 70", "Max-Forwards 70");
    let good = slow.options(&centre, 6);
    slow.send(format!("{bad}{good}").as_bytes());
    let answer = slow.next().expect("an answer");
    assert!(answer.starts_with("SIP/2.0 400"), "{answer}");
    assert!(slow.next().expect("an answer").contains("6 OPTIONS"));
    still_fine(&centre);
}

#[test]
fn tcp_that_cannot_be_followed_is_refused_and_closed() {
    let centre = Centre::start();
    // RFC 3261 section 21.5.7: more than we take.
    for length in ["200000", "99999999"] {
        let mut stream = Stream::open(&centre);
        let text = stream
            .options(&centre, 1)
            .replace("Content-Length: 0", &format!("Content-Length: {length}"));
        stream.send(text.as_bytes());
        let answer = stream.next().expect("an answer");
        assert!(answer.starts_with("SIP/2.0 513"), "{length}: {answer}");
        assert!(stream.next().is_none(), "closed");
    }
    let mut stream = Stream::open(&centre);
    let text = stream
        .options(&centre, 1)
        .replace("Content-Length: 0\r\n", "");
    stream.send(text.as_bytes());
    let answer = stream.next().expect("an answer");
    assert!(answer.starts_with("SIP/2.0 400"), "{answer}");
    assert!(stream.next().is_none(), "closed");
    // A head without an end.
    let before = refused(&centre);
    let mut stream = Stream::open(&centre);
    let endless = "X-More: and more\r\n".repeat(4000);
    let text = stream.options(&centre, 1);
    let (first, _) = text.split_once("Content-Length").expect("a header");
    let _ = stream
        .socket
        .write_all(format!("{first}{endless}").as_bytes());
    let answer = stream.next();
    assert!(
        answer
            .as_ref()
            .is_none_or(|answer| answer.starts_with("SIP/2.0 513")),
        "{answer:?}"
    );
    wait_for("the endless head to be counted", || {
        (refused(&centre) > before).then_some(())
    });
    // Garbage and a close in the middle.
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        &[0; 3000],
        b"INVITE sip:2000",
    ] {
        let mut stream = Stream::open(&centre);
        let _ = stream.socket.write_all(garbage);
        let _ = stream.socket.shutdown(std::net::Shutdown::Write);
        while stream.next().is_some() {}
    }
    let mut stream = Stream::open(&centre);
    let text = stream.options(&centre, 1);
    stream.send(text.as_bytes());
    assert!(stream.next().expect("an answer").starts_with("SIP/2.0 200"));
    still_fine(&centre);
}

#[test]
fn a_call_over_tcp_is_a_call() {
    let centre = Centre::start();
    let client = Client::sign_in_any(&centre);
    let mut stream = Stream::open(&centre);
    let us = stream.socket.local_addr().expect("an address");
    let sdp = crate::raw::sdp(us, &[8]);
    let request = |method: &str, target: &str, to: &str, branch: &str, cseq: u32, body: &str| {
        format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/TCP {us};branch=z9hG4bK{branch}\r\nFrom: <sip:{ANI}@{us}>;tag=t\r\nTo: {to}\r\n\
             Call-ID: tcp-{us}\r\nCSeq: {cseq} {method}\r\nContact: <sip:{ANI}@{us};transport=tcp>\r\nMax-Forwards: 70\r\n{}",
            crate::raw::with_body(body)
        )
    };
    let target = format!("sip:9197@{}", centre.sip());
    stream.send(request("INVITE", &target, &format!("<{target}>"), "i", 1, &sdp).as_bytes());
    let answer = loop {
        let head = stream.next().expect("an answer");
        if !head.starts_with("SIP/2.0 1") {
            break head;
        }
    };
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    let answer = Message {
        text: answer,
        from: us,
    };
    let length: usize = answer.header("Content-Length").parse().expect("a length");
    while stream.read.len() < length {
        let mut buffer = [0u8; 1024];
        let more = stream.socket.read(&mut buffer).expect("the body");
        stream.read.extend(&buffer[..more]);
    }
    stream.read.drain(..length);
    assert!(
        answer.contact().contains("transport=tcp"),
        "{}",
        answer.text
    );
    let to = answer.header("To").to_owned();
    stream.send(request("ACK", &answer.contact(), &to, "a", 1, "").as_bytes());
    stream.send(request("BYE", &answer.contact(), &to, "b", 2, "").as_bytes());
    let bye = stream.next().expect("an answer");
    assert!(
        bye.starts_with("SIP/2.0 200") && bye.contains("2 BYE"),
        "{bye}"
    );
    client.wait_event("contact.closed", |event| {
        event["data"]["cause"] == "caller_bye"
    });
    still_fine(&centre);
}

#[test]
fn an_agents_name_in_from_is_challenged_even_from_the_trunk() {
    let centre = Centre::start();
    let client = Client::sign_in_any(&centre);
    let mut caller = Caller::new(&centre);
    caller.from = caller.from.replace("13800138000", "1001");
    caller.dial("9197");
    let challenge = caller.refused();
    assert_eq!(challenge.status(), Some(401), "{}", challenge.text);
    assert!(
        challenge.header("WWW-Authenticate").starts_with("Digest "),
        "{}",
        challenge.text
    );
    // SIPp names the centre, not the number, as the digest's uri.
    Sipp::start(
        &centre,
        "agent_calls",
        "9197",
        &["-au", "1001", "-ap", "demo-1001"],
    )
    .succeed();
    let arrived = client.wait_event("contact.arrived", |_| true);
    assert_eq!(arrived["data"]["by"], "1001", "{arrived}");
    Sipp::start(
        &centre,
        "agent_call_refused",
        "9197",
        &["-au", "1001", "-ap", "guess"],
    )
    .succeed();
    let refused = |reason: &str| metric(&centre, "cordboard_sip_refused_total", reason);
    assert!(refused("bad_digest") >= 1.0);
    // Nobody else's password makes one an agent either.
    Sipp::start(
        &centre,
        "agent_call_refused",
        "9197",
        &["-au", "1002", "-ap", "demo-1002"],
    )
    .succeed();
    assert!(refused("forbidden") >= 1.0);
    still_fine(&centre);
}

#[test]
fn trunks_reach_no_extension_and_nobody_reaches_nothing() {
    let centre = Centre::start();
    for (number, status) in [("1001", 403), ("5555", 404), ("", 404)] {
        let mut caller = Caller::new(&centre);
        let sdp = crate::raw::sdp(caller.rtp.address(), &[8]);
        let invite = caller.invite(number, &sdp).replace("sip:@", "sip:");
        caller.target = caller.target.replace("sip:@", "sip:");
        caller.send(invite);
        let answer = caller.refused();
        assert_eq!(answer.status(), Some(status), "{number}: {}", answer.text);
    }
    still_fine(&centre);
}

#[test]
fn a_source_that_is_no_trunk_is_challenged() {
    let centre = Centre::start_with(
        &[
            ("queues.toml", crate::centre::QUEUES),
            ("agents.toml", &crate::centre::agents()),
            (
                "trunks.toml",
                "[[trunk]]\nname = \"carrier\"\naddresses = [\"127.0.0.7\"]\nmax_calls = 10\n",
            ),
        ],
        &[],
    );
    let mut caller = Caller::new(&centre);
    caller.dial("2000");
    assert_eq!(caller.refused().status(), Some(401));
    assert!(metric(&centre, "cordboard_sip_refused_total", "unknown_source") >= 1.0);
    still_fine(&centre);
}
