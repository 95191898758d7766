//! The corpus in the tree, `fuzz/seeds/<target>/`: what the encoders write, and what was found.
//!
//! `CENOTE_FUZZ_SEEDS=write cargo test --lib seeds` writes the files again, after a change of an encoder. Those whose names
//! begin with `found-` once broke a promise; they stay as they are.

use super::TARGETS;
use super::connection::ORDERS;
use super::metadata::KINDS;
use crate::meta::keys::{cluster, journal_starts, journals, producer_ids, sessions, view};
use crate::segment::manifest::{ManifestPointer, ObjectRef};
use crate::types::{
    BrokerId, ClusterId, MergeNumber, Offset, ProducerEpoch, ProducerId, SessionId, Timestamp, Verdict,
    ViewNumber,
};
use crate::wire::batch::{BatchBuilder, Codec, EndMarker, Header, NO_PRODUCER, ProducerStamp};
use crate::wire::messages::{self, GroupId, TransactionalId};
use crate::wire::{Request, RequestHeader, StrBytes, encode_request, private, samples};
use crate::{client, group, journal, log, mesh, peers, segment, store, topic, txn};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Below `fuzz`.
pub(super) const SEEDS: &str = "seeds";
const FOUND: &str = "found-";

/// Inputs of a target by the names of their files.
type Seeds = BTreeMap<String, Vec<u8>>;

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(SEEDS).join(target)
}

/// All that is in the tree.
pub(super) fn read_seeds(target: &str) -> Seeds {
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.expect("a readable entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        (name, std::fs::read(&path).expect("a readable seed"))
    };
    std::fs::read_dir(folder(target)).expect("every target has seeds in the tree").map(read).collect()
}

#[test]
fn the_seeds_are_what_is_written_today() {
    for target in &TARGETS {
        let seeds = made(target.name);
        if std::env::var("CENOTE_FUZZ_SEEDS").is_ok_and(|given| given == "write") {
            write(target.name, &seeds);
        }
        let mut there = read_seeds(target.name);
        there.retain(|name, _| !name.starts_with(FOUND));
        let differs = seeds.iter().find(|(name, bytes)| there.get(*name) != Some(bytes));
        let stale = there.keys().find(|name| !seeds.contains_key(*name));
        if let Some(name) = differs.map(|(name, _)| name).or(stale) {
            panic!("{}/{name}: CENOTE_FUZZ_SEEDS=write cargo test --lib seeds", target.name);
        }
    }
}

/// Puts them in the place of those that are there, but for what was found.
fn write(target: &str, seeds: &Seeds) {
    std::fs::create_dir_all(folder(target)).expect("the folder can be made");
    for stale in read_seeds(target).into_keys().filter(|name| !name.starts_with(FOUND)) {
        std::fs::remove_file(folder(target).join(stale)).expect("it was there");
    }
    for (name, bytes) in seeds {
        std::fs::write(folder(target).join(name), bytes).expect("the folder takes files");
    }
}

/// What the encoders write.
fn made(target: &str) -> Seeds {
    let [objects, indexes] = journal::fuzzing::seeds();
    match target {
        "frames" => frames(),
        "requests" => requests(),
        "batches" => batches(),
        "connection" => connections(),
        "journal_object" => numbered(objects),
        "journal_index" => numbered(indexes),
        "manifest" => numbered(segment::manifest::fuzzing::seeds()),
        "segment" => numbered(segment::fuzzing::seeds()),
        "metadata" => metadata(),
        "subscriptions" => subscriptions(),
        "mesh" => between_brokers(),
        other => panic!("{other} has no seeds"),
    }
}

fn numbered(seeds: impl IntoIterator<Item = impl Into<Vec<u8>>>) -> Seeds {
    (1..).zip(seeds).map(|(number, bytes): (u32, _)| (number.to_string(), bytes.into())).collect()
}

/// A request with its length before it.
fn request<R: Request>(version: i16, request: &R) -> Bytes {
    let client_id = Some("fuzz".to_owned());
    let header = RequestHeader { api_key: R::KEY, api_version: version, correlation_id: 7, client_id };
    encode_request(&header, request).expect("it sets only what the version has")
}

fn frames() -> Seeds {
    let some = [
        request(4, &messages::ApiVersionsRequest::default()),
        request(1, &messages::MetadataRequest::default().with_topics(None)),
        request(0, &messages::DeleteGroupsRequest::default()),
    ];
    let long = [&[0, 0x11, 0, 1][..], &[0; 300]].concat();
    let streams = [some.concat(), b"GET / HTTP/1.1".to_vec(), vec![0x16, 3, 1, 0, 200, 1], long];
    let in_pieces = |pieces: u8| streams.iter().map(move |stream| [&[pieces], &stream[..]].concat());
    numbered(in_pieces(0).chain(in_pieces(255)))
}

/// Of each API the oldest and the newest version, and where lengths become compact the two at the change; with all fields set.
fn requests() -> Seeds {
    let mut seeds = Seeds::new();
    let samples = samples();
    for (index, sample) in samples.iter().enumerate() {
        let same = |other: &&crate::wire::Sample| other.api_key == sample.api_key;
        let of_next = samples[index + 1..].iter().find(same);
        if of_next.is_some_and(|next| next.version == sample.version) {
            continue;
        }
        let versions = samples.iter().filter(same).map(|other| other.version);
        let (oldest, newest) = (versions.clone().min(), versions.max());
        let here = sample.is_flexible(sample.version);
        let is_at_change =
            [sample.version - 1, sample.version + 1].iter().any(|next| sample.is_flexible(*next) != here);
        if Some(sample.version) == oldest || Some(sample.version) == newest || is_at_change {
            seeds.insert(format!("{:02}-{:02}", sample.api_key, sample.version), sample.frame());
        }
    }
    seeds
}

const IDEMPOTENT: ProducerStamp = ProducerStamp {
    producer_id: ProducerId(0),
    producer_epoch: ProducerEpoch(0),
    base_sequence: 0,
    transactional: false,
};

/// A batch with all that a record may have.
fn batch(codec: Codec, producer: ProducerStamp) -> Bytes {
    let mut builder = BatchBuilder::new();
    let headers = [Header { key: b"trace", value: Some(b"abc") }, Header { key: b"none", value: None }];
    builder.append(Timestamp(1_700_000_000_000), Some(b"key"), Some(b"the same words again"), &headers);
    builder.append(Timestamp(1_699_999_999_000), Some(b"key"), None, &[]);
    builder.append(
        Timestamp(1_700_000_000_001),
        None,
        Some(b"the same words again and again"),
        &headers[..1],
    );
    builder.finish(codec, producer)
}

fn batches() -> Seeds {
    let mut seeds = Seeds::new();
    for (number, codec) in (0_u8..).zip(Codec::ALL) {
        let (plain, of_producer) = (batch(codec, NO_PRODUCER), batch(codec, IDEMPOTENT));
        seeds.insert(format!("{}-into-itself", codec.name()), [&[0x08 | number], &plain[..]].concat());
        seeds.insert(format!("{}-as-it-came", codec.name()), [&[0x0f], &of_producer[..]].concat());
    }
    let marker = EndMarker {
        producer_id: ProducerId(7),
        producer_epoch: ProducerEpoch(1),
        verdict: Verdict::Commit,
        coordinator_view: ViewNumber(3),
    };
    seeds.insert("marker".to_owned(), [&[0x0f], &marker.encode(Timestamp(5))[..]].concat());
    seeds
}

fn metadata() -> Seeds {
    let session = SessionId(Uuid::from_u128(0x0123_4567));
    let number = MergeNumber { view: ViewNumber(7), attempt: 3 };
    let merged = vec![journal_starts::MergedObject { number, bytes: 52_000, puts: 500_000_000 }];
    let listener = sessions::Listener {
        name: "public".into(),
        host: "b1".into(),
        port: 9092,
        security: "SASL_SSL".into(),
    };
    let standing = sessions::Session {
        zone: Some("eu-1a".into()),
        weight: 2,
        listeners: vec![listener],
        mesh: Some("10.0.0.1:9191".into()),
        ..sessions::Session::new(BrokerId(1), ViewNumber(7), 5)
    };
    let member =
        view::Member { zone: Some("eu-1a".into()), weight: 2, ..view::Member::new(session, BrokerId(1)) };
    let earlier = vec![
        view::EarlierView {
            first: Some(ViewNumber(3)),
            number: ViewNumber(5),
            members: vec![member.clone()],
        },
        view::EarlierView { first: None, number: ViewNumber(6), members: vec![] },
    ];
    let view = view::View { earlier, ..view::View::new(ViewNumber(7), vec![member]) };
    let root = ObjectRef { id: Uuid::from_u128(0xabc), bytes: 4096, crc32c: 0x0a1b_2c3d };
    let pointer =
        ManifestPointer { root: Some(root), log_start_offset: Offset(7), archived_offset: Offset(900) };
    let mut values = vec![
        ("key", Bytes::from(sessions::key(session))),
        ("key", Bytes::from_static(b"drained/7")),
        ("key", Bytes::from_static(b"manifests/0123456789abcdef0123456789abcdef/3")),
        ("key", Bytes::from_static(b"groups/a%2fb")),
        ("cluster", cluster::Cluster { cluster_id: ClusterId(Uuid::from_u128(5)) }.encode()),
        ("journal-starts", journal_starts::JournalStart { first: 12, merged }.encode()),
        ("journals", journals::Journal { committed: 12, final_seq: Some(12) }.encode()),
        ("producer-ids", producer_ids::ProducerIds { next: 2_000 }.encode()),
        ("sessions", standing.encode()),
        ("view", view.encode()),
        ("manifests", pointer.encode()),
        ("transactions", txn::fuzzing::stored_seed()),
        ("cluster-marker", store::fuzzing::seed().into()),
    ];
    values.extend(topic::fuzzing::seeds());
    values.extend(group::fuzzing::stored_seeds());
    let mut seeds = Seeds::new();
    for (name, value) in values {
        let kind = KINDS.iter().position(|(known, _)| *known == name).unwrap_or(KINDS.len());
        let same =
            seeds.keys().filter(|key: &&String| key.rsplit_once('-').is_some_and(|(key, _)| key == name));
        let number = same.count() + 1;
        seeds.insert(format!("{name}-{number}"), [&[u8::try_from(kind).expect("few")], &value[..]].concat());
    }
    seeds
}

fn subscriptions() -> Seeds {
    // A subscription of version 3, as Java writes it: owned partitions, generation, rack.
    let newest = b"\0\x03\0\0\0\x01\0\x01a\0\0\0\x02ud\0\0\0\x01\0\x01a\0\0\0\x02\0\0\0\0\0\0\0\x01\0\0\0\x05\0\x05eu-1a";
    let [subscription, assignment] = client::fuzzing::seeds();
    numbered([subscription.to_vec(), assignment.to_vec(), newest.to_vec()])
}

fn between_brokers() -> Seeds {
    let [preamble, hello] = mesh::fuzzing::seeds();
    let header = RequestHeader { api_key: 0x4000, api_version: 0, correlation_id: 7, client_id: None };
    let answered = private::PrivateAnswer::Served(Bytes::from_static(b"answer"));
    let answered = private::encode_answer(&header, answered).chunks.concat().split_off(4);
    let [wanted, directions] = log::fuzzing::seeds();
    let ids = [(0, preamble), (1, hello), (2, answered), (5, peers::fuzzing::seed())];
    let of_txn = txn::fuzzing::remote_seeds().into_iter().map(|bytes| (3, bytes.to_vec()));
    let of_groups = group::fuzzing::remote_seeds().into_iter().map(|bytes| (4, bytes.to_vec()));
    let all = ids.into_iter().chain(of_txn).chain(of_groups);
    let all = all.chain([(6, wanted.to_vec()), (7, directions.to_vec())]);
    numbered(all.map(|(kind, bytes): (u8, Vec<u8>)| [&[kind], &bytes[..]].concat()))
}

/// What clients say one after another.
fn connections() -> Seeds {
    let all = [
        ("produce-and-fetch", produce_and_fetch()),
        ("transaction", transaction()),
        ("classic-group", classic_group()),
        ("consumer-group", consumer_group()),
        ("share-group", share_group()),
    ];
    let mut seeds: Seeds = all.into_iter().map(|(name, frames)| (name.to_owned(), script(&frames))).collect();
    // And one request of everything else, whatever it is about.
    for (number, some) in (1..).zip(newest_samples().chunks(8)) {
        seeds.insert(format!("others-{number}"), script(some));
    }
    seeds
}

/// Frames as the target `connection` takes them; each gets a number of its own.
fn script(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut script = Vec::new();
    for (number, frame) in (1_i32..).zip(frames) {
        script.extend_from_slice(&u16::try_from(frame.len()).expect("a short frame").to_be_bytes());
        let start = script.len();
        script.extend_from_slice(frame);
        script[start + 4..start + 8].copy_from_slice(&number.to_be_bytes());
    }
    script
}

fn newest_samples() -> Vec<Vec<u8>> {
    let mut newest = BTreeMap::new();
    for sample in
        samples().into_iter().filter(|sample| crate::wire::api::is_supported(sample.api_key, sample.version))
    {
        newest.insert(sample.api_key, sample.frame());
    }
    newest.into_values().collect()
}

fn frame<R: Request>(version: i16, of: &R) -> Vec<u8> {
    request(version, of).slice(4..).to_vec()
}

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

fn orders() -> messages::TopicName {
    messages::TopicName(text("orders"))
}

fn produce(records: Bytes, transactional_id: Option<&'static str>) -> Vec<u8> {
    use messages::produce_request::{PartitionProduceData, TopicProduceData};
    let partition = PartitionProduceData::default().with_index(0).with_records(Some(records));
    let topic = TopicProduceData::default().with_name(orders()).with_partition_data(vec![partition]);
    let request = messages::ProduceRequest::default().with_acks(-1).with_timeout_ms(1_000);
    let request = request.with_transactional_id(transactional_id.map(|id| TransactionalId(text(id))));
    frame(12, &request.with_topic_data(vec![topic]))
}

fn fetch(isolation_level: i8) -> Vec<u8> {
    use messages::fetch_request::{FetchPartition, FetchTopic};
    let partition = FetchPartition::default().with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default().with_topic_id(ORDERS).with_partitions(vec![partition]);
    let request =
        messages::FetchRequest::default().with_max_wait_ms(100).with_min_bytes(1).with_max_bytes(1 << 20);
    let request = request.with_session_epoch(-1).with_isolation_level(isolation_level);
    frame(17, &request.with_topics(vec![topic]))
}

fn produce_and_fetch() -> Vec<Vec<u8>> {
    use messages::create_topics_request::CreatableTopic;
    use messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
    let new = CreatableTopic::default().with_name(messages::TopicName(text("new"))).with_num_partitions(2);
    let new = messages::CreateTopicsRequest::default()
        .with_topics(vec![new.with_replication_factor(1)])
        .with_timeout_ms(1_000);
    let latest = ListOffsetsPartition::default().with_timestamp(-3).with_current_leader_epoch(-1);
    let latest = ListOffsetsTopic::default().with_name(orders()).with_partitions(vec![latest]);
    vec![
        frame(4, &messages::ApiVersionsRequest::default()),
        frame(7, &new),
        frame(12, &messages::MetadataRequest::default().with_topics(None)),
        produce(batch(Codec::Lz4, NO_PRODUCER), None),
        produce(batch(Codec::None, NO_PRODUCER), None),
        fetch(0),
        frame(9, &messages::ListOffsetsRequest::default().with_topics(vec![latest])),
    ]
}

fn transaction() -> Vec<Vec<u8>> {
    use messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
    use messages::txn_offset_commit_request::{TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic};
    let (id, group_id) = (TransactionalId(text("txn")), GroupId(text("readers")));
    let init = messages::InitProducerIdRequest::default()
        .with_transactional_id(Some(id.clone()))
        .with_transaction_timeout_ms(60_000)
        .with_producer_id((-1).into())
        .with_producer_epoch(-1);
    let topic = AddPartitionsToTxnTopic::default().with_name(orders()).with_partitions(vec![0]);
    let add = messages::AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(id.clone())
        .with_v3_and_below_topics(vec![topic]);
    let add_offsets = messages::AddOffsetsToTxnRequest::default()
        .with_transactional_id(id.clone())
        .with_group_id(group_id.clone());
    let offset = TxnOffsetCommitRequestPartition::default().with_committed_offset(3);
    let offsets = TxnOffsetCommitRequestTopic::default().with_name(orders()).with_partitions(vec![offset]);
    let commit = messages::TxnOffsetCommitRequest::default()
        .with_transactional_id(id.clone())
        .with_group_id(group_id)
        .with_topics(vec![offsets]);
    let end = messages::EndTxnRequest::default().with_transactional_id(id).with_committed(true);
    vec![
        frame(5, &init),
        frame(3, &add),
        produce(batch(Codec::Zstd, ProducerStamp { transactional: true, ..IDEMPOTENT }), Some("txn")),
        frame(3, &add_offsets),
        frame(3, &commit),
        frame(4, &end),
        fetch(1),
        frame(2, &messages::ListTransactionsRequest::default()),
    ]
}

fn classic_group() -> Vec<Vec<u8>> {
    use messages::join_group_request::JoinGroupRequestProtocol;
    use messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
    let group_id = GroupId(text("readers"));
    let [subscription, _] = client::fuzzing::seeds();
    let protocol = JoinGroupRequestProtocol::default().with_name(text("range")).with_metadata(subscription);
    let join = messages::JoinGroupRequest::default()
        .with_group_id(group_id.clone())
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(20_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol]);
    let offset = OffsetCommitRequestPartition::default().with_committed_offset(3);
    let offsets = OffsetCommitRequestTopic::default().with_name(orders()).with_partitions(vec![offset]);
    let commit = messages::OffsetCommitRequest::default()
        .with_group_id(group_id.clone())
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![offsets]);
    let fetch = messages::OffsetFetchRequest::default().with_group_id(group_id.clone()).with_topics(None);
    vec![
        frame(4, &messages::FindCoordinatorRequest::default().with_coordinator_keys(vec![text("readers")])),
        frame(3, &join),
        frame(7, &commit),
        frame(7, &fetch),
        frame(5, &messages::DescribeGroupsRequest::default().with_groups(vec![group_id.clone()])),
        frame(5, &messages::ListGroupsRequest::default()),
        frame(2, &messages::DeleteGroupsRequest::default().with_groups_names(vec![group_id])),
    ]
}

fn consumer_group() -> Vec<Vec<u8>> {
    let beat = messages::ConsumerGroupHeartbeatRequest::default()
        .with_group_id(GroupId(text("new")))
        .with_member_id(text("member-1"));
    let join = beat
        .clone()
        .with_rebalance_timeout_ms(60_000)
        .with_subscribed_topic_names(Some(vec![orders()]))
        .with_subscribed_topic_regex(Some(text("or.*")))
        .with_topic_partitions(Some(Vec::new()));
    let describe =
        messages::ConsumerGroupDescribeRequest::default().with_group_ids(vec![GroupId(text("new"))]);
    vec![
        frame(1, &join),
        frame(1, &beat.clone().with_member_epoch(1)),
        frame(1, &describe),
        frame(1, &beat.with_member_epoch(-1)),
    ]
}

fn share_group() -> Vec<Vec<u8>> {
    use messages::share_acknowledge_request::{AcknowledgePartition, AcknowledgeTopic, AcknowledgementBatch};
    use messages::share_fetch_request::{FetchPartition, FetchTopic};
    let (group_id, member_id) = (GroupId(text("shared")), text("member-1"));
    let beat = messages::ShareGroupHeartbeatRequest::default()
        .with_group_id(group_id.clone())
        .with_member_id(member_id.clone());
    let join = beat.clone().with_subscribed_topic_names(Some(vec![orders()]));
    let topic = FetchTopic::default().with_topic_id(ORDERS).with_partitions(vec![FetchPartition::default()]);
    let fetch = messages::ShareFetchRequest::default()
        .with_group_id(Some(group_id.clone()))
        .with_member_id(Some(member_id.clone()))
        .with_max_wait_ms(100)
        .with_max_bytes(1 << 20)
        .with_max_records(10)
        .with_batch_size(10)
        .with_topics(vec![topic]);
    let again = fetch.clone().with_share_session_epoch(1);
    let batch = AcknowledgementBatch::default().with_last_offset(1).with_acknowledge_types(vec![1]);
    let partition = AcknowledgePartition::default().with_acknowledgement_batches(vec![batch]);
    let topic = AcknowledgeTopic::default().with_topic_id(ORDERS).with_partitions(vec![partition]);
    let acknowledge = messages::ShareAcknowledgeRequest::default()
        .with_group_id(Some(group_id.clone()))
        .with_member_id(Some(member_id))
        .with_share_session_epoch(2)
        .with_topics(vec![topic]);
    vec![
        frame(1, &join),
        frame(1, &fetch),
        produce(batch_of_two(), None),
        frame(1, &again),
        frame(1, &acknowledge),
        frame(1, &messages::ShareGroupDescribeRequest::default().with_group_ids(vec![group_id])),
        frame(1, &beat.with_member_epoch(-1)),
    ]
}

fn batch_of_two() -> Bytes {
    let mut builder = BatchBuilder::new();
    for value in [b"one", b"two"] {
        builder.append(Timestamp(1_700_000_000_000), None, Some(value), &[]);
    }
    builder.finish(Codec::None, NO_PRODUCER)
}
