//! What was seen so far, by whoever sees something, with the moments at which it was.

use crate::support::history::{Acknowledged, Answer, Commit, Committed, History, Moment};
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// Failures are told up to this number; one is too many.
const FAILED_MAX: usize = 10;

/// Shared by writers, readers and the drill.
pub struct Observed {
    began: Instant,
    partitions: i32,
    seen: Mutex<Seen>,
    /// Something was acknowledged, or a delivery failed.
    changed: Condvar,
    over: Condvar,
}

/// All that was seen.
#[derive(Default)]
pub struct Seen {
    pub history: History,
    /// When each fault began, and when it was healed.
    pub faults: Vec<(Moment, Moment)>,
    /// Deliveries that failed, in words.
    pub failed: Vec<String>,
    /// Answers that were errors, and connections that broke, by name.
    pub refusals: BTreeMap<String, usize>,
    newest: BTreeMap<i32, Moment>,
    is_over: bool,
}

impl Observed {
    /// Time began then.
    pub fn begin(began: Instant, partitions: i32) -> Observed {
        Observed { began, partitions, seen: Mutex::default(), changed: Condvar::new(), over: Condvar::new() }
    }

    /// The time since then.
    pub fn now(&self) -> Moment {
        self.began.elapsed()
    }

    pub fn acknowledged(&self, one: Acknowledged) {
        let mut seen = self.seen.lock().expect("what was seen");
        seen.newest.insert(one.partition, one.at);
        seen.history.acknowledged.push(one);
        self.changed.notify_all();
    }

    pub fn answered(&self, answer: Answer) {
        self.seen.lock().expect("what was seen").history.answers.push(answer);
    }

    pub fn committed(&self, commit: Commit) {
        self.seen.lock().expect("what was seen").history.commits.push(commit);
    }

    pub fn told_offset(&self, committed: Committed) {
        self.seen.lock().expect("what was seen").history.committed.push(committed);
    }

    pub fn refused(&self, why: String) {
        *self.seen.lock().expect("what was seen").refusals.entry(why).or_default() += 1;
    }

    /// A record that was given up by its writer.
    pub fn failed(&self, why: String) {
        let mut seen = self.seen.lock().expect("what was seen");
        if seen.failed.len() < FAILED_MAX {
            seen.failed.push(why);
        }
        self.changed.notify_all();
    }

    /// A fault began then, and is healed from now on.
    pub fn note_fault(&self, began: Moment) {
        let now = self.now();
        self.seen.lock().expect("what was seen").faults.push((began, now));
    }

    /// Waits for so long, or until the load is over; whether it is.
    pub fn wait(&self, time: Duration) -> bool {
        let seen = self.seen.lock().expect("what was seen");
        let waited = self.over.wait_timeout_while(seen, time, |seen| !seen.is_over);
        waited.expect("what was seen").0.is_over
    }

    /// The load is over.
    pub fn end(&self) {
        self.seen.lock().expect("what was seen").is_over = true;
        self.over.notify_all();
    }

    /// Waits until each partition was acknowledged something that comes after now.
    pub fn await_service(&self, within: Duration) {
        let after = self.now();
        let is_waiting = |seen: &mut Seen| {
            let served = seen.newest.values().filter(|newest| **newest > after).count();
            seen.failed.is_empty() && served < usize::try_from(self.partitions).expect("a number")
        };
        let seen = self.seen.lock().expect("what was seen");
        let (seen, waited) =
            self.changed.wait_timeout_while(seen, within, is_waiting).expect("what was seen");
        let (failed, newest, refusals) = (seen.failed.clone(), seen.newest.clone(), seen.refusals.clone());
        drop(seen);
        assert!(failed.is_empty(), "no delivery fails: {failed:?}");
        assert!(
            !waited.timed_out(),
            "all {} partitions are written to within {within:?} of {after:?}; last acknowledged: {newest:?}; \
             errors of readers: {refusals:?}",
            self.partitions,
        );
    }

    /// Looks at all of it.
    pub fn look<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.seen.lock().expect("what was seen"))
    }
}
