//! Fetch sessions (KIP-227): the broker remembers what a consumer fetches, so that neither the request nor
//! the answer names partitions that have not changed. A pure core: time comes in as a value.

use crate::hashing::HashMap;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// Sessions at once (Kafka's `max.incremental.fetch.session.cache.slots`).
const SESSIONS_MAX: usize = 1000;
/// Partitions of all sessions together; past it fetches go on without a session.
const PARTITIONS_MAX: usize = 200_000;
/// A session may be taken from a consumer that has been silent for this long.
const EVICTION_AFTER: Duration = Duration::from_secs(120);

/// How a request names a topic: by name up to version 12 of Fetch, by id from 13 on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TopicRef {
    /// By name.
    Name(Arc<str>),
    /// By id.
    Id(Uuid),
}

/// One partition of a topic as a request names it.
pub type PartitionRef = (TopicRef, i32);

/// What a consumer wants of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// From where on.
    pub fetch_offset: i64,
    /// At most this many bytes, apart from a first batch that is larger.
    pub bytes_max: i32,
    /// The epoch that the consumer knows, -1 for none.
    pub current_leader_epoch: i32,
}

/// What the last answer said of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// High watermark.
    pub high_watermark: i64,
    /// Last stable offset.
    pub last_stable_offset: i64,
    /// Log start.
    pub log_start_offset: i64,
}

/// The session part of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRequest {
    /// 0 for none.
    pub session_id: i32,
    /// -1: without a session; 0: begin one; else the number of the request in it.
    pub session_epoch: i32,
    /// Partitions named, in their order.
    pub wanted: Vec<(PartitionRef, Wanted)>,
    /// Partitions to leave out from now on.
    pub forgotten: Vec<PartitionRef>,
}

/// Why a session cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionFault {
    /// It was never begun, or evicted.
    #[error("the fetch session is not known")]
    Unknown,
    /// A request of it is missing, or came twice.
    #[error("the fetch session's epoch is another")]
    WrongEpoch,
}

/// What to fetch, and how to answer.
#[derive(Clone, Debug)]
pub struct FetchContext {
    /// What to fetch, the first to be served first.
    pub wanted: Vec<(PartitionRef, Wanted)>,
    /// What the answer gives as session id.
    pub session_id: i32,
    /// The session of an incremental fetch: its answer leaves out what has not changed.
    session: Option<Arc<Mutex<Session>>>,
    incremental: bool,
}

#[derive(Debug)]
struct Session {
    next_epoch: i32,
    partitions: BTreeMap<PartitionRef, (Wanted, Option<Told>)>,
    /// The partition that is served first in the next fetch, so that none starves behind a busy one.
    first: Option<PartitionRef>,
    used_at: Instant,
}

/// The sessions of a broker.
#[derive(Debug, Default)]
pub struct FetchSessions {
    sessions: Mutex<HashMap<i32, Arc<Mutex<Session>>>>,
}

impl FetchSessions {
    /// Finds or begins the session of a request. `new_id` is drawn by the caller; 0 is never one.
    pub fn context(
        &self,
        now: Instant,
        new_id: i32,
        request: SessionRequest,
    ) -> Result<FetchContext, SessionFault> {
        match (request.session_id, request.session_epoch) {
            (id, epoch) if epoch <= 0 => {
                if id != 0 {
                    self.sessions.lock().remove(&id);
                }
                if epoch == 0 {
                    Ok(self.begin(now, new_id, request.wanted))
                } else {
                    Ok(without_session(request.wanted))
                }
            }
            (id, epoch) => self.go_on(now, id, epoch, request),
        }
    }

    fn begin(&self, now: Instant, new_id: i32, wanted: Vec<(PartitionRef, Wanted)>) -> FetchContext {
        let mut sessions = self.sessions.lock();
        if !make_room(&mut sessions, now, wanted.len()) || new_id == 0 || sessions.contains_key(&new_id) {
            return without_session(wanted);
        }
        let partitions =
            wanted.iter().map(|(partition, wanted)| (partition.clone(), (*wanted, None))).collect();
        let session = Session { next_epoch: 1, partitions, first: None, used_at: now };
        let session = Arc::new(Mutex::new(session));
        sessions.insert(new_id, Arc::clone(&session));
        FetchContext { wanted, session_id: new_id, session: Some(session), incremental: false }
    }

    fn go_on(
        &self,
        now: Instant,
        id: i32,
        epoch: i32,
        request: SessionRequest,
    ) -> Result<FetchContext, SessionFault> {
        let session = {
            let sessions = self.sessions.lock();
            // A consumer that would take more than there is begins again, and then goes on without a session.
            if !request.wanted.is_empty() && partitions_of(&sessions) + request.wanted.len() > PARTITIONS_MAX
            {
                return Err(SessionFault::Unknown);
            }
            sessions.get(&id).cloned().ok_or(SessionFault::Unknown)?
        };
        let mut state = session.lock();
        if state.next_epoch != epoch {
            return Err(SessionFault::WrongEpoch);
        }
        state.next_epoch = if epoch == i32::MAX { 1 } else { epoch + 1 };
        state.used_at = now;
        for partition in &request.forgotten {
            state.partitions.remove(partition);
        }
        for (partition, wanted) in request.wanted {
            let told = state.partitions.get(&partition).and_then(|(_, told)| *told);
            state.partitions.insert(partition, (wanted, told));
        }
        let wanted = state.in_turn();
        drop(state);
        Ok(FetchContext { wanted, session_id: id, session: Some(session), incremental: true })
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.sessions.lock().len()
    }
}

fn without_session(wanted: Vec<(PartitionRef, Wanted)>) -> FetchContext {
    FetchContext { wanted, session_id: 0, session: None, incremental: false }
}

fn partitions_of(sessions: &HashMap<i32, Arc<Mutex<Session>>>) -> usize {
    sessions.values().map(|session| session.lock().partitions.len()).sum()
}

/// Whether one more session with `partitions` fits, after the longest silent one had to go if need be.
fn make_room(sessions: &mut HashMap<i32, Arc<Mutex<Session>>>, now: Instant, partitions: usize) -> bool {
    let fits = |sessions: &HashMap<i32, Arc<Mutex<Session>>>| {
        sessions.len() < SESSIONS_MAX && partitions_of(sessions) + partitions <= PARTITIONS_MAX
    };
    if fits(sessions) {
        return true;
    }
    let silent = sessions.iter().map(|(id, session)| (session.lock().used_at, *id)).min();
    match silent {
        Some((used_at, id)) if now.duration_since(used_at) >= EVICTION_AFTER => {
            sessions.remove(&id);
            fits(sessions)
        }
        _ => false,
    }
}

impl Session {
    /// All partitions, beginning with the one whose turn it is.
    fn in_turn(&self) -> Vec<(PartitionRef, Wanted)> {
        let all = || self.partitions.iter().map(|(partition, (wanted, _))| (partition.clone(), *wanted));
        match &self.first {
            None => all().collect(),
            Some(first) => {
                let (before, from): (Vec<_>, Vec<_>) = all().partition(|(partition, _)| partition < first);
                from.into_iter().chain(before).collect()
            }
        }
    }
}

impl FetchContext {
    /// Whether the answer names this partition: always, unless it is incremental and nothing has changed.
    /// Remembers what it says. `told` is empty where the answer is an error, or sends the consumer elsewhere.
    pub fn names(&self, partition: &PartitionRef, told: Option<Told>, has_records: bool) -> bool {
        let Some(session) = &self.session else { return true };
        let mut session = session.lock();
        let Some((_, last_told)) = session.partitions.get_mut(partition) else { return true };
        let changed = told.is_none() || *last_told != told;
        *last_told = told;
        if has_records {
            let next = session
                .partitions
                .range((std::ops::Bound::Excluded(partition), std::ops::Bound::Unbounded))
                .next();
            session.first = next.map(|(next, _)| next.clone());
        }
        has_records || changed || !self.incremental
    }
}

#[cfg(test)]
mod tests;
