//! What goes into a partition: batches of producers, and markers of coordinators. Judging, giving offsets and
//! queueing in the journal are one step under the partition's lock.
//!
//! A transactional batch that finds no transaction open is not taken: its caller asks the coordinator and
//! comes again with the answer, which is checked in the same step that appends.

use super::checkpoint::WaitingRow;
use super::partition::{Partition, State};
use super::producer_state::{Accepted, Admission, BatchIdentity, BatchKind, MarkerAdmission, SequenceError};
use super::stability::Ended;
use super::transaction::{Marker, MarkerError, MarkerTaken, Question, Verified};
use crate::journal::{AppendRow, CommitTicket, Journal, JournalClosed, Row, RowIndex, RowTransaction};
use crate::limits::MemoryPermit;
use crate::types::{Offset, ProducerEpoch, ProducerId, Timestamp, TransactionOrdinal};
use crate::wire::batch::{BatchHeader, EndMarker};
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;
use tokio::time::Instant;

/// A validated batch that wants its offsets.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// The batch as sent.
    pub batch: Bytes,
    /// How many offsets it takes.
    pub record_count: i32,
    /// The latest of its timestamps.
    pub max_timestamp: Timestamp,
    /// Its producer and sequence, if it has them.
    pub identity: Option<BatchIdentity>,
    /// The attributes of its header.
    pub attributes: i16,
}

/// A batch that is in the log, or on its way there.
#[derive(Clone, Debug)]
pub struct Appended {
    /// The offset of its first record.
    pub base_offset: Offset,
    /// First readable offset of the partition, for the answer.
    pub log_start_offset: Offset,
    /// Says when it is durable.
    pub ticket: CommitTicket,
}

/// Why a batch was not taken. Nothing of it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The producer's sequence forbids it.
    #[error(transparent)]
    Sequence(#[from] SequenceError),
    /// A batch outside of transactions while its producer has one open here.
    #[error("the producer has an open transaction, to which the batch does not belong")]
    OutsideTransaction,
    /// A transactional batch without a producer.
    #[error("a transactional batch without a producer id")]
    NoProducer,
    /// The transaction before it is still open here: its marker is on its way.
    #[error("the producer's transaction before this one has not ended here yet")]
    ConcurrentTransaction,
    /// No transaction is open here: the coordinator is asked, and the batch comes again with the answer.
    #[error("the producer has no open transaction here that the coordinator has confirmed")]
    NeedsVerification(Question),
    /// The producer is not known here and came without its beginning, for the first time or not long after: what it sent before
    /// may have been refused, and comes again ahead of this.
    #[error(
        "sequence {got} of a producer that is not known here, which has to begin at 0 or to come for longer"
    )]
    NotItsBeginning {
        /// What came.
        got: i32,
    },
    /// This session no longer leads the partition.
    #[error("this broker does not lead the partition")]
    NotLeading,
}

impl From<JournalClosed> for AppendError {
    fn from(_: JournalClosed) -> AppendError {
        AppendError::NotLeading
    }
}

impl From<JournalClosed> for MarkerError {
    fn from(_: JournalClosed) -> MarkerError {
        MarkerError::NotLeading
    }
}

impl Partition {
    /// Gives a batch that belongs to no transaction its offsets and queues it in the journal; or recognises one
    /// that was taken before.
    pub fn append(
        &self,
        journal: &Journal,
        incoming: Incoming,
        permit: &Arc<MemoryPermit>,
        now: Timestamp,
    ) -> Result<Appended, AppendError> {
        self.append_as(BatchKind::Plain, journal, incoming, permit, now)
    }

    /// Does the same for a batch of a transaction: of the one that is open here, or, if none is, of the one
    /// that the coordinator has `verified`.
    pub fn append_in_transaction(
        &self,
        journal: &Journal,
        incoming: Incoming,
        verified: Option<Verified>,
        permit: &Arc<MemoryPermit>,
        now: Timestamp,
    ) -> Result<Appended, AppendError> {
        self.append_as(BatchKind::Transactional(verified), journal, incoming, permit, now)
    }

    fn append_as(
        &self,
        kind: BatchKind,
        journal: &Journal,
        incoming: Incoming,
        permit: &Arc<MemoryPermit>,
        now: Timestamp,
    ) -> Result<Appended, AppendError> {
        let mut state = self.lead().ok_or(AppendError::NotLeading)?;
        let log_start_offset = state.log_start_offset;
        let admission = match (incoming.identity, kind) {
            (Some(identity), kind) => {
                state.check_beginning(identity)?;
                state.producers.admit(identity, kind)?
            }
            (None, BatchKind::Plain) => Admission::New { ordinal: None },
            (None, BatchKind::Transactional(_)) => return Err(AppendError::NoProducer),
        };
        let ordinal = match admission {
            Admission::New { ordinal } => ordinal,
            Admission::Repeated { offsets, ticket } => {
                return Ok(Appended { base_offset: offsets.start, log_start_offset, ticket });
            }
        };
        let base_offset = state.log_end_offset;
        let offsets = base_offset..base_offset + i64::from(incoming.record_count);
        let row = self.row(&incoming, offsets.clone(), ordinal);
        let waiting = WaitingRow::of(&row.index);
        let ticket = journal.append(AppendRow { row, permit: Arc::clone(permit) })?;
        state.log_end_offset = offsets.end;
        state.checkpoint.push(waiting);
        if let Some(identity) = incoming.identity {
            let (max_timestamp, ticket) = (incoming.max_timestamp, ticket.clone());
            state.take(Accepted { identity, ordinal, offsets, max_timestamp, ticket, now });
        }
        Ok(Appended { base_offset, log_start_offset, ticket })
    }

    fn row(&self, incoming: &Incoming, offsets: Range<Offset>, ordinal: Option<TransactionOrdinal>) -> Row {
        let none = (ProducerId(-1), ProducerEpoch(-1), -1);
        let (producer_id, producer_epoch, base_sequence) =
            incoming.identity.map_or(none, |id| (id.producer_id, id.producer_epoch, id.base_sequence));
        let index = RowIndex {
            topic_partition: self.topic_partition(),
            offsets,
            leader_epoch: self.leader_epoch(),
            max_timestamp: incoming.max_timestamp,
            producer_id,
            producer_epoch,
            base_sequence,
            attributes: incoming.attributes,
            transaction: ordinal.map_or(RowTransaction::None, |ordinal| RowTransaction::Batch { ordinal }),
        };
        Row { index, batch: incoming.batch.clone() }
    }

    /// Ends a transaction here, also where none of its batches came: the marker keeps out what is late. The
    /// same marker may come any number of times.
    pub fn append_marker(
        &self,
        journal: &Journal,
        marker: Marker,
        permit: &Arc<MemoryPermit>,
        now: Timestamp,
    ) -> Result<MarkerTaken, MarkerError> {
        let mut state = self.lead().ok_or(MarkerError::NotLeading)?;
        if let MarkerAdmission::Repeated { ticket } = state.producers.admit_marker(&marker)? {
            return Ok(MarkerTaken::AlreadyDone { ticket });
        }
        let row = self.marker_row(&marker, state.log_end_offset, now);
        let offset = row.index.offsets.start;
        let waiting = WaitingRow::of(&row.index);
        let ticket = journal.append(AppendRow { row, permit: Arc::clone(permit) })?;
        state.log_end_offset = offset + 1;
        state.checkpoint.push(waiting);
        state.end(&marker, offset, ticket.clone(), now);
        Ok(MarkerTaken::Written { ticket })
    }

    fn marker_row(&self, marker: &Marker, offset: Offset, now: Timestamp) -> Row {
        let Marker { producer_id, producer_epoch, verdict, coordinator_view, ordinal } = *marker;
        let batch = EndMarker { producer_id, producer_epoch, verdict, coordinator_view }.encode(now);
        let header = BatchHeader::decode(&batch).expect("a batch just built");
        let index = RowIndex {
            topic_partition: self.topic_partition(),
            offsets: offset..offset + 1,
            leader_epoch: self.leader_epoch(),
            max_timestamp: now,
            producer_id,
            producer_epoch,
            base_sequence: header.base_sequence,
            attributes: header.attributes,
            transaction: RowTransaction::Marker { ordinal, verdict, coordinator_view },
        };
        Row { index, batch }
    }
}

impl State {
    /// An unknown producer that does not begin at its beginning is not believed at once (`newcomers.rs`).
    fn check_beginning(&mut self, batch: BatchIdentity) -> Result<(), AppendError> {
        let BatchIdentity { producer_id, base_sequence: got, .. } = batch;
        let is_its_beginning = got <= 0 || self.producers.knows(producer_id);
        if is_its_beginning || self.newcomers.believes(producer_id, Instant::now()) {
            Ok(())
        } else {
            Err(AppendError::NotItsBeginning { got })
        }
    }

    /// Remembers a batch that has its offsets.
    pub(super) fn take(&mut self, accepted: Accepted) {
        if let Some(first_offset) = self.producers.record(accepted) {
            self.stability.on_begun(first_offset);
        }
    }

    /// Remembers a marker that has its offset.
    pub(super) fn end(&mut self, marker: &Marker, offset: Offset, ticket: CommitTicket, now: Timestamp) {
        if let Some(first_offset) = self.producers.record_marker(marker, ticket, now) {
            let Marker { producer_id, verdict, .. } = *marker;
            self.stability.on_ended(Ended { producer_id, first_offset, marker: offset, verdict });
        }
    }
}
