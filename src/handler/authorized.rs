//! What a client may do, as bits of Kafka's ACL operations: without an authorizer everything, as in Apache Kafka.

/// Answered when the client did not ask.
pub const NOT_ASKED: i32 = i32::MIN;

const CREATE: i32 = 1 << 5;
const ALTER: i32 = 1 << 7;
const DESCRIBE: i32 = 1 << 8;
const DESCRIBE_CONFIGS: i32 = 1 << 10;
const ALTER_CONFIGS: i32 = 1 << 11;
const READ: i32 = 1 << 3;
const DELETE: i32 = 1 << 6;
/// Read, write and delete.
const RECORDS: i32 = READ | 1 << 4 | DELETE;
/// Cluster action and idempotent write.
const CLUSTER_ONLY: i32 = 1 << 9 | 1 << 12;

/// The operations that a topic has.
pub fn on_topic(asked: bool) -> i32 {
    let all = RECORDS | CREATE | ALTER | DESCRIBE | DESCRIBE_CONFIGS | ALTER_CONFIGS;
    if asked { all } else { NOT_ASKED }
}

/// The operations that a group has.
pub fn on_group(asked: bool) -> i32 {
    let all = READ | DELETE | DESCRIBE;
    if asked { all } else { NOT_ASKED }
}

/// The operations that a cluster has.
pub fn on_cluster(asked: bool) -> i32 {
    let all = CLUSTER_ONLY | CREATE | ALTER | DESCRIBE | DESCRIBE_CONFIGS | ALTER_CONFIGS;
    if asked { all } else { NOT_ASKED }
}
