//! What clients see of segments that are merged and compacted.

use super::archive::{delete_records, flush, objects, offsets, partition, pass, put, read, read_all};
use super::world::{NOW, World, code, topic_name};
use crate::log::{FirstBatch, IsolationLevel, ReadLimit};
use crate::topic::{NewTopic, Topic};
use crate::types::{Offset, Timestamp, TopicName};
use crate::wire::ErrorCode;
use crate::wire::batch::{BatchBuilder, Codec, DecodedBatch, Header, NO_PRODUCER, split};
use crate::wire::messages::ProduceRequest;
use crate::wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use crate::wire::messages::produce_response::PartitionProduceResponse;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const BY_NAME: i16 = 12;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Key and value, each maybe none.
type KeyValue<'a> = (Option<&'a str>, Option<&'a str>);

/// A record as a consumer sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    offset: i64,
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

async fn topic(world: &World, settings: &[(&str, &str)]) -> Arc<Topic> {
    let overrides = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let name = TopicName::parse("a").expect("legal");
    let new = NewTopic { name, partitions: 1, overrides: overrides.collect() };
    world.context.catalog.create(new).await.expect("created")
}

async fn send_batch(world: &World, batch: Bytes) -> PartitionProduceResponse {
    let data = PartitionProduceData::default().with_records(Some(batch));
    let of_topic = TopicProduceData::default().with_name(topic_name("a")).with_partition_data(vec![data]);
    let request =
        ProduceRequest::default().with_transactional_id(None).with_acks(-1).with_topic_data(vec![of_topic]);
    world.ask(BY_NAME, &request).await.responses[0].partition_responses[0].clone()
}

fn batch(records: &[KeyValue<'_>]) -> Bytes {
    let mut builder = BatchBuilder::new();
    for (key, value) in records {
        builder.append(NOW, key.map(str::as_bytes), value.map(str::as_bytes), &[]);
    }
    builder.finish(Codec::None, NO_PRODUCER)
}

/// Sends records, and archives them as a segment.
async fn archive(world: &World, topic: &Topic, records: &[KeyValue<'_>]) {
    assert_eq!(code(send_batch(world, batch(records)).await.error_code), None);
    flush(world, topic).await;
}

fn seen(batches: Bytes) -> Vec<Seen> {
    let mut all = Vec::new();
    for batch in split(batches) {
        let decoded = DecodedBatch::decode(&batch.expect("whole").1, 1 << 20).expect("right");
        all.extend(decoded.records().map(|record| {
            let record = record.expect("right");
            let headers =
                record.headers.map(|header| (header.key.to_vec(), header.value.map(<[u8]>::to_vec)));
            Seen {
                offset: record.offset.get(),
                timestamp: record.timestamp.get(),
                key: record.key.map(<[u8]>::to_vec),
                value: record.value.map(<[u8]>::to_vec),
                headers: headers.collect(),
            }
        }));
    }
    all
}

/// All records, as a consumer that goes on from the log's start reads them.
async fn consume(world: &World, topic: &Topic) -> Vec<Seen> {
    let (mut at, mut all) = (partition(world, topic).ends().log_start_offset.get(), Vec::new());
    loop {
        let data = read(world, topic, at).await;
        let (_, next) = offsets(&data);
        all.extend(seen(data.records.unwrap_or_default()).into_iter().filter(|seen| seen.offset >= at));
        match next {
            Some(next) => at = next,
            None => return all,
        }
    }
}

/// From every offset a reader comes to the end, and gets what all get from there on.
async fn check_from_everywhere(world: &World, topic: &Topic) {
    let all = read_all(world, topic).await;
    let ends = partition(world, topic).ends();
    for from in ends.log_start_offset.get()..ends.high_watermark.get() {
        let (found, next) = offsets(&read(world, topic, from).await);
        let first = found.into_iter().find(|offset| *offset >= from);
        let next = next.expect("a reader before the end is told where to go on");
        assert!(next > from, "from {from} to {next}");
        let expected = all.iter().copied().find(|offset| *offset >= from);
        assert!(first == expected || first.is_none() && expected.is_none_or(|offset| offset >= next));
    }
}

fn segments(world: &World, topic: &Topic) -> Vec<(i64, i64, u8)> {
    let archived = partition(world, topic).archived().expect("something is");
    let segments = archived.manifest.segments();
    segments.map(|segment| (segment.offsets.start.get(), segment.offsets.end.get(), segment.level)).collect()
}

#[tokio::test(start_paused = true)]
async fn neighbours_become_one_segment_with_every_record_as_it_was() {
    let world = World::new().await;
    let topic = topic(&world, &[]).await;
    for number in 0..8_u8 {
        let mut builder = BatchBuilder::new();
        let twice = [Header { key: b"h", value: Some(b"1") }, Header { key: b"h", value: None }];
        builder.append(NOW, None, Some(b""), &twice);
        builder.append(NOW, Some(b""), None, &[]);
        builder.append(NOW, Some(&[number]), Some(&[0xff, number]), &[Header { key: b"", value: Some(b"") }]);
        send_batch(&world, builder.finish(Codec::Zstd, NO_PRODUCER)).await;
        if number < 7 {
            flush(&world, &topic).await;
        }
    }
    let before = consume(&world, &topic).await;
    assert_eq!(before.len(), 24);
    let log = partition(&world, &topic);
    let old_plan = log.read_plan(Offset(4), IsolationLevel::ReadUncommitted, 1 << 20).expect("in the log");
    flush(&world, &topic).await;
    pass(&world, 2).await;
    assert_eq!(segments(&world, &topic), [(0, 24, 1)]);
    assert_eq!(objects(&world, "topics/").await, 9, "readers may be at the old ones");
    assert_eq!(consume(&world, &topic).await, before);
    let limit = ReadLimit { bytes_max: 1 << 20, first_batch: FirstBatch::WhateverItsSize };
    let old = world.context.reader.read(&old_plan, limit).await.expect("the files are there");
    assert_eq!(seen(Bytes::from(old.batches.concat())), before[3..6]);
    pass(&world, 70).await;
    assert_eq!(objects(&world, "topics/").await, 1);
    assert_eq!(consume(&world, &topic).await, before);
    let metrics = &world.context.metrics.archive;
    assert_eq!((metrics.merges.get(), metrics.rewritten_raw_bytes.get()), (1, metrics.raw_bytes.get()));
}

#[tokio::test(start_paused = true)]
async fn merges_go_on_by_levels_and_over_a_restart_and_leave_alone_what_is_below_the_log_start() {
    let mut world = World::new().await;
    let topic = topic(&world, &[]).await;
    for number in 0..64 {
        archive(&world, &topic, &[(None, Some("x")), (Some("k"), Some("y"))]).await;
        if number == 40 {
            delete_records(&world, 2, 5).await;
            world.take_over().await;
        }
    }
    pass(&world, 10).await;
    let segments = segments(&world, &topic);
    assert!(segments.len() < 16, "{segments:?}");
    assert!(segments.iter().any(|(_, _, level)| *level > 0));
    assert_eq!(read_all(&world, &topic).await, (5..128).collect::<Vec<_>>());
    check_from_everywhere(&world, &topic).await;
}

#[tokio::test(start_paused = true)]
async fn a_partition_whose_segment_is_damaged_rests_and_stops_no_other() {
    let world = World::new().await;
    let (damaged, sound) = (world.create("a", 1).await, world.create("b", 1).await);
    for topic in [&damaged, &sound] {
        for _ in 0..7 {
            put(&world, topic).await;
            flush(&world, topic).await;
        }
    }
    let archived = partition(&world, &damaged).archived().expect("all");
    let segment = archived.manifest.segments().nth(3).expect("there");
    let path = archived.refer(segment).path;
    let bytes = world.store.get(&path).await.expect("there");
    let mut wrong = bytes.to_vec();
    wrong[100] ^= 1;
    world.store.put(&path, Bytes::from(wrong)).await.expect("put");
    for topic in [&damaged, &sound] {
        put(&world, topic).await;
        flush(&world, topic).await;
    }
    pass(&world, 5).await;
    assert_eq!((segments(&world, &damaged).len(), segments(&world, &sound).len()), (8, 1));
    put(&world, &damaged).await;
    flush(&world, &damaged).await;
    assert_eq!(segments(&world, &damaged).len(), 9, "it is still archived");
    world.store.put(&path, bytes).await.expect("put");
    pass(&world, 40).await;
    assert_eq!(segments(&world, &damaged), [(0, 24, 1), (24, 27, 0)]);
    assert_eq!(read_all(&world, &damaged).await, (0..27).collect::<Vec<_>>());
}

const COMPACT: (&str, &str) = ("cleanup.policy", "compact");
const EAGER: (&str, &str) = ("min.cleanable.dirty.ratio", "0.01");

/// What compaction is to leave: the last record of each key, by offset.
fn last_of_each_key(records: &[Seen]) -> Vec<Seen> {
    let last: BTreeMap<_, _> = records.iter().map(|seen| (seen.key.clone(), seen.clone())).collect();
    let mut last: Vec<Seen> = last.into_values().collect();
    last.sort_by_key(|seen| seen.offset);
    last
}

fn cleaned_up_to(world: &World, topic: &Topic) -> i64 {
    partition(world, topic).archived().expect("something is").manifest.cleaned_up_to().get()
}

#[tokio::test(start_paused = true)]
async fn each_key_keeps_its_last_record_at_its_offset_and_tombstones_go_when_their_time_has_come() {
    let mut world = World::new().await;
    let topic = topic(&world, &[COMPACT, EAGER]).await;
    archive(&world, &topic, &[(Some("a"), Some("1")), (Some("b"), Some("1")), (Some("c"), Some("1"))]).await;
    archive(&world, &topic, &[(Some("a"), Some("2")), (Some(""), Some("")), (Some("b"), None)]).await;
    archive(&world, &topic, &[(Some("a"), Some("3")), (Some("a"), Some("4"))]).await;
    let all = consume(&world, &topic).await;
    pass(&world, 12).await;
    assert_eq!(cleaned_up_to(&world, &topic), 8);
    let expected = last_of_each_key(&all);
    assert_eq!(consume(&world, &topic).await, expected);
    assert_eq!(read_all(&world, &topic).await, [2, 4, 5, 7]);
    check_from_everywhere(&world, &topic).await;
    world.take_over().await;
    assert_eq!(consume(&world, &topic).await, expected);
    world.advance(DAY - Duration::from_secs(60));
    pass(&world, 12).await;
    assert_eq!(read_all(&world, &topic).await, [2, 4, 5, 7], "the tombstone has a minute left");
    world.advance(Duration::from_secs(60));
    pass(&world, 12).await;
    assert_eq!(read_all(&world, &topic).await, [2, 4, 7]);
    check_from_everywhere(&world, &topic).await;
    // What is not archived yet stays as it is.
    send_batch(&world, batch(&[(Some("a"), None), (Some("c"), None), (Some(""), None)])).await;
    assert_eq!(read_all(&world, &topic).await, [2, 4, 7, 8, 9, 10]);
    flush(&world, &topic).await;
    pass(&world, 12).await;
    assert_eq!(read_all(&world, &topic).await, [8, 9, 10]);
    world.advance(DAY);
    pass(&world, 12).await;
    assert_eq!(read_all(&world, &topic).await, Vec::<i64>::new(), "nothing is left of it");
    check_from_everywhere(&world, &topic).await;
    world.take_over().await;
    pass(&world, 70).await;
    check_from_everywhere(&world, &topic).await;
    archive(&world, &topic, &[(Some("a"), Some("5"))]).await;
    assert_eq!(read_all(&world, &topic).await, [11]);
}

/// Many segments, each a group of its own, of which a pass changes all but the last few.
async fn world_of_groups(policy: &str) -> (World, Arc<Topic>, Vec<Seen>) {
    let world = World::with(|config| config.archive.bytes = 1).await;
    let topic =
        topic(&world, &[("cleanup.policy", policy), EAGER, ("min.compaction.lag.ms", "3600000")]).await;
    for number in 0..60 {
        let (own, value) = (format!("k{}", number % 7), number.to_string());
        archive(&world, &topic, &[(Some(&own), Some(&value)), (Some("all"), Some(&value))]).await;
    }
    let all = consume(&world, &topic).await;
    assert_eq!((all.len(), segments(&world, &topic).len()), (120, 60));
    world.advance(Duration::from_secs(3600));
    (world, topic, all)
}

/// Lets time pass until a pass of compaction has swapped some groups and not all.
async fn until_midway(world: &World, topic: &Topic) {
    for _ in 0..60 {
        let wait = Duration::from_millis(250);
        let _elapsed = tokio::time::timeout(wait, std::future::pending::<()>()).await;
        if segments(world, topic).len() < 60 {
            break;
        }
    }
    let left = segments(world, topic).len();
    assert!((20..60).contains(&left) && cleaned_up_to(world, topic) == 0, "{left} segments");
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_a_restart_breaks_off_between_two_swaps_does_no_harm() {
    let (mut world, topic, all) = world_of_groups("compact").await;
    until_midway(&world, &topic).await;
    let expected = last_of_each_key(&all);
    assert!(consume(&world, &topic).await.len() > expected.len(), "the pass is not over");
    for _ in 0..2 {
        let midway = consume(&world, &topic).await;
        assert_eq!(last_of_each_key(&midway), expected);
        world.take_over().await;
    }
    pass(&world, 20).await;
    assert_eq!(consume(&world, &topic).await, expected);
    assert_eq!(cleaned_up_to(&world, &topic), 120);
    check_from_everywhere(&world, &topic).await;
}

#[tokio::test(start_paused = true)]
async fn records_that_are_deleted_during_a_pass_stay_deleted_and_the_pass_goes_on() {
    let (world, topic, all) = world_of_groups("compact,delete").await;
    until_midway(&world, &topic).await;
    assert_eq!(delete_records(&world, 2, 117).await.low_watermark, 117);
    pass(&world, 20).await;
    let expected = last_of_each_key(&all).into_iter().filter(|seen| seen.offset >= 117).collect::<Vec<_>>();
    assert_eq!(consume(&world, &topic).await, expected);
    assert_eq!(cleaned_up_to(&world, &topic), 120);
    check_from_everywhere(&world, &topic).await;
}

#[tokio::test(start_paused = true)]
async fn young_records_are_not_compacted_and_overdue_ones_are_whatever_the_ratio() {
    let lags = [("min.compaction.lag.ms", "60000"), ("max.compaction.lag.ms", "120000")];
    let world = World::new().await;
    let topic = topic(&world, &[COMPACT, ("min.cleanable.dirty.ratio", "1"), lags[0], lags[1]]).await;
    for value in ["1", "2"] {
        archive(&world, &topic, &[(Some("a"), Some(value))]).await;
    }
    for (seconds, expected) in [(0, vec![0, 1]), (110, vec![0, 1]), (11, vec![1])] {
        world.advance(Duration::from_secs(seconds));
        pass(&world, 12).await;
        assert_eq!(read_all(&world, &topic).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn compact_and_delete_work_together_and_compact_alone_deletes_nothing_by_age() {
    for (policy, left) in [("compact", vec![1, 3]), ("compact,delete", vec![])] {
        let world = World::new().await;
        let topic = topic(&world, &[("cleanup.policy", policy), EAGER, ("retention.ms", "3600000")]).await;
        for value in ["1", "2"] {
            archive(&world, &topic, &[(Some("a"), Some(value)), (Some(value), Some("x"))]).await;
        }
        pass(&world, 12).await;
        assert_eq!(read_all(&world, &topic).await, [1, 2, 3], "{policy}");
        archive(&world, &topic, &[(Some("a"), Some("3"))]).await;
        pass(&world, 12).await;
        assert_eq!(read_all(&world, &topic).await, [1, 3, 4], "{policy}");
        world.advance(Duration::from_secs(3601));
        pass(&world, 12).await;
        let left: Vec<i64> = left.into_iter().chain((policy == "compact").then_some(4)).collect();
        assert_eq!(read_all(&world, &topic).await, left, "{policy}");
    }
}

#[tokio::test]
async fn records_whose_time_is_not_taken_are_named() {
    let world = World::new().await;
    topic(&world, &[("message.timestamp.after.max.ms", "1000")]).await;
    let now = NOW.get();
    let mut builder = BatchBuilder::new();
    for late_ms in [0, 1_001, 1_000, 5_000] {
        builder.append(Timestamp(now + late_ms), None, Some(b"v"), &[]);
    }
    let answer = send_batch(&world, builder.finish(Codec::None, NO_PRODUCER)).await;
    assert_eq!((code(answer.error_code), answer.base_offset), (Some(ErrorCode::InvalidTimestamp), -1));
    let message = "One or more records have been rejected due to invalid timestamp";
    assert_eq!(answer.error_message.as_deref(), Some(message));
    let named: Vec<_> = answer
        .record_errors
        .iter()
        .map(|record| (record.batch_index, record.batch_index_error_message.as_deref().expect("why")))
        .collect();
    let why = |index: i32, late_ms| {
        let (earliest, latest) = (i64::MIN / 1000, now + 1_000);
        let timestamp = now + late_ms;
        (
            index,
            format!(
                "Timestamp {timestamp} of message with offset {index} is out of range. The timestamp should be within \
             [{earliest}, {latest}]"
            ),
        )
    };
    let expected = [why(1, 1_001), why(3, 5_000)];
    assert_eq!(named, expected.each_ref().map(|(index, why)| (*index, why.as_str())));
}

#[tokio::test]
async fn a_compacted_topic_takes_no_record_without_a_key_and_names_those_that_have_none() {
    for policy in ["compact", "compact,delete"] {
        let world = World::new().await;
        let topic = topic(&world, &[("cleanup.policy", policy)]).await;
        let answer = send_batch(
            &world,
            batch(&[(None, None), (Some(""), None), (None, Some("x")), (Some("k"), None)]),
        )
        .await;
        assert_eq!((code(answer.error_code), answer.base_offset), (Some(ErrorCode::InvalidRecord), -1));
        let why = "Compacted topic cannot accept message without key in topic partition a-0";
        let named: Vec<_> = answer
            .record_errors
            .iter()
            .map(|record| (record.batch_index, record.batch_index_error_message.as_deref()))
            .collect();
        assert_eq!(named, [(0, Some(why)), (2, Some(why))]);
        let message = answer.error_message.as_deref().expect("a reason");
        assert_eq!(
            message,
            format!(
                "One or more records have been rejected due to 2 record errors in total, and only showing the \
                 first three errors at most: [RecordError(batchIndex=0, message='{why}'), \
                 RecordError(batchIndex=2, message='{why}')]"
            )
        );
        assert_eq!(partition(&world, &topic).ends().high_watermark, Offset::ZERO);
        assert_eq!(code(send_batch(&world, batch(&[(Some(""), None)])).await.error_code), None);
        assert_eq!(read_all(&world, &topic).await, [0]);
    }
}

/// Numbers that look random, the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// Nothing is to be seen that was not sent, and of every key what was sent last, but for tombstones.
async fn check_against(world: &World, topic: &Topic, sent: &[Seen]) {
    let log_start_offset = partition(world, topic).ends().log_start_offset.get();
    let sent: Vec<Seen> = sent.iter().filter(|seen| seen.offset >= log_start_offset).cloned().collect();
    let found = consume(world, topic).await;
    assert!(found.iter().all(|seen| sent.contains(seen)), "{found:?}");
    for last in last_of_each_key(&sent) {
        assert!(last.value.is_none() || found.contains(&last), "{last:?} is missing");
        let later = found.iter().find(|seen| seen.key == last.key && seen.offset > last.offset);
        assert_eq!(later, None);
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_each_key_has_its_last_value() {
    for seed in 1..4 {
        let mut dice = Dice(seed);
        let mut world = World::with(|config| config.archive.bytes = 100).await;
        let topic = topic(&world, &[("cleanup.policy", "compact,delete"), EAGER]).await;
        let mut sent: Vec<Seen> = Vec::new();
        for _ in 0..40 {
            match dice.below(10) {
                0..5 => {
                    let mut builder = BatchBuilder::new();
                    for _ in 0..=dice.below(6) {
                        let (key, value) = (vec![dice.below(9) as u8], vec![dice.below(250) as u8]);
                        let value = (dice.below(4) > 0).then_some(value);
                        builder.append(NOW, Some(&key), value.as_deref(), &[]);
                        let (offset, key) = (sent.len() as i64, Some(key));
                        sent.push(Seen { offset, timestamp: NOW.get(), key, value, headers: Vec::new() });
                    }
                    let answer = send_batch(&world, builder.finish(Codec::Lz4, NO_PRODUCER)).await;
                    assert_eq!(code(answer.error_code), None);
                }
                5 => world.take_over().await,
                6 => {
                    let to = dice.below(sent.len() as u64 + 1) as i64;
                    assert_eq!(code(delete_records(&world, 2, to).await.error_code), None);
                }
                7 => world.advance(Duration::from_secs(3600 * dice.below(20))),
                _ => pass(&world, dice.below(15)).await,
            }
            check_against(&world, &topic, &sent).await;
        }
        flush(&world, &topic).await;
        pass(&world, 30).await;
        check_against(&world, &topic, &sent).await;
        check_from_everywhere(&world, &topic).await;
        let found = consume(&world, &topic).await;
        assert_eq!(last_of_each_key(&found), found, "no key is there twice");
    }
}
