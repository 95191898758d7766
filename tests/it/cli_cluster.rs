//! The cluster by the command line, against a broker that is alone, and one that may get company.

use crate::cli::{check_fails, run};
use crate::cli_archive::{at_the_door, json};
use crate::support::Broker;
use crate::support::broker::serve_command;
use crate::support::etcd::Etcd;
use std::process::Command;

const SECRET: &str = "nobody else is told of this";

#[test]
fn a_broker_that_is_alone_describes_itself_and_takes_no_orders() {
    let broker = Broker::start();
    let topic = broker.connect().create_topic("described");
    let cluster = json(at_the_door(&broker, &["cluster", "describe", "--output", "json"]));
    assert_eq!((&cluster["view"], &cluster["partitions"]), (&1.into(), &1.into()), "{}", topic.name);
    let told = &cluster["brokers"][0];
    assert_eq!(
        (&told["broker_id"], &told["state"], &told["weight"]),
        (&1.into(), &"leads".into(), &1.into())
    );
    assert_eq!((&told["partitions"], &told["acked_view"]), (&1.into(), &1.into()));
    assert_eq!(told["listeners"][0]["port"], broker.kafka().port());
    let text = run(at_the_door(&broker, &["cluster", "describe"]), "");
    let row = text.lines().last().expect("a row").split_whitespace().collect::<Vec<_>>();
    assert_eq!((&row[..2], &row[3..5]), (&["1", "leads"][..], &["-", "1"][..]), "{text}");

    for order in [&["drain", "1"][..], &["drain", "1", "--undo"], &["seal", "1"]] {
        let command = at_the_door(&broker, &[&["cluster"], order].concat());
        check_fails(command, 1, &["there is no cluster"]);
    }
    check_fails(at_the_door(&broker, &["cluster", "drain", "-1"]), 2, &["-1"]);
}

#[test]
fn a_broker_on_etcd_says_what_it_must_be_told() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let on_etcd = |arguments: &[&str]| -> Command {
        let mut command = serve_command(data.path());
        command.args(["--metadata", "etcd://127.0.0.1:1"]).args(arguments);
        command
    };
    check_fails(on_etcd(&[]), 2, &["--broker-id: is not given", "accepted: "]);
    check_fails(on_etcd(&["--broker-id", "1"]), 2, &["--cluster-secret: is not given", "accepted: "]);
    let mut short = on_etcd(&["--broker-id", "1"]);
    short.env("CENOTE_CLUSTER_SECRET", "short");
    check_fails(short, 2, &["CENOTE_CLUSTER_SECRET: ", "has 5 bytes"]);
}

#[test]
fn a_broker_on_etcd_tells_its_session() {
    let Some(etcd) = Etcd::start("a cluster of one", 1) else { return };
    let metadata = format!("etcd://{}/it", etcd.members());
    let arguments = ["--metadata", &metadata, "--broker-id", "7", "--mesh-listen", "127.0.0.1:0"];
    let options = Broker::options().arguments(&arguments).variable("CENOTE_CLUSTER_SECRET", SECRET);
    let broker = options.start();
    let cluster = json(at_the_door(&broker, &["cluster", "describe", "--output", "json"]));
    let told = &cluster["brokers"][0];
    assert_eq!((&told["broker_id"], &told["state"]), (&7.into(), &"leads".into()), "{cluster}");
}
