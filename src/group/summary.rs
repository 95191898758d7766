//! A group as lists and descriptions show it.

use super::GroupId;
use super::classic::MemberView;
use super::stored::{StoredCore, StoredGroup};

/// Kafka's name of a group's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupType {
    /// JoinGroup and SyncGroup.
    Classic,
    /// KIP-848.
    Consumer,
    /// KIP-932.
    Share,
}

impl GroupType {
    /// As ListGroups has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            GroupType::Classic => "classic",
            GroupType::Consumer => "consumer",
            GroupType::Share => "share",
        }
    }
}

/// A group in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSummary {
    /// Its name.
    pub group_id: GroupId,
    /// Which protocol it is of.
    pub group_type: GroupType,
    /// What its members are; `consumer` for consumers, `share` for those of share groups, empty where only offsets were committed.
    pub protocol_type: String,
    /// Its state, in Kafka's words.
    pub state: &'static str,
}

/// A classic group in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicDescription {
    /// Its state, in Kafka's words.
    pub state: &'static str,
    /// What its members are.
    pub protocol_type: String,
    /// The assignor that they agreed on.
    pub protocol_name: String,
    /// They.
    pub members: Vec<MemberView>,
}

impl GroupSummary {
    /// As a group that is not at hand was stored last.
    pub(super) fn of_stored(stored: &StoredGroup) -> GroupSummary {
        let (group_type, protocol_type, state) = match &stored.core {
            StoredCore::Classic(classic) => {
                let state = if classic.members.is_empty() { "Empty" } else { "Stable" };
                (GroupType::Classic, classic.protocol_type.clone().unwrap_or_default(), state)
            }
            StoredCore::Consumer(consumer) => {
                let state = if consumer.is_empty() { "Empty" } else { "Stable" };
                (GroupType::Consumer, "consumer".to_owned(), state)
            }
            StoredCore::Share(share) => {
                let state = if share.is_empty() { "Empty" } else { "Stable" };
                (GroupType::Share, "share".to_owned(), state)
            }
        };
        GroupSummary { group_id: GroupId::new(&stored.name), group_type, protocol_type, state }
    }
}
