//! What other brokers change is seen here, in any order of what is told, written and read; and nothing goes back.

use super::*;
use crate::meta::{KeyChange, Listing, Revision, Transaction, WatchEvent, Write};
use crate::topic::catalog::follow::{Event, Told, understand};
use crate::topic::catalog::knowledge::{Knowledge, News};
use crate::topic::catalog::snapshot::Snapshot;
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

/// Two catalogues of one session, which stand for two brokers: neither sees the other's snapshot.
async fn two(world: &World) -> (Catalog, Catalog) {
    let session_id = SessionId(Uuid::from_u128(1));
    let joining = Joining::new(session_id, BrokerId(1), Timestamp(0));
    let session = BrokerSession::join(&world.metadata, &world.store, joining).await.expect("joins");
    let (there, here) = (world.load(&session).await, world.load(&session).await);
    // The embedded store has no history: what is changed before a watch of it has begun is listed, and has no births.
    let first = there.create(new("first", 1)).await.expect("created");
    until(&here, |here| here.by_id(first.id).is_some()).await;
    there.delete(first.id).await.expect("deleted");
    until(&here, |here| here.by_id(first.id).is_none()).await;
    (there, here)
}

async fn until(catalog: &Catalog, holds: impl Fn(&Catalog) -> bool) {
    let mut changes = catalog.changes();
    while !holds(catalog) {
        changes.changed().await.expect("the catalogue lives");
    }
}

async fn entry(world: &World, topic_id: TopicId) -> Entry {
    world.metadata.get(&stored::topic_key(topic_id)).await.expect("in memory").expect("stored")
}

fn put(entry: &Entry) -> WatchEvent {
    WatchEvent::Changed { revision: entry.mod_revision, changes: vec![KeyChange::Put(entry.clone())] }
}

/// Has the catalogue hear something, late.
async fn hear(catalog: &Catalog, event: WatchEvent) {
    catalog.knowledge.hear(&understand(event, &mut Told::default())).await.expect("in memory");
}

#[tokio::test]
async fn what_another_broker_changes_is_seen_and_wakes_whoever_waits() {
    let (_, world) = faulty();
    let (there, here) = two(&world).await;
    let topic = there.create(new("a", 2)).await.expect("created");
    until(&here, |here| here.by_id(topic.id).is_some()).await;
    assert_eq!(here.by_name("a").as_deref(), Some(&*topic));
    there.grow(topic.id, 5).await.expect("grown");
    until(&here, |here| here.partitions_total() == 5).await;
    let altered = set(&there, &topic, one("retention.ms", "5")).await.expect("altered");
    until(&here, |here| here.by_id(topic.id).as_ref() == Some(&altered)).await;
    there.delete(topic.id).await.expect("deleted");
    until(&here, |here| here.all().is_empty()).await;
    assert_eq!(here.partitions_total(), 0);
}

#[tokio::test]
async fn who_saw_a_partition_come_to_be_knows_when() {
    let (_, world) = faulty();
    let (there, here) = two(&world).await;
    let topic = there.create(new("a", 2)).await.expect("created");
    let created = entry(&world, topic.id).await.mod_revision;
    set(&there, &topic, one("retention.ms", "5")).await.expect("altered");
    there.grow(topic.id, 4).await.expect("grown");
    let grown = entry(&world, topic.id).await.mod_revision;
    until(&here, |here| here.partitions_total() == 4).await;
    for catalog in [&there, &here] {
        let born = (0..5).map(|index| catalog.born(topic.id, PartitionIndex(index))).collect::<Vec<_>>();
        assert_eq!(born, [Some(created), Some(created), Some(grown), Some(grown), None]);
    }
    assert!(created < grown);

    let later = world.join(2).await;
    later.grow(topic.id, 5).await.expect("grown");
    let last = entry(&world, topic.id).await.mod_revision;
    assert_eq!(later.born(topic.id, PartitionIndex(3)), None, "it was there already");
    assert_eq!(later.born(topic.id, PartitionIndex(4)), Some(last));
}

#[tokio::test]
async fn a_topic_that_was_read_is_told_of_later_with_its_birth() {
    let (_, world) = faulty();
    let (there, here) = two(&world).await;
    let topic = there.create(new("a", 2)).await.expect("created");
    here.resolve("a").await.expect("in memory").expect("it is there");
    until(&here, |here| here.born(topic.id, PartitionIndex(1)).is_some()).await;
    let created = entry(&world, topic.id).await.mod_revision;
    assert_eq!(here.born(topic.id, PartitionIndex(1)), Some(created));
}

#[tokio::test]
async fn what_is_told_late_brings_nothing_back() {
    let (_, world) = faulty();
    let (there, here) = two(&world).await;
    let topic = here.create(new("a.b", 2)).await.expect("created");
    let as_created = entry(&world, topic.id).await;
    let grown = here.grow(topic.id, 3).await.expect("grown");
    hear(&here, put(&as_created)).await;
    assert_eq!(here.by_id(topic.id), Some(grown), "an older value");
    here.delete(topic.id).await.expect("deleted");
    hear(&here, put(&as_created)).await;
    assert_eq!(here.by_id(topic.id), None, "deleted here");

    let other = there.create(new("c", 1)).await.expect("created");
    let as_created = entry(&world, other.id).await;
    there.delete(other.id).await.expect("deleted");
    // Nobody tells this one anything but what it hears here: a catalogue's own watch may do so at any moment.
    let knowledge = Knowledge::new(Arc::clone(&world.metadata), Snapshot::default());
    assert_eq!(knowledge.fetch(other.id).await.expect("in memory"), None);
    let late = understand(put(&as_created), &mut Told::default());
    knowledge.hear(&late).await.expect("in memory");
    assert!(knowledge.snapshot.load().by_id(other.id).is_none(), "found absent by a read");

    let twin = there.create(new("a_b", 1)).await.expect("the name is free");
    let gone = Revision(as_created.mod_revision.0);
    let deleted = KeyChange::Deleted(stored::topic_key(topic.id));
    here.resolve("a_b").await.expect("in memory").expect("it is there");
    hear(&here, WatchEvent::Changed { revision: gone, changes: vec![deleted] }).await;
    assert_eq!(here.by_name("a_b"), Some(twin), "its twin was deleted, not it");
}

#[tokio::test]
async fn a_topic_takes_the_place_of_one_whose_end_was_not_told_yet() {
    let (_, world) = faulty();
    let (there, here) = two(&world).await;
    let old = there.create(new("a.b", 2)).await.expect("created");
    until(&here, |here| here.by_id(old.id).is_some()).await;
    there.delete(old.id).await.expect("deleted");
    let twin = there.create(new("a_b", 1)).await.expect("free");
    // Whether the follower was quicker or not.
    hear(&here, put(&entry(&world, twin.id).await)).await;
    assert_eq!((names(&here), here.partitions_total()), (vec!["a_b".to_owned()], 1));
    assert!(matches!(here.create(new("a.b", 1)).await, Err(CatalogError::Collides { .. })));
    there.delete(twin.id).await.expect("deleted");
    here.create(new("a.b", 1)).await.expect("who creates looks whether the name is still taken");
}

#[tokio::test]
async fn a_listing_replaces_what_is_older_than_it() {
    let (_, world) = faulty();
    let (there, here) = two(&world).await;
    let kept = here.create(new("kept", 1)).await.expect("created");
    let gone = here.create(new("gone", 1)).await.expect("created");
    let listing = world.metadata.list(stored::TOPICS).await.expect("in memory");
    there.delete(gone.id).await.expect("deleted");
    let after = here.create(new("after", 1)).await.expect("created");
    hear(&here, WatchEvent::Listed(listing.clone())).await;
    assert!(here.by_id(after.id).is_some() && here.by_id(kept.id).is_some(), "it was created after");

    let now = world.metadata.list(stored::TOPICS).await.expect("in memory");
    hear(&here, WatchEvent::Listed(now)).await;
    assert_eq!(names(&here), ["after", "kept"]);
    assert!(here.born(kept.id, PartitionIndex(0)).is_some(), "that is not forgotten");
    hear(&here, WatchEvent::Listed(listing)).await;
    assert_eq!(names(&here), ["after", "kept"], "a listing from before brings nothing back");
    let empty = Listing { entries: Vec::new(), revision: Revision(0) };
    hear(&here, WatchEvent::Listed(empty)).await;
    assert_eq!(names(&here), ["after", "kept"]);
}

#[tokio::test]
async fn a_value_of_a_later_release_leaves_the_topic_as_it_is_known() {
    let (_, world) = faulty();
    let (_, here) = two(&world).await;
    let topic = here.create(new("a", 1)).await.expect("created");
    let newer = Bytes::from_static(br#"{"version":2}"#);
    let write = Write::Put(stored::topic_key(topic.id), newer);
    let put = Transaction { writes: vec![write], ..Transaction::default() };
    world.metadata.transact(put).await.expect("in memory");
    let listing = world.metadata.list(stored::TOPICS).await.expect("in memory");
    hear(&here, WatchEvent::Listed(listing)).await;
    let other = here.create(new("b", 1)).await.expect("created");
    assert_eq!(here.by_id(topic.id), Some(topic));
    assert!(here.by_id(other.id).is_some());
}

const NAMES: [&str; 3] = ["a.b", "a_b", "c"];

/// What the other broker does, how often others get their turn, what is looked up here, and turns again.
#[derive(Clone, Copy, Debug)]
struct Step {
    name: &'static str,
    deletes: bool,
    turns: u8,
    looked_up: &'static str,
    turns_after: u8,
}

fn step() -> impl Strategy<Value = Step> {
    let name = || prop::sample::select(NAMES.to_vec());
    let step = (name(), any::<bool>(), 0..4_u8, name(), 0..4_u8);
    step.prop_map(|(name, deletes, turns, looked_up, turns_after)| Step {
        name,
        deletes,
        turns,
        looked_up,
        turns_after,
    })
}

impl Step {
    async fn run(&self, there: &Catalog, here: &Catalog) {
        match there.by_name(self.name) {
            // It may be taken by its twin.
            None => drop(there.create(new(self.name, 1)).await),
            Some(topic) if self.deletes => drop(there.delete(topic.id).await.expect("deleted")),
            Some(topic) => drop(there.grow(topic.id, topic.partitions + 1).await.expect("grown")),
        }
        for _ in 0..self.turns {
            tokio::task::yield_now().await;
        }
        if here.by_name(self.looked_up).is_some() {
            return;
        }
        let now = there.by_name(self.looked_up);
        assert_eq!(here.resolve(self.looked_up).await.expect("in memory"), now);
        for _ in 0..self.turns_after {
            assert_eq!(here.by_name(self.looked_up), now);
            tokio::task::yield_now().await;
        }
    }
}

async fn story(steps: Vec<Step>) {
    let (_, world) = faulty();
    let (there, here) = two(&world).await;
    for step in steps {
        step.run(&there, &here).await;
    }
    until(&here, |here| here.all() == there.all()).await;
    for partition in there.all().iter().flat_map(|topic| topic.topic_partitions()) {
        let born = |catalog: &Catalog| catalog.born(partition.topic_id, partition.partition);
        until(&here, |here| born(here) == born(&there)).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn in_any_order_a_broker_ends_with_what_is_there_and_what_was_looked_up_never_goes_back(
        steps in vec(step(), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(story(steps));
    }
}

#[tokio::test]
async fn what_could_not_be_read_is_not_born_when_it_can_be_read() {
    let (_, world) = faulty();
    let (there, here) = two(&world).await;
    let topic = there.create(new("a", 3)).await.expect("created");
    until(&here, |here| here.by_id(topic.id).is_some()).await;
    let readable = entry(&world, topic.id).await;
    let later = |revision: u64, value: Bytes| {
        let entry = Entry { value, mod_revision: Revision(revision), ..readable.clone() };
        WatchEvent::Changed { revision: entry.mod_revision, changes: vec![KeyChange::Put(entry)] }
    };
    let unreadable = Bytes::from_static(b"{\"version\":99}");
    let at = readable.mod_revision.0;
    let listing = |value: &Bytes| {
        let entry = Entry { value: value.clone(), ..readable.clone() };
        WatchEvent::Listed(Listing { revision: Revision(at), entries: vec![entry] })
    };
    let births = |event: Event| match event {
        Event::Changed(news) => news.iter().filter(|news| is_born(news)).count(),
        Event::Listed(..) => 0,
    };
    for first in [later(at + 1, unreadable.clone()), listing(&unreadable)] {
        let mut told = Told::default();
        assert_eq!(births(understand(first, &mut told)), 0);
        assert_eq!(births(understand(later(at + 2, readable.value.clone()), &mut told)), 0);
    }
}

fn is_born(news: &News) -> bool {
    matches!(news, News::Is(known) if known.born(PartitionIndex(0)).is_some())
}
