//! SyncGroup and Heartbeat.

use super::*;

#[test]
fn syncs_wait_for_the_leader_and_each_gets_its_own() {
    let mut world = World::new();
    let joined = world.join_all(vec![new_join(), new_join(), new_join()]);
    let group_leader = joined[0].group_leader.clone();
    let (mut tickets, mut ids) = (Vec::new(), Vec::new());
    for each in joined.iter().filter(|each| each.member_id != group_leader) {
        tickets.push(world.sync(sync_as(&each.member_id, 1)));
        ids.push(each.member_id.clone());
    }
    assert!(tickets.iter().all(|ticket| world.waits(*ticket)));
    let assignments = assign(&ids[..1]);
    let own = world.sync(SyncRequest { assignments, ..sync_as(&group_leader, 1) });
    assert_eq!(world.synced(tickets[0]).assignment, ids[0].as_str().as_bytes());
    assert_eq!(world.synced(tickets[0]).protocol_name.as_deref(), Some("range"));
    assert_eq!(world.synced(tickets[1]).assignment, Bytes::new(), "the leader named nothing for it");
    assert_eq!(world.synced(own).assignment, Bytes::new());
}

#[test]
fn a_sync_in_a_stable_group_is_answered_at_once() {
    let mut world = World::new();
    let ids = world.stable_of(2);
    let ticket = world.sync(sync_as(&ids[1], 1));
    assert_eq!(world.synced(ticket).assignment, ids[1].as_str().as_bytes());
}

#[test]
fn what_a_sync_is_refused_with() {
    type Change = fn(&mut SyncRequest);
    let cases: [(Change, GroupError); 6] = [
        (|sync| sync.member_id = MemberId::new("x"), GroupError::UnknownMemberId),
        (|sync| sync.generation_id = 0, GroupError::IllegalGeneration),
        (|sync| sync.generation_id = 2, GroupError::IllegalGeneration),
        (|sync| sync.group_instance_id = Some(GroupInstanceId::new("x")), GroupError::UnknownMemberId),
        (|sync| sync.protocol_type = Some("connect".to_owned()), GroupError::InconsistentGroupProtocol),
        (|sync| sync.protocol_name = Some("sticky".to_owned()), GroupError::InconsistentGroupProtocol),
    ];
    for (change, error) in cases {
        let mut world = World::new();
        let joined = world.join_all(vec![new_join()]);
        let mut request = sync_as(&joined[0].member_id, 1);
        change(&mut request);
        let ticket = world.sync(request);
        assert_eq!(world.refused(ticket), error);
        assert_eq!(world.group.state_name(), "CompletingRebalance");
    }
    let mut world = World::new();
    let ids = world.stable_of(2);
    world.join(join_as(&ids[0]));
    let ticket = world.sync(sync_as(&ids[1], 1));
    assert_eq!(world.refused(ticket), GroupError::RebalanceInProgress);
    let mut world = World::new();
    let ticket = world.sync(sync_as(&ids[1], 0));
    assert_eq!(world.refused(ticket), GroupError::UnknownMemberId);
}

#[test]
fn a_sync_that_another_of_the_same_member_overtakes_is_answered() {
    let mut world = World::new();
    let joined = world.join_all(vec![new_join(), new_join()]);
    let follower = joined.iter().find(|each| each.member_id != each.group_leader).expect("one follows");
    let first = world.sync(sync_as(&follower.member_id, 1));
    let second = world.sync(sync_as(&follower.member_id, 1));
    assert_eq!(world.refused(first), GroupError::RebalanceInProgress);
    world.sync(sync_as(&follower.group_leader, 1));
    assert_eq!(world.synced(second).assignment, Bytes::new());
}

#[test]
fn members_that_do_not_sync_within_the_rebalance_timeout_are_out() {
    for leader_syncs in [true, false] {
        let mut world = World::new();
        let join = || JoinRequest { session_timeout_ms: 100_000, ..new_join() };
        let joined = world.join_all(vec![join(), join()]);
        let group_leader = joined[0].group_leader.clone();
        let follower =
            joined.iter().map(|each| &each.member_id).find(|id| **id != group_leader).expect("one follows");
        let (syncs, late) = if leader_syncs { (&group_leader, follower) } else { (follower, &group_leader) };
        let ticket = world.sync(sync_as(syncs, 1));
        // The generation began after the initial wait and its extension, of which `join_all` waits all.
        world.pass(REBALANCE);
        if leader_syncs {
            assert_eq!(world.synced(ticket).assignment, Bytes::new());
        } else {
            assert_eq!(world.refused(ticket), GroupError::RebalanceInProgress);
        }
        assert_eq!(world.group.state_name(), "PreparingRebalance");
        assert_eq!(world.heartbeat(late, 1), Err(GroupError::UnknownMemberId));
        assert_eq!(world.heartbeat(syncs, 1), Err(GroupError::RebalanceInProgress));
    }
}

#[test]
fn once_all_have_synced_nobody_is_late() {
    let mut world = World::new();
    let ids = world.stable_of(2);
    for _ in 0..30 {
        world.pass(secs(5));
        assert_eq!(world.heartbeat(&ids[0], 1), Ok(()));
        assert_eq!(world.heartbeat(&ids[1], 1), Ok(()));
    }
}

#[test]
fn a_heartbeat_hears_how_things_stand() {
    let mut world = World::new();
    assert_eq!(world.heartbeat(&MemberId::new("x"), 0), Err(GroupError::UnknownMemberId));
    let joined = world.join_all(vec![new_join(), static_join("s")]);
    let (plain, fixed) = (joined[0].member_id.clone(), joined[1].member_id.clone());
    assert_eq!(world.heartbeat(&plain, 1), Ok(()), "completing");
    world.sync_all(&joined);
    let cases = [
        (&plain, None, 1, Ok(())),
        (&fixed, Some("s"), 1, Ok(())),
        (&fixed, None, 1, Ok(())),
        (&plain, Some("s"), 1, Err(GroupError::FencedInstanceId)),
        (&plain, Some("x"), 1, Err(GroupError::UnknownMemberId)),
        (&plain, None, 0, Err(GroupError::IllegalGeneration)),
        (&plain, None, 2, Err(GroupError::IllegalGeneration)),
    ];
    for (member_id, instance, generation_id, expected) in cases {
        assert_eq!(
            world.heartbeat_as(member_id, instance, generation_id),
            expected,
            "{instance:?} {generation_id}"
        );
    }
    world.join(new_join());
    assert_eq!(world.heartbeat(&plain, 1), Err(GroupError::RebalanceInProgress), "preparing");
}

#[test]
fn an_offset_commit_keeps_a_session_alive() {
    let mut world = World::new();
    let ids = world.stable_of(1);
    for _ in 0..5 {
        world.pass(secs(9));
        world.group.on_offset_commit(&ids[0], world.now);
    }
    assert_eq!(world.heartbeat(&ids[0], 1), Ok(()));
}
