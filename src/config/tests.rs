use super::*;
use std::io::Write;

fn resolve_with(flags: &[(&'static str, &[&str])], env: &[(&str, &str)]) -> Result<Config, String> {
    let mut given = Flags::default();
    for (key, values) in flags {
        match *key {
            "config" => given.config = Some(values[0].to_owned()),
            key => {
                given.values.insert(key, values.iter().map(|text| (*text).to_owned()).collect());
            }
        }
    }
    let env = |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, text)| (*text).to_owned());
    resolve(&given, &env).map(|(config, _)| config).map_err(|error| error.to_string())
}

fn file_with(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[test]
fn nothing_given_is_a_broker_on_this_machine() {
    let config = resolve_with(&[], &[]).unwrap();
    assert!(config.data.is_absolute() && config.data.ends_with("cenote-data"));
    assert_eq!(config.store.to_file_path().unwrap(), config.data.join("store"));
    assert_eq!(config.metadata, MetadataConfig::Embedded);
    assert_eq!(config.http, Some("127.0.0.1:9644".parse().unwrap()));
    assert_eq!(config.journal.flush_interval, Duration::ZERO);
    assert_eq!(config.journal.flush_bytes, 8 << 20);
    assert_eq!(config.cache, CacheConfig { memory_bytes: 512 << 20, disk_bytes: 0 });
    assert_eq!(config.limits.frame_bytes_max, 100 << 20);
    let doors: Vec<_> = config.listeners.iter().map(|door| (door.name.as_str(), door.port)).collect();
    assert_eq!(doors, [("PLAINTEXT", 9092), ("QUIC", 9093)]);
}

#[test]
fn a_remote_store_waits_longer_and_caches_on_disk() {
    let config = resolve_with(&[("store", &["s3://bucket/prefix"])], &[]).unwrap();
    assert_eq!(config.journal.flush_interval, Duration::from_millis(100));
    assert_eq!(config.cache.disk_bytes, 10 << 30);
}

#[test]
fn flag_then_environment_then_file_then_default() {
    let file =
        file_with("partitions = 2\nflush-interval = \"2ms\"\nlisten = [\"A=tcp://h:1\", \"tls://h:2\"]\n");
    let path = file.path().to_str().unwrap();
    let env = [("CENOTE_CONFIG", path), ("CENOTE_PARTITIONS", "3")];
    let config = resolve_with(&[], &env).unwrap();
    assert_eq!((config.topics.num_partitions, config.journal.flush_interval.as_millis()), (3, 2));
    assert_eq!(config.listeners[0].name, "A");
    assert_eq!(config.listeners[1].name, "SSL");
    let config = resolve_with(&[("partitions", &["4"])], &env).unwrap();
    assert_eq!(config.topics.num_partitions, 4);
}

#[test]
fn a_bad_setting_is_one_line_that_names_it_as_it_was_given() {
    let accepted = "accepted: 0, 5ms, 1s, 2m";
    let flag = resolve_with(&[("flush-interval", &["5 parsecs"])], &[]).unwrap_err();
    assert_eq!(flag, format!("--flush-interval: \"5 parsecs\" is not a duration; {accepted}"));
    let env = resolve_with(&[], &[("CENOTE_FLUSH_INTERVAL", "x")]).unwrap_err();
    assert_eq!(env, format!("CENOTE_FLUSH_INTERVAL: \"x\" is not a duration; {accepted}"));
    let file = file_with("flush-interval = \"x\"\n");
    let path = file.path().to_str().unwrap();
    let line = resolve_with(&[("config", &[path])], &[]).unwrap_err();
    assert_eq!(line, format!("flush-interval in {path}: \"x\" is not a duration; {accepted}"));
}

#[test]
fn a_size_counts_by_1024_unless_it_says_kb() {
    for (text, bytes) in [
        ("0", 0),
        ("65536", 65_536),
        ("64k", 65_536),
        ("64K", 65_536),
        ("64KiB", 65_536),
        ("64kB", 64_000),
        ("10M", 10 << 20),
        ("8 MiB", 8 << 20),
        ("1G", 1 << 30),
        ("2TiB", 2 << 40),
    ] {
        assert_eq!(size(text), Ok(bytes), "{text}");
    }
    for text in ["", "k", "-1", "1.5k", "1kk", "16777216T"] {
        assert!(size(text).is_err(), "{text}");
    }
}

#[test]
fn a_level_is_that_of_cenote_and_other_crates_are_heard_when_they_warn() {
    let filter = |text: &str| resolve_with(&[("log", &[text])], &[]).unwrap().log;
    assert_eq!(resolve_with(&[], &[]).unwrap().log, "warn,cenote=info");
    assert_eq!(filter("debug"), "warn,cenote=debug");
    assert_eq!(filter("error"), "error");
    assert_eq!(filter("off"), "off");
    assert_eq!(filter("info, cenote::net=debug"), "warn,cenote=info,cenote::net=debug");
    assert_eq!(filter("INFO,foyer=trace"), "warn,cenote=info,foyer=trace");
}

#[test]
fn what_is_refused() {
    let refused: [(&'static str, &[&str], &str); 25] = [
        ("flush-interval", &["2h"], "is too long"),
        ("flush-bytes", &["8 parsecs"], "is not a size"),
        ("flush-bytes", &["1"], "is out of range"),
        ("cache-disk", &["1KiB"], "accepted: 0 (none), or 64MiB and more"),
        ("flush-bytes", &["99999999999999999999"], "is not a size"),
        ("puts-in-flight", &["0"], "accepted: 1 to 64"),
        ("partitions", &["-1"], "accepted: 1 to 10000"),
        ("broker-id", &["-1"], "accepted: 0 to 2147483647"),
        ("auto-create-topics", &["yes"], "accepted: true, false"),
        ("store", &["ftp://x"], "is not an object store"),
        ("store", &["s3://"], "accepted: file:///directory"),
        ("store", &["nothing"], "is not a URL"),
        ("metadata", &["etcd://127.0.0.1"], "which is not host:port"),
        ("http", &["nowhere"], "accepted: off, 127.0.0.1:9644"),
        ("log", &["loud"], "is not a log filter"),
        ("log", &["info,"], "is not a log filter"),
        ("log", &["foyer=loud"], "is not a log filter"),
        ("tls-key", &["key.pem"], "is given without tls-certificate"),
        ("frame-bytes-max", &["1GiB"], "request-memory is 268435456 bytes"),
        ("listen", &["udp://h:1"], "is not a listener"),
        ("listen", &["tcp://h"], "is not a listener"),
        ("listen", &["tcp://h:1", "tcp://h:2"], "name it, as in NAME=tcp://"),
        ("listen", &["A=tcp://h:1", "A=tls://h:2"], "second listener named A"),
        ("listen", &["A=tcp://h:1", "B=tls://h:1"], "is where A listens already"),
        ("advertise", &["NOBODY=h:1"], "names no listener"),
    ];
    for (key, values, expected) in refused {
        let line = resolve_with(&[(key, values)], &[]).expect_err(values[0]);
        assert!(line.starts_with(&format!("--{key}: \"")), "{line}");
        assert!(line.contains(expected) && !line.contains('\n'), "{line}");
    }
}

#[test]
fn a_certificate_that_no_listener_would_show_is_refused() {
    let files: [(&'static str, &[&str]); 2] = [("tls-certificate", &["c.pem"]), ("tls-key", &["k.pem"])];
    let with = |listen: &'static str| resolve_with(&[files[0], files[1], ("listen", &[listen])], &[]);
    let line = with("tcp://h:1").unwrap_err();
    let said = "--tls-certificate: \"c.pem\" has nothing to do; accepted: with a listener that is tls://";
    assert!(line.starts_with(said), "{line}");
    assert!(with("tls://h:1").is_ok() && with("quic://h:1").is_ok());
    assert!(resolve_with(&files, &[]).is_ok(), "the default listeners have one that is QUIC");
}

#[test]
fn an_unknown_key_or_a_broken_file_is_refused() {
    let file = file_with("flush_interval = \"1s\"\n");
    let path = file.path().to_str().unwrap();
    let line = resolve_with(&[("config", &[path])], &[]).unwrap_err();
    assert!(
        line.starts_with(&format!(
            "flush_interval in {path}: is not a setting; the nearest is flush-interval; accepted: data,"
        )),
        "{line}"
    );
    let broken = file_with("data = \"x\"\nhttp = = 3\n");
    let line = resolve_with(&[("config", &[broken.path().to_str().unwrap()])], &[]).unwrap_err();
    assert!(line.contains("is not TOML") && line.contains("(line 2)") && !line.contains('\n'), "{line}");
    let line = resolve_with(&[("config", &["/no/such/file"])], &[]).unwrap_err();
    assert!(line.starts_with("--config: \"/no/such/file\" cannot be read"), "{line}");
}

#[test]
fn what_is_advertised_goes_to_its_listener() {
    let config = resolve_with(
        &[
            ("listen", &["tcp://0.0.0.0:9092", "quic://[::]:9092"]),
            ("advertise", &["QUIC=broker.example:443"]),
        ],
        &[],
    );
    let listeners = config.unwrap().listeners;
    assert_eq!(listeners[0].advertised, None);
    assert_eq!(listeners[1].host, "::");
    assert_eq!(listeners[1].advertised, Some(("broker.example".to_owned(), 443)));
}

#[test]
fn the_disk_of_the_cache_is_none_or_large_enough() {
    for (text, bytes) in [("0", 0), ("64MiB", 64 << 20), ("1TiB", 1 << 40)] {
        assert_eq!(resolve_with(&[("cache-disk", &[text])], &[]).unwrap().cache.disk_bytes, bytes);
    }
}

#[test]
fn a_smaller_request_memory_lowers_the_default_frame() {
    let config = resolve_with(&[("request-memory", &["64MiB"])], &[]).unwrap();
    assert_eq!(config.limits.frame_bytes_max, 64 << 20);
}

#[test]
fn the_file_in_the_readme_is_a_legal_one() {
    let readme = include_str!("../../README.md");
    let example = readme.split_once("```toml\n").and_then(|(_, rest)| rest.split_once("```")).unwrap().0;
    let file = file_with(example);
    let config = resolve_with(&[("config", &[file.path().to_str().unwrap()])], &[]).unwrap();
    assert_eq!(config.topics.num_partitions, 6);
    assert_eq!(config.listeners[1].advertised, Some(("broker.example.org".to_owned(), 9093)));
}

#[test]
fn a_password_for_metadata_is_never_shown() {
    let url = "etcd://user:hush@h:1/p";
    let flags = Flags { values: [("metadata", vec![url.to_owned()])].into(), ..Flags::default() };
    let (config, sources) = resolve(&flags, &|_| None).unwrap();
    let shown = format!("{config:?} {sources:?}");
    assert!(!shown.contains("hush") && shown.contains("etcd://user:***@h:1/p"), "{shown}");
    let line = resolve_with(&[("metadata", &["etcd://user:hush@h"])], &[]).unwrap_err();
    assert!(!line.contains("hush"), "{line}");
}

const ETCD: (&str, &[&str]) = ("metadata", &["etcd://h:2379/p"]);

fn mesh(flags: &[(&'static str, &[&str])], env: &[(&str, &str)]) -> MeshSettings {
    let flags: Vec<_> = [ETCD].iter().chain(flags).copied().collect();
    resolve_with(&flags, env).unwrap().mesh.unwrap()
}

#[test]
fn a_broker_among_others_has_a_place_a_share_and_something_to_be_known_by() {
    let config = resolve_with(&[("zone", &["eu-1a"]), ("weight", &["3"])], &[]).unwrap();
    assert_eq!((config.zone.as_deref(), config.weight, config.mesh), (Some("eu-1a"), 3, None));
    let plain = mesh(&[], &[("CENOTE_CLUSTER_SECRET", "hush hush")]);
    assert_eq!((plain.listen, plain.advertised), ("0.0.0.0:9192".parse().unwrap(), None));
    let Some(MeshTrust::Secret(secret)) = plain.trust else { panic!("{:?}", plain.trust) };
    assert_eq!(secret.reveal(), "hush hush");
    let told = mesh(&[("mesh-listen", &["[::1]:0"]), ("mesh-advertised", &["b.example:7"])], &[]);
    assert_eq!((told.listen, told.trust), ("[::1]:0".parse().unwrap(), None));
    assert_eq!(told.advertised, Some(("b.example".to_owned(), 7)));
    let file = mesh(&[("cluster-secret-file", &["/s"])], &[]);
    assert_eq!(file.trust, Some(MeshTrust::SecretFile("/s".into())));
    let files = [("mesh-ca", &["/a"][..]), ("mesh-certificate", &["/c"]), ("mesh-key", &["/k"])];
    let files = mesh(&files, &[]).trust;
    let expected = MeshFiles { ca: "/a".into(), certificate: "/c".into(), key: "/k".into() };
    assert_eq!(files, Some(MeshTrust::Files(expected)));
}

#[test]
fn what_a_broker_among_others_must_not_be_told() {
    type Case<'a> = (&'a [(&'static str, &'a [&'a str])], &'a str);
    let with_etcd: [Case<'_>; 7] = [
        (&[("zone", &["a b"])], "--zone: \"a b\" is not a zone"),
        (&[("weight", &["0"])], "--weight: \"0\" is not a number that fits; accepted: 1 to 100"),
        (&[("mesh-listen", &["h:1"])], "--mesh-listen: \"h:1\" is not an address"),
        (&[("mesh-advertised", &["h:0"])], "--mesh-advertised: \"h:0\" is not an address"),
        (&[("mesh-ca", &["a"])], "--mesh-ca: \"a\" is given without mesh-certificate"),
        (
            &[("cluster-secret", &["hush"]), ("mesh-key", &["k"])],
            "--mesh-key: \"k\" comes beside --cluster-secret; accepted: one of",
        ),
        (
            &[("cluster-secret", &["hush"]), ("cluster-secret-file", &["f"])],
            "--cluster-secret-file: \"f\" comes beside --cluster-secret",
        ),
    ];
    for (flags, expected) in with_etcd {
        let flags: Vec<_> = [ETCD].iter().chain(flags).copied().collect();
        let line = resolve_with(&flags, &[]).expect_err(expected);
        assert!(line.starts_with(expected) && !line.contains("hush"), "{line}");
    }
    for (key, value) in [("mesh-listen", "1.1.1.1:1"), ("cluster-secret", "hush"), ("mesh-key", "k")] {
        let line = resolve_with(&[(key, &[value])], &[]).expect_err(key);
        assert!(line.contains("has nothing to do") && !line.contains("hush"), "{line}");
    }
}

#[test]
fn the_secret_of_a_cluster_is_never_shown() {
    let values = [("metadata", vec!["etcd://h:1".to_owned()]), ("cluster-secret", vec!["hush".to_owned()])];
    let flags = Flags { values: values.into(), ..Flags::default() };
    let (config, sources) = resolve(&flags, &|_| None).unwrap();
    let shown = format!("{config:?} {sources:?}");
    assert!(!shown.contains("hush") && shown.contains("***"), "{shown}");
}
