use super::*;

fn at(moment: u64) -> Moment {
    Duration::from_millis(moment)
}

fn id(number: u64) -> RecordId {
    RecordId { writer: 1, number }
}

fn records(numbers: impl IntoIterator<Item = (i64, u64)>) -> Vec<(i64, RecordId)> {
    numbers.into_iter().map(|(offset, number)| (offset, id(number))).collect()
}

fn acknowledged(moment: u64, offset: i64, number: u64) -> Acknowledged {
    Acknowledged { record: id(number), partition: 0, offset: Some(offset), at: at(moment) }
}

fn answer(broker: usize, time: std::ops::Range<u64>, told: Told) -> Answer {
    Answer { broker, partition: 0, began: at(time.start), ended: at(time.end), told }
}

fn fetched(from: i64, records: Vec<(i64, RecordId)>, high: Option<i64>) -> Told {
    Told::Records { from, records, ends: Ends { start: Some(0), stable: high, high } }
}

fn commit(offset: i64, moment: Option<u64>) -> Commit {
    Commit { group: 3, offset, at: moment.map(at) }
}

fn committed(broker: usize, time: std::ops::Range<u64>, offset: i64) -> Committed {
    Committed { broker, group: 3, began: at(time.start), ended: at(time.end), offset }
}

/// Three records, each acknowledged; two brokers are read, and one of them names no end for a while.
fn clean() -> History {
    History {
        acknowledged: vec![acknowledged(10, 0, 5), acknowledged(20, 1, 6), acknowledged(30, 2, 7)],
        answers: vec![
            answer(1, 5..12, fetched(0, vec![], Some(0))),
            answer(1, 12..13, fetched(0, records([(0, 5)]), Some(1))),
            answer(2, 15..25, fetched(1, vec![], Some(1))),
            answer(2, 22..35, Told::End(2)),
            answer(1, 31..40, fetched(0, records([(0, 5), (1, 6)]), None)),
            answer(2, 50..51, fetched(2, records([(2, 7)]), Some(3))),
            answer(2, 52..53, Told::OutOfRange { from: 9 }),
        ],
        last: BTreeMap::from([(0, records([(0, 5), (1, 6), (2, 7)]))]),
        // What became of the third offset is not known; it comes late, and the fourth after it.
        commits: vec![commit(1, Some(10)), commit(2, Some(20)), commit(3, None), commit(4, Some(40))],
        committed: vec![
            committed(1, 5..8, -1),
            committed(1, 11..12, 1),
            committed(2, 19..25, 1),
            committed(2, 41..42, 4),
            committed(2, 43..44, 3),
            committed(1, 43..44, 4),
        ],
    }
}

/// The clean history is clean; with a change it has this anomaly and no other.
fn check_caught(anomaly: Anomaly, change: impl FnOnce(&mut History)) {
    assert_eq!(clean().check(), Findings::default());
    let mut history = clean();
    change(&mut history);
    let findings = history.check();
    let found: Vec<Anomaly> = ANOMALIES.into_iter().filter(|kind| findings.count(*kind) > 0).collect();
    assert_eq!(found, [anomaly], "{findings}");
}

fn last(history: &mut History) -> &mut Vec<(i64, RecordId)> {
    history.last.get_mut(&0).expect("the partition")
}

#[test]
fn a_lost_record_is_found() {
    // Nobody read it, and its offset was given again: it is lost there, and its offset changed.
    let mut history = clean();
    history.answers.clear();
    last(&mut history)[2] = (2, id(8));
    let findings = history.check();
    assert_eq!((findings.count(Anomaly::Lost), findings.count(Anomaly::Changed)), (1, 1), "{findings}");
    history.acknowledged.pop();
    assert!(history.check().are_none());
    // Nobody was told where it was.
    let mut history = clean();
    history.acknowledged.push(Acknowledged { offset: None, ..acknowledged(40, 0, 9) });
    assert_eq!(history.check().count(Anomaly::Lost), 1);
    // The log is shorter than what was acknowledged.
    let mut history = clean();
    history.answers.truncate(5);
    last(&mut history).pop();
    assert_eq!(history.check().count(Anomaly::Lost), 1);
}

#[test]
fn a_record_that_stands_twice_is_found() {
    check_caught(Anomaly::Duplicated, |history| last(history).push((3, id(6))));
}

#[test]
fn a_record_in_two_partitions_is_found() {
    check_caught(Anomaly::Duplicated, |history| {
        history.last.insert(1, records([(0, 7)]));
    });
}

#[test]
fn records_in_another_order_are_found() {
    check_caught(Anomaly::Reordered, |history| last(history).push((3, id(4))));
}

#[test]
fn an_offset_with_another_record_is_found() {
    check_caught(Anomaly::Changed, |history| {
        history.answers.push(answer(1, 60..61, fetched(2, records([(2, 9)]), Some(3))));
    });
    // Acknowledged elsewhere than it stands.
    check_caught(Anomaly::Changed, |history| history.acknowledged[1].offset = Some(0));
}

#[test]
fn a_record_that_was_read_and_is_gone_is_found() {
    check_caught(Anomaly::Changed, |history| {
        history.answers.push(answer(1, 60..61, fetched(3, records([(3, 8)]), None)));
    });
}

#[test]
fn holes_are_found() {
    check_caught(Anomaly::Hole, |history| {
        history.answers.push(answer(1, 60..61, fetched(0, records([(0, 5), (2, 7)]), Some(3))));
    });
    check_caught(Anomaly::Hole, |history| {
        history.answers.push(answer(1, 60..61, fetched(0, records([(1, 6), (2, 7)]), Some(3))));
    });
    check_caught(Anomaly::Hole, |history| {
        history.answers.push(answer(1, 60..61, fetched(0, records([(0, 5), (0, 5)]), Some(3))));
    });
}

#[test]
fn an_end_that_goes_back_is_found_on_any_broker() {
    // Shown by one, not acknowledged yet, and not shown by the other.
    let shown = |history: &mut History| {
        history.acknowledged.pop();
        history.answers.truncate(5);
        history.answers.push(answer(1, 50..51, fetched(2, records([(2, 7)]), None)));
    };
    check_caught(Anomaly::WentBack, |history| {
        shown(history);
        history.answers.push(answer(2, 52..53, Told::End(2)));
    });
    check_caught(Anomaly::WentBack, |history| {
        shown(history);
        history.answers.push(answer(2, 52..53, fetched(2, vec![], None)));
    });
    // Asked before the other answer was there: nobody can tell.
    let mut history = clean();
    shown(&mut history);
    history.answers.push(answer(2, 50..53, Told::End(2)));
    assert!(history.check().are_none());
}

#[test]
fn a_log_start_and_a_stable_offset_that_go_back_are_found() {
    for ends in [
        Ends { start: Some(1), stable: Some(2), high: None },
        Ends { start: Some(0), stable: Some(3), high: None },
    ] {
        check_caught(Anomaly::WentBack, |history| {
            let told = |ends| Told::Records { from: 2, records: records([(2, 7)]), ends };
            history.answers.push(answer(1, 60..61, told(ends)));
            let back = Ends { start: Some(0), stable: Some(2), high: None };
            history.answers.push(answer(2, 62..63, told(back)));
            // The stable offset of the clean history is at the end already.
            history.answers.retain(|answer| answer.ended < at(45) || answer.began > at(55));
        });
    }
}

#[test]
fn an_acknowledged_record_that_another_broker_does_not_show_is_found() {
    check_caught(Anomaly::Unseen, |history| history.answers.push(answer(2, 31..33, Told::End(2))));
    check_caught(Anomaly::Unseen, |history| {
        history.answers.push(answer(2, 31..33, fetched(2, vec![], None)));
    });
    check_caught(Anomaly::Unseen, |history| {
        history.answers.push(answer(2, 31..33, Told::OutOfRange { from: 2 }));
    });
    check_caught(Anomaly::Unseen, |history| {
        history.answers.push(answer(2, 31..33, fetched(1, records([(1, 6)]), Some(2))));
    });
}

#[test]
fn an_offset_of_a_group_that_is_forgotten_is_found() {
    check_caught(Anomaly::Forgotten, |history| history.committed.push(committed(1, 21..22, 1)));
    check_caught(Anomaly::Forgotten, |history| history.committed.push(committed(1, 21..22, -1)));
    check_caught(Anomaly::Forgotten, |history| history.committed.push(committed(2, 41..42, 2)));
}

#[test]
fn pauses_are_told_for_a_time() {
    let history = clean();
    assert_eq!(history.longest_pause(0, at(0), at(100)), at(10));
    assert_eq!(history.longest_pause(0, at(15), at(16)), at(10), "one that reaches into it");
    assert_eq!(history.longest_pause(0, at(30), at(100)), at(0));
    assert_eq!(history.longest_pause(7, at(0), at(100)), at(0));
}
