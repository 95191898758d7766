use super::*;
use crate::types::{PartitionIndex, TopicId};
use std::time::Duration;
use uuid::Uuid;

#[test]
fn a_partition_rests_for_its_time_and_is_forgotten_then() {
    let at = |seconds| Moment(Duration::from_secs(seconds));
    let [one, other] = [1, 2].map(|partition| TopicPartition {
        topic_id: TopicId(Uuid::from_u128(1)),
        partition: PartitionIndex(partition),
    });
    let mut resting = Resting::default();
    resting.rest(one, at(5));
    resting.rest(other, at(7));
    assert!(resting.rests(one, at(4)) && !resting.rests(one, at(5)) && resting.rests(other, at(6)));
    resting.forget_over(at(6));
    assert_eq!(resting.until.len(), 1);
    assert!(resting.rests(other, at(6)));
    resting.forget_over(at(7));
    assert!(resting.until.is_empty());
}
