//! What changes a group, and how partitions go from one member to another.

use super::fixture::*;
use crate::group::consumer::*;
use crate::types::Moment;

#[test]
fn a_partition_goes_over_only_when_it_was_given_up() {
    let (mut group, image) = steady(&["m"], 2);
    let joined = group.heartbeat(at(1), &join("n", &["a"]), &image).unwrap();
    assert_eq!((joined.member_epoch, joined.assignment), (3, Some(ones(&[]))));
    let told = group.heartbeat(at(2), &beat("m", 2), &image).unwrap();
    assert_eq!((told.member_epoch, told.assignment), (2, Some(ones(&[0]))));
    assert_eq!(group.heartbeat(at(3), &beat("n", 3), &image).unwrap().assignment, None);
    let busy = group.heartbeat(at(4), &owning("m", 2, ones(&[0, 1])), &image).unwrap();
    assert_eq!((busy.member_epoch, busy.assignment), (2, None));
    assert_eq!(group.heartbeat(at(5), &beat("n", 3), &image).unwrap().assignment, None);
    assert_eq!(group.state(), ConsumerGroupState::Reconciling);
    let done = group.heartbeat(at(6), &owning("m", 2, ones(&[0])), &image).unwrap();
    assert_eq!((done.member_epoch, done.assignment), (3, None));
    assert_eq!(group.heartbeat(at(7), &beat("n", 3), &image).unwrap().assignment, Some(ones(&[1])));
    assert_eq!(group.state(), ConsumerGroupState::Stable);
}

#[test]
fn every_change_that_matters_raises_the_group_epoch_once() {
    type Act = fn(&mut ConsumerGroup, &TopicsImage, Moment);
    let cases: &[(&str, i32, Act)] = &[
        ("a join", 1, |group, image, now| {
            group.heartbeat(now, &join("n", &["a"]), image).unwrap();
        }),
        ("a leave", 1, |group, image, now| {
            group.heartbeat(now, &beat("m", -1), image).unwrap();
        }),
        ("another subscription", 1, |group, image, now| {
            let names = Some([name("b")].into());
            group
                .heartbeat(now, &HeartbeatRequest { subscribed_topic_names: names, ..beat("m", 2) }, image)
                .unwrap();
        }),
        ("the same subscription", 0, |group, image, now| {
            let names = Some([name("a")].into());
            group
                .heartbeat(now, &HeartbeatRequest { subscribed_topic_names: names, ..beat("m", 2) }, image)
                .unwrap();
        }),
        ("a regex besides", 1, |group, image, now| {
            let regex = Some("b.*".to_owned());
            group
                .heartbeat(now, &HeartbeatRequest { subscribed_topic_regex: regex, ..beat("m", 2) }, image)
                .unwrap();
        }),
        ("another assignor", 0, |group, image, now| {
            let assignor = Some("range".to_owned());
            group
                .heartbeat(now, &HeartbeatRequest { server_assignor: assignor, ..beat("m", 2) }, image)
                .unwrap();
            assert!(group.take_dirty());
        }),
        ("more partitions", 1, |group, _, now| group.on_topics_changed(now, &topics(&[("a", 1, 3)]))),
        ("a deleted topic", 1, |group, _, now| group.on_topics_changed(now, &topics(&[]))),
        ("a topic created anew", 1, |group, _, now| group.on_topics_changed(now, &topics(&[("a", 9, 2)]))),
        ("a topic of others", 0, |group, _, now| {
            group.on_topics_changed(now, &topics(&[("a", 1, 2), ("c", 3, 1)]));
            assert!(!group.take_dirty());
        }),
    ];
    for (case, bumps, act) in cases {
        let (mut group, _) = steady(&["m"], 2);
        let before = group.describe().group_epoch;
        group.take_dirty();
        act(&mut group, &topics(&[("a", 1, 2), ("b", 2, 2)]), at(1));
        assert_eq!(group.describe().group_epoch - before, *bumps, "{case}");
    }
}

#[test]
fn a_topic_that_is_not_wanted_any_more_is_given_up_before_there_is_a_new_target() {
    let image = topics(&[("a", 1, 2), ("b", 2, 2)]);
    let mut group = ConsumerGroup::new(ConsumerGroupConfig::default());
    group.heartbeat(at(0), &join("m", &["a", "b"]), &image).unwrap();
    group.on_time(at(50));
    let all = group.heartbeat(at(200), &beat("m", 1), &image).unwrap();
    assert_eq!((all.member_epoch, all.assignment.map(|set| set.len())), (2, Some(4)));
    let names = Some([name("a")].into());
    let less = HeartbeatRequest { subscribed_topic_names: names, ..beat("m", 2) };
    let answer = group.heartbeat(at(300), &less, &image).unwrap();
    assert_eq!((answer.member_epoch, answer.assignment), (2, Some(ones(&[0, 1]))));
}

#[test]
fn a_join_moves_no_more_than_it_must() {
    let (mut group, image) = steady(&["m0", "m1", "m2"], 12);
    let before: Vec<_> = ["m0", "m1", "m2"].map(|id| (id, view(&group, id).assignment)).into();
    group.heartbeat(at(1), &join("n", &["a"]), &image).unwrap();
    settle(&mut group, at(1), &image);
    for (id, had) in before {
        let has = view(&group, id).assignment;
        assert!(has.is_subset(&had) && has.len() == 3, "{id}: {had:?} -> {has:?}");
    }
}

#[test]
fn what_an_absent_static_member_shall_not_have_any_more_is_free_at_once() {
    let (mut group, image) = steady(&["n"], 4);
    group.heartbeat(at(0), &of_instance(join("m", &["a"]), "i"), &image).unwrap();
    settle(&mut group, at(0), &image);
    group.heartbeat(at(1), &of_instance(beat("m", -2), "i"), &image).unwrap();
    let left = view(&group, "m").assignment;
    group.heartbeat(at(2), &join("o", &["a"]), &image).unwrap();
    let rest = view(&group, "m").assignment;
    assert!(rest.is_subset(&left) && rest == view(&group, "m").target);
}

#[test]
fn most_votes_decide_the_assignor() {
    let image = topics(&[("a", 1, 4), ("b", 2, 4)]);
    let mut group = ConsumerGroup::new(config());
    assert_eq!(group.describe().assignor, "uniform");
    for (id, assignor) in [("m", Some("range")), ("n", None), ("o", Some("range")), ("p", Some("uniform"))] {
        let request =
            HeartbeatRequest { server_assignor: assignor.map(str::to_owned), ..join(id, &["a", "b"]) };
        group.heartbeat(at(0), &request, &image).unwrap();
    }
    assert_eq!(group.describe().assignor, "range");
    settle(&mut group, at(0), &image);
    assert_eq!(view(&group, "m").assignment, [tp(1, 0), tp(2, 0)].into());
}

#[test]
fn a_group_is_described_by_its_members_and_may_be_deleted_when_empty() {
    let (mut group, image) = steady(&["m"], 2);
    let view = group.describe();
    assert_eq!(
        (view.state.to_string(), view.group_epoch, view.assignment_epoch),
        ("Stable".to_owned(), 2, 2)
    );
    let member = &view.members[0];
    assert_eq!((&member.assignment, &member.target), (&ones(&[0, 1]), &ones(&[0, 1])));
    assert_eq!(member.subscribed_topic_names, [name("a")]);
    assert!(group.subscribed_to(&name("a")) && !group.subscribed_to(&name("b")));
    assert_eq!(group.topic_name(topic(1)), Some(&name("a")));
    assert_eq!(group.check_deletion(), Err(GroupError::NonEmptyGroup));
    group.heartbeat(at(1), &beat("m", -1), &image).unwrap();
    let view = group.describe();
    assert_eq!((view.state.to_string(), view.group_epoch, view.assignment_epoch), ("Empty".to_owned(), 3, 3));
    assert_eq!(group.check_deletion(), Ok(()));
    assert_eq!(group.next_deadline(), None);
}
