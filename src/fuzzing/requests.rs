//! A frame of a client, without its length: any API in any version that is advertised.

use crate::wire::api::ApiKey;
use crate::wire::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, AlterConfigsRequest, AlterShareGroupOffsetsRequest,
    ApiVersionsRequest, ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, CreatePartitionsRequest,
    CreateTopicsRequest, DeleteGroupsRequest, DeleteRecordsRequest, DeleteShareGroupOffsetsRequest,
    DeleteTopicsRequest, DescribeClusterRequest, DescribeConfigsRequest, DescribeGroupsRequest,
    DescribeLogDirsRequest, DescribeProducersRequest, DescribeShareGroupOffsetsRequest,
    DescribeTopicPartitionsRequest, DescribeTransactionsRequest, EndTxnRequest, FetchRequest,
    FindCoordinatorRequest, HeartbeatRequest, IncrementalAlterConfigsRequest, InitProducerIdRequest,
    JoinGroupRequest, LeaveGroupRequest, ListConfigResourcesRequest, ListGroupsRequest, ListOffsetsRequest,
    ListTransactionsRequest, MetadataRequest, OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest,
    OffsetForLeaderEpochRequest, ProduceRequest, ShareAcknowledgeRequest, ShareFetchRequest,
    ShareGroupDescribeRequest, ShareGroupHeartbeatRequest, SyncGroupRequest, TxnOffsetCommitRequest,
};
use crate::wire::{
    Decodable, DecodeError, Encodable, Request, RequestFrame, RequestHeader, decode_frame, decode_response,
    encode_request,
};
use bytes::Bytes;
use std::fmt::Debug;

/// Reads the header, and the body as what the header says.
pub(super) fn check(bytes: &[u8]) {
    if let Ok(frame) = decode_frame(Bytes::copy_from_slice(bytes)) {
        assert_eq!(frame.whole, bytes, "what is sent on to another broker is what came");
        assert!(bytes.ends_with(&frame.body));
        if frame.header.is_supported() {
            assert!(check_body(&frame), "{:?} has a decoder here", frame.header);
        }
    }
}

macro_rules! requests {
    ($($api_key:ident $request:ident),* $(,)?) => {
        /// Whether there is a decoder for it.
        pub(super) fn check_body(frame: &RequestFrame) -> bool {
            match ApiKey::from_code(frame.header.api_key) {
                $(Some(ApiKey::$api_key) => check_as::<$request>(frame),)*
                Some(ApiKey::WriteTxnMarkers) | None => return false,
            }
            true
        }

        /// Sees that an answer is what the request's version has.
        pub(super) fn check_answer(request: &RequestHeader, answer: Bytes) {
            match ApiKey::from_code(request.api_key) {
                $(Some(ApiKey::$api_key) => answer_as::<$request>(request, answer),)*
                Some(ApiKey::WriteTxnMarkers) | None => {}
            }
        }
    };
}

requests!(
    Produce ProduceRequest,
    Fetch FetchRequest,
    ListOffsets ListOffsetsRequest,
    Metadata MetadataRequest,
    OffsetCommit OffsetCommitRequest,
    OffsetFetch OffsetFetchRequest,
    FindCoordinator FindCoordinatorRequest,
    JoinGroup JoinGroupRequest,
    Heartbeat HeartbeatRequest,
    LeaveGroup LeaveGroupRequest,
    SyncGroup SyncGroupRequest,
    DescribeGroups DescribeGroupsRequest,
    ListGroups ListGroupsRequest,
    ApiVersions ApiVersionsRequest,
    CreateTopics CreateTopicsRequest,
    DeleteTopics DeleteTopicsRequest,
    DeleteRecords DeleteRecordsRequest,
    InitProducerId InitProducerIdRequest,
    OffsetForLeaderEpoch OffsetForLeaderEpochRequest,
    AddPartitionsToTxn AddPartitionsToTxnRequest,
    AddOffsetsToTxn AddOffsetsToTxnRequest,
    EndTxn EndTxnRequest,
    TxnOffsetCommit TxnOffsetCommitRequest,
    DescribeConfigs DescribeConfigsRequest,
    AlterConfigs AlterConfigsRequest,
    DescribeLogDirs DescribeLogDirsRequest,
    CreatePartitions CreatePartitionsRequest,
    DeleteGroups DeleteGroupsRequest,
    IncrementalAlterConfigs IncrementalAlterConfigsRequest,
    OffsetDelete OffsetDeleteRequest,
    DescribeCluster DescribeClusterRequest,
    DescribeProducers DescribeProducersRequest,
    DescribeTransactions DescribeTransactionsRequest,
    ListTransactions ListTransactionsRequest,
    ConsumerGroupHeartbeat ConsumerGroupHeartbeatRequest,
    ConsumerGroupDescribe ConsumerGroupDescribeRequest,
    ListConfigResources ListConfigResourcesRequest,
    DescribeTopicPartitions DescribeTopicPartitionsRequest,
    ShareGroupHeartbeat ShareGroupHeartbeatRequest,
    ShareGroupDescribe ShareGroupDescribeRequest,
    ShareFetch ShareFetchRequest,
    ShareAcknowledge ShareAcknowledgeRequest,
    DescribeShareGroupOffsets DescribeShareGroupOffsetsRequest,
    AlterShareGroupOffsets AlterShareGroupOffsetsRequest,
    DeleteShareGroupOffsets DeleteShareGroupOffsetsRequest,
);

/// What was read is written again and read again. What the walk lets through is decoded, but for text that is none.
fn check_as<R: Decodable + Encodable + Request + PartialEq + Debug>(frame: &RequestFrame) {
    let request = match frame.decode::<R>() {
        Ok(request) => request,
        Err(DecodeError::Shape(_)) => return,
        Err(DecodeError::Message(reason)) if reason.contains("utf-8") => return,
        Err(error) => panic!("{:?} passed the walk: {error}", frame.header),
    };
    let header = RequestHeader { client_id: None, ..frame.header.clone() };
    let written = encode_request(&header, &request).expect("what was read can be written");
    let again = decode_frame(written.slice(4..)).expect("a header just written");
    assert_eq!(again.decode::<R>().as_ref(), Ok(&request));
}

fn answer_as<R: Request>(request: &RequestHeader, answer: Bytes) {
    let read = decode_response::<R::Response>(answer, request.api_version);
    let (correlation_id, _) = read.unwrap_or_else(|error| panic!("the answer to {request:?}: {error}"));
    assert_eq!(correlation_id, request.correlation_id);
}
