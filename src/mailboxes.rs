//! Tasks that own one thing each, found by its name, under a term: the right of this session to serve the thing.
//!
//! A task begins with the first call for its thing, and ends when it retires, when its term is closed, or when all
//! mailboxes are closed. A thing that comes back to this session comes under another term, and has another task: calls of
//! one term never reach the task of another, so nobody is answered from what was read before the thing was away.
//!
//! Never: it decides nothing about terms; `leadership` does.

mod gains;
mod terms;

pub use gains::{Gained, Gains};
pub use terms::{NoTerm, term_of};

use crate::hashing::HashMap;
use crate::meta::Term;
use parking_lot::Mutex;
use std::hash::Hash;
use tokio::sync::{mpsc, watch};

/// The mailboxes of tasks that each own what a key names.
#[derive(Debug)]
pub struct Mailboxes<K, C> {
    open: Mutex<HashMap<K, Mailbox<C>>>,
    open_max: usize,
    closed: watch::Sender<bool>,
}

#[derive(Debug)]
struct Mailbox<C> {
    term: Term,
    calls: mpsc::Sender<C>,
}

/// Why a call was not put into a mailbox. Nothing comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undelivered {
    /// The term was closed, or all mailboxes were.
    #[error("no calls are taken any more")]
    Closed,
    /// As many tasks run as may.
    #[error("too many things are at hand")]
    TooMany,
}

/// Calls that wait for one task; past it whoever has another waits.
const MAILBOX_MAX: usize = 1024;

impl<K: Clone + Eq + Hash, C> Mailboxes<K, C> {
    /// No task runs yet; at most `open_max` will at once.
    #[must_use]
    pub fn new(open_max: usize) -> Mailboxes<K, C> {
        Mailboxes { open: Mutex::default(), open_max, closed: watch::Sender::new(false) }
    }

    /// Puts a call into the mailbox of `key` under `term`; `begin` starts the task if none runs under that term. Waits
    /// while the mailbox is full.
    pub async fn send(
        &self,
        key: &K,
        term: &Term,
        mut call: C,
        begin: impl Fn(mpsc::Receiver<C>),
    ) -> Result<(), Undelivered> {
        loop {
            // A task may retire at the very moment its mailbox is written to; then there is a new one.
            match self.mailbox(key, term, &begin)?.send(call).await {
                Ok(()) => return Ok(()),
                Err(mpsc::error::SendError(unsent)) => call = unsent,
            }
        }
    }

    /// Puts a call into the mailbox of `key` if its task runs; whether it does.
    pub async fn send_if_open(&self, key: &K, call: C) -> bool {
        let mailbox = self.open.lock().get(key).map(|mailbox| mailbox.calls.clone());
        match mailbox {
            Some(mailbox) => mailbox.send(call).await.is_ok(),
            None => false,
        }
    }

    fn mailbox(
        &self,
        key: &K,
        term: &Term,
        begin: impl Fn(mpsc::Receiver<C>),
    ) -> Result<mpsc::Sender<C>, Undelivered> {
        let mut open = self.open.lock();
        if *self.closed.borrow() || !term.is_open() {
            return Err(Undelivered::Closed);
        }
        let found = open.get(key).filter(|mailbox| mailbox.term == *term);
        if let Some(mailbox) = found.filter(|mailbox| !mailbox.calls.is_closed()) {
            return Ok(mailbox.calls.clone());
        }
        if open.len() >= self.open_max && !open.contains_key(key) {
            return Err(Undelivered::TooMany);
        }
        let (calls, mailbox) = mpsc::channel(MAILBOX_MAX);
        open.insert(key.clone(), Mailbox { term: term.clone(), calls: calls.clone() });
        begin(mailbox);
        Ok(calls)
    }

    /// Closes one mailbox if nothing is in it; its task ends then. So it does if the term has none any more.
    pub fn retire(&self, key: &K, term: &Term, calls: &mpsc::Receiver<C>) -> bool {
        let mut open = self.open.lock();
        if open.get(key).is_none_or(|mailbox| mailbox.term != *term) {
            return true;
        }
        let is_quiet = calls.is_empty();
        if is_quiet {
            open.remove(key);
        }
        is_quiet
    }

    /// Closes the mailbox of a term that was closed, whatever is in it. Another term's stays.
    pub fn abandon(&self, key: &K, term: &Term) {
        let mut open = self.open.lock();
        if open.get(key).is_some_and(|mailbox| mailbox.term == *term) {
            open.remove(key);
        }
    }

    /// Whose tasks run now.
    #[must_use]
    pub fn keys(&self) -> Vec<K> {
        self.open.lock().keys().cloned().collect()
    }

    /// Whether a task of that thing runs under that term.
    #[must_use]
    pub fn has(&self, key: &K, term: &Term) -> bool {
        self.open.lock().get(key).is_some_and(|mailbox| mailbox.term == *term)
    }

    /// Takes no calls any more: each task ends when it has taken those in its mailbox.
    pub fn close(&self) {
        let mut open = self.open.lock();
        self.closed.send_replace(true);
        open.clear();
    }

    /// Tells when the mailboxes are closed.
    #[must_use]
    pub fn closed(&self) -> watch::Receiver<bool> {
        self.closed.subscribe()
    }
}

#[cfg(test)]
mod tests;
