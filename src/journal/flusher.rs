//! The journal's door, and the task that cuts objects and puts them, several at a time.

use super::committer::{AckRequest, CommitSink, Committer, StoredObject};
use super::cutter::{self, Cut, Situation};
use super::encode::{EncodedObject, encode};
use super::open_object::{OpenObject, SealedObject};
use super::row::{ObjectId, Row};
use super::session::BrokerSession;
use super::ticket::CommitTicket;
use crate::config::JournalConfig;
use crate::limits::MemoryPermit;
use crate::metrics::Metrics;
use crate::store::{ObjectStore, paths};
use crate::types::ViewNumber;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

/// A batch that has its offsets, and the memory it came in.
#[derive(Debug)]
pub struct AppendRow {
    /// The batch.
    pub row: Row,
    /// Held until the batch is committed.
    pub permit: Arc<MemoryPermit>,
}

/// The session has ended: nothing is taken in any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the journal of this session is closed")]
pub struct JournalClosed;

/// Takes rows in. Clones are the same journal.
#[derive(Clone, Debug)]
pub struct Journal {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    intake: Mutex<Intake>,
    /// Rung when there may be something to cut.
    wake: Notify,
    config: JournalConfig,
    acks: mpsc::Sender<AckRequest>,
}

#[derive(Debug)]
struct Intake {
    open: OpenObject,
    /// Objects that reached their size before a PUT could start.
    full: VecDeque<OpenObject>,
    closed: bool,
}

/// What a journal runs on.
#[derive(Debug)]
pub struct JournalStart {
    /// Whose journal it is.
    pub session: BrokerSession,
    /// Where objects go.
    pub store: ObjectStore,
    /// Its pace.
    pub config: JournalConfig,
    /// Where figures go.
    pub metrics: Arc<Metrics>,
}

impl Journal {
    /// Starts the journal's tasks. `sink` learns of every commit, in order, before the producers do. The
    /// future ends when the journal was closed and everything is committed, or when the session was sealed.
    pub fn start(
        start: JournalStart,
        sink: CommitSink,
    ) -> (Journal, impl Future<Output = JournalEnd> + Send) {
        let first = ObjectId { session: start.session.id(), seq: 1 };
        let intake = Intake { open: OpenObject::new(first), full: VecDeque::new(), closed: false };
        let (acks, ack_requests) = mpsc::channel(ACKS_MAX);
        let shared = Shared { intake: Mutex::new(intake), wake: Notify::new(), config: start.config, acks };
        let shared = Arc::new(shared);
        let (stored_sender, stored) = mpsc::channel(start.config.puts_in_flight.max(1));
        let JournalStart { session, store, metrics, .. } = start;
        let flusher = Flusher {
            shared: Arc::clone(&shared),
            store: store.clone(),
            stored: stored_sender,
            metrics: Arc::clone(&metrics),
            puts: JoinSet::new(),
        };
        let committer = Committer::new(session, store, sink, metrics);
        let journal = Journal { shared };
        let on_end = journal.clone();
        let run = async move {
            let end = tokio::select! {
                end = committer.run(stored, ack_requests) => end,
                end = flusher.run() => end,
            };
            on_end.stop();
            end
        };
        (journal, run)
    }

    /// Takes a batch in. It is in the log when the ticket says so, and not before.
    pub fn append(&self, append: AppendRow) -> Result<CommitTicket, JournalClosed> {
        let mut intake = self.shared.intake.lock();
        if intake.closed {
            return Err(JournalClosed);
        }
        let full = intake.open.bytes() + append.row.batch.len() > self.shared.config.flush_bytes;
        if full && !intake.open.is_empty() {
            intake.roll();
        }
        let ticket = intake.open.push(Instant::now(), append.row, append.permit);
        drop(intake);
        self.shared.wake.notify_one();
        Ok(ticket)
    }

    /// Acknowledges a view when all that was taken in before is committed; what it takes away is closed already. Returns when
    /// it is acknowledged; an error: the session has ended.
    pub async fn acknowledge(&self, view: ViewNumber) -> Result<(), JournalClosed> {
        let (acked, is_acked) = oneshot::channel();
        let until = {
            let mut intake = self.shared.intake.lock();
            if !intake.open.is_empty() {
                intake.roll();
            }
            intake.open.id().seq - 1
        };
        self.shared.wake.notify_one();
        self.shared.acks.send(AckRequest { view, until, acked }).await.map_err(|_| JournalClosed)?;
        is_acked.await.map_err(|_| JournalClosed)
    }

    /// Takes nothing more in, and cuts what is open at once.
    pub fn close(&self) {
        self.shared.intake.lock().closed = true;
        self.shared.wake.notify_one();
    }

    /// After the end: what was never cut is dropped, so that nobody waits for it.
    fn stop(&self) {
        let mut intake = self.shared.intake.lock();
        intake.closed = true;
        intake.full.clear();
        intake.roll();
        intake.full.clear();
    }
}

impl Intake {
    fn roll(&mut self) {
        let id = self.open.id();
        let next = OpenObject::new(ObjectId { seq: id.seq + 1, ..id });
        self.full.push_back(std::mem::replace(&mut self.open, next));
    }
}

/// Views that wait to be acknowledged.
const ACKS_MAX: usize = 16;

/// How a journal ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalEnd {
    /// It was closed, and all that it took in is committed.
    Drained,
    /// Its session was sealed.
    Sealed,
    /// It cannot go on: a part of it failed. What was not committed is not known.
    Failed,
}

struct Flusher {
    shared: Arc<Shared>,
    store: ObjectStore,
    stored: mpsc::Sender<StoredObject>,
    metrics: Arc<Metrics>,
    puts: JoinSet<()>,
}

enum Next {
    Put(SealedObject),
    Until(Option<Instant>),
    Drained,
}

impl Flusher {
    /// Runs until it is dropped; when the journal is closed and all is stored it lets go of the committer,
    /// which then ends by itself.
    async fn run(mut self) -> JournalEnd {
        loop {
            match self.next() {
                Next::Put(sealed) => self.start_put(sealed),
                Next::Until(at) => {
                    if let Err(panicked) = self.wait(at).await {
                        tracing::error!(error = %panicked, "a journal put ended without an answer");
                        return JournalEnd::Failed;
                    }
                }
                Next::Drained => break,
            }
        }
        drop(self.stored);
        std::future::pending().await
    }

    fn next(&mut self) -> Next {
        let mut intake = self.shared.intake.lock();
        let in_flight = self.puts.len();
        if in_flight < self.shared.config.puts_in_flight
            && let Some(full) = intake.full.pop_front()
        {
            return Next::Put(full.seal());
        }
        let draining = intake.closed;
        if draining && intake.open.is_empty() && intake.full.is_empty() && in_flight == 0 {
            return Next::Drained;
        }
        let situation =
            Situation { open_bytes: intake.open.bytes(), oldest: intake.open.oldest(), in_flight };
        let pace = if draining {
            JournalConfig { flush_interval: Duration::ZERO, ..self.shared.config }
        } else {
            self.shared.config
        };
        match cutter::decide(&pace, Instant::now(), situation) {
            Cut::Now => {
                intake.roll();
                Next::Put(intake.full.pop_front().expect("it was just rolled").seal())
            }
            Cut::At(at) => Next::Until(Some(at)),
            Cut::Wait => Next::Until(None),
        }
    }

    async fn wait(&mut self, until: Option<Instant>) -> Result<(), JoinError> {
        let deadline = async {
            match until {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.shared.wake.notified() => Ok(()),
            () = deadline => Ok(()),
            Some(put) = self.puts.join_next() => put,
        }
    }

    fn start_put(&mut self, sealed: SealedObject) {
        let (store, stored, metrics) = (self.store.clone(), self.stored.clone(), Arc::clone(&self.metrics));
        self.puts.spawn(async move {
            let object = put(&store, &metrics, sealed).await;
            // The committer is gone only when the session has ended.
            let _ended = stored.send(object).await.is_err();
        });
    }
}

/// Encodes the object and repeats its PUT, with the same bytes and under the same name, until it is stored.
async fn put(store: &ObjectStore, metrics: &Metrics, sealed: SealedObject) -> StoredObject {
    let SealedObject { id, rows, bytes, issuer, permits } = sealed;
    let object = encode_beside(id, rows, bytes).await;
    let path = paths::journal_object(id.session, id.seq);
    let mut pause = RETRY_PAUSE_MIN;
    loop {
        let started = Instant::now();
        match store.put(&path, object.bytes.clone()).await {
            Ok(()) => {
                metrics.journal.objects_put.inc();
                metrics.journal.put_bytes.inc_by(object.bytes.len() as u64);
                metrics.journal.put_seconds.observe(started.elapsed().as_secs_f64());
                return StoredObject { id, object, issuer, _permits: permits };
            }
            Err(error) => {
                metrics.journal.put_retries.inc();
                tracing::warn!(object = %id, %error, pause_ms = pause.as_millis() as u64, "a journal put failed, it is repeated");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(RETRY_PAUSE_MAX);
            }
        }
    }
}

const RETRY_PAUSE_MIN: Duration = Duration::from_millis(50);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(2);

/// A large object is encoded on a thread that may block, so that no connection waits for it.
async fn encode_beside(id: ObjectId, rows: Vec<Row>, bytes: usize) -> EncodedObject {
    if bytes < ENCODE_INLINE_BYTES_MAX {
        return encode(id, rows);
    }
    crate::background::blocking(move || encode(id, rows)).await.expect("encoding does not panic")
}

const ENCODE_INLINE_BYTES_MAX: usize = 128 * 1024;
