//! Many groups at once, and groups that nobody asks for anything.

use super::world::World;
use std::sync::Arc;
use std::time::Duration;

const GROUPS: usize = 1000;
const ALL: [i32; 4] = [0, 1, 2, 3];

#[tokio::test]
async fn groups_that_commit_together_share_their_transactions() {
    let world = Arc::new(World::new().await);
    let topic_id = world.create("a", 1).await;
    for round in 1..=2 {
        let before = world.transactions().await;
        let commits: Vec<_> = (0..GROUPS)
            .map(|number| {
                let world = Arc::clone(&world);
                tokio::spawn(async move { world.commit(&format!("g{number}"), None, topic_id, round).await })
            })
            .collect();
        for commit in commits {
            assert_eq!(commit.await.expect("no panic"), Ok(()));
        }
        let transactions = world.transactions().await - before;
        assert!(transactions <= 60, "{transactions} transactions for {GROUPS} commits in round {round}");
    }
    assert_eq!(world.committed("g999", topic_id).await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn the_task_of_a_quiet_group_ends_and_comes_back() {
    let world = World::new().await;
    let topic_id = world.create("a", 1).await;
    world.commit("g", None, topic_id, 5).await.expect("committed");
    assert_eq!(world.groups.at_hand(), 1);
    pass(Duration::from_secs(61)).await;
    assert_eq!(world.groups.at_hand(), 0);
    assert_eq!(world.committed("g", topic_id).await, Some(5));
    assert_eq!(world.groups.at_hand(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_silent_too_long_is_out_also_after_a_restart() {
    let mut world = World::new().await;
    world.create("a", 4).await;
    world.classic_member("classic", &ALL).await;
    world.beat("new", "n", 0).await.expect("it may join");
    pass(Duration::from_secs(9)).await;
    world.restart().await;
    pass(Duration::from_secs(9)).await;
    let state = async |group: &str| world.summary(group).await.map(|group| group.state);
    assert_eq!(state("classic").await, Some("Stable"), "its session began anew");
    pass(Duration::from_secs(2)).await;
    assert_eq!(state("classic").await, Some("Empty"));
    assert_eq!(state("new").await, Some("Stable"));
    pass(Duration::from_secs(45)).await;
    assert_eq!(state("new").await, Some("Empty"));
}

#[tokio::test]
async fn a_group_that_changes_hands_within_a_burst_answers_everybody() {
    let world = Arc::new(World::new().await);
    world.create("a", 4).await;
    let member = world.classic_member("g", &ALL).await;
    let asked: Vec<_> = (0..20)
        .map(|number| {
            let (world, member) = (Arc::clone(&world), member.clone());
            tokio::spawn(async move {
                match number {
                    10 => drop(world.beat("g", "n", 0).await),
                    _ => drop(world.heartbeat("g", &member).await),
                }
            })
        })
        .collect();
    for answered in asked {
        let answered = tokio::time::timeout(Duration::from_secs(10), answered).await;
        answered.expect("an answer").expect("no panic");
    }
    assert!(world.describe_consumer("g").await.is_some());
}

/// Lets that time go by: at once, when everybody waits, as time is paused.
pub(super) async fn pass(time: Duration) {
    let _elapsed = tokio::time::timeout(time, std::future::pending::<()>()).await;
}
