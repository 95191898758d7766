//! What ShareFetch and ShareAcknowledge have in common: whose session it is, and what its records became.

use super::ConnectionInfo;
use super::context::Context;
use super::group_error::{code, group_to_join, member};
use crate::group::delivery::{DeliveryError, ShareKey};
use crate::group::share::{AcknowledgeError, Acknowledgement, Attempt, ShareClient, ShareSessionFault};
use crate::types::{PartitionIndex, TopicId, TopicPartition};
use crate::wire::messages::{GroupId, share_acknowledge_request, share_fetch_request};
use crate::wire::{ErrorCode, StrBytes};
use futures_util::stream::{self, StreamExt};
use std::collections::BTreeMap;
use uuid::Uuid;

/// What became of the acknowledgements for each partition that has some.
pub type Acknowledged = BTreeMap<TopicPartition, Result<(), (ErrorCode, String)>>;

/// What a request says of the records of a partition; the refusal of what contradicts itself.
pub type Named = BTreeMap<TopicPartition, Result<Vec<Acknowledgement>, AcknowledgeError>>;

/// Sorts what is said by partition. Of one that is named twice nothing is done.
pub fn by_partition(
    said: impl Iterator<Item = (TopicPartition, Result<Vec<Acknowledgement>, AcknowledgeError>)>,
) -> Named {
    let mut named = Named::new();
    for (partition, acknowledgements) in said {
        let twice = Err(AcknowledgeError::InvalidRequest("the partition is named twice"));
        let acknowledgements = if named.contains_key(&partition) { twice } else { acknowledgements };
        named.insert(partition, acknowledgements);
    }
    named
}

/// Partitions whose records are acknowledged at the same time.
const AT_ONCE: usize = 32;

/// Whose request it is.
pub fn client(
    group_id: Option<&GroupId>,
    member_id: Option<&StrBytes>,
    connection: &ConnectionInfo,
) -> Result<ShareClient, (ErrorCode, String)> {
    let refused = |error| (code(&error), error.to_string());
    let group_id = group_to_join(group_id.map_or("", |id| id.as_str())).map_err(refused)?;
    match member_id {
        Some(id) if !id.is_empty() => {
            Ok(ShareClient { key: (group_id, member(id)), connection_id: connection.connection_id })
        }
        _ => Err((ErrorCode::InvalidRequest, "the member id is empty".to_owned())),
    }
}

/// A partition as requests name it.
pub fn place(topic_id: Uuid, index: i32) -> TopicPartition {
    TopicPartition { topic_id: TopicId(topic_id), partition: PartitionIndex(index) }
}

/// The error code of a session that cannot go on.
pub fn fault_code(fault: ShareSessionFault) -> ErrorCode {
    match fault {
        ShareSessionFault::NotFound => ErrorCode::ShareSessionNotFound,
        ShareSessionFault::InvalidEpoch => ErrorCode::InvalidShareSessionEpoch,
        ShareSessionFault::LimitReached => ErrorCode::ShareSessionLimitReached,
        ShareSessionFault::AcknowledgesUnopened => ErrorCode::InvalidRequest,
    }
}

/// One acknowledgement batch of either request. Renewing came with version 2.
pub fn acknowledgement(first: i64, last: i64, types: &[i8]) -> Result<Acknowledgement, AcknowledgeError> {
    let parsed = Acknowledgement::parse(first, last, types)?;
    if parsed.renews() {
        return Err(AcknowledgeError::InvalidRequest("there is no such acknowledge type"));
    }
    Ok(parsed)
}

/// The batches of a ShareFetch.
pub fn of_fetch(
    batch: &share_fetch_request::AcknowledgementBatch,
) -> Result<Acknowledgement, AcknowledgeError> {
    acknowledgement(batch.first_offset, batch.last_offset, &batch.acknowledge_types)
}

/// The batches of a ShareAcknowledge.
pub fn of_acknowledge(
    batch: &share_acknowledge_request::AcknowledgementBatch,
) -> Result<Acknowledgement, AcknowledgeError> {
    acknowledgement(batch.first_offset, batch.last_offset, &batch.acknowledge_types)
}

/// Has everything done that was said of records, the partitions side by side.
pub async fn acknowledge(context: &Context, client: &ShareClient, named: Named) -> Acknowledged {
    let outcomes = stream::iter(named).map(async |(partition, acknowledgements)| {
        let outcome = acknowledge_one(context, client, partition, acknowledgements).await;
        (partition, outcome)
    });
    outcomes.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await.into_iter().collect()
}

async fn acknowledge_one(
    context: &Context,
    client: &ShareClient,
    partition: TopicPartition,
    acknowledgements: Result<Vec<Acknowledgement>, AcknowledgeError>,
) -> Result<(), (ErrorCode, String)> {
    let refused = |error: DeliveryError| (acknowledge_code(&error), error.to_string());
    let acknowledgements = acknowledgements.map_err(|error| refused(error.into()))?;
    find(context, partition).await.map_err(|code| (code, code.to_string()))?;
    let (group_id, member_id) = &client.key;
    let key = ShareKey { group_id: group_id.clone(), partition };
    context.groups.delivery().acknowledge(&key, member_id, acknowledgements).await.map_err(refused)
}

/// Sees that there is such a partition, and that it is led here.
pub async fn find(context: &Context, partition: TopicPartition) -> Result<(), ErrorCode> {
    let topic = context.topic_by_id(partition.topic_id).await?;
    context.partition(&topic, partition.partition.0).map(|_| ())
}

/// The session is closed in good order: what the member still has was never looked at.
pub async fn release(context: &Context, client: &ShareClient, partitions: Vec<TopicPartition>) {
    context.groups.delivery().release(&client.key, partitions, Attempt::DoesNotCount).await;
}

/// What a member is told whose records could not be acknowledged.
fn acknowledge_code(error: &DeliveryError) -> ErrorCode {
    match error {
        DeliveryError::Acknowledge(AcknowledgeError::InvalidRecordState { .. }) => {
            ErrorCode::InvalidRecordState
        }
        DeliveryError::Acknowledge(AcknowledgeError::InvalidRequest(_)) => ErrorCode::InvalidRequest,
        DeliveryError::Unavailable => ErrorCode::CoordinatorNotAvailable,
        other => fetch_code(other),
    }
}

/// What an operator is told whose change could not be made.
pub fn change_code(error: &DeliveryError) -> ErrorCode {
    match error {
        DeliveryError::Unavailable => ErrorCode::CoordinatorNotAvailable,
        other => fetch_code(other),
    }
}

/// What a member is told whose records could not be fetched: codes after which its client asks again.
pub fn fetch_code(error: &DeliveryError) -> ErrorCode {
    match error {
        DeliveryError::Unavailable | DeliveryError::NoMemory | DeliveryError::Storage(_) => {
            ErrorCode::KafkaStorageError
        }
        DeliveryError::NotLeader => ErrorCode::NotLeaderOrFollower,
        DeliveryError::UnknownPartition => ErrorCode::UnknownTopicOrPartition,
        DeliveryError::Damaged(_) => ErrorCode::CorruptMessage,
        DeliveryError::Acknowledge(_) => ErrorCode::UnknownServerError,
    }
}
