//! The way from the classic protocol to the new one and back, at the door of the task.

use super::world::{World, beat, join_request};
use crate::group::classic::{ClassicGroup, JoinRequest, Joined, LeaveRequest, LeavingMember};
use crate::group::consumer::{MemberProtocol, TopicsImage};
use crate::group::migrate::upgrade;
use crate::group::{GroupError, GroupId, GroupType, GroupsConfig, MemberId};
use crate::types::Moment;
use std::sync::Arc;

const ALL: [i32; 4] = [0, 1, 2, 3];

async fn leave(world: &World, group: &str, member_id: &MemberId) -> Result<(), GroupError> {
    let leaving = LeavingMember { member_id: member_id.clone(), group_instance_id: None };
    let request = LeaveRequest { members: vec![leaving] };
    let mut answers = world.groups.call(&GroupId::new(group), request).await.expect("answered");
    answers.remove(0).result
}

/// Joins again and gives up what is asked for, until it has nothing more to give up.
async fn rejoin(world: &World, group: &str, member: Joined, mut owned: Vec<i32>) -> (Joined, Vec<i32>) {
    let mut joined = member;
    loop {
        joined = world.join_as(group, &joined.member_id, &owned).await;
        let kept = world.sync(group, &joined, &[]).await.expect("synced");
        if kept == owned {
            return (joined, kept);
        }
        owned = kept;
    }
}

#[tokio::test]
async fn a_live_group_goes_over_with_its_first_new_member_and_back_with_its_last() {
    let world = World::new().await;
    let topic_id = world.create("a", 4).await;
    let classic = world.classic_member("g", &ALL).await;
    world.commit("g", Some(&classic), topic_id, 5).await.expect("committed");

    let new = world.beat("g", "n", 0).await.expect("it may join");
    assert_eq!(new.assignment.map(|assignment| assignment.len()), Some(0), "nothing is free yet");
    assert_eq!(world.describe("g").await, None);
    let view = world.describe_consumer("g").await.expect("of the new protocol");
    assert!(view.members.iter().any(|member| member.protocol == MemberProtocol::Classic));
    assert_eq!(world.committed("g", topic_id).await, Some(5));

    assert_eq!(world.heartbeat("g", &classic).await, Err(GroupError::RebalanceInProgress));
    let (classic, kept) = rejoin(&world, "g", classic, ALL.to_vec()).await;
    assert_eq!(kept.len(), 2, "half of it is for the other");
    let told = world.beat("g", "n", new.member_epoch).await.expect("it lives");
    assert_eq!(told.assignment.map(|assignment| assignment.len()), Some(2));
    assert_eq!(world.heartbeat("g", &classic).await, Ok(()));
    world.commit("g", Some(&classic), topic_id, 6).await.expect("a generation is an epoch");

    world.beat("g", "n", -1).await.expect("it leaves");
    let back = world.describe("g").await.expect("of the classic protocol");
    assert_eq!((back.state, back.members.len()), ("PreparingRebalance", 1));
    let told = world.heartbeat("g", &classic).await;
    assert_eq!(told, Err(GroupError::RebalanceInProgress), "it joins again and keeps what it has meanwhile");
    let joined = world.join_as("g", &classic.member_id, &kept).await;
    assert_eq!((&joined.group_leader, joined.members.len()), (&classic.member_id, 1));
    assert!(joined.generation_id > classic.generation_id, "generations go on");
    assert_eq!(world.sync("g", &joined, &[(&joined.member_id, &ALL)]).await, Ok(ALL.to_vec()));
    assert_eq!(world.committed("g", topic_id).await, Some(6));
}

#[tokio::test]
async fn whoever_waits_in_a_classic_group_is_to_join_again_where_it_went() {
    let world = Arc::new(World::new().await);
    world.create("a", 4).await;
    world.classic_member("g", &ALL).await;
    let waiting = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.join("g", join_request(&MemberId::default(), &[])).await }
    });
    while world.describe("g").await.expect("classic").state != "PreparingRebalance" {
        tokio::task::yield_now().await;
    }
    world.beat("g", "n", 0).await.expect("it may join");
    let refused = waiting.await.expect("no panic").expect_err("it is to join again");
    assert_eq!(refused.error, GroupError::RebalanceInProgress);
    let view = world.describe_consumer("g").await.expect("of the new protocol");
    assert_eq!(view.members.len(), 3, "it is in the group all the same");
}

#[tokio::test]
async fn a_refused_heartbeat_leaves_a_classic_group_as_it_was() {
    let world = World::new().await;
    world.create("a", 4).await;
    let member = world.classic_member("g", &ALL).await;
    let mut strange = beat("n", 0);
    strange.server_assignor = Some("none".to_owned());
    let refused = world.groups.call(&GroupId::new("g"), strange).await;
    assert_eq!(refused, Err(GroupError::UnsupportedAssignor("none".to_owned())));
    assert_eq!(
        world.beat("g", "n", 4).await,
        Err(GroupError::GroupIdNotFound),
        "only who joins takes it over"
    );
    assert_eq!(world.heartbeat("g", &member).await, Ok(()));
    assert_eq!(world.summary("g").await.map(|group| group.group_type), Some(GroupType::Classic));

    let connect =
        JoinRequest { protocol_type: "connect".to_owned(), ..join_request(&MemberId::default(), &[]) };
    let member = world.join("connect", connect).await.expect("it may join");
    assert_eq!(world.beat("connect", "n", 0).await, Err(GroupError::GroupIdNotFound));
    assert_eq!(world.heartbeat("connect", &member).await, Ok(()));
}

#[tokio::test]
async fn classic_members_come_into_a_group_of_the_new_protocol_and_go() {
    let world = World::new().await;
    world.create("a", 4).await;
    let new = world.beat("g", "n", 0).await.expect("it may join");
    let first = JoinRequest { member_id_required: true, ..join_request(&MemberId::default(), &[]) };
    let refused = world.join("g", first.clone()).await.expect_err("it gets an id first");
    assert_eq!(refused.error, GroupError::MemberIdRequired);
    let joined = world.join("g", JoinRequest { member_id: refused.member_id, ..first.clone() }).await;
    let joined = joined.expect("it may join");
    assert!(joined.group_leader.is_empty() && joined.members.is_empty(), "the broker assigns");
    assert_eq!(joined.protocol_name.as_deref(), Some("cooperative-sticky"));

    let connect =
        JoinRequest { protocol_type: "connect".to_owned(), member_id_required: false, ..first.clone() };
    let refused = world.join("g", connect).await.expect_err("it is no consumer");
    assert_eq!(refused.error, GroupError::InconsistentGroupProtocol);
    let short = JoinRequest { session_timeout_ms: 1, ..first };
    let refused = world.join("g", short).await.expect_err("too short");
    assert_eq!(refused.error, GroupError::InvalidSessionTimeout);

    assert_eq!(leave(&world, "g", &MemberId::new("nobody")).await, Err(GroupError::UnknownMemberId));
    assert_eq!(leave(&world, "g", &MemberId::new("n")).await, Err(GroupError::UnknownMemberId));
    assert_eq!(leave(&world, "g", &joined.member_id).await, Ok(()));
    world.beat("g", "n", new.member_epoch).await.expect("it lives");
    let view = world.describe_consumer("g").await.expect("of the new protocol");
    assert_eq!((view.members.len(), view.members[0].assignment.len()), (1, 4));
}

#[tokio::test]
async fn a_restart_on_the_way_costs_nobody_its_place() {
    let mut world = World::new().await;
    let topic_id = world.create("a", 4).await;
    let classic = world.classic_member("g", &ALL).await;
    world.commit("g", Some(&classic), topic_id, 5).await.expect("committed");
    let new = world.beat("g", "n", 0).await.expect("it may join");
    world.restart().await;
    let (classic, kept) = rejoin(&world, "g", classic, ALL.to_vec()).await;
    world.restart().await;
    assert_eq!(world.heartbeat("g", &classic).await, Ok(()));
    assert_eq!(world.sync("g", &classic, &[]).await, Ok(kept));
    let told = world.beat("g", "n", new.member_epoch).await.expect("it lives");
    assert_eq!(told.assignment.map(|assignment| assignment.len()), Some(2));
    world.beat("g", "n", -1).await.expect("it leaves");
    world.restart().await;
    assert_eq!(world.heartbeat("g", &classic).await, Err(GroupError::RebalanceInProgress));
    assert_eq!(world.committed("g", topic_id).await, Some(5));
}

#[test]
fn whoever_comes_first_has_an_epoch_before_there_is_a_target() {
    let config = GroupsConfig::default();
    assert!(!config.consumer.assignment_delay.is_zero(), "the target is made later");
    let classic = ClassicGroup::new(config.classic.clone());
    let topics = TopicsImage::default();
    let mut group = upgrade(&classic, &config, Moment::default(), &topics).expect("it is empty");
    let told = group.heartbeat(Moment::default(), &beat("n", 0), &topics).expect("it may join");
    assert_eq!(told.member_epoch, 1, "epoch 0 would have it join again and again");
}

#[tokio::test]
async fn an_empty_group_is_of_the_protocol_of_whoever_comes() {
    let world = World::new().await;
    let topic_id = world.create("a", 4).await;
    world.commit("g", None, topic_id, 5).await.expect("a tool commits");
    let classic = world.classic_member("g", &ALL).await;
    assert_eq!(leave(&world, "g", &classic.member_id).await, Ok(()));
    let new = world.beat("g", "n", 0).await.expect("it may join");
    assert!(new.member_epoch > classic.generation_id, "epochs go on");
    assert_eq!(new.assignment.map(|assignment| assignment.len()), Some(4));
    world.beat("g", "n", -1).await.expect("it leaves");
    let again = world.classic_member("g", &ALL).await;
    assert!(again.generation_id > new.member_epoch, "generations go on");
    assert_eq!(world.committed("g", topic_id).await, Some(5));
}
