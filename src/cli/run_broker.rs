//! The life of a broker process: bind, open, recover, serve, and on a signal flush, commit, close.

use super::error::{CliError, said_once};
use super::greeting::{Doors, greet, warn_of_surprises};
use super::identity::{check_metadata_files, identity};
use super::mesh::credentials;
use super::serve::{self, ServeArgs};
use crate::broker::{Broker, Foundation, Neighbours};
use crate::clock::Clock;
use crate::config::{Config, Transport};
use crate::handler::AdvertisedListener;
use crate::limits::MemoryBudget;
use crate::mesh::MeshCredentials;
use crate::metrics::Metrics;
use crate::net::{BindError, BoundListener, Identity, Server};
use crate::ops::{Admin, HttpServer, Readiness};
use anyhow::Context as _;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tracing_subscriber::EnvFilter;

/// Threads for what blocks: files, fsyncs, decoding. Each has a share of the allocator's memory, and a disk is not quicker
/// for hundreds of them.
const BLOCKING_THREADS_MAX: usize = 64;
/// What was admitted is answered within this time, or is left unanswered.
const SHUTDOWN_MAX: Duration = Duration::from_secs(10);

/// `cenote serve`.
pub(super) fn serve(args: &ServeArgs) -> Result<(), CliError> {
    let (config, sources) = serve::settings(args)?;
    let identity = identity(&config, &sources)?;
    check_metadata_files(&config, &sources)?;
    let credentials = credentials(&config, &sources)?;
    let filter =
        EnvFilter::try_new(&config.log).map_err(|error| CliError::Usage(format!("--log: {error}")))?;
    let colour = super::may_colour(&io::stderr());
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colour).with_writer(io::stderr).init();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.enable_all().max_blocking_threads(BLOCKING_THREADS_MAX).build()?;
    let outcome = runtime.block_on(run(config, identity, credentials, &mut io::stdout()));
    // A blocking call that hangs on a store must not keep a stopped broker alive.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome.map_err(|error| CliError::Failed(said_once(&error)))
}

/// Runs a broker until SIGTERM or Ctrl-C. Prints what listens where to `out`.
async fn run(
    config: Config,
    identity: Option<Identity>,
    credentials: Option<MeshCredentials>,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let neighbours = config.mesh.clone().zip(credentials).map(|(mesh, known)| Neighbours::new(mesh, known));
    let config = Arc::new(config);
    // Signals are caught before anything is opened, so that one that comes early still closes cleanly.
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be caught")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("Ctrl-C cannot be caught")?;
    let server = Server::bind(&config.listeners, identity.as_ref()).await.map_err(name_listen)?;
    warn_of_surprises(&config, server.bound());
    let http = match config.http {
        Some(address) => Some(HttpServer::bind(address).await.context("--http")?),
        None => None,
    };
    let budget = MemoryBudget::new(config.limits.request_memory_bytes);
    let mut metrics = Metrics::new();
    metrics.watch_memory(budget.clone());
    let metrics = Arc::new(metrics);
    let readiness = Readiness::not_ready("starting");
    let admin = Admin::default();
    let http_address = http.as_ref().map(HttpServer::address);
    let stop_http = http.map(|http| serve_http(http, readiness.clone(), Arc::clone(&metrics), admin.clone()));

    let advertised = server.bound().iter().map(advertise).collect();
    let starting = async {
        let foundation = Foundation::open(
            Arc::clone(&config),
            advertised,
            Arc::clone(&metrics),
            Clock::System,
            neighbours,
        )
        .await?;
        Broker::start(foundation).await
    };
    // A start may wait for stores that are not there. Nothing was taken in yet: what ends it here is as good as a close.
    let mut broker = tokio::select! {
        started = starting => started?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    let bound = server.bound().to_vec();
    let serving = server.serve(broker.handler(), config.limits, budget, metrics);
    admin.set(broker.handler());
    readiness.set_ready();
    greet(out, &config, &Doors { bound: &bound, http: http_address, identity: identity.as_ref() })
        .context("the greeting cannot be printed")?;

    let failed = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        error = broker.run(&readiness) => Some(error),
    };
    readiness.set_not_ready("shutting down");
    if failed.is_none() {
        tracing::info!("stopping: what is led is handed over, what was taken in is committed");
        broker.hand_over().await;
    }
    // The journal is closed beside the connections: they wait for its last commits.
    let (all_answered, ()) = tokio::join!(serving.shutdown(SHUTDOWN_MAX), broker.close());
    if !all_answered {
        tracing::warn!("some requests were not answered before the end");
    }
    drop(stop_http);
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

/// An address that cannot be bound is to be changed in a setting: its flag is named.
fn name_listen(error: BindError) -> anyhow::Error {
    match error {
        BindError::Address { .. } => anyhow::Error::new(error).context("--listen"),
        _ => error.into(),
    }
}

fn advertise(listener: &BoundListener) -> AdvertisedListener {
    let (host, port) = listener.advertised.clone();
    let security = match listener.transport {
        Transport::Tcp => "PLAINTEXT",
        Transport::Tls | Transport::Quic => "SSL",
    };
    AdvertisedListener { name: listener.name.clone(), host, port, security }
}

/// Serves HTTP beside everything else, until the sender is dropped.
fn serve_http(
    http: HttpServer,
    readiness: Readiness,
    metrics: Arc<Metrics>,
    admin: Admin,
) -> oneshot::Sender<()> {
    let (stop, stopped) = oneshot::channel();
    tokio::spawn(async move {
        let stopped = async move {
            let _dropped = stopped.await.is_err();
        };
        if let Err(error) = http.serve(readiness, metrics, admin, stopped).await {
            tracing::error!(%error, "HTTP is no longer served");
        }
    });
    stop
}
