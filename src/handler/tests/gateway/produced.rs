//! Produce: parts reach their leaders, in order, once.

use super::super::world::{self, World};
use super::pair::{PATIENCE, Pair, answered, produce};
use crate::handler::Admitted;
use crate::topic::Topic;
use crate::types::{ProducerEpoch, ProducerId};
use crate::wire::ErrorCode;
use crate::wire::batch::{NO_PRODUCER, ProducerStamp};
use crate::wire::messages::ProduceResponse;
use std::time::Duration;
use tokio::time::{interval, timeout};

const BY_NAME: i16 = 9;

fn stamp(base_sequence: i32) -> ProducerStamp {
    let producer_epoch = ProducerEpoch(0);
    ProducerStamp { producer_id: ProducerId(4), producer_epoch, base_sequence, transactional: false }
}

async fn answer(admitted: Admitted) -> ProduceResponse {
    world::decode(world::answered(admitted).await, BY_NAME)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_lead_is_stored_by_them_and_answered_in_its_place() {
    let pair = Pair::new().await;
    let topic = pair.create("a", 8).await;
    let (own, others) = pair.led(&topic);
    assert!(!own.is_empty() && !others.is_empty());
    let all: Vec<i32> = (0..8).collect();
    for round in 0..3 {
        let response = pair.one.ask(BY_NAME, &produce(&topic, &all, -1, NO_PRODUCER)).await;
        let expected: Vec<_> = all.iter().map(|index| (*index, 0, round)).collect();
        assert_eq!(answered(&response), expected);
    }
    // One leader alone gets the client's own bytes.
    let response = pair.one.ask(BY_NAME, &produce(&topic, &others, 1, NO_PRODUCER)).await;
    assert_eq!(answered(&response), others.iter().map(|index| (*index, 0, 3)).collect::<Vec<_>>());
    assert!(others.iter().all(|index| pair.end(&topic, *index) == 4));
    assert!(own.iter().all(|index| pair.end(&topic, *index) == 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_under_way_keep_their_order_and_a_repeat_is_found_out() {
    let pair = Pair::new().await;
    let topic = pair.create("a", 8).await;
    let (own, others) = pair.led(&topic);
    let both = [own[0], others[0]];
    let mut admitted = Vec::new();
    for sequence in 0..30 {
        admitted.push(pair.one.admit(BY_NAME, &produce(&topic, &both, -1, stamp(sequence))).await);
    }
    for (sequence, admitted) in (0_i64..).zip(admitted) {
        let mut expected: Vec<_> = both.iter().map(|index| (*index, 0, sequence)).collect();
        expected.sort_unstable();
        assert_eq!(answered(&answer(admitted).await), expected);
    }
    let again = pair.one.ask(BY_NAME, &produce(&topic, &others[..1], -1, stamp(29))).await;
    assert_eq!(answered(&again), vec![(others[0], 0, 29)], "the offset that it has");
    // By the leader itself as well: a client may have found it meanwhile.
    let again = pair.two.ask(BY_NAME, &produce(&topic, &others[..1], -1, stamp(28))).await;
    assert_eq!(answered(&again), vec![(others[0], 0, 28)]);
    let early = pair.one.ask(BY_NAME, &produce(&topic, &others[..1], -1, stamp(31))).await;
    assert_eq!(
        early.responses[0].partition_responses[0].error_code,
        ErrorCode::OutOfOrderSequenceNumber.code()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_acknowledgement_it_is_sent_on_all_the_same() {
    let pair = Pair::new().await;
    let topic = pair.create("a", 8).await;
    let (own, others) = pair.led(&topic);
    let request = produce(&topic, &[own[0], others[0]], 0, NO_PRODUCER);
    assert!(matches!(pair.one.admit(BY_NAME, &request).await, Admitted::Silent));
    until(|| pair.end(&topic, others[0]) == 1 && pair.end(&topic, own[0]) == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_from_a_broker_is_not_sent_on() {
    let mut pair = Pair::new().await;
    let topic = pair.create("a", 8).await;
    let (_, others) = pair.led(&topic);
    let name = crate::mesh::MeshName {
        cluster: crate::types::ClusterId(uuid::Uuid::nil()),
        broker: crate::types::BrokerId(2),
        session: pair.two.context.leadership.own(),
    };
    let view = super::pair::VIEW;
    pair.one.connection.origin = crate::handler::Origin::Broker { name, view };
    assert_eq!(refused(&pair.one, &topic, others[0]).await, ErrorCode::NotLeaderOrFollower.code());
}

async fn refused(world: &World, topic: &Topic, index: i32) -> i16 {
    let response = world.ask(BY_NAME, &produce(topic, &[index], -1, NO_PRODUCER)).await;
    response.responses[0].partition_responses[0].error_code
}

/// Waits until it is so.
async fn until(mut is_so: impl FnMut() -> bool) {
    let mut looks = interval(Duration::from_millis(2));
    let looking = async {
        while !is_so() {
            looks.tick().await;
        }
    };
    timeout(PATIENCE, looking).await.expect("it becomes so in time");
}
