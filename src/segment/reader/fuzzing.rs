//! Arbitrary bytes as a segment: its footer, its indexes, and the chunks that they speak of.

use super::footer::{FooterStep, SegmentFooter, footer_at, indexes_range};
use super::{ChunkCodec, ChunkId, FetchedRanges, SegmentReader};
use crate::segment::checksum::crc32c;
use crate::segment::writer::INDEXES_KEY;
use crate::types::{Offset, Timestamp};
use crate::wire::batch::{DecodedBatch, split};
use bytes::Bytes;
use futures_util::FutureExt;
use parquet::file::metadata::ParquetMetaDataReader;
use std::ops::Range;

/// What the records of a batch may come to.
const PLAIN_BYTES_MAX: usize = 1 << 20;
/// Chunks of a file that are decoded.
const CHUNKS_MAX: u32 = 3;

/// A whole file, and its last half.
pub(crate) fn footer(bytes: &[u8]) {
    let file = Bytes::copy_from_slice(bytes);
    check_file(&file);
    if let Some(sealed) = sealed(bytes) {
        check_file(&Bytes::from(sealed));
    }
}

/// The same file with the checksums that its footer and its indexes have.
fn sealed(bytes: &[u8]) -> Option<Vec<u8>> {
    let (rest, [a, b, c, d, ..]) = bytes.split_last_chunk::<8>()?;
    let length = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
    let footer = rest.len().checked_sub(length)?..rest.len();
    let mut sealed = bytes.to_vec();
    if let Some(indexes) = stated_indexes(&bytes[footer.clone()]) {
        let metadata = ParquetMetaDataReader::decode_metadata(&bytes[footer.clone()]).ok()?;
        let range = indexes_range(&metadata).ok()?;
        let range = usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?;
        let crc = crc32c([bytes.get(range)?]);
        let place = footer.start + indexes.start..footer.start + indexes.end;
        sealed[place].copy_from_slice(format!("{crc:08x}").as_bytes());
    }
    let place = footer_at(&sealed[footer.clone()]).ok()?;
    let place = footer.start + place.start..footer.start + place.end;
    sealed[place.clone()].copy_from_slice(b"00000000");
    let crc = crc32c([&sealed[footer]]);
    sealed[place].copy_from_slice(format!("{crc:08x}").as_bytes());
    Some(sealed)
}

/// Where in a footer the digits of the checksum of its indexes stand.
fn stated_indexes(footer: &[u8]) -> Option<Range<usize>> {
    let key = INDEXES_KEY.as_bytes();
    let value = footer.windows(key.len()).rposition(|window| window == key)? + key.len();
    matches!(footer.get(value..value + 10), Some([0x18, 8, ..])).then_some(value + 2..value + 10)
}

fn check_file(file: &Bytes) {
    let size = file.len() as u64;
    let tail = file.slice(file.len() / 2..);
    if let Ok(FooterStep::NeedsFrom(from)) = SegmentFooter::decode(&tail, size) {
        assert!(from < size - tail.len() as u64, "more is asked for only if it was not there");
    }
    match SegmentFooter::decode(file, size) {
        Ok(FooterStep::Done(footer)) => check_footer(file, *footer),
        Ok(FooterStep::NeedsFrom(from)) => panic!("all of it is there, and it is asked for from {from}"),
        Err(error) => drop(error.to_string()),
    }
    let _: Result<_, _> = SegmentReader::open(file.clone()).now_or_never().expect("memory is ready");
}

/// Chunks lie within the file and the segment's offsets, in order.
fn check_footer(file: &Bytes, mut footer: SegmentFooter) {
    let mut next = footer.offsets().start;
    let chunks = footer.chunks();
    for chunk in (chunks.start.0..chunks.end.0).map(ChunkId) {
        let offsets = footer.chunk_offsets(chunk).expect("one of its own");
        assert!(!offsets.is_empty() && offsets.start >= next && offsets.end <= footer.offsets().end);
        next = offsets.end;
        assert!(footer.chunk_of(offsets.start) == Some(chunk));
        let ranges = footer.chunk_ranges(chunk..ChunkId(chunk.0 + 1), 0);
        assert!(ranges.iter().all(|range| range.start < range.end && range.end <= file.len() as u64));
        if chunk.0 < CHUNKS_MAX {
            check_chunk(file, &mut footer, chunk, &ranges);
        }
    }
    let _: Option<ChunkId> = footer.chunk_at_or_after(Timestamp(0), Offset(0));
    assert!(footer.rows() > 0 && footer.memory() > 0);
}

/// A chunk whose checksum is right gives all of its rows or an error, and its rows make batches that can be read.
fn check_chunk(file: &Bytes, footer: &mut SegmentFooter, chunk: ChunkId, ranges: &[Range<u64>]) {
    let slice = |range: &Range<u64>| file.slice(range.start as usize..range.end as usize);
    let mut fetched = FetchedRanges::default();
    ranges.iter().for_each(|range| fetched.push(range.clone(), slice(range)));
    let parts: Vec<Bytes> = footer.table.parts(chunk.0 as usize).iter().map(slice).collect();
    footer.checksums[chunk.0 as usize] = crc32c(parts.iter().map(|part| &part[..]));
    let Ok(rows) = footer.decode_rows(chunk, &fetched) else { return };
    let made = rows.encode(ChunkCodec::AsProduced);
    assert_eq!(made.offsets, footer.chunk_offsets(chunk).expect("one of its own"));
    let mut seen = 0;
    for batch in split(made.batches) {
        let (header, batch) = batch.expect("it was just written");
        assert!(header.base_offset >= made.offsets.start && header.offsets().end <= made.offsets.end);
        let batch = DecodedBatch::decode(&batch, PLAIN_BYTES_MAX.max(file.len() * 64));
        for record in batch.expect("it was just written").records() {
            record.expect("it was just written");
            seen += 1;
        }
    }
    assert_eq!(seen, rows.len());
}

/// A file of one chunk, and one of several with all that a batch may be.
#[cfg(test)]
pub(crate) fn seeds() -> [Vec<u8>; 2] {
    use crate::segment::SegmentOptions;
    use crate::segment::tests::world::{OwnedBatch, OwnedRecord, small_pages, text_record, write};
    use crate::types::{ProducerEpoch, ProducerId};
    use crate::wire::batch::{Codec, ProducerStamp};
    let one = OwnedBatch::plain(3, vec![text_record(1_000, "a value"), text_record(1_001, "another")]);
    let keyed = |number: i64| OwnedRecord {
        timestamp: 2_000 + number,
        key: Some(format!("key {}", number % 3).into_bytes()),
        value: (number % 4 != 0).then(|| b"the same words".to_vec()),
        headers: vec![(b"trace".to_vec(), Some(vec![number as u8])), (b"none".to_vec(), None)],
    };
    let producer = ProducerStamp {
        producer_id: ProducerId(7),
        producer_epoch: ProducerEpoch(1),
        base_sequence: 4,
        transactional: true,
    };
    let many = OwnedBatch {
        producer,
        codec: Codec::Zstd,
        append_time: Some(3_000),
        ..OwnedBatch::plain(10, (0..12).map(keyed).collect())
    };
    let files = [
        write(std::slice::from_ref(&one), 0..6, SegmentOptions::default()),
        write(&[one, many], 0..30, small_pages()),
    ];
    files.map(|file| file.bytes.to_vec())
}
