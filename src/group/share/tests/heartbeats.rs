//! Membership of a share group.

use super::fixture::*;
use crate::group::GroupError;
use crate::group::share::*;

fn group_of(members: &[&str], partitions: i32) -> (ShareGroup, crate::group::consumer::TopicsImage) {
    let image = topics(&[("a", 1, partitions)]);
    let mut group = ShareGroup::new(ShareGroupConfig::default());
    for member in members {
        group.heartbeat(at(0), &join(member, &["a"]), &image).unwrap();
    }
    for member in group.describe().members {
        let request = beat(member.member_id.as_str(), member.member_epoch);
        group.heartbeat(at(0), &request, &image).unwrap();
    }
    group.take_dirty();
    (group, image)
}

fn assigned(group: &ShareGroup, member: &str) -> crate::group::consumer::PartitionSet {
    let view = group.describe().members.into_iter().find(|view| view.member_id.as_str() == member);
    view.unwrap().assignment
}

#[test]
fn the_first_member_gets_everything_at_once() {
    let image = topics(&[("a", 1, 3)]);
    let mut group = ShareGroup::new(ShareGroupConfig::default());
    assert_eq!(group.state(), ShareGroupState::Empty);
    let answer = group.heartbeat(at(0), &join("m", &["a"]), &image).unwrap();
    assert_eq!((answer.member_epoch, answer.assignment), (1, Some(ones(&[0, 1, 2]))));
    assert_eq!(group.state(), ShareGroupState::Stable);
    assert!(group.take_dirty());
    let answer = group.heartbeat(at(1), &beat("m", 1), &image).unwrap();
    assert_eq!((answer.member_epoch, answer.assignment), (1, None));
    assert_eq!(answer.heartbeat_interval.as_millis(), 5_000);
    assert!(!group.take_dirty());
}

#[test]
fn nobody_waits_for_anybody() {
    let (mut group, image) = group_of(&["m"], 4);
    let answer = group.heartbeat(at(1), &join("n", &["a"]), &image).unwrap();
    assert_eq!(answer.assignment.unwrap().len(), 2);
    assert_eq!(answer.heartbeat_interval.as_millis(), 200);
    assert_eq!(assigned(&group, "m").len(), 4);
    let answer = group.heartbeat(at(2), &beat("m", 1), &image).unwrap();
    assert_eq!((answer.member_epoch, answer.assignment.map(|set| set.len())), (2, Some(2)));
    assert_eq!(answer.heartbeat_interval.as_millis(), 5_000);
}

#[test]
fn more_members_than_partitions_share_them() {
    let (group, _) = group_of(&["k", "l", "m", "n"], 2);
    for member in ["k", "l", "m", "n"] {
        assert_eq!(assigned(&group, member).len(), 1);
    }
    let with_first = group.describe().members.iter().filter(|m| m.assignment == ones(&[0])).count();
    assert_eq!(with_first, 2);
}

#[test]
fn who_may_come_with_which_epoch() {
    let fenced = |got| Err(GroupError::FencedMemberEpoch { expected: 2, got });
    for (member, epoch, expected) in [
        ("m", 2, Ok(2)),
        ("m", 1, Ok(2)),
        ("m", 0, Ok(2)),
        ("m", 3, fenced(3)),
        ("n", 1, fenced(1)),
        ("x", 1, Err(GroupError::UnknownMemberId)),
        ("x", -1, Err(GroupError::UnknownMemberId)),
        ("x", -2, Err(GroupError::InvalidRequest("there is no such member epoch"))),
        ("", 0, Err(GroupError::InvalidRequest("the member id is empty"))),
    ] {
        let (mut group, image) = group_of(&["m", "n"], 2);
        let names = if epoch == 0 { join(member, &["a"]) } else { beat(member, epoch) };
        let answer = group.heartbeat(at(0), &names, &image).map(|answer| answer.member_epoch);
        assert_eq!(answer, expected, "{member} {epoch}");
    }
    let (mut group, image) = group_of(&["m"], 2);
    let answer = group.heartbeat(at(0), &beat("n", 0), &image);
    assert_eq!(answer, Err(GroupError::InvalidRequest("a member joins with topic names")));
}

#[test]
fn a_lost_answer_is_given_again() {
    let (mut group, image) = group_of(&["m", "n"], 2);
    let lost = group.heartbeat(at(0), &beat("m", 1), &image).unwrap();
    assert!(lost.assignment.is_some());
    let again = group.heartbeat(at(0), &join("m", &["a"]), &image).unwrap();
    assert_eq!((again.member_epoch, again.assignment), (2, lost.assignment));
    assert_eq!(group.group_epoch(), 2);
}

#[test]
fn a_group_and_its_texts_have_an_end() {
    let image = topics(&[("a", 1, 2)]);
    let small = ShareGroupConfig { members_max: 2, ..ShareGroupConfig::default() };
    let mut group = ShareGroup::new(small);
    group.heartbeat(at(0), &join("k", &["a"]), &image).unwrap();
    group.heartbeat(at(0), &join("l", &["a"]), &image).unwrap();
    assert_eq!(group.heartbeat(at(0), &join("m", &["a"]), &image), Err(GroupError::GroupMaxSizeReached));
    assert!(group.heartbeat(at(0), &join("k", &["a"]), &image).is_ok());

    let mut group =
        ShareGroup::new(ShareGroupConfig { members_bytes_max: 500, ..ShareGroupConfig::default() });
    group.heartbeat(at(0), &join("k", &["a"]), &image).unwrap();
    let mut long = join("l", &["a"]);
    long.rack_id = Some("r".repeat(300));
    assert_eq!(group.heartbeat(at(0), &long, &image), Err(GroupError::GroupMaxSizeReached));
    long.rack_id = Some("r".repeat(2_000));
    let too_long = GroupError::InvalidRequest("a text of the request is too long");
    assert_eq!(group.heartbeat(at(0), &long, &image), Err(too_long));

    let mut group = ShareGroup::new(ShareGroupConfig { partitions_max: 1, ..ShareGroupConfig::default() });
    assert!(matches!(group.heartbeat(at(0), &join("k", &["a"]), &image), Err(GroupError::InvalidRequest(_))));
    assert!(group.is_empty() && !group.take_dirty());
}

#[test]
fn the_silent_and_those_that_leave_make_room() {
    let (mut group, image) = group_of(&["m", "n"], 2);
    group.heartbeat(at(10_000), &beat("m", 2), &image).unwrap();
    assert_eq!(group.next_deadline(), Some(at(45_000)));
    assert_eq!(group.on_time(at(44_999)), []);
    assert_eq!(group.on_time(at(45_000)), [id("n")]);
    assert!(group.take_dirty() && !group.has_member(&id("n")));
    let answer = group.heartbeat(at(45_000), &beat("m", 2), &image).unwrap();
    assert_eq!((answer.member_epoch, answer.assignment), (3, Some(ones(&[0, 1]))));
    assert_eq!(group.check_deletion(), Err(GroupError::NonEmptyGroup));
    let answer = group.heartbeat(at(45_000), &beat("m", SHARE_LEAVE_EPOCH), &image).unwrap();
    assert_eq!((answer.member_epoch, answer.assignment), (SHARE_LEAVE_EPOCH, None));
    assert_eq!(group.check_deletion(), Ok(()));
    assert_eq!((group.group_epoch(), group.next_deadline()), (4, None));
}

#[test]
fn subscriptions_and_topics_change() {
    let (mut group, image) = group_of(&["m"], 2);
    let mut anew = join("m", &["a", "b"]);
    anew.member_epoch = 1;
    let answer = group.heartbeat(at(0), &anew, &image).unwrap();
    assert_eq!((answer.member_epoch, answer.assignment), (2, Some(ones(&[0, 1]))));
    assert!(group.subscribed_to(&name("b")));
    let grown = topics(&[("a", 1, 3), ("b", 2, 1)]);
    group.on_topics_changed(&grown);
    assert_eq!(group.topic_name(topic(2)), Some(&name("b")));
    let answer = group.heartbeat(at(0), &beat("m", 2), &grown).unwrap();
    assert_eq!((answer.member_epoch, answer.assignment.unwrap().len()), (3, 4));
    group.take_dirty();
    group.on_topics_changed(&grown);
    assert!(!group.take_dirty());
    group.on_topics_changed(&topics(&[("b", 2, 1)]));
    let answer = group.heartbeat(at(0), &beat("m", 3), &grown).unwrap();
    assert_eq!(answer.assignment, Some([tp(2, 0)].into()));
}
