//! What goes into a segment comes out of it, as rows and as batches.

use super::world::{
    OwnedBatch, OwnedRow, batches, batches_of, chunk_ids, open, partition, read_rows, records_of,
    small_pages, write,
};
use crate::segment::{ChunkCodec, SegmentWriter};
use crate::types::{LeaderEpoch, Offset};
use crate::wire::batch::{BatchHeader, Codec, DecodedBatch, TimestampType};
use bytes::Bytes;
use futures_util::FutureExt;
use proptest::prelude::*;

fn rows_of(batches: &[OwnedBatch]) -> Vec<OwnedRow> {
    batches.iter().flat_map(OwnedBatch::rows).collect()
}

/// All batches of a segment, chunk by chunk.
fn read_batches(bytes: &Bytes, codec: ChunkCodec) -> Vec<Bytes> {
    let reader = open(bytes);
    let chunk = |chunk| reader.chunk(chunk, codec).now_or_never().expect("memory is ready");
    chunk_ids(&reader).flat_map(|id| batches_of(&chunk(id).expect("a whole chunk"))).collect()
}

/// Each batch's header says of its records what their rows say.
fn check_headers(batches: &[Bytes], rows: &[OwnedRow], codec: ChunkCodec) {
    let mut rows = rows.iter();
    for bytes in batches {
        let header = BatchHeader::decode(bytes).expect("a batch");
        for (offset, _) in records_of(bytes) {
            let row = rows.next().expect("no more records than rows");
            let expected_codec = match codec {
                ChunkCodec::AsProduced => row.codec,
                ChunkCodec::All(codec) => codec,
            };
            assert_eq!(header.codec(), Some(expected_codec));
            assert_eq!(header.partition_leader_epoch, LeaderEpoch(row.leader_epoch));
            assert_eq!((header.producer_id, header.producer_epoch), row.producer);
            assert_eq!(header.is_transactional(), row.transactional);
            assert_eq!(header.timestamp_type() == TimestampType::LogAppendTime, row.append_time);
            assert!(!header.is_control());
            if header.base_sequence >= 0 {
                let sequence = i64::from(header.base_sequence) + offset - header.base_offset.get();
                assert_eq!(i64::from(row.sequence), sequence % (1 << 31));
            }
        }
    }
    assert_eq!(rows.next(), None);
}

proptest! {
    #[test]
    fn rows_are_read_as_they_were_written(batches in batches(), before in 0..9_i64, after in 0..9_i64) {
        let covers = (batches[0].base_offset - before).max(0)..batches[batches.len() - 1].end() + after;
        let segment = write(&batches, covers.clone(), small_pages());
        prop_assert_eq!(&read_rows(&segment.bytes), &rows_of(&batches));
        let footer = open(&segment.bytes);
        prop_assert_eq!(footer.footer().topic_partition(), partition());
        prop_assert_eq!(footer.footer().offsets(), Offset(covers.start)..Offset(covers.end));
        prop_assert_eq!(footer.footer().rows(), segment.summary.rows);
    }

    #[test]
    fn records_are_answered_as_they_were_produced(batches in batches(), all in proptest::option::of(0..5_usize)) {
        let codec = all.map_or(ChunkCodec::AsProduced, |index| ChunkCodec::All(Codec::ALL[index]));
        let segment = write(&batches, 0..batches[batches.len() - 1].end(), small_pages());
        let answered = read_batches(&segment.bytes, codec);
        let rows = rows_of(&batches);
        let records: Vec<_> = answered.iter().flat_map(records_of).collect();
        let expected: Vec<_> = rows.iter().map(|row| (row.offset, row.record.clone())).collect();
        prop_assert_eq!(records, expected);
        check_headers(&answered, &rows, codec);
    }

    #[test]
    fn rows_that_are_left_out_become_gaps(batches in batches(), kept in proptest::collection::vec(any::<bool>(), 240)) {
        let covers = 0..batches[batches.len() - 1].end() + 1;
        let segment = write(&batches, covers.clone(), small_pages());
        let expected: Vec<OwnedRow> =
            rows_of(&batches).into_iter().zip(&kept).filter(|(_, kept)| **kept).map(|(row, _)| row).collect();
        prop_assume!(!expected.is_empty());

        let reader = open(&segment.bytes);
        let mut writer = SegmentWriter::new(partition(), small_pages()).unwrap();
        let mut kept = kept.iter();
        for chunk in chunk_ids(&reader) {
            let rows = reader.rows(chunk).now_or_never().unwrap().unwrap();
            for row in rows.iter().filter(|_| *kept.next().unwrap()) {
                writer.append_row(&row).unwrap();
            }
        }
        let compacted = writer.finish(Offset(covers.start)..Offset(covers.end)).unwrap();
        prop_assert_eq!(&read_rows(&compacted.bytes), &expected);
        let answered = read_batches(&compacted.bytes, ChunkCodec::AsProduced);
        let offsets: Vec<i64> = answered.iter().flat_map(records_of).map(|(offset, _)| offset).collect();
        prop_assert_eq!(offsets, expected.iter().map(|row| row.offset).collect::<Vec<_>>());
        check_headers(&answered, &expected, ChunkCodec::AsProduced);
    }

    #[test]
    fn the_summary_is_that_of_the_rows(batches in batches()) {
        let end = batches[batches.len() - 1].end();
        let segment = write(&batches, 0..end, small_pages());
        let rows = rows_of(&batches);
        let summary = segment.summary;
        let latest = rows.iter().map(|row| row.record.timestamp).max().unwrap();
        let first_latest = rows.iter().find(|row| row.record.timestamp == latest).unwrap();
        prop_assert_eq!(summary.offsets, Offset(0)..Offset(end));
        prop_assert_eq!(summary.rows, rows.len() as u64);
        prop_assert_eq!(summary.max_timestamp.get(), latest);
        prop_assert_eq!(summary.max_timestamp_offset.get(), first_latest.offset);
        prop_assert_eq!(summary.min_timestamp.get(), rows.iter().map(|row| row.record.timestamp).min().unwrap());
        prop_assert_eq!(summary.file_bytes, segment.bytes.len() as u64);
        prop_assert_eq!(summary.crc32c, crc_fast::crc32_iscsi(&segment.bytes));
    }
}

#[test]
fn sequence_numbers_are_kept_where_rows_follow_each_other() {
    let producer = crate::wire::batch::ProducerStamp {
        producer_id: crate::types::ProducerId(5),
        producer_epoch: crate::types::ProducerEpoch(1),
        base_sequence: i32::MAX - 1,
        transactional: false,
    };
    let record = super::world::text_record(1, "v");
    let one = OwnedBatch { producer, ..OwnedBatch::plain(10, vec![record.clone(); 3]) };
    let next = crate::wire::batch::ProducerStamp { base_sequence: 1, ..producer };
    let two = OwnedBatch { producer: next, ..OwnedBatch::plain(13, vec![record.clone(); 2]) };
    let after_a_gap = OwnedBatch { base_offset: 14, ..two.clone() };
    let base_sequences = |batches: &[OwnedBatch]| -> Vec<(i64, i32)> {
        let segment = write(batches, 10..20, crate::segment::SegmentOptions::default());
        let answered = read_batches(&segment.bytes, ChunkCodec::AsProduced);
        let headers = answered.iter().map(|bytes| BatchHeader::decode(bytes).unwrap());
        headers.map(|header| (header.base_offset.get(), header.base_sequence)).collect()
    };
    assert_eq!(base_sequences(&[one.clone(), two]), [(10, i32::MAX - 1)]);
    assert_eq!(base_sequences(&[one, after_a_gap]), [(10, -1)]);
}

#[test]
fn a_batch_is_of_a_megabyte_at_most_unless_a_record_is_larger() {
    let value = |bytes: usize| super::world::OwnedRecord {
        value: Some(vec![7; bytes]),
        ..super::world::text_record(1, "")
    };
    let mut records = vec![value(2 << 20)];
    records.extend(std::iter::repeat_n(value(100_000), 30));
    let segment = write(&[OwnedBatch::plain(0, records)], 0..31, crate::segment::SegmentOptions::default());
    let answered = read_batches(&segment.bytes, ChunkCodec::AsProduced);
    let records: Vec<usize> = answered.iter().map(|bytes| records_of(bytes).len()).collect();
    assert_eq!(records, [1, 10, 10, 10]);
}

#[test]
fn what_compresses_well_is_answered_compressed_and_the_rest_at_least_whole() {
    let line = |index: usize| format!("{{\"number\":{index},\"from\":\"LAS\",\"to\":\"PHL\",\"delay\":33}}");
    let mut drawn = 7_u64;
    let mut letters = |_| {
        drawn = drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        format!("{:016x}", drawn ^ drawn >> 29)
    };
    for codec in [Codec::Zstd, Codec::Gzip] {
        let lines: Vec<_> = (0..1_500).map(|index| super::world::text_record(1, &line(index))).collect();
        let noise: Vec<_> = (0..1_500).map(|index| super::world::text_record(1, &letters(index))).collect();
        for (records, at_most) in [(lines, 1_500 * 20), (noise, 1_500 * 30)] {
            let batch = OwnedBatch { codec, ..OwnedBatch::plain(0, records) };
            let segment =
                write(std::slice::from_ref(&batch), 0..1_500, crate::segment::SegmentOptions::default());
            let answered = read_batches(&segment.bytes, ChunkCodec::AsProduced);
            let bytes: usize = answered.iter().map(Bytes::len).sum();
            assert!(bytes <= at_most, "{codec:?}: {bytes}");
            let records: Vec<_> = answered.iter().flat_map(records_of).map(|(_, record)| record).collect();
            assert_eq!(records, batch.records);
        }
    }
}

#[test]
fn a_gap_batch_has_no_records_and_ends_where_the_gap_does() {
    let bytes = crate::segment::gap_batch(&(Offset(40)..Offset(90)), LeaderEpoch(6));
    let batch = DecodedBatch::decode(&bytes, 0).unwrap();
    assert_eq!(batch.header.offsets(), Offset(40)..Offset(90));
    assert_eq!(batch.header.partition_leader_epoch, LeaderEpoch(6));
    assert_eq!((batch.header.record_count, batch.records().count()), (0, 0));
    let long = crate::segment::gap_batch(&(Offset(0)..Offset(i64::MAX)), LeaderEpoch(6));
    let reach = BatchHeader::decode(&long).unwrap().offsets().end;
    assert_eq!(reach, Offset(1 << 31), "a longer gap is passed in steps");
}
