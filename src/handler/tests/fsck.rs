//! A check of the stores finds every kind of damage, and tells it from what a crash leaves behind.

use super::archive::{flush, pass, put};
use super::litter::{plant, root, segment};
use super::world::World;
use crate::archive::{Count, FsckReport, Repair, fsck};
use crate::meta::keys::cluster::{self, Cluster};
use crate::meta::{Transaction, Write};
use crate::store::{ClusterHistory, ObjectPath, claim, paths};
use crate::topic::Topic;
use crate::types::{ClusterId, SessionId};
use bytes::Bytes;
use futures_util::TryStreamExt;
use std::sync::Arc;
use uuid::Uuid;

const CLUSTER: ClusterId = ClusterId(Uuid::from_u128(5));

/// A broker whose stores belong to a cluster.
pub(super) async fn claimed() -> World {
    let world = World::new().await;
    let writes = vec![Write::Put(cluster::KEY.to_owned(), Cluster { cluster_id: CLUSTER }.encode())];
    let made = world.metadata.transact(Transaction { writes, ..Transaction::default() }).await;
    assert!(made.expect("an answer").applied);
    claim(&world.store, CLUSTER, ClusterHistory::NothingCommitted).await.expect("it is new");
    world
}

/// Two segments and a journal object behind them.
async fn world() -> (World, Arc<Topic>) {
    let world = claimed().await;
    let topic = world.create("a", 2).await;
    for _ in 0..2 {
        put(&world, &topic).await;
        flush(&world, &topic).await;
    }
    put(&world, &topic).await;
    (world, topic)
}

pub(super) async fn check(world: &World, repair: Repair) -> FsckReport {
    fsck(Arc::clone(&world.metadata), &world.store, repair).await.expect("it can be checked")
}

/// The only object whose path begins so and has `part` in it, or the last of them.
async fn object(world: &World, prefix: &str, part: &str) -> ObjectPath {
    let listed: Vec<_> = world.store.list(None).try_collect().await.expect("listed");
    let mut paths: Vec<_> = listed.into_iter().map(|object| object.path).collect();
    paths.retain(|path| path.as_str().starts_with(prefix) && path.as_str().contains(part));
    paths.sort();
    paths.pop().expect("there is one")
}

#[tokio::test]
async fn a_broker_that_went_on_undisturbed_leaves_nothing_to_say() {
    let (mut world, _topic) = world().await;
    for _ in 0..2 {
        let report = check(&world, Repair::No).await;
        assert_eq!((report.problems, report.orphans.segments), (Vec::new(), Count::default()));
        let checked = report.checked;
        assert_eq!((checked.topics, checked.partitions), (1, 1));
        assert_eq!((checked.segments, checked.rows), (2, 6));
        // What was archived last may not be given up yet.
        assert!((1..=2).contains(&checked.journal_objects), "{}", checked.journal_objects);
        world.take_over().await;
    }
}

#[tokio::test]
async fn every_damage_is_found_and_stops_a_repair() {
    type Damage = fn(Bytes) -> Option<Bytes>;
    let missing: Damage = |_| None;
    let shorter: Damage = |bytes| Some(bytes.slice(..bytes.len() - 1));
    let changed: Damage = |bytes| {
        let mut bytes = bytes.to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        Some(bytes.into())
    };
    for (prefix, part, damage, said) in [
        ("topics/", "", missing, "it is missing"),
        ("topics/", "", shorter, "were written"),
        ("topics/", "", changed, "checksum differs"),
        ("manifests/", "root-", missing, "cannot be read"),
        ("manifests/", "root-", changed, "not what was written"),
        ("journal/", "3.arrow", changed, "journal object"),
        ("journal/", "3.arrow", missing, "is missing"),
    ] {
        let (mut world, topic) = world().await;
        // What the first session left in the store of its old manifests is litter by now.
        world.take_over().await;
        let orphan = segment(&topic, 1);
        plant(&world.store, &orphan).await;
        let path = if part == "root-" { root_of(&world).await } else { object(&world, prefix, part).await };
        let path = if path == orphan { object(&world, prefix, "000003-").await } else { path };
        let bytes = world.store.get(&path).await.expect("there");
        world.store.delete(&path).await.expect("deleted");
        if let Some(bytes) = damage(bytes) {
            world.store.put(&path, bytes).await.expect("put");
        }
        let report = check(&world, Repair::DeleteOrphans).await;
        let told: Vec<_> = report.problems.iter().map(|problem| problem.problem.as_str()).collect();
        assert!(told.iter().any(|problem| problem.contains(said)), "{path}: no {said:?} in {told:?}");
        assert_eq!(report.repaired, Count::default(), "{path}");
        world.store.size(&orphan).await.expect("it is still there");
    }
}

/// The manifest object that is in use: the one without which there is a problem.
async fn root_of(world: &World) -> ObjectPath {
    let listed: Vec<_> = world.store.list(None).try_collect().await.expect("listed");
    for object in listed.iter().filter(|object| object.path.as_str().contains("root-")) {
        let bytes = world.store.get(&object.path).await.expect("there");
        world.store.delete(&object.path).await.expect("deleted");
        let is_used = check(world, Repair::No).await.problems_total > 0;
        world.store.put(&object.path, bytes).await.expect("put");
        if is_used {
            return object.path.clone();
        }
    }
    panic!("no manifest is in use");
}

#[tokio::test]
async fn a_hole_between_segments_and_journal_is_found() {
    let (world, topic) = world().await;
    put(&world, &topic).await;
    let lost = object(&world, "journal/", "3.arrow").await;
    world.store.delete(&lost).await.expect("deleted");
    let report = check(&world, Repair::DeleteOrphans).await;
    let told: Vec<_> = report.problems.iter().map(|found| (&*found.place, &*found.problem)).collect();
    let hole = "offsets 6 to 9 are in no segment and no journal object";
    assert_eq!(told, [(lost.as_str(), "it was committed, and is missing"), ("a-0", hole)]);
    assert_eq!(report.repaired, Count::default());
}

#[tokio::test(start_paused = true)]
async fn orphans_are_counted_and_deleted_when_that_is_asked_for() {
    let (mut world, topic) = world().await;
    pass(&world, 130).await;
    world.take_over().await;
    assert_eq!(check(&world, Repair::No).await.orphans.total(), Count::default());
    let behind = paths::journal_object(SessionId(Uuid::from_u128(1)), 9);
    let stranger = ObjectPath::parse("topics/notes.txt").expect("legal");
    for path in [&segment(&topic, 1), &root(&topic), &behind, &stranger] {
        plant(&world.store, path).await;
    }
    let one = Count { objects: 1, bytes: 6 };
    let report = check(&world, Repair::No).await;
    let orphans = report.orphans;
    assert_eq!((orphans.segments, orphans.manifests, orphans.journal), (one, one, one));
    assert_eq!((report.strangers, report.problems_total, report.repaired), (one, 0, Count::default()));
    let report = check(&world, Repair::DeleteOrphans).await;
    assert_eq!((report.repaired.objects, report.problems_total), (3, 0));
    let report = check(&world, Repair::No).await;
    assert_eq!((report.orphans.total(), report.strangers), (Count::default(), one));
}

#[tokio::test]
async fn an_object_of_a_session_that_the_metadata_never_saw_is_a_problem() {
    let (world, topic) = world().await;
    let (orphan, later) = (segment(&topic, 1), segment(&topic, 2));
    plant(&world.store, &orphan).await;
    plant(&world.store, &later).await;
    let report = check(&world, Repair::DeleteOrphans).await;
    assert_eq!((report.problems_total, report.repaired), (1, Count::default()));
    assert!(report.problems[0].problem.contains("old copy"), "{:?}", report.problems);
    world.store.size(&orphan).await.expect("it is still there");
}

#[tokio::test]
async fn another_clusters_store_is_not_checked() {
    let (world, _topic) = world().await;
    let body = r#"{"v":1,"cluster_id":"00000000000000000000000000000009"}"#;
    world.store.put(&paths::cluster_marker(), body.into()).await.expect("put");
    let refused = fsck(Arc::clone(&world.metadata), &world.store, Repair::DeleteOrphans).await;
    assert!(refused.expect_err("it is another's").to_string().contains("belongs to cluster"));
}
