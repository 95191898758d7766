//! JoinGroup: ids, refusals, and when it is answered.

use super::*;

#[test]
fn a_member_without_id_gets_one_and_must_come_again_with_it() {
    let mut world = World::new();
    let ticket = world.join(JoinRequest { member_id_required: true, ..new_join() });
    let Some(Answer::Join(Err(refused))) = world.answers.get(&ticket).cloned() else { panic!("refused") };
    assert_eq!(refused.error, GroupError::MemberIdRequired);
    assert_eq!(refused.member_id.as_str(), "c-00000000-0000-0000-0000-000000000001");
    assert!(world.group.is_empty());
    assert!(!world.group.is_idle());

    let ticket = world.join(join_as(&refused.member_id));
    world.pass(DELAY);
    let joined = world.joined(ticket);
    assert_eq!((joined.member_id, joined.generation_id), (refused.member_id.clone(), 1));
    assert_eq!(joined.group_leader, refused.member_id);
    assert_eq!(joined.protocol_name.as_deref(), Some("range"));
    assert_eq!(joined.protocol_type.as_deref(), Some("consumer"));
}

#[test]
fn a_static_member_and_an_old_client_get_their_id_with_the_join() {
    for (request, prefix) in [(static_join("i"), "i-"), (new_join(), "c-")] {
        let mut world = World::new();
        let required = request.group_instance_id.is_some();
        let ticket = world.join(JoinRequest { member_id_required: required, ..request });
        assert!(world.waits(ticket));
        world.pass(DELAY);
        let joined = world.joined(ticket);
        assert!(joined.member_id.as_str().starts_with(prefix));
        assert_eq!(joined.members.len(), 1);
    }
}

#[test]
fn an_id_that_was_given_is_forgotten_after_the_session_timeout() {
    let mut world = World::new();
    world.join(JoinRequest { member_id_required: true, ..new_join() });
    let given = MemberId::new("c-00000000-0000-0000-0000-000000000001");
    world.pass(SESSION);
    assert!(world.group.is_idle());
    let ticket = world.join(join_as(&given));
    assert_eq!(world.refused(ticket), GroupError::UnknownMemberId);
}

#[test]
fn a_pending_member_holds_up_a_rebalance_until_it_joins_or_is_forgotten() {
    for comes in [true, false] {
        let mut world = World::new();
        let ids = world.stable_of(1);
        world.join(JoinRequest { member_id_required: true, ..new_join() });
        let given = MemberId::new("c-00000000-0000-0000-0000-000000000002");
        let ticket = world.join(join_as(&ids[0]));
        assert!(world.waits(ticket), "the leader's rejoin starts a rebalance that waits for the pending one");
        if comes {
            let other = world.join(join_as(&given));
            assert_eq!(world.joined(other).generation_id, 2);
        } else {
            world.pass(SESSION);
        }
        assert_eq!(world.joined(ticket).members.len(), if comes { 2 } else { 1 });
    }
}

#[test]
fn what_is_refused_and_why() {
    let stranger = MemberId::new("stranger");
    let cases: Vec<(&str, JoinRequest, GroupError)> = vec![
        (
            "short session",
            JoinRequest { session_timeout_ms: 5999, ..new_join() },
            GroupError::InvalidSessionTimeout,
        ),
        (
            "long session",
            JoinRequest { session_timeout_ms: 1_800_001, ..new_join() },
            GroupError::InvalidSessionTimeout,
        ),
        (
            "negative session",
            JoinRequest { session_timeout_ms: -1, ..new_join() },
            GroupError::InvalidSessionTimeout,
        ),
        ("no id of ours", join_as(&stranger), GroupError::UnknownMemberId),
        (
            "no such static member",
            JoinRequest { member_id: stranger.clone(), ..static_join("i") },
            GroupError::UnknownMemberId,
        ),
        (
            "not the holder of the name",
            JoinRequest { member_id: stranger, ..static_join("s") },
            GroupError::FencedInstanceId,
        ),
        (
            "another type",
            JoinRequest { protocol_type: "connect".to_owned(), ..new_join() },
            GroupError::InconsistentGroupProtocol,
        ),
        (
            "no common protocol",
            JoinRequest { protocols: protocols(&["sticky"]), ..new_join() },
            GroupError::InconsistentGroupProtocol,
        ),
        (
            "no protocol",
            JoinRequest { protocols: Vec::new(), ..new_join() },
            GroupError::InconsistentGroupProtocol,
        ),
    ];
    for (name, request, error) in cases {
        let mut world = World::new();
        let ids = world.stable(vec![static_join("s")]);
        let ticket = world.join(request);
        assert_eq!(world.refused(ticket), error, "{name}");
        assert_eq!(world.group.state_name(), "Stable", "{name}: nothing happened");
        assert_eq!(world.heartbeat(&ids[0], 1), Ok(()), "{name}");
    }
}

#[test]
fn the_first_member_must_name_a_type_and_a_protocol() {
    for (protocol_type, names, goes) in
        [("", vec!["range"], false), ("x", vec![], false), ("x", vec!["p"], true)]
    {
        let mut world = World::new();
        let protocols = protocols(&names);
        let ticket =
            world.join(JoinRequest { protocol_type: protocol_type.to_owned(), protocols, ..new_join() });
        assert_eq!(world.waits(ticket), goes, "{protocol_type:?} {names:?}");
    }
}

#[test]
fn an_empty_group_takes_another_type() {
    let mut world = World::new();
    let ids = world.stable_of(1);
    world.leave(&[(&ids[0], None)]);
    let ticket = world.join(JoinRequest { protocol_type: "connect".to_owned(), ..new_join() });
    world.pass(DELAY);
    assert_eq!(world.joined(ticket).protocol_type.as_deref(), Some("connect"));
}

#[test]
fn the_protocol_with_most_votes_among_those_that_all_know_is_chosen() {
    let cases: [(&[&[&str]], &str); 5] = [
        (&[&["a", "b"], &["b", "a"], &["b", "a"]], "b"),
        (&[&["a", "b"], &["a", "b"], &["b", "a"]], "a"),
        (&[&["x", "a", "b"], &["a", "b"], &["b", "a"]], "a"),
        (&[&["x", "y", "c"], &["c", "y"], &["c"]], "c"),
        (&[&["b", "a", "a"], &["a", "b"]], "a"),
    ];
    for (offers, chosen) in cases {
        let mut world = World::new();
        let joins = offers.iter().map(|names| JoinRequest { protocols: protocols(names), ..new_join() });
        for joined in world.join_all(joins.collect()) {
            assert_eq!(joined.protocol_name.as_deref(), Some(chosen), "{offers:?}");
        }
    }
}

#[test]
fn a_known_member_that_offers_the_same_is_answered_at_once_and_disturbs_nobody() {
    let mut world = World::new();
    let ids = world.stable_of(2);
    let ticket = world.join(join_as(&ids[1]));
    let joined = world.joined(ticket);
    assert_eq!((joined.generation_id, joined.members.len(), joined.group_leader), (1, 0, ids[0].clone()));
    assert_eq!(world.group.state_name(), "Stable");
}

#[test]
fn while_the_assignment_is_awaited_leader_and_follower_that_join_again_are_answered_at_once() {
    let mut world = World::new();
    let joined = world.join_all(vec![new_join(), new_join()]);
    for each in &joined {
        let ticket = world.join(join_as(&each.member_id));
        assert_eq!(world.joined(ticket), *each);
    }
    assert_eq!(world.group.state_name(), "CompletingRebalance");
}

#[test]
fn a_change_of_metadata_or_the_leaders_rejoin_starts_a_rebalance() {
    let changed = |id: &MemberId| JoinRequest { protocols: protocols(&["range", "sticky"]), ..join_as(id) };
    for (who, request) in [(0, join_as as fn(&MemberId) -> JoinRequest), (0, changed), (1, changed)] {
        let mut world = World::new();
        let ids = world.stable_of(2);
        let ticket = world.join(request(&ids[who]));
        assert!(world.waits(ticket));
        assert_eq!(world.group.state_name(), "PreparingRebalance");
        assert_eq!(world.heartbeat(&ids[1 - who], 1), Err(GroupError::RebalanceInProgress));
        let other = world.join(join_as(&ids[1 - who]));
        assert_eq!(world.joined(ticket).generation_id, 2);
        assert_eq!(world.joined(other).generation_id, 2);
    }
}

#[test]
fn a_change_while_the_assignment_is_awaited_sends_waiting_syncs_back() {
    let mut world = World::new();
    let joined = world.join_all(vec![new_join(), new_join()]);
    let follower = joined.iter().find(|each| each.member_id != each.group_leader).expect("one follows");
    let sync = world.sync(sync_as(&follower.member_id, 1));
    world.join(JoinRequest { protocols: protocols(&["range", "b"]), ..join_as(&follower.group_leader) });
    assert_eq!(world.refused(sync), GroupError::RebalanceInProgress);
    assert_eq!(world.group.state_name(), "PreparingRebalance");
}

#[test]
fn a_join_that_another_of_the_same_member_overtakes_is_answered() {
    let mut world = World::new();
    let ids = world.stable_of(2);
    let first = world.join(join_as(&ids[0]));
    let second = world.join(join_as(&ids[0]));
    assert_eq!(world.refused(first), GroupError::RebalanceInProgress);
    assert!(world.waits(second));
    world.join(join_as(&ids[1]));
    assert_eq!(world.joined(second).generation_id, 2);
}

#[test]
fn a_pending_id_is_not_for_a_static_member() {
    let mut world = World::new();
    world.join(JoinRequest { member_id_required: true, ..new_join() });
    let given = MemberId::new("c-00000000-0000-0000-0000-000000000001");
    let ticket = world.join(JoinRequest { member_id: given, ..static_join("i") });
    assert_eq!(world.refused(ticket), GroupError::UnknownMemberId);
}
