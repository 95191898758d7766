//! Retention and deletion of what is archived: log starts move as far as they may and no further, and what is deleted
//! never comes back, whatever its name.

use crate::cli::{over_tcp, run};
use crate::cli_archive::{at_the_door, json};
use crate::support::archive::{await_that, sound};
use crate::support::chance::mixed;
use crate::support::requests::{AT_ONCE, EARLIEST, LATEST, Topic, creatable};
use crate::support::{Batch, Broker, Client, NONE, Record, ResponseError};
use crate::topics::{await_unknown, delete_by_name};
use cenote::clock::Clock;
use serde_json::Value;
use std::time::{Duration, Instant};

/// Half of them keep records by age, the others by size.
const TOPICS: usize = 20;
const RETENTION_MS: i64 = 3_000;
const RETENTION_BYTES: i64 = 40_000;
/// A segment, or what is not archived yet of a partition, has records of so many milliseconds at most, or a few more.
const PIECE_MS: i64 = 3_000;
const VALUE_BYTES: usize = 1_000;
const RECORDS: usize = 4;
const DEADLINE: Duration = Duration::from_secs(60);

/// Segments of 16 KiB, or of what has come within a fifth of a second.
fn archiving() -> Broker {
    Broker::options().arguments(&["--archive-bytes", "16KiB", "--archive-age", "200ms"]).start()
}

/// A topic that is written to, with the timestamp of each of its records.
struct Kept {
    topic: Topic,
    timestamps: Vec<i64>,
}

impl Kept {
    fn new(client: &mut Client, setting: (&str, &str)) -> Kept {
        Kept { topic: client.create_topic_with("kept", 1, &[setting]), timestamps: Vec::new() }
    }

    /// Writes a few records of now, which do not compress.
    fn write(&mut self, client: &mut Client) {
        let now = Clock::System.now().get();
        let bytes = |number: usize| {
            (0..VALUE_BYTES / 8).flat_map(move |place| mixed((number * 1_000 + place) as u64).to_be_bytes())
        };
        let first = self.timestamps.len();
        let records =
            (first..first + RECORDS).map(|number| Record::of(bytes(number).collect::<Vec<u8>>()).at(now));
        client.produce(&self.topic, &Batch::of(records));
        self.timestamps.extend([now; RECORDS]);
    }

    fn start(&self, client: &mut Client) -> usize {
        let start = client.list_offset(&self.topic, EARLIEST).offset;
        usize::try_from(start).expect("not negative")
    }
}

/// Writes until the log start moves that goes by age, and gives for each topic the last time at which it had not.
fn write_until_starts_move(client: &mut Client, by_age: &mut [Kept]) -> Vec<i64> {
    let mut not_before = vec![0; by_age.len()];
    let deadline = Instant::now() + DEADLINE;
    loop {
        let mut waiting = 0;
        for (kept, not_before) in by_age.iter_mut().zip(&mut not_before) {
            let asked_at = Clock::System.now().get();
            if kept.start(client) == 0 {
                *not_before = asked_at;
                waiting += 1;
                kept.write(client);
            }
        }
        if waiting == 0 {
            return not_before;
        }
        assert!(Instant::now() < deadline, "{waiting} log starts have not moved");
    }
}

/// A fetch below the log start is refused, one at the log start gives what is there.
fn check_readable_from(client: &mut Client, topic: &Topic, start: usize, end: usize) {
    let start = i64::try_from(start).expect("small");
    let below = client.fetch(topic, start - 1, AT_ONCE);
    assert_eq!(below.error_code, ResponseError::OffsetOutOfRange.code());
    let mut next = start;
    while next < end as i64 {
        let batches = client.fetch_batches(topic, next);
        let first = batches.first().expect("a batch");
        assert!(first.base_offset <= next && next <= first.last_offset, "no hole at {next}");
        next = batches.last().expect("a batch").last_offset + 1;
    }
}

fn check_age(client: &mut Client, kept: &Kept, not_before: i64) {
    let start = kept.start(client);
    let now = Clock::System.now().get();
    assert!(kept.timestamps[..start].iter().all(|at| at + RETENTION_MS < now), "only what is old has gone");
    if let Some(first) = kept.timestamps.get(start) {
        let oldest = not_before - RETENTION_MS - PIECE_MS;
        assert!(*first >= oldest, "a record of {first} is left, and none should be from before {oldest}");
    }
    check_readable_from(client, &kept.topic, start, kept.timestamps.len());
}

fn files(broker: &Broker, topic: &Topic) -> Vec<Value> {
    let listed = json(at_the_door(broker, &["topic", "files", &topic.name, "--output", "json"]));
    listed["files"].as_array().expect("a list").clone()
}

/// All is archived: the segments that are left have what is to be kept, and without the first of them too little.
fn check_size(broker: &Broker, client: &mut Client, kept: &Kept) {
    let bytes: Vec<i64> =
        files(broker, &kept.topic).iter().map(|file| file["bytes"].as_i64().expect("a number")).collect();
    let all: i64 = bytes.iter().sum();
    assert!(all >= RETENTION_BYTES && all - bytes[0] < RETENTION_BYTES, "{bytes:?} are left");
    let start = kept.start(client);
    check_readable_from(client, &kept.topic, start, kept.timestamps.len());
}

#[test]
fn log_starts_move_by_age_and_by_size_and_what_is_over_is_litter() {
    let mut broker = archiving();
    let mut client = broker.connect();
    let (age, bytes) = (RETENTION_MS.to_string(), RETENTION_BYTES.to_string());
    let mut by_age: Vec<Kept> =
        (0..TOPICS / 2).map(|_| Kept::new(&mut client, ("retention.ms", &age))).collect();
    let mut by_size: Vec<Kept> =
        (0..TOPICS / 2).map(|_| Kept::new(&mut client, ("retention.bytes", &bytes))).collect();
    let batches = 3 * RETENTION_BYTES as usize / (RECORDS * VALUE_BYTES);
    for kept in &mut by_size {
        (0..batches).for_each(|_| kept.write(&mut client));
        run(at_the_door(&broker, &["archive", "flush", &kept.topic.name]), "");
    }
    let not_before = write_until_starts_move(&mut client, &mut by_age);
    by_age.iter().zip(not_before).for_each(|(kept, not_before)| check_age(&mut client, kept, not_before));
    await_that(&broker, "log starts by size", || by_size.iter().all(|kept| kept.start(&mut client) > 0));
    by_size.iter().for_each(|kept| check_size(&broker, &mut client, kept));

    let starts: Vec<usize> = by_size.iter().map(|kept| kept.start(&mut client)).collect();
    broker.kill();
    let report = sound(&broker, &[]);
    let segments = |report: &Value| report["orphans"]["segments"]["objects"].as_u64().expect("a number");
    assert!(segments(&report) >= TOPICS as u64, "at least one of each topic: {report}");
    broker.start_again();
    let mut client = broker.connect();
    assert_eq!(by_size.iter().map(|kept| kept.start(&mut client)).collect::<Vec<_>>(), starts);
    by_size.iter().for_each(|kept| check_size(&broker, &mut client, kept));
    assert!(broker.stop("TERM").success());
    sound(&broker, &["--repair"]);
    assert_eq!(segments(&sound(&broker, &[])), 0);
}

#[test]
fn deleted_records_of_a_segment_stay_deleted_after_a_kill() {
    let mut broker = archiving();
    let topic = broker.connect().create_topic("deleted-records");
    for part in 0..3 {
        broker.connect().produce(&topic, &Batch::numbered(&part.to_string(), 10));
        run(at_the_door(&broker, &["archive", "flush", &topic.name]), "");
    }
    // In the middle of the second segment; then at the end of all, where no segment is left.
    for (before, left) in [(15, 2), (30, 0)] {
        let offset = before.to_string();
        let arguments = ["topic", "delete-records", &topic.name, "--partition", "0", "--before", &offset];
        run(over_tcp(&broker, &arguments), "");
        for _ in 0..2 {
            let mut client = broker.connect();
            assert_eq!(client.list_offset(&topic, EARLIEST).offset, before);
            assert_eq!(client.list_offset(&topic, LATEST).offset, 30);
            check_readable_from(&mut client, &topic, before as usize, 30);
            assert_eq!(files(&broker, &topic).len(), left);
            broker.kill();
            sound(&broker, &[]);
            broker.start_again();
        }
    }
    let mut client = broker.connect();
    assert_eq!(client.produce(&topic, &Batch::numbered("after", 1)), 30, "offsets go on");
    assert_eq!(client.all_values(&topic), ["after-0"]);
}

#[test]
fn what_a_deleted_topic_had_is_never_seen_under_its_name_again() {
    let mut broker = archiving();
    let mut topic = broker.connect().create_topic("again");
    for generation in 0..3_usize {
        let mut client = broker.connect();
        let values: Vec<String> = (0..10).map(|number| format!("{generation}-{number}")).collect();
        for part in values.chunks(5) {
            client.produce(&topic, &Batch::of(part.iter().map(Record::of)));
            run(at_the_door(&broker, &["archive", "flush", &topic.name]), "");
        }
        client.produce(&topic, &Batch::numbered("journal", 1));
        assert_eq!(delete_by_name(&mut client, &topic.name), NONE);
        await_unknown(&mut client, &topic.name);
        // Once it goes on, once the objects are there when the topic is made again, once they may be going.
        if generation == 1 {
            broker.kill();
            sound(&broker, &[]);
            broker.start_again();
        }
        let mut client = broker.connect();
        let created = client.try_create_topic(creatable(&topic.name, 1, &[("retention.ms", "-1")]));
        assert_eq!(created.error_code, NONE, "{:?}", created.error_message);
        assert_ne!(created.topic_id, topic.id);
        topic.id = created.topic_id;
        if generation == 2 {
            broker.kill_and_restart();
        }
        let mut client = broker.connect();
        assert_eq!(client.list_offset(&topic, EARLIEST).offset, 0);
        assert_eq!(client.list_offset(&topic, LATEST).offset, 0);
        assert!(client.all_values(&topic).is_empty() && files(&broker, &topic).is_empty());
    }
    let mut client = broker.connect();
    assert_eq!(client.produce(&topic, &Batch::numbered("new", 10)), 0);
    run(at_the_door(&broker, &["archive", "flush", &topic.name]), "");
    broker.kill_and_restart();
    assert!(
        broker
            .connect()
            .all_values(&topic)
            .iter()
            .eq((0..10).map(|number| format!("new-{number}")).collect::<Vec<_>>().iter())
    );
    let id = topic.id.simple().to_string();
    let files = files(&broker, &topic);
    let path = |file: &Value| file["file"].as_str().expect("a path").to_owned();
    assert!(!files.is_empty() && files.iter().all(|file| path(file).contains(&id)), "{files:?}");
    assert!(broker.stop("TERM").success());
    let report = sound(&broker, &[]);
    let gone = &report["deleted_topics"]["objects"];
    let orphans = &report["orphans"]["segments"]["objects"];
    assert!(gone.as_u64() > Some(0) || orphans.as_u64() > Some(0), "{report}");
}
