//! Who we are to TLS and QUIC clients: a certificate from files, or one made for development.

use rustls::pki_types::pem::{self, PemObject};
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
    /// The file of the certificate's chain cannot be used.
    #[error("{path:?} {reason}")]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it, to be read after its name.
        reason: String,
    },
    /// The file of the key cannot be used.
    #[error("{path:?} {reason}")]
    Key {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it, to be read after its name.
        reason: String,
    },
    /// A certificate and a key that do not go together, or are of a kind that is not supported.
    #[error("certificate and key: {0}")]
    Pair(#[from] rustls::Error),
    /// The certificate that was made for development is no longer whole.
    #[error("the certificate for development cannot be used: {0}; remove its directory to have another made")]
    Spoilt(Box<IdentityError>),
    /// A certificate for development could not be made.
    #[error("cannot make a certificate for development: {0}")]
    Make(#[from] rcgen::Error),
    /// A certificate for development could not be written.
    #[error("cannot write a certificate for development to {path:?}: {error}")]
    Write {
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
}

impl Identity {
    /// Reads a chain and a key, both PEM, and sees that they belong together.
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Identity, IdentityError> {
        let of_certificate = |reason| IdentityError::Certificate { path: certificate.to_owned(), reason };
        let of_key = |reason| IdentityError::Key { path: key.to_owned(), reason };
        let chain: Vec<_> = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect)
            .map_err(|error| of_certificate(not_pem(&error, "certificate")))?;
        if chain.is_empty() {
            return Err(of_certificate("has no certificate in it".to_owned()));
        }
        let private =
            PrivateKeyDer::from_pem_file(key).map_err(|error| of_key(not_pem(&error, "private key")))?;
        let identity = Identity { chain, key: private };
        match identity.server_config(&[&rustls::version::TLS13]) {
            Ok(_config) => Ok(identity),
            Err(IdentityError::Pair(rustls::Error::InconsistentKeys(_))) => {
                Err(of_key(format!("is not the key of the certificate in {certificate:?}")))
            }
            Err(IdentityError::Pair(rustls::Error::InvalidCertificate(error))) => {
                Err(of_certificate(format!("has a certificate that cannot be read: {error}")))
            }
            Err(error) => Err(of_key(format!("has a key that cannot be used: {error}"))),
        }
    }

    /// The self-signed certificate below `directory`, made when there is none: for `localhost`, `127.0.0.1`
    /// and `::1`. Only the owner may read its key.
    pub fn for_development(directory: &Path) -> Result<Identity, IdentityError> {
        let (certificate, key) = (directory.join("certificate.pem"), directory.join("key.pem"));
        if !(certificate.exists() && key.exists()) {
            make(&certificate, &key)?;
        }
        Identity::from_files(&certificate, &key).map_err(|error| IdentityError::Spoilt(Box::new(error)))
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

/// What is wrong with a file of which `what` was wanted, to be read after its name.
fn not_pem(error: &pem::Error, what: &str) -> String {
    match error {
        pem::Error::Io(error) => format!("cannot be read: {error}"),
        pem::Error::NoItemsFound => format!("has no {what} in it"),
        pem::Error::MissingSectionEnd { .. } => "is not PEM: it ends within a section".to_owned(),
        pem::Error::IllegalSectionStart { .. } => "is not PEM: a section begins wrongly".to_owned(),
        other => format!("is not PEM: {other}"),
    }
}

fn make(certificate: &Path, key: &Path) -> Result<(), IdentityError> {
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut params = rcgen::CertificateParams::new(names)?;
    params.distinguished_name.push(rcgen::DnType::CommonName, "cenote, for development");
    let key_pair = rcgen::KeyPair::generate()?;
    let signed = params.self_signed(&key_pair)?;
    let write = |path: &Path, pem: &str| {
        write_private(path, pem).map_err(|error| IdentityError::Write { path: path.to_owned(), error })
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

#[cfg(test)]
mod tests;
