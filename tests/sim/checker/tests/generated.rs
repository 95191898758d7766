//! Histories of a log that is right, with clients side by side, are clean; with one event changed they are not, or the change
//! takes away knowledge alone.

mod changes;
mod model;

use super::{Report, check};
use changes::{Effect, change};
use model::{Chance, Model};

const SEEDS: u64 = 30;
const CHANGES: u64 = 30;

#[test]
fn histories_of_a_right_log_are_clean() {
    for seed in 0..SEEDS {
        let history = Model::run(seed, 300);
        let breaches = check(&history);
        let report = Report { history: &history, breaches: &breaches };
        assert!(breaches.is_empty(), "seed {seed}:\n{report}\n{history}");
    }
}

#[test]
fn a_long_history_is_judged_whole() {
    let history = Model::run(7, 32_000);
    assert!(history.events.len() > 20_000, "{} events", history.events.len());
    let breaches = check(&history);
    assert!(breaches.is_empty(), "{}", Report { history: &history, breaches: &breaches });
}

#[test]
fn a_change_is_caught_or_does_no_harm() {
    let mut made = [0; 2];
    for seed in 0..SEEDS {
        let history = Model::run(seed, 200);
        for number in 0..CHANGES {
            let mut changed = history.clone();
            let mut chance = Chance::of(seed * CHANGES + number);
            let Some((what, effect)) = change(&mut changed, &mut chance) else { continue };
            let breaches = check(&changed);
            let report = Report { history: &changed, breaches: &breaches };
            let is_caught = !breaches.is_empty();
            assert_eq!(is_caught, effect == Effect::Caught, "seed {seed}: {what}\n{report}\n{changed}");
            made[usize::from(is_caught)] += 1;
        }
    }
    assert!(made.iter().all(|&made| made > 100), "harmless and caught: {made:?}");
}
