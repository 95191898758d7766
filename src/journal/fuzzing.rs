//! Arbitrary bytes as a journal object, and as an index object.

use super::decode::{DecodeError, ObjectIndex, buffer_range, decode_index, message_at};
use super::encode::{crc32c, encode};
use super::index_object::{
    BLOCK, HEAD_BYTES, IndexedObject, ROW_BYTES, ROWS_MAX, decode_index_object, encode_index_object,
};
use super::row::{ObjectId, ObjectName, Partitions, Row};
use crate::hashing::HashSet;
use crate::types::SessionId;
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;
use uuid::Uuid;

const SESSION: SessionId = SessionId(Uuid::from_u128(1));
const NAME: ObjectId = ObjectId { session: SESSION, seq: 5 };
const CRC_KEY: &str = "cenote.index-crc32c";

/// The first bytes of a journal object, or all of them.
pub(crate) fn object(bytes: &[u8]) {
    check_object(bytes);
    if let Some(sealed) = sealed_object(bytes) {
        check_object(&sealed);
    }
}

/// The same object with the checksum that its index has.
fn sealed_object(bytes: &[u8]) -> Option<Vec<u8>> {
    let (schema, schema_end) = message_at(bytes, 8).ok()?;
    let (batch, body_at) = message_at(bytes, schema_end).ok()?;
    let buffers = batch.header_as_record_batch()?.buffers()?;
    let columns_end = body_at.checked_add(buffers.iter().map(buffer_range).next_back()?.start)?;
    let crc = crc32c(&[bytes.get(schema_end..columns_end)?]);
    let metadata = schema.header_as_schema()?.custom_metadata()?;
    let digits = metadata.iter().find(|pair| pair.key() == Some(CRC_KEY))?.value()?;
    let place = (digits.as_ptr().addr()).checked_sub(bytes.as_ptr().addr())?;
    let mut sealed = bytes.to_vec();
    let digits = sealed.get_mut(place..place + digits.len()).filter(|digits| digits.len() == 8)?;
    digits.copy_from_slice(format!("{crc:08x}").as_bytes());
    Some(sealed)
}

/// What is read fits together and into the object, and comes back from what is written of it. What needs more bytes says of
/// more than are there.
fn check_object(bytes: &[u8]) {
    let index = match decode_index(NAME, bytes) {
        Ok(index) => index,
        Err(DecodeError::NeedsMore { bytes: wanted }) => {
            assert!(wanted > bytes.len() as u64, "{wanted} bytes are wanted of {}", bytes.len());
            return;
        }
        Err(DecodeError::Damaged(_)) => return,
    };
    check_index(&index);
    let sorted = index.rows.is_sorted_by_key(|row| row.topic_partition);
    let lengths = || index.byte_ranges.iter().map(|range| range.end - range.start);
    if sorted && lengths().all(|length| length >= 61) && lengths().sum::<u64>() < 64 * 1024 {
        let batches = lengths().map(|length| Bytes::from(vec![0; length as usize]));
        let rows = index.rows.iter().cloned().zip(batches).map(|(index, batch)| Row { index, batch });
        let written = encode(NAME, rows.collect());
        let again = decode_index(NAME, &written.bytes).expect("it was just written");
        assert_eq!((&again.rows, &again.byte_ranges), (&written.rows, &written.byte_ranges));
        assert_eq!(again.rows, index.rows);
        assert_eq!(again.spans, written.spans);
    }
}

/// Every row has its bytes, after those of the row before; and the spans have them all.
fn check_index(index: &ObjectIndex) {
    assert_eq!(index.rows.len(), index.byte_ranges.len());
    let mut end = 0;
    for (row, range) in index.rows.iter().zip(&index.byte_ranges) {
        assert!(!row.offsets.is_empty() && range.start >= end && !range.is_empty());
        end = range.end;
    }
    let bytes =
        |ranges: &mut dyn Iterator<Item = &Range<u64>>| ranges.map(|range| range.end - range.start).sum();
    let of_rows: u64 = bytes(&mut index.byte_ranges.iter());
    let of_spans: u64 = bytes(&mut index.spans.iter().map(|span| &span.byte_range));
    assert!(of_spans >= of_rows, "what lies between two batches of a span is read with them");
    assert!(index.spans.len() <= index.rows.len());
}

/// An index object: the first byte says which partitions are wanted, and whether the rest is the object as it stands, or
/// its rows before they are compressed.
pub(crate) fn index_object(bytes: &[u8]) {
    let Some((&choice, bytes)) = bytes.split_first() else { return };
    let object = if choice & PLAIN == 0 { bytes.to_vec() } else { packed(bytes) };
    check_index_object(&object, choice);
    if object.len() >= HEAD_BYTES + 4 {
        check_index_object(&sealed_index(object), choice);
    }
}

const PLAIN: u8 = 0x80;

/// The head as it is, and the rows behind it compressed.
fn packed(bytes: &[u8]) -> Vec<u8> {
    let Some((head, rows)) = bytes.split_at_checked(HEAD_BYTES) else { return bytes.to_vec() };
    let rows = zstd::bulk::compress(rows, 1).expect("memory is all that it can lack");
    [head, &rows, &[0; 4]].concat()
}

/// With the name and the checksum of the block that is asked for.
fn sealed_index(mut object: Vec<u8>) -> Vec<u8> {
    let none: [IndexedObject; 0] = [];
    let written = encode_index_object(SESSION, BLOCK, &none);
    object[..32].copy_from_slice(&written[..32]);
    let end = object.len() - 4;
    let crc = crc32c(&[&object[..end]]);
    object[end..].copy_from_slice(&crc.to_le_bytes());
    object
}

/// What is read comes back from what is written of it; and who wants some partitions gets their rows as if all were read.
fn check_index_object(object: &[u8], choice: u8) {
    let Ok(all) = decode_index_object(SESSION, BLOCK, object, &Partitions::All) else { return };
    assert_eq!(all.len() as u64, BLOCK);
    assert!(all.iter().map(|(_, _, index)| index.rows.len()).sum::<usize>() <= ROWS_MAX);
    let mut block = Vec::with_capacity(all.len());
    for (seq, (id, bytes, index)) in (1..).zip(&all) {
        assert_eq!(ObjectName::from(*id), ObjectName::from(ObjectId { session: SESSION, seq }));
        check_index(index);
        let (rows, byte_ranges) = (index.rows.clone(), index.byte_ranges.clone());
        assert!(byte_ranges.last().is_none_or(|last| last.end <= *bytes));
        block.push(IndexedObject { bytes: *bytes, rows, byte_ranges });
    }
    let written = encode_index_object(SESSION, BLOCK, &block);
    let again = decode_index_object(SESSION, BLOCK, &written, &Partitions::All).expect("it was just written");
    assert_eq!(again, all);

    let every = all.iter().flat_map(|(_, _, index)| &index.rows).map(|row| row.topic_partition);
    let wanted: HashSet<_> = every.filter(|which| which.partition.0 as u8 & 3 == choice & 3).collect();
    let some = Partitions::These(Arc::new(wanted.clone()));
    let some = decode_index_object(SESSION, BLOCK, object, &some).expect("all of it was read");
    for ((_, _, all), (_, _, some)) in all.iter().zip(&some) {
        let rows = all.rows.iter().filter(|row| wanted.contains(&row.topic_partition));
        assert!(rows.eq(&some.rows));
        check_index(some);
    }
}

/// Rows of a block as they are before they are compressed, with the head of the block.
#[cfg(test)]
pub(super) fn plain_index(object: &[u8]) -> Vec<u8> {
    let (head, rows) = object.split_at(HEAD_BYTES);
    let rows = zstd::bulk::decompress(&rows[..rows.len() - 4], ROWS_MAX * ROW_BYTES).expect("it is whole");
    [head, &rows].concat()
}

/// Two journal objects; an index object of such, and its rows as they are before they are compressed.
#[cfg(test)]
pub(crate) fn seeds() -> [Vec<Vec<u8>>; 2] {
    use super::row::RowTransaction;
    use super::tests::{partition, row};
    use crate::types::{ProducerEpoch, ProducerId, TransactionOrdinal, Verdict, ViewNumber};
    let ordinal = TransactionOrdinal(3);
    let marker = RowTransaction::Marker { ordinal, verdict: Verdict::Abort, coordinator_view: ViewNumber(2) };
    let of = |transaction, mut row: Row| {
        (row.index.producer_id, row.index.producer_epoch) = (ProducerId(7), ProducerEpoch(1));
        row.index.transaction = transaction;
        row
    };
    let rows = vec![
        row(partition(1, 0), 0, &["a", "b"]),
        row(partition(1, 0), 2, &["c"]),
        of(RowTransaction::Batch { ordinal }, row(partition(1, 1), 7, &["d"])),
        of(marker, row(partition(2, 0), 9, &["e"])),
    ];
    let objects = [encode(NAME, rows[..1].to_vec()), encode(NAME, rows)];
    let indexed = |number: usize| {
        let object = &objects[number % 2];
        let (bytes, rows) = (object.bytes.len() as u64, object.rows.clone());
        IndexedObject { bytes, rows, byte_ranges: object.byte_ranges.clone() }
    };
    let block = |count: usize| {
        let there = (0..count).map(indexed);
        let none = std::iter::repeat_with(IndexedObject::default);
        encode_index_object(SESSION, BLOCK, &there.chain(none).take(BLOCK as usize).collect::<Vec<_>>())
    };
    let (full, few) = (block(BLOCK as usize), block(3));
    let objects = objects.map(|object| object.bytes.to_vec()).into();
    let plain = [&[PLAIN | 1][..], &plain_index(&few)].concat();
    [objects, vec![[&[0][..], &full].concat(), [&[2][..], &few].concat(), plain]]
}
