//! Transactions.

use super::*;

pub(super) static SHAPES: &[&Shape] = &[
    &ADD_PARTITIONS_TO_TXN,
    &ADD_OFFSETS_TO_TXN,
    &TXN_OFFSET_COMMIT,
    &END_TXN,
    &WRITE_TXN_MARKERS,
    &DESCRIBE_TRANSACTIONS,
    &LIST_TRANSACTIONS,
];

static ADD_PARTITIONS_TO_TXN: Shape = Shape {
    api_key: ApiKey::AddPartitionsToTxn,
    versions: 0..=5,
    flexible_from: 3,
    fields: &[
        array(&Kind::Struct(&[
            TEXT.always(),                        // transactional_id
            INT64.always(),                       // producer_id
            INT16.always(),                       // producer_epoch
            BOOL.always(),                        // verify_only
            array(&NAME_AND_PARTITIONS).always(), // topics
        ]))
        .since(4), // transactions
        TEXT.within(0, 3),                        // v3_and_below_transactional_id
        INT64.within(0, 3),                       // v3_and_below_producer_id
        INT16.within(0, 3),                       // v3_and_below_producer_epoch
        array(&NAME_AND_PARTITIONS).within(0, 3), // v3_and_below_topics
    ],
};

static ADD_OFFSETS_TO_TXN: Shape = Shape {
    api_key: ApiKey::AddOffsetsToTxn,
    versions: 0..=4,
    flexible_from: 3,
    fields: &[
        TEXT.always(),  // transactional_id
        INT64.always(), // producer_id
        INT16.always(), // producer_epoch
        TEXT.always(),  // group_id
    ],
};

static TXN_OFFSET_COMMIT: Shape = Shape {
    api_key: ApiKey::TxnOffsetCommit,
    versions: 0..=5,
    flexible_from: 3,
    fields: &[
        TEXT.always(),         // transactional_id
        TEXT.always(),         // group_id
        INT64.always(),        // producer_id
        INT16.always(),        // producer_epoch
        INT32.since(3),        // generation_id
        TEXT.since(3),         // member_id
        TEXT_OR_NULL.since(3), // group_instance_id
        array(&Kind::Struct(&[
            TEXT.always(), // name
            array(&Kind::Struct(&[
                INT32.always(),        // partition_index
                INT64.always(),        // committed_offset
                INT32.since(2),        // committed_leader_epoch
                TEXT_OR_NULL.always(), // committed_metadata
            ]))
            .always(), // partitions
        ]))
        .always(), // topics
    ],
};

static END_TXN: Shape = Shape {
    api_key: ApiKey::EndTxn,
    versions: 0..=5,
    flexible_from: 3,
    fields: &[
        TEXT.always(),  // transactional_id
        INT64.always(), // producer_id
        INT16.always(), // producer_epoch
        BOOL.always(),  // committed
    ],
};

static WRITE_TXN_MARKERS: Shape = Shape {
    api_key: ApiKey::WriteTxnMarkers,
    versions: 1..=1,
    flexible_from: 1,
    fields: &[
        array(&Kind::Struct(&[
            INT64.always(),                       // producer_id
            INT16.always(),                       // producer_epoch
            BOOL.always(),                        // transaction_result
            array(&NAME_AND_PARTITIONS).always(), // topics
            INT32.always(),                       // coordinator_epoch
        ]))
        .always(), // markers
    ],
};

static DESCRIBE_TRANSACTIONS: Shape = Shape {
    api_key: ApiKey::DescribeTransactions,
    versions: 0..=0,
    flexible_from: 0,
    fields: &[
        array(&TEXT).always(), // transactional_ids
    ],
};

static LIST_TRANSACTIONS: Shape = Shape {
    api_key: ApiKey::ListTransactions,
    versions: 0..=2,
    flexible_from: 0,
    fields: &[
        array(&TEXT).always(),  // state_filters
        array(&INT64).always(), // producer_id_filters
        INT64.since(1),         // duration_filter
        TEXT_OR_NULL.since(2),  // transactional_id_pattern
    ],
};
