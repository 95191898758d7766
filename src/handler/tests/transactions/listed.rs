//! What tools are shown: DescribeTransactions and ListTransactions.

use super::super::world::{NOW, World, text};
use super::{Client, Commit, END_2, PRODUCE_2, TIMEOUT_MS, described, id};
use crate::wire::ErrorCode;
use crate::wire::messages::{ListTransactionsRequest, ProducerId};
use std::time::Duration;

async fn listed(world: &World, request: ListTransactionsRequest) -> Vec<String> {
    let answer = world.ask(2, &request).await;
    assert_eq!(super::code(answer.error_code), None);
    let mut ids: Vec<_> =
        answer.transaction_states.iter().map(|one| one.transactional_id.to_string()).collect();
    ids.sort();
    ids
}

fn all() -> ListTransactionsRequest {
    ListTransactionsRequest::default().with_duration_filter(-1)
}

#[tokio::test]
async fn transactions_are_listed_by_what_is_asked_for() {
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    let empty = Client::start(&world, "app-empty").await;
    let mut ended = Client::start(&world, "app-ended").await;
    ended.produce(&world, &topic, PRODUCE_2).await.expect("taken");
    ended.end(&world, END_2, Commit).await;
    world.advance(Duration::from_secs(10));
    let mut open = Client::start(&world, "open").await;
    open.produce(&world, &topic, PRODUCE_2).await.expect("taken");
    world.advance(Duration::from_secs(5));

    let everything = ["app-empty", "app-ended", "open"];
    assert_eq!(listed(&world, all()).await, everything);
    let states = |states: &[&str]| all().with_state_filters(states.iter().map(|state| text(state)).collect());
    assert_eq!(listed(&world, states(&["Ongoing"])).await, ["open"]);
    assert_eq!(listed(&world, states(&["Empty", "CompleteCommit"])).await, ["app-empty", "app-ended"]);
    let of = |ids: Vec<ProducerId>| all().with_producer_id_filters(ids);
    assert_eq!(listed(&world, of(vec![empty.producer_id, open.producer_id])).await, ["app-empty", "open"]);
    assert_eq!(listed(&world, of(vec![ProducerId(987_654)])).await, Vec::<String>::new());
    let pattern = |pattern: &str| all().with_transactional_id_pattern(Some(text(pattern)));
    assert_eq!(listed(&world, pattern("app-.*")).await, ["app-empty", "app-ended"]);
    assert_eq!(listed(&world, pattern("app")).await, Vec::<String>::new(), "as a whole");
    assert_eq!(listed(&world, pattern("")).await, everything);
    let longer = |ms| all().with_duration_filter(ms);
    assert_eq!(
        listed(&world, longer(5_000).with_state_filters(vec![text("Ongoing")])).await,
        Vec::<String>::new()
    );
    assert_eq!(listed(&world, longer(4_999).with_state_filters(vec![text("Ongoing")])).await, ["open"]);
    let both = states(&["Ongoing"]).with_transactional_id_pattern(Some(text("app-.*")));
    assert_eq!(listed(&world, both).await, Vec::<String>::new());
}

#[tokio::test]
async fn filters_that_make_no_sense_are_named() {
    let world = World::new().await;
    Client::start(&world, "t").await;
    let answer = world.ask(2, &all().with_state_filters(vec![text("Sleeping"), text("Empty")])).await;
    assert_eq!(answer.unknown_state_filters, [text("Sleeping")]);
    assert_eq!(answer.transaction_states.len(), 1);
    let answer = world.ask(2, &all().with_state_filters(vec![text("Sleeping")])).await;
    assert_eq!((answer.unknown_state_filters.len(), answer.transaction_states.len()), (1, 0));
    let answer = world.ask(2, &all().with_transactional_id_pattern(Some(text("(")))).await;
    assert_eq!(super::code(answer.error_code), Some(ErrorCode::InvalidRegularExpression));
}

#[tokio::test]
async fn a_transaction_is_described_with_its_partitions() {
    let world = World::new().await;
    let (first, second) = (world.create("a", 2).await, world.create("b", 1).await);
    let mut client = Client::start(&world, "t").await;
    let state = described(&world, &client.transactional_id).await;
    assert_eq!((&*state.transaction_state, state.transaction_start_time_ms), ("Empty", -1));
    for (topic, partition) in [(&first, 0), (&first, 1), (&second, 0)] {
        client.produce_to(&world, topic, partition, PRODUCE_2).await.expect("taken");
    }
    let state = described(&world, &client.transactional_id).await;
    assert_eq!((state.error_code, &*state.transaction_state), (0, "Ongoing"));
    assert_eq!((state.producer_id, state.producer_epoch), (client.producer_id, 0));
    assert_eq!((state.transaction_timeout_ms, state.transaction_start_time_ms), (TIMEOUT_MS, NOW.get()));
    let mut places: Vec<_> =
        state.topics.iter().map(|topic| (topic.topic.to_string(), topic.partitions.clone())).collect();
    places.sort();
    assert_eq!(places, [("a".to_owned(), vec![0, 1]), ("b".to_owned(), vec![0])]);
    client.end(&world, END_2, Commit).await;
    assert_eq!(described(&world, &client.transactional_id).await.topics, []);
    let unknown = described(&world, &id("nobody")).await;
    assert_eq!(super::code(unknown.error_code), Some(ErrorCode::TransactionalIdNotFound));
    assert_eq!((unknown.producer_id, unknown.producer_epoch), (ProducerId(-1), -1));
}
