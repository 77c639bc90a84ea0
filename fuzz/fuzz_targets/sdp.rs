//! A session description: as an offer to answer, and as an answer to an offer of ours.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sip::sdp::{Codec, Direction, Local, accept, answer, offer};

fuzz_target!(|bytes: &[u8]| {
    let local = Local {
        address: [192, 0, 2, 1].into(),
        port: 4000,
        session_id: 1,
        version: 1,
        codecs: &Codec::ALL,
        telephone_event: true,
        ptime: std::time::Duration::from_millis(20),
        direction: Direction::SendRecv,
        security: Default::default(),
    };
    if let Ok((ours, agreed)) = answer(bytes, &local) {
        let said = std::str::from_utf8(&ours).expect("what we write is text");
        assert!(said.contains(agreed.codec.name()) && said.ends_with("\r\n"));
        let ptime = agreed.send_ptime.as_millis();
        assert!((10..=60).contains(&ptime) && ptime % 10 == 0, "{ptime}");
    }
    let _ = accept(bytes, &local);
    assert!(answer(&offer(&local), &local).is_ok());
});
