//! CreatePartitions, versions 0 to 3. Records of a key may go to another partition than before from then on;
//! the catalogue says so in the log, as the protocol has no place for a warning.

use super::ConnectionInfo;
use super::brokers::Brokers;
use super::catalog_error;
use super::context::Context;
use crate::hashing::HashSet;
use crate::wire::messages::create_partitions_request::CreatePartitionsTopic;
use crate::wire::messages::create_partitions_response::CreatePartitionsTopicResult;
use crate::wire::messages::{CreatePartitionsRequest, CreatePartitionsResponse};
use crate::wire::{ErrorCode, StrBytes};

/// Answers the request, topic by topic.
pub async fn handle(
    context: &Context,
    request: CreatePartitionsRequest,
    connection: &ConnectionInfo,
) -> CreatePartitionsResponse {
    let brokers = Brokers::of(context, connection);
    let mut seen = HashSet::default();
    let names = request.topics.iter().map(|topic| topic.name.clone());
    let twice: HashSet<_> = names.filter(|name| !seen.insert(name.clone())).collect();
    let mut results: Vec<CreatePartitionsTopicResult> = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let name = topic.name.clone();
        let grown = if !twice.contains(&name) {
            grow(context, &brokers, &topic, request.validate_only).await
        } else if results.iter().any(|result| result.name == name) {
            continue;
        } else {
            Err((ErrorCode::InvalidRequest, "Duplicate topic name.".to_owned()))
        };
        let result = CreatePartitionsTopicResult::default().with_name(name);
        results.push(match grown {
            Ok(()) => result,
            Err((code, message)) => {
                result.with_error_code(code.code()).with_error_message(Some(StrBytes::from_string(message)))
            }
        });
    }
    CreatePartitionsResponse::default().with_results(results)
}

async fn grow(
    context: &Context,
    brokers: &Brokers,
    wanted: &CreatePartitionsTopic,
    validate_only: bool,
) -> Result<(), (ErrorCode, String)> {
    let unknown = |code| (code, "This server does not host this topic-partition.".to_owned());
    let topic = context.topic_by_name(&wanted.name).await.map_err(unknown)?;
    let refused = |error| (catalog_error::code(&error), error.to_string());
    context.catalog.check_growth(&topic, wanted.count).map_err(refused)?;
    check_assignments(brokers, wanted, topic.partitions)?;
    if validate_only {
        return Ok(());
    }
    let grown = context.catalog.grow(topic.id, wanted.count).await.map_err(refused)?;
    context.opened(&grown).await;
    Ok(())
}

/// A manual assignment must name one broker of the cluster for each new partition: the view says who leads it.
fn check_assignments(
    brokers: &Brokers,
    wanted: &CreatePartitionsTopic,
    partitions: i32,
) -> Result<(), (ErrorCode, String)> {
    let Some(assignments) = &wanted.assignments else { return Ok(()) };
    let added = wanted.count - partitions;
    let is_here = assignments.iter().all(|assignment| brokers.is_assignable(&assignment.broker_ids));
    if usize::try_from(added).is_ok_and(|added| added == assignments.len()) && is_here {
        return Ok(());
    }
    let brokers = brokers.assignable();
    let message = format!(
        "Increasing the number of partitions by {added} needs {added} assignments, each to broker {brokers}."
    );
    Err((ErrorCode::InvalidReplicaAssignment, message))
}
