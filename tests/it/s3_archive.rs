//! The archive on an S3 server: segments are read from there, their files are named as engines want them, and
//! `cenote fsck` finds there what is wrong.

use crate::cli::{check_fails, run};
use crate::cli_archive::{at_the_door, json};
use crate::crash::delete_if_there;
use crate::s3::{broker_below, broker_on, short_topic};
use crate::support::archive::{files_below, orphans, sound};
use crate::support::broker::cenote;
use crate::support::requests::{LATEST, Topic};
use crate::support::s3_server::{BUCKET, S3Server};
use crate::support::{Batch, Broker};
use std::path::{Path, PathBuf};

const RECORDS: usize = 1_000;

/// A topic with so many records in each of two segments, and as many in the journal; and all their values.
fn archived(broker: &Broker) -> (Topic, Vec<String>) {
    let mut client = broker.connect();
    let topic = short_topic(broker, &[("retention.ms", "-1")]);
    let mut values = Vec::new();
    for part in ["first", "second", "third"] {
        client.produce(&topic, &Batch::numbered(part, RECORDS));
        values.extend((0..RECORDS).map(|number| format!("{part}-{number}")));
        if part != "third" {
            let flushed = json(at_the_door(broker, &["archive", "flush", &topic.name, "--output", "json"]));
            assert_eq!(flushed[0]["lag_records"], 0, "{flushed}");
        }
    }
    (topic, values)
}

/// The URLs of a topic's segments.
fn urls(broker: &Broker, topic: &Topic) -> Vec<String> {
    run(at_the_door(broker, &["topic", "files", &topic.name]), "").lines().map(str::to_owned).collect()
}

#[test]
fn an_archived_topic_is_read_from_the_bucket_when_the_cache_is_gone() {
    let server = S3Server::start();
    let mut broker = broker_on(&server).start();
    let (topic, values) = archived(&broker);
    assert_eq!(broker.connect().all_values(&topic), values);
    for _ in 0..2 {
        broker.kill();
        delete_if_there(&broker.data().join("cache"));
        broker.start_again();
        let mut client = broker.connect();
        assert_eq!(client.list_offset(&topic, LATEST).offset, 3 * RECORDS as i64);
        assert_eq!(client.all_values(&topic), values);
        // From the middle of a segment.
        let from = 1_500;
        let read = client.fetch_batches(&topic, from);
        let first = read.first().expect("a batch");
        assert!((first.base_offset..=first.last_offset).contains(&from));
    }
}

#[test]
fn files_are_named_by_their_url_and_hold_the_records() {
    let server = S3Server::start();
    let broker = broker_on(&server).start();
    let (topic, values) = archived(&broker);
    let urls = urls(&broker, &topic);
    let prefix = format!("s3://{BUCKET}/prefix/topics/{}-{}/partition=0/", topic.name, topic.id.simple());
    assert!(urls.len() == 2 && urls.iter().all(|url| url.starts_with(&prefix)), "{urls:?}");
    let cat = |file: &str| {
        let mut cat = cenote();
        cat.args(["segment", "cat", file, "--format", "%t %v\\n"]).envs(server.variables());
        run(cat, "")
    };
    let lines: String =
        values[..2 * RECORDS].iter().map(|value| format!("{} {value}\n", topic.name)).collect();
    let by_url: String = urls.iter().map(|url| cat(url)).collect();
    assert_eq!(by_url, lines);
    let files: Vec<PathBuf> = urls.iter().map(|url| server.file(url)).collect();
    let by_file: String = files.iter().map(|file| cat(file.to_str().expect("a text"))).collect();
    assert_eq!(by_file, lines);
    let mut nowhere = cenote();
    let missing = urls[0].replace("partition=0", "partition=1");
    nowhere.args(["segment", "cat", &missing]).envs(server.variables());
    check_fails(nowhere, 1, &[&missing]);
}

/// The file of the first segment, with the broker killed.
fn killed(server: &S3Server) -> (Broker, Topic, Vec<String>, PathBuf) {
    let mut broker = broker_on(server).start();
    let (topic, values) = archived(&broker);
    let file = server.file(urls(&broker, &topic).first().expect("a segment"));
    broker.kill();
    (broker, topic, values, file)
}

/// One problem is told, which names the file, and nothing is deleted of it.
fn check_problem(server: &S3Server, broker: &Broker, file: &Path, why: &str) {
    let before = files_below(&server.bucket()).len();
    let output = broker.fsck(&["--repair"]).output().expect("the cenote binary");
    let text = String::from_utf8_lossy(&output.stdout);
    let name = file.file_name().and_then(|name| name.to_str()).expect("a text");
    let told = text.lines().find(|line| line.starts_with("PROBLEM ")).expect("a problem");
    assert!(told.contains(name) && told.contains(why), "{told}");
    check_fails(broker.fsck(&["--repair"]), 1, &["1 problem"]);
    assert_eq!(files_below(&server.bucket()).len(), before, "nothing was deleted");
}

#[test]
fn what_is_damaged_or_missing_in_the_bucket_is_found() {
    let server = S3Server::start();
    let (mut broker, topic, values, file) = killed(&server);
    let report = sound(&broker, &[]);
    assert_eq!(report["checked"]["segments"], 2, "{report}");
    assert_eq!(report["checked"]["rows"], 2 * RECORDS, "{report}");
    let bytes = std::fs::read(&file).expect("its bytes");
    let mut damaged = bytes.clone();
    damaged[bytes.len() / 2] ^= 1;
    std::fs::write(&file, &damaged).expect("written");
    check_problem(&server, &broker, &file, "checksum");
    std::fs::write(&file, &bytes[1..]).expect("written");
    check_problem(&server, &broker, &file, "bytes");
    std::fs::remove_file(&file).expect("removed");
    check_problem(&server, &broker, &file, "missing");
    std::fs::write(&file, &bytes).expect("written");
    sound(&broker, &[]);
    broker.start_again();
    assert_eq!(broker.connect().all_values(&topic), values);
}

#[test]
fn a_repair_deletes_orphans_from_the_bucket_and_nothing_else() {
    let server = S3Server::start();
    let (mut broker, topic, values, file) = killed(&server);
    let unnamed = format!("{:020}-{:020}-1-{:032x}.parquet", 5_000, 5_999, 7);
    let orphan = file.with_file_name(unnamed);
    std::fs::copy(&file, &orphan).expect("a copy");
    let before = files_below(&server.bucket()).len() as u64;
    let report = sound(&broker, &[]);
    assert_eq!(report["orphans"]["segments"]["objects"], 1, "{report}");
    let repaired = sound(&broker, &["--repair"]);
    assert_eq!(repaired["repaired"]["objects"], orphans(&report), "{repaired}");
    assert!(!orphan.exists() && file.exists());
    assert_eq!(files_below(&server.bucket()).len() as u64, before - orphans(&report));
    assert_eq!(orphans(&sound(&broker, &[])), 0);
    broker.start_again();
    assert_eq!(broker.connect().all_values(&topic), values);
}

#[test]
fn the_bucket_of_another_cluster_is_not_checked() {
    let server = S3Server::start();
    let (broker, ..) = killed(&server);
    let other = broker_below(&server, "other").start();
    let store = format!("s3://{BUCKET}/other");
    let before = files_below(&server.bucket()).len();
    let mut command = cenote();
    command.args(["fsck", "--repair", "--store", &store, "--data"]).arg(broker.data());
    command.envs(server.variables());
    check_fails(command, 1, &["belongs to cluster"]);
    assert_eq!(files_below(&server.bucket()).len(), before, "nothing was deleted");
    drop(other);
}
