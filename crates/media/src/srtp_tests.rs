//! Whole packets, as libsrtp and the RFCs have them, and what must not come through.

use proptest::prelude::*;

use super::*;
use crate::rtp::Fixed;

const SUITES: [Suite; 4] = [Suite::AesCm80, Suite::AesCm32, Suite::Gcm128, Suite::Gcm256];

fn octets(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(|digit| !digit.is_whitespace()).collect();
    let pairs = digits.chunks(2).map(|pair| pair.iter().collect::<String>());
    pairs
        .map(|pair| u8::from_str_radix(&pair, 16).unwrap())
        .collect()
}

fn master(seed: u8) -> Master {
    let octets: Vec<u8> = (0..MASTER as u8)
        .map(|at| at.wrapping_mul(31) ^ seed)
        .collect();
    Master::new(&octets)
}

/// The two ends of a stream.
fn ends(suite: Suite) -> (Srtp, Srtp) {
    let keys = |ours, theirs| Keys {
        suite,
        ours: master(ours),
        theirs: master(theirs),
    };
    (Srtp::new(keys(1, 2)), Srtp::new(keys(2, 1)))
}

fn packet(ssrc: u32, sequence: u16) -> Vec<u8> {
    let fixed = Fixed {
        marker: false,
        payload_type: 0,
        sequence,
        timestamp: u32::from(sequence) * 160,
        ssrc,
    };
    fixed.packet(&[sequence as u8; 160])
}

fn seal(end: &mut Srtp, packet: &[u8]) -> Option<Vec<u8>> {
    let mut buffer = [0; MAX_SEALED];
    buffer[..packet.len()].copy_from_slice(packet);
    let length = match crate::rtp::is_rtcp(packet) {
        true => end.seal_rtcp(&mut buffer, packet.len()),
        false => end.seal(&mut buffer, packet.len()),
    }?;
    Some(buffer[..length].to_vec())
}

fn open(end: &mut Srtp, packet: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut packet = packet.to_vec();
    let length = match crate::rtp::is_rtcp(&packet) {
        true => end.open_rtcp(&mut packet),
        false => end.open(&mut packet),
    }?;
    packet.truncate(length);
    Ok(packet)
}

/// The packets of libsrtp's own test driver.
#[test]
fn packets_of_libsrtp_octet_for_octet() {
    let key = "e1f97a0d3e018be0d64fa32c06de4139 0ec675ad498afeebb6960b3aabe6";
    let gcm = "000102030405060708090a0b0c0d0e0f a0a1a2a3a4a5a6a7a8a9aaab";
    let rtp = "800f1234 decafbad cafebabe abababab abababab abababab abababab";
    let rtcp = "81c8000b cafebabe abababab abababab abababab abababab";
    for (suite, key, plain, sealed) in [
        (
            Suite::AesCm80,
            key,
            rtp,
            "800f1234 decafbad cafebabe 4e55dc4c e79978d8 8ca4d215 949d2402 b78d6acc 99ea179b 8dbb",
        ),
        (
            Suite::AesCm80,
            key,
            rtcp,
            "81c8000b cafebabe 7128035b e487b9bd bef89041 f977a5a8 80000001 993e08cd 54d6c123 0798",
        ),
        (
            Suite::Gcm128,
            gcm,
            rtp,
            "800f1234 decafbad cafebabe c5002ede 04cfdd2e b91159e0 880aa06e d2976826 f796b201 df3131a1 27e8a392",
        ),
        (
            Suite::Gcm128,
            gcm,
            rtcp,
            "81c8000b cafebabe c98b8b5d f0392a55 852b6c21 ac8e7025 c52c6fbe a2b3b446 ea31123b a88ce61e 80000001",
        ),
    ] {
        let master = Master::new(&octets(key));
        let mut end = Srtp::new(Keys {
            suite,
            ours: master,
            theirs: master,
        });
        let (plain, sealed) = (octets(plain), octets(sealed));
        assert_eq!(seal(&mut end, &plain).as_deref(), Some(&sealed[..]));
        assert_eq!(open(&mut end, &sealed).as_deref(), Ok(&plain[..]));
    }
}

#[test]
fn what_one_end_seals_the_other_one_opens_over_wraps_losses_and_changes_of_the_sender() {
    for suite in SUITES {
        let (mut here, mut there) = ends(suite);
        let mut sequence = 65_000u16;
        for n in 0..67_000u32 {
            sequence = sequence.wrapping_add(1);
            let plain = packet(7, sequence);
            let sealed = seal(&mut here, &plain).unwrap();
            assert_ne!(sealed[12..30], plain[12..30]);
            if n % 1_000 != 0 && n % 9 == 0 {
                continue; // lost
            }
            assert_eq!(open(&mut there, &sealed).as_deref(), Ok(&plain[..]), "{n}");
        }
        let other = packet(8, 3);
        let sealed = seal(&mut here, &other).unwrap();
        assert_eq!(open(&mut there, &sealed), Ok(other));
        let back = packet(7, sequence.wrapping_add(1));
        let sealed = seal(&mut here, &back).unwrap();
        assert_eq!(open(&mut there, &sealed), Ok(back), "its counter is known");
    }
}

#[test]
fn nothing_comes_through_twice_nor_leaves_twice() {
    for suite in SUITES {
        let (mut here, mut there) = ends(suite);
        let sealed: Vec<Vec<u8>> = (0..300)
            .map(|n| seal(&mut here, &packet(7, n)).unwrap())
            .collect();
        assert_eq!(seal(&mut here, &packet(7, 299)), None, "a number once");
        for packet in &sealed {
            assert!(open(&mut there, packet).is_ok());
        }
        for packet in &sealed {
            assert_eq!(open(&mut there, packet), Err(Fault::Replayed));
        }
        let mut report = vec![0x80, 201, 0, 1, 0, 0, 0, 7];
        report.extend([0; 24]);
        let first = seal(&mut here, &report).unwrap();
        let second = seal(&mut here, &report).unwrap();
        assert_ne!(first, second);
        assert_eq!(open(&mut there, &second).as_deref(), Ok(&report[..]));
        assert_eq!(open(&mut there, &first).as_deref(), Ok(&report[..]));
        assert_eq!(open(&mut there, &second), Err(Fault::Replayed));
    }
}

#[test]
fn a_new_key_is_taken_without_a_gap_and_an_old_one_goes_on_counting() {
    for suite in SUITES {
        let (mut here, mut there) = ends(suite);
        for sequence in 0..70_000u32 {
            let sealed = seal(&mut here, &packet(7, sequence as u16)).unwrap();
            open(&mut there, &sealed).unwrap();
        }
        let on_its_way = seal(&mut here, &packet(7, 4_464)).unwrap();
        let old = here.keys;
        let new = Keys {
            ours: master(77),
            ..old
        };
        here.renew(new);
        there.renew(Keys {
            theirs: master(77),
            ..there.keys
        });
        assert!(open(&mut there, &on_its_way).is_ok(), "under the old key");
        let sealed = seal(&mut here, &packet(7, 4_465)).unwrap();
        assert!(open(&mut there, &sealed).is_ok());
        let mut late = Srtp::new(old);
        let late = seal(&mut late, &packet(7, 4_466)).unwrap();
        assert_eq!(
            open(&mut there, &late),
            Err(Fault::Forged),
            "the old key is over"
        );
        // The same keys again, as in the re-INVITE of a hold.
        here.renew(new);
        let sealed = seal(&mut here, &packet(7, 4_466)).unwrap();
        assert!(open(&mut there, &sealed).is_ok());
        assert_eq!(seal(&mut here, &packet(7, 4_466)), None);
    }
}

/// The advisory against FreeSWITCH: a hundred bad packets ended a call.
#[test]
fn a_million_bad_packets_change_nothing() {
    for suite in SUITES {
        let (mut here, mut there) = ends(suite);
        let first = seal(&mut here, &packet(7, 1)).unwrap();
        assert!(open(&mut there, &first).is_ok());
        let good = seal(&mut here, &packet(7, 2)).unwrap();
        let report = seal(&mut here, &[0x80, 201, 0, 1, 0, 0, 0, 7]).unwrap();
        let mut forged = good.clone();
        for n in 0..250_000u32 {
            forged[2..4].copy_from_slice(&(n as u16).to_be_bytes());
            forged[8..12].copy_from_slice(&(n / 3).wrapping_mul(0x9e37_79b9).to_be_bytes());
            let mut packet = [0; 200];
            packet[..forged.len()].copy_from_slice(&forged);
            let opened = there.open(&mut packet[..forged.len()]);
            assert!(opened.is_err(), "{n} {opened:?}");
        }
        assert!(open(&mut there, &good).is_ok(), "{suite:?}");
        assert!(open(&mut there, &report).is_ok());
    }
}

#[test]
fn every_changed_bit_is_noticed() {
    for suite in SUITES {
        let (mut here, mut there) = ends(suite);
        let plain = [
            packet(7, 9),
            [&[0x80, 200, 0, 6, 0, 0, 0, 7][..], &[5; 20]].concat(),
        ];
        for plain in plain {
            let sealed = seal(&mut here, &plain).unwrap();
            for bit in 0..sealed.len() * 8 {
                let mut changed = sealed.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert!(open(&mut there, &changed).is_err(), "{suite:?} {bit}");
            }
            for length in 0..sealed.len() {
                assert!(open(&mut there, &sealed[..length]).is_err(), "{suite:?}");
            }
            assert_eq!(open(&mut there, &sealed), Ok(plain));
        }
    }
}

proptest! {
    #[test]
    fn nothing_that_comes_does_harm(packet in prop::collection::vec(any::<u8>(), 0..200), suite in 0..4usize) {
        let (_, mut there) = ends(SUITES[suite]);
        let mut rtp = packet.clone();
        prop_assert!(there.open(&mut rtp).is_err());
        let mut rtcp = packet;
        prop_assert!(there.open_rtcp(&mut rtcp).is_err());
    }
}
