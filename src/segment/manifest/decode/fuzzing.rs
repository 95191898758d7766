//! Arbitrary bytes as the objects of a manifest.

use super::super::edit::Edited;
use super::super::frame::{ObjectRef, compressed, crc32c};
use super::super::{Manifest, ManifestPointer};
use super::{Opened, Part, Root};
use crate::types::{Offset, PartitionIndex, TopicId, TopicPartition};
use uuid::Uuid;

/// Whose manifest it is.
pub(crate) const PARTITION: TopicPartition = TopicPartition {
    topic_id: TopicId(Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef)),
    partition: PartitionIndex(3),
};
/// In the first byte: what follows is one object as it lies in the store, not the texts of all.
const AS_STORED: u8 = 0x80;

/// The texts of a root and of its parts, with a zero between them, or one object. The first byte says which, and how far the
/// log start has moved since.
pub(crate) fn manifest(bytes: &[u8]) {
    let Some((&choice, bytes)) = bytes.split_first() else { return };
    if choice & AS_STORED != 0 {
        let _: Result<Part, _> = Part::decode(PARTITION, &named(bytes), bytes);
        open(bytes, std::iter::empty(), choice & !AS_STORED);
    } else {
        let mut texts = bytes.split(|byte| *byte == 0).map(compressed);
        let root = texts.next().expect("what is split has a first piece");
        open(&root, texts, choice);
    }
}

/// What names an object of these bytes.
fn named(bytes: &[u8]) -> ObjectRef {
    ObjectRef { id: Uuid::from_u128(9), bytes: bytes.len() as u64, crc32c: crc32c(bytes) }
}

fn open(root: &[u8], parts: impl Iterator<Item = Vec<u8>>, moved: u8) {
    let Ok(root) = Root::decode(PARTITION, &named(root), root) else { return };
    let wanted: Vec<ObjectRef> = root.wanted().collect();
    let parts = wanted.into_iter().zip(parts).map(|(wanted, object)| {
        Part::decode(PARTITION, &named(&object), &object).map(|part| Part { named: wanted, ..part })
    });
    let Ok(parts) = parts.collect() else { return };
    let pointer = ManifestPointer {
        root: Some(root.named),
        log_start_offset: Offset(root.state.log_start.saturating_add(moved.into())),
        archived_offset: Offset(root.state.archived),
    };
    if let Ok(opened) = root.open(&pointer, parts) {
        check(opened, &pointer);
    }
}

/// What was read is sound, and comes back from what is written of it.
fn check(opened: Opened, pointer: &ManifestPointer) {
    let Opened { manifest, layout, unreferenced } = opened;
    assert_eq!(manifest.fault(), None);
    assert!(manifest.log_start_offset() >= pointer.log_start_offset);
    assert!(unreferenced.iter().all(|segment| segment.offsets.end <= manifest.log_start_offset()));
    for segment in manifest.segments() {
        assert_eq!(manifest.segment_at(segment.offsets.start), Some(segment));
    }
    assert_eq!(manifest.segment_of_max_timestamp().is_some(), manifest.segments().next().is_some());

    let encoded = manifest.encode(None, ids());
    let objects = |named: ObjectRef| {
        let new =
            encoded.new_parts.iter().find(|part| part.named == named).expect("nothing was there before");
        Part::decode(PARTITION, &named, &new.bytes).expect("it was just written")
    };
    let root =
        Root::decode(PARTITION, &encoded.root.named, &encoded.root.bytes).expect("it was just written");
    let parts = root.wanted().map(objects).collect();
    let again = root.open(&ManifestPointer::to(encoded.root.named, &manifest), parts);
    assert_same(&again.expect("it was just written").manifest, &manifest);

    let Edited { manifest: all_dropped, .. } = manifest.drop_before(Offset(i64::MAX));
    assert!(all_dropped.segments().next().is_none());
    let next = manifest.encode(Some(&layout), ids());
    assert_eq!(next.dropped_root, pointer.root);
}

fn ids() -> impl FnMut() -> Uuid {
    let mut last = 100;
    move || {
        last += 1;
        Uuid::from_u128(last)
    }
}

fn assert_same(left: &Manifest, right: &Manifest) {
    assert!(left.segments().eq(right.segments()), "the same segments");
    assert_eq!(left.totals(), right.totals());
    assert_eq!(left.log_start_offset(), right.log_start_offset());
    assert_eq!(left.archived_offset(), right.archived_offset());
    assert_eq!(left.leader_epochs(), right.leader_epochs());
    assert_eq!(left.clean_passes(), right.clean_passes());
    assert_eq!(left.producers(), right.producers());
}

/// A root alone, one with a part of segments and one of producers, and the first as it is stored.
#[cfg(test)]
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    use super::super::chunks::Chunk;
    use super::super::frame::{Kind, encode};
    use super::super::stored::{Line, StoredPart, StoredProducer, StoredRef, StoredSegment, StoredState};
    let text = |object: &[u8]| zstd::bulk::decompress(object, 1 << 20).expect("it is whole");
    let golden = compressed(include_bytes!("../tests/golden/root.jsonl"));
    let root = Root::decode(PARTITION, &named(&golden), &golden).expect("it stays readable");
    let (log_start_offset, archived_offset) = (Offset(root.state.log_start), Offset(root.state.archived));
    let pointer = ManifestPointer { root: Some(root.named), log_start_offset, archived_offset };
    let manifest = root.open(&pointer, Vec::new()).expect("it stays sound").manifest;
    let alone = manifest.encode(None, ids()).root.bytes;

    let segments: Vec<_> = manifest.segments().cloned().collect();
    let chunk = Chunk::new(segments[..1].to_vec()).expect("one segment");
    let part = [Line::Segment(StoredSegment::from(&segments[0]))];
    let part = encode(PARTITION, Kind::Segments, &part);
    let producers =
        manifest.producers().iter().map(|producer| Line::Producer(StoredProducer::from(producer)));
    let producers = encode(PARTITION, Kind::Producers, &producers.collect::<Vec<_>>());
    let lines = [
        Line::Root(StoredState::of(&manifest)),
        Line::Producers(StoredRef::from(named(&producers))),
        Line::Part(StoredPart::new(named(&part), &chunk)),
        Line::Segment(StoredSegment::from(&segments[1])),
    ];
    let with_parts = encode(PARTITION, Kind::Root, &lines);
    let texts = [text(&with_parts), text(&part), text(&producers)].join(&0);
    vec![
        [&[0][..], &text(&alone)].concat(),
        [&[4][..], &texts].concat(),
        [&[AS_STORED][..], &alone].concat(),
        [&[AS_STORED][..], &part].concat(),
    ]
}
