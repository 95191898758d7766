//! `cenote cluster`.

use super::admin_door::AdminDoor;
use super::error::CliError;
use super::options::Output;
use super::table::Table;
use crate::ops::{BrokerAnswer, ClusterAnswer, OrderAnswer};
use clap::{Args, Subcommand};
use serde::Serialize;
use std::io::{self, Write};

#[derive(Debug, Subcommand)]
pub(super) enum ClusterCommand {
    /// Show the newest view and all brokers: what they lead, where they are reached, which view they have acknowledged.
    Describe {
        #[command(flatten)]
        options: ClusterOptions,
    },
    /// Have a broker lead nothing: it hands over, and goes on sending requests to those that lead.
    ///
    /// It stays so when it starts again, until --undo. `cenote cluster describe` shows how far it is.
    Drain {
        /// Its id.
        #[arg(value_name = "BROKER", value_parser = clap::value_parser!(i32).range(0..))]
        broker: i32,
        /// Have it lead again.
        #[arg(long)]
        undo: bool,
        #[command(flatten)]
        options: ClusterOptions,
    },
    /// End a broker's session at once, as other brokers do when it is gone. If it lives, it begins another one.
    ///
    /// What it has acknowledged stays; what it has not is refused, and clients send it again. `drain` is the calm way.
    Seal {
        /// Its id.
        #[arg(value_name = "BROKER", value_parser = clap::value_parser!(i32).range(0..))]
        broker: i32,
        #[command(flatten)]
        options: ClusterOptions,
    },
}

#[derive(Debug, Args)]
pub(super) struct ClusterOptions {
    #[command(flatten)]
    door: AdminDoor,
    /// How to answer: text for people, or one JSON document for scripts.
    #[arg(long, value_enum, default_value_t = Output::Text, value_name = "HOW")]
    output: Output,
}

pub(super) async fn run(command: ClusterCommand) -> Result<(), CliError> {
    let mut out = io::stdout();
    match command {
        ClusterCommand::Describe { options } => {
            let cluster = options.door.cluster().await?;
            show(&mut out, &cluster, options.output, || text_of_cluster(&cluster))
        }
        ClusterCommand::Drain { broker, undo, options } => {
            let order = if undo { "undrain" } else { "drain" };
            tell(&mut out, &options.door.order(broker, order).await?, options.output)
        }
        ClusterCommand::Seal { broker, options } => {
            tell(&mut out, &options.door.order(broker, "seal").await?, options.output)
        }
    }
}

fn tell(out: &mut impl Write, answer: &OrderAnswer, output: Output) -> Result<(), CliError> {
    show(out, answer, output, || Ok(text_of_order(answer)))
}

fn show<T: Serialize>(
    out: &mut impl Write,
    answer: &T,
    output: Output,
    text: impl Fn() -> io::Result<String>,
) -> Result<(), CliError> {
    let text = match output {
        Output::Text => text()?,
        Output::Json => {
            serde_json::to_string(answer).map_err(|error| CliError::Failed(error.to_string()))? + "\n"
        }
    };
    Ok(out.write_all(text.as_bytes())?)
}

fn text_of_order(answer: &OrderAnswer) -> String {
    let broker = answer.broker_id;
    match (answer.order.as_str(), answer.already) {
        ("drain", false) => {
            format!(
                "broker {broker} hands over; `cenote cluster describe` shows it as drained when it leads nothing\n"
            )
        }
        ("drain", true) => format!("broker {broker} is drained already; nothing was done\n"),
        ("undrain", false) => format!("broker {broker} may lead again\n"),
        ("undrain", true) => format!("broker {broker} is not drained; nothing was done\n"),
        ("seal", false) => format!("the session of broker {broker} has ended\n"),
        ("seal", true) => format!("no session of broker {broker} stands; nothing was done\n"),
        (order, _) => format!("broker {broker}: {order}\n"),
    }
}

fn text_of_cluster(cluster: &ClusterAnswer) -> io::Result<String> {
    let mut text = Vec::new();
    writeln!(text, "cluster     {}", cluster.cluster_id)?;
    writeln!(text, "view        {}", cluster.view)?;
    if let (Some(first), false) = (cluster.earlier_views.first(), cluster.earlier_views.is_empty()) {
        writeln!(text, "            not everyone has acknowledged what has changed since view {first}")?;
    }
    writeln!(text, "partitions  {}", cluster.partitions)?;
    writeln!(text)?;
    brokers(&cluster.brokers).write(&mut text)?;
    String::from_utf8(text).map_err(io::Error::other)
}

fn brokers(brokers: &[BrokerAnswer]) -> Table {
    let mut table = Table::new(&[
        "BROKER",
        "STATE",
        "ALIVE",
        "ZONE",
        "WEIGHT",
        "PARTITIONS",
        "ACKED-VIEW",
        "LISTENERS",
        "MESH",
        "SESSION",
    ]);
    for broker in brokers {
        let address = |host: &str, port: u16| {
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
        };
        let listeners = broker.listeners.iter();
        let listeners = listeners.map(|told| format!("{}={}", told.name, address(&told.host, told.port)));
        table.row([
            broker.broker_id.to_string(),
            broker.state.clone(),
            if broker.alive { "yes" } else { "no" }.to_owned(),
            broker.zone.clone().unwrap_or_default(),
            broker.weight.to_string(),
            broker.partitions.to_string(),
            broker.acked_view.map(|view| view.to_string()).unwrap_or_default(),
            listeners.collect::<Vec<_>>().join(","),
            broker.mesh.clone().unwrap_or_default(),
            broker.session.clone(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::ListenerAnswer;

    fn broker(broker_id: i32, state: &str) -> BrokerAnswer {
        BrokerAnswer {
            broker_id,
            session: format!("{broker_id:032x}"),
            state: state.to_owned(),
            weight: 1,
            ..BrokerAnswer::default()
        }
    }

    #[test]
    fn a_cluster_is_a_few_lines_and_a_table() {
        let listener = ListenerAnswer { name: "PLAINTEXT".to_owned(), host: "::1".to_owned(), port: 9092 };
        let one = BrokerAnswer {
            zone: Some("a".to_owned()),
            partitions: 12,
            alive: true,
            acked_view: Some(4),
            listeners: vec![listener],
            mesh: Some("10.0.0.1:9192".to_owned()),
            ..broker(1, "leads")
        };
        let cluster = ClusterAnswer {
            cluster_id: "c".to_owned(),
            view: 5,
            earlier_views: vec![3, 4],
            partitions: 12,
            brokers: vec![one, broker(2, "sealed")],
        };
        let text = text_of_cluster(&cluster).expect("text");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..2], ["cluster     c", "view        5"]);
        assert!(lines[2].ends_with("since view 3") && lines[3] == "partitions  12", "{text}");
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let listener = "PLAINTEXT=[::1]:9092";
        assert_eq!(words(lines[6])[..8], ["1", "leads", "yes", "a", "1", "12", "4", listener]);
        assert_eq!(words(lines[7])[..8], ["2", "sealed", "no", "-", "1", "0", "-", "-"]);
    }

    #[test]
    fn an_order_is_told_in_one_line() {
        for (order, already, expected) in [
            ("drain", false, "broker 2 hands over;"),
            ("drain", true, "broker 2 is drained already;"),
            ("undrain", false, "broker 2 may lead again"),
            ("seal", true, "no session of broker 2 stands;"),
        ] {
            let text = text_of_order(&OrderAnswer { broker_id: 2, order: order.to_owned(), already });
            assert!(text.starts_with(expected) && text.lines().count() == 1, "{text}");
        }
    }
}
