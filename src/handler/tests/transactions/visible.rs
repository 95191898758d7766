//! What readers see of transactions: the last stable offset, and what was aborted.

use super::super::versions::{fetch, list_offsets, produce};
use super::super::world::World;
use super::{Abort, Client, Commit, END_2, PRODUCE_2, offsets_of, read_committed};
use crate::topic::Topic;
use crate::wire::messages::fetch_response::PartitionData;

async fn read_uncommitted(world: &World, topic: &Topic) -> PartitionData {
    world.ask(12, &fetch(topic, 12, 0)).await.responses.remove(0).partitions.remove(0)
}

/// The end as ListOffsets has it: for all readers, and for those of committed records.
async fn ends(world: &World, topic: &Topic) -> [i64; 2] {
    let mut ends = [0; 2];
    for (level, end) in ends.iter_mut().enumerate() {
        let level = i8::try_from(level).expect("small");
        let request = list_offsets(topic, -1).with_isolation_level(level);
        *end = world.ask(8, &request).await.topics[0].partitions[0].offset;
    }
    ends
}

fn aborted(partition: &PartitionData) -> Option<Vec<(i64, i64)>> {
    let list = partition.aborted_transactions.as_ref()?;
    Some(list.iter().map(|aborted| (aborted.producer_id.0, aborted.first_offset)).collect())
}

#[tokio::test]
async fn readers_of_committed_records_stop_where_a_transaction_is_open() {
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    world.ask(12, &produce(&topic, 12, -1)).await;
    let mut client = Client::start(&world, "t").await;
    assert_eq!(client.produce(&world, &topic, PRODUCE_2).await, Ok(3));
    world.ask(12, &produce(&topic, 12, -1)).await;

    let read = read_committed(&world, &topic).await;
    assert_eq!((read.high_watermark, read.last_stable_offset), (8, 3));
    assert_eq!((offsets_of(&read), aborted(&read)), (vec![0, 1, 2], Some(vec![])));
    let read = read_uncommitted(&world, &topic).await;
    assert_eq!((read.high_watermark, read.last_stable_offset), (8, 3));
    assert_eq!((offsets_of(&read), aborted(&read)), ((0..8).collect(), None));
    assert_eq!(ends(&world, &topic).await, [8, 3]);

    client.end(&world, END_2, Commit).await;
    let read = read_committed(&world, &topic).await;
    assert_eq!((read.high_watermark, read.last_stable_offset), (9, 9));
    assert_eq!((offsets_of(&read), aborted(&read)), ((0..9).collect(), Some(vec![])));
    assert_eq!(ends(&world, &topic).await, [9, 9]);
}

#[tokio::test]
async fn aborted_transactions_are_named_to_readers_of_committed_records() {
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    let mut first = Client::start(&world, "first").await;
    let mut second = Client::start(&world, "second").await;
    assert_eq!(first.produce(&world, &topic, PRODUCE_2).await, Ok(0));
    assert_eq!(second.produce(&world, &topic, PRODUCE_2).await, Ok(2));
    assert_eq!(first.produce(&world, &topic, PRODUCE_2).await, Ok(4));
    second.end(&world, END_2, Abort).await;
    let read = read_committed(&world, &topic).await;
    assert_eq!((read.last_stable_offset, offsets_of(&read)), (0, vec![]), "the first is open");
    first.end(&world, END_2, Abort).await;
    let read = read_committed(&world, &topic).await;
    assert_eq!((read.last_stable_offset, read.high_watermark), (8, 8));
    let both = vec![(second.producer_id.0, 2), (first.producer_id.0, 0)];
    assert_eq!(aborted(&read), Some(both), "in the order of their ends");
    assert_eq!(offsets_of(&read), (0..8).collect::<Vec<i64>>(), "the reader leaves them out");

    second.produce(&world, &topic, PRODUCE_2).await.expect("taken");
    second.end(&world, END_2, Commit).await;
    let request = fetch(&topic, 12, 8).with_isolation_level(1);
    let later = world.ask(12, &request).await.responses.remove(0).partitions.remove(0);
    assert_eq!((aborted(&later), offsets_of(&later)), (Some(vec![]), vec![8, 9, 10]));
}

#[tokio::test]
async fn the_last_stable_offset_and_the_list_outlive_a_session() {
    let mut world = World::new().await;
    let topic = world.create("a", 1).await;
    let mut lost = Client::start(&world, "lost").await;
    lost.produce(&world, &topic, PRODUCE_2).await.expect("taken");
    lost.end(&world, END_2, Abort).await;
    let mut open = Client::start(&world, "open").await;
    assert_eq!(open.produce(&world, &topic, PRODUCE_2).await, Ok(3));
    world.take_over().await;
    let read = read_committed(&world, &topic).await;
    assert_eq!((read.last_stable_offset, read.high_watermark), (3, 5));
    assert_eq!(aborted(&read), Some(vec![(lost.producer_id.0, 0)]));
}

#[tokio::test]
async fn describe_producers_shows_where_a_transaction_began() {
    use crate::wire::messages::{DescribeProducersRequest, describe_producers_request::TopicRequest};
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    world.ask(12, &produce(&topic, 12, -1)).await;
    let mut client = Client::start(&world, "t").await;
    for open in [true, false] {
        if open {
            client.produce(&world, &topic, PRODUCE_2).await.expect("taken");
        } else {
            client.end(&world, END_2, Commit).await;
        }
        let wanted =
            TopicRequest::default().with_name(super::topic_name("a")).with_partition_indexes(vec![0]);
        let answer = world.ask(0, &DescribeProducersRequest::default().with_topics(vec![wanted])).await;
        let producer = &answer.topics[0].partitions[0].active_producers[0];
        assert_eq!(producer.producer_id, client.producer_id);
        assert_eq!(producer.current_txn_start_offset, if open { 3 } else { -1 });
    }
}
