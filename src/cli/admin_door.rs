//! Asks the broker's HTTP door.

use super::error::CliError;
use crate::client::TopicInfo;
use crate::ops::{ArchivePage, ClusterAnswer, OrderAnswer, PartitionAnswer, SegmentsPage, TopicArchive};
use clap::Args;
use serde::de::DeserializeOwned;
use std::time::Duration;
use url::Url;

/// Where the broker serves HTTP.
#[derive(Clone, Debug, Args)]
pub(super) struct AdminDoor {
    /// Where the broker serves HTTP (its --http).
    #[arg(
        long,
        env = "CENOTE_ADMIN",
        hide_env_values = true,
        default_value = "http://127.0.0.1:9644",
        value_parser = parse_admin,
        value_name = "URL"
    )]
    pub(super) admin: Url,
}

/// A topic's segments, all pages together.
#[derive(Debug)]
pub(super) struct TopicSegments {
    pub topic_id: String,
    pub store: String,
    pub partitions: Vec<PartitionAnswer>,
}

impl TopicSegments {
    /// The same, if something is known of every partition.
    pub(super) fn whole(self) -> Result<TopicSegments, CliError> {
        let failed = |partition: &PartitionAnswer| {
            let why = partition.error.as_ref()?;
            Some(CliError::Failed(format!("partition {}: {why}", partition.partition)))
        };
        match self.partitions.iter().find_map(failed) {
            Some(error) => Err(error),
            None => Ok(self),
        }
    }
}

/// All topics, all pages together.
#[derive(Debug, Default)]
pub(super) struct AllTopics {
    pub topics: Vec<TopicArchive>,
    /// Why what some brokers lead is not in it.
    pub missing: Vec<String>,
}

const CONNECT_MAX: Duration = Duration::from_secs(5);
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// A little longer than the broker itself waits.
const FLUSH_MAX: Duration = Duration::from_secs(610);
/// More than a topic or a cluster has.
const PAGES_MAX: usize = 100_000;
const LIMIT: &str = "10000";

fn parse_admin(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "http" && url.has_host());
    url.ok_or_else(|| "expected a URL such as http://127.0.0.1:9644".to_owned())
}

impl AdminDoor {
    /// The segments of a topic, or of one partition.
    pub(super) async fn segments(
        &self,
        topic: &str,
        partition: Option<i32>,
    ) -> Result<TopicSegments, CliError> {
        let mut found: Option<TopicSegments> = None;
        let mut from = None::<String>;
        for _ in 0..PAGES_MAX {
            let mut url = self.url(&["topics", topic, "segments"]);
            url.query_pairs_mut().append_pair("limit", LIMIT);
            if let Some(partition) = partition {
                url.query_pairs_mut().append_pair("partition", &partition.to_string());
            }
            if let Some(from) = &from {
                url.query_pairs_mut().append_pair("from", from);
            }
            let page: SegmentsPage = self.get(url).await?;
            let all = found.get_or_insert_with(|| TopicSegments {
                topic_id: page.topic_id.clone(),
                store: page.store.clone(),
                partitions: Vec::new(),
            });
            if all.topic_id != page.topic_id {
                return Err(changed(topic));
            }
            for partition in page.partitions {
                add(&mut all.partitions, partition).map_err(|()| changed(topic))?;
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        found.ok_or_else(|| CliError::Failed("the broker gave no answer".to_owned()))
    }

    /// The same segments, if they are that topic's: the door may be that of a broker of another cluster.
    pub(super) fn belonging_to(
        &self,
        segments: TopicSegments,
        topic: &TopicInfo,
    ) -> Result<TopicSegments, CliError> {
        if segments.topic_id == topic.topic_id.simple().to_string() {
            return Ok(segments);
        }
        let why = "is the door of a broker with another topic of this name; --admin or CENOTE_ADMIN says where it is";
        Err(CliError::Failed(format!("{} {why}", self.admin)))
    }

    /// All topics.
    pub(super) async fn archive(&self) -> Result<AllTopics, CliError> {
        let (mut all, mut from) = (AllTopics::default(), None::<String>);
        for _ in 0..PAGES_MAX {
            let mut url = self.url(&["archive"]);
            url.query_pairs_mut().append_pair("limit", LIMIT);
            if let Some(from) = &from {
                url.query_pairs_mut().append_pair("from", from);
            }
            let page: ArchivePage = self.get(url).await?;
            all.topics.extend(page.topics);
            for missing in page.missing {
                if !all.missing.contains(&missing) {
                    all.missing.push(missing);
                }
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        Ok(all)
    }

    /// Archives all that a topic has, and waits until it is done.
    pub(super) async fn flush(&self, topic: &str) -> Result<TopicArchive, CliError> {
        self.ask(self.client()?.post(self.url(&["topics", topic, "archive"])).timeout(FLUSH_MAX)).await
    }

    /// The cluster.
    pub(super) async fn cluster(&self) -> Result<ClusterAnswer, CliError> {
        self.get(self.url(&["cluster"])).await
    }

    /// Orders something of a broker.
    pub(super) async fn order(&self, broker: i32, order: &str) -> Result<OrderAnswer, CliError> {
        self.ask(self.client()?.post(self.url(&["brokers", &broker.to_string(), order]))).await
    }

    fn url(&self, levels: &[&str]) -> Url {
        let mut url = self.admin.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(levels);
        }
        url
    }

    async fn get<T: DeserializeOwned>(&self, url: Url) -> Result<T, CliError> {
        self.ask(self.client()?.get(url)).await
    }

    async fn ask<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T, CliError> {
        let unreachable = |error: reqwest::Error| {
            let why = if error.is_timeout() { "no answer in time" } else { "no answer" };
            let hint = "is it where the broker serves HTTP (its --http)? --admin or CENOTE_ADMIN says where";
            CliError::Failed(format!("{}: {why}; {hint}", self.admin))
        };
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let text = answer.text().await.map_err(unreachable)?;
        if !status.is_success() {
            let error: Option<serde_json::Value> = serde_json::from_str(&text).ok();
            let why = error.as_ref().and_then(|error| error["error"].as_str());
            let strange = || format!("{} is no broker's HTTP door: it answers {status}", self.admin);
            return Err(CliError::Failed(why.map_or_else(strange, str::to_owned)));
        }
        let not_ours = |error| CliError::Failed(format!("{} gave a strange answer: {error}", self.admin));
        serde_json::from_str(&text).map_err(not_ours)
    }

    fn client(&self) -> Result<reqwest::Client, CliError> {
        // The library wants one, though HTTP without TLS is all that is spoken. A second install is refused, which is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().connect_timeout(CONNECT_MAX).timeout(ANSWER_MAX);
        client.build().map_err(|error| CliError::Failed(format!("HTTP cannot be spoken: {error}")))
    }
}

/// Adds what a page has of a partition. Pages are looks at different moments: if segments were merged in between, they
/// do not fit together.
fn add(partitions: &mut Vec<PartitionAnswer>, mut page: PartitionAnswer) -> Result<(), ()> {
    let Some(last) = partitions.last_mut().filter(|last| last.partition == page.partition) else {
        partitions.push(page);
        return Ok(());
    };
    let end = last.segments.last().map_or(0, |segment| segment.end_offset);
    if page.segments.first().is_some_and(|first| first.base_offset < end) {
        return Err(());
    }
    let mut segments = std::mem::take(&mut last.segments);
    segments.append(&mut page.segments);
    *last = PartitionAnswer { segments, ..page };
    Ok(())
}

fn changed(topic: &str) -> CliError {
    CliError::Failed(format!("the segments of topic {topic:?} have changed meanwhile; ask again"))
}
