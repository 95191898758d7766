//! What a session knows of the metadata that views rest on: the view, who stands, who is alive, who was drained.

use crate::cluster::{Stand, Standings};
use crate::leadership::Sessions;
use crate::meta::keys::sessions::Session;
use crate::meta::keys::view::View;
use crate::meta::keys::{alive, drained, sessions, view};
use crate::meta::{Entry, MetadataError, MetadataStore, Mirror, Revision, WatchEvent};
use crate::types::{BrokerId, SessionId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One prefix, which never goes back.
#[derive(Debug, Default)]
pub(super) struct Following {
    mirror: Mirror,
}

impl Following {
    /// Takes what a watch told; whether it was news. What is older than a listing since is none.
    pub fn on_event(&mut self, event: WatchEvent) -> bool {
        let revision = match &event {
            WatchEvent::Changed { revision, .. } => *revision,
            WatchEvent::Listed(listing) => listing.revision,
        };
        let is_news = revision > self.mirror.revision;
        if is_news {
            self.mirror.apply(event);
        }
        is_news
    }

    /// Lists the prefix.
    pub async fn list(&mut self, metadata: &dyn MetadataStore, prefix: &str) -> Result<(), MetadataError> {
        let listing = metadata.list(prefix).await?;
        // A listing of the same revision lacks nothing, either.
        if listing.revision >= self.mirror.revision {
            self.mirror = Mirror::of(listing);
        }
        Ok(())
    }

    pub fn revision(&self) -> Revision {
        self.mirror.revision
    }

    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.mirror.entries.values()
    }
}

/// Everyone that stands. A value that this release cannot read is a session all the same: it stands, and is told apart by an
/// acknowledgement that is never the newest.
pub(super) fn standings(sessions: &Following) -> Standings {
    let mut known = Standings { as_of: sessions.revision(), sessions: BTreeMap::new() };
    for entry in sessions.entries() {
        let Some(session) = sessions::session_of(&entry.key) else { continue };
        let stand = match Session::decode(entry) {
            Ok(said) => Stand { broker_id: said.broker_id, acked_view: said.acked_view },
            Err(error) => {
                tracing::error!(%error, "a session of the cluster cannot be read, it is waited for");
                Stand { broker_id: BrokerId(-1), acked_view: crate::types::ViewNumber(0) }
            }
        };
        known.sessions.insert(session, stand);
    }
    known
}

/// What sessions say of themselves.
pub(super) fn said(sessions: &Following) -> Sessions {
    let said = sessions.entries().filter_map(|entry| {
        let session = sessions::session_of(&entry.key)?;
        Some((session, Arc::new(Session::decode(entry).ok()?)))
    });
    Arc::new(said.collect())
}

/// The newest view of a watch's mirror, with the revision that wrote it.
pub(super) fn newest_view(views: &Following) -> Option<(View, Revision)> {
    let entry = views.entries().find(|entry| entry.key == view::KEY)?;
    match View::decode(entry) {
        Ok(view) => Some((view, entry.mod_revision)),
        Err(error) => {
            tracing::error!(%error, "the view cannot be read");
            None
        }
    }
}

/// The sessions that keep their leases.
pub(super) fn alive(leases: &Following) -> BTreeSet<SessionId> {
    leases.entries().filter_map(|entry| alive::session_of(&entry.key)).collect()
}

/// The brokers that shall lead nothing.
pub(super) fn drained(drained_keys: &Following) -> BTreeSet<BrokerId> {
    drained_keys.entries().filter_map(|entry| drained::broker_of(&entry.key)).collect()
}
