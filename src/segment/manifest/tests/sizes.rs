//! What a swap writes, in bytes, of a partition with very many segments.

use super::*;

const SEGMENTS: i64 = 100_000;
/// Offsets of a segment.
const ROWS: i64 = 300_000;

/// A segment as true ones are: nothing of it repeats in the next.
fn real_segment(number: i64) -> Segment {
    // A step of SplitMix64, so that the sizes are the same in every run.
    let mix = |salt: u64| {
        let mixed = (number as u64 + (salt << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 27)
    };
    let some = segment(number * ROWS, (number + 1) * ROWS);
    Segment {
        min_timestamp: Timestamp(1_700_000_000_000 + number * 600_000 + (mix(1) % 1_000) as i64),
        max_timestamp: Timestamp(1_700_000_600_000 + number * 600_000 + (mix(2) % 1_000) as i64),
        max_timestamp_offset: Offset((number + 1) * ROWS - 1 - (mix(3) % 100) as i64),
        rows: ROWS as u64 - mix(4) % 1_000,
        raw_bytes: (64 << 20) + mix(5) % (1 << 16),
        file_bytes: (18 << 20) + mix(6) % (1 << 21),
        crc32c: (mix(7) >> 16) as u32,
        unique: Uuid::from_u64_pair(mix(8), mix(9)),
        ..some
    }
}

fn real_segments(numbers: std::ops::Range<i64>) -> Archived {
    archived(numbers.clone().map(real_segment).collect(), numbers.end * ROWS)
}

/// Bytes put since the last look.
struct Meter(u64);

impl Meter {
    fn read(&mut self, objects: &Objects, what: &str) -> u64 {
        let bytes = objects.bytes_put - self.0;
        self.0 = objects.bytes_put;
        println!("{what}: {bytes} bytes");
        bytes
    }
}

#[test]
fn a_swap_of_a_very_large_manifest_writes_little() {
    let empty = Manifest::new(topic_partition(), Offset::ZERO);
    let large = empty.append_segments(real_segments(0..SEGMENTS)).expect("legal").manifest;
    let (mut objects, mut meter) = (Objects::default(), Meter(0));
    let first = objects.save(&large, None);
    let all = meter.read(&objects, "all of 100,000 segments, once");
    let appended = large.append_segments(real_segments(SEGMENTS..SEGMENTS + 1)).expect("legal").manifest;
    objects.save(&appended, Some(&first.layout));
    assert!(meter.read(&objects, "append one segment") < all / 50);
    let run: Vec<_> = large.segments_from(Offset(SEGMENTS * ROWS / 2)).take(8).cloned().collect();
    let merged =
        Segment { rows: 8 * ROWS as u64 - 9_000, ..segment(run[0].offsets.start.0, run[7].offsets.end.0) };
    let edited = large.replace(&run, vec![merged]).expect("legal").manifest;
    objects.save(&edited, Some(&first.layout));
    assert!(meter.read(&objects, "merge eight in the middle") < all / 30);
    objects.save(&large.drop_before(Offset(ROWS)).manifest, Some(&first.layout));
    assert!(meter.read(&objects, "drop the oldest") < all / 30);
    let pointer = ManifestPointer::to(first.root.named, &large.drop_before(Offset(ROWS / 2)).manifest);
    println!("move the log start inside a segment: {} bytes, of the pointer alone", pointer.encode().len());
}

#[test]
fn parts_are_written_once_as_segments_come_one_by_one() {
    let empty = Manifest::new(topic_partition(), Offset::ZERO);
    let mut growing = empty.append_segments(real_segments(0..1_980)).expect("legal").manifest;
    let mut objects = Objects::default();
    let mut layout = objects.save(&growing, None).layout;
    let mut meter = Meter(0);
    meter.read(&objects, "1,980 segments");
    for number in 1_980..2_020 {
        growing = growing.append_segments(real_segments(number..number + 1)).expect("legal").manifest;
        let encoded = objects.save(&growing, Some(&layout));
        assert_eq!(encoded.new_parts.len(), usize::from(number == 2_000), "segment {number}");
        assert_eq!(encoded.dropped_parts, []);
        layout = encoded.layout;
    }
    meter.read(&objects, "40 swaps that append one each");
}
