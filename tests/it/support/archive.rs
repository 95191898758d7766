//! What the tests of archives look at: figures of the broker, objects of a store, and what `cenote fsck` says of both;
//! and waiting for what a broker does by itself.

use super::Broker;
use super::requests::{FETCH_BY_NAME, FetchLimits, fetch_one};
use crate::settings::get;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What a broker does by itself it does within this time, also where it looks around every ten seconds.
const DEADLINE: Duration = Duration::from_secs(60);
/// Between two looks.
const PACE: FetchLimits =
    FetchLimits { max_wait_ms: 50, min_bytes: 1, max_bytes: 1 << 20, partition_max_bytes: 1 << 20 };

/// Waits until something is so, and looks about twenty times a second. What paces it is a long poll of a partition
/// that nothing is ever written to.
pub fn await_that(broker: &Broker, what: &str, is_so: impl FnMut() -> bool) {
    await_within(DEADLINE, broker, what, is_so);
}

/// The same with another deadline.
pub fn await_within(deadline: Duration, broker: &Broker, what: &str, mut is_so: impl FnMut() -> bool) {
    let mut client = broker.connect();
    let silent = client.create_topic("silent");
    let end = Instant::now() + deadline;
    while !is_so() {
        assert!(Instant::now() < end, "not within {deadline:?}: {what}");
        client.call(FETCH_BY_NAME, &fetch_one(&silent.name, 0, PACE));
    }
}

/// A figure that the broker counts since its start, such as `cenote_archive_segments_total`.
pub fn metric(broker: &Broker, name: &str) -> u64 {
    let answer = get(broker, "/metrics");
    let mut figures = answer.lines().filter_map(|line| line.rsplit_once(' '));
    let found = figures.find(|(found, _)| *found == name);
    let (_, figure) = found.unwrap_or_else(|| panic!("no {name} in {answer}"));
    figure.trim().parse().expect("a number")
}

/// What `cenote fsck` says of a broker that does not run. There must be no problem, and nothing that is not ours.
pub fn sound(broker: &Broker, arguments: &[&str]) -> Value {
    let mut command = broker.fsck(arguments);
    command.args(["--output", "json"]);
    let output = command.output().expect("the cenote binary");
    let report = serde_json::from_slice(&output.stdout);
    let report: Value = report.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(report["problems_total"], 0, "{report}");
    assert!(output.status.success());
    assert_eq!(report["strangers"]["objects"], 0, "{report}");
    report
}

/// Objects that nothing refers to, of all kinds.
pub fn orphans(report: &Value) -> u64 {
    let count = |kind: &str| report["orphans"][kind]["objects"].as_u64().expect("a number");
    count("segments") + count("manifests") + count("journal") + count("unfinished")
}

/// All files below a directory. It may change meanwhile.
pub fn files_below(directory: &Path) -> Vec<PathBuf> {
    let (mut found, mut directories) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            match entry.path() {
                path if path.is_dir() => directories.push(path),
                path => found.push(path),
            }
        }
    }
    found
}
