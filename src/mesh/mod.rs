//! Requests between brokers, and whether a broker is there at all.
//!
//! ```text
//!           ┌─ call: a stream for each request ────────────────────────────┐
//! Peer ─────┤                                                              ├─▶ endpoint ─▶ ServeStream
//!           ├─ open_ordered: one stream, answers in order ─────────────────┘   (preamble, who, bytes in, bytes out)
//!           │        one QUIC connection for each pair and direction, mutual TLS
//!           └─ sighting ◀── PINGs unanswered (silent) ; the tell-tale's end (gone)
//!                    one idle TCP connection for each pair and direction, to the same port, the same TLS
//! ```
//! A stream begins with a [`Preamble`]; what follows are Kafka frames, which this room carries and does not read, but for the
//! correlation id: an answer is given to the request that it belongs to, or the stream ends. A request that was not
//! answered is either *not sent*, which is proven, or *unknown*; this room never sends one twice.
//!
//! Who made a connection keeps it: makes it again when it is lost, sends the PINGs and judges by their answers. So each direction
//! stands alone, and a cut line that carries bytes one way only is seen by the side whose bytes are lost.
//!
//! Never: what a request means, who leads what, whom to seal.

mod accept;
mod advertise;
mod backoff;
mod call;
mod carrier;
mod cause;
mod config;
mod credentials;
mod drivers;
mod endpoint;
mod frame;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod identity;
mod keep;
mod name;
mod ordered;
mod peer;
mod preamble;
mod reachability;
mod secret;
#[cfg(feature = "simulation")]
pub mod simulated;
mod stream;
mod tell_tale;
mod transport;

pub use accept::{MeshStream, ServeStream};
pub use advertise::advertised;
pub use call::{CallError, NotSent, Unknown};
pub use cause::ConnectError;
pub use config::{MeshConfig, MeshLimits, MeshTiming};
pub use credentials::MeshCredentials;
pub use endpoint::{MeshBindError, MeshEndpoint};
pub use identity::{ALPN, MeshIdentity, MeshIdentityError, TELL_TALE_ALPN};
pub use name::{MeshName, NameError};
pub use ordered::{OrderedStream, PendingAnswer};
pub use peer::{Peer, PeerAddress};
pub use preamble::{ClientSecurity, LISTENER_BYTES_MAX, PRINCIPAL_BYTES_MAX, Preamble, PreambleError};
pub use reachability::{Reachability, Sighting, TellTale};
pub use secret::{ClusterSecret, SecretError};
pub use stream::{MeshReader, MeshWriter};

#[cfg(test)]
mod tests;
