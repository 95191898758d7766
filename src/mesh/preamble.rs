//! What a gateway says of its client before the client's own bytes: the head of every stream.
//!
//! ```text
//! 0   2  bytes of the whole preamble, these two included
//! 2   1  version, 1
//! 3   1  client address: 4 or 6
//! 4   2  flags: 1 = the client's bytes came encrypted
//! 6   2  client port
//! 8   4  number of the sender's view
//! 12  16 client address, of version 4 in the first four with zeros behind
//! 28  1  bytes of the listener's name
//! 29  1  zero
//! 30  2  bytes of the principal
//! 32     the listener's name, then the principal, UTF-8
//! ```
//! Numbers are big-endian. A receiver refuses what it does not know, flags too, before it reads a request: the sender may
//! then send the request elsewhere.

use crate::types::ViewNumber;
use bytes::{BufMut, Bytes, BytesMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::io::{self, AsyncRead, AsyncReadExt};

/// Whose requests a stream carries, and what their sender knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preamble {
    /// The newest view that the sender knows. Who knows an older one refreshes first.
    pub view: ViewNumber,
    /// The listener that the client came in by: answers that name brokers use its addresses.
    pub listener: String,
    /// Where the client is.
    pub client: SocketAddr,
    /// How the client's bytes came to the gateway.
    pub security: ClientSecurity,
    /// Who the client is, as the gateway has found out; empty for nobody in particular.
    pub principal: String,
}

/// How a client's bytes came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientSecurity {
    /// As they are.
    Plain,
    /// By TLS or QUIC.
    Encrypted,
}

/// Why a preamble cannot be made or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PreambleError {
    /// A name is longer than it may be.
    #[error("{what} of {bytes} bytes")]
    TooLong {
        /// Which.
        what: &'static str,
        /// Its length.
        bytes: usize,
    },
    /// Of a later version, or of none.
    #[error("a preamble of version {0}")]
    Version(u8),
    /// Flags that this version does not know.
    #[error("a preamble with the flags {0:#06x}")]
    Flags(u16),
    /// Bytes that do not follow the layout.
    #[error("a malformed preamble")]
    Malformed,
}

const VERSION: u8 = 1;
const FLAG_ENCRYPTED: u16 = 1;
/// Bytes before the names.
const HEAD_BYTES: usize = 32;
/// The longest name of a listener, in bytes.
pub const LISTENER_BYTES_MAX: usize = 128;
/// The longest principal, in bytes.
pub const PRINCIPAL_BYTES_MAX: usize = 256;
const PREAMBLE_BYTES_MAX: usize = HEAD_BYTES + LISTENER_BYTES_MAX + PRINCIPAL_BYTES_MAX;

impl Preamble {
    /// Its bytes.
    pub fn encode(&self) -> Result<Bytes, PreambleError> {
        check("a listener's name", self.listener.len(), LISTENER_BYTES_MAX)?;
        check("a principal", self.principal.len(), PRINCIPAL_BYTES_MAX)?;
        let length = HEAD_BYTES + self.listener.len() + self.principal.len();
        let short = |length: usize| u16::try_from(length).expect("checked to be a few hundred at most");
        let mut bytes = BytesMut::with_capacity(length);
        bytes.put_u16(short(length));
        bytes.put_u8(VERSION);
        bytes.put_u8(if self.client.is_ipv4() { 4 } else { 6 });
        bytes.put_u16(match self.security {
            ClientSecurity::Plain => 0,
            ClientSecurity::Encrypted => FLAG_ENCRYPTED,
        });
        bytes.put_u16(self.client.port());
        bytes.put_i32(self.view.0);
        match self.client.ip() {
            IpAddr::V4(address) => {
                bytes.put_slice(&address.octets());
                bytes.put_bytes(0, 12);
            }
            IpAddr::V6(address) => bytes.put_slice(&address.octets()),
        }
        bytes.put_u8(u8::try_from(self.listener.len()).expect("checked to be 128 at most"));
        bytes.put_u8(0);
        bytes.put_u16(short(self.principal.len()));
        bytes.put_slice(self.listener.as_bytes());
        bytes.put_slice(self.principal.as_bytes());
        Ok(bytes.freeze())
    }

    /// Reads one, exactly.
    pub fn decode(bytes: &[u8]) -> Result<Preamble, PreambleError> {
        let (head, names) = bytes.split_first_chunk::<HEAD_BYTES>().ok_or(PreambleError::Malformed)?;
        let short = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
        if head[2] != VERSION {
            return Err(PreambleError::Version(head[2]));
        }
        let security = match short(4) {
            0 => ClientSecurity::Plain,
            FLAG_ENCRYPTED => ClientSecurity::Encrypted,
            unknown => return Err(PreambleError::Flags(unknown)),
        };
        let (listener_bytes, principal_bytes) = (usize::from(head[28]), usize::from(short(30)));
        check("a listener's name", listener_bytes, LISTENER_BYTES_MAX)?;
        check("a principal", principal_bytes, PRINCIPAL_BYTES_MAX)?;
        let lengths = usize::from(short(0)) == bytes.len() && names.len() == listener_bytes + principal_bytes;
        if !lengths || head[29] != 0 {
            return Err(PreambleError::Malformed);
        }
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| PreambleError::Malformed);
        let (listener, principal) = names.split_at(listener_bytes);
        Ok(Preamble {
            view: ViewNumber(i32::from_be_bytes([head[8], head[9], head[10], head[11]])),
            listener: text(listener)?,
            client: SocketAddr::new(address(head)?, short(6)),
            security,
            principal: text(principal)?,
        })
    }

    /// Reads one from the head of a stream.
    pub(super) async fn read(
        reader: &mut (impl AsyncRead + Unpin),
    ) -> io::Result<Result<Preamble, PreambleError>> {
        let mut bytes = vec![0; PREAMBLE_BYTES_MAX];
        reader.read_exact(&mut bytes[..HEAD_BYTES]).await?;
        let length = usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
        // What is not of this version may have another length.
        if bytes[2] == VERSION && !(HEAD_BYTES..=PREAMBLE_BYTES_MAX).contains(&length) {
            return Ok(Err(PreambleError::Malformed));
        }
        if bytes[2] == VERSION {
            reader.read_exact(&mut bytes[HEAD_BYTES..length]).await?;
            bytes.truncate(length);
        }
        Ok(Preamble::decode(&bytes))
    }
}

fn check(what: &'static str, bytes: usize, max: usize) -> Result<(), PreambleError> {
    if bytes > max { Err(PreambleError::TooLong { what, bytes }) } else { Ok(()) }
}

fn address(head: &[u8; HEAD_BYTES]) -> Result<IpAddr, PreambleError> {
    let octets: [u8; 16] = *head[12..28].first_chunk().expect("28 - 12 is 16");
    let [a, b, c, d, rest @ ..] = octets;
    match head[3] {
        4 if rest == [0; 12] => Ok(Ipv4Addr::new(a, b, c, d).into()),
        6 => Ok(Ipv6Addr::from(octets).into()),
        _ => Err(PreambleError::Malformed),
    }
}

#[cfg(test)]
mod tests;
