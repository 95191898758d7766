//! `cenote consume`.

mod group;

use super::error::CliError;
use super::format::{self, Format, Shown};
use super::options::{Common, Output};
use super::time;
use crate::client::{Assignment, Consumer, ConsumerConfig, Fetched, Isolation, StartAt, StopAt};
use crate::types::{Offset, PartitionIndex, Timestamp};
use clap::{Args, ValueEnum};
use std::io::{self, Write};

#[derive(Debug, Args)]
pub(super) struct ConsumeArgs {
    /// From which topics.
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Which partition. Repeatable [default: all].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Vec<i32>,
    /// Read as a member of this group: its members share the partitions, and what was written is committed every
    /// few seconds and at the end.
    #[arg(long, conflicts_with = "partition")]
    group: Option<String>,
    /// Where to begin: earliest, latest, an offset, -N for the last N of each partition, or a time
    /// (2026-01-31T12:00:00Z, or @ and milliseconds since 1970). With --group, only where it has committed nothing.
    #[arg(long, default_value = "earliest", value_parser = parse_start, value_name = "WHERE")]
    from: StartAt,
    /// Which records of transactions to write: those that are committed, or all, also of transactions that are open or
    /// were aborted. What is not committed yet holds back what comes behind it in its partition.
    #[arg(long, value_enum, default_value_t = Which::Committed, value_name = "WHICH")]
    isolation: Which,
    /// Stop where the partitions end now. Without it, and without --count, more is waited for.
    #[arg(long, value_enum, conflicts_with = "follow", value_name = "WHERE")]
    until: Option<Until>,
    /// Stop after so many records, and wait for them.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Wait for more at the end, which is the default.
    #[arg(long)]
    follow: bool,
    /// How to write a record: value, key-value, json, or a pattern of %t topic, %p partition, %o offset, %T time,
    /// %k key, %K its length, %v value, %S its length, %h headers, %%, \n, \t [default: value, or json with
    /// --output json].
    #[arg(long, value_parser = format::parse, value_name = "FORMAT")]
    format: Option<Format>,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    Committed,
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Until {
    End,
}

const OUTPUT_BUFFER_BYTES: usize = 256 << 10;

pub(super) use group::run as run_in_group;

impl ConsumeArgs {
    /// Whether it is to read as a member of a group.
    pub(super) fn has_group(&self) -> bool {
        self.group.is_some()
    }

    fn format(&self) -> Format {
        self.format.clone().unwrap_or(match self.common.output {
            Output::Text => Format::Value,
            Output::Json => Format::Json,
        })
    }

    fn config(&self) -> ConsumerConfig {
        let stop = if self.until.is_some() { StopAt::End } else { StopAt::Never };
        let isolation = match self.isolation {
            Which::Committed => Isolation::Committed,
            Which::All => Isolation::All,
        };
        ConsumerConfig { stop, isolation, ..ConsumerConfig::default() }
    }
}

fn stdout() -> io::BufWriter<io::Stdout> {
    io::BufWriter::with_capacity(OUTPUT_BUFFER_BYTES, io::stdout())
}

pub(super) async fn run(args: ConsumeArgs) -> Result<(), CliError> {
    let format = args.format();
    let cluster = args.common.connect().await?;
    let partitions: Vec<_> = args.partition.iter().map(|index| PartitionIndex(*index)).collect();
    let assignment = |topic: &String| Assignment {
        topic: topic.clone(),
        partitions: partitions.clone(),
        start: args.from,
    };
    let assignments: Vec<_> = args.topics.iter().map(assignment).collect();
    let mut consumer = Consumer::start(&cluster, &assignments, args.config()).await?;
    let mut left = args.count.unwrap_or(u64::MAX);
    let mut out = stdout();
    while left > 0 {
        // What is written is shown before we wait for more.
        let next = tokio::select! {
            biased;
            next = consumer.next() => next,
            () = std::future::ready(()) => {
                out.flush()?;
                consumer.next().await
            }
        };
        let Some(batch) = next? else { break };
        write_batch(&mut out, &format, &batch, &mut left)?;
    }
    out.flush()?;
    Ok(())
}

/// Writes records until none of them are `left` to be written; returns the offset to go on at.
fn write_batch(
    out: &mut impl Write,
    format: &Format,
    batch: &Fetched,
    left: &mut u64,
) -> Result<Offset, CliError> {
    for record in batch.records()?.iter() {
        let record = record?;
        format.write(out, &batch.topic, batch.partition, &Shown::from(&record))?;
        *left -= 1;
        if *left == 0 {
            return Ok(record.offset + 1);
        }
    }
    Ok(batch.end_offset())
}

/// `earliest`, `latest`, an offset, `-N`, or a time.
pub(super) fn parse_start(text: &str) -> Result<StartAt, String> {
    let start = match text {
        "earliest" => Some(StartAt::Earliest),
        "latest" => Some(StartAt::Latest),
        _ => None,
    };
    let start = start.or_else(|| match text.split_at_checked(1)? {
        ("@", millis) => millis.parse().ok().map(|millis| StartAt::Time(Timestamp(millis))),
        ("-", records) => records.parse::<u32>().ok().map(|records| StartAt::FromEnd(records.into())),
        _ => text.parse::<u64>().ok().and_then(|o| i64::try_from(o).ok()).map(|o| StartAt::Offset(Offset(o))),
    });
    let start = start.or_else(|| time::parse_rfc3339(text).map(StartAt::Time));
    start.ok_or_else(|| {
        "expected earliest, latest, an offset, -N, @millis or a time such as 2026-01-31T12:00:00Z".into()
    })
}
