//! This process among other brokers: what it is known by, and the door that their requests come in by, through all its sessions.

use super::{Foundation, StartError};
use crate::config::{Config, MeshSettings, MetadataConfig};
use crate::handler::Handler;
use crate::mesh::{MeshConfig, MeshCredentials, MeshEndpoint, MeshName, advertised};
use crate::net::MeshDoor;
use crate::peers::{MeshStart, listen};
use crate::types::SessionId;
use std::sync::Arc;

/// What a process needs to have other brokers.
#[derive(Clone, Debug)]
pub struct Neighbours {
    road: Road,
    door: MeshDoor,
}

/// How others are reached.
#[derive(Clone, Debug)]
enum Road {
    Quic(Box<(MeshSettings, MeshCredentials)>),
    #[cfg(feature = "simulation")]
    Simulated(Arc<dyn crate::mesh::simulated::Network>),
}

impl Neighbours {
    /// A process that is known by `credentials`, and listens as `settings` say.
    #[must_use]
    pub fn new(settings: MeshSettings, credentials: MeshCredentials) -> Neighbours {
        Neighbours { road: Road::Quic(Box::new((settings, credentials))), door: MeshDoor::new() }
    }

    /// A process on a simulated network.
    #[cfg(feature = "simulation")]
    #[must_use]
    pub fn simulated(network: Arc<dyn crate::mesh::simulated::Network>) -> Neighbours {
        Neighbours { road: Road::Simulated(network), door: MeshDoor::new() }
    }

    /// From now on `handler` answers other brokers.
    pub(super) fn open(&self, handler: Arc<Handler>, foundation: &Foundation) {
        self.door.open(handler, foundation.config.limits, Arc::clone(&foundation.metrics));
    }

    /// Takes no further requests of other brokers.
    pub(super) fn close(&self) {
        self.door.close();
    }

    /// The endpoint of a session, and where others reach it.
    pub(super) async fn listen(
        &self,
        foundation: &Foundation,
        session: SessionId,
    ) -> Result<(MeshEndpoint, String), StartError> {
        let Foundation { config, metrics, cluster_id, .. } = foundation;
        let name = MeshName { cluster: *cluster_id, broker: config.broker_id, session };
        let mesh = MeshConfig { seed: session.0.as_u64_pair().1, ..MeshConfig::default() };
        let (serve, metrics) = (Arc::new(self.door.clone()), metrics.mesh.clone());
        let (settings, credentials) = match &self.road {
            Road::Quic(known) => (&known.0, &known.1),
            #[cfg(feature = "simulation")]
            Road::Simulated(network) => {
                let endpoint = MeshEndpoint::simulated(network.as_ref(), name, mesh, serve, metrics);
                let address = endpoint.address().to_string();
                return Ok((endpoint, address));
            }
        };
        let endpoint = listen(MeshStart {
            address: settings.listen,
            identity: credentials.identity(name)?,
            config: mesh,
            serve,
            metrics,
        })
        .await?;
        let address = advertised(settings, endpoint.address(), members(config)).await;
        Ok((endpoint, address.map_err(StartError::NoAddress)?))
    }
}

/// The members of the metadata store, as `host:port`.
fn members(config: &Config) -> &[String] {
    match &config.metadata {
        MetadataConfig::Etcd(etcd) => &etcd.members,
        MetadataConfig::Embedded => &[],
    }
}
