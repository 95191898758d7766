//! Reads assigned partitions from a place on.
//!
//! One task fetches: at most one request in flight per broker, and the next one goes out before the last
//! answer is handed over, so that reading and fetching overlap; a bounded channel pushes back.
//! Batches come as they were stored; [`Fetched::records`] decodes them and leaves out what lies before the
//! wanted offset, what lies behind the end, control batches, and what transactions have aborted.

mod aborted;
mod fetcher;
mod position;

use super::{Admin, ClientError, Cluster};
use crate::types::{Offset, PartitionIndex, Timestamp};
use crate::wire::batch::{BatchHeader, DecodedBatch, Record};
use bytes::Bytes;
use position::Log;
pub(super) use position::Position;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    /// The first readable record.
    Earliest,
    /// The end: only what comes from now on.
    Latest,
    /// This offset, which must be within the log.
    Offset(Offset),
    /// So many records before the end, or the first readable one when there are fewer.
    FromEnd(i64),
    /// The first record that is not before this time; the end when there is none.
    Time(Timestamp),
}

/// Where to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StopAt {
    /// Nowhere.
    #[default]
    Never,
    /// At the end of what can be read of each partition when the consumer starts.
    End,
}

/// What to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Of which topic.
    pub topic: String,
    /// Which partitions; all when empty.
    pub partitions: Vec<PartitionIndex>,
    /// From where.
    pub start: StartAt,
}

/// Which records of transactions to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// Those that are committed. An open transaction holds back all that is behind its first record.
    #[default]
    Committed,
    /// All, also of transactions that are open or were aborted.
    All,
}

impl Isolation {
    /// Kafka's number for it.
    pub(super) fn level(self) -> i8 {
        match self {
            Isolation::All => 0,
            Isolation::Committed => 1,
        }
    }
}

/// How to read.
#[derive(Clone, Copy, Debug)]
pub struct ConsumerConfig {
    /// Where to end.
    pub stop: StopAt,
    /// Which records of transactions to read.
    pub isolation: Isolation,
    /// The broker waits for so many bytes, at most `max_wait`.
    pub min_bytes: i32,
    /// How long the broker may wait for `min_bytes`.
    pub max_wait: Duration,
    /// The most bytes of one answer (a first batch that is larger comes all the same).
    pub fetch_bytes_max: i32,
    /// The most bytes of one partition in an answer.
    pub partition_bytes_max: i32,
    /// The most bytes that a batch may come to when decompressed.
    pub decompressed_bytes_max: usize,
    /// How long leaders may be missing or brokers away before that is an error.
    pub patience: Duration,
}

impl Default for ConsumerConfig {
    fn default() -> ConsumerConfig {
        ConsumerConfig {
            stop: StopAt::Never,
            isolation: Isolation::default(),
            min_bytes: 1,
            max_wait: Duration::from_millis(500),
            fetch_bytes_max: 16 << 20,
            partition_bytes_max: 4 << 20,
            decompressed_bytes_max: 256 << 20,
            patience: Duration::from_secs(30),
        }
    }
}

/// One batch of one partition.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The topic.
    pub topic: Arc<str>,
    /// Its partition.
    pub partition: PartitionIndex,
    /// The offsets that were asked for: records of the batch outside are not wanted.
    pub wanted: Range<Offset>,
    is_aborted: bool,
    header: BatchHeader,
    bytes: Bytes,
    decompressed_bytes_max: usize,
}

/// A batch whose records are at hand.
#[derive(Clone, Debug)]
pub struct FetchedRecords {
    batch: Option<DecodedBatch>,
    wanted: Range<Offset>,
}

/// A reader of assigned partitions.
#[derive(Debug)]
pub struct Consumer {
    batches: mpsc::Receiver<Result<Vec<Fetched>, ClientError>>,
    ready: std::vec::IntoIter<Fetched>,
    fetcher: JoinHandle<()>,
}

/// Answers that wait to be read, besides the one on its way.
const ANSWERS_WAITING_MAX: usize = 1;

impl Consumer {
    /// Finds the offsets to start from (and to end at), and begins to fetch.
    pub async fn start(
        cluster: &Cluster,
        assignments: &[Assignment],
        config: ConsumerConfig,
    ) -> Result<Consumer, ClientError> {
        let mut positions = HashMap::new();
        for assignment in assignments {
            let topic: Arc<str> = assignment.topic.as_str().into();
            let found = find_positions(cluster, assignment, config, &BTreeMap::new()).await?;
            for (partition, position) in found {
                positions.insert((Arc::clone(&topic), partition), position);
            }
        }
        Ok(Consumer::start_at(cluster, positions, config))
    }

    /// Begins to fetch at known positions.
    pub(super) fn start_at(
        cluster: &Cluster,
        positions: HashMap<(Arc<str>, PartitionIndex), Position>,
        config: ConsumerConfig,
    ) -> Consumer {
        let (sender, batches) = mpsc::channel(ANSWERS_WAITING_MAX);
        let fetcher = tokio::spawn(fetcher::run(cluster.clone(), config, positions, sender));
        Consumer { batches, ready: Vec::new().into_iter(), fetcher }
    }

    /// The next batch, or `None` when every partition has reached its end. Safe to be cancelled.
    pub async fn next(&mut self) -> Result<Option<Fetched>, ClientError> {
        loop {
            if let Some(batch) = self.ready.next() {
                return Ok(Some(batch));
            }
            match self.batches.recv().await {
                Some(batches) => self.ready = batches?.into_iter(),
                None => return Ok(None),
            }
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.fetcher.abort();
    }
}

impl Fetched {
    /// Bytes of the batch as they came.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The first offset behind the batch: reading goes on there.
    #[must_use]
    pub fn end_offset(&self) -> Offset {
        self.header.offsets().end
    }

    /// Checks and decompresses the batch. A control batch and one that was aborted have no records for anyone.
    pub fn records(&self) -> Result<FetchedRecords, ClientError> {
        let wanted = self.wanted.clone();
        if self.is_aborted || self.header.is_control() {
            return Ok(FetchedRecords { batch: None, wanted });
        }
        let batch = DecodedBatch::decode(&self.bytes, self.decompressed_bytes_max);
        let batch = batch.map_err(|error| unreadable(&self.topic, self.partition, &self.header, &error))?;
        Ok(FetchedRecords { batch: Some(batch), wanted })
    }
}

impl FetchedRecords {
    /// The wanted records, in order. Ends with an error when a record is malformed.
    pub fn iter(&self) -> impl Iterator<Item = Result<Record<'_>, ClientError>> {
        let records = self.batch.iter().flat_map(DecodedBatch::records);
        records.filter_map(|record| match record {
            Ok(record) if self.wanted.contains(&record.offset) => Some(Ok(record)),
            Ok(_) => None,
            Err(error) => Some(Err(ClientError::Unreadable {
                endpoint: "the log".to_owned(),
                reason: error.to_string(),
            })),
        })
    }
}

fn unreadable(
    topic: &str,
    partition: PartitionIndex,
    header: &BatchHeader,
    reason: &dyn std::fmt::Display,
) -> ClientError {
    let endpoint = format!("{topic}-{partition} at offset {}", header.base_offset);
    ClientError::Unreadable { endpoint, reason: reason.to_string() }
}

/// Partitions go on at what is `committed`, if the log still has it.
pub(super) async fn find_positions(
    cluster: &Cluster,
    assignment: &Assignment,
    config: ConsumerConfig,
    committed: &BTreeMap<PartitionIndex, Offset>,
) -> Result<BTreeMap<PartitionIndex, Position>, ClientError> {
    let admin = Admin::new(cluster);
    let topic = &assignment.topic;
    // In this order: what can be read ends where the log does, or before.
    let readable_ends = admin.readable_ends(topic, config.isolation).await?;
    let ends = admin.end_offsets(topic).await?;
    let starts = admin.start_offsets(topic).await?;
    let at_time = match assignment.start {
        StartAt::Time(time) => admin.offsets_at(topic, time).await?,
        _ => BTreeMap::new(),
    };
    let mut wanted = assignment.partitions.clone();
    if wanted.is_empty() {
        wanted.extend(ends.keys());
    }
    let mut positions = BTreeMap::new();
    for partition in wanted {
        let (Some(start), Some(end)) = (starts.get(&partition), ends.get(&partition)) else {
            return Err(ClientError::unknown_partition(topic, partition, ends.len()));
        };
        let log = Log {
            offsets: *start..*end,
            readable_end: readable_ends.get(&partition).copied().unwrap_or(*end),
            at_time: at_time.get(&partition).copied(),
        };
        let committed = committed.get(&partition).filter(|offset| (start..=end).contains(offset));
        let begin = committed.map_or(assignment.start, |offset| StartAt::Offset(*offset));
        let next = position::first(begin, &log)
            .map_err(|offset| ClientError::out_of_range(topic, partition, offset, *start..*end))?;
        let stop = if config.stop == StopAt::End { log.readable_end } else { Offset(i64::MAX) };
        positions.insert(partition, Position { next, stop });
    }
    Ok(positions)
}
