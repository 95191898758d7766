//! Who a broker is on the mesh: cluster, broker id, session. In a certificate's names, and in the first bytes of a connection.
//!
//! ```text
//! certificate   broker-3.<cluster>.cenote                    always
//!               session-<session>.<cluster>.cenote           in those that a broker makes for itself
//!
//! hello         0   4  "CNTM"
//!               4   2  version, 1
//!               6   2  zero
//!               8   4  broker id
//!               12  4  zero
//!               16  16 session
//!               32  16 cluster
//! ```
//! Numbers are big-endian, ids in hexadecimal without hyphens. A hello is a claim; [`MeshName::is_certified`] compares it with
//! the certificate of whoever makes it. Certificates given as files outlive sessions and have no session in them: then
//! it is the broker's word, over a connection that is proven to be that broker's.

use crate::types::{BrokerId, ClusterId, SessionId};
use rustls::pki_types::CertificateDer;
use std::fmt;
use tokio::io::{self, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use uuid::Uuid;

/// One session of one broker of one cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MeshName {
    /// Which cluster.
    pub cluster: ClusterId,
    /// Which broker.
    pub broker: BrokerId,
    /// Which run of it.
    pub session: SessionId,
}

/// Why a claim is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The first bytes are not those of this protocol.
    #[error("it does not speak this protocol of the mesh")]
    Protocol,
    /// The certificate cannot be read.
    #[error("it has no certificate that can be read")]
    Unreadable,
    /// It is a certificate for something else.
    #[error("its certificate is for {has}, and not for {wanted}")]
    Names {
        /// Which name is missing.
        wanted: String,
        /// Which are there.
        has: String,
    },
    /// Another cluster.
    #[error("it is of the cluster {0}")]
    Cluster(ClusterId),
}

/// What the other side has proven to be, before it says who it is.
pub(super) enum Proof {
    /// Its own certificate, whose chain the handshake has verified.
    Certificate(CertificateDer<'static>),
    /// Nothing.
    Missing,
    /// A simulated network has no strangers.
    #[cfg(feature = "simulation")]
    Simulated,
}

impl From<Option<&[CertificateDer<'static>]>> for Proof {
    fn from(chain: Option<&[CertificateDer<'static>]>) -> Proof {
        match chain.and_then(<[_]>::first) {
            Some(certificate) => Proof::Certificate(certificate.clone()),
            None => Proof::Missing,
        }
    }
}

const MAGIC: [u8; 4] = *b"CNTM";
const VERSION: u16 = 1;
/// Bytes of a hello.
pub(super) const HELLO_BYTES: usize = 48;
/// Names of a certificate that an error shows.
const NAMES_SHOWN_MAX: usize = 4;

impl fmt::Display for MeshName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broker {} session {}", self.broker.0, self.session)
    }
}

impl MeshName {
    /// The name of the broker in its certificate.
    #[must_use]
    pub fn broker_name(&self) -> String {
        format!("broker-{}.{}.cenote", self.broker.0, self.cluster)
    }

    /// The name of the session in it.
    #[must_use]
    pub fn session_name(&self) -> String {
        format!("session-{}.{}.cenote", self.session, self.cluster)
    }

    /// Whether a certificate, whose chain is verified, is for this broker, and for this session if it is for any.
    pub fn is_certified(&self, certificate: &CertificateDer<'_>) -> Result<(), NameError> {
        let parsed = webpki::EndEntityCert::try_from(certificate).map_err(|_| NameError::Unreadable)?;
        let names: Vec<&str> = parsed.valid_dns_names().collect();
        self.is_named(&names)
    }

    fn is_named(&self, names: &[&str]) -> Result<(), NameError> {
        let names_session = names.iter().any(|name| name.starts_with("session-"));
        let wanted = [Some(self.broker_name()), names_session.then(|| self.session_name())];
        for wanted in wanted.into_iter().flatten() {
            if !names.contains(&wanted.as_str()) {
                let has = names[..names.len().min(NAMES_SHOWN_MAX)].join(", ");
                let has = if has.is_empty() { "nothing".to_owned() } else { has };
                return Err(NameError::Names { wanted, has });
            }
        }
        Ok(())
    }

    pub(super) fn encode(&self) -> [u8; HELLO_BYTES] {
        let mut hello = [0; HELLO_BYTES];
        hello[0..4].copy_from_slice(&MAGIC);
        hello[4..6].copy_from_slice(&VERSION.to_be_bytes());
        hello[8..12].copy_from_slice(&self.broker.0.to_be_bytes());
        hello[16..32].copy_from_slice(self.session.0.as_bytes());
        hello[32..48].copy_from_slice(self.cluster.0.as_bytes());
        hello
    }

    pub(super) fn decode(hello: &[u8; HELLO_BYTES]) -> Result<MeshName, NameError> {
        let zeros = hello[6..8].iter().chain(&hello[12..16]).all(|byte| *byte == 0);
        if hello[0..4] != MAGIC || hello[4..6] != VERSION.to_be_bytes() || !zeros {
            return Err(NameError::Protocol);
        }
        let id = |from: usize| Uuid::from_slice(&hello[from..from + 16]).map_err(|_| NameError::Protocol);
        let broker = i32::from_be_bytes([hello[8], hello[9], hello[10], hello[11]]);
        Ok(MeshName { cluster: ClusterId(id(32)?), broker: BrokerId(broker), session: SessionId(id(16)?) })
    }

    /// Says who we are.
    pub(super) async fn tell(&self, writer: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        writer.write_all(&self.encode()).await?;
        writer.flush().await
    }

    /// Hears who the other side says that it is, which has to be of the same cluster and what its certificate says.
    pub(super) async fn hear(
        &self,
        reader: &mut (impl AsyncRead + Unpin),
        proof: &Proof,
    ) -> io::Result<Result<MeshName, NameError>> {
        let mut hello = [0; HELLO_BYTES];
        reader.read_exact(&mut hello).await?;
        Ok(MeshName::decode(&hello).and_then(|name| {
            match proof {
                Proof::Certificate(certificate) => name.is_certified(certificate)?,
                Proof::Missing => return Err(NameError::Unreadable),
                #[cfg(feature = "simulation")]
                Proof::Simulated => {}
            }
            if name.cluster == self.cluster { Ok(name) } else { Err(NameError::Cluster(name.cluster)) }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::{MeshName, NameError};
    use crate::types::{BrokerId, ClusterId, SessionId};
    use uuid::Uuid;

    fn name() -> MeshName {
        MeshName {
            cluster: ClusterId(Uuid::from_bytes([0xC1; 16])),
            broker: BrokerId(3),
            session: SessionId(Uuid::from_bytes([0x5E; 16])),
        }
    }

    #[test]
    fn a_hello_has_these_bytes() {
        let hex: String = name().encode().iter().map(|byte| format!("{byte:02x}")).collect();
        let (session, cluster) = ("5e".repeat(16), "c1".repeat(16));
        assert_eq!(hex, format!("434e544d000100000000000300000000{session}{cluster}"));
        assert_eq!(MeshName::decode(&name().encode()), Ok(name()));
    }

    #[test]
    fn other_first_bytes_are_not_a_hello() {
        for position in [0, 5, 6, 12] {
            let mut hello = name().encode();
            hello[position] ^= 0x40;
            assert_eq!(MeshName::decode(&hello), Err(NameError::Protocol), "byte {position}");
        }
    }

    #[test]
    fn a_claim_has_to_be_in_the_certificate() {
        let (broker, session) = (name().broker_name(), name().session_name());
        assert_eq!(name().is_named(&[&broker]), Ok(()), "one for any session");
        assert_eq!(name().is_named(&[&broker, &session]), Ok(()));
        let other = MeshName { session: SessionId(Uuid::from_bytes([1; 16])), ..name() };
        assert!(other.is_named(&[&broker, &session]).is_err(), "another session");
        let other = MeshName { broker: BrokerId(4), ..name() };
        assert!(other.is_named(&[&broker, &session]).is_err(), "another broker");
        let other = MeshName { cluster: ClusterId(Uuid::from_bytes([2; 16])), ..name() };
        let error = other.is_named(&[&broker]).unwrap_err();
        assert!(error.to_string().contains(&broker), "{error}");
        assert!(name().is_named(&[]).is_err());
    }
}
