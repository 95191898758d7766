//! TxnOffsetCommit, versions 0 to 5: offsets of a group that count once a transaction is committed.

use super::context::Context;
use super::group_error::{self, group, instance, member};
use super::offset_commit::check;
use super::txn_error::{Fenced, code, producer};
use super::verification::ATTEMPTS_MAX;
use crate::group::classic::CommitIdentity;
use crate::group::{CommitKind, CommitOffsets, CommittedOffset, GroupError, GroupId};
use crate::txn::{FirstBatch, Place, Producer, TransactionVersion};
use crate::types::{Offset, PartitionIndex, TopicId, TransactionOrdinal};
use crate::wire::ErrorCode;
use crate::wire::messages::txn_offset_commit_request::TxnOffsetCommitRequestTopic;
use crate::wire::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use crate::wire::messages::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};

/// From here on the group is added to the transaction by this request.
const ADDS_VERSION: i16 = 5;
/// From here on a request says which member it is of (KIP-447).
const MEMBER_VERSION: i16 = 3;

type Offsets = Vec<(TopicId, PartitionIndex, CommittedOffset)>;

/// Answers the request; what can be kept is kept together.
pub async fn handle(
    context: &Context,
    request: TxnOffsetCommitRequest,
    api_version: i16,
) -> TxnOffsetCommitResponse {
    let mut offsets = Vec::new();
    let mut refusals = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        refusals.push(sort_out(context, topic, &mut offsets).await);
    }
    let outcome =
        if offsets.is_empty() { None } else { commit(context, &request, offsets, api_version).await.err() };
    let topics = request.topics.into_iter().zip(refusals).map(|(topic, refused)| {
        let partitions = topic.partitions.iter().zip(refused).map(|(partition, refused)| {
            TxnOffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(refused.or(outcome).map_or(0, |code| code.code()))
        });
        let partitions = partitions.collect();
        TxnOffsetCommitResponseTopic::default().with_name(topic.name).with_partitions(partitions)
    });
    TxnOffsetCommitResponse::default().with_topics(topics.collect())
}

async fn sort_out(
    context: &Context,
    wanted: &TxnOffsetCommitRequestTopic,
    offsets: &mut Offsets,
) -> Vec<Option<ErrorCode>> {
    let topic = match context.topic_for_coordinator(&wanted.name).await {
        Ok(topic) => topic,
        Err(code) => return wanted.partitions.iter().map(|_| Some(code)).collect(),
    };
    let metadata_max = context.groups.config().offset_metadata_bytes_max;
    let mut refused = Vec::with_capacity(wanted.partitions.len());
    for partition in &wanted.partitions {
        let index = PartitionIndex(partition.partition_index);
        let checked = check(&topic, index, partition.committed_metadata.as_deref(), metadata_max);
        if checked.is_ok() {
            let committed = CommittedOffset {
                offset: Offset(partition.committed_offset),
                leader_epoch: partition.committed_leader_epoch,
                metadata: partition.committed_metadata.as_ref().map(ToString::to_string).unwrap_or_default(),
                committed_at: context.clock.now(),
            };
            offsets.push((topic.id, index, committed));
        }
        refused.push(checked.err());
    }
    refused
}

/// Asks the coordinator which transaction it is, and hands the offsets to the group. If that transaction has ended
/// meanwhile it is asked again.
async fn commit(
    context: &Context,
    request: &TxnOffsetCommitRequest,
    offsets: Offsets,
    api_version: i16,
) -> Result<(), ErrorCode> {
    let group_id = group(&request.group_id).map_err(|error| group_error::code(&error))?;
    let producer = producer(request.producer_id, request.producer_epoch);
    let knows_member = api_version >= MEMBER_VERSION;
    let by = CommitIdentity {
        member_id: member(if knows_member { &request.member_id } else { "" }),
        group_instance_id: instance(request.group_instance_id.as_ref()),
        generation_id: if knows_member { request.generation_id } else { -1 },
    };
    for _ in 0..ATTEMPTS_MAX {
        let ordinal = ordinal(context, request, &group_id, producer, api_version).await?;
        let (producer_id, producer_epoch) = (producer.id, producer.epoch);
        let kind = CommitKind::Transactional { producer_id, producer_epoch, ordinal };
        let commit = CommitOffsets { by: by.clone(), kind, offsets: offsets.clone() };
        match context.groups.call(&group_id, commit).await {
            Ok(()) => return Ok(()),
            Err(GroupError::TransactionEnded) => {}
            Err(error) => return Err(group_error::code(&error)),
        }
    }
    Err(ErrorCode::ConcurrentTransactions)
}

async fn ordinal(
    context: &Context,
    request: &TxnOffsetCommitRequest,
    group_id: &GroupId,
    producer: Producer,
    api_version: i16,
) -> Result<TransactionOrdinal, ErrorCode> {
    let adds = api_version >= ADDS_VERSION;
    let first_batch = FirstBatch {
        producer,
        place: Place::Group(group_id.as_str().into()),
        transaction_version: if adds { TransactionVersion::Two } else { TransactionVersion::One },
    };
    let asked = context.transactions.first_batch(&request.transactional_id, first_batch).await;
    asked.map_err(|error| code(error, Fenced::Unknown))
}
