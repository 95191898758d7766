//! Transactions, as tools see and end them.

use super::admin::text;
use super::coordinator::{Coordinator, RETRY_PAUSE};
use super::{Admin, ClientError};
use crate::types::{PartitionIndex, ProducerEpoch, ProducerId, Timestamp};
use crate::wire::ErrorCode;
use crate::wire::messages::{
    DescribeTransactionsRequest, InitProducerIdRequest, ListTransactionsRequest, TransactionalId,
};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// A transactional id in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionListing {
    /// The id.
    pub transactional_id: String,
    /// Its producer.
    pub producer_id: ProducerId,
    /// In Kafka's words: Ongoing, PrepareCommit, CompleteAbort and so on.
    pub state: String,
}

/// A transactional id in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionDescription {
    /// The id.
    pub transactional_id: String,
    /// Its producer.
    pub producer_id: ProducerId,
    /// The producer's epoch.
    pub producer_epoch: ProducerEpoch,
    /// In Kafka's words.
    pub state: String,
    /// After how long an open transaction is aborted.
    pub timeout: Duration,
    /// When the last one began; none if none did.
    pub started_at: Option<Timestamp>,
    /// Where the open one writes.
    pub partitions: BTreeMap<String, Vec<PartitionIndex>>,
}

/// What there was to abort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbortOutcome {
    /// What was open is aborted, and the producer is fenced.
    Aborted,
    /// Nothing was open, and nothing was done.
    NothingOpen,
}

/// How long the end of a transaction may take.
const END_PATIENCE: Duration = Duration::from_secs(30);

impl TransactionDescription {
    /// Whether a transaction is under way, or being ended.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == "Ongoing" || self.state.starts_with("Prepare")
    }
}

impl Admin {
    /// All transactional ids of all brokers, in order of their names; with `state` only those in it.
    pub async fn list_transactions(
        &self,
        state: Option<&str>,
    ) -> Result<Vec<TransactionListing>, ClientError> {
        let request = ListTransactionsRequest::default()
            .with_state_filters(state.iter().map(|name| text(name)).collect());
        let mut found = BTreeMap::new();
        for broker in self.cluster.brokers() {
            let answer = self.cluster.broker(broker.broker_id).await?.call(&request).await?;
            ClientError::check(answer.error_code, None, || "list of transactions".to_owned())?;
            for listed in answer.transaction_states {
                let transactional_id = listed.transactional_id.to_string();
                let listing = TransactionListing {
                    transactional_id: transactional_id.clone(),
                    producer_id: ProducerId(listed.producer_id.0),
                    state: listed.transaction_state.to_string(),
                };
                found.insert(transactional_id, listing);
            }
        }
        Ok(found.into_values().collect())
    }

    /// One transactional id.
    pub async fn describe_transaction(
        &self,
        transactional_id: &str,
    ) -> Result<TransactionDescription, ClientError> {
        let id = TransactionalId(text(transactional_id));
        let request = DescribeTransactionsRequest::default().with_transactional_ids(vec![id]);
        let code_of = |answer: &crate::wire::messages::DescribeTransactionsResponse| {
            answer.transaction_states.first().map_or(0, |state| state.error_code)
        };
        let coordinator = Coordinator::of_transactional_id(&self.cluster, transactional_id);
        let answer = coordinator.call(&request, Duration::ZERO, code_of).await?;
        let unknown =
            || ClientError::UnknownTransactionalId { transactional_id: transactional_id.to_owned() };
        let state = answer.transaction_states.into_iter().next().ok_or_else(unknown)?;
        match ErrorCode::try_from_code(state.error_code) {
            Some(ErrorCode::TransactionalIdNotFound) => return Err(unknown()),
            _ => ClientError::check(state.error_code, None, || {
                format!("transactional id {transactional_id:?}")
            })?,
        }
        let partitions = state.topics.into_iter().map(|topic| {
            (topic.topic.to_string(), topic.partitions.into_iter().map(PartitionIndex).collect())
        });
        Ok(TransactionDescription {
            transactional_id: transactional_id.to_owned(),
            producer_id: ProducerId(state.producer_id.0),
            producer_epoch: ProducerEpoch(state.producer_epoch),
            state: state.transaction_state.to_string(),
            timeout: Duration::from_millis(u64::try_from(state.transaction_timeout_ms).unwrap_or(0)),
            started_at: (state.transaction_start_time_ms >= 0)
                .then_some(Timestamp(state.transaction_start_time_ms)),
            partitions: partitions.collect(),
        })
    }

    /// Aborts what is open, and fences the producer: its next request fails. Returns when the transaction is ended.
    /// Where nothing is open, the producer stays as it is.
    pub async fn abort_transaction(&self, transactional_id: &str) -> Result<AbortOutcome, ClientError> {
        let described = self.describe_transaction(transactional_id).await?;
        if !described.is_open() {
            return Ok(AbortOutcome::NothingOpen);
        }
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(TransactionalId(text(transactional_id))))
            .with_transaction_timeout_ms(i32::try_from(described.timeout.as_millis()).unwrap_or(i32::MAX));
        let coordinator = Coordinator::of_transactional_id(&self.cluster, transactional_id);
        let give_up = Instant::now() + END_PATIENCE;
        loop {
            let answer = coordinator.call(&request, Duration::ZERO, |answer| answer.error_code).await?;
            let is_ending = answer.error_code == ErrorCode::ConcurrentTransactions.code();
            if !is_ending || Instant::now() >= give_up {
                let what = || format!("transactional id {transactional_id:?}");
                ClientError::check(answer.error_code, None, what)?;
                return Ok(AbortOutcome::Aborted);
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
}
