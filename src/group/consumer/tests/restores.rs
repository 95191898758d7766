//! What is stored, and what comes back of it.

use super::fixture::*;
use crate::group::consumer::*;

/// Through the bytes and back.
pub(super) fn restored(
    group: &ConsumerGroup,
    config: ConsumerGroupConfig,
    now: crate::types::Moment,
) -> ConsumerGroup {
    let json = serde_json::to_vec(&group.stored()).unwrap();
    ConsumerGroup::restore(&serde_json::from_slice(&json).unwrap(), config, now).unwrap()
}

#[test]
fn a_steady_group_of_ten_goes_on_as_if_nothing_had_been() {
    let ids: Vec<String> = (0..10).map(|n| format!("m{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let (group, image) = steady(&ids, 33);
    let mut after = restored(&group, config(), at(90_000));
    after.on_topics_changed(at(90_000), &image);
    assert_eq!(after.describe(), group.describe());
    assert_eq!(after.next_deadline(), Some(at(90_000) + config().session_timeout));
    for id in ids {
        let answer = after.heartbeat(at(91_000), &beat(id, view(&group, id).member_epoch), &image).unwrap();
        assert_eq!((answer.member_epoch, answer.assignment), (view(&group, id).member_epoch, None));
    }
    assert!(!after.take_dirty());
}

#[test]
fn a_rebalance_goes_on_where_it_was() {
    let (mut group, image) = steady(&["m"], 2);
    group.heartbeat(at(1), &join("n", &["a"]), &image).unwrap();
    group.heartbeat(at(2), &beat("m", 2), &image).unwrap();
    let mut after = restored(&group, config(), at(0));
    assert_eq!(after.heartbeat(at(3), &beat("n", 3), &image).unwrap().assignment, None);
    assert_eq!(after.heartbeat(at(4), &owning("m", 2, ones(&[0])), &image).unwrap().member_epoch, 3);
    assert_eq!(after.heartbeat(at(5), &beat("n", 3), &image).unwrap().assignment, Some(ones(&[1])));
}

#[test]
fn a_target_that_was_not_made_yet_is_made() {
    let image = topics(&[("a", 1, 2)]);
    let mut group = ConsumerGroup::new(ConsumerGroupConfig::default());
    group.heartbeat(at(0), &join("m", &["a"]), &image).unwrap();
    let mut after = restored(&group, ConsumerGroupConfig::default(), at(1_000));
    assert_eq!(after.next_deadline(), Some(at(1_050)));
    after.on_time(at(1_050));
    assert_eq!(after.heartbeat(at(1_100), &beat("m", 1), &image).unwrap().assignment, Some(ones(&[0, 1])));
}

#[test]
fn what_changed_of_the_topics_meanwhile_is_noticed() {
    let (group, _) = steady(&["m"], 2);
    let image = topics(&[("a", 1, 3)]);
    let mut after = restored(&group, config(), at(0));
    after.on_topics_changed(at(0), &image);
    assert_eq!(after.heartbeat(at(1), &beat("m", 2), &image).unwrap().assignment, Some(ones(&[0, 1, 2])));
}

#[test]
fn the_stored_form_stays_as_it_is() {
    let (mut group, image) = steady(&["m"], 3);
    let request = of_instance(join("n", &["a"]), "i");
    group
        .heartbeat(at(1), &HeartbeatRequest { server_assignor: Some("range".into()), ..request }, &image)
        .unwrap();
    group.heartbeat(at(2), &beat("m", 2), &image).unwrap();
    let golden = concat!(
        r#"{"version":1,"group_epoch":3,"assignment_epoch":3,"#,
        r#""topics":[{"id":"00000000000000000000000000000001","name":"a","partitions":3}],"#,
        r#""subscriptions":[{"names":["a"],"regex":null}],"members":["#,
        r#"{"member_id":"m","instance_id":null,"rack_id":null,"client_id":"client","client_host":"/127.0.0.1","#,
        r#""rebalance_timeout_ms":60000,"assignor":null,"subscription":0,"state":"unrevoked_partitions","#,
        r#""member_epoch":2,"previous_member_epoch":0,"assigned":[[0,2,"2"]],"revoking":[[0,2,"0-1"]],"#,
        r#""target":[[0,0,"2"]]},"#,
        r#"{"member_id":"n","instance_id":"i","rack_id":null,"client_id":"client","client_host":"/127.0.0.1","#,
        r#""rebalance_timeout_ms":60000,"assignor":"range","subscription":0,"state":"unreleased_partitions","#,
        r#""member_epoch":3,"previous_member_epoch":0,"assigned":[],"revoking":[],"target":[[0,0,"0-1"]]}]}"#,
    );
    let json = serde_json::to_string(&group.stored()).unwrap();
    // The second target of `m` is what it has left, so it is not written twice.
    assert_eq!(json, golden.replace(r#""target":[[0,0,"2"]]}"#, r#""target":null}"#));
}

#[test]
fn what_contradicts_itself_is_not_restored() {
    let (group, _) = steady(&["m", "n"], 2);
    let json = serde_json::to_string(&group.stored()).unwrap();
    let spoiled = [
        json.replace(r#""version":1"#, r#""version":2"#),
        json.replace(r#""subscription":0"#, r#""subscription":3"#),
        json.replace(r#"[0,3,"1"]"#, r#"[0,3,"0"]"#),
        json.replace(r#"[0,3,"1"]"#, r#"[7,3,"1"]"#),
        json.replace(r#"[0,3,"1"]"#, r#"[0,3,"1-0"]"#),
        json.replace(r#"[0,3,"1"]"#, r#"[0,3,"0-2147483647"]"#),
        json.replace(r#""member_id":"n""#, r#""member_id":"m""#),
        json.replace("00000000000000000000000000000001", "xyz"),
    ];
    for text in spoiled {
        assert_ne!(text, json);
        let stored: StoredConsumerGroup = serde_json::from_str(&text).unwrap();
        assert!(ConsumerGroup::restore(&stored, config(), at(0)).is_err(), "{text}");
    }
}

#[test]
fn the_largest_group_fits_where_it_is_stored() {
    let names: Vec<String> = (0..20).map(|n| format!("topic-number-{n}")).collect();
    let image: TopicsImage = names
        .iter()
        .enumerate()
        .map(|(n, text)| (name(text), TopicSize { topic_id: topic(n as u128), partitions: 1000 }))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut group = ConsumerGroup::new(ConsumerGroupConfig::default());
    for n in 0..1000 {
        let id = uuid::Uuid::from_u128(n).to_string();
        group.heartbeat(at(0), &join(&id, &names), &image).unwrap();
    }
    group.on_time(at(200));
    for _ in 0..3 {
        for member in group.describe().members {
            let request = owning(member.member_id.as_str(), member.member_epoch, member.assignment);
            group.heartbeat(at(300), &request, &image).unwrap();
        }
    }
    assert_eq!(group.state(), ConsumerGroupState::Stable);
    let bytes = serde_json::to_vec(&group.stored()).unwrap().len();
    assert!(bytes < 1 << 20, "{bytes}");
}
