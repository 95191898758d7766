//! The way from the classic protocol to the new one and back, while members live.

use super::fixture::*;
use super::restores::restored;
use crate::group::consumer::*;
use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;
use std::time::Duration;

fn named(
    partitions: &[(&str, &[i32])],
) -> std::collections::BTreeMap<String, std::collections::BTreeSet<i32>> {
    partitions.iter().map(|(topic, list)| ((*topic).to_owned(), list.iter().copied().collect())).collect()
}

/// A subscription of version 1 as clients write it.
fn metadata(names: &[&str], owned: &[(&str, &[i32])]) -> Bytes {
    let mut to = BytesMut::new();
    let text = |to: &mut BytesMut, text: &str| {
        to.put_i16(text.len() as i16);
        to.put_slice(text.as_bytes());
    };
    to.put_i16(1);
    to.put_i32(names.len() as i32);
    names.iter().for_each(|name| text(&mut to, name));
    to.put_i32(-1);
    to.put_i32(owned.len() as i32);
    for (topic, partitions) in owned {
        text(&mut to, topic);
        to.put_i32(partitions.len() as i32);
        partitions.iter().for_each(|partition| to.put_i32(*partition));
    }
    to.freeze()
}

fn protocols(owned: &[(&str, &[i32])]) -> Vec<ClassicProtocol> {
    vec![ClassicProtocol { name: "cooperative-sticky".to_owned(), metadata: metadata(&["a"], owned) }]
}

pub(super) fn classic_join(member_id: &str, owned: &[(&str, &[i32])]) -> ClassicJoin {
    ClassicJoin {
        join_as: JoinAs::Known(MemberId::new(member_id)),
        instance_id: None,
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        session_timeout: Duration::from_secs(10),
        rebalance_timeout: Duration::from_secs(30),
        protocol_type: "consumer".to_owned(),
        protocols: protocols(owned),
    }
}

pub(super) fn of(member_id: &str, generation_id: i32) -> ClassicRequest {
    ClassicRequest { member_id: MemberId::new(member_id), instance_id: None, generation_id }
}

pub(super) fn snapshot(members: &[(&str, &[i32])]) -> ClassicSnapshot {
    let member = |(id, partitions): &(&str, &[i32])| ClassicSnapshotMember {
        member_id: MemberId::new(id),
        instance_id: None,
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        session_timeout: Duration::from_secs(10),
        rebalance_timeout: Duration::from_secs(30),
        protocols: protocols(&[]),
        assignment: encode_assignment(1, &named(&[("a", partitions)])),
    };
    ClassicSnapshot {
        generation_id: 7,
        generation_heard: 7,
        protocol_type: "consumer".to_owned(),
        members: members.iter().map(member).collect(),
    }
}

fn image() -> TopicsImage {
    topics(&[("a", 1, 4)])
}

fn upgraded() -> ConsumerGroup {
    let classic = snapshot(&[("c", &[0, 1]), ("d", &[2, 3])]);
    ConsumerGroup::upgrade(&classic, config(), at(0), &image()).unwrap()
}

fn synced(group: &mut ConsumerGroup, member_id: &str, generation_id: i32) -> Vec<i32> {
    let bytes = group.sync_classic(at(1), &of(member_id, generation_id), None, None).unwrap();
    decode_assignment(&bytes).unwrap().remove("a").unwrap_or_default().into_iter().collect()
}

#[test]
fn members_of_an_upgraded_group_go_on_as_they_were() {
    let mut group = upgraded();
    assert_eq!((group.state(), group.describe().group_epoch), (ConsumerGroupState::Stable, 7));
    assert_eq!(group.heartbeat_classic(at(1), &of("c", 7)), Ok(()));
    assert_eq!(synced(&mut group, "c", 7), [0, 1]);
    assert_eq!(view(&group, "c").protocol, MemberProtocol::Classic);
    assert_eq!(restored(&group, config(), at(0)).describe(), group.describe());
    assert_eq!(
        group.downgrade().map(|back| back.members),
        Some(snapshot(&[("c", &[0, 1]), ("d", &[2, 3])]).members)
    );
}

#[test]
fn classic_members_give_up_for_the_first_new_member_one_by_one() {
    let (mut group, image) = (upgraded(), image());
    let joined = group.heartbeat(at(0), &join("n", &["a"]), &image).unwrap();
    assert_eq!((joined.member_epoch, joined.assignment), (8, Some(ones(&[]))));
    assert_eq!(group.downgrade(), None);
    assert_eq!(group.heartbeat_classic(at(1), &of("c", 7)), Err(GroupError::RebalanceInProgress));
    assert!(matches!(
        group.sync_classic(at(1), &of("c", 7), None, None),
        Err(GroupError::RebalanceInProgress)
    ));
    let told = group.join_classic(at(2), &classic_join("c", &[("a", &[0, 1])]), &image).unwrap();
    let left = synced(&mut group, "c", told.generation_id);
    if left.len() == 1 {
        assert_eq!(told.generation_id, 7, "it stays there until it has given up");
        assert_eq!(group.heartbeat_classic(at(3), &of("c", 7)), Err(GroupError::RebalanceInProgress));
        let done = group.join_classic(at(4), &classic_join("c", &[("a", &left)]), &image).unwrap();
        assert_eq!((done.generation_id, synced(&mut group, "c", 8)), (8, left));
    }
    let eager = group.join_classic(at(5), &classic_join("d", &[]), &image).unwrap();
    assert_eq!((eager.generation_id, eager.protocol_name.as_str()), (8, "cooperative-sticky"));
    group.heartbeat(at(6), &beat("n", 8), &image).unwrap();
    assert_eq!(group.state(), ConsumerGroupState::Stable);
    let counts: Vec<usize> = group.describe().members.iter().map(|member| member.assignment.len()).collect();
    assert_eq!(counts.iter().sum::<usize>(), 4);
    for id in ["c", "d"] {
        assert_eq!(group.heartbeat_classic(at(7), &of(id, 8)), Ok(()));
    }
}

#[test]
fn the_group_is_given_back_when_the_last_new_member_leaves() {
    let (mut group, image) = (upgraded(), image());
    group.heartbeat(at(0), &join("n", &["a"]), &image).unwrap();
    group.heartbeat(at(1), &beat("n", -1), &image).unwrap();
    let back = group.downgrade().unwrap();
    assert_eq!((back.generation_id, back.generation_heard, back.members.len()), (7, 9, 2));
    assert_eq!(back.members[0].assignment, encode_assignment(1, &named(&[("a", &[0, 1])])));
    for id in ["c", "d"] {
        assert_eq!(group.leave_classic(at(2), &[of(id, 0)]), [Ok(())]);
    }
    assert_eq!(group.downgrade(), None, "an empty group is of either protocol");
}

#[test]
fn a_classic_member_that_does_not_join_again_in_time_is_gone() {
    let (mut group, image) = (upgraded(), image());
    group.heartbeat(at(0), &join("n", &["a"]), &image).unwrap();
    for second in [1, 9, 18, 26] {
        let told = group.heartbeat_classic(at(second * 1000), &of("c", 7));
        assert_eq!(told, Err(GroupError::RebalanceInProgress));
    }
    group.on_time(at(30_999));
    assert!(group.heartbeat_classic(at(30_999), &of("c", 7)).is_err());
    assert_eq!(group.describe().members.len(), 2, "the silent one went after its own session timeout");
    group.on_time(at(31_000));
    let gone = group.heartbeat_classic(at(31_001), &of("c", 7));
    assert_eq!(gone, Err(GroupError::UnknownMemberId));
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let (mut group, image) = (upgraded(), image());
    group.heartbeat(at(0), &join("n", &["a"]), &image).unwrap();
    let other = ClassicProtocol { name: "other".to_owned(), ..protocols(&[]).remove(0) };
    let garbage = ClassicProtocol { metadata: Bytes::from_static(b"\0"), ..protocols(&[]).remove(0) };
    let joins = [
        ClassicJoin { protocol_type: "connect".to_owned(), ..classic_join("x", &[]) },
        ClassicJoin { protocols: vec![], ..classic_join("x", &[]) },
        ClassicJoin { protocols: vec![other], ..classic_join("x", &[]) },
        ClassicJoin { protocols: vec![garbage], ..classic_join("x", &[]) },
    ];
    for join in joins {
        assert_eq!(group.join_classic(at(0), &join, &image), Err(GroupError::InconsistentGroupProtocol));
    }
    let unknown = |_: &str| Err(GroupError::UnknownMemberId);
    let stale = Err(GroupError::IllegalGeneration);
    assert_eq!(group.heartbeat_classic(at(0), &of("c", 6)), stale);
    assert_eq!(group.heartbeat_classic(at(0), &of("n", 8)), unknown("n"));
    assert_eq!(group.heartbeat_classic(at(0), &of("x", 8)), unknown("x"));
    let wrong = group.sync_classic(at(0), &of("c", 7), Some("consumer"), Some("range"));
    assert_eq!(wrong, Err(GroupError::InconsistentGroupProtocol));
    let left = group.leave_classic(at(0), &[of("c", 0), of("c", 0), of("n", 0)]);
    assert_eq!(left, [Ok(()), unknown("c"), unknown("n")]);
    let strange = ClassicSnapshot { protocol_type: "connect".to_owned(), ..snapshot(&[("c", &[])]) };
    assert!(ConsumerGroup::upgrade(&strange, config(), at(0), &image).is_err());
}

#[test]
fn a_static_member_goes_over_by_restarting() {
    let image = image();
    let mut classic = snapshot(&[("c", &[0, 1]), ("d", &[2, 3])]);
    classic.members[0].instance_id = Some(GroupInstanceId::new("i"));
    let mut group = ConsumerGroup::upgrade(&classic, config(), at(0), &image).unwrap();
    let over = group.heartbeat(at(1), &of_instance(join("n", &["a"]), "i"), &image).unwrap();
    assert_eq!((over.member_epoch, over.assignment), (7, Some(ones(&[0, 1]))));
    let fenced = ClassicRequest { instance_id: Some(GroupInstanceId::new("i")), ..of("c", 7) };
    assert_eq!(group.heartbeat_classic(at(2), &fenced), Err(GroupError::FencedInstanceId));
    let again = ClassicJoin {
        join_as: JoinAs::New(MemberId::new("e")),
        instance_id: Some(GroupInstanceId::new("i")),
        ..classic_join("", &[])
    };
    let back = group.join_classic(at(3), &again, &image).unwrap();
    assert_eq!((back.generation_id, synced(&mut group, "e", 7)), (7, vec![0, 1]));
    assert!(group.downgrade().is_some());
    let removed = ClassicRequest { instance_id: Some(GroupInstanceId::new("i")), ..of("", 0) };
    assert_eq!(group.leave_classic(at(4), &[removed]), [Ok(())]);
}

#[test]
fn a_partition_that_clients_gave_twice_is_the_first_ones() {
    let twice = snapshot(&[("c", &[0, 1]), ("d", &[1, 2])]);
    let group = ConsumerGroup::upgrade(&twice, config(), at(0), &image()).unwrap();
    assert_eq!((view(&group, "c").assignment, view(&group, "d").assignment), (ones(&[0, 1]), ones(&[2])));
}

#[test]
fn commits_of_classic_members_are_checked_by_generation() {
    let group = upgraded();
    let kind = CommitKind::OffsetCommit { api_version: 2 };
    let commit = |epoch| group.check_offset_commit(kind, &MemberId::new("c"), epoch, None, &[tp(1, 0)]);
    assert_eq!(commit(7), Ok(()));
    assert_eq!(commit(8), Err(GroupError::IllegalGeneration));
    let fetch = group.check_offset_fetch(Some(&MemberId::new("c")), 6, None);
    assert_eq!(fetch, Err(GroupError::IllegalGeneration));
}

proptest! {
    #[test]
    fn assignments_read_back_as_written(
        assigned in proptest::collection::btree_map("[a-z]{1,8}", proptest::collection::btree_set(0..99i32, 0..9), 0..9),
        version in 0..4i16,
    ) {
        prop_assert_eq!(decode_assignment(&encode_assignment(version, &assigned)), Some(assigned));
    }

    #[test]
    fn no_bytes_make_the_decoders_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), cut in 0..64usize) {
        let whole = metadata(&["a", "b"], &[("a", &[1, 2])]);
        let cut = whole.slice(..cut.min(whole.len()));
        for bytes in [Bytes::from(bytes), cut] {
            let _read = (decode_subscription(&bytes), decode_assignment(&bytes));
        }
    }
}

#[test]
fn a_subscription_is_read_as_clients_write_it() {
    let read = decode_subscription(&metadata(&["a", "b"], &[("a", &[1, 2])])).unwrap();
    assert_eq!(
        (read.version, read.topics, read.owned),
        (1, ["a".into(), "b".into()].into(), named(&[("a", &[1, 2])]))
    );
    let rack = b"\0\x03\0\0\0\x01\0\x01a\xff\xff\xff\xff\0\0\0\0\0\0\0\x05\0\x01r";
    let read = decode_subscription(&Bytes::from_static(rack)).unwrap();
    assert_eq!((read.version, read.rack_id.as_deref()), (3, Some("r")));
}
