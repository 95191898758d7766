mod golden;

use super::*;
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use bytes::Bytes;
use proptest::prelude::*;

/// A gigabyte is more than any test decompresses to.
const NO_CAP: usize = 1 << 30;

type OwnedHeader = (Vec<u8>, Option<Vec<u8>>);

#[derive(Clone, Debug, PartialEq)]
struct OwnedRecord {
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<OwnedHeader>,
}

fn build(records: &[OwnedRecord], codec: Codec) -> Bytes {
    let mut builder = BatchBuilder::new();
    for record in records {
        let header = |(key, value): &'_ OwnedHeader| (key.clone(), value.clone());
        let owned: Vec<OwnedHeader> = record.headers.iter().map(header).collect();
        let headers: Vec<Header<'_>> =
            owned.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
        let timestamp = Timestamp(record.timestamp);
        builder.append(timestamp, record.key.as_deref(), record.value.as_deref(), &headers);
    }
    builder.finish(codec, NO_PRODUCER)
}

fn read(batch: &Bytes) -> Vec<OwnedRecord> {
    let batch = DecodedBatch::decode(batch, NO_CAP).expect("the batch is whole");
    let owned = |record: Record<'_>| OwnedRecord {
        timestamp: record.timestamp.get(),
        key: record.key.map(<[u8]>::to_vec),
        value: record.value.map(<[u8]>::to_vec),
        headers: record.headers.map(|h| (h.key.to_vec(), h.value.map(<[u8]>::to_vec))).collect(),
    };
    batch.records().map(|record| owned(record.expect("the record is whole"))).collect()
}

fn field() -> impl Strategy<Value = Option<Vec<u8>>> {
    proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200))
}

fn record() -> impl Strategy<Value = OwnedRecord> {
    let header = (proptest::collection::vec(any::<u8>(), 0..20), field());
    let headers = proptest::collection::vec(header, 0..4);
    (0..4_000_000_000_000_i64, field(), field(), headers)
        .prop_map(|(timestamp, key, value, headers)| OwnedRecord { timestamp, key, value, headers })
}

fn codec() -> impl Strategy<Value = Codec> {
    proptest::sample::select(&Codec::ALL[..])
}

fn plain_record(value: &[u8]) -> OwnedRecord {
    OwnedRecord { timestamp: 1000, key: None, value: Some(value.to_vec()), headers: Vec::new() }
}

proptest! {
    #[test]
    fn what_was_appended_is_read_back(records in proptest::collection::vec(record(), 1..40), codec in codec()) {
        prop_assert_eq!(read(&build(&records, codec)), records);
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let bytes = Bytes::from(bytes);
        let _ = BatchHeader::decode(&bytes);
        let _ = DecodedBatch::decode(&bytes, 1 << 20).map(|batch| batch.records().count());
        let _ = split(bytes).count();
    }

    #[test]
    fn varints_are_read_back(value in any::<i64>()) {
        let mut bytes = Vec::new();
        varint::put(&mut bytes, value);
        prop_assert_eq!(bytes.len(), varint::bytes_of(value));
        let mut rest = &bytes[..];
        prop_assert_eq!(varint::take_i64(&mut rest), Some(value));
        prop_assert!(rest.is_empty());
        prop_assert_eq!(varint::take_i32(&mut &bytes[..]), i32::try_from(value).ok());
    }
}

#[test]
fn a_varint_that_never_ends_is_refused() {
    assert_eq!(varint::take_i64(&mut &[0xff; 11][..]), None);
    assert_eq!(varint::take_i64(&mut &[0xff; 3][..]), None);
    assert_eq!(varint::take_i32(&mut &[0xff, 0xff, 0xff, 0xff, 0x1f][..]), None);
    assert_eq!(varint::take_i32(&mut &[0xff, 0xff, 0xff, 0xff, 0x0f][..]), Some(i32::MIN));
    assert_eq!(varint::take_i32(&mut &[][..]), None);
}

#[test]
fn stamping_leaves_the_checksum_right() {
    let mut bytes = build(&[plain_record(b"a"), plain_record(b"b")], Codec::None).to_vec();
    stamp(&mut bytes, Offset(41), LeaderEpoch(7));
    let batch = DecodedBatch::decode(&Bytes::from(bytes), NO_CAP).unwrap();
    assert_eq!(batch.header.partition_leader_epoch, LeaderEpoch(7));
    assert_eq!(batch.header.offsets(), Offset(41)..Offset(43));
    let offsets: Vec<_> = batch.records().map(|record| record.unwrap().offset).collect();
    assert_eq!(offsets, [Offset(41), Offset(42)]);
}

#[test]
fn the_header_is_written_as_it_was_read() {
    let bytes = build(&[plain_record(b"a")], Codec::Gzip);
    let header = BatchHeader::decode(&bytes).unwrap();
    assert_eq!(header.encode(), bytes[..HEADER_BYTES]);
    assert_eq!(header.codec(), Some(Codec::Gzip));
    assert_eq!(header.total_bytes(), bytes.len());
}

#[test]
fn a_producer_stamp_is_kept() {
    let mut builder = BatchBuilder::new();
    builder.append(Timestamp(5), None, Some(b"v"), &[]);
    let size = builder.append(Timestamp(9), None, Some(b"v"), &[]);
    let producer = ProducerStamp {
        producer_id: ProducerId(12),
        producer_epoch: ProducerEpoch(3),
        base_sequence: i32::MAX,
        transactional: true,
    };
    let batch = builder.finish(Codec::None, producer);
    assert_eq!(batch.len(), size);
    let header = BatchHeader::decode(&batch).unwrap();
    assert_eq!((header.producer_id, header.producer_epoch), (ProducerId(12), ProducerEpoch(3)));
    assert!(header.is_transactional() && header.has_producer() && !header.is_control());
    assert_eq!(header.last_sequence(), 0, "sequence numbers start over after the greatest");
    assert_eq!((header.base_timestamp, header.max_timestamp), (Timestamp(5), Timestamp(9)));
}

#[test]
fn split_stops_before_an_incomplete_batch() {
    let one = build(&[plain_record(b"one")], Codec::None);
    let two = build(&[plain_record(b"two")], Codec::Lz4);
    let both = [&one[..], &two[..]].concat();
    for cut in 0..=both.len() {
        let found: Vec<_> =
            split(Bytes::copy_from_slice(&both[..cut])).map(|batch| batch.unwrap().1).collect();
        let whole = if cut == both.len() { 2 } else { usize::from(cut >= one.len()) };
        assert_eq!(found.len(), whole, "cut at {cut}");
    }
}

#[test]
fn split_yields_an_error_for_bytes_that_are_no_batch() {
    let found: Vec<_> = split(Bytes::from(vec![0; 200])).collect();
    assert_eq!(found, [Err(HeaderError::UnknownMagic(0))]);
}

#[test]
fn a_flipped_bit_is_found_wherever_the_checksum_reaches() {
    let bytes = build(&[plain_record(b"some value")], Codec::None);
    for position in 21..bytes.len() {
        let mut damaged = bytes.to_vec();
        damaged[position] ^= 0x10;
        let read = DecodedBatch::decode(&Bytes::from(damaged), NO_CAP);
        assert!(matches!(read, Err(ReadError::WrongChecksum { .. })), "byte {position}");
    }
}

#[test]
fn a_time_finds_the_first_record_that_is_not_before_it() {
    let times = [1000, 3000, 2000, 3000];
    let records: Vec<_> =
        times.iter().map(|&timestamp| OwnedRecord { timestamp, ..plain_record(b"v") }).collect();
    let mut bytes = build(&records, Codec::Zstd).to_vec();
    stamp(&mut bytes, Offset(10), LeaderEpoch(0));
    let batch = Bytes::from(bytes);
    let find = |target| offset_for_timestamp(&batch, Timestamp(target), Offset::ZERO, NO_CAP).unwrap();
    assert_eq!(find(0), Some((Offset(10), Timestamp(1000))));
    assert_eq!(find(1001), Some((Offset(11), Timestamp(3000))));
    assert_eq!(find(3000), Some((Offset(11), Timestamp(3000))));
    assert_eq!(find(3001), None);
    let latest = offset_of_max_timestamp(&batch, NO_CAP).unwrap();
    assert_eq!(latest, Some((Offset(11), Timestamp(3000))));
}
