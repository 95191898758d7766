//! Records, topics, settings, and what is told of brokers.

use super::*;

pub(super) static SHAPES: &[&Shape] = &[
    &PRODUCE,
    &FETCH,
    &LIST_OFFSETS,
    &METADATA,
    &API_VERSIONS,
    &CREATE_TOPICS,
    &DELETE_TOPICS,
    &DELETE_RECORDS,
    &INIT_PRODUCER_ID,
    &OFFSET_FOR_LEADER_EPOCH,
    &DESCRIBE_CONFIGS,
    &ALTER_CONFIGS,
    &DESCRIBE_LOG_DIRS,
    &CREATE_PARTITIONS,
    &INCREMENTAL_ALTER_CONFIGS,
    &DESCRIBE_CLUSTER,
    &DESCRIBE_PRODUCERS,
    &DESCRIBE_TOPIC_PARTITIONS,
    &LIST_CONFIG_RESOURCES,
];

static PRODUCE: Shape = Shape {
    api_key: ApiKey::Produce,
    versions: 3..=13,
    flexible_from: 9,
    fields: &[
        TEXT_OR_NULL.always(), // transactional_id
        INT16.always(),        // acks
        INT32.always(),        // timeout_ms
        array(&Kind::Struct(&[
            TEXT.within(0, 12), // name
            UUID.since(13),     // topic_id
            array(&Kind::Struct(&[
                INT32.always(),   // index
                RECORDS.always(), // records
            ]))
            .always(), // partition_data
        ]))
        .always(), // topic_data
    ],
};

static FETCH: Shape = Shape {
    api_key: ApiKey::Fetch,
    versions: 4..=18,
    flexible_from: 12,
    fields: &[
        INT32.within(0, 14), // replica_id
        INT32.always(),      // max_wait_ms
        INT32.always(),      // min_bytes
        INT32.always(),      // max_bytes
        INT8.always(),       // isolation_level
        INT32.since(7),      // session_id
        INT32.since(7),      // session_epoch
        array(&Kind::Struct(&[
            TEXT.within(0, 12),                             // topic
            UUID.since(13),                                 // topic_id
            array(&Kind::Struct(FETCH_PARTITION)).always(), // partitions
        ]))
        .always(), // topics
        array(&Kind::Struct(&[
            TEXT.within(7, 12),     // topic
            UUID.since(13),         // topic_id
            array(&INT32).always(), // partitions
        ]))
        .since(7), // forgotten_topics_data
        TEXT.since(11),      // rack_id
        TEXT_OR_NULL.tagged(0, 12), // cluster_id
        Kind::Struct(&[
            INT32.always(), // replica_id
            INT64.always(), // replica_epoch
        ])
        .tagged(1, 15), // replica_state
    ],
};

const FETCH_PARTITION: &[Field] = &[
    INT32.always(),      // partition
    INT32.since(9),      // current_leader_epoch
    INT64.always(),      // fetch_offset
    INT32.since(12),     // last_fetched_epoch
    INT64.since(5),      // log_start_offset
    INT32.always(),      // partition_max_bytes
    UUID.tagged(0, 17),  // replica_directory_id
    INT64.tagged(1, 18), // high_watermark
];

static LIST_OFFSETS: Shape = Shape {
    api_key: ApiKey::ListOffsets,
    versions: 1..=10,
    flexible_from: 6,
    fields: &[
        INT32.always(), // replica_id
        INT8.since(2),  // isolation_level
        array(&Kind::Struct(&[
            TEXT.always(), // name
            array(&Kind::Struct(&[
                INT32.always(), // partition_index
                INT32.since(4), // current_leader_epoch
                INT64.always(), // timestamp
            ]))
            .always(), // partitions
        ]))
        .always(), // topics
        INT32.since(10), // timeout_ms
    ],
};

static METADATA: Shape = Shape {
    api_key: ApiKey::Metadata,
    versions: 0..=13,
    flexible_from: 9,
    fields: &[
        array(&METADATA_TOPIC).within(0, 0),     // topics
        array_or_null(&METADATA_TOPIC).since(1), // topics: null is all of them
        BOOL.since(4),                           // allow_auto_topic_creation
        BOOL.within(8, 10),                      // include_cluster_authorized_operations
        BOOL.since(8),                           // include_topic_authorized_operations
    ],
};

const METADATA_TOPIC: Kind = Kind::Struct(&[
    UUID.since(10),         // topic_id
    TEXT.within(0, 9),      // name
    TEXT_OR_NULL.since(10), // name: null when asked by id
]);

static API_VERSIONS: Shape = Shape {
    api_key: ApiKey::ApiVersions,
    versions: 0..=4,
    flexible_from: 3,
    fields: &[
        TEXT.since(3), // client_software_name
        TEXT.since(3), // client_software_version
    ],
};

static CREATE_TOPICS: Shape = Shape {
    api_key: ApiKey::CreateTopics,
    versions: 2..=7,
    flexible_from: 5,
    fields: &[
        array(&Kind::Struct(&[
            TEXT.always(),  // name
            INT32.always(), // num_partitions
            INT16.always(), // replication_factor
            array(&Kind::Struct(&[
                INT32.always(),         // partition_index
                array(&INT32).always(), // broker_ids
            ]))
            .always(), // assignments
            array(&Kind::Struct(NAME_AND_VALUE)).always(), // configs
        ]))
        .always(), // topics
        INT32.always(), // timeout_ms
        BOOL.always(),  // validate_only
    ],
};

const NAME_AND_VALUE: &[Field] = &[
    TEXT.always(),         // name
    TEXT_OR_NULL.always(), // value
];

static DELETE_TOPICS: Shape = Shape {
    api_key: ApiKey::DeleteTopics,
    versions: 1..=6,
    flexible_from: 4,
    fields: &[
        array(&Kind::Struct(&[
            TEXT_OR_NULL.always(), // name
            UUID.always(),         // topic_id
        ]))
        .since(6), // topics
        array(&TEXT).within(0, 5), // topic_names
        INT32.always(),            // timeout_ms
    ],
};

static DELETE_RECORDS: Shape = Shape {
    api_key: ApiKey::DeleteRecords,
    versions: 0..=2,
    flexible_from: 2,
    fields: &[
        array(&Kind::Struct(&[
            TEXT.always(), // name
            array(&Kind::Struct(&[
                INT32.always(), // partition_index
                INT64.always(), // offset
            ]))
            .always(), // partitions
        ]))
        .always(), // topics
        INT32.always(), // timeout_ms
    ],
};

static INIT_PRODUCER_ID: Shape = Shape {
    api_key: ApiKey::InitProducerId,
    versions: 0..=5,
    flexible_from: 2,
    fields: &[
        TEXT_OR_NULL.always(), // transactional_id
        INT32.always(),        // transaction_timeout_ms
        INT64.since(3),        // producer_id
        INT16.since(3),        // producer_epoch
    ],
};

static OFFSET_FOR_LEADER_EPOCH: Shape = Shape {
    api_key: ApiKey::OffsetForLeaderEpoch,
    versions: 2..=4,
    flexible_from: 4,
    fields: &[
        INT32.since(3), // replica_id
        array(&Kind::Struct(&[
            TEXT.always(), // topic
            array(&Kind::Struct(&[
                INT32.always(), // partition
                INT32.always(), // current_leader_epoch
                INT32.always(), // leader_epoch
            ]))
            .always(), // partitions
        ]))
        .always(), // topics
    ],
};

static DESCRIBE_CONFIGS: Shape = Shape {
    api_key: ApiKey::DescribeConfigs,
    versions: 1..=4,
    flexible_from: 4,
    fields: &[
        array(&Kind::Struct(&[
            INT8.always(),                 // resource_type
            TEXT.always(),                 // resource_name
            array_or_null(&TEXT).always(), // configuration_keys: null is all of them
        ]))
        .always(), // resources
        BOOL.always(), // include_synonyms
        BOOL.since(3), // include_documentation
    ],
};

static ALTER_CONFIGS: Shape = Shape {
    api_key: ApiKey::AlterConfigs,
    versions: 0..=2,
    flexible_from: 2,
    fields: &[
        array(&Kind::Struct(&[
            INT8.always(),                                 // resource_type
            TEXT.always(),                                 // resource_name
            array(&Kind::Struct(NAME_AND_VALUE)).always(), // configs
        ]))
        .always(), // resources
        BOOL.always(), // validate_only
    ],
};

static INCREMENTAL_ALTER_CONFIGS: Shape = Shape {
    api_key: ApiKey::IncrementalAlterConfigs,
    versions: 0..=1,
    flexible_from: 1,
    fields: &[
        array(&Kind::Struct(&[
            INT8.always(), // resource_type
            TEXT.always(), // resource_name
            array(&Kind::Struct(&[
                TEXT.always(),         // name
                INT8.always(),         // config_operation
                TEXT_OR_NULL.always(), // value
            ]))
            .always(), // configs
        ]))
        .always(), // resources
        BOOL.always(), // validate_only
    ],
};

static DESCRIBE_LOG_DIRS: Shape = Shape {
    api_key: ApiKey::DescribeLogDirs,
    versions: 1..=4,
    flexible_from: 2,
    fields: &[
        array_or_null(&Kind::Struct(&[
            TEXT.always(),          // topic
            array(&INT32).always(), // partitions
        ]))
        .always(), // topics: null is all of them
    ],
};

static CREATE_PARTITIONS: Shape = Shape {
    api_key: ApiKey::CreatePartitions,
    versions: 0..=3,
    flexible_from: 2,
    fields: &[
        array(&Kind::Struct(&[
            TEXT.always(),  // name
            INT32.always(), // count
            array_or_null(&Kind::Struct(&[
                array(&INT32).always(), // broker_ids
            ]))
            .always(), // assignments
        ]))
        .always(), // topics
        INT32.always(), // timeout_ms
        BOOL.always(),  // validate_only
    ],
};

static DESCRIBE_CLUSTER: Shape = Shape {
    api_key: ApiKey::DescribeCluster,
    versions: 0..=2,
    flexible_from: 0,
    fields: &[
        BOOL.always(), // include_cluster_authorized_operations
        INT8.since(1), // endpoint_type
        BOOL.since(2), // include_fenced_brokers
    ],
};

static DESCRIBE_PRODUCERS: Shape = Shape {
    api_key: ApiKey::DescribeProducers,
    versions: 0..=0,
    flexible_from: 0,
    fields: &[
        array(&Kind::Struct(&[
            TEXT.always(),          // name
            array(&INT32).always(), // partition_indexes
        ]))
        .always(), // topics
    ],
};

static DESCRIBE_TOPIC_PARTITIONS: Shape = Shape {
    api_key: ApiKey::DescribeTopicPartitions,
    versions: 0..=0,
    flexible_from: 0,
    fields: &[
        array(&Kind::Struct(&[
            TEXT.always(), // name
        ]))
        .always(), // topics
        INT32.always(), // response_partition_limit
        Kind::OptionalStruct(&[
            TEXT.always(),  // topic_name
            INT32.always(), // partition_index
        ])
        .always(), // cursor
    ],
};

static LIST_CONFIG_RESOURCES: Shape = Shape {
    api_key: ApiKey::ListConfigResources,
    versions: 0..=1,
    flexible_from: 0,
    fields: &[
        array(&INT8).since(1), // resource_types
    ],
};
