//! TLS over TCP: a handshake with a time limit, then the same loop.

use super::certificate::{Identity, IdentityError};
use super::connection::{self, Context};
use crate::handler::ConnectionInfo;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// How long a TLS or QUIC handshake may take.
pub const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);

/// TLS 1.2 and 1.3 with `identity`.
pub fn acceptor(identity: &Identity) -> Result<TlsAcceptor, IdentityError> {
    let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
    Ok(TlsAcceptor::from(Arc::new(identity.server_config(&versions)?)))
}

/// Serves one TLS connection.
pub async fn serve(context: Context, info: ConnectionInfo, stream: TcpStream, acceptor: TlsAcceptor) {
    let stream = match timeout(HANDSHAKE_TIME_MAX, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return log_failure(&context, &info, &error),
        Err(elapsed) => return log_failure(&context, &info, &elapsed),
    };
    let (reader, writer) = tokio::io::split(stream);
    connection::run(context, info, reader, writer).await;
}

fn log_failure(context: &Context, info: &ConnectionInfo, error: &dyn std::fmt::Display) {
    context.admission.metrics.connections_failed.inc();
    if let Some(unsaid) = context.admission.may_log() {
        tracing::warn!(peer = %info.peer, listener = info.listener, %error, unsaid, "no TLS handshake");
    }
}
