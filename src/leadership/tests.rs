//! Terms follow the view: what moves is closed, what stays goes on, what comes waits for the barrier.

use super::*;
use crate::cluster::Stand;
use crate::meta::keys::view::{EarlierView, Member};
use crate::types::BrokerId;
use uuid::Uuid;

fn session(number: u128) -> SessionId {
    SessionId(Uuid::from_u128(number))
}

fn view(number: i32, members: &[u128]) -> View {
    let members = members.iter().map(|&id| Member::new(session(id), BrokerId(id as i32))).collect();
    View::new(ViewNumber(number), members)
}

fn standings(as_of: u64, acked: &[(u128, i32)]) -> Arc<Standings> {
    let stand = |&(id, view): &(u128, i32)| {
        (session(id), Stand { broker_id: BrokerId(id as i32), acked_view: ViewNumber(view) })
    };
    Arc::new(Standings { as_of: Revision(as_of), sessions: acked.iter().map(stand).collect() })
}

fn groups() -> Vec<PlacementKey> {
    (0..64).map(|group| PlacementKey::group(&format!("group-{group}"))).collect()
}

#[test]
fn what_moves_is_closed_and_what_stays_goes_on() {
    let leadership = Leadership::alone(session(1), ViewNumber(1));
    let terms: Vec<_> = groups().into_iter().map(|key| (key, leadership.coordinate(key))).collect();
    let mut next = view(2, &[1, 2]);
    let before = view(1, &[1]);
    next.earlier = vec![EarlierView { first: None, number: before.number, members: before.members }];
    leadership.on_view(&next, Revision(5)).expect("known");
    let mut moved = 0;
    for (key, was) in terms {
        let Coordination::Here(term) = was else { panic!("one broker coordinates everything") };
        match leadership.coordinate(key) {
            Coordination::Here(now) => assert!(now == term && term.is_open(), "the same term"),
            Coordination::Elsewhere(other) => {
                assert_eq!(other, session(2));
                assert!(!term.is_open());
                moved += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!((1..64).contains(&moved), "{moved}");
}

#[test]
fn what_sessions_say_of_themselves_outlives_a_view() {
    use crate::meta::keys::sessions::Session;
    let leadership = Leadership::alone(session(1), ViewNumber(1));
    let told = Session::new(BrokerId(2), ViewNumber(1), 0);
    leadership.on_sessions(Arc::new([(session(2), Arc::new(told))].into()));
    leadership.on_view(&view(2, &[1, 2]), Revision(5)).expect("known");
    let image = leadership.image();
    assert_eq!((image.number(), image.session(session(2)).is_some()), (ViewNumber(2), true));
}

#[test]
fn what_comes_waits_until_the_session_before_has_acknowledged() {
    let mut joined = view(2, &[1, 2]);
    let before = view(1, &[1]);
    joined.earlier = vec![EarlierView { first: None, number: before.number, members: before.members }];
    let leadership = Leadership::new(&joined, Revision(5), session(2)).expect("known");
    let mine: Vec<_> =
        groups().into_iter().filter(|key| leadership.coordinate(*key) == Coordination::Loading).collect();
    assert!(!mine.is_empty());
    leadership.on_standings(standings(6, &[(1, 1), (2, 2)]));
    assert!(mine.iter().all(|key| leadership.coordinate(*key) == Coordination::Loading));
    leadership.on_standings(standings(7, &[(1, 2), (2, 2)]));
    assert!(mine.iter().all(|key| matches!(leadership.coordinate(*key), Coordination::Here(_))));
    leadership.close();
    assert!(mine.iter().all(|key| leadership.coordinate(*key) == Coordination::Nobody));
}
