//! The settings of all groups, as far as this broker knows.
//!
//! Look-ups never wait. Every change is one transaction that compares the session's standing and the value that it
//! replaces, and the snapshot follows only after its answer. What other brokers change is followed (`follow`).

use super::stored::{self, UnreadableGroupSettings};
use super::{GroupSettings, check_change, follow};
use crate::group::GroupId;
use crate::meta::{Change, Compare, Entry, MetadataError, Revision, SettleError, Settled, Standing, Write};
use crate::settings::{Overrides, SettingError};
use arc_swap::ArcSwap;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{Mutex, watch};
use tokio_util::task::AbortOnDropHandle;

/// Groups that may have settings of their own.
pub const GROUPS_WITH_SETTINGS_MAX: usize = 10_000;
/// Largest encoded settings of a group, in bytes.
const VALUE_BYTES_MAX: usize = 64 * 1024;

/// The settings of all groups. Dropped, it no longer follows the metadata store.
#[derive(Debug)]
pub struct GroupSettingsCatalog {
    shared: Arc<Shared>,
    /// What a group without settings of its own goes by.
    defaults: Arc<GroupSettings>,
    _follower: AbortOnDropHandle<()>,
}

/// What is known, and what changes it.
#[derive(Debug)]
pub(super) struct Shared {
    standing: Standing,
    pub snapshot: ArcSwap<Snapshot>,
    /// Counts the changes of the snapshot.
    changes: watch::Sender<u64>,
    /// Held by whoever changes the snapshot, so that it follows the store in order.
    pub turn: Mutex<()>,
}

pub(super) type Snapshot = BTreeMap<GroupId, Known>;

/// A group's own settings and the transaction that last wrote them.
#[derive(Clone, Debug)]
pub(super) struct Known {
    overrides: Arc<Overrides>,
    settings: Arc<GroupSettings>,
    pub revision: Revision,
}

/// Why the settings of a group were not changed, or not read.
#[derive(Debug, thiserror::Error)]
pub enum GroupSettingsError {
    /// The settings are refused.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// They do not fit into one value of the metadata store.
    #[error("the settings of a group have at most {VALUE_BYTES_MAX} bytes in all, not {0}")]
    TooLarge(usize),
    /// As many groups have settings as may have.
    #[error("at most {GROUPS_WITH_SETTINGS_MAX} groups have settings of their own")]
    TooManyGroups,
    /// This session was sealed: it may write nothing any more.
    #[error("this broker's session has ended")]
    Sealed,
    /// The metadata store gave no answer. Whether the change was made is not known.
    #[error("{0}")]
    Unavailable(String),
    /// The metadata store holds something that this release cannot read.
    #[error(transparent)]
    Unreadable(#[from] UnreadableGroupSettings),
}

impl GroupSettingsCatalog {
    /// Reads the settings of all groups, and follows them from there. A value that cannot be read stops it: settings must
    /// not vanish unseen.
    pub async fn load(standing: Standing) -> Result<GroupSettingsCatalog, GroupSettingsError> {
        let listing = standing.store().list(stored::GROUP_SETTINGS).await?;
        let snapshot = listing.entries.iter().map(known).collect::<Result<Snapshot, _>>()?;
        let watch = standing.store().watch(stored::GROUP_SETTINGS, listing.revision);
        let shared = Arc::new(Shared {
            standing,
            snapshot: ArcSwap::from_pointee(snapshot),
            changes: watch::Sender::new(0),
            turn: Mutex::new(()),
        });
        let follower = AbortOnDropHandle::new(tokio::spawn(follow::follow(Arc::clone(&shared), watch)));
        Ok(GroupSettingsCatalog { shared, defaults: Arc::default(), _follower: follower })
    }

    /// Tells of every change that this broker learns of.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    /// What that group goes by, whether it exists or not.
    #[must_use]
    pub fn of(&self, group_id: &GroupId) -> Arc<GroupSettings> {
        let snapshot = self.shared.snapshot.load();
        snapshot.get(group_id).map_or_else(|| Arc::clone(&self.defaults), |known| Arc::clone(&known.settings))
    }

    /// What was set for that group, as it was given.
    #[must_use]
    pub fn overrides(&self, group_id: &GroupId) -> Arc<Overrides> {
        self.shared
            .snapshot
            .load()
            .get(group_id)
            .map(|known| Arc::clone(&known.overrides))
            .unwrap_or_default()
    }

    /// The groups that have settings of their own, in the order of their names.
    #[must_use]
    pub fn groups(&self) -> Vec<GroupId> {
        self.shared.snapshot.load().keys().cloned().collect()
    }

    /// Changes a group's own settings: `change` is given those that are, and gives those that shall be; none puts the
    /// group back to the defaults.
    pub async fn alter(
        &self,
        group_id: &GroupId,
        change: impl FnOnce(&Overrides) -> Result<Overrides, SettingError>,
    ) -> Result<Arc<GroupSettings>, GroupSettingsError> {
        let _turn = self.shared.turn.lock().await;
        let before = self.shared.fetch(group_id).await?;
        let overrides_before = self.overrides(group_id);
        let overrides = change(&overrides_before)?;
        if overrides == *overrides_before {
            return Ok(self.of(group_id));
        }
        let settings = check_change(&overrides_before, &overrides)?;
        if before.is_none() && self.shared.snapshot.load().len() >= GROUPS_WITH_SETTINGS_MAX {
            return Err(GroupSettingsError::TooManyGroups);
        }
        self.shared.write(group_id, overrides, settings, before).await?;
        Ok(self.of(group_id))
    }
}

impl Shared {
    /// Brings the snapshot to what is stored of a group, which an unknown outcome or another broker may have changed;
    /// the transaction that last wrote it.
    pub(super) async fn fetch(&self, group_id: &GroupId) -> Result<Option<Revision>, GroupSettingsError> {
        let entry = self.standing.store().get(&stored::key(group_id)).await?;
        let revision = entry.as_ref().map(|entry| entry.mod_revision);
        let before = self.snapshot.load().get(group_id).map(|known| known.revision);
        if revision != before {
            self.learn(group_id, entry.as_ref().map(known).transpose()?.map(|(_, known)| known));
        }
        Ok(revision)
    }

    async fn write(
        &self,
        group_id: &GroupId,
        overrides: Overrides,
        settings: GroupSettings,
        before: Option<Revision>,
    ) -> Result<(), GroupSettingsError> {
        let key = stored::key(group_id);
        let compare = match before {
            Some(revision) => Compare::Unchanged(key.clone(), revision),
            None => Compare::Absent(key.clone()),
        };
        let write = if overrides.is_empty() {
            Write::Delete(key.clone())
        } else {
            let value = stored::encode(group_id, &overrides);
            if value.len() > VALUE_BYTES_MAX {
                return Err(GroupSettingsError::TooLarge(value.len()));
            }
            Write::Put(key.clone(), value)
        };
        let change =
            Change { compares: vec![compare], writes: vec![write], reads: vec![key], terms: Vec::new() };
        match self.standing.settle(&change).await? {
            Settled::Applied(revision) => {
                tracing::info!(group = %group_id, ?overrides, "group settings changed");
                let known = (!overrides.is_empty()).then(|| Known {
                    overrides: Arc::new(overrides),
                    settings: Arc::new(settings),
                    revision,
                });
                self.learn(group_id, known);
                Ok(())
            }
            Settled::Refused(reads) => Err(self.follow(group_id, reads.into_iter().next().flatten())?),
        }
    }

    /// Another broker changed them first: the snapshot follows, the caller is told to try again.
    fn follow(
        &self,
        group_id: &GroupId,
        entry: Option<Entry>,
    ) -> Result<GroupSettingsError, GroupSettingsError> {
        let known = entry.as_ref().map(known).transpose()?.map(|(_, known)| known);
        self.learn(group_id, known);
        let message = format!("the settings of group '{group_id}' were changed at the same time");
        Ok(GroupSettingsError::Unavailable(message))
    }

    /// Brings the snapshot to all that is stored.
    pub(super) async fn read_all(&self) -> Result<(), GroupSettingsError> {
        let listing = self.standing.store().list(stored::GROUP_SETTINGS).await?;
        let (before, mut snapshot) = (self.snapshot.load(), Snapshot::new());
        for entry in &listing.entries {
            match known(entry) {
                Ok((group_id, known)) => drop(snapshot.insert(group_id, known)),
                Err(error) => {
                    follow::unreadable(&error);
                    let same = before.iter().find(|(group_id, _)| stored::key(group_id) == entry.key);
                    snapshot.extend(same.map(|(group_id, known)| (group_id.clone(), known.clone())));
                }
            }
        }
        let revisions =
            |snapshot: &Snapshot| snapshot.values().map(|known| known.revision).collect::<Vec<_>>();
        let is_same = before.keys().eq(snapshot.keys()) && revisions(&before) == revisions(&snapshot);
        if !is_same {
            self.snapshot.store(Arc::new(snapshot));
            self.changes.send_modify(|count| *count += 1);
        }
        Ok(())
    }

    fn learn(&self, group_id: &GroupId, known: Option<Known>) {
        self.snapshot.rcu(|snapshot| {
            let mut snapshot = (**snapshot).clone();
            match &known {
                Some(known) => snapshot.insert(group_id.clone(), known.clone()),
                None => snapshot.remove(group_id),
            };
            snapshot
        });
        self.changes.send_modify(|count| *count += 1);
    }
}

fn known(entry: &Entry) -> Result<(GroupId, Known), UnreadableGroupSettings> {
    let (group_id, overrides) = stored::decode(entry)?;
    let settings = GroupSettings::parse(&overrides).map_err(|error| stored::unreadable(entry, &error))?;
    let (overrides, settings) = (Arc::new(overrides), Arc::new(settings));
    Ok((group_id, Known { overrides, settings, revision: entry.mod_revision }))
}

impl From<SettleError> for GroupSettingsError {
    fn from(error: SettleError) -> GroupSettingsError {
        match error {
            SettleError::Sealed | SettleError::Closed => GroupSettingsError::Sealed,
            SettleError::Unavailable(why) => GroupSettingsError::Unavailable(why),
        }
    }
}

impl From<MetadataError> for GroupSettingsError {
    fn from(error: MetadataError) -> GroupSettingsError {
        GroupSettingsError::Unavailable(error.to_string())
    }
}
