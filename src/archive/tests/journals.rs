//! What is stored of journals, and which of their objects are deleted when.

use super::super::error::ArchiveError;
use super::super::journals::Journals;
use crate::config::ArchivePace;
use crate::journal::{BrokerSession, Joining, ObjectId, ObjectName};
use crate::log::NeededJournal;
use crate::meta::keys::journal_starts::{self, JournalStart, MergedObject};
use crate::meta::{EmbeddedStore, MetadataStore, Transaction, Write};
use crate::store::ObjectStore;
use crate::types::{BrokerId, MergeNumber, Moment, SessionId, Timestamp, ViewNumber};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const OWN: SessionId = SessionId(Uuid::from_u128(2));
const ENDED: SessionId = SessionId(Uuid::from_u128(1));

struct World {
    metadata: Arc<dyn MetadataStore>,
    store: ObjectStore,
    session: BrokerSession,
}

impl World {
    /// Two sessions, of which the first has ended.
    async fn new() -> World {
        let metadata: Arc<dyn MetadataStore> = Arc::new(EmbeddedStore::in_memory());
        let store = ObjectStore::in_memory();
        let join = async |session_id| {
            let joining = Joining::new(session_id, BrokerId(1), Timestamp(0));
            BrokerSession::join(&metadata, &store, joining).await.expect("joins")
        };
        join(ENDED).await;
        let session = join(OWN).await;
        World { metadata, store, session }
    }

    fn journals(&self) -> Journals {
        Journals::new(OWN, self.session.standing().clone(), ArchivePace::default().grace)
    }

    async fn stored(&self) -> JournalStart {
        self.stored_of(ENDED).await
    }

    async fn stored_of(&self, session: SessionId) -> JournalStart {
        let entry = self.metadata.get(&journal_starts::key(session)).await.expect("in memory");
        entry.map(|entry| JournalStart::decode(&entry).expect("readable")).unwrap_or_default()
    }

    async fn put(&self, name: ObjectName) {
        self.store.put(&name.path(), Bytes::from_static(b"object")).await.expect("in memory");
    }

    /// The numbers of the flushed objects, and the attempts of the merged ones.
    async fn left(&self) -> (Vec<u64>, Vec<u32>) {
        let prefix = crate::store::paths::journal_prefix(ENDED);
        let listed = self.store.list_sorted(Some(&prefix), 100).await.expect("in memory");
        let flushed =
            listed.iter().filter_map(|object| crate::store::paths::parse_journal_object(&object.path));
        let merged =
            listed.iter().filter_map(|object| crate::store::paths::parse_merged_object(&object.path));
        (flushed.map(|(_, seq)| seq).collect(), merged.map(|(_, number)| number.attempt).collect())
    }
}

fn merged(attempt: u32) -> MergedObject {
    MergedObject { number: MergeNumber { view: ViewNumber(2), attempt }, bytes: 6, puts: 0 }
}

fn start(first: u64, attempts: &[u32]) -> JournalStart {
    JournalStart { first, merged: attempts.iter().map(|attempt| merged(*attempt)).collect() }
}

fn at(seconds: u64) -> Moment {
    Moment(Duration::from_secs(seconds))
}

fn needed(first: u64, attempts: &[u32]) -> [NeededJournal; 1] {
    let JournalStart { first, merged } = start(first, attempts);
    [NeededJournal { session: ENDED, first, last: 9, merged }]
}

#[tokio::test]
async fn a_write_that_landed_without_an_answer_is_found_before_the_next_one() {
    let world = World::new().await;
    let (mut journals, mut unanswered) = (world.journals(), world.journals());
    for journals in [&mut journals, &mut unanswered] {
        journals.store(at(0), OWN, start(1, &[])).await.expect("nothing to write");
    }
    unanswered.store(at(0), OWN, start(5, &[0])).await.expect("stored");
    let refused = journals.store(at(0), OWN, start(3, &[])).await;
    assert!(matches!(refused, Err(ArchiveError::Changed)), "{refused:?}");
    assert_eq!(world.stored_of(OWN).await, start(5, &[0]));
    assert!(journals.names(OWN, merged(0).number) && !journals.names(OWN, merged(1).number));
    journals.store(at(0), OWN, start(3, &[0, 1])).await.expect("stored");
    assert_eq!(world.stored_of(OWN).await, start(5, &[0, 1]), "the first that is needed never goes back");
    assert!(journals.taken_away().is_empty());
}

#[tokio::test]
async fn an_ended_journal_that_another_keeps_by_now_is_not_written_again() {
    let world = World::new().await;
    let (mut journals, mut other) = (world.journals(), world.journals());
    for journals in [&mut journals, &mut other] {
        journals.store(at(0), ENDED, start(1, &[])).await.expect("nothing to write");
    }
    other.store(at(0), ENDED, start(5, &[0])).await.expect("stored");
    for _ in 0..2 {
        let refused = journals.store(at(0), ENDED, start(6, &[])).await;
        assert!(matches!(refused, Err(ArchiveError::Changed)), "{refused:?}");
        assert_eq!(world.stored().await, start(5, &[0]), "what stands for the rest is not lost");
        assert_eq!(journals.taken_away(), [ENDED]);
    }
    assert!(journals.end(ENDED).is_empty(), "nothing was given up from here");
}

#[tokio::test]
async fn what_was_given_up_is_told_when_a_journal_is_kept_no_longer() {
    let world = World::new().await;
    let mut journals = world.journals();
    journals.store(at(0), ENDED, start(2, &[0, 1])).await.expect("stored");
    journals.store(at(0), ENDED, start(4, &[1])).await.expect("stored");
    let paths = [
        ObjectId { session: ENDED, seq: 1 }.into(),
        ObjectId { session: ENDED, seq: 2 }.into(),
        ObjectId { session: ENDED, seq: 3 }.into(),
        ObjectName::merged(ENDED, merged(0).number),
    ];
    assert_eq!(journals.end(ENDED), paths.map(|name: ObjectName| name.path()));
}

#[tokio::test]
async fn what_is_not_needed_goes_after_the_grace_period_and_nothing_else() {
    let world = World::new().await;
    for seq in 1..=9 {
        world.put(ObjectId { session: ENDED, seq }.into()).await;
    }
    for attempt in 0..3 {
        world.put(ObjectName::merged(ENDED, merged(attempt).number)).await;
    }
    let mut journals = world.journals();
    journals.store(at(0), ENDED, start(5, &[0, 1])).await.expect("stored");
    let mut advance = async |seconds, needed: [NeededJournal; 1]| {
        journals.advance(at(seconds), &needed, None, &world.store).await
    };
    assert!(advance(59, needed(5, &[0, 1])).await.is_empty());
    assert_eq!(world.left().await, ((1..=9).collect(), vec![0, 1, 2]));
    advance(60, needed(5, &[0, 1])).await;
    assert_eq!(world.left().await, ((5..=9).collect(), vec![0, 1, 2]));
    // One is merged into another, and numbered ones with it.
    advance(61, needed(8, &[1, 2])).await;
    assert_eq!(world.stored().await, start(8, &[1, 2]));
    advance(121, needed(8, &[1, 2])).await;
    assert_eq!(world.left().await, (vec![8, 9], vec![1, 2]));
    assert!(advance(122, needed(10, &[2])).await.is_empty());
    assert!(advance(182, needed(10, &[2])).await.is_empty());
    assert_eq!(world.left().await, (vec![], vec![2]));
    assert!(advance(183, needed(10, &[])).await.is_empty(), "its last object is still there");
    assert_eq!(advance(243, needed(10, &[])).await, [ENDED]);
    assert_eq!(world.left().await, (vec![], vec![]));
}

#[tokio::test]
async fn the_journal_of_a_merge_on_its_way_is_left_as_it_is() {
    let world = World::new().await;
    let mut journals = world.journals();
    journals.advance(at(0), &needed(4, &[]), Some(ENDED), &world.store).await;
    assert_eq!(world.stored().await, start(1, &[]));
    journals.advance(at(0), &needed(4, &[]), None, &world.store).await;
    assert_eq!(world.stored().await, start(4, &[]));
}

#[tokio::test]
async fn what_is_read_from_here_is_not_deleted_whatever_is_stored() {
    let world = World::new().await;
    for seq in [1, 2] {
        world.put(ObjectId { session: ENDED, seq }.into()).await;
    }
    let mut journals = world.journals();
    journals.store(at(0), ENDED, start(3, &[])).await.expect("stored");
    journals.advance(at(100), &needed(2, &[]), None, &world.store).await;
    assert_eq!(world.left().await, (vec![2], vec![]));
    journals.advance(at(100), &needed(3, &[]), None, &world.store).await;
    assert_eq!(world.left().await, (vec![], vec![]));
}

#[tokio::test]
async fn a_journal_whose_start_cannot_be_moved_holds_up_no_other() {
    let world = World::new().await;
    world.put(ObjectId { session: OWN, seq: 1 }.into()).await;
    let mut journals = world.journals();
    // Somebody else has written it meanwhile, nonsense at that.
    journals.store(at(0), ENDED, start(1, &[])).await.expect("nothing to write");
    let write = Write::Put(journal_starts::key(ENDED), Bytes::from_static(b"nonsense"));
    let transaction = Transaction { writes: vec![write], ..Transaction::default() };
    world.metadata.transact(transaction).await.expect("in memory");
    let own = NeededJournal { session: OWN, first: 2, last: 9, merged: Vec::new() };
    let [ended] = needed(4, &[]);
    for seconds in [0, 60] {
        let needed = [ended.clone(), own.clone()];
        assert!(journals.advance(at(seconds), &needed, None, &world.store).await.is_empty());
    }
    assert!(world.store.get(&ObjectName::from(ObjectId { session: OWN, seq: 1 }).path()).await.is_err());
}
