//! Consumer groups on the command line: shown, reset, deleted, and shared with others.

use crate::cli::{check_fails, json_lines, over_tcp, run};
use crate::support::broker::{lines_of, send_signal, wait_for_exit};
use crate::support::{Broker, unique_name};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::Message;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::Child;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(60);

/// A broker with a topic, and a group that has yet to come.
struct Scene {
    broker: Broker,
    topic: String,
    group: String,
}

impl Scene {
    fn new(partitions: &str) -> Scene {
        let scene =
            Scene { broker: Broker::start(), topic: unique_name("shared"), group: unique_name("group") };
        run(over_tcp(&scene.broker, &["topic", "create", &scene.topic, "--partitions", partitions]), "");
        scene
    }

    fn tell(&self, arguments: &[&str]) -> String {
        run(over_tcp(&self.broker, arguments), "")
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let arguments: Vec<_> = arguments.iter().copied().chain(["--output", "json"]).collect();
        serde_json::from_str(&self.tell(&arguments)).expect("one JSON document")
    }

    /// `count` records into each of `partitions`.
    fn produce(&self, partitions: i32, count: usize) {
        let record = |number: usize| format!("{number}\n");
        let records: String = (0..count).map(record).collect();
        for partition in 0..partitions {
            let arguments = ["produce", self.topic.as_str(), "--partition", &partition.to_string()];
            run(over_tcp(&self.broker, &arguments), &records);
        }
    }

    /// A member of the group that writes `partition:offset`.
    fn member(&self) -> Reader {
        let format = "%p:%o\\n";
        let arguments = ["consume", self.topic.as_str(), "--group", &self.group, "--format", format];
        let mut child = over_tcp(&self.broker, &arguments).spawn().expect("the cenote binary");
        let lines = lines_of(child.stdout.take().expect("a piped stdout"));
        Reader { child, lines }
    }

    /// Waits until the members have these numbers of partitions.
    fn wait_for_shares(&self, shares: &[usize]) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let group = self.json(&["group", "members", &self.group]);
            let members = group["members"].as_array().expect("a list of members");
            let sizes = members.iter().map(|member| member["partitions"].as_array().map_or(0, Vec::len));
            let mut sizes: Vec<_> = sizes.collect();
            sizes.sort_unstable();
            if group["state"] == "Stable" && sizes == shares {
                return;
            }
            assert!(Instant::now() < deadline, "no shares of {shares:?} in {group}");
        }
    }

    /// Waits until the group is there.
    fn wait_for_group(&self) {
        let deadline = Instant::now() + DEADLINE;
        while !self.tell(&["group", "list"]).contains(&self.group) {
            assert!(Instant::now() < deadline, "no group");
        }
    }

    /// The committed offsets, by partition.
    fn committed(&self) -> Vec<Value> {
        let described = self.json(&["group", "describe", &self.group]);
        let partitions = described["partitions"].as_array().expect("a list of partitions");
        partitions.iter().map(|partition| partition["committed_offset"].clone()).collect()
    }
}

/// A running `cenote consume`.
struct Reader {
    child: Child,
    lines: Receiver<String>,
}

impl Reader {
    fn take(&self, count: usize) -> Vec<String> {
        let line = |_| self.lines.recv_timeout(DEADLINE).expect("a line in time");
        (0..count).map(line).collect()
    }

    /// Ctrl-C: what it wrote besides.
    fn interrupt(self) -> Vec<String> {
        send_signal(&self.child, "INT");
        assert_eq!(wait_for_exit(self.child).code(), Some(130));
        self.lines.iter().collect()
    }
}

/// All places of `count` records in each of `partitions`.
fn places(partitions: i32, count: usize) -> BTreeSet<String> {
    (0..partitions)
        .flat_map(|partition| (0..count).map(move |offset| format!("{partition}:{offset}")))
        .collect()
}

#[test]
fn a_group_goes_on_where_it_left_off() {
    let scene = Scene::new("1");
    scene.produce(1, 10);
    let read = |count: &str| {
        scene.tell(&["consume", &scene.topic, "--group", &scene.group, "--count", count, "--format", "%o "])
    };
    assert_eq!(read("3"), "0 1 2 ");
    assert_eq!(read("4"), "3 4 5 6 ");
    let rest = ["consume", &scene.topic, "--group", &scene.group, "--until", "end", "--output", "json"];
    assert_eq!(json_lines(&scene.tell(&rest)).len(), 3);
    assert_eq!(scene.tell(&rest), "");
}

#[test]
fn a_group_is_shown_with_its_lag() {
    let scene = Scene::new("2");
    scene.produce(2, 10);
    scene.tell(&["consume", &scene.topic, "--group", &scene.group, "--until", "end"]);
    scene.produce(2, 4);
    let listed = scene.json(&["group", "list"]);
    let expected = json!([{
        "group": scene.group, "type": "classic", "state": "Empty", "protocol": "consumer", "members": 0, "lag": 8,
    }]);
    assert_eq!(listed, expected);
    let described = scene.json(&["group", "describe", &scene.group]);
    assert_eq!((&described["lag"], &described["state"]), (&json!(8), &json!("Empty")));
    let partition = &described["partitions"][1];
    assert_eq!(partition["committed_offset"], 10);
    assert_eq!((&partition["end_offset"], &partition["lag"]), (&json!(14), &json!(4)));
    assert_eq!(partition["member_id"], Value::Null);
    let table = scene.tell(&["group", "describe", &scene.group]);
    let row = format!("{}          1         10   14    4  -       -     -\n", scene.topic);
    assert!(table.ends_with(&row), "no {row:?} in:\n{table}");
}

#[test]
fn a_reset_is_shown_first_and_done_when_asked() {
    let scene = Scene::new("2");
    scene.produce(2, 10);
    scene.tell(&["consume", &scene.topic, "--group", &scene.group, "--until", "end"]);
    let first = format!("{}:0", scene.topic);
    for (arguments, committed) in [
        (vec!["--all-topics", "--to-earliest"], [0, 0]),
        (vec!["--topic", &scene.topic, "--to-offset", "7"], [7, 7]),
        (vec!["--topic", &first, "--shift-by", "-3"], [4, 7]),
        (vec!["--all-topics", "--shift-by", "100"], [10, 10]),
        (vec!["--topic", &first, "--to-time", "2020-01-01T00:00:00Z"], [0, 10]),
        (vec!["--all-topics", "--to-latest"], [10, 10]),
    ] {
        let before = scene.committed();
        let mut reset = vec!["group", "reset", scene.group.as_str()];
        reset.extend(arguments);
        let planned = scene.json(&reset);
        assert_eq!((&planned["executed"], scene.committed()), (&json!(false), before), "{reset:?}");
        reset.push("--execute");
        let done = scene.json(&reset);
        assert_eq!((&done["executed"], &done["partitions"]), (&json!(true), &planned["partitions"]));
        assert_eq!(scene.committed(), committed, "{reset:?}");
    }
    let other = unique_name("another");
    scene.tell(&["group", "reset", &other, "--topic", &first, "--to-offset", "5", "--execute"]);
    let read = ["consume", &scene.topic, "--group", &other, "--until", "end", "--format", "%p:%o "];
    assert_eq!(scene.tell(&read).split_whitespace().count(), 15);
}

#[test]
fn a_group_is_deleted_with_its_offsets() {
    let scene = Scene::new("2");
    scene.produce(2, 3);
    scene.tell(&["consume", &scene.topic, "--group", &scene.group, "--until", "end"]);
    let first = format!("{}:0", scene.topic);
    scene.tell(&["group", "delete", &scene.group, "--topic", &first]);
    assert_eq!(scene.committed(), [3]);
    assert_eq!(scene.json(&["group", "delete", &scene.group]), json!({ "deleted": [scene.group] }));
    assert_eq!(scene.json(&["group", "list"]), json!([]));
    check_fails(
        over_tcp(&scene.broker, &["group", "describe", &scene.group]),
        1,
        &[&scene.group, "not exist"],
    );
    check_fails(over_tcp(&scene.broker, &["group", "delete", &scene.group]), 1, &[&scene.group, "not exist"]);
}

#[test]
fn a_group_with_members_is_neither_reset_nor_deleted() {
    let scene = Scene::new("1");
    let member = scene.member();
    scene.wait_for_group();
    scene.wait_for_shares(&[1]);
    let reset = ["group", "reset", &scene.group, "--topic", &scene.topic, "--to-latest", "--execute"];
    check_fails(over_tcp(&scene.broker, &reset), 1, &[&scene.group, "has members"]);
    check_fails(
        over_tcp(&scene.broker, &["group", "delete", &scene.group]),
        1,
        &[&scene.group, "has members"],
    );
    member.interrupt();
    scene.tell(&reset);
    scene.tell(&["group", "delete", &scene.group]);
}

#[test]
fn two_members_share_a_topic_and_one_takes_over() {
    let scene = Scene::new("4");
    let (a, b) = (scene.member(), scene.member());
    scene.wait_for_group();
    scene.wait_for_shares(&[2, 2]);
    scene.produce(4, 50);
    let mut read = [a.take(100), b.take(100)].concat();
    assert_eq!(BTreeSet::from_iter(read.clone()), places(4, 50));
    read.extend(a.interrupt());
    scene.wait_for_shares(&[4]);
    scene.produce(4, 10);
    read.extend(b.take(40));
    read.extend(b.interrupt());
    assert_eq!(read.len(), 240, "each record once");
    assert_eq!(BTreeSet::from_iter(read), places(4, 60));
    assert_eq!(scene.committed(), [60, 60, 60, 60]);
}

#[test]
fn a_member_outlives_a_kill_of_the_broker() {
    let mut scene = Scene::new("2");
    let member = scene.member();
    scene.wait_for_group();
    scene.wait_for_shares(&[2]);
    scene.produce(2, 10);
    let mut read = member.take(20);
    scene.broker.kill_and_restart();
    scene.produce(2, 5);
    read.extend(member.take(10));
    read.extend(member.interrupt());
    assert_eq!(read.len(), 30, "each record once");
    assert_eq!(BTreeSet::from_iter(read), places(2, 15));
    assert_eq!(scene.committed(), [15, 15]);
}

#[test]
fn a_member_shares_a_group_with_librdkafka() {
    let scene = Scene::new("4");
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", scene.broker.bootstrap())
        .set("group.id", &scene.group)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("heartbeat.interval.ms", "300")
        .set("session.timeout.ms", "10000")
        .create()
        .expect("a consumer");
    consumer.subscribe(&[&scene.topic]).expect("a subscription");
    let mut read = Vec::new();
    let mut poll_until = |enough: &dyn Fn(usize, usize) -> bool| {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(message) = consumer.poll(Duration::from_millis(50)) {
                let message = message.expect("a record");
                read.push(format!("{}:{}", message.partition(), message.offset()));
            }
            if enough(consumer.assignment().expect("an assignment").count(), read.len()) {
                return read.clone();
            }
            assert!(Instant::now() < deadline, "{} records", read.len());
        }
    };
    poll_until(&|partitions, _| partitions == 4);
    let member = scene.member();
    poll_until(&|partitions, _| partitions == 2);
    scene.wait_for_shares(&[2, 2]);
    scene.produce(4, 50);
    let of_member = member.take(100);
    let mut all = poll_until(&|_, records| records == 100);
    all.extend(of_member);
    assert_eq!(BTreeSet::from_iter(all), places(4, 50));
    consumer.commit_consumer_state(CommitMode::Sync).expect("a commit");
    assert_eq!(member.interrupt(), Vec::<String>::new());
    poll_until(&|partitions, _| partitions == 4);
    scene.produce(4, 10);
    poll_until(&|_, records| records == 100 + 40);
    consumer.commit_consumer_state(CommitMode::Sync).expect("a commit");
    assert_eq!(scene.committed(), [60, 60, 60, 60]);
}
