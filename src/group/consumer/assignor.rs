//! The server-side assignors: who shall own what. Pure functions of the members and the topics.

use super::partitions::PartitionSet;
use super::{range, uniform};
use crate::group::{GroupInstanceId, MemberId};
use crate::types::TopicId;
use std::collections::{BTreeMap, BTreeSet};

/// The assignors a member may ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Assignor {
    /// Everybody the same number of partitions, and as few moves as that allows.
    #[default]
    Uniform,
    /// Neighbouring partitions of each topic, the same numbers of each topic where topics are alike.
    Range,
}

/// A member as the assignors see it.
#[derive(Clone, Debug)]
pub struct AssignorMember<'a> {
    /// Who it is.
    pub member_id: &'a MemberId,
    /// Who it is over restarts.
    pub instance_id: Option<&'a GroupInstanceId>,
    /// What it subscribes to, of topics that exist.
    pub subscribed: &'a BTreeSet<TopicId>,
    /// What was meant for it so far.
    pub target: &'a PartitionSet,
}

impl Assignor {
    /// Kafka's name of it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Assignor::Uniform => "uniform",
            Assignor::Range => "range",
        }
    }

    /// The assignor of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Assignor> {
        [Assignor::Uniform, Assignor::Range].into_iter().find(|assignor| assignor.name() == name)
    }

    /// What each of `members` shall own, in their order. `topics` has the number of partitions of every topic that
    /// is subscribed to. Each partition of it goes to exactly one of its subscribers.
    #[must_use]
    pub fn assign(
        self,
        members: &[AssignorMember<'_>],
        topics: &BTreeMap<TopicId, i32>,
    ) -> Vec<PartitionSet> {
        match self {
            Assignor::Uniform => uniform::assign(members, topics),
            Assignor::Range => range::assign(members, topics),
        }
    }
}
