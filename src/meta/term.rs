//! A part of a session's right to write that a view may take away: one partition's, one group's, one transactional id's.
//!
//! A session acknowledges a view by rewriting its standing, and before that it closes the terms of what it no longer leads.
//! Whoever writes under a term takes the compare of the standing *first*, then sees that the term is open, then sends:
//! so whatever is sent compares a standing from before the acknowledgement, and cannot land behind it.

use std::sync::Arc;
use tokio::sync::watch;

/// A term. Clones are the same one; once closed it stays closed.
#[derive(Clone, Debug)]
pub struct Term {
    open: Arc<watch::Sender<bool>>,
}

impl Term {
    /// An open one.
    #[must_use]
    pub fn new() -> Term {
        Term { open: Arc::new(watch::Sender::new(true)) }
    }

    /// Whether it is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self.open.borrow()
    }

    /// Closes it for good.
    pub fn close(&self) {
        self.open.send_if_modified(std::mem::take);
    }

    /// Waits until it is closed.
    pub async fn closed(&self) {
        let mut open = self.open.subscribe();
        // The sender lives in `self`, so the channel cannot close.
        let _ = open.wait_for(|open| !*open).await;
    }

    /// Whether somebody besides this handle has it.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.open) > 1
    }
}

impl Default for Term {
    fn default() -> Term {
        Term::new()
    }
}

impl PartialEq for Term {
    fn eq(&self, other: &Term) -> bool {
        Arc::ptr_eq(&self.open, &other.open)
    }
}

impl Eq for Term {}
