//! What is made of what the mesh sees, on a clock that is moved by hand.

use super::{PastSuspicion, Sightings, Watching};
use crate::cluster::Why;
use crate::mesh::{Reachability, Sighting, TellTale};
use crate::meta::keys::view::{Member, View};
use crate::types::{BrokerId, SessionId, ViewNumber};
use crate::views::reports::{Report, Reports, Unreachable};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, advance};
use uuid::Uuid;

const OTHER: u128 = 2;
const PEER: u128 = 3;

fn s(number: u128) -> SessionId {
    SessionId(Uuid::from_u128(number))
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn up() -> Sighting {
    Sighting { reachability: Reachability::Up, tell_tale: TellTale::Open }
}

/// The other answers, and the peer is seen like this.
fn seen(peer: Sighting) -> Sightings {
    Arc::new([(s(OTHER), up()), (s(PEER), peer)].into())
}

/// One of three sessions, which has seen the others, and what it reports.
fn watching() -> (Watching, watch::Receiver<Unreachable>) {
    let (reports, _told, reporting) = Reports::new(ms(150));
    let mut watching = Watching::new(s(1), reporting, PastSuspicion::default());
    let members =
        (1..=3).map(|number| Member::new(s(number), BrokerId(i32::try_from(number).expect("small"))));
    watching.on_view(&View::new(ViewNumber(7), members.collect()));
    watching.on_sightings(&seen(up()));
    (watching, reports.own())
}

fn why(watching: &Watching) -> Vec<Why> {
    watching.suspicion.decide(watching.now()).seal.iter().map(|sealing| sealing.why).collect()
}

/// Nobody is before the turns of others have passed.
async fn after_all_turns(watching: &Watching) -> Vec<Why> {
    advance(ms(200)).await;
    why(watching)
}

#[tokio::test(start_paused = true)]
async fn silence_counts_from_the_last_answer_and_not_from_the_last_look() {
    let (mut watching, own) = watching();
    advance(ms(1_000)).await;
    let answered = Instant::now();
    watching.on_sightings(&seen(up()));
    // The mesh needs a moment to call it silent; until then it seems to answer.
    advance(ms(390)).await;
    watching.on_sightings(&seen(up()));
    advance(ms(10)).await;
    let silent = Sighting { reachability: Reachability::Silent { since: answered }, ..up() };
    watching.on_sightings(&seen(silent));
    watching.report();
    assert!(own.borrow().is_empty());
    assert_eq!(watching.wake(), Some(answered + ms(600)));
    advance(ms(200)).await;
    watching.on_sightings(&seen(silent));
    watching.report();
    assert_eq!(**own.borrow(), BTreeSet::from([s(PEER)]));
    assert_eq!(after_all_turns(&watching).await, [], "nobody agrees");
    let unreachable = BTreeSet::from([s(PEER)]);
    watching.on_report(&Report { from: s(OTHER), number: 1, unreachable, at: Instant::now() });
    watching.on_sightings(&seen(silent));
    assert_eq!(after_all_turns(&watching).await, [Why::Agreed(s(OTHER))]);
    // It answers again.
    watching.on_sightings(&seen(up()));
    watching.report();
    assert_eq!((why(&watching), own.borrow().len()), (vec![], 0));
}

#[tokio::test(start_paused = true)]
async fn a_report_that_waited_is_as_old_as_it_is() {
    let (mut watching, _own) = watching();
    let (told_at, unreachable) = (Instant::now(), BTreeSet::from([s(PEER)]));
    advance(ms(1_500)).await;
    let silent = Sighting { reachability: Reachability::Silent { since: told_at }, ..up() };
    watching.on_sightings(&seen(silent));
    watching.on_report(&Report { from: s(OTHER), number: 1, unreachable, at: told_at });
    assert_eq!(after_all_turns(&watching).await, []);
}

#[tokio::test(start_paused = true)]
async fn a_tell_tale_that_was_closed_alone_is_no_end() {
    let (mut watching, _own) = watching();
    advance(ms(1_000)).await;
    let gone = Reachability::Gone { at: Instant::now() };
    watching.on_sightings(&seen(up()));
    watching.on_sightings(&seen(Sighting { reachability: gone, tell_tale: TellTale::Closed }));
    assert_eq!(after_all_turns(&watching).await, []);
    for tell_tale in [TellTale::Refused, TellTale::Replaced] {
        watching.on_sightings(&seen(up()));
        watching.on_sightings(&seen(Sighting { reachability: gone, tell_tale }));
        advance(ms(100)).await;
        assert_eq!(after_all_turns(&watching).await, [Why::Gone]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_follows_a_sealed_one_bears_longer_with_whom_that_one_suspected() {
    let (mut first, _own) = watching();
    let silent = Sighting { reachability: Reachability::Silent { since: Instant::now() }, ..up() };
    advance(ms(1_000)).await;
    first.on_sightings(&seen(silent));
    let past = first.past.clone();
    drop(first);
    let members: Vec<Member> =
        [(9, 1), (2, 2), (3, 3)].map(|(session, broker)| Member::new(s(session), BrokerId(broker))).into();
    let sealed_after = async |past: PastSuspicion| {
        let (_reports, _told, reporting) = Reports::new(ms(150));
        let mut next = Watching::new(s(9), reporting, past);
        next.on_view(&View::new(ViewNumber(9), members.clone()));
        let began = Instant::now();
        let silent = Sighting { reachability: Reachability::Silent { since: began }, ..up() };
        next.on_sightings(&seen(up()));
        while next.suspicion.decide(next.now()).seal.is_empty() {
            advance(ms(10)).await;
            next.on_sightings(&seen(silent));
            let unreachable = BTreeSet::from([s(PEER)]);
            let number = u64::try_from(began.elapsed().as_millis()).expect("small") + 1;
            next.on_report(&Report { from: s(OTHER), number, unreachable, at: Instant::now() });
        }
        began.elapsed()
    };
    let fresh = sealed_after(PastSuspicion::default()).await;
    assert_eq!(sealed_after(past).await, fresh + ms(250));
}
