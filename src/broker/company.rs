//! Whether a session that is to begin has company: brokers that stand and can be reached.
//!
//! One that reaches nobody would be given its share all the same, be called unreachable, and be sealed; so would the next, and
//! each time partitions and coordinators move to it and away again, with pauses that nobody is served in. So it waits outside
//! until it reaches one of those that stand, or until none of them is left: each has lost its lease, or its kernel says that
//! it is gone. Meanwhile clients that come to it are told who leads, and load balancers not to send any.

use super::{Foundation, StartError};
use crate::leadership::Leadership;
use crate::mesh::{MeshEndpoint, Peer, PeerAddress, Reachability};
use crate::meta::keys::sessions::Session;
use crate::meta::keys::view::View;
use crate::meta::keys::{alive, sessions, view};
use crate::meta::{Entry, MetadataStore};
use crate::ops::Readiness;
use crate::types::{BrokerId, SessionId};
use futures_util::FutureExt;
use futures_util::future::select_all;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The session before, which is over, as clients still see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outsider<'a> {
    pub leadership: &'a Leadership,
    pub readiness: &'a Readiness,
}

/// How often it is looked who stands.
const LOOK: Duration = Duration::from_secs(1);
/// Connections have to be made; who has none after that is told so.
const INTRODUCTION: Duration = Duration::from_secs(2);

/// Waits until a session has company, or needs none. While the result is kept, so are the connections that were made.
pub(super) async fn await_company(
    foundation: &Foundation,
    endpoint: &MeshEndpoint,
    before: Option<Outsider<'_>>,
) -> Result<Vec<Peer>, StartError> {
    let began = Instant::now();
    let mut others: BTreeMap<SessionId, Peer> = BTreeMap::new();
    let mut is_told = false;
    loop {
        let standing = standing(foundation.metadata.as_ref(), foundation.config.broker_id).await?;
        others.retain(|session, _| standing.contains_key(session));
        for (session, address) in standing {
            others.entry(session).or_insert_with(|| endpoint.peer(address));
        }
        let look_at = Instant::now() + LOOK;
        if timeout_at(look_at, settled(others.values())).await.is_ok() {
            return Ok(others.into_values().collect());
        }
        if began.elapsed() >= INTRODUCTION && !is_told {
            is_told = true;
            tracing::warn!(
                silent = ?others.values().map(|peer| peer.name().broker.0).collect::<Vec<_>>(),
                "none of the brokers that stand can be reached over the mesh: this one stays outside until one can be"
            );
            if let Some(before) = before {
                before.readiness.set_not_ready("no other broker of the cluster can be reached over the mesh");
            }
        }
        if let Some(before) = before {
            follow(foundation.metadata.as_ref(), before.leadership).await?;
        }
    }
}

/// The sessions of other brokers that stand and keep their leases.
async fn standing(
    metadata: &dyn MetadataStore,
    own: BrokerId,
) -> Result<BTreeMap<SessionId, PeerAddress>, StartError> {
    let alive = metadata.list(alive::PREFIX).await?;
    let alive: BTreeSet<SessionId> =
        alive.entries.iter().filter_map(|entry| alive::session_of(&entry.key)).collect();
    let listed = metadata.list(sessions::PREFIX).await?;
    let address = |entry: &Entry| -> Result<Option<(SessionId, PeerAddress)>, StartError> {
        let Session { broker_id: broker, mesh, .. } = Session::decode(entry)?;
        let session =
            sessions::session_of(&entry.key).filter(|session| alive.contains(session) && broker != own);
        Ok(session.zip(mesh).map(|(session, address)| (session, PeerAddress { broker, session, address })))
    };
    listed.entries.iter().filter_map(|entry| address(entry).transpose()).collect()
}

/// Who leads, for those who ask a broker that is no member.
async fn follow(metadata: &dyn MetadataStore, leadership: &Leadership) -> Result<(), StartError> {
    let Some(entry) = metadata.get(view::KEY).await? else { return Ok(()) };
    let outdated = |error: crate::cluster::UnknownPlacement| StartError::Outdated(error.to_string());
    leadership.on_view(&View::decode(&entry)?, entry.mod_revision).map_err(outdated)
}

/// Waits until what is seen of the others lets a session begin.
async fn settled<'a>(others: impl Iterator<Item = &'a Peer>) {
    let mut sightings: Vec<_> = others.map(Peer::sighting).collect();
    loop {
        let seen = sightings.iter_mut().map(|sighting| sighting.borrow_and_update().reachability);
        if may_begin(seen) {
            return;
        }
        let changes = sightings.iter_mut().map(|sighting| sighting.changed().boxed());
        let _any = select_all(changes).await;
    }
}

/// One answers, or all are gone.
fn may_begin(others: impl IntoIterator<Item = Reachability>) -> bool {
    let mut is_silence = false;
    for other in others {
        match other {
            Reachability::Up => return true,
            Reachability::Silent { .. } => is_silence = true,
            Reachability::Gone { .. } => {}
        }
    }
    !is_silence
}

#[cfg(test)]
mod tests {
    use super::may_begin;
    use crate::mesh::Reachability::{Gone, Silent, Up};
    use tokio::time::Instant;

    #[test]
    fn a_session_begins_in_company_or_where_there_is_nobody() {
        let at = Instant::now();
        let (silent, gone) = (Silent { since: at }, Gone { at });
        for (others, may) in [
            (vec![], true),
            (vec![Up], true),
            (vec![silent], false),
            (vec![gone, gone], true),
            (vec![gone, silent], false),
            (vec![silent, Up], true),
        ] {
            assert_eq!(may_begin(others.clone()), may, "{others:?}");
        }
    }
}
