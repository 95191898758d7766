//! InitProducerId, versions 0 to 5: an id for an idempotent producer (KIP-98).

use super::context::Context;
use crate::wire::ErrorCode;
use crate::wire::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

/// Answers the request. Without a transactional id there is always a new producer id, as in Apache Kafka.
pub async fn handle(context: &Context, request: &InitProducerIdRequest) -> InitProducerIdResponse {
    if request.transactional_id.is_some() {
        // Transactions need coordinators, and FindCoordinator, which leads clients to them, is not offered.
        return refuse(ErrorCode::CoordinatorNotAvailable);
    }
    match context.producer_ids.next().await {
        Ok(producer_id) => InitProducerIdResponse::default()
            .with_producer_id(ProducerId(producer_id.0))
            .with_producer_epoch(0),
        Err(error) => {
            tracing::warn!(%error, "no producer id could be taken");
            refuse(ErrorCode::CoordinatorNotAvailable)
        }
    }
}

fn refuse(code: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse::default()
        .with_error_code(code.code())
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1)
}
