//! Arbitrary bytes as a report of another broker.

use super::reports::{decode, encode};
use bytes::Bytes;

pub(crate) fn report(bytes: &[u8]) {
    if let Some((number, sessions)) = decode(Bytes::copy_from_slice(bytes)) {
        assert_eq!(decode(encode(number, &sessions).into()), Some((number, sessions)));
    }
}

#[cfg(test)]
pub(crate) fn seed() -> Vec<u8> {
    let session = |number| crate::types::SessionId(uuid::Uuid::from_u128(number));
    encode(2, &[session(3), session(1 << 100)].into())
}
