use super::*;

const P0: PartitionIndex = PartitionIndex(0);
const P1: PartitionIndex = PartitionIndex(1);
const PRODUCER: ProducerId = ProducerId(7);
const ORDINAL: TransactionOrdinal = TransactionOrdinal(3);

fn at(offset: i64, committed_at: i64) -> CommittedOffset {
    let metadata = format!("m{offset}");
    CommittedOffset {
        offset: Offset(offset),
        leader_epoch: 5,
        metadata,
        committed_at: Timestamp(committed_at),
    }
}

fn offset(offsets: &TopicOffsets, partition: PartitionIndex) -> Option<i64> {
    offsets.get(partition).map(|committed| committed.offset.0)
}

#[test]
fn the_last_commit_counts() {
    let mut offsets = TopicOffsets::default();
    offsets.commit(P0, at(5, 1));
    offsets.commit(P0, at(3, 2));
    assert_eq!((offset(&offsets, P0), offset(&offsets, P1)), (Some(3), None));
}

#[test]
fn pending_offsets_count_once_their_transaction_is_committed() {
    for (result, expected) in [(Verdict::Commit, Some(9)), (Verdict::Abort, Some(5))] {
        let mut offsets = TopicOffsets::default();
        offsets.commit(P0, at(5, 1));
        offsets.pend(PRODUCER, ORDINAL, P0, at(9, 2));
        assert_eq!(
            (offset(&offsets, P0), offsets.is_unstable(P0), offsets.is_unstable(P1)),
            (Some(5), true, false)
        );
        assert!(offsets.end(PRODUCER, ORDINAL, result));
        assert_eq!((offset(&offsets, P0), offsets.is_unstable(P0)), (expected, false));
        assert!(!offsets.end(PRODUCER, ORDINAL, Verdict::Commit), "twice is once");
        assert_eq!(offset(&offsets, P0), expected);
    }
}

#[test]
fn a_commit_after_a_pending_one_is_not_undone_by_it() {
    let mut offsets = TopicOffsets::default();
    offsets.pend(PRODUCER, ORDINAL, P0, at(9, 1));
    offsets.commit(P0, at(12, 2));
    offsets.end(PRODUCER, ORDINAL, Verdict::Commit);
    assert_eq!(offset(&offsets, P0), Some(12));
}

#[test]
fn the_end_of_another_transaction_changes_nothing() {
    let mut offsets = TopicOffsets::default();
    offsets.pend(PRODUCER, ORDINAL, P0, at(9, 1));
    assert!(!offsets.end(PRODUCER, TransactionOrdinal(2), Verdict::Commit));
    assert_eq!((offset(&offsets, P0), offsets.pending_of(PRODUCER)), (None, Some(ORDINAL)));
}

#[test]
fn deleted_offsets_are_gone_pending_or_not() {
    let mut offsets = TopicOffsets::default();
    offsets.commit(P0, at(5, 1));
    offsets.pend(PRODUCER, ORDINAL, P0, at(9, 1));
    assert!(offsets.delete(P0));
    assert!(!offsets.delete(P0) && offsets.is_empty());
}

#[test]
fn what_is_old_expires_unless_a_transaction_is_about_to_replace_it() {
    let mut offsets = TopicOffsets::default();
    offsets.commit(P0, at(5, 100));
    offsets.commit(P1, at(5, 200));
    assert!(!offsets.expire(Timestamp(100)));
    offsets.pend(PRODUCER, ORDINAL, P0, at(9, 300));
    assert!(!offsets.expire(Timestamp(200)));
    offsets.end(PRODUCER, ORDINAL, Verdict::Abort);
    assert!(offsets.expire(Timestamp(200)));
    assert_eq!(offsets.partitions().collect::<Vec<_>>(), [P1]);
}

#[test]
fn the_stored_form_gives_back_what_was_stored_and_is_small() {
    let mut offsets = TopicOffsets::default();
    offsets.commit(P0, CommittedOffset { leader_epoch: -1, metadata: String::new(), ..at(5, 100) });
    offsets.pend(PRODUCER, ORDINAL, P1, at(9, 300));
    let text = serde_json::to_string(&StoredTopicOffsets::from(&offsets)).unwrap();
    let expected = concat!(
        r#"{"v":1,"next":2,"partitions":{"0":{"n":0,"offset":5,"at":100}},"#,
        r#""pending":{"7":{"ordinal":3,"partitions":{"1":{"n":1,"offset":9,"epoch":5,"metadata":"m9","at":300}}}}}"#
    );
    assert_eq!(text, expected);
    let stored: StoredTopicOffsets = serde_json::from_str(&text).unwrap();
    assert_eq!(TopicOffsets::from(stored), offsets);
}
