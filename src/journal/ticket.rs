//! What a producer waits for: the fate of the object that its batch is in.

use std::sync::LazyLock;
use tokio::sync::watch;

/// What became of a journal object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Not known yet.
    Pending,
    /// Stored and committed: it is part of the log for ever.
    Committed,
    /// Its session was sealed before it was committed: it never will be.
    Lost,
}

/// Waits for one object. Clones wait for the same one.
#[derive(Clone, Debug)]
pub struct CommitTicket(watch::Receiver<Outcome>);

/// The other end of a [`CommitTicket`].
#[derive(Debug)]
pub(super) struct TicketIssuer(watch::Sender<Outcome>);

impl TicketIssuer {
    pub(super) fn new() -> TicketIssuer {
        TicketIssuer(watch::Sender::new(Outcome::Pending))
    }

    pub(super) fn ticket(&self) -> CommitTicket {
        CommitTicket(self.0.subscribe())
    }

    pub(super) fn settle(self, outcome: Outcome) {
        self.0.send_replace(outcome);
    }
}

impl CommitTicket {
    /// A ticket for what was committed before this session began.
    #[must_use]
    pub fn committed() -> CommitTicket {
        // One for all: recovery asks for one per row.
        static COMMITTED: LazyLock<CommitTicket> = LazyLock::new(|| {
            let issuer = TicketIssuer::new();
            let ticket = issuer.ticket();
            issuer.settle(Outcome::Committed);
            ticket
        });
        COMMITTED.clone()
    }

    /// What is known now.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        *self.0.borrow()
    }

    /// Waits until the fate is known: [`Outcome::Committed`] or [`Outcome::Lost`]. If the journal ended
    /// without saying so it stays [`Outcome::Pending`]: nobody knows.
    pub async fn settled(&mut self) -> Outcome {
        let _ended = self.0.wait_for(|outcome| *outcome != Outcome::Pending).await.is_err();
        self.outcome()
    }
}
