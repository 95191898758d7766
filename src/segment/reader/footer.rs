//! What a segment is, and where its chunks lie: read from the end of the file, checked, and kept in a cache.

use super::page_table::{ChunkEntry, PageTable, page_table};
use super::ranges::coalesced;
use super::{ChunkId, FetchedRanges, ReadAt};
use crate::segment::checksum::crc32c;
use crate::segment::error::{DamagedSegment, LoadError};
use crate::segment::manifest::Segment;
use crate::segment::schema::{self, Layout, TextColumns};
use crate::segment::writer::{
    BASE_OFFSET_KEY, CHUNKS_KEY, END_OFFSET_KEY, FOOTER_KEY, FORMAT, FORMAT_KEY, INDEXES_KEY, PARTITION_KEY,
    TOPIC_ID_KEY,
};
use crate::types::{Offset, PartitionIndex, Timestamp, TopicId, TopicPartition};
use bytes::{Bytes, BytesMut};
use parquet::DecodeResult;
use parquet::arrow::{FieldLevels, ProjectionMask, parquet_to_arrow_field_levels};
use parquet::file::metadata::{
    FileMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataPushDecoder, ParquetMetaDataReader,
};
use std::ops::Range;
use uuid::Uuid;

/// How much of a file's end is read at first: footer and indexes of some dozen MiB of records.
pub const TAIL_BYTES: u64 = 64 * 1024;

/// Footer and indexes at most.
const FOOTER_BYTES_MAX: u64 = 256 << 20;

/// The length and the magic that follow a footer.
const END_BYTES: usize = 8;
const MAGIC: &[u8; 4] = b"PAR1";

/// A segment's footer with its page index, verified.
#[derive(Debug)]
pub struct SegmentFooter {
    pub(super) metadata: ParquetMetaData,
    pub(super) levels: FieldLevels,
    pub(super) table: PageTable,
    pub(super) checksums: Vec<u32>,
    topic_partition: TopicPartition,
    offsets: Range<Offset>,
    text: TextColumns,
    file_bytes: u64,
}

/// How far decoding came.
#[derive(Debug)]
pub enum FooterStep {
    /// The footer.
    Done(Box<SegmentFooter>),
    /// The file must be at hand from this byte on.
    NeedsFrom(u64),
}

impl SegmentFooter {
    /// Reads and decodes the end of a file: in most cases one or two reads.
    pub async fn load<R: ReadAt>(source: &R) -> Result<SegmentFooter, LoadError<R::Error>> {
        let size = source.size();
        if size < END_BYTES as u64 {
            return Err(DamagedSegment::new("too short for a file of Parquet").into());
        }
        let mut from = size.saturating_sub(TAIL_BYTES);
        let mut tail = source.read(from..size).await.map_err(LoadError::Read)?;
        loop {
            match SegmentFooter::decode(&tail, size)? {
                FooterStep::Done(footer) => return Ok(*footer),
                FooterStep::NeedsFrom(earlier) => {
                    let missing = source.read(earlier..from).await.map_err(LoadError::Read)?;
                    let mut joined = BytesMut::with_capacity(missing.len() + tail.len());
                    joined.extend_from_slice(&missing);
                    joined.extend_from_slice(&tail);
                    (from, tail) = (earlier, joined.freeze());
                }
            }
        }
    }

    /// Decodes `tail`, the last bytes of a file of `file_bytes`. Asks for more only if it gets on with it.
    pub fn decode(tail: &Bytes, file_bytes: u64) -> Result<FooterStep, DamagedSegment> {
        let from = file_bytes.checked_sub(tail.len() as u64).ok_or_else(|| wrong("it ends early"))?;
        let footer = footer_range(tail, file_bytes)?;
        if footer.start < from {
            return Ok(FooterStep::NeedsFrom(footer.start));
        }
        let raw = within(tail, from, &footer)?;
        verify_footer(raw)?;
        let metadata = ParquetMetaDataReader::decode_metadata(raw)?;
        let indexes = indexes_range(&metadata)?;
        if indexes.end > footer.start || indexes.start < from {
            let reachable = indexes.end <= footer.start && footer.end - indexes.start <= FOOTER_BYTES_MAX;
            return if reachable { Ok(FooterStep::NeedsFrom(indexes.start)) } else { Err(too_long()) };
        }
        let stated = hex(value_of(metadata.file_metadata(), INDEXES_KEY)?)?;
        if crc32c([within(tail, from, &indexes)?]) != stated {
            return Err(wrong("the page index does not match its checksum"));
        }
        let metadata = with_page_index(metadata, tail, from, file_bytes)?;
        SegmentFooter::of(metadata, file_bytes).map(|footer| FooterStep::Done(Box::new(footer)))
    }

    fn of(metadata: ParquetMetaData, file_bytes: u64) -> Result<SegmentFooter, DamagedSegment> {
        let file = metadata.file_metadata();
        if value_of(file, FORMAT_KEY)? != FORMAT {
            return Err(wrong("its format is not known"));
        }
        let text = schema::text_columns(file.schema_descr())?;
        let hint = schema::fields(text, Layout::Views);
        let levels = parquet_to_arrow_field_levels(file.schema_descr(), ProjectionMask::all(), Some(&hint))?;
        let topic_id = Uuid::parse_str(value_of(file, TOPIC_ID_KEY)?).map_err(DamagedSegment::new)?;
        let partition = value_of(file, PARTITION_KEY)?.parse().map_err(DamagedSegment::new)?;
        let offsets = offset_of(file, BASE_OFFSET_KEY)?..offset_of(file, END_OFFSET_KEY)?;
        let table = page_table(&metadata, file_bytes)?;
        let checksums = checksums(value_of(file, CHUNKS_KEY)?)?;
        if checksums.len() != table.chunks.len() {
            return Err(wrong("a chunk has no checksum"));
        }
        match table.chunks.first().zip(table.chunks.last()) {
            Some((first, last)) if first.first >= offsets.start && last.last < offsets.end => {}
            _ => return Err(wrong("its rows are not within its offsets")),
        }
        let topic_partition =
            TopicPartition { topic_id: TopicId(topic_id), partition: PartitionIndex(partition) };
        // The table has all that is needed of the page index, in less memory.
        let metadata = metadata.into_builder().set_page_index(None).build();
        Ok(SegmentFooter { metadata, levels, table, checksums, topic_partition, offsets, text, file_bytes })
    }

    /// Whose records they are.
    #[must_use]
    pub fn topic_partition(&self) -> TopicPartition {
        self.topic_partition
    }

    /// What the segment covers.
    #[must_use]
    pub fn offsets(&self) -> Range<Offset> {
        self.offsets.clone()
    }

    /// How many records.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.table.chunks.iter().map(|chunk| u64::from(chunk.rows)).sum()
    }

    /// Sees that the file is the one that a manifest refers to.
    pub fn verify_is(&self, topic_partition: TopicPartition, stated: &Segment) -> Result<(), DamagedSegment> {
        let (covered, rows) = (&self.offsets, self.rows());
        if self.topic_partition != topic_partition {
            return Err(wrong("it holds another partition's records"));
        }
        if *covered != stated.offsets {
            return Err(DamagedSegment::new(format_args!(
                "it covers {} to {}, and the manifest says {} to {}",
                covered.start, covered.end, stated.offsets.start, stated.offsets.end
            )));
        }
        if rows != stated.rows {
            let why = format_args!("it has {rows} rows, and the manifest says {}", stated.rows);
            return Err(DamagedSegment::new(why));
        }
        Ok(())
    }

    /// Which columns are strings.
    #[must_use]
    pub fn text(&self) -> TextColumns {
        self.text
    }

    /// Bytes of the file.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// About the bytes of memory that it takes in a cache.
    #[must_use]
    pub fn memory(&self) -> usize {
        let checksums = self.checksums.capacity() * size_of::<u32>();
        size_of::<Self>() + self.metadata.memory_size() + self.table.memory() + checksums
    }

    /// All chunks, in the order of their offsets.
    #[must_use]
    pub fn chunks(&self) -> Range<ChunkId> {
        ChunkId(0)..ChunkId(u32::try_from(self.table.chunks.len()).unwrap_or(u32::MAX))
    }

    /// The first chunk with a record at or after `offset`.
    #[must_use]
    pub fn chunk_of(&self, offset: Offset) -> Option<ChunkId> {
        let index = self.table.chunks.partition_point(|chunk| chunk.last < offset);
        (index < self.table.chunks.len()).then(|| id(index))
    }

    /// What a chunk answers: from its first record to the next chunk's, or to the segment's end.
    #[must_use]
    pub fn chunk_offsets(&self, chunk: ChunkId) -> Option<Range<Offset>> {
        let index = chunk.0 as usize;
        let first = self.entry(chunk)?.first;
        let end = self.table.chunks.get(index + 1).map_or(self.offsets.end, |next| next.first);
        Some(first..end)
    }

    /// The first chunk with a record at or after `from` that is not before `timestamp`; such a record is in it, and
    /// [`super::ChunkRows::first_at_or_after`] finds it, unless all of them in this chunk lie before `from`: then
    /// the next chunk is asked, with its first offset as `from`.
    #[must_use]
    pub fn chunk_at_or_after(&self, timestamp: Timestamp, from: Offset) -> Option<ChunkId> {
        let mut chunks = self.table.chunks.iter();
        chunks.position(|chunk| chunk.last >= from && chunk.max_timestamp >= timestamp).map(id)
    }

    /// The byte ranges to read for a run of chunks; those with at most `gap_bytes_max` between them as one.
    #[must_use]
    pub fn chunk_ranges(&self, chunks: Range<ChunkId>, gap_bytes_max: u64) -> Vec<Range<u64>> {
        let end = chunks.end.min(self.chunks().end).0;
        let parts = (chunks.start.0..end).flat_map(|chunk| self.table.parts(chunk as usize));
        coalesced(parts.collect(), gap_bytes_max)
    }

    /// Bytes of a chunk in the file.
    #[must_use]
    pub fn chunk_file_bytes(&self, chunk: ChunkId) -> u64 {
        let parts = self.entry(chunk).map(|_| self.table.parts(chunk.0 as usize)).unwrap_or_default();
        parts.iter().map(|range| range.end - range.start).sum()
    }

    pub(super) fn entry(&self, chunk: ChunkId) -> Option<&ChunkEntry> {
        self.table.chunks.get(chunk.0 as usize)
    }

    /// The bytes of each column of a chunk, if they are those that were written.
    pub(super) fn verified(
        &self,
        chunk: ChunkId,
        fetched: &FetchedRanges,
    ) -> Result<Vec<Bytes>, DamagedSegment> {
        let stated = self.checksums.get(chunk.0 as usize).ok_or_else(|| wrong("there is no such chunk"))?;
        let parts = self.table.parts(chunk.0 as usize);
        let parts: Option<Vec<Bytes>> = parts.iter().map(|range| fetched.get(range)).collect();
        let parts = parts.ok_or_else(|| wrong("bytes of the chunk are missing"))?;
        if crc32c(parts.iter().map(|part| &part[..])) != *stated {
            return Err(wrong("a chunk does not match its checksum"));
        }
        Ok(parts)
    }
}

fn id(index: usize) -> ChunkId {
    ChunkId(u32::try_from(index).unwrap_or(u32::MAX))
}

fn footer_range(tail: &[u8], file_bytes: u64) -> Result<Range<u64>, DamagedSegment> {
    let (_, end) = tail.split_last_chunk::<END_BYTES>().ok_or_else(|| wrong("it ends early"))?;
    let [a, b, c, d, magic @ ..] = end;
    if magic != MAGIC {
        return Err(wrong("it does not end as a file of Parquet"));
    }
    let bytes = u64::from(u32::from_le_bytes([*a, *b, *c, *d]));
    let end = file_bytes - END_BYTES as u64;
    match end.checked_sub(bytes) {
        Some(start) if bytes <= FOOTER_BYTES_MAX && start >= MAGIC.len() as u64 => Ok(start..end),
        _ => Err(wrong("its footer cannot be as long as it says")),
    }
}

/// Where in a footer the eight digits of its own checksum stand: found by its key, before anything is decoded.
/// In Thrift's compact protocol a string field that follows the key is `0x18`, its length, its bytes.
pub(in crate::segment) fn footer_at(footer: &[u8]) -> Result<Range<usize>, DamagedSegment> {
    let key = FOOTER_KEY.as_bytes();
    let missing = || wrong("its footer has no checksum");
    let place = footer.windows(key.len()).rposition(|window| window == key).ok_or_else(missing)?;
    let value = place + key.len();
    match footer.get(value..value + 10) {
        Some([0x18, 8, ..]) => Ok(value + 2..value + 10),
        _ => Err(missing()),
    }
}

fn verify_footer(footer: &[u8]) -> Result<(), DamagedSegment> {
    let place = footer_at(footer)?;
    let digits = std::str::from_utf8(&footer[place.clone()]).map_err(DamagedSegment::new)?;
    let found = crc32c([&footer[..place.start], b"00000000", &footer[place.end..]]);
    if hex(digits)? == found { Ok(()) } else { Err(wrong("its footer does not match its checksum")) }
}

/// Where the column and offset indexes lie.
pub(in crate::segment) fn indexes_range(metadata: &ParquetMetaData) -> Result<Range<u64>, DamagedSegment> {
    let columns = || metadata.row_groups().iter().flat_map(|row_group| row_group.columns());
    let place = |offset: Option<i64>, length: Option<i32>| {
        let start = u64::try_from(offset?).ok()?;
        Some(start..start.checked_add(u64::try_from(length?).ok()?)?)
    };
    let column_indexes = columns().filter_map(|c| place(c.column_index_offset(), c.column_index_length()));
    let offset_indexes = columns().filter_map(|c| place(c.offset_index_offset(), c.offset_index_length()));
    let joined = column_indexes.chain(offset_indexes).reduce(|a, b| a.start.min(b.start)..a.end.max(b.end));
    joined.ok_or_else(|| wrong("there is no page index"))
}

fn with_page_index(
    metadata: ParquetMetaData,
    tail: &Bytes,
    from: u64,
    file_bytes: u64,
) -> Result<ParquetMetaData, DamagedSegment> {
    let mut decoder = ParquetMetaDataPushDecoder::try_new_with_metadata(file_bytes, metadata)?
        .with_page_index_policy(PageIndexPolicy::Optional);
    decoder.push_range(from..file_bytes, tail.clone())?;
    match decoder.try_decode()? {
        DecodeResult::Data(metadata) => Ok(metadata),
        _ => Err(wrong("its page index is not whole")),
    }
}

fn within<'a>(tail: &'a [u8], from: u64, range: &Range<u64>) -> Result<&'a [u8], DamagedSegment> {
    let start = range.start.checked_sub(from).and_then(|start| usize::try_from(start).ok());
    let end = range.end.checked_sub(from).and_then(|end| usize::try_from(end).ok());
    let bytes = start.zip(end).and_then(|(start, end)| tail.get(start..end));
    bytes.ok_or_else(|| wrong("a part lies outside of the file"))
}

fn value_of<'a>(file: &'a FileMetaData, key: &str) -> Result<&'a str, DamagedSegment> {
    let mut pairs = file.key_value_metadata().into_iter().flatten();
    let value = pairs.find(|pair| pair.key == key).and_then(|pair| pair.value.as_deref());
    value.ok_or_else(|| DamagedSegment::new(format_args!("it lacks {key}")))
}

fn offset_of(file: &FileMetaData, key: &str) -> Result<Offset, DamagedSegment> {
    value_of(file, key)?.parse().map(Offset).map_err(DamagedSegment::new)
}

fn checksums(text: &str) -> Result<Vec<u32>, DamagedSegment> {
    let digits = text.as_bytes().chunks(8);
    digits.map(|digits| hex(std::str::from_utf8(digits).map_err(DamagedSegment::new)?)).collect()
}

fn hex(digits: &str) -> Result<u32, DamagedSegment> {
    u32::from_str_radix(digits, 16).map_err(DamagedSegment::new)
}

fn wrong(why: &str) -> DamagedSegment {
    DamagedSegment::new(why)
}

fn too_long() -> DamagedSegment {
    wrong("its page index cannot be where it says")
}
