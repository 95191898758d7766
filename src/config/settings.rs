//! Where settings come from: flag, then environment, then file, then default. One table, one precedence.

mod mesh;

use super::etcd;
use super::listeners::{add_advertised, add_listener};
use super::parse::{self, Complaint};
use super::variables::nearest;
use super::{
    ArchiveConfig, ArchivePace, CacheConfig, Config, GroupDefaults, JournalConfig, LimitsConfig, Listener,
    TlsFiles, TopicDefaults, Transport,
};
use crate::types::BrokerId;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Url;

/// One setting: its key is its flag without dashes in front, and its name in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Such as `flush-interval`.
    pub key: &'static str,
    /// The text that stands for it when nobody says otherwise; none: it depends, or there is none.
    pub default: Option<&'static str>,
    /// Whether it may be given several times (in the environment: with commas between).
    pub repeats: Repeats,
}

/// How often a setting may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeats {
    /// Once.
    Once,
    /// Several times.
    List,
}

const fn once(key: &'static str, default: &'static str) -> Setting {
    Setting { key, default: Some(default), repeats: Repeats::Once }
}

const fn depends(key: &'static str) -> Setting {
    Setting { key, default: None, repeats: Repeats::Once }
}

/// All settings of `cenote serve`, `config` itself left out.
pub const SETTINGS: [Setting; 34] = [
    once("data", "./cenote-data"),
    depends("store"),
    once("metadata", "embedded:"),
    Setting { key: "listen", default: None, repeats: Repeats::List },
    Setting { key: "advertise", default: None, repeats: Repeats::List },
    once("http", "127.0.0.1:9644"),
    depends("flush-interval"),
    once("flush-bytes", "8MiB"),
    depends("puts-in-flight"),
    once("archive-bytes", "64MiB"),
    once("archive-age", "10m"),
    once("cache-memory", "512MiB"),
    depends("cache-disk"),
    once("request-memory", "256MiB"),
    depends("frame-bytes-max"),
    once("connections-max", "10000"),
    once("broker-id", "1"),
    depends("zone"),
    once("weight", "1"),
    depends("mesh-listen"),
    depends("mesh-advertised"),
    depends("cluster-secret"),
    depends("cluster-secret-file"),
    depends("mesh-ca"),
    depends("mesh-certificate"),
    depends("mesh-key"),
    once("partitions", "1"),
    once("auto-create-topics", "true"),
    once("group-initial-rebalance-delay", "100ms"),
    once("offsets-retention", "7d"),
    depends("tls-certificate"),
    depends("tls-key"),
    once("log", "info"),
    once("requests-in-flight", "64"),
];

const LISTEN_DEFAULT: [&str; 2] = ["tcp://127.0.0.1:9092", "quic://127.0.0.1:9093"];
const FRAME_BYTES_MAX_DEFAULT: usize = 100 << 20;
/// Four of the blocks that the cache writes; with fewer, each new block takes the place of one that was just filled.
const CACHE_DISK_LEAST: usize = 64 << 20;
const FLUSH_INTERVAL_LONGEST: Duration = Duration::from_secs(60);
const INITIAL_REBALANCE_DELAY_LONGEST: Duration = Duration::from_secs(300);
const ARCHIVE_AGE_LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
const ARCHIVE_AGE_MAX: Duration = Duration::from_secs(24 * 3600);
const OFFSETS_RETENTION_LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

impl Setting {
    /// The name of its environment variable, such as `CENOTE_FLUSH_INTERVAL`.
    #[must_use]
    pub fn variable(&self) -> String {
        variable(self.key)
    }
}

fn variable(key: &str) -> String {
    format!("CENOTE_{}", key.replace('-', "_").to_ascii_uppercase())
}

/// What was given on the command line: texts by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// The settings' file.
    pub config: Option<String>,
    /// All others.
    pub values: BTreeMap<&'static str, Vec<String>>,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody said anything.
    Default,
    /// The command line.
    Flag,
    /// A `CENOTE_*` variable.
    Environment,
    /// The file.
    File(PathBuf),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => f.write_str("default"),
            Source::Flag => f.write_str("flag"),
            Source::Environment => f.write_str("environment"),
            Source::File(path) => write!(f, "file {}", path.display()),
        }
    }
}

/// A setting as it holds, for `cenote config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// Its key.
    pub key: &'static str,
    /// Its texts; none when it is not set.
    pub values: Vec<String>,
    /// Where they came from.
    pub source: Source,
}

impl Effective {
    /// Its name where it was given: a flag, a variable, or a key and its file.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.source {
            Source::Default | Source::Flag => format!("--{}", self.key),
            Source::Environment => variable(self.key),
            Source::File(path) => in_file(self.key, path),
        }
    }
}

/// All settings as they hold, in the order of [`SETTINGS`].
pub type Sources = Vec<Effective>;

/// A bad setting, in one line: its name where it was given, its value, and what is accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {problem}")]
pub struct ConfigError {
    name: String,
    problem: String,
}

/// Puts the settings together. `env` looks a variable up; the file is read if one is named.
pub fn resolve(
    flags: &Flags,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<(Config, Sources), ConfigError> {
    let file = read_file(flags, env)?;
    let gathered = SETTINGS.iter().map(|setting| gather(setting, flags, env, file.as_ref())).collect();
    let mut given = Given { settings: gathered, metadata_password: env(etcd::PASSWORD_VARIABLE) };
    let config = given.config()?;
    given.hide_secrets();
    Ok((config, given.settings))
}

fn gather(
    setting: &Setting,
    flags: &Flags,
    env: &dyn Fn(&str) -> Option<String>,
    file: Option<&SettingsFile>,
) -> Effective {
    let key = setting.key;
    if let Some(values) = flags.values.get(key).filter(|values| !values.is_empty()) {
        return Effective { key, values: values.clone(), source: Source::Flag };
    }
    if let Some(text) = env(&setting.variable()) {
        let values = match setting.repeats {
            Repeats::Once => vec![text],
            Repeats::List => text.split(',').map(|part| part.trim().to_owned()).collect(),
        };
        return Effective { key, values, source: Source::Environment };
    }
    if let Some((file, values)) = file.and_then(|file| Some((file, file.values.get(key)?))) {
        return Effective { key, values: values.clone(), source: Source::File(file.path.clone()) };
    }
    let values = setting.default.iter().map(|text| (*text).to_owned()).collect();
    Effective { key, values, source: Source::Default }
}

struct SettingsFile {
    path: PathBuf,
    values: BTreeMap<&'static str, Vec<String>>,
}

fn read_file(
    flags: &Flags,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<SettingsFile>, ConfigError> {
    let (name, path) = match (&flags.config, env("CENOTE_CONFIG")) {
        (Some(path), _) => ("--config", path.clone()),
        (None, Some(path)) => ("CENOTE_CONFIG", path),
        (None, None) => return Ok(None),
    };
    let error = |problem| ConfigError { name: name.to_owned(), problem };
    let text = std::fs::read_to_string(&path)
        .map_err(|cause| error(format!("\"{path}\" cannot be read: {cause}; accepted: a TOML file")))?;
    let table: toml::Table = text.parse().map_err(|cause: toml::de::Error| {
        let message = cause.message().replace('\n', " ");
        error(format!("\"{path}\" is not TOML: {message}{}", line_of(&text, cause.span())))
    })?;
    let path = PathBuf::from(path);
    let values = table.iter().map(|(key, value)| file_entry(&path, key, value)).collect::<Result<_, _>>()?;
    Ok(Some(SettingsFile { path, values }))
}

fn line_of(text: &str, span: Option<std::ops::Range<usize>>) -> String {
    let Some(before) = span.and_then(|span| text.get(..span.start)) else { return String::new() };
    format!(" (line {})", before.matches('\n').count() + 1)
}

fn file_entry(
    path: &Path,
    key: &str,
    value: &toml::Value,
) -> Result<(&'static str, Vec<String>), ConfigError> {
    let error = |problem| ConfigError { name: in_file(key, path), problem };
    let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) else {
        let keys = SETTINGS.map(|setting| setting.key);
        let nearest = nearest(key, &keys).unwrap_or_default();
        let accepted = keys.join(", ");
        return Err(error(format!("is not a setting; the nearest is {nearest}; accepted: {accepted}")));
    };
    let text = |value: &toml::Value| match value {
        toml::Value::String(text) => Ok(text.clone()),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Boolean(flag) => Ok(flag.to_string()),
        other => Err(error(format!(
            "a {} is not one value; accepted: a text, a number, true, false",
            other.type_str()
        ))),
    };
    let values = match (value, setting.repeats) {
        (toml::Value::Array(values), Repeats::List) => values.iter().map(text).collect::<Result<_, _>>()?,
        (value, _) => vec![text(value)?],
    };
    Ok((setting.key, values))
}

fn in_file(key: &str, path: &Path) -> String {
    format!("{key} in {}", path.display())
}

/// The texts of all settings, on their way to values.
struct Given {
    settings: Vec<Effective>,
    metadata_password: Option<String>,
}

impl Given {
    fn config(&mut self) -> Result<Config, ConfigError> {
        let data = self.value("data", parse::path)?;
        let store = self.store(&data)?;
        let is_local = matches!(store.scheme(), "file" | "memory");
        self.fill("flush-interval", if is_local { "0" } else { "100ms" });
        self.fill("puts-in-flight", if is_local { "2" } else { "4" });
        self.fill("cache-disk", if is_local { "0" } else { "10GiB" });
        let listen = self.get_mut("listen");
        if listen.source == Source::Default {
            listen.values = LISTEN_DEFAULT.map(str::to_owned).to_vec();
        }
        let listeners = self.listeners()?;
        let metadata = self.value("metadata", |text| etcd::metadata(text, self.metadata_password.clone()))?;
        Ok(Config {
            broker_id: BrokerId(self.value("broker-id", |text| parse::number(text, &(0..=i32::MAX)))?),
            zone: self.zone()?,
            weight: self.value("weight", |text| parse::number(text, &(1..=100)))?,
            mesh: self.mesh(&metadata)?,
            metadata,
            tls: self.tls(&listeners)?,
            listeners,
            http: self.value("http", parse::http_address)?,
            journal: self.journal()?,
            archive: self.archive()?,
            cache: CacheConfig {
                memory_bytes: self.value("cache-memory", parse::size)?,
                disk_bytes: self.value("cache-disk", cache_disk)?,
            },
            topics: TopicDefaults {
                num_partitions: self.value("partitions", |text| parse::number(text, &(1..=10_000)))?,
                auto_create: self.value("auto-create-topics", parse::boolean)?,
            },
            groups: GroupDefaults {
                initial_rebalance_delay: self.value("group-initial-rebalance-delay", |text| {
                    parse::duration_up_to(text, INITIAL_REBALANCE_DELAY_LONGEST)
                })?,
                offsets_retention: self.value("offsets-retention", |text| {
                    parse::duration_up_to(text, OFFSETS_RETENTION_LONGEST)
                })?,
            },
            limits: self.limits()?,
            log: self.value("log", parse::log_filter)?,
            data,
            store,
        })
    }

    fn store(&mut self, data: &Path) -> Result<Url, ConfigError> {
        let default = Url::from_directory_path(data.join("store")).expect("the path was made absolute");
        self.fill("store", default.as_str().trim_end_matches('/'));
        self.value("store", parse::store_url)
    }

    fn archive(&self) -> Result<ArchiveConfig, ConfigError> {
        let age = self.value("archive-age", |text| parse::duration_up_to(text, ARCHIVE_AGE_LONGEST))?;
        let bytes = self.value("archive-bytes", |text| parse::size_within(text, &(1024..=1 << 30)))?;
        Ok(ArchiveConfig {
            bytes: bytes as u64,
            age,
            age_max: ARCHIVE_AGE_MAX.max(age),
            pace: ArchivePace::default(),
        })
    }

    fn journal(&self) -> Result<JournalConfig, ConfigError> {
        let interval = |text: &str| parse::duration_up_to(text, FLUSH_INTERVAL_LONGEST);
        Ok(JournalConfig {
            flush_interval: self.value("flush-interval", interval)?,
            flush_bytes: self.value("flush-bytes", |text| parse::size_within(text, &(1024..=1 << 30)))?,
            puts_in_flight: self.value("puts-in-flight", |text| parse::number(text, &(1..=64)))?,
        })
    }

    /// A frame over the whole budget could break the budget's promise. A default gives way, a wish is refused.
    fn limits(&mut self) -> Result<LimitsConfig, ConfigError> {
        let least = 1 << 20;
        let request_memory_bytes =
            self.value("request-memory", |text| parse::size_within(text, &(least..=1 << 42)))?;
        let gives_way = request_memory_bytes < FRAME_BYTES_MAX_DEFAULT;
        let default = if gives_way { request_memory_bytes.to_string() } else { "100MiB".to_owned() };
        self.fill("frame-bytes-max", &default);
        let frame_max = request_memory_bytes.min(i32::MAX as usize);
        let frame = |text: &str| {
            parse::size_within(text, &(1024..=frame_max))
                .map_err(|complaint| format!("{complaint} (request-memory is {request_memory_bytes} bytes)"))
        };
        Ok(LimitsConfig {
            frame_bytes_max: self.value("frame-bytes-max", frame)?,
            request_memory_bytes,
            connections_max: self.value("connections-max", |text| parse::number(text, &(1..=1_000_000)))?,
            requests_in_flight_max: self
                .value("requests-in-flight", |text| parse::number(text, &(1..=1_000)))?,
        })
    }

    fn tls(&self, listeners: &[Listener]) -> Result<Option<TlsFiles>, ConfigError> {
        let refused =
            |key: &str, complaint: &str| self.error(key, &self.get(key).values.join(", "), complaint);
        let half = |key: &str, other: &str| {
            refused(key, &format!("is given without {other}; accepted: both, or neither"))
        };
        let is_given = |key| !self.get(key).values.is_empty();
        match (is_given("tls-certificate"), is_given("tls-key")) {
            (false, false) => Ok(None),
            (true, false) => Err(half("tls-certificate", "tls-key")),
            (false, true) => Err(half("tls-key", "tls-certificate")),
            (true, true) if listeners.iter().all(|listener| listener.transport == Transport::Tcp) => {
                let complaint = "has nothing to do; accepted: with a listener that is tls://… or quic://…";
                Err(refused("tls-certificate", complaint))
            }
            (true, true) => Ok(Some(TlsFiles {
                certificate: self.value("tls-certificate", parse::path)?,
                key: self.value("tls-key", parse::path)?,
            })),
        }
    }

    fn listeners(&self) -> Result<Vec<Listener>, ConfigError> {
        let mut listeners = Vec::new();
        for text in &self.get("listen").values {
            add_listener(text, &mut listeners).map_err(|problem| self.error("listen", text, &problem))?;
        }
        for text in &self.get("advertise").values {
            add_advertised(text, &mut listeners)
                .map_err(|problem| self.error("advertise", text, &problem))?;
        }
        Ok(listeners)
    }

    fn value<T>(&self, key: &str, parse: impl Fn(&str) -> Result<T, Complaint>) -> Result<T, ConfigError> {
        match self.get(key).values.as_slice() {
            [text] => parse(text).map_err(|complaint| self.error(key, text, &complaint)),
            values => Err(self.error(key, &values.join(", "), "is not one value; accepted: one")),
        }
    }

    /// Gives a default that depends on other settings.
    fn fill(&mut self, key: &str, text: &str) {
        let effective = self.get_mut(key);
        if effective.values.is_empty() {
            effective.values.push(text.to_owned());
        }
    }

    fn get(&self, key: &str) -> &Effective {
        self.settings.iter().find(|setting| setting.key == key).expect("every key used is in the table")
    }

    fn get_mut(&mut self, key: &str) -> &mut Effective {
        self.settings.iter_mut().find(|setting| setting.key == key).expect("every key used is in the table")
    }

    /// What is shown from here on has no password in it.
    fn hide_secrets(&mut self) {
        for setting in &mut self.settings {
            for value in &mut setting.values {
                *value = shown(setting.key, value);
            }
        }
    }

    fn error(&self, key: &str, text: &str, complaint: &str) -> ConfigError {
        ConfigError { name: self.name(key), problem: format!("{:?} {complaint}", shown(key, text)) }
    }

    fn name(&self, key: &str) -> String {
        self.get(key).name()
    }
}

/// None, or enough to be a cache.
fn cache_disk(text: &str) -> Result<usize, Complaint> {
    match parse::size(text)? {
        bytes @ (0 | CACHE_DISK_LEAST..) => Ok(bytes),
        _ => Err("is too little for a disk cache; accepted: 0 (none), or 64MiB and more".to_owned()),
    }
}

/// A setting's text as it may be shown.
fn shown(key: &str, text: &str) -> String {
    match key {
        "metadata" => etcd::shown(text),
        "cluster-secret" => etcd::HIDDEN.to_owned(),
        _ => text.to_owned(),
    }
}
