//! Share sessions.

use super::fixture::*;
use crate::group::share::*;
use crate::types::TopicPartition;

fn change(session_epoch: i32, named: &[i32], forgotten: &[i32]) -> ShareSessionChange {
    let partitions = |numbers: &[i32]| numbers.iter().map(|&number| tp(1, number)).collect();
    ShareSessionChange {
        session_epoch,
        named: partitions(named),
        forgotten: partitions(forgotten),
        acknowledges: false,
    }
}

fn sorted(context: ShareFetchContext) -> Vec<i32> {
    let (ShareFetchContext::Fetch { partitions, .. } | ShareFetchContext::Close { partitions }) = context;
    let mut numbers: Vec<i32> = partitions.iter().map(|which: &TopicPartition| which.partition.0).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn a_session_remembers_its_partitions() {
    let mut sessions = ShareSessions::default();
    let client = client("g", "m", 1);
    for (epoch, named, forgotten, expected) in [
        (0, vec![0, 1], vec![], vec![0, 1]),
        (1, vec![], vec![], vec![0, 1]),
        (2, vec![2], vec![0], vec![1, 2]),
        // Named for its acknowledgements only.
        (3, vec![0], vec![0], vec![1, 2]),
        (4, vec![], vec![1, 2], vec![]),
        (0, vec![5], vec![], vec![5]),
        (1, vec![], vec![], vec![5]),
        (-1, vec![], vec![], vec![5]),
    ] {
        let context = sessions.fetch(at(0), &client, &change(epoch, &named, &forgotten)).unwrap();
        assert_eq!(matches!(context, ShareFetchContext::Close { .. }), epoch == -1);
        assert_eq!(sorted(context), expected, "{epoch}");
    }
    assert!(sessions.is_empty());
}

#[test]
fn epochs_count_fetches_and_acknowledgements() {
    let mut sessions = ShareSessions::default();
    let client = client("g", "m", 1);
    let not_found = ShareSessionFault::NotFound;
    assert_eq!(sessions.fetch(at(0), &client, &change(1, &[], &[])), Err(not_found));
    assert_eq!(sessions.fetch(at(0), &client, &change(-1, &[], &[])), Err(not_found));
    assert_eq!(sessions.acknowledge(at(0), &client, 1), Err(not_found));
    assert_eq!(sessions.acknowledge(at(0), &client, -1), Err(not_found));
    let opens = ShareSessionChange { acknowledges: true, ..change(0, &[0], &[]) };
    assert_eq!(sessions.fetch(at(0), &client, &opens), Err(ShareSessionFault::AcknowledgesUnopened));
    sessions.fetch(at(0), &client, &change(0, &[0], &[])).unwrap();
    assert_eq!(sessions.acknowledge(at(0), &client, 0), Err(ShareSessionFault::InvalidEpoch));
    assert_eq!(sessions.acknowledge(at(0), &client, 1), Ok(None));
    for epoch in [1, 3, -2, i32::MIN] {
        let fault = Err(ShareSessionFault::InvalidEpoch);
        assert_eq!(sessions.fetch(at(0), &client, &change(epoch, &[9], &[])), fault, "{epoch}");
    }
    assert_eq!(sorted(sessions.fetch(at(0), &client, &change(2, &[], &[])).unwrap()), [0]);
    assert_eq!(sessions.acknowledge(at(0), &client, -1), Ok(Some(vec![tp(1, 0)])));
    assert_eq!(sessions.acknowledge(at(0), &client, 3), Err(not_found));
}

#[test]
fn every_partition_is_first_in_its_turn() {
    let mut sessions = ShareSessions::default();
    let client = client("g", "m", 1);
    sessions.fetch(at(0), &client, &change(0, &[0, 1, 2], &[])).unwrap();
    let mut first = Vec::new();
    for epoch in 1..=3 {
        let ShareFetchContext::Fetch { partitions, .. } =
            sessions.fetch(at(0), &client, &change(epoch, &[], &[])).unwrap()
        else {
            panic!("it is not closed")
        };
        first.push(partitions[0].partition.0);
    }
    first.sort_unstable();
    assert_eq!(first, [0, 1, 2]);
}

#[test]
fn the_table_is_bounded_and_the_silent_make_room() {
    let mut sessions = ShareSessions::new(2);
    sessions.fetch(at(0), &client("g", "a", 1), &change(0, &[0], &[])).unwrap();
    sessions.fetch(at(100_000), &client("g", "b", 2), &change(0, &[0], &[])).unwrap();
    let third = client("h", "a", 3);
    let full = Err(ShareSessionFault::LimitReached);
    assert_eq!(sessions.fetch(at(119_999), &third, &change(0, &[0], &[])), full);
    assert!(sessions.fetch(at(119_999), &client("g", "b", 2), &change(0, &[0], &[])).is_ok());
    let context = sessions.fetch(at(120_000), &third, &change(0, &[0], &[])).unwrap();
    let evicted = Some((key("g", "a"), vec![tp(1, 0)]));
    assert_eq!(context, ShareFetchContext::Fetch { partitions: vec![tp(1, 0)], evicted });
    assert_eq!(sessions.len(), 2);
    let many: Vec<i32> = (0..200_000).collect();
    let too_many = sessions.fetch(at(120_000), &third, &change(1, &many, &[]));
    assert_eq!(too_many, Err(ShareSessionFault::LimitReached));
    assert!(sessions.fetch(at(120_000), &third, &change(1, &[], &[])).is_ok());
    assert_eq!(sessions.close(&third.key), Some(vec![tp(1, 0)]));
    assert_eq!(sessions.close(&third.key), None);
}

#[test]
fn sessions_end_with_the_connection_of_their_last_request() {
    let mut sessions = ShareSessions::default();
    let (before, after) = (client("g", "m", 1), client("g", "m", 2));
    sessions.fetch(at(0), &before, &change(0, &[0], &[])).unwrap();
    sessions.fetch(at(0), &client("g", "other", 1), &change(0, &[1], &[])).unwrap();
    sessions.fetch(at(0), &after, &change(1, &[], &[])).unwrap();
    assert!(!sessions.holds(&before) && sessions.holds(&after));
    assert_eq!(sessions.close_connection(1), [(key("g", "other"), vec![tp(1, 1)])]);
    assert_eq!(sessions.close_connection(2), [(key("g", "m"), vec![tp(1, 0)])]);
    assert!(sessions.is_empty() && sessions.close_connection(2).is_empty());
}
