//! What quinn runs in the background, so that it can be ended.
//!
//! A connection that was closed drains for three times what it takes for a round trip, and has the port for as long. After a
//! pause of this process that is seconds, while the next session waits for the port. So once peers had their time to hear that
//! we leave, all of it ends.

use quinn::{AsyncTimer, AsyncUdpSocket, Runtime};
use std::future::Future;
use std::io;
use std::net::UdpSocket;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Tokio, until it is told to end.
#[derive(Debug)]
pub(super) struct Drivers {
    ended: CancellationToken,
}

impl Drivers {
    /// Background tasks end with `ended`.
    pub(super) fn new(ended: CancellationToken) -> Drivers {
        Drivers { ended }
    }
}

impl Runtime for Drivers {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        quinn::TokioRuntime.new_timer(at)
    }

    fn spawn(&self, driver: Driver) {
        let ended = self.ended.clone();
        tokio::spawn(async move {
            let _ended = ended.run_until_cancelled(driver).await;
        });
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        quinn::TokioRuntime.wrap_udp_socket(socket)
    }

    fn now(&self) -> Instant {
        quinn::TokioRuntime.now()
    }
}
