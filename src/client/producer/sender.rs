//! The task that sends batches and reacts to answers.

use super::queue::{Attempt, Identity, Reaction, Sent};
use super::{Acks, ProducerConfig, Shared, State};
use crate::client::admin::text;
use crate::client::{ClientError, Cluster};
use crate::types::{BrokerId, Offset, PartitionIndex, ProducerEpoch, ProducerId};
use crate::wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use crate::wire::messages::{InitProducerIdRequest, ProduceRequest, ProduceResponse, TopicName};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A batch of a request: whose it is.
struct Part {
    topic: Arc<str>,
    partition: usize,
    sent: Sent,
}

type Answered = (BrokerId, Vec<Part>, Result<Option<ProduceResponse>, ClientError>);

struct Sender {
    shared: Arc<Shared>,
    identity: Option<Identity>,
    in_flight: HashMap<BrokerId, usize>,
    answers: FuturesUnordered<BoxFuture<'static, Answered>>,
    /// Leaders are asked for again, and nothing is sent before this.
    paused_until: Option<Instant>,
}

const RETRY_PAUSE: Duration = Duration::from_millis(100);
const IDLE_PAUSE: Duration = Duration::from_secs(1);
const BROKER_TIMEOUT: Duration = Duration::from_secs(30);
/// One more than this many attempts at a producer id, with pauses between.
const IDENTITY_RETRIES: usize = 50;

/// Asks for a new producer id; coordinators may need a moment after a start.
pub(super) async fn new_identity(cluster: &Cluster) -> Result<Identity, ClientError> {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(i32::MAX)
        .with_producer_id((-1).into())
        .with_producer_epoch(-1);
    let mut retries = 0;
    loop {
        let asked = async { cluster.any().await?.call(&request).await };
        let checked = asked.await.and_then(|answer| {
            ClientError::check(answer.error_code, None, || "new producer id".to_owned())?;
            let producer_epoch = ProducerEpoch(answer.producer_epoch);
            Ok(Identity { producer_id: ProducerId(answer.producer_id.0), producer_epoch })
        });
        let again = match &checked {
            Err(ClientError::Refused { code, .. }) => code.is_retriable(),
            Err(ClientError::Closed { .. } | ClientError::Connect { .. }) => true,
            _ => false,
        };
        if !again || retries == IDENTITY_RETRIES {
            return checked;
        }
        retries += 1;
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

pub(super) async fn run(shared: Arc<Shared>, identity: Option<Identity>) {
    let mut sender = Sender {
        shared: Arc::clone(&shared),
        identity,
        in_flight: HashMap::new(),
        answers: FuturesUnordered::new(),
        paused_until: None,
    };
    if let Err(error) = sender.run().await {
        shared.state.lock().closed = Some(error);
        shared.progress.notify_waiters();
    }
}

impl Sender {
    async fn run(&mut self) -> Result<(), ClientError> {
        loop {
            let now = Instant::now();
            if self.paused_until.is_none_or(|until| now >= until) {
                if self.paused_until.take().is_some() {
                    self.expire(now).await?;
                    self.find_leaders().await;
                }
                self.send_ready(now).await;
            }
            let until = self.next_look(Instant::now());
            tokio::select! {
                Some((broker, parts, answer)) = self.answers.next() => self.on_answer(broker, parts, answer).await?,
                () = self.shared.wake.notified() => {}
                () = tokio::time::sleep_until(until) => {}
            }
        }
    }

    /// When something may become ready by time alone.
    fn next_look(&self, now: Instant) -> Instant {
        if let Some(until) = self.paused_until {
            return until;
        }
        let state = self.shared.state.lock();
        let queues = state.topics.values().flat_map(|topic| &topic.partitions);
        let oldest = queues.filter_map(|partition| partition.queue.open_since()).min();
        oldest.map_or(now + IDLE_PAUSE, |oldest| oldest + self.shared.config.linger)
    }

    async fn send_ready(&mut self, now: Instant) {
        let ready = {
            let mut state = self.shared.state.lock();
            if state.misses_leader() {
                self.paused_until = Some(now + RETRY_PAUSE);
            }
            collect(&mut state, &self.shared.config, self.identity, &self.in_flight, now)
        };
        for (broker, parts) in ready {
            for parts in into_requests(parts, self.shared.config.request_bytes_max) {
                self.send(broker, parts).await;
            }
        }
    }

    async fn send(&mut self, broker: BrokerId, mut parts: Vec<Part>) {
        *self.in_flight.entry(broker).or_default() += 1;
        let request = request(&mut parts, &self.shared.config);
        let acks = self.shared.config.acks;
        let sending = async {
            let connection = self.shared.cluster.broker(broker).await?;
            if acks == Acks::None {
                connection.send_silent(&request).await?;
                return Ok(None);
            }
            connection.send(&request, BROKER_TIMEOUT).await.map(Some)
        };
        let sent = sending.await;
        self.answers.push(Box::pin(async move {
            let answer = match sent {
                Ok(Some(answer)) => answer.wait().await.map(Some),
                Ok(None) => Ok(None),
                Err(error) => Err(error),
            };
            (broker, parts, answer)
        }));
    }

    async fn on_answer(
        &mut self,
        broker: BrokerId,
        parts: Vec<Part>,
        answer: Result<Option<ProduceResponse>, ClientError>,
    ) -> Result<(), ClientError> {
        if let Some(in_flight) = self.in_flight.get_mut(&broker) {
            *in_flight -= 1;
        }
        let attempts = attempts(&parts, answer);
        let mut new_identity = false;
        {
            let mut state = self.shared.state.lock();
            for (part, attempt) in parts.into_iter().zip(attempts) {
                let queue = state.queue(&part.topic, part.partition);
                let reaction = queue.on_attempt(part.sent, attempt);
                if reaction.retried {
                    self.paused_until = Some(Instant::now() + RETRY_PAUSE);
                }
                new_identity |= reaction.new_identity;
                finish(&mut state, reaction);
            }
        }
        self.shared.progress.notify_waiters();
        self.renew(new_identity).await
    }

    async fn renew(&mut self, needed: bool) -> Result<(), ClientError> {
        if needed && self.identity.is_some() {
            self.identity = Some(new_identity(&self.shared.cluster).await?);
        }
        Ok(())
    }

    /// Gives up batches that have been tried for too long.
    async fn expire(&mut self, now: Instant) -> Result<(), ClientError> {
        let timeout = self.shared.config.delivery_timeout;
        let Some(deadline) = now.checked_sub(timeout) else { return Ok(()) };
        let mut renew = false;
        {
            let mut state = self.shared.state.lock();
            let mut expired = Vec::new();
            for (name, topic) in &mut state.topics {
                for (index, partition) in topic.partitions.iter_mut().enumerate() {
                    let (batches, reset) = partition.queue.expire(deadline);
                    renew |= reset;
                    expired.extend(batches.into_iter().map(|batch| (Arc::clone(name), index, batch)));
                }
            }
            for (topic, partition, batch) in expired {
                let reason = batch.last_error.as_ref().map_or("no leader".to_owned(), ToString::to_string);
                let partition = i32::try_from(partition).unwrap_or(i32::MAX);
                let timeout_ms = timeout.as_millis();
                let error =
                    ClientError::DeliveryTimeout { topic: topic.to_string(), partition, timeout_ms, reason };
                finish(&mut state, Reaction { finished: vec![(batch, Err(error))], ..Reaction::default() });
            }
        }
        self.shared.progress.notify_waiters();
        self.renew(renew).await
    }

    /// Asks for the leaders of all topics; who cannot be asked is asked again after a pause.
    async fn find_leaders(&mut self) {
        let topics: Vec<Arc<str>> = self.shared.state.lock().topics.keys().cloned().collect();
        for topic in topics {
            if let Err(error) = self.shared.learn_topic(&topic).await {
                tracing::debug!(%topic, %error, "leaders not known");
                self.paused_until = Some(Instant::now() + RETRY_PAUSE);
            }
        }
    }
}

impl State {
    fn misses_leader(&self) -> bool {
        let mut partitions = self.topics.values().flat_map(|topic| &topic.partitions);
        partitions.any(|partition| partition.leader.is_none() && !partition.queue.is_idle())
    }

    fn queue(&mut self, topic: &Arc<str>, partition: usize) -> &mut super::Queue {
        let topic = self.topics.get_mut(topic).expect("topics are never forgotten");
        &mut topic.partitions[partition].queue
    }
}

/// Batches that may go out now, by their leaders; at most one of each partition.
fn collect(
    state: &mut State,
    config: &ProducerConfig,
    identity: Option<Identity>,
    in_flight: &HashMap<BrokerId, usize>,
    now: Instant,
) -> BTreeMap<BrokerId, Vec<Part>> {
    let hurry = state.flushing > 0 || state.buffered_bytes * 2 > config.buffer_bytes;
    let mut ready: BTreeMap<BrokerId, Vec<Part>> = BTreeMap::new();
    for (name, topic) in &mut state.topics {
        for (index, partition) in topic.partitions.iter_mut().enumerate() {
            let Some(leader) = partition.leader else { continue };
            if in_flight.get(&leader).copied().unwrap_or(0) >= config.in_flight_max {
                continue;
            }
            let queue = &mut partition.queue;
            if queue.open_since().is_some_and(|since| hurry || now >= since + config.linger) {
                queue.seal();
            }
            if let Some(sent) = queue.take(identity) {
                ready.entry(leader).or_default().push(Part {
                    topic: Arc::clone(name),
                    partition: index,
                    sent,
                });
            }
        }
    }
    ready
}

/// Cuts batches into requests of about `bytes_max`.
fn into_requests(parts: Vec<Part>, bytes_max: usize) -> Vec<Vec<Part>> {
    let mut requests: Vec<Vec<Part>> = Vec::new();
    let mut bytes = usize::MAX;
    for part in parts {
        let part_bytes = part.sent.batch.bytes();
        match requests.last_mut() {
            Some(request) if bytes + part_bytes <= bytes_max => {
                bytes += part_bytes;
                request.push(part);
            }
            _ => {
                bytes = part_bytes;
                requests.push(vec![part]);
            }
        }
    }
    requests
}

fn request(parts: &mut [Part], config: &ProducerConfig) -> ProduceRequest {
    let mut topics: BTreeMap<Arc<str>, Vec<PartitionProduceData>> = BTreeMap::new();
    for part in parts {
        let records: Bytes = part.sent.batch.encode(config.codec);
        let index = i32::try_from(part.partition).unwrap_or(i32::MAX);
        let data = PartitionProduceData::default().with_index(index).with_records(Some(records));
        topics.entry(Arc::clone(&part.topic)).or_default().push(data);
    }
    let topics = topics.into_iter().map(|(name, partitions)| {
        TopicProduceData::default().with_name(TopicName(text(&name))).with_partition_data(partitions)
    });
    let acks = match config.acks {
        Acks::None => 0,
        Acks::Leader => 1,
        Acks::All => -1,
    };
    ProduceRequest::default()
        .with_acks(acks)
        .with_timeout_ms(i32::try_from(BROKER_TIMEOUT.as_millis()).unwrap_or(i32::MAX))
        .with_topic_data(topics.collect())
}

/// What an answer means for each batch of its request.
fn attempts(parts: &[Part], answer: Result<Option<ProduceResponse>, ClientError>) -> Vec<Attempt> {
    let response = match answer {
        Ok(Some(response)) => response,
        Ok(None) => return parts.iter().map(|_| Attempt::Stored(Offset(-1))).collect(),
        Err(error @ ClientError::Unsupported { .. }) => {
            return parts.iter().map(|_| Attempt::Refused(error.clone())).collect();
        }
        Err(error) => return parts.iter().map(|_| Attempt::Again(error.clone())).collect(),
    };
    let mut answers = HashMap::new();
    for topic in &response.responses {
        for partition in &topic.partition_responses {
            answers.insert((topic.name.as_str(), partition.index), partition);
        }
    }
    let attempt = |part: &Part| {
        let partition = PartitionIndex(i32::try_from(part.partition).unwrap_or(i32::MAX));
        let what = format!("produce to {}-{partition}", part.topic);
        let Some(answer) = answers.get(&(&*part.topic, partition.0)) else {
            return Attempt::Again(ClientError::Unreadable {
                endpoint: what,
                reason: "no answer for it".to_owned(),
            });
        };
        let message = answer.error_message.as_deref().unwrap_or("").to_owned();
        Attempt::of_code(answer.error_code, answer.base_offset, |code| ClientError::Refused {
            what,
            code,
            message,
        })
    };
    parts.iter().map(attempt).collect()
}

/// Tells those who wait what became of batches, and gives their memory back.
fn finish(state: &mut State, reaction: Reaction) {
    for (batch, outcome) in reaction.finished {
        state.buffered_bytes = state.buffered_bytes.saturating_sub(batch.bytes());
        if let Err(error) = &outcome {
            state.failure.get_or_insert_with(|| error.clone());
        }
        batch.outcome.set(Instant::now(), outcome);
    }
}
