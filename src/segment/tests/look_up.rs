//! From an offset or a time to the chunk that holds it.

use super::world::{OwnedBatch, batches, batches_of, chunk_ids, open, small_pages, text_record, write};
use crate::segment::{ChunkCodec, ChunkId, SegmentReader};
use crate::types::{Offset, Timestamp};
use crate::wire::batch::BatchHeader;
use bytes::Bytes;
use futures_util::FutureExt;
use proptest::prelude::*;

fn ends(reader: &SegmentReader<Bytes>, chunk: ChunkId) -> Offset {
    let chunk = reader.chunk(chunk, ChunkCodec::AsProduced).now_or_never().unwrap().unwrap();
    let batches = batches_of(&chunk);
    BatchHeader::decode(&batches[batches.len() - 1]).unwrap().offsets().end
}

/// The answer of ListOffsets, as a caller finds it.
fn find(reader: &SegmentReader<Bytes>, timestamp: i64, mut from: Offset) -> Option<(i64, i64)> {
    loop {
        let chunk = reader.footer().chunk_at_or_after(Timestamp(timestamp), from)?;
        let rows = reader.rows(chunk).now_or_never().unwrap().unwrap();
        if let Some(row) = rows.first_at_or_after(Timestamp(timestamp), from) {
            return Some((row.offset.get(), row.timestamp.get()));
        }
        from = rows.offsets().end;
    }
}

proptest! {
    #[test]
    fn a_fetch_from_any_offset_gets_on(batches in batches(), after in 0..9_i64) {
        let end = batches[batches.len() - 1].end() + after;
        let segment = write(&batches, 0..end, small_pages());
        let reader = open(&segment.bytes);
        let offsets: Vec<i64> = batches.iter().flat_map(|batch| batch.base_offset..batch.end()).collect();
        for offset in 0..end {
            let Some(chunk) = reader.footer().chunk_of(Offset(offset)) else {
                prop_assert!(offsets.iter().all(|row| *row < offset));
                continue;
            };
            let answers = reader.footer().chunk_offsets(chunk).unwrap();
            let next_row = offsets.iter().copied().find(|row| *row >= offset).unwrap();
            prop_assert!(answers.contains(&Offset(next_row)));
            prop_assert_eq!(ends(&reader, chunk), answers.end);
            prop_assert!(answers.end > Offset(offset));
        }
        prop_assert_eq!(reader.footer().chunk_of(Offset(end)), None);
    }

    #[test]
    fn chunks_answer_all_offsets_once(batches in batches(), after in 0..9_i64) {
        let end = batches[batches.len() - 1].end() + after;
        let segment = write(&batches, 0..end, small_pages());
        let reader = open(&segment.bytes);
        let answers: Vec<_> =
            chunk_ids(&reader).map(|chunk| reader.footer().chunk_offsets(chunk).unwrap()).collect();
        prop_assert_eq!(answers[0].start, Offset(batches[0].base_offset));
        prop_assert_eq!(answers[answers.len() - 1].end, Offset(end));
        prop_assert!(answers.windows(2).all(|pair| pair[0].end == pair[1].start));
    }

    #[test]
    fn a_time_leads_to_the_first_record_that_is_not_before_it(batches in batches(), from in 0..100_i64) {
        let segment = write(&batches, 0..batches[batches.len() - 1].end(), small_pages());
        let reader = open(&segment.bytes);
        let rows: Vec<(i64, i64)> =
            batches.iter().flat_map(OwnedBatch::rows).map(|row| (row.offset, row.record.timestamp)).collect();
        for wanted in rows.iter().flat_map(|(_, timestamp)| [*timestamp, timestamp + 1]) {
            let expected = rows.iter().find(|(offset, timestamp)| *offset >= from && *timestamp >= wanted);
            prop_assert_eq!(find(&reader, wanted, Offset(from)), expected.copied());
        }
    }

    #[test]
    fn a_run_of_chunks_is_read_with_few_requests(batches in batches()) {
        let segment = write(&batches, 0..batches[batches.len() - 1].end(), small_pages());
        let reader = open(&segment.bytes);
        let chunks = reader.footer().chunks();
        let at_once = reader.footer().chunk_ranges(chunks.clone(), u64::MAX);
        prop_assert_eq!(at_once.len(), 1);
        let fetched = reader.fetch(chunks).now_or_never().unwrap().unwrap();
        for chunk in chunk_ids(&reader) {
            let alone = reader.chunk(chunk, ChunkCodec::AsProduced).now_or_never().unwrap().unwrap();
            let among_others = reader.footer().decode_chunk(chunk, &fetched, ChunkCodec::AsProduced).unwrap();
            prop_assert_eq!(alone, among_others);
        }
    }
}

#[test]
fn a_chunk_has_the_rows_of_a_page() {
    let batches: Vec<OwnedBatch> =
        (0..10).map(|n| OwnedBatch::plain(n * 20, vec![text_record(1, "v"); 20])).collect();
    let segment = write(&batches, 0..200, small_pages());
    let reader = open(&segment.bytes);
    let rows = |chunk| reader.rows(chunk).now_or_never().unwrap().unwrap().len();
    let rows: Vec<usize> = chunk_ids(&reader).map(rows).collect();
    assert_eq!((rows.len(), rows[0], rows[28]), (29, 7, 200 - 28 * 7));
}
