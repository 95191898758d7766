//! Arbitrary bytes on a connection, cut into frames: the first byte says in which pieces they come.

use super::frames::{FrameReadError, FrameReader};
use crate::limits::{MemoryBudget, Purpose};
use bytes::Bytes;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::runtime::{Builder, Runtime};

/// The longest frame: one byte more than what a frame's first buffer has, so that it grows.
const FRAME_BYTES_MAX: usize = 1024 * 1024 + 64 * 1024 + 1;

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_time().build().expect("a runtime without I/O");
}

/// The frames are those that a plain walk over all bytes finds, and reading ends as it does.
pub(crate) fn frames(bytes: &[u8]) {
    let Some((&pieces, stream)) = bytes.split_first() else { return };
    let read = RUNTIME.with(|runtime| runtime.block_on(read_all(stream, usize::from(pieces) + 1)));
    let mut rest = stream;
    for frame in &read.0 {
        let (length, after) = rest.split_at(4);
        assert_eq!(i32::from_be_bytes(length.try_into().expect("four bytes")) as usize, frame.len());
        assert!(frame.len() >= 8 && after.starts_with(frame));
        rest = &after[frame.len()..];
    }
    let ends_right = match (&read.1, rest) {
        (FrameReadError::End, []) => true,
        (FrameReadError::Http, _) => b"GPHO".contains(&rest[0]),
        (FrameReadError::Tls, _) => rest.starts_with(&[0x16, 0x03]),
        (FrameReadError::Length { length, .. }, _) => {
            rest.starts_with(&length.to_be_bytes()) && !(8..=FRAME_BYTES_MAX as i32).contains(length)
        }
        (FrameReadError::Cut, [a, b, c, d, body @ ..]) => {
            (8..=FRAME_BYTES_MAX).contains(&(u32::from_be_bytes([*a, *b, *c, *d]) as usize))
                && body.len() < u32::from_be_bytes([*a, *b, *c, *d]) as usize
        }
        (FrameReadError::Cut, [_] | [_, _] | [_, _, _]) => true,
        _ => false,
    };
    assert!(ends_right, "{:?} before {} bytes", read.1, rest.len());
}

/// All frames, and why there is no further one.
async fn read_all(stream: &[u8], piece: usize) -> (Vec<Bytes>, FrameReadError) {
    let budget = MemoryBudget::new(2 * FRAME_BYTES_MAX);
    let mut reader = FrameReader::new(Pieces { stream, piece }, budget, FRAME_BYTES_MAX);
    let mut frames = Vec::new();
    loop {
        let frame = match reader.next_head().await {
            Ok(head) => reader.read(head.length, Purpose::Other).await,
            Err(error) => return (frames, error),
        };
        match frame {
            Ok(frame) => frames.push(frame.bytes),
            Err(error) => return (frames, error),
        }
    }
}

/// Bytes that come a few at a time.
struct Pieces<'a> {
    stream: &'a [u8],
    piece: usize,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let count = self.piece.min(buffer.remaining()).min(self.stream.len());
        let (now, later) = self.stream.split_at(count);
        buffer.put_slice(now);
        self.stream = later;
        Poll::Ready(Ok(()))
    }
}
