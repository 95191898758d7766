//! The command line against a running broker: what goes in comes out, for people and for scripts.

use crate::support::broker::{cenote, lines_of, send_signal, wait_for_exit};
use crate::support::{Broker, unique_name};
use serde_json::Value;
use std::io::Write;
use std::process::{Command, Output, Stdio};

/// `cenote ARGUMENTS --bootstrap …`, over TCP.
pub fn over_tcp(broker: &Broker, arguments: &[&str]) -> Command {
    let mut command = cenote();
    command.args(arguments).arg("--bootstrap").arg(broker.bootstrap());
    command
}

/// The same over QUIC, with the broker's self-made certificate.
fn over_quic(broker: &Broker, arguments: &[&str]) -> Command {
    let mut command = cenote();
    let bootstrap = format!("quic://{}", broker.quic());
    command.args(arguments).arg("--bootstrap").arg(bootstrap).arg("--tls-insecure");
    command
}

type Reach = fn(&Broker, &[&str]) -> Command;

/// Runs to the end with `input`, and returns what it printed; it must have done its work.
pub fn run(mut command: Command, input: &str) -> String {
    let output = run_to_the_end(&mut command, input);
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("a text")
}

fn run_to_the_end(command: &mut Command, input: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).spawn().expect("the cenote binary");
    let mut pipe = child.stdin.take().expect("a piped stdin");
    let input = input.to_owned();
    // Beside the reading of its output, so that neither pipe can fill up.
    let writer = std::thread::spawn(move || pipe.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("the end of the process");
    // A command that does not read may have closed its end first.
    let _ = writer.join().expect("the writer");
    output
}

pub fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect()
}

/// Runs a command that must fail with `code` and one line that names all of `words`.
pub fn check_fails(mut command: Command, code: i32, words: &[&str]) {
    let output = run_to_the_end(&mut command, "");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert_eq!(said.lines().filter(|line| !line.trim().is_empty()).count(), 1, "one line, not:\n{said}");
    for word in words {
        assert!(said.contains(word), "no {word:?} in: {said}");
    }
}

fn check_lines_round_trip(reach: Reach) {
    let broker = Broker::start();
    let topic = unique_name("cli");
    run(reach(&broker, &["topic", "create", &topic, "--partitions", "1"]), "");
    let lines: String = (0..5_000).map(|number| format!("line {number}\n")).collect();
    run(reach(&broker, &["produce", &topic]), &lines);
    let read = run(reach(&broker, &["consume", &topic, "--until", "end"]), "");
    assert!(read == lines, "what went in comes out: {} of {} bytes", read.len(), lines.len());
}

#[test]
fn lines_come_back_over_tcp() {
    check_lines_round_trip(over_tcp);
}

#[test]
fn lines_come_back_over_quic() {
    check_lines_round_trip(over_quic);
}

#[test]
fn every_codec_is_read_back() {
    let broker = Broker::start();
    let lines: String = (0..200).map(|number| format!("a text that can be compressed {number}\n")).collect();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = unique_name(codec);
        run(over_tcp(&broker, &["topic", "create", &topic]), "");
        run(over_tcp(&broker, &["produce", &topic, "--codec", codec]), &lines);
        assert_eq!(run(over_tcp(&broker, &["consume", &topic, "--until", "end"]), ""), lines, "{codec}");
    }
}

#[test]
fn keys_headers_and_times_come_back_as_json() {
    let broker = Broker::start();
    let topic = unique_name("json");
    run(over_tcp(&broker, &["topic", "create", &topic]), "");
    let records = concat!(
        r#"{"key":"SEA","value":"{\"dep\":7}","headers":{"trace":"1"},"timestamp":1600000000123}"#,
        "\n",
        r#"{"key":"JFK","value":null}"#,
        "\n"
    );
    run(over_tcp(&broker, &["produce", &topic, "--format", "json"]), records);
    let read =
        json_lines(&run(over_tcp(&broker, &["consume", &topic, "--until", "end", "--output", "json"]), ""));
    assert_eq!(read.len(), 2);
    assert_eq!((&read[0]["key"], &read[0]["value"]), (&Value::from("SEA"), &Value::from("{\"dep\":7}")));
    assert_eq!(read[0]["timestamp"], 1_600_000_000_123_i64);
    assert_eq!(read[0]["headers"][0]["key"], "trace");
    assert_eq!(read[0]["headers"][0]["value"], "1");
    assert_eq!((&read[1]["offset"], &read[1]["value"]), (&Value::from(1), &Value::Null));
}

#[test]
fn reading_begins_and_ends_where_it_is_told() {
    let broker = Broker::start();
    let topic = unique_name("places");
    run(over_tcp(&broker, &["topic", "create", &topic]), "");
    let records: String = (0..10)
        .map(|number| format!("{{\"value\":\"{number}\",\"timestamp\":{}}}\n", 1_000 + number))
        .collect();
    run(over_tcp(&broker, &["produce", &topic, "--format", "json"]), &records);
    for (arguments, expected) in [
        (vec!["--from", "8"], "8\n9\n"),
        (vec!["--from", "-3"], "7\n8\n9\n"),
        (vec!["--from", "@1006"], "6\n7\n8\n9\n"),
        (vec!["--from", "latest"], ""),
        (vec!["--count", "2"], "0\n1\n"),
        (vec!["--from", "9", "--format", "%p:%o=%v\\n"], "0:9=9\n"),
    ] {
        let all: Vec<&str> =
            ["consume", topic.as_str(), "--until", "end"].into_iter().chain(arguments.clone()).collect();
        assert_eq!(run(over_tcp(&broker, &all), ""), expected, "{arguments:?}");
    }
}

#[test]
fn one_key_stays_in_one_partition() {
    let broker = Broker::start();
    let topic = unique_name("keys");
    run(over_tcp(&broker, &["topic", "create", &topic, "--partitions", "4"]), "");
    let lines: String = (0..100).map(|number| format!("key-{}:{number}\n", number % 10)).collect();
    run(over_tcp(&broker, &["produce", &topic, "--key-separator", ":"]), &lines);
    let read =
        json_lines(&run(over_tcp(&broker, &["consume", &topic, "--until", "end", "--output", "json"]), ""));
    assert_eq!(read.len(), 100);
    for key in 0..10 {
        let of_key: Vec<&Value> =
            read.iter().filter(|record| record["key"] == format!("key-{key}")).collect();
        assert!(of_key.iter().all(|record| record["partition"] == of_key[0]["partition"]), "key-{key}");
        let values: Vec<String> = of_key.iter().map(|record| record["value"].to_string()).collect();
        let expected: Vec<String> = (0..10).map(|row| format!("\"{}\"", row * 10 + key)).collect();
        assert_eq!(values, expected, "in the order of sending");
    }
}

#[test]
fn the_life_of_a_topic_is_told_in_json() {
    let broker = Broker::start();
    let topic = unique_name("life");
    let json = |arguments: &[&str]| -> Value {
        let with_output: Vec<&str> = arguments.iter().copied().chain(["--output", "json"]).collect();
        serde_json::from_str(&run(over_tcp(&broker, &with_output), "")).expect("one JSON document")
    };
    json(&["topic", "create", &topic, "--partitions", "2", "--set", "retention.ms=1000"]);
    assert!(json(&["topic", "list"]).to_string().contains(&topic));
    let described = json(&["topic", "describe", &topic]).to_string();
    assert!(described.contains("retention.ms") && described.contains("1000"), "{described}");
    json(&["topic", "alter", &topic, "--set", "retention.ms=2000", "--partitions", "3"]);
    let described = json(&["topic", "describe", &topic]);
    assert_eq!(described["partitions"].as_array().map(Vec::len), Some(3), "{described}");
    assert!(described.to_string().contains("2000"), "{described}");
    json(&["topic", "delete", &topic]);
    assert!(!json(&["topic", "list"]).to_string().contains(&topic));
}

#[test]
fn what_cannot_be_done_is_one_line() {
    let broker = Broker::start();
    let nowhere = unique_name("nowhere");
    check_fails(over_tcp(&broker, &["topic", "describe", &nowhere]), 1, &[&nowhere]);
    check_fails(over_tcp(&broker, &["topic", "delete", &nowhere]), 1, &[&nowhere]);
    check_fails(over_tcp(&broker, &["consume", "num*"]), 2, &["\"num*\" is not the name of a topic"]);
    let refused = ["topic", "create", nowhere.as_str(), "--set", "no.such.setting=1"];
    check_fails(over_tcp(&broker, &refused), 2, &["no.such.setting"]);
    check_fails(
        over_tcp(&broker, &["consume", &nowhere, "--from", "yesterday"]),
        2,
        &["--from", "yesterday"],
    );
    check_fails(over_tcp(&broker, &["produce", &nowhere, "--codec", "rar"]), 2, &["--codec", "rar"]);
}

#[test]
fn a_port_that_is_taken_is_told_with_the_flag_that_names_it() {
    let broker = Broker::start();
    let data = tempfile::tempdir().expect("a temporary directory");
    let (kafka, http) = (format!("tcp://{}", broker.kafka()), broker.http().to_string());
    for (listen, http, flag) in
        [(kafka.as_str(), "off", "--listen: "), ("tcp://127.0.0.1:0", &http, "--http: ")]
    {
        let mut serve = cenote();
        serve.args(["serve", "--listen", listen, "--http", http, "--data"]).arg(data.path());
        check_fails(serve, 1, &[flag, "cannot listen on 127.0.0.1:"]);
    }
}

#[test]
fn who_stops_a_reader_gets_the_code_of_the_signal() {
    let broker = Broker::start();
    let topic = unique_name("stopped");
    run(over_tcp(&broker, &["topic", "create", &topic]), "");
    run(over_tcp(&broker, &["produce", &topic]), "line\n");
    for group in [&[][..], &["--group", "stopped"]] {
        for (signal, code) in [("INT", 130), ("TERM", 143)] {
            run(over_tcp(&broker, &["produce", &topic]), "line\n");
            let arguments: Vec<_> = ["consume", &topic].iter().chain(group).copied().collect();
            let mut reader = over_tcp(&broker, &arguments).spawn().expect("the cenote binary");
            let lines = lines_of(reader.stdout.take().expect("a piped stdout"));
            assert_eq!(lines.recv().expect("a line"), "line");
            send_signal(&reader, signal);
            assert_eq!(wait_for_exit(reader).code(), Some(code), "{signal} {group:?}");
        }
    }
}

#[test]
fn a_certificate_that_is_not_trusted_says_how_to_trust_it() {
    let broker = Broker::start();
    let quic = format!("quic://{}", broker.quic());
    let list = |arguments: &[&str]| {
        let mut command = cenote();
        command.args(["topic", "list", "--bootstrap", &quic]).args(arguments);
        command
    };
    let authority = broker.data().join("tls/certificate.pem");
    let authority = authority.to_str().expect("a text");
    run(list(&["--tls-ca", authority]), "");
    let other = tempfile::tempdir().expect("a temporary directory");
    cenote::net::Identity::for_development(other.path()).expect("a certificate");
    let other = other.path().join("certificate.pem");
    let not_its = ["--tls-ca", other.to_str().expect("a text")];
    check_fails(list(&not_its), 1, &["--tls-ca", "--tls-fingerprint", "printed at its start"]);
    let wrong = "ab".repeat(32);
    check_fails(list(&["--tls-fingerprint", &wrong]), 1, &["another certificate than --tls-fingerprint"]);
}

#[test]
fn a_port_of_another_protocol_is_told() {
    let broker = Broker::start();
    let list = |bootstrap: String| {
        let mut command = cenote();
        command.args(["topic", "list", "--bootstrap", &bootstrap]);
        command
    };
    check_fails(list(broker.http().to_string()), 1, &["HTTP is spoken there"]);
    let mut over_tls = list(format!("tls://{}", broker.kafka()));
    over_tls.arg("--tls-insecure");
    check_fails(over_tls, 1, &["tcp://"]);
}

#[test]
fn a_short_bench_tells_its_figures_in_json() {
    let broker = Broker::start();
    let arguments = ["bench", "produce", "--records", "2000", "--record-size", "100", "--output", "json"];
    let figures: Value =
        serde_json::from_str(&run(over_tcp(&broker, &arguments), "")).expect("one JSON document");
    assert!(figures.is_object(), "{figures}");
}

#[test]
fn completions_are_written_for_every_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let mut command = cenote();
        command.args(["completions", shell]);
        assert!(run(command, "").contains("cenote"), "{shell}");
    }
}
