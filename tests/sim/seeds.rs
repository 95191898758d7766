//! Many seeds, on all processors, and what came of them.

use crate::checker::Anomaly;
use crate::history::What;
use crate::run::{Options, Outcome, describe, hours, simulate};
use cenote::planted::Mistake;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Seeds of every test run.
const SEEDS: u64 = 200;

fn of_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Figures of many seeds.
#[derive(Default)]
struct Figures {
    seeds: u64,
    simulated: u64,
    operations: u64,
    busy: Duration,
    tally: BTreeMap<&'static str, u64>,
    failed: Vec<u64>,
}

impl Figures {
    fn add(&mut self, outcome: &Outcome, busy: Duration) {
        self.seeds += 1;
        self.simulated += outcome.simulated;
        let calls = outcome.history.events.iter().filter(|event| matches!(event.what, What::Call { .. }));
        self.operations += calls.count() as u64;
        self.busy += busy;
        for (what, count) in &outcome.tally {
            *self.tally.entry(what).or_default() += count;
        }
        if !outcome.is_clean() {
            self.failed.push(outcome.options.seed);
        }
    }

    fn merge(&mut self, other: Figures) {
        self.seeds += other.seeds;
        self.simulated += other.simulated;
        self.operations += other.operations;
        self.busy += other.busy;
        for (what, count) in other.tally {
            *self.tally.entry(what).or_default() += count;
        }
        self.failed.extend(other.failed);
    }

    #[expect(clippy::print_stdout, reason = "the figures are what a run is for")]
    fn print(&self) {
        let hours = hours(self.simulated);
        let busy = self.busy.as_secs_f64().max(f64::MIN_POSITIVE);
        println!(
            "{} seeds, {busy:.0} seconds of one core, {hours:.2} simulated hours, {} operations, {:.0} simulated seconds to a second of one core",
            self.seeds,
            self.operations,
            hours * 3600.0 / busy
        );
        for (what, count) in &self.tally {
            println!("  {count:>8} {what}");
        }
    }
}

/// Simulates one seed and tells if it fails.
#[expect(clippy::print_stdout, reason = "a seed that fails says so at once")]
fn try_seed(seed: u64, figures: &mut Figures) {
    let began = Instant::now();
    let outcome = simulate(Options { seed, mistake: None });
    figures.add(&outcome, began.elapsed());
    if !outcome.is_clean() {
        let text = describe(&outcome);
        let last: Vec<&str> = text.lines().rev().take(12).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        save(seed, &text);
        println!("seed {seed} fails (CENOTE_SIM_SEED={seed} has all of it):\n{}", last.join("\n"));
    }
}

/// Where somebody wants the whole of what failed, it is written there.
fn save(seed: u64, text: &str) {
    if let Some(folder) = std::env::var_os("CENOTE_SIM_LOGS") {
        let file = std::path::Path::new(&folder).join(format!("{seed}.log"));
        std::fs::write(file, text).expect("a folder that can be written to");
    }
}

fn run_all(seeds: std::ops::Range<u64>, until: Option<Instant>) -> Figures {
    let next = AtomicU64::new(seeds.start);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let one = || {
            let mut figures = Figures::default();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds.end || until.is_some_and(|until| Instant::now() >= until) {
                    return figures;
                }
                try_seed(seed, &mut figures);
            }
        };
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        let mut all = Figures::default();
        running.into_iter().for_each(|thread| all.merge(thread.join().expect("no panic")));
        all
    })
}

#[test]
fn clusters_keep_their_promises() {
    if let Some(seed) = of_environment("CENOTE_SIM_SEED") {
        let named = std::env::var("CENOTE_SIM_MISTAKE").ok();
        let mistake = named.map(|name| {
            let planted = PLANTED.iter().map(|planted| planted.mistake);
            planted.clone().find(|mistake| format!("{mistake:?}") == name).unwrap_or_else(|| {
                panic!("CENOTE_SIM_MISTAKE: {name:?} is none of {:?}", planted.collect::<Vec<_>>())
            })
        });
        let outcome = simulate(Options { seed, mistake });
        println!("{}", describe(&outcome));
        assert!(outcome.is_clean(), "seed {seed} fails");
        return;
    }
    let first = of_environment("CENOTE_SIM_FIRST").unwrap_or(0);
    let until =
        of_environment("CENOTE_SIM_HOURS").map(|hours| Instant::now() + Duration::from_secs(hours * 3600));
    let usual = if until.is_some() { u64::MAX - first } else { SEEDS };
    let figures = run_all(first..first + of_environment("CENOTE_SIM_SEEDS").unwrap_or(usual), until);
    figures.print();
    assert!(figures.failed.is_empty(), "these seeds fail: {:?}", figures.failed);
}

/// A mistake on purpose, the first seed that finds it, and what that seed then shows.
struct Planted {
    mistake: Mistake,
    seed: u64,
    shows: Anomaly,
}

const PLANTED: [Planted; 4] = [
    Planted { mistake: Mistake::AcknowledgeBeforeCommit, seed: 4, shows: Anomaly::Lost },
    Planted { mistake: Mistake::SkipCompare, seed: 31, shows: Anomaly::FsckProblem },
    Planted { mistake: Mistake::ForgetProducers, seed: 13, shows: Anomaly::SequenceForgotten },
    Planted { mistake: Mistake::ArchiveUnstable, seed: 9, shows: Anomaly::AbortedSeen },
];
/// The seeds within which each is found.
const WITHIN: u64 = 40;

/// What a seed shows of a mistake. A cluster that comes to a halt says nothing of what was stored.
fn shown(mistake: Mistake, seed: u64) -> BTreeSet<Anomaly> {
    let outcome = simulate(Options { seed, mistake: Some(mistake) });
    let shown = outcome.breaches.iter().map(|breach| breach.anomaly);
    let usual = shown.filter(|anomaly| !matches!(anomaly, Anomaly::Stuck | Anomaly::Unread));
    if outcome.panic.is_none() { usual.collect() } else { BTreeSet::new() }
}

#[test]
fn planted_mistakes_are_found() {
    let search = of_environment("CENOTE_SIM_PLANTED");
    std::thread::scope(|scope| {
        for Planted { mistake, seed, shows } in PLANTED {
            scope.spawn(move || {
                if let Some(seeds) = search {
                    for seed in 0..seeds {
                        println!("{mistake:?} seed {seed} {:?}", shown(mistake, seed));
                    }
                    return;
                }
                assert!(seed < WITHIN, "{mistake:?}");
                let shown = shown(mistake, seed);
                assert!(shown.contains(&shows), "{mistake:?} shows {shown:?} by seed {seed}; seeds that find it: run this test with CENOTE_SIM_PLANTED=40");
            });
        }
    });
}

#[test]
fn a_seed_is_repeated_to_the_byte() {
    for seed in [3, 4] {
        let [one, other] = [(); 2].map(|()| simulate(Options { seed, mistake: None }));
        let (one, other) = (describe(&one), describe(&other));
        let differ = one.lines().zip(other.lines()).position(|(one, other)| one != other);
        assert_eq!(differ.map(|line| (one.lines().nth(line), other.lines().nth(line))), None, "seed {seed}");
        assert_eq!(one.len(), other.len(), "seed {seed}");
    }
}
