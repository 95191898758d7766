//! How a file looks to others, and how large its parts are.

use super::world::{OwnedBatch, OwnedRecord, batches, open, partition, text_record, write};
use crate::segment::{SegmentOptions, SegmentWriter, TIMESTAMP_MAX, TIMESTAMP_MIN};
use crate::types::Offset;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use proptest::prelude::*;

fn metadata(bytes: &Bytes) -> ParquetMetaData {
    let reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Required);
    reader.parse_and_finish(bytes).expect("a file of Parquet")
}

/// All rows, by the library's own reader, which knows nothing of segments.
fn read_as_a_stranger(bytes: &Bytes) -> Vec<RecordBatch> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).expect("a file of Parquet");
    builder.build().expect("a reader").map(|batch| batch.expect("whole pages")).collect()
}

fn check_as_a_stranger(batch: &RecordBatch, row: usize, expected: &super::world::OwnedRow) {
    let number = |name: &str| batch.column_by_name(name).unwrap().as_primitive::<Int64Type>().value(row);
    let small = |name: &str| batch.column_by_name(name).unwrap().as_primitive::<Int32Type>().value(row);
    let bytes = |name: &str| {
        let column = batch.column_by_name(name).unwrap().as_binary::<i32>();
        column.is_valid(row).then(|| column.value(row).to_vec())
    };
    assert_eq!(small("kafka_partition"), partition().partition.0);
    assert_eq!(number("kafka_offset"), expected.offset);
    let timestamps = batch.column_by_name("kafka_timestamp").unwrap();
    let micros = timestamps.as_primitive::<TimestampMicrosecondType>().value(row);
    assert_eq!(micros, expected.record.timestamp * 1000);
    assert_eq!(small("kafka_timestamp_type") == 1, expected.append_time);
    assert_eq!((bytes("key"), bytes("value")), (expected.record.key.clone(), expected.record.value.clone()));
    let headers = batch.column_by_name("headers").unwrap().as_list::<i32>().value(row);
    assert_eq!(headers.len(), expected.record.headers.len());
    assert_eq!(small("kafka_leader_epoch"), expected.leader_epoch);
    assert_eq!(number("kafka_batch_base_offset"), expected.batch_base_offset);
    assert_eq!(number("kafka_producer_id"), expected.producer.0.0);
    assert_eq!(small("kafka_producer_epoch"), i32::from(expected.producer.1.0));
    assert_eq!(small("kafka_sequence"), expected.sequence);
    let transactional = batch.column_by_name("kafka_transactional").unwrap().as_boolean();
    assert_eq!(transactional.value(row), expected.transactional);
    assert_eq!(small("kafka_batch_codec"), i32::from(expected.codec.bits()));
}

proptest! {
    #[test]
    fn a_stranger_reads_the_same_rows(batches in batches()) {
        let segment = write(&batches, 0..batches[batches.len() - 1].end(), super::world::small_pages());
        let mut expected = batches.iter().flat_map(OwnedBatch::rows);
        for batch in read_as_a_stranger(&segment.bytes) {
            for row in 0..batch.num_rows() {
                check_as_a_stranger(&batch, row, &expected.next().unwrap());
            }
        }
        prop_assert_eq!(expected.next(), None);
    }
}

#[test]
fn a_file_says_what_it_is() {
    let segment =
        write(&[OwnedBatch::plain(5, vec![text_record(1, "v"); 3])], 4..10, SegmentOptions::default());
    let metadata = metadata(&segment.bytes);
    let pairs = metadata.file_metadata().key_value_metadata().unwrap();
    let value = |key: &str| pairs.iter().find(|pair| pair.key == key).unwrap().value.clone().unwrap();
    assert_eq!(value("cenote.format"), "1");
    assert_eq!(value("cenote.topic-id"), "00000000000000000000000000000007");
    assert_eq!(value("cenote.partition"), "3");
    assert_eq!((value("cenote.base-offset"), value("cenote.end-offset")), ("4".into(), "10".into()));
    assert!(value("cenote.writer").starts_with("cenote "));
    assert_eq!(value("cenote.chunk-crc32c").len(), 8);
}

#[test]
fn keys_and_values_are_not_repeated_in_the_footer() {
    let record = OwnedRecord { key: Some(b"SECRET-KEY".to_vec()), ..text_record(1, "SECRET-VALUE") };
    let segment = write(&[OwnedBatch::plain(0, vec![record; 3])], 0..3, SegmentOptions::default());
    let metadata = metadata(&segment.bytes);
    let columns = metadata.row_group(0).columns();
    assert!(columns[4].bloom_filter_offset().is_some(), "the key has a bloom filter");
    for (index, column) in columns.iter().enumerate() {
        let is_bytes = (4..8).contains(&index);
        assert_eq!(column.statistics().is_none(), is_bytes, "{}", column.column_path());
        assert_eq!(column.column_index_offset().is_some(), index == 1 || index == 2);
        assert!(column.offset_index_offset().is_some());
    }
}

#[test]
fn row_groups_and_pages_keep_to_their_limits() {
    let options = SegmentOptions {
        page_rows: 100,
        page_bytes_max: 20_000,
        row_group_bytes_max: 50_000,
        ..SegmentOptions::default()
    };
    let value = |bytes: usize| OwnedRecord { value: Some(vec![b'x'; bytes]), ..text_record(1, "") };
    let mut records = vec![value(10); 250];
    records.extend(vec![value(5_000); 21]);
    records.extend(vec![value(30_000); 2]);
    records.extend(vec![value(10); 250]);
    let batch = OwnedBatch::plain(0, records);
    let segment = write(std::slice::from_ref(&batch), 0..batch.end(), options);
    for row_group in metadata(&segment.bytes).row_groups() {
        let raw = row_group.column(5).uncompressed_size();
        assert!(raw <= 50_000 + 5_000, "{raw} bytes in a row group");
    }
    let reader = open(&segment.bytes);
    let rows = super::world::read_rows(&segment.bytes);
    assert_eq!(rows, batch.rows());
    assert!(super::world::chunk_ids(&reader).count() < 25);
}

#[test]
fn memory_is_that_of_a_page_and_the_file() {
    let options =
        SegmentOptions { page_rows: 100, row_group_bytes_max: 1 << 20, ..SegmentOptions::default() };
    let mut writer = SegmentWriter::new(partition(), options).unwrap();
    let record = OwnedRecord { value: Some(vec![b'x'; 1000]), ..text_record(1, "") };
    for batch in 0..100 {
        let batch = OwnedBatch::plain(batch * 100, vec![record.clone(); 100]);
        writer.append(&batch.bytes()).unwrap();
        assert!(writer.memory() < 2 << 20, "{} bytes for {} raw", writer.memory(), writer.raw_bytes());
    }
    assert_eq!((writer.rows(), writer.raw_bytes()), (10_000, 10_000_000));
    let estimated = writer.file_bytes();
    let segment = writer.finish(Offset(0)..Offset(10_000)).unwrap();
    assert!(segment.summary.file_bytes >= estimated / 2);
    let footer = open(&segment.bytes);
    assert!(footer.footer().memory() < 200_000, "{}", footer.footer().memory());
}

#[test]
fn a_time_that_no_column_can_hold_is_stored_as_the_furthest() {
    let times = [i64::MIN, -1, i64::MAX];
    let records = times.map(|timestamp| text_record(timestamp, "v"));
    let batches = [0, 1, 2].map(|index| OwnedBatch::plain(index, vec![records[index as usize].clone()]));
    let segment = write(&batches, 0..3, SegmentOptions::default());
    let read: Vec<i64> =
        super::world::read_rows(&segment.bytes).iter().map(|row| row.record.timestamp).collect();
    assert_eq!(read, [TIMESTAMP_MIN.get(), -1, TIMESTAMP_MAX.get()]);
    assert_eq!(segment.summary.max_timestamp, TIMESTAMP_MAX);
}
