//! Records as the history has them, to bytes and back.

use crate::batches::{Batch, CODECS, CONTROL, ParsedBatch, Record as Wire, parse_batches};
use crate::history::{Ends, Isolation, Marker, Producer, Reading, Record, RecordNumber, Sent, Verdict};
use bytes::{Buf, Bytes};
use kafka_protocol::messages::fetch_response::PartitionData;

/// In the batch's attributes: part of a transaction.
const TRANSACTIONAL: i16 = 0x10;
/// The header of a record whose value is null: there its number is.
const NUMBER: &str = "n";

/// A header of a record.
type Header = (String, Option<Vec<u8>>);

/// The headers of a record follow from its number: some have none, some the same name twice, values that are null or empty.
fn headers_of(number: RecordNumber) -> Vec<Header> {
    let header =
        |name: &str, value: Option<&str>| (name.to_owned(), value.map(|value| value.as_bytes().to_vec()));
    match number % 7 {
        0 => vec![header("trace", Some("0af7651916cd43dd"))],
        1 => vec![header("twice", Some("one")), header("twice", Some("two"))],
        2 => vec![header("", Some("")), header("null", None), header("long", Some(&"x".repeat(150)))],
        _ => Vec::new(),
    }
}

/// All headers of a record that has this number, as one number.
pub fn headers_told(number: RecordNumber) -> u64 {
    let headers = headers_of(number);
    tell_headers(headers.iter().map(|(name, value)| (name.as_bytes(), value.as_deref())))
}

/// Headers in their order as one number, without that which has the record's number; 0 if there are none.
pub fn tell_headers<'a>(headers: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>) -> u64 {
    let part = |told: u64, part: &[u8]| {
        let bytes = part.len().to_be_bytes().into_iter().chain(part.iter().copied());
        bytes.fold(told, |told, byte| (told ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
    };
    let own = headers.filter(|(name, _)| *name != NUMBER.as_bytes());
    own.fold(0, |told, (name, value)| {
        let named = part(told.wrapping_add(0xCBF2_9CE4_8422_2325), name);
        value.map_or(named, |value| part(named.rotate_left(1), value))
    })
}

/// The batch of these records. Its codec follows from the first one's number, so it is the same with each attempt.
pub fn encode(records: &[Sent], producer: Option<(Producer, i32)>, in_transaction: bool, now: i64) -> Bytes {
    let first = records.first().map_or(0, |sent| sent.number);
    let codec = CODECS[usize::try_from(first % 11).expect("small").saturating_sub(6)];
    let records = records.iter().map(|sent| encode_record(sent, now));
    let mut batch = Batch::of(records).compressed(codec);
    if let Some((producer, sequence)) = producer {
        batch = batch.by_producer(producer.producer_id, producer.producer_epoch, sequence);
    }
    if in_transaction {
        batch.attributes |= TRANSACTIONAL;
    }
    batch.encode()
}

fn encode_record(sent: &Sent, now: i64) -> Wire {
    let number = sent.number.to_string().into_bytes();
    let padding = usize::try_from(sent.number * 37 % 200).expect("below 200");
    let mut value = number.clone();
    value.push(b' ');
    value.resize(value.len() + padding, b'.');
    let mut headers = headers_of(sent.number);
    if sent.tombstone {
        headers.push((NUMBER.to_owned(), Some(number)));
    }
    Wire {
        key: sent.key.map(|key| key.to_string().into_bytes()),
        value: (!sent.tombstone).then_some(value),
        headers,
        timestamp: sent.timestamp.unwrap_or(now),
    }
}

pub fn number_in(bytes: &[u8]) -> u64 {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

fn decode_record(offset: i64, wire: &Wire, producer: Option<Producer>) -> Record {
    let header = wire.headers.iter().find(|(name, _)| name == NUMBER);
    let number = wire.value.as_ref().or(header.and_then(|(_, value)| value.as_ref()));
    Record {
        offset,
        number: number_in(number.expect("every record has its number")),
        key: wire.key.as_deref().map(number_in),
        tombstone: wire.value.is_none(),
        headers: tell_headers(wire.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_deref()))),
        timestamp: wire.timestamp,
        producer,
    }
}

/// What its header says of a batch.
struct Head {
    is_control: bool,
    is_transactional: bool,
    producer: Option<Producer>,
}

fn head(batch: &ParsedBatch) -> Head {
    let attributes = (&batch.bytes[21..23]).get_i16();
    let producer_id = (&batch.bytes[43..51]).get_i64();
    let producer_epoch = (&batch.bytes[51..53]).get_i16();
    Head {
        is_control: attributes & CONTROL != 0,
        is_transactional: attributes & TRANSACTIONAL != 0,
        producer: (producer_id >= 0).then_some(Producer { producer_id, producer_epoch }),
    }
}

/// An answer for one partition, as an application sees it that asked from `from` on.
pub fn reading(from: i64, isolation: Isolation, data: &PartitionData) -> Reading {
    let known = |offset: i64| (offset >= 0).then_some(offset);
    let ends = Ends {
        start: known(data.log_start_offset),
        stable: known(data.last_stable_offset),
        high: known(data.high_watermark),
    };
    let mut reading = Reading { next: from, ends, ..Reading::default() };
    let mut to_come: Vec<(i64, i64)> = match (&data.aborted_transactions, isolation) {
        (Some(aborted), Isolation::Committed) => {
            aborted.iter().map(|one| (one.first_offset, one.producer_id.0)).collect()
        }
        _ => Vec::new(),
    };
    to_come.sort_unstable();
    let mut aborted: Vec<i64> = Vec::new();
    for batch in parse_batches(&data.records.clone().unwrap_or_default()) {
        reading.next = reading.next.max(batch.last_offset + 1);
        let head = head(&batch);
        while to_come.first().is_some_and(|(first, _)| *first <= batch.last_offset) {
            aborted.push(to_come.remove(0).1);
        }
        if head.is_control {
            let producer = head.producer.expect("a marker has a producer");
            let kind = batch.records().first().and_then(|record| record.key.as_ref()?.get(3).copied());
            let verdict = if kind == Some(1) { Verdict::Commit } else { Verdict::Abort };
            if verdict == Verdict::Abort {
                aborted.retain(|id| *id != producer.producer_id);
            }
            if batch.base_offset >= from {
                reading.markers.push(Marker { offset: batch.base_offset, producer, verdict });
            }
            continue;
        }
        let is_aborted = head.producer.is_some_and(|producer| aborted.contains(&producer.producer_id));
        if head.is_transactional && is_aborted {
            continue;
        }
        let seen = batch.records_at().into_iter().filter(|(offset, _)| *offset >= from);
        reading.records.extend(seen.map(|(offset, record)| decode_record(offset, &record, head.producer)));
    }
    reading
}
