//! Many small changes in few transactions: those that come while one is on its way make up the next.
//!
//! A change that does not hold must not take others with it, so a transaction that is refused is taken apart and each
//! of its changes settled alone. Changes of one key are never under way at the same time: whoever owns the key waits
//! for the answer.

use super::settle::{Change, SettleError, Settled};
use super::{Compare, OPERATIONS_MAX, Standing, TRANSACTION_BYTES_MAX, Write};
use tokio::sync::{mpsc, oneshot};

/// Takes changes and gathers them. Clones are the same gatherer.
#[derive(Clone, Debug)]
pub struct Gatherer {
    changes: mpsc::Sender<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    change: Change,
    answer: oneshot::Sender<Result<Settled, SettleError>>,
}

/// Changes that wait for the transaction on its way; past it whoever has another waits.
const WAITING_MAX: usize = 1024;
/// A transaction's own read, of the standing.
const OWN_READS: usize = 1;

impl Gatherer {
    /// A gatherer for the session of `standing`, and its task, which ends when all handles are gone.
    pub fn new(standing: Standing) -> (Gatherer, impl Future<Output = ()> + Send + 'static) {
        let (changes, waiting) = mpsc::channel(WAITING_MAX);
        (Gatherer { changes }, run(standing, waiting))
    }

    /// Settles `change`, together with those of others. See [`Standing::settle`].
    pub async fn settle(&self, change: Change) -> Result<Settled, SettleError> {
        let (answer, settled) = oneshot::channel();
        let ended = || SettleError::Unavailable("the session is ending".to_owned());
        self.changes.send(Waiting { change, answer }).await.map_err(|_| ended())?;
        settled.await.unwrap_or_else(|_| Err(ended()))
    }
}

async fn run(standing: Standing, mut waiting: mpsc::Receiver<Waiting>) {
    let mut held = None;
    loop {
        let first = match held.take() {
            Some(waiting) => waiting,
            None => match waiting.recv().await {
                Some(waiting) => waiting,
                None => return,
            },
        };
        let mut batch = Batch::of(first);
        while let Ok(next) = waiting.try_recv() {
            if let Err(no_room) = batch.add(next) {
                held = Some(no_room);
                break;
            }
        }
        batch.settle(&standing).await;
    }
}

/// Changes that go into one transaction.
struct Batch {
    waiting: Vec<Waiting>,
    compares: usize,
    operations: usize,
    bytes: usize,
}

impl Batch {
    fn of(first: Waiting) -> Batch {
        let mut batch =
            Batch { waiting: Vec::new(), compares: 1, operations: OWN_READS, bytes: STANDING_BYTES_MAX };
        batch.push(first);
        batch
    }

    /// Gives back what has no room, or reads keys: such a change is looked at alone.
    fn add(&mut self, waiting: Waiting) -> Result<(), Waiting> {
        let change = &waiting.change;
        let fits = self.compares + change.compares.len() <= OPERATIONS_MAX
            && self.operations + change.writes.len() <= OPERATIONS_MAX
            && self.bytes + bytes_of(change) <= TRANSACTION_BYTES_MAX;
        let alone =
            !change.reads.is_empty() || self.waiting.iter().any(|other| !other.change.reads.is_empty());
        if fits && !alone {
            self.push(waiting);
            Ok(())
        } else {
            Err(waiting)
        }
    }

    fn push(&mut self, waiting: Waiting) {
        self.compares += waiting.change.compares.len();
        self.operations += waiting.change.writes.len();
        self.bytes += bytes_of(&waiting.change);
        self.waiting.push(waiting);
    }

    async fn settle(self, standing: &Standing) {
        if let [_, _, ..] = self.waiting.as_slice() {
            let changes = || self.waiting.iter().map(|waiting| &waiting.change);
            let together = Change {
                compares: changes().flat_map(|change| change.compares.clone()).collect(),
                writes: changes().flat_map(|change| change.writes.clone()).collect(),
                reads: Vec::new(),
                terms: changes().flat_map(|change| change.terms.clone()).collect(),
            };
            match standing.settle(&together).await {
                // One of them does not hold, or may not be made any more: each for itself, below.
                Ok(Settled::Refused(_)) | Err(SettleError::Closed) => {}
                outcome => {
                    for waiting in self.waiting {
                        let _gone = waiting.answer.send(outcome.clone());
                    }
                    return;
                }
            }
        }
        for Waiting { change, answer } in self.waiting {
            // Whoever asked may have gone away; the change is made all the same.
            let _gone = answer.send(standing.settle(&change).await);
        }
    }
}

/// The standing's key, compared and read.
const STANDING_BYTES_MAX: usize = 1024;

fn bytes_of(change: &Change) -> usize {
    let compares = change.compares.iter().map(Compare::bytes);
    compares.chain(change.writes.iter().map(Write::bytes)).sum()
}

#[cfg(test)]
mod tests;
