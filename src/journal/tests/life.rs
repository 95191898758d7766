//! Sessions on a journal: commits, seals, recovery.

use super::super::session::Joining;
use super::super::{
    AppendRow, BrokerSession, EndedJournal, Journal, JournalClosed, JournalEnd, JournalStart, ObjectName,
    ObjectNumber, Outcome, Partitions, RecoveryError, SessionError, encode, ended_journals, recover,
};
use super::{partition, row, session_id};
use crate::config::JournalConfig;
use crate::limits::{MemoryBudget, MemoryPermit, Purpose};
use crate::meta::keys::journal_starts::{self, MergedObject};
use crate::meta::{EmbeddedStore, MetadataStore, Transaction, Write};
use crate::metrics::Metrics;
use crate::store::{ObjectStore, paths};
use crate::types::{BrokerId, LeaderEpoch, MergeNumber, Offset, SessionId, Timestamp, ViewNumber};
use futures_util::TryStreamExt;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// A journal of which everything is needed.
fn whole(session: u128, final_seq: u64) -> EndedJournal {
    EndedJournal { session: session_id(session), start: journal_starts::JournalStart::default(), final_seq }
}

/// Two stores that sessions come and go on.
struct World {
    metadata: Arc<dyn MetadataStore>,
    store: ObjectStore,
    committed: Arc<Mutex<Vec<(u64, usize)>>>,
}

impl World {
    fn new() -> World {
        let metadata: Arc<dyn MetadataStore> = Arc::new(EmbeddedStore::in_memory());
        World { metadata, store: ObjectStore::in_memory(), committed: Arc::default() }
    }

    async fn join(&self, id: u128) -> Result<(BrokerSession, Vec<EndedJournal>), SessionError> {
        let joining = Joining::new(session_id(id), BrokerId(1), Timestamp(0));
        let session = BrokerSession::join(&self.metadata, &self.store, joining).await?;
        Ok((session, ended_journals(self.metadata.as_ref()).await))
    }

    /// A journal whose commits are written down here.
    fn start(
        &self,
        session: BrokerSession,
        flush_interval: Duration,
    ) -> (Journal, tokio::task::JoinHandle<JournalEnd>) {
        let config = JournalConfig { flush_interval, flush_bytes: 1 << 20, puts_in_flight: 4 };
        let start =
            JournalStart { session, store: self.store.clone(), config, metrics: Arc::new(Metrics::new()) };
        let committed = Arc::clone(&self.committed);
        let sink = move |object: super::super::CommittedObject| {
            committed.lock().push((object.id.seq, object.spans.len()));
        };
        let (journal, run) = Journal::start(start, Box::new(sink));
        (journal, tokio::spawn(run))
    }

    async fn objects_of(&self, session: SessionId) -> usize {
        self.store.list_sorted(Some(&paths::journal_prefix(session)), 100).await.expect("in memory").len()
    }
}

async fn permit() -> Arc<MemoryPermit> {
    Arc::new(MemoryBudget::new(1 << 20).reserve(1, Purpose::Other).await)
}

async fn append(journal: &Journal, topic: u128, base: i64) -> super::super::CommitTicket {
    let append = AppendRow { row: row(partition(topic, 0), base, &["v"]), permit: permit().await };
    journal.append(append).expect("open")
}

#[tokio::test]
async fn a_batch_is_acknowledged_when_it_is_committed_and_recovered_by_the_next_session() {
    let world = World::new();
    let (first, ended) = world.join(1).await.expect("joins");
    assert!(ended.is_empty());
    let (journal, _run) = world.start(first, Duration::ZERO);
    for base in 0..3 {
        let mut ticket = append(&journal, 1, base).await;
        assert_eq!(ticket.settled().await, Outcome::Committed);
    }

    let (second, ended) = world.join(2).await.expect("joins");
    assert_eq!(second.view().0, 2);
    let objects =
        recover(&world.store, &ended, Partitions::All).try_collect::<Vec<_>>().await.expect("all there");
    let offsets: Vec<_> =
        objects.iter().flat_map(|object| &object.index.rows).map(|row| row.offsets.start).collect();
    assert_eq!(offsets, [Offset(0), Offset(1), Offset(2)]);
}

#[tokio::test]
async fn one_object_and_one_commit_pay_for_all_partitions() {
    let world = World::new();
    let (session, _) = world.join(1).await.expect("joins");
    let (journal, run) = world.start(session, Duration::from_secs(3600));
    let mut tickets = Vec::new();
    for topic in 0..1000 {
        tickets.push(append(&journal, topic, 0).await);
    }
    journal.close();
    assert_eq!(run.await.expect("no panic"), JournalEnd::Drained);
    for ticket in &mut tickets {
        assert_eq!(ticket.settled().await, Outcome::Committed);
    }
    assert_eq!(*world.committed.lock(), [(1, 1000)]);
    assert_eq!(world.objects_of(session_id(1)).await, 1);
}

#[tokio::test]
async fn a_sealed_session_commits_nothing_more() {
    let world = World::new();
    let (first, _) = world.join(1).await.expect("joins");
    let standing = first.standing().clone();
    let (journal, run) = world.start(first, Duration::ZERO);
    append(&journal, 1, 0).await.settled().await;

    let (_second, ended) = world.join(2).await.expect("seals the first");
    assert_eq!(ended, [whole(1, 1)]);
    let mut late = append(&journal, 1, 1).await;
    assert_eq!(late.settled().await, Outcome::Lost);
    assert_eq!(run.await.expect("no panic"), JournalEnd::Sealed);
    assert!(standing.is_lost());
    let after = AppendRow { row: row(partition(1, 0), 2, &["v"]), permit: permit().await };
    assert_eq!(journal.append(after).err(), Some(JournalClosed));

    // What the sealed session still put is litter: the end was written before.
    assert_eq!(
        recover(&world.store, &ended, Partitions::All)
            .try_collect::<Vec<_>>()
            .await
            .expect("one object")
            .len(),
        1
    );
}

#[tokio::test]
async fn a_whole_object_past_the_last_known_commit_is_rolled_forward() {
    let world = World::new();
    let (first, _) = world.join(1).await.expect("joins");
    drop(first);
    // Stored, and the broker died before the commit was on disk; number 3 has a gap before it.
    for seq in [1, 2, 4] {
        let id = super::super::ObjectId { session: session_id(1), seq };
        let object = encode(id, vec![row(partition(1, 0), seq as i64 - 1, &["v"])]);
        world.store.put(&paths::journal_object(id.session, seq), object.bytes).await.expect("in memory");
    }
    let (_, ended) = world.join(2).await.expect("joins");
    assert_eq!(ended, [whole(1, 2)]);

    // An object that arrives after the end was written stays outside, whoever asks.
    let id = super::super::ObjectId { session: session_id(1), seq: 3 };
    let late = encode(id, vec![row(partition(1, 0), 2, &["v"])]);
    world.store.put(&paths::journal_object(id.session, 3), late.bytes).await.expect("in memory");
    let (_, ended) = world.join(3).await.expect("joins");
    assert!(ended.contains(&whole(1, 2)));
}

#[tokio::test]
async fn a_damaged_tail_stops_the_start_instead_of_shortening_the_log() {
    let world = World::new();
    world.join(1).await.expect("joins");
    let id = super::super::ObjectId { session: session_id(1), seq: 1 };
    let mut bytes = encode(id, vec![row(partition(1, 0), 0, &["a long enough value"])]).bytes.to_vec();
    let flipped = bytes.windows(4).position(|window| window == b"long").expect("the value is in it");
    bytes[flipped] ^= 1;
    world.store.put(&paths::journal_object(id.session, 1), bytes.into()).await.expect("in memory");
    let error = world.join(2).await.expect_err("must not start");
    assert!(matches!(error, SessionError::Recovery(RecoveryError::Damaged { .. })), "{error}");
}

#[tokio::test]
async fn a_committed_object_that_is_missing_stops_the_start() {
    let world = World::new();
    let (first, _) = world.join(1).await.expect("joins");
    let (journal, _run) = world.start(first, Duration::ZERO);
    append(&journal, 1, 0).await.settled().await;
    append(&journal, 1, 1).await.settled().await;
    world.store.delete(&paths::journal_object(session_id(1), 1)).await.expect("in memory");
    let (_, ended) = world.join(2).await.expect("joins");
    let error = recover(&world.store, &ended, Partitions::All)
        .try_collect::<Vec<_>>()
        .await
        .expect_err("must not start");
    assert!(
        matches!(error, RecoveryError::Missing(name) if name.number == ObjectNumber::Flushed(1)),
        "{error}"
    );
    let key = paths::journal_object(session_id(1), 1);
    let named = format!("journal object {key}, which session {} committed, is missing", session_id(1));
    assert!(
        error.to_string().starts_with(&named) && error.to_string().contains("put the object back"),
        "{error}"
    );
}

#[tokio::test]
async fn objects_are_handed_on_before_all_of_them_are_read() {
    let world = World::new();
    world.join(1).await.expect("joins");
    for seq in 1..=100 {
        let id = super::super::ObjectId { session: session_id(1), seq };
        let object = encode(id, vec![row(partition(1, 0), seq as i64 - 1, &["v"])]);
        world.store.put(&paths::journal_object(id.session, seq), object.bytes).await.expect("in memory");
    }
    let (_, ended) = world.join(2).await.expect("joins");
    let path = paths::journal_object(session_id(1), 100);
    world.store.put(&path, vec![0; 1_000].into()).await.expect("in memory");
    let mut objects = recover(&world.store, &ended, Partitions::All);
    for seq in 1..=96 {
        let object = objects.try_next().await.expect("whole").expect("there");
        assert_eq!(object.name.number, ObjectNumber::Flushed(seq));
    }
    let error = objects.try_next().await.expect_err("the last one is damaged, and read with its neighbours");
    assert!(matches!(error, RecoveryError::Damaged { .. }), "{error}");
}

#[tokio::test]
async fn journals_come_in_the_order_of_their_epochs() {
    let world = World::new();
    for (session, epoch, offset) in [(1, 3, 2), (2, 1, 0), (3, 2, 1)] {
        let mut row = row(partition(1, 0), offset, &["v"]);
        row.index.leader_epoch = LeaderEpoch(epoch);
        let id = super::super::ObjectId { session: session_id(session), seq: 1 };
        let object = encode(id, vec![row]);
        world.store.put(&paths::journal_object(id.session, 1), object.bytes).await.expect("in memory");
    }
    let ended = [whole(1, 1), whole(2, 1), whole(3, 1), whole(4, 0)];
    let objects =
        recover(&world.store, &ended, Partitions::All).try_collect::<Vec<_>>().await.expect("all there");
    let offsets: Vec<_> = objects.iter().map(|object| object.index.rows[0].offsets.start.get()).collect();
    assert_eq!(offsets, [0, 1, 2]);
}

#[tokio::test]
async fn of_journals_side_by_side_the_earlier_epoch_comes_first() {
    let world = World::new();
    // A partition that goes from one session to the other and back, again and again.
    for epoch in 1..=40 {
        let mut row = row(partition(1, 0), i64::from(epoch) - 1, &["v"]);
        row.index.leader_epoch = LeaderEpoch(epoch);
        let (session, seq) = (1 + u128::from(epoch % 2 == 0), u64::from(epoch.unsigned_abs()).div_ceil(2));
        let id = super::super::ObjectId { session: session_id(session), seq };
        let object = encode(id, vec![row]);
        world.store.put(&paths::journal_object(id.session, seq), object.bytes).await.expect("in memory");
    }
    let ended = [whole(2, 20), whole(1, 20)];
    let objects = recover(&world.store, &ended, Partitions::All).try_collect::<Vec<_>>().await;
    let objects = objects.expect("all there");
    let offsets: Vec<_> = objects.iter().map(|object| object.index.rows[0].offsets.start.get()).collect();
    assert_eq!(offsets, (0..40).collect::<Vec<_>>());
}

#[tokio::test]
async fn merged_objects_are_recovered_first_and_numbered_ones_from_the_first_that_is_needed() {
    let world = World::new();
    let (first, _) = world.join(1).await.expect("joins");
    let (journal, _run) = world.start(first, Duration::ZERO);
    for offset in 0..3 {
        append(&journal, 1, offset).await.settled().await;
    }
    let number = MergeNumber { view: ViewNumber(1), attempt: 4 };
    let name = ObjectName::merged(session_id(1), number);
    let object = encode(name, vec![row(partition(1, 0), 0, &["v"]), row(partition(1, 0), 1, &["v"])]);
    let bytes = object.bytes.len() as u64;
    let start =
        journal_starts::JournalStart { first: 3, merged: vec![MergedObject { number, bytes, puts: 7 }] };
    let writes = vec![Write::Put(journal_starts::key(session_id(1)), start.encode())];
    let named = world.metadata.transact(Transaction { writes, ..Transaction::default() }).await;
    assert!(named.expect("in memory").applied);
    let (_, ended) = world.join(2).await.expect("joins");
    assert_eq!(ended, [EndedJournal { session: session_id(1), start, final_seq: 3 }]);

    let error = recover(&world.store, &ended, Partitions::All)
        .try_collect::<Vec<_>>()
        .await
        .expect_err("must not start");
    assert!(matches!(error, RecoveryError::Missing(missing) if missing == name), "{error}");
    let damaged = object.bytes.slice(..object.bytes.len() - 200);
    world.store.put(&name.path(), damaged).await.expect("in memory");
    assert!(recover(&world.store, &ended, Partitions::All).try_collect::<Vec<_>>().await.is_err());
    world.store.put(&name.path(), object.bytes).await.expect("in memory");
    for seq in [1, 2] {
        world.store.delete(&paths::journal_object(session_id(1), seq)).await.expect("in memory");
    }
    let objects = recover(&world.store, &ended, Partitions::All)
        .try_collect::<Vec<_>>()
        .await
        .expect("those are not needed any more");
    let found: Vec<_> = objects.iter().map(|object| (object.name.number, object.puts)).collect();
    assert_eq!(found, [(ObjectNumber::Merged(number), 7), (ObjectNumber::Flushed(3), 1_000_000)]);
    let offsets: Vec<_> =
        objects.iter().flat_map(|object| &object.index.rows).map(|row| row.offsets.start).collect();
    assert_eq!(offsets, [0, 1, 2].map(Offset));
}
