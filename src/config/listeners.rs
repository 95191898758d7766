//! `--listen` and `--advertise`: the doors, and what clients are told of them.

use super::parse::Complaint;
use super::{Listener, Transport};

const LISTEN_ACCEPTED: &str =
    "accepted: [NAME=]tcp://host:port, [NAME=]tls://host:port, [NAME=]quic://host:port";
const ADVERTISE_ACCEPTED: &str = "accepted: NAME=host:port";

/// Adds the listener in `text` to those before it.
pub fn add_listener(text: &str, listeners: &mut Vec<Listener>) -> Result<(), Complaint> {
    let (name, address) = match text.split_once('=') {
        Some((name, address)) => (Some(name), address),
        None => (None, text),
    };
    let not_one = || format!("is not a listener; {LISTEN_ACCEPTED}");
    let (scheme, address) = address.split_once("://").ok_or_else(not_one)?;
    let transport = transport(scheme).ok_or_else(not_one)?;
    let (host, port) = host_and_port(address).ok_or_else(not_one)?;
    let name = match name {
        Some(name) if is_name(name) => name.to_owned(),
        Some(_) => return Err("has an illegal name; accepted: letters, digits, '_' and '-'".to_owned()),
        None => default_name(transport).to_owned(),
    };
    check_against(&name, transport, &host, port, text.contains('='), listeners)?;
    listeners.push(Listener { name, transport, host, port, advertised: None });
    Ok(())
}

fn check_against(
    name: &str,
    transport: Transport,
    host: &str,
    port: u16,
    is_named: bool,
    listeners: &[Listener],
) -> Result<(), Complaint> {
    let udp = |transport| transport == Transport::Quic;
    for other in listeners {
        if other.name == name && is_named {
            return Err(format!("is the second listener named {name}; give each another name"));
        }
        if other.name == name {
            return Err(format!(
                "is the second listener named {name}; name it, as in NAME={}",
                scheme(transport)
            ));
        }
        let same_place = port != 0 && other.port == port && other.host == host;
        if same_place && udp(other.transport) == udp(transport) {
            return Err(format!("is where {} listens already; give another port", other.name));
        }
    }
    Ok(())
}

/// Adds what clients of one listener are told.
pub fn add_advertised(text: &str, listeners: &mut [Listener]) -> Result<(), Complaint> {
    let not_one = || format!("is not an advertised address; {ADVERTISE_ACCEPTED}");
    let (name, address) = text.split_once('=').ok_or_else(not_one)?;
    let (host, port) = host_and_port(address).filter(|(_, port)| *port != 0).ok_or_else(not_one)?;
    let names = listeners.iter().map(|listener| listener.name.clone()).collect::<Vec<_>>().join(", ");
    let Some(listener) = listeners.iter_mut().find(|listener| listener.name == name) else {
        return Err(format!("names no listener; accepted: NAME=host:port with NAME one of {names}"));
    };
    if listener.advertised.is_some() {
        return Err(format!("is the second address advertised for {name}; accepted: one for each listener"));
    }
    listener.advertised = Some((host, port));
    Ok(())
}

fn transport(scheme: &str) -> Option<Transport> {
    match scheme {
        "tcp" => Some(Transport::Tcp),
        "tls" => Some(Transport::Tls),
        "quic" => Some(Transport::Quic),
        _ => None,
    }
}

fn scheme(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "tcp://…",
        Transport::Tls => "tls://…",
        Transport::Quic => "quic://…",
    }
}

fn default_name(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "PLAINTEXT",
        Transport::Tls => "SSL",
        Transport::Quic => "QUIC",
    }
}

fn is_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    !name.is_empty() && name.bytes().all(legal)
}

/// `host:port`, or `[v6]:port`; the brackets are left out.
pub(super) fn host_and_port(address: &str) -> Option<(String, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.strip_suffix(']').filter(|v6| v6.parse::<std::net::Ipv6Addr>().is_ok())?,
        None => host,
    };
    let illegal = |byte: u8| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'?' | b'#' | b'@' | b'=');
    let is_bare_v6 = host.contains(':') && !address.starts_with('[');
    (!host.is_empty() && !is_bare_v6 && !host.bytes().any(illegal)).then(|| (host.to_owned(), port))
}
