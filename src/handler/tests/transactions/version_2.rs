//! Version 2 (KIP-890): a batch adds its partition, and each transaction has an epoch of its own.

use super::super::world::World;
use super::{Abort, Client, Commit, END_2, PRODUCE_2, read_committed};
use crate::wire::ErrorCode;
use crate::wire::messages::EndTxnResponse;

fn told(answer: &EndTxnResponse) -> (i16, i64, i16) {
    (answer.error_code, answer.producer_id.0, answer.producer_epoch)
}

#[tokio::test]
async fn an_end_that_comes_again_gets_the_same_answer_and_another_verdict_is_fenced() {
    for (end, other) in [(Commit, Abort), (Abort, Commit)] {
        let world = World::new().await;
        let topic = world.create("a", 1).await;
        let mut client = Client::start(&world, "t").await;
        client.produce(&world, &topic, PRODUCE_2).await.expect("taken");
        let first = client.try_end(&world, END_2, end).await;
        assert_eq!(told(&first), (0, client.producer_id.0, 1));
        assert_eq!(
            told(&client.try_end(&world, END_2, end).await),
            told(&first),
            "while markers are written"
        );
        super::await_state(
            &world,
            &client.transactional_id,
            if end == Commit { "CompleteCommit" } else { "CompleteAbort" },
        )
        .await;
        assert_eq!(told(&client.try_end(&world, END_2, end).await), told(&first), "after it is complete");
        assert_eq!(client.end_code(&world, END_2, other).await, Some(ErrorCode::ProducerFenced));
    }
}

#[tokio::test]
async fn an_end_comes_too_late_once_the_next_transaction_is_open() {
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    let mut client = Client::start(&world, "t").await;
    client.produce(&world, &topic, PRODUCE_2).await.expect("taken");
    client.end(&world, END_2, Commit).await;
    client.produce(&world, &topic, PRODUCE_2).await.expect("taken");
    for end in [Commit, Abort] {
        assert_eq!(client.before().end_code(&world, END_2, end).await, Some(ErrorCode::ProducerFenced));
    }
    assert_eq!(client.state(&world).await, "Ongoing");
}

#[tokio::test]
async fn a_batch_with_the_epoch_before_is_refused() {
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    let mut client = Client::start(&world, "t").await;
    client.produce(&world, &topic, PRODUCE_2).await.expect("taken");
    client.end(&world, END_2, Commit).await;
    let late = client.before().produce(&world, &topic, PRODUCE_2).await;
    assert_eq!(late, Err(ErrorCode::InvalidProducerEpoch));
    assert_eq!(client.produce(&world, &topic, PRODUCE_2).await, Ok(3), "after two records and a marker");
}

#[tokio::test]
async fn a_batch_that_comes_again_gets_its_offset() {
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    let client = Client::start(&world, "t").await;
    for _ in 0..2 {
        assert_eq!(client.produce_to(&world, &topic, 0, PRODUCE_2).await, Ok(0));
    }
}

#[tokio::test]
async fn nothing_can_be_aborted_but_not_committed() {
    let world = World::new().await;
    let mut client = Client::start(&world, "t").await;
    assert_eq!(client.end_code(&world, END_2, Commit).await, Some(ErrorCode::InvalidTxnState));
    client.end(&world, END_2, Abort).await;
    assert_eq!(client.epoch, 1);
    client.end(&world, END_2, Abort).await;
    assert_eq!(client.epoch, 2);
}

#[tokio::test]
async fn a_transactional_batch_needs_a_transactional_id() {
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    let client = Client::start(&world, "t").await;
    let request = client.produce_request(&topic, 0, client.batch(true)).with_transactional_id(None);
    let answer = world.ask(PRODUCE_2, &request).await;
    let code = super::code(answer.responses[0].partition_responses[0].error_code);
    assert_eq!(code, Some(ErrorCode::InvalidTxnState));
}

#[tokio::test]
async fn a_batch_outside_of_the_open_transaction_is_refused() {
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    let mut client = Client::start(&world, "t").await;
    client.produce(&world, &topic, PRODUCE_2).await.expect("taken");
    let request = client.produce_request(&topic, 0, client.batch(false));
    let answer = world.ask(PRODUCE_2, &request).await;
    let code = super::code(answer.responses[0].partition_responses[0].error_code);
    assert_eq!(code, Some(ErrorCode::InvalidTxnState));
}

#[tokio::test]
async fn all_partitions_of_a_transaction_end_alike() {
    for (end, aborted) in [(Commit, 0), (Abort, 1)] {
        let world = World::new().await;
        let (first, second) = (world.create("a", 1).await, world.create("b", 1).await);
        let mut client = Client::start(&world, "t").await;
        for topic in [&first, &second] {
            client.produce_to(&world, topic, 0, PRODUCE_2).await.expect("taken");
        }
        client.end(&world, END_2, end).await;
        for topic in [&first, &second] {
            let read = read_committed(&world, topic).await;
            assert_eq!(read.last_stable_offset, 3);
            assert_eq!(read.aborted_transactions.map(|aborted| aborted.len()), Some(aborted));
        }
    }
}
