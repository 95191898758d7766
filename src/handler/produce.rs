//! Produce, versions 3 to 13: batches are validated and take their offsets in the order in which they came;
//! the answer waits until they are durable and committed. acks=1 means the same as acks=all.
//!
//! A batch that begins a transaction here first waits for the word of the transaction's coordinator. Meanwhile
//! no later request of its connection is taken in, so the order holds.

mod refused;

use super::context::Context;
use super::forward::{self, produce::Elsewhere};
use super::verification::{self, OnFirstBatch};
use super::{Admitted, ConnectionInfo};
use crate::journal::Outcome;
use crate::limits::MemoryPermit;
use crate::log::{
    AppendError, Appended, BatchIdentity, DECOMPRESSED_BYTES_MAX, Incoming, Partition, SequenceError,
};
use crate::topic::{self, CompressionType, Topic};
use crate::types::{Timestamp, TopicId};
use crate::wire::batch::{Codec, ProduceRules, ProducedBatch, TimestampType, validate_produced};
use crate::wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use crate::wire::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use crate::wire::messages::{ProduceRequest, ProduceResponse};
use crate::wire::{ErrorCode, RequestFrame, RequestHeader, ResponseFrame, StrBytes};
use bytes::Bytes;
use futures_util::future::join_all;
use refused::Refused;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What became of one partition's part of a request.
struct Part {
    index: i32,
    taken: Result<Taken, Refused>,
}

/// On its way into the log.
struct Taken {
    appended: Appended,
    /// The broker's timestamp, if the topic has that.
    append_time: Timestamp,
}

/// A topic's parts, with the topic as the request named it.
struct Parts {
    topic: TopicProduceData,
    parts: Vec<Part>,
}

/// What all parts of a request have in common.
struct Terms {
    api_version: i16,
    transactional_id: Option<StrBytes>,
    permit: Arc<MemoryPermit>,
    /// When the client is answered at the latest.
    deadline: Instant,
}

/// Takes a request in, in its order among those of its connection.
pub async fn admit(
    context: &Arc<Context>,
    connection: &ConnectionInfo,
    frame: RequestFrame,
    permit: MemoryPermit,
) -> Admitted {
    let mut request = match frame.decode::<ProduceRequest>() {
        Ok(request) => request,
        Err(error) => return super::unreadable(&frame.header, &error),
    };
    let (acks, deadline) = (request.acks, Instant::now() + answer_within(request.timeout_ms));
    let elsewhere = match accepted_acks(acks) {
        Ok(()) => forward::produce::send(context, connection, &frame, &mut request, deadline).await,
        Err(_) => Elsewhere::default(),
    };
    let header = frame.header;
    // The frame's bytes live on in the batches alone.
    drop((frame.body, frame.whole));
    let terms = Terms {
        api_version: header.api_version,
        transactional_id: request.transactional_id.take().map(|id| id.0),
        permit: Arc::new(permit),
        deadline,
    };
    let mut topics = Vec::with_capacity(request.topic_data.len());
    let accepted = accepted_acks(acks).and_then(|()| room_to_commit(context));
    for mut topic in std::mem::take(&mut request.topic_data) {
        let data = std::mem::take(&mut topic.partition_data);
        let parts = match accepted.clone() {
            Ok(()) => append_topic(context, &terms, &topic, data).await,
            Err(refused) => refuse_all(&data, &refused),
        };
        topics.push(Parts { topic, parts });
    }
    if acks == 0 {
        // No answer can say what went wrong, so the connection says it, as Apache Kafka does.
        let all_taken = topics.iter().flat_map(|topic| &topic.parts).all(|part| part.taken.is_ok());
        let all_sent = elsewhere.is_all_sent();
        return if all_taken && all_sent { Admitted::Silent } else { Admitted::Close };
    }
    Admitted::Waiting(Box::pin(answer(Arc::clone(context), header, topics, elsewhere, terms)))
}

fn accepted_acks(acks: i16) -> Result<(), Refused> {
    match acks {
        -1..=1 => Ok(()),
        _ => Err(Refused::new(
            ErrorCode::InvalidRequiredAcks,
            format!("acks is {acks}; accepted are -1, 0 and 1"),
        )),
    }
}

/// While the metadata store has no room nothing would be committed: producers are told so at once, in a way that has them
/// try again.
fn room_to_commit(context: &Context) -> Result<(), Refused> {
    let fullness = context.standing.store().fullness();
    if fullness.is_none_or(|fullness| !fullness.is_full()) {
        return Ok(());
    }
    Err(Refused::new(
        ErrorCode::NotEnoughReplicas,
        "the metadata store is full; somebody must make room there",
    ))
}

/// The client's own limit, within reason.
fn answer_within(timeout_ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0)).clamp(TIMEOUT_MIN, TIMEOUT_MAX)
}

const TIMEOUT_MIN: Duration = Duration::from_millis(100);
const TIMEOUT_MAX: Duration = Duration::from_secs(300);

/// What this session leads and does not serve yet is waited for so long: the partitions of the same request, and of those
/// behind it in the connection, have to wait with it.
const HOLD_TIME_MAX: Duration = Duration::from_millis(50);

async fn append_topic(
    context: &Context,
    terms: &Terms,
    wanted: &TopicProduceData,
    data: Vec<PartitionProduceData>,
) -> Vec<Part> {
    let found = if terms.api_version >= 13 {
        context.topic_by_id(TopicId(wanted.topic_id)).await
    } else {
        context.topic_by_name(&wanted.name).await
    };
    let topic = match found {
        Ok(topic) => topic,
        Err(code) => return refuse_all(&data, &Refused::new(code, "the topic is not known here")),
    };
    let wanted = data.iter().map(|data| (&topic, data.index));
    forward::route::hold(context, wanted, terms.deadline.min(Instant::now() + HOLD_TIME_MAX)).await;
    let rules = rules(terms.api_version, &topic, context.clock.now());
    let mut parts = Vec::with_capacity(data.len());
    let mut in_transactions = Vec::new();
    for data in data {
        let (index, records) = (data.index, data.records.unwrap_or_default());
        match append(context, terms, &topic, index, records, &rules) {
            Step::Done(taken) => parts.push(Part { index, taken }),
            Step::InTransaction(validated) => in_transactions.push((index, validated)),
        }
    }
    // Side by side: coordinators are asked about all partitions of a request at once.
    let appended = in_transactions.into_iter().map(|(index, validated)| async move {
        Part { index, taken: validated.append_in_transaction(context, terms, rules.now).await }
    });
    parts.extend(join_all(appended).await);
    parts
}

/// How far a batch came without asking anyone.
enum Step {
    Done(Result<Taken, Refused>),
    /// Its transaction's coordinator may have to be asked.
    InTransaction(Validated),
}

/// A batch that may be stored as it is.
struct Validated {
    partition: Arc<Partition>,
    incoming: Incoming,
    append_time: Timestamp,
}

fn refuse_all(data: &[PartitionProduceData], refused: &Refused) -> Vec<Part> {
    let refuse = |data: &PartitionProduceData| Part { index: data.index, taken: Err(refused.clone()) };
    data.iter().map(refuse).collect()
}

fn rules(api_version: i16, topic: &Topic, now: Timestamp) -> ProduceRules {
    let settings = &topic.settings;
    ProduceRules {
        api_version,
        batch_bytes_max: settings.max_message_bytes,
        decompressed_bytes_max: decompressed_bytes_max(settings.max_message_bytes),
        timestamp_type: match settings.message_timestamp_type {
            topic::TimestampType::CreateTime => TimestampType::CreateTime,
            topic::TimestampType::LogAppendTime => TimestampType::LogAppendTime,
        },
        before_max_ms: settings.timestamp_before_max_ms,
        after_max_ms: settings.timestamp_after_max_ms,
        now,
        compacted: settings.cleanup_policy.compact,
        target_codec: target_codec(settings.compression_type),
    }
}

/// A batch may be this many times its largest stored size when decompressed, within what readers take.
const COMPRESSION_RATIO_MAX: usize = 32;

fn decompressed_bytes_max(max_message_bytes: usize) -> usize {
    max_message_bytes.saturating_mul(COMPRESSION_RATIO_MAX).min(DECOMPRESSED_BYTES_MAX)
}

/// Nothing: batches stay as their producer made them.
fn target_codec(setting: CompressionType) -> Option<Codec> {
    match setting {
        CompressionType::Producer => None,
        CompressionType::Uncompressed => Some(Codec::None),
        CompressionType::Gzip(_) => Some(Codec::Gzip),
        CompressionType::Snappy => Some(Codec::Snappy),
        CompressionType::Lz4(_) => Some(Codec::Lz4),
        CompressionType::Zstd(_) => Some(Codec::Zstd),
    }
}

fn append(
    context: &Context,
    terms: &Terms,
    topic: &Topic,
    index: i32,
    records: Bytes,
    rules: &ProduceRules,
) -> Step {
    match validate(context, topic, index, records, rules) {
        Ok((validated, true)) => Step::InTransaction(validated),
        Ok((validated, false)) => Step::Done(validated.append(context, terms, rules.now)),
        Err(refused) => Step::Done(Err(refused)),
    }
}

/// The batch, and whether it belongs to a transaction.
fn validate(
    context: &Context,
    topic: &Topic,
    index: i32,
    records: Bytes,
    rules: &ProduceRules,
) -> Result<(Validated, bool), Refused> {
    let no_partition = |code| Refused::new(code, format!("{} has no partition {index}", topic.name));
    let partition = context.partition(topic, index).map_err(no_partition)?;
    let batch = validate_produced(records, rules).map_err(|error| Refused::batch(&error, topic, index))?;
    let append_time = match batch.header.timestamp_type() {
        TimestampType::CreateTime => Timestamp::NONE,
        TimestampType::LogAppendTime => batch.header.max_timestamp,
    };
    context.metrics.produce_batches.inc();
    context.metrics.produce_bytes.inc_by(batch.bytes.len() as u64);
    let is_transactional = batch.header.is_transactional();
    Ok((Validated { partition, incoming: incoming(batch), append_time }, is_transactional))
}

impl Validated {
    fn append(self, context: &Context, terms: &Terms, now: Timestamp) -> Result<Taken, Refused> {
        let Validated { partition, incoming, append_time } = self;
        let appended = partition.append(&context.journal, incoming, &terms.permit, now);
        let appended = appended.map_err(|error| judged(refused(error, terms), &partition))?;
        Ok(Taken { appended, append_time })
    }

    async fn append_in_transaction(
        self,
        context: &Context,
        terms: &Terms,
        now: Timestamp,
    ) -> Result<Taken, Refused> {
        let Validated { partition, incoming, append_time } = self;
        let appended = append_in_transaction(context, terms, &partition, incoming, now).await;
        Ok(Taken { appended: appended.map_err(|refused| judged(refused, &partition))?, append_time })
    }
}

/// Asks the coordinator if the partition needs its word, and comes again with that. What the partition is told
/// may have been overtaken; it is asked for again then.
async fn append_in_transaction(
    context: &Context,
    terms: &Terms,
    partition: &Partition,
    incoming: Incoming,
    now: Timestamp,
) -> Result<Appended, Refused> {
    let mut verified = None;
    for _ in 0..verification::ATTEMPTS_MAX {
        let came = incoming.clone();
        let appended = partition.append_in_transaction(&context.journal, came, verified, &terms.permit, now);
        let question = match appended {
            Err(AppendError::NeedsVerification(question)) => Some(question),
            // The marker of the transaction before is on its way. The coordinator answers when it is there.
            Err(AppendError::ConcurrentTransaction) => None,
            Err(error) => return Err(refused(error, terms)),
            Ok(appended) => return Ok(appended),
        };
        let identity = incoming.identity.expect("a batch without a producer needs no verification");
        let wanted = verification::Wanted {
            transactional_id: terms.transactional_id.as_deref(),
            producer_id: identity.producer_id,
            producer_epoch: identity.producer_epoch,
            topic_partition: partition.topic_partition(),
            on_first_batch: OnFirstBatch::of(terms.api_version),
        };
        let asked = tokio::time::timeout_at(terms.deadline, verification::verify(context, &wanted)).await;
        let ordinal = match asked {
            Ok(Ok(ordinal)) => ordinal,
            Ok(Err(code)) => {
                return Err(Refused::new(for_client(code, terms), "the coordinator refuses the transaction"));
            }
            Err(_elapsed) => {
                let code = for_client(ErrorCode::CoordinatorNotAvailable, terms);
                return Err(Refused::new(code, "the coordinator has not answered in time"));
            }
        };
        verified = question.map(|question| question.answered(ordinal));
    }
    Err(refused(AppendError::ConcurrentTransaction, terms))
}

/// Producers before version 12 of Produce do not retry what a coordinator would: they get an error that they
/// retry without looking for another leader, as from Apache Kafka.
fn for_client(code: ErrorCode, terms: &Terms) -> ErrorCode {
    match code {
        ErrorCode::CoordinatorNotAvailable
        | ErrorCode::CoordinatorLoadInProgress
        | ErrorCode::NotCoordinator
        | ErrorCode::NetworkException => ErrorCode::NotEnoughReplicas,
        ErrorCode::ConcurrentTransactions if terms.api_version < 12 => ErrorCode::NotEnoughReplicas,
        code => code,
    }
}

fn incoming(batch: ProducedBatch) -> Incoming {
    let ProducedBatch { header, bytes } = batch;
    let identity = header.has_producer().then_some(BatchIdentity {
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        base_sequence: header.base_sequence,
        record_count: header.record_count,
    });
    Incoming {
        batch: bytes,
        record_count: header.record_count,
        max_timestamp: header.max_timestamp,
        identity,
        attributes: header.attributes,
    }
}

fn refused(error: AppendError, terms: &Terms) -> Refused {
    Refused::new(for_client(code_of(error), terms), error)
}

/// What does not follow here may follow where more is known.
fn judged(refused: Refused, partition: &Arc<Partition>) -> Refused {
    let by_sequence = refused.code == ErrorCode::OutOfOrderSequenceNumber;
    Refused { judged_by: by_sequence.then(|| Arc::clone(partition)), ..refused }
}

fn code_of(error: AppendError) -> ErrorCode {
    match error {
        AppendError::OutsideTransaction | AppendError::NoProducer | AppendError::NeedsVerification(_) => {
            ErrorCode::InvalidTxnState
        }
        AppendError::ConcurrentTransaction => ErrorCode::ConcurrentTransactions,
        // Both have it sent again, here or elsewhere.
        AppendError::NotLeading | AppendError::NotItsBeginning { .. } => ErrorCode::NotLeaderOrFollower,
        AppendError::Sequence(SequenceError::OutOfOrder { .. }) => ErrorCode::OutOfOrderSequenceNumber,
        AppendError::Sequence(SequenceError::Fenced { .. }) => ErrorCode::InvalidProducerEpoch,
        AppendError::Sequence(SequenceError::Invalid(_)) => ErrorCode::InvalidRecord,
    }
}

/// Holds the request's memory, in `terms`, as long as another broker may be taking its bytes.
async fn answer(
    context: Arc<Context>,
    header: RequestHeader,
    topics: Vec<Parts>,
    elsewhere: Elsewhere,
    terms: Terms,
) -> ResponseFrame {
    let deadline = terms.deadline;
    let mut responses = Vec::with_capacity(topics.len());
    for Parts { topic, parts } in topics {
        let mut answers = Vec::with_capacity(parts.len());
        for part in parts {
            answers.push(answer_part(&context, part, deadline).await);
        }
        let response = TopicProduceResponse::default().with_name(topic.name).with_topic_id(topic.topic_id);
        responses.push(response.with_partition_responses(answers));
    }
    elsewhere.add_to(&mut responses, header.api_version, deadline).await;
    super::encode(&header, &ProduceResponse::default().with_responses(responses))
}

async fn answer_part(context: &Context, part: Part, deadline: Instant) -> PartitionProduceResponse {
    let response = PartitionProduceResponse::default().with_index(part.index);
    let refuse = |Refused { code, message, records, judged_by: _ }: Refused| {
        let response =
            response.clone().with_error_code(code.code()).with_base_offset(-1).with_log_append_time_ms(-1);
        let response = response.with_log_start_offset(-1).with_record_errors(records);
        response.with_error_message(Some(StrBytes::from_string(message)))
    };
    let Taken { mut appended, append_time } = match part.taken {
        Ok(taken) => taken,
        Err(refused) => return refuse(refused.confirmed(context, deadline).await),
    };
    let outcome = tokio::time::timeout_at(deadline, appended.ticket.settled()).await;
    match outcome {
        Ok(Outcome::Committed) => response
            .with_base_offset(appended.base_offset.get())
            .with_log_append_time_ms(append_time.get())
            .with_log_start_offset(appended.log_start_offset.get()),
        // The session was sealed first: the batch is not in the log and never will be.
        Ok(Outcome::Lost) => {
            refuse(Refused::new(ErrorCode::NotLeaderOrFollower, "this broker does not lead the partition"))
        }
        // It may be committed yet: the error that claims nothing.
        Ok(Outcome::Pending) | Err(_) => {
            refuse(Refused::new(ErrorCode::RequestTimedOut, "not known to be durable in time"))
        }
    }
}
