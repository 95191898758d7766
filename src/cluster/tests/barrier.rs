//! The barrier of one view, as tables: whom a partition waits for, and when it may be served.

use super::{earlier, members, partition, s, standings, together, view};
use crate::cluster::{
    Ack, Barrier, Draining, JournalWrite, Place, Placement, PlacementKey, Standings, Verdict, to_close,
};
use crate::meta::Revision;
use crate::meta::keys::view::{Member, PlacementNumber, View};
use crate::types::{BrokerId, SessionId, TopicPartition, ViewNumber};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const REVISION: Revision = Revision(10);

fn leader(members: &[Member], partition: TopicPartition) -> SessionId {
    let placement = Placement::new(PlacementNumber::RENDEZVOUS, members).expect("known");
    placement.leader(key(partition)).expect("there are members").session
}

/// The first partition with these leaders, in views of these members.
fn led_by(views: &[(&[i32], u128)]) -> TopicPartition {
    let is_led = |partition: &TopicPartition| {
        views.iter().all(|(view, by)| leader(&members(view), *partition) == s(*by))
    };
    (0..10_000).map(partition).find(is_led).expect("one of many")
}

fn barrier(view: &View, own: u128, known: &Standings) -> Barrier {
    let mut barrier = Barrier::new(view, REVISION, s(own)).expect("a known placement");
    barrier.observe(Arc::new(known.clone()));
    barrier
}

fn key(partition: TopicPartition) -> PlacementKey {
    PlacementKey::partition(partition)
}

fn wait(sessions: &[u128]) -> Verdict {
    Verdict::Wait { sessions: sessions.iter().map(|&session| s(session)).collect() }
}

/// Session 3 has joined in view 8 and takes a partition from 1; 2 is in both views and never led it.
#[test]
fn a_moved_partition_waits_for_who_led_it_and_for_nobody_else() {
    let view = View { earlier: vec![earlier(7, &[1, 2])], ..view(8, &[1, 2, 3]) };
    let moved = led_by(&[(&[1, 2], 1), (&[1, 2, 3], 3)]);
    for (known, expected) in [
        (standings(10, &[(1, 7), (2, 7), (3, 8)]), wait(&[1])),
        (standings(10, &[(1, 8), (2, 7), (3, 8)]), Verdict::Serve),
        // Sealed.
        (standings(10, &[(2, 7), (3, 8)]), Verdict::Serve),
        // Exactly 8: who has acknowledged 9 may lead it again there, and may never have seen 8.
        (standings(10, &[(1, 9), (2, 7), (3, 8)]), Verdict::Outdated),
        // That of one which does not matter says nothing.
        (standings(10, &[(1, 8), (2, 9), (3, 8)]), Verdict::Serve),
        // This session must have acknowledged it, too: it may have led the partition once and not be through with it.
        (standings(10, &[(1, 8), (2, 8), (3, 7)]), wait(&[3])),
        (standings(10, &[(1, 7), (2, 8), (3, 7)]), wait(&[1, 3])),
        // This session was sealed.
        (standings(10, &[(1, 8), (2, 8)]), Verdict::Outdated),
        // A listing older than the view may lack one that stands.
        (standings(9, &[(2, 7), (3, 8)]), wait(&[1])),
        (Standings::default(), wait(&[1, 3])),
    ] {
        assert_eq!(barrier(&view, 3, &known).verdict(key(moved)), expected, "{known:?}");
    }
}

#[test]
fn what_another_leads_is_not_ours() {
    let view = view(8, &[1, 2]);
    let theirs = led_by(&[(&[1, 2], 2)]);
    let mut at_one = barrier(&view, 1, &standings(10, &[(1, 8), (2, 8)]));
    assert_eq!(at_one.verdict(key(theirs)), Verdict::NotMine { leader: Some(s(2)) });
    assert_eq!(at_one.place(key(theirs)), Place::Other(Some(s(2))));
    let mut nobody = barrier(&super::view(8, &[]), 1, &standings(10, &[(1, 8)]));
    assert_eq!(nobody.verdict(key(theirs)), Verdict::NotMine { leader: None });
}

#[test]
fn every_earlier_view_that_is_not_settled_counts() {
    let before = vec![earlier(5, &[1, 2]), earlier(6, &[2, 3]), earlier(7, &[3])];
    let view = View { earlier: before, ..view(8, &[4]) };
    let moved = led_by(&[(&[1, 2], 1), (&[2, 3], 2), (&[3], 3)]);
    let known = |one, two, three| standings(10, &[(1, one), (2, two), (3, three), (4, 8)]);
    assert_eq!(barrier(&view, 4, &known(5, 6, 7)).verdict(key(moved)), wait(&[1, 2, 3]));
    assert_eq!(barrier(&view, 4, &known(8, 6, 8)).verdict(key(moved)), wait(&[2]));
    assert_eq!(barrier(&view, 4, &known(8, 8, 8)).verdict(key(moved)), Verdict::Serve);
}

#[test]
fn of_views_put_together_every_session_may_have_led() {
    let view = View { earlier: vec![together(3, 6, &[1, 2]), earlier(7, &[4])], ..view(8, &[4]) };
    let kept = led_by(&[(&[4], 4)]);
    let known = |one, two| standings(10, &[(1, one), (2, two), (4, 8)]);
    assert_eq!(barrier(&view, 4, &known(7, 7)).verdict(key(kept)), wait(&[1, 2]));
    assert_eq!(barrier(&view, 4, &known(8, 7)).verdict(key(kept)), wait(&[2]));
    assert_eq!(barrier(&view, 4, &known(8, 8)).verdict(key(kept)), Verdict::Serve);
    assert_eq!(barrier(&view, 4, &known(9, 8)).verdict(key(kept)), Verdict::Outdated);
}

/// The same broker leads it before and after, but not the same session.
#[test]
fn a_broker_that_was_started_again_waits_for_what_it_was() {
    let again = Member::new(s(11), BrokerId(1));
    let view = View { earlier: vec![earlier(7, &[1])], ..View::new(ViewNumber(8), vec![again]) };
    let mut known = standings(10, &[(1, 7), (11, 8)]);
    assert_eq!(barrier(&view, 11, &known).verdict(key(partition(0))), wait(&[1]));
    known.sessions.remove(&s(1));
    assert_eq!(barrier(&view, 11, &known).verdict(key(partition(0))), Verdict::Serve);
}

#[test]
fn a_hundred_thousand_partitions_are_a_few_groups() {
    let before = vec![earlier(6, &[1, 2]), earlier(7, &[1, 2, 4])];
    let view = View { earlier: before, ..view(8, &[1, 2, 3]) };
    let mut at_three = barrier(&view, 3, &standings(10, &[(1, 7), (2, 7), (3, 8), (4, 7)]));
    let mut groups: BTreeMap<_, usize> = BTreeMap::new();
    for index in 0..100_000 {
        if let Place::Mine(group) = at_three.place(key(partition(index))) {
            *groups.entry(group).or_default() += 1;
        }
    }
    let led: usize = groups.values().sum();
    assert!(groups.len() == 4 && (32_000..35_000).contains(&led), "{groups:?}");
    assert_eq!(at_three.waits_for(), BTreeSet::from([s(1), s(2), s(4)]));
    // Nothing new changes no group; one acknowledgement opens those that waited for it alone.
    assert!(at_three.observe(Arc::new(standings(10, &[(1, 7), (2, 7), (3, 8), (4, 7)]))).is_empty());
    let changed = at_three.observe(Arc::new(standings(11, &[(1, 8), (2, 7), (3, 8), (4, 7)])));
    let open = changed.iter().filter(|&&group| *at_three.group(group) == Verdict::Serve).count();
    assert_eq!((changed.len(), open), (2, 1));
    // An older listing than the last changes nothing.
    assert!(at_three.observe(Arc::new(standings(10, &[(3, 8)]))).is_empty());
}

#[test]
fn a_session_closes_what_it_leads_no_more() {
    let all: Vec<TopicPartition> = (0..300).map(partition).collect();
    let (before, after) = (members(&[1, 2]), members(&[1, 2, 3]));
    let served: Vec<_> = all.iter().copied().filter(|&of| leader(&before, of) == s(1)).collect();
    let placement = Placement::new(PlacementNumber::RENDEZVOUS, &after).expect("known");
    let closed: Vec<_> = to_close(&placement, s(1), served.iter().copied(), |&of| key(of)).collect();
    let expected: Vec<_> = served.into_iter().filter(|&of| leader(&after, of) == s(3)).collect();
    assert!(closed == expected && !closed.is_empty());
    // Its own broker under another session is another session.
    let again =
        Placement::new(PlacementNumber::RENDEZVOUS, &[Member::new(s(11), BrokerId(1))]).expect("known");
    assert_eq!(to_close(&again, s(1), all.iter().copied(), |&of| key(of)).count(), all.len());
}

#[test]
fn a_view_is_acknowledged_once_nothing_is_on_its_way() {
    let draining =
        |write, undrained| Draining { learned: ViewNumber(8), acked: ViewNumber(5), write, undrained };
    for (draining, expected) in [
        // Views in between are skipped.
        (draining(JournalWrite::Idle, 0), Ack::Now(ViewNumber(8))),
        (draining(JournalWrite::Idle, 1), Ack::Wait),
        (draining(JournalWrite::Sent, 0), Ack::Wait),
        (draining(JournalWrite::Unknown, 0), Ack::Wait),
        (Draining { acked: ViewNumber(8), ..draining(JournalWrite::Sent, 3) }, Ack::Done),
    ] {
        assert_eq!(draining.ack(), expected, "{draining:?}");
    }
}

#[test]
fn a_view_of_another_placement_has_no_barrier_here() {
    let view = View { placement: PlacementNumber(2), ..view(8, &[1]) };
    assert!(Barrier::new(&view, REVISION, s(1)).is_err());
}
