//! Coordinators and leaders ask those of other brokers by the mesh, and are asked.

use super::connections::Peers;
use super::private::{PrivateApi, ServePrivate};
use crate::mesh::MeshName;
use crate::remote::{NoAnswer, RemoteBrokers};
use crate::txn::TxnCoordinator;
use crate::types::SessionId;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::time::Duration;
use tokio::time::Instant;

impl RemoteBrokers for Peers {
    fn ask(
        &self,
        to: SessionId,
        request: Bytes,
        time_max: Duration,
    ) -> BoxFuture<'_, Result<Bytes, NoAnswer>> {
        Box::pin(async move {
            let deadline = Instant::now() + time_max;
            let asked = Peers::ask(self, to, PrivateApi::Coordinators, &request, deadline).await;
            asked.map_err(|error| NoAnswer(error.to_string()))
        })
    }
}

impl ServePrivate for TxnCoordinator {
    fn serve(&self, _: MeshName, request: Bytes) -> BoxFuture<'static, Option<Bytes>> {
        let coordinator = self.clone();
        Box::pin(async move { Some(coordinator.serve_remote(request).await) })
    }
}
