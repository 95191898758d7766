//! Takes over what earlier sessions committed, object by object.
//!
//! ```text
//! objects ─▶ spans ─┬─ follows what is there ───▶ partition: index, then producers
//!                   ├─ archived ─▶ passed over       ▲
//!                   └─ comes early ─▶ waits for what precedes it
//! ```
//!
//! A partition takes rows in the order of their offsets alone, from its archived offset on, whatever order objects come in;
//! so the order in which they are read decides only how much has to wait. What waits when all objects were read lies behind
//! a hole. Two rows at one offset are found when the second comes. Either stops the start.

use super::archived::ArchivedLog;
use super::broker_log::{BrokerLog, LogError};
use super::index::IndexEntry;
use super::objects::{JournalNeeds, ObjectUse};
use super::partition::Partition;
use crate::hashing::HashMap;
use crate::journal::{ObjectName, ObjectNumber, RecoveredObject, RowIndex};
use crate::meta::keys::journal_starts::MergedObject;
use crate::types::{Offset, Timestamp, TopicPartition};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

/// A recovery that is under way.
#[derive(Debug)]
pub struct Recovery<'a> {
    /// What is taken over.
    partitions: HashMap<TopicPartition, Arc<Partition>>,
    /// Where it is counted what of each object is needed; none: somebody else does.
    needs: Option<&'a JournalNeeds>,
    now: Timestamp,
    /// What came before its time, by its first offset.
    early: BTreeMap<(TopicPartition, Offset), Piece>,
}

/// A span, and those of its rows that are a producer's.
#[derive(Debug)]
struct Piece {
    entry: IndexEntry,
    rows: Vec<RowIndex>,
}

/// Spans that may wait: of one journal nothing does, and of those of several brokers little. More is a hole.
const EARLY_MAX: usize = 1_000_000;

impl BrokerLog {
    /// Begins to take over what earlier sessions committed; partitions and manifests are there.
    #[must_use]
    pub fn recovery(&self, now: Timestamp) -> Recovery<'_> {
        let partitions = self.partitions().into_iter().map(|led| (led.topic_partition(), led)).collect();
        Recovery { partitions, needs: Some(self.needs()), now, early: BTreeMap::new() }
    }

    /// Takes over all of these.
    #[cfg(test)]
    pub(crate) fn recover(&self, objects: &[RecoveredObject], now: Timestamp) -> Result<(), LogError> {
        let mut recovery = self.recovery(now);
        objects.iter().try_for_each(|object| recovery.take(object))?;
        recovery.finish()
    }
}

impl Recovery<'static> {
    /// Begins to take over partitions that are not served yet; their manifests were taken over.
    #[must_use]
    pub fn of(partitions: &[Arc<Partition>], now: Timestamp) -> Recovery<'static> {
        let partitions =
            partitions.iter().map(|taken| (taken.topic_partition(), Arc::clone(taken))).collect();
        Recovery { partitions, needs: None, now, early: BTreeMap::new() }
    }
}

impl Recovery<'_> {
    /// Takes over what was archived of a partition. Nothing was taken over of the journal yet.
    pub fn take_manifest(&mut self, topic_partition: TopicPartition, archived: ArchivedLog) {
        if let Some(partition) = self.partitions.get(&topic_partition) {
            partition.on_recovered_manifest(archived);
        }
    }

    /// Takes over an object. Rows of topics that are gone are passed over, and those that are archived. The objects of a
    /// journal come in its order.
    pub fn take(&mut self, object: &RecoveredObject) -> Result<(), LogError> {
        let mut used = ObjectUse::of(object.index.byte_ranges.iter().cloned());
        for (topic_partition, piece) in pieces(object) {
            let Some(partition) = self.partitions.get(&topic_partition).cloned() else { continue };
            // What is archived already is not needed of the journal.
            if piece.entry.offsets.end <= partition.archived_offset() {
                continue;
            }
            used.add(&piece.entry);
            self.place(&partition, piece)?;
        }
        if let Some(needs) = self.needs {
            count(needs, object, used);
        }
        Ok(())
    }

    /// All objects were taken over.
    pub fn finish(self) -> Result<(), LogError> {
        match self.early.first_key_value() {
            None => Ok(()),
            Some(((topic_partition, _), piece)) => Err(self.hole(*topic_partition, &piece.entry)),
        }
    }

    fn place(&mut self, partition: &Partition, piece: Piece) -> Result<(), LogError> {
        let topic_partition = partition.topic_partition();
        let offset = piece.entry.offsets.start;
        if offset <= partition.ends().high_watermark {
            self.append(partition, piece)?;
            return self.place_early(partition);
        }
        if self.early.len() >= EARLY_MAX {
            return Err(self.hole(topic_partition, &piece.entry));
        }
        match self.early.entry((topic_partition, offset)) {
            Entry::Occupied(_) => Err(LogError::Overlap { partition: topic_partition, offset }),
            Entry::Vacant(place) => {
                place.insert(piece);
                Ok(())
            }
        }
    }

    /// Those that have waited for what is there now.
    fn place_early(&mut self, partition: &Partition) -> Result<(), LogError> {
        let topic_partition = partition.topic_partition();
        loop {
            let end = partition.ends().high_watermark;
            let of_it = (topic_partition, Offset(i64::MIN))..=(topic_partition, end);
            let Some((&key, _)) = self.early.range(of_it).next() else { return Ok(()) };
            let Some(piece) = self.early.remove(&key) else { return Ok(()) };
            self.append(partition, piece)?;
        }
    }

    /// Adds what begins where the partition ends. The first piece may begin before the archived offset.
    fn append(&self, partition: &Partition, Piece { entry, rows }: Piece) -> Result<(), LogError> {
        let (topic_partition, archived) = (partition.topic_partition(), partition.archived_offset());
        let (start, end) = (entry.offsets.start, partition.ends().high_watermark);
        if start < end && end > archived {
            return Err(LogError::Overlap { partition: topic_partition, offset: start });
        }
        partition.on_recovered_span(entry);
        for row in rows.iter().filter(|row| row.offsets.end > archived) {
            let offset = row.offsets.start;
            let wrong = |_| LogError::WrongTransaction { partition: topic_partition, offset };
            partition.on_recovered_row(row, self.now).map_err(wrong)?;
        }
        Ok(())
    }

    fn hole(&self, partition: TopicPartition, found: &IndexEntry) -> LogError {
        let end = self.partitions.get(&partition).map(|partition| partition.ends().high_watermark);
        LogError::Hole { partition, from: end.unwrap_or_default(), to: found.offsets.start }
    }
}

fn count(needs: &JournalNeeds, object: &RecoveredObject, used: ObjectUse) {
    let session = object.name.session;
    if !needs.is_kept(session) {
        return;
    }
    match object.name.number {
        ObjectNumber::Flushed(seq) => needs.on_flushed(session, seq, used),
        ObjectNumber::Merged(number) => {
            let merged = MergedObject { number, bytes: object.bytes, puts: object.puts };
            needs.on_merged(session, merged, used, &[]);
        }
    }
}

/// The spans of an object with their rows; both are in the order of the object.
fn pieces(object: &RecoveredObject) -> impl Iterator<Item = (TopicPartition, Piece)> + '_ {
    let name: ObjectName = object.name;
    let mut rows = object.index.rows.iter().peekable();
    object.index.spans.iter().map(move |span| {
        let mut of_span = Vec::new();
        let is_of_span = |row: &&RowIndex| {
            row.topic_partition == span.topic_partition && row.offsets.start < span.offsets.end
        };
        while let Some(row) = rows.next_if(is_of_span) {
            if row.producer_id.0 >= 0 {
                of_span.push(row.clone());
            }
        }
        (span.topic_partition, Piece { entry: IndexEntry::new(name, span), rows: of_span })
    })
}
