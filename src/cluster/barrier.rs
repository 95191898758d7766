//! When a new leader may begin, and what an old one does before it lets go.
//!
//! A session that learns of a view stops serving what it no longer leads ([`to_close`]), commits what it had taken in, and
//! acknowledges the view by rewriting its standing ([`Draining`]). The new leader waits until every session that may
//! have led the partition in an earlier view that is not settled, itself included, has acknowledged *exactly* its view, or no
//! longer stands. An acknowledgement of a later one does not do: that session may lead the partition again, in a view that this
//! one does not know yet, and may never have learned of ours.
//!
//! What a session has served without a pause since an earlier view it serves on, whatever the barrier says of others: its
//! successors in between wait for an acknowledgement of *their* view, which it never gave. Whether it is the same one is judged
//! by session, not by broker: one that was started again begins at the barrier.
//!
//! Once the barrier is open a new leader lists the journals in one transaction that reads its own standing, too, then the
//! manifest and the tails. That is not decided here.
//!
//! All this holds for partitions and, word for word, for the groups and transactional ids that a session coordinates.
//!
//! Partitions that wait for the same sessions are one *group*, so a change of a standing costs as much as there are groups,
//! however many the partitions.

use super::placement::{Placement, PlacementKey, UnknownPlacement};
use super::standings::{Known, Standings};
use crate::hashing::HashMap;
use crate::meta::Revision;
use crate::meta::keys::view::{Member, View};
use crate::types::{SessionId, ViewNumber};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Whether this session may serve a partition that it does not serve yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may begin.
    Serve,
    /// Not until these have acknowledged the view or are sealed, or what is known of them is new enough.
    Wait {
        /// In the order of their ids; this session may be among them.
        sessions: Arc<[SessionId]>,
    },
    /// Another leads it, or nobody.
    NotMine {
        /// Who leads it in this view.
        leader: Option<SessionId>,
    },
    /// A session that matters has acknowledged a later view, or this one was sealed: learn the newest view first.
    Outdated,
}

/// Partitions of this session that wait for the same sessions. It has a meaning for one [`Barrier`] only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(u32);

/// Who leads a partition, and with which others it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// This session.
    Mine(GroupId),
    /// Another, or nobody.
    Other(Option<SessionId>),
}

/// The barrier of one view at one session.
#[derive(Debug)]
pub struct Barrier {
    number: ViewNumber,
    /// The revision that wrote the view.
    revision: Revision,
    own: SessionId,
    current: Placement,
    /// Earlier views that are not settled, one by one.
    earlier: Vec<Placement>,
    /// Every partition waits for these: this session, and those that may have led anything in views that were put
    /// together.
    always: Vec<SessionId>,
    standings: Arc<Standings>,
    groups: Vec<Group>,
    by_sessions: HashMap<Vec<SessionId>, GroupId>,
    /// Kept for its memory.
    scratch: Vec<SessionId>,
}

#[derive(Debug)]
struct Group {
    /// Those that it waits for besides [`Barrier::always`].
    sessions: Vec<SessionId>,
    verdict: Verdict,
}

/// What some sessions come to.
enum Judgement {
    /// They hold up nothing, or these do.
    WaitFor(Vec<SessionId>),
    /// The view is old.
    Outdated,
}

impl Barrier {
    /// The barrier of `view`, which was written at `revision`, at the session `own`. Until [`Barrier::observe`] it waits.
    pub fn new(view: &View, revision: Revision, own: SessionId) -> Result<Barrier, UnknownPlacement> {
        let mut always = BTreeSet::from([own]);
        let mut earlier = Vec::new();
        for before in &view.earlier {
            match before.first {
                None => earlier.push(Placement::new(view.placement, &before.members)?),
                Some(_) => always.extend(before.members.iter().map(|member| member.session)),
            }
        }
        Ok(Barrier {
            number: view.number,
            revision,
            own,
            current: Placement::new(view.placement, &view.members)?,
            earlier,
            always: always.into_iter().collect(),
            standings: Arc::default(),
            groups: Vec::new(),
            by_sessions: HashMap::default(),
            scratch: Vec::new(),
        })
    }

    /// Who leads what in this view.
    #[must_use]
    pub fn placement(&self) -> &Placement {
        &self.current
    }

    /// Whose a partition is, a group or a transactional id, and in which group of this session it waits.
    pub fn place(&mut self, key: PlacementKey) -> Place {
        let leader = self.current.leader(key).map(|member| member.session);
        if leader != Some(self.own) {
            return Place::Other(leader);
        }
        let led = self.earlier.iter().filter_map(|earlier| earlier.leader(key)).map(|member| member.session);
        self.scratch.clear();
        self.scratch.extend(led.filter(|session| self.always.binary_search(session).is_err()));
        self.scratch.sort_unstable();
        self.scratch.dedup();
        if let Some(&group) = self.by_sessions.get(&self.scratch) {
            return Place::Mine(group);
        }
        Place::Mine(self.add_group())
    }

    /// What is in `scratch` is a new group.
    fn add_group(&mut self) -> GroupId {
        let id = u32::try_from(self.groups.len()).expect("there are fewer groups than partitions");
        let sessions = self.scratch.clone();
        let verdict = self.verdict_of(&self.judge(&self.always), &sessions);
        self.by_sessions.insert(sessions.clone(), GroupId(id));
        self.groups.push(Group { sessions, verdict });
        GroupId(id)
    }

    /// What holds for all that is in a group and that this session does not serve yet.
    #[must_use]
    pub fn group(&self, group: GroupId) -> &Verdict {
        &self.groups[group.0 as usize].verdict
    }

    /// What holds for one partition, group or transactional id that this session does not serve yet.
    pub fn verdict(&mut self, key: PlacementKey) -> Verdict {
        match self.place(key) {
            Place::Mine(group) => self.group(group).clone(),
            Place::Other(leader) => Verdict::NotMine { leader },
        }
    }

    /// What is known of standings now; an older listing than before changes nothing. Returns the groups of which the verdict
    /// has changed, in order.
    pub fn observe(&mut self, standings: Arc<Standings>) -> Vec<GroupId> {
        if standings.as_of < self.standings.as_of {
            return Vec::new();
        }
        self.standings = standings;
        let always = self.judge(&self.always);
        let mut changed = Vec::new();
        for index in 0..self.groups.len() {
            let verdict = self.verdict_of(&always, &self.groups[index].sessions);
            if verdict != self.groups[index].verdict {
                self.groups[index].verdict = verdict;
                changed.push(GroupId(u32::try_from(index).expect("it was given as such a number")));
            }
        }
        changed
    }

    /// Everyone whom some partition of this session waits for: it has a reason to look at them.
    #[must_use]
    pub fn waits_for(&self) -> BTreeSet<SessionId> {
        let waiting = self.groups.iter().filter_map(|group| match &group.verdict {
            Verdict::Wait { sessions } => Some(sessions),
            _ => None,
        });
        waiting.flat_map(|sessions| sessions.iter().copied()).collect()
    }

    fn verdict_of(&self, always: &Judgement, sessions: &[SessionId]) -> Verdict {
        let (Judgement::WaitFor(always), Judgement::WaitFor(others)) = (always, self.judge(sessions)) else {
            return Verdict::Outdated;
        };
        let mut sessions = [always.as_slice(), &others].concat();
        sessions.sort_unstable();
        if sessions.is_empty() { Verdict::Serve } else { Verdict::Wait { sessions: sessions.into() } }
    }

    fn judge(&self, sessions: &[SessionId]) -> Judgement {
        let mut waits_for = Vec::new();
        for &session in sessions {
            match self.standings.of(session, self.revision) {
                Known::Stands(acked) if acked > self.number => return Judgement::Outdated,
                Known::Stands(acked) if acked == self.number => {}
                Known::Gone if session == self.own => return Judgement::Outdated,
                Known::Gone => {}
                Known::Stands(_) | Known::Unknown => waits_for.push(session),
            }
        }
        Judgement::WaitFor(waits_for)
    }
}

/// Of what a session serves, what it must stop serving in the view of `placement`, before it may acknowledge it.
pub fn to_close<T>(
    placement: &Placement,
    own: SessionId,
    served: impl IntoIterator<Item = T>,
    key: impl Fn(&T) -> PlacementKey,
) -> impl Iterator<Item = T> {
    let is_mine = move |leader: Option<&Member>| leader.is_some_and(|member| member.session == own);
    served.into_iter().filter(move |item| !is_mine(placement.leader(key(item))))
}

/// The write of a session's journal key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalWrite {
    /// None is on its way.
    Idle,
    /// One is on its way.
    Sent,
    /// One was not answered, and not settled yet.
    Unknown,
}

/// How far a session is with letting go of what a view took from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draining {
    /// The newest view it knows; what that took away is closed.
    pub learned: ViewNumber,
    /// The view it has acknowledged last.
    pub acked: ViewNumber,
    /// Its journal key.
    pub write: JournalWrite,
    /// Batches of closed partitions that are not in stored objects: the acknowledgement commits what is stored.
    pub undrained: u64,
}

/// Whether to acknowledge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// The newest view known is acknowledged.
    Done,
    /// Something is on its way that the acknowledgement would cut off, or leave behind.
    Wait,
    /// Now: rewrite the standing with this number, and commit what is stored in the same transaction.
    Now(ViewNumber),
}

impl Draining {
    /// Whether the session may acknowledge the newest view it knows. Only that one: views that it skipped nobody waits for
    /// any more, or finds out that they are old.
    #[must_use]
    pub fn ack(self) -> Ack {
        match self {
            Draining { learned, acked, .. } if acked >= learned => Ack::Done,
            Draining { write: JournalWrite::Idle, undrained: 0, learned, .. } => Ack::Now(learned),
            _ => Ack::Wait,
        }
    }
}
