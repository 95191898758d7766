//! An S3 server in the process of the test, over real HTTP, its objects in a temporary directory. It can be told to
//! refuse requests, and to take its time.

use super::chance::mixed;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3Result, s3_error};
use s3s_fs::FileSystem;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// The only bucket there is.
pub const BUCKET: &str = "cenote-it";
const ACCESS_KEY: &str = "it-access-key";
const SECRET_KEY: &str = "it-secret-key";

/// A server that runs until dropped.
pub struct S3Server {
    root: TempDir,
    address: SocketAddr,
    manners: Arc<Manners>,
    _runtime: Runtime,
}

/// How it treats requests, before it does what they ask.
#[derive(Default)]
struct Manners {
    /// Of a hundred so many are refused.
    refused: AtomicU64,
    /// How long each takes, in milliseconds.
    slow_ms: AtomicU64,
    asked: AtomicU64,
}

impl Manners {
    async fn treat(&self) -> S3Result<()> {
        let slow = Duration::from_millis(self.slow_ms.load(Ordering::Relaxed));
        if !slow.is_zero() {
            tokio::time::sleep(slow).await;
        }
        let number = mixed(self.asked.fetch_add(1, Ordering::Relaxed));
        if number % 100 >= self.refused.load(Ordering::Relaxed) {
            return Ok(());
        }
        Err(if number & 1024 == 0 { s3_error!(InternalError) } else { s3_error!(SlowDown) })
    }
}

/// The manners as `s3s` asks for them.
struct Treated(Arc<Manners>);

impl S3Access for Treated {
    fn check<'this, 'context, 'inside, 'all>(
        &'this self,
        _: &'context mut S3AccessContext<'inside>,
    ) -> Pin<Box<dyn Future<Output = S3Result<()>> + Send + 'all>>
    where
        'this: 'all,
        'context: 'all,
        'inside: 'all,
    {
        Box::pin(self.0.treat())
    }
}

impl S3Server {
    /// Starts a server on a port that the system chooses, with one empty bucket.
    pub fn start() -> S3Server {
        let root = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(root.path().join(BUCKET)).expect("a bucket");
        let mut builder = S3ServiceBuilder::new(FileSystem::new(root.path()).expect("a file system"));
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let manners = Arc::new(Manners::default());
        builder.set_access(Treated(Arc::clone(&manners)));
        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).expect("a port");
        let address = listener.local_addr().expect("a bound port");
        runtime.spawn(serve(listener, builder.build()));
        S3Server { root, address, manners, _runtime: runtime }
    }

    /// From now on so many of a hundred requests are answered with 500 or 503, and not done.
    pub fn refuse(&self, of_hundred: u64) {
        self.manners.refused.store(of_hundred, Ordering::Relaxed);
    }

    /// From now on each request waits so long before it is done.
    pub fn be_slow(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).expect("a short time");
        self.manners.slow_ms.store(millis, Ordering::Relaxed);
    }

    /// From now on it does what it is asked.
    pub fn behave(&self) {
        self.refuse(0);
        self.be_slow(Duration::ZERO);
    }

    /// What a process needs in its environment to use it.
    pub fn variables(&self) -> [(&'static str, String); 5] {
        [
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.into()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.into()),
            ("AWS_ENDPOINT", format!("http://{}", self.address)),
            ("AWS_ALLOW_HTTP", "true".into()),
            ("AWS_DEFAULT_REGION", "us-east-1".into()),
        ]
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The directory whose files are the bucket's objects.
    pub fn bucket(&self) -> PathBuf {
        self.root.path().join(BUCKET)
    }

    /// The file that is the object of an `s3://` URL.
    pub fn file(&self, url: &str) -> PathBuf {
        let object = url.strip_prefix("s3://").expect("an s3:// URL");
        assert!(object.starts_with(&format!("{BUCKET}/")), "the only bucket there is");
        self.root.path().join(object)
    }
}

async fn serve(listener: TcpListener, service: S3Service) {
    while let Ok((socket, _)) = listener.accept().await {
        let service = service.clone();
        tokio::spawn(async move {
            let builder = Builder::new(TokioExecutor::new());
            // A client that goes away in the middle is no failure of the server.
            let _ = builder.serve_connection(TokioIo::new(socket), service).await;
        });
    }
}
