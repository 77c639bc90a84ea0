//! RTP to the packet: exact tones, one stream from answer to hang-up, transcoding, strangers.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use crate::api::Client;
use crate::centre::{Centre, QUEUES, wait_for};
use crate::hostile::{metric, still_fine};
use crate::raw::{Caller, PCMA, PCMU, Packet, Phone, Rtp, converse, fixed_agents};

fn dialled(centre: &Centre, number: &str, codecs: &[u8]) -> Caller {
    let mut caller = Caller::new(centre);
    caller.codecs = codecs.to_vec();
    caller.dial(number);
    caller.answered();
    caller
}

/// Every packet is 20 ms after the last by its time stamp, and on the whole by the clock. Where a busy machine made us skip, a marker says so.
pub fn assert_paced(heard: &[Packet]) {
    for pair in heard.windows(2) {
        let step = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
        assert!(
            step == 160 || pair[1].marker && step % 160 == 0,
            "a time stamp went by {step}"
        );
        assert_eq!(pair[1].payload.len(), 160);
    }
    let markers = heard.iter().filter(|packet| packet.marker).count();
    assert!(markers <= 1 + heard.len() / 25, "{markers} talk spurts");
    let (first, last) = (heard.first().expect("a packet"), heard.last().expect("one"));
    let said = f64::from(last.timestamp.wrapping_sub(first.timestamp)) / 8000.0;
    let took = (last.at - first.at).as_secs_f64();
    assert!(
        (took - said).abs() < 0.03 + said / 50.0,
        "{said} s by the time stamps took {took} s"
    );
}

#[test]
fn the_test_tone_is_exact_in_each_codec() {
    let centre = Centre::start();
    for codec in [PCMA, PCMU] {
        let mut caller = dialled(&centre, "9197", &[codec]);
        assert_eq!(caller.rtp.payload_type, codec);
        converse(
            "two seconds of tone",
            &mut [(&mut caller.rtp, 0.0)],
            |ends| ends[0].heard.len() >= 100,
        );
        let heard = &caller.rtp.heard;
        assert!(heard.iter().all(|packet| packet.payload_type == codec));
        assert!(heard[0].marker, "a talk spurt begins with the marker");
        caller.rtp.assert_one_stream();
        assert_paced(heard);
        let samples = caller.rtp.samples(100);
        let purity = media::tone::purity(&samples, 1004.0, 8000);
        assert!(purity > 0.99, "{purity} of it is 1004 Hz");
        // ITU-T G.711: a 1004 Hz digital milliwatt peaks below the clipping of 3.17 dBm0; ours is not clipped and not faint.
        let peak = samples.iter().map(|sample| sample.unsigned_abs()).max();
        assert!((4000..32_000).contains(&peak.expect("samples")), "{peak:?}");
        caller.hang_up();
    }
    still_fine(&centre);
}

#[test]
fn the_echo_gives_back_each_octet_once() {
    let centre = Centre::start();
    let mut caller = dialled(&centre, "9196", &[PCMU]);
    // The port may open a moment after the 200: until the first octet is back, none counts.
    converse("the first echo", &mut [(&mut caller.rtp, 620.0)], |ends| {
        !ends[0].heard.is_empty()
    });
    let first = caller.rtp.heard.len();
    for n in 0..50u8 {
        let timestamp = caller.rtp.timestamp;
        caller.rtp.send(PCMU, n == 0, timestamp, &[n; 160]);
        caller.rtp.timestamp = timestamp.wrapping_add(160);
        wait_for("the echo", || {
            caller.rtp.listen();
            (caller.rtp.heard.len() == first + usize::from(n) + 1).then_some(())
        });
    }
    let heard = &caller.rtp.heard;
    for (n, packet) in heard[first..].iter().enumerate() {
        assert_eq!(packet.payload, [n as u8; 160]);
        assert_eq!(packet.payload_type, PCMU);
    }
    caller.rtp.assert_one_stream();
    assert_ne!(heard[0].ssrc, caller.rtp.ssrc, "our SSRC is our own");
    caller.hang_up();
    still_fine(&centre);
}

#[test]
fn one_stream_from_music_to_talk_and_what_is_heard_is_the_other_side() {
    let mut phone = Phone::new();
    let centre = Centre::start_with(
        &[
            ("queues.toml", QUEUES),
            (
                "agents.toml",
                &fixed_agents(&[("a1", phone.port(), "support = 5")]),
            ),
        ],
        &[],
    );
    let client = Client::sign_in_any(&centre);
    let mut caller = dialled(&centre, "2000", &[PCMU]);
    phone.ring();
    converse("music", &mut [(&mut caller.rtp, 440.0)], |ends| {
        ends[0].heard.len() >= 50
    });
    assert_paced(&caller.rtp.heard);
    // A PCMU caller and a PCMA agent: each hears the other in its own codec.
    phone.codecs = vec![PCMA];
    phone.answer();
    client.wait_event("contact.answered", |_| true);
    caller.rtp.listen();
    let before = caller.rtp.heard.len();
    converse(
        "both tones",
        &mut [(&mut caller.rtp, 440.0), (&mut phone.rtp, 1000.0)],
        |ends| {
            ends[0].heard.len() >= before + 60
                && ends[0].purity(1000.0) > 0.98
                && ends[1].purity(440.0) > 0.98
        },
    );
    caller.rtp.assert_one_stream();
    phone.rtp.assert_one_stream();
    assert!(
        caller
            .rtp
            .heard
            .iter()
            .all(|packet| packet.payload_type == PCMU)
    );
    assert!(
        phone
            .rtp
            .heard
            .iter()
            .all(|packet| packet.payload_type == PCMA)
    );
    // RFC 3550 section 8: neither end sees the other's SSRC or sequence.
    assert_ne!(phone.rtp.heard[0].ssrc, caller.rtp.ssrc);
    assert_ne!(caller.rtp.heard[0].ssrc, phone.rtp.ssrc);
    caller.hang_up();
    phone.hung_up();
    // Silence after the end: what is still sent to the port goes nowhere.
    caller.rtp.listen();
    phone.rtp.listen();
    let heard = (caller.rtp.heard.len(), phone.rtp.heard.len());
    client.wait_event("contact.closed", |_| true);
    for _ in 0..10 {
        caller.rtp.speak(440.0);
        phone.rtp.speak(1000.0);
    }
    wait_for("the late packets to be counted", || {
        (metric(&centre, "cordboard_rtp_rejected_total", "") >= 1.0).then_some(())
    });
    caller.rtp.listen();
    phone.rtp.listen();
    assert_eq!(heard, (caller.rtp.heard.len(), phone.rtp.heard.len()));
    still_fine(&centre);
}

#[test]
fn strangers_on_the_rtp_ports_are_counted_never_heard_and_never_answered() {
    let mut phone = Phone::new();
    let centre = Centre::start_with(
        &[
            ("queues.toml", QUEUES),
            (
                "agents.toml",
                &fixed_agents(&[("a1", phone.port(), "support = 5")]),
            ),
        ],
        &[],
    );
    let client = Client::sign_in_any(&centre);
    let mut caller = dialled(&centre, "2000", &[PCMA]);
    phone.ring();
    // Before the caller's first packet, a stranger is no more welcome than after it.
    let mut early = Rtp::new(7);
    early.remote = caller.rtp.remote;
    for _ in 0..20 {
        early.speak(1500.0);
    }
    phone.answer();
    client.wait_event("contact.answered", |_| true);
    converse(
        "the call",
        &mut [(&mut caller.rtp, 440.0), (&mut phone.rtp, 1000.0)],
        |ends| ends[0].purity(1000.0) > 0.98 && ends[1].purity(440.0) > 0.98,
    );
    let rejected = || metric(&centre, "cordboard_rtp_rejected_total", "");
    let before = rejected();
    assert!(before >= 20.0, "{before} rejected");
    let counted_from = phone.rtp.heard.len();
    let spoken_from = caller.rtp.sequence;
    // The same host with another port; the same SSRC and sequence as the caller's; another host; noise.
    let mut stranger = Rtp::new(caller.rtp.ssrc);
    stranger.remote = caller.rtp.remote;
    stranger.sequence = caller.rtp.sequence;
    stranger.timestamp = caller.rtp.timestamp;
    let other_host = UdpSocket::bind("127.0.0.9:0").expect("another loopback address");
    other_host.set_nonblocking(true).expect("non-blocking");
    let port = caller.rtp.remote.expect("a port");
    const ROUNDS: u32 = 50;
    for n in 0..ROUNDS {
        stranger.speak(1500.0);
        let mut packet = vec![0x80, PCMA, 0, n as u8];
        packet.extend([0; 8]);
        packet.extend([0x2a; 160]);
        other_host.send_to(&packet, port).expect("sent");
        for noise in [
            &b""[..],
            b"x",
            b"\x80",
            &[0xff; 1400],
            b"GET / HTTP/1.1\r\n\r\n",
            &[0; 12],
            &[0x80; 11],
        ] {
            other_host.send_to(noise, port).expect("sent");
        }
        converse(
            "the call goes on",
            &mut [(&mut caller.rtp, 440.0), (&mut phone.rtp, 1000.0)],
            |_| true,
        );
    }
    converse(
        "the call is as it was",
        &mut [(&mut caller.rtp, 440.0), (&mut phone.rtp, 1000.0)],
        |ends| ends[0].purity(1000.0) > 0.98 && ends[1].purity(440.0) > 0.98,
    );
    wait_for("all of it to be counted", || {
        (rejected() >= before + f64::from(ROUNDS) * 8.0).then_some(())
    });
    let spoken = caller.rtp.sequence.wrapping_sub(spoken_from);
    let heard = phone.rtp.heard.len() - counted_from;
    assert!(
        heard <= usize::from(spoken) && heard + 3 >= usize::from(spoken),
        "{heard} heard of {spoken} spoken"
    );
    phone.rtp.assert_one_stream();
    caller.rtp.assert_one_stream();
    stranger.listen();
    early.listen();
    assert!(
        stranger.heard.is_empty() && early.heard.is_empty(),
        "an answer to a stranger"
    );
    assert!(
        other_host.recv(&mut [0; 64]).is_err(),
        "an answer to a stranger"
    );
    // Payload types that were not agreed, from the right source.
    let start = Instant::now();
    let timestamp = caller.rtp.timestamp;
    phone.rtp.listen();
    let heard = phone.rtp.heard.len();
    for _ in 0..10 {
        caller.rtp.send(96, false, timestamp, &[1; 160]);
    }
    let before = rejected();
    caller.rtp.send(97, false, timestamp, &[1; 160]);
    wait_for("foreign payload types to be counted", || {
        (rejected() > before).then_some(())
    });
    phone.rtp.listen();
    assert_eq!(
        phone.rtp.heard.len(),
        heard,
        "a payload type nobody agreed on"
    );
    assert!(start.elapsed() < Duration::from_secs(10));
    caller.hang_up();
    phone.hung_up();
    still_fine(&centre);
}

#[test]
fn only_the_host_of_the_signalling_is_learned_and_nobody_after_the_lock() {
    let centre = Centre::start();
    let mut caller = Caller::new(&centre);
    // A telephone behind an address translator: its SDP names an address where nobody is.
    let elsewhere = "127.0.0.7:9".parse().expect("an address");
    let invite = caller.invite("9196", &crate::raw::sdp(elsewhere, &[PCMU]));
    caller.send(invite);
    caller.answered();
    let port = caller.rtp.remote.expect("a port");
    let stranger = UdpSocket::bind("127.0.0.3:0").expect("another loopback address");
    stranger.set_nonblocking(true).expect("non-blocking");
    let inject = |sequence: u16| {
        let mut packet = vec![0x80, PCMU];
        packet.extend(sequence.to_be_bytes());
        packet.extend([0; 8]);
        packet.extend([0x55; 160]);
        stranger.send_to(&packet, port).expect("sent");
    };
    // For whatever reason: the first may come before the media thread knows of the call.
    let rejected = || metric(&centre, "cordboard_rtp_rejected_total", "");
    let accepted = || metric(&centre, "cordboard_rtp_packets_total", "in");
    // Before anybody has spoken, between the packets that teach, and after the lock.
    let mut injected = 0;
    for n in 0..60u8 {
        for _ in 0..3 {
            inject(u16::from(n));
            injected += 1;
        }
        let timestamp = caller.rtp.timestamp;
        let heard = caller.rtp.heard.len();
        caller.rtp.send(PCMU, n == 0, timestamp, &[n; 160]);
        caller.rtp.timestamp = timestamp.wrapping_add(160);
        wait_for("the echo", || {
            caller.rtp.listen();
            (caller.rtp.heard.len() > heard).then_some(())
        });
    }
    // The same host, but another port than the one that was learned.
    let mut second = Rtp::new(caller.rtp.ssrc);
    second.remote = Some(port);
    second.payload_type = PCMU;
    for _ in 0..10 {
        second.speak(1500.0);
    }
    wait_for("all of it to be refused", || {
        (rejected() >= f64::from(injected) + 10.0).then_some(())
    });
    assert_eq!(accepted(), 60.0, "the telephone's packets and no other");
    caller.rtp.listen();
    assert_eq!(caller.rtp.heard.len(), 60);
    assert!(
        caller
            .rtp
            .heard
            .iter()
            .all(|packet| packet.payload[0] != 0x55)
    );
    assert!(
        stranger.recv(&mut [0; 64]).is_err(),
        "an answer to a stranger"
    );
    second.listen();
    assert!(second.heard.is_empty());
    caller.hang_up();
    still_fine(&centre);
}
