//! The targets on the stable toolchain: every seed, then mutations of seeds, the same in every run.
//!
//! `CENOTE_FUZZ_ROUNDS=1000000 cargo test --lib fuzzing` makes more of them. An input that breaks a promise is made smaller and
//! shown in hex, to be put into `fuzz/seeds/<target>/found-<what>`, where it is fed from then on.

use super::mutator::Mutator;
use super::seeds::{SEEDS, read_seeds};
use super::{Reserves, TARGETS, Target};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::Path;
use std::sync::Once;

/// How often the runner tries to make an input smaller.
const ATTEMPTS_MAX: usize = 500;

macro_rules! targets {
    ($($name:ident $rounds:literal),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                run(stringify!($name), $rounds);
            }
        )*

        #[test]
        fn every_target_is_run() {
            let known: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(known, [$(stringify!($name)),*]);
        }
    };
}

// So many rounds that all together take a few seconds without optimisation.
targets!(
    frames 4_000,
    requests 20_000,
    batches 4_000,
    connection 20,
    journal_object 3_000,
    journal_index 2_000,
    manifest 3_000,
    segment 300,
    metadata 20_000,
    subscriptions 10_000,
    mesh 30_000,
);

fn run(name: &str, rounds: u64) {
    let target = Target::named(name).expect("it is in the list");
    let rounds = match std::env::var("CENOTE_FUZZ_ROUNDS") {
        Ok(given) => given.parse().expect("CENOTE_FUZZ_ROUNDS is a number"),
        Err(_) => rounds,
    };
    let seeds: Vec<Vec<u8>> = read_seeds(name).into_values().collect();
    if let Some(failure) = first_failure(target, &seeds, rounds) {
        panic!("{failure}");
    }
}

/// Feeds every seed, then so many mutations. The first input that breaks a promise, made smaller, and how it does.
fn first_failure(target: &Target, seeds: &[Vec<u8>], rounds: u64) -> Option<String> {
    assert!(!seeds.is_empty(), "{} has no seeds", target.name);
    let mutated = (0..rounds).map(|round| {
        let mut mutator = Mutator::new(round);
        let mut bytes = seeds[mutator.below(seeds.len())].clone();
        let other = mutator.below(seeds.len());
        mutator.mutate(&mut bytes, &seeds[other]);
        bytes
    });
    let mut inputs = seeds.iter().cloned().chain(mutated);
    let bytes = inputs.find(|bytes| fault(target, bytes).is_some())?;
    let smallest = made_smaller(target, bytes);
    let why = fault(target, &smallest).expect("it was kept as it fails");
    let hex: String = smallest.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(format!("{}: {why}, with {} bytes: {hex}", target.name, smallest.len()))
}

thread_local! {
    /// Panics of this thread, also those that were caught on their way.
    static PANICS: Cell<usize> = const { Cell::new(0) };
    static LAST: Cell<String> = const { Cell::new(String::new()) };
    static WATCHED: Cell<bool> = const { Cell::new(false) };
}

/// From the first call on, panics of a thread that feeds a target are counted and not shown. Tasks that end by one would
/// otherwise go unnoticed.
fn watch_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if WATCHED.get() {
                PANICS.set(PANICS.get() + 1);
                LAST.set(panic.to_string());
            } else {
                before(panic);
            }
        }));
    });
}

/// What promise these bytes break, if any.
fn fault(target: &Target, bytes: &[u8]) -> Option<String> {
    watch_panics();
    WATCHED.set(true);
    PANICS.set(0);
    let mut reserved = 0;
    let fed = catch_unwind(AssertUnwindSafe(|| {
        reserved = allocation_counter::measure(|| target.feed(bytes)).bytes_max;
    }));
    WATCHED.set(false);
    let memory_max = target.memory_max(bytes.len());
    match reserved {
        _ if fed.is_err() || PANICS.get() > 0 => Some(LAST.take()),
        _ if reserved > memory_max as u64 => {
            Some(format!("{reserved} bytes were reserved, at most {memory_max} may be"))
        }
        _ => None,
    }
}

/// The same without whatever is not needed to fail.
fn made_smaller(target: &Target, mut bytes: Vec<u8>) -> Vec<u8> {
    let (mut piece, mut attempts) = (bytes.len(), 0);
    while piece > 0 && attempts < ATTEMPTS_MAX {
        let mut place = 0;
        while place < bytes.len() && attempts < ATTEMPTS_MAX {
            let without = [&bytes[..place], &bytes[(place + piece).min(bytes.len())..]].concat();
            attempts += 1;
            if fault(target, &without).is_some() {
                bytes = without;
            } else {
                place += piece;
            }
        }
        piece /= 2;
    }
    bytes
}

#[test]
fn a_panic_and_a_large_reservation_are_found_and_made_smaller() {
    fn panics(bytes: &[u8]) {
        assert!(!bytes.windows(4).any(|window| window == i32::MAX.to_be_bytes()), "planted");
    }
    fn reserves(bytes: &[u8]) {
        let claimed = bytes.first_chunk().map_or(0, |four| u32::from_be_bytes(*four));
        drop(Vec::<u8>::with_capacity(claimed as usize & 0xff_ffff));
    }
    let reserve = Reserves { base: 64 << 10, per_byte: 8 };
    let seeds = [vec![0; 40], b"longer than the other by some bytes, and not only zeros".to_vec()];
    for (check, expected) in [(panics as fn(&[u8]), "planted"), (reserves, "were reserved")] {
        let planted = Target { name: "planted", check, reserves: reserve };
        let found = first_failure(&planted, &seeds, 5_000).expect("it is there");
        assert!(found.contains(expected) && found.contains(" 4 bytes: "), "{found}");
    }
    let harmless = Target { name: "harmless", check: |_| (), reserves: reserve };
    assert_eq!(first_failure(&harmless, &seeds, 100), None);
}

#[test]
fn the_targets_of_cargo_fuzz_are_the_same() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let known: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    let names = |folder: &str| -> BTreeSet<String> {
        let entries = std::fs::read_dir(fuzz.join(folder)).expect("the folder is in the tree");
        let path = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("a readable entry").path();
        entries
            .map(path)
            .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
            .collect()
    };
    assert_eq!(names("fuzz_targets"), known);
    assert_eq!(names(SEEDS), known);
    for name in known {
        let source =
            std::fs::read_to_string(fuzz.join(format!("fuzz_targets/{name}.rs"))).expect("it is there");
        assert!(source.contains(&format!("\"{name}\"")), "{name} feeds the target of its name");
        let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).expect("it is there");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is built");
    }
}
