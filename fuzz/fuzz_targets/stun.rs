//! Datagrams at the port that browsers share, as far as they are STUN.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/server/src/stun.rs"]
mod stun;

fuzz_target!(|bytes: &[u8]| {
    let password = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"secret");
    if let Some(request) = stun::read(bytes) {
        assert!(stun::is_stun(bytes));
        let mut answer = [0; stun::MAX_ANSWER];
        for source in ["192.0.2.1:32853", "[2001:db8::1]:5060"] {
            let source = source.parse().expect("an address");
            let length = request.answer(source, &password, &mut answer);
            assert!(length % 4 == 0 && length <= stun::MAX_ANSWER);
        }
        let _ = request.is_authentic(&password);
    }
});
