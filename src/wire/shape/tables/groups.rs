//! Groups: where they are, their offsets, their members, in both protocols.

use super::*;

pub(super) static SHAPES: &[&Shape] = &[
    &FIND_COORDINATOR,
    &OFFSET_COMMIT,
    &OFFSET_FETCH,
    &OFFSET_DELETE,
    &JOIN_GROUP,
    &SYNC_GROUP,
    &HEARTBEAT,
    &LEAVE_GROUP,
    &DESCRIBE_GROUPS,
    &LIST_GROUPS,
    &DELETE_GROUPS,
    &CONSUMER_GROUP_HEARTBEAT,
    &CONSUMER_GROUP_DESCRIBE,
];

static FIND_COORDINATOR: Shape = Shape {
    api_key: ApiKey::FindCoordinator,
    versions: 0..=6,
    flexible_from: 3,
    fields: &[
        TEXT.within(0, 3),     // key
        INT8.since(1),         // key_type
        array(&TEXT).since(4), // coordinator_keys
    ],
};

static OFFSET_COMMIT: Shape = Shape {
    api_key: ApiKey::OffsetCommit,
    versions: 2..=9,
    flexible_from: 8,
    fields: &[
        TEXT.always(),         // group_id
        INT32.always(),        // generation_id_or_member_epoch
        TEXT.always(),         // member_id
        TEXT_OR_NULL.since(7), // group_instance_id
        INT64.within(2, 4),    // retention_time_ms
        array(&Kind::Struct(&[
            TEXT.always(), // name
            array(&Kind::Struct(&[
                INT32.always(),        // partition_index
                INT64.always(),        // committed_offset
                INT32.since(6),        // committed_leader_epoch
                TEXT_OR_NULL.always(), // committed_metadata
            ]))
            .always(), // partitions
        ]))
        .always(), // topics
    ],
};

static OFFSET_FETCH: Shape = Shape {
    api_key: ApiKey::OffsetFetch,
    versions: 1..=9,
    flexible_from: 6,
    fields: &[
        TEXT.within(0, 7),                                // group_id
        array(&NAME_AND_PARTITIONS).within(0, 1),         // topics
        array_or_null(&NAME_AND_PARTITIONS).within(2, 7), // topics: null is all of them
        array(&Kind::Struct(&[
            TEXT.always(),                                // group_id
            TEXT_OR_NULL.since(9),                        // member_id
            INT32.since(9),                               // member_epoch
            array_or_null(&NAME_AND_PARTITIONS).always(), // topics: null is all of them
        ]))
        .since(8), // groups
        BOOL.since(7),                                    // require_stable
    ],
};

static OFFSET_DELETE: Shape = Shape {
    api_key: ApiKey::OffsetDelete,
    versions: 0..=0,
    flexible_from: NEVER,
    fields: &[
        TEXT.always(), // group_id
        array(&Kind::Struct(&[
            TEXT.always(), // name
            array(&Kind::Struct(&[
                INT32.always(), // partition_index
            ]))
            .always(), // partitions
        ]))
        .always(), // topics
    ],
};

static JOIN_GROUP: Shape = Shape {
    api_key: ApiKey::JoinGroup,
    versions: 0..=9,
    flexible_from: 6,
    fields: &[
        TEXT.always(),         // group_id
        INT32.always(),        // session_timeout_ms
        INT32.since(1),        // rebalance_timeout_ms
        TEXT.always(),         // member_id
        TEXT_OR_NULL.since(5), // group_instance_id
        TEXT.always(),         // protocol_type
        array(&Kind::Struct(&[
            TEXT.always(),  // name
            BYTES.always(), // metadata
        ]))
        .always(), // protocols
        TEXT_OR_NULL.since(8), // reason
    ],
};

static SYNC_GROUP: Shape = Shape {
    api_key: ApiKey::SyncGroup,
    versions: 0..=5,
    flexible_from: 4,
    fields: &[
        TEXT.always(),         // group_id
        INT32.always(),        // generation_id
        TEXT.always(),         // member_id
        TEXT_OR_NULL.since(3), // group_instance_id
        TEXT_OR_NULL.since(5), // protocol_type
        TEXT_OR_NULL.since(5), // protocol_name
        array(&Kind::Struct(&[
            TEXT.always(),  // member_id
            BYTES.always(), // assignment
        ]))
        .always(), // assignments
    ],
};

static HEARTBEAT: Shape = Shape {
    api_key: ApiKey::Heartbeat,
    versions: 0..=4,
    flexible_from: 4,
    fields: &[
        TEXT.always(),         // group_id
        INT32.always(),        // generation_id
        TEXT.always(),         // member_id
        TEXT_OR_NULL.since(3), // group_instance_id
    ],
};

static LEAVE_GROUP: Shape = Shape {
    api_key: ApiKey::LeaveGroup,
    versions: 0..=5,
    flexible_from: 4,
    fields: &[
        TEXT.always(),     // group_id
        TEXT.within(0, 2), // member_id
        array(&Kind::Struct(&[
            TEXT.always(),         // member_id
            TEXT_OR_NULL.always(), // group_instance_id
            TEXT_OR_NULL.since(5), // reason
        ]))
        .since(3), // members
    ],
};

static DESCRIBE_GROUPS: Shape = Shape {
    api_key: ApiKey::DescribeGroups,
    versions: 0..=6,
    flexible_from: 5,
    fields: &[
        array(&TEXT).always(), // groups
        BOOL.since(3),         // include_authorized_operations
    ],
};

static LIST_GROUPS: Shape = Shape {
    api_key: ApiKey::ListGroups,
    versions: 0..=5,
    flexible_from: 3,
    fields: &[
        array(&TEXT).since(4), // states_filter
        array(&TEXT).since(5), // types_filter
    ],
};

static DELETE_GROUPS: Shape = Shape {
    api_key: ApiKey::DeleteGroups,
    versions: 0..=2,
    flexible_from: 2,
    fields: &[
        array(&TEXT).always(), // groups_names
    ],
};

static CONSUMER_GROUP_HEARTBEAT: Shape = Shape {
    api_key: ApiKey::ConsumerGroupHeartbeat,
    versions: 0..=1,
    flexible_from: 0,
    fields: &[
        TEXT.always(),                              // group_id
        TEXT.always(),                              // member_id
        INT32.always(),                             // member_epoch
        TEXT_OR_NULL.always(),                      // instance_id
        TEXT_OR_NULL.always(),                      // rack_id
        INT32.always(),                             // rebalance_timeout_ms
        array_or_null(&TEXT).always(),              // subscribed_topic_names
        TEXT_OR_NULL.since(1),                      // subscribed_topic_regex
        TEXT_OR_NULL.always(),                      // server_assignor
        array_or_null(&ID_AND_PARTITIONS).always(), // topic_partitions
    ],
};

static CONSUMER_GROUP_DESCRIBE: Shape = Shape {
    api_key: ApiKey::ConsumerGroupDescribe,
    versions: 0..=1,
    flexible_from: 0,
    fields: &[
        array(&TEXT).always(), // group_ids
        BOOL.always(),         // include_authorized_operations
    ],
};
