//! Arbitrary bytes where a store says whose it is.

use super::claim::{decode, encode};

pub(crate) fn claim(bytes: &[u8]) {
    match decode(bytes) {
        Ok(cluster_id) => assert!(matches!(decode(&encode(cluster_id)), Ok(again) if again == cluster_id)),
        Err(error) => drop(error.to_string()),
    }
}

#[cfg(test)]
pub(crate) fn seed() -> Vec<u8> {
    encode(crate::types::ClusterId(uuid::Uuid::from_u128(5)))
}
