//! Version 1: the client adds what it writes to, and keeps its epoch over its transactions.

use super::super::world::World;
use super::{Abort, Client, Commit, END_1, END_2, PRODUCE_1, PRODUCE_2, await_state, read_committed, wanted};
use crate::wire::ErrorCode;

#[tokio::test]
async fn a_batch_without_an_open_transaction_is_refused() {
    let world = World::new().await;
    let topic = world.create("a", 2).await;
    let mut client = Client::start(&world, "t").await;
    let refused = Err(ErrorCode::InvalidTxnState);
    assert_eq!(client.produce(&world, &topic, PRODUCE_1).await, refused);
    assert_eq!(client.add(&world, &topic, 3).await, None);
    assert_eq!(client.produce_to(&world, &topic, 1, PRODUCE_1).await, refused, "only partition 0 was added");
    client.produce(&world, &topic, PRODUCE_1).await.expect("taken");
    client.end(&world, END_1, Commit).await;
    assert_eq!(client.produce(&world, &topic, PRODUCE_1).await, refused, "it has ended");
    assert_eq!(
        read_committed(&world, &topic).await.high_watermark,
        3,
        "nothing of what was refused is stored"
    );
}

#[tokio::test]
async fn transactions_follow_each_other_under_one_epoch() {
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    let mut client = Client::start(&world, "t").await;
    for (round, end) in [Commit, Abort, Commit].into_iter().enumerate() {
        assert_eq!(client.add(&world, &topic, 3).await, None);
        let offset = i64::try_from(round).expect("small") * 3;
        assert_eq!(client.produce(&world, &topic, PRODUCE_1).await, Ok(offset));
        client.end(&world, END_1, end).await;
        assert_eq!(client.epoch, 0);
    }
    let read = read_committed(&world, &topic).await;
    let aborted: Vec<i64> = read.aborted_transactions.iter().flatten().map(|one| one.first_offset).collect();
    assert_eq!((read.last_stable_offset, aborted), (9, vec![3]));
}

#[tokio::test]
async fn an_end_that_comes_again_succeeds_and_another_verdict_does_not() {
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    let mut client = Client::start(&world, "t").await;
    assert_eq!(client.end_code(&world, END_1, Commit).await, Some(ErrorCode::InvalidTxnState));
    assert_eq!(client.end_code(&world, END_1, Abort).await, Some(ErrorCode::InvalidTxnState));
    assert_eq!(client.add(&world, &topic, 3).await, None);
    client.end(&world, END_1, Commit).await;
    assert_eq!(client.end_code(&world, END_1, Commit).await, None);
    assert_eq!(client.end_code(&world, END_1, Abort).await, Some(ErrorCode::InvalidTxnState));
}

#[tokio::test]
async fn a_marker_is_written_where_no_batch_came() {
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    let mut client = Client::start(&world, "t").await;
    assert_eq!(client.add(&world, &topic, 3).await, None);
    client.end(&world, END_1, Abort).await;
    let read = read_committed(&world, &topic).await;
    assert_eq!((read.last_stable_offset, read.aborted_transactions), (1, Some(Vec::new())));
}

#[tokio::test]
async fn partitions_are_added_all_or_none() {
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    let client = Client::start(&world, "t").await;
    let answer = world.ask(3, &client.add_as_client(vec![wanted(&topic, &[0, 1])])).await;
    let results = &answer.results_by_topic_v3_and_below[0].results_by_partition;
    let codes: Vec<_> = results.iter().map(|result| super::code(result.partition_error_code)).collect();
    assert_eq!(codes, [Some(ErrorCode::OperationNotAttempted), Some(ErrorCode::UnknownTopicOrPartition)]);
    assert_eq!(client.state(&world).await, "Empty");
}

#[tokio::test]
async fn to_verify_adds_nothing() {
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    let client = Client::start(&world, "t").await;
    let mut request = client.add_as_broker(vec![wanted(&topic, &[0])]);
    request.transactions[0].verify_only = true;
    for (expected, open) in [(Some(ErrorCode::InvalidTxnState), false), (None, true)] {
        if open {
            assert_eq!(client.add(&world, &topic, 4).await, None);
        }
        let answer = world.ask(4, &request).await;
        let result = &answer.results_by_transaction[0].topic_results[0].results_by_partition[0];
        assert_eq!(super::code(result.partition_error_code), expected);
    }
}

#[tokio::test]
async fn a_client_may_go_over_to_version_2() {
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    let mut client = Client::start(&world, "t").await;
    assert_eq!(client.add(&world, &topic, 3).await, None);
    client.produce(&world, &topic, PRODUCE_1).await.expect("taken");
    client.end(&world, END_2, Commit).await;
    assert_eq!(client.epoch, 1);
    client.produce(&world, &topic, PRODUCE_2).await.expect("taken");
    assert_eq!(client.try_end(&world, END_2, Abort).await.producer_epoch, 2);
    await_state(&world, &client.transactional_id, "CompleteAbort").await;
}
