//! The task that fetches ahead.

use super::aborted::Aborted;
use super::{ConsumerConfig, Fetched, Isolation, Position};
use crate::client::admin::text;
use crate::client::{Admin, ClientError, Cluster};
use crate::types::{BrokerId, Offset, PartitionIndex};
use crate::wire::ErrorCode;
use crate::wire::messages::fetch_request::{FetchPartition, FetchTopic};
use crate::wire::messages::fetch_response::PartitionData;
use crate::wire::messages::{FetchRequest, FetchResponse, TopicName};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

type Place = (Arc<str>, PartitionIndex);
type Answered = (BrokerId, Result<FetchResponse, ClientError>);

struct Fetcher {
    cluster: Cluster,
    config: ConsumerConfig,
    positions: HashMap<Place, Position>,
    leaders: HashMap<Place, BrokerId>,
    busy: HashSet<BrokerId>,
    failing_since: Option<Instant>,
    leaders_stale: bool,
    rotation: usize,
}

const RETRY_PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn run(
    cluster: Cluster,
    config: ConsumerConfig,
    positions: HashMap<Place, Position>,
    batches: mpsc::Sender<Result<Vec<Fetched>, ClientError>>,
) {
    let mut fetcher = Fetcher {
        cluster,
        config,
        positions,
        leaders: HashMap::new(),
        busy: HashSet::new(),
        failing_since: None,
        leaders_stale: true,
        rotation: 0,
    };
    if let Err(error) = fetcher.fetch(&batches).await {
        drop(batches.send(Err(error)).await);
    }
}

impl Fetcher {
    async fn fetch(
        &mut self,
        batches: &mpsc::Sender<Result<Vec<Fetched>, ClientError>>,
    ) -> Result<(), ClientError> {
        let mut answers = FuturesUnordered::new();
        loop {
            self.positions.retain(|_, position| !position.is_at_end());
            if self.positions.is_empty() {
                return Ok(());
            }
            if self.leaders_stale {
                self.find_leaders().await?;
            }
            for (leader, request) in self.requests() {
                self.busy.insert(leader);
                answers.push(ask(self.cluster.clone(), leader, request, self.config.max_wait));
            }
            let Some((leader, answer)) = answers.next().await else {
                tokio::time::sleep(RETRY_PAUSE).await;
                self.leaders_stale = true;
                continue;
            };
            self.busy.remove(&leader);
            let fetched = match answer {
                Ok(answer) => {
                    let fetched = self.on_answer(answer).await?;
                    if self.leaders_stale {
                        tokio::time::sleep(RETRY_PAUSE).await;
                    }
                    fetched
                }
                Err(error) => {
                    self.on_failure(error)?;
                    tokio::time::sleep(RETRY_PAUSE).await;
                    continue;
                }
            };
            // The next request of this broker goes out before this answer is handed over.
            let next = self.requests().into_iter().find(|(broker, _)| *broker == leader);
            if let Some((leader, request)) = next.filter(|_| !self.leaders_stale) {
                self.busy.insert(leader);
                answers.push(ask(self.cluster.clone(), leader, request, self.config.max_wait));
            }
            if !fetched.is_empty() && batches.send(Ok(fetched)).await.is_err() {
                return Ok(());
            }
        }
    }

    /// One request for each leader that has none in flight. Partitions take turns to be first, as the first
    /// ones of a request fill the answer.
    fn requests(&mut self) -> Vec<(BrokerId, FetchRequest)> {
        let mut wanted: BTreeMap<BrokerId, BTreeMap<Arc<str>, Vec<FetchPartition>>> = BTreeMap::new();
        for (place, position) in &self.positions {
            let Some(leader) = self.leaders.get(place).filter(|leader| !self.busy.contains(leader)) else {
                continue;
            };
            if position.is_at_end() {
                continue;
            }
            let partition = FetchPartition::default()
                .with_partition(place.1.0)
                .with_current_leader_epoch(-1)
                .with_fetch_offset(position.next.get())
                .with_log_start_offset(-1)
                .with_partition_max_bytes(self.config.partition_bytes_max);
            wanted.entry(*leader).or_default().entry(Arc::clone(&place.0)).or_default().push(partition);
        }
        self.rotation = self.rotation.wrapping_add(1);
        wanted.into_iter().map(|(leader, topics)| (leader, self.request(topics))).collect()
    }

    fn request(&self, topics: BTreeMap<Arc<str>, Vec<FetchPartition>>) -> FetchRequest {
        let topics = topics.into_iter().map(|(name, mut partitions)| {
            partitions.sort_by_key(|partition| partition.partition);
            let first = self.rotation % partitions.len();
            partitions.rotate_left(first);
            FetchTopic::default().with_topic(TopicName(text(&name))).with_partitions(partitions)
        });
        FetchRequest::default()
            .with_max_wait_ms(i32::try_from(self.config.max_wait.as_millis()).unwrap_or(i32::MAX))
            .with_min_bytes(self.config.min_bytes)
            .with_max_bytes(self.config.fetch_bytes_max)
            .with_session_epoch(-1)
            .with_isolation_level(self.config.isolation.level())
            .with_topics(topics.collect())
    }

    async fn on_answer(&mut self, answer: FetchResponse) -> Result<Vec<Fetched>, ClientError> {
        ClientError::check(answer.error_code, None, || "fetch".to_owned())?;
        let mut fetched = Vec::new();
        for topic in answer.responses {
            let name: Arc<str> = topic.topic.as_str().into();
            for data in topic.partitions {
                self.on_partition(&name, data, &mut fetched).await?;
            }
        }
        Ok(fetched)
    }

    async fn on_partition(
        &mut self,
        topic: &Arc<str>,
        data: PartitionData,
        fetched: &mut Vec<Fetched>,
    ) -> Result<(), ClientError> {
        let partition = PartitionIndex(data.partition_index);
        let place = (Arc::clone(topic), partition);
        let Some(position) = self.positions.get_mut(&place) else { return Ok(()) };
        match ErrorCode::try_from_code(data.error_code) {
            None => self.failing_since = None,
            Some(ErrorCode::OffsetOutOfRange) => {
                let offset = position.next;
                return Err(self.explain_range(topic, partition, offset).await);
            }
            // What is damaged or gone stays so; other codes of this kind may pass.
            Some(code) if code.is_retriable() && code != ErrorCode::CorruptMessage => {
                let what = format!("fetch of {topic}-{partition}");
                return self.on_failure(ClientError::Refused { what, code, message: String::new() });
            }
            Some(code) => {
                let what = format!("fetch of {topic}-{partition}");
                return Err(ClientError::Refused { what, code, message: String::new() });
            }
        }
        let next = position.next;
        let aborted = match self.config.isolation {
            Isolation::Committed => Aborted::new(data.aborted_transactions),
            Isolation::All => Aborted::default(),
        };
        let taken = position.take(data.records.unwrap_or_default(), aborted).map_err(|error| {
            let endpoint = format!("{topic}-{partition} from offset {next}");
            ClientError::Unreadable { endpoint, reason: error.to_string() }
        })?;
        fetched.extend(taken.into_iter().map(|taken| Fetched {
            topic: Arc::clone(topic),
            partition,
            wanted: taken.wanted,
            is_aborted: taken.is_aborted,
            header: taken.header,
            bytes: taken.bytes,
            decompressed_bytes_max: self.config.decompressed_bytes_max,
        }));
        Ok(())
    }

    async fn explain_range(&self, topic: &str, partition: PartitionIndex, offset: Offset) -> ClientError {
        let admin = Admin::new(&self.cluster);
        let log = async { Ok((admin.start_offsets(topic).await?, admin.end_offsets(topic).await?)) };
        match log.await {
            Ok((starts, ends)) => {
                let start = starts.get(&partition).copied().unwrap_or_default();
                let end = ends.get(&partition).copied().unwrap_or_default();
                ClientError::out_of_range(topic, partition, offset, start..end)
            }
            Err(error) => error,
        }
    }

    /// Notes that something does not work; an error when it has not for too long.
    fn on_failure(&mut self, error: ClientError) -> Result<(), ClientError> {
        self.leaders_stale = true;
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        if since.elapsed() > self.config.patience { Err(error) } else { Ok(()) }
    }

    async fn find_leaders(&mut self) -> Result<(), ClientError> {
        let topics: HashSet<Arc<str>> = self.positions.keys().map(|(topic, _)| Arc::clone(topic)).collect();
        for topic in topics {
            let info = match self.cluster.topic(&topic).await {
                Ok(info) => info,
                Err(error) => {
                    self.on_failure(error)?;
                    tokio::time::sleep(RETRY_PAUSE).await;
                    return Ok(());
                }
            };
            for partition in info.partitions {
                let place = (Arc::clone(&topic), partition.index);
                match partition.leader {
                    Some(leader) => self.leaders.insert(place, leader),
                    None => self.leaders.remove(&place),
                };
            }
        }
        self.leaders_stale = false;
        Ok(())
    }
}

async fn ask(cluster: Cluster, leader: BrokerId, request: FetchRequest, max_wait: Duration) -> Answered {
    let asked = async { cluster.broker(leader).await?.send(&request, max_wait).await?.wait().await };
    (leader, asked.await)
}
