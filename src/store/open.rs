//! From a URL and the environment to a store.

use super::error::one_line;
use super::local::LocalDirectory;
use super::{ObjectPath, ObjectStore};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::local::LocalFileSystem;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientConfigKey, ClientOptions, RetryConfig};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is not one of those that are understood.
    #[error("{url:?} is not a store: {reason}; accepted are {ACCEPTED}")]
    Url {
        /// As given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The directory, or the settings of the cloud in the environment, do not allow it.
    #[error("cannot open the store {url}: {reason}")]
    Unusable {
        /// As given.
        url: String,
        /// What the system said.
        reason: String,
    },
}

const ACCEPTED: &str =
    "file:///path, s3://bucket/prefix, gs://bucket/prefix, az://container/prefix and memory:";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Of a PUT in bulk; longer than any deadline of ours.
const BULK_TIMEOUT: &str = "1 hour";
const RETRY_TIMEOUT: Duration = Duration::from_secs(10);
const RETRIES_MAX: usize = 8;
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

impl ObjectStore {
    /// Opens the store at `url` with the process's environment: `AWS_*`, `GOOGLE_*` or `AZURE_*`. A local
    /// directory is made if it is missing (blocks for a few fsyncs); a remote store is not yet asked anything.
    pub fn open(url: &Url) -> Result<ObjectStore, OpenError> {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        ObjectStore::open_with(url, variables)
    }

    /// The same with other variables in place of the process's environment.
    pub fn open_with(
        url: &Url,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<ObjectStore, OpenError> {
        // reqwest was built without a provider of its own. A second install is refused, which is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let set = |prefix: &'static str| {
            variables.into_iter().filter_map(move |(name, value)| {
                (name.starts_with(prefix) && !value.is_empty()).then(|| (name.to_ascii_lowercase(), value))
            })
        };
        match url.scheme() {
            "memory" => Ok(ObjectStore::in_memory()),
            "file" => open_directory(url),
            "s3" => open_s3(url, set("AWS_")),
            "gs" => open_gs(url, set("GOOGLE_")),
            "az" => open_az(url, set("AZURE_")),
            other => Err(wrong_url(url, &format!("unknown scheme {other}"))),
        }
    }
}

fn open_directory(url: &Url) -> Result<ObjectStore, OpenError> {
    let directory =
        url.to_file_path().map_err(|()| wrong_url(url, "not an absolute path of this machine"))?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong_url(url, "only a path belongs there; write %3F for ? and %23 for #"));
    }
    let unusable = |error: &dyn std::fmt::Display| unusable(url, error);
    crate::disk::create_directory(&directory).map_err(|error| unusable(&error))?;
    let root = std::fs::canonicalize(&directory).map_err(|error| unusable(&error))?;
    let backend = LocalFileSystem::new_with_prefix(&root).map_err(|error| unusable(&one_line(&error)))?;
    Ok(ObjectStore::on_directory(backend.with_fsync(true), LocalDirectory::new(&root), url.as_str()))
}

fn open_s3(url: &Url, variables: impl Iterator<Item = (String, String)>) -> Result<ObjectStore, OpenError> {
    let (bucket, prefix) = bucket_and_prefix(url)?;
    let mut builder = AmazonS3Builder::new().with_client_options(client_options());
    for (name, value) in variables {
        if let Ok(key) = name.parse() {
            builder = builder.with_config(key, value);
        }
    }
    let endpoint = builder
        .get_config_value(&AmazonS3ConfigKey::S3Endpoint)
        .or_else(|| builder.get_config_value(&AmazonS3ConfigKey::Endpoint));
    let plain = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
    let builder = builder
        .with_bucket_name(bucket)
        .with_allow_http(plain)
        // Deletes are few, and not every server like S3 knows the bulk form.
        .with_disable_bulk_delete(true)
        .with_retry(retry_config());
    let bulk = builder.clone().with_config(AmazonS3ConfigKey::Client(ClientConfigKey::Timeout), BULK_TIMEOUT);
    with_prefix(url, builder.build(), bulk.build(), prefix)
}

fn open_gs(url: &Url, variables: impl Iterator<Item = (String, String)>) -> Result<ObjectStore, OpenError> {
    let (bucket, prefix) = bucket_and_prefix(url)?;
    let mut builder = GoogleCloudStorageBuilder::new().with_client_options(client_options());
    for (name, value) in variables {
        if let Ok(key) = name.parse() {
            builder = builder.with_config(key, value);
        }
    }
    let builder = builder.with_bucket_name(bucket).with_retry(retry_config());
    let bulk = builder.clone().with_config(GoogleConfigKey::Client(ClientConfigKey::Timeout), BULK_TIMEOUT);
    with_prefix(url, builder.build(), bulk.build(), prefix)
}

fn open_az(url: &Url, variables: impl Iterator<Item = (String, String)>) -> Result<ObjectStore, OpenError> {
    let (container, prefix) = bucket_and_prefix(url)?;
    let mut builder = MicrosoftAzureBuilder::new().with_client_options(client_options());
    for (name, value) in variables {
        if let Ok(key) = name.parse() {
            builder = builder.with_config(key, value);
        }
    }
    let builder = builder.with_container_name(container).with_retry(retry_config());
    let bulk = builder.clone().with_config(AzureConfigKey::Client(ClientConfigKey::Timeout), BULK_TIMEOUT);
    with_prefix(url, builder.build(), bulk.build(), prefix)
}

fn bucket_and_prefix(url: &Url) -> Result<(&str, Option<ObjectPath>), OpenError> {
    let bucket = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| wrong_url(url, "no bucket"))?;
    let has_user = !url.username().is_empty() || url.password().is_some();
    if url.query().is_some() || url.fragment().is_some() || has_user || url.port().is_some() {
        return Err(wrong_url(url, "only a bucket and a prefix belong there"));
    }
    let prefix = url.path().trim_matches('/');
    let prefix = match prefix {
        "" => None,
        prefix => Some(ObjectPath::parse(prefix).map_err(|error| wrong_url(url, &error.to_string()))?),
    };
    Ok((bucket, prefix))
}

fn with_prefix<T: object_store::ObjectStore>(
    url: &Url,
    built: object_store::Result<T>,
    bulk: object_store::Result<T>,
    prefix: Option<ObjectPath>,
) -> Result<ObjectStore, OpenError> {
    let below = |built: object_store::Result<T>| -> Result<Arc<dyn object_store::ObjectStore>, OpenError> {
        let backend = built.map_err(|error| unusable(url, &one_line(&error)))?;
        Ok(match &prefix {
            Some(prefix) => Arc::new(PrefixStore::new(backend, prefix.inner().clone())),
            None => Arc::new(backend),
        })
    };
    Ok(ObjectStore::with_backends(below(built)?, below(bulk)?, url.as_str()))
}

fn client_options() -> ClientOptions {
    ClientOptions::new().with_connect_timeout(CONNECT_TIMEOUT).with_timeout(REQUEST_TIMEOUT)
}

/// object_store's own would go on for three minutes, longer than any client of ours waits.
fn retry_config() -> RetryConfig {
    let backoff = BackoffConfig { init_backoff: BACKOFF_FIRST, max_backoff: BACKOFF_MAX, base: 2.0 };
    RetryConfig { backoff, max_retries: RETRIES_MAX, retry_timeout: RETRY_TIMEOUT }
}

fn wrong_url(url: &Url, reason: &str) -> OpenError {
    OpenError::Url { url: url.to_string(), reason: reason.to_owned() }
}

fn unusable(url: &Url, reason: &dyn std::fmt::Display) -> OpenError {
    let reason = reason.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    OpenError::Unusable { url: url.to_string(), reason }
}
