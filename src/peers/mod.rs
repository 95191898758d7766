//! The other brokers of the cluster, as one session reaches them.
//!
//! ```text
//! Leadership ─ changes ─▶ follow: a mesh::Peer for each member and for each session that a barrier waits for
//!                           ├─▶ call, open_ordered      clients' requests, sent on            (room handler)
//!                           ├─▶ ask                     private requests between brokers      (room views; `remote.rs`: group, txn)
//!                           ├─▶ sightings               who answers, who is silent, who is gone   (room views)
//!                           └─▶ report                  whom this session cannot reach, for the others   (`reports.rs`)
//! private: PrivateServices ◀─ what others ask this broker                                       (room handler)
//! ```
//!
//! *A session and its endpoint.* A broker's certificate names the session, so each session has an endpoint of its own at the same
//! port. A new session of the process first closes what the last one had ([`Peers::close`]), which ends every stream: what had no
//! answer on it is unknown to its sender, as when a process dies. Then it binds again ([`listen`]), and as sockets close when
//! the last task lets go of them, it tries for some seconds. The order is: an id for the session, the endpoint, the join (so
//! that whoever reads the standing can connect), [`Peers::start`].
//!
//! Never: what a request means, who leads what. Nothing is sent twice here.

mod connections;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod listen;
mod private;
mod remote;
mod reports;

pub use connections::{Client, Peers, PeersStart, Sightings};
pub use listen::{MeshStart, listen};
pub use private::{PrivateApi, PrivateServices, ServePrivate};

#[cfg(test)]
mod tests;
