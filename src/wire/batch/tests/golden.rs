//! Batches that real clients made (see `golden/README.md`).

use super::super::*;
use crate::types::{Offset, ProducerEpoch, ProducerId, Timestamp, Verdict, ViewNumber};
use bytes::Bytes;

fn bytes(hex: &str) -> Bytes {
    let digits: String = hex.split_whitespace().collect();
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

const JAVA: [(Codec, &str); 4] = [
    (Codec::Gzip, include_str!("../golden/java-gzip.hex")),
    (Codec::Snappy, include_str!("../golden/java-snappy.hex")),
    (Codec::Lz4, include_str!("../golden/java-lz4.hex")),
    (Codec::Zstd, include_str!("../golden/java-zstd.hex")),
];

#[test]
fn kcats_batches_are_read() {
    let batches: Vec<_> =
        split(bytes(include_str!("../golden/kcat-none.hex"))).map(|batch| batch.unwrap().1).collect();
    assert_eq!(batches.len(), 2);
    let batch = DecodedBatch::decode(&batches[1], 1000).unwrap();
    assert_eq!(batch.header.offsets(), Offset(1)..Offset(2));
    assert_eq!(batch.header.crc, 0x6da8_aef9);
    assert!(!batch.header.has_producer());
    let records: Vec<_> = batch.records().map(Result::unwrap).collect();
    assert_eq!(records.len(), 1);
    let record = records[0];
    assert_eq!((record.key, record.value), (Some(&b"k2"[..]), Some(&b"world"[..])));
    assert_eq!(record.timestamp, Timestamp(0x01a1_fc6f_2812));
    let headers: Vec<_> = record.headers.collect();
    assert_eq!(headers, [Header { key: b"trace", value: Some(b"abc") }]);
}

#[test]
fn the_builder_makes_kcats_bytes() {
    let golden = split(bytes(include_str!("../golden/kcat-none.hex"))).next().unwrap().unwrap().1;
    let mut builder = BatchBuilder::new();
    let header = Header { key: b"trace", value: Some(b"abc") };
    builder.append(Timestamp(0x01a1_fc6f_2812), Some(b"k1"), Some(b"hello"), &[header]);
    let mut built = builder.finish(Codec::None, NO_PRODUCER).to_vec();
    stamp(&mut built, Offset(0), crate::types::LeaderEpoch(0));
    assert_eq!(built, golden);
}

#[test]
fn the_java_producers_batches_are_read_in_every_codec() {
    for (codec, hex) in JAVA {
        let batch = DecodedBatch::decode(&bytes(hex), 1 << 16).unwrap();
        assert_eq!(batch.header.codec(), Some(codec));
        assert_eq!(batch.header.record_count, 40);
        assert!(batch.header.has_producer() && batch.header.producer_id >= ProducerId(0));
        for (index, record) in (1..).zip(batch.records()) {
            let record = record.unwrap();
            let value = format!("the same words again and again {index}");
            assert_eq!(record.value, Some(value.as_bytes()), "{codec:?}");
            assert_eq!(record.key, Some(format!("key{}", index % 3).as_bytes()));
            assert_eq!(record.offset, Offset(index - 1));
        }
    }
}

#[test]
fn what_real_clients_send_is_valid() {
    for (codec, hex) in JAVA {
        let came = bytes(hex);
        let rules = ProduceRules {
            api_version: 12,
            batch_bytes_max: 1 << 20,
            decompressed_bytes_max: 1 << 20,
            timestamp_type: TimestampType::CreateTime,
            before_max_ms: i64::MAX,
            after_max_ms: 3_600_000,
            now: BatchHeader::decode(&came).unwrap().max_timestamp,
            compacted: true,
            target_codec: None,
        };
        let valid = validate_produced(came.clone(), &rules).unwrap();
        assert_eq!(valid.bytes.as_ptr(), came.as_ptr(), "{codec:?}: passed on as it came");
    }
}

#[test]
fn the_end_of_a_transaction_is_written_as_apache_kafka_writes_it() {
    let table = [
        (Verdict::Abort, include_str!("../golden/java-abort.hex")),
        (Verdict::Commit, include_str!("../golden/java-commit.hex")),
    ];
    for (verdict, hex) in table {
        let marker = EndMarker {
            producer_id: ProducerId(4711),
            producer_epoch: ProducerEpoch(7),
            verdict,
            coordinator_view: ViewNumber(42),
        };
        let built = marker.encode(Timestamp(1_700_000_000_123));
        assert_eq!(built, bytes(hex), "{verdict:?}");
        let header = BatchHeader::decode(&built).unwrap();
        assert!(header.is_control() && header.is_transactional() && header.crc_matches(&built));
    }
}
