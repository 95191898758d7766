//! Sends records, gathered into batches.
//!
//! [`Producer::send`] appends to the open batch of a partition under a short lock, and waits only while the
//! buffer is full. One task seals batches (full, or after `linger`), sends them to the leaders, at most
//! `in_flight_max` requests per broker, and reacts to answers as [`queue`] says.

mod delivery;
mod partitioner;
mod queue;
mod sender;

pub use delivery::{Delivered, Delivery};
pub use partitioner::{murmur2, partition_of_key};

use super::{ClientError, Cluster};
use crate::clock::{Clock, random_id};
use crate::types::{BrokerId, PartitionIndex, Timestamp};
use crate::wire::batch::{Codec, Header};
use parking_lot::Mutex;
use partitioner::Sticky;
use queue::Queue;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// When a record counts as stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acks {
    /// When it is written to the connection.
    None,
    /// When the leader has it.
    Leader,
    /// When all replicas in sync have it.
    #[default]
    All,
}

/// How to send.
#[derive(Clone, Copy, Debug)]
pub struct ProducerConfig {
    /// When a record counts as stored.
    pub acks: Acks,
    /// No repeats and no changes of order by retries. Needs `Acks::All`; ignored otherwise.
    pub idempotent: bool,
    /// How batches are compressed.
    pub codec: Codec,
    /// How long a batch waits for more records.
    pub linger: Duration,
    /// Size at which a batch is full, before compression; a larger record goes alone.
    pub batch_bytes: usize,
    /// Bytes of batches in one request, about.
    pub request_bytes_max: usize,
    /// Bytes of all batches that are not answered; beyond it `send` waits.
    pub buffer_bytes: usize,
    /// Requests in flight per broker, at most 5 when idempotent.
    pub in_flight_max: usize,
    /// How long a batch is tried, from its first record.
    pub delivery_timeout: Duration,
}

impl Default for ProducerConfig {
    fn default() -> ProducerConfig {
        ProducerConfig {
            acks: Acks::All,
            idempotent: true,
            codec: Codec::None,
            linger: Duration::from_millis(5),
            batch_bytes: 256 << 10,
            request_bytes_max: 1 << 20,
            buffer_bytes: 64 << 20,
            in_flight_max: 5,
            delivery_timeout: Duration::from_secs(120),
        }
    }
}

/// A record to be sent. Its bytes are copied into a batch.
#[derive(Clone, Copy, Debug)]
pub struct NewRecord<'a> {
    /// To which topic.
    pub topic: &'a str,
    /// To which partition; by key, or any, when `None`.
    pub partition: Option<PartitionIndex>,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value; none makes a tombstone.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: &'a [Header<'a>],
    /// Its time; now, when `None`.
    pub timestamp: Option<Timestamp>,
}

impl<'a> NewRecord<'a> {
    /// A record that has only a value.
    #[must_use]
    pub fn of_value(topic: &'a str, value: &'a [u8]) -> NewRecord<'a> {
        NewRecord { topic, partition: None, key: None, value: Some(value), headers: &[], timestamp: None }
    }

    /// About its size in a batch.
    fn bytes(&self) -> usize {
        let headers = self.headers.iter().map(|h| h.key.len() + h.value.map_or(0, <[u8]>::len) + 4);
        self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len) + headers.sum::<usize>() + 16
    }
}

/// Sends records. Close it, or what is not sent yet is lost.
#[derive(Debug)]
pub struct Producer {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    cluster: Cluster,
    config: ProducerConfig,
    clock: Clock,
    state: Mutex<State>,
    /// The sending task has something to look at.
    wake: Notify,
    /// Batches were answered.
    progress: Notify,
}

#[derive(Debug, Default)]
struct State {
    topics: HashMap<Arc<str>, Topic>,
    buffered_bytes: usize,
    flushing: usize,
    /// The first failure of a batch since the last flush.
    failure: Option<ClientError>,
    /// The producer is of no more use.
    closed: Option<ClientError>,
}

#[derive(Debug)]
struct Topic {
    sticky: Sticky,
    partitions: Vec<Partition>,
}

#[derive(Debug, Default)]
struct Partition {
    leader: Option<BrokerId>,
    queue: Queue,
}

impl Producer {
    /// Starts the task that sends.
    pub async fn start(cluster: &Cluster, config: ProducerConfig) -> Result<Producer, ClientError> {
        let shared = Arc::new(Shared {
            cluster: cluster.clone(),
            config,
            clock: Clock::System,
            state: Mutex::default(),
            wake: Notify::new(),
            progress: Notify::new(),
        });
        let identity = if config.idempotent && config.acks == Acks::All {
            Some(sender::new_identity(&shared.cluster).await?)
        } else {
            None
        };
        let task = tokio::spawn(sender::run(Arc::clone(&shared), identity));
        Ok(Producer { shared, task })
    }

    /// Puts a record into a batch. Waits while the buffer is full; the record is sent in the background.
    pub async fn send(&self, record: &NewRecord<'_>) -> Result<Delivery, ClientError> {
        let bytes = record.bytes();
        let bytes_max = self.shared.config.buffer_bytes;
        if bytes > bytes_max {
            return Err(ClientError::RecordTooLarge { bytes, bytes_max });
        }
        loop {
            let progress = self.shared.progress.notified();
            tokio::pin!(progress);
            progress.as_mut().enable();
            match self.shared.append(record, bytes)? {
                Appended::Taken(delivery) => return Ok(delivery),
                Appended::Full => {
                    self.shared.wake.notify_one();
                    progress.await;
                }
                Appended::UnknownTopic => self.shared.learn_topic(record.topic).await?,
            }
        }
    }

    /// Sends all that was appended, and waits for the answers. The first failure since the last flush is an
    /// error, though it may be another batch's.
    pub async fn flush(&self) -> Result<(), ClientError> {
        self.shared.state.lock().flushing += 1;
        self.shared.wake.notify_one();
        loop {
            let progress = self.shared.progress.notified();
            tokio::pin!(progress);
            progress.as_mut().enable();
            {
                let mut state = self.shared.state.lock();
                if state.is_idle() || state.closed.is_some() {
                    state.flushing -= 1;
                    let closed = state.closed.clone();
                    return state.failure.take().or(closed).map_or(Ok(()), Err);
                }
            }
            progress.await;
        }
    }

    /// Flushes and ends.
    pub async fn close(self) -> Result<(), ClientError> {
        self.flush().await
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

enum Appended {
    Taken(Delivery),
    Full,
    UnknownTopic,
}

impl State {
    fn is_idle(&self) -> bool {
        self.topics.values().flat_map(|topic| &topic.partitions).all(|partition| partition.queue.is_idle())
    }
}

impl Shared {
    fn append(&self, record: &NewRecord<'_>, bytes: usize) -> Result<Appended, ClientError> {
        let mut state = self.state.lock();
        if let Some(error) = &state.closed {
            return Err(error.clone());
        }
        if state.buffered_bytes > 0 && state.buffered_bytes + bytes > self.config.buffer_bytes {
            return Ok(Appended::Full);
        }
        let Some(topic) = state.topics.get_mut(record.topic) else { return Ok(Appended::UnknownTopic) };
        let partition = topic.choose(record, bytes, self.config.batch_bytes)?;
        let place = usize::try_from(partition.0).unwrap_or(0);
        let queue = &mut topic.partitions[place].queue;
        let had_open = queue.open_since().is_some();
        let had_sealed = queue.has_sealed();
        let batch = queue.open(Instant::now(), bytes, self.config.batch_bytes);
        let before = batch.bytes();
        let before = if before == crate::wire::batch::HEADER_BYTES { 0 } else { before };
        let timestamp = record.timestamp.unwrap_or_else(|| self.clock.now());
        let (outcome, index) = batch.append(timestamp, record.key, record.value, record.headers);
        let grown = batch.bytes() - before;
        let wake = !had_open || (!had_sealed && queue.has_sealed());
        state.buffered_bytes += grown;
        drop(state);
        if wake {
            self.wake.notify_one();
        }
        Ok(Appended::Taken(Delivery { outcome, partition, index }))
    }

    /// Asks for the leaders of a topic; partitions that are known keep their batches.
    async fn learn_topic(&self, name: &str) -> Result<(), ClientError> {
        let info = self.cluster.topic_to_write(name).await?;
        let seed = u64::from_le_bytes(random_id().as_bytes()[..8].try_into().expect("8 of 16 bytes"));
        let mut state = self.state.lock();
        let topic = state
            .topics
            .entry(name.into())
            .or_insert_with(|| Topic { sticky: Sticky::new(seed), partitions: Vec::new() });
        for partition in info.partitions {
            let place = usize::try_from(partition.index.0).unwrap_or(0);
            if place >= topic.partitions.len() {
                topic.partitions.resize_with(place + 1, Partition::default);
            }
            topic.partitions[place].leader = partition.leader;
        }
        Ok(())
    }
}

impl Topic {
    fn choose(
        &mut self,
        record: &NewRecord<'_>,
        bytes: usize,
        batch_bytes: usize,
    ) -> Result<PartitionIndex, ClientError> {
        let partitions = u32::try_from(self.partitions.len()).unwrap_or(u32::MAX);
        match (record.partition, record.key) {
            (Some(partition), _) if u32::try_from(partition.0).is_ok_and(|index| index < partitions) => {
                Ok(partition)
            }
            (Some(partition), _) => {
                Err(ClientError::unknown_partition(record.topic, partition, self.partitions.len()))
            }
            (None, Some(key)) => Ok(partition_of_key(key, partitions)),
            (None, None) => Ok(self.sticky.next(bytes, partitions, batch_bytes)),
        }
    }
}
