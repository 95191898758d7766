//! What becomes of journal objects that small partitions pin.

use super::archive::{flush, objects, pass, put, read_all};
use super::fsck::{check, claimed};
use super::world::World;
use crate::archive::Repair;
use crate::journal::{ObjectName, Row, RowIndex, RowTransaction, encode};
use crate::store::{ObjectPath, paths};
use crate::topic::Topic;
use crate::types::{
    LeaderEpoch, MergeNumber, Offset, PartitionIndex, ProducerEpoch, ProducerId, SessionId, TopicPartition,
    ViewNumber,
};
use crate::wire::batch::{BatchBuilder, Codec, NO_PRODUCER};
use futures_util::TryStreamExt;
use std::sync::Arc;
use uuid::Uuid;

fn session(number: u128) -> SessionId {
    SessionId(Uuid::from_u128(number))
}

/// Quiet partitions that have little, each in an object of its own, and a busy one whose many objects are archived.
async fn pinned(world: &World, puts: usize) -> (Vec<Arc<Topic>>, Arc<Topic>) {
    let mut quiet = Vec::new();
    for name in ["q0", "q1", "q2"] {
        let topic = world.create(name, 1).await;
        put(world, &topic).await;
        quiet.push(topic);
    }
    let busy = world.create("busy", 1).await;
    for _ in 0..puts {
        put(world, &busy).await;
    }
    flush(world, &busy).await;
    (quiet, busy)
}

async fn names(world: &World) -> Vec<ObjectPath> {
    let listed: Vec<_> =
        world.store.list(Some(&paths::journals_prefix())).try_collect().await.expect("listed");
    listed.into_iter().map(|object| object.path).collect()
}

async fn check_clean(world: &World) {
    let report = check(world, Repair::No).await;
    assert_eq!((report.problems_total, report.orphans.total().objects), (0, 0), "{report:?}");
}

async fn check_read(world: &World, quiet: &[Arc<Topic>]) {
    for topic in quiet {
        assert_eq!(read_all(world, topic).await, [0, 1, 2], "{}", topic.name);
    }
}

#[tokio::test(start_paused = true)]
async fn what_quiet_partitions_need_comes_into_one_object_and_the_rest_goes() {
    let mut world = claimed().await;
    let (quiet, busy) = pinned(&world, 1_000).await;
    // The merged object may be there already.
    assert!(objects(&world, "journal/").await >= 1_003);
    pass(&world, 80).await;
    let left = names(&world).await;
    assert_eq!(left.len(), 1, "{left:?}");
    let number = MergeNumber { view: ViewNumber(1), attempt: 0 };
    assert_eq!(paths::parse_merged_object(&left[0]), Some((session(1), number)));
    check_read(&world, &quiet).await;
    let metrics = &world.context.metrics.archive;
    assert_eq!((metrics.journal_merges.get(), metrics.journal_merged_objects.get()), (1, 501));

    world.take_over().await;
    check_read(&world, &quiet).await;
    check_clean(&world).await;
    put(&world, &quiet[0]).await;
    pass(&world, 200).await;
    assert_eq!(read_all(&world, &quiet[0]).await, (0..6).collect::<Vec<_>>());
    assert_eq!(read_all(&world, &busy).await.len(), 3_000);
    assert_eq!(names(&world).await.len(), 2, "what is needed stays");

    for topic in &quiet {
        flush(&world, topic).await;
    }
    pass(&world, 200).await;
    assert_eq!(names(&world).await, []);
    world.take_over().await;
    assert_eq!(read_all(&world, &quiet[0]).await, (0..6).collect::<Vec<_>>());
    check_read(&world, &quiet[1..]).await;
    check_clean(&world).await;
}

#[tokio::test(start_paused = true)]
async fn few_objects_are_left_as_they_are() {
    let world = claimed().await;
    let (quiet, _) = pinned(&world, 900).await;
    pass(&world, 80).await;
    assert_eq!(names(&world).await.len(), 903);
    check_read(&world, &quiet).await;
}

#[tokio::test(start_paused = true)]
async fn a_deleted_topic_frees_what_it_has_in_a_merged_object() {
    let world = claimed().await;
    let (quiet, _) = pinned(&world, 1_000).await;
    pass(&world, 80).await;
    for topic in &quiet {
        world.context.catalog.delete(topic.id).await.expect("deleted");
        world.context.log.remove(topic.id);
    }
    pass(&world, 80).await;
    assert_eq!(names(&world).await, []);
}

/// An object as a merge puts it before the metadata names it.
async fn plant(world: &World, topic: &Topic, of: u128, number: MergeNumber) -> ObjectPath {
    let mut builder = BatchBuilder::new();
    builder.append(super::world::NOW, None, Some(b"value"), &[]);
    let topic_partition = TopicPartition { topic_id: topic.id, partition: PartitionIndex(0) };
    let index = RowIndex {
        topic_partition,
        offsets: Offset(0)..Offset(1),
        leader_epoch: LeaderEpoch(1),
        max_timestamp: super::world::NOW,
        producer_id: ProducerId(-1),
        producer_epoch: ProducerEpoch(-1),
        base_sequence: -1,
        attributes: 0,
        transaction: RowTransaction::None,
    };
    let name = ObjectName::merged(session(of), number);
    let row = Row { index, batch: builder.finish(Codec::None, NO_PRODUCER) };
    world.store.put(&name.path(), encode(name, vec![row]).bytes).await.expect("put");
    name.path()
}

#[tokio::test(start_paused = true)]
async fn a_merged_object_that_was_never_named_goes_after_the_next_start() {
    let mut world = claimed().await;
    let (quiet, _) = pinned(&world, 1_000).await;
    pass(&world, 80).await;
    let of = |view, attempt| MergeNumber { view: ViewNumber(view), attempt };
    let orphan = plant(&world, &quiet[0], 1, of(1, 7)).await;
    // A crash comes before it is named.
    world.take_over().await;
    // When this session has claimed the journal, whoever kept it before can name nothing any more; it can itself.
    pass(&world, 10).await;
    let of_this_session = plant(&world, &quiet[0], 1, of(2, 7)).await;
    let report = check(&world, Repair::No).await;
    assert_eq!((report.problems_total, report.orphans.journal.objects), (0, 2), "{report:?}");
    pass(&world, 70).await;
    let left = names(&world).await;
    assert!(!left.contains(&orphan) && left.contains(&of_this_session), "{left:?}");
    check_read(&world, &quiet).await;
    world.take_over().await;
    check_read(&world, &quiet).await;
}

#[tokio::test(start_paused = true)]
async fn a_merged_object_that_is_missing_or_cut_is_a_problem() {
    let world = claimed().await;
    pinned(&world, 1_000).await;
    pass(&world, 80).await;
    let name = names(&world).await.remove(0);
    let bytes = world.store.get(&name).await.expect("there");
    world.store.put(&name, bytes.slice(..bytes.len() - 1)).await.expect("put");
    let report = check(&world, Repair::DeleteOrphans).await;
    assert_eq!(report.problems[0].place, name.as_str());
    assert!(report.problems[0].problem.contains("were written"), "{report:?}");
    world.store.delete(&name).await.expect("deleted");
    let report = check(&world, Repair::DeleteOrphans).await;
    assert!(report.problems[0].problem.contains("missing"), "{report:?}");
    let later = MergeNumber { view: ViewNumber(9), attempt: 0 };
    world.store.put(&name, bytes.clone()).await.expect("put");
    world.store.put(&paths::merged_object(session(1), later), bytes).await.expect("put");
    let report = check(&world, Repair::DeleteOrphans).await;
    assert!(report.problems[0].problem.contains("old copy"), "{report:?}");
}
