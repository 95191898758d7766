//! `cenote group list`, `describe` and `members`.

use super::lag::{self, Committed, PartitionLag};
use super::share;
use crate::cli::error::CliError;
use crate::cli::options::Output;
use crate::cli::table::{NOTHING, Table};
use crate::client::{Admin, ClientError, Cluster, GroupDescription, GroupListing, GroupMember, GroupType};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

/// Groups that are asked about at the same time.
const GROUPS_AT_ONCE: usize = 16;

/// A group, its members and its lag, where they are known.
struct ListRow {
    listing: GroupListing,
    members: Option<usize>,
    lag: Option<i64>,
}

pub(super) async fn list(cluster: &Cluster, output: Output) -> Result<(), CliError> {
    let rows = list_rows(&Admin::new(cluster)).await?;
    let mut out = io::stdout().lock();
    if output == Output::Json {
        let rows = rows.iter().map(|row| {
            json!({
                "group": row.listing.group_id,
                "type": row.listing.group_type.as_str(),
                "state": row.listing.state,
                "protocol": row.listing.protocol_type,
                "members": row.members,
                "lag": row.lag,
            })
        });
        writeln!(out, "{}", Value::from_iter(rows))?;
        return Ok(());
    }
    let mut table = Table::new(&["GROUP", "TYPE", "STATE", "PROTOCOL", "MEMBERS", "LAG"]);
    for row in rows {
        table.row([
            row.listing.group_id,
            row.listing.group_type.as_str().to_owned(),
            row.listing.state,
            row.listing.protocol_type,
            text(row.members),
            text(row.lag),
        ]);
    }
    Ok(table.write(&mut out)?)
}

async fn list_rows(admin: &Admin) -> Result<Vec<ListRow>, CliError> {
    let listings = stream::iter(admin.list_groups().await?);
    let details = listings.map(|listing| details(admin, listing)).buffered(GROUPS_AT_ONCE);
    let groups: Vec<_> = details.try_collect().await?;
    let committed = groups.iter().filter_map(|(_, _, committed)| committed.as_ref());
    let topics: BTreeSet<String> =
        committed.flat_map(|of| of.keys().map(|(topic, _)| topic.clone())).collect();
    let ends = if topics.is_empty() { BTreeMap::new() } else { admin.end_offsets_of(&topics).await? };
    let rows = groups.into_iter().map(|(listing, group, committed)| {
        let lag = group.as_ref().zip(committed).and_then(|(group, of)| lag::total(group, &of, &ends));
        ListRow { listing, members: group.map(|group| group.members.len()), lag }
    });
    Ok(rows.collect())
}

/// Members and offsets of a group. One that went away since it was listed has neither.
async fn details(
    admin: &Admin,
    listing: GroupListing,
) -> Result<(GroupListing, Option<GroupDescription>, Option<Committed>), ClientError> {
    if matches!(listing.group_type, GroupType::Other(_)) {
        return Ok((listing, None, None));
    }
    let group = match admin.describe_group_of(&listing.group_id, &listing.group_type).await {
        Ok(described) => described,
        Err(ClientError::UnknownGroup { .. }) => return Ok((listing, None, None)),
        Err(error) => return Err(error),
    };
    if listing.group_type == GroupType::Share {
        // Its lag is not known, only how large it may be: `describe` says that.
        return Ok((listing, Some(group), None));
    }
    let committed = admin.committed_offsets(&listing.group_id).await?;
    Ok((listing, Some(group), Some(committed)))
}

pub(super) async fn describe(cluster: &Cluster, name: &str, output: Output) -> Result<(), CliError> {
    let admin = Admin::new(cluster);
    let group = admin.describe_group(name).await?;
    if group.group_type == GroupType::Share {
        return share::describe(&admin, &group, output).await;
    }
    let coordinator = admin.group_coordinator(name).await?;
    let committed = admin.committed_offsets(name).await?;
    let topics = committed.keys().map(|(topic, _)| topic).chain(topics_read(&group)).cloned().collect();
    let ends = admin.end_offsets_of(&topics).await?;
    let partitions = lag::partitions(&group, &committed, &ends);
    let total = lag::total(&group, &committed, &ends);
    let mut out = io::stdout().lock();
    if output == Output::Json {
        let mut document = head(&group);
        document["coordinator"] = coordinator.0.into();
        document["lag"] = total.into();
        document["partitions"] = partitions.iter().map(partition_to_json).collect();
        writeln!(out, "{document}")?;
        return Ok(());
    }
    let lag = total.map_or(NOTHING.to_owned(), |total| total.to_string());
    writeln!(out, "{}, lag {lag}, coordinator {}", headline(&group), coordinator.0)?;
    let titles = ["TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "MEMBER", "HOST", "CLIENT"];
    let mut table = Table::new(&titles);
    for partition in &partitions {
        let of_member = |field: fn(&GroupMember) -> &str| partition.member.map(field).unwrap_or_default();
        table.row([
            partition.topic.to_owned(),
            partition.partition.to_string(),
            text(partition.committed.map(|committed| committed.offset)),
            text(partition.end),
            text(partition.lag()),
            of_member(|member| &member.member_id).to_owned(),
            of_member(|member| &member.client_host).to_owned(),
            of_member(|member| &member.client_id).to_owned(),
        ]);
    }
    Ok(table.write(&mut out)?)
}

fn partition_to_json(partition: &PartitionLag<'_>) -> Value {
    json!({
        "topic": partition.topic,
        "partition": partition.partition.0,
        "committed_offset": partition.committed.map(|committed| committed.offset.get()),
        "leader_epoch": partition.committed.map(|committed| committed.leader_epoch),
        "metadata": partition.committed.map(|committed| &committed.metadata),
        "end_offset": partition.end.map(|end| end.get()),
        "lag": partition.lag(),
        "member_id": partition.member.map(|member| &member.member_id),
        "host": partition.member.map(|member| &member.client_host),
        "client_id": partition.member.map(|member| &member.client_id),
    })
}

pub(super) async fn members(cluster: &Cluster, name: &str, output: Output) -> Result<(), CliError> {
    let group = Admin::new(cluster).describe_group(name).await?;
    let mut out = io::stdout().lock();
    if output == Output::Json {
        let mut document = head(&group);
        document["members"] = group.members.iter().map(member_to_json).collect();
        writeln!(out, "{document}")?;
        return Ok(());
    }
    writeln!(out, "{}", headline(&group))?;
    let titles = ["MEMBER", "INSTANCE", "HOST", "CLIENT", "EPOCH", "PARTITIONS", "ASSIGNMENT"];
    let mut table = Table::new(&titles);
    for member in group.members {
        let count: usize = member.assigned.values().map(Vec::len).sum();
        let assignment = assignment(&member);
        table.row([
            member.member_id,
            member.group_instance_id.unwrap_or_default(),
            member.client_host,
            member.client_id,
            text(member.member_epoch),
            count.to_string(),
            assignment,
        ]);
    }
    Ok(table.write(&mut out)?)
}

fn member_to_json(member: &GroupMember) -> Value {
    let partitions = member.assigned.iter().flat_map(|(topic, partitions)| {
        partitions.iter().map(move |partition| json!({ "topic": topic, "partition": partition.0 }))
    });
    json!({
        "member_id": member.member_id,
        "group_instance_id": member.group_instance_id,
        "host": member.client_host,
        "client_id": member.client_id,
        "epoch": member.member_epoch,
        "partitions": partitions.collect::<Vec<_>>(),
    })
}

/// `orders:0,1 returns:4`.
fn assignment(member: &GroupMember) -> String {
    let topics = member.assigned.iter().filter(|(_, partitions)| !partitions.is_empty());
    let topics = topics.map(|(topic, partitions)| {
        let partitions: Vec<_> = partitions.iter().map(ToString::to_string).collect();
        format!("{topic}:{}", partitions.join(","))
    });
    topics.collect::<Vec<_>>().join(" ")
}

/// The topics that members read.
pub(super) fn topics_read(group: &GroupDescription) -> impl Iterator<Item = &String> {
    group.members.iter().flat_map(|member| member.assigned.keys())
}

pub(super) fn head(group: &GroupDescription) -> Value {
    json!({
        "group": group.group_id,
        "type": group.group_type.as_str(),
        "state": group.state,
        "assignor": group.assignor,
        "epoch": group.group_epoch,
    })
}

/// `group billing: classic, Stable, 2 members (range)`.
pub(super) fn headline(group: &GroupDescription) -> String {
    let (kind, state, members) = (group.group_type.as_str(), &group.state, group.members.len());
    let plural = if members == 1 { "" } else { "s" };
    let mut line = format!("group {}: {kind}, {state}, {members} member{plural}", group.group_id);
    if !group.assignor.is_empty() {
        line.push_str(&format!(" ({})", group.assignor));
    }
    if let Some(epoch) = group.group_epoch {
        line.push_str(&format!(", epoch {epoch}"));
    }
    line
}

pub(super) fn text(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}
