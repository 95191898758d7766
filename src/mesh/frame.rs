//! Frames as the sending side of a stream sees them: a length, then as many bytes; in both, the correlation id.

use super::carrier::RecvStream;
use crate::limits::{MemoryBudget, MemoryPermit, Purpose};
use bytes::{BufMut, Bytes, BytesMut};
use quinn::{ReadError, VarInt};
use std::time::Duration;
use tokio::time::timeout;

/// Why an answer cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AnswerError {
    /// The stream ended before it, or within it.
    #[error("the stream ended without an answer")]
    End,
    /// The peer gave the stream up.
    #[error("the peer gave the stream up: code {0}")]
    Reset(VarInt),
    /// The connection was lost.
    #[error("{0}")]
    Lost(String),
    /// There is no memory for it.
    #[error("no memory for an answer of {0} bytes")]
    Memory(usize),
    /// Bytes that are no answer to this.
    #[error("an answer of {0} bytes")]
    Length(usize),
    /// An answer to something else.
    #[error("an answer with the correlation id {got} to a request with {wanted}")]
    Correlation {
        /// The answer's.
        got: i32,
        /// The request's.
        wanted: i32,
    },
}

const LENGTH_BYTES: usize = 4;
/// The shortest request: API key, version, correlation id.
const REQUEST_BYTES_MIN: usize = 8;
/// The shortest answer: a correlation id.
const ANSWER_BYTES_MIN: usize = 4;
/// What an answer's buffer begins with at most: a length alone costs nothing.
const FIRST_BUFFER_BYTES: usize = 256 * 1024;

/// The correlation id of a request, which is without its length.
pub(super) fn correlation_id(request: &[u8]) -> Option<i32> {
    let bytes = request.get(4..REQUEST_BYTES_MIN)?;
    bytes.first_chunk().map(|four| i32::from_be_bytes(*four))
}

/// The length that goes before a request; none for one that no frame can hold.
pub(super) fn length(request: &[u8]) -> Option<[u8; LENGTH_BYTES]> {
    let length = i32::try_from(request.len()).ok()?;
    (request.len() >= REQUEST_BYTES_MIN).then(|| length.to_be_bytes())
}

/// Reads an answer's frame, without its length.
pub(super) async fn read_answer(
    stream: &mut RecvStream,
    wanted: i32,
    bytes_max: usize,
) -> Result<Bytes, AnswerError> {
    let length = answer_length(stream, bytes_max).await?;
    read_body(stream, wanted, length).await
}

/// The same, with memory of `budget` that is taken before the answer is read. Until then it stays where it is, and the
/// stream's window holds the peer back.
pub(super) async fn read_answer_within(
    stream: &mut RecvStream,
    wanted: i32,
    bytes_max: usize,
    budget: &MemoryBudget,
) -> Result<(Bytes, MemoryPermit), AnswerError> {
    let length = answer_length(stream, bytes_max).await?;
    let permit = timeout(MEMORY_WAIT_MAX, budget.reserve(length, Purpose::Other)).await;
    let permit = permit.map_err(|_| AnswerError::Memory(length))?;
    Ok((read_body(stream, wanted, length).await?, permit))
}

/// How long an answer waits for memory: as others of its connection wait behind it.
const MEMORY_WAIT_MAX: Duration = Duration::from_secs(2);

async fn answer_length(stream: &mut RecvStream, bytes_max: usize) -> Result<usize, AnswerError> {
    let mut head = [0; LENGTH_BYTES];
    fill(stream, &mut head).await?;
    let length = u32::from_be_bytes(head) as usize;
    if !(ANSWER_BYTES_MIN..=bytes_max).contains(&length) {
        return Err(AnswerError::Length(length));
    }
    Ok(length)
}

async fn read_body(stream: &mut RecvStream, wanted: i32, length: usize) -> Result<Bytes, AnswerError> {
    let mut answer = BytesMut::with_capacity(length.min(FIRST_BUFFER_BYTES));
    while answer.len() < length {
        answer.put(stream.read_chunk(length - answer.len()).await?.ok_or(AnswerError::End)?);
    }
    let got = i32::from_be_bytes(*answer.first_chunk().expect("four bytes at least"));
    if got == wanted { Ok(answer.freeze()) } else { Err(AnswerError::Correlation { got, wanted }) }
}

async fn fill(stream: &mut RecvStream, buffer: &mut [u8]) -> Result<(), AnswerError> {
    let mut filled = 0;
    while filled < buffer.len() {
        match stream.read(&mut buffer[filled..]).await? {
            Some(read) => filled += read,
            None => return Err(AnswerError::End),
        }
    }
    Ok(())
}

impl From<ReadError> for AnswerError {
    fn from(error: ReadError) -> AnswerError {
        match error {
            ReadError::Reset(code) => AnswerError::Reset(code),
            ReadError::ConnectionLost(error) => AnswerError::Lost(error.to_string()),
            other => AnswerError::Lost(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{correlation_id, length};

    #[test]
    fn a_request_has_its_length_before_it_and_its_correlation_id_in_it() {
        let request = [0, 3, 0, 9, 0, 0, 1, 2, 0xFF];
        assert_eq!(correlation_id(&request), Some(258));
        assert_eq!(length(&request), Some([0, 0, 0, 9]));
        assert_eq!(correlation_id(&request[..7]), None);
        assert_eq!(length(&request[..7]), None);
    }
}
