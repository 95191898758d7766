//! The broker that coordinates a group or a transactional id: found, asked, and found again when it has moved.

use super::admin::text;
use super::{ClientError, Cluster, Connection};
use crate::types::BrokerId;
use crate::wire::messages::FindCoordinatorRequest;
use crate::wire::{ErrorCode, Request};
use parking_lot::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// The way to the coordinator of one group, or of one transactional id.
#[derive(Debug)]
pub(super) struct Coordinator {
    cluster: Cluster,
    key: String,
    kind: Kind,
    known: Mutex<Option<BrokerId>>,
}

/// What is coordinated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Group,
    TransactionalId,
}

impl Kind {
    /// Kafka's number for it.
    fn key_type(self) -> i8 {
        match self {
            Kind::Group => 0,
            Kind::TransactionalId => 1,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Group => "group",
            Kind::TransactionalId => "transactional id",
        }
    }
}

/// Between two tries.
pub(super) const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// How long a coordinator may be away before that is an error.
const PATIENCE: Duration = Duration::from_secs(30);

impl Coordinator {
    pub(super) fn new(cluster: &Cluster, group: &str) -> Coordinator {
        Coordinator::of(cluster, group, Kind::Group)
    }

    pub(super) fn of_transactional_id(cluster: &Cluster, transactional_id: &str) -> Coordinator {
        Coordinator::of(cluster, transactional_id, Kind::TransactionalId)
    }

    fn of(cluster: &Cluster, key: &str, kind: Kind) -> Coordinator {
        Coordinator { cluster: cluster.clone(), key: key.to_owned(), kind, known: Mutex::new(None) }
    }

    /// The group, or the transactional id.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Asks the coordinator; while it moves, loads or cannot be reached, again. `wait` is how long the broker may
    /// take on purpose; `code_of` finds the error of the whole answer. What is asked must bear to be repeated.
    pub(super) async fn call<R: Request>(
        &self,
        request: &R,
        wait: Duration,
        code_of: impl Fn(&R::Response) -> i16,
    ) -> Result<R::Response, ClientError> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let answered = async { self.connection().await?.send(request, wait).await?.wait().await };
            let error = match answered.await {
                Ok(answer) if !has_moved(code_of(&answer)) => return Ok(answer),
                Ok(answer) => self.refused(code_of(&answer)),
                Err(error) if may_pass(&error) => error,
                Err(error) => return Err(error),
            };
            *self.known.lock() = None;
            if Instant::now() >= give_up {
                return Err(error);
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    /// Which broker it is now.
    pub(super) async fn broker_id(&self) -> Result<BrokerId, ClientError> {
        let known = *self.known.lock();
        match known {
            Some(broker_id) => Ok(broker_id),
            None => self.find().await,
        }
    }

    async fn connection(&self) -> Result<Connection, ClientError> {
        let broker_id = self.broker_id().await?;
        self.cluster.broker(broker_id).await
    }

    async fn find(&self) -> Result<BrokerId, ClientError> {
        let request = FindCoordinatorRequest::default()
            .with_key_type(self.kind.key_type())
            .with_coordinator_keys(vec![text(&self.key)]);
        let answer = self.cluster.any().await?.call(&request).await?;
        let Some(found) = answer.coordinators.first() else {
            return Err(self.refused(ErrorCode::CoordinatorNotAvailable.code()));
        };
        let what = || format!("coordinator of {} {:?}", self.kind.name(), self.key);
        ClientError::check(found.error_code, found.error_message.as_deref(), what)?;
        let broker_id = BrokerId(found.node_id.0);
        if !self.cluster.brokers().iter().any(|broker| broker.broker_id == broker_id) {
            self.cluster.refresh().await?;
        }
        *self.known.lock() = Some(broker_id);
        Ok(broker_id)
    }

    fn refused(&self, code: i16) -> ClientError {
        let what = || format!("{} {:?}", self.kind.name(), self.key);
        ClientError::check(code, None, what).expect_err("a code that stands for a refusal")
    }
}

/// Tries again while the failure may pass, for as long as a coordinator may be away.
pub(super) async fn patiently<T, F: Future<Output = Result<T, ClientError>>>(
    mut attempt: impl FnMut() -> F,
) -> Result<T, ClientError> {
    let give_up = Instant::now() + PATIENCE;
    loop {
        match attempt().await {
            Err(error) if may_pass(&error) && Instant::now() < give_up => {}
            outcome => return outcome,
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

/// Whether an answer says to ask elsewhere, or later.
fn has_moved(code: i16) -> bool {
    let code = ErrorCode::try_from_code(code);
    matches!(
        code,
        Some(
            ErrorCode::CoordinatorLoadInProgress
                | ErrorCode::CoordinatorNotAvailable
                | ErrorCode::NotCoordinator
        )
    )
}

/// Whether another try may help.
fn may_pass(error: &ClientError) -> bool {
    match error {
        ClientError::Connect { .. } | ClientError::Closed { .. } | ClientError::Timeout { .. } => true,
        ClientError::Refused { code, .. } => code.is_retriable(),
        _ => false,
    }
}
