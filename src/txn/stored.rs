//! What is stored of a transactional id, and how it comes back.
//!
//! ```text
//! {"version":1,"producer":{"id":4000,"epoch":7},"next_producer_id":null,"stage":"prepare_commit","ordinal":12,
//!  "topics":[{"topic_id":"<32 digits>","partitions":[0,1]}],"groups":["g"],
//!  "retry":{"of":"end","previous":{"id":4000,"epoch":6}},"timeout_ms":60000,"started_at":1763700000000,
//!  "last_update":1763700001000,"transaction_version":2}
//! ```
//!
//! `retry` is what an EndTxn or InitProducerId that is sent again is known by: the identity that its sender had. Its
//! answer follows from the rest: `next_producer_id` with epoch 0, else `producer`. So also after the epochs of a
//! producer id were used up, which no arithmetic on epochs would find.

use super::places::{Place, Places};
use super::request::{Producer, TransactionVersion};
use super::transaction::{EPOCH_FENCE, EPOCH_FIRST, Retry, RetryOf, Stage, Transaction, TransactionConfig};
use crate::types::{Moment, PartitionIndex, ProducerEpoch, ProducerId, Timestamp, TopicId, TopicPartition};
use crate::types::{TransactionOrdinal, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use uuid::Uuid;

const STORED_VERSION: u32 = 1;

/// A transactional id as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredTransaction {
    /// Of this form; 1.
    pub version: u32,
    /// The producer that the markers name.
    pub producer: StoredProducer,
    /// The id that the client goes on with, at epoch 0, while a transaction is ended whose epoch was the last.
    pub next_producer_id: Option<i64>,
    /// Where the last transaction is.
    pub stage: StoredStage,
    /// How many transactions there were.
    pub ordinal: i64,
    /// The partitions of the transaction, while it is open or being ended.
    pub topics: Vec<StoredTopic>,
    /// The groups whose offsets are in it.
    pub groups: Vec<String>,
    /// Who may ask again.
    pub retry: Option<StoredRetry>,
    /// After how long a transaction is aborted.
    pub timeout_ms: u32,
    /// When the last transaction began.
    pub started_at: Option<i64>,
    /// When anything happened last.
    pub last_update: i64,
    /// What the client spoke last: 1 or 2.
    pub transaction_version: Option<u8>,
}

/// A producer as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredProducer {
    /// Its id.
    pub id: i64,
    /// Its epoch.
    pub epoch: i16,
}

/// Where a transaction is, as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoredStage {
    /// None was begun.
    Empty,
    /// Open.
    Ongoing,
    /// To be committed.
    PrepareCommit,
    /// To be aborted.
    PrepareAbort,
    /// Committed.
    CompleteCommit,
    /// Aborted.
    CompleteAbort,
}

/// Partitions of a topic as they are stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredTopic {
    /// The topic, without hyphens.
    pub topic_id: String,
    /// Its partitions.
    pub partitions: Vec<i32>,
}

/// Who may ask again, as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredRetry {
    /// What was done.
    pub of: StoredRetryOf,
    /// For whom: the identity that was replaced.
    pub previous: StoredProducer,
}

/// What may be asked again, as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoredRetryOf {
    /// A transaction ended, by its client or its time-out.
    End,
    /// An instance went on.
    Init,
    /// An instance is about to go on: its transaction was aborted for that.
    Abort,
}

/// Why a stored transactional id cannot be gone on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// It is of a later release.
    #[error("the stored transaction is of version {0}")]
    UnknownVersion(u32),
    /// A number is out of its bounds, or one part does not go with another.
    #[error("the stored transaction contradicts itself: {0}")]
    Inconsistent(&'static str),
}

impl Transaction {
    /// What must outlive this broker. It is to be stored when [`Transaction::take_dirty`] says so; `None` before the
    /// first InitProducerId.
    #[must_use]
    pub fn stored(&self) -> Option<StoredTransaction> {
        let topic = |(topic_id, partitions): (&TopicId, &BTreeSet<PartitionIndex>)| StoredTopic {
            topic_id: topic_id.to_string(),
            partitions: partitions.iter().map(|each| each.0).collect(),
        };
        Some(StoredTransaction {
            version: STORED_VERSION,
            producer: self.producer?.into(),
            next_producer_id: self.next_producer_id.map(|id| id.0),
            stage: self.stage.into(),
            ordinal: self.ordinal.0,
            topics: self.places.topics().map(topic).collect(),
            groups: self.places.groups().map(|group| group.as_ref().to_owned()).collect(),
            retry: self.retry.map(StoredRetry::from),
            timeout_ms: self.timeout_ms,
            started_at: self.started_at.map(|at| at.0),
            last_update: self.last_update.0,
            transaction_version: self.transaction_version.map(|version| match version {
                TransactionVersion::One => 1,
                TransactionVersion::Two => 2,
            }),
        })
    }

    /// The transactional id as it was stored. The time of an open transaction starts anew; all markers of a decided one
    /// are sent again. It may be dirty at once.
    pub fn restore(
        stored: StoredTransaction,
        config: TransactionConfig,
        now: Moment,
    ) -> Result<Transaction, RestoreError> {
        check(&stored)?;
        let mut transaction = Transaction::new(config);
        transaction.producer = Some(stored.producer.into());
        transaction.next_producer_id = stored.next_producer_id.map(ProducerId);
        transaction.stage = stored.stage.into();
        transaction.ordinal = TransactionOrdinal(stored.ordinal);
        transaction.places = restore_places(stored.topics, stored.groups)?;
        transaction.retry = stored.retry.map(Retry::from);
        transaction.timeout_ms = stored.timeout_ms;
        transaction.started_at = stored.started_at.map(Timestamp);
        transaction.last_update = Timestamp(stored.last_update);
        transaction.transaction_version = match stored.transaction_version {
            Some(1) => Some(TransactionVersion::One),
            Some(2) => Some(TransactionVersion::Two),
            _ => None,
        };
        match transaction.stage {
            Stage::Ongoing => transaction.start_timer(now),
            Stage::Prepare(verdict) if transaction.places.is_empty() => transaction.complete(verdict),
            Stage::Prepare(_) => transaction.missing = transaction.places.clone(),
            Stage::Empty | Stage::Complete(_) => {}
        }
        Ok(transaction)
    }
}

fn check(stored: &StoredTransaction) -> Result<(), RestoreError> {
    if stored.version != STORED_VERSION {
        return Err(RestoreError::UnknownVersion(stored.version));
    }
    let stage = Stage::from(stored.stage);
    let is_prepare = matches!(stage, Stage::Prepare(_));
    let has_begun = !matches!(stage, Stage::Empty);
    let has_places = !stored.topics.is_empty() || !stored.groups.is_empty();
    let promises = [
        (stored.producer.id >= 0 && stored.producer.epoch >= EPOCH_FIRST.0, "no producer"),
        (stored.ordinal >= 0 && stored.ordinal < i64::MAX, "no ordinal"),
        (
            stage != Stage::Ongoing || stored.producer.epoch < EPOCH_FENCE.0,
            "open with an epoch that only fences",
        ),
        (is_prepare || stored.next_producer_id.is_none(), "a next producer, and nothing is being ended"),
        (!(is_prepare || stage == Stage::Ongoing) || stored.ordinal > 0, "a transaction without ordinal"),
        (is_prepare || stage == Stage::Ongoing || !has_places, "places without a transaction"),
        (has_begun || stored.retry.is_none_or(|retry| retry.of == StoredRetryOf::Init), "an end of nothing"),
    ];
    match promises.into_iter().find(|(holds, _)| !holds) {
        Some((_, broken)) => Err(RestoreError::Inconsistent(broken)),
        None => Ok(()),
    }
}

fn restore_places(topics: Vec<StoredTopic>, groups: Vec<String>) -> Result<Places, RestoreError> {
    let mut places: Vec<Place> = groups.into_iter().map(|group| Place::Group(group.into())).collect();
    for topic in topics {
        let topic_id = Uuid::parse_str(&topic.topic_id).map(TopicId);
        let topic_id = topic_id.map_err(|_| RestoreError::Inconsistent("a topic that is none"))?;
        let place = |index| TopicPartition { topic_id, partition: PartitionIndex(index) };
        places.extend(topic.partitions.into_iter().map(place).map(Place::Partition));
    }
    let mut set = Places::default();
    set.add(places).map_err(|_| RestoreError::Inconsistent("too many places"))?;
    Ok(set)
}

impl From<Producer> for StoredProducer {
    fn from(producer: Producer) -> StoredProducer {
        StoredProducer { id: producer.id.0, epoch: producer.epoch.0 }
    }
}

impl From<StoredProducer> for Producer {
    fn from(stored: StoredProducer) -> Producer {
        Producer { id: ProducerId(stored.id), epoch: ProducerEpoch(stored.epoch) }
    }
}

impl From<Retry> for StoredRetry {
    fn from(retry: Retry) -> StoredRetry {
        let of = match retry.of {
            RetryOf::End => StoredRetryOf::End,
            RetryOf::Init => StoredRetryOf::Init,
            RetryOf::Abort => StoredRetryOf::Abort,
        };
        StoredRetry { of, previous: retry.previous.into() }
    }
}

impl From<StoredRetry> for Retry {
    fn from(stored: StoredRetry) -> Retry {
        let of = match stored.of {
            StoredRetryOf::End => RetryOf::End,
            StoredRetryOf::Init => RetryOf::Init,
            StoredRetryOf::Abort => RetryOf::Abort,
        };
        Retry { of, previous: stored.previous.into() }
    }
}

impl From<Stage> for StoredStage {
    fn from(stage: Stage) -> StoredStage {
        match stage {
            Stage::Empty => StoredStage::Empty,
            Stage::Ongoing => StoredStage::Ongoing,
            Stage::Prepare(Verdict::Commit) => StoredStage::PrepareCommit,
            Stage::Prepare(Verdict::Abort) => StoredStage::PrepareAbort,
            Stage::Complete(Verdict::Commit) => StoredStage::CompleteCommit,
            Stage::Complete(Verdict::Abort) => StoredStage::CompleteAbort,
        }
    }
}

impl From<StoredStage> for Stage {
    fn from(stored: StoredStage) -> Stage {
        match stored {
            StoredStage::Empty => Stage::Empty,
            StoredStage::Ongoing => Stage::Ongoing,
            StoredStage::PrepareCommit => Stage::Prepare(Verdict::Commit),
            StoredStage::PrepareAbort => Stage::Prepare(Verdict::Abort),
            StoredStage::CompleteCommit => Stage::Complete(Verdict::Commit),
            StoredStage::CompleteAbort => Stage::Complete(Verdict::Abort),
        }
    }
}
