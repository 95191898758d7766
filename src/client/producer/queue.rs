//! The batches of one partition, from the first record to the answer: a pure state machine.
//!
//! A batch gets its producer and sequence when it is first sent, and keeps them over all retries. After a
//! failure nothing more is sent until every batch in flight has its answer; then all that is not stored goes
//! out again in order. A batch that fails for good leaves a gap that the broker would refuse to step over: what
//! comes after it begins anew, at sequence 0 of a new producer.

use super::delivery::BatchOutcome;
use crate::client::ClientError;
use crate::types::{Offset, ProducerEpoch, ProducerId, Timestamp};
use crate::wire::ErrorCode;
use crate::wire::batch::{BatchBuilder, Codec, NO_PRODUCER, ProducerStamp};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::time::Instant;

/// Who an idempotent producer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) producer_id: ProducerId,
    pub(super) producer_epoch: ProducerEpoch,
}

/// A batch that is being filled, waits, or is in flight.
#[derive(Debug)]
pub(super) struct Batch {
    builder: BatchBuilder,
    encoded: Option<(ProducerStamp, Bytes)>,
    stamp: Option<ProducerStamp>,
    pub(super) created: Instant,
    pub(super) outcome: Arc<BatchOutcome>,
    pub(super) last_error: Option<ClientError>,
}

impl Batch {
    fn new(now: Instant) -> Batch {
        let outcome = Arc::default();
        Batch {
            builder: BatchBuilder::new(),
            encoded: None,
            stamp: None,
            created: now,
            outcome,
            last_error: None,
        }
    }

    /// Bytes of it in the buffer.
    pub(super) fn bytes(&self) -> usize {
        self.builder.bytes()
    }

    /// The bytes to send, encoded once for each stamp. A builder stays, in case another stamp is needed.
    pub(super) fn encode(&mut self, codec: Codec) -> Bytes {
        let stamp = self.stamp.unwrap_or(NO_PRODUCER);
        if let Some((_, bytes)) = self.encoded.as_ref().filter(|(encoded, _)| *encoded == stamp) {
            return bytes.clone();
        }
        let bytes = self.builder.clone().finish(codec, stamp);
        self.encoded = Some((stamp, bytes.clone()));
        bytes
    }
}

/// What an attempt to send a batch came to.
#[derive(Clone, Debug)]
pub(super) enum Attempt {
    /// Stored from this offset on.
    Stored(Offset),
    /// Stored by an attempt before; where is not known.
    StoredBefore,
    /// Not stored, or not known: the same batch may be sent again.
    Again(ClientError),
    /// The broker misses a batch before it.
    OutOfOrder(ClientError),
    /// Refused for good.
    Refused(ClientError),
}

impl Attempt {
    /// What an answer's code means.
    pub(super) fn of_code(
        code: i16,
        base_offset: i64,
        error: impl FnOnce(ErrorCode) -> ClientError,
    ) -> Attempt {
        match ErrorCode::try_from_code(code) {
            None => Attempt::Stored(Offset(base_offset)),
            Some(ErrorCode::DuplicateSequenceNumber) => Attempt::StoredBefore,
            Some(code @ ErrorCode::OutOfOrderSequenceNumber) => Attempt::OutOfOrder(error(code)),
            Some(code) if code.is_retriable() => Attempt::Again(error(code)),
            Some(code) => Attempt::Refused(error(code)),
        }
    }
}

/// A batch that has reached its end, with what became of it: the offset, -1 for unknown.
pub(super) type Finished = (Batch, Result<Offset, ClientError>);

/// What the caller must do after an answer.
#[derive(Debug, Default)]
pub(super) struct Reaction {
    pub(super) finished: Vec<Finished>,
    pub(super) retried: bool,
    /// The producer needs a new identity before this partition goes on.
    pub(super) new_identity: bool,
}

/// The batches of one partition, in order.
#[derive(Debug, Default)]
pub(super) struct Queue {
    open: Option<Batch>,
    waiting: VecDeque<Batch>,
    /// Places of those in flight; `None` for one that has its answer.
    in_flight: usize,
    returned: Vec<(u64, Batch)>,
    sent: u64,
    oldest_unanswered: VecDeque<u64>,
    identity: Option<Identity>,
    next_sequence: i32,
    reset: bool,
}

/// A batch on its way and its place in the order of sending.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) place: u64,
    pub(super) batch: Batch,
}

impl Queue {
    /// The open batch for a record of about `bytes`, sealing the one before when it is full.
    pub(super) fn open(&mut self, now: Instant, bytes: usize, batch_bytes: usize) -> &mut Batch {
        let full = self.open.as_ref().is_some_and(|batch| batch.bytes() + bytes > batch_bytes);
        if full {
            self.seal();
        }
        self.open.get_or_insert_with(|| Batch::new(now))
    }

    /// Ends the open batch.
    pub(super) fn seal(&mut self) {
        self.waiting.extend(self.open.take());
    }

    /// Nothing open, waiting or in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.open.is_none() && self.waiting.is_empty() && self.in_flight == 0
    }

    /// Whether a batch could be sent now, and if not, when by time alone. `linger_until` of the open batch.
    pub(super) fn open_since(&self) -> Option<Instant> {
        self.open.as_ref().map(|batch| batch.created)
    }

    pub(super) fn has_sealed(&self) -> bool {
        !self.waiting.is_empty() && self.may_send()
    }

    fn may_send(&self) -> bool {
        (self.returned.is_empty() && !self.reset) || self.in_flight == 0
    }

    /// The next batch to send, stamped; `identity` is `None` for a producer that is not idempotent.
    pub(super) fn take(&mut self, identity: Option<Identity>) -> Option<Sent> {
        if !self.may_send() {
            return None;
        }
        let mut batch = self.waiting.pop_front()?;
        if let Some(identity) = identity.filter(|_| batch.stamp.is_none()) {
            if self.identity != Some(identity) {
                (self.identity, self.next_sequence) = (Some(identity), 0);
            }
            batch.stamp = Some(ProducerStamp {
                producer_id: identity.producer_id,
                producer_epoch: identity.producer_epoch,
                base_sequence: self.next_sequence,
                transactional: false,
            });
            self.next_sequence = sequence_after(self.next_sequence, batch.builder.record_count());
        }
        self.sent += 1;
        self.in_flight += 1;
        self.oldest_unanswered.push_back(self.sent);
        Some(Sent { place: self.sent, batch })
    }

    /// Takes the answer for a batch that was sent.
    pub(super) fn on_attempt(&mut self, sent: Sent, attempt: Attempt) -> Reaction {
        let Sent { place, mut batch } = sent;
        let is_first =
            self.oldest_unanswered.front() == Some(&place) && self.returned.iter().all(|(p, _)| *p > place);
        self.in_flight -= 1;
        self.oldest_unanswered.retain(|unanswered| *unanswered != place);
        let mut reaction = Reaction::default();
        match attempt {
            Attempt::Stored(offset) => reaction.finished.push((batch, Ok(offset))),
            Attempt::StoredBefore => reaction.finished.push((batch, Ok(Offset(-1)))),
            Attempt::Again(error) => {
                batch.last_error = Some(error);
                reaction.retried = true;
                self.returned.push((place, batch));
            }
            Attempt::OutOfOrder(error) if !is_first || self.reset => {
                batch.last_error = Some(error);
                reaction.retried = true;
                self.returned.push((place, batch));
            }
            Attempt::OutOfOrder(error) | Attempt::Refused(error) => {
                self.reset = batch.stamp.is_some();
                reaction.finished.push((batch, Err(error)));
            }
        }
        if self.in_flight == 0 {
            reaction.new_identity = self.settle();
        }
        reaction
    }

    /// With nothing in flight: what came back goes to the front, in order. Whether a new identity is needed.
    fn settle(&mut self) -> bool {
        self.returned.sort_by_key(|(place, _)| *place);
        for (_, batch) in self.returned.drain(..).rev() {
            self.waiting.push_front(batch);
        }
        let reset = std::mem::take(&mut self.reset);
        if reset {
            self.waiting.iter_mut().for_each(|batch| batch.stamp = None);
        }
        reset
    }

    /// Gives up what has waited since before `deadline`. `true` when a new identity is needed.
    pub(super) fn expire(&mut self, deadline: Instant) -> (Vec<Batch>, bool) {
        if self.in_flight > 0 {
            return (Vec::new(), false);
        }
        let mut expired = Vec::new();
        while self.waiting.front().is_some_and(|batch| batch.created < deadline) {
            expired.extend(self.waiting.pop_front());
        }
        let reset = expired.iter().any(|batch| batch.stamp.is_some());
        if reset {
            self.waiting.iter_mut().for_each(|batch| batch.stamp = None);
        }
        (expired, reset)
    }
}

impl Batch {
    pub(super) fn builder(&mut self) -> &mut BatchBuilder {
        &mut self.builder
    }

    /// When its first record was appended, for records that bring no timestamp of their own.
    pub(super) fn append(
        &mut self,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[crate::wire::batch::Header<'_>],
    ) -> (Arc<BatchOutcome>, i32) {
        let index = self.builder.record_count();
        self.builder().append(timestamp, key, value, headers);
        (Arc::clone(&self.outcome), index)
    }
}

/// After the greatest `i32` comes 0.
pub(super) fn sequence_after(sequence: i32, records: i32) -> i32 {
    let after = (i64::from(sequence) + i64::from(records)) % (i64::from(i32::MAX) + 1);
    i32::try_from(after).expect("the remainder fits")
}

#[cfg(test)]
mod tests;
