//! Random stories of partitions that go to and fro between two brokers, whose journals are kept by their sessions, and by
//! undertakers after them. At each look what is recovered from what the metadata names is what is recovered from all objects
//! that were ever flushed, and each broker counts what of its journals is needed. At the end, when everybody has heard of
//! everything, no object is left that nobody needs, and what is served is read from those that are left.

use super::super::journal_copy::JournalCopy;
use super::super::journal_merge::JournalMerge;
use super::super::journals::Journals;
use super::super::keeping::Undertaker;
use super::super::left::Others;
use super::merged::{
    NOW, PARTITIONS, TOPICS, batch_end, cache, incoming, partition, recovered, session_id, tell,
};
use crate::background::Background;
use crate::clock::Clock;
use crate::config::{ArchivePace, JournalConfig};
use crate::journal::{
    BrokerSession, CommitTicket, EndedJournal, Joining, Journal, JournalEnd, JournalStart, ObjectName,
    ObjectNumber, Partitions, read_journals, recover,
};
use crate::limits::{MemoryBudget, MemoryPermit, Purpose};
use crate::log::{ArchivedLog, BrokerLog, Partition, Reader, Recovery};
use crate::meta::faults::FaultyStore;
use crate::meta::keys::journal_starts::{self, JournalStart as StoredStart};
use crate::meta::{MetadataStore, Standing};
use crate::metrics::Metrics;
use crate::segment::manifest::{Archived, Manifest};
use crate::store::{ObjectStore, paths};
use crate::topic::Catalog;
use crate::types::{
    BrokerId, LeaderEpoch, MergeNumber, Moment, Offset, SessionId, TopicName, TopicPartition, ViewNumber,
};
use futures_util::TryStreamExt;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

const BROKERS: usize = 2;

#[derive(Clone, Debug)]
enum Step {
    /// `producer` -1 is none.
    Append { partition: usize, producer: i64, records: i32 },
    /// Sixteenths of what may be archived.
    Archive { partition: usize, share: i64 },
    /// A partition goes to the other broker; what happens between the reading of the journals and its opening.
    Move { partition: usize, meanwhile: Vec<Step> },
    /// A broker merges; what happens while the object is on its way.
    Merge { broker: usize, journal: usize, flushed: usize, merged: (usize, usize), meanwhile: Vec<Step> },
    /// A broker hears of what others have archived.
    HearPointers { broker: usize },
    /// A broker hears of what others have merged.
    HearStarts { broker: usize },
    /// A broker gives up what is not needed.
    GiveUp { broker: usize },
    /// A broker's session ends, and another begins; the other broker keeps the journal.
    Crash { broker: usize },
    /// The journals of ended sessions come into this broker's keeping.
    Undertake { broker: usize },
}

fn quiet_step() -> impl Strategy<Value = Step> {
    let partition = || 0..TOPICS as usize * PARTITIONS as usize;
    prop_oneof![
        12 => (partition(), -1..3_i64, 1..4).prop_map(|(partition, producer, records)| Step::Append {
            partition, producer, records
        }),
        4 => (partition(), 1..17_i64).prop_map(|(partition, share)| Step::Archive { partition, share }),
        1 => (0..BROKERS).prop_map(|broker| Step::HearPointers { broker }),
        1 => (0..BROKERS).prop_map(|broker| Step::HearStarts { broker }),
        1 => (0..BROKERS).prop_map(|broker| Step::GiveUp { broker }),
    ]
}

fn merge(meanwhile: BoxedStrategy<Vec<Step>>) -> impl Strategy<Value = Step> {
    let merge = (0..BROKERS, 0..3_usize, 0..17_usize, (0..5_usize, 0..5_usize), meanwhile);
    merge.prop_map(|(broker, journal, flushed, merged, meanwhile)| Step::Merge {
        broker,
        journal,
        flushed,
        merged,
        meanwhile,
    })
}

fn move_of(meanwhile: BoxedStrategy<Vec<Step>>) -> impl Strategy<Value = Step> {
    let moved = (0..TOPICS as usize * PARTITIONS as usize, meanwhile);
    moved.prop_map(|(partition, meanwhile)| Step::Move { partition, meanwhile })
}

fn step() -> impl Strategy<Value = Step> {
    let quiet = || prop::collection::vec(quiet_step(), 0..4).boxed();
    let with_merges = prop_oneof![4 => quiet_step().boxed(), 1 => merge(quiet()).boxed()];
    let with_moves = prop_oneof![4 => quiet_step().boxed(), 2 => move_of(quiet()).boxed()];
    prop_oneof![
        40 => quiet_step(),
        8 => merge(prop::collection::vec(with_moves, 0..4).boxed()),
        8 => move_of(prop::collection::vec(with_merges, 0..4).boxed()),
        2 => (0..BROKERS).prop_map(|broker| Step::Crash { broker }),
        2 => (0..BROKERS).prop_map(|broker| Step::Undertake { broker }),
    ]
}

struct Broker {
    session: SessionId,
    standing: Standing,
    log: Arc<BrokerLog>,
    reader: Reader,
    journal: Journal,
    run: JoinHandle<JournalEnd>,
    journals: Journals,
    others: Others,
    attempts: u32,
}

struct World {
    metadata: Arc<dyn MetadataStore>,
    store: ObjectStore,
    brokers: Vec<Broker>,
    sessions: u128,
    /// Who leads what.
    leaders: Vec<usize>,
    epoch: i32,
    /// What pointers say.
    manifests: BTreeMap<TopicPartition, ArchivedLog>,
    sequences: BTreeMap<(usize, i64), i32>,
    tickets: Vec<CommitTicket>,
    permit: Arc<MemoryPermit>,
}

impl World {
    async fn new() -> World {
        let metadata: Arc<dyn MetadataStore> = Arc::new(FaultyStore::new(100_000_000));
        let mut world = World {
            metadata,
            store: ObjectStore::in_memory(),
            brokers: Vec::new(),
            sessions: 0,
            leaders: (0..TOPICS as usize * PARTITIONS as usize).map(|index| index % BROKERS).collect(),
            epoch: 1,
            manifests: BTreeMap::new(),
            sequences: BTreeMap::new(),
            tickets: Vec::new(),
            permit: Arc::new(MemoryBudget::new(1 << 20).try_reserve(1, Purpose::Other).expect("free")),
        };
        for broker in 0..BROKERS {
            let begun = world.begin(broker).await;
            world.brokers.push(begun);
        }
        for index in 0..world.leaders.len() {
            let taken = world.read(index).await;
            world.open(index, taken).await;
        }
        world
    }

    async fn begin(&mut self, broker: usize) -> Broker {
        self.sessions += 1;
        let session_id = session_id(self.sessions);
        let joining = Joining::new(session_id, BrokerId(broker as i32 + 1), NOW);
        let session = BrokerSession::join(&self.metadata, &self.store, joining).await.expect("joins");
        let cache = cache().await;
        let log = Arc::new(BrokerLog::new(LeaderEpoch(session.view().0), cache.clone()));
        // Objects of one or two batches, one after the other.
        let config = JournalConfig { flush_interval: Duration::ZERO, flush_bytes: 250, puts_in_flight: 1 };
        let standing = session.standing().clone();
        let clock = Clock::Manual(Arc::default());
        let catalog =
            Catalog::load(Arc::clone(&self.metadata), standing.clone(), clock).await.expect("loads");
        let (store, metrics) = (self.store.clone(), Arc::new(Metrics::new()));
        let start = JournalStart { session, store: store.clone(), config, metrics };
        let committed = Arc::clone(&log);
        let (journal, run) = Journal::start(start, Box::new(move |object| committed.on_committed(&object)));
        Broker {
            session: session_id,
            journals: Journals::new(session_id, standing.clone(), ArchivePace::default().grace),
            others: Others {
                metadata: Arc::clone(&self.metadata),
                store: store.clone(),
                log: Arc::clone(&log),
                catalog: Arc::new(catalog),
            },
            standing,
            reader: Reader::new(cache, store),
            log,
            journal,
            run: tokio::spawn(run),
            attempts: 0,
        }
    }

    async fn commit(&mut self) {
        for mut ticket in std::mem::take(&mut self.tickets) {
            ticket.settled().await;
        }
    }

    fn led(&self, index: usize) -> Option<Arc<Partition>> {
        self.brokers[self.leaders[index]].log.partition(partition(index))
    }

    fn append(&mut self, index: usize, producer: i64, records: i32) {
        let Some(led) = self.led(index) else { return };
        let next = self.sequences.entry((index, producer)).or_default();
        let incoming = incoming(producer, *next, records, false);
        *next += records;
        let journal = &self.brokers[self.leaders[index]].journal;
        let appended = led.append(journal, incoming, &self.permit, NOW).expect("in sequence");
        self.tickets.push(appended.ticket);
    }

    async fn archive(&mut self, index: usize, share: i64) {
        self.commit().await;
        let Some(led) = self.led(index) else { return };
        let unarchived = led.unarchived(u64::MAX);
        let to = unarchived.from + (unarchived.to - unarchived.from) * share / 16;
        if to <= unarchived.from {
            return;
        }
        let broker = &self.brokers[self.leaders[index]];
        let Some(to) = batch_end(&broker.reader, &unarchived.spans, to).await else { return };
        let archived = Archived {
            segments: Vec::new(),
            archived_offset: to,
            leader_epochs: led.epochs_in(unarchived.from, to),
            producers: led.checkpoint_at(to).producers(NOW),
        };
        let before = self.manifests.get(&partition(index)).map_or_else(
            || Manifest::new(partition(index), Offset::ZERO),
            |known| Manifest::clone(&known.manifest),
        );
        let manifest = Arc::new(before.append_segments(archived).expect("legal").manifest);
        let archived = ArchivedLog { topic: TopicName::parse("a").expect("legal"), manifest };
        self.manifests.insert(partition(index), archived.clone());
        broker.log.needs().release(&led.on_archived(archived));
    }

    /// Takes a partition over, but for its opening.
    async fn read(&mut self, index: usize) -> Arc<Partition> {
        self.epoch += 1;
        let taken = Arc::new(Partition::new(partition(index), LeaderEpoch(self.epoch)));
        let mut recovery = Recovery::of(std::slice::from_ref(&taken), NOW);
        if let Some(manifest) = self.manifests.get(&partition(index)) {
            recovery.take_manifest(partition(index), manifest.clone());
        }
        let journals = read_journals(self.metadata.as_ref()).await.expect("in memory");
        let journals: Vec<EndedJournal> = journals.into_iter().map(|(journal, _)| journal).collect();
        for object in
            recover(&self.store, &journals, Partitions::All).try_collect::<Vec<_>>().await.expect("all there")
        {
            recovery.take(&object).expect("without contradictions");
        }
        recovery.finish().expect("without holes");
        taken
    }

    async fn open(&mut self, index: usize, taken: Arc<Partition>) {
        let log = Arc::clone(&self.brokers[self.leaders[index]].log);
        if log.on_gained(taken).is_err() {
            let again = self.read(index).await;
            log.on_gained(again).expect("nothing happens meanwhile");
        }
    }

    async fn move_partition(&mut self, index: usize, meanwhile: &[Step]) {
        let from = self.leaders[index];
        if self.brokers[from].log.on_lost(partition(index)).is_none() {
            // It is on its way already.
            return;
        }
        // What was taken in is committed before the other reads it.
        self.commit().await;
        self.leaders[index] = (from + 1) % BROKERS;
        let taken = self.read(index).await;
        for step in meanwhile {
            Box::pin(self.take(step)).await;
        }
        self.open(index, taken).await;
    }

    async fn merge(&mut self, step: &Step) {
        let Step::Merge { broker, journal, flushed, merged, meanwhile } = step else { return };
        self.commit().await;
        let log = Arc::clone(&self.brokers[*broker].log);
        let uses = log.needs().uses();
        let Some((session, uses)) = uses.get(journal % uses.len().max(1)) else { return };
        let flushed = uses.flushed.len() * flushed / 16;
        let (list, (from, to)) = (uses.merged.len(), *merged);
        let from = from.min(list);
        let merged = if flushed > 0 { from..list } else { from..to.clamp(from, list) };
        let until = flushed.checked_sub(1).map(|last| uses.flushed[last].0 + 1);
        let merge = JournalMerge { until, merged };
        if until.is_none() && merge.merged.is_empty() {
            return;
        }
        let view = ViewNumber(self.brokers[*broker].session.0.as_u128() as i32);
        let number = MergeNumber { view, attempt: self.brokers[*broker].attempts };
        self.brokers[*broker].attempts += 1;
        let copy = JournalCopy::plan(&log, *session, number, (uses, &merge)).await.expect("nothing moves");
        let reader = self.brokers[*broker].reader.clone();
        let merged = copy.run(&reader, &self.store, &Background::start("test", 1)).await;
        let merged = merged.expect("all there");
        for step in meanwhile {
            Box::pin(self.take(step)).await;
        }
        let needed = log.needs().needed();
        let Some(needed) = needed.iter().find(|needed| needed.session == *session) else { return };
        let next = merged.in_place(needed);
        let journals = &mut self.brokers[*broker].journals;
        if journals.store(Moment::default(), *session, next).await.is_err() {
            // Whoever keeps it by now has claimed it.
            assert_eq!(journals.taken_away(), [*session]);
            log.forget_journal(*session);
            journals.end(*session);
            return;
        }
        log.on_merged(&merged);
        self.check_needs();
    }

    fn hear_pointers(&mut self, broker: usize) {
        let log = &self.brokers[broker].log;
        for left in log.left_partitions() {
            if let Some(known) = self.manifests.get(&left) {
                log.release_archived(left, known.manifest.archived_offset());
            }
        }
    }

    async fn hear_starts(&mut self, broker: usize) {
        let starts = self.starts().await;
        self.brokers[broker].others.repoint(&starts).await;
    }

    async fn starts(&self) -> BTreeMap<SessionId, StoredStart> {
        let entries = self.metadata.list(journal_starts::PREFIX).await.expect("in memory").entries;
        let start = |entry: &crate::meta::Entry| {
            let session = journal_starts::session_of(&entry.key).expect("ours");
            (session, StoredStart::decode(entry).expect("readable"))
        };
        entries.iter().map(start).collect()
    }

    async fn give_up(&mut self, broker: usize) {
        let Broker { log, journals, .. } = &mut self.brokers[broker];
        for needed in log.needs().needed() {
            let next = StoredStart { first: needed.first, merged: needed.merged };
            if journals.store(Moment::default(), needed.session, next).await.is_err() {
                assert_eq!(journals.taken_away(), [needed.session]);
                log.forget_journal(needed.session);
                journals.end(needed.session);
            }
        }
    }

    /// The session of a broker ends, and the next begins; what it led goes to the other.
    async fn crash(&mut self, broker: usize) {
        self.commit().await;
        self.brokers[broker].run.abort();
        let begun = self.begin(broker).await;
        self.brokers[broker] = begun;
        for index in 0..self.leaders.len() {
            if self.leaders[index] == broker {
                self.leaders[index] = (broker + 1) % BROKERS;
                let taken = self.read(index).await;
                self.open(index, taken).await;
            }
        }
    }

    async fn undertake(&mut self, broker: usize) {
        let Broker { standing, log, journals, .. } = &mut self.brokers[broker];
        let undertaker = Undertaker { standing: standing.clone(), store: self.store.clone() };
        for session in undertaker.ended().await.expect("in memory") {
            if log.needs().is_kept(session) {
                continue;
            }
            let claimed = undertaker.claim(session).await.expect("all there").expect("not forgotten");
            journals.begin(session, claimed.start, claimed.revision);
            assert_eq!(log.keep(claimed.journal), []);
        }
    }

    async fn take(&mut self, step: &Step) {
        match step {
            Step::Append { partition, producer, records } => self.append(*partition, *producer, *records),
            Step::Archive { partition, share } => self.archive(*partition, *share).await,
            Step::Move { partition, meanwhile } => self.move_partition(*partition, meanwhile).await,
            Step::Merge { .. } => self.merge(step).await,
            Step::HearPointers { broker } => self.hear_pointers(*broker),
            Step::HearStarts { broker } => self.hear_starts(*broker).await,
            Step::GiveUp { broker } => self.give_up(*broker).await,
            Step::Crash { broker } => self.crash(*broker).await,
            Step::Undertake { broker } => self.undertake(*broker).await,
        }
    }

    /// Every needed span of a kept journal is counted where it lies, and nothing else is.
    fn check_needs(&self) {
        for broker in &self.brokers {
            let needs = broker.log.needs();
            let mut counted: BTreeMap<ObjectName, (u64, u64)> = BTreeMap::new();
            let served = broker.log.partitions();
            let served = served.iter().flat_map(|partition| partition.journal_spans());
            let left = broker.log.left_spans().into_iter().map(|(_, span)| span);
            for span in served.chain(left).filter(|span| needs.is_kept(span.object.session)) {
                let counted = counted.entry(span.object).or_default();
                *counted = (counted.0 + 1, counted.1 + span.size());
            }
            let mut known: BTreeMap<ObjectName, (u64, u64)> = BTreeMap::new();
            for (session, uses) in needs.uses() {
                let name = |number| ObjectName { session, number };
                for (seq, used) in uses.flushed.iter().filter(|(_, used)| used.spans > 0) {
                    known.insert(name(ObjectNumber::Flushed(*seq)), (used.spans, used.needed_bytes));
                }
                for (merged, used) in &uses.merged {
                    known.insert(name(ObjectNumber::Merged(merged.number)), (used.spans, used.needed_bytes));
                }
            }
            assert_eq!(known, counted, "what {} counts", broker.session);
        }
    }

    async fn check(&mut self) {
        self.commit().await;
        self.check_needs();
        let starts = self.starts().await;
        let (mut all, mut named) = (Vec::new(), Vec::new());
        for number in 1..=self.sessions {
            let session = session_id(number);
            let final_seq = self.last_of(session).await;
            let start = starts.get(&session).cloned().unwrap_or_default();
            all.push(EndedJournal { session, start: StoredStart::default(), final_seq });
            named.push(EndedJournal { session, start, final_seq });
        }
        let mut told = Vec::new();
        for ended in [all, named] {
            let (cache, epoch) = (cache().await, LeaderEpoch(i32::MAX));
            let none = BTreeSet::new();
            let log = recovered(&self.store, cache.clone(), epoch, &ended, &self.manifests, &none).await;
            told.push(tell(&log, &Reader::new(cache, self.store.clone())).await);
        }
        let mut served = BTreeMap::new();
        for broker in &self.brokers {
            served.extend(tell(&broker.log, &broker.reader).await);
        }
        assert_eq!(told[1], told[0], "what the metadata names is all there is");
        assert_eq!(served, told[0]);
    }

    /// The last object that was flushed.
    async fn last_of(&self, session: SessionId) -> u64 {
        let listed = self.store.list_sorted(Some(&paths::journal_prefix(session)), 100_000).await;
        let listed = listed.expect("in memory");
        let numbers = listed.iter().filter_map(|object| paths::parse_journal_object(&object.path));
        numbers.map(|(_, seq)| seq).max().unwrap_or(0)
    }

    /// Everybody hears of everything, and what is not named goes.
    async fn settle(&mut self) {
        for broker in &mut self.brokers {
            let own = broker.session;
            for (session, _) in broker.log.needs().uses().into_iter().filter(|(session, _)| *session != own) {
                broker.log.forget_journal(session);
                broker.journals.end(session);
            }
        }
        self.undertake(0).await;
        for _ in 0..2 {
            for broker in 0..BROKERS {
                self.hear_pointers(broker);
                self.give_up(broker).await;
                self.hear_starts(broker).await;
            }
        }
        let starts = self.starts().await;
        let unarchived: BTreeSet<TopicPartition> = (0..self.leaders.len())
            .filter(|index| {
                let led = self.led(*index).expect("open");
                led.archive_state().archived_offset() < led.ends().high_watermark
            })
            .map(partition)
            .collect();
        for number in 1..=self.sessions {
            let start = starts.get(&session_id(number)).cloned().unwrap_or_default();
            for object in self
                .store
                .list_sorted(Some(&paths::journal_prefix(session_id(number))), 10_000)
                .await
                .expect("in memory")
            {
                let is_named = match paths::parse_journal_object(&object.path) {
                    Some((_, seq)) => seq >= start.first,
                    None => {
                        let (_, number) = paths::parse_merged_object(&object.path).expect("ours");
                        start.merged.iter().any(|merged| merged.number == number)
                    }
                };
                if !is_named {
                    self.store.delete(&object.path).await.expect("in memory");
                }
                assert!(!is_named || !unarchived.is_empty(), "{} is not needed", object.path);
            }
        }
        let mut read = BTreeMap::new();
        for broker in &self.brokers {
            // Nothing of it comes from a cache.
            let reader = Reader::new(cache().await, self.store.clone());
            read.extend(tell(&broker.log, &reader).await);
        }
        assert_eq!(read.len(), self.leaders.len(), "all are served");
    }
}

async fn run(steps: Vec<Step>) {
    let mut world = World::new().await;
    for step in &steps {
        world.take(step).await;
        if !matches!(step, Step::Append { .. } | Step::HearPointers { .. }) {
            world.check().await;
        }
    }
    world.check().await;
    world.settle().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn partitions_move_while_journals_are_merged_and_given_up(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(run(steps));
    }
}
