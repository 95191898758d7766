//! Arbitrary bytes as what other members of a group say, to the client that assigns and is assigned to.

use super::embedded::{decode_assignment, decode_subscription, encode_assignment, encode_subscription};
use bytes::Bytes;

pub(crate) fn embedded(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    if let Some(topics) = decode_subscription(&bytes) {
        assert_eq!(decode_subscription(&encode_subscription(&topics)), Some(topics));
    }
    if let Some(assigned) = decode_assignment(&bytes) {
        assert_eq!(decode_assignment(&encode_assignment(&assigned)), Some(assigned));
    }
}

#[cfg(test)]
pub(crate) fn seeds() -> [Bytes; 2] {
    use crate::types::PartitionIndex;
    let assigned = [("orders", vec![0, 1, 7]), ("a", vec![])];
    let partitions = |numbers: Vec<i32>| numbers.into_iter().map(PartitionIndex).collect();
    let assigned = assigned.map(|(name, numbers)| (name.to_owned(), partitions(numbers)));
    [encode_subscription(&["a".to_owned(), "orders".to_owned()]), encode_assignment(&assigned.into())]
}
