use super::{ClusterSecret, SecretError};

#[test]
fn a_purpose_has_its_key_and_a_secret_its_own() {
    let one = ClusterSecret::new(b"0123456789abcdef\n").unwrap();
    let same = ClusterSecret::new(b"0123456789abcdef").unwrap();
    let other = ClusterSecret::new(b"0123456789abcdeg").unwrap();
    assert_eq!(one.key(b"a"), same.key(b"a"));
    assert_ne!(one.key(b"a"), one.key(b"b"));
    assert_ne!(one.key(b"a"), other.key(b"a"));
}

#[test]
fn short_secrets_are_refused_and_none_is_shown() {
    let error = ClusterSecret::new(b"  too short  ").unwrap_err();
    assert!(matches!(error, SecretError::Length(9)), "{error}");
    assert!(ClusterSecret::new(&[b'x'; 5000]).is_err());
    let secret = ClusterSecret::new(b"do not show this one").unwrap();
    assert!(!format!("{secret:?}").contains("show this one"));
}

#[test]
fn a_secret_is_read_from_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    std::fs::write(&path, "0123456789abcdef\n").unwrap();
    let read = ClusterSecret::from_file(&path).unwrap();
    assert_eq!(read.key(b"a"), ClusterSecret::new(b"0123456789abcdef").unwrap().key(b"a"));
    let error = ClusterSecret::from_file(&directory.path().join("none")).unwrap_err();
    assert!(error.to_string().contains("none"), "{error}");
}
