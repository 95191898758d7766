//! What a transactional producer asks of brokers, step by step. It speaks as clients of one of two generations do:
//!
//! - *version 1* names what a transaction is about before it sends: AddPartitionsToTxn and AddOffsetsToTxn. Its epoch stays
//!   from one transaction to the next, so after anything unsure it begins a new session;
//! - *version 2* (KIP-890) sends at once. With the end of each transaction it is told its next epoch, under which
//!   sequences begin at 0 again, and which keeps out whatever is late of the last.

use super::producer::{answer, request};
use super::refusal;
use crate::client::{Client, Lost, Topic, text};
use crate::dice::Dice;
use crate::history::{
    Answer, Batch, Call, Fact, OffsetCommit, Outcome, Producer, Sent, TopicPartition, TransactionNumber,
    Verdict,
};
use crate::records;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, EndTxnRequest, InitProducerIdRequest, ProduceRequest,
    TopicName, TxnOffsetCommitRequest,
};
use std::collections::{BTreeMap, BTreeSet};

const COORDINATOR_OF_GROUPS: i8 = 0;
const COORDINATOR_OF_TRANSACTIONS: i8 = 1;
/// Attempts at one step.
const ATTEMPTS_MAX: u32 = 20;
/// A transaction that is not ended within this time is aborted.
const TIMEOUT_MS: i32 = 20_000;

/// Which generation of clients it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionVersion {
    One,
    Two,
}

/// The versions of requests that go together.
struct ApiVersions {
    produce: i16,
    offset_commit: i16,
    end: i16,
}

/// The last ones that name what a transaction is about.
const ADD: i16 = 3;

impl TransactionVersion {
    pub fn drawn(dice: &Dice) -> TransactionVersion {
        *dice.pick(&[TransactionVersion::One, TransactionVersion::Two])
    }

    fn apis(self) -> ApiVersions {
        match self {
            TransactionVersion::One => ApiVersions { produce: 11, offset_commit: 3, end: 3 },
            TransactionVersion::Two => ApiVersions { produce: 13, offset_commit: 5, end: 5 },
        }
    }
}

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Done,
    /// Something failed: the transaction has to be aborted.
    Abort,
    /// The session is over.
    Over,
}

/// For whom an offset is committed: by a member of the group, or by nobody in it.
#[derive(Clone, Debug)]
pub struct Membership {
    pub group: String,
    pub member: String,
    pub generation: i32,
}

impl Membership {
    /// Of a group that has no members.
    pub fn none(group: String) -> Membership {
        Membership { group, member: String::new(), generation: -1 }
    }
}

/// One transactional id, and the session of its producer.
pub struct Session {
    pub client: Client,
    pub version: TransactionVersion,
    id: String,
    /// None of an instance that begins.
    producer: Option<Producer>,
    sequences: BTreeMap<TopicPartition, i32>,
    /// What was named of the open transaction.
    partitions: BTreeSet<TopicPartition>,
    groups: BTreeSet<String>,
}

impl Session {
    pub fn new(client: Client, id: String) -> Session {
        let version = TransactionVersion::drawn(&client.dice);
        Session {
            client,
            version,
            id,
            producer: None,
            sequences: BTreeMap::new(),
            partitions: BTreeSet::new(),
            groups: BTreeSet::new(),
        }
    }

    /// Begins anew: as another instance, or as the same one after an error (KIP-360).
    pub async fn init(&mut self) -> bool {
        if self.client.dice.permille(500) {
            self.producer = None;
        }
        let own = self.producer.unwrap_or(Producer { producer_id: -1, producer_epoch: -1 });
        let call = self.client.begins(Call::InitProducer { transactional_id: Some(self.id.clone()) });
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(text(&self.id).into()))
            .with_transaction_timeout_ms(TIMEOUT_MS)
            .with_producer_id(own.producer_id.into())
            .with_producer_epoch(own.producer_epoch);
        let answer = self.client.ask_coordinator(COORDINATOR_OF_TRANSACTIONS, &self.id, 4, &request).await;
        match answer {
            Ok(answer) if answer.error_code == 0 => {
                let given =
                    Producer { producer_id: answer.producer_id.0, producer_epoch: answer.producer_epoch };
                self.client.ends(call, Outcome::Ok(Answer::Producer(given)));
                self.be(given);
                true
            }
            other => {
                if other.is_ok_and(|answer| matches!(answer.error_code, 47 | 49 | 90)) {
                    self.producer = None;
                }
                self.client.ends(call, Outcome::Unknown);
                self.client.leave_coordinators();
                self.client.pause(50..300).await;
                false
            }
        }
    }

    fn be(&mut self, producer: Producer) {
        self.producer = Some(producer);
        self.sequences.clear();
        self.partitions.clear();
        self.groups.clear();
    }

    fn producer(&self) -> Producer {
        self.producer.expect("a session has begun")
    }

    /// One batch, with all attempts; its partition is made part of the transaction.
    pub async fn send(
        &mut self,
        topic: &Topic,
        place: TopicPartition,
        transaction: TransactionNumber,
        records: Vec<Sent>,
    ) -> Step {
        if self.version == TransactionVersion::One && !self.partitions.contains(&place) {
            let step = self.add_partition(topic, place, transaction).await;
            if step != Step::Done {
                return step;
            }
            self.partitions.insert(place);
        }
        let count = i32::try_from(records.len()).expect("few");
        let sequence = *self.sequences.entry(place).or_default();
        let producer = self.producer();
        let bytes = records::encode(&records, Some((producer, sequence)), true, self.client.wall_ms());
        self.client.connected().await;
        let call = self.client.begins(Call::Send(Batch {
            place,
            records,
            producer: Some(producer),
            base_sequence: Some(sequence),
            transaction: Some(transaction),
        }));
        let api_version = self.version.apis().produce;
        let mut refused = true;
        let mut last = 0;
        for _ in 0..ATTEMPTS_MAX {
            let request = request(api_version, topic, place.partition, Some(&self.id), bytes.clone());
            let answered = self.client.ask::<ProduceRequest>(api_version, &request).await;
            let part = answered.ok().and_then(|answer| {
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
                    if matches!(last, 45 | 59) {
                        let base_sequence = sequence;
                        self.client.fact(Fact::SequenceDenied { place, producer, base_sequence });
                    }
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

    async fn add_partition(
        &mut self,
        topic: &Topic,
        place: TopicPartition,
        transaction: TransactionNumber,
    ) -> Step {
        let call = self.client.begins(Call::AddPartition { transaction, place });
        let wanted = AddPartitionsToTxnTopic::default()
            .with_name(TopicName(text(&topic.name)))
            .with_partitions(vec![place.partition]);
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(text(&self.id).into())
            .with_v3_and_below_producer_id(self.producer().producer_id.into())
            .with_v3_and_below_producer_epoch(self.producer().producer_epoch)
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
                Some(code) if is_over(code) => break,
                _ => self.seek_coordinator().await,
            }
        }
        self.client.ends(call, Outcome::Unknown);
        Step::Over
    }

    /// An offset of a group, that counts when the transaction is committed.
    pub async fn commit_offset(
        &mut self,
        by: &Membership,
        topic: &Topic,
        (place, offset): (TopicPartition, i64),
        transaction: TransactionNumber,
    ) -> Step {
        if self.version == TransactionVersion::One && !self.groups.contains(&by.group) {
            let step = self.add_group(&by.group).await;
            if step != Step::Done {
                return step;
            }
            self.groups.insert(by.group.clone());
        }
        let call = self.client.begins(Call::Commit(OffsetCommit {
            group: by.group.clone(),
            member: by.member.clone(),
            epoch: by.generation,
            place,
            offset,
            transaction: Some(transaction),
        }));
        let request = self.offset_commit(by, topic, place, offset);
        let api_version = self.version.apis().offset_commit;
        let mut refused = true;
        for _ in 0..ATTEMPTS_MAX {
            let answer =
                self.client.ask_coordinator(COORDINATOR_OF_GROUPS, &by.group, api_version, &request).await;
            let code = answer.ok().and_then(|answer| {
                let topic = answer.topics.into_iter().next()?;
                topic.partitions.first().map(|part| part.error_code)
            });
            match code {
                Some(0) => {
                    self.client.ends(call, Outcome::Ok(Answer::Done));
                    return Step::Done;
                }
                // Who commits is no member any more, or of another generation.
                Some(code @ (22 | 25 | 27)) => {
                    self.client.ends(call, if refused { Outcome::Refused(code) } else { Outcome::Unknown });
                    return Step::Abort;
                }
                Some(code) if is_over(code) => break,
                _ => {
                    refused = false;
                    self.seek_coordinator().await;
                }
            }
        }
        self.client.ends(call, Outcome::Unknown);
        Step::Over
    }

    fn offset_commit(
        &self,
        by: &Membership,
        topic: &Topic,
        place: TopicPartition,
        offset: i64,
    ) -> TxnOffsetCommitRequest {
        let partition = TxnOffsetCommitRequestPartition::default()
            .with_partition_index(place.partition)
            .with_committed_offset(offset);
        let topic = TxnOffsetCommitRequestTopic::default()
            .with_name(TopicName(text(&topic.name)))
            .with_partitions(vec![partition]);
        TxnOffsetCommitRequest::default()
            .with_transactional_id(text(&self.id).into())
            .with_group_id(text(&by.group).into())
            .with_producer_id(self.producer().producer_id.into())
            .with_producer_epoch(self.producer().producer_epoch)
            .with_generation_id(by.generation)
            .with_member_id(text(&by.member))
            .with_topics(vec![topic])
    }

    async fn add_group(&mut self, group: &str) -> Step {
        let call = self.client.begins(Call::Other(format!("AddOffsetsToTxn {} {group}", self.id)));
        let request = AddOffsetsToTxnRequest::default()
            .with_transactional_id(text(&self.id).into())
            .with_producer_id(self.producer().producer_id.into())
            .with_producer_epoch(self.producer().producer_epoch)
            .with_group_id(text(group).into());
        for _ in 0..ATTEMPTS_MAX {
            let answer =
                self.client.ask_coordinator(COORDINATOR_OF_TRANSACTIONS, &self.id, ADD, &request).await;
            match answer.map(|answer| answer.error_code) {
                Ok(0) => {
                    self.client.ends(call, Outcome::Ok(Answer::Done));
                    return Step::Done;
                }
                Ok(code) if is_over(code) => break,
                Ok(_) | Err(Lost) => self.seek_coordinator().await,
            }
        }
        self.client.ends(call, Outcome::Unknown);
        Step::Over
    }

    /// The verdict. False: the session is over.
    pub async fn end(&mut self, transaction: TransactionNumber, verdict: Verdict) -> bool {
        let call = self.client.begins(Call::EndTransaction { transaction, verdict });
        let request = EndTxnRequest::default()
            .with_transactional_id(text(&self.id).into())
            .with_producer_id(self.producer().producer_id.into())
            .with_producer_epoch(self.producer().producer_epoch)
            .with_committed(verdict == Verdict::Commit);
        let api_version = self.version.apis().end;
        for _ in 0..3 * ATTEMPTS_MAX {
            let answer = self
                .client
                .ask_coordinator(COORDINATOR_OF_TRANSACTIONS, &self.id, api_version, &request)
                .await;
            match answer {
                Ok(answer) if answer.error_code == 0 => {
                    self.client.ends(call, Outcome::Ok(Answer::Done));
                    self.partitions.clear();
                    self.groups.clear();
                    if self.version == TransactionVersion::Two {
                        let (producer_id, producer_epoch) = (answer.producer_id.0, answer.producer_epoch);
                        self.be(Producer { producer_id, producer_epoch });
                    }
                    return true;
                }
                Ok(answer) if is_over(answer.error_code) => break,
                Ok(_) | Err(Lost) => self.seek_coordinator().await,
            }
        }
        self.client.ends(call, Outcome::Unknown);
        false
    }

    async fn seek_coordinator(&mut self) {
        self.client.leave_coordinators();
        self.client.pause(20..200).await;
    }
}

/// Fenced, or in no state for it: a session that is told so ends.
fn is_over(code: i16) -> bool {
    matches!(code, 47 | 48 | 49 | 53 | 90)
}
