//! Random stories: batches in and outside of transactions, answers and markers old and new, commits of objects,
//! restarts. A model that knows nothing but the rows says what each step must answer, and what readers see.

use super::super::{
    AppendError, BatchIdentity, BrokerLog, FirstBatch, Incoming, IsolationLevel, Marker, MarkerError,
    MarkerTaken, Partition, ReadLimit, Reader, SequenceError,
};
use super::partition::{TOPIC, cache, partition};
use crate::config::JournalConfig;
use crate::journal::{
    BrokerSession, CommitTicket, Joining, Journal, JournalEnd, JournalStart, Partitions, RowTransaction,
    ended_journals, recover,
};
use crate::limits::{MemoryBudget, MemoryPermit, Purpose};
use crate::meta::{EmbeddedStore, MetadataStore};
use crate::metrics::Metrics;
use crate::store::ObjectStore;
use crate::types::{
    BrokerId, LeaderEpoch, Offset, ProducerEpoch, ProducerId, SessionId, Timestamp, TransactionOrdinal,
    Verdict, ViewNumber,
};
use crate::wire::batch::{self, BatchBuilder, Codec, DecodedBatch, ProducerStamp};
use futures_util::TryStreamExt;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use uuid::Uuid;

const PRODUCERS: i64 = 3;

/// What happens next. Numbers are relative to what the model knows, so that most steps are legal.
#[derive(Clone, Copy, Debug)]
enum Step {
    Batch {
        producer: i64,
        epoch: i16,
        sequence: i32,
        records: i32,
        transaction: Asked,
    },
    /// A batch that is there already comes again.
    Again {
        back: usize,
    },
    /// `ordinal` counts from what is open, or from what ended last and one.
    Marker {
        producer: i64,
        epoch: i16,
        view: i32,
        ordinal: i64,
        verdict: Verdict,
    },
    Anonymous,
    /// The journal gets on a little.
    Yield(u8),
    /// Everything is committed.
    Commit,
    /// A new session: what was not committed is lost.
    Restart,
}

#[derive(Clone, Copy, Debug)]
enum Asked {
    Plain,
    No,
    /// The coordinator gives the ordinal that ended last, and so much more.
    Given(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let asked =
        prop_oneof![1 => Just(Asked::Plain), 3 => Just(Asked::No), 5 => (0..3_i64).prop_map(Asked::Given)];
    let mostly_0 = || prop_oneof![12 => Just(0), 1 => Just(1), 1 => Just(-1)];
    let epoch = prop_oneof![10 => Just(0_i16), 2 => Just(1), 1 => Just(-1)];
    let batch = (0..PRODUCERS, epoch.clone(), mostly_0(), 1..4, asked).prop_map(
        |(producer, epoch, sequence, records, transaction)| Step::Batch {
            producer,
            epoch,
            sequence,
            records,
            transaction,
        },
    );
    let verdict = prop_oneof![Just(Verdict::Abort), Just(Verdict::Commit)];
    let marker = (0..PRODUCERS, epoch, mostly_0(), mostly_0(), verdict).prop_map(
        |(producer, epoch, view, ordinal, verdict)| Step::Marker {
            producer,
            epoch,
            view,
            ordinal: i64::from(ordinal),
            verdict,
        },
    );
    prop_oneof![
        20 => batch,
        3 => (0..8_usize).prop_map(|back| Step::Again { back }),
        8 => marker,
        1 => Just(Step::Anonymous),
        4 => (1..12_u8).prop_map(Step::Yield),
        2 => Just(Step::Commit),
        1 => Just(Step::Restart),
    ]
}

/// A row as the log must have it.
#[derive(Clone, Debug)]
struct Row {
    offsets: Range<i64>,
    producer: i64,
    epoch: i16,
    sequence: i32,
    transaction: RowTransaction,
}

/// What follows from the rows of one producer.
#[derive(Debug, Default)]
struct Known {
    /// None if it has no row.
    epoch: Option<i16>,
    /// Those of the epoch, by their place in the log.
    batches: Vec<Row>,
    open: Option<(i64, i64)>,
    ended: i64,
    view: Option<i32>,
}

/// A transaction as the rows tell it.
#[derive(Debug)]
struct Told {
    producer: i64,
    first: i64,
    /// Its marker, if that is committed.
    ended: Option<(i64, Verdict)>,
}

#[derive(Debug, PartialEq)]
enum Answer {
    At(i64),
    Fenced,
    OutOfOrder,
    NotItsBeginning,
    Outside,
    Concurrent,
    Ask,
    Written,
    AlreadyDone,
    StaleView,
    LateEpoch,
    WrongOrdinal,
}

#[derive(Debug, Default)]
struct Model {
    rows: Vec<Row>,
}

impl Model {
    fn end(&self) -> i64 {
        self.rows.last().map_or(0, |row| row.offsets.end)
    }

    fn known(&self, producer: i64) -> Known {
        let mut known = Known::default();
        for row in self.rows.iter().filter(|row| row.producer == producer) {
            if known.epoch != Some(row.epoch) {
                known.batches.clear();
            }
            known.epoch = Some(row.epoch);
            match row.transaction {
                RowTransaction::Marker { ordinal, coordinator_view, .. } => {
                    (known.open, known.ended, known.view) = (None, ordinal.0, Some(coordinator_view.0));
                    continue;
                }
                RowTransaction::Batch { ordinal } if known.open.is_none() => {
                    known.open = Some((ordinal.0, row.offsets.start));
                }
                _ => {}
            }
            known.batches.push(row.clone());
        }
        known
    }

    fn on_batch(&self, batch: &Row, records: i32, transaction: Asked) -> Answer {
        let known = self.known(batch.producer);
        let current = known.epoch.unwrap_or(batch.epoch);
        if batch.epoch < current {
            return Answer::Fenced;
        }
        let is_repeat = |row: &&Row| {
            row.sequence == batch.sequence && row.offsets.end - row.offsets.start == i64::from(records)
        };
        let remembered = known.batches.iter().rev().take(5);
        if batch.epoch == current
            && let Some(repeated) = remembered.rev().find(is_repeat)
        {
            return Answer::At(repeated.offsets.start);
        }
        let transactional = !matches!(transaction, Asked::Plain);
        if transactional && known.open.is_some() && batch.epoch > current {
            return Answer::Concurrent;
        }
        let follows = self.next_sequence(batch.producer, batch.epoch);
        // A story is over long before such a beginning is believed.
        if known.epoch.is_none() && batch.sequence > 0 {
            return Answer::NotItsBeginning;
        }
        if batch.sequence != follows {
            return Answer::OutOfOrder;
        }
        let next = Answer::At(self.end());
        match (transaction, known.open) {
            (Asked::Plain, Some(_)) => Answer::Outside,
            (Asked::Plain, None) | (Asked::No, Some(_)) => next,
            (Asked::No, None) => Answer::Ask,
            // The partition is asked first without an answer, which is enough if something is open.
            (Asked::Given(_), Some(_)) => next,
            (Asked::Given(more), None) if more > 0 => next,
            (Asked::Given(_), None) => Answer::Ask,
        }
    }

    fn next_sequence(&self, producer: i64, epoch: i16) -> i32 {
        let known = self.known(producer);
        let last = known.batches.last().filter(|row| row.epoch == epoch);
        last.map_or(0, |row| row.sequence + (row.offsets.end - row.offsets.start) as i32)
    }

    fn on_marker(&self, marker: &Marker) -> Answer {
        let known = self.known(marker.producer_id.0);
        let ordinal = marker.ordinal.0;
        if known.view.is_some_and(|view| marker.coordinator_view.0 < view) {
            Answer::StaleView
        } else if known.epoch.is_some_and(|epoch| marker.producer_epoch.0 < epoch) {
            Answer::LateEpoch
        } else {
            match known.open {
                Some((open, _)) if open == ordinal => Answer::Written,
                None if ordinal > known.ended => Answer::Written,
                None if ordinal == known.ended && ordinal > 0 => Answer::AlreadyDone,
                _ => Answer::WrongOrdinal,
            }
        }
    }

    /// Its transactions, when all below `end` is committed.
    fn transactions(&self, end: i64) -> Vec<Told> {
        let mut found: Vec<Told> = Vec::new();
        for row in &self.rows {
            let open = found.iter_mut().find(|told| told.producer == row.producer && told.ended.is_none());
            match (row.transaction, open) {
                (RowTransaction::Batch { .. }, None) => {
                    found.push(Told { producer: row.producer, first: row.offsets.start, ended: None });
                }
                (RowTransaction::Marker { verdict, .. }, Some(open)) if row.offsets.start < end => {
                    open.ended = Some((row.offsets.start, verdict));
                }
                _ => {}
            }
        }
        found
    }

    fn last_stable_offset(&self, high_watermark: i64) -> i64 {
        let transactions = self.transactions(high_watermark);
        let open = transactions.iter().filter(|told| told.ended.is_none());
        open.map(|told| told.first).fold(high_watermark, i64::min)
    }

    /// Aborted ones that have offsets in `range`, when all below `end` is committed, in the order of their markers.
    fn aborted(&self, end: i64, range: &Range<i64>) -> Vec<(i64, i64)> {
        let told = self.transactions(end);
        let aborted = told.iter().filter_map(|told| match told.ended {
            Some((marker, Verdict::Abort)) => Some((marker, told)),
            _ => None,
        });
        let overlaps = |(marker, told): &(i64, &Told)| *marker >= range.start && told.first < range.end;
        let mut found: Vec<_> = aborted.filter(overlaps).filter(|_| !range.is_empty()).collect();
        found.sort_unstable_by_key(|(marker, _)| *marker);
        found.iter().map(|(_, told)| (told.producer, told.first)).collect()
    }

    /// First offsets of the batches that readers of committed records see: all of a transaction or nothing.
    fn visible(&self, high_watermark: i64) -> Vec<i64> {
        let stable = self.last_stable_offset(high_watermark);
        let shown = |row: &&Row| match row.transaction {
            RowTransaction::None => true,
            RowTransaction::Marker { .. } => false,
            RowTransaction::Batch { ordinal } => self.verdict(row.producer, ordinal) == Some(Verdict::Commit),
        };
        let below = self.rows.iter().filter(|row| row.offsets.end <= stable);
        below.filter(shown).map(|row| row.offsets.start).collect()
    }

    fn verdict(&self, producer: i64, wanted: TransactionOrdinal) -> Option<Verdict> {
        let of_producer = self.rows.iter().filter(|row| row.producer == producer);
        of_producer.fold(None, |found, row| match row.transaction {
            RowTransaction::Marker { ordinal, verdict, .. } if ordinal == wanted => Some(verdict),
            RowTransaction::Batch { ordinal } if ordinal == wanted => {
                assert_eq!(found, None, "a batch of transaction {wanted} after its end");
                None
            }
            _ => found,
        })
    }
}

/// The log under test, on stores that outlive its sessions.
struct World {
    metadata: Arc<dyn MetadataStore>,
    store: ObjectStore,
    sessions: u128,
    partition: Arc<Partition>,
    reader: Reader,
    journal: Journal,
    run: JoinHandle<JournalEnd>,
    /// Of what was appended last.
    last_ticket: Option<CommitTicket>,
    permit: Arc<MemoryPermit>,
}

impl World {
    async fn new() -> World {
        let metadata: Arc<dyn MetadataStore> = Arc::new(EmbeddedStore::in_memory());
        World::begin(metadata, ObjectStore::in_memory(), 1).await
    }

    async fn begin(metadata: Arc<dyn MetadataStore>, store: ObjectStore, sessions: u128) -> World {
        let session_id = SessionId(Uuid::from_u128(sessions));
        let joining = Joining::new(session_id, BrokerId(1), Timestamp(0));
        let session = BrokerSession::join(&metadata, &store, joining).await.expect("joins");
        let ended = ended_journals(metadata.as_ref()).await;
        let cache = cache().await;
        let log = Arc::new(BrokerLog::new(LeaderEpoch(session.view().0), cache.clone()));
        log.ensure(TOPIC, 1);
        ended.iter().for_each(|ended| log.needs().on_ended(ended));
        log.recover(
            &recover(&store, &ended, Partitions::All).try_collect::<Vec<_>>().await.expect("all there"),
            Timestamp(0),
        )
        .expect("in order");
        // Objects of one or two batches, one after the other.
        let config = JournalConfig { flush_interval: Duration::ZERO, flush_bytes: 150, puts_in_flight: 1 };
        let metrics = Arc::new(Metrics::new());
        let start = JournalStart { session, store: store.clone(), config, metrics };
        let committed = Arc::clone(&log);
        let (journal, run) = Journal::start(start, Box::new(move |object| committed.on_committed(&object)));
        World {
            partition: log.partition(partition(0)).expect("ensured"),
            reader: Reader::new(cache, store.clone()),
            metadata,
            store,
            sessions,
            journal,
            run: tokio::spawn(run),
            last_ticket: None,
            permit: Arc::new(MemoryBudget::new(1 << 20).try_reserve(1, Purpose::Other).expect("free")),
        }
    }

    async fn restart(self) -> World {
        self.run.abort();
        let _aborted = self.run.await;
        World::begin(self.metadata, self.store, self.sessions + 1).await
    }

    fn append(&mut self, row: &Row, records: i32, transaction: Asked, ended: i64) -> Answer {
        let incoming = incoming(row, records, !matches!(transaction, Asked::Plain));
        let (partition, journal, permit) = (&self.partition, &self.journal, &self.permit);
        let append = |verified| {
            partition.append_in_transaction(journal, incoming.clone(), verified, permit, Timestamp(0))
        };
        let appended = match transaction {
            Asked::Plain => partition.append(journal, incoming, permit, Timestamp(0)),
            Asked::No => append(None),
            Asked::Given(more) => match append(None) {
                Err(AppendError::NeedsVerification(question)) => {
                    append(Some(question.answered(TransactionOrdinal(ended + more))))
                }
                first => first,
            },
        };
        match appended {
            Ok(appended) => {
                if appended.base_offset.0 == row.offsets.start {
                    self.last_ticket = Some(appended.ticket);
                }
                Answer::At(appended.base_offset.0)
            }
            Err(AppendError::Sequence(SequenceError::Fenced { .. })) => Answer::Fenced,
            Err(AppendError::Sequence(SequenceError::OutOfOrder { .. })) => Answer::OutOfOrder,
            Err(AppendError::NotItsBeginning { .. }) => Answer::NotItsBeginning,
            Err(AppendError::OutsideTransaction) => Answer::Outside,
            Err(AppendError::ConcurrentTransaction) => Answer::Concurrent,
            Err(AppendError::NeedsVerification(_)) => Answer::Ask,
            Err(error) => panic!("{error}"),
        }
    }

    fn mark(&mut self, marker: Marker) -> Answer {
        match self.partition.append_marker(&self.journal, marker, &self.permit, Timestamp(0)) {
            Ok(MarkerTaken::Written { ticket }) => {
                self.last_ticket = Some(ticket);
                Answer::Written
            }
            Ok(MarkerTaken::AlreadyDone { .. }) => Answer::AlreadyDone,
            Err(MarkerError::StaleCoordinator { .. }) => Answer::StaleView,
            Err(MarkerError::FencedEpoch { .. }) => Answer::LateEpoch,
            Err(MarkerError::WrongOrdinal { .. }) => Answer::WrongOrdinal,
            Err(error) => panic!("{error}"),
        }
    }

    /// First offsets of the batches that a consumer of committed records keeps, by the rule that clients follow.
    async fn consume(&self) -> Vec<i64> {
        let mut kept = Vec::new();
        let mut from = Offset::ZERO;
        loop {
            let plan = self.partition.read_plan(from, IsolationLevel::ReadCommitted, 300).expect("in range");
            let limit = ReadLimit { bytes_max: 300, first_batch: FirstBatch::WhateverItsSize };
            let read = self.reader.read(&plan, limit).await.expect("all there");
            if read.batches.is_empty() {
                assert_eq!(from, self.partition.ends().last_stable_offset, "a reader gets to the end");
                return kept;
            }
            let mut aborted = read.aborted.clone();
            aborted.sort_by_key(|transaction| transaction.first_offset);
            let mut aborted = aborted.into_iter().peekable();
            let mut left_out = BTreeSet::new();
            let batches = read.batches.iter().flat_map(|bytes| batch::split(bytes.clone()));
            for (header, bytes) in batches.map(|batch| batch.expect("checked")) {
                while let Some(begun) = aborted.next_if(|begun| begun.first_offset < header.offsets().end) {
                    left_out.insert(begun.producer_id);
                }
                if header.is_control() {
                    if is_abort(&bytes) {
                        left_out.remove(&header.producer_id);
                    }
                } else if !(header.is_transactional() && left_out.contains(&header.producer_id)) {
                    kept.push(header.base_offset.0);
                }
            }
            from = read.end;
        }
    }
}

fn is_abort(control: &bytes::Bytes) -> bool {
    let batch = DecodedBatch::decode(control, 1000).expect("a control batch");
    let record = batch.records().next().expect("one record").expect("legal");
    record.key == Some(&[0, 0, 0, 0])
}

fn incoming(row: &Row, records: i32, transactional: bool) -> Incoming {
    let mut builder = BatchBuilder::new();
    (0..records).for_each(|_| {
        builder.append(Timestamp(0), None, Some(b"value"), &[]);
    });
    let (producer_id, producer_epoch) = (ProducerId(row.producer), ProducerEpoch(row.epoch));
    let stamp = ProducerStamp { producer_id, producer_epoch, base_sequence: row.sequence, transactional };
    let batch = builder.finish(Codec::None, stamp);
    let header = batch::BatchHeader::decode(&batch).expect("just built");
    let identity =
        BatchIdentity { producer_id, producer_epoch, base_sequence: row.sequence, record_count: records };
    Incoming {
        batch,
        record_count: records,
        max_timestamp: Timestamp(0),
        identity: header.has_producer().then_some(identity),
        attributes: header.attributes,
    }
}

async fn take(world: &mut World, model: &mut Model, step: Step) {
    match step {
        Step::Batch { producer, epoch, sequence, records, transaction } => {
            let epoch = (model.known(producer).epoch.unwrap_or(0) + epoch).max(0);
            let sequence = (model.next_sequence(producer, epoch) + sequence).max(0);
            append(world, model, (producer, epoch, sequence), records, transaction);
        }
        Step::Again { back } => {
            let mut batches = model.rows.iter().rev().filter(|row| row.sequence >= 0);
            let Some(row) = batches.nth(back).cloned() else { return };
            let asked = if row.transaction == RowTransaction::None { Asked::Plain } else { Asked::No };
            let records = (row.offsets.end - row.offsets.start) as i32;
            append(world, model, (row.producer, row.epoch, row.sequence), records, asked);
        }
        Step::Anonymous => append(world, model, (-1, -1, -1), 1, Asked::Plain),
        Step::Marker { producer, epoch, view, ordinal, verdict } => {
            let known = model.known(producer);
            let marker = Marker {
                producer_id: ProducerId(producer),
                producer_epoch: ProducerEpoch((known.epoch.unwrap_or(0) + epoch).max(0)),
                verdict,
                coordinator_view: ViewNumber((known.view.unwrap_or(1) + view).max(0)),
                ordinal: TransactionOrdinal(known.open.map_or(known.ended + 1, |(open, _)| open) + ordinal),
            };
            mark(world, model, marker);
        }
        Step::Yield(times) => {
            for _ in 0..times {
                tokio::task::yield_now().await;
            }
        }
        Step::Commit => {
            if let Some(ticket) = &mut world.last_ticket {
                ticket.settled().await;
            }
        }
        Step::Restart => unreachable!("the caller does it"),
    }
}

fn append(world: &mut World, model: &mut Model, who: (i64, i16, i32), records: i32, transaction: Asked) {
    let (producer, epoch, sequence) = who;
    let known = model.known(producer);
    let offsets = model.end()..model.end() + i64::from(records);
    let mut row = Row { offsets, producer, epoch, sequence, transaction: RowTransaction::None };
    let expected =
        if producer < 0 { Answer::At(model.end()) } else { model.on_batch(&row, records, transaction) };
    let answer = world.append(&row, records, transaction, known.ended);
    assert_eq!(answer, expected, "{row:?}, {transaction:?}, after {:?}", model.rows);
    if answer != Answer::At(model.end()) {
        return;
    }
    let ordinal = match (transaction, known.open) {
        (Asked::Plain, _) => None,
        (_, Some((open, _))) => Some(open),
        (Asked::Given(more), None) => Some(known.ended + more),
        (Asked::No, None) => unreachable!("it asks"),
    };
    if let Some(ordinal) = ordinal {
        row.transaction = RowTransaction::Batch { ordinal: TransactionOrdinal(ordinal) };
    }
    model.rows.push(row);
}

fn mark(world: &mut World, model: &mut Model, marker: Marker) {
    let answer = world.mark(marker);
    assert_eq!(answer, model.on_marker(&marker), "{marker:?}, after {:?}", model.rows);
    if answer == Answer::Written {
        let Marker { verdict, coordinator_view, ordinal, .. } = marker;
        model.rows.push(Row {
            offsets: model.end()..model.end() + 1,
            producer: marker.producer_id.0,
            epoch: marker.producer_epoch.0,
            sequence: -1,
            transaction: RowTransaction::Marker { ordinal, verdict, coordinator_view },
        });
    }
}

/// What a reader is told agrees with the rows below the high watermark.
fn check_ends(world: &World, model: &Model) {
    let ends = world.partition.ends();
    let high_watermark = ends.high_watermark.0;
    assert_eq!(ends.last_stable_offset.0, model.last_stable_offset(high_watermark));
    let (third, half) = (high_watermark / 3, high_watermark / 2);
    for range in [0..high_watermark, third..half, half..high_watermark] {
        let found = world.partition.aborted_in(Offset(range.start)..Offset(range.end));
        let found: Vec<_> = found.iter().map(|found| (found.producer_id.0, found.first_offset.0)).collect();
        assert_eq!(found, model.aborted(high_watermark, &range), "{range:?} of {:?}", model.rows);
    }
}

async fn run(steps: Vec<Step>) {
    let mut world = World::new().await;
    let mut model = Model::default();
    let mut stable = Offset::ZERO;
    for step in steps.into_iter().chain([Step::Commit, Step::Restart]) {
        if matches!(step, Step::Restart) {
            world = world.restart().await;
            let committed = world.partition.ends().high_watermark.0;
            model.rows.retain(|row| row.offsets.end <= committed);
            assert_eq!(model.end(), committed, "recovery finds whole batches");
            assert_eq!(world.consume().await, model.visible(committed));
        } else {
            take(&mut world, &mut model, step).await;
        }
        check_ends(&world, &model);
        let ends = world.partition.ends();
        assert!(ends.last_stable_offset >= stable, "the last stable offset went back");
        assert!(ends.last_stable_offset <= ends.high_watermark);
        stable = ends.last_stable_offset;
        if matches!(step, Step::Commit) {
            let high_watermark = world.partition.ends().high_watermark.0;
            assert_eq!(world.consume().await, model.visible(high_watermark));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn a_leader_and_its_readers_agree_with_the_rows(steps in prop::collection::vec(step(), 1..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(run(steps));
    }
}
