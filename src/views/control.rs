//! Orders: of operators, for any broker, and of this process, which leaves when it stops.

use super::propose::{Outcome, Proposer};
use crate::cluster::Change;
use crate::journal::{Base, SessionError};
use crate::leadership::{ClusterControl, ControlError, Ordered};
use crate::meta::keys::drained;
use crate::meta::{Compare, MetadataError, SettleError, Settled, Write};
use crate::types::{BrokerId, SessionId};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::collections::BTreeSet;
use tokio::sync::mpsc;

/// What the task is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Lead nothing any more.
    Leave,
}

/// Gives orders. Clones are the same.
#[derive(Clone, Debug)]
pub struct Control {
    orders: mpsc::Sender<Order>,
    proposer: Proposer,
}

/// Proposals of one order before it is given up: others propose, too.
const ATTEMPTS: usize = 20;

impl Control {
    pub(super) fn new(orders: mpsc::Sender<Order>, proposer: Proposer) -> Control {
        Control { orders, proposer }
    }

    /// This session shall lead nothing any more; it hands over and stands until its process ends.
    pub async fn leave(&self) {
        // A task that has ended leads nothing.
        let _ended = self.orders.send(Order::Leave).await;
    }

    /// Ends the standing of a session that leads nothing and writes nothing any more.
    pub(super) async fn retire(&self, session: SessionId) -> Result<(), SessionError> {
        let metadata = self.proposer.metadata.as_ref();
        Base::read(metadata).await?.retire(metadata, &self.proposer.store, session).await
    }

    /// Proposes until it is made, or is so already.
    async fn propose(
        &self,
        change: impl Fn(&Base) -> Result<Vec<Change>, ControlError>,
    ) -> Result<Ordered, ControlError> {
        for _ in 0..ATTEMPTS {
            let base = Base::read(self.proposer.metadata.as_ref()).await?;
            let changes = change(&base)?;
            if changes.is_empty() {
                return Ok(Ordered::Already);
            }
            match self.proposer.propose(&changes).await? {
                Outcome::Made(_) => return Ok(Ordered::Now),
                Outcome::Changed | Outcome::NotNow(_) => tokio::task::yield_now().await,
            }
        }
        Err(ControlError::Unavailable("other views came first, again and again".to_owned()))
    }

    async fn set_drained(&self, broker: BrokerId, shall_be: bool) -> Result<Ordered, ControlError> {
        let key = drained::key(broker);
        let found = self.proposer.metadata.get(&key).await?;
        let (compare, write) = match (&found, shall_be) {
            (Some(_), true) | (None, false) => return Ok(Ordered::Already),
            (None, true) => (Compare::Absent(key.clone()), Write::Put(key, Bytes::new())),
            (Some(entry), false) => (Compare::Unchanged(key.clone(), entry.mod_revision), Write::Delete(key)),
        };
        let change =
            crate::meta::Change { compares: vec![compare], writes: vec![write], ..Default::default() };
        match self.proposer.standing.settle(&change).await {
            Ok(Settled::Applied(_)) => Ok(Ordered::Now),
            // Somebody else has just ordered something: whoever asks looks again.
            Ok(Settled::Refused(_)) => Err(ControlError::Unavailable("ordered at the same time".to_owned())),
            Err(SettleError::Sealed | SettleError::Closed) => Err(ControlError::Sealed),
            Err(SettleError::Unavailable(why)) => Err(ControlError::Unavailable(why)),
        }
    }
}

/// The sessions of a broker that stand.
fn sessions_of(base: &Base, broker: BrokerId) -> Result<Vec<SessionId>, ControlError> {
    let of_broker = super::task::session_of(base.standings(), broker);
    if of_broker.is_empty() { Err(ControlError::UnknownBroker(broker)) } else { Ok(of_broker) }
}

impl ClusterControl for Control {
    fn drain(&self, broker: BrokerId) -> BoxFuture<'_, Result<Ordered, ControlError>> {
        Box::pin(async move {
            let base = Base::read(self.proposer.metadata.as_ref()).await?;
            sessions_of(&base, broker)?;
            let drained = self.drained().await?;
            let stays = |other: &BrokerId| *other != broker && !drained.contains(other);
            if !base.view().members.iter().any(|member| stays(&member.broker_id)) {
                return Err(ControlError::OnlyLeader(broker));
            }
            // Its session finds the key and leaves.
            self.set_drained(broker, true).await
        })
    }

    fn undrain(&self, broker: BrokerId) -> BoxFuture<'_, Result<Ordered, ControlError>> {
        Box::pin(self.set_drained(broker, false))
    }

    fn seal(&self, broker: BrokerId) -> BoxFuture<'_, Result<Ordered, ControlError>> {
        Box::pin(async move {
            let base = Base::read(self.proposer.metadata.as_ref()).await?;
            let named: BTreeSet<SessionId> = sessions_of(&base, broker)?.into_iter().collect();
            // Those that stood when the order came: what begins since is another session.
            self.propose(move |base| {
                let standing = base.standings().sessions.keys().filter(|session| named.contains(session));
                Ok(standing.map(|session| Change::Seal(*session)).collect())
            })
            .await
            .map(|_| Ordered::Now)
        })
    }

    fn drained(&self) -> BoxFuture<'_, Result<BTreeSet<BrokerId>, ControlError>> {
        Box::pin(async {
            let listing = self.proposer.metadata.list(drained::PREFIX).await?;
            Ok(listing.entries.iter().filter_map(|entry| drained::broker_of(&entry.key)).collect())
        })
    }
}

impl From<SessionError> for ControlError {
    fn from(error: SessionError) -> ControlError {
        ControlError::Unavailable(error.to_string())
    }
}

impl From<MetadataError> for ControlError {
    fn from(error: MetadataError) -> ControlError {
        ControlError::Unavailable(error.to_string())
    }
}
