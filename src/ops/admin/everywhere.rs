//! Archives of the whole cluster: each partition's leader is asked, and what they say is put together.
//!
//! ```text
//! request of one broker to another   u8 version (1), then the JSON of an `Asked`
//! answer                             u8 version (1), then the JSON of a `Told`
//! ```
//! Fields that are not known are passed over; a form that is not known is answered as not served.

use super::answers::{ArchivePage, PartitionAnswer, PartitionError, TopicArchive};
use super::archives::{OwnArchives, PartitionsPart, WantedPartitions};
use super::merged;
use crate::cluster::PlacementKey;
use crate::handler::Context;
use crate::leadership::Leader;
use crate::mesh::MeshName;
use crate::peers::{PrivateApi, ServePrivate};
use crate::topic::Topic;
use crate::types::{PartitionIndex, SessionId, TopicId, TopicPartition};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

const VERSION: u8 = 1;
/// A request at most: the numbers of a large topic's partitions.
const REQUEST_BYTES_MAX: usize = 4 << 20;
/// Brokers that are asked at once.
const ASKED_AT_ONCE: usize = 16;
/// Whoever only tells something has this long.
const TELL_MAX: Duration = Duration::from_secs(10);
/// A flush that takes longer goes on without whoever asked for it.
const FLUSH_MAX: Duration = Duration::from_secs(600);

const NOBODY: &str = "nobody leads it";
const STRANGE: &str = "its leader answers something else than was asked";

/// What a broker asks another.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Asked {
    Segments { topic_id: String, wanted: WantedPartitions },
    Topics { from: String, limit: usize },
    Flush { topic_id: String, partitions: Vec<i32> },
}

/// What it says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Told {
    Segments(PartitionsPart),
    Topics(ArchivePage),
    Flushed(TopicArchive),
    Refused(String),
}

impl ServePrivate for OwnArchives {
    fn serve(&self, _: MeshName, request: Bytes) -> BoxFuture<'static, Option<Bytes>> {
        let own = self.clone();
        Box::pin(async move {
            let told = own.answer(decode(&request)?).await;
            Some(encode(&told).into())
        })
    }
}

impl OwnArchives {
    async fn answer(&self, asked: Asked) -> Told {
        if let Err(error) = self.standing.confirm().await {
            return Told::Refused(error.to_string());
        }
        let topic = |id: String| self.catalog.by_id(TopicId(Uuid::parse_str(&id).ok()?));
        let unknown = || Told::Refused("the topic is not known there".to_owned());
        match asked {
            Asked::Segments { topic_id, wanted } => match topic(topic_id) {
                Some(topic) => Told::Segments(self.segments(&topic, &wanted)),
                None => unknown(),
            },
            Asked::Topics { from, limit } => Told::Topics(self.topics(&from, limit)),
            Asked::Flush { topic_id, partitions } => match topic(topic_id) {
                Some(topic) => match timeout(FLUSH_MAX, self.flush(&topic, &partitions)).await {
                    Ok(flushed) => Told::Flushed(flushed),
                    Err(_elapsed) => Told::Refused(too_long()),
                },
                None => unknown(),
            },
        }
    }
}

fn too_long() -> String {
    format!("not done in {} seconds; it goes on", FLUSH_MAX.as_secs())
}

fn encode(message: &impl Serialize) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    serde_json::to_writer(&mut bytes, message).expect("numbers and texts are always JSON");
    bytes
}

fn decode<T: for<'a> Deserialize<'a>>(bytes: &[u8]) -> Option<T> {
    let (&version, json) = bytes.split_first()?;
    if version != VERSION || json.len() > REQUEST_BYTES_MAX {
        return None;
    }
    serde_json::from_slice(json).ok()
}

/// The segments of a topic's partitions from the place on, of all brokers.
pub(super) async fn segments(context: &Context, topic: &Topic, wanted: &WantedPartitions) -> PartitionsPart {
    let mut parts = Vec::new();
    for (leader, partitions) in by_leader(context, topic, &wanted.partitions) {
        let wanted = WantedPartitions { partitions, ..wanted.clone() };
        parts.push(segments_of(context, topic, leader, wanted).boxed());
    }
    let mut parts = stream::iter(parts).buffer_unordered(ASKED_AT_ONCE);
    let mut all = PartitionsPart::default();
    while let Some(part) = parts.next().await {
        all = merged::partitions(all, part, wanted.limit);
    }
    all
}

async fn segments_of(
    context: &Context,
    topic: &Topic,
    leader: Leader,
    wanted: WantedPartitions,
) -> PartitionsPart {
    let why = match leader {
        Leader::Own => return OwnArchives::of(context).segments(topic, &wanted),
        Leader::Nobody => NOBODY.to_owned(),
        Leader::Other(to) => {
            let asked = Asked::Segments { topic_id: topic.id.to_string(), wanted: wanted.clone() };
            match ask(context, to, &asked, TELL_MAX).await {
                Ok(Told::Segments(part)) => return part,
                Ok(_) => STRANGE.to_owned(),
                Err(why) => why,
            }
        }
    };
    let partitions = wanted.partitions.iter().map(|partition| PartitionAnswer::failed(*partition, &why));
    PartitionsPart { partitions: partitions.collect(), next: None }
}

/// All topics from that name on, of all brokers.
pub(super) async fn topics(context: &Context, from: &str, limit: usize) -> ArchivePage {
    let (image, own) = (context.leadership.image(), context.leadership.own());
    let asked = Asked::Topics { from: from.to_owned(), limit };
    let others = image.members().iter().map(|member| member.session).filter(|session| *session != own);
    let pages: Vec<_> = others.map(|other| topics_of(context, other, &asked).boxed()).collect();
    let mut pages = stream::iter(pages).buffer_unordered(ASKED_AT_ONCE);
    let mut all = OwnArchives::of(context).topics(from, limit);
    while let Some(page) = pages.next().await {
        all = merged::pages(all, page, limit);
    }
    all
}

async fn topics_of(context: &Context, other: SessionId, asked: &Asked) -> ArchivePage {
    let why = match ask(context, other, asked, TELL_MAX).await {
        Ok(Told::Topics(page)) => return page,
        Ok(_) => STRANGE.to_owned(),
        Err(why) => why,
    };
    ArchivePage { missing: vec![why], ..ArchivePage::default() }
}

/// Has all leaders of a topic archive what they have of it.
pub(super) async fn flush(context: &Context, topic: &Topic) -> TopicArchive {
    let partitions: Vec<i32> = (0..topic.partitions).collect();
    let mut parts = Vec::new();
    for (leader, partitions) in by_leader(context, topic, &partitions) {
        parts.push(flush_of(context, topic, leader, partitions).boxed());
    }
    let mut parts = stream::iter(parts).buffer_unordered(ASKED_AT_ONCE);
    let mut all = TopicArchive::of(topic);
    while let Some(part) = parts.next().await {
        all.add(part);
    }
    all.errors.sort_by_key(|error| error.partition);
    all
}

async fn flush_of(context: &Context, topic: &Topic, leader: Leader, partitions: Vec<i32>) -> TopicArchive {
    let why = match leader {
        Leader::Own => match timeout(FLUSH_MAX, OwnArchives::of(context).flush(topic, &partitions)).await {
            Ok(flushed) => return flushed,
            Err(_elapsed) => too_long(),
        },
        Leader::Nobody => NOBODY.to_owned(),
        Leader::Other(to) => {
            let asked = Asked::Flush { topic_id: topic.id.to_string(), partitions: partitions.clone() };
            match ask(context, to, &asked, FLUSH_MAX).await {
                Ok(Told::Flushed(flushed)) => return flushed,
                Ok(_) => STRANGE.to_owned(),
                Err(why) => why,
            }
        }
    };
    TopicArchive { errors: PartitionError::all(&partitions, &why), ..TopicArchive::of(topic) }
}

/// Partitions by whoever leads them in the newest view, in the order in which they were named.
fn by_leader(context: &Context, topic: &Topic, partitions: &[i32]) -> Vec<(Leader, Vec<i32>)> {
    let image = context.leadership.image();
    let mut by_session: BTreeMap<Option<SessionId>, (Leader, Vec<i32>)> = BTreeMap::new();
    for &partition in partitions {
        let topic_partition = TopicPartition { topic_id: topic.id, partition: PartitionIndex(partition) };
        let leader = image.leader(PlacementKey::partition(topic_partition));
        let session = match leader {
            Leader::Own => Some(context.leadership.own()),
            Leader::Other(session) => Some(session),
            Leader::Nobody => None,
        };
        by_session.entry(session).or_insert_with(|| (leader, Vec::new())).1.push(partition);
    }
    by_session.into_values().collect()
}

/// What a broker says, or why it says nothing, with its id.
async fn ask(context: &Context, to: SessionId, asked: &Asked, time_max: Duration) -> Result<Told, String> {
    let image = context.leadership.image();
    let broker = image.members().iter().find(|member| member.session == to).map(|member| member.broker_id.0);
    let who = broker.map_or_else(|| format!("session {to}"), |broker| format!("broker {broker}"));
    let deadline = Instant::now() + time_max;
    match context.peers.ask(to, PrivateApi::Archives, &encode(asked), deadline).await {
        Ok(answer) => match answer_of(&answer) {
            Some(Told::Refused(why)) => Err(format!("{who} refuses: {why}")),
            Some(told) => Ok(told),
            None => Err(format!("{who} is of another release")),
        },
        Err(error) => Err(format!("{who} does not answer: {error}")),
    }
}

/// Answers are bounded by the mesh.
fn answer_of(bytes: &[u8]) -> Option<Told> {
    let (&version, json) = bytes.split_first()?;
    if version == VERSION { serde_json::from_slice(json).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_read_and_damage_is_not() {
        let asked = Asked::Flush { topic_id: "00".to_owned(), partitions: vec![1, 2] };
        let bytes = encode(&asked);
        let read: Asked = decode(&bytes).expect("its own bytes");
        assert!(matches!(read, Asked::Flush { partitions, .. } if partitions == [1, 2]));
        assert!(decode::<Asked>(&bytes[..bytes.len() - 1]).is_none());
        assert!(decode::<Asked>(&[&[9], &bytes[1..]].concat()).is_none());
        assert!(decode::<Asked>(&[]).is_none());
        assert!(decode::<Asked>(b"\x01{\"order\":{}}").is_none());
        let told = encode(&Told::Refused("no".to_owned()));
        assert!(matches!(answer_of(&told), Some(Told::Refused(why)) if why == "no"));
    }
}
