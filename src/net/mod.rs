//! Connections: TCP, TLS, QUIC, one loop, admission.
//!
//! ```text
//! tcp ─┐
//! tls ─┼─▶ admission ─▶ connection: frames ─▶ Handle::admit ─▶ answers ─▶ socket
//! quic ┘    (how many)    ▲         (memory, order)          (order, stalls)
//! mesh ───────────────────┘
//! ```
//!
//! This room knows frames and their order. It never looks into a request's body, and of its header it uses
//! only the API key: Produce and Fetch may wait side by side, anything else waits for all before it.

mod admission;
mod answers;
mod certificate;
mod connection;
mod frames;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod mesh;
mod quic;
mod server;
mod tcp;
mod tls;
mod turns;

pub use admission::{Admission, Guest};
pub use certificate::{Identity, IdentityError};
pub use connection::{Closed, Context, run};
pub use mesh::MeshDoor;
pub use quic::ALPN;
pub use server::{BindError, BoundListener, Server, Serving};

#[cfg(test)]
mod tests;
