//! G.711: µ-law and A-law by table (ITU-T G.711, tables 1a to 2b).

/// The two laws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    Mu,
    A,
}

/// Samples a second; also the RTP clock rate (RFC 3551).
pub const RATE: u32 = 8000;

static ULAW_LINEAR: [i16; 256] = ulaw_table();
static ALAW_LINEAR: [i16; 256] = alaw_table();
static ULAW_TO_ALAW: [u8; 256] = ulaw_to_alaw();
static ALAW_TO_ULAW: [u8; 256] = alaw_to_ulaw();

/// One octet to a 16-bit sample.
pub fn decode(law: Law, octet: u8) -> i16 {
    match law {
        Law::Mu => ULAW_LINEAR[octet as usize],
        Law::A => ALAW_LINEAR[octet as usize],
    }
}

/// One 16-bit sample to an octet.
pub fn encode(law: Law, sample: i16) -> u8 {
    match law {
        Law::Mu => ulaw_encode(sample),
        Law::A => alaw_encode(sample),
    }
}

/// The octet that is silence.
pub fn silence(law: Law) -> u8 {
    match law {
        Law::Mu => 0xff,
        Law::A => 0xd5,
    }
}

/// A payload of one law into the other, in place.
pub fn transcode(from: Law, to: Law, payload: &mut [u8]) {
    let table = match (from, to) {
        (Law::Mu, Law::A) => &ULAW_TO_ALAW,
        (Law::A, Law::Mu) => &ALAW_TO_ULAW,
        (Law::Mu, Law::Mu) | (Law::A, Law::A) => return,
    };
    for octet in payload {
        *octet = table[*octet as usize];
    }
}

const ULAW_BIAS: i32 = 0x84;
const ULAW_CLIP: i32 = 32_635;

const fn ulaw_decode(octet: u8) -> i16 {
    let inverted = !octet;
    let exponent = ((inverted >> 4) & 7) as i32;
    let mantissa = (inverted & 0x0f) as i32;
    let magnitude = (((mantissa << 3) + ULAW_BIAS) << exponent) - ULAW_BIAS;
    (if inverted & 0x80 != 0 {
        -magnitude
    } else {
        magnitude
    }) as i16
}

const fn ulaw_encode(sample: i16) -> u8 {
    let (sign, magnitude) = if sample < 0 {
        (0x80, -(sample as i32))
    } else {
        (0, sample as i32)
    };
    let biased = (if magnitude > ULAW_CLIP {
        ULAW_CLIP
    } else {
        magnitude
    }) + ULAW_BIAS;
    let exponent = 31 - biased.leading_zeros() as i32 - 7; // the bias makes bit 7 the lowest leading bit
    let mantissa = (biased >> (exponent + 3)) & 0x0f;
    !(sign | ((exponent as u8) << 4) | mantissa as u8)
}

const fn alaw_decode(octet: u8) -> i16 {
    let toggled = octet ^ 0x55;
    let exponent = ((toggled >> 4) & 7) as i32;
    let mantissa = (toggled & 0x0f) as i32;
    let magnitude = if exponent == 0 {
        (mantissa << 4) + 8
    } else {
        ((mantissa << 4) + 0x108) << (exponent - 1)
    };
    (if toggled & 0x80 != 0 {
        magnitude
    } else {
        -magnitude
    }) as i16
}

const fn alaw_encode(sample: i16) -> u8 {
    let (sign, magnitude) = if sample >= 0 {
        (0x80, sample as i32)
    } else {
        (0, -(sample as i32) - 1)
    };
    let exponent = if magnitude < 256 {
        0
    } else {
        31 - magnitude.leading_zeros() as i32 - 7
    };
    let mantissa = if exponent == 0 {
        magnitude >> 4
    } else {
        magnitude >> (exponent + 3)
    } & 0x0f;
    (sign | ((exponent as u8) << 4) | mantissa as u8) ^ 0x55
}

const fn ulaw_table() -> [i16; 256] {
    let mut linear = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        linear[octet] = ulaw_decode(octet as u8);
        octet += 1;
    }
    linear
}

const fn alaw_table() -> [i16; 256] {
    let mut linear = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        linear[octet] = alaw_decode(octet as u8);
        octet += 1;
    }
    linear
}

const fn ulaw_to_alaw() -> [u8; 256] {
    let mut map = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        map[octet] = alaw_encode(ulaw_decode(octet as u8));
        octet += 1;
    }
    map
}

const fn alaw_to_ulaw() -> [u8; 256] {
    let mut map = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        map[octet] = ulaw_encode(alaw_decode(octet as u8));
        octet += 1;
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_and_the_middle_are_those_of_the_recommendation() {
        let rows = [
            (Law::Mu, 0xff, 0),
            (Law::Mu, 0x7f, 0),
            (Law::Mu, 0x80, 32_124),
            (Law::Mu, 0x00, -32_124),
            (Law::Mu, 0xfe, 8),
            (Law::A, 0xd5, 8),
            (Law::A, 0x55, -8),
            (Law::A, 0xaa, 32_256),
            (Law::A, 0x2a, -32_256),
        ];
        for (codec, octet, linear) in rows {
            assert_eq!(decode(codec, octet), linear, "{codec:?} {octet:#x}");
        }
    }

    #[test]
    fn every_octet_survives_decoding_and_encoding() {
        for codec in [Law::Mu, Law::A] {
            for octet in 0..=255u8 {
                let back = encode(codec, decode(codec, octet));
                let minus_zero = codec == Law::Mu && octet == 0x7f;
                assert!(
                    back == octet || minus_zero,
                    "{codec:?} {octet:#x} came back as {back:#x}"
                );
            }
        }
    }

    #[test]
    fn every_sample_is_near_and_no_nearer_octet_exists() {
        for codec in [Law::Mu, Law::A] {
            for sample in (i16::MIN..=i16::MAX).step_by(7) {
                let got = i32::from(decode(codec, encode(codec, sample))) - i32::from(sample);
                let step = (i32::from(sample).abs() / 16).max(16);
                assert!(got.abs() <= step, "{codec:?} {sample}: off by {got}");
            }
        }
    }

    #[test]
    fn transcoding_keeps_silence_and_level() {
        let mut payload = [0xff, 0x80, 0x00, 0xa0];
        transcode(Law::Mu, Law::A, &mut payload);
        for (octet, want) in payload.iter().zip([0i16, 32_124, -32_124, 7_932]) {
            assert!((i32::from(decode(Law::A, *octet)) - i32::from(want)).abs() <= 512);
        }
        transcode(Law::A, Law::Mu, &mut payload);
        assert_eq!(decode(Law::Mu, payload[1]), 32_124);
    }
}
