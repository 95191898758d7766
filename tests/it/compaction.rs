//! Log compaction under `kill -9`: what is left is the last record of every key, to consumers and in the files alike.

use crate::cli::{json_lines, over_tcp, run};
use crate::cli_archive::{at_the_door, json};
use crate::support::Broker;
use crate::support::archive::{await_that, metric, sound};
use crate::support::broker::cenote;
use crate::support::chance::mixed;
use crate::support::load::{Load, Sent};
use crate::support::reading::{Read, read_all};
use crate::support::requests::Topic;
use std::collections::BTreeMap;

const RECORDS: usize = 20_000;
const KEYS: u64 = 500;
const PARTITIONS: i32 = 2;
const IN_FLIGHT: usize = 500;
const PASSES: &str = "cenote_archive_compactions_total";
const ROWS_GONE: &str = "cenote_archive_compacted_rows_total";

/// One of the keys, with its number as the value; every eighth record ends its key.
fn keyed(number: usize) -> Sent {
    let chance = mixed(number as u64);
    let (key, is_end) = (chance % KEYS, (chance >> 32).is_multiple_of(8));
    let value = (!is_end).then(|| number.to_string());
    let partition = i32::try_from(key).expect("a few hundred") % PARTITIONS;
    Sent { partition, key: Some(format!("key-{key}")), value }
}

/// The last value of every key of a partition, if the first so many records were sent; none is a tombstone's.
fn last_values(sent: usize, partition: usize) -> BTreeMap<String, Option<String>> {
    let records = (0..sent).map(keyed).filter(|sent| sent.partition as usize == partition);
    records.filter_map(|sent| Some((sent.key?, sent.value))).collect()
}

/// By key, if each stands there once.
fn by_key(read: &[Read]) -> Option<BTreeMap<String, Option<String>>> {
    let pairs = read.iter().map(|read| (read.key.clone().expect("a key"), read.value.clone()));
    let by_key: BTreeMap<_, _> = pairs.collect();
    (by_key.len() == read.len()).then_some(by_key)
}

/// What the files hold that `cenote topic files` names, by partition, in their order.
fn read_files(broker: &Broker, topic: &Topic) -> Vec<Vec<Read>> {
    let listed = json(at_the_door(broker, &["topic", "files", &topic.name, "--output", "json"]));
    let mut read = vec![Vec::new(); PARTITIONS as usize];
    for file in listed["files"].as_array().expect("a list") {
        let mut cat = cenote();
        cat.args(["segment", "cat", file["file"].as_str().expect("a path"), "--output", "json"]);
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        let rows = json_lines(&run(cat, "")).into_iter().map(|row| Read {
            offset: row["offset"].as_i64().expect("a number"),
            key: text(&row["key"]),
            value: text(&row["value"]),
        });
        let partition = file["partition"].as_u64().and_then(|index| usize::try_from(index).ok());
        read[partition.expect("a partition")].extend(rows);
    }
    read
}

/// Waits until consumers and files have the same, each key once, and sees that it is what is wanted.
fn check_settles(broker: &Broker, topic: &Topic, wanted: &[BTreeMap<String, Option<String>>]) {
    let is_settled = |read: &[Vec<Read>]| {
        let keys = read
            .iter()
            .zip(wanted)
            .map(|(read, wanted)| by_key(read).filter(|found| found.len() == wanted.len()));
        keys.collect::<Option<Vec<_>>>()
    };
    await_that(broker, "each key once, and none too many", || {
        is_settled(&read_all(broker, topic, PARTITIONS)).is_some()
    });
    let read = read_all(broker, topic, PARTITIONS);
    assert_eq!(is_settled(&read).as_deref(), Some(wanted), "the last value of each key");
    for records in &read {
        assert!(records.is_sorted_by_key(|record| record.offset), "in the order of offsets");
    }
    assert_eq!(read_files(broker, topic), read, "and so in the files");
}

fn set(broker: &Broker, topic: &Topic, setting: &str) {
    run(over_tcp(broker, &["topic", "alter", &topic.name, "--set", setting]), "");
}

#[test]
fn the_last_value_of_each_key_is_left_after_kills_in_the_middle() {
    let mut broker =
        Broker::options().arguments(&["--archive-bytes", "32KiB", "--archive-age", "200ms"]).start();
    let settings = [("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0.2")];
    let topic = broker.connect().create_topic_with("compacted", PARTITIONS, &settings);
    let load = Load::start(&broker, &topic, IN_FLIGHT, keyed);
    let mut acknowledged = Vec::new();
    load.await_acknowledged(RECORDS / 4, &mut acknowledged);
    broker.kill_and_restart();
    // A session looks for what is dirty as soon as it begins, and does so again after each pass.
    load.await_acknowledged(RECORDS / 4, &mut acknowledged);
    await_that(&broker, "rows go", || metric(&broker, ROWS_GONE) > 0);
    broker.kill_and_restart();
    load.await_acknowledged(RECORDS / 2, &mut acknowledged);
    let sent = load.finish(&mut acknowledged);
    assert_eq!(acknowledged.len(), sent, "in the end everything is acknowledged");

    set(&broker, &topic, "min.cleanable.dirty.ratio=0");
    let flushed = json(at_the_door(&broker, &["archive", "flush", &topic.name, "--output", "json"]));
    assert_eq!(flushed[0]["lag_records"], 0, "{flushed}");
    broker.kill_and_restart();
    let partitions = 0..PARTITIONS as usize;
    let wanted: Vec<_> = partitions.map(|partition| last_values(sent, partition)).collect();
    check_settles(&broker, &topic, &wanted);
    assert!(metric(&broker, PASSES) > 0, "passes were finished");

    set(&broker, &topic, "delete.retention.ms=1");
    broker.kill();
    sound(&broker, &[]);
    broker.start_again();
    let wanted: Vec<BTreeMap<_, _>> = wanted
        .into_iter()
        .map(|values| values.into_iter().filter(|(_, value)| value.is_some()).collect())
        .collect();
    check_settles(&broker, &topic, &wanted);
}
