//! LeaveGroup.

use super::*;

#[test]
fn members_leave_by_id_or_by_instance_id_each_with_its_own_answer() {
    let mut world = World::new();
    let ids = world.stable(vec![new_join(), static_join("a"), static_join("b"), static_join("c")]);
    let holder =
        |prefix: &str| ids.iter().find(|id| id.as_str().starts_with(prefix)).expect("joined").clone();
    let (plain, nobody, stranger) = (holder("c-"), MemberId::default(), MemberId::new("x"));
    let results = world.leave(&[
        (&nobody, Some("a")),
        (&nobody, Some("a")),
        (&nobody, None),
        (&stranger, None),
        (&stranger, Some("b")),
        (&holder("b-"), Some("b")),
        (&plain, Some("none")),
    ]);
    let unknown = || Err(GroupError::UnknownMemberId);
    assert_eq!(
        results,
        [Ok(()), unknown(), unknown(), unknown(), Err(GroupError::FencedInstanceId), Ok(()), unknown()]
    );
    assert_eq!(world.group.state_name(), "PreparingRebalance");
    assert_eq!(world.group.members().len(), 2);
}

#[test]
fn when_all_leave_the_group_is_empty() {
    let mut world = World::new();
    let ids = world.stable_of(2);
    assert_eq!(world.leave(&[(&ids[0], None), (&ids[1], None)]), [Ok(()), Ok(())]);
    assert_eq!((world.group.state_name(), world.group.generation_id()), ("Empty", 2));
    assert!(world.group.take_dirty());
    assert!(world.group.is_idle());
}

#[test]
fn the_wait_of_the_others_ends_when_the_missing_one_leaves() {
    let mut world = World::new();
    let ids = world.stable_of(2);
    let ticket = world.join(join_as(&ids[0]));
    assert!(world.waits(ticket));
    world.leave(&[(&ids[1], None)]);
    assert_eq!(world.joined(ticket).generation_id, 2);
}

#[test]
fn what_a_member_waits_for_when_it_leaves_is_answered() {
    let mut world = World::new();
    let ids = world.stable_of(2);
    let join = world.join(join_as(&ids[0]));
    world.leave(&[(&ids[0], None)]);
    assert_eq!(world.refused(join), GroupError::UnknownMemberId);

    let mut world = World::new();
    let joined = world.join_all(vec![new_join(), new_join()]);
    let follower = joined.iter().find(|each| each.member_id != each.group_leader).expect("one follows");
    let sync = world.sync(sync_as(&follower.member_id, 1));
    world.leave(&[(&follower.member_id, None)]);
    assert_eq!(world.refused(sync), GroupError::UnknownMemberId);
}

#[test]
fn when_the_leader_leaves_another_leads() {
    let mut world = World::new();
    let ids = world.stable_of(3);
    world.leave(&[(&ids[0], None)]);
    let tickets = [world.join(join_as(&ids[1])), world.join(join_as(&ids[2]))];
    let group_leader = world.joined(tickets[0]).group_leader;
    assert!(ids[1..].contains(&group_leader));
    assert_eq!(world.joined(tickets[1]).group_leader, group_leader);
}

#[test]
fn one_that_had_not_joined_yet_leaves_unnoticed() {
    let mut world = World::new();
    let ids = world.stable_of(1);
    world.join(JoinRequest { member_id_required: true, ..new_join() });
    let given = MemberId::new("c-00000000-0000-0000-0000-000000000002");
    assert_eq!(world.leave(&[(&given, None)]), [Ok(())]);
    assert_eq!(world.group.state_name(), "Stable");
    world.join(JoinRequest { member_id_required: true, ..new_join() });
    let given = MemberId::new("c-00000000-0000-0000-0000-000000000003");
    let ticket = world.join(join_as(&ids[0]));
    assert!(world.waits(ticket));
    world.leave(&[(&given, None)]);
    assert_eq!(world.joined(ticket).generation_id, 2, "those that waited for it go on");
}
