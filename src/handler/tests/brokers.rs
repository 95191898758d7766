//! What clients are told of the brokers of a cluster: addresses of their own listener, leaders, coordinators, epochs.

use super::super::follow_shared_addresses;
use super::world::{World, answered, code, decode, frame_of_client, text};
use crate::cluster::PlacementKey;
use crate::meta::Revision;
use crate::meta::keys::sessions::{Listener, Session};
use crate::meta::keys::view::{Member, View};
use crate::topic::Topic;
use crate::types::{BrokerId, SessionId, ViewNumber};
use crate::wire::ErrorCode;
use crate::wire::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic};
use crate::wire::messages::describe_configs_request::DescribeConfigsResource;
use crate::wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use crate::wire::messages::metadata_response::MetadataResponse;
use crate::wire::messages::{
    self, CreateTopicsRequest, DescribeClusterRequest, DescribeConfigsRequest,
    DescribeTopicPartitionsRequest, FindCoordinatorRequest, ListConfigResourcesRequest, ListOffsetsRequest,
    MetadataRequest,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use uuid::Uuid;

const OTHER: SessionId = SessionId(Uuid::from_u128(99));
const VIEW: i32 = 7;

/// Broker 2 becomes a member, and tells clients of one listener.
fn join(world: &World, listener: &str) {
    join_at(world, listener, "two.example", 9099);
}

fn join_at(world: &World, listener: &str, host: &str, port: u16) {
    let leadership = &world.context.leadership;
    let mut other = Member::new(OTHER, BrokerId(2));
    other.zone = Some("b".to_owned());
    let members = vec![Member::new(leadership.own(), BrokerId(1)), other];
    leadership.on_view(&View::new(ViewNumber(VIEW), members), Revision(7)).expect("a known placement");
    let listener =
        Listener { name: listener.to_owned(), host: host.to_owned(), port, security: "PLAINTEXT".to_owned() };
    let session = Session { listeners: vec![listener], ..Session::new(BrokerId(2), ViewNumber(VIEW), 0) };
    leadership.on_sessions(Arc::new(BTreeMap::from([(OTHER, Arc::new(session))])));
}

/// Broker 1 leads nothing any more.
fn leave(world: &World) {
    let members = vec![Member::new(OTHER, BrokerId(2))];
    let view = View::new(ViewNumber(VIEW + 1), members);
    world.context.leadership.on_view(&view, Revision(8)).expect("a known placement");
}

async fn metadata(world: &World) -> MetadataResponse {
    world.ask(13, &MetadataRequest::default().with_topics(None)).await
}

fn brokers(answer: &MetadataResponse) -> Vec<(i32, String, i32)> {
    let broker = |told: &messages::metadata_response::MetadataResponseBroker| {
        (told.node_id.0, told.host.to_string(), told.port)
    };
    answer.brokers.iter().map(broker).collect()
}

fn leaders(answer: &MetadataResponse) -> Vec<i32> {
    answer.topics[0].partitions.iter().map(|partition| partition.leader_id.0).collect()
}

/// Who leads each partition, as the view has it.
fn led(world: &World, topic: &Topic) -> Vec<i32> {
    let image = world.context.leadership.image();
    let leader = |partition| image.leading_broker(partition).expect("members").0;
    topic.topic_partitions().map(leader).collect()
}

#[tokio::test]
async fn all_members_are_told_with_the_addresses_of_the_listener_that_was_asked() {
    let world = World::new().await;
    let topic = world.create("t", 16).await;
    assert_eq!(brokers(&metadata(&world).await).len(), 1);
    join(&world, "PLAINTEXT");
    let answer = metadata(&world).await;
    let own = &brokers(&answer)[0];
    assert_eq!((own.0, &brokers(&answer)[1..]), (1, &[(2, "two.example".to_owned(), 9099)][..]));
    assert_eq!(answer.brokers[1].rack, Some(text("b")));
    assert_eq!((leaders(&answer), answer.controller_id.0), (led(&world, &topic), 1));
    assert_eq!(leaders(&answer).iter().collect::<BTreeSet<_>>().len(), 2, "both lead something");
    for partition in &answer.topics[0].partitions {
        // Broker 2 reads for its zone what is led elsewhere.
        let mut replicas = vec![partition.leader_id.0];
        replicas.extend((partition.leader_id.0 != 2).then_some(2));
        let told: Vec<i32> = partition.replica_nodes.iter().map(|id| id.0).collect();
        assert_eq!((partition.leader_epoch, told), (VIEW, replicas));
        assert_eq!(partition.isr_nodes, partition.replica_nodes);
    }
    let cluster = world.ask(2, &DescribeClusterRequest::default().with_endpoint_type(1)).await;
    let ids: Vec<i32> = cluster.brokers.iter().map(|told| told.broker_id.0).collect();
    assert_eq!((ids, cluster.controller_id.0), (vec![1, 2], 1));
    let pages = DescribeTopicPartitionsRequest::default().with_response_partition_limit(100);
    let pages = world.ask(0, &pages).await;
    let told: Vec<i32> = pages.topics[0].partitions.iter().map(|partition| partition.leader_id.0).collect();
    assert_eq!(told, led(&world, &topic));
    let kinds = ListConfigResourcesRequest::default().with_resource_types(vec![4]);
    let kinds = world.ask(1, &kinds).await.config_resources;
    let names: Vec<_> = kinds.iter().map(|kind| kind.resource_name.as_str()).collect();
    assert_eq!(names, ["1", "2"]);
}

/// By which id the address "here:9092" is told of, if several brokers have it.
const SHARED: i32 = 279_935_278;

#[tokio::test]
async fn brokers_behind_one_address_are_told_of_as_one() {
    let world = World::new().await;
    world.create("t", 16).await;
    join_at(&world, "PLAINTEXT", "here", 9092);
    let answer = metadata(&world).await;
    assert_eq!(brokers(&answer), [(SHARED, "here".to_owned(), 9092)]);
    assert_eq!(
        (answer.controller_id.0, &answer.brokers[0].rack),
        (SHARED, &None),
        "they are in several zones"
    );
    assert!(leaders(&answer).iter().all(|leader| *leader == SHARED));
    for partition in &answer.topics[0].partitions {
        let nodes: Vec<i32> = partition.replica_nodes.iter().map(|node| node.0).collect();
        assert_eq!(nodes, [SHARED]);
    }
    for number in 0..16 {
        let keys = FindCoordinatorRequest::default().with_coordinator_keys(vec![text(&format!("g{number}"))]);
        assert_eq!(world.ask(6, &keys).await.coordinators[0].node_id.0, SHARED);
    }
}

#[tokio::test]
async fn the_id_of_a_shared_address_stays_whoever_leaves() {
    let world = World::new().await;
    world.create("t", 4).await;
    assert_eq!(brokers(&metadata(&world).await)[0].0, 1);
    join_at(&world, "PLAINTEXT", "here", 9092);
    assert_eq!(brokers(&metadata(&world).await), [(SHARED, "here".to_owned(), 9092)]);
    leave(&world);
    let answer = metadata(&world).await;
    assert_eq!(
        (brokers(&answer), leaders(&answer)),
        (vec![(SHARED, "here".to_owned(), 9092)], vec![SHARED; 4])
    );
}

#[tokio::test]
async fn an_address_is_known_as_shared_also_if_nobody_asked_while_it_was() {
    let world = World::new().await;
    world.create("t", 4).await;
    let following = tokio::spawn(follow_shared_addresses(Arc::clone(&world.context)));
    tokio::task::yield_now().await;
    join_at(&world, "PLAINTEXT", "here", 9092);
    tokio::task::yield_now().await;
    leave(&world);
    assert_eq!(brokers(&metadata(&world).await), [(SHARED, "here".to_owned(), 9092)]);
    following.abort();
}

#[tokio::test]
async fn what_is_asked_of_a_shared_address_is_answered_by_whoever_is_there() {
    let world = World::new().await;
    join_at(&world, "PLAINTEXT", "here", 9092);
    for (name, code) in [("1", 0), (&SHARED.to_string(), 0), ("2", ErrorCode::InvalidRequest.code())] {
        let resource =
            DescribeConfigsResource::default().with_resource_type(4).with_resource_name(text(name));
        let asked = DescribeConfigsRequest::default().with_resources(vec![resource]);
        assert_eq!(world.ask(4, &asked).await.results[0].error_code, code, "broker {name}");
    }
    let kinds = ListConfigResourcesRequest::default().with_resource_types(vec![4]);
    let kinds = world.ask(1, &kinds).await.config_resources;
    assert_eq!(
        kinds.iter().map(|kind| kind.resource_name.to_string()).collect::<Vec<_>>(),
        [SHARED.to_string()]
    );
    for (broker, code) in [(SHARED, 0), (2, ErrorCode::InvalidReplicaAssignment.code())] {
        let assignment =
            CreatableReplicaAssignment::default().with_broker_ids(vec![messages::BrokerId(broker)]);
        let topic = CreatableTopic::default()
            .with_name(messages::TopicName(text("assigned")))
            .with_num_partitions(-1)
            .with_replication_factor(-1)
            .with_assignments(vec![assignment]);
        let asked = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(5_000);
        let answer = world.ask(7, &asked).await;
        assert_eq!(
            answer.topics[0].error_code, code,
            "broker {broker}: {:?}",
            answer.topics[0].error_message
        );
    }
}

#[tokio::test]
async fn where_a_broker_has_no_such_listener_this_one_stands_for_it() {
    let world = World::new().await;
    world.create("t", 16).await;
    join(&world, "INTERNAL");
    let answer = metadata(&world).await;
    assert_eq!(brokers(&answer).len(), 1);
    assert!(leaders(&answer).iter().all(|leader| *leader == 1));
    for number in 0..16 {
        let keys = FindCoordinatorRequest::default().with_coordinator_keys(vec![text(&format!("g{number}"))]);
        assert_eq!(world.ask(6, &keys).await.coordinators[0].node_id.0, 1);
    }
}

#[tokio::test]
async fn a_broker_that_is_no_member_tells_of_the_others_alone() {
    let world = World::new().await;
    let topic = world.create("t", 4).await;
    join(&world, "PLAINTEXT");
    leave(&world);
    let answer = metadata(&world).await;
    assert_eq!(brokers(&answer), [(2, "two.example".to_owned(), 9099)]);
    assert_eq!((leaders(&answer), answer.controller_id.0), (vec![2; 4], 2));
    assert_eq!(led(&world, &topic), [2; 4]);
}

#[tokio::test]
async fn a_coordinator_is_the_leader_of_its_group_or_transactional_id() {
    let world = World::new().await;
    join(&world, "PLAINTEXT");
    let image = world.context.leadership.image();
    let share = |name: &str| format!("{name}:x:0");
    let mut seen = BTreeSet::new();
    for number in 0..16 {
        let name = format!("a:b-{number}");
        for (key_type, key, placement) in [
            (0, name.clone(), PlacementKey::group(&name)),
            (1, name.clone(), PlacementKey::transactional_id(&name)),
            (2, share(&name), PlacementKey::group(&name)),
        ] {
            let expected = image.leading_member(placement).expect("members").broker_id.0;
            let request = FindCoordinatorRequest::default().with_key_type(key_type);
            let many = request.clone().with_coordinator_keys(vec![text(&key)]);
            let found = world.ask(6, &many).await.coordinators.remove(0);
            assert_eq!((found.error_code, found.node_id.0), (0, expected), "{key}");
            if key_type < 2 {
                assert_eq!(world.ask(3, &request.with_key(text(&key))).await.node_id.0, expected);
            }
            seen.insert(expected);
        }
    }
    assert_eq!(seen.len(), 2);
}

#[tokio::test]
async fn a_partition_is_refused_where_it_is_led_elsewhere_and_epochs_are_those_of_views() {
    let world = World::new().await;
    let topic = world.create("t", 16).await;
    for index in 0..16 {
        world.context.partition(&topic, index).expect("one broker leads all");
    }
    join(&world, "PLAINTEXT");
    let fresh = world.create("fresh", 16).await;
    for topic in [&topic, &fresh] {
        for (index, leader) in (0..).zip(led(&world, topic)) {
            let refused = world.context.partition(topic, index).err();
            assert_eq!(refused, (leader == 2).then_some(ErrorCode::NotLeaderOrFollower), "{index}");
        }
    }
    for unknown in 16..32 {
        let refused = world.context.partition(&fresh, unknown).err();
        assert_eq!(refused, Some(ErrorCode::UnknownTopicOrPartition), "{unknown}");
    }
    let own = (0..).zip(led(&world, &topic)).find(|(_, leader)| *leader == 1).expect("it leads some").0;

    let ask = async |epoch: i32| {
        let partition =
            ListOffsetsPartition::default().with_partition_index(own).with_current_leader_epoch(epoch);
        let wanted = ListOffsetsTopic::default()
            .with_name(super::world::topic_name("t"))
            .with_partitions(vec![partition.with_timestamp(-1)]);
        let answer = world.ask(7, &ListOffsetsRequest::default().with_topics(vec![wanted])).await;
        code(answer.topics[0].partitions[0].error_code)
    };
    let first = world.context.partition(&topic, own).expect("open").leader_epoch().0;
    for (epoch, refused) in [
        (-1, None),
        (first - 1, Some(ErrorCode::FencedLeaderEpoch)),
        (first, None),
        (VIEW, None),
        (VIEW + 1, Some(ErrorCode::UnknownLeaderEpoch)),
    ] {
        assert_eq!(ask(epoch).await, refused, "{epoch}");
    }
}

#[tokio::test]
async fn a_manual_assignment_may_name_any_broker_of_the_cluster() {
    let world = World::new().await;
    join(&world, "PLAINTEXT");
    let create = async |name: &str, broker: i32| {
        let assignment = CreatableReplicaAssignment::default()
            .with_partition_index(0)
            .with_broker_ids(vec![messages::BrokerId(broker)]);
        let topic = CreatableTopic::default()
            .with_name(super::world::topic_name(name))
            .with_num_partitions(-1)
            .with_replication_factor(-1)
            .with_assignments(vec![assignment]);
        let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(1000);
        world.ask(7, &request).await.topics.remove(0)
    };
    assert_eq!(create("a", 2).await.error_code, 0);
    let refused = create("b", 3).await;
    assert_eq!(code(refused.error_code), Some(ErrorCode::InvalidReplicaAssignment));
    assert!(refused.error_message.expect("a reason").ends_with("each on broker 1 or 2."));
}

#[tokio::test]
async fn a_client_that_names_its_zone_is_told_of_leaders_there() {
    let world = World::new().await;
    let topic = world.create("t", 16).await;
    join(&world, "PLAINTEXT");
    let told = async |client_id: &str| {
        let request = MetadataRequest::default().with_topics(None);
        let frame = frame_of_client(client_id, 13, &request);
        let answer: MetadataResponse = decode(answered(world.admit_frame(frame).await).await, 13);
        for partition in &answer.topics[0].partitions {
            assert_eq!(partition.replica_nodes[0], partition.leader_id);
            assert!(partition.replica_nodes.contains(&messages::BrokerId(2)));
        }
        assert_eq!(answer.brokers.len(), 2);
        leaders(&answer)
    };
    for client_id in ["x,zone=b", "x, diskless_az=b", "automq_az=b&x", "x;zone=B"] {
        assert_eq!(told(client_id).await, [2; 16], "{client_id}");
    }
    for client_id in ["x", "x,zone=c", "zone="] {
        assert_eq!(told(client_id).await, led(&world, &topic), "{client_id}");
    }
    let pages = DescribeTopicPartitionsRequest::default().with_response_partition_limit(100);
    let pages = frame_of_client("zone=b", 0, &pages);
    let pages: messages::DescribeTopicPartitionsResponse =
        decode(answered(world.admit_frame(pages).await).await, 0);
    let told: Vec<i32> = pages.topics[0].partitions.iter().map(|partition| partition.leader_id.0).collect();
    assert_eq!(told, [2; 16]);
}

#[tokio::test]
async fn a_zone_whose_brokers_have_no_such_listener_is_as_none() {
    let world = World::new().await;
    world.create("t", 16).await;
    join(&world, "INTERNAL");
    let request = MetadataRequest::default().with_topics(None);
    let frame = frame_of_client("x,zone=b", 13, &request);
    let answer: MetadataResponse = decode(answered(world.admit_frame(frame).await).await, 13);
    assert_eq!(leaders(&answer), [1; 16]);
    for partition in &answer.topics[0].partitions {
        assert_eq!(partition.replica_nodes, [messages::BrokerId(1)]);
    }
}
