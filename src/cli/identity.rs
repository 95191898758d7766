//! Who the broker is to TLS and QUIC clients, and to etcd: what is wrong with its files is a mistake in a setting.

use super::error::CliError;
use crate::config::{Config, MetadataConfig, Sources, Transport};
use crate::meta::EtcdStore;
use crate::net::{Identity, IdentityError};

/// The identity that `config` asks for; none where no listener shows one. May write the one for development.
pub(super) fn identity(config: &Config, sources: &Sources) -> Result<Option<Identity>, CliError> {
    let needed = config.listeners.iter().any(|listener| listener.transport != Transport::Tcp);
    if !needed {
        return Ok(None);
    }
    let identity = match &config.tls {
        Some(files) => Identity::from_files(&files.certificate, &files.key)
            .map_err(|error| CliError::Usage(refusal(&error, sources)))?,
        None => Identity::for_development(&config.data.join("tls"))
            .map_err(|error| CliError::Failed(error.to_string()))?,
    };
    Ok(Some(identity))
}

/// One line: the setting as it was given, its file, what is wrong with it, and what is accepted.
fn refusal(error: &IdentityError, sources: &Sources) -> String {
    let (key, accepted) = match error {
        IdentityError::Key { .. } => ("tls-key", "a PEM file with the certificate's key, not encrypted"),
        _ => ("tls-certificate", "a PEM file with the chain of certificates, the broker's own first"),
    };
    format!("{}: {error}; accepted: {accepted}", name_of(sources, key))
}

/// Looks at the files for TLS that `--metadata` names, before anything is opened.
pub(super) fn check_metadata_files(config: &Config, sources: &Sources) -> Result<(), CliError> {
    let MetadataConfig::Etcd(etcd) = &config.metadata else { return Ok(()) };
    EtcdStore::check_files(etcd).map_err(|error| {
        let accepted =
            "PEM files, of which ca has certificates, cert the broker's own first, and key its key";
        CliError::Usage(format!("{}: {error}; accepted: {accepted}", name_of(sources, "metadata")))
    })
}

/// A setting as it was given: a flag, a variable, or a line of a file.
fn name_of(sources: &Sources, key: &str) -> String {
    sources.iter().find(|setting| setting.key == key).expect("every setting has a source").name()
}
