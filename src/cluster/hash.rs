//! The hash that says who leads what: the same number on every machine and in every release, for ever.
//!
//! It is no secret and no checksum. It mixes words of 64 bits with the last step of SplitMix64; a text is its length in
//! bytes and then its bytes, eight to a word, the first the lowest, the last word filled up with zeros. What is hashed
//! begins with a number of its domain, so that a group and a transactional id of one name have nothing in common.

/// What is hashed. The numbers are stored nowhere and fixed all the same.
#[derive(Clone, Copy, Debug)]
pub(super) enum Domain {
    /// A member's draw.
    Draw = 1,
    /// A partition: who leads it, and so archives it.
    Partition = 2,
    /// A group: who coordinates it.
    Group = 3,
    /// A transactional id: who coordinates it.
    TransactionalId = 4,
    /// An ended session: who releases its journal.
    Undertaker = 5,
    /// A session that is to be sealed: who does it first.
    Sealer = 6,
}

/// A hash under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hash(u64);

impl Hash {
    pub(super) fn of(domain: Domain) -> Hash {
        Hash(0).word(domain as u64)
    }

    pub(super) fn word(self, word: u64) -> Hash {
        Hash(mix(self.0.wrapping_add(STEP) ^ word))
    }

    pub(super) fn id(self, id: uuid::Uuid) -> Hash {
        let (high, low) = id.as_u64_pair();
        self.word(high).word(low)
    }

    pub(super) fn text(self, text: &str) -> Hash {
        let mut hash = self.word(text.len() as u64);
        for chunk in text.as_bytes().chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            hash = hash.word(u64::from_le_bytes(word));
        }
        hash
    }

    pub(super) fn finish(self) -> u64 {
        self.0
    }
}

/// SplitMix64's increment: the golden ratio.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Every bit of the result hangs on every bit of the word, and no two words have the same result.
pub(super) fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
