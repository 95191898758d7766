//! Transactions over several brokers: places that others lead, and coordinators that go.

use super::brokers::{Broker, Cluster, served, until};
use super::*;
use crate::cluster::PlacementKey;
use crate::leadership::ClusterControl;
use crate::types::BrokerId;

/// A transaction of a transactional id of the first broker: a record at a partition of each, and an offset of a group that
/// the second coordinates.
struct Open {
    id: String,
    group: String,
    producer: Producer,
    partitions: Vec<TopicPartition>,
    of_first: TopicPartition,
    of_second: TopicPartition,
}

async fn two_brokers() -> (Cluster, Broker, Broker) {
    let cluster = Cluster::new();
    let (first, second) = (cluster.join(1).await, cluster.join(2).await);
    for broker in [&first, &second] {
        until(async || broker.leadership.image().members().len() == 2).await;
    }
    (cluster, first, second)
}

async fn open(first: &Broker, second: &Broker) -> Open {
    let partitions = first.create_topic().await;
    served(&[first, second], &partitions).await;
    let (id, group) = (first.name(PlacementKey::transactional_id), second.name(PlacementKey::group));
    let (of_first, of_second) = (first.one_of(&partitions), second.one_of(&partitions));
    let producer = first.init(&id).await;
    first.produce(&id, producer, of_first).await;
    second.produce(&id, producer, of_second).await;
    second.commit_offset(&id, producer, &group, of_first).await;
    assert_eq!((first.ends(of_first), second.ends(of_second)), (Some((1, 0)), Some((1, 0))));
    Open { id, group, producer, partitions, of_first, of_second }
}

#[tokio::test]
async fn a_transaction_ends_where_others_lead() {
    let (_cluster, first, second) = two_brokers().await;
    let open = open(&first, &second).await;
    assert_eq!(second.end(&open.id, open.producer, Commit).await, Err(TxnError::NotCoordinator));
    let next = first.end(&open.id, open.producer, Commit).await.expect("ended");
    until(async || first.state(&open.id).await == Some(TransactionState::CompleteCommit)).await;
    assert_eq!((first.ends(open.of_first), second.ends(open.of_second)), (Some((2, 2)), Some((2, 2))));
    assert_eq!(second.committed_offset(&open.group, open.of_first).await, Some(5));
    // The next one is aborted.
    second.produce(&open.id, next, open.of_second).await;
    first.end(&open.id, next, Abort).await.expect("ended");
    until(async || first.state(&open.id).await == Some(TransactionState::CompleteAbort)).await;
    assert_eq!(second.ends(open.of_second), Some((4, 4)));
}

#[tokio::test]
async fn markers_are_sent_until_they_arrive_and_each_is_written_once() {
    let (cluster, first, second) = two_brokers().await;
    let open = open(&first, &second).await;
    cluster.cut(true);
    first.end(&open.id, open.producer, Commit).await.expect("stored, so it is answered");
    until(async || first.ends(open.of_first) == Some((2, 2))).await;
    assert_eq!(second.ends(open.of_second), Some((1, 0)), "nobody told it");
    assert_eq!(first.state(&open.id).await, Some(TransactionState::PrepareCommit));
    cluster.cut(false);
    until(async || first.state(&open.id).await == Some(TransactionState::CompleteCommit)).await;
    assert_eq!((first.ends(open.of_first), second.ends(open.of_second)), (Some((2, 2)), Some((2, 2))));
    assert_eq!(second.committed_offset(&open.group, open.of_first).await, Some(5));
}

#[tokio::test]
async fn what_a_dead_coordinator_has_decided_is_done_by_the_next_one_once() {
    let (cluster, first, second) = two_brokers().await;
    let open = open(&first, &second).await;
    cluster.cut(true);
    let next = first.end(&open.id, open.producer, Commit).await.expect("stored, so it is answered");
    until(async || first.ends(open.of_first) == Some((2, 2))).await;
    second.views.control().seal(BrokerId(1)).await.expect("sealed");
    // Nobody asks for the transaction.
    until(async || second.ends(open.of_second) == Some((2, 2))).await;
    served(&[&second], &open.partitions).await;
    until(async || second.state(&open.id).await == Some(TransactionState::CompleteCommit)).await;
    assert_eq!((second.ends(open.of_first), second.ends(open.of_second)), (Some((2, 2)), Some((2, 2))));
    assert_eq!(second.committed_offset(&open.group, open.of_first).await, Some(5));
    // A client without the answer asks again, and is told the same; the sealed coordinator says nothing.
    assert_eq!(second.end(&open.id, open.producer, Commit).await, Ok(next));
    assert!(first.end(&open.id, open.producer, Commit).await.is_err());
    assert_eq!(second.end(&open.id, open.producer, Abort).await, Err(TxnError::ProducerFenced));
}

#[tokio::test]
async fn an_open_transaction_goes_on_with_the_next_coordinator() {
    let (_cluster, first, second) = two_brokers().await;
    let open = open(&first, &second).await;
    first.views.control().leave().await;
    served(&[&second], &open.partitions).await;
    until(async || second.state(&open.id).await == Some(TransactionState::Ongoing)).await;
    assert_eq!(first.end(&open.id, open.producer, Commit).await, Err(TxnError::NotCoordinator));
    second.end(&open.id, open.producer, Commit).await.expect("ended");
    until(async || second.state(&open.id).await == Some(TransactionState::CompleteCommit)).await;
    assert_eq!((second.ends(open.of_first), second.ends(open.of_second)), (Some((2, 2)), Some((2, 2))));
}
