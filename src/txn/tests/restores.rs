//! What is stored, its size, and what comes back.

use super::*;

#[test]
fn what_is_stored_reads_so() {
    let mut setup = Setup::prepare(Two, Commit);
    let stored = serde_json::to_string(&setup.core.stored().unwrap()).unwrap();
    let expected = concat!(
        r#"{"version":1,"producer":{"id":100,"epoch":1},"next_producer_id":null,"stage":"prepare_commit","#,
        r#""ordinal":1,"topics":[{"topic_id":"00000000000000000000000000000001","partitions":[0]}],"groups":["g100"],"#,
        r#""retry":{"of":"end","previous":{"id":100,"epoch":0}},"timeout_ms":60000,"started_at":1763700000000,"#,
        r#""last_update":1763700000000,"transaction_version":2}"#
    );
    assert_eq!(stored, expected);
    let before = setup.core.stored();
    setup.restart();
    assert_eq!(setup.core.stored(), before);
}

#[test]
fn an_open_transaction_has_its_whole_time_again() {
    let mut setup = Setup::ongoing();
    let later = now() + Duration::from_secs(50);
    let stored = setup.core.stored().unwrap();
    setup.core = Transaction::restore(stored, TransactionConfig::default(), later).unwrap();
    assert_eq!(setup.core.next_deadline(), Some(later + Duration::from_mins(1)));
    assert!(!setup.core.take_dirty());
}

#[test]
fn what_contradicts_itself_is_not_gone_on_with() {
    let good = Setup::ongoing().core.stored().unwrap();
    let check = |change: fn(&mut StoredTransaction)| {
        let mut bad = good.clone();
        change(&mut bad);
        assert!(Transaction::restore(bad, TransactionConfig::default(), now()).is_err());
    };
    check(|bad| bad.version = 2);
    check(|bad| bad.producer.id = -1);
    check(|bad| bad.producer.epoch = -1);
    check(|bad| bad.producer.epoch = i16::MAX);
    check(|bad| bad.next_producer_id = Some(3));
    check(|bad| bad.ordinal = 0);
    check(|bad| bad.ordinal = i64::MAX);
    check(|bad| bad.stage = StoredStage::Empty);
    check(|bad| bad.stage = StoredStage::CompleteCommit);
    check(|bad| bad.topics[0].topic_id = "x".to_owned());
    check(|bad| bad.topics[0].partitions = (0..100_001).collect());
    check(|bad| {
        let previous = bad.producer;
        *bad = Setup::empty().core.stored().unwrap();
        bad.retry = Some(StoredRetry { of: StoredRetryOf::End, previous });
    });
}

/// The longest value that the core lets be stored.
fn stored_bytes(setup: &Setup) -> usize {
    serde_json::to_vec(&setup.core.stored().unwrap()).unwrap().len()
}

#[test]
fn a_transaction_has_a_hundred_thousand_places_at_most() {
    let mut setup = Setup::empty();
    let client = producer(FIRST, 0);
    let partitions = |range: std::ops::Range<i32>| {
        let topic_id = TopicId(Uuid::from_u128(9));
        let place = |index| Place::Partition(TopicPartition { topic_id, partition: PartitionIndex(index) });
        range.map(place).collect::<Vec<_>>()
    };
    let add = |setup: &mut Setup, places| {
        let request = AddPlacesRequest { producer: client, places, transaction_version: One };
        let answer = setup.core.on_add_places(request, now(), wall()).show();
        setup.settle();
        answer
    };
    assert_eq!(add(&mut setup, partitions(0..100_001)), "InvalidRequest");
    assert_eq!(setup.shape(), "Empty 100:0 #0", "nothing was begun");
    assert_eq!(add(&mut setup, partitions(0..99_999)), "#1");
    let stores = setup.stores;
    assert_eq!(add(&mut setup, partitions(99_998..100_001)), "InvalidRequest");
    assert_eq!(setup.stores, stores);
    assert_eq!(setup.core.describe().unwrap().places.len(), 99_999, "all or none");
    assert_eq!(add(&mut setup, partitions(0..100_000)), "#1");
    assert!(stored_bytes(&setup) < 1 << 20);
}

#[test]
fn what_is_stored_stays_below_its_limit() {
    let client = producer(FIRST, 0);
    let topics = |number: i32| {
        let topic_id = TopicId(Uuid::from_u128(u128::try_from(number).unwrap()));
        Place::Partition(TopicPartition { topic_id, partition: PartitionIndex(i32::MIN + number) })
    };
    let groups = |number: i32| Place::Group(format!("{number}{}", "\u{1}\"\\".repeat(1000)).into());
    for make in [&topics as &dyn Fn(i32) -> Place, &groups] {
        let mut setup = Setup::empty();
        let mut places = (0..).map(make);
        let refused = loop {
            let places = places.by_ref().take(20).collect();
            let request = AddPlacesRequest { producer: client, places, transaction_version: One };
            if let Err(error) = setup.core.on_add_places(request, now(), wall()) {
                break error;
            }
        };
        assert_eq!(refused, TxnError::InvalidRequest);
        let bytes = stored_bytes(&setup);
        assert!((1 << 19..1 << 20).contains(&bytes), "{bytes}");
        let before = setup.core.stored();
        setup.restart();
        assert_eq!(setup.core.stored(), before);
    }
}
