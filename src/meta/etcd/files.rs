//! The files of TLS towards etcd: read, and looked at before anything is connected. Never who etcd is, or whether it
//! knows us: that is found out by connecting.

use crate::config::EtcdTls;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

/// A file that is of no use.
#[derive(Debug, thiserror::Error)]
pub enum EtcdFileError {
    /// It is not there, or may not be read.
    #[error("{path}: {error}")]
    Unreadable {
        /// Which.
        path: String,
        /// The system's reason.
        error: std::io::Error,
    },
    /// It has no such thing.
    #[error("{path}: it has no {what} in PEM")]
    NotPem {
        /// Which.
        path: String,
        /// What was looked for.
        what: &'static str,
    },
    /// Certificate and key are not of each other, or of a kind that is not known.
    #[error("{certificate} and {key}: {why}")]
    NoPair {
        /// The certificate's file.
        certificate: String,
        /// The key's.
        key: String,
        /// What is wrong.
        why: String,
    },
}

/// Reads the files, a few kilobytes each, and sees that they are what they should be.
pub(super) fn read(files: &EtcdTls) -> Result<ClientTlsConfig, EtcdFileError> {
    let mut tls = match &files.ca {
        Some(path) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(certificates(path)?)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    if let Some((certificate, key)) = &files.identity {
        let (chain, private) = (certificates(certificate)?, private_key(key)?);
        are_a_pair(&chain, &private).map_err(|why| EtcdFileError::NoPair {
            certificate: certificate.display().to_string(),
            key: key.display().to_string(),
            why,
        })?;
        tls = tls.identity(Identity::from_pem(chain, private));
    }
    Ok(tls)
}

fn certificates(path: &Path) -> Result<Vec<u8>, EtcdFileError> {
    let pem = bytes(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(pem),
        _ => Err(EtcdFileError::NotPem { path: path.display().to_string(), what: "certificate" }),
    }
}

fn private_key(path: &Path) -> Result<Vec<u8>, EtcdFileError> {
    let pem = bytes(path)?;
    match PrivateKeyDer::from_pem_slice(&pem) {
        Ok(_) => Ok(pem),
        Err(_) => Err(EtcdFileError::NotPem { path: path.display().to_string(), what: "private key" }),
    }
}

fn are_a_pair(chain: &[u8], key: &[u8]) -> Result<(), String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
    let chain = chain.map_err(|error| error.to_string())?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| error.to_string())?;
    let provider = rustls::crypto::ring::default_provider();
    let pair = rustls::sign::CertifiedKey::from_der(chain, key, &provider);
    pair.map(|_| ()).map_err(|error| error.to_string())
}

fn bytes(path: &Path) -> Result<Vec<u8>, EtcdFileError> {
    let unreadable = |error| EtcdFileError::Unreadable { path: path.display().to_string(), error };
    std::fs::read(path).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};
    use std::path::PathBuf;

    #[test]
    fn a_file_that_is_of_no_use_is_named_with_what_is_wrong() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let write = |name: &str, text: &str| -> PathBuf {
            let path = directory.path().join(name);
            std::fs::write(&path, text).expect("written");
            path
        };
        let (key, other) = (KeyPair::generate().expect("a key"), KeyPair::generate().expect("a key"));
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("an address");
        let certificate = params.self_signed(&key).expect("signed");
        let certificate = write("cert.pem", &certificate.pem());
        let (key, other) =
            (write("key.pem", &key.serialize_pem()), write("other.pem", &other.serialize_pem()));
        let text = write("text", "not PEM at all\n");
        let missing = directory.path().join("missing");
        let of = |ca: &PathBuf, identity: Option<(&PathBuf, &PathBuf)>| {
            let identity = identity.map(|(certificate, key)| (certificate.clone(), key.clone()));
            read(&EtcdTls { ca: Some(ca.clone()), identity })
        };
        assert!(of(&certificate, Some((&certificate, &key))).is_ok());
        for (ca, identity, expected) in [
            (&missing, None, "missing: No such file"),
            (&text, None, "text: it has no certificate in PEM"),
            (&key, None, "key.pem: it has no certificate in PEM"),
            (&certificate, Some((&certificate, &certificate)), "cert.pem: it has no private key in PEM"),
            (&certificate, Some((&certificate, &other)), "other.pem: "),
        ] {
            let error = of(ca, identity).expect_err(expected).to_string();
            assert!(error.contains(expected) && !error.contains('\n'), "{error}");
        }
    }
}
