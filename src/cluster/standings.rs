//! What a session knows of the standings of all.
//!
//! It is a listing of `sessions/` at one revision, kept up by a watch. Who is not in it does not stand *if it is at least as
//! new as the view that named that session*: a member registers before, or in, the transaction that makes it one. An
//! older listing may lack a session that lives. So the revision is part of the value, and who asks says from when on.

use crate::meta::Revision;
use crate::types::{BrokerId, SessionId, ViewNumber};
use std::collections::BTreeMap;

/// One session that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stand {
    /// The broker whose session it is.
    pub broker_id: BrokerId,
    /// The newest view it has acknowledged.
    pub acked_view: ViewNumber,
}

/// Every session that stood at a revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standings {
    /// The revision.
    pub as_of: Revision,
    /// The sessions.
    pub sessions: BTreeMap<SessionId, Stand>,
}

/// What is known of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It stood, and had acknowledged that view.
    Stands(ViewNumber),
    /// It was sealed, or ended: for ever.
    Gone,
    /// The listing is too old to tell.
    Unknown,
}

impl Standings {
    /// What is known of `session`, which a view of revision `named_at` names.
    pub(super) fn of(&self, session: SessionId, named_at: Revision) -> Known {
        match self.sessions.get(&session) {
            Some(stand) => Known::Stands(stand.acked_view),
            None if self.as_of >= named_at => Known::Gone,
            None => Known::Unknown,
        }
    }

    /// The sessions of a broker.
    pub(super) fn of_broker(&self, broker_id: BrokerId) -> impl Iterator<Item = SessionId> {
        let stand = self.sessions.iter().filter(move |(_, stand)| stand.broker_id == broker_id);
        stand.map(|(&session, _)| session)
    }
}
