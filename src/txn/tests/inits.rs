//! InitProducerId of those who go on (KIP-360), and its bounds.

use super::*;

#[test]
fn who_goes_on_gets_the_next_epoch_and_hears_it_again() {
    let mut setup = Setup::empty();
    assert_eq!(setup.init(Some(producer(FIRST, 0))), "100:1");
    assert_eq!(setup.init(Some(producer(FIRST, 0))), "100:1", "the answer was lost");
    setup.restart();
    assert_eq!(setup.init(Some(producer(FIRST, 0))), "100:1", "also by another coordinator");
    assert_eq!(setup.init(Some(producer(FIRST, 1))), "100:2", "a later error");
    assert_eq!(setup.init(Some(producer(FIRST, 0))), "ProducerFenced");
}

#[test]
fn a_newcomer_fences_who_would_go_on() {
    let mut setup = Setup::empty();
    assert_eq!(setup.init(Some(producer(FIRST, 0))), "100:1");
    assert_eq!(setup.init(None), "100:2");
    assert_eq!(setup.init(Some(producer(FIRST, 0))), "ProducerFenced");
    assert_eq!(setup.init(Some(producer(FIRST, 1))), "ProducerFenced");
}

#[test]
fn who_ended_or_was_too_slow_goes_on_with_the_epoch_of_that_end() {
    let mut setup = Setup::complete(Two, Commit);
    assert_eq!(setup.init(Some(producer(FIRST, 0))), "100:1");
    let mut setup = Setup::ongoing();
    setup.time_out();
    assert_eq!(setup.init(Some(producer(FIRST, 0))), "ConcurrentTransactions");
    setup.write_markers();
    assert_eq!(setup.init(Some(producer(FIRST, 0))), "100:1");
    assert_eq!(setup.end(Two, producer(FIRST, 0), Abort), "100:1", "it may still hear of its abort");
}

#[test]
fn who_goes_on_over_its_open_transaction_comes_again_until_it_is_aborted() {
    let mut setup = Setup::ongoing();
    assert_eq!(setup.init(Some(producer(FIRST, 0))), "ConcurrentTransactions");
    assert_eq!(setup.init(Some(producer(FIRST, 0))), "ConcurrentTransactions");
    setup.restart();
    setup.write_markers();
    assert_eq!(setup.end(Two, producer(FIRST, 0), Abort), "ProducerFenced", "this abort was not an EndTxn's");
    assert_eq!(setup.init(Some(producer(FIRST, 0))), "100:2");
    assert_eq!(setup.init(Some(producer(FIRST, 0))), "100:2");
}

#[test]
fn who_was_taken_over_in_its_open_transaction_does_not_come_back() {
    let mut setup = Setup::ongoing();
    assert_eq!(setup.init(None), "ConcurrentTransactions");
    assert_eq!(setup.init(Some(producer(FIRST, 0))), "ProducerFenced");
    setup.write_markers();
    assert_eq!(setup.init(Some(producer(FIRST, 0))), "ProducerFenced");
    assert_eq!(setup.init(None), "100:2");
}

#[test]
fn who_is_not_present_does_not_abort_the_open_transaction() {
    let mut setup = Setup::empty_at(5);
    setup.add(producer(FIRST, 5), &[0]);
    assert_eq!(setup.init(Some(producer(FIRST, 4))), "ProducerFenced");
    assert_eq!(setup.shape(), "Ongoing 100:5 #1");
}

#[test]
fn after_the_last_epoch_comes_another_id() {
    for expected in [None, Some(producer(FIRST, i16::MAX - 1))] {
        let mut setup = Setup::empty_at(i16::MAX - 1);
        assert!(setup.core.needs_producer_id());
        assert_eq!(setup.init(expected), "200:0");
        assert!(!setup.core.needs_producer_id());
        let again = setup.init(Some(producer(FIRST, i16::MAX - 1)));
        assert_eq!(again, if expected.is_some() { "200:0" } else { "ProducerFenced" });
        assert_eq!(setup.add(producer(FRESH, 0), &[0]), "#1");
    }
    let mut setup = Setup::empty_at(i16::MAX - 2);
    assert!(!setup.core.needs_producer_id());
    assert_eq!(setup.init(None), "100:32766", "which is the last that is given");
}

#[test]
fn a_take_over_at_the_last_epoch_fences_and_takes_another_id() {
    let mut setup = Setup::ongoing_at(i16::MAX - 1);
    assert_eq!(setup.init(None), "ConcurrentTransactions");
    assert_eq!(setup.core.markers_to_send().unwrap().producer_epoch.0, i16::MAX);
    setup.write_markers();
    assert_eq!(setup.init(None), "200:0");
}

#[test]
fn a_forgotten_instance_gets_an_id_like_a_new_one() {
    let mut setup = Setup::new();
    assert_eq!(setup.init(Some(producer(7, 3))), "100:0");
    assert_eq!(setup.init(Some(producer(7, 3))), "100:0");
}

#[test]
fn without_a_fresh_id_a_first_instance_must_come_again() {
    let mut setup = Setup::new();
    setup.fresh = None;
    assert!(setup.core.needs_producer_id());
    assert_eq!(setup.init(None), "CoordinatorNotAvailable");
    assert!(setup.core.stored().is_none() && setup.stores == 0);
}

#[test]
fn the_time_out_has_bounds() {
    for (timeout_ms, answer) in [
        (i32::MIN, "InvalidTransactionTimeout"),
        (-1, "InvalidTransactionTimeout"),
        (0, "InvalidTransactionTimeout"),
        (1, "100:0"),
        (900_000, "100:0"),
        (900_001, "InvalidTransactionTimeout"),
        (i32::MAX, "InvalidTransactionTimeout"),
    ] {
        assert_eq!(Setup::new().init_within(timeout_ms, None), answer, "{timeout_ms}");
    }
}

#[test]
fn each_instance_has_its_own_time_out() {
    let mut setup = Setup::empty();
    setup.init_within(5_000, None);
    setup.add(producer(FIRST, 1), &[0]);
    assert_eq!(setup.core.next_deadline(), Some(now() + Duration::from_secs(5)));
}
