//! `cenote consume --group`: what was written is committed, and the group is left in good order.

use super::{ConsumeArgs, Format, stdout, write_batch};
use crate::cli::error::CliError;
use crate::cli::stop::Stop;
use crate::client::{Fetched, GroupConsumer, GroupConsumerConfig, GroupEvent};
use crate::types::{Offset, PartitionIndex};
use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const COMMIT_INTERVAL: Duration = Duration::from_secs(5);
/// How long the last commit may take: a broker that is away must not keep us.
const LAST_COMMIT_MAX: Duration = Duration::from_secs(5);

/// Reads as a member of a group, to the end, to a count, or to a signal.
pub(in crate::cli) async fn run(args: ConsumeArgs) -> Result<(), CliError> {
    let group = args.group.as_deref().unwrap_or_default();
    let mut stop = Stop::listen()?;
    let cluster = args.common.connect().await?;
    let mut config = GroupConsumerConfig::new(group, &args.topics);
    config.start = args.from;
    config.consumer = args.config();
    let mut reader = Reader {
        consumer: GroupConsumer::join(&cluster, config).await?,
        out: stdout(),
        format: args.format(),
        written: HashMap::new(),
        commit_at: Instant::now() + COMMIT_INTERVAL,
        left: args.count.unwrap_or(u64::MAX),
    };
    let outcome = reader.read(&mut stop).await;
    let committed = match &outcome {
        // Nobody reads what is written any more: it is left to be read again.
        Err(CliError::Io(_)) => Ok(()),
        _ => tokio::time::timeout(LAST_COMMIT_MAX, reader.commit()).await.unwrap_or(Ok(())),
    };
    let left = reader.consumer.close().await;
    outcome.and(committed)?;
    Ok(left?)
}

/// A member of a group that writes what it reads.
struct Reader {
    consumer: GroupConsumer,
    out: io::BufWriter<io::Stdout>,
    format: Format,
    /// Where partitions go on behind what was written since the last commit.
    written: HashMap<(Arc<str>, PartitionIndex), Offset>,
    commit_at: Instant,
    left: u64,
}

enum Step {
    Group(GroupEvent),
    CommitTime,
    Stopped(CliError),
}

impl Reader {
    async fn read(&mut self, stop: &mut Stop) -> Result<(), CliError> {
        while self.left > 0 {
            match self.step(stop).await? {
                Step::Stopped(signal) => return Err(signal),
                Step::CommitTime => self.commit().await?,
                Step::Group(GroupEvent::Records(batch)) => self.write(&batch)?,
                Step::Group(GroupEvent::Revoking) => self.commit().await?,
                Step::Group(GroupEvent::Lost | GroupEvent::Assigned(_)) => self.written.clear(),
                Step::Group(GroupEvent::End) => return Ok(()),
            }
        }
        Ok(())
    }

    /// What is to be done next. What is written is shown before we wait.
    async fn step(&mut self, stop: &mut Stop) -> Result<Step, CliError> {
        if Instant::now() >= self.commit_at {
            return Ok(Step::CommitTime);
        }
        tokio::select! {
            biased;
            signal = stop.signalled() => return Ok(Step::Stopped(signal)),
            event = self.consumer.next() => return Ok(Step::Group(event?)),
            () = std::future::ready(()) => {}
        }
        self.out.flush()?;
        tokio::select! {
            biased;
            signal = stop.signalled() => Ok(Step::Stopped(signal)),
            event = self.consumer.next() => Ok(Step::Group(event?)),
            () = tokio::time::sleep_until(self.commit_at) => Ok(Step::CommitTime),
        }
    }

    fn write(&mut self, batch: &Fetched) -> Result<(), CliError> {
        let next = write_batch(&mut self.out, &self.format, batch, &mut self.left)?;
        self.written.insert((Arc::clone(&batch.topic), batch.partition), next);
        Ok(())
    }

    /// Commits what stands on the output. A group that has gone on without us gives it to others to be read again.
    async fn commit(&mut self) -> Result<(), CliError> {
        self.commit_at = Instant::now() + COMMIT_INTERVAL;
        self.out.flush()?;
        for ((topic, partition), next) in self.written.drain() {
            self.consumer.mark(&topic, partition, next);
        }
        let _fenced_is_told_by_the_group = self.consumer.commit().await?;
        Ok(())
    }
}
