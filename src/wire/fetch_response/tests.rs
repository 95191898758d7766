use super::*;
use kafka_protocol::protocol::Decodable;
use proptest::prelude::*;

fn header(api_version: i16) -> RequestHeader {
    RequestHeader { api_key: 1, api_version, correlation_id: 77, client_id: None }
}

fn partition() -> impl Strategy<Value = FetchAnswerPartition> {
    let aborted = (any::<i64>(), any::<i64>())
        .prop_map(|(producer_id, first_offset)| AbortedTransaction { producer_id, first_offset });
    let aborted = proptest::option::of(proptest::collection::vec(aborted, 0..3));
    let leader = (any::<i32>(), any::<i32>())
        .prop_map(|(leader_id, leader_epoch)| CurrentLeader { leader_id, leader_epoch });
    let slice = proptest::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from);
    let records = proptest::collection::vec(slice, 0..4);
    (
        any::<i32>(),
        any::<i16>(),
        any::<[i64; 3]>(),
        aborted,
        any::<i32>(),
        proptest::option::of(leader),
        records,
    )
        .prop_map(|(index, error_code, offsets, aborted, replica, leader, records)| {
            FetchAnswerPartition {
                partition_index: index,
                error_code,
                high_watermark: offsets[0],
                last_stable_offset: offsets[1],
                log_start_offset: offsets[2],
                aborted_transactions: aborted,
                preferred_read_replica: replica,
                current_leader: leader,
                records,
            }
        })
}

fn answer() -> impl Strategy<Value = FetchAnswer> {
    let topic = ("[a-z]{0,200}", any::<u128>(), proptest::collection::vec(partition(), 0..4));
    let topic = topic.prop_map(|(name, id, partitions)| FetchAnswerTopic {
        name,
        topic_id: Uuid::from_u128(id),
        partitions,
    });
    (any::<i32>(), any::<i16>(), any::<i32>(), proptest::collection::vec(topic, 0..3)).prop_map(
        |(throttle_time_ms, error_code, session_id, topics)| FetchAnswer {
            throttle_time_ms,
            error_code,
            session_id,
            topics,
        },
    )
}

/// What `kafka_protocol` reads from the frame's bytes.
fn decode(frame: &ResponseFrame, version: i16) -> FetchResponse {
    let mut bytes = Bytes::from(frame.chunks.concat());
    assert_eq!(bytes.len(), frame.total_len());
    let length = bytes.split_to(4);
    assert_eq!(length[..], u32::try_from(bytes.len()).unwrap().to_be_bytes());
    assert_eq!(bytes.split_to(4)[..], 77_i32.to_be_bytes());
    if version >= 12 {
        assert_eq!(bytes.split_to(1)[..], [0]);
    }
    let response = FetchResponse::decode(&mut bytes, version).unwrap();
    assert!(bytes.is_empty(), "bytes after the last field");
    response
}

fn compare(answer: &FetchAnswer, response: &FetchResponse, version: i16) {
    assert_eq!(response.throttle_time_ms, answer.throttle_time_ms);
    if version >= 7 {
        assert_eq!((response.error_code, response.session_id), (answer.error_code, answer.session_id));
    }
    assert_eq!(response.responses.len(), answer.topics.len());
    for (topic, expected) in response.responses.iter().zip(&answer.topics) {
        if version >= 13 {
            assert_eq!(topic.topic_id, expected.topic_id);
        } else {
            assert_eq!(topic.topic.as_str(), expected.name);
        }
        assert_eq!(topic.partitions.len(), expected.partitions.len());
        for (partition, expected) in topic.partitions.iter().zip(&expected.partitions) {
            compare_partition(expected, partition, version);
        }
    }
}

fn compare_partition(
    expected: &FetchAnswerPartition,
    partition: &kafka_protocol::messages::fetch_response::PartitionData,
    version: i16,
) {
    assert_eq!(partition.partition_index, expected.partition_index);
    assert_eq!(partition.error_code, expected.error_code);
    assert_eq!(partition.high_watermark, expected.high_watermark);
    assert_eq!(partition.last_stable_offset, expected.last_stable_offset);
    if version >= 5 {
        assert_eq!(partition.log_start_offset, expected.log_start_offset);
    }
    let aborted = partition.aborted_transactions.as_ref().map(|aborted| {
        let read = |t: &kafka_protocol::messages::fetch_response::AbortedTransaction| AbortedTransaction {
            producer_id: t.producer_id.0,
            first_offset: t.first_offset,
        };
        aborted.iter().map(read).collect::<Vec<_>>()
    });
    assert_eq!(aborted, expected.aborted_transactions);
    if version >= 11 {
        assert_eq!(partition.preferred_read_replica.0, expected.preferred_read_replica);
    }
    let leader = expected.current_leader.filter(|_| version >= 12);
    let leader = leader.map_or((-1, -1), |leader| (leader.leader_id, leader.leader_epoch));
    assert_eq!((partition.current_leader.leader_id.0, partition.current_leader.leader_epoch), leader);
    assert_eq!(partition.records.as_deref(), Some(&expected.records.concat()[..]));
}

proptest! {
    #[test]
    fn every_version_is_read_back_by_kafka_protocol(answer in answer()) {
        for version in 4..=18 {
            let frame = answer.clone().encode(&header(version)).unwrap();
            compare(&answer, &decode(&frame, version), version);
        }
    }
}

#[test]
fn records_are_not_copied() {
    let records = Bytes::from(vec![7; 100]);
    let partition = FetchAnswerPartition {
        records: vec![records.clone(), Bytes::new()],
        ..FetchAnswerPartition::default()
    };
    let topic = FetchAnswerTopic {
        name: "t".into(),
        partitions: vec![partition.clone(), partition],
        ..Default::default()
    };
    let frame = FetchAnswer { topics: vec![topic], ..Default::default() }.encode(&header(12)).unwrap();
    assert_eq!(frame.chunks.len(), 5, "pieces and records in turn");
    assert_eq!(frame.chunks[1].as_ptr(), records.as_ptr());
    assert_eq!(frame.chunks[3].as_ptr(), records.as_ptr());
}

#[test]
fn an_answer_of_defaults_has_no_tagged_field() {
    let topic = FetchAnswerTopic { partitions: vec![FetchAnswerPartition::default()], ..Default::default() };
    let answer = FetchAnswer { topics: vec![topic], ..Default::default() };
    let frame = answer.encode(&header(16)).unwrap();
    let bytes = frame.chunks.concat();
    // Partition, topic and answer end with a count of tagged fields each, empty records come before them.
    assert_eq!(bytes[bytes.len() - 4..], [1, 0, 0, 0]);
}

#[test]
fn other_versions_are_refused() {
    for version in [-1, 0, 3, 19] {
        assert!(FetchAnswer::default().encode(&header(version)).is_err());
    }
}
