//! Groups as librdkafka's consumers live in them, by both protocols: partitions are shared, kept over restarts of a
//! static member and of the broker, and what was committed is there after `kill -9`.

use crate::support::requests::{Topic, text};
use crate::support::{Batch, Broker, NONE, unique_name};
use kafka_protocol::messages::{DescribeGroupsRequest, GroupId, HeartbeatRequest};
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(60);
const PARTITIONS: i32 = 6;
const RANGE: Settings<'_> = &[("partition.assignment.strategy", "range")];
const COOPERATIVE: Settings<'_> = &[("partition.assignment.strategy", "cooperative-sticky")];
const NEW_PROTOCOL: Settings<'_> = &[("group.protocol", "consumer")];

type Settings<'a> = &'a [(&'a str, &'a str)];

/// Counts how often the group gave it something or took it away.
#[derive(Clone, Default)]
struct Events {
    rebalances: Arc<AtomicUsize>,
}

impl ClientContext for Events {
    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, _: &str, _: &str) {}
    fn error(&self, _: rdkafka::error::KafkaError, _: &str) {}
}

impl ConsumerContext for Events {
    fn post_rebalance(&self, _: &BaseConsumer<Events>, _: &Rebalance<'_>) {
        self.rebalances.fetch_add(1, Ordering::Relaxed);
    }
}

/// A consumer in a group.
struct Member {
    consumer: BaseConsumer<Events>,
    events: Events,
    /// What it read: the next offset by partition, checked to follow on.
    next: BTreeMap<i32, i64>,
}

impl Member {
    fn join(broker: &Broker, topic: &Topic, group: &str, settings: Settings<'_>) -> Member {
        let events = Events::default();
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", broker.bootstrap())
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", "50")
            .set("reconnect.backoff.ms", "20")
            .set("reconnect.backoff.max.ms", "100");
        if !settings.iter().any(|(name, _)| *name == "group.protocol") {
            // The new protocol has these from the broker.
            config.set("session.timeout.ms", "30000").set("heartbeat.interval.ms", "200");
        }
        for (name, value) in settings {
            config.set(*name, *value);
        }
        let consumer: BaseConsumer<Events> = config.create_with_context(events.clone()).expect("a consumer");
        consumer.subscribe(&[&topic.name]).expect("subscribed");
        Member { consumer, events, next: BTreeMap::new() }
    }

    /// Lives for a moment; takes a record if there is one.
    fn poll(&mut self) {
        // A broker that is away for a while is no failure.
        let Some(Ok(message)) = self.consumer.poll(Duration::from_millis(5)) else { return };
        let (partition, offset) = (message.partition(), message.offset());
        if let Some(next) = self.next.insert(partition, offset + 1) {
            assert_eq!(offset, next, "partition {partition} goes on where it was");
        }
    }

    fn partitions(&self) -> BTreeSet<i32> {
        let list = self.consumer.assignment().expect("an assignment");
        list.elements().iter().map(rdkafka::topic_partition_list::TopicPartitionListElem::partition).collect()
    }

    fn rebalances(&self) -> usize {
        self.events.rebalances.load(Ordering::Relaxed)
    }

    /// Leaves the group. Without that librdkafka may wait for ever for a share that it gives up, step by step as the cooperative
    /// protocol has it, while it is being closed.
    fn leave(self) {
        self.consumer.unsubscribe();
        let deadline = Instant::now() + DEADLINE;
        let has_some = || self.consumer.assignment().is_ok_and(|share| share.count() > 0);
        while has_some() && Instant::now() < deadline {
            let _last = self.consumer.poll(Duration::from_millis(5));
        }
    }

    /// Commits what it read.
    fn commit(&self, topic: &Topic) {
        let mut list = TopicPartitionList::new();
        for (partition, next) in &self.next {
            list.add_partition_offset(&topic.name, *partition, Offset::Offset(*next)).expect("a partition");
        }
        self.consumer.commit(&list, CommitMode::Sync).expect("committed");
    }
}

/// Lets all members live until it holds.
fn live_until(members: &mut [Member], what: &str, mut holds: impl FnMut(&[Member]) -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds(members) {
        let shares: Vec<_> = members.iter().map(Member::partitions).collect();
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}; {shares:?}");
        members.iter_mut().for_each(Member::poll);
    }
}

fn live_for(members: &mut [Member], time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        members.iter_mut().for_each(Member::poll);
    }
}

/// Whether every partition is one member's, and all have as many.
fn is_shared_evenly(members: &[Member], partitions: i32) -> bool {
    let shares: Vec<BTreeSet<i32>> = members.iter().map(Member::partitions).collect();
    let all: BTreeSet<i32> = shares.iter().flatten().copied().collect();
    let each = usize::try_from(partitions).expect("positive") / members.len();
    all == (0..partitions).collect() && shares.iter().all(|share| share.len() == each)
}

fn broker() -> Broker {
    Broker::options().arguments(&["--group-initial-rebalance-delay", "0ms"]).start()
}

fn check_sharing(settings: Settings<'_>) {
    let broker = broker();
    let topic = broker.connect().create_topic_with("shared", PARTITIONS, &[]);
    let group = unique_name("group");
    let member = || Member::join(&broker, &topic, &group, settings);
    let mut members = vec![member(), member()];
    live_until(&mut members, "two share", |members| is_shared_evenly(members, PARTITIONS));
    members.push(member());
    live_until(&mut members, "three share", |members| is_shared_evenly(members, PARTITIONS));
    drop(members.remove(0));
    live_until(&mut members, "two share again", |members| is_shared_evenly(members, PARTITIONS));
}

#[test]
fn members_share_partitions_by_range() {
    check_sharing(RANGE);
}

#[test]
fn members_share_partitions_cooperatively() {
    check_sharing(COOPERATIVE);
}

#[test]
fn members_share_partitions_by_the_new_protocol() {
    check_sharing(NEW_PROTOCOL);
}

#[test]
fn a_group_moves_to_the_new_protocol_member_by_member_and_back() {
    let broker = broker();
    let topic = broker.connect().create_topic_with("moved", PARTITIONS, &[]);
    let group = unique_name("group");
    let member = |settings| Member::join(&broker, &topic, &group, settings);
    let shared = |members: &[Member]| is_shared_evenly(members, PARTITIONS);
    let mut members = vec![member(COOPERATIVE), member(COOPERATIVE)];
    live_until(&mut members, "two classic members", shared);
    for (there, what) in [(NEW_PROTOCOL, "over to the new protocol"), (COOPERATIVE, "and back")] {
        for _ in 0..2 {
            members.push(member(there));
            live_until(&mut members, what, shared);
            drop(members.remove(0));
            live_until(&mut members, what, shared);
        }
    }
}

#[test]
fn a_static_member_that_restarts_moves_nothing() {
    let broker = broker();
    let topic = broker.connect().create_topic_with("static", PARTITIONS, &[]);
    let group = unique_name("group");
    let member = |name: &str| {
        let settings = [("group.instance.id", name), ("partition.assignment.strategy", "range")];
        Member::join(&broker, &topic, &group, &settings)
    };
    let mut members = vec![member("one"), member("two")];
    live_until(&mut members, "two share", |members| is_shared_evenly(members, PARTITIONS));
    let (before, rebalances) = (members[1].partitions(), members[0].rebalances());
    drop(members.pop());
    members.push(member("two"));
    live_until(&mut members, "it has what it had", |members| members[1].partitions() == before);
    live_for(&mut members, Duration::from_secs(1));
    assert_eq!(members[0].rebalances(), rebalances, "the other one noticed nothing");
}

#[test]
fn what_was_committed_is_there_after_a_kill() {
    let mut broker = broker();
    let topic = broker.connect().create_topic_with("committed", 1, &[]);
    let group = unique_name("group");
    broker.connect().produce(&topic, &Batch::numbered("first", 3));
    let mut members = vec![Member::join(&broker, &topic, &group, RANGE)];
    live_until(&mut members, "all is read", |members| members[0].next.get(&0) == Some(&3));
    members[0].commit(&topic);
    drop(members);
    broker.kill_and_restart();
    broker.connect().produce(&topic, &Batch::numbered("second", 1));
    let mut members = vec![Member::join(&broker, &topic, &group, RANGE)];
    live_until(&mut members, "the new one is read", |members| !members[0].next.is_empty());
    assert_eq!(members[0].next, BTreeMap::from([(0, 4)]), "nothing is read again");
}

/// The ids of the members, and their assignments, as DescribeGroups shows them.
fn described(broker: &Broker, group: &str) -> BTreeMap<String, Vec<u8>> {
    let request = DescribeGroupsRequest::default().with_groups(vec![GroupId(text(group))]);
    let mut response = broker.connect().call(5, &request);
    let group = response.groups.remove(0);
    assert_eq!((group.error_code, group.group_state.as_str()), (NONE, "Stable"));
    let members = group.members.into_iter();
    members.map(|member| (member.member_id.to_string(), member.member_assignment.to_vec())).collect()
}

/// The generation that the group takes this member's heartbeats for.
fn generation(broker: &Broker, group: &str, member_id: &str) -> Option<i32> {
    let mut client = broker.connect();
    (0..100).find(|generation| {
        let request = HeartbeatRequest::default()
            .with_group_id(GroupId(text(group)))
            .with_member_id(text(member_id))
            .with_generation_id(*generation);
        client.call(4, &request).error_code == NONE
    })
}

#[test]
fn a_live_group_of_ten_does_not_notice_a_killed_broker() {
    const TEN: i32 = 10;
    let mut broker = broker();
    let topic = broker.connect().create_topic_with("ten", TEN, &[]);
    let group = unique_name("group");
    let produce = |broker: &Broker| {
        let mut client = broker.connect();
        for partition in 0..TEN {
            produce_to(&mut client, &topic, partition);
        }
    };
    let mut members: Vec<Member> =
        (0..TEN).map(|_| Member::join(&broker, &topic, &group, COOPERATIVE)).collect();
    live_until(&mut members, "ten share", |members| is_shared_evenly(members, TEN));
    let all_at = |members: &[Member], offset: i64| {
        members
            .iter()
            .all(|member| member.next.len() == 1 && member.next.values().all(|next| *next == offset))
    };
    // What each read while the group was forming is of no interest.
    members.iter_mut().for_each(|member| member.next.clear());
    produce(&broker);
    live_until(&mut members, "all read one record", |members| all_at(members, 1));
    members.iter().for_each(|member| member.commit(&topic));
    let before = described(&broker, &group);
    let some_id = before.keys().next().expect("ten members").clone();
    let generation_before = generation(&broker, &group, &some_id);
    assert!(generation_before.is_some(), "the group has a generation");
    let rebalances: Vec<usize> = members.iter().map(Member::rebalances).collect();

    broker.kill();
    live_for(&mut members, Duration::from_millis(500));
    broker.start_again();
    produce(&broker);
    live_until(&mut members, "all go on", |members| all_at(members, 2));
    live_for(&mut members, Duration::from_secs(1));
    assert_eq!(described(&broker, &group), before, "the same members with the same partitions");
    assert_eq!(generation(&broker, &group, &some_id), generation_before, "of the same generation");
    let after: Vec<usize> = members.iter().map(Member::rebalances).collect();
    assert_eq!(after, rebalances, "nobody joined again");
    members.iter().for_each(|member| member.commit(&topic));
    let mut list = TopicPartitionList::new();
    (0..TEN).for_each(|partition| {
        list.add_partition(&topic.name, partition);
    });
    let committed = members[0].consumer.committed_offsets(list, DEADLINE).expect("fetched");
    assert!(committed.elements().iter().all(|element| element.offset() == Offset::Offset(2)));
    members.into_iter().for_each(Member::leave);
}

fn produce_to(client: &mut crate::support::Client, topic: &Topic, partition: i32) {
    let batch = Batch::numbered("value", 1).encode();
    let request = crate::support::requests::produce_request(&topic.name, partition, -1, batch);
    let response = client.call(crate::support::requests::PRODUCE_BY_NAME, &request);
    assert_eq!(response.responses[0].partition_responses[0].error_code, NONE);
}
