//! Bytes that are nearly right: what a seeded generator makes of them, the same in every run.

/// Chance from a seed (SplitMix64).
pub(super) struct Mutator {
    state: u64,
}

/// An input at most.
const BYTES_MAX: usize = 64 << 10;

/// Bytes that often mean something: ends, signs, varints that go on.
const BYTES: [u8; 10] = [0, 1, 2, 0x10, 0x7f, 0x80, 0x81, 0xfe, 0xff, b'"'];
/// Lengths and counts at the ends of what their kind can say.
const NUMBERS: [i64; 14] = [
    0,
    1,
    -1,
    2,
    127,
    128,
    32_767,
    65_535,
    1 << 20,
    i32::MAX as i64,
    i32::MIN as i64,
    u32::MAX as i64,
    i64::MAX,
    i64::MIN,
];
/// The same where numbers are text.
const TEXTS: [&str; 12] = [
    "0",
    "-1",
    "1e9",
    "null",
    "true",
    "[]",
    "2147483647",
    "2147483648",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
];

impl Mutator {
    pub(super) fn new(seed: u64) -> Mutator {
        Mutator { state: seed }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, or 0 if there is none.
    pub(super) fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.next() % end as u64) as usize }
    }

    fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// A range within `length` bytes: mostly a short one.
    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        let longest = if self.below(4) == 0 { length } else { 16 };
        start..(start + self.below(longest + 1)).min(length)
    }

    /// Changes `bytes` in one to eight places; `other` is what they may be spliced with.
    pub(super) fn mutate(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..=self.below(8) {
            self.change(bytes, other);
            bytes.truncate(BYTES_MAX);
        }
    }

    fn change(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let place = self.below(bytes.len());
        match self.below(12) {
            0 | 1 if !bytes.is_empty() => bytes[place] ^= 1 << self.below(8),
            2 | 3 if !bytes.is_empty() => bytes[place] = self.one_of(&BYTES),
            4 => self.put_number(bytes, place),
            5 => self.put_text(bytes, place),
            6 => bytes.truncate(place),
            7 => drop(bytes.drain(self.range(bytes.len()))),
            8 => {
                let part = bytes[self.range(bytes.len())].to_vec();
                drop(bytes.splice(place..place, part));
            }
            9 => {
                let part = other[self.range(other.len())].to_vec();
                let replaced = place..(place + part.len()).min(bytes.len());
                drop(bytes.splice(replaced, part));
            }
            10 => {
                let from = self.below(other.len());
                bytes.truncate(place);
                bytes.extend_from_slice(&other[from..]);
            }
            _ => bytes.insert(place, self.next().to_le_bytes()[0]),
        }
    }

    /// A number of one to eight bytes in either order, or a varint, over what is there.
    fn put_number(&mut self, bytes: &mut Vec<u8>, place: usize) {
        let number = self.one_of(&NUMBERS).wrapping_add(self.below(3) as i64 - 1);
        let width = self.one_of(&[1, 2, 4, 8]);
        let written = match self.below(3) {
            0 => number.to_be_bytes()[8 - width..].to_vec(),
            1 => number.to_le_bytes()[..width].to_vec(),
            _ => varint(number.cast_unsigned()),
        };
        let end = (place + written.len()).min(bytes.len());
        drop(bytes.splice(place..end, written));
    }

    /// A number or a word of JSON in the place of the number there, or at this place.
    fn put_text(&mut self, bytes: &mut Vec<u8>, place: usize) {
        let is_digit = |byte: &u8| byte.is_ascii_digit() || *byte == b'-';
        let start = place + bytes[place..].iter().position(is_digit).unwrap_or(0);
        let digits = bytes[start..].iter().take_while(|byte| is_digit(byte)).count();
        let text = self.one_of(&TEXTS);
        drop(bytes.splice(start..start + digits, text.bytes()));
    }
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
    bytes
}

#[test]
fn the_same_seed_makes_the_same_bytes() {
    let made = |seed| {
        let mut mutator = Mutator::new(seed);
        let mut made = Vec::new();
        for _ in 0..200 {
            let mut bytes = b"{\"v\":1,\"first\":12}".to_vec();
            mutator.mutate(&mut bytes, b"other bytes");
            made.push(bytes);
        }
        made
    };
    assert_eq!(made(3), made(3));
    assert_ne!(made(3), made(4));
    let mut bytes = Vec::new();
    (0..1_000).for_each(|_| Mutator::new(5).mutate(&mut bytes, &[]));
}
