//! `cenote produce`: lines, or records between zero bytes, or JSON objects, from files or standard input.

use super::error::CliError;
use super::options::{Common, Output, parse_acks, parse_codec, parse_duration, parse_pair, parse_size};
use crate::client::{Acks, NewRecord, Producer, ProducerConfig};
use crate::types::{PartitionIndex, Timestamp};
use crate::wire::batch::{Codec, Header};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Args)]
pub(super) struct ProduceArgs {
    /// To which topic.
    topic: String,
    /// Files to read in turn, `-` for standard input [default: -].
    files: Vec<PathBuf>,
    /// What a record is: a line, or a line with a JSON object that has key, value, headers, partition, timestamp.
    #[arg(long, value_enum, default_value_t = InputFormat::Lines)]
    format: InputFormat,
    /// Records end with a zero byte, not with a line feed.
    #[arg(long)]
    null: bool,
    /// What stands between key and value; records without it have no key.
    #[arg(long, short = 'K', value_name = "TEXT")]
    key_separator: Option<String>,
    /// A header for every record. Repeatable.
    #[arg(long = "header", value_name = "KEY=VALUE", value_parser = parse_pair)]
    headers: Vec<(String, String)>,
    /// The partition for every record [default: by key].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// How batches are compressed.
    #[arg(long, default_value = "none", value_parser = parse_codec, value_name = "none|gzip|snappy|lz4|zstd")]
    codec: Codec,
    /// What to wait for: all and 1 are the same, stored and committed; 0 is nothing.
    #[arg(long, default_value = "all", value_parser = parse_acks, value_name = "all|1|0")]
    acks: Acks,
    /// How long a batch waits for more records.
    #[arg(long, default_value = "5ms", value_parser = parse_duration, value_name = "DURATION")]
    linger: Duration,
    /// Size at which a batch is sent without waiting.
    #[arg(long, default_value = "256KiB", value_parser = parse_size, value_name = "SIZE")]
    batch_bytes: usize,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum InputFormat {
    Lines,
    Json,
}

/// A record as a JSON object.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonRecord {
    key: Option<String>,
    value: Option<serde_json::Value>,
    #[serde(default)]
    headers: BTreeMap<String, Option<String>>,
    partition: Option<i32>,
    timestamp: Option<i64>,
}

/// Records between looks at the progress bar.
const PROGRESS_RECORDS: u64 = 4096;
/// The longest record that is read, in bytes.
const RECORD_BYTES_MAX: u64 = 64 << 20;

pub(super) async fn run(args: ProduceArgs) -> Result<(), CliError> {
    let cluster = args.common.connect().await?;
    let config = ProducerConfig {
        acks: args.acks,
        codec: args.codec,
        linger: args.linger,
        batch_bytes: args.batch_bytes,
        ..ProducerConfig::default()
    };
    let producer = Producer::start(&cluster, config).await?;
    let bar = ProgressBar::no_length();
    if !io::stderr().is_terminal() || io::stdin().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    let (mut records, mut bytes) = (0u64, 0u64);
    let files = if args.files.is_empty() { vec![PathBuf::from("-")] } else { args.files.clone() };
    for file in &files {
        let mut input = open(file)?;
        let mut line = Vec::new();
        while read_record(&mut input, if args.null { 0 } else { b'\n' }, &mut line)? {
            records += 1;
            bytes += u64::try_from(line.len()).unwrap_or(0);
            send(&producer, &args, &line, records).await?;
            if records.is_multiple_of(PROGRESS_RECORDS) {
                bar.set_position(records);
            }
        }
    }
    producer.close().await?;
    bar.finish_and_clear();
    let mut err = io::stderr().lock();
    match args.common.output {
        Output::Text => writeln!(err, "{records} records, {bytes} bytes, to {}", args.topic)?,
        Output::Json => {
            writeln!(err, "{}", json!({ "topic": args.topic, "records": records, "bytes": bytes }))?;
        }
    }
    Ok(())
}

fn open(path: &PathBuf) -> Result<Box<dyn BufRead + Send>, CliError> {
    const BUFFER_BYTES: usize = 256 << 10;
    if path.as_os_str() == "-" {
        return Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, io::stdin())));
    }
    let file = File::open(path)
        .map_err(|error| CliError::Failed(format!("cannot read {}: {error}", path.display())))?;
    Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, file)))
}

/// The next record without its end; `false` when there is none.
fn read_record(input: &mut dyn BufRead, end: u8, line: &mut Vec<u8>) -> Result<bool, CliError> {
    line.clear();
    if input.take(RECORD_BYTES_MAX).read_until(end, line)? == 0 {
        return Ok(false);
    }
    if line.last() == Some(&end) {
        line.pop();
    } else if u64::try_from(line.len()).is_ok_and(|bytes| bytes >= RECORD_BYTES_MAX) {
        return Err(CliError::Failed(format!("a record is longer than {RECORD_BYTES_MAX} bytes")));
    }
    Ok(true)
}

async fn send(producer: &Producer, args: &ProduceArgs, line: &[u8], number: u64) -> Result<(), CliError> {
    let fixed: Vec<_> = args.headers.iter().map(|(key, value)| header(key, Some(value))).collect();
    let partition = args.partition.map(PartitionIndex);
    let record =
        NewRecord { topic: &args.topic, partition, key: None, value: None, headers: &fixed, timestamp: None };
    if args.format == InputFormat::Lines {
        let (key, value) = split_key(line, args.key_separator.as_deref());
        producer.send(&NewRecord { key, value: Some(value), ..record }).await?;
        return Ok(());
    }
    let json: JsonRecord = serde_json::from_slice(line)
        .map_err(|error| CliError::Failed(format!("record {number}: {error}")))?;
    let value = json.value.filter(|value| !value.is_null()).map(|value| match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    });
    let mut headers = fixed.clone();
    headers.extend(json.headers.iter().map(|(key, value)| header(key, value.as_ref())));
    let record = NewRecord {
        partition: json.partition.map(PartitionIndex).or(partition),
        key: json.key.as_deref().map(str::as_bytes),
        value: value.as_deref().map(str::as_bytes),
        headers: &headers,
        timestamp: json.timestamp.map(Timestamp),
        ..record
    };
    producer.send(&record).await?;
    Ok(())
}

fn header<'a>(key: &'a str, value: Option<&'a String>) -> Header<'a> {
    Header { key: key.as_bytes(), value: value.map(|value| value.as_bytes()) }
}

/// What stands before the first separator, if any, and what follows it.
fn split_key<'a>(line: &'a [u8], separator: Option<&str>) -> (Option<&'a [u8]>, &'a [u8]) {
    let Some(separator) = separator.map(str::as_bytes).filter(|separator| !separator.is_empty()) else {
        return (None, line);
    };
    match line.windows(separator.len()).position(|window| window == separator) {
        Some(place) => (Some(&line[..place]), &line[place + separator.len()..]),
        None => (None, line),
    }
}
