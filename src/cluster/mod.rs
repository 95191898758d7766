//! Who leads what, when a new leader may begin, and whom to seal: pure cores, for several brokers on one metadata store.
//!
//! Nothing here does I/O, reads a clock or waits: what is known comes in, with `now` where it counts, and what is to be
//! done comes out. The room `views` runs them.
//!
//! ```text
//! view ──▶ placement: who leads            standings ──▶ barrier: may this session serve it yet?
//!   ▲                                                          │ waits for
//!   └── views: the next one ◀── join, leave, seal ◀── suspicion ◀── mesh, leases, own PUTs and commits
//! ```
//!
//! `tests/model/journal.rs` states the rules of views and barrier and explores them.

mod barrier;
mod hash;
mod placement;
mod standings;
mod suspicion;
mod views;

#[cfg(test)]
mod tests;

pub use barrier::{Ack, Barrier, Draining, GroupId, JournalWrite, Place, Verdict, to_close};
pub use placement::{Placement, PlacementKey, UnknownPlacement, ZONES_MAX};
pub use standings::{Stand, Standings};
pub use suspicion::{Decision, Lease, Sealing, Suspicion, SuspicionSettings, TellTale, Why};
pub use views::{Change, NextView, NoNextView, ViewBounds, next_view};
