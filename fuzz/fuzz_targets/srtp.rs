//! What comes to a port under keys: opened or refused, never believed; and what is sealed is opened by the other end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use media::srtp::{Keys, MAX_SEALED, Master, Srtp, Suite};

fuzz_target!(|bytes: &[u8]| {
    let Some((first, packet)) = bytes.split_first() else {
        return;
    };
    let suites = [Suite::AesCm80, Suite::AesCm32, Suite::Gcm128, Suite::Gcm256];
    let suite = suites[usize::from(first & 3)];
    let (ours, theirs) = (Master::new(&[1; 44]), Master::new(&[2; 44]));
    let mut here = Srtp::new(Keys { suite, ours, theirs });
    let mut there = Srtp::new(Keys { suite, ours: theirs, theirs: ours });
    let mut forged = packet.to_vec();
    assert!(here.open(&mut forged).is_err());
    let mut forged = packet.to_vec();
    assert!(here.open_rtcp(&mut forged).is_err());
    if packet.len() > MAX_SEALED {
        return;
    }
    let mut buffer = [0; MAX_SEALED];
    buffer[..packet.len()].copy_from_slice(packet);
    if let Some(length) = here.seal(&mut buffer, packet.len()) {
        assert_eq!(there.open(&mut buffer[..length]), Ok(packet.len()));
        assert_eq!(&buffer[..packet.len()], packet);
    }
    let mut buffer = [0; MAX_SEALED];
    buffer[..packet.len()].copy_from_slice(packet);
    if let Some(length) = here.seal_rtcp(&mut buffer, packet.len()) {
        assert_eq!(there.open_rtcp(&mut buffer[..length]), Ok(packet.len()));
        assert_eq!(&buffer[..packet.len()], packet);
    }
});
