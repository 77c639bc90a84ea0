//! One recording's file: a head, then chunks, each sealed by itself (ChaCha20-Poly1305 as STREAM, Hoang et al. 2015: the nonce is a counter and
//! whether it is the last), so that what was written can be read up to the last whole chunk, and none can be moved, left out in the middle, or cut off at
//! the end unseen. `docs/log-format.md` has it byte by byte.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce, Tag};
use sha2::{Digest, Sha256};

use super::{Begun, hex, unhex};
use crate::error::{Damage, StoreError};

const MAGIC: &[u8; 8] = b"CORDREC\n";
const VERSION: u16 = 1;
const TAG_BYTES: usize = 16;
/// Samples of the chunk, before its frames.
const COUNT_BYTES: usize = 4;
/// Longest head and longest chunk: more would be damage.
const HEAD_MAX: usize = 64 * 1024;
const CHUNK_MAX: usize = 4 << 20;
const KEY_BYTES: usize = 32;

/// The key of one file.
pub(crate) struct Key([u8; KEY_BYTES]);

impl Key {
    /// A random one, and the JSON that is sealed.
    pub(super) fn fresh() -> Result<(Key, String), StoreError> {
        let mut key = [0; KEY_BYTES];
        getrandom::fill(&mut key).map_err(|error| {
            StoreError::Refused(format!("the system gives no random numbers: {error}"))
        })?;
        let json = format!(r#"{{"key":"{}"}}"#, hex(&key));
        Ok((Key(key), json))
    }

    pub(super) fn parse(json: &str) -> Result<Key, StoreError> {
        #[derive(serde::Deserialize)]
        struct Sealed {
            key: String,
        }
        let broken = || StoreError::Refused("the sealed key of a recording is none".to_owned());
        let sealed: Sealed = serde_json::from_str(json).map_err(|_| broken())?;
        let key = unhex(&sealed.key).try_into().map_err(|_| broken())?;
        Ok(Key(key))
    }

    fn cipher(&self) -> ChaCha20Poly1305 {
        ChaCha20Poly1305::new(&self.0.into())
    }
}

fn nonce(chunk: u32, last: bool) -> Nonce {
    let mut nonce = [0; 12];
    nonce[7..11].copy_from_slice(&chunk.to_be_bytes());
    nonce[11] = last.into();
    nonce.into()
}

/// A recording that is being written.
pub struct Writer {
    file: File,
    path: PathBuf,
    begun: Begun,
    sealed: Vec<u8>,
    cipher: ChaCha20Poly1305,
    /// Hash of the head, which every chunk is bound to.
    associated: [u8; 32],
    chunks: u32,
    samples: u64,
    /// Octets up to the end of the last whole chunk, and their hash.
    bytes: u64,
    digest: Sha256,
}

/// A file that nothing is written to any more.
pub struct Closed {
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub(super) begun: Begun,
    pub(super) sealed: Vec<u8>,
    samples: u64,
    pub(super) bytes: u64,
    pub(super) checksum: String,
}

impl Closed {
    /// In its chunks.
    pub fn samples(&self) -> u64 {
        self.samples
    }
}

impl Writer {
    pub(super) fn create(
        path: PathBuf,
        begun: &Begun,
        sealed: Vec<u8>,
        key: &Key,
    ) -> Result<Writer, StoreError> {
        let io = || StoreError::io("cannot begin the recording", &path);
        let open = serde_json::to_vec(begun).expect("plain data with string keys");
        let mut head = MAGIC.to_vec();
        head.extend(VERSION.to_le_bytes());
        head.extend([0; 2]);
        for part in [open.as_slice(), &sealed] {
            head.extend((part.len() as u32).to_le_bytes());
            head.extend(part);
        }
        head.extend(crc32fast::hash(&head).to_le_bytes());
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(io())?;
        let mut writer = Writer {
            file,
            begun: begun.clone(),
            sealed,
            cipher: key.cipher(),
            associated: Sha256::digest(&head).into(),
            chunks: 0,
            samples: 0,
            bytes: 0,
            digest: Sha256::new(),
            path: path.clone(),
        };
        match writer.put(&head) {
            Ok(()) => Ok(writer),
            Err(error) => {
                let _ = std::fs::remove_file(&path); // nothing is in it
                Err(error)
            }
        }
    }

    fn put(&mut self, octets: &[u8]) -> Result<(), StoreError> {
        let written = self.file.write_all(octets);
        written.map_err(StoreError::io("cannot write the recording", &self.path))?;
        self.bytes += octets.len() as u64;
        self.digest.update(octets);
        Ok(())
    }

    /// Appends so many samples as frames of audio. After an error nothing more can be appended.
    ///
    /// # Errors
    /// The disk's.
    pub fn append(&mut self, samples: u32, frames: &[u8]) -> Result<(), StoreError> {
        self.chunk(samples, frames, false)
    }

    fn chunk(&mut self, samples: u32, frames: &[u8], last: bool) -> Result<(), StoreError> {
        let length = COUNT_BYTES + frames.len() + TAG_BYTES;
        let mut chunk = Vec::with_capacity(4 + length);
        chunk.extend((length as u32).to_le_bytes());
        chunk.extend(samples.to_le_bytes());
        chunk.extend(frames);
        let sealed = self.cipher.encrypt_inout_detached(
            &nonce(self.chunks, last),
            &self.associated,
            (&mut chunk[4..]).into(),
        );
        let tag = sealed.map_err(|_| StoreError::Refused("a chunk is too long to seal".into()))?;
        chunk.extend(tag.as_slice());
        self.put(&chunk)?;
        self.chunks += 1;
        self.samples += u64::from(samples);
        Ok(())
    }

    /// The end, with the last samples.
    ///
    /// # Errors
    /// The disk's, with what could be written.
    pub fn finish(
        mut self,
        samples: u32,
        frames: &[u8],
    ) -> Result<Closed, Box<(StoreError, Closed)>> {
        match self.chunk(samples, frames, true) {
            Ok(()) => Ok(self.close()),
            Err(error) => Err(Box::new((error, self.give_up()))),
        }
    }

    /// The end of one that could not be written on: up to the last whole chunk it stays.
    pub fn give_up(self) -> Closed {
        let _ = self.file.set_len(self.bytes); // a part of a chunk behind it does no harm: it is no chunk
        self.close()
    }

    fn close(self) -> Closed {
        Closed {
            file: self.file,
            path: self.path,
            begun: self.begun,
            sealed: self.sealed,
            samples: self.samples,
            bytes: self.bytes,
            checksum: hex(&self.digest.finalize()),
        }
    }
}

/// The head of a file, and where its chunks begin.
pub(super) struct Read {
    file: File,
    pub(super) begun: Begun,
    pub(super) sealed: Vec<u8>,
    associated: [u8; 32],
    chunks_at: u64,
}

impl Read {
    /// As long as it was when it was done: a chunk may be missing at the end without a trace in those before it.
    pub(super) fn has(&self, octets: u64, path: &Path) -> Result<(), StoreError> {
        let found = self.file.metadata();
        let found = found
            .map_err(StoreError::io("cannot read the recording", path))?
            .len();
        match found == octets {
            true => Ok(()),
            false => Err(damage(path, found, "not as long as it was")),
        }
    }
}

fn damage(path: &Path, offset: u64, what: &str) -> StoreError {
    StoreError::Damaged(Damage {
        file: path.to_owned(),
        offset,
        what: what.to_owned(),
    })
}

/// Opens a file and reads its head.
pub(super) fn read(path: &Path) -> Result<Read, StoreError> {
    let io = || StoreError::io("cannot read the recording", path);
    let mut file = File::open(path).map_err(io())?;
    let mut start = vec![0; HEAD_MAX];
    let mut filled = 0;
    while filled < start.len() {
        match file.read(&mut start[filled..]).map_err(io())? {
            0 => break,
            more => filled += more,
        }
    }
    start.truncate(filled);
    let head = parse(&start).ok_or_else(|| damage(path, 0, "not the head of a recording"))?;
    let (open, sealed, length) = head;
    let begun = serde_json::from_slice(open)
        .map_err(|_| damage(path, 0, "the head of a recording says nothing"))?;
    Ok(Read {
        file,
        begun,
        sealed: sealed.to_vec(),
        associated: Sha256::digest(&start[..length]).into(),
        chunks_at: length as u64,
    })
}

/// The open and the sealed part of a head, and its length.
fn parse(start: &[u8]) -> Option<(&[u8], &[u8], usize)> {
    let rest = start
        .strip_prefix(MAGIC)?
        .strip_prefix(&VERSION.to_le_bytes())?;
    let split = |bytes: &'_ [u8]| -> Option<(usize, usize)> {
        let (length, rest) = bytes.split_first_chunk()?;
        let length = u32::from_le_bytes(*length) as usize;
        (length <= rest.len()).then_some((4, length))
    };
    let rest = rest.get(2..)?;
    let (skip, open) = split(rest)?;
    let (open, rest) = rest[skip..].split_at(open);
    let (skip, sealed) = split(rest)?;
    let (sealed, rest) = rest[skip..].split_at(sealed);
    let (crc, rest) = rest.split_first_chunk()?;
    let length = start.len() - rest.len();
    let sound = crc32fast::hash(&start[..length - 4]) == u32::from_le_bytes(*crc);
    sound.then_some((open, sealed, length))
}

/// Where a chunk is in the file, and in the audio.
struct Span {
    at: u64,
    length: usize,
    begin: u64,
}

/// The chunks of a file up to where it ends, or is cut off.
fn spans(read: &mut Read, path: &Path, header: u64) -> Result<(Vec<Span>, u64), StoreError> {
    let io = || StoreError::io("cannot read the recording", path);
    let end = read.file.metadata().map_err(io())?.len();
    let (mut spans, mut at, mut begin) = (Vec::new(), read.chunks_at, header);
    while at + 4 <= end {
        let mut length = [0; 4];
        read.file.seek(SeekFrom::Start(at)).map_err(io())?;
        read.file.read_exact(&mut length).map_err(io())?;
        let length = u32::from_le_bytes(length) as usize;
        if !(COUNT_BYTES + TAG_BYTES..=CHUNK_MAX).contains(&length) {
            break;
        }
        if at + 4 + length as u64 > end {
            break;
        }
        spans.push(Span { at, length, begin });
        at += 4 + length as u64;
        begin += (length - COUNT_BYTES - TAG_BYTES) as u64;
    }
    Ok((spans, begin))
}

/// A recording that is heard: the audio in the open, from any place on.
pub struct Playback {
    path: PathBuf,
    read: Read,
    cipher: ChaCha20Poly1305,
    header: Vec<u8>,
    spans: Vec<Span>,
    octets: u64,
}

impl Playback {
    pub(super) fn open(
        path: PathBuf,
        mut read: Read,
        key: &Key,
        header: Vec<u8>,
    ) -> Result<Playback, StoreError> {
        let (spans, octets) = spans(&mut read, &path, header.len() as u64)?;
        Ok(Playback {
            cipher: key.cipher(),
            path,
            read,
            header,
            spans,
            octets,
        })
    }

    /// Of the whole audio.
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// Some of the audio from `offset` on; nothing at its end.
    ///
    /// # Errors
    /// The disk's, and damage.
    pub fn from(&mut self, offset: u64) -> Result<Vec<u8>, StoreError> {
        if let Some(rest) = self
            .header
            .get(offset as usize..)
            .filter(|rest| !rest.is_empty())
        {
            return Ok(rest.to_vec());
        }
        if offset >= self.octets {
            return Ok(Vec::new());
        }
        let place = self.spans.partition_point(|span| span.begin <= offset);
        let place = place.saturating_sub(1);
        let (_, frames) = self.chunk(place)?;
        let skip = (offset - self.spans[place].begin) as usize;
        Ok(frames[skip.min(frames.len())..].to_vec())
    }

    /// Samples and frames of a chunk.
    fn chunk(&mut self, place: usize) -> Result<(u32, Vec<u8>), StoreError> {
        let span = &self.spans[place];
        let last = place + 1 == self.spans.len();
        let (at, length) = (span.at, span.length);
        open_chunk(
            &mut self.read,
            &self.path,
            &self.cipher,
            (place, at, length),
            last,
        )
    }
}

/// Reads one chunk; the last may be one that was not written as such, where the file ends early.
fn open_chunk(
    read: &mut Read,
    path: &Path,
    cipher: &ChaCha20Poly1305,
    (place, at, length): (usize, u64, usize),
    last: bool,
) -> Result<(u32, Vec<u8>), StoreError> {
    let io = || StoreError::io("cannot read the recording", path);
    let mut sealed = vec![0; length];
    read.file.seek(SeekFrom::Start(at + 4)).map_err(io())?;
    read.file.read_exact(&mut sealed).map_err(io())?;
    let tag: [u8; TAG_BYTES] = sealed
        .split_off(length - TAG_BYTES)
        .try_into()
        .expect("16 bytes");
    let number = u32::try_from(place).map_err(|_| damage(path, at, "too many chunks"))?;
    for marked in [last, false] {
        let mut plain = sealed.clone();
        let opened = cipher.decrypt_inout_detached(
            &nonce(number, marked),
            &read.associated,
            plain.as_mut_slice().into(),
            &Tag::from(tag),
        );
        if opened.is_ok() {
            let frames = plain.split_off(COUNT_BYTES);
            let samples = u32::from_le_bytes(plain.try_into().expect("4 bytes"));
            return Ok((samples, frames));
        }
    }
    Err(damage(path, at, "a chunk is not what was written there"))
}

/// What was written before a crash, cut off behind the last whole chunk; and how many samples that is.
pub(super) fn recover(path: &Path, mut read: Read, key: &Key) -> Result<(Closed, u64), StoreError> {
    let io = || StoreError::io("cannot recover the recording", path);
    let cipher = key.cipher();
    let (spans, _) = spans(&mut read, path, 0)?;
    let (mut samples, mut bytes) = (0, read.chunks_at);
    for (place, span) in spans.iter().enumerate() {
        let last = place + 1 == spans.len();
        let opened = open_chunk(
            &mut read,
            path,
            &cipher,
            (place, span.at, span.length),
            last,
        );
        match opened {
            Ok((count, _)) => samples += u64::from(count),
            Err(StoreError::Damaged(_)) => break, // written when the power went
            Err(error) => return Err(error),
        }
        bytes = span.at + 4 + span.length as u64;
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(io())?;
    file.set_len(bytes).map_err(io())?;
    let checksum = hash(&file, path)?;
    let closed = Closed {
        file,
        path: path.to_owned(),
        begun: read.begun,
        sealed: read.sealed,
        samples,
        bytes,
        checksum,
    };
    Ok((closed, samples))
}

fn hash(mut file: &File, path: &Path) -> Result<String, StoreError> {
    let io = || StoreError::io("cannot read the recording", path);
    let (mut digest, mut buffer) = (Sha256::new(), vec![0; 64 * 1024]);
    file.seek(SeekFrom::Start(0)).map_err(io())?;
    loop {
        match file.read(&mut buffer).map_err(io())? {
            0 => return Ok(hex(&digest.finalize())),
            read => digest.update(&buffer[..read]),
        }
    }
}
