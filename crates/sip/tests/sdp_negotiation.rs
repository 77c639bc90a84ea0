//! Offers and answers (RFC 3264), as phones really write them.

use std::net::IpAddr;
use std::time::Duration;

use proptest::prelude::*;
use sip::sdp::{
    Codec, Direction, Local, MAX_SDP, Negotiated, SdpError, accept, accept_again, answer,
    answer_again, is_ipv6, offer, offer_again,
};

const BOTH: &[Codec] = &[Codec::Pcma, Codec::Pcmu];

fn local() -> Local<'static> {
    Local {
        address: IpAddr::from([192, 0, 2, 10]),
        port: 10_000,
        session_id: 4711,
        version: 1,
        codecs: BOTH,
        telephone_event: true,
        ptime: Duration::from_millis(20),
        direction: Direction::SendRecv,
        security: Default::default(),
    }
}

fn wire(text: &str) -> Vec<u8> {
    text.replace('\n', "\r\n").into_bytes()
}

const HEAD: &str = "v=0\no=a 1 1 IN IP4 192.0.2.20\ns=-\nc=IN IP4 192.0.2.20\nt=0 0\n";

fn answered(media: &str) -> (String, Negotiated) {
    let (bytes, agreed) = answer(&wire(&format!("{HEAD}{media}")), &local()).expect("an answer");
    (
        String::from_utf8_lossy(&bytes).replace("\r\n", "\n"),
        agreed,
    )
}

fn refused(text: &str) -> SdpError {
    answer(&wire(text), &local()).expect_err("a refusal")
}

#[test]
fn an_offer_as_written() {
    expect_test::expect![[r#"
        v=0
        o=- 4711 1 IN IP4 192.0.2.10
        s=-
        c=IN IP4 192.0.2.10
        t=0 0
        m=audio 10000 RTP/AVP 8 0 101
        a=rtpmap:8 PCMA/8000
        a=rtpmap:0 PCMU/8000
        a=rtpmap:101 telephone-event/8000
        a=fmtp:101 0-15
        a=rtcp-mux
        a=ptime:20
        a=sendrecv
    "#]]
    .assert_eq(&String::from_utf8_lossy(&offer(&local())).replace("\r\n", "\n"));
}

#[test]
fn the_first_codec_of_the_offer_that_we_speak() {
    let (text, agreed) = answered(
        "m=audio 6000 RTP/AVP 18 0 8 96\na=rtpmap:96 telephone-event/8000\na=fmtp:96 0-16\na=ptime:30\n",
    );
    expect_test::expect![[r#"
        v=0
        o=- 4711 1 IN IP4 192.0.2.10
        s=-
        c=IN IP4 192.0.2.10
        t=0 0
        m=audio 10000 RTP/AVP 0 96
        a=rtpmap:0 PCMU/8000
        a=rtpmap:96 telephone-event/8000
        a=fmtp:96 0-15
        a=ptime:20
        a=sendrecv
    "#]]
    .assert_eq(&text);
    let expected = Negotiated {
        remote: "192.0.2.20:6000".parse().unwrap(),
        rtcp: Some("192.0.2.20:6001".parse().unwrap()),
        codec: Codec::Pcmu,
        payload_type: 0,
        send_ptime: Duration::from_millis(30),
        telephone_event: Some(96),
        event_rate: 8000,
        opus_fec: false,
        opus_dtx: false,
        direction: Direction::SendRecv,
        secured: None,
        browser: None,
    };
    assert_eq!(agreed, expected);
}

#[test]
fn wide_codecs_with_their_clocks_events_and_parameters() {
    let all = Local {
        codecs: &Codec::ALL,
        ..local()
    };
    let text = String::from_utf8_lossy(&offer(&all)).replace("\r\n", "\n");
    expect_test::expect![[r#"
        m=audio 10000 RTP/AVP 8 0 9 111 101 110
        a=rtpmap:8 PCMA/8000
        a=rtpmap:0 PCMU/8000
        a=rtpmap:9 G722/8000
        a=rtpmap:111 opus/48000/2
        a=fmtp:111 useinbandfec=1
        a=rtpmap:101 telephone-event/8000
        a=fmtp:101 0-15
        a=rtpmap:110 telephone-event/48000
        a=fmtp:110 0-15
        a=rtcp-mux
        a=ptime:20
        a=sendrecv
    "#]]
    .assert_eq(&text[text.find("m=").expect("media")..]);
    let answered = |media: &str| {
        let (text, agreed) = answer(&wire(&format!("{HEAD}{media}")), &all).expect("an answer");
        (String::from_utf8_lossy(&text).replace("\r\n", "\n"), agreed)
    };
    // What a browser offers.
    let (text, agreed) = answered(
        "m=audio 6000 RTP/AVP 96 9 0 97 98\na=rtpmap:96 opus/48000/2\na=fmtp:96 minptime=10;useinbandfec=1; usedtx=1\na=rtpmap:9 G722/8000\na=rtpmap:97 telephone-event/48000\na=rtpmap:98 telephone-event/8000\n",
    );
    assert_eq!((agreed.codec, agreed.payload_type), (Codec::Opus, 96));
    assert_eq!(
        (agreed.telephone_event, agreed.event_rate),
        (Some(97), 48_000)
    );
    assert!(agreed.opus_fec && agreed.opus_dtx);
    assert!(
        text.contains("RTP/AVP 96 97\na=rtpmap:96 opus/48000/2\na=fmtp:96 useinbandfec=1\na=rtpmap:97 telephone-event/48000\n"),
        "{text}"
    );
    // A phone with Opus and events at 8000 Hz; and G.722 by its static number.
    let (_, agreed) = answered(
        "m=audio 6000 RTP/AVP 96 101\na=rtpmap:96 OPUS/48000/2\na=rtpmap:101 telephone-event/8000\n",
    );
    assert_eq!(
        (agreed.telephone_event, agreed.event_rate),
        (Some(101), 8000)
    );
    assert!(!agreed.opus_fec && !agreed.opus_dtx);
    let (text, agreed) = answered("m=audio 6000 RTP/AVP 18 9 8\n");
    assert_eq!((agreed.codec, agreed.payload_type), (Codec::G722, 9));
    assert!(text.contains("a=rtpmap:9 G722/8000\n"), "{text}");
    // Opus in one channel is none (RFC 7587 section 7).
    let (_, agreed) = answered("m=audio 6000 RTP/AVP 96 0\na=rtpmap:96 opus/48000\n");
    assert_eq!(agreed.codec, Codec::Pcmu);
}

#[test]
fn rtcp_shares_its_port_where_the_far_end_can_and_goes_where_it_says_where_not() {
    let rows = [
        ("", Some("192.0.2.20:6001")),
        ("a=rtcp-mux\n", None),
        ("a=rtcp:6001\na=rtcp-mux\n", None),
        ("a=rtcp:53020\n", Some("192.0.2.20:53020")),
        ("a=rtcp:53020 IN IP4 192.0.2.77\n", Some("192.0.2.77:53020")),
        ("a=rtcp:x\n", Some("192.0.2.20:6001")),
        ("a=rtcp\n", Some("192.0.2.20:6001")),
    ];
    for (attribute, rtcp) in rows {
        let (text, agreed) = answered(&format!("m=audio 6000 RTP/AVP 0\n{attribute}"));
        assert_eq!(
            agreed.rtcp,
            rtcp.map(|at| at.parse().unwrap()),
            "{attribute}"
        );
        assert_eq!(text.contains("a=rtcp-mux\n"), rtcp.is_none(), "{text}");
    }
}

#[test]
fn dynamic_payload_types_are_echoed() {
    let (text, agreed) = answered(
        "m=audio 6000 RTP/AVP 111 97\na=rtpmap:111 opus/48000/2\na=rtpmap:97 pcma/8000/1\n",
    );
    assert_eq!(
        (agreed.payload_type, agreed.codec, agreed.telephone_event),
        (97, Codec::Pcma, None)
    );
    assert!(
        text.contains("m=audio 10000 RTP/AVP 97\na=rtpmap:97 PCMA/8000\n"),
        "{text}"
    );
}

#[test]
fn a_static_number_with_another_meaning_is_believed() {
    let offered = format!("{HEAD}m=audio 6000 RTP/AVP 0 8\na=rtpmap:0 L16/16000\n");
    let (_, agreed) = answer(&wire(&offered), &local()).unwrap();
    assert_eq!(agreed.codec, Codec::Pcma);
}

#[test]
fn events_must_have_the_codecs_clock() {
    let media = "m=audio 6000 RTP/AVP 8 110 126\na=rtpmap:110 telephone-event/48000\na=rtpmap:126 telephone-event/8000\n";
    assert_eq!(answered(media).1.telephone_event, Some(126));
    let local = Local {
        telephone_event: false,
        ..local()
    };
    assert_eq!(
        answer(&wire(&format!("{HEAD}{media}")), &local)
            .unwrap()
            .1
            .telephone_event,
        None
    );
}

#[test]
fn what_we_do_not_take_is_refused_in_its_place() {
    let (text, agreed) = answered(
        "m=video 7000 RTP/AVP 31 34\nm=audio 6100 RTP/SAVP 0\nm=audio 0 RTP/AVP 0\nm=audio 6000 RTP/AVPF 0\na=rtcp:6001\nm=audio 6200 RTP/AVP 0\nm=image 8000 udptl t38\n",
    );
    let lines: Vec<_> = text.lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!(
        lines,
        [
            "m=video 0 RTP/AVP 31 34",
            "m=audio 0 RTP/SAVP 0",
            "m=audio 0 RTP/AVP 0",
            "m=audio 10000 RTP/AVPF 0",
            "m=audio 0 RTP/AVP 0",
            "m=image 0 udptl t38"
        ]
    );
    assert_eq!(agreed.remote.port(), 6000);
}

#[test]
fn every_direction_and_both_kinds_of_hold() {
    use Direction::{Inactive, RecvOnly, SendOnly, SendRecv};
    for (line, expected) in [
        ("", SendRecv),
        ("a=sendrecv\n", SendRecv),
        ("a=sendonly\n", RecvOnly),
        ("a=recvonly\n", SendOnly),
        ("a=inactive\n", Inactive),
    ] {
        let (text, agreed) = answered(&format!("m=audio 6000 RTP/AVP 0\n{line}"));
        assert_eq!(agreed.direction, expected, "{line}");
        assert!(
            text.contains(&format!("a={}\n", expected.as_str())),
            "{line}"
        );
    }
    let (_, agreed) = answered("m=audio 6000 RTP/AVP 0\nc=IN IP4 0.0.0.0\n");
    assert_eq!(agreed.direction, RecvOnly);
    let (_, agreed) = answered("m=audio 6000 RTP/AVP 0\nc=IN IP4 0.0.0.0\na=sendonly\n");
    assert_eq!(agreed.direction, RecvOnly);
    let session_level = format!("{HEAD}a=sendonly\nm=audio 6000 RTP/AVP 0\n");
    assert_eq!(
        answer(&wire(&session_level), &local()).unwrap().1.direction,
        RecvOnly
    );
    let media_wins = format!("{HEAD}a=sendonly\nm=audio 6000 RTP/AVP 0\na=sendrecv\n");
    assert_eq!(
        answer(&wire(&media_wins), &local()).unwrap().1.direction,
        SendRecv
    );
    let holding = Local {
        direction: SendOnly,
        ..local()
    };
    assert_eq!(
        answer(&wire(&format!("{HEAD}m=audio 6000 RTP/AVP 0\n")), &holding)
            .unwrap()
            .1
            .direction,
        SendOnly
    );
    assert_eq!(
        answer(&wire(&session_level), &holding).unwrap().1.direction,
        Inactive
    );
}

#[test]
fn ipv6_both_ways() {
    let local = Local {
        address: "2001:db8::1".parse().unwrap(),
        ..local()
    };
    let offered = wire(
        "v=0\no=- 1 1 IN IP6 2001:db8::2\ns=-\nc=IN IP6 2001:db8::2\nt=0 0\nm=audio 6000 RTP/AVP 8\n",
    );
    let (text, agreed) = answer(&offered, &local).unwrap();
    assert_eq!(agreed.remote, "[2001:db8::2]:6000".parse().unwrap());
    assert!(String::from_utf8_lossy(&text).contains("c=IN IP6 2001:db8::1\r\n"));
}

#[test]
fn packet_times_are_kept_in_bounds() {
    for (lines, milliseconds) in [
        ("", 20),
        ("a=ptime:10\n", 10),
        ("a=ptime:60\n", 60),
        ("a=ptime:240\n", 60),
        ("a=ptime:25\n", 20),
        ("a=ptime:5\n", 10),
        ("a=ptime:0\n", 20),
        ("a=ptime:20.0\n", 20),
        ("a=ptime:x\n", 20),
        ("a=ptime\n", 20),
        ("a=ptime:40\na=maxptime:30\n", 30),
        ("a=maxptime:0\n", 20),
    ] {
        let (_, agreed) = answered(&format!("m=audio 6000 RTP/AVP 0\n{lines}"));
        assert_eq!(
            agreed.send_ptime,
            Duration::from_millis(milliseconds),
            "{lines}"
        );
    }
}

#[test]
fn what_cannot_be_agreed_on() {
    assert_eq!(refused(""), SdpError::Malformed);
    assert_eq!(refused("nonsense"), SdpError::Malformed);
    assert_eq!(refused(&HEAD.replace("v=0", "v=1")), SdpError::Malformed);
    assert_eq!(refused(HEAD), SdpError::NoAudio);
    assert_eq!(
        refused(&format!("{HEAD}m=video 6000 RTP/AVP 31\n")),
        SdpError::NoAudio
    );
    assert_eq!(
        refused(&format!("{HEAD}m=audio 0 RTP/AVP 0\n")),
        SdpError::NoAudio
    );
    assert_eq!(
        refused(&format!("{HEAD}m=audio 99999 RTP/AVP 0\n")),
        SdpError::Malformed
    );
    assert_eq!(
        refused(&format!("{HEAD}m=audio 6000 RTP/AVP 18 3 200 x\n")),
        SdpError::NoCodec
    );
    assert_eq!(
        refused("v=0\no=a 1 1 IN IP4 h\ns=-\nt=0 0\nm=audio 6000 RTP/AVP 0\n"),
        SdpError::Address
    );
    assert_eq!(
        refused(&format!(
            "{HEAD}m=audio 6000 RTP/AVP 0\nc=IN IP4 phone.example.com\n"
        )),
        SdpError::Address
    );
    assert_eq!(
        refused(&format!(
            "{HEAD}m=audio 6000 RTP/AVP 0\nc=IN IP4 224.2.1.1/127\n"
        )),
        SdpError::Address
    );
    assert_eq!(
        refused(&format!("{HEAD}{}", "m=video 1 RTP/AVP 31\n".repeat(40))),
        SdpError::TooLarge
    );
    assert_eq!(refused(&"x".repeat(MAX_SDP + 1)), SdpError::TooLarge);
}

#[test]
fn a_foreign_charset_in_the_session_name_is_no_reason_to_refuse() {
    let mut offered = wire(&format!("{HEAD}m=audio 6000 RTP/AVP 0\n"));
    let name = offered
        .windows(3)
        .position(|window| window == b"s=-")
        .unwrap();
    offered[name + 2] = 0xe9;
    assert!(answer(&offered, &local()).is_ok());
}

#[test]
fn our_offer_and_their_answer() {
    let accepted = |media: &str| accept(&wire(&format!("{HEAD}{media}")), &local());
    let agreed =
        accepted("m=audio 6000 RTP/AVP 0 101\na=rtpmap:101 telephone-event/8000\n").unwrap();
    assert_eq!(
        (agreed.codec, agreed.telephone_event),
        (Codec::Pcmu, Some(101))
    );
    assert_eq!(
        accepted("m=audio 0 RTP/AVP 0\n").unwrap_err(),
        SdpError::NoAudio
    );
    assert_eq!(
        accepted("m=audio 6000 RTP/AVP 18\n").unwrap_err(),
        SdpError::NoCodec
    );
    assert_eq!(accepted("").unwrap_err(), SdpError::NoAudio);
    assert_eq!(
        accepted("m=audio 6000 RTP/AVP 8\na=recvonly\n")
            .unwrap()
            .direction,
        Direction::SendOnly
    );
}

#[test]
fn a_stream_switched_off_in_a_call_is_a_hold_and_before_one_a_refusal() {
    let off = wire(&format!(
        "{HEAD}m=audio 0 RTP/AVP 0 8\nm=video 0 RTP/AVP 31\n"
    ));
    assert_eq!(answer(&off, &local()).unwrap_err(), SdpError::NoAudio);
    let (_, before) = answered("m=audio 6000 RTP/AVP 0 97\na=rtpmap:97 telephone-event/8000\n");
    let (text, held) = answer_again(&off, &before, &local()).expect("a hold");
    let text = String::from_utf8_lossy(&text).into_owned();
    let lines: Vec<_> = text.lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!(lines, ["m=audio 0 RTP/AVP 0 8", "m=video 0 RTP/AVP 31"]);
    let inactive = Negotiated {
        direction: Direction::Inactive,
        ..before
    };
    assert_eq!(held, inactive);
    assert_eq!(accept_again(&off, &before, &local()), Ok(inactive));
    // What is no audio, or none that we speak, is refused in a call as before one.
    for (lines, fault) in [
        ("m=video 0 RTP/AVP 31\n", SdpError::NoAudio),
        ("m=audio 6000 RTP/AVP 18\n", SdpError::NoCodec),
        ("m=audio 0 RTP/SAVP 0\n", SdpError::NoAudio),
    ] {
        let offer = wire(&format!("{HEAD}{lines}"));
        assert_eq!(
            answer_again(&offer, &before, &local()).unwrap_err(),
            fault,
            "{lines}"
        );
    }
    // Another line that is in use is taken, whatever became of the first.
    let second = wire(&format!(
        "{HEAD}m=audio 0 RTP/AVP 0\nm=audio 6200 RTP/AVP 8\n"
    ));
    let (_, agreed) = answer_again(&second, &before, &local()).expect("the second line");
    assert_eq!((agreed.remote.port(), agreed.codec), (6200, Codec::Pcma));
}

#[test]
fn an_offer_in_a_call_keeps_its_lines_and_numbers() {
    let (last, agreed) = answered(
        "m=video 7000 RTP/AVP 31\nm=audio 6000 RTP/AVPF 0 97\na=rtpmap:97 telephone-event/8000\nm=audio 6200 RTP/AVP 8\n",
    );
    let next = Local {
        version: 2,
        ..local()
    };
    let text = offer_again(&wire(&last), Some(&agreed), &next);
    expect_test::expect![[r#"
        v=0
        o=- 4711 2 IN IP4 192.0.2.10
        s=-
        c=IN IP4 192.0.2.10
        t=0 0
        m=video 0 RTP/AVP 31
        m=audio 10000 RTP/AVPF 8 0 97
        a=rtpmap:8 PCMA/8000
        a=rtpmap:0 PCMU/8000
        a=rtpmap:97 telephone-event/8000
        a=fmtp:97 0-15
        a=rtcp-mux
        a=ptime:20
        a=sendrecv
        m=audio 0 RTP/AVP 8
    "#]]
    .assert_eq(&String::from_utf8_lossy(&text).replace("\r\n", "\n"));
    // After a hold by port 0 the line that had the call is offered again.
    let off = wire(&format!(
        "{HEAD}m=video 0 RTP/AVP 31\nm=audio 0 RTP/AVP 0\n"
    ));
    let (last, _) = answer_again(&off, &agreed, &local()).expect("a hold");
    let text = offer_again(&last, Some(&agreed), &next);
    let text = String::from_utf8_lossy(&text).into_owned();
    let lines: Vec<_> = text.lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!(
        lines,
        ["m=video 0 RTP/AVP 31", "m=audio 10000 RTP/AVP 8 0 97"]
    );
    // Of a call that has no description yet, the first offer.
    assert_eq!(offer_again(b"", None, &next), offer(&next));
    assert_eq!(offer_again(&offer(&local()), None, &next), offer(&next));
}

#[test]
fn an_address_of_zeros_is_of_no_family() {
    for (line, family) in [
        ("c=IN IP4 192.0.2.1", Some(false)),
        ("c=IN IP4 224.2.1.1/127", Some(false)),
        ("c=IN IP6 2001:db8::1", Some(true)),
        ("c=IN IP6 host.example", Some(true)),
        ("c=IN IP4 0.0.0.0", None),
        ("c=IN IP6 ::", None),
        ("c=IN IP", None),
        ("s=-", None),
    ] {
        let text = wire(&format!("v=0\n{line}\nt=0 0\n"));
        assert_eq!(is_ipv6(&text), family, "{line}");
    }
}

proptest! {
    #[test]
    fn two_of_us_always_agree(first in 0usize..2, events: [bool; 2], offered in 0usize..4, wanted in 0usize..4) {
        const DIRECTIONS: [Direction; 4] = [Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly, Direction::Inactive];
        let codecs = [BOTH[first], BOTH[1 - first]];
        let caller = Local { codecs: &codecs, telephone_event: events[0], direction: DIRECTIONS[offered], ..local() };
        let callee = Local { port: 20_000, telephone_event: events[1], direction: DIRECTIONS[wanted], ..local() };
        let (text, theirs) = answer(&offer(&caller), &callee).unwrap();
        let ours = accept(&text, &caller).unwrap();
        prop_assert_eq!((ours.codec, ours.payload_type), (codecs[0], codecs[0].payload_type()));
        prop_assert_eq!((ours.codec, ours.payload_type, ours.telephone_event), (theirs.codec, theirs.payload_type, theirs.telephone_event));
        prop_assert_eq!(ours.telephone_event.is_some(), events[0] && events[1]);
        prop_assert_eq!((ours.direction.sends(), ours.direction.receives()), (theirs.direction.receives(), theirs.direction.sends()));
        prop_assert_eq!((ours.remote.port(), theirs.remote.port()), (20_000, 10_000));
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = answer(&bytes, &local());
    }

    #[test]
    fn no_mutation_panics(changes in prop::collection::vec((0usize..400, any::<u8>(), any::<bool>()), 1..8)) {
        let mut bytes = wire(&format!("{HEAD}m=audio 6000/2 RTP/AVP 0 8 101\na=rtpmap:101 telephone-event/8000\na=ptime:20\nc=IN IP4 192.0.2.9/127\nm=video 1 RTP/AVP 31\n"));
        for (position, byte, insert) in changes {
            let position = position % bytes.len();
            if insert { bytes.insert(position, byte) } else { bytes[position] = byte }
        }
        if let Ok((text, _)) = answer(&bytes, &local()) {
            prop_assert!(accept(&text, &local()).is_ok() || text.windows(8).any(|window| window.starts_with(b"m=")));
        }
        let _ = accept(&bytes, &local());
        let _ = offer_again(&bytes, None, &local());
        let _ = is_ipv6(&bytes);
        let before = accept(&offer(&local()), &local()).unwrap();
        let _ = answer_again(&bytes, &before, &local());
    }
}
