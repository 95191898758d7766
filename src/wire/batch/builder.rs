//! Makes a batch of records: the client's, and that of tests.

use super::compression::Codec;
use super::header::{BatchHeader, HEADER_BYTES, MAGIC};
use super::records::Header;
use super::rewrite;
use super::varint;
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use bytes::Bytes;

/// Whose batch it is: what makes it idempotent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerStamp {
    /// The producer, -1 for none.
    pub producer_id: ProducerId,
    /// Its epoch, -1 for none.
    pub producer_epoch: ProducerEpoch,
    /// The first record's sequence number, -1 for none.
    pub base_sequence: i32,
    /// Whether it belongs to a transaction.
    pub transactional: bool,
}

/// A batch of a producer that is not idempotent.
pub const NO_PRODUCER: ProducerStamp = ProducerStamp {
    producer_id: ProducerId(-1),
    producer_epoch: ProducerEpoch(-1),
    base_sequence: -1,
    transactional: false,
};

/// Records gathered into one batch, whose base offset will be 0.
#[derive(Clone, Debug, Default)]
pub struct BatchBuilder {
    plain: Vec<u8>,
    record_count: i32,
    base_timestamp: Timestamp,
    max_timestamp: Timestamp,
}

impl BatchBuilder {
    /// No records yet.
    #[must_use]
    pub fn new() -> BatchBuilder {
        BatchBuilder::default()
    }

    /// Adds a record; returns [`BatchBuilder::bytes`] with it. Headers keep their order and repeats.
    pub fn append(
        &mut self,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> usize {
        if self.record_count == 0 {
            (self.base_timestamp, self.max_timestamp) = (timestamp, timestamp);
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        let timestamp_delta = timestamp.get().wrapping_sub(self.base_timestamp.get());
        let offset_delta = i64::from(self.record_count);
        let length = 1
            + varint::bytes_of(timestamp_delta)
            + varint::bytes_of(offset_delta)
            + bytes_of(key)
            + bytes_of(value)
            + varint::bytes_of(length_of(headers.len()))
            + headers.iter().map(|header| bytes_of(Some(header.key)) + bytes_of(header.value)).sum::<usize>();
        let out = &mut self.plain;
        varint::put(out, length_of(length));
        out.push(0);
        varint::put(out, timestamp_delta);
        varint::put(out, offset_delta);
        put_bytes(out, key);
        put_bytes(out, value);
        varint::put(out, length_of(headers.len()));
        for header in headers {
            put_bytes(out, Some(header.key));
            put_bytes(out, header.value);
        }
        self.record_count += 1;
        self.bytes()
    }

    /// Bytes of the batch so far, before compression.
    #[must_use]
    pub fn bytes(&self) -> usize {
        HEADER_BYTES + self.plain.len()
    }

    /// How many records.
    #[must_use]
    pub fn record_count(&self) -> i32 {
        self.record_count
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.record_count == 0
    }

    /// The batch.
    #[must_use]
    pub fn finish(self, codec: Codec, producer: ProducerStamp) -> Bytes {
        let mut header = self.header(producer);
        rewrite::with_codec(&mut header, &self.plain, codec)
    }

    /// The batch as one of control records, which are never compressed.
    pub(super) fn finish_control(self, producer: ProducerStamp) -> Bytes {
        let mut header = self.header(producer);
        header.set_control();
        rewrite::with_codec(&mut header, &self.plain, Codec::None)
    }

    /// All but length and CRC.
    fn header(&self, producer: ProducerStamp) -> BatchHeader {
        let mut header = BatchHeader {
            base_offset: Offset::ZERO,
            batch_length: 0,
            partition_leader_epoch: LeaderEpoch(-1),
            magic: MAGIC,
            crc: 0,
            attributes: 0,
            last_offset_delta: self.record_count - 1,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id: producer.producer_id,
            producer_epoch: producer.producer_epoch,
            base_sequence: producer.base_sequence,
            record_count: self.record_count,
        };
        if producer.transactional {
            header.set_transactional();
        }
        header
    }
}

/// Bytes of a nullable field with its length.
fn bytes_of(field: Option<&[u8]>) -> usize {
    field.map_or(1, |bytes| varint::bytes_of(length_of(bytes.len())) + bytes.len())
}

fn put_bytes(out: &mut Vec<u8>, field: Option<&[u8]>) {
    varint::put(out, field.map_or(-1, |bytes| length_of(bytes.len())));
    out.extend_from_slice(field.unwrap_or_default());
}

fn length_of(length: usize) -> i64 {
    i64::try_from(length).expect("no slice is longer")
}
