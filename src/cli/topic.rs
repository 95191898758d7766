//! `cenote topic`.

use super::error::CliError;
use super::options::{Common, Output, parse_pair};
use crate::client::{Admin, Cluster, ConfigChange, NewTopic};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::io::{self, Write};

#[derive(Debug, Subcommand)]
pub(super) enum TopicCommand {
    /// Create a topic.
    Create {
        /// Its name.
        name: String,
        /// How many partitions [default: the broker's].
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
        partitions: Option<i32>,
        /// How many copies: 1, as the object store keeps its own [default: 1].
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
        replication_factor: Option<i16>,
        /// A setting of Kafka's topics, such as retention.ms=86400000. Repeatable.
        #[arg(long, value_name = "KEY=VALUE", value_parser = parse_pair)]
        set: Vec<(String, String)>,
        #[command(flatten)]
        common: Common,
    },
    /// List topics.
    List {
        /// Show how many offsets are in use, too.
        #[arg(long)]
        offsets: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Show partitions, offsets, leaders and settings of a topic.
    Describe {
        /// Its name.
        name: String,
        #[command(flatten)]
        common: Common,
    },
    /// Change settings, or raise the number of partitions.
    Alter(AlterArgs),
    /// Delete topics and their records.
    Delete {
        /// Their names.
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, Args)]
#[group(id = "change", required = true, multiple = true, args = ["set", "unset", "partitions"])]
pub(super) struct AlterArgs {
    /// Its name.
    name: String,
    /// A setting of Kafka's topics, such as retention.ms=86400000. Repeatable.
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_pair)]
    set: Vec<(String, String)>,
    /// A setting that goes back to its default. Repeatable.
    #[arg(long, value_name = "KEY")]
    unset: Vec<String>,
    /// Raise the number of partitions to this. Keys move to other partitions.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    #[command(flatten)]
    common: Common,
}

pub(super) async fn run(command: TopicCommand) -> Result<(), CliError> {
    match command {
        TopicCommand::Create { name, partitions, replication_factor, set, common } => {
            let topic = NewTopic { name, partitions, replication_factor, configs: set };
            let cluster = common.connect().await?;
            Admin::new(&cluster).create_topic(&topic).await?;
            print_done(common.output, "created", &[topic.name])
        }
        TopicCommand::List { offsets, common } => {
            list(&common.connect().await?, offsets, common.output).await
        }
        TopicCommand::Describe { name, common } => {
            describe(&common.connect().await?, &name, common.output).await
        }
        TopicCommand::Alter(args) => alter(args).await,
        TopicCommand::Delete { names, common } => {
            let admin = Admin::new(&common.connect().await?);
            for name in &names {
                admin.delete_topic(name).await?;
            }
            print_done(common.output, "deleted", &names)
        }
    }
}

fn print_done(output: Output, what: &str, names: &[String]) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    match output {
        Output::Text => names.iter().try_for_each(|name| writeln!(out, "{what} topic {name}"))?,
        Output::Json => writeln!(out, "{}", json!({ what: names }))?,
    }
    Ok(())
}

async fn alter(args: AlterArgs) -> Result<(), CliError> {
    let admin = Admin::new(&args.common.connect().await?);
    let set = args.set.into_iter().map(|(key, value)| ConfigChange::Set(key, value));
    let changes: Vec<_> = set.chain(args.unset.into_iter().map(ConfigChange::Unset)).collect();
    if !changes.is_empty() {
        admin.alter_configs(&args.name, &changes).await?;
    }
    if let Some(partitions) = args.partitions {
        let warning = "cenote: keys move: records of a key may now go to another partition than before";
        writeln!(io::stderr().lock(), "{warning}")?;
        admin.create_partitions(&args.name, partitions).await?;
    }
    print_done(args.common.output, "altered", &[args.name])
}

async fn list(cluster: &Cluster, offsets: bool, output: Output) -> Result<(), CliError> {
    let admin = Admin::new(cluster);
    let mut rows = Vec::new();
    for topic in cluster.topics().await? {
        let records = if offsets {
            let starts = admin.start_offsets(&topic.name).await?;
            let ends = admin.end_offsets(&topic.name).await?;
            Some(
                ends.iter()
                    .map(|(index, end)| *end - starts.get(index).copied().unwrap_or(*end))
                    .sum::<i64>(),
            )
        } else {
            None
        };
        rows.push((topic, records));
    }
    let mut out = io::stdout().lock();
    if output == Output::Json {
        let rows = rows.iter().map(|(topic, records)| {
            let mut row = json!({ "name": topic.name, "partitions": topic.partitions.len(), "internal": topic.is_internal });
            if let Some(records) = records {
                row["records"] = Value::from(*records);
            }
            row
        });
        writeln!(out, "{}", Value::from_iter(rows))?;
        return Ok(());
    }
    let width = rows.iter().map(|(topic, _)| topic.name.len()).max().unwrap_or(0).max(5);
    let records_title = if offsets { "  RECORDS" } else { "" };
    writeln!(out, "{:width$}  PARTITIONS{records_title}", "TOPIC")?;
    for (topic, records) in rows {
        let records = records.map(|records| format!("  {records:7}")).unwrap_or_default();
        writeln!(out, "{:width$}  {:10}{records}", topic.name, topic.partitions.len())?;
    }
    Ok(())
}

async fn describe(cluster: &Cluster, name: &str, output: Output) -> Result<(), CliError> {
    let admin = Admin::new(cluster);
    let topic = cluster.topic(name).await?;
    let starts = admin.start_offsets(name).await?;
    let ends = admin.end_offsets(name).await?;
    let configs = admin.describe_configs(name).await?;
    let offset = |offsets: &std::collections::BTreeMap<_, crate::types::Offset>, index| {
        offsets.get(index).map_or(-1, |offset| offset.get())
    };
    let mut out = io::stdout().lock();
    if output == Output::Json {
        let partitions = topic.partitions.iter().map(|partition| {
            json!({
                "partition": partition.index.0,
                "leader": partition.leader.map(|leader| leader.0),
                "leader_epoch": partition.leader_epoch,
                "start_offset": offset(&starts, &partition.index),
                "end_offset": offset(&ends, &partition.index),
            })
        });
        let configs = configs.iter().map(
            |config| json!({ "name": config.name, "value": config.value, "default": config.is_default }),
        );
        let topic_id = topic.topic_id.to_string();
        let document = json!({
            "name": topic.name,
            "topic_id": topic_id,
            "partitions": Value::from_iter(partitions),
            "settings": Value::from_iter(configs),
        });
        writeln!(out, "{document}")?;
        return Ok(());
    }
    writeln!(out, "topic {} ({})", topic.name, topic.topic_id)?;
    writeln!(out, "PARTITION  LEADER  START        END          RECORDS")?;
    for partition in &topic.partitions {
        let leader = partition.leader.map_or("none".to_owned(), |leader| leader.0.to_string());
        let (start, end) = (offset(&starts, &partition.index), offset(&ends, &partition.index));
        writeln!(out, "{:<9}  {leader:6}  {start:<11}  {end:<11}  {}", partition.index.0, end - start)?;
    }
    writeln!(out, "SETTINGS (* set for this topic)")?;
    for config in configs {
        let mark = if config.is_default { ' ' } else { '*' };
        writeln!(out, "{mark} {} = {}", config.name, config.value.as_deref().unwrap_or("(hidden)"))?;
    }
    Ok(())
}
