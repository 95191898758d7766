//! What operators may have done to brokers of the cluster: the seam between their door and the room `views`.
//!
//! Any broker takes any of these orders, as all of them are writes to the metadata store.
//!
//! Never: who may give an order. The door says that.

use crate::types::BrokerId;
use futures_util::future::BoxFuture;
use std::collections::BTreeSet;
use std::fmt;

/// Takes orders.
pub trait ClusterControl: Send + Sync + fmt::Debug + 'static {
    /// A broker shall lead nothing: it leaves the view, hands over, and goes on as a gateway, also when it starts
    /// again. Answered when that is ordered; handing over may take longer.
    fn drain(&self, broker: BrokerId) -> BoxFuture<'_, Result<Ordered, ControlError>>;
    /// A broker may lead again.
    fn undrain(&self, broker: BrokerId) -> BoxFuture<'_, Result<Ordered, ControlError>>;
    /// Ends a broker's session at once: what it has not committed is lost to it, and if it lives it begins another.
    fn seal(&self, broker: BrokerId) -> BoxFuture<'_, Result<Ordered, ControlError>>;
    /// Brokers that were drained, and not undrained since.
    fn drained(&self) -> BoxFuture<'_, Result<BTreeSet<BrokerId>, ControlError>>;
}

/// What became of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ordered {
    /// It was given.
    Now,
    /// It was so already.
    Already,
}

/// Why an order was not given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// No session of that broker stands.
    #[error("there is no broker {} in the cluster", .0.0)]
    UnknownBroker(BrokerId),
    /// Nobody would lead.
    #[error("broker {} is the only one that leads: nobody could take over", .0.0)]
    OnlyLeader(BrokerId),
    /// There are no other brokers, and can be none.
    #[error("this broker has its metadata to itself (embedded:), there is no cluster")]
    NoCluster,
    /// This broker was sealed meanwhile: another one is to be asked.
    #[error("this broker's session has ended; ask again, or another broker")]
    Sealed,
    /// The metadata store gave no answer. Whether the order was given is not known; giving it twice is safe.
    #[error("{0}")]
    Unavailable(String),
}

/// Where there is no cluster: a broker that has its metadata to itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCluster;

impl ClusterControl for NoCluster {
    fn drain(&self, _: BrokerId) -> BoxFuture<'_, Result<Ordered, ControlError>> {
        Box::pin(async { Err(ControlError::NoCluster) })
    }

    fn undrain(&self, _: BrokerId) -> BoxFuture<'_, Result<Ordered, ControlError>> {
        Box::pin(async { Err(ControlError::NoCluster) })
    }

    fn seal(&self, _: BrokerId) -> BoxFuture<'_, Result<Ordered, ControlError>> {
        Box::pin(async { Err(ControlError::NoCluster) })
    }

    fn drained(&self) -> BoxFuture<'_, Result<BTreeSet<BrokerId>, ControlError>> {
        Box::pin(async { Ok(BTreeSet::new()) })
    }
}
