//! Sealing what is personal: ChaCha20-Poly1305 under a random key per person; erasing a person is destroying that key.
//!
//! A person is known here only by a keyed hash (HMAC-SHA256 with the node's secret, 128 bits of it). Keys are in a redb file of their own, so that a
//! long import of customers does not stand in the way of a call's record. A new key is durable before the record that uses it
//! ([`Keys::make_durable`]). The nonce is random (96 bits; a person has far fewer than 2^32 records), and the associated data bind a sealed part to
//! its place, so that none can be moved to another record.
//!
//! What erasing does not do: redb frees the page that held the key without overwriting it; it goes when the page is used again. Whoever
//! has an old copy of the whole data directory has the keys of its day. `docs/log-format.md` says so to operators.

mod cache;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce, Tag};
use redb::{ReadableTableMetadata, TableDefinition};
use sha2::{Digest, Sha256};

use crate::api::Personal;
use crate::data_dir::DataDir;
use crate::db::Db;
use crate::error::StoreError;
use cache::Cache;

/// Persons whose key is at hand without a look into the database: the callers of a busy half-hour. About 200 bytes each.
pub const CACHED_KEYS_MAX: usize = 65_536;
const DB_CACHE_BYTES: usize = 8 << 20;

const KEYS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("keys");

const FORM: u8 = 1;
const HASH_BYTES: usize = 16;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
/// Form, person, generation, nonce.
const HEAD_BYTES: usize = 1 + HASH_BYTES + 4 + NONCE_BYTES;
/// Length of the person's name, before it in the plain text.
const PERSON_LENGTH_BYTES: usize = 2;

type PersonHash = [u8; HASH_BYTES];

#[derive(Clone, Copy)]
struct Key {
    person: PersonHash,
    /// Random; tells a person's key from one that was destroyed.
    generation: [u8; 4],
    secret: [u8; 32],
}

/// The persons' keys. A clone is the same set.
#[derive(Clone)]
pub struct Keys {
    inner: Arc<Inner>,
}

struct Inner {
    db: Db,
    hmac: Hmac,
    state: Mutex<State>,
    /// Held while new keys go to disk or one is destroyed.
    committing: Mutex<()>,
}

struct State {
    by_person: Cache<Arc<str>>,
    by_hash: Cache<PersonHash>,
    /// Made, used, and not yet on disk. Bounded by the group of records that uses them.
    pending: HashMap<PersonHash, Key>,
    random: Random,
}

impl Keys {
    pub(crate) fn open(dir: &DataDir) -> Result<Keys, StoreError> {
        let db = Db::open(dir.path().join("keys.redb"), DB_CACHE_BYTES)?;
        let known = db.write(|transaction| Ok(transaction.open_table(KEYS)?.len()?))?;
        let hmac = Hmac::new(&dir.secret(known == 0)?);
        let state = State {
            by_person: Cache::new(CACHED_KEYS_MAX),
            by_hash: Cache::new(CACHED_KEYS_MAX),
            pending: HashMap::new(),
            random: Random::new(),
        };
        Ok(Keys {
            inner: Arc::new(Inner {
                db,
                hmac,
                state: Mutex::new(state),
                committing: Mutex::new(()),
            }),
        })
    }

    /// Appends the sealed form of `personal` to `out`. Before that is acknowledged to anybody, [`Self::make_durable`].
    pub fn seal(
        &self,
        personal: &Personal,
        associated: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        let person = personal.person.as_bytes();
        let person_length = u16::try_from(person.len()).map_err(|_| {
            StoreError::Refused("a person's name is longer than 65,535 bytes".into())
        })?;
        let mut state = self.state();
        let key = self.key_of(&mut state, &personal.person)?;
        let nonce: [u8; NONCE_BYTES] = state.random.take()?;
        drop(state);
        out.push(FORM);
        out.extend(key.person);
        out.extend(key.generation);
        out.extend(nonce);
        let plain = out.len();
        out.extend(person_length.to_le_bytes());
        out.extend(person);
        out.extend(personal.json.as_bytes());
        let cipher = ChaCha20Poly1305::new(&key.secret.into());
        let tag = cipher
            .encrypt_inout_detached(&Nonce::from(nonce), associated, (&mut out[plain..]).into())
            .map_err(|_| StoreError::Refused("what is personal is too long to seal".into()))?;
        out.extend(tag.as_slice());
        Ok(())
    }

    /// Writes the keys that have been made since to disk; costs nothing when there are none.
    pub fn make_durable(&self) -> Result<(), StoreError> {
        if self.state().pending.is_empty() {
            return Ok(());
        }
        let _committing = self
            .inner
            .committing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut fresh: Vec<Key> = self.state().pending.values().copied().collect();
        fresh.sort_unstable_by_key(|key| key.person);
        self.inner.db.write(|transaction| {
            let mut table = transaction.open_table(KEYS)?;
            for key in &fresh {
                table.insert(key.person.as_slice(), key.row().as_slice())?;
            }
            Ok(())
        })?;
        let mut state = self.state();
        for key in &fresh {
            state.pending.remove(&key.person);
        }
        Ok(())
    }

    /// Opens a sealed part; `None` when its person has been erased.
    ///
    /// # Errors
    /// A sealed part that is not what was sealed there, and a database that cannot be read.
    pub fn open_sealed(
        &self,
        sealed: &[u8],
        associated: &[u8],
    ) -> Result<Option<Personal>, StoreError> {
        let broken = |what: &str| StoreError::Refused(format!("a sealed part {what}"));
        let Some((head, cipher_text)) = sealed.split_at_checked(HEAD_BYTES) else {
            return Err(broken("is too short"));
        };
        if head[0] != FORM {
            return Err(broken("has a form that this version does not know"));
        }
        let person: PersonHash = head[1..1 + HASH_BYTES].try_into().expect("16 bytes");
        let Some(key) = self.key_at(person)? else {
            return Ok(None);
        };
        if key.generation != head[1 + HASH_BYTES..][..4] {
            return Ok(None); // sealed under a key that has been destroyed; the person has come back since
        }
        let nonce: [u8; NONCE_BYTES] = head[HEAD_BYTES - NONCE_BYTES..]
            .try_into()
            .expect("12 bytes");
        let Some((text, tag)) = cipher_text.split_last_chunk::<TAG_BYTES>() else {
            return Err(broken("is too short"));
        };
        let mut plain = text.to_vec();
        let cipher = ChaCha20Poly1305::new(&key.secret.into());
        cipher
            .decrypt_inout_detached(
                &Nonce::from(nonce),
                associated,
                plain.as_mut_slice().into(),
                &Tag::from(*tag),
            )
            .map_err(|_| broken("is not what was sealed there"))?;
        let parts = plain
            .split_first_chunk::<PERSON_LENGTH_BYTES>()
            .and_then(|(length, rest)| {
                rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))
            });
        let (person, json) = parts.ok_or_else(|| broken("has no person"))?;
        let text = |bytes| {
            std::str::from_utf8(bytes)
                .map(Arc::from)
                .map_err(|_| broken("is no text"))
        };
        Ok(Some(Personal {
            person: text(person)?,
            json: text(json)?,
        }))
    }

    /// Destroys the person's key: whatever was sealed under it reads as nothing from now on, in the log, its copies and its exports alike.
    /// Durable when this returns. False when there was none.
    pub fn erase_person(&self, person: &str) -> Result<bool, StoreError> {
        let hash = self.inner.hmac.of(person.as_bytes());
        let _committing = self
            .inner
            .committing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let forget = |state: &mut State| {
            state.by_person.remove(person);
            state.by_hash.remove(&hash);
            state.pending.remove(&hash).is_some()
        };
        let pending = forget(&mut self.state());
        let stored = self.inner.db.write(|transaction| {
            Ok(transaction
                .open_table(KEYS)?
                .remove(hash.as_slice())?
                .is_some())
        })?;
        // A reader may have put it back into the cache before it left the database.
        forget(&mut self.state());
        Ok(pending || stored)
    }

    /// Under which a person is known where it must be found again.
    pub(crate) fn hash_of(&self, person: &str) -> PersonHash {
        self.inner.hmac.of(person.as_bytes())
    }

    fn key_of(&self, state: &mut State, person: &Arc<str>) -> Result<Key, StoreError> {
        if let Some(key) = state.by_person.find(person) {
            return Ok(key);
        }
        let hash = self.inner.hmac.of(person.as_bytes());
        let known = match state.pending.get(&hash) {
            Some(key) => Some(*key),
            None => self.stored(hash)?,
        };
        let key = match known {
            Some(key) => key,
            None => {
                let key = Key {
                    person: hash,
                    generation: state.random.take()?,
                    secret: state.random.take()?,
                };
                state.pending.insert(hash, key);
                key
            }
        };
        state.by_person.put(person.clone(), key);
        Ok(key)
    }

    fn key_at(&self, person: PersonHash) -> Result<Option<Key>, StoreError> {
        let mut state = self.state();
        if let Some(key) = state
            .by_hash
            .find(&person)
            .or_else(|| state.pending.get(&person).copied())
        {
            return Ok(Some(key));
        }
        let key = self.stored(person)?;
        if let Some(key) = key {
            state.by_hash.put(person, key);
        }
        Ok(key)
    }

    fn stored(&self, person: PersonHash) -> Result<Option<Key>, StoreError> {
        self.inner.db.read(|transaction| {
            Ok(transaction
                .open_table(KEYS)?
                .get(person.as_slice())?
                .and_then(|row| Key::from_row(person, row.value())))
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Key {
    fn row(&self) -> [u8; 37] {
        let mut row = [0; 37];
        row[0] = FORM;
        row[1..5].copy_from_slice(&self.generation);
        row[5..].copy_from_slice(&self.secret);
        row
    }

    fn from_row(person: PersonHash, row: &[u8]) -> Option<Key> {
        let (form, rest) = row.split_first()?;
        let (generation, secret) = rest.split_first_chunk()?;
        (*form == FORM).then_some(Key {
            person,
            generation: *generation,
            secret: secret.try_into().ok()?,
        })
    }
}

/// HMAC-SHA256 (RFC 2104) of which the two key blocks are hashed once.
struct Hmac {
    inner: Sha256,
    outer: Sha256,
}

impl Hmac {
    fn new(secret: &[u8; 32]) -> Hmac {
        let block = |pad: u8| {
            let mut block = [pad; 64];
            block
                .iter_mut()
                .zip(secret)
                .for_each(|(byte, secret)| *byte ^= secret);
            Sha256::new_with_prefix(block)
        };
        Hmac {
            inner: block(0x36),
            outer: block(0x5c),
        }
    }

    fn of(&self, text: &[u8]) -> PersonHash {
        let inner = self.inner.clone().chain_update(text).finalize();
        let whole = self.outer.clone().chain_update(inner).finalize();
        whole[..HASH_BYTES].try_into().expect("a SHA-256 is longer")
    }
}

/// Random bytes from the system, taken a page at a time: a system call for each nonce would cost as much as the cipher.
struct Random {
    bytes: Box<[u8; 4096]>,
    used: usize,
}

impl Random {
    fn new() -> Random {
        Random {
            bytes: Box::new([0; 4096]),
            used: 4096,
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        if self.used + N > self.bytes.len() {
            getrandom::fill(&mut self.bytes[..]).map_err(|error| {
                StoreError::Refused(format!("the system gives no random numbers: {error}"))
            })?;
            self.used = 0;
        }
        let taken = &mut self.bytes[self.used..self.used + N];
        let out = (&*taken).try_into().expect("N bytes");
        taken.fill(0);
        self.used += N;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> (tempfile::TempDir, DataDir, Keys) {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        let keys = Keys::open(&data).unwrap();
        (dir, data, keys)
    }

    fn personal(person: &str) -> Personal {
        Personal {
            person: person.into(),
            json: r#"{"ani":"+8613800138000"}"#.into(),
        }
    }

    fn sealed(keys: &Keys, person: &str) -> Vec<u8> {
        let mut out = Vec::new();
        keys.seal(&personal(person), b"place", &mut out).unwrap();
        out
    }

    #[test]
    fn what_is_sealed_opens_in_its_place_only() {
        let (_dir, _data, keys) = keys();
        let one = sealed(&keys, "tel:+8613800138000");
        let other = sealed(&keys, "tel:+8613800138000");
        assert_ne!(one, other, "a nonce is used once");
        assert!(!one.windows(11).any(|window| window == b"13800138000"));
        assert_eq!(
            keys.open_sealed(&one, b"place").unwrap(),
            Some(personal("tel:+8613800138000"))
        );
        assert!(keys.open_sealed(&one, b"elsewhere").is_err());
        let mut bent = one.clone();
        *bent.last_mut().unwrap() ^= 1;
        assert!(keys.open_sealed(&bent, b"place").is_err());
        for end in 0..one.len() {
            assert!(!matches!(
                keys.open_sealed(&one[..end], b"place"),
                Ok(Some(_))
            ));
        }
    }

    #[test]
    fn keys_survive_and_are_destroyed_for_good() {
        let (_dir, data, keys) = keys();
        let (first, second) = (sealed(&keys, "tel:1"), sealed(&keys, "tel:2"));
        keys.make_durable().unwrap();
        drop(keys);
        let keys = Keys::open(&data).unwrap();
        assert_eq!(
            keys.open_sealed(&first, b"place").unwrap(),
            Some(personal("tel:1"))
        );
        assert!(keys.erase_person("tel:1").unwrap());
        assert!(!keys.erase_person("tel:1").unwrap());
        assert_eq!(keys.open_sealed(&first, b"place").unwrap(), None);
        let again = sealed(&keys, "tel:1");
        keys.make_durable().unwrap();
        drop(keys);
        let keys = Keys::open(&data).unwrap();
        assert_eq!(
            keys.open_sealed(&first, b"place").unwrap(),
            None,
            "not under the new key either"
        );
        assert_eq!(
            keys.open_sealed(&again, b"place").unwrap(),
            Some(personal("tel:1"))
        );
        assert_eq!(
            keys.open_sealed(&second, b"place").unwrap(),
            Some(personal("tel:2"))
        );
    }

    #[test]
    fn a_lost_secret_is_loud() {
        let (dir, data, keys) = keys();
        sealed(&keys, "tel:1");
        keys.make_durable().unwrap();
        drop(keys);
        std::fs::remove_file(dir.path().join("node.secret")).unwrap();
        assert!(Keys::open(&data).is_err());
    }

    #[test]
    fn hmac_is_rfc_4231_in_form() {
        // RFC 4231 test case 2 with its key padded by zeros to 32 bytes, which HMAC does anyway.
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let hex: String = Hmac::new(&key)
            .of(b"what do ya want for nothing?")
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        assert_eq!(hex, "5bdcc146bf60754e6a042426089575c7");
    }
}
