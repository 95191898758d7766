//! Which partition a record goes to, as the Java client decides it: by its key's murmur2, or, without a key,
//! the same partition until a batch's worth of bytes went there (KIP-480, KIP-794).

use crate::types::PartitionIndex;

/// The hash of Kafka's Java client: murmur2, 32 bits, with its own seed.
#[must_use]
pub fn murmur2(key: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let mut hash = SEED ^ u32::try_from(key.len()).unwrap_or(u32::MAX);
    let (words, tail) = key.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !tail.is_empty() {
        for (place, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * place);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// The partition of a key in a topic of `partitions`, at least 1.
#[must_use]
pub fn partition_of_key(key: &[u8], partitions: u32) -> PartitionIndex {
    let positive = murmur2(key) & 0x7fff_ffff;
    PartitionIndex(i32::try_from(positive % partitions.max(1)).expect("31 bits"))
}

/// The partition of records without a key, for a while.
#[derive(Clone, Debug)]
pub(super) struct Sticky {
    partition: u32,
    bytes: usize,
    chance: u64,
}

impl Sticky {
    /// `seed` decides the order of partitions.
    pub(super) fn new(seed: u64) -> Sticky {
        Sticky { partition: u32::MAX, bytes: 0, chance: seed | 1 }
    }

    /// Where a record of `bytes` goes.
    pub(super) fn next(&mut self, bytes: usize, partitions: u32, batch_bytes: usize) -> PartitionIndex {
        if self.bytes >= batch_bytes || self.partition >= partitions {
            self.partition = self.draw(partitions.max(1));
            self.bytes = 0;
        }
        self.bytes += bytes;
        PartitionIndex(i32::try_from(self.partition).unwrap_or(0))
    }

    /// xorshift: even enough for spreading; another one than before, if there is another.
    fn draw(&mut self, partitions: u32) -> u32 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        let drawn = u32::try_from((self.chance >> 16) % u64::from(partitions)).unwrap_or(0);
        if drawn == self.partition { (drawn + 1) % partitions } else { drawn }
    }
}

#[cfg(test)]
mod tests;
