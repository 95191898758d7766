//! What an index has after entries were replaced by others with the same batches.

use super::super::IndexEntry;
use super::super::index::PartitionIndex;
use crate::journal::{ObjectId, ObjectName};
use crate::types::{LeaderEpoch, MergeNumber, Offset, SessionId, Timestamp, ViewNumber};
use std::ops::Range;
use uuid::Uuid;

const SESSION: SessionId = SessionId(Uuid::from_u128(1));

fn entry(object: impl Into<ObjectName>, offsets: Range<i64>) -> IndexEntry {
    IndexEntry {
        object: object.into(),
        byte_range: 0..(offsets.end - offsets.start) as u64 * 10,
        offsets: Offset(offsets.start)..Offset(offsets.end),
        leader_epoch: LeaderEpoch(1),
        max_timestamp: Timestamp(0),
    }
}

fn flushed(offsets: Range<i64>) -> IndexEntry {
    entry(ObjectId { session: SESSION, seq: offsets.start as u64 + 1 }, offsets)
}

fn merged(offsets: Range<i64>) -> IndexEntry {
    let number = MergeNumber { view: ViewNumber(1), attempt: 0 };
    entry(ObjectName::merged(SESSION, number), offsets)
}

struct Case {
    name: &'static str,
    /// What was archived meanwhile.
    archived: i64,
    old: Vec<IndexEntry>,
    new: Vec<IndexEntry>,
    after: Vec<IndexEntry>,
    unneeded: Vec<IndexEntry>,
}

/// An index of entries 0..3, 3..6, 6..9 and 9..12.
fn check(case: Case) {
    let mut index = PartitionIndex::default();
    [0, 3, 6, 9].into_iter().for_each(|start| index.push(flushed(start..start + 3)));
    index.drop_before(Offset(case.archived));
    let unneeded = index.replace(Offset(case.archived), &case.old, &case.new);
    assert_eq!(index.entries(), case.after, "{}", case.name);
    assert_eq!(unneeded, case.unneeded, "{}", case.name);
    assert_eq!(index.bytes(), case.after.iter().map(IndexEntry::size).sum::<u64>(), "{}", case.name);
}

#[test]
fn what_is_merged_takes_the_place_of_what_is_still_there() {
    let old = || vec![flushed(0..3), flushed(3..6), flushed(6..9)];
    let new = || vec![merged(0..4), merged(4..9)];
    let rest = flushed(9..12);
    check(Case {
        name: "nothing happened",
        archived: 0,
        old: old(),
        new: new(),
        after: vec![merged(0..4), merged(4..9), rest.clone()],
        unneeded: old(),
    });
    check(Case {
        name: "the first was archived, and the first of the new ones has more",
        archived: 3,
        old: old(),
        new: new(),
        after: vec![merged(0..4), merged(4..9), rest.clone()],
        unneeded: vec![flushed(3..6), flushed(6..9)],
    });
    check(Case {
        name: "two were archived, and the first of the new ones with them",
        archived: 6,
        old: old(),
        new: new(),
        after: vec![merged(4..9), rest.clone()],
        unneeded: vec![flushed(6..9), merged(0..4)],
    });
    check(Case {
        name: "rows that were archived were left out",
        archived: 2,
        old: old(),
        new: vec![merged(2..9)],
        after: vec![merged(2..9), rest.clone()],
        unneeded: old(),
    });
    check(Case {
        name: "all of it was archived",
        archived: 9,
        old: old(),
        new: new(),
        after: vec![rest.clone()],
        unneeded: new(),
    });
    check(Case {
        name: "everything was archived",
        archived: 12,
        old: old(),
        new: new(),
        after: vec![],
        unneeded: new(),
    });
    check(Case {
        name: "from the middle",
        archived: 0,
        old: vec![flushed(3..6), flushed(6..9)],
        new: vec![merged(3..9)],
        after: vec![flushed(0..3), merged(3..9), rest],
        unneeded: vec![flushed(3..6), flushed(6..9)],
    });
}

#[test]
fn what_does_not_fit_changes_nothing() {
    let all = || [0, 3, 6, 9].map(|start| flushed(start..start + 3)).to_vec();
    for (name, old, new) in [
        ("others are there", vec![merged(0..3), merged(3..6)], vec![merged(0..6)]),
        ("nothing is replaced", vec![], vec![merged(0..3)]),
        ("with a hole", vec![flushed(0..3), flushed(3..6)], vec![merged(0..2), merged(4..6)]),
        ("ends too early", vec![flushed(0..3), flushed(3..6)], vec![merged(0..5)]),
        ("begins too late", vec![flushed(3..6), flushed(6..9)], vec![merged(4..9)]),
        ("the first is not there", vec![flushed(0..3), flushed(3..6)], vec![merged(3..6)]),
        ("the beginning is not there", vec![flushed(0..3), flushed(3..6)], vec![merged(1..6)]),
    ] {
        check(Case { name, archived: 0, old, unneeded: new.clone(), new, after: all() });
    }
}
