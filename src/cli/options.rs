//! What all commands that talk to a cluster share.

use super::error::CliError;
use crate::client::{Acks, ClientConfig, Cluster, Endpoint, Fingerprint, TlsTrust};
use crate::config;
use crate::wire::batch::Codec;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// How to reach the cluster, and how to answer.
#[derive(Clone, Debug, Args)]
pub(super) struct Common {
    /// Brokers to ask first, separated by commas: host:port or tcp://, tls:// or quic://host:port.
    #[arg(
        long,
        env = "CENOTE_BOOTSTRAP",
        hide_env_values = true,
        default_value = "127.0.0.1:9092",
        value_delimiter = ',',
        value_name = "ADDR"
    )]
    pub(super) bootstrap: Vec<Endpoint>,
    /// Trust the authorities of this PEM file, in place of the system's (for tls:// and quic://).
    #[arg(long, value_name = "FILE", conflicts_with_all = ["tls_fingerprint", "tls_insecure"])]
    pub(super) tls_ca: Option<PathBuf>,
    /// Trust the certificate with this fingerprint: `cenote serve` prints that of one it made itself.
    #[arg(long, value_name = "SHA256", conflicts_with = "tls_insecure")]
    pub(super) tls_fingerprint: Option<Fingerprint>,
    /// Trust any certificate, whoever shows it: for development only.
    #[arg(long)]
    pub(super) tls_insecure: bool,
    /// How to answer: text for people, or one JSON document for scripts.
    #[arg(long, value_enum, default_value_t = Output::Text, value_name = "HOW")]
    pub(super) output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    Text,
    Json,
}

impl Common {
    pub(super) async fn connect(&self) -> Result<Cluster, CliError> {
        let first =
            self.bootstrap.first().ok_or_else(|| CliError::Usage("--bootstrap is empty".to_owned()))?;
        if let Some(other) = self.bootstrap.iter().find(|endpoint| endpoint.scheme != first.scheme) {
            let text = format!("--bootstrap mixes {first} and {other}: all addresses need the same scheme");
            return Err(CliError::Usage(text));
        }
        let mut config = ClientConfig::new(first.clone());
        config.bootstrap = self.bootstrap.clone();
        config.trust = match (&self.tls_ca, self.tls_fingerprint, self.tls_insecure) {
            (Some(file), _, _) => TlsTrust::CaFile(file.clone()),
            (None, Some(fingerprint), _) => TlsTrust::Pinned(fingerprint),
            (None, None, true) => TlsTrust::Insecure,
            (None, None, false) => TlsTrust::System,
        };
        Ok(Cluster::connect(config).await?)
    }
}

pub(super) fn parse_codec(text: &str) -> Result<Codec, String> {
    Codec::from_name(text).ok_or_else(|| "expected none, gzip, snappy, lz4 or zstd".to_owned())
}

pub(super) fn parse_acks(text: &str) -> Result<Acks, String> {
    match text {
        "all" | "-1" => Ok(Acks::All),
        "1" => Ok(Acks::Leader),
        "0" => Ok(Acks::None),
        _ => Err("expected all, 1 or 0".to_owned()),
    }
}

/// A duration as in the settings of `cenote serve`, or a number of milliseconds.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(millis) => Ok(Duration::from_millis(millis)),
        Err(_) => config::duration(text).map_err(|complaint| format!("it {complaint}")),
    }
}

/// A size as in the settings of `cenote serve`.
pub(super) fn parse_size(text: &str) -> Result<usize, String> {
    config::size(text).map_err(|complaint| format!("it {complaint}"))
}

/// `KEY=VALUE`.
pub(super) fn parse_pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    pair.map(|(key, value)| (key.to_owned(), value.to_owned())).ok_or_else(|| "expected KEY=VALUE".to_owned())
}
