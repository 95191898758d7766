//! A leader that cannot be reached, or goes away with a request: nothing is claimed, and nothing is sent twice.

use super::super::world::{World, code};
use super::pair::{PATIENCE, Pair, answered, produce};
use crate::cluster::PlacementKey;
use crate::handler::{Admitted, ConnectionInfo, Handle};
use crate::limits::MemoryPermit;
use crate::metrics::Metrics;
use crate::types::ViewNumber;
use crate::wire::ErrorCode;
use crate::wire::batch::NO_PRODUCER;
use crate::wire::messages::{GroupId, HeartbeatRequest};
use crate::wire::{RequestFrame, private};
use futures_util::future::BoxFuture;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::time::timeout;

const PRODUCE: i16 = 9;

/// Takes requests in and never answers.
struct Deaf(Arc<Semaphore>);

impl Handle for Deaf {
    fn admit<'a>(
        &'a self,
        _: &'a ConnectionInfo,
        _: RequestFrame,
        _: MemoryPermit,
    ) -> BoxFuture<'a, Admitted> {
        self.0.add_permits(1);
        Box::pin(async { Admitted::Waiting(Box::pin(std::future::pending())) })
    }

    fn on_disconnect(&self, _: &ConnectionInfo) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_goes_with_a_request_leaves_its_outcome_unknown() {
    let pair = Pair::new().await;
    let topic = pair.create("a", 8).await;
    let (own, others) = pair.led(&topic);
    let came = Arc::new(Semaphore::new(0));
    let limits = pair.two.context.config.limits;
    pair.door_of_two.open(Arc::new(Deaf(Arc::clone(&came))), limits, Arc::new(Metrics::new()));
    let request = produce(&topic, &[own[0], others[0]], -1, NO_PRODUCER);
    let going = async {
        let _ = came.acquire().await.expect("open");
        pair.two.context.peers.close().await;
    };
    let (response, ()) = timeout(PATIENCE, async { tokio::join!(pair.one.ask(PRODUCE, &request), going) })
        .await
        .expect("in time");
    let mut expected = vec![(own[0], 0, 0), (others[0], ErrorCode::RequestTimedOut.code(), -1)];
    expected.sort_unstable();
    assert_eq!(answered(&response), expected);
    assert_eq!(came.available_permits(), 1, "it came once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_sent_is_refused_as_not_led_here() {
    let pair = Pair::new().await;
    let topic = pair.create("a", 8).await;
    let (own, others) = pair.led(&topic);
    // No broker of this one's is reached any more.
    pair.one.context.peers.close().await;
    let response = pair.one.ask(PRODUCE, &produce(&topic, &[own[0], others[0]], -1, NO_PRODUCER)).await;
    let mut expected = vec![(own[0], 0, 0), (others[0], ErrorCode::NotLeaderOrFollower.code(), -1)];
    expected.sort_unstable();
    assert_eq!(answered(&response), expected);
    let unanswered = produce(&topic, &[others[0]], 0, NO_PRODUCER);
    assert!(matches!(pair.one.admit(PRODUCE, &unanswered).await, Admitted::Close));
    let name = pair.name_of_two("g", PlacementKey::group);
    let heartbeat = HeartbeatRequest::default().with_group_id(GroupId(super::super::world::text(&name)));
    let answer = pair.one.ask(4, &heartbeat).await;
    assert_eq!(code(answer.error_code), Some(ErrorCode::NotCoordinator));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_asks_what_only_brokers_may_ask_is_refused() {
    let world = World::new().await;
    let admitted = world.admit_frame(private::encode_request(0, 77, b"\x01\x02")).await;
    let Admitted::Answer(answer) = admitted else { panic!("an answer") };
    assert_eq!(answer.chunks.concat()[8..], ErrorCode::UnsupportedVersion.code().to_be_bytes());
    assert_eq!(world.context.leadership.image().number(), ViewNumber(1));
}
