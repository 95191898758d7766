//! Requests that are no requests of ours, and those that are answered without topics.

use super::super::Admitted;
use super::versions::produce;
use super::world::{World, answered, code, decode, frame_of, text};
use crate::wire::ErrorCode;
use crate::wire::api::SUPPORTED;
use crate::wire::messages::{
    ApiVersionsRequest, ApiVersionsResponse, DescribeClusterRequest, InitProducerIdRequest, MetadataRequest,
};
use bytes::{BufMut, Bytes, BytesMut};

fn header(api_key: i16, version: i16, rest: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_i16(api_key);
    frame.put_i16(version);
    frame.put_i32(77);
    frame.put_slice(rest);
    frame.freeze()
}

#[tokio::test]
async fn an_unsupported_key_or_version_is_answered_with_the_code_alone() {
    let world = World::new().await;
    for (api_key, version) in [(999, 0), (4, 0), (3, 99), (1, 3), (0, 2), (0, 14), (-1, 0), (3, -1)] {
        let answer = answered(world.admit_frame(header(api_key, version, b"anything")).await).await;
        assert_eq!(answer, [0, 0, 0, 77, 0, 35].as_slice(), "{api_key} {version}");
    }
}

#[tokio::test]
async fn an_unsupported_version_of_api_versions_is_answered_in_version_0_with_the_table() {
    let world = World::new().await;
    let answer = answered(world.admit_frame(header(18, 99, b"")).await).await;
    let response: ApiVersionsResponse = decode(answer, 0);
    assert_eq!(code(response.error_code), Some(ErrorCode::UnsupportedVersion));
    assert_eq!(response.api_keys.len(), SUPPORTED.len());
}

#[tokio::test]
async fn a_request_that_cannot_be_read_closes_its_connection() {
    let world = World::new().await;
    let whole = frame_of(12, &MetadataRequest::default());
    let cut = whole.slice(..whole.len() - 1);
    assert!(matches!(world.admit_frame(cut).await, Admitted::Close));
    // What follows the last field is passed over.
    let mut longer = BytesMut::from(&whole[..]);
    longer.put_u8(0);
    assert!(matches!(world.admit_frame(longer.freeze()).await, Admitted::Answer(_)));
}

#[tokio::test]
async fn a_client_names_itself_sensibly_from_version_3() {
    let world = World::new().await;
    let refused = Some(ErrorCode::InvalidRequest);
    for (name, version, expected) in [
        ("librdkafka", "2.10.1", None),
        ("a", "1", None),
        ("apache-kafka-java", "4.3.1-SNAPSHOT", None),
        ("", "1", refused),
        ("a", "", refused),
        ("-a", "1", refused),
        ("a.", "1", refused),
        ("a b", "1", refused),
        ("a", "1_0", refused),
    ] {
        let request = ApiVersionsRequest::default().with_client_software_name(text(name));
        let request = request.with_client_software_version(text(version));
        for api_version in 3..=4 {
            let response = world.ask(api_version, &request).await;
            assert_eq!(code(response.error_code), expected, "{name:?} {version:?}");
        }
    }
    assert_eq!(world.ask(2, &ApiVersionsRequest::default()).await.error_code, 0, "it could not name itself");
}

#[tokio::test]
async fn every_producer_gets_its_own_id() {
    let world = World::new().await;
    let plain = InitProducerIdRequest::default().with_transactional_id(None);
    let first = world.ask(4, &plain).await;
    let second = world.ask(4, &plain).await;
    assert_eq!((first.error_code, first.producer_epoch), (0, 0));
    assert_ne!(first.producer_id, second.producer_id);
}

#[tokio::test]
async fn controllers_are_not_described() {
    let world = World::new().await;
    let response = world.ask(1, &DescribeClusterRequest::default().with_endpoint_type(2)).await;
    assert_eq!(code(response.error_code), Some(ErrorCode::MismatchedEndpointType));
    assert!(response.brokers.is_empty());
}

#[tokio::test]
async fn without_acks_there_is_no_answer_and_a_refusal_closes_the_connection() {
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    assert!(matches!(world.admit(12, &produce(&topic, 12, 0)).await, Admitted::Silent));
    world.context.catalog.delete(topic.id).await.expect("deleted");
    assert!(matches!(world.admit(12, &produce(&topic, 12, 0)).await, Admitted::Close));
    let response = world.ask(12, &produce(&topic, 12, 1)).await;
    let part = &response.responses[0].partition_responses[0];
    assert_eq!(code(part.error_code), Some(ErrorCode::UnknownTopicOrPartition));
    let odd = world.ask(12, &produce(&topic, 12, 2)).await;
    let part = &odd.responses[0].partition_responses[0];
    assert_eq!(code(part.error_code), Some(ErrorCode::InvalidRequiredAcks));
}
