//! Plain TCP, and the accepting that TLS shares with it.

use super::connection::{self, Context};
use crate::handler::ConnectionInfo;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// The next connection. Errors of a single connection are skipped; when the process is out of files, waits.
pub async fn accept(listener: &TcpListener, context: &Context) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                if stream.set_nodelay(true).is_ok() {
                    return (stream, peer);
                }
            }
            Err(error) => {
                if let Some(unsaid) = context.admission.may_log() {
                    tracing::warn!(%error, unsaid, "a connection could not be accepted");
                }
                if !is_of_one_connection(&error) {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Out of file descriptors, nothing tells when one is free again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves one plain connection.
pub async fn serve(context: Context, info: ConnectionInfo, stream: TcpStream) {
    let (reader, writer) = stream.into_split();
    connection::run(context, info, reader, writer).await;
}
