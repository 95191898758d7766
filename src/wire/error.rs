//! Kafka's error codes.

pub use kafka_protocol::ResponseError as ErrorCode;

/// The code as the protocol writes it: 0 stands for success.
#[must_use]
pub fn error_code(error: Option<ErrorCode>) -> i16 {
    error.map_or(0, |error| error.code())
}
