//! What is stored of groups, when, and what becomes of them when the store fails.

use super::world::{RETENTION, World};
use crate::group::{Delete, Expire, GroupError, GroupId};
use crate::meta::faults::FaultyStore;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const ALL: [i32; 4] = [0, 1, 2, 3];
/// Enough lost answers that a change is given up.
const LOST: usize = 64;

#[tokio::test]
async fn another_coordinator_costs_no_rejoin() {
    let mut world = World::new().await;
    let topic_id = world.create("a", 4).await;
    let classic = world.classic_member("classic", &ALL).await;
    let new = world.beat("new", "n", 0).await.expect("it may join");
    world.commit("classic", Some(&classic), topic_id, 7).await.expect("committed");
    world.restart().await;
    assert_eq!(world.heartbeat("classic", &classic).await, Ok(()));
    assert_eq!(world.sync("classic", &classic, &[]).await, Ok(ALL.to_vec()));
    let told = world.beat("new", "n", new.member_epoch).await.expect("it lives");
    assert_eq!((told.member_epoch, told.assignment), (new.member_epoch, None));
    world.commit("classic", Some(&classic), topic_id, 8).await.expect("its generation stands");
    assert_eq!(world.committed("classic", topic_id).await, Some(8));
}

#[tokio::test]
async fn a_store_that_gives_no_answer_makes_the_coordinator_unavailable_until_it_does() {
    let faults = Arc::new(FaultyStore::new(1_000_000));
    let world = World::on(faults.clone()).await;
    let topic_id = world.create("a", 4).await;
    let member = world.classic_member("g", &ALL).await;
    world.commit("g", Some(&member), topic_id, 1).await.expect("committed");
    faults.answers_to_lose.store(LOST, Ordering::SeqCst);
    let lost = world.commit("g", Some(&member), topic_id, 2).await;
    assert_eq!(lost, Err(GroupError::CoordinatorNotAvailable));
    faults.answers_to_lose.store(0, Ordering::SeqCst);
    assert_eq!(world.heartbeat("g", &member).await, Ok(()), "nobody has to join again");
    let committed = world.committed("g", topic_id).await;
    assert!(matches!(committed, Some(1 | 2)), "{committed:?}: what was not answered is known by now");
    world.commit("g", Some(&member), topic_id, 3).await.expect("committed");
    assert_eq!(world.committed("g", topic_id).await, Some(3));
}

#[tokio::test]
async fn one_lost_answer_is_not_noticed() {
    let faults = Arc::new(FaultyStore::new(1_000_000));
    let world = World::on(faults.clone()).await;
    let topic_id = world.create("a", 4).await;
    world.commit("g", None, topic_id, 1).await.expect("committed");
    faults.answers_to_lose.store(1, Ordering::SeqCst);
    world.commit("g", None, topic_id, 2).await.expect("committed");
    assert_eq!(world.committed("g", topic_id).await, Some(2));
}

#[tokio::test]
async fn a_group_that_cannot_be_read_is_read_again_for_the_next_request() {
    let faults = Arc::new(FaultyStore::new(1_000_000));
    let mut world = World::on(faults.clone()).await;
    let topic_id = world.create("a", 4).await;
    world.commit("g", None, topic_id, 1).await.expect("committed");
    world.restart().await;
    faults.gets_to_fail.store(1, Ordering::SeqCst);
    let lost = world.commit("g", None, topic_id, 2).await;
    assert_eq!(lost, Err(GroupError::CoordinatorNotAvailable));
    assert_eq!(world.committed("g", topic_id).await, Some(1));
}

#[tokio::test]
async fn offsets_of_a_dead_group_go_after_their_retention_and_it_with_them() {
    let world = World::new().await;
    let topic_id = world.create("a", 4).await;
    let member = world.classic_member("live", &ALL).await;
    world.commit("live", Some(&member), topic_id, 1).await.expect("committed");
    world.commit("dead", None, topic_id, 1).await.expect("committed");
    let expire = async |group: &str| world.groups.call(&GroupId::new(group), Expire).await.expect("looked");
    world.advance_clock(RETENTION);
    expire("dead").await;
    assert_eq!(world.committed("dead", topic_id).await, Some(1), "its time is not over");
    world.advance_clock(Duration::from_millis(1));
    expire("dead").await;
    expire("live").await;
    assert_eq!(world.committed("dead", topic_id).await, None);
    assert_eq!(world.summary("dead").await, None);
    assert_eq!(world.committed("live", topic_id).await, Some(1), "somebody is in it");
    assert_eq!((world.stored_keys("groups/").await, world.stored_keys("group-offsets/").await), (1, 1));
}

#[tokio::test]
async fn a_deleted_group_leaves_nothing_behind() {
    let mut world = World::new().await;
    let topic_id = world.create("a", 4).await;
    let delete = async |world: &World, group: &str| world.groups.call(&GroupId::new(group), Delete).await;
    world.classic_member("live", &ALL).await;
    world.beat("new", "n", 0).await.expect("it may join");
    world.commit("dead", None, topic_id, 1).await.expect("committed");
    assert_eq!(delete(&world, "live").await, Err(GroupError::NonEmptyGroup));
    assert_eq!(delete(&world, "new").await, Err(GroupError::NonEmptyGroup));
    assert_eq!(delete(&world, "dead").await, Ok(()));
    assert_eq!(delete(&world, "dead").await, Err(GroupError::GroupIdNotFound));
    world.beat("new", "n", -1).await.expect("it leaves");
    assert_eq!(delete(&world, "new").await, Ok(()));
    assert_eq!(world.stored_keys("group-offsets/").await, 0);
    world.restart().await;
    let listed: Vec<String> =
        world.groups.list().await.expect("listed").iter().map(|group| group.group_id.to_string()).collect();
    assert_eq!(listed, ["live"]);
}
