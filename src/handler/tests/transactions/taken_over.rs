//! The coordinator dies, and another session goes on where it was.

use super::super::world::World;
use super::{
    Abort, Client, Commit, END_1, END_2, PRODUCE_1, PRODUCE_2, await_state, offsets_of, pass, read_committed,
};
use crate::wire::ErrorCode;
use std::time::Duration;

/// A broker that stores batches, and with them markers, only once a second.
async fn slow_world() -> World {
    World::with(|config| config.journal.flush_interval = Duration::from_secs(1)).await
}

#[tokio::test(start_paused = true)]
async fn a_prepared_transaction_is_completed_by_the_next_coordinator() {
    for (end, state, aborted) in [(Commit, "Commit", 0), (Abort, "Abort", 1)] {
        for version in [END_1, END_2] {
            let mut world = slow_world().await;
            let topic = world.create("a", 1).await;
            let mut client = Client::start(&world, "t").await;
            if version == END_1 {
                assert_eq!(client.add(&world, &topic, 3).await, None);
            }
            let produce_version = if version == END_1 { PRODUCE_1 } else { PRODUCE_2 };
            client.produce(&world, &topic, produce_version).await.expect("taken");
            assert_eq!(client.end_code(&world, version, end).await, None);
            assert_eq!(client.state(&world).await, format!("Prepare{state}"), "the marker is not stored yet");
            assert_eq!(read_committed(&world, &topic).await.last_stable_offset, 0);
            world.take_over().await;
            assert_eq!(read_committed(&world, &topic).await.last_stable_offset, 0);
            await_state(&world, &client.transactional_id, &format!("Complete{state}")).await;
            let read = read_committed(&world, &topic).await;
            assert_eq!((read.last_stable_offset, read.high_watermark), (3, 3), "one marker");
            assert_eq!(read.aborted_transactions.map(|list| list.len()), Some(aborted));
            let again = client.try_end(&world, version, end).await;
            assert_eq!(super::code(again.error_code), None, "who was not answered asks again");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_needs_to_ask_for_a_prepared_transaction_to_be_completed() {
    let mut world = slow_world().await;
    let topic = world.create("a", 1).await;
    let mut client = Client::start(&world, "t").await;
    client.produce(&world, &topic, PRODUCE_2).await.expect("taken");
    assert_eq!(client.end_code(&world, END_2, Commit).await, None);
    world.take_over().await;
    pass(Duration::from_secs(10)).await;
    assert_eq!(read_committed(&world, &topic).await.last_stable_offset, 3);
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_not_ready_is_tried_again_while_others_are_on_their_way() {
    let world = slow_world().await;
    let (topic, away) = (world.create("a", 1).await, world.create("b", 1).await);
    let mut client = Client::start(&world, "t").await;
    for topic in [&topic, &away] {
        assert_eq!(client.add(&world, topic, 3).await, None);
    }
    client.produce(&world, &topic, PRODUCE_1).await.expect("taken");
    world.context.log.remove(away.id);
    // It is open again only later, as when a view has brought it.
    let opens = async {
        pass(Duration::from_secs(1)).await;
        world.context.log.ensure(away.id, 1);
    };
    // Time goes on only while nobody is busy, so this would not return if the coordinator were.
    tokio::join!(client.end(&world, END_1, Commit), opens);
    for (topic, end) in [(&topic, 3), (&away, 1)] {
        assert_eq!(read_committed(&world, topic).await.last_stable_offset, end);
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_of_an_open_transaction_begins_anew_and_ends() {
    let mut world = World::new().await;
    let topic = world.create("a", 1).await;
    let mut client = Client::start(&world, "t").await;
    client.produce(&world, &topic, PRODUCE_2).await.expect("taken");
    world.take_over().await;
    pass(Duration::from_secs(62)).await;
    let read = read_committed(&world, &topic).await;
    assert_eq!((read.last_stable_offset, read.high_watermark), (3, 3), "aborted, though nobody asked");
}

#[tokio::test]
async fn an_open_transaction_goes_on_under_the_next_coordinator() {
    let mut world = World::new().await;
    let topic = world.create("a", 1).await;
    let mut client = Client::start(&world, "t").await;
    assert_eq!(client.produce(&world, &topic, PRODUCE_2).await, Ok(0));
    world.take_over().await;
    assert_eq!(client.produce(&world, &topic, PRODUCE_2).await, Ok(2));
    assert_eq!(client.state(&world).await, "Ongoing");
    client.end(&world, END_2, Commit).await;
    assert_eq!(client.epoch, 1);
    let read = read_committed(&world, &topic).await;
    assert_eq!((offsets_of(&read), read.aborted_transactions), ((0..5).collect(), Some(vec![])));
    world.take_over().await;
    assert_eq!(client.before().try_end(&world, END_2, Commit).await.producer_epoch, 1, "asked again");
    assert_eq!(client.produce(&world, &topic, PRODUCE_2).await, Ok(5));
}

#[tokio::test]
async fn what_was_fenced_stays_fenced() {
    let mut world = World::new().await;
    let topic = world.create("a", 1).await;
    let mut zombie = Client::start(&world, "t").await;
    zombie.produce(&world, &topic, PRODUCE_2).await.expect("taken");
    let present = Client::start(&world, "t").await;
    world.take_over().await;
    assert_eq!(zombie.produce(&world, &topic, PRODUCE_2).await, Err(ErrorCode::InvalidProducerEpoch));
    assert_eq!(zombie.end_code(&world, END_2, Commit).await, Some(ErrorCode::ProducerFenced));
    assert!(present.epoch < Client::start(&world, "t").await.epoch);
}

#[tokio::test]
async fn a_coordinator_of_the_past_claims_nothing() {
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    let mut client = Client::start(&world, "t").await;
    client.produce(&world, &topic, PRODUCE_2).await.expect("taken");
    world.seal().await;
    let gone = [Some(ErrorCode::CoordinatorNotAvailable), Some(ErrorCode::NotCoordinator)];
    for code in [
        client.end_code(&world, END_2, Commit).await,
        client.end_code(&world, END_1, Abort).await,
        client.add(&world, &topic, 3).await,
        client.before().add(&world, &topic, 3).await,
        client.add_offsets(&world, "g", 3).await,
        super::code(world.ask(5, &super::init("t")).await.error_code),
        super::code(world.ask(5, &super::init("new")).await.error_code),
        super::code(super::described(&world, &client.transactional_id).await.error_code),
    ] {
        assert!(gone.contains(&code), "{code:?}");
    }
    assert!(client.produce(&world, &topic, PRODUCE_2).await.is_err());
}
