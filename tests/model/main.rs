//! Models of the protocols, checked exhaustively in small worlds: what is written here is what the code must
//! do.
//!
//! Each world states who takes part and how much may go wrong; the checker goes through every interleaving,
//! looks at every state, and shows a shortest trace to the first broken promise, or to a state that nothing
//! leads out of. A promise is worth as much as the bugs that it catches: each world has planted ones, and a
//! test that every one of them is caught. Nothing here uses the library, and a change of a rule belongs here
//! first.
//!
//! `cargo test --test model` explores the small worlds, in seconds even unoptimized. All of them, in minutes,
//! with counts:
//!
//! ```text
//! CENOTE_MODEL=full cargo test --release --test model -- --nocapture --test-threads=1
//! ```
//!
//! `CENOTE_MODEL="v1: zombie"` explores the worlds with that in their names.

mod checker;
mod journal;
mod list;
mod run;
mod transactions;

#[test]
fn the_journal_holds() {
    run::all_hold(journal::worlds());
}

#[test]
fn a_planted_bug_in_the_journal_is_caught() {
    run::all_caught(journal::bugs_caught());
}

#[test]
fn transactions_hold() {
    run::all_hold(transactions::worlds());
}

#[test]
fn a_planted_bug_in_transactions_is_caught() {
    run::all_caught(transactions::bugs_caught());
}

#[test]
fn a_late_end_of_version_1_ends_the_next_transaction() {
    let (name, world) = transactions::not_promised();
    assert!(run::is_caught(name, &world), "version 1 keeps more than we thought: strengthen its world");
}
