//! What operators ask of archives and of the cluster over HTTP, answered in JSON.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /topics/<name>/segments?partition=P&from=P:O&limit=N` | ends, lag and segments of each partition, a page at a time |
//! | `POST /topics/<name>/archive` | archives all that is committed; answers when it is done, with `errors` of partitions if any |
//! | `GET /archive?from=NAME&limit=N` | segments, bytes and lag of all topics, a page at a time; `missing` says who did not answer |
//! | `GET /cluster` | the view, and all brokers with what they lead |
//! | `POST /brokers/<id>/drain`, `/undrain`, `/seal` | an order to a broker; answers when it is given |
//!
//! Any broker answers for all: it asks the leaders (`everywhere.rs`). A page that is not the last one has `next`, which is the `from` of the one behind it. An error is `{"error": "…"}`.
//! The door knows nobody: it listens on loopback, and a browser that was sent here by some page is turned away.

mod answers;
mod archives;
mod cluster;
mod everywhere;
mod merged;
mod query;

pub use answers::{ArchivePage, PartitionAnswer, PartitionError, SegmentAnswer, SegmentsPage, TopicArchive};
pub use archives::OwnArchives;
pub use cluster::{BrokerAnswer, ClusterAnswer, ListenerAnswer, OrderAnswer};

use crate::handler::{Context, Handler};
use crate::topic::Topic;
use arc_swap::ArcSwapOption;
use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use query::Query;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// The broker that is asked, once there is one. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Admin {
    handler: Arc<ArcSwapOption<Handler>>,
}

/// Why a request has no answer: what is said, and how HTTP calls it.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    why: String,
}

/// Whoever asks for readiness is not kept longer.
const TROUBLE_MAX: Duration = Duration::from_secs(1);

impl Admin {
    /// From now on this broker is asked.
    pub fn set(&self, handler: Arc<Handler>) {
        self.handler.store(Some(handler));
    }

    pub(super) fn router(self) -> Router {
        Router::new()
            .route("/topics/{name}/segments", get(segments))
            .route("/topics/{name}/archive", post(flush))
            .route("/archive", get(archive))
            .merge(cluster::router())
            .with_state(self)
    }

    /// Why nothing is acknowledged at the moment, if that is so. Answers within a second.
    pub(super) async fn trouble(&self) -> Option<String> {
        let context = self.handler.load_full()?.context();
        let why = match tokio::time::timeout(TROUBLE_MAX, context.standing.confirm()).await {
            Ok(Ok(())) => return None,
            Ok(Err(error)) => error.to_string(),
            Err(_elapsed) => "the metadata store does not answer".to_owned(),
        };
        Some(why)
    }

    /// The session that serves, if its right to answer is confirmed.
    async fn context(&self) -> Result<Arc<Context>, Refusal> {
        let handler = self.handler.load_full().ok_or_else(|| unavailable(&"the broker is starting"))?;
        let context = handler.context();
        context.standing.confirm().await.map_err(|error| unavailable(&error))?;
        Ok(context)
    }
}

async fn segments(
    State(admin): State<Admin>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    answer(async {
        let query = Query::parse(query.as_deref())?;
        let context = admin.context().await?;
        let topic = topic(&context, &name).await?;
        answers::segments(&context, &topic, &query).await
    })
    .await
}

async fn archive(State(admin): State<Admin>, RawQuery(query): RawQuery) -> Response {
    answer(async {
        let query = Query::parse(query.as_deref())?;
        let context = admin.context().await?;
        Ok(everywhere::topics(&context, query.from.as_deref().unwrap_or_default(), query.limit).await)
    })
    .await
}

async fn flush(State(admin): State<Admin>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    answer(async {
        refuse_browsers(&headers)?;
        let context = admin.context().await?;
        let topic = topic(&context, &name).await?;
        context.opened(&topic).await;
        let flushed = everywhere::flush(&context, &topic).await;
        match flushed.errors.first() {
            // A page of partitions that all have one error says no more than that error.
            Some(first) if flushed.errors.len() == partitions(&topic) => Err(unavailable(&first.error)),
            _ => Ok(flushed),
        }
    })
    .await
}

fn partitions(topic: &Topic) -> usize {
    usize::try_from(topic.partitions).unwrap_or_default()
}

/// The door knows nobody; what changes something is not for whoever was sent here by some page.
fn refuse_browsers(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.contains_key(header::ORIGIN) {
        let why = "a page in a browser sent this request, and those may not".to_owned();
        return Err(Refusal { status: StatusCode::FORBIDDEN, why });
    }
    Ok(())
}

async fn topic(context: &Context, name: &str) -> Result<Arc<Topic>, Refusal> {
    let found = match context.catalog.by_name(name) {
        Some(topic) => Some(topic),
        None => context.catalog.resolve(name).await.map_err(|error| unavailable(&error))?,
    };
    let why = || format!("topic {name:?} does not exist");
    found.ok_or_else(|| Refusal { status: StatusCode::NOT_FOUND, why: why() })
}

fn unavailable(why: &dyn std::fmt::Display) -> Refusal {
    Refusal { status: StatusCode::SERVICE_UNAVAILABLE, why: why.to_string() }
}

fn bad(why: String) -> Refusal {
    Refusal { status: StatusCode::BAD_REQUEST, why }
}

async fn answer<T: Serialize>(work: impl Future<Output = Result<T, Refusal>>) -> Response {
    let (status, body) = match work.await {
        Ok(value) => (StatusCode::OK, serde_json::to_string(&value)),
        Err(Refusal { status, why }) => (status, serde_json::to_string(&serde_json::json!({ "error": why }))),
    };
    let body = body.expect("numbers and texts are always JSON");
    (status, [(header::CONTENT_TYPE, "application/json")], body + "\n").into_response()
}
