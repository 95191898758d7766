//! Tells a broker of another zone where the records lie that a consumer there wants: it reads them by itself, and this session
//! says what is committed, who sees it, and where it ends, as it does for a fetch of its own (`fetch_here.rs`).

use super::ConnectionInfo;
use super::context::Context;
use super::fetch::Terms;
use super::fetch_here::{Share, Sought, look_until_enough, seek, share_out, told_ends};
use super::fetch_session::{PartitionRef, TopicRef, Wanted};
use super::forward;
use crate::log::{Direction, DirectionsWanted, PartitionWanted, encode_directions};
use crate::remote::Answered;
use crate::wire::ErrorCode;
use bytes::Bytes;
use std::time::Duration;
use tokio::time::Instant;

/// A long poll ends here whatever is asked for.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// Answers a request of another broker.
pub(super) async fn answer(context: &Context, connection: &ConnectionInfo, request: Bytes) -> Bytes {
    let Ok(asked) = DirectionsWanted::decode(request) else {
        return Answered::NotUnderstood.answer().into();
    };
    forward::route::catch_up(context, connection).await;
    let terms = Terms {
        bytes_min: asked.bytes_min,
        bytes_max: asked.bytes_max,
        deadline: Instant::now() + asked.wait.min(WAIT_MAX),
        isolation: asked.isolation,
        nearer: None,
    };
    let wanted: Vec<_> = asked.partitions.iter().map(wanted).collect();
    let sought = seek(context, &wanted, terms).await;
    let looks = look_until_enough(context, &sought, terms).await;
    let shares = share_out(terms, sought.iter().map(|sought| sought.wanted).zip(looks));
    let ends_known = context.standing.confirm().await.is_ok();
    let directions = sought.iter().zip(shares).map(|(sought, share)| direction(sought, share, ends_known));
    encode_directions(&directions.collect::<Vec<_>>())
}

fn wanted(asked: &PartitionWanted) -> (PartitionRef, Wanted) {
    let partition_ref = (TopicRef::Id(asked.topic_partition.topic_id.0), asked.topic_partition.partition.0);
    let wanted = Wanted {
        fetch_offset: asked.from.get(),
        bytes_max: asked.bytes_max,
        current_leader_epoch: asked.leader_epoch,
    };
    (partition_ref, wanted)
}

fn direction(sought: &Sought, share: Result<Share, ErrorCode>, ends_known: bool) -> Direction {
    match (told_ends(sought, share.as_ref().err().copied(), ends_known), share) {
        (Ok(ends), Ok(Share { plan, .. })) => Direction::Read { plan, ends },
        (Err(code), _) | (_, Err(code)) => Direction::Refused(code),
    }
}
