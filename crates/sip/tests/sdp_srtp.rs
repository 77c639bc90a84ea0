//! Encrypted media in offers and answers (RFC 4568, RFC 7714, RFC 8643), as phones really write them.

use std::net::IpAddr;
use std::time::Duration;

use sip::sdes::{Key, Security, Srtp, Suite};
use sip::sdp::{
    Codec, Direction, Local, Negotiated, SdpError, accept, accept_again, answer, answer_again,
    offer, offer_again,
};

fn keys() -> Vec<Key> {
    let key = |suite: Suite| Key::new(suite, &[suite as u8; 44]);
    Suite::ALL.map(key).to_vec()
}

fn local(srtp: Srtp, keys: &[Key]) -> Local<'_> {
    Local {
        address: IpAddr::from([192, 0, 2, 10]),
        port: 10_000,
        session_id: 4711,
        version: 1,
        codecs: &[Codec::Pcma],
        telephone_event: false,
        ptime: Duration::from_millis(20),
        direction: Direction::SendRecv,
        security: Security {
            srtp,
            keys,
            door: None,
        },
    }
}

const HEAD: &str = "v=0\no=a 1 1 IN IP4 192.0.2.20\ns=-\nc=IN IP4 192.0.2.20\nt=0 0\n";
const LONG: &str =
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\n";
const SHORT: &str =
    "a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj\n";

fn wire(media: &str) -> Vec<u8> {
    format!("{HEAD}{media}").replace('\n', "\r\n").into_bytes()
}

fn answered(srtp: Srtp, media: &str) -> Result<(String, Negotiated), SdpError> {
    let keys = keys();
    let (bytes, agreed) = answer(&wire(media), &local(srtp, &keys))?;
    let text = String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
    Ok((text, agreed))
}

fn crypto_of(text: &str) -> Vec<&str> {
    text.lines()
        .filter(|line| line.starts_with("a=crypto"))
        .collect()
}

#[test]
fn an_encrypted_offer_is_answered_with_its_profile_its_tag_and_a_key_of_ours() {
    let media = format!("m=audio 4000 RTP/SAVP 8\n{SHORT}{LONG}");
    for srtp in [Srtp::Optional, Srtp::Required] {
        let (text, agreed) = answered(srtp, &media).expect("an answer");
        assert!(text.contains("m=audio 10000 RTP/SAVP 8\n"), "{text}");
        let ours =
            "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        assert_eq!(
            crypto_of(&text),
            [ours],
            "the long tag, though it comes second"
        );
        let secured = agreed.secured.expect("keys");
        assert_eq!(secured.theirs.suite(), Suite::AesCm80);
        assert_eq!(&secured.theirs.octets()[..4], b"YS__");
        assert_eq!(secured.ours.octets(), [0; 30]);
    }
    let (text, agreed) = answered(
        Srtp::Optional,
        &format!("m=audio 4000 RTP/SAVPF 8\n{SHORT}"),
    )
    .expect("the short tag where there is nothing better");
    assert!(crypto_of(&text)[0].starts_with("a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:"));
    assert_eq!(
        agreed.secured.map(|keys| keys.ours.suite()),
        Some(Suite::AesCm32)
    );
}

#[test]
fn the_caller_says_which_suite_is_best() {
    let gcm = |tag: u8, suite: &str, octets: usize| {
        let key = "A".repeat(octets * 4 / 3 + 1);
        format!("a=crypto:{tag} {suite} inline:{key}\n")
    };
    let (small, large) = (
        gcm(4, "AEAD_AES_128_GCM", 28),
        gcm(5, "AEAD_AES_256_GCM", 44),
    );
    for (lines, tag) in [
        (
            format!("{small}{large}{LONG}"),
            "a=crypto:4 AEAD_AES_128_GCM",
        ),
        (
            format!("{large}{small}{LONG}"),
            "a=crypto:5 AEAD_AES_256_GCM",
        ),
        (
            format!("{LONG}{large}"),
            "a=crypto:1 AES_CM_128_HMAC_SHA1_80",
        ),
        (
            format!("a=crypto:9 F8_128_HMAC_SHA1_80 inline:x\n{large}"),
            "a=crypto:5 AEAD_AES_256_GCM",
        ),
    ] {
        let media = format!("m=audio 4000 RTP/SAVP 8\n{lines}");
        let (text, _) = answered(Srtp::Optional, &media).expect("an answer");
        assert!(crypto_of(&text)[0].starts_with(tag), "{text}");
    }
}

#[test]
fn a_best_effort_offer_is_taken_and_a_clear_one_where_it_may_be() {
    let best_effort = format!("m=audio 4000 RTP/AVP 8\n{LONG}");
    let (text, agreed) = answered(Srtp::Optional, &best_effort).expect("an answer");
    assert!(text.contains("m=audio 10000 RTP/AVP 8\n") && agreed.secured.is_some());
    assert_eq!(crypto_of(&text).len(), 1);
    let (text, agreed) = answered(Srtp::Off, &best_effort).expect("in clear");
    assert!(crypto_of(&text).is_empty() && agreed.secured.is_none());
    let (text, agreed) = answered(Srtp::Optional, "m=audio 4000 RTP/AVP 8\n").expect("in clear");
    assert!(crypto_of(&text).is_empty() && agreed.secured.is_none());
}

#[test]
fn of_two_lines_for_one_voice_the_encrypted_one_is_taken() {
    let media = format!("m=audio 4000 RTP/AVP 8\nm=audio 4002 RTP/SAVP 8\n{LONG}");
    let (text, agreed) = answered(Srtp::Optional, &media).expect("an answer");
    assert!(
        text.contains("m=audio 0 RTP/AVP 8\nm=audio 10000 RTP/SAVP 8\n"),
        "{text}"
    );
    assert_eq!(agreed.remote.port(), 4002);
    let (text, agreed) = answered(Srtp::Off, &media).expect("an answer");
    assert!(text.contains("m=audio 10000 RTP/AVP 8\n") && text.contains("m=audio 0 RTP/SAVP 8\n"));
    assert_eq!(agreed.remote.port(), 4000);
}

#[test]
fn what_cannot_be_agreed_on_is_refused() {
    let secured = format!("m=audio 4000 RTP/SAVP 8\n{LONG}");
    assert_eq!(
        answered(Srtp::Off, &secured).err(),
        Some(SdpError::Security)
    );
    for without in ["m=audio 4000 RTP/AVP 8\n", "m=audio 4000 RTP/SAVP 8\n"] {
        assert_eq!(
            answered(Srtp::Required, without).err(),
            Some(SdpError::Security)
        );
    }
    let open_hop = local(Srtp::Optional, &[]);
    assert_eq!(
        answer(&wire(&secured), &open_hop).err(),
        Some(SdpError::Security)
    );
    let (text, agreed) =
        answer(&wire(&format!("m=audio 4000 RTP/AVP 8\n{LONG}")), &open_hop).expect("in clear");
    assert!(agreed.secured.is_none() && !String::from_utf8_lossy(&text).contains("crypto"));
}

#[test]
fn our_offer_bears_a_key_for_each_suite_and_takes_the_answer_to_one() {
    let keys = keys();
    for (srtp, profile) in [(Srtp::Optional, "RTP/AVP"), (Srtp::Required, "RTP/SAVP")] {
        let here = local(srtp, &keys);
        let ours = String::from_utf8(offer(&here).to_vec()).expect("text");
        assert!(
            ours.contains(&format!("m=audio 10000 {profile} 8\r\n")),
            "{ours}"
        );
        let suites: Vec<&str> = crypto_of(&ours)
            .iter()
            .filter_map(|line| line.split(' ').nth(1))
            .collect();
        assert_eq!(
            suites,
            [
                "AEAD_AES_256_GCM",
                "AEAD_AES_128_GCM",
                "AES_CM_128_HMAC_SHA1_80"
            ]
        );
        let there_keys: Vec<Key> = Suite::ALL
            .map(|suite| Key::new(suite, &[0x55; 44]))
            .to_vec();
        let there = local(srtp, &there_keys);
        let (theirs, agreed) = answer(ours.as_bytes(), &there).expect("an answer");
        let taken = accept(&theirs, &here)
            .expect("an agreement")
            .secured
            .expect("keys");
        let agreed = agreed.secured.expect("keys");
        assert_eq!((taken.ours, taken.theirs), (agreed.theirs, agreed.ours));
    }
    let clear = wire(&"m=audio 4000 RTP/AVP 8\n".replace("4000", "4002"));
    let optional = local(Srtp::Optional, &keys);
    assert!(
        accept(&clear, &optional)
            .expect("in clear")
            .secured
            .is_none()
    );
    assert_eq!(
        accept(&clear, &local(Srtp::Required, &keys)).err(),
        Some(SdpError::Security)
    );
    let off = String::from_utf8(offer(&local(Srtp::Off, &keys)).to_vec()).expect("text");
    assert!(crypto_of(&off).is_empty());
}

#[test]
fn in_a_call_the_keys_stay_through_holds_and_offers_of_ours() {
    let keys = keys();
    let here = local(Srtp::Optional, &keys);
    let media = format!("m=audio 4000 RTP/SAVP 8\n{LONG}");
    let (said, before) = answer(&wire(&media), &here).expect("an answer");
    let hold = wire(&format!("{media}a=sendonly\n"));
    let (_, held) = answer_again(&hold, &before, &here).expect("an answer");
    assert_eq!(
        (held.secured, held.direction),
        (before.secured, Direction::RecvOnly)
    );
    let switched_off = wire(&media.replace("4000", "0"));
    let (_, off) = answer_again(&switched_off, &before, &here).expect("an answer");
    assert_eq!(
        (off.secured, off.direction),
        (before.secured, Direction::Inactive)
    );
    let again = offer_again(&said, Some(&before), &here);
    let text = String::from_utf8(again.to_vec()).expect("text");
    assert!(text.contains("m=audio 10000 RTP/SAVP 8\r\n"), "{text}");
    assert_eq!(crypto_of(&text).len(), 1, "the suite that is in use");
    let accepted = accept_again(&wire(&media), &before, &here).expect("an agreement");
    assert_eq!(
        accepted.secured.map(|keys| (keys.ours, keys.theirs)),
        before.secured.map(|keys| (keys.ours, keys.theirs))
    );
}
