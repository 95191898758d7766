//! `cenote group describe` of a share group: where it starts in each partition, and how much it may still deliver.

use super::lag::SharePartition;
use super::show::{head, headline, text};
use super::{lag, show};
use crate::cli::error::CliError;
use crate::cli::options::Output;
use crate::cli::table::Table;
use crate::client::{Admin, GroupDescription};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{self, Write};

pub(super) async fn describe(
    admin: &Admin,
    group: &GroupDescription,
    output: Output,
) -> Result<(), CliError> {
    let coordinator = admin.group_coordinator(&group.group_id).await?;
    let starts = admin.share_start_offsets(&group.group_id).await?;
    let topics: BTreeSet<String> =
        starts.keys().map(|(topic, _)| topic).chain(show::topics_read(group)).cloned().collect();
    let ends = admin.end_offsets_of(&topics).await?;
    let partitions = lag::share_partitions(group, &starts, &ends);
    let total: Option<i64> = partitions.iter().map(SharePartition::lag_max).sum();
    let total = total.filter(|_| !partitions.is_empty());
    let mut out = io::stdout().lock();
    if output == Output::Json {
        let mut document = head(group);
        document["coordinator"] = coordinator.0.into();
        document["lag_max"] = total.into();
        document["partitions"] = partitions.iter().map(to_json).collect();
        writeln!(out, "{document}")?;
        return Ok(());
    }
    let lag = total.map_or("lag -".to_owned(), |total| format!("lag up to {total}"));
    writeln!(out, "{}, {lag}, coordinator {}", headline(group), coordinator.0)?;
    let mut table = Table::new(&["TOPIC", "PARTITION", "START", "END", "LAG-UP-TO", "MEMBERS"]);
    for partition in &partitions {
        table.row([
            partition.topic.to_owned(),
            partition.partition.to_string(),
            text(partition.start),
            text(partition.end),
            text(partition.lag_max()),
            partition.members.to_string(),
        ]);
    }
    Ok(table.write(&mut out)?)
}

fn to_json(partition: &SharePartition<'_>) -> Value {
    json!({
        "topic": partition.topic,
        "partition": partition.partition.0,
        "start_offset": partition.start.map(|start| start.get()),
        "end_offset": partition.end.map(|end| end.get()),
        "lag_max": partition.lag_max(),
        "members": partition.members,
    })
}
