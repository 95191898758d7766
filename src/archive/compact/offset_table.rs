//! Keys and the last offset of each, in a table that is given its memory once.
//!
//! A key is known by a digest of 128 bits, of SipHash under a secret that each pass has anew: two of a billion keys
//! are taken for one with a chance of 10⁻²¹, and nobody can choose keys to make it happen.

use crate::types::Offset;
use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;

/// The secret of a pass: two random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashKey(pub u64, pub u64);

/// Keys to offsets.
pub(super) struct OffsetTable {
    hash_key: HashKey,
    slots: Vec<Slot>,
    keys: usize,
    keys_max: usize,
}

#[derive(Clone, Copy)]
struct Slot {
    digest: [u64; 2],
    offset: i64,
}

const EMPTY: Slot = Slot { digest: [0; 2], offset: -1 };

/// Slots of a hundred that are used: past that, looking for a free one takes too long.
const FULL_PERCENT: usize = 80;

/// The table has no room for another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TableFull;

impl OffsetTable {
    /// A table of at most `memory_bytes`, and no larger than `keys_expected` need; it takes one key at least.
    pub fn new(memory_bytes: usize, keys_expected: u64, hash_key: HashKey) -> OffsetTable {
        let affordable = memory_bytes / size_of::<Slot>();
        let useful = usize::try_from(keys_expected.saturating_mul(100) / FULL_PERCENT as u64 + 1);
        let slots = affordable.min(useful.unwrap_or(usize::MAX)).max(2);
        let keys_max = (slots / 100 * FULL_PERCENT + slots % 100 * FULL_PERCENT / 100).max(1);
        OffsetTable { hash_key, slots: vec![EMPTY; slots], keys: 0, keys_max }
    }

    /// Notes that `key` stands at `offset`, which is not below any given before.
    pub fn put(&mut self, key: &[u8], offset: Offset) -> Result<(), TableFull> {
        let digest = self.digest(key);
        let place = self.place(digest);
        let slot = &mut self.slots[place];
        if slot.offset == EMPTY.offset {
            if self.keys == self.keys_max {
                return Err(TableFull);
            }
            self.keys += 1;
        }
        *slot = Slot { digest, offset: offset.0 };
        Ok(())
    }

    /// The last offset of `key`, if it is known.
    pub fn get(&self, key: &[u8]) -> Option<Offset> {
        let slot = self.slots[self.place(self.digest(key))];
        (slot.offset != EMPTY.offset).then_some(Offset(slot.offset))
    }

    pub fn keys(&self) -> usize {
        self.keys
    }

    pub fn memory_bytes(&self) -> usize {
        self.slots.len() * size_of::<Slot>()
    }

    /// The slot of a digest, or the one that it would get.
    fn place(&self, digest: [u64; 2]) -> usize {
        let len = self.slots.len();
        // The upper bits of the product are the digest's share of the length.
        let mut place = ((u128::from(digest[0]) * len as u128) >> 64) as usize;
        loop {
            let slot = &self.slots[place];
            if slot.offset == EMPTY.offset || slot.digest == digest {
                return place;
            }
            place = if place + 1 == len { 0 } else { place + 1 };
        }
    }

    fn digest(&self, key: &[u8]) -> [u64; 2] {
        let mut hasher = SipHasher13::new_with_keys(self.hash_key.0, self.hash_key.1);
        hasher.write(key);
        let digest = hasher.finish128();
        [digest.h1, digest.h2]
    }
}
