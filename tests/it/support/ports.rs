//! Port numbers for brokers that must come back under the same one.
//!
//! They lie below the range from which systems choose ports for outgoing connections, so that no client of
//! another test can take one between a kill and a restart.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

const LOWEST: u16 = 11_000;
const HIGHEST: u16 = 31_000;

/// How many of the range were tried by this process.
static TRIED: AtomicU16 = AtomicU16::new(0);

/// A port of 127.0.0.1 that is free now, for TCP and for UDP, and that no other caller was given.
pub fn free_port() -> u16 {
    let span = HIGHEST - LOWEST;
    // Two test runs side by side start at different places.
    let start = u16::try_from(std::process::id() * 131 % u32::from(span)).expect("below the span");
    for _ in 0..span {
        let tried = TRIED.fetch_add(1, Ordering::Relaxed);
        let port = LOWEST + (start + tried % span) % span;
        let address = (Ipv4Addr::LOCALHOST, port);
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return port;
        }
    }
    panic!("no free port between {LOWEST} and {HIGHEST}");
}
