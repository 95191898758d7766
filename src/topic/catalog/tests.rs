//! What a change of the catalogue promises, on an embedded store with a session that really joined.

mod follow;

use super::{Catalog, CatalogError, NewTopic, PARTITIONS_MAX, Topic};
use crate::clock::Clock;
use crate::journal::{BrokerSession, Joining};
use crate::meta::faults::FaultyStore;
use crate::meta::fuzzing::entry;
use crate::meta::{EmbeddedStore, Entry, MetadataStore};
use crate::settings::SettingError;
use crate::store::ObjectStore;
use crate::topic::stored;
use crate::types::{BrokerId, PartitionIndex, SessionId, Timestamp, TopicId, TopicName};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use uuid::Uuid;

/// A metadata store, and what sessions are joined on.
struct World {
    metadata: Arc<dyn MetadataStore>,
    store: ObjectStore,
}

impl World {
    fn new() -> World {
        World::on(Arc::new(EmbeddedStore::in_memory()))
    }

    fn on(metadata: Arc<dyn MetadataStore>) -> World {
        World { metadata, store: ObjectStore::in_memory() }
    }

    /// Joins, which seals the sessions before.
    async fn join(&self, number: u128) -> Catalog {
        let session_id = SessionId(Uuid::from_u128(number));
        let joining = Joining::new(session_id, BrokerId(1), Timestamp(0));
        let session = BrokerSession::join(&self.metadata, &self.store, joining).await.expect("joins");
        self.load(&session).await
    }

    async fn load(&self, session: &BrokerSession) -> Catalog {
        let clock = Clock::Manual(Arc::new(AtomicI64::new(1234)));
        Catalog::load(Arc::clone(&self.metadata), session.standing().clone(), clock).await.expect("loads")
    }

    async fn stored(&self, topic_id: TopicId) -> Option<Topic> {
        let entry = self.metadata.get(&stored::topic_key(topic_id)).await.expect("in memory");
        entry.as_ref().map(|entry| stored::decode_topic(entry).expect("readable"))
    }

    async fn stored_topics(&self) -> usize {
        self.metadata.list(stored::TOPICS).await.expect("in memory").entries.len()
    }

    async fn stored_name(&self, name: &str) -> Option<TopicId> {
        let entry: Option<Entry> = self.metadata.get(&stored::name_key(name)).await.expect("in memory");
        entry.map(|entry| stored::decode_name_value(&entry).expect("readable"))
    }
}

/// A store that loses answers, and a world on it.
fn faulty() -> (Arc<FaultyStore>, World) {
    let faults = Arc::new(FaultyStore::new(100_000));
    let metadata: Arc<dyn MetadataStore> = faults.clone();
    (faults, World::on(metadata))
}

fn new(name: &str, partitions: i32) -> NewTopic {
    let name = TopicName::parse(name).expect("legal");
    NewTopic { name, partitions, overrides: BTreeMap::new() }
}

fn one(name: &str, value: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(name.to_owned(), value.to_owned())])
}

async fn set(
    catalog: &Catalog,
    topic: &Topic,
    overrides: BTreeMap<String, String>,
) -> Result<Arc<Topic>, CatalogError> {
    catalog.alter(topic.id, |_| Ok(overrides)).await
}

fn names(catalog: &Catalog) -> Vec<String> {
    catalog.all().iter().map(|topic| topic.name.to_string()).collect()
}

#[tokio::test]
async fn a_created_topic_is_found_by_name_and_by_id() {
    let world = World::new();
    let catalog = world.join(1).await;
    let topic = catalog.create(new("a", 3)).await.expect("created");
    assert_eq!((topic.partitions, topic.created_ms), (3, Timestamp(1234)));
    assert_eq!(catalog.by_name("a"), Some(Arc::clone(&topic)));
    assert_eq!(catalog.by_id(topic.id), Some(Arc::clone(&topic)));
    assert_eq!(catalog.resolve("a").await.expect("sole writer"), Some(Arc::clone(&topic)));
    assert_eq!(catalog.resolve("b").await.expect("sole writer"), None);
    assert_eq!(catalog.resolve_id(TopicId(Uuid::nil())).await.expect("sole writer"), None);
    assert_eq!(world.stored(topic.id).await.as_ref(), Some(&*topic));
    assert_eq!(world.stored_name("a").await, Some(topic.id));
    assert!(topic.has(PartitionIndex(2)) && !topic.has(PartitionIndex(3)) && !topic.has(PartitionIndex(-1)));
    assert_eq!(topic.topic_partitions().count(), 3);
}

#[tokio::test]
async fn all_topics_come_in_the_order_of_their_names() {
    let catalog = World::new().join(1).await;
    for (name, partitions) in [("c", 1), ("a", 2), ("b", 3)] {
        catalog.create(new(name, partitions)).await.expect("created");
    }
    assert_eq!(names(&catalog), ["a", "b", "c"]);
    assert_eq!(catalog.partitions_total(), 6);
}

#[tokio::test]
async fn a_deleted_topic_is_gone_and_its_name_gets_a_new_id() {
    let world = World::new();
    let catalog = world.join(1).await;
    let first = catalog.create(new("a", 3)).await.expect("created");
    assert_eq!(catalog.delete(first.id).await.expect("deleted"), first);
    assert_eq!((catalog.by_name("a"), catalog.by_id(first.id)), (None, None));
    assert_eq!((catalog.partitions_total(), world.stored_topics().await), (0, 0));
    assert_eq!(world.stored_name("a").await, None);
    assert!(matches!(catalog.delete(first.id).await, Err(CatalogError::NotFound)));
    assert!(matches!(catalog.grow(first.id, 9).await, Err(CatalogError::NotFound)));

    let second = catalog.create(new("a", 1)).await.expect("the name is free");
    assert_ne!(second.id, first.id);
    assert_eq!(catalog.by_id(first.id), None);
}

#[tokio::test]
async fn a_name_is_taken_by_its_twin_with_dots_for_underscores() {
    let catalog = World::new().join(1).await;
    let topic = catalog.create(new("a.b_c", 1)).await.expect("created");
    let exists = catalog.create(new("a.b_c", 1)).await.expect_err("taken");
    assert_eq!(exists.to_string(), "Topic 'a.b_c' already exists.");
    for twin in ["a_b_c", "a.b.c", "a_b.c"] {
        let collides = catalog.create(new(twin, 1)).await.expect_err("taken").to_string();
        assert_eq!(collides, format!("Topic '{twin}' collides with existing topic: a.b_c"));
        assert!(catalog.check(&new(twin, 1)).is_err());
    }
    catalog.create(new("a-b_c", 1)).await.expect("another name");
    catalog.delete(topic.id).await.expect("deleted");
    catalog.create(new("a_b.c", 1)).await.expect("free again");
}

#[tokio::test]
async fn of_many_who_create_a_name_at_once_one_wins() {
    let (_, world) = faulty();
    let session_id = SessionId(Uuid::from_u128(1));
    let joining = Joining::new(session_id, BrokerId(1), Timestamp(0));
    let session = BrokerSession::join(&world.metadata, &world.store, joining).await.expect("joins");
    // Two catalogues of one session stand for two brokers: neither sees the other's snapshot.
    let catalogs = [Arc::new(world.load(&session).await), Arc::new(world.load(&session).await)];
    let mut creators = tokio::task::JoinSet::new();
    for number in 0..8_usize {
        let catalog = Arc::clone(&catalogs[number % 2]);
        let name = if number % 4 < 2 { "a.b" } else { "a_b" };
        creators.spawn(async move { catalog.create(new(name, 1)).await });
    }
    let (mut winners, mut losers) = (Vec::new(), 0);
    for created in creators.join_all().await {
        match created {
            Ok(topic) => winners.push(topic),
            Err(CatalogError::Exists(_) | CatalogError::Collides { .. }) => losers += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((winners.len(), losers, world.stored_topics().await), (1, 7, 1));
    for catalog in catalogs {
        let found = catalog.resolve(winners[0].name.as_str()).await.expect("in memory");
        assert_eq!(found.as_deref(), Some(&*winners[0]));
    }
}

#[tokio::test]
async fn partitions_only_grow() {
    let world = World::new();
    let catalog = world.join(1).await;
    let topic = catalog.create(new("a", 2)).await.expect("created");
    let grown = catalog.grow(topic.id, 5).await.expect("more");
    assert_eq!((grown.id, grown.partitions, catalog.partitions_total()), (topic.id, 5, 5));
    let same = catalog.grow(topic.id, 5).await.expect_err("not more");
    assert_eq!(same.to_string(), "Topic already has 5 partition(s).");
    let fewer = catalog.grow(topic.id, 4).await.expect_err("fewer");
    assert_eq!(fewer.to_string(), "The topic currently has 5 partition(s); 4 would not be an increase.");
    let many = catalog.grow(topic.id, PARTITIONS_MAX + 1).await.expect_err("too many");
    assert!(matches!(many, CatalogError::TooManyPartitions(_)));
    assert_eq!(world.stored(topic.id).await.map(|topic| topic.partitions), Some(5));
}

#[tokio::test]
async fn a_topic_has_from_one_to_the_most_partitions_and_all_together_have_a_limit() {
    let catalog = World::new().join(1).await;
    for none in [0, -1, i32::MIN] {
        assert!(matches!(catalog.create(new("a", none)).await, Err(CatalogError::NoPartitions)));
    }
    let many = catalog.create(new("a", i32::MAX)).await;
    assert!(matches!(many, Err(CatalogError::TooManyPartitions(_))));
    for number in 0..20 {
        catalog.create(new(&format!("t{number}"), PARTITIONS_MAX)).await.expect("within all");
    }
    let full = catalog.create(new("a", 1)).await;
    assert!(matches!(full, Err(CatalogError::TooManyPartitionsInAll)));
}

#[tokio::test]
async fn a_setting_is_set_and_removed() {
    let world = World::new();
    let catalog = world.join(1).await;
    let topic = catalog.create(new("a", 1)).await.expect("created");
    let altered = set(&catalog, &topic, one("retention.ms", "5")).await.expect("legal");
    assert_eq!((altered.id, altered.settings.retention_ms), (topic.id, Some(5)));
    assert_eq!(catalog.by_name("a"), Some(altered));
    assert_eq!(world.stored(topic.id).await.map(|topic| topic.overrides), Some(one("retention.ms", "5")));

    let back = set(&catalog, &topic, BTreeMap::new()).await.expect("legal");
    assert_eq!((back.overrides.len(), &back.settings), (0, &topic.settings));
}

#[tokio::test]
async fn a_refused_setting_changes_nothing() {
    let world = World::new();
    let catalog = world.join(1).await;
    let overrides = one("retention.ms", "5");
    let topic = catalog.create(NewTopic { overrides, ..new("a", 1) }).await.expect("created");
    let unknown = set(&catalog, &topic, one("nope", "5")).await.expect_err("unknown");
    assert!(matches!(unknown, CatalogError::Setting(SettingError::UnknownName { .. })));
    set(&catalog, &topic, one("retention.ms", "-2")).await.expect_err("illegal");
    let refused = catalog.alter(topic.id, |_| Err(CatalogError::NotFound)).await;
    assert!(matches!(refused, Err(CatalogError::NotFound)));
    let large = one("compression.type", &format!("gzip{}", " ".repeat(300_000)));
    let large = set(&catalog, &topic, large).await.expect_err("too large");
    assert!(matches!(large, CatalogError::SettingsTooLarge { .. }), "{large}");
    assert_eq!(catalog.by_name("a"), Some(Arc::clone(&topic)));
    assert_eq!(world.stored(topic.id).await.as_ref(), Some(&*topic));
    let bad = NewTopic { overrides: one("segment.ms", "0"), ..new("b", 1) };
    catalog.create(bad).await.expect_err("illegal");
    assert_eq!(names(&catalog), ["a"]);
}

#[tokio::test]
async fn the_next_session_sees_every_topic_as_it_was_last() {
    let world = World::new();
    let first = world.join(1).await;
    let a = first.create(new("a", 1)).await.expect("created");
    let b = first.create(new("b.c", 2)).await.expect("created");
    let gone = first.create(new("gone", 2)).await.expect("created");
    first.grow(a.id, 4).await.expect("more");
    set(&first, &b, one("retention.ms", "5")).await.expect("legal");
    first.delete(gone.id).await.expect("deleted");

    let second = world.join(2).await;
    assert_eq!(second.all(), first.all());
    assert_eq!(names(&second), ["a", "b.c"]);
    assert_eq!(second.partitions_total(), 6);
    assert!(second.create(new("b_c", 1)).await.is_err(), "its twin is known again");
    second.grow(a.id, 5).await.expect("its revision is known too");
}

#[tokio::test]
async fn a_sealed_session_changes_nothing() {
    let world = World::new();
    let sealed = world.join(1).await;
    let topic = sealed.create(new("a", 1)).await.expect("created");
    let next = world.join(2).await;
    assert!(matches!(sealed.create(new("b", 1)).await, Err(CatalogError::Sealed)));
    assert!(matches!(sealed.delete(topic.id).await, Err(CatalogError::Sealed)));
    assert!(matches!(sealed.grow(topic.id, 2).await, Err(CatalogError::Sealed)));
    let altered = set(&sealed, &topic, one("retention.ms", "5")).await;
    assert!(matches!(altered, Err(CatalogError::Sealed)));
    assert_eq!(world.stored(topic.id).await.as_ref(), Some(&*topic));
    assert_eq!((world.stored_topics().await, world.stored_name("b").await), (1, None));
    next.create(new("b", 1)).await.expect("the next one may");
}

#[tokio::test]
async fn what_cannot_be_read_stops_the_load() {
    let world = World::new();
    let catalog = world.join(1).await;
    let topic = catalog.create(new("a", 1)).await.expect("created");
    let key = stored::topic_key(topic.id);
    let newer = bytes::Bytes::from_static(
        br#"{"version":2,"name":"a","partitions":1,"overrides":{},"created_ms":1}"#,
    );
    let put = crate::meta::Transaction {
        writes: vec![crate::meta::Write::Put(key.clone(), newer)],
        ..crate::meta::Transaction::default()
    };
    world.metadata.transact(put).await.expect("in memory");
    let clock = Clock::Manual(Arc::default());
    let loaded = Catalog::load(Arc::clone(&world.metadata), catalog.standing.clone(), clock).await;
    let error = loaded.expect_err("of a later release").to_string();
    assert_eq!(error, format!("the metadata key {key} cannot be read: version 2 is not known here"));
}

#[test]
fn a_stored_topic_has_as_many_partitions_as_one_may_have() {
    let key = stored::topic_key(TopicId(Uuid::from_u128(1)));
    for (partitions, is_read) in [(-1, false), (0, false), (1, true), (10_000, true), (10_001, false)] {
        let text = format!(
            r#"{{"version":1,"name":"a","partitions":{partitions},"overrides":{{}},"created_ms":1}}"#
        );
        assert_eq!(stored::decode_topic(&entry(&key, text)).is_ok(), is_read, "{partitions}");
    }
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_is_found_to_be_made() {
    for lost in 1..=2 {
        let (faults, world) = faulty();
        let catalog = world.join(1).await;
        let lose = || faults.answers_to_lose.store(lost, Ordering::SeqCst);
        lose();
        let topic = catalog.create(new("a", 1)).await.expect("it was created");
        assert_eq!(catalog.by_name("a"), Some(Arc::clone(&topic)));
        assert_eq!(world.stored_topics().await, 1);
        lose();
        assert_eq!(catalog.grow(topic.id, 3).await.expect("it has grown").partitions, 3);
        lose();
        let altered = set(&catalog, &topic, one("retention.ms", "5")).await.expect("it was changed");
        assert_eq!(world.stored(topic.id).await.as_ref(), Some(&*altered));
        lose();
        catalog.delete(topic.id).await.expect("it was deleted");
        assert_eq!((world.stored_topics().await, world.stored_name("a").await), (0, None));
        lose();
        let again = catalog.create(new("a", 1)).await.expect("created again");
        assert_ne!(again.id, topic.id);
        assert_eq!(faults.answers_to_lose.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn a_lost_answer_of_a_sealed_session_is_no_success() {
    let (faults, world) = faulty();
    let sealed = world.join(1).await;
    let _next = world.join(2).await;
    faults.answers_to_lose.store(1, Ordering::SeqCst);
    assert!(matches!(sealed.create(new("a", 1)).await, Err(CatalogError::Sealed)));
    assert_eq!((world.stored_topics().await, names(&sealed).len()), (0, 0));
}

#[tokio::test]
async fn a_store_that_never_answers_leaves_the_change_unknown_and_the_catalogue_follows_later() {
    let (faults, world) = faulty();
    let catalog = world.join(1).await;
    faults.answers_to_lose.store(1_000, Ordering::SeqCst);
    let created = catalog.create(new("a", 1)).await;
    assert!(matches!(created, Err(CatalogError::Unavailable(_))));
    assert_eq!(catalog.by_name("a"), None, "nothing is claimed");

    faults.answers_to_lose.store(0, Ordering::SeqCst);
    let found = catalog.resolve("a").await.expect("answers again").expect("it was made after all");
    assert_eq!(catalog.by_name("a"), Some(Arc::clone(&found)));
    assert!(matches!(catalog.create(new("a", 1)).await, Err(CatalogError::Exists(_))));
    catalog.grow(found.id, 2).await.expect("the session still may");
}
