//! Bytes to requests and answers to bytes, on one thread.

#[path = "support/batches.rs"]
mod batches;

use batches::{FIRST_TIMESTAMP, KIB, MIB, batch};
use bytes::Bytes;
use cenote::wire::batch::{ProduceRules, TimestampType, validate_produced};
use cenote::wire::messages::metadata_request::MetadataRequestTopic;
use cenote::wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use cenote::wire::messages::{MetadataRequest, ProduceRequest, TopicName};
use cenote::wire::{
    FetchAnswer, FetchAnswerPartition, FetchAnswerTopic, Request, RequestHeader, StrBytes, decode_frame,
    encode_request,
};
use criterion::{BatchSize, Criterion, Throughput};
use std::hint::black_box;
use uuid::Uuid;

const PARTITIONS: i32 = 6;
const PRODUCE_VERSION: i16 = 12;
const METADATA_VERSION: i16 = 12;
const FETCH: RequestHeader =
    RequestHeader { api_key: 1, api_version: 17, correlation_id: 1, client_id: None };

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    decode_produce(&mut criterion);
    decode_metadata(&mut criterion);
    validate(&mut criterion);
    encode_fetch(&mut criterion);
    criterion.final_summary();
}

/// Header, walk and decode; the records are slices of the frame.
fn decode_produce(criterion: &mut Criterion) {
    let records = batch(16 * KIB, KIB);
    let partition =
        |index| PartitionProduceData::default().with_index(index).with_records(Some(records.clone()));
    let topic = TopicProduceData::default()
        .with_name(TopicName(StrBytes::from_static_str("flights")))
        .with_partition_data((0..PARTITIONS).map(partition).collect());
    let request =
        ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![topic]);
    let frame = frame_of(PRODUCE_VERSION, &request);
    let mut group = criterion.benchmark_group("wire/decode");
    group.bench_function("Produce, 6 partitions of 16 KiB", |bencher| {
        bencher.iter(|| decode::<ProduceRequest>(black_box(&frame)));
    });
    group.finish();
}

/// The walk is what stands before each decode. A byte too many is refused after the whole walk and before
/// anything is decoded, so that frame has the time of the walk alone.
fn decode_metadata(criterion: &mut Criterion) {
    let topic = |number| {
        let name = StrBytes::from_string(format!("a-topic-of-some-length-{number:04}"));
        MetadataRequestTopic::default().with_name(Some(TopicName(name)))
    };
    let request = MetadataRequest::default().with_topics(Some((0..1000).map(topic).collect()));
    let frame = frame_of(METADATA_VERSION, &request);
    let longer = Bytes::from([&frame[..], &[0]].concat());
    let mut group = criterion.benchmark_group("wire/decode");
    group.throughput(Throughput::Bytes(frame.len() as u64));
    group.bench_function("Metadata, 1,000 topics", |bencher| {
        bencher.iter(|| decode::<MetadataRequest>(black_box(&frame)));
    });
    group.bench_function("Metadata, 1,000 topics, the walk alone", |bencher| {
        bencher.iter(|| {
            let frame = decode_frame(black_box(&longer).clone()).expect("a whole header");
            frame.decode::<MetadataRequest>().expect_err("a byte too many")
        });
    });
    group.finish();
}

/// All that a batch must be before it is stored: its header, its CRC, every record.
fn validate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wire/validate_produced");
    for (name, bytes, value_bytes) in [
        ("16 KiB of 1 KiB records", 16 * KIB, KIB),
        ("16 KiB of 100 B records", 16 * KIB, 100),
        ("1 MiB of 1 KiB records", MIB, KIB),
        ("1 MiB of 100 B records", MIB, 100),
    ] {
        let batch = batch(bytes, value_bytes);
        group.throughput(Throughput::Bytes(batch.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| validate_produced(black_box(&batch).clone(), &rules()).expect("a right batch"));
        });
    }
    group.finish();
}

/// The settings of a new topic.
fn rules() -> ProduceRules {
    ProduceRules {
        api_version: PRODUCE_VERSION,
        batch_bytes_max: MIB + 12,
        decompressed_bytes_max: 64 * MIB,
        timestamp_type: TimestampType::CreateTime,
        before_max_ms: i64::MAX,
        after_max_ms: 3_600_000,
        now: FIRST_TIMESTAMP,
        compacted: false,
        target_codec: None,
    }
}

/// Records are not copied, so their bytes do not count.
fn encode_fetch(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wire/encode");
    for (name, partitions) in [("FetchAnswer, 6 partitions", 6), ("FetchAnswer, 1,000 partitions", 1000)] {
        let answer = fetch_answer(partitions);
        group.throughput(Throughput::Elements(u64::from(partitions.unsigned_abs())));
        group.bench_function(name, |bencher| {
            let encode = |answer: FetchAnswer| answer.encode(&FETCH).expect("a version of Fetch");
            bencher.iter_batched(|| answer.clone(), encode, BatchSize::SmallInput);
        });
    }
    group.finish();
}

fn fetch_answer(partitions: i32) -> FetchAnswer {
    let records = batch(16 * KIB, KIB);
    let partition = |index| FetchAnswerPartition {
        partition_index: index,
        high_watermark: 1_000_000,
        last_stable_offset: 1_000_000,
        log_start_offset: 0,
        records: vec![records.clone()],
        ..FetchAnswerPartition::default()
    };
    let topic = FetchAnswerTopic {
        name: String::new(),
        topic_id: Uuid::from_u128(9),
        partitions: (0..partitions).map(partition).collect(),
    };
    FetchAnswer { session_id: 1, topics: vec![topic], ..FetchAnswer::default() }
}

/// A request as the net room hands it over: without its length.
fn frame_of<R: Request>(api_version: i16, request: &R) -> Bytes {
    let client_id = Some("rdkafka".to_owned());
    let header = RequestHeader { api_key: R::KEY, api_version, correlation_id: 1, client_id };
    encode_request(&header, request).expect("a version of the request").slice(4..)
}

fn decode<R: Request + cenote::wire::Decodable>(frame: &Bytes) -> R {
    let frame = decode_frame(frame.clone()).expect("a whole header");
    frame.decode().expect("a whole request")
}
