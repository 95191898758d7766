//! What a crash leaves behind is gone a while after the next start, and nothing else is.

use super::archive::{flush, objects, pass, put, read_all};
use super::world::World;
use crate::store::paths::{self, ManifestObject, SegmentName};
use crate::store::{ObjectPath, ObjectStore};
use crate::topic::Topic;
use crate::types::{LeaderEpoch, Offset, PartitionIndex, SessionId, TopicPartition};
use bytes::Bytes;
use uuid::Uuid;

const UNIQUE: Uuid = Uuid::from_u128(77);

/// A segment that a leader of that epoch might have put.
pub(super) fn segment(topic: &Topic, leader_epoch: i32) -> ObjectPath {
    let topic_partition = TopicPartition { topic_id: topic.id, partition: PartitionIndex(0) };
    let offsets = Offset(100)..Offset(200);
    let name = SegmentName { offsets, leader_epoch: LeaderEpoch(leader_epoch), unique: UNIQUE };
    paths::segment(&topic.name, topic_partition, &name)
}

pub(super) fn root(topic: &Topic) -> ObjectPath {
    let topic_partition = TopicPartition { topic_id: topic.id, partition: PartitionIndex(0) };
    paths::manifest_object(topic_partition, ManifestObject::Root(UNIQUE))
}

pub(super) async fn plant(store: &ObjectStore, path: &ObjectPath) {
    store.put(path, Bytes::from_static(b"litter")).await.expect("put");
}

async fn is_there(world: &World, path: &ObjectPath) -> bool {
    objects(world, path.as_str()).await == 1
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_session_left_goes_after_the_grace_period() {
    let mut world = World::new().await;
    let topic = world.create("a", 1).await;
    put(&world, &topic).await;
    flush(&world, &topic).await;
    put(&world, &topic).await;
    let litter = [
        segment(&topic, 1),
        root(&topic),
        // Behind the end of the first session's journal: a PUT that came too late, and with a gap before it.
        paths::journal_object(SessionId(Uuid::from_u128(1)), 9),
    ];
    for path in &litter {
        plant(&world.store, path).await;
    }
    pass(&world, 70).await;
    assert!(is_there(&world, &litter[0]).await, "its session stands");
    world.take_over().await;
    pass(&world, 59).await;
    assert!(is_there(&world, &litter[0]).await, "whoever reads it may go on for a while");
    pass(&world, 10).await;
    for path in &litter {
        assert!(!is_there(&world, path).await, "{path}");
    }
    assert_eq!(read_all(&world, &topic).await, (0..6).collect::<Vec<_>>());
    world.take_over().await;
    assert_eq!(read_all(&world, &topic).await, (0..6).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn what_may_be_on_its_way_or_is_not_ours_stays() {
    let mut world = World::new().await;
    let topic = world.create("a", 1).await;
    put(&world, &topic).await;
    flush(&world, &topic).await;
    let of_this_session = segment(&topic, 2);
    let unknown_journal = paths::journal_object(SessionId(Uuid::from_u128(99)), 1);
    let of_somebody = ObjectPath::parse("topics/notes.txt").expect("legal");
    for path in [&of_this_session, &unknown_journal, &of_somebody] {
        plant(&world.store, path).await;
    }
    world.take_over().await;
    pass(&world, 70).await;
    for path in [&of_this_session, &unknown_journal, &of_somebody] {
        assert!(is_there(&world, path).await, "{path}");
    }
    assert_eq!(read_all(&world, &topic).await, [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn nothing_goes_where_the_metadata_is_an_old_copy() {
    let mut world = World::new().await;
    let topic = world.create("a", 1).await;
    let (litter, later) = (segment(&topic, 1), segment(&topic, 9));
    plant(&world.store, &litter).await;
    plant(&world.store, &later).await;
    world.take_over().await;
    pass(&world, 70).await;
    assert!(is_there(&world, &litter).await && is_there(&world, &later).await);
}
