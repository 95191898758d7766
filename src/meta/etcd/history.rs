//! etcd's own affairs, which are its users' duty: its history is compacted, and its size is watched.
//!
//! etcd keeps every value that a key ever had until someone says from which revision on they are needed. Any broker may.
//! Each looks every five minutes at the key `compaction`: if nobody has rewritten it since the last look, it rewrites it
//! and compacts up to the revision that it saw then. So one broker compacts in five minutes, whoever it is, and at least
//! the last five minutes are kept, for the watches that resume.

use super::api::{CompactionRequest, Nothing, StatusResponse, method};
use super::call::{Client, Failure, Repeat, Space};
use super::translate;
use crate::meta::{Compare, Fullness, MetadataError, Revision, Transaction, Write};
use crate::metrics::MetadataMetrics;
use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// How often what is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// The size.
    pub status: Duration,
    /// The history: after so many looks at the size.
    pub compaction: u32,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { status: Duration::from_secs(15), compaction: 20 }
    }
}

/// How often the size is looked at while etcd takes no writes, at least.
const WITHOUT_SPACE: Duration = Duration::from_secs(1);
/// Rewritten by whoever compacts. Its value is for people: the revision of the last look.
const KEY: &str = "compaction";
/// The first that sends what is long in pieces, and notices of progress as they are needed here.
const OLDEST: (u32, u32) = (3, 4);

/// The task, and what it remembers.
pub(super) struct History {
    client: Arc<Client>,
    fullness: Arc<Mutex<Option<Fullness>>>,
    metrics: MetadataMetrics,
    pace: Pace,
    /// Whether etcd was full when that was looked at last.
    was_full: bool,
    /// The key as it was seen at the last look, and the store's revision then.
    last_look: Option<(Compare, Revision)>,
}

impl History {
    pub(super) fn new(
        client: Arc<Client>,
        fullness: Arc<Mutex<Option<Fullness>>>,
        metrics: MetadataMetrics,
        pace: Pace,
    ) -> History {
        History { client, fullness, metrics, pace, was_full: false, last_look: None }
    }

    /// Refuses an etcd that is too old. One that does not tell is taken as it is.
    pub(super) async fn check_version(&mut self) -> Result<(), MetadataError> {
        let Ok(status) = self.status().await else { return Ok(()) };
        let mut numbers = status.version.split('.').map(str::parse::<u32>);
        if let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next())
            && (major, minor) < OLDEST
        {
            let (major, minor) = OLDEST;
            let found = status.version;
            return Err(MetadataError::Refused(format!("this is etcd {found}, older than {major}.{minor}")));
        }
        self.take(&status);
        Ok(())
    }

    /// Looks until the store is closed.
    pub(super) async fn run(mut self) {
        let mut looks = 0;
        while !self.client.closing.is_cancelled() {
            self.pause().await;
            match self.status().await {
                Ok(status) => self.take(&status),
                Err(failure) => tracing::debug!(?failure, "etcd does not tell its size"),
            }
            if self.client.is_out_of_space() {
                continue;
            }
            looks += 1;
            if looks == self.pace.compaction {
                looks = 0;
                if let Err(error) = self.look().await {
                    tracing::warn!(%error, "etcd's history was not compacted, this is tried again");
                }
            }
        }
    }

    /// Until the next look at the size. Whoever has no space looks often: it may have some any moment.
    async fn pause(&self) {
        let out_of_space = async {
            self.client.out_of_space().await;
            self.client.pause(self.pace.status.min(WITHOUT_SPACE)).await;
        };
        tokio::select! {
            () = self.client.pause(self.pace.status) => {}
            () = out_of_space => {}
        }
    }

    async fn status(&self) -> Result<StatusResponse, Failure> {
        self.client.call(method::STATUS, Nothing {}, Repeat::Freely).await
    }

    fn take(&mut self, status: &StatusResponse) {
        let bytes = |number: i64| u64::try_from(number).unwrap_or_default();
        let quota = bytes(status.db_size_quota);
        let fullness = Fullness {
            bytes: bytes(status.db_size),
            in_use_bytes: bytes(status.db_size_in_use),
            quota_bytes: (quota > 0).then_some(quota),
            takes_writes: !status.errors.iter().any(|alarm| alarm.contains("NOSPACE")),
        };
        *self.fullness.lock() = Some(fullness);
        self.metrics.size_bytes.set(status.db_size);
        self.metrics.size_in_use_bytes.set(status.db_size_in_use);
        self.metrics.quota_bytes.set(status.db_size_quota);
        self.client.on_space(if fullness.takes_writes { Space::Some } else { Space::None });
        self.tell(fullness);
    }

    /// Says, once, that producers are refused, and when they are not any more.
    fn tell(&mut self, fullness: Fullness) {
        let is_full = fullness.is_full();
        self.metrics.full.set(is_full.into());
        let (in_use_bytes, quota_bytes) = (fullness.in_use_bytes, fullness.quota_bytes);
        match (std::mem::replace(&mut self.was_full, is_full), is_full) {
            (false, true) => {
                tracing::error!(
                    in_use_bytes,
                    ?quota_bytes,
                    "ALARM: etcd is full, producers are refused until it is not"
                );
            }
            (true, false) => {
                tracing::info!(in_use_bytes, ?quota_bytes, "etcd has room again, producers are served");
            }
            _ => {}
        }
    }

    /// One look at the history.
    async fn look(&mut self) -> Result<(), MetadataError> {
        let (unchanged, old) = match &self.last_look {
            Some((compare, revision)) => (compare.clone(), Some(*revision)),
            None => (Compare::Absent(KEY.to_owned()), None),
        };
        let value = old.map_or_else(Bytes::new, |revision| revision.0.to_string().into());
        let transaction = Transaction {
            compares: vec![unchanged],
            writes: vec![Write::Put(KEY.to_owned(), value)],
            reads: vec![KEY.to_owned()],
            ..Transaction::default()
        };
        let answer = self.client.transact(&transaction).await?;
        let seen = match answer.reads.first() {
            Some(Some(entry)) => Compare::Unchanged(KEY.to_owned(), entry.mod_revision),
            _ => Compare::Absent(KEY.to_owned()),
        };
        self.last_look = Some((seen, answer.revision));
        match old {
            Some(old) if answer.applied => self.compact(old).await,
            _ => Ok(()),
        }
    }

    async fn compact(&self, before: Revision) -> Result<(), MetadataError> {
        let request = CompactionRequest { revision: translate::number(before) };
        let sent = self.client.call(method::COMPACT, request, Repeat::Freely).await;
        match sent {
            Ok(Nothing {}) => tracing::debug!(revision = before.0, "etcd's history was compacted"),
            // It was, by someone else.
            Err(Failure::Compacted) => {}
            Err(failure) => return Err(failure.into()),
        }
        Ok(())
    }
}
