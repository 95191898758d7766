//! Why there is no connection between two brokers, in words that tell what to change.

use super::name::NameError;
use crate::types::SessionId;
use quinn::ConnectionError;
use rustls::{AlertDescription, CertificateError};
use std::io;

/// Why a connection to a peer was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The address means nothing.
    #[error("the address {address} cannot be resolved: {reason}")]
    Address {
        /// As given.
        address: String,
        /// The system's reason.
        reason: String,
    },
    /// Nothing listens there.
    #[error("nothing listens at the address")]
    Refused,
    /// Nothing came back.
    #[error("no answer in time")]
    TimedOut,
    /// The peer's certificate is not of our authority.
    #[error("the peer's certificate was made with another cluster secret, or by another authority")]
    PeerSecret,
    /// Ours is not of the peer's.
    #[error(
        "the peer says that our certificate was made with another cluster secret, or by another authority"
    )]
    OurSecret,
    /// A certificate is not valid now.
    #[error("a certificate is not valid at this time (is it old, or is a clock wrong?): {0}")]
    Time(String),
    /// A certificate is for something else, or what was said does not go with it.
    #[error("not the broker that it should be: {0}")]
    Name(String),
    /// The other side wanted a certificate and got none, or the other way round.
    #[error("a certificate is missing")]
    NoCertificate,
    /// The other side speaks something else.
    #[error("what answers at the address is no mesh that this broker understands")]
    Protocol,
    /// Another run of the broker answers: the one that was wanted is over.
    #[error("another session of that broker answers at the address: {0}")]
    Replaced(SessionId),
    /// The other side closed.
    #[error("closed by the peer: {0}")]
    Closed(String),
    /// Something else.
    #[error("{0}")]
    Other(String),
    /// This broker is stopping.
    #[error("this broker's mesh is closed")]
    Stopped,
}

/// Who found the fault that an alert tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FoundBy {
    Us,
    Peer,
}

/// QUIC has TLS's alerts from here on (RFC 9001, section 4.8).
const QUIC_ALERTS: std::ops::Range<u64> = 0x100..0x200;

impl From<ConnectionError> for ConnectError {
    fn from(error: ConnectionError) -> ConnectError {
        match &error {
            ConnectionError::TransportError(ours) => match quic_alert(ours.code.into()) {
                Some(alert) => ConnectError::from_alert(alert, FoundBy::Us, &ours.reason),
                None => ConnectError::Other(error.to_string()),
            },
            ConnectionError::ConnectionClosed(close) => match quic_alert(close.error_code.into()) {
                Some(alert) => ConnectError::from_alert(alert, FoundBy::Peer, &error.to_string()),
                None => ConnectError::Closed(error.to_string()),
            },
            ConnectionError::ApplicationClosed(close) => {
                ConnectError::Closed(String::from_utf8_lossy(&close.reason).into_owned())
            }
            ConnectionError::TimedOut => ConnectError::TimedOut,
            ConnectionError::LocallyClosed => ConnectError::Stopped,
            _ => ConnectError::Other(error.to_string()),
        }
    }
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> ConnectError {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match (inner, error.kind()) {
            (Some(rustls::Error::AlertReceived(alert)), _) => {
                ConnectError::from_alert(u8::from(*alert), FoundBy::Peer, &error.to_string())
            }
            (Some(rustls::Error::InvalidCertificate(invalid)), _) => {
                let alert = alert_of(invalid);
                ConnectError::from_alert(u8::from(alert), FoundBy::Us, &invalid.to_string())
            }
            (Some(rustls::Error::NoCertificatesPresented), _) => ConnectError::NoCertificate,
            (None, io::ErrorKind::ConnectionRefused) => ConnectError::Refused,
            (None, io::ErrorKind::TimedOut) => ConnectError::TimedOut,
            (_, io::ErrorKind::UnexpectedEof) => ConnectError::Closed("before it said who it is".to_owned()),
            _ => ConnectError::Other(error.to_string()),
        }
    }
}

impl From<NameError> for ConnectError {
    fn from(error: NameError) -> ConnectError {
        match error {
            NameError::Protocol => ConnectError::Protocol,
            NameError::Unreadable => ConnectError::NoCertificate,
            NameError::Names { .. } | NameError::Cluster(_) => ConnectError::Name(error.to_string()),
        }
    }
}

impl ConnectError {
    fn from_alert(alert: u8, found_by: FoundBy, text: &str) -> ConnectError {
        match (AlertDescription::from(alert), found_by) {
            // A chain that ends elsewhere, or at a key of the same name that did not sign it.
            (AlertDescription::UnknownCA | AlertDescription::DecryptError, FoundBy::Us) => {
                ConnectError::PeerSecret
            }
            (AlertDescription::UnknownCA | AlertDescription::DecryptError, FoundBy::Peer) => {
                ConnectError::OurSecret
            }
            (AlertDescription::CertificateExpired, _) => ConnectError::Time(text.to_owned()),
            (AlertDescription::BadCertificate, _) => ConnectError::Name(text.to_owned()),
            (AlertDescription::CertificateRequired, _) => ConnectError::NoCertificate,
            (AlertDescription::NoApplicationProtocol, _) => ConnectError::Protocol,
            _ => ConnectError::Other(text.to_owned()),
        }
    }
}

fn quic_alert(code: u64) -> Option<u8> {
    QUIC_ALERTS.contains(&code).then(|| u8::try_from(code & 0xFF).expect("masked to a byte"))
}

/// The alert that TLS sends for a certificate that was not accepted.
fn alert_of(error: &CertificateError) -> AlertDescription {
    AlertDescription::from(error.clone())
}

#[cfg(test)]
mod tests {
    use super::ConnectError;
    use quinn::ConnectionError;
    use rustls::{AlertDescription, CertificateError};
    use std::io;

    #[test]
    fn an_alert_tells_whose_secret_is_wrong() {
        let found_here =
            |error| ConnectError::from(io::Error::other(rustls::Error::InvalidCertificate(error)));
        assert_eq!(found_here(CertificateError::UnknownIssuer), ConnectError::PeerSecret);
        assert_eq!(found_here(CertificateError::BadSignature), ConnectError::PeerSecret);
        assert!(matches!(found_here(CertificateError::Expired), ConnectError::Time(_)));
        assert!(matches!(found_here(CertificateError::NotValidForName), ConnectError::Name(_)));
        let told = |alert| ConnectError::from(io::Error::other(rustls::Error::AlertReceived(alert)));
        assert_eq!(told(AlertDescription::UnknownCA), ConnectError::OurSecret);
        assert_eq!(told(AlertDescription::CertificateRequired), ConnectError::NoCertificate);
    }

    #[test]
    fn plain_failures_keep_their_meaning() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(ConnectError::from(refused), ConnectError::Refused);
        assert_eq!(ConnectError::from(ConnectionError::TimedOut), ConnectError::TimedOut);
        assert_eq!(ConnectError::from(ConnectionError::LocallyClosed), ConnectError::Stopped);
    }
}
