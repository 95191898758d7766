//! Record batches, format version 2 (KIP-98): the unit that producers send, the log numbers, and readers get.
//!
//! ```text
//!  0 base offset i64          21 attributes i16          43 producer id i64
//!  8 batch length i32         23 last offset delta i32   51 producer epoch i16
//! 12 leader epoch i32         27 base timestamp i64      53 base sequence i32
//! 16 magic i8 (2)             35 max timestamp i64       57 record count i32
//! 17 CRC-32C u32                                         61 records, maybe compressed
//! ```
//! The length counts what follows it; the CRC covers byte 21 to the end. So offset and leader epoch are
//! stamped without touching the CRC, and bytes go through the broker as they came.

mod builder;
pub mod compression;
mod header;
mod lookup;
mod marker;
mod records;
mod rewrite;
mod validate;
mod varint;

pub use builder::{BatchBuilder, NO_PRODUCER, ProducerStamp};
pub use compression::{Codec, CompressionError};
pub use header::{BatchHeader, HEADER_BYTES, HeaderError, MAGIC, TimestampType, split, stamp};
pub use lookup::{latest_from, offset_for_timestamp, offset_of_max_timestamp};
pub use marker::EndMarker;
pub use records::{DecodedBatch, Header, Headers, ReadError, Record, RecordError, Records};
pub use validate::{
    BatchError, ProduceRules, ProducedBatch, RecordFault, RejectedRecords, validate_produced,
};

#[cfg(test)]
mod tests;
