//! What goes to another broker is what comes there.

use super::*;
use crate::remote::REQUEST_BYTES_MAX;
use proptest::prelude::*;
use uuid::Uuid;

fn fields(request: Bytes, kind: RequestKind) -> Fields {
    let (known, fields) = RequestKind::of(request).expect("a request");
    assert_eq!(known, kind);
    fields
}

fn any_place() -> impl Strategy<Value = Place> {
    let partition = (any::<u128>(), any::<i32>()).prop_map(|(topic, partition)| {
        let topic_id = TopicId(Uuid::from_u128(topic));
        Place::Partition(TopicPartition { topic_id, partition: PartitionIndex(partition) })
    });
    prop_oneof![partition, ".{0,40}".prop_map(|group| Place::Group(group.into()))]
}

proptest! {
    #[test]
    fn a_first_batch_comes_as_it_went(
        id in any::<i64>(), epoch in any::<i16>(), place in any_place(), adds in any::<bool>(), name in ".{0,40}",
    ) {
        let request = RemoteFirstBatch {
            transactional_id: name,
            first_batch: FirstBatch {
                producer: Producer { id: ProducerId(id), epoch: ProducerEpoch(epoch) },
                place,
                transaction_version: if adds { TransactionVersion::Two } else { TransactionVersion::One },
            },
        };
        let read = RemoteFirstBatch::decode(fields(request.encode(), RequestKind::FirstBatch));
        prop_assert_eq!(read, Ok(request));
    }

    #[test]
    fn markers_come_as_they_went(
        id in any::<i64>(), epoch in any::<i16>(), ordinal in any::<i64>(), view in any::<i32>(), commits in any::<bool>(),
        places in prop::collection::vec(any_place(), 0..20),
    ) {
        let request = RemoteMarkers {
            markers: Markers {
                producer_id: ProducerId(id),
                producer_epoch: ProducerEpoch(epoch),
                verdict: if commits { Verdict::Commit } else { Verdict::Abort },
                ordinal: TransactionOrdinal(ordinal),
                places,
            },
            coordinator_view: ViewNumber(view),
        };
        let encoded = request.encode();
        let cut = encoded.slice(..encoded.len() - 1);
        prop_assert_eq!(RemoteMarkers::decode(fields(encoded, RequestKind::Markers)), Ok(request));
        prop_assert_eq!(RemoteMarkers::decode(fields(cut, RequestKind::Markers)), Err(Malformed));
    }

    #[test]
    fn whatever_comes_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let mut request = RequestKind::Markers.request();
        request.extend(&bytes);
        let _read = RemoteMarkers::decode(fields(request.into(), RequestKind::Markers));
        let mut request = RequestKind::FirstBatch.request();
        request.extend(&bytes);
        let _read = RemoteFirstBatch::decode(fields(request.into(), RequestKind::FirstBatch));
        let _read = decode_written(bytes.clone().into());
        let _read = decode_ordinal(bytes.into());
    }
}

#[test]
fn answers_come_as_they_went() {
    let written = [Written::Yes, Written::NotYet, Written::Yes];
    assert_eq!(decode_written(encode_written(&written)), Ok(written.to_vec()));
    for (error, _) in CODES {
        assert_eq!(decode_ordinal(encode_ordinal(Err(error))), Ok(Err(error)));
    }
    let ordinal = Ok(TransactionOrdinal(7));
    assert_eq!(decode_ordinal(encode_ordinal(ordinal)), Ok(ordinal));
    assert_eq!(of_code(200), TxnError::CoordinatorNotAvailable, "of a later release");
}

#[test]
fn a_request_with_all_it_may_have_is_taken() {
    let name: std::sync::Arc<str> = "n".repeat(NAME_BYTES_MAX).into();
    let markers = Markers {
        producer_id: ProducerId(1),
        producer_epoch: ProducerEpoch(1),
        verdict: Verdict::Commit,
        ordinal: TransactionOrdinal(1),
        places: vec![Place::Group(name); PLACES_AT_ONCE],
    };
    let request = RemoteMarkers { markers, coordinator_view: ViewNumber(1) };
    let encoded = request.encode();
    assert!(encoded.len() <= REQUEST_BYTES_MAX);
    assert_eq!(RemoteMarkers::decode(fields(encoded, RequestKind::Markers)), Ok(request));
}
