//! What producers and readers of a cluster saw, and what of it must never be seen. Pure: numbers and moments in, findings
//! out; it knows no broker and reads no clock.
//!
//! The records are told apart by who wrote them and their number, and a log has nothing but them: no marker, nothing that
//! was aborted or compacted. What came first is judged by moments alone: an answer is held against what was known before
//! its question was asked, so that two that overlap are never compared.

mod commits;
mod known;
#[cfg(test)]
mod tests;

pub use commits::{Commit, Committed};
use known::Known;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// Time since the history began.
pub type Moment = Duration;

/// One record of one writer; writers count from zero, and each writes to one partition at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId {
    pub writer: u32,
    pub number: u64,
}

/// A record whose writer was told that it is stored, and most often where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    pub record: RecordId,
    pub partition: i32,
    /// None: it was a repeat of a batch that the broker knows it has, and no longer where.
    pub offset: Option<i64>,
    pub at: Moment,
}

/// What a broker said of a partition without an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub broker: usize,
    pub partition: i32,
    /// Just before the question was sent.
    pub began: Moment,
    /// Just after the answer was there.
    pub ended: Moment,
    pub told: Told,
}

/// What stood in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Fetch.
    Records { from: i64, records: Vec<(i64, RecordId)>, ends: Ends },
    /// ListOffsets: the end.
    End(i64),
    /// Fetch says that there is no such offset.
    OutOfRange { from: i64 },
}

/// The ends that a fetch names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    pub start: Option<i64>,
    pub stable: Option<i64>,
    pub high: Option<i64>,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub acknowledged: Vec<Acknowledged>,
    pub answers: Vec<Answer>,
    /// Everything that could be read when all was over, by partition.
    pub last: BTreeMap<i32, Vec<(i64, RecordId)>>,
    /// Offsets of groups, as they were sent and as they were told.
    pub commits: Vec<Commit>,
    pub committed: Vec<Committed>,
}

/// What must never be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Anomaly {
    /// An acknowledged record is nowhere in the end.
    Lost,
    /// A record stands at two offsets.
    Duplicated,
    /// A writer's records do not stand in the order in which they were sent.
    Reordered,
    /// An offset has two records, or one that is gone later.
    Changed,
    /// An offset was passed over, or comes twice in one answer.
    Hole,
    /// An end that a broker named is before one that was named earlier.
    WentBack,
    /// An answer to a later question does not show what was acknowledged.
    Unseen,
    /// A group's offset is older than what was committed.
    Forgotten,
}

/// All anomalies, in the order of the table.
pub const ANOMALIES: [Anomaly; 8] = [
    Anomaly::Lost,
    Anomaly::Duplicated,
    Anomaly::Reordered,
    Anomaly::Changed,
    Anomaly::Hole,
    Anomaly::WentBack,
    Anomaly::Unseen,
    Anomaly::Forgotten,
];

/// How many are told in words; all are counted.
const EXAMPLES_MAX: usize = 20;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    counts: BTreeMap<Anomaly, usize>,
    examples: Vec<String>,
}

impl Findings {
    /// How often.
    pub fn count(&self, anomaly: Anomaly) -> usize {
        self.counts.get(&anomaly).copied().unwrap_or_default()
    }

    /// Whether nothing was found.
    pub fn are_none(&self) -> bool {
        self.counts.is_empty()
    }

    fn add(&mut self, anomaly: Anomaly, what: impl fmt::Display) {
        *self.counts.entry(anomaly).or_default() += 1;
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(format!("{anomaly:?}: {what}"));
        }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.examples.iter().try_for_each(|example| writeln!(f, "{example}"))
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.writer, self.number)
    }
}

impl History {
    /// Looks at everything.
    pub fn check(&self) -> Findings {
        let mut findings = Findings::default();
        self.check_last(&mut findings);
        self.check_acknowledged(&mut findings);
        self.check_offsets(&mut findings);
        for partition in self.partitions() {
            self.check_answers(partition, &mut findings);
        }
        commits::check(&self.commits, &self.committed, &mut findings);
        findings
    }

    /// The longest time without an acknowledgement for a partition that lies in `from..to` or reaches into it.
    pub fn longest_pause(&self, partition: i32, from: Moment, to: Moment) -> Duration {
        let of_partition = self.acknowledged.iter().filter(|one| one.partition == partition);
        let mut moments: Vec<Moment> = of_partition.map(|one| one.at).collect();
        moments.sort();
        let pauses = moments.windows(2).filter(|pair| pair[0] < to && pair[1] > from);
        pauses.map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }

    /// Those of which anything is known.
    pub fn partitions(&self) -> BTreeSet<i32> {
        let acknowledged = self.acknowledged.iter().map(|one| one.partition);
        let answers = self.answers.iter().map(|answer| answer.partition);
        acknowledged.chain(answers).chain(self.last.keys().copied()).collect()
    }

    /// Nothing stands twice, each writer's records stand in their order, and there is no hole.
    fn check_last(&self, findings: &mut Findings) {
        let mut seen: BTreeMap<RecordId, (i32, i64)> = BTreeMap::new();
        for (&partition, records) in &self.last {
            let mut newest: BTreeMap<u32, u64> = BTreeMap::new();
            let mut expected = records.first().map_or(0, |&(offset, _)| offset);
            for &(offset, record) in records {
                if offset != expected {
                    findings.add(
                        Anomaly::Hole,
                        format!("partition {partition}: {offset} follows {}", expected - 1),
                    );
                }
                expected = offset + 1;
                if let Some((first, at)) = seen.insert(record, (partition, offset)) {
                    findings.add(
                        Anomaly::Duplicated,
                        format!("{record} at {at} of {first} and {offset} of {partition}"),
                    );
                    continue;
                }
                let newest = newest.entry(record.writer).or_default();
                if record.number < *newest {
                    findings.add(
                        Anomaly::Reordered,
                        format!("{record} at {offset} of {partition}, after number {newest}"),
                    );
                }
                *newest = record.number.max(*newest);
            }
        }
    }

    fn check_acknowledged(&self, findings: &mut Findings) {
        let stand: BTreeSet<(i32, RecordId)> = self
            .last
            .iter()
            .flat_map(|(&partition, records)| records.iter().map(move |&(_, record)| (partition, record)))
            .collect();
        for one in &self.acknowledged {
            if !stand.contains(&(one.partition, one.record)) {
                let Acknowledged { record, partition, offset, at } = one;
                findings.add(
                    Anomaly::Lost,
                    format!("{record}, acknowledged at {offset:?} of {partition} after {at:?}"),
                );
            }
        }
    }

    /// Whoever reads an offset, whenever, finds the record that stands there in the end and was acknowledged there.
    fn check_offsets(&self, findings: &mut Findings) {
        let mut stands: BTreeMap<(i32, i64), RecordId> = BTreeMap::new();
        for (&partition, records) in &self.last {
            stands.extend(records.iter().map(|&(offset, record)| ((partition, offset), record)));
        }
        let read = self.answers.iter().flat_map(|answer| {
            let records = match &answer.told {
                Told::Records { records, .. } => records.as_slice(),
                Told::End(_) | Told::OutOfRange { .. } => &[],
            };
            records.iter().map(|&(offset, record)| (answer.partition, offset, record))
        });
        let acknowledged = self.acknowledged.iter();
        let acknowledged = acknowledged.filter_map(|one| Some((one.partition, one.offset?, one.record)));
        let mut told = BTreeSet::new();
        for (partition, offset, record) in read.chain(acknowledged) {
            let stands = stands.get(&(partition, offset));
            if stands != Some(&record) && told.insert((partition, offset, record)) {
                let stands = stands.map_or_else(|| "nothing".to_owned(), ToString::to_string);
                findings.add(
                    Anomaly::Changed,
                    format!("{record} was at {offset} of {partition}, where {stands} is in the end"),
                );
            }
        }
    }

    fn check_answers(&self, partition: i32, findings: &mut Findings) {
        let acknowledged = self.acknowledged.iter().filter(|one| one.partition == partition);
        let answers: Vec<&Answer> =
            self.answers.iter().filter(|answer| answer.partition == partition).collect();
        let named = |end: fn(&Answer) -> Option<i64>| {
            Known::of(answers.iter().filter_map(|answer| Some((answer.ended, end(answer)?))))
        };
        let judge = Judge {
            acknowledged: Known::of(acknowledged.filter_map(|one| Some((one.at, one.offset? + 1)))),
            high: named(Answer::shown_high),
            stable: named(|answer| answer.ends().stable),
            start: named(|answer| answer.ends().start),
        };
        answers.iter().for_each(|answer| judge.judge(answer, findings));
    }
}

impl Answer {
    fn ends(&self) -> Ends {
        match self.told {
            Told::Records { ends, .. } => ends,
            Told::End(end) => Ends { high: Some(end), ..Ends::default() },
            Told::OutOfRange { .. } => Ends::default(),
        }
    }

    /// The high watermark can be no less, as far as this answer tells.
    fn shown_high(&self) -> Option<i64> {
        let past = match &self.told {
            Told::Records { records, .. } => records.last().map(|&(offset, _)| offset + 1),
            Told::End(_) | Told::OutOfRange { .. } => None,
        };
        past.max(self.ends().high)
    }
}

/// What was known of a partition, and when.
struct Judge {
    acknowledged: Known,
    high: Known,
    stable: Known,
    start: Known,
}

impl Judge {
    fn judge(&self, answer: &Answer, findings: &mut Findings) {
        let Answer { broker, partition, began, ended, .. } = answer;
        let of =
            |what: String| format!("broker {broker}, partition {partition}, {began:?}..{ended:?}: {what}");
        let (acknowledged, shown) = (self.acknowledged.before(answer.began), self.high.before(answer.began));
        // What an answer names no end for, it still shows or not.
        let reached = match &answer.told {
            Told::Records { from, records, .. } if records.is_empty() => Some(*from),
            Told::OutOfRange { from } => Some(*from),
            Told::Records { .. } | Told::End(_) => None,
        };
        for end in reached.into_iter().chain(answer.ends().high) {
            if acknowledged.is_some_and(|known| end < known) {
                findings
                    .add(Anomaly::Unseen, of(format!("ends at {end}, acknowledged up to {acknowledged:?}")));
            } else if shown.is_some_and(|known| end < known) {
                findings.add(Anomaly::WentBack, of(format!("ends at {end}, shown up to {shown:?}")));
            }
        }
        for (what, end, known) in [
            ("last stable offset", answer.ends().stable, &self.stable),
            ("log start", answer.ends().start, &self.start),
        ] {
            let known = known.before(answer.began);
            if end.zip(known).is_some_and(|(end, known)| end < known) {
                findings.add(Anomaly::WentBack, of(format!("{what} {end:?}, was {known:?}")));
            }
        }
        if let Told::Records { from, records, .. } = &answer.told {
            let offsets = records.iter().map(|&(offset, _)| offset);
            if let Some((expected, offset)) =
                (*from..).zip(offsets).find(|(expected, offset)| expected != offset)
            {
                findings.add(Anomaly::Hole, of(format!("{offset} where {expected} was due")));
            }
        }
    }
}
