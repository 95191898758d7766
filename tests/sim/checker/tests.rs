//! For each anomaly a made-up history that is caught, by the events that show it, and its clean twin that is not.

mod generated;
mod groups;
mod log;
mod reading;
mod story;
mod time;
mod transactions;
mod whole;

use super::{Anomaly, Breach, Moment, Report, check};
use story::{Story, Twin};

/// The clean twin is clean; the spoiled one has this anomaly, shown by these events, and no other.
fn twins(anomaly: Anomaly, tell: impl Fn(&mut Story) -> Vec<Moment>) {
    let mut clean = Story::new(Twin::Clean);
    tell(&mut clean);
    let breaches = check(&clean.history);
    let report = Report { history: &clean.history, breaches: &breaches };
    assert!(breaches.is_empty(), "the clean twin:\n{report}\n{}", clean.history);
    let mut spoiled = Story::new(Twin::Spoiled);
    let mut events = tell(&mut spoiled);
    events.sort_unstable();
    let breaches = check(&spoiled.history);
    let report = Report { history: &spoiled.history, breaches: &breaches };
    let named = |breach: &Breach| breach.anomaly == anomaly;
    assert!(!breaches.is_empty() && breaches.iter().all(named), "{report}\n{}", spoiled.history);
    let shown = breaches.iter().any(|breach| breach.events == events);
    assert!(shown, "not by {events:?}:\n{report}\n{}", spoiled.history);
}
