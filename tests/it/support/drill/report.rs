//! What came of a drill: a line of a table, and whether it was well.

use super::observed::Observed;
use super::readers::{FINAL, Log};
use crate::support::history::{ANOMALIES, Findings};
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::sync::Once;
use std::time::Duration;

/// Sorted.
struct Pauses(Vec<Duration>);

impl Pauses {
    fn of(pauses: impl Iterator<Item = Duration>) -> Pauses {
        let mut pauses: Vec<Duration> = pauses.collect();
        pauses.sort();
        Pauses(pauses)
    }
}

impl fmt::Display for Pauses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let median = self.0.get(self.0.len() / 2).copied().unwrap_or_default();
        let worst = self.0.last().copied().unwrap_or_default();
        write!(f, "| {:.2} | {:.2} ", median.as_secs_f64(), worst.as_secs_f64())
    }
}

/// One run.
pub struct Report {
    name: String,
    seed: u64,
    time: Duration,
    written: u64,
    acknowledged: usize,
    answers: usize,
    findings: Findings,
    /// For each fault the longest pause of any partition while it lasts.
    pauses: Pauses,
    /// The same from when it is healed to the next one.
    healing: Pauses,
    refusals: BTreeMap<String, usize>,
    failed: Vec<String>,
    /// Whether all brokers show the same in the end.
    is_same: bool,
}

impl Report {
    /// Takes what was seen.
    pub fn of(
        name: &str,
        seed: u64,
        time: Duration,
        written: u64,
        observed: &Observed,
        logs: Vec<Log>,
    ) -> Report {
        observed.look(|seen| {
            let is_same = logs.windows(2).all(|pair| pair[0] == pair[1]);
            seen.history.last = logs.into_iter().next().unwrap_or_default();
            let history = &seen.history;
            let worst = |from: Duration, to: Duration| {
                let pauses = history.partitions().into_iter();
                pauses.map(|partition| history.longest_pause(partition, from, to)).max().unwrap_or_default()
            };
            let next = seen.faults.iter().skip(1).map(|(began, _)| *began).chain([observed.now()]);
            let pauses = Pauses::of(seen.faults.iter().map(|(began, healed)| worst(*began, *healed)));
            let healing =
                Pauses::of(seen.faults.iter().zip(next).map(|((_, healed), next)| worst(*healed, next)));
            Report {
                name: name.to_owned(),
                seed,
                time,
                written,
                acknowledged: history.acknowledged.len(),
                answers: history.answers.len() + history.committed.len(),
                findings: history.check(),
                pauses,
                healing,
                refusals: seen.refusals.clone(),
                failed: seen.failed.clone(),
                is_same,
            }
        })
    }

    /// Prints the line: for all to see, or for who looks at a test that failed.
    pub fn tell(&self, openly: bool) {
        static HEAD: Once = Once::new();
        let head = || self.say(&heading(), openly);
        HEAD.call_once(head);
        self.say(&self.line(), openly);
    }

    #[expect(clippy::print_stdout, reason = "the test harness keeps it for failed tests")]
    fn say(&self, line: &str, openly: bool) {
        if openly {
            // Not by a macro: the harness keeps what macros print.
            let written = writeln!(std::io::stderr(), "{line}");
            written.expect("a place for messages");
        } else {
            println!("{line}");
        }
    }

    fn line(&self) -> String {
        let mut line =
            format!("| {} | {} | {} | {} ", self.name, self.seed, self.time.as_secs(), self.pauses.0.len());
        let _ = write!(line, "| {} | {} ", self.acknowledged, self.answers);
        for anomaly in ANOMALIES {
            let _ = write!(line, "| {} ", self.findings.count(anomaly));
        }
        let refusals: Vec<String> =
            self.refusals.iter().map(|(why, count)| format!("{count} {why}")).collect();
        let _ = write!(line, "{}{}| {} |", self.pauses, self.healing, refusals.join(", "));
        line
    }

    /// Nothing was found, and nothing was given up.
    pub fn assert_clean(&self) {
        assert!(self.findings.are_none(), "{}\n{}{}", heading(), self.line(), self.findings);
        assert_eq!(self.failed, Vec::<String>::new(), "no delivery failed");
        assert_eq!(
            u64::try_from(self.acknowledged).expect("64 bits"),
            self.written,
            "everything is acknowledged"
        );
        let is_final = |why: &&String| why.ends_with(FINAL);
        assert_eq!(self.refusals.keys().find(is_final), None, "clients come again after all errors");
        assert!(self.is_same, "all brokers show the same log");
    }
}

fn heading() -> String {
    let kinds: Vec<String> = ANOMALIES.iter().map(|anomaly| format!("{anomaly:?}").to_lowercase()).collect();
    let columns = format!("drill | seed | s | faults | acked | answers | {}", kinds.join(" | "));
    format!(
        "| {columns} | pause, median s | worst s | healing, median s | worst s | errors that readers got |"
    )
}
