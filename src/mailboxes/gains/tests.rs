//! One look for a view, as soon as all of it may be served.

use super::*;
use crate::cluster::{Stand, Standings};
use crate::meta::Revision;
use crate::meta::keys::view::{EarlierView, Member, View};
use crate::types::{BrokerId, SessionId};
use std::sync::Arc;

fn session(number: u128) -> SessionId {
    SessionId(Uuid::from_u128(number))
}

fn view(number: i32, members: &[u128]) -> View {
    let members = members.iter().map(|&id| Member::new(session(id), BrokerId(id as i32))).collect();
    View::new(ViewNumber(number), members)
}

/// Whether a look is due within that time.
async fn is_due(gains: &mut Gains, within: Duration) -> Option<Gained> {
    tokio::time::timeout(within, gains.due()).await.ok()
}

#[tokio::test(start_paused = true)]
async fn a_view_is_looked_through_once_when_all_of_it_may_be_served() {
    let leadership = Leadership::alone(session(1), ViewNumber(1));
    let mut gains = Gains::new(leadership.clone());
    let first = is_due(&mut gains, Duration::ZERO).await.expect("at once");
    gains.looked(first, false);
    assert_eq!(is_due(&mut gains, Duration::from_secs(60)).await, None);

    let mut next = view(2, &[1]);
    next.earlier =
        vec![EarlierView { first: None, number: ViewNumber(1), members: view(1, &[1, 2]).members }];
    leadership.on_view(&next, Revision(5)).expect("known");
    let partly = is_due(&mut gains, Duration::from_secs(2)).await.expect("some of it waits for session 2");
    assert!(!partly.is_all);
    gains.looked(partly, true);
    let sessions = [(session(1), Stand { broker_id: BrokerId(1), acked_view: ViewNumber(2) })].into();
    leadership.on_standings(Arc::new(Standings { as_of: Revision(6), sessions }));
    let rest = is_due(&mut gains, Duration::ZERO).await.expect("session 2 is gone");
    assert!(rest.is_all);
    gains.failed();
    assert_eq!(is_due(&mut gains, Duration::ZERO).await, None, "not at once after a failure");
    assert_eq!(is_due(&mut gains, Duration::from_secs(2)).await, Some(rest));
    gains.looked(rest, true);
    assert_eq!(is_due(&mut gains, Duration::from_secs(2)).await, Some(rest), "something waits all the same");
    gains.looked(rest, false);
    assert_eq!(is_due(&mut gains, Duration::from_secs(60)).await, None);
}
