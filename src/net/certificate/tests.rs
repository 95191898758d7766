use super::*;

fn identity_of(directory: &Path) -> (PathBuf, PathBuf) {
    Identity::for_development(directory).unwrap();
    (directory.join("certificate.pem"), directory.join("key.pem"))
}

/// What is said of two files, and whether it is said of the key.
fn refusal(certificate: &Path, key: &Path) -> (&'static str, String) {
    match Identity::from_files(certificate, key).unwrap_err() {
        IdentityError::Certificate { path, reason } => {
            assert_eq!(path, certificate);
            ("certificate", reason)
        }
        IdentityError::Key { path, reason } => {
            assert_eq!(path, key);
            ("key", reason)
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_file_that_cannot_be_used_is_named_with_its_reason() {
    let directory = tempfile::tempdir().unwrap();
    let (certificate, key) = identity_of(&directory.path().join("first"));
    let (_, other_key) = identity_of(&directory.path().join("second"));
    let written = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let nothing = directory.path().join("nothing");
    let empty = written("empty", "");
    let cut = written("cut", "-----BEGIN CERTIFICATE-----\nAAAA\n");
    let junk = written("junk", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let junk_key = written("junk-key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    for (certificate, key, whose, what) in [
        (&nothing, &key, "certificate", "cannot be read: No such file"),
        (&certificate, &nothing, "key", "cannot be read: No such file"),
        (&empty, &key, "certificate", "has no certificate in it"),
        (&key, &key, "certificate", "has no certificate in it"),
        (&certificate, &certificate, "key", "has no private key in it"),
        (&cut, &key, "certificate", "is not PEM: it ends within a section"),
        (&junk, &key, "certificate", "has a certificate that cannot be read"),
        (&certificate, &junk_key, "key", "has a key that cannot be used"),
        (&certificate, &other_key, "key", "is not the key of the certificate in"),
    ] {
        let (named, reason) = refusal(certificate, key);
        assert!(named == whose && reason.contains(what), "{named}: {reason}, not {whose}: {what}");
    }
    Identity::from_files(&certificate, &key).unwrap();
}

#[test]
fn a_spoilt_certificate_for_development_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let (_, key) = identity_of(directory.path());
    fs::write(key, "").unwrap();
    let said = Identity::for_development(directory.path()).unwrap_err().to_string();
    assert!(said.contains("key.pem") && said.ends_with("to have another made"), "{said}");
}
