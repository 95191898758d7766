//! Several brokers on one etcd and one store: every broker takes what is for any of them, and one that is killed takes
//! nothing along.

use crate::support::Batch;
use crate::support::cluster::{Cluster, Plan};
use crate::support::drill::await_topic;
use crate::support::requests::LATEST;

/// Each broker takes records for a topic and shows those of all.
fn check_through_each(brokers: usize) {
    let Some(mut cluster) = Cluster::start("several brokers", Plan::of(brokers)) else { return };
    let topic = cluster.broker(0).connect().create_topic("each");
    let mut expected = Vec::new();
    let produce_through_all = |cluster: &Cluster, round: &str, expected: &mut Vec<String>| {
        for number in (0..brokers).filter(|number| cluster.broker(*number).is_running()) {
            let name = format!("{round}-{number}");
            let offset = cluster.broker(number).connect().produce(&topic, &Batch::numbered(&name, 1));
            assert_eq!(usize::try_from(offset), Ok(expected.len()));
            expected.push(format!("{name}-0"));
        }
        for number in (0..brokers).filter(|number| cluster.broker(*number).is_running()) {
            let mut client = cluster.broker(number).connect();
            assert_eq!(client.all_values(&topic), *expected, "as broker {number} shows it");
            let end = client.list_offset(&topic, LATEST).offset;
            assert_eq!(usize::try_from(end), Ok(expected.len()));
        }
    };
    (0..brokers).for_each(|number| await_topic(&cluster, number, &topic));
    produce_through_all(&cluster, "all", &mut expected);
    // Whoever leads it, the others have what was acknowledged, and go on.
    for killed in 0..brokers {
        cluster.kill(killed);
        let others = (0..brokers).filter(|number| *number != killed);
        others.for_each(|number| await_topic(&cluster, number, &topic));
        produce_through_all(&cluster, &format!("without-{killed}"), &mut expected);
        cluster.start_again(killed);
        (0..brokers).for_each(|number| await_topic(&cluster, number, &topic));
        produce_through_all(&cluster, &format!("again-{killed}"), &mut expected);
    }
}

#[test]
fn two_brokers_are_one_cluster() {
    check_through_each(2);
}

#[test]
fn three_brokers_are_one_cluster() {
    check_through_each(3);
}
