//! Consume, transform, produce in transactions while the brokers of a cluster are killed, stopped and cut off: the output
//! holds every input exactly once, whoever coordinates and whoever leads.

use crate::exactly_once::{Feed, PARTITIONS, Watch, Worker, check_exactly_once};
use crate::support::chance::Chance;
use crate::support::cluster::{Cluster, Plan};
use std::time::Duration;

const BROKERS: usize = 3;
/// Faults of the suite; `CENOTE_DRILL_ROUNDS` has more of them.
const ROUNDS: usize = 6;
const FED: usize = 6;
const SEEN: usize = 4;

#[test]
fn the_output_of_transactions_is_exactly_the_input() {
    let plan = Plan::of(BROKERS).arguments(&["--group-initial-rebalance-delay", "0ms"]);
    let Some(mut cluster) = Cluster::start("exactly once in a cluster", plan) else { return };
    let mut chance = Chance::seeded();
    let mut client = cluster.broker(0).connect();
    let input = client.create_topic_with("input", PARTITIONS, &[]);
    let output = client.create_topic_with("output", PARTITIONS, &[]);
    let bootstrap = cluster.bootstrap();
    let mut feed = Feed::start(&bootstrap, &input);
    let mut worker = Worker::start(bootstrap.clone(), &input, &output);
    let mut watch = Watch::start(&bootstrap, &output);
    let named = std::env::var("CENOTE_DRILL_ROUNDS").ok();
    let rounds = named.map_or(ROUNDS, |rounds| rounds.parse().expect("CENOTE_DRILL_ROUNDS is a number"));
    for _ in 0..rounds {
        feed.feed(FED);
        let wanted = watch.count + SEEN;
        watch.await_count(wanted, &mut worker);
        feed.feed(FED);
        watch.linger(Duration::from_millis(u64::try_from(chance.below(60)).expect("small")));
        let broker = chance.below(BROKERS);
        match chance.below(5) {
            0 | 1 => cluster.kill(broker),
            2 => cluster.stop(broker),
            3 => cluster.isolate(broker),
            _ => {
                cluster.kill(broker);
                worker.kill();
                worker.start_again();
            }
        }
        // It goes on without that broker, and when it is back.
        let wanted = watch.count + SEEN;
        watch.await_count(wanted, &mut worker);
        cluster.heal();
    }
    watch.await_count(feed.fed, &mut worker);
    worker.kill();
    (0..BROKERS).for_each(|number| check_exactly_once(cluster.broker(number), &input, &output, feed.fed));
}
