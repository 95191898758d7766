//! `kill -9` while the archive is at all of its work: segments are written, merged and compacted, journal objects
//! merged, and objects that are needed no more are on their way out. Nothing acknowledged is lost, doubled or moved, and
//! what a kill leaves behind goes.

use crate::cli_archive::{at_the_door, json};
use crate::crash::{PARTITIONS, check_once_and_in_order, numbered};
use crate::s3::{broker_on, short_topic};
use crate::support::archive::{await_that, await_within, files_below, metric, orphans, sound};
use crate::support::chance::{Chance, mixed};
use crate::support::load::{Acknowledged, Load, Sent};
use crate::support::reading::{Read, Reader, read_all};
use crate::support::requests::{EARLIEST, Topic};
use crate::support::s3_server::S3Server;
use crate::support::{Batch, Broker};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// What a kill waits for. The figures begin anew with each start.
const GOALS: [Option<&str>; 10] = [
    None,
    None,
    None,
    None,
    Some("cenote_archive_segments_total"),
    Some("cenote_archive_segments_total"),
    Some("cenote_archive_merges_total"),
    Some("cenote_archive_compacted_rows_total"),
    Some("cenote_archive_compacted_rows_total"),
    Some("cenote_archive_journal_merges_total"),
];
const KEYS: u64 = 1_000;
const IN_FLIGHT: usize = 16;
/// Acknowledgements that a kill waits for besides: at least one, and fewer than this.
const ACKS_BETWEEN_KILLS: usize = 30;
/// After every so many kills the stores are checked.
const KILLS_TO_A_CHECK: usize = 3;

/// What a broker with an archive at work is started with.
const BUSY: [&str; 8] = [
    "--flush-interval",
    "0ms",
    "--puts-in-flight",
    "16",
    "--archive-bytes",
    "4KiB",
    "--archive-age",
    "200ms",
];

/// One of the keys, with the number as its value.
fn keyed(number: usize) -> Sent {
    let key = mixed(number as u64) % KEYS;
    let partition = i32::try_from(key).expect("a thousand at most") % PARTITIONS;
    Sent { partition, key: Some(format!("key-{key}")), value: Some(number.to_string()) }
}

/// A topic with the producer that writes to it, and what was acknowledged.
struct Written {
    topic: Topic,
    load: Load,
    acknowledged: Vec<Acknowledged>,
}

impl Written {
    fn begin(broker: &Broker, topic: Topic, shape: fn(usize) -> Sent) -> Written {
        let load = Load::start(broker, &topic, IN_FLIGHT, shape);
        Written { topic, load, acknowledged: Vec::new() }
    }

    fn await_more(&mut self, count: usize) {
        self.load.await_acknowledged(count, &mut self.acknowledged);
        self.load.take_acknowledged(&mut self.acknowledged);
    }

    /// Ends the load: the topic, what was acknowledged, and how much was sent.
    fn finish(mut self) -> (Topic, Vec<Acknowledged>, usize) {
        let sent = self.load.finish(&mut self.acknowledged);
        assert_eq!(self.acknowledged.len(), sent, "in the end everything is acknowledged");
        (self.topic, self.acknowledged, sent)
    }
}

fn number(read: &Read) -> usize {
    read.value.as_deref().and_then(|value| value.parse().ok()).expect("a number")
}

/// Every acknowledged record is there once, where it was acknowledged, and in order.
fn check_all(broker: &Broker, topic: &Topic, acknowledged: &[Acknowledged], sent: usize) {
    let read = read_all(broker, topic, PARTITIONS);
    let placed = read.iter().map(|records| records.iter().map(|read| (read.offset, number(read))).collect());
    let placed: BTreeMap<i32, Vec<(i64, usize)>> = (0..).zip(placed).collect();
    check_once_and_in_order(&placed, acknowledged, sent);
}

/// Of each key the last record is there: the one that was acknowledged last, or one that was sent after it. While records come
/// that one may lie behind where a reader found the end, and the one before may be gone when the reader gets there. Then it has to
/// come when the reader reads on.
fn check_last(broker: &Broker, topic: &Topic, acknowledged: &[Acknowledged], sent: usize) {
    let mut wanted: BTreeMap<String, usize> = BTreeMap::new();
    for Acknowledged { number, .. } in acknowledged {
        let least = wanted.entry(keyed(*number).key.expect("a key")).or_default();
        *least = (*number).max(*least);
    }
    let mut reader = Reader::at_the_starts(broker, topic, PARTITIONS);
    for reading in 0..READINGS_MAX {
        for (key, number) in last_of_keys(&reader.read_on(), sent) {
            if wanted.get(&key).is_some_and(|least| number >= *least) {
                wanted.remove(&key);
            }
        }
        if wanted.is_empty() {
            return;
        }
        if reading == 0 {
            // What is gone made way for a newer one.
            wanted.values_mut().for_each(|least| *least += 1);
        }
    }
    panic!("the last of these keys were acknowledged, and nothing of them is left: {wanted:?}");
}

/// Readings, each from where the last one ended, in which a key may have moved behind the end.
const READINGS_MAX: usize = 10;

/// What came last of each key.
fn last_of_keys(read: &[Vec<Read>], sent: usize) -> BTreeMap<String, usize> {
    let mut last = BTreeMap::new();
    for (partition, records) in read.iter().enumerate() {
        assert!(records.is_sorted_by(|left, right| left.offset < right.offset), "partition {partition}");
        assert!(records.is_sorted_by(|left, right| number(left) < number(right)), "partition {partition}");
        for record in records {
            let number = number(record);
            assert!(number < sent, "only what was sent");
            assert_eq!(record.key, keyed(number).key, "a value stays with its key");
            last.insert(record.key.clone().expect("a key"), number);
        }
    }
    last
}

fn flush(broker: &Broker, topic: &Topic) {
    let flushed = json(at_the_door(broker, &["archive", "flush", &topic.name, "--output", "json"]));
    assert_eq!(flushed[0]["lag_records"], 0, "{flushed}");
}

#[test]
fn ten_kills_while_the_archive_is_at_all_its_work_lose_nothing_and_leave_litter_alone() {
    let mut chance = Chance::seeded();
    let mut goals = GOALS;
    chance.shuffle(&mut goals);
    let mut broker = Broker::options().arguments(&BUSY).start();
    let mut client = broker.connect();
    let compacted = [("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0.1")];
    let compacted = client.create_topic_with("compacted", PARTITIONS, &compacted);
    let plain = client.create_topic_with("plain", PARTITIONS, &[]);
    // Each has one record, which never pays for a segment: it is what keeps the journals until they are merged.
    let quiet: Vec<Topic> = goals.iter().map(|_| client.create_topic("quiet")).collect();
    let mut plain = Written::begin(&broker, plain, numbered);
    let mut compacted = Written::begin(&broker, compacted, keyed);
    for (kill, goal) in goals.into_iter().enumerate() {
        broker.connect().produce(&quiet[kill], &Batch::numbered("quiet", 1));
        if let Some(goal) = goal {
            await_that(&broker, goal, || metric(&broker, goal) > 0);
        }
        plain.await_more(1 + chance.below(ACKS_BETWEEN_KILLS));
        compacted.await_more(1);
        broker.kill();
        if kill % KILLS_TO_A_CHECK == 0 {
            sound(&broker, &[]);
        }
        broker.start_again();
        check_all(&broker, &plain.topic, &plain.acknowledged, usize::MAX);
        check_last(&broker, &compacted.topic, &compacted.acknowledged, usize::MAX);
    }
    let (plain, compacted) = (plain.finish(), compacted.finish());
    let check = |broker: &Broker| {
        check_all(broker, &plain.0, &plain.1, plain.2);
        check_last(broker, &compacted.0, &compacted.1, compacted.2);
        let mut client = broker.connect();
        for topic in &quiet {
            assert_eq!(client.all_values(topic), ["quiet-0"]);
        }
    };
    check(&broker);
    flush(&broker, &plain.0);
    flush(&broker, &compacted.0);
    broker.kill();
    assert!(orphans(&sound(&broker, &[])) > 0, "kills have left something behind");
    let repaired = sound(&broker, &["--repair"]);
    assert_eq!(repaired["repaired"]["objects"], orphans(&repaired), "{repaired}");
    assert_eq!(orphans(&sound(&broker, &[])), 0, "nothing is left of it");
    broker.start_again();
    check(&broker);
}

/// Longer than objects lie in the graveyard, which is a minute.
const GRAVEYARD: Duration = Duration::from_secs(150);
const ROUNDS: usize = 9;
const VALUE_BYTES: usize = 2_000;

/// A broker that was killed after segments were archived, merged, and given up.
struct Killed {
    broker: Broker,
    topic: Topic,
    read: Vec<Vec<Read>>,
    /// The directory of its objects.
    store: PathBuf,
}

impl Killed {
    fn new(mut broker: Broker, store: PathBuf) -> Killed {
        let topic = short_topic(&broker, &[("retention.ms", "-1")]);
        let mut client = broker.connect();
        for round in 0..ROUNDS {
            let padding = "x".repeat(VALUE_BYTES);
            client.produce(&topic, &Batch::numbered(&format!("{padding}{round}"), 10));
            flush(&broker, &topic);
        }
        // Eight small segments become one, and a log start within the next one leaves that one behind.
        await_that(&broker, "a merge", || metric(&broker, "cenote_archive_merges_total") > 0);
        let before = "85";
        let arguments = ["topic", "delete-records", &topic.name, "--partition", "0", "--before", before];
        crate::cli::run(crate::cli::over_tcp(&broker, &arguments), "");
        let read = read_all(&broker, &topic, 1);
        assert_eq!(read[0].iter().map(|read| read.offset).collect::<Vec<_>>(), [85, 86, 87, 88, 89]);
        broker.kill();
        Killed { broker, topic, read, store }
    }

    fn bytes(&self) -> u64 {
        let objects = files_below(&self.store);
        // One that goes meanwhile has none.
        objects.iter().filter_map(|path| Some(path.metadata().ok()?.len())).sum()
    }

    /// What is needed: the mark of the cluster, one segment, and the list that names it. The journal is archived.
    fn is_clean(&self) -> bool {
        files_below(&self.store).len() == 3
    }
}

#[test]
fn what_a_kill_left_behind_goes_a_minute_after_the_next_start_here_and_on_s3() {
    let server = S3Server::start();
    let broker = Broker::start();
    let store = broker.data().join("store");
    let local = Killed::new(broker, store);
    let remote = Killed::new(broker_on(&server).start(), server.bucket());
    let mut all = [local, remote];
    let before: Vec<(u64, u64)> =
        all.iter().map(|killed| (orphans(&sound(&killed.broker, &[])), killed.bytes())).collect();
    all.iter_mut().for_each(|killed| {
        killed.broker.start_again();
    });
    let [local, remote] = &all;
    await_within(GRAVEYARD, &local.broker, "only what is needed is left", || {
        local.is_clean() && remote.is_clean()
    });
    for (killed, (litter, bytes)) in all.iter_mut().zip(before) {
        assert!(
            litter > 8 && killed.bytes() < bytes / 4,
            "{litter} objects, {} of {bytes} bytes",
            killed.bytes()
        );
        assert_eq!(killed.broker.connect().list_offset(&killed.topic, EARLIEST).offset, 85);
        assert_eq!(read_all(&killed.broker, &killed.topic, 1), killed.read);
        assert!(killed.broker.stop("TERM").success());
        assert_eq!(orphans(&sound(&killed.broker, &[])), 0);
    }
}
