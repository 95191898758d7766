//! The endpoint of a session, at a port that the session before may not have left yet.

use crate::mesh::{MeshBindError, MeshConfig, MeshEndpoint, MeshIdentity, ServeStream};
use crate::metrics::MeshMetrics;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// What an endpoint is made of.
pub struct MeshStart {
    /// Where to listen; port 0 takes any that is free.
    pub address: SocketAddr,
    /// Who this session is.
    pub identity: MeshIdentity,
    /// How much and how long.
    pub config: MeshConfig,
    /// Who answers.
    pub serve: Arc<dyn ServeStream>,
    /// Where figures go.
    pub metrics: MeshMetrics,
}

/// How long a port that is taken is tried for.
const BIND_TIME_MAX: Duration = Duration::from_secs(5);
const BIND_EVERY: Duration = Duration::from_millis(20);

/// Listens. A port that is taken is tried again for a while, as the last session of this process may be leaving it.
pub async fn listen(start: MeshStart) -> Result<MeshEndpoint, MeshBindError> {
    let MeshStart { address, identity, config, serve, metrics } = start;
    let until = Instant::now() + BIND_TIME_MAX;
    let mut tries = interval(BIND_EVERY);
    tries.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tries.tick().await;
        let (config, serve) = (config.clone(), Arc::clone(&serve));
        match MeshEndpoint::bind(address, &identity, config, serve, metrics.clone()).await {
            Err(MeshBindError::Bind { error, .. })
                if error.kind() == ErrorKind::AddrInUse && Instant::now() < until => {}
            bound => return bound,
        }
    }
}
