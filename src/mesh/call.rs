//! One request, one stream, one answer, within a time.
//!
//! *Not sent* is proven: either the peer was not reached, or it cannot have the whole of the request, since its last byte was
//! never given to the connection and never will be; or the peer says that it refused the stream before it read a request.
//! From the last byte on everything else is *unknown*.

use super::carrier::{Connection, RecvStream, SendStream};
use super::cause::ConnectError;
use super::frame::{self, AnswerError};
use super::preamble::PreambleError;
use super::transport::code;
use crate::limits::{MemoryBudget, MemoryPermit};
use bytes::{BufMut, Bytes, BytesMut};
use quinn::{ConnectionError, WriteError};
use tokio::time::{Instant, timeout_at};

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The peer has not carried it out and will not: it may be sent elsewhere.
    #[error("not sent: {0}")]
    NotSent(#[from] NotSent),
    /// The peer may have carried it out, or may still do so.
    #[error("sent, and the outcome is unknown: {0}")]
    Unknown(#[from] Unknown),
}

/// Why a request was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// There is no connection to the peer.
    #[error("{0}")]
    Unreachable(#[from] ConnectError),
    /// Time ran out before it was sent: no connection yet, or the peer takes nothing.
    #[error("the peer took it not in time")]
    Deadline,
    /// The stream or the connection ended before it was sent.
    #[error("{0}")]
    Lost(String),
    /// The peer refused the stream: it does not know such a preamble.
    #[error("the peer refused the stream")]
    Refused,
    /// The preamble is not one that can be sent.
    #[error("{0}")]
    Preamble(#[from] PreambleError),
    /// No frame of Kafka's.
    #[error("a request of {0} bytes is none")]
    Frame(usize),
}

/// Why the outcome of a request is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// No answer in time.
    #[error("no answer in time")]
    Deadline,
    /// The stream or the connection ended.
    #[error("{0}")]
    Lost(String),
    /// There was no memory for its answer.
    #[error("no memory for its answer")]
    Memory,
    /// What came was no answer to it.
    #[error("{0}")]
    Answer(String),
}

/// A stream on which a request may be half-written: given up then, so that it is never taken for a whole one.
pub(super) struct RequestSender {
    stream: SendStream,
    midway: bool,
}

impl RequestSender {
    pub(super) fn new(stream: SendStream) -> RequestSender {
        RequestSender { stream, midway: false }
    }

    /// Gives all of it to the connection. Waits for as long as the peer takes nothing. An error says that its last byte
    /// never leaves; nothing can be sent afterwards.
    pub(super) async fn write(&mut self, chunks: &mut [Bytes], deadline: Instant) -> Result<(), NotSent> {
        if self.midway {
            return Err(NotSent::Lost("the stream was given up within a request".to_owned()));
        }
        self.midway = true;
        let error = match timeout_at(deadline, self.stream.write_all_chunks(chunks)).await {
            Ok(Ok(())) => {
                self.midway = false;
                return Ok(());
            }
            Ok(Err(error)) => error.into(),
            Err(_) => NotSent::Deadline,
        };
        self.give_up();
        Err(error)
    }

    /// Whether nothing can be sent any more.
    pub(super) fn is_over(&self) -> bool {
        self.midway
    }

    /// What the peer has of the stream's end is not a whole request, and it is told so.
    fn give_up(&mut self) {
        self.stream.reset(code::ABANDONED);
    }

    /// Nothing comes after this.
    pub(super) fn finish(&mut self) {
        self.stream.finish();
    }
}

impl Drop for RequestSender {
    fn drop(&mut self) {
        // Else the stream's own end would make a half request look like the last bytes of a whole one.
        if self.midway {
            self.give_up();
        }
    }
}

/// What goes before a request on a stream: its length, and the preamble if it is the first.
pub(super) fn head(preamble: &[u8], request: &[u8]) -> Result<Bytes, NotSent> {
    let length = frame::length(request).ok_or(NotSent::Frame(request.len()))?;
    let mut head = BytesMut::with_capacity(preamble.len() + length.len());
    head.put_slice(preamble);
    head.put_slice(&length);
    Ok(head.freeze())
}

/// How an answer is read, and at most how long it may be.
#[derive(Clone, Copy)]
pub(super) struct Answering<'a> {
    pub bytes_max: usize,
    /// Memory that is taken before it is read.
    pub memory: Option<&'a MemoryBudget>,
}

/// Sends `request` on a fresh stream and waits for its answer.
pub(super) async fn exchange(
    connection: &Connection,
    preamble: &[u8],
    request: Bytes,
    deadline: Instant,
    answering: Answering<'_>,
) -> Result<(Bytes, Option<MemoryPermit>), CallError> {
    let head = head(preamble, &request)?;
    let correlation_id = frame::correlation_id(&request).ok_or(NotSent::Frame(request.len()))?;
    let opened = timeout_at(deadline, connection.open_bi()).await.map_err(|_| NotSent::Deadline)?;
    let (send, mut receive) = opened.map_err(NotSent::from)?;
    let mut sender = RequestSender::new(send);
    sender.write(&mut [head, request], deadline).await?;
    sender.finish();
    let reading = answering.read(&mut receive, correlation_id);
    match timeout_at(deadline, reading).await {
        Ok(answer) => answer.map_err(CallError::from),
        Err(_) => {
            // The peer need not go on; whether it does is unknown all the same.
            receive.stop(code::ABANDONED);
            Err(Unknown::Deadline.into())
        }
    }
}

impl Answering<'_> {
    async fn read(
        self,
        stream: &mut RecvStream,
        correlation_id: i32,
    ) -> Result<(Bytes, Option<MemoryPermit>), AnswerError> {
        let Some(memory) = self.memory else {
            return Ok((frame::read_answer(stream, correlation_id, self.bytes_max).await?, None));
        };
        let read = frame::read_answer_within(stream, correlation_id, self.bytes_max, memory).await;
        read.map(|(answer, permit)| (answer, Some(permit)))
    }
}

impl From<ConnectionError> for NotSent {
    fn from(error: ConnectionError) -> NotSent {
        NotSent::Lost(error.to_string())
    }
}

impl From<WriteError> for NotSent {
    fn from(error: WriteError) -> NotSent {
        match error {
            WriteError::Stopped(code::REFUSED) => NotSent::Refused,
            WriteError::ConnectionLost(error) => error.into(),
            other => NotSent::Lost(other.to_string()),
        }
    }
}

impl From<AnswerError> for CallError {
    fn from(error: AnswerError) -> CallError {
        match &error {
            AnswerError::Reset(code::REFUSED) => NotSent::Refused.into(),
            AnswerError::End | AnswerError::Reset(_) | AnswerError::Lost(_) => {
                Unknown::Lost(error.to_string()).into()
            }
            AnswerError::Memory(_) => Unknown::Memory.into(),
            AnswerError::Length(_) | AnswerError::Correlation { .. } => {
                Unknown::Answer(error.to_string()).into()
            }
        }
    }
}
