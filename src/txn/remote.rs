//! What transactions need of other brokers, as bytes.
//!
//! ```text
//! first batch   i64 producer id, i16 epoch, u8 protocol (1 looks the place up, 2 adds it), place, text transactional id
//!      answer   u8 0, i64 ordinal; or u8 error
//! markers       i64 producer id, i16 epoch, u8 verdict (0 abort, 1 commit), i64 ordinal, i32 coordinator's view,
//!               u16 places, the places
//!      answer   u16 places, for each u8: 0 to be sent again, 1 written
//! place         u8 0, 16 topic id, i32 partition; or u8 1, text group
//! ```
//!
//! A verdict that is stored stays true, and markers are known by their ordinals: both requests may come again.

use super::marker::Written;
use super::places::Place;
use super::request::{Markers, Producer, TransactionVersion};
use super::{FirstBatch, TxnError};
use crate::remote::{Answered, Fields, Malformed, NoAnswer, RequestKind, put_text};
use crate::types::{
    PartitionIndex, ProducerEpoch, ProducerId, TopicId, TopicPartition, TransactionOrdinal, Verdict,
    ViewNumber,
};
use bytes::{BufMut, Bytes};

/// Places in one request at most.
pub(super) const PLACES_AT_ONCE: usize = 256;
/// A group's or a transactional id is at most so long.
const NAME_BYTES_MAX: usize = 1024;
const OF_VERSION_1: u8 = 1;
const OF_VERSION_2: u8 = 2;
const OF_PARTITION: u8 = 0;
const OF_GROUP: u8 = 1;
const ORDINAL: u8 = 0;

/// The end of a transaction at places that others lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RemoteMarkers {
    pub markers: Markers,
    pub coordinator_view: ViewNumber,
}

/// A leader's question about the transaction of a transactional id that is coordinated elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RemoteFirstBatch {
    pub transactional_id: String,
    pub first_batch: FirstBatch,
}

impl RemoteFirstBatch {
    pub fn encode(&self) -> Bytes {
        let FirstBatch { producer, place, transaction_version } = &self.first_batch;
        let mut to = RequestKind::FirstBatch.request();
        put_producer(&mut to, *producer);
        to.put_u8(match transaction_version {
            TransactionVersion::One => OF_VERSION_1,
            TransactionVersion::Two => OF_VERSION_2,
        });
        put_place(&mut to, place);
        put_text(&mut to, &self.transactional_id);
        to.into()
    }

    pub fn decode(mut from: Fields) -> Result<RemoteFirstBatch, Malformed> {
        let producer = producer(&mut from)?;
        let transaction_version = match from.u8()? {
            OF_VERSION_1 => TransactionVersion::One,
            OF_VERSION_2 => TransactionVersion::Two,
            _ => return Err(Malformed),
        };
        let place = place(&mut from)?;
        let transactional_id = from.text(NAME_BYTES_MAX)?;
        from.end()?;
        let first_batch = FirstBatch { producer, place, transaction_version };
        Ok(RemoteFirstBatch { transactional_id, first_batch })
    }
}

/// What a coordinator says to the first batch.
pub(super) fn encode_ordinal(answer: Result<TransactionOrdinal, TxnError>) -> Bytes {
    let mut to = Answered::Understood.answer();
    match answer {
        Ok(ordinal) => {
            to.put_u8(ORDINAL);
            to.put_i64(ordinal.0);
        }
        Err(error) => to.put_u8(code(error)),
    }
    to.into()
}

pub(super) fn decode_ordinal(answer: Bytes) -> Result<Result<TransactionOrdinal, TxnError>, NoAnswer> {
    let mut from = Answered::fields(answer)?;
    let answer = match from.u8()? {
        ORDINAL => Ok(TransactionOrdinal(from.i64()?)),
        error => Err(of_code(error)),
    };
    from.end()?;
    Ok(answer)
}

impl RemoteMarkers {
    pub fn encode(&self) -> Bytes {
        let Markers { producer_id, producer_epoch, verdict, ordinal, places } = &self.markers;
        let mut to = RequestKind::Markers.request();
        put_producer(&mut to, Producer { id: *producer_id, epoch: *producer_epoch });
        to.put_u8(match verdict {
            Verdict::Abort => 0,
            Verdict::Commit => 1,
        });
        to.put_i64(ordinal.0);
        to.put_i32(self.coordinator_view.0);
        to.put_u16(count(places.len()));
        places.iter().for_each(|place| put_place(&mut to, place));
        to.into()
    }

    pub fn decode(mut from: Fields) -> Result<RemoteMarkers, Malformed> {
        let Producer { id: producer_id, epoch: producer_epoch } = producer(&mut from)?;
        let verdict = match from.u8()? {
            0 => Verdict::Abort,
            1 => Verdict::Commit,
            _ => return Err(Malformed),
        };
        let ordinal = TransactionOrdinal(from.i64()?);
        let coordinator_view = ViewNumber(from.i32()?);
        let places = (0..counted(&mut from)?).map(|_| place(&mut from)).collect::<Result<_, _>>()?;
        from.end()?;
        let markers = Markers { producer_id, producer_epoch, verdict, ordinal, places };
        Ok(RemoteMarkers { markers, coordinator_view })
    }
}

/// What became of the places, in the order of the request.
pub(super) fn encode_written(written: &[Written]) -> Bytes {
    let mut to = Answered::Understood.answer();
    to.put_u16(count(written.len()));
    written.iter().for_each(|written| to.put_u8((*written == Written::Yes).into()));
    to.into()
}

pub(super) fn decode_written(answer: Bytes) -> Result<Vec<Written>, NoAnswer> {
    let mut from = Answered::fields(answer)?;
    let of = |byte| if byte == 1 { Written::Yes } else { Written::NotYet };
    let written = (0..counted(&mut from)?).map(|_| from.u8().map(of));
    let written = written.collect::<Result<_, _>>()?;
    from.end()?;
    Ok(written)
}

fn count(places: usize) -> u16 {
    assert!(places <= PLACES_AT_ONCE, "{places} places in one request");
    u16::try_from(places).expect("checked just now")
}

fn counted(from: &mut Fields) -> Result<usize, Malformed> {
    let count = usize::from(from.u16()?);
    if count <= PLACES_AT_ONCE { Ok(count) } else { Err(Malformed) }
}

fn put_producer(to: &mut Vec<u8>, producer: Producer) {
    to.put_i64(producer.id.0);
    to.put_i16(producer.epoch.0);
}

fn producer(from: &mut Fields) -> Result<Producer, Malformed> {
    Ok(Producer { id: ProducerId(from.i64()?), epoch: ProducerEpoch(from.i16()?) })
}

fn put_place(to: &mut Vec<u8>, place: &Place) {
    match place {
        Place::Partition(TopicPartition { topic_id, partition }) => {
            to.put_u8(OF_PARTITION);
            to.put_u128(topic_id.0.as_u128());
            to.put_i32(partition.0);
        }
        Place::Group(group) => {
            to.put_u8(OF_GROUP);
            put_text(to, group);
        }
    }
}

fn place(from: &mut Fields) -> Result<Place, Malformed> {
    match from.u8()? {
        OF_PARTITION => {
            let (topic_id, partition) = (TopicId(from.uuid()?), PartitionIndex(from.i32()?));
            Ok(Place::Partition(TopicPartition { topic_id, partition }))
        }
        OF_GROUP => Ok(Place::Group(from.text(NAME_BYTES_MAX)?.into())),
        _ => Err(Malformed),
    }
}

/// Refusals and their codes, which stay as they are.
const CODES: [(TxnError, u8); 12] = [
    (TxnError::InvalidProducerIdMapping, 1),
    (TxnError::ProducerFenced, 2),
    (TxnError::InvalidTxnState, 3),
    (TxnError::ConcurrentTransactions, 4),
    (TxnError::InvalidTransactionTimeout, 5),
    (TxnError::InvalidRequest, 6),
    (TxnError::InvalidRegularExpression, 7),
    (TxnError::TransactionalIdNotFound, 8),
    (TxnError::CoordinatorNotAvailable, 9),
    (TxnError::NotCoordinator, 10),
    (TxnError::CoordinatorLoadInProgress, 11),
    // What a later release may say.
    (TxnError::CoordinatorNotAvailable, 255),
];

fn code(error: TxnError) -> u8 {
    CODES.iter().find(|(known, _)| *known == error).map_or(255, |(_, code)| *code)
}

fn of_code(code: u8) -> TxnError {
    CODES
        .iter()
        .find(|(_, known)| *known == code)
        .map_or(TxnError::CoordinatorNotAvailable, |(error, _)| *error)
}

#[cfg(test)]
mod tests;
