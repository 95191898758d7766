//! Copies what is needed of several journal objects into one.
//!
//! Rows keep everything that their index columns say, as those of an object that a flush has cut: who recovers from them
//! finds out the same about producers and transactions. Rows that are archived already, or whose topic is gone, are left
//! out; those of a partition stay without a hole from its archived offset on.
//!
//! Memory: the batches of one output, and the index of one object.

use super::cut::PutShare;
use super::error::ArchiveError;
use super::journal_merge::JournalMerge;
use crate::background::Background;
use crate::hashing::{HashMap, HashSet};
use crate::journal::{ObjectIndex, ObjectName, ObjectNumber, Row, encode};
use crate::log::{
    BrokerLog, IndexEntry, JournalNeeds, JournalUse, MergeSources, MergedPartition, MergedSpans, Reader,
};
use crate::meta::keys::journal_starts::MergedObject;
use crate::store::ObjectStore;
use crate::types::{MergeNumber, Offset, SessionId, TopicPartition};
use bytes::Bytes;
use std::collections::BTreeMap;

/// What is to be copied.
#[derive(Debug)]
pub(super) struct JournalCopy {
    /// Whose journal.
    pub session: SessionId,
    /// The new object's.
    pub number: MergeNumber,
    /// How many PUTs of flushes the rows stand for, in millionths.
    pub puts: u64,
    /// Which objects are read.
    pub sources: MergeSources,
    /// How many bytes lie before the first batch of each.
    pub index_bytes: HashMap<ObjectNumber, u64>,
    /// What is needed of them.
    pub partitions: Vec<MergedPartition>,
}

/// The spans of one object, in the order of their places, each with its partition's archived offset.
struct Source<'a> {
    object: ObjectName,
    index_bytes: u64,
    spans: Vec<(TopicPartition, Offset, &'a IndexEntry)>,
}

/// Partitions that are looked through before others have their turn on the processor.
const PARTITIONS_PER_TURN: usize = 64;

impl JournalCopy {
    /// Everything that is needed now of the objects to be merged of a session's journal, which is used as the log says. None,
    /// if not all was found that is counted there: partitions come and go.
    pub async fn plan(
        log: &BrokerLog,
        session: SessionId,
        number: MergeNumber,
        (uses, merge): (&JournalUse, &JournalMerge),
    ) -> Option<JournalCopy> {
        let until = merge.until.unwrap_or(0);
        let numbered = uses.flushed.iter().filter(|(seq, _)| *seq < until).map(|(_, used)| used.spans);
        let in_merged = uses.merged[merge.merged.clone()].iter().map(|(_, used)| used.spans);
        let counted: u64 = numbered.chain(in_merged).sum();
        let flushed = uses.flushed.iter().filter(|(seq, _)| *seq < until);
        let flushed = flushed.map(|(seq, used)| (ObjectNumber::Flushed(*seq), used.index_bytes));
        let merged = &uses.merged[merge.merged.clone()];
        let sources = MergeSources {
            until,
            merged: merged.iter().map(|(merged, _)| merged.number).collect(),
            flushed: flushed.clone().count() as u64,
        };
        let merged = merged.iter();
        let merged = merged.map(|(merged, used)| (ObjectNumber::Merged(merged.number), used.index_bytes));
        let index_bytes = flushed.chain(merged).collect();
        let mut partitions = Vec::new();
        for (looked_at, partition) in log.partitions().into_iter().enumerate() {
            partitions.push(partition.spans_in(session, &sources));
            if looked_at % PARTITIONS_PER_TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
        partitions.extend(log.left_in(session, &sources));
        partitions.retain(|partition: &MergedPartition| !partition.spans.is_empty());
        // One that went meanwhile is found twice, one that came is not found.
        let mut seen = HashSet::default();
        let once = partitions.iter().all(|partition| seen.insert(partition.topic_partition));
        let found: usize = partitions.iter().map(|partition| partition.spans.len()).sum();
        let shares = partitions.iter().flat_map(|partition| &partition.spans);
        let puts = shares.fold(PutShare::default(), |sum, span| sum + share_of(log.needs(), span));
        let copy = JournalCopy { session, number, puts: puts.millionths(), sources, index_bytes, partitions };
        (once && found as u64 == counted).then_some(copy)
    }

    /// Reads, encodes and puts. Nothing names the object yet.
    pub async fn run(
        self,
        reader: &Reader,
        store: &ObjectStore,
        background: &Background,
    ) -> Result<MergedSpans, ArchiveError> {
        let mut rows: Vec<Row> = Vec::new();
        // One after the other: readers and the archiver are not to wait for this.
        for source in self.sources() {
            rows.extend(source.read(reader).await?);
        }
        let name = ObjectName::merged(self.session, self.number);
        let encoded = background
            .run(move || {
                rows.sort_by_key(|row| (row.index.topic_partition, row.index.offsets.start));
                encode(name, rows)
            })
            .await?;
        let bytes = encoded.bytes.len() as u64;
        store.put_bulk(&name.path(), encoded.bytes).await?;
        Ok(MergedSpans {
            session: self.session,
            object: MergedObject { number: self.number, bytes, puts: self.puts },
            spans: encoded.spans,
            replaced: self.partitions,
            sources: self.sources,
        })
    }

    fn sources(&self) -> Vec<Source<'_>> {
        let mut sources: BTreeMap<ObjectName, Source<'_>> = BTreeMap::new();
        for partition in &self.partitions {
            for span in &partition.spans {
                let index_bytes = self.index_bytes.get(&span.object.number).copied().unwrap_or(0);
                let source = Source { object: span.object, index_bytes, spans: Vec::new() };
                let source = sources.entry(span.object).or_insert(source);
                source.spans.push((partition.topic_partition, partition.archived_offset, span));
            }
        }
        let mut sources: Vec<Source<'_>> = sources.into_values().collect();
        sources.iter_mut().for_each(|source| source.spans.sort_by_key(|(_, _, span)| span.byte_range.start));
        sources
    }
}

impl Source<'_> {
    /// The rows of its spans that are not archived.
    async fn read(self, reader: &Reader) -> Result<Vec<Row>, ArchiveError> {
        let index = reader.object_index(self.object, self.index_bytes).await?;
        let spans: Vec<&IndexEntry> = self.spans.iter().map(|(_, _, span)| *span).collect();
        let copies = reader.copy_spans(&spans).await?;
        let mut rows = Vec::new();
        for ((topic_partition, archived_offset, span), bytes) in self.spans.iter().zip(&copies) {
            let found = rows_of(&index, *topic_partition, span, bytes)
                .map_err(|why| ArchiveError::Damaged { path: self.object.path(), why: why.to_owned() })?;
            rows.extend(found.into_iter().filter(|row| row.index.offsets.end > *archived_offset));
        }
        Ok(rows)
    }
}

/// The share of a span in the PUTs of what it lies in; none, if nobody needs it any more. What an object has that another
/// broker keeps is not known here: it is taken for one of a busy broker.
pub(super) fn share_of(needs: &JournalNeeds, span: &IndexEntry) -> PutShare {
    match needs.object(span.object) {
        Some((used, puts)) => PutShare::of_several(span.size(), used.bytes, puts),
        None if needs.is_kept(span.object.session) => PutShare::default(),
        None => PutShare::of(span.size(), OBJECT_BYTES_ELSEWHERE),
    }
}

/// Bytes of an object in a journal that another broker keeps.
const OBJECT_BYTES_ELSEWHERE: u64 = 1 << 20;

/// The rows of a span, whose bytes these are.
fn rows_of(
    index: &ObjectIndex,
    topic_partition: TopicPartition,
    span: &IndexEntry,
    bytes: &Bytes,
) -> Result<Vec<Row>, &'static str> {
    let mut rows = Vec::new();
    let first = index.byte_ranges.partition_point(|range| range.start < span.byte_range.start);
    let mut next = span.offsets.start;
    for (row, range) in index.rows[first..].iter().zip(&index.byte_ranges[first..]) {
        if range.start >= span.byte_range.end {
            break;
        }
        if row.topic_partition != topic_partition || row.offsets.start != next {
            return Err("its index has other rows than were committed");
        }
        let place =
            (range.start - span.byte_range.start) as usize..(range.end - span.byte_range.start) as usize;
        if place.end > bytes.len() {
            return Err("its index has a longer batch than was committed");
        }
        next = row.offsets.end;
        rows.push(Row { index: row.clone(), batch: bytes.slice(place) });
    }
    if next == span.offsets.end { Ok(rows) } else { Err("its index lacks rows that were committed") }
}
