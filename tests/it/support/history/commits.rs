//! Offsets that one keeper committed for a group, each larger than the one before, and what brokers said they are.

use super::known::Known;
use super::{Anomaly, Findings, Moment};
use std::collections::BTreeSet;

/// An offset that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    pub group: usize,
    pub offset: i64,
    /// When it was known to be committed; none: nobody knows what became of it, or what will.
    pub at: Option<Moment>,
}

/// An offset that a broker said was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    pub broker: usize,
    pub group: usize,
    pub began: Moment,
    pub ended: Moment,
    /// -1: none.
    pub offset: i64,
}

/// Every answer to a later question has the offset that was committed, or a newer one, or one that may have come late.
pub fn check(commits: &[Commit], answers: &[Committed], findings: &mut Findings) {
    let groups: BTreeSet<usize> = answers.iter().map(|answer| answer.group).collect();
    for group in groups {
        let of_group = || commits.iter().filter(|commit| commit.group == group);
        let known = Known::of(of_group().filter_map(|commit| Some((commit.at?, commit.offset))));
        let in_doubt = of_group().filter(|commit| commit.at.is_none());
        let in_doubt: BTreeSet<i64> = in_doubt.map(|commit| commit.offset).collect();
        for answer in answers.iter().filter(|answer| answer.group == group) {
            let known = known.before(answer.began);
            if known.is_some_and(|known| answer.offset < known) && !in_doubt.contains(&answer.offset) {
                findings.add(Anomaly::Forgotten, format!("{answer:?}, committed: {known:?}"));
            }
        }
    }
}
