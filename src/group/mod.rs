//! Consumer groups: who is in a group, which generation it is, and who reads what.
//!
//! ```text
//! request + ticket ─▶ core (one per group, pure) ─▶ (ticket, answer)
//!                      │ dirty: stored() goes to the metadata store before the answers go out
//! ```
//!
//! Never: a core does no I/O, reads no clock, makes no ids, and knows no wire type. Time and ids come in as values;
//! the task that owns a core feeds it, stores it and sends its answers.

pub mod classic;
mod error;
mod types;

pub use error::GroupError;
pub use types::{GroupInstanceId, MemberId, Ticket};
