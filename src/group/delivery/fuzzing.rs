//! Arbitrary bytes where share partitions are stored.

use super::stored::{decode, encode};
use crate::group::share::{SharePartition, SharePartitionConfig};
use crate::meta::Entry;
use crate::types::Offset;

/// A share partition comes back from what it is stored as, and whoever goes on with it stores the same again.
pub(crate) fn share_partition(entry: &Entry) {
    let Ok((_, stored)) = decode(entry) else { return };
    let _: i64 = stored.lag(Offset(i64::MAX));
    let Ok(partition) = SharePartition::restore(&stored, SharePartitionConfig::default()) else { return };
    let written = encode(&partition);
    let (_, again) = decode(&Entry { value: written.clone(), ..entry.clone() }).expect("it was just written");
    let again = SharePartition::restore(&again, SharePartitionConfig::default()).expect("it was just stored");
    assert_eq!(encode(&again), written);
}

#[cfg(test)]
pub(crate) fn seed() -> bytes::Bytes {
    let text = r#"{"version":1,"state_epoch":0,"start_offset":10,"batches":[[0,2,0,1],[2,1,2,1],[3,2,0,1],[5,5,4,1]]}"#;
    let stored = serde_json::from_str(text).expect("a stored share partition");
    encode(&SharePartition::restore(&stored, SharePartitionConfig::default()).expect("sound"))
}
