//! How calls sounded: RTCP with telephones, and what is told of it afterwards.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::api::Client;
use crate::baresip::Baresip;
use crate::centre::{Centre, wait_for};
use crate::hostile::{metric, still_fine};
use crate::raw::{Caller, PCMA, converse, sdp};

/// The contact's last event, once it is there, and what the API says of its legs.
fn quality(client: &Client, leg: &str) -> Value {
    let closed = client.wait_event("contact.closed", |_| true);
    let contact = closed["data"]["contact"].as_str().expect("a contact");
    let of_leg = |list: &Value| {
        let legs = list.as_array().expect("legs");
        legs.iter().find(|one| one["leg"] == leg).cloned()
    };
    let told = of_leg(&closed["data"]["quality"]).unwrap_or_else(|| panic!("{closed}"));
    let (status, shown) = client.get(&format!("/api/v1/contacts/{contact}"));
    assert_eq!(status, 200, "{shown}");
    assert_eq!(of_leg(&shown["quality"]), Some(told.clone()), "{shown}");
    told
}

/// One compound packet, read by hand: its first part's type, whose it is, and the first block of a report.
fn first_part(packet: &[u8]) -> (u8, u32, Option<&[u8]>) {
    let word = |at: usize| u32::from_be_bytes(packet[at..at + 4].try_into().expect("a word"));
    let block = if packet[1] == 200 { 28 } else { 8 };
    let blocks = packet[0] & 0x1f;
    (
        packet[1],
        word(4),
        (blocks > 0).then(|| &packet[block..block + 24]),
    )
}

#[test]
fn loss_in_both_directions_is_told_of_the_leg_that_had_it() {
    let centre = Centre::start();
    let client = Client::sign_in_any(&centre);
    let control = UdpSocket::bind("127.0.0.1:0").expect("a port");
    control.set_nonblocking(true).expect("non-blocking");
    let port = control.local_addr().expect("an address").port();
    let mut caller = Caller::new(&centre);
    // RFC 3605: RTCP anywhere but at the next port.
    let described = sdp(caller.rtp.address(), &[PCMA]) + &format!("a=rtcp:{port}\r\n");
    let invite = caller.invite("9196", &described);
    caller.send(invite);
    let answer = caller.answered();
    assert!(!answer.body().contains("rtcp-mux"), "{}", answer.text);
    // Every tenth packet is lost on the way, until the first report has come.
    let (mut said, mut buffer) = (0u32, [0u8; 512]);
    let started = Instant::now();
    let (length, from) = loop {
        if said % 10 == 9 {
            caller.rtp.sequence = caller.rtp.sequence.wrapping_add(1);
            caller.rtp.timestamp = caller.rtp.timestamp.wrapping_add(160);
        }
        said += 1;
        converse("an echo", &mut [(&mut caller.rtp, 440.0)], |_| true);
        if said > 60
            && let Ok(report) = control.recv_from(&mut buffer)
        {
            break report;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "no report");
    };
    let remote = caller.rtp.remote.expect("a port");
    assert_eq!(
        (from.ip(), from.port()),
        (remote.ip(), remote.port() + 1),
        "RTCP beside RTP"
    );
    let (kind, ours, block) = first_part(&buffer[..length]);
    let block = block.expect("a block on what we have sent");
    assert_eq!(kind, 200, "the echo sends, so it is a sender report");
    assert_eq!(block[..4], caller.rtp.ssrc.to_be_bytes());
    assert!((15..=35).contains(&block[4]), "{} / 256 lost", block[4]);
    assert_eq!(ours, caller.rtp.heard[0].ssrc);
    // We answer at once that 50 of its packets were lost, with a jitter of 10 ms.
    let mut report = vec![0x81, 201, 0, 7];
    report.extend(caller.rtp.ssrc.to_be_bytes());
    report.extend(ours.to_be_bytes());
    report.extend([128, 0, 0, 50]);
    report.extend([0, 0, 1, 0]);
    report.extend(80u32.to_be_bytes());
    report.extend(&buffer[10..14]); // the middle of its NTP time
    report.extend([0; 4]);
    control.send_to(&report, from).expect("sent");
    wait_for("the report to be read", || {
        (metric(&centre, "cordboard_rtcp_packets_total", "in") >= 1.0).then_some(())
    });
    caller.hang_up();
    let told = quality(&client, "caller");
    let lost = told["lost"].as_u64().expect("a number");
    assert!((6..=u64::from(said / 10) + 1).contains(&lost), "{told}");
    assert_eq!(told["far_lost"], 50, "{told}");
    assert_eq!(told["far_jitter_ms"], 10.0, "{told}");
    let score = |name: &str| told[name].as_f64().expect("a score");
    // 9 to 10 % lost: R is about 67 (G.107), a little less than that of a good line.
    assert!((3.2..3.75).contains(&score("mos")), "{told}");
    assert!(score("far_mos") < 3.5, "{told}");
    let round_trip = told["round_trip_ms"].as_f64().expect("measured");
    assert!((0.0..500.0).contains(&round_trip), "{told}");
    assert_eq!(metric(&centre, "cordboard_rtp_mos_count", ""), 1.0);
    // The stream's end is told to the far end as well.
    let bye = wait_for("the goodbye", || {
        let (length, _) = control.recv_from(&mut buffer).ok()?;
        let packet = &buffer[..length];
        let parts = packet.windows(2).any(|pair| pair == [0x81, 203]);
        parts.then(|| packet.to_vec())
    });
    assert_eq!(bye[bye.len() - 4..], ours.to_be_bytes());
    still_fine(&centre);
}

#[test]
fn baresip_and_the_centre_report_to_each_other_with_and_without_mux() {
    let centre = Centre::start();
    let client = Client::sign_in_any(&centre);
    let agent = Baresip::start(&centre, "1001", Some("demo-1001"), 1000, true);
    agent.registered();
    client.wait_agent("1001", "ready");
    let mut caller = Baresip::start_as(centre.sip(), "13800138000", None, 440, ";rtcp_mux=yes");
    caller.command("dial", &format!("sip:2000@{}", centre.sip()));
    caller.wait("CALL_ESTABLISHED");
    client.wait_event("contact.answered", |_| true);
    caller.wait_tone(1000);
    // Two reports from each: the second refers to one of ours, so that the way there and back is known.
    wait_for("reports", || {
        (metric(&centre, "cordboard_rtcp_packets_total", "in") >= 6.0).then_some(())
    });
    caller.command("hangup", "");
    for leg in ["caller", "agent:1001"] {
        let told = quality(&client, leg);
        assert!(told["packets_in"].as_u64() > Some(100), "{told}");
        assert!(told["round_trip_ms"].as_f64() < Some(500.0), "{told}");
        assert!(told["round_trip_ms"].is_number(), "{told}");
        assert!(told["far_lost"].is_number(), "{told}");
        assert!(told["mos"].as_f64() > Some(3.5), "{told}");
    }
    still_fine(&centre);
}
