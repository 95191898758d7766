//! Why the client could not do what it was asked.

use crate::types::{Offset, PartitionIndex};
use crate::wire::ErrorCode;
use std::ops::Range;

/// Why the client could not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody there, or the handshake failed.
    #[error("cannot connect to {endpoint}: {reason}")]
    Connect {
        /// Where.
        endpoint: String,
        /// What the system or the peer said.
        reason: String,
    },
    /// The connection broke: a request that was under way may or may not have been carried out.
    #[error("the connection to {endpoint} is closed: {reason}")]
    Closed {
        /// Where.
        endpoint: String,
        /// What was seen.
        reason: String,
    },
    /// No answer within the deadline: the request may or may not have been carried out.
    #[error("no answer from {endpoint} within {timeout_ms} ms")]
    Timeout {
        /// Where.
        endpoint: String,
        /// The deadline, in milliseconds.
        timeout_ms: u128,
    },
    /// The broker has no version of an API that this client knows.
    #[error("{endpoint} does not offer api {api_key} in a version this client speaks ({min} to {max})")]
    Unsupported {
        /// Where.
        endpoint: String,
        /// Which API.
        api_key: i16,
        /// The lowest version this client speaks.
        min: i16,
        /// The highest.
        max: i16,
    },
    /// Bytes that are not what was asked for.
    #[error("unreadable answer from {endpoint}: {reason}")]
    Unreadable {
        /// Where from.
        endpoint: String,
        /// Why.
        reason: String,
    },
    /// The broker refused.
    #[error("{what}: {}{}", code_name(*.code), detail(.message))]
    Refused {
        /// What was asked, with names.
        what: String,
        /// Kafka's error code.
        code: ErrorCode,
        /// The broker's own words, possibly empty.
        message: String,
    },
    /// There is no such topic.
    #[error("topic {topic:?} does not exist")]
    UnknownTopic {
        /// Its name.
        topic: String,
    },
    /// No topic can be named like that.
    #[error(
        "{topic:?} is not the name of a topic (letters, digits, '.', '_' and '-', at most 249), nor are patterns taken"
    )]
    IllegalTopicName {
        /// What was asked for.
        topic: String,
    },
    /// The topic has no such partition.
    #[error("topic {topic:?} has no partition {partition}: it has 0 to {}", .partitions - 1)]
    UnknownPartition {
        /// The topic.
        topic: String,
        /// What was asked for.
        partition: i32,
        /// How many it has.
        partitions: i32,
    },
    /// There is no such group.
    #[error("group {group:?} does not exist")]
    UnknownGroup {
        /// Its name.
        group: String,
    },
    /// There is no such transactional id.
    #[error("transactional id {transactional_id:?} does not exist")]
    UnknownTransactionalId {
        /// What was asked for.
        transactional_id: String,
    },
    /// The group has members that would have to go first.
    #[error("group {group:?} has members: stop them first")]
    GroupHasMembers {
        /// Its name.
        group: String,
    },
    /// An offset outside the log.
    #[error(
        "offset {offset} of {topic}-{partition} is out of range: the log has {log_start_offset} to {log_end_offset}"
    )]
    OffsetOutOfRange {
        /// The topic.
        topic: String,
        /// Its partition.
        partition: i32,
        /// What was asked for.
        offset: i64,
        /// The first readable offset.
        log_start_offset: i64,
        /// The first that is not there yet.
        log_end_offset: i64,
    },
    /// A record that does not fit into the largest batch.
    #[error("a record of {bytes} bytes is larger than the producer's buffer of {bytes_max}")]
    RecordTooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// A batch whose delivery took too long.
    #[error("not delivered to {topic}-{partition} within {timeout_ms} ms; last seen: {reason}")]
    DeliveryTimeout {
        /// The topic.
        topic: String,
        /// Its partition.
        partition: i32,
        /// The limit, in milliseconds.
        timeout_ms: u128,
        /// The last failure.
        reason: String,
    },
    /// The producer was closed.
    #[error("the producer is closed")]
    ProducerClosed,
    /// The consumer left its group.
    #[error("the consumer left its group")]
    ConsumerClosed,
    /// Certificates that cannot be used.
    #[error("{what}: {reason}")]
    Tls {
        /// Which file or setting.
        what: String,
        /// Why.
        reason: String,
    },
}

impl ClientError {
    /// Whether what was asked for could be meant by nobody, whatever the cluster has: a setting, a name or a number.
    #[must_use]
    pub fn is_bad_argument(&self) -> bool {
        let refused = |code: &ErrorCode| {
            use ErrorCode::{
                InvalidConfig, InvalidPartitions, InvalidReplicationFactor, InvalidTopicException,
            };
            matches!(
                code,
                InvalidConfig | InvalidPartitions | InvalidReplicationFactor | InvalidTopicException
            )
        };
        match self {
            ClientError::Refused { code, .. } => refused(code),
            ClientError::IllegalTopicName { .. } => true,
            _ => false,
        }
    }

    /// A partition that is not among the `partitions` of a topic.
    pub(crate) fn unknown_partition(
        topic: &str,
        partition: PartitionIndex,
        partitions: usize,
    ) -> ClientError {
        let partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
        ClientError::UnknownPartition { topic: topic.to_owned(), partition: partition.0, partitions }
    }

    /// An offset that is not in `log`.
    pub(super) fn out_of_range(
        topic: &str,
        partition: PartitionIndex,
        offset: Offset,
        log: Range<Offset>,
    ) -> ClientError {
        ClientError::OffsetOutOfRange {
            topic: topic.to_owned(),
            partition: partition.0,
            offset: offset.get(),
            log_start_offset: log.start.get(),
            log_end_offset: log.end.get(),
        }
    }

    /// A refusal, unless `code` is 0.
    pub(super) fn check(
        code: i16,
        message: Option<&str>,
        what: impl FnOnce() -> String,
    ) -> Result<(), ClientError> {
        match ErrorCode::try_from_code(code) {
            None => Ok(()),
            Some(code) => {
                Err(ClientError::Refused { what: what(), code, message: message.unwrap_or("").to_owned() })
            }
        }
    }
}

/// Kafka's own spelling, as its documentation has it: `UNKNOWN_TOPIC_OR_PARTITION`.
fn code_name(code: ErrorCode) -> String {
    if let ErrorCode::Unknown(number) = code {
        return format!("error code {number}");
    }
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

fn detail(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(" ({})", message.trim_end_matches('.')) }
}
