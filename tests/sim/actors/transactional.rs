//! Transactional producers: a few batches to some partitions, then the verdict, again and again.

use super::producer::{VERSION as PRODUCE, answer, request, some_records};
use super::refusal;
use crate::client::{Client, Lost, Topic, text};
use crate::history::{
    Answer, Batch, Call, Outcome, Producer, Role, TopicPartition, TransactionNumber, Verdict,
};
use crate::records;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, EndTxnRequest, InitProducerIdRequest, ProduceRequest, TopicName,
};
use std::collections::BTreeMap;

/// The last versions of clients that name a transaction's partitions by themselves.
const ADD: i16 = 3;
const END: i16 = 3;
const COORDINATOR_OF_TRANSACTIONS: i8 = 1;
/// Attempts at one step.
const ATTEMPTS_MAX: u32 = 20;

/// One transactional id, and the session of its producer.
struct Transactional {
    client: Client,
    id: String,
    producer: Producer,
    sequences: BTreeMap<TopicPartition, i32>,
    /// How many different keys there are, in topics that need some.
    keys: Option<u64>,
}

/// What became of a step.
enum Step {
    Done,
    /// Something failed: the transaction has to be aborted.
    Abort,
    /// The session is over.
    Over,
}

/// Runs transactions over the partitions of topics.
pub async fn run(client: Client, id: String, topics: Vec<String>, keys: Option<u64>) {
    client.started("transactional", Role::Transactional);
    let producer = Producer { producer_id: -1, producer_epoch: -1 };
    let mut own = Transactional { client, id, producer, sequences: BTreeMap::new(), keys };
    while !own.client.shared.is_over() {
        let mut found = Vec::new();
        for name in &topics {
            found.extend(own.client.await_topic(name).await);
        }
        if found.len() < topics.len() || !own.init().await {
            continue;
        }
        for _ in 0..own.client.dice.between(2..15) {
            if own.client.shared.is_over() || !own.transaction(&found).await {
                break;
            }
            own.client.pause(1..300).await;
        }
    }
    own.client.stopped();
}

impl Transactional {
    async fn init(&mut self) -> bool {
        self.sequences.clear();
        let call = self.client.begins(Call::InitProducer { transactional_id: Some(self.id.clone()) });
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(text(&self.id).into()))
            .with_transaction_timeout_ms(20_000)
            .with_producer_id((-1).into())
            .with_producer_epoch(-1);
        let answer = self.client.ask_coordinator(COORDINATOR_OF_TRANSACTIONS, &self.id, 4, &request).await;
        match answer {
            Ok(answer) if answer.error_code == 0 => {
                self.producer =
                    Producer { producer_id: answer.producer_id.0, producer_epoch: answer.producer_epoch };
                self.client.ends(call, Outcome::Ok(Answer::Producer(self.producer)));
                true
            }
            _ => {
                self.client.ends(call, Outcome::Unknown);
                self.client.leave_coordinator();
                self.client.pause(50..300).await;
                false
            }
        }
    }

    /// One transaction. False: the session of the producer is over.
    async fn transaction(&mut self, topics: &[Topic]) -> bool {
        let number = self.client.shared.next_record();
        let mut is_sound = true;
        let mut verdict = if self.client.dice.permille(750) { Verdict::Commit } else { Verdict::Abort };
        for _ in 0..self.client.dice.between(1..5) {
            let topic = self.client.dice.pick(topics).clone();
            let partition = self.client.dice.below(u64::try_from(topic.partitions).expect("some"));
            let place = TopicPartition { topic: topic.id, partition: i32::try_from(partition).expect("few") };
            let step = match self.add(&topic, place, number).await {
                Step::Done => self.send(&topic, place, number).await,
                other => other,
            };
            match step {
                Step::Done => {}
                Step::Abort => {
                    (verdict, is_sound) = (Verdict::Abort, false);
                    break;
                }
                Step::Over => return false,
            }
        }
        // What was not acknowledged may come yet: whoever goes on does so by another epoch.
        self.end(number, verdict).await && is_sound
    }

    async fn add(&mut self, topic: &Topic, place: TopicPartition, transaction: TransactionNumber) -> Step {
        let call = self.client.begins(Call::AddPartition { transaction, place });
        let wanted = AddPartitionsToTxnTopic::default()
            .with_name(TopicName(text(&topic.name)))
            .with_partitions(vec![place.partition]);
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(text(&self.id).into())
            .with_v3_and_below_producer_id(self.producer.producer_id.into())
            .with_v3_and_below_producer_epoch(self.producer.producer_epoch)
            .with_v3_and_below_topics(vec![wanted]);
        for _ in 0..ATTEMPTS_MAX {
            let answer =
                self.client.ask_coordinator(COORDINATOR_OF_TRANSACTIONS, &self.id, ADD, &request).await;
            let code = answer.ok().and_then(|answer| {
                let topic = answer.results_by_topic_v3_and_below.into_iter().next()?;
                topic.results_by_partition.first().map(|part| part.partition_error_code)
            });
            match code {
                Some(0) => {
                    self.client.ends(call, Outcome::Ok(Answer::Done));
                    return Step::Done;
                }
                Some(47 | 48 | 49 | 53 | 90) => break,
                _ => {
                    self.client.leave_coordinator();
                    self.client.pause(20..200).await;
                }
            }
        }
        self.client.ends(call, Outcome::Unknown);
        Step::Over
    }

    async fn send(&mut self, topic: &Topic, place: TopicPartition, transaction: TransactionNumber) -> Step {
        let records = some_records(&self.client, self.keys);
        let count = i32::try_from(records.len()).expect("few");
        let sequence = *self.sequences.entry(place).or_default();
        let bytes = records::encode(&records, Some((self.producer, sequence)), true, self.client.wall_ms());
        self.client.connected().await;
        let call = self.client.begins(Call::Send(Batch {
            place,
            records,
            producer: Some(self.producer),
            base_sequence: Some(sequence),
            transaction: Some(transaction),
        }));
        let mut refused = true;
        let mut last = 0;
        for _ in 0..ATTEMPTS_MAX {
            let request = request(topic, place.partition, Some(&self.id), bytes.clone());
            let part = self.client.ask::<ProduceRequest>(PRODUCE, &request).await.ok().and_then(|answer| {
                answer.responses.into_iter().next()?.partition_responses.into_iter().next()
            });
            match part {
                Some(part) if matches!(part.error_code, 0 | 46) => {
                    self.client.ends(call, Outcome::Ok(answer(&part)));
                    *self.sequences.entry(place).or_default() += count;
                    return Step::Done;
                }
                Some(part) => {
                    last = part.error_code;
                    refused &= matches!(refusal(last), Outcome::Refused(_));
                    if matches!(last, 45 | 47 | 48 | 49 | 59 | 90) {
                        break;
                    }
                }
                None => refused = false,
            }
            self.client.disconnect();
            self.client.pause(20..200).await;
        }
        self.client.ends(call, if refused { Outcome::Refused(last) } else { Outcome::Unknown });
        if matches!(last, 47 | 48 | 49 | 90) { Step::Over } else { Step::Abort }
    }

    async fn end(&mut self, transaction: TransactionNumber, verdict: Verdict) -> bool {
        let call = self.client.begins(Call::EndTransaction { transaction, verdict });
        let request = EndTxnRequest::default()
            .with_transactional_id(text(&self.id).into())
            .with_producer_id(self.producer.producer_id.into())
            .with_producer_epoch(self.producer.producer_epoch)
            .with_committed(verdict == Verdict::Commit);
        let mut attempts = 0;
        let outcome = loop {
            attempts += 1;
            let answer =
                self.client.ask_coordinator(COORDINATOR_OF_TRANSACTIONS, &self.id, END, &request).await;
            match answer {
                Ok(answer) if answer.error_code == 0 => break Outcome::Ok(Answer::Done),
                Ok(answer) if matches!(answer.error_code, 47 | 48 | 49 | 53 | 90) => break Outcome::Unknown,
                Ok(_) | Err(Lost) if attempts >= 3 * ATTEMPTS_MAX => break Outcome::Unknown,
                Ok(_) | Err(Lost) => {
                    self.client.leave_coordinator();
                    self.client.pause(20..200).await;
                }
            }
        };
        let is_done = matches!(outcome, Outcome::Ok(_));
        self.client.ends(call, outcome);
        if is_done && verdict == Verdict::Commit {
            self.client.got_on();
        }
        is_done
    }
}
