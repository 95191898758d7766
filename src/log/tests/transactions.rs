//! What a leader takes of transactions: batches, answers of the coordinator, markers.

use super::super::{
    AppendError, Appended, ArchivedLog, BatchIdentity, FirstBatch, Incoming, IsolationLevel, Marker,
    MarkerError, MarkerTaken, Partition, ReadLimit, SequenceError, Verified, Waiter,
};
use super::partition::{World, plain};
use crate::journal::{CommitTicket, Outcome};
use crate::limits::{MemoryBudget, MemoryPermit, Purpose};
use crate::segment::manifest::{Archived, Manifest};
use crate::types::{
    Offset, ProducerEpoch, ProducerId, Timestamp, TopicName, TransactionOrdinal, Verdict, ViewNumber,
};
use crate::wire::batch::BatchHeader;
use std::sync::Arc;
use std::time::Duration;

const NEVER: Duration = Duration::from_secs(3600);

/// One step of a story about producer 4.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A transactional batch: epoch, sequence, and the ordinal that the coordinator gives when it is asked.
    Batch(i16, i32, Option<i64>),
    /// A batch outside of transactions: epoch, sequence.
    Plain(i16, i32),
    /// A commit marker: epoch, view, ordinal.
    Marker(i16, i32, i64),
}

#[derive(Debug, PartialEq)]
enum Answer {
    At(i64),
    Refused(AppendError),
    Ask,
    Written,
    AlreadyDone,
    MarkerRefused(MarkerError),
}

use Answer::{AlreadyDone, Ask, At, MarkerRefused, Refused, Written};
use Step::{Batch, Marker as End, Plain};

fn permit() -> Arc<MemoryPermit> {
    Arc::new(MemoryBudget::new(1 << 20).try_reserve(1, Purpose::Other).expect("free"))
}

fn incoming(producer_epoch: i16, base_sequence: i32) -> Incoming {
    let producer_epoch = ProducerEpoch(producer_epoch);
    let identity =
        BatchIdentity { producer_id: ProducerId(4), producer_epoch, base_sequence, record_count: 1 };
    Incoming { identity: Some(identity), ..plain(1) }
}

fn append(world: &World, incoming: Incoming, verified: Option<Verified>) -> Result<Appended, AppendError> {
    let (journal, permit) = (&world.journal, permit());
    world.partition().append_in_transaction(journal, incoming, verified, &permit, Timestamp(0))
}

fn mark(
    world: &World,
    epoch: i16,
    view: i32,
    ordinal: i64,
    verdict: Verdict,
) -> Result<MarkerTaken, MarkerError> {
    let marker = Marker {
        producer_id: ProducerId(4),
        producer_epoch: ProducerEpoch(epoch),
        verdict,
        coordinator_view: ViewNumber(view),
        ordinal: TransactionOrdinal(ordinal),
    };
    world.partition().append_marker(&world.journal, marker, &permit(), Timestamp(0))
}

fn take(world: &World, step: Step) -> Answer {
    let appended = |result: Result<Appended, AppendError>| match result {
        Ok(appended) => At(appended.base_offset.0),
        Err(AppendError::NeedsVerification(_)) => Ask,
        Err(error) => Refused(error),
    };
    match step {
        Batch(epoch, sequence, ordinal) => {
            let first = append(world, incoming(epoch, sequence), None);
            match (first, ordinal) {
                (Err(AppendError::NeedsVerification(question)), Some(ordinal)) => {
                    let verified = question.answered(TransactionOrdinal(ordinal));
                    appended(append(world, incoming(epoch, sequence), Some(verified)))
                }
                (first, _) => appended(first),
            }
        }
        Plain(epoch, sequence) => {
            let came = incoming(epoch, sequence);
            appended(world.partition().append(&world.journal, came, &permit(), Timestamp(0)))
        }
        End(epoch, view, ordinal) => match mark(world, epoch, view, ordinal, Verdict::Commit) {
            Ok(MarkerTaken::Written { .. }) => Written,
            Ok(MarkerTaken::AlreadyDone { .. }) => AlreadyDone,
            Err(error) => MarkerRefused(error),
        },
    }
}

fn fenced(current: i16, got: i16) -> Answer {
    Refused(SequenceError::Fenced { current, got }.into())
}

fn out_of_order(expected: i32, got: i32) -> Answer {
    Refused(SequenceError::OutOfOrder { expected, got }.into())
}

fn wrong_ordinal(open: i64, ended: i64, got: i64) -> Answer {
    let [open, ended, got] = [open, ended, got].map(TransactionOrdinal);
    MarkerRefused(MarkerError::WrongOrdinal { open, ended, got })
}

fn stale(current: i32, got: i32) -> Answer {
    MarkerRefused(MarkerError::StaleCoordinator { current: ViewNumber(current), got: ViewNumber(got) })
}

fn late(current: i16, got: i16) -> Answer {
    MarkerRefused(MarkerError::FencedEpoch { current: ProducerEpoch(current), got: ProducerEpoch(got) })
}

#[tokio::test]
async fn a_leader_follows_the_rules_of_transactions() {
    type Story = (&'static str, Vec<(Step, Answer)>);
    let table: Vec<Story> = vec![
        (
            "nothing is open: the coordinator is asked",
            vec![(Batch(0, 0, None), Ask), (Batch(0, 0, Some(1)), At(0))],
        ),
        (
            "what is open goes on without asking, and a repeat gets its offset",
            vec![
                (Batch(0, 0, Some(1)), At(0)),
                (Batch(0, 1, None), At(1)),
                (Batch(0, 0, None), At(0)),
                (Batch(0, 3, None), out_of_order(2, 3)),
            ],
        ),
        (
            "a producer that is not known here begins at 0: what came before was refused",
            vec![(Batch(0, 1, Some(1)), Refused(AppendError::NotItsBeginning { got: 1 }))],
        ),
        (
            "version 1: the epoch stays and sequences go on",
            vec![
                (Batch(0, 0, Some(1)), At(0)),
                (End(0, 5, 1), Written),
                (Batch(0, 0, None), At(0)),
                (Batch(0, 1, None), Ask),
                (Batch(0, 1, Some(2)), At(2)),
            ],
        ),
        (
            "version 2: the marker brings the next epoch, sequences begin again",
            vec![
                (Batch(0, 0, Some(1)), At(0)),
                (End(1, 5, 1), Written),
                (Batch(0, 1, Some(2)), fenced(1, 0)),
                (Batch(1, 1, Some(2)), out_of_order(0, 1)),
                (Batch(1, 0, Some(2)), At(2)),
            ],
        ),
        (
            "an answer that the transaction's end has overtaken is not enough",
            vec![(Batch(0, 0, Some(1)), At(0)), (End(0, 5, 1), Written), (Batch(0, 1, Some(1)), Ask)],
        ),
        (
            "a later epoch waits for the marker of the earlier one",
            vec![
                (Batch(0, 0, Some(1)), At(0)),
                (Batch(1, 0, Some(2)), Refused(AppendError::ConcurrentTransaction)),
                (End(1, 5, 1), Written),
                (Batch(1, 0, Some(2)), At(2)),
            ],
        ),
        (
            "a marker where no batch came keeps out what is late",
            vec![(End(3, 5, 2), Written), (Batch(2, 0, Some(2)), fenced(3, 2)), (Batch(3, 0, Some(2)), Ask)],
        ),
        (
            "a repeated marker succeeds and writes nothing",
            vec![
                (Batch(0, 0, Some(1)), At(0)),
                (End(0, 5, 1), Written),
                (End(0, 5, 1), AlreadyDone),
                (End(0, 6, 1), AlreadyDone),
                (Batch(0, 1, Some(2)), At(2)),
                (End(0, 5, 1), wrong_ordinal(2, 1, 1)),
            ],
        ),
        (
            "markers of an earlier coordinator, epoch or transaction are refused",
            vec![
                (End(3, 5, 4), Written),
                (End(3, 4, 5), stale(5, 4)),
                (End(2, 5, 5), late(3, 2)),
                (End(3, 5, 3), wrong_ordinal(0, 4, 3)),
                (Batch(3, 0, Some(6)), At(1)),
                (End(3, 5, 5), wrong_ordinal(6, 4, 5)),
                (End(3, 5, 7), wrong_ordinal(6, 4, 7)),
                (End(3, 5, 6), Written),
            ],
        ),
        (
            "ordinals begin at 1",
            vec![(End(0, 5, 0), wrong_ordinal(0, 0, 0)), (End(0, 5, -1), wrong_ordinal(0, 0, -1))],
        ),
        (
            "a batch outside of the transaction that is open is refused",
            vec![
                (Plain(0, 0), At(0)),
                (Batch(0, 1, Some(1)), At(1)),
                (Plain(0, 2), Refused(AppendError::OutsideTransaction)),
                (End(0, 5, 1), Written),
                (Plain(0, 2), At(3)),
            ],
        ),
    ];
    for (name, story) in table {
        let world = World::new(NEVER).await;
        for (step, expected) in story {
            assert_eq!(take(&world, step), expected, "{name}: {step:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_about_another_open_transaction_is_asked_for_again() {
    let world = World::new(NEVER).await;
    let Err(AppendError::NeedsVerification(question)) = append(&world, incoming(0, 0), None) else {
        panic!("nothing is open");
    };
    assert_eq!(take(&world, Batch(0, 0, Some(1))), At(0));
    let verified = |ordinal| Some(question.answered(TransactionOrdinal(ordinal)));
    let other = append(&world, incoming(0, 1), verified(2));
    assert!(matches!(other, Err(AppendError::NeedsVerification(_))), "{other:?}");
    assert_eq!(append(&world, incoming(0, 1), verified(1)).expect("the same one").base_offset, Offset(1));
}

#[tokio::test]
async fn a_transactional_batch_has_a_producer() {
    let world = World::new(NEVER).await;
    assert_eq!(append(&world, plain(1), None).err(), Some(AppendError::NoProducer));
}

#[tokio::test]
async fn a_repeated_marker_is_answered_when_the_first_is_durable() {
    let world = World::new(NEVER).await;
    mark(&world, 0, 5, 1, Verdict::Abort).expect("written");
    let Ok(MarkerTaken::AlreadyDone { mut ticket }) = mark(&world, 0, 5, 1, Verdict::Abort) else {
        panic!("a repeat");
    };
    assert_eq!(ticket.outcome(), Outcome::Pending);
    world.journal.close();
    assert_eq!(ticket.settled().await, Outcome::Committed);
}

fn written(taken: Result<MarkerTaken, MarkerError>) -> CommitTicket {
    match taken {
        Ok(MarkerTaken::Written { ticket }) => ticket,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_marker_moves_the_last_stable_offset_when_it_is_committed_and_wakes_who_waits() {
    let world = World::new(Duration::ZERO).await;
    let partition = world.partition();
    assert_eq!(take(&world, Batch(0, 0, Some(1))), At(0));
    let mut ticket = append(&world, incoming(0, 1), None).expect("goes on").ticket;
    ticket.settled().await;
    let ends = partition.ends();
    assert_eq!((ends.high_watermark, ends.last_stable_offset), (Offset(2), Offset(0)));
    let plan = |isolation| partition.read_plan(Offset(0), isolation, 1000).expect("in range");
    assert!(plan(IsolationLevel::ReadCommitted).spans.is_empty());
    assert!(!plan(IsolationLevel::ReadUncommitted).spans.is_empty());

    let waiter = Waiter::default();
    partition.register(&waiter);
    let mut ticket = written(mark(&world, 0, 5, 1, Verdict::Abort));
    assert_eq!(partition.ends().last_stable_offset, Offset(0), "it is not committed yet");
    waiter.woken().await;
    ticket.settled().await;
    assert_eq!(partition.ends().last_stable_offset, Offset(3));
    assert!(!plan(IsolationLevel::ReadCommitted).spans.is_empty());
    let aborted = partition.aborted_in(Offset(0)..Offset(3));
    assert_eq!(aborted.len(), 1);
    assert_eq!((aborted[0].producer_id, aborted[0].first_offset), (ProducerId(4), Offset(0)));
}

/// Segments have neither what was aborted nor the marker with which the leaving out ends.
#[tokio::test]
async fn what_was_aborted_and_archived_hides_nothing_of_the_producers_next_transaction() {
    let world = World::new(Duration::ZERO).await;
    let partition = world.partition();
    assert_eq!(take(&world, Batch(0, 0, Some(1))), At(0));
    written(mark(&world, 0, 5, 1, Verdict::Abort)).settled().await;
    assert_eq!(take(&world, Batch(0, 1, Some(2))), At(2));
    written(mark(&world, 0, 5, 2, Verdict::Commit)).settled().await;
    let plan = || partition.read_plan(Offset(0), IsolationLevel::ReadCommitted, 1000).expect("in range");
    assert_eq!(plan().aborted.len(), 1);
    // Nothing is committed after this, by which it would be forgotten.
    archive_up_to(&partition, Offset(2));
    assert!(!plan().spans.is_empty());
    assert_eq!(plan().aborted, []);
}

/// An object of the journal may hold an aborted transaction that is archived, and one that was still open then.
#[tokio::test]
async fn what_was_aborted_and_archived_is_not_read_in_the_journal() {
    let world = World::new(NEVER).await;
    let partition = world.partition();
    assert_eq!(take(&world, Batch(0, 0, Some(1))), At(0));
    let mut aborted = written(mark(&world, 0, 5, 1, Verdict::Abort));
    assert_eq!(take(&world, Batch(0, 1, Some(2))), At(2));
    let mut committed = written(mark(&world, 0, 5, 2, Verdict::Commit));
    world.journal.close();
    assert_eq!(
        (aborted.settled().await, committed.settled().await),
        (Outcome::Committed, Outcome::Committed)
    );
    archive_up_to(&partition, Offset(2));
    for isolation in [IsolationLevel::ReadCommitted, IsolationLevel::ReadUncommitted] {
        let plan = partition.read_plan(Offset(0), isolation, 1000).expect("in range");
        let [span] = &plan.spans[..] else { panic!("one object has all: {:?}", plan.spans) };
        assert_eq!(span.offsets, Offset(0)..Offset(4));
        let limit = ReadLimit { bytes_max: 1000, first_batch: FirstBatch::WhateverItsSize };
        let read = world.reader().await.read(&plan, limit).await.expect("read");
        let first = BatchHeader::decode(&read.batches[0]).expect("a batch");
        assert_eq!((first.base_offset, read.end, read.aborted), (Offset(2), Offset(4), vec![]));
    }
}

fn archive_up_to(partition: &Partition, archived_offset: Offset) {
    let archived = Archived {
        segments: Vec::new(),
        archived_offset,
        leader_epochs: partition.epochs_in(Offset(0), archived_offset),
        producers: partition.checkpoint_at(archived_offset).producers(Timestamp(0)),
    };
    let manifest = Manifest::new(super::partition::partition(0), Offset::ZERO);
    let manifest = Arc::new(manifest.append_segments(archived).expect("legal").manifest);
    partition.on_archived(ArchivedLog { topic: TopicName::parse("a").expect("legal"), manifest });
}

#[tokio::test]
async fn a_producer_is_shown_with_its_transaction_however_long_it_has_been_open() {
    let world = World::new(NEVER).await;
    let in_a_week = Timestamp(7 * 24 * 3600 * 1000);
    take(&world, Batch(0, 0, Some(1)));
    let [shown] = world.partition().active_producers(in_a_week).try_into().expect("one producer");
    assert_eq!((shown.open_from, shown.coordinator_view), (Some(Offset(0)), ViewNumber(-1)));
    take(&world, End(1, 5, 1));
    assert!(world.partition().active_producers(in_a_week).is_empty());
    let [shown] = world.partition().active_producers(Timestamp(0)).try_into().expect("one producer");
    assert_eq!((shown.open_from, shown.coordinator_view, shown.last_sequence), (None, ViewNumber(5), -1));
}
