//! RTCP as anybody may send it: what is read can be written, and is read as the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use media::rtcp::{MAX_OCTETS, read, write};

/// Of 24 bits with a sign; one less would not come back with its sign.
const LOST_MAX: i32 = 0x7f_ffff;

fuzz_target!(|bytes: &[u8]| {
    let Some((ours, packet)) = bytes.split_first_chunk() else {
        return;
    };
    let ours = u32::from_be_bytes(*ours);
    let Some(mut report) = read(packet, ours) else {
        return;
    };
    if let Some(block) = &mut report.block {
        assert_eq!(block.ssrc, ours, "blocks on others are left out");
        block.lost = block.lost.clamp(-LOST_MAX, LOST_MAX);
    }
    let mut buffer = [0; MAX_OCTETS];
    let length = write(&report, &mut buffer);
    assert!(media::rtp::is_rtcp(&buffer[..length]));
    assert_eq!(read(&buffer[..length], ours), Some(report));
});
