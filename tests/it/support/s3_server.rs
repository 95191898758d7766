//! An S3 server in the process of the test, over real HTTP, its objects in a temporary directory.

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
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
    _runtime: Runtime,
}

impl S3Server {
    /// Starts a server on a port that the system chooses, with one empty bucket.
    pub fn start() -> S3Server {
        let root = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(root.path().join(BUCKET)).expect("a bucket");
        let mut builder = S3ServiceBuilder::new(FileSystem::new(root.path()).expect("a file system"));
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).expect("a port");
        let address = listener.local_addr().expect("a bound port");
        runtime.spawn(serve(listener, builder.build()));
        S3Server { root, address, _runtime: runtime }
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
