//! Who we are to TLS and QUIC clients: a certificate from files, or one made for development.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, SupportedProtocolVersion};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A certificate chain and its key.
#[derive(Debug)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A PEM file cannot be read, or holds nothing of the kind.
    #[error("{path}: {reason}", path = .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The key is not that of the certificate, or is of a kind that is not supported.
    #[error("certificate and key: {0}")]
    Pair(#[from] rustls::Error),
    /// A certificate for development could not be made.
    #[error("making a certificate: {0}")]
    Make(#[from] rcgen::Error),
}

impl Identity {
    /// Reads a chain and a key, both PEM.
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Identity, IdentityError> {
        let of = |path: &Path, reason: String| IdentityError::File { path: path.to_owned(), reason };
        let chain: Vec<_> = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect)
            .map_err(|error| of(certificate, error.to_string()))?;
        if chain.is_empty() {
            return Err(of(certificate, "no certificate in it".to_owned()));
        }
        let key = PrivateKeyDer::from_pem_file(key).map_err(|error| of(key, error.to_string()))?;
        Ok(Identity { chain, key })
    }

    /// The self-signed certificate below `directory`, made when there is none: for `localhost`, `127.0.0.1`
    /// and `::1`. Only the owner may read its key.
    pub fn for_development(directory: &Path) -> Result<Identity, IdentityError> {
        let (certificate, key) = (directory.join("certificate.pem"), directory.join("key.pem"));
        if !(certificate.exists() && key.exists()) {
            make(&certificate, &key)?;
        }
        Identity::from_files(&certificate, &key)
    }

    /// SHA-256 of the certificate's DER, as `AB:CD:…`.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let rustls::SupportedCipherSuite::Tls13(suite) =
            rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256
        else {
            unreachable!("a TLS 1.3 suite by name")
        };
        let hash = suite.common.hash_provider.hash(&self.chain[0]);
        let pairs: Vec<String> = hash.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
        pairs.join(":")
    }

    /// A rustls configuration with this identity; no client certificates, no early data.
    pub(super) fn server_config(
        &self,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<ServerConfig, IdentityError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)?
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key.clone_key())?;
        Ok(config)
    }
}

fn make(certificate: &Path, key: &Path) -> Result<(), IdentityError> {
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut params = rcgen::CertificateParams::new(names)?;
    params.distinguished_name.push(rcgen::DnType::CommonName, "cenote, for development");
    let key_pair = rcgen::KeyPair::generate()?;
    let signed = params.self_signed(&key_pair)?;
    let write = |path: &Path, pem: &str| {
        let of = |error: io::Error| IdentityError::File { path: path.to_owned(), reason: error.to_string() };
        write_private(path, pem).map_err(of)
    };
    write(key, &key_pair.serialize_pem())?;
    write(certificate, &signed.pem())
}

/// Whole or not at all: a half-written key would stop every later start.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let unfinished = path.with_extension("pem.new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    File::open(directory)?.sync_all()
}
