//! The fields of requests and answers between brokers: numbers are big-endian, a text has its length in two bytes.

use super::{REQUEST_BYTES_MAX, VERSION};
use bytes::{Buf, BufMut, Bytes};
use uuid::Uuid;

/// Reads fields one after the other. Nothing is believed of a length that the bytes do not have.
#[derive(Clone, Debug)]
pub struct Fields(Bytes);

/// Bytes that do not follow their layout, or are of another release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed bytes of another broker")]
pub struct Malformed;

macro_rules! number {
    ($name:ident, $kind:ty, $read:ident) => {
        /// The next number.
        pub fn $name(&mut self) -> Result<$kind, Malformed> {
            if self.0.remaining() < size_of::<$kind>() {
                return Err(Malformed);
            }
            Ok(self.0.$read())
        }
    };
}

impl Fields {
    /// What follows the version.
    pub fn new(bytes: Bytes) -> Result<Fields, Malformed> {
        if bytes.len() > REQUEST_BYTES_MAX {
            return Err(Malformed);
        }
        let mut fields = Fields(bytes);
        if fields.u8()? == VERSION { Ok(fields) } else { Err(Malformed) }
    }

    number!(u8, u8, get_u8);
    number!(u16, u16, get_u16);
    number!(u32, u32, get_u32);
    number!(u64, u64, get_u64);
    number!(i16, i16, get_i16);
    number!(i32, i32, get_i32);
    number!(i64, i64, get_i64);
    number!(u128, u128, get_u128);

    /// The next id.
    pub fn uuid(&mut self) -> Result<Uuid, Malformed> {
        self.u128().map(Uuid::from_u128)
    }

    /// The next text, of at most `bytes_max`.
    pub fn text(&mut self, bytes_max: usize) -> Result<String, Malformed> {
        let length = usize::from(self.u16()?);
        if length > bytes_max || self.0.remaining() < length {
            return Err(Malformed);
        }
        String::from_utf8(self.0.split_to(length).to_vec()).map_err(|_| Malformed)
    }

    /// Sees that nothing follows.
    pub fn end(self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

/// Writes a text. Its length was checked where it came in.
pub fn put_text(to: &mut Vec<u8>, text: &str) {
    to.put_u16(u16::try_from(text.len()).expect("names are at most a few kilobytes long"));
    to.put_slice(text.as_bytes());
}
