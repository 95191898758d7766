//! Topics as clients see them: found, created, grown, deleted, described in pages.

use super::world::{World, code, text, topic_name};
use crate::types::TopicId;
use crate::wire::ErrorCode;
use crate::wire::messages::create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic};
use crate::wire::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use crate::wire::messages::create_topics_response::CreatableTopicResult;
use crate::wire::messages::delete_topics_request::DeleteTopicState;
use crate::wire::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use crate::wire::messages::metadata_request::MetadataRequestTopic;
use crate::wire::messages::metadata_response::MetadataResponseTopic;
use crate::wire::messages::{
    BrokerId, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
    DescribeTopicPartitionsRequest, MetadataRequest,
};
use uuid::Uuid;

const UNKNOWN: Option<ErrorCode> = Some(ErrorCode::UnknownTopicOrPartition);

fn named(name: &str) -> MetadataRequestTopic {
    MetadataRequestTopic::default().with_name(Some(topic_name(name)))
}

fn with_id(topic_id: TopicId) -> MetadataRequestTopic {
    MetadataRequestTopic::default().with_name(None).with_topic_id(topic_id.0)
}

async fn metadata(world: &World, wanted: Option<Vec<MetadataRequestTopic>>) -> Vec<MetadataResponseTopic> {
    world.ask(13, &MetadataRequest::default().with_topics(wanted)).await.topics
}

fn names(topics: &[MetadataResponseTopic]) -> Vec<&str> {
    topics.iter().map(|topic| topic.name.as_ref().map_or("", |name| name.0.as_str())).collect()
}

#[tokio::test]
async fn metadata_names_all_topics_none_or_those_that_are_asked_for() {
    let world = World::new().await;
    let b = world.create("b", 3).await;
    world.create("a", 1).await;
    assert_eq!(names(&metadata(&world, None).await), ["a", "b"]);
    assert!(metadata(&world, Some(Vec::new())).await.is_empty());
    let all = world.ask(0, &MetadataRequest::default().with_topics(Some(Vec::new()))).await;
    assert_eq!(names(&all.topics), ["a", "b"], "before version 1 nothing was everything");

    let found = metadata(&world, Some(vec![named("b"), with_id(b.id)])).await;
    assert_eq!(names(&found), ["b", "b"]);
    for topic in &found {
        assert_eq!((code(topic.error_code), topic.topic_id), (None, b.id.0));
        let indexes: Vec<_> = topic.partitions.iter().map(|partition| partition.partition_index).collect();
        assert_eq!(indexes, [0, 1, 2]);
        let led = |broker: BrokerId| broker == BrokerId(1);
        assert!(topic.partitions.iter().all(|partition| led(partition.leader_id)));
    }
}

#[tokio::test]
async fn metadata_refuses_what_is_unknown_or_no_name() {
    let world = World::with(|config| config.topics.auto_create = false).await;
    let nobody = TopicId(Uuid::from_u128(9));
    for (wanted, expected) in [
        (named("a"), UNKNOWN),
        (with_id(nobody), Some(ErrorCode::UnknownTopicId)),
        (named(""), Some(ErrorCode::InvalidTopicException)),
        (named("a b"), Some(ErrorCode::InvalidTopicException)),
        (named(".."), Some(ErrorCode::InvalidTopicException)),
        (named(&"a".repeat(250)), Some(ErrorCode::InvalidTopicException)),
    ] {
        let topic = metadata(&world, Some(vec![wanted.clone()])).await.remove(0);
        assert_eq!((code(topic.error_code), topic.partitions.len()), (expected, 0));
        assert_eq!((topic.name, topic.topic_id), (wanted.name, wanted.topic_id), "it is answered as asked");
    }
    assert!(world.context.catalog.all().is_empty());
}

#[tokio::test]
async fn metadata_creates_a_topic_where_client_and_broker_allow_it() {
    for (broker_allows, client_allows, expected) in
        [(true, true, None), (true, false, UNKNOWN), (false, true, UNKNOWN), (false, false, UNKNOWN)]
    {
        let world = World::with(|config| {
            config.topics.auto_create = broker_allows;
            config.topics.num_partitions = 4;
        })
        .await;
        let request = MetadataRequest::default().with_topics(Some(vec![named("a")]));
        let response = world.ask(13, &request.with_allow_auto_topic_creation(client_allows)).await;
        assert_eq!(code(response.topics[0].error_code), expected, "{broker_allows} {client_allows}");
        let partitions = if expected.is_none() { 4 } else { 0 };
        assert_eq!(response.topics[0].partitions.len(), partitions);
        assert_eq!(world.context.catalog.partitions_total(), partitions);
    }
    let world = World::with(|config| config.topics.auto_create = true).await;
    world.create("a.b", 1).await;
    let twin = metadata(&world, Some(vec![named("a_b")])).await.remove(0);
    assert_eq!(code(twin.error_code), Some(ErrorCode::InvalidTopicException));
}

fn creatable(name: &str) -> CreatableTopic {
    CreatableTopic::default().with_name(topic_name(name)).with_num_partitions(2).with_replication_factor(-1)
}

fn configured(name: &str, value: Option<&str>) -> CreatableTopic {
    let config = CreatableTopicConfig::default().with_name(text(name)).with_value(value.map(text));
    creatable("a").with_configs(vec![config])
}

fn assigned(brokers: &[(i32, &[i32])]) -> CreatableTopic {
    let assignment = |(index, brokers): &(i32, &[i32])| {
        let brokers = brokers.iter().map(|broker| BrokerId(*broker)).collect();
        CreatableReplicaAssignment::default().with_partition_index(*index).with_broker_ids(brokers)
    };
    creatable("a").with_num_partitions(-1).with_assignments(brokers.iter().map(assignment).collect())
}

async fn create(world: &World, topics: Vec<CreatableTopic>, only: bool) -> Vec<CreatableTopicResult> {
    let request = CreateTopicsRequest::default().with_topics(topics).with_validate_only(only);
    world.ask(7, &request).await.topics
}

#[tokio::test]
async fn a_created_topic_is_answered_as_it_is_and_a_validated_one_is_not_created() {
    let world = World::with(|config| config.topics.num_partitions = 4).await;
    for (only, wanted, partitions) in [
        (true, configured("retention.ms", Some(" 5 ")), 2),
        (true, creatable("a").with_num_partitions(-1), 4),
        (true, assigned(&[(1, &[1]), (0, &[1])]), 2),
        (false, configured("retention.ms", Some(" 5 ")), 2),
    ] {
        let result = create(&world, vec![wanted], only).await.remove(0);
        assert_eq!(code(result.error_code), None, "{:?}", result.error_message);
        assert_eq!((result.num_partitions, result.replication_factor), (partitions, 1));
        assert_eq!(result.topic_id.is_nil(), only);
        assert_eq!(world.context.catalog.by_name("a").is_none(), only);
        let configs = result.configs.expect("from version 5");
        let retention = configs.iter().find(|config| &*config.name == "retention.ms").expect("it is listed");
        assert!(matches!(retention.value.as_deref(), Some("5" | "604800000")));
    }
    let again = create(&world, vec![creatable("a")], true).await.remove(0);
    assert_eq!(code(again.error_code), Some(ErrorCode::TopicAlreadyExists));
}

#[tokio::test]
async fn topics_are_refused_with_kafkas_codes_and_nothing_is_created() {
    let world = World::new().await;
    let counted = assigned(&[(0, &[1])]).with_num_partitions(1);
    for (wanted, expected) in [
        (creatable("a").with_replication_factor(3), ErrorCode::InvalidReplicationFactor),
        (creatable("a").with_replication_factor(0), ErrorCode::InvalidReplicationFactor),
        (creatable("a").with_num_partitions(0), ErrorCode::InvalidPartitions),
        (creatable("a").with_num_partitions(-2), ErrorCode::InvalidPartitions),
        (creatable("a").with_num_partitions(i32::MAX), ErrorCode::PolicyViolation),
        (creatable("__cluster_metadata"), ErrorCode::InvalidRequest),
        (creatable("a b"), ErrorCode::InvalidTopicException),
        (creatable(""), ErrorCode::InvalidTopicException),
        (configured("retention.ms", None), ErrorCode::InvalidConfig),
        (configured("retention.ms", Some("-2")), ErrorCode::InvalidConfig),
        (configured("nope", Some("1")), ErrorCode::InvalidConfig),
        (assigned(&[(0, &[2])]), ErrorCode::InvalidReplicaAssignment),
        (assigned(&[(0, &[1, 2])]), ErrorCode::InvalidReplicaAssignment),
        (assigned(&[(0, &[])]), ErrorCode::InvalidReplicaAssignment),
        (assigned(&[(0, &[1]), (2, &[1])]), ErrorCode::InvalidReplicaAssignment),
        (assigned(&[(0, &[1]), (0, &[1])]), ErrorCode::InvalidReplicaAssignment),
        (counted, ErrorCode::InvalidRequest),
    ] {
        for only in [true, false] {
            let result = create(&world, vec![wanted.clone()], only).await.remove(0);
            assert_eq!(code(result.error_code), Some(expected), "{wanted:?}");
            assert!(result.error_message.is_some() && result.num_partitions == -1);
        }
    }
    assert!(world.context.catalog.all().is_empty());
}

#[tokio::test]
async fn a_name_that_is_given_twice_is_refused_once_and_the_others_are_created() {
    let world = World::new().await;
    let results = create(&world, vec![creatable("a"), creatable("b"), creatable("a")], false).await;
    let codes: Vec<_> =
        results.iter().map(|result| (result.name.0.as_str(), code(result.error_code))).collect();
    assert_eq!(codes, [("a", Some(ErrorCode::InvalidRequest)), ("b", None)]);
    assert!(world.context.catalog.by_name("a").is_none() && world.context.catalog.by_name("b").is_some());
}

#[tokio::test]
async fn topics_are_deleted_by_name_and_by_id() {
    let world = World::new().await;
    let a = world.create("a", 1).await;
    let b = world.create("b", 1).await;
    let by_name = |name: &str| DeleteTopicState::default().with_name(Some(topic_name(name)));
    let by_id = |id: Uuid| DeleteTopicState::default().with_name(None).with_topic_id(id);
    let wanted = vec![by_name("a"), by_id(b.id.0), by_id(Uuid::from_u128(7)), by_name("c")];
    let request = DeleteTopicsRequest::default().with_topics(wanted);
    let results = world.ask(6, &request).await.responses;
    let codes: Vec<_> = results.iter().map(|result| code(result.error_code)).collect();
    assert_eq!(codes, [None, None, Some(ErrorCode::UnknownTopicId), UNKNOWN]);
    let told: Vec<_> = results[..2].iter().map(|result| (result.name.clone(), result.topic_id)).collect();
    assert_eq!(told, [(Some(topic_name("a")), a.id.0), (Some(topic_name("b")), b.id.0)]);
    assert!(world.context.catalog.all().is_empty());
    assert!(a.topic_partitions().all(|partition| world.context.log.partition(partition).is_none()));
}

#[tokio::test]
async fn a_topic_that_is_not_named_clearly_is_not_deleted() {
    let world = World::new().await;
    let topic = world.create("kept", 1).await;
    let by_name = || DeleteTopicState::default().with_name(Some(topic_name("kept")));
    let by_id = || DeleteTopicState::default().with_name(None).with_topic_id(topic.id.0);
    let neither = DeleteTopicState::default().with_name(None);
    for (wanted, message) in [
        (vec![by_name(), by_name()], "Duplicate topic name."),
        (vec![by_id(), by_id()], "Duplicate topic id."),
        (vec![by_name().with_topic_id(topic.id.0)], "You may not specify both topic name and topic id."),
        (vec![neither], "Neither topic name nor id were specified."),
    ] {
        let request = DeleteTopicsRequest::default().with_topics(wanted);
        let results = world.ask(6, &request).await.responses;
        assert_eq!(results.len(), 1);
        assert_eq!(code(results[0].error_code), Some(ErrorCode::InvalidRequest));
        assert_eq!(results[0].error_message.as_ref().map(|text| text.as_str()), Some(message));
    }
    assert!(world.context.catalog.by_name("kept").is_some());
}

fn more(name: &str, count: i32, assignments: Option<&[i32]>) -> CreatePartitionsTopic {
    let assignment =
        |broker: &i32| CreatePartitionsAssignment::default().with_broker_ids(vec![BrokerId(*broker)]);
    let assignments = assignments.map(|brokers| brokers.iter().map(assignment).collect());
    CreatePartitionsTopic::default()
        .with_name(topic_name(name))
        .with_count(count)
        .with_assignments(assignments)
}

async fn grow(world: &World, topics: Vec<CreatePartitionsTopic>, only: bool) -> Vec<Option<ErrorCode>> {
    let request = CreatePartitionsRequest::default().with_topics(topics).with_validate_only(only);
    world.ask(3, &request).await.results.iter().map(|result| code(result.error_code)).collect()
}

#[tokio::test]
async fn partitions_are_added_and_never_taken_away() {
    let world = World::new().await;
    let topic = world.create("a", 2).await;
    let invalid = Some(ErrorCode::InvalidPartitions);
    let misplaced = Some(ErrorCode::InvalidReplicaAssignment);
    for (wanted, only, expected, now) in [
        (more("a", 4, None), true, None, 2),
        (more("a", 2, None), false, invalid, 2),
        (more("a", 1, None), false, invalid, 2),
        (more("a", -1, None), false, invalid, 2),
        (more("a", i32::MAX, None), false, Some(ErrorCode::PolicyViolation), 2),
        (more("b", 4, None), false, UNKNOWN, 2),
        (more("a", 4, Some(&[1])), false, misplaced, 2),
        (more("a", 4, Some(&[1, 2])), false, misplaced, 2),
        (more("a", 4, Some(&[1, 1])), true, None, 2),
        (more("a", 4, Some(&[1, 1])), false, None, 4),
        (more("a", 5, None), false, None, 5),
    ] {
        assert_eq!(grow(&world, vec![wanted.clone()], only).await, [expected], "{wanted:?}");
        assert_eq!(world.context.catalog.by_id(topic.id).map(|topic| topic.partitions), Some(now));
    }
    let twice = grow(&world, vec![more("a", 6, None), more("a", 7, None)], false).await;
    assert_eq!(twice, [Some(ErrorCode::InvalidRequest)], "neither is meant more than the other");
    assert_eq!(world.context.catalog.by_id(topic.id).map(|topic| topic.partitions), Some(5));
}

/// A page: each topic with the partitions named, and where the next one begins.
type Page = (Vec<(String, Vec<i32>)>, Option<(String, i32)>);

async fn page(world: &World, wanted: &[&str], limit: i32, from: Option<(&str, i32)>) -> Page {
    let topic = |name: &&str| TopicRequest::default().with_name(topic_name(name));
    let cursor = from.map(|(name, partition)| {
        Cursor::default().with_topic_name(topic_name(name)).with_partition_index(partition)
    });
    let request = DescribeTopicPartitionsRequest::default()
        .with_topics(wanted.iter().map(topic).collect())
        .with_response_partition_limit(limit)
        .with_cursor(cursor);
    let response = world.ask(0, &request).await;
    let topics = response.topics.iter().map(|topic| {
        let name = topic.name.as_ref().expect("always named").0.to_string();
        (name, topic.partitions.iter().map(|partition| partition.partition_index).collect())
    });
    let next = response.next_cursor.map(|next| (next.topic_name.0.to_string(), next.partition_index));
    (topics.collect(), next)
}

#[tokio::test]
async fn described_partitions_come_in_pages_and_each_comes_once() {
    let world = World::new().await;
    world.create("b", 2).await;
    world.create("a", 3).await;
    let whole = vec![("a".to_owned(), vec![0, 1, 2]), ("b".to_owned(), vec![0, 1])];
    assert_eq!(page(&world, &[], 2000, None).await, (whole.clone(), None));
    for limit in 1..=6 {
        let (mut seen, mut next) = (Vec::new(), None::<(String, i32)>);
        loop {
            let from = next.as_ref().map(|(name, partition)| (name.as_str(), *partition));
            let (topics, after) = page(&world, &["b", "a"], limit, from).await;
            let count: usize = topics.iter().map(|(_, partitions)| partitions.len()).sum();
            assert!(count > 0 && count <= limit as usize, "{count} of at most {limit}");
            for (name, partitions) in topics {
                seen.extend(partitions.into_iter().map(|partition| (name.clone(), partition)));
            }
            next = after;
            if next.is_none() {
                break;
            }
        }
        let all: Vec<_> = whole
            .iter()
            .flat_map(|(name, partitions)| partitions.iter().map(|partition| (name.clone(), *partition)))
            .collect();
        assert_eq!(seen, all, "in pages of {limit}");
    }
}

#[tokio::test]
async fn a_cursor_beyond_its_topic_goes_on_with_the_next_within_the_limit() {
    let world = World::new().await;
    world.create("a", 1).await;
    world.create("b", 9).await;
    let (topics, next) = page(&world, &[], 2, Some(("a", 50))).await;
    assert_eq!(topics, [("a".to_owned(), vec![]), ("b".to_owned(), vec![0, 1])]);
    assert_eq!(next, Some(("b".to_owned(), 2)));
    let (topics, _) = page(&world, &[], -5, Some(("aa", 0))).await;
    assert_eq!(topics, [("b".to_owned(), vec![0])], "at least one");
}

#[tokio::test]
async fn an_unknown_topic_is_described_by_its_code() {
    let world = World::new().await;
    world.create("b", 1).await;
    let topic = |name: &str| TopicRequest::default().with_name(topic_name(name));
    let wanted = vec![topic("b"), topic("a"), topic("c d")];
    let response = world.ask(0, &DescribeTopicPartitionsRequest::default().with_topics(wanted)).await;
    let codes: Vec<_> = response.topics.iter().map(|topic| code(topic.error_code)).collect();
    assert_eq!(codes, [UNKNOWN, None, Some(ErrorCode::InvalidTopicException)]);
}
