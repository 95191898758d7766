//! Record batches of a wanted size, as a producer sends them.

use bytes::Bytes;
use cenote::types::Timestamp;
use cenote::wire::batch::{BatchBuilder, Codec, HEADER_BYTES, NO_PRODUCER};

pub const KIB: usize = 1024;
pub const MIB: usize = 1024 * KIB;

/// What a record has besides its value, at most: its lengths, deltas and attributes.
const RECORD_OVERHEAD_MAX: usize = 20;

/// An uncompressed batch of at most `bytes`, and of as many records of `value_bytes` as fit, at least one.
pub fn batch(bytes: usize, value_bytes: usize) -> Bytes {
    let room = bytes - HEADER_BYTES - RECORD_OVERHEAD_MAX;
    let value = value_of(value_bytes.min(room));
    let mut builder = BatchBuilder::new();
    let mut next = 0;
    while builder.is_empty() || builder.bytes() + value.len() + RECORD_OVERHEAD_MAX <= bytes {
        builder.append(Timestamp(FIRST_TIMESTAMP.get() + next), None, Some(&value), &[]);
        next += 1;
    }
    builder.finish(Codec::None, NO_PRODUCER)
}

pub const FIRST_TIMESTAMP: Timestamp = Timestamp(1_750_000_000_000);

/// Letters in no order that a processor would guess, and the same in every run.
fn value_of(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let letter = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        b'a' + (state % 26) as u8
    };
    (0..bytes).map(letter).collect()
}
