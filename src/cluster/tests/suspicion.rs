//! Whom one session seals, why, and when: tables of cases, for a session that is first in rank.

use super::{at, earlier, member, members, s, standings, view};
use crate::cluster::{
    Decision, Lease, Placement, PlacementKey, Sealing, Suspicion, SuspicionSettings, TellTale, Why,
};
use crate::meta::Revision;
use crate::meta::keys::view::{Member, PlacementNumber, View};
use crate::types::{BrokerId, Moment, SessionId};
use std::collections::BTreeSet;
use std::time::Duration;

/// The one that is suspected.
const PEER: i32 = 2;

/// Of three members the session that acts first against [`PEER`], and the other.
fn first_and_other() -> (i32, i32) {
    let placement = Placement::new(PlacementNumber::RENDEZVOUS, &members(&[1, PEER, 3])).expect("known");
    let rank = placement.rank(PlacementKey::sealer(peer()));
    let others: Vec<i32> = rank.iter().map(|member| member.broker_id.0).filter(|&id| id != PEER).collect();
    (others[0], others[1])
}

fn id(number: i32) -> SessionId {
    s(u128::from(number.unsigned_abs()))
}

fn peer() -> SessionId {
    id(PEER)
}

fn other() -> SessionId {
    id(first_and_other().1)
}

fn three() -> View {
    view(7, &[1, PEER, 3])
}

/// The first in rank among three, after a second in which it heard of both.
fn suspicion() -> Suspicion {
    let mut suspicion = Suspicion::new(id(first_and_other().0), SuspicionSettings::default(), at(0));
    suspicion.on_view(&three(), at(0)).expect("a known placement");
    suspicion.on_tell_tale(peer(), TellTale::Open, at(10));
    hear(&mut suspicion, &[peer(), other()], 0, 1_000);
    suspicion
}

fn hear(suspicion: &mut Suspicion, sessions: &[SessionId], from: u64, to: u64) {
    for millis in (from..=to).step_by(100) {
        sessions.iter().for_each(|&session| suspicion.on_heard(session, at(millis)));
    }
}

fn fast_stores(suspicion: &mut Suspicion, now: u64) {
    suspicion.on_put(at(now - 30), at(now));
    suspicion.on_commit(at(now - 10), at(now));
}

fn seals(why: Why) -> Vec<Sealing> {
    vec![Sealing { session: peer(), broker_id: BrokerId(PEER), why }]
}

fn only(session: SessionId) -> BTreeSet<SessionId> {
    BTreeSet::from([session])
}

/// Seals nobody at `before`, and for that reason at `after`.
fn check(suspicion: &Suspicion, before: u64, after: u64, why: Why) {
    assert_eq!(suspicion.decide(at(before)).seal, [], "at {before}");
    assert_eq!(suspicion.decide(at(after)).seal, seals(why), "at {after}");
}

#[test]
fn nobody_is_sealed_who_is_heard() {
    assert_eq!(suspicion().decide(at(1_100)), Decision::default());
}

#[test]
fn a_process_that_is_gone_is_sealed_at_once() {
    let mut suspicion = suspicion();
    suspicion.on_tell_tale(peer(), TellTale::Refused, at(1_050));
    check(&suspicion, 1_049, 1_050, Why::Gone);
    // What it had sent before arrives a moment later.
    suspicion.on_heard(peer(), at(1_060));
    assert_eq!(suspicion.decide(at(1_100)).wake, Some(at(1_360)));
    check(&suspicion, 1_359, 1_360, Why::Gone);
    // It is there again.
    suspicion.on_tell_tale(peer(), TellTale::Open, at(1_200));
    assert_eq!(suspicion.decide(at(1_400)).seal, []);
}

#[test]
fn what_is_refused_and_was_never_open_is_only_unreachable() {
    let mut suspicion = suspicion();
    suspicion.on_tell_tale(other(), TellTale::Refused, at(500));
    suspicion.on_heard(peer(), at(60_000));
    assert_eq!(suspicion.decide(at(60_000)).seal, []);
    assert_eq!(suspicion.unreachable(at(60_000)), only(other()));
}

#[test]
fn being_unreachable_alone_is_no_reason() {
    let mut suspicion = suspicion();
    hear(&mut suspicion, &[other()], 1_000, 3_600_000);
    suspicion.on_tell_tale(peer(), TellTale::Silent, at(1_100));
    assert_eq!(suspicion.decide(at(3_600_000)), Decision::default());
    assert_eq!(suspicion.unreachable(at(1_599)), BTreeSet::new());
    assert_eq!(suspicion.unreachable(at(1_600)), only(peer()));
}

#[test]
fn unreachable_here_and_at_another_is_a_reason() {
    let mut suspicion = suspicion();
    hear(&mut suspicion, &[other()], 1_000, 1_500);
    suspicion.on_report((other(), 1), &only(peer()), at(1_550));
    check(&suspicion, 1_599, 1_600, Why::Agreed(other()));
    // The other hears of it again.
    suspicion.on_report((other(), 2), &BTreeSet::new(), at(1_560));
    assert_eq!(suspicion.decide(at(1_700)).seal, []);
}

#[test]
fn what_counts_as_another_word() {
    let told_by = |from: SessionId, told_at: u64, now: u64, heard_to: u64| {
        let mut suspicion = suspicion();
        hear(&mut suspicion, &[other()], 1_000, heard_to);
        suspicion.on_report((from, 1), &only(peer()), at(told_at));
        suspicion.decide(at(now)).seal
    };
    assert_eq!(told_by(other(), 1_600, 1_700, 1_700), seals(Why::Agreed(other())));
    // Too long ago.
    assert_eq!(told_by(other(), 1_600, 2_601, 2_600), []);
    // From one that cannot be heard itself: this broker is the one that is cut off.
    assert_eq!(told_by(other(), 1_600, 2_301, 1_700), []);
    // From the suspected one, or a stranger.
    assert_eq!(told_by(peer(), 1_600, 1_700, 1_700), []);
    assert_eq!(told_by(s(99), 1_600, 1_700, 1_700), []);
}

#[test]
fn a_report_that_was_overtaken_is_none() {
    let mut suspicion = suspicion();
    hear(&mut suspicion, &[other()], 1_000, 1_700);
    suspicion.on_report((other(), 7), &BTreeSet::new(), at(1_620));
    suspicion.on_report((other(), 6), &only(peer()), at(1_630));
    assert_eq!(suspicion.decide(at(1_700)).seal, []);
    suspicion.on_report((other(), 8), &only(peer()), at(1_650));
    check(&suspicion, 1_649, 1_650, Why::Agreed(other()));
}

#[test]
fn what_was_taken_for_heard_and_was_not_does_not_count() {
    let mut suspicion = suspicion();
    hear(&mut suspicion, &[other()], 1_000, 1_500);
    assert_eq!(suspicion.unreachable(at(1_599)), BTreeSet::new());
    assert_eq!(suspicion.next_silence(at(1_500)), Some(at(1_600)));
    // The last answer came before, and was looked at again and again.
    suspicion.on_silent(peer(), at(850));
    assert_eq!(suspicion.next_silence(at(1_449)), Some(at(1_450)));
    assert_eq!(suspicion.unreachable(at(1_449)), BTreeSet::new());
    assert_eq!(suspicion.unreachable(at(1_450)), only(peer()));
    suspicion.on_heard(peer(), at(1_500));
    assert_eq!(suspicion.unreachable(at(1_500)), BTreeSet::new());
    assert_eq!(suspicion.next_silence(at(2_100)), None);
}

#[test]
fn who_was_never_heard_has_time_to_be_introduced() {
    let mut suspicion = Suspicion::new(id(first_and_other().0), SuspicionSettings::default(), at(0));
    suspicion.on_view(&three(), at(0)).expect("a known placement");
    hear(&mut suspicion, &[other()], 0, 2_000);
    suspicion.on_silent(peer(), at(0));
    suspicion.on_report((other(), 1), &only(peer()), at(1_500));
    check(&suspicion, 1_999, 2_000, Why::Agreed(other()));
}

#[test]
fn unreachable_and_waited_for_is_a_reason() {
    let mut suspicion = suspicion();
    suspicion.on_barrier(&only(peer()), at(1_200));
    check(&suspicion, 1_799, 1_800, Why::WaitedFor);
    suspicion.on_barrier(&BTreeSet::new(), at(1_800));
    assert_eq!(suspicion.decide(at(2_000)).seal, []);
}

#[test]
fn who_is_slow_is_sealed_when_patience_ends_by_one_that_is_not() {
    let mut suspicion = suspicion();
    suspicion.on_barrier(&only(peer()), at(1_000));
    hear(&mut suspicion, &[peer(), other()], 1_000, 4_000);
    fast_stores(&mut suspicion, 3_900);
    check(&suspicion, 3_999, 4_000, Why::Slow);
}

#[test]
fn patience_begins_again_with_each_view_that_is_acknowledged() {
    let mut suspicion = suspicion();
    let known = |acked| standings(10, &[(1, 7), (PEER, acked), (3, 7)]);
    suspicion.on_standings(&known(6), Revision(10), at(1_000));
    suspicion.on_barrier(&only(peer()), at(1_000));
    suspicion.on_standings(&known(6), Revision(10), at(1_400));
    suspicion.on_standings(&known(7), Revision(10), at(1_500));
    suspicion.on_barrier(&only(peer()), at(1_500));
    hear(&mut suspicion, &[peer(), other()], 1_000, 4_500);
    fast_stores(&mut suspicion, 3_900);
    check(&suspicion, 4_499, 4_500, Why::Slow);
}

#[test]
fn nobody_is_sealed_for_slowness_while_own_stores_are_not_known_to_be_fast() {
    let mut waiting = suspicion();
    waiting.on_barrier(&only(peer()), at(1_000));
    hear(&mut waiting, &[peer(), other()], 1_000, 60_000);
    // Nothing is known: find out.
    let decision = waiting.decide(at(60_000));
    assert_eq!((decision.seal, decision.probe), (vec![], true));
    // The last ones succeeded, and nothing since.
    fast_stores(&mut waiting, 58_900);
    assert_eq!(waiting.decide(at(60_000)).seal, []);
    // PUTs succeed and commits do not.
    waiting.on_put(at(59_900), at(60_000));
    assert_eq!(waiting.decide(at(60_000)).seal, []);
    // They do.
    waiting.on_commit(at(59_990), at(60_000));
    assert_eq!(waiting.decide(at(60_000)).seal, seals(Why::Slow));
    waiting.on_failure();
    assert_eq!(waiting.decide(at(60_000)).seal, []);
}

#[test]
fn who_is_slow_itself_is_as_patient_with_others() {
    let mut waiting = suspicion();
    waiting.on_barrier(&only(peer()), at(1_000));
    hear(&mut waiting, &[peer(), other()], 1_000, 15_000);
    waiting.on_put(at(9_000), at(11_000));
    waiting.on_commit(at(10_500), at(11_000));
    check(&waiting, 10_999, 11_000, Why::Slow);
}

#[test]
fn who_lost_its_lease_is_sealed_after_a_moment() {
    let mut suspicion = suspicion();
    suspicion.on_lease(peer(), Lease::Lost, at(1_000));
    hear(&mut suspicion, &[peer(), other()], 1_000, 2_000);
    check(&suspicion, 1_499, 1_500, Why::LeaseLost);
    suspicion.on_lease(peer(), Lease::Held, at(1_400));
    assert_eq!(suspicion.decide(at(2_000)).seal, []);
}

/// The metadata store was away: all leases ran out, and all come back at about one time.
#[test]
fn who_lost_its_own_lease_holds_nobody_elses_against_them() {
    let mut suspicion = suspicion();
    suspicion.on_lease(peer(), Lease::Lost, at(1_000));
    suspicion.on_own_lease(Lease::Lost, at(1_000));
    hear(&mut suspicion, &[peer(), other()], 1_000, 10_000);
    assert_eq!(suspicion.decide(at(9_000)).seal, []);
    suspicion.on_own_lease(Lease::Held, at(9_000));
    check(&suspicion, 9_499, 9_500, Why::LeaseLost);
}

#[test]
fn the_next_in_rank_acts_a_moment_later_unless_the_first_is_suspected_too() {
    let (first, second) = first_and_other();
    let mut suspicion = Suspicion::new(id(second), SuspicionSettings::default(), at(0));
    suspicion.on_view(&three(), at(0)).expect("a known placement");
    suspicion.on_tell_tale(peer(), TellTale::Open, at(0));
    suspicion.on_tell_tale(id(first), TellTale::Open, at(0));
    hear(&mut suspicion, &[peer(), id(first)], 0, 1_000);
    suspicion.on_tell_tale(peer(), TellTale::Refused, at(1_000));
    check(&suspicion, 1_199, 1_200, Why::Gone);
    suspicion.on_tell_tale(id(first), TellTale::Refused, at(1_000));
    let sealed: BTreeSet<_> = suspicion.decide(at(1_000)).seal.iter().map(|seal| seal.session).collect();
    assert_eq!(sealed, BTreeSet::from([peer(), id(first)]));
}

#[test]
fn a_session_of_an_earlier_view_is_a_peer_while_it_can_hold_something_up() {
    let mut suspicion = suspicion();
    let gone = View { earlier: vec![earlier(7, &[1, PEER, 3])], ..view(8, &[1, 3]) };
    suspicion.on_view(&gone, at(1_000)).expect("a known placement");
    suspicion.on_barrier(&only(peer()), at(1_000));
    hear(&mut suspicion, &[other()], 1_000, 1_600);
    check(&suspicion, 1_599, 1_600, Why::WaitedFor);
    suspicion.on_view(&view(9, &[1, 3]), at(1_600)).expect("a known placement");
    assert_eq!(suspicion.decide(at(1_700)), Decision::default());
}

#[test]
fn a_member_that_does_not_stand_is_no_longer_sealed_but_left_out() {
    let mut suspicion = suspicion();
    suspicion.on_tell_tale(peer(), TellTale::Refused, at(1_000));
    let (first, second) = first_and_other();
    let left = standings(10, &[(first, 7), (second, 7)]);
    suspicion.on_standings(&left, Revision(11), at(1_000));
    assert_eq!(suspicion.decide(at(1_000)).seal, seals(Why::Gone), "a listing older than the view");
    suspicion.on_standings(&left, Revision(10), at(1_000));
    assert_eq!(suspicion.decide(at(1_000)), Decision { check: true, ..Decision::default() });
}

/// It is sealed, and at once a member again.
fn seal(suspicion: &mut Suspicion, millis: u64) {
    suspicion.on_sealed(peer(), at(millis));
    // The same again counts once.
    suspicion.on_sealed(peer(), at(millis));
    suspicion.on_view(&view(8, &[1, 3]), at(millis)).expect("a known placement");
    suspicion.on_view(&three(), at(millis)).expect("a known placement");
}

/// What is waited longer for the seal after `seals` of them, a second apart.
fn back_off(seals: u64) -> Duration {
    let mut suspicion = suspicion();
    (0..seals).for_each(|number| seal(&mut suspicion, 1_000 + number * 1_000));
    let now = 1_000 + seals * 1_000;
    hear(&mut suspicion, &[other()], 1_000, now);
    suspicion.on_heard(peer(), at(now));
    suspicion.on_barrier(&only(peer()), at(now));
    let Some(wake) = suspicion.decide(at(now)).wake else { panic!("nothing comes of it") };
    wake.since(at(now + 600))
}

#[test]
fn each_seal_of_a_pair_doubles_the_waiting_up_to_a_minute() {
    let waited: Vec<u128> = (0..12).map(|seals| back_off(seals).as_millis()).collect();
    let expected = [0, 250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000];
    assert_eq!(waited, expected);
}

#[test]
fn seals_are_forgotten_and_a_killed_broker_is_hardly_waited_for() {
    let mut suspicion = suspicion();
    seal(&mut suspicion, 1_000);
    suspicion.on_tell_tale(peer(), TellTale::Open, at(1_000));
    suspicion.on_tell_tale(peer(), TellTale::Refused, at(10_900));
    assert_eq!(suspicion.decide(at(10_900)).wake, Some(at(10_931) + Duration::from_micros(250)));
    assert_eq!(suspicion.decide(at(11_000)).seal, seals(Why::Gone));
}

#[test]
fn a_sealed_session_that_begins_again_remembers_the_war() {
    let mut before = suspicion();
    seal(&mut before, 1_000);
    hear(&mut before, &[other()], 1_000, 2_000);
    // It cannot hear of the peer: so that may be who has sealed it.
    let mut again = before.begun_again(s(77), at(2_000));
    let mut joined = three();
    joined.members.retain(|other| other.broker_id != member(first_and_other().0).broker_id);
    joined.members.push(Member::new(s(77), member(first_and_other().0).broker_id));
    again.on_view(&joined, at(2_000)).expect("a known placement");
    again.on_barrier(&only(peer()), at(2_000));
    let wake = again.decide(at(2_000)).wake.expect("a reason comes up");
    assert!(wake >= at(2_600 + 500), "{wake:?}");
}

#[test]
fn a_view_of_another_placement_is_told() {
    let view = View { placement: PlacementNumber(2), ..three() };
    assert!(suspicion().on_view(&view, Moment::default()).is_err());
}
