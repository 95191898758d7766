//! TLS, client certificates, users and passwords.

use super::{Etcd, config, open, try_open};
use crate::config::{EtcdConfig, EtcdTls, MetadataConfig, Sources};
use crate::meta::contract::{applied, put, value, writing};
use crate::meta::{MetadataError, WatchEvent};
use crate::meta::{MetadataStore, Revision};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::path::{Path, PathBuf};

struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    /// An authority, and a certificate for servers and clients on 127.0.0.1.
    fn make() -> Files {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let authority = CertifiedIssuer::self_signed(params, key).expect("signed");
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("an address");
        let certificate = params.signed_by(&key, &authority).expect("signed");
        let files = Files { directory };
        let write = |name: &str, text: String| std::fs::write(files.path(name), text).expect("written");
        write("ca.pem", authority.pem());
        write("cert.pem", certificate.pem());
        write("key.pem", key.serialize_pem());
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_string_lossy().into_owned()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_checks_both_ends() {
    let files = Files::make();
    let (ca, certificate, key) = (files.text("ca.pem"), files.text("cert.pem"), files.text("key.pem"));
    let arguments = [
        &format!("--cert-file={certificate}"),
        &format!("--key-file={key}"),
        &format!("--trusted-ca-file={ca}"),
        "--client-cert-auth",
    ];
    let Some(etcd) = Etcd::start_with("etcd with TLS", 1, &arguments.map(AsRef::as_ref)) else { return };
    let with = |ca: Option<PathBuf>, identity| EtcdConfig {
        tls: Some(EtcdTls { ca, identity }),
        ..config(&etcd.members())
    };
    let identity = || Some((files.path("cert.pem"), files.path("key.pem")));
    let ca = || Some(files.path("ca.pem"));
    let store = try_open(&with(ca(), identity())).await.expect("both are known to each other");
    applied(&store, writing(vec![], vec![put("a", "1")])).await.expect("applied");
    assert_eq!(value(&store, "a").await.as_deref(), Some("1"));
    let unsigned = try_open(&with(None, identity())).await.expect_err("the system does not trust it");
    assert!(unsigned.to_string().contains("nvalid peer certificate"), "{unsigned}");
    try_open(&with(ca(), None)).await.expect_err("it wants a certificate");
    let missing = with(Some(Path::new("/no/such/file").to_owned()), None);
    let missing = try_open(&missing).await.expect_err("there is no such file");
    assert!(missing.to_string().contains("/no/such/file: No such file"), "{missing}");
}

/// The configuration as a broker would read it.
fn logged_in(members: &str, password: &str) -> EtcdConfig {
    let url = format!("etcd://broker:{password}@{members}/test");
    let flags = crate::config::Flags { values: [("metadata", vec![url])].into(), ..Default::default() };
    let (config, _): (_, Sources) = crate::config::resolve(&flags, &|_| None).expect("a legal URL");
    match config.metadata {
        MetadataConfig::Etcd(config) => config,
        MetadataConfig::Embedded => panic!("it names etcd"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_logs_in_and_again_when_the_token_is_over() {
    let arguments = ["--auth-token-ttl", "1"];
    let Some(etcd) = Etcd::start_with("users of etcd", 1, &arguments) else { return };
    let plain = open(&etcd.members()).await;
    for (path, json) in [
        ("user/add", r#"{"name":"root","password":"r"}"#),
        ("user/grant", r#"{"user":"root","role":"root"}"#),
        ("role/add", r#"{"name":"cenote"}"#),
        // From /test/ to /test0, in base64: all keys of the prefix.
        (
            "role/grant",
            r#"{"name":"cenote","perm":{"permType":"READWRITE","key":"L3Rlc3Qv","range_end":"L3Rlc3Qw"}}"#,
        ),
        ("user/add", r#"{"name":"broker","password":"secret"}"#),
        ("user/grant", r#"{"user":"broker","role":"cenote"}"#),
        ("enable", "{}"),
    ] {
        etcd.post(&format!("/v3/auth/{path}"), json);
    }
    let refused = plain.transact(writing(vec![], vec![put("a", "0")])).await;
    assert!(
        matches!(&refused, Err(MetadataError::Refused(why)) if why.contains("user name is empty")),
        "{refused:?}"
    );
    let asked = std::time::Instant::now();
    let wrong = try_open(&logged_in(&etcd.members(), "wrong")).await.expect_err("a wrong password");
    assert!(wrong.to_string().contains("invalid user ID or password"), "{wrong}");
    assert!(!wrong.to_string().contains("wrong"), "{wrong}");
    let elsewhere = EtcdConfig { prefix: "/elsewhere/".to_owned(), ..logged_in(&etcd.members(), "secret") };
    let elsewhere = try_open(&elsewhere).await.expect_err("a prefix that is not granted");
    assert!(elsewhere.to_string().contains("permission denied"), "{elsewhere}");
    let nobody = try_open(&config(&etcd.members())).await.expect_err("no user");
    assert!(nobody.to_string().contains("user name is empty"), "{nobody}");
    for refused in [wrong, elsewhere, nobody] {
        assert!(matches!(refused, MetadataError::Refused(_)), "{refused}");
    }
    assert!(asked.elapsed() < super::super::OPEN_MAX, "a refusal is not waited out");
    let store = try_open(&logged_in(&etcd.members(), "secret")).await.expect("a user");
    let mut watch = store.watch("", Revision(0));
    let mut last = String::new();
    // Longer than a token lives without being used.
    let until = std::time::Instant::now() + std::time::Duration::from_secs(3);
    let idle = std::time::Duration::from_millis(1_500);
    while std::time::Instant::now() < until {
        last = format!("{:?}", std::time::Instant::now());
        applied(&store, writing(vec![], vec![put("a", &last)])).await.expect("applied");
        // A key that nobody writes: waiting for it is waiting.
        let _elapsed = tokio::time::timeout(idle, store.watch("none/", Revision(u64::MAX >> 2)).next()).await;
    }
    assert_eq!(value(&store, "a").await, Some(last.clone()));
    loop {
        let event = crate::meta::contract::next(&mut watch).await;
        let is_last = match &event {
            WatchEvent::Changed { changes, .. } => format!("{changes:?}").contains(&last),
            WatchEvent::Listed(_) => false,
        };
        if is_last {
            break;
        }
    }
}
