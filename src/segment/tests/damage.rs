//! Bytes that changed are an error: never a panic, never other records.

use super::world::{OwnedBatch, OwnedRow, batches, chunk_ids, small_pages, text_record, write};
use crate::segment::{ChunkCodec, DamagedSegment, LoadError, SegmentReader, SegmentWriter, WriteError};
use crate::types::{Offset, ProducerEpoch, ProducerId, Timestamp, Verdict, ViewNumber};
use crate::wire::batch::EndMarker;
use bytes::Bytes;
use futures_util::FutureExt;
use proptest::prelude::*;

fn read(bytes: Bytes) -> Result<Vec<OwnedRow>, LoadError<DamagedSegment>> {
    let reader = SegmentReader::open(bytes).now_or_never().unwrap()?;
    let mut rows = Vec::new();
    for chunk in chunk_ids(&reader) {
        let decoded = reader.rows(chunk).now_or_never().unwrap()?;
        let _ = decoded.encode(ChunkCodec::AsProduced);
        rows.extend(decoded.iter().map(OwnedRow::from));
    }
    Ok(rows)
}

proptest! {
    #[test]
    fn a_flipped_bit_is_found(batches in batches(), place in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let segment = write(&batches, 0..batches[batches.len() - 1].end(), small_pages());
        let mut bytes = segment.bytes.to_vec();
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        if let Ok(rows) = read(Bytes::from(bytes)) {
            // Only bytes that are not read, such as a bloom filter's, may change unseen.
            prop_assert_eq!(rows, batches.iter().flat_map(OwnedBatch::rows).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_file_that_ends_early_is_refused(batches in batches(), place in any::<prop::sample::Index>()) {
        let segment = write(&batches, 0..batches[batches.len() - 1].end(), small_pages());
        let end = place.index(segment.bytes.len());
        prop_assert!(read(segment.bytes.slice(..end)).is_err());
    }

    #[test]
    fn random_bytes_are_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(read(Bytes::from(bytes.clone())).is_err());
        bytes.extend_from_slice(b"\x20\0\0\0PAR1");
        prop_assert!(read(Bytes::from(bytes)).is_err());
    }
}

/// Every byte of the footer and the indexes, as well as of the pages, is covered.
#[test]
fn no_changed_byte_changes_a_row() {
    let records: Vec<_> = (0..40).map(|n| text_record(n, "a value that is like others")).collect();
    let segment = write(&[OwnedBatch::plain(0, records)], 0..40, small_pages());
    let expected = read(segment.bytes.clone()).unwrap();
    let mut unseen = 0;
    for place in 0..segment.bytes.len() {
        let mut bytes = segment.bytes.to_vec();
        bytes[place] ^= 0x41;
        match read(Bytes::from(bytes)) {
            Ok(rows) => {
                unseen += 1;
                assert_eq!(rows, expected, "byte {place}");
            }
            Err(LoadError::Damaged(_)) => {}
            Err(LoadError::Read(error)) => panic!("byte {place}: asked for what is not there: {error}"),
        }
    }
    assert!(unseen < 200, "{unseen} bytes of {} are not covered", segment.bytes.len());
}

#[test]
fn what_does_not_belong_into_a_segment_is_refused() {
    let batch = OwnedBatch::plain(5, vec![text_record(1, "v"); 3]);
    let partition = super::world::partition();
    let new = || SegmentWriter::new(partition, small_pages()).unwrap();

    let mut writer = new();
    writer.append(&batch.bytes()).unwrap();
    let again = writer.append(&batch.bytes());
    assert!(matches!(again, Err(WriteError::NotAscending { last: Offset(7), got: Offset(5) })));

    let marker = EndMarker {
        producer_id: ProducerId(1),
        producer_epoch: ProducerEpoch(0),
        verdict: Verdict::Commit,
        coordinator_view: ViewNumber(1),
    };
    assert!(matches!(new().append(&marker.encode(Timestamp(1))), Err(WriteError::ControlBatch(_))));

    let mut damaged = batch.bytes().to_vec();
    damaged[70] ^= 1;
    assert!(matches!(new().append(&Bytes::from(damaged)), Err(WriteError::Batch(_))));

    for covers in [6..9, 5..7] {
        let mut writer = new();
        writer.append(&batch.bytes()).unwrap();
        let refused = writer.finish(Offset(covers.start)..Offset(covers.end));
        assert!(matches!(refused, Err(WriteError::OutsideOffsets { .. })));
    }
    assert!(matches!(new().finish(Offset(0)..Offset(9)), Err(WriteError::NoRows)));
}
