//! Static members (KIP-345, KIP-814).

use super::*;

fn holder(ids: &[MemberId], instance: &str) -> MemberId {
    let prefix = format!("{instance}-");
    ids.iter().find(|id| id.as_str().starts_with(&prefix)).expect("it joined").clone()
}

#[test]
fn a_static_member_that_comes_back_gets_a_new_id_and_its_old_assignment_without_a_rebalance() {
    let mut world = World::new();
    let ids = world.stable(vec![new_join(), static_join("s")]);
    let (group_leader, old) = (holder(&ids, "c"), holder(&ids, "s"));
    let ticket = world.join(JoinRequest { client_host: "/10.0.0.2".to_owned(), ..static_join("s") });
    let joined = world.joined(ticket);
    assert_ne!(joined.member_id, old);
    assert_eq!((joined.generation_id, joined.skip_assignment, joined.members.len()), (1, false, 0));
    assert_eq!(joined.group_leader, group_leader);
    assert!(world.group.take_dirty(), "the new id must outlive the broker");
    let sync = world.sync(sync_as(&joined.member_id, 1));
    assert_eq!(world.synced(sync).assignment, old.as_str().as_bytes());
    assert_eq!(world.heartbeat(&group_leader, 1), Ok(()));
    let host = |id: &MemberId| {
        world.group.members().into_iter().find(|view| view.member_id == *id).map(|view| view.client_host)
    };
    assert_eq!(host(&joined.member_id).as_deref(), Some("/10.0.0.2"));
    assert_eq!(host(&old), None);
}

#[test]
fn whoever_held_the_name_is_fenced() {
    let mut world = World::new();
    let ids = world.stable(vec![static_join("s")]);
    let ticket = world.join(static_join("s"));
    let new = world.joined(ticket).member_id;
    let fenced = Err(GroupError::FencedInstanceId);
    assert_eq!(world.heartbeat_as(&ids[0], Some("s"), 1), fenced);
    assert_eq!(world.leave(&[(&ids[0], Some("s"))]), [fenced]);
    let join = world.join(JoinRequest { member_id: ids[0].clone(), ..static_join("s") });
    assert_eq!(world.refused(join), GroupError::FencedInstanceId);
    let sync =
        world.sync(SyncRequest { group_instance_id: Some(GroupInstanceId::new("s")), ..sync_as(&ids[0], 1) });
    assert_eq!(world.refused(sync), GroupError::FencedInstanceId);
    assert_eq!(world.heartbeat(&ids[0], 1), Err(GroupError::UnknownMemberId));
    assert_eq!(world.heartbeat_as(&new, Some("s"), 1), Ok(()));
}

#[test]
fn whoever_held_the_name_and_waits_is_fenced_at_once() {
    let mut world = World::new();
    let first = world.join(static_join("s"));
    let second = world.join(static_join("s"));
    assert_eq!(world.refused(first), GroupError::FencedInstanceId);
    world.pass(DELAY);
    assert_eq!(world.joined(second).members.len(), 1);

    let mut world = World::new();
    let joined = world.join_all(vec![new_join(), static_join("s")]);
    let fixed = joined[1].clone();
    let waits = fixed.member_id != fixed.group_leader;
    let sync = world.sync(sync_as(&fixed.member_id, 1));
    let again = world.join(static_join("s"));
    if waits {
        assert_eq!(world.refused(sync), GroupError::FencedInstanceId);
    }
    assert!(world.waits(again), "the generation has no assignment yet: it is made anew");
    assert_eq!(world.group.state_name(), "PreparingRebalance");
}

#[test]
fn a_leader_that_comes_back_is_told_not_to_assign() {
    for skip_assignment in [true, false] {
        let mut world = World::new();
        let old = world.stable(vec![static_join("s"), new_join()]).remove(0);
        let ticket = world.join(JoinRequest { skip_assignment, ..static_join("s") });
        let joined = world.joined(ticket);
        if skip_assignment {
            assert_eq!((joined.skip_assignment, joined.members.len()), (true, 2));
            assert_eq!(joined.group_leader, joined.member_id);
        } else {
            assert_eq!((joined.skip_assignment, joined.members.len(), joined.group_leader), (false, 0, old));
        }
        assert_eq!(world.group.group_leader(), Some(&joined.member_id));
        assert_eq!(world.group.state_name(), "Stable");
    }
}

#[test]
fn one_that_comes_back_with_other_topics_or_another_choice_starts_a_rebalance() {
    let topics =
        |topics: &[&str]| vec![Protocol { name: "range".to_owned(), metadata: subscription_to(topics) }];
    let mut longer = subscription_to(&["t"]).to_vec();
    longer.extend([1, 2, 3]);
    let same = vec![Protocol { name: "range".to_owned(), metadata: Bytes::from(longer) }];
    let choice = || [protocols(&["b"]), protocols(&["range"])].concat();
    for (name, offer, rebalances) in [
        ("other topics", topics(&["t", "u"]), true),
        ("another choice", choice(), true),
        ("owned partitions changed", same, false),
    ] {
        let mut world = World::new();
        let both = JoinRequest { protocols: protocols(&["range", "b"]), ..static_join("s") };
        world.stable(vec![both]);
        assert_eq!(world.group.protocol_name(), Some("range"));
        let ticket = world.join(JoinRequest { protocols: offer, ..static_join("s") });
        let generation_id = world.joined(ticket).generation_id;
        assert_eq!(generation_id, if rebalances { 2 } else { 1 }, "{name}");
    }
}

#[test]
fn a_static_member_may_be_away_during_a_rebalance_and_stays_in() {
    let mut world = World::new();
    let long = JoinRequest { session_timeout_ms: 600_000, ..static_join("s") };
    let ids = world.stable(vec![long, new_join()]);
    let plain = holder(&ids, "c");
    let ticket = world.join(JoinRequest { protocols: protocols(&["range", "b"]), ..join_as(&plain) });
    world.pass(REBALANCE);
    let joined = world.joined(ticket);
    assert_eq!((joined.generation_id, joined.members.len()), (2, 2));
    assert_eq!(joined.group_leader, plain, "one that is away cannot lead");
}

#[test]
fn if_all_that_are_left_are_away_the_group_waits_for_their_sessions() {
    let mut world = World::new();
    let long = JoinRequest { session_timeout_ms: 200_000, ..static_join("s") };
    let ids = world.stable(vec![long, new_join()]);
    world.leave(&[(&holder(&ids, "c"), None)]);
    world.pass(REBALANCE * 2);
    assert_eq!((world.group.state_name(), world.group.members().len()), ("PreparingRebalance", 1));
    let ticket = world.join(static_join("s"));
    assert_eq!(world.joined(ticket).generation_id, 2);
}

#[test]
fn one_that_comes_back_before_it_synced_is_still_awaited_under_its_new_id() {
    let mut world = World::new();
    let joined = world.join_all(vec![new_join(), static_join("s")]);
    let old = &joined[1].member_id;
    let group_leader = joined[0].group_leader.clone();
    assert_ne!(group_leader, *old, "who joins first leads");
    world.sync(sync_as(&group_leader, 1));
    let ticket = world.join(static_join("s"));
    let new = world.joined(ticket).member_id;
    for _ in 0..8 {
        world.pass(secs(8));
        let _ = (world.heartbeat(&group_leader, 1), world.heartbeat(&new, 1));
    }
    assert_eq!(world.heartbeat(&new, 1), Err(GroupError::UnknownMemberId), "it never synced");
}

#[test]
fn a_name_comes_back_into_a_full_group() {
    let mut world = World::with(ClassicGroupConfig { members_max: 2, ..ClassicGroupConfig::default() });
    world.stable(vec![static_join("s"), static_join("r")]);
    let refused = world.join(static_join("q"));
    assert_eq!(world.refused(refused), GroupError::GroupMaxSizeReached);
    let ticket = world.join(static_join("s"));
    assert_eq!(world.joined(ticket).generation_id, 1);
}
