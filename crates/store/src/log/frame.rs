//! The bytes of a segment's header and of a record. The description for everybody else is `docs/log-format.md`; the two change together, and
//! what is here for version 1 never changes.

use crate::api::RecordKind;

pub(super) const MAGIC: [u8; 8] = *b"CORDLOG\n";
pub(super) const VERSION: u16 = 1;
/// Flags of a header and of a record that a reader may ignore when it does not know them; the others it must refuse.
const HEADER_FLAGS_IGNORABLE: u32 = 0x0000_ffff;
const RECORD_FLAGS_IGNORABLE: u8 = 0x0f;
/// The first record of a group that went to disk in one write.
pub(super) const GROUP: u8 = 0x01;
/// Kinds below this may be skipped by a reader that does not know them.
const KIND_MUST_KNOW: u8 = 0x80;

const HEADER_FIXED: usize = 56;
/// `len` and `crc`.
const PREFIX: usize = 8;
/// From `kind` to the JSON.
const FIXED: usize = 32;
/// Longest body of a record. An event is a few hundred bytes; a length above this is no length.
pub(super) const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A segment's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Index of the first record; also the file's name.
    pub first_index: u64,
    /// Sequence and time of what was written before this segment; 0 when nothing was.
    pub before: u64,
    pub before_at: u64,
    /// Time of the first record.
    pub created: u64,
    pub boot: u64,
    pub node: String,
}

/// Why bytes are no header or no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Bad {
    /// The bytes end before it does.
    Short,
    Damaged(&'static str),
    Newer(String),
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let node = &self.node.as_bytes()[..self.node.len().min(255)];
        let length = HEADER_FIXED + 1 + node.len() + 4;
        let mut out = Vec::with_capacity(length);
        out.extend(MAGIC);
        out.extend(VERSION.to_le_bytes());
        out.extend(
            u16::try_from(length)
                .expect("under 320 bytes")
                .to_le_bytes(),
        );
        out.extend(0u32.to_le_bytes());
        for value in [
            self.first_index,
            self.before,
            self.before_at,
            self.created,
            self.boot,
        ] {
            out.extend(value.to_le_bytes());
        }
        out.push(u8::try_from(node.len()).expect("cut to 255"));
        out.extend(node);
        let crc = crc32fast::hash(&out);
        out.extend(crc.to_le_bytes());
        out
    }

    /// The header and its length.
    pub(super) fn decode(bytes: &[u8]) -> Result<(Header, usize), Bad> {
        if bytes.len() < HEADER_FIXED {
            return Err(Bad::Short);
        }
        if bytes[..8] != MAGIC {
            return Err(Bad::Damaged("no log segment begins here"));
        }
        // Length and checksum are where they are in every version, so that damage is never taken for one.
        let (version, length, flags) = (
            u16_at(bytes, 8),
            usize::from(u16_at(bytes, 10)),
            u32_at(bytes, 12),
        );
        if bytes.len() < length {
            return Err(Bad::Short);
        }
        if length < HEADER_FIXED + 5
            || crc32fast::hash(&bytes[..length - 4]) != u32_at(bytes, length - 4)
        {
            return Err(Bad::Damaged("the header's checksum is wrong"));
        }
        if version != VERSION {
            return Err(Bad::Newer(format!("format version {version}")));
        }
        if flags & !HEADER_FLAGS_IGNORABLE != 0 {
            return Err(Bad::Newer(format!("header flags {flags:#x}")));
        }
        let node = bytes
            .get(HEADER_FIXED + 1..HEADER_FIXED + 1 + usize::from(bytes[HEADER_FIXED]))
            .and_then(|node| std::str::from_utf8(node).ok());
        let node = node
            .ok_or(Bad::Damaged("the header's node is no text"))?
            .to_owned();
        let header = Header {
            first_index: u64_at(bytes, 16),
            before: u64_at(bytes, 24),
            before_at: u64_at(bytes, 32),
            created: u64_at(bytes, 40),
            boot: u64_at(bytes, 48),
            node,
        };
        Ok((header, length))
    }
}

/// A record as it lies on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub kind: u8,
    pub flags: u8,
    pub index: u64,
    pub sequence: u64,
    pub at: u64,
    pub json: &'a str,
    pub sealed: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Appends the record, with its sealed part written by `seal` straight into its place.
    pub(super) fn encode<E>(
        out: &mut Vec<u8>,
        (kind, flags): (RecordKind, u8),
        (index, sequence, at): (u64, u64, u64),
        json: &str,
        seal: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = out.len();
        out.extend([0; PREFIX]);
        out.push(kind as u8);
        out.push(flags);
        out.extend((FIXED as u16).to_le_bytes());
        out.extend(0u32.to_le_bytes());
        for value in [index, sequence, at] {
            out.extend(value.to_le_bytes());
        }
        out.extend(json.as_bytes());
        let sealed = out.len();
        if let Err(error) = seal(out) {
            out.truncate(start);
            return Err(error);
        }
        let sealed = u32::try_from(out.len() - sealed).expect("bodies are bounded");
        out[start + PREFIX + 4..start + PREFIX + 8].copy_from_slice(&sealed.to_le_bytes());
        let length = u32::try_from(out.len() - start - PREFIX)
            .expect("bodies are bounded")
            .to_le_bytes();
        out[start..start + 4].copy_from_slice(&length);
        let crc = checksum(length, &out[start + PREFIX..]);
        out[start + 4..start + PREFIX].copy_from_slice(&crc.to_le_bytes());
        Ok(())
    }

    /// How many bytes the record at the start of `bytes` takes, when that can be told.
    pub(super) fn length(bytes: &[u8]) -> Result<usize, Bad> {
        let Some(length) = bytes.get(..4) else {
            return Err(Bad::Short);
        };
        let length = u32_at(length, 0) as usize;
        if (FIXED..=BODY_BYTES_MAX).contains(&length) {
            Ok(PREFIX + length)
        } else {
            Err(Bad::Damaged("not the length of a record"))
        }
    }

    /// The record at the start of `bytes`, and its length.
    pub(super) fn decode(bytes: &'a [u8]) -> Result<(Frame<'a>, usize), Bad> {
        let length = Frame::length(bytes)?;
        let Some(whole) = bytes.get(..length) else {
            return Err(Bad::Short);
        };
        let body = &whole[PREFIX..];
        if checksum([whole[0], whole[1], whole[2], whole[3]], body) != u32_at(whole, 4) {
            return Err(Bad::Damaged("the record's checksum is wrong"));
        }
        let (kind, flags, head, sealed) = (
            body[0],
            body[1],
            usize::from(u16_at(body, 2)),
            u32_at(body, 4) as usize,
        );
        if flags & !(RECORD_FLAGS_IGNORABLE) != 0
            || (kind >= KIND_MUST_KNOW && kind_of(kind).is_none())
        {
            return Err(Bad::Newer(format!("record kind {kind}, flags {flags:#x}")));
        }
        let json_end = body
            .len()
            .checked_sub(sealed)
            .filter(|end| head >= FIXED && head <= *end)
            .ok_or(Bad::Damaged("the record's parts do not fit into it"))?;
        let json = std::str::from_utf8(&body[head..json_end])
            .map_err(|_| Bad::Damaged("the record's JSON is no UTF-8"))?;
        let frame = Frame {
            kind,
            flags,
            index: u64_at(body, 8),
            sequence: u64_at(body, 16),
            at: u64_at(body, 24),
            json,
            sealed: &body[json_end..],
        };
        Ok((frame, length))
    }
}

/// The kind of a byte; `None` for one that a later version has added.
pub(super) fn kind_of(byte: u8) -> Option<RecordKind> {
    [
        RecordKind::Event,
        RecordKind::AcdInput,
        RecordKind::AcdDecision,
        RecordKind::Lost,
        RecordKind::Alive,
    ]
    .into_iter()
    .find(|kind| *kind as u8 == byte)
}

fn checksum(length: [u8; 4], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length);
    hasher.update(body);
    hasher.finalize()
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(
        kind: RecordKind,
        flags: u8,
        numbers: (u64, u64, u64),
        json: &str,
        sealed: &[u8],
    ) -> Vec<u8> {
        let mut out = Vec::new();
        Frame::encode::<()>(&mut out, (kind, flags), numbers, json, |out| {
            out.extend(sealed);
            Ok(())
        })
        .unwrap();
        out
    }

    fn header() -> Header {
        Header {
            first_index: 7,
            before: 5,
            before_at: 3,
            created: 4,
            boot: 2,
            node: "北京-1".into(),
        }
    }

    #[test]
    fn the_bytes_of_version_1() {
        // As in docs/log-format.md: these bytes are for ever.
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let record = encode(RecordKind::Event, GROUP, (1, 2, 3), "{}", &[0xaa]);
        assert_eq!(
            hex(&record),
            "23000000b0a8f4ce01012000010000000100000000000000020000000000000003000000000000007b7daa"
        );
        let node = Header {
            node: "n1".into(),
            ..header()
        };
        assert_eq!(
            hex(&node.encode()),
            "434f52444c4f470a01003f0000000000070000000000000005000000000000000300000000000000\
             04000000000000000200000000000000026e317527c0af"
        );
    }

    #[test]
    fn headers_come_back_and_later_ones_are_refused() {
        let mut bytes = header().encode();
        let length = bytes.len();
        bytes.extend(b"more");
        assert_eq!(Header::decode(&bytes), Ok((header(), length)));
        for end in 0..length {
            assert_eq!(Header::decode(&bytes[..end]), Err(Bad::Short));
        }
        for bit in 0..length * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&flipped).is_err(), "bit {bit}");
        }
        let mut later = header().encode();
        later[14] = 1; // an incompatible flag
        let crc = crc32fast::hash(&later[..length - 4]).to_le_bytes();
        later[length - 4..].copy_from_slice(&crc);
        assert!(matches!(Header::decode(&later), Err(Bad::Newer(_))));
    }

    #[test]
    fn unknown_flags_and_kinds() {
        let mut later = encode(RecordKind::Event, 0x0e, (1, 1, 1), "{}", &[]);
        assert!(Frame::decode(&later).is_ok(), "ignorable flags are ignored");
        let set = |bytes: &mut Vec<u8>, at: usize, value: u8| {
            bytes[at] = value;
            let crc =
                checksum([bytes[0], bytes[1], bytes[2], bytes[3]], &bytes[PREFIX..]).to_le_bytes();
            bytes[4..8].copy_from_slice(&crc);
        };
        set(&mut later, PREFIX, 77);
        assert_eq!(
            Frame::decode(&later).map(|(frame, _)| kind_of(frame.kind)),
            Ok(None),
            "a kind to skip"
        );
        set(&mut later, PREFIX, 0x80);
        assert!(matches!(Frame::decode(&later), Err(Bad::Newer(_))));
        set(&mut later, PREFIX, 1);
        set(&mut later, PREFIX + 1, 0x10);
        assert!(matches!(Frame::decode(&later), Err(Bad::Newer(_))));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn records_come_back(flags in 0u8..16, index: u64, sequence: u64, at: u64, json in ".{0,80}", sealed in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut bytes = encode(RecordKind::AcdInput, flags, (index, sequence, at), &json, &sealed);
            let length = bytes.len();
            bytes.extend(b"next");
            let expected = Frame { kind: 2, flags, index, sequence, at, json: &json, sealed: &sealed };
            prop_assert_eq!(Frame::decode(&bytes), Ok((expected, length)));
        }

        #[test]
        fn no_flipped_bit_passes(json in "[a-z]{0,20}", sealed in prop::collection::vec(any::<u8>(), 0..40), bit: prop::sample::Index) {
            let mut bytes = encode(RecordKind::Event, GROUP, (1, 2, 3), &json, &sealed);
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Frame::decode(&bytes).is_err());
        }

        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Frame::decode(&bytes);
            let _ = Header::decode(&bytes);
        }
    }
}
