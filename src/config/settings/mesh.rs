//! The settings of a broker among others: its place, its share, and how it is reached and known.

use super::super::listeners::host_and_port;
use super::super::{MeshFiles, MeshSettings, MeshTrust, MetadataConfig, Secret, parse};
use super::{ConfigError, Given};
use crate::config::parse::Complaint;
use std::net::SocketAddr;

/// A zone's name in bytes, at most.
const ZONE_BYTES_MAX: usize = 64;
/// All that has to do with other brokers; they share nothing with one that has its metadata to itself.
const MESH: [&str; 7] = [
    "mesh-listen",
    "mesh-advertised",
    "cluster-secret",
    "cluster-secret-file",
    "mesh-ca",
    "mesh-certificate",
    "mesh-key",
];
const LISTEN_DEFAULT: &str = "0.0.0.0:9192";

impl Given {
    pub(super) fn zone(&self) -> Result<Option<String>, ConfigError> {
        if self.is_given("zone") { self.value("zone", zone).map(Some) } else { Ok(None) }
    }

    pub(super) fn mesh(&mut self, metadata: &MetadataConfig) -> Result<Option<MeshSettings>, ConfigError> {
        if *metadata == MetadataConfig::Embedded {
            let complaint = "has nothing to do; accepted: with --metadata etcd://…, which brokers share";
            return match MESH.into_iter().find(|key| self.is_given(key)) {
                Some(key) => Err(self.refused(key, complaint)),
                None => Ok(None),
            };
        }
        self.fill("mesh-listen", LISTEN_DEFAULT);
        let advertised = self.is_given("mesh-advertised").then(|| self.value("mesh-advertised", address));
        Ok(Some(MeshSettings {
            listen: self.value("mesh-listen", listen)?,
            advertised: advertised.transpose()?,
            trust: self.trust()?,
        }))
    }

    fn trust(&self) -> Result<Option<MeshTrust>, ConfigError> {
        let files = ["mesh-ca", "mesh-certificate", "mesh-key"];
        let given = |key: &&str| self.is_given(key);
        let mut ways: Vec<&str> =
            ["cluster-secret", "cluster-secret-file"].into_iter().filter(given).collect();
        ways.extend(files.iter().find(|key| given(key)));
        match ways.as_slice() {
            [] => Ok(None),
            [_, second, ..] => {
                let accepted =
                    "accepted: one of cluster-secret, cluster-secret-file, and mesh-ca with its sisters";
                Err(self.refused(second, &format!("comes beside {}; {accepted}", self.name(ways[0]))))
            }
            ["cluster-secret"] => {
                let secret = self.value("cluster-secret", |text| Ok(Secret::new(text)))?;
                Ok(Some(MeshTrust::Secret(secret)))
            }
            ["cluster-secret-file"] => {
                Ok(Some(MeshTrust::SecretFile(self.value("cluster-secret-file", parse::path)?)))
            }
            [one] => match files.into_iter().find(|key| !self.is_given(key)) {
                Some(missing) => {
                    let complaint =
                        format!("is given without {missing}; accepted: all of {}", files.join(", "));
                    Err(self.refused(one, &complaint))
                }
                None => Ok(Some(MeshTrust::Files(MeshFiles {
                    ca: self.value("mesh-ca", parse::path)?,
                    certificate: self.value("mesh-certificate", parse::path)?,
                    key: self.value("mesh-key", parse::path)?,
                }))),
            },
        }
    }

    fn is_given(&self, key: &str) -> bool {
        !self.get(key).values.is_empty()
    }

    fn refused(&self, key: &str, complaint: &str) -> ConfigError {
        self.error(key, &self.get(key).values.join(", "), complaint)
    }
}

fn zone(text: &str) -> Result<String, Complaint> {
    let legal = |letter: char| !letter.is_whitespace() && !letter.is_control();
    if !text.is_empty() && text.len() <= ZONE_BYTES_MAX && text.chars().all(legal) {
        return Ok(text.to_owned());
    }
    Err(format!("is not a zone; accepted: a name without spaces, up to {ZONE_BYTES_MAX} bytes"))
}

fn listen(text: &str) -> Result<SocketAddr, Complaint> {
    let complaint = |_| "is not an address; accepted: 0.0.0.0:9192, 10.0.0.1:9192, [::]:9192".to_owned();
    text.parse().map_err(complaint)
}

fn address(text: &str) -> Result<(String, u16), Complaint> {
    let address = host_and_port(text).filter(|(_, port)| *port != 0);
    address.ok_or_else(|| "is not an address; accepted: host:port, [v6]:port".to_owned())
}
