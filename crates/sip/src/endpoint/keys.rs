//! Compact keys of the tables, and the random words on the wire.
//!
//! A key is 128 bits of SipHash over a secret and the identifying parts: two different transactions meet in one key
//! less often than memory fails, and nobody outside can aim for it. So tables hold no strings and compare none.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher, Hasher};

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

/// Names a transaction or dialog in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(u64, u64);

/// A table by [`Key`]. Never iterated where the order could be seen.
pub type Table<V> = HashMap<Key, V, BuildHasherDefault<Uniform>>;

/// A key is uniform already: its second half is the hash.
#[derive(Default)]
pub struct Uniform(u64);

impl Hasher for Uniform {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u64(&mut self, half: u64) {
        self.0 = half;
    }
}

/// Makes keys and unguessable words.
pub struct Keys {
    secret: (u64, u64),
    random: ChaCha12Rng,
}

impl Keys {
    pub fn new(seed: [u8; 32]) -> Self {
        let mut random = ChaCha12Rng::from_seed(seed);
        Keys {
            secret: (random.next_u64(), random.next_u64()),
            random,
        }
    }

    pub fn key(&self, parts: &[&[u8]]) -> Key {
        let mut hash = DefaultHasher::new();
        hash.write_u64(self.secret.0);
        for part in parts {
            hash.write_usize(part.len());
            hash.write(part);
        }
        let high = hash.finish();
        hash.write_u64(self.secret.1);
        Key(high, hash.finish())
    }

    /// A tag: 64 random bits (section 19.3 asks for 32).
    pub fn tag(&mut self) -> String {
        hex(self.random.next_u64())
    }

    /// A branch with the cookie of section 8.1.1.7.
    pub fn branch(&mut self) -> String {
        let mut branch = String::with_capacity(23);
        branch.push_str("z9hG4bK");
        push_hex(&mut branch, self.random.next_u64());
        branch
    }

    pub fn call_id(&mut self) -> String {
        let mut id = String::with_capacity(32);
        push_hex(&mut id, self.random.next_u64());
        push_hex(&mut id, self.random.next_u64());
        id
    }

    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.fill_bytes(&mut bytes);
        bytes
    }

    /// A number of `low..=high`.
    pub fn between(&mut self, low: u32, high: u32) -> u32 {
        let span = u64::from(high - low) + 1;
        low + (self.random.next_u64() % span) as u32
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

pub fn hex(word: u64) -> String {
    let mut text = String::with_capacity(16);
    push_hex(&mut text, word);
    text
}

fn push_hex(text: &mut String, word: u64) {
    for n in (0..16).rev() {
        text.push(char::from(
            b"0123456789abcdef"[(word >> (4 * n)) as usize & 15],
        ));
    }
}
