//! Arbitrary bytes where transactional ids are stored, and where other brokers ask and answer.

use super::keys::{decode, encode};
use super::remote::{
    RemoteFirstBatch, RemoteMarkers, decode_ordinal, decode_written, encode_ordinal, encode_written,
};
use super::transaction::{Transaction, TransactionConfig};
use crate::meta::Entry;
use crate::meta::fuzzing::stored;
use crate::remote::RequestKind;
use crate::types::Moment;
use bytes::Bytes;

/// A transactional id comes back from what it is stored as, and whoever goes on with it stores the same again.
pub(crate) fn transaction(entry: &Entry) {
    stored(entry, decode, encode);
    let Ok(stored) = decode(entry) else { return };
    let restore = |stored| Transaction::restore(stored, TransactionConfig::default(), Moment::default());
    if let Ok(transaction) = restore(stored) {
        let stored = transaction.stored().expect("it has a producer");
        let again = restore(stored.clone()).expect("it was just stored");
        assert_eq!(again.stored(), Some(stored));
    }
}

/// Requests about transactions, and answers to them.
pub(crate) fn remote(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    match RequestKind::of(bytes.clone()) {
        Ok((RequestKind::FirstBatch, fields)) => {
            if let Ok(request) = RemoteFirstBatch::decode(fields) {
                let (_, again) = RequestKind::of(request.encode()).expect("its own kind");
                assert_eq!(RemoteFirstBatch::decode(again), Ok(request));
            }
        }
        Ok((RequestKind::Markers, fields)) => {
            if let Ok(request) = RemoteMarkers::decode(fields) {
                let (_, again) = RequestKind::of(request.encode()).expect("its own kind");
                assert_eq!(RemoteMarkers::decode(again), Ok(request));
            }
        }
        _ => {}
    }
    if let Ok(answer) = decode_ordinal(bytes.clone()) {
        assert_eq!(decode_ordinal(encode_ordinal(answer)), Ok(answer));
    }
    if let Ok(written) = decode_written(bytes) {
        assert_eq!(decode_written(encode_written(&written)), Ok(written));
    }
}

#[cfg(test)]
pub(crate) fn stored_seed() -> Bytes {
    let text = r#"{"version":1,"producer":{"id":100,"epoch":1},"next_producer_id":null,"stage":"prepare_commit",
        "ordinal":1,"topics":[{"topic_id":"00000000000000000000000000000001","partitions":[0,1]}],"groups":["g100"],
        "retry":{"of":"end","previous":{"id":100,"epoch":0}},"timeout_ms":60000,"started_at":1763700000000,
        "last_update":1763700000000,"transaction_version":2}"#;
    encode(&serde_json::from_str(text).expect("a stored transaction"))
}

/// Requests about transactions, and answers.
#[cfg(test)]
pub(crate) fn remote_seeds() -> Vec<Bytes> {
    use super::marker::Written;
    use super::{FirstBatch, Markers, Place, Producer, TransactionVersion, TxnError};
    use crate::types::{
        PartitionIndex, ProducerEpoch, ProducerId, TopicId, TopicPartition, TransactionOrdinal, Verdict,
        ViewNumber,
    };
    let (producer_id, producer_epoch) = (ProducerId(4000), ProducerEpoch(7));
    let topic_id = TopicId(uuid::Uuid::from_u128(7));
    let partition = Place::Partition(TopicPartition { topic_id, partition: PartitionIndex(2) });
    let first_batch = FirstBatch {
        producer: Producer { id: producer_id, epoch: producer_epoch },
        place: partition.clone(),
        transaction_version: TransactionVersion::Two,
    };
    let places = [partition, Place::Group("readers".into())].into_iter().collect();
    let (verdict, ordinal) = (Verdict::Commit, TransactionOrdinal(3));
    let markers = Markers { producer_id, producer_epoch, verdict, ordinal, places };
    vec![
        RemoteFirstBatch { transactional_id: "txn".to_owned(), first_batch }.encode(),
        RemoteMarkers { markers, coordinator_view: ViewNumber(5) }.encode(),
        encode_ordinal(Ok(ordinal)),
        encode_ordinal(Err(TxnError::ProducerFenced)),
        encode_written(&[Written::Yes, Written::NotYet]),
    ]
}
