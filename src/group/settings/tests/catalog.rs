//! What a change of settings promises, on an embedded store with a session that really joined.

use super::overrides;
use crate::group::GroupId;
use crate::group::settings::{GroupSettings, GroupSettingsCatalog, GroupSettingsError, stored};
use crate::journal::{BrokerSession, Joining};
use crate::meta::faults::FaultyStore;
use crate::meta::{EmbeddedStore, MetadataStore, Revision, Transaction, Write};
use crate::settings::{Overrides, SettingError};
use crate::store::ObjectStore;
use crate::types::{BrokerId, SessionId, Timestamp};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use uuid::Uuid;

const SESSION: &str = "consumer.session.timeout.ms";

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
    async fn join(&self, number: u128) -> GroupSettingsCatalog {
        self.try_join(number).await.expect("loads")
    }

    async fn try_join(&self, number: u128) -> Result<GroupSettingsCatalog, GroupSettingsError> {
        let session_id = SessionId(Uuid::from_u128(number));
        let joining = Joining::new(session_id, BrokerId(1), Timestamp(0));
        let session = BrokerSession::join(&self.metadata, &self.store, joining).await.expect("joins");
        GroupSettingsCatalog::load(session.standing().clone()).await
    }

    async fn stored(&self) -> Vec<(String, Bytes)> {
        let listing = self.metadata.list(stored::GROUP_SETTINGS).await.expect("in memory");
        listing.entries.into_iter().map(|entry| (entry.key, entry.value)).collect()
    }

    async fn revision(&self) -> Revision {
        self.metadata.list("").await.expect("in memory").revision
    }

    async fn put(&self, key: &str, value: &'static [u8]) {
        self.write(Write::Put(key.to_owned(), Bytes::from_static(value))).await;
    }

    async fn delete(&self, key: &str) {
        self.write(Write::Delete(key.to_owned())).await;
    }

    async fn write(&self, write: Write) {
        let write = Transaction { writes: vec![write], ..Transaction::default() };
        assert!(self.metadata.transact(write).await.expect("in memory").applied);
    }
}

/// A store that loses answers, and a world on it.
fn faulty() -> (Arc<FaultyStore>, World) {
    let faults = Arc::new(FaultyStore::new(100_000));
    let metadata: Arc<dyn MetadataStore> = faults.clone();
    (faults, World::on(metadata))
}

fn group(name: &str) -> GroupId {
    GroupId::new(name)
}

async fn set(
    catalog: &GroupSettingsCatalog,
    name: &str,
    pairs: &[(&str, &str)],
) -> Result<Arc<GroupSettings>, GroupSettingsError> {
    catalog.alter(&group(name), |_| Ok(overrides(pairs))).await
}

fn session_timeout(catalog: &GroupSettingsCatalog, name: &str) -> u64 {
    catalog.of(&group(name)).consumer_session_timeout.as_secs()
}

#[tokio::test]
async fn what_is_set_holds_at_once_and_is_stored() {
    let world = World::new();
    let catalog = world.join(1).await;
    let mut changes = catalog.changes();
    assert_eq!(*catalog.of(&group("a/b")), GroupSettings::default());
    let settings = set(&catalog, "a/b", &[(SESSION, " 50000 ")]).await.expect("legal");
    assert_eq!(settings.consumer_session_timeout, Duration::from_secs(50));
    assert_eq!(catalog.of(&group("a/b")), settings);
    assert_eq!((session_timeout(&catalog, "c"), catalog.groups()), (45, vec![group("a/b")]));
    assert_eq!(*catalog.overrides(&group("a/b")), overrides(&[(SESSION, " 50000 ")]), "as it was given");
    assert!(changes.has_changed().expect("open"));
    changes.mark_unchanged();
    let value: &[u8] = br#"{"v":1,"name":"a/b","overrides":{"consumer.session.timeout.ms":" 50000 "}}"#;
    assert_eq!(world.stored().await, [("group-settings/a%2fb".to_owned(), Bytes::from_static(value))]);

    let before = world.revision().await;
    set(&catalog, "a/b", &[(SESSION, " 50000 ")]).await.expect("legal");
    assert_eq!(world.revision().await, before, "what is so already is not written");
    assert!(!changes.has_changed().expect("open"));
}

#[tokio::test]
async fn a_change_is_given_what_is_set_and_the_last_one_to_go_takes_the_key_along() {
    let world = World::new();
    let catalog = world.join(1).await;
    set(&catalog, "g", &[(SESSION, "50000")]).await.expect("legal");
    let add = |overrides: &Overrides| {
        let mut overrides = overrides.clone();
        overrides.insert("share.isolation.level".to_owned(), "read_committed".to_owned());
        Ok(overrides)
    };
    catalog.alter(&group("g"), add).await.expect("legal");
    let both = overrides(&[(SESSION, "50000"), ("share.isolation.level", "read_committed")]);
    assert_eq!(*catalog.overrides(&group("g")), both);
    set(&catalog, "g", &[]).await.expect("legal");
    assert!(world.stored().await.is_empty() && catalog.groups().is_empty());
    assert_eq!(session_timeout(&catalog, "g"), 45);
    set(&catalog, "g", &[]).await.expect("nothing to do");
    set(&catalog, "g", &[(SESSION, "60000")]).await.expect("once more");
    assert_eq!(session_timeout(&catalog, "g"), 60);
}

#[tokio::test]
async fn a_refused_change_changes_nothing() {
    let world = World::new();
    let catalog = world.join(1).await;
    set(&catalog, "g", &[(SESSION, "50000")]).await.expect("legal");
    let before = world.stored().await;
    for bad in [&[(SESSION, "1")][..], &[("nope", "1")], &[(SESSION, "5000")]] {
        let refused = set(&catalog, "g", bad).await;
        assert!(matches!(refused, Err(GroupSettingsError::Setting(_))), "{bad:?}");
    }
    let refused = catalog.alter(&group("g"), |_| Err(SettingError::EmptyElement("x"))).await;
    assert!(matches!(refused, Err(GroupSettingsError::Setting(SettingError::EmptyElement("x")))));
    let large = format!("50000{}", " ".repeat(70_000));
    let refused = set(&catalog, "g", &[(SESSION, &large)]).await;
    assert!(matches!(refused, Err(GroupSettingsError::TooLarge(_))));
    assert_eq!(world.stored().await, before);
    assert_eq!(session_timeout(&catalog, "g"), 50);
}

#[tokio::test]
async fn the_next_session_finds_them_and_the_sealed_one_changes_nothing() {
    let world = World::new();
    let sealed = world.join(1).await;
    set(&sealed, "a", &[(SESSION, "50000")]).await.expect("legal");
    set(&sealed, "b c", &[(SESSION, "51000")]).await.expect("legal");
    let next = world.join(2).await;
    assert_eq!(next.groups(), [group("a"), group("b c")]);
    assert_eq!((session_timeout(&next, "a"), session_timeout(&next, "b c")), (50, 51));
    let stored = world.stored().await;
    for change in [&[(SESSION, "52000")][..], &[]] {
        assert!(matches!(set(&sealed, "a", change).await, Err(GroupSettingsError::Sealed)));
    }
    assert!(matches!(set(&sealed, "new", &[(SESSION, "52000")]).await, Err(GroupSettingsError::Sealed)));
    assert_eq!(world.stored().await, stored);
    assert_eq!(session_timeout(&sealed, "a"), 50);
    set(&next, "a", &[(SESSION, "52000")]).await.expect("its revision is known");
}

#[tokio::test]
async fn a_change_that_was_made_elsewhere_is_seen_by_the_next_one() {
    let world = World::new();
    let catalog = world.join(1).await;
    set(&catalog, "g", &[(SESSION, "50000")]).await.expect("legal");
    let elsewhere = br#"{"v":1,"name":"g","overrides":{"share.isolation.level":"read_committed"}}"#;
    world.put("group-settings/g", elsewhere).await;
    let add = |overrides: &Overrides| {
        let mut overrides = overrides.clone();
        overrides.insert(SESSION.to_owned(), "60000".to_owned());
        Ok(overrides)
    };
    catalog.alter(&group("g"), add).await.expect("legal");
    let both = overrides(&[(SESSION, "60000"), ("share.isolation.level", "read_committed")]);
    assert_eq!(*catalog.overrides(&group("g")), both);
}

#[tokio::test]
async fn what_cannot_be_read_stops_the_load() {
    for (value, reason) in [
        (&br#"{"v":2,"name":"g","overrides":{}}"#[..], "version 2 is not known here"),
        (br#"{"v":1,"name":"g"}"#, "missing field `overrides`"),
        (br#"{"v":1,"name":"g","overrides":{"share.isolation.level":"x"}}"#, "Invalid value x"),
    ] {
        let world = World::new();
        world.put("group-settings/g", value).await;
        let error = world.try_join(1).await.expect_err("unreadable").to_string();
        assert!(error.starts_with("the metadata at group-settings/g cannot be read: "), "{error}");
        assert!(error.contains(reason), "{error}");
    }
    let world = World::new();
    world.put("group-settings/g", br#"{"v":1,"name":"g","overrides":{"of.a.later.release":"x"}}"#).await;
    assert_eq!(world.join(1).await.groups(), [group("g")], "a name that is not known is kept");
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_is_found_to_be_made() {
    let (faults, world) = faulty();
    let catalog = world.join(1).await;
    for lost in 1..=2 {
        let lose = || faults.answers_to_lose.store(lost, Ordering::SeqCst);
        lose();
        set(&catalog, "g", &[(SESSION, "50000")]).await.expect("it was set");
        assert_eq!((session_timeout(&catalog, "g"), world.stored().await.len()), (50, 1));
        lose();
        set(&catalog, "g", &[(SESSION, "51000")]).await.expect("it was changed");
        assert_eq!(session_timeout(&catalog, "g"), 51);
        lose();
        set(&catalog, "g", &[]).await.expect("it was taken back");
        assert_eq!((session_timeout(&catalog, "g"), world.stored().await.len()), (45, 0));
        assert_eq!(faults.answers_to_lose.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn a_store_that_never_answers_leaves_the_change_unknown_and_the_next_change_sees_it() {
    let (faults, world) = faulty();
    let catalog = world.join(1).await;
    faults.answers_to_lose.store(1_000, Ordering::SeqCst);
    let unknown = set(&catalog, "g", &[(SESSION, "50000")]).await;
    assert!(matches!(unknown, Err(GroupSettingsError::Unavailable(_))));
    assert_eq!(session_timeout(&catalog, "g"), 45, "nothing is claimed");
    faults.answers_to_lose.store(0, Ordering::SeqCst);
    set(&catalog, "g", &[]).await.expect("answers again");
    assert!(world.stored().await.is_empty(), "what was made after all is taken back");
}

#[tokio::test]
async fn a_name_that_another_release_stored_does_not_have_a_change_of_others_refused() {
    let world = World::new();
    let stored = br#"{"v":1,"name":"g","overrides":{"of.a.later.release":"1"}}"#;
    world.put(&stored::key(&group("g")), stored).await;
    let catalog = world.join(1).await;
    let unknown = ("of.a.later.release", "1");
    set(&catalog, "g", &[unknown, (SESSION, "50000")]).await.expect("legal");
    assert_eq!(session_timeout(&catalog, "g"), 50);
    assert_eq!(*catalog.overrides(&group("g")), overrides(&[unknown, (SESSION, "50000")]));
    for bad in [&[unknown, ("nope", "1")][..], &[("of.a.later.release", "2")]] {
        let refused = set(&catalog, "g", bad).await;
        assert!(
            matches!(refused, Err(GroupSettingsError::Setting(SettingError::UnknownName { .. }))),
            "{refused:?}"
        );
    }
    set(&catalog, "g", &[(SESSION, "50000")]).await.expect("it may go");
}

#[tokio::test]
async fn what_another_broker_sets_is_seen_and_wakes_whoever_waits() {
    let world = World::new();
    let here = world.join(1).await;
    let mut changes = here.changes();
    let elsewhere = br#"{"v":1,"name":"a/b","overrides":{"consumer.session.timeout.ms":"60000"}}"#;
    world.put("group-settings/a%2fb", elsewhere).await;
    changes.changed().await.expect("the catalogue lives");
    assert_eq!(session_timeout(&here, "a/b"), 60);

    let later = br#"{"v":2,"name":"a/b","overrides":{}}"#;
    world.put("group-settings/a%2fb", later).await;
    let again = br#"{"v":1,"name":"c","overrides":{"consumer.session.timeout.ms":"50000"}}"#;
    world.put("group-settings/c", again).await;
    changes.changed().await.expect("the catalogue lives");
    assert_eq!(
        (session_timeout(&here, "a/b"), session_timeout(&here, "c")),
        (60, 50),
        "what cannot be read is left"
    );

    world.delete("group-settings/a%2fb").await;
    changes.changed().await.expect("the catalogue lives");
    assert_eq!((session_timeout(&here, "a/b"), here.groups()), (45, vec![group("c")]));
}
