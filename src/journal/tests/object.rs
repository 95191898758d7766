//! The stored form of an object, and when one is cut.

use super::super::cutter::{Cut, Situation, decide};
use super::super::encode::StoredTransaction;
use super::super::{DecodeError, ObjectId, ObjectName, Row, RowIndex, RowTransaction, decode_index, encode};
use super::{partition, row, session_id};
use crate::config::JournalConfig;
use crate::types::{
    LeaderEpoch, MergeNumber, Offset, ProducerEpoch, ProducerId, TransactionOrdinal, Verdict, ViewNumber,
};
use crate::wire::batch::BatchHeader;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int8Type, Int64Type};
use proptest::prelude::*;
use std::io::Cursor;
use std::time::Duration;
use tokio::time::Instant;

const ID: ObjectId = ObjectId { session: crate::types::SessionId(uuid::Uuid::from_u128(5)), seq: 3 };

fn two_partitions() -> Vec<Row> {
    vec![
        row(partition(2, 0), 10, &["c"]),
        row(partition(1, 1), 0, &["a", "b"]),
        row(partition(2, 0), 11, &["d", "e", "f"]),
    ]
}

#[test]
fn any_reader_of_arrow_files_reads_an_object() {
    let object = encode(ID, two_partitions());
    let reader =
        arrow_ipc::reader::FileReader::try_new(Cursor::new(object.bytes), None).expect("an Arrow file");
    assert_eq!(reader.schema().metadata()["cenote.seq"], "3");
    let batches: Vec<_> = reader.collect::<Result<_, _>>().expect("its record batch");
    let [batch] = batches.as_slice() else { panic!("one record batch, not {}", batches.len()) };
    let base = batch.column_by_name("base_offset").expect("a column").as_primitive::<Int64Type>();
    assert_eq!(base.values(), &[0, 10, 11]);
    let last = batch.column_by_name("last_offset").expect("a column").as_primitive::<Int64Type>();
    assert_eq!(last.values(), &[1, 10, 13]);
    let bytes = batch.column_by_name("batch").expect("a column").as_binary::<i32>();
    let header = BatchHeader::decode(bytes.value(2)).expect("a record batch");
    assert_eq!((header.base_offset, header.partition_leader_epoch), (Offset(11), LeaderEpoch(7)));
    assert!(header.crc_matches(bytes.value(2)));
}

#[test]
fn a_partitions_batches_are_one_range_of_the_object() {
    let object = encode(ID, two_partitions());
    let found: Vec<_> =
        object.spans.iter().map(|span| (span.topic_partition, span.offsets.clone())).collect();
    let expected = [(partition(1, 1), Offset(0)..Offset(2)), (partition(2, 0), Offset(10)..Offset(14))];
    assert_eq!(found, expected);
    for span in &object.spans {
        let bytes = &object.bytes[span.byte_range.start as usize..span.byte_range.end as usize];
        assert_eq!(BatchHeader::decode(bytes).expect("a batch").base_offset, span.offsets.start);
    }
}

#[test]
fn a_span_ends_before_it_grows_large() {
    let value = "x".repeat(600 * 1024);
    let rows = (0..4).map(|offset| row(partition(1, 0), offset, &[&value])).collect();
    assert_eq!(encode(ID, rows).spans.len(), 4);
}

#[test]
fn the_index_is_read_back_from_a_prefix() {
    let object = encode(ID, two_partitions());
    let index = decode_index(ID, &object.bytes).expect("the whole object");
    assert_eq!((index.rows, index.spans.clone()), (object.rows, object.spans));
    let data_at = index.byte_ranges[0].start as usize;
    assert_eq!(decode_index(ID, &object.bytes[..data_at]).expect("the prefix").spans, index.spans);
    assert!(matches!(decode_index(ID, &object.bytes[..data_at - 1]), Err(DecodeError::NeedsMore { .. })));
}

/// Two batches of transaction 6 of one producer, the end of its transaction 5 before them.
fn with_a_transaction() -> Vec<Row> {
    let producer = |row: Row, producer_epoch, transaction| {
        let index = RowIndex {
            producer_id: ProducerId(77),
            producer_epoch: ProducerEpoch(producer_epoch),
            transaction,
            ..row.index
        };
        Row { index, ..row }
    };
    let (ended, open) = (TransactionOrdinal(5), TransactionOrdinal(6));
    let verdict = Verdict::Commit;
    let marker = RowTransaction::Marker { ordinal: ended, verdict, coordinator_view: ViewNumber(9) };
    let mut rows = two_partitions();
    rows.push(producer(row(partition(3, 0), 0, &["marker"]), 4, marker));
    let aborted =
        RowTransaction::Marker { ordinal: ended, verdict: Verdict::Abort, coordinator_view: ViewNumber(0) };
    rows.push(producer(row(partition(3, 0), 1, &["marker"]), 4, aborted));
    for base in [2, 3] {
        rows.push(producer(row(partition(3, 0), base, &["g"]), 4, RowTransaction::Batch { ordinal: open }));
    }
    rows
}

#[test]
fn what_a_row_is_to_a_transaction_is_read_back() {
    let object = encode(ID, with_a_transaction());
    let file = Cursor::new(object.bytes.clone());
    let mut reader = arrow_ipc::reader::FileReader::try_new(file, None).expect("an Arrow file");
    let columns = reader.next().expect("one record batch").expect("legal");
    let ordinals = columns.column_by_name("transaction_ordinal").expect("a column");
    assert_eq!(ordinals.as_primitive::<Int64Type>().values(), &[0, 0, 0, 5, 5, 6, 6]);
    let verdicts = columns.column_by_name("verdict").expect("a column");
    assert_eq!(verdicts.as_primitive::<Int8Type>().values(), &[-1, -1, -1, 1, 0, -1, -1]);
    let index = decode_index(ID, &object.bytes).expect("the whole object");
    assert_eq!(index.rows, object.rows);
    let marked = index.rows.iter().filter(|row| matches!(row.transaction, RowTransaction::Marker { .. }));
    assert_eq!(marked.count(), 2);
}

#[test]
fn columns_that_make_no_transaction_are_refused() {
    let decode = |ordinal, coordinator_view, verdict| {
        StoredTransaction { ordinal, coordinator_view, verdict }.decode().is_some()
    };
    // (ordinal, coordinator view, verdict)
    for legal in [(0, -1, -1), (1, -1, -1), (1, 0, 0), (i64::MAX, 5, 1)] {
        assert!(decode(legal.0, legal.1, legal.2), "{legal:?}");
    }
    for illegal in
        [(-1, -1, -1), (0, 3, 1), (0, -1, 0), (1, -1, 1), (1, 3, -1), (1, 3, 2), (1, 3, -2), (1, -2, 0)]
    {
        assert!(!decode(illegal.0, illegal.1, illegal.2), "{illegal:?}");
    }
}

/// The stored form must not change: objects outlive releases.
#[test]
fn the_bytes_of_an_object_are_those_of_the_golden_file() {
    let object = encode(ID, with_a_transaction());
    let hex: String = object
        .bytes
        .chunks(32)
        .map(|line| {
            let mut text: String = line.iter().map(|byte| format!("{byte:02x}")).collect();
            text.push('\n');
            text
        })
        .collect();
    assert!(hex == include_str!("golden/object.hex"), "the object is now\n{hex}");
}

#[test]
fn an_object_that_names_itself_differently_is_refused() {
    let object = encode(ID, two_partitions());
    for other in [ObjectId { seq: 4, ..ID }, ObjectId { session: session_id(6), ..ID }] {
        assert_eq!(
            decode_index(other, &object.bytes),
            Err(DecodeError::Damaged("it names itself differently"))
        );
    }
}

#[test]
fn a_merged_object_names_itself_by_its_merge_and_keeps_all_that_rows_tell() {
    let (view, of_session) = (ViewNumber(7), ID.session);
    let name = |attempt| ObjectName::merged(of_session, MergeNumber { view, attempt });
    let object = encode(name(3), with_a_transaction());
    let reader = arrow_ipc::reader::FileReader::try_new(Cursor::new(object.bytes.clone()), None);
    assert_eq!(reader.expect("an Arrow file").schema().metadata()["cenote.seq"], "merged-7-3");
    let read = decode_index(name(3), &object.bytes).expect("the whole object");
    assert_eq!(read.rows, encode(ID, with_a_transaction()).rows);
    let other = Err(DecodeError::Damaged("it names itself differently"));
    assert_eq!(decode_index(name(4), &object.bytes), other);
    assert_eq!(decode_index(ID, &object.bytes), other);
}

#[test]
fn no_two_objects_of_a_session_share_a_number() {
    let merged =
        |view, attempt| ObjectName::merged(ID.session, MergeNumber { view: ViewNumber(view), attempt });
    let names = [
        ObjectName::from(ID),
        ObjectName::from(ObjectId { seq: 1, ..ID }),
        merged(0, 1),
        merged(1, 0),
        merged(1, 1),
        merged(i32::MAX, u32::MAX),
    ];
    let numbers: std::collections::BTreeSet<u64> = names.iter().map(ObjectName::as_u64).collect();
    assert_eq!(numbers.len(), names.len());
}

proptest! {
    #[test]
    fn a_flipped_bit_in_the_index_is_noticed(position in 0_usize..4000, bit in 0_u8..8) {
        let object = encode(ID, with_a_transaction());
        let index = decode_index(ID, &object.bytes).expect("undamaged");
        let data_at = index.byte_ranges[0].start as usize;
        let mut damaged = object.bytes[..data_at].to_vec();
        let position = position % data_at;
        damaged[position] ^= 1 << bit;
        // Padding and names of columns may change unnoticed; what is read may not.
        if let Ok(read) = decode_index(ID, &damaged) {
            prop_assert_eq!(read, index);
        }
    }

    #[test]
    fn random_bytes_are_no_object(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
        prop_assert!(decode_index(ID, &bytes).is_err());
    }
}

#[test]
fn an_object_is_cut_by_size_by_age_or_when_a_put_may_start() {
    let now = Instant::now();
    let every = |millis| JournalConfig {
        flush_interval: Duration::from_millis(millis),
        flush_bytes: 1000,
        puts_in_flight: 2,
    };
    let situation = |open_bytes, age_ms, in_flight| Situation {
        open_bytes,
        oldest: Some(now - Duration::from_millis(age_ms)),
        in_flight,
    };
    let table = [
        ("nothing to cut", 0, Situation { open_bytes: 0, oldest: None, in_flight: 0 }, Cut::Wait),
        ("no interval: at once", 0, situation(1, 0, 0), Cut::Now),
        ("no interval, one on its way: at once", 0, situation(1, 0, 1), Cut::Now),
        ("no interval, all on their way", 0, situation(5000, 9, 2), Cut::Wait),
        ("waits for company", 10, situation(1, 4, 0), Cut::At(now + Duration::from_millis(6))),
        ("old enough", 10, situation(1, 10, 0), Cut::Now),
        ("large enough", 10, situation(1000, 0, 0), Cut::Now),
        ("large enough, but all on their way", 10, situation(1000, 20, 2), Cut::Wait),
    ];
    for (name, interval, situation, expected) in table {
        assert_eq!(decide(&every(interval), now, situation), expected, "{name}");
    }
}
