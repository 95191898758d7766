//! How much and how long, between brokers.

use std::time::Duration;

/// Everything that may be set about the mesh.
#[derive(Clone, Debug, Default)]
pub struct MeshConfig {
    /// How much.
    pub limits: MeshLimits,
    /// How long.
    pub timing: MeshTiming,
    /// What the pauses between attempts are spread by; another one on every broker.
    pub seed: u64,
}

/// What is held at most. Windows are what each side lets the other have on its way: both sides' memory is bounded by them.
#[derive(Clone, Copy, Debug)]
pub struct MeshLimits {
    /// QUIC connections from other brokers; as many tell-tales.
    pub connections_max: usize,
    /// Handshakes that are not over, of QUIC and of tell-tales each: all that a stranger can hold.
    pub handshakes_max: usize,
    /// Streams that a peer may have open to us on one connection.
    pub streams_max: u32,
    /// What one stream may have on its way to us, in bytes.
    pub stream_window_bytes: u32,
    /// What all streams of a connection may have on their way to us, in bytes.
    pub connection_window_bytes: u32,
    /// What we keep until a peer has it, of all streams of a connection, in bytes.
    pub send_window_bytes: u64,
    /// The longest answer, in bytes.
    pub answer_bytes_max: usize,
    /// Requests without answer on one ordered stream.
    pub ordered_in_flight_max: usize,
}

impl Default for MeshLimits {
    fn default() -> MeshLimits {
        MeshLimits {
            connections_max: 1024,
            handshakes_max: 64,
            streams_max: 8192,
            stream_window_bytes: 1024 * 1024,
            connection_window_bytes: 16 * 1024 * 1024,
            send_window_bytes: 16 * 1024 * 1024,
            answer_bytes_max: 128 * 1024 * 1024,
            ordered_in_flight_max: 1024,
        }
    }
}

/// When something is done, or given up.
#[derive(Clone, Copy, Debug)]
pub struct MeshTiming {
    /// With nothing else to send, whoever made a connection sends a PING so often. It is well below `silence`, so that one
    /// lost packet is not silence yet.
    pub keep_alive: Duration,
    /// A peer that answers nothing for so long is silent.
    pub silence: Duration,
    /// A connection with nothing from the other side for so long has ended.
    pub idle: Duration,
    /// How long a connection may take to be made, names told included.
    pub handshake: Duration,
    /// The first pause after a connection could not be made, or was lost soon.
    pub retry_first: Duration,
    /// The longest.
    pub retry_max: Duration,
    /// A tell-tale carries a byte so often, so that no box on its way forgets it.
    pub beat: Duration,
    /// The other side closes a tell-tale without a byte for so long.
    pub beat_missing: Duration,
}

impl Default for MeshTiming {
    fn default() -> MeshTiming {
        MeshTiming {
            keep_alive: Duration::from_millis(150),
            silence: Duration::from_millis(400),
            idle: Duration::from_secs(3),
            handshake: Duration::from_secs(3),
            retry_first: Duration::from_millis(50),
            retry_max: Duration::from_secs(1),
            beat: Duration::from_secs(5),
            beat_missing: Duration::from_secs(20),
        }
    }
}
