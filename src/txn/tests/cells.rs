//! Each request in each stage, as the rules have them.

use super::*;

/// The stages by name; in all of them the present epoch is that of `present`.
fn at(stage: &str) -> Setup {
    match stage {
        "Blank" => Setup::new(),
        "Empty" => Setup::empty(),
        "Ongoing" => Setup::ongoing(),
        "PrepareCommit1" => Setup::prepare(One, Commit),
        "PrepareAbort1" => Setup::prepare(One, Abort),
        "PrepareCommit2" => Setup::prepare(Two, Commit),
        "PrepareAbort2" => Setup::prepare(Two, Abort),
        "CompleteCommit1" => Setup::complete(One, Commit),
        "CompleteAbort1" => Setup::complete(One, Abort),
        "CompleteCommit2" => Setup::complete(Two, Commit),
        "CompleteAbort2" => Setup::complete(Two, Abort),
        "TimedOut" => {
            let mut setup = Setup::ongoing();
            setup.time_out();
            setup
        }
        "TakenOver" => {
            let mut setup = Setup::ongoing();
            assert_eq!(setup.init(None), "ConcurrentTransactions");
            setup
        }
        other => panic!("no stage {other}"),
    }
}

fn present(stage: &str) -> i16 {
    let bumped = stage.ends_with('2') || matches!(stage, "TimedOut" | "TakenOver");
    i16::from(bumped)
}

/// The answer, and what is stored after it; `=` if nothing was stored.
fn check(stage: &str, ask: impl Fn(&mut Setup) -> String, expected: &str) {
    let mut setup = at(stage);
    let stores = setup.stores;
    let answer = ask(&mut setup);
    let after = if setup.stores == stores { "=".to_owned() } else { setup.shape() };
    assert_eq!(format!("{answer}, {after}"), expected, "in {stage}");
}

const STAGES: [&str; 13] = [
    "Blank",
    "Empty",
    "Ongoing",
    "PrepareCommit1",
    "PrepareAbort1",
    "PrepareCommit2",
    "PrepareAbort2",
    "CompleteCommit1",
    "CompleteAbort1",
    "CompleteCommit2",
    "CompleteAbort2",
    "TimedOut",
    "TakenOver",
];

#[test]
fn a_place_is_added_to_the_open_transaction_or_begins_one() {
    for stage in STAGES {
        let epoch = present(stage);
        let expected = match stage {
            "Blank" => "InvalidProducerIdMapping, =".to_owned(),
            "Empty" => "#1, Ongoing 100:0 #1".to_owned(),
            "Ongoing" => "#1, Ongoing 100:0 #1".to_owned(),
            _ if stage.starts_with("Complete") => format!("#2, Ongoing 100:{epoch} #2"),
            _ => "ConcurrentTransactions, =".to_owned(),
        };
        check(stage, |setup| setup.add(producer(FIRST, epoch), &[1]), &expected);
    }
}

#[test]
fn a_place_that_is_there_is_not_stored_again() {
    check("Ongoing", |setup| setup.add(producer(FIRST, 0), &[0, 100, 0]), "#1, =");
}

#[test]
fn a_new_transaction_has_only_its_own_places() {
    let mut setup = at("CompleteCommit2");
    setup.add(producer(FIRST, 1), &[7]);
    assert_eq!(setup.core.describe().unwrap().places, [place(7)]);
}

#[test]
fn another_epoch_or_id_is_refused_everywhere() {
    for stage in STAGES.into_iter().filter(|stage| *stage != "Blank") {
        let epoch = present(stage);
        for wrong in [epoch + 1, epoch + 2, i16::MAX, -1] {
            let wrong = producer(FIRST, wrong);
            check(stage, |setup| setup.add(wrong, &[1]), "ProducerFenced, =");
            check(stage, |setup| setup.verify(wrong, 0), "ProducerFenced, =");
            check(stage, |setup| setup.end(One, wrong, Commit), "ProducerFenced, =");
            check(stage, |setup| setup.end(Two, wrong, Abort), "ProducerFenced, =");
            check(stage, |setup| setup.init(Some(wrong)), "ProducerFenced, =");
        }
        let wrong = producer(FIRST + 1, epoch);
        check(stage, |setup| setup.add(wrong, &[1]), "InvalidProducerIdMapping, =");
        check(stage, |setup| setup.verify(wrong, 0), "InvalidProducerIdMapping, =");
        check(stage, |setup| setup.end(One, wrong, Abort), "InvalidProducerIdMapping, =");
        check(stage, |setup| setup.end(Two, wrong, Abort), "InvalidProducerIdMapping, =");
        check(stage, |setup| setup.init(Some(wrong)), "ProducerFenced, =");
    }
}

#[test]
fn a_place_is_verified_only_in_the_open_transaction_that_has_it() {
    for stage in STAGES {
        let producer = producer(FIRST, present(stage));
        let (there, other) = match stage {
            "Blank" => ("InvalidProducerIdMapping, =", "InvalidProducerIdMapping, ="),
            "Ongoing" => ("#1, =", "InvalidTxnState, ="),
            _ => ("InvalidTxnState, =", "InvalidTxnState, ="),
        };
        check(stage, |setup| setup.verify(producer, 0), there);
        check(stage, |setup| setup.verify(producer, 1), other);
    }
}

#[test]
fn version_2_ends_with_the_present_epoch() {
    for stage in STAGES {
        let epoch = present(stage);
        let producer = producer(FIRST, epoch);
        let next = epoch + 1;
        let (commit, abort) = match stage {
            "Blank" => ("InvalidProducerIdMapping, =".to_owned(), "InvalidProducerIdMapping, =".to_owned()),
            "Ongoing" => {
                ("100:1, PrepareCommit 100:1 #1".to_owned(), "100:1, PrepareAbort 100:1 #1".to_owned())
            }
            "Empty" => ("InvalidTxnState, =".to_owned(), "100:1, CompleteAbort 100:1 #0".to_owned()),
            _ if stage.starts_with("Complete") => {
                ("InvalidTxnState, =".to_owned(), format!("100:{next}, CompleteAbort 100:{next} #1"))
            }
            _ => ("ConcurrentTransactions, =".to_owned(), "ConcurrentTransactions, =".to_owned()),
        };
        check(stage, |setup| setup.end(Two, producer, Commit), &commit);
        check(stage, |setup| setup.end(Two, producer, Abort), &abort);
    }
}

#[test]
fn version_2_may_end_again_with_the_epoch_before_and_the_same_verdict() {
    for stage in STAGES.into_iter().filter(|stage| present(stage) == 1) {
        let is_aborted = stage.contains("Abort") || stage == "TimedOut";
        let (commit, abort) = match stage {
            "TakenOver" => ("ProducerFenced, =", "ProducerFenced, ="),
            _ if is_aborted => ("ProducerFenced, =", "100:1, ="),
            _ => ("100:1, =", "ProducerFenced, ="),
        };
        check(stage, |setup| setup.end(Two, producer(FIRST, 0), Commit), commit);
        check(stage, |setup| setup.end(Two, producer(FIRST, 0), Abort), abort);
        for verdict in [Commit, Abort] {
            check(stage, |setup| setup.end(One, producer(FIRST, 0), verdict), "ProducerFenced, =");
        }
    }
}

#[test]
fn version_1_ends_and_keeps_its_epoch() {
    for stage in STAGES {
        let epoch = present(stage);
        let producer = producer(FIRST, epoch);
        let again = format!("100:{epoch}, =");
        let (commit, abort) = match stage {
            "Blank" => ("InvalidProducerIdMapping, =", "InvalidProducerIdMapping, ="),
            "Empty" => ("InvalidTxnState, =", "InvalidTxnState, ="),
            "Ongoing" => ("100:0, PrepareCommit 100:0 #1", "100:0, PrepareAbort 100:0 #1"),
            _ if stage.starts_with("CompleteCommit") => (again.as_str(), "InvalidTxnState, ="),
            _ if stage.starts_with("CompleteAbort") => ("InvalidTxnState, =", again.as_str()),
            _ => ("ConcurrentTransactions, =", "ConcurrentTransactions, ="),
        };
        check(stage, |setup| setup.end(One, producer, Commit), commit);
        check(stage, |setup| setup.end(One, producer, Abort), abort);
    }
}

#[test]
fn a_new_instance_waits_until_the_last_transaction_is_ended() {
    for stage in STAGES {
        let next = present(stage) + 1;
        let expected = match stage {
            "Blank" => "100:0, Empty 100:0 #0".to_owned(),
            "Empty" => "100:1, Empty 100:1 #0".to_owned(),
            "Ongoing" => "ConcurrentTransactions, PrepareAbort 100:1 #1".to_owned(),
            _ if stage.starts_with("Complete") => format!("100:{next}, Empty 100:{next} #1"),
            _ => "ConcurrentTransactions, =".to_owned(),
        };
        check(stage, |setup| setup.init(None), &expected);
    }
}

#[test]
fn only_an_open_transaction_is_aborted_for_its_age_or_an_operator() {
    for stage in STAGES {
        let expected = match stage {
            "Blank" => "TransactionalIdNotFound, =",
            "Ongoing" => "done, PrepareAbort 100:1 #1",
            "Empty" => "InvalidTxnState, =",
            _ if stage.starts_with("Complete") => "InvalidTxnState, =",
            _ => "ConcurrentTransactions, =",
        };
        let force = |setup: &mut Setup| {
            let answer = setup.core.on_force_abort(wall()).show();
            setup.settle();
            answer
        };
        check(stage, force, expected);
        assert_eq!(at(stage).core.next_deadline().is_some(), stage == "Ongoing", "in {stage}");
        let age = |setup: &mut Setup| {
            setup.core.on_time(now() + Duration::from_secs(3600), wall());
            setup.settle();
            String::new()
        };
        check(stage, age, if stage == "Ongoing" { ", PrepareAbort 100:1 #1" } else { ", =" });
    }
}

#[test]
fn a_transaction_is_not_aborted_before_its_time() {
    let mut setup = Setup::ongoing();
    assert_eq!(setup.core.next_deadline(), Some(now() + Duration::from_mins(1)));
    setup.core.on_time(now() + Duration::from_millis(59_999), wall());
    assert!(!setup.core.take_dirty());
}
