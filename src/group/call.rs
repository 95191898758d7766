//! What handlers ask of a group's task, and how it answers.

use super::classic::{
    CommitIdentity, HeartbeatRequest, JoinRefused, JoinRequest, Joined, LeaveAnswer, LeaveRequest,
    SyncRequest, Synced,
};
use super::consumer;
use super::offsets::CommittedOffset;
use super::producers::EndOffsets;
use super::share::{ShareGroupView, ShareHeartbeatAnswer, ShareHeartbeatRequest};
use super::summary::{ClassicDescription, GroupSummary};
use super::{GroupError, MemberId};
use crate::types::{PartitionIndex, ProducerEpoch, ProducerId, TopicId, TopicName, TransactionOrdinal};
use std::collections::BTreeMap;
use tokio::sync::oneshot;

/// Where one answer goes. Dropped without an answer it says that the coordinator is not available.
#[derive(Debug)]
pub struct Reply<T>(oneshot::Sender<Result<T, GroupError>>);

impl<T> Reply<T> {
    pub(super) fn new(sender: oneshot::Sender<Result<T, GroupError>>) -> Reply<T> {
        Reply(sender)
    }

    pub(super) fn send(self, answer: Result<T, GroupError>) {
        // Whoever asked may have gone away.
        let _gone = self.0.send(answer);
    }
}

/// A request that one group answers.
pub trait CallOf: Sized {
    /// What it answers.
    type Answer;
    /// Puts it into the group's mailbox form.
    fn call(self, reply: Reply<Self::Answer>) -> Call;
}

macro_rules! calls {
    ($($(#[$doc:meta])* $request:ident($inner:ty) -> $answer:ty;)*) => {
        /// A request in a group's mailbox.
        #[derive(Debug)]
        pub enum Call {
            $($(#[$doc])* $request($inner, Reply<$answer>),)*
        }

        $(impl CallOf for $inner {
            type Answer = $answer;

            fn call(self, reply: Reply<$answer>) -> Call {
                Call::$request(self, reply)
            }
        })*
    };
}

calls! {
    /// JoinGroup.
    Join(JoinRequest) -> Result<Joined, JoinRefused>;
    /// SyncGroup.
    Sync(SyncRequest) -> Synced;
    /// Heartbeat.
    Heartbeat(HeartbeatRequest) -> ();
    /// LeaveGroup.
    Leave(LeaveRequest) -> Vec<LeaveAnswer>;
    /// ConsumerGroupHeartbeat.
    ConsumerHeartbeat(consumer::HeartbeatRequest) -> consumer::HeartbeatAnswer;
    /// ShareGroupHeartbeat.
    ShareHeartbeat(ShareHeartbeatRequest) -> ShareHeartbeatAnswer;
    /// OffsetCommit and TxnOffsetCommit.
    Commit(CommitOffsets) -> ();
    /// The end of a transaction that has offsets of this group.
    EndTransaction(EndOffsets) -> ();
    /// OffsetFetch.
    Fetch(FetchOffsets) -> FetchedOffsets;
    /// OffsetDelete.
    DeleteOffsets(DeleteOffsets) -> Vec<Result<(), GroupError>>;
    /// DeleteGroups.
    Delete(Delete) -> ();
    /// DescribeGroups.
    Describe(Describe) -> Option<ClassicDescription>;
    /// ConsumerGroupDescribe.
    DescribeConsumer(DescribeConsumer) -> Option<consumer::ConsumerGroupView>;
    /// Whether somebody who fetches is in the share group.
    HasShareMember(HasShareMember) -> bool;
    /// ShareGroupDescribe.
    DescribeShare(DescribeShare) -> Option<ShareGroupView>;
    /// ListGroups.
    Summarize(Summarize) -> Option<GroupSummary>;
    /// Time has passed: offsets that nobody needs any more go.
    Expire(Expire) -> ();
}

/// Offsets to commit, all of them or none.
#[derive(Debug)]
pub struct CommitOffsets {
    /// Who commits.
    pub by: CommitIdentity,
    /// How it came.
    pub kind: CommitKind,
    /// What.
    pub offsets: Vec<(TopicId, PartitionIndex, CommittedOffset)>,
}

/// How offsets come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitKind {
    /// By OffsetCommit of that version.
    Plain {
        /// The version.
        api_version: i16,
    },
    /// By TxnOffsetCommit: they count once the producer's transaction is committed.
    Transactional {
        /// The producer.
        producer_id: ProducerId,
        /// Its epoch.
        producer_epoch: ProducerEpoch,
        /// Which of its transactions, as its coordinator says.
        ordinal: TransactionOrdinal,
    },
}

/// Offsets to fetch.
#[derive(Debug)]
pub struct FetchOffsets {
    /// The member that asks (KIP-848); tools have none.
    pub member_id: Option<MemberId>,
    /// Its epoch, -1 without one.
    pub member_epoch: i32,
    /// Which; none: all that are committed.
    pub wanted: Option<Vec<(TopicId, PartitionIndex)>>,
    /// Whether an offset that an open transaction may replace is not to be told.
    pub require_stable: bool,
}

/// What is committed, in the order that was asked for.
pub type FetchedOffsets = Vec<(TopicId, PartitionIndex, FetchedOffset)>;

/// What is committed for a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchedOffset {
    /// Nothing.
    None,
    /// This.
    Committed(CommittedOffset),
    /// An open transaction may replace it.
    Unstable,
}

/// Offsets to forget, by partition.
#[derive(Debug)]
pub struct DeleteOffsets {
    /// Which, with the topic's name, by which members subscribe.
    pub partitions: Vec<(TopicName, TopicId, PartitionIndex)>,
}

/// The whole group is to go.
#[derive(Debug)]
pub struct Delete;

/// What a classic group is.
#[derive(Debug)]
pub struct Describe;

/// What a group of the consumer protocol is.
#[derive(Debug)]
pub struct DescribeConsumer;

/// Whether that member is in the share group.
#[derive(Debug)]
pub struct HasShareMember(pub MemberId);

/// What a share group is.
#[derive(Debug)]
pub struct DescribeShare;

/// The line of a list.
#[derive(Debug)]
pub struct Summarize;

/// Offsets older than the retention go, and with the last of them the group.
#[derive(Debug)]
pub struct Expire;

/// Offsets by topic, as a task keeps them.
pub(super) type ByTopic<T> = BTreeMap<TopicId, T>;
