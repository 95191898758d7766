//! Who is not the present instance any more, and what takes too long.

use super::super::world::World;
use super::{
    Abort, COMMIT_OFFSETS_2, Client, Commit, END_1, END_2, PRODUCE_1, PRODUCE_2, await_state, init,
    offsets_of, pass, read_committed,
};
use crate::wire::ErrorCode;
use std::time::Duration;

#[tokio::test]
async fn the_instance_before_is_fenced_in_every_request() {
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    let mut zombie = Client::start(&world, "t").await;
    let mut present = Client::start(&world, "t").await;
    assert_eq!((present.producer_id, present.epoch), (zombie.producer_id, zombie.epoch + 1));
    for (old, new) in [(PRODUCE_1, 3), (PRODUCE_2, 5)] {
        assert_eq!(zombie.produce(&world, &topic, old).await, Err(ErrorCode::InvalidProducerEpoch), "{new}");
    }
    let (fenced, unknown) = (Some(ErrorCode::ProducerFenced), Some(ErrorCode::InvalidProducerEpoch));
    for (version, expected) in [(0, unknown), (1, unknown), (2, fenced), (3, fenced), (5, fenced)] {
        assert_eq!(zombie.add(&world, &topic, version).await, expected, "AddPartitionsToTxn {version}");
    }
    for (version, expected) in [(1, unknown), (2, fenced), (4, fenced)] {
        assert_eq!(zombie.add_offsets(&world, "g", version).await, expected, "AddOffsetsToTxn {version}");
    }
    for (version, expected) in [(1, unknown), (2, fenced), (END_1, fenced), (END_2, fenced)] {
        for end in [Commit, Abort] {
            assert_eq!(zombie.end_code(&world, version, end).await, expected, "EndTxn {version} {end:?}");
        }
    }
    let answer = world.ask(COMMIT_OFFSETS_2, &zombie.offsets("g", &topic, 5)).await;
    assert_eq!(super::code(answer.topics[0].partitions[0].error_code), unknown);
    assert_eq!(present.state(&world).await, "Empty");
    present.produce(&world, &topic, PRODUCE_2).await.expect("taken");
    present.end(&world, END_2, Commit).await;
}

#[tokio::test]
async fn a_new_instance_aborts_what_the_one_before_has_open() {
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    let mut zombie = Client::start(&world, "t").await;
    zombie.produce(&world, &topic, PRODUCE_2).await.expect("taken");
    let mut present = Client::start(&world, "t").await;
    assert!(present.epoch > zombie.epoch);
    assert_eq!(zombie.produce(&world, &topic, PRODUCE_2).await, Err(ErrorCode::InvalidProducerEpoch));
    assert_eq!(zombie.end_code(&world, END_2, Commit).await, Some(ErrorCode::ProducerFenced));
    assert_eq!(zombie.end_code(&world, END_2, Abort).await, Some(ErrorCode::ProducerFenced));
    assert_eq!(present.produce(&world, &topic, PRODUCE_2).await, Ok(3));
    present.end(&world, END_2, Commit).await;
    let read = read_committed(&world, &topic).await;
    let aborted: Vec<i64> = read.aborted_transactions.iter().flatten().map(|one| one.first_offset).collect();
    assert_eq!((aborted, offsets_of(&read).len()), (vec![0], 6));
}

#[tokio::test]
async fn an_instance_goes_on_after_an_error_unless_it_was_fenced() {
    let world = World::new().await;
    let before = Client::start(&world, "t").await;
    let go_on = |client: &Client| {
        let request = init("t").with_producer_id(client.producer_id);
        request.with_producer_epoch(client.epoch)
    };
    let answer = world.ask(5, &go_on(&before)).await;
    assert_eq!((answer.error_code, answer.producer_epoch), (0, before.epoch + 1));
    Client::start(&world, "t").await;
    let answer = world.ask(5, &go_on(&before)).await;
    assert_eq!(super::code(answer.error_code), Some(ErrorCode::ProducerFenced));
    let answer = world.ask(3, &go_on(&before)).await;
    assert_eq!(super::code(answer.error_code), Some(ErrorCode::InvalidProducerEpoch));
}

#[tokio::test]
async fn a_producer_id_of_somebody_else_is_refused() {
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    let (mine, theirs) = (Client::start(&world, "mine").await, Client::start(&world, "theirs").await);
    let stranger = Client { producer_id: theirs.producer_id, ..mine };
    let expected = Some(ErrorCode::InvalidProducerIdMapping);
    assert_eq!(stranger.add(&world, &topic, 3).await, expected);
    assert_eq!(stranger.add_offsets(&world, "g", 3).await, expected);
    for version in [END_1, END_2] {
        assert_eq!(stranger.end_code(&world, version, Commit).await, expected);
    }
    assert_eq!(
        stranger.produce_to(&world, &topic, 0, PRODUCE_2).await,
        Err(ErrorCode::InvalidProducerIdMapping)
    );
}

#[tokio::test]
async fn a_time_out_that_is_too_long_or_none_is_refused() {
    let world = World::new().await;
    for timeout_ms in [0, -1, i32::MAX, 15 * 60 * 1000 + 1] {
        let answer = world.ask(5, &init("t").with_transaction_timeout_ms(timeout_ms)).await;
        assert_eq!(
            super::code(answer.error_code),
            Some(ErrorCode::InvalidTransactionTimeout),
            "{timeout_ms}"
        );
    }
    assert_eq!(super::code(world.ask(5, &init("")).await.error_code), Some(ErrorCode::InvalidRequest));
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_takes_too_long_is_aborted() {
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    for version in [END_1, END_2] {
        let mut client = Client::start(&world, "t").await;
        if version == END_1 {
            assert_eq!(client.add(&world, &topic, 3).await, None);
        }
        client
            .produce(&world, &topic, if version == END_1 { PRODUCE_1 } else { PRODUCE_2 })
            .await
            .expect("taken");
        pass(Duration::from_millis(59_000)).await;
        assert_eq!(client.state(&world).await, "Ongoing");
        pass(Duration::from_millis(1_100)).await;
        await_state(&world, &client.transactional_id, "CompleteAbort").await;
        let read = read_committed(&world, &topic).await;
        assert_eq!(read.last_stable_offset, read.high_watermark);
        assert_eq!(client.end_code(&world, version, Commit).await, Some(ErrorCode::ProducerFenced));
        assert_eq!(client.produce(&world, &topic, PRODUCE_2).await, Err(ErrorCode::InvalidProducerEpoch));
        if version == END_2 {
            // It may ask what it is now, and go on.
            client.end(&world, END_2, Abort).await;
            client.produce(&world, &topic, PRODUCE_2).await.expect("taken");
        }
    }
}
