//! Commits, deletions, subscriptions, and what DescribeGroups sees.

use super::super::CommitIdentity;
use super::*;

fn by(member_id: &str, instance: Option<&str>, generation_id: i32) -> CommitIdentity {
    let group_instance_id = instance.map(GroupInstanceId::new);
    CommitIdentity { member_id: MemberId::new(member_id), group_instance_id, generation_id }
}

#[test]
fn who_may_commit_in_which_state() {
    use GroupError::{FencedInstanceId, IllegalGeneration, RebalanceInProgress, UnknownMemberId};
    let mut world = World::new();
    let empty = [
        (by("", None, -1), Ok(()), Ok(())),
        (by("x", None, -1), Ok(()), Ok(())),
        (by("x", None, 0), Err(UnknownMemberId), Err(UnknownMemberId)),
        (by("", None, 0), Err(UnknownMemberId), Err(UnknownMemberId)),
    ];
    check_commits(&world, "Empty", &empty);
    let joined = world.join_all(vec![static_join("s")]);
    let id = joined[0].member_id.to_string();
    let present = |refused: Result<(), GroupError>| {
        vec![
            (by(&id, None, 1), refused.clone(), Ok(())),
            (by(&id, Some("s"), 1), refused, Ok(())),
            (by(&id, Some("s"), 0), Err(IllegalGeneration), Err(IllegalGeneration)),
            (by(&id, None, 2), Err(IllegalGeneration), Err(IllegalGeneration)),
            (by(&id, None, -1), Err(IllegalGeneration), Err(IllegalGeneration)),
            (by("x", Some("s"), 1), Err(FencedInstanceId), Err(FencedInstanceId)),
            (by("x", Some("x"), 1), Err(UnknownMemberId), Err(UnknownMemberId)),
            (by("x", None, 1), Err(UnknownMemberId), Err(UnknownMemberId)),
            (by("", None, -1), Err(UnknownMemberId), Ok(())),
        ]
    };
    check_commits(&world, "CompletingRebalance", &present(Err(RebalanceInProgress)));
    world.sync_all(&joined);
    check_commits(&world, "Stable", &present(Ok(())));
    world.join(new_join());
    check_commits(&world, "PreparingRebalance", &present(Ok(())));
}

type Commit = (CommitIdentity, Result<(), GroupError>, Result<(), GroupError>);

fn check_commits(world: &World, state: &str, cases: &[Commit]) {
    assert_eq!(world.group.state_name(), state);
    for (who, plain, transactional) in cases {
        assert_eq!(world.group.check_offset_commit(who), *plain, "{state} {who:?}");
        assert_eq!(
            world.group.check_txn_offset_commit(who),
            *transactional,
            "{state} {who:?} in a transaction"
        );
    }
}

#[test]
fn only_an_empty_group_is_deleted() {
    let mut world = World::new();
    assert_eq!(world.group.check_delete(), Ok(()));
    let ids = world.stable_of(1);
    assert_eq!(world.group.check_delete(), Err(GroupError::NonEmptyGroup));
    world.leave(&[(&ids[0], None)]);
    assert_eq!(world.group.check_delete(), Ok(()));
}

#[test]
fn offsets_of_topics_that_consumers_read_are_kept() {
    let mut world = World::new();
    let other = vec![Protocol { name: "range".to_owned(), metadata: subscription_to(&["u"]) }];
    assert!(!world.group.is_subscribed("t"));
    world.join(new_join());
    assert!(world.group.is_subscribed("anything"), "not known before the first generation");
    world.join(JoinRequest { protocols: other, ..new_join() });
    world.pass(DELAY * 2);
    assert_eq!(world.group.check_offset_delete(), Ok(()));
    let read = ["t", "u", "v"].map(|topic| world.group.is_subscribed(topic));
    assert_eq!(read, [true, true, false]);
    assert_eq!(world.group.subscribed_topics().expect("known").collect::<Vec<_>>(), ["t", "u"]);
    world.pass(SESSION);
    assert!(world.group.is_empty());
    assert!(!world.group.is_subscribed("t"), "nobody reads it now");
}

#[test]
fn where_subscriptions_cannot_be_read_all_topics_are_taken_for_read() {
    let mut world = World::new();
    let odd = vec![Protocol { name: "range".to_owned(), metadata: Bytes::from_static(b"odd") }];
    world.stable(vec![JoinRequest { protocols: odd, ..new_join() }]);
    assert!(world.group.is_subscribed("anything"));
    assert!(world.group.subscribed_topics().is_none());
}

#[test]
fn offsets_of_a_group_of_others_are_kept_while_it_has_members() {
    let mut world = World::new();
    let ids = world.stable(vec![JoinRequest { protocol_type: "connect".to_owned(), ..new_join() }]);
    assert_eq!(world.group.check_offset_delete(), Err(GroupError::NonEmptyGroup));
    assert!(!world.group.is_subscribed("t"));
    world.leave(&[(&ids[0], None)]);
    assert_eq!(world.group.check_offset_delete(), Ok(()));
}

#[test]
fn members_are_shown_with_their_metadata_only_while_the_group_is_stable() {
    let mut world = World::new();
    let ids = world.stable(vec![static_join("s")]);
    let view = world.group.members().remove(0);
    assert_eq!(view.member_id, ids[0]);
    assert_eq!(view.group_instance_id, Some(GroupInstanceId::new("s")));
    assert_eq!((view.client_id.as_str(), view.client_host.as_str()), ("c", "/10.0.0.1"));
    assert_eq!(view.metadata, subscription_to(&["t"]));
    assert_eq!(view.assignment, ids[0].as_str().as_bytes());
    world.join(new_join());
    let view = world.group.members().into_iter().find(|view| view.member_id == ids[0]).expect("still in");
    assert_eq!(view.metadata, Bytes::new());
}
