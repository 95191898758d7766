//! Arbitrary bytes where topics are stored.

use super::stored::{decode_name_value, decode_topic, encode_name_value, encode_topic};
use crate::meta::Entry;
use crate::meta::fuzzing::stored;

pub(crate) fn topic(entry: &Entry) {
    stored(entry, decode_topic, encode_topic);
}

pub(crate) fn name(entry: &Entry) {
    stored(entry, decode_name_value, |topic_id| encode_name_value(*topic_id));
}

/// Stored values by the first part of their keys, as they are written today.
#[cfg(test)]
pub(crate) fn seeds() -> [(&'static str, bytes::Bytes); 2] {
    let text = r#"{"version":1,"name":"a.b","partitions":6,"created_ms":1,
        "overrides":{"retention.ms":"5","cleanup.policy":"compact,delete","compression.type":"zstd"}}"#;
    let key = "topics/0123456789abcdef0123456789abcdef";
    let topic = decode_topic(&crate::meta::fuzzing::entry(key, text)).expect("readable");
    [("topics", encode_topic(&topic)), ("topic-names", encode_name_value(topic.id))]
}
