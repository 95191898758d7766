//! A session's part in the views of its cluster: it learns of them, stops what they take away, acknowledges them, takes over
//! what they give it, and proposes the next one.
//!
//! ```text
//! metadata: view, sessions/, alive/ ─▶ Views task ─┬─ takes away: log closes ─▶ journal drains, acknowledges
//! mesh: who is seen, reports of others ▶           ├─ gives: barrier open ─▶ take_over ─▶ log opens
//! orders of operators ────────────────▶            └─ propose: join again, leave, seal
//! ```
//!
//! What is decided is decided by the cores of `cluster/`; this room gathers what they need to know and does what they say.
//! A watch only says that there is something to look at; what a barrier rests on is listed, or follows a listing.
//!
//! Never: it holds up no request, and answers none.

mod alive;
mod control;
mod door;
mod known;
mod propose;
mod reports;
mod take_over;
mod task;
mod watching;

pub use control::Control;
pub use door::{Views, ViewsEnd, ViewsStart};
pub use reports::{Reports, Unreachable};
pub use take_over::TakeOverError;
pub use watching::PastSuspicion;

#[cfg(test)]
mod tests;
