//! What a starting broker tells the person before it: what listens where, a command to try, and what may surprise.

use crate::config::{Config, Listener, Transport};
use crate::net::{BoundListener, Identity};
use std::io::{self, Write};
use std::net::SocketAddr;

/// What listens where.
pub(super) struct Doors<'a> {
    pub(super) bound: &'a [BoundListener],
    pub(super) http: Option<SocketAddr>,
    pub(super) identity: Option<&'a Identity>,
}

/// Prints what listens where, where things lie, and a command to try; `ready` comes last.
pub(super) fn greet(out: &mut (dyn Write + Send), config: &Config, doors: &Doors<'_>) -> io::Result<()> {
    writeln!(out, "cenote {} on broker id {}", env!("CARGO_PKG_VERSION"), config.broker_id.0)?;
    for listener in doors.bound {
        writeln!(out, "  {:<10} {}://{}", listener.name, scheme(listener.transport), listener.address)?;
    }
    if let Some(http) = doors.http {
        writeln!(out, "  {:<10} http://{http}  (/healthz, /readyz, /metrics, /archive)", "HTTP")?;
    }
    writeln!(out, "  {:<10} {}", "data", config.data.display())?;
    writeln!(out, "  {:<10} {}", "store", config.store)?;
    let fingerprint = doors.identity.filter(|_| config.tls.is_none()).map(Identity::fingerprint);
    if let Some(fingerprint) = &fingerprint {
        writeln!(out, "  {:<10} {fingerprint}  (self-signed, SHA-256)", "tls")?;
    }
    let tcp = doors.bound.iter().find(|listener| listener.transport == Transport::Tcp);
    if let Some(listener) = tcp.or(doors.bound.first()) {
        let bootstrap = bootstrap(listener, fingerprint.as_deref());
        writeln!(out, "try: echo hello | cenote produce greetings {bootstrap}")?;
    }
    writeln!(out, "ready")?;
    out.flush()
}

/// How a client reaches a listener: at the address that it would be told anyway.
fn bootstrap(listener: &BoundListener, fingerprint: Option<&str>) -> String {
    let told = told(listener);
    match (listener.transport, fingerprint) {
        (Transport::Tcp, _) => format!("--bootstrap {told}"),
        (transport, None) => format!("--bootstrap {}://{told}", scheme(transport)),
        (transport, Some(fingerprint)) => {
            format!("--bootstrap {}://{told} --tls-fingerprint {fingerprint}", scheme(transport))
        }
    }
}

/// What clients of a listener are told, as `host:port`.
fn told(listener: &BoundListener) -> String {
    let (host, port) = &listener.advertised;
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn scheme(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "tcp",
        Transport::Tls => "tls",
        Transport::Quic => "quic",
    }
}

/// Says in the log what is legal and probably not what was meant.
pub(super) fn warn_of_surprises(config: &Config, bound: &[BoundListener]) {
    if config.store.scheme() == "memory" && config.data.join("metadata").exists() {
        let data = config.data.display();
        tracing::warn!(
            %data,
            "the store is memory, lost at the end; the log in the data directory is neither served nor changed"
        );
    }
    for listener in config.listeners.iter().zip(bound).filter_map(told_little) {
        tracing::warn!(
            listener = listener.name,
            told = told(listener),
            "listens on every address, but clients are told one that only this machine reaches: see --advertise"
        );
    }
}

/// A listener on every address of which nobody said what clients are to be told.
fn told_little<'a>((wanted, bound): (&Listener, &'a BoundListener)) -> Option<&'a BoundListener> {
    (wanted.advertised.is_none() && bound.address.ip().is_unspecified()).then_some(bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(transport: Transport, host: &str) -> BoundListener {
        let address = SocketAddr::from(([0, 0, 0, 0], 9092));
        BoundListener { name: "A".to_owned(), transport, address, advertised: (host.to_owned(), 9092) }
    }

    #[test]
    fn the_command_to_try_goes_to_the_address_that_clients_are_told() {
        for (transport, host, fingerprint, expected) in [
            (Transport::Tcp, "localhost", Some("AB"), "--bootstrap localhost:9092"),
            (Transport::Tcp, "::1", None, "--bootstrap [::1]:9092"),
            (Transport::Tls, "b.example", None, "--bootstrap tls://b.example:9092"),
            (
                Transport::Quic,
                "b.example",
                Some("AB"),
                "--bootstrap quic://b.example:9092 --tls-fingerprint AB",
            ),
        ] {
            assert_eq!(bootstrap(&bound(transport, host), fingerprint), expected);
        }
    }

    #[test]
    fn only_a_listener_on_every_address_without_an_advertised_one_is_warned_of() {
        let wanted = |advertised| Listener {
            name: "A".to_owned(),
            transport: Transport::Tcp,
            host: "0.0.0.0".to_owned(),
            port: 9092,
            advertised,
        };
        let everywhere = bound(Transport::Tcp, "localhost");
        let here = BoundListener { address: SocketAddr::from(([127, 0, 0, 1], 9092)), ..everywhere.clone() };
        assert!(told_little((&wanted(None), &everywhere)).is_some());
        assert!(told_little((&wanted(Some(("b.example".to_owned(), 9092))), &everywhere)).is_none());
        assert!(told_little((&wanted(None), &here)).is_none());
    }
}
