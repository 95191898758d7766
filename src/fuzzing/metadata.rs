//! A value of the metadata store: the first byte says under which key it stands.

use crate::meta::Entry;
use crate::meta::fuzzing::{entry, stored};
use crate::meta::keys::{
    alive, cluster, drained, escaped, journal_starts, journals, producer_ids, sessions, unescaped, view,
};
use crate::segment::manifest::{ManifestPointer, pointer_key};
use crate::{group, store, topic, txn};
use bytes::Bytes;

/// How a value is checked.
type Check = fn(&Entry);

/// Under which keys values stand, by the first byte of an input.
pub(super) const KINDS: [(&str, Check); 16] = [
    ("key", keys),
    ("cluster", |entry| stored(entry, cluster::Cluster::decode, cluster::Cluster::encode)),
    ("journal-starts", |entry| {
        stored(entry, journal_starts::JournalStart::decode, journal_starts::JournalStart::encode);
    }),
    ("journals", |entry| stored(entry, journals::Journal::decode, journals::Journal::encode)),
    ("producer-ids", |entry| {
        stored(entry, producer_ids::ProducerIds::decode, producer_ids::ProducerIds::encode);
    }),
    ("sessions", |entry| stored(entry, sessions::Session::decode, sessions::Session::encode)),
    ("view", |entry| stored(entry, view::View::decode, view::View::encode)),
    ("manifests", |entry| stored(entry, ManifestPointer::decode, ManifestPointer::encode)),
    ("topics", topic::fuzzing::topic),
    ("topic-names", topic::fuzzing::name),
    ("groups", group::fuzzing::group),
    ("group-offsets", group::fuzzing::offsets),
    ("group-producers", group::fuzzing::producers),
    ("group-settings", group::fuzzing::settings),
    ("share-partitions", group::fuzzing::share_partition),
    ("transactions", txn::fuzzing::transaction),
];

pub(super) fn check(bytes: &[u8]) {
    let Some((&kind, value)) = bytes.split_first() else { return };
    let Some((name, check)) = KINDS.get(usize::from(kind)) else {
        return store::fuzzing::claim(value);
    };
    // Where a key says whose value it is: of a topic or a partition.
    let key = format!("{name}/0123456789abcdef0123456789abcdef/3");
    let key = if *name == "topics" { key.trim_end_matches("/3").to_owned() } else { key };
    check(&entry(&key, Bytes::copy_from_slice(value)));
}

/// Keys, which others may have written: each names one thing or none.
fn keys(entry: &Entry) {
    let Ok(key) = std::str::from_utf8(&entry.value) else { return };
    assert_eq!(unescaped(&escaped(key)).as_deref(), Some(key));
    let _: Option<String> = unescaped(key);
    for session_of in
        [alive::session_of, journal_starts::session_of, journals::session_of, sessions::session_of]
    {
        let _: Option<_> = session_of(key);
    }
    let _: Option<_> = drained::broker_of(key);
    if let Some(topic_partition) = ManifestPointer::partition_of(key) {
        assert_eq!(pointer_key(topic_partition), key);
    }
}
