//! Browsers' offers and answers, as Chromium writes them.

use std::net::IpAddr;
use std::time::Duration;

use sip::sdes::{Security, Srtp};
use sip::sdp::{Codec, Direction, Local, SdpError, accept, answer, offer, offer_again};
use sip::webrtc::Door;

const FINGERPRINT: [u8; 32] = [0xab; 32];

fn local(srtp: Srtp) -> Local<'static> {
    Local {
        address: IpAddr::from([192, 0, 2, 10]),
        port: 10_000,
        session_id: 4711,
        version: 1,
        codecs: &[Codec::Pcmu, Codec::Pcma],
        telephone_event: true,
        ptime: Duration::from_millis(20),
        direction: Direction::SendRecv,
        security: Security {
            srtp,
            keys: &[],
            door: Some(Door {
                port: 9_000,
                fingerprint: &FINGERPRINT,
                ufrag: "ourfrag",
                password: "ourpassword",
            }),
        },
    }
}

fn theirs() -> String {
    let fingerprint = ["12"; 32].join(":");
    format!(
        "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=extmap-allow-mixed\r\na=msid-semantic: WMS s\r\n\
         m=audio 58779 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\r\nc=IN IP4 192.168.1.7\r\na=rtcp:9 IN IP4 0.0.0.0\r\n\
         a=candidate:1467250027 1 udp 2122260223 192.168.1.7 58779 typ host generation 0 network-id 1\r\na=ice-ufrag:l5Lz\r\na=ice-pwd:iEdQDGOAxDCnTjMkWq1L4KJq\r\n\
         a=ice-options:trickle\r\na=fingerprint:sha-256 {fingerprint}\r\na=setup:actpass\r\na=mid:0\r\na=sendrecv\r\na=msid:s t\r\na=rtcp-mux\r\na=rtcp-rsize\r\n\
         a=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\na=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:63 red/48000/2\r\na=rtpmap:9 G722/8000\r\n\
         a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:13 CN/8000\r\na=rtpmap:110 telephone-event/48000\r\na=rtpmap:126 telephone-event/8000\r\n\
         a=ssrc:3735928559 cname:EocUG1f0fcg\r\n"
    )
}

#[test]
fn an_offer_is_answered_by_a_passive_ice_lite_end_with_events_at_the_clock_of_its_codec() {
    let (text, agreed) = answer(theirs().as_bytes(), &local(Srtp::Optional)).expect("an answer");
    let text = String::from_utf8_lossy(&text).replace("\r\n", "\n");
    let ours = ["AB"; 32].join(":");
    for line in [
        "a=ice-lite",
        "a=group:BUNDLE 0",
        "m=audio 9000 UDP/TLS/RTP/SAVPF 0 126",
        "a=rtpmap:126 telephone-event/8000",
        "a=rtcp-mux",
        "a=mid:0",
        "a=ice-ufrag:ourfrag",
        "a=ice-pwd:ourpassword",
        &format!("a=fingerprint:sha-256 {ours}"),
        "a=setup:passive",
        "a=candidate:1 1 udp 2130706431 192.0.2.10 9000 typ host",
        "a=sendrecv",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
    let (session, media) = text.split_once("m=audio").expect("a line");
    assert!(session.contains("a=ice-lite") && !media.contains("a=ice-lite"));
    let browser = agreed.browser.expect("a browser");
    assert_eq!(browser.fingerprint, [0x12; 32]);
    assert_eq!((agreed.rtcp, agreed.secured), (None, None));
    let restarted = theirs().replace("l5Lz", "m6Ma");
    let (_, again) = answer(restarted.as_bytes(), &local(Srtp::Optional)).expect("an answer");
    let again = again.browser.expect("a browser");
    assert!(again.credentials != browser.credentials && again.fingerprint == browser.fingerprint);
}

#[test]
fn what_is_missing_is_a_refusal() {
    for line in [
        "a=rtcp-mux\r\n",
        "a=setup:actpass\r\n",
        "a=ice-ufrag:l5Lz\r\n",
        "a=ice-pwd:iEdQDGOAxDCnTjMkWq1L4KJq\r\n",
    ] {
        let without = theirs().replace(line, "");
        let refused = answer(without.as_bytes(), &local(Srtp::Optional)).err();
        assert_eq!(refused, Some(SdpError::Security), "{line}");
    }
    let sha1 = theirs().replace("sha-256", "sha-1");
    let passive = theirs().replace("actpass", "passive");
    for offer in [sha1, passive] {
        let refused = answer(offer.as_bytes(), &local(Srtp::Optional)).err();
        assert_eq!(refused, Some(SdpError::Security));
    }
    let off = answer(theirs().as_bytes(), &local(Srtp::Off)).err();
    let mut nowhere = local(Srtp::Optional);
    nowhere.security.door = None;
    let nowhere = answer(theirs().as_bytes(), &nowhere).err();
    assert_eq!(
        (off, nowhere),
        (Some(SdpError::Security), Some(SdpError::Security))
    );
}

#[test]
fn our_offer_can_be_answered_by_a_browser_and_made_again() {
    let here = local(Srtp::Required);
    let ours = String::from_utf8(offer(&here).to_vec()).expect("text");
    for line in [
        "a=ice-lite",
        "a=group:BUNDLE 0",
        "a=mid:0",
        "a=setup:actpass",
        "m=audio 9000 UDP/TLS/RTP/SAVPF 0 8 101",
        "a=rtcp-mux",
    ] {
        assert!(ours.lines().any(|found| found == line), "{line} in {ours}");
    }
    let answered = theirs().replace("setup:actpass", "setup:active");
    let agreed = accept(answered.as_bytes(), &here).expect("an agreement");
    assert!(agreed.browser.is_some());
    let again = String::from_utf8(offer_again(ours.as_bytes(), Some(&agreed), &here).to_vec());
    let again = again.expect("text");
    assert!(again.contains("m=audio 9000 UDP/TLS/RTP/SAVPF") && again.contains("a=mid:0\r\n"));
    assert!(again.contains("a=ice-ufrag:ourfrag\r\n") && again.contains("a=group:BUNDLE 0\r\n"));
}
