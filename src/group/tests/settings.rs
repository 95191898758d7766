//! What operators set for a group holds for its members.

use super::life::pass;
use super::world::World;
use crate::group::GroupId;
use crate::group::consumer::HeartbeatAnswer;
use std::time::Duration;

async fn set(world: &World, group: &str, heartbeat_ms: u64, session_ms: u64) {
    let overrides = [
        ("consumer.heartbeat.interval.ms".to_owned(), heartbeat_ms.to_string()),
        ("consumer.session.timeout.ms".to_owned(), session_ms.to_string()),
    ];
    let altered = world.settings.alter(&GroupId::new(group), |_| Ok(overrides.into())).await;
    altered.expect("legal");
}

async fn join(world: &World, group: &str) -> HeartbeatAnswer {
    world.beat(group, "m", 0).await.expect("it may join")
}

/// The interval that a heartbeat is answered with, in milliseconds.
async fn interval(world: &World, group: &str, member_epoch: i32) -> u128 {
    let answer = world.beat(group, "m", member_epoch).await.expect("it is a member");
    answer.heartbeat_interval.as_millis()
}

#[tokio::test(start_paused = true)]
async fn a_group_goes_by_its_settings_from_its_first_member_on_and_when_they_change() {
    let mut world = World::new().await;
    world.create("a", 4).await;
    set(&world, "set", 7_000, 50_000).await;
    let first = join(&world, "set").await;
    let other = join(&world, "other").await;
    assert_eq!(other.heartbeat_interval, Duration::from_millis(200), "others may be about to join");
    pass(Duration::from_secs(3)).await;
    assert_eq!(interval(&world, "set", first.member_epoch).await, 7_000);
    let few = interval(&world, "other", other.member_epoch).await;
    assert_eq!(few, 500, "a broker with few members has them come often");

    set(&world, "set", 8_000, 50_000).await;
    assert_eq!(interval(&world, "set", first.member_epoch).await, 8_000);
    set(&world, "other", 9_000, 50_000).await;
    assert_eq!(interval(&world, "other", other.member_epoch).await, 9_000);

    world.restart().await;
    assert_eq!(interval(&world, "set", first.member_epoch).await, 8_000, "also where it is read again");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_runs_keeps_its_deadline_and_the_next_one_is_as_long_as_is_set() {
    let world = World::new().await;
    world.create("a", 4).await;
    let joined = join(&world, "g").await;
    set(&world, "g", 1_000, 10_000).await;
    let state = async || world.summary("g").await.map(|group| group.state);
    pass(Duration::from_secs(40)).await;
    assert_eq!(state().await, Some("Stable"), "it began with 45 seconds");
    interval(&world, "g", joined.member_epoch).await;
    pass(Duration::from_secs(9)).await;
    assert_eq!(state().await, Some("Stable"));
    pass(Duration::from_secs(2)).await;
    assert_eq!(state().await, Some("Empty"));
}

#[tokio::test(start_paused = true)]
async fn settings_outlive_their_group() {
    let world = World::new().await;
    world.create("a", 4).await;
    set(&world, "g", 1_000, 10_000).await;
    let joined = join(&world, "g").await;
    pass(Duration::from_secs(11)).await;
    world.groups.call(&GroupId::new("g"), crate::group::Delete).await.expect("nobody is in it");
    assert_eq!(world.summary("g").await, None);
    assert_eq!(joined.heartbeat_interval, join(&world, "g").await.heartbeat_interval);
}
