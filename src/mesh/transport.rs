//! How QUIC is set for the mesh: windows, streams, PINGs, packets. No decisions.

use super::config::MeshConfig;
use super::identity::{MeshIdentity, MeshIdentityError};
use quinn::{
    ClientConfig, EndpointConfig, IdleTimeout, MtuDiscoveryConfig, ServerConfig, TransportConfig, VarInt,
};
use std::sync::Arc;
use std::time::Duration;

/// Why a connection or a stream ends, as the other side is told.
pub(super) mod code {
    use quinn::VarInt;

    /// All is well; the side that says it has no more to say.
    pub const CLOSED: VarInt = VarInt::from_u32(0);
    /// A stream that was refused before any request of it was read.
    pub const REFUSED: VarInt = VarInt::from_u32(1);
    /// A stream that its sender gives up within a request, or whose answers are no longer wanted.
    pub const ABANDONED: VarInt = VarInt::from_u32(2);
    /// A connection whose other side is not who it has to be.
    pub const WRONG_NAME: VarInt = VarInt::from_u32(3);
}

/// Largest packet that is tried; see `net/quic.rs`.
const PACKET_BYTES_MAX: u16 = 8952;
/// What a stranger may make us keep before its handshake is looked at, in bytes: each, and all together.
const INCOMING_BYTES_MAX: u64 = 64 * 1024;
const INCOMING_BYTES_TOTAL_MAX: u64 = 2 * 1024 * 1024;
/// TLS messages that are kept until they are whole, in bytes.
const CRYPTO_BYTES_MAX: usize = 16 * 1024;

pub(super) fn endpoint() -> EndpointConfig {
    let mut config = EndpointConfig::default();
    config.max_udp_payload_size(PACKET_BYTES_MAX).expect("the constant is over QUIC's minimum of 1200");
    config
}

pub(super) fn server(
    identity: &MeshIdentity,
    config: &MeshConfig,
) -> Result<ServerConfig, MeshIdentityError> {
    let mut server = ServerConfig::with_crypto(Arc::new(identity.quic_server()?));
    server.transport_config(Arc::new(transport(config, None)));
    server.max_incoming(config.limits.handshakes_max);
    server.incoming_buffer_size(INCOMING_BYTES_MAX);
    server.incoming_buffer_size_total(INCOMING_BYTES_TOTAL_MAX);
    server.migration(false);
    Ok(server)
}

pub(super) fn client(
    identity: &MeshIdentity,
    config: &MeshConfig,
) -> Result<ClientConfig, MeshIdentityError> {
    let mut client = ClientConfig::new(Arc::new(identity.quic_client()?));
    client.transport_config(Arc::new(transport(config, Some(config.timing.keep_alive))));
    Ok(client)
}

fn transport(config: &MeshConfig, keep_alive: Option<Duration>) -> TransportConfig {
    let limits = &config.limits;
    let idle = IdleTimeout::try_from(config.timing.idle).expect("seconds are far below QUIC's 2^62 ms");
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.upper_bound(PACKET_BYTES_MAX);
    let mut transport = TransportConfig::default();
    transport
        .receive_window(VarInt::from_u32(limits.connection_window_bytes))
        .stream_receive_window(VarInt::from_u32(limits.stream_window_bytes))
        .send_window(limits.send_window_bytes)
        .max_concurrent_bidi_streams(VarInt::from_u32(limits.streams_max))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .crypto_buffer_size(CRYPTO_BYTES_MAX)
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(keep_alive)
        .mtu_discovery_config(Some(mtu));
    transport
}
