//! `sessions/<session>`: a session's standing. It exists while the session may write; sealing removes it.
//!
//! ```text
//! {"v":1,"broker_id":1,"acked_view":7,"zone":"eu-1a","weight":2,
//!  "listeners":[{"name":"public","host":"broker-1.example.org","port":9092,"security":"PLAINTEXT"}],
//!  "mesh":"10.0.0.1:9191","started_ms":1760000000000}
//! ```
//!
//! What is not known and a weight of 1 are left out.

use super::view::{check_place, is_one, one};
use super::{BrokerIdNumber, DecodeKeyError, ViewNumberNumber};
use crate::meta::Entry;
use crate::types::{BrokerId, SessionId, ViewNumber};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// What all these keys start with.
pub const PREFIX: &str = "sessions/";

/// Listeners of a session, at most.
pub const LISTENERS_MAX: usize = 16;
/// The name of a listener or of its security in bytes, at most.
pub const NAME_BYTES_MAX: usize = 64;
/// A host in bytes, at most: what DNS has. With a port it may be longer by six.
pub const HOST_BYTES_MAX: usize = 255;
const MESH_BYTES_MAX: usize = HOST_BYTES_MAX + 6;

/// The key of one session.
#[must_use]
pub fn key(session: SessionId) -> String {
    format!("{PREFIX}{session}")
}

/// The session that a key of this prefix names.
#[must_use]
pub fn session_of(key: &str) -> Option<SessionId> {
    key.strip_prefix(PREFIX)?.parse().ok()
}

/// The value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The broker whose session it is.
    #[serde(with = "BrokerIdNumber")]
    pub broker_id: BrokerId,
    /// The newest view it has acknowledged.
    #[serde(with = "ViewNumberNumber")]
    pub acked_view: ViewNumber,
    /// Where it runs, if that is known: Kafka's rack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Its share of what is led, as a proportion: 1 to 100.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub weight: u8,
    /// Where clients reach it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<Listener>,
    /// Where other brokers reach it, as `host:port`; none if it has no peers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mesh: Option<String>,
    /// When it started, by its own clock, in milliseconds since the Unix epoch. For people to read.
    pub started_ms: i64,
}

/// An address that a broker tells to clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// The listener's name: clients that came by one are told the addresses of the same name.
    pub name: String,
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// How to speak there, in Kafka's words, as `SASL_SSL`.
    pub security: String,
}

impl Session {
    /// A session of weight 1 that tells no addresses.
    #[must_use]
    pub fn new(broker_id: BrokerId, acked_view: ViewNumber, started_ms: i64) -> Session {
        let (zone, weight, listeners, mesh) = (None, 1, Vec::new(), None);
        Session { broker_id, acked_view, zone, weight, listeners, mesh, started_ms }
    }

    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        super::encode(self)
    }

    /// From the stored form, with its limits checked.
    pub fn decode(entry: &Entry) -> Result<Session, DecodeKeyError> {
        let session: Session = super::decode(entry)?;
        let unreadable = |reason| DecodeKeyError { key: entry.key.clone(), reason };
        session.check().map_err(unreadable)?;
        Ok(session)
    }

    fn check(&self) -> Result<(), String> {
        check_place(self.zone.as_deref(), self.weight)?;
        if self.listeners.len() > LISTENERS_MAX {
            return Err(format!("{} listeners, at most {LISTENERS_MAX}", self.listeners.len()));
        }
        for listener in &self.listeners {
            check_length("a listener's name", &listener.name, NAME_BYTES_MAX)?;
            check_length("a listener's host", &listener.host, HOST_BYTES_MAX)?;
            check_length("a listener's security", &listener.security, NAME_BYTES_MAX)?;
        }
        self.mesh.as_deref().map_or(Ok(()), |mesh| check_length("the mesh address", mesh, MESH_BYTES_MAX))
    }
}

fn check_length(what: &str, text: &str, bytes_max: usize) -> Result<(), String> {
    if text.len() > bytes_max {
        return Err(format!("{what} has {} bytes, at most {bytes_max}", text.len()));
    }
    Ok(())
}
