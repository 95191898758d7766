//! Whom to trust: the system's authorities, a file of them, one certificate by its fingerprint, or anyone.

use super::ClientError;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

/// Whose certificates a client accepts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TlsTrust {
    /// Those that the system's authorities signed.
    #[default]
    System,
    /// Those that the authorities of a PEM file signed.
    CaFile(PathBuf),
    /// One certificate, known by its fingerprint; its name and dates do not matter.
    Pinned(Fingerprint),
    /// Any: encrypted, but with whom is not known. For development.
    Insecure,
}

/// The SHA-256 of a certificate in its DER form. Read as 64 hexadecimal digits, with or without colons; written
/// as the broker prints it, `AB:CD:…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

/// Why text is no fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is 64 hexadecimal digits (SHA-256), colons allowed")]
pub struct FingerprintError;

impl Fingerprint {
    /// The fingerprint of a certificate.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Fingerprint {
        let suite = ring::cipher_suite::TLS13_AES_128_GCM_SHA256.tls13().expect("it is a suite of TLS 1.3");
        let hash = suite.common.hash_provider.hash(certificate.as_ref());
        Fingerprint(hash.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;
    fn from_str(text: &str) -> Result<Fingerprint, FingerprintError> {
        let digits: Vec<u8> = text
            .chars()
            .filter(|digit| *digit != ':')
            .map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect::<Option<_>>()
            .ok_or(FingerprintError)?;
        let bytes: Vec<u8> =
            digits.chunks(2).map(|pair| pair.iter().fold(0, |all, digit| all << 4 | digit)).collect();
        let bytes = <[u8; 32]>::try_from(bytes).map_err(|_| FingerprintError)?;
        if digits.len() == 64 { Ok(Fingerprint(bytes)) } else { Err(FingerprintError) }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs: Vec<String> = self.0.iter().map(|byte| format!("{byte:02X}")).collect();
        f.write_str(&pairs.join(":"))
    }
}

/// Another certificate than the one that is trusted.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{WRONG_FINGERPRINT}{found}")]
struct WrongFingerprint {
    found: Fingerprint,
}

/// Why a handshake failed, with what to do about it where that is known. QUIC hands down only the text of what
/// rustls said, so the text is what is looked at.
pub(super) fn handshake_failure(said: &str) -> String {
    // A certificate of the same name as the broker's, such as another one made for development, is a bad signature.
    if said.contains("UnknownIssuer") || said.contains("BadSignature") {
        return "no authority that is trusted here signed the broker's certificate: give --tls-ca with the file of \
                one that did, or --tls-fingerprint with what the broker printed at its start"
            .to_owned();
    }
    if let Some((_, found)) = said.split_once(WRONG_FINGERPRINT) {
        return format!(
            "the broker has another certificate than --tls-fingerprint asks for, {found}: give the fingerprint \
             that the broker printed at its start"
        );
    }
    if said.contains("not valid for name") {
        return format!("{said}: connect by a name that it has, or give --tls-fingerprint");
    }
    // What is no TLS, and the end of a peer that takes TLS for nonsense.
    if said.contains("InvalidContentType") || said.contains("tls handshake eof") {
        return format!("{said}: is TLS spoken there? without it an address begins with tcp://");
    }
    said.to_owned()
}

/// What stands before the fingerprint that was found.
const WRONG_FINGERPRINT: &str = "the certificate's fingerprint is ";

/// The rustls configuration of a client that trusts so. QUIC needs the ALPN name; a TLS listener may ignore it.
pub(super) fn client_config(trust: &TlsTrust, alpn: &[&[u8]]) -> Result<ClientConfig, ClientError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| tls_error("tls versions", &error))?;
    let mut config = match trust {
        TlsTrust::System => builder.with_root_certificates(system_roots()?),
        TlsTrust::CaFile(path) => builder.with_root_certificates(file_roots(path)?),
        TlsTrust::Pinned(fingerprint) => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(ByFingerprint {
                pinned: Some(*fingerprint),
                provider,
            }))
        }
        TlsTrust::Insecure => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(ByFingerprint { pinned: None, provider })),
    }
    .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}

fn system_roots() -> Result<RootCertStore, ClientError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let reason = "found none: give --tls-ca or --tls-fingerprint";
        return Err(tls_error("the system's certificate authorities", &reason));
    }
    Ok(roots)
}

fn file_roots(path: &Path) -> Result<RootCertStore, ClientError> {
    let what = || format!("certificate authorities of {}", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| tls_error(&what(), &error))? {
        let certificate = certificate.map_err(|error| tls_error(&what(), &error))?;
        roots.add(certificate).map_err(|error| tls_error(&what(), &error))?;
    }
    if roots.is_empty() {
        return Err(tls_error(&what(), &"the file holds no certificate in PEM form"));
    }
    Ok(roots)
}

fn tls_error(what: &str, reason: &dyn fmt::Display) -> ClientError {
    ClientError::Tls { what: what.to_owned(), reason: reason.to_string() }
}

/// Accepts one certificate, or any; the handshake's signatures are checked all the same.
#[derive(Debug)]
struct ByFingerprint {
    pinned: Option<Fingerprint>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for ByFingerprint {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.pinned {
            Some(pinned) => {
                let found = Fingerprint::of(certificate);
                if pinned == found {
                    return Ok(ServerCertVerified::assertion());
                }
                Err(rustls::Error::Other(OtherError(Arc::new(WrongFingerprint { found }))))
            }
            None => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_handshake_says_what_to_do() {
        let found = Fingerprint([0xab; 32]);
        let wrong = rustls::Error::Other(OtherError(Arc::new(WrongFingerprint { found })));
        let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        for (said, expected) in [
            (unknown.to_string(), "give --tls-ca"),
            (format!("the cryptographic handshake failed: error 48: {unknown}"), "or --tls-fingerprint with"),
            (wrong.to_string(), "than --tls-fingerprint asks for, AB:AB:"),
            (format!("the cryptographic handshake failed: error 46: {wrong}"), ":AB: give the fingerprint"),
            ("received corrupt message of type InvalidContentType".to_owned(), "tcp://"),
            ("tls handshake eof".to_owned(), "tcp://"),
            ("timed out".to_owned(), "timed out"),
        ] {
            let failure = handshake_failure(&said);
            assert!(failure.contains(expected), "{said}: {failure}");
            assert!(!failure.contains("error 4"), "{failure}");
        }
    }

    #[test]
    fn a_fingerprint_is_read_as_it_is_written() {
        let fingerprint = Fingerprint(std::array::from_fn(|place| place as u8 * 7));
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        assert_eq!(fingerprint.to_string().replace(':', "").to_lowercase().parse(), Ok(fingerprint));
    }
}
