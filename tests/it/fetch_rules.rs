//! What a fetch promises: whole batches, right errors at both ends, long polls that wake, budgets, sessions.

use crate::support::requests::{
    AT_ONCE, FETCH_BY_NAME, FetchLimits, Topic, fetch_one, fetch_partition, fetch_request, topic_name,
};
use crate::support::{Batch, Broker, Client, NONE, Record, ResponseError, parse_batches, unique_name};
use kafka_protocol::messages::fetch_request::{FetchTopic, ForgottenTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{FetchRequest, FetchResponse};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// A deadline that only a broken broker reaches.
const LONG_WAIT_MS: i32 = 20_000;

fn three_batches_of_ten(client: &mut Client) -> Topic {
    let topic = client.create_topic("fetch");
    for name in ["a", "b", "c"] {
        client.produce(&topic, &Batch::numbered(name, 10));
    }
    topic
}

#[test]
fn a_fetch_from_inside_a_batch_returns_that_batch() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = three_batches_of_ten(&mut client);
    for (offset, first_base) in [(0, 0), (5, 0), (9, 0), (10, 10), (19, 10), (29, 20)] {
        let batches = client.fetch_batches(&topic, offset);
        assert_eq!(batches[0].base_offset, first_base, "from {offset}");
        assert_eq!(batches.last().map(|batch| batch.last_offset), Some(29), "from {offset}");
    }
}

#[test]
fn a_fetch_at_the_log_end_is_empty_and_names_the_end() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = three_batches_of_ten(&mut client);
    let data = client.fetch(&topic, 30, AT_ONCE);
    assert_eq!(data.error_code, NONE);
    assert!(data.records.unwrap_or_default().is_empty());
    assert_eq!((data.high_watermark, data.last_stable_offset, data.log_start_offset), (30, 30, 0));
}

#[test]
fn a_fetch_past_the_end_is_out_of_range() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = three_batches_of_ten(&mut client);
    for offset in [31, 100, i64::MAX] {
        let data = client.fetch(&topic, offset, AT_ONCE);
        assert_eq!(data.error_code, ResponseError::OffsetOutOfRange.code(), "from {offset}");
        assert!(data.records.unwrap_or_default().is_empty());
    }
}

#[test]
fn a_fetch_past_the_end_is_out_of_range_at_once_also_in_a_long_poll() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = three_batches_of_ten(&mut client);
    let began = Instant::now();
    let data = client.fetch(&topic, 31, FetchLimits { max_wait_ms: LONG_WAIT_MS, min_bytes: 1, ..AT_ONCE });
    assert_eq!(data.error_code, ResponseError::OffsetOutOfRange.code());
    assert!(began.elapsed() < Duration::from_millis(10_000));
}

#[test]
fn a_fetch_below_the_start_is_out_of_range() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = three_batches_of_ten(&mut client);
    let data = client.fetch(&topic, -1, AT_ONCE);
    assert_eq!(data.error_code, ResponseError::OffsetOutOfRange.code());
}

#[test]
fn a_long_poll_returns_as_soon_as_there_is_new_data() {
    let broker = Broker::start();
    let mut reader = broker.connect();
    let mut writer = broker.connect();
    let topic = writer.create_topic("longpoll");
    let limits = FetchLimits { max_wait_ms: LONG_WAIT_MS, min_bytes: 1, ..AT_ONCE };
    let began = Instant::now();
    let waiting = reader.send(FETCH_BY_NAME, &fetch_one(&topic.name, 0, limits));
    writer.produce(&topic, &Batch::numbered("new", 1));
    let data = only_partition(reader.receive::<FetchRequest>(FETCH_BY_NAME, waiting));
    assert_eq!(values(&data), ["new-0"]);
    assert!(began.elapsed() < Duration::from_millis(10_000), "woken, not timed out");
}

#[test]
fn a_long_poll_without_news_returns_empty_at_its_max_wait() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("maxwait");
    let began = Instant::now();
    let data = client.fetch(&topic, 0, FetchLimits { max_wait_ms: 300, min_bytes: 1, ..AT_ONCE });
    let waited = began.elapsed();
    assert_eq!(data.error_code, NONE);
    assert!(data.records.unwrap_or_default().is_empty());
    assert!(waited >= Duration::from_millis(295), "it waited {waited:?}");
    assert!(waited < Duration::from_millis(10_000), "it waited {waited:?}");
}

#[test]
fn min_bytes_holds_the_answer_until_enough_is_there() {
    let broker = Broker::start();
    let mut reader = broker.connect();
    let mut writer = broker.connect();
    let topic = writer.create_topic("minbytes");
    let limits = FetchLimits { max_wait_ms: LONG_WAIT_MS, min_bytes: 4_000, ..AT_ONCE };
    let waiting = reader.send(FETCH_BY_NAME, &fetch_one(&topic.name, 0, limits));
    for _ in 0..5 {
        writer.produce(&topic, &Batch::of([Record::of([b'x'; 1_000])]));
    }
    let data = only_partition(reader.receive::<FetchRequest>(FETCH_BY_NAME, waiting));
    let bytes = data.records.unwrap_or_default().len();
    assert!(bytes >= 4_000, "only {bytes} bytes");
}

#[test]
fn a_fetch_gives_at_least_one_batch_however_small_its_budget() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("onebatch");
    for _ in 0..3 {
        client.produce(&topic, &Batch::of([Record::of([b'x'; 10_000])]));
    }
    let limits = FetchLimits { max_bytes: 1, partition_max_bytes: 1, ..AT_ONCE };
    for offset in 0..3 {
        let data = client.fetch(&topic, offset, limits);
        let batches = parse_batches(&data.records.unwrap_or_default());
        assert_eq!(batches.len(), 1, "from {offset}");
        assert_eq!(batches[0].base_offset, offset);
    }
}

#[test]
fn a_partition_gives_no_more_than_its_budget() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("budget");
    for _ in 0..10 {
        client.produce(&topic, &Batch::of([Record::of([b'x'; 1_000])]));
    }
    let data = client.fetch(&topic, 0, FetchLimits { partition_max_bytes: 3_500, ..AT_ONCE });
    let records = data.records.unwrap_or_default();
    assert!(records.len() <= 3_500, "{} bytes", records.len());
    assert_eq!(parse_batches(&records).len(), 3);
}

#[test]
fn all_partitions_together_give_no_more_than_the_total_budget() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic_with("total", 3, &[]);
    for partition in 0..3 {
        for _ in 0..10 {
            produce_to(&mut client, &topic, partition, &Batch::of([Record::of([b'x'; 1_000])]));
        }
    }
    let limits = FetchLimits { max_bytes: 15_000, ..AT_ONCE };
    let partitions = (0..3).map(|partition| fetch_partition(partition, 0, 50 << 20)).collect();
    let topics = vec![FetchTopic::default().with_topic(topic_name(&topic.name)).with_partitions(partitions)];
    let mut answer = client.call(FETCH_BY_NAME, &fetch_request(limits, topics));
    let partitions = answer.responses.pop().expect("one topic").partitions;
    let sizes: Vec<usize> =
        partitions.iter().map(|data| data.records.as_ref().map_or(0, |records| records.len())).collect();
    assert_eq!(sizes.len(), 3, "each partition is named");
    assert!(sizes.iter().sum::<usize>() <= 15_000, "{sizes:?}");
    assert!(sizes.iter().sum::<usize>() > 10_000, "the budget is used: {sizes:?}");
}

#[test]
fn an_unknown_topic_name_or_partition_is_named_as_such() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    let nowhere = Topic { name: unique_name("nowhere"), id: Uuid::nil() };
    assert_eq!(client.fetch(&nowhere, 0, AT_ONCE).error_code, unknown);
    let topic = client.create_topic("known");
    let partition = fetch_partition(7, 0, 1 << 20);
    let topics =
        vec![FetchTopic::default().with_topic(topic_name(&topic.name)).with_partitions(vec![partition])];
    let data = only_partition(client.call(FETCH_BY_NAME, &fetch_request(AT_ONCE, topics)));
    assert_eq!((data.partition_index, data.error_code), (7, unknown));
}

#[test]
fn an_unknown_topic_id_is_named_as_such() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let id = Uuid::new_v4();
    let answer = client.call(13, &fetch_by_id(id, 0, AT_ONCE));
    assert_eq!(answer.responses[0].topic_id, id);
    assert_eq!(only_partition(answer).error_code, ResponseError::UnknownTopicId.code());
}

#[test]
fn every_version_of_fetch_gives_the_same_records() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = three_batches_of_ten(&mut client);
    let expected = client.fetch(&topic, 0, AT_ONCE).records.unwrap_or_default();
    for api_version in 4..=12 {
        let data = only_partition(client.call(api_version, &fetch_one(&topic.name, 0, AT_ONCE)));
        assert_eq!(data.records.unwrap_or_default(), expected, "version {api_version}");
    }
    for api_version in 13..=18 {
        let answer = client.call(api_version, &fetch_by_id(topic.id, 0, AT_ONCE));
        assert_eq!(answer.responses[0].topic_id, topic.id);
        assert_eq!(only_partition(answer).records.unwrap_or_default(), expected, "version {api_version}");
    }
}

#[test]
fn read_committed_reads_what_has_no_transaction() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = three_batches_of_ten(&mut client);
    let request = fetch_one(&topic.name, 0, AT_ONCE).with_isolation_level(1);
    let data = only_partition(client.call(FETCH_BY_NAME, &request));
    assert_eq!(parse_batches(&data.records.unwrap_or_default()).len(), 3);
    assert_eq!(data.last_stable_offset, 30);
}

#[test]
fn a_leader_epoch_nobody_had_yet_is_unknown() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = three_batches_of_ten(&mut client);
    let partition = fetch_partition(0, 0, 1 << 20).with_current_leader_epoch(1_000_000);
    let topics =
        vec![FetchTopic::default().with_topic(topic_name(&topic.name)).with_partitions(vec![partition])];
    let data = only_partition(client.call(FETCH_BY_NAME, &fetch_request(AT_ONCE, topics)));
    assert_eq!(data.error_code, ResponseError::UnknownLeaderEpoch.code());
}

#[test]
fn a_session_answers_only_what_changed() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic_with("session", 2, &[]);
    let session_id = open_session(&mut client, &topic, &[0, 1]);

    let nothing_new = client.call(FETCH_BY_NAME, &in_session(session_id, 1, vec![]));
    assert_eq!((nothing_new.error_code, nothing_new.session_id), (NONE, session_id));
    assert!(nothing_new.responses.is_empty(), "nothing changed");

    produce_to(&mut client, &topic, 1, &Batch::numbered("s", 2));
    let news = client.call(FETCH_BY_NAME, &in_session(session_id, 2, vec![]));
    assert_eq!(news.responses.len(), 1);
    let data = only_partition(news);
    assert_eq!(data.partition_index, 1);
    assert_eq!(values(&data), ["s-0", "s-1"]);

    let moved_on = in_session(session_id, 3, vec![positions(&topic, &[(1, 2)])]);
    let after = client.call(FETCH_BY_NAME, &moved_on);
    assert!(after.responses.is_empty(), "the reader moved past it");
}

#[test]
fn a_session_takes_up_and_forgets_partitions() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic_with("sessions", 2, &[]);
    produce_to(&mut client, &topic, 0, &Batch::numbered("zero", 1));
    produce_to(&mut client, &topic, 1, &Batch::numbered("one", 1));
    let session_id = open_session(&mut client, &topic, &[0]);

    let added = client.call(FETCH_BY_NAME, &in_session(session_id, 1, vec![positions(&topic, &[(1, 0)])]));
    let indexes: Vec<i32> =
        added.responses.iter().flat_map(|t| &t.partitions).map(|data| data.partition_index).collect();
    assert!(indexes.contains(&1), "the new partition is answered: {indexes:?}");

    let forgotten = ForgottenTopic::default().with_topic(topic_name(&topic.name)).with_partitions(vec![0, 1]);
    let request = in_session(session_id, 2, vec![]).with_forgotten_topics_data(vec![forgotten]);
    assert!(client.call(FETCH_BY_NAME, &request).responses.is_empty(), "nothing is left in the session");
}

#[test]
fn an_unknown_session_id_is_refused() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let answer = client.call(FETCH_BY_NAME, &in_session(0x1234_5678, 1, vec![]));
    assert_eq!(answer.error_code, ResponseError::FetchSessionIdNotFound.code());
    assert!(answer.responses.is_empty());
}

#[test]
fn a_session_epoch_out_of_turn_is_refused() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("epoch");
    let session_id = open_session(&mut client, &topic, &[0]);
    let answer = client.call(FETCH_BY_NAME, &in_session(session_id, 5, vec![]));
    assert_eq!(answer.error_code, ResponseError::InvalidFetchSessionEpoch.code());
    let answer = client.call(FETCH_BY_NAME, &in_session(session_id, 1, vec![]));
    assert_eq!(answer.error_code, NONE, "the refusal did not move the session");
}

#[test]
fn a_closed_session_is_gone() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("closing");
    let session_id = open_session(&mut client, &topic, &[0]);
    let closing = in_session(session_id, -1, vec![positions(&topic, &[(0, 0)])]);
    assert_eq!(client.call(FETCH_BY_NAME, &closing).error_code, NONE);
    let answer = client.call(FETCH_BY_NAME, &in_session(session_id, 1, vec![]));
    assert_eq!(answer.error_code, ResponseError::FetchSessionIdNotFound.code());
}

fn open_session(client: &mut Client, topic: &Topic, partitions: &[i32]) -> i32 {
    let from_start: Vec<(i32, i64)> = partitions.iter().map(|&partition| (partition, 0)).collect();
    let answer = client.call(FETCH_BY_NAME, &in_session(0, 0, vec![positions(topic, &from_start)]));
    assert_eq!(answer.error_code, NONE);
    assert_ne!(answer.session_id, 0, "a session was made");
    answer.session_id
}

fn in_session(session_id: i32, session_epoch: i32, topics: Vec<FetchTopic>) -> FetchRequest {
    fetch_request(AT_ONCE, topics).with_session_id(session_id).with_session_epoch(session_epoch)
}

fn positions(topic: &Topic, positions: &[(i32, i64)]) -> FetchTopic {
    let partitions =
        positions.iter().map(|&(partition, offset)| fetch_partition(partition, offset, 1 << 20)).collect();
    FetchTopic::default().with_topic(topic_name(&topic.name)).with_partitions(partitions)
}

fn fetch_by_id(id: Uuid, offset: i64, limits: FetchLimits) -> FetchRequest {
    let partition = fetch_partition(0, offset, limits.partition_max_bytes);
    fetch_request(limits, vec![FetchTopic::default().with_topic_id(id).with_partitions(vec![partition])])
}

fn produce_to(client: &mut Client, topic: &Topic, partition: i32, batch: &Batch) {
    let request = crate::support::requests::produce_request(&topic.name, partition, -1, batch.encode());
    let answer = client.call(crate::support::requests::PRODUCE_BY_NAME, &request);
    assert_eq!(answer.responses[0].partition_responses[0].error_code, NONE);
}

fn only_partition(mut answer: FetchResponse) -> PartitionData {
    let mut topic = answer.responses.pop().expect("one topic");
    assert!(answer.responses.is_empty(), "no other topic");
    let data = topic.partitions.pop().expect("one partition");
    assert!(topic.partitions.is_empty(), "no other partition");
    data
}

fn values(data: &PartitionData) -> Vec<String> {
    let batches = parse_batches(data.records.as_ref().expect("records"));
    let values = batches.iter().flat_map(crate::support::batches::ParsedBatch::values);
    values.map(|value| String::from_utf8(value).expect("a text")).collect()
}
