//! `view`: the sessions that lead.
//!
//! `{"v":1,"number":7,"members":[{"session":"0123456789abcdef0123456789abcdef","broker_id":1}]}`

use super::{BrokerIdNumber, DecodeKeyError, ViewNumberNumber, text};
use crate::meta::Entry;
use crate::types::{BrokerId, SessionId, ViewNumber};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The key.
pub const KEY: &str = "view";

/// The value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Grows by one with every view.
    #[serde(with = "ViewNumberNumber")]
    pub number: ViewNumber,
    /// Who may lead.
    pub members: Vec<Member>,
}

/// A session in a view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The session.
    #[serde(with = "text")]
    pub session: SessionId,
    /// The broker whose session it is.
    #[serde(with = "BrokerIdNumber")]
    pub broker_id: BrokerId,
}

impl View {
    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        super::encode(self)
    }

    /// From the stored form.
    pub fn decode(entry: &Entry) -> Result<View, DecodeKeyError> {
        super::decode(entry)
    }
}
