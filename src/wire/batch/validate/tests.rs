use super::*;
use crate::types::{ProducerEpoch, ProducerId};
use crate::wire::batch::{BatchBuilder, DecodedBatch, NO_PRODUCER, ProducerStamp, stamp};
use proptest::prelude::*;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn rules() -> ProduceRules {
    ProduceRules {
        api_version: 9,
        batch_bytes_max: 1 << 20,
        decompressed_bytes_max: 1 << 22,
        timestamp_type: TimestampType::CreateTime,
        before_max_ms: 1000,
        after_max_ms: 500,
        now: NOW,
        compacted: false,
        target_codec: None,
    }
}

/// Three records, a millisecond apart, the second one without a key.
fn batch(codec: Codec) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    for (index, key) in [Some(&b"a"[..]), None, Some(b"")].into_iter().enumerate() {
        let timestamp = Timestamp(NOW.get() + 2 - i64::try_from(index).unwrap());
        builder.append(timestamp, key, Some(b"value value value"), &[]);
    }
    builder.finish(codec, NO_PRODUCER).to_vec()
}

/// `batch` after `change` to its bytes, with a CRC that is right again.
fn changed(mut batch: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    change(&mut batch);
    let crc = crc_of(&batch);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}

fn with_header(batch: &[u8], change: impl FnOnce(&mut BatchHeader)) -> Vec<u8> {
    let mut header = BatchHeader::decode(batch).unwrap();
    change(&mut header);
    changed(batch.to_vec(), |bytes| bytes[..HEADER_BYTES].copy_from_slice(&header.encode()))
}

fn check(batch: Vec<u8>, rules: &ProduceRules) -> Result<ProducedBatch, BatchError> {
    validate_produced(Bytes::from(batch), rules)
}

#[track_caller]
fn refused(batch: Vec<u8>, rules: &ProduceRules, code: ErrorCode) -> String {
    let error = check(batch, rules).expect_err("the batch must be refused");
    assert_eq!(error.code(), code, "{error}");
    error.to_string()
}

#[test]
fn a_right_batch_passes_untouched_in_every_codec() {
    for codec in Codec::ALL {
        let came = Bytes::from(batch(codec));
        let valid = validate_produced(came.clone(), &rules()).unwrap();
        assert_eq!(valid.bytes.as_ptr(), came.as_ptr());
        assert_eq!(valid.header, BatchHeader::decode(&came).unwrap());
    }
}

#[test]
fn nothing_or_half_a_batch_is_an_invalid_record() {
    let whole = batch(Codec::None);
    for cut in 0..whole.len() {
        refused(whole[..cut].to_vec(), &rules(), ErrorCode::InvalidRecord);
    }
}

#[test]
fn a_second_batch_or_trailing_bytes_are_an_invalid_record() {
    let one = batch(Codec::None);
    refused([&one[..], &one].concat(), &rules(), ErrorCode::InvalidRecord);
    refused([&one[..], &[0]].concat(), &rules(), ErrorCode::InvalidRecord);
}

#[test]
fn the_magic_must_be_two() {
    for (magic, code) in
        [(0, ErrorCode::InvalidRecord), (1, ErrorCode::InvalidRecord), (3, ErrorCode::CorruptMessage)]
    {
        refused(changed(batch(Codec::None), |bytes| bytes[16] = magic), &rules(), code);
    }
    refused(changed(batch(Codec::None), |bytes| bytes[16] = 0xff), &rules(), ErrorCode::CorruptMessage);
}

#[test]
fn a_length_that_no_batch_has_is_corrupt() {
    for length in [-1, 0, 48, i32::MIN] {
        let lying =
            changed(batch(Codec::None), |bytes| bytes[8..12].copy_from_slice(&i32::to_be_bytes(length)));
        refused(lying, &rules(), ErrorCode::CorruptMessage);
    }
}

#[test]
fn a_batch_over_the_limit_is_too_large() {
    let came = batch(Codec::None);
    let rules = |batch_bytes_max| ProduceRules { batch_bytes_max, ..rules() };
    assert!(check(came.clone(), &rules(came.len())).is_ok());
    refused(came.clone(), &rules(came.len() - 1), ErrorCode::MessageTooLarge);
}

#[test]
fn a_bomb_is_too_large() {
    let mut builder = BatchBuilder::new();
    builder.append(NOW, None, Some(&vec![0; 8 << 20]), &[]);
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let bomb = builder.clone().finish(codec, NO_PRODUCER).to_vec();
        assert!(bomb.len() < 1 << 20);
        refused(bomb, &rules(), ErrorCode::MessageTooLarge);
    }
}

#[test]
fn a_wrong_checksum_is_corrupt() {
    let whole = batch(Codec::None);
    for position in (17..61).chain([whole.len() - 1]) {
        let mut damaged = whole.clone();
        damaged[position] ^= 1;
        let error = check(damaged, &rules()).unwrap_err();
        let header_rule = !matches!(error, BatchError::WrongChecksum { .. });
        assert!(header_rule || error.code() == ErrorCode::CorruptMessage);
    }
    let mut damaged = whole;
    damaged[17] ^= 1;
    refused(damaged, &rules(), ErrorCode::CorruptMessage);
}

#[test]
fn a_lying_record_count_is_an_invalid_record() {
    let came = batch(Codec::None);
    for count in [i32::MIN, -1, 0, 1, 2, 4, i32::MAX] {
        refused(with_header(&came, |header| header.record_count = count), &rules(), ErrorCode::InvalidRecord);
        let both = |header: &mut BatchHeader| {
            header.record_count = count;
            header.last_offset_delta = count.wrapping_sub(1);
        };
        for codec in Codec::ALL {
            refused(with_header(&batch(codec), both), &rules(), ErrorCode::InvalidRecord);
        }
    }
}

#[test]
fn offset_deltas_must_count_up_from_0() {
    // length, attributes, timestamp delta: the offset delta is the fourth byte of a record.
    let swapped = changed(batch(Codec::None), |bytes| bytes[HEADER_BYTES + 3] = 2);
    let error = refused(swapped, &rules(), ErrorCode::InvalidRecord);
    assert_eq!(error, "record 0 has offset delta 1");
}

#[test]
fn the_base_offset_must_be_0() {
    let mut came = batch(Codec::None);
    stamp(&mut came, Offset(5), crate::types::LeaderEpoch(0));
    refused(came, &rules(), ErrorCode::InvalidRecord);
}

#[test]
fn an_unknown_codec_is_unsupported() {
    for bits in [5, 6, 7] {
        let unknown = with_header(&batch(Codec::None), |header| header.attributes |= bits);
        refused(unknown, &rules(), ErrorCode::UnsupportedCompressionType);
    }
}

#[test]
fn zstd_needs_produce_7() {
    let rules = |api_version| ProduceRules { api_version, ..rules() };
    refused(batch(Codec::Zstd), &rules(6), ErrorCode::UnsupportedCompressionType);
    assert!(check(batch(Codec::Zstd), &rules(7)).is_ok());
    assert!(check(batch(Codec::Lz4), &rules(3)).is_ok());
}

#[test]
fn clients_cannot_write_markers() {
    let marker = with_header(&batch(Codec::None), |header| header.attributes |= 1 << 5);
    refused(marker, &rules(), ErrorCode::InvalidRecord);
}

#[test]
fn a_producer_needs_a_sequence() {
    let producer = |base_sequence| ProducerStamp {
        producer_id: ProducerId(1),
        producer_epoch: ProducerEpoch(0),
        base_sequence,
        transactional: false,
    };
    let mut builder = BatchBuilder::new();
    builder.append(NOW, None, None, &[]);
    assert!(check(builder.clone().finish(Codec::None, producer(0)).to_vec(), &rules()).is_ok());
    refused(builder.finish(Codec::None, producer(-1)).to_vec(), &rules(), ErrorCode::InvalidRecord);
}

#[test]
fn garbage_for_a_codec_is_an_invalid_record() {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let garbage = with_header(&batch(Codec::None), |header| header.set_codec(codec));
        refused(garbage, &rules(), ErrorCode::InvalidRecord);
    }
}

#[test]
fn a_compacted_topic_needs_keys() {
    let rules = ProduceRules { compacted: true, ..rules() };
    let error = refused(batch(Codec::Gzip), &rules, ErrorCode::InvalidRecord);
    assert_eq!(error, "record 1 has no key, which a compacted topic needs");
}

#[test]
fn timestamps_must_be_near_enough_to_now() {
    let at = |offset_ms| {
        let mut builder = BatchBuilder::new();
        builder.append(Timestamp(NOW.get() + offset_ms), None, Some(b"v"), &[]);
        builder.finish(Codec::None, NO_PRODUCER).to_vec()
    };
    assert!(check(at(-1000), &rules()).is_ok());
    assert!(check(at(500), &rules()).is_ok());
    refused(at(-1001), &rules(), ErrorCode::InvalidTimestamp);
    refused(at(501), &rules(), ErrorCode::InvalidTimestamp);
    refused(at(i64::MAX - NOW.get()), &rules(), ErrorCode::InvalidTimestamp);
    assert!(check(at(-1 - NOW.get()), &rules()).is_ok(), "a record without a timestamp is accepted");
    let append_time = ProduceRules { timestamp_type: TimestampType::LogAppendTime, ..rules() };
    assert!(check(at(-5000), &append_time).is_ok());
    assert!(check(at(i64::MAX - NOW.get()), &append_time).is_ok(), "nobody reads it");
}

#[test]
fn a_timestamp_that_a_segment_cannot_hold_is_refused_whatever_the_topic_says() {
    let rules = ProduceRules { before_max_ms: i64::MAX, after_max_ms: i64::MAX, ..rules() };
    let at = |timestamp| {
        let mut builder = BatchBuilder::new();
        builder.append(timestamp, None, Some(b"v"), &[]);
        builder.finish(Codec::None, NO_PRODUCER).to_vec()
    };
    let (earliest, latest) = (Timestamp::EARLIEST, Timestamp::LATEST);
    for legal in [earliest, Timestamp(-2), Timestamp::NONE, Timestamp(0), latest] {
        assert!(check(at(legal), &rules).is_ok(), "{legal:?}");
    }
    for beyond in [Timestamp(earliest.get() - 1), Timestamp(latest.get() + 1)] {
        let said = refused(at(beyond), &rules, ErrorCode::InvalidTimestamp);
        let expected = "accepted are -9223372036854775 to 9223372036854775";
        assert!(said.starts_with("record 0 has timestamp ") && said.ends_with(expected), "{said}");
    }
}

#[test]
fn every_record_that_is_to_blame_is_named() {
    let mut builder = BatchBuilder::new();
    for (key, late_ms) in [(Some(&b"k"[..]), 0), (None, 0), (None, 9_999), (Some(b"k"), 9_999)] {
        builder.append(Timestamp(NOW.get() + late_ms), key, Some(b"v"), &[]);
    }
    let came = builder.finish(Codec::Lz4, NO_PRODUCER).to_vec();
    let rules = ProduceRules { compacted: true, ..rules() };
    let error = check(came, &rules).expect_err("three of them are refused");
    assert_eq!(error.code(), ErrorCode::InvalidTimestamp);
    let BatchError::Rejected(rejected) = error else { panic!("{error}") };
    let late = RecordFault::OutOfRange {
        timestamp: Timestamp(NOW.get() + 9_999),
        accepted: Timestamp(NOW.get() - 1000)..=Timestamp(NOW.get() + 500),
    };
    assert_eq!(rejected.faults, [(1, RecordFault::NoKey), (2, RecordFault::NoKey), (3, late)]);
    assert_eq!(rejected.total, 3);
}

#[test]
fn append_time_from_a_client_is_an_invalid_timestamp() {
    let came = with_header(&batch(Codec::None), |header| header.set_append_time(NOW));
    let said = refused(came, &rules(), ErrorCode::InvalidTimestamp);
    assert_eq!(said, "record 0 says that its timestamp is the broker's");
}

#[test]
fn a_lying_max_timestamp_is_corrected() {
    let lying = with_header(&batch(Codec::Zstd), |header| header.max_timestamp = Timestamp(i64::MAX));
    let valid = check(lying, &rules()).unwrap();
    assert_eq!(valid.header.max_timestamp, Timestamp(NOW.get() + 2));
    assert_eq!(DecodedBatch::decode(&valid.bytes, 1000).unwrap().header, valid.header);
}

#[test]
fn append_time_is_written_with_a_new_checksum() {
    for codec in Codec::ALL {
        let rules = ProduceRules { timestamp_type: TimestampType::LogAppendTime, ..rules() };
        let valid = check(batch(codec), &rules).unwrap();
        let decoded = DecodedBatch::decode(&valid.bytes, 1000).unwrap();
        assert_eq!(decoded.header, valid.header);
        assert_eq!(decoded.header.timestamp_type(), TimestampType::LogAppendTime);
        assert!(decoded.records().all(|record| record.unwrap().timestamp == NOW));
    }
}

#[test]
fn a_topics_own_codec_is_applied() {
    for from in Codec::ALL {
        for to in Codec::ALL {
            let rules = ProduceRules { target_codec: Some(to), ..rules() };
            let valid = check(batch(from), &rules).unwrap();
            assert_eq!(valid.header.codec(), Some(to));
            let decoded = DecodedBatch::decode(&valid.bytes, 1000).unwrap();
            assert_eq!(decoded.header, valid.header);
            let values =
                decoded.records().filter(|record| record.unwrap().value == Some(b"value value value"));
            assert_eq!(values.count(), 3);
        }
    }
}

#[test]
fn what_recompression_makes_too_large_is_refused() {
    let mut builder = BatchBuilder::new();
    builder.append(NOW, None, Some(&[0; 4000]), &[]);
    let came = builder.finish(Codec::Gzip, NO_PRODUCER).to_vec();
    let rules = ProduceRules { target_codec: Some(Codec::None), batch_bytes_max: 1000, ..rules() };
    refused(came, &rules, ErrorCode::MessageTooLarge);
}

/// The records' bytes with a checksum that is right: nothing else guards the walk.
fn with_records(records: &[u8], count: i32, codec: Codec) -> Vec<u8> {
    let bytes = [&batch(Codec::None)[..HEADER_BYTES], records].concat();
    let bytes = changed(bytes, |bytes| {
        let length = i32::try_from(bytes.len() - 12).unwrap();
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
    });
    with_header(&bytes, |header| {
        header.record_count = count;
        header.last_offset_delta = count - 1;
        header.set_codec(codec);
    })
}

#[test]
fn lengths_that_lie_within_a_record_are_an_invalid_record() {
    // length | attributes | timestamp delta | offset delta | key | value | headers
    let records: &[&[u8]] = &[
        &[],
        &[0],
        &[1],
        &[12, 0, 0, 0, 1, 1],                               // ends early
        &[12, 0, 0, 0, 1, 3, 0],                            // a value of -2
        &[12, 0, 0, 0, 3, 1, 0],                            // a key of -2
        &[12, 0, 0, 0, 1, 1, 1],                            // -1 headers
        &[12, 0, 0, 0, 1, 1, 2],                            // a header that is not there
        &[14, 0, 0, 0, 1, 1, 0, 0],                         // a byte after the headers
        &[16, 0, 0, 0, 1, 1, 2, 1, 1],                      // a header without a key
        &[20, 0, 0, 0, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0], // a value of 2 GiB
        &[0xfe, 0xff, 0xff, 0xff, 0x0f],                    // a record of 2 GiB
        &[20, 0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f], // 2^31 - 1 headers
        &[12, 0, 0, 0, 1, 1, 0, 0],                         // a byte after the last record
    ];
    for record in records {
        refused(with_records(record, 1, Codec::None), &rules(), ErrorCode::InvalidRecord);
    }
    let whole = with_records(&[12, 0, 0, 0, 1, 1, 0], 1, Codec::None);
    assert!(check(whole, &rules()).is_ok());
}

proptest! {
    #[test]
    fn random_records_never_panic(records in proptest::collection::vec(any::<u8>(), 0..200), count in 1i32..5) {
        for codec in Codec::ALL {
            let _ = check(with_records(&records, count, codec), &rules());
        }
    }

    #[test]
    fn small_random_records_never_panic(records in proptest::collection::vec(0u8..20, 0..60), count in 1i32..4) {
        let _ = check(with_records(&records, count, Codec::None), &rules());
    }
}
