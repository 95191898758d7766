//! One member of a consumer group: what it said of itself, what it holds, what it shall hold, and its two timers.

use super::assignor::{Assignor, AssignorMember};
use super::embedded::ClassicProtocol;
use super::group::ConsumerGroupConfig;
use super::partitions::PartitionSet;
use super::reconcile::{Goal, Holding, MemberState};
use super::request::{HeartbeatRequest, STATIC_LEAVE_EPOCH};
use super::subscription::{SubscribedIds, Subscription};
use crate::group::{GroupError, GroupInstanceId, MemberId};
use crate::types::Moment;
use std::time::Duration;

/// What a member says of itself; a heartbeat may change any of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Profile {
    pub(super) instance_id: Option<GroupInstanceId>,
    pub(super) rack_id: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) rebalance_timeout: Duration,
    pub(super) assignor: Option<Assignor>,
    pub(super) subscription: Subscription,
    /// Of a member of the classic protocol.
    pub(super) classic: Option<ClassicProfile>,
}

/// What only members of the classic protocol say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClassicProfile {
    pub(super) session_timeout: Duration,
    pub(super) protocols: Vec<ClassicProtocol>,
}

/// A member.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) profile: Profile,
    pub(super) subscribed: SubscribedIds,
    pub(super) target: PartitionSet,
    pub(super) holding: Holding,
    /// It is gone if nothing is heard of it until then.
    pub(super) session_deadline: Moment,
    /// It is gone if it has not given up partitions until then.
    pub(super) revoke_deadline: Option<Moment>,
    /// Of a classic member: it is gone if it has not joined again, or not synced, until then.
    pub(super) rejoin_deadline: Option<Moment>,
}

impl Profile {
    /// What it is after `request`, of a member that was `before` or is new.
    pub(super) fn after(before: Option<&Profile>, request: &HeartbeatRequest) -> Result<Profile, GroupError> {
        let old = before.map(|before| before.subscription.clone()).unwrap_or_default();
        let regex = match &request.subscribed_topic_regex {
            None => old.regex,
            Some(regex) => Some(regex.clone()).filter(|regex| !regex.is_empty()),
        };
        let names = request.subscribed_topic_names.clone().unwrap_or(old.names);
        let rebalance_timeout = request.rebalance_timeout.or(before.map(|before| before.rebalance_timeout));
        Ok(Profile {
            instance_id: request.instance_id.clone().or_else(|| before?.instance_id.clone()),
            rack_id: request.rack_id.clone().or_else(|| before?.rack_id.clone()),
            client_id: request.client_id.clone(),
            client_host: request.client_host.clone(),
            rebalance_timeout: rebalance_timeout.unwrap_or(REBALANCE_TIMEOUT),
            assignor: request.assignor()?.or_else(|| before?.assignor),
            subscription: Subscription { names, regex },
            classic: None,
        })
    }

    /// About how many bytes it takes where it is stored, without the subscription: equal ones are stored once.
    pub(super) fn stored_bytes(&self) -> usize {
        let instance_id = self.instance_id.as_ref().map_or(0, |id| id.as_str().len());
        let rack_id = self.rack_id.as_ref().map_or(0, String::len);
        let classic = self.classic.iter().flat_map(|classic| &classic.protocols);
        let classic: usize =
            classic.map(|protocol| protocol.name.len() + 2 * protocol.metadata.len() + 8).sum();
        FIELD_NAMES_BYTES + instance_id + rack_id + self.client_id.len() + self.client_host.len() + classic
    }

    /// How long it may be silent: classic members say it themselves.
    pub(super) fn session_timeout(&self, config: &ConsumerGroupConfig) -> Duration {
        self.classic.as_ref().map_or(config.session_timeout, |classic| classic.session_timeout)
    }
}

impl Member {
    /// Somebody who holds nothing yet.
    pub(super) fn new(profile: Profile, session_deadline: Moment) -> Member {
        Member {
            profile,
            subscribed: SubscribedIds::default(),
            target: PartitionSet::new(),
            holding: Holding::default(),
            session_deadline,
            revoke_deadline: None,
            rejoin_deadline: None,
        }
    }

    /// Whether it is a static member that went and means to come back.
    pub(super) fn is_away(&self) -> bool {
        self.holding.member_epoch == STATIC_LEAVE_EPOCH
    }

    /// Whether the group waits for it. A member that is away owns nothing that others could wait for.
    pub(super) fn is_settled(&self, assignment_epoch: i32) -> bool {
        self.is_away() || self.holding.is_at(assignment_epoch)
    }

    /// Where it shall come to.
    pub(super) fn goal(&self, assignment_epoch: i32) -> Goal<'_> {
        Goal { assignment_epoch, target: &self.target, subscribed: &self.subscribed }
    }

    /// The view of the assignors.
    pub(super) fn for_assignor<'a>(&'a self, member_id: &'a MemberId) -> AssignorMember<'a> {
        AssignorMember {
            member_id,
            instance_id: self.profile.instance_id.as_ref(),
            subscribed: &self.subscribed,
            target: &self.target,
        }
    }

    /// Its next deadline.
    pub(super) fn deadline(&self) -> Moment {
        let others = self.revoke_deadline.into_iter().chain(self.rejoin_deadline);
        others.fold(self.session_deadline, Moment::min)
    }

    /// Takes the new holding. Classic members have their time to join again instead; for others the time to give something up begins when the member is told to.
    pub(super) fn hold(&mut self, now: Moment, holding: Holding) {
        let begins = self.profile.classic.is_none()
            && holding.state == MemberState::UnrevokedPartitions
            && (self.revoke_deadline.is_none() || self.holding.revoking != holding.revoking);
        if begins {
            self.revoke_deadline = Some(now + self.profile.rebalance_timeout);
        } else if holding.state != MemberState::UnrevokedPartitions {
            self.revoke_deadline = None;
        }
        self.holding = holding;
    }
}

/// Every member that joins says its own; this is for what was stored without one.
const REBALANCE_TIMEOUT: Duration = Duration::from_secs(300);
/// What the names of the stored fields and the numbers take.
const FIELD_NAMES_BYTES: usize = 256;
