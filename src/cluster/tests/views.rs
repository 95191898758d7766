//! The next view: who is in it, who is sealed, and which earlier views it carries.

use super::{earlier, member, s, standings, together, view};
use crate::cluster::{Change, NextView, NoNextView, ViewBounds, next_view};
use crate::meta::Revision;
use crate::meta::keys::view::{EarlierView, Member, View};
use crate::types::{BrokerId, ViewNumber};

const REVISION: Revision = Revision(10);

/// After `current`, with sessions and what they have acknowledged.
fn next(current: &View, acked: &[(i32, i32)], changes: &[Change]) -> Result<NextView, NoNextView> {
    next_view((current, REVISION), &standings(10, acked), changes, &ViewBounds::default())
}

fn numbers(view: &View) -> Vec<i32> {
    view.members.iter().map(|member| member.broker_id.0).collect()
}

#[test]
fn a_join_adds_a_member_and_keeps_the_view_before() {
    let next = next(&view(7, &[1, 2]), &[(1, 7), (2, 7)], &[Change::Join(member(3))]).expect("a view");
    assert_eq!(next.view, View { earlier: vec![earlier(7, &[1, 2])], ..view(8, &[1, 2, 3]) });
    assert!(next.seals.is_empty());
}

#[test]
fn a_join_seals_what_else_stands_of_its_broker() {
    let again = Member::new(s(22), BrokerId(2));
    let next = next(&view(7, &[1, 2]), &[(1, 7), (2, 7)], &[Change::Join(again.clone())]).expect("a view");
    assert_eq!((next.view.members, next.seals), (vec![member(1), again], vec![s(2)]));
    // The sealed one holds nothing up any more, but who leads what in the earlier view hangs on all its members.
    assert_eq!(next.view.earlier, [earlier(7, &[1, 2])]);
}

#[test]
fn of_two_joins_of_one_broker_the_later_counts() {
    let first = Change::Join(Member::new(s(11), BrokerId(1)));
    let second = Member::new(s(12), BrokerId(1));
    let changes = [first, Change::Join(second.clone())];
    let next = next(&view(7, &[]), &[(1, 7)], &changes).expect("a view");
    assert_eq!((next.view.members, next.seals), (vec![second], vec![s(1)]));
}

#[test]
fn several_changes_make_one_view() {
    let changes = [Change::Join(member(4)), Change::Leave(s(1)), Change::Seal(s(2)), Change::Join(member(5))];
    let next = next(&view(7, &[1, 2, 3]), &[(1, 7), (2, 7), (3, 7)], &changes).expect("a view");
    assert_eq!((numbers(&next.view), next.seals), (vec![3, 4, 5], vec![s(2)]));
}

#[test]
fn a_seal_of_one_that_is_no_member_makes_a_view_too() {
    let next = next(&view(7, &[1]), &[(1, 7), (9, 6)], &[Change::Seal(s(9))]).expect("a view");
    assert_eq!((numbers(&next.view), next.seals), (vec![1], vec![s(9)]));
}

#[test]
fn a_member_that_does_not_stand_is_left_out() {
    let next = next(&view(7, &[1, 2]), &[(1, 7)], &[Change::Check]).expect("a view");
    assert_eq!((numbers(&next.view), next.seals), (vec![1], vec![]));
}

#[test]
fn the_last_member_may_leave() {
    let next = next(&view(7, &[1]), &[(1, 7)], &[Change::Leave(s(1))]).expect("a view");
    assert_eq!(next.view, View { earlier: vec![earlier(7, &[1])], ..view(8, &[]) });
}

#[test]
fn nothing_to_change_is_no_view() {
    let all = [(1, 7), (2, 7)];
    for changes in [vec![], vec![Change::Check], vec![Change::Join(member(1))], vec![Change::Leave(s(9))]] {
        assert_eq!(next(&view(7, &[1, 2]), &all, &changes), Err(NoNextView::Unchanged));
    }
    // Who was sealed meanwhile is not sealed again.
    assert_eq!(next(&view(7, &[1, 2]), &all, &[Change::Seal(s(3))]), Err(NoNextView::Unchanged));
}

#[test]
fn standings_older_than_the_view_prove_nothing() {
    let known = standings(9, &[(1, 7)]);
    let answer = next_view((&view(7, &[1, 2]), REVISION), &known, &[Change::Check], &ViewBounds::default());
    assert_eq!(answer, Err(NoNextView::StandingsOld));
}

#[test]
fn the_numbers_of_views_end() {
    let last = view(i32::MAX, &[1]);
    assert_eq!(next(&last, &[(1, 7)], &[Change::Join(member(2))]), Err(NoNextView::Exhausted));
}

#[test]
fn a_view_has_room_for_so_many() {
    let bounds = ViewBounds { members: 2, ..ViewBounds::default() };
    let known = standings(10, &[(1, 7), (2, 7)]);
    let join = [Change::Join(member(3))];
    let answer = next_view((&view(7, &[1, 2]), REVISION), &known, &join, &bounds);
    assert_eq!(answer, Err(NoNextView::TooManyMembers(2)));
    let instead = [Change::Leave(s(1)), Change::Join(member(3))];
    assert!(next_view((&view(7, &[1, 2]), REVISION), &known, &instead, &bounds).is_ok());
}

#[test]
fn one_transaction_seals_so_many_and_a_broker_joins_when_its_others_are_sealed() {
    let bounds = ViewBounds { seals: 1, ..ViewBounds::default() };
    let known = standings(10, &[(1, 7), (2, 7), (3, 7)]);
    let changes = [1, 2]
        .map(|number| Change::Join(Member::new(s(10 + number), BrokerId(i32::try_from(number).unwrap()))));
    let next = next_view((&view(7, &[1, 2, 3]), REVISION), &known, &changes, &bounds).expect("a view");
    assert_eq!(next.seals, [s(1)]);
    assert_eq!(
        next.view.members.iter().map(|member| member.session).collect::<Vec<_>>(),
        [s(11), s(2), s(3)]
    );
}

/// What a view carries after one more join, from what sessions have acknowledged: those that are not settled.
#[test]
fn settled_views_are_dropped() {
    let current =
        View { earlier: vec![earlier(4, &[1]), earlier(5, &[1, 2]), earlier(6, &[2])], ..view(7, &[1, 2]) };
    let carried = |acked: &[(i32, i32)]| -> Vec<i32> {
        let next = next(&current, acked, &[Change::Join(member(3))]).expect("a view");
        next.view.earlier.iter().map(|earlier| earlier.number.0).collect()
    };
    for (acked, expected) in [
        (vec![(1, 7), (2, 7)], vec![7]),
        // What the slowest has acknowledged last is still needed: it may serve on what it led there.
        (vec![(1, 5), (2, 7)], vec![5, 6, 7]),
        (vec![(1, 3), (2, 7)], vec![4, 5, 6, 7]),
        // One that has led nothing in any of them holds up nothing.
        (vec![(1, 6), (2, 6), (9, 2)], vec![6, 7]),
    ] {
        assert_eq!(carried(&acked), expected, "{acked:?}");
    }
}

#[test]
fn one_that_left_and_stands_counts_and_one_that_is_sealed_does_not() {
    let current = View { earlier: vec![earlier(5, &[1, 2]), earlier(6, &[1, 2])], ..view(7, &[2]) };
    let all = [(1, 5), (2, 7)];
    let next_after = |change| next(&current, &all, &[change]).expect("a view").view.earlier;
    let slow = next_after(Change::Join(member(3)));
    assert_eq!(slow, [earlier(5, &[1, 2]), earlier(6, &[1, 2]), earlier(7, &[2])]);
    assert_eq!(next_after(Change::Seal(s(1))), [earlier(7, &[2])]);
}

#[test]
fn nothing_is_carried_when_nobody_is_left_who_led() {
    let current = View { earlier: vec![earlier(6, &[1, 2])], ..view(7, &[1]) };
    let next = next(&current, &[], &[Change::Join(member(3))]).expect("a view");
    assert_eq!(next.view, view(8, &[3]));
}

/// A view that carries as much as the bounds of this test allow, while session 1 acknowledges nothing.
fn full() -> (View, ViewBounds, [(i32, i32); 3]) {
    let current = View { earlier: vec![earlier(5, &[1, 2, 8]), earlier(6, &[2])], ..view(7, &[1, 2, 3]) };
    let bounds = ViewBounds { earlier_views: 2, ..ViewBounds::default() };
    (current, bounds, [(1, 5), (2, 7), (3, 7)])
}

#[test]
fn nobody_comes_or_goes_while_too_many_are_not_settled() {
    let (current, bounds, acked) = full();
    for change in [Change::Join(member(4)), Change::Leave(s(3))] {
        let answer = next_view((&current, REVISION), &standings(10, &acked), &[change], &bounds);
        assert_eq!(answer, Err(NoNextView::Unsettled));
    }
}

#[test]
fn a_seal_puts_the_oldest_together_with_all_of_theirs_that_stand() {
    let (current, bounds, acked) = full();
    let answer = next_view((&current, REVISION), &standings(10, &acked), &[Change::Seal(s(3))], &bounds);
    let view = answer.expect("a view").view;
    assert_eq!(view.earlier, [together(5, 6, &[1, 2]), earlier(7, &[1, 2, 3])]);
    // Once more: what is together stays together and grows.
    let known = standings(10, &[(1, 5), (2, 7)]);
    let join = [Change::Join(Member::new(s(22), BrokerId(2)))];
    let next = next_view((&view, REVISION), &known, &join, &bounds).expect("a view").view;
    assert_eq!(next.earlier, [together(5, 7, &[1]), earlier(8, &[1, 2])]);
}

#[test]
fn views_are_put_together_for_their_members_as_well() {
    let (current, _, acked) = full();
    let known = standings(10, &acked);
    let seal = [Change::Seal(s(3))];
    let sizes = |earlier_members| {
        let bounds = ViewBounds { earlier_members, ..ViewBounds::default() };
        next_view((&current, REVISION), &known, &seal, &bounds).map(|next| next.view.earlier)
    };
    assert_eq!(sizes(7).map(|earlier| earlier.len()), Ok(3));
    assert_eq!(sizes(5), Ok(vec![together(5, 6, &[1, 2]), earlier(7, &[1, 2, 3])]));
    assert_eq!(sizes(2), Ok(vec![together(5, 7, &[1, 2])]));
    assert_eq!(sizes(1), Err(NoNextView::TooManySessions(1)));
}

#[test]
fn what_is_proposed_can_be_stored() {
    let (current, bounds, acked) = full();
    let answer = next_view((&current, REVISION), &standings(10, &acked), &[Change::Seal(s(3))], &bounds);
    let view = answer.expect("a view").view;
    let entry = crate::meta::Entry { key: "view".into(), value: view.encode(), mod_revision: REVISION };
    assert_eq!(View::decode(&entry).expect("readable"), view);
}

#[test]
fn views_put_together_are_dropped_as_one() {
    let current = View { earlier: vec![together(3, 5, &[1, 2])], ..view(7, &[1, 2]) };
    let carried = |acked: &[(i32, i32)]| -> Vec<EarlierView> {
        next(&current, acked, &[Change::Join(member(3))]).expect("a view").view.earlier
    };
    assert_eq!(carried(&[(1, 5), (2, 7)])[0], together(3, 5, &[1, 2]));
    assert_eq!(carried(&[(1, 6), (2, 7)])[0].number, ViewNumber(7));
}
