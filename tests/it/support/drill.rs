//! A drill: a cluster under load, faults one after the other, and then the checker's word on everything that was seen.
//!
//! ```text
//! writers, keeper of offsets ─▶ brokers ◀─ readers, two for each broker          faults: what the drill does to the cluster
//!    └─────── Observed: acknowledgements and answers ◀┘             │
//!                          └────────▶ History::check ◀── last reading of everything, by each broker
//! ```
//! `CENOTE_DRILL_SECONDS` has every drill go on for so long, and `CENOTE_DRILL_RUNS` as often, each with another seed; then
//! a line of a table is printed for each run. Without them a drill is short, and its seed is that of `CENOTE_IT_SEED`.
//! With `CENOTE_DRILL_RATE` so many bytes are written in a second, in records of 1 KiB.

mod keeper;
mod observed;
mod readers;
mod report;
mod writers;

use super::NONE;
use super::chance::Chance;
use super::cluster::{Cluster, Plan};
use super::requests::{AT_ONCE, FETCH_BY_NAME, Topic, fetch_one};
use keeper::Keeper;
use observed::Observed;
use readers::Readers;
use report::Report;
use std::sync::Arc;
use std::time::{Duration, Instant};
use writers::{Load, Writers};

/// Partitions of the topic, each with a writer of its own.
const PARTITIONS: i32 = 6;
/// Records are kept and taken whatever the clocks of brokers say.
const SETTINGS: [(&str, &str); 2] =
    [("retention.ms", "-1"), ("message.timestamp.after.max.ms", "9223372036854775807")];
/// How long the faults of a short drill go on.
const SHORT: Duration = Duration::from_secs(6);
/// Service is back within this time after faults are over.
const BACK_WITHIN: Duration = Duration::from_secs(30);

/// A drill that runs.
pub struct Drill {
    pub cluster: Cluster,
    pub chance: Chance,
    topic: Topic,
    observed: Arc<Observed>,
    until: Instant,
}

/// What a drill does to the cluster, again and again; it need not heal what it did.
pub type Fault = fn(&mut Drill);

/// Runs a drill as the environment says. The seeds go up by one for each run.
pub fn drill(name: &str, plan: &Plan, fault: Fault) {
    let long = number("CENOTE_DRILL_SECONDS").map(Duration::from_secs);
    let first = number("CENOTE_IT_SEED").unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0 >> 16);
    for run in 0..number("CENOTE_DRILL_RUNS").unwrap_or(1) {
        let time = long.unwrap_or(SHORT);
        // The brokers' logs are shown if something was found.
        let Some((report, mut cluster)) = run_once(name, plan, fault, first + run, time) else { return };
        report.tell(long.is_some());
        report.assert_clean();
        assert_eq!(cluster.check_stores(), Ok(()), "what the brokers left is whole");
    }
}

/// A number of the environment.
fn number(variable: &str) -> Option<u64> {
    let named = std::env::var(variable).ok();
    named.map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

fn run_once(name: &str, plan: &Plan, fault: Fault, seed: u64, time: Duration) -> Option<(Report, Cluster)> {
    #[expect(clippy::print_stdout, reason = "the test harness keeps it for failed tests")]
    {
        println!("{name}: CENOTE_IT_SEED={seed}");
    }
    let cluster = Cluster::start(name, plan.clone())?;
    let topic = cluster.broker(0).connect().create_topic_with("d", PARTITIONS, &SETTINGS);
    let observed = Arc::new(Observed::begin(cluster.began, PARTITIONS));
    let _ends = EndsLoad(Arc::clone(&observed));
    let writers = Writers::start(&cluster.bootstrap(), &topic, Load::named(), &observed);
    let mut readers = Readers::start(&cluster, &topic, &observed);
    let keeper = Keeper::start(&cluster, &topic, &observed);
    observed.await_service(BACK_WITHIN);
    let until = Instant::now() + time;
    let mut drill = Drill { cluster, chance: Chance::of(seed), topic, observed, until };
    while Instant::now() < drill.until {
        let began = drill.observed.now();
        fault(&mut drill);
        drill.observed.note_fault(began);
        readers.follow(&drill.cluster, &drill.topic, &drill.observed);
        drill.cluster.heal();
        drill.observed.await_service(BACK_WITHIN);
    }
    let Drill { cluster, topic, observed, .. } = drill;
    let written = writers.finish();
    let logs = readers::read_to_the_end(&cluster, &topic, PARTITIONS, &observed);
    readers.finish();
    keeper.finish();
    Some((Report::of(name, seed, time, written, &observed, logs), cluster))
}

/// The load does not outlive its drill, also if that fails.
struct EndsLoad(Arc<Observed>);

impl Drop for EndsLoad {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Drill {
    /// Goes on for so long while the fault lasts.
    pub fn hold(&self, time: Duration) {
        self.observed.wait(time);
    }

    /// Any broker.
    pub fn any_broker(&mut self) -> usize {
        self.chance.below(self.cluster.len())
    }

    /// Any time within this range of milliseconds.
    pub fn any_time(&mut self, millis: std::ops::Range<usize>) -> Duration {
        let millis = millis.start + self.chance.below(millis.len());
        Duration::from_millis(u64::try_from(millis).expect("a short time"))
    }

    /// Waits until all partitions were acknowledged something after now.
    pub fn await_service(&self) {
        self.observed.await_service(BACK_WITHIN);
    }
}

/// Waits until a broker takes and shows what is for this topic.
pub fn await_topic(cluster: &Cluster, number: usize, topic: &Topic) {
    let deadline = Instant::now() + BACK_WITHIN;
    let mut last = NONE;
    while Instant::now() < deadline {
        let asked = fetch_one(&topic.name, 0, AT_ONCE);
        let answer = cluster.broker(number).connect().call(FETCH_BY_NAME, &asked);
        let of_partition = answer.responses.iter().flat_map(|topic| &topic.partitions);
        last = of_partition.map(|data| data.error_code).chain([answer.error_code]).max().unwrap_or(NONE);
        if last == NONE {
            return;
        }
    }
    panic!("broker {number} serves {} within {BACK_WITHIN:?}; it says {last}", topic.name);
}
