//! The journal's promises: what an object is, when it is cut, and what survives.

mod index_object;
mod life;
mod object;

use super::{Row, RowIndex, RowTransaction};
use crate::types::{
    LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, SessionId, Timestamp, TopicId,
    TopicPartition,
};
use crate::wire::batch::{BatchBuilder, BatchHeader, Codec, NO_PRODUCER};
use uuid::Uuid;

pub(super) fn session_id(number: u128) -> SessionId {
    SessionId(Uuid::from_u128(number))
}

pub(super) fn partition(topic: u128, index: i32) -> TopicPartition {
    TopicPartition { topic_id: TopicId(Uuid::from_u128(topic)), partition: PartitionIndex(index) }
}

/// A batch of `values` at `base`, as it is before it is stamped.
pub(super) fn row(topic_partition: TopicPartition, base: i64, values: &[&str]) -> Row {
    let mut builder = BatchBuilder::new();
    for (index, value) in values.iter().enumerate() {
        builder.append(Timestamp(1000 + base + index as i64), None, Some(value.as_bytes()), &[]);
    }
    let batch = builder.finish(Codec::None, NO_PRODUCER);
    let header = BatchHeader::decode(&batch).expect("a batch just built");
    let index = RowIndex {
        topic_partition,
        offsets: Offset(base)..Offset(base + values.len() as i64),
        leader_epoch: LeaderEpoch(7),
        max_timestamp: header.max_timestamp,
        producer_id: ProducerId(-1),
        producer_epoch: ProducerEpoch(-1),
        base_sequence: -1,
        attributes: header.attributes,
        transaction: RowTransaction::None,
    };
    Row { index, batch }
}
