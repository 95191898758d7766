//! Runs worlds and tells what came of them.

use crate::checker::{Model, Outcome, Report, check};
use std::fmt::Debug;
use std::time::Instant;

/// Whether a world is explored by every `cargo test`, or only when the full run is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Size {
    Small,
    Full,
}

/// A world and its name.
pub struct Known<M> {
    pub name: &'static str,
    pub size: Size,
    pub world: M,
}

const STATES_MAX: usize = 60_000_000;

/// `CENOTE_MODEL`: `full` asks for all worlds, anything else for those with it in their names.
fn is_asked_for<M>(known: &Known<M>) -> bool {
    match std::env::var("CENOTE_MODEL") {
        Ok(part) => part == "full" || known.name.contains(&part),
        Err(_) => known.size == Size::Small,
    }
}

/// Explores the worlds asked for; each must hold.
pub fn all_hold<M: Model>(worlds: Vec<Known<M>>) {
    for Known { name, world, .. } in worlds.into_iter().filter(is_asked_for) {
        let report = told(name, &world);
        assert!(matches!(report.outcome, Outcome::Holds), "{name}: {:#?}", report.outcome);
    }
}

/// Explores one world per planted bug; each must be caught.
pub fn all_caught<M: Model, B: Debug>(bugs: Vec<(B, M)>) {
    let mut missed = Vec::new();
    for (bug, world) in bugs {
        let name = format!("{bug:?}");
        if !is_caught(&name, &world) {
            missed.push(name);
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:?}");
}

/// Whether something is wrong in that world.
pub fn is_caught<M: Model>(name: &str, world: &M) -> bool {
    matches!(told(name, world).outcome, Outcome::Violated { .. } | Outcome::Stuck { .. })
}

#[expect(clippy::print_stdout, reason = "the counts are what a run is for")]
fn told<M: Model>(name: &str, world: &M) -> Report {
    let started = Instant::now();
    let report = check(world, STATES_MAX);
    let Report { states, transitions, depth, .. } = report;
    let took = started.elapsed().as_secs_f64();
    let outcome = match &report.outcome {
        Outcome::Holds => "holds".to_owned(),
        Outcome::TooLarge => "too large, not finished".to_owned(),
        Outcome::Violated { what, trace } => format!("{what} ({} steps)", trace.len()),
        Outcome::Stuck { states, trace } => format!("{states} states are stuck ({} steps)", trace.len()),
    };
    println!(
        "{name:28} {states:>9} states {transitions:>10} steps  depth {depth:>2} {took:>6.1} s  {outcome}"
    );
    report
}
