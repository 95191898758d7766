//! The end of a segment's file: checksums, which columns are text, and what the file is.
//!
//! ```text
//! "PAR1" │ row groups: dictionary and data pages, bloom filters │ column indexes, offset indexes │ footer │ len │ "PAR1"
//!                                                               └ cenote.index-crc32c            └ cenote.footer-crc32c
//! ```
//!
//! The library writes no checksums, and a reader takes only some pages of a file. So the footer's key-value
//! metadata holds, in hex, CRC-32Cs of everything that is read by itself:
//!
//! | key | value |
//! | --- | --- |
//! | `cenote.format` | the version of all this |
//! | `cenote.writer` | the release that wrote the file |
//! | `cenote.topic-id`, `cenote.partition` | whose records they are |
//! | `cenote.base-offset`, `cenote.end-offset` | what the file covers: from, and up to but without |
//! | `cenote.chunk-crc32c` | eight digits a chunk: its bytes, column by column, each with its dictionary before it |
//! | `cenote.index-crc32c` | of the column and offset indexes, which lie together |
//! | `cenote.footer-crc32c` | of the footer itself, with zeros in place of these eight digits |
//!
//! Other readers of Parquet pass over them.

use crate::segment::checksum::crc32c;
use crate::segment::reader::{footer_at, indexes_range, page_table};
use crate::segment::schema::{TextColumns, parquet_schema};
use crate::segment::{DamagedSegment, WriteError};
use crate::types::{Offset, TopicPartition};
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    FileMetaData, KeyValue, ParquetMetaData, ParquetMetaDataBuilder, ParquetMetaDataWriter,
};
use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;

pub(in crate::segment) const FORMAT: &str = "1";
pub(in crate::segment) const FORMAT_KEY: &str = "cenote.format";
pub(in crate::segment) const TOPIC_ID_KEY: &str = "cenote.topic-id";
pub(in crate::segment) const PARTITION_KEY: &str = "cenote.partition";
pub(in crate::segment) const BASE_OFFSET_KEY: &str = "cenote.base-offset";
pub(in crate::segment) const END_OFFSET_KEY: &str = "cenote.end-offset";
pub(in crate::segment) const CHUNKS_KEY: &str = "cenote.chunk-crc32c";
pub(in crate::segment) const INDEXES_KEY: &str = "cenote.index-crc32c";
pub(in crate::segment) const FOOTER_KEY: &str = "cenote.footer-crc32c";
const WRITER_KEY: &str = "cenote.writer";

/// The bytes of the file.
pub(super) fn close(
    mut file: ArrowWriter<Vec<u8>>,
    text: TextColumns,
    topic_partition: TopicPartition,
    offsets: &Range<Offset>,
) -> Result<Vec<u8>, WriteError> {
    let metadata = file.finish()?;
    let mut bytes = std::mem::take(file.inner_mut());
    let indexes = indexes_range(&metadata).map_err(not_ours)?;
    bytes.truncate(usize::try_from(indexes.end).unwrap_or(usize::MAX));

    let checksums = Checksums::of(&bytes, &metadata, &indexes).map_err(not_ours)?;
    let key_values = key_values(topic_partition, offsets, &checksums);
    let footer_at_byte = bytes.len();
    write_footer(&mut bytes, &metadata, text, key_values)?;
    let footer = footer_at_byte..bytes.len() - FOOTER_TAIL_BYTES;
    let place = footer_at(&bytes[footer.clone()]).map_err(not_ours)?;
    let place = footer.start + place.start..footer.start + place.end;
    let crc = format!("{:08x}", crc32c([&bytes[footer]]));
    bytes[place].copy_from_slice(crc.as_bytes());
    Ok(bytes)
}

/// The length and the magic that follow a footer.
const FOOTER_TAIL_BYTES: usize = 8;

/// The library broke what this room rests on.
fn not_ours(error: DamagedSegment) -> WriteError {
    WriteError::Encode(ParquetError::General(error.to_string()))
}

struct Checksums {
    chunks: String,
    indexes: u32,
}

impl Checksums {
    fn of(
        bytes: &[u8],
        metadata: &ParquetMetaData,
        indexes: &Range<u64>,
    ) -> Result<Checksums, DamagedSegment> {
        let part = |range: &Range<u64>| &bytes[range.start as usize..range.end as usize];
        let table = page_table(metadata, bytes.len() as u64)?;
        let mut chunks = String::with_capacity(table.chunks.len() * 8);
        for chunk in 0..table.chunks.len() {
            let parts = table.parts(chunk);
            write!(chunks, "{:08x}", crc32c(parts.iter().map(part))).expect("a string takes all");
        }
        Ok(Checksums { chunks, indexes: crc32c([part(indexes)]) })
    }
}

fn key_values(
    topic_partition: TopicPartition,
    offsets: &Range<Offset>,
    checksums: &Checksums,
) -> Vec<KeyValue> {
    let pair = |key: &str, value: String| KeyValue::new(key.to_owned(), value);
    vec![
        pair(FORMAT_KEY, FORMAT.to_owned()),
        pair(WRITER_KEY, concat!("cenote ", env!("CARGO_PKG_VERSION")).to_owned()),
        pair(TOPIC_ID_KEY, topic_partition.topic_id.to_string()),
        pair(PARTITION_KEY, topic_partition.partition.to_string()),
        pair(BASE_OFFSET_KEY, offsets.start.to_string()),
        pair(END_OFFSET_KEY, offsets.end.to_string()),
        pair(CHUNKS_KEY, checksums.chunks.clone()),
        pair(INDEXES_KEY, format!("{:08x}", checksums.indexes)),
        pair(FOOTER_KEY, "00000000".to_owned()),
    ]
}

/// The footer again, behind the indexes, which stay where they are.
fn write_footer(
    bytes: &mut Vec<u8>,
    metadata: &ParquetMetaData,
    text: TextColumns,
    key_values: Vec<KeyValue>,
) -> Result<(), ParquetError> {
    let written = metadata.file_metadata();
    let file = FileMetaData::new(
        written.version(),
        written.num_rows(),
        written.created_by().map(str::to_owned),
        Some(key_values),
        Arc::new(parquet_schema(text)?),
        None,
    );
    let metadata = ParquetMetaDataBuilder::new(file).set_row_groups(metadata.row_groups().to_vec()).build();
    ParquetMetaDataWriter::new(bytes, &metadata).finish()
}
