//! Whole clusters under a seed: real brokers, from their connection loop to their archiver, on stores, a network and clocks that fail
//! as the seed has it. What their clients saw goes to a checker that knows no broker.
//!
//! ```text
//! run ─▶ cluster: brokers, each a machine of its own ─▶ stores (objects, metadata), network (pipes, lines)
//!   ├──▶ faults                                           ▲
//!   └──▶ actors: clients ─────────────────────────────────┘ ─▶ history ─▶ checker
//! ```
//!
//! `CENOTE_SIM_SEEDS` has more seeds run than usual, `CENOTE_SIM_SEED` a single one, whose history is printed.

/// That of the broker's process: most of a simulation is small allocations.
#[cfg(tokio_unstable)]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[cfg(tokio_unstable)]
mod actors;
#[cfg(tokio_unstable)]
#[allow(dead_code, reason = "shared with other tests, which use more of it")]
#[path = "../it/support/batches.rs"]
mod batches;
#[cfg(tokio_unstable)]
mod checker;
#[cfg(tokio_unstable)]
mod client;
#[cfg(tokio_unstable)]
mod cluster;
#[cfg(tokio_unstable)]
mod dice;
#[cfg(tokio_unstable)]
mod faults;
#[cfg(tokio_unstable)]
mod history;
#[cfg(tokio_unstable)]
mod lines;
#[cfg(tokio_unstable)]
mod machine;
#[cfg(tokio_unstable)]
mod metadata;
#[cfg(tokio_unstable)]
mod network;
#[cfg(tokio_unstable)]
mod objects;
#[cfg(tokio_unstable)]
mod panics;
#[cfg(tokio_unstable)]
mod pipe;
#[cfg(tokio_unstable)]
mod records;
#[cfg(tokio_unstable)]
mod remains;
#[cfg(tokio_unstable)]
mod run;
#[cfg(tokio_unstable)]
mod seeds;
#[cfg(tokio_unstable)]
mod settings;
#[cfg(tokio_unstable)]
mod tally;

#[cfg(not(tokio_unstable))]
#[test]
fn simulation() {
    println!("skipped: simulations need --cfg tokio_unstable, which RUSTFLAGS of this build leave out");
}
