//! What a simulation has done: how often, by words, and what of it is a line of its history.

use crate::network::Node;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

/// Counts, and lines. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    counts: BTreeMap<&'static str, u64>,
    lines: Vec<String>,
}

impl Tally {
    pub fn count(&self, what: &'static str) {
        *self.0.lock().counts.entry(what).or_default() += 1;
    }

    /// Counts what happens to a broker, and says so.
    pub fn happens(&self, what: &'static str, node: Node) {
        self.count(what);
        self.say(format!("{what} (broker {node})"));
    }

    pub fn say(&self, line: impl Display) {
        self.0.lock().lines.push(line.to_string());
    }

    /// What was said since it was asked last.
    pub fn lines(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().lines)
    }

    pub fn all(&self) -> BTreeMap<&'static str, u64> {
        self.0.lock().counts.clone()
    }
}
