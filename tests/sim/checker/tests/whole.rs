//! What is left in the end, and whether everybody gets on.

use super::super::super::history::*;
use super::story::*;
use super::{Anomaly, twins};

#[test]
fn segments_that_are_not_what_is_fetched_are_caught() {
    for change in 0..4 {
        twins(Anomaly::SegmentsDiffer, |story| {
            story.sent(1, PLACE, 0, &[10, 11, 12]);
            let [_, read] = story.finals(PLACE, &[(0, 10), (1, 11), (2, 12)], 3);
            let mut records = story.records(&[(0, 10), (1, 11)]);
            let mut archived = 2;
            match story.pick(4, change) {
                0 => archived = 3,
                1 => archived = 1,
                2 => {
                    records.remove(0);
                }
                3 => records.swap(0, 1),
                _ => {}
            }
            let moment = story.fact(0, Fact::Segments { place: PLACE, archived, records });
            vec![read, moment]
        });
    }
}

#[test]
fn segments_lack_only_what_may_have_gone_since() {
    let limited = TopicSettings { delete: true, retention_bytes: Some(1), ..KEEP };
    let compact = TopicSettings { compact: true, ..KEEP };
    for settings in [limited, compact] {
        twins(Anomaly::SegmentsDiffer, |story| {
            let settings = story.pick(settings, KEEP);
            story.topic("topic", TOPIC, settings);
            let keyed = |number| Sent { key: Some(1), ..sent(number) };
            let request = story.send_records(1, PLACE, vec![keyed(10), keyed(11)], How::default());
            story.ok(request, Answer::Sent { offset: Some(0), start: None });
            let [_, read] = story.finals(PLACE, &[(0, 10), (1, 11)], 2);
            let records = story.records(&[(1, 11)]);
            vec![read, story.fact(0, Fact::Segments { place: PLACE, archived: 2, records })]
        });
    }
}

#[test]
fn a_client_that_does_not_get_on_is_caught() {
    let roles = [Role::Producer, Role::Transactional, Role::Reader, Role::Member, Role::Operator];
    for role in roles {
        twins(Anomaly::Stuck, |story| {
            let started = story.fact(1, Fact::Started { name: "one".to_owned(), role });
            story.fact(5, Fact::Started { name: "gone".to_owned(), role });
            story.fact(5, Fact::Stopped);
            let ended = story.fact(0, Fact::FaultsEnded);
            story.now += story.pick(29, 30) * SECOND;
            let place = PLACE;
            let [_, last] = match role {
                Role::Producer => story.sent(1, place, 0, &[10]),
                Role::Transactional => {
                    let call = Call::EndTransaction { transaction: 1, verdict: Verdict::Commit };
                    story.done(1, call, Answer::Done)
                }
                Role::Reader => story.read(1, place, 0, &[], 0),
                Role::Member => {
                    let (group, member) = ("g".to_owned(), "m".to_owned());
                    let commit =
                        OffsetCommit { group, member, epoch: 1, place, offset: 5, transaction: None };
                    story.done(1, Call::Commit(commit), Answer::Done)
                }
                Role::Operator => story.done(1, Call::Other("merge".to_owned()), Answer::Done),
            };
            if role == Role::Producer {
                story.finals(place, &[(0, 10)], 1);
            }
            vec![started, ended, last]
        });
    }
}

#[test]
fn a_member_without_a_share_gets_on_with_its_group_alone() {
    twins(Anomaly::Stuck, |story| {
        let started = story.fact(1, Fact::Started { name: "one".to_owned(), role: Role::Member });
        let ended = story.fact(0, Fact::FaultsEnded);
        let member = "idle".to_owned();
        let call = Call::Heartbeat {
            group: "g".to_owned(),
            member: member.clone(),
            instance: None,
            owned: Vec::new(),
        };
        let [_, last] = story.done(1, call, Answer::Assigned { member, epoch: 1, places: Some(Vec::new()) });
        let (group, member) = (story.pick("g", "another").to_owned(), "busy".to_owned());
        let commit = OffsetCommit { group, member, epoch: 1, place: PLACE, offset: 5, transaction: None };
        story.done(2, Call::Commit(commit), Answer::Done);
        vec![started, ended, last]
    });
}

#[test]
fn what_fsck_finds_is_told() {
    twins(Anomaly::FsckProblem, |story| {
        let problems = story.pick(vec![], vec!["a segment is missing".to_owned()]);
        vec![story.fact(0, Fact::Fsck { problems, unreferenced_bytes: 5, allowed_bytes: 5 })]
    });
}

#[test]
fn what_is_left_behind_is_bounded() {
    twins(Anomaly::LeftBehind, |story| {
        let unreferenced_bytes = story.pick(5, 6);
        vec![story.fact(0, Fact::Fsck { problems: vec![], unreferenced_bytes, allowed_bytes: 5 })]
    });
}
