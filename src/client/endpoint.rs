//! Addresses of brokers as people write them: `tcp://host:port`, `tls://…`, `quic://…`, or `host:port`.

use std::fmt;
use std::str::FromStr;

/// How bytes travel to a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// QUIC, one Kafka connection a bidirectional stream.
    Quic,
}

/// Where a broker listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// How bytes travel.
    pub scheme: Scheme,
    /// Name or address, an IPv6 address without its brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// Why text is no address of a broker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not an address: expected host:port, tcp://host:port, tls://host:port or quic://host:port"
)]
pub struct EndpointError {
    text: String,
}

impl FromStr for Endpoint {
    type Err = EndpointError;
    fn from_str(text: &str) -> Result<Endpoint, EndpointError> {
        parse(text).ok_or_else(|| EndpointError { text: text.to_owned() })
    }
}

fn parse(text: &str) -> Option<Endpoint> {
    let (scheme, rest) = match text.split_once("://") {
        None => (Scheme::Tcp, text),
        Some(("tcp", rest)) => (Scheme::Tcp, rest),
        Some(("tls", rest)) => (Scheme::Tls, rest),
        Some(("quic", rest)) => (Scheme::Quic, rest),
        Some(_) => return None,
    };
    let (host, port) = rest.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    let legal =
        !host.is_empty() && !host.contains(['/', '@', '[', ']']) && !host.contains(char::is_whitespace);
    let port = port.parse().ok().filter(|port| *port != 0)?;
    legal.then(|| Endpoint { scheme, host: host.to_owned(), port })
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Tcp => "tcp",
            Scheme::Tls => "tls",
            Scheme::Quic => "quic",
        };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests;
