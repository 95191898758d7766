//! What operators ask of the cluster as a whole, and what they order.
//!
//! Any broker answers: view, sessions and orders are in the metadata store, and who leads what follows from the view.

use super::{Admin, Refusal, answer, bad, refuse_browsers, unavailable};
use crate::cluster::{Placement, PlacementKey};
use crate::handler::Context;
use crate::leadership::{ClusterControl, ControlError, Ordered};
use crate::meta::MetadataError;
use crate::meta::keys::view::{Member, View};
use crate::meta::keys::{alive, sessions, view};
use crate::topic::Topic;
use crate::types::{BrokerId, SessionId};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClusterAnswer {
    /// Its id, 32 hex digits.
    pub cluster_id: String,
    /// The number of the newest view.
    pub view: i32,
    /// Earlier views that matter still: some session that led in one of them has not acknowledged this one.
    pub earlier_views: Vec<i32>,
    /// Partitions of all topics.
    pub partitions: u64,
    /// In the order of their ids.
    pub brokers: Vec<BrokerAnswer>,
}

/// A broker's session.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct BrokerAnswer {
    /// The broker.
    pub broker_id: i32,
    /// Its session, 32 hex digits.
    pub session: String,
    /// `leads`; `drained`; `outside`: it stands and is no member of the view yet, or no more; `sealed`: it is a member, and
    /// stands no more.
    pub state: String,
    /// Where it runs.
    pub zone: Option<String>,
    /// Its share, as a proportion.
    pub weight: u8,
    /// Partitions that the view has it lead.
    pub partitions: u64,
    /// Whether it keeps its lease: else its process is gone, stopped, or cut off from the metadata store.
    pub alive: bool,
    /// The newest view that it has acknowledged; none where it does not stand.
    pub acked_view: Option<i32>,
    /// Where clients reach it.
    pub listeners: Vec<ListenerAnswer>,
    /// Where other brokers reach it.
    pub mesh: Option<String>,
    /// When it began, by its own clock, in milliseconds since 1970.
    pub started_ms: Option<i64>,
}

/// An address.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListenerAnswer {
    /// The listener's name.
    pub name: String,
    /// The host that clients are told.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// What became of an order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OrderAnswer {
    /// To which broker.
    pub broker_id: i32,
    /// `drain`, `undrain` or `seal`.
    pub order: String,
    /// Whether it was so already.
    pub already: bool,
}

pub(super) fn router() -> Router<Admin> {
    Router::new().route("/cluster", get(cluster)).route("/brokers/{broker}/{order}", post(order))
}

async fn cluster(State(admin): State<Admin>) -> Response {
    answer(async { describe(&*admin.context().await?).await }).await
}

async fn order(
    State(admin): State<Admin>,
    Path((broker, order)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    answer(async {
        refuse_browsers(&headers)?;
        let number: Result<i32, _> = broker.parse();
        let broker_id = number.map_err(|_| bad(format!("{broker:?} is no broker id")))?;
        let context = admin.context().await?;
        let ordered = give(&*context.control, BrokerId(broker_id), &order).await?;
        tracing::info!(broker_id, order, ?ordered, "an operator's order");
        Ok(OrderAnswer { broker_id, order, already: ordered == Ordered::Already })
    })
    .await
}

async fn give(control: &dyn ClusterControl, broker: BrokerId, order: &str) -> Result<Ordered, Refusal> {
    let given = match order {
        "drain" => control.drain(broker).await,
        "undrain" => control.undrain(broker).await,
        "seal" => control.seal(broker).await,
        other => return Err(bad(format!("{other:?} is none of drain, undrain and seal"))),
    };
    given.map_err(|error| refusal(&error))
}

fn refusal(error: &ControlError) -> Refusal {
    let status = match error {
        ControlError::UnknownBroker(_) => StatusCode::NOT_FOUND,
        ControlError::OnlyLeader(_) | ControlError::NoCluster => StatusCode::CONFLICT,
        ControlError::Sealed | ControlError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    Refusal { status, why: error.to_string() }
}

async fn describe(context: &Context) -> Result<ClusterAnswer, Refusal> {
    let Stored { view, sessions, alive } = read(context).await?;
    let drained = context.control.drained().await.map_err(|error| refusal(&error))?;
    let topics = context.catalog.all();
    let led = led(&view, &topics).await?;
    let mut brokers: BTreeMap<(BrokerId, SessionId), BrokerAnswer> = BTreeMap::new();
    for (id, session) in &sessions {
        let member = view.members.iter().find(|member| member.session == *id);
        let state = match member {
            Some(_) => "leads",
            None if drained.contains(&session.broker_id) => "drained",
            None => "outside",
        };
        let answer = BrokerAnswer { alive: alive.contains(id), ..of_session(*id, session, state) };
        brokers.insert((session.broker_id, *id), answer);
    }
    for member in &view.members {
        let answer = brokers.entry((member.broker_id, member.session)).or_insert_with(|| sealed(member));
        answer.partitions = led.get(&member.session).copied().unwrap_or(0);
    }
    let own = (context.cluster.broker_id, context.leadership.own());
    if let Some(own) = brokers.get_mut(&own).filter(|own| own.listeners.is_empty()) {
        let here = context.cluster.listeners.iter();
        own.listeners = here.map(|told| listener(&told.name, &told.host, told.port)).collect();
    }
    Ok(ClusterAnswer {
        cluster_id: context.cluster.cluster_id.to_string(),
        view: view.number.0,
        earlier_views: unsettled(&view, &sessions),
        partitions: led.values().sum(),
        brokers: brokers.into_values().collect(),
    })
}

/// The earlier views that decide yet who may serve what: none when all who stand have acknowledged this one. The view itself
/// forgets them only with the next.
fn unsettled(view: &View, sessions: &BTreeMap<SessionId, sessions::Session>) -> Vec<i32> {
    if sessions.values().all(|session| session.acked_view >= view.number) {
        return Vec::new();
    }
    view.earlier.iter().map(|earlier| earlier.number.0).collect()
}

/// What the metadata store has of views and sessions.
struct Stored {
    view: View,
    sessions: BTreeMap<SessionId, sessions::Session>,
    alive: BTreeSet<SessionId>,
}

/// The view, and then who stands: a session that joined in between is shown as outside.
async fn read(context: &Context) -> Result<Stored, Refusal> {
    let store = context.standing.store();
    let silent = |error: MetadataError| unavailable(&error);
    let entry = store.get(view::KEY).await.map_err(silent)?;
    let entry = entry.ok_or_else(|| unavailable(&"there is no view yet"))?;
    let view = View::decode(&entry).map_err(|error| unavailable(&error))?;
    let mut sessions = BTreeMap::new();
    for entry in store.list(sessions::PREFIX).await.map_err(silent)?.entries {
        let session = sessions::Session::decode(&entry).map_err(|error| unavailable(&error))?;
        sessions.extend(sessions::session_of(&entry.key).map(|id| (id, session)));
    }
    let leases = store.list(alive::PREFIX).await.map_err(silent)?.entries;
    let alive = leases.iter().filter_map(|entry| alive::session_of(&entry.key)).collect();
    Ok(Stored { view, sessions, alive })
}

/// How many partitions each member leads. Others get their turn after each topic: a cluster may have many.
async fn led(view: &View, topics: &[Arc<Topic>]) -> Result<BTreeMap<SessionId, u64>, Refusal> {
    let placement = Placement::new(view.placement, &view.members).map_err(|error| unavailable(&error))?;
    let mut led = BTreeMap::new();
    for topic in topics {
        for partition in topic.topic_partitions() {
            if let Some(leader) = placement.leader(PlacementKey::partition(partition)) {
                *led.entry(leader.session).or_insert(0) += 1;
            }
        }
        tokio::task::yield_now().await;
    }
    Ok(led)
}

fn of_session(id: SessionId, session: &sessions::Session, state: &str) -> BrokerAnswer {
    let listeners = session.listeners.iter().map(|told| listener(&told.name, &told.host, told.port));
    BrokerAnswer {
        broker_id: session.broker_id.0,
        session: id.to_string(),
        state: state.to_owned(),
        zone: session.zone.clone(),
        weight: session.weight,
        partitions: 0,
        alive: false,
        acked_view: Some(session.acked_view.0),
        listeners: listeners.collect(),
        mesh: session.mesh.clone(),
        started_ms: Some(session.started_ms),
    }
}

/// A member that stands no more: others will make a view without it.
fn sealed(member: &Member) -> BrokerAnswer {
    BrokerAnswer {
        broker_id: member.broker_id.0,
        session: member.session.to_string(),
        state: "sealed".to_owned(),
        zone: member.zone.clone(),
        weight: member.weight,
        ..BrokerAnswer::default()
    }
}

fn listener(name: &str, host: &str, port: u16) -> ListenerAnswer {
    ListenerAnswer { name: name.to_owned(), host: host.to_owned(), port }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leadership::NoCluster;

    #[tokio::test]
    async fn an_order_that_cannot_be_given_says_why() {
        let given = async |order: &str| {
            let refused = give(&NoCluster, BrokerId(2), order).await.expect_err("there is no cluster");
            (refused.status.as_u16(), refused.why)
        };
        for order in ["drain", "undrain", "seal"] {
            assert_eq!(given(order).await.0, 409);
        }
        let (status, why) = given("paint").await;
        assert_eq!((status, why.as_str()), (400, "\"paint\" is none of drain, undrain and seal"));
        assert_eq!(refusal(&ControlError::UnknownBroker(BrokerId(7))).status, StatusCode::NOT_FOUND);
    }
}
