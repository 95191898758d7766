//! Groups, topics and requests for the tables.

use crate::group::consumer::*;
use crate::types::{Moment, PartitionIndex, TopicId, TopicName, TopicPartition};
use std::time::Duration;
use uuid::Uuid;

pub(super) fn name(text: &str) -> TopicName {
    TopicName::parse(text).unwrap()
}

/// The id of the topic with that number.
pub(super) fn topic(number: u128) -> TopicId {
    TopicId(Uuid::from_u128(number))
}

pub(super) fn tp(number: u128, partition: i32) -> TopicPartition {
    TopicPartition { topic_id: topic(number), partition: PartitionIndex(partition) }
}

/// Partitions of topic 1.
pub(super) fn ones(partitions: &[i32]) -> PartitionSet {
    partitions.iter().map(|&partition| tp(1, partition)).collect()
}

pub(super) fn topics(sizes: &[(&str, u128, i32)]) -> TopicsImage {
    let size = |&(text, number, partitions): &(&str, u128, i32)| {
        (name(text), TopicSize { topic_id: topic(number), partitions })
    };
    sizes.iter().map(size).collect()
}

pub(super) fn at(millis: u64) -> Moment {
    Moment(Duration::from_millis(millis))
}

/// Targets at once, so that tables need no time.
pub(super) fn config() -> ConsumerGroupConfig {
    ConsumerGroupConfig { assignment_delay: Duration::ZERO, ..ConsumerGroupConfig::default() }
}

/// A heartbeat that says nothing.
pub(super) fn beat(member_id: &str, member_epoch: i32) -> HeartbeatRequest {
    HeartbeatRequest {
        member_id: MemberId::new(member_id),
        member_epoch,
        instance_id: None,
        rack_id: None,
        rebalance_timeout: None,
        subscribed_topic_names: None,
        subscribed_topic_regex: None,
        server_assignor: None,
        owned: None,
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
    }
}

/// A heartbeat that says what the member owns.
pub(super) fn owning(member_id: &str, member_epoch: i32, owned: PartitionSet) -> HeartbeatRequest {
    HeartbeatRequest { owned: Some(owned), ..beat(member_id, member_epoch) }
}

pub(super) fn join(member_id: &str, names: &[&str]) -> HeartbeatRequest {
    HeartbeatRequest {
        rebalance_timeout: Some(Duration::from_secs(60)),
        subscribed_topic_names: Some(names.iter().map(|text| name(text)).collect()),
        ..owning(member_id, JOIN_EPOCH, PartitionSet::new())
    }
}

pub(super) fn of_instance(request: HeartbeatRequest, instance_id: &str) -> HeartbeatRequest {
    HeartbeatRequest { instance_id: Some(GroupInstanceId::new(instance_id)), ..request }
}

/// A group whose `members` share topic `a` (number 1), all of them stable.
pub(super) fn steady(members: &[&str], partitions: i32) -> (ConsumerGroup, TopicsImage) {
    let image = topics(&[("a", 1, partitions)]);
    let mut group = ConsumerGroup::new(config());
    for member in members {
        group.heartbeat(at(0), &join(member, &["a"]), &image).unwrap();
    }
    settle(&mut group, at(0), &image);
    (group, image)
}

/// Everybody does at once what it is told, until the group is stable.
pub(super) fn settle(group: &mut ConsumerGroup, now: Moment, image: &TopicsImage) {
    for _ in 0..10 {
        for member in group.describe().members {
            if member.member_epoch < 0 {
                continue;
            }
            let mut request = owning(member.member_id.as_str(), member.member_epoch, member.assignment);
            request.instance_id = member.instance_id;
            group.heartbeat(now, &request, image).unwrap();
        }
        if group.state() == ConsumerGroupState::Stable {
            return;
        }
    }
    panic!("the group does not come to rest: {:?}", group.describe());
}

pub(super) fn view(group: &ConsumerGroup, member_id: &str) -> MemberView {
    let members = group.describe().members;
    members.into_iter().find(|member| member.member_id.as_str() == member_id).unwrap()
}
