//! A link to a server whose uploads can be made slow, as those of a small machine far from its bucket are.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::time::{MissedTickBehavior, interval};

/// Time is told in steps of this length.
const STEP: Duration = Duration::from_millis(10);

/// Passes connections on until dropped.
pub struct SlowLink {
    address: SocketAddr,
    bytes_per_step: Arc<AtomicUsize>,
    _runtime: Runtime,
}

impl SlowLink {
    /// A link that is as fast as it can be.
    pub fn to(server: SocketAddr) -> SlowLink {
        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).expect("a port");
        let address = listener.local_addr().expect("a bound port");
        let bytes_per_step = Arc::new(AtomicUsize::new(usize::MAX));
        runtime.spawn(accept(listener, server, Arc::clone(&bytes_per_step)));
        SlowLink { address, bytes_per_step, _runtime: runtime }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on each connection takes so many bytes a second from its client.
    pub fn limit_uploads(&self, bytes_per_second: usize) {
        let steps = usize::try_from(Duration::from_secs(1).as_millis() / STEP.as_millis()).expect("few");
        self.bytes_per_step.store(bytes_per_second / steps, Ordering::Relaxed);
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, bytes_per_step: Arc<AtomicUsize>) {
    while let Ok((client, _)) = listener.accept().await {
        let Ok(server) = TcpStream::connect(server).await else { continue };
        let (from_client, mut to_client) = client.into_split();
        let (mut from_server, to_server) = server.into_split();
        tokio::spawn(upload(from_client, to_server, Arc::clone(&bytes_per_step)));
        // Either side may go away in the middle.
        tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    }
}

async fn upload(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, bytes_per_step: Arc<AtomicUsize>) {
    let mut step = interval(STEP);
    step.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut buffer = vec![0; 256 << 10];
    loop {
        let limit = bytes_per_step.load(Ordering::Relaxed);
        if limit < usize::MAX {
            step.tick().await;
        }
        let room = limit.min(buffer.len());
        match from.read(&mut buffer[..room]).await {
            Ok(count) if count > 0 && to.write_all(&buffer[..count]).await.is_ok() => {}
            _ => return,
        }
    }
}
