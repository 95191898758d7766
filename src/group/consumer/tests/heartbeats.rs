//! Who may heartbeat with what, and what is answered.

use super::fixture::*;
use crate::group::consumer::*;
use std::time::Duration;

type Change = fn(&mut HeartbeatRequest);

#[test]
fn a_request_that_contradicts_itself_is_invalid() {
    let cases: &[(&str, Change)] = &[
        ("no member id", |r| r.member_id = MemberId::new("")),
        ("an empty instance id", |r| r.instance_id = Some(GroupInstanceId::new(""))),
        ("an empty rack", |r| r.rack_id = Some(String::new())),
        ("a rack of two kilobytes", |r| r.rack_id = Some("r".repeat(2048))),
        ("a join without a rebalance timeout", |r| r.rebalance_timeout = None),
        ("a join that does not say what it owns", |r| r.owned = None),
        ("a join that owns something", |r| r.owned = Some(ones(&[0]))),
        ("a join without topics", |r| r.subscribed_topic_names = None),
        ("leaving for a while without an instance id", |r| r.member_epoch = -2),
        ("an epoch that there is not", |r| r.member_epoch = -3),
    ];
    for (case, change) in cases {
        let mut group = ConsumerGroup::new(config());
        let mut request = join("m", &["a"]);
        change(&mut request);
        let refused = group.heartbeat(at(0), &request, &topics(&[("a", 1, 1)]));
        assert!(matches!(refused, Err(GroupError::InvalidRequest(_))), "{case}: {refused:?}");
        assert!(group.is_empty() && !group.take_dirty(), "{case}");
    }
}

#[test]
fn an_assignor_that_there_is_not_is_refused() {
    let (mut group, image) = steady(&["m"], 1);
    let request = HeartbeatRequest { server_assignor: Some("sticky".to_owned()), ..join("n", &["a"]) };
    let refused = group.heartbeat(at(0), &request, &image);
    assert_eq!(refused, Err(GroupError::UnsupportedAssignor("sticky".to_owned())));
}

#[test]
fn a_join_is_told_all_its_partitions() {
    let mut group = ConsumerGroup::new(config());
    let answer = group.heartbeat(at(0), &join("m", &["a"]), &topics(&[("a", 1, 2)])).unwrap();
    assert_eq!(answer.member_epoch, 2, "the first target has epoch 2, as Apache Kafka has it since 4.3");
    assert_eq!(answer.assignment, Some(ones(&[0, 1])));
    assert!(answer.heartbeat_interval < config().heartbeat_interval, "others may be about to join too");
    assert!(group.take_dirty());
}

#[test]
fn a_heartbeat_of_a_quiet_group_changes_nothing_and_tells_nothing() {
    let (mut group, image) = steady(&["m"], 2);
    group.take_dirty();
    let answer = group.heartbeat(at(1), &beat("m", 2), &image).unwrap();
    assert_eq!((answer.member_epoch, answer.assignment), (2, None));
    assert!(!group.take_dirty());
}

#[test]
fn a_full_request_is_told_the_assignment_again() {
    let (mut group, image) = steady(&["m"], 2);
    let request = HeartbeatRequest { member_epoch: 2, owned: Some(ones(&[0, 1])), ..join("m", &["a"]) };
    let answer = group.heartbeat(at(1), &request, &image).unwrap();
    assert_eq!(answer.assignment, Some(ones(&[0, 1])));
}

#[test]
fn a_repeated_join_keeps_epoch_and_partitions() {
    let (mut group, image) = steady(&["m", "n"], 4);
    let before = group.describe();
    let answer = group.heartbeat(at(1), &join("m", &["a"]), &image).unwrap();
    assert_eq!(answer.assignment, Some(view(&group, "m").target));
    assert_eq!(group.describe(), before);
}

#[test]
fn a_wrong_member_or_epoch_is_refused() {
    let (mut group, image) = steady(&["m"], 2);
    let fenced = |got| GroupError::FencedMemberEpoch { expected: 2, got };
    let unknown = GroupError::UnknownMemberId;
    let cases = [
        ("a later epoch", beat("m", 3), fenced(3)),
        ("an earlier epoch", owning("m", 1, ones(&[])), fenced(1)),
        ("nobody lives", beat("x", 2), unknown.clone()),
        ("nobody leaves", beat("x", -1), unknown.clone()),
        ("no such instance lives", of_instance(beat("m", 2), "x"), unknown.clone()),
        ("no such instance leaves", of_instance(beat("m", -2), "x"), unknown),
    ];
    group.take_dirty();
    for (case, request, error) in cases {
        assert_eq!(group.heartbeat(at(1), &request, &image), Err(error), "{case}");
        assert!(!group.take_dirty(), "{case}");
    }
}

#[test]
fn a_member_that_missed_an_answer_may_come_with_the_epoch_before() {
    let (mut group, _) = steady(&["m"], 2);
    let image = topics(&[("a", 1, 3), ("b", 2, 1)]);
    group.on_topics_changed(at(1), &image);
    let moved = group.heartbeat(at(1), &beat("m", 2), &image).unwrap();
    assert_eq!((moved.member_epoch, moved.assignment), (3, Some(ones(&[0, 1, 2]))));
    let lost = group.heartbeat(at(2), &owning("m", 2, ones(&[0, 1])), &image).unwrap();
    assert_eq!((lost.member_epoch, lost.assignment), (3, Some(ones(&[0, 1, 2]))));
    let silent = group.heartbeat(at(2), &beat("m", 2), &image);
    assert_eq!(silent, Err(GroupError::FencedMemberEpoch { expected: 3, got: 2 }));
    let strange = group.heartbeat(at(2), &owning("m", 2, ones(&[0, 1, 7])), &image);
    assert_eq!(strange, Err(GroupError::FencedMemberEpoch { expected: 3, got: 2 }));
}

#[test]
fn a_partition_whose_answer_was_lost_is_told_again_to_a_member_that_says_everything() {
    let (mut group, image) = steady(&["m"], 2);
    group.heartbeat(at(1), &join("n", &["a"]), &image).unwrap();
    group.heartbeat(at(2), &beat("m", 2), &image).unwrap();
    group.heartbeat(at(3), &owning("m", 2, ones(&[0])), &image).unwrap();
    let lost = group.heartbeat(at(4), &beat("n", 3), &image).unwrap();
    assert_eq!((lost.member_epoch, lost.assignment), (3, Some(ones(&[1]))));
    assert_eq!(group.state(), ConsumerGroupState::Stable);
    group.take_dirty();

    // Its epoch is the same as before, so that nothing but a full request shows that it missed something.
    let everything = HeartbeatRequest { member_epoch: 3, ..join("n", &["a"]) };
    let by_regex = HeartbeatRequest {
        subscribed_topic_names: None,
        subscribed_topic_regex: Some(String::new()),
        ..everything.clone()
    };
    let cases = [
        ("nothing", beat("n", 3), None),
        ("only what it owns", owning("n", 3, ones(&[])), None),
        ("everything", everything, Some(ones(&[1]))),
        ("everything, with a regex for names", by_regex, Some(ones(&[1]))),
    ];
    for (says, request, told) in cases {
        let answer = group.heartbeat(at(5), &request, &image).unwrap();
        assert_eq!((answer.member_epoch, answer.assignment), (3, told), "{says}");
        assert!(!group.take_dirty(), "{says}");
    }
}

#[test]
fn a_full_group_takes_nobody_but_a_successor() {
    let image = topics(&[("a", 1, 4)]);
    let mut group = ConsumerGroup::new(ConsumerGroupConfig { members_max: 2, ..config() });
    group.heartbeat(at(0), &of_instance(join("m", &["a"]), "i"), &image).unwrap();
    group.heartbeat(at(0), &join("n", &["a"]), &image).unwrap();
    assert_eq!(group.heartbeat(at(0), &join("o", &["a"]), &image), Err(GroupError::GroupMaxSizeReached));
    group.heartbeat(at(0), &join("n", &["a"]), &image).unwrap();
    group.heartbeat(at(0), &of_instance(beat("m", -2), "i"), &image).unwrap();
    group.heartbeat(at(0), &of_instance(join("o", &["a"]), "i"), &image).unwrap();
}

#[test]
fn members_and_partitions_are_bounded_by_what_can_be_stored() {
    let image = topics(&[("a", 1, 40)]);
    let mut small = ConsumerGroup::new(ConsumerGroupConfig { members_bytes_max: 1000, ..config() });
    let joined = (0..10).filter(|n| small.heartbeat(at(0), &join(&format!("m{n}"), &["a"]), &image).is_ok());
    assert_eq!(joined.count(), 3);
    let mut narrow = ConsumerGroup::new(ConsumerGroupConfig { partitions_max: 30, ..config() });
    let refused = narrow.heartbeat(at(0), &join("m", &["a"]), &image);
    assert!(matches!(refused, Err(GroupError::InvalidRequest(_))));
}

#[test]
fn who_joins_without_any_topic_yet_is_welcome() {
    let mut group = ConsumerGroup::new(config());
    let request = HeartbeatRequest { subscribed_topic_names: Some(Default::default()), ..join("m", &["a"]) };
    let joined = group.heartbeat(at(0), &request, &topics(&[("a", 1, 1)]));
    assert!(joined.is_ok() && !group.is_empty(), "{joined:?}");
}

#[test]
fn a_static_member_has_its_instance_id_alone() {
    let image = topics(&[("a", 1, 2)]);
    let mut group = ConsumerGroup::new(config());
    group.heartbeat(at(0), &of_instance(join("m", &["a"]), "i"), &image).unwrap();
    group.heartbeat(at(0), &of_instance(join("n", &["a"]), "j"), &image).unwrap();
    let refused = [
        ("another joins", join("x", &["a"]), GroupError::UnreleasedInstanceId),
        ("another lives", beat("x", 2), GroupError::FencedInstanceId),
        ("another leaves", beat("x", -1), GroupError::FencedInstanceId),
        ("another leaves for a while", beat("x", -2), GroupError::FencedInstanceId),
    ];
    for (case, request, error) in refused {
        assert_eq!(group.heartbeat(at(1), &of_instance(request, "i"), &image), Err(error), "{case}");
    }
    for (case, request) in
        [("the id of another", join("n", &["a"])), ("a changed instance", join("m", &["a"]))]
    {
        let instance = if case.starts_with("the") { "i" } else { "k" };
        let refused = group.heartbeat(at(1), &of_instance(request, instance), &image);
        assert!(matches!(refused, Err(GroupError::InvalidRequest(_))), "{case}: {refused:?}");
    }
    group.heartbeat(at(1), &of_instance(join("m", &["a"]), "i"), &image).unwrap();
}

#[test]
fn a_successor_gets_what_the_static_member_left_and_nobody_else_moves() {
    let (mut group, image) = steady(&["n"], 4);
    group.heartbeat(at(0), &of_instance(join("m", &["a"]), "i"), &image).unwrap();
    settle(&mut group, at(0), &image);
    let (left, other, group_epoch) =
        (view(&group, "m").assignment, view(&group, "n"), group.describe().group_epoch);
    let bye = group.heartbeat(at(1), &of_instance(beat("m", -2), "i"), &image).unwrap();
    assert_eq!((bye.member_epoch, bye.assignment), (-2, None));
    assert_eq!(view(&group, "m").assignment, left);
    let zombie = group.heartbeat(at(1), &of_instance(beat("m", 3), "i"), &image);
    assert_eq!(zombie, Err(GroupError::FencedMemberEpoch { expected: -2, got: 3 }));
    let back = group.heartbeat(at(2), &of_instance(join("o", &["a"]), "i"), &image).unwrap();
    assert_eq!((back.member_epoch, back.assignment), (group_epoch, Some(left)));
    assert_eq!((view(&group, "n"), group.describe().group_epoch), (other, group_epoch));
}

#[test]
fn a_static_member_that_does_not_come_back_is_gone_after_the_session_timeout() {
    let (mut group, image) = steady(&["n"], 4);
    group.heartbeat(at(0), &of_instance(join("m", &["a"]), "i"), &image).unwrap();
    settle(&mut group, at(0), &image);
    group.heartbeat(at(1_000), &of_instance(beat("m", -2), "i"), &image).unwrap();
    let epoch = view(&group, "n").member_epoch;
    group.heartbeat(at(40_000), &beat("n", epoch), &image).unwrap();
    assert_eq!(group.next_deadline(), Some(at(46_000)));
    group.on_time(at(46_000));
    let answer = group.heartbeat(at(46_001), &beat("n", epoch), &image).unwrap();
    assert_eq!(answer.assignment, Some(ones(&[0, 1, 2, 3])));
}

#[test]
fn a_silent_member_is_fenced_and_its_partitions_go_on() {
    let (mut group, image) = steady(&["m", "n"], 2);
    let epoch = view(&group, "n").member_epoch;
    group.heartbeat(at(44_000), &beat("n", epoch), &image).unwrap();
    group.on_time(at(44_999));
    assert_eq!(group.describe().members.len(), 2);
    group.on_time(at(45_000));
    let refused = group.heartbeat(at(45_001), &beat("m", epoch), &image);
    assert_eq!(refused, Err(GroupError::UnknownMemberId));
    let answer = group.heartbeat(at(45_001), &beat("n", epoch), &image).unwrap();
    assert_eq!(answer.assignment, Some(ones(&[0, 1])));
}

#[test]
fn a_member_that_does_not_give_up_in_time_is_fenced() {
    let (mut group, image) = steady(&["m"], 2);
    let answer = group.heartbeat(at(0), &join("n", &["a"]), &image).unwrap();
    assert_eq!(answer.assignment, Some(ones(&[])));
    let told = group.heartbeat(at(1_000), &beat("m", 2), &image).unwrap();
    assert_eq!((told.member_epoch, told.assignment.map(|set| set.len())), (2, Some(1)));
    for second in [20, 40, 60] {
        group.heartbeat(at(second * 1_000), &beat("m", 2), &image).unwrap();
        group.heartbeat(at(second * 1_000), &beat("n", 3), &image).unwrap();
    }
    group.on_time(at(60_999));
    assert_eq!(group.describe().members.len(), 2);
    group.on_time(at(61_000));
    assert!(group.heartbeat(at(61_001), &beat("m", 2), &image).is_err());
    let answer = group.heartbeat(at(61_001), &beat("n", 3), &image).unwrap();
    assert_eq!(answer.assignment, Some(ones(&[0, 1])));
}

#[test]
fn heartbeats_are_short_while_partitions_are_on_their_way_and_soon_after() {
    let (mut group, image) = steady(&["m"], 2);
    let short = Duration::from_millis(200);
    assert_eq!(group.heartbeat(at(0), &join("n", &["a"]), &image).unwrap().heartbeat_interval, short);
    assert_eq!(group.heartbeat(at(1), &beat("m", 2), &image).unwrap().heartbeat_interval, short);
    settle(&mut group, at(2), &image);
    assert_eq!(group.heartbeat(at(1_999), &beat("m", 3), &image).unwrap().heartbeat_interval, short);
    assert_eq!(
        group.heartbeat(at(2_000), &beat("m", 3), &image).unwrap().heartbeat_interval,
        config().heartbeat_interval
    );
}

#[test]
fn members_that_keep_coming_do_not_put_the_target_off_for_ever() {
    let image = topics(&[("a", 1, 30)]);
    let mut group = ConsumerGroup::new(ConsumerGroupConfig::default());
    for n in 0..20 {
        group.heartbeat(at(n * 60), &join(&format!("m{n}"), &["a"]), &image).unwrap();
        group.on_time(at(n * 60));
    }
    let answer = group.heartbeat(at(1_000), &beat("m0", 1), &image).unwrap();
    assert!(answer.member_epoch > 1, "a second after the first came");
}

#[test]
fn members_that_join_together_get_one_target() {
    let image = topics(&[("a", 1, 30)]);
    let mut group = ConsumerGroup::new(ConsumerGroupConfig::default());
    for n in 0..10 {
        let answer = group.heartbeat(at(n), &join(&format!("m{n}"), &["a"]), &image).unwrap();
        assert_eq!((answer.member_epoch, answer.assignment), (1, Some(ones(&[]))));
    }
    assert_eq!((group.next_deadline(), group.state()), (Some(at(209)), ConsumerGroupState::Assigning));
    group.on_time(at(209));
    for n in 0..10 {
        let answer = group.heartbeat(at(400 + n), &beat(&format!("m{n}"), 1), &image).unwrap();
        assert_eq!((answer.member_epoch, answer.assignment.map(|set| set.len())), (11, Some(3)));
    }
    assert_eq!(group.state(), ConsumerGroupState::Stable);
}
