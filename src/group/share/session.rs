//! Share sessions: the broker remembers which partitions a member of a share group fetches, so that requests name
//! only what changes. A pure table: time comes in as a value.
//!
//! A session is of one member of one group and, unlike a fetch session, not optional: a member that cannot have one
//! is refused. When one ends, what its member has acquired is to be released: the caller is told so.

use crate::group::{GroupId, MemberId};
use crate::hashing::HashMap;
use crate::types::{Moment, TopicPartition};
use std::collections::BTreeSet;
use std::time::Duration;

/// The epoch by which a session is opened.
pub const SHARE_SESSION_OPEN_EPOCH: i32 = 0;
/// The epoch by which a session is closed.
pub const SHARE_SESSION_CLOSE_EPOCH: i32 = -1;

/// Whose session.
pub type ShareSessionKey = (GroupId, MemberId);

/// A member, and the connection that its request came by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareClient {
    /// Its group and its id.
    pub key: ShareSessionKey,
    /// The connection's number in this process.
    pub connection_id: u64,
}

/// What a ShareFetch says of its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareSessionChange {
    /// Opens, closes, or counts the requests.
    pub session_epoch: i32,
    /// The partitions that it names, be it only to acknowledge records of them.
    pub named: Vec<TopicPartition>,
    /// Partitions to leave out from now on, also of those that it names.
    pub forgotten: Vec<TopicPartition>,
    /// Whether it acknowledges anything.
    pub acknowledges: bool,
}

/// What a ShareFetch is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShareFetchContext {
    /// Fetch these, the first to be served first.
    Fetch {
        /// All partitions of the session, in turn.
        partitions: Vec<TopicPartition>,
        /// The session that had to make room, if one had: what its member has in these partitions is to be released.
        evicted: Option<(ShareSessionKey, Vec<TopicPartition>)>,
    },
    /// Fetch nothing: acknowledge what is named, then release what the member has in these partitions. The session
    /// is over.
    Close {
        /// All partitions of the session.
        partitions: Vec<TopicPartition>,
    },
}

/// Why a session cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShareSessionFault {
    /// SHARE_SESSION_NOT_FOUND: it was never opened, or is gone.
    #[error("the share session is not known")]
    NotFound,
    /// INVALID_SHARE_SESSION_EPOCH: a request of it is missing, or came twice.
    #[error("the share session's epoch is another")]
    InvalidEpoch,
    /// SHARE_SESSION_LIMIT_REACHED.
    #[error("there are too many share sessions")]
    LimitReached,
    /// INVALID_REQUEST.
    #[error("a share session is opened without acknowledgements")]
    AcknowledgesUnopened,
}

#[derive(Clone, Debug)]
struct Session {
    /// By which its last request came.
    connection_id: u64,
    next_epoch: i32,
    partitions: BTreeSet<TopicPartition>,
    used_at: Moment,
}

/// The share sessions of a broker.
#[derive(Clone, Debug)]
pub struct ShareSessions {
    sessions: HashMap<ShareSessionKey, Session>,
    /// Of all sessions together.
    partitions: usize,
    sessions_max: usize,
}

impl Default for ShareSessions {
    fn default() -> ShareSessions {
        ShareSessions::new(SESSIONS_MAX)
    }
}

impl ShareSessions {
    /// A table for so many sessions.
    #[must_use]
    pub fn new(sessions_max: usize) -> ShareSessions {
        ShareSessions { sessions: HashMap::default(), partitions: 0, sessions_max }
    }

    /// A ShareFetch.
    pub fn fetch(
        &mut self,
        now: Moment,
        client: &ShareClient,
        change: &ShareSessionChange,
    ) -> Result<ShareFetchContext, ShareSessionFault> {
        match change.session_epoch {
            SHARE_SESSION_OPEN_EPOCH => self.open(now, client, change),
            SHARE_SESSION_CLOSE_EPOCH => {
                let partitions = self.close(&client.key).ok_or(ShareSessionFault::NotFound)?;
                Ok(ShareFetchContext::Close { partitions })
            }
            epoch => self.go_on(now, client, epoch, change),
        }
    }

    /// A ShareAcknowledge: with the last epoch it closes the session, and gives the partitions to release.
    pub fn acknowledge(
        &mut self,
        now: Moment,
        client: &ShareClient,
        session_epoch: i32,
    ) -> Result<Option<Vec<TopicPartition>>, ShareSessionFault> {
        match session_epoch {
            SHARE_SESSION_OPEN_EPOCH => Err(ShareSessionFault::InvalidEpoch),
            SHARE_SESSION_CLOSE_EPOCH => self.close(&client.key).map(Some).ok_or(ShareSessionFault::NotFound),
            epoch => self.count(now, client, epoch).map(|_| None),
        }
    }

    /// Ends a session, also when its connection or its member is gone: the partitions to release.
    pub fn close(&mut self, key: &ShareSessionKey) -> Option<Vec<TopicPartition>> {
        let session = self.sessions.remove(key)?;
        self.partitions -= session.partitions.len();
        Some(session.partitions.into_iter().collect())
    }

    /// Ends the sessions of a connection that has ended: whose, and the partitions to release.
    pub fn close_connection(&mut self, connection_id: u64) -> Vec<(ShareSessionKey, Vec<TopicPartition>)> {
        let of_connection =
            self.sessions.iter().filter(|(_, session)| session.connection_id == connection_id);
        let keys: Vec<ShareSessionKey> = of_connection.map(|(key, _)| key.clone()).collect();
        keys.into_iter().filter_map(|key| self.close(&key).map(|partitions| (key, partitions))).collect()
    }

    /// Whether the member has a session by that connection.
    #[must_use]
    pub fn holds(&self, client: &ShareClient) -> bool {
        let session = self.sessions.get(&client.key);
        session.is_some_and(|session| session.connection_id == client.connection_id)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// A session that was there is replaced, but its member keeps what it has: it may have lost only an answer.
    fn open(
        &mut self,
        now: Moment,
        client: &ShareClient,
        change: &ShareSessionChange,
    ) -> Result<ShareFetchContext, ShareSessionFault> {
        if change.acknowledges {
            return Err(ShareSessionFault::AcknowledgesUnopened);
        }
        let forgotten: BTreeSet<_> = change.forgotten.iter().collect();
        let wanted = change.named.iter().filter(|which| !forgotten.contains(which)).copied();
        let partitions: BTreeSet<TopicPartition> = wanted.collect();
        let own = self.sessions.get(&client.key).map_or((0, 0), |own| (1, own.partitions.len()));
        let evicted = self.make_room(now, partitions.len(), own)?;
        self.close(&client.key);
        let in_turn = partitions.iter().copied().collect();
        self.partitions += partitions.len();
        let session =
            Session { connection_id: client.connection_id, next_epoch: 1, partitions, used_at: now };
        self.sessions.insert(client.key.clone(), session);
        Ok(ShareFetchContext::Fetch { partitions: in_turn, evicted })
    }

    fn go_on(
        &mut self,
        now: Moment,
        client: &ShareClient,
        session_epoch: i32,
        change: &ShareSessionChange,
    ) -> Result<ShareFetchContext, ShareSessionFault> {
        let others = self.partitions;
        let session = self.sessions.get(&client.key).ok_or(ShareSessionFault::NotFound)?;
        if session.next_epoch == session_epoch && others + change.named.len() > PARTITIONS_MAX {
            return Err(ShareSessionFault::LimitReached);
        }
        let session = self.count(now, client, session_epoch)?;
        let before = session.partitions.len();
        session.partitions.extend(&change.named);
        for which in &change.forgotten {
            session.partitions.remove(which);
        }
        let partitions = in_turn(&session.partitions, session_epoch);
        self.partitions = self.partitions - before + partitions.len();
        Ok(ShareFetchContext::Fetch { partitions, evicted: None })
    }

    /// One more request of a session.
    fn count(
        &mut self,
        now: Moment,
        client: &ShareClient,
        session_epoch: i32,
    ) -> Result<&mut Session, ShareSessionFault> {
        let session = self.sessions.get_mut(&client.key).ok_or(ShareSessionFault::NotFound)?;
        if session.next_epoch != session_epoch {
            return Err(ShareSessionFault::InvalidEpoch);
        }
        session.next_epoch = session_epoch.checked_add(1).unwrap_or(1);
        session.used_at = now;
        session.connection_id = client.connection_id;
        Ok(session)
    }

    /// Makes room for one more session, which takes the place of those `own`; whose had to go for it, after a long silence.
    fn make_room(
        &mut self,
        now: Moment,
        partitions: usize,
        (own_sessions, own_partitions): (usize, usize),
    ) -> Result<Option<(ShareSessionKey, Vec<TopicPartition>)>, ShareSessionFault> {
        if self.partitions - own_partitions + partitions > PARTITIONS_MAX {
            return Err(ShareSessionFault::LimitReached);
        }
        if self.sessions.len() - own_sessions < self.sessions_max {
            return Ok(None);
        }
        let silent = self.sessions.iter().min_by_key(|(key, session)| (session.used_at, *key));
        match silent.map(|(key, session)| (key.clone(), session.used_at)) {
            Some((key, used_at)) if now.since(used_at) >= EVICTION_AFTER => {
                Ok(self.close(&key).map(|partitions| (key, partitions)))
            }
            _ => Err(ShareSessionFault::LimitReached),
        }
    }
}

/// All of them, another one first with each request, so that none starves behind a busy one.
fn in_turn(partitions: &BTreeSet<TopicPartition>, session_epoch: i32) -> Vec<TopicPartition> {
    let mut in_turn: Vec<TopicPartition> = partitions.iter().copied().collect();
    if !in_turn.is_empty() {
        let first = session_epoch.unsigned_abs() as usize % in_turn.len();
        in_turn.rotate_left(first);
    }
    in_turn
}

/// Sessions at once (Kafka's `group.share.max.share.sessions`).
const SESSIONS_MAX: usize = 2_000;
/// Partitions of all sessions together.
const PARTITIONS_MAX: usize = 200_000;
/// A session may be taken from a member that has been silent for this long.
const EVICTION_AFTER: Duration = Duration::from_secs(120);
