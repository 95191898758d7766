//! How the brokers of a cluster reach each other, and by what they know each other.

use super::Secret;
use std::net::SocketAddr;
use std::path::PathBuf;

/// This broker's place among others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshSettings {
    /// Where other brokers are listened for: UDP and TCP.
    pub listen: SocketAddr,
    /// What other brokers are told, if not what follows from where it listens.
    pub advertised: Option<(String, u16)>,
    /// By what it is known; none: nobody said, and then no broker runs.
    pub trust: Option<MeshTrust>,
}

/// By what brokers of a cluster know each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MeshTrust {
    /// A secret that all of them have.
    Secret(Secret),
    /// The same, in a file.
    SecretFile(PathBuf),
    /// Certificates of the operator's own.
    Files(MeshFiles),
}

/// Files of the mesh, all PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshFiles {
    /// Who signs brokers' certificates.
    pub ca: PathBuf,
    /// Our own chain, which says that we are `broker-<id>.<cluster>.cenote`.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}
