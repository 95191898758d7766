//! Producers: plain ones, for whom every attempt is a send of its own, and idempotent ones, who have several batches on their
//! way and send them again in their order until they are told.

use super::refusal;
use crate::client::{Client, Connection, Lost, PATIENCE, Topic, text};
use crate::history::{
    Answer, Batch, Call, Fact, Outcome, Producer, RequestNumber, Role, Sent, TopicPartition,
};
use crate::records;
use bytes::Bytes;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{DescribeProducersRequest, InitProducerIdRequest, ProduceRequest, TopicName};
use std::collections::VecDeque;
use tokio::time::timeout;
use uuid::Uuid;

/// Produce by the topic's id: whoever sends by its name may meet the next topic of that name.
const VERSION: i16 = 13;
/// Batches on their way at once.
const PIPELINE_MAX: usize = 5;

/// How old some records say that they are, in milliseconds: what is kept for less may go at once.
const OLD_MS: i64 = 3_600_000;

/// Records for one batch. `keys`: how many different keys, none for records without.
pub fn some_records(client: &Client, keys: Option<u64>) -> Vec<Sent> {
    let count = client.dice.between(1..6);
    let age_ms = if client.dice.permille(200) { OLD_MS } else { 0 };
    let sent = |_| {
        let key = keys.map(|keys| client.dice.below(keys));
        let number = client.shared.next_record();
        Sent {
            number,
            key,
            tombstone: key.is_some() && client.dice.permille(100),
            headers: records::headers_told(number),
            timestamp: Some(client.wall_ms() - age_ms),
            source: None,
        }
    };
    (0..count).map(sent).collect()
}

pub fn request(
    api_version: i16,
    topic: &Topic,
    partition: i32,
    transactional_id: Option<&str>,
    records: Bytes,
) -> ProduceRequest {
    let partition = PartitionProduceData::default().with_index(partition).with_records(Some(records));
    let named = match api_version {
        VERSION.. => TopicProduceData::default().with_topic_id(Uuid::from_u128(topic.id.0)),
        _ => TopicProduceData::default().with_name(TopicName(text(&topic.name))),
    };
    let topic = named.with_partition_data(vec![partition]);
    ProduceRequest::default()
        .with_transactional_id(transactional_id.map(|id| text(id).into()))
        .with_acks(-1)
        .with_timeout_ms(5_000)
        .with_topic_data(vec![topic])
}

async fn sent(connection: &mut Connection, id: i32) -> Result<PartitionProduceResponse, Lost> {
    let answer =
        timeout(PATIENCE, connection.receive::<ProduceRequest>(VERSION, id)).await.map_err(|_| Lost)??;
    let topic = answer.responses.into_iter().next();
    topic.and_then(|topic| topic.partition_responses.into_iter().next()).ok_or(Lost)
}

pub fn answer(part: &PartitionProduceResponse) -> Answer {
    let known = |offset: i64| (offset >= 0).then_some(offset);
    Answer::Sent { offset: known(part.base_offset), start: known(part.log_start_offset) }
}

/// A plain producer.
pub async fn run_plain(mut client: Client, topic: String, keys: Option<u64>) {
    client.started("plain", Role::Producer);
    while !client.shared.is_over() {
        let Some(found) = client.await_topic(&topic).await else { break };
        for _ in 0..client.dice.between(1..20) {
            if client.shared.is_over() {
                break;
            }
            send_plain(&mut client, &found, keys).await;
            client.pause(1..200).await;
        }
    }
    client.stopped();
}

/// One batch to some partition, in one attempt.
pub async fn send_plain(client: &mut Client, topic: &Topic, keys: Option<u64>) {
    let partition =
        i32::try_from(client.dice.below(u64::try_from(topic.partitions).expect("some"))).expect("few");
    let place = TopicPartition { topic: topic.id, partition };
    let records = some_records(client, keys);
    let bytes = records::encode(&records, None, false, client.wall_ms());
    client.connected().await;
    let batch = Batch { place, records, producer: None, base_sequence: None, transaction: None };
    let call = client.begins(Call::Send(batch));
    let connection = client.connected().await;
    let asking = async {
        let id = connection.send(VERSION, &request(VERSION, topic, partition, None, bytes)).await?;
        sent(connection, id).await
    };
    match timeout(PATIENCE, asking).await.unwrap_or(Err(Lost)) {
        Ok(part) if part.error_code == 0 => {
            client.ends(call, Outcome::Ok(answer(&part)));
            client.got_on();
        }
        Ok(part) => {
            client.ends(call, refusal(part.error_code));
            client.disconnect();
        }
        Err(Lost) => {
            client.ends(call, Outcome::Unknown);
            client.disconnect();
        }
    }
}

/// A batch that is on its way.
struct Underway {
    call: RequestNumber,
    records: Vec<Sent>,
    base_sequence: i32,
    /// Whether all attempts so far were refused.
    refused: bool,
    attempts: u32,
}

/// An idempotent producer to one partition at a time.
pub async fn run_idempotent(mut client: Client, topic: String, keys: Option<u64>) {
    client.started("idempotent", Role::Producer);
    while !client.shared.is_over() {
        let Some(found) = client.await_topic(&topic).await else { break };
        let Some(producer) = init(&mut client).await else { continue };
        let partition = i32::try_from(client.dice.below(u64::try_from(found.partitions).expect("some")));
        let place = TopicPartition { topic: found.id, partition: partition.expect("few") };
        Idempotent {
            client: &mut client,
            topic: found,
            place,
            producer,
            next: 0,
            keys,
            underway: VecDeque::new(),
            refused_by: None,
        }
        .run()
        .await;
    }
    client.stopped();
}

async fn init(client: &mut Client) -> Option<Producer> {
    client.connected().await;
    let call = client.begins(Call::InitProducer { transactional_id: None });
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(60_000)
        .with_producer_id((-1).into())
        .with_producer_epoch(-1);
    match client.ask(4, &request).await {
        Ok(answer) if answer.error_code == 0 => {
            let producer =
                Producer { producer_id: answer.producer_id.0, producer_epoch: answer.producer_epoch };
            client.ends(call, Outcome::Ok(Answer::Producer(producer)));
            Some(producer)
        }
        _ => {
            client.ends(call, Outcome::Unknown);
            client.disconnect();
            client.pause(50..300).await;
            None
        }
    }
}

struct Idempotent<'a> {
    client: &'a mut Client,
    topic: Topic,
    place: TopicPartition,
    producer: Producer,
    next: i32,
    keys: Option<u64>,
    underway: VecDeque<Underway>,
    /// The last code that refused a batch.
    refused_by: Option<i16>,
}

/// After so many attempts at one batch the producer begins anew.
const ATTEMPTS_MAX: u32 = 30;

impl Idempotent<'_> {
    /// Sends for a while, until this session of the producer is at its end.
    async fn run(mut self) {
        let mut to_send = self.client.dice.between(5..60);
        while to_send > 0 || !self.underway.is_empty() {
            if self.client.shared.is_over() {
                to_send = 0;
            }
            let room = PIPELINE_MAX - self.underway.len();
            let fresh = u64::try_from(room).expect("few").min(to_send).min(self.client.dice.between(1..6));
            to_send -= fresh;
            for _ in 0..fresh {
                self.begin().await;
            }
            if !self.exchange().await {
                break;
            }
            self.client.pause(1..150).await;
            if self.underway.is_empty() && self.client.dice.permille(200) {
                self.look().await;
            }
        }
        let code = self.refused_by;
        for batch in self.underway {
            let is_refused = batch.refused && batch.attempts > 0;
            let refusal = code.filter(|_| is_refused).map(Outcome::Refused);
            self.client.ends(batch.call, refusal.unwrap_or(Outcome::Unknown));
        }
    }

    async fn begin(&mut self) {
        let records = some_records(self.client, self.keys);
        let count = i32::try_from(records.len()).expect("few records");
        self.client.connected().await;
        let call = self.client.begins(Call::Send(Batch {
            place: self.place,
            records: records.clone(),
            producer: Some(self.producer),
            base_sequence: Some(self.next),
            transaction: None,
        }));
        self.underway.push_back(Underway {
            call,
            records,
            base_sequence: self.next,
            refused: true,
            attempts: 0,
        });
        self.next += count;
    }

    /// Sends all that is under way, in order, and takes the answers. False: the producer has to begin anew.
    async fn exchange(&mut self) -> bool {
        let mut ids = Vec::new();
        for batch in &mut self.underway {
            batch.attempts += 1;
            let bytes = records::encode(
                &batch.records,
                Some((self.producer, batch.base_sequence)),
                false,
                self.client.wall_ms(),
            );
            let request = request(VERSION, &self.topic, self.place.partition, None, bytes);
            let connection = self.client.connected().await;
            match timeout(PATIENCE, connection.send(VERSION, &request)).await.unwrap_or(Err(Lost)) {
                Ok(id) => ids.push(id),
                Err(Lost) => {
                    batch.refused = false;
                    break;
                }
            }
        }
        let mut is_lost = ids.len() < self.underway.len();
        for id in ids {
            let connection = self.client.connected().await;
            let Ok(part) = sent(connection, id).await else {
                self.underway.iter_mut().for_each(|batch| batch.refused = false);
                is_lost = true;
                break;
            };
            match part.error_code {
                0 | 46 => {
                    let batch = self.underway.pop_front().expect("it was sent");
                    self.client.ends(batch.call, Outcome::Ok(answer(&part)));
                    self.client.got_on();
                }
                code => {
                    let is_refusal = matches!(refusal(code), Outcome::Refused(_));
                    let front = self.underway.front_mut().expect("it was sent");
                    front.refused &= is_refusal;
                    self.refused_by = Some(code);
                    // Those behind it have been sent, and may be taken or not.
                    self.underway.iter_mut().skip(1).for_each(|batch| batch.refused = false);
                    self.client.disconnect();
                    return self.on_error(code).await;
                }
            }
        }
        if is_lost {
            self.client.disconnect();
            // Some come again only when what they sent has long been archived, and is led elsewhere.
            let pause = if self.client.dice.permille(300) { 1_000..12_000 } else { 20..200 };
            self.client.pause(pause).await;
        }
        self.underway.front().is_none_or(|batch| batch.attempts < ATTEMPTS_MAX)
    }

    /// Sees that the partition's leader knows this producer as far as its batches are acknowledged.
    async fn look(&mut self) {
        let next = self.underway.front().map_or(self.next, |front| front.base_sequence);
        if next == 0 {
            return;
        }
        let topic = TopicRequest::default()
            .with_name(TopicName(text(&self.topic.name)))
            .with_partition_indexes(vec![self.place.partition]);
        let request = DescribeProducersRequest::default().with_topics(vec![topic]);
        let answer = self.client.ask(0, &request).await.ok();
        let part = answer.and_then(|answer| answer.topics.into_iter().next()?.partitions.into_iter().next());
        match part.filter(|part| part.error_code == 0) {
            Some(part) => {
                let id = self.producer.producer_id;
                let known = part.active_producers.iter().find(|known| known.producer_id.0 == id);
                if known.is_none_or(|known| known.last_sequence < next - 1) {
                    self.denied(next);
                }
            }
            None => self.client.disconnect(),
        }
    }

    fn denied(&self, base_sequence: i32) {
        let (place, producer) = (self.place, self.producer);
        self.client.fact(Fact::SequenceDenied { place, producer, base_sequence });
    }

    async fn on_error(&mut self, code: i16) -> bool {
        let front = self.underway.front().expect("it failed");
        if matches!(code, 45 | 59) {
            self.denied(front.base_sequence);
        }
        // Out of order, fenced, unknown, or the topic is gone: nothing more is to be had by this session.
        let is_over = matches!(code, 3 | 45 | 47 | 59)
            && (code != 3 || front.attempts > 10)
            && (code != 45 || front.attempts > 5);
        let is_in_doubt = front.attempts % 4 == 3;
        if is_over || front.attempts >= ATTEMPTS_MAX {
            return false;
        }
        if is_in_doubt {
            self.look().await;
        }
        self.client.pause(20..200).await;
        true
    }
}
