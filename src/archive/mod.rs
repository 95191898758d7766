//! What leaves the journal, what is dropped, merged and compacted: decisions without I/O.
//!
//! Each takes numbers and moments as values and says what should be done; who acts on it reads and writes.
//!
//! Never: nothing here reaches above the last stable offset, and nothing is dropped that a setting does not name.

pub mod compact;
pub mod cut;
pub mod merge;
pub mod retention;

#[cfg(test)]
mod tests;
