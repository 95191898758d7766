//! Long polls: a fetch that found too little waits here, on every partition it asked for.

use std::sync::{Arc, Weak};
use tokio::sync::Notify;

/// A fetch that waits. It is registered before it looks, so that no commit slips between.
#[derive(Clone, Debug, Default)]
pub struct Waiter(Arc<Notify>);

impl Waiter {
    /// Waits until one of the partitions it is registered with has something new.
    pub async fn woken(&self) {
        self.0.notified().await;
    }
}

/// Who waits for one thing.
#[derive(Debug, Default)]
pub struct Waiters {
    waiting: Vec<Weak<Notify>>,
    /// When the list reaches this length, those that have gone are dropped from it.
    prune_at: usize,
}

impl Waiters {
    /// One more. It is forgotten when it is dropped.
    pub fn register(&mut self, waiter: &Waiter) {
        if self.waiting.len() >= self.prune_at.max(PRUNE_MIN) {
            self.waiting.retain(|waiting| waiting.strong_count() > 0);
            self.prune_at = self.waiting.len() * 2;
        }
        self.waiting.push(Arc::downgrade(&waiter.0));
    }

    /// The same, for who may have registered before.
    pub fn register_once(&mut self, waiter: &Waiter) {
        let is_known = |known: &Weak<Notify>| std::ptr::eq(known.as_ptr(), Arc::as_ptr(&waiter.0));
        if !self.waiting.iter().any(is_known) {
            self.register(waiter);
        }
    }

    /// Whether anybody waits.
    #[must_use]
    pub fn any(&self) -> bool {
        self.waiting.iter().any(|waiting| waiting.strong_count() > 0)
    }

    /// Has everybody look again.
    pub fn wake(&mut self) {
        // Who waits on goes on being told; who has gone is forgotten.
        self.waiting.retain(|waiting| {
            let waiting = waiting.upgrade();
            if let Some(waiting) = &waiting {
                waiting.notify_one();
            }
            waiting.is_some()
        });
    }
}

const PRUNE_MIN: usize = 16;
