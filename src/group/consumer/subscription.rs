//! What members subscribe to: names, or an expression over names, and the topics that there are for it.
//!
//! Expressions are RE2's, as Apache Kafka has them since 4.0, and must match a whole name. They are compiled when
//! names are looked up and not kept, so that a member's expression costs memory only for that moment.

use crate::group::GroupError;
use crate::hashing::HashMap;
use crate::types::{TopicId, TopicName};
use regex::RegexBuilder;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What of a topic matters to groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSize {
    /// Its identity.
    pub topic_id: TopicId,
    /// How many partitions it has.
    pub partitions: i32,
}

/// All topics that there are, by name.
pub type TopicsImage = BTreeMap<TopicName, TopicSize>;

/// What one member subscribes to.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subscription {
    /// By name; the topic need not exist.
    pub names: BTreeSet<TopicName>,
    /// By expression.
    pub regex: Option<String>,
}

/// A topic that somebody in the group subscribes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SubscribedTopic {
    pub(super) name: TopicName,
    pub(super) partitions: i32,
}

/// The ids of the topics that a subscription means; members that subscribe to the same share one.
pub(super) type SubscribedIds = Arc<BTreeSet<TopicId>>;

impl Subscription {
    /// How many bytes it has as text.
    pub(super) fn text_bytes(&self) -> usize {
        let names: usize = self.names.iter().map(|name| name.as_str().len() + 3).sum();
        names + self.regex.as_ref().map_or(0, String::len)
    }

    /// The topics of `topics` that it means.
    fn resolve(&self, topics: &TopicsImage) -> BTreeSet<TopicId> {
        let mut ids: BTreeSet<TopicId> =
            self.names.iter().filter_map(|name| topics.get(name)).map(|topic| topic.topic_id).collect();
        if let Some(regex) = self.regex.as_deref().and_then(|regex| compile(regex).ok()) {
            let matching = topics.iter().filter(|(name, _)| regex.is_match(name.as_str()));
            ids.extend(matching.map(|(_, topic)| topic.topic_id));
        }
        ids
    }
}

/// What all `subscriptions` mean, in their order; equal ones are looked up once.
pub(super) fn resolve_all<'a>(
    subscriptions: impl Iterator<Item = &'a Subscription>,
    topics: &TopicsImage,
) -> Vec<SubscribedIds> {
    let mut known: HashMap<&Subscription, SubscribedIds> = HashMap::default();
    subscriptions
        .map(|subscription| {
            let ids = known.entry(subscription).or_insert_with(|| Arc::new(subscription.resolve(topics)));
            Arc::clone(ids)
        })
        .collect()
}

/// The topics behind `ids`.
pub(super) fn subscribed_topics<'a>(
    ids: impl Iterator<Item = &'a SubscribedIds>,
    topics: &TopicsImage,
) -> BTreeMap<TopicId, SubscribedTopic> {
    let wanted = all_ids(ids);
    let found = topics.iter().filter(|(_, topic)| wanted.contains(&topic.topic_id));
    found
        .map(|(name, topic)| {
            (topic.topic_id, SubscribedTopic { name: name.clone(), partitions: topic.partitions })
        })
        .collect()
}

/// Everything that anybody subscribes to.
pub(super) fn all_ids<'a>(ids: impl Iterator<Item = &'a SubscribedIds>) -> BTreeSet<TopicId> {
    let mut wanted: BTreeSet<TopicId> = BTreeSet::new();
    let mut last: Option<&SubscribedIds> = None;
    for ids in ids {
        if !last.is_some_and(|last| Arc::ptr_eq(last, ids)) {
            wanted.extend(ids.iter());
            last = Some(ids);
        }
    }
    wanted
}

/// Whether `regex` can be used.
pub(super) fn check_regex(regex: &str) -> Result<(), GroupError> {
    compile(regex).map(|_| ()).map_err(GroupError::InvalidRegularExpression)
}

fn compile(regex: &str) -> Result<regex::Regex, String> {
    if regex.len() > REGEX_BYTES_MAX {
        return Err(format!("it has more than {REGEX_BYTES_MAX} bytes"));
    }
    let plain = without_quotes(regex);
    build(&plain)?; // By itself first: `a)(b` would pass inside the group of the next line.
    build(&format!("^(?:{plain})$"))
}

fn build(regex: &str) -> Result<regex::Regex, String> {
    RegexBuilder::new(regex)
        .size_limit(COMPILED_BYTES_MAX)
        .dfa_size_limit(COMPILED_BYTES_MAX)
        .nest_limit(NESTING_MAX)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "it is too big when compiled".to_owned(),
            error => error.to_string(),
        })
}

/// RE2 takes what stands between `\Q` and `\E` literally; the crate does not know these two.
fn without_quotes(regex: &str) -> String {
    let mut plain = String::with_capacity(regex.len());
    let mut rest = regex;
    while let Some(backslash) = rest.find('\\') {
        plain.push_str(&rest[..backslash]);
        let escape = &rest[backslash..];
        if let Some(quoted) = escape.strip_prefix("\\Q") {
            let (literal, after) = quoted.split_once("\\E").unwrap_or((quoted, ""));
            plain.push_str(&regex::escape(literal));
            rest = after;
        } else {
            let end = escape.char_indices().nth(2).map_or(escape.len(), |(at, _)| at);
            plain.push_str(&escape[..end]);
            rest = &escape[end..];
        }
    }
    plain.push_str(rest);
    plain
}

const REGEX_BYTES_MAX: usize = 4096;
const COMPILED_BYTES_MAX: usize = 1 << 20;
const NESTING_MAX: u32 = 100;
