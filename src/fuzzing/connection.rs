//! A client's connection from its first byte to its end, at a broker that is there for it alone: the real assembly on stores in
//! memory, the real connection loop on a pipe, and time that passes when nothing else is left to do.
//!
//! An input is a list of frames, each behind its length in two bytes: so most of what a mutation makes is still a request. The
//! topic `orders` is there, and where [`ORDERS`] stands in a frame its true id is put.

use super::requests::check_answer;
use crate::broker::{Broker, Foundation};
use crate::clock::Clock;
use crate::config::{CacheConfig, Config, Flags, resolve};
use crate::handler::{AdvertisedListener, ConnectionInfo};
use crate::limits::MemoryBudget;
use crate::mesh::ClientSecurity;
use crate::metrics::Metrics;
use crate::net::{Admission, Closed, Context, run};
use crate::topic::NewTopic;
use crate::types::{TopicId, TopicName};
use crate::wire::{RequestHeader, decode_frame};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex, split};
use tokio::runtime::Builder;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// What stands in an input for the id of the topic.
pub(super) const ORDERS: Uuid = Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);
const NOW_MS: i64 = 1_700_000_000_000;
/// Frames of an input that are sent.
const FRAMES_MAX: usize = 64;
/// A client that waits longer for its answers goes away.
const PATIENCE: Duration = Duration::from_secs(120);

/// Talks to a broker as `bytes` say, and sees that it answers as the protocol has it.
pub(super) fn check(bytes: &[u8]) {
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime = runtime.expect("a runtime of one thread");
    runtime.block_on(Box::pin(talk(bytes)));
    runtime.shutdown_timeout(Duration::from_secs(5));
}

async fn talk(bytes: &[u8]) {
    let (broker, context) = start().await;
    let (name, partitions) = (TopicName::parse("orders").expect("legal"), 3);
    let catalog = Arc::clone(&broker.handler().context().catalog);
    let topic = catalog.create(NewTopic { name, partitions, overrides: BTreeMap::new() }).await;
    let topic = topic.expect("a broker of its own takes a topic");
    broker.handler().context().opened(&topic).await;

    let frames = frames(bytes, topic.id);
    let requests: Vec<RequestHeader> =
        frames.iter().map_while(|frame| decode_frame(frame.clone()).ok()).map(|frame| frame.header).collect();
    if let Some((closed, answers)) = send(context, &frames).await {
        assert!(!matches!(closed, Closed::Panic(_) | Closed::Stopping | Closed::Idle), "{closed}");
        check_answers(&requests, answers.into());
    }
    let closed = timeout(PATIENCE, broker.close()).await;
    assert!(closed.is_ok(), "a broker without clients closes");
}

/// A broker on stores in memory, and what its connections share.
async fn start() -> (Broker, Context) {
    let config = Arc::new(config());
    let metrics = Arc::new(Metrics::new());
    let listener = AdvertisedListener {
        name: "PLAINTEXT".to_owned(),
        host: "here".to_owned(),
        port: 9092,
        security: "PLAINTEXT",
    };
    let clock = Clock::Manual(Arc::new(AtomicI64::new(NOW_MS)));
    let opening = Foundation::open(Arc::clone(&config), vec![listener], Arc::clone(&metrics), clock, None);
    let broker = Broker::start(opening.await.expect("memory is always there")).await;
    let broker = broker.expect("a broker of its own begins");
    let budget = MemoryBudget::new(config.limits.request_memory_bytes);
    let admission = Arc::new(Admission::new(1, budget, metrics));
    let (limits, stop) = (config.limits, CancellationToken::new());
    let context = Context { handler: broker.handler(), admission, limits, stop };
    (broker, context)
}

fn config() -> Config {
    let mut config = resolve(&Flags::default(), &|_| None).expect("the defaults are legal").0;
    config.store = "memory:".parse().expect("a legal address");
    config.cache = CacheConfig { memory_bytes: 1 << 20, disk_bytes: 0 };
    config.limits.request_memory_bytes = 8 << 20;
    config.limits.frame_bytes_max = 1 << 20;
    config.journal.flush_interval = Duration::ZERO;
    config
}

/// The frames of an input, without their lengths.
fn frames(mut bytes: &[u8], topic_id: TopicId) -> Vec<Bytes> {
    let mut frames = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<2>()
        && frames.len() < FRAMES_MAX
    {
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (frame, rest) = rest.split_at(length);
        let mut frame = frame.to_vec();
        while let Some(place) = frame.windows(16).position(|window| window == ORDERS.as_bytes()) {
            frame[place..place + 16].copy_from_slice(topic_id.0.as_bytes());
        }
        frames.push(Bytes::from(frame));
        bytes = rest;
    }
    frames
}

/// Sends all frames, then no more, and reads the answers to their end. None if the client went away before.
async fn send(context: Context, frames: &[Bytes]) -> Option<(Closed, Vec<u8>)> {
    let (ours, theirs) = duplex(64 << 10);
    let (reader, writer) = split(theirs);
    let client = ([127, 0, 0, 1], 5000).into();
    let info = ConnectionInfo::of_client(1, "PLAINTEXT".to_owned(), client, ClientSecurity::Plain);
    let serving = run(context, info, reader, writer);
    let (mut answers, mut requests) = split(ours);
    let sending = async {
        for frame in frames {
            let length = u32::try_from(frame.len()).expect("a short frame");
            let sent = [&length.to_be_bytes()[..], frame].concat();
            // Whoever sent what cannot be read is not listened to any more.
            if requests.write_all(&sent).await.is_err() {
                break;
            }
        }
        let _: std::io::Result<()> = requests.shutdown().await;
    };
    let receiving = async {
        let mut received = Vec::new();
        answers.read_to_end(&mut received).await.expect("a pipe ends without an error");
        received
    };
    let all = async { tokio::join!(serving, sending, receiving) };
    timeout(PATIENCE, Box::pin(all)).await.ok().map(|(closed, (), received)| (closed, received))
}

/// Answers come in the order of their requests, each as its version has it. Nothing but a Produce request may go without one.
fn check_answers(requests: &[RequestHeader], mut answers: Bytes) {
    let mut requests = requests.iter();
    while !answers.is_empty() {
        let length = i32::from_be_bytes(*answers.split_to(4).first_chunk().expect("a whole length"));
        let answer = answers.split_to(usize::try_from(length).expect("a legal length"));
        let correlation_id = i32::from_be_bytes(*answer.first_chunk().expect("a whole header"));
        let request = requests.find(|request| {
            let is_it = request.correlation_id == correlation_id;
            assert!(is_it || request.api_key == 0, "{request:?} has no answer");
            is_it
        });
        let request = request.expect("an answer is one to a request");
        if request.is_supported() {
            check_answer(request, answer);
        }
    }
}
