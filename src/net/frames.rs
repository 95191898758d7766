//! Bytes to frames: length and API key, memory, bytes, in that order.
//!
//! Memory for a frame is reserved before its bytes are read, and its buffer grows as they come, so that a
//! length alone costs nothing. Whoever holds a reservation has to keep sending: silence ends the connection.
//! A big frame is read straight into its own buffer; a small one is copied once out of the connection's.

use crate::limits::{MemoryBudget, MemoryPermit, Purpose};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, timeout_at};

/// Reads one connection's frames.
#[derive(Debug)]
pub struct FrameReader<R> {
    reader: R,
    read_ahead: BytesMut,
    budget: MemoryBudget,
    frame_bytes_max: usize,
}

/// A frame's bytes without its length, and the memory reserved for them.
#[derive(Debug)]
pub struct Frame {
    /// What was read.
    pub bytes: Bytes,
    /// Held for as long as `bytes` are.
    pub permit: MemoryPermit,
}

/// What a frame begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// Bytes that follow the length.
    pub length: usize,
    /// The request's, which is in the first two of them.
    pub api_key: i16,
}

/// Why no further frame can be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameReadError {
    /// The peer closed between two frames.
    #[error("closed by the peer")]
    End,
    /// The peer closed within a frame.
    #[error("closed by the peer within a frame")]
    Cut,
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A length that no frame has.
    #[error("a frame of {length} bytes; a length is from {FRAME_BYTES_MIN} to {max}")]
    Length {
        /// As claimed.
        length: i32,
        /// As allowed.
        max: usize,
    },
    /// The first bytes are those of an HTTP request.
    #[error("the peer speaks HTTP, and this port speaks Kafka: health and metrics are where --http says")]
    Http,
    /// The first bytes are those of a TLS handshake.
    #[error("the peer speaks TLS, and this listener does not: one that does is tls://, given by --listen")]
    Tls,
    /// Within a frame, nothing came for [`STALL_TIME_MAX`] or all of it came too slowly.
    #[error("{got} of {length} bytes of a frame, then silence or less than {PACE_BYTES_MIN} bytes a second")]
    Stalled {
        /// What had come.
        got: usize,
        /// What was announced.
        length: usize,
    },
}

/// The shortest request header: API key, version, correlation id.
const FRAME_BYTES_MIN: usize = 8;
const LENGTH_BYTES: usize = 4;
/// A frame's length and its API key, in bytes.
const HEAD_BYTES: usize = 6;
/// How long a frame may stand still.
pub const STALL_TIME_MAX: Duration = Duration::from_secs(30);
/// Past [`STALL_TIME_MAX`] a frame has to come at this pace on average, or one byte now and then would hold
/// a big reservation for hours.
pub const PACE_BYTES_MIN: usize = 8 * 1024;
/// Read ahead for lengths and small frames, in bytes.
const READ_AHEAD_BYTES: usize = 32 * 1024;
/// A frame's buffer begins with at most this, and then grows fourfold as bytes come. Most producers send
/// less (`max.request.size`), so their frames are never moved.
const FIRST_BUFFER_BYTES: usize = 1024 * 1024 + 64 * 1024;

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Reads from `reader`, with memory from `budget`.
    pub fn new(reader: R, budget: MemoryBudget, frame_bytes_max: usize) -> FrameReader<R> {
        FrameReader { reader, read_ahead: BytesMut::new(), budget, frame_bytes_max }
    }

    /// Waits for the next frame's head. Safe to drop and call again: nothing read is lost.
    pub async fn next_head(&mut self) -> Result<FrameHead, FrameReadError> {
        let mut deadline = None;
        while self.read_ahead.len() < HEAD_BYTES {
            let got = self.read_ahead.len();
            if let Some(four) = self.read_ahead.first_chunk() {
                check_length(*four, self.frame_bytes_max)?;
            }
            if got > 0 && deadline.is_none() {
                deadline = Some(Instant::now() + STALL_TIME_MAX);
            }
            self.read_ahead.reserve(READ_AHEAD_BYTES - got);
            let read = self.reader.read_buf(&mut self.read_ahead);
            let read = match deadline {
                None => read.await?,
                Some(at) => timeout_at(at, read).await.map_err(|_| Self::stalled(got, HEAD_BYTES))??,
            };
            match (read, got) {
                (0, 0) => return Err(FrameReadError::End),
                (0, _) => return Err(FrameReadError::Cut),
                _ => {}
            }
        }
        let head: [u8; HEAD_BYTES] = *self.read_ahead.first_chunk().expect("the loop ends with a head");
        let [a, b, c, d, key_high, key_low] = head;
        let length = check_length([a, b, c, d], self.frame_bytes_max)?;
        Ok(FrameHead { length, api_key: i16::from_be_bytes([key_high, key_low]) })
    }

    /// Reserves memory for the frame whose head was just read, then reads it. Waits for as long as other
    /// requests hold the memory, without reading: the peer feels it as a slow connection.
    pub async fn read(&mut self, length: usize, purpose: Purpose) -> Result<Frame, FrameReadError> {
        let permit = match self.budget.try_reserve(length, purpose) {
            Some(permit) => permit,
            None => self.budget.reserve(length, purpose).await,
        };
        self.read_ahead.advance(LENGTH_BYTES);
        let bytes = self.read_bytes(length).await?;
        Ok(Frame { bytes, permit })
    }

    async fn read_bytes(&mut self, length: usize) -> Result<Bytes, FrameReadError> {
        if self.read_ahead.len() >= length {
            let bytes = Bytes::copy_from_slice(&self.read_ahead[..length]);
            self.read_ahead.advance(length);
            return Ok(bytes);
        }
        let mut frame = BytesMut::with_capacity(length.min(FIRST_BUFFER_BYTES));
        frame.extend_from_slice(&self.read_ahead);
        self.read_ahead.clear();
        self.read_rest(&mut frame, length).await?;
        Ok(frame.freeze())
    }

    async fn read_rest(&mut self, frame: &mut BytesMut, length: usize) -> Result<(), FrameReadError> {
        let pace = Duration::from_secs((length / PACE_BYTES_MIN) as u64);
        let end_at = Instant::now() + STALL_TIME_MAX + pace;
        while frame.len() < length {
            let got = frame.len();
            if got == frame.capacity() {
                frame.reserve((got * 3).min(length - got));
            }
            let room = (length - got).min(frame.capacity() - got);
            let mut rest = frame.limit(room);
            let stall_at = end_at.min(Instant::now() + STALL_TIME_MAX);
            let read = timeout_at(stall_at, self.reader.read_buf(&mut rest)).await;
            match read.map_err(|_| Self::stalled(got, length))?? {
                0 => return Err(FrameReadError::Cut),
                _ => continue,
            }
        }
        Ok(())
    }

    fn stalled(got: usize, length: usize) -> FrameReadError {
        FrameReadError::Stalled { got, length }
    }
}

/// The length that the first four bytes of a frame mean, or what they mean instead.
fn check_length(four: [u8; LENGTH_BYTES], max: usize) -> Result<usize, FrameReadError> {
    match &four {
        b"GET " | b"POST" | b"HEAD" | b"PUT " | b"OPTI" => return Err(FrameReadError::Http),
        [0x16, 0x03, ..] => return Err(FrameReadError::Tls),
        _ => {}
    }
    let length = i32::from_be_bytes(four);
    match usize::try_from(length) {
        Ok(length) if (FRAME_BYTES_MIN..=max).contains(&length) => Ok(length),
        _ => Err(FrameReadError::Length { length, max }),
    }
}
