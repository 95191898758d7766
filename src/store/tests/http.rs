//! A server on this machine that gives fixed answers, and an S3 store upon it.

use crate::store::ObjectStore;
use object_store::aws::AmazonS3Builder;
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with every request; the last one is repeated.
#[derive(Clone)]
pub enum Does {
    /// Writes this and closes.
    Answers(String),
    /// Never answers.
    Waits,
    /// Closes without a word.
    Closes,
}

impl Does {
    /// An answer with a status, as S3 gives it.
    pub fn status(status: u16, body: &str) -> Does {
        Does::Answers(format!(
            "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        ))
    }

    /// The start of an object, whose headers promise `promised` bytes; `extra` ends every line with `\r\n`.
    pub fn object(status: u16, promised: usize, extra: &str, body: &str) -> Does {
        Does::Answers(format!(
            "HTTP/1.1 {status} X\r\ncontent-length: {promised}\r\n{extra}\
             last-modified: Wed, 21 Oct 2015 07:28:00 GMT\r\nconnection: close\r\n\r\n{body}"
        ))
    }
}

/// A server and how many requests it was sent.
pub struct Server {
    pub address: SocketAddr,
    pub requests: Arc<AtomicUsize>,
}

impl Server {
    /// Starts one that does each of `script` once, and then the last one for ever.
    pub async fn start(script: Vec<Does>) -> Server {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("a bound port");
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let turn = counter.fetch_add(1, Ordering::Relaxed);
                let does = script.get(turn).or(script.last()).cloned().unwrap_or(Does::Closes);
                tokio::spawn(serve(socket, does));
            }
        });
        Server { address, requests }
    }

    /// An S3 store upon it that repeats a request `retries_max` times at most.
    pub fn store(&self, retries_max: usize) -> ObjectStore {
        store_at(self.address, retries_max)
    }
}

/// An S3 store at an address.
pub fn store_at(address: SocketAddr, retries_max: usize) -> ObjectStore {
    // A second install is refused, which is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let moment = Duration::from_millis(1);
    let backoff = BackoffConfig { init_backoff: moment, max_backoff: moment, base: 2.0 };
    let retry = RetryConfig { backoff, max_retries: retries_max, retry_timeout: Duration::from_secs(5) };
    let client = ClientOptions::new().with_timeout(Duration::from_millis(500)).with_allow_http(true);
    let backend = AmazonS3Builder::new()
        .with_bucket_name("bucket")
        .with_endpoint(format!("http://{address}"))
        .with_access_key_id("id")
        .with_secret_access_key("secret")
        .with_disable_bulk_delete(true)
        .with_client_options(client)
        .with_retry(retry)
        .build();
    ObjectStore::with_backend(Arc::new(backend.expect("a store")), "s3://bucket")
}

async fn serve(mut socket: TcpStream, does: Does) {
    read_request(&mut socket).await;
    match does {
        // A client that has gone away in the meantime is none of the server's business.
        Does::Answers(text) => drop(socket.write_all(text.as_bytes()).await),
        Does::Waits => std::future::pending().await,
        Does::Closes => {}
    }
}

/// Reads the head and, if there is one, the body.
async fn read_request(socket: &mut TcpStream) {
    let (mut seen, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let count = socket.read(&mut part).await.unwrap_or(0);
        seen.extend_from_slice(&part[..count]);
        let text = String::from_utf8_lossy(&seen).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
            let length: usize = length.map_or(0, |length| length.trim().parse().expect("a number"));
            if body.len() >= length {
                return;
            }
        }
        if count == 0 {
            return;
        }
    }
}
