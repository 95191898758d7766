//! `cenote group`.

mod lag;
mod reset;
mod share;
mod show;

use super::error::CliError;
use super::options::{Common, Output};
use crate::client::Admin;
use crate::types::PartitionIndex;
use clap::Subcommand;
use serde_json::json;
use std::collections::BTreeSet;
use std::io::{self, Write};

#[derive(Debug, Subcommand)]
pub(super) enum GroupCommand {
    /// List groups, with their state, members and total lag (of share groups, `describe` tells it).
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Show how far a group has read each partition, how far it lags behind, and who reads it.
    ///
    /// Of a share group: where it starts in each partition, all records from there to the end as an upper bound of its
    /// lag (some of them may have been acknowledged), and how many members read it.
    Describe {
        /// Its name.
        group: String,
        #[command(flatten)]
        common: Common,
    },
    /// Show the members of a group, and what each reads.
    Members {
        /// Its name.
        group: String,
        #[command(flatten)]
        common: Common,
    },
    /// Move a group without members to other offsets. Shows what would change; --execute does it.
    ///
    /// A share group starts there, and forgets what it has acknowledged in these partitions.
    Reset(reset::ResetArgs),
    /// Delete groups without members and their committed offsets, or only the offsets of some topics.
    Delete {
        /// Their names.
        #[arg(required = true, value_name = "GROUP")]
        groups: Vec<String>,
        /// Only the offsets of this topic, or of some of its partitions: TOPIC or TOPIC:0,1. Repeatable.
        #[arg(long, value_parser = parse_topic, value_name = "TOPIC[:N,N]")]
        topic: Vec<TopicChoice>,
        #[command(flatten)]
        common: Common,
    },
}

/// A topic, and which of its partitions; all when there are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TopicChoice {
    pub(super) topic: String,
    pub(super) partitions: Vec<PartitionIndex>,
}

pub(super) async fn run(command: GroupCommand) -> Result<(), CliError> {
    match command {
        GroupCommand::List { common } => show::list(&common.connect().await?, common.output).await,
        GroupCommand::Describe { group, common } => {
            show::describe(&common.connect().await?, &group, common.output).await
        }
        GroupCommand::Members { group, common } => {
            show::members(&common.connect().await?, &group, common.output).await
        }
        GroupCommand::Reset(args) => reset::run(args).await,
        GroupCommand::Delete { groups, topic, common } => delete(&groups, &topic, &common).await,
    }
}

async fn delete(groups: &[String], topics: &[TopicChoice], common: &Common) -> Result<(), CliError> {
    let admin = Admin::new(&common.connect().await?);
    if !topics.is_empty() {
        return delete_offsets(&admin, groups, topics, common.output).await;
    }
    for group in groups {
        admin.delete_group(group).await?;
    }
    let mut out = io::stdout().lock();
    match common.output {
        Output::Text => groups.iter().try_for_each(|group| writeln!(out, "deleted group {group}"))?,
        Output::Json => writeln!(out, "{}", json!({ "deleted": groups }))?,
    }
    Ok(())
}

async fn delete_offsets(
    admin: &Admin,
    groups: &[String],
    topics: &[TopicChoice],
    output: Output,
) -> Result<(), CliError> {
    let mut deleted = Vec::new();
    for group in groups {
        let committed = admin.committed_offsets(group).await?.into_keys();
        let chosen: BTreeSet<_> = committed
            .filter(|(topic, index)| topics.iter().any(|choice| choice.has(topic, *index)))
            .collect();
        if chosen.is_empty() {
            return Err(CliError::Failed(format!("group {group:?} has no such offsets")));
        }
        admin.delete_offsets(group, &chosen).await?;
        deleted.extend(chosen.into_iter().map(|(topic, index)| (group, topic, index.0)));
    }
    let mut out = io::stdout().lock();
    match output {
        Output::Text => deleted.iter().try_for_each(|(group, topic, index)| {
            writeln!(out, "deleted offset of group {group} in {topic}-{index}")
        })?,
        Output::Json => {
            let deleted = deleted
                .iter()
                .map(|(group, topic, index)| json!({ "group": group, "topic": topic, "partition": index }));
            writeln!(out, "{}", json!({ "deleted_offsets": deleted.collect::<Vec<_>>() }))?;
        }
    }
    Ok(())
}

impl TopicChoice {
    pub(super) fn has(&self, topic: &str, partition: PartitionIndex) -> bool {
        self.topic == topic && (self.partitions.is_empty() || self.partitions.contains(&partition))
    }
}

/// `TOPIC`, or `TOPIC:0,1`.
pub(super) fn parse_topic(text: &str) -> Result<TopicChoice, String> {
    let expected = || "expected TOPIC, or TOPIC:0,1 for some of its partitions".to_owned();
    let (topic, partitions) = match text.split_once(':') {
        None => (text, Vec::new()),
        Some((topic, partitions)) => {
            let index = |text: &str| text.parse::<u16>().map(|index| PartitionIndex(index.into()));
            (topic, partitions.split(',').map(index).collect::<Result<_, _>>().map_err(|_| expected())?)
        }
    };
    if topic.is_empty() {
        return Err(expected());
    }
    Ok(TopicChoice { topic: topic.to_owned(), partitions })
}
