//! A record batch, as a producer sends it and as it is read back: the first byte chooses the rules that it is held to.

use super::MIB;
use crate::types::{Offset, Timestamp};
use crate::wire::batch::{
    BatchHeader, Codec, DecodedBatch, HEADER_BYTES, ProduceRules, ProducedBatch, TimestampType,
    compression::{compress, decompress},
    latest_from, offset_for_timestamp, offset_of_max_timestamp, split, validate_produced,
};
use bytes::Bytes;

/// What the records may come to.
const PLAIN_BYTES_MAX: usize = 256 << 10;
const NOW: Timestamp = Timestamp(1_700_000_000_000);

pub(super) fn check(bytes: &[u8]) {
    let Some((&choice, batch)) = bytes.split_first() else { return };
    check_batch(&Bytes::copy_from_slice(batch), choice);
    if batch.len() >= HEADER_BYTES {
        check_batch(&sealed(batch), choice);
        check_codec(&Bytes::copy_from_slice(&batch[HEADER_BYTES..]), choice);
    }
}

/// With the length, the magic and the checksum that a batch of these bytes has.
pub(super) fn sealed(batch: &[u8]) -> Bytes {
    let mut batch = batch.to_vec();
    let length = i32::try_from(batch.len() - 12).unwrap_or(i32::MAX);
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[16] = 2;
    let crc = crc_fast::crc32_iscsi(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    Bytes::from(batch)
}

fn check_batch(batch: &Bytes, choice: u8) {
    for (header, bytes) in split(batch.clone()).map_while(Result::ok) {
        assert_eq!(header.total_bytes(), bytes.len());
        assert_eq!(header.encode(), bytes[..HEADER_BYTES]);
        assert_eq!(BatchHeader::decode(&bytes), Ok(header));
    }
    if let Ok(decoded) = DecodedBatch::decode(batch, PLAIN_BYTES_MAX) {
        check_look_ups(batch, &decoded);
    }
    let rules = rules(choice);
    match validate_produced(batch.clone(), &rules) {
        Ok(produced) => check_produced(batch, &produced, &rules),
        Err(error) => drop((error.code(), error.to_string())),
    }
}

/// What is found at a time is a record of the batch, and no earlier one would do.
fn check_look_ups(batch: &Bytes, decoded: &DecodedBatch) {
    let from = Offset(decoded.header.base_offset.get().saturating_add(1));
    for target in [decoded.header.base_timestamp, decoded.header.max_timestamp] {
        if let Ok(Some((offset, timestamp))) = offset_for_timestamp(batch, target, from, PLAIN_BYTES_MAX) {
            assert!(timestamp >= target && offset >= from);
            let mut records = decoded.records().map_while(Result::ok);
            let first = records.find(|record| record.timestamp >= target && record.offset >= from);
            assert_eq!(first.map(|record| (record.offset, record.timestamp)), Some((offset, timestamp)));
        }
    }
    if let Ok(Some((offset, timestamp))) = latest_from(batch, from, PLAIN_BYTES_MAX) {
        let records = decoded.records().map_while(Result::ok).filter(|record| record.offset >= from);
        assert!(offset >= from);
        assert_eq!(records.map(|record| record.timestamp).max(), Some(timestamp));
    }
    let _: Result<_, _> = offset_of_max_timestamp(batch, PLAIN_BYTES_MAX);
}

fn rules(choice: u8) -> ProduceRules {
    ProduceRules {
        api_version: 3 + i16::from(choice & 0x08),
        batch_bytes_max: MIB,
        decompressed_bytes_max: PLAIN_BYTES_MAX,
        timestamp_type: match choice & 0x10 {
            0 => TimestampType::CreateTime,
            _ => TimestampType::LogAppendTime,
        },
        before_max_ms: i64::MAX,
        after_max_ms: i64::MAX,
        now: NOW,
        compacted: choice & 0x20 != 0,
        target_codec: Codec::from_bits(i16::from(choice & 0x07)),
    }
}

/// What is taken is what its header says, has the records that were sent, and would be taken again.
fn check_produced(came: &Bytes, produced: &ProducedBatch, rules: &ProduceRules) {
    let ProducedBatch { header, bytes } = produced;
    let stored = DecodedBatch::decode(bytes, PLAIN_BYTES_MAX).expect("what was taken is whole");
    assert_eq!(stored.header, *header);
    if let Some(codec) = rules.target_codec {
        assert_eq!(header.codec(), Some(codec));
    }
    let sent = DecodedBatch::decode(came, PLAIN_BYTES_MAX).expect("what was taken was whole when it came");
    let (mut count, mut latest) = (0, Timestamp::NONE);
    for (sent, stored) in sent.records().zip(stored.records()) {
        let (sent, stored) = (sent.expect("each was looked at"), stored.expect("each was looked at"));
        assert_eq!(
            (stored.offset, stored.key, stored.value, stored.headers),
            (sent.offset, sent.key, sent.value, sent.headers)
        );
        assert_eq!(stored.offset, Offset(count));
        match rules.timestamp_type {
            TimestampType::CreateTime => assert_eq!(stored.timestamp, sent.timestamp),
            TimestampType::LogAppendTime => assert_eq!(stored.timestamp, NOW),
        }
        (count, latest) = (count + 1, latest.max(stored.timestamp));
    }
    assert_eq!(header.offsets(), Offset(0)..Offset(count));
    assert_eq!(header.max_timestamp, latest);
    if rules.timestamp_type == TimestampType::CreateTime {
        let rules = ProduceRules { api_version: 13, target_codec: None, ..*rules };
        let again = validate_produced(bytes.clone(), &rules).expect("what was taken is taken again");
        assert_eq!(again.bytes, bytes);
    }
}

/// No more than the cap comes out; and what came out comes out of what is made of it again.
fn check_codec(payload: &Bytes, choice: u8) {
    let Some(codec) = Codec::from_bits(i16::from(choice & 0x07)) else { return };
    let Ok(plain) = decompress(codec, payload, PLAIN_BYTES_MAX) else { return };
    assert!(plain.len() <= PLAIN_BYTES_MAX);
    let packed = Bytes::from(compress(codec, &plain));
    let again = decompress(codec, &packed, PLAIN_BYTES_MAX).expect("what was just compressed");
    assert_eq!(again, plain);
    if let Some(less) = plain.len().checked_sub(1) {
        decompress(codec, &packed, less).expect_err("it is one byte more than the cap");
    }
}
