//! What tests write into segments and read back.

use crate::segment::{Chunk, Row, Segment, SegmentOptions, SegmentReader, SegmentWriter};
use crate::types::{
    LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, Timestamp, TopicId, TopicPartition,
};
use crate::wire::batch::{
    BatchBuilder, BatchHeader, Codec, DecodedBatch, Header, ProducerStamp, TimestampType, stamp,
};
use bytes::Bytes;
use futures_util::FutureExt;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::ops::Range;
use uuid::Uuid;

/// A gigabyte is more than any test decompresses to.
pub const NO_CAP: usize = 1 << 30;

pub type OwnedHeader = (Vec<u8>, Option<Vec<u8>>);

/// A record as a client sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnedRecord {
    pub timestamp: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<OwnedHeader>,
}

/// A batch as the log has it.
#[derive(Clone, Debug)]
pub struct OwnedBatch {
    pub base_offset: i64,
    pub leader_epoch: i32,
    pub producer: ProducerStamp,
    pub append_time: Option<i64>,
    pub codec: Codec,
    pub records: Vec<OwnedRecord>,
}

impl OwnedBatch {
    pub fn plain(base_offset: i64, records: Vec<OwnedRecord>) -> OwnedBatch {
        OwnedBatch {
            base_offset,
            leader_epoch: 0,
            producer: crate::wire::batch::NO_PRODUCER,
            append_time: None,
            codec: Codec::None,
            records,
        }
    }

    pub fn bytes(&self) -> Bytes {
        let mut builder = BatchBuilder::new();
        for record in &self.records {
            let headers: Vec<Header<'_>> =
                record.headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
            let (key, value) = (record.key.as_deref(), record.value.as_deref());
            builder.append(Timestamp(record.timestamp), key, value, &headers);
        }
        let mut bytes = builder.finish(self.codec, self.producer).to_vec();
        if let Some(append_time) = self.append_time {
            bytes[22] |= 8;
            bytes[35..43].copy_from_slice(&append_time.to_be_bytes());
            let crc = crc_fast::crc32_iscsi(&bytes[21..]);
            bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        }
        stamp(&mut bytes, Offset(self.base_offset), LeaderEpoch(self.leader_epoch));
        Bytes::from(bytes)
    }

    pub fn end(&self) -> i64 {
        self.base_offset + self.records.len() as i64
    }

    /// The rows that it must become.
    pub fn rows(&self) -> Vec<OwnedRow> {
        let first = self.producer.base_sequence;
        let sequence =
            |index: i64| if first < 0 { -1 } else { ((i64::from(first) + index) % (1 << 31)) as i32 };
        let row = |(index, record): (usize, &OwnedRecord)| OwnedRow {
            offset: self.base_offset + index as i64,
            record: OwnedRecord { timestamp: self.append_time.unwrap_or(record.timestamp), ..record.clone() },
            append_time: self.append_time.is_some(),
            leader_epoch: self.leader_epoch,
            batch_base_offset: self.base_offset,
            producer: (self.producer.producer_id, self.producer.producer_epoch),
            sequence: sequence(index as i64),
            transactional: self.producer.transactional,
            codec: self.codec,
        };
        self.records.iter().enumerate().map(row).collect()
    }
}

/// A row with all that a segment keeps.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnedRow {
    pub offset: i64,
    pub record: OwnedRecord,
    pub append_time: bool,
    pub leader_epoch: i32,
    pub batch_base_offset: i64,
    pub producer: (ProducerId, ProducerEpoch),
    pub sequence: i32,
    pub transactional: bool,
    pub codec: Codec,
}

impl From<Row<'_>> for OwnedRow {
    fn from(row: Row<'_>) -> OwnedRow {
        OwnedRow {
            offset: row.offset.get(),
            record: OwnedRecord {
                timestamp: row.timestamp.get(),
                key: row.key.map(<[u8]>::to_vec),
                value: row.value.map(<[u8]>::to_vec),
                headers: row.headers.map(|h| (h.key.to_vec(), h.value.map(<[u8]>::to_vec))).collect(),
            },
            append_time: row.timestamp_type == TimestampType::LogAppendTime,
            leader_epoch: row.leader_epoch.0,
            batch_base_offset: row.batch_base_offset.get(),
            producer: (row.producer_id, row.producer_epoch),
            sequence: row.sequence,
            transactional: row.transactional,
            codec: row.codec,
        }
    }
}

pub fn partition() -> TopicPartition {
    TopicPartition { topic_id: TopicId(Uuid::from_u128(7)), partition: PartitionIndex(3) }
}

/// Few rows a page, so that a test has many chunks.
pub fn small_pages() -> SegmentOptions {
    SegmentOptions { page_rows: 7, row_group_bytes_max: 4000, ..SegmentOptions::default() }
}

pub fn write(batches: &[OwnedBatch], covers: Range<i64>, options: SegmentOptions) -> Segment {
    let mut writer = SegmentWriter::new(partition(), options).expect("options in range");
    for batch in batches {
        writer.append(&batch.bytes()).expect("a batch in order");
    }
    writer.finish(Offset(covers.start)..Offset(covers.end)).expect("rows within what is covered")
}

pub fn open(bytes: &Bytes) -> SegmentReader<Bytes> {
    SegmentReader::open(bytes.clone()).now_or_never().expect("memory is ready").expect("a whole segment")
}

pub fn chunk_ids(reader: &SegmentReader<Bytes>) -> impl Iterator<Item = crate::segment::ChunkId> + use<> {
    let chunks = reader.footer().chunks();
    (chunks.start.0..chunks.end.0).map(crate::segment::ChunkId)
}

pub fn read_rows(bytes: &Bytes) -> Vec<OwnedRow> {
    let reader = open(bytes);
    let mut rows = Vec::new();
    for chunk in chunk_ids(&reader) {
        let decoded = reader.rows(chunk).now_or_never().expect("memory is ready").expect("a whole chunk");
        rows.extend(decoded.iter().map(OwnedRow::from));
    }
    rows
}

/// The batches of a chunk, one by one.
pub fn batches_of(chunk: &Chunk) -> Vec<Bytes> {
    let mut rest = chunk.batches.clone();
    let mut batches = Vec::new();
    while !rest.is_empty() {
        batches.push(rest.split_to(BatchHeader::decode(&rest).expect("a batch").total_bytes()));
    }
    batches
}

/// Offsets and records of a batch, as a client reads them.
pub fn records_of(batch: &Bytes) -> Vec<(i64, OwnedRecord)> {
    let batch = DecodedBatch::decode(batch, NO_CAP).expect("a whole batch");
    let owned = |record: crate::wire::batch::Record<'_>| OwnedRecord {
        timestamp: record.timestamp.get(),
        key: record.key.map(<[u8]>::to_vec),
        value: record.value.map(<[u8]>::to_vec),
        headers: record.headers.map(|h| (h.key.to_vec(), h.value.map(<[u8]>::to_vec))).collect(),
    };
    let records = batch.records().map(|record| record.expect("a whole record"));
    records.map(|record| (record.offset.get(), owned(record))).collect()
}

pub fn text_record(timestamp: i64, value: &str) -> OwnedRecord {
    OwnedRecord { timestamp, key: None, value: Some(value.into()), headers: Vec::new() }
}

fn field() -> impl Strategy<Value = Option<Vec<u8>>> {
    option::of(vec(any::<u8>(), 0..60))
}

fn record() -> impl Strategy<Value = OwnedRecord> {
    let timestamp = prop_oneof![Just(-1), 0..4_000_000_000_000_i64];
    let key = prop_oneof![vec(any::<u8>(), 0..8), "[a-z]{0,6}".prop_map(String::into_bytes)];
    let headers = vec((key, field()), 0..4);
    (timestamp, field(), field(), headers).prop_map(|(timestamp, key, value, headers)| OwnedRecord {
        timestamp,
        key,
        value,
        headers,
    })
}

fn producer() -> impl Strategy<Value = ProducerStamp> {
    let some = (0..3_i64, 0..2_i16, prop_oneof![0..50, Just(i32::MAX - 3)], any::<bool>()).prop_map(
        |(producer_id, producer_epoch, base_sequence, transactional)| ProducerStamp {
            producer_id: ProducerId(producer_id),
            producer_epoch: ProducerEpoch(producer_epoch),
            base_sequence,
            transactional,
        },
    );
    prop_oneof![Just(crate::wire::batch::NO_PRODUCER), some]
}

/// Batches in the order of their offsets, some with gaps before them.
pub fn batches() -> impl Strategy<Value = Vec<OwnedBatch>> {
    let append_time = option::weighted(0.2, 0..4_000_000_000_000_i64);
    let codec = proptest::sample::select(&Codec::ALL[..]);
    let batch =
        (prop_oneof![Just(0), 0..20_i64], 0..3_i32, producer(), append_time, codec, vec(record(), 1..20));
    vec(batch, 1..12).prop_map(|drawn| {
        let mut next = 0;
        let mut batches = Vec::new();
        for (gap, leader_epoch, producer, append_time, codec, records) in drawn {
            let base_offset = next + gap;
            batches.push(OwnedBatch { base_offset, leader_epoch, producer, append_time, codec, records });
            next = base_offset + batches[batches.len() - 1].records.len() as i64;
        }
        batches
    })
}
