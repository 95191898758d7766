//! Follows the metadata store: what other brokers set for groups.
//!
//! Settings change seldom. So what the watch tells is not taken at its word, but has the key read anew while nobody else
//! changes the snapshot: a read that begins now is never older than anything known.

use super::catalog::{GroupSettingsError, Shared};
use super::stored::{self, UnreadableGroupSettings};
use crate::group::GroupId;
use crate::meta::{KeyChange, Watch, WatchEvent};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// Between attempts to read what has changed.
const PACE: Duration = Duration::from_millis(200);

/// Runs until the store is closed, or it is dropped.
pub(super) async fn follow(shared: Arc<Shared>, mut watch: Watch) {
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while let Some(event) = watch.next().await {
        while let Err(error) = hear(&shared, &event).await {
            tracing::warn!(%error, "changed settings of groups could not be read yet");
            pace.tick().await;
        }
    }
}

async fn hear(shared: &Shared, event: &WatchEvent) -> Result<(), GroupSettingsError> {
    let _turn = shared.turn.lock().await;
    let WatchEvent::Changed { changes, .. } = event else { return shared.read_all().await };
    for change in changes {
        match learn(shared, change).await {
            Err(GroupSettingsError::Unreadable(error)) => unreadable(&error),
            learned => learned?,
        }
    }
    Ok(())
}

async fn learn(shared: &Shared, change: &KeyChange) -> Result<(), GroupSettingsError> {
    if let Some(group_id) = news(shared, change)? {
        shared.fetch(&group_id).await?;
    }
    Ok(())
}

/// A value of a later release leaves what is known of the group as it is.
pub(super) fn unreadable(error: &UnreadableGroupSettings) {
    tracing::error!(%error, "settings of a group were changed by a release that is not known here");
}

/// Whose settings may have changed; none if that is known already.
fn news(shared: &Shared, change: &KeyChange) -> Result<Option<GroupId>, UnreadableGroupSettings> {
    let snapshot = shared.snapshot.load();
    match change {
        KeyChange::Put(entry) => {
            let (group_id, _) = stored::decode(entry)?;
            let known = snapshot.get(&group_id).is_some_and(|known| known.revision >= entry.mod_revision);
            Ok((!known).then_some(group_id))
        }
        KeyChange::Deleted(key) => {
            Ok(snapshot.keys().find(|group_id| stored::key(group_id) == *key).cloned())
        }
    }
}
