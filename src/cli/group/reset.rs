//! `cenote group reset`: where a group goes on reading, shown first and done when asked.

use super::{TopicChoice, parse_topic};
use crate::cli::error::CliError;
use crate::cli::options::{Common, Output};
use crate::cli::table::Table;
use crate::cli::time;
use crate::client::{Admin, ClientError, GroupType, OffsetsByPartition};
use crate::types::{Offset, PartitionIndex, Timestamp};
use clap::Args;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::ops::Range;

#[derive(Debug, Args)]
pub(in crate::cli) struct ResetArgs {
    /// Its name.
    group: String,
    #[command(flatten)]
    scope: Scope,
    #[command(flatten)]
    target: TargetArgs,
    /// Do it. Without, only what would change is shown.
    #[arg(long)]
    execute: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Scope {
    /// A topic, or some of its partitions: TOPIC or TOPIC:0,1. Repeatable.
    #[arg(long, value_parser = parse_topic, value_name = "TOPIC[:N,N]")]
    topic: Vec<TopicChoice>,
    /// All topics that the group has committed offsets of.
    #[arg(long)]
    all_topics: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct TargetArgs {
    /// To the first readable record.
    #[arg(long)]
    to_earliest: bool,
    /// To the end: only what comes from now on.
    #[arg(long)]
    to_latest: bool,
    /// To this offset, or to the nearest that the log has.
    #[arg(long, value_name = "OFFSET", value_parser = clap::value_parser!(i64).range(0..))]
    to_offset: Option<i64>,
    /// To the first record that is not before a time (2026-01-31T12:00:00Z, or milliseconds since 1970).
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    to_time: Option<Timestamp>,
    /// So many records on, or back when negative, within the log.
    #[arg(long, value_name = "RECORDS")]
    shift_by: Option<i64>,
}

/// Where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Earliest,
    Latest,
    Offset(Offset),
    Time(Timestamp),
    Shift(i64),
}

/// What is known of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    log: Range<Offset>,
    committed: Option<Offset>,
    /// The first offset that is not before the time asked for; -1 when there is none.
    at_time: Option<Offset>,
}

/// A partition's offset before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    topic: String,
    partition: PartitionIndex,
    old: Option<Offset>,
    new: Offset,
}

pub(super) async fn run(args: ResetArgs) -> Result<(), CliError> {
    let admin = Admin::new(&args.common.connect().await?);
    let group_type = group_type(&admin, &args).await?;
    let changes = plan(&admin, &args, &group_type).await?;
    if args.execute {
        let offsets: OffsetsByPartition =
            changes.iter().map(|change| ((change.topic.clone(), change.partition), change.new)).collect();
        match group_type {
            GroupType::Share => admin.alter_share_start_offsets(&args.group, &offsets).await?,
            _ => admin.commit_offsets(&args.group, &offsets).await?,
        }
    }
    print(&args, &changes)
}

/// Which protocol the group is of. With members it is not moved: they would go on where they are, and commit over what
/// was set.
async fn group_type(admin: &Admin, args: &ResetArgs) -> Result<GroupType, CliError> {
    match admin.describe_group(&args.group).await {
        Ok(described) if args.execute && !described.members.is_empty() => {
            Err(ClientError::GroupHasMembers { group: args.group.clone() }.into())
        }
        Ok(described) => Ok(described.group_type),
        // A group begins with its first offset.
        Err(ClientError::UnknownGroup { .. }) => Ok(GroupType::Classic),
        Err(error) => Err(error.into()),
    }
}

/// Where the group is now.
async fn positions(
    admin: &Admin,
    group: &str,
    group_type: &GroupType,
) -> Result<OffsetsByPartition, ClientError> {
    if *group_type == GroupType::Share {
        return admin.share_start_offsets(group).await;
    }
    let committed = admin.committed_offsets(group).await?;
    Ok(committed.into_iter().map(|(place, committed)| (place, committed.offset)).collect())
}

async fn plan(admin: &Admin, args: &ResetArgs, group_type: &GroupType) -> Result<Vec<Change>, CliError> {
    let target = args.target.target();
    let committed = positions(admin, &args.group, group_type).await?;
    let topics: BTreeSet<String> = if args.scope.all_topics {
        committed.keys().map(|(topic, _)| topic.clone()).collect()
    } else {
        args.scope.topic.iter().map(|choice| choice.topic.clone()).collect()
    };
    if topics.is_empty() {
        let text = format!("group {:?} has committed no offsets: name a topic with --topic", args.group);
        return Err(CliError::Failed(text));
    }
    let starts = admin.start_offsets_of(&topics).await?;
    let ends = admin.end_offsets_of(&topics).await?;
    let at_time = match target {
        Target::Time(time) => admin.offsets_of(&topics, time).await?,
        _ => OffsetsByPartition::new(),
    };
    check_known(&args.scope.topic, &ends)?;
    let chosen = |topic: &str, partition| match args.scope.all_topics {
        // Only what the group reads: a partition it never committed stays as it is.
        true => committed.contains_key(&(topic.to_owned(), partition)),
        false => args.scope.topic.iter().any(|choice| choice.has(topic, partition)),
    };
    let mut changes = Vec::new();
    for (place, end) in ends.iter().filter(|((topic, partition), _)| chosen(topic, *partition)) {
        let known = Place {
            log: starts.get(place).copied().unwrap_or(*end)..*end,
            committed: committed.get(place).copied(),
            at_time: at_time.get(place).copied(),
        };
        let (topic, partition) = place.clone();
        let Some(new) = known.moved(target) else {
            let text = format!("{topic}-{partition} has no committed offset that could be shifted");
            return Err(CliError::Failed(text));
        };
        changes.push(Change { topic, partition, old: known.committed, new });
    }
    Ok(changes)
}

/// A topic or partition that was named must be there.
fn check_known(choices: &[TopicChoice], ends: &OffsetsByPartition) -> Result<(), CliError> {
    for choice in choices {
        let of_topic = ends.keys().filter(|(topic, _)| *topic == choice.topic).count();
        if of_topic == 0 {
            return Err(ClientError::UnknownTopic { topic: choice.topic.clone() }.into());
        }
        let unknown =
            choice.partitions.iter().find(|index| !ends.contains_key(&(choice.topic.clone(), **index)));
        if let Some(partition) = unknown {
            return Err(ClientError::unknown_partition(&choice.topic, *partition, of_topic).into());
        }
    }
    Ok(())
}

fn print(args: &ResetArgs, changes: &[Change]) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    if args.common.output == Output::Json {
        let partitions = changes.iter().map(|change| {
            json!({
                "topic": change.topic,
                "partition": change.partition.0,
                "old_offset": change.old.map(Offset::get),
                "new_offset": change.new.get(),
            })
        });
        let partitions = Value::from_iter(partitions);
        let document = json!({ "group": args.group, "executed": args.execute, "partitions": partitions });
        writeln!(out, "{document}")?;
        return Ok(());
    }
    let mut table = Table::new(&["TOPIC", "PARTITION", "OLD", "NEW", "CHANGE"]);
    for change in changes {
        table.row([
            change.topic.clone(),
            change.partition.to_string(),
            change.old.map(|old| old.to_string()).unwrap_or_default(),
            change.new.to_string(),
            change.old.map(|old| format!("{:+}", change.new - old)).unwrap_or_default(),
        ]);
    }
    table.write(&mut out)?;
    if !args.execute {
        writeln!(io::stderr().lock(), "cenote: nothing was changed: add --execute to do it")?;
    }
    Ok(())
}

impl TargetArgs {
    fn target(&self) -> Target {
        if self.to_earliest {
            return Target::Earliest;
        }
        let offset = self.to_offset.map(|offset| Target::Offset(Offset(offset)));
        let time = self.to_time.map(Target::Time);
        offset.or(time).or(self.shift_by.map(Target::Shift)).unwrap_or(Target::Latest)
    }
}

impl Place {
    /// The offset to go to, within the log; none where there is nothing to shift from.
    fn moved(&self, target: Target) -> Option<Offset> {
        let wanted = match target {
            Target::Earliest => self.log.start,
            Target::Latest => self.log.end,
            Target::Offset(offset) => offset,
            Target::Time(_) => self.at_time.filter(|offset| offset.get() >= 0).unwrap_or(self.log.end),
            Target::Shift(records) => Offset(self.committed?.get().saturating_add(records)),
        };
        Some(wanted.clamp(self.log.start, self.log.end))
    }
}

/// RFC 3339, or milliseconds since 1970, with an @ or without.
fn parse_time(text: &str) -> Result<Timestamp, String> {
    let millis = text.strip_prefix('@').unwrap_or(text).parse::<u64>().ok();
    let millis = millis.and_then(|millis| i64::try_from(millis).ok()).map(Timestamp);
    millis
        .or_else(|| time::parse_rfc3339(text))
        .ok_or_else(|| "expected milliseconds since 1970, or a time such as 2026-01-31T12:00:00Z".to_owned())
}

#[cfg(test)]
mod tests;
