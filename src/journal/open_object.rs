//! The stages of a journal object before it is in the store: open, then sealed.

use super::row::{ObjectId, Row};
use super::ticket::{CommitTicket, TicketIssuer};
use crate::limits::MemoryPermit;
use std::sync::Arc;
use tokio::time::Instant;

/// Takes rows until it is cut.
#[derive(Debug)]
pub(super) struct OpenObject {
    id: ObjectId,
    rows: Vec<Row>,
    bytes: usize,
    oldest: Option<Instant>,
    issuer: TicketIssuer,
    permits: Vec<Arc<MemoryPermit>>,
}

/// Cut: its rows never change again.
#[derive(Debug)]
pub(super) struct SealedObject {
    pub id: ObjectId,
    pub rows: Vec<Row>,
    pub bytes: usize,
    pub issuer: TicketIssuer,
    /// The memory of the requests that the rows came in, held until the commit.
    pub permits: Vec<Arc<MemoryPermit>>,
}

impl OpenObject {
    pub fn new(id: ObjectId) -> OpenObject {
        OpenObject {
            id,
            rows: Vec::new(),
            bytes: 0,
            oldest: None,
            issuer: TicketIssuer::new(),
            permits: Vec::new(),
        }
    }

    pub fn push(&mut self, now: Instant, row: Row, permit: Arc<MemoryPermit>) -> CommitTicket {
        self.oldest.get_or_insert(now);
        self.bytes += row.batch.len();
        self.rows.push(row);
        // The rows of a request come one after the other, and one permit covers them all.
        if !self.permits.last().is_some_and(|last| Arc::ptr_eq(last, &permit)) {
            self.permits.push(permit);
        }
        self.issuer.ticket()
    }

    pub fn id(&self) -> ObjectId {
        self.id
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn oldest(&self) -> Option<Instant> {
        self.oldest
    }

    pub fn seal(self) -> SealedObject {
        assert!(!self.rows.is_empty(), "an empty object is never cut");
        let OpenObject { id, rows, bytes, issuer, permits, .. } = self;
        SealedObject { id, rows, bytes, issuer, permits }
    }
}
