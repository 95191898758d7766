//! The next view: what it is after a join, a departure or a seal. Whoever proposes it writes it in one transaction, which
//! compares its own standing and the view that it began with, seals whom the answer names, and reads their ends.
//!
//! # Views that are not settled
//!
//! A session that led in an earlier view may have records on their way until it has acknowledged a view since, or was
//! sealed. So a view carries those before it, `earlier`, as far back as that can matter. A view is *settled* once every
//! session that stands and is in it, in an earlier or in a later one, has acknowledged a later one:
//! - A session that serves a partition leads it in the newest view it knows, and it knows what it has acknowledged. So
//!   what it serves it leads in a view that is kept.
//! - What it took in and serves no more is committed before it acknowledges the view that took it away. So what it may
//!   still commit it also led in a view that is kept, or in the one it acknowledged last.
//!
//! Acknowledgements only grow and standing only ends, so an older listing of standings settles too little, never too
//! much. It must be as new as the view, or a session that lives would be taken for one that was sealed.
//!
//! # When too many are kept
//!
//! Then nobody joins or leaves until some are settled, but whoever must be sealed is. For that, views are put together:
//! one entry has every session of theirs that stands, and any of them may have led anything. That is always safe, as the barrier
//! then waits for more sessions than it has to, never for fewer: a leader of a partition in one of those views is in the entry
//! or was sealed. It costs time only. To keep the newest alone would not do, nor to ask the rendezvous of the union: it
//! names one leader, and there were several.

use super::standings::{Known, Standings};
use crate::meta::Revision;
use crate::meta::keys::view::{
    EARLIER_MEMBERS_MAX, EARLIER_VIEWS_MAX, EarlierView, MEMBERS_MAX, Member, View,
};
use crate::types::{BrokerId, SessionId, ViewNumber};
use std::collections::{BTreeMap, BTreeSet};

/// Why the view changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A session wants to lead. What stands of its broker besides it is sealed.
    Join(Member),
    /// A session wants to lead no more; it stands until it has handed over.
    Leave(SessionId),
    /// A session is to be sealed, member or not.
    Seal(SessionId),
    /// Look whether there are members that do not stand.
    Check,
}

/// A view to propose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextView {
    /// The view.
    pub view: View,
    /// Whose standing the same transaction removes, and whose journal it ends.
    pub seals: Vec<SessionId>,
}

/// Why there is nothing to propose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoNextView {
    /// The view is already so.
    #[error("nothing changes")]
    Unchanged,
    /// What is known of standings is older than the view: read them first.
    #[error("the standings are older than the view")]
    StandingsOld,
    /// Nobody may come or go until earlier views are settled.
    #[error("too many views are not settled")]
    Unsettled,
    /// It would have too many members.
    #[error("a view has at most {0} members")]
    TooManyMembers(usize),
    /// The sessions that stand and may have led are too many for one value.
    #[error("more than {0} sessions may have led and stand")]
    TooManySessions(usize),
    /// There are no numbers left.
    #[error("no number of a view is left")]
    Exhausted,
}

/// How large a view may grow. Tests have small ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewBounds {
    /// Members.
    pub members: usize,
    /// Entries of `earlier`.
    pub earlier_views: usize,
    /// Members in all of them together.
    pub earlier_members: usize,
    /// Sessions sealed at once: each costs operations of the transaction. The others wait for the next view.
    pub seals: usize,
}

impl Default for ViewBounds {
    fn default() -> ViewBounds {
        ViewBounds {
            members: MEMBERS_MAX,
            earlier_views: EARLIER_VIEWS_MAX,
            earlier_members: EARLIER_MEMBERS_MAX,
            seals: 24,
        }
    }
}

/// The view after `current`, which was written at `revision`, and after all of `changes` at once. Members that do not
/// stand are left out in any case.
pub fn next_view(
    (current, revision): (&View, Revision),
    standings: &Standings,
    changes: &[Change],
    bounds: &ViewBounds,
) -> Result<NextView, NoNextView> {
    if standings.as_of < revision {
        return Err(NoNextView::StandingsOld);
    }
    let number = current.number.0.checked_add(1).map(ViewNumber).ok_or(NoNextView::Exhausted)?;
    let seals = seals_of(standings, changes, bounds.seals);
    let stands = |session: SessionId| standings.sessions.contains_key(&session) && !seals.contains(&session);
    let members = members_after(current, standings, changes, stands);
    if members == current.members && seals.is_empty() {
        return Err(NoNextView::Unchanged);
    }
    if members.len() > bounds.members && members.len() > current.members.len() {
        return Err(NoNextView::TooManyMembers(bounds.members));
    }
    let is_forced = !seals.is_empty() || current.members.iter().any(|member| !stands(member.session));
    let earlier = Unsettled { current, stands: &stands, standings, bounds };
    let earlier = if is_forced { earlier.put_together()? } else { earlier.as_they_are()? };
    let view = View { number, placement: current.placement, members, earlier };
    Ok(NextView { view, seals: seals.into_iter().collect() })
}

/// Who is to be sealed and stands: those named, and what is left of the brokers that join. At most `max`, those of
/// brokers that join first, as their sessions cannot join otherwise.
fn seals_of(standings: &Standings, changes: &[Change], max: usize) -> BTreeSet<SessionId> {
    let joining = joining(changes);
    let others = |member: &&Member| {
        let session = member.session;
        standings.of_broker(member.broker_id).filter(move |&other| other != session)
    };
    let mut seals: BTreeSet<SessionId> = joining.values().flat_map(others).take(max).collect();
    let named = changes.iter().filter_map(|change| match change {
        Change::Seal(session) if standings.sessions.contains_key(session) => Some(*session),
        _ => None,
    });
    for session in named {
        if seals.len() < max {
            seals.insert(session);
        }
    }
    seals
}

/// Who joins, one session for a broker: of two the later.
fn joining(changes: &[Change]) -> BTreeMap<BrokerId, &Member> {
    let joins = changes.iter().filter_map(|change| match change {
        Change::Join(member) => Some((member.broker_id, member)),
        _ => None,
    });
    joins.collect()
}

/// In the order of broker ids, so that equal views have equal bytes.
fn members_after(
    current: &View,
    standings: &Standings,
    changes: &[Change],
    stands: impl Fn(SessionId) -> bool,
) -> Vec<Member> {
    let leaves = |session: SessionId| changes.contains(&Change::Leave(session));
    let is_sealed = |session: SessionId| changes.contains(&Change::Seal(session));
    let mut members: BTreeMap<BrokerId, Member> = BTreeMap::new();
    for member in &current.members {
        if stands(member.session) && !leaves(member.session) {
            members.insert(member.broker_id, member.clone());
        }
    }
    for (broker_id, member) in joining(changes) {
        // One that registers in the same transaction does not stand yet. It never joins while another of its broker does.
        let mut of_broker = standings.of_broker(broker_id);
        let others_stand = of_broker.any(|other| other != member.session && stands(other));
        if !others_stand && !leaves(member.session) && !is_sealed(member.session) {
            members.insert(broker_id, member.clone());
        }
    }
    members.into_values().collect()
}

/// The earlier views of the next one, from what `current` has and `current` itself.
struct Unsettled<'a, F: Fn(SessionId) -> bool> {
    current: &'a View,
    stands: &'a F,
    standings: &'a Standings,
    bounds: &'a ViewBounds,
}

impl<F: Fn(SessionId) -> bool> Unsettled<'_, F> {
    /// A voluntary change waits when they are too many.
    fn as_they_are(&self) -> Result<Vec<EarlierView>, NoNextView> {
        let earlier = self.unsettled();
        if self.fits(&earlier) { Ok(earlier) } else { Err(NoNextView::Unsettled) }
    }

    /// A forced one puts together as many of the oldest as it has to.
    fn put_together(&self) -> Result<Vec<EarlierView>, NoNextView> {
        let earlier = self.unsettled();
        let mut together = earlier.clone();
        for oldest in 2..=earlier.len() {
            if self.fits(&together) {
                break;
            }
            together = earlier[oldest..].to_vec();
            together.insert(0, self.union(&earlier[..oldest]));
        }
        if self.fits(&together) {
            return Ok(together);
        }
        // One view alone may be too large with sessions that are gone.
        together = if earlier.is_empty() { together } else { vec![self.union(&earlier)] };
        let too_many = NoNextView::TooManySessions(self.bounds.earlier_members);
        if self.fits(&together) { Ok(together) } else { Err(too_many) }
    }

    fn fits(&self, earlier: &[EarlierView]) -> bool {
        let members: usize = earlier.iter().map(|view| view.members.len()).sum();
        earlier.len() <= self.bounds.earlier_views && members <= self.bounds.earlier_members
    }

    /// Those of `current` and itself, without what is settled.
    fn unsettled(&self) -> Vec<EarlierView> {
        let View { number, members, earlier, .. } = self.current;
        let itself = EarlierView { first: None, number: *number, members: members.clone() };
        let views = earlier.iter().cloned().chain([itself]);
        match self.acked_by_all() {
            Some(acked) => views.filter(|view| view.number >= acked).collect(),
            None => Vec::new(),
        }
    }

    /// The newest view that every session concerned has acknowledged, or a later one; none if none of them stands.
    fn acked_by_all(&self) -> Option<ViewNumber> {
        let members = self.current.members.iter();
        let concerned = members.chain(self.current.earlier.iter().flat_map(|view| &view.members));
        let standing = concerned.filter(|member| (self.stands)(member.session));
        standing.filter_map(|member| self.acked(member.session)).min()
    }

    fn acked(&self, session: SessionId) -> Option<ViewNumber> {
        // Whether the listing is new enough was asked at the door.
        match self.standings.of(session, self.standings.as_of) {
            Known::Stands(acked) => Some(acked),
            Known::Gone | Known::Unknown => None,
        }
    }

    fn union(&self, views: &[EarlierView]) -> EarlierView {
        let first = views.first().expect("there are views to put together");
        let last = views.last().expect("there are views to put together");
        let mut members: BTreeMap<SessionId, Member> = BTreeMap::new();
        for member in views.iter().flat_map(|view| &view.members) {
            if (self.stands)(member.session) {
                members.insert(member.session, member.clone());
            }
        }
        EarlierView {
            first: Some(first.first.unwrap_or(first.number)),
            number: last.number,
            members: members.into_values().collect(),
        }
    }
}
