//! ListTransactions, versions 0 to 2, with filters of states, producers, durations and ids (KIP-664, KIP-994).

use super::context::Context;
use super::group_error::text;
use super::txn_error::{Fenced, code};
use crate::txn::{IdPattern, TransactionFilter, TxnError};
use crate::types;
use crate::wire::StrBytes;
use crate::wire::messages::list_transactions_response::TransactionState;
use crate::wire::messages::{ListTransactionsRequest, ListTransactionsResponse, ProducerId, TransactionalId};

/// Answers the request.
pub async fn handle(context: &Context, request: &ListTransactionsRequest) -> ListTransactionsResponse {
    let mut filter = TransactionFilter::default();
    let names: Vec<String> = request.state_filters.iter().map(ToString::to_string).collect();
    let unknown = filter.set_states(&names).into_iter().map(text).collect();
    let response = ListTransactionsResponse::default().with_unknown_state_filters(unknown);
    match list(context, request, filter).await {
        Ok(states) => response.with_transaction_states(states),
        Err(error) => response.with_error_code(code(error, Fenced::Known).code()),
    }
}

async fn list(
    context: &Context,
    request: &ListTransactionsRequest,
    mut filter: TransactionFilter,
) -> Result<Vec<TransactionState>, TxnError> {
    filter.producer_ids = request.producer_id_filters.iter().map(|id| types::ProducerId(id.0)).collect();
    filter.longer_than_ms = u64::try_from(request.duration_filter).ok();
    let pattern = request.transactional_id_pattern.as_deref().filter(|pattern| !pattern.is_empty());
    filter.id_pattern = pattern.map(IdPattern::parse).transpose()?;
    let now = context.clock.now();
    let all = context.transactions.list().await?;
    let wanted =
        all.into_iter().filter(|(transactional_id, summary)| filter.accepts(transactional_id, summary, now));
    let listed = wanted.map(|(transactional_id, summary)| {
        TransactionState::default()
            .with_transactional_id(TransactionalId(text(transactional_id)))
            .with_producer_id(ProducerId(summary.producer_id.0))
            .with_transaction_state(StrBytes::from_static_str(summary.state.name()))
    });
    Ok(listed.collect())
}
