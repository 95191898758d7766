//! The stored form, byte for byte: what was written once is read for ever.
//!
//! The text is what `zstdcat` shows. Its compressed form may change with the library, hence only has to be readable.

use super::*;

const TEXT: &str = include_str!("golden/root.jsonl");
const OBJECT: &str = include_str!("golden/root.jsonl.zst.hex");

fn golden() -> Manifest {
    let open = OpenTransactionSnapshot { ordinal: TransactionOrdinal(5), first_offset: Offset(12) };
    let in_transaction = ProducerSnapshot {
        open: Some(open),
        ended: TransactionOrdinal(4),
        coordinator_view: ViewNumber(6),
        ..producer(2_002, 13)
    };
    let compacted =
        Segment { rows: 4, tombstones: 1, level: 2, leader_epoch: LeaderEpoch(1), ..segment(0, 10) };
    let taken = Archived {
        segments: vec![compacted, segment(10, 20)],
        archived_offset: Offset(22),
        leader_epochs: vec![epoch(1, 0), epoch(2, 10)],
        producers: vec![producer(1_001, 20), in_transaction],
    };
    let manifest =
        Manifest::new(topic_partition(), Offset(3)).append_segments(taken).expect("legal").manifest;
    let pass = CleanPass { up_to: Offset(10), at: Timestamp(1_700_000_000_000) };
    manifest.note_clean_pass(pass).expect("legal").manifest
}

#[test]
fn the_text_of_a_root_stays() {
    let object = golden().encode(None, || Uuid::from_u128(1)).root;
    let text = zstd::bulk::decompress(&object.bytes, 1 << 20).expect("it is whole");
    assert_eq!(String::from_utf8(text).expect("text"), TEXT);
}

#[test]
fn the_bytes_of_a_root_are_read() {
    let hex: String = OBJECT.split_whitespace().collect();
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex digits");
    let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
    let named = ObjectRef { id: Uuid::from_u128(1), bytes: bytes.len() as u64, crc32c: CRC32C };
    let root = Root::decode(topic_partition(), &named, &bytes).expect("a root");
    let opened = root.open(&ManifestPointer::to(named, &golden()), Vec::new()).expect("whole");
    assert_same(&opened.manifest, &golden());
}

/// Of the golden object.
const CRC32C: u32 = 0xe15b_8f63;

#[test]
fn the_text_of_parts_stays() {
    let segments: Vec<_> = (0..1_001).map(|number| segment(number * 10, number * 10 + 10)).collect();
    let producers: Vec<_> = (0..1_001).map(|id| producer(id, 20)).collect();
    let taken = Archived { producers, ..archived(segments, 10_010) };
    let manifest =
        Manifest::new(topic_partition(), Offset::ZERO).append_segments(taken).expect("legal").manifest;
    let encoded = manifest.encode(None, || Uuid::from_u128(1));
    let lines = |object: &EncodedObject| -> Vec<String> {
        let text = zstd::bulk::decompress(&object.bytes, 1 << 20).expect("it is whole");
        String::from_utf8(text).expect("text").lines().map(str::to_owned).collect()
    };
    let [segments, producers] = encoded.new_parts.as_slice() else { panic!("two parts") };
    let (segments, producers, root) = (lines(segments), lines(producers), lines(&encoded.root));
    let head = |kind: &str, lines: usize| {
        let id = topic_partition().topic_id;
        format!(
            r#"{{"head":{{"format":"cenote-manifest","v":1,"kind":"{kind}","topic_id":"{id}","partition":3,"lines":{lines}}}}}"#
        )
    };
    assert_eq!(
        [&segments[0], &producers[0], &root[0]],
        [&head("segments", 1_000), &head("producers", 1_001), &head("root", 4)]
    );
    assert!(
        segments[1].starts_with(r#"{"segment":{"offsets":[0,10],"timestamps":[1000,1009],"#),
        "{}",
        segments[1]
    );
    assert!(
        producers[1].starts_with(r#"{"producer":{"id":0,"epoch":1,"batches":[[7,7,19,20]],"#),
        "{}",
        producers[1]
    );
    assert!(
        root[2].starts_with(r#"{"producers":{"id":"00000000000000000000000000000001","bytes":"#),
        "{}",
        root[2]
    );
    let part = r#""offsets":[0,10000],"segments":1000,"rows":10000,"file_bytes":800000}}"#;
    assert!(root[3].starts_with(r#"{"part":{"object":{"id":"#) && root[3].ends_with(part), "{}", root[3]);
}
