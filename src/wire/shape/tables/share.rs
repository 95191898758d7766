//! Share groups.

use super::*;

pub(super) static SHAPES: &[&Shape] = &[
    &SHARE_GROUP_HEARTBEAT,
    &SHARE_GROUP_DESCRIBE,
    &SHARE_FETCH,
    &SHARE_ACKNOWLEDGE,
    &DESCRIBE_SHARE_GROUP_OFFSETS,
    &ALTER_SHARE_GROUP_OFFSETS,
    &DELETE_SHARE_GROUP_OFFSETS,
];

static SHARE_GROUP_HEARTBEAT: Shape = Shape {
    api_key: ApiKey::ShareGroupHeartbeat,
    versions: 1..=1,
    flexible_from: 0,
    fields: &[
        TEXT.always(),                 // group_id
        TEXT.always(),                 // member_id
        INT32.always(),                // member_epoch
        TEXT_OR_NULL.always(),         // rack_id
        array_or_null(&TEXT).always(), // subscribed_topic_names
    ],
};

static SHARE_GROUP_DESCRIBE: Shape = Shape {
    api_key: ApiKey::ShareGroupDescribe,
    versions: 1..=1,
    flexible_from: 0,
    fields: &[
        array(&TEXT).always(), // group_ids
        BOOL.always(),         // include_authorized_operations
    ],
};

static SHARE_FETCH: Shape = Shape {
    api_key: ApiKey::ShareFetch,
    versions: 1..=1,
    flexible_from: 0,
    fields: &[
        TEXT_OR_NULL.always(),               // group_id
        TEXT_OR_NULL.always(),               // member_id
        INT32.always(),                      // share_session_epoch
        INT32.always(),                      // max_wait_ms
        INT32.always(),                      // min_bytes
        INT32.always(),                      // max_bytes
        INT32.always(),                      // max_records
        INT32.always(),                      // batch_size
        array(&ACKNOWLEDGED_TOPIC).always(), // topics
        array(&ID_AND_PARTITIONS).always(),  // forgotten_topics_data
    ],
};

static SHARE_ACKNOWLEDGE: Shape = Shape {
    api_key: ApiKey::ShareAcknowledge,
    versions: 1..=1,
    flexible_from: 0,
    fields: &[
        TEXT_OR_NULL.always(),               // group_id
        TEXT_OR_NULL.always(),               // member_id
        INT32.always(),                      // share_session_epoch
        array(&ACKNOWLEDGED_TOPIC).always(), // topics
    ],
};

static DESCRIBE_SHARE_GROUP_OFFSETS: Shape = Shape {
    api_key: ApiKey::DescribeShareGroupOffsets,
    versions: 0..=0,
    flexible_from: 0,
    fields: &[
        array(&Kind::Struct(&[
            TEXT.always(),                                // group_id
            array_or_null(&NAME_AND_PARTITIONS).always(), // topics
        ]))
        .always(), // groups
    ],
};

static ALTER_SHARE_GROUP_OFFSETS: Shape = Shape {
    api_key: ApiKey::AlterShareGroupOffsets,
    versions: 0..=0,
    flexible_from: 0,
    fields: &[
        TEXT.always(), // group_id
        array(&Kind::Struct(&[
            TEXT.always(), // topic_name
            array(&Kind::Struct(&[
                INT32.always(), // partition_index
                INT64.always(), // start_offset
            ]))
            .always(), // partitions
        ]))
        .always(), // topics
    ],
};

static DELETE_SHARE_GROUP_OFFSETS: Shape = Shape {
    api_key: ApiKey::DeleteShareGroupOffsets,
    versions: 0..=0,
    flexible_from: 0,
    fields: &[
        TEXT.always(), // group_id
        array(&Kind::Struct(&[
            TEXT.always(), // topic_name
        ]))
        .always(), // topics
    ],
};

/// What is fetched and what is acknowledged looks the same.
const ACKNOWLEDGED_TOPIC: Kind = Kind::Struct(&[
    UUID.always(), // topic_id
    array(&Kind::Struct(&[
        INT32.always(), // partition_index
        array(&Kind::Struct(&[
            INT64.always(),        // first_offset
            INT64.always(),        // last_offset
            array(&INT8).always(), // acknowledge_types
        ]))
        .always(), // acknowledgement_batches
    ]))
    .always(), // partitions
]);
