//! What each request does to a group.

use super::call::{
    Call, CommitKind, CommitOffsets, DeleteOffsets, FetchOffsets, FetchedOffset, FetchedOffsets, Reply,
};
use super::classic::{JoinRefused, JoinRequest, Joined};
use super::consumer::{self, HeartbeatAnswer};
use super::kept::{Core, KeptGroup};
use super::mixed::{self, At};
use super::offsets::TopicOffsets;
use super::producers::{EndAdmission, EndOffsets, ProducerFault};
use super::share::{SHARE_LEAVE_EPOCH, ShareGroup, ShareHeartbeatAnswer, ShareHeartbeatRequest};
use super::summary::ClassicDescription;
use super::task::{GroupTask, Waiting};
use super::{GroupError, migrate};
use crate::types::{Timestamp, TopicName, TopicPartition};
use std::time::Duration;

/// What is stored of one topic's offsets, in bytes; the metadata store takes a little more in one write.
const OFFSETS_BYTES_MAX: usize = 1 << 20;

impl GroupTask {
    /// Does what is asked, and has the answer wait for the store.
    pub(super) fn on_call(&mut self, group: &mut KeptGroup, call: Call) {
        let now = self.now();
        match call {
            Call::Join(request, reply) => self.join(group, request, reply),
            Call::Sync(request, reply) => match &mut group.core {
                Core::Classic(classic) => classic.on_sync(self.ticket(Waiting::Sync(reply)), request, now),
                Core::Consumer(consumers) => {
                    let answer = mixed::sync(consumers, now, request);
                    self.answer(reply, answer);
                }
                Core::Share(_) => self.answer(reply, Err(GroupError::UnknownMemberId)),
            },
            Call::Heartbeat(request, reply) => match &mut group.core {
                Core::Classic(classic) => {
                    classic.on_heartbeat(self.ticket(Waiting::Heartbeat(reply)), &request, now);
                }
                Core::Consumer(consumers) => {
                    let answer = mixed::heartbeat(consumers, now, request);
                    self.answer(reply, answer);
                }
                Core::Share(_) => self.answer(reply, Err(GroupError::UnknownMemberId)),
            },
            Call::Leave(request, reply) => match &mut group.core {
                Core::Classic(classic) => classic.on_leave(self.ticket(Waiting::Leave(reply)), request, now),
                Core::Consumer(consumers) => {
                    let answer = mixed::leave(consumers, now, request);
                    self.answer(reply, Ok(answer));
                }
                Core::Share(_) => self.answer(reply, Err(GroupError::UnknownMemberId)),
            },
            Call::ConsumerHeartbeat(request, reply) => {
                let mut answer = self.consumer_heartbeat(group, &request);
                if let Ok(answer) = &mut answer {
                    answer.heartbeat_interval = self.paced("consumer", answer.heartbeat_interval);
                }
                self.answer(reply, answer);
            }
            Call::ShareHeartbeat(request, reply) => {
                let mut answer = self.share_heartbeat(group, &request);
                if let Ok(answer) = &mut answer {
                    answer.heartbeat_interval = self.paced("share", answer.heartbeat_interval);
                }
                self.answer(reply, answer);
            }
            Call::Commit(request, reply) => {
                let answer = self.commit(group, request);
                self.answer(reply, answer);
            }
            Call::EndTransaction(end, reply) => {
                let answer = self.end_transaction(group, &end);
                self.answer(reply, answer);
            }
            Call::Fetch(request, reply) => {
                self.tells_offsets = true;
                let answer = fetch(group, &request);
                self.answer(reply, answer);
            }
            Call::DeleteOffsets(request, reply) => {
                let answer = delete_offsets(group, request);
                self.answer(reply, answer);
            }
            Call::Delete(_, reply) => {
                let answer = check_delete(group).map(|()| group.delete(&self.shared.config));
                self.answer(reply, answer);
            }
            Call::Describe(_, reply) => self.answer(reply, Ok(describe(group))),
            Call::DescribeConsumer(_, reply) => {
                let view = match &group.core {
                    Core::Consumer(consumers) if group.exists() => Some(consumers.describe()),
                    _ => None,
                };
                self.answer(reply, Ok(view));
            }
            Call::HasShareMember(request, reply) => {
                let is_there = matches!(&group.core, Core::Share(share) if share.has_member(&request.0));
                self.answer(reply, Ok(is_there));
            }
            Call::DescribeShare(_, reply) => {
                self.tells_offsets = true;
                let view = match &group.core {
                    Core::Share(share) => Some(share.describe()),
                    _ => None,
                };
                self.answer(reply, Ok(view));
            }
            Call::Summarize(_, reply) => {
                let summary = group.exists().then(|| group.summary());
                self.answer(reply, Ok(summary));
            }
            Call::Expire(_, reply) => {
                self.expire(group);
                self.answer(reply, Ok(()));
            }
        }
    }

    fn join(
        &mut self,
        group: &mut KeptGroup,
        request: JoinRequest,
        reply: Reply<Result<Joined, JoinRefused>>,
    ) {
        if let Err(error) = self.make_classic_if_empty(group) {
            return self.answer(reply, Err(error));
        }
        let now = self.now();
        match &mut group.core {
            Core::Classic(classic) => classic.on_join(self.ticket(Waiting::Join(reply)), request, now),
            Core::Consumer(consumers) => {
                let topics = self.shared.topics.borrow().clone();
                let at = At { now, topics: &topics, config: &self.shared.config.classic };
                let answer = mixed::join(consumers, &at, request);
                self.answer(reply, Ok(answer));
            }
            Core::Share(_) => self.answer(reply, Err(GroupError::InconsistentGroupProtocol)),
        }
    }

    /// Who joins makes a classic group one of the consumer protocol, if it may join it then.
    fn consumer_heartbeat(
        &mut self,
        group: &mut KeptGroup,
        request: &consumer::HeartbeatRequest,
    ) -> Result<HeartbeatAnswer, GroupError> {
        let (now, topics) = (self.now(), self.shared.topics.borrow().clone());
        let classic = match &mut group.core {
            Core::Consumer(consumers) => return consumers.heartbeat(now, request, &topics),
            Core::Classic(classic) => classic,
            Core::Share(_) => return Err(GroupError::GroupIdNotFound),
        };
        if request.member_epoch != consumer::JOIN_EPOCH {
            let exists = group.exists();
            return Err(if exists { GroupError::GroupIdNotFound } else { GroupError::UnknownMemberId });
        }
        let mut upgraded = migrate::upgrade(classic, &self.config(), now, &topics)?;
        let answer = upgraded.heartbeat(now, request, &topics)?;
        self.upgrade(group, upgraded);
        Ok(answer)
    }

    /// When a member's next heartbeat is due: as an operator has set it for the group, or as the broker can bear it.
    fn paced(&self, protocol: &str, interval: Duration) -> Duration {
        let overrides = self.shared.settings.overrides(&self.group_id);
        let is_set = overrides.contains_key(&format!("{protocol}.heartbeat.interval.ms"));
        if is_set { interval } else { self.shared.paced.interval(interval) }
    }

    /// A group that nobody has used yet becomes a share group with its first member.
    fn share_heartbeat(
        &mut self,
        group: &mut KeptGroup,
        request: &ShareHeartbeatRequest,
    ) -> Result<ShareHeartbeatAnswer, GroupError> {
        let (now, topics) = (self.now(), self.shared.topics.borrow().clone());
        if let Core::Share(share) = &mut group.core {
            let answer = share.heartbeat(now, request, &topics)?;
            if request.member_epoch == SHARE_LEAVE_EPOCH {
                self.gone.push(request.member_id.clone());
            }
            return Ok(answer);
        }
        if group.exists() {
            return Err(GroupError::GroupIdNotFound);
        }
        let mut share = ShareGroup::new(self.config().share);
        let answer = share.heartbeat(now, request, &topics)?;
        group.replace_core(Core::Share(Box::new(share)));
        Ok(answer)
    }

    fn commit(&self, group: &mut KeptGroup, request: CommitOffsets) -> Result<(), GroupError> {
        let partitions: Vec<TopicPartition> = request
            .offsets
            .iter()
            .map(|(topic_id, partition, _)| TopicPartition { topic_id: *topic_id, partition: *partition })
            .collect();
        check_commit(group, &request, &partitions)?;
        let mut bytes = std::collections::BTreeMap::new();
        for (topic_id, _, committed) in &request.offsets {
            let known = || group.offsets(*topic_id).map_or(0, TopicOffsets::bytes);
            *bytes.entry(*topic_id).or_insert_with(known) += committed.bytes();
        }
        if bytes.values().any(|bytes| *bytes > OFFSETS_BYTES_MAX) {
            return Err(GroupError::InvalidCommitOffsetSize);
        }
        for (topic_id, partition, committed) in request.offsets {
            let offsets = group.offsets_mut(topic_id);
            match request.kind {
                CommitKind::Plain { .. } => offsets.commit(partition, committed),
                CommitKind::Transactional { producer_id, ordinal, .. } => {
                    offsets.pend(producer_id, ordinal, partition, committed);
                }
            }
        }
        if let (Core::Classic(classic), CommitKind::Plain { .. }) = (&mut group.core, request.kind) {
            classic.on_offset_commit(&request.by.member_id, self.now());
        }
        Ok(())
    }

    /// The marker of a transaction: its offsets count, or go; and what comes late of it changes nothing.
    fn end_transaction(&self, group: &mut KeptGroup, end: &EndOffsets) -> Result<(), GroupError> {
        let open = group.pending_of(end.producer_id);
        match group.producers.check_end(end, open).map_err(of_producer)? {
            EndAdmission::Repeated => {}
            EndAdmission::New => {
                group.change_offsets(|_, offsets| offsets.end(end.producer_id, end.ordinal, end.verdict));
                group.producers.record(end, self.shared.clock.now());
                group.producers_dirty = true;
            }
        }
        Ok(())
    }

    /// Offsets live on for a while after their group is empty; those of tools that commit without a group, after their
    /// commit. With its last offset an empty group goes. A share group stays until it is deleted, as in Apache Kafka.
    fn expire(&self, group: &mut KeptGroup) {
        let retention = i64::try_from(self.shared.config.offsets_retention.as_millis()).unwrap_or(i64::MAX);
        let before = self.shared.clock.now().0.saturating_sub(retention);
        let is_share = matches!(group.core, Core::Share(_));
        if is_share || !group.core.is_empty() || !group.exists() {
            return;
        }
        if group.empty_since.is_none_or(|since| since.0 < before) {
            group.change_offsets(|_, offsets| offsets.expire(Timestamp(before)));
        }
        if group.all_offsets().all(|(_, offsets)| offsets.is_empty()) {
            group.delete(&self.shared.config);
        }
    }
}

fn check_commit(
    group: &KeptGroup,
    request: &CommitOffsets,
    partitions: &[TopicPartition],
) -> Result<(), GroupError> {
    let by = &request.by;
    if let CommitKind::Transactional { producer_id, producer_epoch, ordinal } = request.kind {
        let open = group.pending_of(producer_id);
        let checked = group.producers.check_offsets(producer_id, producer_epoch, ordinal, open);
        checked.map_err(of_producer)?;
    }
    if !group.exists() && by.generation_id >= 0 {
        return Err(GroupError::IllegalGeneration);
    }
    match (&group.core, request.kind) {
        (Core::Classic(classic), CommitKind::Plain { .. }) => classic.check_offset_commit(by),
        (Core::Classic(classic), CommitKind::Transactional { .. }) => classic.check_txn_offset_commit(by),
        (Core::Consumer(consumers), kind) => {
            let kind = match kind {
                CommitKind::Plain { api_version } => consumer::CommitKind::OffsetCommit { api_version },
                CommitKind::Transactional { .. } => consumer::CommitKind::Transactional,
            };
            let instance = by.group_instance_id.as_ref();
            consumers.check_offset_commit(kind, &by.member_id, by.generation_id, instance, partitions)
        }
        (Core::Share(_), _) => Err(GroupError::GroupIdNotFound),
    }
}

fn of_producer(fault: ProducerFault) -> GroupError {
    match fault {
        ProducerFault::Fenced | ProducerFault::Stale => GroupError::InvalidProducerEpoch,
        ProducerFault::Concurrent => GroupError::ConcurrentTransactions,
        ProducerFault::Ended => GroupError::TransactionEnded,
    }
}

fn fetch(group: &KeptGroup, request: &FetchOffsets) -> Result<FetchedOffsets, GroupError> {
    check_fetch(group, request)?;
    let look = |offsets: Option<&TopicOffsets>, partition| match offsets {
        Some(offsets) if request.require_stable && offsets.is_unstable(partition) => FetchedOffset::Unstable,
        Some(offsets) => {
            offsets.get(partition).cloned().map_or(FetchedOffset::None, FetchedOffset::Committed)
        }
        None => FetchedOffset::None,
    };
    if let Some(wanted) = &request.wanted {
        let found = wanted
            .iter()
            .map(|(topic_id, partition)| (*topic_id, *partition, look(group.offsets(*topic_id), *partition)));
        return Ok(found.collect());
    }
    let all = group.all_offsets().flat_map(|(topic_id, offsets)| {
        offsets.partitions().map(move |partition| (topic_id, partition, look(Some(offsets), partition)))
    });
    Ok(all.filter(|(_, _, found)| *found != FetchedOffset::None).collect())
}

/// Members of a classic group are not asked who they are, as in Apache Kafka: some clients fill the fields in anyway.
fn check_fetch(group: &KeptGroup, request: &FetchOffsets) -> Result<(), GroupError> {
    match &group.core {
        Core::Consumer(consumers) => {
            let partitions = request.wanted.as_ref().map(|wanted| {
                let wanted = wanted.iter();
                wanted.map(|(topic_id, partition)| TopicPartition {
                    topic_id: *topic_id,
                    partition: *partition,
                })
            });
            let partitions: Option<Vec<_>> = partitions.map(Iterator::collect);
            let (member_id, epoch) = (request.member_id.as_ref(), request.member_epoch);
            consumers.check_offset_fetch(member_id, epoch, partitions.as_deref())
        }
        Core::Classic(_) => Ok(()),
        Core::Share(_) => Err(GroupError::GroupIdNotFound),
    }
}

fn delete_offsets(
    group: &mut KeptGroup,
    request: DeleteOffsets,
) -> Result<Vec<Result<(), GroupError>>, GroupError> {
    if !group.exists() {
        return Err(GroupError::GroupIdNotFound);
    }
    match &group.core {
        Core::Classic(classic) => classic.check_offset_delete()?,
        Core::Consumer(_) => {}
        Core::Share(_) => return Err(GroupError::GroupIdNotFound),
    }
    let mut delete = |(name, topic_id, partition): (TopicName, _, _)| {
        let subscribed = match &group.core {
            Core::Classic(classic) => !classic.is_empty() && classic.is_subscribed(name.as_str()),
            Core::Consumer(consumers) => consumers.subscribed_to(&name),
            Core::Share(share) => share.subscribed_to(&name),
        };
        if subscribed {
            return Err(GroupError::GroupSubscribedToTopic);
        }
        if group.offsets(topic_id).is_some() {
            group.offsets_mut(topic_id).delete(partition);
        }
        Ok(())
    };
    Ok(request.partitions.into_iter().map(&mut delete).collect())
}

fn check_delete(group: &KeptGroup) -> Result<(), GroupError> {
    if !group.exists() {
        return Err(GroupError::GroupIdNotFound);
    }
    match &group.core {
        Core::Classic(classic) => classic.check_delete(),
        Core::Consumer(consumers) => consumers.check_deletion(),
        Core::Share(share) => share.check_deletion(),
    }
}

fn describe(group: &KeptGroup) -> Option<ClassicDescription> {
    let Core::Classic(classic) = &group.core else { return None };
    group.exists().then(|| ClassicDescription {
        state: classic.state_name(),
        protocol_type: classic.protocol_type().unwrap_or_default().to_owned(),
        protocol_name: classic.protocol_name().unwrap_or_default().to_owned(),
        members: classic.members(),
    })
}
