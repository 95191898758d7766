//! Several brokers on one etcd and one store: every broker takes what is for any of them, and one that is killed takes
//! nothing along.

use crate::cli_archive::{at_the_door, json};
use crate::settings::get;
use crate::support::Batch;
use crate::support::archive::metric;
use crate::support::cluster::{Cluster, Plan};
use crate::support::drill::await_topic;
use crate::support::requests::LATEST;
use std::time::{Duration, Instant};

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

/// How long it takes until a broker names so many members to its clients.
fn await_members(cluster: &Cluster, number: usize, members: usize) -> Duration {
    let began = Instant::now();
    let mut client = cluster.broker(number).connect();
    loop {
        let named = client.metadata(&[], false).brokers.len();
        if named == members {
            return began.elapsed();
        }
        assert!(began.elapsed() < Duration::from_secs(30), "broker {number} names {named} of {members}");
    }
}

/// Waits until a broker names all three as members, and hears the others.
fn await_neighbours(cluster: &Cluster, number: usize) {
    await_members(cluster, number, 3);
    let began = Instant::now();
    while metric(cluster.broker(number), "cenote_mesh_peers_up") != 2 {
        assert!(began.elapsed() < Duration::from_secs(30), "broker {number} hears both others");
    }
}

/// A lease of three seconds, and what is waited after it, would take four and a half.
const BEFORE_THE_LEASE_ENDS: Duration = Duration::from_millis(2_500);

#[test]
fn two_that_do_not_hear_a_third_do_not_wait_for_its_lease() {
    let Some(mut cluster) = Cluster::start("a broker that stands still", Plan::of(3)) else { return };
    let check = |cluster: &mut Cluster, silent: usize, what: &str, silence: fn(&mut Cluster, usize)| {
        (0..3).for_each(|number| await_neighbours(cluster, number));
        silence(cluster, silent);
        let took = await_members(cluster, (silent + 1) % 3, 2);
        println!("{what}: left out after {took:?}");
        assert!(took < BEFORE_THE_LEASE_ENDS, "{what}: {took:?}");
        cluster.heal();
    };
    for silent in 0..3 {
        check(&mut cluster, silent, "stopped", Cluster::pause);
    }
    check(&mut cluster, 0, "cut off", |cluster, silent| cluster.isolate(silent));
    (0..3).for_each(|number| await_neighbours(&cluster, number));
}

/// The number of the view as a broker knows it.
fn view_of(cluster: &Cluster, number: usize) -> i64 {
    let described = json(at_the_door(cluster.broker(number), &["cluster", "describe", "--output", "json"]));
    described["view"].as_i64().expect("a number")
}

#[test]
fn a_broker_that_nobody_hears_stays_outside_until_somebody_does() {
    let Some(mut cluster) = Cluster::start("a broker that nobody hears", Plan::of(3)) else { return };
    (0..3).for_each(|number| await_neighbours(&cluster, number));
    cluster.isolate(0);
    await_members(&cluster, 1, 2);
    let without = view_of(&cluster, 1);
    let began = Instant::now();
    while !get(cluster.broker(0), "/readyz").starts_with("HTTP/1.1 503") {
        assert!(began.elapsed() < Duration::from_secs(30), "no client should be sent to it");
    }
    assert_eq!(view_of(&cluster, 1), without, "it has not come back");
    // Who asks it all the same is told who leads.
    await_members(&cluster, 0, 2);
    cluster.heal();
    (0..3).for_each(|number| await_neighbours(&cluster, number));
    assert!(get(cluster.broker(0), "/readyz").starts_with("HTTP/1.1 200"));
}
