//! An object store in memory whose PUTs can be held: a test learns that one has begun, and lets it go on.

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::fmt::{self, Display};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Puts nothing whose path ends as said before it is let through.
#[derive(Debug)]
pub(super) struct HeldPuts {
    objects: InMemory,
    suffix: &'static str,
    begun: Semaphore,
    let_through: Semaphore,
}

impl HeldPuts {
    pub(super) fn of(suffix: &'static str) -> Arc<HeldPuts> {
        let none = || Semaphore::new(0);
        Arc::new(HeldPuts { objects: InMemory::new(), suffix, begun: none(), let_through: none() })
    }

    /// Waits until a PUT has begun, of which it was not told before.
    pub(super) async fn begun(&self) {
        self.begun.acquire().await.expect("never closed").forget();
    }

    /// One PUT goes on.
    pub(super) fn let_through(&self) {
        self.let_through.add_permits(1);
    }
}

impl Display for HeldPuts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeldPuts({})", self.objects)
    }
}

#[async_trait]
impl ObjectStore for HeldPuts {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        if path.as_ref().ends_with(self.suffix) {
            self.begun.add_permits(1);
            self.let_through.acquire().await.expect("never closed").forget();
        }
        self.objects.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.objects.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.objects.get_opts(path, options).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.objects.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.objects.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.objects.copy_opts(from, to, options).await
    }
}
