//! Settings and the life of the process: what is wrong is said in one line, what is stopped ends clean.

use crate::support::broker::{
    cenote, lines_of, read_announcement, send_signal, serve_command, wait_for_exit,
};
use crate::support::ports::free_port;
use crate::support::requests::LATEST;
use crate::support::{Batch, Broker, Client};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// Runs to the end and sees one line on stderr that names all of `words`, and exit code 2.
fn check_one_line(mut command: Command, words: &[&str]) {
    let output = command.output().expect("the cenote binary");
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    assert_eq!(lines.len(), 1, "one line, not:\n{said}");
    for word in words {
        assert!(lines[0].contains(word), "no {word:?} in: {}", lines[0]);
    }
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
}

fn serve_with(data: &Path, arguments: &[&str]) -> Command {
    let mut command = serve_command(data);
    command.args(arguments);
    command
}

/// The same on ports that the system chooses.
fn serve_anywhere(data: &Path, arguments: &[&str]) -> Command {
    let mut command = serve_with(data, &["--listen", "tcp://127.0.0.1:0", "--http", "127.0.0.1:0"]);
    command.args(arguments);
    command
}

#[test]
fn a_bad_flag_is_one_line_with_setting_value_and_what_is_accepted() {
    let data = directory();
    for (arguments, words) in [
        (vec!["--listen", "carrier-pigeon://x:1"], vec!["--listen", "carrier-pigeon://x:1", "tcp://"]),
        (vec!["--listen", "tcp://127.0.0.1"], vec!["--listen", "tcp://127.0.0.1", "port"]),
        (vec!["--listen", "tcp://127.0.0.1:99999"], vec!["--listen", "99999"]),
        (vec!["--http", "somewhere"], vec!["--http", "somewhere"]),
        (vec!["--store", "ftp://bucket"], vec!["--store", "ftp://bucket", "s3://"]),
        (vec!["--metadata", "zookeeper://a:1"], vec!["--metadata", "zookeeper://a:1"]),
        (vec!["--flush-interval", "soon"], vec!["--flush-interval", "soon"]),
        (vec!["--flush-bytes", "many"], vec!["--flush-bytes", "many"]),
        (vec!["--advertise", "nonsense"], vec!["--advertise", "nonsense"]),
        (vec!["--cache-disk", "1KiB"], vec!["--cache-disk", "1KiB", "64MiB"]),
        (vec!["--no-such-flag"], vec!["--no-such-flag"]),
    ] {
        check_one_line(serve_with(data.path(), &arguments), &words);
    }
}

#[test]
fn a_bad_certificate_or_key_is_one_line_with_setting_and_file() {
    let data = directory();
    let [first, second] = ["first", "second"].map(|name| {
        let directory = data.path().join(name);
        cenote::net::Identity::for_development(&directory).expect("a certificate");
        let file = |name: &str| directory.join(name).to_str().expect("a text").to_owned();
        (file("certificate.pem"), file("key.pem"))
    });
    let (certificate, key, other_key) = (first.0.as_str(), first.1.as_str(), second.1.as_str());
    for (certificate, key, words) in [
        ("/no/such.pem", key, ["--tls-certificate: \"/no/such.pem\" cannot be read", "accepted: a PEM"]),
        (certificate, "/no/such.pem", ["--tls-key: \"/no/such.pem\" cannot be read", "accepted: a PEM"]),
        (certificate, other_key, ["--tls-key: ", "second/key.pem\" is not the key of"]),
        (key, key, ["--tls-certificate: ", "has no certificate in it"]),
    ] {
        let files = ["--tls-certificate", certificate, "--tls-key", key];
        let command = |listen| serve_with(data.path(), &[&files[..], &["--listen", listen]].concat());
        check_one_line(command("quic://127.0.0.1:0"), &words);
        check_one_line(command("tls://127.0.0.1:0"), &words);
        check_one_line(command("tcp://127.0.0.1:0"), &["--tls-certificate", "has nothing to do"]);
    }
    let mut command = serve_with(data.path(), &["--listen", "tls://127.0.0.1:0"]);
    command.env("CENOTE_TLS_CERTIFICATE", &first.0).env("CENOTE_TLS_KEY", "/no/such.pem");
    check_one_line(command, &["CENOTE_TLS_KEY: \"/no/such.pem\" cannot be read"]);
}

#[test]
fn a_bad_file_for_etcd_is_one_line_with_setting_and_file() {
    let data = directory();
    cenote::net::Identity::for_development(data.path()).expect("a certificate");
    let file = |name: &str| data.path().join(name).to_str().expect("a text").to_owned();
    let (certificate, key) = (file("certificate.pem"), file("key.pem"));
    for (query, words) in [
        ("ca=/no/such.pem".to_owned(), ["--metadata: /no/such.pem: No such file", "accepted: PEM files"]),
        (format!("ca={}", data.path().display()), ["--metadata: ", "Is a directory"]),
        (format!("ca={key}"), ["--metadata: ", "key.pem: it has no certificate"]),
        (format!("cert={certificate}&key={certificate}"), ["--metadata: ", "it has no private key"]),
    ] {
        let metadata = format!("etcds://127.0.0.1:1?{query}");
        check_one_line(serve_with(data.path(), &["--metadata", &metadata]), &words);
        let mut fsck = cenote();
        fsck.args(["fsck", "--metadata", &metadata]);
        check_one_line(fsck, &words);
    }
}

#[test]
fn a_bad_variable_is_one_line_too() {
    let data = directory();
    for (name, value) in [("CENOTE_STORE", "ftp://bucket"), ("CENOTE_FLUSH_INTERVAL", "soon")] {
        let mut command = serve_command(data.path());
        command.env(name, value);
        check_one_line(command, &[value]);
    }
}

#[test]
fn a_mistyped_variable_is_warned_of_with_the_one_that_was_meant() {
    let mut command = cenote();
    command.arg("config").env("CENOTE_FLUSH_INTERVALL", "5ms");
    let output = command.output().expect("the cenote binary");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.starts_with("warning: CENOTE_FLUSH_INTERVALL is not a setting"), "{said}");
    assert!(said.contains("CENOTE_FLUSH_INTERVAL\n") && said.lines().count() == 1, "{said}");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_bad_file_is_one_line_too() {
    let data = directory();
    let file = data.path().join("cenote.toml");
    let path = file.to_str().expect("a text");
    for (text, words) in [
        ("store = \"ftp://bucket\"\n", vec!["store", "ftp://bucket"]),
        ("no_such_setting = 1\n", vec!["no_such_setting", "accepted: data, store,", "flush-interval"]),
        ("this is no TOML\n", vec!["cenote.toml"]),
    ] {
        std::fs::write(&file, text).expect("a file");
        check_one_line(serve_with(data.path(), &["--config", path]), &words);
    }
    check_one_line(serve_with(data.path(), &["--config", "/no/such/file.toml"]), &["/no/such/file.toml"]);
}

#[test]
fn flags_go_before_variables_and_variables_before_the_file() {
    let data = directory();
    let file = data.path().join("cenote.toml");
    std::fs::write(&file, "flush-interval = \"1ms\"\nflush-bytes = \"1MiB\"\n").expect("a file");
    let print = |arguments: &[&str], variable: Option<&str>| {
        let mut command = cenote();
        command.arg("config").arg("--config").arg(&file).args(arguments);
        if let Some(value) = variable {
            command.env("CENOTE_FLUSH_INTERVAL", value);
        }
        let output = command.output().expect("the cenote binary");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("a text");
        text.lines().find(|line| line.contains("flush-interval")).expect("the setting").to_owned()
    };
    assert!(print(&[], None).contains("1ms"));
    assert!(print(&[], Some("2ms")).contains("2ms"));
    assert!(print(&["--flush-interval", "3ms"], Some("2ms")).contains("3ms"));
}

#[test]
fn a_second_broker_on_one_directory_is_told_so() {
    let broker = Broker::start();
    let listen = format!("tcp://127.0.0.1:{}", free_port());
    let mut second = serve_with(broker.data(), &["--listen", &listen, "--http", "127.0.0.1:0"]);
    let output = second.output().expect("the cenote binary");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(broker.data().to_str().expect("a text")), "it names the directory: {said}");
    assert!(!said.contains("panicked"), "{said}");
    let mut client = broker.connect();
    let topic = client.create_topic("first");
    assert_eq!(client.produce(&topic, &Batch::numbered("x", 1)), 0, "the first is not disturbed");
}

#[test]
fn a_taken_port_is_told() {
    let broker = Broker::start();
    let data = directory();
    let taken = broker.kafka().to_string();
    let listen = format!("tcp://{taken}");
    let mut second = serve_with(data.path(), &["--listen", &listen, "--http", "127.0.0.1:0"]);
    let output = second.output().expect("the cenote binary");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&taken), "it names the address: {said}");
}

#[test]
fn a_store_that_takes_nothing_is_told_once() {
    let data = directory();
    let store = data.path().join("store");
    std::fs::create_dir(&store).expect("a directory");
    std::fs::write(store.join("probe"), b"in the way").expect("a file");
    let output = serve_anywhere(data.path(), &[]).output().expect("the cenote binary");
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().last().expect("a line");
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(last.starts_with("error: the store file:"), "{last}");
    assert_eq!(last.matches("File exists").count(), 1, "{last}");
    assert!(!last.contains("Generic"), "{last}");
}

#[test]
fn sigterm_and_interrupt_end_clean_with_everything_committed() {
    for signal in ["TERM", "INT"] {
        let mut broker = Broker::start();
        let mut client = broker.connect();
        let topic = client.create_topic("clean");
        client.produce(&topic, &Batch::numbered("x", 10));
        let status = broker.stop(signal);
        assert_eq!(status.code(), Some(0), "SIG{signal}");
        broker.start_again();
        assert_eq!(broker.connect().list_offset(&topic, LATEST).offset, 10, "SIG{signal}");
    }
}

#[test]
fn a_silent_record_is_committed_by_a_clean_end() {
    let mut broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("silent");
    let request =
        crate::support::requests::produce_request(&topic.name, 0, 0, Batch::numbered("x", 3).encode());
    client.send(crate::support::requests::PRODUCE_BY_NAME, &request);
    // An answered request behind it: the broker has taken it in.
    assert_eq!(client.list_offset(&topic, LATEST).error_code, 0);
    assert_eq!(broker.stop("TERM").code(), Some(0));
    broker.start_again();
    assert_eq!(broker.connect().list_offset(&topic, LATEST).offset, 3);
}

#[test]
fn a_stop_does_not_wait_for_long_polls_or_idle_connections() {
    let mut broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("poll");
    let idle = broker.connect();
    let limits = crate::support::requests::FetchLimits {
        max_wait_ms: 25_000,
        min_bytes: 1,
        ..crate::support::requests::AT_ONCE
    };
    client.send(12, &crate::support::requests::fetch_one(&topic.name, 0, limits));
    let began = std::time::Instant::now();
    assert_eq!(broker.stop("TERM").code(), Some(0));
    assert!(began.elapsed() < std::time::Duration::from_secs(10));
    drop(idle);
}

#[test]
fn the_system_may_choose_all_ports() {
    let data = directory();
    let mut child = serve_with(
        data.path(),
        &["--listen", "tcp://127.0.0.1:0", "--listen", "quic://127.0.0.1:0", "--http", "127.0.0.1:0"],
    )
    .spawn()
    .expect("the cenote binary");
    let lines = lines_of(child.stdout.take().expect("a piped stdout"));
    let announced = read_announcement(&lines);
    let served = announced.as_ref().ok().and_then(|announced| announced.tcp).map(|address| {
        assert_ne!(address.port(), 0);
        Client::connect(address).metadata(&[], false).brokers[0].port == i32::from(address.port())
    });
    send_signal(&child, "TERM");
    let status = wait_for_exit(child);
    let announced = announced.expect("a ready broker");
    assert!(announced.quic.is_some_and(|address| address.port() != 0), "{announced:?}");
    assert!(announced.http.is_some_and(|address| address.port() != 0), "{announced:?}");
    assert_eq!(served, Some(true), "clients are told the port that was chosen");
    assert_eq!(status.code(), Some(0));
}

/// Starts a broker, stops it when it is ready, and returns what it said on stdout and on stderr.
fn said_at_start(command: Command) -> (String, String) {
    said_with(command, |_greeting| {})
}

/// The same with something done while the broker serves.
fn said_with(mut command: Command, act: impl FnOnce(&str)) -> (String, String) {
    let mut child = command.spawn().expect("the cenote binary");
    let lines = lines_of(child.stdout.take().expect("a piped stdout"));
    let mut log = child.stderr.take().expect("a piped stderr");
    let mut greeting = String::new();
    while !greeting.ends_with("ready\n") {
        match lines.recv_timeout(std::time::Duration::from_secs(30)) {
            Ok(line) => greeting.extend([line.as_str(), "\n"]),
            Err(_) => break,
        }
    }
    if greeting.ends_with("ready\n") {
        act(&greeting);
    }
    send_signal(&child, "TERM");
    wait_for_exit(child);
    let mut said = String::new();
    log.read_to_string(&mut said).expect("a text");
    assert!(greeting.ends_with("ready\n"), "{greeting}{said}");
    (greeting, said)
}

fn warnings(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.contains("WARN") || line.starts_with("warning")).collect()
}

#[test]
fn a_start_that_has_nothing_to_warn_of_says_only_what_cenote_does() {
    let data = directory();
    let (greeting, log) = said_at_start(serve_anywhere(data.path(), &[]));
    assert!(warnings(&log).is_empty(), "{log}");
    assert!(log.lines().all(|line| line.contains(" cenote::")), "{log}");
    assert!(
        greeting.contains("try: echo hello | cenote produce greetings --bootstrap 127.0.0.1:"),
        "{greeting}"
    );
}

#[test]
fn a_log_that_memory_hides_is_warned_of() {
    let data = directory();
    let (_, log) = said_at_start(serve_anywhere(data.path(), &["--store", "memory:"]));
    assert!(warnings(&log).is_empty(), "there is none yet: {log}");
    said_at_start(serve_anywhere(data.path(), &[]));
    let (_, log) = said_at_start(serve_anywhere(data.path(), &["--store", "memory:"]));
    let warnings = warnings(&log);
    assert_eq!(warnings.len(), 1, "{log}");
    assert!(warnings[0].contains(data.path().to_str().expect("a text")), "{log}");
}

#[test]
fn a_listener_on_every_address_says_what_clients_are_told() {
    let data = directory();
    let mut everywhere = serve_command(data.path());
    everywhere.args(["--listen", "tcp://0.0.0.0:0", "--http", "off"]);
    let (greeting, log) = said_at_start(everywhere);
    let warnings = warnings(&log);
    assert_eq!(warnings.len(), 1, "{log}");
    assert!(warnings[0].contains("localhost:") && warnings[0].contains("--advertise"), "{log}");
    assert!(greeting.contains("greetings --bootstrap localhost:"), "{greeting}");
    assert!(!greeting.contains("--bootstrap 0.0.0.0"), "{greeting}");
}

#[test]
fn who_mistook_the_port_is_told_in_the_log() {
    let data = directory();
    let send = |greeting: &str, scheme: &str, bytes: &[u8]| {
        let address =
            greeting.split_whitespace().find_map(|word| word.strip_prefix(scheme)).expect("a listener");
        let mut client = Client::connect(address.parse().expect("an address"));
        client.send_bytes(bytes);
        let _closed_or_reset = client.stream().read_to_end(&mut Vec::new());
    };
    let (_, log) = said_with(serve_anywhere(data.path(), &[]), |greeting| {
        send(greeting, "http://", &[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff]);
        send(greeting, "tcp://", b"GET /metrics HTTP/1.1\r\n\r\n");
    });
    let warnings = warnings(&log);
    assert_eq!(warnings.len(), 2, "{log}");
    assert!(warnings[0].contains("HTTP port") && warnings[0].contains("--listen"), "{log}");
    assert!(warnings[1].contains("speaks HTTP") && warnings[1].contains("--http"), "{log}");
}

#[test]
fn health_and_metrics_are_served() {
    let broker = Broker::start();
    for (path, expected) in
        [("/healthz", "200"), ("/readyz", "200"), ("/metrics", "200"), ("/nowhere", "404")]
    {
        let answer = get(&broker, path);
        let status = answer.split_whitespace().nth(1).unwrap_or_default().to_owned();
        assert_eq!(status, expected, "{path}");
    }
    assert!(get(&broker, "/metrics").contains("# TYPE"), "OpenMetrics text");
}

#[test]
fn help_and_version_are_calm() {
    for arguments in [vec!["--help"], vec!["serve", "--help"], vec!["--version"]] {
        let output: Output = cenote().args(&arguments).output().expect("the cenote binary");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(output.stderr.is_empty(), "{arguments:?}");
        assert!(!output.stdout.is_empty(), "{arguments:?}");
        assert!(!output.stdout.contains(&0x1b), "{arguments:?}: colours where no terminal is");
    }
    let help = cenote().args(["serve", "--help"]).output().expect("the cenote binary").stdout;
    let help = String::from_utf8(help).expect("a text");
    for word in ["--data", "--store", "--metadata", "--listen", "--advertise", "--http", "CENOTE_DATA"] {
        assert!(help.contains(word), "no {word} in the help");
    }
}

pub fn get(broker: &Broker, path: &str) -> String {
    let mut client = Client::connect(broker.http());
    client.send_bytes(format!("GET {path} HTTP/1.1\r\nHost: cenote\r\nConnection: close\r\n\r\n").as_bytes());
    let mut answer = String::new();
    client.stream().read_to_string(&mut answer).expect("an HTTP answer");
    answer
}
