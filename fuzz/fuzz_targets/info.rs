//! Bodies of INFO: whatever comes, a key that is read is a key that we write and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sip::info::{KEY, RELAY, read, write};

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, body)) = bytes.split_first() else {
        return;
    };
    let any = String::from_utf8_lossy(body);
    let content_type = match kind % 4 {
        0 => RELAY,
        1 => KEY,
        2 => "Application/DTMF-Relay; charset=utf-8",
        _ => &*any,
    };
    if let Ok(Some(key)) = read(content_type, body) {
        assert!(
            key.digit.is_ascii_digit() || "*#ABCD".contains(key.digit),
            "{key:?}"
        );
        let milliseconds = key.duration.as_millis();
        assert!((40..=5_000).contains(&milliseconds), "{key:?}");
        assert_eq!(read(RELAY, write(&key).as_bytes()), Ok(Some(key)));
    }
});
