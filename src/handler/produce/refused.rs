//! Why a part of a Produce request is not taken, as the answer says it. Single records are blamed in Apache Kafka's words.

use crate::handler::context::Context;
use crate::log::Partition;
use crate::topic::Topic;
use crate::wire::batch::{BatchError, RecordFault, RejectedRecords};
use crate::wire::messages::produce_response::BatchIndexAndErrorMessage;
use crate::wire::{ErrorCode, StrBytes};
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

/// Not taken; nothing of it is stored.
#[derive(Clone)]
pub(super) struct Refused {
    pub code: ErrorCode,
    pub message: String,
    /// Which records are to blame, if it is single ones.
    pub records: Vec<BatchIndexAndErrorMessage>,
    /// By what is known here of this partition: another broker may know more, if it leads by now.
    pub judged_by: Option<Arc<Partition>>,
}

/// Records that the message of an answer quotes.
const QUOTED_MAX: usize = 3;

impl Refused {
    pub(super) fn new(code: ErrorCode, message: impl ToString) -> Refused {
        Refused { code, message: message.to_string(), records: Vec::new(), judged_by: None }
    }

    /// The same, to be told only if this broker led the partition when it was judged: a client takes a batch that does not
    /// follow the last for lost, and some never send again.
    pub(super) async fn confirmed(self, context: &Context, deadline: Instant) -> Refused {
        let Some(partition) = &self.judged_by else { return self };
        let confirmed = timeout_at(deadline, context.confirm_ends(partition)).await;
        if matches!(confirmed, Ok(Ok(()))) {
            return self;
        }
        Refused::new(ErrorCode::NotLeaderOrFollower, "this broker may not lead the partition any more")
    }

    /// A batch that is not taken.
    pub(super) fn batch(error: &BatchError, topic: &Topic, partition: i32) -> Refused {
        let BatchError::Rejected(rejected) = error else { return Refused::new(error.code(), error) };
        let faults = rejected.faults.iter();
        let blamed: Vec<_> =
            faults.map(|(index, fault)| (*index, why(*index, fault, topic, partition))).collect();
        let blame = |(index, why): &(usize, String)| {
            let index = i32::try_from(*index).unwrap_or(i32::MAX);
            let record = BatchIndexAndErrorMessage::default().with_batch_index(index);
            record.with_batch_index_error_message(Some(StrBytes::from_string(why.clone())))
        };
        let records = blamed.iter().map(blame).collect();
        Refused { code: error.code(), message: message(rejected, &blamed), records, judged_by: None }
    }
}

fn message(rejected: &RejectedRecords, blamed: &[(usize, String)]) -> String {
    if rejected.has_wrong_time {
        return "One or more records have been rejected due to invalid timestamp".to_owned();
    }
    let quoted = blamed.iter().take(QUOTED_MAX);
    let quoted: Vec<_> =
        quoted.map(|(index, why)| format!("RecordError(batchIndex={index}, message='{why}')")).collect();
    format!(
        "One or more records have been rejected due to {} record errors in total, and only showing the first \
         three errors at most: [{}]",
        rejected.total,
        quoted.join(", ")
    )
}

fn why(index: usize, fault: &RecordFault, topic: &Topic, partition: i32) -> String {
    match fault {
        RecordFault::NoKey => format!(
            "Compacted topic cannot accept message without key in topic partition {}-{partition}",
            topic.name
        ),
        RecordFault::OutOfRange { timestamp, accepted } => format!(
            "Timestamp {} of message with offset {index} is out of range. The timestamp should be within [{}, {}]",
            timestamp.get(),
            accepted.start().get(),
            accepted.end().get()
        ),
        RecordFault::AppendTime => format!(
            "Invalid timestamp type in message with offset {index}. Producer should not set timestamp type to \
             LogAppendTime."
        ),
    }
}
