//! Archives by the command line, against a running broker: the list of files, status, flush, and what a file holds.

use crate::cli::{check_fails, json_lines, over_tcp, run};
use crate::settings::get;
use crate::support::archive::await_that;
use crate::support::broker::cenote;
use crate::support::cluster::{Cluster, Plan};
use crate::support::{Broker, unique_name};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// `cenote ARGUMENTS --admin …`.
pub fn at_the_door(broker: &Broker, arguments: &[&str]) -> Command {
    let mut command = cenote();
    command.args(arguments).arg("--admin").arg(format!("http://{}", broker.http()));
    command
}

pub fn json(command: Command) -> Value {
    serde_json::from_str(&run(command, "")).expect("one JSON document")
}

/// A topic with so many lines in each of two segments, and as many in the journal.
fn archived_topic(broker: &Broker, lines: usize) -> String {
    let topic = unique_name("archived");
    run(over_tcp(broker, &["topic", "create", &topic, "--partitions", "1"]), "");
    for part in 0..3 {
        let input: String = (0..lines).map(|line| format!("key:{part}-{line}\n")).collect();
        run(over_tcp(broker, &["produce", &topic, "--key-separator", ":"]), &input);
        if part < 2 {
            let flushed = json(at_the_door(broker, &["archive", "flush", &topic, "--output", "json"]));
            assert_eq!(
                (&flushed[0]["segments"], &flushed[0]["lag_records"]),
                (&(part + 1).into(), &0.into())
            );
        }
    }
    topic
}

/// Lines for every partition, archived through a door that leads a part of them.
#[test]
fn any_door_archives_and_shows_what_all_brokers_lead() {
    let Some(mut cluster) = Cluster::start("archives of a cluster", Plan::of(3)) else { return };
    let topic = unique_name("archived-everywhere");
    let (partitions, lines) = (12, 600);
    let create = ["topic", "create", &topic, "--partitions", "12"];
    run(over_tcp(cluster.broker(0), &create), "");
    let input: String = (0..lines).map(|line| format!("{line}:{line}\n")).collect();
    run(over_tcp(cluster.broker(1), &["produce", &topic, "--key-separator", ":"]), &input);
    let flush = ["archive", "flush", &topic, "--output", "json"];
    let flushed = json(at_the_door(cluster.broker(0), &flush));
    assert_eq!((&flushed[0]["rows"], &flushed[0]["lag_records"]), (&lines.into(), &0.into()), "{flushed}");
    assert_eq!(flushed[0]["segments"], partitions, "each has some of so many");
    for door in 0..3 {
        let of_all = json(at_the_door(cluster.broker(door), &["archive", "status", "--output", "json"]));
        assert_eq!((&of_all[0]["topic"], &of_all[0]["rows"]), (&topic.as_str().into(), &lines.into()));
        let status =
            json(at_the_door(cluster.broker(door), &["archive", "status", &topic, "--output", "json"]));
        let of_one = status["partitions"].as_array().expect("a list");
        let numbers: Vec<_> = of_one.iter().map(|partition| partition["partition"].clone()).collect();
        assert_eq!(numbers, (0..partitions).map(Value::from).collect::<Vec<_>>());
        assert!(of_one.iter().all(|partition| partition["segments"] == 1), "{status}");
        let files = run(at_the_door(cluster.broker(door), &["topic", "files", &topic]), "");
        assert_eq!(files.lines().count(), 12, "{files}");
    }
    // Nobody is there for what a killed broker led, until others are: then all of it is.
    cluster.kill(2);
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let output = at_the_door(cluster.broker(0), &flush).output().expect("the cenote binary");
        if output.status.success() {
            break;
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("not archived: partition "), "{said}");
        assert!(Instant::now() < deadline, "{said}");
    }
}

#[test]
fn the_files_of_a_topic_hold_its_records() {
    let broker = Broker::start();
    let topic = archived_topic(&broker, 100);
    let listed = run(at_the_door(&broker, &["topic", "files", &topic]), "");
    let files: Vec<&str> = listed.lines().collect();
    assert_eq!(files.len(), 2, "{listed}");
    let mut read = String::new();
    for file in &files {
        assert!(Path::new(file).is_file(), "{file}");
        let mut cat = cenote();
        cat.args(["segment", "cat", file, "--format", "%t %p %o %k %v\\n"]);
        read += &run(cat, "");
    }
    let expected: String = (0..200)
        .map(|offset| format!("{topic} 0 {offset} key {}-{}\n", offset / 100, offset % 100))
        .collect();
    assert_eq!(read, expected);
    let mut cat = cenote();
    cat.args(["segment", "cat", files[1], "--output", "json"]);
    let rows = json_lines(&run(cat, ""));
    assert_eq!((rows.len(), &rows[0]["offset"], &rows[0]["value"]), (100, &100.into(), &"1-0".into()));
    let mut by_url = cenote();
    by_url.args(["segment", "cat", &format!("file://{}", files[1]), "--format", "%t %v "]);
    assert!(run(by_url, "").starts_with(&format!("{topic} 1-0 {topic} 1-1 ")));
    let described = json(at_the_door(&broker, &["topic", "files", &topic, "--output", "json"]));
    assert_eq!(
        (&described["files"][1]["base_offset"], &described["files"][1]["rows"]),
        (&100.into(), &100.into())
    );
    let mut whole = cenote();
    whole.args(["segment", "cat", broker.data().join("metadata/LOCK").to_str().expect("a text")]);
    check_fails(whole, 1, &["LOCK", "Parquet"]);
}

#[test]
fn segments_and_lag_are_told_of_all_topics_of_one_and_of_its_partitions() {
    let broker = Broker::start();
    let topic = archived_topic(&broker, 10);
    let other = unique_name("other");
    run(over_tcp(&broker, &["topic", "create", &other, "--partitions", "3"]), "");
    let all = json(at_the_door(&broker, &["archive", "status", "--output", "json"]));
    let of = |name: &str| all.as_array().and_then(|all| all.iter().find(|row| row["topic"] == name)).cloned();
    let row = of(&topic).expect("it is there");
    assert_eq!((&row["segments"], &row["rows"], &row["lag_records"]), (&2.into(), &20.into(), &10.into()));
    assert_eq!(of(&other).expect("it is there")["partitions"], 3);
    let one = json(at_the_door(&broker, &["archive", "status", &topic, "--output", "json"]));
    let partition = &one["partitions"][0];
    assert_eq!((&partition["archived_offset"], &partition["high_watermark"]), (&20.into(), &30.into()));
    let text = run(at_the_door(&broker, &["archive", "status", &topic]), "");
    assert!(text.starts_with("PARTITION  START  ARCHIVED  END  SEGMENTS"), "{text}");
    let waits_for = partition["waits_for"].as_str().expect("ten records wait");
    assert!(text.lines().nth(1).is_some_and(|row| row.ends_with(waits_for)), "{text}");

    let mut describe = over_tcp(&broker, &["topic", "describe", &topic, "--output", "json"]);
    describe.arg("--admin").arg(format!("http://{}", broker.http()));
    let described = json(describe);
    let partition = &described["partitions"][0];
    assert_eq!((&partition["segments"], &partition["archive_lag_records"]), (&2.into(), &10.into()));
    let mut alone = over_tcp(&broker, &["topic", "describe", &topic, "--output", "json"]);
    alone.args(["--admin", "http://127.0.0.1:1"]);
    let alone = json(alone);
    assert_eq!(alone["partitions"][0]["segments"], Value::Null, "nobody answers there");
    assert!(alone["segments_unknown"].as_str().is_some_and(|why| why.contains("--admin")), "{alone}");
    let mut alone = over_tcp(&broker, &["topic", "describe", &topic]);
    alone.args(["--admin", "http://127.0.0.1:1"]);
    let text = run(alone, "");
    let under_the_table = text.lines().nth(3).expect("a line");
    assert!(under_the_table.contains("http://127.0.0.1:1") && under_the_table.contains("--admin"), "{text}");
}

#[test]
fn settings_of_topics_take_units() {
    let broker = Broker::start();
    let topic = unique_name("units");
    let set = ["--set", "retention.ms=7d", "--set", "cenote.archive.bytes=64MiB"];
    run(over_tcp(&broker, &[&["topic", "create", &topic][..], &set].concat()), "");
    let alter = ["topic", "alter", &topic, "--set", "retention.bytes=1GiB", "--set", "cenote.archive.ms=90s"];
    run(over_tcp(&broker, &alter), "");
    let described = run(over_tcp(&broker, &["topic", "describe", &topic]), "");
    for line in [
        "* retention.ms = 604800000",
        "* cenote.archive.bytes = 67108864",
        "* retention.bytes = 1073741824",
        "* cenote.archive.ms = 90000",
    ] {
        assert!(described.lines().any(|found| found == line), "no {line:?} in:\n{described}");
    }
    let weeks = ["topic", "alter", &topic, "--set", "retention.ms=2weeks"];
    check_fails(over_tcp(&broker, &weeks), 2, &["--set", "2weeks", "accepted: "]);
    let often = ["topic", "alter", &topic, "--set", "retention.ms=often"];
    check_fails(over_tcp(&broker, &often), 2, &["retention.ms", "often"]);
}

#[test]
fn offsets_and_rows_are_counted_apart() {
    let mut broker = Broker::start();
    let topic = unique_name("compacted");
    let create = [
        "topic",
        "create",
        &topic,
        "--set",
        "cleanup.policy=compact",
        "--set",
        "min.cleanable.dirty.ratio=0",
    ];
    run(over_tcp(&broker, &create), "");
    let produce = ["produce", &topic, "--key-separator", ":"];
    for _ in 0..2 {
        run(over_tcp(&broker, &produce), &"k:v\n".repeat(10));
        json(at_the_door(&broker, &["archive", "flush", &topic, "--output", "json"]));
    }
    // A session looks for what is dirty as soon as it begins.
    broker.kill_and_restart();
    let describe = |output| {
        let mut describe = over_tcp(&broker, &["topic", "describe", &topic, "--output", output]);
        describe.arg("--admin").arg(format!("http://{}", broker.http()));
        run(describe, "")
    };
    let rows = || {
        let described: Value = serde_json::from_str(&describe("json")).expect("one JSON document");
        described["partitions"][0]["segment_rows"].as_u64().expect("a number")
    };
    await_that(&broker, "the last record of the key is left", || rows() == 1);
    let text = describe("text");
    let titles = "PARTITION  LEADER  START  END  OFFSETS  SEGMENTS  ROWS";
    assert!(text.lines().nth(1).is_some_and(|line| line.starts_with(titles)), "{text}");
    let cells: Vec<&str> = text.lines().nth(2).expect("a row").split_whitespace().collect();
    assert_eq!(cells[2..5], ["0", "20", "20"], "{text}");
    assert_eq!(cells[6], "1", "{text}");
}

#[test]
fn records_before_an_offset_are_deleted() {
    let broker = Broker::start();
    let topic = archived_topic(&broker, 10);
    let delete = |before: &str| {
        over_tcp(&broker, &["topic", "delete-records", &topic, "--partition", "0", "--before", before])
    };
    assert_eq!(run(delete("15"), ""), format!("{topic}-0 begins at offset 15\n"));
    let read = run(over_tcp(&broker, &["consume", &topic, "--until", "end", "--format", "%o "]), "");
    assert_eq!(read, (15..30).map(|offset| format!("{offset} ")).collect::<String>());
    check_fails(delete("31"), 1, &[&format!("offset 31 of {topic}-0 is out of range: the log has 15 to 30")]);
    check_fails(delete("-1"), 2, &["--before"]);
    assert_eq!(run(delete("end"), ""), format!("{topic}-0 begins at offset 30\n"));
    let files = run(at_the_door(&broker, &["topic", "files", &topic]), "");
    assert_eq!(files, "");
}

#[test]
fn what_the_door_cannot_answer_is_one_line() {
    let broker = Broker::start();
    let nowhere = unique_name("nowhere");
    check_fails(at_the_door(&broker, &["topic", "files", &nowhere]), 1, &[&nowhere, "does not exist"]);
    check_fails(at_the_door(&broker, &["archive", "flush", &nowhere]), 1, &[&nowhere, "does not exist"]);
    let topic = archived_topic(&broker, 1);
    let beyond = ["topic", "files", topic.as_str(), "--partition", "7"];
    check_fails(at_the_door(&broker, &beyond), 1, &["no partition 7"]);
    let mut nobody = cenote();
    nobody.args(["archive", "status", "--admin", "http://127.0.0.1:1"]);
    check_fails(nobody, 1, &["http://127.0.0.1:1", "--admin"]);
    let mut kafka = cenote();
    kafka.args(["archive", "status", "--admin", "kafka:9092"]);
    check_fails(kafka, 2, &["--admin", "http://"]);
}

#[test]
fn a_stopped_broker_is_checked_and_a_running_one_is_not() {
    let mut broker = Broker::start();
    let topic = archived_topic(&broker, 10);
    let files = run(at_the_door(&broker, &["topic", "files", &topic]), "");
    let file = Path::new(files.lines().next().expect("a segment"));
    check_fails(broker.fsck(&[]), 1, &["in use by another broker", "stop it first"]);
    broker.kill();
    let text = run(broker.fsck(&[]), "");
    assert!(text.contains("segments   2 files, 20 rows") && text.ends_with("clean\n"), "{text}");

    // A segment that was put and never named, as a crash leaves it.
    let orphan =
        file.with_file_name(format!("{:020}-{:020}-1-0123456789abcdef0123456789abcdef.parquet", 100, 199));
    std::fs::copy(file, &orphan).expect("a copy");
    let report = json(broker.fsck(&["--output", "json"]));
    assert_eq!(
        (&report["problems_total"], &report["orphans"]["segments"]["objects"]),
        (&0.into(), &1.into())
    );
    let report = json(broker.fsck(&["--repair", "--output", "json"]));
    assert!(report["repaired"]["objects"].as_u64() >= Some(1) && !orphan.exists(), "{report}");

    let bytes = std::fs::read(file).expect("its bytes");
    std::fs::write(file, &bytes[..bytes.len() - 1]).expect("written");
    check_fails(broker.fsck(&["--repair"]), 1, &["1 problem"]);
    std::fs::write(file, &bytes).expect("written");
    broker.start_again();
    let read = run(over_tcp(&broker, &["consume", &topic, "--until", "end", "--format", "%o "]), "");
    assert_eq!(read, (0..30).map(|offset| format!("{offset} ")).collect::<String>());
}

#[test]
fn what_was_never_there_is_not_checked() {
    let nowhere = tempfile::tempdir().expect("a temporary directory");
    let mut command = cenote();
    command.arg("fsck").arg("--data").arg(nowhere.path());
    check_fails(command, 1, &["there is no", "metadata", "--data"]);
    assert_eq!(std::fs::read_dir(nowhere.path()).expect("it is there").count(), 0, "nothing was made");
}

#[test]
fn a_long_list_of_segments_comes_in_pages() {
    let broker = Broker::start();
    let topic = archived_topic(&broker, 5);
    let whole = run(at_the_door(&broker, &["topic", "files", &topic]), "");
    let (mut found, mut from) = (Vec::new(), String::new());
    for page in 0..2 {
        let answer = get(&broker, &format!("/topics/{topic}/segments?limit=1{from}"));
        let body = answer.split("\r\n\r\n").nth(1).expect("a body");
        let body: Value = serde_json::from_str(body.trim()).expect("one JSON document");
        let segments = body["partitions"][0]["segments"].as_array().expect("a list").clone();
        assert_eq!(segments.len(), 1, "{body}");
        found.push(segments[0]["path"].as_str().expect("a text").to_owned());
        let next = body["next"].as_str().map(|next| format!("&from={next}"));
        assert_eq!(next.is_some(), page == 0, "{body}");
        from = next.unwrap_or_default();
    }
    assert!(whole.lines().zip(&found).all(|(file, path)| file.ends_with(path)), "{whole} {found:?}");
    for (path, status) in [
        ("/archive", "200"),
        ("/archive?limit=no", "400"),
        ("/topics/nowhere/segments", "404"),
        ("/archive?page=1", "400"),
    ] {
        let answer = get(&broker, path);
        assert_eq!(answer.split_whitespace().nth(1), Some(status), "{path}");
        assert_eq!(answer.contains("\"error\""), status != "200", "{path}");
    }
    // A GET changes nothing.
    assert!(get(&broker, &format!("/topics/{topic}/archive")).contains("405"));
}

/// The local store writes a file under another name, puts a `#` and a number behind it, and renames it when it is whole.
#[test]
fn a_file_that_was_half_written_when_a_kill_came_is_found_and_goes_with_a_repair() {
    let mut broker = Broker::start();
    let topic = archived_topic(&broker, 10);
    let files = run(at_the_door(&broker, &["topic", "files", &topic]), "");
    let file = Path::new(files.lines().next().expect("a segment"));
    broker.kill();
    let half = file.with_file_name(format!("{:020}-{:020}-1-{:032x}.parquet#1", 100, 199, 7));
    std::fs::write(&half, vec![0; 10_000]).expect("written");
    let report = json(broker.fsck(&["--output", "json"]));
    assert_eq!(report["orphans"]["unfinished"]["bytes"], 10_000, "{report}");
    json(broker.fsck(&["--repair", "--output", "json"]));
    assert!(!half.exists());

    std::fs::write(&half, vec![0; 10_000]).expect("written again");
    broker.start_again();
    await_that(&broker, "the next start takes it away", || !half.exists());
}

#[test]
fn who_consumes_what_is_damaged_is_told_so_at_once() {
    let mut broker = Broker::start();
    let topic = archived_topic(&broker, 100);
    let files = run(at_the_door(&broker, &["topic", "files", &topic]), "");
    let file = files.lines().next().expect("a segment").to_owned();
    broker.kill();
    let mut bytes = std::fs::read(&file).expect("a segment");
    // In the first pages, behind the magic.
    bytes[40] ^= 1;
    std::fs::write(&file, bytes).expect("damaged");
    let _ = std::fs::remove_dir_all(broker.data().join("cache"));
    broker.start_again();
    let consume = over_tcp(&broker, &["consume", &topic, "--from", "earliest", "--until", "end"]);
    check_fails(consume, 1, &["CORRUPT_MESSAGE"]);
}
