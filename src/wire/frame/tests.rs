use super::*;
use crate::wire::StrBytes;
use crate::wire::api::ApiKey;
use crate::wire::messages;
use crate::wire::messages::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};
use crate::wire::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use crate::wire::messages::{
    ApiVersionsRequest, ApiVersionsResponse, CreateTopicsResponse, DescribeClusterResponse,
    DescribeTopicPartitionsResponse, FetchResponse, InitProducerIdResponse, MetadataRequest,
    MetadataResponse, ProduceRequest, ProduceResponse, TopicName, api_versions_response,
    create_topics_response,
};
use kafka_protocol::protocol::Message;
use proptest::prelude::*;

fn header(api_key: i16, api_version: i16) -> RequestHeader {
    RequestHeader { api_key, api_version, correlation_id: 0x0102_0304, client_id: Some("kcat".into()) }
}

/// The frame of `request` as the net room hands it over: without its length.
fn sent<R: Request>(api_version: i16, request: &R) -> Bytes {
    let mut bytes = encode_request(&header(R::KEY, api_version), request).unwrap();
    let length = bytes.split_to(4);
    assert_eq!(length[..], u32::try_from(bytes.len()).unwrap().to_be_bytes());
    bytes
}

fn hex(frame: &ResponseFrame) -> String {
    let bytes = frame.chunks.concat();
    assert_eq!(bytes.len(), frame.total_len());
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_request_is_read_back_in_every_version() {
    for version in MetadataRequest::VERSIONS.min..=MetadataRequest::VERSIONS.max {
        let request = MetadataRequest::default();
        let frame = decode_frame(sent(version, &request)).unwrap();
        assert_eq!(frame.header, header(3, version));
        assert_eq!(frame.decode::<MetadataRequest>(), Ok(request));
    }
}

#[test]
fn tagged_fields_of_the_header_are_passed_over() {
    let frame =
        [&[0, 18, 0, 3, 0, 0, 0, 9, 0xff, 0xff][..], &[2, 0, 1, 7, 5, 0], &[2, b'a', 2, b'b', 0]].concat();
    let frame = decode_frame(frame.into()).unwrap();
    assert_eq!(frame.header.client_id, None);
    let request = frame.decode::<ApiVersionsRequest>().unwrap();
    assert_eq!(request.client_software_version.as_str(), "b");
}

#[test]
fn a_frame_that_ends_within_its_header_is_refused() {
    let frame = sent(12, &MetadataRequest::default());
    let header_bytes = 2 + 2 + 4 + 2 + 4 + 1;
    for cut in 0..header_bytes {
        assert_eq!(decode_frame(frame.slice(..cut)).unwrap_err(), FrameError::Short(cut));
    }
    assert!(decode_frame(frame.slice(..header_bytes)).is_ok());
    let negative = Bytes::from_static(&[0, 3, 0, 0, 0, 0, 0, 0, 0xff, 0xfe]);
    assert_eq!(decode_frame(negative).unwrap_err(), FrameError::IllegalLength);
}

#[test]
fn an_http_request_is_an_unsupported_api() {
    let frame = decode_frame(Bytes::from_static(b"1 HTTP/1.1\r\nHost: x\r\n\r\n")).unwrap();
    assert!(!frame.header.is_supported());
}

#[test]
fn an_unsupported_request_keeps_what_the_answer_needs() {
    let frame = decode_frame(Bytes::from_static(&[0, 18, 0, 9, 1, 2, 3, 4, 0x7f])).unwrap();
    assert_eq!((frame.header.api_key, frame.header.api_version), (18, 9));
    assert_eq!(frame.header.correlation_id, 0x0102_0304);
    assert!(frame.body.is_empty());
    let error = ShapeError::Unsupported { api_key: 18, api_version: 9 };
    assert_eq!(frame.decode::<ApiVersionsRequest>(), Err(DecodeError::Shape(error)));
}

#[test]
fn an_unsupported_api_versions_is_answered_in_version_0_with_the_table() {
    let frame = ResponseFrame::unsupported_version(&header(18, 9));
    let mut bytes = Bytes::from(frame.chunks.concat()).slice(8..);
    let response = ApiVersionsResponse::decode(&mut bytes, 0).unwrap();
    assert!(bytes.is_empty());
    assert_eq!(response.error_code, 35);
    assert_eq!(response.api_keys.len(), api::SUPPORTED.len());
}

#[test]
fn another_unsupported_request_is_answered_by_the_code() {
    assert_eq!(hex(&ResponseFrame::unsupported_version(&header(0, 2))), "00000006010203040023");
}

#[test]
fn what_follows_the_last_field_is_passed_over() {
    // As librdkafka 2.16 asks for all topics.
    let bytes = b"\x00\x03\x00\x0d\x00\x00\x00\x03\x00\x07rdkafka\x00\x00\x00\x00\x00\x01\x00\x00";
    let request = decode_frame(Bytes::from_static(bytes)).unwrap().decode::<MetadataRequest>().unwrap();
    assert_eq!((request.topics, request.allow_auto_topic_creation), (None, false));
}

#[test]
fn a_body_is_not_decoded_as_another_api() {
    let frame = decode_frame(sent(0, &MetadataRequest::default())).unwrap();
    assert_eq!(frame.decode::<ProduceRequest>(), Err(DecodeError::WrongApi { got: 3, wanted: 0 }));
}

#[test]
fn text_that_is_not_utf_8_is_an_error() {
    let body = Bytes::from_static(&[0, 0, 0, 1, 0, 1, 0xff]);
    let frame = RequestFrame { header: header(3, 0), whole: body.clone(), body };
    assert!(matches!(frame.decode::<MetadataRequest>(), Err(DecodeError::Message(_))));
}

#[test]
fn records_are_slices_of_the_frame() {
    use crate::wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
    let partition = PartitionProduceData::default().with_records(Some(Bytes::from(vec![1; 100])));
    let topic = TopicProduceData::default().with_partition_data(vec![partition]);
    let bytes = sent(9, &ProduceRequest::default().with_topic_data(vec![topic]));
    let all = bytes.as_ptr_range();
    let request = decode_frame(bytes.clone()).unwrap().decode::<ProduceRequest>().unwrap();
    let records = request.topic_data[0].partition_data[0].records.as_ref().unwrap();
    assert!(all.contains(&records.as_ptr()));
}

#[test]
fn an_answer_is_read_back_by_the_client() {
    let response = InitProducerIdResponse::default().with_producer_id(7.into()).with_producer_epoch(1);
    for version in 0..=5 {
        let frame = ResponseFrame::encode(&header(22, version), &response).unwrap();
        let bytes = Bytes::from(frame.chunks.concat()).slice(4..);
        let read = decode_response::<InitProducerIdResponse>(bytes, version);
        assert_eq!(read, Ok((0x0102_0304, response.clone())));
    }
}

#[test]
fn an_answer_with_a_field_that_its_version_lacks_is_an_error() {
    let response = FetchResponse::default().with_session_id(5);
    assert!(ResponseFrame::encode(&header(1, 7), &response).is_ok());
    assert!(ResponseFrame::encode(&header(1, 6), &response).is_err());
}

/// Debian's kcat cannot read tagged fields that carry their defaults: to the byte, none is there.
#[test]
fn an_answer_of_defaults_has_no_tagged_field() {
    let prefix = |bytes: u32| format!("{bytes:08x}01020304");
    let api = api_versions_response::ApiVersion::default().with_api_key(18).with_max_version(4);
    let versions = ApiVersionsResponse::default().with_api_keys(vec![api]);
    for version in [3, 4] {
        let frame = ResponseFrame::encode(&header(18, version), &versions).unwrap();
        assert_eq!(hex(&frame), prefix(19) + "0000" + "02" + "001200000004" + "00" + "00000000" + "00");
    }

    let topic = TopicProduceResponse::default()
        .with_partition_responses(vec![PartitionProduceResponse::default()])
        .with_name(TopicName(StrBytes::from_static_str("t")));
    let produced = ProduceResponse::default().with_responses(vec![topic]);
    for version in [9, 10, 12] {
        let frame = ResponseFrame::encode(&header(0, version), &produced).unwrap();
        let partition =
            "00000000".to_owned() + "0000" + &"0".repeat(16) + &"f".repeat(32) + "01" + "00" + "00";
        assert_eq!(
            hex(&frame),
            prefix(48) + "00" + "02" + "0274" + "02" + &partition + "00" + "00000000" + "00"
        );
    }

    let partition = MetadataResponsePartition::default().with_leader_epoch(1);
    let topic = MetadataResponseTopic::default().with_name(None).with_partitions(vec![partition]);
    let metadata = MetadataResponse::default().with_topics(vec![topic]);
    let frame = ResponseFrame::encode(&header(3, 12), &metadata).unwrap();
    let partition = "0000".to_owned() + "00000000" + "00000000" + "00000001" + "010101" + "00";
    let topic = "0000".to_owned() + "00" + &"0".repeat(32) + "00" + "02" + &partition + "80000000" + "00";
    let body = "00000000".to_owned() + "01" + "00" + "ffffffff" + "02" + &topic + "00";
    assert_eq!(hex(&frame)[16..], "00".to_owned() + &body);
}

#[test]
fn the_small_answers_of_defaults_end_without_tagged_fields() {
    let cluster = ResponseFrame::encode(&header(60, 0), &DescribeClusterResponse::default()).unwrap();
    let expected = "00000000".to_owned() + "0000" + "00" + "01" + "ffffffff" + "01" + "80000000" + "00";
    assert_eq!(hex(&cluster)[16..], "00".to_owned() + &expected);

    let partitions = DescribeTopicPartitionsResponse::default();
    let frame = ResponseFrame::encode(&header(75, 0), &partitions).unwrap();
    assert_eq!(hex(&frame)[16..], "00".to_owned() + "00000000" + "01" + "ff" + "00");

    let topic = create_topics_response::CreatableTopicResult::default().with_configs(Some(Vec::new()));
    let created = CreateTopicsResponse::default().with_topics(vec![topic]);
    let frame = ResponseFrame::encode(&header(19, 5), &created).unwrap();
    let topic = "01".to_owned() + "0000" + "01" + "ffffffff" + "ffff" + "01" + "00";
    assert_eq!(hex(&frame)[16..], "00".to_owned() + "00000000" + "02" + &topic + "00");
}

/// The length is counted before the bytes are written: the two must agree. None of these has a tagged field.
fn is_bare<R>(api_key: ApiKey)
where
    R: Encodable + Decodable + HeaderVersion + Message + Default + PartialEq + std::fmt::Debug,
{
    for version in R::VERSIONS.min..=R::VERSIONS.max {
        let frame = ResponseFrame::encode(&header(api_key.code(), version), &R::default()).unwrap();
        let bytes = Bytes::from(frame.chunks.concat());
        assert_eq!(
            bytes[..4],
            u32::try_from(bytes.len() - 4).unwrap().to_be_bytes(),
            "{api_key:?} {version}"
        );
        if R::header_version(version) == 1 {
            assert_eq!(bytes.last(), Some(&0), "{api_key:?} {version}");
        }
        let read = decode_response::<R>(bytes.slice(4..), version);
        assert_eq!(read, Ok((0x0102_0304, R::default())), "{api_key:?} {version}");
    }
}

#[test]
fn the_answers_of_groups_transactions_and_share_groups_are_as_long_as_they_say() {
    is_bare::<messages::OffsetCommitResponse>(ApiKey::OffsetCommit);
    is_bare::<messages::OffsetFetchResponse>(ApiKey::OffsetFetch);
    is_bare::<messages::FindCoordinatorResponse>(ApiKey::FindCoordinator);
    is_bare::<messages::JoinGroupResponse>(ApiKey::JoinGroup);
    is_bare::<messages::HeartbeatResponse>(ApiKey::Heartbeat);
    is_bare::<messages::LeaveGroupResponse>(ApiKey::LeaveGroup);
    is_bare::<messages::SyncGroupResponse>(ApiKey::SyncGroup);
    is_bare::<messages::DescribeGroupsResponse>(ApiKey::DescribeGroups);
    is_bare::<messages::ListGroupsResponse>(ApiKey::ListGroups);
    is_bare::<messages::AddPartitionsToTxnResponse>(ApiKey::AddPartitionsToTxn);
    is_bare::<messages::AddOffsetsToTxnResponse>(ApiKey::AddOffsetsToTxn);
    is_bare::<messages::EndTxnResponse>(ApiKey::EndTxn);
    is_bare::<messages::WriteTxnMarkersResponse>(ApiKey::WriteTxnMarkers);
    is_bare::<messages::TxnOffsetCommitResponse>(ApiKey::TxnOffsetCommit);
    is_bare::<messages::DeleteGroupsResponse>(ApiKey::DeleteGroups);
    is_bare::<messages::OffsetDeleteResponse>(ApiKey::OffsetDelete);
    is_bare::<messages::DescribeTransactionsResponse>(ApiKey::DescribeTransactions);
    is_bare::<messages::ListTransactionsResponse>(ApiKey::ListTransactions);
    is_bare::<messages::ConsumerGroupHeartbeatResponse>(ApiKey::ConsumerGroupHeartbeat);
    is_bare::<messages::ConsumerGroupDescribeResponse>(ApiKey::ConsumerGroupDescribe);
    is_bare::<messages::ListConfigResourcesResponse>(ApiKey::ListConfigResources);
    is_bare::<messages::ShareGroupHeartbeatResponse>(ApiKey::ShareGroupHeartbeat);
    is_bare::<messages::ShareGroupDescribeResponse>(ApiKey::ShareGroupDescribe);
    is_bare::<messages::ShareFetchResponse>(ApiKey::ShareFetch);
    is_bare::<messages::ShareAcknowledgeResponse>(ApiKey::ShareAcknowledge);
    is_bare::<messages::DescribeShareGroupOffsetsResponse>(ApiKey::DescribeShareGroupOffsets);
    is_bare::<messages::AlterShareGroupOffsetsResponse>(ApiKey::AlterShareGroupOffsets);
    is_bare::<messages::DeleteShareGroupOffsetsResponse>(ApiKey::DeleteShareGroupOffsets);
}

proptest! {
    #[test]
    fn random_frames_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(frame) = decode_frame(bytes.into()) {
            let _ = frame.decode::<MetadataRequest>();
        }
    }

    #[test]
    fn random_metadata_requests_never_panic(version in 0i16..=13, rest in proptest::collection::vec(any::<u8>(), 0..60)) {
        let bytes = [&[0, 3][..], &version.to_be_bytes(), &[0, 0, 0, 1, 0xff, 0xff], &rest].concat();
        if let Ok(frame) = decode_frame(bytes.into()) {
            let _ = frame.decode::<MetadataRequest>();
        }
    }
}
