//! The whole broker with its journal on an S3 server: what is acknowledged lies there, and nowhere else.

use crate::support::archive::files_below;
use crate::support::broker::BrokerOptions;
use crate::support::requests::{LATEST, Topic, creatable};
use crate::support::s3_server::{BUCKET, S3Server};
use crate::support::{Batch, Broker, NONE};

pub fn broker_on(server: &S3Server) -> BrokerOptions {
    broker_below(server, "prefix")
}

/// A broker whose objects lie below this prefix of the bucket.
pub fn broker_below(server: &S3Server, prefix: &str) -> BrokerOptions {
    let store = format!("s3://{BUCKET}/{prefix}");
    let mut options = Broker::options().arguments(&["--store", &store]);
    for (name, value) in server.variables() {
        options = options.variable(name, &value);
    }
    options
}

/// A topic with a short name. The server keeps what it knows of an object in a file whose name is made of the object's
/// whole path, and file systems take 255 letters in a name.
pub fn short_topic(broker: &Broker, settings: &[(&str, &str)]) -> Topic {
    let name = "a".to_owned();
    let created = broker.connect().try_create_topic(creatable(&name, 1, settings));
    assert_eq!(created.error_code, NONE, "{:?}", created.error_message);
    Topic { name, id: created.topic_id }
}

fn check_durable(delete_cache: bool) {
    let server = S3Server::start();
    let mut broker = broker_on(&server).start();
    let topic = broker.connect().create_topic("s3");
    let mut expected = Vec::new();
    for round in 0..5 {
        let mut client = broker.connect();
        let name = format!("round-{round}");
        assert_eq!(client.produce(&topic, &Batch::numbered(&name, 2)), round * 2);
        expected.extend([format!("{name}-0"), format!("{name}-1")]);
        assert_eq!(client.all_values(&topic), expected);
        broker.kill();
        if delete_cache {
            // There may be none yet.
            let _ = std::fs::remove_dir_all(broker.data().join("cache"));
        }
        broker.start_again();
    }
    let mut client = broker.connect();
    assert_eq!(client.all_values(&topic), expected);
    assert_eq!(client.list_offset(&topic, LATEST).offset, 10);
    assert!(!files_below(&server.bucket()).is_empty(), "the journal lies in the bucket");
}

#[test]
fn acknowledged_records_survive_a_kill() {
    check_durable(false);
}

#[test]
fn acknowledged_records_survive_a_kill_and_the_loss_of_the_cache() {
    check_durable(true);
}

#[test]
fn an_idempotent_repeat_after_a_kill_is_stored_once() {
    let server = S3Server::start();
    let mut broker = broker_on(&server).start();
    let mut client = broker.connect();
    let topic = client.create_topic("s3-repeat");
    let (producer_id, epoch) = client.init_producer_id();
    let batch = Batch::numbered("once", 3).by_producer(producer_id, epoch, 0);
    assert_eq!(client.produce(&topic, &batch), 0);
    broker.kill_and_restart();
    let mut client = broker.connect();
    assert_eq!(client.produce(&topic, &batch), 0);
    assert_eq!(client.list_offset(&topic, LATEST).offset, 3);
}

#[test]
fn a_store_that_is_away_acknowledges_nothing_and_is_told_at_start() {
    let server = S3Server::start();
    let options = broker_on(&server).arguments(&["--listen", "tcp://127.0.0.1:0", "--http", "127.0.0.1:0"]);
    drop(server);
    let data = tempfile::tempdir().expect("a temporary directory");
    let output = options.command(data.path()).output().expect("the cenote binary");
    assert!(!output.status.success(), "it does not start without its store");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("panicked") && !said.trim().is_empty(), "{said}");
}
