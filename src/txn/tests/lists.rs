//! What tools see.

use super::*;

fn summary(state: TransactionState, producer_id: i64, started_at: Option<i64>) -> TransactionSummary {
    TransactionSummary { state, producer_id: ProducerId(producer_id), started_at: started_at.map(Timestamp) }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_transactional_id_is_described() {
    assert_eq!(Setup::new().core.describe(), Err(TxnError::TransactionalIdNotFound));
    assert_eq!(Setup::new().core.summary(), None);
    let view = Setup::ongoing().core.describe().unwrap();
    let expected = TransactionView {
        state: TransactionState::Ongoing,
        producer: producer(FIRST, 0),
        timeout_ms: 60_000,
        started_at: Some(wall()),
        last_update: wall(),
        ordinal: TransactionOrdinal(1),
        transaction_version: Some(Two),
        places: vec![place(0), place(100)],
    };
    assert_eq!(view, expected);
    let ended = Setup::complete(One, Commit).core.describe().unwrap();
    assert_eq!((ended.started_at, ended.transaction_version), (Some(wall()), Some(One)));
}

#[test]
fn each_part_of_a_filter_must_hold() {
    let all = TransactionFilter::default();
    let open = summary(TransactionState::Ongoing, 5, Some(1_000));
    let idle = summary(TransactionState::Empty, 6, None);
    let accepts = |filter: &TransactionFilter, of: &TransactionSummary| {
        filter.accepts("payments-1", of, Timestamp(3_000))
    };
    assert!(accepts(&all, &open) && accepts(&all, &idle));

    let mut states = all.clone();
    assert!(states.set_states(&names(&["Ongoing", "PrepareCommit"])).is_empty());
    assert!(accepts(&states, &open) && !accepts(&states, &idle));

    let ids = TransactionFilter { producer_ids: [ProducerId(6)].into(), ..all.clone() };
    assert!(!accepts(&ids, &open) && accepts(&ids, &idle));

    for (longer_than_ms, expected) in [(0, true), (1_999, true), (2_000, false), (u64::MAX, false)] {
        let durations = TransactionFilter { longer_than_ms: Some(longer_than_ms), ..all.clone() };
        assert_eq!(accepts(&durations, &open), expected, "{longer_than_ms}");
    }
    let durations = TransactionFilter { longer_than_ms: Some(0), ..all.clone() };
    assert!(accepts(&durations, &idle), "as Apache Kafka has it");
    assert!(!durations.accepts("x", &open, Timestamp(0)), "the clock was set back");

    for (pattern, expected) in
        [("payments-.*", true), ("payments", false), ("x|payments-1", true), ("", false)]
    {
        let id_pattern = Some(IdPattern::parse(pattern).unwrap());
        assert_eq!(accepts(&TransactionFilter { id_pattern, ..all.clone() }, &open), expected, "{pattern}");
    }
}

#[test]
fn unknown_states_are_told_and_hold_for_none() {
    let mut filter = TransactionFilter::default();
    let unknown = filter.set_states(&names(&["ongoing", "Dead", "PrepareEpochFence", "Nonsense"]));
    assert_eq!(unknown, ["ongoing", "Nonsense"]);
    let open = summary(TransactionState::Ongoing, 5, Some(1_000));
    assert!(!filter.accepts("t", &open, wall()));
    assert!(filter.set_states(&[]).is_empty());
    assert!(filter.accepts("t", &open, wall()));
}

#[test]
fn an_expression_must_be_one_and_small() {
    for bad in ["(", "a)(b", "*", &"a".repeat(5000), "((a{100}){100}){100}", &"(".repeat(100)] {
        assert_eq!(IdPattern::parse(bad).err(), Some(TxnError::InvalidRegularExpression), "{bad}");
    }
}

#[test]
fn states_have_kafkas_names() {
    for state in TransactionState::ALL {
        assert_eq!(TransactionState::from_name(&state.to_string()), Some(state));
    }
}

#[test]
fn only_what_is_at_rest_is_forgotten() {
    let week = Duration::from_hours(7 * 24);
    let later = Timestamp(wall().0 + 7 * 24 * 3_600_000);
    let just_before = Timestamp(later.0 - 1);
    for (setup, expected) in [
        (Setup::empty(), true),
        (Setup::ongoing(), false),
        (Setup::prepare(Two, Commit), false),
        (Setup::complete(Two, Commit), true),
        (Setup::complete(One, Abort), true),
    ] {
        assert_eq!(setup.core.is_expired(later, week), expected, "{}", setup.shape());
        assert!(!setup.core.is_expired(just_before, week));
        assert!(!setup.core.is_expired(Timestamp(0), week));
    }
}
