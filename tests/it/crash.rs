//! `kill -9` in the middle of idempotent produce: what was acknowledged is read back exactly once, in order.

use crate::produce_consume::{consume, consumer_of};
use crate::support::archive::files_below;
use crate::support::load::{Acknowledged, Load, Sent};
use crate::support::requests::{LATEST, Topic};
use crate::support::{Batch, Broker};
use rdkafka::message::Message;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const KILLS: usize = 20;
const KILLS_WHILE_ARCHIVED: usize = 50;
pub const PARTITIONS: i32 = 3;
/// Acknowledgements awaited between two kills, so that every kill meets traffic.
const ACKS_BETWEEN_KILLS: usize = 40;
/// Records sent and not yet reported.
const IN_FLIGHT_MAX: usize = 300;
const DEADLINE: Duration = Duration::from_secs(120);

/// Records are told apart by their number, and go round robin over the partitions.
pub fn numbered(number: usize) -> Sent {
    let partition = i32::try_from(number % PARTITIONS as usize).expect("small");
    Sent { partition, key: None, value: Some(number.to_string()) }
}

/// Everything that can be read: per partition the texts in the order of their offsets.
fn read_all(broker: &Broker, topic: &Topic) -> BTreeMap<i32, Vec<(i64, usize)>> {
    let mut count = 0;
    for partition in 0..PARTITIONS {
        let consumer = consumer_of(&broker.bootstrap(), &topic.name, PARTITIONS);
        let (low, high) =
            rdkafka::consumer::Consumer::fetch_watermarks(&consumer, &topic.name, partition, DEADLINE)
                .expect("the ends");
        count += usize::try_from(high - low).expect("an end after the start");
    }
    let consumer = consumer_of(&broker.bootstrap(), &topic.name, PARTITIONS);
    let mut read: BTreeMap<i32, Vec<(i64, usize)>> = BTreeMap::new();
    let number = |bytes: Option<&[u8]>| -> usize {
        std::str::from_utf8(bytes.unwrap_or_default())
            .ok()
            .and_then(|text| text.parse().ok())
            .expect("a number")
    };
    for (partition, offset, number) in consume(&consumer, count, |message| {
        (message.partition(), message.offset(), number(message.payload()))
    }) {
        read.entry(partition).or_default().push((offset, number));
    }
    read
}

fn check_exactly_once(broker: &Broker, topic: &Topic, acknowledged: &[Acknowledged], sent: usize) {
    check_once_and_in_order(&read_all(broker, topic), acknowledged, sent);
}

/// Whether what was read, by partition with offsets and numbers, is all that was acknowledged, and nothing twice.
pub fn check_once_and_in_order(
    read: &BTreeMap<i32, Vec<(i64, usize)>>,
    acknowledged: &[Acknowledged],
    sent: usize,
) {
    let mut seen = BTreeSet::new();
    for (partition, records) in read {
        for (place, &(offset, number)) in records.iter().enumerate() {
            assert_eq!(offset, i64::try_from(place).expect("small"), "no hole in partition {partition}");
            assert!(number < sent, "only what was sent");
            assert!(seen.insert(number), "record {number} stands twice");
        }
        let numbers: Vec<usize> = records.iter().map(|&(_, number)| number).collect();
        assert!(numbers.is_sorted(), "partition {partition} is in the order of sending");
    }
    for Acknowledged { number, partition, offset } in acknowledged {
        let stands = read.get(partition).and_then(|records| records.get(usize::try_from(*offset).ok()?));
        assert_eq!(stands, Some(&(*offset, *number)), "acknowledged at {offset} of partition {partition}");
    }
}

/// What happens besides.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Besides {
    Nothing,
    /// The cache is deleted with every kill.
    CacheLost,
    /// Records leave the journal for segments all the time, and journal objects go.
    Archived,
}

fn check_load_with_kills(kills: usize, besides: Besides) {
    let options = match besides {
        Besides::Archived => {
            Broker::options().arguments(&["--archive-bytes", "4KiB", "--archive-age", "200ms"])
        }
        Besides::Nothing | Besides::CacheLost => Broker::options(),
    };
    let mut broker = options.start();
    let topic = broker.connect().create_topic_with("kill", PARTITIONS, &[]);
    let load = Load::start(&broker, &topic, IN_FLIGHT_MAX, numbered);
    let mut acknowledged = Vec::new();
    let segments = |broker: &Broker| files_below(&broker.data().join("store").join("topics")).len();
    for kill in 0..kills {
        let before = segments(&broker);
        load.await_acknowledged(ACKS_BETWEEN_KILLS, &mut acknowledged);
        // Every other kill comes when something was archived, the others whenever.
        while besides == Besides::Archived && kill % 2 == 0 && segments(&broker) <= before {
            load.await_acknowledged(ACKS_BETWEEN_KILLS, &mut acknowledged);
        }
        broker.kill();
        if besides == Besides::CacheLost {
            delete_if_there(&broker.data().join("cache"));
        }
        broker.start_again();
    }
    load.await_acknowledged(ACKS_BETWEEN_KILLS, &mut acknowledged);
    let sent = load.finish(&mut acknowledged);
    assert_eq!(acknowledged.len(), sent, "in the end everything is acknowledged");
    if besides == Besides::Archived {
        assert!(segments(&broker) > 0, "something was archived");
    }
    check_exactly_once(&broker, &topic, &acknowledged, sent);
    broker.kill_and_restart();
    check_exactly_once(&broker, &topic, &acknowledged, sent);
}

pub fn delete_if_there(directory: &Path) {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            panic!("{}: {error}", directory.display())
        }
        _ => {}
    }
}

#[test]
fn twenty_kills_lose_nothing_acknowledged_and_double_nothing() {
    check_load_with_kills(KILLS, Besides::Nothing);
}

#[test]
fn the_cache_may_be_lost_with_every_kill() {
    check_load_with_kills(KILLS, Besides::CacheLost);
}

#[test]
fn fifty_kills_while_records_are_archived_lose_nothing_and_double_nothing() {
    check_load_with_kills(KILLS_WHILE_ARCHIVED, Besides::Archived);
}

fn merged_objects(broker: &Broker) -> BTreeSet<PathBuf> {
    let journals = std::fs::read_dir(broker.data().join("store").join("journal")).into_iter().flatten();
    let files = journals
        .flat_map(|journal| std::fs::read_dir(journal.expect("an entry").path()).into_iter().flatten());
    files
        .filter_map(|file| file.ok())
        .filter(|file| file.file_name().to_string_lossy().starts_with("merged-"))
        .map(|file| file.path())
        .collect()
}

#[test]
fn a_kill_when_journal_objects_were_just_merged_loses_nothing_of_quiet_topics() {
    let arguments = ["--flush-interval", "0ms", "--archive-bytes", "4KiB", "--archive-age", "200ms"];
    let mut broker = Broker::options().arguments(&arguments).start();
    let mut client = broker.connect();
    let quiet: Vec<Topic> = (0..5).map(|_| client.create_topic("quiet")).collect();
    let busy = client.create_topic("busy");
    let mut expected = Vec::new();
    for round in 0..2 {
        let mut client = broker.connect();
        let name = format!("round-{round}");
        quiet.iter().for_each(|topic| {
            client.produce(topic, &Batch::numbered(&name, 1));
        });
        expected.push(format!("{name}-0"));
        let (before, deadline) = (merged_objects(&broker), Instant::now() + DEADLINE);
        // Those of before may go meanwhile.
        while merged_objects(&broker).is_subset(&before) {
            assert!(Instant::now() < deadline, "objects are merged when there are many");
            (0..10).for_each(|_| {
                client.produce(&busy, &Batch::numbered("busy", 1));
            });
        }
        broker.kill();
        if round == 1 {
            delete_if_there(&broker.data().join("cache"));
        }
        let checked = crate::support::broker::cenote()
            .arg("fsck")
            .arg("--data")
            .arg(broker.data())
            .output()
            .expect("it runs");
        let text = String::from_utf8_lossy(&checked.stdout);
        assert!(checked.status.success() && text.ends_with("clean\n"), "{text}");
        broker.start_again();
        let mut client = broker.connect();
        for topic in &quiet {
            assert_eq!(client.all_values(topic), expected);
        }
    }
}

#[test]
fn the_cache_may_be_deleted_while_the_broker_runs() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("cache");
    let mut expected = Vec::new();
    for round in 0..5 {
        let name = format!("round-{round}");
        client.produce(&topic, &Batch::numbered(&name, 2));
        expected.extend([format!("{name}-0"), format!("{name}-1")]);
        delete_if_there(&broker.data().join("cache"));
        assert_eq!(client.all_values(&topic), expected);
    }
}

#[test]
fn a_kill_while_a_produce_waits_leaves_it_whole_or_not_at_all() {
    let mut broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("halves");
    for round in 0..10 {
        let mut client = broker.connect();
        let records = Batch::numbered(&format!("r{round}"), 50).encode();
        let request = crate::support::requests::produce_request(&topic.name, 0, -1, records);
        client.send(crate::support::requests::PRODUCE_BY_NAME, &request);
        broker.kill_and_restart();
        let end = broker.connect().list_offset(&topic, LATEST).offset;
        assert_eq!(end % 50, 0, "whole batches only");
    }
    let mut client = broker.connect();
    let end = client.list_offset(&topic, LATEST).offset;
    assert_eq!(client.all_values(&topic).len(), usize::try_from(end).expect("positive"));
}

#[test]
fn topics_and_their_settings_survive_a_kill() {
    let mut broker = Broker::start();
    let topic = broker.connect().create_topic_with("durable", 5, &[("max.message.bytes", "2000")]);
    broker.kill_and_restart();
    let mut client = broker.connect();
    let answer = client.metadata(&[&topic.name], false);
    assert_eq!(answer.topics[0].topic_id, topic.id);
    assert_eq!(answer.topics[0].partitions.len(), 5);
    let large = Batch::of([crate::support::Record::of([b'x'; 3_000])]).encode();
    let code = client.try_produce(&topic.name, -1, large).error_code;
    assert_eq!(code, crate::support::ResponseError::MessageTooLarge.code());
}
