//! The step from what a member holds to what it shall hold, as a table.

use super::fixture::*;
use crate::group::consumer::reconcile::{Goal, HeldPartitions, Holding, MemberState};
use MemberState::{Stable, UnreleasedPartitions, UnrevokedPartitions};

struct Case {
    what: &'static str,
    before: (MemberState, i32, &'static [i32], &'static [i32]),
    target: &'static [i32],
    owned: Option<&'static [i32]>,
    /// What others hold.
    taken: &'static [i32],
    after: (MemberState, i32, &'static [i32], &'static [i32]),
}

fn holding((state, member_epoch, assigned, revoking): (MemberState, i32, &[i32], &[i32])) -> Holding {
    let held = |numbers: &[i32]| -> HeldPartitions { numbers.iter().map(|&n| (tp(1, n), 1)).collect() };
    Holding {
        state,
        member_epoch,
        previous_member_epoch: 0,
        assigned: held(assigned),
        revoking: held(revoking),
    }
}

#[test]
fn a_member_goes_step_by_step_to_its_target_of_epoch_5() {
    #[rustfmt::skip]
    let cases = [
        Case { what: "nothing to do but the epoch", before: (Stable, 4, &[1], &[]), target: &[1], owned: None, taken: &[], after: (Stable, 5, &[1], &[]) },
        Case { what: "more, and it is free", before: (Stable, 4, &[1], &[]), target: &[1, 2], owned: None, taken: &[], after: (Stable, 5, &[1, 2], &[]) },
        Case { what: "more, and some is taken", before: (Stable, 4, &[1], &[]), target: &[1, 2, 3], owned: None, taken: &[3], after: (UnreleasedPartitions, 5, &[1, 2], &[]) },
        Case { what: "all taken", before: (Stable, 0, &[], &[]), target: &[1], owned: Some(&[]), taken: &[1], after: (UnreleasedPartitions, 5, &[], &[]) },
        Case { what: "less, told first", before: (Stable, 4, &[1, 2], &[]), target: &[1], owned: None, taken: &[], after: (UnrevokedPartitions, 4, &[1], &[2]) },
        Case { what: "less and more: less first", before: (Stable, 4, &[1, 2], &[]), target: &[1, 3], owned: None, taken: &[], after: (UnrevokedPartitions, 4, &[1], &[2]) },
        Case { what: "less, which it has not taken up", before: (Stable, 4, &[1, 2], &[]), target: &[1], owned: Some(&[1]), taken: &[], after: (Stable, 5, &[1], &[]) },
        Case { what: "silent about the revocation", before: (UnrevokedPartitions, 4, &[1], &[2]), target: &[1], owned: None, taken: &[], after: (UnrevokedPartitions, 4, &[1], &[2]) },
        Case { what: "still owns it", before: (UnrevokedPartitions, 4, &[1], &[2]), target: &[1], owned: Some(&[1, 2]), taken: &[], after: (UnrevokedPartitions, 4, &[1], &[2]) },
        Case { what: "gave it up", before: (UnrevokedPartitions, 4, &[1], &[2]), target: &[1, 3], owned: Some(&[1]), taken: &[], after: (Stable, 5, &[1, 3], &[]) },
        Case { what: "gave it up and the next is told", before: (UnrevokedPartitions, 4, &[1, 3], &[2]), target: &[1], owned: Some(&[1, 3]), taken: &[], after: (UnrevokedPartitions, 4, &[1], &[3]) },
        Case { what: "gave it up and gets it back", before: (UnrevokedPartitions, 4, &[1], &[2]), target: &[1, 2], owned: Some(&[1]), taken: &[], after: (Stable, 5, &[1, 2], &[]) },
        Case { what: "waits on", before: (UnreleasedPartitions, 5, &[1], &[]), target: &[1, 2], owned: None, taken: &[2], after: (UnreleasedPartitions, 5, &[1], &[]) },
        Case { what: "waited long enough", before: (UnreleasedPartitions, 5, &[1], &[]), target: &[1, 2], owned: None, taken: &[], after: (Stable, 5, &[1, 2], &[]) },
        Case { what: "waited for what it shall not have any more", before: (UnreleasedPartitions, 4, &[1], &[]), target: &[1], owned: None, taken: &[2], after: (Stable, 5, &[1], &[]) },
    ];
    for case in cases {
        let (target, taken) = (ones(case.target), ones(case.taken));
        let goal = Goal { assignment_epoch: 5, target: &target, subscribed: &[topic(1)].into() };
        let owned = case.owned.map(ones);
        let after = holding(case.before).step(&goal, owned.as_ref(), 4, |which| !taken.contains(which));
        let expected = holding(case.after);
        assert_eq!(
            (after.state, after.member_epoch, after.assigned.keys().collect::<Vec<_>>(), &after.revoking),
            (expected.state, expected.member_epoch, expected.assigned.keys().collect(), &expected.revoking),
            "{}",
            case.what
        );
        let previous = if after.member_epoch == case.before.1 { 0 } else { 4 };
        assert_eq!(after.previous_member_epoch, previous, "{}", case.what);
    }
}

#[test]
fn a_topic_unsubscribed_during_a_revocation_is_added_to_it() {
    let mut before = holding((UnrevokedPartitions, 4, &[1], &[2]));
    before.assigned.insert(tp(2, 0), 3);
    let goal = Goal { assignment_epoch: 5, target: &ones(&[1]), subscribed: &[topic(1)].into() };
    let after = before.step(&goal, None, 4, |_| true);
    assert!(after.revoking.contains_key(&tp(1, 2)) && after.revoking.get(&tp(2, 0)) == Some(&3));
    assert_eq!(after.assigned.into_keys().collect::<Vec<_>>(), [tp(1, 1)]);
}
