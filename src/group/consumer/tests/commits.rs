//! Who may commit and fetch offsets.

use super::fixture::*;
use crate::group::consumer::*;
use CommitKind::Transactional;

const PLAIN: CommitKind = CommitKind::OffsetCommit { api_version: 9 };

/// Member `m` is at epoch 3: it has partition 0 since epoch 2 and partition 2 since epoch 3, and gave 1 away.
fn group() -> ConsumerGroup {
    let (mut group, image) = steady(&["m"], 2);
    group.heartbeat(at(1), &join("n", &["a"]), &image).unwrap();
    let image = topics(&[("a", 1, 4)]);
    group.on_topics_changed(at(1), &image);
    settle(&mut group, at(1), &image);
    group
}

#[test]
fn a_member_commits_at_its_epoch_or_what_it_has_held_since_its_epoch() {
    let group = group();
    let m = view(&group, "m");
    let (now, before) = (m.member_epoch, 2);
    let kept: Vec<_> = m.assignment.iter().copied().filter(|which| which.partition.0 < 2).collect();
    let new: Vec<_> = m.assignment.iter().copied().filter(|which| which.partition.0 >= 2).collect();
    assert!(!kept.is_empty() && !new.is_empty());
    let stale = |got| Err(GroupError::StaleMemberEpoch { expected: now, got });
    let unknown = |_: &str| Err(GroupError::UnknownMemberId);
    let others = [tp(1, 7)];
    let cases = [
        ("at its epoch", PLAIN, "m", now, &others[..], Ok(())),
        ("a later epoch", PLAIN, "m", now + 1, &kept, stale(now + 1)),
        ("behind, what it kept", PLAIN, "m", before, &kept, Ok(())),
        ("behind, what it got since", PLAIN, "m", before, &new, stale(before)),
        ("behind, what it has not", PLAIN, "m", before, &others, stale(before)),
        ("behind in a transaction", Transactional, "m", before, &new, stale(before)),
        ("without an epoch", PLAIN, "m", -1, &kept, stale(-1)),
        ("somebody else", PLAIN, "x", now, &kept, unknown("x")),
        ("nobody while the group lives", PLAIN, "", -1, &kept, unknown("")),
        ("nobody in a transaction", Transactional, "", -1, &kept, Ok(())),
        (
            "an old request",
            CommitKind::OffsetCommit { api_version: 8 },
            "m",
            now,
            &kept,
            Err(GroupError::UnsupportedVersion),
        ),
    ];
    for (case, kind, id, epoch, partitions, expected) in cases {
        let allowed = group.check_offset_commit(kind, &MemberId::new(id), epoch, None, partitions);
        assert_eq!(allowed, expected, "{case}");
    }
    let empty = ConsumerGroup::new(config());
    assert_eq!(empty.check_offset_commit(PLAIN, &MemberId::new(""), -1, None, &kept), Ok(()));
    assert_eq!(empty.check_offset_commit(PLAIN, &MemberId::new("m"), 1, None, &kept), unknown("m"));
}

#[test]
fn a_static_member_that_went_commits_nothing_more() {
    let (mut group, image) = steady(&["n"], 2);
    group.heartbeat(at(0), &of_instance(join("m", &["a"]), "i"), &image).unwrap();
    settle(&mut group, at(0), &image);
    let m = view(&group, "m");
    group.heartbeat(at(1), &of_instance(beat("m", -2), "i"), &image).unwrap();
    let partitions: Vec<_> = m.assignment.into_iter().collect();
    let late = group.check_offset_commit(PLAIN, &m.member_id, m.member_epoch, None, &partitions);
    assert_eq!(late, Err(GroupError::StaleMemberEpoch { expected: -2, got: m.member_epoch }));
}

#[test]
fn offsets_are_fetched_by_members_at_their_epoch_and_by_tools() {
    let group = group();
    let now = view(&group, "m").member_epoch;
    let m = MemberId::new("m");
    assert_eq!(group.check_offset_fetch(None, -1, None), Ok(()));
    assert_eq!(group.check_offset_fetch(Some(&MemberId::new("")), -1, None), Ok(()));
    assert_eq!(group.check_offset_fetch(Some(&m), now, None), Ok(()));
    let stale = GroupError::StaleMemberEpoch { expected: now, got: 2 };
    assert_eq!(group.check_offset_fetch(Some(&m), 2, None), Err(stale.clone()));
    let (kept, new): (Vec<_>, Vec<_>) =
        view(&group, "m").assignment.into_iter().partition(|which| which.partition.0 < 2);
    assert_eq!(group.check_offset_fetch(Some(&m), 2, Some(&kept)), Ok(()), "behind, what it kept");
    assert_eq!(group.check_offset_fetch(Some(&m), 2, Some(&new)), Err(stale), "behind, what it got since");
    assert!(group.check_offset_fetch(Some(&MemberId::new("x")), now, None).is_err());
}
