//! The whole broker with its metadata on etcd: what it acknowledges outlives its disk, and it comes back when etcd does.

use crate::settings::get;
use crate::support::archive::{await_that, metric};
use crate::support::broker::{
    Broker, BrokerOptions, cenote, lines_of, send_signal, serve_command, wait_for_exit,
};
use crate::support::etcd::Etcd;
use crate::support::ports::free_port;
use crate::support::requests::{LATEST, PRODUCE_BY_NAME, Topic, produce_request};
use crate::support::{Batch, Client, NONE, ResponseError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A broker whose own directory holds nothing of value: objects lie in `store`, metadata in etcd.
fn broker_on(etcd: &Etcd, store: &TempDir) -> BrokerOptions {
    let metadata = format!("etcd://{}/it", etcd.members());
    let store = format!("file://{}", store.path().display());
    let options = Broker::options().arguments(&["--metadata", &metadata, "--store", &store]);
    let among_others = ["--broker-id", "1", "--mesh-listen", "127.0.0.1:0"];
    options.arguments(&among_others).variable("CENOTE_CLUSTER_SECRET", "nobody else is told of this")
}

fn store() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

#[test]
fn what_is_acknowledged_outlives_the_broker_and_its_disk() {
    let Some(etcd) = Etcd::start("a broker on etcd", 1) else { return };
    let store = store();
    let mut broker = broker_on(&etcd, &store).start();
    let topic = broker.connect().create_topic("etcd");
    let (producer_id, epoch) = broker.connect().init_producer_id();
    let mut expected = Vec::new();
    for round in 0..4 {
        let mut client = broker.connect();
        let name = format!("round-{round}");
        let batch = Batch::numbered(&name, 2).by_producer(producer_id, epoch, round * 2);
        assert_eq!(client.produce(&topic, &batch), i64::from(round) * 2);
        expected.extend([format!("{name}-0"), format!("{name}-1")]);
        broker.kill();
        if round % 2 == 0 {
            broker.start_again();
        } else {
            // Another machine: nothing but the two stores is left.
            broker = broker_on(&etcd, &store).start();
        }
        let mut client = broker.connect();
        // Who asks for an end waits until the partition is taken over; who produces is soon told to try again.
        client.list_offset(&topic, LATEST);
        assert_eq!(client.produce(&topic, &batch), i64::from(round) * 2, "a repeat is known");
        assert_eq!(client.all_values(&topic), expected);
        assert_eq!(client.list_offset(&topic, LATEST).offset, i64::from(round) * 2 + 2);
    }
    assert!(!broker.data().join("metadata").exists(), "metadata lies in etcd alone");
    assert!(broker.stop("TERM").success());
    let mut fsck = cenote();
    let metadata = format!("etcd://{}/it", etcd.members());
    let store = format!("file://{}", store.path().display());
    let checked =
        fsck.args(["fsck", "--metadata", &metadata, "--store", &store]).output().expect("the cenote binary");
    let text = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success() && text.contains("clean"), "{text}");
}

#[test]
fn a_broker_waits_for_a_paused_etcd_and_goes_on_without_a_restart() {
    let Some(etcd) = Etcd::start("a broker on a paused etcd", 1) else { return };
    let store = store();
    let broker = broker_on(&etcd, &store).start();
    let mut client = broker.connect();
    let topic = client.create_topic("paused");
    assert_eq!(client.produce(&topic, &Batch::numbered("before", 1)), 0);
    etcd.pause();
    let request = produce_request(&topic.name, 0, -1, Batch::numbered("meanwhile", 1).encode());
    let waiting = client.send(PRODUCE_BY_NAME, &request);
    let paused = Instant::now();
    // What is committed is served, and takes time: nobody names an end meanwhile.
    let mut reader = broker.connect();
    while paused.elapsed() < Duration::from_secs(6) {
        assert_eq!(reader.fetch_batches(&topic, 0).len(), 1);
    }
    let ready = get(&broker, "/readyz");
    assert!(
        ready.contains(" 200 ") && ready.contains("nothing is acknowledged: the metadata store"),
        "{ready}"
    );
    etcd.resume();
    let resumed = Instant::now();
    let answer = client.receive::<kafka_protocol::messages::ProduceRequest>(PRODUCE_BY_NAME, waiting);
    assert_eq!(answer.responses[0].partition_responses[0].error_code, NONE);
    println!("acknowledged {:?} after etcd went on", resumed.elapsed());
    assert!(resumed.elapsed() < Duration::from_secs(5));
    assert_eq!(client.all_values(&topic), ["before-0", "meanwhile-0"]);
}

/// Produces again and again, each time for half a second, until that is what comes of it.
fn produce_until(client: &mut Client, topic: &Topic, wanted: i16) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let records = Batch::numbered("full", 1).encode();
        let request = produce_request(&topic.name, 0, -1, records).with_timeout_ms(500);
        let answer = client.call(PRODUCE_BY_NAME, &request);
        let code = answer.responses[0].partition_responses[0].error_code;
        if code == wanted {
            return;
        }
        let not_yet = [ResponseError::RequestTimedOut.code(), ResponseError::NotEnoughReplicas.code()];
        assert!(not_yet.contains(&code), "{code} on the way to {wanted}");
        assert!(Instant::now() < deadline, "{code} instead of {wanted}");
    }
}

#[test]
fn producers_are_refused_while_etcd_is_full_and_go_on_when_it_has_room() {
    let arguments = ["--quota-backend-bytes", "16777216"];
    let Some(etcd) = Etcd::start_with("a broker on a full etcd", 1, &arguments) else { return };
    let store = store();
    let broker = broker_on(&etcd, &store).start();
    let mut client = broker.connect();
    let topic = client.create_topic("full");
    assert_eq!(client.produce(&topic, &Batch::numbered("before", 1)), 0);
    // Somebody else fills it: keys zz/0, zz/1 and so on, a megabyte each.
    let long = "QUFB".repeat(333_333);
    let full = (0..64).find_map(|number| {
        let key = ["enovMA==", "enovMQ==", "enovMg==", "enovMw=="][number % 4];
        etcd.try_post("/v3/kv/put", &format!(r#"{{"key":"{key}","value":"{long}"}}"#)).err()
    });
    assert!(full.is_some_and(|answer| answer.contains("database space exceeded")));
    produce_until(&mut client, &topic, ResponseError::NotEnoughReplicas.code());
    let asked = Instant::now();
    produce_until(&mut client, &topic, ResponseError::NotEnoughReplicas.code());
    assert!(asked.elapsed() < Duration::from_millis(400), "it is told at once: {:?}", asked.elapsed());
    assert_eq!(client.fetch_batches(&topic, 0).len(), 1, "what is there is read");
    assert!(broker.log().contains("etcd is out of space"), "{}", broker.log());
    etcd.make_room("enov", "enow");
    produce_until(&mut client, &topic, NONE);
    await_that(&broker, "the figure goes back", || metric(&broker, "cenote_metadata_full") == 0);
    assert_eq!(client.all_values(&topic)[0], "before-0");
}

#[test]
fn a_broker_outlives_a_restart_of_etcd() {
    let Some(mut etcd) = Etcd::start("a broker whose etcd restarts", 1) else { return };
    let store = store();
    let broker = broker_on(&etcd, &store).start();
    let mut client = broker.connect();
    let topic = client.create_topic("restarted");
    for round in 0..3 {
        assert_eq!(client.produce(&topic, &Batch::numbered(&round.to_string(), 1)), round);
        etcd.kill(0);
        etcd.restart(0);
    }
    assert_eq!(client.all_values(&topic), ["0-0", "1-0", "2-0"]);
}

#[test]
fn a_password_in_the_settings_is_not_shown() {
    let mut command = cenote();
    let url = "etcd://user:hush@127.0.0.1:1/p";
    let shown = command.args(["config", "--metadata", url]).output().expect("the cenote binary");
    let text = String::from_utf8_lossy(&shown.stdout).into_owned() + &String::from_utf8_lossy(&shown.stderr);
    assert!(text.contains("user:***@127.0.0.1:1/p") && !text.contains("hush"), "{text}");
}

/// A broker's start, on ports that the system chooses.
fn starting(data: &TempDir, metadata: &str) -> std::process::Command {
    let mut command = serve_command(data.path());
    command.args(["--listen", "tcp://127.0.0.1:0", "--http", "127.0.0.1:0", "--metadata", metadata]);
    command.args([
        "--broker-id",
        "1",
        "--cluster-secret",
        "a secret of 16 or more",
        "--mesh-listen",
        "127.0.0.1:0",
    ]);
    command
}

#[test]
fn a_start_that_waits_for_etcd_ends_at_once_when_it_is_told_to() {
    for signal in ["TERM", "INT"] {
        let data = store();
        // Nobody listens there.
        let metadata = format!("etcd://127.0.0.1:{}", free_port());
        let mut child = starting(&data, &metadata).spawn().expect("the cenote binary");
        let log = lines_of(child.stderr.take().expect("a piped stderr"));
        let told = log.iter().find(|line| line.contains("no connection to etcd"));
        let asked = Instant::now();
        send_signal(&child, signal);
        let status = wait_for_exit(child);
        assert!(told.is_some(), "it says what it waits for");
        assert_eq!(status.code(), Some(0), "SIG{signal}");
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    }
}

#[test]
fn who_is_not_let_in_by_etcd_is_told_so_at_once() {
    let Some(etcd) = Etcd::start("a broker with a wrong password", 1) else { return };
    for (path, json) in [
        ("user/add", r#"{"name":"root","password":"r"}"#),
        ("user/grant", r#"{"user":"root","role":"root"}"#),
        ("role/add", r#"{"name":"elsewhere"}"#),
        ("role/grant", r#"{"name":"elsewhere","perm":{"permType":"READWRITE","key":"L2Ev"}}"#),
        ("user/add", r#"{"name":"broker","password":"right"}"#),
        ("user/grant", r#"{"user":"broker","role":"elsewhere"}"#),
        ("enable", "{}"),
    ] {
        etcd.post(&format!("/v3/auth/{path}"), json);
    }
    for (login, words) in [
        ("broker:wrong@", "user broker: authentication failed, invalid user ID or password"),
        ("broker:right@", "permission denied"),
        ("", "refused"),
    ] {
        let data = store();
        let began = Instant::now();
        let metadata = format!("etcd://{login}{}", etcd.members());
        let output = starting(&data, &metadata).output().expect("the cenote binary");
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or_default();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(last.starts_with("error: the metadata store refused: ") && last.contains(words), "{said}");
        assert!(!said.contains("wrong@") && !said.contains("right@"), "{said}");
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}: {said}", began.elapsed());
    }
}
