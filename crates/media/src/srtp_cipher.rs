//! What is done to the octets of a packet: AES in counter mode with HMAC-SHA1 (RFC 3711 section 4), AES-GCM (RFC 7714).
//!
//! AES and SHA-1 are those of RustCrypto, which use the processor's instructions for both; GCM is that of ring, which TLS brings anyway.

use std::ops::Range;

use aes::cipher::{Array, BlockCipherEncrypt};
use aes::{Aes128Enc, Aes256Enc, Block};
use hmac::{Hmac, KeyInit, Mac};
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sha1::Sha1;
use subtle::ConstantTimeEq;

use crate::srtp::{Master, Suite};

/// Octets of a block of AES.
const BLOCK: usize = 16;
/// Blocks of keystream made at once: as many as the processor works on in parallel.
const AT_ONCE: usize = 8;
/// Octets of a key of HMAC-SHA1, and of the longer tag; every tag of SRTCP is a long one (RFC 3711 section 5.2).
const AUTH_KEY: usize = 20;
const LONG_TAG: usize = 10;
const SHORT_TAG: usize = 4;
const GCM_TAG: usize = 16;
/// Octets of the word that numbers an SRTCP packet.
const WORD: usize = 4;
/// What of an RTCP packet stays in clear.
const RTCP_HEADER: usize = 8;

/// Whose session keys are derived (RFC 3711 section 4.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Rtp,
    Rtcp,
}

/// The session keys of one direction, of RTP or of RTCP.
pub enum Cipher {
    CounterMode {
        aes: Aes128Enc,
        auth: Hmac<Sha1>,
        salt: [u8; 14],
        tag: usize,
    },
    Gcm {
        key: LessSafeKey,
        salt: [u8; 12],
    },
}

impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cipher")
    }
}

impl Cipher {
    pub fn derive(suite: Suite, master: &Master, kind: Kind) -> Self {
        let first = match kind {
            Kind::Rtp => 0,
            Kind::Rtcp => 3,
        };
        let (encryption, authentication, salting) = (first, first + 1, first + 2);
        let derive = |label, out: &mut [u8]| derive(suite, master, label, out);
        match suite {
            Suite::AesCm80 | Suite::AesCm32 => {
                let (mut key, mut auth, mut salt) = ([0; 16], [0; AUTH_KEY], [0; 14]);
                derive(encryption, &mut key);
                derive(authentication, &mut auth);
                derive(salting, &mut salt);
                let tag = match (suite, kind) {
                    (Suite::AesCm32, Kind::Rtp) => SHORT_TAG,
                    _ => LONG_TAG,
                };
                Cipher::counter_mode(&key, &auth, salt, tag)
            }
            Suite::Gcm128 | Suite::Gcm256 => {
                let (mut key, mut salt) = ([0; 32], [0; 12]);
                let key = &mut key[..suite.key()];
                derive(encryption, key);
                derive(salting, &mut salt);
                Cipher::gcm(suite, key, salt)
            }
        }
    }

    fn counter_mode(key: &[u8; 16], auth: &[u8; AUTH_KEY], salt: [u8; 14], tag: usize) -> Self {
        Cipher::CounterMode {
            aes: Aes128Enc::new(&Array::from(*key)),
            auth: Hmac::new_from_slice(auth).expect("a key of HMAC may have any length"),
            salt,
            tag,
        }
    }

    fn gcm(suite: Suite, key: &[u8], salt: [u8; 12]) -> Self {
        let algorithm = match suite {
            Suite::Gcm256 => &AES_256_GCM,
            Suite::Gcm128 | Suite::AesCm80 | Suite::AesCm32 => &AES_128_GCM,
        };
        let key = UnboundKey::new(algorithm, key).expect("the key is as long as its suite's are");
        Cipher::Gcm {
            key: LessSafeKey::new(key),
            salt,
        }
    }

    /// Encrypts `payload` of the packet at the front of `buffer`, writes the tag behind it, and gives the length of it all.
    pub fn seal(
        &self,
        buffer: &mut [u8],
        payload: Range<usize>,
        ssrc: u32,
        index: u64,
    ) -> Option<usize> {
        let end = payload.end;
        match self {
            Cipher::CounterMode {
                aes,
                auth,
                salt,
                tag,
            } => {
                let room = buffer.get_mut(..end + tag)?;
                apply_keystream(aes, counter(salt, ssrc, index), &mut room[payload]);
                let (packet, tail) = room.split_at_mut(end);
                let mac = authenticate(auth, packet, (index >> 16) as u32);
                tail.copy_from_slice(&mac[..*tag]);
                Some(end + tag)
            }
            Cipher::Gcm { key, salt } => {
                let room = buffer.get_mut(..end + GCM_TAG)?;
                let (packet, tail) = room.split_at_mut(end);
                let (header, body) = packet.split_at_mut(payload.start);
                let nonce = nonce(salt, ssrc, (index >> 16) as u32, index as u16);
                let tag = key.seal_in_place_separate_tag(nonce, Aad::from(header), body);
                tail.copy_from_slice(tag.ok()?.as_ref());
                Some(end + GCM_TAG)
            }
        }
    }

    /// Undoes [`Cipher::seal`] where the tag is right; else nothing has changed but, under GCM, the octets of the packet.
    pub fn open(&self, packet: &mut [u8], header: usize, ssrc: u32, index: u64) -> Option<usize> {
        match self {
            Cipher::CounterMode {
                aes,
                auth,
                salt,
                tag,
            } => {
                let end = packet.len().checked_sub(*tag)?;
                let (plain, theirs) = packet.split_at_mut(end);
                let mac = authenticate(auth, plain, (index >> 16) as u32);
                if !bool::from(mac[..*tag].ct_eq(theirs)) {
                    return None;
                }
                let body = plain.get_mut(header..)?;
                apply_keystream(aes, counter(salt, ssrc, index), body);
                Some(end)
            }
            Cipher::Gcm { key, salt } => {
                let (header, body) = packet.split_at_mut_checked(header)?;
                let nonce = nonce(salt, ssrc, (index >> 16) as u32, index as u16);
                let plain = key.open_in_place(nonce, Aad::from(&*header), body).ok()?;
                Some(header.len() + plain.len())
            }
        }
    }

    /// Where in an SRTCP packet of this length the word that numbers it is, and where its tag.
    pub fn trailer(&self, length: usize) -> Option<(usize, usize)> {
        match self {
            Cipher::CounterMode { tag, .. } => {
                let tag = length.checked_sub(*tag)?;
                Some((tag.checked_sub(WORD)?, tag))
            }
            Cipher::Gcm { .. } => {
                let word = length.checked_sub(WORD)?;
                Some((word, word.checked_sub(GCM_TAG)?))
            }
        }
    }

    /// Seals an RTCP packet; `marked` is its number with the bit that says it is encrypted.
    pub fn seal_rtcp(
        &self,
        buffer: &mut [u8],
        length: usize,
        ssrc: u32,
        marked: u32,
    ) -> Option<usize> {
        let index = u64::from(marked & 0x7fff_ffff);
        match self {
            Cipher::CounterMode {
                aes,
                auth,
                salt,
                tag,
            } => {
                let room = buffer.get_mut(..length + WORD + tag)?;
                let iv = counter(salt, ssrc, index);
                apply_keystream(aes, iv, &mut room[RTCP_HEADER..length]);
                let (packet, tail) = room.split_at_mut(length);
                let mac = authenticate(auth, packet, marked);
                tail[..WORD].copy_from_slice(&marked.to_be_bytes());
                tail[WORD..].copy_from_slice(&mac[..*tag]);
                Some(length + WORD + tag)
            }
            Cipher::Gcm { key, salt } => {
                let room = buffer.get_mut(..length + GCM_TAG + WORD)?;
                let (packet, tail) = room.split_at_mut(length);
                let (header, body) = packet.split_at_mut(RTCP_HEADER);
                let known = rtcp_aad(header, marked);
                let nonce = nonce_rtcp(salt, ssrc, index as u32);
                let tag = key.seal_in_place_separate_tag(nonce, Aad::from(known), body);
                tail[..GCM_TAG].copy_from_slice(tag.ok()?.as_ref());
                tail[GCM_TAG..].copy_from_slice(&marked.to_be_bytes());
                Some(length + GCM_TAG + WORD)
            }
        }
    }

    /// Undoes [`Cipher::seal_rtcp`].
    pub fn open_rtcp(&self, packet: &mut [u8], ssrc: u32, marked: u32) -> Option<usize> {
        let index = u64::from(marked & 0x7fff_ffff);
        let (word, tag_at) = self.trailer(packet.len())?;
        match self {
            Cipher::CounterMode {
                aes,
                auth,
                salt,
                tag,
            } => {
                let (plain, theirs) = packet.split_at_mut(word);
                let mac = authenticate(auth, plain, marked);
                if !bool::from(mac[..*tag].ct_eq(&theirs[WORD..])) {
                    return None;
                }
                let body = plain.get_mut(RTCP_HEADER..)?;
                apply_keystream(aes, counter(salt, ssrc, index), body);
                Some(word)
            }
            Cipher::Gcm { key, salt } => {
                let (header, body) = packet[..word].split_at_mut_checked(RTCP_HEADER)?;
                let known = rtcp_aad(header, marked);
                let nonce = nonce_rtcp(salt, ssrc, index as u32);
                key.open_in_place(nonce, Aad::from(known), body).ok()?;
                Some(tag_at)
            }
        }
    }
}

/// RFC 3711 section 4.3: keystream under the master key, from the salt and what the key is for. A salt of 96 bits ends in zeros (RFC 7714 section 11).
fn derive(suite: Suite, master: &Master, label: u8, out: &mut [u8]) {
    let (key, salt) = (master.key(suite), master.salt(suite));
    let mut iv = [0; BLOCK];
    iv[..salt.len()].copy_from_slice(salt);
    iv[7] ^= label;
    out.fill(0);
    const LENGTH: &str = "the key is as long as its suite's are";
    match suite {
        Suite::Gcm256 => {
            apply_keystream(&Aes256Enc::new_from_slice(key).expect(LENGTH), iv, out);
        }
        Suite::AesCm80 | Suite::AesCm32 | Suite::Gcm128 => {
            apply_keystream(&Aes128Enc::new_from_slice(key).expect(LENGTH), iv, out);
        }
    }
}

/// Section 4.1.1: the first counter of a packet.
fn counter(salt: &[u8; 14], ssrc: u32, index: u64) -> [u8; BLOCK] {
    let mut iv = [0; BLOCK];
    iv[..14].copy_from_slice(salt);
    let number = (u128::from(ssrc) << 64) | (u128::from(index) << 16);
    (u128::from_be_bytes(iv) ^ number).to_be_bytes()
}

fn apply_keystream(
    aes: &impl BlockCipherEncrypt<BlockSize = aes::cipher::consts::U16>,
    iv: [u8; BLOCK],
    octets: &mut [u8],
) {
    let mut counter = u128::from_be_bytes(iv);
    for chunk in octets.chunks_mut(AT_ONCE * BLOCK) {
        let mut blocks = [Block::default(); AT_ONCE];
        let blocks = &mut blocks[..chunk.len().div_ceil(BLOCK)];
        for block in blocks.iter_mut() {
            *block = counter.to_be_bytes().into();
            counter = counter.wrapping_add(1);
        }
        aes.encrypt_blocks(blocks);
        for (octet, key) in chunk.iter_mut().zip(blocks.iter().flatten()) {
            *octet ^= key;
        }
    }
}

/// Section 4.2: over the packet and what the wire has of its number, or does not have.
fn authenticate(auth: &Hmac<Sha1>, packet: &[u8], behind: u32) -> [u8; 20] {
    let mut auth = auth.clone();
    auth.update(packet);
    auth.update(&behind.to_be_bytes());
    auth.finalize().into_bytes().into()
}

/// RFC 7714 section 8.1.
fn nonce(salt: &[u8; 12], ssrc: u32, rollovers: u32, sequence: u16) -> Nonce {
    let mut nonce = [0; 12];
    nonce[2..6].copy_from_slice(&ssrc.to_be_bytes());
    nonce[6..10].copy_from_slice(&rollovers.to_be_bytes());
    nonce[10..].copy_from_slice(&sequence.to_be_bytes());
    salted(salt, nonce)
}

/// Section 9.1.
fn nonce_rtcp(salt: &[u8; 12], ssrc: u32, index: u32) -> Nonce {
    let mut nonce = [0; 12];
    nonce[2..6].copy_from_slice(&ssrc.to_be_bytes());
    nonce[8..].copy_from_slice(&index.to_be_bytes());
    salted(salt, nonce)
}

fn salted(salt: &[u8; 12], mut nonce: [u8; 12]) -> Nonce {
    for (octet, salt) in nonce.iter_mut().zip(salt) {
        *octet ^= salt;
    }
    Nonce::assume_unique_for_key(nonce)
}

/// Section 9.2: the header and the word that numbers the packet.
fn rtcp_aad(header: &[u8], marked: u32) -> [u8; RTCP_HEADER + WORD] {
    let mut known = [0; RTCP_HEADER + WORD];
    known[..RTCP_HEADER].copy_from_slice(header);
    known[RTCP_HEADER..].copy_from_slice(&marked.to_be_bytes());
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets(hex: &str) -> Vec<u8> {
        let digits: Vec<char> = hex.chars().filter(|digit| !digit.is_whitespace()).collect();
        let pairs = digits.chunks(2).map(|pair| pair.iter().collect::<String>());
        pairs
            .map(|pair| u8::from_str_radix(&pair, 16).unwrap())
            .collect()
    }

    /// RFC 3711 appendix B.3.
    #[test]
    fn session_keys_are_derived_as_in_the_rfc() {
        let master = Master::new(&octets(
            "E1F97A0D3E018BE0D64FA32C06DE4139 0EC675AD498AFEEBB6960B3AABE6",
        ));
        let mut out = [0; 94];
        derive(Suite::AesCm80, &master, 0, &mut out[..16]);
        assert_eq!(out[..16], octets("C61E7A93744F39EE10734AFE3FF7A087"));
        derive(Suite::AesCm80, &master, 2, &mut out[..14]);
        assert_eq!(out[..14], octets("30CBBC08863D8C85D49DB34A9AE1"));
        derive(Suite::AesCm80, &master, 1, &mut out);
        let auth = "CEBE321F6FF7716B6FD4AB49AF256A15 6D38BAA48F0A0ACF3C34E2359E6CDBCE \
                    E049646C43D9327AD175578EF7227098 6371C10C9A369AC2F94A8C5FBCDDDC25 \
                    6D6E919A48B610EF17C2041E47403576 6B68642C59BBFC2F34DB60DBDFB2";
        assert_eq!(out[..], octets(auth));
    }

    /// RFC 3711 appendix B.2.
    #[test]
    fn the_keystream_is_that_of_the_rfc_and_is_made_in_one_piece_or_many() {
        let key: [u8; 16] = octets("2B7E151628AED2A6ABF7158809CF4F3C")
            .try_into()
            .unwrap();
        let aes = Aes128Enc::new(&Array::from(key));
        let iv = counter(
            &octets("F0F1F2F3F4F5F6F7F8F9FAFBFCFD").try_into().unwrap(),
            0,
            0,
        );
        let mut stream = vec![0; 0xff02 * BLOCK];
        apply_keystream(&aes, iv, &mut stream);
        assert_eq!(stream[..16], octets("E03EAD0935C95E80E166B16DD92B4EB4"));
        assert_eq!(stream[16..32], octets("D23513162B02D0F72A43A2FE4A5F97AB"));
        assert_eq!(stream[32..48], octets("41E95B3BB0A2E8DD477901E4FCA894C0"));
        let end = &stream[0xfeff * BLOCK..];
        assert_eq!(end[..16], octets("EC8CDF7398607CB0F2D21675EA9EA1E4"));
        assert_eq!(end[16..32], octets("362B7C3C6773516318A077D7FC5073AE"));
        assert_eq!(end[32..], octets("6A2CC3787889374FBEB4C81B17BA6C44"));
        for length in [0, 1, 15, 16, 17, 127, 128, 129, 300] {
            let mut part = vec![0; length];
            apply_keystream(&aes, iv, &mut part);
            assert_eq!(part, stream[..length]);
        }
    }

    const SALT: &[u8; 12] = b"Quid pro quo";
    const SSRC: u32 = 0x5501_a0b2;

    fn gcm(suite: Suite) -> Cipher {
        let key: Vec<u8> = (0..suite.key() as u8).collect();
        Cipher::gcm(suite, &key, *SALT)
    }

    /// RFC 7714 sections 16.1 and 16.2.
    #[test]
    fn rtp_under_gcm_is_that_of_the_rfc() {
        let mut plain = octets("8040f17b 8041f8d3 5501a0b2");
        plain.extend(b"Gallia est omnis divisa in partes tres");
        let sealed = [
            (
                Suite::Gcm128,
                "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833 \
                 899d7f27beb16a9152cf765ee4390cce",
            ),
            (
                Suite::Gcm256,
                "32b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b \
                 7aa3db36dfffd6b0f9bb7878d7a76c13",
            ),
        ];
        for (suite, body) in sealed {
            let cipher = gcm(suite);
            let mut buffer = plain.clone();
            buffer.resize(plain.len() + GCM_TAG, 0);
            let length = cipher.seal(&mut buffer, 12..plain.len(), SSRC, 0xf17b);
            assert_eq!(
                (length, &buffer[12..]),
                (Some(buffer.len()), &octets(body)[..])
            );
            let opened = cipher.open(&mut buffer, 12, SSRC, 0xf17b);
            assert_eq!(
                (opened, &buffer[..plain.len()]),
                (Some(plain.len()), &plain[..])
            );
        }
    }

    /// RFC 7714 sections 17.1 and 17.2.
    #[test]
    fn rtcp_under_gcm_is_that_of_the_rfc() {
        let plain = octets(
            "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61 \
             deadbeef deadbeef deadbeef deadbeef deadbeef",
        );
        let sealed = [
            (
                Suite::Gcm128,
                "63e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb9275b \
                 c84aa45896cf4d2fc5abf87245d9eade 800005d4",
            ),
            (
                Suite::Gcm256,
                "d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61de0476f1b6fad \
                 1d1eb30c4446839f57ff6f6cb26ac3be 800005d4",
            ),
        ];
        let (ssrc, marked) = (0x4d61_7273, 0x8000_05d4);
        for (suite, body) in sealed {
            let cipher = gcm(suite);
            let mut buffer = plain.clone();
            buffer.resize(plain.len() + GCM_TAG + WORD, 0);
            let length = cipher.seal_rtcp(&mut buffer, plain.len(), ssrc, marked);
            assert_eq!(
                (length, &buffer[8..]),
                (Some(buffer.len()), &octets(body)[..])
            );
            let opened = cipher.open_rtcp(&mut buffer, ssrc, marked);
            assert_eq!(
                (opened, &buffer[..plain.len()]),
                (Some(plain.len()), &plain[..])
            );
        }
    }
}
