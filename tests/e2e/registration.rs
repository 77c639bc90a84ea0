//! Registration from real phones, and what a wrong one gets.

use std::net::UdpSocket;
use std::time::Duration;

use crate::api::{Client, get_text};
use crate::baresip::Baresip;
use crate::centre::{Centre, wait_for};
use crate::sipp::Sipp;

#[test]
fn sipp_registers_with_digest_and_the_agent_is_ready() {
    let centre = Centre::start();
    Sipp::start(
        &centre,
        "register",
        "1001",
        &["-au", "1001", "-ap", "demo-1001"],
    )
    .succeed();
    let client = Client::sign_in_any(&centre);
    client.wait_agent("1001", "ready");
}

#[test]
fn baresip_registers_with_digest() {
    let centre = Centre::start();
    let phone = Baresip::start(&centre, "1002", Some("demo-1002"), 440, false);
    phone.registered();
    Client::sign_in_any(&centre).wait_agent("1002", "ready");
}

#[test]
fn a_wrong_password_and_an_unknown_user_get_the_same_401() {
    let centre = Centre::start();
    Sipp::start(
        &centre,
        "register_refused",
        "1001",
        &["-au", "1001", "-ap", "wrong"],
    )
    .succeed();
    Sipp::start(
        &centre,
        "register_refused",
        "7777",
        &["-au", "7777", "-ap", "demo-7777"],
    )
    .succeed();
    let wrong = answer_to_wrong_password(&centre, "1001");
    let unknown = answer_to_wrong_password(&centre, "7777");
    assert_eq!(
        without_what_differs(&wrong, "1001"),
        without_what_differs(&unknown, "7777")
    );
    wait_for("both are counted", || {
        let (_, text) = get_text(&centre, "/metrics");
        (counter(&text, "bad_digest") >= 2.0 && counter(&text, "unknown_user") >= 2.0).then_some(())
    });
}

#[test]
fn a_stale_nonce_is_told_so_and_a_replayed_count_is_refused() {
    let centre = Centre::start_with(
        &[
            ("queues.toml", crate::centre::QUEUES),
            ("agents.toml", &crate::centre::agents()),
        ],
        &["sip.nonce_lifetime=1s"],
    );
    let mut line = Line::new(&centre);
    let challenge = line.register("1001", None);
    let good = line.authorization(&challenge, "1001", "demo-1001", 1);
    assert!(
        line.register("1001", Some(&good))
            .starts_with("SIP/2.0 200"),
        "the first use of the nonce"
    );
    let replay = line.register("1001", Some(&good));
    assert!(
        replay.starts_with("SIP/2.0 401"),
        "the same count again: {replay}"
    );
    assert!(
        !replay.contains("stale=true"),
        "a replay is not stale: {replay}"
    );
    // The nonce grows old; the digest is right.
    let stale = wait_for("the nonce grows old", || {
        let challenge = challenge.clone();
        let again = line.authorization(&challenge, "1001", "demo-1001", 2 + line.cseq);
        let answer = line.register("1001", Some(&again));
        answer.starts_with("SIP/2.0 401").then_some(answer)
    });
    assert!(stale.contains("stale=true"), "{stale}");
    wait_for("both are counted", || {
        let (_, text) = get_text(&centre, "/metrics");
        (counter(&text, "nonce_replay") >= 1.0 && counter(&text, "stale_nonce") >= 1.0)
            .then_some(())
    });
}

fn counter(metrics: &str, reason: &str) -> f64 {
    let label = format!("reason=\"{reason}\"");
    metrics
        .lines()
        .find(|line| line.starts_with("cordboard_sip_refused_total") && line.contains(&label))
        .and_then(|line| line.rsplit(' ').next()?.parse().ok())
        .unwrap_or(0.0)
}

fn answer_to_wrong_password(centre: &Centre, user: &str) -> String {
    let mut line = Line::new(centre);
    let challenge = line.register(user, None);
    let wrong = line.authorization(&challenge, user, "wrong", 1);
    line.register(user, Some(&wrong))
}

fn without_what_differs(response: &str, user: &str) -> String {
    response
        .lines()
        .filter(|line| {
            !["Via", "From", "To", "Call-ID", "CSeq"]
                .iter()
                .any(|name| line.starts_with(name))
        })
        .map(|line| {
            let mut line = line.replace(user, "USER");
            if let Some(start) = line.find("nonce=\"") {
                let end = line[start + 7..]
                    .find('"')
                    .map_or(line.len(), |end| start + 7 + end);
                line.replace_range(start + 7..end, "NONCE");
            }
            line + "\n"
        })
        .collect()
}

/// A bare SIP line over UDP: what no well-behaved phone would send.
pub struct Line {
    socket: UdpSocket,
    centre: String,
    cseq: u32,
    call_id: String,
}

impl Line {
    pub fn new(centre: &Centre) -> Line {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket
            .set_read_timeout(Some(Duration::from_secs(10)))
            .expect("a time-out");
        let call_id = format!("line-{}", socket.local_addr().expect("an address").port());
        Line {
            socket,
            centre: centre.sip().to_owned(),
            cseq: 0,
            call_id,
        }
    }

    pub fn register(&mut self, user: &str, authorization: Option<&str>) -> String {
        self.ask(user, authorization);
        self.hear(Duration::from_secs(10)).expect("an answer")
    }

    /// What comes in time.
    pub fn hear(&self, patience: Duration) -> Option<String> {
        let mut buffer = [0u8; 4096];
        self.socket
            .set_read_timeout(Some(patience))
            .expect("a time-out");
        let length = self.socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }

    /// A REGISTER, whatever comes of it.
    pub fn ask(&mut self, user: &str, authorization: Option<&str>) {
        self.cseq += 1;
        let us = self.socket.local_addr().expect("an address");
        let authorization = authorization
            .map(|value| format!("Authorization: {value}\r\n"))
            .unwrap_or_default();
        let text = format!(
            "REGISTER sip:{0} SIP/2.0\r\nVia: SIP/2.0/UDP {us};branch=z9hG4bK{1}{2}\r\nFrom: <sip:{user}@{0}>;tag=a\r\nTo: <sip:{user}@{0}>\r\n\
             Call-ID: {1}\r\nCSeq: {2} REGISTER\r\nContact: <sip:{user}@{us}>\r\nMax-Forwards: 70\r\nExpires: 300\r\n{authorization}Content-Length: 0\r\n\r\n",
            self.centre, self.call_id, self.cseq
        );
        self.socket
            .send_to(text.as_bytes(), &self.centre)
            .expect("it is sent");
    }

    pub fn authorization(&self, challenge: &str, user: &str, password: &str, count: u32) -> String {
        let nonce = challenge
            .split("nonce=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .expect("a nonce");
        let opaque = challenge
            .split("opaque=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        let (uri, cnonce, nc) = (
            format!("sip:{}", self.centre),
            "0a4f113b",
            format!("{count:08x}"),
        );
        let ha1 = sip::digest::ha1(user, "cordboard", password, sip::Algorithm::Md5);
        let ha2 = md5(&format!("REGISTER:{uri}"));
        let response = md5(&format!("{ha1}:{nonce}:{nc}:{cnonce}:auth:{ha2}"));
        let opaque = opaque
            .map(|opaque| format!(", opaque=\"{opaque}\""))
            .unwrap_or_default();
        format!(
            "Digest username=\"{user}\", realm=\"cordboard\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{response}\", algorithm=MD5, qop=auth, nc={nc}, cnonce=\"{cnonce}\"{opaque}"
        )
    }
}

fn md5(text: &str) -> String {
    use md5::Digest;
    md5::Md5::digest(text.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
