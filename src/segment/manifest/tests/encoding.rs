//! Bytes come back as they were, and anything else is refused.

use super::super::frame::{self, Kind, crc32c};
use super::super::stored::{Line, StoredSegment, StoredState};
use super::*;
use proptest::prelude::*;

/// Everything that a manifest can hold, with parts.
fn full(segments: i64, producers: i64) -> Manifest {
    let open = OpenTransactionSnapshot { ordinal: TransactionOrdinal(9), first_offset: Offset(4) };
    let ended = TransactionOrdinal(8);
    let mut known: Vec<_> = (0..producers).map(|id| producer(id, 1 + id % 9)).collect();
    known.push(ProducerSnapshot { open: Some(open), ended, ..producer(producers, 9) });
    let taken = Archived {
        segments: (0..segments).map(|number| segment(number * 10, number * 10 + 9)).collect(),
        archived_offset: Offset(segments * 10 + 5),
        leader_epochs: vec![epoch(1, 0), epoch(3, 7)],
        producers: known,
    };
    let manifest =
        Manifest::new(topic_partition(), Offset(3)).append_segments(taken).expect("legal").manifest;
    let pass = CleanPass { up_to: Offset(8), at: Timestamp(1_700_000_000_000) };
    manifest.note_clean_pass(pass).expect("legal").manifest
}

#[test]
fn a_manifest_is_read_back() {
    for (segments, producers, parts) in
        [(1, 3, 0), (1_000, 999, 0), (1_001, 0, 1), (2_500, 1_000, 3), (10, 5_000, 1)]
    {
        let manifest = full(segments, producers);
        let mut objects = Objects::default();
        let encoded = objects.save(&manifest, None);
        assert_eq!(encoded.new_parts.len(), parts, "{segments} segments, {producers} producers");
        let opened = objects.open(&ManifestPointer::to(encoded.root.named, &manifest)).expect("readable");
        assert_same(&opened.manifest, &manifest);
        assert_eq!(opened.unreferenced, []);
        assert!(opened.layout.objects().eq(encoded.layout.objects()));
    }
}

#[test]
fn a_manifest_without_segments_is_read_back() {
    let manifest = Manifest::new(topic_partition(), Offset(9));
    let manifest = manifest.append_segments(archived(Vec::new(), 5)).expect("legal").manifest;
    let mut objects = Objects::default();
    let root = objects.save(&manifest, None).root.named;
    assert_same(&objects.open(&ManifestPointer::to(root, &manifest)).expect("readable").manifest, &manifest);
}

#[test]
fn a_change_rewrites_the_root_and_the_parts_it_touches() {
    let before = full(5_500, 2_000);
    let mut objects = Objects::default();
    let first = objects.save(&before, None);
    assert_eq!(first.new_parts.len(), 6, "five of segments, one of producers");
    let opened = objects.open(&ManifestPointer::to(first.root.named, &before)).expect("readable");
    // A merge in the third part, by who read the manifest and by who wrote it.
    let run: Vec<_> = before.segments_from(Offset(25_000)).take(8).cloned().collect();
    let merged = segment(run[0].offsets.start.0, run[7].offsets.end.0);
    let merged = Segment { rows: 72, ..merged };
    for (manifest, layout) in [(&before, &first.layout), (&opened.manifest, &opened.layout)] {
        let edited = manifest.replace(&run, vec![merged.clone()]).expect("legal").manifest;
        let second = objects.save(&edited, Some(layout));
        assert_eq!((second.new_parts.len(), second.dropped_parts.len()), (1, 1));
        assert_eq!(second.dropped_root, Some(first.root.named));
        assert_same(
            &objects.open(&ManifestPointer::to(second.root.named, &edited)).expect("readable").manifest,
            &edited,
        );
    }
    let next = Archived {
        producers: before.producers().to_vec(),
        ..archived(vec![segment(60_000, 60_009)], 60_010)
    };
    let appended = before.append_segments(next).expect("legal").manifest;
    let second = objects.save(&appended, Some(&first.layout));
    assert_eq!(second.new_parts.len(), 1, "the producers: they may all have moved");
    assert_eq!(objects.save(&before, Some(&first.layout)).new_parts.len(), 0, "what is the same is kept");
}

#[test]
fn a_log_start_that_moved_alone_is_the_pointers() {
    let manifest = full(20, 1);
    let mut objects = Objects::default();
    let root = objects.save(&manifest, None).root.named;
    let moved = manifest.drop_before(Offset(105));
    let opened = objects.open(&ManifestPointer::to(root, &moved.manifest)).expect("readable");
    assert_same(&opened.manifest, &moved.manifest);
    assert_eq!(opened.unreferenced, moved.unreferenced);
    assert_eq!(opened.unreferenced.len(), 10);
}

#[test]
fn a_pointer_that_does_not_fit_is_refused() {
    let manifest = full(5, 1);
    let mut objects = Objects::default();
    let pointer = ManifestPointer::to(objects.save(&manifest, None).root.named, &manifest);
    objects.open(&pointer).expect("readable");
    for wrong in [
        ManifestPointer { log_start_offset: Offset(2), ..pointer.clone() },
        ManifestPointer { archived_offset: Offset(54), ..pointer.clone() },
        ManifestPointer { archived_offset: Offset(56), ..pointer.clone() },
    ] {
        let refused = objects.open(&wrong).map(|_| ());
        assert!(matches!(refused, Err(DecodeError::Malformed { .. })), "{refused:?}");
    }
}

#[test]
fn another_partitions_object_is_refused() {
    let encoded = full(5, 1).encode(None, || Uuid::from_u128(1));
    let other = TopicPartition { partition: PartitionIndex(4), ..topic_partition() };
    let refused = Root::decode(other, &encoded.root.named, &encoded.root.bytes).map(|_| ());
    assert!(matches!(refused, Err(DecodeError::Malformed { .. })), "{refused:?}");
}

#[test]
fn a_part_is_no_root_and_a_root_no_part() {
    let encoded = full(1_500, 1).encode(None, Uuid::new_v4);
    let part = &encoded.new_parts[0];
    Part::decode(topic_partition(), &part.named, &part.bytes).expect("a part");
    Root::decode(topic_partition(), &part.named, &part.bytes).map(|_| ()).expect_err("no root");
    Part::decode(topic_partition(), &encoded.root.named, &encoded.root.bytes)
        .map(|_| ())
        .expect_err("no part");
}

#[test]
fn parts_are_opened_as_the_root_names_them() {
    let manifest = full(2_500, 1);
    let encoded = manifest.encode(None, Uuid::new_v4);
    let pointer = ManifestPointer::to(encoded.root.named, &manifest);
    let root = || Root::decode(topic_partition(), &encoded.root.named, &encoded.root.bytes).expect("a root");
    let part = |place: usize| {
        let part = &encoded.new_parts[place];
        Part::decode(topic_partition(), &part.named, &part.bytes).expect("a part")
    };
    root().open(&pointer, vec![part(0), part(1)]).expect("as named");
    for wrong in [vec![part(0)], vec![part(1), part(0)], vec![part(0), part(1), part(1)], vec![]] {
        root().open(&pointer, wrong).map(|_| ()).expect_err("not as named");
    }
}

/// Opens a root that is made of these lines and sealed with the right checksum.
fn open_lines(lines: &[Line]) -> Result<Opened, DecodeError> {
    let bytes = frame::encode(topic_partition(), Kind::Root, lines);
    let named = ObjectRef { id: Uuid::from_u128(1), bytes: bytes.len() as u64, crc32c: crc32c(&bytes) };
    let root = Root::decode(topic_partition(), &named, &bytes)?;
    let pointer =
        ManifestPointer { root: Some(named), log_start_offset: Offset(3), archived_offset: Offset(15) };
    root.open(&pointer, Vec::new())
}

#[test]
fn what_breaks_an_invariant_is_refused_though_its_checksum_is_right() {
    let state = || Line::Root(StoredState::of(&full(1, 0)));
    let line = |segment: &Segment| Line::Segment(StoredSegment::from(segment));
    open_lines(&[state(), line(&segment(0, 9)), line(&segment(9, 15))]).expect("legal");
    for wrong in [
        vec![],
        vec![line(&segment(0, 9))],
        vec![state(), state()],
        vec![line(&segment(0, 9)), state()],
        vec![state(), line(&segment(0, 9)), line(&segment(8, 15))],
        vec![state(), line(&segment(9, 15)), line(&segment(0, 9))],
        vec![state(), line(&segment(9, 16))],
        vec![state(), line(&segment(0, 3))],
        vec![state(), line(&Segment { rows: 99, ..segment(0, 9) })],
        vec![state(), line(&Segment { offsets: Offset(i64::MIN)..Offset(i64::MAX), ..segment(0, 9) })],
        vec![state(), line(&Segment { leader_epoch: LeaderEpoch(-1), ..segment(0, 9) })],
    ] {
        let refused = open_lines(&wrong).map(|_| ());
        assert!(matches!(refused, Err(DecodeError::Malformed { .. })), "{wrong:?}: {refused:?}");
    }
}

/// Seals `text` as an object and reads it.
fn decode_text(text: &str) -> Result<(), DecodeError> {
    let bytes = zstd::bulk::compress(text.as_bytes(), 3).expect("it fits");
    let named = ObjectRef { id: Uuid::from_u128(1), bytes: bytes.len() as u64, crc32c: crc32c(&bytes) };
    Root::decode(topic_partition(), &named, &bytes).map(|_| ())
}

#[test]
fn texts_that_are_no_manifest_are_refused() {
    let head = |v: u32, lines: u32| {
        let id = topic_partition().topic_id;
        let place = format!("\"topic_id\":\"{id}\",\"partition\":3,\"lines\":{lines}");
        format!("{{\"head\":{{\"format\":\"cenote-manifest\",\"v\":{v},\"kind\":\"root\",{place}}}}}\n")
    };
    let state = "{\"root\":{\"log_start\":0,\"archived\":0,\"epochs\":[],\"clean_passes\":[]}}\n";
    decode_text(&format!("{}{state}", head(1, 1))).expect("legal");
    for wrong in [
        String::new(),
        "\n".to_owned(),
        "{}\n".to_owned(),
        state.to_owned(),
        head(1, 1),
        format!("{}{state}", head(1, 0)),
        format!("{}{state}", head(1, 2)),
        format!("{}{state}{state}", head(1, 2)),
        format!("{}{state}", head(1, 1)).trim_end().to_owned(),
        format!("{}{state}", head(1, 1)).replace("cenote-manifest", "another"),
        format!("{}{state}", head(1, 1)).replace("\"archived\":0", "\"archived\":1e30"),
    ] {
        let refused = decode_text(&wrong);
        assert!(matches!(refused, Err(DecodeError::Malformed { .. })), "{wrong}: {refused:?}");
    }
    let newer = decode_text(&format!("{}{{\"something\":1}}\n", head(2, 1)));
    assert!(matches!(newer, Err(DecodeError::UnknownVersion { version: 2, .. })), "{newer:?}");
}

#[test]
fn a_small_object_that_claims_to_be_huge_is_refused() {
    let bomb = "a".repeat(300 * 1024 * 1024);
    assert!(matches!(decode_text(&bomb), Err(DecodeError::Malformed { .. })));
}

proptest! {
    #[test]
    fn a_flipped_or_missing_byte_is_noticed(place: prop::sample::Index, flip in 1..=255_u8, cut: prop::sample::Index) {
        let EncodedObject { named, bytes } = full(30, 3).encode(None, || Uuid::from_u128(1)).root;
        let refused = Err(DecodeError::NotWhatWasWritten { object: named.id });
        let mut flipped = bytes.to_vec();
        flipped[place.index(bytes.len())] ^= flip;
        prop_assert_eq!(Root::decode(topic_partition(), &named, &flipped).map(|_| ()), refused.clone());
        let short = &bytes[..cut.index(bytes.len())];
        prop_assert_eq!(Root::decode(topic_partition(), &named, short).map(|_| ()), refused);
    }

    #[test]
    fn bytes_with_the_right_checksum_never_make_the_decoder_panic(
        place: prop::sample::Index,
        flip in 1..=255_u8,
        packed: bool,
    ) {
        let object = full(30, 3).encode(None, || Uuid::from_u128(1)).root;
        let mut text = zstd::bulk::decompress(&object.bytes, 1 << 20).expect("it is whole");
        let mut bytes = object.bytes.to_vec();
        if packed {
            let place = place.index(bytes.len());
            bytes[place] ^= flip;
        } else {
            let place = place.index(text.len());
            text[place] ^= flip;
            bytes = zstd::bulk::compress(&text, 3).expect("it fits");
        }
        let named = ObjectRef { id: Uuid::from_u128(1), bytes: bytes.len() as u64, crc32c: crc32c(&bytes) };
        if let Ok(root) = Root::decode(topic_partition(), &named, &bytes) {
            let (log_start_offset, archived_offset) = (Offset(3), Offset(305));
            let pointer = ManifestPointer { root: Some(named), log_start_offset, archived_offset };
            let _ = root.open(&pointer, Vec::new());
        }
    }
}
