//! A small grammar of SIP: messages that mostly fit, so that a fuzzer gets behind the parser.

use arbitrary::Arbitrary;
use bytes::Bytes;
use sip::message::Message;
use sip::{FlowId, Peer, Transport};

pub const SDP: &str = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n";

const METHODS: [&str; 16] = [
    "INVITE", "INVITE", "ACK", "BYE", "CANCEL", "REGISTER", "OPTIONS", "INFO", "UPDATE", "PRACK", "REFER", "NOTIFY", "SUBSCRIBE", "MESSAGE", "PUBLISH", "WHAT",
];
const USERS: [&str; 6] = ["13800138000", "1001", "1002", "2000", "nobody", "%00"];
const HEADERS: [&str; 24] = [
    "Require: 100rel",
    "Supported: 100rel, timer, replaces",
    "Session-Expires: 90;refresher=uac",
    "Session-Expires: 1",
    "Min-SE: 90",
    "RAck: 1 1 INVITE",
    "RSeq: 1",
    "Refer-To: <sip:1002@h>",
    "Refer-To: <sip:1002@h?Replaces=c1%3Bto-tag%3Dt1%3Bfrom-tag%3Df1>",
    "Replaces: c1;to-tag=t1;from-tag=f1",
    "Event: refer",
    "Subscription-State: terminated;reason=noresource",
    "Expires: 0",
    "Contact: *",
    "P-Asserted-Identity: <sip:+8613800138000@h>",
    "Privacy: id",
    "Diversion: <sip:1003@h>;reason=unconditional",
    "Authorization: Digest username=\"1001\", realm=\"test\", nonce=\"0\", uri=\"sip:h\", response=\"0\", qop=auth, nc=00000001, cnonce=\"x\"",
    "Content-Disposition: session;handling=optional",
    "Reason: SIP;cause=200",
    "Path: <sip:10.0.0.9;lr>",
    "Route: <sip:10.0.0.9;lr>",
    "Record-Route: <sip:10.0.0.9;lr>",
    "Max-Forwards: 0",
];
const STATUSES: [&str; 20] = [
    "100 Trying", "180 Ringing", "183 Progress", "200 OK", "202 Accepted", "302 Moved", "401 Unauthorized", "403 Forbidden", "404 Not Found", "407 Proxy", "408 Timeout", "422 Small", "480 Away", "481 Gone", "486 Busy", "487 Cancelled", "491 Pending", "500 Error", "503 Busy", "603 Decline",
];

/// A request in a few bytes.
#[derive(Arbitrary, Debug)]
pub struct Sent {
    pub from: u8,
    method: u8,
    cseq_method: Option<u8>,
    user: u8,
    to: u8,
    call: u8,
    branch: u8,
    cseq: u8,
    from_tag: u8,
    to_tag: Option<u8>,
    headers: [Option<u8>; 3],
    sdp: bool,
    raw: Option<(u16, u8)>,
}

/// One of four places; the last is a TCP connection.
pub fn peer(n: u8) -> Peer {
    let n = n % 4;
    Peer {
        transport: if n == 3 { Transport::Tcp } else { Transport::Udp },
        remote: ([10, 0, 0, 1 + n], 5060).into(),
        flow: (n == 3).then_some(FlowId(3)),
    }
}

fn pick<'a>(list: &[&'a str], n: u8) -> &'a str {
    list[usize::from(n) % list.len()]
}

impl Sent {
    pub fn bytes(&self) -> Bytes {
        let method = pick(&METHODS, self.method);
        let cseq_method = self.cseq_method.map_or(method, |n| pick(&METHODS, n));
        let (user, to) = (pick(&USERS, self.user), pick(&USERS, self.to));
        let Sent { call, branch, cseq, from_tag, .. } = self;
        let (call, branch) = (call % 4, branch % 8);
        let to_tag = self.to_tag.map_or_else(String::new, |tag| format!(";tag=t{}", tag % 4));
        let more: String = self.headers.iter().flatten().map(|n| format!("{}\r\n", pick(&HEADERS, *n))).collect();
        let place = peer(self.from).remote;
        let body = if self.sdp { SDP } else { "" };
        let kind = if self.sdp { "Content-Type: application/sdp\r\n" } else { "" };
        let text = format!(
            "{method} sip:{to}@h SIP/2.0\r\nVia: SIP/2.0/UDP {place};branch=z9hG4bK{branch};rport\r\nFrom: <sip:{user}@h>;tag=f{}\r\nTo: <sip:{to}@h>{to_tag}\r\nCall-ID: c{call}\r\nCSeq: {cseq} {cseq_method}\r\nContact: <sip:{user}@{place}>\r\n{more}{kind}Content-Length: {}\r\n\r\n{body}",
            from_tag % 4,
            body.len(),
        );
        let mut bytes = text.into_bytes();
        if let Some((at, byte)) = self.raw {
            let at = usize::from(at) % bytes.len();
            bytes[at] = byte;
        }
        bytes.into()
    }
}

/// A response to a request of ours.
pub fn response(request: &Message, status: u8, tag: u8, sdp: bool) -> Bytes {
    let mut text = format!("SIP/2.0 {}\r\n", pick(&STATUSES, status));
    for (name, value) in request.lines() {
        match name {
            "Via" | "From" | "Call-ID" | "CSeq" => text.push_str(&format!("{name}: {value}\r\n")),
            "To" if value.contains(";tag=") => text.push_str(&format!("To: {value}\r\n")),
            "To" => text.push_str(&format!("To: {value};tag=t{}\r\n", tag % 4)),
            _ => {}
        }
    }
    if tag >= 128 {
        text.push_str(&format!("{}\r\n", pick(&HEADERS, tag)));
    }
    let body = if sdp { SDP } else { "" };
    let kind = if sdp { "Content-Type: application/sdp\r\n" } else { "" };
    text.push_str(&format!("Contact: <sip:far@10.0.0.2:5060>\r\n{kind}Content-Length: {}\r\n\r\n{body}", body.len()));
    text.into_bytes().into()
}
