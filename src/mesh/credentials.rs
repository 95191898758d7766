//! By what this process is known to other brokers, through all its sessions; each session has a name, and so an identity.

use super::identity::{MeshIdentity, MeshIdentityError};
use super::name::MeshName;
use super::secret::{ClusterSecret, SecretError};
use crate::config::{MeshFiles, MeshTrust};

/// What identities are made of.
#[derive(Clone, Debug)]
pub enum MeshCredentials {
    /// What all brokers of the cluster know.
    Secret(ClusterSecret),
    /// The operator's own; read anew for each session, so that they may be renewed.
    Files(MeshFiles),
}

impl MeshCredentials {
    /// Takes what the settings say; reads a secret's file.
    pub fn open(trust: &MeshTrust) -> Result<MeshCredentials, SecretError> {
        match trust {
            MeshTrust::Secret(secret) => {
                ClusterSecret::new(secret.reveal().as_bytes()).map(MeshCredentials::Secret)
            }
            MeshTrust::SecretFile(path) => ClusterSecret::from_file(path).map(MeshCredentials::Secret),
            MeshTrust::Files(files) => Ok(MeshCredentials::Files(files.clone())),
        }
    }

    /// The identity of one session.
    pub fn identity(&self, name: MeshName) -> Result<MeshIdentity, MeshIdentityError> {
        match self {
            MeshCredentials::Secret(secret) => MeshIdentity::from_secret(secret, name),
            MeshCredentials::Files(MeshFiles { ca, certificate, key }) => {
                MeshIdentity::from_files(ca, certificate, key, name)
            }
        }
    }
}
