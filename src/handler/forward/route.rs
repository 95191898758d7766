//! Who answers for what: this session, another, or whoever is found out when the view is known better.

use super::At;
use crate::cluster::PlacementKey;
use crate::handler::context::Context;
use crate::handler::{ConnectionInfo, Origin};
use crate::leadership::Leader;
use crate::topic::Topic;
use crate::types::{PartitionIndex, SessionId, TopicPartition};
use crate::wire::ErrorCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Where a part of a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::handler) enum Route {
    /// Here, be it with a refusal.
    Here,
    /// There.
    Other(SessionId),
}

/// What a part of a request is about.
pub(super) enum Key<'a> {
    Group(&'a str),
    TransactionalId(&'a str),
    /// A topic by its name, and a partition of it.
    Partition(&'a str, i32),
}

/// What this session leads and does not serve yet is waited for so long at most.
const HOLD_TIME_MAX: Duration = Duration::from_secs(5);
/// How long a view is waited for that another broker knows already.
const VIEW_TIME_MAX: Duration = Duration::from_secs(2);

/// Who answers for what `key` names.
pub(super) fn of_key(at: At<'_>, key: PlacementKey) -> Route {
    if !at.may_forward() {
        return Route::Here;
    }
    match at.context.leadership.image().leader(key) {
        Leader::Other(session) => Route::Other(session),
        Leader::Own | Leader::Nobody => Route::Here,
    }
}

/// Who answers for a partition of a topic that is known here.
pub(in crate::handler) fn of_partition(at: At<'_>, topic: &Topic, index: i32) -> Route {
    if !topic.has(PartitionIndex(index)) {
        return Route::Here;
    }
    of_key(at, PlacementKey::partition(topic_partition(topic, index)))
}

fn topic_partition(topic: &Topic, index: i32) -> TopicPartition {
    TopicPartition { topic_id: topic.id, partition: PartitionIndex(index) }
}

/// Waits until those of these partitions are served that this session leads, or another does, until `deadline` or for
/// [`HOLD_TIME_MAX`]: a view has brought them, and whoever led them before has not let go yet.
pub(in crate::handler) async fn hold<'a>(
    context: &Context,
    wanted: impl IntoIterator<Item = (&'a Arc<Topic>, i32)>,
    deadline: Instant,
) {
    let waited_for = wanted.into_iter().filter(|(topic, index)| is_coming(context, topic, *index));
    let mut waited_for: Vec<_> = waited_for.map(|(topic, index)| (Arc::clone(topic), index)).collect();
    if waited_for.is_empty() {
        return;
    }
    let until = deadline.min(Instant::now() + HOLD_TIME_MAX);
    let mut changes = context.leadership.changes();
    loop {
        waited_for.retain(|(topic, index)| is_coming(context, topic, *index));
        if waited_for.is_empty() {
            return;
        }
        tokio::select! {
            changed = timeout_at(until, changes.changed()) => match changed {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return,
            },
            () = context.stopping.cancelled() => return,
        }
    }
}

/// Whether this session leads a partition and does not serve it yet.
fn is_coming(context: &Context, topic: &Topic, index: i32) -> bool {
    let key = PlacementKey::partition(topic_partition(topic, index));
    matches!(context.partition(topic, index), Err(ErrorCode::NotLeaderOrFollower))
        && context.leadership.image().leader(key) == Leader::Own
}

/// Waits a moment for the view that the sender of a request knew: it has sent the request here because of that.
pub(in crate::handler) async fn catch_up(context: &Context, connection: &ConnectionInfo) {
    let Origin::Broker { view, .. } = connection.origin else { return };
    if context.leadership.image().number() >= view {
        return;
    }
    let mut changes = context.leadership.changes();
    let until = Instant::now() + VIEW_TIME_MAX;
    while context.leadership.image().number() < view {
        match timeout_at(until, changes.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}
