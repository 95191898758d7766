//! `cenote topic`.

mod files;
mod units;

use super::admin_door::{AdminDoor, TopicSegments};
use super::error::CliError;
use super::options::{Common, Output};
use super::table::Table;
use crate::client::{Admin, Cluster, ConfigChange, NewTopic, TopicInfo};
use crate::ops::PartitionAnswer;
use crate::types::{Offset, PartitionIndex};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::io::{self, Write};
use units::parse_setting;

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
        /// A setting of Kafka's topics, such as retention.ms=7d: times and sizes are plain numbers, or have units.
        /// Repeatable.
        #[arg(long, value_name = "KEY=VALUE", value_parser = parse_setting)]
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
    /// Show partitions, offsets, leaders, segments and settings of a topic.
    ///
    /// Segments and what waits to become one are asked of the broker's HTTP door; where it does not answer, a line says so.
    /// OFFSETS counts offsets, of which not all have a record: markers, aborted and compacted records leave gaps. ROWS
    /// counts the records in segments.
    Describe {
        /// Its name.
        name: String,
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        door: AdminDoor,
    },
    /// Print the exact list of a topic's Parquet files, one a line, for any engine that reads them.
    Files(files::FilesArgs),
    /// Delete the records of a partition before an offset, for good.
    DeleteRecords {
        /// The topic's name.
        name: String,
        /// Which partition.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
        partition: i32,
        /// The offset that is to be the first, or end: all records that there are now.
        #[arg(long, value_name = "OFFSET|end", value_parser = parse_before)]
        before: Before,
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
    /// A setting of Kafka's topics, such as retention.ms=7d: times and sizes are plain numbers, or have units.
    /// Repeatable.
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_setting)]
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

/// Where a log is to begin.
#[derive(Clone, Copy, Debug)]
pub(super) enum Before {
    Offset(Offset),
    End,
}

fn parse_before(text: &str) -> Result<Before, String> {
    let offset = text.parse().ok().filter(|offset| *offset >= 0).map(|offset| Before::Offset(Offset(offset)));
    let before = if text == "end" { Some(Before::End) } else { offset };
    before.ok_or_else(|| "expected an offset or end".to_owned())
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
        TopicCommand::Describe { name, common, door } => {
            let cluster = common.connect().await?;
            let segments = door.segments(&name, None).await.and_then(TopicSegments::whole);
            let topic = cluster.topic(&name).await?;
            // The door may be that of a broker of another cluster.
            let segments = segments.and_then(|segments| door.belonging_to(segments, &topic));
            describe(&cluster, &topic, segments, common.output).await
        }
        TopicCommand::Files(args) => files::run(args).await,
        TopicCommand::DeleteRecords { name, partition, before, common } => {
            let admin = Admin::new(&common.connect().await?);
            let before = match before {
                Before::Offset(offset) => Some(offset),
                Before::End => None,
            };
            let start = admin.delete_records(&name, PartitionIndex(partition), before).await?;
            let mut out = io::stdout().lock();
            match common.output {
                Output::Text => writeln!(out, "{name}-{partition} begins at offset {start}")?,
                Output::Json => {
                    let start = start.get();
                    let document =
                        json!({ "topic": name, "partition": partition, "log_start_offset": start });
                    writeln!(out, "{document}")?;
                }
            }
            Ok(())
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
        let in_use = if offsets {
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
        rows.push((topic, in_use));
    }
    let mut out = io::stdout().lock();
    if output == Output::Json {
        let rows = rows.iter().map(|(topic, in_use)| {
            let mut row = json!({ "name": topic.name, "partitions": topic.partitions.len(), "internal": topic.is_internal });
            if let Some(in_use) = in_use {
                row["offsets"] = Value::from(*in_use);
            }
            row
        });
        writeln!(out, "{}", Value::from_iter(rows))?;
        return Ok(());
    }
    let width = rows.iter().map(|(topic, _)| topic.name.len()).max().unwrap_or(0).max(5);
    let offsets_title = if offsets { "  OFFSETS" } else { "" };
    writeln!(out, "{:width$}  PARTITIONS{offsets_title}", "TOPIC")?;
    for (topic, in_use) in rows {
        let in_use = in_use.map(|in_use| format!("  {in_use:7}")).unwrap_or_default();
        writeln!(out, "{:width$}  {:10}{in_use}", topic.name, topic.partitions.len())?;
    }
    Ok(())
}

async fn describe(
    cluster: &Cluster,
    topic: &TopicInfo,
    segments: Result<TopicSegments, CliError>,
    output: Output,
) -> Result<(), CliError> {
    let admin = Admin::new(cluster);
    let starts = admin.start_offsets(&topic.name).await?;
    let ends = admin.end_offsets(&topic.name).await?;
    let configs = admin.describe_configs(&topic.name).await?;
    let archived = |index: PartitionIndex| {
        let partitions = segments.iter().flat_map(|segments| &segments.partitions);
        partitions.into_iter().find(|partition| partition.partition == index.0)
    };
    let offset = |offsets: &std::collections::BTreeMap<_, Offset>, index| {
        offsets.get(index).map_or(-1, |offset| offset.get())
    };
    let mut out = io::stdout().lock();
    if output == Output::Json {
        let partitions = topic.partitions.iter().map(|partition| {
            let archived = archived(partition.index);
            json!({
                "archived_offset": archived.map(|archived| archived.archived_offset),
                "segments": archived.map(|archived| archived.segments.len()),
                "segment_rows": archived.map(rows_of),
                "segment_bytes": archived.map(bytes_of),
                "archive_lag_records": archived.map(|archived| archived.lag_records),
                "archive_lag_bytes": archived.map(|archived| archived.lag_bytes),
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
            "segments_unknown": segments.as_ref().err().map(ToString::to_string),
            "settings": Value::from_iter(configs),
        });
        writeln!(out, "{document}")?;
        return Ok(());
    }
    writeln!(out, "topic {} ({})", topic.name, topic.topic_id)?;
    let mut table = Table::new(&[
        "PARTITION",
        "LEADER",
        "START",
        "END",
        "OFFSETS",
        "SEGMENTS",
        "ROWS",
        "BYTES",
        "LAG",
        "LAG-BYTES",
    ]);
    for partition in &topic.partitions {
        let (start, end) = (offset(&starts, &partition.index), offset(&ends, &partition.index));
        let archived = archived(partition.index);
        let told = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        table.row([
            partition.index.0.to_string(),
            partition.leader.map_or("none".to_owned(), |leader| leader.0.to_string()),
            start.to_string(),
            end.to_string(),
            (end - start).to_string(),
            told(archived.map(|archived| archived.segments.len() as u64)),
            told(archived.map(rows_of)),
            told(archived.map(bytes_of)),
            told(archived.map(|archived| archived.lag_records)),
            told(archived.map(|archived| archived.lag_bytes)),
        ]);
    }
    table.write(&mut out)?;
    if let Err(why) = &segments {
        writeln!(out, "- what lies in segments is not known: {why}")?;
    }
    writeln!(out, "SETTINGS (* set for this topic)")?;
    for config in configs {
        let mark = if config.is_default { ' ' } else { '*' };
        writeln!(out, "{mark} {} = {}", config.name, config.value.as_deref().unwrap_or("(hidden)"))?;
    }
    Ok(())
}

/// Records in a partition's files.
fn rows_of(partition: &PartitionAnswer) -> u64 {
    partition.segments.iter().map(|segment| segment.rows).sum()
}

/// Bytes of a partition's files.
fn bytes_of(partition: &PartitionAnswer) -> u64 {
    partition.segments.iter().map(|segment| segment.bytes).sum()
}
