//! Objects that nobody refers to any more. They are deleted when every read that may have begun before has ended.

use crate::store::{ObjectPath, ObjectStore};
use crate::types::Moment;
use futures_util::{StreamExt, stream};
use std::collections::VecDeque;
use std::time::Duration;

/// Objects that wait for their end.
#[derive(Debug)]
pub(super) struct Graveyard {
    /// Longer than any read.
    grace: Duration,
    /// In the order of their time.
    waiting: VecDeque<(Moment, ObjectPath)>,
}

/// Deletions of one round.
const DELETIONS_MAX: usize = 1_000;
const AT_ONCE: usize = 16;

impl Graveyard {
    /// Nothing is in it. What comes lies for `grace`.
    pub fn new(grace: Duration) -> Graveyard {
        Graveyard { grace, waiting: VecDeque::new() }
    }

    /// Nobody refers to these from now on.
    pub fn bury(&mut self, now: Moment, objects: impl IntoIterator<Item = ObjectPath>) {
        let due = now + self.grace;
        self.waiting.extend(objects.into_iter().map(|object| (due, object)));
    }

    /// Deletes those whose time has come. What cannot be deleted is tried again.
    pub async fn clear(&mut self, now: Moment, store: &ObjectStore) {
        let due = self.waiting.iter().take(DELETIONS_MAX).take_while(|(at, _)| *at <= now).count();
        let due: Vec<ObjectPath> = self.waiting.drain(..due).map(|(_, object)| object).collect();
        let deletions = stream::iter(due).map(async |object| (store.delete(&object).await, object));
        let mut deletions = deletions.buffer_unordered(AT_ONCE);
        while let Some((deleted, object)) = deletions.next().await {
            if let Err(error) = deleted {
                tracing::warn!(%object, %error, "an object could not be deleted, it is tried again");
                self.waiting.push_back((now + self.grace, object));
            }
        }
    }
}
