//! Tasks that own one thing each, found by its name. A task begins with the first call for its thing, and ends when
//! it retires or all mailboxes are closed.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use tokio::sync::{mpsc, watch};

/// The mailboxes of tasks that each own what a key names.
#[derive(Debug)]
pub struct Mailboxes<K, C> {
    open: Mutex<HashMap<K, mpsc::Sender<C>>>,
    open_max: usize,
    closed: watch::Sender<bool>,
}

/// Why a call was not put into a mailbox. Nothing comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undelivered {
    /// All mailboxes were closed.
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

    /// Puts a call into the mailbox of `key`; `begin` starts the task of one that was not open. Waits while it is full.
    pub async fn send(
        &self,
        key: &K,
        mut call: C,
        begin: impl Fn(mpsc::Receiver<C>),
    ) -> Result<(), Undelivered> {
        loop {
            // A task may retire at the very moment its mailbox is written to; then there is a new one.
            match self.mailbox(key, &begin)?.send(call).await {
                Ok(()) => return Ok(()),
                Err(mpsc::error::SendError(unsent)) => call = unsent,
            }
        }
    }

    /// Puts a call into the mailbox of `key` if its task runs; whether it does.
    pub async fn send_if_open(&self, key: &K, call: C) -> bool {
        let mailbox = self.open.lock().get(key).cloned();
        match mailbox {
            Some(mailbox) => mailbox.send(call).await.is_ok(),
            None => false,
        }
    }

    fn mailbox(&self, key: &K, begin: impl Fn(mpsc::Receiver<C>)) -> Result<mpsc::Sender<C>, Undelivered> {
        let mut open = self.open.lock();
        if *self.closed.borrow() {
            return Err(Undelivered::Closed);
        }
        if let Some(mailbox) = open.get(key).filter(|mailbox| !mailbox.is_closed()) {
            return Ok(mailbox.clone());
        }
        if open.len() >= self.open_max {
            return Err(Undelivered::TooMany);
        }
        let (mailbox, calls) = mpsc::channel(MAILBOX_MAX);
        open.insert(key.clone(), mailbox.clone());
        begin(calls);
        Ok(mailbox)
    }

    /// Closes one mailbox if nothing is in it; its task ends then.
    pub fn retire(&self, key: &K, calls: &mpsc::Receiver<C>) -> bool {
        let mut open = self.open.lock();
        let is_quiet = calls.is_empty();
        if is_quiet {
            open.remove(key);
        }
        is_quiet
    }

    /// Whose tasks run now.
    #[must_use]
    pub fn keys(&self) -> Vec<K> {
        self.open.lock().keys().cloned().collect()
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
