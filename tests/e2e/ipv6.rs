//! IPv6 beside IPv4: a caller on one, an agent on the other.

use crate::api::Client;
use crate::baresip::Baresip;
use crate::centre::{Centre, QUEUES, agents, wait_for};
use crate::raw::{Line, PCMA};

const SET: [&str; 2] = [
    "sip.bind=[\"127.0.0.1\", \"::1\"]",
    "rtp.bind=[\"127.0.0.1\", \"::1\"]",
];

#[test]
fn a_caller_on_ipv6_talks_to_an_agent_on_ipv4() {
    let trunks = "[[trunk]]\nname = \"loopback\"\naddresses = [\"127.0.0.1\", \"::1\"]\n";
    let centre = Centre::start_with(
        &[
            ("queues.toml", QUEUES),
            ("agents.toml", &agents()),
            ("trunks.toml", trunks),
        ],
        &SET,
    );
    let client = Client::sign_in_any(&centre);
    let port = centre.sip().rsplit(':').next().expect("a port").to_owned();
    let told = format!("udp [::1]:{port}");
    assert!(
        centre.ready["sip"]
            .as_array()
            .expect("all")
            .iter()
            .any(|one| *one == *told),
        "{}",
        centre.ready
    );
    let mut agent = Baresip::start(&centre, "1001", Some("demo-1001"), 1000, true);
    agent.registered();
    client.wait_agent("1001", "ready");
    let rtp = std::net::UdpSocket::bind("[::1]:0").expect("a port");
    let at = rtp.local_addr().expect("an address");
    let mut line = Line::on("[::1]:0");
    let ours = line.address();
    let sdp = format!(
        "v=0\r\no=- 1 1 IN IP6 ::1\r\ns=-\r\nc=IN IP6 ::1\r\nt=0 0\r\nm=audio {} RTP/AVP {PCMA}\r\n",
        at.port()
    );
    let to = format!("[::1]:{port}").parse().expect("an address");
    line.send(
        to,
        format!(
            "INVITE sip:2000@[::1]:{port} SIP/2.0\r\nVia: SIP/2.0/UDP {ours};branch=z9hG4bKsix;rport\r\nMax-Forwards: 70\r\nFrom: <sip:six@[::1]>;tag=six\r\n\
             To: <sip:2000@[::1]>\r\nCall-ID: six\r\nCSeq: 1 INVITE\r\nContact: <sip:six@{ours}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        ),
    );
    let answer = line.answer("INVITE");
    assert_eq!(answer.status(), Some(200), "{}", answer.text);
    assert!(
        answer.body().contains("c=IN IP6 ::1\r\n"),
        "{}",
        answer.text
    );
    assert_eq!(answer.contact(), format!("sip:cordboard@[::1]:{port}"));
    let request = |method: &str, number: u32| {
        format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/UDP {ours};branch=z9hG4bKsix{method};rport\r\nMax-Forwards: 70\r\nFrom: <sip:six@[::1]>;tag=six\r\n\
             To: {}\r\nCall-ID: six\r\nCSeq: {number} {method}\r\nContent-Length: 0\r\n\r\n",
            answer.contact(),
            answer.header("To")
        )
    };
    line.send(to, request("ACK", 1));
    agent.wait("CALL_ESTABLISHED");
    // The agent's own tone comes over IPv6; silence from the queue's music would not be it.
    let media: std::net::SocketAddr = {
        let body = answer.body();
        let port = body
            .split("m=audio ")
            .nth(1)
            .and_then(|rest| rest.split(' ').next());
        format!("[::1]:{}", port.expect("a port"))
            .parse()
            .expect("an address")
    };
    let mut samples = Vec::new();
    let mut sequence = 0u16;
    rtp.set_read_timeout(Some(std::time::Duration::from_millis(200)))
        .expect("a time-out");
    wait_for("the agent's tone over IPv6", || {
        let mut packet = vec![0x80, PCMA];
        packet.extend(sequence.to_be_bytes());
        packet.extend((u32::from(sequence) * 160).to_be_bytes());
        packet.extend(7u32.to_be_bytes());
        packet.extend([0xd5; 160]);
        sequence += 1;
        rtp.send_to(&packet, media).expect("it is sent");
        let mut buffer = [0u8; 2048];
        let (length, from) = rtp.recv_from(&mut buffer).ok()?;
        assert_eq!(from, media);
        samples.extend(
            buffer[12..length]
                .iter()
                .map(|byte| media::g711::decode(media::g711::Law::A, *byte)),
        );
        let last = &samples[samples.len().saturating_sub(4000)..];
        (last.len() == 4000 && crate::baresip::is_tone(last, 1000)).then_some(())
    });
    line.send(to, request("BYE", 2));
    assert_eq!(line.answer("BYE").status(), Some(200));
    agent.wait("CALL_CLOSED");
}
