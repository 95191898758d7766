//! `view`: the sessions that lead, and those that may have led and not yet stopped.
//!
//! ```text
//! {"v":1,"number":7,"placement":1,
//!  "members":[{"session":"0123456789abcdef0123456789abcdef","broker_id":1,"zone":"eu-1a","weight":2}],
//!  "earlier":[{"first":3,"number":5,"members":[…]},{"number":6,"members":[…]}]}
//! ```
//!
//! A zone that is not known and a weight of 1 are left out, and so is an empty `earlier`; without `placement` it is 1.
//! `earlier` has the views, oldest first, since the last one that every session concerned had acknowledged. One with
//! `first` stands for several, from that number to its own, and has the sessions that may have led anything in them.

use super::{BrokerIdNumber, DecodeKeyError, ViewNumberNumber, text};
use crate::hashing::HashSet;
use crate::meta::Entry;
use crate::types::{BrokerId, SessionId, ViewNumber};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::hash::Hash;

/// The key.
pub const KEY: &str = "view";

/// Members of a view, at most.
pub const MEMBERS_MAX: usize = 1_000;
/// Entries of `earlier`, at most.
pub const EARLIER_VIEWS_MAX: usize = 16;
/// Members of all entries of `earlier` together, at most. With a view of the greatest size and the longest zones the
/// value stays below what a transaction of the metadata store may carry.
pub const EARLIER_MEMBERS_MAX: usize = 4_000;
/// A member's weight, at most.
pub const WEIGHT_MAX: u8 = 100;
/// A zone's name in bytes, at most.
pub const ZONE_BYTES_MAX: usize = 64;

/// The value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Grows by one with every view.
    #[serde(with = "ViewNumberNumber")]
    pub number: ViewNumber,
    /// Which function of the members says who leads what, in this view and in those of `earlier`: whoever changes it puts
    /// all of those together. A broker that does not know it must leave.
    #[serde(default)]
    pub placement: PlacementNumber,
    /// Who may lead.
    pub members: Vec<Member>,
    /// Views of which a leader may not have stopped yet, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<EarlierView>,
}

/// The number of a function that says who leads what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlacementNumber(pub u32);

impl PlacementNumber {
    /// Rendezvous over broker ids, the best of `weight` draws each.
    pub const RENDEZVOUS: PlacementNumber = PlacementNumber(1);

    /// Whether this release can compute it.
    #[must_use]
    pub fn is_known(self) -> bool {
        self == PlacementNumber::RENDEZVOUS
    }
}

impl Default for PlacementNumber {
    fn default() -> PlacementNumber {
        PlacementNumber::RENDEZVOUS
    }
}

/// A session in a view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The session.
    #[serde(with = "text")]
    pub session: SessionId,
    /// The broker whose session it is.
    #[serde(with = "BrokerIdNumber")]
    pub broker_id: BrokerId,
    /// Where it runs, if that is known: Kafka's rack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Its share of what is led, as a proportion: 1 to [`WEIGHT_MAX`].
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub weight: u8,
}

/// A view, or several in a row, in which sessions led that may not have stopped yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlierView {
    /// Set if it stands for several views: the number of the first.
    #[serde(default, with = "optional_number", skip_serializing_if = "Option::is_none")]
    pub first: Option<ViewNumber>,
    /// Its number, or that of the last.
    #[serde(with = "ViewNumberNumber")]
    pub number: ViewNumber,
    /// The members as they were; of several views, each session that may have led anything in them.
    pub members: Vec<Member>,
}

impl View {
    /// A view with nothing before it that matters.
    #[must_use]
    pub fn new(number: ViewNumber, members: Vec<Member>) -> View {
        View { number, placement: PlacementNumber::default(), members, earlier: Vec::new() }
    }

    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        super::encode(self)
    }

    /// From the stored form, with its limits checked. A placement that is not known is no error here.
    pub fn decode(entry: &Entry) -> Result<View, DecodeKeyError> {
        let view: View = super::decode(entry)?;
        let unreadable = |reason| DecodeKeyError { key: entry.key.clone(), reason };
        view.check().map_err(unreadable)?;
        Ok(view)
    }

    fn check(&self) -> Result<(), String> {
        check_single(&self.members)?;
        if self.members.len() > MEMBERS_MAX {
            return Err(format!("{} members, at most {MEMBERS_MAX}", self.members.len()));
        }
        if self.earlier.len() > EARLIER_VIEWS_MAX {
            return Err(format!("{} earlier views, at most {EARLIER_VIEWS_MAX}", self.earlier.len()));
        }
        let members: usize = self.earlier.iter().map(|earlier| earlier.members.len()).sum();
        if members > EARLIER_MEMBERS_MAX {
            return Err(format!("{members} members of earlier views, at most {EARLIER_MEMBERS_MAX}"));
        }
        let mut before = ViewNumber(-1);
        for earlier in &self.earlier {
            let first = earlier.first.unwrap_or(earlier.number);
            if first <= before || earlier.number < first {
                return Err(format!("earlier view {} is out of order", earlier.number.0));
            }
            before = earlier.number;
            match earlier.first {
                None => check_single(&earlier.members)?,
                Some(_) => check_members(&earlier.members)?,
            }
        }
        if self.number <= before { Err(format!("an earlier view is {}", before.0)) } else { Ok(()) }
    }
}

impl Member {
    /// A member of weight 1 in no zone.
    #[must_use]
    pub fn new(session: SessionId, broker_id: BrokerId) -> Member {
        Member { session, broker_id, zone: None, weight: 1 }
    }
}

/// The members of one view: a broker has one session in it.
fn check_single(members: &[Member]) -> Result<(), String> {
    check_members(members)?;
    if has_repeats(members.iter().map(|member| member.broker_id)) {
        return Err("a broker is a member twice".to_owned());
    }
    Ok(())
}

fn check_members(members: &[Member]) -> Result<(), String> {
    if has_repeats(members.iter().map(|member| member.session)) {
        return Err("a session is a member twice".to_owned());
    }
    members.iter().try_for_each(|member| check_place(member.zone.as_deref(), member.weight))
}

/// Whether a zone and a weight are within their limits.
pub(super) fn check_place(zone: Option<&str>, weight: u8) -> Result<(), String> {
    if !(1..=WEIGHT_MAX).contains(&weight) {
        return Err(format!("a weight of {weight}, not 1 to {WEIGHT_MAX}"));
    }
    match zone {
        Some(zone) if zone.len() > ZONE_BYTES_MAX => {
            Err(format!("a zone of {} bytes, at most {ZONE_BYTES_MAX}", zone.len()))
        }
        _ => Ok(()),
    }
}

fn has_repeats<T: Eq + Hash>(mut items: impl Iterator<Item = T>) -> bool {
    let mut seen = HashSet::default();
    !items.all(|item| seen.insert(item))
}

pub(super) fn one() -> u8 {
    1
}

pub(super) fn is_one(weight: &u8) -> bool {
    *weight == 1
}

/// A view's number, if there is one.
mod optional_number {
    use crate::types::ViewNumber;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        number: &Option<ViewNumber>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        number.map(|number| number.0).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<ViewNumber>, D::Error> {
        Ok(Option::<i32>::deserialize(deserializer)?.map(ViewNumber))
    }
}
