//! Groups and their committed offsets, each asked of its coordinator.

mod describe;
mod share;

use super::admin::{EARLIEST, LATEST, text};
use super::coordinator::Coordinator;
use super::{Admin, ClientError};
use crate::types::{BrokerId, Offset, PartitionIndex, Timestamp};
use crate::wire::ErrorCode;
use crate::wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use crate::wire::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use crate::wire::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use crate::wire::messages::offset_fetch_request::OffsetFetchRequestGroup;
use crate::wire::messages::{
    DeleteGroupsRequest, GroupId, ListGroupsRequest, ListOffsetsRequest, OffsetCommitRequest,
    OffsetDeleteRequest, OffsetFetchRequest, TopicName,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Offsets by topic and partition.
pub type OffsetsByPartition = BTreeMap<(String, PartitionIndex), Offset>;

/// Which protocol a group is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupType {
    /// JoinGroup and SyncGroup.
    Classic,
    /// KIP-848.
    Consumer,
    /// KIP-932.
    Share,
    /// Another, by the name that the broker gives it.
    Other(String),
}

/// A group in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupListing {
    /// Its name.
    pub group_id: String,
    /// Which protocol it is of.
    pub group_type: GroupType,
    /// In Kafka's words: Stable, Empty, PreparingRebalance and so on.
    pub state: String,
    /// What its members are: `consumer`, or empty where only offsets were committed.
    pub protocol_type: String,
}

/// A group with its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDescription {
    /// Its name.
    pub group_id: String,
    /// Which protocol it is of.
    pub group_type: GroupType,
    /// In Kafka's words.
    pub state: String,
    /// How partitions are assigned: `range`, `uniform` and so on; empty without members.
    pub assignor: String,
    /// The group's epoch; classic groups do not tell their generation.
    pub group_epoch: Option<i32>,
    /// In order of their ids.
    pub members: Vec<GroupMember>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    /// The id that the coordinator knows it by.
    pub member_id: String,
    /// The name that a static member gave itself (KIP-345).
    pub group_instance_id: Option<String>,
    /// What its client calls itself.
    pub client_id: String,
    /// Where it is, as the coordinator sees it.
    pub client_host: String,
    /// The member's epoch; classic groups do not tell their generation.
    pub member_epoch: Option<i32>,
    /// What it reads.
    pub assigned: BTreeMap<String, Vec<PartitionIndex>>,
}

/// Where a group goes on reading a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next offset to be read.
    pub offset: Offset,
    /// The leader's epoch when it was read, -1 when unknown.
    pub leader_epoch: i32,
    /// What the consumer noted with it.
    pub metadata: String,
}

/// Who commits when nobody is in the group.
const NO_GENERATION: i32 = -1;

impl GroupType {
    /// As ListGroups has it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            GroupType::Classic => "classic",
            GroupType::Consumer => "consumer",
            GroupType::Share => "share",
            GroupType::Other(name) => name,
        }
    }

    /// Brokers before KIP-848 name no type: theirs are classic.
    fn from_name(name: &str) -> GroupType {
        match name.to_ascii_lowercase().as_str() {
            "" | "classic" => GroupType::Classic,
            "consumer" => GroupType::Consumer,
            "share" => GroupType::Share,
            _ => GroupType::Other(name.to_owned()),
        }
    }
}

impl Admin {
    /// All groups of all brokers, in order of their names.
    pub async fn list_groups(&self) -> Result<Vec<GroupListing>, ClientError> {
        let mut groups = BTreeMap::new();
        for broker in self.cluster.brokers() {
            let connection = self.cluster.broker(broker.broker_id).await?;
            let answer = connection.call(&ListGroupsRequest::default()).await?;
            ClientError::check(answer.error_code, None, || "list of groups".to_owned())?;
            for group in answer.groups {
                let listing = GroupListing {
                    group_id: group.group_id.to_string(),
                    group_type: GroupType::from_name(&group.group_type),
                    state: group.group_state.to_string(),
                    protocol_type: group.protocol_type.to_string(),
                };
                groups.insert(listing.group_id.clone(), listing);
            }
        }
        Ok(groups.into_values().collect())
    }

    /// Which broker coordinates a group.
    pub async fn group_coordinator(&self, group: &str) -> Result<BrokerId, ClientError> {
        Coordinator::new(&self.cluster, group).broker_id().await
    }

    /// All offsets that a group has committed; of a group that does not exist there are none.
    pub async fn committed_offsets(
        &self,
        group: &str,
    ) -> Result<BTreeMap<(String, PartitionIndex), CommittedOffset>, ClientError> {
        committed_offsets(&Coordinator::new(&self.cluster, group), Pending::Ignored).await
    }

    /// Sets offsets of a group that has no members.
    pub async fn commit_offsets(&self, group: &str, offsets: &OffsetsByPartition) -> Result<(), ClientError> {
        let coordinator = Coordinator::new(&self.cluster, group);
        let request = offset_commit(group, offsets).with_generation_id_or_member_epoch(NO_GENERATION);
        match commit(&coordinator, &request).await {
            Err(ClientError::Refused { code: ErrorCode::UnknownMemberId, .. }) => {
                Err(ClientError::GroupHasMembers { group: group.to_owned() })
            }
            outcome => outcome,
        }
    }

    /// Deletes a group without members, and its committed offsets.
    pub async fn delete_group(&self, group: &str) -> Result<(), ClientError> {
        let request = DeleteGroupsRequest::default().with_groups_names(vec![GroupId(text(group))]);
        let coordinator = Coordinator::new(&self.cluster, group);
        let code_of = |answer: &crate::wire::messages::DeleteGroupsResponse| {
            answer.results.first().map_or(0, |result| result.error_code)
        };
        let answer = coordinator.call(&request, Duration::ZERO, code_of).await?;
        refuse(group, code_of(&answer), || format!("delete group {group:?}"))
    }

    /// Forgets the committed offsets of partitions that no member of the group subscribes to.
    pub async fn delete_offsets(
        &self,
        group: &str,
        partitions: &BTreeSet<(String, PartitionIndex)>,
    ) -> Result<(), ClientError> {
        let mut by_topic: BTreeMap<&str, Vec<OffsetDeleteRequestPartition>> = BTreeMap::new();
        for (topic, partition) in partitions {
            let partition = OffsetDeleteRequestPartition::default().with_partition_index(partition.0);
            by_topic.entry(topic).or_default().push(partition);
        }
        let topics = by_topic.into_iter().map(|(topic, partitions)| {
            OffsetDeleteRequestTopic::default().with_name(TopicName(text(topic))).with_partitions(partitions)
        });
        let request =
            OffsetDeleteRequest::default().with_group_id(GroupId(text(group))).with_topics(topics.collect());
        let coordinator = Coordinator::new(&self.cluster, group);
        let answer = coordinator.call(&request, Duration::ZERO, |answer| answer.error_code).await?;
        refuse(group, answer.error_code, || format!("delete offsets of group {group:?}"))?;
        answer.topics.iter().try_for_each(|topic| {
            topic.partitions.iter().try_for_each(|result| {
                ClientError::check(result.error_code, None, || {
                    let (topic, partition) = (topic.name.as_str(), result.partition_index);
                    format!("delete offsets of group {group:?} in {topic}-{partition}")
                })
            })
        })
    }

    /// The first readable offset of each partition of those `topics` that exist; partitions that cannot tell are
    /// left out.
    pub async fn start_offsets_of(
        &self,
        topics: &BTreeSet<String>,
    ) -> Result<OffsetsByPartition, ClientError> {
        self.offsets_of(topics, EARLIEST).await
    }

    /// The end of each partition of those `topics` that exist; partitions that cannot tell are left out.
    pub async fn end_offsets_of(&self, topics: &BTreeSet<String>) -> Result<OffsetsByPartition, ClientError> {
        self.offsets_of(topics, LATEST).await
    }

    /// The first offset that is not before `time`, of each partition of those `topics` that exist; -1 where there
    /// is none. Partitions that cannot tell are left out.
    pub async fn offsets_of(
        &self,
        topics: &BTreeSet<String>,
        time: Timestamp,
    ) -> Result<OffsetsByPartition, ClientError> {
        let mut by_leader: BTreeMap<BrokerId, BTreeMap<String, Vec<ListOffsetsPartition>>> = BTreeMap::new();
        for topic in self.cluster.topics().await?.into_iter().filter(|topic| topics.contains(&topic.name)) {
            for partition in &topic.partitions {
                let Some(leader) = partition.leader else { continue };
                let wanted = ListOffsetsPartition::default()
                    .with_partition_index(partition.index.0)
                    .with_current_leader_epoch(-1)
                    .with_timestamp(time.get());
                by_leader.entry(leader).or_default().entry(topic.name.clone()).or_default().push(wanted);
            }
        }
        let mut offsets = OffsetsByPartition::new();
        for (leader, topics) in by_leader {
            let topics = topics.into_iter().map(|(topic, partitions)| {
                ListOffsetsTopic::default().with_name(TopicName(text(&topic))).with_partitions(partitions)
            });
            let request =
                ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(topics.collect());
            let answer = self.cluster.broker(leader).await?.call(&request).await?;
            for topic in answer.topics {
                let known = topic.partitions.iter().filter(|partition| partition.error_code == 0);
                offsets.extend(known.map(|partition| {
                    let place = (topic.name.to_string(), PartitionIndex(partition.partition_index));
                    (place, Offset(partition.offset))
                }));
            }
        }
        Ok(offsets)
    }
}

/// What to make of offsets that an open transaction will commit, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pending {
    /// What was committed before them counts.
    Ignored,
    /// They are an error (UNSTABLE_OFFSET_COMMIT) that passes.
    Refused,
}

/// What the group has committed.
pub(super) async fn committed_offsets(
    coordinator: &Coordinator,
    pending: Pending,
) -> Result<BTreeMap<(String, PartitionIndex), CommittedOffset>, ClientError> {
    let group = coordinator.key();
    let wanted = OffsetFetchRequestGroup::default()
        .with_group_id(GroupId(text(group)))
        .with_member_epoch(-1)
        .with_topics(None);
    let request = OffsetFetchRequest::default()
        .with_groups(vec![wanted])
        .with_require_stable(pending == Pending::Refused);
    let code_of = |answer: &crate::wire::messages::OffsetFetchResponse| {
        answer.groups.first().map_or(answer.error_code, |group| group.error_code)
    };
    let answer = coordinator.call(&request, Duration::ZERO, code_of).await?;
    match ErrorCode::try_from_code(code_of(&answer)) {
        Some(ErrorCode::GroupIdNotFound) => return Ok(BTreeMap::new()),
        _ => refuse(group, code_of(&answer), || format!("offsets of group {group:?}"))?,
    }
    let mut offsets = BTreeMap::new();
    for topic in answer.groups.iter().flat_map(|group| &group.topics) {
        for partition in &topic.partitions {
            let index = PartitionIndex(partition.partition_index);
            ClientError::check(partition.error_code, None, || {
                format!("offsets of group {group:?} in {}-{index}", topic.name.as_str())
            })?;
            if partition.committed_offset < 0 {
                continue;
            }
            let committed = CommittedOffset {
                offset: Offset(partition.committed_offset),
                leader_epoch: partition.committed_leader_epoch,
                metadata: partition.metadata.as_ref().map(ToString::to_string).unwrap_or_default(),
            };
            offsets.insert((topic.name.to_string(), index), committed);
        }
    }
    Ok(offsets)
}

/// An OffsetCommit of these offsets, by nobody in particular yet.
pub(super) fn offset_commit(group: &str, offsets: &OffsetsByPartition) -> OffsetCommitRequest {
    let mut by_topic: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
    for ((topic, partition), offset) in offsets {
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(partition.0)
            .with_committed_offset(offset.get())
            .with_committed_leader_epoch(-1)
            .with_committed_metadata(Some(text("")));
        by_topic.entry(topic).or_default().push(partition);
    }
    let topics = by_topic.into_iter().map(|(topic, partitions)| {
        OffsetCommitRequestTopic::default().with_name(TopicName(text(topic))).with_partitions(partitions)
    });
    OffsetCommitRequest::default().with_group_id(GroupId(text(group))).with_topics(topics.collect())
}

/// Commits; the first partition that was refused is the error.
pub(super) async fn commit(
    coordinator: &Coordinator,
    request: &OffsetCommitRequest,
) -> Result<(), ClientError> {
    let group = coordinator.key();
    let code_of = |answer: &crate::wire::messages::OffsetCommitResponse| {
        let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.find_map(|partition| Some(partition.error_code).filter(|code| *code != 0)).unwrap_or(0)
    };
    let answer = coordinator.call(request, Duration::ZERO, code_of).await?;
    for topic in &answer.topics {
        for partition in &topic.partitions {
            let (topic, index) = (topic.name.as_str(), partition.partition_index);
            ClientError::check(partition.error_code, None, || {
                format!("commit of group {group:?} in {topic}-{index}")
            })?;
        }
    }
    Ok(())
}

/// The refusals that have words of their own, and the others.
fn refuse(group: &str, code: i16, what: impl FnOnce() -> String) -> Result<(), ClientError> {
    match ErrorCode::try_from_code(code) {
        Some(ErrorCode::GroupIdNotFound) => Err(ClientError::UnknownGroup { group: group.to_owned() }),
        Some(ErrorCode::NonEmptyGroup) => Err(ClientError::GroupHasMembers { group: group.to_owned() }),
        _ => ClientError::check(code, None, what),
    }
}
