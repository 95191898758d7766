//! Which URLs are stores. Nothing here asks a remote store anything.

use crate::store::open::OpenError;
use crate::store::{ObjectPath, ObjectStore};
use bytes::Bytes;
use url::Url;

fn variables(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn open(url: &str, list: &[(&str, &str)]) -> Result<ObjectStore, OpenError> {
    ObjectStore::open_with(&Url::parse(url).expect("a URL"), variables(list))
}

const AZURE: &[(&str, &str)] = &[("AZURE_STORAGE_ACCOUNT_NAME", "account")];

#[tokio::test]
async fn a_store_of_each_kind_is_opened_and_is_called_by_its_url() {
    for (url, list) in [
        ("s3://bucket", &[][..]),
        ("s3://bucket/", &[]),
        ("s3://Bucket_with.dots/a/prefix/", &[]),
        ("s3://bucket/prefix", &[("AWS_ENDPOINT", "http://127.0.0.1:9000"), ("AWS_REGION", "eu-west-1")]),
        ("s3://bucket", &[("AWS_ACCESS_KEY_ID", ""), ("AWS_UNHEARD_OF", "x"), ("GOOGLE_ALSO", "x")]),
        ("gs://bucket/prefix", &[]),
        ("az://container/prefix", AZURE),
        ("memory:", &[]),
    ] {
        let store = open(url, list).expect(url);
        assert_eq!(store.to_string(), url);
        assert!(!store.is_local(), "{url}");
    }
}

#[tokio::test]
async fn a_directory_is_made_with_its_parents() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let directory = root.path().join("a/b c/ü");
    let url = Url::from_file_path(&directory).expect("an absolute path");
    let store = ObjectStore::open(&url).expect("a directory");
    assert!(store.is_local());
    let path = ObjectPath::parse("x/y").expect("legal");
    store.put(&path, Bytes::from_static(b"here")).await.expect("a put");
    assert_eq!(std::fs::read(directory.join("x/y")).expect("the file"), b"here");
}

fn check_refused(url: &str) {
    let error = open(url, AZURE).expect_err(url);
    assert!(matches!(error, OpenError::Url { .. }), "{url}: {error}");
    let message = error.to_string();
    assert!(message.contains(url), "{message}");
    assert!(message.contains("file:///path, s3://bucket/prefix, gs://"), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
}

#[test]
fn a_url_that_is_no_store_is_refused_with_what_is_accepted() {
    for url in
        ["http://host/bucket", "ftp://host/x", "s3a://bucket/", "gcs://bucket/", "abfs://c/", "etcd://h"]
    {
        check_refused(url);
    }
    for scheme in ["s3", "gs", "az"] {
        for rest in [
            ":bucket",
            ":///prefix",
            "://",
            "://bucket/a//b",
            "://bucket/a%20b",
            "://bucket/a?region=x",
            "://bucket#part",
            "://user@bucket/",
            "://:secret@bucket/",
            "://bucket:9000/",
        ] {
            check_refused(&format!("{scheme}{rest}"));
        }
    }
}

#[test]
fn a_part_of_a_file_url_that_would_be_lost_is_refused() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let url = Url::from_file_path(root.path().join("new")).expect("an absolute path");
    check_refused("file://host/path");
    check_refused(&format!("{url}?x=1"));
    check_refused(&format!("{url}#1"));
    assert!(!root.path().join("new").exists());
}

#[test]
fn a_store_that_cannot_be_used_says_why_in_one_line() {
    let root = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(root.path().join("file"), b"x").expect("a file");
    let a_file = Url::from_file_path(root.path().join("file")).expect("an absolute path");
    let below_a_file = Url::from_file_path(root.path().join("file/x")).expect("an absolute path");
    for (url, list, word) in [
        (a_file.as_str(), &[][..], "File exists"),
        (below_a_file.as_str(), &[], "Not a directory"),
        ("az://container", &[], "Account"),
        ("gs://bucket", &[("GOOGLE_SERVICE_ACCOUNT", "/there/is/no/such/key.json")], "key.json"),
        ("s3://bucket", &[("AWS_ACCESS_KEY_ID", "id without secret")], "secret"),
    ] {
        let error = open(url, list).expect_err(url);
        assert!(matches!(error, OpenError::Unusable { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains(url), "{message}");
        assert!(message.to_lowercase().contains(&word.to_lowercase()), "{word}: {message}");
        assert_eq!(message.lines().count(), 1, "{message}");
        assert!(!message.contains("Generic"), "{message}");
    }
}
