//! Share groups on the command line: shown, reset and deleted as the others are.

use crate::cli::{check_fails, over_tcp, run};
use crate::support::requests::{text, topic_name};
use crate::support::{Broker, raw::Client};
use kafka_protocol::messages::{GroupId, ShareGroupHeartbeatRequest};
use serde_json::{Value, json};
use uuid::Uuid;

const JOIN: i32 = 0;
const LEAVE: i32 = -1;

/// A member joins a share group, or leaves it.
fn heartbeat(client: &mut Client, member_id: &str, topic: &str, epoch: i32) {
    let request = ShareGroupHeartbeatRequest::default()
        .with_group_id(GroupId(text("workers")))
        .with_member_id(text(member_id))
        .with_member_epoch(epoch)
        .with_subscribed_topic_names((epoch == JOIN).then(|| vec![topic_name(topic)]));
    let answer = client.call(1, &request);
    assert_eq!(answer.error_code, 0, "{:?}", answer.error_message);
}

#[test]
fn a_share_group_is_shown_reset_and_deleted() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic_with("queue", 2, &[]).name;
    run(over_tcp(&broker, &["produce", &topic, "--partition", "0"]), "1\n2\n3\n");
    let tell = |arguments: &[&str]| run(over_tcp(&broker, arguments), "");
    let json = |arguments: &[&str]| -> Value {
        let arguments: Vec<_> = arguments.iter().copied().chain(["--output", "json"]).collect();
        serde_json::from_str(&tell(&arguments)).expect("one JSON document")
    };
    let member_id = Uuid::new_v4().to_string();
    heartbeat(&mut client, &member_id, &topic, JOIN);

    let members = json(&["group", "members", "workers"]);
    assert_eq!((&members["type"], &members["state"]), (&json!("share"), &json!("Stable")));
    assert_eq!(members["members"][0]["member_id"], member_id);
    assert_eq!(members["members"][0]["partitions"].as_array().map(Vec::len), Some(2), "{members}");
    let described = json(&["group", "describe", "workers"]);
    assert_eq!(
        (&described["lag_max"], &described["partitions"][0]["start_offset"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(json(&["group", "list"])[0]["members"], 1);
    let reset = ["group", "reset", "workers", "--topic", &topic, "--to-offset", "1"];
    let execute: Vec<_> = reset.iter().copied().chain(["--execute"]).collect();
    check_fails(over_tcp(&broker, &execute), 1, &["workers", "has members"]);
    check_fails(over_tcp(&broker, &["group", "delete", "workers"]), 1, &["workers", "has members"]);

    heartbeat(&mut client, &member_id, &topic, LEAVE);
    let planned = json(&reset);
    assert_eq!((&planned["executed"], &planned["partitions"][0]["new_offset"]), (&json!(false), &json!(1)));
    assert_eq!(json(&["group", "describe", "workers"])["partitions"], json!([]), "nothing was changed");
    json(&execute);
    let described = json(&["group", "describe", "workers"]);
    assert_eq!((&described["lag_max"], &described["partitions"][0]["start_offset"]), (&json!(2), &json!(1)));
    let table = tell(&["group", "describe", "workers"]);
    assert!(table.starts_with("group workers: share, Empty, 0 members"), "{table}");
    assert!(table.contains("lag up to 2") && table.contains("LAG-UP-TO"), "{table}");
    for (target, start) in [("--to-latest", 3), ("--to-earliest", 0), ("--to-time=@0", 0)] {
        json(&["group", "reset", "workers", "--all-topics", target, "--execute"]);
        let described = json(&["group", "describe", "workers"]);
        assert_eq!(described["partitions"][0]["start_offset"], start, "{target}");
    }
    tell(&["group", "delete", "workers"]);
    check_fails(over_tcp(&broker, &["group", "describe", "workers"]), 1, &["workers", "not exist"]);
}
