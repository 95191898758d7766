//! The numbers of a classic group.

use std::time::Duration;

/// Limits and delays; the defaults are Apache Kafka's where Kafka has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicGroupConfig {
    /// How long an empty group waits for more members after the first joined (`group.initial.rebalance.delay.ms`).
    pub initial_rebalance_delay: Duration,
    /// The shortest session a member may ask for (`group.min.session.timeout.ms`).
    pub session_timeout_min: Duration,
    /// The longest session a member may ask for (`group.max.session.timeout.ms`).
    pub session_timeout_max: Duration,
    /// How long a member that is new may wait for its first answer, since it may be gone unseen.
    pub new_member_join_timeout: Duration,
    /// Members that a group may have (`group.max.size`).
    pub members_max: usize,
    /// Members that were given an id and have not joined yet; past it the oldest is forgotten.
    pub pending_max: usize,
    /// Bytes of the ids of those; past it the oldest is forgotten.
    pub pending_bytes_max: usize,
    /// Protocols that a member may offer.
    pub protocols_max: usize,
    /// Bytes of all protocols' metadata of a member.
    pub member_metadata_bytes_max: usize,
    /// Bytes of a member's assignment.
    pub member_assignment_bytes_max: usize,
    /// Bytes of what is stored of the group. Members get five eighths of it, so that their assignments find room.
    pub stored_bytes_max: usize,
}

impl Default for ClassicGroupConfig {
    fn default() -> ClassicGroupConfig {
        ClassicGroupConfig {
            initial_rebalance_delay: Duration::from_secs(3),
            session_timeout_min: Duration::from_secs(6),
            session_timeout_max: Duration::from_secs(1800),
            new_member_join_timeout: Duration::from_secs(300),
            members_max: 10_000,
            pending_max: 1_000,
            pending_bytes_max: 1 << 18,
            protocols_max: 100,
            member_metadata_bytes_max: 1 << 18,
            member_assignment_bytes_max: 1 << 18,
            stored_bytes_max: 1 << 20,
        }
    }
}

impl ClassicGroupConfig {
    /// Bytes that the members may take of what is stored, without their assignments.
    pub(super) fn joined_bytes_max(&self) -> usize {
        self.stored_bytes_max / 8 * 5
    }
}
