//! The seam between brokers for what their coordinators and leaders ask each other: markers of transactions, whether a
//! producer may begin in a partition, members of share groups.
//!
//! ```text
//! group, txn: typed request ─ bytes ─▶ RemoteBrokers (room peers: the mesh) ─ bytes ─▶ TxnCoordinator::serve_remote there
//!             typed answer ◀────────────────────── bytes ◀─────────────────────────────┘
//! ```
//!
//! A request begins with [`VERSION`] and its kind; the rooms that ask document their bytes. Every request may be made
//! twice: who has no answer asks again, or asks whoever leads by then.
//!
//! Never: a request that came from another broker is sent on. Who is asked and does not lead says so.

mod fields;

#[cfg(test)]
mod tests;

pub use fields::{Fields, Malformed, put_text};

use crate::types::SessionId;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::fmt;
use std::time::Duration;

/// The other brokers, as those see them who have something to ask.
pub trait RemoteBrokers: Send + Sync + fmt::Debug + 'static {
    /// Sends `request`, at most [`REQUEST_BYTES_MAX`], to the session `to`, and waits for its answer, but not longer than
    /// `time_max`. It is not sent again, nor to another.
    fn ask(
        &self,
        to: SessionId,
        request: Bytes,
        time_max: Duration,
    ) -> BoxFuture<'_, Result<Bytes, NoAnswer>>;
}

/// There is no answer: the request may have been carried out, or may be yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer from another broker: {0}")]
pub struct NoAnswer(pub String);

/// The first byte of every request and answer. A broker of another release answers what it does not know with
/// [`Answered::NotUnderstood`].
pub const VERSION: u8 = 1;
/// A request or an answer at most, in bytes.
pub const REQUEST_BYTES_MAX: usize = 1 << 20;

/// What a request is about: its second byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// May a producer begin a transaction at a place? (`txn/remote.rs`)
    FirstBatch = 1,
    /// The end of a transaction at places. (`txn/remote.rs`)
    Markers = 2,
    /// Whether somebody is a member of a share group. (`group/remote.rs`)
    HasShareMember = 3,
    /// Somebody is no member of a share group any more. (`group/remote.rs`)
    ShareMemberGone = 4,
    /// Where a share group goes on in a partition. (`group/remote.rs`)
    AlterShare = 5,
    /// What a share group did in a partition is forgotten. (`group/remote.rs`)
    DeleteShare = 6,
}

impl RequestKind {
    const ALL: [RequestKind; 6] = [
        RequestKind::FirstBatch,
        RequestKind::Markers,
        RequestKind::HasShareMember,
        RequestKind::ShareMemberGone,
        RequestKind::AlterShare,
        RequestKind::DeleteShare,
    ];

    /// The kind of a request, and what follows it.
    pub fn of(request: Bytes) -> Result<(RequestKind, Fields), Malformed> {
        let mut fields = Fields::new(request)?;
        let kind = fields.u8()?;
        let kind = RequestKind::ALL.into_iter().find(|known| *known as u8 == kind).ok_or(Malformed)?;
        Ok((kind, fields))
    }

    /// The beginning of a request of this kind.
    #[must_use]
    pub fn request(self) -> Vec<u8> {
        vec![VERSION, self as u8]
    }
}

/// The second byte of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// The answer follows.
    Understood = 0,
    /// The request is of another release, or damaged. Nothing was done.
    NotUnderstood = 1,
}

impl Answered {
    /// The beginning of an answer.
    #[must_use]
    pub fn answer(self) -> Vec<u8> {
        vec![VERSION, self as u8]
    }

    /// What follows the beginning of an answer that was understood.
    pub fn fields(answer: Bytes) -> Result<Fields, NoAnswer> {
        let malformed = |_| NoAnswer("it is malformed".to_owned());
        let mut fields = Fields::new(answer).map_err(malformed)?;
        match fields.u8().map_err(malformed)? {
            0 => Ok(fields),
            _ => Err(NoAnswer("the request was not understood".to_owned())),
        }
    }
}

impl From<Malformed> for NoAnswer {
    fn from(_: Malformed) -> NoAnswer {
        NoAnswer("it is malformed".to_owned())
    }
}

/// No other broker: there is nobody to ask.
#[derive(Clone, Copy, Debug)]
pub struct NoOtherBrokers;

impl RemoteBrokers for NoOtherBrokers {
    fn ask(&self, to: SessionId, _: Bytes, _: Duration) -> BoxFuture<'_, Result<Bytes, NoAnswer>> {
        Box::pin(std::future::ready(Err(NoAnswer(format!("session {to} is not known here")))))
    }
}
