//! `/healthz`, `/readyz`, `/metrics` and what operators ask (`admin.rs`) on a listener of their own.

use super::first_bytes::Attentive;
use super::{Admin, Readiness};
use crate::metrics::Metrics;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

/// The HTTP listener, bound.
#[derive(Debug)]
pub struct HttpServer {
    listener: TcpListener,
    address: SocketAddr,
}

/// Why HTTP cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("HTTP cannot listen on {address}: {error}")]
pub struct BindHttpError {
    /// As configured.
    pub address: SocketAddr,
    /// The system's reason.
    pub error: io::Error,
}

#[derive(Clone)]
struct Shared {
    readiness: Readiness,
    metrics: Arc<Metrics>,
    admin: Admin,
}

impl HttpServer {
    /// Binds `address`; port 0 lets the system choose.
    pub async fn bind(address: SocketAddr) -> Result<HttpServer, BindHttpError> {
        let failed = |error| BindHttpError { address, error };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(HttpServer { listener, address })
    }

    /// What is bound.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is ready.
    pub async fn serve(
        self,
        readiness: Readiness,
        metrics: Arc<Metrics>,
        admin: Admin,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let router = Router::new()
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics_text))
            .with_state(Shared { readiness, metrics, admin: admin.clone() })
            .merge(admin.router());
        axum::serve(Attentive::new(self.listener), router).with_graceful_shutdown(stop).await
    }
}

/// The process answers: it is alive.
async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether clients should be sent here.
///
/// A metadata store that does not answer is said, and is no reason to be sent away. It is usually away for all brokers; if
/// all said 503, a load balancer would have nobody left, and readers would lose what can be served without it: committed
/// records, up to the end that was known. Producers wait, and go on when it is back.
async fn readyz(State(shared): State<Shared>) -> Response {
    if let Some(reason) = shared.readiness.reason() {
        return (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response();
    }
    match shared.admin.trouble().await {
        None => "ready\n".into_response(),
        Some(why) => format!("ready to be read from; nothing is acknowledged: {why}\n").into_response(),
    }
}

async fn metrics_text(State(shared): State<Shared>) -> Response {
    match shared.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
