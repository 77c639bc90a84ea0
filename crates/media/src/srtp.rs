//! SRTP and SRTCP of one stream (RFC 3711, RFC 7714): what goes out is sealed, what comes in is opened, in place and without allocation.
//!
//! What cannot be opened is dropped and counted, whatever it is and however much of it comes: nothing is remembered of a sender before one of its
//! packets has proved to be authentic, so that forged ones fill no table. Absent on purpose: MKI and key derivation rates (RFC 4568 lets us refuse
//! both), authentication alone, and keys (they are agreed on elsewhere and come in with [`Keys`]).

use crate::srtp_cipher::{Cipher, Kind};
use crate::srtp_sources::Sources;

/// The most that sealing adds: a tag of 16 octets, and the word of SRTCP.
pub const OVERHEAD: usize = 16 + 4;
/// Octets of the longest packet that is sealed: nothing above an Ethernet frame is sent by a telephone.
pub const MAX_SEALED: usize = 2048;
/// The longest master key with its salt.
const MASTER: usize = 44;
/// SRTCP packets are numbered in 31 bits; the bit before them says that the packet is encrypted.
const ENCRYPTED: u32 = 1 << 31;
/// Octets of an RTCP header with its SSRC, which stay as they are.
const RTCP_HEADER: usize = 8;

/// A protection profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// AES_CM_128_HMAC_SHA1_80
    AesCm80,
    /// AES_CM_128_HMAC_SHA1_32: the short tag is that of RTP alone.
    AesCm32,
    /// AEAD_AES_128_GCM
    Gcm128,
    /// AEAD_AES_256_GCM
    Gcm256,
}

impl Suite {
    /// Octets of its master key.
    pub const fn key(self) -> usize {
        match self {
            Suite::AesCm80 | Suite::AesCm32 | Suite::Gcm128 => 16,
            Suite::Gcm256 => 32,
        }
    }

    /// Octets of its master salt.
    pub const fn salt(self) -> usize {
        match self {
            Suite::AesCm80 | Suite::AesCm32 => 14,
            Suite::Gcm128 | Suite::Gcm256 => 12,
        }
    }
}

/// A master key and its salt, one behind the other. Never shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Master([u8; MASTER]);

impl Master {
    /// From the key and the salt behind it; what is missing is zero.
    pub fn new(octets: &[u8]) -> Self {
        let mut master = [0; MASTER];
        let length = octets.len().min(MASTER);
        master[..length].copy_from_slice(&octets[..length]);
        Master(master)
    }

    pub(crate) fn key(&self, suite: Suite) -> &[u8] {
        &self.0[..suite.key()]
    }

    pub(crate) fn salt(&self, suite: Suite) -> &[u8] {
        &self.0[suite.key()..suite.key() + suite.salt()]
    }
}

impl std::fmt::Debug for Master {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Master")
    }
}

/// What the two ends of a stream protect it with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keys {
    pub suite: Suite,
    /// Of what we send.
    pub ours: Master,
    /// Of what the far end sends.
    pub theirs: Master,
}

/// Why a packet is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Too short, or its header does not add up.
    Malformed,
    /// The tag is wrong: forged, damaged, or under another key.
    Forged,
    /// It has been here before, or is older than what is remembered.
    Replayed,
}

/// One stream's protection, both ways.
#[derive(Debug)]
pub struct Srtp {
    keys: Keys,
    out: Way,
    /// Numbers of SRTCP packets sent.
    reports: u32,
    incoming: Way,
    /// The far end's key before a change, until something has come under the new one: what was on its way then is still heard.
    former: Option<Box<Way>>,
}

/// One direction.
#[derive(Debug)]
struct Way {
    rtp: Cipher,
    rtcp: Cipher,
    sources: Sources,
}

impl Way {
    fn new(suite: Suite, master: &Master) -> Self {
        Way {
            rtp: Cipher::derive(suite, master, Kind::Rtp),
            rtcp: Cipher::derive(suite, master, Kind::Rtcp),
            sources: Sources::default(),
        }
    }
}

impl Srtp {
    pub fn new(keys: Keys) -> Self {
        Srtp {
            out: Way::new(keys.suite, &keys.ours),
            reports: 0,
            incoming: Way::new(keys.suite, &keys.theirs),
            former: None,
            keys,
        }
    }

    /// Keys that were agreed on anew. Those that stay as they were go on counting: to begin again would use a number twice under one key, which betrays
    /// what it hides (RFC 3711 section 9.1).
    pub fn renew(&mut self, keys: Keys) {
        let before = std::mem::replace(&mut self.keys, keys);
        let suite = keys.suite;
        if (before.suite, before.ours) != (suite, keys.ours) {
            self.out = Way::new(suite, &keys.ours);
            self.reports = 0;
        }
        if (before.suite, before.theirs) != (suite, keys.theirs) {
            let former = std::mem::replace(&mut self.incoming, Way::new(suite, &keys.theirs));
            self.former = Some(Box::new(former));
        }
    }

    /// Opens an RTP packet in place and gives its length without the tag.
    ///
    /// # Errors
    /// [`Fault`]: drop it. What it was has not changed anything.
    pub fn open(&mut self, packet: &mut [u8]) -> Result<usize, Fault> {
        self.open_by(packet, Way::open)
    }

    /// The same for SRTCP.
    ///
    /// # Errors
    /// [`Fault`]: drop it.
    pub fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, Fault> {
        self.open_by(packet, Way::open_rtcp)
    }

    fn open_by(
        &mut self,
        packet: &mut [u8],
        open: impl Fn(&mut Way, &mut [u8]) -> Result<usize, Fault>,
    ) -> Result<usize, Fault> {
        let Some(former) = &mut self.former else {
            return open(&mut self.incoming, packet);
        };
        // What GCM could not open is spoilt.
        let mut copy = [0; MAX_SEALED];
        let copy = copy.get_mut(..packet.len()).ok_or(Fault::Malformed)?;
        copy.copy_from_slice(packet);
        match open(&mut self.incoming, packet) {
            Ok(length) => {
                self.former = None;
                Ok(length)
            }
            Err(Fault::Forged) => {
                packet.copy_from_slice(copy);
                open(former, packet)
            }
            Err(fault) => Err(fault),
        }
    }

    /// Seals the RTP packet of `length` octets at the front of `buffer` and gives its new length. `None`: it must not be sent, because another one
    /// has had its number.
    pub fn seal(&mut self, buffer: &mut [u8; MAX_SEALED], length: usize) -> Option<usize> {
        let header = Header::read(&buffer[..length])?;
        let source = self.out.sources.of(header.ssrc);
        let index = source.rtp.guess(header.sequence)?;
        if !source.rtp.is_new(index) {
            return None;
        }
        let sealed = self.out.rtp.seal(
            &mut buffer[..(length + OVERHEAD).min(MAX_SEALED)],
            header.octets..length,
            header.ssrc,
            index,
        )?;
        self.out
            .sources
            .note(header.ssrc, |source| source.rtp.note(index));
        Some(sealed)
    }

    /// The same for RTCP.
    pub fn seal_rtcp(&mut self, buffer: &mut [u8; MAX_SEALED], length: usize) -> Option<usize> {
        if length < RTCP_HEADER || length + OVERHEAD > MAX_SEALED {
            return None;
        }
        let ssrc = word(buffer, 4);
        // No call lasts 2^31 reports, which is when a new key were due (RFC 3711 section 9.2).
        self.reports = self.reports.checked_add(1).filter(|n| n & ENCRYPTED == 0)?;
        let marked = self.reports | ENCRYPTED;
        let room = &mut buffer[..length + OVERHEAD];
        self.out.rtcp.seal_rtcp(room, length, ssrc, marked)
    }
}

impl Way {
    fn open(&mut self, packet: &mut [u8]) -> Result<usize, Fault> {
        let header = Header::read(packet).ok_or(Fault::Malformed)?;
        let source = self.sources.of(header.ssrc);
        let index = source.rtp.guess(header.sequence).ok_or(Fault::Replayed)?;
        if !source.rtp.is_new(index) {
            return Err(Fault::Replayed);
        }
        let length = self
            .rtp
            .open(packet, header.octets, header.ssrc, index)
            .ok_or(Fault::Forged)?;
        self.sources
            .note(header.ssrc, |source| source.rtp.note(index));
        Ok(length)
    }

    fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, Fault> {
        let (at, tag) = self.rtcp.trailer(packet.len()).ok_or(Fault::Malformed)?;
        if at.min(tag) < RTCP_HEADER {
            return Err(Fault::Malformed);
        }
        let (ssrc, marked) = (word(packet, 4), word(packet, at));
        if marked & ENCRYPTED == 0 {
            return Err(Fault::Forged); // nobody has agreed on reports in clear
        }
        let index = u64::from(marked & !ENCRYPTED);
        if !self.sources.of(ssrc).rtcp.is_new(index) {
            return Err(Fault::Replayed);
        }
        let length = self
            .rtcp
            .open_rtcp(packet, ssrc, marked)
            .ok_or(Fault::Forged)?;
        self.sources.note(ssrc, |source| source.rtcp.note(index));
        Ok(length)
    }
}

/// What of an RTP header is needed before its payload can be read. Padding is inside what is encrypted.
struct Header {
    octets: usize,
    sequence: u16,
    ssrc: u32,
}

impl Header {
    fn read(packet: &[u8]) -> Option<Header> {
        let first = *packet.first()?;
        if packet.len() < 12 || first >> 6 != 2 {
            return None;
        }
        let mut octets = 12 + 4 * usize::from(first & 0x0f);
        if first & 0x10 != 0 {
            let words = packet.get(octets + 2..octets + 4)?;
            octets += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
        }
        (octets <= packet.len()).then(|| Header {
            octets,
            sequence: u16::from_be_bytes([packet[2], packet[3]]),
            ssrc: word(packet, 8),
        })
    }
}

fn word(packet: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]])
}

#[cfg(test)]
#[path = "srtp_tests.rs"]
mod tests;
