//! Follows the metadata store: topics that other brokers create, alter, grow and delete.
//!
//! The watch tells of each change once and in order, so it is also what says when a partition came to be: by the first
//! event with a count that has it. What a listing has came to be at some time before.

use super::knowledge::{Knowledge, News};
use super::snapshot::Known;
use super::{CatalogError, Topic};
use crate::hashing::{HashMap, HashSet};
use crate::meta::{Entry, KeyChange, Listing, Revision, Watch, WatchEvent};
use crate::topic::stored;
use crate::types::TopicId;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// Between attempts to read what has to be looked up.
const PACE: Duration = Duration::from_millis(200);

/// How many partitions each topic has, as far as the watch has told: those of a topic that cannot be read are
/// [`UNKNOWN`].
pub(super) type Told = HashMap<TopicId, i32>;

/// More partitions than any topic has: nothing that is told later of such a topic says that a partition was born.
const UNKNOWN: i32 = i32::MAX;

/// Runs until the store is closed, or it is dropped.
pub(super) async fn follow(knowledge: Arc<Knowledge>, mut watch: Watch, mut told: Told) {
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while let Some(event) = watch.next().await {
        let event = understand(event, &mut told);
        while let Err(error) = knowledge.hear(&event).await {
            tracing::warn!(%error, "what changed of the topics could not be looked up yet");
            pace.tick().await;
        }
    }
}

/// An event, decoded.
pub(super) enum Event {
    Changed(Vec<News>),
    /// All topics at a revision, and those of them that cannot be read.
    Listed(Revision, Vec<Known>, HashSet<TopicId>),
}

pub(super) fn understand(event: WatchEvent, told: &mut Told) -> Event {
    match event {
        WatchEvent::Changed { revision, changes } => {
            Event::Changed(changes.iter().filter_map(|change| news(change, revision, told)).collect())
        }
        WatchEvent::Listed(listing) => {
            let event = listed(&listing);
            if let Event::Listed(_, topics, unreadable) = &event {
                *told = topics.iter().map(|known| (known.topic.id, known.topic.partitions)).collect();
                told.extend(unreadable.iter().map(|topic_id| (*topic_id, UNKNOWN)));
            }
            event
        }
    }
}

fn news(change: &KeyChange, revision: Revision, told: &mut Told) -> Option<News> {
    match change {
        KeyChange::Put(entry) => {
            let Some(topic) = decode(entry) else {
                told.extend(stored::topic_of_key(&entry.key).map(|topic_id| (topic_id, UNKNOWN)));
                return None;
            };
            let before = told.insert(topic.id, topic.partitions).unwrap_or(0);
            let born = before..topic.partitions;
            Some(News::Is(Known::seen(Arc::new(topic), entry.mod_revision, born)))
        }
        KeyChange::Deleted(key) => {
            let topic_id = stored::topic_of_key(key)?;
            told.remove(&topic_id);
            Some(News::Gone(topic_id, revision))
        }
    }
}

fn listed(listing: &Listing) -> Event {
    let (mut topics, mut unreadable) = (Vec::with_capacity(listing.entries.len()), HashSet::default());
    for entry in &listing.entries {
        match decode(entry) {
            Some(topic) => topics.push(Known::found(Arc::new(topic), entry.mod_revision)),
            None => unreadable.extend(stored::topic_of_key(&entry.key)),
        }
    }
    Event::Listed(listing.revision, topics, unreadable)
}

/// A value of a later release leaves what is known of its topic as it is.
fn decode(entry: &Entry) -> Option<Topic> {
    let decoded = stored::decode_topic(entry);
    decoded
        .inspect_err(
            |error| tracing::error!(%error, "a topic was changed by a release that is not known here"),
        )
        .ok()
}

impl Knowledge {
    /// Takes what the watch tells.
    pub(super) async fn hear(&self, event: &Event) -> Result<(), CatalogError> {
        let _turn = self.turn.lock().await;
        match event {
            Event::Changed(news) => self.take(&self.believable(news).await?),
            Event::Listed(revision, ..) if self.may_be_gone(*revision) => {
                self.take_listing(&listed(&self.store.list(stored::TOPICS).await?));
            }
            listing @ Event::Listed(..) => self.take_listing(listing),
        }
        Ok(())
    }

    /// What is told of topics that are not known is looked up if they may be gone by now.
    async fn believable(&self, news: &[News]) -> Result<Vec<News>, CatalogError> {
        let mut believable = Vec::with_capacity(news.len());
        for news in news {
            if let News::Is(known) = news {
                let is_known = self.snapshot.load().by_id(known.topic.id).is_some();
                let in_doubt = !is_known && self.may_be_gone(known.revision);
                if in_doubt && self.fetch(known.topic.id).await?.is_none() {
                    continue;
                }
            }
            believable.push(news.clone());
        }
        Ok(believable)
    }

    /// Takes a listing as what there is, but for what is known from after it.
    fn take_listing(&self, listing: &Event) {
        let Event::Listed(revision, topics, unreadable) = listing else { return };
        let listed: HashSet<TopicId> = topics.iter().map(|known| known.topic.id).collect();
        let snapshot = self.snapshot.load();
        let is_gone = |known: &&Known| {
            !listed.contains(&known.topic.id)
                && !unreadable.contains(&known.topic.id)
                && known.revision <= *revision
        };
        // What this revision itself wrote, it lists.
        let by = Revision(revision.0 + 1);
        let gone = snapshot.all().filter(is_gone).map(|known| News::Gone(known.topic.id, by));
        let news: Vec<News> = gone.chain(topics.iter().cloned().map(News::Is)).collect();
        self.take(&news);
    }
}
