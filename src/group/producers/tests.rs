use super::*;

const ID: ProducerId = ProducerId(7);

fn end(epoch: i16, ordinal: i64, view: i32) -> EndOffsets {
    EndOffsets {
        producer_id: ID,
        producer_epoch: ProducerEpoch(epoch),
        ordinal: TransactionOrdinal(ordinal),
        verdict: Verdict::Commit,
        coordinator_view: ViewNumber(view),
    }
}

/// Epoch 5, transaction 3 ended, by view 2.
fn producers() -> Producers {
    let mut producers = Producers::default();
    producers.record(&end(5, 3, 2), Timestamp(0));
    producers
}

#[test]
fn offsets_are_taken_for_the_open_transaction_or_a_later_one_than_has_ended() {
    let open = |ordinal: i64| Some(TransactionOrdinal(ordinal));
    for (epoch, ordinal, open, expected) in [
        (5, 4, None, Ok(())),
        (6, 4, None, Ok(())),
        (5, 4, open(4), Ok(())),
        (5, 5, open(4), Err(ProducerFault::Concurrent)),
        (5, 3, None, Err(ProducerFault::Ended)),
        (5, 2, None, Err(ProducerFault::Ended)),
        (4, 4, None, Err(ProducerFault::Fenced)),
    ] {
        let checked = producers().check_offsets(ID, ProducerEpoch(epoch), TransactionOrdinal(ordinal), open);
        assert_eq!(checked, expected, "epoch {epoch}, transaction {ordinal}, open {open:?}");
    }
    let stranger = producers().check_offsets(ProducerId(8), ProducerEpoch(0), TransactionOrdinal(1), None);
    assert_eq!(stranger, Ok(()));
}

#[test]
fn an_end_counts_once_and_of_the_right_transaction_and_coordinator_only() {
    use EndAdmission::{New, Repeated};
    let open = |ordinal: i64| Some(TransactionOrdinal(ordinal));
    for (told, open, expected) in [
        (end(5, 4, 2), open(4), Ok(New)),
        (end(5, 4, 2), None, Ok(New)),
        (end(5, 3, 2), None, Ok(Repeated)),
        (end(5, 3, 2), open(4), Err(ProducerFault::Stale)),
        (end(5, 5, 2), open(4), Err(ProducerFault::Stale)),
        (end(5, 2, 2), None, Err(ProducerFault::Stale)),
        (end(5, 4, 1), open(4), Err(ProducerFault::Stale)),
        (end(4, 4, 2), open(4), Err(ProducerFault::Fenced)),
    ] {
        assert_eq!(producers().check_end(&told, open), expected, "{told:?} with {open:?} open");
    }
}

#[test]
fn the_stored_form_gives_back_what_was_stored() {
    let text = serde_json::to_string(&StoredProducers::from(&producers())).unwrap();
    assert_eq!(text, r#"{"v":1,"producers":{"7":{"epoch":5,"ended":3,"view":2,"at":0}}}"#);
    let stored: StoredProducers = serde_json::from_str(&text).unwrap();
    assert_eq!(Producers::from(stored), producers());
}

#[test]
fn only_so_many_are_remembered() {
    let mut producers = Producers::default();
    for id in 0..3_000 {
        producers.record(&EndOffsets { producer_id: ProducerId(id), ..end(0, 1, 1) }, Timestamp(id));
    }
    assert_eq!(producers.known.len(), PRODUCERS_MAX);
    assert!(producers.known.contains_key(&2_999) && !producers.known.contains_key(&0));
}
