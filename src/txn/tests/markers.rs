//! When markers are sent, and when a transaction is complete.

use super::*;

#[test]
fn no_marker_is_sent_before_the_decision_is_stored() {
    let mut setup = Setup::ongoing();
    let request = EndTxnRequest {
        producer: producer(FIRST, 0),
        verdict: Commit,
        transaction_version: Two,
        fresh_producer_id: None,
    };
    setup.core.on_end(request, wall()).unwrap();
    assert_eq!(setup.core.markers_to_send(), None);
    setup.core.on_marker_written(&place(0), TransactionOrdinal(1), wall());
    assert!(setup.core.take_dirty());
    assert_eq!(setup.core.markers_to_send(), None, "the store is under way");
    setup.core.on_stored(wall());
    let markers = Markers {
        producer_id: ProducerId(FIRST),
        producer_epoch: ProducerEpoch(1),
        verdict: Commit,
        ordinal: TransactionOrdinal(1),
        places: vec![place(0), place(100)],
    };
    assert_eq!(setup.core.markers_to_send(), Some(markers));
}

#[test]
fn a_store_that_began_before_the_decision_does_not_count() {
    let mut setup = Setup::ongoing();
    let request =
        AddPlacesRequest { producer: producer(FIRST, 0), places: vec![place(5)], transaction_version: Two };
    setup.core.on_add_places(request, now(), wall()).unwrap();
    assert!(setup.core.take_dirty());
    setup.core.on_force_abort(wall()).unwrap();
    setup.core.on_stored(wall());
    assert_eq!(setup.core.markers_to_send(), None);
    setup.settle();
    assert_eq!(setup.core.markers_to_send().unwrap().places.len(), 3);
}

#[test]
fn a_transaction_is_complete_when_each_place_has_its_marker() {
    let mut setup = Setup::prepare(Two, Abort);
    setup.core.on_marker_written(&place(0), TransactionOrdinal(1), wall());
    setup.core.on_marker_written(&place(0), TransactionOrdinal(1), wall());
    setup.core.on_marker_written(&place(3), TransactionOrdinal(1), wall());
    setup.core.on_marker_written(&place(100), TransactionOrdinal(0), wall());
    setup.core.on_marker_written(&place(100), TransactionOrdinal(2), wall());
    assert!(!setup.core.take_dirty());
    assert_eq!(setup.core.markers_to_send().unwrap().places, [place(100)]);
    setup.core.on_marker_written(&place(100), TransactionOrdinal(1), wall());
    assert!(setup.core.take_dirty());
    assert_eq!((setup.core.markers_to_send(), setup.core.state()), (None, TransactionState::CompleteAbort));
    assert!(setup.core.describe().unwrap().places.is_empty());
}

#[test]
fn a_new_coordinator_sends_all_markers_again() {
    let mut setup = Setup::prepare(One, Commit);
    setup.core.on_marker_written(&place(0), TransactionOrdinal(1), wall());
    setup.restart();
    let markers = setup.core.markers_to_send().unwrap();
    assert_eq!((markers.places.len(), markers.producer_epoch.0, markers.verdict), (2, 0, Commit));
}

#[test]
fn a_transaction_without_places_is_complete_once_it_is_decided() {
    for restarted in [false, true] {
        let mut setup = Setup::empty();
        setup.add(producer(FIRST, 0), &[]);
        let request = EndTxnRequest {
            producer: producer(FIRST, 0),
            verdict: Commit,
            transaction_version: One,
            fresh_producer_id: None,
        };
        setup.core.on_end(request, wall()).unwrap();
        assert!(setup.core.take_dirty());
        assert_eq!(setup.core.state(), TransactionState::PrepareCommit);
        if restarted {
            setup.restart();
        } else {
            setup.core.on_stored(wall());
            assert!(setup.core.take_dirty());
        }
        assert_eq!(setup.core.state(), TransactionState::CompleteCommit);
    }
}
