//! What brokers ask each other besides what Kafka has requests for: whoever answers a kind of it registers here.

use crate::mesh::MeshName;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The kinds. Their numbers are on the wire and stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum PrivateApi {
    /// What coordinators and leaders ask each other (room `remote`).
    Coordinators = 0,
    /// Which sessions a broker finds unreachable (room `views`).
    Reports = 1,
    /// Where records lie that a broker of another zone wants to read (room `handler`).
    Directions = 2,
    /// Archives of what a broker leads (room `ops`).
    Archives = 3,
}

impl PrivateApi {
    /// Its number on the wire.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The kind of that number.
    #[must_use]
    pub fn of_number(number: u8) -> Option<PrivateApi> {
        let all =
            [PrivateApi::Coordinators, PrivateApi::Reports, PrivateApi::Directions, PrivateApi::Archives];
        all.into_iter().find(|api| api.number() == number)
    }
}

/// Answers one kind.
pub trait ServePrivate: Send + Sync + 'static {
    /// Answers `request` of the session `from`; nothing if its bytes are of no form that is known here. Must end by itself
    /// within seconds, or in a time that whoever asks knows and waits for.
    fn serve(&self, from: MeshName, request: Bytes) -> BoxFuture<'static, Option<Bytes>>;
}

/// Who answers what. What nobody answers is told to be not served.
#[derive(Clone, Default)]
pub struct PrivateServices {
    by_api: BTreeMap<PrivateApi, Arc<dyn ServePrivate>>,
}

impl PrivateServices {
    /// From now on `service` answers `api`.
    #[must_use]
    pub fn with(mut self, api: PrivateApi, service: Arc<dyn ServePrivate>) -> PrivateServices {
        self.by_api.insert(api, service);
        self
    }

    /// Answers a request of the kind `number`; none if it is not served here.
    pub async fn serve(&self, number: u8, from: MeshName, request: Bytes) -> Option<Bytes> {
        let service = self.by_api.get(&PrivateApi::of_number(number)?)?;
        service.serve(from, request).await
    }
}

impl fmt::Debug for PrivateServices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_api.keys()).finish()
    }
}
