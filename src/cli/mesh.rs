//! What a broker must be told that shares its metadata with others: who it is, and by what they know it.

use super::error::CliError;
use crate::config::{Config, MeshSettings, MeshTrust, Source, Sources};
use crate::mesh::MeshCredentials;

/// By what the broker of `config` is known to others; none if it has its metadata to itself.
pub(super) fn credentials(config: &Config, sources: &Sources) -> Result<Option<MeshCredentials>, CliError> {
    let Some(mesh) = &config.mesh else { return Ok(None) };
    let broker_id = setting(sources, "broker-id");
    if broker_id.source == Source::Default {
        // Two of one id would end each other's sessions in turn.
        let text = "--broker-id: is not given; metadata on etcd may be shared, and each broker has an id of its own; \
                    accepted: 0 to 2147483647";
        return Err(CliError::Usage(text.to_owned()));
    }
    let Some(trust) = &mesh.trust else {
        let text = "--cluster-secret: is not given; metadata on etcd may be shared, and brokers know each other by a \
                    secret; accepted: CENOTE_CLUSTER_SECRET or --cluster-secret-file with the same 16 bytes or more for \
                    all (openssl rand -base64 32 makes them), or --mesh-ca, --mesh-certificate and --mesh-key";
        return Err(CliError::Usage(text.to_owned()));
    };
    let credentials = MeshCredentials::open(trust);
    let named = |error| CliError::Usage(format!("{}: {error}", setting(sources, key_of(mesh)).name()));
    credentials.map(Some).map_err(named)
}

fn key_of(mesh: &MeshSettings) -> &'static str {
    match mesh.trust {
        None | Some(MeshTrust::Secret(_)) => "cluster-secret",
        Some(MeshTrust::SecretFile(_)) => "cluster-secret-file",
        Some(MeshTrust::Files(_)) => "mesh-ca",
    }
}

fn setting<'a>(sources: &'a Sources, key: &str) -> &'a crate::config::Effective {
    sources.iter().find(|setting| setting.key == key).expect("every setting has a source")
}

#[cfg(test)]
mod tests {
    use super::credentials;
    use crate::config::{Flags, resolve};

    fn check(flags: &[(&'static str, &str)], secret: Option<&str>) -> Result<bool, String> {
        let values = flags.iter().map(|(key, value)| (*key, vec![(*value).to_owned()])).collect();
        let flags = Flags { values, ..Flags::default() };
        let env = |name: &str| secret.filter(|_| name == "CENOTE_CLUSTER_SECRET").map(str::to_owned);
        let (config, sources) = resolve(&flags, &env).expect("legal");
        credentials(&config, &sources).map(|found| found.is_some()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_broker_on_etcd_has_an_id_and_a_secret_and_one_alone_needs_neither() {
        let (etcd, id) = (("metadata", "etcd://h:1"), ("broker-id", "1"));
        let good = Some("0123456789abcdef");
        assert_eq!(check(&[], None), Ok(false));
        assert_eq!(check(&[etcd, id], good), Ok(true));
        for (flags, secret, expected) in [
            (&[etcd][..], good, "--broker-id: is not given;"),
            (&[etcd, id], None, "--cluster-secret: is not given;"),
            (&[etcd, id], Some("short"), "CENOTE_CLUSTER_SECRET: the cluster secret has 5 bytes"),
            (
                &[etcd, id, ("cluster-secret-file", "/no/such/file")],
                None,
                "--cluster-secret-file: the cluster secret cannot be read from",
            ),
        ] {
            let line = check(flags, secret).expect_err(expected);
            assert!(line.starts_with(expected) && !line.contains('\n'), "{line}");
        }
    }
}
