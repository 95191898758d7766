//! `cenote archive`.

use super::admin_door::AdminDoor;
use super::error::CliError;
use super::options::Output;
use super::table::Table;
use crate::ops::TopicArchive;
use clap::{Args, Subcommand};
use std::io::{self, Write};

#[derive(Debug, Subcommand)]
pub(super) enum ArchiveCommand {
    /// Show how much of each topic lies in segments, and how much in the journal alone.
    Status {
        /// This topic alone, partition by partition, with what each waits for.
        topic: Option<String>,
        #[command(flatten)]
        options: ArchiveOptions,
    },
    /// Archive all that a topic has now, whatever its size and age, and wait until it is done.
    Flush {
        /// Its name.
        topic: String,
        #[command(flatten)]
        options: ArchiveOptions,
    },
}

#[derive(Debug, Args)]
pub(super) struct ArchiveOptions {
    #[command(flatten)]
    door: AdminDoor,
    /// How to answer: text for people, or one JSON document for scripts.
    #[arg(long, value_enum, default_value_t = Output::Text, value_name = "HOW")]
    output: Output,
}

pub(super) async fn run(command: ArchiveCommand) -> Result<(), CliError> {
    match command {
        ArchiveCommand::Status { topic: None, options } => {
            let all = options.door.archive().await?;
            show(&all.topics, options.output)?;
            lacking("not in these figures", &all.missing)
        }
        ArchiveCommand::Status { topic: Some(topic), options } => one(&topic, &options).await,
        ArchiveCommand::Flush { topic, options } => {
            let flushed = options.door.flush(&topic).await?;
            let errors =
                flushed.errors.iter().map(|error| format!("partition {}: {}", error.partition, error.error));
            let errors: Vec<String> = errors.collect();
            show(&[flushed], options.output)?;
            lacking("not archived", &errors)
        }
    }
}

/// Lines of what is missing that are written.
const LINES_MAX: usize = 20;

/// Fails if something is missing, after what there is was shown.
fn lacking(what: &str, missing: &[String]) -> Result<(), CliError> {
    if missing.is_empty() {
        return Ok(());
    }
    let mut lines: Vec<&str> = missing.iter().take(LINES_MAX).map(String::as_str).collect();
    let more = format!("and {} more", missing.len().saturating_sub(LINES_MAX));
    if missing.len() > LINES_MAX {
        lines.push(&more);
    }
    Err(CliError::Failed(format!("{what}: {}", lines.join("; "))))
}

/// Every partition of one topic.
async fn one(topic: &str, options: &ArchiveOptions) -> Result<(), CliError> {
    let found = options.door.segments(topic, None).await?;
    let mut out = io::stdout().lock();
    if options.output == Output::Json {
        let partitions = found.partitions.iter().map(|partition| {
            serde_json::json!({
                "partition": partition.partition,
                "log_start_offset": partition.log_start_offset,
                "archived_offset": partition.archived_offset,
                "high_watermark": partition.high_watermark,
                "segments": partition.segments.len(),
                "rows": partition.segments.iter().map(|segment| segment.rows).sum::<u64>(),
                "bytes": partition.segments.iter().map(|segment| segment.bytes).sum::<u64>(),
                "lag_records": partition.lag_records,
                "lag_bytes": partition.lag_bytes,
                "waits_for": partition.waits_for,
                "error": partition.error,
            })
        });
        let document = serde_json::json!({
            "topic": topic,
            "topic_id": found.topic_id,
            "partitions": serde_json::Value::from_iter(partitions),
        });
        writeln!(out, "{document}")?;
        return found.whole().map(|_| ());
    }
    let mut table = Table::new(&[
        "PARTITION",
        "START",
        "ARCHIVED",
        "END",
        "SEGMENTS",
        "BYTES",
        "LAG",
        "LAG-BYTES",
        "WAITS-FOR",
    ]);
    for partition in &found.partitions {
        let bytes: u64 = partition.segments.iter().map(|segment| segment.bytes).sum();
        table.row([
            partition.partition.to_string(),
            partition.log_start_offset.to_string(),
            partition.archived_offset.to_string(),
            partition.high_watermark.to_string(),
            partition.segments.len().to_string(),
            bytes.to_string(),
            partition.lag_records.to_string(),
            partition.lag_bytes.to_string(),
            partition.error.clone().or_else(|| partition.waits_for.clone()).unwrap_or_default(),
        ]);
    }
    table.write(&mut out)?;
    found.whole().map(|_| ())
}

fn show(topics: &[TopicArchive], output: Output) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    if output == Output::Json {
        let document = serde_json::to_string(topics).map_err(|error| CliError::Failed(error.to_string()))?;
        return Ok(writeln!(out, "{document}")?);
    }
    let mut table = Table::new(&["TOPIC", "PARTITIONS", "SEGMENTS", "ROWS", "BYTES", "LAG", "LAG-BYTES"]);
    for topic in topics {
        table.row([
            topic.topic.clone(),
            topic.partitions.to_string(),
            topic.segments.to_string(),
            topic.rows.to_string(),
            topic.bytes.to_string(),
            topic.lag_records.to_string(),
            topic.lag_bytes.to_string(),
        ]);
    }
    Ok(table.write(&mut out)?)
}
