//! The commit: the one write that makes stored objects part of the log.
//!
//! Objects are committed in the order of their numbers, as many at a time as are stored. The transaction
//! compares the session's standing and its journal key, so nothing rests on leases or clocks. An answer that
//! does not come is settled by reading back, which proves something here because the next attempt compares
//! the same key.
//!
//! A view is acknowledged by such a commit, too: of all that was taken in for what the view takes away, and with the
//! standing rewritten. What comes after it is of another standing.

use super::encode::EncodedObject;
use super::flusher::JournalEnd;
use super::index_object::IndexedObject;
use super::indexer::Indexer;
use super::row::{ObjectId, Span};
use super::session::BrokerSession;
use super::ticket::{Outcome, TicketIssuer};
use crate::limits::MemoryPermit;
use crate::meta::MetadataError;
use crate::metrics::Metrics;
use crate::planted::{self, Mistake};
use crate::store::ObjectStore;
use crate::types::ViewNumber;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// What became part of the log.
#[derive(Clone, Debug)]
pub struct CommittedObject {
    /// Which object.
    pub id: ObjectId,
    /// What it holds.
    pub spans: Vec<Span>,
    /// All its bytes.
    pub bytes: Bytes,
}

/// Learns of each commit, in order, before any producer does.
pub type CommitSink = Box<dyn Fn(CommittedObject) + Send + Sync>;

/// In the store, and not yet part of the log.
#[derive(Debug)]
pub(super) struct StoredObject {
    pub id: ObjectId,
    pub object: EncodedObject,
    pub issuer: TicketIssuer,
    pub _permits: Vec<Arc<MemoryPermit>>,
}

/// A view to be acknowledged.
#[derive(Debug)]
pub(super) struct AckRequest {
    pub view: ViewNumber,
    /// The last object that may hold something of what the view takes away.
    pub until: u64,
    pub acked: oneshot::Sender<()>,
}

pub(super) struct Committer {
    session: BrokerSession,
    sink: CommitSink,
    indexer: Indexer,
    metrics: Arc<Metrics>,
    /// Stored, waiting for one before them.
    stored: BTreeMap<u64, StoredObject>,
    /// Views to be acknowledged, in their order.
    acks: VecDeque<AckRequest>,
}

/// What became of a commit. "I don't know" is settled before this is returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CommitOutcome {
    Committed,
    /// The session was sealed; its journal ends here.
    Sealed {
        final_seq: u64,
    },
}

impl Committer {
    pub fn new(
        session: BrokerSession,
        store: ObjectStore,
        sink: CommitSink,
        metrics: Arc<Metrics>,
    ) -> Committer {
        let indexer = Indexer::new(session.id(), store);
        Committer { session, sink, indexer, metrics, stored: BTreeMap::new(), acks: VecDeque::new() }
    }

    /// Commits what arrives until nothing more can, or until the session is sealed.
    pub async fn run(
        mut self,
        mut arrivals: mpsc::Receiver<StoredObject>,
        mut acks: mpsc::Receiver<AckRequest>,
    ) -> JournalEnd {
        loop {
            tokio::select! {
                arrived = arrivals.recv() => match arrived {
                    Some(object) => _ = self.stored.insert(object.id.seq, object),
                    None => break,
                },
                // The journal's door has the other end for as long as objects may arrive.
                Some(ack) = acks.recv() => self.acks.push_back(ack),
            }
            while let Ok(object) = arrivals.try_recv() {
                self.stored.insert(object.id.seq, object);
            }
            if let Some(end) = self.go_on().await {
                return end;
            }
        }
        if let Err(error) = self.session.sync_journal().await {
            tracing::warn!(%error, "the end of the journal was not written, recovery will find it");
        }
        JournalEnd::Drained
    }

    /// Commits what is stored, and acknowledges what may be.
    async fn go_on(&mut self) -> Option<JournalEnd> {
        let last = self.last_of_prefix().unwrap_or(self.session.committed());
        let ready = self.acks.iter().take_while(|ack| ack.until <= last).count();
        let ready: Vec<AckRequest> = self.acks.drain(..ready).collect();
        let newest = ready.iter().map(|ack| ack.view).max();
        let ack = newest.filter(|view| *view > self.session.acked_view());
        if last > self.session.committed() || ack.is_some() {
            match self.commit(last, ack).await {
                CommitOutcome::Committed => {}
                CommitOutcome::Sealed { final_seq } => {
                    self.end(final_seq);
                    return Some(JournalEnd::Sealed);
                }
            }
        }
        if ack.is_some() {
            self.indexer.on_acknowledged(self.session.committed());
        }
        for ack in ready {
            let _gone = ack.acked.send(());
        }
        None
    }

    /// The last of the objects that follow the committed ones without a gap.
    fn last_of_prefix(&self) -> Option<u64> {
        let next = self.session.committed() + 1;
        let numbers = self.stored.keys().zip(next..);
        numbers.take_while(|(stored, expected)| *stored == expected).last().map(|(stored, _)| *stored)
    }

    async fn commit(&mut self, last: u64, ack: Option<ViewNumber>) -> CommitOutcome {
        let started = Instant::now();
        let mut pause = RETRY_PAUSE_MIN;
        if planted::is_planted(Mistake::AcknowledgeBeforeCommit) {
            self.publish(last);
        }
        let outcome = loop {
            match self.session.commit_journal(last, ack).await {
                Ok(outcome) => break outcome,
                // As when it is full: whoever looks after it is told so, and the commit is made as soon as it takes it.
                Err(MetadataError::Refused(why)) => {
                    tracing::error!(
                        seq = last,
                        why,
                        "the metadata store refuses a journal commit, it is repeated"
                    );
                    tokio::time::sleep(RETRY_PAUSE_MAX).await;
                }
                Err(error) => {
                    tracing::warn!(seq = last, %error, "a journal commit has no answer, it is settled");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RETRY_PAUSE_MAX);
                }
            }
        };
        if outcome == CommitOutcome::Committed {
            self.metrics.journal.commits.inc();
            self.metrics.journal.commit_seconds.observe(started.elapsed().as_secs_f64());
            self.publish(last);
        }
        outcome
    }

    /// Tells the log, then the producers.
    fn publish(&mut self, last: u64) {
        let later = self.stored.split_off(&(last + 1));
        for (_, object) in std::mem::replace(&mut self.stored, later) {
            let EncodedObject { bytes, rows, byte_ranges, spans } = object.object;
            let indexed = IndexedObject { bytes: bytes.len() as u64, rows, byte_ranges };
            (self.sink)(CommittedObject { id: object.id, spans, bytes });
            object.issuer.settle(Outcome::Committed);
            self.indexer.on_committed(object.id.seq, indexed);
        }
    }

    /// The last commit may have been made before the seal; what is beyond it never will be.
    fn end(&mut self, final_seq: u64) {
        self.publish(final_seq);
        for (_, object) in std::mem::take(&mut self.stored) {
            object.issuer.settle(Outcome::Lost);
        }
    }
}

const RETRY_PAUSE_MIN: Duration = Duration::from_millis(20);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(1);
