//! InitProducerId, versions 0 to 5: an id for an idempotent producer (KIP-98), or a new instance of a transactional one.

use super::context::Context;
use super::txn_error::{Fenced, code, producer};
use crate::txn::{InitProducerId, Producer};
use crate::types::{ProducerEpoch, ProducerId};
use crate::wire::ErrorCode;
use crate::wire::messages::{self, InitProducerIdRequest, InitProducerIdResponse};

/// Answers the request. Without a transactional id there is always a new producer id, as in Apache Kafka.
pub async fn handle(
    context: &Context,
    request: &InitProducerIdRequest,
    api_version: i16,
) -> InitProducerIdResponse {
    let answer = match request.transactional_id.as_deref().map(|id| id.as_str()) {
        None => idempotent(context).await,
        Some("") => Err(ErrorCode::InvalidRequest),
        Some(transactional_id) => transactional(context, request, transactional_id, api_version).await,
    };
    let (code, id, epoch) = match answer {
        Ok(producer) => (0, producer.id.0, producer.epoch.0),
        Err(code) => (code.code(), -1, -1),
    };
    InitProducerIdResponse::default()
        .with_error_code(code)
        .with_producer_id(messages::ProducerId(id))
        .with_producer_epoch(epoch)
}

async fn idempotent(context: &Context) -> Result<Producer, ErrorCode> {
    match context.producer_ids.next().await {
        Ok(id) => Ok(Producer { id, epoch: ProducerEpoch(0) }),
        Err(error) => {
            tracing::warn!(%error, "no producer id could be taken");
            Err(ErrorCode::CoordinatorNotAvailable)
        }
    }
}

async fn transactional(
    context: &Context,
    request: &InitProducerIdRequest,
    transactional_id: &str,
    api_version: i16,
) -> Result<Producer, ErrorCode> {
    let claimed = producer(request.producer_id, request.producer_epoch);
    let is_nobody = claimed.id == ProducerId(-1) && claimed.epoch == ProducerEpoch(-1);
    if api_version >= 3 && !is_nobody && (claimed.id.0 < 0 || claimed.epoch.0 < 0) {
        return Err(ErrorCode::InvalidRequest);
    }
    let init = InitProducerId {
        timeout_ms: request.transaction_timeout_ms,
        expected: (api_version >= 3 && !is_nobody).then_some(claimed),
    };
    let fenced = Fenced::since(4, api_version);
    context.transactions.call(transactional_id, init).await.map_err(|error| code(error, fenced))
}
