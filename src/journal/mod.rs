//! The journal of one broker session: what every partition of the broker took in, in numbered, immutable
//! objects; and the commit that makes them part of the log.
//!
//! ```text
//! append ─▶ open object ─cut─▶ sealed ─encode, PUT─▶ stored ─commit, in order─▶ committed ─▶ sink, tickets
//! ```
//!
//! Beside the objects lie *index objects* (`index_object.rs`), each of which says what 64 of them hold.
//!
//! What of many objects is still needed long after may be copied into one *merged* object (room `archive/`): the same
//! format, another name.
//!
//! Never: it assigns no offset, knows no topic's settings, and answers no client. An object once cut never
//! changes: a PUT is repeated with the same bytes under the same name.

mod committer;
mod cutter;
mod decode;
mod encode;
mod flusher;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod index_object;
mod indexer;
mod object_reads;
mod open_object;
mod proposal;
mod recovery;
mod row;
mod session;
mod ticket;

pub use committer::{CommitSink, CommittedObject};
pub use decode::{DecodeError, ObjectIndex, PREFIX_BYTES, decode_index};
pub use encode::{EncodedObject, encode};
pub use flusher::{AppendRow, Journal, JournalClosed, JournalEnd, JournalStart};
pub use index_object::{block_of, last_of_block};
pub use indexer::index_end;
pub use object_reads::{check_index_object, read_object};
pub use proposal::{Base, Proposal, Proposed};
pub use recovery::{RecoveredObject, RecoveryError, recover};
pub use row::{
    ObjectId, ObjectName, ObjectNumber, PUT_MILLIONTHS, Partitions, Row, RowIndex, RowTransaction, Span,
};
#[cfg(test)]
pub(crate) use session::ended_journals;
pub use session::{BrokerSession, EndedJournal, Joining, SessionError, read_journals};
pub use ticket::{CommitTicket, Outcome};

#[cfg(test)]
mod tests;
