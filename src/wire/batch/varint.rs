//! Zigzag varints, as records have them: little groups of seven bits first, sign in the lowest bit.

/// Reads from the front of `bytes`. `None` when they end early or the number is over 32 bits.
#[inline]
pub(super) fn take_i32(bytes: &mut &[u8]) -> Option<i32> {
    if let Some(value) = take_small(bytes) {
        return Some(value);
    }
    i32::try_from(take_long(bytes)?).ok()
}

/// Reads from the front of `bytes`. `None` when they end early or the number is over 64 bits.
#[inline]
pub(super) fn take_i64(bytes: &mut &[u8]) -> Option<i64> {
    match take_small(bytes) {
        Some(value) => Some(i64::from(value)),
        None => take_long(bytes),
    }
}

/// One and two bytes, by far the most frequent: deltas, and lengths under 8 KiB.
#[inline]
fn take_small(bytes: &mut &[u8]) -> Option<i32> {
    let (zigzag, rest) = match *bytes {
        [first @ 0..0x80, rest @ ..] => (i32::from(*first), rest),
        [first, second @ 0..0x80, rest @ ..] => (i32::from(*first & 0x7f) | i32::from(*second) << 7, rest),
        _ => return None,
    };
    *bytes = rest;
    Some((zigzag >> 1) ^ -(zigzag & 1))
}

fn take_long(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0u64;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        if index == 9 && *byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if *byte < 0x80 {
            *bytes = &bytes[index + 1..];
            return Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    None
}

/// Writes `value` at the end of `out`.
pub(super) fn put(out: &mut Vec<u8>, value: i64) {
    let mut zigzag = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while zigzag >= 0x80 {
        out.push(zigzag.to_le_bytes()[0] | 0x80);
        zigzag >>= 7;
    }
    out.push(zigzag.to_le_bytes()[0]);
}

/// Bytes that [`put`] writes.
pub(super) fn bytes_of(value: i64) -> usize {
    let zigzag = ((value << 1) ^ (value >> 63)).cast_unsigned();
    let bits = 64 - (zigzag | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}
