//! The descriptions of one call, one after the other: their offers and ours, with what was agreed on before (RFC 3264 section 8).
//!
//! The input is a series of descriptions between octets of 0xff; each one's first octet says what it is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sip::sdp::{
    Codec, Direction, Local, Negotiated, accept, accept_again, answer, answer_again, offer,
    offer_again,
};

/// More than any call has; the rest of the input would only be slow.
const DESCRIPTIONS_MAX: usize = 16;

/// Media lines of a description.
fn lines(sdp: &[u8]) -> usize {
    let text = std::str::from_utf8(sdp).expect("what we write is text");
    assert!(
        text.starts_with("v=0\r\n") && text.ends_with("\r\n"),
        "{text:?}"
    );
    text.lines().filter(|line| line.starts_with("m=")).count()
}

fn sound(agreed: &Negotiated) {
    let ptime = agreed.send_ptime.as_millis();
    assert!((10..=60).contains(&ptime) && ptime % 10 == 0, "{ptime}");
}

fuzz_target!(|bytes: &[u8]| {
    let (mut ours, mut agreed): (Option<bytes::Bytes>, Option<Negotiated>) = (None, None);
    let parts = bytes.split(|octet| *octet == 0xff).take(DESCRIPTIONS_MAX);
    for (version, part) in (1..).zip(parts) {
        let Some((kind, sdp)) = part.split_first() else {
            continue;
        };
        let local = Local {
            address: [192, 0, 2, 1].into(),
            port: 4000,
            session_id: 1,
            version,
            codecs: &Codec::ALL[..1 + usize::from(kind >> 1) % Codec::ALL.len()],
            telephone_event: kind & 0x40 == 0,
            ptime: std::time::Duration::from_millis(20),
            direction: Direction::SendRecv,
            security: Default::default(),
        };
        if kind & 1 == 0 {
            // They offer.
            let answered = match &agreed {
                Some(before) => answer_again(sdp, before, &local),
                None => answer(sdp, &local),
            };
            if let Ok((said, now)) = answered {
                lines(&said);
                sound(&now);
                (ours, agreed) = (Some(said), Some(now));
            }
            continue;
        }
        // We offer, and this is their answer.
        let said = match &ours {
            Some(last) => offer_again(last, agreed.as_ref(), &local),
            None => offer(&local),
        };
        if let Some(last) = &ours {
            assert_eq!(lines(&said), lines(last), "lines keep their places");
        }
        assert!(
            answer(&said, &local).is_ok(),
            "who speaks as we do could answer it"
        );
        let accepted = match &agreed {
            Some(before) => accept_again(sdp, before, &local),
            None => accept(sdp, &local),
        };
        ours = Some(said);
        if let Ok(now) = accepted {
            sound(&now);
            agreed = Some(now);
        }
    }
});
