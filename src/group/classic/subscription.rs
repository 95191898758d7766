//! What a group may know of its members' subscriptions: the topics' names.
//!
//! ```text
//! version i16 │ count i32 │ count × (length i16, name) │ user data, owned partitions … not read
//! ```
//!
//! All versions (0 to 3, and later ones by Kafka's rule that they only append) begin alike.

use std::collections::BTreeSet;

/// The type of groups whose metadata are subscriptions.
pub const CONSUMER_PROTOCOL_TYPE: &str = "consumer";

/// The topics of a subscription; `None` if the bytes are none. Takes no more memory than the bytes given.
pub fn topics(metadata: &[u8]) -> Option<BTreeSet<String>> {
    let mut rest = metadata;
    let version = i16::from_be_bytes(take(&mut rest)?);
    let count = i32::from_be_bytes(take(&mut rest)?);
    if version < 0 || count < 0 {
        return None;
    }
    let mut topics = BTreeSet::new();
    // A count beyond the bytes ends by lack of bytes: each name takes two at least.
    for _ in 0..count {
        let length = usize::try_from(i16::from_be_bytes(take(&mut rest)?)).ok()?;
        let (name, after) = rest.split_at_checked(length)?;
        topics.insert(std::str::from_utf8(name).ok()?.to_owned());
        rest = after;
    }
    Some(topics)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*head)
}
