//! Snappy as Kafka has it: raw, or in the blocks of the Java library (xerial).
//!
//! ```text
//! 82 'S' 'N' 'A' 'P' 'P' 'Y' 00 | version i32 (1) | least compatible version i32 (1)
//! block: length i32 | raw snappy of at most 32 KiB          ... as many as it takes
//! ```

use super::{Codec, CompressionError, malformed};

const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const HEADER_BYTES: usize = 16;
const BLOCK_BYTES: usize = 32 * 1024;

/// Both framings.
pub(super) fn decompress(payload: &[u8], bytes_max: usize) -> Result<Vec<u8>, CompressionError> {
    let mut plain = Vec::new();
    if !payload.starts_with(&MAGIC) {
        append_block(payload, &mut plain, bytes_max)?;
        return Ok(plain);
    }
    let mut blocks = payload.get(HEADER_BYTES..).ok_or_else(|| malformed(Codec::Snappy, "short header"))?;
    while !blocks.is_empty() {
        let block = take_block(&mut blocks).ok_or_else(|| malformed(Codec::Snappy, "short block"))?;
        append_block(block, &mut plain, bytes_max)?;
    }
    Ok(plain)
}

/// In blocks, as the Java client writes it.
pub(super) fn compress(plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES + plain.len() / 2);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 1]);
    let mut encoder = snap::raw::Encoder::new();
    for block in plain.chunks(BLOCK_BYTES) {
        let packed = encoder.compress_vec(block).expect("a block is far below snappy's limit");
        let length = u32::try_from(packed.len()).expect("a block is far below 4 GiB");
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&packed);
    }
    out
}

fn take_block<'a>(blocks: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = blocks.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (block, rest) = rest.split_at_checked(length)?;
    *blocks = rest;
    Some(block)
}

/// A block says how long it is when plain. No byte of snappy stands for more than 64, so that a length past
/// that is a lie, which is found out before memory is reserved for it.
fn append_block(block: &[u8], plain: &mut Vec<u8>, bytes_max: usize) -> Result<(), CompressionError> {
    let bytes = snap::raw::decompress_len(block).map_err(|error| malformed(Codec::Snappy, error))?;
    if bytes > block.len().saturating_mul(64) {
        return Err(malformed(Codec::Snappy, "the length claimed cannot be"));
    }
    let start = plain.len();
    if bytes > bytes_max - start {
        return Err(CompressionError::TooLarge { bytes_max });
    }
    plain.resize(start + bytes, 0);
    let written = snap::raw::Decoder::new().decompress(block, &mut plain[start..]);
    let written = written.map_err(|error| malformed(Codec::Snappy, error))?;
    plain.truncate(start + written);
    Ok(())
}
