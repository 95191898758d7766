//! Who we are to other brokers, and by what we know them: mutual TLS 1.3, for QUIC and for the tell-tales alike.
//!
//! ```text
//! cluster secret ─HKDF─▶ seed ─▶ key of the authority (Ed25519), the same on every broker
//!                                   │ signs
//!                                   ▼
//!                    a certificate for a fresh key (ECDSA P-256): broker-3.<cluster>, session-<session>.<cluster>
//! ```
//! Why this is sound. A certificate that the authority signed can be made by whoever has its key, so by whoever has the
//! secret, and by nobody else: HKDF does not lead back from what it gives, and a signature does not lead to its key. Both sides
//! verify the other's chain by the ordinary rules of TLS, with that authority as the only root, so each knows that the other has
//! the secret. All who have it may claim any name, as in any cluster with one secret; names are there so that a
//! connection never ends at a broker, a session or a cluster other than the one that was meant. The fresh key never leaves
//! the process, and TLS 1.3 makes new keys for each connection: who learns the secret later cannot read what was recorded.
//! No resumption and no 0-RTT: nothing can be replayed. Certificates made here are valid from 1970 to 4096, as
//! a wrong clock must not part a cluster; who must be kept out is kept out by another secret.
//!
//! With files instead, the operator's authority says who is broker 3 (`broker-3.<cluster>.cenote` among the names), and
//! validity is what it says.

use super::name::{MeshName, NameError};
use super::secret::ClusterSecret;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ED25519,
};
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The application protocol of the mesh (RFC 7301).
pub const ALPN: &[u8] = b"cenote-mesh/1";
/// That of the tell-tales.
pub const TELL_TALE_ALPN: &[u8] = b"cenote-mesh-tell-tale/1";

/// Our name, the certificate that says so, its key, and the authority.
pub struct MeshIdentity {
    name: MeshName,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    roots: Arc<RootCertStore>,
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum MeshIdentityError {
    /// A file cannot be used.
    #[error("{path:?} {reason}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it, to be read after its name.
        reason: String,
    },
    /// A certificate could not be made.
    #[error("cannot make a certificate for the mesh: {0}")]
    Make(#[from] rcgen::Error),
    /// The certificate is for something else.
    #[error("the mesh's certificate in {path:?} is not ours: {error}")]
    Names {
        /// Which file.
        path: PathBuf,
        /// What is missing.
        error: NameError,
    },
    /// The certificate cannot be used with the key, or is not of the authority.
    #[error("the mesh's certificate cannot be used: {0}")]
    Tls(#[from] rustls::Error),
    /// The authority cannot be used.
    #[error("the mesh's authority cannot be used: {0}")]
    Authority(String),
}

/// What the seed of the authority's key is made for.
const AUTHORITY: &[u8] = b"mesh authority, ed25519";
/// An Ed25519 private key in PKCS #8 (RFC 8410, section 7), up to its 32 bytes.
const PKCS8_ED25519: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

impl MeshIdentity {
    /// Makes a certificate for `name`, signed by the authority that `secret` stands for.
    pub fn from_secret(secret: &ClusterSecret, name: MeshName) -> Result<MeshIdentity, MeshIdentityError> {
        let pkcs8 = [PKCS8_ED25519.as_slice(), &secret.key(AUTHORITY)].concat();
        let authority_key =
            KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(pkcs8), &PKCS_ED25519)?;
        let authority = authority_params();
        let root = authority.self_signed(&authority_key)?;
        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate()?;
        let certificate = leaf_params(&name)?.signed_by(&key, &issuer)?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut roots = RootCertStore::empty();
        roots.add(root.der().clone())?;
        Ok(MeshIdentity { name, chain: vec![certificate.der().clone()], key, roots: Arc::new(roots) })
    }

    /// Reads authority, chain and key, all PEM, and sees that they go together and are ours.
    pub fn from_files(
        authority: &Path,
        certificate: &Path,
        key: &Path,
        name: MeshName,
    ) -> Result<MeshIdentity, MeshIdentityError> {
        let mut roots = RootCertStore::empty();
        for root in certificates(authority)? {
            roots.add(root).map_err(|error| unusable(authority, &error))?;
        }
        let chain = certificates(certificate)?;
        let key = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, &error))?;
        name.is_certified(&chain[0])
            .map_err(|error| MeshIdentityError::Names { path: certificate.to_owned(), error })?;
        let identity = MeshIdentity { name, chain, key, roots: Arc::new(roots) };
        identity.verify_own()?;
        identity.server_tls(ALPN)?;
        Ok(identity)
    }

    /// Who we are.
    #[must_use]
    pub fn name(&self) -> MeshName {
        self.name
    }

    /// A stranger that knows whom to trust, and has what it has of its own.
    #[cfg(test)]
    pub(super) fn trusting(self, other: &MeshIdentity) -> MeshIdentity {
        MeshIdentity { roots: Arc::clone(&other.roots), ..self }
    }

    /// What is trusted.
    #[cfg(test)]
    pub(super) fn roots(&self) -> Arc<RootCertStore> {
        Arc::clone(&self.roots)
    }

    /// Others will verify it just so.
    fn verify_own(&self) -> Result<(), MeshIdentityError> {
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::clone(&self.roots), provider())
            .build()
            .map_err(|error| MeshIdentityError::Authority(error.to_string()))?;
        let name = ServerName::try_from(self.name.broker_name()).expect("letters, digits, hyphens and dots");
        verifier.verify_server_cert(&self.chain[0], &self.chain[1..], &name, &[], UnixTime::now())?;
        Ok(())
    }

    /// What accepts connections of the protocol `alpn`.
    pub(super) fn server_tls(&self, alpn: &[u8]) -> Result<ServerConfig, MeshIdentityError> {
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(&self.roots), provider())
            .build()
            .map_err(|error| MeshIdentityError::Authority(error.to_string()))?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(verifier)
            .with_single_cert(self.chain.clone(), self.key.clone_key())?;
        config.alpn_protocols = vec![alpn.to_vec()];
        config.max_early_data_size = 0;
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(config)
    }

    /// What makes connections of the protocol `alpn`.
    pub(super) fn client_tls(&self, alpn: &[u8]) -> Result<ClientConfig, MeshIdentityError> {
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(Arc::clone(&self.roots))
            .with_client_auth_cert(self.chain.clone(), self.key.clone_key())?;
        config.alpn_protocols = vec![alpn.to_vec()];
        config.enable_early_data = false;
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    /// The same for QUIC.
    pub(super) fn quic_server(&self) -> Result<QuicServerConfig, MeshIdentityError> {
        let tls = self.server_tls(ALPN)?;
        Ok(QuicServerConfig::try_from(tls).expect("the provider has QUIC's initial cipher suite"))
    }

    /// The same for QUIC.
    pub(super) fn quic_client(&self) -> Result<QuicClientConfig, MeshIdentityError> {
        let tls = self.client_tls(ALPN)?;
        Ok(QuicClientConfig::try_from(tls).expect("the provider has QUIC's initial cipher suite"))
    }
}

impl fmt::Debug for MeshIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeshIdentity").field("name", &self.name).finish_non_exhaustive()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "cenote mesh");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    forever(&mut params);
    params
}

fn leaf_params(name: &MeshName) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new([name.broker_name(), name.session_name()])?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("cenote broker {}", name.broker.0));
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    forever(&mut params);
    Ok(params)
}

fn forever(params: &mut CertificateParams) {
    params.not_before = rcgen::date_time_ymd(1970, 1, 1);
    params.not_after = rcgen::date_time_ymd(4096, 1, 1);
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, MeshIdentityError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let read = read.map_err(|error| unusable(path, &error))?;
    if read.is_empty() {
        let reason = "has no certificate in it".to_owned();
        return Err(MeshIdentityError::File { path: path.to_owned(), reason });
    }
    Ok(read)
}

fn unusable(path: &Path, error: &dyn fmt::Display) -> MeshIdentityError {
    MeshIdentityError::File { path: path.to_owned(), reason: format!("cannot be used: {error}") }
}

#[cfg(test)]
mod tests;
