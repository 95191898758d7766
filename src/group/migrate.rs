//! A group goes over from one protocol to the other, with its members or without: offsets, members and what they own
//! stay, and generations and epochs go on. Pure; the task decides when.

use super::GroupError;
use super::classic::{ClassicGroup, RestoreError, StoredClassicGroup, StoredMember, StoredProtocol};
use super::consumer::{
    ClassicProtocol, ClassicSnapshot, ClassicSnapshotMember, ConsumerGroup, StoredConsumerGroup, TopicsImage,
};
use super::coordinator::GroupsConfig;
use super::{GroupInstanceId, MemberId};
use crate::types::Moment;
use std::time::Duration;

/// The group of the consumer protocol that takes the place of a classic one. Its members must all be consumers; the
/// answer is Kafka's if they are not.
pub(super) fn upgrade(
    classic: &ClassicGroup,
    config: &GroupsConfig,
    now: Moment,
    topics: &TopicsImage,
) -> Result<ConsumerGroup, GroupError> {
    let stored = classic.snapshot();
    if stored.members.is_empty() {
        let empty = StoredConsumerGroup::empty(stored.generation_reserved);
        let group = ConsumerGroup::restore(&empty, config.consumer.clone(), now);
        return group.map_err(|_| GroupError::UnknownServerError);
    }
    if stored.members.len() > config.consumer.members_max {
        return Err(GroupError::GroupIdNotFound);
    }
    let snapshot = ClassicSnapshot {
        generation_id: stored.generation_id,
        generation_heard: stored.generation_reserved,
        protocol_type: stored.protocol_type.unwrap_or_default(),
        members: stored.members.into_iter().map(to_snapshot).collect(),
    };
    ConsumerGroup::upgrade(&snapshot, config.consumer.clone(), now, topics)
        .map_err(|_| GroupError::GroupIdNotFound)
}

/// The classic group that takes the place of one of the consumer protocol in which only classic members are left; they
/// are to join again, and keep what they own meanwhile. Nothing if others are left, or nobody.
pub(super) fn downgrade(
    group: &ConsumerGroup,
    config: &GroupsConfig,
    now: Moment,
) -> Option<Result<ClassicGroup, RestoreError>> {
    let snapshot = group.downgrade()?;
    let members: Vec<StoredMember> = snapshot.members.into_iter().map(to_stored).collect();
    let stored = StoredClassicGroup {
        generation_id: snapshot.generation_id,
        rebalancing: true,
        protocol_type: Some(snapshot.protocol_type),
        group_leader: members.first().map(|member| member.member_id.clone()),
        members,
        ..StoredClassicGroup::empty(snapshot.generation_heard)
    };
    Some(ClassicGroup::restore(stored, config.classic.clone(), now))
}

/// The classic group that takes the place of one of the consumer protocol without members.
pub(super) fn downgrade_empty(
    group: &ConsumerGroup,
    config: &GroupsConfig,
    now: Moment,
) -> Result<ClassicGroup, GroupError> {
    let stored = StoredClassicGroup::empty(group.group_epoch());
    let group = ClassicGroup::restore(stored, config.classic.clone(), now);
    group.map_err(|_| GroupError::UnknownServerError)
}

fn to_snapshot(member: StoredMember) -> ClassicSnapshotMember {
    let protocol =
        |protocol: StoredProtocol| ClassicProtocol { name: protocol.name, metadata: protocol.metadata };
    ClassicSnapshotMember {
        member_id: MemberId::new(&member.member_id),
        instance_id: member.group_instance_id.as_deref().map(GroupInstanceId::new),
        client_id: member.client_id,
        client_host: member.client_host,
        session_timeout: Duration::from_millis(member.session_timeout_ms.into()),
        rebalance_timeout: Duration::from_millis(member.rebalance_timeout_ms.into()),
        protocols: member.protocols.into_iter().map(protocol).collect(),
        assignment: member.assignment,
    }
}

fn to_stored(member: ClassicSnapshotMember) -> StoredMember {
    let millis = |duration: Duration| u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
    let protocol =
        |protocol: ClassicProtocol| StoredProtocol { name: protocol.name, metadata: protocol.metadata };
    StoredMember {
        member_id: member.member_id.to_string(),
        group_instance_id: member.instance_id.map(|instance| instance.to_string()),
        client_id: member.client_id,
        client_host: member.client_host,
        session_timeout_ms: millis(member.session_timeout),
        rebalance_timeout_ms: millis(member.rebalance_timeout),
        protocols: member.protocols.into_iter().map(protocol).collect(),
        assignment: member.assignment,
    }
}
