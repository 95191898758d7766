//! Of transactions.

use super::{Sample, group, name, sample, since, text, transactional_id};
use crate::wire::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use crate::wire::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use crate::wire::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use crate::wire::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, DescribeTransactionsRequest, EndTxnRequest,
    ListTransactionsRequest, TxnOffsetCommitRequest, WriteTxnMarkersRequest,
};

pub(super) fn add(all: &mut Vec<Sample>) {
    (0..=3).for_each(|v| add_partitions_to_one(v, all));
    (4..=5).for_each(|v| add_partitions_to_many(v, all));
    (0..=4).for_each(|v| add_offsets_to_txn(v, all));
    (0..=5).for_each(|v| txn_offset_commit(v, all));
    (0..=5).for_each(|v| end_txn(v, all));
    write_txn_markers(all);
    describe_transactions(all);
    (0..=2).for_each(|v| list_transactions(v, all));
}

fn partitions() -> AddPartitionsToTxnTopic {
    AddPartitionsToTxnTopic::default().with_name(name()).with_partitions(vec![1, 2, 3])
}

fn add_partitions_to_one(v: i16, all: &mut Vec<Sample>) {
    let request = AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(transactional_id())
        .with_v3_and_below_producer_id(7.into())
        .with_v3_and_below_producer_epoch(2);
    all.push(sample(v, &request));
    all.push(sample(v, &request.with_v3_and_below_topics(vec![partitions(), partitions()])));
}

fn add_partitions_to_many(v: i16, all: &mut Vec<Sample>) {
    let transaction = AddPartitionsToTxnTransaction::default()
        .with_transactional_id(transactional_id())
        .with_producer_id(7.into())
        .with_producer_epoch(2)
        .with_verify_only(true)
        .with_topics(vec![partitions(), partitions()]);
    let request = AddPartitionsToTxnRequest::default();
    all.push(sample(v, &request));
    all.push(sample(v, &request.with_transactions(vec![transaction.clone(), transaction])));
}

fn add_offsets_to_txn(v: i16, all: &mut Vec<Sample>) {
    let request = AddOffsetsToTxnRequest::default()
        .with_transactional_id(transactional_id())
        .with_producer_id(7.into())
        .with_producer_epoch(2)
        .with_group_id(group());
    all.push(sample(v, &request));
}

fn txn_offset_commit(v: i16, all: &mut Vec<Sample>) {
    let partition = |metadata| {
        TxnOffsetCommitRequestPartition::default()
            .with_partition_index(1)
            .with_committed_offset(99)
            .with_committed_leader_epoch(since(v, 2, 4, -1))
            .with_committed_metadata(metadata)
    };
    let topic = TxnOffsetCommitRequestTopic::default()
        .with_name(name())
        .with_partitions(vec![partition(Some(text("note"))), partition(None)]);
    let request = TxnOffsetCommitRequest::default()
        .with_transactional_id(transactional_id())
        .with_group_id(group())
        .with_producer_id(7.into())
        .with_producer_epoch(2);
    all.push(sample(v, &request));
    let request = request
        .with_generation_id(since(v, 3, 5, -1))
        .with_member_id(since(v, 3, text("member-1"), text("")))
        .with_group_instance_id(since(v, 3, Some(text("static-1")), None))
        .with_topics(vec![topic.clone(), topic]);
    all.push(sample(v, &request));
}

fn end_txn(v: i16, all: &mut Vec<Sample>) {
    let request = EndTxnRequest::default()
        .with_transactional_id(transactional_id())
        .with_producer_id(7.into())
        .with_producer_epoch(2)
        .with_committed(true);
    all.push(sample(v, &request));
}

fn write_txn_markers(all: &mut Vec<Sample>) {
    let topic = WritableTxnMarkerTopic::default().with_name(name()).with_partition_indexes(vec![1, 2]);
    let marker = WritableTxnMarker::default()
        .with_producer_id(7.into())
        .with_producer_epoch(2)
        .with_transaction_result(true)
        .with_topics(vec![topic.clone(), topic])
        .with_coordinator_epoch(3);
    all.push(sample(1, &WriteTxnMarkersRequest::default()));
    all.push(sample(1, &WriteTxnMarkersRequest::default().with_markers(vec![marker.clone(), marker])));
}

fn describe_transactions(all: &mut Vec<Sample>) {
    let ids = vec![transactional_id(), transactional_id()];
    all.push(sample(0, &DescribeTransactionsRequest::default().with_transactional_ids(ids)));
}

fn list_transactions(v: i16, all: &mut Vec<Sample>) {
    all.push(sample(v, &ListTransactionsRequest::default()));
    let request = ListTransactionsRequest::default()
        .with_state_filters(vec![text("Ongoing"), text("PrepareCommit")])
        .with_producer_id_filters(vec![7.into(), 8.into()])
        .with_duration_filter(since(v, 1, 1000, -1))
        .with_transactional_id_pattern(since(v, 2, Some(text("txn.*")), None));
    all.push(sample(v, &request));
}
