//! EndTxn, versions 0 to 5: a client commits or aborts its transaction. From version 5 on it is told the epoch of its next
//! one (KIP-890).

use super::context::Context;
use super::txn_error::{Fenced, code, producer};
use crate::txn::{EndTxn, TransactionVersion};
use crate::types::Verdict;
use crate::wire::messages::{EndTxnRequest, EndTxnResponse, ProducerId};

/// From here on each transaction has an epoch of its own.
const EPOCH_BUMP_VERSION: i16 = 5;

/// Answers the request, once the verdict is stored. The markers are written after that.
pub async fn handle(context: &Context, request: &EndTxnRequest, api_version: i16) -> EndTxnResponse {
    let bumps = api_version >= EPOCH_BUMP_VERSION;
    let end = EndTxn {
        producer: producer(request.producer_id, request.producer_epoch),
        verdict: if request.committed { Verdict::Commit } else { Verdict::Abort },
        transaction_version: if bumps { TransactionVersion::Two } else { TransactionVersion::One },
    };
    let response = EndTxnResponse::default();
    match context.transactions.call(&request.transactional_id, end).await {
        Ok(producer) if bumps => {
            response.with_producer_id(ProducerId(producer.id.0)).with_producer_epoch(producer.epoch.0)
        }
        Ok(_) => response,
        Err(error) => response.with_error_code(code(error, Fenced::since(2, api_version)).code()),
    }
}
