//! EndTxn when epochs are used up, and what a client may hear twice.

use super::*;

const LAST: i16 = i16::MAX - 1;

#[test]
fn after_the_last_epoch_a_client_goes_on_with_another_id() {
    for verdict in [Commit, Abort] {
        let mut setup = Setup::ongoing_at(LAST);
        assert!(setup.core.needs_producer_id());
        assert_eq!(setup.end(Two, producer(FIRST, LAST), verdict), "200:0");
        let markers = setup.core.markers_to_send().unwrap();
        assert_eq!((markers.producer_id.0, markers.producer_epoch.0), (FIRST, i16::MAX));
        assert_eq!(
            setup.add(producer(FRESH, 0), &[1]),
            "ConcurrentTransactions",
            "while the old id is ended"
        );
        assert_eq!(setup.end(Two, producer(FRESH, 0), Commit), "ConcurrentTransactions");
        assert_eq!(setup.add(producer(FIRST, i16::MAX), &[1]), "ProducerFenced", "that epoch is nobody's");
        setup.write_markers();
        assert!(setup.shape().ends_with(" 200:0 #1"));
        assert_eq!(setup.add(producer(FRESH, 0), &[1]), "#2");
        assert_eq!(setup.add(producer(FIRST, LAST), &[1]), "InvalidProducerIdMapping");
    }
}

#[test]
fn the_answer_after_the_last_epoch_is_the_same_again() {
    let mut setup = Setup::ongoing_at(LAST);
    setup.end(Two, producer(FIRST, LAST), Commit);
    setup.fresh = None;
    for step in ["prepared", "restarted", "complete", "restarted"] {
        match step {
            "restarted" => setup.restart(),
            "complete" => setup.write_markers(),
            _ => {}
        }
        let stores = setup.stores;
        assert_eq!(setup.end(Two, producer(FIRST, LAST), Commit), "200:0", "{step}");
        assert_eq!(setup.end(Two, producer(FIRST, LAST), Abort), "ProducerFenced", "{step}");
        assert_eq!(setup.stores, stores);
    }
    assert_eq!(setup.init(Some(producer(FIRST, LAST))), "200:0");
}

#[test]
fn an_empty_abort_with_the_last_epoch_takes_another_id_at_once() {
    let mut setup = Setup::empty_at(LAST);
    assert_eq!(setup.end(Two, producer(FIRST, LAST), Abort), "200:0");
    assert_eq!(setup.shape(), "CompleteAbort 200:0 #0");
    assert_eq!(setup.end(Two, producer(FIRST, LAST), Abort), "200:0");
    assert_eq!(setup.end(Two, producer(FIRST, LAST), Commit), "ProducerFenced");
}

#[test]
fn a_time_out_with_the_last_epoch_fences_and_its_client_gets_another_id() {
    for before in [true, false] {
        let mut setup = Setup::ongoing_at(LAST);
        setup.time_out();
        assert_eq!(setup.shape(), "PrepareAbort 100:32767 #1");
        if !before {
            setup.write_markers();
        }
        assert_eq!(setup.add(producer(FIRST, i16::MAX), &[1]), "ProducerFenced");
        assert_eq!(setup.end(Two, producer(FIRST, LAST), Abort), "200:0");
        setup.fresh = Some(ProducerId(FRESH + 1));
        assert_eq!(setup.end(Two, producer(FIRST, LAST), Abort), "200:0", "and no third one");
        if before {
            assert_eq!(setup.core.markers_to_send().unwrap().producer_epoch.0, i16::MAX);
            setup.write_markers();
        }
        assert_eq!(setup.shape(), "CompleteAbort 200:0 #1");
    }
}

#[test]
fn without_a_fresh_id_nothing_happens() {
    let mut setup = Setup::ongoing_at(LAST);
    setup.fresh = None;
    let stores = setup.stores;
    assert_eq!(setup.end(Two, producer(FIRST, LAST), Commit), "CoordinatorNotAvailable");
    assert_eq!((setup.stores, setup.shape().as_str()), (stores, "Ongoing 100:32766 #1"));
}

#[test]
fn version_1_ends_with_the_last_epoch_too() {
    let mut setup = Setup::ongoing_at(LAST);
    assert_eq!(setup.end(One, producer(FIRST, LAST), Commit), "100:32766");
    setup.write_markers();
    assert_eq!(setup.init(None), "200:0");
}

#[test]
fn an_end_is_forgotten_when_the_next_transaction_begins() {
    let mut setup = Setup::complete(Two, Commit);
    setup.add(producer(FIRST, 1), &[0]);
    assert_eq!(setup.end(Two, producer(FIRST, 0), Commit), "ProducerFenced");
    assert_eq!(setup.init(Some(producer(FIRST, 0))), "ProducerFenced");
    assert_eq!(setup.shape(), "Ongoing 100:1 #2");
}

#[test]
fn an_end_is_forgotten_when_a_new_instance_comes() {
    let mut setup = Setup::complete(Two, Commit);
    assert_eq!(setup.init(None), "100:2");
    assert_eq!(setup.end(Two, producer(FIRST, 0), Commit), "ProducerFenced");
    assert_eq!(setup.end(Two, producer(FIRST, 1), Abort), "ProducerFenced");
}
