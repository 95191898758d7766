//! Random stories of partitions whose journal objects are merged while they are appended to, archived and deleted. At
//! each look three logs must agree: the one that serves, one that is recovered from what the metadata names, and one that is
//! recovered from all objects that were ever flushed.

use super::super::journal_copy::JournalCopy;
use super::super::journal_merge::JournalMerge;
use super::super::journals::Journals;
use crate::background::Background;
use crate::cache::Cache;
use crate::config::{ArchivePace, CacheConfig, JournalConfig};
use crate::journal::{
    BrokerSession, CommitTicket, EndedJournal, Joining, Journal, JournalEnd, JournalStart, ObjectName,
    ObjectNumber, Partitions, ended_journals, read_object, recover,
};
use crate::limits::{MemoryBudget, MemoryPermit, Purpose};
use crate::log::{
    AbortedTransaction, AppendError, ArchivedLog, BatchIdentity, BrokerLog, Ends, FirstBatch, Incoming,
    IsolationLevel, Marker, Partition, ReadLimit, Reader,
};
use crate::meta::keys::journal_starts::JournalStart as StoredStart;
use crate::meta::{EmbeddedStore, MetadataStore};
use crate::metrics::Metrics;
use crate::segment::manifest::{Archived, Manifest, ProducerSnapshot};
use crate::store::ObjectStore;
use crate::types::{
    BrokerId, LeaderEpoch, MergeNumber, Moment, Offset, PartitionIndex, ProducerEpoch, ProducerId, SessionId,
    Timestamp, TopicId, TopicName, TopicPartition, TransactionOrdinal, Verdict, ViewNumber,
};
use crate::wire::batch::{BatchBuilder, BatchHeader, Codec, NO_PRODUCER, ProducerStamp};
use bytes::Bytes;
use futures_util::TryStreamExt;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use uuid::Uuid;

pub(super) const NOW: Timestamp = Timestamp(0);
pub(super) const TOPICS: u128 = 2;
pub(super) const PARTITIONS: i32 = 2;

#[derive(Clone, Debug)]
enum Step {
    /// `producer` -1 is none.
    Append {
        partition: usize,
        producer: i64,
        records: i32,
    },
    /// A batch of the producer's transaction, which is begun if none is open.
    InTransaction {
        partition: usize,
        producer: i64,
    },
    End {
        partition: usize,
        producer: i64,
        verdict: Verdict,
    },
    /// Sixteenths of what may be archived.
    Archive {
        partition: usize,
        share: i64,
    },
    /// Sixteenths of what there is below the high watermark.
    MoveLogStart {
        partition: usize,
        share: i64,
    },
    Delete {
        topic: u128,
    },
    Merge(Merge),
    Restart,
}

#[derive(Clone, Debug)]
struct Merge {
    /// Which of the journals.
    journal: usize,
    /// Sixteenths of its pinned objects.
    flushed: usize,
    /// Of its merged objects.
    merged: (usize, usize),
    /// What happens while the object is on its way.
    meanwhile: Vec<Step>,
    crash: Crash,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Crash {
    No,
    /// The object is stored, and not named.
    BeforeItIsNamed,
    /// The metadata names it, and the log does not know.
    BeforeItIsRead,
}

fn quiet_step() -> impl Strategy<Value = Step> {
    let partition = || 0..TOPICS as usize * PARTITIONS as usize;
    let verdict = prop_oneof![Just(Verdict::Abort), Just(Verdict::Commit)];
    prop_oneof![
        12 => (partition(), -1..3_i64, 1..4).prop_map(|(partition, producer, records)| Step::Append {
            partition, producer, records
        }),
        6 => (partition(), 3..5_i64).prop_map(|(partition, producer)| Step::InTransaction { partition, producer }),
        3 => (partition(), 3..5_i64, verdict).prop_map(|(partition, producer, verdict)| Step::End {
            partition, producer, verdict
        }),
        4 => (partition(), 1..17_i64).prop_map(|(partition, share)| Step::Archive { partition, share }),
        1 => (partition(), 0..17_i64).prop_map(|(partition, share)| Step::MoveLogStart { partition, share }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let crash = prop_oneof![6 => Just(Crash::No), 1 => Just(Crash::BeforeItIsNamed), 1 => Just(Crash::BeforeItIsRead)];
    let meanwhile = prop::collection::vec(
        prop_oneof![20 => quiet_step(), 1 => (0..TOPICS).prop_map(|topic| Step::Delete { topic })],
        0..4,
    );
    let merge = (0..3_usize, 0..17_usize, (0..5_usize, 0..5_usize), meanwhile, crash);
    let merge = merge.prop_map(|(journal, flushed, merged, meanwhile, crash)| {
        Step::Merge(Merge { journal, flushed, merged, meanwhile, crash })
    });
    prop_oneof![40 => quiet_step(), 8 => merge, 2 => Just(Step::Restart)]
}

struct World {
    metadata: Arc<dyn MetadataStore>,
    store: ObjectStore,
    sessions: u128,
    log: Arc<BrokerLog>,
    reader: Reader,
    journal: Journal,
    run: JoinHandle<JournalEnd>,
    journals: Journals,
    attempts: u32,
    manifests: BTreeMap<TopicPartition, ArchivedLog>,
    deleted: BTreeSet<u128>,
    sequences: Sequences,
    last_ticket: Option<CommitTicket>,
    permit: Arc<MemoryPermit>,
}

/// The next sequence number by partition and producer.
type Sequences = BTreeMap<(usize, i64), i32>;

pub(super) fn session_id(number: u128) -> SessionId {
    SessionId(Uuid::from_u128(number))
}

pub(super) fn partition(index: usize) -> TopicPartition {
    let (topic, partition) = (index / PARTITIONS as usize, index as i32 % PARTITIONS);
    TopicPartition { topic_id: TopicId(Uuid::from_u128(topic as u128)), partition: PartitionIndex(partition) }
}

pub(super) async fn cache() -> Cache {
    let config = CacheConfig { memory_bytes: 1 << 20, disk_bytes: 0 };
    Cache::open(config, Path::new("unused"), Arc::new(Metrics::new())).await.expect("in memory")
}

impl World {
    async fn new() -> World {
        let metadata: Arc<dyn MetadataStore> = Arc::new(EmbeddedStore::in_memory());
        World::begin(metadata, ObjectStore::in_memory(), 1, BTreeMap::new(), BTreeSet::new()).await
    }

    async fn begin(
        metadata: Arc<dyn MetadataStore>,
        store: ObjectStore,
        sessions: u128,
        manifests: BTreeMap<TopicPartition, ArchivedLog>,
        deleted: BTreeSet<u128>,
    ) -> World {
        let joining = Joining::new(session_id(sessions), BrokerId(1), NOW);
        let session = BrokerSession::join(&metadata, &store, joining).await.expect("joins");
        let ended = ended_journals(metadata.as_ref()).await;
        let cache = cache().await;
        let epoch = LeaderEpoch(session.view().0);
        let log = recovered(&store, cache.clone(), epoch, &ended, &manifests, &deleted).await;
        // Objects of one or two batches, one after the other.
        let config = JournalConfig { flush_interval: Duration::ZERO, flush_bytes: 250, puts_in_flight: 1 };
        let journals = Journals::new(session.id(), session.standing().clone(), ArchivePace::default().grace);
        let metrics = Arc::new(Metrics::new());
        let start = JournalStart { session, store: store.clone(), config, metrics };
        let committed = Arc::clone(&log);
        let (journal, run) = Journal::start(start, Box::new(move |object| committed.on_committed(&object)));
        World {
            reader: Reader::new(cache, store.clone()),
            metadata,
            store,
            sessions,
            log,
            journal,
            run: tokio::spawn(run),
            journals,
            attempts: 0,
            manifests,
            deleted,
            sequences: Sequences::new(),
            last_ticket: None,
            permit: Arc::new(MemoryBudget::new(1 << 20).try_reserve(1, Purpose::Other).expect("free")),
        }
    }

    async fn restart(mut self) -> World {
        self.commit().await;
        self.run.abort();
        let _aborted = self.run.await;
        let World { metadata, store, manifests, deleted, sequences, .. } = self;
        let begun = World::begin(metadata, store, self.sessions + 1, manifests, deleted).await;
        World { sequences, ..begun }
    }

    async fn commit(&mut self) {
        if let Some(ticket) = &mut self.last_ticket {
            ticket.settled().await;
        }
    }

    fn partition(&self, index: usize) -> Option<Arc<Partition>> {
        self.log.partition(partition(index))
    }

    fn append(&mut self, index: usize, producer: i64, records: i32) {
        let Some(partition) = self.partition(index) else { return };
        let incoming = self.incoming((index, producer), records, false);
        let appended = partition.append(&self.journal, incoming, &self.permit, NOW).expect("in sequence");
        self.last_ticket = Some(appended.ticket);
    }

    async fn append_in_transaction(&mut self, index: usize, producer: i64) {
        let Some(partition) = self.partition(index) else { return };
        self.commit().await;
        let incoming = self.incoming((index, producer), 2, true);
        let append = |verified| {
            partition.append_in_transaction(&self.journal, incoming.clone(), verified, &self.permit, NOW)
        };
        let appended = match append(None) {
            Err(AppendError::NeedsVerification(question)) => {
                append(Some(question.answered(World::next_ordinal(&partition, producer))))
            }
            appended => appended,
        };
        self.last_ticket = Some(appended.expect("in sequence").ticket);
    }

    /// One above the last that ended.
    fn next_ordinal(partition: &Partition, producer: i64) -> TransactionOrdinal {
        let known = snapshot_of(partition, producer);
        TransactionOrdinal(known.map_or(1, |known| known.ended.0 + 1))
    }

    /// The next batch of a producer there.
    fn incoming(&mut self, who: (usize, i64), records: i32, transactional: bool) -> Incoming {
        let next = self.sequences.entry(who).or_default();
        let base_sequence = *next;
        *next += records;
        incoming(who.1, base_sequence, records, transactional)
    }

    async fn end(&mut self, index: usize, producer: i64, verdict: Verdict) {
        self.commit().await;
        let Some(partition) = self.partition(index) else { return };
        // What is open is known from a snapshot at the end of everything.
        let Some(open) = snapshot_of(&partition, producer).and_then(|known| known.open) else { return };
        let marker = Marker {
            producer_id: ProducerId(producer),
            producer_epoch: ProducerEpoch(0),
            verdict,
            coordinator_view: ViewNumber(1),
            ordinal: open.ordinal,
        };
        let taken = partition.append_marker(&self.journal, marker, &self.permit, NOW).expect("it is open");
        if let crate::log::MarkerTaken::Written { ticket } = taken {
            self.last_ticket = Some(ticket);
        }
    }

    async fn archive(&mut self, index: usize, share: i64) {
        self.commit().await;
        let Some(led) = self.partition(index) else { return };
        let unarchived = led.unarchived(u64::MAX);
        let to = unarchived.from + (unarchived.to - unarchived.from) * share / 16;
        if to <= unarchived.from {
            return;
        }
        // Where a batch ends, as the archiver does.
        let Some(to) = batch_end(&self.reader, &unarchived.spans, to).await else { return };
        let archived = Archived {
            segments: Vec::new(),
            archived_offset: to,
            leader_epochs: led.epochs_in(unarchived.from, to),
            producers: led.checkpoint_at(to).producers(NOW),
        };
        let manifest = self.manifest(index).append_segments(archived).expect("legal").manifest;
        self.swap(index, manifest);
    }

    async fn move_log_start(&mut self, index: usize, share: i64) {
        self.commit().await;
        let Some(led) = self.partition(index) else { return };
        let to = Offset(led.ends().high_watermark.0 * share / 16);
        let edited = self.manifest(index).drop_before(to);
        self.swap(index, edited.manifest);
    }

    fn manifest(&self, index: usize) -> Manifest {
        let kept = self.manifests.get(&partition(index));
        kept.map_or_else(
            || Manifest::new(partition(index), Offset::ZERO),
            |kept| Manifest::clone(&kept.manifest),
        )
    }

    fn swap(&mut self, index: usize, manifest: Manifest) {
        let topic = TopicName::parse("a").expect("legal");
        let archived = ArchivedLog { topic, manifest: Arc::new(manifest) };
        self.manifests.insert(partition(index), archived.clone());
        if let Some(partition) = self.partition(index) {
            self.log.needs().release(&partition.on_archived(archived));
        }
    }

    async fn take(&mut self, step: &Step) {
        match *step {
            Step::Append { partition, producer, records } => self.append(partition, producer, records),
            Step::InTransaction { partition, producer } => {
                self.append_in_transaction(partition, producer).await;
            }
            Step::End { partition, producer, verdict } => self.end(partition, producer, verdict).await,
            Step::Archive { partition, share } => self.archive(partition, share).await,
            Step::MoveLogStart { partition, share } => self.move_log_start(partition, share).await,
            Step::Delete { topic } => {
                self.commit().await;
                self.deleted.insert(topic);
                self.log.remove(TopicId(Uuid::from_u128(topic)));
            }
            Step::Merge(_) | Step::Restart => unreachable!("the caller does it"),
        }
    }

    /// Merges; whether the broker is to crash now.
    async fn merge(&mut self, step: &Merge) -> Crash {
        self.commit().await;
        let uses = self.log.needs().uses();
        let Some((session, uses)) = uses.get(step.journal % uses.len().max(1)) else { return Crash::No };
        let flushed = uses.flushed.len() * step.flushed / 16;
        let (list, (from, to)) = (uses.merged.len(), step.merged);
        let from = from.min(list);
        let merged = if flushed > 0 { from..list } else { from..to.clamp(from, list) };
        let until = flushed.checked_sub(1).map(|last| uses.flushed[last].0 + 1);
        let merge = JournalMerge { until, merged };
        if until.is_none() && merge.merged.is_empty() {
            return Crash::No;
        }
        let number = MergeNumber { view: ViewNumber(self.sessions as i32), attempt: self.attempts };
        self.attempts += 1;
        let copy = JournalCopy::plan(&self.log, *session, number, (uses, &merge)).await;
        let copy = copy.expect("nothing comes or goes");
        let merged =
            copy.run(&self.reader, &self.store, &Background::start("test", 1)).await.expect("all there");
        read_object(&self.store, ObjectName::merged(*session, number)).await.expect("whole");
        for step in &step.meanwhile {
            self.take(step).await;
        }
        if step.crash == Crash::BeforeItIsNamed {
            return step.crash;
        }
        let needed = self.log.needs().needed();
        let needed = needed.iter().find(|needed| needed.session == *session).expect("it has objects");
        let next = merged.in_place(needed);
        self.journals.store(Moment::default(), *session, next).await.expect("stored");
        if step.crash == Crash::No {
            self.log.on_merged(&merged);
            self.check_needs();
        }
        step.crash
    }

    /// Every needed span is counted where it lies, and nothing else is.
    fn check_needs(&self) {
        let mut counted: BTreeMap<ObjectName, (u64, u64)> = BTreeMap::new();
        for partition in self.log.partitions() {
            for span in partition.journal_spans() {
                let counted = counted.entry(span.object).or_default();
                *counted = (counted.0 + 1, counted.1 + span.size());
            }
        }
        assert!(self.log.nothing_is_left(), "every partition is served here");
        let mut known: BTreeMap<ObjectName, (u64, u64)> = BTreeMap::new();
        for (session, uses) in self.log.needs().uses() {
            let name = |number| ObjectName { session, number };
            for (seq, used) in uses.flushed.iter().filter(|(_, used)| used.spans > 0) {
                known.insert(name(ObjectNumber::Flushed(*seq)), (used.spans, used.needed_bytes));
            }
            for (merged, used) in &uses.merged {
                known.insert(name(ObjectNumber::Merged(merged.number)), (used.spans, used.needed_bytes));
            }
        }
        assert_eq!(known, counted);
    }

    async fn check(&mut self) {
        self.commit().await;
        self.check_needs();
        let (mut all, mut named) = (Vec::new(), Vec::new());
        for number in 1..=self.sessions {
            let session = session_id(number);
            let final_seq = self.last_of(session).await;
            let entry =
                self.metadata.get(&crate::meta::keys::journal_starts::key(session)).await.expect("in memory");
            let start = entry.map(|entry| StoredStart::decode(&entry).expect("readable")).unwrap_or_default();
            all.push(EndedJournal { session, start: StoredStart::default(), final_seq });
            named.push(EndedJournal { session, start, final_seq });
        }
        let serving = tell(&self.log, &self.reader).await;
        for ended in [all, named] {
            let (cache, epoch) = (cache().await, LeaderEpoch(99));
            let log =
                recovered(&self.store, cache.clone(), epoch, &ended, &self.manifests, &self.deleted).await;
            assert_eq!(tell(&log, &Reader::new(cache, self.store.clone())).await, serving, "{ended:?}");
        }
    }

    /// The last object that was flushed.
    async fn last_of(&self, session: SessionId) -> u64 {
        let prefix = crate::store::paths::journal_prefix(session);
        let listed = self.store.list_sorted(Some(&prefix), 100_000).await.expect("in memory");
        let numbers =
            listed.iter().filter_map(|object| crate::store::paths::parse_journal_object(&object.path));
        numbers.map(|(_, seq)| seq).max().unwrap_or(0)
    }
}

pub(super) async fn recovered(
    store: &ObjectStore,
    cache: Cache,
    epoch: LeaderEpoch,
    ended: &[EndedJournal],
    manifests: &BTreeMap<TopicPartition, ArchivedLog>,
    deleted: &BTreeSet<u128>,
) -> Arc<BrokerLog> {
    let log = Arc::new(BrokerLog::new(epoch, cache));
    for topic in (0..TOPICS).filter(|topic| !deleted.contains(topic)) {
        log.ensure(TopicId(Uuid::from_u128(topic)), PARTITIONS);
    }
    for (topic_partition, archived) in manifests {
        log.recover_archived(*topic_partition, archived.clone());
    }
    ended.iter().for_each(|ended| log.needs().on_ended(ended));
    let objects = recover(store, ended, Partitions::All).try_collect::<Vec<_>>().await.expect("all there");
    log.recover(&objects, NOW).expect("without contradictions");
    log
}

/// Where the batch with `offset` ends, if it is within what is archivable.
pub(super) async fn batch_end(
    reader: &Reader,
    spans: &[crate::log::IndexEntry],
    offset: Offset,
) -> Option<Offset> {
    for span in spans {
        let bytes = reader.span(span).await.expect("all there");
        let mut at = 0;
        while at < bytes.len() {
            let header = BatchHeader::decode(&bytes[at..]).expect("checked");
            if header.offsets().end >= offset {
                return Some(header.offsets().end);
            }
            at += header.total_bytes();
        }
    }
    None
}

/// A producer as it stands at the end of what is stable or, of an open transaction, where it begins.
fn snapshot_of(partition: &Partition, producer: i64) -> Option<ProducerSnapshot> {
    let end = partition.ends().high_watermark;
    partition.checkpoint_at(end).producers(NOW).into_iter().find(|known| known.producer_id.0 == producer)
}

pub(super) fn incoming(producer: i64, base_sequence: i32, records: i32, transactional: bool) -> Incoming {
    let mut builder = BatchBuilder::new();
    (0..records).for_each(|_| {
        builder.append(NOW, None, Some(b"value"), &[]);
    });
    let (producer_id, producer_epoch) = (ProducerId(producer), ProducerEpoch(0));
    let stamp = ProducerStamp { producer_id, producer_epoch, base_sequence, transactional };
    let batch = builder.finish(Codec::None, if producer < 0 { NO_PRODUCER } else { stamp });
    let header = BatchHeader::decode(&batch).expect("just built");
    let identity = BatchIdentity { producer_id, producer_epoch, base_sequence, record_count: records };
    Incoming {
        batch,
        record_count: records,
        max_timestamp: NOW,
        identity: (producer >= 0).then_some(identity),
        attributes: header.attributes,
    }
}

/// All that can be told of a partition's journal: from its archived offset on.
#[derive(Debug, PartialEq)]
pub(super) struct Told {
    ends: Ends,
    bytes: Vec<u8>,
    producers: Vec<ProducerSnapshot>,
    aborted: Vec<AbortedTransaction>,
}

pub(super) async fn tell(log: &BrokerLog, reader: &Reader) -> BTreeMap<TopicPartition, Told> {
    let mut told = BTreeMap::new();
    for partition in log.partitions() {
        let ends = partition.ends();
        let archived = partition.archive_state().archived_offset();
        let mut from = archived.max(ends.log_start_offset);
        let read_from = from;
        let mut bytes: Vec<Bytes> = Vec::new();
        while from < ends.high_watermark {
            let plan = partition.read_plan(from, IsolationLevel::ReadUncommitted, 500).expect("in range");
            let limit = ReadLimit { bytes_max: 500, first_batch: FirstBatch::WhateverItsSize };
            let read = reader.read(&plan, limit).await.expect("all there");
            assert!(read.end > from, "a reader gets on");
            bytes.extend(read.batches);
            from = read.end;
        }
        let told_of = Told {
            ends,
            bytes: bytes.concat(),
            producers: partition.checkpoint_at(ends.high_watermark).producers(NOW),
            aborted: partition.aborted_in(read_from..ends.high_watermark),
        };
        told.insert(partition.topic_partition(), told_of);
    }
    told
}

async fn run(steps: Vec<Step>) {
    let mut world = World::new().await;
    for step in &steps {
        let crash = match step {
            Step::Restart => Crash::BeforeItIsNamed,
            Step::Merge(merge) => world.merge(merge).await,
            step => {
                world.take(step).await;
                continue;
            }
        };
        if crash != Crash::No {
            world = world.restart().await;
        }
        world.check().await;
    }
    world = world.restart().await;
    world.check().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn merged_journals_serve_and_recover_what_all_their_objects_do(steps in prop::collection::vec(step(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(run(steps));
    }
}
