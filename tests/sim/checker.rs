//! Judges a history: which promises of a Kafka log it shows to be broken, and by which events. Pure: a history in, breaches
//! out; it knows no broker, reads no clock and draws nothing.
//!
//! ```text
//! events ─▶ operations: call and return ─▶ seen: what stands where, who told which end when ─▶ rules, a file for each family
//! ```
//!
//! What came first is judged by the order of events alone: an answer is held against what was known before its question
//! was asked, so that two that overlap are never compared. What is unknown may have happened at any time after its call,
//! or never.
//!
//! One rule for all brokers: whoever is asked, also one that reads for its zone what another leads, shows everything that
//! was shown or acknowledged anywhere before it was asked. Apache Kafka's followers may lag; here they ask the leader.

mod chains;
mod commits;
mod compaction;
mod ends;
mod known;
mod liveness;
mod members;
mod offsets;
mod operations;
mod reads;
mod remains;
mod retention;
mod seen;
mod segments;
mod sends;
#[cfg(test)]
mod tests;
mod topics;
mod transactions;

use super::history::{self, History};
use std::collections::BTreeSet;
use std::fmt;

/// An event's place in the history.
pub type Moment = usize;

/// What must never be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Anomaly {
    /// The history itself cannot be: a return without a call, time that goes back.
    Malformed,
    /// An offset has two records, or a record and a marker.
    Changed,
    /// A record is not as it was sent.
    Altered,
    /// A record that nobody had sent there.
    NeverSent,
    /// A record of a deleted topic in the next one of its name.
    OldTopic,
    /// A record of a send that was refused.
    RefusedIsThere,
    /// A record stands more often than it was sent.
    Duplicated,
    /// An acknowledged record is not there in the end.
    Lost,
    /// Nobody looked in the end at a partition to which something was acknowledged.
    Unread,
    /// A producer's records do not stand in the order in which it sent them.
    Reordered,
    /// A send got an offset below an end that was known before it began.
    SentBelowEnd,
    /// A batch is missing between two that its producer numbered as its neighbours.
    SequenceSkipped,
    /// A producer is not known any more, or not as far as it was acknowledged.
    SequenceForgotten,
    /// A reader of committed records saw what was aborted.
    AbortedSeen,
    /// A reader of committed records saw what nobody had yet asked to commit.
    OpenSeen,
    /// Part of a transaction is there, and part is not.
    Torn,
    /// A transaction was told to be committed and to be aborted.
    TwoVerdicts,
    /// A reader went past a record.
    Skipped,
    /// Readers went past more offsets without a record than markers and aborted records explain.
    Hole,
    /// The records of one answer are not in order, or not where they were asked for.
    Disordered,
    /// A poll does not begin where the one before it ended.
    PollMoved,
    /// A record is there again after it was gone.
    Reappeared,
    /// The last value of a key, or a tombstone before its time, is gone.
    CompactedTooMuch,
    /// A high watermark is below one that was told before.
    HighWentBack,
    /// A last stable offset is below one that was told before.
    StableWentBack,
    /// A log start is below one that was told before.
    StartWentBack,
    /// The ends in one answer contradict each other.
    EndsContradict,
    /// An answer does not show what was acknowledged or shown before.
    Unseen,
    /// An offset that is there is said to be out of range.
    FalselyOutOfRange,
    /// Something was read below the log start.
    BelowStart,
    /// The log start is beyond what was asked for and what retention allows.
    StartTooFar,
    /// A group's offset is older than what was committed or told.
    CommitForgotten,
    /// A group's offset that nobody committed.
    CommitInvented,
    /// A commit of an older generation, or of who had left, was taken.
    StaleCommit,
    /// Two members of a group have the same partition.
    TwoOwners,
    /// A chain has nothing for an input.
    ChainLost,
    /// A chain has more than one output for an input.
    ChainDoubled,
    /// A chain's outputs are not in the order of their inputs.
    ChainReordered,
    /// A topic has fewer partitions than before.
    PartitionsWentBack,
    /// An id belongs to two topics.
    TopicIdReused,
    /// Segments are not what is fetched.
    SegmentsDiffer,
    /// A client does not get on although nothing fails any more.
    Stuck,
    /// What is left in the stores is not whole.
    FsckProblem,
    /// More is left in the store that nothing refers to than may be.
    LeftBehind,
}

/// One promise that was broken, and the events that show it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Breach {
    pub anomaly: Anomaly,
    pub events: Vec<Moment>,
    pub what: String,
}

/// Everything that is wrong with a history, in the order of the anomalies.
pub fn check(history: &History) -> Vec<Breach> {
    let mut found = Found::default();
    let operations = operations::pair(history, &mut found);
    let seen = seen::Seen::of(history, &operations, &mut found);
    offsets::check(&seen, &mut found);
    let gaps = reads::check(&seen, &mut found);
    sends::check(&seen, &mut found);
    transactions::check(&seen, &gaps, &mut found);
    ends::check(&seen, &mut found);
    retention::check(&seen, &mut found);
    commits::check(&seen, &mut found);
    members::check(&seen, &mut found);
    chains::check(&seen, &mut found);
    topics::check(&seen, &mut found);
    segments::check(&seen, &mut found);
    liveness::check(&seen, &mut found);
    remains::check(&seen, &mut found);
    found.breaches.into_iter().collect()
}

/// Breaches with the lines of their events.
pub struct Report<'a> {
    pub history: &'a History,
    pub breaches: &'a [Breach],
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for breach in self.breaches.iter().take(TOLD_MAX) {
            writeln!(f, "{:?}: {}", breach.anomaly, breach.what)?;
            for &moment in &breach.events {
                if let Some(event) = self.history.events.get(moment) {
                    writeln!(f, "  {moment} {event}")?;
                }
            }
        }
        let more = self.breaches.len().saturating_sub(TOLD_MAX);
        if more == 0 { Ok(()) } else { writeln!(f, "and {more} more") }
    }
}

/// So many breaches are told in words.
const TOLD_MAX: usize = 50;

/// What the rules have found; the same is found once.
#[derive(Default)]
struct Found {
    breaches: BTreeSet<Breach>,
}

impl Found {
    fn add(&mut self, anomaly: Anomaly, events: impl IntoIterator<Item = Moment>, what: impl fmt::Display) {
        let events: BTreeSet<Moment> = events.into_iter().collect();
        let what = what.to_string();
        self.breaches.insert(Breach { anomaly, events: events.into_iter().collect(), what });
    }
}
