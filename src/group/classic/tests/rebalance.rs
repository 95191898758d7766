//! How long a rebalance takes, who is in the next generation and who leads it.

use super::*;

#[test]
fn an_empty_group_waits_for_more_members() {
    let mut world = World::new();
    let ticket = world.join(new_join());
    world.pass(DELAY - Duration::from_millis(1));
    assert!(world.waits(ticket));
    world.pass(Duration::from_millis(1));
    assert_eq!(world.joined(ticket).generation_id, 1);
}

#[test]
fn the_first_wait_is_extended_while_members_come_but_not_past_the_rebalance_timeout() {
    for (rebalance_secs, every_secs, ends_secs) in [(60, 2, 60), (60, 4, 3), (7, 2, 7), (2, 1, 3), (3, 1, 3)]
    {
        let mut world = World::new();
        let join = JoinRequest { rebalance_timeout_ms: rebalance_secs * 1000, ..new_join() };
        let (began, first) = (world.now, world.join(join.clone()));
        while world.waits(first) {
            world.pass(secs(every_secs));
            if world.waits(first) {
                world.join(join.clone());
            }
        }
        let took = world.now.since(began);
        let latest = secs(ends_secs) + secs(every_secs);
        assert!(took >= secs(ends_secs) && took < latest, "{rebalance_secs} {every_secs}: {took:?}");
    }
}

#[test]
fn without_a_delay_the_first_generation_comes_at_once() {
    let mut world = World::with(ClassicGroupConfig {
        initial_rebalance_delay: Duration::ZERO,
        ..ClassicGroupConfig::default()
    });
    let ticket = world.join(new_join());
    world.pass(Duration::ZERO);
    assert_eq!(world.joined(ticket).generation_id, 1);
}

#[test]
fn a_rebalance_ends_as_soon_as_all_have_joined() {
    let mut world = World::new();
    let ids = world.stable_of(3);
    let mut tickets = vec![world.join(new_join())];
    tickets.extend(ids.iter().map(|id| world.join(join_as(id))));
    for ticket in tickets {
        assert_eq!(world.joined(ticket).generation_id, 2);
    }
}

#[test]
fn members_that_do_not_join_within_the_longest_rebalance_timeout_are_out() {
    let mut world = World::new();
    let join = |secs: i32| JoinRequest {
        rebalance_timeout_ms: secs * 1000,
        session_timeout_ms: 100_000,
        ..new_join()
    };
    let ids = world.stable(vec![join(20), join(40)]);
    let ticket = world.join(JoinRequest { rebalance_timeout_ms: 5_000, ..join(5) });
    world.pass(secs(39));
    assert!(world.waits(ticket));
    world.pass(secs(1));
    let joined = world.joined(ticket);
    assert_eq!((joined.generation_id, joined.members.len()), (2, 1));
    assert_eq!(joined.group_leader, joined.member_id, "the old leader did not join");
    for id in &ids {
        assert_eq!(world.heartbeat(id, 1), Err(GroupError::UnknownMemberId));
    }
}

#[test]
fn the_leader_stays_the_leader_if_it_joins() {
    let mut world = World::new();
    let ids = world.stable_of(3);
    let ticket = world.join(new_join());
    for id in &ids {
        world.join(join_as(id));
    }
    assert_eq!(world.joined(ticket).group_leader, ids[0]);
}

#[test]
fn only_the_leader_sees_the_members_and_their_metadata() {
    let mut world = World::new();
    for joined in world.join_all(vec![new_join(), new_join()]) {
        let seen = if joined.group_leader == joined.member_id { 2 } else { 0 };
        assert_eq!(joined.members.len(), seen);
        assert!(joined.members.iter().all(|member| member.metadata == subscription_to(&["t"])));
    }
}

#[test]
fn a_member_that_falls_silent_is_out_and_the_others_rebalance() {
    let mut world = World::new();
    let ids = world.stable_of(2);
    for _ in 0..4 {
        world.pass(secs(3));
        let _ = world.heartbeat(&ids[0], 1);
    }
    assert_eq!(world.heartbeat(&ids[0], 1), Err(GroupError::RebalanceInProgress));
    assert_eq!(world.heartbeat(&ids[1], 1), Err(GroupError::UnknownMemberId));
    let ticket = world.join(join_as(&ids[0]));
    assert_eq!(world.joined(ticket).generation_id, 2);
}

#[test]
fn a_member_that_waits_for_the_others_needs_no_heartbeat() {
    let mut world = World::new();
    let long = JoinRequest { session_timeout_ms: 50_000, ..new_join() };
    let ids = world.stable(vec![new_join(), long.clone()]);
    let waiting = ids.iter().find(|id| id.as_str().ends_with('1')).expect("the first").clone();
    let ticket = world.join(JoinRequest { protocols: protocols(&["range", "b"]), ..join_as(&waiting) });
    world.pass(secs(40));
    assert!(world.waits(ticket), "its session of 10 s is over, and it is still in");
    world.pass(secs(10));
    assert_eq!(world.joined(ticket).generation_id, 2, "the other one's session of 50 s is over");
}

#[test]
fn a_new_member_that_was_never_answered_is_given_up_after_a_while() {
    let mut world = World::new();
    let long = JoinRequest { rebalance_timeout_ms: i32::MAX, session_timeout_ms: 1_800_000, ..new_join() };
    world.stable(vec![long.clone()]);
    let ticket = world.join(long);
    world.pass(secs(299));
    assert!(world.waits(ticket));
    world.pass(secs(1));
    assert_eq!(world.refused(ticket), GroupError::UnknownMemberId);
}

#[test]
fn when_the_last_member_is_gone_the_group_is_empty_in_a_generation_of_its_own() {
    let mut world = World::new();
    world.stable_of(2);
    world.pass(SESSION);
    assert_eq!((world.group.state_name(), world.group.generation_id()), ("Empty", 2));
    assert!(world.group.take_dirty());
    assert_eq!(world.group.protocol_type(), Some("consumer"));
    assert_eq!((world.group.protocol_name(), world.group.group_leader()), (None, None));
    assert_eq!(world.group.next_deadline(), None);
}

#[test]
fn a_group_is_dirty_once_a_rebalance() {
    let mut world = World::new();
    let joined = world.join_all(vec![new_join(), new_join()]);
    assert!(!world.group.take_dirty(), "the joins are answered and nothing is stored");
    world.sync_all(&joined);
    assert!(world.group.take_dirty());
    for each in &joined {
        let _ = world.heartbeat(&each.member_id, 1);
        world.sync(sync_as(&each.member_id, 1));
    }
    assert!(!world.group.take_dirty());
}

#[test]
fn a_broker_that_stops_answers_everybody() {
    let mut world = World::new();
    let joined = world.join_all(vec![new_join(), new_join()]);
    let follower = joined.iter().find(|each| each.member_id != each.group_leader).expect("one follows");
    let sync = world.sync(sync_as(&follower.member_id, 1));
    world.group.answer_all(&GroupError::NotCoordinator);
    world.take();
    assert_eq!(world.refused(sync), GroupError::NotCoordinator);

    let mut world = World::new();
    let join = world.join(new_join());
    world.group.answer_all(&GroupError::NotCoordinator);
    world.take();
    assert_eq!(world.refused(join), GroupError::NotCoordinator);
}
