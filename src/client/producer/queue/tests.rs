use super::{Attempt, Identity, Queue, Sent, sequence_after};
use crate::client::ClientError;
use crate::types::{Offset, ProducerEpoch, ProducerId, Timestamp};
use tokio::time::Instant;

const FIRST: Identity = Identity { producer_id: ProducerId(7), producer_epoch: ProducerEpoch(0) };
const SECOND: Identity = Identity { producer_id: ProducerId(8), producer_epoch: ProducerEpoch(0) };

/// A queue of `batches` sealed batches of two records each.
fn queue(batches: usize) -> Queue {
    let mut queue = Queue::default();
    for _ in 0..batches {
        let batch = queue.open(Instant::now(), 1, 1000);
        batch.append(Timestamp(1), None, Some(b"a"), &[]);
        batch.append(Timestamp(1), None, Some(b"b"), &[]);
        queue.seal();
    }
    queue
}

fn take(queue: &mut Queue, identity: Identity) -> Sent {
    queue.take(Some(identity)).expect("a batch may be sent")
}

fn stamp(sent: &Sent) -> (i64, i32) {
    let stamp = sent.batch.stamp.expect("a batch that is sent is stamped");
    (stamp.producer_id.0, stamp.base_sequence)
}

fn again() -> Attempt {
    Attempt::Again(ClientError::ProducerClosed)
}

fn out_of_order() -> Attempt {
    Attempt::OutOfOrder(ClientError::ProducerClosed)
}

#[test]
fn batches_in_flight_have_consecutive_sequences() {
    let mut queue = queue(3);
    let stamps: Vec<_> = (0..3).map(|_| stamp(&take(&mut queue, FIRST))).collect();
    assert_eq!(stamps, [(7, 0), (7, 2), (7, 4)]);
}

#[test]
fn a_batch_is_sent_again_with_its_sequence_after_all_in_flight_are_answered() {
    let mut queue = queue(4);
    let (a, b, c) = (take(&mut queue, FIRST), take(&mut queue, FIRST), take(&mut queue, FIRST));
    assert!(queue.on_attempt(a, again()).retried);
    assert!(queue.take(Some(FIRST)).is_none(), "two are in flight");
    assert!(queue.on_attempt(c, out_of_order()).retried);
    assert!(queue.on_attempt(b, out_of_order()).retried);
    let stamps: Vec<_> = (0..4).map(|_| stamp(&take(&mut queue, FIRST))).collect();
    assert_eq!(stamps, [(7, 0), (7, 2), (7, 4), (7, 6)]);
}

#[test]
fn a_batch_that_was_stored_before_is_delivered() {
    let mut queue = queue(1);
    let sent = take(&mut queue, FIRST);
    queue.on_attempt(sent, again());
    let sent = take(&mut queue, FIRST);
    let reaction = queue.on_attempt(sent, Attempt::StoredBefore);
    assert!(matches!(reaction.finished[..], [(_, Ok(Offset(-1)))]));
    assert!(queue.is_idle());
}

#[test]
fn after_a_refused_batch_the_rest_begins_anew_with_a_new_producer() {
    let mut queue = queue(3);
    let (a, b) = (take(&mut queue, FIRST), take(&mut queue, FIRST));
    let refused = queue.on_attempt(a, Attempt::Refused(ClientError::ProducerClosed));
    assert!(matches!(refused.finished[..], [(_, Err(_))]) && !refused.new_identity);
    assert!(queue.take(Some(FIRST)).is_none(), "one is in flight");
    let returned = queue.on_attempt(b, out_of_order());
    assert!(returned.new_identity && returned.finished.is_empty());
    assert_eq!(stamp(&take(&mut queue, SECOND)), (8, 0));
    assert_eq!(stamp(&take(&mut queue, SECOND)), (8, 2));
}

#[test]
fn out_of_order_with_nothing_before_it_is_a_failure() {
    let mut queue = queue(1);
    let sent = take(&mut queue, FIRST);
    let reaction = queue.on_attempt(sent, out_of_order());
    assert!(matches!(reaction.finished[..], [(_, Err(_))]) && reaction.new_identity);
}

#[test]
fn a_retried_batch_keeps_the_producer_it_was_first_sent_with() {
    let mut queue = queue(2);
    let sent = take(&mut queue, FIRST);
    queue.on_attempt(sent, again());
    assert_eq!(stamp(&take(&mut queue, SECOND)), (7, 0));
    assert_eq!(stamp(&take(&mut queue, SECOND)), (8, 0));
}

#[test]
fn codes_mean_what_kafka_says() {
    for (code, expected) in
        [(0, "Stored"), (46, "StoredBefore"), (45, "OutOfOrder"), (6, "Again"), (7, "Again"), (10, "Refused")]
    {
        let attempt = Attempt::of_code(code, 3, |_| ClientError::ProducerClosed);
        assert!(format!("{attempt:?}").starts_with(expected), "{code}: {attempt:?}");
    }
}

#[test]
fn after_the_greatest_sequence_comes_zero() {
    for (sequence, records, after) in
        [(0, 5, 5), (i32::MAX, 1, 0), (i32::MAX - 1, 3, 1), (i32::MAX - 4, 5, 0)]
    {
        assert_eq!(sequence_after(sequence, records), after);
    }
}
