use super::{MeshIdentity, authority_params, leaf_params};
use crate::mesh::name::MeshName;
use crate::mesh::secret::ClusterSecret;
use crate::types::{BrokerId, ClusterId, SessionId};
use rcgen::{Certificate, CertificateParams, Issuer, KeyPair};
use std::path::PathBuf;
use tempfile::TempDir;
use uuid::Uuid;

fn name() -> MeshName {
    MeshName {
        cluster: ClusterId(Uuid::from_bytes([0xC1; 16])),
        broker: BrokerId(3),
        session: SessionId(Uuid::from_bytes([0x5E; 16])),
    }
}

/// An operator's files.
struct Files {
    directory: TempDir,
}

impl Files {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, authority: &Certificate, certificate: &Certificate, key: &KeyPair) {
        std::fs::write(self.path("ca.pem"), authority.pem()).unwrap();
        std::fs::write(self.path("cert.pem"), certificate.pem()).unwrap();
        std::fs::write(self.path("key.pem"), key.serialize_pem()).unwrap();
    }

    fn read(&self) -> Result<MeshIdentity, String> {
        let (ca, certificate, key) = (self.path("ca.pem"), self.path("cert.pem"), self.path("key.pem"));
        MeshIdentity::from_files(&ca, &certificate, &key, name()).map_err(|error| error.to_string())
    }
}

/// Files of an authority that signed `params`, and the authority's certificate and signer.
fn files(params: &CertificateParams) -> (Files, Certificate, Issuer<'static, KeyPair>) {
    let files = Files { directory: tempfile::tempdir().unwrap() };
    let (key, leaf_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let authority = authority_params().self_signed(&key).unwrap();
    let issuer = Issuer::new(authority_params(), key);
    let certificate = params.signed_by(&leaf_key, &issuer).unwrap();
    files.write(&authority, &certificate, &leaf_key);
    (files, authority, issuer)
}

#[test]
fn one_secret_is_one_authority_and_another_another() {
    let made =
        |secret: &[u8]| MeshIdentity::from_secret(&ClusterSecret::new(secret).unwrap(), name()).unwrap();
    let (one, same, other) =
        (made(b"0123456789abcdef"), made(b"0123456789abcdef"), made(b"another secret here"));
    assert_eq!(one.roots.roots, same.roots.roots);
    assert_ne!(one.roots.roots, other.roots.roots);
    assert_ne!(one.chain, same.chain, "each process has its own key");
    one.verify_own().unwrap();
    let stranger = MeshIdentity { roots: other.roots, ..one };
    assert!(stranger.verify_own().is_err());
}

#[test]
fn nothing_secret_is_shown() {
    let secret = ClusterSecret::new(b"0123456789abcdef").unwrap();
    let identity = MeshIdentity::from_secret(&secret, name()).unwrap();
    let shown = format!("{identity:?}");
    assert!(shown.contains("MeshName") && !shown.contains("key"), "{shown}");
}

#[test]
fn files_are_read_when_they_are_ours_and_go_together() {
    let mut params = leaf_params(&name()).unwrap();
    let (files, _, issuer) = files(&params);
    assert_eq!(files.read().unwrap().name(), name());
    // One for the broker, whatever its session.
    params.subject_alt_names.pop();
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    std::fs::write(files.path("cert.pem"), certificate.pem()).unwrap();
    let error = files.read().unwrap_err();
    assert!(error.contains("certificate"), "another's key: {error}");
    std::fs::write(files.path("key.pem"), key.serialize_pem()).unwrap();
    files.read().unwrap();
    std::fs::write(files.path("key.pem"), "no key").unwrap();
    let error = files.read().unwrap_err();
    assert!(error.contains("key.pem"), "{error}");
}

#[test]
fn files_of_others_are_named_as_such() {
    let other = MeshName { broker: BrokerId(4), ..name() };
    let error = files(&leaf_params(&other).unwrap()).0.read().unwrap_err();
    assert!(error.contains("broker-4") && error.contains("broker-3"), "{error}");

    let (files_of_one, authority, _) = files(&leaf_params(&name()).unwrap());
    let (files_of_other, _, _) = files(&leaf_params(&name()).unwrap());
    std::fs::write(files_of_other.path("ca.pem"), authority.pem()).unwrap();
    let error = files_of_other.read().unwrap_err();
    assert!(error.contains("certificate"), "{error}");
    drop(files_of_one);

    let mut params = leaf_params(&name()).unwrap();
    params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    let error = files(&params).0.read().unwrap_err();
    assert!(error.contains("expired"), "{error}");
}
