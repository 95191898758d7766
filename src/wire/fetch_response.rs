//! The answer to Fetch, written without copying a record.
//!
//! `kafka_protocol` would copy all records into one buffer. Here one small buffer holds everything between
//! the records, and the frame's chunks are slices of it with the records' own bytes in between:
//!
//! ```text
//! buffer   | length, header, topic, partition 0 | partition 1 | ... |
//! chunks   |------------------------------------|records|-----|records|---|
//! ```
//! Versions 4 to 18. Tagged fields are left out where they would carry their default.

use super::frame::{EncodeError, RequestHeader, ResponseFrame, frame_length};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::FetchResponse;
use kafka_protocol::protocol::HeaderVersion;
use uuid::Uuid;

/// What Fetch answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchAnswer {
    /// How long the client should hold back.
    pub throttle_time_ms: i32,
    /// Of the whole answer, 0 for none (version 7 on).
    pub error_code: i16,
    /// The fetch session, 0 for none (version 7 on).
    pub session_id: i32,
    /// By topic.
    pub topics: Vec<FetchAnswerTopic>,
}

/// A topic's part of [`FetchAnswer`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchAnswerTopic {
    /// Written to version 12.
    pub name: String,
    /// Written from version 13 on.
    pub topic_id: Uuid,
    /// By partition.
    pub partitions: Vec<FetchAnswerPartition>,
}

/// A partition's part of [`FetchAnswer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchAnswerPartition {
    /// Which partition.
    pub partition_index: i32,
    /// 0 for none.
    pub error_code: i16,
    /// The first offset that is not visible, -1 when not known.
    pub high_watermark: i64,
    /// The first offset that may be of an open transaction, -1 when not known.
    pub last_stable_offset: i64,
    /// The first offset that can be read, -1 when not known (version 5 on).
    pub log_start_offset: i64,
    /// For readers of committed records; `None` for the others.
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    /// Where to read instead, -1 for here (version 11 on).
    pub preferred_read_replica: i32,
    /// Who leads, when it is not this broker (version 12 on).
    pub current_leader: Option<CurrentLeader>,
    /// Whole record batches, in order: chunks of the frame, as they are.
    pub records: Vec<Bytes>,
}

/// A transaction whose records the reader has to leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Whose.
    pub producer_id: i64,
    /// From where on.
    pub first_offset: i64,
}

/// The leader that a client should turn to (KIP-951).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CurrentLeader {
    /// Its broker id.
    pub leader_id: i32,
    /// Its leader epoch.
    pub leader_epoch: i32,
}

impl Default for FetchAnswerPartition {
    /// No records, no error, nothing known.
    fn default() -> FetchAnswerPartition {
        FetchAnswerPartition {
            partition_index: 0,
            error_code: 0,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            aborted_transactions: None,
            preferred_read_replica: -1,
            current_leader: None,
            records: Vec::new(),
        }
    }
}

impl FetchAnswer {
    /// The frame that answers the request of `header`, whose version must be one of 4 to 18.
    pub fn encode(self, header: &RequestHeader) -> Result<ResponseFrame, EncodeError> {
        let version = header.api_version;
        if !(4..=18).contains(&version) {
            return Err(EncodeError(format!("fetch has no version {version} here")));
        }
        let room = 64
            + self
                .topics
                .iter()
                .map(|topic| 48 + topic.name.len() + 64 * topic.partitions.len())
                .sum::<usize>();
        let mut writer = Writer {
            version,
            flexible: version >= 12,
            pieces: BytesMut::with_capacity(room),
            records: Vec::new(),
            records_bytes: 0,
        };
        writer.header(header.correlation_id);
        writer.answer(self)?;
        writer.finish()
    }
}

/// The buffer of pieces, and the records that go in between.
struct Writer {
    version: i16,
    flexible: bool,
    pieces: BytesMut,
    /// Each with the position in `pieces` that it stands at.
    records: Vec<(usize, Vec<Bytes>)>,
    records_bytes: usize,
}

impl Writer {
    fn header(&mut self, correlation_id: i32) {
        self.pieces.put_i32(0); // the length, known at the end
        self.pieces.put_i32(correlation_id);
        if FetchResponse::header_version(self.version) >= 1 {
            self.pieces.put_u8(0);
        }
    }

    fn answer(&mut self, answer: FetchAnswer) -> Result<(), EncodeError> {
        self.pieces.put_i32(answer.throttle_time_ms);
        if self.version >= 7 {
            self.pieces.put_i16(answer.error_code);
            self.pieces.put_i32(answer.session_id);
        }
        self.length(answer.topics.len())?;
        for topic in answer.topics {
            self.topic(topic)?;
        }
        self.no_tagged_fields();
        Ok(())
    }

    fn topic(&mut self, topic: FetchAnswerTopic) -> Result<(), EncodeError> {
        if self.version >= 13 {
            self.pieces.put_slice(topic.topic_id.as_bytes());
        } else {
            self.name(&topic.name)?;
        }
        self.length(topic.partitions.len())?;
        for partition in topic.partitions {
            self.partition(partition)?;
        }
        self.no_tagged_fields();
        Ok(())
    }

    fn partition(&mut self, partition: FetchAnswerPartition) -> Result<(), EncodeError> {
        self.pieces.put_i32(partition.partition_index);
        self.pieces.put_i16(partition.error_code);
        self.pieces.put_i64(partition.high_watermark);
        self.pieces.put_i64(partition.last_stable_offset);
        if self.version >= 5 {
            self.pieces.put_i64(partition.log_start_offset);
        }
        self.aborted_transactions(partition.aborted_transactions.as_deref())?;
        if self.version >= 11 {
            self.pieces.put_i32(partition.preferred_read_replica);
        }
        self.records(partition.records)?;
        match partition.current_leader {
            Some(leader) if self.flexible => self.current_leader(leader),
            _ => self.no_tagged_fields(),
        }
        Ok(())
    }

    fn aborted_transactions(&mut self, aborted: Option<&[AbortedTransaction]>) -> Result<(), EncodeError> {
        let Some(aborted) = aborted else {
            self.null();
            return Ok(());
        };
        self.length(aborted.len())?;
        for transaction in aborted {
            self.pieces.put_i64(transaction.producer_id);
            self.pieces.put_i64(transaction.first_offset);
            self.no_tagged_fields();
        }
        Ok(())
    }

    fn records(&mut self, records: Vec<Bytes>) -> Result<(), EncodeError> {
        let bytes: usize = records.iter().map(Bytes::len).sum();
        self.length(bytes)?;
        if bytes > 0 {
            self.records_bytes += bytes;
            self.records.push((self.pieces.len(), records));
        }
        Ok(())
    }

    /// Tag 1, nine bytes: the two numbers, and no tagged fields of its own.
    fn current_leader(&mut self, leader: CurrentLeader) {
        self.pieces.put_slice(&[1, 1, 9]);
        self.pieces.put_i32(leader.leader_id);
        self.pieces.put_i32(leader.leader_epoch);
        self.pieces.put_u8(0);
    }

    fn name(&mut self, name: &str) -> Result<(), EncodeError> {
        if self.flexible {
            self.length(name.len())?;
        } else {
            let length = i16::try_from(name.len());
            self.pieces.put_i16(length.map_err(|_| EncodeError("the topic name is too long".into()))?);
        }
        self.pieces.put_slice(name.as_bytes());
        Ok(())
    }

    /// A count or a length of bytes: 4 bytes, or compact.
    fn length(&mut self, length: usize) -> Result<(), EncodeError> {
        let length = frame_length(length)?;
        if !self.flexible {
            self.pieces.put_i32(length);
            return Ok(());
        }
        let mut compact = length.unsigned_abs() + 1;
        while compact >= 0x80 {
            self.pieces.put_u8(compact.to_le_bytes()[0] | 0x80);
            compact >>= 7;
        }
        self.pieces.put_u8(compact.to_le_bytes()[0]);
        Ok(())
    }

    fn null(&mut self) {
        if self.flexible { self.pieces.put_u8(0) } else { self.pieces.put_i32(-1) }
    }

    fn no_tagged_fields(&mut self) {
        if self.flexible {
            self.pieces.put_u8(0);
        }
    }

    fn finish(mut self) -> Result<ResponseFrame, EncodeError> {
        let length = frame_length(self.pieces.len() - 4 + self.records_bytes)?;
        self.pieces[..4].copy_from_slice(&length.to_be_bytes());
        let mut pieces = self.pieces.freeze();
        let mut cut = 0;
        let mut chunks = Vec::with_capacity(1 + 2 * self.records.len());
        for (position, records) in self.records {
            chunks.push(pieces.split_to(position - cut));
            cut = position;
            chunks.extend(records.into_iter().filter(|slice| !slice.is_empty()));
        }
        if !pieces.is_empty() {
            chunks.push(pieces);
        }
        Ok(ResponseFrame { chunks })
    }
}

#[cfg(test)]
mod tests;
